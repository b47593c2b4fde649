//! The walk of a change: read, plan, write, take the outcome in.
//!
//! [`Walk::next_call`] says which call comes next, [`Call::make`] makes it, [`Walk::take`] takes the answer in; the
//! daemon and `apply` differ in nothing else. As many writes are out at a time as the host takes side by side, each for
//! other services, and the last places are kept for failovers, so that one of these waits for one call at most. A read
//! never overlaps with a write of what it reads, so none can show the zone as it was before a write.
//! In: events, the time · Out: calls.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use dns_sync_core::plan::Urgency;
use dns_sync_core::{Batch, Reconciler, Settings, SourceEvent, Timestamp};
use dnsprovider::{Applied, Error, ErrorKind, Fqdn, Lane, Outcome, RetryHint, Snapshot, Version};
use tokio::time::Instant;

use super::backoff::Backoff;
use super::clock::Clock;
use super::history::History;
use super::host::Host;
use super::latency::Latency;
use super::metrics::Metrics;
use super::notices::News;
use crate::leader::Leader;

/// Names in one point read.
const NAMES_PER_READ: usize = 500;

/// Time is looked at this often even where nothing is known to run out.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

/// A call to the host.
#[derive(Debug)]
pub(super) enum Call {
    ReadZone,
    ReadNames(Vec<Fqdn>),
    Write(Batch),
}

/// What the host said.
#[derive(Debug)]
pub(super) enum Answer {
    Zone(Result<Snapshot, Error>),
    Names(Vec<Fqdn>, Result<Snapshot, Error>),
    Written(Batch, Result<Applied, Error>),
}

impl Call {
    pub(super) async fn make(self, host: Host) -> Answer {
        match self {
            Self::ReadZone => Answer::Zone(host.read_zone().await),
            Self::ReadNames(names) => {
                let read = host.read_names(&names).await;
                Answer::Names(names, read)
            }
            Self::Write(batch) => {
                let urgent = batch.urgency.is_some_and(Urgency::is_urgent);
                let applied = host.apply(&batch.changes, if urgent { Lane::Urgent } else { Lane::Bulk }).await;
                Answer::Written(batch, applied)
            }
        }
    }
}

/// What an answer changed.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// A full read was taken in.
    pub(super) zone_read: bool,
    /// Changes done.
    pub(super) done: usize,
    /// Changes that met something else than what was read.
    pub(super) conflicts: usize,
    /// What failed, for people.
    pub(super) failed: Vec<String>,
    /// What failed may pass when it is tried again.
    pub(super) may_pass: bool,
}

/// A zone's reconciliation with what must be read before the next write.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about what was read and told")]
pub(super) struct Walk {
    pub(super) reconciler: Reconciler,
    pub(super) host: Host,
    pub(super) history: History,
    pub(super) latency: Latency,
    /// What Kubernetes events are to tell of the writes, where there are any.
    pub(super) news: Option<News>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    /// The source has told a first full view.
    told: bool,
    /// The source has told that view, or why it cannot.
    heard: bool,
    reread_zone: bool,
    reread: BTreeSet<Fqdn>,
    /// Writes wait for the point reads: what they were planned on is known to be wrong.
    read_first: bool,
    wrote_last: bool,
    reads: Backoff,
    writes: Backoff,
    plan_at: Option<Timestamp>,
    /// A read is out.
    reading: bool,
    /// So many writes are out.
    writing: usize,
    /// The last term in which this process led.
    term: Option<u64>,
    /// The zone is watched, so that what others write is known.
    is_watched: bool,
}

impl Walk {
    pub(super) fn new(settings: Settings, host: Host, clock: Arc<dyn Clock>, metrics: Arc<Metrics>, seed: u64) -> Self {
        Self {
            reconciler: Reconciler::new(settings, &host.capabilities()),
            term: host.leader().term(),
            is_watched: false,
            host,
            history: History::default(),
            latency: Latency::new(metrics.clone()),
            news: None,
            clock,
            metrics,
            told: false,
            heard: false,
            reread_zone: true,
            reread: BTreeSet::new(),
            read_first: false,
            wrote_last: false,
            reads: Backoff::new(seed),
            writes: Backoff::new(seed.wrapping_add(1)),
            plan_at: None,
            reading: false,
            writing: 0,
        }
    }

