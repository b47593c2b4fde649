//! What a test can make go wrong, and when.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use crate::capabilities::Cost;
use crate::error::{ErrorKind, RetryHint};
use crate::name::Fqdn;
use crate::record::RrKey;

/// A method of the provider, to count and to match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Call {
    /// [`crate::DnsProvider::zones`].
    Zones,
    /// [`crate::DnsProvider::create_zone`].
    CreateZone,
    /// [`crate::DnsProvider::delete_zone`].
    DeleteZone,
    /// [`crate::DnsProvider::read_page`].
    ReadPage,
    /// [`crate::DnsProvider::read_names`].
    ReadNames,
    /// [`crate::DnsProvider::apply`].
    Apply,
    /// [`crate::DnsProvider::watch`].
    Watch,
}

impl Call {
    /// What the call does, for messages.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Zones => "listing zones",
            Self::CreateZone => "creating a zone",
            Self::DeleteZone => "deleting a zone",
            Self::ReadPage => "listing a zone",
            Self::ReadNames => "reading names",
            Self::Apply => "applying changes",
            Self::Watch => "watching a zone",
        }
    }
}

//----------- Fault ----------------------------------------------------------

/// Something that goes wrong in one call, the next that matches. Change when with the methods that take `self`.
#[derive(Clone, Debug)]
pub struct Fault {
    effect: Effect,
    call: Option<Call>,
    key: Option<RrKey>,
    skip: u64,
    times: u64,
}

#[derive(Clone, Debug)]
pub(super) enum Effect {
    Fail(ErrorKind, RetryHint),
    Refuse(RrKey, ErrorKind),
    LoseAnswer { done: bool },
    Hold(Gate),
    HoldAnswer(Gate),
    Quota(u64),
    BatchLimit(Cost),
}

impl Fault {
    /// The whole call fails before anything is done.
    pub fn fail(kind: ErrorKind) -> Self {
        let retry = crate::Error::new(kind, super::NAME, "").retry();
        Self::of(Effect::Fail(kind, retry))
    }

    /// The whole call fails with [`ErrorKind::RateLimited`] and this hint.
    pub fn throttle(retry: RetryHint) -> Self {
        Self::of(Effect::Fail(ErrorKind::RateLimited, retry))
    }

    /// An `apply` that changes this set is refused there: the unit with it gets the verdict (with
    /// [`ErrorKind::Conflict`]: [`crate::Outcome::Conflict`]), the rest what the atomicity demands.
    pub fn refuse(key: RrKey, kind: ErrorKind) -> Self {
        Self { key: Some(key.clone()), ..Self::of(Effect::Refuse(key, kind)).on(Call::Apply) }
    }

    /// An `apply` that changes this set finds it changed by somebody else.
    pub fn conflict(key: RrKey) -> Self {
        Self::refuse(key, ErrorKind::Conflict)
    }

    /// The work is done and the answer lost: [`crate::Outcome::Unknown`] for each change, [`ErrorKind::Timeout`] for
    /// other calls.
    pub fn lose_answer() -> Self {
        Self::of(Effect::LoseAnswer { done: true })
    }

    /// The call is lost on its way: the same answers, but nothing is done.
    pub fn lose_call() -> Self {
        Self::of(Effect::LoseAnswer { done: false })
    }

    /// The call waits at the gate before it does anything: a delay without a clock.
    pub fn hold(gate: &Gate) -> Self {
        Self::of(Effect::Hold(gate.clone()))
    }

    /// The call does its work, then waits at the gate with its answer.
    pub fn hold_answer(gate: &Gate) -> Self {
        Self::of(Effect::HoldAnswer(gate.clone()))
    }

    /// The zone is full at this number of sets: creations beyond are refused with [`ErrorKind::LimitExceeded`].
    pub fn quota(sets: u64) -> Self {
        Self::of(Effect::Quota(sets)).on(Call::Apply)
    }

