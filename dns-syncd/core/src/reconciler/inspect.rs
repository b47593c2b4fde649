//! What the caller may look at between its calls: plans, changes at a name, what a rolling audit found.

use std::collections::BTreeSet;

use dnsprovider::{Change, Entry, Fqdn, Snapshot, Version};

use super::{Reconciler, ServicePlan};
use crate::context::Note;
use crate::desired::{Desired, desired};
use crate::event::{ServiceId, Timestamp};
use crate::federation::Federation;
use crate::guard::{Limit, Verdict};
use crate::naming::Naming;
use crate::plan::{PlannedChange, Urgency};
use crate::settings::Settings;
use crate::standing::Standings;
use crate::zone::ZoneView;

impl Reconciler {
    /// What the clusters said.
    pub fn federation(&self) -> &Federation {
        &self.federation
    }

    /// What that is worth, as of the last plan.
    pub fn standings(&self) -> &Standings {
        &self.standings
    }

    /// The zone as last read and written.
    pub fn zone(&self) -> &ZoneView {
        &self.zone
    }

    /// What is set.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The plan of a service, when there is anything to do or to say.
    pub fn service_plan(&self, service: &ServiceId) -> Option<&ServicePlan> {
        self.plans.get(&Some(service.clone()))
    }

    /// What a service should have right now.
    pub fn desired(&self, service: &ServiceId, now: Timestamp) -> Desired {
        desired(&self.context(now), service).0
    }

    /// Refusals and warnings about what the clusters say of a service right now.
    pub fn notes(&self, service: &ServiceId, now: Timestamp) -> Vec<Note> {
        desired(&self.context(now), service).1
    }

    /// The limits that hold changes of a service.
    pub fn limits_of(&self, service: &ServiceId, now: Timestamp) -> BTreeSet<Limit> {
        let plan = self.plans.get(&Some(service.clone()));
        plan.into_iter().flat_map(|plan| self.held_in(plan, now)).map(|(_, limit)| limit).collect()
    }

    /// The naming in use.
    pub fn naming(&self) -> &Naming {
        &self.naming
    }

    /// The guard's last verdict and the hash of what it holds.
    pub fn held(&self) -> (&Verdict, Option<&str>) {
        (&self.verdict, self.hash.as_deref())
    }

    /// True when nothing is dirty, planned and writable, or in flight.
    pub fn is_settled(&self) -> bool {
        self.dirty.is_empty() && self.in_flight.is_empty() && self.schedule.is_empty()
    }

    /// The errors of plans that failed, by service.
    pub fn failures(&self) -> impl Iterator<Item = (Option<&ServiceId>, &str)> {
        let of_sets = self.refused_sets.iter().flat_map(|(key, sets)| sets.values().map(move |failure| (key, failure)));
        self.failures.iter().chain(of_sets).map(|(key, failure)| (key.as_ref(), &*failure.error))
    }

    /// The state of the last full read, from which to watch.
    pub fn zone_version(&self) -> &Version {
        self.zone.version()
    }

    /// Every plan with anything to do or to say, by service; without a service, the names that belong to none.
    pub fn plans(&self) -> impl Iterator<Item = (Option<&ServiceId>, &ServicePlan)> {
        self.plans.iter().map(|(key, plan)| (key.as_ref(), plan))
    }

    /// What is planned at a name, with the limit that holds it.
    pub fn changes_at(&self, owner: &Fqdn, now: Timestamp) -> Vec<(&PlannedChange, Option<Limit>)> {
        let Some(plan) = self.plans.get(&self.plan_of(owner)) else { return Vec::new() };
        let held = self.held_in(plan, now);
        let limit = |planned: &PlannedChange| {
            held.iter().find(|(one, _)| one.change.key == planned.change.key).map(|(_, limit)| *limit)
        };
        let here = plan.changes.iter().filter(|planned| planned.change.key.owner == *owner);
        here.map(|planned| (planned, limit(planned))).collect()
    }

    /// The plan's own account of a change, while it is planned.
    pub fn planned(&self, change: &Change) -> Option<&PlannedChange> {
        let plan = self.plans.get(&self.plan_of(&change.key.owner))?;
        plan.changes.iter().find(|planned| planned.change == *change)
    }

    /// True when there is something that [`Reconciler::plan`] has not looked at yet.
    pub fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// True when [`Reconciler::plan`] has looked at all that is known of this service, and nothing of it is on its way.
    pub fn is_planned(&self, service: &ServiceId) -> bool {
        let key = Some(service.clone());
        !self.dirty.contains(&key) && !self.in_flight.contains(&key)
    }

    /// True while a batch that concerns this name is out.
    pub fn is_in_flight(&self, owner: &Fqdn) -> bool {
        self.in_flight.contains(&self.plan_of(owner))
    }

    /// How urgent the next batch may be; it may still turn out that everything is held.
    pub fn next_urgency(&mut self, now: Timestamp) -> Option<Urgency> {
        self.schedule.wake(now);
        self.schedule.visited(1);
        self.schedule.ready().next().map(|(urgency, _)| *urgency)
    }

    /// How many entries of the queue, and of the line for room in a full zone, were looked at, put in or taken out so far:
    /// what choosing batches and times to wake has cost.
    pub fn queue_visits(&self) -> u64 {
        self.schedule.visits() + self.line.visits()
    }

    /// Compares a page of the zone, read from `begun` on, with the view; gives the names that must be read again.
    /// Names that were written meanwhile are left to the next audit.
    pub fn audit_page(&self, begun: Timestamp, page: &[Entry]) -> BTreeSet<Fqdn> {
        let mut found = Snapshot::default();
        found.extend(page.iter().filter(|entry| entry.key().owner.is_at_or_below(&self.settings.suffix)).cloned());
        let differs = |owner: &&Fqdn| {
            let data = |entries: &[Entry]| entries.iter().map(|entry| entry.data.clone()).collect::<Vec<_>>();
            !self.outdates(owner, begun) && data(found.at(owner)) != self.zone.raw_at(owner)
        };
        found.entries.keys().filter(differs).cloned().collect()
    }

    /// The names of the view that none of the audited pages had, without those written since `begun`.
    pub fn audit_missing(&self, begun: Timestamp, seen: &BTreeSet<Fqdn>) -> BTreeSet<Fqdn> {
        let held = self.zone.iter().map(|entry| &entry.key().owner).chain(self.zone.ledger_names());
        held.filter(|owner| !seen.contains(*owner) && !self.outdates(owner, begun)).cloned().collect()
    }

    /// True when a read that began at this time may show the name as it was before a write of ours.
    fn outdates(&self, owner: &Fqdn, begun: Timestamp) -> bool {
        let written = self.written.get(owner).is_some_and(|written| written.at >= begun);
        written || self.is_in_flight(owner)
    }
}
