//! Running for the leadership, as long as the process lives.
//!
//! In: an [`Election`] · Out: [`Leadership`], one log line for each change

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::{About, BootClock, Election, ElectionError, Follower, Leader, Leadership, Record, Seat, SystemBootClock};

/// From an attempt to the next: so many in one lease.
const ATTEMPTS: u32 = 5;
/// How long a process tries to give the leadership up.
const RESIGN_LIMIT: Duration = Duration::from_secs(2);

/// A process that wants to lead.
#[derive(Debug)]
pub struct Candidate {
    election: Box<dyn Election>,
    record: Record,
    lease: Duration,
    clock: Arc<dyn BootClock>,
    /// Nobody asked for an election: where it cannot be held, the process leads all the same.
    is_presence: bool,
}

impl Candidate {
    /// Runs in this election, as `record` says; who is elected leads for `lease` from each renewal.
    pub fn new(election: Box<dyn Election>, record: Record, lease: Duration) -> Self {
        Self { election, record, lease, clock: Arc::new(SystemBootClock), is_presence: false }
    }

    /// The same for a process that should run alone: it leads where the election is denied to it, and says plainly that
    /// another one runs where that is so.
    #[must_use]
    pub fn presence(mut self) -> Self {
        self.is_presence = true;
        self
    }

    /// Measures the lease there; else on the machine's clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn BootClock>) -> Self {
        self.clock = clock;
        self
    }

    /// The view for all others, and the work to be run beside them.
    pub fn start(self) -> (Leader, Campaign) {
        let (state, seen) = watch::channel(Leadership::Unsure(None));
        let about = Arc::new(About {
            kind: if self.is_presence { "none" } else { self.election.kind() },
            place: self.election.place(),
            identity: self.record.holder.clone(),
        });
        let follower = Follower { state: seen, clock: self.clock.clone(), about };
        (Leader(Some(follower)), Campaign { candidate: self, state, told: None })
    }
}

/// Runs for the leadership.
#[derive(Debug)]
pub struct Campaign {
    candidate: Candidate,
    state: watch::Sender<Leadership>,
    /// The last line of the log, so that a state is told once.
    told: Option<String>,
}

impl Campaign {
    /// Runs until `stop`; then gives the leadership up.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        loop {
            let is_answered = tokio::select! {
                biased;
                () = &mut stop => break,
                is_answered = self.attempt() => is_answered,
            };
            let pause = self.candidate.lease / ATTEMPTS;
            tokio::select! {
                biased;
                () = &mut stop => break,
                // What changed before an attempt that failed is still to be looked at: it would not wait at all.
                () = self.candidate.election.changed(), if is_answered => {}
                () = sleep(pause) => {}
            }
        }
        // Nothing more may be sent before the leadership is offered to others.
        self.state.send_replace(Leadership::Unsure(None));
        if timeout(RESIGN_LIMIT, self.candidate.election.resign()).await.is_err() {
            tracing::warn!("giving the leadership up takes too long; it runs out by itself");
        }
    }

    /// One attempt; while it hangs the leadership may run out. Gives whether the place could be asked.
    async fn attempt(&mut self) -> bool {
        let Candidate { election, record, clock, lease, is_presence } = &mut self.candidate;
        let begun = clock.now();
        let outcome = {
            let mut attempt = election.attempt(record);
            let held = match &*self.state.borrow() {
                Leadership::Leading { until: Some(until), .. } => Some(until.saturating_sub(begun)),
                _ => None,
            };
            let in_time = match held {
                Some(left) => timeout(left, &mut attempt).await.ok(),
                None => Some((&mut attempt).await),
            };
            if let Some(outcome) = in_time {
                outcome
            } else {
                tracing::warn!("the leadership ran out before it was renewed; nothing is written");
                self.told = None;
                self.state.send_replace(Leadership::Unsure(None));
                attempt.await
            }
        };
        let is_answered = outcome.is_ok();
        let until = Some(begun + *lease / 3 * 2);
        let next = match outcome {
            Ok(Seat::Ours { fence, term }) => Leadership::Leading { term, fence, until },
            Ok(Seat::Taken(other)) => {
                let differences = record.differences(&other);
                if differences.is_empty() {
                    Leadership::Standby(other)
                } else {
                    Leadership::Refused(other, differences)
                }
            }
            Err(ElectionError { message, is_denied: true }) if *is_presence => {
                let hint = "whether another process with this claim writes cannot be told";
                tracing::debug!(error = message, "{hint}");
                Leadership::Leading { term: 0, fence: None, until: None }
            }
            Err(error) => match &*self.state.borrow() {
                // Not lost yet: the next attempt comes before it is.
                leading @ Leadership::Leading { until: Some(until), .. } if clock.now() < *until => {
                    tracing::debug!(error = error.message, "the leadership was not renewed");
                    leading.clone()
                }
                _ => Leadership::Unsure(Some(error.message)),
            },
        };
        self.tell(&next);
        self.state.send_replace(next);
        is_answered
    }

    /// Tells a change of who leads, once.
    fn tell(&mut self, next: &Leadership) {
        let (record, place) = (&self.candidate.record, self.candidate.election.place());
        let identity = &record.holder;
        let key = match next {
            Leadership::Leading { term, .. } => format!("leading {term}"),
            Leadership::Standby(other) | Leadership::Refused(other, _) => format!("taken {}", other.text()),
            Leadership::Unsure(_) => "unsure".to_owned(),
        };
        if self.told.replace(key.clone()) == Some(key) {
            return;
        }
        match next {
            Leadership::Leading { until: None, .. } => tracing::warn!(
                place,
                "another process with this claim could not be noticed; hint: give the login the right to `{place}`"
            ),
            Leadership::Leading { .. } => tracing::info!(place, identity, "this process leads"),
            Leadership::Standby(other) if self.candidate.is_presence => tracing::warn!(
                place,
                leader = other.holder,
                claim = record.claim,
                "another process with this claim is running, so nothing is written here; hint: stop one of them, give \
                 each its own `claim`, or run both with `kind` in [Leader]"
            ),
            Leadership::Standby(other) => {
                tracing::info!(place, identity, leader = other.holder, "standing by; another process leads");
            }
            Leadership::Refused(other, differences) => tracing::error!(
                place,
                leader = other.holder,
                differences = differences.join("; "),
                "the leader does other work with this claim, so this process is refused; hint: give all replicas one \
                 config, or another `claim` in [Federation]"
            ),
            Leadership::Unsure(error) => tracing::warn!(
                place,
                error = error.as_deref().unwrap_or_default(),
                "who leads cannot be told, so nothing is written"
            ),
        }
    }
}
