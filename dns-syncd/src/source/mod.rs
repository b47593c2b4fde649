//! Where clusters and their services come from.
//!
//! A source tells what each cluster says as [`SourceEvent`]s and judges nothing: merging clusters, trust and the
//! meaning of silence belong to `dns-sync-core`. Embedders may bring a source of their own.

pub mod clusters;
pub mod federation;
pub mod files;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use dns_sync_core::{ClusterName, SourceEvent, Timestamp};
use tokio::sync::{mpsc, watch};

pub use clusters::{ClusterSource, ClustersConfig};
pub use federation::FederationSource;
pub use files::FileSource;

/// Asks a source to stop: the value `true`, or a dropped sender.
pub type Stop = watch::Receiver<bool>;

/// The clusters of a federation, as told by files, API servers or an embedder.
#[async_trait]
pub trait EndpointSource: Send {
    /// Reads everything once: one consistent batch, for commands that make one pass.
    ///
    /// A cluster that cannot be read is [`SourceEvent::Unknown`] in the batch, not an error.
    ///
    /// # Errors
    /// When the source as a whole cannot be used, or has no cluster at all; nothing may be concluded then.
    async fn read_once(&mut self) -> Result<Vec<SourceEvent>, SourceError>;

    /// Sends a full batch first, then one batch for each consistent step, until `stop` or until nobody receives.
    ///
    /// Until it can, it sends [`SourceEvent::Problems`] alone, from which nothing is concluded.
    ///
    /// # Errors
    /// When the source cannot be used at the start. Later faults are told as [`SourceEvent::Problems`] and
    /// [`SourceEvent::Unknown`], and the source goes on.
    async fn run(self: Box<Self>, events: mpsc::Sender<Vec<SourceEvent>>, stop: Stop) -> Result<(), SourceError>;
}

/// Clusters that a person took out while what leads to them may still lie there. Clones are the same.
///
/// What a source goes on telling of them is not heard until it tells that they join anew, or that they are gone.
#[derive(Clone, Debug, Default)]
pub struct Dismissed {
    out: Arc<Mutex<BTreeSet<ClusterName>>>,
    /// What the source that follows API servers finds in its files.
    found: Arc<Mutex<BTreeSet<ClusterName>>>,
}

impl Dismissed {
    pub(crate) fn contains(&self, cluster: &str) -> bool {
        self.out.lock().unwrap_or_else(PoisonError::into_inner).contains(cluster)
    }

    pub(crate) fn insert(&self, cluster: ClusterName) {
        self.out.lock().unwrap_or_else(PoisonError::into_inner).insert(cluster);
    }

    pub(crate) fn remove(&self, cluster: &str) {
        self.out.lock().unwrap_or_else(PoisonError::into_inner).remove(cluster);
    }

    /// Whether what leads to the cluster lies there: a process that starts now would take it in.
    pub(crate) fn is_found(&self, cluster: &str) -> bool {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).contains(cluster)
    }

    /// From now on the source finds these in its files, and no others.
    pub(crate) fn set_found(&self, clusters: impl IntoIterator<Item = ClusterName>) {
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = clusters.into_iter().collect();
    }
}

/// Why a source cannot be used as a whole. Prints what was read and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("reading the source `{origin}`: {reason}")]
pub struct SourceError {
    /// What was read, such as a path.
    pub origin: String,
    /// What is wrong and what to do.
    pub reason: String,
}

/// `[Source] select`: which services of a cluster count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Select {
    /// All but those with the annotation `dns-syncd.io/export: "false"`.
    #[default]
    All,
    /// Those with the annotation `dns-syncd.io/export: "true"`.
    Annotated,
    /// Those with a `ServiceExport` of the Multi-Cluster Services API.
    Exported,
}

/// The time of the wall clock.
fn wall_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
