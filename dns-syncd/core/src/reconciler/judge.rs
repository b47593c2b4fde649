//! Which losses the guard counts and holds, and what that lets go.
//!
//! The counts follow the plans one by one, so that judging costs the same however many there are. All plans are looked
//! at only where approvals come or end, and for the hash of what is held.

use super::{PlanKey, Reconciler};
use crate::event::Timestamp;
use crate::guard::digest;
use crate::losses::LossCount;
use crate::plan::{ServicePlan, names_emptied_once};

/// While much is held its hash is not made anew more often; an older one approves what it covered.
const HASH_PAUSE: std::time::Duration = std::time::Duration::from_secs(1);

impl Reconciler {
    /// Judges what is planned, and makes ready what may go by it.
    pub(super) fn judge(&mut self, now: Timestamp) {
        self.find_room();
        self.guard.forget(self.settings.guard.window, now);
        if self.counted_under != self.guard.approvals() {
            self.count_losses_anew(now);
        }
        let before = self.verdict.limits();
        self.verdict = self.guard.judge(self.planned_losses, &self.settings.guard);
        if before != self.verdict.limits() {
            self.schedule.lift_all();
        }
        if self.verdict.holds_nothing() {
            (self.hash, self.hashed) = (None, None);
            return;
        }
        // A single pass shows its plan before it writes.
        let is_shown = self.settings.one_shot && self.written.is_empty();
        if is_shown || self.hashed.is_none_or(|at| now >= at.plus(HASH_PAUSE)) {
            self.rehash(now);
        } else {
            self.hash_due = true;
        }
    }

    /// Makes the hash of what is held anew, which otherwise happens once a second.
    pub fn rehash(&mut self, now: Timestamp) {
        if self.verdict.holds_nothing() {
            return;
        }
        let held = self.plans.values().flat_map(|plan| self.held_in(plan, now));
        let digests = held.map(|(planned, _)| digest(planned)).collect();
        self.hash = self.guard.show(digests);
        self.hashed = Some(now);
        self.hash_due = false;
    }

    /// When the hash is to be made anew.
    pub(super) fn rehash_at(&self) -> Option<Timestamp> {
        self.hashed.filter(|_| self.hash_due).map(|at| at.plus(HASH_PAUSE))
    }

    /// Counts the losses of a plan, and no more those that it had before.
    pub(super) fn count_losses_of(&mut self, key: &PlanKey, plan: &ServicePlan, now: Timestamp) {
        self.planned_losses -= self.losses.remove(key).unwrap_or_default();
        let losses = self.counted(plan, now);
        if losses != LossCount::default() {
            self.planned_losses += losses;
            self.losses.insert(key.clone(), losses);
        }
    }

    /// What of a plan counts: what was approved does not. Only where something was are changes looked at one by one.
    fn counted(&self, plan: &ServicePlan, now: Timestamp) -> LossCount {
        if !self.guard.has_approvals() {
            return plan.losses();
        }
        let changes = plan.changes.iter().filter(|planned| !self.guard.is_approved(planned, now));
        names_emptied_once(changes.map(|planned| planned.losses).sum())
    }

    /// Other changes are approved than when the losses were counted.
    fn count_losses_anew(&mut self, now: Timestamp) {
        self.counted_under = self.guard.approvals();
        let count = |(key, plan): (&PlanKey, &ServicePlan)| (key.clone(), self.counted(plan, now));
        let counted = self.plans.iter().map(count).filter(|(_, losses)| *losses != LossCount::default());
        self.losses = counted.collect();
        self.planned_losses = self.losses.values().fold(LossCount::default(), |all, one| all + *one);
        self.schedule.lift_all();
    }
}
