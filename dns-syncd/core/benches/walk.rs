//! The walk of a change through the decisions: what is desired, the plan, the batch, and the start.
//!
//! `cargo bench -p dns-sync-core` measures; CI runs each once, to see that it works.

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use criterion::{BatchSize, Criterion};
use dns_sync_core::desired::Desired;
use dns_sync_core::{
    ClusterAnswer, Endpoint, Level, Naming, Place, Reconciler, ServiceCopy, ServiceId, Settings, SourceEvent, Timestamp,
};
use dnsprovider::capabilities::Atomicity;
use dnsprovider::store::ZoneStore;
use dnsprovider::{Fqdn, memory};

/// Each cluster is in a region and zone of its own, so a service has five names.
const CLUSTERS: u8 = 2;
const START: Timestamp = Timestamp(1_800_000_000_000);

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    naming(&mut criterion);
    starts(&mut criterion);
    changes(&mut criterion);
    criterion.final_summary();
}

fn naming(criterion: &mut Criterion) {
    let naming = Naming::new(&settings());
    let level = Level::Zone { region: "eu-west-1".into(), zone: "eu-west-1a".into() };
    let name = naming.name(&service(1), &level).expect("a name");
    assert_eq!(naming.parse(&name), Some((service(1), level.clone())));
    let mut group = criterion.benchmark_group("naming");
    group.bench_function("name of a zone", |bencher| {
        bencher.iter(|| naming.name(black_box(&service(1)), &level).expect("a name"));
    });
    group.bench_function("service of a name", |bencher| bencher.iter(|| naming.parse(black_box(&name))));
    group.finish();
}

fn starts(criterion: &mut Criterion) {
    const SERVICES: u32 = 1000;
    let mut group = criterion.benchmark_group(format!("{SERVICES} services"));
    group.sample_size(20);
    group.bench_function("plan of an empty zone", |bencher| {
        bencher.iter_batched(
            || answers(SERVICES),
            |answers| {
                let mut reconciler = told(answers);
                reconciler.plan(START);
                reconciler
            },
            BatchSize::LargeInput,
        );
    });
    let (_, store) = settled(SERVICES);
    group.bench_function("plan of a zone in which all stands", |bencher| {
        bencher.iter_batched(
            || (answers(SERVICES), store.snapshot().clone()),
            |(answers, snapshot)| {
                let mut reconciler = told(answers);
                reconciler.load_zone(snapshot, START);
                reconciler.plan(START);
                assert!(reconciler.plans().next().is_none());
                reconciler
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn changes(criterion: &mut Criterion) {
    for services in [1000, 10_000] {
        let (mut reconciler, mut store) = settled(services);
        let mut group = criterion.benchmark_group(format!("one of {services} services"));
        group.bench_function("desired", |bencher| {
            bencher.iter(|| {
                let desired = reconciler.desired(black_box(&service(7)), START);
                assert!(matches!(desired, Desired::Names(_)));
                desired
            });
        });
        let mut now = START;
        group.bench_function("endpoint flips: plan, batch, outcome", |bencher| {
            bencher.iter(|| {
                now = now.plus(Duration::from_mins(1));
                let ready = (now.0 / 60_000) % 2 == 0;
                let copy = ServiceCopy { ready, ..copy(0, 7) };
                let cluster = "cluster-0".into();
                reconciler.observe(SourceEvent::Service { cluster, service: service(7), copy: Some(copy) }, now);
                assert_ne!(write_all(&mut reconciler, &mut store, now), 0);
            });
        });
        group.finish();
    }
}

fn settings() -> Settings {
    Settings::new("myfederation", Fqdn::parse("example.com").expect("a name"))
}

fn service(number: u32) -> ServiceId {
    ServiceId::new("default", format!("svc-{number}"))
}

fn copy(cluster: u8, number: u32) -> ServiceCopy {
    let [_, _, high, low] = number.to_be_bytes();
    let address = IpAddr::V4(Ipv4Addr::new(10, cluster, high, low));
    ServiceCopy { ingress: [Endpoint::Ip(address)].into(), ready: true, ..ServiceCopy::default() }
}

fn answers(services: u32) -> Vec<SourceEvent> {
    let answer = |cluster| ClusterAnswer {
        places: Some(BTreeSet::from([Place::new(format!("region-{cluster}"), format!("zone-{cluster}"))])),
        services: (0..services).map(|number| (service(number), copy(cluster, number))).collect::<BTreeMap<_, _>>(),
        ..ClusterAnswer::default()
    };
    let event = |cluster| SourceEvent::Answer { cluster: format!("cluster-{cluster}").into(), answer: answer(cluster) };
    (0..CLUSTERS).map(event).collect()
}

fn told(answers: Vec<SourceEvent>) -> Reconciler {
    let mut reconciler = Reconciler::new(settings(), &memory::capabilities());
    for answer in answers {
        reconciler.observe(answer, START);
    }
    reconciler
}

/// All that is wanted stands in the zone.
fn settled(services: u32) -> (Reconciler, ZoneStore) {
    let mut reconciler = told(answers(services));
    let mut store = ZoneStore::new("bench", settings().zone);
    write_all(&mut reconciler, &mut store, START);
    assert_eq!(store.len(), 5 * services as usize);
    (reconciler, store)
}

/// Plans and writes until nothing is left; gives the number of changes.
fn write_all(reconciler: &mut Reconciler, store: &mut ZoneStore, now: Timestamp) -> usize {
    let mut done = 0;
    reconciler.plan(now);
    while let Some(batch) = reconciler.next_batch(now, |_| true) {
        let applied = store.apply(&batch.changes, Atomicity::Batch);
        done += reconciler.record(batch, &applied, now).done;
        reconciler.plan(now);
    }
    done
}
