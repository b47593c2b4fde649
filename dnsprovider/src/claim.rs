//! Whose record is it: the mark that a daemon puts on the sets that it may change.

use std::sync::Arc;

use crate::record::{RecordData, RrSet};

/// Names of the clusters from which one record comes, sorted. Shared, because thousands of records have the same list.
pub type Credits = Arc<[Arc<str>]>;

/// The mark on a record set: who may change it, for which federation, and from where each of its records comes.
///
/// Where a provider can carry annotations the claim travels with its set; where it cannot, callers keep it in sets of
/// their own. Either way a set without a claim, or with another name on it, belongs to somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Who may change the set.
    pub name: Arc<str>,
    /// The federation whose names these are.
    pub federation: Arc<str>,
    /// One entry for each record of the set, in the order of its records; a missing entry is no credit.
    pub credits: Arc<[Credits]>,
}

impl Claim {
    /// A claim that credits no record to any cluster.
    pub fn without_credits(name: impl Into<Arc<str>>, federation: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), federation: federation.into(), credits: Arc::new([]) }
    }

    /// The clusters credited with the record at `index` of the set; empty when there are none.
    pub fn credits_of(&self, index: usize) -> &[Arc<str>] {
        self.credits.get(index).map_or(&[], |credits| &**credits)
    }
}

/// A record set together with the claim on it, if there is one.
///
/// Equality: both parts; a provider that lost the claim has not stored what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedSet {
    /// The records.
    pub set: RrSet,
    /// The mark on them; `None` for a set of somebody who does not use claims.
    pub claim: Option<Claim>,
}

impl ClaimedSet {
    /// A set without a claim.
    pub fn unclaimed(set: RrSet) -> Self {
        Self { set, claim: None }
    }

    /// The name on the claim.
    pub fn claim_name(&self) -> Option<&str> {
        self.claim.as_ref().map(|claim| &*claim.name)
    }

    /// Each record with the clusters credited with it, in the order of the set.
    pub fn credited(&self) -> impl Iterator<Item = (&RecordData, &[Arc<str>])> {
        self.set.records().iter().enumerate().map(|(index, record)| {
            (record, self.claim.as_ref().map_or(&[] as &[Arc<str>], |claim| claim.credits_of(index)))
        })
    }
}
