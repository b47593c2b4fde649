//! Whether everything needed of an API server is listed and watched, and whether its lists can be believed.
//!
//! In: what followers tell · Out: may something be told? · Pure: yes, time comes in as a value

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dns_sync_core::ServiceId;
use tokio::time::Instant;

use super::objects::Watched;

/// How far the lists and watches of one API server are.
#[derive(Debug)]
pub(crate) struct Progress {
    needed: &'static [Watched],
    leave_delay: Duration,
    /// Kinds of which there is a complete list.
    listed: BTreeSet<Watched>,
    /// Kinds whose changes are being told.
    watching: BTreeSet<Watched>,
    /// Each kind for itself: which of the lists of an emptied server comes first is chance.
    doubts: BTreeMap<Watched, Doubt>,
}

/// A full list found nothing of what was there.
#[derive(Debug)]
struct Doubt {
    /// What was there before.
    before: BTreeSet<ServiceId>,
    /// When a second list is believed.
    due: Instant,
    /// It was asked for.
    asked: bool,
}

impl Progress {
    pub(crate) fn new(needed: &'static [Watched], leave_delay: Duration) -> Self {
        Self { needed, leave_delay, listed: BTreeSet::new(), watching: BTreeSet::new(), doubts: BTreeMap::new() }
    }

    pub(crate) fn needed(&self) -> &'static [Watched] {
        self.needed
    }

    /// A new connection: nothing is watched yet, what was listed stays.
    pub(crate) fn begin(&mut self) {
        self.watching.clear();
    }

    pub(crate) fn watches(&mut self, kind: Watched) {
        self.watching.insert(kind);
    }

    /// True when every kind is listed and watched.
    pub(crate) fn is_complete(&self) -> bool {
        self.needed.iter().all(|kind| self.listed.contains(kind) && self.watching.contains(kind))
    }

    /// When a list that is doubted must be asked for again.
    pub(crate) fn relist_at(&self) -> Option<Instant> {
        self.doubts.values().filter(|doubt| !doubt.asked).map(|doubt| doubt.due).min()
    }

    /// Those that are asked for again now.
    pub(crate) fn relist(&mut self, now: Instant) -> Vec<Watched> {
        let due = self.doubts.iter_mut().filter(|(_, doubt)| !doubt.asked && doubt.due <= now);
        due.map(|(kind, doubt)| {
            doubt.asked = true;
            *kind
        })
        .collect()
    }

    /// Against what a list of that kind is judged, taken before the list itself is.
    pub(crate) fn before(&self, kind: Watched, present: impl FnOnce() -> BTreeSet<ServiceId>) -> BTreeSet<ServiceId> {
        match self.doubts.get(&kind) {
            Some(doubt) => doubt.before.clone(),
            None => present(),
        }
    }

    /// A list was taken in. An empty one after a lost watch may be a server with an empty store behind it.
    pub(crate) fn listed(
        &mut self,
        kind: Watched,
        before: BTreeSet<ServiceId>,
        has_any: impl FnOnce(&BTreeSet<ServiceId>) -> bool,
        now: Instant,
    ) {
        let is_first = self.listed.insert(kind);
        if is_first {
            return;
        }
        if kind.doubted_from().is_none_or(|few| before.len() < few) || has_any(&before) {
            self.doubts.remove(&kind);
            return;
        }
        match self.doubts.get(&kind) {
            None => _ = self.doubts.insert(kind, Doubt { before, due: now + self.leave_delay, asked: false }),
            Some(doubt) if doubt.due <= now => _ = self.doubts.remove(&kind),
            Some(_) => {}
        }
    }

    /// Changes were taken in: some of what was missed may be back.
    pub(crate) fn changed(&mut self, has_any: impl Fn(Watched, &BTreeSet<ServiceId>) -> bool) {
        self.doubts.retain(|kind, doubt| !has_any(*kind, &doubt.before));
    }

    /// Why the last list is not believed yet.
    pub(crate) fn doubted(&self) -> Option<String> {
        // In the same words for every kind: it is one trouble, whose kinds show one after the other.
        (!self.doubts.is_empty()).then(|| {
            format!(
                "a full list after a lost watch finds nothing of what was there; it is believed when another one after \
                 {:?} finds nothing either",
                self.leave_delay
            )
        })
    }
}
