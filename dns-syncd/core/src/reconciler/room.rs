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
use crate::room::Turn;

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

    /// Notes which names a plan asks for more sets at.
    pub(super) fn count_growth(&mut self, key: &PlanKey, plan: &ServicePlan) {
        let Some(service) = key else { return };
        let demands = if self.sets_per_zone.is_some() { self.demands(service, plan) } else { Vec::new() };
        if demands.is_empty() {
            self.newcomers.remove(service);
        } else if self.zone.names_of(service).next().is_none() {
            self.newcomers.insert(service.clone());
        }
        self.line.put(service, demands);
    }

    /// Decides which names wait, by the room and the plans as they are now.
    pub(super) fn find_room(&mut self) {
        let free = match self.sets_per_zone {
            Some(limit) => usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(self.zone.total_sets()),
            None => usize::MAX,
        };
        let mut lifted = self.line.find_room(free);
        // Whoever came before is no newcomer beside those who come now. A single pass writes what it showed.
        if self.line.is_stuck() && !self.settings.one_shot && !self.newcomers.is_empty() {
            for service in std::mem::take(&mut self.newcomers) {
                if self.zone.names_of(&service).next().is_some() {
                    self.line.promote(&service);
                    lifted.push(service);
                }
            }
            lifted.extend(self.line.find_room(free));
        }
        for service in lifted {
            self.schedule.lift(&Some(service));
        }
    }

    /// The planned creations that wait for room.
    pub(super) fn crowded_out<'a>(&self, plan: &'a ServicePlan) -> BTreeSet<&'a RrKey> {
        let mut out = BTreeSet::new();
        if self.line.without_room().is_empty() {
            return out;
        }
        for changes in plan.changes.chunk_by(|a, b| a.change.key.owner == b.change.key.owner) {
            if self.line.without_room().contains(&changes[0].change.key.owner) {
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
        let wanted = (held + self.line.wanted()) as u64;
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

    /// The names of a service that would hold more sets than now, and how many more.
    fn demands(&self, service: &ServiceId, plan: &ServicePlan) -> Vec<(Turn, usize)> {
        let is_new = self.newcomers.contains(service) || self.zone.names_of(service).next().is_none();
        // The TXT set that lists the claims of a service comes with the first of its names.
        let lists = |at: &Fqdn| self.zone.ledger_entry(at).is_some();
        let lacks_ledger = self.zone.has_ledgers() && !self.zone.ledger_of(service).is_ok_and(|at| lists(&at));
        let names = plan.changes.chunk_by(|a, b| a.change.key.owner == b.change.key.owner);
        let mut demands: Vec<(Turn, usize)> = names
            .filter_map(|changes| {
                let owner = &changes[0].change.key.owner;
                let count = |action| changes.iter().filter(|planned| planned.change.action() == action).count();
                let more = count(Action::Create).checked_sub(count(Action::Delete)).filter(|more| *more > 0)?;
                let turn = Turn { is_new, depth: self.depth(owner), service: service.clone(), owner: owner.clone() };
                Some((turn, more))
            })
            .collect();
        demands.sort();
        if let Some((_, sets)) = demands.first_mut() {
            *sets += usize::from(lacks_ledger);
        }
        demands
    }

    fn depth(&self, owner: &Fqdn) -> u8 {
        match self.naming.parse(owner) {
            Some((_, Level::Global)) => 0,
            Some((_, Level::Region(_))) => 1,
            _ => 2,
        }
    }
}
