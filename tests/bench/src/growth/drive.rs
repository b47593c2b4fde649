//! Drives the core as the daemon does: plan what is dirty, take a batch, write it, record it, ask when to wake.

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use dns_sync_core::{Batch, Reconciler, SourceEvent, Timestamp};
use dnsprovider::chunk::Packer;
use dnsprovider::{Applied, ApplyContext, Capabilities, DnsProvider, Outcome, Unit, Version, ZoneId};
use nix::time::{ClockId, clock_gettime};

/// Who takes the writes.
#[derive(Debug)]
pub(crate) enum Host {
    /// A provider.
    Provider(Arc<dyn DnsProvider>, ZoneId),
    /// Nobody: everything counts as done at once and nothing is kept.
    Nobody(u64),
}

impl Host {
    async fn apply(&mut self, batch: &Batch) -> anyhow::Result<Applied> {
        match self {
            Self::Provider(provider, zone) => {
                Ok(provider.apply(zone, &batch.changes, &ApplyContext::default()).await?)
            }
            Self::Nobody(revision) => {
                *revision += 1;
                Ok(Applied::all(&batch.changes, |_| Outcome::Done(Version::at(*revision))))
            }
        }
    }
}

/// What writing took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Took {
    /// Changes that are done.
    pub(crate) changes: u64,
    pub(crate) batches: u64,
    /// The core: plans, batches, outcomes.
    pub(crate) core: Duration,
    /// Beside that, in the core: when to wake next, which the daemon asks after each batch. Asked after some of them,
    /// spread evenly, and taken for all.
    pub(crate) waking: Duration,
}

/// A watch on the CPU time of this thread: the decisions wait for nothing, and what else runs on the machine does not
/// count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch(Duration);

impl Watch {
    pub(crate) fn start() -> Self {
        let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("Linux has this clock");
        Self(Duration::from(time))
    }

    pub(crate) fn elapsed(self) -> Duration {
        Self::start().0.saturating_sub(self.0)
    }
}

/// So often the time of waking is measured in one pass: where there is much to write it would be most of the work.
const SAMPLES: u64 = 200;

/// Tells the core something, and counts its time.
pub(crate) fn tell(reconciler: &mut Reconciler, event: SourceEvent, now: Timestamp) -> Duration {
    let begun = Watch::start();
    reconciler.observe(event, now);
    begun.elapsed()
}

/// Plans and writes until nothing is left that may be written now; about `batches` are expected. `seen` is shown each
/// batch before it is written.
pub(crate) async fn write_all(
    reconciler: &mut Reconciler,
    host: &mut Host,
    able: &Capabilities,
    cost: impl Fn(&Unit) -> dnsprovider::Cost,
    now: Timestamp,
    batches: u64,
    mut seen: impl FnMut(&Batch),
) -> anyhow::Result<Took> {
    let mut took = Took::default();
    let (mut asked, mut asking) = (0_u32, Duration::ZERO);
    let every = (batches / SAMPLES).max(1);
    loop {
        let begun = Watch::start();
        if reconciler.is_dirty() {
            reconciler.plan(now);
        }
        _ = reconciler.next_urgency(now);
        let mut packer = Packer::new(able);
        let batch = reconciler.next_batch(now, |unit| packer.add(cost(unit)));
        took.core += begun.elapsed();
        let Some(batch) = batch else { break };
        seen(&batch);
        let applied = host.apply(&batch).await?;
        let begun = Watch::start();
        let follow = reconciler.record(batch, &applied, now);
        took.core += begun.elapsed();
        ensure!(follow.failed.is_empty() && follow.conflicts == 0, "the host refused something: {follow:?}");
        took.changes += follow.done as u64;
        took.batches += 1;
        if took.batches.is_multiple_of(every) {
            let begun = Watch::start();
            _ = reconciler.next_wake(now);
            asking += begun.elapsed();
            asked += 1;
        }
    }
    if asked > 0 {
        took.waking = asking.mul_f64(took.batches as f64 / f64::from(asked));
    }
    Ok(took)
}
