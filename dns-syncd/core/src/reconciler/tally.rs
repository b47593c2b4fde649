//! How many sets there are of each type, and how they stand.

use std::collections::BTreeMap;

use dnsprovider::RrType;

use super::Reconciler;
use crate::event::Timestamp;
use crate::guard::Limit;

/// How a set stands that is wanted or ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SetState {
    /// It stands in the zone as it should.
    Published,
    /// It is to be written.
    Pending,
    /// The guard holds its change.
    Held,
    /// It could not be written, and is tried again.
    Failing,
    /// It is wanted and cannot be written: a foreign set is in its place, or the host has no room.
    Refused,
}

/// How many sets there are. Each set counts once, but one that stands beside a foreign set counts as refused as well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// By type and state; none of which there are none.
    pub sets: BTreeMap<(RrType, SetState), usize>,
    /// The held ones by the limit that holds them.
    pub held: BTreeMap<Limit, usize>,
}

impl Reconciler {
    /// Counts the sets that are wanted or ours. The cost is that of the plans, not of the zone.
    pub fn tally(&self, now: Timestamp) -> Tally {
        let mut tally = Tally::default();
        let mut published = self.zone.owned_by_type().clone();
        for (key, plan) in &self.plans {
            let held: BTreeMap<_, _> =
                self.held_in(plan, now).into_iter().map(|(planned, limit)| (&planned.change.key, limit)).collect();
            let out = self.crowded_out(plan);
            let refused = plan.refused.iter().filter(|refusal| refusal.owner.is_some());
            for rr_type in refused.filter_map(|refusal| refusal.rr_type.as_ref()) {
                *tally.sets.entry((rr_type.clone(), SetState::Refused)).or_default() += 1;
            }
            for planned in &plan.changes {
                let of = &planned.change.key;
                let state = if out.contains(of) {
                    SetState::Refused
                } else if let Some(limit) = held.get(of) {
                    *tally.held.entry(*limit).or_default() += 1;
                    SetState::Held
                } else if self.failures.contains_key(key) || self.is_refused(key, of) {
                    SetState::Failing
                } else {
                    SetState::Pending
                };
                *tally.sets.entry((of.rr_type.clone(), state)).or_default() += 1;
                if planned.change.before.is_some()
                    && let Some(count) = published.get_mut(&of.rr_type)
                {
                    *count = count.saturating_sub(1);
                }
            }
        }
        tally.sets.extend(published.into_iter().map(|(rr_type, count)| ((rr_type, SetState::Published), count)));
        tally.sets.retain(|_, count| *count > 0);
        tally
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::collections::BTreeSet;

    use dnsprovider::capabilities::Atomicity;
    use dnsprovider::store::ZoneStore;
    use dnsprovider::{
        Applied, Blocks, ClaimedSet, Entry, Error, ErrorKind, Fqdn, Outcome, RecordData, RrKey, RrSet, Ttl, Version,
        memory,
    };

    use super::*;
    use crate::event::{ClusterAnswer, Endpoint, Place, ServiceCopy, ServiceId, SourceEvent};
    use crate::settings::Settings;

    fn told(daemon: &mut Reconciler, services: &[&str], now: Timestamp) {
        let ingress = [Endpoint::Ip([192, 0, 2, 1].into())].into();
        let copy = ServiceCopy { ingress, ready: true, ..ServiceCopy::default() };
        let answer = ClusterAnswer {
            places: Some(BTreeSet::from([Place::new("r1", "")])),
            services: services.iter().map(|name| (ServiceId::new("shop", *name), copy.clone())).collect(),
            ..ClusterAnswer::default()
        };
        daemon.observe(SourceEvent::Answer { cluster: "c1".into(), answer }, now);
        daemon.plan(now);
    }

    fn counts(daemon: &Reconciler, now: Timestamp) -> Vec<(SetState, usize)> {
        let tally = daemon.tally(now);
        assert!(tally.sets.keys().all(|(rr_type, _)| *rr_type == RrType::A));
        tally.sets.into_iter().map(|((_, state), count)| (state, count)).collect()
    }

    /// One service has two names, so two sets.
    #[test]
    fn every_set_is_counted_in_the_state_in_which_it_is() {
        let (apex, now) = (Fqdn::parse("example.com").unwrap(), Timestamp(1_800_000_000_000));
        let mut settings = Settings::new("fed", apex.clone());
        let mut daemon = Reconciler::new(settings.clone(), &memory::capabilities());
        let mut store = ZoneStore::new("test", apex);
        let taken = RrKey::new(Fqdn::parse("db.shop.fed.svc.example.com").unwrap(), RrType::A);
        let foreign = RrSet::new(taken, Ttl::from_secs(60).unwrap(), [RecordData::A([192, 0, 2, 9].into())]).unwrap();
        let data = ClaimedSet::unclaimed(foreign);
        store.insert_foreign(Entry { data, version: Version::default(), blocks: Blocks::AsDns }).unwrap();
        daemon.load_zone(store.snapshot().clone(), now);

        told(&mut daemon, &["web", "db"], now);
        assert_eq!(counts(&daemon, now), [(SetState::Pending, 3), (SetState::Refused, 1)]);

        let batch = daemon.next_batch(now, |_| true).unwrap();
        let error = || Error::new(ErrorKind::Unavailable, "test", "no luck");
        let applied = Applied::all(&batch.changes, |_| Outcome::Refused(error()));
        daemon.record(batch, &applied, now);
        daemon.plan(now);
        assert_eq!(counts(&daemon, now), [(SetState::Failing, 3), (SetState::Refused, 1)]);

        let later = now.plus(std::time::Duration::from_mins(1));
        let batch = daemon.next_batch(later, |_| true).unwrap();
        let applied = store.apply(&batch.changes, Atomicity::Batch);
        daemon.record(batch, &applied, later);
        daemon.plan(later);
        assert_eq!(counts(&daemon, later), [(SetState::Published, 3), (SetState::Refused, 1)]);

        settings.guard.freeze = true;
        daemon.set_settings(settings);
        told(&mut daemon, &["db"], later);
        let tally = daemon.tally(later);
        assert_eq!(tally.held, BTreeMap::from([(Limit::Freeze, 2)]));
        let counted = [(SetState::Published, 1), (SetState::Held, 2), (SetState::Refused, 1)];
        assert_eq!(counts(&daemon, later), counted);
    }
}
