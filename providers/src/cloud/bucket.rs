//! So many calls of one kind as a host grants, the urgent first.
//!
//! A token bucket whose rate adapts: halved when the host throttles, and raised again by each call that it takes, up to
//! what it grants. Whoever waits stands in a queue, by urgency and then by arrival.
//!
//! Law: in any time *t* at most *burst* + *rate* × *t* calls are let through, whatever happens.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dnsprovider::capabilities::Rate;
use dnsprovider::{Lane, TimeLeft};
use tokio::sync::Notify;
use tokio::time::Instant;

/// However often a host throttles, so small a part of its rate is tried again.
const SLOWEST: f64 = 1.0 / 32.0;
/// What a call that was taken adds to a lowered rate, as part of the granted one.
const RAISE: f64 = 1.0 / 32.0;
/// Answers to calls that were out together tell of one excess, so a rate is halved at most this often.
const HALVE_EVERY: Duration = Duration::from_secs(1);
/// Sums of fractions of a token do not come out even.
const ENOUGH: f64 = 1.0 - 1e-9;

/// Whose turn it is among those that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Turn {
    /// A write for which a dead name waits.
    Urgent,
    /// A read on which the next write depends.
    Point,
    /// Other writes, and reading pages.
    Bulk,
}

impl From<Lane> for Turn {
    fn from(lane: Lane) -> Self {
        match lane {
            Lane::Urgent => Self::Urgent,
            Lane::Bulk => Self::Bulk,
        }
    }
}

/// The calls of one kind that an account may make. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Bucket(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Somebody left the queue, or the rate changed.
    moved: Notify,
}

#[derive(Debug)]
struct State {
    granted: f64,
    burst: f64,
    /// Tokens a second as of now, at most what is granted.
    rate: f64,
    tokens: f64,
    /// Tokens that were taken ahead of their calls. The bucket fills up to so many less, since these calls may go at
    /// any time.
    ahead: u32,
    filled: Instant,
    closed_until: Option<Instant>,
    halved: Option<Instant>,
    queue: BTreeSet<Ticket>,
    arrivals: u64,
}

type Ticket = (Turn, u64);

/// The time was over before the turn came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLate;

impl Bucket {
    /// A full bucket.
    pub(crate) fn new(rate: Rate) -> Self {
        let burst = f64::from(rate.burst.max(1));
        let state = State {
            granted: rate.per_second,
            burst,
            rate: rate.per_second,
            tokens: burst,
            ahead: 0,
            filled: Instant::now(),
            closed_until: None,
            halved: None,
            queue: BTreeSet::new(),
            arrivals: 0,
        };
        Self(Arc::new(Shared { state: Mutex::new(state), moved: Notify::new() }))
    }

    /// Waits for its turn and takes one token.
    ///
    /// **Cancel**: takes nothing.
    ///
    /// # Errors
    /// [`TooLate`] when the turn would not come, or did not come, in the time that is left; nothing is taken.
    pub(crate) async fn pay(&self, turn: Turn, time_left: &TimeLeft) -> Result<(), TooLate> {
        self.wait(1, turn, time_left, |_| ()).await
    }

    /// As [`Bucket::pay`], for so many calls that come later, though for no more than the burst: while it lives, each of
    /// what this gives stands for one of them.
    ///
    /// They are taken together: of those that held a part and waited for the rest nobody might ever have all.
    #[cfg(any(feature = "azure", test))]
    pub(crate) async fn pay_ahead(
        &self,
        calls: usize,
        turn: Turn,
        time_left: &TimeLeft,
    ) -> Result<Vec<Ahead>, TooLate> {
        let burst = self.0.lock().burst;
        let calls = u32::try_from(calls).unwrap_or(u32::MAX);
        let calls = (1..=calls).rev().find(|calls| f64::from(*calls) <= burst).unwrap_or(0);
        if calls == 0 {
            return Ok(Vec::new());
        }
        self.wait(calls, turn, time_left, |state| state.ahead += calls).await?;
        Ok((0..calls).map(|_| Ahead(self.0.clone())).collect())
    }

    /// Waits for its turn and takes so many tokens, with what else is to be done at the same moment.
    async fn wait(
        &self,
        tokens: u32,
        turn: Turn,
        time_left: &TimeLeft,
        taken: impl Fn(&mut State),
    ) -> Result<(), TooLate> {
        let place = Place::new(&self.0, turn);
        loop {
            let mut moved = std::pin::pin!(self.0.moved.notified());
            moved.as_mut().enable();
            let end = Instant::now() + time_left();
            let turns = {
                let mut state = self.0.lock();
                let turns = state.take(place.ticket, tokens);
                if matches!(turns, Turns::Taken) {
                    taken(&mut state);
                }
                turns
            };
            let look_again = match turns {
                Turns::Taken => return Ok(()),
                Turns::At(free) if free > end => return Err(TooLate),
                Turns::At(free) => free,
                Turns::Behind => end,
            };
            tokio::select! {
                () = moved => {}
                () = tokio::time::sleep_until(look_again) => {}
            }
            if Instant::now() >= end && time_left().is_zero() {
                return Err(TooLate);
            }
        }
    }

