//! Endpoints that flap every ten milliseconds for a minute, on a clock of the test.
//!
//! The first failover goes out at once, DNS changes no faster than `min-interval` allows, no failover waits for longer
//! than that, and the end is right.

#![expect(clippy::unwrap_used, reason = "a failed test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dns_sync_core::{
    ClusterAnswer, Endpoint, Place, Reconciler, ServiceCopy, ServiceId, Settings, SourceEvent, Timestamp,
};
use dnsprovider::capabilities::Atomicity;
use dnsprovider::store::ZoneStore;
use dnsprovider::{Capabilities, Fqdn, RecordData, memory};

const FLAP: Duration = Duration::from_millis(10);
const MINUTE: Duration = Duration::from_mins(1);
const INTERVAL: Duration = Duration::from_secs(1);
/// Writes of a name beyond one for each interval: the first one, and the failover that may come before its time.
const MORE: usize = 2;

/// What a cluster says of the one service: its address while an endpoint is ready.
type Says = Option<u8>;

struct World {
    store: ZoneStore,
    atomicity: Atomicity,
    daemon: Reconciler,
    now: Timestamp,
    /// When each name was written.
    writes: BTreeMap<Fqdn, Vec<Timestamp>>,
}

impl World {
    fn new(claims: bool, atomicity: Atomicity) -> Self {
        let zone = Fqdn::parse("example.com").unwrap();
        let mut able: Capabilities = memory::capabilities();
        (able.claims, able.atomicity) = (claims, atomicity);
        let settings = Settings { min_interval: INTERVAL, ..Settings::new("fed", zone.clone()) };
        let daemon = Reconciler::new(settings, &able);
        let now = Timestamp(1_800_000_000_000);
        let mut world = Self { store: ZoneStore::new("test", zone), atomicity, daemon, now, writes: BTreeMap::new() };
        for number in [1, 2] {
            let answer = ClusterAnswer {
                places: Some(BTreeSet::from([Place::new(format!("r{number}"), format!("z{number}"))])),
                services: BTreeMap::from([(service(), copy(None))]),
                ..ClusterAnswer::default()
            };
            world.daemon.observe(SourceEvent::Answer { cluster: format!("c{number}").into(), answer }, now);
        }
        world.sync();
        world
    }

    /// The two clusters say this, and what may be written is.
    fn say(&mut self, says: [Says; 2]) {
        for (number, says) in (1..).zip(says) {
            let (cluster, copy) = (format!("c{number}").into(), Some(copy(says)));
            self.daemon.observe(SourceEvent::Service { cluster, service: service(), copy }, self.now);
        }
        self.sync();
    }

    fn sync(&mut self) {
        self.daemon.plan(self.now);
        while let Some(batch) = self.daemon.next_batch(self.now, |_| true) {
            let applied = self.store.apply(&batch.changes, self.atomicity);
            for owner in batch.changes.changes().map(|change| &change.key.owner).collect::<BTreeSet<_>>() {
                let writes = self.writes.entry(owner.clone()).or_default();
                if writes.last() != Some(&self.now) {
                    writes.push(self.now);
                }
            }
            let follow = self.daemon.record(batch, &applied, self.now);
            assert!(follow.reread.is_empty() && follow.failed.is_empty(), "{follow:?}");
            self.daemon.plan(self.now);
        }
    }

    /// Time passes, and what only waited for it is written when it may be.
    fn wait(&mut self, time: Duration) {
        let end = self.now.plus(time);
        while let Some(wake) = self.daemon.next_wake(self.now).filter(|wake| *wake <= end) {
            self.now = wake;
            self.sync();
        }
        self.now = end;
    }

    /// The addresses to which a name leads.
    fn answers(&self, name: &str) -> BTreeSet<u8> {
        let owner = Fqdn::parse(name).unwrap();
        let records = self.store.at(&owner).iter().flat_map(|entry| entry.data.set.records()).cloned();
        let records: Vec<RecordData> = records.collect();
        let led = records.iter().filter_map(|record| match record {
            RecordData::Cname(target) => Some(self.answers(target.as_str())),
            RecordData::A(address) => Some(BTreeSet::from([address.octets()[3]])),
            _ => None,
        });
        led.flatten().collect()
    }
}

