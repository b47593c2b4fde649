//! The daemon inside another program, with a DNS host and a source of its own.
//!
//! A game server keeps its matches reachable: it knows itself where they run, so it brings a source; and it answers DNS
//! by a table in its own memory, so it brings a backend. Everything between is the daemon's. Run it:
//!
//! ```text
//! cargo run -p dns-syncd --example embed
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use dns_sync_core::{ClusterAnswer, Endpoint, Place, ServiceCopy, ServiceId, Settings, SourceEvent};
use dns_syncd::Daemon;
use dns_syncd::source::{EndpointSource, SourceError, Stop};
use dnsprovider::capabilities::Atomicity;
use dnsprovider::store::ZoneStore;
use dnsprovider::{
    Applied, ApplyContext, Capabilities, ChangeSet, Cost, Cursor, DnsProvider, Error, ErrorKind, Fqdn, Page, Snapshot,
    Unit, Version, WatchStream, Zone, ZoneId, memory,
};
use tokio::sync::{Notify, mpsc};

//----------- A source of one's own ------------------------------------------

/// What the game server knows: for each site the region and the addresses of each match.
struct Sites {
    first: Vec<SourceEvent>,
    changes: mpsc::Receiver<SourceEvent>,
}

fn copy(addresses: &[&str]) -> ServiceCopy {
    let endpoints = addresses.iter().filter_map(|text| text.parse::<IpAddr>().ok()).map(Endpoint::Ip);
    ServiceCopy { ingress: endpoints.collect(), ready: true, ..ServiceCopy::default() }
}

/// A site says everything that it has.
fn site(name: &str, region: &str, addresses: &[&str]) -> SourceEvent {
    let answer = ClusterAnswer {
        places: Some(BTreeSet::from([Place::new(region, "")])),
        labels: BTreeMap::new(),
        services: BTreeMap::from([(ServiceId::new("lobby", "match"), copy(addresses))]),
        ..ClusterAnswer::default()
    };
    SourceEvent::Answer { cluster: name.into(), answer }
}

#[async_trait]
impl EndpointSource for Sites {
    async fn read_once(&mut self) -> Result<Vec<SourceEvent>, SourceError> {
        Ok(self.first.clone())
    }

    async fn run(
        mut self: Box<Self>,
        events: mpsc::Sender<Vec<SourceEvent>>,
        mut stop: Stop,
    ) -> Result<(), SourceError> {
        let mut batch = Some(std::mem::take(&mut self.first));
        while let Some(told) = batch {
            if events.send(told).await.is_err() {
                break;
            }
            batch = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => None,
                change = self.changes.recv() => change.map(|event| vec![event]),
            };
        }
        Ok(())
    }
}

//----------- A backend of one's own -----------------------------------------

/// A table in memory, as a DNS server would answer from it.
#[derive(Debug)]
struct Table {
    zone: Zone,
    store: Mutex<ZoneStore>,
    changed: Notify,
}

const NAME: &str = "table";

impl Table {
    fn new(apex: Fqdn) -> Self {
        let zone = Zone { id: ZoneId(apex.as_str().into()), apex: apex.clone(), private: false };
        Self { zone, store: Mutex::new(ZoneStore::new(NAME, apex)), changed: Notify::new() }
    }

    fn store(&self) -> std::sync::MutexGuard<'_, ZoneStore> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every record as a line.
    fn lines(&self) -> Vec<String> {
        let store = self.store();
        let set = |entry: &dnsprovider::Entry| {
            let (owner, rr_type) = (entry.key().owner.clone(), entry.key().rr_type.clone());
            let lines = entry.data.set.records().iter().map(move |record| format!("{owner} {rr_type} {record}"));
            lines.collect::<Vec<_>>()
        };
        store.entries().flat_map(set).collect()
    }

    /// Waits until the table is so.
    async fn until(&self, is_so: impl Fn(&[String]) -> bool) {
        while !is_so(&self.lines()) {
            self.changed.notified().await;
        }
    }

    fn unsupported(what: &str) -> Error {
        Error::new(ErrorKind::Unsupported, NAME, format!("{what}: a table cannot"))
    }
}

#[async_trait]
impl DnsProvider for Table {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { watch: false, manages_zones: false, ..memory::capabilities() }
    }

    fn cost(&self, unit: &Unit) -> Cost {
        Cost { sets: unit.changes.len() as u64, ..Cost::default() }
    }

    async fn zones(&self, apex: Option<&Fqdn>) -> Result<Vec<Zone>, Error> {
        Ok([self.zone.clone()].into_iter().filter(|zone| apex.is_none_or(|apex| zone.apex == *apex)).collect())
    }

    async fn create_zone(&self, _: &Fqdn) -> Result<Zone, Error> {
        Err(Self::unsupported("creating a zone"))
    }

    async fn delete_zone(&self, _: &ZoneId) -> Result<(), Error> {
        Err(Self::unsupported("deleting a zone"))
    }

    async fn read_page(&self, _: &ZoneId, _: Option<&Cursor>) -> Result<Page, Error> {
        let store = self.store();
        let entries = store.entries().cloned().collect();
        Ok(Page { version: Version::at(store.revision()), entries, next: None })
    }

    async fn read_names(&self, _: &ZoneId, names: &[Fqdn]) -> Result<Snapshot, Error> {
        let store = self.store();
        let mut found = Snapshot { version: Version::at(store.revision()), ..Snapshot::default() };
        found.extend(names.iter().flat_map(|name| store.at(name)).cloned());
        Ok(found)
    }

    async fn apply(&self, _: &ZoneId, changes: &ChangeSet, _: &ApplyContext) -> Result<Applied, Error> {
        let applied = self.store().apply(changes, Atomicity::Batch);
        self.changed.notify_one();
        Ok(applied)
    }

    async fn watch(&self, _: &ZoneId, _: &Version) -> Result<WatchStream, Error> {
        Err(Self::unsupported("watching"))
    }
}

//----------- The program ----------------------------------------------------

/// Prints what [`demo`] gives.
#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "the purpose of the example")]
pub async fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("{}", demo().await?);
    Ok(())
}

/// Runs the daemon while a site loses its address; gives the answers as text.
pub async fn demo() -> Result<String, Box<dyn std::error::Error>> {
    let apex = Fqdn::parse("games.example")?;
    let table = Arc::new(Table::new(apex.clone()));
    let (tell, changes) = mpsc::channel(16);
    let first = vec![site("oslo", "north", &["192.0.2.1"]), site("rome", "south", &["198.51.100.1", "2001:db8::1"])];
    let daemon = Daemon::new(Settings::new("arena", apex), table.clone(), Box::new(Sites { first, changes }));
    let handle = daemon.handle();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(daemon.run(async move { _ = stopped.await }));

    table.until(|lines| lines.iter().any(|line| line.contains("192.0.2.1"))).await;
    let mut text = paragraph("at first", &table.lines());

    tell.send(site("oslo", "north", &[])).await?;
    table.until(|lines| lines.iter().all(|line| !line.contains("192.0.2.1"))).await;
    text += &paragraph("oslo has no address any more", &table.lines());

    let name = Fqdn::parse("match.lobby.arena.svc.north.games.example")?;
    let path: Vec<String> = handle.explain(name).await?.path.into_iter().map(|step| step.name).collect();
    text += &paragraph("the way from the north", &path);

    _ = stop.send(());
    running.await??;
    Ok(text)
}

fn paragraph(title: &str, lines: &[String]) -> String {
    format!("{title}:\n  {}\n", lines.join("\n  "))
}
