//! What a test does to a fake behind its back: faults to come, and the log of the calls that came.
//!
//! A [`Fault`] waits for the calls that it is meant for and is used up by them, once unless it says otherwise:
//!
//! ```
//! use dns_conformance::fakes::faults::{Fault, Gate};
//! # let faults = dns_conformance::fakes::faults::Control::default();
//! faults.add(Fault::lose_answer().on("ChangeResourceRecordSets")); // the next one does its work, and nobody hears of it
//! faults.add(Fault::lose_request().on("GetHostedZone").after(2).times(3)); // the third, fourth and fifth
//! let gate = Gate::new();
//! faults.add(Fault::hold(&gate)); // the next call of any kind waits before its work until `gate.release()`
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::listener::{Answer, Request};

//----------- Fault --------------------------------------------------

/// Something that goes wrong with one call or with several.
pub struct Fault {
    effect: Effect,
    operation: Option<String>,
    when: Option<When>,
    skip: u32,
    left: u32,
}

type When = Box<dyn Fn(&Request) -> bool + Send>;

/// How it goes wrong.
#[derive(Clone, Debug)]
pub(super) enum Effect {
    LoseRequest,
    LoseAnswer,
    HalfAnswer,
    Answer(Box<Answer>),
    Hold(Gate),
    HoldAnswer(Gate),
}

impl Fault {
    /// The connection ends before the host does anything.
    pub fn lose_request() -> Self {
        Self::new(Effect::LoseRequest)
    }

    /// The host does its work, then the connection ends without an answer.
    pub fn lose_answer() -> Self {
        Self::new(Effect::LoseAnswer)
    }

    /// The host does its work, and the connection ends in the middle of the answer's body.
    pub fn half_answer() -> Self {
        Self::new(Effect::HalfAnswer)
    }

    /// This answer in place of any work.
    pub fn answer(answer: Answer) -> Self {
        Self::new(Effect::Answer(Box::new(answer)))
    }

    /// The call waits at the gate before any work. A call held by several gates passes them in the order in which they
    /// were added, and then meets the first other fault that waits for it.
    pub fn hold(gate: &Gate) -> Self {
        Self::new(Effect::Hold(gate.clone()))
    }

    /// The work is done, then the answer waits at the gate.
    pub fn hold_answer(gate: &Gate) -> Self {
        Self::new(Effect::HoldAnswer(gate.clone()))
    }

    fn new(effect: Effect) -> Self {
        Self { effect, operation: None, when: None, skip: 0, left: 1 }
    }

    /// Only for calls of this operation, in the words of the fake's call log.
    #[must_use]
    pub fn on(mut self, operation: impl Into<String>) -> Self {
        self.operation = Some(operation.into());
        self
    }

    /// Only for requests of which this is true.
    #[must_use]
    pub fn when(mut self, when: impl Fn(&Request) -> bool + Send + 'static) -> Self {
        self.when = Some(Box::new(when));
        self
    }

    /// Lets this many calls pass that it would be for.
    #[must_use]
    pub fn after(mut self, calls: u32) -> Self {
        self.skip = calls;
        self
    }

    /// Strikes this many calls instead of one.
    #[must_use]
    pub fn times(mut self, calls: u32) -> Self {
        self.left = calls;
        self
    }

    /// Strikes every call until [`Control::clear`].
    #[must_use]
    pub fn always(self) -> Self {
        self.times(u32::MAX)
    }

    /// Whether it strikes this call; counts the call.
    fn strikes(&mut self, operation: &str, request: &Request) -> bool {
        let meant = self.operation.as_deref().is_none_or(|wanted| wanted == operation)
            && self.when.as_ref().is_none_or(|when| when(request));
        if !meant || self.left == 0 {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        if self.left != u32::MAX {
            self.left -= 1;
        }
        true
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { effect, operation, skip, left, .. } = self;
        write!(f, "Fault({effect:?} on {operation:?} after {skip}, {left} left)")
    }
}

//----------- Gate ---------------------------------------------------

/// Holds calls until the test lets them go. Clones are the same gate.
#[derive(Clone, Debug)]
pub struct Gate(Arc<watch::Sender<Passage>>);

#[derive(Clone, Copy, Debug, Default)]
struct Passage {
    arrived: usize,
    open: bool,
}

impl Gate {
    /// A closed gate.
    #[expect(clippy::new_without_default, reason = "a gate that nobody keeps never opens")]
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Passage::default())))
    }

    /// Waits until this many calls have come to the gate, those that have left it included.
    pub async fn arrived(&self, calls: usize) {
        let mut passage = self.0.subscribe();
        // Cannot fail: `self` is the sender.
        let _ = passage.wait_for(|passage| passage.arrived >= calls).await;
    }

    /// Opens the gate for those who wait and all who come later.
    pub fn release(&self) {
        self.0.send_modify(|passage| passage.open = true);
    }

    pub(super) async fn pass(&self) {
        let mut passage = self.0.subscribe();
        self.0.send_modify(|passage| passage.arrived += 1);
        let _ = passage.wait_for(|passage| passage.open).await;
    }
}