fn service() -> ServiceId {
    ServiceId::new("shop", "web")
}

fn copy(says: Says) -> ServiceCopy {
    let ingress = says.map(|last| Endpoint::Ip([192, 0, 2, last].into())).into_iter().collect();
    ServiceCopy { ingress, ready: says.is_some(), ..ServiceCopy::default() }
}

const GLOBAL: &str = "web.shop.fed.svc.example.com";
const NAMES: [&str; 5] = [
    GLOBAL,
    "web.shop.fed.svc.r1.example.com",
    "web.shop.fed.svc.z1.r1.example.com",
    "web.shop.fed.svc.r2.example.com",
    "web.shop.fed.svc.z2.r2.example.com",
];

/// Both clusters say the one and the other by turns for a minute, beginning with a quiet time of `first`, and end with it.
fn flap(claims: bool, atomicity: Atomicity, first: [Says; 2], second: [Says; 2]) {
    let what = format!("claims {claims}, {atomicity:?}, {first:?} and {second:?}");
    let mut world = World::new(claims, atomicity);
    world.say(first);
    world.wait(MINUTE);
    world.writes.clear();
    let leads = |world: &World, says: [Says; 2]| {
        let healthy: BTreeSet<u8> = says.into_iter().flatten().collect();
        let answers = world.answers(GLOBAL);
        assert_eq!(answers.is_empty(), healthy.is_empty(), "{what}: an empty name");
        !answers.is_disjoint(&healthy)
    };

    world.say(second);
    assert!(leads(&world, second), "{what}: the first failover waits");
    let begun = world.now;
    let (mut astray, mut says) = (Duration::ZERO, first);
    while world.now.since(begun) < MINUTE {
        world.wait(FLAP);
        world.say(says);
        astray = if leads(&world, says) { Duration::ZERO } else { astray + FLAP };
        assert!(astray <= INTERVAL, "{what}: a failover waits for longer than the interval");
        says = if says == first { second } else { first };
    }
    world.say(first);
    world.wait(3 * INTERVAL);

    let most = usize::try_from(world.now.since(begun).as_millis() / INTERVAL.as_millis()).unwrap() + MORE;
    let mut busiest = 0;
    for (owner, writes) in &world.writes {
        busiest = busiest.max(writes.len());
        // The TXT set that lists claims goes along with every name that it lists.
        let most = if owner.as_str().starts_with("_dns-syncd.") { most * NAMES.len() } else { most };
        assert!(writes.len() <= most, "{what}: {owner} was written {} times, allowed are {most}", writes.len());
    }
    assert!(busiest > 10, "{what}: DNS does not follow at all");
    for name in NAMES {
        let healthy: BTreeSet<u8> = first.into_iter().flatten().collect();
        let answers = world.answers(name);
        assert!(!answers.is_empty() && answers.is_subset(&healthy), "{what}: {name} leads to {answers:?} at the end");
    }
    assert!(world.daemon.is_settled(), "{what}");
    assert_eq!(world.answers(GLOBAL), first.into_iter().flatten().collect(), "{what}");
}

fn flap_everywhere(first: [Says; 2], second: [Says; 2]) {
    flap(true, Atomicity::Set, first, second);
    flap(false, Atomicity::Batch, first, second);
}

#[test]
fn one_of_two_clusters_flaps() {
    flap_everywhere([Some(1), Some(2)], [None, Some(2)]);
}

/// Each time all addresses of the global name die, so each change is a failover.
#[test]
fn two_clusters_flap_by_turns() {
    flap_everywhere([Some(1), None], [None, Some(2)]);
}

#[test]
fn the_only_address_changes_all_the_time() {
    flap_everywhere([Some(1), None], [Some(3), None]);
}
