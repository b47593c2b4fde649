//! The rolling audit: reads the zone again, a page at a time, and finds what others changed unseen.

use std::collections::BTreeSet;
use std::time::Duration;

use dns_sync_core::{Reconciler, Timestamp};
use dnsprovider::{Cursor, Error, Fqdn, Page};

use super::host::Host;

/// How often the zone is audited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditPace {
    /// From the end of a round to the begin of the next.
    pub every: Duration,
    /// From a page to the next.
    pub page: Duration,
}

impl Default for AuditPace {
    fn default() -> Self {
        Self { every: Duration::from_mins(10), page: Duration::from_secs(1) }
    }
}

/// Where the next page begins; the first page has no cursor.
#[derive(Debug)]
pub(super) struct NextPage(Option<Cursor>);

/// A page that was asked for.
#[derive(Debug)]
pub(super) struct AuditedPage {
    begun: Timestamp,
    page: Result<Page, Error>,
}

impl AuditedPage {
    pub(super) async fn read(host: Host, next: NextPage, begun: Timestamp) -> Self {
        Self { begun, page: host.read_page(next.0.as_ref()).await }
    }
}

/// Where the audit is.
#[derive(Debug)]
pub(super) struct Audit {
    pace: AuditPace,
    due: Timestamp,
    /// A page is out.
    waits: bool,
    round: Option<Round>,
    /// The end of the last whole round.
    pub(super) finished: Option<Timestamp>,
}

#[derive(Debug)]
struct Round {
    begun: Timestamp,
    cursor: Option<Cursor>,
    seen: BTreeSet<Fqdn>,
}

impl Audit {
    pub(super) fn new(pace: AuditPace, now: Timestamp) -> Self {
        Self { pace, due: now.plus(pace.every), waits: false, round: None, finished: None }
    }

    /// The zone was just read in full: the next round is a while off, and a page that is out counts no more.
    pub(super) fn restart(&mut self, now: Timestamp) {
        self.round = None;
        self.due = now.plus(self.pace.every);
    }

    /// The page to ask for now.
    pub(super) fn next_page(&mut self, now: Timestamp) -> Option<NextPage> {
        if self.waits || now < self.due {
            return None;
        }
        self.waits = true;
        let round = self.round.get_or_insert_with(|| Round { begun: now, cursor: None, seen: BTreeSet::new() });
        Some(NextPage(round.cursor.clone()))
    }

    /// When the next page is due.
    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        (!self.waits).then_some(self.due)
    }

    /// Compares a page; gives the names that must be read again.
    pub(super) fn take(&mut self, audited: AuditedPage, reconciler: &Reconciler, now: Timestamp) -> BTreeSet<Fqdn> {
        self.waits = false;
        let Some(mut round) = self.round.take() else { return BTreeSet::new() };
        let page = match audited.page {
            Ok(page) => page,
            Err(error) => {
                tracing::warn!(error = error.chain(), "the audit of the zone is put off");
                self.due = now.plus(self.pace.every);
                return BTreeSet::new();
            }
        };
        let mut names = reconciler.audit_page(audited.begun, &page.entries);
        round.seen.extend(page.entries.iter().map(|entry| entry.key().owner.clone()));
        if page.next.is_some() && page.next != round.cursor {
            round.cursor = page.next;
            self.round = Some(round);
            self.due = now.plus(self.pace.page);
        } else {
            names.extend(reconciler.audit_missing(round.begun, &round.seen));
            self.finished = Some(now);
            self.due = now.plus(self.pace.every);
        }
        if !names.is_empty() {
            tracing::info!(names = names.len(), "the audit found names that others changed; reading them again");
        }
        names
    }
}
