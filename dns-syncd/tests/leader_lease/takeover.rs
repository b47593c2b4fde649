//! When a leader crashes, another one has its lease within the lease time, and not while that leader might still write.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use dns_syncd::leader::{BootClock, Campaign, Candidate, Leader, LeaseElection};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use crate::cluster::{Cluster, client};
use crate::record;

const LEASE: Duration = Duration::from_secs(15);

/// The clock of the test, which is paused.
#[derive(Debug)]
struct TestClock(Instant);

impl BootClock for TestClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

fn run(cluster: &Arc<Cluster>, name: &str) -> (Leader, JoinHandle<()>) {
    let clock = Arc::new(TestClock(Instant::now()));
    let election = LeaseElection::new(client(cluster), "dns", "fed", LEASE, clock.clone());
    let candidate = Candidate::new(Box::new(election), record(name), LEASE).with_clock(clock);
    let (leader, campaign): (_, Campaign) = candidate.start();
    (leader, tokio::spawn(campaign.run(std::future::pending())))
}

/// When somebody wrote the lease last.
fn last(cluster: &Cluster, holder: &str) -> Option<Instant> {
    let written = cluster.written.lock().unwrap();
    written.iter().rev().find(|(by, _)| by == holder).map(|(_, at)| *at)
}

/// At every moment between two renewals, and for every moment at which the other one began.
#[tokio::test(start_paused = true)]
async fn a_standby_takes_over_within_the_lease_time() {
    for (lag, crash) in (0..15).flat_map(|lag| (0..11).map(move |crash| (lag * 200, crash * 290))) {
        let (cluster, start) = (Arc::new(Cluster::default()), Instant::now());
        let (leader, first) = run(&cluster, "first");
        sleep(Duration::from_millis(10 + lag)).await;
        assert!(leader.term().is_some());
        let (standby, second) = run(&cluster, "second");
        sleep_until(start + 2 * LEASE + Duration::from_millis(crash)).await;
        first.abort();
        let renewed = last(&cluster, "first").unwrap();
        assert!(leader.term().is_some() && standby.term().is_none() && last(&cluster, "second").is_none());
        let mut writes = None;
        while standby.term().is_none() {
            sleep(Duration::from_millis(10)).await;
            if leader.term().is_some() {
                writes = Some(renewed.elapsed());
            }
            assert!(renewed.elapsed() <= LEASE + Duration::from_millis(10), "{lag} {crash}: nobody leads");
        }
        let took = last(&cluster, "second").unwrap() - renewed;
        assert!(took <= LEASE, "{lag} {crash}: {took:?} after the last renewal");
        let writes = writes.unwrap();
        assert!(took > writes + LEASE / 5, "{lag} {crash}: {took:?}, and the other wrote for {writes:?}");
        second.abort();
    }
}

/// One look in a fifteenth of the lease, while the leader renews it five times.
#[tokio::test(start_paused = true)]
async fn standing_by_costs_a_read_in_a_second() {
    let cluster = Arc::new(Cluster::default());
    let (_leader, first) = run(&cluster, "first");
    sleep(Duration::from_millis(10)).await;
    let (_standby, second) = run(&cluster, "second");
    sleep(LEASE).await;
    let (reads, writes) = (cluster.reads.load(Ordering::Relaxed), cluster.written.lock().unwrap().len());
    let begun = Instant::now();
    sleep(4 * LEASE).await;
    let more = (cluster.reads.load(Ordering::Relaxed) - reads, cluster.written.lock().unwrap().len() - writes);
    assert!((60..=64).contains(&more.0) && more.1 == 20, "{more:?} in {:?}", begun.elapsed());
    first.abort();
    second.abort();
}
