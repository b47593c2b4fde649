//! Writing on hosts that store no claims: a service's sets together with the TXT set that lists them.
//!
//! Plans speak of sets with claims, as on other hosts. Here they become what the host takes, and the outcome becomes
//! what happened to the plan. Which of the three steps comes next follows from what the ledger lists and what stands,
//! so a process that begins anew goes on where another one stopped.

use std::collections::{BTreeMap, BTreeSet};

use dnsprovider::{
    Applied, Change, ChangeSet, ClaimedSet, Entry, Fqdn, Outcome, RetryHint, RrKey, RrType, Unit, Version, order,
};

use super::outcome::{Fate, backoff};
use super::{Batch, Edit, Failure, FollowUp, PlanKey, Reconciler};
use crate::event::{Place, Timestamp};
use crate::ledger::{Ledger, place_of};
use crate::plan::{PlannedChange, ServicePlan, Urgency};

/// A unit as the host takes it, with the planned changes in it.
#[derive(Clone, Debug, Default)]
struct Step {
    unit: Unit,
    edits: Vec<Edit>,
}

/// What is ready to be written of the sets in one ledger.
struct Group {
    at: Fqdn,
    ready: Vec<Change>,
    /// The ledger alone may be put right.
    relists: bool,
}

//----------- Out ------------------------------------------------------------

impl Reconciler {
    /// Puts what is ready of a plan into a batch; false when it is full.
    pub(super) fn take_with_ledgers(
        &self,
        (urgency, key): &(Urgency, PlanKey),
        plan: &ServicePlan,
        now: Timestamp,
        batch: &mut Batch,
        fits: &mut impl FnMut(&Unit) -> bool,
    ) -> bool {
        let put = |batch: &mut Batch, step: Step| {
            batch.put(*urgency, key, step.unit);
            batch.edits.get_or_insert_default().extend(step.edits);
        };
        for group in self.groups(key, plan, now) {
            if let Some(step) = self.whole(&group).filter(|_| self.whole_calls) {
                if fits(&step.unit) {
                    put(batch, step);
                    continue;
                }
                if !batch.changes.is_empty() {
                    return false;
                }
            }
            for step in self.steps(&group) {
                let fits = fits(&step.unit);
                if fits || batch.changes.is_empty() {
                    put(batch, step);
                }
                if !fits {
                    return false;
                }
            }
        }
        true
    }

    /// What is ready of a plan, by the ledger that lists it.
    fn groups(&self, key: &PlanKey, plan: &ServicePlan, now: Timestamp) -> Vec<Group> {
        let ready = self.without_refused(key, plan, self.ready_changes(plan, now), now);
        // A change that waits for its moment takes the ledger along then.
        let waits = |planned: &&PlannedChange| !self.is_due(planned, now);
        let relists = plan.relists && !self.verdict.frozen && !plan.changes.iter().any(|one| waits(&one));
        if let Some(service) = key {
            return self
                .zone
                .ledger_of(service)
                .into_iter()
                .map(|at| Group { at, ready: ready.clone(), relists })
                .collect();
        }
        let mut groups: BTreeMap<Fqdn, Vec<Change>> =
            self.zone.stray_ledgers().map(|at| (at.clone(), Vec::new())).collect();
        for change in ready {
            let proof = change.before.as_ref().and_then(|before| self.zone.proof(before));
            if let Some(group) = proof.and_then(|proof| groups.get_mut(&proof.at)) {
                group.push(change);
            }
        }
        let group = |(at, ready)| {
            let relists = relists && self.zone.is_stale(&at);
            Group { at, ready, relists }
        };
        groups.into_iter().map(group).collect()
    }

