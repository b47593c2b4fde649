//! What is counted and measured, for Prometheus.
//!
//! Names, labels and their values are fixed: `docs/metrics.md` has them all, and a test compares the two.
//! Counters grow where things happen; gauges are set from [`Gauges`] when somebody asks. Whatever has a closed set of
//! labels is there from the start, at 0.

mod labels;

use std::time::Duration;

use dns_sync_core::guard::Limit;
use dnsprovider::{Action, ErrorKind, Outcome};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

pub(crate) use self::labels::EventFate;
use self::labels::{
    ACTIONS, CALLS, FAILURES, LIMITS, OUTCOMES, OfCall, OfCallOutcome, OfChange, OfCluster, OfKind, OfLimit, OfOutcome,
    OfSet, OfStage, OfState, OfUrgency, STATES, TYPES, action_of, fate_of, outcome_of, state_of, type_of,
};
pub(super) use self::labels::{Checked, Stage};
use super::gauges::Gauges;
use crate::clusters::ClusterStatus;

/// All metrics of one daemon.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    provider: &'static str,
    ready: Gauge,
    leadership: Gauge,
    last_pass: Gauge,
    last_write: Gauge,
    last_audit: Gauge,
    latency: Family<OfStage, Histogram, fn() -> Histogram>,
    checks: Family<OfOutcome, Counter>,
    events: Counter,
    plan: Histogram,
    settle: Histogram,
    services: Gauge,
    sets: Family<OfSet, Gauge>,
    pending: Family<OfUrgency, Gauge>,
    refusals: Gauge,
    failing: Gauge,
    changes: Family<OfChange, Counter>,
    drift: Counter,
    calls: Family<OfCallOutcome, Counter>,
    call_duration: Family<OfCall, Histogram, fn() -> Histogram>,
    consecutive: Gauge,
    holds: Family<OfLimit, Counter>,
    held: Family<OfLimit, Gauge>,
    losses: Family<OfKind, Gauge>,
    losses_allowed: Family<OfKind, Gauge>,
    clusters: Family<OfState, Gauge>,
    cluster_ready: Family<OfCluster, Gauge>,
    cluster_since: Family<OfCluster, Gauge>,
    cluster_services: Family<OfCluster, Gauge>,
    kubernetes_events: Family<OfOutcome, Counter>,
}

/// From a tenth of a millisecond to some minutes.
fn durations() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 4.0, 11))
}

/// From a tenth of a millisecond to a minute, three steps for each power of ten from one millisecond on.
fn latencies() -> Histogram {
    let steps = [0.001, 0.01, 0.1, 1.0].into_iter().flat_map(|power| [1.0, 2.0, 5.0].map(|step| power * step));
    Histogram::new([0.0001, 0.0003].into_iter().chain(steps).chain([10.0, 20.0, 30.0, 60.0]))
}

impl Metrics {
    /// Nothing has happened yet. The provider's name is the label of its calls.
    pub(crate) fn new(provider: &'static str) -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("dns_syncd"),
            provider,
            ready: Gauge::default(),
            leadership: Gauge::default(),
            last_pass: Gauge::default(),
            last_write: Gauge::default(),
            last_audit: Gauge::default(),
            latency: Family::new_with_constructor(latencies),
            checks: Family::default(),
            events: Counter::default(),
            plan: durations(),
            settle: durations(),
            services: Gauge::default(),
            sets: Family::default(),
            pending: Family::default(),
            refusals: Gauge::default(),
            failing: Gauge::default(),
            changes: Family::default(),
            drift: Counter::default(),
            calls: Family::default(),
            call_duration: Family::new_with_constructor(durations),
            consecutive: Gauge::default(),
            holds: Family::default(),
            held: Family::default(),
            losses: Family::default(),
            losses_allowed: Family::default(),
            clusters: Family::default(),
            cluster_ready: Family::default(),
            cluster_since: Family::default(),
            cluster_services: Family::default(),
            kubernetes_events: Family::default(),
        };
        metrics.register();
        metrics.begin();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("ready", "1 when ready", self.ready.clone());
        let leads = "1 while this process may write, 0 while another one leads or nobody knows";
        registry.register("leadership", leads, self.leadership.clone());
        let checks = "How the questions ended that ask DNS servers for what was written";
        registry.register("answer_checks", checks, self.checks.clone());
        registry.register("source_events", "Events that the sources told", self.events.clone());
        registry.register("services", "Services that count in at least one cluster", self.services.clone());
        let sets = "Record sets that are wanted or ours, by type and state";
        registry.register("record_sets", sets, self.sets.clone());
        registry.register("pending_changes", "Changes that are planned, by urgency", self.pending.clone());
        registry.register("refusals", "Everything that is wanted and not done", self.refusals.clone());
        let failing = "Services of which something could not be written";
        registry.register("failing_services", failing, self.failing.clone());
        let changes = "Changes of record sets that were sent to the host, by outcome";
        registry.register("set_changes", changes, self.changes.clone());
        let drift = "Names that somebody else changed, as found by watch and audit";
        registry.register("drifted_names", drift, self.drift.clone());
        registry.register("provider_calls", "Calls to the DNS host, by outcome", self.calls.clone());
        let consecutive = "Calls to the DNS host that failed in a row";
        registry.register("consecutive_failures", consecutive, self.consecutive.clone());
        let holds = "How often the guard began to hold, by limit";
        registry.register("guard_holds", holds, self.holds.clone());
        registry.register("held_changes", "Changes that the guard holds, by limit", self.held.clone());
        let losses = "Losses in the guard's window together with those that are planned";
        registry.register("guard_losses", losses, self.losses.clone());
        let allowed = "Losses that the guard allows, -1 for any number";
        registry.register("guard_losses_allowed", allowed, self.losses_allowed.clone());
        registry.register("clusters", "Clusters by state", self.clusters.clone());
        let ready = "1 for a cluster that is known, 0 for an unknown one";
        registry.register("cluster_ready", ready, self.cluster_ready.clone());
        let services = "Services that count in a cluster, as it last told";
        registry.register("cluster_services", services, self.cluster_services.clone());
        let events = "Kubernetes events for services, by what became of them";
        registry.register("kubernetes_events", events, self.kubernetes_events.clone());

