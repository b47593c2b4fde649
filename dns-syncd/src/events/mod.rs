//! Kubernetes events on the services of members: what DNS made of them (`[Source] events = true`).
//!
//! | reason | type | when |
//! |---|---|---|
//! | `Published` | Normal | addresses of this cluster were written into names of the service |
//! | `Withdrawn` | Warning | addresses of this cluster were taken out while the service still counts in it: failover, drain |
//! | `Refused` | Warning | something of the service is wanted and not done: an address outside `addresses`, a selector that does not parse, a foreign set |
//! | `Ignored` | Warning | something of the service is not used, such as a bad TTL |
//! | `Held` | Warning | the guard holds changes of the service's names |
//!
//! They are `events.k8s.io/v1`, in the service's namespace, about the service with its UID. The right in a member:
//! `create` on `events.events.k8s.io`; the UID comes with the right to list services, which is needed anyway. A missing
//! right is said once for each cluster, and costs nothing but the events.
//!
//! What is written is told when it is; a state (`Refused`, `Ignored`, `Held`) once when it comes. The name of a state's
//! event follows from what it says, so a restart, or another leader, tells it again only once the cluster has forgotten
//! it, an hour later where nobody changed that. Only the leader tells.
//!
//! **Limits**: each service may have 10 events at once and one more each minute, each cluster 100 at
//! once and one more each second. What is beyond is left out and counted. Nothing here is ever waited for by the engine.
//!
//! In: [`Notice`]s · Out: requests to the members' API servers.

mod limit;
mod write;

use std::sync::Arc;

use dns_sync_core::{ClusterName, ServiceId};
use tokio::sync::mpsc;

use crate::engine::{EventFate, Metrics};
use crate::source::clusters::Ways;

/// Batches of notices that may wait; more than one for each turn of the engine never come.
const WAITING: usize = 256;

/// Why there is an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Reason {
    Published,
    Withdrawn,
    Refused,
    Ignored,
    Held,
}

impl Reason {
    fn as_str(self) -> &'static str {
        match self {
            Self::Published => "Published",
            Self::Withdrawn => "Withdrawn",
            Self::Refused => "Refused",
            Self::Ignored => "Ignored",
            Self::Held => "Held",
        }
    }

    /// What was being done.
    fn action(self) -> &'static str {
        match self {
            Self::Published => "Publish",
            Self::Withdrawn => "Withdraw",
            Self::Refused | Self::Ignored => "Plan",
            Self::Held => "Hold",
        }
    }

    fn severity(self) -> &'static str {
        if self == Self::Published { "Normal" } else { "Warning" }
    }

    /// It tells how something stands, and not what happened.
    fn is_state(self) -> bool {
        matches!(self, Self::Refused | Self::Ignored | Self::Held)
    }
}

/// What is to be told on a service of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Notice {
    pub(crate) cluster: ClusterName,
    pub(crate) service: ServiceId,
    pub(crate) reason: Reason,
    pub(crate) note: String,
}

/// Takes notices, never waits.
#[derive(Clone, Debug)]
pub(crate) struct Notices {
    sender: mpsc::Sender<Vec<Notice>>,
    metrics: Arc<Metrics>,
}

impl Notices {
    /// Where to tell, and what must run for it: it ends when nobody can tell any more.
    pub(crate) fn new(ways: Ways, metrics: Arc<Metrics>) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self { sender, metrics: metrics.clone() }, write::run(receiver, ways, metrics))
    }

    pub(crate) fn tell(&self, notices: Vec<Notice>) {
        let count = notices.len();
        if count > 0 && self.sender.try_send(notices).is_err() {
            self.metrics.kubernetes_events(EventFate::Limited, count);
        }
    }
}
