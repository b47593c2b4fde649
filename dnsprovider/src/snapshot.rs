//! What a provider holds: versions, entries, and the pages in which a zone is read.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::claim::ClaimedSet;
use crate::name::Fqdn;
use crate::record::{RrKey, RrType};

/// When something was read, in the provider's own terms.
///
/// Callers keep it, hand it back in a [`crate::Change`], and compare `revision`; `detail` is the backend's alone.
/// Source of the two forms: etcd revisions grow through a whole store, ETags name one state of one set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// Grows with every change of the zone where the backend has such a number, else 0.
    pub revision: u64,
    /// What else the backend needs to guard a write, such as an ETag.
    pub detail: Option<Arc<str>>,
}

impl Version {
    /// A version that is a number only.
    pub fn at(revision: u64) -> Self {
        Self { revision, detail: None }
    }
}

/// How far an entry keeps others away from its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Blocks {
    /// As DNS has it: another set of the same type, and a CNAME beside anything.
    #[default]
    AsDns,
    /// Nothing else can be put at this name.
    Name,
}

/// One record set as the provider holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The records and the claim on them.
    pub data: ClaimedSet,
    /// The state that was read; to be handed back when the set is changed.
    pub version: Version,
    /// Other than [`Blocks::AsDns`] only where the host has rules of its own.
    pub blocks: Blocks,
}

impl Entry {
    /// Owner and type.
    pub fn key(&self) -> &RrKey {
        self.data.set.key()
    }
}

/// A zone, or some names of it, at one time.
///
/// Order of `entries`: by owner; at one owner by type. Two entries of one owner and type occur only where the host
/// stores single records ([`crate::Capabilities::shared_sets`]); they then differ in the name on their claim.
/// A name without any set is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The state that was read. For a snapshot of several pages: the state of the first.
    pub version: Version,
    /// What stands at each name.
    pub entries: BTreeMap<Fqdn, Vec<Entry>>,
}

impl Snapshot {
    /// Puts an entry in its place.
    pub fn insert(&mut self, entry: Entry) {
        let at_owner = self.entries.entry(entry.key().owner.clone()).or_default();
        let place = at_owner
            .partition_point(|other| (other.key(), other.data.claim_name()) <= (entry.key(), entry.data.claim_name()));
        // A zone has very many names, and nearly all of them one set.
        at_owner.reserve_exact(1);
        at_owner.insert(place, entry);
    }

    /// Everything at a name; empty when there is nothing.
    pub fn at(&self, owner: &Fqdn) -> &[Entry] {
        self.entries.get(owner).map_or(&[], Vec::as_slice)
    }

    /// The first set with this key, and the only one on hosts that do not share sets.
    pub fn get(&self, key: &RrKey) -> Option<&Entry> {
        self.at(&key.owner).iter().find(|entry| entry.key() == key)
    }

    /// The set with this owner, type and name on its claim.
    pub fn claimed(&self, owner: &Fqdn, rr_type: &RrType, claim: &str) -> Option<&Entry> {
        self.at(owner)
            .iter()
            .find(|entry| entry.data.set.rr_type() == rr_type && entry.data.claim_name() == Some(claim))
    }

    /// All sets in order.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().flatten()
    }

    /// Number of sets.
    pub fn len(&self) -> usize {
        self.entries.values().map(Vec::len).sum()
    }

    /// True when there is no set.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl Extend<Entry> for Snapshot {
    fn extend<T: IntoIterator<Item = Entry>>(&mut self, entries: T) {
        entries.into_iter().for_each(|entry| self.insert(entry));
    }
}

/// Where the next page begins. Opaque to callers; valid for the zone and provider that gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub Arc<str>);

/// Part of a zone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The state at which this page was read.
    pub version: Version,
    /// The sets of this page in the provider's own order. A name never spans two pages.
    pub entries: Vec<Entry>,
    /// Where to go on; `None` on the last page.
    pub next: Option<Cursor>,
}
