//! The part of the view that hosts without claims need: what the TXT sets list, and the claims that follow.
//!
//! A set has a claim in the view when a ledger lists it with the digest of what stands. Where the ledger of a service
//! is gone, sets that this view knew as ours and that still stand as it knew them stay ours, until the ledger is
//! written anew. What others put at a name never is: opaque sets, and names that they block.

use std::collections::{BTreeMap, BTreeSet};

use dnsprovider::{Blocks, Claim, ClaimedSet, Entry, Fqdn, NameError, RrKey, RrType, Snapshot};

use super::{Ownership, ZoneView};
use crate::event::{Place, ServiceId};
use crate::ledger::{self, Ledger, Unreadable, place_of};

/// What stands at the name of a ledger.
#[derive(Clone, Debug)]
struct HeldLedger {
    /// The TXT set as it was read.
    entry: Entry,
    read: Result<Ledger, Unreadable>,
}

/// All ledgers of the zone, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledgers {
    held: BTreeMap<Fqdn, HeldLedger>,
    /// Those of ours that belong to no service of this federation and suffix.
    strays: BTreeSet<Fqdn>,
}

/// Where the claim on a set stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proof {
    /// The name of the ledger.
    pub(crate) at: Fqdn,
    /// The place that the ledger has the set at.
    pub(crate) place: Place,
    claim: Claim,
}

impl ZoneView {
    /// True where claims stand in TXT sets.
    pub(crate) fn has_ledgers(&self) -> bool {
        self.ledgers.is_some()
    }

    /// True for the names at which the host's ledgers stand.
    pub(crate) fn is_ledger_name(&self, owner: &Fqdn) -> bool {
        self.has_ledgers() && ledger::split_owner(owner).is_some()
    }

    /// The TXT set at the name of a ledger, as read.
    pub(crate) fn ledger_entry(&self, at: &Fqdn) -> Option<&Entry> {
        Some(&self.ledgers.as_ref()?.held.get(at)?.entry)
    }

    /// What is listed there.
    pub(crate) fn ledger(&self, at: &Fqdn) -> Option<&Ledger> {
        self.ledgers.as_ref()?.held.get(at)?.read.as_ref().ok()
    }

    /// The names of ledgers of ours that belong to no service.
    pub(crate) fn stray_ledgers(&self) -> impl Iterator<Item = &Fqdn> {
        self.ledgers.iter().flat_map(|ledgers| &ledgers.strays)
    }

    /// The names of all ledgers at or below the suffix, and of ours elsewhere.
    pub(crate) fn ledger_names(&self) -> impl Iterator<Item = &Fqdn> {
        self.ledgers.iter().flat_map(|ledgers| ledgers.held.keys())
    }

    /// Everything at a name as the host has it: without claims where it stores none, the TXT set of a ledger included.
    pub(crate) fn raw_at(&self, owner: &Fqdn) -> Vec<ClaimedSet> {
        let mut sets: Vec<_> = self.at(owner).iter().map(|entry| entry.data.clone()).collect();
        if self.has_ledgers() {
            for data in &mut sets {
                data.claim = None;
            }
            sets.extend(self.ledger_entry(owner).map(|entry| entry.data.clone()));
            sets.sort_by(|a, b| a.set.key().cmp(b.set.key()));
        }
        sets
    }

    /// The newest revision that was seen at a name.
    pub(crate) fn revision_at(&self, owner: &Fqdn) -> Option<u64> {
        let entries = self.at(owner).iter().chain(self.ledger_entry(owner));
        entries.map(|entry| entry.version.revision).max()
    }

