//! One property of the engine in each test.

use std::net::IpAddr;
use std::time::Duration;

use dns_sync_core::hosts::Resolution;
use dns_sync_core::{Endpoint, ServiceCopy, SourceEvent};
use dns_syncd::clusters::ClusterStatus;
use dnsprovider::memory::{Call, Fault, Gate};
use dnsprovider::{ClaimedSet, Entry, MemoryProvider, RecordData, RrKey, RrSet, RrType, Ttl};

use super::world::{World, apex, builder, fqdn, full_view, healthy, ip, memory, service};

#[tokio::test(start_paused = true)]
async fn a_first_start_writes_what_the_clusters_have_and_then_rests() {
    let world = World::new(memory(), 2, 3).started().await;
    assert_eq!(world.addresses("s0.shop.fed.svc"), [ip(1, 0), ip(2, 0)]);
    assert_eq!(world.addresses("s0.shop.fed.svc.r1-1.r1"), [ip(1, 0)]);
    assert_eq!(world.differences().await, Vec::<String>::new());
    let (writes, reads) = (world.calls(Call::Apply), world.calls(Call::ReadNames));
    world.wait(300).await;
    assert_eq!((world.calls(Call::Apply), world.calls(Call::ReadNames)), (writes, reads));
    assert!(world.handle().status().await.unwrap().ready);
}

