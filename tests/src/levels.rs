//! The cases, by level: each file is what a backend can do next.

pub mod cancel;
pub mod cname;
pub mod errors;
pub mod foreign;
pub mod lifecycle;
pub mod names;
pub mod size;
pub mod stale;
pub mod text;
pub mod ttl;
pub mod values;
pub mod writers;
