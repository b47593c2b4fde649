//! What goes out next: urgency first, as much as fits, without what is held, too soon or in flight.

use std::collections::{BTreeMap, BTreeSet};

use dnsprovider::{Change, ChangeSet, Fqdn, RrType, Unit, order};

use super::schedule::Wait;
use super::{Batch, PlanKey, Reconciler, Written};
use crate::event::Timestamp;
use crate::guard::Limit;
use crate::plan::{PlannedChange, ServicePlan, Urgency};
use crate::standing;

impl Reconciler {
    /// The most urgent changes that fit into one call, or none. `fits` is asked for each unit in turn and counts it
    /// when it does; a unit that does not fit even alone is handed out alone, so that the provider names the fault.
    ///
    /// On a host that stores no claims a unit is all of a service with its TXT set. Where that fits into no call, or the
    /// host changes sets one by one, the service goes in three steps, which follow from what the TXT set lists: first it
    /// lists old and new, then the sets change name by name, then it lists the new alone. Where a call is all or nothing,
    /// what is urgent goes without bulk work, of which one bad set would hold it up.
    ///
    /// Every batch must be given back to [`Reconciler::record`] or [`Reconciler::abandon`].
    pub fn next_batch(&mut self, now: Timestamp, mut fits: impl FnMut(&Unit) -> bool) -> Option<Batch> {
        self.schedule.wake(now);
        let mut batch = Batch { edits: self.zone.has_ledgers().then(Vec::new), ..Batch::default() };
        let (mut taken, mut idle, mut visits) = (Vec::new(), Vec::new(), 0);
        for entry @ (urgency, key) in self.schedule.ready() {
            visits += 1;
            // Bulk work in the batch of a failover would go before what follows in it: on a host that takes few sets a
            // second that costs seconds, and on one that takes all or nothing one bad set would hold it up.
            if !urgency.is_urgent() && batch.urgency.is_some_and(Urgency::is_urgent) {
                break;
            }
            let Some(plan) = self.plans.get(key) else { continue };
            let before = batch.changes.units.len();
            let has_room = if self.zone.has_ledgers() {
                self.take_with_ledgers(entry, plan, now, &mut batch, &mut fits)
            } else {
                self.take(entry, plan, now, &mut batch, &mut fits)
            };
            if batch.changes.units.len() > before {
                taken.push(entry.clone());
            } else if has_room {
                let until = self.next_time_of(key, plan, now);
                idle.push((entry.clone(), Wait { until, is_barred: true }));
            }
            if !has_room {
                break;
            }
        }
        self.schedule.visited(visits);
        for (urgency, key) in taken {
            self.schedule.take(urgency, &key);
            self.in_flight.insert(key);
        }
        for ((urgency, key), wait) in idle {
            self.schedule.take(urgency, &key);
            self.schedule.put(urgency, key, Some(wait));
        }
        (!batch.changes.is_empty()).then_some(batch)
    }

    /// Puts what is ready of a plan into a batch; false when it is full.
    fn take(
        &self,
        (urgency, key): &(Urgency, PlanKey),
        plan: &ServicePlan,
        now: Timestamp,
        batch: &mut Batch,
        fits: &mut impl FnMut(&Unit) -> bool,
    ) -> bool {
        for unit in self.ready_units(key, plan, now) {
            let fits = fits(&unit);
            if fits || batch.changes.is_empty() {
                batch.put(*urgency, key, unit);
            }
            if !fits {
                return false;
            }
        }
        true
    }

    /// The units of a plan that may be written now, in order: the most urgent first, but targets before the CNAMEs that
    /// point at them. Where the host changes set by set, what is urgent goes without what is less so: that waits until
    /// the most urgent names of all services are written. Not after a failure: a set that is refused for good would hold
    /// up what is not.
    fn ready_units(&self, key: &PlanKey, plan: &ServicePlan, now: Timestamp) -> Vec<Unit> {
        let units = ChangeSet::by_name(self.ready_changes(plan, now)).units;
        if units.len() < 2 {
            return units;
        }
        let ranks = ranks(plan, &units);
        let first = ranks.values().min().copied().unwrap_or(Urgency::Rest);
        let rank = |unit: &Unit| unit.owners().next().and_then(|owner| ranks.get(owner)).copied();
        let mut units = units;
        if first.is_urgent() && !self.whole_calls && !self.failures.contains_key(key) {
            units.retain(|unit| rank(unit) == Some(first));
        }
        units.sort_by_key(rank);
        order(ChangeSet { units }).units
    }

    /// The changes of a plan that may be written now.
    pub(super) fn ready_changes(&self, plan: &ServicePlan, now: Timestamp) -> Vec<Change> {
        let held: BTreeSet<_> = self.held_in(plan, now).into_iter().map(|(planned, _)| &planned.change.key).collect();
        let out = self.crowded_out(plan);
        let due = |planned: &&PlannedChange| self.is_due(planned, now) && !out.contains(&planned.change.key);
        let ready = plan.changes.iter().filter(due).filter_map(|planned| {
            if held.contains(&planned.change.key) { self.additions(planned) } else { Some(planned.change.clone()) }
        });
        ready.collect()
    }

    /// What goes ahead of a held change: the addresses that it adds, unless nothing may be written at all.
    pub(super) fn additions(&self, planned: &PlannedChange) -> Option<Change> {
        let limits = [self.settings.max_addresses, self.records_per_set];
        if self.verdict.frozen { None } else { planned.additions(limits.into_iter().flatten().min()) }
    }

