//! The life of a federation on real API servers, asserted by a client that asks all the time.

use std::time::Instant;

use dns_conformance::servers::KubeUser;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::members::Member;
use crate::program::Daemon;
use crate::real::{Cluster, Real};
use crate::truth::{Truth, Want, name, truth};
use crate::world::{GRACE, PATIENCE, PAUSE};

const SERVICES: [&str; 2] = ["web", "api"];
const FAMILIES: [&str; 2] = ["A", "AAAA"];

fn federation() -> [Member; 3] {
    [
        Member::new("eu").with("web", &["192.0.2.1", "2001:db8::1"]).with("api", &["192.0.2.2"]),
        Member::new("us").with("web", &["198.51.100.1"]).with("api", &["198.51.100.2"]),
        Member::new("asia").with("web", &["203.0.113.1", "2001:db8::3"]),
    ]
}

/// A second node of the cluster `eu`, in the zone `eu-b`.
fn second_node() -> Value {
    let labels = json!({ "topology.kubernetes.io/region": "eu", "topology.kubernetes.io/zone": "eu-b" });
    json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "eu-2", "labels": labels } })
}

/// The truth with a zone `eu-b`, of the same cluster as `eu-a`.
fn with_second_zone(mut truth: Truth) -> Truth {
    for (service, rr_type) in SERVICES.into_iter().flat_map(|service| FAMILIES.map(|family| (service, family))) {
        if let Some(want) = truth.get(&(name(service, "eu-a.eu"), rr_type)).cloned() {
            truth.insert((name(service, "eu-b.eu"), rr_type), want);
        }
    }
    truth
}

/// Join, publish, scale to zero, recover, drain, a zone's nodes vanish and come back, leave.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KUBE_APISERVER_BIN, ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn a_federation_lives_on_real_clusters() {
    let [eu, us, asia] = federation();
    let mut real = Real::start(&[eu.clone(), us.clone(), asia.clone()]).await;
    for cluster in &real.clusters {
        cluster.allow().await;
    }
    let grace = format!("unreachable-grace = {}", GRACE.as_secs());
    real.configure(&grace);
    std::fs::remove_file(real.kubeconfigs.path().join("asia")).unwrap();

    real.world.expect(truth(&[eu.clone(), us.clone()]));
    real.world.allow_silence(); // until there is a zone to answer
    real.world.start();
    real.world.settle("two clusters publish").await;

    let all = truth(&[eu.clone(), us.clone(), asia.clone()]);
    real.world.expect(all.clone());
    real.join(&real.clusters[2]);
    real.world.settle("a third one joins").await;

    let idle = us.clone().ready("web", false);
    real.world.expect(truth(&[eu.clone(), idle.clone(), asia.clone()]));
    real.clusters[1].put(&idle).await;
    real.world.settle("a service is scaled to zero").await;
    real.world.expect(all.clone());
    real.clusters[1].put(&us).await;
    real.world.settle("it recovers").await;

    let with_second_zone_all = with_second_zone(all.clone());
    real.world.expect(with_second_zone_all.clone());
    real.clusters[0].write(&second_node()).await;
    real.world.settle("a cluster grows into a second zone").await;

    real.world.expect(with_second_zone(truth(&[eu.clone().withdrawn(), us.clone(), asia.clone()])));
    real.configure(&format!("{grace}\n[Cluster \"eu\"]\ndrain = true"));
    real.world.settle("a cluster is drained").await;
    real.world.expect(with_second_zone_all.clone());
    real.configure(&grace);
    real.world.settle("it serves again").await;

    // The names of the zone linger and lead to the region. Where nothing may linger they go.
    delete(&real.clusters[0], &second_node()).await;
    let region = format!("\"{}", name("web", "eu").trim_end_matches('.'));
    real.until_some_key("the zone's name is a CNAME", |value| value.contains(&region)).await;
    real.world.settle("the nodes of a zone vanish").await;
    let mut without = all.clone();
    for question in with_second_zone_all.keys().filter(|question| !all.contains_key(*question)) {
        without.insert(question.clone(), Want::absent());
    }
    real.world.expect(without);
    real.configure(&format!("{grace}\ntopology-linger = 0"));
    real.world.settle("nothing lingers").await;
    real.world.expect(with_second_zone_all.clone());
    real.clusters[0].write(&second_node()).await;
    real.world.settle("the zone has nodes again").await;

    std::fs::remove_file(real.kubeconfigs.path().join("us")).unwrap();
    real.world.expect(with_second_zone(truth(&[eu, asia])));
    let took = real.world.settle("a cluster leaves").await;
    assert!(took >= GRACE, "a cluster that disappeared was given up after {took:?}");
    real.world.finish().await;
}

