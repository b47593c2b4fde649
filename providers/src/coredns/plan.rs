//! Changes of one name to compares and operations.
//!
//! What was read of a name is guarded as a whole, so that a key that another writer adds, changes or deletes there is
//! noticed. R is the revision of the read:
//!
//! | there was | compares |
//! |---|---|
//! | no leaf | all keys below: none (1); exactly there: none, or there and not newer than R (1 or 2) |
//! | a leaf | all keys below: not newer than R (1); exactly there: not newer than R (1 or 2); each old leaf: there (1 each) |
//! | a leaf, and a set is created beside it | as above; each new leaf: not there (1 each) |
//! | only leaves that go now | all keys from the name or a leaf up to the next leaf: there, with the value of this one (1 each); of a name with one leaf, exactly there: not newer than R (1) |
//!
//! A range of keys cannot be compared for deletions, hence the single ones
//! (etcd server/etcdserver/txn, `applyCompare`). Where a range holds one key it can: a compare of values fails without
//! a key, and for every key with another value. So in a batch that has no room for more, the leaves of a name that goes
//! divide its keys among them (the last row), and as many names are deleted in a transaction as are created in one. It
//! is wrong about names with keys that the plan does not know of (another family, names below); these are remembered
//! ([`super::crowd`]) and take the longer way. What stands exactly at the name is none of the sets that go: where it is
//! not compared it is asked ([`NamePlan::operations`]), and its being newer leaves the name as known as it was. One gap
//! is left: a copy of a value, put beside its key since the read, passes, and stays until the watch or an audit shows it.
//!
//! A record that an update adds is not compared: every other leaf that stood there when the set was read is known
//! ([`Detail::beside`]), and none is newer. One gap is left, two addresses of different families with one hash (1 in
//! 2^32): the later takes the key of the earlier, whose set the next read shows as changed.
//!
//! In: changes, versions · Out: compares, puts, deletes, costs · Pure: yes · Called by: `apply`, and `cost` of the trait

use std::collections::{BTreeMap, BTreeSet};

use dnsprovider::{Change, ClaimedSet, Cost, Error, ErrorKind, Fqdn, RecordData, RrKey, RrType, Version};
use etcd_client::{Compare, CompareOp, GetOptions, Txn, TxnOp};

use super::convert::{Detail, default_place};
use super::crowd::Crowd;
use super::error::error;
use super::short;
use super::wire::{Layout, Mark, Message, Text, end_below, without_dot};

/// What is written for one name, and under which conditions.
#[derive(Debug)]
pub(super) struct NamePlan {
    pub(super) owner: Fqdn,
    /// The key exactly at the name.
    pub(super) exact: String,
    /// Where its leaves begin.
    pub(super) path: String,
    pub(super) guard: Guard,
    pub(super) puts: Vec<(String, String)>,
    pub(super) deletes: Vec<String>,
    /// The key exactly at the name, to be deleted when no query can be on its way between addresses and CNAME.
    pub(super) settle: Option<String>,
    /// What stands exactly at the name is newer than the revision of the guard.
    pub(super) outdated: bool,
    /// For each change, in order, what its version will say beside the revision.
    pub(super) details: Vec<(RrKey, Detail)>,
}

/// What must still hold.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "a list of independent conditions")]
pub(super) struct Guard {
    /// Keys of this revision and older were known.
    pub(super) revision: u64,
    /// No key was below the name.
    pub(super) was_bare: bool,
    /// Not even keys of others may be below: a CNAME is put there.
    pub(super) stays_bare: bool,
    /// A key was exactly at the name.
    pub(super) had_exact: bool,
    /// A key exactly at the name, unknown to the caller, forbids the change.
    pub(super) no_exact: bool,
    /// Keys that were there.
    pub(super) old: Vec<String>,
    /// Keys that must not be there.
    pub(super) new: Vec<String>,
    /// The values of `old`, one for each, where these are all keys below the name that the plan knows of, and all go.
    pub(super) values: Vec<String>,
}

/// What a look at a name showed that was believed bare.
#[derive(Clone, Debug, Default)]
pub(super) struct Occupied {
    pub(super) revision: u64,
    pub(super) leaves: BTreeSet<String>,
}

