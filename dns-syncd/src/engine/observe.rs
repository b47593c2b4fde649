//! A provider of which every call is counted and timed.

use std::sync::Arc;

use async_trait::async_trait;
use dnsprovider::{
    Applied, ApplyContext, Capabilities, ChangeSet, Cost, Cursor, DnsProvider, Error, Fqdn, Page, Snapshot, Unit,
    Version, WatchStream, Zone, ZoneId,
};
use tokio::time::Instant;

use super::metrics::Metrics;

/// Counts and times the calls of the provider inside.
#[derive(Clone, Debug)]
pub(super) struct Observed<P> {
    inner: P,
    metrics: Arc<Metrics>,
}

impl<P: DnsProvider> Observed<P> {
    pub(super) fn new(inner: P, metrics: Arc<Metrics>) -> Self {
        Self { inner, metrics }
    }

    async fn note<T>(
        &self,
        call: &'static str,
        answer: impl Future<Output = Result<T, Error>> + Send,
    ) -> Result<T, Error> {
        let begun = Instant::now();
        let answer = answer.await;
        let (error, length) = (answer.as_ref().err().map(Error::kind), begun.elapsed());
        self.metrics.called(call, error, length);
        tracing::debug!(call, ?error, ?length, "called the host");
        answer
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<P: DnsProvider> DnsProvider for Observed<P> {
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
        self.note("zones", self.inner.zones(apex)).await
    }

    async fn create_zone(&self, apex: &Fqdn) -> Result<Zone, Error> {
        self.note("create_zone", self.inner.create_zone(apex)).await
    }

    async fn delete_zone(&self, zone: &ZoneId) -> Result<(), Error> {
        self.note("delete_zone", self.inner.delete_zone(zone)).await
    }

    async fn read_page(&self, zone: &ZoneId, cursor: Option<&Cursor>) -> Result<Page, Error> {
        self.note("read_page", self.inner.read_page(zone, cursor)).await
    }

    async fn read_names(&self, zone: &ZoneId, names: &[Fqdn]) -> Result<Snapshot, Error> {
        self.note("read_names", self.inner.read_names(zone, names)).await
    }

    async fn apply(&self, zone: &ZoneId, changes: &ChangeSet, context: &ApplyContext) -> Result<Applied, Error> {
        self.note("apply", self.inner.apply(zone, changes, context)).await
    }

    async fn watch(&self, zone: &ZoneId, since: &Version) -> Result<WatchStream, Error> {
        self.note("watch", self.inner.watch(zone, since)).await
    }
}
