//! The `Lease` of a Kubernetes cluster, against a small API server in this process.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cluster;
mod takeover;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dns_syncd::leader::{BootClock, Election as _, ElectionError, LeaseElection, LeaseOptions, Record, Seat};
use serde_json::json;

use self::cluster::{Cluster, serve};

/// Stands still until it is told.
#[derive(Debug, Default)]
struct TestClock(AtomicU64);

impl TestClock {
    fn pass(&self, seconds: u64) {
        self.pass_millis(1000 * seconds);
    }

    fn pass_millis(&self, millis: u64) {
        self.0.fetch_add(millis, Ordering::Relaxed);
    }
}

impl BootClock for TestClock {
    fn now(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// A cluster, and a way to make processes that run for its lease.
async fn start() -> (Arc<Cluster>, impl Fn() -> (LeaseElection, Arc<TestClock>)) {
    let cluster = Arc::new(Cluster::default());
    let url = serve(&cluster).await;
    let process = move || {
        let client = kube::Client::try_from(kube::Config::new(url.parse().unwrap())).unwrap();
        let clock = Arc::new(TestClock::default());
        (LeaseElection::new(client, "dns", "fed", Duration::from_secs(15), clock.clone()), clock)
    };
    (cluster, process)
}

fn record(holder: &str) -> Record {
    Record { holder: holder.to_owned(), claim: "fed".to_owned(), digest: "1".to_owned(), ..Record::default() }
}

fn term(seat: Result<Seat, ElectionError>) -> u64 {
    match seat.unwrap() {
        Seat::Ours { term, fence: None } => term,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_lease_is_taken_renewed_and_given_up() {
    let (cluster, process) = start().await;
    let ((mut first, _), (mut second, clock)) = (process(), process());
    let begun = term(first.attempt(&record("first")).await);
    let spec = cluster.spec();
    assert_eq!((&spec["holderIdentity"], &spec["leaseDurationSeconds"]), (&json!("first"), &json!(15)));
    assert_eq!(second.attempt(&record("second")).await.unwrap(), Seat::Taken(record("first")));
    clock.pass(10);
    assert_eq!(term(first.attempt(&record("first")).await), begun, "a renewal is no new term");
    clock.pass(10);
    assert_eq!(second.attempt(&record("second")).await.unwrap(), Seat::Taken(record("first")), "it was renewed");
    first.resign().await;
    assert_eq!(cluster.spec()["holderIdentity"], json!(""));
    assert_ne!(term(second.attempt(&record("second")).await), begun);
    assert_eq!(cluster.spec()["leaseTransitions"], json!(1));
}

#[tokio::test]
async fn a_lease_that_nobody_renews_is_over_by_the_watchers_own_clock() {
    let (cluster, process) = start().await;
    let ((mut first, _), (mut second, clock)) = (process(), process());
    let begun = term(first.attempt(&record("first")).await);
    // The times in it are another machine's, and say nothing.
    cluster.set(|lease| lease["spec"]["renewTime"] = json!("2001-01-01T00:00:00.000000Z"));
    for _ in 0..3 {
        assert!(matches!(second.attempt(&record("second")).await.unwrap(), Seat::Taken(_)));
        clock.pass(5);
    }
    assert_ne!(term(second.attempt(&record("second")).await), begun);
    assert_eq!(first.attempt(&record("first")).await.unwrap(), Seat::Taken(record("second")), "it was away too long");
}

/// It was renewed after the look before, so it is over no later than its duration after that.
#[tokio::test]
async fn a_renewal_counts_from_the_look_before_it() {
    let (_cluster, process) = start().await;
    let ((mut first, _), (mut second, clock)) = (process(), process());
    let (one, two) = (record("first"), record("second"));
    term(first.attempt(&one).await);
    assert_eq!(second.attempt(&two).await.unwrap(), Seat::Taken(one.clone()));
    term(first.attempt(&one).await);
    clock.pass(1);
    assert_eq!(second.attempt(&two).await.unwrap(), Seat::Taken(one.clone()));
    clock.pass_millis(13_999);
    assert_eq!(second.attempt(&two).await.unwrap(), Seat::Taken(one.clone()), "it may be older by a second, not more");
    clock.pass_millis(1);
    assert!(term(second.attempt(&two).await) > 0);
}

/// When it was renewed is not known then, and may be just now.
#[tokio::test]
async fn a_look_that_comes_late_gives_the_leader_nearly_all_its_time() {
    let (cluster, process) = start().await;
    let ((mut first, _), (mut second, clock)) = (process(), process());
    let (one, two) = (record("first"), record("second"));
    term(first.attempt(&one).await);
    assert_eq!(second.attempt(&two).await.unwrap(), Seat::Taken(one.clone()));
    *cluster.refuses.lock().unwrap() = Some(500);
    for _ in 0..4 {
        clock.pass(3);
        assert!(second.attempt(&two).await.is_err());
    }
    *cluster.refuses.lock().unwrap() = None;
    term(first.attempt(&one).await);
    assert_eq!(second.attempt(&two).await.unwrap(), Seat::Taken(one.clone()));
    clock.pass_millis(13_499);
    assert_eq!(second.attempt(&two).await.unwrap(), Seat::Taken(one.clone()));
    clock.pass_millis(1);
    assert!(term(second.attempt(&two).await) > 0);
}

#[tokio::test]
async fn of_two_that_take_it_at_once_one_leads() {
    let (_cluster, process) = start().await;
    let ((mut first, _), (mut second, _)) = (process(), process());
    let (one, two) = (record("first"), record("second"));
    let seats = tokio::join!(first.attempt(&one), second.attempt(&two));
    let seats = [seats.0.unwrap(), seats.1.unwrap()];
    assert_eq!(seats.iter().filter(|seat| matches!(seat, Seat::Ours { .. })).count(), 1, "{seats:?}");
}

#[tokio::test]
async fn what_was_written_without_an_answer_is_still_ours() {
    let (cluster, process) = start().await;
    let (mut first, _) = process();
    let begun = term(first.attempt(&record("first")).await);
    // A version that this process does not know, as after a lost answer.
    cluster.set(|_| {});
    assert_eq!(term(first.attempt(&record("first")).await), begun);
    cluster.set(|_| {});
    first.resign().await;
    assert_eq!(cluster.spec()["holderIdentity"], json!(""));
}

#[tokio::test]
async fn a_missing_right_is_named_with_the_lease() {
    let (cluster, process) = start().await;
    let (mut first, _) = process();
    *cluster.refuses.lock().unwrap() = Some(403);
    let error = first.attempt(&record("first")).await.unwrap_err();
    let wanted = ["reading the lease `fed` in the namespace `dns`", "`get`, `create` and `update` on `leases`"];
    assert!(wanted.iter().all(|part| error.message.contains(part)) && error.is_denied, "{error:?}");
    *cluster.refuses.lock().unwrap() = Some(500);
    assert!(!first.attempt(&record("first")).await.unwrap_err().is_denied);
}

//----------- Credentials ----------------------------------------------------

fn kubeconfig(url: &str, token: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts:\n- name: c\n  context: {{cluster: c, user: u}}\n\
         clusters:\n- name: c\n  cluster: {{server: '{url}'}}\nusers:\n- name: u\n  user: {{token: {token}}}\n"
    )
}

async fn open(kubeconfig: &Path) -> Result<LeaseElection, ElectionError> {
    let (namespace, kubeconfig) = (Some("dns".to_owned()), Some(kubeconfig.to_owned()));
    let options = LeaseOptions { name: "fed".to_owned(), namespace, kubeconfig };
    LeaseElection::open(options, Duration::from_secs(15), Arc::new(TestClock::default())).await
}

#[tokio::test]
async fn credentials_and_addresses_are_renewed_in_their_file() {
    let cluster = Arc::new(Cluster::default());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kubeconfig");
    *cluster.token.lock().unwrap() = Some("one");
    let url = serve(&cluster).await;
    std::fs::write(&file, kubeconfig(&url, "one")).unwrap();
    let mut first = open(&file).await.unwrap();
    let begun = term(first.attempt(&record("first")).await);

    *cluster.token.lock().unwrap() = Some("two");
    assert!(first.attempt(&record("first")).await.unwrap_err().message.contains("Unauthorized"));
    // Not yet renewed, and then half written.
    assert!(first.attempt(&record("first")).await.unwrap_err().message.contains("Unauthorized"));
    std::fs::write(&file, "apiVersion: [").unwrap();
    assert!(first.attempt(&record("first")).await.unwrap_err().message.contains("it is no kubeconfig"));
    std::fs::write(&file, kubeconfig(&url, "two")).unwrap();
    assert_eq!(term(first.attempt(&record("first")).await), begun, "it led all the time");

    // Nobody answers there.
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    std::fs::write(&file, kubeconfig(&format!("http://{gone}"), "two")).unwrap();
    let mut second = open(&file).await.unwrap();
    assert!(!second.attempt(&record("second")).await.unwrap_err().is_denied);
    std::fs::write(&file, kubeconfig(&url, "two")).unwrap();
    assert_eq!(second.attempt(&record("second")).await.unwrap(), Seat::Taken(record("first")));
}

#[tokio::test]
async fn a_broken_kubeconfig_is_named_without_its_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kubeconfig");
    let exec = "exec: {apiVersion: client.authentication.k8s.io/v1, command: sh, args: [-c, 'echo s3cret; exit 1'], \
                interactiveMode: Never}";
    for (what, text, line) in [
        ("bad indentation", "users:\n- name: u\n  user:\n    token: s3cret\n   password: s3cret\n", ":5: "),
        ("a wrong type", "apiVersion: v1\nusers:\n- name: u\n  user: s3cret\n", ":4: "),
        ("all in one line", "{apiVersion: v1, users: [{name: u, user: {token: s3cret, password: [s3cret]}}]}", ":1: "),
        ("a plugin that says it", &kubeconfig("http://127.0.0.1:1", "x").replace("token: x", exec), "`sh` ended with"),
    ] {
        std::fs::write(&file, text).unwrap();
        let error = open(&file).await.unwrap_err();
        assert!(!error.message.contains("s3cret"), "{what}: {error:?}");
        assert!(error.message.contains(line), "{what}: {error:?}");
        assert!(line.starts_with('`') || error.message.contains(file.to_str().unwrap()), "{what}: {error:?}");
    }
}