    /// Everything of a group in one unit; `None` when there is nothing to write.
    fn whole(&self, group: &Group) -> Option<Step> {
        let (moves, claims): (Vec<&Change>, Vec<&Change>) = group.ready.iter().partition(|change| moves(change));
        if moves.is_empty() && claims.is_empty() && !group.relists {
            return None;
        }
        let txt = self.txt_change(&group.at, &self.after(group));
        let own = moves.iter().map(|change| Edit { change: (*change).clone(), decided_by: change.key.clone() });
        let of_txt = claims
            .iter()
            .filter_map(|change| Some(Edit { change: (*change).clone(), decided_by: txt.as_ref()?.key.clone() }));
        let edits = own.chain(of_txt).collect();
        let changes: Vec<Change> = moves.iter().map(|change| bare(change)).chain(txt).collect();
        (!changes.is_empty()).then_some(Step { unit: Unit { changes }, edits })
    }

    /// The next of the three steps for a group that cannot be written in one.
    fn steps(&self, group: &Group) -> Vec<Step> {
        let (moves, claims): (Vec<&Change>, Vec<&Change>) = group.ready.iter().partition(|change| moves(change));
        if moves.is_empty() {
            return self.whole(group).into_iter().collect();
        }
        let is_ours = |data: &&ClaimedSet| self.zone.is_ours(data);
        let places = self.places(group);
        let listed = |data: &ClaimedSet| {
            let place = places.get(data.set.owner());
            place.is_some_and(|place| self.zone.ledger(&group.at).is_some_and(|at| at.proves(place, &data.set)))
        };
        let of_change = |change: &&Change| change.before.iter().filter(is_ours).chain(&change.after).all(listed);
        if !moves.iter().all(of_change) {
            let mut both = self.after(group);
            both.add_missing(&self.zone.listing(&group.at, self.zone.holdings(&group.at).values()));
            let Some(txt) = self.txt_change(&group.at, &both) else { return Vec::new() };
            let edit = |change: &&Change| Edit { change: (*change).clone(), decided_by: txt.key.clone() };
            let edits = claims.iter().map(edit).collect();
            return vec![Step { unit: Unit { changes: vec![txt] }, edits }];
        }
        let ordered = order(ChangeSet::by_name(moves.iter().map(|change| bare(change))));
        let step = |unit: Unit| {
            let in_it = |change: &&&Change| unit.changes.iter().any(|one| one.key == change.key);
            let edit = |change: &&Change| Edit { change: (*change).clone(), decided_by: change.key.clone() };
            Step { edits: moves.iter().filter(in_it).map(edit).collect(), unit }
        };
        ordered.units.into_iter().map(step).collect()
    }

    /// What the ledger lists once a group is written.
    fn after(&self, group: &Group) -> Ledger {
        let mut holdings = self.zone.holdings(&group.at);
        let places = self.places(group);
        for change in &group.ready {
            match (&change.after, places.get(&change.key.owner)) {
                (Some(after), Some(place)) => _ = holdings.insert(change.key.clone(), (place.clone(), after)),
                _ => _ = holdings.remove(&change.key),
            }
        }
        self.zone.listing(&group.at, holdings.values())
    }

    /// The places of the names that change.
    fn places(&self, group: &Group) -> BTreeMap<Fqdn, Place> {
        let placed = group.ready.iter().filter_map(|change| {
            let owner = &change.key.owner;
            let place = match self.naming.parse(owner) {
                Some((_, level)) => place_of(&level),
                None => self.zone.proof(change.before.as_ref()?)?.place,
            };
            Some((owner.clone(), place))
        });
        placed.collect()
    }

    /// The change that makes a ledger list this; `None` when it does.
    fn txt_change(&self, at: &Fqdn, goal: &Ledger) -> Option<Change> {
        let held = self.zone.ledger_entry(at);
        let says = self.zone.ledger(at);
        if says.map_or(held.is_none() && goal.is_empty(), |says| says == goal && !goal.is_empty()) {
            return None;
        }
        let after = goal.to_set(at).map(ClaimedSet::unclaimed);
        match (held, after) {
            (Some(held), Some(after)) if held.data == after => None,
            (Some(held), Some(after)) => Some(Change::update(held, after)),
            (Some(held), None) => Some(Change::delete(held)),
            (None, Some(after)) => Some(Change::create(after, self.zone.version().clone())),
            (None, None) => None,
        }
    }

