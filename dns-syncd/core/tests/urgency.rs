//! What goes first when a cluster is lost: names that are empty until they are written, before names that lose one
//! address of several, before new names; between services and within one.

#![expect(clippy::unwrap_used, reason = "a failed test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dns_sync_core::{
    ClusterAnswer, Endpoint, Place, Reconciler, ServiceCopy, ServiceId, Settings, SourceEvent, Timestamp,
};
use dnsprovider::capabilities::Atomicity;
use dnsprovider::store::ZoneStore;
use dnsprovider::{Applied, Capabilities, ChangeSet, Error, ErrorKind, Fqdn, Outcome, RetryHint, memory};

/// The names in the order in which they are written, in calls of so many units: first the one, then the other of two
/// clusters has each service; the first is lost, and two services are new.
fn written(atomicity: Atomicity, units: usize) -> Vec<String> {
    let (mut daemon, mut store, now) = with_lost_cluster(atomicity, units);
    write(&mut daemon, &mut store, now, units, atomicity)
}

/// The same, about to write.
fn with_lost_cluster(atomicity: Atomicity, units: usize) -> (Reconciler, ZoneStore, Timestamp) {
    let zone = Fqdn::parse("example.com").unwrap();
    let able = Capabilities { atomicity, ..memory::capabilities() };
    let mut daemon = Reconciler::new(Settings::new("fed", zone.clone()), &able);
    let mut store = ZoneStore::new("test", zone);
    let mut now = Timestamp(1_800_000_000_000);
    for cluster in [1, 2] {
        let service = |name: &str| (ServiceId::new("shop", name), copy(cluster, true));
        let places = Some(BTreeSet::from([Place::new("r", format!("z{cluster}"))]));
        let services = BTreeMap::from([service("a"), service("b")]);
        let answer = ClusterAnswer { places, services, ..ClusterAnswer::default() };
        daemon.observe(SourceEvent::Answer { cluster: format!("c{cluster}").into(), answer }, now);
    }
    write(&mut daemon, &mut store, now, units, atomicity);
    now = now.plus(Duration::from_hours(1));
    for name in ["a", "b"] {
        let service = ServiceId::new("shop", name);
        let copy = Some(copy(1, false));
        daemon.observe(SourceEvent::Service { cluster: "c1".into(), service, copy }, now);
    }
    let service = ServiceId::new("a-new", "one");
    daemon.observe(SourceEvent::Service { cluster: "c2".into(), service, copy: Some(copy(2, true)) }, now);
    (daemon, store, now)
}

fn copy(cluster: u8, ready: bool) -> ServiceCopy {
    ServiceCopy { ingress: [Endpoint::Ip([192, 0, 2, cluster].into())].into(), ready, ..ServiceCopy::default() }
}

fn write(
    daemon: &mut Reconciler,
    store: &mut ZoneStore,
    now: Timestamp,
    units: usize,
    atomicity: Atomicity,
) -> Vec<String> {
    let mut names = Vec::new();
    loop {
        daemon.plan(now);
        let mut taken = 0;
        let fits = |_: &_| {
            taken += 1;
            taken <= units
        };
        let Some(batch) = daemon.next_batch(now, fits) else { return names };
        let owners = batch.changes.units.iter().filter_map(|unit| unit.owners().next());
        names.extend(owners.map(|owner| owner.as_str().trim_end_matches(".example.com.").to_owned()));
        let applied = store.apply(&batch.changes, atomicity);
        let follow = daemon.record(batch, &applied, now);
        assert!(follow.failed.is_empty() && follow.conflicts == 0, "{follow:?}");
    }
}

const NEW: [&str; 4] = ["one.a-new.fed.svc", "one.a-new.fed.svc.r", "one.a-new.fed.svc.z2.r", "one.a-new.fed.svc.z1.r"];

#[test]
fn where_sets_change_one_by_one_no_name_with_addresses_goes_before_an_empty_one() {
    for units in [1, 3, usize::MAX] {
        // The zone's name becomes a CNAME of the region's, which is written before it.
        let dead = ["a.shop.fed.svc.r", "a.shop.fed.svc.z1.r", "b.shop.fed.svc.r", "b.shop.fed.svc.z1.r"];
        let rest = ["a.shop.fed.svc", "b.shop.fed.svc"];
        let expected: Vec<&str> = dead.into_iter().chain(rest).chain(NEW).collect();
        let mut written = written(Atomicity::Set, units);
        // The levels of a new service have no order beside that of their targets.
        let new = written.split_off(6);
        assert_eq!(written, expected[..6], "calls of {units}");
        let new: BTreeSet<&str> = new.iter().map(String::as_str).collect();
        assert_eq!(new, BTreeSet::from(NEW), "calls of {units}");
    }
}

#[test]
fn where_a_call_is_all_or_nothing_a_service_goes_as_a_whole() {
    let of = |name: &str| [".r", ".z1.r", ""].map(|place| format!("{name}.shop.fed.svc{place}"));
    let written = written(Atomicity::Batch, 3);
    assert_eq!(written[..6], [of("a"), of("b")].concat());
}

#[test]
fn a_name_that_is_refused_for_good_holds_up_no_other_name_of_its_service() {
    let (mut daemon, mut store, mut now) = with_lost_cluster(Atomicity::Set, usize::MAX);
    let is_locked = |owner: &Fqdn| owner.as_str().starts_with("a.shop.fed.svc.z1.r.");
    let dead = |store: &ZoneStore| {
        let sets = store.entries().filter(|entry| !is_locked(&entry.key().owner));
        sets.filter(|entry| format!("{:?}", entry.data).contains("192.0.2.1")).count()
    };
    for _ in 0..5 {
        daemon.plan(now);
        while let Some(batch) = daemon.next_batch(now, |_| true) {
            let (locked, free) = batch.changes.units.iter().cloned().partition(|unit| unit.owners().any(is_locked));
            let mut applied = store.apply(&ChangeSet { units: free }, Atomicity::Set);
            let refused = Applied::all(&ChangeSet { units: locked }, |_| {
                let error = Error::new(ErrorKind::PermissionDenied, "test", "the zone is locked");
                Outcome::Refused(error.with_retry(RetryHint::Never))
            });
            applied.outcomes.extend(refused.outcomes);
            daemon.record(batch, &applied, now);
            daemon.plan(now);
        }
        now = now.plus(Duration::from_hours(1));
    }
    assert_eq!(dead(&store), 0, "the dead address is out wherever nothing is locked");
}
