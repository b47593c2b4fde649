//! How many calls a host without claims needs, and what becomes of sets that it refuses.
//!
//! The costs are those of Route 53: 1,000 values and 32,000 characters of values in a call, each value that goes and each
//! that comes counted, text with its quotes.

#![expect(clippy::unwrap_used, reason = "a failed test may panic")]

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use dns_sync_core::{
    Batch, ClusterAnswer, Endpoint, FollowUp, Place, Reconciler, ServiceCopy, ServiceId, Settings, SourceEvent,
    Timestamp,
};
use dnsprovider::capabilities::Atomicity;
use dnsprovider::store::ZoneStore;
use dnsprovider::{Applied, Capabilities, Error, ErrorKind, Fqdn, Outcome, RecordData, RrKey, RrType, Unit, memory};

const MAX_VALUES: usize = 1_000;
const MAX_CHARACTERS: usize = 32_000;

/// Values and characters of a unit.
fn cost(unit: &Unit) -> (usize, usize) {
    let sets = unit.changes.iter().flat_map(|change| change.before.iter().chain(&change.after));
    let lengths = sets.flat_map(|data| data.set.records()).map(|record| match record {
        // Strings of at most 255 octets, each in quotes, a blank between them.
        RecordData::Txt(text) => text.len() + text.len().div_ceil(255) * 3 - 1,
        other => other.to_string().len(),
    });
    lengths.fold((0, 0), |(values, characters), length| (values + 1, characters + length))
}

struct World {
    store: ZoneStore,
    daemon: Reconciler,
    now: Timestamp,
    calls: usize,
    atomicity: Atomicity,
}

impl World {
    fn new(federation: &str) -> Self {
        Self::at_host(federation, false, Atomicity::Batch)
    }

    fn at_host(federation: &str, claims: bool, atomicity: Atomicity) -> Self {
        let zone = Fqdn::parse("example.com").unwrap();
        let settings = Settings::new(federation, zone.clone());
        let able = Capabilities { claims, atomicity, ..memory::capabilities() };
        let daemon = Reconciler::new(settings, &able);
        Self { store: ZoneStore::new("test", zone), daemon, now: Timestamp(1_800_000_000_000), calls: 0, atomicity }
    }

    fn next_batch(&mut self) -> Option<Batch> {
        let mut used = (0, 0);
        self.daemon.next_batch(self.now, |unit| {
            let (values, characters) = cost(unit);
            let sum = (used.0 + values, used.1 + characters);
            let fits = sum.0 <= MAX_VALUES && sum.1 <= MAX_CHARACTERS;
            if fits {
                used = sum;
            }
            fits
        })
    }

    /// Writes until nothing is left or nothing may be written now.
    fn write(&mut self, mut refuse: impl FnMut(&Batch) -> Option<Applied>) -> Vec<FollowUp> {
        let mut follows = Vec::new();
        self.daemon.plan(self.now);
        while let Some(batch) = self.next_batch() {
            self.calls += 1;
            assert!(self.calls < 10_000, "no end of writing");
            let applied = refuse(&batch).unwrap_or_else(|| self.store.apply(&batch.changes, self.atomicity));
            follows.push(self.daemon.record(batch, &applied, self.now));
            self.daemon.plan(self.now);
        }
        follows
    }

    fn answer(&mut self, cluster: &str, places: &[(&str, &str)], services: BTreeMap<ServiceId, ServiceCopy>) {
        let places = places.iter().map(|(region, zone)| Place::new(*region, *zone)).collect();
        let answer = ClusterAnswer { places: Some(places), services, ..ClusterAnswer::default() };
        self.daemon.observe(SourceEvent::Answer { cluster: cluster.into(), answer }, self.now);
    }

    fn held(&self, name: &str, rr_type: RrType) -> bool {
        self.store.get(&RrKey::new(Fqdn::parse(name).unwrap(), rr_type)).is_some()
    }
}

fn copy(address: Ipv4Addr) -> ServiceCopy {
    ServiceCopy { ingress: [Endpoint::Ip(address.into())].into(), ready: true, ..ServiceCopy::default() }
}

/// Addresses of the usual length: 12 characters and more.
fn address(number: usize) -> Ipv4Addr {
    let [.., high, low] = number.to_be_bytes();
    Ipv4Addr::new(203, 100 + high, 113, low)
}

