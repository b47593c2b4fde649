//! What only a daemon on a host without claims does.

use dnsprovider::memory::{Call, Fault, Gate};
use dnsprovider::{ErrorKind, MemoryProvider, RrKey, RrType};

use crate::world::{World, builder, fqdn, healthy, ip, service};

const GLOBAL: &str = "s0.shop.fed.svc";

fn host() -> MemoryProvider {
    builder().configure(|able| able.claims = false).build()
}

fn ledger() -> RrKey {
    RrKey::new(fqdn(&format!("_dns-syncd.{GLOBAL}")), RrType::Txt)
}

#[tokio::test(start_paused = true)]
async fn a_txt_set_that_goes_is_written_anew_and_nothing_else() {
    let world = World::new(host(), 2, 1).started().await;
    let before = world.held();
    let removed = world.provider.remove_foreign(&world.zone, &ledger()).unwrap().unwrap();
    world.wait(10).await;
    let after = world.held();
    assert_eq!(after.get(&ledger()).map(|entry| &entry.data), Some(&removed.data));
    assert_eq!(after.len(), before.len());
    let own = RrKey::new(fqdn(GLOBAL), RrType::A);
    assert_eq!(after.get(&own), before.get(&own));
}

#[tokio::test(start_paused = true)]
async fn a_txt_set_that_goes_unseen_is_found_by_the_audit() {
    let provider = builder().configure(|able| (able.claims, able.watch) = (false, false)).page_size(2).build();
    let world = World::new(provider, 2, 2).started().await;
    world.provider.remove_foreign(&world.zone, &ledger()).unwrap();
    world.wait(700).await;
    assert!(world.held().get(&ledger()).is_some());
    assert_eq!(world.differences().await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_the_three_steps_is_finished_by_the_next_process() {
    // One set in a call: first the TXT set, then name after name, then the TXT set.
    let provider = builder().configure(|able| (able.claims, able.limits.batch.sets) = (false, 1)).build();
    let mut world = World::new(provider, 2, 1).started().await;
    for call in 1..=6 {
        let gate = Gate::new();
        let address = ip(20 + call, 0);
        world.provider.inject(Fault::hold_answer(&gate).on(Call::Apply).nth(call.into()));
        world.set_copy("c1", service(0), Some(healthy(address))).await;
        world.wait(5).await;
        world.crash().await;
        world.provider.clear_faults();
        world.start();
        world.wait(120).await;
        assert_eq!(world.addresses(GLOBAL), [ip(2, 0), address], "after a crash in call {call}");
        assert_eq!(world.differences().await, Vec::<String>::new());
        assert!(world.handle().plan().await.unwrap().refused.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_pass_writes_what_it_may_beside_a_set_that_is_refused_for_good_and_tells_of_it() {
    let world = World::new(host(), 2, 1);
    let bad = RrKey::new(fqdn(&format!("{GLOBAL}.r1")), RrType::A);
    world.provider.inject(Fault::refuse(bad, ErrorKind::InvalidInput).always());
    let written = world.fresh_plan().await.write().await.unwrap();
    assert_eq!((written.done, written.failed.len(), written.left.changes.len()), (4, 1, 1));
    assert_eq!(world.addresses(GLOBAL), [ip(1, 0), ip(2, 0)]);
}
