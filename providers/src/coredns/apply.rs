//! One batch as transactions, in three steps.
//!
//! 1. One transaction puts all new records and deletes what can go at once; it happens as a whole or not at all.
//! 2. Sets whose old and new records do not fit in one transaction lose the old ones in further ones.
//! 3. Where addresses took the place of a CNAME, its key is deleted after [`super::Options::settle`]; all names of the
//!    batch wait together. A crash before leaves our CNAME beside our addresses (CoreDNS answers the addresses), which
//!    the next read shows as two sets and the next plan deletes.

use std::collections::{BTreeMap, BTreeSet};

use dnsprovider::{
    Applied, ApplyContext, Change, ChangeSet, Cost, Error, ErrorKind, Fence, Fqdn, Outcome, RrKey, Version,
};
use etcd_client::{Compare, CompareOp, GetOptions, GetResponse, Txn, TxnOp, TxnOpResponse};

use super::CoreDns;
use super::convert;
use super::error::{Failure, Says, error};
use super::later::Late;
use super::plan::{self, NamePlan, Occupied, newer};
use super::read::Reading;
use super::wire::Layout;

/// Rounds in which names that turned out to hold keys of others are looked at and planned anew.
const ROUNDS: usize = 3;

type ByName<'a> = BTreeMap<Fqdn, Vec<&'a Change>>;

impl CoreDns {
    pub(super) async fn apply_batch(
        &self,
        layout: &Layout,
        changes: &ChangeSet,
        context: &ApplyContext,
    ) -> Result<Applied, Error> {
        if changes.is_empty() || context.is_over() {
            return Ok(Applied::all(changes, |_| Outcome::NotTried));
        }
        let mut names = ByName::new();
        for change in changes.changes() {
            names.entry(change.key.owner.clone()).or_default().push(change);
        }
        let mut occupied = BTreeMap::<Fqdn, Occupied>::new();
        let mut refused_without_reason = 0;
        for _ in 0..ROUNDS {
            let mut plans = Vec::new();
            for (owner, changes_there) in &names {
                match plan::name(layout, owner, changes_there, occupied.get(owner), &self.crowd) {
                    Ok(plan) => plans.push(plan),
                    Err((culprit, error)) => return Ok(refused(changes, &culprit, error)),
                }
            }
            let limits = self.limits();
            let sum = |plans: &[NamePlan], cost: fn(&NamePlan, u64) -> Cost| {
                plans.iter().fold(limits.overhead, |sum, plan| sum + cost(plan, limits.batch.operations))
            };
            // Where there is room for every compare each name is deleted by them: none is refused for keys beside it.
            if sum(&plans, NamePlan::cost_undivided).over(&limits.batch).is_none() {
                plans.iter_mut().for_each(NamePlan::undivide);
            }
            let total = sum(&plans, NamePlan::cost);
            if let Some(over) = total.over(&limits.batch) {
                return Err(error(ErrorKind::LimitExceeded, format!("applying a batch that is too large: {over}")));
            }
            // A transaction in another one may have as many compares and operations as the other has left.
            let may_ask = total.compares < limits.batch.compares && total.operations < limits.batch.operations;
            let txn = first_transaction(&plans, &occupied, context.fence.as_ref(), limits.batch.operations, may_ask);
            let answer = match self.api.write("applying a batch", txn).await {
                Ok(answer) => answer,
                Err(failure) => return self.failed(changes, failure, &limits.batch),
            };
            let revision = answer.header().map_or(0, |header| header.revision().unsigned_abs());
            if answer.succeeded() {
                let batch = limits.batch;
                note_outdated(&mut plans, answer.op_responses(), batch.operations, may_ask);
                return Ok(self.finish(changes, plans, context, revision, batch).await);
            }
            let seen = self.witnesses(&plans, context.fence.as_ref()).await?;
            match judge(layout, &plans, &occupied, context.fence.as_ref(), seen)? {
                Verdict::Conflicts(owners) => return Ok(conflicts(changes, &owners)),
                Verdict::Occupied(owners) => {
                    let stale = self.look(layout, &names, &owners, &mut occupied).await?;
                    if !stale.is_empty() {
                        return Ok(conflicts(changes, &stale));
                    }
                }
                Verdict::Crowded(owners) => {
                    self.crowd.add(owners);
                    refused_without_reason += 1;
                }
                // What stood in the way went before it was looked for.
                Verdict::Holds => refused_without_reason += 1,
            }
        }
        if refused_without_reason == ROUNDS {
            return Err(error(ErrorKind::Protocol, "applying a batch: etcd refused it although all conditions hold"));
        }
        // Somebody writes below these names faster than we look.
        Ok(conflicts(changes, &occupied.into_keys().collect()))
    }

