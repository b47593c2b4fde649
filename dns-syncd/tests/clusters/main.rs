//! The source of kind `clusters` against API servers that fail in every way.
//!
//! The servers are fakes on loopback. Nothing waits a fixed time: each step listens until the source has told it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod burst;
mod fake;
mod federation;
mod files;
mod heard;
mod lost;
mod watched;
