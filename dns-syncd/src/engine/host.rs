//! One zone at its provider, and the calls that the engine makes.

use std::sync::Arc;
use std::time::Duration;

use dnsprovider::chunk::Packer;
use dnsprovider::{
    Applied, ApplyContext, Capabilities, ChangeSet, Chunked, Cursor, DnsProvider, DnsProviderExt as _, Error,
    ErrorKind, Fqdn, Lane, Outcome, Page, Snapshot, Unit, Version, WatchStream, Zone, ZoneId,
};
use tokio::time::Instant;

use super::deadline::Deadline;
use super::metrics::Metrics;
use super::observe::Observed;
use crate::leader::{Leader, Permit};

/// The longest that one call may take.
const CALL_LIMIT: Duration = Duration::from_mins(1);
/// The longest that a batch may go on sending calls, bisections included.
const WRITE_LIMIT: Duration = Duration::from_secs(30);

/// Which zone, and whether it may be created.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZoneChoice {
    /// Its apex.
    pub apex: Option<Fqdn>,
    /// Its id at the provider, needed where several share an apex.
    pub id: Option<ZoneId>,
    /// Create it where the provider does not have it; needs the apex.
    pub create: bool,
}

impl ZoneChoice {
    /// The zone where the provider has it; `None` where it does not and may be created.
    ///
    /// # Errors
    /// As [`dnsprovider::DnsProviderExt::find_zone`].
    pub async fn find(&self, provider: &Arc<dyn DnsProvider>) -> Result<Option<Zone>, Error> {
        let provider = Deadline::new(provider.clone(), CALL_LIMIT);
        match provider.find_zone(self.apex.as_ref(), self.id.as_ref()).await {
            Ok(zone) => Ok(Some(zone)),
            Err(error) if error.kind() == ErrorKind::ZoneNotFound && self.create && self.apex.is_some() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The zone, created where it may be.
    ///
    /// # Errors
    /// As [`ZoneChoice::find`] and [`DnsProvider::create_zone`].
    pub async fn open(&self, provider: &Arc<dyn DnsProvider>) -> Result<Zone, Error> {
        match (self.find(provider).await?, &self.apex) {
            (Some(zone), _) => Ok(zone),
            (None, Some(apex)) => {
                tracing::info!(zone = %apex, "creating the zone");
                Deadline::new(provider.clone(), CALL_LIMIT).create_zone(apex).await
            }
            (None, None) => Err(Error::new(ErrorKind::ZoneNotFound, provider.name(), "there is no name to create")),
        }
    }
}

/// One zone at its provider.
#[derive(Clone, Debug)]
pub(super) struct Host {
    provider: Chunked<Observed<Deadline<Arc<dyn DnsProvider>>>>,
    zone: Zone,
    leader: Leader,
}

impl Host {
    pub(super) fn new(provider: Arc<dyn DnsProvider>, zone: Zone, metrics: Arc<Metrics>) -> Self {
        // Below the chunks, so that each call that the host sees is counted.
        let provider = Chunked::new(Observed::new(Deadline::new(provider, CALL_LIMIT), metrics));
        Self { provider, zone, leader: Leader::alone() }
    }

    /// Writes only while this process leads.
    pub(super) fn with_leader(mut self, leader: Leader) -> Self {
        self.leader = leader;
        self
    }

    pub(super) fn leader(&self) -> &Leader {
        &self.leader
    }

    pub(super) fn capabilities(&self) -> Capabilities {
        self.provider.capabilities()
    }

    pub(super) fn provider_name(&self) -> &'static str {
        self.provider.name()
    }

    /// Asks of one unit after the other whether it still fits into one call.
    pub(super) fn packing(&self) -> impl FnMut(&Unit) -> bool {
        let mut packer = Packer::new(&self.capabilities());
        move |unit| packer.add(self.provider.cost(unit))
    }

    pub(super) async fn read_zone(&self) -> Result<Snapshot, Error> {
        self.provider.read_zone(&self.zone.id).await
    }

    pub(super) async fn read_page(&self, cursor: Option<&Cursor>) -> Result<Page, Error> {
        self.provider.read_page(&self.zone.id, cursor).await
    }

    pub(super) async fn read_names(&self, names: &[Fqdn]) -> Result<Snapshot, Error> {
        self.provider.read_names(&self.zone.id, names).await
    }

    pub(super) async fn watch(&self, since: &Version) -> Result<WatchStream, Error> {
        self.provider.watch(&self.zone.id, since).await
    }

    /// Asks the host to make the changes true, as long as this process leads.
    pub(super) async fn apply(&self, changes: &ChangeSet, lane: Lane) -> Result<Applied, Error> {
        match self.leader.permit() {
            Some(permit) => self.provider.apply(&self.zone.id, changes, &write_context(permit, lane)).await,
            None => Ok(Applied::all(changes, |_| Outcome::NotTried)),
        }
    }
}

/// Under which conditions a batch may be sent, from now on.
fn write_context(permit: Permit, lane: Lane) -> ApplyContext {
    let end = Instant::now() + WRITE_LIMIT;
    ApplyContext {
        fence: permit.fence.clone(),
        time_left: Some(Arc::new(move || end.saturating_duration_since(Instant::now()).min(permit.time_left()))),
        lane,
    }
}
