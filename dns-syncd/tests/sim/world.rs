//! A federation, a host and a daemon on paused time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use dns_sync_core::hosts::Resolution;
use dns_sync_core::{ClusterAnswer, Endpoint, Place, ServiceCopy, ServiceId, Settings, SourceEvent, Timestamp};
use dns_syncd::engine::{AuditPace, Clock, Pass, PassContext, ZoneChoice};
use dns_syncd::resolver::Resolve;
use dns_syncd::source::{EndpointSource, SourceError, Stop};
use dns_syncd::{Daemon, DaemonError, Handle};
use dnsprovider::memory::{Builder, Call};
use dnsprovider::{Fqdn, MemoryProvider, RecordData, RrKey, RrType, Snapshot, ZoneId};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub(crate) const ZONE: &str = "example.com.";

//----------- Time -----------------------------------------------------------

/// Tokio's clock, which tests pause, as the time of day.
#[derive(Debug)]
pub(crate) struct PausedClock(Instant);

impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        Timestamp(1_700_000_000_000).plus(self.0.elapsed())
    }
}

//----------- Clusters -------------------------------------------------------

/// What a cluster would say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cluster {
    pub(crate) reachable: bool,
    pub(crate) region: String,
    pub(crate) services: BTreeMap<ServiceId, ServiceCopy>,
}

/// All clusters, by name.
pub(crate) type Clusters = BTreeMap<String, Cluster>;

/// A healthy copy with this address.
pub(crate) fn healthy(address: IpAddr) -> ServiceCopy {
    ServiceCopy { ingress: [Endpoint::Ip(address)].into(), ready: true, ..ServiceCopy::default() }
}

pub(crate) fn ip(cluster: u8, service: u16) -> IpAddr {
    let [high, low] = service.to_be_bytes();
    Ipv4Addr::new(192, cluster, high, low).into()
}

pub(crate) fn service(number: u16) -> ServiceId {
    ServiceId::new("shop", format!("s{number}"))
}

pub(crate) fn answer(cluster: &Cluster) -> ClusterAnswer {
    ClusterAnswer {
        places: Some(BTreeSet::from([Place::new(&*cluster.region, format!("{}-1", cluster.region))])),
        labels: BTreeMap::new(),
        services: cluster.services.clone(),
        ..ClusterAnswer::default()
    }
}

/// What a source that begins now tells first.
pub(crate) fn full_view(clusters: &Clusters) -> Vec<SourceEvent> {
    let mut events: Vec<SourceEvent> =
        clusters.keys().map(|name| SourceEvent::Joined { cluster: name.as_str().into() }).collect();
    events.extend(clusters.iter().map(|(name, cluster)| {
        let name = name.as_str().into();
        if cluster.reachable {
            SourceEvent::Answer { cluster: name, answer: answer(cluster) }
        } else {
            SourceEvent::Unknown { cluster: name, since: None, reason: "it does not answer".into() }
        }
    }));
    events
}

/// Tells a first view, then what it is given.
pub(crate) struct Script {
    first: Vec<SourceEvent>,
    then: mpsc::Receiver<Vec<SourceEvent>>,
}

impl Script {
    /// Tells the clusters as they are, and nothing more.
    pub(crate) fn telling(clusters: &Clusters) -> Self {
        Self { first: full_view(clusters), then: mpsc::channel(1).1 }
    }
}

#[async_trait]
impl EndpointSource for Script {
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
                biased;
                _ = stop.wait_for(|stop| *stop) => None,
                next = self.then.recv() => next,
            };
        }
        Ok(())
    }
}

//----------- Names ----------------------------------------------------------

/// Answers what a test says, and fails for all else.
#[derive(Debug, Default)]
pub(crate) struct Answers(Mutex<BTreeMap<String, Resolution>>);

impl Answers {
    pub(crate) fn say(&self, host: &str, answer: Resolution) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(host.into(), answer);
    }
}

#[async_trait]
impl Resolve for Answers {
    async fn resolve(&self, host: &str) -> Resolution {
        let answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answers.get(host).cloned().unwrap_or(Resolution::Failed)
    }
}

//----------- World ----------------------------------------------------------

/// A running daemon.
pub(crate) struct Running {
    pub(crate) handle: Handle,
    events: mpsc::Sender<Vec<SourceEvent>>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), DaemonError>>,
}

/// The host, the clusters and the daemon between them.
pub(crate) struct World {
    pub(crate) provider: MemoryProvider,
    pub(crate) zone: ZoneId,
    pub(crate) clusters: Clusters,
    pub(crate) settings: Settings,
    pub(crate) resolver: Arc<Answers>,
    pub(crate) audit: AuditPace,
    pub(crate) seed: u64,
    clock: Arc<PausedClock>,
    pub(crate) daemon: Option<Running>,
}

impl World {
    /// Clusters `c1`, `c2`, … in regions `r1`, `r2`, …, each with all of so many services.
    pub(crate) fn new(provider: MemoryProvider, clusters: u8, services: u16) -> Self {
        let cluster = |number: u8| {
            let copies = (0..services).map(|index| (service(index), healthy(ip(number, index))));
            let cluster = Cluster { reachable: true, region: format!("r{number}"), services: copies.collect() };
            (format!("c{number}"), cluster)
        };
        Self {
            provider,
            zone: ZoneId(ZONE.into()),
            clusters: (1..=clusters).map(cluster).collect(),
            settings: Settings::new("fed", apex()),
            resolver: Arc::default(),
            audit: AuditPace::default(),
            seed: 0,
            clock: Arc::new(PausedClock(Instant::now())),
            daemon: None,
        }
    }

