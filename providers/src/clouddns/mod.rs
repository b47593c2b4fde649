//! Google Cloud DNS, by its v1 interface.
//!
//! A batch is one `changes.create`: the sets that stand there, exactly as they were read, go, and others come, all or
//! nothing. A set that stands otherwise by now is a conflict; the answer names it. Its quotas, as the project reports
//! them, are the limits of a batch. Claims are not stored with sets.
//!
//! A change is answered when the service has taken it (`pending`); its name servers follow in a moment, and reads see it
//! at once. Sets with a routing policy and types that are not modelled are read as opaque data and never written.
//!
//! `token` gives the tokens of federation v1's `token-url`, `credential` all others; `error` has the table of errors;
//! `docs/clouddns.md` tells operators what they need.

mod api;
mod blame;
mod config;
mod convert;
mod credential;
mod error;
mod quota;
mod read;
mod token;
mod write;
mod zones;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use dnsprovider::capabilities::{Atomicity, Granularity, Limits};
use dnsprovider::{
    Applied, ApplyContext, Capabilities, ChangeSet, Cost, Cursor, DnsProvider, Error, ErrorKind, Fqdn, Outcome, Page,
    RrType, Snapshot, TimeLeft, Unit, Version, WatchStream, Zone, ZoneId,
};
use tokio::time::Instant;

pub use self::config::{Login, Options, Rates, SCHEMA};

use self::api::{Api, Way};
use self::error::{Asking, NAME, error};
use self::quota::Quotas;
use crate::cloud::Turn;
use crate::registry::{Opened, ProviderConfig};

/// A bulk change and an urgent one beside it. The service makes the changes of a zone one after another.
const CONCURRENT_WRITES: usize = 2;
/// Quotas are worth so long a wait before the first call; without them the defaults do.
const QUOTA_PATIENCE: Duration = Duration::from_secs(5);
/// Quotas that could not be read are asked for again after this time.
const QUOTA_AGAIN: Duration = Duration::from_mins(1);
/// Quotas that were read are taken for true for this time.
const QUOTA_LASTS: Duration = Duration::from_hours(1);

/// Opens the backend as the registry asks for it. Nothing is sent: the first call connects.
///
/// # Errors
/// - [`ErrorKind::ConfigInvalid`] for a wrong file, or a key file that is missing or wrong.
pub async fn open(config: ProviderConfig) -> Result<Opened, Error> {
    let config = config.read(&SCHEMA).map_err(|error| error.of_provider(NAME))?;
    let provider = CloudDns::new(Options::read(&config)?)?;
    Ok(Opened::new(Arc::new(provider)))
}

/// A project's Cloud DNS.
#[derive(Debug)]
pub struct CloudDns {
    api: Api,
    rates: Rates,
    quotas: Mutex<Quotas>,
    learning: tokio::sync::Mutex<Learning>,
    apexes: Mutex<BTreeMap<ZoneId, Fqdn>>,
}

/// What is known of the project's quotas.
#[derive(Debug, Default)]
struct Learning {
    settled: Option<Instant>,
    tried: Option<Instant>,
    doubted: Option<Instant>,
}

impl CloudDns {
    /// The Cloud DNS of a project. Connects with the first call, where the project is chosen too and its quotas are read.
    ///
    /// # Errors
    /// - [`ErrorKind::ConfigInvalid`] when the key file is missing or wrong.
    pub fn new(options: Options) -> Result<Self, Error> {
        credential::check(&options.login)?;
        Ok(Self {
            rates: options.rates,
            api: Api::new(options),
            quotas: Mutex::default(),
            learning: tokio::sync::Mutex::default(),
            apexes: Mutex::default(),
        })
    }

    /// Reads the quotas, once an hour, since somebody may be granted more; a caller who may not read them, or not now, goes on with those of new projects.
    async fn learn_quotas(&self) {
        let mut learning = self.learning.lock().await;
        let recently = learning.tried.is_some_and(|tried| tried.elapsed() < QUOTA_AGAIN);
        if learning.settled.is_some_and(|at| at.elapsed() < QUOTA_LASTS) || recently {
            return;
        }
        learning.tried = Some(Instant::now());
        let asking = Asking { what: "reading the quotas", right: "dns.projects.get", zone: None };
        let end = Instant::now() + QUOTA_PATIENCE;
        let time_left: TimeLeft = Arc::new(move || end.saturating_duration_since(Instant::now()));
        let request = self.api.ask(&asking, Way::Read(Turn::Point), Some(&time_left), |clients| {
            let get = clients.projects.get().set_project(&clients.project);
            async move { get.send().await }
        });
        let trouble = match tokio::time::timeout(QUOTA_PATIENCE, request).await {
            Ok(Ok(project)) => {
                learning.settled = Some(Instant::now());
                let quotas = project.quota.as_ref().map(Quotas::reported).unwrap_or_default();
                *self.quotas.lock().unwrap_or_else(PoisonError::into_inner) = quotas;
                return;
            }
            Ok(Err(refusal)) => refusal.failure.error,
            Err(_) => error(ErrorKind::Timeout, "reading the quotas: no answer in time"),
        };
        if trouble.kind() == ErrorKind::PermissionDenied {
            learning.settled = Some(Instant::now());
            tracing::warn!(error = trouble.chain(), "assuming the quotas of a new project");
        } else {
            tracing::debug!(error = trouble.chain(), "the quotas are not known yet");
        }
    }

