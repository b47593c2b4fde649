//! A zone of a host without claims as one with claims would show it, and its sets given up or deleted.
//!
//! For callers that look at all claims, whatever service or suffix they are of: `release` does.
//! In: a raw [`Snapshot`] · Out: a snapshot with claims, change sets in host terms · Pure: yes.

use std::collections::{BTreeMap, BTreeSet};

use dnsprovider::{Blocks, Change, ChangeSet, ClaimedSet, Entry, Fqdn, RrKey, RrType, Snapshot, Unit, order};

use super::{Ledger, candidates, split_owner};

/// A zone with the claims on its sets, and the TXT sets from which they come apart from it.
#[derive(Clone, Debug, Default)]
pub struct Attached {
    /// All sets but the TXT sets that are ledgers; those that one of these proves have its claim.
    pub snapshot: Snapshot,
    ledgers: BTreeMap<Fqdn, (Entry, Ledger)>,
    proofs: BTreeMap<RrKey, Fqdn>,
}

/// Puts the claims on the sets that ledgers prove. A TXT set that is no ledger of this version stays as it is.
pub fn attach(raw: Snapshot) -> Attached {
    let mut ledgers = BTreeMap::new();
    let mut snapshot = Snapshot { version: raw.version, ..Snapshot::default() };
    for entry in raw.entries.into_values().flatten() {
        let owner = &entry.key().owner;
        let is_candidate = entry.key().rr_type == RrType::Txt && split_owner(owner).is_some();
        match is_candidate.then(|| Ledger::from_set(&entry.data.set)) {
            Some(Ok(ledger)) => _ = ledgers.insert(owner.clone(), (entry, ledger)),
            _ => snapshot.insert(entry),
        }
    }
    let mut proofs = BTreeMap::new();
    for entry in snapshot.entries.values_mut().flatten() {
        if entry.blocks != Blocks::AsDns || entry.data.set.is_opaque() {
            continue;
        }
        let claim = candidates(&entry.key().owner).into_iter().find_map(|(at, place)| {
            let claim = ledgers.get(&at)?.1.claim(&place, &entry.data.set)?;
            Some((at, claim))
        });
        if let Some((at, claim)) = claim {
            proofs.insert(entry.key().clone(), at);
            entry.data.claim = Some(claim);
        }
    }
    Attached { snapshot, ledgers, proofs }
}

/// What to write for a release. Nothing of the second call may be sent for a service of which something of the first
/// failed: [`Release::second`] leaves it out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Release {
    /// To be written first.
    pub first: ChangeSet,
    /// TXT sets that follow sets, with the sets.
    follow: Vec<(BTreeSet<RrKey>, Change)>,
    /// For each released set the change that decides whether it is.
    decided_by: BTreeMap<RrKey, RrKey>,
}

impl Release {
    /// True when there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.first.is_empty() && self.follow.is_empty()
    }

    /// To be written after the first, when `is_done` tells which of its sets are done.
    pub fn second(&self, is_done: impl Fn(&RrKey) -> bool) -> ChangeSet {
        let follow = self.follow.iter().filter(|(sets, _)| sets.iter().all(&is_done));
        ChangeSet { units: follow.map(|(_, change)| Unit { changes: vec![change.clone()] }).collect() }
    }

    /// The released sets, each with the key whose outcome tells whether it is released.
    pub fn decided_by(&self) -> impl Iterator<Item = (&RrKey, &RrKey)> {
        self.decided_by.iter()
    }
}

impl Attached {
    /// Releases the given sets of a claim: changes that take its claim off, or that delete the sets. The ledgers of the
    /// claim go with them, those too that list nothing any more.
    ///
    /// `fits` tells whether one call takes all of a unit or nothing; where it does not, the sets go before their TXT set.
    pub fn release(&self, claim: &str, changes: &[Change], fits: impl Fn(&Unit) -> bool) -> Release {
        let mut release = Release::default();
        for (at, (entry, _)) in self.ledgers.iter().filter(|(_, (_, ledger))| **ledger.name() == *claim) {
            let of_it = |change: &&Change| self.proofs.get(&change.key) == Some(at);
            let (deleted, given_up): (Vec<&Change>, Vec<&Change>) =
                changes.iter().filter(of_it).partition(|change| change.after.is_none());
            let txt = Change::delete(entry);
            release.decided_by.extend(given_up.iter().map(|change| (change.key.clone(), txt.key.clone())));
            release.decided_by.extend(deleted.iter().map(|change| (change.key.clone(), change.key.clone())));
            let bare: Vec<Change> = deleted.iter().map(|change| bare(change)).collect();
            let whole = Unit { changes: bare.iter().cloned().chain([txt.clone()]).collect() };
            if bare.is_empty() || fits(&whole) {
                release.first.units.push(whole);
            } else {
                release.follow.push((bare.iter().map(|change| change.key.clone()).collect(), txt));
                release.first.units.extend(order(ChangeSet::by_name(bare)).units);
            }
        }
        release
    }
}

fn bare(change: &Change) -> Change {
    let unclaimed = |data: &Option<ClaimedSet>| data.as_ref().map(|data| ClaimedSet::unclaimed(data.set.clone()));
    Change { before: unclaimed(&change.before), after: unclaimed(&change.after), ..change.clone() }
}
