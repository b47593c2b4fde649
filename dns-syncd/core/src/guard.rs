//! The budget of losses: a mistake in a source must not empty the zone (DESIGN "Guard").
//!
//! Losses count over a sliding window, those already written together with those planned. When a kind exceeds its
//! share of the sets claimed at the window's start, all of that kind that are not written yet are held, until the
//! cause goes or a person approves exactly them. Additions are never held.
//! In: planned changes, time · Out: [`Verdict`] · Pure: yes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use dnsprovider::ClaimedSet;
use sha2::{Digest as _, Sha256};

use crate::event::Timestamp;
use crate::losses::{LossCount, Losses};
use crate::plan::PlannedChange;
use crate::settings::GuardSettings;

/// Below this many claimed sets a percentage says nothing.
const SMALLEST_BASE: usize = 10;
/// How long an approval holds in a daemon.
const APPROVAL: Duration = Duration::from_hours(1);

/// How many hashes are remembered; a person approves one of the last.
const MOST_SHOWN: usize = 8;

/// Why a change is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// Too many sets deleted.
    MaxDelete,
    /// Too many sets otherwise changed.
    MaxUpdate,
    /// Too many global names emptied.
    MaxEmptied,
    /// Writing is stopped by the operator.
    Freeze,
}

impl Limit {
    /// The key of the setting.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MaxDelete => "max-delete",
            Self::MaxUpdate => "max-update",
            Self::MaxEmptied => "max-emptied",
            Self::Freeze => "freeze",
        }
    }
}

/// Losses of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Written in the window and planned.
    pub counted: usize,
    /// Allowed; `None` where there are too few sets for a percentage.
    pub allowed: Option<usize>,
}

impl Budget {
    fn exceeded(self) -> bool {
        self.allowed.is_some_and(|allowed| self.counted > allowed)
    }
}

/// What may be written now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Sets claimed at the start of the window.
    pub base: usize,
    /// Sets deleted.
    pub deleted: Budget,
    /// Sets otherwise changed.
    pub updated: Budget,
    /// Global names emptied.
    pub emptied: Budget,
    /// Nothing may be written.
    pub frozen: bool,
}

impl Verdict {
    /// True when no kind exceeds its budget and writing is allowed.
    pub fn holds_nothing(&self) -> bool {
        !(self.frozen || self.deleted.exceeded() || self.updated.exceeded() || self.emptied.exceeded())
    }

    /// The limits that are exceeded.
    pub fn limits(&self) -> Vec<Limit> {
        let all = [
            (Limit::MaxDelete, self.deleted.exceeded()),
            (Limit::MaxUpdate, self.updated.exceeded()),
            (Limit::MaxEmptied, self.emptied.exceeded()),
            (Limit::Freeze, self.frozen),
        ];
        all.into_iter().filter(|(_, exceeded)| *exceeded).map(|(limit, _)| limit).collect()
    }

    /// The limit that holds a change with these losses.
    pub fn holds(&self, losses: Losses) -> Option<Limit> {
        if self.frozen {
            Some(Limit::Freeze)
        } else if losses.emptied && self.emptied.exceeded() {
            Some(Limit::MaxEmptied)
        } else if losses.deleted && self.deleted.exceeded() {
            Some(Limit::MaxDelete)
        } else if losses.updated && self.updated.exceeded() {
            Some(Limit::MaxUpdate)
        } else {
            None
        }
    }
}

/// Names one change: owner, type, before and after.
pub type ChangeDigest = [u8; 32];

/// Remembers what was lost and what was approved.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    written: VecDeque<(Timestamp, Losses)>,
    written_count: LossCount,
    bases: VecDeque<(Timestamp, usize)>,
    shown: VecDeque<(String, BTreeSet<ChangeDigest>)>,
    approved: BTreeMap<ChangeDigest, Timestamp>,
    /// Grows whenever approvals come or end.
    approvals: u64,
}

impl Guard {
    /// Notes how many sets are claimed.
    pub fn claimed(&mut self, sets: usize, now: Timestamp) {
        if self.bases.back().map(|(_, count)| *count) != Some(sets) {
            match self.bases.back_mut() {
                Some((at, count)) if *at == now => *count = sets,
                _ => self.bases.push_back((now, sets)),
            }
        }
    }

