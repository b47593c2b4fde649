//! The state of one chunked `apply`: what is still to send, and what became of the rest.
//!
//! No call is made here: [`super::Chunked`] asks for the next part, sends it, and reports what came back.

use std::collections::{BTreeSet, VecDeque};

use super::Packer;
use crate::capabilities::{Atomicity, Capabilities, Cost};
use crate::change::{Change, ChangeSet, Unit};
use crate::error::{Error, ErrorKind, RetryHint};
use crate::order::Ordered;
use crate::provider::{Applied, Outcome};

pub(super) struct Run {
    provider: &'static str,
    packer: Packer,
    /// A whole call is all or nothing, so that it may hold a unit together with those that it must follow.
    atomic: bool,
    /// By place in the order; `None` once handed out.
    units: Vec<Option<Unit>>,
    after: Vec<Vec<usize>>,
    followers: Vec<Vec<usize>>,
    /// How many of `after` still keep the unit back.
    waits: Vec<usize>,
    /// Units that nothing keeps back any more, not handed out yet.
    ready: BTreeSet<usize>,
    /// Parts of refused calls, to be sent before anything new; first part first.
    again: VecDeque<Part>,
    state: Vec<State>,
    applied: Applied,
    /// Something was done, or may have been.
    changed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Done,
    Failed,
}

/// Units of one call.
#[derive(Default)]
pub(super) struct Part {
    places: Vec<usize>,
    pub(super) changes: ChangeSet,
}

impl Part {
    fn push(&mut self, place: usize, unit: Unit) {
        self.places.push(place);
        self.changes.units.push(unit);
    }

    fn into_units(self) -> impl Iterator<Item = (usize, Unit)> {
        self.places.into_iter().zip(self.changes.units)
    }

    /// Leaves the first half and gives the second.
    fn split(&mut self) -> Self {
        let half = self.places.len() / 2;
        Self { places: self.places.split_off(half), changes: ChangeSet { units: self.changes.units.split_off(half) } }
    }
}

impl Run {
    pub(super) fn new(provider: &'static str, capabilities: &Capabilities, ordered: Ordered) -> Self {
        let Ordered { units, after } = ordered;
        let mut followers = vec![Vec::new(); units.len()];
        for (place, earlier) in after.iter().enumerate() {
            for first in earlier {
                followers[*first].push(place);
            }
        }
        let waits: Vec<_> = after.iter().map(Vec::len).collect();
        Self {
            provider,
            packer: Packer::new(capabilities),
            atomic: capabilities.atomicity == Atomicity::Batch,
            ready: (0..units.len()).filter(|place| waits[*place] == 0).collect(),
            again: VecDeque::new(),
            state: vec![State::Open; units.len()],
            units: units.into_iter().map(Some).collect(),
            after,
            followers,
            waits,
            applied: Applied::default(),
            changed: false,
        }
    }

    /// The units of the next call; `None` when everything has its outcome.
    pub(super) fn next_part(&mut self, cost: impl Fn(&Unit) -> Cost) -> Option<Part> {
        loop {
            let candidate = match self.again.pop_front() {
                Some(part) => part,
                None if self.ready.is_empty() => return None,
                None => self.pack(&cost),
            };
            let mut part = Part::default();
            for (place, unit) in candidate.into_units() {
                if unit.changes.is_empty() {
                    self.settle(place, State::Done);
                } else if self.after[place].iter().any(|first| self.state[*first] == State::Failed) {
                    self.note(&unit, || Outcome::NotTried);
                    self.settle(place, State::Failed);
                } else {
                    part.push(place, unit);
                }
            }
            if !part.places.is_empty() {
                return Some(part);
            }
        }
    }

    /// Takes what fits in one call from the units that are ready, in order.
    fn pack(&mut self, cost: &impl Fn(&Unit) -> Cost) -> Part {
        self.packer.clear();
        let mut part = Part::default();
        while let Some(&place) = self.ready.first() {
            let unit_cost = self.units[place].as_ref().map(cost).unwrap_or_default();
            let fits = self.packer.add(unit_cost);
            if !fits && !part.places.is_empty() {
                break;
            }
            self.ready.pop_first();
            let unit = self.units[place].take().expect("a ready unit was not handed out");
            if self.atomic {
                self.release(place);
            }
            if fits {
                part.push(place, unit);
            } else {
                let over = self.packer.never_fits(unit_cost).unwrap_or_default();
                let message = format!("applying a unit of changes that is too large for one call: {over}");
                self.refuse(place, &unit, &Error::new(ErrorKind::LimitExceeded, self.provider, message));
            }
        }
        part
    }