/// Plans the changes of one name.
///
/// # Errors
/// The first change that cannot be, and why.
pub(super) fn name(
    layout: &Layout,
    owner: &Fqdn,
    changes: &[&Change],
    occupied: Option<&Occupied>,
    crowd: &Crowd,
) -> Result<NamePlan, (RrKey, Error)> {
    check(layout, owner, changes)?;
    let short = match (changes, occupied) {
        (&[change], None) => short::plan(layout, change),
        _ => None,
    };
    let mut plan = short.map_or_else(|| general(layout, owner, changes, occupied), Ok)?;
    if crowd.holds(owner) {
        plan.undivide();
    }
    Ok(plan)
}

/// Plans any changes of one name, as [`name`] has checked them.
pub(super) fn general(
    layout: &Layout,
    owner: &Fqdn,
    changes: &[&Change],
    occupied: Option<&Occupied>,
) -> Result<NamePlan, (RrKey, Error)> {
    let refuse = |rule: &str| {
        let key = changes[0].key.clone();
        let error = error(ErrorKind::InvalidInput, rule).with_key(&key);
        (key, error)
    };
    let path = layout.path(owner).ok_or_else(|| refuse("writing a name with a label that no etcd key can hold"))?;
    let key_of = |leaf: &str| if leaf.is_empty() { path.clone() } else { format!("{path}/{leaf}") };

    let details: Vec<Detail> = changes.iter().map(|change| Detail::of(&change.version)).collect();
    let old: Vec<Vec<(usize, String)>> = changes
        .iter()
        .zip(&details)
        .map(|(change, detail)| change.before.as_ref().map_or_else(Vec::new, |held| detail.places(layout, &held.set)))
        .collect();
    let old_leaves: BTreeSet<&str> = old.iter().flatten().map(|(_, leaf)| leaf.as_str()).collect();
    let mut used: BTreeSet<String> = details.iter().flat_map(|detail| &detail.beside).cloned().collect();
    used.extend(occupied.into_iter().flat_map(|occupied| occupied.leaves.iter().cloned()));

    // Records that stay keep their keys, so that nothing is written for them.
    let mut assigned: Vec<Vec<Option<String>>> = Vec::new();
    for (change, old) in changes.iter().zip(&old) {
        let mut places = Vec::new();
        for record in change.after.iter().flat_map(|after| after.set.records()) {
            let before = change.before.as_ref().and_then(|held| held.set.records().binary_search(record).ok());
            let preferred = default_place(layout, owner, record);
            let mut stays = old.iter().filter(|(index, leaf)| {
                Some(*index) == before && leaf.is_empty() == preferred.is_empty() && !used.contains(leaf)
            });
            let place = stays.clone().find(|(_, leaf)| *leaf == preferred).or_else(|| stays.next());
            let place = place.map(|(_, leaf)| leaf.clone());
            used.extend(place.clone());
            places.push(place);
        }
        assigned.push(places);
    }

    let mut puts = BTreeMap::new();
    let mut kept = BTreeSet::new();
    let mut new = Vec::new();
    let mut plan_details = Vec::new();
    for ((change, places), detail) in changes.iter().zip(assigned).zip(details) {
        let mut at = Vec::new();
        for ((index, place), record) in
            places.into_iter().enumerate().zip(change.after.iter().flat_map(|after| after.set.records()))
        {
            let after = change.after.as_ref().expect("a record of `after` is at hand");
            let value = value_of(after, index).ok_or_else(|| refuse("writing a record that CoreDNS cannot answer"))?;
            let before = place.as_ref().and_then(|_| {
                let held = change.before.as_ref()?;
                value_of(held, held.set.records().binary_search(record).ok()?)
            });
            let leaf = place.unwrap_or_else(|| free(&default_place(layout, owner, record), &mut used));
            if before.as_ref() == Some(&value) {
                kept.insert(leaf.clone());
            } else {
                if change.before.is_none() && !leaf.is_empty() && !old_leaves.contains(leaf.as_str()) {
                    new.push(key_of(&leaf));
                }
                puts.insert(leaf.clone(), value);
            }
            at.push((index, leaf));
        }
        let default =
            change.after.as_ref().is_none_or(|after| at == super::convert::default_places(layout, &after.set));
        let mut beside = detail.beside;
        beside.extend(occupied.into_iter().flat_map(|occupied| occupied.leaves.iter().cloned()));
        if change.after.is_none() {
            beside.clear();
        }
        plan_details.push((change.key.clone(), Detail { at: (!default).then_some(at), beside }));
    }

    let had_exact = old_leaves.contains("");
    let gone = |leaf: &&str| !puts.contains_key(*leaf) && !kept.contains(*leaf);
    let deletes = old_leaves.iter().copied().filter(|leaf| !leaf.is_empty()).filter(gone).map(key_of).collect();
    let puts_leaf = puts.keys().chain(&kept).any(|leaf| !leaf.is_empty());
    let exact_goes = had_exact && gone(&"");
    let was_bare = old_leaves.iter().all(|leaf| leaf.is_empty());
    let stays_bare = was_bare && puts.contains_key("");
    let waits = exact_goes && (puts_leaf || occupied.is_some());
    let mut deletes: Vec<String> = deletes;
    if exact_goes && !waits {
        deletes.push(path.clone());
    }
    let befores = changes.iter().filter(|change| change.before.is_some());
    let read = |change: &&Change| change.version.revision;
    let revision = befores.map(read).min().or_else(|| changes.iter().map(read).min()).unwrap_or(0);
    let all_go = puts.is_empty() && kept.is_empty() && !had_exact && occupied.is_none();
    let values = if all_go && changes.iter().all(|change| change.version.detail.is_none()) {
        values_of(changes.iter().zip(&old))
    } else {
        Vec::new()
    };
    let guard = Guard {
        revision,
        was_bare,
        stays_bare,
        had_exact,
        no_exact: !had_exact && was_bare,
        old: old_leaves.iter().copied().filter(|leaf| !leaf.is_empty()).map(key_of).collect(),
        new: if was_bare { Vec::new() } else { new },
        values,
    };
    Ok(NamePlan {
        owner: owner.clone(),
        guard,
        puts: puts.into_iter().map(|(leaf, value)| (key_of(&leaf), value)).collect(),
        deletes,
        settle: waits.then(|| path.clone()),
        outdated: false,
        details: plan_details,
        path: format!("{path}/{}", layout.leaves(owner)),
        exact: path,
    })
}

