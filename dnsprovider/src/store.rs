//! One zone as a value: the reference for what a change does.
//!
//! [`crate::MemoryProvider`] and the embedded server keep their zones in a [`ZoneStore`], and a backend that is in doubt
//! does what it does. It knows record sets and the rules of DNS; limits of a host, paging and faults are its callers'.
//! In: change sets · Out: outcomes · Pure: yes.

use std::collections::BTreeSet;

use crate::capabilities::Atomicity;
use crate::change::{Change, ChangeSet, Unit};
use crate::error::{Error, ErrorKind};
use crate::name::Fqdn;
use crate::provider::{Applied, Outcome};
use crate::record::{RrKey, RrType};
use crate::snapshot::{Blocks, Entry, Snapshot, Version};

/// The sets of one zone and the number of its last change.
///
/// Invariants: every name is at or below the apex; one set for each key; a CNAME that was written here stands alone at
/// its name and never at the apex, where SOA and NS stand. Cost of a change: that of the names it touches, never of
/// the zone.
#[derive(Clone, Debug)]
pub struct ZoneStore {
    provider: &'static str,
    apex: Fqdn,
    held: Snapshot,
    sets: usize,
}

/// Which change of a unit stops it, and why.
pub(crate) struct Stop {
    pub(crate) place: usize,
    pub(crate) outcome: Outcome,
}

/// What stood at the names of a unit before it, to put it back.
type Undo = Vec<(Fqdn, Vec<Entry>)>;

impl ZoneStore {
    /// An empty zone at revision 1. Its errors name `provider`.
    pub fn new(provider: &'static str, apex: Fqdn) -> Self {
        let held = Snapshot { version: Version::at(1), ..Snapshot::default() };
        Self { provider, apex, held, sets: 0 }
    }

    /// A zone as it was saved: its revision and all entries, in any order.
    ///
    /// # Errors
    /// - [`ErrorKind::InvalidInput`] when an entry lies outside the zone, is newer than `revision`, or has the key of
    ///   another, and when `revision` is the last number there is.
    pub fn restore(
        provider: &'static str,
        apex: Fqdn,
        revision: u64,
        entries: impl IntoIterator<Item = Entry>,
    ) -> Result<Self, Error> {
        let mut store = Self::new(provider, apex);
        if revision == u64::MAX {
            let message = format!("restoring the zone: revision {revision} leaves none for the next change");
            return Err(Error::new(ErrorKind::InvalidInput, provider, message).with_zone(&store.apex));
        }
        store.held.version = Version::at(revision);
        for entry in entries {
            let key = entry.key().clone();
            let rule = if !key.owner.is_at_or_below(&store.apex) {
                "its name is outside the zone"
            } else if entry.version.revision > revision {
                "it is newer than the zone"
            } else if store.get(&key).is_some() {
                "it occurs twice"
            } else {
                store.held.insert(entry);
                store.sets += 1;
                continue;
            };
            return Err(store.error(ErrorKind::InvalidInput, &key, format!("restoring the zone: {rule}")));
        }
        Ok(store)
    }

    /// The name of the zone itself.
    pub fn apex(&self) -> &Fqdn {
        &self.apex
    }

    /// The number of the last change; 1 in a new zone.
    pub fn revision(&self) -> u64 {
        self.held.version.revision
    }

    /// Everything in the zone, at its last change.
    pub fn snapshot(&self) -> &Snapshot {
        &self.held
    }

