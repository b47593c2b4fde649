//! What happens to etcd, and to the keys in it, while the daemon runs.

use dns_conformance::servers::{CoreDns, Etcd, EtcdVersion};
use serde_json::Value;

use crate::life::federation;
use crate::members::Member;
use crate::truth::{Existence, Want, ZONE, name, truth};
use crate::world::World;

/// Keys of the global name of the service `web`.
const WEB: &str = "/skydns/com/example/svc/fed/shop/web";

/// Half of them towards addresses, which takes CoreDNS's read time-out each.
const FLIPS: usize = 6;

async fn start() -> (Etcd, CoreDns, World) {
    let etcd = Etcd::start(EtcdVersion::V3_6).await;
    let coredns = CoreDns::on_etcd(&[ZONE], &etcd.url()).await;
    let world = World::on_etcd(&etcd.url(), coredns.address());
    world.clusters.put_all(&federation());
    (etcd, coredns, world)
}

/// Changes while etcd is away are written when it is back, and the zone is not trusted to be as it was.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn etcd_restarts_in_the_middle() {
    let (mut etcd, _coredns, mut world) = start().await;
    // The daemon is there before its etcd is.
    world.expect(truth(&federation()));
    etcd.kill();
    world.start();
    etcd.restart().await;
    world.settle("the federation comes up").await;

    let [eu, us, asia] = federation();
    let (moved, sick) = (eu.with("web", &["192.0.2.9", "2001:db8::1"]), us.ready("api", false));
    world.expect(truth(&[moved.clone(), sick.clone(), asia]));
    world.allow_silence();
    etcd.kill();
    world.clusters.put(&moved);
    world.clusters.put(&sick);
    etcd.restart().await;
    world.settle("clusters changed while etcd was away").await;
    world.finish().await;
}

/// CoreDNS reads the addresses and the CNAME of a name one after the other, so a change between the two in one
/// transaction would show some clients neither (see the provider's `settle`).
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn a_name_that_flips_between_addresses_and_a_cname_is_never_empty() {
    let etcd = Etcd::start(EtcdVersion::V3_6).await;
    let coredns = CoreDns::on_etcd(&[ZONE], &etcd.url()).await;
    let mut world = World::on_etcd(&etcd.url(), coredns.address());
    let (eu, us) = (Member::new("eu").with("web", &["192.0.2.1"]), Member::new("us").with("web", &["198.51.100.1"]));
    world.clusters.put_all([&eu, &us]);
    world.expect(truth(&[eu.clone(), us.clone()]));
    world.start();
    world.settle("the federation comes up").await;
    world.crowd(7);
    for flip in 0..FLIPS {
        let us = us.clone().ready("web", flip % 2 == 1);
        world.expect(truth(&[eu.clone(), us.clone()]));
        world.clusters.put(&us);
        world.settle("a flip").await;
    }
    world.finish().await;
}

/// A foreign set at a wanted name stays as it is and is reported; when it goes, ours takes its place.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn a_foreign_record_at_a_wanted_name_stays() {
    let (etcd, _coredns, mut world) = start().await;
    let foreign = r#"{"host":"192.0.2.250","ttl":60}"#;
    etcd.put(WEB, foreign).await;
    let mut mixed = truth(&federation());
    let taken = |addresses: &[&str]| Want {
        addresses: addresses.iter().map(ToString::to_string).collect(),
        name: Existence::Exists,
    };
    mixed.insert((name("web", ""), "A"), taken(&["192.0.2.250"]));
    mixed.insert((name("web", ""), "AAAA"), taken(&[]));
    world.expect(mixed);
    world.start();
    world.settle("all but the foreign name is ours").await;
    assert_eq!(etcd.get(WEB).await.as_deref(), Some(foreign));

    let plan = world.call(&["plan", "--output", "json"]).await;
    assert_eq!(plan.code, 4, "{plan:?}");
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    assert_eq!(plan["changes"].as_array().map(Vec::len), Some(0), "{plan}");
    let refused: Vec<_> = plan["refused"].as_array().unwrap().iter().map(|refused| &refused["name"]).collect();
    assert!(!refused.is_empty() && refused.iter().all(|refused| **refused == *name("web", "")), "{plan}");

    world.expect(truth(&federation()));
    world.allow_meddling(&[]);
    assert!(etcd.delete(WEB).await);
    world.settle("the foreign record is gone").await;
    world.finish().await;
}

/// Records that somebody deletes or changes by hand are put right, without waiting for an audit.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn what_is_changed_by_hand_is_put_right() {
    let (etcd, _coredns, mut world) = start().await;
    world.expect(truth(&federation()));
    world.start();
    world.settle("the federation comes up").await;
    let whole = etcd.list("/skydns/").await;

    let (key, value) = whole.iter().find(|(key, value)| key.starts_with(WEB) && value.contains("192.0.2.1")).unwrap();
    world.allow_meddling(&[]);
    assert!(etcd.delete(key).await);
    world.settle("an address is back").await;

    world.allow_meddling(&["192.0.2.66"]);
    etcd.put(key, &value.replace("192.0.2.1", "192.0.2.66")).await;
    world.settle("a wrong address is gone").await;

    world.allow_meddling(&[]);
    assert_eq!(etcd.delete_all("/skydns/").await, i64::try_from(whole.len()).unwrap());
    world.settle("everything is back").await;
    assert_eq!(etcd.list("/skydns/").await, whole);
    world.finish().await;
}
