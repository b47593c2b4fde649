//! Amazon Route 53: hosted zones over the AWS SDK.
//!
//! A batch is one call and all or nothing. Each change in it is exact: what stood there is deleted as it was read, what
//! shall stand there is created, and a set that somebody changed meanwhile makes the host refuse the batch, which is
//! told as a conflict of that set. There are no claims at the host: callers keep them in TXT sets.
//!
//! Aliases, sets with a routing policy or identifier, and types that are not modelled are read as opaque and never
//! written. See `convert` for names and values, `refusal` for what a refused batch says, `error` for the table of errors.
//!
//! The account grants five calls a second for everything and all zones; the clones of one value share that budget.

mod client;
mod config;
mod convert;
mod error;
mod read;
mod refusal;
#[cfg(test)]
mod tests;
mod write;
mod zones;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use aws_sdk_route53::Client;
use aws_sdk_route53::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use dnsprovider::capabilities::{Atomicity, Granularity, Limits, Operation as Kind, Rate};
use dnsprovider::{
    Applied, ApplyContext, Capabilities, ChangeSet, Cost, Cursor, DnsProvider, Error, ErrorKind, Fqdn, Page, RrType,
    Snapshot, TimeLeft, Ttl, Unit, Version, WatchStream, Zone, ZoneId,
};

pub use self::config::{AccessKey, Options, SCHEMA};

use self::error::{NAME, Operation, error};
use crate::cloud::{Bucket, Call, Failure, Turn};
use crate::registry::{Opened, ProviderConfig};

/// `ResourceRecord` elements of one batch. Source:
/// <https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DNSLimitations.html#limits-api-requests-changeresourcerecordsets>.
const BATCH_VALUES: u64 = 1000;
/// Characters of all values of one batch. Source: as above.
const BATCH_CHARACTERS: u64 = 32_000;
/// Values of one set. Source: <https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DNSLimitations.html#limits-api-entities-records>.
const RECORDS_PER_SET: usize = 400;
/// Sets of one zone where it cannot be asked how many AWS granted. Source: as above.
const SETS_PER_ZONE: u64 = 10_000;
/// Calls at once after a pause: with more than one a second could see more than it grants.
const BURST: u32 = 1;
/// A bulk change, with all that follows when it is throttled or halved, and an urgent one beside it. While the host is at
/// a change of a zone it refuses another (`PriorRequestNotComplete`), which then goes again.
const CONCURRENT_WRITES: usize = 2;
/// The longest zone id. Source: the service model, `ResourceId`.
const ID_CHARACTERS: usize = 32;

/// Opens the backend as the registry asks for it. No call is made: credentials and zones show with the first.
///
/// # Errors
/// - [`ErrorKind::ConfigInvalid`] for a wrong file, or a secret file that cannot be read.
pub async fn open(config: ProviderConfig) -> Result<Opened, Error> {
    let config = config.read(&SCHEMA).map_err(|error| error.of_provider(NAME))?;
    Ok(Opened::new(Arc::new(Route53::new(&Options::read(&config)?).await?)))
}

/// Route 53 as one account sees it. Clones share the budget of calls.
#[derive(Clone)]
pub struct Route53 {
    client: Client,
    bucket: Bucket,
    calls_per_second: f64,
    /// Names of the zones seen so far. An id never changes its name.
    apexes: Arc<Mutex<BTreeMap<ZoneId, Fqdn>>>,
    quota: Arc<Mutex<Quota>>,
}

/// How many sets the zone that was read last may hold.
struct Quota {
    /// Whose it is; `None` where it is still to be asked for.
    zone: Option<ZoneId>,
    sets: u64,
}

impl Default for Quota {
    fn default() -> Self {
        Self { zone: None, sets: SETS_PER_ZONE }
    }
}

impl Route53 {
    /// Reads the environment and the AWS config files as the options say; calls nobody.
    ///
    /// # Errors
    /// - [`ErrorKind::ConfigInvalid`] when the file of the secret cannot be read.
    pub async fn new(options: &Options) -> Result<Self, Error> {
        Ok(Self::over(client::client(options).await?, options))
    }

    fn over(client: Client, options: &Options) -> Self {
        let per_second = options.calls_per_second;
        // Which operation it names does not matter: one bucket is for all.
        let bucket = Bucket::new(Rate { operation: Kind::List, per_second, burst: BURST });
        Self { client, bucket, calls_per_second: per_second, apexes: Arc::default(), quota: Arc::default() }
    }

    /// Sends a request until it is settled.
    async fn send<T, E, F>(
        &self,
        operation: Operation,
        turn: Turn,
        repeatable: bool,
        time_left: Option<&TimeLeft>,
        request: impl FnMut() -> F + Send,
    ) -> Result<T, Failure>
    where
        T: Send,
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
    {
        let read = |answer: Result<T, _>| answer.map_err(|cause| error::failure(operation, cause));
        self.send_or(operation, turn, repeatable, time_left, request, read).await
    }

