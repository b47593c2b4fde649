//! End to end: member clusters as manifests, the real program, real servers, and DNS queries.
//!
//! A test changes the clusters, says what clients must be answered from then on, and asks until they are; meanwhile an
//! [`asker::Asker`] asks all the time and lets no empty or wrong answer pass where a healthy address exists.
//! No test waits a fixed time: bounds are safety nets, and a time that must *not* be cut short (a grace) is measured.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod asker;
mod bad_input;
mod clouds;
mod clusters;
mod command_line;
mod deploy;
mod equal;
mod etcd;
mod events;
mod failover;
mod federation;
mod federation_v1;
mod in_cluster;
mod joining;
mod killed;
mod life;
mod members;
mod outages;
mod program;
mod real;
mod real_life;
mod replicas;
mod rights;
mod short_names;
mod trouble;
mod truth;
mod world;
