//! The main job by single commands: `plan`, `apply`, nothing left to do.

use std::collections::BTreeMap;

use dns_conformance::servers::{CoreDns, Etcd, EtcdVersion, query};
use serde_json::Value;

use crate::life::federation;
use crate::program::Ended;
use crate::truth::{Truth, ZONE, truth};
use crate::world::World;

fn json(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

fn length(value: &Value) -> usize {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}")).len()
}

/// Runs a command that must end with this code.
async fn expect(world: &World, code: i32, arguments: &[&str]) -> Ended {
    let ended = world.call(arguments).await;
    assert_eq!(ended.code, code, "{arguments:?}: {ended:?}");
    ended
}

/// Plans, applies, and finds nothing left to do; gives the desired records.
async fn apply(world: &World) -> Vec<Value> {
    let records = json(&expect(world, 0, &["records", "--output", "json"]).await);
    let planned = json(&expect(world, 3, &["plan", "--detailed-exitcode", "--output", "json"]).await);
    let applied = json(&expect(world, 0, &["apply", "--output", "json"]).await);
    assert_eq!(applied["written"].as_u64(), u64::try_from(length(&planned["changes"])).ok(), "{planned} {applied}");
    let left = json(&expect(world, 0, &["plan", "--detailed-exitcode", "--output", "json"]).await);
    assert_eq!(
        (length(&left["changes"]), left["unchanged"].as_u64()),
        (0, u64::try_from(length(&records)).ok()),
        "{left}"
    );
    let again = json(&expect(world, 0, &["apply", "--output", "json"]).await);
    assert_eq!(again["written"], 0, "{again}");
    records.as_array().unwrap().clone()
}

/// Each desired record is the answer to the question about it.
async fn assert_answered(world: &World, records: &[Value]) {
    for record in records {
        let (name, rr_type) = (record["name"].as_str().unwrap(), record["type"].as_str().unwrap());
        let answer = query(world.server, name, rr_type).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let mut wanted: Vec<_> = record["rdata"].as_array().unwrap().iter().map(text).collect();
        wanted.sort();
        let answered = if rr_type == "CNAME" { answer.targets() } else { answer.addresses() };
        assert_eq!(answered, wanted, "{name} {rr_type}");
        assert!(answer.answers.iter().all(|answer| u64::from(answer.ttl) == record["ttl"]), "{name} {rr_type}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn single_passes_do_the_job_on_etcd() {
    let etcd = Etcd::start(EtcdVersion::V3_6).await;
    let coredns = CoreDns::on_etcd(&[ZONE], &etcd.url()).await;
    let mut world = World::on_etcd(&etcd.url(), coredns.address());
    let [eu, us, asia] = federation();
    world.clusters.put_all([&eu, &us, &asia]);
    world.expect(truth(&[eu.clone(), us.clone(), asia.clone()]));
    let records = apply(&world).await;
    world.settle("applied").await;
    assert_answered(&world, &records).await;

    // Addresses give way to a CNAME, and `apply` ends only when they have taken its place again.
    for eu in [eu.clone().ready("web", false), eu.clone()] {
        world.clusters.put(&eu);
        world.expect(truth(&[eu, us.clone(), asia.clone()]));
        let records = apply(&world).await;
        world.settle("applied").await;
        assert_answered(&world, &records).await;
    }

    let [eu, us, asia] = [eu, us, asia].map(|member| member.without("web"));
    world.clusters.put_all([&eu, &us, &asia]);
    let limited = |command: &'static str| [command, "--output", "json", "--max-delete", "10"];
    let planned = json(&expect(&world, 4, &limited("plan")).await);
    assert!(length(&planned["held"]) > 0, "{planned}");
    let applied = json(&expect(&world, 4, &limited("apply")).await);
    assert_eq!(applied["left"]["hash"], planned["hash"], "{applied}");
    world.settle("nothing was deleted").await;
    world.expect(truth(&[eu, us, asia]));
    let hash = planned["hash"].as_str().unwrap();
    expect(&world, 1, &["apply", "--max-delete", "10", "--approve", "0000000000000000"]).await;
    expect(&world, 0, &["apply", "--max-delete", "10", "--approve", hash]).await;
    world.settle("what was held is approved").await;

    world.expect(Truth::new());
    expect(&world, 2, &["release", "--delete"]).await;
    expect(&world, 0, &["release", "--delete", "--yes"]).await;
    world.settle("everything is released").await;
    assert_eq!(etcd.list("").await, BTreeMap::new());
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn single_passes_do_the_job_on_the_embedded_server() {
    let mut world = World::embedded();
    world.clusters.put_all(&federation());
    let records = apply(&world).await;
    world.expect(truth(&federation()));
    world.allow_silence();
    world.start();
    world.settle("what was applied is served").await;
    assert_answered(&world, &records).await;
    let planned = json(&expect(&world, 0, &["plan", "--detailed-exitcode", "--output", "json"]).await);
    assert_eq!(length(&planned["changes"]), 0, "{planned}");
    let refused = expect(&world, 1, &["apply"]).await;
    assert!(refused.stderr.contains("data-dir"), "the running daemon holds the zone: {refused:?}");
    world.finish().await;
}
