//! The daemon's loop: whatever happens next is taken in, then the next call goes out.
//!
//! One task owns all decisions; calls to the host, look-ups and the source run beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dns_providers::Served;
use dns_sync_core::hosts::Resolution;
use dns_sync_core::{ClusterName, Settings, SourceEvent, Timestamp};
use dnsprovider::{Error, Fqdn, WatchEvent, WatchStream, Zone};
use futures::StreamExt as _;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::audit::{Audit, AuditPace, AuditedPage};
use super::backoff::Backoff;
use super::clock::Clock;
use super::gauges::Gauges;
use super::health::Health;
use super::host::Host;
use super::metrics::Metrics;
use super::notices::{News, States};
use super::question::Answering;
use super::request::{Request, Requests};
use super::status::{QueueReport, Status, WriteReport, failures, with_first_seen};
use super::told::Told;
use super::walk::{Answer, Walk};
use crate::ask::Ask;
use crate::clusters::clusters;
use crate::events::Notices;
use crate::explain::explain;
use crate::leader::{Leader, Leadership};
use crate::resolver::{CONCURRENT_LOOKUPS, Resolve};
use crate::source::Dismissed;

/// The loop shows that it is alive at least this often.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// The longest that a look-up may take.
const LOOKUP_LIMIT: Duration = Duration::from_secs(15);
/// How long a stop waits for the write in flight.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// Batches of the source, and events of the watch, that are taken in before the next decision.
const AT_ONCE: usize = 4096;
/// How things stand is looked at no more often for Kubernetes events.
const STATES_PAUSE: Duration = Duration::from_secs(1);
/// Turns that a source is given in the middle of a burst, without a word from it.
const PATIENCE: u32 = 3;

/// What an engine needs beside its zone.
#[derive(Debug)]
pub(crate) struct EngineParts {
    pub(crate) settings: Settings,
    pub(crate) served: Option<Arc<dyn Served>>,
    pub(crate) leader: Leader,
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) audit: AuditPace,
    pub(crate) seed: u64,
    pub(crate) servers: Vec<SocketAddr>,
    pub(crate) ask: Arc<dyn Ask>,
    pub(crate) notices: Option<Notices>,
    pub(crate) dismissed: Dismissed,
    pub(crate) health: Arc<Health>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) requests: Requests,
}

/// What a source told, and when.
#[derive(Debug)]
pub(crate) struct Stamped {
    told: Instant,
    events: Vec<SourceEvent>,
}

/// Notes when each batch was told, until nobody tells or nobody listens.
pub(crate) async fn stamp(mut told: mpsc::Receiver<Vec<SourceEvent>>, stamped: mpsc::Sender<Stamped>) {
    loop {
        let events = tokio::select! {
            biased;
            () = stamped.closed() => return,
            events = told.recv() => events,
        };
        let Some(events) = events else { return };
        // Fails when nobody listens, which ends this above.
        _ = stamped.send(Stamped { told: Instant::now(), events }).await;
    }
}

/// Something that went on beside the loop has come to an end.
#[derive(Debug)]
enum Done {
    Called(Answer),
    Watching(Result<Watching, Error>),
    Audited(AuditedPage),
    Resolved(Arc<str>, Resolution),
    Serving,
    Asked,
}

/// An open watch; only for its `Debug`.
struct Watching(WatchStream);

impl std::fmt::Debug for Watching {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Watching").finish()
    }
}

/// How the watch of the zone stands.
#[derive(Debug)]
enum Watch {
    /// The host cannot, or the zone has not been read.
    Absent,
    /// To be opened where the view of the zone ends.
    Due,
    Opening,
    Open(Watching),
}

/// A zone, its sources and the decisions between them.
#[derive(Debug)]
pub(crate) struct Engine {
    walk: Walk,
    parts: EngineParts,
    tasks: JoinSet<Done>,
    lookups: Arc<Semaphore>,
    watch: Watch,
    watch_backoff: Backoff,
    audit: Audit,
    /// Clusters that the source has named and that have not been answered for in any way.
    awaited: BTreeSet<ClusterName>,
    first_seen: BTreeMap<ClusterName, Timestamp>,
    ready: bool,
    serving: bool,
    started: Timestamp,
    last_write: Option<WriteReport>,
    told: Told,
    states: States,
    states_due: Timestamp,
    /// When the first event was told that is not written yet.
    unsettled: Option<Instant>,
    last_pass: Option<Timestamp>,
    answering: Answering,
}

