//! Conformance suite that any `dnsprovider` backend can run, and the servers that end-to-end tests need.
//!
//! A case is little more than a list of desired zones: the suite reads, compares, applies, reads again and demands that
//! nothing is left to change. Beneath every case lie checks that no case can forget: each outcome is compared with what
//! the zone then holds, a neighbor's set must survive untouched, and nothing may be left behind ([`Bench`]).
//! What a host cannot do is a case too: a missing ability must be refused, and the zone unchanged.
//!
//! A backend opts in with one file:
//!
//! ```no_run
//! use dns_conformance::{Setup, conformance};
//! use dnsprovider::{Fqdn, MemoryProvider};
//!
//! async fn setup() -> Setup {
//!     let apex = Fqdn::parse("conformance.test").unwrap();
//!     Setup::new(MemoryProvider::new([apex.clone()]), apex)
//! }
//!
//! conformance!(memory, setup);
//! # fn main() {}
//! ```

mod bench;
mod case;
#[cfg(feature = "fakes")]
pub mod fakes;
pub mod levels;
#[cfg(feature = "servers")]
pub mod servers;
mod setup;
mod verdict;

pub use bench::{Bench, records};
pub use case::{CASES, Case, Failure, Level, check, run};
pub use setup::Setup;
pub use verdict::Verdict;