    /// What stands at the names of a transaction that was refused. Not a part of it: the reads would be most of what each
    /// transaction that succeeds carries into the log of etcd.
    async fn witnesses(&self, plans: &[NamePlan], fence: Option<&Fence>) -> Result<Vec<GetResponse>, Error> {
        let reads: Vec<_> =
            fence.map(fence_witness).into_iter().chain(plans.iter().flat_map(NamePlan::witnesses)).collect();
        let answer = self.api.read("looking why a batch was refused", Txn::new().and_then(reads)).await;
        Ok(gets(answer.map_err(|failure| failure.error)?.op_responses()))
    }

    /// Learns what is below names that were believed bare; gives those where the caller's picture is wrong.
    async fn look(
        &self,
        layout: &Layout,
        names: &ByName<'_>,
        owners: &BTreeMap<Fqdn, u64>,
        occupied: &mut BTreeMap<Fqdn, Occupied>,
    ) -> Result<BTreeSet<Fqdn>, Error> {
        let asked: Vec<_> = owners.keys().cloned().collect();
        let mut stale = BTreeSet::new();
        for Reading { keys, revision } in self.read_subtrees(layout, &asked).await? {
            let entries = convert::entries(layout, &keys, revision, |owner| owners.contains_key(owner));
            for entry in &entries {
                let same = |change: &&Change| {
                    let claim = change.after.as_ref().and_then(dnsprovider::ClaimedSet::claim_name);
                    change.before.is_none() && change.key == *entry.key() && claim == entry.data.claim_name()
                };
                if names.get(&entry.key().owner).is_some_and(|changes| changes.iter().any(same)) {
                    stale.insert(entry.key().owner.clone());
                }
            }
            for (key, stored) in &keys {
                let newer = |(owner, known): (&Fqdn, &u64)| {
                    (stored.modified.unsigned_abs() > *known && is_at_or_below(layout, key, owner))
                        .then(|| owner.clone())
                };
                stale.extend(owners.iter().filter_map(newer));
                let Some(placed) = convert::place(layout, key, &stored.value) else { continue };
                let Some((above, leaf)) = placed.leaf_below() else { continue };
                if owners.contains_key(above) {
                    occupied.entry(above.clone()).or_default().leaves.insert(leaf.to_owned());
                }
            }
            for owner in owners.keys() {
                occupied.entry(owner.clone()).or_default().revision = revision;
            }
        }
        Ok(stale)
    }

    /// What a failed first transaction means.
    fn failed(&self, changes: &ChangeSet, failure: Failure, used: &Cost) -> Result<Applied, Error> {
        match failure.says {
            Says::TooManyOperations => self.learn_operations(used.operations / 2),
            Says::TooLarge => self.learn_octets(used.octets / 2),
            _ => {}
        }
        if failure.undone {
            return Err(failure.error);
        }
        Ok(Applied::all(changes, |key| Outcome::Unknown(failure.error.duplicate_for(key))))
    }