    /// The host throttled a call: slower from now on, and nothing before `pause` where it said so.
    pub(crate) fn throttled(&self, pause: Option<Duration>) {
        let now = Instant::now();
        let mut state = self.0.lock();
        state.fill(now);
        state.tokens = 0.0;
        if state.halved.is_none_or(|at| now >= at + HALVE_EVERY) {
            state.halved = Some(now);
            state.rate = (state.rate / 2.0).max(state.granted * SLOWEST);
        }
        if let Some(pause) = pause {
            let until = now + pause;
            state.closed_until = Some(state.closed_until.map_or(until, |earlier| earlier.max(until)));
        }
        drop(state);
        self.0.moved.notify_waiters();
    }

    /// The host took a call: a lowered rate rises again.
    pub(crate) fn accepted(&self) {
        let mut state = self.0.lock();
        if state.rate < state.granted {
            state.fill(Instant::now());
            state.rate = (state.rate + state.granted * RAISE).min(state.granted);
            drop(state);
            self.0.moved.notify_waiters();
        }
    }
}

/// A token that was taken ahead of its call; to be dropped once that is made, or is not made after all.
#[cfg(any(feature = "azure", test))]
#[derive(Debug)]
#[must_use]
pub(crate) struct Ahead(Arc<Shared>);

#[cfg(any(feature = "azure", test))]
impl Drop for Ahead {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.fill(Instant::now()); // up to now by so many less
        state.ahead -= 1;
        drop(state);
        self.0.moved.notify_waiters();
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Every change leaves the state whole, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Turns {
    Taken,
    At(Instant),
    Behind,
}

impl State {
    fn fill(&mut self, now: Instant) {
        let grown = now.saturating_duration_since(self.filled).as_secs_f64() * self.rate;
        self.tokens = (self.tokens + grown).min(self.burst - f64::from(self.ahead)).max(0.0);
        self.filled = now;
    }

    fn take(&mut self, ticket: Ticket, tokens: u32) -> Turns {
        let now = Instant::now();
        self.fill(now);
        if self.queue.first() != Some(&ticket) {
            return Turns::Behind;
        }
        if let Some(until) = self.closed_until.filter(|until| now < *until) {
            return Turns::At(until);
        }
        let tokens = f64::from(tokens);
        if self.tokens >= tokens * ENOUGH {
            self.tokens = (self.tokens - tokens).max(0.0);
            return Turns::Taken;
        }
        let missing = (tokens - self.tokens) / self.rate;
        // Timers are coarse: at least a millisecond, so that nobody spins.
        Turns::At(now + Duration::from_secs_f64(missing).max(Duration::from_millis(1)))
    }
}

/// A place in the queue, given up when dropped.
struct Place<'a> {
    shared: &'a Shared,
    ticket: Ticket,
}

