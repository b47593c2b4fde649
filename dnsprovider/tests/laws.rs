//! What holds for every zone, every change and every host.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod generate;

use std::collections::{BTreeMap, BTreeSet};

use dnsprovider::capabilities::{Atomicity, Granularity};
use dnsprovider::memory::{Call, Fault};
use dnsprovider::{
    ApplyContext, ChangeSet, Chunked, ClaimedSet, DnsProvider, Entry, ErrorKind, Fqdn, Outcome, RrKey, RrSet, Snapshot,
    diff, order,
};
use futures::executor::block_on;
use proptest::prelude::*;

use generate::{Zone, data, entry, held, host, many, store, zone};

fn plan(from: &Zone, to: &Zone) -> ChangeSet {
    diff(store(from).snapshot(), to, |_| true)
}

proptest! {
    #[test]
    fn applying_the_difference_gives_the_desired_zone(from in zone(), to in zone()) {
        let mut zone = store(&from);
        prop_assert!(zone.apply(&plan(&from, &to), Atomicity::Batch).is_done());
        prop_assert_eq!(data(zone.snapshot()), to.clone());
        prop_assert_eq!(zone.len(), to.len());
    }

    #[test]
    fn a_zone_as_desired_has_no_difference(zone in zone()) {
        prop_assert!(plan(&zone, &zone).is_empty());
    }

    #[test]
    fn the_difference_does_not_depend_on_the_order_of_insertion(from in zone(), to in zone(), turn in 0usize..20) {
        let sorted: Snapshot = held(store(&from).entries().cloned());
        let mut entries: Vec<_> = sorted.iter().cloned().collect();
        let turn = turn % entries.len().max(1);
        entries.rotate_left(turn);
        entries.reverse();
        prop_assert_eq!(diff(&held(entries), &to, |_| true), diff(&sorted, &to, |_| true));
    }

    #[test]
    fn the_difference_leaves_alone_what_is_out_of_scope(from in zone(), to in zone()) {
        let ours = |entry: &Entry| entry.data.claim.is_some();
        let store = store(&from);
        for change in diff(store.snapshot(), &to, ours).changes() {
            prop_assert!(store.get(&change.key).is_none_or(ours), "{change:?}");
        }
    }

    #[test]
    fn a_unit_goes_after_those_that_it_needs_unless_they_need_it(from in zone(), to in zone()) {
        let changes = plan(&from, &to);
        let needs = needs(&changes);
        let ordered = order(changes.clone());
        let place = |owner: &Fqdn| ordered.units.iter().position(|unit| unit.owners().any(|name| name == owner)).unwrap();
        for (owner, first) in needs.iter().flat_map(|(owner, all)| all.iter().map(move |first| (owner, first))) {
            let ring = reaches(&needs, first, owner);
            prop_assert!(ring || place(first) < place(owner), "{} before {} in {:?}", owner, first, ordered.units);
            prop_assert!(ring || ordered.after[place(owner)].contains(&place(first)));
        }
        prop_assert!(ordered.after.iter().enumerate().all(|(own, after)| after.iter().all(|first| *first < own)));
        let mut units = ordered.units;
        units.sort_by(|a, b| a.owners().next().cmp(&b.owners().next()));
        prop_assert_eq!(units, changes.units);
    }

    #[test]
    fn small_batches_end_where_one_batch_does(
        from in zone(), to in zone(), sets in 5u64..10, values in 12u64..20, overhead in 0u64..2, atomic: bool,
    ) {
        let provider = host(&from, |able| {
            able.atomicity = if atomic { Atomicity::Batch } else { Atomicity::Set };
            able.limits.batch.sets = sets;
            able.limits.batch.values = values;
            able.limits.overhead.sets = overhead;
        });
        let chunked = Chunked::new(provider.clone());
        let changes = plan(&from, &to);
        let applied = block_on(chunked.apply(&generate::id(), &changes, &ApplyContext::default())).unwrap();
        prop_assert!(applied.is_done(), "{applied:?}");
        prop_assert_eq!(applied.outcomes.len(), changes.len());
        prop_assert_eq!(data(&provider.peek(&generate::id()).unwrap()), to);
        prop_assert!(provider.largest_batch().fits(&provider.capabilities().limits.batch));
    }

    #[test]
    fn one_bad_unit_is_found_by_halving(count in 1usize..200, bad: prop::sample::Index, kind in 0usize..4) {
        let kind = [ErrorKind::InvalidInput, ErrorKind::LimitExceeded, ErrorKind::Conflict, ErrorKind::Unsupported][kind];
        let provider = host(&Zone::new(), |able| able.granularity = Granularity::Batch);
        let desired = many(count);
        let bad = desired.keys().nth(bad.index(count)).unwrap().clone();
        provider.inject(Fault::refuse(bad.clone(), kind).always());
        let changes = diff(&Snapshot::default(), &desired, |_| true);
        let chunked = Chunked::new(provider.clone());
        let applied = block_on(chunked.apply(&generate::id(), &changes, &ApplyContext::default())).unwrap();
        for (key, outcome) in &applied.outcomes {
            match outcome {
                Outcome::Conflict => prop_assert!(*key == bad && kind == ErrorKind::Conflict),
                Outcome::Refused(error) => prop_assert!(*key == bad && error.kind() == kind),
                other => prop_assert!(*key != bad && other.is_done()),
            }
        }
        let halvings = u64::from(count.next_power_of_two().ilog2());
        prop_assert!(provider.calls(Call::Apply) <= 2 * halvings + 2);
    }

    #[test]
    fn a_stale_pre_image_changes_nothing(from in zone(), to in zone(), stale: prop::sample::Index, atomic: bool) {
        let changes = plan(&from, &to);
        prop_assume!(!changes.is_empty());
        let stale = stale.get(&changes.changes().collect::<Vec<_>>()).key.clone();
        let mut zone = store(&from);
        let fresh = RrSet::new(stale.clone(), generate::ttl(77), generate::records(&stale.rr_type)).unwrap();
        zone.insert_foreign(entry(ClaimedSet::unclaimed(fresh))).unwrap();
        let before = zone.snapshot().clone();
        let applied = zone.apply(&changes, if atomic { Atomicity::Batch } else { Atomicity::Set });
        prop_assert!(!applied.is_done());
        prop_assert_eq!(zone.at(&stale.owner), before.at(&stale.owner));
        if atomic {
            prop_assert_eq!(zone.snapshot(), &before);
        }
    }

    #[test]
    fn outcomes_are_true_and_no_unit_is_half_done(
        from in zone(), to in zone(), faults in prop::collection::vec((0usize..6, any::<prop::sample::Index>()), 0..4),
        sets in 1u64..9, atomic: bool, verdicts: bool,
    ) {
        let changes = plan(&from, &to);
        prop_assume!(!changes.is_empty());
        let provider = host(&from, |able| {
            able.atomicity = if atomic { Atomicity::Batch } else { Atomicity::Set };
            able.granularity = if verdicts { Granularity::Set } else { Granularity::Batch };
            able.limits.batch.sets = sets;
        });
        let keys: Vec<RrKey> = changes.changes().map(|change| change.key.clone()).collect();
        for (fault, at) in faults {
            let key = at.get(&keys).clone();
            provider.inject(match fault {
                0 => Fault::refuse(key, ErrorKind::InvalidInput).always(),
                1 => Fault::conflict(key),
                2 => Fault::lose_answer().on(Call::Apply).at(key),
                3 => Fault::lose_call().on(Call::Apply).at(key),
                4 => Fault::fail(ErrorKind::Unavailable).on(Call::Apply).at(key),
                _ => Fault::quota(from.len() as u64),
            });
        }
        let chunked = Chunked::new(provider.clone());
        let applied = block_on(chunked.apply(&generate::id(), &changes, &ApplyContext::default()));
        let now = data(&provider.peek(&generate::id()).unwrap());
        let Ok(applied) = applied else {
            prop_assert_eq!(now, from);
            return Ok(());
        };
        prop_assert_eq!(applied.outcomes.keys().collect::<BTreeSet<_>>(), keys.iter().collect::<BTreeSet<_>>());
        for unit in &changes.units {
            let all = |wanted: fn(&dnsprovider::Change) -> Option<&ClaimedSet>| {
                unit.changes.iter().all(|change| now.get(&change.key) == wanted(change))
            };
            let (untouched, whole) = (all(|change| change.before.as_ref()), all(|change| change.after.as_ref()));
            prop_assert!(untouched || whole, "half a unit: {unit:?}");
            for change in &unit.changes {
                match &applied.outcomes[&change.key] {
                    Outcome::Done(_) => prop_assert!(whole),
                    Outcome::Unknown(_) => {}
                    _ => prop_assert!(untouched),
                }
            }
        }
        // No CNAME leads nowhere that led, or would have led, somewhere.
        for set in now.values() {
            let Some(target) = set.set.cname_target() else { continue };
            let stands = |zone: &Zone| zone.keys().any(|key| key.owner == *target);
            prop_assert!(stands(&now) || !(stands(&from) && stands(&to)), "{set:?} leads nowhere");
        }
    }
}

