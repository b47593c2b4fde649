//! What became of a change, whichever way a backend tells it.

use std::collections::{BTreeMap, BTreeSet};

use dnsprovider::{Applied, ChangeSet, Error, ErrorKind, Outcome, RrKey};

use crate::case::{Failure, ensure};

/// What became of a change, however the backend told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// [`Outcome::Done`].
    Done,
    /// [`Outcome::Conflict`], or an `Err` of that kind for the whole batch.
    Conflict,
    /// [`Outcome::Refused`], or an `Err` for the whole batch.
    Refused(ErrorKind),
    /// [`Outcome::Unknown`].
    Unknown,
    /// [`Outcome::NotTried`].
    NotTried,
}

/// The worst of several verdicts.
pub(crate) fn worst<'a>(verdicts: impl IntoIterator<Item = &'a Verdict>) -> Verdict {
    let rank = |verdict: &&Verdict| match verdict {
        Verdict::Done => 0,
        Verdict::NotTried => 1,
        Verdict::Conflict => 2,
        Verdict::Refused(_) => 3,
        Verdict::Unknown => 4,
    };
    verdicts.into_iter().max_by_key(rank).copied().unwrap_or(Verdict::Done)
}

/// One verdict for each key, whichever way the backend answered.
pub(crate) fn verdicts(
    changes: &ChangeSet,
    answer: Result<Applied, Error>,
) -> Result<BTreeMap<RrKey, Verdict>, Failure> {
    let keys: BTreeSet<_> = changes.changes().map(|change| change.key.clone()).collect();
    match answer {
        Ok(applied) => {
            let told: BTreeSet<_> = applied.outcomes.keys().cloned().collect();
            ensure!(told == keys, "there is not exactly one outcome for each key: {told:?} for {keys:?}");
            Ok(applied.outcomes.into_iter().map(|(key, outcome)| (key, verdict(&outcome))).collect())
        }
        Err(error) if error.kind() == ErrorKind::Conflict => {
            Ok(keys.into_iter().map(|key| (key, Verdict::Conflict)).collect())
        }
        Err(error) => Ok(keys.into_iter().map(|key| (key, Verdict::Refused(error.kind()))).collect()),
    }
}

fn verdict(outcome: &Outcome) -> Verdict {
    match outcome {
        Outcome::Done(_) => Verdict::Done,
        Outcome::Conflict => Verdict::Conflict,
        Outcome::Refused(error) => Verdict::Refused(error.kind()),
        Outcome::Unknown(_) => Verdict::Unknown,
        Outcome::NotTried => Verdict::NotTried,
    }
}
