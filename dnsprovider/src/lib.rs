//! A small contract over DNS hosts.
//!
//! A [`DnsProvider`] reads a zone as a [`Snapshot`] of record sets and makes a [`ChangeSet`] true. Everything between
//! is values: a [`RrSet`] is all records of one owner and type with one TTL; a [`Change`] carries what stood there
//! (its pre-image and [`Version`]) beside what shall stand there, so a host can refuse what was decided on stale facts;
//! an [`Outcome`] tells for each set what became of it. What a host can do and allows is data ([`Capabilities`]), and
//! what is the same for every host is written once over that data: [`diff()`], [`order()`], [`Chunked`].
//!
//! There is no runtime, network, clock, log or environment in this crate: time comes in through
//! [`ApplyContext::time_left`].
//!
//! To write a backend implement [`DnsProvider`] (`examples/flat_file.rs` does it in one page) and run the conformance
//! suite of the `dns-conformance` crate on it. [`MemoryProvider`] is the reference: when in doubt do what it does.

pub mod capabilities;
mod change;
pub mod chunk;
mod claim;
mod diff;
mod error;
mod forward;
pub mod memory;
mod name;
pub mod order;
mod provider;
mod record;
mod snapshot;
pub mod store;
#[cfg(test)]
mod testing;

pub use capabilities::{Capabilities, Cost};
pub use change::{Action, Change, ChangeSet, Unit};
pub use chunk::Chunked;
pub use claim::{Claim, ClaimedSet, Credits};
pub use diff::diff;
pub use error::{BoxError, Error, ErrorKind, RetryHint};
pub use memory::MemoryProvider;
pub use name::{Fqdn, MAX_LABEL_OCTETS, MAX_NAME_OCTETS, NameError};
pub use order::order;
pub use provider::{
    Applied, ApplyContext, DnsProvider, DnsProviderExt, Fence, Outcome, TimeLeft, WatchEvent, WatchStream, Zone, ZoneId,
};
pub use record::{RecordData, RrKey, RrSet, RrSetError, RrType, Ttl};
pub use snapshot::{Blocks, Cursor, Entry, Page, Snapshot, Version};
