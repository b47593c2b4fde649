//! One request to Cloud DNS, until it is settled.

use std::sync::{Arc, Mutex, PoisonError};

use dnsprovider::capabilities::{Operation, Rate};
use dnsprovider::{Error, ErrorKind, RetryHint, TimeLeft};
use google_cloud_gax::error::Error as SdkError;

use super::blame::Place;
use super::config::{Options, Rates};
use super::credential::{Clients, Connector};
use super::error::{Asking, NAME, Refusal, refusal};
use crate::cloud::{Bucket, Call, Failure, Turn};

/// Each kind of call with the rate of its bucket.
pub(super) fn rates(rates: &Rates) -> Vec<Rate> {
    let rate = |operation| {
        let is_read = matches!(operation, Operation::List | Operation::Get);
        let per_second = if is_read { rates.reads } else { rates.writes };
        Rate { operation, per_second, burst: burst(per_second) }
    };
    [Operation::List, Operation::Get, Operation::Create, Operation::Update, Operation::Delete].map(rate).into()
}

/// What two seconds give.
fn burst(per_second: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "held between 1 and 10,000")]
    let calls = (per_second * 2.0).clamp(1.0, 10_000.0) as u32;
    calls
}

/// Whether a request changes something, and its turn.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    /// It may be sent twice.
    Read(Turn),
    /// It may not.
    Write(Turn),
}

/// The service as one caller sees it.
#[derive(Debug)]
pub(super) struct Api {
    connector: Connector,
    reads: Bucket,
    writes: Bucket,
}

impl Api {
    pub(super) fn new(options: Options) -> Self {
        let bucket = |operation, per_second| Bucket::new(Rate { operation, per_second, burst: burst(per_second) });
        Self {
            reads: bucket(Operation::List, options.rates.reads),
            writes: bucket(Operation::Create, options.rates.writes),
            connector: Connector::new(options),
        }
    }

    /// Asks until there is an answer that settles it, as [`Call::send`] does. `request` is one attempt.
    ///
    /// # Errors
    /// As the table in `error`, with the sets that the last answer blames.
    pub(super) async fn ask<T, A>(
        &self,
        asking: &Asking<'_>,
        way: Way,
        time_left: Option<&TimeLeft>,
        request: impl Fn(Arc<Clients>) -> A + Sync,
    ) -> Result<T, Refusal>
    where
        A: Future<Output = Result<T, SdkError>> + Send,
    {
        let (bucket, turn, repeatable) = match way {
            Way::Read(turn) => (&self.reads, turn, true),
            Way::Write(turn) => (&self.writes, turn, false),
        };
        let blamed = Mutex::new(Vec::new());
        let blame = |places: Vec<(Place, Error)>| {
            *blamed.lock().unwrap_or_else(PoisonError::into_inner) = places;
        };
        let call = Call { provider: NAME, what: asking.what, buckets: &[bucket], turn, repeatable };
        let answer = call.send(time_left, || async {
            blame(Vec::new());
            let clients = self.connector.clients().await.map_err(Failure::not_done)?;
            match request(Arc::clone(&clients)).await {
                Ok(value) => {
                    clients.accepted();
                    Ok(value)
                }
                Err(cause) => {
                    let Refusal { mut failure, places } = refusal(&cause, asking, &clients.project);
                    blame(places);
                    if failure.error.kind() == ErrorKind::Unauthenticated && self.connector.refused(&clients).await {
                        failure.error = failure.error.with_retry(RetryHint::Backoff);
                    }
                    Err(failure)
                }
            }
        });
        let answer = answer.await;
        answer
            .map_err(|failure| Refusal { failure, places: blamed.into_inner().unwrap_or_else(PoisonError::into_inner) })
    }

    /// Reads.
    ///
    /// # Errors
    /// As [`Api::ask`].
    pub(super) async fn read<T, A>(
        &self,
        asking: &Asking<'_>,
        turn: Turn,
        request: impl Fn(Arc<Clients>) -> A + Sync,
    ) -> Result<T, Error>
    where
        A: Future<Output = Result<T, SdkError>> + Send,
    {
        let answer = self.ask(asking, Way::Read(turn), None, request).await;
        answer.map_err(|refusal| refusal.failure.error)
    }
}
