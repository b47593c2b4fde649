//! Kubernetes events on services: real API servers keep what the daemon tells, and how much of it is up to the limits.

use std::time::{Duration, Instant};

use kube::api::ListParams;
use serde_json::{Value, json};

use crate::members::{Member, NAMESPACE};
use crate::real::{Cluster, Real};
use crate::truth::truth;

/// An event as far as it is looked at.
#[derive(Clone, Debug)]
struct Told {
    severity: String,
    reason: String,
    note: String,
    service: String,
    uid: String,
}

impl Cluster {
    /// The right that events need beside the least rights.
    async fn allow_events(&self) {
        let rules = json!([{ "apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"] }]);
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": { "name": "dns-syncd-events" }, "rules": rules,
        });
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": { "name": "dns-syncd-events" },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "dns-syncd-events" },
            "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "dns-syncd" }],
        });
        self.write(&role).await;
        self.write(&binding).await;
    }

    /// All events about services.
    async fn told(&self) -> Vec<Told> {
        let kind = json!({ "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": { "namespace": NAMESPACE } });
        let events = self.of(&kind).list(&ListParams::default()).await.unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let told = events.items.iter().map(|event| &event.data).map(|event| {
            let about = &event["regarding"];
            assert_eq!((&about["apiVersion"], &about["kind"]), (&json!("v1"), &json!("Service")), "{event}");
            assert_eq!(about["namespace"], NAMESPACE);
            assert_eq!(event["reportingController"], "dns-syncd");
            let (service, uid) = (text(&about["name"]), text(&about["uid"]));
            Told {
                severity: text(&event["type"]),
                reason: text(&event["reason"]),
                note: text(&event["note"]),
                service,
                uid,
            }
        });
        told.collect()
    }

    /// Waits for an event.
    async fn tells(&self, severity: &str, reason: &str, service: &str, words: &str) -> Told {
        let mut told = Vec::new();
        for _ in 0..1200 {
            told = self.told().await;
            let is_it = |one: &&Told| (&*one.severity, &*one.reason, &*one.service) == (severity, reason, service);
            if let Some(found) = told.iter().filter(is_it).find(|one| one.note.contains(words)) {
                return found.clone();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("never a {severity} {reason} on {service} with `{words}`: {told:#?}");
    }

    async fn uid(&self, service: &str) -> String {
        let kind = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "namespace": NAMESPACE } });
        self.of(&kind).get(service).await.unwrap().metadata.uid.unwrap()
    }
}

/// As [`Real::configure`], with events, and one of the clusters limited in what it may publish.
fn configure(real: &Real) {
    let folder = real.kubeconfigs.path().display();
    let source = format!("[Source]\nkind = clusters\npath = {folder}\nevents = true");
    real.world.configure(&format!("topology-linger = 0\n{source}\n[Cluster \"eu\"]\naddresses = 192.0.2.0/24"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KUBE_APISERVER_BIN, ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn services_are_told_what_dns_made_of_them() {
    let eu = Member::new("eu").with("web", &["192.0.2.1"]).with("odd", &["203.0.113.9"]);
    let us = Member::new("us").with("web", &["198.51.100.1"]);
    // What may not be published is not in DNS.
    let seen = |eu: &Member| eu.clone().ready("odd", false);
    let mut real = Real::start(&[eu.clone(), us.clone()]).await;
    for cluster in &real.clusters {
        cluster.allow().await;
        cluster.allow_events().await;
    }
    configure(&real);
    real.world.expect(truth(&[seen(&eu), us.clone()]));
    real.world.start();
    real.world.settle("the federation comes up").await;
    let published = real.clusters[0].tells("Normal", "Published", "web", "192.0.2.1").await;
    assert_eq!(published.uid, real.clusters[0].uid("web").await);
    assert!(!published.note.contains("198.51.100.1"), "the other cluster's: {published:?}");
    real.clusters[0].tells("Warning", "Refused", "odd", "203.0.113.9").await;
    real.clusters[1].tells("Normal", "Published", "web", "198.51.100.1").await;

    // Failover: the cluster that lost its endpoints is told, the other one is not.
    let mut begun = Instant::now();
    let down = eu.clone().ready("web", false);
    real.world.expect(truth(&[seen(&down), us.clone()]));
    real.clusters[0].put(&down).await;
    real.world.settle("an endpoint dies").await;
    let withdrawn = real.clusters[0].tells("Warning", "Withdrawn", "web", "no ready endpoint").await;
    assert!(withdrawn.note.contains("192.0.2.1"), "{withdrawn:?}");

    // It flaps: DNS follows every time, the events stop at their limit.
    for round in 0..8 {
        for now in [&eu, &down] {
            real.world.expect(truth(&[seen(now), us.clone()]));
            real.clusters[0].put(now).await;
            real.world.settle(&format!("round {round}")).await;
        }
    }
    let count = |told: &[Told], service: &str| told.iter().filter(|one| one.service == service).count();
    let told = count(&real.clusters[0].told().await, "web");
    let more = usize::try_from(begun.elapsed().as_secs() / 60).unwrap() + 1;
    assert!((10..=10 + more).contains(&told), "{told} events for 18 changes");

    // After a restart not everything is told again. What is new comes after what would have been told again.
    real.world.stop().await;
    begun = Instant::now();
    real.world.start();
    let late = down.clone().with("late", &["192.0.2.5"]);
    real.world.expect(truth(&[seen(&late), us.clone()]));
    real.clusters[0].put(&late).await;
    real.world.settle("a service comes after a restart").await;
    real.clusters[0].tells("Normal", "Published", "late", "192.0.2.5").await;
    let events = real.clusters[0].told().await;
    assert!(count(&events, "web") <= told + 1, "{events:#?}");
    assert!(count(&events, "odd") == 1 || begun.elapsed() > Duration::from_mins(30), "{events:#?}");
    real.world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KUBE_APISERVER_BIN, ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn without_the_right_to_write_events_dns_is_right_and_one_line_says_what_is_missing() {
    let mut eu = Member::new("eu").with("web", &["192.0.2.1"]);
    let mut real = Real::start(&[eu.clone()]).await;
    real.clusters[0].allow().await;
    configure(&real);
    real.world.expect(truth(&[eu.clone()]));
    real.world.start();
    real.world.settle("the federation comes up").await;
    real.logs("grant create on events.events.k8s.io").await;
    for last in 2..6 {
        eu = eu.with("web", &[&format!("192.0.2.{last}")]);
        real.world.expect(truth(&[eu.clone()]));
        real.clusters[0].put(&eu).await;
        real.world.settle("another address").await;
    }
    assert_eq!(real.world.log().matches("Kubernetes events cannot be written").count(), 1, "{}", real.world.log());
    assert_eq!(real.clusters[0].told().await.len(), 0);

    // Once the right is granted the next event is written, and that is said too.
    real.clusters[0].allow_events().await;
    let mut last = 10;
    while !real.world.log().contains("Kubernetes events are written again") {
        assert!(last < 100, "{}", real.world.log());
        eu = eu.with(&format!("s{last}"), &[&format!("192.0.2.{last}")]);
        real.world.expect(truth(&[eu.clone()]));
        real.clusters[0].put(&eu).await;
        real.world.settle("another service").await;
        last += 1;
    }
    assert!(!real.clusters[0].told().await.is_empty());
    real.world.finish().await;
}
