//! Who may write: an election in memory, a clock that can be made to sleep, and a daemon between.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use dns_sync_core::{ClusterAnswer, Endpoint, Place, ServiceCopy, ServiceId, Settings, SourceEvent};
use dns_syncd::config::{Cli, Config};
use dns_syncd::leader::{BootClock, Candidate, Election, ElectionError, Leader, Leadership, Record, Seat};
use dns_syncd::source::{EndpointSource, SourceError, Stop};
use dns_syncd::{Daemon, Handle};
use dnsprovider::{DnsProviderExt as _, Fence, Fqdn, MemoryProvider};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

const LEASE: Duration = Duration::from_secs(15);
/// A safety net, in paused time: what has not come true by then never will.
const PATIENCE: Duration = Duration::from_mins(10);

//----------- World ----------------------------------------------------------

/// The clock of one process: tokio's, and what it slept.
#[derive(Debug)]
struct TestClock {
    start: Instant,
    slept: AtomicU64,
}

impl TestClock {
    fn new() -> Arc<Self> {
        Arc::new(Self { start: Instant::now(), slept: AtomicU64::new(0) })
    }

    fn sleep(&self, seconds: u64) {
        self.slept.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl BootClock for TestClock {
    fn now(&self) -> Duration {
        self.start.elapsed() + Duration::from_secs(self.slept.load(Ordering::Relaxed))
    }
}

/// A place where the leadership lies, by tokio's clock.
#[derive(Debug)]
struct Table {
    held: Mutex<Option<(Record, Instant)>>,
    terms: AtomicU64,
    is_denied: Mutex<bool>,
    /// While it is true nobody gets an answer.
    hangs: watch::Sender<bool>,
    fails: Mutex<bool>,
    attempts: AtomicU64,
    changed: Notify,
    /// A change that nobody has looked at: it is told again and again.
    is_suspect: Mutex<bool>,
}

impl Table {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            held: Mutex::default(),
            terms: AtomicU64::new(0),
            is_denied: Mutex::default(),
            hangs: watch::channel(false).0,
            fails: Mutex::default(),
            attempts: AtomicU64::new(0),
            changed: Notify::new(),
            is_suspect: Mutex::default(),
        })
    }

    fn holder(&self) -> Option<String> {
        self.held.lock().unwrap().as_ref().map(|(record, _)| record.holder.clone())
    }
}

#[derive(Debug)]
struct Chair(Arc<Table>);

#[async_trait]
impl Election for Chair {
    fn kind(&self) -> &'static str {
        "test"
    }

    fn place(&self) -> String {
        "the table".to_owned()
    }

    async fn attempt(&mut self, record: &Record) -> Result<Seat, ElectionError> {
        self.0.attempts.fetch_add(1, Ordering::Relaxed);
        let mut hangs = self.0.hangs.subscribe();
        hangs.wait_for(|hangs| !hangs).await.unwrap();
        let is_denied = *self.0.is_denied.lock().unwrap();
        if is_denied || *self.0.fails.lock().unwrap() {
            return Err(ElectionError { message: "the table is away".to_owned(), is_denied });
        }
        let mut held = self.0.held.lock().unwrap();
        let now = Instant::now();
        let is_ours = match &*held {
            Some((other, until)) if other.holder != record.holder && now < *until => {
                return Ok(Seat::Taken(other.clone()));
            }
            Some((other, _)) => other.holder == record.holder,
            None => false,
        };
        if !is_ours {
            self.0.terms.fetch_add(1, Ordering::Relaxed);
        }
        *held = Some((record.clone(), now + LEASE));
        let term = self.0.terms.load(Ordering::Relaxed);
        Ok(Seat::Ours { fence: Some(Fence { key: "table".into(), token: term }), term })
    }

    async fn changed(&mut self) {
        if *self.0.is_suspect.lock().unwrap() {
            return tokio::task::yield_now().await;
        }
        self.0.changed.notified().await;
    }

    async fn resign(&mut self) {
        *self.0.held.lock().unwrap() = None;
        self.0.changed.notify_waiters();
    }
}

fn settings() -> Settings {
    Settings::new("fed", Fqdn::parse("example.test").unwrap())
}