impl<'a> Place<'a> {
    fn new(shared: &'a Shared, turn: Turn) -> Self {
        let mut state = shared.lock();
        state.arrivals += 1;
        let ticket = (turn, state.arrivals);
        state.queue.insert(ticket);
        Self { shared, ticket }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.shared.lock().queue.remove(&self.ticket);
        self.shared.moved.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use dnsprovider::capabilities::Operation;
    use proptest::prelude::*;
    use tokio::task::JoinSet;

    use super::*;

    fn bucket(per_second: f64, burst: u32) -> Bucket {
        Bucket::new(Rate { operation: Operation::List, per_second, burst })
    }

    fn left(seconds: u64) -> TimeLeft {
        let end = Instant::now() + Duration::from_secs(seconds);
        Arc::new(move || end.saturating_duration_since(Instant::now()))
    }

    fn on_paused_time<T>(test: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.expect("a runtime").block_on(test)
    }

    #[derive(Clone, Debug)]
    enum Step {
        Pay(Turn),
        /// So many calls are made so many milliseconds after they were granted, one after the other.
        Ahead(usize, Turn, u16),
        Throttled(Option<u16>),
        Accepted,
        Pass(u16),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let turn = prop_oneof![Just(Turn::Urgent), Just(Turn::Point), Just(Turn::Bulk)];
        let step = prop_oneof![
            6 => turn.clone().prop_map(Step::Pay),
            2 => (1..4usize, turn, 0..5000u16).prop_map(|(calls, turn, ms)| Step::Ahead(calls, turn, ms)),
            1 => proptest::option::of(0..3000u16).prop_map(Step::Throttled),
            3 => Just(Step::Accepted),
            3 => (0..800u16).prop_map(Step::Pass),
        ];
        proptest::collection::vec(step, 1..120)
    }

    proptest! {
        #[test]
        fn never_more_than_burst_and_rate_times_time(steps in steps(), per_second in 1u32..50, burst in 1u32..20) {
            let let_through = on_paused_time(async {
                let bucket = bucket(f64::from(per_second), burst);
                let (sender, receiver) = mpsc::channel();
                let mut calls = JoinSet::new();
                for step in steps {
                    match step {
                        Step::Pay(turn) => {
                            let (bucket, sender) = (bucket.clone(), sender.clone());
                            calls.spawn(async move {
                                if bucket.pay(turn, &left(60)).await.is_ok() {
                                    _ = sender.send(Instant::now());
                                }
                            });
                            tokio::task::yield_now().await;
                        }
                        Step::Ahead(calls_ahead, turn, ms) => {
                            let (bucket, sender) = (bucket.clone(), sender.clone());
                            calls.spawn(async move {
                                for _ahead in bucket.pay_ahead(calls_ahead, turn, &left(60)).await.unwrap_or_default() {
                                    tokio::time::sleep(Duration::from_millis(ms.into())).await;
                                    _ = sender.send(Instant::now());
                                }
                            });
                            tokio::task::yield_now().await;
                        }
                        Step::Throttled(pause) => bucket.throttled(pause.map(|ms| Duration::from_millis(ms.into()))),
                        Step::Accepted => bucket.accepted(),
                        Step::Pass(ms) => tokio::time::advance(Duration::from_millis(ms.into())).await,
                    }
                }
                while calls.join_next().await.is_some() {}
                receiver.try_iter().collect::<Vec<_>>()
            });
            for (first, begun) in let_through.iter().enumerate() {
                for (last, ended) in let_through.iter().enumerate().skip(first) {
                    let allowed = f64::from(burst) + f64::from(per_second) * (*ended - *begun).as_secs_f64();
                    let calls = u32::try_from(last - first + 1).expect("few");
                    prop_assert!(f64::from(calls) <= allowed + 1e-6, "{calls} calls where {allowed} are granted");
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_urgent_goes_before_all_that_waits() {
        let bucket = bucket(1.0, 1);
        let (sender, receiver) = mpsc::channel();
        let mut calls = JoinSet::new();
        for (name, turn) in
            [("a", Turn::Bulk), ("b", Turn::Bulk), ("c", Turn::Point), ("d", Turn::Bulk), ("e", Turn::Urgent)]
        {
            let (bucket, sender) = (bucket.clone(), sender.clone());
            calls.spawn(async move {
                bucket.pay(turn, &left(60)).await.expect("a minute is enough");
                sender.send(name).expect("somebody listens");
            });
            tokio::task::yield_now().await;
        }
        while calls.join_next().await.is_some() {}
        // The first came when nobody waited.
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), ["a", "e", "c", "b", "d"]);
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_pay_for_several_calls_ahead_come_to_their_turn() {
        let bucket = bucket(2.0, 20);
        drop(bucket.pay_ahead(50, Turn::Bulk, &left(1)).await.expect("the bucket is full"));
        let mut units = JoinSet::new();
        for _ in 0..25 {
            let bucket = bucket.clone();
            units.spawn(async move {
                let ahead = bucket.pay_ahead(2, Turn::Bulk, &left(60)).await?;
                tokio::time::sleep(Duration::from_millis(200)).await;
                drop(ahead);
                Ok::<_, TooLate>(())
            });
        }
        assert!(units.join_all().await.iter().all(Result::is_ok), "fifty tokens are there after 25 seconds");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_gives_up_takes_nothing_and_lets_the_next_one_through() {
        let bucket = bucket(1.0, 1);
        bucket.pay(Turn::Bulk, &left(1)).await.expect("the bucket is full");
        let urgent = tokio::spawn({
            let bucket = bucket.clone();
            async move { bucket.pay(Turn::Urgent, &left(60)).await }
        });
        let bulk = tokio::spawn({
            let bucket = bucket.clone();
            async move { bucket.pay(Turn::Bulk, &left(60)).await.map(|()| Instant::now()) }
        });
        tokio::task::yield_now().await;
        let begun = Instant::now();
        urgent.abort();
        let through = bulk.await.expect("it ends").expect("its turn comes");
        assert!(through - begun <= Duration::from_millis(1100), "after one token's time");
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_cannot_come_in_time_is_told_at_once() {
        let bucket = bucket(0.1, 1);
        bucket.pay(Turn::Bulk, &left(1)).await.expect("the bucket is full");
        let begun = Instant::now();
        assert_eq!(bucket.pay(Turn::Urgent, &left(5)).await, Err(TooLate));
        assert_eq!(Instant::now(), begun, "ten seconds are more than five");
    }

    #[tokio::test(start_paused = true)]
    async fn throttling_halves_the_rate_once_and_success_brings_it_back() {
        let bucket = bucket(10.0, 1);
        let rate = |bucket: &Bucket| bucket.0.lock().rate;
        bucket.throttled(None);
        bucket.throttled(None);
        assert!((rate(&bucket) - 5.0).abs() < 1e-9, "two answers of one moment are one excess");
        tokio::time::advance(HALVE_EVERY).await;
        bucket.throttled(Some(Duration::from_secs(7)));
        assert!((rate(&bucket) - 2.5).abs() < 1e-9);
        let begun = Instant::now();
        bucket.pay(Turn::Urgent, &left(60)).await.expect("a minute is enough");
        assert!(Instant::now() - begun >= Duration::from_secs(7), "the host said so");
        for _ in 0..40 {
            bucket.accepted();
        }
        assert!((rate(&bucket) - 10.0).abs() < 1e-9);
    }
}
