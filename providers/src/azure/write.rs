//! Writing: one call for each set, on the condition of the state that was read.
//!
//! | change | call | condition | conflict |
//! |---|---|---|---|
//! | create | PUT | `If-None-Match: *` | 412 |
//! | update | PUT | `If-Match` | 412 |
//! | delete | DELETE | `If-Match` | 412; 204: there is none |
//!
//! The units of a batch go side by side. Inside a unit updates go first, then creations, then deletions, and the first
//! that fails stops it: what is not sent is `NotTried`. So a name that loses one set and gets another is never without
//! one, but for two cases in which the deletion goes first: a CNAME stands alone, and a full zone takes no set more.
//!
//! Such a name has nothing between the two calls, as the host has no call for both. So the first is sent only when the
//! second is granted too (the host may have told us to send no creation for minutes), the second is sent even where the
//! caller's time has just ended, and an answer that is lost on the way is made up for by a read. When the second fails
//! for good, the deleted sets are put back. They are then told as failed like the change that failed (nothing of the unit
//! is done), though their versions are new ones: the next change to them conflicts and is read again.
//!
//! The version that was read is the whole guard. A change without one (whoever made it has not read the set here) is
//! compared with what a read gives, and takes that state's ETag.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use dnsprovider::{
    Action, Applied, ApplyContext, Change, ChangeSet, Cost, DnsProvider as _, Error, ErrorKind, Fqdn, Outcome,
    RetryHint, RrType, TimeLeft, Unit, Version,
};
use futures::future::join_all;
use tokio::time::{Instant, timeout};

use super::AzureDns;
use super::api::When;
use super::claim::Metadata;
use super::convert::{self, etag, relative};
use super::error::{NAME, error};
use crate::cloud::{Ahead, Failure, Fate, Turn};

/// The first deletion of a type change is not sent with less time than this, and what follows it has this time even
/// where the caller's ends, so that its name is not left empty for want of time.
const TIME_FOR_A_SWAP: Duration = Duration::from_secs(5);
/// How long a type change waits to be granted where its caller names no time.
const TIME_FOR_A_TURN: Duration = Duration::from_secs(30);

impl AzureDns {
    pub(super) async fn apply_batch(
        &self,
        apex: &Fqdn,
        changes: &ChangeSet,
        context: &ApplyContext,
    ) -> Result<Applied, Error> {
        if changes.is_empty() {
            return Ok(Applied::default());
        }
        let cost = changes.units.iter().map(|unit| self.cost(unit)).fold(Cost::default(), |sum, cost| sum + cost);
        if let Some(over) = cost.over(&self.capabilities().limits.batch) {
            return Err(error(ErrorKind::LimitExceeded, format!("applying a batch that is too large: {over}")));
        }
        if context.is_over() {
            return Ok(Applied::all(changes, |_| Outcome::NotTried));
        }
        if changes.changes().any(|change| !change.key.owner.is_at_or_below(apex)) {
            // Nothing is inside of a zone that does not exist.
            self.api.zone(apex).await.map_err(|failure| failure.error)?;
        }
        let units = changes.units.iter().map(|unit| self.apply_unit(apex, unit, context));
        let mut applied = Applied::default();
        for (unit, outcomes) in changes.units.iter().zip(join_all(units).await) {
            for (change, outcome) in unit.changes.iter().zip(outcomes) {
                applied.add(&change.key, outcome);
            }
        }
        match whole_refusal(&mut applied) {
            Some(error) => Err(error),
            None => Ok(applied),
        }
    }

