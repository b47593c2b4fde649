//! The zone as it was last read, with the indexes that planning needs.
//!
//! Our sets are kept because the zone is our memory, those of others at or below the suffix because they block names.
//! On a host that stores no claims the view puts them on the sets, from the TXT sets that list them
//! ([`crate::ledger`]): all else sees the zone as a host with claims would show it.
//! In: [`Snapshot`] · Out: look-ups by name and service · Pure: yes.

mod credits;
mod ledgers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dnsprovider::capabilities::Atomicity;
use dnsprovider::{Blocks, Capabilities, Claim, ClaimedSet, Entry, Fqdn, RrType, Snapshot, Version};

use crate::event::{Place, ServiceId};
use crate::naming::{Level, Naming};
use crate::settings::{Adopt, Settings};
use crate::swap;

use credits::CreditPool;
use ledgers::Ledgers;

/// Whose set it is, as far as this daemon is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// It carries our claim.
    Ours,
    /// It carries none and the settings let us take it over.
    Adoptable,
    /// It is somebody else's.
    Foreign,
}

/// The zone below the suffix, indexed.
#[derive(Clone, Debug)]
pub struct ZoneView {
    claim: Arc<str>,
    previous_claim: Option<Arc<str>>,
    federation: Arc<str>,
    suffix: Fqdn,
    adopt: Adopt,
    naming: Naming,
    count_below: bool,
    /// In order of names, so that those of one service stand together.
    snapshot: Snapshot,
    credits: CreditPool,
    strays: BTreeSet<Fqdn>,
    /// Names that count as ours though they may be empty.
    kept: BTreeSet<Fqdn>,
    places: BTreeMap<Place, usize>,
    foreign_below: BTreeMap<Fqdn, usize>,
    claimed_sets: usize,
    owned_by_type: BTreeMap<RrType, usize>,
    total_sets: usize,
    /// What is listed and does not stand counts as ours: see [`ZoneView::for_host`].
    recalls: bool,
    /// On a host that stores no claims: the TXT sets that list them. These are in no other index.
    ledgers: Option<Ledgers>,
}

impl ZoneView {
    /// An empty zone at a host of these capabilities.
    ///
    /// Where claims are listed and sets change one by one, a name may be listed that is empty because somebody died
    /// between the two calls of a type change. A full read counts such names as ours until they are planned.
    pub fn for_host(settings: &Settings, capabilities: &Capabilities) -> Self {
        let ledgers = (!capabilities.claims).then(Ledgers::default);
        let recalls = !capabilities.claims && capabilities.atomicity == Atomicity::Set;
        Self { recalls, ledgers, ..Self::new(settings, capabilities.answers_subtree) }
    }

    /// An empty zone at a host that stores claims. `answers_subtree` is the host's capability of that name.
    pub fn new(settings: &Settings, answers_subtree: bool) -> Self {
        Self {
            ledgers: None,
            recalls: false,
            claim: settings.claim.clone(),
            previous_claim: settings.previous_claim.clone(),
            federation: settings.federation.clone(),
            suffix: settings.suffix.clone(),
            adopt: settings.adopt,
            naming: Naming::new(settings),
            count_below: answers_subtree,
            snapshot: Snapshot::default(),
            credits: CreditPool::default(),
            strays: BTreeSet::new(),
            kept: BTreeSet::new(),
            places: BTreeMap::new(),
            foreign_below: BTreeMap::new(),
            claimed_sets: 0,
            owned_by_type: BTreeMap::new(),
            total_sets: 0,
        }
    }

    /// The same zone under other settings.
    #[must_use]
    pub fn under(&self, settings: &Settings) -> Self {
        let mut zone = Self { recalls: self.recalls, ..Self::new(settings, self.count_below) };
        let mut snapshot = Snapshot { version: self.version().clone(), ..Snapshot::default() };
        snapshot.extend(self.iter().cloned());
        match &self.ledgers {
            Some(ledgers) => zone.take_over(ledgers, snapshot),
            None => zone.load(snapshot),
        }
        for owner in &self.kept {
            if zone.naming.parse(owner).is_some() {
                zone.keep_name(owner, true);
            }
        }
        zone.total_sets = self.total_sets;
        zone
    }

    /// Replaces the whole view by what was read.
    pub fn load(&mut self, snapshot: Snapshot) {
        self.load_ledgers(&snapshot);
        let names: BTreeSet<Fqdn> = self.snapshot.entries.keys().cloned().collect();
        for gone in names.iter().filter(|name| !snapshot.entries.contains_key(*name)) {
            self.set_name(gone, Vec::new());
        }
        self.snapshot.version = snapshot.version;
        let total = snapshot.entries.values().map(Vec::len).sum();
        for (owner, entries) in snapshot.entries {
            self.set_name(&owner, entries);
        }
        self.total_sets = total;
        for owner in self.listed_and_absent() {
            self.keep_name(&owner, true);
        }
    }

