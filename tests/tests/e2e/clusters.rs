//! Real API servers: objects are created through them, the daemon watches with the least rights, DNS follows.

use crate::members::Member;
use crate::real::Real;
use crate::truth::truth;

fn federation() -> [Member; 3] {
    [
        Member::new("eu").with("web", &["192.0.2.1"]).with("api", &["192.0.2.2"]),
        Member::new("us").with("web", &["198.51.100.1"]),
        Member::new("asia").with("web", &["203.0.113.1"]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KUBE_APISERVER_BIN, ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn dns_follows_real_clusters_and_stays_while_one_is_away() {
    let [eu, us, asia] = federation();
    let mut real = Real::start(&[eu.clone(), us.clone(), asia.clone()]).await;
    real.configure("unreachable-grace = 1h");
    real.world.start();
    real.logs("denied (403").await;
    real.logs("grant list and watch on services").await;
    for cluster in &real.clusters {
        cluster.allow().await;
    }
    real.world.expect(truth(&[eu.clone(), us.clone(), asia.clone()]));
    real.world.settle("the federation comes up").await;

    // A new address, a service without a ready endpoint, a service that is deleted.
    let (moved, sick, without) =
        (us.with("web", &["198.51.100.9"]), asia.ready("web", false), eu.clone().without("api"));
    real.world.expect(truth(&[without.clone(), moved.clone(), sick.clone()]));
    real.clusters[1].put(&moved).await;
    real.clusters[2].put(&sick).await;
    real.clusters[0].put(&without).await;
    real.world.settle("objects change").await;

    // An API server dies. What it said stays, also while others change.
    real.clusters[0].api.kill();
    real.logs("the cluster is unknown").await;
    let ended = real.world.call(&["records"]).await;
    assert_eq!(ended.code, 4, "{}", ended.stderr);
    assert!(ended.stderr.contains("eu") && ended.stderr.contains("unreachable"), "{}", ended.stderr);
    assert!(ended.stdout.contains("198.51.100.9") && !ended.stdout.contains("192.0.2.1"), "{}", ended.stdout);
    let well = sick.ready("web", true);
    real.world.expect(truth(&[without.clone(), moved.clone(), well.clone()]));
    real.clusters[2].put(&well).await;
    real.world.settle("another cluster changes while one is away").await;

    // It comes back, and has something new to say.
    let back = without.with("web", &["192.0.2.7"]);
    real.world.expect(truth(&[back.clone(), moved.clone(), well.clone()]));
    real.clusters[0].api.restart().await;
    real.clusters[0].put_patiently(&back).await;
    real.world.settle("the lost cluster is back").await;
    real.world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KUBE_APISERVER_BIN, ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn names_fail_over_after_the_grace_and_a_cluster_that_leaves_takes_its_records_along() {
    let members = federation();
    let mut real = Real::start(&members).await;
    for cluster in &real.clusters {
        cluster.allow().await;
    }
    let [eu, us, asia] = members;
    real.configure("unreachable-grace = 2s\ntopology-linger = 0");
    real.world.expect(truth(&[eu.clone(), us.clone(), asia.clone()]));
    real.world.start();
    real.world.settle("the federation comes up").await;

    // Others serve `web`; nobody else serves `api`, so that stays.
    real.clusters[0].api.kill();
    let failed_over = eu.clone().ready("web", false);
    real.world.expect(truth(&[failed_over, us.clone(), asia.clone()]));
    real.world.settle("names fail over after the grace").await;
    real.world.expect(truth(&[eu.clone(), us.clone(), asia.clone()]));
    real.clusters[0].api.restart().await;
    real.world.settle("the cluster is back").await;

    std::fs::remove_file(real.kubeconfigs.path().join("us")).unwrap();
    real.world.expect(truth(&[eu, asia]));
    real.world.settle("a cluster has left").await;
    real.world.finish().await;
}
