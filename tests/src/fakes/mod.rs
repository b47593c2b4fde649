//! Strict stand-ins for the DNS hosts that nobody can start at home.
//!
//! Each is a stateful HTTP server on loopback that knows the vendor's own description of its interface: it refuses what
//! the vendor refuses, in the vendor's words, and can be told to fail in the ways in which the vendor fails. Where they
//! come from and how they are checked against recorded exchanges is told in each.

pub mod azure;
pub mod clouddns;
pub mod faults;
pub mod fixtures;
pub mod listener;
pub mod route53;