fn record(holder: &str, settings: &Settings) -> Record {
    let arguments =
        ["dns-syncd", "run", "--federation-name", "fed", "--zone-name", "example.test", "--source", "files"];
    let cli = <Cli as clap::Parser>::parse_from(arguments);
    Record::new(holder, settings, &Config::load(&cli.flags, &|_| None).unwrap().source)
}

/// A process that runs for the leadership.
struct Runner {
    leader: Leader,
    clock: Arc<TestClock>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Runner {
    fn start(table: &Arc<Table>, name: &str) -> Self {
        Self::with(table, record(name, &settings()), |candidate| candidate)
    }

    fn with(table: &Arc<Table>, record: Record, change: impl Fn(Candidate) -> Candidate) -> Self {
        let clock = TestClock::new();
        let candidate = Candidate::new(Box::new(Chair(table.clone())), record, LEASE).with_clock(clock.clone());
        let (leader, campaign) = change(candidate).start();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(campaign.run(async move { _ = stopped.await }));
        Self { leader, clock, stop: Some(stop), task }
    }

    /// How it stands once it has stood otherwise than `not`; gives the time that took.
    async fn until(&mut self, is_so: impl Fn(&Leadership) -> bool) -> Duration {
        let begun = Instant::now();
        while !is_so(&self.leader.state().unwrap()) {
            assert!(begun.elapsed() < PATIENCE, "it stays {:?}", self.leader.state());
            tokio::task::yield_now().await;
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        begun.elapsed()
    }

    async fn end(mut self) {
        _ = self.stop.take().unwrap().send(());
        self.task.await.unwrap();
    }
}

fn leads(state: &Leadership) -> bool {
    matches!(state, Leadership::Leading { .. })
}

fn stands_by(state: &Leadership) -> bool {
    matches!(state, Leadership::Standby(_))
}

//----------- Campaign -------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn one_leads_and_the_other_takes_over_at_once_when_it_is_given_up() {
    let table = Table::new();
    let mut first = Runner::start(&table, "first");
    first.until(leads).await;
    let mut second = Runner::start(&table, "second");
    second.until(stands_by).await;
    let report = second.leader.report().unwrap();
    assert_eq!((report.role, report.leader.as_deref(), &*report.place), ("standby", Some("first"), "the table"));
    assert_eq!(second.leader.term(), None);
    assert!(second.leader.write_context().is_none());
    first.end().await;
    let took = second.until(leads).await;
    assert!(took < LEASE / 5, "an election tells of its changes, and it still took {took:?}");
    assert_eq!(second.leader.write_context().unwrap().fence.unwrap().token, 2);
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_the_lease_runs_out_first() {
    let table = Table::new();
    let mut first = Runner::start(&table, "first");
    first.until(leads).await;
    let mut second = Runner::start(&table, "second");
    second.until(stands_by).await;
    first.task.abort();
    let took = second.until(leads).await;
    assert!((LEASE * 4 / 5..LEASE * 7 / 5).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_slept_sends_nothing_when_it_wakes() {
    let table = Table::new();
    let mut runner = Runner::start(&table, "first");
    runner.until(leads).await;
    let context = runner.leader.write_context().unwrap();
    assert!(!context.is_over());
    runner.clock.sleep(11);
    // Nothing else has run yet.
    assert!(context.is_over(), "a batch that was begun before");
    assert_eq!(runner.leader.term(), None);
    assert_eq!(runner.leader.report().unwrap().role, "unsure");
    // Nobody took it meanwhile: the same term goes on.
    runner.until(leads).await;
    assert_eq!(runner.leader.term(), Some(1));
    assert!(!context.is_over());
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_an_earlier_term_is_over() {
    let table = Table::new();
    let mut runner = Runner::start(&table, "first");
    runner.until(leads).await;
    let context = runner.leader.write_context().unwrap();
    *table.held.lock().unwrap() = Some((record("second", &settings()), Instant::now()));
    runner.until(|state| matches!(state, Leadership::Leading { term: 2, .. })).await;
    assert!(context.is_over());
    assert!(!runner.leader.write_context().unwrap().is_over());
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_the_leadership_ends_after_two_thirds_of_the_lease() {
    let table = Table::new();
    let mut runner = Runner::start(&table, "first");
    runner.until(leads).await;
    table.hangs.send_replace(true);
    let took = runner.until(|state| !leads(state)).await;
    assert!((LEASE * 2 / 5..=LEASE * 2 / 3).contains(&took), "{took:?}");
    table.hangs.send_replace(false);
    runner.until(leads).await;
    assert_eq!(runner.leader.term(), Some(1));
    // What was asked for before the pause counts from then; the next renewal is a fresh one.
    let clock = runner.clock.clone();
    let fresh = |until: &Duration| *until + Duration::from_millis(200) >= clock.now() + LEASE * 2 / 3;
    runner.until(|state| matches!(state, Leadership::Leading { until: Some(until), .. } if fresh(until))).await;
    *table.fails.lock().unwrap() = true;
    let took = runner.until(|state| !leads(state)).await;
    assert!((LEASE * 2 / 5..=LEASE * 2 / 3 + LEASE / 5).contains(&took), "{took:?}");
    runner.until(|state| *state == Leadership::Unsure(Some("the table is away".to_owned()))).await;
}

#[tokio::test(start_paused = true)]
async fn other_work_is_refused_while_the_leader_lives() {
    let table = Table::new();
    let mut first = Runner::start(&table, "first");
    first.until(leads).await;
    let mut other = settings();
    other.suffix = Fqdn::parse("x.example.test").unwrap();
    let mut second = Runner::with(&table, record("second", &other), |candidate| candidate);
    second.until(|state| matches!(state, Leadership::Refused(..))).await;
    let report = second.leader.report().unwrap();
    assert_eq!(report.role, "refused");
    assert_eq!(report.differences, ["suffix `example.test.` there, `x.example.test.` here"]);
    first.end().await;
    second.until(leads).await;
}

#[tokio::test(start_paused = true)]
async fn a_process_that_runs_alone_leads_where_no_other_can_be_noticed() {
    let table = Table::new();
    *table.is_denied.lock().unwrap() = true;
    let mut alone = Runner::with(&table, record("first", &settings()), Candidate::presence);
    alone.until(leads).await;
    assert_eq!(alone.leader.write_context().unwrap().fence, None);
    alone.clock.sleep(3600);
    assert!(alone.leader.term().is_some(), "nobody can take it away");
    let mut elected = Runner::start(&table, "second");
    elected.until(|state| matches!(state, Leadership::Unsure(Some(_)))).await;
    *table.is_denied.lock().unwrap() = false;
    alone.until(|state| matches!(state, Leadership::Leading { fence: Some(_), .. } | Leadership::Standby(_))).await;
}

#[tokio::test(start_paused = true)]
async fn attempts_that_fail_keep_their_distance_whatever_the_place_tells() {
    for is_denied in [false, true] {
        let table = Table::new();
        *table.is_suspect.lock().unwrap() = true;
        *table.fails.lock().unwrap() = true;
        *table.is_denied.lock().unwrap() = is_denied;
        let mut alone = Runner::with(&table, record("first", &settings()), Candidate::presence);
        alone.until(|state| *state != Leadership::Unsure(None)).await;
        let begun = Instant::now();
        while begun.elapsed() < LEASE {
            tokio::task::yield_now().await;
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        let attempts = table.attempts.load(Ordering::Relaxed);
        assert!((5..=7).contains(&attempts), "{attempts} in one lease");
        let ending = Instant::now();
        alone.end().await;
        assert_eq!(ending.elapsed(), Duration::ZERO, "its end waits for no pause");
    }
}

#[test]
fn a_process_without_an_election_always_leads() {
    let leader = Leader::alone();
    assert_eq!((leader.term(), leader.state(), leader.report()), (Some(0), None, None));
    assert!(leader.write_context().unwrap().time_left.is_none());
}

//----------- Daemon ---------------------------------------------------------

struct Site(watch::Receiver<Vec<SourceEvent>>);

fn site(name: &str, address: &str) -> SourceEvent {
    let copy = ServiceCopy {
        ingress: BTreeSet::from([Endpoint::Ip(address.parse().unwrap())]).into_iter().collect(),
        ready: true,
        ..ServiceCopy::default()
    };
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
