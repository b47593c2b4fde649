//! What is known of one cluster, and what has been told of it.
//!
//! In: what followers tell · Out: [`SourceEvent`]s · Pure: yes, time comes in as a value

use std::time::Duration;

use dns_sync_core::{ClusterName, SourceEvent};
use tokio::time::Instant;

use super::cluster::Picture;
use super::follow::Told;
use super::objects::Watched;
use super::progress::Progress;
use super::store::Store;
use crate::source::Select;

/// One cluster.
#[derive(Debug)]
pub(crate) struct View {
    name: ClusterName,
    progress: Progress,
    store: Store,
    standing: Standing,
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
            progress: Progress::new(Watched::needed(select), leave_delay),
            store: Store::new(select),
            standing: Standing::Untold,
        }
    }
}

impl Picture for View {
    fn progress(&mut self) -> &mut Progress {
        &mut self.progress
    }

    fn is_told_known(&self) -> bool {
        self.standing == Standing::Known
    }

    fn take(&mut self, kind: Watched, told: Told, now: Instant) {
        match told {
            Told::Listed(items) => {
                let before = self.progress.before(kind, || self.store.counting());
                self.store.replace(kind, items);
                self.progress.listed(kind, before, |before| self.store.has_any(before), now);
            }
            Told::Watching => self.progress.watches(kind),
            Told::Changed(items) => {
                for item in items {
                    self.store.apply(kind, item);
                }
                self.progress.changed(|before| self.store.has_any(before));
            }
            Told::Alive => {}
        }
    }

    fn news(&mut self) -> Vec<SourceEvent> {
        if !self.progress.is_complete() {
            return Vec::new();
        }
        if let Some(reason) = self.progress.doubted() {
            return self.lost(&reason);
        }
        if self.standing == Standing::Known {
            return self.store.changes(&self.name);
        }
        self.standing = Standing::Known;
        vec![SourceEvent::Answer { cluster: self.name.clone(), answer: self.store.answer() }]
    }

    fn lost(&mut self, reason: &str) -> Vec<SourceEvent> {
        let standing = Standing::Unknown(reason.to_owned());
        if self.standing == standing {
            return Vec::new();
        }
        self.standing = standing;
        vec![SourceEvent::Unknown { cluster: self.name.clone(), since: None, reason: reason.into() }]
    }
}
