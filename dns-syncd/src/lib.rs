//! The daemon that keeps DNS names true over many Kubernetes clusters, as a library.

pub mod config;
pub mod source;