    /// The host allows less in one call than it declares: a batch above is refused as a whole with
    /// [`ErrorKind::LimitExceeded`].
    pub fn batch_limit(limit: Cost) -> Self {
        Self::of(Effect::BatchLimit(limit)).on(Call::Apply)
    }

    fn of(effect: Effect) -> Self {
        Self { effect, call: None, key: None, skip: 0, times: 1 }
    }

    /// Only in this method.
    #[must_use]
    pub fn on(mut self, call: Call) -> Self {
        self.call = Some(call);
        self
    }

    /// Only in calls that change this set or read its name.
    #[must_use]
    pub fn at(mut self, key: RrKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Not before the `n`th matching call, counted from 1.
    #[must_use]
    pub fn nth(mut self, n: u64) -> Self {
        self.skip = n.saturating_sub(1);
        self
    }

    /// In so many matching calls.
    #[must_use]
    pub fn times(mut self, n: u64) -> Self {
        self.times = n;
        self
    }

    /// In all matching calls from then on.
    #[must_use]
    pub fn always(self) -> Self {
        self.times(u64::MAX)
    }
}

/// A fault with what is left of it.
#[derive(Debug)]
pub(super) struct Armed(Fault);

impl Armed {
    pub(super) fn new(fault: Fault) -> Self {
        Self(fault)
    }
}

/// The effects on one call; used-up faults are removed.
pub(super) fn matching(faults: &mut Vec<Armed>, call: Call, touches: &[&RrKey], names: &[Fqdn]) -> Vec<Effect> {
    let mut effects = Vec::new();
    faults.retain_mut(|Armed(fault)| {
        let concerns = |key: &RrKey| touches.contains(&key) || names.contains(&key.owner);
        if fault.call.is_some_and(|only| only != call) || fault.key.as_ref().is_some_and(|key| !concerns(key)) {
            return true;
        }
        if fault.skip > 0 {
            fault.skip -= 1;
            return true;
        }
        if fault.times > 0 {
            fault.times = if fault.times == u64::MAX { u64::MAX } else { fault.times - 1 };
            effects.push(fault.effect.clone());
        }
        fault.times > 0
    });
    effects
}

//----------- Gate -----------------------------------------------------------

/// Holds calls until it is opened. Clones are the same gate; it begins closed.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<Mutex<GateState>>);

#[derive(Debug, Default)]
struct GateState {
    open: bool,
    waiting: usize,
    wakers: Vec<Waker>,
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets all calls pass, those that wait and those to come.
    pub fn open(&self) {
        self.change(|state| state.open = true);
    }

    /// Holds the calls that come from now on.
    pub fn close(&self) {
        self.change(|state| state.open = false);
    }

    /// How many calls wait now.
    pub fn waiting(&self) -> usize {
        self.lock().waiting
    }

    /// Waits until at least one call waits at the gate.
    pub async fn arrived(&self) {
        self.until(|state| state.waiting > 0).await;
    }

    /// Waits until the gate is open; a call that is dropped meanwhile no longer counts as waiting.
    pub(super) async fn pass(&self) {
        struct Waiting<'a>(&'a Gate);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.change(|state| state.waiting -= 1);
            }
        }
        if self.lock().open {
            return;
        }
        self.change(|state| state.waiting += 1);
        let _waiting = Waiting(self);
        self.until(|state| state.open).await;
    }

    async fn until(&self, holds: impl Fn(&GateState) -> bool) {
        poll_fn(|cx| {
            let mut state = self.lock();
            if holds(&state) {
                return Poll::Ready(());
            }
            if !state.wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
                state.wakers.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    fn change(&self, change: impl FnOnce(&mut GateState)) {
        let wakers = {
            let mut state = self.lock();
            change(&mut state);
            std::mem::take(&mut state.wakers)
        };
        super::feed::wake(wakers);
    }

    fn lock(&self) -> MutexGuard<'_, GateState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