#[tokio::test(start_paused = true)]
async fn one_changed_service_among_a_thousand_is_one_write_and_no_list() {
    let mut world = World::new(memory(), 2, 1000).started().await;
    let before = [Call::Apply, Call::ReadPage, Call::ReadNames].map(|call| world.calls(call));
    world.set_copy("c1", service(7), Some(healthy(ip(9, 7)))).await;
    world.wait(5).await;
    assert_eq!(world.addresses("s7.shop.fed.svc"), [ip(2, 7), ip(9, 7)]);
    let after = [Call::Apply, Call::ReadPage, Call::ReadNames].map(|call| world.calls(call));
    assert_eq!(after, [before[0] + 1, before[1], before[2]]);
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_a_thousand_events_is_a_few_writes() {
    let mut world = World::new(memory(), 2, 1000).started().await;
    let before = world.calls(Call::Apply);
    for number in 0..1000 {
        world.set_copy("c1", service(number), Some(healthy(ip(9, number)))).await;
    }
    world.wait(5).await;
    assert_eq!(world.differences().await, Vec::<String>::new());
    let writes = world.calls(Call::Apply) - before;
    assert!(writes <= 3, "{writes} writes");
}

#[tokio::test(start_paused = true)]
async fn a_failover_goes_before_two_thousand_creations() {
    let provider = builder().configure(|able| able.limits.batch.sets = 50).build();
    let mut world = World::new(provider, 2, 1).started().await;
    let (first, second) = (Gate::new(), Gate::new());
    world.provider.inject(Fault::hold(&first).on(Call::Apply));
    world.provider.inject(Fault::hold_answer(&second).on(Call::Apply).nth(2));
    for number in 1..=2000 {
        world.set_copy("c2", service(number), Some(healthy(ip(2, number)))).await;
    }
    first.arrived().await;
    world.set_copy("c1", service(0), Some(ServiceCopy { ready: false, ..healthy(ip(1, 0)) })).await;
    world.wait(1).await;
    assert_eq!(world.addresses("s0.shop.fed.svc"), [ip(1, 0), ip(2, 0)], "a write is in flight");
    first.open();
    second.arrived().await;
    assert_eq!(world.addresses("s0.shop.fed.svc"), [ip(2, 0)], "the next call has the failover");
    assert!(world.held().len() < 300, "and most creations still wait");
    second.open();
    world.wait(60).await;
    assert_eq!(world.differences().await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_slow_write_keeps_no_failover_waiting_where_the_host_writes_side_by_side() {
    let provider = builder().configure(|able| able.concurrent_writes = 8).build();
    let mut world = World::new(provider, 2, 3).started().await;
    let slow = Gate::new();
    world.provider.inject(Fault::hold_answer(&slow).on(Call::Apply));
    world.set_copy("c1", service(1), Some(healthy(ip(9, 1)))).await;
    slow.arrived().await;
    world.set_copy("c1", service(0), Some(ServiceCopy { ready: false, ..healthy(ip(1, 0)) })).await;
    world.wait(1).await;
    assert_eq!(slow.waiting(), 1, "the slow write is still out");
    assert_eq!(world.addresses("s0.shop.fed.svc"), [ip(2, 0)]);
    slow.open();
    world.wait(5).await;
    assert_eq!(world.differences().await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn drift_is_repaired_at_once_where_the_host_tells_of_it() {
    let world = World::new(memory(), 2, 2).started().await;
    world.provider.remove_foreign(&world.zone, &RrKey::new(fqdn("s1.shop.fed.svc"), RrType::A)).unwrap();
    world.wait(3).await;
    assert_eq!(world.addresses("s1.shop.fed.svc"), [ip(1, 1), ip(2, 1)]);
    assert!(world.handle().status().await.unwrap().last_audit.is_none());
}

#[tokio::test(start_paused = true)]
async fn drift_is_repaired_by_the_audit_where_the_host_tells_nothing() {
    let provider = MemoryProvider::builder().zone(apex()).configure(|able| able.watch = false).page_size(2).build();
    let world = World::new(provider, 2, 2).started().await;
    let gone = RrKey::new(fqdn("s1.shop.fed.svc"), RrType::A);
    world.provider.remove_foreign(&world.zone, &gone).unwrap();
    let bent = world.held().get(&RrKey::new(fqdn("s0.shop.fed.svc"), RrType::A)).unwrap().clone();
    let other = RrSet::new(bent.key().clone(), Ttl::MAX, [RecordData::from(ip(66, 6))]).unwrap();
    let data = ClaimedSet { set: other, ..bent.data.clone() };
    world.provider.insert_foreign(&world.zone, Entry { data, ..bent }).unwrap();
    world.wait(300).await;
    assert_eq!(world.addresses("s1.shop.fed.svc"), [] as [IpAddr; 0], "nobody has looked yet");
    world.wait(400).await;
    assert_eq!(world.addresses("s1.shop.fed.svc"), [ip(1, 1), ip(2, 1)]);
    assert_eq!(world.addresses("s0.shop.fed.svc"), [ip(1, 0), ip(2, 0)]);
    assert!(world.handle().status().await.unwrap().last_audit.is_some());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_or_read_but_the_audit_when_nothing_changes() {
    let world = World::new(memory(), 2, 20).started().await;
    let calls = |world: &World| [Call::Apply, Call::ReadNames, Call::Watch, Call::Zones].map(|call| world.calls(call));
    let (before, pages) = (calls(&world), world.calls(Call::ReadPage));
    world.wait(3600).await;
    assert_eq!(calls(&world), before);
    assert_eq!(world.calls(Call::ReadPage) - pages, 6, "one page each ten minutes");
}

#[tokio::test(start_paused = true)]
async fn a_set_is_not_written_twice_within_the_minimal_interval() {
    let mut world = World::new(memory(), 2, 1);
    world.settings.min_interval = Duration::from_secs(20);
    let mut world = world.started().await;
    let before = world.calls(Call::Apply);
    let mut copy = healthy(ip(1, 0));
    for address in [41, 42] {
        copy.ingress.insert(Endpoint::Ip(ip(address, 0)));
        world.set_copy("c1", service(0), Some(copy.clone())).await;
        world.wait(5).await;
    }
    assert_eq!(world.calls(Call::Apply), before + 1);
    assert_eq!(world.addresses("s0.shop.fed.svc"), [ip(1, 0), ip(2, 0), ip(41, 0)]);
    world.wait(20).await;
    assert_eq!(world.addresses("s0.shop.fed.svc"), [ip(1, 0), ip(2, 0), ip(41, 0), ip(42, 0)]);
}

#[tokio::test(start_paused = true)]
async fn load_balancer_names_are_resolved_and_an_outage_of_the_resolver_changes_nothing() {
    let mut world = World::new(memory(), 1, 0);
    let answer =
        |addresses: &[IpAddr]| Resolution::Addresses(addresses.iter().copied().collect(), Duration::from_mins(1));
    world.resolver.say("lb.test", answer(&[ip(7, 7)]));
    let copy =
        ServiceCopy { ingress: [Endpoint::Host("lb.test".into())].into(), ready: true, ..ServiceCopy::default() };
    world.clusters.get_mut("c1").unwrap().services.insert(service(0), copy);
    let mut world = world.started().await;
    assert_eq!(world.addresses("s0.shop.fed.svc"), [ip(7, 7)]);
    world.resolver.say("lb.test", Resolution::Failed);
    world.wait(7200).await;
    assert_eq!(world.addresses("s0.shop.fed.svc"), [ip(7, 7)]);
    world.crash().await;
    world.start();
    world.wait(600).await;
    assert_eq!(world.addresses("s0.shop.fed.svc"), [ip(7, 7)], "the zone remembers it");
    world.resolver.say("lb.test", answer(&[ip(7, 8)]));
    world.wait(60).await;
    assert_eq!(world.addresses("s0.shop.fed.svc"), [ip(7, 8)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_held_waits_for_its_approval() {
    let mut world = World::new(memory(), 2, 20).started().await;
    for number in 0..20 {
        for cluster in ["c1", "c2"] {
            world.set_copy(cluster, service(number), None).await;
        }
    }
    world.set_copy("c1", service(100), Some(healthy(ip(1, 100)))).await;
    world.wait(30).await;
    assert_eq!(world.addresses("s100.shop.fed.svc"), [ip(1, 100)], "an addition is never held");
    assert_eq!(world.addresses("s3.shop.fed.svc"), [ip(1, 3), ip(2, 3)]);
    let status = world.handle().status().await.unwrap();
    assert!(status.held.iter().all(|change| change.action == "delete" && change.limit == Some("max-delete")));
    assert!(!world.handle().approve("0123456789abcdef").await.unwrap());
    assert!(world.handle().approve(&status.hash.unwrap()).await.unwrap());
    world.wait(5).await;
    assert_eq!(world.addresses("s3.shop.fed.svc"), [] as [IpAddr; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_unjoined_cluster_is_out_at_once_and_explain_tells_what_happened() {
    let world = World::new(memory(), 2, 1).started().await;
    assert!(!world.handle().unjoin("nobody").await.unwrap());
    assert!(world.handle().unjoin("c1").await.unwrap());
    world.wait(5).await;
    assert_eq!(world.addresses("s0.shop.fed.svc"), [ip(2, 0)]);
    let told = world.handle().explain(fqdn("s0.shop.fed.svc.r1")).await.unwrap();
    assert_eq!((told.service.as_deref(), told.level.as_deref()), (Some("shop/s0"), Some("region r1")));
    let history = told.history.unwrap();
    assert!(history.iter().any(|past| past.change.action == "create"), "{history:?}");
    let left = world.handle().clusters().await.unwrap().into_iter().find(|cluster| cluster.name == "c1").unwrap();
    assert_eq!(left.status, ClusterStatus::Left);
}

/// A kubeconfig that is taken away lies in the pod for a minute longer, and its cluster answers all the while.
#[tokio::test(start_paused = true)]
async fn an_unjoined_cluster_stays_out_while_its_source_goes_on_telling_of_it() {
    let world = World::new(memory(), 2, 1).started().await;
    assert!(world.handle().unjoin("c1").await.unwrap());
    let told = full_view(&world.clusters);
    let (joins, answers): (Vec<_>, Vec<_>) =
        told.into_iter().partition(|event| matches!(event, SourceEvent::Joined { .. }));
    world.tell(answers.clone()).await;
    let lost = SourceEvent::Unknown { cluster: "c1".into(), since: None, reason: "it hangs".into() };
    world.tell(vec![lost]).await;
    world.tell(answers.clone()).await;
    world.wait(600).await;
    assert_eq!(world.addresses("s0.shop.fed.svc"), [ip(2, 0)]);

    world.tell(vec![SourceEvent::Disappeared { cluster: "c1".into() }]).await;
    world.wait(600).await;
    assert_eq!(world.addresses("s0.shop.fed.svc"), [ip(2, 0)]);
    world.tell(joins).await;
    world.tell(answers).await;
    world.wait(5).await;
    assert_eq!(world.addresses("s0.shop.fed.svc"), [ip(1, 0), ip(2, 0)], "it was joined again");
}

#[tokio::test(start_paused = true)]
async fn changed_settings_take_effect_while_it_runs() {
    let world = World::new(memory(), 2, 1).started().await;
    let mut settings = world.settings.clone();
    settings.ttl = Ttl::from_secs(60).unwrap();
    settings.federation = "other".into();
    world.handle().reload(settings).await.unwrap();
    world.wait(5).await;
    let held = world.held();
    let set = held.get(&RrKey::new(fqdn("s0.shop.fed.svc"), RrType::A)).unwrap();
    assert_eq!(set.data.set.ttl().as_secs(), 60, "and the federation needs a restart");
}
