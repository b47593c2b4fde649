//! What a start at a full zone leaves in memory, counted by the allocator and not looked up at the kernel: bytes do not
//! jitter. Everything that is read is read anew, so that nothing is shared but what the core itself shares.

#![expect(clippy::unwrap_used, reason = "a failed test may panic")]

use std::alloc::System;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use dns_sync_core::{
    ClusterAnswer, Endpoint, Place, Reconciler, ServiceCopy, ServiceId, Settings, SourceEvent, Timestamp,
};
use dnsprovider::capabilities::Atomicity;
use dnsprovider::store::ZoneStore;
use dnsprovider::{Claim, ClaimedSet, Entry, Fqdn, RrKey, RrSet, Snapshot, memory};

#[global_allocator]
static ALLOCATOR: &stats_alloc::StatsAlloc<System> = &stats_alloc::INSTRUMENTED_SYSTEM;

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const SERVICES: u32 = 4000;

fn allocated() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

fn settings(all_levels: bool) -> Settings {
    let settings = Settings::new("myfederation", Fqdn::parse("example.com").unwrap());
    Settings { region_level: all_levels, zone_level: all_levels, ..settings }
}

fn answers(daemon: &mut Reconciler, clusters: u32) {
    for cluster in 0..clusters {
        let copy = |number: u32| {
            let address = Ipv4Addr::from_bits(0x0b00_0000 + cluster * SERVICES + number);
            let ingress = [Endpoint::Ip(address.into())].into();
            ServiceCopy { ingress, ready: true, ..ServiceCopy::default() }
        };
        let id =
            |number: u32| ServiceId::new(format!("team-{}", number % 100), format!("storefront-checkout-{number}"));
        let services: BTreeMap<_, _> = (0..SERVICES).map(|number| (id(number), copy(number))).collect();
        let places = Some(BTreeSet::from([Place::new("region", "zone")]));
        let answer = ClusterAnswer { places, services, ..ClusterAnswer::default() };
        daemon.observe(SourceEvent::Answer { cluster: format!("cluster-{cluster}").into(), answer }, NOW);
    }
}

/// The same as a host that was asked would give it.
fn read_anew(entry: &Entry) -> Entry {
    let Entry { data: ClaimedSet { set, claim }, version, blocks } = entry.clone();
    let text = |text: &str| -> Arc<str> { text.into() };
    let claim = claim.map(|claim| Claim {
        name: text(&claim.name),
        federation: text(&claim.federation),
        credits: claim.credits.iter().map(|credits| credits.iter().map(|name| text(name)).collect()).collect(),
    });
    let key = RrKey::new(Fqdn::parse(set.owner().as_str()).unwrap(), set.rr_type().clone());
    let set = RrSet::new(key, set.ttl(), set.records().to_vec()).unwrap();
    Entry { data: ClaimedSet { set, claim }, version, blocks }
}

/// Bytes for each set of a full zone.
fn bytes_per_set(clusters: u32, all_levels: bool) -> usize {
    let able = memory::capabilities();
    let mut store = ZoneStore::new("test", settings(all_levels).zone);
    let mut daemon = Reconciler::new(settings(all_levels), &able);
    answers(&mut daemon, clusters);
    daemon.plan(NOW);
    while let Some(batch) = daemon.next_batch(NOW, |_| true) {
        let applied = store.apply(&batch.changes, Atomicity::Batch);
        daemon.record(batch, &applied, NOW);
        daemon.plan(NOW);
    }
    drop(daemon);

    let before = allocated();
    let mut daemon = Reconciler::new(settings(all_levels), &able);
    let mut snapshot = Snapshot { version: store.snapshot().version.clone(), ..Snapshot::default() };
    snapshot.extend(store.entries().map(read_anew));
    daemon.load_zone(snapshot, NOW);
    answers(&mut daemon, clusters);
    daemon.plan(NOW);
    assert!(daemon.is_settled() && daemon.plans().next().is_none(), "a start at a full zone plans nothing");
    (allocated() - before) / store.len()
}

#[test]
fn a_set_takes_no_more_than_stated() {
    for (clusters, all_levels, most) in [(2, false, 690), (2, true, 490), (20, true, 1360)] {
        let bytes = bytes_per_set(clusters, all_levels);
        assert!(bytes <= most, "{clusters} clusters, all levels {all_levels}: {bytes} bytes for each set");
    }
}
