//! A host that stores only so many credits with a set: what fits is published, and nothing is planned again.

#![expect(clippy::unwrap_used, reason = "a failed test may panic")]

use std::collections::{BTreeMap, BTreeSet};

use dns_sync_core::{ClusterAnswer, Endpoint, Reconciler, ServiceCopy, ServiceId, Settings, SourceEvent, Timestamp};
use dnsprovider::capabilities::{Atomicity, credit_octets};
use dnsprovider::store::ZoneStore;
use dnsprovider::{Capabilities, Fqdn, RrKey, RrType, memory};

/// Clusters, all behind the first of two addresses.
const CLUSTERS: usize = 60;
/// That of Azure. Sixty names of 60 letters are more.
const LIMIT: usize = 3319;
const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn name(cluster: usize) -> String {
    format!("{}-{cluster:02}", "c".repeat(57))
}

fn answer(addresses: &[&str]) -> ClusterAnswer {
    let ingress = addresses.iter().map(|text| Endpoint::Ip(text.parse().unwrap())).collect();
    let copy = ServiceCopy { ingress, ready: true, ..ServiceCopy::default() };
    ClusterAnswer {
        places: Some(BTreeSet::new()),
        services: BTreeMap::from([(ServiceId::new("shop", "web"), copy)]),
        ..ClusterAnswer::default()
    }
}

/// A new process that reads the zone and hears all clusters.
fn process(able: &Capabilities, store: &ZoneStore) -> Reconciler {
    let mut daemon = Reconciler::new(Settings::new("fed", store.apex().clone()), able);
    daemon.load_zone(store.snapshot().clone(), NOW);
    for cluster in 0..CLUSTERS {
        let addresses: &[&str] = if cluster == 7 { &["192.0.2.1", "192.0.2.2"] } else { &["192.0.2.1"] };
        daemon.observe(SourceEvent::Answer { cluster: name(cluster).into(), answer: answer(addresses) }, NOW);
    }
    daemon.plan(NOW);
    daemon
}

#[test]
fn credits_that_the_host_would_drop_are_left_out_and_told() {
    let mut able = memory::capabilities();
    able.limits.credit_octets = Some(LIMIT);
    let zone = Fqdn::parse("example.com").unwrap();
    let mut store = ZoneStore::new("test", zone);
    let mut daemon = process(&able, &store);
    let batch = daemon.next_batch(NOW, |_| true).unwrap();
    assert!(store.apply(&batch.changes, Atomicity::Batch).is_done());

    let key = RrKey::new(Fqdn::parse("web.shop.fed.svc.example.com").unwrap(), RrType::A);
    let held = store.get(&key).unwrap().data.clone();
    assert_eq!(held.set.records().len(), 2, "the addresses are all there");
    assert!(credit_octets(&held.claim.as_ref().unwrap().credits) <= LIMIT);

    // The second pass plans nothing, and says what is missing.
    let second = process(&able, &store).report(NOW);
    assert!(second.changes.is_empty() && second.held.is_empty(), "{second:?}");
    let [warning] = second.warnings.as_slice() else { panic!("{:?}", second.warnings) };
    assert!(warning.contains("web.shop.fed.svc.example.com") && warning.contains("3319 octets"), "{warning}");

    // Whoever has not answered keeps the address that is credited to nobody.
    let mut daemon = Reconciler::new(Settings::new("fed", store.apex().clone()), &able);
    daemon.load_zone(store.snapshot().clone(), NOW);
    daemon.observe(SourceEvent::Joined { cluster: name(1).into() }, NOW);
    daemon.observe(SourceEvent::Answer { cluster: name(7).into(), answer: answer(&["192.0.2.2"]) }, NOW);
    daemon.plan(NOW);
    while let Some(batch) = daemon.next_batch(NOW, |_| true) {
        let applied = store.apply(&batch.changes, Atomicity::Batch);
        daemon.record(batch, &applied, NOW);
        daemon.plan(NOW);
    }
    assert_eq!(store.get(&key).unwrap().data.set, held.set);

    // Where the limit is not reached all are noted.
    able.limits.credit_octets = None;
    let whole = process(&able, &store).report(NOW);
    assert!(!whole.changes.is_empty() && whole.warnings.is_empty(), "{whole:?}");
}
