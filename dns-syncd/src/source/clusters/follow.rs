//! Follows one kind of objects on one API server: list, watch, watch again.
//!
//! Not `kube::runtime::watcher`: that does not tell when a watch has begun and swallows bookmarks, so nobody could say
//! that a cluster is known again after its watch was lost; and it hides where a watch goes on, which here outlives the
//! client, so that new credentials cost no list.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use kube::core::WatchEvent;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::api::{Api, Broken};
use super::identity::Identity;
use super::loss::{Doing, Family, Loss, LossKind};
use super::objects::{Item, Sent, Watched};
use super::{Pace, jittered};
use crate::source::Select;

/// Watch events that are taken together at most.
const TOGETHER: usize = 1024;
/// Watches in a row that may fail, by ending at once or by being too old, before the cluster counts as lost.
const FAILED_WATCHES: u32 = 3;

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
pub(crate) struct Position(Arc<Mutex<Place>>);

#[derive(Debug, Default)]
struct Place {
    version: Option<String>,
    /// The last watch was none. Until one is, a cluster does not become known by it.
    failed: bool,
}

impl Position {
    pub(crate) fn get(&self) -> Option<String> {
        self.place().version.clone()
    }

    pub(crate) fn set(&self, version: Option<String>) {
        self.place().version = version;
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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

/// A watch that ended without a loss.
struct Over {
    /// Its position is too old; else the server or the network closed it.
    is_expired: bool,
    /// It told something.
    spoke: bool,
    lasted: Duration,
}

impl Follower {
    /// Follows until the view is lost.
    pub(crate) async fn run(self) -> Loss {
        let mut failed = 0;
        loop {
            let over = match self.watch_once().await {
                Ok(over) => over,
                Err(loss) if loss.kind == LossKind::Expired => {
                    Over { is_expired: true, spoke: false, lasted: Duration::ZERO }
                }
                Err(loss) => return loss,
            };
            if over.is_expired {
                self.position.set(None);
            }
            let has_lasted = over.lasted >= self.pace.short;
            let has_failed = !has_lasted && !over.spoke;
            self.position.place().failed = has_failed;
            failed = if has_failed { failed + 1 } else { 0 };
            if failed > FAILED_WATCHES {
                return self.fails(over.is_expired);
            }
            if over.is_expired || !has_lasted {
                let pause = self.pace.first_pause * 2_u32.pow(failed.saturating_sub(1));
                tokio::time::sleep(jittered(pause.min(self.pace.last_pause))).await;
            }
        }
    }

    /// No watch holds.
    fn fails(&self, is_expired: bool) -> Loss {
        let doing = Doing::Watch(self.kind);
        if is_expired {
            let reason = format!("{doing}: it calls every list too old as soon as it has given it (410)");
            return Loss { family: Family::Answered(410), ..Loss::new(reason) };
        }
        Loss::new(format!("{doing}: it closes every watch at once"))
    }

    /// Makes sure who answers, lists where it must, and watches until the watch ends.
    async fn watch_once(&self) -> Result<Over, Loss> {
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
        let mut is_told = !self.position.place().failed;
        if is_told {
            self.tell(Told::Watching).await;
        }
        let mut spoke = false;
        // A server that hangs does not close: beyond its own limit the watch counts as closed.
        let idle = length + self.pace.limit;
        loop {
            let next = tokio::time::timeout(if is_told { idle } else { self.pace.short }, events.next()).await;
            let chunk = match next {
                Ok(Some(chunk)) => chunk,
                Err(_) if !is_told => {
                    is_told = true;
                    self.tell(Told::Watching).await;
                    continue;
                }
                Ok(None) | Err(_) => return Ok(Over { is_expired: false, spoke, lasted: begun.elapsed() }),
            };
            // With the end: its position is too old.
            let (mut items, mut version, mut end) = (Vec::new(), None, None::<Result<bool, Loss>>);
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
                    Ok(WatchEvent::Error(status)) => {
                        let loss = Loss::answered(Doing::Watch(self.kind), &status);
                        end = Some(if loss.kind == LossKind::Expired { Ok(true) } else { Err(loss) });
                    }
                    Err(Broken::Lost(loss)) => end = Some(Err(loss)),
                    Err(Broken::Connection(error)) => {
                        tracing::debug!(%error, resource = self.kind.resource(), "a watch broke");
                        end = Some(Ok(false));
                    }
                }
                if end.is_some() {
                    break;
                }
            }
            if !items.is_empty() || version.is_some() {
                spoke = true;
                if !std::mem::replace(&mut is_told, true) {
                    self.tell(Told::Watching).await;
                }
            }
            self.tell(if items.is_empty() { Told::Alive } else { Told::Changed(items) }).await;
            if let Some(version) = version.filter(|version| !version.is_empty()) {
                // After telling: what was not told must come again.
                self.position.set(Some(version));
            }
            if let Some(end) = end {
                return end.map(|is_expired| Over { is_expired, spoke, lasted: begun.elapsed() });
            }
        }
    }

    async fn tell(&self, told: Told) {
        // Fails when nobody listens any more, and then this follower is about to be dropped.
        let _ = self.told.send((self.kind, told)).await;
    }
}

fn newer(before: Option<String>, sent: &Sent) -> Option<String> {
    sent.metadata.resource_version.clone().or(before)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