/// What no store needs to be asked about.
pub(super) fn check(layout: &Layout, owner: &Fqdn, changes: &[&Change]) -> Result<(), (RrKey, Error)> {
    let mut seen = BTreeSet::new();
    let alone = changes.iter().filter(|change| change.after.is_some()).count() < 2;
    for change in changes {
        let sets = || change.before.iter().chain(&change.after).map(|held| &held.set);
        let after = change.after.as_ref().map(|held| &held.set);
        let writable = [RrType::A, RrType::Aaaa, RrType::Cname, RrType::Txt].contains(&change.key.rr_type);
        let claim = change.before.as_ref().or(change.after.as_ref()).and_then(ClaimedSet::claim_name);
        let (kind, rule) = if sets().next().is_none() {
            (ErrorKind::InvalidInput, "applying a change with neither a set before nor one after")
        } else if sets().any(|set| *set.key() != change.key) {
            (ErrorKind::InvalidInput, "applying a change whose set has another key")
        } else if !layout.holds(owner) {
            (ErrorKind::InvalidInput, "changing a name outside the zone")
        } else if !seen.insert((&change.key.rr_type, claim)) {
            (ErrorKind::InvalidInput, "changing a set twice in one unit")
        } else if !writable || sets().any(dnsprovider::RrSet::is_opaque) {
            (ErrorKind::Unsupported, "changing a set whose data is only carried")
        } else if after.is_some_and(|set| *set.rr_type() == RrType::Cname) && *owner == layout.apex {
            (ErrorKind::InvalidInput, "putting a CNAME at the apex of the zone")
        } else if after.is_some_and(|set| *set.rr_type() == RrType::Cname) && !alone {
            (ErrorKind::InvalidInput, "putting a CNAME beside other data (RFC 1034 section 3.6.2)")
        } else if after.is_some_and(|set| set.ttl().as_secs() == 0) {
            (ErrorKind::InvalidInput, "writing a TTL of 0, which CoreDNS answers as 300")
        } else {
            continue;
        };
        return Err((change.key.clone(), error(kind, rule).with_key(&change.key)));
    }
    Ok(())
}