        let pass = "When all that may be written was last known to be in the zone";
        registry.register_with_unit("last_pass_timestamp", pass, Unit::Seconds, self.last_pass.clone());
        registry.register_with_unit(
            "last_write_timestamp",
            "When the host last answered a write",
            Unit::Seconds,
            self.last_write.clone(),
        );
        let audit = "When the last audit of the whole zone was finished";
        registry.register_with_unit("last_audit_timestamp", audit, Unit::Seconds, self.last_audit.clone());
        let latency = "From a source telling that a service changed until a stage was reached";
        registry.register_with_unit("event_latency", latency, Unit::Seconds, self.latency.clone());
        registry.register_with_unit("plan_duration", "Duration of planning", Unit::Seconds, self.plan.clone());
        let settle = "From the first event of a burst until all of it was written";
        registry.register_with_unit("settle_duration", settle, Unit::Seconds, self.settle.clone());
        registry.register_with_unit(
            "provider_call_duration",
            "Duration of calls to the DNS host",
            Unit::Seconds,
            self.call_duration.clone(),
        );
        let since = "Since when a cluster is ready, or unknown";
        registry.register_with_unit("cluster_state_since_timestamp", since, Unit::Seconds, self.cluster_since.clone());
    }

    /// Whatever has a closed set of labels.
    fn begin(&self) {
        for stage in Stage::ALL {
            drop(self.latency.get_or_create(&OfStage { stage: stage.as_str() }));
        }
        for checked in Checked::ALL {
            drop(self.checks.get_or_create(&OfOutcome { outcome: checked.as_str() }));
        }
        for fate in EventFate::ALL {
            drop(self.kubernetes_events.get_or_create(&OfOutcome { outcome: fate.as_str() }));
        }
        for action in ACTIONS {
            for outcome in OUTCOMES {
                drop(self.changes.get_or_create(&OfChange { action, outcome }));
            }
        }
        let outcomes: Vec<String> = [None].into_iter().chain(FAILURES.map(Some)).map(outcome_of).collect();
        for call in CALLS {
            drop(self.call_duration.get_or_create(&OfCall { provider: self.provider, call }));
            for outcome in outcomes.iter().cloned() {
                drop(self.calls.get_or_create(&OfCallOutcome { provider: self.provider, call, outcome }));
            }
        }
        for limit in LIMITS {
            drop(self.holds.get_or_create(&OfLimit { limit: limit.as_str() }));
        }
        self.set(&Gauges::default());
    }

    //----------- Counters ---------------------------------------------------

    /// A call to the host has ended.
    pub(super) fn called(&self, call: &'static str, error: Option<ErrorKind>, length: Duration) {
        let (provider, outcome) = (self.provider, outcome_of(error));
        self.calls.get_or_create(&OfCallOutcome { provider, call, outcome }).inc();
        self.call_duration.get_or_create(&OfCall { provider, call }).observe(length.as_secs_f64());
    }

    /// The host told what became of a change.
    pub(super) fn changed(&self, action: Action, outcome: Option<&Outcome>) {
        self.changes.get_or_create(&OfChange { action: action_of(action), outcome: fate_of(outcome) }).inc();
    }

    /// The source told so many things.
    pub(super) fn told(&self, events: usize) {
        self.events.inc_by(events as u64);
    }

    /// A service has reached a stage, so long after its change was told.
    pub(super) fn reached(&self, stage: Stage, after: Duration) {
        self.latency.get_or_create(&OfStage { stage: stage.as_str() }).observe(after.as_secs_f64());
    }

    /// The DNS servers were asked for what was written.
    pub(super) fn checked(&self, checked: Checked) {
        self.checks.get_or_create(&OfOutcome { outcome: checked.as_str() }).inc();
    }

    /// Somebody else changed so many names.
    pub(super) fn drifted(&self, names: usize) {
        self.drift.inc_by(names as u64);
    }

    pub(super) fn planned(&self, length: Duration) {
        self.plan.observe(length.as_secs_f64());
    }

    /// All that a burst of events asked for is written.
    pub(super) fn settled(&self, length: Duration) {
        self.settle.observe(length.as_secs_f64());
    }

    /// The guard begins to hold.
    pub(super) fn holds(&self, limit: Limit) {
        self.holds.get_or_create(&OfLimit { limit: limit.as_str() }).inc();
    }

    /// So many Kubernetes events met this fate.
    pub(crate) fn kubernetes_events(&self, fate: EventFate, count: usize) {
        self.kubernetes_events.get_or_create(&OfOutcome { outcome: fate.as_str() }).inc_by(count as u64);
    }

    //----------- Gauges -----------------------------------------------------

    /// Sets the gauges.
    pub(crate) fn set(&self, gauges: &Gauges) {
        self.ready.set(gauges.ready.into());
        self.leadership.set(gauges.leads.into());
        self.last_pass.set(seconds(gauges.last_pass));
        self.last_write.set(seconds(gauges.last_write));
        self.last_audit.set(seconds(gauges.last_audit));
        self.services.set(number(gauges.services));
        for r#type in TYPES {
            for state in STATES {
                let counts = gauges.tally.sets.iter();
                let counts = counts.filter(|((rr_type, is), _)| type_of(rr_type) == r#type && *is == state);
                let count = counts.map(|(_, count)| count).sum();
                self.sets.get_or_create(&OfSet { r#type, state: state_of(state) }).set(number(count));
            }
        }
        let queue = gauges.queue;
        for (urgency, count) in [
            ("failover", queue.failover),
            ("dead_address", queue.dead_address),
            ("creation", queue.creation),
            ("rest", queue.rest),
        ] {
            self.pending.get_or_create(&OfUrgency { urgency }).set(number(count));
        }
        self.refusals.set(number(gauges.refusals));
        self.failing.set(number(gauges.failing_services));
        self.consecutive.set(gauges.consecutive_failures.into());
        for limit in LIMITS {
            let count = gauges.tally.held.get(&limit).copied().unwrap_or(0);
            self.held.get_or_create(&OfLimit { limit: limit.as_str() }).set(number(count));
        }
        let verdict = &gauges.verdict;
        for (kind, budget) in [("deleted", verdict.deleted), ("updated", verdict.updated), ("emptied", verdict.emptied)]
        {
            self.losses.get_or_create(&OfKind { kind }).set(number(budget.counted));
            self.losses_allowed.get_or_create(&OfKind { kind }).set(budget.allowed.map_or(-1, number));
        }
        self.set_clusters(gauges);
    }

    fn set_clusters(&self, gauges: &Gauges) {
        use ClusterStatus::{Left, Ready, Unknown};
        for (state, status) in [("ready", Ready), ("unknown", Unknown), ("left", Left)] {
            let count = gauges.clusters.iter().filter(|cluster| cluster.status == status).count();
            self.clusters.get_or_create(&OfState { state }).set(number(count));
        }
        self.cluster_ready.clear();
        self.cluster_since.clear();
        self.cluster_services.clear();
        for cluster in gauges.clusters.iter().filter(|cluster| cluster.status != Left) {
            let labels = OfCluster { cluster: cluster.name.clone() };
            self.cluster_ready.get_or_create(&labels).set((cluster.status == Ready).into());
            self.cluster_since.get_or_create(&labels).set(seconds(Some(cluster.since.0)));
            self.cluster_services.get_or_create(&labels).set(number(cluster.services));
        }
    }

    /// Everything in OpenMetrics text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a string takes any text");
        text
    }
}

/// Seconds since 1970; 0 for never.
fn seconds(at: Option<dns_sync_core::Timestamp>) -> i64 {
    at.map_or(0, |at| at.0 / 1000)
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