    /// A name that was just written waits for the minimal interval. A failover does not, unless the write before it did
    /// not wait either: then it waits like everything else, and what follows a write that came before its time makes up
    /// for it. So a name is written once for each interval and one time more, however much its endpoints flap.
    pub(super) fn is_due(&self, planned: &PlannedChange, now: Timestamp) -> bool {
        self.due_at(planned).is_none_or(|due| now >= due)
    }

    /// When a change may be written; `None` where nothing was written lately.
    fn due_at(&self, planned: &PlannedChange) -> Option<Timestamp> {
        let last = self.written.get(&planned.change.key.owner)?;
        Some(match planned.urgency {
            Urgency::Failover if !last.early => last.at,
            Urgency::Failover => last.at.plus(self.settings.min_interval),
            _ => self.rested_at(last),
        })
    }

    /// When a name has rested for as long as its last write asks for.
    fn rested_at(&self, last: &Written) -> Timestamp {
        last.at.plus(self.settings.min_interval * if last.early { 2 } else { 1 })
    }

    /// Notes that a name was written.
    pub(super) fn mark_written(&mut self, owner: &Fqdn, revision: u64, now: Timestamp) {
        let early = match self.written.get(owner) {
            // Another set of the same write.
            Some(last) if last.at == now => last.early,
            Some(last) => now < self.rested_at(last),
            None => false,
        };
        self.written.insert(owner.clone(), Written { at: now, revision, early });
    }

    /// Until when nothing of a plan may be written; `None` when something may as far as time goes.
    pub(super) fn waits_until(&self, key: &PlanKey, plan: &ServicePlan, now: Timestamp) -> Option<Timestamp> {
        let failing = self.failures.get(key).map(|failure| failure.until).filter(|until| now < *until);
        failing.or_else(|| {
            let is_resting = |planned: &PlannedChange| !self.is_due(planned, now);
            let rests = !plan.changes.is_empty() && plan.changes.iter().all(is_resting);
            rests.then(|| self.next_time_of(key, plan, now)).flatten()
        })
    }

    /// When more of a plan may be written than now, by time alone.
    fn next_time_of(&self, key: &PlanKey, plan: &ServicePlan, now: Timestamp) -> Option<Timestamp> {
        let refused = self.refused_sets.get(key).into_iter().flat_map(BTreeMap::values).map(|failure| failure.until);
        let rested = plan.changes.iter().filter_map(|planned| self.due_at(planned));
        rested.chain(refused).filter(|time| *time > now).min()
    }

    /// When time alone changes something next.
    pub fn next_wake(&self, now: Timestamp) -> Option<Timestamp> {
        let settings = &self.settings;
        let lingers = self.lost_places.values().map(|at| at.plus(settings.topology_linger));
        let window = self.hash.as_ref().and_then(|_| self.guard.next_change(settings.guard.window));
        lingers
            .chain(self.rehash_at())
            .chain(self.schedule.next_alarm(now))
            .chain(window)
            .chain(standing::next_change(&self.federation, &self.quorum, settings, now))
            .chain(self.hosts.next_changes(settings.unreachable_grace, now))
            .filter(|time| *time > now)
            .min()
    }

    /// The changes of a plan that the guard holds. At a name with a CNAME, or a TXT set in its place, before or after, one
    /// held change holds all.
    pub(super) fn held_in<'a>(&'a self, plan: &'a ServicePlan, now: Timestamp) -> Vec<(&'a PlannedChange, Limit)> {
        if self.verdict.holds_nothing() {
            return Vec::new();
        }
        let verdict = |planned: &PlannedChange| {
            let limit = self.verdict.holds(planned.losses)?;
            (limit == Limit::Freeze || !self.guard.is_approved(planned, now)).then_some(limit)
        };
        let exclusive: BTreeSet<&Fqdn> = plan
            .changes
            .iter()
            .filter(|planned| matches!(planned.change.key.rr_type, RrType::Cname | RrType::Txt))
            .map(|planned| &planned.change.key.owner)
            .collect();
        let mut whole: BTreeMap<&Fqdn, Limit> = BTreeMap::new();
        for planned in &plan.changes {
            if let (true, Some(limit)) = (exclusive.contains(&planned.change.key.owner), verdict(planned)) {
                whole.insert(&planned.change.key.owner, limit);
            }
        }
        let held = |planned: &PlannedChange| verdict(planned).or(whole.get(&planned.change.key.owner).copied());
        plan.changes.iter().filter_map(|planned| Some((planned, held(planned)?))).collect()
    }
}

/// How soon each name goes: as soon as itself asks for, or as a CNAME does that waits for it.
fn ranks(plan: &ServicePlan, units: &[Unit]) -> BTreeMap<Fqdn, Urgency> {
    let of_plan = plan.changes.iter().map(|planned| (&planned.change.key.owner, planned.urgency)).collect();
    let of_plan: BTreeMap<&Fqdn, Urgency> = of_plan;
    let owners = units.iter().filter_map(|unit| unit.owners().next());
    let mut ranks: BTreeMap<Fqdn, Urgency> =
        owners.filter_map(|owner| Some((owner.clone(), *of_plan.get(owner)?))).collect();
    let changes = units.iter().flat_map(|unit| &unit.changes);
    let cnames = changes.filter_map(|change| Some((&change.key.owner, change.after.as_ref()?.set.cname_target()?)));
    let cnames: Vec<(&Fqdn, &Fqdn)> = cnames.collect();
    // A chain of CNAMEs is as long as there are levels.
    for _ in 0..2 {
        for (owner, target) in &cnames {
            if let (Some(urgency), Some(of_target)) = (ranks.get(*owner).copied(), ranks.get_mut(*target)) {
                *of_target = urgency.min(*of_target);
            }
        }
    }
    ranks
}
