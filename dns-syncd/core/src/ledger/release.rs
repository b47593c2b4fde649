//! A zone of a host without claims as one with claims would show it, and its sets given up or deleted.
//!
//! For callers that look at all claims, whatever service or suffix they are of: `release` does.
//! In: a raw [`Snapshot`] · Out: a snapshot with claims, change sets in host terms · Pure: yes.

use std::collections::{BTreeMap, BTreeSet};

use dnsprovider::{Blocks, Change, ChangeSet, ClaimedSet, Entry, Fqdn, RrKey, RrType, Snapshot, Unit, order};

use super::{Ledger, candidates, split_owner};
use crate::swap::is_placeholder;

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

/// One change for each set of a claim: it takes the claim off or deletes the set. A TXT set in the place of a CNAME is
/// deleted either way: it is no record to leave, and without a claim it would forbid the CNAME for good.
pub fn changes(snapshot: &Snapshot, claim: &str, delete: bool) -> Vec<Change> {
    let release = |entry: &Entry| {
        if delete || is_placeholder(&entry.data.set) {
            Change::delete(entry)
        } else {
            Change::update(entry, ClaimedSet::unclaimed(entry.data.set.clone()))
        }
    };
    snapshot.iter().filter(|entry| entry.data.claim_name() == Some(claim)).map(release).collect()
}

impl Release {
    /// The release of sets with which the host stores their claims.
    pub fn of(changes: &[Change]) -> Self {
        let first = ChangeSet::by_name(changes.iter().cloned());
        let decided_by = changes.iter().map(|change| (change.key.clone(), change.key.clone())).collect();
        Self { first, follow: Vec::new(), decided_by }
    }

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

#[cfg(test)]
mod tests {
    use dnsprovider::capabilities::Atomicity;
    use dnsprovider::store::ZoneStore;
    use dnsprovider::{Claim, Credits, RecordData, RrSet, Ttl, Version};

    use super::*;
    use crate::event::Place;

    fn fqdn(relative: &str) -> Fqdn {
        Fqdn::parse("example.com").unwrap().prepend(relative).unwrap()
    }

    fn set(name: &str, last: u8, claim: &str) -> ClaimedSet {
        let key = RrKey::new(fqdn(name), RrType::A);
        let set = RrSet::new(key, Ttl::from_secs(60).unwrap(), [RecordData::A([192, 0, 2, last].into())]).unwrap();
        let credits = [Credits::from(["a".into()])].into();
        ClaimedSet { set, claim: Some(Claim { name: claim.into(), federation: "fed".into(), credits }) }
    }

    /// Two services of ours, one with a set that somebody has changed, and one of somebody else.
    fn zone() -> ZoneStore {
        let mut store = ZoneStore::new("test", fqdn(""));
        let mut put = |set: RrSet| {
            let data = ClaimedSet::unclaimed(set);
            store.insert_foreign(Entry { data, version: Version::default(), blocks: Blocks::AsDns }).unwrap();
        };
        for (service, claim) in [("web", "fed"), ("api", "fed"), ("other", "somebody")] {
            let prefix = format!("{service}.shop.fed.svc");
            let mut ledger = Ledger::new(claim, "fed");
            for (place, name) in [(Place::new("", ""), prefix.clone()), (Place::new("r1", ""), format!("{prefix}.r1"))]
            {
                ledger.add(place, &set(&name, 1, claim));
                let changed = service == "api" && name != prefix;
                put(set(&name, if changed { 9 } else { 1 }, claim).set);
            }
            put(ledger.to_set(&fqdn(&format!("_dns-syncd.{prefix}"))).unwrap());
        }
        put(set("www", 1, "").set);
        store
    }

    fn released(delete: bool, fits: bool) -> (Vec<String>, usize) {
        let mut store = zone();
        let attached = attach(store.snapshot().clone());
        let changes = changes(&attached.snapshot, "fed", delete);
        assert_eq!(changes.len(), 3);
        let release = attached.release("fed", &changes, |_| fits);
        assert_eq!(release.decided_by().count(), 3);
        let first = store.apply(&release.first, Atomicity::Batch);
        assert!(first.is_done(), "{first:?}");
        let second = release.second(|key| first.outcomes.get(key).is_some_and(dnsprovider::Outcome::is_done));
        assert!(store.apply(&second, Atomicity::Batch).is_done());
        let names =
            store.entries().map(|entry| entry.key().owner.relative_to(&fqdn("")).unwrap_or_default().to_owned());
        (names.collect(), second.len())
    }

    #[test]
    fn what_is_given_up_stays_and_loses_its_ledger() {
        let all = ["_dns-syncd.other.shop.fed.svc", "api.shop.fed.svc", "api.shop.fed.svc.r1", "other.shop.fed.svc"];
        let more = ["other.shop.fed.svc.r1", "web.shop.fed.svc", "web.shop.fed.svc.r1", "www"];
        let (names, second) = released(false, true);
        assert_eq!((names, second), ([all, more].concat().iter().map(|name| (*name).to_owned()).collect(), 0));
    }

    #[test]
    fn what_is_deleted_goes_with_its_ledger_or_before_it() {
        let left =
            ["_dns-syncd.other.shop.fed.svc", "api.shop.fed.svc.r1", "other.shop.fed.svc", "other.shop.fed.svc.r1"];
        let left: Vec<String> = left.iter().chain(&["www"]).map(|name| (*name).to_owned()).collect();
        assert_eq!(released(true, true), (left.clone(), 0));
        assert_eq!(released(true, false), (left, 2));
    }

    #[test]
    fn a_ledger_stays_while_a_set_that_it_lists_could_not_be_deleted() {
        let attached = attach(zone().snapshot().clone());
        let changes = changes(&attached.snapshot, "fed", true);
        let release = attached.release("fed", &changes, |_| false);
        let second = release.second(|key| !key.owner.as_str().starts_with("web.shop.fed.svc.r1"));
        let names: Vec<&Fqdn> = second.changes().map(|change| &change.key.owner).collect();
        assert_eq!(names, [&fqdn("_dns-syncd.api.shop.fed.svc")]);
    }
}