    /// All sets in order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.held.iter()
    }

    /// Everything at a name; empty when there is nothing.
    pub fn at(&self, owner: &Fqdn) -> &[Entry] {
        self.held.at(owner)
    }

    /// The set with this key.
    pub fn get(&self, key: &RrKey) -> Option<&Entry> {
        self.held.get(key)
    }

    /// Number of sets.
    pub fn len(&self) -> usize {
        self.sets
    }

    /// True when there is no set.
    pub fn is_empty(&self) -> bool {
        self.sets == 0
    }

    /// Makes the changes true, as far as they may be.
    ///
    /// A unit happens as a whole or not at all; with [`Atomicity::Batch`] so does the change set. A call that changes
    /// anything is one revision, which all sets that it wrote carry.
    ///
    /// | the change | its outcome |
    /// |---|---|
    /// | holds neither set, or sets of another key, or its key twice in a unit; its owner is outside the zone | `Refused` (`InvalidInput`) |
    /// | would write opaque data, or change a set that has some | `Refused` (`Unsupported`) |
    /// | `before` (records, TTL, claim) is not what stands there | `Conflict` |
    /// | leaves a CNAME beside other data or at the apex, or anything at a name that a foreign set blocks | `Refused` (`InvalidInput`) |
    /// | is of a unit (with `Batch`: a change set) with one of the above | `NotTried` |
    /// | else | `Done` |
    ///
    /// The version in a change is not compared: where the data is still the same, what was decided on it still holds.
    pub fn apply(&mut self, changes: &ChangeSet, atomicity: Atomicity) -> Applied {
        self.apply_if(changes, atomicity, |_, _| Ok(()))
    }

    /// As [`ZoneStore::apply`], for the units that `admit` lets pass.
    pub(crate) fn apply_if(
        &mut self,
        changes: &ChangeSet,
        atomicity: Atomicity,
        admit: impl Fn(&Self, &Unit) -> Result<(), Stop>,
    ) -> Applied {
        let before = self.revision();
        let version = Version::at(before + 1);
        let mut undo = Undo::new();
        let stops: Vec<_> = changes
            .units
            .iter()
            .map(|unit| admit(self, unit).and_then(|()| self.apply_unit(unit, &version, &mut undo)).err())
            .collect();
        let undone = atomicity == Atomicity::Batch && stops.iter().any(Option::is_some);
        if undone {
            self.put_back(&mut undo, 0);
        } else if !undo.is_empty() {
            self.held.version = version.clone();
        }
        let mut applied = Applied::default();
        for (unit, mut stop) in changes.units.iter().zip(stops) {
            let stopped = stop.is_some();
            for (place, change) in unit.changes.iter().enumerate() {
                let outcome = match stop.take_if(|stop| stop.place == place) {
                    Some(stop) => stop.outcome,
                    None if stopped || undone => Outcome::NotTried,
                    None => Outcome::Done(version.clone()),
                };
                applied.add(&change.key, outcome);
            }
        }
        applied
    }

    /// Puts a set in place whatever stands at its key, as another writer would. Opaque data and any `blocks` are welcome.
    ///
    /// The entry's version is set to the new revision of the zone.
    ///
    /// # Errors
    /// - [`ErrorKind::InvalidInput`] when its name is outside the zone.
    pub fn insert_foreign(&mut self, mut entry: Entry) -> Result<(), Error> {
        if !entry.key().owner.is_at_or_below(&self.apex) {
            return Err(self.error(ErrorKind::InvalidInput, entry.key(), "putting a foreign set outside the zone"));
        }
        self.held.version = Version::at(self.revision() + 1);
        entry.version = self.held.version.clone();
        self.take(&entry.key().clone());
        self.put(entry);
        Ok(())
    }

    /// Removes the set with this key whatever it holds, as another writer would, and gives it; `None` when there is none.
    pub fn remove(&mut self, key: &RrKey) -> Option<Entry> {
        let removed = self.take(key)?;
        self.held.version = Version::at(self.revision() + 1);
        Some(removed)
    }

    fn apply_unit(&mut self, unit: &Unit, version: &Version, undo: &mut Undo) -> Result<(), Stop> {
        let mut seen = BTreeSet::new();
        for (place, change) in unit.changes.iter().enumerate() {
            let stop = |outcome| Stop { place, outcome };
            self.check(change).map_err(stop)?;
            if !seen.insert(&change.key) {
                let error = self.error(ErrorKind::InvalidInput, &change.key, "changing a set twice in one unit");
                return Err(stop(Outcome::Refused(error)));
            }
        }
        let start = undo.len();
        for change in &unit.changes {
            let owner = &change.key.owner;
            undo.push((owner.clone(), self.at(owner).to_vec()));
            self.take(&change.key);
            if let Some(after) = &change.after {
                self.put(Entry { data: after.clone(), version: version.clone(), blocks: Blocks::AsDns });
            }
        }
        // Judged on the whole unit: an address set may give way to a CNAME in any order of its changes.
        let crowded = unit.changes.iter().enumerate().find_map(|(place, change)| {
            let rule = change.after.as_ref().and_then(|_| self.crowds(&change.key))?;
            Some((place, &change.key, rule))
        });
        match crowded {
            None => Ok(()),
            Some((place, key, rule)) => {
                self.put_back(undo, start);
                Err(Stop { place, outcome: Outcome::Refused(self.error(ErrorKind::InvalidInput, key, rule)) })
            }
        }
    }

    /// Judges one change on the state before its unit.
    fn check(&self, change: &Change) -> Result<(), Outcome> {
        let refuse = |kind, rule| Err(Outcome::Refused(self.error(kind, &change.key, rule)));
        let sets = || change.before.iter().chain(&change.after).map(|data| &data.set);
        if change.before.is_none() && change.after.is_none() {
            return refuse(ErrorKind::InvalidInput, "applying a change with neither a set before nor one after");
        }
        if sets().any(|set| *set.key() != change.key) {
            return refuse(ErrorKind::InvalidInput, "applying a change whose set has another key");
        }
        if !change.key.owner.is_at_or_below(&self.apex) {
            return refuse(ErrorKind::InvalidInput, "changing a name outside the zone");
        }
        if sets().any(crate::RrSet::is_opaque) {
            return refuse(ErrorKind::Unsupported, "changing a set whose data is only carried");
        }
        if self.get(&change.key).map(|entry| &entry.data) != change.before.as_ref() {
            return Err(Outcome::Conflict);
        }
        Ok(())
    }

    /// Why the set at `key` cannot stand where it now does.
    fn crowds(&self, key: &RrKey) -> Option<&'static str> {
        let others = || self.at(&key.owner).iter().filter(|entry| entry.key() != key);
        if key.rr_type == RrType::Cname && key.owner == self.apex {
            // SOA and NS stand there even where the host does not list them.
            Some("putting a CNAME at the apex of the zone")
        } else if key.rr_type == RrType::Cname && others().next().is_some() {
            Some("putting a CNAME beside other data (RFC 1034 section 3.6.2)")
        } else if others().any(|entry| *entry.data.set.rr_type() == RrType::Cname) {
            Some("putting data beside a CNAME (RFC 1034 section 3.6.2)")
        } else if others().any(|entry| entry.blocks == Blocks::Name) {
            Some("putting data at a name that a foreign set blocks")
        } else {
            None
        }
    }

    fn put(&mut self, entry: Entry) {
        self.held.insert(entry);
        self.sets += 1;
    }

    fn take(&mut self, key: &RrKey) -> Option<Entry> {
        let at_owner = self.held.entries.get_mut(&key.owner)?;
        let place = at_owner.iter().position(|entry| entry.key() == key)?;
        let taken = at_owner.remove(place);
        if at_owner.is_empty() {
            self.held.entries.remove(&key.owner);
        }
        self.sets -= 1;
        Some(taken)
    }

    /// Takes back what was noted from `start` on, last first.
    fn put_back(&mut self, undo: &mut Undo, start: usize) {
        for (owner, entries) in undo.drain(start..).rev() {
            self.sets -= self.at(&owner).len();
            self.sets += entries.len();
            if entries.is_empty() {
                self.held.entries.remove(&owner);
            } else {
                self.held.entries.insert(owner, entries);
            }
        }
    }

    fn error(&self, kind: ErrorKind, key: &RrKey, message: impl Into<String>) -> Error {
        Error::new(kind, self.provider, message).with_zone(&self.apex).with_key(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ClaimedSet;
    use crate::testing::{change, entry, key, name, set, told, units};

    fn holding(entries: &[&str]) -> ZoneStore {
        let mut store = ZoneStore::new("test", name("@"));
        for text in entries {
            store.insert_foreign(entry(text)).unwrap();
        }
        store
    }

    fn apply(store: &mut ZoneStore, texts: &[&[&str]]) -> Vec<String> {
        let before = store.snapshot().clone();
        let applied = store.apply(&units(texts), Atomicity::Set);
        if applied.outcomes.values().all(|outcome| !outcome.is_done()) {
            assert_eq!(store.snapshot(), &before, "nothing done, so nothing changed");
        }
        told(&applied)
    }

    #[test]
    fn addresses_give_way_to_a_cname_in_any_order_of_the_unit() {
        let clear = "www A 192.0.2.1 ->";
        let put = "-> www CNAME other";
        for unit in [[clear, put], [put, clear]] {
            let mut store = holding(&["www A 192.0.2.1"]);
            assert_eq!(apply(&mut store, &[&unit]), ["www A: done", "www CNAME: done"]);
            assert_eq!((store.len(), store.get(&key("www A"))), (1, None));
        }
    }

    #[test]
    fn a_cname_stands_alone_and_never_at_the_apex() {
        let mut store = holding(&["www A 192.0.2.1", "mail MX 10", "alias CNAME www"]);
        for (put, outcome) in [
            ("-> www CNAME other", "www CNAME: invalid input"),
            ("-> mail CNAME other", "mail CNAME: invalid input"),
            ("-> alias TXT x", "alias TXT: invalid input"),
            ("-> @ CNAME www", " CNAME: invalid input"),
        ] {
            assert_eq!(apply(&mut store, &[&[put]]), [outcome]);
        }
        let both: &[&str] = &["-> new A 192.0.2.1", "-> new CNAME www"];
        assert_eq!(apply(&mut store, &[both]), ["new A: invalid input", "new CNAME: not tried"]);
    }

    #[test]
    fn what_stands_there_must_be_what_was_read() {
        let mut store = holding(&["www A 192.0.2.1"]);
        for stale in [
            "-> www A 192.0.2.1",
            "www A 192.0.2.2 ->",
            "www A 192.0.2.1 192.0.2.2 -> www A 192.0.2.3",
            "www TXT x ->",
            "gone A 192.0.2.1 ->",
        ] {
            let key = change(stale).key;
            let owner = key.owner.relative_to(store.apex()).unwrap();
            assert_eq!(apply(&mut store, &[&[stale]]), [format!("{owner} {}: conflict", key.rr_type)]);
        }
        let mut other_ttl = change("www A 192.0.2.1 ->");
        let held = other_ttl.before.take().unwrap();
        let longer = crate::RrSet::new(held.set.key().clone(), crate::Ttl::MAX, held.set.records().to_vec()).unwrap();
        other_ttl.before = Some(ClaimedSet::unclaimed(longer));
        let other_claim = Change {
            before: Some(ClaimedSet { claim: Some(crate::Claim::without_credits("a", "a")), ..held }),
            ..other_ttl.clone()
        };
        for stale in [other_ttl, other_claim] {
            let applied = store.apply(&ChangeSet::by_name([stale]), Atomicity::Set);
            assert_eq!(told(&applied), ["www A: conflict"]);
        }
    }

    #[test]
    fn foreign_sets_that_are_only_carried_stay() {
        let mut store = holding(&["www ALIAS-A elb"]);
        assert_eq!(apply(&mut store, &[&["www ALIAS-A elb ->"]]), ["www A: unsupported"]);
        assert_eq!(apply(&mut store, &[&["www ALIAS-A elb -> www A 192.0.2.1"]]), ["www A: unsupported"]);
        assert_eq!(apply(&mut store, &[&["-> www A 192.0.2.1"]]), ["www A: conflict"]);
        assert_eq!(apply(&mut store, &[&["-> new ALIAS-A elb"]]), ["new A: unsupported"]);
        let blocking = Entry { blocks: Blocks::Name, ..entry("b TXT x") };
        store.insert_foreign(blocking).unwrap();
        assert_eq!(apply(&mut store, &[&["-> b A 192.0.2.1"]]), ["b A: invalid input"]);
        assert_eq!(apply(&mut store, &[&["-> below.b A 192.0.2.1"]]), ["below.b A: done"]);
    }

    #[test]
    fn changes_that_make_no_sense_are_refused() {
        let mut store = holding(&[]);
        let elsewhere = RrKey::new(Fqdn::parse("www.example.net").unwrap(), RrType::A);
        let moved = Change { key: elsewhere.clone(), ..change("-> www A 192.0.2.1") };
        let set =
            crate::RrSet::new(elsewhere, crate::Ttl::MAX, [std::net::IpAddr::from([192, 0, 2, 1]).into()]).unwrap();
        let outside = Change::create(ClaimedSet::unclaimed(set), Version::default());
        let empty = Change { after: None, ..change("-> www A 192.0.2.1") };
        for bad in [outside, moved, empty] {
            let applied = store.apply(&ChangeSet::by_name([bad]), Atomicity::Set);
            assert!(told(&applied)[0].ends_with("invalid input"), "{applied:?}");
        }
        let twice: &[&str] = &["-> www A 192.0.2.1", "-> www A 192.0.2.2"];
        assert_eq!(apply(&mut store, &[twice]), ["www A: invalid input"]);
        assert!(store.is_empty());
    }

    #[test]
    fn a_bad_change_stops_its_unit_and_in_a_batch_all_units() {
        let texts: &[&[&str]] = &[&["-> a A 192.0.2.1"], &["-> b A 192.0.2.1", "-> b TXT x"], &["-> c A 192.0.2.1"]];
        let mut store = holding(&["b TXT y"]);
        assert_eq!(apply(&mut store, texts), ["a A: done", "b A: not tried", "b TXT: conflict", "c A: done"]);
        let mut store = holding(&["b TXT y"]);
        let before = store.snapshot().clone();
        let applied = store.apply(&units(texts), Atomicity::Batch);
        assert_eq!(told(&applied), ["a A: not tried", "b A: not tried", "b TXT: conflict", "c A: not tried"]);
        assert_eq!((store.snapshot(), store.len()), (&before, 1));
    }

    #[test]
    fn a_call_is_one_revision_that_its_sets_carry() {
        let mut store = holding(&["old A 192.0.2.1"]);
        let old = store.revision();
        assert_eq!(apply(&mut store, &[&["-> a A 192.0.2.1"], &["-> b A 192.0.2.1"]]), ["a A: done", "b A: done"]);
        assert_eq!(store.revision(), old + 1);
        let versions: Vec<_> = store.entries().map(|entry| entry.version.revision).collect();
        assert_eq!(versions, [old + 1, old + 1, old]);
    }

    #[test]
    fn a_saved_zone_comes_back_whole_or_not_at_all() {
        let store = holding(&["a A 192.0.2.1", "b TXT x"]);
        let saved: Vec<_> = store.entries().cloned().collect();
        let again = ZoneStore::restore("test", name("@"), store.revision(), saved.iter().rev().cloned()).unwrap();
        assert_eq!((again.snapshot(), again.len()), (store.snapshot(), 2));
        assert!(ZoneStore::restore("test", name("@"), u64::MAX, []).is_err(), "no revision is left");
        assert!(ZoneStore::restore("test", name("@"), 1, saved.clone()).is_err(), "newer than the zone");
        assert!(ZoneStore::restore("test", name("a"), 9, saved.clone()).is_err(), "outside the zone");
        assert!(ZoneStore::restore("test", name("@"), 9, [saved.clone(), saved].concat()).is_err(), "twice");
        assert_eq!(again.get(&key("a A")).map(|entry| &entry.data), Some(&set("a A 192.0.2.1")));
    }
}
