//! Why a name has the records that it has, as data: what `explain` prints and `/explain` gives.
//!
//! In: [`Reconciler`], a name, what was written lately · Out: [`Explanation`] · Pure: yes.

use std::collections::BTreeSet;
use std::net::IpAddr;

use dns_sync_core::desired::{Contribution, Desired, DesiredName, Hold};
use dns_sync_core::federation::HeldCopy;
use dns_sync_core::zone::Ownership;
use dns_sync_core::{Endpoint, Level, Reconciler, ServiceId, Timestamp};
use dnsprovider::{Action, ClaimedSet, Entry, Fqdn};
use serde::{Deserialize, Serialize};

use crate::clusters::{ClusterReport, clusters};
use crate::moment::Moment;

/// A CNAME chain longer than this is a loop or a fault.
const LONGEST_PATH: usize = 16;

/// Everything that is known of one name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The name, with final dot.
    pub name: String,
    /// `namespace/name` of the service that it stands for; null when it is no name of this federation.
    pub service: Option<String>,
    /// `global`, `region eu` or `zone eu-1 of eu`.
    pub level: Option<String>,
    /// What each cluster says about the service, members without it included.
    pub clusters: Vec<ClusterView>,
    /// What the name should be.
    pub desired: DesiredView,
    /// What the zone holds there.
    pub held: Vec<HeldSet>,
    /// What is planned there and not written.
    pub pending: Vec<ChangeView>,
    /// What is wanted there, or for the whole service, and not done.
    pub refused: Vec<String>,
    /// The last error of writing the service's names.
    pub failure: Option<String>,
    /// Where the name leads in the zone, itself first.
    pub path: Vec<PathStep>,
    /// What was written there lately, oldest first; null without a daemon that remembers.
    pub history: Option<Vec<PastChange>>,
}

/// What a cluster says about the service, and what that is worth at this name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterView {
    /// The cluster and how it stands.
    #[serde(flatten)]
    pub cluster: ClusterReport,
    /// The service counts there.
    pub counts: bool,
    /// It has a ready endpoint there; null where it does not count.
    pub ready: Option<bool>,
    /// Addresses and load balancer names, as the cluster says them.
    pub offers: Vec<String>,
    /// Its addresses that are published at this name.
    pub published: Vec<AddressView>,
    /// Its addresses that were taken out because others stand in.
    pub withdrawn: Vec<AddressView>,
}

/// One address at the name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressView {
    /// The address.
    pub address: IpAddr,
    /// What it is worth, for people.
    pub reason: String,
}

/// What the name should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum DesiredView {
    /// These sets; none for a global name without address.
    Sets {
        /// By type.
        sets: Vec<SetView>,
        /// Addresses left out by the limit of records in a set.
        left_out: usize,
    },
    /// Whatever the zone has.
    AsHeld {
        /// Why.
        reason: String,
    },
    /// Nothing.
    Nothing {
        /// Why.
        reason: String,
    },
}

/// One record set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetView {
    /// Type.
    #[serde(rename = "type")]
    pub rr_type: String,
    /// Seconds.
    pub ttl: u32,
    /// Records in presentation form.
    pub rdata: Vec<String>,
}

impl From<&ClaimedSet> for SetView {
    fn from(held: &ClaimedSet) -> Self {
        Self {
            rr_type: held.set.rr_type().to_string(),
            ttl: held.set.ttl().as_secs(),
            rdata: held.set.records().iter().map(ToString::to_string).collect(),
        }
    }
}

/// A set that stands in the zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldSet {
    /// The set.
    #[serde(flatten)]
    pub set: SetView,
    /// The daemon may change it: `ours`, `adoptable` or `foreign`.
    pub ownership: String,
    /// The name on its claim.
    pub claim: Option<String>,
    /// The clusters credited with each record, in the order of the records.
    pub credits: Vec<Vec<String>>,
}

/// A planned change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeView {
    /// `create`, `update` or `delete`.
    pub action: String,
    /// Type.
    #[serde(rename = "type")]
    pub rr_type: String,
    /// What stands there.
    pub before: Option<SetView>,
    /// What shall stand there.
    pub after: Option<SetView>,
    /// Why.
    pub reason: String,
    /// The limit that holds it; null when it is only not written yet.
    pub limit: Option<String>,
}

impl ChangeView {
    /// What a change does.
    pub fn new(change: &dnsprovider::Change, reason: &str, limit: Option<&str>) -> Self {
        let action = match change.action() {
            Action::Create => "create",
            Action::Update => "update",
            Action::Delete => "delete",
        };
        Self {
            action: action.into(),
            rr_type: change.key.rr_type.to_string(),
            before: change.before.as_ref().map(Into::into),
            after: change.after.as_ref().map(Into::into),
            reason: reason.into(),
            limit: limit.map(Into::into),
        }
    }
}

/// A change that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastChange {
    /// When the host said so.
    pub at: Moment,
    /// What.
    #[serde(flatten)]
    pub change: ChangeView,
}

/// One name on the way that a query takes through the zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathStep {
    /// The name, with final dot.
    pub name: String,
    /// What stands there; empty where the path ends in nothing.
    pub sets: Vec<SetView>,
}