    /// The second and third step, and what became of every change.
    async fn finish(
        &self,
        changes: &ChangeSet,
        mut plans: Vec<NamePlan>,
        context: &ApplyContext,
        revision: u64,
        batch: Cost,
    ) -> Applied {
        let limit = batch.operations;
        let fence = context.fence.as_ref();
        let trimmed = self.trim(&plans, fence, revision, limit).await;
        let settled = if plans.iter().any(|plan| plan.settle.is_some()) {
            tokio::time::sleep(self.api.options().settle).await;
            self.settle(&plans, fence, revision, limit).await
        } else {
            BTreeMap::new()
        };
        let mut late: BTreeMap<Fqdn, (Option<Late>, Option<Late>)> = BTreeMap::new();
        for (owner, outcome) in trimmed {
            late.entry(owner).or_default().0 = Some(outcome);
        }
        for (owner, outcome) in settled {
            late.entry(owner).or_default().1 = Some(outcome);
        }
        let mut applied = Applied::default();
        let before = |key: &RrKey| {
            changes.changes().find(|change| change.key == *key).is_some_and(|change| change.after.is_none())
        };
        for plan in &mut plans {
            self.crowd.remove(&plan.owner);
            let (trim, settle) = late.remove(&plan.owner).unwrap_or_default();
            for place in 0..plan.details.len() {
                let key = plan.details[place].0.clone();
                let exact = key.rr_type == dnsprovider::RrType::Cname && before(&key);
                let outcome = match (&trim, &settle) {
                    (Some(Late::Done(at)), _) => Outcome::Done(plan.version(place, *at)),
                    (Some(late), _) => late.unfinished(&key),
                    (None, Some(Late::Done(at))) if exact => Outcome::Done(Version::at(*at)),
                    (None, Some(late)) if exact => late.outcome(&key),
                    (None, _) => Outcome::Done(plan.version(place, revision)),
                };
                applied.add(&key, outcome);
            }
        }
        applied
    }
}

//----------- the first transaction ------------------------------------------

fn first_transaction(
    plans: &[NamePlan],
    occupied: &BTreeMap<Fqdn, Occupied>,
    fence: Option<&Fence>,
    limit: u64,
    may_ask: bool,
) -> Txn {
    let mut compares: Vec<_> = fence.map(fence_compare).into_iter().collect();
    let mut operations = Vec::new();
    for plan in plans {
        compares.extend(plan.compares(occupied.get(&plan.owner)));
        operations.extend(plan.operations(limit, may_ask));
    }
    Txn::new().when(compares).and_then(operations)
}

/// Notes where what stands exactly at a name is newer than it was known, or was not asked.
fn note_outdated(plans: &mut [NamePlan], answers: Vec<TxnOpResponse>, limit: u64, asked: bool) {
    if !plans.iter().any(NamePlan::asks_exact) {
        return;
    }
    let mut answers = answers.into_iter();
    for plan in plans {
        let last = (0..plan.operations_count(limit)).filter_map(|_| answers.next()).last();
        let is_known = matches!(last, Some(TxnOpResponse::Txn(answer)) if answer.succeeded());
        plan.outdated = plan.asks_exact() && !(asked && is_known);
    }
}

enum Verdict {
    /// These names are not what the caller took them for.
    Conflicts(BTreeSet<Fqdn>),
    /// These hold keys of others, which the caller knows of: none is newer than the revision.
    Occupied(BTreeMap<Fqdn, u64>),
    /// All is as the caller knows it, but these may hold keys that their plans do not.
    Crowded(BTreeSet<Fqdn>),
    /// By now nothing stands in the way.
    Holds,
}

