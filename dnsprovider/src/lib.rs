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
//! # Using a provider
//!
//! Read, compare, apply; then read what came of it. [`MemoryProvider`] stands for any host here.
//!
//! ```
//! use std::collections::BTreeMap;
//! use dnsprovider::{
//!     ApplyContext, Chunked, ClaimedSet, DnsProvider, DnsProviderExt, Fqdn, MemoryProvider, RecordData, RrKey, RrSet,
//!     RrType, Ttl, diff,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # futures::executor::block_on(async {
//! let apex = Fqdn::parse("example.com")?;
//! let provider = Chunked::new(MemoryProvider::new([apex.clone()]));
//! let zone = provider.find_zone(Some(&apex), None).await?;
//!
//! let key = RrKey::new(Fqdn::parse("www.example.com")?, RrType::A);
//! let set = RrSet::new(key.clone(), Ttl::from_secs(60).unwrap(), [RecordData::A([192, 0, 2, 1].into())])?;
//! let desired = BTreeMap::from([(key.clone(), ClaimedSet::unclaimed(set))]);
//!
//! let snapshot = provider.read_zone(&zone.id).await?;
//! let changes = diff(&snapshot, &desired, |held| held.key() == &key);
//! let applied = provider.apply(&zone.id, &changes, &ApplyContext::default()).await?;
//! assert!(applied.outcomes[&key].is_done());
//!
//! let snapshot = provider.read_zone(&zone.id).await?;
//! assert!(diff(&snapshot, &desired, |_| true).is_empty());
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! # Writing a backend
//!
//! Implement [`DnsProvider`] for one host; `examples/flat_file.rs` does it for a text file.
//!
//! 1. **Capabilities.** Declare what the host cannot do and refuse it with [`ErrorKind::Unsupported`]; do not imitate it.
//!    Put its sizes in [`capabilities::Limits`] and what a unit costs in [`DnsProvider::cost`].
//! 2. **Reading.** Turn the host's spelling into [`Fqdn`], [`Ttl`] and [`RecordData`] at the edge. What these cannot say
//!    (aliases, routing policies, other types) becomes [`RecordData::Opaque`], so that nobody writes over it. Give each
//!    [`Entry`] the [`Version`] that guards its next write.
//! 3. **Applying.** Refuse what [`admit()`] refuses, unsent. Send one batch, in the order of the units, each change on the condition of its pre-image. Tell each
//!    outcome as it is: [`Outcome::Unknown`] when the answer was lost, `Err` only when nothing was changed. Do not split,
//!    reorder or retry: callers wrap the backend in [`Chunked`].
//! 4. **Errors.** Map each code of the host to one [`ErrorKind`] and, where it says when to come back, a [`RetryHint`].
//! 5. **Proof.** Run the conformance suite of the `dns-conformance` crate on it. When in doubt do what
//!    [`MemoryProvider`] does, or [`store::ZoneStore`] below it.

mod admit;
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

pub use admit::admit;
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
    Applied, ApplyContext, DnsProvider, DnsProviderExt, Fence, Lane, Outcome, TimeLeft, WatchEvent, WatchStream, Zone,
    ZoneId,
};
pub use record::{RecordData, RrKey, RrSet, RrSetError, RrType, Ttl};
pub use snapshot::{Blocks, Cursor, Entry, Page, Snapshot, Version};
