//! AWS Route 53.