    /// Why the claims of a service cannot be written, with what to do; `None` when they can.
    pub(crate) fn blocked(&self, service: &ServiceId) -> Option<String> {
        let ledgers = self.ledgers.as_ref()?;
        let at = match self.naming.ledger(service) {
            Ok(at) => at,
            Err(error) => return Some(format!("the TXT set that would list its claims cannot be named: {error}")),
        };
        let left_alone = "so all sets of the service are left alone; hint: delete that TXT set if nobody needs it";
        match ledgers.held.get(&at).map(|held| &held.read) {
            Some(Err(why)) => Some(format!("the TXT set at {at} is not ours ({why}), {left_alone}")),
            Some(Ok(ledger)) if !self.is_our_claim(ledger.name(), ledger.federation()) => {
                let (name, federation) = (ledger.name(), ledger.federation());
                Some(format!("the TXT set at {at} is claimed by `{name}` of federation `{federation}`, {left_alone}"))
            }
            _ => {
                let crowds =
                    |entry: &&Entry| *entry.data.set.rr_type() == RrType::Cname || entry.blocks == Blocks::Name;
                let entry = self.at(&at).iter().find(crowds)?;
                let rr_type = entry.data.set.rr_type();
                Some(format!(
                    "a foreign {rr_type} set at {at} leaves no room for the TXT set that would list its claims"
                ))
            }
        }
    }

    /// Whether a foreign set is one that we had written and somebody else has changed since.
    pub(crate) fn is_changed(&self, entry: &Entry) -> bool {
        let Some((service, level)) = self.naming.parse(&entry.key().owner) else { return false };
        let Some(ledger) = self.naming.ledger(&service).ok().and_then(|at| self.ledger(&at)) else { return false };
        entry.data.claim.is_none()
            && self.is_our_claim(ledger.name(), ledger.federation())
            && ledger.lists(&place_of(&level), entry.data.set.rr_type())
    }

    /// The names that a ledger lists, and those of the view that belong to the same service.
    pub(crate) fn names_beside(&self, at: &Fqdn) -> BTreeSet<Fqdn> {
        let Some((prefix, suffix)) = ledger::split_owner(at) else { return BTreeSet::new() };
        let listed = self.ledger(at).into_iter().flat_map(Ledger::keys);
        let named = listed.filter_map(|(place, _)| ledger::name_at(&prefix, place, &suffix).ok());
        let held = self
            .naming
            .parse_ledger(at)
            .into_iter()
            .flat_map(|service| self.names_of(&service).cloned().collect::<Vec<_>>());
        named.chain(held).collect()
    }

    /// The names of services that are listed though nothing stands there, on hosts where that may be a change half done.
    pub(super) fn listed_and_absent(&self) -> Vec<Fqdn> {
        let ledgers = self.ledgers.iter().filter(|_| self.recalls).flat_map(|ledgers| &ledgers.held);
        let ours = ledgers.filter_map(|(at, held)| {
            let ledger = held.read.as_ref().ok()?;
            self.naming.parse_ledger(at)?;
            self.is_our_claim(ledger.name(), ledger.federation()).then(|| self.names_beside(at))
        });
        let is_empty = |owner: &Fqdn| self.naming.parse(owner).is_some() && self.at(owner).is_empty();
        ours.flatten().filter(is_empty).collect()
    }

    /// What a ledger has to list: our sets of its service, or for a stray one those that no other ledger proves.
    pub(crate) fn holdings(&self, at: &Fqdn) -> BTreeMap<RrKey, (Place, &ClaimedSet)> {
        let ours = |entry: &&Entry| self.ownership(entry) == Ownership::Ours;
        if let Some(service) = self.naming.parse_ledger(at) {
            let entries = self.names_of(&service).flat_map(|owner| self.at(owner)).filter(ours);
            let placed = entries.filter_map(|entry| {
                let (_, level) = self.naming.parse(&entry.key().owner)?;
                Some((entry.key().clone(), (place_of(&level), &entry.data)))
            });
            return placed.collect();
        }
        let names = self.names_beside(at);
        let entries = names.iter().flat_map(|owner| self.at(owner)).filter(ours);
        let proven = entries.filter_map(|entry| {
            let proof = self.proof(&entry.data).filter(|proof| proof.at == *at)?;
            Some((entry.key().clone(), (proof.place, &entry.data)))
        });
        proven.collect()
    }