    /// As [`Route53::send`], with another reading of the answer.
    async fn send_or<T, R, F>(
        &self,
        operation: Operation,
        turn: Turn,
        repeatable: bool,
        time_left: Option<&TimeLeft>,
        mut request: impl FnMut() -> F + Send,
        read: impl Fn(R) -> Result<T, Failure> + Send + Sync,
    ) -> Result<T, Failure>
    where
        T: Send,
        F: Future<Output = R> + Send,
    {
        let call = Call { provider: NAME, what: operation.what(), buckets: &[&self.bucket], turn, repeatable };
        let attempt = || {
            let request = Box::pin(request());
            async { read(request.await) }
        };
        call.send(time_left, attempt).await
    }

    /// The name of a zone, asked for once.
    async fn apex(&self, zone: &ZoneId, time_left: Option<&TimeLeft>) -> Result<Fqdn, Failure> {
        if let Some(apex) = self.known(zone) {
            return Ok(apex);
        }
        let apex = self.apex_of(zone, time_left).await?;
        self.know(zone, &apex);
        Ok(apex)
    }

    fn known(&self, zone: &ZoneId) -> Option<Fqdn> {
        self.lock().get(zone).cloned()
    }

    fn know(&self, zone: &ZoneId, apex: &Fqdn) {
        self.lock().insert(zone.clone(), apex.clone());
    }

    fn forget(&self, zone: &ZoneId) {
        self.lock().remove(zone);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ZoneId, Fqdn>> {
        self.apexes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn quota(&self) -> MutexGuard<'_, Quota> {
        self.quota.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names the zone in an error; without its name the id stands in the message.
    fn of_zone(&self, zone: &ZoneId, error: Error) -> Error {
        match self.known(zone) {
            Some(apex) => error.with_zone(&apex),
            None => error,
        }
    }
}

/// The id of a zone as it is sent. What cannot be one names no zone, and the host is not asked.
fn id(zone: &ZoneId) -> Result<&str, Failure> {
    let id = &*zone.0;
    if id.is_empty() || id.len() > ID_CHARACTERS || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        let why = format!("there is no zone with id `{zone}`; hint: ids of Route 53 look like `Z0123456789ABCDEFGHIJ`");
        return Err(Failure::not_done(error(ErrorKind::ZoneNotFound, why)));
    }
    Ok(id)
}

impl std::fmt::Debug for Route53 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Route53").field("calls_per_second", &self.calls_per_second).finish_non_exhaustive()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl DnsProvider for Route53 {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        let rate = |operation| Rate { operation, per_second: self.calls_per_second, burst: BURST };
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
            granularity: Granularity::Set,
            // One budget for all of them.
            rates: [Kind::List, Kind::Get, Kind::Create, Kind::Update, Kind::Delete].map(rate).into(),
            concurrent_writes: CONCURRENT_WRITES,
            limits: Limits {
                batch: Cost { values: BATCH_VALUES, octets: BATCH_CHARACTERS, ..Cost::UNLIMITED },
                overhead: Cost::default(),
                records_per_set: Some(RECORDS_PER_SET),
                credit_octets: None,
                sets_per_zone: Some(self.quota().sets),
                // Source: the service model, `TTL`, 0 to 2147483647.
                min_ttl: Ttl::from_secs(0).expect("0 is a TTL"),
                max_ttl: Ttl::MAX,
            },
        }
    }

    /// Values and their characters as they are sent: an update costs what stands there and what shall stand there.
    fn cost(&self, unit: &Unit) -> Cost {
        write::cost(unit)
    }

    async fn zones(&self, apex: Option<&Fqdn>) -> Result<Vec<Zone>, Error> {
        let listed = match apex {
            Some(apex) => self.zones_of(apex).await.map_err(|error| error.with_zone(apex))?,
            None => self.all_zones().await?,
        };
        listed.iter().map(|zone| self.remember(zone)).collect()
    }

    /// Creates a public zone, unless there is one: the host would make a second.
    async fn create_zone(&self, apex: &Fqdn) -> Result<Zone, Error> {
        self.create(apex).await.map_err(|error| error.with_zone(apex))
    }

    async fn delete_zone(&self, zone: &ZoneId) -> Result<(), Error> {
        self.delete(zone).await.map_err(|error| self.of_zone(zone, error))
    }

    async fn read_page(&self, zone: &ZoneId, cursor: Option<&Cursor>) -> Result<Page, Error> {
        self.page(zone, cursor).await.map_err(|error| self.of_zone(zone, error))
    }

    async fn read_names(&self, zone: &ZoneId, names: &[Fqdn]) -> Result<Snapshot, Error> {
        self.names(zone, names).await.map_err(|error| self.of_zone(zone, error))
    }

    async fn apply(&self, zone: &ZoneId, changes: &ChangeSet, context: &ApplyContext) -> Result<Applied, Error> {
        if changes.is_empty() {
            return Ok(Applied::default());
        }
        self.apply_batch(zone, changes, context).await.map_err(|error| self.of_zone(zone, error))
    }

    async fn watch(&self, _: &ZoneId, _: &Version) -> Result<WatchStream, Error> {
        Err(error(ErrorKind::Unsupported, "watching a zone: Route 53 tells of no changes"))
    }
}
