//! A daemon that follows its leadership.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dns_sync_core::{ClusterAnswer, Endpoint, Place, ServiceCopy, ServiceId, SourceEvent};
use dns_syncd::leader::Candidate;
use dns_syncd::source::{EndpointSource, SourceError, Stop};
use dns_syncd::{Daemon, Handle};
use dnsprovider::{DnsProviderExt as _, Fqdn, MemoryProvider};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::PATIENCE;
use crate::table::{Chair, LEASE, Table, TestClock, record, settings};

struct Site(watch::Receiver<Vec<SourceEvent>>);

fn site(name: &str, address: &str) -> SourceEvent {
    let copy =
        ServiceCopy { ingress: [Endpoint::Ip(address.parse().unwrap())].into(), ready: true, ..ServiceCopy::default() };
    let answer = ClusterAnswer {
        places: Some(BTreeSet::from([Place::new(name, "")])),
        services: BTreeMap::from([(ServiceId::new("default", "web"), copy)]),
        ..ClusterAnswer::default()
    };
    SourceEvent::Answer { cluster: name.into(), answer }
}

#[async_trait]
impl EndpointSource for Site {
    async fn read_once(&mut self) -> Result<Vec<SourceEvent>, SourceError> {
        Ok(self.0.borrow().clone())
    }

    async fn run(mut self: Box<Self>, events: mpsc::Sender<Vec<SourceEvent>>, _: Stop) -> Result<(), SourceError> {
        self.0.mark_changed();
        while self.0.changed().await.is_ok() {
            let batch = self.0.borrow_and_update().clone();
            if events.send(batch).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// A daemon with its own view of the clusters.
struct Replica {
    handle: Handle,
    clock: Arc<TestClock>,
    site: watch::Sender<Vec<SourceEvent>>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), dns_syncd::DaemonError>>,
}

impl Replica {
    fn start(table: &Arc<Table>, host: &Arc<MemoryProvider>, name: &str, address: &str) -> Self {
        let (site_told, told) = watch::channel(vec![site("eu", address)]);
        let clock = TestClock::new();
        let mut settings = settings();
        settings.min_interval = Duration::ZERO;
        let candidate = Candidate::new(Box::new(Chair(table.clone())), record(name, &settings), LEASE);
        let daemon = Daemon::new(settings, host.clone(), Box::new(Site(told)))
            .with_seed(7)
            .with_candidate(candidate.with_clock(clock.clone()));
        let (handle, (stop, stopped)) = (daemon.handle(), oneshot::channel::<()>());
        let task = tokio::spawn(daemon.run(async move { _ = stopped.await }));
        Self { handle, clock, site: site_told, stop, task }
    }

    async fn until(&self, is_so: impl Fn(&dns_syncd::engine::Status) -> bool) {
        let begun = Instant::now();
        while !is_so(&self.handle.status().await.unwrap()) {
            assert!(begun.elapsed() < PATIENCE, "it stays {:#?}", self.handle.status().await);
            tokio::time::advance(Duration::from_millis(100)).await;
        }
    }
}

fn role(role: &'static str) -> impl Fn(&dns_syncd::engine::Status) -> bool {
    move |status| status.ready && status.leader.as_ref().unwrap().role == role
}

async fn addresses(host: &MemoryProvider) -> BTreeSet<String> {
    let zone = host.find_zone(None, None).await.unwrap();
    let snapshot = host.read_zone(&zone.id).await.unwrap();
    let records = snapshot.entries.values().flatten().flat_map(|entry| entry.data.set.records().to_vec());
    records.map(|record| record.to_string()).filter(|record| record.parse::<std::net::IpAddr>().is_ok()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_standby_follows_and_plans_and_writes_only_when_it_leads() {
    let table = Table::new();
    let host = Arc::new(MemoryProvider::new([Fqdn::parse("example.test").unwrap()]));
    let first = Replica::start(&table, &host, "first", "192.0.2.1");
    first.until(|status| role("leader")(status) && status.claimed_sets == 2 && status.queue.creation == 0).await;
    // It would write something else, so whatever it wrote would show.
    let second = Replica::start(&table, &host, "second", "192.0.2.2");
    second.until(role("standby")).await;
    second.until(|status| status.queue.failover + status.queue.dead_address > 0).await;
    tokio::time::advance(LEASE * 2).await;
    assert_eq!(addresses(&host).await, BTreeSet::from(["192.0.2.1".to_owned()]));
    assert_eq!(second.handle.status().await.unwrap().last_write, None);

    // The leader writes, and the standby learns of it.
    let before = first.handle.status().await.unwrap().last_write;
    first.site.send_replace(vec![site("eu", "192.0.2.3")]);
    first
        .until(|status| status.last_write != before && status.queue == dns_syncd::engine::QueueReport::default())
        .await;
    assert_eq!(addresses(&host).await, BTreeSet::from(["192.0.2.3".to_owned()]));

    first.stop.send(()).unwrap();
    first.task.await.unwrap().unwrap();
    second.until(|status| role("leader")(status) && status.last_write.is_some()).await;
    second.until(|status| status.queue == dns_syncd::engine::QueueReport::default()).await;
    assert_eq!(addresses(&host).await, BTreeSet::from(["192.0.2.2".to_owned()]));
    let write = second.handle.status().await.unwrap().last_write.unwrap();
    assert_eq!(write.conflicts, 0, "it wrote upon a zone that it did not know");
    second.stop.send(()).unwrap();
    second.task.await.unwrap().unwrap();
    assert_eq!(table.holder(), None);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_slept_past_its_lease_leaves_the_zone_to_the_next() {
    let table = Table::new();
    let host = Arc::new(MemoryProvider::new([Fqdn::parse("example.test").unwrap()]));
    let first = Replica::start(&table, &host, "first", "192.0.2.1");
    first.until(|status| role("leader")(status) && status.last_write.is_some()).await;
    *table.held.lock().unwrap() = Some((record("second", &settings()), Instant::now() + LEASE));
    first.clock.sleep(60);
    first.site.send_replace(vec![site("eu", "192.0.2.9")]);
    first.until(role("standby")).await;
    first.until(|status| status.queue.failover + status.queue.dead_address > 0).await;
    assert_eq!(addresses(&host).await, BTreeSet::from(["192.0.2.1".to_owned()]));
}
