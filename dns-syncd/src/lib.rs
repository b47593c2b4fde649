//! The daemon that keeps DNS names true over many Kubernetes clusters, as a library.

pub mod clusters;
pub mod config;
pub mod explain;
pub mod moment;
pub mod source;