/// The value of the key of one record; `None` when the format cannot hold it.
pub(super) fn value_of<'a>(held: &'a ClaimedSet, index: usize) -> Option<String> {
    let record: &RecordData = held.set.records().get(index)?;
    let clusters = |claim: &'a dnsprovider::Claim| {
        claim.credits.get(index).map(|credits| credits.iter().map(|cluster| Text::from(&**cluster)).collect())
    };
    let message = Message {
        ttl: Some(held.set.ttl().as_secs()),
        group: Some(without_dot(held.set.owner()).into()),
        mark: held.claim.as_ref().map(|claim| Mark {
            claim: (&*claim.name).into(),
            federation: (&*claim.federation).into(),
            clusters: clusters(claim),
        }),
        ..Message::default()
    };
    Some(serde_json::to_string(&message.with_record(record)?).expect("strings and numbers can be written as JSON"))
}

/// The values of the keys of sets, in the order of the keys; none where one cannot be written.
fn values_of<'a>(sets: impl Iterator<Item = (&'a &'a Change, &'a Vec<(usize, String)>)>) -> Vec<String> {
    let mut values = BTreeMap::new();
    for (change, places) in sets {
        for (index, leaf) in places {
            let Some(value) = change.before.as_ref().and_then(|held| value_of(held, *index)) else { return Vec::new() };
            values.insert(leaf.as_str(), value);
        }
    }
    values.into_values().collect()
}

/// `leaf`, or where another record has it `leaf-2`, `leaf-3`, …: FNV-1a of 32 bits collides.
fn free(leaf: &str, used: &mut BTreeSet<String>) -> String {
    let suffixed = (2..).map(|number| format!("{leaf}-{number}"));
    let place = std::iter::once(leaf.to_owned()).chain(suffixed).find(|place| used.insert(place.clone()));
    place.expect("an endless sequence has a value that a finite set lacks")
}

//----------- requests -------------------------------------------------------

/// The revision after `revision`, as etcd has them.
pub(super) fn newer(revision: u64) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX).saturating_add(1)
}

impl NamePlan {
    /// The name's keys as a range.
    pub(super) fn below(&self) -> (Vec<u8>, Vec<u8>) {
        let path = self.path.trim_end_matches('/');
        (self.path.clone().into_bytes(), end_below(path))
    }

    /// The key exactly at the name.
    pub(super) fn exact(&self) -> String {
        self.exact.clone()
    }

    /// The conditions under which the first transaction of this name is done.
    pub(super) fn compares(&self, occupied: Option<&Occupied>) -> Vec<Compare> {
        let guard = &self.guard;
        let (from, to) = self.below();
        if self.is_divided() {
            let ends = guard.old.iter().skip(1).map(|key| key.clone().into_bytes()).chain([to]);
            let begins = std::iter::once(from).chain(guard.old.iter().skip(1).map(|key| key.clone().into_bytes()));
            let part = |((begin, end), value): ((Vec<u8>, Vec<u8>), &String)| {
                Compare::value(begin, CompareOp::Equal, value.clone()).with_range(end)
            };
            let parts = begins.zip(ends).zip(&guard.values).map(part);
            return parts.chain((!self.asks_exact()).then(|| self.exact_is_known())).collect();
        }
        let below = match occupied {
            Some(occupied) => newer(occupied.revision),
            None if guard.was_bare => 1,
            None => newer(guard.revision),
        };
        let exact = self.exact();
        let mut compares = vec![Compare::mod_revision(from, CompareOp::Less, below).with_range(to)];
        let at_most = if guard.no_exact { 1 } else { newer(guard.revision) };
        compares.push(Compare::mod_revision(exact.clone(), CompareOp::Less, at_most));
        if guard.had_exact {
            compares.push(Compare::mod_revision(exact, CompareOp::Greater, 0));
        }
        compares.extend(guard.old.iter().map(|key| Compare::mod_revision(key.clone(), CompareOp::Greater, 0)));
        compares.extend(guard.new.iter().map(|key| Compare::mod_revision(key.clone(), CompareOp::Equal, 0)));
        compares
    }

