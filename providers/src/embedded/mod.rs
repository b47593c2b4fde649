//! An authoritative DNS server inside the daemon: no other DNS host is needed.
//!
//! Delegate the zone to the machines on which dns-syncd runs and give each this config:
//!
//! ```text
//! [Global]
//! zones = svc.example.com               ; the zones to serve
//! listen = 192.0.2.53:53                ; UDP and TCP; default 127.0.0.1:5300; may be a list
//! nameserver = ns1.example.com          ; for SOA and NS; default ns.<zone>
//! allow-transfer = 198.51.100.0/24      ; addresses and networks that may transfer the zones; default none
//! data-dir = /var/lib/dns-syncd         ; where the zones are kept; default in memory alone
//! ```
//!
//! - **Replicas** need no leader and no common disk: each computes the zone and serves it by itself. Name them all in the
//!   parent zone.
//! - **Before the zone is complete** queries get SERVFAIL, so that resolvers ask another server. It is complete with the
//!   first full view of the clusters, or at once when `data-dir` holds one that was complete.
//! - **`data-dir`** holds the records, the claims on them and the serial. One process writes to it at a time. A change is on
//!   the disk before it is answered.
//! - **Answers**: a change as a whole is in the next answer. Addresses take turns to stand first. That a name does not
//!   exist may be kept by resolvers for 30 seconds (the SOA minimum). ANY gets one set (RFC 8482). The serial grows with
//!   every change and is at least the Unix time of the start.
//! - **Not there**: DNSSEC, dynamic update, NOTIFY, TSIG. Secondaries poll the SOA and transfer the zone over TCP.
//! - Give real addresses in `listen`, not `0.0.0.0`, on a machine with several: UDP answers leave by the address that the
//!   system chooses.
//!
//! Messages are read and written by `hickory-proto`, the successor of `trust-dns-proto`, which is not maintained any more
//! (RUSTSEC-2025-0017). The sockets are ours: see `serve.rs` for why hickory's server does not fit.

mod answer;
mod config;
mod index;
mod persist;
mod saved;
mod serve;
mod wire;
mod zone;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use dnsprovider::capabilities::{Atomicity, Granularity, Limits};
use dnsprovider::{
    Applied, ApplyContext, Capabilities, ChangeSet, Cost, Cursor, DnsProvider, Error, ErrorKind, Fqdn, Outcome, Page,
    RrType, Snapshot, Unit, Version, WatchStream, Zone, ZoneId,
};
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::answer::Zones;
use self::persist::DataDir;
use self::serve::Sockets;
use self::zone::HostedZone;
use crate::{OpenMode, Opened, ProviderConfig, Served};

/// The provider's name in configs and errors.
const NAME: &str = "embedded";
/// Names in one page of a read.
const PAGE_NAMES: usize = 5000;
/// The most octets of a set in an answer, so that it fits into one message over TCP beside all else.
const MAX_SET_OCTETS: usize = 60_000;
/// The most records in a set: AAAA records of 28 octets within [`MAX_SET_OCTETS`].
const MAX_RECORDS: usize = 2000;

/// Opens the server, or its zones alone.
///
/// [`OpenMode::Serve`] takes the lock of the data-dir, loads it and listens. [`OpenMode::ReadWrite`] does so without
/// listening, and without a data-dir is refused: it would write into nothing. [`OpenMode::ReadOnly`] reads the data-dir
/// beside whoever holds the lock; without one the zones are empty.
///
/// # Errors
/// - [`ErrorKind::ConfigInvalid`] when the config is wrong or lacks what the mode needs.
/// - [`ErrorKind::Unavailable`] when another process holds the data-dir, it cannot be read or is damaged, or an address
///   is in use.
///
/// # Panics
/// To serve, outside a Tokio runtime with I/O and time.
pub async fn open(config: ProviderConfig) -> Result<Opened, Error> {
    let settings = config::settings(&config).map_err(|error| error.of_provider(NAME))?;
    if config.mode == OpenMode::ReadWrite && settings.data_dir.is_none() {
        let what =
            "[Global] needs `data-dir = …`: without it there is nothing to write to but a running daemon's memory";
        return Err(Error::new(ErrorKind::ConfigInvalid, NAME, format!("{}: {what}", config.file)));
    }
    let (folder, zones) = load(&settings, config.mode)?;
    let zones: Vec<_> = zones.into_iter().map(Arc::new).collect();
    let provider = EmbeddedProvider {
        zones: zones.iter().map(|zone| (id(&zone.apex), zone.clone())).collect(),
        mode: config.mode,
        _folder: folder.map(Arc::new),
    };
    if config.mode != OpenMode::Serve {
        // A daemon on this machine answers there, when one runs.
        let endpoints = settings.listen.iter().copied().filter(|address| address.port() != 0).map(reachable).collect();
        return Ok(Opened { endpoints, ..Opened::new(Arc::new(provider)) });
    }
    let mut sockets = Vec::new();
    for address in settings.listen {
        sockets.push(Sockets::bind(address).await.map_err(|error| {
            let message =
                format!("listening on `{address}` (UDP and TCP); hint: `listen = …` in [Global] of {}", config.file);
            Error::new(ErrorKind::Unavailable, NAME, message).with_source(error)
        })?);
    }
    let endpoints = sockets.iter().map(|bound| reachable(bound.address)).collect();
    let answered = Arc::new(Zones {
        by_apex: zones.iter().map(|zone| (wire::key(&zone.apex), zone.clone())).collect(),
        allow_transfer: settings.allow_transfer,
    });
    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    for bound in sockets {
        tracing::info!(address = %bound.address, "answering DNS queries");
        bound.serve(&answered, &stopped, &mut tasks);
    }
    let server = Server { zones, stop, tasks: Mutex::new(tasks) };
    Ok(Opened { provider: Arc::new(provider), endpoints, served: Some(Arc::new(server)) })
}