    /// Notes what an answered call tells.
    pub(super) fn answered(&mut self, part: Part, mut applied: Applied) {
        for change in part.changes.changes() {
            // A backend that forgets a change has not told whether it was done.
            if !applied.outcomes.contains_key(&change.key) {
                let error = Error::new(ErrorKind::Protocol, self.provider, "applying: the backend told no outcome");
                applied.outcomes.insert(change.key.clone(), Outcome::Unknown(error.with_key(&change.key)));
            }
        }
        let told = |test: fn(&Outcome) -> bool| applied.outcomes.values().any(test);
        let culprits = told(|outcome| match outcome {
            Outcome::Conflict => true,
            Outcome::Refused(error) => error.retry() == RetryHint::Never,
            _ => false,
        });
        let stop = told(|outcome| match outcome {
            Outcome::Refused(error) => error.retry() != RetryHint::Never,
            _ => false,
        });
        self.changed |= told(|outcome| matches!(outcome, Outcome::Done(_) | Outcome::Unknown(_)));

        let mut again = Part::default();
        for (place, unit) in part.into_units() {
            let untried = |change: &Change| matches!(applied.outcomes[&change.key], Outcome::NotTried);
            if culprits && unit.changes.iter().all(untried) {
                again.push(place, unit);
                continue;
            }
            for change in unit.changes.iter().filter(|change| untried(change)) {
                self.applied.add(&change.key, Outcome::NotTried);
            }
            let done = unit.changes.iter().all(|change| applied.outcomes[&change.key].is_done());
            self.settle(place, if done { State::Done } else { State::Failed });
        }
        for (key, outcome) in applied.outcomes {
            if !matches!(outcome, Outcome::NotTried) {
                self.applied.add(&key, outcome);
            }
        }
        if !again.places.is_empty() {
            self.again.push_front(again);
        }
        if stop {
            self.stop();
        }
    }

    /// Notes that a call failed as a whole.
    ///
    /// # Errors
    /// The error itself, when it does not depend on what was sent and nothing was done before.
    pub(super) fn failed(&mut self, mut part: Part, error: Error) -> Result<(), Error> {
        let by_content = matches!(
            error.kind(),
            ErrorKind::InvalidInput | ErrorKind::LimitExceeded | ErrorKind::Conflict | ErrorKind::Unsupported
        );
        if by_content && part.places.len() > 1 {
            let second = part.split();
            self.again.push_front(second);
            self.again.push_front(part);
        } else if by_content || self.changed {
            for (place, unit) in part.into_units() {
                self.refuse(place, &unit, &error);
            }
            if !by_content {
                self.stop();
            }
        } else {
            return Err(error);
        }
        Ok(())
    }

    /// All outcomes; what was not sent is not tried.
    pub(super) fn finish(mut self) -> Applied {
        self.stop();
        self.applied
    }

    fn stop(&mut self) {
        let parts = std::mem::take(&mut self.again);
        let unsent = std::mem::take(&mut self.units);
        self.ready.clear();
        for unit in parts.into_iter().flat_map(|part| part.changes.units).chain(unsent.into_iter().flatten()) {
            self.note(&unit, || Outcome::NotTried);
        }
    }

    /// Notes an error of one unit: at the set that the error names, else at all of its sets.
    fn refuse(&mut self, place: usize, unit: &Unit, error: &Error) {
        let named = error.key().filter(|key| unit.changes.iter().any(|change| change.key == **key));
        for change in &unit.changes {
            let outcome = if named.is_some_and(|key| change.key != *key) {
                Outcome::NotTried
            } else if error.kind() == ErrorKind::Conflict {
                Outcome::Conflict
            } else {
                Outcome::Refused(error.duplicate_for(&change.key))
            };
            self.applied.add(&change.key, outcome);
        }
        self.settle(place, State::Failed);
    }

    fn note(&mut self, unit: &Unit, outcome: impl Fn() -> Outcome) {
        for change in &unit.changes {
            self.applied.add(&change.key, outcome());
        }
    }

    /// The unit has its outcome. Without atomic calls its followers become ready only now.
    fn settle(&mut self, place: usize, state: State) {
        self.state[place] = state;
        if !self.atomic {
            self.release(place);
        }
    }

    fn release(&mut self, place: usize) {
        for &follower in &self.followers[place] {
            self.waits[follower] -= 1;
            if self.waits[follower] == 0 {
                self.ready.insert(follower);
            }
        }
    }
}