//----------- Rate ---------------------------------------------------

/// How many calls a host takes: a token bucket on the runtime's clock, which a test may pause.
#[derive(Clone, Debug)]
pub struct Rate {
    per_second: f64,
    burst: f64,
    tokens: f64,
    last: Instant,
}

impl Rate {
    /// A full bucket of `burst` calls that gains `per_second`.
    pub fn new(per_second: f64, burst: u32) -> Self {
        Self { per_second, burst: burst.into(), tokens: burst.into(), last: Instant::now() }
    }

    /// Takes a call, or says how long it takes until the next token.
    pub fn take(&mut self) -> Result<(), Duration> {
        let now = Instant::now();
        self.tokens = (self.tokens + now.duration_since(self.last).as_secs_f64() * self.per_second).min(self.burst);
        self.last = now;
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - self.tokens) / self.per_second))
    }
}

//----------- Call ---------------------------------------------------

/// A request that came, and what became of it.
#[derive(Clone, Debug)]
pub struct Call {
    /// The vendor's name of the operation; `unknown` where the path is none of the vendor's.
    pub operation: String,
    /// The request as it came.
    pub request: Request,
    /// When it came, on the runtime's clock.
    pub at: Instant,
    /// The host has done its work, which may have been a refusal.
    pub done: bool,
    /// The status that was sent; `None` while there is none, or when the answer was lost.
    pub status: Option<u16>,
}

//----------- Control ------------------------------------------------

/// The faults to come, the rate and the log of one fake.
#[derive(Debug, Default)]
pub struct Control(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    faults: Vec<Fault>,
    calls: Vec<Call>,
    rates: Vec<(Option<String>, Rate)>,
}

/// What is to happen to a call.
#[derive(Debug, Default)]
pub(super) struct Fate {
    pub(super) number: usize,
    pub(super) gates_before: Vec<Gate>,
    pub(super) gates_after: Vec<Gate>,
    pub(super) effect: Option<Effect>,
}

impl Control {
    /// Adds a fault behind those that wait.
    pub fn add(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    /// Forgets all faults and rates. Held calls stay held by their gates.
    pub fn clear(&self) {
        let mut state = self.state();
        state.faults.clear();
        state.rates.clear();
    }

    /// Refuses what exceeds the rate, of this operation or (`None`) of all calls together. Rates add up.
    pub fn limit(&self, operation: Option<&str>, rate: Rate) {
        self.state().rates.push((operation.map(str::to_owned), rate));
    }

    /// All calls since the start or the last [`Control::forget_calls`], in the order in which they came.
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// How many calls of an operation came.
    pub fn count(&self, operation: &str) -> usize {
        self.state().calls.iter().filter(|call| call.operation == operation).count()
    }

    /// How many calls came, by operation.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for call in &self.state().calls {
            *counts.entry(call.operation.clone()).or_default() += 1;
        }
        counts
    }

    /// Empties the log. A call that is under way is not logged any more.
    pub fn forget_calls(&self) {
        self.state().calls.clear();
    }

    pub(super) fn begin(&self, operation: &str, request: &Request) -> Fate {
        let mut state = self.state();
        let (operation, request, at) = (operation.to_owned(), request.clone(), Instant::now());
        let mut fate = Fate { number: state.calls.len(), ..Fate::default() };
        for fault in &mut state.faults {
            let is_gate = matches!(fault.effect, Effect::Hold(_) | Effect::HoldAnswer(_));
            if (!is_gate && fate.effect.is_some()) || !fault.strikes(&operation, &request) {
                continue;
            }
            match fault.effect.clone() {
                Effect::Hold(gate) => fate.gates_before.push(gate),
                Effect::HoldAnswer(gate) => fate.gates_after.push(gate),
                other => fate.effect = Some(other),
            }
        }
        state.faults.retain(|fault| fault.left > 0);
        state.calls.push(Call { operation, request, at, done: false, status: None });
        fate
    }

    /// Takes one token of each rate that is meant; the longest wait when one of them has none.
    pub(super) fn take(&self, operation: &str) -> Result<(), Duration> {
        let mut state = self.state();
        let meant = |on: &Option<String>| on.as_deref().is_none_or(|wanted| wanted == operation);
        let waits = state.rates.iter_mut().filter(|(on, _)| meant(on)).filter_map(|(_, rate)| rate.take().err());
        waits.max().map_or(Ok(()), Err)
    }

    pub(super) fn note(&self, number: usize, note: impl FnOnce(&mut Call)) {
        if let Some(call) = self.state().calls.get_mut(number) {
            note(call);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