    /// What a ledger should say when these are our sets of its service: these, and beside them the sets that it lists
    /// and that somebody else has changed, so that the next process knows that too.
    pub(crate) fn listing<'a>(&self, at: &Fqdn, sets: impl IntoIterator<Item = &'a (Place, &'a ClaimedSet)>) -> Ledger {
        let claim = self.our_claim();
        let mut ledger = Ledger::new(claim.name, claim.federation);
        for (place, held) in sets {
            ledger.add(place.clone(), held);
        }
        if let (false, Some(old), Some((prefix, suffix))) =
            (ledger.is_empty(), self.ledger(at), ledger::split_owner(at))
        {
            for key in old.keys() {
                let owner = ledger::name_at(&prefix, &key.0, &suffix);
                let is_changed = |entry: &Entry| entry.data.claim.is_none() && *entry.data.set.rr_type() == key.1;
                if owner.is_ok_and(|owner| self.at(&owner).iter().any(is_changed)) {
                    ledger.keep(old, key);
                }
            }
        }
        ledger
    }

    /// Whether a ledger says something else than what the zone holds.
    pub(crate) fn is_stale(&self, at: &Fqdn) -> bool {
        if !self.has_ledgers() {
            return false;
        }
        let holdings = self.holdings(at);
        match self.ledger(at) {
            Some(ledger) if !self.is_our_claim(ledger.name(), ledger.federation()) => false,
            Some(ledger) => holdings.is_empty() || *ledger != self.listing(at, holdings.values()),
            None => !holdings.is_empty() && self.ledger_entry(at).is_none(),
        }
    }

    /// Where the claims of a service stand.
    pub(crate) fn ledger_of(&self, service: &ServiceId) -> Result<Fqdn, NameError> {
        self.naming.ledger(service)
    }

    /// The ledger that proves a set, that of its service first.
    pub(crate) fn proof(&self, data: &ClaimedSet) -> Option<Proof> {
        let ledgers = self.ledgers.as_ref()?;
        let owner = data.set.owner();
        let prove = |at: Fqdn, place: Place| {
            let claim = ledgers.held.get(&at)?.read.as_ref().ok()?.claim(&place, &data.set)?;
            Some(Proof { at, place, claim })
        };
        let own = self
            .naming
            .parse(owner)
            .and_then(|(service, level)| prove(self.naming.ledger(&service).ok()?, place_of(&level)));
        if own.is_some() || ledgers.strays.is_empty() {
            return own;
        }
        let mut strays = ledger::candidates(owner).into_iter().filter(|(at, _)| ledgers.strays.contains(at));
        strays.find_map(|(at, place)| prove(at, place))
    }

    //----------- Reading ----------------------------------------------------

    /// Takes the ledgers of a full read in, before its sets.
    pub(super) fn load_ledgers(&mut self, snapshot: &Snapshot) {
        let Some(ledgers) = &self.ledgers else { return };
        let found = snapshot.entries.keys().filter(|owner| ledger::split_owner(owner).is_some());
        let owners: BTreeSet<Fqdn> = ledgers.held.keys().chain(found).cloned().collect();
        for owner in owners {
            let txt = snapshot.at(&owner).iter().find(|entry| *entry.data.set.rr_type() == RrType::Txt);
            self.set_ledger(&owner, txt.cloned());
        }
    }

    /// Begins with what another view knew.
    pub(super) fn take_over(&mut self, ledgers: &Ledgers, snapshot: Snapshot) {
        self.ledgers = Some(Ledgers::default());
        self.snapshot.version = snapshot.version;
        for (owner, entries) in snapshot.entries {
            self.put_name(&owner, entries);
        }
        for (owner, held) in &ledgers.held {
            self.set_ledger(owner, Some(held.entry.clone()));
        }
    }

    /// What was read at a name, with the claims that ledgers give; the TXT set of a ledger is taken out of it.
    pub(super) fn with_claims(&mut self, owner: &Fqdn, mut entries: Vec<Entry>) -> Vec<Entry> {
        if ledger::split_owner(owner).is_some() {
            let txt = entries.iter().position(|entry| *entry.data.set.rr_type() == RrType::Txt);
            let txt = txt.map(|place| entries.remove(place));
            self.set_ledger(owner, txt);
        } else if !owner.is_at_or_below(&self.suffix) && ledger::candidates(owner).is_empty() {
            return Vec::new();
        }
        let known = self.at(owner).to_vec();
        entries.into_iter().map(|entry| self.with_claim(entry, &known)).collect()
    }

