//! One property of the engine in each test.

use dnsprovider::MemoryProvider;
use dnsprovider::memory::Call;

use crate::world::{World, apex, healthy, ip, service};

fn memory() -> MemoryProvider {
    MemoryProvider::new([apex()])
}

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
