//! The whole daemon on paused time, beside a host that misbehaves.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod faults;
mod passes;
mod seeded;
mod targeted;
mod world;
