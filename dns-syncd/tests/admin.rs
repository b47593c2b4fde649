//! The admin address of a running daemon, over real TCP on loopback.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use dns_sync_core::hosts::Resolution;
use dns_sync_core::{ClusterAnswer, Endpoint, ServiceCopy, ServiceId, Settings, SourceEvent};
use dns_syncd::clusters::ClusterReport;
use dns_syncd::config;
use dns_syncd::explain::Explanation;
use dns_syncd::resolver::Resolve;
use dns_syncd::source::{EndpointSource, SourceError, Stop};
use dns_syncd::{Daemon, DaemonError};
use dnsprovider::memory::{Call, Fault};
use dnsprovider::{ErrorKind, Fqdn, MemoryProvider};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Tells what it is given.
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

struct Running {
    address: SocketAddr,
    provider: MemoryProvider,
    tell: mpsc::Sender<Vec<SourceEvent>>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), DaemonError>>,
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn daemon(provider: &MemoryProvider, admin: config::Admin) -> (Daemon, mpsc::Sender<Vec<SourceEvent>>) {
    let (tell, told) = mpsc::channel(16);
    let settings = Settings::new("fed", Fqdn::parse("example.com").unwrap());
    let daemon = Daemon::new(settings, Arc::new(provider.clone()), Box::new(Told(told)));
    (daemon.with_resolver(Arc::new(NoNames)).with_admin(admin), tell)
}

impl Running {
    fn start(token_file: Option<PathBuf>) -> Self {
        Self::start_on(MemoryProvider::new([Fqdn::parse("example.com").unwrap()]), token_file)
    }

    fn start_on(provider: MemoryProvider, token_file: Option<PathBuf>) -> Self {
        let address = free_address();
        let (daemon, tell) = daemon(&provider, config::Admin { listen: address, is_default: false, token_file });
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(daemon.run(async move { _ = stopped.await }));
        Self { address, provider, tell, stop, task }
    }

