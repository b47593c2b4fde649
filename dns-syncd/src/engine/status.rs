//! How a running engine stands: `/status`.

use std::collections::BTreeMap;

use dns_sync_core::plan::Urgency;
use dns_sync_core::report::{ChangeReport, GuardReport, RefusalReport};
use dns_sync_core::{Reconciler, Timestamp};
use serde::Serialize;

use crate::clusters::ClusterReport;
use crate::leader::LeaderReport;
use crate::moment::Moment;

/// Everything that a person wants to see first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// Apex of the zone.
    pub zone: String,
    /// Name of the federation.
    pub federation: String,
    /// Name on the claims.
    pub claim: String,
    /// Name of the provider.
    pub provider: String,
    /// When the engine began.
    pub started: Moment,
    /// As `/readyz`.
    pub ready: bool,
    /// Who writes; null for a process that runs alone.
    pub leader: Option<LeaderReport>,
    /// The zone is trusted as it was read.
    pub zone_read: bool,
    /// Members and former members.
    pub clusters: Vec<ClusterReport>,
    /// Services that count somewhere.
    pub services: usize,
    /// Sets with our claim in the zone.
    pub claimed_sets: usize,
    /// Changes that wait, by urgency, the held ones included.
    pub queue: QueueReport,
    /// What the guard counted.
    pub guard: GuardReport,
    /// What the guard holds.
    pub held: Vec<ChangeReport>,
    /// Approves exactly what is held; null when nothing is.
    pub hash: Option<String>,
    /// What is wanted and not done.
    pub refused: Vec<RefusalReport>,
    /// Remarks that are no refusals.
    pub warnings: Vec<String>,
    /// Writes that failed and are tried again.
    pub failures: Vec<FailureReport>,
    /// Calls to the host that failed in a row.
    pub failures_in_a_row: u32,
    /// The last write; null before the first.
    pub last_write: Option<WriteReport>,
    /// The last audit round that was finished; null before the first.
    pub last_audit: Option<Moment>,
}

/// Changes that wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct QueueReport {
    /// Names whose addresses are dead.
    pub failover: usize,
    /// Names that lose a dead address and keep others.
    pub dead_address: usize,
    /// New sets.
    pub creation: usize,
    /// TTLs, credits, deletions.
    pub rest: usize,
}

impl QueueReport {
    /// Counts what is planned.
    pub fn of(reconciler: &Reconciler) -> Self {
        let mut queue = Self::default();
        for planned in reconciler.plans().flat_map(|(_, plan)| &plan.changes) {
            *match planned.urgency {
                Urgency::Failover => &mut queue.failover,
                Urgency::DeadAddress => &mut queue.dead_address,
                Urgency::Creation => &mut queue.creation,
                Urgency::Rest => &mut queue.rest,
            } += 1;
        }
        queue
    }
}

/// A service whose names could not be written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailureReport {
    /// `namespace/name`; null for names with our claim that belong to no service.
    pub service: Option<String>,
    /// The last error.
    pub error: String,
}

/// What a write came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WriteReport {
    /// When the answer came.
    pub at: Moment,
    /// Changes done.
    pub done: usize,
    /// Changes that met something else than what was read.
    pub conflicts: usize,
    /// Changes that failed.
    pub failed: usize,
}

/// The services that fail.
pub(super) fn failures(reconciler: &Reconciler) -> Vec<FailureReport> {
    let report = |(service, error): (Option<&dns_sync_core::ServiceId>, &str)| FailureReport {
        service: service.map(ToString::to_string),
        error: error.to_owned(),
    };
    reconciler.failures().map(report).collect()
}

/// Puts the time into each report at which this process first heard of the cluster.
pub(super) fn with_first_seen(
    mut clusters: Vec<ClusterReport>,
    first_seen: &BTreeMap<dns_sync_core::ClusterName, Timestamp>,
) -> Vec<ClusterReport> {
    for cluster in &mut clusters {
        cluster.first_seen = first_seen.get(&*cluster.name).copied().map(Into::into);
    }
    clusters
}