    /// Replaces what stands at one name.
    pub fn set_name(&mut self, owner: &Fqdn, mut entries: Vec<Entry>) {
        self.total_sets = (self.total_sets + entries.len()).saturating_sub(self.sets_at(owner));
        if self.ledgers.is_some() {
            entries = self.with_claims(owner, entries);
        } else if !owner.is_at_or_below(&self.suffix) {
            // Elsewhere in the zone only what carries our claim matters: it was ours before the suffix changed.
            entries.retain(|entry| self.ownership(entry) == Ownership::Ours);
        }
        self.put_name(owner, entries);
    }

    fn put_name(&mut self, owner: &Fqdn, mut entries: Vec<Entry>) {
        self.share(&mut entries);
        // Zones are large, and few names have room to grow into.
        entries.shrink_to_fit();
        let old = self.snapshot.entries.remove(owner).unwrap_or_default();
        self.index(owner, &old, false);
        self.index(owner, &entries, true);
        if !entries.is_empty() {
            self.snapshot.entries.insert(owner.clone(), entries);
        }
    }

    /// Lets equal parts of claims be one.
    fn share(&mut self, entries: &mut [Entry]) {
        for claim in entries.iter_mut().filter_map(|entry| entry.data.claim.as_mut()) {
            if claim.name == self.claim {
                claim.name = self.claim.clone();
            }
            if claim.federation == self.federation {
                claim.federation = self.federation.clone();
            }
            claim.credits = self.credits.shared(&claim.credits);
        }
    }

    /// The version of the last full read.
    pub fn version(&self) -> &Version {
        &self.snapshot.version
    }

    /// Everything at a name.
    pub fn at(&self, owner: &Fqdn) -> &[Entry] {
        self.snapshot.at(owner)
    }

