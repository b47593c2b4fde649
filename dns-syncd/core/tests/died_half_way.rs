//! A daemon that dies between two calls of a change, at each place where it may, on hosts that change set by set.
//!
//! The name `z1.r1` is one of which only the zone tells: its cluster has moved away, or cannot be reached. Whatever the
//! next process finds, it goes on with the name.

#![expect(clippy::unwrap_used, reason = "a failed test may panic")]

mod single_calls;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use dns_sync_core::ledger::release;
use dns_sync_core::{
    Adopt, ClusterAnswer, Endpoint, Place, Reconciler, ServiceCopy, ServiceId, Settings, SourceEvent, Timestamp,
};
use dnsprovider::capabilities::Atomicity;
use dnsprovider::store::ZoneStore;
use dnsprovider::{
    Applied, Capabilities, Change, ChangeSet, ClaimedSet, Entry, Error, ErrorKind, Fqdn, Outcome, RecordData,
    RetryHint, RrType, Unit, memory,
};

use single_calls::in_calls;

const NAME: &str = "web.shop.fed.svc.z1.r1.example.com";
const HERE: &str = "192.0.2.1";
const ELSEWHERE: &str = "192.0.2.2";
const OTHER_FAMILY: &str = "2001:db8::2";

/// What a cluster says.
#[derive(Clone, Copy)]
enum Says {
    /// There is no such cluster.
    Absent,
    /// It cannot be reached.
    Unreachable,
    /// Its place and its address.
    Ready(&'static str, &'static str),
    /// Its place; none of its endpoints is ready.
    Unready(&'static str),
    /// Its place; it does not have the service.
    Without(&'static str),
}

use Says::{Absent, Ready, Unreachable, Unready, Without};

/// The clusters `a` and `b` before, when the change is decided, and to which addresses the name leads then.
struct Case {
    what: &'static str,
    before: [Says; 2],
    after: [Says; 2],
    leads_to: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case {
        what: "its cluster moved",
        before: [Ready("z1", HERE), Absent],
        after: [Ready("z2", HERE), Absent],
        leads_to: &[HERE],
    },
    Case {
        what: "its cluster moved and has another address",
        before: [Ready("z1", HERE), Absent],
        after: [Ready("z2", ELSEWHERE), Absent],
        leads_to: &[ELSEWHERE],
    },
    Case {
        what: "its cluster moved, and elsewhere is the other family",
        before: [Ready("z1", HERE), Absent],
        after: [Ready("z2", OTHER_FAMILY), Absent],
        leads_to: &[OTHER_FAMILY],
    },
    Case {
        what: "its cluster moved and is empty",
        before: [Ready("z1", HERE), Absent],
        after: [Unready("z2"), Absent],
        leads_to: &[],
    },
    Case {
        what: "its cluster cannot be reached",
        before: [Ready("z1", HERE), Ready("z2", ELSEWHERE)],
        after: [Unreachable, Ready("z2", ELSEWHERE)],
        leads_to: &[ELSEWHERE],
    },
];

#[derive(Clone)]
struct World {
    able: Capabilities,
    store: ZoneStore,
    daemon: Reconciler,
    now: Timestamp,
    /// The host lets nobody create TXT sets.
    denies_txt: bool,
}

impl World {
    fn new(able: Capabilities) -> Self {
        let zone = Fqdn::parse("example.com").unwrap();
        let daemon = Reconciler::new(Settings::new("fed", zone.clone()), &able);
        Self { able, store: ZoneStore::new("test", zone), daemon, now: Timestamp(1_800_000_000_000), denies_txt: false }
    }

    fn hear(&mut self, says: [Says; 2]) {
        for (cluster, says) in ["a", "b"].into_iter().zip(says) {
            let cluster = cluster.into();
            let event = match says {
                Absent => continue,
                Ready(zone, address) => SourceEvent::Answer { cluster, answer: answer(zone, Some(address)) },
                Unready(zone) => SourceEvent::Answer { cluster, answer: answer(zone, None) },
                Without(zone) => {
                    let answer = ClusterAnswer { services: BTreeMap::new(), ..answer(zone, None) };
                    SourceEvent::Answer { cluster, answer }
                }
                Unreachable => SourceEvent::Unknown { cluster, since: None, reason: "no route".into() },
            };
            self.daemon.observe(event, self.now);
        }
    }

    /// Plans and writes until nothing may be done now, or until so many calls are made; true when it was stopped.
    fn sync(&mut self, mut calls: usize) -> bool {
        for _ in 0..100 {
            self.daemon.plan(self.now);
            let Some(batch) = self.daemon.next_batch(self.now, |_| true) else { return false };
            let mut applied = Applied::default();
            let mut denied = BTreeSet::new();
            for change in in_calls(&batch) {
                if denied.contains(&change.key.owner) {
                    applied.add(&change.key, Outcome::NotTried);
                    continue;
                }
                if self.denies_txt && change.key.rr_type == RrType::Txt {
                    denied.insert(change.key.owner.clone());
                    let error = Error::new(ErrorKind::PermissionDenied, "test", "no right to write TXT sets");
                    applied.add(&change.key, Outcome::Refused(error.with_retry(RetryHint::Never)));
                    continue;
                }
                if calls == 0 {
                    return true;
                }
                calls -= 1;
                let alone = ChangeSet { units: vec![Unit { changes: vec![change] }] };
                let one = self.store.apply(&alone, Atomicity::Set);
                assert!(one.is_done(), "{one:?}");
                one.outcomes.into_iter().for_each(|(key, outcome)| applied.add(&key, outcome));
            }
            self.daemon.record(batch, &applied, self.now);
        }
        panic!("no end of writing")
    }

    /// Time for everything that waits: graces, and the least time between two writes of a set.
    fn wait(&mut self) {
        self.now = self.now.plus(Duration::from_mins(10));
    }

    fn restart(&mut self) {
        self.restart_with(Adopt::None);
    }

    fn restart_with(&mut self, adopt: Adopt) {
        let settings = Settings { adopt, ..Settings::new("fed", Fqdn::parse("example.com").unwrap()) };
        self.daemon = Reconciler::new(settings, &self.able);
        self.daemon.load_zone(self.store.snapshot().clone(), self.now);
    }

    fn holds(&self) -> Vec<RrType> {
        self.store.at(&Fqdn::parse(NAME).unwrap()).iter().map(|entry| entry.key().rr_type.clone()).collect()
    }

    /// What is planned at the name, with its reasons.
    fn reasons(&mut self) -> Vec<String> {
        self.daemon.plan(self.now);
        let report = self.daemon.report(self.now);
        let here = report.changes.iter().filter(|change| change.name.trim_end_matches('.') == NAME);
        here.map(|change| format!("{} {}: {}", change.action, change.rr_type, change.reason)).collect()
    }

    /// The addresses to which the name leads.
    fn leads_to(&self) -> BTreeSet<IpAddr> {
        let mut name = Fqdn::parse(NAME).unwrap();
        for _ in 0..4 {
            let records: Vec<_> = self.store.at(&name).iter().flat_map(|entry| entry.data.set.records()).collect();
            match records.as_slice() {
                [RecordData::Cname(target)] => name = target.clone(),
                records => return records.iter().filter_map(|record| record.address()).collect(),
            }
        }
        BTreeSet::new()
    }
}

fn answer(zone: &str, address: Option<&str>) -> ClusterAnswer {
    let ingress = [Endpoint::Ip(address.unwrap_or("192.0.2.99").parse().unwrap())].into();
    let copy = ServiceCopy { ingress, ready: address.is_some(), ..ServiceCopy::default() };
    ClusterAnswer {
        places: Some(BTreeSet::from([Place::new("r1", zone)])),
        services: BTreeMap::from([(ServiceId::new("shop", "web"), copy)]),
        ..ClusterAnswer::default()
    }
}

/// Hosts that change set by set: with claims on the sets, and with claims in TXT sets.
fn hosts() -> [(&'static str, Capabilities); 2] {
    let able = Capabilities { atomicity: Atomicity::Set, ..memory::capabilities() };
    [("claims", able.clone()), ("lists", Capabilities { claims: false, ..able })]
}

fn addresses(texts: &[&str]) -> BTreeSet<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn a_name_that_only_the_zone_knows_outlives_a_death_at_any_call() {
    for (host, able) in hosts() {
        for case in CASES {
            let mut before = World::new(able.clone());
            before.hear(case.before);
            before.sync(usize::MAX);
            assert_eq!(before.holds(), [RrType::A]);
            before.hear(case.after);
            before.wait();
            let mut calls = 0;
            loop {
                let what = format!("{host}: {}, dead after {calls} calls", case.what);
                let mut world = before.clone();
                let died = world.sync(calls);
                assert!(host != "claims" || !world.holds().is_empty(), "{what}: a client finds nothing");
                world.restart();
                world.hear(case.after);
                world.sync(usize::MAX);
                world.wait();
                world.sync(usize::MAX);
                assert!(!world.holds().is_empty(), "{what}: the name is forgotten");
                assert_eq!(world.leads_to(), addresses(case.leads_to), "{what}");
                assert!(world.daemon.is_settled(), "{what}");
                if !died {
                    break;
                }
                calls += 1;
            }
            assert!(calls > 0, "{host}: {}: nothing was written, so nobody died", case.what);
        }
    }
}

/// The place of a CNAME that may not come is held until there are addresses again, and goes when its time is over.
#[test]
fn a_name_without_addresses_gets_them_back_and_ends_in_time() {
    let able = hosts()[0].1.clone();
    let mut before = World::new(able);
    before.hear([Ready("z1", HERE), Absent]);
    before.sync(usize::MAX);
    before.hear([Unready("z2"), Absent]);
    before.wait();
    before.sync(usize::MAX);
    assert_eq!(before.holds(), [RrType::Txt]);
    for calls in 0.. {
        let mut world = before.clone();
        let back = [Ready("z2", ELSEWHERE), Absent];
        world.hear(back);
        let died = world.sync(calls);
        assert!(!world.holds().is_empty(), "dead after {calls} calls");
        world.restart();
        world.hear(back);
        world.sync(usize::MAX);
        world.wait();
        world.sync(usize::MAX);
        assert_eq!(world.holds(), [RrType::A], "dead after {calls} calls");
        assert_eq!(world.leads_to(), addresses(&[ELSEWHERE]));
        if !died {
            break;
        }
    }
    let mut world = before.clone();
    world.now = world.now.plus(Duration::from_hours(25));
    world.sync(usize::MAX);
    assert_eq!(world.holds(), []);

    // A cluster in its place makes it a name like any other.
    before.wait();
    before.hear([Ready("z2", ELSEWHERE), Unready("z1")]);
    before.sync(usize::MAX);
    assert_eq!(before.holds(), [RrType::Cname]);
}

/// A CNAME of which only the zone tells stays one where there would be addresses.
#[test]
fn a_cname_that_only_the_zone_knows_stays_one() {
    let mut world = World::new(hosts()[0].1.clone());
    world.hear([Unready("z1"), Ready("z2", ELSEWHERE)]);
    world.sync(usize::MAX);
    assert_eq!(world.holds(), [RrType::Cname]);
    world.wait();
    // It says that it is ready, and is gone before anything is written.
    world.hear([Ready("z1", HERE), Ready("z2", ELSEWHERE)]);
    world.hear([Unreachable, Ready("z2", ELSEWHERE)]);
    world.sync(usize::MAX);
    assert_eq!(world.holds(), [RrType::Cname]);
    assert_eq!(world.leads_to(), addresses(&[HERE, ELSEWHERE]), "the region has both");
    world.hear([Ready("z1", HERE), Ready("z2", ELSEWHERE)]);
    world.wait();
    world.sync(usize::MAX);
    assert_eq!(world.leads_to(), addresses(&[HERE]));
}

/// A service without an address credits nobody, so the silence of the one cluster that has it ends none of its names.
#[test]
fn a_service_without_addresses_outlives_the_silence_of_its_cluster() {
    let set_by_set = hosts()[0].1.clone();
    for (able, held) in [(set_by_set, RrType::Txt), (memory::capabilities(), RrType::Cname)] {
        let mut world = World::new(able);
        world.hear([Ready("z1", HERE), Without("z3")]);
        world.sync(usize::MAX);
        world.hear([Unready("z2"), Absent]);
        world.wait();
        world.sync(usize::MAX);
        assert_eq!(world.holds(), [held]);
        let before = world.store.snapshot().clone();
        world.restart();
        world.hear([Unreachable, Without("z3")]);
        world.sync(usize::MAX);
        assert_eq!(world.store.snapshot().entries, before.entries);
    }
}

/// The name as it is while it holds a TXT set because its cluster moved away and is empty.
fn without_address() -> World {
    let mut world = World::new(hosts()[0].1.clone());
    world.hear([Ready("z1", HERE), Absent]);
    world.sync(usize::MAX);
    world.hear([Unready("z2"), Absent]);
    world.wait();
    world.sync(usize::MAX);
    assert_eq!(world.holds(), [RrType::Txt]);
    world
}

#[test]
fn what_is_given_up_holds_no_txt_set() {
    for delete in [false, true] {
        let mut world = without_address();
        let sets = world.store.len();
        let given_up = ChangeSet::by_name(release::changes(world.store.snapshot(), "fed", delete));
        assert!(world.store.apply(&given_up, Atomicity::Set).is_done());
        assert_eq!(world.holds(), []);
        assert_eq!(world.store.len(), if delete { 0 } else { sets - 1 });
    }
}

/// A TXT set without a claim, as somebody leaves it who takes claims off in another way.
#[test]
fn a_txt_set_without_a_claim_is_taken_over_where_adoption_is_allowed() {
    for (adopt, is_ours) in [(Adopt::None, false), (Adopt::Exact, true), (Adopt::Names, true)] {
        let mut world = without_address();
        let bare = |entry: &Entry| Change::update(entry, ClaimedSet::unclaimed(entry.data.set.clone()));
        let bare: Vec<_> = world.store.snapshot().iter().map(bare).collect();
        assert!(world.store.apply(&ChangeSet::by_name(bare), Atomicity::Set).is_done());
        world.restart_with(adopt);
        world.hear([Unready("z2"), Absent]);
        world.sync(usize::MAX);
        let name = Fqdn::parse(NAME).unwrap();
        let claims = world.store.at(&name).iter().map(|entry| entry.data.claim_name() == Some("fed"));
        assert_eq!(claims.collect::<Vec<_>>(), [is_ours], "{adopt:?}");
        world.wait();
        world.hear([Unready("z2"), Unready("z1")]);
        world.sync(usize::MAX);
        assert_eq!(world.holds(), [if is_ours { RrType::Cname } else { RrType::Txt }], "{adopt:?}");
    }
}

#[test]
fn the_txt_set_comes_and_goes_for_reasons_of_its_own() {
    let mut world = World::new(hosts()[0].1.clone());
    world.hear([Ready("z1", HERE), Absent]);
    world.sync(usize::MAX);
    world.hear([Unready("z2"), Absent]);
    world.wait();
    let comes = "create TXT: no cluster has an address; it holds the name until one has";
    assert_eq!(world.reasons(), ["delete A: a has no ready endpoint", comes]);
    world.sync(usize::MAX);
    world.wait();
    let mut back = world.clone();
    back.hear([Ready("z2", ELSEWHERE), Absent]);
    assert_eq!(back.reasons(), ["create A: healthy in a", "delete TXT: addresses take its place"]);
    world.hear([Unready("z2"), Unready("z1")]);
    let cname = "create CNAME: no cluster here has an address";
    assert_eq!(world.reasons(), [cname, "delete TXT: a CNAME takes its place"]);
}

#[test]
fn the_txt_set_waits_with_the_addresses_that_the_guard_holds() {
    let mut world = World::new(hosts()[0].1.clone());
    let many = |zone: &str, address: Option<&str>| {
        let one = answer(zone, address);
        let copy = one.services.values().next().unwrap().clone();
        let others = (0..10).map(|number| (ServiceId::new("shop", format!("web{number}")), copy.clone()));
        let services = one.services.clone().into_iter().chain(others).collect();
        SourceEvent::Answer { cluster: "a".into(), answer: ClusterAnswer { services, ..one } }
    };
    world.daemon.observe(many("z1", Some(HERE)), world.now);
    world.sync(usize::MAX);
    world.wait();
    world.daemon.observe(many("z2", None), world.now);
    world.sync(usize::MAX);
    assert_eq!(world.holds(), [RrType::A]);
    let report = world.daemon.report(world.now);
    let held = report.held.iter().filter(|change| change.name.trim_end_matches('.') == NAME);
    assert_eq!(held.map(|change| &*change.rr_type).collect::<Vec<_>>(), ["A", "TXT"]);
    assert!(world.daemon.approve(&report.hash.unwrap(), world.now));
    world.sync(usize::MAX);
    assert_eq!(world.holds(), [RrType::Txt]);
}

#[test]
fn where_the_host_denies_the_txt_set_the_cname_comes_at_once() {
    let mut world = World::new(hosts()[0].1.clone());
    world.denies_txt = true;
    world.hear([Ready("z1", HERE), Absent]);
    world.sync(usize::MAX);
    world.hear([Unready("z2"), Absent]);
    world.wait();
    world.sync(usize::MAX);
    assert_eq!(world.holds(), [RrType::Cname]);
    assert_eq!(world.daemon.failures().count(), 0, "nothing of the service rests");
    world.wait();
    world.hear([Ready("z2", ELSEWHERE), Absent]);
    world.sync(usize::MAX);
    assert_eq!(world.leads_to(), addresses(&[ELSEWHERE]));

    // The right is given, and the next full read finds it out.
    world.denies_txt = false;
    world.wait();
    world.hear([Ready("z1", HERE), Absent]);
    world.sync(usize::MAX);
    assert_eq!(world.holds(), [RrType::A]);
    world.daemon.load_zone(world.store.snapshot().clone(), world.now);
    world.wait();
    world.hear([Unready("z2"), Absent]);
    world.sync(usize::MAX);
    assert_eq!(world.holds(), [RrType::Txt]);
}
