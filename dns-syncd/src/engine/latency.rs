//! How long the change of a service takes, from its source telling it to the answer of the DNS servers.
//!
//! In: which services events concern, what is planned, what is written · Out: metrics, and now and then a question.

use std::collections::BTreeMap;
use std::sync::Arc;

use dns_sync_core::{Reconciler, ServiceId};
use dnsprovider::Change;
use tokio::time::Instant;

use super::metrics::{Metrics, Stage};
use super::question::Question;

/// Services that are followed at once from their plan to their write; of more, only some are.
const FOLLOWED: usize = 1000;

/// Follows services from event to answer.
#[derive(Debug)]
pub(super) struct Latency {
    metrics: Arc<Metrics>,
    /// Only what comes after the start counts.
    is_on: bool,
    /// When the first event of a service was told that is not planned yet.
    seen: BTreeMap<ServiceId, Instant>,
    /// The same, planned and not written.
    planned: BTreeMap<ServiceId, Instant>,
    /// The last thing that was written and can be asked for.
    question: Option<Question>,
}

impl Latency {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, is_on: false, seen: BTreeMap::new(), planned: BTreeMap::new(), question: None }
    }

    /// The daemon is ready: from now on events count.
    pub(super) fn begin(&mut self) {
        self.is_on = true;
    }

    /// Whether anything is followed from its plan to its write.
    pub(super) fn awaits_writes(&self) -> bool {
        !self.planned.is_empty()
    }

    /// A source told at `told` that the service changed, and the engine knows it now.
    pub(super) fn saw(&mut self, service: &ServiceId, told: Instant) {
        if self.is_on {
            self.metrics.reached(Stage::Seen, told.elapsed());
            self.seen.entry(service.clone()).or_insert(told);
        }
    }

    /// Everything is planned.
    pub(super) fn planned(&mut self, reconciler: &Reconciler) {
        let is_work =
            |service: &ServiceId| reconciler.service_plan(service).is_some_and(|plan| !plan.changes.is_empty());
        // What was planned and is wanted no more ends here: the next event of the service begins anew.
        self.planned.retain(|service, _| is_work(service));
        for (service, told) in std::mem::take(&mut self.seen) {
            if !reconciler.is_planned(&service) {
                // A write of it is out, and it is planned when that is back.
                self.seen.insert(service, told);
            } else if is_work(&service) {
                self.metrics.reached(Stage::Planned, told.elapsed());
                if self.planned.len() < FOLLOWED || self.planned.contains_key(&service) {
                    self.planned.entry(service).or_insert(told);
                }
            }
        }
    }

    /// The host has written a change at a name of the service.
    pub(super) fn wrote(&mut self, service: &ServiceId, change: &Change) {
        if let Some(told) = self.planned.remove(service) {
            self.metrics.reached(Stage::Written, told.elapsed());
            self.question = Some(Question::new(change, told));
        }
    }

    /// What the DNS servers may be asked for now; what is not taken is forgotten with the next write.
    pub(super) fn take_question(&mut self) -> Option<Question> {
        self.question.take()
    }
}
