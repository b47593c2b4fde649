//! Watches: one queue for each, filled by whoever changes the zone.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use crate::error::Error;
use crate::name::Fqdn;
use crate::provider::{WatchEvent, WatchStream};

/// The watches of one zone, and when each name was last changed.
#[derive(Debug, Default)]
pub(super) struct Feeds {
    /// Deleted names stay, so that a watch from an old revision tells of them.
    changed: BTreeMap<Fqdn, u64>,
    open: Vec<Weak<Mutex<Queue>>>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Result<WatchEvent, Error>>,
    ended: bool,
    waker: Option<Waker>,
}

/// The reading end of one queue.
struct Feed(Arc<Mutex<Queue>>);

impl Feeds {
    /// A watch that begins with what was changed after `since`.
    pub(super) fn open(&mut self, since: u64) -> WatchStream {
        let missed = self.changed.iter().filter(|(_, revision)| **revision > since);
        let mut missed: Vec<_> =
            missed.map(|(owner, revision)| WatchEvent { owner: owner.clone(), revision: *revision }).collect();
        missed.sort_by_key(|event| event.revision);
        let queue = Queue { waiting: missed.into_iter().map(Ok).collect(), ..Queue::default() };
        let feed = Feed(Arc::new(Mutex::new(queue)));
        self.open.push(Arc::downgrade(&feed.0));
        Box::pin(feed)
    }

    /// Tells all watches; gives those to wake when no lock is held.
    #[must_use]
    pub(super) fn publish(&mut self, owners: Vec<Fqdn>, revision: u64) -> Vec<Waker> {
        let wakers = self.each(|queue| {
            queue.waiting.extend(owners.iter().map(|owner| Ok(WatchEvent { owner: owner.clone(), revision })));
        });
        self.changed.extend(owners.into_iter().map(|owner| (owner, revision)));
        wakers
    }

    /// Ends all watches with an error; gives those to wake when no lock is held.
    #[must_use]
    pub(super) fn end(&mut self, why: impl Fn() -> Error) -> Vec<Waker> {
        let wakers = self.each(|queue| {
            queue.waiting.push_back(Err(why()));
            queue.ended = true;
        });
        self.open.clear();
        wakers
    }

    fn each(&mut self, change: impl Fn(&mut Queue)) -> Vec<Waker> {
        let mut wakers = Vec::new();
        self.open.retain(|queue| {
            let Some(queue) = queue.upgrade() else { return false };
            let mut queue = lock(&queue);
            change(&mut queue);
            wakers.extend(queue.waker.take());
            true
        });
        wakers
    }
}

impl Stream for Feed {
    type Item = Result<WatchEvent, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut queue = lock(&self.0);
        match queue.waiting.pop_front() {
            Some(event) => Poll::Ready(Some(event)),
            None if queue.ended => Poll::Ready(None),
            None => {
                queue.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

pub(super) fn wake(wakers: Vec<Waker>) {
    wakers.into_iter().for_each(Waker::wake);
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}