    /// True where each leaf is compared with its part of the name.
    pub(super) fn is_divided(&self) -> bool {
        !self.guard.values.is_empty()
    }

    /// Compares every leaf by itself.
    pub(super) fn undivide(&mut self) {
        self.guard.values.clear();
    }

    /// True where what stands exactly at the name is no condition, but wanted to be known.
    pub(super) fn asks_exact(&self) -> bool {
        self.guard.values.len() > 1
    }

    fn exact_is_known(&self) -> Compare {
        Compare::mod_revision(self.exact(), CompareOp::Less, newer(self.guard.revision))
    }

    /// Puts and deletes of the first transaction, given how many operations one may have.
    ///
    /// Where it [asks](Self::asks_exact) and `may_ask`, the last one is a transaction of its own that deletes in any
    /// case, and succeeds when what stands exactly at the name is not newer than it was known.
    pub(super) fn operations(&self, limit: u64, may_ask: bool) -> Vec<TxnOp> {
        let puts = self.puts.iter().map(|(key, value)| TxnOp::put(key.clone(), value.clone(), None));
        let deletes = self.deletes.iter().filter(|_| !self.trims(limit)).map(|key| TxnOp::delete(key.clone(), None));
        let mut operations: Vec<_> = puts.chain(deletes).collect();
        if may_ask
            && self.asks_exact()
            && let Some(last) = operations.pop()
        {
            let asking = Txn::new().when([self.exact_is_known()]).and_then([last.clone()]).or_else([last]);
            operations.push(TxnOp::txn(asking));
        }
        operations
    }

    /// How many [`operations`](Self::operations) there are.
    pub(super) fn operations_count(&self, limit: u64) -> usize {
        self.puts.len() + if self.trims(limit) { 0 } else { self.deletes.len() }
    }

    /// True when old and new records do not fit in one transaction: the new are put first, the old deleted after.
    pub(super) fn trims(&self, limit: u64) -> bool {
        (self.puts.len() + self.deletes.len()) as u64 > limit && !self.puts.is_empty()
    }

    /// Reads that tell whether it was this name that forbade the transaction: two operations.
    pub(super) fn witnesses(&self) -> [TxnOp; 2] {
        let (from, to) = self.below();
        [
            TxnOp::get(self.exact(), Some(GetOptions::new().with_keys_only())),
            TxnOp::get(from, Some(GetOptions::new().with_range(to).with_keys_only())),
        ]
    }

    pub(super) fn cost(&self, limit: u64) -> Cost {
        if self.is_divided() {
            self.cost_of(self.guard.old.len().max(2), &self.guard.values, limit)
        } else {
            self.cost_undivided(limit)
        }
    }

    /// The cost after [`undivide`](Self::undivide).
    pub(super) fn cost_undivided(&self, limit: u64) -> Cost {
        let guard = &self.guard;
        let compares = 2 + usize::from(guard.had_exact) + guard.old.len() + guard.new.len();
        self.cost_of(compares, &[], limit)
    }

    fn cost_of(&self, compares: usize, values: &[String], limit: u64) -> Cost {
        let operations = self.operations_count(limit);
        // Protobuf needs up to 16 octets around each text; the two witnesses and the range name the path again.
        let per_key = self.path.len() + 40;
        let puts: usize = self.puts.iter().map(|(key, value)| key.len() + value.len() + 24).sum();
        // A part of the name ends at a key too, and who asks deletes in two ways.
        let parts: usize = values.iter().map(|value| value.len() + per_key).sum();
        let octets = puts + parts + (compares + self.deletes.len() + 7) * per_key;
        Cost { operations: operations as u64, compares: compares as u64, octets: octets as u64, ..Cost::default() }
    }

    /// What the set with this key is known as after a write at `revision`.
    pub(super) fn version(&mut self, place: usize, revision: u64) -> Version {
        let revision = if self.outdated { self.guard.revision } else { revision };
        std::mem::take(&mut self.details[place].1).into_version(revision)
    }
}
