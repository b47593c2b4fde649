//! CoreDNS on etcd v3: the zone is what lies under a path of the store, CoreDNS's `etcd` plugin answers from it.
//!
//! The layout is that of federation v1 for addresses: one key for each record below the key of its name, named by a
//! hash of the record, with `host`, `ttl` and the owner name as `group`. A CNAME is one key exactly at its name, where
//! CNAME queries find it. Each key of ours carries its claim and the clusters credited with its record; CoreDNS ignores
//! that. v1's own keys, its CNAMEs below their names included, are read as sets without a claim, and a change to such a
//! set replaces its keys.
//!
//! A batch is one transaction, guarded by everything that was read of each of its names. See `plan` for the guards and
//! what they cost, `apply` for the steps of a write, `convert` for what keys of others mean. Keys of our own that are
//! not DNS data (leadership) lie under `/dns-syncd/`, outside the path of the zones.
//!
//! After [`Outcome::Done`](dnsprovider::Outcome::Done) all sets at that name are known as of the version's revision:
//! the guard covers the whole name. A caller that keeps sets it did not change should raise their `revision` with it,
//! or the next change to them conflicts and needs a read.

mod api;
mod apply;
mod config;
mod convert;
mod credential;
mod crowd;
mod error;
mod later;
mod leadership;
mod place;
mod plan;
mod read;
mod short;
#[cfg(test)]
mod tests;
mod watch;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use dnsprovider::capabilities::{Atomicity, Granularity, Limits};
use dnsprovider::{
    Applied, ApplyContext, Capabilities, Change, ChangeSet, Cost, Cursor, DnsProvider, Error, ErrorKind, Fqdn, Page,
    RrType, Snapshot, Ttl, Unit, Version, WatchStream, Zone, ZoneId,
};

pub use self::config::{Options, SCHEMA, TlsFiles};
pub use self::leadership::{LeaderKey, LeaderSeat};

use self::api::Api;
use self::crowd::Crowd;
use self::error::{NAME, error};
use self::read::Ahead;
use self::wire::Layout;
use crate::registry::{OpenMode, Opened, ProviderConfig};

/// Compares and operations of one transaction, each. Source: etcd `--max-txn-ops`, default 128.
const MAX_OPERATIONS: u64 = 128;
/// Octets of one request: etcd's `--max-request-bytes`, default 1.5 MiB, less what surrounds the keys.
const MAX_OCTETS: u64 = (3 << 19) - (64 << 10);
/// A batch with a CNAME that gives way to addresses takes `settle`, so many must be able to wait side by side: with 40
/// such names in each, 64 batches of 5 s are 500 names a second.
const CONCURRENT_WRITES: usize = 64;
/// A batch is never made smaller than this, whatever a server says.
const MIN_OPERATIONS: u64 = 8;

/// Opens the backend as the registry asks for it.
///
/// # Errors
/// - [`ErrorKind::ConfigInvalid`] for a wrong file or unreadable TLS files.
/// - [`ErrorKind::Unavailable`] when no endpoint answers, but for a daemon, which waits for one; [`ErrorKind::Unauthenticated`] for a wrong login.
pub async fn open(config: ProviderConfig) -> Result<Opened, Error> {
    let mode = config.mode;
    let config = config.read(&SCHEMA).map_err(|error| error.of_provider(NAME))?;
    let options = Options::read(&config)?;
    let endpoints = options.coredns_endpoints.clone();
    let mut opened = Opened::new(Arc::new(connect_or_wait(options, mode).await?));
    opened.endpoints = endpoints;
    Ok(opened)
}

/// Connects; a daemon goes on without an etcd that cannot be reached now, and its first read tries again.
async fn connect_or_wait(options: Options, mode: OpenMode) -> Result<CoreDns, Error> {
    match CoreDns::connect(options.clone()).await {
        Err(error)
            if mode == OpenMode::Serve && matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout) =>
        {
            tracing::warn!(error = error.chain(), "going on without etcd until it can be reached");
            CoreDns::unconnected(options)
        }
        connected => connected,
    }
}

