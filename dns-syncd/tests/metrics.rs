//! `/metrics` is what `docs/metrics.md` says, in both directions, and moves as the table says.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use async_trait::async_trait;
use dns_sync_core::hosts::Resolution;
use dns_sync_core::{ClusterAnswer, Endpoint, ServiceCopy, ServiceId, Settings, SourceEvent};
use dns_syncd::ask::Ask;
use dns_syncd::resolver::Resolve;
use dns_syncd::source::{EndpointSource, SourceError, Stop};
use dns_syncd::{Daemon, DaemonError, config};
use dnsprovider::memory::{Call, Fault};
use dnsprovider::{ErrorKind, Fqdn, MemoryProvider, RecordData, RrType, ZoneId};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

//----------- The table ------------------------------------------------------

/// A metric: its type, and its labels with their values where these are a closed set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Described {
    kind: String,
    labels: BTreeMap<String, Option<BTreeSet<String>>>,
}

/// What is between backticks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn table() -> BTreeMap<String, Described> {
    let text = include_str!("../docs/metrics.md");
    let mut metrics = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| `dns_syncd_")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, name, kind, labels, _unit, meaning, _alert, _] = cells[..] else { panic!("not six cells: {line}") };
        assert!(!meaning.is_empty(), "{line}");
        let mut described = Described { kind: kind.to_owned(), labels: BTreeMap::new() };
        for label in labels.split(';').filter(|label| !label.is_empty()) {
            let (label, values) = label.split_once(':').unwrap();
            let is_open = values.contains('*');
            let values = quoted(values).into_iter().collect::<BTreeSet<_>>();
            assert_ne!(is_open, !values.is_empty(), "{line}");
            described.labels.insert(quoted(label).remove(0), (!is_open).then_some(values));
        }
        let name = quoted(name).remove(0);
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name}: counters and only they end in _total");
        assert!(metrics.insert(name, described).is_none(), "twice: {line}");
    }
    assert!(metrics.len() > 20);
    metrics
}

/// What the text of `/metrics` has, with all values that its labels take.
fn exported(text: &str) -> BTreeMap<String, Described> {
    let mut metrics: BTreeMap<String, Described> = BTreeMap::new();
    let mut family = String::new();
    for line in text.lines() {
        if let Some(line) = line.strip_prefix("# TYPE ") {
            let (name, kind) = line.split_once(' ').unwrap();
            let suffix = if kind == "counter" { "_total" } else { "" };
            family = format!("{name}{suffix}");
            metrics.insert(family.clone(), Described { kind: kind.to_owned(), labels: BTreeMap::new() });
        }
        if line.starts_with('#') {
            continue;
        }
        let labels = line.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(labels, _)| labels);
        for label in labels.split(',').filter(|label| !label.is_empty()) {
            let (label, value) = label.split_once('=').unwrap();
            if label != "le" {
                let values = metrics.get_mut(&family).unwrap().labels.entry(label.to_owned()).or_insert(None);
                values.get_or_insert_default().insert(value.trim_matches('"').to_owned());
            }
        }
    }
    metrics
}

//----------- A daemon -------------------------------------------------------

struct Told(mpsc::Receiver<Vec<SourceEvent>>);

#[async_trait]
impl EndpointSource for Told {
    async fn read_once(&mut self) -> Result<Vec<SourceEvent>, SourceError> {
        Ok(Vec::new())
    }

    async fn run(mut self: Box<Self>, events: mpsc::Sender<Vec<SourceEvent>>, _: Stop) -> Result<(), SourceError> {
        while let Some(batch) = self.0.recv().await {
            if events.send(batch).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}

#[derive(Debug)]
struct NoNames;

#[async_trait]
impl Resolve for NoNames {
    async fn resolve(&self, _: &str) -> Resolution {
        Resolution::Failed
    }
}

/// Servers that answer from the provider's memory.
#[derive(Debug)]
struct Mirror(MemoryProvider);

#[async_trait]
impl Ask for Mirror {
    async fn ask(&self, _: SocketAddr, owner: &Fqdn, rr_type: &RrType) -> Result<BTreeSet<RecordData>, String> {
        let snapshot = self.0.peek(&ZoneId("example.com.".into())).map_err(|error| error.to_string())?;
        let entries = snapshot.at(owner).iter().filter(|entry| entry.key().rr_type == *rr_type);
        Ok(entries.flat_map(|entry| entry.data.set.records()).cloned().collect())
    }
}

struct Running {
    address: SocketAddr,
    provider: MemoryProvider,
    tell: mpsc::Sender<Vec<SourceEvent>>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), DaemonError>>,
}

impl Running {
    fn start(servers: Vec<SocketAddr>) -> Self {
        Self::start_on(MemoryProvider::new([Fqdn::parse("example.com").unwrap()]), servers)
    }

    fn start_on(provider: MemoryProvider, servers: Vec<SocketAddr>) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let apex = Fqdn::parse("example.com").unwrap();
        let (tell, told) = mpsc::channel(16);
        let mut settings = Settings::new("fed", apex);
        settings.min_interval = std::time::Duration::ZERO;
        let daemon = Daemon::new(settings, Arc::new(provider.clone()), Box::new(Told(told)))
            .with_resolver(Arc::new(NoNames))
            .with_servers(servers, Arc::new(Mirror(provider.clone())))
            .with_admin(config::Admin { listen: address, is_default: false, token_file: None });
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(daemon.run(async move { _ = stopped.await }));
        Self { address, provider, tell, stop, task }
    }

    async fn metrics(&self) -> String {
        let mut stream = loop {
            match TcpStream::connect(self.address).await {
                Ok(stream) => break stream,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        body.to_owned()
    }

    /// Asks until all of these lines are there.
    async fn until(&self, lines: &[&str]) -> String {
        let mut text = String::new();
        for _ in 0..2000 {
            text = self.metrics().await;
            if lines.iter().all(|line| text.lines().any(|told| told == *line)) {
                return text;
            }
        }
        panic!("never all of {lines:?} in\n{text}");
    }

    async fn answer(&self, cluster: &str, services: u8) {
        let services = (0..services).map(|number| (service(number), copy(number)));
        let answer = ClusterAnswer { services: services.collect(), ..ClusterAnswer::default() };
        self.tell.send(vec![SourceEvent::Answer { cluster: cluster.into(), answer }]).await.unwrap();
    }

    async fn end(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap();
    }
}

fn service(number: u8) -> ServiceId {
    ServiceId::new("shop", format!("s{number}"))
}

fn copy(last: u8) -> ServiceCopy {
    let ingress = [Endpoint::Ip([192, 0, 2, last].into())].into();
    ServiceCopy { ingress, ready: true, ..ServiceCopy::default() }
}

//----------- Tests ----------------------------------------------------------

#[tokio::test]
async fn the_table_is_what_a_daemon_exports() {
    let running = Running::start(Vec::new());
    running.answer("c1", 1).await;
    let text = running.until(&["dns_syncd_ready 1", "dns_syncd_cluster_ready{cluster=\"c1\"} 1"]).await;
    let (table, mut exported) = (table(), exported(&text));
    let names = |metrics: &BTreeMap<String, Described>| metrics.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&table), names(&exported));
    for (name, described) in table {
        let mut is = exported.remove(&name).unwrap();
        for (label, values) in &described.labels {
            if values.is_none() {
                // An open set of values: some are there, which is all that can be said.
                assert!(is.labels.insert(label.clone(), None).flatten().is_some(), "{name} has no {label}");
            }
        }
        assert_eq!(is, described, "{name}");
        if is.kind == "histogram" {
            assert!(name.ends_with("_seconds"), "{name} has no unit in its name");
        }
    }
    running.end().await;
}

#[tokio::test]
async fn what_a_person_asks_first_is_in_the_numbers() {
    let running = Running::start(Vec::new());
    running.answer("c1", 3).await;
    let reason = "it does not answer".into();
    running.tell.send(vec![SourceEvent::Unknown { cluster: "c2".into(), since: None, reason }]).await.unwrap();
    let text = running.until(&[
        "dns_syncd_leadership 1",
        "dns_syncd_services 3",
        "dns_syncd_record_sets{type=\"A\",state=\"published\"} 3",
        "dns_syncd_record_sets{type=\"A\",state=\"pending\"} 0",
        "dns_syncd_set_changes_total{action=\"create\",outcome=\"done\"} 3",
        "dns_syncd_clusters{state=\"ready\"} 1",
        "dns_syncd_clusters{state=\"unknown\"} 1",
        "dns_syncd_cluster_ready{cluster=\"c2\"} 0",
        "dns_syncd_cluster_services{cluster=\"c1\"} 3",
        "dns_syncd_provider_calls_total{provider=\"memory\",call=\"apply\",outcome=\"ok\"} 1",
        "dns_syncd_guard_losses_allowed{kind=\"deleted\"} -1",
        "dns_syncd_settle_duration_seconds_count 1",
    ]);
    let text = text.await;
    for name in ["last_pass", "last_write", "cluster_state_since"] {
        let line = text.lines().find(|line| line.starts_with(&format!("dns_syncd_{name}_timestamp_seconds"))).unwrap();
        let seconds: i64 = line.split_once(' ').unwrap().1.parse().unwrap();
        assert!(seconds > 1_600_000_000, "{line}");
    }

    // A host that fails: told by provider, call and kind of error, and no pass comes to its end meanwhile.
    running.provider.inject(Fault::fail(ErrorKind::RateLimited).on(Call::Apply));
    let event = SourceEvent::Service { cluster: "c1".into(), service: service(0), copy: Some(copy(9)) };
    running.tell.send(vec![event]).await.unwrap();
    let failed = "dns_syncd_provider_calls_total{provider=\"memory\",call=\"apply\",outcome=\"rate_limited\"} 1";
    running.until(&[failed, "dns_syncd_consecutive_failures 0"]).await;
    running.end().await;
}

#[tokio::test]
async fn a_change_is_followed_from_its_event_to_the_answer() {
    let running = Running::start(vec!["127.0.0.1:53".parse().unwrap()]);
    running.answer("c1", 2).await;
    running.until(&["dns_syncd_ready 1", "dns_syncd_record_sets{type=\"A\",state=\"published\"} 2"]).await;
    // The first view is no change.
    let counts = |count: u8| {
        let stages = ["seen", "planned", "written", "answered"];
        stages.map(|stage| format!("dns_syncd_event_latency_seconds_count{{stage=\"{stage}\"}} {count}"))
    };
    let text = running.metrics().await;
    assert!(counts(0).iter().all(|line| text.contains(line)), "{text}");

    let tell = async |number: u8, last: u8| {
        let event = SourceEvent::Service { cluster: "c1".into(), service: service(number), copy: Some(copy(last)) };
        running.tell.send(vec![event]).await.unwrap();
    };
    tell(0, 10).await;
    let lines = counts(1);
    running.until(&lines.each_ref().map(String::as_str)).await;
    // What changes nothing is seen and goes no further; a view of files tells a change in another way.
    tell(0, 10).await;
    let answer = ClusterAnswer {
        services: BTreeMap::from([(service(0), copy(10)), (service(1), copy(11))]),
        ..ClusterAnswer::default()
    };
    running.tell.send(vec![SourceEvent::Answer { cluster: "c1".into(), answer }]).await.unwrap();
    let lines = counts(2);
    let text = running.until(&lines.each_ref().map(String::as_str)).await;
    assert!(text.contains("dns_syncd_answer_checks_total{outcome=\"answered\"} 2"), "{text}");
    running.end().await;
}

#[tokio::test]
async fn without_a_server_to_ask_no_answer_is_measured() {
    let running = Running::start(Vec::new());
    running.answer("c1", 1).await;
    running.until(&["dns_syncd_ready 1", "dns_syncd_record_sets{type=\"A\",state=\"published\"} 1"]).await;
    let event = SourceEvent::Service { cluster: "c1".into(), service: service(0), copy: Some(copy(10)) };
    running.tell.send(vec![event]).await.unwrap();
    let text = running.until(&["dns_syncd_event_latency_seconds_count{stage=\"written\"} 1"]).await;
    assert!(text.contains("dns_syncd_event_latency_seconds_count{stage=\"answered\"} 0"), "{text}");
    assert!(text.contains("dns_syncd_answer_checks_total{outcome=\"unanswered\"} 0"), "{text}");
    running.end().await;
}

#[tokio::test]
async fn the_guard_tells_which_limit_holds_how_much() {
    let running = Running::start(Vec::new());
    running.answer("c1", 20).await;
    running.until(&["dns_syncd_record_sets{type=\"A\",state=\"published\"} 20"]).await;
    let provider = running.provider.clone();
    running.end().await;
    // The guard judges by what was claimed when its window began, so by what a daemon finds.
    let running = Running::start_on(provider, Vec::new());
    running.answer("c1", 0).await;
    let lines = [
        "dns_syncd_held_changes{limit=\"max-delete\"} 20",
        "dns_syncd_record_sets{type=\"A\",state=\"held\"} 20",
        "dns_syncd_guard_holds_total{limit=\"max-delete\"} 1",
        "dns_syncd_guard_losses{kind=\"deleted\"} 20",
        "dns_syncd_guard_losses_allowed{kind=\"deleted\"} 6",
    ];
    running.until(&lines).await;
    running.end().await;
}