    /// One outcome for each change, in their order.
    async fn apply_unit(&self, apex: &Fqdn, unit: &Unit, context: &ApplyContext) -> Vec<Outcome> {
        let mut outcomes: Vec<Outcome> = unit.changes.iter().map(|_| Outcome::NotTried).collect();
        if let Err(refusal) =
            dnsprovider::admit(unit, apex, &self.capabilities(), NAME).and_then(|()| check(apex, unit))
        {
            let place = unit.changes.iter().position(|change| Some(&change.key) == refusal.key()).unwrap_or(0);
            if let Some(outcome) = outcomes.get_mut(place) {
                *outcome = Outcome::Refused(refusal);
            }
            return outcomes;
        }
        let mut order = in_order(unit);
        let swaps =
            |change: &Change| change.after.is_none() && unit.changes.iter().any(|other| gives_way(change, other));
        let begins_swap = unit.changes.iter().any(swaps);
        let is_late = context.time_left.as_ref().is_some_and(|left| left() < TIME_FOR_A_SWAP);
        if begins_swap && is_late {
            return outcomes;
        }
        // From the first deletion on a name is empty, or lacks a type, until the unit is done.
        let mut begun: Option<Instant> = None;
        let mut paid: Vec<Vec<Ahead>> = Vec::new();
        while let Some(place) = order.pop_front() {
            if begun.is_none() && context.is_over() {
                break;
            }
            let change = &unit.changes[place];
            let is_first = begun.is_none() && swaps(change);
            let time_left = context.time_left.as_ref().map(|left| time_for(left, is_first, begun));
            let turn = if begun.is_some() { Turn::Urgent } else { Turn::from(context.lane) };
            if is_first {
                let creations = order.iter().filter(|later| unit.changes[**later].before.is_none()).count();
                let Some(granted) = self.reserve(apex, creations, turn, time_left.as_ref()).await else { break };
                paid = granted;
            }
            let ahead = if change.before.is_none() { paid.pop() } else { None };
            let when = When { turn, time_left: time_left.as_ref(), is_paid: ahead.is_some() };
            let mut told = self.apply_change(apex, change, when).await;
            drop(ahead);
            if let Err(failure) = told {
                let is_lost = failure.fate == Fate::Unknown && (is_first || begun.is_some());
                told = if is_lost { self.look(apex, change, failure).await } else { Err(failure) };
            }
            match told {
                Ok(outcome @ Outcome::Done(_)) => {
                    outcomes[place] = outcome;
                    if is_first {
                        begun = Some(Instant::now());
                    }
                }
                Ok(outcome) => {
                    outcomes[place] = outcome;
                    // Putting back pays for itself.
                    drop(paid);
                    self.put_back(apex, unit, &mut outcomes, place).await;
                    break;
                }
                // No room for one set more: once more when the others are gone.
                Err(failure)
                    if failure.error.kind() == ErrorKind::LimitExceeded
                        && begun.is_none()
                        && room_comes(unit, change, &order) =>
                {
                    order.push_back(place);
                }
                Err(failure) => {
                    let is_over = matches!(failure.fate, Fate::Unknown) || failure.error.retry() == RetryHint::Never;
                    outcomes[place] = failed(failure, change);
                    if is_over && !matches!(outcomes[place], Outcome::Unknown(_)) {
                        drop(paid);
                        self.put_back(apex, unit, &mut outcomes, place).await;
                    }
                    break;
                }
            }
        }
        outcomes
    }

    /// Takes what so many creations pay, before the deletion that makes room for them.
    async fn reserve(
        &self,
        apex: &Fqdn,
        creations: usize,
        turn: Turn,
        time_left: Option<&TimeLeft>,
    ) -> Option<Vec<Vec<Ahead>>> {
        let end = Instant::now() + TIME_FOR_A_TURN;
        let until_end: TimeLeft = Arc::new(move || end.saturating_duration_since(Instant::now()));
        self.api.reserve(apex, creations, turn, time_left.unwrap_or(&until_end)).await
    }

