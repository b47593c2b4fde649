//! The objects of a federation v1 API server, watched: what a dump of it says, told as it happens.
//!
//! Its `Cluster`s (`federation/v1beta1`) are the members; its `Service`s name in the annotation
//! `federation.kubernetes.io/service-ingresses` the addresses of every member. Both are read by the code that reads a
//! dump, and watched by the code that watches member clusters.
//!
//! The server is found by the kubeconfig files: the context called as the federation, as `kubefed init` names it, else
//! the `current-context`, else the only one. Without kubeconfig files it is the one at `--master`, or that of the pod.
//! Files are looked at every few seconds, so credentials rotate without a restart.
//!
//! - A member is known while its condition `Ready` is `True`. One whose object is deleted has disappeared.
//! - While the server cannot be read, every member is unknown, for the reason that the server cannot be read: what was
//!   said stays, and since fewer than half of the members are known nothing is withdrawn and nobody leaves. Before the
//!   first answer there are no members to tell of, but a problem.
//! - A server without any `Cluster` counts as one that cannot be read; so does, for a while, one whose full list after
//!   a lost watch has none of the services that were there.
//! - An annotation that does not parse is a problem of that service alone: its records stay as they are.
//!
//! Rights at that server: list and watch on `services` and `clusters.federation`; get on `namespaces`
//! (`kube-system` alone, where it has one), without which a server that takes another's place is not noticed.

mod store;
mod view;

use std::sync::Arc;

use async_trait::async_trait;
use dns_sync_core::SourceEvent;
use tokio::sync::{mpsc, watch};

use self::store::Store;
use self::view::FederationView;
use super::clusters::cluster::{Teller, Way, read_lists};
use super::clusters::identity::Identity;
use super::clusters::objects::Watched;
use super::clusters::roster::Roster;
use super::clusters::{ClustersConfig, Pace};
use super::files::view::View;
use super::{EndpointSource, SourceError, Stop, wall_clock};

/// The objects of a federation v1 API server.
#[derive(Debug)]
pub struct FederationSource {
    federation: Arc<str>,
    config: ClustersConfig,
    pace: Pace,
}

impl FederationSource {
    /// The API server of the federation `federation` that the config leads to; its `[Cluster]` sections and its folder
    /// mean nothing here. Nothing is read yet.
    pub fn new(federation: impl Into<Arc<str>>, config: ClustersConfig) -> Self {
        Self { federation: federation.into(), config, pace: Pace::default() }
    }

    /// The same at another pace.
    #[must_use]
    pub fn with_pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    /// Where the server is found, for people.
    fn origin(&self) -> String {
        let files: Vec<_> = self.config.kubeconfig.iter().map(|path| path.display().to_string()).collect();
        if files.is_empty() { format!("federation {}", self.federation) } else { files.join(":") }
    }

    /// Reads the files beside the runtime: how the server is reached, or why nobody knows.
    async fn look(&self, mut roster: Roster) -> (Roster, Result<Way, SourceError>) {
        let (federation, origin) = (self.federation.clone(), self.origin());
        let task = tokio::task::spawn_blocking(move || {
            let way = roster.server(&federation);
            (roster, way.map_err(|reason| SourceError { origin, reason }))
        });
        match task.await {
            Ok(done) => done,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

#[async_trait]
impl EndpointSource for FederationSource {
    async fn read_once(&mut self) -> Result<Vec<SourceEvent>, SourceError> {
        let (_, way) = self.look(Roster::new(self.config.clone())).await;
        let select = self.config.select;
        let refused = |reason| SourceError { origin: self.origin(), reason };
        let lists = read_lists(way?, Watched::FEDERATION, select, self.pace).await.map_err(refused)?;
        let mut store = Store::default();
        for (kind, items) in lists {
            store.replace(kind, items);
        }
        if !store.has_clusters() {
            return Err(refused(view::NO_CLUSTERS.to_owned()));
        }
        Ok(View::default().dump(&self.origin(), store.dump(), wall_clock()))
    }

    async fn run(self: Box<Self>, events: mpsc::Sender<Vec<SourceEvent>>, mut stop: Stop) -> Result<(), SourceError> {
        let (mut roster, way) = self.look(Roster::new(self.config.clone())).await;
        let (sender, receiver) = watch::channel(way?);
        let teller = Teller {
            picture: FederationView::new(&self.origin(), self.config.leave_delay, wall_clock),
            identity: Identity::of_federation(),
            select: self.config.select,
            pace: self.pace,
            way: receiver,
            events: events.clone(),
        };
        let mut telling = tokio::spawn(teller.run());
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                // Nobody listens, or a fault of its own.
                ended = &mut telling => return match ended.map_err(tokio::task::JoinError::try_into_panic) {
                    Err(Ok(panic)) => std::panic::resume_unwind(panic),
                    _ => Ok(()),
                },
                () = tokio::time::sleep(self.pace.look) => {}
            }
            let way;
            (roster, way) = self.look(roster).await;
            let way = way.unwrap_or_else(|error| Err(error.reason));
            sender.send_if_modified(|now| {
                let differs = *now != way;
                if differs {
                    *now = way;
                }
                differs
            });
        }
        telling.abort();
        Ok(())
    }
}
