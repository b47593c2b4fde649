//! The numbers behind the gauges of `/metrics`: how a running engine stands. Cheaper than [`Status`](super::Status),
//! which tells of each thing what it is.

use dns_sync_core::guard::Verdict;
use dns_sync_core::{Tally, Timestamp};

use super::status::QueueReport;
use crate::clusters::ClusterReport;

/// How everything stands, in numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gauges {
    /// As `/readyz`.
    pub(super) ready: bool,
    /// This process may write.
    pub(super) leads: bool,
    /// When all that may be written was last known to be in the zone.
    pub(super) last_pass: Option<Timestamp>,
    /// When the host last answered a write.
    pub(super) last_write: Option<Timestamp>,
    /// When the last audit round was finished.
    pub(super) last_audit: Option<Timestamp>,
    /// Services that count somewhere.
    pub(super) services: usize,
    /// Sets by type and state.
    pub(super) tally: Tally,
    /// Changes that are planned.
    pub(super) queue: QueueReport,
    /// What is wanted and not done.
    pub(super) refusals: usize,
    /// Services of which something failed.
    pub(super) failing_services: usize,
    /// Calls to the host that failed in a row.
    pub(super) consecutive_failures: u32,
    /// What the guard counted.
    pub(super) verdict: Verdict,
    /// Members and former members.
    pub(super) clusters: Vec<ClusterReport>,
}
