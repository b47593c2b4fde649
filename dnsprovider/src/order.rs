//! Which unit goes first.
//!
//! A CNAME that is written before its target leads nowhere for a moment, and so does one whose target is deleted first.
//! Pure; called by [`crate::Chunked`] and by planners.

use std::collections::{BTreeMap, BTreeSet};

use crate::change::{ChangeSet, Unit};
use crate::name::Fqdn;

/// Units in an order in which no CNAME leads nowhere, each with those it must follow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ordered {
    /// In the order to apply.
    pub units: Vec<Unit>,
    /// For each unit the places (all before its own) of those that it must follow. When one of them fails, this unit
    /// must not be applied.
    pub after: Vec<Vec<usize>>,
}

/// Orders the units of a change set: targets before the CNAMEs that point at them; in reverse for deletes.
///
/// Among the units that may go next, the one that was given first does. Units that depend on each other in a ring (a
/// loop of CNAMEs) go when no other can, one of them before what it would have to follow.
pub fn order(changes: ChangeSet) -> Ordered {
    let units = changes.units;
    let points = |change: &crate::Change| change.target_after().is_some() || change.target_before().is_some();
    if !units.iter().flat_map(|unit| &unit.changes).any(points) {
        return Ordered { after: vec![Vec::new(); units.len()], units };
    }
    let puts = owners_where(&units, |change| change.after.is_some());
    let clears = owners_where(&units, |change| change.before.is_some() && change.after.is_none());
    let mut after: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); units.len()];
    for (place, unit) in units.iter().enumerate() {
        for change in &unit.changes {
            if let Some(&target) = change.target_after().and_then(|target| puts.get(target))
                && target != place
            {
                after[place].insert(target);
            }
            // A name that loses its sets and gets nothing back waits for the CNAMEs that point at it and change.
            if let Some(target) = change.target_before()
                && !puts.contains_key(target)
                && let Some(&cleared) = clears.get(target)
                && cleared != place
            {
                after[cleared].insert(place);
            }
        }
    }
    sort(units, &after)
}

fn owners_where(units: &[Unit], holds: impl Fn(&crate::Change) -> bool) -> BTreeMap<Fqdn, usize> {
    let mut owners = BTreeMap::new();
    for (place, unit) in units.iter().enumerate() {
        for change in unit.changes.iter().filter(|change| holds(change)) {
            owners.insert(change.key.owner.clone(), place);
        }
    }
    owners
}

/// Kahn's algorithm; among the free units the one that came first goes first.
fn sort(units: Vec<Unit>, after: &[BTreeSet<usize>]) -> Ordered {
    let mut waits: Vec<usize> = after.iter().map(BTreeSet::len).collect();
    let mut followers: Vec<Vec<usize>> = vec![Vec::new(); units.len()];
    for (place, earlier) in after.iter().enumerate() {
        for first in earlier {
            followers[*first].push(place);
        }
    }
    let mut open: BTreeSet<usize> = (0..units.len()).collect();
    let mut free: BTreeSet<usize> = (0..units.len()).filter(|place| waits[*place] == 0).collect();
    let mut sequence = Vec::with_capacity(units.len());
    while let Some(place) = free.pop_first().or_else(|| in_a_ring(&open, after)) {
        open.remove(&place);
        sequence.push(place);
        for &follower in followers[place].iter().filter(|follower| open.contains(follower)) {
            waits[follower] -= 1;
            if waits[follower] == 0 {
                free.insert(follower);
            }
        }
    }

    let mut new_place = vec![0; units.len()];
    for (new, old) in sequence.iter().enumerate() {
        new_place[*old] = new;
    }
    let mut units: Vec<_> = units.into_iter().map(Some).collect();
    Ordered {
        // A unit of a ring that goes first follows nobody.
        after: sequence
            .iter()
            .enumerate()
            .map(|(new, old)| after[*old].iter().map(|first| new_place[*first]).filter(|first| *first < new).collect())
            .collect(),
        units: sequence.iter().map(|old| units[*old].take().expect("every place occurs once")).collect(),
    }
}

/// A unit that, in the end, waits for itself, when all the open ones wait for another.
fn in_a_ring(open: &BTreeSet<usize>, after: &[BTreeSet<usize>]) -> Option<usize> {
    let mut seen = BTreeSet::new();
    let mut place = *open.first()?;
    while seen.insert(place) {
        place = after[place].iter().copied().find(|earlier| open.contains(earlier))?;
    }
    Some(place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::units;

    /// First owner of each unit, and the places it follows.
    fn ordered(texts: &[&[&str]]) -> Vec<(String, Vec<usize>)> {
        let ordered = order(units(texts));
        let owner = |unit: &Unit| unit.owners().next().map_or(String::new(), |name| name.as_str()[..1].to_owned());
        ordered.units.iter().map(owner).zip(ordered.after).collect()
    }

    fn placed(owner: &str, after: &[usize]) -> (String, Vec<usize>) {
        (owner.to_owned(), after.to_vec())
    }

    #[test]
    fn targets_go_before_the_cnames_that_point_at_them() {
        let texts: &[&[&str]] = &[&["-> z CNAME r"], &["-> r CNAME g"], &["-> x A 192.0.2.9"], &["-> g A 192.0.2.1"]];
        assert_eq!(ordered(texts), [placed("x", &[]), placed("g", &[]), placed("r", &[1]), placed("z", &[2])]);
    }

    #[test]
    fn a_name_is_cleared_after_the_cnames_that_leave_it() {
        let texts: &[&[&str]] = &[&["g A 192.0.2.1 ->"], &["r CNAME g ->"], &["s CNAME g -> s CNAME x"]];
        assert_eq!(ordered(texts), [placed("r", &[]), placed("s", &[]), placed("g", &[0, 1])]);
    }

    #[test]
    fn a_name_that_only_loses_one_of_its_sets_waits_for_nobody() {
        let texts: &[&[&str]] = &[&["g A 192.0.2.1 ->", "-> g AAAA 2001:db8::1"], &["r CNAME g ->"]];
        assert_eq!(ordered(texts), [placed("g", &[]), placed("r", &[])]);
    }

    #[test]
    fn a_ring_goes_last_and_what_follows_it_after_it() {
        let texts: &[&[&str]] =
            &[&["-> f CNAME a"], &["-> a CNAME b"], &["-> b CNAME a"], &["-> s CNAME s"], &["-> x A 192.0.2.1"]];
        let expected = [placed("s", &[]), placed("x", &[]), placed("a", &[]), placed("f", &[2]), placed("b", &[2])];
        assert_eq!(ordered(texts), expected);
    }
}
