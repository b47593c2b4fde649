//! A provider of which every call ends.

use std::time::Duration;

use async_trait::async_trait;
use dnsprovider::{
    Applied, ApplyContext, Capabilities, ChangeSet, Cost, Cursor, DnsProvider, Error, ErrorKind, Fqdn, Outcome, Page,
    Snapshot, Unit, Version, WatchStream, Zone, ZoneId,
};
use tokio::time::timeout;

/// Gives up a call of the provider inside after a time. A write that is given up has an unknown outcome.
#[derive(Clone, Debug)]
pub(super) struct Deadline<P> {
    inner: P,
    limit: Duration,
}

impl<P: DnsProvider> Deadline<P> {
    pub(super) fn new(inner: P, limit: Duration) -> Self {
        Self { inner, limit }
    }

    fn late(&self, what: &str) -> Error {
        let seconds = self.limit.as_secs();
        Error::new(ErrorKind::Timeout, self.inner.name(), format!("{what}: no answer within {seconds} s"))
    }

    async fn bound<T>(&self, what: &str, call: impl Future<Output = Result<T, Error>> + Send) -> Result<T, Error> {
        timeout(self.limit, call).await.unwrap_or_else(|_| Err(self.late(what)))
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<P: DnsProvider> DnsProvider for Deadline<P> {
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
        self.bound("listing the zones", self.inner.zones(apex)).await
    }

    async fn create_zone(&self, apex: &Fqdn) -> Result<Zone, Error> {
        self.bound("creating the zone", self.inner.create_zone(apex)).await
    }

    async fn delete_zone(&self, zone: &ZoneId) -> Result<(), Error> {
        self.bound("deleting the zone", self.inner.delete_zone(zone)).await
    }

    async fn read_page(&self, zone: &ZoneId, cursor: Option<&Cursor>) -> Result<Page, Error> {
        self.bound("reading a page of the zone", self.inner.read_page(zone, cursor)).await
    }

    async fn read_names(&self, zone: &ZoneId, names: &[Fqdn]) -> Result<Snapshot, Error> {
        self.bound("reading names of the zone", self.inner.read_names(zone, names)).await
    }

    async fn apply(&self, zone: &ZoneId, changes: &ChangeSet, context: &ApplyContext) -> Result<Applied, Error> {
        match timeout(self.limit, self.inner.apply(zone, changes, context)).await {
            Ok(applied) => applied,
            Err(_) => Ok(Applied::all(changes, |key| Outcome::Unknown(self.late("writing").with_key(key)))),
        }
    }

    async fn watch(&self, zone: &ZoneId, since: &Version) -> Result<WatchStream, Error> {
        self.bound("watching the zone", self.inner.watch(zone, since)).await
    }
}
