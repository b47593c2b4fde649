//! The second and third step of a batch: what is deleted after the new records stand.
//!
//! In: plans whose first transaction is done, its revision · Out: what became of each name · Called by: `apply`

use std::collections::BTreeMap;

use dnsprovider::{ErrorKind, Fence, Fqdn, Outcome, RrKey, Version};
use etcd_client::{Compare, CompareOp, GetOptions, Txn, TxnOp};

use super::CoreDns;
use super::apply::{fence_compare, fence_holds, fence_witness, gets, revision_of};
use super::error::{Failure, error};
use super::plan::{NamePlan, newer};

impl CoreDns {
    /// Deletes the old records of sets that were put first.
    pub(super) async fn trim(
        &self,
        plans: &[NamePlan],
        fence: Option<&Fence>,
        revision: u64,
        limit: u64,
    ) -> Vec<(Fqdn, Late)> {
        let mut outcomes = Vec::new();
        let room = usize::try_from(limit).unwrap_or(usize::MAX).max(1);
        for plan in plans.iter().filter(|plan| plan.trims(limit)) {
            let mut known = revision;
            let mut outcome = Late::Done(known);
            for keys in plan.deletes.chunks(room) {
                let (from, to) = plan.below();
                let unchanged = Compare::mod_revision(from, CompareOp::Less, newer(known)).with_range(to);
                let mut compares: Vec<_> = fence.map(fence_compare).into_iter().collect();
                compares.push(unchanged);
                let deletes: Vec<_> = keys.iter().map(|key| TxnOp::delete(key.clone(), None)).collect();
                let txn = Txn::new().when(compares).and_then(deletes);
                outcome = match self.api.write("deleting the old records of a large set", txn).await {
                    Ok(answer) if answer.succeeded() => Late::Done(revision_of(answer.header())),
                    Ok(_) => Late::Conflict,
                    Err(failure) => Late::Failed(failure),
                };
                match outcome {
                    Late::Done(at) => known = at,
                    _ => break,
                }
            }
            outcomes.push((plan.owner.clone(), outcome));
        }
        outcomes
    }

    /// Deletes the CNAMEs whose place addresses have taken.
    pub(super) async fn settle(
        &self,
        plans: &[NamePlan],
        fence: Option<&Fence>,
        revision: u64,
        limit: u64,
    ) -> BTreeMap<Fqdn, Late> {
        let mut outcomes = BTreeMap::new();
        // Two compares for each name, one for the fence.
        let room = usize::try_from(limit.saturating_sub(1) / 2).unwrap_or(usize::MAX).max(1);
        let waiting: Vec<_> = plans.iter().filter(|plan| plan.settle.is_some()).collect();
        for part in waiting.chunks(room) {
            let mut part = part.to_vec();
            while !part.is_empty() {
                let mut compares: Vec<_> = fence.map(fence_compare).into_iter().collect();
                let mut witnesses: Vec<_> = fence.map(fence_witness).into_iter().collect();
                let mut deletes = Vec::new();
                for plan in &part {
                    let key = plan.exact();
                    compares.push(Compare::mod_revision(key.clone(), CompareOp::Less, newer(revision)));
                    compares.push(Compare::mod_revision(key.clone(), CompareOp::Greater, 0));
                    witnesses.push(TxnOp::get(key.clone(), Some(GetOptions::new().with_keys_only())));
                    deletes.push(TxnOp::delete(key, None));
                }
                let txn = Txn::new().when(compares).and_then(deletes).or_else(witnesses);
                let answer = match self.api.write("deleting CNAMEs that gave way to addresses", txn).await {
                    Ok(answer) => answer,
                    Err(failure) => {
                        let late = |plan: &&NamePlan| (plan.owner.clone(), Late::Failed(failure.copy()));
                        outcomes.extend(part.iter().map(late));
                        break;
                    }
                };
                let at = revision_of(answer.header());
                if answer.succeeded() {
                    outcomes.extend(part.iter().map(|plan| (plan.owner.clone(), Late::Done(at))));
                    break;
                }
                let mut seen = gets(answer.op_responses()).into_iter();
                if fence.is_some_and(|fence| !fence_holds(fence, seen.next().as_ref())) {
                    outcomes.extend(part.iter().map(|plan| (plan.owner.clone(), Late::Unfenced)));
                    break;
                }
                let asked = part.len();
                let mut left = Vec::new();
                for (plan, seen) in part.into_iter().zip(seen) {
                    match seen.kvs().first() {
                        None => _ = outcomes.insert(plan.owner.clone(), Late::Done(at)),
                        Some(kv) if kv.mod_revision() >= newer(revision) => {
                            outcomes.insert(plan.owner.clone(), Late::Conflict);
                        }
                        Some(_) => left.push(plan),
                    }
                }
                if left.len() == asked {
                    // Refused without a reason that can be seen: not to be tried for ever.
                    outcomes.extend(left.iter().map(|plan| (plan.owner.clone(), Late::Conflict)));
                    break;
                }
                part = left;
            }
        }
        outcomes
    }
}

//----------- Late -----------------------------------------------------------

/// What became of a later step of a name.
pub(super) enum Late {
    Done(u64),
    Conflict,
    /// Somebody else leads by now.
    Unfenced,
    Failed(Failure),
}

impl Late {
    /// For a set of which this step was all.
    pub(super) fn outcome(&self, key: &RrKey) -> Outcome {
        match self {
            Self::Done(at) => Outcome::Done(Version::at(*at)),
            Self::Conflict => Outcome::Conflict,
            Self::Unfenced => Outcome::NotTried,
            Self::Failed(failure) if failure.undone => Outcome::Refused(failure.error.duplicate_for(key)),
            Self::Failed(failure) => Outcome::Unknown(failure.error.duplicate_for(key)),
        }
    }

    /// For a set of which a part is done.
    pub(super) fn unfinished(&self, key: &RrKey) -> Outcome {
        let why = match self {
            Self::Failed(failure) => return Outcome::Unknown(failure.error.duplicate_for(key)),
            _ => "deleting the old records of a large set: something changed meanwhile; the new records are in place",
        };
        Outcome::Unknown(error(ErrorKind::Conflict, why).with_key(key))
    }
}

impl Failure {
    fn copy(&self) -> Self {
        let error = error(self.error.kind(), self.error.message()).with_retry(self.error.retry());
        Self { error, ..*self }
    }
}