    //----------- Sets that are refused for good -----------------------------

    /// What is left of the ready changes of a plan without those that the host refused for good. These are tried again
    /// after a rest, each name alone, so that the others never wait for them.
    fn without_refused(&self, key: &PlanKey, plan: &ServicePlan, ready: Vec<Change>, now: Timestamp) -> Vec<Change> {
        let by_one = self.one_by_one.contains(key);
        let of_plan = self.refused_sets.get(key);
        if !by_one && of_plan.is_none() {
            return ready;
        }
        let is_cname = |owner: &Fqdn| {
            let mut there = plan.changes.iter().map(|planned| &planned.change.key).filter(|key| key.owner == *owner);
            there.any(|key| key.rr_type == RrType::Cname)
        };
        let refused = |change: &Change| {
            let whole_name = is_cname(&change.key.owner);
            let of_name = |refused: &RrKey| refused.owner == change.key.owner;
            of_plan.into_iter().flat_map(BTreeMap::keys).any(|one| *one == change.key || (whole_name && of_name(one)))
        };
        let (left_out, mut rest): (Vec<Change>, Vec<Change>) = ready.into_iter().partition(refused);
        if !left_out.is_empty() {
            rest = self.leading_somewhere(rest);
        }
        let units = |changes: Vec<Change>| order(ChangeSet::by_name(changes)).units;
        if !rest.is_empty() {
            let first = if by_one { units(rest.clone()).into_iter().next() } else { None };
            return first.map_or(rest, |unit| unit.changes);
        }
        let rested = |unit: &Unit| {
            let until = |change: &Change| of_plan?.get(&change.key).map(|failure| failure.until);
            unit.changes.iter().filter_map(until).all(|until| until <= now)
        };
        units(left_out).into_iter().find(rested).map(|unit| unit.changes).unwrap_or_default()
    }

    /// Leaves out what would make a CNAME lead nowhere, while changes that belong to it are left out.
    fn leading_somewhere(&self, mut changes: Vec<Change>) -> Vec<Change> {
        loop {
            let after = |owner: &Fqdn| {
                let changed: BTreeMap<&RrKey, Option<&ClaimedSet>> = changes
                    .iter()
                    .filter(|change| change.key.owner == *owner)
                    .map(|change| (&change.key, change.after.as_ref()))
                    .collect();
                let held = self.zone.at(owner).iter().filter(|entry| !changed.contains_key(entry.key()));
                let stay = held.map(|entry| entry.data.clone()).collect::<Vec<_>>();
                stay.into_iter().chain(changed.values().filter_map(|after| after.cloned())).collect::<Vec<_>>()
            };
            let is_empty = |target: &Fqdn| self.naming.parse(target).is_some() && after(target).is_empty();
            let clears = |owner: &Fqdn| {
                let service = self.naming.parse(owner).map(|(service, _)| service);
                let names = service.iter().flat_map(|service| self.zone.names_of(service));
                let mut sets = names.flat_map(after);
                after(owner).is_empty() && sets.any(|set| set.set.cname_target() == Some(owner))
            };
            let bad = changes.iter().position(|change| match &change.after {
                Some(put) => put.set.cname_target().is_some_and(is_empty),
                None => clears(&change.key.owner),
            });
            let Some(bad) = bad.map(|place| changes[place].key.owner.clone()) else { return changes };
            changes.retain(|change| change.key.owner != bad);
        }
    }

    /// Whether the host refused a set of a plan for good.
    pub(super) fn is_refused(&self, plan: &PlanKey, set: &RrKey) -> bool {
        self.refused_sets.get(plan).is_some_and(|sets| sets.contains_key(set))
    }

    /// Forgets what is not planned any more.
    pub(super) fn forget_refused(&mut self, key: &PlanKey, plan: &ServicePlan) {
        if let Some(sets) = self.refused_sets.get_mut(key) {
            sets.retain(|set, _| plan.changes.iter().any(|planned| planned.change.key == *set));
            if sets.is_empty() {
                self.refused_sets.remove(key);
            }
        }
        let is_other = |planned: &PlannedChange| !self.is_refused(key, &planned.change.key);
        if self.one_by_one.contains(key) && !plan.changes.iter().any(is_other) {
            self.one_by_one.remove(key);
        }
    }

