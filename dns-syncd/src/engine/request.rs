//! What others may ask a running engine.

use dns_sync_core::Settings;
use dns_sync_core::report::PlanReport;
use dnsprovider::Fqdn;
use tokio::sync::{mpsc, oneshot};

use super::gauges::Gauges;
use super::status::Status;
use crate::clusters::ClusterReport;
use crate::explain::Explanation;

/// One question with the place for its answer.
#[derive(Debug)]
pub(super) enum Request {
    Status(oneshot::Sender<Status>),
    Gauges(oneshot::Sender<Gauges>),
    Clusters(oneshot::Sender<Vec<ClusterReport>>),
    Plan(oneshot::Sender<PlanReport>),
    Explain(Fqdn, oneshot::Sender<Explanation>),
    Approve(String, oneshot::Sender<bool>),
    Unjoin(String, oneshot::Sender<bool>),
    Reload(Box<Settings>, oneshot::Sender<()>),
}

/// The questions of all handles.
#[derive(Debug)]
pub(crate) struct Requests(pub(super) mpsc::Receiver<Request>);

/// Asks a running daemon. Clones ask the same one; every question fails once it has ended.
#[derive(Clone, Debug)]
pub struct Handle {
    requests: mpsc::Sender<Request>,
}

/// The daemon has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the daemon has ended")]
pub struct Ended;

impl Handle {
    pub(crate) fn new() -> (Self, Requests) {
        let (requests, receiver) = mpsc::channel(64);
        (Self { requests }, Requests(receiver))
    }

    /// How everything stands.
    ///
    /// # Errors
    /// When the daemon has ended.
    pub async fn status(&self) -> Result<Status, Ended> {
        self.ask(Request::Status).await
    }

    /// The numbers of how everything stands.
    pub(crate) async fn gauges(&self) -> Result<Gauges, Ended> {
        self.ask(Request::Gauges).await
    }

    /// The members of the federation and those that have left.
    ///
    /// # Errors
    /// When the daemon has ended.
    pub async fn clusters(&self) -> Result<Vec<ClusterReport>, Ended> {
        self.ask(Request::Clusters).await
    }

    /// What is planned and not written yet.
    ///
    /// # Errors
    /// When the daemon has ended.
    pub async fn plan(&self) -> Result<PlanReport, Ended> {
        self.ask(Request::Plan).await
    }

    /// Why a name has the records that it has.
    ///
    /// # Errors
    /// When the daemon has ended.
    pub async fn explain(&self, name: Fqdn) -> Result<Explanation, Ended> {
        self.ask(|answer| Request::Explain(name, answer)).await
    }

    /// Releases what was held under this hash, and any part of it, for an hour; false for a hash that was never shown.
    ///
    /// # Errors
    /// When the daemon has ended.
    pub async fn approve(&self, hash: &str) -> Result<bool, Ended> {
        self.ask(|answer| Request::Approve(hash.to_owned(), answer)).await
    }

    /// Takes a cluster out at once; false when it is no member, and no kubeconfig of it lies there any more.
    ///
    /// # Errors
    /// When the daemon has ended.
    pub async fn unjoin(&self, cluster: &str) -> Result<bool, Ended> {
        self.ask(|answer| Request::Unjoin(cluster.to_owned(), answer)).await
    }

    /// Goes on with other settings. Federation, claim, zone and suffix need a restart and stay as they are.
    ///
    /// # Errors
    /// When the daemon has ended.
    pub async fn reload(&self, settings: Settings) -> Result<(), Ended> {
        self.ask(|answer| Request::Reload(Box::new(settings), answer)).await
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, Ended> {
        let (sender, answer) = oneshot::channel();
        self.requests.send(request(sender)).await.map_err(|_| Ended)?;
        answer.await.map_err(|_| Ended)
    }
}
