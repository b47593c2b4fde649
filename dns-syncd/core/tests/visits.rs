//! What choosing costs: how many entries of the queue a bulk of services visits, counted and not timed.
//!
//! Each turn is that of the daemon: how urgent is the next batch, take it while others are out, when to wake, take an
//! outcome in, plan. Whatever is out, waits or is held must not be looked at again and again.

#![expect(clippy::unwrap_used, reason = "a failed test may panic")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;

use dns_sync_core::{
    Batch, ClusterAnswer, Endpoint, GuardSettings, Place, Reconciler, ServiceCopy, ServiceId, Settings, SourceEvent,
    Timestamp,
};
use dnsprovider::capabilities::Atomicity;
use dnsprovider::store::ZoneStore;
use dnsprovider::{Applied, Capabilities, Error, ErrorKind, Fqdn, Outcome, memory};

/// Units in a batch, and batches that are out at once.
const UNITS: usize = 8;
const OUT: usize = 16;
/// Entries visited for each service of a bulk: put, seen, taken, and asked for its urgency, with room for a few more.
const EACH: u64 = 8;
/// Sizes of a bulk; what visits all that waits at each turn would need hundreds of visits for each service of the last.
const SIZES: [u32; 3] = [100, 400, 1600];

struct World {
    daemon: Reconciler,
    store: ZoneStore,
    now: Timestamp,
}

impl World {
    fn new(claims: bool, guard: GuardSettings) -> Self {
        Self::of_size(claims, guard, None)
    }

    /// With a zone that takes so many sets.
    fn of_size(claims: bool, guard: GuardSettings, sets_per_zone: Option<u64>) -> Self {
        let zone = Fqdn::parse("example.com").unwrap();
        let mut able = Capabilities { claims, ..memory::capabilities() };
        able.limits.sets_per_zone = sets_per_zone;
        let settings = Settings { guard, ..Settings::new("fed", zone.clone()) };
        let daemon = Reconciler::new(settings, &able);
        Self { daemon, store: ZoneStore::new("test", zone), now: Timestamp(1_800_000_000_000) }
    }

    /// A cluster has these services, with an address of its own each.
    fn answer(&mut self, cluster: u8, services: impl Iterator<Item = u32>) {
        let copy = |number: u32| {
            let [_, _, high, low] = number.to_be_bytes();
            let ingress = [Endpoint::Ip(Ipv4Addr::new(11, cluster, high, low).into())].into();
            ServiceCopy { ingress, ready: true, ..ServiceCopy::default() }
        };
        let services: BTreeMap<_, _> =
            services.map(|number| (ServiceId::new("shop", format!("s{number}")), copy(number))).collect();
        let places = Some(BTreeSet::from([Place::new("r", "")]));
        let answer = ClusterAnswer { places, services, ..ClusterAnswer::default() };
        self.daemon.observe(SourceEvent::Answer { cluster: format!("c{cluster}").into(), answer }, self.now);
    }

    /// Works until nothing more may be written now; gives how many entries were visited, and the changes done.
    fn work(&mut self, host: impl Fn(&mut ZoneStore, &Batch) -> Applied) -> (u64, usize) {
        let (before, mut done) = (self.daemon.queue_visits(), 0);
        let mut out = VecDeque::new();
        loop {
            self.daemon.plan(self.now);
            _ = self.daemon.next_urgency(self.now);
            while out.len() < OUT {
                let mut units = 0;
                let fits = |_: &_| {
                    units += 1;
                    units <= UNITS
                };
                let Some(batch) = self.daemon.next_batch(self.now, fits) else { break };
                out.push_back(batch);
            }
            _ = self.daemon.next_wake(self.now);
            let Some(batch) = out.pop_front() else { break };
            let applied = host(&mut self.store, &batch);
            done += self.daemon.record(batch, &applied, self.now).done;
        }
        (self.daemon.queue_visits() - before, done)
    }

    fn write(&mut self) -> (u64, usize) {
        self.work(|store, batch| store.apply(&batch.changes, Atomicity::Batch))
    }
}

fn assert_linear(what: &str, visits: u64, services: u32) {
    assert!(visits <= EACH * u64::from(services) + 100, "{what} of {services} services visits {visits} entries");
}

