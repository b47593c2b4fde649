//! A plan as people and scripts read it: `plan --output json`, `/status`.
//!
//! In: planned changes and the guard's verdict · Out: serializable values in a fixed order · Pure: yes.

use dnsprovider::{Action, ClaimedSet, Fqdn};
use serde::Serialize;

use crate::guard::{Budget, Limit, Verdict};
use crate::plan::{PlannedChange, Refusal};

/// TTL and data of one set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SetReport {
    /// Seconds.
    pub ttl: u32,
    /// Records in presentation form, in the order of the set.
    pub rdata: Vec<String>,
}

impl From<&ClaimedSet> for SetReport {
    fn from(held: &ClaimedSet) -> Self {
        Self { ttl: held.set.ttl().as_secs(), rdata: held.set.records().iter().map(ToString::to_string).collect() }
    }
}

/// One desired set, as `records` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecordReport {
    /// Owner name with final dot.
    pub name: String,
    /// Type.
    #[serde(rename = "type")]
    pub rr_type: String,
    /// TTL and data.
    #[serde(flatten)]
    pub set: SetReport,
}

impl From<&ClaimedSet> for RecordReport {
    fn from(held: &ClaimedSet) -> Self {
        Self { name: held.set.owner().to_string(), rr_type: held.set.rr_type().to_string(), set: held.into() }
    }
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChangeReport {
    /// `create`, `update` or `delete`.
    pub action: &'static str,
    /// Owner name with final dot.
    pub name: String,
    /// Type.
    #[serde(rename = "type")]
    pub rr_type: String,
    /// What stands there.
    pub before: Option<SetReport>,
    /// What shall stand there.
    pub after: Option<SetReport>,
    /// Why.
    pub reason: String,
    /// The limit that holds it, for held changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<&'static str>,
    /// `namespace/name`, for people; not part of the JSON.
    #[serde(skip)]
    pub service: Option<String>,
}

impl ChangeReport {
    pub(crate) fn new(planned: &PlannedChange, service: Option<String>, limit: Option<Limit>) -> Self {
        let action = match planned.change.action() {
            Action::Create => "create",
            Action::Update => "update",
            Action::Delete => "delete",
        };
        Self {
            action,
            name: planned.change.key.owner.to_string(),
            rr_type: planned.change.key.rr_type.to_string(),
            before: planned.change.before.as_ref().map(Into::into),
            after: planned.change.after.as_ref().map(Into::into),
            reason: planned.reason.clone(),
            limit: limit.map(Limit::as_str),
            service,
        }
    }
}

/// Something that is wanted and not done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct RefusalReport {
    /// Owner name, where it is about one.
    pub name: Option<String>,
    /// Type, where it is about one set.
    #[serde(rename = "type")]
    pub rr_type: Option<String>,
    /// The cluster, where it is about one.
    pub cluster: Option<String>,
    /// `namespace/name`, where it is about one service.
    pub service: Option<String>,
    /// Why, and what to do.
    pub reason: String,
}

impl From<&Refusal> for RefusalReport {
    fn from(refusal: &Refusal) -> Self {
        Self {
            name: refusal.owner.as_ref().map(Fqdn::to_string),
            rr_type: refusal.rr_type.as_ref().map(ToString::to_string),
            cluster: refusal.cluster.as_ref().map(ToString::to_string),
            service: refusal.service.as_ref().map(ToString::to_string),
            reason: refusal.reason.clone(),
        }
    }
}

/// One kind of loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct BudgetReport {
    /// Written in the window and planned.
    pub counted: usize,
    /// Allowed; null where fewer than ten sets are claimed.
    pub allowed: Option<usize>,
}

impl From<Budget> for BudgetReport {
    fn from(budget: Budget) -> Self {
        Self { counted: budget.counted, allowed: budget.allowed }
    }
}

/// What the guard counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct GuardReport {
    /// Sets claimed at the start of the window.
    pub base: usize,
    /// Sets deleted.
    pub deleted: BudgetReport,
    /// Sets otherwise changed.
    pub updated: BudgetReport,
    /// Global names emptied.
    pub emptied: BudgetReport,
}

impl From<&Verdict> for GuardReport {
    fn from(verdict: &Verdict) -> Self {
        Self {
            base: verdict.base,
            deleted: verdict.deleted.into(),
            updated: verdict.updated.into(),
            emptied: verdict.emptied.into(),
        }
    }
}

/// A whole plan. `changes` and `held` are sorted by the bytes of the name, then type; `refused` by its fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlanReport {
    /// Apex of the zone.
    pub zone: String,
    /// What will be written.
    pub changes: Vec<ChangeReport>,
    /// What the guard holds.
    pub held: Vec<ChangeReport>,
    /// What is wanted and not done.
    pub refused: Vec<RefusalReport>,
    /// Our sets that stay as they are.
    pub unchanged: usize,
    /// Approves exactly what is held; null when nothing is.
    pub hash: Option<String>,
    /// The budgets.
    pub guard: GuardReport,
    /// Remarks that are no refusals, for people; not part of the JSON.
    #[serde(skip)]
    pub warnings: Vec<String>,
}
