//! The fake of Route 53: its laws, its tables beside the vendor's service model, and the recorded exchanges replayed.

#[path = "fake_route53/laws.rs"]
mod laws;
#[path = "fake_route53/support.rs"]
mod support;
