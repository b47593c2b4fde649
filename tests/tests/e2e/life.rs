//! The life of a federation, from its first cluster to its last, on each kind of server.

use std::time::{Duration, Instant};

use dns_conformance::servers::{CoreDns, Etcd, EtcdVersion, Wire};

use crate::clouds::Cloud;
use crate::members::Member;
use crate::trouble::{Calm, EmbeddedTrouble, EtcdTrouble, Trouble};
use crate::truth::{Truth, ZONE, truth};
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

/// A world, and what goes wrong in it.
struct Life<'a, T> {
    world: &'a mut World,
    trouble: &'a mut T,
}

impl<T: Trouble> Life<'_, T> {
    /// Makes a change after which this is true; gives how long it took until clients were told.
    async fn step(&mut self, what: &str, truth: Truth, change: impl FnOnce(&mut World)) -> Duration {
        let Self { world, trouble } = self;
        world.expect(truth);
        trouble.strike(world).await;
        let begun = Instant::now();
        change(world);
        trouble.mend(world).await;
        world.settle(what).await;
        begun.elapsed()
    }
}

/// Comes up, loses and regains health, becomes unknown and known again, loses a service, a cluster, all health.
async fn a_life(world: &mut World, trouble: &mut impl Trouble) {
    let [eu, us, asia] = federation();
    world.clusters.put_all([&eu, &us, &asia]);
    let mut life = Life { world, trouble };

    let all = truth(&[eu.clone(), us.clone(), asia.clone()]);
    let start = |world: &mut World| {
        world.allow_silence();
        world.start();
    };
    life.step("the federation comes up", all.clone(), start).await;

    let sick = eu.clone().ready("web", false);
    let without = truth(&[sick.clone(), us.clone(), asia.clone()]);
    life.step("a cluster turns unhealthy", without, |world| world.clusters.put(&sick)).await;

    life.step("it recovers", all.clone(), |world| world.clusters.put(&eu)).await;

    let without = truth(&[eu.clone(), us.clone().withdrawn(), asia.clone()]);
    let torn = life.step("a cluster is unknown past its grace", without, |world| world.clusters.tear(&us)).await;
    assert!(torn >= GRACE, "an unknown cluster kept its addresses for {torn:?} only");

    life.step("it is known again", all, |world| world.clusters.put(&us)).await;

    let without = truth(&[eu.clone(), us.clone(), asia.clone().withdrawn()]);
    let left = life.step("a cluster leaves", without, |world| world.clusters.remove(&asia)).await;
    assert!(left >= GRACE, "a cluster that disappeared was given up after {left:?}");

    let sync = format!("unreachable-grace = {}\ntopology-linger = 0", GRACE.as_secs());
    let both = truth(&[eu.clone(), us.clone()]);
    life.step("its names linger no more", both, |world| world.configure(&sync)).await;

    let eu = eu.without("api");
    let both = truth(&[eu.clone(), us.clone()]);
    life.step("a service is deleted in one of its clusters", both, |world| world.clusters.put(&eu)).await;

    let us = us.without("api");
    let both = truth(&[eu.clone(), us.clone()]);
    life.step("and in the other", both, |world| world.clusters.put(&us)).await;

    let eu = eu.withdrawn();
    let both = truth(&[eu.clone(), us.clone()]);
    life.step("a cluster has nothing healthy", both, |world| world.clusters.put(&eu)).await;

    let us = us.withdrawn();
    let both = truth(&[eu.clone(), us.clone()]);
    life.step("nothing is healthy any more", both, |world| world.clusters.put(&us)).await;

    let eu = eu.ready("web", true);
    let both = truth(&[eu.clone(), us]);
    life.step("one cluster is healthy again", both, |world| world.clusters.put(&eu)).await;
}

/// Everything between the daemon and its etcd goes wrong, beginning with the kind of this number. CoreDNS is not behind
/// the wire, so what clients hear is at all times what etcd holds.
async fn a_life_on_etcd(version: EtcdVersion, first: usize) {
    let etcd = Etcd::start(version).await;
    let coredns = CoreDns::on_etcd(&[ZONE], &etcd.url()).await;
    let wire = Wire::to(&etcd.url()).await;
    let mut world = World::on_etcd(&wire.url(), coredns.address());
    let mut trouble = EtcdTrouble::new(etcd, wire, first);
    a_life(&mut world, &mut trouble).await;
    world.finish().await;
    assert!(trouble.unheard() > 0, "no answer to a write was lost");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn a_federation_lives_on_etcd_3_6_through_trouble() {
    a_life_on_etcd(EtcdVersion::V3_6, 0).await;
}

/// With the kinds of trouble at other steps.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ETCD34_BIN and COREDNS_BIN: tests/run gets them"]
async fn a_federation_lives_on_etcd_3_4_through_trouble() {
    a_life_on_etcd(EtcdVersion::V3_4, 4).await;
}

/// The daemon's own server; what it wrote outlives it, and nothing is removed when it stops.
#[tokio::test(flavor = "multi_thread")]
async fn a_federation_lives_on_the_embedded_server() {
    let mut world = World::embedded();
    a_life(&mut world, &mut Calm).await;
    world.allow_silence();
    world.stop().await;
    world.start();
    world.settle("the daemon was restarted").await;
    world.finish().await;
}

/// Clients may hear nothing while the daemon is down, but never that there is nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_federation_lives_on_the_embedded_server_through_trouble() {
    let mut world = World::embedded();
    let mut trouble = EmbeddedTrouble::new(&world, ZONE);
    a_life(&mut world, &mut trouble).await;
    world.finish().await;
}

/// With some calls of each step failing, in every way from which a daemon must recover.
async fn a_life_in_trouble(mut cloud: Cloud) {
    let (mut world, _mirror) = cloud.world().await;
    if cloud.gaps {
        world.allow_gaps();
    }
    a_life(&mut world, &mut cloud).await;
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
