//! The fake of Route 53: its laws, its tables beside the vendor's service model, and the recorded exchanges replayed.

#[path = "fake_route53/faults.rs"]
mod faults;
#[path = "fake_route53/laws.rs"]
mod laws;
#[path = "fake_route53/paging.rs"]
mod paging;
#[path = "fake_route53/refusals.rs"]
mod refusals;
#[path = "fake_route53/replay.rs"]
mod replay;
#[path = "fake_route53/support.rs"]
mod support;
#[path = "fake_route53/tables.rs"]
mod tables;
