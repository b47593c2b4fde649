//! What is known of one cluster, and what has been told of it.
//!
//! In: what followers tell · Out: [`SourceEvent`]s · Pure: yes, time comes in as a value

use std::collections::BTreeSet;
use std::time::Duration;

use dns_sync_core::{ClusterName, ServiceId, SourceEvent};
use tokio::time::Instant;

use super::follow::Told;
use super::objects::Watched;
use super::store::Store;
use crate::source::Select;

/// Counting services of which a list must find none before it is doubted. One alone may well be deleted.
const FEW: usize = 2;

/// One cluster.
#[derive(Debug)]
pub(crate) struct View {
    name: ClusterName,
    needed: &'static [Watched],
    leave_delay: Duration,
    store: Store,
    /// Kinds of which there is a complete list.
    listed: BTreeSet<Watched>,
    /// Kinds whose changes are being told.
    watching: BTreeSet<Watched>,
    doubt: Option<Doubt>,
    standing: Standing,
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

/// What was told last.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    Untold,
    Known,
    Unknown(String),
}

impl View {
    pub(crate) fn new(name: ClusterName, select: Select, leave_delay: Duration) -> Self {
        Self {
            name,
            needed: Watched::needed(select),
            leave_delay,
            store: Store::new(select),
            listed: BTreeSet::new(),
            watching: BTreeSet::new(),
            doubt: None,
            standing: Standing::Untold,
        }
    }

    pub(crate) fn needed(&self) -> &'static [Watched] {
        self.needed
    }

    /// True when the cluster was told as known, and nothing else since.
    pub(crate) fn is_told_known(&self) -> bool {
        self.standing == Standing::Known
    }

    /// A new connection: nothing is watched yet, what was listed stays.
    pub(crate) fn begin(&mut self) {
        self.watching.clear();
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

    /// Takes in what a follower tells.
    pub(crate) fn take(&mut self, kind: Watched, told: Told, now: Instant) {
        match told {
            Told::Listed(items) => {
                let before = match &self.doubt {
                    Some(doubt) => doubt.before.clone(),
                    None if kind.selects() => self.store.counting(),
                    None => BTreeSet::new(),
                };
                let is_first = self.listed.insert(kind);
                self.store.replace(kind, items);
                if kind.selects() && !is_first {
                    self.judge(before, now);
                }
            }
            Told::Watching => {
                self.watching.insert(kind);
            }
            Told::Changed(items) => {
                for item in items {
                    self.store.apply(kind, item);
                }
                if self.doubt.as_ref().is_some_and(|doubt| self.store.has_any(&doubt.before)) {
                    self.doubt = None;
                }
            }
            Told::Alive => {}
        }
    }

    /// An empty list after a lost watch may be a server with an empty store behind it.
    fn judge(&mut self, before: BTreeSet<ServiceId>, now: Instant) {
        if before.len() < FEW || self.store.has_any(&before) {
            self.doubt = None;
            return;
        }
        match &self.doubt {
            None => self.doubt = Some(Doubt { before, due: now + self.leave_delay, asked: false }),
            Some(doubt) if doubt.due <= now => self.doubt = None,
            Some(_) => {}
        }
    }

    /// What there is to tell.
    pub(crate) fn news(&mut self) -> Vec<SourceEvent> {
        if !self.needed.iter().all(|kind| self.listed.contains(kind) && self.watching.contains(kind)) {
            return Vec::new();
        }
        if let Some(doubt) = &self.doubt {
            let reason = format!(
                "a full list after a lost watch finds none of the {} services that were there; it is believed when \
                 another one after {:?} finds none either",
                doubt.before.len(),
                self.leave_delay
            );
            return self.lost(&reason);
        }
        if self.standing == Standing::Known {
            return self.store.changes(&self.name);
        }
        self.standing = Standing::Known;
        vec![SourceEvent::Answer { cluster: self.name.clone(), answer: self.store.answer() }]
    }

    /// The cluster cannot be read. Told once for each reason; how long it is unknown does not begin anew.
    pub(crate) fn lost(&mut self, reason: &str) -> Vec<SourceEvent> {
        let standing = Standing::Unknown(reason.to_owned());
        if self.standing == standing {
            return Vec::new();
        }
        self.standing = standing;
        vec![SourceEvent::Unknown { cluster: self.name.clone(), since: None, reason: reason.into() }]
    }
}
