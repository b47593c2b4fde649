//! What is known of a federation's API server, and what has been told of its clusters.
//!
//! In: what followers tell · Out: [`SourceEvent`]s · Pure but for the clock, which comes in as a function

use std::time::Duration;

use dns_sync_core::{SourceEvent, Timestamp};
use tokio::time::Instant;

use super::store::{Changed, Store};
use crate::source::clusters::cluster::Picture;
use crate::source::clusters::follow::Told;
use crate::source::clusters::objects::Watched;
use crate::source::clusters::progress::Progress;
use crate::source::files::view::View;

pub(crate) const NO_CLUSTERS: &str = "it has no `Cluster` object of `federation/v1beta1`; hint: `kubeconfig` in [Source], \
     or --kubeconfig, leads to the API server of the federation itself";

/// One federation.
#[derive(Debug)]
pub(crate) struct FederationView {
    origin: String,
    progress: Progress,
    store: Store,
    /// What was told of each cluster, as of a dump.
    told: View,
    /// The whole was told, and since then every change.
    is_told: bool,
    clock: fn() -> Timestamp,
}

impl FederationView {
    pub(crate) fn new(origin: &str, leave_delay: Duration, clock: fn() -> Timestamp) -> Self {
        Self {
            origin: origin.to_owned(),
            progress: Progress::new(Watched::FEDERATION, leave_delay),
            store: Store::default(),
            told: View::default(),
            is_told: false,
            clock,
        }
    }

    /// Only what changed.
    fn changes(&mut self) -> Vec<SourceEvent> {
        let Changed { clusters: mut whole, services, problems } = self.store.take_changed();
        let mut events = Vec::new();
        for (service, clusters) in services {
            for cluster in clusters {
                // What a cluster is told of by name is known; others are told as a whole, and strangers not at all.
                if self.store.is_ready(&cluster) && !whole.contains(&cluster) {
                    let copy = self.store.copy(&service, &cluster);
                    events.push(SourceEvent::Service { cluster, service: service.clone(), copy });
                } else {
                    whole.insert(cluster);
                }
            }
        }
        let now = (self.clock)();
        for cluster in whole {
            match self.store.member(&cluster) {
                Some(member) => self.told.update(&cluster, member, now, &mut events),
                None => events.extend(self.told.disappeared(&cluster)),
            }
        }
        if problems {
            self.told.problems(&self.origin, self.store.problems(), &mut events);
        }
        events
    }
}

impl Picture for FederationView {
    fn progress(&mut self) -> &mut Progress {
        &mut self.progress
    }

    fn is_told_known(&self) -> bool {
        self.is_told
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
                self.progress.changed(|_, before| self.store.has_any(before));
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
        if !self.store.has_clusters() {
            return self.lost(NO_CLUSTERS);
        }
        if std::mem::replace(&mut self.is_told, true) {
            return self.changes();
        }
        self.told.dump(&self.origin, self.store.dump(), (self.clock)())
    }

    fn lost(&mut self, reason: &str) -> Vec<SourceEvent> {
        self.is_told = false;
        self.told.failed(&self.origin, &format!("the federation's API server: {reason}"), true)
    }
}
