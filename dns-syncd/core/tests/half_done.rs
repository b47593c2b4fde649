//! A type change on a host that changes set by set, of which the one half was done and the other was not.
//!
//! The name is one that only lingers: no cluster is in its zone any more, so that what the zone holds is all that tells
//! of it. Its addresses go, and before the CNAME comes in their place nothing stands there.
//!
//! A daemon that lives on keeps it in mind. For one that dies see `died_half_way.rs`; hosts on which that would lose the
//! name do not change its type, so the host with claims here is one that writes no TXT sets.

#![expect(clippy::unwrap_used, reason = "a failed test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dns_sync_core::{
    Batch, ClusterAnswer, Endpoint, Place, Reconciler, ServiceCopy, ServiceId, Settings, SourceEvent, Timestamp,
};
use dnsprovider::capabilities::Atomicity;
use dnsprovider::store::ZoneStore;
use dnsprovider::{
    Applied, Capabilities, Change, ChangeSet, Error, ErrorKind, Fqdn, Outcome, RrKey, RrType, Snapshot, Unit, memory,
};

const LINGERING: &str = "web.shop.fed.svc.z1.r1.example.com";

/// What becomes of one half of the change, and what the host says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    Done,
    /// It was done, and nobody heard of it.
    Unheard,
    /// The request was lost.
    Lost,
    Refused,
    Conflict,
    NotTried,
}

struct World {
    settings: Settings,
    store: ZoneStore,
    daemon: Reconciler,
    now: Timestamp,
}

impl World {
    /// A service whose name in zone `z1` holds an address, when the cluster has just moved to `z2`.
    fn new(claims: bool) -> Self {
        let zone = Fqdn::parse("example.com").unwrap();
        let mut able: Capabilities = memory::capabilities();
        able.claims = claims;
        able.atomicity = Atomicity::Set;
        if claims {
            able.record_types.remove(&RrType::Txt);
        }
        let settings = Settings::new("fed", zone.clone());
        let daemon = Reconciler::new(settings.clone(), &able);
        let now = Timestamp(1_800_000_000_000);
        let mut world = Self { settings, store: ZoneStore::new("test", zone), daemon, now };
        world.answer("z1");
        world.sync(None);
        assert!(world.holds(RrType::A));
        world.wait(Duration::from_mins(1));
        world.answer("z2");
        world
    }

    fn answer(&mut self, zone: &str) {
        let ingress = [Endpoint::Ip([192, 0, 2, 1].into())].into();
        let copy = ServiceCopy { ingress, ready: true, ..ServiceCopy::default() };
        let answer = ClusterAnswer {
            places: Some(BTreeSet::from([Place::new("r1", zone)])),
            services: BTreeMap::from([(ServiceId::new("shop", "web"), copy)]),
            ..ClusterAnswer::default()
        };
        self.daemon.observe(SourceEvent::Answer { cluster: "a".into(), answer }, self.now);
    }

    fn wait(&mut self, time: Duration) {
        self.now = self.now.plus(time);
    }

    fn holds(&self, rr_type: RrType) -> bool {
        self.store.get(&RrKey::new(Fqdn::parse(LINGERING).unwrap(), rr_type)).is_some()
    }

    /// Plans, writes and reads again until nothing may be done now; at the lingering name only as the halves say: that
    /// which goes, and that which comes.
    fn sync(&mut self, halves: Option<(Half, Half)>) {
        self.daemon.plan(self.now);
        let mut calls = 0;
        while let Some(batch) = self.daemon.next_batch(self.now, |_| true) {
            calls += 1;
            assert!(calls < 100, "no end of writing");
            let applied = self.write(&batch, halves);
            let follow = self.daemon.record(batch, &applied, self.now);
            let names: Vec<Fqdn> = follow.reread.into_iter().collect();
            let mut read = Snapshot::default();
            read.extend(names.iter().flat_map(|name| self.store.at(name)).cloned());
            self.daemon.load_names(&names, &read, self.now);
            self.daemon.plan(self.now);
        }
    }

    fn write(&mut self, batch: &Batch, halves: Option<(Half, Half)>) -> Applied {
        let Some((goes, comes)) = halves else { return self.store.apply(&batch.changes, Atomicity::Set) };
        let mut applied = Applied::default();
        for change in batch.changes.changes() {
            let half = match change.key.owner == Fqdn::parse(LINGERING).unwrap() {
                true if change.after.is_none() => goes,
                true => comes,
                false => Half::Done,
            };
            applied.add(&change.key, self.half(change, half));
        }
        applied
    }

    fn half(&mut self, change: &Change, half: Half) -> Outcome {
        let error = |kind| Error::new(kind, "test", "no luck").with_key(&change.key);
        let mut done = || {
            let alone = ChangeSet { units: vec![Unit { changes: vec![change.clone()] }] };
            let mut applied = self.store.apply(&alone, Atomicity::Set);
            let outcome = applied.outcomes.remove(&change.key).unwrap();
            assert!(outcome.is_done(), "{outcome:?}");
            outcome
        };
        match half {
            Half::Done => done(),
            Half::Unheard => {
                done();
                Outcome::Unknown(error(ErrorKind::Timeout))
            }
            Half::Lost => Outcome::Unknown(error(ErrorKind::Timeout)),
            Half::Refused => Outcome::Refused(error(ErrorKind::Unavailable)),
            Half::Conflict => Outcome::Conflict,
            Half::NotTried => Outcome::NotTried,
        }
    }
}

#[test]
fn a_lingering_name_of_which_only_the_addresses_went_gets_its_cname_with_the_next_pass() {
    use Half::{Conflict, Done, Lost, NotTried, Refused, Unheard};
    for (claims, (goes, comes)) in [true, false].into_iter().flat_map(|claims| {
        let halves = [
            (Done, Done),
            (Done, NotTried),
            (Done, Refused),
            (Done, Conflict),
            (Done, Lost),
            (Done, Unheard),
            (Unheard, NotTried),
            (Lost, NotTried),
        ];
        halves.map(|halves| (claims, halves))
    }) {
        let what = format!("claims {claims}, {goes:?} and {comes:?}");
        let mut world = World::new(claims);
        world.sync(Some((goes, comes)));
        assert_eq!(world.holds(RrType::A), goes == Lost, "{what}");
        assert_eq!(world.holds(RrType::Cname), matches!(comes, Done | Unheard), "{what}");

        // Nor is it forgotten when the settings are read again.
        world.daemon.set_settings(world.settings.clone());
        world.wait(Duration::from_mins(10));
        world.sync(None);
        assert!(world.holds(RrType::Cname) && !world.holds(RrType::A), "{what}: nobody thinks of the name any more");
        assert!(world.daemon.is_settled(), "{what}");

        // It was kept in mind only for so long as it was half done: its time runs out as it would have.
        world.wait(Duration::from_hours(24));
        world.sync(None);
        assert!(!world.holds(RrType::Cname), "{what}");
        let lost = Place::new("r1", "z1");
        assert!(world.daemon.zone().places().all(|place| *place != lost), "{what}");
    }
}