    /// Starts a daemon on the host and the clusters as they are.
    pub(crate) fn start(&mut self) {
        self.start_with(full_view(&self.clusters), |daemon| daemon);
    }

    /// Starts a daemon that is told `first` first.
    pub(crate) fn start_with(&mut self, first: Vec<SourceEvent>, with: impl FnOnce(Daemon) -> Daemon) {
        let (events, then) = mpsc::channel(1024);
        let source = Script { first, then };
        let daemon = Daemon::new(self.settings.clone(), Arc::new(self.provider.clone()), Box::new(source))
            .with_clock(self.clock.clone())
            .with_resolver(self.resolver.clone())
            .with_audit(self.audit)
            .with_seed(self.seed);
        let daemon = with(daemon);
        let handle = daemon.handle();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(daemon.run(async move { _ = stopped.await }));
        self.daemon = Some(Running { handle, events, stop: Some(stop), task });
    }

    /// Starts a daemon and waits until it has nothing to do.
    pub(crate) async fn started(mut self) -> Self {
        self.start();
        self.wait(60).await;
        self
    }

    /// Ends the daemon in the middle of whatever it does.
    pub(crate) async fn crash(&mut self) {
        if let Some(running) = self.daemon.take() {
            running.task.abort();
            assert!(running.task.await.is_err_and(|error| error.is_cancelled()), "the daemon did not end by itself");
        }
    }

    /// Asks the daemon to stop.
    pub(crate) fn ask_to_stop(&mut self) {
        self.daemon.as_mut().unwrap().stop.take().unwrap().send(()).unwrap();
    }

    /// Waits for the end of the daemon.
    pub(crate) async fn ended(&mut self) -> Result<(), DaemonError> {
        self.daemon.take().unwrap().task.await.unwrap()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.daemon.as_ref().is_none_or(|running| running.task.is_finished())
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.daemon.as_ref().unwrap().handle
    }

    /// The source tells a batch.
    pub(crate) async fn tell(&self, events: Vec<SourceEvent>) {
        if let Some(daemon) = &self.daemon {
            daemon.events.send(events).await.unwrap();
        }
    }

    /// A cluster's copy of a service changes; `None` when it goes.
    pub(crate) async fn set_copy(&mut self, cluster: &str, service: ServiceId, copy: Option<ServiceCopy>) {
        let services = &mut self.clusters.get_mut(cluster).unwrap().services;
        match &copy {
            Some(copy) => _ = services.insert(service.clone(), copy.clone()),
            None => _ = services.remove(&service),
        }
        self.tell(vec![SourceEvent::Service { cluster: cluster.into(), service, copy }]).await;
    }

    /// Time passes.
    pub(crate) async fn wait(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    pub(crate) fn held(&self) -> Snapshot {
        self.provider.peek(&self.zone).unwrap()
    }

    pub(crate) fn calls(&self, call: Call) -> u64 {
        self.provider.calls(call)
    }

    /// The addresses in the A set at a name.
    pub(crate) fn addresses(&self, name: &str) -> Vec<IpAddr> {
        let held = self.held();
        let set = held.get(&RrKey::new(fqdn(name), RrType::A));
        let records = set.map(|entry| entry.data.set.records().to_vec()).unwrap_or_default();
        let address = |record: RecordData| match record {
            RecordData::A(address) => Some(address.into()),
            _ => None,
        };
        records.into_iter().filter_map(address).collect()
    }

    /// A pass as `plan` makes it, over the clusters and the host as they are.
    pub(crate) async fn fresh_plan(&self) -> Pass {
        Pass::prepare(self.pass_context(), &mut Script::telling(&self.clusters)).await.unwrap()
    }

    pub(crate) fn pass_context(&self) -> PassContext {
        PassContext {
            settings: self.settings.clone(),
            provider: Arc::new(self.provider.clone()),
            zone: ZoneChoice { apex: Some(apex()), ..ZoneChoice::default() },
            resolver: self.resolver.clone(),
            clock: self.clock.clone(),
        }
    }

    /// What stands between the zone and what a fresh pass wants.
    pub(crate) async fn differences(&self) -> Vec<String> {
        let report = self.fresh_plan().await.report();
        let lines = report.changes.iter().chain(&report.held);
        lines.map(|change| format!("{} {} {}: {}", change.action, change.name, change.rr_type, change.reason)).collect()
    }
}

/// A host without faults.
pub(crate) fn memory() -> MemoryProvider {
    builder().build()
}

/// Begins a host that has the zone.
pub(crate) fn builder() -> Builder {
    MemoryProvider::builder().zone(apex())
}

pub(crate) fn apex() -> Fqdn {
    Fqdn::parse(ZONE).unwrap()
}

/// A name below the zone.
pub(crate) fn fqdn(relative: &str) -> Fqdn {
    apex().prepend(relative).unwrap()
}
