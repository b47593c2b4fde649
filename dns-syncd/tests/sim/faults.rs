//! One fault of the host, the source or the daemon in each test.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use dns_providers::Served;
use dns_sync_core::SourceEvent;
use dns_syncd::source::{EndpointSource, SourceError, Stop};
use dns_syncd::{Daemon, DaemonError};
use dnsprovider::memory::{Call, Fault, Gate};
use dnsprovider::{Error, ErrorKind, Fqdn, MemoryProvider, RetryHint, RrKey, RrType};
use tokio::sync::mpsc;

use super::world::{World, answer, apex, builder, fqdn, full_view, healthy, ip, memory, service};

const GLOBAL: &str = "s0.shop.fed.svc";

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_read_and_not_written_twice() {
    let mut world = World::new(memory(), 2, 1).started().await;
    let before = world.calls(Call::Apply);
    world.provider.inject(Fault::lose_answer().on(Call::Apply));
    world.set_copy("c1", service(0), Some(healthy(ip(9, 0)))).await;
    world.wait(10).await;
    assert_eq!(world.addresses(GLOBAL), [ip(2, 0), ip(9, 0)]);
    assert_eq!(world.calls(Call::Apply), before + 1, "reading told that it was done");
}

#[tokio::test(start_paused = true)]
async fn a_lost_call_is_made_again() {
    let mut world = World::new(memory(), 2, 1).started().await;
    world.provider.inject(Fault::lose_call().on(Call::Apply));
    world.set_copy("c1", service(0), Some(healthy(ip(9, 0)))).await;
    world.wait(10).await;
    assert_eq!(world.addresses(GLOBAL), [ip(2, 0), ip(9, 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_says_when_to_come_back_is_left_alone_until_then() {
    let mut world = World::new(memory(), 2, 1).started().await;
    let before = world.calls(Call::Apply);
    world.provider.inject(Fault::throttle(RetryHint::After(Duration::from_secs(40))).on(Call::Apply));
    world.set_copy("c1", service(0), Some(healthy(ip(9, 0)))).await;
    world.wait(39).await;
    assert_eq!(world.calls(Call::Apply), before + 1);
    world.wait(2).await;
    assert_eq!(world.addresses(GLOBAL), [ip(2, 0), ip(9, 0)]);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_tried_again_ever_more_slowly_and_ends() {
    let mut world = World::new(memory(), 2, 1).started().await;
    let before = world.calls(Call::Apply);
    world.provider.inject(Fault::fail(ErrorKind::Unavailable).on(Call::Apply).always());
    world.set_copy("c1", service(0), Some(healthy(ip(9, 0)))).await;
    world.wait(3600).await;
    let tries = world.calls(Call::Apply) - before;
    assert!((12..=40).contains(&tries), "{tries} tries in an hour");
    assert!(world.handle().status().await.unwrap().failures_in_a_row > 10);
    world.provider.clear_faults();
    world.wait(301).await;
    assert_eq!(world.addresses(GLOBAL), [ip(2, 0), ip(9, 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_conflict_with_another_writer_is_read_and_decided_again() {
    let provider = builder().configure(|able| able.watch = false).build();
    let mut world = World::new(provider, 2, 1).started().await;
    let key = RrKey::new(fqdn(GLOBAL), RrType::A);
    world.provider.remove_foreign(&world.zone, &key).unwrap();
    let pages = world.calls(Call::ReadPage);
    world.set_copy("c1", service(0), Some(healthy(ip(9, 0)))).await;
    world.wait(10).await;
    assert_eq!(world.addresses(GLOBAL), [ip(2, 0), ip(9, 0)]);
    assert_eq!(world.calls(Call::ReadPage), pages, "a point read is enough");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_before_the_zone_was_read_in_full() {
    let provider = builder().page_size(1).build();
    let mut world = World::new(provider, 2, 3).started().await;
    world.crash().await;
    world.clusters.get_mut("c1").unwrap().services.insert(service(0), healthy(ip(9, 0)));
    let before = world.calls(Call::Apply);
    world.provider.inject(Fault::fail(ErrorKind::Unavailable).on(Call::ReadPage).nth(3).always());
    world.start();
    world.wait(600).await;
    assert_eq!(world.calls(Call::Apply), before);
    assert!(!world.handle().status().await.unwrap().ready);
    world.provider.clear_faults();
    world.wait(301).await;
    assert_eq!(world.addresses(GLOBAL), [ip(2, 0), ip(9, 0)]);
    assert!(world.handle().status().await.unwrap().ready);
}

#[tokio::test(start_paused = true)]
async fn a_crash_after_the_write_and_before_its_answer_loses_nothing() {
    let mut world = World::new(memory(), 2, 1).started().await;
    let gate = Gate::new();
    world.provider.inject(Fault::hold_answer(&gate).on(Call::Apply));
    world.set_copy("c1", service(0), Some(healthy(ip(9, 0)))).await;
    gate.arrived().await;
    world.crash().await;
    let before = world.calls(Call::Apply);
    world.start();
    world.wait(30).await;
    assert_eq!(world.addresses(GLOBAL), [ip(2, 0), ip(9, 0)]);
    assert_eq!(world.calls(Call::Apply), before, "it was done");
}

#[tokio::test(start_paused = true)]
async fn a_restart_without_a_cluster_keeps_its_addresses_for_the_leave_delay() {
    let mut world = World::new(memory(), 3, 1).started().await;
    world.crash().await;
    let c1 = world.clusters.remove("c1").unwrap();
    world.start();
    world.wait(250).await;
    assert_eq!(world.addresses(GLOBAL), [ip(1, 0), ip(2, 0), ip(3, 0)]);
    world.wait(100).await;
    assert_eq!(world.addresses(GLOBAL), [ip(2, 0), ip(3, 0)]);
    world.tell(vec![SourceEvent::Answer { cluster: "c1".into(), answer: answer(&c1) }]).await;
    world.wait(5).await;
    assert_eq!(world.addresses(GLOBAL), [ip(1, 0), ip(2, 0), ip(3, 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_broken_watch_is_opened_again_and_misses_nothing() {
    let world = World::new(memory(), 2, 1).started().await;
    world.provider.inject(Fault::fail(ErrorKind::Unavailable).on(Call::Watch).times(2));
    world.provider.break_watches(&world.zone).unwrap();
    let key = RrKey::new(fqdn(GLOBAL), RrType::A);
    world.wait(1).await;
    world.provider.remove_foreign(&world.zone, &key).unwrap();
    world.wait(20).await;
    assert_eq!(world.addresses(GLOBAL), [ip(1, 0), ip(2, 0)]);
    assert!(world.handle().status().await.unwrap().last_audit.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_stop_finishes_the_write_in_flight() {
    let mut world = World::new(memory(), 2, 1).started().await;
    let gate = Gate::new();
    world.provider.inject(Fault::hold(&gate).on(Call::Apply));
    world.set_copy("c1", service(0), Some(healthy(ip(9, 0)))).await;
    gate.arrived().await;
    world.ask_to_stop();
    world.wait(5).await;
    assert!(!world.has_ended());
    gate.open();
    world.ended().await.unwrap();
    assert_eq!(world.addresses(GLOBAL), [ip(2, 0), ip(9, 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_leaves_a_write_that_hangs() {
    let mut world = World::new(memory(), 2, 1).started().await;
    let gate = Gate::new();
    world.provider.inject(Fault::hold(&gate).on(Call::Apply));
    world.set_copy("c1", service(0), Some(healthy(ip(9, 0)))).await;
    gate.arrived().await;
    world.ask_to_stop();
    world.wait(11).await;
    assert!(world.has_ended());
    world.ended().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_write_that_never_answers_is_given_up_and_read() {
    let mut world = World::new(memory(), 2, 1).started().await;
    let gate = Gate::new();
    world.provider.inject(Fault::hold(&gate).on(Call::Apply));
    world.set_copy("c1", service(0), Some(healthy(ip(9, 0)))).await;
    world.wait(90).await;
    assert_eq!(world.addresses(GLOBAL), [ip(2, 0), ip(9, 0)]);
}

//----------- The start ------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn a_host_that_is_away_at_the_start_is_waited_for() {
    let mut world = World::new(memory(), 2, 1);
    world.provider.inject(Fault::fail(ErrorKind::Unavailable).on(Call::Zones).times(3));
    world.start();
    world.wait(30).await;
    assert_eq!(world.addresses(GLOBAL), [ip(1, 0), ip(2, 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_zone_that_the_host_lacks_is_an_error_or_created() {
    let mut world = World::new(MemoryProvider::new([]), 2, 1);
    world.start();
    let error = world.ended().await.unwrap_err();
    assert!(matches!(error, DaemonError::Zone(error) if error.kind() == ErrorKind::ZoneNotFound));
    world.start_with(full_view(&world.clusters.clone()), |daemon| daemon.with_create_zone(true));
    world.wait(30).await;
    assert_eq!(world.addresses(GLOBAL), [ip(1, 0), ip(2, 0)]);
}

/// A source that cannot be used.
struct Broken;

fn broken() -> SourceError {
    SourceError { origin: "nowhere".into(), reason: "it has no cluster".into() }
}

#[async_trait]
impl EndpointSource for Broken {
    async fn read_once(&mut self) -> Result<Vec<SourceEvent>, SourceError> {
        Err(broken())
    }

    async fn run(self: Box<Self>, _: mpsc::Sender<Vec<SourceEvent>>, _: Stop) -> Result<(), SourceError> {
        Err(broken())
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_cannot_be_used_ends_the_daemon_and_changes_nothing() {
    let world = World::new(memory(), 1, 1);
    let provider = Arc::new(world.provider.clone());
    let daemon = Daemon::new(world.settings.clone(), provider, Box::new(Broken)).with_resolver(world.resolver.clone());
    let error = daemon.run(std::future::pending()).await.unwrap_err();
    assert!(matches!(error, DaemonError::Source(error) if error == broken()));
    assert_eq!(world.calls(Call::Apply), 0);
}

/// A server that notes what the zone held when it was told to answer.
#[derive(Debug)]
struct Server {
    zone: MemoryProvider,
    ready: AtomicBool,
    was_complete: AtomicBool,
    closed: AtomicBool,
}

#[async_trait]
impl Served for Server {
    async fn set_ready(&self) -> Result<(), Error> {
        let held = self.zone.peek(&dnsprovider::ZoneId(apex().as_str().into()))?;
        let key = RrKey::new(Fqdn::parse("s0.shop.fed.svc.example.com").unwrap(), RrType::A);
        let both = held.get(&key).is_some_and(|entry| entry.data.set.records().len() == 2);
        self.was_complete.store(both, Ordering::SeqCst);
        self.ready.store(true, Ordering::SeqCst);
        Ok(())
    }

    fn is_ready(&self) -> bool {
        self.ready.load(Ordering::SeqCst)
    }

    async fn shutdown(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn a_zone_of_ones_own_is_answered_once_every_cluster_was_heard_and_all_is_written() {
    let mut world = World::new(memory(), 2, 1);
    let server = Arc::new(Server {
        zone: world.provider.clone(),
        ready: AtomicBool::new(false),
        was_complete: AtomicBool::new(false),
        closed: AtomicBool::new(false),
    });
    let joined = |name: &str| SourceEvent::Joined { cluster: name.into() };
    let first = vec![joined("c1"), joined("c2")];
    let served: Arc<dyn Served> = server.clone();
    world.start_with(first, |daemon| daemon.with_served(Some(served)));
    let told = |world: &World, name: &str| {
        vec![SourceEvent::Answer { cluster: name.into(), answer: answer(&world.clusters[name]) }]
    };
    world.tell(told(&world, "c1")).await;
    world.wait(60).await;
    assert!(!server.is_ready() && !world.handle().status().await.unwrap().ready, "c2 has not been heard of");
    world.tell(told(&world, "c2")).await;
    world.wait(5).await;
    assert!(server.is_ready() && server.was_complete.load(Ordering::SeqCst));
    assert!(world.handle().status().await.unwrap().ready);
    world.ask_to_stop();
    world.ended().await.unwrap();
    assert!(server.closed.load(Ordering::SeqCst));
}