async fn delete(cluster: &Cluster, object: &Value) {
    let name = object["metadata"]["name"].as_str().unwrap();
    cluster.of(object).delete(name, &DeleteParams::default()).await.unwrap();
}

/// Services of which the leader has written some when it is killed, and their keys: two at the global name, one at each
/// region's and zone's.
const BULK: usize = 120;
const KEYS: usize = 6 * BULK;

fn bulk(cluster: &str, network: &str) -> Member {
    (1..=BULK).fold(Member::new(cluster), |member, at| member.with(&format!("s{at}"), &[&format!("{network}.0.{at}")]))
}

/// The lease is in one of the clusters. The standby has watched all of them too, and finishes what the leader began.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KUBE_APISERVER_BIN, ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn the_standby_finishes_what_a_killed_leader_began_to_write() {
    let members = [Member::new("host"), bulk("eu", "198.18"), bulk("us", "198.19")];
    let mut real = Real::start(&members).await;
    real.clusters[0].allow().await;
    let host = tempfile::tempdir().unwrap();
    let kubeconfig = host.path().join("kubeconfig");
    std::fs::write(&kubeconfig, real.clusters[0].api.kubeconfig(KubeUser::Admin)).unwrap();
    let replica = |identity: &str| {
        real.configure(&format!(
            "unreachable-grace = 1h\n[Leader]\nkind = lease\nnamespace = default\nlease-duration = 3\n\
             identity = {identity}\nkubeconfig = {}",
            kubeconfig.display()
        ));
        real.world.copy_of_config(identity)
    };
    let (first, second) = (replica("first"), replica("second"));

    let first = Daemon::start(&first, first.with_extension("log"));
    logs(&first, "this process leads").await;
    let mut second = Daemon::start(&second, second.with_extension("log"));
    logs(&second, "standing by").await;
    let mut bulk = truth(&members);
    bulk.retain(|(_, rr_type), _| *rr_type == "A");
    real.world.expect(bulk.clone());
    real.world.allow_silence(); // until there is a zone to answer
    for cluster in &real.clusters[1..] {
        cluster.allow().await;
    }
    let begun = Instant::now();
    while real.etcd.list("/skydns/").await.len() < KEYS / 4 {
        assert!(begun.elapsed() < PATIENCE, "nothing is written:\n{}", first.log());
    }
    first.kill();
    let written = real.etcd.list("/skydns/").await.len();
    assert!(written < KEYS, "{written} keys: not in the middle");
    // What is there now stays, and is added to.
    let seen = real.world.ask(bulk.keys()).await;
    real.world.expect_from(seen, bulk);
    real.world.settle("the other one finishes").await;
    second.assert_runs();
    assert!(second.log().contains("this process leads"), "{}", second.log());
    real.world.finish().await;
}

async fn logs(daemon: &Daemon, words: &str) {
    let begun = Instant::now();
    while !daemon.log().contains(words) {
        assert!(begun.elapsed() < PATIENCE, "never logged `{words}`:\n{}", daemon.log());
        tokio::time::sleep(PAUSE).await;
    }
}
