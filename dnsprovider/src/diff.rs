//! What to change so that a zone is as desired.

use std::collections::BTreeMap;

use crate::change::{Action, Change, ChangeSet};
use crate::claim::ClaimedSet;
use crate::record::RrKey;
use crate::snapshot::{Entry, Snapshot};

/// Compares a zone with the sets that are desired in it.
///
/// `in_scope` says which of the held sets may be changed or deleted; a set outside is never touched, whatever is desired.
/// What is held is compared whole: records, TTL and claim. Where several sets have one key (hosts with shared sets), the
/// one with the desired claim's name is compared, else the first in scope.
///
/// | held | in scope | desired | change |
/// |---|---|---|---|
/// | nothing | | nothing | none |
/// | nothing | | a set | create, at the snapshot's version |
/// | the same set | any | the same set | none |
/// | another set | yes | a set | update, with what is held as pre-image |
/// | another set | no | a set | none: it is somebody else's |
/// | a set | yes | nothing | delete, with what is held as pre-image |
/// | a set | no | nothing | none |
/// | opaque data | any | any | none: it is only carried |
///
/// The changes of one name are one unit, deletions first; units are in order of their names ([`crate::order()`] brings
/// targets before CNAMEs). A desired set under a key that is not its own is a change that providers refuse.
///
/// ```
/// # use std::collections::BTreeMap;
/// # use dnsprovider::*;
/// let key = RrKey::new(Fqdn::parse("www.example.com").unwrap(), RrType::A);
/// let set = RrSet::new(key.clone(), Ttl::from_secs(60).unwrap(), [RecordData::A([192, 0, 2, 1].into())]).unwrap();
/// let desired = BTreeMap::from([(key, ClaimedSet::unclaimed(set))]);
/// let changes = diff(&Snapshot::default(), &desired, |_| true);
/// assert_eq!(changes.changes().map(Change::action).collect::<Vec<_>>(), [Action::Create]);
/// ```
pub fn diff(
    snapshot: &Snapshot,
    desired: &BTreeMap<RrKey, ClaimedSet>,
    in_scope: impl Fn(&Entry) -> bool,
) -> ChangeSet {
    let may_touch = |entry: &Entry| !entry.data.set.is_opaque() && in_scope(entry);
    let mut changes = Vec::new();
    for entry in snapshot.iter().filter(|entry| !desired.contains_key(entry.key()) && may_touch(entry)) {
        changes.push(Change::delete(entry));
    }
    for (key, wanted) in desired {
        let held: Vec<_> = snapshot.at(&key.owner).iter().filter(|entry| entry.key() == key).collect();
        let same_claim = held.iter().find(|entry| entry.data.claim_name() == wanted.claim_name());
        match same_claim.or_else(|| held.iter().find(|entry| may_touch(entry))) {
            Some(entry) if entry.data == *wanted || !may_touch(entry) => {}
            Some(entry) => changes.push(Change::update(entry, wanted.clone())),
            None if held.is_empty() => changes.push(Change {
                key: key.clone(),
                before: None,
                version: snapshot.version.clone(),
                after: Some(wanted.clone()),
            }),
            None => {}
        }
    }
    changes.sort_by_key(|change| change.action() != Action::Delete);
    ChangeSet::by_name(changes)
}