/// The zones as the data-dir has them, and the data-dir, which is locked unless it is only read.
fn load(settings: &config::Settings, mode: OpenMode) -> Result<(Option<DataDir>, Vec<HostedZone>), Error> {
    let writes = mode != OpenMode::ReadOnly;
    let folder = match &settings.data_dir {
        None => None,
        Some(path) if writes => Some(DataDir::lock(path).map_err(|error| unusable(path, error))?),
        Some(path) => Some(DataDir::read_only(path)),
    };
    let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let started = u32::try_from(started).unwrap_or(u32::MAX);
    let hosted = |apex: &Fqdn| -> io::Result<HostedZone> {
        let Some(folder) = &folder else {
            let header = persist::Header { serial: started, ..persist::Header::NEW };
            return Ok(HostedZone::new(
                dnsprovider::store::ZoneStore::new(NAME, apex.clone()),
                settings.nameserver.as_ref(),
                header,
                None,
            ));
        };
        let (store, mut header) = folder.load(NAME, apex)?;
        header.serial = header.serial.max(started);
        let disk = if writes { Some(folder.writer(&store, &header)?) } else { None };
        Ok(HostedZone::new(store, settings.nameserver.as_ref(), header, disk))
    };
    let zones: io::Result<Vec<_>> = settings.zones.iter().map(hosted).collect();
    let zones = zones.map_err(|error| unusable(settings.data_dir.as_deref().unwrap_or(Path::new("")), error))?;
    Ok((folder, zones))
}

fn unusable(path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, NAME, format!("opening the data-dir `{}`", path.display())).with_source(error)
}

/// Where this machine reaches a server that listens at `address`.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn id(apex: &Fqdn) -> ZoneId {
    ZoneId(apex.as_str().into())
}

//----------- Server ---------------------------------------------------------

/// The sockets and the gate before them. Dropping it closes them too, but does not wait for it.
#[derive(Debug)]
struct Server {
    zones: Vec<Arc<HostedZone>>,
    stop: watch::Sender<bool>,
    tasks: Mutex<JoinSet<()>>,
}

#[async_trait]
impl Served for Server {
    async fn set_ready(&self) -> Result<(), Error> {
        for zone in &self.zones {
            let zone = zone.clone();
            blocking(move || zone.set_ready()).await?;
        }
        Ok(())
    }

    fn is_ready(&self) -> bool {
        self.zones.iter().all(|zone| zone.is_ready())
    }

    async fn shutdown(&self) {
        self.stop.send_replace(true);
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        while tasks.join_next().await.is_some() {}
    }
}

/// Runs what waits for the disk beside the tasks that answer queries. Dropping the future does not stop it halfway.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Error::new(ErrorKind::Unavailable, NAME, "writing the zone").with_source(error)))
}

//----------- Provider -------------------------------------------------------

/// The zones of the server.
#[derive(Clone, Debug)]
struct EmbeddedProvider {
    zones: BTreeMap<ZoneId, Arc<HostedZone>>,
    mode: OpenMode,
    /// Holds the lock of the data-dir.
    _folder: Option<Arc<DataDir>>,
}

impl EmbeddedProvider {
    fn zone(&self, id: &ZoneId) -> Result<&Arc<HostedZone>, Error> {
        let missing = || Error::new(ErrorKind::ZoneNotFound, NAME, format!("there is no zone with id `{id}`"));
        self.zones.get(id).ok_or_else(missing)
    }
}

