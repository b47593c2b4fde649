//! One request, from the first attempt to the last.

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use dnsprovider::{Error, ErrorKind, RetryHint, TimeLeft};
use tokio::time::Instant;

use super::bucket::{Bucket, Turn};

/// How often a request is sent at most.
const ATTEMPTS: usize = 6;
/// The longest that one attempt may take.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(20);
/// The longest that a request without a deadline of its own is tried; below the minute after which callers give up.
const PATIENCE: Duration = Duration::from_secs(50);
/// Shortest and longest pause between attempts where the host names none.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// Whether the host has done what it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It was never asked.
    NotSent,
    /// It said no.
    NotDone,
    /// The answer was lost.
    Unknown,
}

/// Why a request did not succeed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What the caller is told.
    pub(crate) error: Error,
    /// What is known of the request.
    pub(crate) fate: Fate,
}

impl Failure {
    /// The host said no.
    pub(crate) fn not_done(error: Error) -> Self {
        Self { error, fate: Fate::NotDone }
    }

    /// The answer was lost.
    pub(crate) fn unknown(error: Error) -> Self {
        Self { error, fate: Fate::Unknown }
    }

    /// What to tell of a batch that went out as one request.
    ///
    /// # Errors
    /// When the host refused the batch: nothing was changed.
    #[cfg(any(feature = "clouddns", feature = "route53"))]
    pub(crate) fn of_batch(self, changes: &dnsprovider::ChangeSet) -> Result<dnsprovider::Applied, Error> {
        use dnsprovider::{Applied, Outcome};

        match self.fate {
            Fate::NotSent => Ok(Applied::all(changes, |_| Outcome::NotTried)),
            Fate::NotDone => Err(self.error),
            Fate::Unknown => Ok(Applied::all(changes, |key| Outcome::Unknown(self.error.duplicate_for(key)))),
        }
    }
}

/// How a request is sent.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    /// For messages.
    pub(crate) provider: &'static str,
    /// What is being done, for messages: `reading a page of the zone`.
    pub(crate) what: &'a str,
    /// What each attempt pays, in this order.
    pub(crate) buckets: &'a [&'a Bucket],
    /// Its place among those that wait.
    pub(crate) turn: Turn,
    /// Doing it twice is as good as once, as with every read.
    pub(crate) repeatable: bool,
}

impl Call<'_> {
    /// Sends the request until it succeeds, fails for good, or time runs out.
    ///
    /// | the attempt | what happens |
    /// |---|---|
    /// | succeeds | its buckets fill faster again |
    /// | `RateLimited` | its buckets fill slower and rest as the retry hint says; sent again |
    /// | hint `Backoff` or `After`, fate `NotDone` | sent again after a pause |
    /// | the same, fate `Unknown` | sent again if it is repeatable |
    /// | hint `Never` | that failure |
    ///
    /// **Cancel**: an attempt that is out may be done.
    ///
    /// # Errors
    /// The last failure. Fate `NotSent` only when no attempt was made.
    pub(crate) async fn send<T, A>(
        &self,
        time_left: Option<&TimeLeft>,
        mut attempt: impl FnMut() -> A,
    ) -> Result<T, Failure>
    where
        A: Future<Output = Result<T, Failure>>,
    {
        let time_left = time_left.cloned().unwrap_or_else(patience);
        let pauses = ExponentialBuilder::new()
            .with_min_delay(PAUSES.0)
            .with_max_delay(PAUSES.1)
            .with_jitter()
            .with_max_times(ATTEMPTS - 1);
        let mut pauses = pauses.build();
        let mut last = None;
        loop {
            for bucket in self.buckets {
                if bucket.pay(self.turn, &time_left).await.is_err() {
                    return Err(last.unwrap_or_else(|| self.too_late()));
                }
            }
            if time_left().is_zero() {
                return Err(last.unwrap_or_else(|| self.too_late()));
            }
            let answer = tokio::time::timeout(ATTEMPT_LIMIT, attempt()).await;
            let failure = match answer.unwrap_or_else(|_| Err(self.unanswered())) {
                Ok(value) => {
                    self.buckets.iter().for_each(|bucket| bucket.accepted());
                    return Ok(value);
                }
                Err(failure) => failure,
            };
            let hint = failure.error.retry();
            if failure.error.kind() == ErrorKind::RateLimited {
                let pause = if let RetryHint::After(pause) = hint { Some(pause) } else { None };
                self.buckets.iter().for_each(|bucket| bucket.throttled(pause));
            }
            let may_repeat = self.repeatable || failure.fate != Fate::Unknown;
            let Some(pause) = pauses.next().filter(|_| may_repeat && hint != RetryHint::Never) else {
                return Err(failure);
            };
            let pause = if let RetryHint::After(pause) = hint { pause } else { pause };
            if pause >= time_left() {
                return Err(failure);
            }
            tracing::debug!(what = self.what, error = failure.error.chain(), ?pause, "sending the request again");
            last = Some(failure);
            tokio::time::sleep(pause).await;
        }
    }

    fn too_late(&self) -> Failure {
        let message = format!("{}: the rate that the host grants left no room for it in time", self.what);
        Failure { error: Error::new(ErrorKind::RateLimited, self.provider, message), fate: Fate::NotSent }
    }

    fn unanswered(&self) -> Failure {
        let message = format!("{}: no answer within {} s", self.what, ATTEMPT_LIMIT.as_secs());
        Failure::unknown(Error::new(ErrorKind::Timeout, self.provider, message))
    }
}