    fn with_claim(&self, mut entry: Entry, known: &[Entry]) -> Entry {
        entry.data.claim = None;
        if entry.blocks != Blocks::AsDns || entry.data.set.is_opaque() {
            return entry;
        }
        entry.data.claim = self.proof(&entry.data).map(|proof| proof.claim);
        if entry.data.claim.is_none() && self.lost_its_ledger(&entry.key().owner) {
            let same = known.iter().find(|known| known.data.set == entry.data.set);
            entry.data.claim = same.and_then(|known| known.data.claim.clone());
        }
        entry
    }

    /// True when the service of a name has no ledger.
    fn lost_its_ledger(&self, owner: &Fqdn) -> bool {
        let at = self.naming.parse(owner).and_then(|(service, _)| self.naming.ledger(&service).ok());
        at.is_some_and(|at| self.ledger_entry(&at).is_none())
    }

    /// Puts a ledger in place, or takes it away, and looks anew at the claims of all names that it may list.
    fn set_ledger(&mut self, at: &Fqdn, entry: Option<Entry>) {
        let Some(ledgers) = &self.ledgers else { return };
        if ledgers.held.get(at).map(|held| &held.entry) == entry.as_ref() {
            return;
        }
        // What was indexed as ours must leave the indexes as ours, so it is taken out before anything changes.
        let names = self.names_before_any_suffix(at);
        let known: Vec<(Fqdn, Vec<Entry>)> = names
            .into_iter()
            .map(|owner| {
                let entries = self.at(&owner).to_vec();
                self.put_name(&owner, Vec::new());
                (owner, entries)
            })
            .collect();
        let held = entry.map(|entry| {
            let read = Ledger::from_set(&entry.data.set).and_then(|ledger| nameable(at, ledger));
            HeldLedger { entry, read }
        });
        let is_stray = held.as_ref().is_some_and(|held| {
            let ours = held.read.as_ref().is_ok_and(|ledger| self.is_our_claim(ledger.name(), ledger.federation()));
            ours && self.naming.parse_ledger(at).is_none()
        });
        if let Some(ledgers) = &mut self.ledgers {
            _ = if is_stray { ledgers.strays.insert(at.clone()) } else { ledgers.strays.remove(at) };
            _ = match held {
                Some(held) => ledgers.held.insert(at.clone(), held),
                None => ledgers.held.remove(at),
            };
        }
        for (owner, entries) in known {
            let joined = entries.iter().map(|entry| self.with_claim(entry.clone(), &entries)).collect();
            self.put_name(&owner, joined);
        }
    }

    /// The names of the view that begin as those of a ledger do, whatever their suffix.
    fn names_before_any_suffix(&self, at: &Fqdn) -> Vec<Fqdn> {
        let Some((prefix, _)) = ledger::split_owner(at) else { return Vec::new() };
        let Ok(first) = Fqdn::parse(&prefix) else { return Vec::new() };
        let names = self.snapshot.entries.range(first.clone()..).map(|(owner, _)| owner);
        names.take_while(|owner| owner.as_str().starts_with(first.as_str())).cloned().collect()
    }
}

/// The same ledger when all that it lists can be named.
fn nameable(at: &Fqdn, ledger: Ledger) -> Result<Ledger, Unreadable> {
    let parts = ledger::split_owner(at);
    let is_fit =
        |place: &Place| parts.as_ref().is_some_and(|(prefix, suffix)| ledger::name_at(prefix, place, suffix).is_ok());
    let unfit = ledger.keys().map(|(place, _)| place).find(|place| !is_fit(place)).cloned();
    match unfit {
        Some(place) => Err(Unreadable::new("a name in it is too long", &format!("{}.{}", place.zone, place.region))),
        None => Ok(ledger),
    }
}
