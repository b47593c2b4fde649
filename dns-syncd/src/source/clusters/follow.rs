//! Follows one kind of objects on one API server: list, watch, watch again.
//!
//! Not `kube::runtime::watcher`: that does not tell when a watch has begun and swallows bookmarks, so nobody could say
//! that a cluster is known again after its watch was lost; and it hides where a watch goes on, which here outlives the
//! client, so that new credentials cost no list.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use kube::core::WatchEvent;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::api::Api;
use super::identity::Identity;
use super::loss::{Doing, Loss, LossKind};
use super::objects::{Item, Sent, Watched};
use super::{Pace, jittered};
use crate::source::Select;

/// Watch events that are taken together at most.
const TOGETHER: usize = 1024;
/// Watches in a row that may end at once before the cluster counts as lost.
const SHORT_WATCHES: u32 = 3;

/// What a follower tells.
#[derive(Debug)]
pub(crate) enum Told {
    /// The complete list; what it does not have is gone.
    Listed(Vec<Item>),
    /// The watch goes on from there: from now on, changes are told.
    Watching,
    /// What changed, in order.
    Changed(Vec<Item>),
    /// Nothing changed, and the server is there.
    Alive,
}

/// Where the watch of a kind goes on; empty when it must list first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Position(Arc<Mutex<Option<String>>>);

impl Position {
    pub(crate) fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set(&self, version: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = version;
    }
}

/// One kind on one API server.
pub(crate) struct Follower {
    pub(crate) api: Api,
    pub(crate) kind: Watched,
    pub(crate) select: Select,
    pub(crate) pace: Pace,
    pub(crate) identity: Identity,
    pub(crate) position: Position,
    pub(crate) told: mpsc::Sender<(Watched, Told)>,
}

/// How a watch ended without a loss.
enum End {
    /// The server or the network closed it.
    Closed {
        /// It told something before.
        spoke: bool,
    },
    /// Its position is too old.
    Expired,
}

impl Follower {
    /// Follows until the view is lost.
    pub(crate) async fn run(self) -> Loss {
        let mut short = 0;
        loop {
            match self.watch_once().await {
                Err(loss) if loss.kind != LossKind::Expired => return loss,
                Err(_) | Ok((End::Expired, _)) => {
                    self.position.set(None);
                    tokio::time::sleep(jittered(self.pace.first_pause)).await;
                }
                Ok((End::Closed { spoke }, lasted)) if spoke || lasted >= self.pace.short => short = 0,
                Ok((End::Closed { .. }, _)) if short >= SHORT_WATCHES => {
                    return Loss::new(format!("{}: it closes every watch at once", Doing::Watch(self.kind)));
                }
                Ok((End::Closed { .. }, _)) => {
                    short += 1;
                    tokio::time::sleep(jittered(self.pace.first_pause)).await;
                }
            }
        }
    }

    /// Makes sure who answers, lists where it must, and watches until the watch ends.
    async fn watch_once(&self) -> Result<(End, Duration), Loss> {
        self.identity.check(&self.api).await?;
        let version = if let Some(version) = self.position.get() {
            version
        } else {
            let listed = self.api.list(self.kind, self.select).await?;
            self.tell(Told::Listed(listed.items)).await;
            self.position.set(Some(listed.version.clone()));
            listed.version
        };
        let length = jittered(self.pace.watch);
        let mut events = self.api.watch(self.kind, &version, length).await?.ready_chunks(TOGETHER);
        let begun = Instant::now();
        self.tell(Told::Watching).await;
        let mut spoke = false;
        // A server that hangs does not close: beyond its own limit the watch counts as closed.
        let idle = length + self.pace.limit;
        while let Ok(Some(chunk)) = tokio::time::timeout(idle, events.next()).await {
            let (mut items, mut version, mut end) = (Vec::new(), None, None);
            for event in chunk {
                match event {
                    Ok(WatchEvent::Added(sent) | WatchEvent::Modified(sent)) => {
                        version = newer(version, &sent);
                        items.push(sent.item(self.kind, self.select));
                    }
                    Ok(WatchEvent::Deleted(sent)) => {
                        version = newer(version, &sent);
                        items.push(sent.gone(self.kind, self.select));
                    }
                    Ok(WatchEvent::Bookmark(mark)) => version = Some(mark.metadata.resource_version),
                    Ok(WatchEvent::Error(status)) | Err(kube::Error::Api(status)) => {
                        let loss = Loss::answered(Doing::Watch(self.kind), &status);
                        end = Some(if loss.kind == LossKind::Expired { Ok(End::Expired) } else { Err(loss) });
                    }
                    Err(error @ kube::Error::SerdeError(_)) => {
                        end = Some(Err(Loss::of(Doing::Watch(self.kind), &error)));
                    }
                    // A broken connection; whether the server is gone shows when it is asked again.
                    Err(error) => {
                        tracing::debug!(%error, resource = self.kind.resource(), "a watch broke");
                        end = Some(Ok(End::Closed { spoke }));
                    }
                }
                if end.is_some() {
                    break;
                }
            }
            spoke = true;
            self.tell(if items.is_empty() { Told::Alive } else { Told::Changed(items) }).await;
            if let Some(version) = version.filter(|version| !version.is_empty()) {
                // After telling: what was not told must come again.
                self.position.set(Some(version));
            }
            if let Some(end) = end {
                return end.map(|end| (end, begun.elapsed()));
            }
        }
        Ok((End::Closed { spoke }, begun.elapsed()))
    }

    async fn tell(&self, told: Told) {
        // Fails when nobody listens any more, and then this follower is about to be dropped.
        let _ = self.told.send((self.kind, told)).await;
    }
}

fn newer(before: Option<String>, sent: &Sent) -> Option<String> {
    sent.metadata.resource_version.clone().or(before)
}
