//! Losses whose answers were lost: the guard counts them when the zone shows that they were done, and only then.

#![expect(clippy::unwrap_used, reason = "a failed test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dns_sync_core::{ClusterAnswer, Endpoint, Reconciler, ServiceCopy, ServiceId, Settings, SourceEvent, Timestamp};
use dnsprovider::capabilities::Atomicity;
use dnsprovider::store::ZoneStore;
use dnsprovider::{Applied, Error, ErrorKind, Fqdn, Outcome, RrKey, Snapshot, memory};

/// Names claimed at the start; 30 % of them may go.
const SERVICES: u8 = 20;

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Heard,
    /// It was done, and nobody heard of it.
    LostDone,
    /// The request was lost.
    LostUndone,
    /// It is done only after the zone was read again, so that a second one meets what the first one left.
    LostLate,
}

struct World {
    atomicity: Atomicity,
    store: ZoneStore,
    daemon: Reconciler,
    now: Timestamp,
    /// What a late request is still to do.
    late: Option<dnsprovider::ChangeSet>,
}

impl World {
    fn new(claims: bool, atomicity: Atomicity) -> Self {
        let zone = Fqdn::parse("example.com").unwrap();
        let mut able = memory::capabilities();
        (able.claims, able.atomicity) = (claims, atomicity);
        let daemon = Reconciler::new(Settings::new("fed", zone.clone()), &able);
        let now = Timestamp(1_800_000_000_000);
        let mut world = Self { atomicity, store: ZoneStore::new("test", zone), daemon, now, late: None };
        let services = (0..SERVICES).map(|nth| (service(nth), copy(nth))).collect::<BTreeMap<_, _>>();
        let answer = ClusterAnswer { places: Some(BTreeSet::new()), services, ..ClusterAnswer::default() };
        world.daemon.observe(SourceEvent::Answer { cluster: "a".into(), answer }, now);
        world.sync(Answer::Heard);
        world.now = world.now.plus(Duration::from_hours(1));
        world
    }

    /// These services go.
    fn lose(&mut self, services: std::ops::Range<u8>) {
        for nth in services {
            let event = SourceEvent::Service { cluster: "a".into(), service: service(nth), copy: None };
            self.daemon.observe(event, self.now);
        }
    }

    /// Writes until there is nothing more to write now; the first write is answered as told.
    fn sync(&mut self, mut answer: Answer) {
        for _ in 0..100 {
            self.daemon.plan(self.now);
            let Some(batch) = self.daemon.next_batch(self.now, |_| true) else { return };
            if answer == Answer::Heard
                && let Some(late) = self.late.take()
            {
                self.store.apply(&late, self.atomicity);
            }
            let applied = match answer {
                Answer::Heard | Answer::LostDone => self.store.apply(&batch.changes, self.atomicity),
                Answer::LostUndone => Applied::default(),
                Answer::LostLate => {
                    self.late = Some(batch.changes.clone());
                    Applied::default()
                }
            };
            let lost = |key: &RrKey| Outcome::Unknown(Error::new(ErrorKind::Timeout, "test", "lost").with_key(key));
            let told = if answer == Answer::Heard { applied } else { Applied::all(&batch.changes, lost) };
            let follow = self.daemon.record(batch, &told, self.now);
            let names: Vec<Fqdn> = follow.reread.into_iter().collect();
            let mut read = Snapshot::default();
            read.extend(names.iter().flat_map(|name| self.store.at(name)).cloned());
            self.daemon.load_names(&names, &read, self.now);
            if answer != Answer::Heard {
                self.now = self.now.plus(Duration::from_secs(30));
            }
            answer = Answer::Heard;
        }
        panic!("no end of writing")
    }

    fn deleted(&mut self) -> usize {
        self.daemon.plan(self.now);
        self.daemon.report(self.now).guard.deleted.counted
    }
}

fn service(nth: u8) -> ServiceId {
    ServiceId::new("shop", format!("s{nth}"))
}

fn copy(nth: u8) -> ServiceCopy {
    let ingress = [Endpoint::Ip([192, 0, 2, nth].into())].into();
    ServiceCopy { ingress, ready: true, ..ServiceCopy::default() }
}

#[test]
fn a_loss_is_counted_once_whatever_is_heard_of_it() {
    for (claims, atomicity) in
        [(true, Atomicity::Batch), (true, Atomicity::Set), (false, Atomicity::Batch), (false, Atomicity::Set)]
    {
        for answer in [Answer::Heard, Answer::LostDone, Answer::LostUndone, Answer::LostLate] {
            let what = format!("claims {claims}, {atomicity:?}, {answer:?}");
            let mut world = World::new(claims, atomicity);
            world.lose(0..3);
            world.sync(answer);
            assert_eq!(world.deleted(), 3, "{what}");
            world.lose(3..6);
            world.sync(Answer::Heard);
            assert_eq!(world.deleted(), 6, "{what}");
            world.lose(6..7);
            world.sync(Answer::Heard);
            let report = world.daemon.report(world.now);
            assert_eq!((report.held.len(), report.guard.deleted.counted), (1, 7), "{what}: one more than may go");
            // It is forgotten with the window.
            world.now = world.now.plus(Duration::from_mins(11));
            world.sync(Answer::Heard);
            assert_eq!(world.deleted(), 1, "{what}");
        }
    }
}