    /// Notes the sets of a unit that were refused for good, when it can be told which they are; gives the fault of the
    /// plan as a whole otherwise.
    fn refuse(&mut self, unit: &Unit, applied: &Applied, now: Timestamp, follow: &mut FollowUp) {
        let outcome = |change: &Change| applied.outcomes.get(&change.key);
        let is_refused = |change: &&Change| matches!(outcome(change), Some(Outcome::Refused(error)) if error.retry() == RetryHint::Never);
        let sets: Vec<&Change> = unit.changes.iter().filter(|change| !self.is_txt(change)).collect();
        let refused: Vec<&Change> = sets.iter().copied().filter(is_refused).collect();
        let Some(first) = refused.first() else { return };
        let plan = self.plan_of(&first.key.owner);
        let owners: BTreeSet<&Fqdn> = sets.iter().map(|change| &change.key.owner).collect();
        if refused.len() == sets.len() && owners.len() > 1 {
            self.one_by_one.insert(plan);
            follow.regrouped = true;
            return;
        }
        let sets = self.refused_sets.entry(plan.clone()).or_default();
        for change in refused {
            let attempts = sets.get(&change.key).map_or(0, |failure| failure.attempts) + 1;
            let error = match outcome(change) {
                Some(Outcome::Refused(error)) => error.chain(),
                _ => String::new(),
            };
            sets.insert(change.key.clone(), Failure { attempts, until: now.plus(backoff(attempts)), error });
        }
        let is_other = |planned: &PlannedChange| !self.is_refused(&plan, &planned.change.key);
        let others = self.plans.get(&plan).is_some_and(|plan| plan.changes.iter().any(is_other));
        follow.regrouped |= others;
    }

    /// Whether a refused change is a TXT set, and no set of its unit is refused that may be the cause.
    fn is_to_blame(&self, change: &Change, batch: &Batch, applied: &Applied) -> bool {
        let refused = |key: &RrKey| matches!(applied.outcomes.get(key), Some(Outcome::Refused(_)));
        let unit = batch.changes.units.iter().find(|unit| unit.changes.contains(change));
        let mut others = unit.into_iter().flat_map(|unit| &unit.changes).filter(|other| !self.is_txt(other));
        self.is_txt(change) && !others.any(|other| refused(&other.key))
    }

    fn is_txt(&self, change: &Change) -> bool {
        self.zone.is_ledger_name(&change.key.owner)
    }

    //----------- In ---------------------------------------------------------

    /// As [`Reconciler::record`].
    pub(super) fn record_with_ledgers(&mut self, batch: &Batch, applied: &Applied, now: Timestamp) -> FollowUp {
        let mut follow = FollowUp::default();
        let mut fates: BTreeMap<PlanKey, Fate> = BTreeMap::new();
        // First what lists the claims: what it lists and what stands are put side by side only then.
        let (ledgers, sets): (Vec<&Change>, Vec<&Change>) =
            batch.changes.changes().partition(|change| self.is_txt(change));
        for change in ledgers.into_iter().chain(sets) {
            let fate = fates.entry(self.plan_of(&change.key.owner)).or_default();
            match applied.outcomes.get(&change.key) {
                Some(Outcome::Done(version)) => self.wrote(change, version, now),
                Some(Outcome::Conflict) => {
                    follow.conflicts += 1;
                    follow.reread.insert(change.key.owner.clone());
                    fate.conflict = true;
                }
                Some(Outcome::Refused(error)) => {
                    follow.failed.push(error.chain());
                    if error.retry() != RetryHint::Never || self.is_to_blame(change, batch, applied) {
                        fate.fail(error);
                    }
                }
                Some(Outcome::Unknown(error)) => {
                    follow.reread.insert(change.key.owner.clone());
                    follow.failed.push(error.chain());
                    fate.fail(error);
                }
                Some(Outcome::NotTried) | None => {}
            }
        }
        for unit in &batch.changes.units {
            self.refuse(unit, applied, now, &mut follow);
        }
        self.keep_half_done(&batch.changes, applied);
        self.count_losses(batch, applied, now, &mut follow);
        self.note_unheard(batch, applied, now);
        for (key, fate) in fates {
            follow.reread_zone |= self.settle(key, &fate, now);
        }
        follow.reread.extend(self.release(batch, now));
        follow.reread = self.companions(&follow.reread);
        follow
    }

