//! What the log tells of the state: each trouble once when it comes and once when it goes.
//!
//! In: [`Reconciler`] · Out: log lines · Called by: run.rs

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use dns_sync_core::guard::{Budget, Limit};
use dns_sync_core::report::RefusalReport;
use dns_sync_core::{ClusterName, Reconciler, Timestamp};

use super::metrics::Metrics;
use crate::clusters::{ClusterStatus, clusters};

/// The state is looked at no more often, because looking costs as much as there is trouble.
const PAUSE: Duration = Duration::from_secs(1);
/// Refusals that are told one by one; of more only the number is.
const MOST_REFUSALS: usize = 20;

/// What was told last.
#[derive(Debug)]
pub(super) struct Told {
    metrics: Arc<Metrics>,
    clusters: BTreeMap<String, (ClusterStatus, Option<String>)>,
    held: Vec<Limit>,
    refused: BTreeSet<RefusalReport>,
    next: Timestamp,
}

impl Told {
    /// Nothing is told yet.
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            clusters: BTreeMap::new(),
            held: Vec::new(),
            refused: BTreeSet::new(),
            next: Timestamp::default(),
        }
    }

    /// Tells what is new, or gives the time at which to look again.
    /// Clusters that are `awaited` have just been named and not been asked yet: of them there is nothing to tell.
    pub(super) fn tell(
        &mut self,
        reconciler: &Reconciler,
        awaited: &BTreeSet<ClusterName>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        if now < self.next {
            return Some(self.next);
        }
        self.next = now.plus(PAUSE);
        self.tell_clusters(reconciler, awaited);
        self.tell_guard(reconciler);
        self.tell_refusals(reconciler);
        None
    }

    fn tell_clusters(&mut self, reconciler: &Reconciler, awaited: &BTreeSet<ClusterName>) {
        let mut seen = BTreeMap::new();
        for report in clusters(reconciler) {
            let state = (report.status, report.reason);
            let cluster = report.name;
            if awaited.contains(&*cluster) {
                seen.extend(self.clusters.remove_entry(&cluster));
                continue;
            }
            if self.clusters.get(&cluster) != Some(&state) {
                let reason = state.1.as_deref().unwrap_or_default();
                match state.0 {
                    ClusterStatus::Ready => tracing::info!(cluster, "the cluster is known"),
                    ClusterStatus::Unknown => {
                        tracing::warn!(cluster, reason, "the cluster is unknown; what it said last stays true");
                    }
                    ClusterStatus::Left => tracing::warn!(cluster, reason, "the cluster has left"),
                }
            }
            seen.insert(cluster, state);
        }
        self.clusters = seen;
    }

    fn tell_guard(&mut self, reconciler: &Reconciler) {
        let (verdict, hash) = reconciler.held();
        let held = if hash.is_some() { verdict.limits() } else { Vec::new() };
        if held == self.held {
            return;
        }
        for limit in held.iter().filter(|limit| !self.held.contains(limit)) {
            self.metrics.holds(*limit);
        }
        if let Some(hash) = hash {
            let share = |budget: Budget| {
                budget.allowed.map_or("unlimited".to_owned(), |allowed| format!("{} of {allowed}", budget.counted))
            };
            let limits = held.iter().map(|limit| limit.as_str()).collect::<Vec<_>>().join(", ");
            tracing::warn!(
                limits,
                hash,
                base = verdict.base,
                deleted = share(verdict.deleted),
                updated = share(verdict.updated),
                emptied = share(verdict.emptied),
                "the guard holds losses; look at `plan` or /status and approve the hash, or mend the cause"
            );
        } else {
            tracing::info!("the guard holds nothing any more");
        }
        self.held = held;
    }

    fn tell_refusals(&mut self, reconciler: &Reconciler) {
        let refused = reconciler.refused();
        let (come, gone) = (refused.difference(&self.refused), self.refused.difference(&refused));
        for refusal in come.clone().take(MOST_REFUSALS) {
            let RefusalReport { name, rr_type, cluster, service, reason } = refusal;
            tracing::warn!(
                name = name.as_deref(),
                r#type = rr_type.as_deref(),
                cluster = cluster.as_deref(),
                service = service.as_deref(),
                reason,
                "refused"
            );
        }
        let more = come.count().saturating_sub(MOST_REFUSALS);
        if more > 0 {
            tracing::warn!(more, "refused more than is told here; all are in /status");
        }
        let gone = gone.count();
        if gone > 0 {
            tracing::info!(gone, left = refused.len(), "what was refused is well again");
        }
        self.refused = refused;
    }
}
