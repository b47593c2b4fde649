//! Several daemons for one zone: one writes, the others wait.

mod fence;

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use dns_conformance::servers::{CoreDns, Etcd, EtcdVersion, KubeApi, KubeUser, try_query};
use etcd_client::GetOptions;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::asker::{Asker, Leave};
use crate::members::{Folder, Member};
use crate::program::{self, Daemon, Ended};
use crate::truth::{Existence, FEDERATION, Truth, Want, ZONE, truth};

/// A safety net: what has not come true by then never will.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between two looks at what is not true yet.
const PAUSE: Duration = Duration::from_millis(20);
/// Enough for many transactions.
const SERVICES: usize = 300;
/// Keys of each service in two clusters: two at the global name, one at each region's and zone's.
const KEYS: i64 = 6;

/// One etcd, the clusters that all replicas watch, and the replicas' files.
struct Stage {
    etcd: Etcd,
    clusters: Folder,
    folder: TempDir,
}

/// A daemon with a config of its own.
struct Replica {
    name: &'static str,
    config: PathBuf,
    port: u16,
    daemon: Option<Daemon>,
}

impl Stage {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let etcd = Etcd::start(EtcdVersion::V3_6).await;
        let provider = format!("[Global]\netcd-endpoints = {}\nzones = {ZONE}\n", etcd.url());
        std::fs::write(folder.path().join("provider.conf"), provider).unwrap();
        Self { etcd, clusters: Folder::new(folder.path().join("clusters")), folder }
    }

    /// A config of that name; `more` are further sections. Nothing runs yet.
    fn replica(&self, name: &'static str, more: &str) -> Replica {
        let config = self.folder.path().join(format!("{name}.conf"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let replica = Replica { name, config, port: listener.local_addr().unwrap().port(), daemon: None };
        self.configure(&replica, more);
        replica
    }

    fn configure(&self, replica: &Replica, more: &str) {
        let (folder, port) = (self.folder.path().display(), replica.port);
        let text = format!(
            "[Federation]\nname = {FEDERATION}\nzone-name = {ZONE}\n\
             [Provider]\nname = coredns\nconfig = {folder}/provider.conf\n\
             [Source]\npath = {folder}/clusters\n\
             [Sync]\nmin-interval = 0\nunreachable-grace = 1h\n\
             [Guard]\nmax-delete = 100\nmax-update = 100\nmax-emptied = 100\n\
             [Admin]\nlisten = 127.0.0.1:{port}\n[Leader]\nidentity = {}\n{more}\n",
            replica.name
        );
        std::fs::write(&replica.config, text).unwrap();
    }

    /// What an answering server would see: keys and values below the zones' path.
    async fn keys(&self) -> std::collections::BTreeMap<String, String> {
        self.etcd.list("/skydns/").await
    }

    async fn until_keys(&self, what: &str, is_so: impl Fn(&str) -> bool) {
        let begun = Instant::now();
        while !self.keys().await.values().any(|value| is_so(value)) {
            assert!(begun.elapsed() < PATIENCE, "{what}: {:?}", self.keys().await);
            tokio::time::sleep(PAUSE).await;
        }
    }
}

impl Replica {
    fn start(&mut self) {
        let log = self.config.with_extension("log");
        self.daemon = Some(Daemon::start(&self.config, log));
    }

    fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().unwrap()
    }

    async fn call(&self, arguments: &[&str]) -> Ended {
        program::call(&self.config, arguments).await
    }

    /// Status code and body of a request at the admin address; `None` while nobody answers.
    async fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.ok()?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    async fn status(&self) -> Option<Value> {
        let (code, body) = self.get("/status").await?;
        (code == 200).then(|| serde_json::from_str(&body).unwrap())
    }

    /// Asks until the status is so.
    async fn until(&mut self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let status = self.status().await;
            self.daemon.as_mut().unwrap().assert_runs();
            match status {
                Some(status) if is_so(&status) => return status,
                status => assert!(
                    begun.elapsed() < PATIENCE,
                    "{}: {what}: {status:?}\nlog:\n{}",
                    self.name,
                    self.daemon().log()
                ),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Asks until it is ready in this role.
    async fn until_role(&mut self, role: &str) -> Value {
        self.until(role, |status| status["ready"] == true && status["leader"]["role"] == role).await
    }
}

/// Changes that wait.
fn waiting(status: &Value) -> u64 {
    status["queue"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum()
}

fn bulk(name: &str, network: &str) -> Member {
    (0..SERVICES).fold(Member::new(name), |member, index| {
        member.with(&format!("s{index}"), &[&format!("{network}.{}.{}", index / 100, index % 100 + 1)])
    })
}

/// A crash in the middle of a bulk write: the standby finishes it, and no name that was published is ever answered
/// wrongly.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn a_leader_killed_in_a_bulk_write_is_followed_by_the_standby() {
    let stage = Stage::new().await;
    let coredns = CoreDns::on_etcd(&[ZONE], &stage.etcd.url()).await;
    let leader = "kind = etcd\nlease-duration = 3";
    let (mut first, mut second) = (stage.replica("first", leader), stage.replica("second", leader));
    stage.clusters.put_all([&Member::new("eu"), &Member::new("us")]);
    first.start();
    first.until_role("leader").await;
    second.start();
    let standby = second.until_role("standby").await;
    assert!(standby["leader"]["leader"].as_str().unwrap().starts_with("first_"), "{standby}");

    let members = [bulk("eu", "198.18"), bulk("us", "198.19")];
    let all: Truth = truth(&members).into_iter().filter(|((_, rr_type), _)| *rr_type == "A").collect();
    stage.clusters.put_all(&members);
    let mut client = stage.etcd.client().await;
    let count = Some(GetOptions::new().with_prefix().with_count_only());
    let whole = KEYS * i64::try_from(SERVICES).unwrap();
    while client.get("/skydns/", count.clone()).await.unwrap().count() < whole / 4 {
        tokio::task::yield_now().await;
    }
    first.daemon.take().unwrap().kill();
    let written = stage.keys().await.len();
    assert!(written < usize::try_from(whole).unwrap(), "{written} keys: not in the middle");

    let mut seen = Truth::new();
    for question in all.keys() {
        let answer = try_query(coredns.address(), &question.0, question.1).await.unwrap();
        let addresses: std::collections::BTreeSet<_> = answer.addresses().into_iter().collect();
        let name = if addresses.is_empty() { Existence::Either } else { Existence::Exists };
        seen.insert(question.clone(), Want { addresses, name });
    }
    let asker = Asker::start(coredns.address());
    asker.allow(&seen, &all, Leave::None);
    second.until_role("leader").await;
    let begun = Instant::now();
    for (question, want) in &all {
        while !try_query(coredns.address(), &question.0, question.1).await.is_ok_and(|answer| want.is_met(&answer)) {
            asker.assert_content();
            assert!(begun.elapsed() < PATIENCE, "{question:?}; log:\n{}", second.daemon().log());
            tokio::time::sleep(PAUSE).await;
        }
    }
    let until = asker.asked() + 2 * all.len() as u64;
    asker.allow(&all, &all, Leave::None);
    while asker.asked() < until {
        asker.assert_content();
        tokio::time::sleep(PAUSE).await;
    }
    asker.assert_content();
}

/// The new leader is frozen, so nothing that it writes hides what the old one would: the old one finds the zone as it
/// left it, and a change in the clusters that it would write.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ETCD_BIN: tests/run gets it"]
async fn a_leader_that_is_stopped_past_its_lease_writes_nothing_when_it_wakes() {
    let stage = Stage::new().await;
    let leader = "kind = etcd\nlease-duration = 3";
    let mut first = stage.replica("first", leader);
    let mut second = stage.replica("second", &format!("{leader}\n[Guard]\nfreeze = true"));
    stage.clusters.put(&Member::new("eu").with("web", &["192.0.2.1"]));
    first.start();
    first.until_role("leader").await;
    first.until("the first write", |status| waiting(status) == 0 && !status["last_write"].is_null()).await;
    second.start();
    second.until_role("standby").await;

    first.daemon().signal("STOP");
    second.until_role("leader").await;
    stage.clusters.put(&Member::new("eu").with("web", &["192.0.2.9"]));
    second.until("the change is held", |status| status["held"].as_array().unwrap().len() > 1).await;
    let before = stage.keys().await;
    first.daemon().signal("CONT");
    let woken = first.until("it plans the change", |status| waiting(status) > 0).await;
    assert_ne!(woken["leader"]["role"], "leader", "{woken}");
    let woken = first.until_role("standby").await;
    assert!(woken["leader"]["leader"].as_str().unwrap().starts_with("second_"), "{woken}");
    assert_eq!(stage.keys().await, before, "a stale leader wrote; its log:\n{}", first.daemon().log());

    stage.configure(&second, leader);
    stage.until_keys("the new leader writes", |value| value.contains("192.0.2.9")).await;
}

/// A lease of an hour: whatever is taken over here was given up.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ETCD_BIN: tests/run gets it"]
async fn a_stop_hands_over_at_once_and_commands_name_who_leads() {
    let stage = Stage::new().await;
    let leader = "kind = etcd\nlease-duration = 1h";
    let (mut first, mut second) = (stage.replica("first", leader), stage.replica("second", leader));
    let mut other = stage.replica("other", &format!("{leader}\n[Federation]\nservice-dns-suffix = x.{ZONE}"));
    stage.clusters.put(&Member::new("eu").with("web", &["192.0.2.1"]));
    first.start();
    first.until_role("leader").await;
    second.start();
    second.until_role("standby").await;
    assert_eq!(second.get("/readyz").await.unwrap().0, 200);
    let metrics = (first.get("/metrics").await.unwrap().1, second.get("/metrics").await.unwrap().1);
    assert!(metrics.0.contains("dns_syncd_leadership 1\n") && metrics.1.contains("dns_syncd_leadership 0\n"));

    for arguments in [&["apply"][..], &["release", "--yes"]] {
        let refused = second.call(arguments).await;
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(refused.stderr.contains("`first_") && refused.stderr.contains("nothing was written"), "{refused:?}");
    }

    other.start();
    let status = other.until("refused", |status| status["leader"]["role"] == "refused").await;
    let differences = format!("suffix `{ZONE}.` there, `x.{ZONE}.` here");
    assert_eq!(status["leader"]["differences"], serde_json::json!([differences]));
    assert_eq!(other.get("/readyz").await.unwrap().0, 503);
    let refused = other.call(&["apply"]).await;
    assert!(refused.code == 1 && refused.stderr.contains(&differences), "{refused:?}");
    other.daemon.take().unwrap().stop().await;

    first.daemon.take().unwrap().stop().await;
    second.until_role("leader").await;
    stage.clusters.put(&Member::new("eu").with("web", &["192.0.2.2"]));
    stage.until_keys("the new leader writes", |value| value.contains("192.0.2.2")).await;
    second.daemon.take().unwrap().stop().await;
    for _ in 0..2 {
        let applied = first.call(&["apply"]).await;
        assert_eq!(applied.code, 0, "{applied:?}");
    }
    assert_eq!(stage.etcd.list("/dns-syncd/").await.len(), 0, "a leadership was left behind");
}

/// The lease lies in another cluster than the records, so there is no fence here but the time and the pre-images.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ETCD_BIN and KUBE_APISERVER_BIN: tests/run gets them"]
async fn a_lease_of_a_real_cluster_passes_on_when_its_holder_stops_or_dies() {
    let stage = Stage::new().await;
    let api = KubeApi::start(&stage.etcd, "host").await;
    let leader = |user: KubeUser, file: &str| {
        let path = stage.folder.path().join(file);
        std::fs::write(&path, api.kubeconfig(user)).unwrap();
        format!("kind = lease\nnamespace = default\nlease-duration = 3\nkubeconfig = {}", path.display())
    };
    let admin = leader(KubeUser::Admin, "admin.kubeconfig");
    let mut plain = stage.replica("plain", &leader(KubeUser::Plain, "plain.kubeconfig"));
    let (mut first, mut second) = (stage.replica("first", &admin), stage.replica("second", &admin));
    stage.clusters.put(&Member::new("eu").with("web", &["192.0.2.1"]));
    plain.start();
    let status = plain.until("denied", |status| status["leader"]["error"].is_string()).await;
    let error = status["leader"]["error"].as_str().unwrap();
    assert!(error.contains("the lease `fed` in the namespace `default`") && error.contains("`update`"), "{error}");
    assert_eq!((&status["leader"]["role"], stage.keys().await.len()), (&Value::from("unsure"), 0));
    plain.daemon.take().unwrap().stop().await;

    first.start();
    first.until_role("leader").await;
    stage.until_keys("the first write", |value| value.contains("192.0.2.1")).await;
    second.start();
    let status = second.until_role("standby").await;
    assert!(status["leader"]["leader"].as_str().unwrap().starts_with("first_"), "{status}");
    let refused = second.call(&["apply"]).await;
    assert!(refused.code == 1 && refused.stderr.contains("`first_"), "{refused:?}");
    first.daemon.take().unwrap().kill();
    second.until_role("leader").await;
    stage.clusters.put(&Member::new("eu").with("web", &["192.0.2.2"]));
    stage.until_keys("the second writes", |value| value.contains("192.0.2.2")).await;

    first.start();
    first.until_role("standby").await;
    second.daemon.take().unwrap().stop().await;
    first.until_role("leader").await;
}

/// Nobody asked for an election. The second would write another TTL everywhere.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ETCD_BIN: tests/run gets it"]
async fn of_two_daemons_with_one_claim_the_second_says_so_and_does_not_write() {
    let stage = Stage::new().await;
    let (mut first, mut second) = (stage.replica("first", ""), stage.replica("second", "[Sync]\nttl = 60"));
    let mut other = stage.replica("other", "[Federation]\nname = other");
    stage.clusters.put(&Member::new("eu").with("web", &["192.0.2.1"]));
    first.start();
    first.until("the first write", |status| waiting(status) == 0 && !status["last_write"].is_null()).await;
    let before = stage.keys().await;
    second.start();
    let status = second.until("it plans", |status| waiting(status) > 0).await;
    assert_eq!((&status["leader"]["role"], &status["last_write"]), (&Value::from("standby"), &Value::Null));
    let log = second.daemon().log();
    assert!(log.contains("another process with this claim is running") && log.contains("first_"), "{log}");
    assert_eq!(stage.keys().await, before);

    // Another claim has nothing to do with it.
    other.start();
    other.until("another claim", |status| waiting(status) == 0 && !status["last_write"].is_null()).await;
    let now = stage.keys().await;
    assert!(now.len() > before.len() && before.iter().all(|(key, value)| now.get(key) == Some(value)), "{now:?}");

    first.daemon.take().unwrap().stop().await;
    stage.until_keys("the second writes when the first is gone", |value| value.contains("\"ttl\":60")).await;
}
