//! A failover in the middle of bulk work, at a host that takes a few writes a second.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dns_conformance::fakes::azure;
use dns_conformance::fakes::faults::Call;
use dns_providers::azure::Rates;
use dnsprovider::capabilities::Operation;

use crate::clouds::Cloud;
use crate::members::{Member, NAMESPACE};
use crate::truth::{FEDERATION, truth};
use crate::world::{GRACE, World};

/// Four names each: the global one, that of the region, and those of its two zones.
const SERVICES: usize = 2_500;
const NAMES: usize = 4 * SERVICES;
/// Creations of the bulk that are done when the failover arrives: the daemon's burst is used up, and each goes at the
/// rate.
const UNDER_WAY: usize = 40;
/// Creations of the bulk that nobody can take back at two moments: one that has got its turn already when the failover
/// takes its place before all that waits, up to seventy calls; and one while the deletion is awaited that makes room for
/// the CNAME. What is out is bounded by the rate, and not by how many calls may be out: whoever waits for a turn is not
/// out. So more than these come only when answers take longer than a turn.
const ALREADY_OUT: usize = 2;
/// A safety net.
const PATIENCE: Duration = Duration::from_mins(2);

/// The set of a write, as `TYPE name`; `None` for another call.
fn written(call: &Call) -> Option<String> {
    let segments = call.request.segments();
    let [.., rr_type, name] = &segments[..] else { return None };
    let is_write = ["RecordSets_CreateOrUpdate", "RecordSets_Delete"].contains(&call.operation.as_str());
    is_write.then(|| format!("{} {rr_type} {name}", call.request.method))
}

fn writes(fake: &azure::Fake) -> Vec<String> {
    fake.control().calls().iter().filter_map(written).collect()
}

/// When each of them came.
fn times(fake: &azure::Fake) -> Vec<tokio::time::Instant> {
    fake.control().calls().iter().filter(|call| written(call).is_some()).map(|call| call.at).collect()
}

/// Creations that the daemon sends in that time, as the one who pays its host's rate.
fn turns_in(time: Duration) -> usize {
    let rates = Rates::default().zone;
    let rate = rates.iter().find(|rate| rate.operation == Operation::Create).unwrap();
    let turn = Duration::from_secs_f64(1.0 / rate.per_second);
    usize::try_from(time.as_nanos() / turn.as_nanos()).unwrap()
}

/// Writes of the service that lives on, with their places among all writes.
fn of_web(writes: &[String]) -> BTreeMap<&str, usize> {
    let owner = format!(" web.{NAMESPACE}.{FEDERATION}.svc");
    writes.iter().enumerate().filter(|(_, write)| write.contains(&owner)).map(|(at, write)| (&**write, at)).collect()
}

/// 10,000 new sets take an hour at the rate of the vendor, which the stand-in enforces; the four writes of a failover
/// that arrives meanwhile come next.
#[tokio::test(flavor = "multi_thread")]
async fn a_failover_in_the_middle_of_10_000_azure_creates_is_written_next() {
    let fake = Arc::new(azure::Fake::start().await);
    fake.limits(|limits| limits.record_sets = 2 * NAMES);
    fake.enforce_rates();
    let cloud = Cloud::on_azure(&fake);
    let (mut world, _mirror) = cloud.world().await;
    world.allow_gaps();
    world.open_admin();
    world.configure(&format!("unreachable-grace = {}", GRACE.as_secs()));
    let (eu, mut us) =
        (Member::new("eu").with("web", &["192.0.2.1"]), Member::new("us").with("web", &["198.51.100.1"]));
    us.region.clone_from(&eu.region);
    world.clusters.put_all([&eu, &us]);
    world.expect(truth(&[eu.clone(), us.clone()]));
    world.start();
    world.settle("one service is published").await;

    let before = writes(&fake).len();
    let crowd = (0..SERVICES).fold(us.clone(), |member, index| {
        member.with(&format!("s{index}"), &[&format!("198.18.{}.{}", index / 200, index % 200 + 1)])
    });
    world.clusters.put(&crowd);
    until(&world, || writes(&fake).len() >= before + UNDER_WAY).await;

    let sick = eu.ready("web", false);
    world.expect(truth(&[sick.clone(), us]));
    let arrived = writes(&fake).len();
    world.clusters.put(&sick);
    let (known, known_at) = known(&world, &fake, arrived).await;
    world.settle("the service fails over").await;

    let all = writes(&fake);
    let failover = of_web(&all[arrived..]);
    let web = format!("web.{NAMESPACE}.{FEDERATION}.svc");
    let expected = [
        format!("DELETE A {web}.eu-a.eu"),
        format!("PUT A {web}"),
        format!("PUT A {web}.eu"),
        format!("PUT CNAME {web}.eu-a.eu"),
    ];
    assert!(failover.keys().copied().eq(&expected), "{failover:?}");
    let times = times(&fake);
    let (first, last) = (arrived + failover.values().min().unwrap(), arrived + failover.values().max().unwrap());
    let after = &all[known.min(last)..=last];
    let bulk = after.len() - of_web(after).len();
    // Until it was sent, and while the deletion was awaited.
    let took =
        (times[first].saturating_duration_since(known_at), times[last] - times[arrived + failover[&*expected[0]]]);
    let turns = turns_in(took.0) + turns_in(took.1);
    assert!(bulk <= ALREADY_OUT + turns, "{bulk} writes went before a failover that was known, {took:?}: {after:?}");
    let status = world.status().await.unwrap();
    let left = status["queue"]["creation"].as_u64().unwrap();
    assert!(left > NAMES as u64 / 2, "the bulk is nearly done, so nothing was in the way: {}", status["queue"]);
    world.finish().await;
}

/// How many writes the stand-in has seen when the daemon shows that it knows of the failover, in its queue or by a write;
/// and when that was.
async fn known(world: &World, fake: &azure::Fake, arrived: usize) -> (usize, tokio::time::Instant) {
    let begun = Instant::now();
    loop {
        let queue = world.status().await.map(|status| status["queue"].clone()).unwrap_or_default();
        let all = writes(fake);
        if queue["failover"].as_u64() > Some(0) {
            return (all.len(), tokio::time::Instant::now());
        }
        if let Some(first) = of_web(&all[arrived..]).values().min() {
            return (arrived + first, tokio::time::Instant::now());
        }
        assert!(begun.elapsed() < PATIENCE, "the daemon never knew: {queue}\n{}", world.log());
    }
}

async fn until(world: &World, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "the bulk was never under way:\n{}", world.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
