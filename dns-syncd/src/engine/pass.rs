//! One pass and no more: what `plan`, `apply` and `records` do.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use dns_sync_core::report::{ChangeReport, PlanReport, RecordReport, RefusalReport};
use dns_sync_core::{Reconciler, Settings, Timestamp};
use dnsprovider::{DnsProvider, Error, Snapshot, Zone};
use futures::future::{Either, select};

use super::clock::Clock;
use super::host::{Host, ZoneChoice};
use super::metrics::Metrics;
use super::walk::{Answer, Walk};
use tokio::task::JoinSet;

use crate::leader::Leader;
use crate::resolver::{Resolve, resolve_all};
use crate::source::{EndpointSource, SourceError};

/// How long a pass waits for names of load balancers.
const RESOLVE_LIMIT: Duration = Duration::from_secs(10);
/// Calls in a row that brought nothing, before a pass gives up.
const PATIENCE: u32 = 5;

/// What a pass needs.
#[derive(Clone, Debug)]
pub struct PassContext {
    /// What the operator wants; the pass applies [`Settings::for_one_shot`] itself.
    pub settings: Settings,
    /// The host.
    pub provider: Arc<dyn DnsProvider>,
    /// The zone at the host.
    pub zone: ZoneChoice,
    /// Looks up load balancers that have only a name.
    pub resolver: Arc<dyn Resolve>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Why a pass came to no plan.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// The source cannot be used as a whole.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The host cannot be read.
    #[error(transparent)]
    Provider(#[from] Error),
}

/// A pass that has read everything, planned, and written nothing.
#[derive(Debug)]
pub struct Pass {
    walk: Walk,
    provider: Arc<dyn DnsProvider>,
    choice: ZoneChoice,
    /// Absent while the zone is still to be created.
    zone: Option<Zone>,
}

/// What a pass wrote.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// Changes that are done.
    pub done: usize,
    /// What failed and was not mended within the pass, for people; empty when all is written that may be.
    pub failed: Vec<String>,
    /// What is still to do: the held, the refused, and the changes that failed.
    pub left: PlanReport,
}

impl Pass {
    /// Reads the source and the zone, resolves load balancer names, and plans.
    ///
    /// # Errors
    /// When the source or the zone cannot be read; nothing may be concluded then.
    pub async fn prepare(cx: PassContext, source: &mut dyn EndpointSource) -> Result<Self, PassError> {
        let PassContext { settings, provider, zone: choice, resolver, clock } = cx;
        let mut settings = settings.for_one_shot();
        settings.min_interval = Duration::ZERO;
        let metrics = Arc::new(Metrics::new(provider.name()));
        let read = async {
            let zone = choice.find(&provider).await?;
            let read_as = zone.clone().unwrap_or_else(|| pretended(&settings));
            let host = Host::new(provider.clone(), read_as, metrics.clone());
            let snapshot = match zone {
                Some(_) => host.read_zone().await?,
                None => Snapshot::default(),
            };
            Ok::<_, Error>((zone, host, snapshot))
        };
        // Neither needs the other, so they are read side by side. Where both fail, it is the source that is told of.
        let (events, (zone, host, snapshot)) = match select(source.read_once(), pin!(read)).await {
            Either::Left((events, read)) => (events?, read.await?),
            Either::Right((read, events)) => (events.await?, read?),
        };
        let mut walk = Walk::new(settings, host, clock, metrics, 0);
        // What the clusters say comes before what the zone credits to them: only what they do not say themselves has to
        // be remembered then.
        walk.observe(events, tokio::time::Instant::now());
        walk.take(Answer::Zone(Ok(snapshot)));
        let now = walk.now();
        walk.plan(now);
        resolve(&mut walk.reconciler, &resolver, now).await;
        walk.plan(now);
        Ok(Self { walk, provider, choice, zone })
    }

    /// Writes only while this process leads. It must have led before the zone was read.
    #[must_use]
    pub fn with_leader(mut self, leader: Leader) -> Self {
        self.walk.set_leader(leader);
        self
    }

    /// The plan as it is now.
    pub fn report(&self) -> PlanReport {
        self.walk.reconciler.report(self.walk.now())
    }

    /// The plan as it is now but for its changes, which are given one by one, service by service.
    pub fn report_each(&self, each: impl FnMut(ChangeReport)) -> PlanReport {
        self.walk.reconciler.report_each(self.walk.now(), each)
    }

    /// The decisions behind the plan, for `explain` and `clusters`.
    pub fn reconciler(&self) -> &Reconciler {
        &self.walk.reconciler
    }