fn patience() -> TimeLeft {
    let end = Instant::now() + PATIENCE;
    Arc::new(move || end.saturating_duration_since(Instant::now()))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use dnsprovider::capabilities::{Operation, Rate};

    use super::*;

    fn failure(kind: ErrorKind, hint: Option<RetryHint>, fate: Fate) -> Failure {
        let error = Error::new(kind, "test", "asking");
        Failure { error: hint.into_iter().fold(error, Error::with_retry), fate }
    }

    /// Sends a request that fails so often before it succeeds; gives the attempts and the end.
    async fn send(repeatable: bool, fails: usize, how: impl Fn() -> Failure) -> (usize, Result<(), Failure>) {
        let bucket = Bucket::new(Rate { operation: Operation::Create, per_second: 100.0, burst: 1 });
        let call = Call { provider: "test", what: "asking", buckets: &[&bucket], turn: Turn::Bulk, repeatable };
        let attempts = Cell::new(0);
        let answer = call.send(None, async || {
            attempts.set(attempts.get() + 1);
            if attempts.get() <= fails { Err(how()) } else { Ok(()) }
        });
        let answer = answer.await;
        (attempts.get(), answer)
    }

    #[tokio::test(start_paused = true)]
    async fn every_row_of_the_table() {
        use ErrorKind::{InvalidInput, RateLimited, Unavailable};
        use Fate::{NotDone, Unknown};
        for (kind, hint, fate, repeatable, attempts, succeeds) in [
            (RateLimited, None, NotDone, false, 3, true),
            (RateLimited, Some(RetryHint::After(Duration::from_secs(3))), NotDone, false, 3, true),
            (Unavailable, None, NotDone, false, 3, true),
            (Unavailable, None, Unknown, true, 3, true),
            (Unavailable, None, Unknown, false, 1, false),
            (InvalidInput, None, NotDone, true, 1, false),
            (RateLimited, Some(RetryHint::After(Duration::from_mins(5))), NotDone, true, 1, false),
        ] {
            let (sent, answer) = send(repeatable, 2, || failure(kind, hint, fate)).await;
            assert_eq!((sent, answer.is_ok()), (attempts, succeeds), "{kind:?} {hint:?} {fate:?} {repeatable}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_have_an_end() {
        let (sent, answer) = send(true, usize::MAX, || failure(ErrorKind::Unavailable, None, Fate::Unknown)).await;
        assert_eq!((sent, answer.expect_err("it never succeeds").fate), (ATTEMPTS, Fate::Unknown));
    }

    #[tokio::test(start_paused = true)]
    async fn every_attempt_pays() {
        let bucket = Bucket::new(Rate { operation: Operation::Create, per_second: 1.0, burst: 1 });
        let call = Call { provider: "test", what: "asking", buckets: &[&bucket], turn: Turn::Bulk, repeatable: true };
        let begun = Instant::now();
        let attempts = Cell::new(0);
        let answer = call.send(None, async || {
            attempts.set(attempts.get() + 1);
            if attempts.get() < 4 { Err(failure(ErrorKind::Unavailable, None, Fate::Unknown)) } else { Ok(()) }
        });
        answer.await.expect("the fourth succeeds");
        assert!(Instant::now() - begun >= Duration::from_millis(2999), "three more than the burst at one a second");
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_too_long_was_never_sent() {
        let bucket = Bucket::new(Rate { operation: Operation::Create, per_second: 0.01, burst: 1 });
        let call = Call { provider: "test", what: "asking", buckets: &[&bucket], turn: Turn::Bulk, repeatable: true };
        call.send(None, async || Ok(())).await.expect("the bucket is full");
        let late = call.send(None, async || Ok(())).await.expect_err("no token for minutes");
        assert_eq!((late.fate, late.error.kind()), (Fate::NotSent, ErrorKind::RateLimited));
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_without_answer_is_unknown() {
        let call = Call { provider: "test", what: "asking", buckets: &[], turn: Turn::Bulk, repeatable: false };
        let lost = call.send(None, std::future::pending::<Result<(), Failure>>).await.expect_err("nobody answers");
        assert_eq!((lost.fate, lost.error.kind()), (Fate::Unknown, ErrorKind::Timeout));
    }
}