    async fn request(&self, head: &str, headers: &str, body: &str) -> (u16, String) {
        // The daemon listens as soon as its task has begun.
        let mut stream = loop {
            match TcpStream::connect(self.address).await {
                Ok(stream) => break stream,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        let length = body.len();
        let text = format!(
            "{head} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        );
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    async fn get(&self, path: &str) -> (u16, String) {
        self.request(&format!("GET {path}"), "", "").await
    }

    async fn post(&self, path: &str, headers: &str, body: &Value) -> (u16, String) {
        let headers = format!("content-type: application/json\r\n{headers}");
        self.request(&format!("POST {path}"), &headers, &body.to_string()).await
    }

    async fn status(&self) -> Value {
        serde_json::from_str(&self.get("/status").await.1).unwrap()
    }

    /// Asks for the status until it is so.
    async fn until(&self, is_so: impl Fn(&Value) -> bool) -> Value {
        let asking = async {
            loop {
                let status = self.status().await;
                if is_so(&status) {
                    return status;
                }
            }
        };
        // Only so that a failure ends.
        tokio::time::timeout(std::time::Duration::from_mins(1), asking).await.unwrap()
    }

    /// A cluster answers with so many services.
    async fn answer(&self, cluster: &str, services: u8) {
        let copy = |number: u8| ServiceCopy {
            ingress: [Endpoint::Ip(IpAddr::from([192, 0, 2, number]))].into(),
            ready: true,
            ..ServiceCopy::default()
        };
        let services = (0..services).map(|number| (ServiceId::new("shop", format!("s{number}")), copy(number)));
        let answer = ClusterAnswer { services: services.collect(), ..ClusterAnswer::default() };
        self.tell.send(vec![SourceEvent::Answer { cluster: cluster.into(), answer }]).await.unwrap();
    }

    async fn end(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap();
        assert!(TcpStream::connect(self.address).await.is_err(), "it listens no more");
    }
}

#[tokio::test]
async fn it_is_alive_at_once_and_ready_once_every_cluster_was_heard_of() {
    let running = Running::start(None);
    assert_eq!(running.get("/healthz").await, (200, "ok\n".into()));
    running.tell.send(vec![SourceEvent::Joined { cluster: "c1".into() }]).await.unwrap();
    running.until(|status| status["zone_read"] == true && status["clusters"][0]["name"] == "c1").await;
    assert_eq!(running.get("/readyz").await.0, 503);
    running.answer("c1", 1).await;
    let status = running.until(|status| status["claimed_sets"] == 1).await;
    assert_eq!(running.get("/readyz").await, (200, "ok\n".into()));
    assert_eq!((&status["provider"], &status["federation"]), (&"memory".into(), &"fed".into()));
    assert_eq!(status["clusters"][0]["status"], "Ready");

    // One sick cluster is no reason to restart anything.
    let reason = "it does not answer".into();
    running.tell.send(vec![SourceEvent::Unknown { cluster: "c1".into(), since: None, reason }]).await.unwrap();
    let status = running.until(|status| status["clusters"][0]["status"] == "Unknown").await;
    assert_eq!(status["clusters"][0]["reason"], "it does not answer");
    assert_eq!(running.get("/readyz").await.0, 200);
    running.end().await;
}

#[tokio::test]
async fn explain_and_clusters_are_read_back_as_they_are_written() {
    let running = Running::start(None);
    running.answer("c1", 1).await;
    running.until(|status| status["claimed_sets"] == 1).await;
    let (code, body) = running.get("/explain?name=s0.shop.fed.svc.example.com").await;
    let told: Explanation = serde_json::from_str(&body).unwrap();
    assert_eq!((code, told.name.as_str()), (200, "s0.shop.fed.svc.example.com."));
    assert_eq!(told.clusters[0].published[0].address, IpAddr::from([192, 0, 2, 0]));
    assert_eq!((told.held[0].credits[0].as_slice(), told.history.unwrap().len()), (&["c1".to_owned()][..], 1));
    let clusters: Vec<ClusterReport> = serde_json::from_str(&running.get("/clusters").await.1).unwrap();
    assert_eq!((clusters.len(), clusters[0].services), (1, 1));
    assert!(clusters[0].first_seen.is_some());
    assert_eq!(running.get("/explain?name=a..b").await.0, 400);
    assert_eq!(running.get("/nothing").await.0, 404);
    running.end().await;
}

#[tokio::test]
async fn metrics_tell_what_happened_and_how_it_stands() {
    let running = Running::start(None);
    running.provider.inject(Fault::fail(ErrorKind::Unavailable).on(Call::Zones));
    running.answer("c1", 3).await;
    running.until(|status| status["claimed_sets"] == 3).await;
    let (code, text) = running.get("/metrics").await;
    assert_eq!(code, 200);
    for line in [
        "dns_syncd_set_changes_total{action=\"create\",outcome=\"done\"} 3",
        "dns_syncd_provider_calls_total{provider=\"memory\",call=\"apply\",outcome=\"ok\"} 1",
        "dns_syncd_cluster_ready{cluster=\"c1\"} 1",
        "dns_syncd_record_sets{type=\"A\",state=\"published\"} 3",
        "dns_syncd_pending_changes{urgency=\"creation\"} 0",
        "dns_syncd_settle_duration_seconds_count 1",
        "# EOF",
    ] {
        assert!(text.lines().any(|told| told == line), "{line} in\n{text}");
    }
    running.end().await;
}

#[tokio::test]
async fn an_approval_releases_what_is_held_and_an_unknown_hash_is_refused() {
    let running = Running::start(None);
    running.answer("c1", 20).await;
    running.until(|status| status["claimed_sets"] == 20).await;
    // The guard judges by what was claimed when its window began, so by what a daemon finds.
    let provider = running.provider.clone();
    running.end().await;
    let running = Running::start_on(provider, None);
    running.answer("c1", 0).await;
    let status = running.until(|status| status["held"].as_array().is_some_and(|held| held.len() == 20)).await;
    let hash = serde_json::json!({ "hash": status["hash"] });
    assert_eq!(running.post("/approve", "", &serde_json::json!({ "hash": "0000" })).await.0, 409);
    assert_eq!(running.request("POST /approve", "", &hash.to_string()).await.0, 415, "a form of a web page cannot");
    assert_eq!(running.post("/approve", "", &hash).await.0, 200);
    running.until(|status| status["claimed_sets"] == 0).await;
    running.end().await;
}

#[tokio::test]
async fn with_a_token_file_changes_need_the_token() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    std::fs::write(&path, "s3cret\n").unwrap();
    let running = Running::start(Some(path.clone()));
    running.answer("c1", 1).await;
    running.until(|status| status["claimed_sets"] == 1).await;
    let body = serde_json::json!({ "cluster": "c1" });
    assert_eq!(running.post("/unjoin", "", &body).await.0, 401);
    assert_eq!(running.post("/unjoin", "authorization: Bearer s3cre\r\n", &body).await.0, 401);
    assert_eq!(running.post("/unjoin", "authorization: Bearer s3crets\r\n", &body).await.0, 401);
    std::fs::write(&path, "").unwrap();
    assert_eq!(running.post("/unjoin", "authorization: Bearer \r\n", &body).await.0, 401, "an empty file is no token");
    std::fs::write(&path, "renewed").unwrap();
    assert_eq!(running.post("/unjoin", "authorization: Bearer renewed\r\n", &body).await.0, 200);
    assert_eq!(running.post("/unjoin", "authorization: Bearer renewed\r\n", &body).await.0, 404);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(running.post("/unjoin", "authorization: Bearer renewed\r\n", &body).await.0, 500);
    running.end().await;
}

#[tokio::test]
async fn a_taken_address_is_an_error_when_it_was_asked_for_and_else_a_warning() {
    let provider = MemoryProvider::new([Fqdn::parse("example.com").unwrap()]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap();
    let (asked, _tell) = daemon(&provider, config::Admin { listen, is_default: false, token_file: None });
    let error = asked.run(std::future::pending()).await.unwrap_err();
    assert!(matches!(error, DaemonError::Admin { address, .. } if address == listen));
    let (default, _tell) = daemon(&provider, config::Admin { listen, is_default: true, token_file: None });
    default.run(std::future::ready(())).await.unwrap();
}
