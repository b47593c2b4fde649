//! One pass and no more: what `plan` and `apply` do.

use dns_syncd::engine::{Pass, PassError, records};
use dnsprovider::memory::{Call, Fault};
use dnsprovider::{
    Blocks, ClaimedSet, Entry, ErrorKind, MemoryProvider, RecordData, RetryHint, RrKey, RrSet, RrType, Ttl, Version,
};

use super::world::{Script, World, apex, fqdn, ip, memory, service};

const GLOBAL: &str = "s0.shop.fed.svc";

#[tokio::test(start_paused = true)]
async fn a_pass_plans_without_writing_then_writes_and_leaves_nothing_to_do() {
    let world = World::new(memory(), 2, 3);
    let pass = world.fresh_plan().await;
    assert_eq!((pass.report().changes.len(), world.calls(Call::Apply)), (15, 0));
    let written = pass.write().await.unwrap();
    assert_eq!((written.done, written.failed.len(), written.left.changes.len()), (15, 0, 0));
    assert_eq!(world.addresses(GLOBAL), [ip(1, 0), ip(2, 0)]);
    assert_eq!(world.differences().await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_pass_gets_over_faults_that_pass() {
    let world = World::new(memory(), 2, 3);
    let pass = world.fresh_plan().await;
    for fault in [
        Fault::fail(ErrorKind::Unavailable),
        Fault::throttle(RetryHint::After(std::time::Duration::from_secs(3))),
        Fault::lose_call(),
        Fault::lose_answer(),
    ] {
        world.provider.inject(fault.on(Call::Apply));
    }
    let written = pass.write().await.unwrap();
    assert_eq!((written.failed, written.left.changes), (vec![], vec![]));
    assert_eq!(world.differences().await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_pass_gives_up_on_a_host_that_stays_away_and_says_so() {
    let world = World::new(memory(), 2, 1);
    let pass = world.fresh_plan().await;
    world.provider.inject(Fault::fail(ErrorKind::Unavailable).on(Call::Apply).always());
    let written = pass.write().await.unwrap();
    assert_eq!((written.done, written.failed.len(), written.left.changes.len()), (0, 1, 5));
    assert_eq!(world.calls(Call::Apply), 5);
}

#[tokio::test(start_paused = true)]
async fn a_pass_does_not_repeat_what_is_refused_for_good() {
    let world = World::new(memory(), 2, 1);
    let pass = world.fresh_plan().await;
    world.provider.inject(Fault::fail(ErrorKind::PermissionDenied).on(Call::Apply).always());
    let written = pass.write().await.unwrap();
    assert_eq!((written.done, written.failed.len()), (0, 1));
    assert_eq!(world.calls(Call::Apply), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pass_releases_what_it_holds_for_its_own_hash_alone() {
    let mut world = World::new(memory(), 2, 20);
    world.fresh_plan().await.write().await.unwrap();
    for cluster in world.clusters.values_mut() {
        cluster.services.retain(|id, _| *id == service(0));
    }
    let mut pass = world.fresh_plan().await;
    let report = pass.report();
    assert_eq!((report.changes.len(), report.held.len()), (0, 95));
    assert!(!pass.approve("0123456789abcdef"));
    assert!(pass.approve(&report.hash.unwrap()));
    let written = pass.write().await.unwrap();
    assert_eq!((written.done, written.left.held.len()), (95, 0));
}

#[tokio::test(start_paused = true)]
async fn a_plan_for_a_zone_that_may_be_created_creates_nothing() {
    let world = World::new(MemoryProvider::new([]), 2, 1);
    let source = || Script::telling(&world.clusters);
    let mut cx = world.pass_context();
    let missing = Pass::prepare(cx.clone(), &mut source()).await.unwrap_err();
    assert!(matches!(missing, PassError::Provider(error) if error.kind() == ErrorKind::ZoneNotFound));
    cx.zone.create = true;
    let pass = Pass::prepare(cx, &mut source()).await.unwrap();
    assert_eq!((pass.report().changes.len(), world.calls(Call::CreateZone)), (5, 0));
    assert_eq!(pass.write().await.unwrap().done, 5);
    assert_eq!(world.addresses(GLOBAL), [ip(1, 0), ip(2, 0)]);
}

#[tokio::test(start_paused = true)]
async fn records_need_no_host() {
    let world = World::new(MemoryProvider::new([]), 2, 1);
    let mut source = Script::telling(&world.clusters);
    let resolver: std::sync::Arc<dyn dns_syncd::resolver::Resolve> = world.resolver.clone();
    let found = records(world.settings.clone(), &mut source, &resolver, &*world.pass_context().clock).await;
    let (records, refused, _) = found.unwrap();
    assert_eq!((records.len(), refused.len()), (5, 0));
    assert_eq!(records[0].name, format!("{GLOBAL}.{}", apex()));
}

/// What `apply` reports after failures: the texts, and that they are those of a plan made anew.
#[tokio::test(start_paused = true)]
async fn what_a_pass_reports_after_a_failure_is_planned_anew() {
    // A host that stays away: everything is left, with the reasons of the plan.
    let world = World::new(memory(), 2, 1);
    let pass = world.fresh_plan().await;
    let planned = pass.report();
    world.provider.inject(Fault::fail(ErrorKind::Unavailable).on(Call::Apply).always());
    let written = pass.write().await.unwrap();
    assert_eq!(written.left, planned);
    assert_eq!(written.left.changes[0].reason, "healthy in c1, c2");
    assert_eq!(written.failed, ["memory: applying changes: a fault was injected"]);

    // One name is refused for good, and another one was changed by somebody since the plan.
    let world = World::new(memory(), 2, 2);
    let pass = world.fresh_plan().await;
    let planned = pass.report();
    let key = |name: &str| RrKey::new(fqdn(name), RrType::A);
    let stranger = RrSet::new(key("s1.shop.fed.svc"), Ttl::MAX, [RecordData::from(ip(66, 6))]).unwrap();
    let stranger = Entry { data: ClaimedSet::unclaimed(stranger), version: Version::default(), blocks: Blocks::AsDns };
    world.provider.insert_foreign(&world.zone, stranger).unwrap();
    world.provider.inject(Fault::refuse(key(GLOBAL), ErrorKind::PermissionDenied).always());
    let written = pass.write().await.unwrap();
    let of_global: Vec<_> = planned.changes.into_iter().filter(|change| change.name.starts_with(GLOBAL)).collect();
    let refused: Vec<_> = written.left.refused.iter().map(|refusal| refusal.reason.as_str()).collect();
    assert_eq!((written.done, &written.left.changes[..]), (8, &of_global[..1]));
    assert_eq!(refused, ["a foreign set (A 192.66.0.6) is left alone"]);
    let why = "memory: changing a set: a fault was injected (record set `s0.shop.fed.svc.example.com. A`)";
    assert_eq!(written.failed, [why]);
}