#[async_trait]
impl DnsProvider for EmbeddedProvider {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            record_types: [RrType::A, RrType::Aaaa, RrType::Cname, RrType::Txt].into(),
            atomicity: Atomicity::Batch,
            conditional_writes: true,
            enumeration: true,
            claims: true,
            shared_sets: false,
            answers_subtree: false,
            watch: false,
            manages_zones: false,
            granularity: Granularity::Set,
            rates: Vec::new(),
            concurrent_writes: 1,
            limits: Limits { records_per_set: Some(MAX_RECORDS), ..Limits::default() },
        }
    }

    fn cost(&self, unit: &Unit) -> Cost {
        Cost { sets: unit.changes.len() as u64, ..Cost::default() }
    }

    async fn zones(&self, apex: Option<&Fqdn>) -> Result<Vec<Zone>, Error> {
        let zone =
            |(id, zone): (&ZoneId, &Arc<HostedZone>)| Zone { id: id.clone(), apex: zone.apex.clone(), private: false };
        Ok(self.zones.iter().map(zone).filter(|zone| apex.is_none_or(|apex| zone.apex == *apex)).collect())
    }

    async fn create_zone(&self, apex: &Fqdn) -> Result<Zone, Error> {
        let message = "creating a zone; hint: name it in `zones = …`";
        Err(Error::new(ErrorKind::Unsupported, NAME, message).with_zone(apex))
    }

    async fn delete_zone(&self, zone: &ZoneId) -> Result<(), Error> {
        let apex = &self.zone(zone)?.apex;
        let message = "deleting a zone; hint: remove it from `zones = …`";
        Err(Error::new(ErrorKind::Unsupported, NAME, message).with_zone(apex))
    }

    async fn read_page(&self, zone: &ZoneId, cursor: Option<&Cursor>) -> Result<Page, Error> {
        let last = match cursor {
            None => None,
            Some(cursor) => Some(Fqdn::parse(&cursor.0).map_err(|error| {
                Error::new(ErrorKind::InvalidInput, NAME, "reading a page at a cursor of another provider")
                    .with_source(error)
            })?),
        };
        Ok(self.zone(zone)?.read(|store| {
            let start = last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let mut names = store.snapshot().entries.range((start, Bound::Unbounded));
            let page: Vec<_> = names.by_ref().take(PAGE_NAMES).collect();
            let next = match (names.next(), page.last()) {
                (Some(_), Some((last, _))) => Some(Cursor(last.as_str().into())),
                _ => None,
            };
            let entries = page.into_iter().flat_map(|(_, entries)| entries).cloned().collect();
            Page { version: Version::at(store.revision()), entries, next }
        }))
    }

    async fn read_names(&self, zone: &ZoneId, names: &[Fqdn]) -> Result<Snapshot, Error> {
        let zone = self.zone(zone)?;
        if let Some(outside) = names.iter().find(|name| !name.is_at_or_below(&zone.apex)) {
            let message = format!("reading `{outside}`, which is outside the zone");
            return Err(Error::new(ErrorKind::InvalidInput, NAME, message).with_zone(&zone.apex));
        }
        Ok(zone.read(|store| {
            let mut snapshot = Snapshot { version: Version::at(store.revision()), ..Snapshot::default() };
            for name in names {
                // Once, however often it is asked for.
                if !store.at(name).is_empty() {
                    snapshot.entries.insert(name.clone(), store.at(name).to_vec());
                }
            }
            snapshot
        }))
    }

    async fn apply(&self, zone: &ZoneId, changes: &ChangeSet, context: &ApplyContext) -> Result<Applied, Error> {
        let zone = self.zone(zone)?;
        if self.mode == OpenMode::ReadOnly {
            let message = "changing a zone that was opened to be read";
            return Err(Error::new(ErrorKind::Unsupported, NAME, message).with_zone(&zone.apex));
        }
        if context.is_over() {
            return Ok(Applied::all(changes, |_| Outcome::NotTried));
        }
        let after = changes.changes().filter_map(|change| change.after.as_ref());
        if let Some(large) = after.map(|data| &data.set).find(|set| !fits_message(set)) {
            let message = "writing a set that does not fit into an answer";
            return Err(Error::new(ErrorKind::LimitExceeded, NAME, message).with_key(large.key()));
        }
        // A command writes its whole plan at once: after that the zone is one that may be answered.
        let completes = self.mode == OpenMode::ReadWrite;
        let (changes, hosted) = (changes.clone(), zone.clone());
        let applied = blocking(move || hosted.apply(&changes, completes)).await?;
        if zone.wants_compaction() {
            let zone = zone.clone();
            // Not waited for: the change is done.
            tokio::task::spawn_blocking(move || {
                if let Err(error) = zone.compact() {
                    tracing::warn!(zone = %zone.apex, %error, "the journal could not be folded into a new snapshot");
                }
            });
        }
        Ok(applied)
    }

    async fn watch(&self, zone: &ZoneId, _since: &Version) -> Result<WatchStream, Error> {
        let apex = &self.zone(zone)?.apex;
        Err(Error::new(ErrorKind::Unsupported, NAME, "watching a zone").with_zone(apex))
    }
}

fn fits_message(set: &dnsprovider::RrSet) -> bool {
    set.records().len() <= MAX_RECORDS && wire::octets(set) <= MAX_SET_OCTETS
}