#[test]
fn ten_thousand_creates_take_fourteen_calls_and_one_changed_service_takes_one() {
    let mut world = World::new("myfederation");
    let id = |number: usize| ServiceId::new("shop", format!("service-{number}"));
    let services = (0..2_500).map(|number| (id(number), copy(address(number)))).collect();
    world.answer("gke-central1", &[("us-central1", "us-central1-a"), ("us-central1", "us-central1-b")], services);
    world.write(|_| None);
    assert_eq!(world.store.len(), 12_500);
    assert!(world.calls <= 14, "{} calls", world.calls);
    let longest = world.store.entries().flat_map(|entry| entry.data.set.records()).filter_map(|record| match record {
        RecordData::Txt(text) => Some(text.len()),
        _ => None,
    });
    assert!(longest.max().unwrap() <= 113, "with its quotes at most 115 characters");

    world.calls = 0;
    world.now = world.now.plus(Duration::from_mins(1));
    let event =
        SourceEvent::Service { cluster: "gke-central1".into(), service: id(7), copy: Some(copy(address(9_999))) };
    world.daemon.observe(event, world.now);
    world.write(|_| None);
    assert_eq!(world.calls, 1);
}

#[test]
fn a_service_that_fits_into_no_call_is_written_in_three_steps_without_its_credits_where_they_are_too_long() {
    let mut world = World::new("fed");
    let places: Vec<(String, String)> = (0..600).map(|zone| ("r1".into(), format!("zone-{zone}"))).collect();
    let places: Vec<(&str, &str)> = places.iter().map(|(region, zone)| (&**region, &**zone)).collect();
    let addresses = (0..3).map(|number| Endpoint::Ip(address(number).into())).collect();
    let copy = ServiceCopy { ingress: addresses, ready: true, ..ServiceCopy::default() };
    let long = |number: usize| format!("arn:aws:eks:eu-west-1:111122223333:cluster/{number:0>900}");
    let service = ServiceId::new("shop", "wide");
    for number in 0..6 {
        world.answer(&long(number), &places, BTreeMap::from([(service.clone(), copy.clone())]));
    }
    world.write(|_| None);
    assert!(world.calls >= 3, "{} calls", world.calls);
    assert_eq!(world.store.len(), 603);
    assert!(world.daemon.is_settled());
    let txt = RrKey::new(Fqdn::parse("_dns-syncd.wide.shop.fed.svc.example.com").unwrap(), RrType::Txt);
    for record in world.store.get(&txt).unwrap().data.set.records() {
        let RecordData::Txt(text) = record else { panic!("no text: {record}") };
        assert!(text.len() <= 3_800);
    }
}

#[test]
fn bulk_work_does_not_go_with_what_is_urgent() {
    for (claims, atomicity) in [(false, Atomicity::Batch), (true, Atomicity::Set), (true, Atomicity::Batch)] {
        let mut world = World::at_host("fed", claims, atomicity);
        let id = |name: &str| ServiceId::new("shop", name);
        for (number, cluster) in ["a", "b"].into_iter().enumerate() {
            world.answer(cluster, &[], BTreeMap::from([(id("web"), copy(address(number)))]));
        }
        world.write(|_| None);
        world.now = world.now.plus(Duration::from_mins(1));
        let dead = ServiceCopy { ready: false, ..copy(address(0)) };
        for (name, copy) in [("api", copy(address(2))), ("web", dead), ("zoo", copy(address(3)))] {
            let event = SourceEvent::Service { cluster: "a".into(), service: id(name), copy: Some(copy) };
            world.daemon.observe(event, world.now);
        }
        let mut calls = Vec::new();
        world.write(|batch| {
            let of = |name: &str| batch.changes.changes().any(|change| change.key.owner.as_str().contains(name));
            calls.push(["web.", "api.", "zoo."].map(of));
            None
        });
        assert_eq!(calls, [[true, false, false], [false, true, true]], "{claims} {atomicity:?}");
    }
}

//----------- Refused for good -----------------------------------------------

/// The outcome of a call in which one set is refused, as hosts tell it that say which one, or do not.
fn refused(batch: &Batch, bad: &RrKey, says_which: bool) -> Option<Applied> {
    let is_bad = |unit: &Unit| unit.changes.iter().any(|change| change.key == *bad);
    batch.changes.units.iter().find(|unit| is_bad(unit))?;
    let error =
        |key: &RrKey| Outcome::Refused(Error::new(ErrorKind::InvalidInput, "test", "no such data").with_key(key));
    let mut applied = Applied::default();
    for unit in &batch.changes.units {
        for change in &unit.changes {
            let outcome = match (is_bad(unit), says_which) {
                (false, _) => Outcome::NotTried,
                (true, true) if change.key != *bad => Outcome::NotTried,
                _ => error(&change.key),
            };
            applied.outcomes.insert(change.key.clone(), outcome);
        }
    }
    Some(applied)
}