impl Engine {
    pub(crate) fn new(provider: Arc<dyn dnsprovider::DnsProvider>, zone: Zone, parts: EngineParts) -> Self {
        let clock = parts.clock.clone();
        let started = clock.now();
        let host = Host::new(provider, zone, parts.metrics.clone()).with_leader(parts.leader.clone());
        let mut walk = Walk::new(parts.settings.clone(), host, clock, parts.metrics.clone(), parts.seed);
        walk.news = parts.notices.is_some().then(News::default);
        Self {
            walk,
            tasks: JoinSet::new(),
            lookups: Arc::new(Semaphore::new(CONCURRENT_LOOKUPS)),
            watch: Watch::Absent,
            watch_backoff: Backoff::new(parts.seed.wrapping_add(2)),
            audit: Audit::new(parts.audit, started),
            awaited: BTreeSet::new(),
            first_seen: BTreeMap::new(),
            ready: false,
            serving: false,
            started,
            last_write: None,
            told: Told::new(parts.metrics.clone()),
            states: States::default(),
            states_due: started,
            unsettled: None,
            last_pass: None,
            answering: Answering::new(&parts.servers, parts.ask.clone(), parts.metrics.clone()),
            parts,
        }
    }

    /// Runs until `stop`, whatever fails; then finishes the write in flight, or leaves it after a while.
    pub(crate) async fn run(mut self, mut events: mpsc::Receiver<Stamped>, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        let mut batches = Vec::new();
        let mut told = true;
        loop {
            self.parts.health.beat();
            // Whatever has ended by now: a flood of events must not keep its outcome waiting.
            while let Some(done) = self.tasks.try_join_next() {
                self.take(done);
            }
            while let Ok(request) = self.parts.requests.0.try_recv() {
                self.answer(request);
            }
            self.begin_work();
            let now = self.walk.now();
            let told_later =
                if self.walk.is_heard() { self.told.tell(&self.walk.reconciler, &self.awaited, now) } else { None };
            self.tell_states(now);
            let wake = [self.wake_at(now), told_later].into_iter().flatten().min();
            let pause = wake.map_or(HEARTBEAT, |at| at.since(now).min(HEARTBEAT));
            tokio::select! {
                // In a fixed order, so that a simulation can be repeated.
                biased;
                () = &mut stop => break,
                received = events.recv_many(&mut batches, AT_ONCE), if told => {
                    told = received > 0;
                    self.observe(&mut batches, &mut events).await;
                }
                // What follows from it is seen when the next call is chosen.
                () = self.parts.leader.changed() => {}
                changed = next_changes(&mut self.watch) => self.notice(changed),
                Some(done) = self.tasks.join_next() => self.take(done),
                Some(request) = self.parts.requests.0.recv() => self.answer(request),
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.finish().await;
    }

    //----------- Out --------------------------------------------------------

    /// Sends out everything that may go out now.
    fn begin_work(&mut self) {
        self.walk.set_watched(matches!(self.watch, Watch::Open(_)));
        while let Some(call) = self.walk.next_call() {
            let host = self.walk.host.clone();
            self.tasks.spawn(async move { Done::Called(call.make(host).await) });
        }
        if self.walk.is_idle() && self.walk.is_begun() {
            if let Some(begun) = self.unsettled.take()
                && self.parts.leader.term().is_some()
            {
                self.parts.metrics.settled(begun.elapsed());
            }
            if self.parts.leader.term().is_some() && self.walk.failures_in_a_row() == 0 {
                self.last_pass = Some(self.walk.now());
            }
            if self.ready && self.parts.leader.term().is_some() {
                self.first_pass_is_written();
            }
        }
        if !self.ready && self.walk.is_heard() && self.awaited.is_empty() {
            tracing::info!("ready: the zone was read, every cluster has answered or is unknown");
            self.ready = true;
            self.parts.health.set_ready();
            self.walk.latency.begin();
        }
        let now = self.walk.now();
        for name in self.walk.reconciler.hosts_to_resolve(now) {
            let (resolver, lookups) = (self.parts.resolver.clone(), self.lookups.clone());
            self.tasks.spawn(async move {
                let _turn = lookups.acquire().await;
                let answer = tokio::time::timeout(LOOKUP_LIMIT, resolver.resolve(&name)).await;
                Done::Resolved(name, answer.unwrap_or(Resolution::Failed))
            });
        }
        if matches!(self.watch, Watch::Due) && self.walk.is_zone_read() && self.watch_backoff.until(now).is_none() {
            self.watch = Watch::Opening;
            let (host, since) = (self.walk.host.clone(), self.walk.zone_version());
            self.tasks.spawn(async move { Done::Watching(host.watch(&since).await.map(Watching)) });
        }
        if self.walk.is_zone_read()
            && let Some(next) = self.audit.next_page(now)
        {
            let host = self.walk.host.clone();
            self.tasks.spawn(async move { Done::Audited(AuditedPage::read(host, next, now).await) });
        }
    }

    /// Everything that may be written has been, once: what this process serves itself is complete.
    fn first_pass_is_written(&mut self) {
        if self.serving || self.walk.failures_in_a_row() > 0 {
            return;
        }
        self.serving = true;
        if let Some(served) = self.parts.served.clone() {
            self.tasks.spawn(async move {
                if let Err(error) = served.set_ready().await {
                    tracing::warn!(error = error.chain(), "the zone is served, but would not be after a restart");
                }
                Done::Serving
            });
        }
    }

    fn wake_at(&mut self, now: Timestamp) -> Option<Timestamp> {
        let call = self.walk.wake_at();
        let watch = if matches!(self.watch, Watch::Due) { self.watch_backoff.until(now) } else { None };
        let audit = if self.walk.is_zone_read() { self.audit.wake_at() } else { None };
        [call, watch, audit].into_iter().flatten().min()
    }

    //----------- In ---------------------------------------------------------

    /// Takes all in that the source has told by now, so that a burst is one pass.
    async fn observe(&mut self, batches: &mut Vec<Stamped>, events: &mut mpsc::Receiver<Stamped>) {
        let (mut taken, mut silent) = (0, 0);
        while taken < AT_ONCE && silent < PATIENCE {
            taken += batches.len();
            silent = if batches.is_empty() { silent + 1 } else { 0 };
            self.observe_batches(batches);
            // Lets a source tell the rest that is in the middle of it.
            tokio::task::yield_now().await;
            while let Ok(batch) = events.try_recv() {
                batches.push(batch);
            }
        }
        self.observe_batches(batches);
    }

    fn observe_batches(&mut self, batches: &mut Vec<Stamped>) {
        for Stamped { told, mut events } in batches.drain(..) {
            events.retain(|event| self.is_heard(event));
            self.unsettled.get_or_insert(told);
            self.parts.metrics.told(events.len());
            for event in &events {
                self.follow(event);
            }
            self.walk.observe(events, told);
        }
    }

    /// False for what a source goes on telling of a cluster that a person took out: its kubeconfig may lie there for a
    /// minute longer. One that joins anew, or comes back after it was gone, is heard again.
    fn is_heard(&self, event: &SourceEvent) -> bool {
        match event {
            SourceEvent::Joined { cluster }
            | SourceEvent::Disappeared { cluster }
            | SourceEvent::Unjoined { cluster } => {
                self.parts.dismissed.remove(cluster);
                true
            }
            SourceEvent::Answer { cluster, .. }
            | SourceEvent::Service { cluster, .. }
            | SourceEvent::Places { cluster, .. }
            | SourceEvent::Unknown { cluster, .. }
            | SourceEvent::Problems { origin: cluster, .. } => !self.parts.dismissed.contains(cluster),
        }
    }

    /// Keeps track of which clusters have been told about.
    fn follow(&mut self, event: &SourceEvent) {
        match event {
            SourceEvent::Joined { cluster } if !self.first_seen.contains_key(cluster) => {
                self.first_seen.insert(cluster.clone(), self.walk.now());
                self.awaited.insert(cluster.clone());
            }
            SourceEvent::Answer { cluster, .. } | SourceEvent::Unknown { cluster, .. } => {
                self.first_seen.entry(cluster.clone()).or_insert(self.walk.now());
                self.awaited.remove(cluster);
            }
            SourceEvent::Disappeared { cluster } | SourceEvent::Unjoined { cluster } => {
                self.first_seen.remove(cluster);
                self.awaited.remove(cluster);
            }
            _ => {}
        }
    }

    fn take(&mut self, done: Result<Done, tokio::task::JoinError>) {
        let now = self.walk.now();
        match done {
            Ok(Done::Called(answer)) => {
                let wrote = matches!(answer, Answer::Written(..));
                if let Answer::Written(batch, Ok(_)) = &answer {
                    self.answering.wrote(batch.changes.changes().map(|change| &change.key.owner));
                }
                let taken = self.walk.take(answer);
                if let (Some(news), Some(notices)) = (&mut self.walk.news, &self.parts.notices) {
                    notices.tell(news.take());
                }
                self.ask_servers();
                if wrote {
                    self.last_write = Some(WriteReport {
                        at: now.into(),
                        done: taken.done,
                        conflicts: taken.conflicts,
                        failed: taken.failed.len(),
                    });
                }
                if taken.zone_read {
                    self.audit.restart(now);
                    if self.walk.host.capabilities().watch {
                        self.watch = Watch::Due;
                    }
                }
            }
            Ok(Done::Watching(Ok(stream))) => {
                self.watch_backoff.succeed();
                self.watch = Watch::Open(stream);
            }
            Ok(Done::Watching(Err(error))) => self.watch_broke(&error),
            Ok(Done::Audited(page)) => {
                self.walk.learn_limits();
                let names = self.audit.take(page, &self.walk.reconciler, now);
                self.suspect(names);
            }
            Ok(Done::Resolved(name, resolution)) => self.walk.reconciler.resolved(&name, resolution, now),
            Ok(Done::Serving) => {}
            Ok(Done::Asked) => self.answering.ended(),
            Err(error) => match error.try_into_panic() {
                // A fault of the program, not of the world.
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(cancelled) => tracing::debug!(%cancelled, "the runtime is going down"),
            },
        }
    }

    /// Lets services know how things stand, once a second at most; only a leader does.
    fn tell_states(&mut self, now: Timestamp) {
        let Some(notices) = &self.parts.notices else { return };
        if self.ready && now >= self.states_due && self.parts.leader.term().is_some() {
            self.states_due = now.plus(STATES_PAUSE);
            notices.tell(self.states.news(&self.walk.reconciler, now));
        }
    }

    /// Asks the DNS servers for what was just written, unless they are being asked already.
    fn ask_servers(&mut self) {
        let question = self.walk.latency.take_question().filter(|_| self.answering.is_free());
        if let Some(question) = question {
            let asking = self.answering.ask(question);
            self.tasks.spawn(async move {
                asking.await;
                Done::Asked
            });
        }
    }

    fn notice(&mut self, changed: Vec<Result<WatchEvent, Error>>) {
        if changed.is_empty() {
            let ended =
                Error::new(dnsprovider::ErrorKind::Unavailable, self.walk.host.provider_name(), "watching: it ended");
            self.watch_broke(&ended);
        }
        for event in changed {
            match event {
                Ok(WatchEvent { owner, revision }) => {
                    let names = self.walk.reconciler.noticed(&owner, revision);
                    self.suspect(names);
                }
                Err(error) => self.watch_broke(&error),
            }
        }
    }

    /// Somebody else may have changed these names.
    fn suspect(&mut self, names: BTreeSet<Fqdn>) {
        self.parts.metrics.drifted(names.len());
        self.walk.suspect(names);
    }

    /// What happened meanwhile is not known: the zone is read again and watched from there.
    fn watch_broke(&mut self, error: &Error) {
        tracing::warn!(error = error.chain(), "the watch of the zone is lost; reading it again");
        self.watch_backoff.fail(error.retry(), self.walk.now());
        self.watch = Watch::Absent;
        self.walk.distrust_zone();
    }

    //----------- Requests ---------------------------------------------------

    /// Answers a question; whoever asked may have gone.
    fn answer(&mut self, request: Request) {
        let now = self.walk.now();
        match request {
            Request::Status(answer) => _ = answer.send(self.status(now)),
            Request::Gauges(answer) => _ = answer.send(self.gauges(now)),
            Request::Clusters(answer) => {
                _ = answer.send(with_first_seen(clusters(&self.walk.reconciler), &self.first_seen));
            }
            Request::Plan(answer) => _ = answer.send(self.walk.reconciler.report(now)),
            Request::Explain(name, answer) => {
                let history = Some(self.walk.history.at(&name));
                _ = answer.send(explain(&self.walk.reconciler, &name, history, now));
            }
            Request::Approve(hash, answer) => {
                let known = self.walk.reconciler.approve(&hash, now);
                tracing::info!(hash, known, "an approval came in");
                _ = answer.send(known);
            }
            Request::Unjoin(cluster, answer) => {
                let is_member = self.walk.reconciler.federation().clusters().contains_key(&*cluster);
                let is_found = self.parts.dismissed.is_found(&cluster);
                if is_member {
                    tracing::info!(cluster, "the cluster is taken out");
                    self.walk.reconciler.unjoin(&cluster, now);
                    self.awaited.remove(&*cluster);
                    self.parts.dismissed.insert(cluster.into());
                }
                _ = answer.send(is_member || is_found);
            }
            Request::Reload(settings, answer) => {
                self.reload(*settings);
                _ = answer.send(());
            }
        }
    }

    fn reload(&mut self, settings: Settings) {
        let old = self.walk.reconciler.settings().clone();
        let settings = Settings {
            federation: old.federation.clone(),
            claim: old.claim.clone(),
            previous_claim: old.previous_claim.clone(),
            zone: old.zone.clone(),
            suffix: old.suffix.clone(),
            adopt: old.adopt,
            ..settings
        };
        if settings != old {
            tracing::info!("the settings changed");
            self.walk.reconciler.set_settings(settings);
        }
    }

    fn status(&self, now: Timestamp) -> Status {
        let reconciler = &self.walk.reconciler;
        let settings = reconciler.settings();
        let plan = reconciler.report(now);
        Status {
            zone: settings.zone.to_string(),
            federation: settings.federation.to_string(),
            claim: settings.claim.to_string(),
            provider: self.walk.host.provider_name().to_owned(),
            started: self.started.into(),
            ready: self.ready && !matches!(self.parts.leader.state(), Some(Leadership::Refused(..))),
            leader: self.parts.leader.report(),
            zone_read: self.walk.is_zone_read(),
            clusters: with_first_seen(clusters(reconciler), &self.first_seen),
            services: reconciler.federation().services().count(),
            claimed_sets: reconciler.zone().claimed_sets(),
            queue: QueueReport::of(reconciler),
            guard: plan.guard,
            held: plan.held,
            hash: plan.hash,
            refused: plan.refused,
            warnings: plan.warnings,
            failures: failures(reconciler),
            failures_in_a_row: self.walk.failures_in_a_row(),
            last_write: self.last_write.clone(),
            last_audit: self.audit.finished.map(Into::into),
        }
    }

    fn gauges(&self, now: Timestamp) -> Gauges {
        let reconciler = &self.walk.reconciler;
        Gauges {
            ready: self.ready && !matches!(self.parts.leader.state(), Some(Leadership::Refused(..))),
            leads: self.parts.leader.term().is_some(),
            last_pass: self.last_pass,
            last_write: self.last_write.as_ref().map(|write| write.at.0),
            last_audit: self.audit.finished,
            services: reconciler.federation().services().count(),
            tally: reconciler.tally(now),
            queue: QueueReport::of(reconciler),
            refusals: reconciler.refused().len(),
            failing_services: reconciler.failures().count(),
            consecutive_failures: self.walk.failures_in_a_row(),
            verdict: reconciler.held().0.clone(),
            clusters: clusters(reconciler),
        }
    }

    //----------- End --------------------------------------------------------

    /// Waits for the calls in flight. One that is dropped leaves each change done or not done; the next start reads.
    async fn finish(mut self) {
        let end = Instant::now() + STOP_LIMIT;
        while !self.walk.is_idle() {
            match tokio::time::timeout_at(end, self.tasks.join_next()).await {
                Ok(Some(done)) => self.take(done),
                Ok(None) => break,
                Err(_) => {
                    tracing::warn!("calls in flight are left; the next start reads what came of them");
                    break;
                }
            }
        }
    }
}

/// The changes that the watch tells next; empty at its end. Waits for ever where there is no watch.
async fn next_changes(watch: &mut Watch) -> Vec<Result<WatchEvent, Error>> {
    match watch {
        Watch::Open(Watching(stream)) => stream.ready_chunks(AT_ONCE).next().await.unwrap_or_default(),
        _ => std::future::pending().await,
    }
}
