//! The whole daemon on paused time, beside a host that misbehaves.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::duplicate_mod, reason = "the same tests run on two kinds of host")]

mod faults;
mod ledgers;
mod passes;
mod seeded;
mod targeted;
mod without_claims;
mod world;
