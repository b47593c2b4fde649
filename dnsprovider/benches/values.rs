//! What every pass does with values: names, comparing, ordering, changing.
//!
//! `cargo bench -p dnsprovider` measures; CI runs each once, to see that it works.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::net::Ipv4Addr;

use criterion::{BatchSize, Criterion};
use dnsprovider::capabilities::Atomicity;
use dnsprovider::store::ZoneStore;
use dnsprovider::{Claim, ClaimedSet, Fqdn, RecordData, RrKey, RrSet, RrType, Ttl, diff, order};

/// Sets in the zone that is compared and changed.
const SETS: u32 = 10_000;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    names(&mut criterion);
    zones(&mut criterion);
    criterion.final_summary();
}

fn names(criterion: &mut Criterion) {
    let label = "a".repeat(63);
    let longest = format!("{label}.{label}.{label}.{}", "b".repeat(61));
    let texts = [
        ("usual", "nginx.default.myfederation.svc.eu-west-1a.eu-west-1.example.com".to_owned()),
        ("longest", longest),
        ("upper case and escapes", r"Ab\046c\.\032.EXAMPLE.com.".to_owned()),
    ];
    let mut group = criterion.benchmark_group("name");
    for (what, text) in &texts {
        group.bench_function(format!("parse, {what}"), |bencher| {
            bencher.iter(|| Fqdn::parse(black_box(text)).expect("a name"));
        });
    }
    let suffix = Fqdn::parse("example.com").expect("a name");
    group.bench_function("prepend labels", |bencher| {
        bencher.iter(|| suffix.prepend(black_box("nginx.default.myfederation.svc.eu-west-1")).expect("a name"));
    });
    group.finish();
}

fn zones(criterion: &mut Criterion) {
    let wanted: BTreeMap<_, _> = (0..SETS).map(|number| set(number, 1)).collect();
    let of_percent = |number| number % 100 == 0;
    let other: BTreeMap<_, _> = (0..SETS).map(|number| set(number, if of_percent(number) { 2 } else { 1 })).collect();
    let empty = ZoneStore::new("bench", Fqdn::parse("example.com").expect("a name"));
    let creation = diff(empty.snapshot(), &wanted, |_| true);
    let mut full = empty.clone();
    full.apply(&creation, Atomicity::Set);
    assert_eq!(full.len(), wanted.len());
    let percent = diff(full.snapshot(), &other, |_| true);
    assert_eq!(percent.len(), wanted.len() / 100);

    let mut group = criterion.benchmark_group(format!("zone of {SETS} sets"));
    group.sample_size(20);
    group.bench_function("diff, all equal", |bencher| bencher.iter(|| diff(full.snapshot(), &wanted, |_| true)));
    group.bench_function("diff, 1 % differs", |bencher| bencher.iter(|| diff(full.snapshot(), &other, |_| true)));
    group.bench_function("diff, all new", |bencher| bencher.iter(|| diff(empty.snapshot(), &wanted, |_| true)));
    group.bench_function("order of all", |bencher| {
        bencher.iter_batched(|| creation.clone(), order, BatchSize::LargeInput);
    });
    group.bench_function("apply 1 %", |bencher| {
        let apply = |mut store: ZoneStore| {
            assert_eq!(store.apply(&percent, Atomicity::Set).outcomes.len(), percent.len());
            store // dropped outside of what is measured
        };
        bencher.iter_batched(|| full.clone(), apply, BatchSize::LargeInput);
    });
    group.finish();
}

/// Two addresses of two clusters, the second of which is of a version.
fn set(number: u32, version: u8) -> (RrKey, ClaimedSet) {
    let owner = format!("svc-{number}.default.myfederation.svc.example.com");
    let key = RrKey::new(Fqdn::parse(&owner).expect("a name"), RrType::A);
    let [_, _, high, low] = number.to_be_bytes();
    let addresses = [1, version + 1].map(|net| RecordData::A(Ipv4Addr::new(10, net, high, low)));
    let set = RrSet::new(key.clone(), Ttl::from_secs(180).expect("a TTL"), addresses).expect("a set");
    let credits = ["east", "west"].map(|cluster| [cluster.into()].into());
    let claim = Claim { credits: credits.into(), ..Claim::without_credits("myfederation", "myfederation") };
    (key, ClaimedSet { set, claim: Some(claim) })
}
