//! What to change so that a zone is as desired.

use std::collections::BTreeMap;

use crate::change::{Change, ChangeSet};
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
    ChangeSet::by_name(changes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Action;
    use crate::testing::{entry, key, set};

    fn planned(held: &[&str], desired: &[&str], in_scope: bool) -> Vec<(RrKey, Action)> {
        let mut snapshot = Snapshot::default();
        snapshot.extend(held.iter().map(|text| entry(text)));
        let desired = desired.iter().map(|text| (set(text).set.key().clone(), set(text))).collect();
        let changes = diff(&snapshot, &desired, |_| in_scope);
        changes.changes().map(|change| (change.key.clone(), change.action())).collect()
    }

    #[test]
    fn every_row_of_the_table() {
        let (one, other) = ("w A 192.0.2.1", "w A 192.0.2.2");
        for (held, in_scope, desired, change) in [
            (None, true, None, None),
            (None, true, Some(one), Some(Action::Create)),
            (Some(one), true, Some(one), None),
            (Some(one), false, Some(one), None),
            (Some(other), true, Some(one), Some(Action::Update)),
            (Some(other), false, Some(one), None),
            (Some(one), true, None, Some(Action::Delete)),
            (Some(one), false, None, None),
            (Some("w ALIAS-A elb"), true, Some(one), None),
            (Some("w ALIAS-A elb"), true, None, None),
        ] {
            let planned = planned(held.as_slice(), desired.as_slice(), in_scope);
            let expected: Vec<_> = change.map(|action| (key("w A"), action)).into_iter().collect();
            assert_eq!(planned, expected, "held {held:?}, in scope {in_scope}, desired {desired:?}");
        }
    }

    #[test]
    fn what_gives_way_is_deleted_before_what_takes_its_place() {
        let planned = planned(&["w CNAME x"], &["w A 192.0.2.1"], true);
        assert_eq!(planned, [(key("w CNAME"), Action::Delete), (key("w A"), Action::Create)]);
    }

    #[test]
    fn of_several_sets_of_one_key_the_one_with_the_desired_claim_is_compared() {
        let mark = |name: &str, text: &str| {
            let claim = Some(crate::Claim::without_credits(name, "f"));
            Entry { data: ClaimedSet { claim, ..set(text) }, ..entry(text) }
        };
        let mut snapshot = Snapshot::default();
        snapshot.extend([mark("a", "w A 192.0.2.1"), mark("b", "w A 192.0.2.2")]);
        let wanted = mark("b", "w A 192.0.2.3").data;
        let desired = BTreeMap::from([(key("w A"), wanted)]);
        let changes = diff(&snapshot, &desired, |_| true);
        let change = changes.changes().next().unwrap();
        assert_eq!((changes.len(), change.before.as_ref().unwrap().claim_name()), (1, Some("b")));
    }
}
