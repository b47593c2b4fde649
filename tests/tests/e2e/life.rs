//! The life of a federation, from its first cluster to its last, on each kind of server.

use dns_conformance::servers::{CoreDns, Etcd, EtcdVersion};

use crate::clouds::Cloud;
use crate::members::Member;
use crate::truth::{ZONE, truth};
use crate::world::{GRACE, World};

/// Three clusters with addresses of both families, of one, and services that run everywhere, in two, in one.
pub(crate) fn federation() -> [Member; 3] {
    [
        Member::new("eu")
            .with("web", &["192.0.2.1", "2001:db8::1"])
            .with("api", &["192.0.2.2"])
            .with("solo", &["192.0.2.3"]),
        Member::new("us").with("web", &["198.51.100.1"]).with("api", &["198.51.100.2", "198.51.100.3"]),
        Member::new("asia").with("web", &["203.0.113.1", "2001:db8::3"]),
    ]
}

/// Comes up, loses and regains health, becomes unknown and known again, loses a service, a cluster, all health.
async fn a_life(world: &mut World) {
    let [eu, us, asia] = federation();
    world.clusters.put_all([&eu, &us, &asia]);
    world.expect(truth(&[eu.clone(), us.clone(), asia.clone()]));
    world.allow_silence();
    world.start();
    world.settle("the federation comes up").await;

    let sick = eu.clone().ready("web", false);
    world.expect(truth(&[sick.clone(), us.clone(), asia.clone()]));
    world.clusters.put(&sick);
    world.settle("a cluster turns unhealthy").await;

    world.expect(truth(&[eu.clone(), us.clone(), asia.clone()]));
    world.clusters.put(&eu);
    world.settle("it recovers").await;

    world.expect(truth(&[eu.clone(), us.clone().withdrawn(), asia.clone()]));
    world.clusters.tear(&us);
    let withdrawn = world.settle("a cluster is unknown past its grace").await;
    assert!(withdrawn >= GRACE, "an unknown cluster kept its addresses for {withdrawn:?} only");

    world.expect(truth(&[eu.clone(), us.clone(), asia.clone()]));
    world.clusters.put(&us);
    world.settle("it is known again").await;

    world.expect(truth(&[eu.clone(), us.clone(), asia.clone().withdrawn()]));
    world.clusters.remove(&asia);
    let left = world.settle("a cluster leaves").await;
    assert!(left >= GRACE, "a cluster that disappeared was given up after {left:?}");

    world.expect(truth(&[eu.clone(), us.clone()]));
    world.configure(&format!("unreachable-grace = {}\ntopology-linger = 0", GRACE.as_secs()));
    world.settle("its names linger no more").await;

    let eu = eu.without("api");
    world.expect(truth(&[eu.clone(), us.clone()]));
    world.clusters.put(&eu);
    world.settle("a service is deleted in one of its clusters").await;

    let us = us.without("api");
    world.expect(truth(&[eu.clone(), us.clone()]));
    world.clusters.put(&us);
    world.settle("and in the other").await;

    let eu = eu.withdrawn();
    world.expect(truth(&[eu.clone(), us.clone()]));
    world.clusters.put(&eu);
    world.settle("a cluster has nothing healthy").await;

    let us = us.withdrawn();
    world.expect(truth(&[eu.clone(), us.clone()]));
    world.clusters.put(&us);
    world.settle("nothing is healthy any more").await;

    let eu = eu.ready("web", true);
    world.expect(truth(&[eu.clone(), us]));
    world.clusters.put(&eu);
    world.settle("one cluster is healthy again").await;
}

async fn a_life_on_etcd(version: EtcdVersion) {
    let etcd = Etcd::start(version).await;
    let coredns = CoreDns::on_etcd(&[ZONE], &etcd.url()).await;
    let mut world = World::on_etcd(&etcd.url(), coredns.address());
    a_life(&mut world).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn a_federation_lives_on_etcd_3_6() {
    a_life_on_etcd(EtcdVersion::V3_6).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ETCD34_BIN and COREDNS_BIN: tests/run gets them"]
async fn a_federation_lives_on_etcd_3_4() {
    a_life_on_etcd(EtcdVersion::V3_4).await;
}

/// The daemon's own server; what it wrote outlives it, and nothing is removed when it stops.
#[tokio::test(flavor = "multi_thread")]
async fn a_federation_lives_on_the_embedded_server() {
    let mut world = World::embedded();
    a_life(&mut world).await;
    world.allow_silence();
    world.stop().await;
    world.start();
    world.settle("the daemon was restarted").await;
    world.finish().await;
}

/// With some calls of each step failing, in every way from which a daemon must recover.
async fn a_life_in_trouble(cloud: Cloud) {
    let (mut world, _mirror) = cloud.world().await;
    world.in_trouble(cloud.trouble.clone(), cloud.gaps);
    a_life(&mut world).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_federation_lives_on_route_53_through_trouble() {
    a_life_in_trouble(Cloud::route53().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_federation_lives_on_cloud_dns_through_trouble() {
    a_life_in_trouble(Cloud::clouddns().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_federation_lives_on_azure_dns_through_trouble() {
    a_life_in_trouble(Cloud::azure().await).await;
}