/// An etcd from which CoreDNS answers.
#[derive(Debug)]
pub struct CoreDns {
    api: Arc<Api>,
    ahead: Ahead,
    crowd: Crowd,
    layouts: Vec<Layout>,
    max_operations: AtomicU64,
    max_octets: AtomicU64,
}

impl CoreDns {
    /// Connects, and reads one key of the first zone to see that it may.
    ///
    /// # Errors
    /// As [`open`]; [`ErrorKind::PermissionDenied`] when the login may not read the zone.
    pub async fn connect(options: Options) -> Result<Self, Error> {
        let provider = Self::unconnected(options)?;
        let Some(first) = provider.layouts.first() else {
            return Err(error(ErrorKind::ConfigInvalid, "Need to provide at least one DNS Zone"));
        };
        let probe = etcd_client::GetOptions::new().with_keys_only();
        provider.api.get(first.path.as_bytes(), &probe).await.map_err(|failure| failure.error)?;
        Ok(provider)
    }

    /// Connects with the first call.
    ///
    /// # Errors
    /// - [`ErrorKind::ConfigInvalid`] when a zone's name cannot be a key.
    pub fn unconnected(options: Options) -> Result<Self, Error> {
        let layout = |zone: &Fqdn| {
            Layout::new(&options.path_prefix, zone, &options.zones).ok_or_else(|| {
                error(ErrorKind::ConfigInvalid, format!("opening the zone `{zone}`, whose name no etcd key can hold"))
            })
        };
        let layouts = options.zones.iter().map(layout).collect::<Result<_, _>>()?;
        Ok(Self {
            api: Arc::new(Api::new(options)),
            ahead: Ahead::default(),
            crowd: Crowd::default(),
            layouts,
            max_operations: AtomicU64::new(MAX_OPERATIONS),
            max_octets: AtomicU64::new(MAX_OCTETS),
        })
    }

    /// CoreDNS servers that answer from this store, as the config names them.
    pub fn coredns_endpoints(&self) -> &[SocketAddr] {
        &self.api.options().coredns_endpoints
    }

    fn layout(&self, zone: &ZoneId) -> Result<&Layout, Error> {
        let place = zone.0.parse::<usize>().ok().filter(|place| place.to_string() == *zone.0);
        place.and_then(|place| self.layouts.get(place)).ok_or_else(|| {
            let count = self.layouts.len();
            error(
                ErrorKind::ZoneNotFound,
                format!("there is no zone with id `{zone}`; the config lists {count}, from `0` on"),
            )
        })
    }

    fn limits(&self) -> Limits {
        let operations = self.max_operations.load(Ordering::Relaxed);
        Limits {
            batch: Cost {
                operations,
                compares: operations,
                octets: self.max_octets.load(Ordering::Relaxed),
                ..Cost::UNLIMITED
            },
            // The compare on a fence, and the read that tells when it was the fence.
            overhead: Cost { compares: 1, octets: 512, ..Cost::default() },
            // A and AAAA of one name in one unit: every old leaf is compared, beside the name (3) and the fence.
            records_per_set: usize::try_from((operations - 4) / 2).ok(),
            credit_octets: None,
            sets_per_zone: None,
            min_ttl: Ttl::from_secs(1).expect("1 is a TTL"),
            max_ttl: Ttl::MAX,
        }
    }

    /// The server takes smaller transactions than assumed.
    fn learn_operations(&self, allowed: u64) {
        self.max_operations.fetch_min(allowed.max(MIN_OPERATIONS), Ordering::Relaxed);
    }

    fn learn_octets(&self, allowed: u64) {
        self.max_octets.fetch_min(allowed.max(16 << 10), Ordering::Relaxed);
    }
}