/// For each name, those whose units must go first; computed from the two rules alone.
fn needs(changes: &ChangeSet) -> BTreeMap<Fqdn, BTreeSet<Fqdn>> {
    let owners = |test: fn(&dnsprovider::Change) -> bool| -> BTreeSet<Fqdn> {
        changes.changes().filter(|change| test(change)).map(|change| change.key.owner.clone()).collect()
    };
    let puts = owners(|change| change.after.is_some());
    let clears: BTreeSet<_> = owners(|change| change.after.is_none()).difference(&puts).cloned().collect();
    let target = |data: &Option<ClaimedSet>| data.as_ref().and_then(|data| data.set.cname_target().cloned());
    let mut needs = BTreeMap::<Fqdn, BTreeSet<Fqdn>>::new();
    for change in changes.changes() {
        let owner = change.key.owner.clone();
        if let Some(target) = target(&change.after).filter(|target| puts.contains(target) && *target != owner) {
            needs.entry(owner.clone()).or_default().insert(target);
        }
        if let Some(left) = target(&change.before).filter(|left| clears.contains(left) && *left != owner) {
            needs.entry(left).or_default().insert(owner);
        }
    }
    needs
}

fn reaches(needs: &BTreeMap<Fqdn, BTreeSet<Fqdn>>, from: &Fqdn, to: &Fqdn) -> bool {
    let (mut open, mut seen) = (vec![from], BTreeSet::new());
    while let Some(name) = open.pop() {
        if name == to {
            return true;
        }
        if seen.insert(name) {
            open.extend(needs.get(name).into_iter().flatten());
        }
    }
    false
}