#[test]
fn a_set_that_is_refused_for_good_keeps_no_other_from_being_written() {
    for says_which in [true, false] {
        let mut world = World::new("fed");
        world.answer("a", &[("r1", "z1")], BTreeMap::from([(ServiceId::new("shop", "web"), copy(address(1)))]));
        world.answer("b", &[("r2", "")], BTreeMap::new());
        let bad = RrKey::new(Fqdn::parse("web.shop.fed.svc.r1.example.com").unwrap(), RrType::A);
        let follows = world.write(|batch| refused(batch, &bad, says_which));
        assert!(follows.iter().any(|follow| follow.regrouped), "the others are tried at once");
        assert!(world.held("web.shop.fed.svc.example.com", RrType::A));
        assert!(world.held("web.shop.fed.svc.z1.r1.example.com", RrType::A));
        assert!(world.held("web.shop.fed.svc.r2.example.com", RrType::Cname));
        assert!(!world.held("web.shop.fed.svc.r1.example.com", RrType::A));
        let failures: Vec<&str> = world.daemon.failures().map(|(_, error)| error).collect();
        assert!(failures.len() == 1 && failures[0].contains("no such data"), "{failures:?}");
        assert_eq!(world.daemon.report(world.now).changes.len(), 1, "it stays planned");

        // After its rest it is tried again, alone, and others are not held up by it.
        let wake = world.daemon.next_wake(world.now).unwrap();
        world.now = wake.plus(Duration::from_secs(2));
        let calls = world.calls;
        world.write(|batch| refused(batch, &bad, says_which));
        assert_eq!(world.calls, calls + 1);
        world.now = world.now.plus(Duration::from_mins(10));
        world.write(|_| None);
        assert!(world.held("web.shop.fed.svc.r1.example.com", RrType::A));
        assert!(world.daemon.is_settled() && world.daemon.failures().next().is_none());
    }
}

#[test]
fn nothing_leads_to_a_name_whose_set_is_refused() {
    let mut world = World::new("fed");
    world.answer("a", &[("r1", "z1")], BTreeMap::from([(ServiceId::new("shop", "web"), copy(address(1)))]));
    world.answer("b", &[("r2", "z2")], BTreeMap::new());
    let bad = RrKey::new(Fqdn::parse("web.shop.fed.svc.example.com").unwrap(), RrType::A);
    world.write(|batch| refused(batch, &bad, true));
    assert!(world.held("web.shop.fed.svc.z1.r1.example.com", RrType::A));
    assert!(!world.held("web.shop.fed.svc.r2.example.com", RrType::Cname), "its target is not there");
    assert!(!world.held("web.shop.fed.svc.z2.r2.example.com", RrType::Cname));
    world.now = world.now.plus(Duration::from_mins(10));
    world.write(|_| None);
    assert!(world.held("web.shop.fed.svc.z2.r2.example.com", RrType::Cname));
}

#[test]
fn a_refused_txt_set_stops_its_service_alone() {
    let mut world = World::new("fed");
    let web = ServiceId::new("shop", "web");
    let services = BTreeMap::from([(web.clone(), copy(address(1))), (ServiceId::new("shop", "api"), copy(address(2)))]);
    world.answer("a", &[("r1", "z1")], services);
    let txt = RrKey::new(Fqdn::parse("_dns-syncd.web.shop.fed.svc.example.com").unwrap(), RrType::Txt);
    world.write(|batch| {
        let mut applied = refused(batch, &txt, true)?;
        for (key, outcome) in &mut applied.outcomes {
            if key.owner.as_str().contains("api.") {
                *outcome = Outcome::NotTried;
            }
        }
        Some(applied)
    });
    assert!(!world.held("web.shop.fed.svc.example.com", RrType::A));
    assert!(world.held("api.shop.fed.svc.example.com", RrType::A));
    assert_eq!(world.daemon.failures().map(|(service, _)| service).collect::<Vec<_>>(), [Some(&web)]);
}

#[test]
fn a_conflict_reads_the_txt_set_and_the_names_of_its_service() {
    let mut world = World::new("fed");
    world.answer("a", &[("r1", "")], BTreeMap::from([(ServiceId::new("shop", "web"), copy(address(1)))]));
    world.write(|_| None);
    world.now = world.now.plus(Duration::from_mins(1));
    world.answer("a", &[("r1", "")], BTreeMap::from([(ServiceId::new("shop", "web"), copy(address(2)))]));
    world.daemon.plan(world.now);
    let batch = world.next_batch().unwrap();
    let key = RrKey::new(Fqdn::parse("web.shop.fed.svc.example.com").unwrap(), RrType::A);
    let mut applied = Applied::all(&batch.changes, |_| Outcome::NotTried);
    applied.outcomes.insert(key, Outcome::Conflict);
    let follow = world.daemon.record(batch, &applied, world.now);
    let names: Vec<&str> = follow.reread.iter().map(Fqdn::as_str).collect();
    let all = ["_dns-syncd.web.shop.fed.svc", "web.shop.fed.svc", "web.shop.fed.svc.r1"];
    assert_eq!(names, all.map(|name| format!("{name}.example.com.")));
    assert_eq!((follow.conflicts, follow.done), (1, 0));
}
