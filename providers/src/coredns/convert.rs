//! Keys of the store to entries of a zone.
//!
//! | a key | is |
//! |---|---|
//! | below a name, with that name as its `group` | a record of the name above it, claimed if it carries our mark |
//! | at a name, with that name as its `group`, a CNAME | the CNAME of that name: the form in which we write it |
//! | any other at a name | a foreign set at that very name, which blocks it |
//! | whose last part is no label | a foreign set at the nearest name above; it blocks as DNS does |
//!
//! Nothing in a store makes this fail: what CoreDNS would not answer, or answers as a type that is not modelled, is
//! carried as opaque data of the type `KEY`.
//!
//! One set has one TTL, one store may have several: the smallest stands for the set, and records with another TTL (or
//! another federation on their mark) lose their credits in what is read. So a claimed set differs from every set that
//! credits its records, and the next plan rewrites exactly those keys.
//!
//! In: keys with values and revisions · Out: entries · Pure: yes · Called by: `read`, `watch`, `plan`

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dnsprovider::{Blocks, Claim, ClaimedSet, Credits, Entry, Fqdn, RecordData, RrKey, RrSet, RrType, Ttl, Version};
use serde::{Deserialize, Serialize};

use super::place::{Placed, Placer, Wanted};
use super::wire::{Layout, is_leaf, leaf};

/// A key as it was read.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) value: Vec<u8>,
    pub(super) modified: i64,
}

/// Keys in the order of the store.
pub(super) type Keys = BTreeMap<Vec<u8>, Stored>;

/// Says what a key is to this zone; `None` when it is not of this zone.
pub(super) fn place(layout: &Layout, key: &[u8], value: &[u8]) -> Option<Placed> {
    Placer::new(layout).place(key, value)
}

//----------- Detail ---------------------------------------------------------

/// What a write must know of a set beside its data; nothing for a set as we write it.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Detail {
    /// Keys that are not where we would put them: place of the record in the set, rest of the key behind the owner's.
    #[serde(rename = "a", skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<Vec<(usize, String)>>,
    /// Leaves of others directly below the owner that a new record must not overwrite.
    #[serde(rename = "b", skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) beside: BTreeSet<String>,
}

impl Detail {
    pub(super) fn of(version: &Version) -> Self {
        version.detail.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    pub(super) fn into_version(self, revision: u64) -> Version {
        let detail = (self != Self::default())
            .then(|| serde_json::to_string(&self).expect("strings and numbers can be written as JSON").into());
        Version { revision, detail }
    }

    /// Where the records of a set lie.
    pub(super) fn places(&self, layout: &Layout, set: &RrSet) -> Vec<(usize, String)> {
        let known = self.at.clone().filter(|at| at.iter().all(|(index, _)| *index < set.records().len()));
        known.unwrap_or_else(|| default_places(layout, set))
    }
}

/// Where we put the records of a set.
pub(super) fn default_places(layout: &Layout, set: &RrSet) -> Vec<(usize, String)> {
    let place = |record| default_place(layout, set.owner(), record);
    set.records().iter().map(place).enumerate().collect()
}

/// Where we put a record: addresses and text below the name, a CNAME exactly at it.
///
/// CoreDNS answers a CNAME below a name to address queries but not to CNAME queries (coredns issue 2849).
pub(super) fn default_place(layout: &Layout, owner: &Fqdn, record: &RecordData) -> String {
    match record {
        RecordData::Cname(_) | RecordData::Opaque(_) => String::new(),
        record => format!("{}{}", layout.leaves(owner), leaf(record)),
    }
}

/// True where [`default_place`] puts a record.
fn is_default_place(layout: &Layout, owner: &Fqdn, record: &RecordData, place: &str) -> bool {
    match record {
        RecordData::Cname(_) | RecordData::Opaque(_) => place.is_empty(),
        record => place.strip_prefix(layout.leaves(owner)).is_some_and(|leaf| is_leaf(record, leaf)),
    }
}

//----------- entries --------------------------------------------------------

/// The sets that the keys make, one for each owner, type and name on the claim, in that order.
///
/// `revision` is that of the read. Owners for which `wanted` is false are left out.
pub(super) fn entries(layout: &Layout, keys: &Keys, revision: u64, wanted: impl Fn(&Fqdn) -> bool) -> Vec<Entry> {
    let mut placer = Placer::new(layout);
    let mut sets = Sets::new(layout);
    for (key, stored) in keys {
        if let Some(placed) = placer.place(key, &stored.value) {
            let wanted = wanted(&placed.owner);
            sets.add(placed, wanted);
        }
    }
    sets.entries(revision)
}

/// Records of a read, on their way to sets.
#[derive(Debug)]
pub(super) struct Sets<'a> {
    layout: &'a Layout,
    records: Vec<Placed>,
    /// Leaves of others by the name whose record could want their place.
    others: BTreeMap<Fqdn, Vec<String>>,
}