    /// Puts what was written into the view.
    fn wrote(&mut self, change: &Change, version: &Version, now: Timestamp) {
        let owner = &change.key.owner;
        let held = self.zone.at(owner).iter().chain(self.zone.ledger_entry(owner));
        let mut entries: Vec<Entry> = held.filter(|entry| *entry.key() != change.key).cloned().collect();
        if let Some(after) = &change.after {
            let entry = Entry { data: after.clone(), version: version.clone(), blocks: dnsprovider::Blocks::AsDns };
            let place = entries.partition_point(|other| other.key() <= entry.key());
            entries.insert(place, entry);
        }
        self.zone.set_name(owner, entries);
        self.mark_written(owner, version.revision, now);
        let plan = self.plan_of(owner);
        if let Some(sets) = self.refused_sets.get_mut(&plan) {
            sets.remove(&change.key);
            if sets.is_empty() {
                self.refused_sets.remove(&plan);
            }
        }
    }

    /// Counts what was planned and is done now.
    fn count_losses(&mut self, batch: &Batch, applied: &Applied, now: Timestamp, follow: &mut FollowUp) {
        let mut emptied = BTreeSet::new();
        for (change, outcome) in batch.edits(applied) {
            if !outcome.is_some_and(Outcome::is_done) {
                continue;
            }
            follow.done += 1;
            let owner = &change.key.owner;
            let Some(mut planned) = self.planned(change).cloned() else { continue };
            // A name with both families is emptied once.
            planned.losses.emptied &= self.holds_nothing_of_ours(owner) && emptied.insert(owner);
            self.guard.wrote(&planned, now);
        }
        self.guard.claimed(self.zone.claimed_sets(), now);
    }

    /// These names, with all that must be read together with them: the TXT sets that list claims, and what they list.
    pub fn companions<'a>(&self, names: impl IntoIterator<Item = &'a Fqdn>) -> BTreeSet<Fqdn> {
        let names: BTreeSet<Fqdn> = names.into_iter().cloned().collect();
        if !self.zone.has_ledgers() {
            return names;
        }
        let mut ledgers: BTreeSet<Fqdn> = BTreeSet::new();
        for name in &names {
            if self.zone.is_ledger_name(name) {
                ledgers.insert(name.clone());
            } else if let Some((service, _)) = self.naming.parse(name) {
                ledgers.extend(self.zone.ledger_of(&service));
            }
            ledgers.extend(self.zone.at(name).iter().filter_map(|entry| Some(self.zone.proof(&entry.data)?.at)));
        }
        let beside: Vec<Fqdn> = ledgers.iter().flat_map(|at| self.zone.names_beside(at)).collect();
        names.into_iter().chain(ledgers).chain(beside).filter(|name| name.is_at_or_below(&self.settings.zone)).collect()
    }
}

/// Whether the set itself changes, and not its claim alone.
fn moves(change: &Change) -> bool {
    let set = |data: &Option<ClaimedSet>| data.as_ref().map(|data| data.set.clone());
    set(&change.before) != set(&change.after)
}

/// A change as a host takes it that stores no claims.
fn bare(change: &Change) -> Change {
    let unclaimed = |data: &Option<ClaimedSet>| data.as_ref().map(|data| ClaimedSet::unclaimed(data.set.clone()));
    Change { before: unclaimed(&change.before), after: unclaimed(&change.after), ..change.clone() }
}
