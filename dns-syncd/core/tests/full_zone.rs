//! A zone that takes fewer sets than are wanted: what is planned is what is written, however it is cut into calls.

#![expect(clippy::unwrap_used, reason = "a failed test may panic")]

use std::collections::{BTreeMap, BTreeSet};

use dns_sync_core::{
    ClusterAnswer, Endpoint, GuardSettings, Place, Reconciler, ServiceCopy, ServiceId, Settings, SourceEvent, Timestamp,
};
use dnsprovider::capabilities::Atomicity;
use dnsprovider::store::ZoneStore;
use dnsprovider::{Capabilities, Fqdn, memory};

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const SERVICES: u8 = 20;

/// Four names for each service, and where claims are listed a TXT set, in a zone that takes so many sets.
fn daemon(claims: bool, limit: u64, one_shot: bool) -> Reconciler {
    let mut able = Capabilities { claims, ..memory::capabilities() };
    able.limits.sets_per_zone = Some(limit);
    let guard = GuardSettings { max_emptied: 100, ..GuardSettings::default() };
    let settings = Settings { guard, ..Settings::new("fed", Fqdn::parse("example.com").unwrap()) };
    let settings = if one_shot { settings.for_one_shot() } else { settings };
    let mut daemon = Reconciler::new(settings, &able);
    tell(&mut daemon, 0..SERVICES);
    daemon
}

fn tell(daemon: &mut Reconciler, services: std::ops::Range<u8>) {
    let copy = |number: u8| ServiceCopy {
        ingress: [Endpoint::Ip([192, 0, 2, number + 1].into())].into(),
        ready: true,
        ..ServiceCopy::default()
    };
    let services: BTreeMap<_, _> =
        services.map(|number| (ServiceId::new("shop", format!("s{number:02}")), copy(number))).collect();
    let places = Some(BTreeSet::from([Place::new("r", "z1"), Place::new("r", "z2")]));
    let answer = ClusterAnswer { places, services, ..ClusterAnswer::default() };
    daemon.observe(SourceEvent::Answer { cluster: "c1".into(), answer }, NOW);
    daemon.plan(NOW);
}

/// Writes in calls of so many units; gives the changes done.
fn write(daemon: &mut Reconciler, store: &mut ZoneStore, units: usize, now: Timestamp) -> usize {
    let mut done = 0;
    loop {
        daemon.plan(now);
        let mut taken = 0;
        let fits = |_: &_| {
            taken += 1;
            taken <= units
        };
        let Some(batch) = daemon.next_batch(now, fits) else { return done };
        let applied = store.apply(&batch.changes, Atomicity::Batch);
        done += daemon.record(batch, &applied, now).done;
    }
}

#[test]
fn what_is_planned_is_what_is_written() {
    for one_shot in [true, false] {
        for claims in [true, false] {
            for limit in [1, 7, 21, 50, 65, 79] {
                for units in [1, 3, usize::MAX] {
                    let what = format!("one shot {one_shot}, claims {claims}, {limit} sets, calls of {units}");
                    let mut daemon = daemon(claims, limit, one_shot);
                    let mut store = ZoneStore::new("test", Fqdn::parse("example.com").unwrap());
                    let planned: BTreeSet<String> =
                        daemon.report(NOW).changes.into_iter().map(|change| change.name).collect();
                    let done = write(&mut daemon, &mut store, units, NOW);
                    let is_listed = |name: &Fqdn| !name.as_str().starts_with("_dns-syncd.");
                    let names = store.snapshot().entries.keys().filter(|name| is_listed(name));
                    let written: BTreeSet<String> = names.map(ToString::to_string).collect();
                    if one_shot {
                        assert_eq!(written, planned, "{what}");
                    }
                    // A set may be left in which the next new service does not fit, but a name of an old one does.
                    assert!(written.is_superset(&planned), "{what}");
                    assert_eq!(done, written.len(), "{what}");
                    assert!(store.len() as u64 <= limit, "{what}");
                    assert!(daemon.report(NOW).changes.is_empty(), "{what}: nothing more fits");
                }
            }
        }
    }
}

#[test]
fn who_waits_goes_before_who_comes_later() {
    let mut daemon = daemon(true, 50, false);
    let mut store = ZoneStore::new("test", Fqdn::parse("example.com").unwrap());
    write(&mut daemon, &mut store, 3, NOW);
    let now = NOW.plus(std::time::Duration::from_hours(1));
    // The last service goes and leaves room for more, and another one comes that sorts before all others.
    let gone = ServiceId::new("shop", format!("s{:02}", SERVICES - 1));
    let new = ServiceId::new("a", "new");
    let copy =
        ServiceCopy { ingress: [Endpoint::Ip([192, 0, 2, 99].into())].into(), ready: true, ..ServiceCopy::default() };
    for (service, copy) in [(gone, None), (new, Some(copy))] {
        daemon.observe(SourceEvent::Service { cluster: "c1".into(), service, copy }, now);
    }
    let before: BTreeSet<Fqdn> = store.snapshot().entries.keys().cloned().collect();
    write(&mut daemon, &mut store, 3, now);
    let come: Vec<&Fqdn> = store.snapshot().entries.keys().filter(|name| !before.contains(*name)).collect();
    assert!(!come.is_empty() && store.len() == 50, "{come:?}");
    assert!(come.iter().all(|name| !name.as_str().starts_with("new.a.")), "{come:?}");
}