    /// Writes only while this process leads, which it does since before the zone was read.
    pub(super) fn set_leader(&mut self, leader: Leader) {
        self.term = leader.term();
        self.host = self.host.clone().with_leader(leader);
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Takes a batch of the source in that was told at this time; the first is a full view, unless it says only why there
    /// is none yet.
    pub(super) fn observe(&mut self, events: Vec<SourceEvent>, told: Instant) {
        let now = self.now();
        let is_trouble = |event: &SourceEvent| matches!(event, SourceEvent::Problems { .. });
        self.told |= events.is_empty() || !events.iter().all(is_trouble);
        self.heard = true;
        for event in events {
            self.reconciler.observe_noting(event, now, |service| self.latency.saw(service, told));
        }
    }

    /// Names that somebody may have changed.
    pub(super) fn suspect(&mut self, names: impl IntoIterator<Item = Fqdn>) {
        self.reread.extend(names);
    }

    /// The view of the zone can no longer be trusted.
    pub(super) fn distrust_zone(&mut self) {
        self.reread_zone = true;
    }

    /// Whether what others write to the zone is told.
    pub(super) fn set_watched(&mut self, is_watched: bool) {
        self.is_watched = is_watched;
    }

    /// True while this process may write. A new term begins with what the zone holds then: unless every change of it was
    /// told, it is read again before the first write.
    fn may_write(&mut self) -> bool {
        let term = self.host.leader().term();
        if term.is_some() && term != self.term {
            self.term = term;
            self.writes.succeed();
            self.reread_zone |= !self.is_watched;
        }
        term.is_some()
    }

    /// The zone was read and the source has told its first view.
    pub(super) fn is_begun(&self) -> bool {
        self.told && !self.reread_zone
    }

    /// The zone was read, and the source has told its first view or why it cannot: there is something to report.
    pub(super) fn is_heard(&self) -> bool {
        self.heard && !self.reread_zone
    }

    /// The zone is trusted as it was read.
    pub(super) fn is_zone_read(&self) -> bool {
        !self.reread_zone
    }

    /// The state from which to watch.
    pub(super) fn zone_version(&self) -> Version {
        self.reconciler.zone_version().clone()
    }

    /// Failures of writing or reading in a row, whichever is more.
    pub(super) fn failures_in_a_row(&self) -> u32 {
        self.reads.failures().max(self.writes.failures())
    }

    /// True when no call is out.
    pub(super) fn is_idle(&self) -> bool {
        !self.reading && self.writing == 0
    }

    /// The next call to make, after planning what is dirty. Each must come back through [`Walk::take`].
    pub(super) fn next_call(&mut self) -> Option<Call> {
        if self.reading {
            return None;
        }
        let call = self.choose_call()?;
        match call {
            Call::ReadZone | Call::ReadNames(_) => self.reading = true,
            Call::Write(_) => self.writing += 1,
        }
        Some(call)
    }

    fn choose_call(&mut self) -> Option<Call> {
        let now = self.now();
        let may_read = self.reads.until(now).is_none();
        let may_write = self.may_write();
        if self.reread_zone {
            return (may_read && self.writing == 0).then_some(Call::ReadZone);
        }
        if self.read_first {
            return if may_read { self.point_read() } else { None };
        }
        if !self.told {
            return None;
        }
        self.plan(now);
        let urgent = self.reconciler.next_urgency(now).is_some_and(Urgency::is_urgent);
        if may_read
            && (self.wrote_last || !urgent)
            && let Some(call) = self.point_read()
        {
            return Some(call);
        }
        if may_write
            && self.writes.until(now).is_none()
            && self.has_room(urgent)
            && let Some(batch) = self.reconciler.next_batch(now, self.host.packing())
        {
            self.wrote_last = true;
            return Some(Call::Write(batch));
        }
        if may_read { self.point_read() } else { None }
    }

    /// Plans what is dirty, or what time may have changed.
    pub(super) fn plan(&mut self, now: Timestamp) {
        if self.reconciler.is_dirty() || self.plan_at.is_none_or(|at| at <= now) {
            let begun = std::time::Instant::now();
            self.reconciler.plan(now);
            self.metrics.planned(begun.elapsed());
            self.latency.planned(&self.reconciler);
            self.plan_at = Some(now.plus(LOOK_AGAIN));
        }
    }

    /// When to ask for the next call though nothing has happened.
    pub(super) fn wake_at(&mut self) -> Option<Timestamp> {
        let now = self.now();
        let planned = if self.is_begun() { self.reconciler.next_wake(now) } else { None };
        let later = now.plus(LOOK_AGAIN);
        // What has run out since the last plan is looked at by the next turn.
        let missed = self.plan_at.filter(|at| *at <= now);
        self.plan_at = Some(missed.unwrap_or(planned.map_or(later, |at| at.min(later))));
        [planned, self.reads.until(now), self.writes.until(now)].into_iter().flatten().min()
    }

    /// Whether another write may go out. Bulk work leaves an eighth of the places, and at least one of several, to what
    /// is urgent.
    fn has_room(&self, urgent: bool) -> bool {
        let places = self.host.capabilities().concurrent_writes.max(1);
        let kept = if urgent || places == 1 { 0 } else { (places / 8).max(1) };
        self.writing < places - kept
    }

    /// Reads names again, but for those that are being written: their turn comes when the write is back.
    fn point_read(&mut self) -> Option<Call> {
        if self.reread.is_empty() {
            self.read_first = false;
            return None;
        }
        let at_rest = self.reread.iter().filter(|name| !self.reconciler.is_in_flight(name));
        let names: Vec<_> = at_rest.take(NAMES_PER_READ).collect();
        if names.is_empty() {
            return None;
        }
        // What was written together is read together, so that nobody sees one without the other.
        let names = self.reconciler.companions(names).into_iter().collect();
        self.wrote_last = false;
        Some(Call::ReadNames(names))
    }

    /// A host may tell of its limits whenever it is asked for something.
    pub(super) fn learn_limits(&mut self) {
        self.reconciler.set_limits(&self.host.capabilities().limits);
    }

    /// Takes the answer to a call in.
    pub(super) fn take(&mut self, answer: Answer) -> Taken {
        let now = self.now();
        self.learn_limits();
        match answer {
            Answer::Zone(_) | Answer::Names(..) => self.reading = false,
            Answer::Written(..) => self.writing = self.writing.saturating_sub(1),
        }
        match answer {
            Answer::Zone(Ok(snapshot)) => {
                tracing::debug!(sets = snapshot.len(), "read the zone");
                self.reads.succeed();
                self.reread_zone = false;
                self.read_first = false;
                self.reread.clear();
                self.reconciler.load_zone(snapshot, now);
                Taken { zone_read: true, ..Taken::default() }
            }
            Answer::Names(names, Ok(snapshot)) => {
                self.reads.succeed();
                self.reconciler.load_names(&names, &snapshot, now);
                for name in &names {
                    self.reread.remove(name);
                }
                self.read_first &= !self.reread.is_empty();
                Taken::default()
            }
            Answer::Zone(Err(error)) | Answer::Names(_, Err(error)) => self.read_failed(&error, now),
            Answer::Written(batch, Ok(applied)) => self.written(batch, &applied, now),
            Answer::Written(batch, Err(error)) => {
                tracing::warn!(error = error.chain(), "nothing of a batch was written");
                self.reread.extend(self.reconciler.abandon(&batch, now));
                self.writes.fail(error.retry(), now);
                self.reread_zone |= error.kind() == ErrorKind::ZoneNotFound;
                Taken { failed: vec![error.chain()], may_pass: error.retry() != RetryHint::Never, ..Taken::default() }
            }
        }
    }

    fn read_failed(&mut self, error: &Error, now: Timestamp) -> Taken {
        tracing::warn!(error = error.chain(), "reading the zone failed; nothing is written before it succeeds");
        self.reads.fail(error.retry(), now);
        Taken { failed: vec![error.chain()], may_pass: error.retry() != RetryHint::Never, ..Taken::default() }
    }

    fn written(&mut self, batch: Batch, applied: &Applied, now: Timestamp) -> Taken {
        let mut taken = Taken::default();
        let mut pause = None;
        for (change, outcome) in batch.edits(applied) {
            self.metrics.changed(change.action(), outcome);
            if outcome.is_some_and(Outcome::is_done) {
                let reason = self.reconciler.planned(change).map(|planned| planned.reason.clone());
                let reason = reason.unwrap_or_default();
                tracing::info!(
                    name = %change.key.owner,
                    r#type = %change.key.rr_type,
                    action = ?change.action(),
                    reason,
                    "wrote"
                );
                if (self.latency.awaits_writes() || self.news.is_some())
                    && let Some((service, _)) = self.reconciler.naming().parse(&change.key.owner)
                {
                    self.latency.wrote(&service, change);
                    if let Some(news) = &mut self.news {
                        news.wrote(&self.reconciler, &service, change, &reason);
                    }
                }
                self.history.add(change.clone(), reason, now);
            }
        }
        for change in batch.changes.changes() {
            match applied.outcomes.get(&change.key) {
                Some(Outcome::Refused(error)) if error.retry() != RetryHint::Never => pause = Some(error.retry()),
                Some(Outcome::Unknown(error)) => pause = Some(error.retry()),
                Some(Outcome::Conflict | Outcome::NotTried) | None => taken.may_pass = true,
                Some(Outcome::Done(_) | Outcome::Refused(_)) => {}
            }
        }
        let follow = self.reconciler.record(batch, applied, now);
        // One call that fails is told for each of its sets; one line is enough.
        if let Some(error) = follow.failed.first() {
            tracing::warn!(error, sets = follow.failed.len(), "writing sets failed");
        }
        if follow.conflicts > 0 {
            tracing::info!(conflicts = follow.conflicts, "somebody else changed names meanwhile; reading them again");
        }
        let lost = applied.outcomes.values().any(|outcome| matches!(outcome, Outcome::Unknown(_)));
        self.read_first |= follow.conflicts > 0 || lost;
        self.reread.extend(follow.reread);
        self.reread_zone |= follow.reread_zone;
        match pause {
            Some(hint @ RetryHint::After(_)) => self.writes.fail(hint, now),
            // The host as a whole is slow or out of order, not a single set.
            Some(hint) if follow.done == 0 => self.writes.fail(hint, now),
            _ => self.writes.succeed(),
        }
        taken.may_pass |= pause.is_some() || follow.regrouped;
        taken.done = follow.done;
        taken.conflicts = follow.conflicts;
        taken.failed = follow.failed;
        taken
    }
}
