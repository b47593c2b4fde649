//! Losses of which nobody said whether they were done: they count once the zone shows that they were.
//!
//! The answer to a write may be lost though the host has done it, and a write that was done may be told as a conflict,
//! when a request was repeated. The guard must not take that for nothing, else a host that answers badly would let a
//! mistake in a source through. Whoever else did the same meanwhile took the same set away, so that counts too.

use std::collections::BTreeSet;

use dnsprovider::{Applied, Change, Fqdn, Outcome};

use super::{Batch, Reconciler};
use crate::event::Timestamp;
use crate::plan::PlannedChange;
use crate::zone::Ownership;

/// A planned loss that was sent, and when.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Unheard {
    at: Timestamp,
    planned: PlannedChange,
}

impl Reconciler {
    /// Remembers the losses of a batch that may be done, and forgets those that were told now.
    pub(super) fn note_unheard(&mut self, batch: &Batch, applied: &Applied, now: Timestamp) {
        for (change, outcome) in batch.edits(applied) {
            match outcome {
                Some(Outcome::Unknown(_) | Outcome::Conflict) => {
                    let planned = self.planned(change).filter(|planned| planned.losses.any()).cloned();
                    // A conflict may be that of an earlier attempt which was done.
                    if let Some(planned) = planned {
                        self.unheard.insert(change.key.clone(), Unheard { at: now, planned });
                    }
                }
                Some(Outcome::Done(_)) => _ = self.unheard.remove(&change.key),
                Some(Outcome::Refused(_) | Outcome::NotTried) | None => {}
            }
        }
    }

    /// Counts those that the zone shows as done, of these names or (`None`) of all. What is not done yet may still be on
    /// its way, so it is remembered for as long as it would count.
    pub(super) fn count_unheard(&mut self, names: Option<&[Fqdn]>, now: Timestamp) {
        if self.unheard.is_empty() {
            return;
        }
        let window = self.settings.guard.window;
        self.unheard.retain(|_, unheard| now.since(unheard.at) <= window);
        let concerned = |owner: &Fqdn| names.is_none_or(|names| names.contains(owner));
        let done: Vec<_> = self
            .unheard
            .iter()
            .filter(|(key, unheard)| concerned(&key.owner) && self.is_as_after(&unheard.planned.change))
            .map(|(key, unheard)| (key.clone(), unheard.planned.clone()))
            .collect();
        let mut emptied = BTreeSet::new();
        for (key, mut planned) in done {
            self.unheard.remove(&key);
            planned.losses.emptied &= self.holds_nothing_of_ours(&key.owner) && emptied.insert(key.owner);
            self.guard.wrote(&planned, now);
        }
    }

    /// Whether what stands there is what the change was to leave.
    fn is_as_after(&self, change: &Change) -> bool {
        let at = self.zone.at(&change.key.owner);
        let mut ours = at.iter().filter(|entry| self.zone.ownership(entry) != Ownership::Foreign);
        let stands = ours.find(|entry| *entry.key() == change.key).map(|entry| &entry.data.set);
        stands == change.after.as_ref().map(|after| &after.set)
    }

    /// Whether a name has no set of ours.
    pub(super) fn holds_nothing_of_ours(&self, owner: &Fqdn) -> bool {
        self.zone.at(owner).iter().all(|entry| self.zone.ownership(entry) == Ownership::Foreign)
    }
}
