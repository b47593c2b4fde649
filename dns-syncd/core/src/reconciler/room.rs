//! What waits because the host takes no more sets.
//!
//! Which names find room is decided once for all that is new: a service counts as new until all its names stand, not
//! until the first of them does. Otherwise the first names of a service would take the room that was given to others.
//! A name that holds sets already is never frozen: its changes go on, and as many sets come as go. Only what would make
//! it hold more waits, in the order of [`crate::room`], until there is room.

use std::collections::BTreeSet;

use dnsprovider::capabilities::Limits;
use dnsprovider::{Action, Fqdn, RrKey};

use super::{PlanKey, Reconciler};
use crate::event::ServiceId;
use crate::naming::Level;
use crate::plan::{Refusal, ServicePlan};
use crate::room::{Demand, without_room};

impl Reconciler {
    /// What the host allows, as it tells now.
    pub fn set_limits(&mut self, limits: &Limits) {
        if self.sets_per_zone.is_none() && limits.sets_per_zone.is_some() {
            // Nothing was counted so far.
            self.mark(crate::federation::Dirty::All);
        }
        self.sets_per_zone = limits.sets_per_zone;
        if (self.records_per_set, self.credit_octets) != (limits.records_per_set, limits.credit_octets) {
            (self.records_per_set, self.credit_octets) = (limits.records_per_set, limits.credit_octets);
            self.mark(crate::federation::Dirty::All);
        }
    }

    /// Notes how many sets more a plan asks for.
    pub(super) fn count_growth(&mut self, key: &PlanKey, plan: &ServicePlan) {
        let Some(service) = key else { return };
        let is_limited = self.sets_per_zone.is_some();
        let sets = if is_limited { self.demands(service, plan).map(|demand| demand.sets).sum() } else { 0 };
        if let Some(before) = self.growths.remove(key) {
            self.growth -= before;
            self.growth_changes += 1;
        }
        if sets == 0 {
            self.newcomers.remove(service);
            return;
        }
        self.growths.insert(key.clone(), sets);
        self.growth += sets;
        self.growth_changes += 1;
        if self.zone.names_of(service).next().is_none() {
            self.newcomers.insert(service.clone());
        }
    }

    /// Decides anew which names wait, where anything that matters to it has changed.
    pub(super) fn find_room(&mut self) {
        let free = match self.sets_per_zone {
            Some(limit) => usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(self.zone.total_sets()),
            None => usize::MAX,
        };
        if self.room_found == Some((free, self.growth_changes)) {
            return;
        }
        self.room_found = Some((free, self.growth_changes));
        let mut waiting = BTreeSet::new();
        if self.growth > free {
            let (names, fitting) = self.waiting_for(free);
            waiting = names;
            // Whoever came before is no newcomer beside those who come now. A single pass writes what it showed.
            if fitting == 0 && !self.settings.one_shot && !self.newcomers.is_empty() {
                self.newcomers.clear();
                waiting = self.waiting_for(free).0;
            }
        }
        let before = std::mem::replace(&mut self.without_room, waiting);
        for owner in before.difference(&self.without_room) {
            let plan = self.plan_of(owner);
            self.schedule.lift(&plan);
        }
    }

    /// The names that find no room among `free` sets, and how many do.
    fn waiting_for(&self, free: usize) -> (BTreeSet<Fqdn>, usize) {
        let growing = self.growths.keys().filter_map(|key| Some((key.as_ref()?, self.plans.get(key)?)));
        let demands: Vec<Demand<'_>> = growing.flat_map(|(service, plan)| self.demands(service, plan)).collect();
        let all = demands.len();
        let waiting: BTreeSet<Fqdn> = without_room(free, demands).into_iter().cloned().collect();
        let fitting = all - waiting.len();
        (waiting, fitting)
    }

    /// The planned creations that wait for room.
    pub(super) fn crowded_out<'a>(&self, plan: &'a ServicePlan) -> BTreeSet<&'a RrKey> {
        let mut out = BTreeSet::new();
        if self.without_room.is_empty() {
            return out;
        }
        for changes in plan.changes.chunk_by(|a, b| a.change.key.owner == b.change.key.owner) {
            if self.without_room.contains(&changes[0].change.key.owner) {
                let of = |action| changes.iter().filter(move |planned| planned.change.action() == action);
                out.extend(of(Action::Create).skip(of(Action::Delete).count()).map(|planned| &planned.change.key));
            }
        }
        out
    }

    /// What is refused for want of room.
    pub(super) fn refused_for_room<'a>(
        &'a self,
        key: &'a PlanKey,
        plan: &'a ServicePlan,
    ) -> impl Iterator<Item = Refusal> + use<'a> {
        let (held, limit) = (self.zone.total_sets(), self.sets_per_zone.unwrap_or(u64::MAX));
        let wanted = (held + self.growth) as u64;
        self.crowded_out(plan).into_iter().map(move |set| Refusal {
            owner: Some(set.owner.clone()),
            rr_type: Some(set.rr_type.clone()),
            cluster: None,
            service: key.clone(),
            reason: format!(
                "the zone is full: it holds {held} sets, {wanted} are wanted, and the host allows {limit}; hint: ask the \
                 host for more, or publish fewer `levels` in [Sync]"
            ),
        })
    }

    /// The names of a service that would hold more sets than now.
    fn demands<'a>(&'a self, service: &'a ServiceId, plan: &'a ServicePlan) -> impl Iterator<Item = Demand<'a>> {
        let is_new = self.newcomers.contains(service) || self.zone.names_of(service).next().is_none();
        // The TXT set that lists the claims of a service comes with the first of its names.
        let lists = |at: &Fqdn| self.zone.ledger_entry(at).is_some();
        let lacks_ledger = self.zone.has_ledgers() && !self.zone.ledger_of(service).is_ok_and(|at| lists(&at));
        let mut ledger = usize::from(lacks_ledger);
        let mut names: Vec<(u8, &Fqdn, usize)> = plan
            .changes
            .chunk_by(|a, b| a.change.key.owner == b.change.key.owner)
            .filter_map(|changes| {
                let owner = &changes[0].change.key.owner;
                let count = |action| changes.iter().filter(|planned| planned.change.action() == action).count();
                let more = count(Action::Create).checked_sub(count(Action::Delete))?;
                (more > 0).then(|| (self.depth(owner), owner, more))
            })
            .collect();
        names.sort();
        names.into_iter().map(move |(depth, owner, more)| {
            let sets = more + std::mem::take(&mut ledger);
            Demand { is_new, depth, service, owner, sets }
        })
    }

    fn depth(&self, owner: &Fqdn) -> u8 {
        match self.naming.parse(owner) {
            Some((_, Level::Global)) => 0,
            Some((_, Level::Region(_))) => 1,
            _ => 2,
        }
    }
}
