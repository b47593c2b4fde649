//! Edits as values: what stood there, what shall stand there, and what belongs together.

use crate::claim::ClaimedSet;
use crate::name::Fqdn;
use crate::record::{RrKey, RrType};
use crate::snapshot::{Entry, Version};

/// What a change does to its set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Nothing stood there.
    Create,
    /// Something else stood there.
    Update,
    /// Nothing shall stand there.
    Delete,
}

/// One edit of one record set, with the state that it was decided on.
///
/// Invariants: not both `before` and `after` absent; both, where present, have the key of the change.
///
/// | before | after | means |
/// |---|---|---|
/// | absent | set | create; a set that stands there by now is a conflict |
/// | set | set | replace exactly that set (on hosts that store claims: and exactly that claim) |
/// | set | absent | delete exactly that set |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Owner and type.
    pub key: RrKey,
    /// The set as it was read.
    pub before: Option<ClaimedSet>,
    /// The version of `before`; of the snapshot where nothing stood there.
    pub version: Version,
    /// The set as it shall be.
    pub after: Option<ClaimedSet>,
}

impl Change {
    /// Creates a set where a snapshot of `version` had none.
    pub fn create(after: ClaimedSet, version: Version) -> Self {
        Self { key: after.set.key().clone(), before: None, version, after: Some(after) }
    }

    /// Replaces a set.
    pub fn update(before: &Entry, after: ClaimedSet) -> Self {
        Self {
            key: before.key().clone(),
            before: Some(before.data.clone()),
            version: before.version.clone(),
            after: Some(after),
        }
    }

    /// Deletes a set.
    pub fn delete(before: &Entry) -> Self {
        Self {
            key: before.key().clone(),
            before: Some(before.data.clone()),
            version: before.version.clone(),
            after: None,
        }
    }

    /// What it does.
    pub fn action(&self) -> Action {
        match (&self.before, &self.after) {
            (None, _) => Action::Create,
            (Some(_), Some(_)) => Action::Update,
            (Some(_), None) => Action::Delete,
        }
    }

    /// The target to which a CNAME points afterwards.
    pub(crate) fn target_after(&self) -> Option<&Fqdn> {
        self.after.as_ref().and_then(|held| held.set.cname_target())
    }

    /// The target to which a CNAME pointed before.
    pub(crate) fn target_before(&self) -> Option<&Fqdn> {
        self.before.as_ref().and_then(|held| held.set.cname_target())
    }
}

/// Changes that belong together and are never split over two calls.
///
/// All changes of one name are in one unit: an address set that gives way to a CNAME is right as a whole only.
/// Callers may put more into one, such as the sets of a service and the set that lists their claims.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unit {
    /// At most one change for each key and claim.
    pub changes: Vec<Change>,
}

impl Unit {
    /// The names that this unit touches, in order of the changes; a name may repeat.
    pub fn owners(&self) -> impl Iterator<Item = &Fqdn> {
        self.changes.iter().map(|change| &change.key.owner)
    }

    /// True when a set of the given type is put at `owner`.
    pub fn puts(&self, owner: &Fqdn, rr_type: &RrType) -> bool {
        self.changes
            .iter()
            .any(|change| change.key.owner == *owner && change.key.rr_type == *rr_type && change.after.is_some())
    }
}

/// All edits of one call or one plan, as units in the order in which they shall happen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangeSet {
    /// In order; [`crate::order::order`] brings targets before the CNAMEs that point at them.
    pub units: Vec<Unit>,
}

impl ChangeSet {
    /// Groups loose changes by owner name, one unit each, in order of the names.
    pub fn by_name(changes: impl IntoIterator<Item = Change>) -> Self {
        let mut units = std::collections::BTreeMap::<Fqdn, Unit>::new();
        for change in changes {
            units.entry(change.key.owner.clone()).or_default().changes.push(change);
        }
        Self { units: units.into_values().collect() }
    }

    /// All changes in order.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.units.iter().flat_map(|unit| &unit.changes)
    }

    /// Number of changes.
    pub fn len(&self) -> usize {
        self.units.iter().map(|unit| unit.changes.len()).sum()
    }

    /// True when there is no change.
    pub fn is_empty(&self) -> bool {
        self.units.iter().all(|unit| unit.changes.is_empty())
    }
}