impl<'a> Sets<'a> {
    pub(super) fn new(layout: &'a Layout) -> Self {
        Self { layout, records: Vec::new(), others: BTreeMap::new() }
    }

    /// Takes a key in; they come in their order. Where its owner is not `wanted` it only stands in the way of others.
    pub(super) fn add(&mut self, mut placed: Placed, wanted: bool) {
        match std::mem::replace(&mut placed.wanted, Wanted::Never) {
            Wanted::By(owner, leaf) => self.others.entry(owner).or_default().push(leaf),
            own => placed.wanted = own,
        }
        if wanted {
            self.records.push(placed);
        }
    }

    /// The sets, in order.
    pub(super) fn entries(self, revision: u64) -> Vec<Entry> {
        let Self { layout, mut records, others } = self;
        // Stable: the keys of a set stay in their order.
        records.sort_by(|a, b| (&a.owner, &a.rr_type, a.claim()).cmp(&(&b.owner, &b.rr_type, b.claim())));
        let mut entries = Vec::new();
        let mut last = None;
        for at_owner in records.chunk_by_mut(|a, b| a.owner == b.owner) {
            let others = others.get(&at_owner[0].owner).map_or(&[][..], Vec::as_slice);
            let is_single = at_owner.iter().all(|record| record.claim() == at_owner[0].claim());
            // What the sets of other claims have there, before leaves are taken out.
            let own: Vec<(Option<Arc<str>>, String)> = if is_single {
                Vec::new()
            } else {
                let own = at_owner.iter().filter(|record| matches!(record.wanted, Wanted::Own));
                own.map(|record| (record.mark.as_ref().map(|mark| mark.claim.clone()), record.leaf.clone())).collect()
            };
            for set in at_owner.chunk_by_mut(|a, b| a.rr_type == b.rr_type && a.claim() == b.claim()) {
                let beside = own.iter().filter(|(claim, _)| claim.as_deref() != set[0].claim()).map(|(_, leaf)| leaf);
                let beside = beside.chain(others).cloned().collect();
                entries.extend(finish(layout, set, beside, revision, &mut last));
            }
        }
        entries
    }
}

/// The set of these records; `last` are the credits of the one before, which are often the same.
fn finish(
    layout: &Layout,
    keys: &mut [Placed],
    beside: BTreeSet<String>,
    revision: u64,
    last: &mut Option<Arc<[Credits]>>,
) -> Option<Entry> {
    let first = keys.first()?;
    let key = RrKey::new(first.owner.clone(), first.rr_type.clone());
    let blocks = if keys.iter().any(|key| key.blocks == Blocks::Name) { Blocks::Name } else { Blocks::AsDns };
    // Stable, as above.
    keys.sort_by(|a, b| a.record.cmp(&b.record));
    let ttl = keys.iter().map(|key| key.ttl).min()?;
    let mark = keys.iter().find_map(|key| key.mark.as_ref());
    let (claim, federation) = mark.map(|mark| (mark.claim.clone(), mark.federation.clone())).unzip();

    let mut at: Vec<(usize, String)> = Vec::with_capacity(keys.len());
    let mut records = Vec::with_capacity(keys.len());
    let mut credits: Vec<Option<Credits>> = Vec::with_capacity(keys.len());
    // A leaked layout of v1 may hold several CNAMEs: one stands for all, and a change takes all their keys.
    let stands_for_all = key.rr_type == RrType::Cname;
    for (index, same) in keys.chunk_by_mut(|a, b| stands_for_all || a.record == b.record).enumerate() {
        let deviates = same.iter().any(|key| {
            key.ttl != ttl || key.mark.as_ref().is_some_and(|mark| Some(&mark.federation) != federation.as_ref())
        });
        let clusters = same[0].mark.take().and_then(|mark| mark.clusters);
        credits.push(if deviates { Some(Arc::new([]) as Credits) } else { clusters });
        records.push(same[0].record.clone());
        at.extend(same.iter_mut().map(|key| (index, std::mem::take(&mut key.leaf))));
    }
    let length = credits.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    credits.truncate(length);
    let claim = claim.zip(federation).map(|(name, federation)| {
        let credits = credits.into_iter().map(|credits| credits.unwrap_or_else(|| Arc::new([])));
        let credits = credits.collect::<Vec<_>>();
        let credits = match last.take().filter(|last| **last == *credits) {
            Some(same) => same,
            None => credits.into(),
        };
        Claim { name, federation, credits: last.insert(credits).clone() }
    });
    let ttl = Ttl::from_secs(ttl).unwrap_or(Ttl::MAX);
    let set = RrSet::new(key, ttl, records).ok()?;
    let mut places = at.iter().zip(set.records()).enumerate();
    let is_default = at.len() == set.records().len()
        && places.all(|(place, ((index, leaf), record))| {
            *index == place && is_default_place(layout, set.owner(), record, leaf)
        });
    let version = Detail { at: (!is_default).then_some(at), beside }.into_version(revision);
    Some(Entry { data: ClaimedSet { set, claim }, version, blocks })
}