#[test]
fn a_bulk_visits_each_service_a_few_times() {
    for (claims, services) in [true, false].into_iter().flat_map(|claims| SIZES.map(|size| (claims, size))) {
        let mut world = World::new(claims, GuardSettings::default());
        world.answer(1, 0..services);
        world.answer(2, 0..services);
        let (visits, done) = world.write();
        assert_eq!(done, 2 * services as usize);
        assert_linear("a create", visits, services);

        world.now = world.now.plus(Duration::from_hours(1));
        let unready = (0..services).map(|number| ServiceId::new("shop", format!("s{number}")));
        for service in unready {
            let copy = Some(ServiceCopy::default());
            world.daemon.observe(SourceEvent::Service { cluster: "c1".into(), service, copy }, world.now);
        }
        let (visits, done) = world.write();
        assert_eq!(done, 2 * services as usize);
        assert_linear("a withdrawal", visits, services);
    }
}

#[test]
fn what_failed_or_rests_is_not_visited_before_its_time() {
    for services in SIZES {
        let mut world = World::new(true, GuardSettings::default());
        world.answer(1, 0..services);
        let error = || Error::new(ErrorKind::Unavailable, "test", "no luck");
        let (visits, done) = world.work(|_, batch| Applied::all(&batch.changes, |_| Outcome::Refused(error())));
        assert_eq!(done, 0);
        assert_linear("a failing create", visits, services);
        let (visits, done) = world.write();
        assert_eq!(done, 0, "all rest");
        assert!(visits < 10, "{services} services that rest are visited {visits} times");

        world.now = world.daemon.next_wake(world.now).unwrap();
        let (visits, done) = world.write();
        assert_eq!(done, 2 * services as usize);
        assert_linear("a second attempt", visits, services);

        // Everything changes again at once: names that were just written rest.
        world.answer(2, 0..services);
        let (visits, done) = world.write();
        assert_eq!(done, 0, "all rest");
        assert_linear("a planned change that rests", visits, services);
        let (visits, _) = world.write();
        assert!(visits < 10, "{services} services that rest are visited {visits} times");
        world.now = world.daemon.next_wake(world.now).unwrap();
        let (visits, done) = world.write();
        assert_eq!(done, 2 * services as usize);
        assert_linear("a change after its rest", visits, services);
    }
}

#[test]
fn what_the_guard_holds_is_visited_once_until_it_is_released() {
    for services in SIZES {
        let guard = GuardSettings { max_delete: 10, ..GuardSettings::default() };
        let mut world = World::new(true, guard);
        world.answer(1, 0..services);
        world.write();
        world.now = world.now.plus(Duration::from_hours(1));
        // All services but new ones are gone.
        world.answer(1, services..2 * services);
        let (visits, done) = world.write();
        assert_eq!(done, 2 * services as usize, "what is new is written, what goes is held");
        assert_linear("a create beside held deletions", visits, 2 * services);
        let (visits, _) = world.write();
        assert!(visits < 10, "{services} services that are held are visited {visits} times");

        let hash = world.daemon.held().1.unwrap().to_owned();
        assert!(world.daemon.approve(&hash, world.now));
        let (visits, done) = world.write();
        assert_eq!(done, 2 * services as usize);
        assert_linear("an approved deletion", visits, services);
        assert!(world.daemon.is_settled());
    }
}

#[test]
fn what_finds_no_room_is_visited_a_few_times_and_not_for_each_batch_of_the_others() {
    for (claims, services) in [true, false].into_iter().flat_map(|claims| SIZES.map(|size| (claims, size))) {
        // With claims in sets of their own a service takes three sets, else two.
        let of_service = if claims { 2 } else { 3 };
        let quota = of_service * u64::from(services) / 2;
        let guard = GuardSettings { max_delete: 100, max_update: 100, max_emptied: 100, ..GuardSettings::default() };
        let mut world = World::of_size(claims, guard, Some(quota));
        world.answer(1, 0..services);
        let (visits, done) = world.write();
        assert!(world.store.len() as u64 <= quota && done * 3 >= services as usize * 2, "{done} of {services}");
        // Each is planned a second time when its first name stands, and a third time waits as one that is not new.
        assert_linear("a create in a zone that becomes full", visits / 3, services);

        world.now = world.now.plus(Duration::from_hours(1));
        let full = world.store.len();
        for number in 0..4 {
            let service = ServiceId::new("shop", format!("s{number}"));
            world.daemon.observe(SourceEvent::Service { cluster: "c1".into(), service, copy: None }, world.now);
        }
        let (visits, done) = world.write();
        assert!(world.store.len() + 3 >= full && done >= 8, "{done} changes, {} of {full} sets", world.store.len());
        assert!(visits < 200, "four services make room for others of {services}: {visits} visits");
    }
}