    /// Releases what the plan holds when the hash is this plan's; false, and nothing is released, when it is not.
    pub fn approve(&mut self, hash: &str) -> bool {
        let now = self.walk.now();
        self.walk.reconciler.held().1 == Some(hash) && self.walk.reconciler.approve(hash, now)
    }

    /// Writes until everything is written that may be, or nothing moves any more.
    ///
    /// # Errors
    /// When the zone is to be created and cannot be; nothing was written then.
    pub async fn write(mut self) -> Result<Written, Error> {
        if self.zone.is_none() && !self.report().changes.is_empty() {
            let zone = self.choice.open(&self.provider).await?;
            let leader = self.walk.host.leader().clone();
            let metrics = Arc::new(Metrics::new(self.provider.name()));
            self.walk.host = Host::new(self.provider.clone(), zone.clone(), metrics).with_leader(leader);
            self.zone = Some(zone);
        }
        let mut done = 0;
        let mut failed = Vec::new();
        let mut fruitless = 0;
        let mut calls = JoinSet::new();
        while fruitless < PATIENCE {
            while let Some(call) = self.walk.next_call() {
                calls.spawn(call.make(self.walk.host.clone()));
            }
            let Some(answer) = calls.join_next().await else {
                let now = self.walk.now();
                let Some(wake) = self.walk.wake_at().filter(|_| fruitless > 0) else { break };
                tokio::time::sleep(wake.since(now)).await;
                continue;
            };
            let answer = match answer.map_err(tokio::task::JoinError::try_into_panic) {
                Ok(answer) => answer,
                Err(Ok(panic)) => std::panic::resume_unwind(panic),
                Err(Err(_)) => break, // the runtime is going down
            };
            let wrote = matches!(answer, Answer::Written(..));
            let taken = self.walk.take(answer);
            done += taken.done;
            if taken.done > 0 {
                fruitless = 0;
            }
            if !taken.failed.is_empty() || taken.conflicts > 0 {
                fruitless += 1;
            }
            if wrote || !taken.failed.is_empty() {
                failed.clone_from(&taken.failed);
            }
            if !taken.failed.is_empty() && !taken.may_pass {
                break;
            }
        }
        // What is out still counts: nothing that was written goes unreported.
        while let Some(Ok(answer)) = calls.join_next().await {
            done += self.walk.take(answer).done;
        }
        let now = self.walk.now();
        self.walk.plan(now);
        self.walk.reconciler.rehash(now);
        let left = self.report();
        if left.changes.is_empty() {
            failed.clear();
        } else if self.walk.host.leader().term().is_none() {
            failed.push("this process leads no more; hint: run it again".to_owned());
        } else if failed.is_empty() {
            // A set that was refused for good does not show in the last write, which was of others.
            failed = self.walk.reconciler.failures().map(|(_, error)| error.to_owned()).collect();
        }
        Ok(Written { done, failed, left })
    }
}

/// Where the zone will be once it is created; nothing is read or written there before.
fn pretended(settings: &Settings) -> Zone {
    Zone { id: dnsprovider::ZoneId(settings.zone.as_str().into()), apex: settings.zone.clone(), private: false }
}

/// The desired records by the sources alone, and what they could not use.
///
/// # Errors
/// When the source as a whole cannot be used.
pub async fn records(
    settings: Settings,
    source: &mut dyn EndpointSource,
    resolver: &Arc<dyn Resolve>,
    clock: &dyn Clock,
) -> Result<(Vec<RecordReport>, Vec<RefusalReport>, Vec<String>), PassError> {
    let mut settings = settings.for_one_shot();
    settings.sources_alone = true;
    let limits = dnsprovider::MemoryProvider::new([]).capabilities();
    let mut reconciler = Reconciler::new(settings, &limits);
    let events = source.read_once().await?;
    let now = clock.now();
    for event in events {
        reconciler.observe(event, now);
    }
    reconciler.plan(now);
    resolve(&mut reconciler, resolver, now).await;
    reconciler.plan(now);
    let report = reconciler.report(now);
    Ok((reconciler.records(now), report.refused, report.warnings))
}

async fn resolve(reconciler: &mut Reconciler, resolver: &Arc<dyn Resolve>, now: Timestamp) {
    let hosts = reconciler.hosts_to_resolve(now);
    for (host, resolution) in resolve_all(resolver, hosts, RESOLVE_LIMIT).await {
        reconciler.resolved(&host, resolution, now);
    }
}
