//! The daemon that keeps DNS names true over many Kubernetes clusters, as a library.

pub mod admin;
pub mod ask;
pub mod cluster_dns;
pub mod clusters;
pub mod config;
pub mod daemon;
pub mod engine;
mod events;
pub mod explain;
pub mod joining;
pub mod leader;
pub mod moment;
pub mod resolver;
pub mod source;

pub use daemon::{Daemon, DaemonError};
pub use engine::Handle;