    async fn apply_change(&self, apex: &Fqdn, change: &Change, when: When<'_>) -> Result<Outcome, Failure> {
        let Some(relative) = relative(apex, &change.key.owner) else {
            return Err(Failure::not_done(error(ErrorKind::InvalidInput, "changing a name outside the zone")));
        };
        let key = (&change.key.rr_type, relative);
        let Some(before) = &change.before else {
            let Some(after) = &change.after else { return Ok(Outcome::NotTried) };
            let foreign = Metadata::new();
            let body = convert::body(after, &foreign).map_err(Failure::not_done)?;
            let etag = self.api.put_set(apex, key, body, None, when).await?;
            return Ok(Outcome::Done(convert::version(etag.as_deref(), &foreign)));
        };
        let read;
        let version = if change.version.detail.is_some() {
            &change.version
        } else {
            read = self.one(apex, key.0, relative).await.map_err(Failure::not_done)?;
            match &read {
                Some(entry) if entry.data == *before => &entry.version,
                _ => return Ok(Outcome::Conflict),
            }
        };
        let Some((etag, foreign)) = etag(version) else { return Ok(Outcome::Conflict) };
        let Some(after) = &change.after else {
            let was_there = self.api.delete_set(apex, key, etag, when).await?;
            return Ok(if was_there { Outcome::Done(Version::default()) } else { Outcome::Conflict });
        };
        let body = convert::body(after, &foreign).map_err(Failure::not_done)?;
        let etag = self.api.put_set(apex, key, body, Some(etag), when).await?;
        Ok(Outcome::Done(convert::version(etag.as_deref(), &foreign)))
    }

    /// Looks whether a step of a type change was done whose answer is lost, so that the next one need not wait for the
    /// caller to find out. Only a yes is believed: what is not done yet may still be on its way.
    async fn look(&self, apex: &Fqdn, change: &Change, lost: Failure) -> Result<Outcome, Failure> {
        let Some(relative) = relative(apex, &change.key.owner) else { return Err(lost) };
        let read = timeout(TIME_FOR_A_SWAP, self.one(apex, &change.key.rr_type, relative)).await;
        match (read, &change.after) {
            (Ok(Ok(None)), None) => Ok(Outcome::Done(Version::default())),
            (Ok(Ok(Some(entry))), Some(after)) if entry.data == *after => Ok(Outcome::Done(entry.version)),
            _ => Err(lost),
        }
    }

    /// Puts back what the unit has deleted, but where it has put something that stands in the way.
    async fn put_back(&self, apex: &Fqdn, unit: &Unit, outcomes: &mut [Outcome], failed: usize) {
        let is_done = |place: usize, outcomes: &[Outcome]| outcomes[place].is_done();
        for (place, change) in unit.changes.iter().enumerate() {
            let Some(before) = change.before.as_ref().filter(|_| change.after.is_none()) else { continue };
            if !is_done(place, outcomes) {
                continue;
            }
            let mut others = unit.changes.iter().enumerate();
            if others.any(|(other, put)| gives_way(change, put) && is_done(other, outcomes)) {
                continue;
            }
            let Some(relative) = relative(apex, &change.key.owner) else { continue };
            let foreign = etag(&change.version).map(|(_, foreign)| foreign).unwrap_or_default();
            let Ok(body) = convert::body(before, &foreign) else { continue };
            // Not within the time of the caller: a name that answered before is to answer again.
            let when = When { turn: Turn::Urgent, time_left: None, is_paid: false };
            match self.api.put_set(apex, (&change.key.rr_type, relative), body, None, when).await {
                Ok(_) => outcomes[place] = like(&outcomes[failed], change),
                Err(failure) if failure.fate == Fate::Unknown => {
                    let what = "putting a deleted set back, as another change of its unit failed";
                    let error = error(failure.error.kind(), format!("{what}: {}", failure.error.message()));
                    outcomes[place] = Outcome::Unknown(error.with_key(&change.key));
                }
                Err(failure) => {
                    // It stays told as deleted, which it is.
                    tracing::warn!(set = %change.key, error = failure.error.chain(), "a deleted set could not be put back");
                }
            }
        }
    }
}