/// Finds out why the first transaction was refused.
fn judge(
    layout: &Layout,
    plans: &[NamePlan],
    occupied: &BTreeMap<Fqdn, Occupied>,
    fence: Option<&Fence>,
    seen: Vec<GetResponse>,
) -> Result<Verdict, Error> {
    let mut seen = seen.into_iter();
    if let Some(fence) = fence
        && !fence_holds(fence, seen.next().as_ref())
    {
        let why = format!("applying a batch: the leadership at `{}` has passed to somebody else", fence.key);
        return Err(error(ErrorKind::PermissionDenied, why));
    }
    let (mut conflicts, mut others, mut divided) = (BTreeSet::new(), BTreeMap::new(), Vec::new());
    for plan in plans {
        let (exact, below) = (seen.next(), seen.next());
        let (Some(exact), Some(below)) = (exact, below) else {
            return Err(error(ErrorKind::Protocol, "applying a batch: etcd left out part of its answer"));
        };
        let guard = &plan.guard;
        if plan.is_divided() {
            divided.push((&plan.owner, below.kvs().len() != guard.old.len()));
        }
        let known = |kv: &etcd_client::KeyValue| kv.mod_revision() < newer(guard.revision);
        let has = |key: &String| {
            let at = below.kvs().iter().chain(exact.kvs()).any(|kv| kv.key() == key.as_bytes());
            // Leaves of the apex in v1's place are not below `dns/apex`; their compare alone speaks for them.
            at || !key.as_bytes().starts_with(&plan.below().0)
        };
        let exact_known = match exact.kvs().first() {
            Some(kv) => known(kv) && !guard.no_exact,
            None => !guard.had_exact,
        };
        let holds = exact_known
            && below.kvs().iter().all(known)
            && guard.old.iter().all(has)
            && !guard.new.iter().any(|key| below.kvs().iter().any(|kv| kv.key() == key.as_bytes()));
        if !holds || guard.stays_bare && !below.kvs().is_empty() {
            conflicts.insert(plan.owner.clone());
        } else if guard.was_bare && !below.kvs().is_empty() && !occupied.contains_key(&plan.owner) {
            others.insert(plan.owner.clone(), guard.revision);
        }
    }
    match (conflicts.is_empty(), others.is_empty()) {
        (true, false) => Ok(Verdict::Occupied(others)),
        (true, true) if !divided.is_empty() => {
            let known = |(_, is_crowded): &&(&Fqdn, bool)| *is_crowded;
            let crowded: BTreeSet<_> = divided.iter().filter(known).map(|(owner, _)| (*owner).clone()).collect();
            // None has more keys: one of them has another value, in a spelling that says the same.
            let all = || divided.iter().map(|(owner, _)| (*owner).clone()).collect();
            Ok(Verdict::Crowded(if crowded.is_empty() { all() } else { crowded }))
        }
        // Only a compare that no witness stands for can have failed: leaves of the apex in v1's place.
        (true, true) if plans.iter().any(|plan| plan.owner == layout.apex) => {
            Ok(Verdict::Conflicts(BTreeSet::from([layout.apex.clone()])))
        }
        (true, true) => Ok(Verdict::Holds),
        (false, _) => Ok(Verdict::Conflicts(conflicts)),
    }
}

fn conflicts(changes: &ChangeSet, owners: &BTreeSet<Fqdn>) -> Applied {
    Applied::all(changes, |key| if owners.contains(&key.owner) { Outcome::Conflict } else { Outcome::NotTried })
}

fn refused(changes: &ChangeSet, culprit: &RrKey, error: Error) -> Applied {
    let mut applied = Applied::all(changes, |_| Outcome::NotTried);
    applied.add(culprit, Outcome::Refused(error));
    applied
}

//----------- small parts ----------------------------------------------------

fn is_at_or_below(layout: &Layout, key: &[u8], owner: &Fqdn) -> bool {
    let below = layout.path(owner).and_then(|path| key.strip_prefix(path.as_bytes()));
    below.is_some_and(|below| matches!(below.first(), None | Some(b'/')))
}

pub(super) fn gets(answers: Vec<TxnOpResponse>) -> Vec<GetResponse> {
    let get = |answer: TxnOpResponse| match answer {
        TxnOpResponse::Get(get) => Some(get),
        _ => None,
    };
    answers.into_iter().filter_map(get).collect()
}

pub(super) fn revision_of(header: Option<&etcd_client::ResponseHeader>) -> u64 {
    header.map_or(0, |header| header.revision().unsigned_abs())
}

pub(super) fn fence_compare(fence: &Fence) -> Compare {
    let token = i64::try_from(fence.token).unwrap_or(i64::MAX);
    Compare::create_revision(fence.key.as_bytes(), CompareOp::Equal, token)
}

pub(super) fn fence_witness(fence: &Fence) -> TxnOp {
    TxnOp::get(fence.key.as_bytes(), Some(GetOptions::new().with_keys_only()))
}

pub(super) fn fence_holds(fence: &Fence, seen: Option<&GetResponse>) -> bool {
    seen.and_then(|seen| seen.kvs().first()).is_some_and(|kv| kv.create_revision().unsigned_abs() == fence.token)
}