    /// Notes that a change was written.
    pub fn wrote(&mut self, planned: &PlannedChange, now: Timestamp) {
        if planned.losses.any() && !self.is_approved(planned, now) {
            self.written.push_back((now, planned.losses));
            self.written_count += [planned.losses].into_iter().sum();
        }
    }

    /// Judges what is planned and not written, approved changes left out of the count. What is over by now must have been
    /// forgotten.
    pub fn judge(&self, planned: LossCount, settings: &GuardSettings) -> Verdict {
        let base = self.bases.front().map_or(0, |(_, count)| *count);
        let share = |percent: u8| (base >= SMALLEST_BASE).then(|| base * usize::from(percent) / 100);
        let counted = planned + self.written_count;
        Verdict {
            base,
            deleted: Budget { counted: counted.deleted, allowed: share(settings.max_delete) },
            updated: Budget { counted: counted.updated, allowed: share(settings.max_update) },
            emptied: Budget { counted: counted.emptied, allowed: share(settings.max_emptied) },
            frozen: settings.freeze,
        }
    }

    /// True while a person's approval may hold.
    pub fn has_approvals(&self) -> bool {
        !self.approved.is_empty()
    }

    /// Differs whenever something else is approved than before.
    pub fn approvals(&self) -> u64 {
        self.approvals
    }

    /// Whether a person approved this change.
    pub fn is_approved(&self, planned: &PlannedChange, now: Timestamp) -> bool {
        !self.approved.is_empty() && self.approved.get(&digest(planned)).is_some_and(|until| now < *until)
    }

    /// The hash of what is held, remembered so that it can be approved; `None` when nothing is.
    pub fn show(&mut self, digests: BTreeSet<ChangeDigest>) -> Option<String> {
        if digests.is_empty() {
            return None;
        }
        let mut hasher = Sha256::new();
        for digest in &digests {
            hasher.update(digest);
        }
        let hash = hasher.finalize().iter().take(8).fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        if !self.shown.iter().any(|(known, _)| *known == hash) {
            self.shown.push_back((hash.clone(), digests));
            if self.shown.len() > MOST_SHOWN {
                self.shown.pop_front();
            }
        }
        Some(hash)
    }

    /// Releases what was shown with this hash, and any part of it, for an hour; false for an unknown hash.
    pub fn approve(&mut self, hash: &str, now: Timestamp) -> bool {
        let Some((_, digests)) = self.shown.iter().find(|(known, _)| known == hash) else { return false };
        self.approved.extend(digests.iter().map(|digest| (*digest, now.plus(APPROVAL))));
        self.approvals += 1;
        true
    }

    /// When a loss leaves the window next, so that held ones may go.
    pub fn next_change(&self, window: Duration) -> Option<Timestamp> {
        self.written.front().map(|(at, _)| at.plus(window))
    }

    /// Forgets losses that have left the window, and approvals that have ended.
    pub fn forget(&mut self, window: Duration, now: Timestamp) {
        while let Some((_, losses)) = self.written.pop_front_if(|(at, _)| now >= at.plus(window)) {
            self.written_count -= [losses].into_iter().sum();
        }
        // The base is what was claimed when the window began: the newest count from before it.
        while self.bases.get(1).is_some_and(|(at, _)| now >= at.plus(window)) {
            self.bases.pop_front();
        }
        let approved = self.approved.len();
        self.approved.retain(|_, until| now < *until);
        self.approvals += u64::from(self.approved.len() != approved);
    }
}

/// The digest of a change.
pub(crate) fn digest(planned: &PlannedChange) -> ChangeDigest {
    let change = &planned.change;
    let text = |set: Option<&ClaimedSet>| set.map(|held| format!("{} {:?}", held.set.ttl(), held.set.records()));
    let line = format!("{}|{:?}|{:?}", change.key, text(change.before.as_ref()), text(change.after.as_ref()));
    Sha256::digest(line.as_bytes()).into()
}
