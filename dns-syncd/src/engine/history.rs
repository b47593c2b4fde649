//! What was written lately, so that `explain` can tell how a name came to be as it is.

use std::collections::VecDeque;

use dns_sync_core::Timestamp;
use dnsprovider::{Change, Fqdn};

use crate::explain::{ChangeView, PastChange};

/// Changes that are remembered, over all names.
const REMEMBERED: usize = 10_000;
/// Changes of one name that are told.
const TOLD: usize = 20;

/// The last changes, oldest first.
#[derive(Debug, Default)]
pub(super) struct History(VecDeque<Past>);

#[derive(Debug)]
struct Past {
    at: Timestamp,
    change: Change,
    reason: String,
}

impl History {
    pub(super) fn add(&mut self, change: Change, reason: String, at: Timestamp) {
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(Past { at, change, reason });
    }

    /// The last changes at a name, oldest first.
    pub(super) fn at(&self, owner: &Fqdn) -> Vec<PastChange> {
        let newest = self.0.iter().rev().filter(|past| past.change.key.owner == *owner).take(TOLD);
        let mut told: Vec<PastChange> = newest
            .map(|past| PastChange { at: past.at.into(), change: ChangeView::new(&past.change, &past.reason, None) })
            .collect();
        told.reverse();
        told
    }
}