/// The time for a step of a unit: less than the caller's for the deletion with which a type change begins, more where
/// the rest of it would come too late.
fn time_for(left: &TimeLeft, is_first: bool, begun: Option<Instant>) -> TimeLeft {
    let left = left.clone();
    match begun {
        Some(begun) => Arc::new(move || left().max(TIME_FOR_A_SWAP.saturating_sub(begun.elapsed()))),
        None if is_first => Arc::new(move || left().saturating_sub(TIME_FOR_A_SWAP)),
        None => left,
    }
}

/// What is told of a deletion that was taken back because of that failure.
fn like(failed: &Outcome, change: &Change) -> Outcome {
    match failed {
        Outcome::Refused(cause) => {
            let message = format!("deleting a set: it was put back, as its unit failed: {}", cause.message());
            Outcome::Refused(error(cause.kind(), message).with_retry(cause.retry()).with_key(&change.key))
        }
        _ => Outcome::Conflict,
    }
}

/// What is told of a change that failed.
fn failed(failure: Failure, change: &Change) -> Outcome {
    match failure.fate {
        Fate::NotSent => Outcome::NotTried,
        Fate::Unknown => Outcome::Unknown(failure.error.with_key(&change.key)),
        Fate::NotDone if failure.error.kind() == ErrorKind::Conflict => Outcome::Conflict,
        Fate::NotDone => Outcome::Refused(failure.error.with_key(&change.key)),
    }
}

/// The places of the changes of a unit, in the order of their calls.
fn in_order(unit: &Unit) -> VecDeque<usize> {
    let is_cname = |change: &Change| change.key.rr_type == RrType::Cname;
    let turn = |change: &Change| {
        let excludes = |other: &Change| gives_way(other, change) && (is_cname(other) || is_cname(change));
        match change.action() {
            Action::Update => 0,
            Action::Create if !unit.changes.iter().any(excludes) => 1,
            Action::Delete => 2,
            Action::Create => 3,
        }
    };
    let mut order: Vec<usize> = (0..unit.changes.len()).collect();
    order.sort_by_key(|place| turn(&unit.changes[*place]));
    order.into()
}

/// Whether a set goes, with what is still to be done, in whose place a creation comes.
fn room_comes(unit: &Unit, creation: &Change, order: &VecDeque<usize>) -> bool {
    order.iter().any(|later| gives_way(&unit.changes[*later], creation))
}

/// Whether a deletion makes room for what another change of its unit puts at the same name.
fn gives_way(deletion: &Change, other: &Change) -> bool {
    deletion.after.is_none()
        && other.before.is_none()
        && other.after.is_some()
        && deletion.key.owner == other.key.owner
        && deletion.key != other.key
}

/// Judges what only this host refuses.
fn check(apex: &Fqdn, unit: &Unit) -> Result<(), Error> {
    for change in &unit.changes {
        if let Some(after) = &change.after {
            let foreign = etag(&change.version).filter(|_| change.before.is_some()).map(|(_, foreign)| foreign);
            convert::check(apex, after, &foreign.unwrap_or_default())?;
        }
    }
    Ok(())
}

/// The one error of a batch of which nothing was done because the host, or the zone as a whole, did not let us.
fn whole_refusal(applied: &mut Applied) -> Option<Error> {
    let is_whole = |outcome: &Outcome| match outcome {
        Outcome::NotTried => true,
        Outcome::Refused(error) => matches!(
            error.kind(),
            ErrorKind::ZoneNotFound
                | ErrorKind::ConfigInvalid
                | ErrorKind::Unauthenticated
                | ErrorKind::RateLimited
                | ErrorKind::Unavailable
        ),
        _ => false,
    };
    if !applied.outcomes.values().all(is_whole) {
        return None;
    }
    let mut outcomes = std::mem::take(&mut applied.outcomes);
    let refused = outcomes.iter().find(|(_, outcome)| matches!(outcome, Outcome::Refused(_)));
    let refused = refused.map(|(key, _)| key.clone());
    if let Some(Outcome::Refused(error)) = refused.and_then(|key| outcomes.remove(&key)) {
        return Some(error);
    }
    applied.outcomes = outcomes;
    None
}
