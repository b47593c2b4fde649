//! One point: a federation of one size, in a process of its own, so that memory is its alone.

use std::time::Duration;

use anyhow::ensure;
use dns_sync_core::{Reconciler, SourceEvent};
use dnsprovider::{Cost, DnsProvider as _, DnsProviderExt as _, MemoryProvider, Unit};
use serde::{Deserialize, Serialize};

use super::drive::{Host, Watch, tell, write_all};
use super::fleet::{Fleet, START, settings};
use crate::spread::percentile;

/// Sets in one call: about what one transaction of etcd takes.
const BATCH_SETS: u64 = 64;
/// Services that change one after the other, each twice.
const CHANGES: u32 = 500;

/// What was measured. Times are seconds of CPU in the decisions alone, without what the host takes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Point {
    pub(crate) fleet: Fleet,
    pub(crate) sets: u64,
    /// All answers into an empty zone, until everything is written.
    pub(crate) fill: f64,
    /// Beside that: asking after each batch when to wake.
    pub(crate) fill_waking: f64,
    /// A start at a zone in which everything stands: reading it in, all answers, the plan.
    pub(crate) start: f64,
    /// Bytes that the core holds after that, as the allocator was asked for them.
    pub(crate) bytes: u64,
    /// One service after the other changes its health: event, plan, batch, outcome. Median and 99th percentile.
    pub(crate) change: [f64; 2],
    /// What can be seen of the first cluster is lost, and its grace ends: changes, and the time to plan them.
    pub(crate) lost_changes: u64,
    pub(crate) lost_plan: f64,
    /// The time to hand them out and to take the outcomes in.
    pub(crate) lost_write: f64,
    pub(crate) lost_waking: f64,
    /// The most memory that was resident in the whole process, the memory provider and the answers included.
    pub(crate) peak_kib: u64,
}

/// Measures it.
pub(crate) async fn measure(fleet: Fleet) -> anyhow::Result<Point> {
    let before = live_bytes();
    let provider = MemoryProvider::builder()
        .zone(settings().zone)
        .page_size(10_000)
        .configure(|able| able.limits.batch.sets = BATCH_SETS)
        .build();
    let able = provider.capabilities();
    let zone = provider.find_zone(Some(&settings().zone), None).await?.id;
    let cost = |unit: &Unit| Cost { sets: unit.changes.len() as u64, ..Cost::default() };
    let batches = fleet.sets() / BATCH_SETS;

    // An empty zone.
    let mut reconciler = Reconciler::new(settings(), &able);
    let mut fill = answers(fleet, &mut reconciler);
    let mut host = Host::Provider(std::sync::Arc::new(provider.clone()), zone.clone());
    let took = write_all(&mut reconciler, &mut host, &able, cost, START, batches, |_| {}).await?;
    fill += took.core;
    ensure!(took.changes == fleet.sets(), "{} of {} sets were written", took.changes, fleet.sets());
    drop(reconciler);

    // A full zone. The provider is dropped before memory is counted, since a host is somewhere else.
    let snapshot = provider.read_zone(&zone).await?;
    drop((provider, host));
    let mut reconciler = Reconciler::new(settings(), &able);
    let mut start = timed(|| reconciler.load_zone(snapshot, START));
    start += answers(fleet, &mut reconciler);
    start += timed(|| reconciler.plan(START));
    ensure!(reconciler.plans().next().is_none(), "a start at a full zone plans changes");
    let bytes = live_bytes() - before;

    let mut host = Host::Nobody(1 << 40);
    let mut now = START.plus(Duration::from_hours(1));
    let mut times = Vec::new();
    let step = (fleet.services / CHANGES).max(1);
    for service in (0..fleet.services).step_by(step as usize) {
        for ready in [false, true] {
            now = now.plus(Duration::from_secs(5));
            let cluster = service % fleet.clusters;
            let copy = Some(fleet.copy(service, cluster, ready));
            let event =
                SourceEvent::Service { cluster: Fleet::cluster(cluster), service: Fleet::service(service), copy };
            let told = tell(&mut reconciler, event, now);
            let took = write_all(&mut reconciler, &mut host, &able, cost, now, 1, |_| {}).await?;
            ensure!(took.changes > 0, "a change of health changed nothing");
            times.push((told + took.core + took.waking).as_secs_f64());
        }
    }
    times.sort_by(f64::total_cmp);

    // All that is dirty is planned when a cluster is lost and again when its grace ends, which alone changes something.
    now = now.plus(Duration::from_hours(1));
    let cluster = Fleet::cluster(0);
    let unknown = SourceEvent::Unknown { cluster, since: None, reason: "it cannot be reached".into() };
    let mut lost_plan = tell(&mut reconciler, unknown, now);
    lost_plan += timed(|| reconciler.plan(now));
    ensure!(reconciler.next_urgency(now).is_none(), "a lost cluster changes something before its grace ends");
    now = now.plus(settings().unreachable_grace).plus(Duration::from_secs(1));
    lost_plan += timed(|| reconciler.plan(now));
    let batches = reconciler.plans().map(|(_, plan)| plan.changes.len() as u64).sum::<u64>() / BATCH_SETS;
    let lost = write_all(&mut reconciler, &mut host, &able, cost, now, batches, |_| {}).await?;
    Ok(Point {
        fleet,
        sets: fleet.sets(),
        fill: fill.as_secs_f64(),
        fill_waking: took.waking.as_secs_f64(),
        start: start.as_secs_f64(),
        bytes,
        change: [percentile(&times, 0.5), percentile(&times, 0.99)],
        lost_changes: lost.changes,
        lost_plan: lost_plan.as_secs_f64(),
        lost_write: lost.core.as_secs_f64(),
        lost_waking: lost.waking.as_secs_f64(),
        peak_kib: peak_kib(),
    })
}

/// Tells all answers, one after the other, so that there is never more than one beside the core.
fn answers(fleet: Fleet, reconciler: &mut Reconciler) -> Duration {
    (0..fleet.clusters).map(|cluster| tell(reconciler, fleet.answer(cluster), START)).sum()
}

fn timed(work: impl FnOnce()) -> Duration {
    let begun = Watch::start();
    work();
    begun.elapsed()
}

/// What is allocated now, in bytes.
fn live_bytes() -> u64 {
    let stats = stats_alloc::INSTRUMENTED_SYSTEM.stats();
    (stats.bytes_allocated - stats.bytes_deallocated) as u64
}

fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or_default()
}