/// Explains one name from what the reconciler holds. `history` is what was written there, where that is known.
pub fn explain(reconciler: &Reconciler, owner: &Fqdn, history: Option<Vec<PastChange>>, now: Timestamp) -> Explanation {
    let known = reconciler.naming().parse(owner);
    let service = known.as_ref().map(|(service, _)| service);
    let desired = service.map(|service| reconciler.desired(service, now));
    let name = match &desired {
        Some(Desired::Names(names)) => names.get(owner),
        _ => None,
    };
    let pending = reconciler.changes_at(owner, now).into_iter();
    let pending = pending.map(|(planned, limit)| {
        ChangeView::new(&planned.change, &planned.reason, limit.map(dns_sync_core::guard::Limit::as_str))
    });
    Explanation {
        name: owner.to_string(),
        service: service.map(ToString::to_string),
        level: known.as_ref().map(|(_, level)| level.to_string()),
        clusters: service.map(|service| cluster_views(reconciler, service, name)).unwrap_or_default(),
        desired: desired_view(known.as_ref(), desired.as_ref(), name),
        held: reconciler.zone().at(owner).iter().map(|entry| held_set(reconciler, entry)).collect(),
        pending: pending.collect(),
        refused: refusals(reconciler, service, owner),
        failure: reconciler.failures().find(|(of, _)| *of == service).map(|(_, error)| error.to_owned()),
        path: path(reconciler, owner),
        history,
    }
}

fn cluster_views(reconciler: &Reconciler, service: &ServiceId, name: Option<&DesiredName>) -> Vec<ClusterView> {
    let copies = reconciler.federation().copies(service);
    let of = |cluster: &str, list: &[Contribution]| {
        let own = list.iter().filter(|one| *one.cluster == *cluster);
        own.map(|one| AddressView { address: one.address, reason: worth(one).to_owned() }).collect()
    };
    let view = |cluster: ClusterReport| {
        let copy = copies.and_then(|copies| copies.get(&cluster.name));
        ClusterView {
            counts: copy.is_some(),
            ready: copy.map(HeldCopy::is_ready),
            offers: copy.map(offers).unwrap_or_default(),
            published: name.map(|name| of(&cluster.name, &name.published)).unwrap_or_default(),
            withdrawn: name.map(|name| of(&cluster.name, &name.withdrawn)).unwrap_or_default(),
            cluster,
        }
    };
    clusters(reconciler).into_iter().map(view).collect()
}

fn offers(copy: &HeldCopy) -> Vec<String> {
    let text = |endpoint: &Endpoint| match endpoint {
        Endpoint::Ip(address) => address.to_string(),
        Endpoint::Host(name) | Endpoint::Bad(name) => name.to_string(),
    };
    copy.ingress().iter().chain(copy.external_ips()).map(text).collect()
}

fn worth(one: &Contribution) -> &'static str {
    match (one.hold, one.credited) {
        (Hold::Firm, _) => "the cluster is known and healthy",
        (Hold::Kept, true) => "the cluster is unknown; what it said last, or is credited with, stays",
        (Hold::Kept, false) => "adopted; no cluster has confirmed it yet",
        (Hold::Drained, _) => "the cluster is drained",
        (Hold::Expired, _) => "the cluster is unknown past its grace",
    }
}

fn desired_view(
    known: Option<&(ServiceId, Level)>,
    desired: Option<&Desired>,
    name: Option<&DesiredName>,
) -> DesiredView {
    let nothing = |reason: &str| DesiredView::Nothing { reason: reason.to_owned() };
    match (known, desired, name) {
        (None, ..) | (_, None, _) => nothing("it is no name of this federation"),
        (_, Some(Desired::AsHeld { reason }), _) => DesiredView::AsHeld { reason: reason.clone() },
        (_, Some(Desired::Nothing), _) => nothing("the service counts in no cluster"),
        (_, Some(Desired::Names(_)), Some(name)) => {
            DesiredView::Sets { sets: name.sets.iter().map(Into::into).collect(), left_out: name.left_out }
        }
        (Some((_, level)), Some(Desired::Names(_)), None) => {
            nothing(&format!("{level}: no cluster of the federation is there, or the level is not published"))
        }
    }
}

fn held_set(reconciler: &Reconciler, entry: &Entry) -> HeldSet {
    let ownership = match reconciler.zone().ownership(entry) {
        Ownership::Ours => "ours",
        Ownership::Adoptable => "adoptable",
        Ownership::Foreign => "foreign",
    };
    let credits = |credits: &[std::sync::Arc<str>]| credits.iter().map(ToString::to_string).collect();
    HeldSet {
        set: (&entry.data).into(),
        ownership: ownership.to_owned(),
        claim: entry.data.claim_name().map(Into::into),
        credits: entry.data.credited().map(|(_, clusters)| credits(clusters)).collect(),
    }
}

fn refusals(reconciler: &Reconciler, service: Option<&ServiceId>, owner: &Fqdn) -> Vec<String> {
    let plan = service.and_then(|service| reconciler.service_plan(service));
    let concerns = |at: Option<&Fqdn>| at.is_none_or(|at| at == owner);
    let refused = plan.into_iter().flat_map(|plan| &plan.refused).filter(|refusal| concerns(refusal.owner.as_ref()));
    refused
        .map(|refusal| match &refusal.cluster {
            Some(cluster) => format!("{cluster}: {}", refusal.reason),
            None => refusal.reason.clone(),
        })
        .collect()
}

/// Follows CNAMEs through what the zone holds.
fn path(reconciler: &Reconciler, owner: &Fqdn) -> Vec<PathStep> {
    let mut seen = BTreeSet::new();
    let mut path = Vec::new();
    let mut at = Some(owner.clone());
    while let Some(name) = at.take() {
        if path.len() == LONGEST_PATH || !seen.insert(name.clone()) {
            break;
        }
        let entries = reconciler.zone().at(&name);
        at = entries.iter().find_map(|entry| entry.data.set.cname_target().cloned());
        path.push(PathStep {
            name: name.to_string(),
            sets: entries.iter().map(|entry| (&entry.data).into()).collect(),
        });
    }
    path
}
