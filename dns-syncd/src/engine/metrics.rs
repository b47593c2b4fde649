//! What is counted and measured, for Prometheus.
//!
//! Counters grow where things happen; gauges are set from a [`Status`] when somebody asks.

use std::time::Duration;

use dnsprovider::{Action, ErrorKind, Outcome};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::status::Status;
use crate::clusters::ClusterStatus;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CallLabels {
    call: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CallOutcomeLabels {
    call: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ChangeLabels {
    action: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ClusterLabels {
    cluster: String,
}

/// All metrics of one daemon.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    calls: Family<CallOutcomeLabels, Counter>,
    call_seconds: Family<CallLabels, Histogram, fn() -> Histogram>,
    changes: Family<ChangeLabels, Counter>,
    events: Counter,
    drift: Counter,
    plan_seconds: Histogram,
    settle_seconds: Histogram,
    ready: Gauge,
    leadership: Gauge,
    clusters_ready: Family<ClusterLabels, Gauge>,
    services: Gauge,
    claimed_sets: Gauge,
    pending: Family<KindLabels, Gauge>,
    held: Gauge,
    refused: Gauge,
    failing: Gauge,
    counted: Family<KindLabels, Gauge>,
    allowed: Family<KindLabels, Gauge>,
    last_write: Gauge,
}

/// From a tenth of a millisecond to some minutes.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 4.0, 11))
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("dns_syncd"),
            calls: Family::default(),
            call_seconds: Family::new_with_constructor(seconds),
            changes: Family::default(),
            events: Counter::default(),
            drift: Counter::default(),
            plan_seconds: seconds(),
            settle_seconds: seconds(),
            ready: Gauge::default(),
            leadership: Gauge::default(),
            clusters_ready: Family::default(),
            services: Gauge::default(),
            claimed_sets: Gauge::default(),
            pending: Family::default(),
            held: Gauge::default(),
            refused: Gauge::default(),
            failing: Gauge::default(),
            counted: Family::default(),
            allowed: Family::default(),
            last_write: Gauge::default(),
        };
        let all = &mut metrics.registry;
        all.register("provider_calls", "Calls to the DNS host, by outcome", metrics.calls.clone());
        let length = "Duration of calls to the DNS host";
        all.register_with_unit("provider_call", length, Unit::Seconds, metrics.call_seconds.clone());
        all.register("changes", "Record sets sent to the host, by outcome", metrics.changes.clone());
        all.register("source_events", "Events that the source told", metrics.events.clone());
        all.register(
            "drift_names",
            "Names that somebody else changed, as found by watch and audit",
            metrics.drift.clone(),
        );
        all.register_with_unit("plan", "Duration of planning", Unit::Seconds, metrics.plan_seconds.clone());
        let settle = "From the first event of a burst until all of it is written";
        all.register_with_unit("settle", settle, Unit::Seconds, metrics.settle_seconds.clone());
        all.register("ready", "1 when ready", metrics.ready.clone());
        let leads = "1 while this process may write, 0 while another one leads or nobody knows";
        all.register("leadership", leads, metrics.leadership.clone());
        all.register(
            "cluster_ready",
            "1 for a cluster that is known, 0 for an unknown one",
            metrics.clusters_ready.clone(),
        );
        all.register("services", "Services that count in at least one cluster", metrics.services.clone());
        all.register("claimed_sets", "Record sets with our claim", metrics.claimed_sets.clone());
        all.register("pending_changes", "Changes that wait, by urgency", metrics.pending.clone());
        all.register("held_changes", "Changes that the guard holds", metrics.held.clone());
        all.register("refused_items", "Wanted and not done", metrics.refused.clone());
        all.register("failing_services", "Services whose names could not be written", metrics.failing.clone());
        all.register("guard_counted_losses", "Losses in the guard's window and planned", metrics.counted.clone());
        all.register("guard_allowed_losses", "Losses that the guard allows", metrics.allowed.clone());
        let last = "When the host last answered a write";
        all.register_with_unit("last_write_timestamp", last, Unit::Seconds, metrics.last_write.clone());
        metrics
    }
}

impl Metrics {
    /// A call to the host has ended.
    pub(super) fn called(&self, call: &'static str, error: Option<ErrorKind>, length: Duration) {
        let outcome = error.map_or("ok", ErrorKind::as_str);
        self.calls.get_or_create(&CallOutcomeLabels { call, outcome }).inc();
        self.call_seconds.get_or_create(&CallLabels { call }).observe(length.as_secs_f64());
    }

    /// The host told what became of a change.
    pub(super) fn changed(&self, action: Action, outcome: Option<&Outcome>) {
        let action = match action {
            Action::Create => "create",
            Action::Update => "update",
            Action::Delete => "delete",
        };
        let outcome = match outcome {
            Some(Outcome::Done(_)) => "done",
            Some(Outcome::Conflict) => "conflict",
            Some(Outcome::Refused(_)) => "refused",
            Some(Outcome::Unknown(_)) => "unknown",
            Some(Outcome::NotTried) | None => "not tried",
        };
        self.changes.get_or_create(&ChangeLabels { action, outcome }).inc();
    }

    /// The source told so many things.
    pub(super) fn told(&self, events: usize) {
        self.events.inc_by(events as u64);
    }

    /// Somebody else changed so many names.
    pub(super) fn drifted(&self, names: usize) {
        self.drift.inc_by(names as u64);
    }

    pub(super) fn planned(&self, length: Duration) {
        self.plan_seconds.observe(length.as_secs_f64());
    }

    /// All that a burst of events asked for is written.
    pub(super) fn settled(&self, length: Duration) {
        self.settle_seconds.observe(length.as_secs_f64());
    }

    /// Sets the gauges.
    pub(crate) fn set(&self, status: &Status) {
        self.ready.set(status.ready.into());
        self.leadership.set(status.leader.as_ref().is_none_or(|leader| leader.role == "leader").into());
        self.clusters_ready.clear();
        for cluster in status.clusters.iter().filter(|cluster| cluster.status != ClusterStatus::Left) {
            let labels = ClusterLabels { cluster: cluster.name.clone() };
            self.clusters_ready.get_or_create(&labels).set((cluster.status == ClusterStatus::Ready).into());
        }
        self.services.set(number(status.services));
        self.claimed_sets.set(number(status.claimed_sets));
        let kind = |family: &Family<KindLabels, Gauge>, kind, count| {
            family.get_or_create(&KindLabels { kind }).set(number(count));
        };
        kind(&self.pending, "failover", status.queue.failover);
        kind(&self.pending, "dead address", status.queue.dead_address);
        kind(&self.pending, "creation", status.queue.creation);
        kind(&self.pending, "rest", status.queue.rest);
        self.held.set(number(status.held.len()));
        self.refused.set(number(status.refused.len()));
        self.failing.set(number(status.failures.len()));
        let guard = &status.guard;
        for (name, budget) in [("deleted", guard.deleted), ("updated", guard.updated), ("emptied", guard.emptied)] {
            kind(&self.counted, name, budget.counted);
            match budget.allowed {
                Some(allowed) => kind(&self.allowed, name, allowed),
                None => _ = self.allowed.remove(&KindLabels { kind: name }),
            }
        }
        self.last_write.set(status.last_write.as_ref().map_or(0, |write| write.at.0.0 / 1000));
    }

    /// Everything in OpenMetrics text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a string takes any text");
        text
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
