//! Whether everything needed of an API server is listed and watched, and whether its lists can be believed.
//!
//! In: what followers tell · Out: may something be told? · Pure: yes, time comes in as a value

use std::collections::BTreeSet;
use std::time::Duration;

use dns_sync_core::ServiceId;
use tokio::time::Instant;

use super::objects::Watched;

/// Counting services of which a list must find none before it is doubted. One alone may well be deleted.
const FEW: usize = 2;

/// How far the lists and watches of one API server are.
#[derive(Debug)]
pub(crate) struct Progress {
    needed: &'static [Watched],
    leave_delay: Duration,
    /// Kinds of which there is a complete list.
    listed: BTreeSet<Watched>,
    /// Kinds whose changes are being told.
    watching: BTreeSet<Watched>,
    doubt: Option<Doubt>,
}

/// A full list found nothing of what was there.
#[derive(Debug)]
struct Doubt {
    /// The services that counted before.
    before: BTreeSet<ServiceId>,
    /// When a second list is believed.
    due: Instant,
    /// It was asked for.
    asked: bool,
}

impl Progress {
    pub(crate) fn new(needed: &'static [Watched], leave_delay: Duration) -> Self {
        Self { needed, leave_delay, listed: BTreeSet::new(), watching: BTreeSet::new(), doubt: None }
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

    /// When the list that is doubted must be asked for again.
    pub(crate) fn relist_at(&self) -> Option<Instant> {
        self.doubt.as_ref().filter(|doubt| !doubt.asked).map(|doubt| doubt.due)
    }

    /// It is being asked for.
    pub(crate) fn relist(&mut self) {
        if let Some(doubt) = &mut self.doubt {
            doubt.asked = true;
        }
    }

    /// Against what a list of that kind is judged, taken before the list itself is.
    pub(crate) fn before(&self, kind: Watched, counting: impl FnOnce() -> BTreeSet<ServiceId>) -> BTreeSet<ServiceId> {
        match &self.doubt {
            Some(doubt) => doubt.before.clone(),
            None if kind.selects() => counting(),
            None => BTreeSet::new(),
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
        if is_first || !kind.selects() {
            return;
        }
        if before.len() < FEW || has_any(&before) {
            self.doubt = None;
            return;
        }
        match &self.doubt {
            None => self.doubt = Some(Doubt { before, due: now + self.leave_delay, asked: false }),
            Some(doubt) if doubt.due <= now => self.doubt = None,
            Some(_) => {}
        }
    }

    /// Changes were taken in: one of the services that were missed may be back.
    pub(crate) fn changed(&mut self, has_any: impl FnOnce(&BTreeSet<ServiceId>) -> bool) {
        if self.doubt.as_ref().is_some_and(|doubt| has_any(&doubt.before)) {
            self.doubt = None;
        }
    }

    /// Why the last list is not believed yet.
    pub(crate) fn doubted(&self) -> Option<String> {
        let doubt = self.doubt.as_ref()?;
        Some(format!(
            "a full list after a lost watch finds none of the {} services that were there; it is believed when another \
             one after {:?} finds none either",
            doubt.before.len(),
            self.leave_delay
        ))
    }
}