    /// Every set at or below the suffix, but for the TXT sets that list claims.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.snapshot.iter()
    }

    /// The names at which this service has sets that are ours or adoptable, in order.
    pub fn names_of(&self, service: &ServiceId) -> impl Iterator<Item = &Fqdn> + use<'_> {
        // What cannot begin a name begins none.
        let beginning = Fqdn::parse(&format!("{}.{}", service.name, service.namespace)).ok();
        let mut names: Vec<&Fqdn> = Vec::new();
        if let Some(beginning) = &beginning {
            let is_here = |owner: &&Fqdn| owner.as_str().starts_with(beginning.as_str());
            let held = self.snapshot.entries.range(beginning..).take_while(|(owner, _)| is_here(owner));
            let owned = held.filter(|(owner, entries)| self.kept.contains(*owner) || self.has_own(entries));
            names.extend(owned.map(|(owner, _)| owner));
            if !self.kept.is_empty() {
                names.extend(self.kept.range(beginning..).take_while(is_here));
                names.sort_unstable();
                names.dedup();
            }
        }
        names.retain(|owner| self.naming.is_of(owner, service));
        names.into_iter()
    }

    /// The services that have such names.
    pub fn services(&self) -> impl Iterator<Item = ServiceId> {
        let owned = self.snapshot.entries.iter().filter(|(_, entries)| self.has_own(entries));
        let owners = owned.map(|(owner, _)| owner).chain(&self.kept);
        owners.filter_map(|owner| Some(self.naming.parse(owner)?.0))
    }

    fn has_own(&self, entries: &[Entry]) -> bool {
        entries.iter().any(|entry| self.ownership(entry) != Ownership::Foreign)
    }

    /// Names with our claim that are no names of this federation, after a change of suffix for example.
    pub fn strays(&self) -> &BTreeSet<Fqdn> {
        &self.strays
    }

    /// The places of all claimed topology names.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        self.places.keys()
    }

    /// Number of sets that are ours or adoptable: what we could lose.
    pub fn claimed_sets(&self) -> usize {
        self.claimed_sets
    }

    /// The same by type.
    pub fn owned_by_type(&self) -> &BTreeMap<RrType, usize> {
        &self.owned_by_type
    }

    /// Number of sets that the host holds in the zone, those of others included. Of names outside the suffix where only
    /// others have sets, it is that of the last full read.
    pub fn total_sets(&self) -> usize {
        self.total_sets
    }

    fn sets_at(&self, owner: &Fqdn) -> usize {
        self.at(owner).len() + usize::from(self.ledger_entry(owner).is_some())
    }

    /// At how many names, this one and those below it, foreign sets lie; 0 where the host does not answer subtrees.
    pub fn foreign_below(&self, owner: &Fqdn) -> usize {
        self.foreign_below.get(owner).copied().unwrap_or(0)
    }

    /// The clusters that claims credit.
    pub fn credited_clusters(&self) -> BTreeSet<Arc<str>> {
        let ours = self.snapshot.iter().filter(|entry| self.ownership(entry) == Ownership::Ours);
        ours.flat_map(|entry| entry.data.credited().flat_map(|(_, credits)| credits)).cloned().collect()
    }

    /// Whose set it is.
    pub fn ownership(&self, entry: &Entry) -> Ownership {
        match &entry.data.claim {
            Some(claim) if self.is_our_claim(&claim.name, &claim.federation) => Ownership::Ours,
            None if self.is_adoptable(entry) => Ownership::Adoptable,
            _ => Ownership::Foreign,
        }
    }

    /// True when a set carries our claim.
    pub(crate) fn is_ours(&self, data: &ClaimedSet) -> bool {
        data.claim.as_ref().is_some_and(|claim| self.is_our_claim(&claim.name, &claim.federation))
    }

    fn is_our_claim(&self, name: &Arc<str>, federation: &Arc<str>) -> bool {
        *name == self.claim && *federation == self.federation || Some(name) == self.previous_claim.as_ref()
    }

    /// A claim of ours that credits nobody.
    fn our_claim(&self) -> Claim {
        Claim::without_credits(self.claim.clone(), self.federation.clone())
    }

    fn is_adoptable(&self, entry: &Entry) -> bool {
        let is_accepted = match self.adopt {
            Adopt::None => false,
            Adopt::Exact => swap::is_placeholder(&entry.data.set),
            Adopt::Names => {
                matches!(entry.data.set.rr_type(), RrType::A | RrType::Aaaa | RrType::Cname)
                    || swap::is_placeholder(&entry.data.set)
            }
        };
        is_accepted
            && !entry.data.set.is_opaque()
            && entry.blocks == Blocks::AsDns
            && self.naming.parse(&entry.key().owner).is_some_and(|(service, _)| self.blocked(&service).is_none())
    }

    /// Counts a name as ours though it may be empty, or no longer: its sets went, and what takes their place is still to
    /// come. Otherwise a name that only lingers would be forgotten in between.
    pub(crate) fn keep_name(&mut self, owner: &Fqdn, keep: bool) {
        if self.kept.contains(owner) == keep {
            return;
        }
        if keep {
            self.kept.insert(owner.clone());
        } else {
            self.kept.remove(owner);
        }
        if self.at(owner).iter().all(|entry| self.ownership(entry) == Ownership::Foreign) {
            self.index_owned(owner, keep);
        }
    }

    /// The names of a service that count as ours though they may be empty.
    pub(crate) fn kept_of(&self, service: &ServiceId) -> Vec<Fqdn> {
        if self.kept.is_empty() {
            return Vec::new();
        }
        self.names_of(service).filter(|name| self.kept.contains(*name)).cloned().collect()
    }

    fn index(&mut self, owner: &Fqdn, entries: &[Entry], add: bool) {
        let owned: Vec<Ownership> = entries.iter().map(|entry| self.ownership(entry)).collect();
        let ours = owned.iter().filter(|whose| **whose != Ownership::Foreign).count();
        self.claimed_sets = if add { self.claimed_sets + ours } else { self.claimed_sets - ours };
        for (entry, _) in entries.iter().zip(&owned).filter(|(_, whose)| **whose != Ownership::Foreign) {
            count(&mut self.owned_by_type, entry.key().rr_type.clone(), add);
        }
        if ours > 0 || self.kept.contains(owner) {
            self.index_owned(owner, add);
        }
        if self.count_below && owned.contains(&Ownership::Foreign) {
            let mut at = Some(owner.clone());
            while let Some(name) = at.filter(|name| name.is_at_or_below(&self.suffix)) {
                count(&mut self.foreign_below, name.clone(), add);
                at = name.parent();
            }
        }
    }

    fn index_owned(&mut self, owner: &Fqdn, add: bool) {
        let Some((_, level)) = self.naming.parse(owner) else {
            if add {
                self.strays.insert(owner.clone());
            } else {
                self.strays.remove(owner);
            }
            return;
        };
        match level {
            Level::Global => {}
            Level::Region(region) => count(&mut self.places, Place::new(region, ""), add),
            Level::Zone { region, zone } => count(&mut self.places, Place::new(region, zone), add),
        }
    }
}

/// Counts a key up or down; a key that is counted down to nothing is removed.
pub(crate) fn count<K: Ord>(counts: &mut BTreeMap<K, usize>, key: K, add: bool) {
    if add {
        *counts.entry(key).or_default() += 1;
    } else if let std::collections::btree_map::Entry::Occupied(mut entry) = counts.entry(key) {
        *entry.get_mut() -= 1;
        if *entry.get() == 0 {
            entry.remove();
        }
    }
}
