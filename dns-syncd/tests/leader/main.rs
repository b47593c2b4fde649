//! Who may write: an election in memory, a clock that can be made to sleep, and a daemon between.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod daemon;
mod table;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use dns_syncd::leader::{BootClock as _, Candidate, Leader, Leadership, Record};
use dnsprovider::Fqdn;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::table::{Chair, LEASE, Table, TestClock, record, settings};

/// A safety net, in paused time: what has not come true by then never will.
const PATIENCE: Duration = Duration::from_mins(10);

/// A process that runs for the leadership.
struct Runner {
    leader: Leader,
    clock: Arc<TestClock>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Runner {
    fn start(table: &Arc<Table>, name: &str) -> Self {
        Self::with(table, record(name, &settings()), |candidate| candidate)
    }

    fn with(table: &Arc<Table>, record: Record, change: impl Fn(Candidate) -> Candidate) -> Self {
        let clock = TestClock::new();
        let candidate = Candidate::new(Box::new(Chair(table.clone())), record, LEASE).with_clock(clock.clone());
        let (leader, campaign) = change(candidate).start();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(campaign.run(async move { _ = stopped.await }));
        Self { leader, clock, stop: Some(stop), task }
    }

    /// How it stands once it has stood otherwise than `not`; gives the time that took.
    async fn until(&mut self, is_so: impl Fn(&Leadership) -> bool) -> Duration {
        let begun = Instant::now();
        while !is_so(&self.leader.state().unwrap()) {
            assert!(begun.elapsed() < PATIENCE, "it stays {:?}", self.leader.state());
            tokio::task::yield_now().await;
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        begun.elapsed()
    }

    async fn end(mut self) {
        _ = self.stop.take().unwrap().send(());
        self.task.await.unwrap();
    }
}

fn leads(state: &Leadership) -> bool {
    matches!(state, Leadership::Leading { .. })
}

fn stands_by(state: &Leadership) -> bool {
    matches!(state, Leadership::Standby(_))
}

#[tokio::test(start_paused = true)]
async fn one_leads_and_the_other_takes_over_at_once_when_it_is_given_up() {
    let table = Table::new();
    let mut first = Runner::start(&table, "first");
    first.until(leads).await;
    let mut second = Runner::start(&table, "second");
    second.until(stands_by).await;
    let report = second.leader.report().unwrap();
    assert_eq!((report.role, report.leader.as_deref(), &*report.place), ("standby", Some("first"), "the table"));
    assert_eq!(second.leader.term(), None);
    assert!(second.leader.write_context().is_none());
    first.end().await;
    let took = second.until(leads).await;
    assert!(took < LEASE / 5, "an election tells of its changes, and it still took {took:?}");
    assert_eq!(second.leader.write_context().unwrap().fence.unwrap().token, 2);
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_the_lease_runs_out_first() {
    let table = Table::new();
    let mut first = Runner::start(&table, "first");
    first.until(leads).await;
    let mut second = Runner::start(&table, "second");
    second.until(stands_by).await;
    first.task.abort();
    let took = second.until(leads).await;
    assert!((LEASE * 4 / 5..LEASE * 7 / 5).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_slept_sends_nothing_when_it_wakes() {
    let table = Table::new();
    let mut runner = Runner::start(&table, "first");
    runner.until(leads).await;
    let context = runner.leader.write_context().unwrap();
    assert!(!context.is_over());
    runner.clock.sleep(11);
    // Nothing else has run yet.
    assert!(context.is_over(), "a batch that was begun before");
    assert_eq!(runner.leader.term(), None);
    assert_eq!(runner.leader.report().unwrap().role, "unsure");
    // Nobody took it meanwhile: the same term goes on.
    runner.until(leads).await;
    assert_eq!(runner.leader.term(), Some(1));
    assert!(!context.is_over());
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_an_earlier_term_is_over() {
    let table = Table::new();
    let mut runner = Runner::start(&table, "first");
    runner.until(leads).await;
    let context = runner.leader.write_context().unwrap();
    *table.held.lock().unwrap() = Some((record("second", &settings()), Instant::now()));
    runner.until(|state| matches!(state, Leadership::Leading { term: 2, .. })).await;
    assert!(context.is_over());
    assert!(!runner.leader.write_context().unwrap().is_over());
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_the_leadership_ends_after_two_thirds_of_the_lease() {
    let table = Table::new();
    let mut runner = Runner::start(&table, "first");
    runner.until(leads).await;
    table.hangs.send_replace(true);
    let took = runner.until(|state| !leads(state)).await;
    assert!((LEASE * 2 / 5..=LEASE * 2 / 3).contains(&took), "{took:?}");
    table.hangs.send_replace(false);
    runner.until(leads).await;
    assert_eq!(runner.leader.term(), Some(1));
    // What was asked for before the pause counts from then; the next renewal is a fresh one.
    let clock = runner.clock.clone();
    let fresh = |until: &Duration| *until + Duration::from_millis(200) >= clock.now() + LEASE * 2 / 3;
    runner.until(|state| matches!(state, Leadership::Leading { until: Some(until), .. } if fresh(until))).await;
    *table.fails.lock().unwrap() = true;
    let took = runner.until(|state| !leads(state)).await;
    assert!((LEASE * 2 / 5..=LEASE * 2 / 3 + LEASE / 5).contains(&took), "{took:?}");
    runner.until(|state| *state == Leadership::Unsure(Some("the table is away".to_owned()))).await;
}

#[tokio::test(start_paused = true)]
async fn other_work_is_refused_while_the_leader_lives() {
    let table = Table::new();
    let mut first = Runner::start(&table, "first");
    first.until(leads).await;
    let mut other = settings();
    other.suffix = Fqdn::parse("x.example.test").unwrap();
    let mut second = Runner::with(&table, record("second", &other), |candidate| candidate);
    second.until(|state| matches!(state, Leadership::Refused(..))).await;
    let report = second.leader.report().unwrap();
    assert_eq!(report.role, "refused");
    assert_eq!(report.differences, ["suffix `example.test.` there, `x.example.test.` here"]);
    first.end().await;
    second.until(leads).await;
}

#[tokio::test(start_paused = true)]
async fn a_process_that_runs_alone_leads_where_no_other_can_be_noticed() {
    let table = Table::new();
    *table.is_denied.lock().unwrap() = true;
    let mut alone = Runner::with(&table, record("first", &settings()), Candidate::presence);
    alone.until(leads).await;
    assert_eq!(alone.leader.write_context().unwrap().fence, None);
    alone.clock.sleep(3600);
    assert!(alone.leader.term().is_some(), "nobody can take it away");
    let mut elected = Runner::start(&table, "second");
    elected.until(|state| matches!(state, Leadership::Unsure(Some(_)))).await;
    *table.is_denied.lock().unwrap() = false;
    alone.until(|state| matches!(state, Leadership::Leading { fence: Some(_), .. } | Leadership::Standby(_))).await;
}

#[tokio::test(start_paused = true)]
async fn attempts_that_fail_keep_their_distance_whatever_the_place_tells() {
    for is_denied in [false, true] {
        let table = Table::new();
        *table.is_suspect.lock().unwrap() = true;
        *table.fails.lock().unwrap() = true;
        *table.is_denied.lock().unwrap() = is_denied;
        let mut alone = Runner::with(&table, record("first", &settings()), Candidate::presence);
        alone.until(|state| *state != Leadership::Unsure(None)).await;
        let begun = Instant::now();
        while begun.elapsed() < LEASE {
            tokio::task::yield_now().await;
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        let attempts = table.attempts.load(Ordering::Relaxed);
        assert!((5..=7).contains(&attempts), "{attempts} in one lease");
        let ending = Instant::now();
        alone.end().await;
        assert_eq!(ending.elapsed(), Duration::ZERO, "its end waits for no pause");
    }
}

#[test]
fn a_process_without_an_election_always_leads() {
    let leader = Leader::alone();
    assert_eq!((leader.term(), leader.state(), leader.report()), (Some(0), None, None));
    assert!(leader.write_context().unwrap().time_left.is_none());
}
