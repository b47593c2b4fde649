//! A crash in the middle of a bulk write, and a start without one of the clusters.

use std::collections::BTreeSet;

use dns_conformance::servers::{CoreDns, Etcd, EtcdVersion};
use etcd_client::GetOptions;
use serde_json::Value;

use crate::members::Member;
use crate::truth::{Existence, Truth, Want, ZONE, truth};
use crate::world::{GRACE, World};

/// Enough for many transactions.
const SERVICES: usize = 300;
/// Keys of each service in two clusters: two at the global name, one at each region's and zone's.
const KEYS: usize = 6;

fn member(name: &str, network: &str) -> Member {
    (0..SERVICES).fold(Member::new(name), |member, index| {
        member.with(&format!("s{index}"), &[&format!("{network}.{}.{}", index / 100, index % 100 + 1)])
    })
}

/// The part of a truth that is about A.
fn of_ipv4(truth: Truth) -> Truth {
    truth.into_iter().filter(|((_, rr_type), _)| *rr_type == "A").collect()
}

/// After the crash no record that was right vanishes, and the rest follows; what the claims credit to the missing
/// cluster stays for the grace.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn a_daemon_killed_in_a_bulk_write_finishes_it_without_one_cluster() {
    let etcd = Etcd::start(EtcdVersion::V3_6).await;
    let coredns = CoreDns::on_etcd(&[ZONE], &etcd.url()).await;
    let mut world = World::on_etcd(&etcd.url(), coredns.address());
    let (eu, us) = (member("eu", "198.18"), member("us", "198.19"));
    let (all, alone) = (of_ipv4(truth(&[eu.clone(), us.clone()])), of_ipv4(truth(std::slice::from_ref(&eu))));
    let questions: Vec<_> = all.keys().cloned().collect();
    world.clusters.put(&eu);
    world.clusters.put(&us);
    world.configure("unreachable-grace = 1h");
    world.expect(all.clone());
    world.start();
    let mut client = etcd.client().await;
    let count = Some(GetOptions::new().with_prefix().with_count_only());
    let quarter = i64::try_from(SERVICES * KEYS / 4).unwrap();
    while client.get("/skydns/", count.clone()).await.unwrap().count() < quarter {
        tokio::task::yield_now().await;
    }
    world.kill();
    let written = etcd.list("/skydns/").await;
    assert!((1..SERVICES * KEYS).contains(&written.len()), "{} keys: not in the middle", written.len());

    let seen = world.ask(&questions).await;
    world.found(seen.clone());
    // A name that nobody has seen may begin as a CNAME, or without the address of the missing cluster.
    let either = |(name, rr_type): &(String, &'static str)| {
        let service = name.split('.').next().unwrap();
        let copies = [&eu, &us].map(|member| member.services[service].addresses[0].clone());
        ((name.clone(), *rr_type), Want { addresses: copies.into(), name: Existence::Exists })
    };
    let loose: Truth = questions.iter().map(either).collect();
    let is_published = |want: &Want| !want.addresses.is_empty();
    let expected = loose.iter().map(|(question, want)| {
        let want = if is_published(&seen[question]) { &seen[question] } else { want };
        (question.clone(), want.clone())
    });
    world.expect(expected.collect());
    world.clusters.remove(&us);
    world.start();
    world
        .until("every name is published while a cluster is missing", &questions, |question, answer| {
            let answered: BTreeSet<_> = answer.addresses().into_iter().collect();
            if is_published(&seen[question]) {
                return answered == seen[question].addresses;
            }
            let mine = alone.get(question).is_none_or(|want| answered.is_superset(&want.addresses));
            !answered.is_empty() && mine && answered.is_subset(&loose[question].addresses)
        })
        .await;
    let now = etcd.list("/skydns/").await;
    let host = |value: &String| serde_json::from_str::<Value>(value).unwrap()["host"].clone();
    for (key, value) in &written {
        assert_eq!(now.get(key).map(host), Some(host(value)), "{key}: a right record vanished");
    }

    world.stop().await;
    let seen = world.ask(&questions).await;
    world.found(seen);
    world.configure(&format!("unreachable-grace = {}\ntopology-linger = 0", GRACE.as_secs()));
    world.expect(alone);
    world.start();
    let left = world.settle("the missing cluster has left").await;
    assert!(left >= GRACE, "a cluster that was missing at the start was given up after {left:?}");

    world.expect(all);
    world.clusters.put(&us);
    world.settle("it has joined again").await;
    world.finish().await;
}