    /// The service refused what the known quotas allow: they are read again before the next call.
    fn quotas_have_changed(&self) {
        // A full zone is refused with the same reason, often: a new look helps once.
        if let Ok(mut learning) = self.learning.try_lock()
            && learning.doubted.is_none_or(|doubted| doubted.elapsed() >= QUOTA_AGAIN)
        {
            *learning = Learning { doubted: Some(Instant::now()), ..Learning::default() };
        }
    }

    fn limits(&self) -> Limits {
        self.quotas.lock().unwrap_or_else(PoisonError::into_inner).limits()
    }

    fn able(&self) -> Capabilities {
        Capabilities {
            record_types: BTreeSet::from([RrType::A, RrType::Aaaa, RrType::Cname, RrType::Txt]),
            atomicity: Atomicity::Batch,
            conditional_writes: true,
            enumeration: true,
            claims: false,
            shared_sets: false,
            answers_subtree: false,
            watch: false,
            manages_zones: true,
            // Most refusals name their sets, but none has to.
            granularity: Granularity::Batch,
            rates: api::rates(&self.rates),
            concurrent_writes: CONCURRENT_WRITES,
            limits: self.limits(),
        }
    }

    fn apexes(&self) -> MutexGuard<'_, BTreeMap<ZoneId, Fqdn>> {
        self.apexes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the zone to an error, and forgets a zone that is gone.
    fn about(&self, zone: &ZoneId, apex: &Fqdn, error: Error) -> Error {
        if error.kind() == ErrorKind::ZoneNotFound {
            self.apexes().remove(zone);
        }
        error.with_zone(apex)
    }
}

#[async_trait]
impl DnsProvider for CloudDns {
    fn name(&self) -> &'static str {
        NAME
    }

    /// Limits are those of new projects until the first call has read the project's own.
    fn capabilities(&self) -> Capabilities {
        self.able()
    }

    /// `sets` are the additions, `operations` the deletions, `octets` the record data of both: an update costs one of
    /// each. A create of two IPv4 addresses costs one set and at most 30 octets.
    fn cost(&self, unit: &Unit) -> Cost {
        write::cost(unit)
    }

    /// One call for a thousand zones, and one for the quotas the first time.
    async fn zones(&self, apex: Option<&Fqdn>) -> Result<Vec<Zone>, Error> {
        self.learn_quotas().await;
        self.list_zones(apex).await
    }

    async fn create_zone(&self, apex: &Fqdn) -> Result<Zone, Error> {
        self.make_zone(apex).await
    }

    async fn delete_zone(&self, zone: &ZoneId) -> Result<(), Error> {
        self.drop_zone(zone).await
    }

    /// A page is one call, from the second on two.
    async fn read_page(&self, zone: &ZoneId, cursor: Option<&Cursor>) -> Result<Page, Error> {
        self.learn_quotas().await;
        let apex = self.apex(zone).await?;
        self.page(zone, cursor).await.map_err(|error| self.about(zone, &apex, error))
    }

    /// One call for each name, several at a time.
    async fn read_names(&self, zone: &ZoneId, names: &[Fqdn]) -> Result<Snapshot, Error> {
        self.learn_quotas().await;
        let apex = self.apex(zone).await?;
        self.names(zone, &apex, names).await.map_err(|error| self.about(zone, &apex, error))
    }

    async fn apply(&self, zone: &ZoneId, changes: &ChangeSet, context: &ApplyContext) -> Result<Applied, Error> {
        if changes.is_empty() || context.is_over() {
            return Ok(Applied::all(changes, |_| Outcome::NotTried));
        }
        let apex = self.apex(zone).await?;
        self.learn_quotas().await;
        self.apply_batch(zone, &apex, changes, context).await.map_err(|error| self.about(zone, &apex, error))
    }

    async fn watch(&self, zone: &ZoneId, _since: &Version) -> Result<WatchStream, Error> {
        let apex = self.apex(zone).await?;
        Err(error(ErrorKind::Unsupported, "watching the zone: Cloud DNS cannot").with_zone(&apex))
    }
}
