//! The same tests on a host that stores no claims, so that they stand in TXT sets.

#[path = "../faults.rs"]
mod faults;
#[path = "../passes.rs"]
mod passes;
#[path = "../targeted.rs"]
mod targeted;
mod world;
