//! What became of a batch, and what others changed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dnsprovider::{Applied, Change, ChangeSet, Entry, Error, ErrorKind, Fqdn, Outcome, RetryHint, Version};

use super::{Batch, Failure, PlanKey, Reconciler};
use crate::event::Timestamp;
use crate::federation::Dirty;
use crate::plan::ServicePlan;
use crate::swap::is_placeholder;

/// Shortest and longest pause before a plan that failed is tried again.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(5));
/// After so many conflicts in a row point reads do not help: read the whole zone.
const CONFLICTS: u32 = 3;

/// What the caller should do after a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FollowUp {
    /// Names to read again and give to [`Reconciler::load_names`].
    pub reread: BTreeSet<Fqdn>,
    /// The whole zone should be read again.
    pub reread_zone: bool,
    /// Planned changes that are done.
    pub done: usize,
    /// Changes that met something else than what was read.
    pub conflicts: usize,
    /// Changes that failed, with why.
    pub failed: Vec<String>,
    /// Of what was refused, some is tried again at once in other company.
    pub regrouped: bool,
}

impl Reconciler {
    /// Takes the outcome of a batch in.
    #[expect(clippy::needless_pass_by_value, reason = "a batch is settled once")]
    pub fn record(&mut self, batch: Batch, applied: &Applied, now: Timestamp) -> FollowUp {
        if batch.edits.is_some() {
            return self.record_with_ledgers(&batch, applied, now);
        }
        let mut follow = FollowUp::default();
        let mut fates: BTreeMap<PlanKey, Fate> = BTreeMap::new();
        let denies_placeholders = denies_placeholders(&batch, applied);
        for change in batch.changes.changes() {
            let key = self.plan_of(&change.key.owner);
            let fate = fates.entry(key).or_default();
            match applied.outcomes.get(&change.key) {
                Some(Outcome::Done(version)) => {
                    follow.done += 1;
                    self.done(change, version, now);
                }
                Some(Outcome::Conflict) => {
                    follow.conflicts += 1;
                    follow.reread.insert(change.key.owner.clone());
                    fate.conflict = true;
                }
                Some(Outcome::Refused(error)) => {
                    follow.failed.push(error.chain());
                    // The plan goes on with the CNAME, and so need not rest.
                    if !denies_placeholders || !is_new_placeholder(change) {
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
        if denies_placeholders {
            self.denies_placeholders = true;
            follow.regrouped = true;
            self.mark(Dirty::All);
        }
        self.keep_half_done(&batch.changes, applied);
        self.note_unheard(&batch, applied, now);
        for (key, fate) in fates {
            follow.reread_zone |= self.settle(key, &fate, now);
        }
        follow.reread.extend(self.release(&batch, now));
        follow
    }

    /// Keeps the names in mind whose sets went, or may have gone, while what takes their place did not come, on hosts that
    /// change set by set.
    pub(super) fn keep_half_done(&mut self, changes: &ChangeSet, applied: &Applied) {
        for unit in &changes.units {
            let outcome = |change: &Change| applied.outcomes.get(&change.key);
            let is_done = |change: &Change| outcome(change).is_some_and(Outcome::is_done);
            let is_lost = |change: &Change| matches!(outcome(change), Some(Outcome::Unknown(_)));
            let went = unit.changes.iter().filter(|one| one.after.is_none() && (is_done(one) || is_lost(one)));
            for owner in went.map(|change| &change.key.owner) {
                let comes = |change: &&Change| change.key.owner == *owner && change.before.is_none();
                if unit.changes.iter().filter(comes).any(|change| !is_done(change)) {
                    self.zone.keep_name(owner, true);
                }
            }
        }
    }

    /// Forgets names that nothing more is planned for.
    pub(super) fn forget_half_done(&mut self, key: &PlanKey, plan: &ServicePlan) {
        let Some(service) = key else { return };
        for owner in self.zone.kept_of(service) {
            if plan.changes.iter().all(|planned| planned.change.key.owner != owner) {
                self.zone.keep_name(&owner, false);
            }
        }
    }

    /// Takes a batch back of which nothing was changed; gives names to read again, which others changed meanwhile.
    pub fn abandon(&mut self, batch: &Batch, now: Timestamp) -> BTreeSet<Fqdn> {
        self.release(batch, now)
    }

    /// Somebody, possibly we, changed a name at a revision; gives the name when it must be read again. Of a name that is
    /// being written that is told when the write is back.
    pub fn noticed(&mut self, owner: &Fqdn, revision: u64) -> BTreeSet<Fqdn> {
        if !owner.is_at_or_below(&self.settings.suffix) {
            return BTreeSet::new();
        }
        let plan = self.plan_of(owner);
        if self.in_flight.contains(&plan) {
            let newest = self.noticed.entry(plan).or_default().entry(owner.clone()).or_default();
            *newest = revision.max(*newest);
            return BTreeSet::new();
        }
        self.overtaken([(owner.clone(), revision)])
    }

    /// Those of changed names whose change we do not know.
    fn overtaken(&self, changed: impl IntoIterator<Item = (Fqdn, u64)>) -> BTreeSet<Fqdn> {
        let is_new = |(owner, revision): &(Fqdn, u64)| self.version_at(owner).is_none_or(|known| known < *revision);
        changed.into_iter().filter(is_new).map(|(owner, _)| owner).collect()
    }

    /// Puts what was written into the view.
    fn done(&mut self, change: &Change, version: &Version, now: Timestamp) {
        let owner = &change.key.owner;
        let is_it = |entry: &Entry| {
            change
                .before
                .as_ref()
                .is_some_and(|before| entry.key() == &change.key && entry.data.claim_name() == before.claim_name())
        };
        let mut entries: Vec<Entry> = self.zone.at(owner).iter().filter(|entry| !is_it(entry)).cloned().collect();
        // The write was guarded by all that was read of the name, so the rest of it is as it was at this revision.
        for entry in &mut entries {
            entry.version.revision = entry.version.revision.max(version.revision);
        }
        if let Some(after) = &change.after {
            let entry = Entry { data: after.clone(), version: version.clone(), blocks: dnsprovider::Blocks::AsDns };
            let place = entries.partition_point(|other| other.key() <= entry.key());
            entries.insert(place, entry);
        }
        let planned = self.planned(change).cloned();
        self.zone.set_name(owner, entries);
        if let Some(mut planned) = planned {
            // A name with both families is emptied once, by the last of its sets.
            planned.losses.emptied &= self.holds_nothing_of_ours(owner);
            self.guard.wrote(&planned, now);
        }
        self.guard.claimed(self.zone.claimed_sets(), now);
        self.mark_written(owner, version.revision, now);
    }

    /// Counts or forgets the failure of a plan; true when the zone should be read again.
    pub(super) fn settle(&mut self, key: PlanKey, fate: &Fate, now: Timestamp) -> bool {
        if !fate.conflict && fate.error.is_none() {
            self.failures.remove(&key);
            return false;
        }
        let attempts = self.failures.get(&key).map_or(0, |failure| failure.attempts) + 1;
        // The first conflict is read and planned again at once: somebody was a moment earlier.
        let pause = match fate.retry {
            Some(RetryHint::After(pause)) => pause,
            _ if fate.error.is_none() && attempts == 1 => Duration::ZERO,
            _ => backoff(attempts),
        };
        let error = fate.error.clone().unwrap_or_else(|| "somebody else changed the name meanwhile".into());
        self.failures.insert(key, Failure { attempts, until: now.plus(pause), error });
        fate.conflict && attempts.is_multiple_of(CONFLICTS)
    }

    /// Gives the names that others changed meanwhile.
    pub(super) fn release(&mut self, batch: &Batch, now: Timestamp) -> BTreeSet<Fqdn> {
        let mut overtaken = BTreeSet::new();
        for key in &batch.plans {
            self.in_flight.remove(key);
            self.dirty.insert(key.clone());
            if let Some(changed) = self.noticed.remove(key) {
                overtaken.extend(self.overtaken(changed));
            }
        }
        // What a service's ledger lists now, a stray one need not.
        if self.zone.stray_ledgers().next().is_some() {
            self.dirty.insert(None);
        }
        // Forgetting is put off until the marks have doubled, so that it costs a constant time each.
        if self.written.len() >= self.prune_written_at {
            self.written.retain(|_, written| now.since(written.at) < Self::REMEMBER_WRITES);
            self.prune_written_at = self.written.len().max(512) * 2;
        }
        overtaken
    }

    pub(super) fn plan_of(&self, owner: &Fqdn) -> PlanKey {
        let service = self.naming.parse(owner).map(|(service, _)| service);
        if self.zone.has_ledgers() { service.or_else(|| self.naming.parse_ledger(owner)) } else { service }
    }
}

/// Whether the host lets us write everything but TXT sets in the place of CNAMEs, as far as a batch tells. Where other
/// sets are denied too, it is not for their type.
fn denies_placeholders(batch: &Batch, applied: &Applied) -> bool {
    let is_denied = |change: &&Change| match applied.outcomes.get(&change.key) {
        Some(Outcome::Refused(error)) => error.kind() == ErrorKind::PermissionDenied,
        _ => false,
    };
    let mut denied = batch.changes.changes().filter(is_denied).peekable();
    denied.peek().is_some() && denied.all(is_new_placeholder)
}

fn is_new_placeholder(change: &Change) -> bool {
    change.before.is_none() && change.after.as_ref().is_some_and(|after| is_placeholder(&after.set))
}

/// How long a plan or a set rests after so many failures in a row.
pub(super) fn backoff(attempts: u32) -> Duration {
    (BACKOFF.0 * 2u32.saturating_pow(attempts.clamp(1, 16) - 1)).min(BACKOFF.1)
}

/// What became of one plan's changes.
#[derive(Clone, Debug, Default)]
pub(super) struct Fate {
    pub(super) conflict: bool,
    error: Option<String>,
    retry: Option<RetryHint>,
}

impl Fate {
    pub(super) fn fail(&mut self, error: &Error) {
        self.error.get_or_insert_with(|| error.chain());
        self.retry.get_or_insert(error.retry());
    }
}
