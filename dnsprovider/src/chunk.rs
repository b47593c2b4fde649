//! A change set of any size, as batches that the host takes.
//!
//! [`Chunked`] wraps a provider and gives `apply` what is the same for all hosts: targets go before the CNAMEs that
//! point at them, units are packed into batches by their costs, and the one bad unit of a refused batch is found by
//! halving, so that the others are done. [`Packer`] is the packing alone, for callers that drive batches themselves.

mod run;
#[cfg(test)]
mod tests;

use async_trait::async_trait;

use self::run::Run;
use crate::capabilities::{Capabilities, Cost};
use crate::change::{ChangeSet, Unit};
use crate::error::Error;
use crate::name::Fqdn;
use crate::order::order;
use crate::provider::{Applied, ApplyContext, DnsProvider, WatchStream, Zone, ZoneId};
use crate::snapshot::{Cursor, Page, Snapshot, Version};

//----------- Packer ---------------------------------------------------------

/// Counts what goes into one call.
///
/// ```
/// use dnsprovider::chunk::Packer;
/// use dnsprovider::{Cost, DnsProvider, MemoryProvider};
///
/// let provider = MemoryProvider::builder().configure(|able| {
///     able.limits.batch.sets = 3;
///     able.limits.overhead.sets = 1;
/// }).build();
/// let mut packer = Packer::new(&provider.capabilities());
/// let one = Cost { sets: 1, ..Cost::default() };
/// assert_eq!([packer.add(one), packer.add(one), packer.add(one)], [true, true, false]);
/// assert_eq!(packer.never_fits(Cost { sets: 3, ..one }).as_deref(), Some("4 sets where 3 are allowed"));
/// ```
#[derive(Clone, Debug)]
pub struct Packer {
    overhead: Cost,
    limit: Cost,
    used: Cost,
}

impl Packer {
    /// An empty call to a host of these capabilities.
    pub fn new(capabilities: &Capabilities) -> Self {
        let limits = &capabilities.limits;
        Self { overhead: limits.overhead, limit: limits.batch, used: limits.overhead }
    }

    /// Counts a unit of this cost if the call still takes it; false, and nothing is counted, if not.
    pub fn add(&mut self, cost: Cost) -> bool {
        let sum = self.used + cost;
        let fits = sum.fits(&self.limit);
        if fits {
            self.used = sum;
        }
        fits
    }

    /// Why a unit of this cost fits no call at all, in words; `None` when it fits an empty one.
    pub fn never_fits(&self, cost: Cost) -> Option<String> {
        (self.overhead + cost).over(&self.limit)
    }

    /// What the call costs so far, the overhead included.
    pub fn used(&self) -> Cost {
        self.used
    }

    /// Begins the next call.
    pub fn clear(&mut self) {
        self.used = self.overhead;
    }
}

//----------- Chunked --------------------------------------------------------

/// A provider whose `apply` takes change sets of any size.
///
/// All other methods are those of the provider inside; so are the capabilities, whose `limits.batch` still says what
/// fits in one call of the host.
///
/// | what the host tells of a batch | what happens |
/// |---|---|
/// | `Ok` | its outcomes are kept |
/// | `Ok` with `Conflict`, or `Refused` for good, and others `NotTried` | those not tried go again, without the culprits |
/// | `Ok` with `Refused` that may pass later (throttled, unavailable) | nothing more is sent |
/// | `Err` of `InvalidInput`, `LimitExceeded`, `Conflict`, `Unsupported` | each half goes alone; a single unit keeps the verdict |
/// | any other `Err`, and nothing was done before | that `Err` |
/// | any other `Err` later | its changes are `Refused`, and nothing more is sent |
///
/// Beside that: a unit too large for an empty call is `Refused` (`LimitExceeded`) unsent. A unit that must follow
/// another ([`crate::order::Ordered::after`]) is sent only when that one is done, or in the same call of a host whose
/// calls are all or nothing. When the context is over nothing more is sent. What is not sent is `NotTried`.
#[derive(Clone, Debug)]
pub struct Chunked<P> {
    inner: P,
}

impl<P: DnsProvider> Chunked<P> {
    /// Wraps a provider.
    pub fn new(inner: P) -> Self {
        Self { inner }
    }

    /// The provider inside.
    pub fn inner(&self) -> &P {
        &self.inner
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<P: DnsProvider> DnsProvider for Chunked<P> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn cost(&self, unit: &Unit) -> Cost {
        self.inner.cost(unit)
    }

    async fn zones(&self, apex: Option<&Fqdn>) -> Result<Vec<Zone>, Error> {
        self.inner.zones(apex).await
    }

    async fn create_zone(&self, apex: &Fqdn) -> Result<Zone, Error> {
        self.inner.create_zone(apex).await
    }

    async fn delete_zone(&self, zone: &ZoneId) -> Result<(), Error> {
        self.inner.delete_zone(zone).await
    }

    async fn read_page(&self, zone: &ZoneId, cursor: Option<&Cursor>) -> Result<Page, Error> {
        self.inner.read_page(zone, cursor).await
    }

    async fn read_names(&self, zone: &ZoneId, names: &[Fqdn]) -> Result<Snapshot, Error> {
        self.inner.read_names(zone, names).await
    }

    /// Applies a change set of any size and order; see [`Chunked`].
    async fn apply(&self, zone: &ZoneId, changes: &ChangeSet, context: &ApplyContext) -> Result<Applied, Error> {
        let mut run = Run::new(self.name(), &self.capabilities(), order(changes.clone()));
        while !context.is_over()
            && let Some(part) = run.next_part(|unit| self.inner.cost(unit))
        {
            match self.inner.apply(zone, &part.changes, context).await {
                Ok(applied) => run.answered(part, applied),
                Err(error) => run.failed(part, error)?,
            }
        }
        Ok(run.finish())
    }

    async fn watch(&self, zone: &ZoneId, since: &Version) -> Result<WatchStream, Error> {
        self.inner.watch(zone, since).await
    }
}