#[async_trait]
impl DnsProvider for CoreDns {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            record_types: BTreeSet::from([RrType::A, RrType::Aaaa, RrType::Cname, RrType::Txt]),
            atomicity: Atomicity::Batch,
            conditional_writes: true,
            enumeration: true,
            claims: true,
            shared_sets: true,
            answers_subtree: true,
            watch: true,
            manages_zones: false,
            granularity: Granularity::Set,
            rates: Vec::new(),
            concurrent_writes: CONCURRENT_WRITES,
            limits: self.limits(),
        }
    }

    /// For each name of the unit the compares of `plan`'s table, its puts and its deletes.
    ///
    /// A name created with n records costs 2 compares and n operations, one that goes n of each: 63 names with two
    /// addresses in a transaction.
    /// The deletes of a set that does not fit in one transaction, and a CNAME that gives way to addresses, are not
    /// counted: they are done in later transactions of the same call, which takes [`Options::settle`] longer.
    fn cost(&self, unit: &Unit) -> Cost {
        let limit = self.max_operations.load(Ordering::Relaxed);
        let cost = |owner: &Fqdn, changes: &[&Change]| {
            let layout = self.layouts.iter().find(|layout| layout.holds(owner))?;
            short::cost(layout, owner, changes, limit, &self.crowd)
        };
        // What cannot be planned is refused by `apply`, unsent.
        if let [change] = unit.changes.as_slice() {
            return cost(&change.key.owner, &[change]).unwrap_or_default();
        }
        let mut names = BTreeMap::<&Fqdn, Vec<&Change>>::new();
        for change in &unit.changes {
            names.entry(&change.key.owner).or_default().push(change);
        }
        names
            .into_iter()
            .filter_map(|(owner, changes)| cost(owner, &changes))
            .fold(Cost::default(), |sum, cost| sum + cost)
    }

    async fn zones(&self, apex: Option<&Fqdn>) -> Result<Vec<Zone>, Error> {
        let zone = |(place, layout): (usize, &Layout)| Zone {
            id: ZoneId(place.to_string().into()),
            apex: layout.apex.clone(),
            private: false,
        };
        let zones = self.layouts.iter().enumerate().map(zone);
        Ok(zones.filter(|zone| apex.is_none_or(|apex| zone.apex == *apex)).collect())
    }

    async fn create_zone(&self, apex: &Fqdn) -> Result<Zone, Error> {
        Err(error(ErrorKind::Unsupported, "creating a zone: list it in `zones` of the config").with_zone(apex))
    }

    async fn delete_zone(&self, zone: &ZoneId) -> Result<(), Error> {
        let layout = self.layout(zone)?;
        Err(error(ErrorKind::Unsupported, "deleting a zone: take it out of `zones` of the config")
            .with_zone(&layout.apex))
    }

    async fn read_page(&self, zone: &ZoneId, cursor: Option<&Cursor>) -> Result<Page, Error> {
        let layout = self.layout(zone)?;
        self.page(layout, cursor).await.map_err(|error| error.with_zone(&layout.apex))
    }

    async fn read_names(&self, zone: &ZoneId, names: &[Fqdn]) -> Result<Snapshot, Error> {
        let layout = self.layout(zone)?;
        self.names(layout, names).await.map_err(|error| error.with_zone(&layout.apex))
    }

    async fn apply(&self, zone: &ZoneId, changes: &ChangeSet, context: &ApplyContext) -> Result<Applied, Error> {
        let layout = self.layout(zone)?;
        self.apply_batch(layout, changes, context).await.map_err(|error| error.with_zone(&layout.apex))
    }

    async fn watch(&self, zone: &ZoneId, since: &Version) -> Result<WatchStream, Error> {
        let layout = self.layout(zone)?;
        self.watch_zone(layout.clone(), since).await.map_err(|error| error.with_zone(&layout.apex))
    }
}
