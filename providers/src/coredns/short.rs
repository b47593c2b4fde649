//! The short plan of a set that comes or goes alone, and what it costs.
//!
//! In: changes · Out: as `plan` · Pure: yes · Called by: `plan`, and `cost` of the trait

use dnsprovider::{Change, ClaimedSet, Cost, Fqdn, RecordData, RrType};

use super::convert::{Detail, default_place};
use super::crowd::Crowd;
use super::plan::{self, Guard, NamePlan, value_of};
use super::wire::Layout;

/// Plans the one change of a name whose keys are where we put them and nothing beside: a set that comes or goes, which
/// is most of what is ever written at once. `None` where it is not that.
pub(super) fn plan(layout: &Layout, change: &Change) -> Option<NamePlan> {
    let held = alone(change)?;
    let owner = held.set.owner();
    let exact = layout.path(owner)?;
    let leaves = layout.leaves(owner);
    let had_exact = change.before.is_some() && *held.set.rr_type() == RrType::Cname;
    let mut keys = Vec::with_capacity(held.set.records().len());
    for record in held.set.records() {
        let place = default_place(layout, owner, record);
        keys.push(if place.is_empty() { exact.clone() } else { format!("{exact}/{place}") });
    }
    let distinct = keys.iter().enumerate().all(|(place, key)| !keys[..place].contains(key));
    if !distinct {
        return None; // FNV-1a of 32 bits collides
    }
    let mut guard = Guard {
        revision: change.version.revision,
        was_bare: change.before.is_none() || had_exact,
        stays_bare: change.before.is_none() && *held.set.rr_type() == RrType::Cname,
        had_exact,
        no_exact: change.before.is_none(),
        old: Vec::new(),
        new: Vec::new(),
        values: Vec::new(),
    };
    let (mut puts, mut deletes) = (Vec::new(), Vec::new());
    if change.before.is_none() {
        let values = (0..keys.len()).map(|index| value_of(held, index)).collect::<Option<Vec<_>>>()?;
        puts = keys.into_iter().zip(values).collect();
        puts.sort_unstable();
    } else {
        if !had_exact {
            let mut order: Vec<_> = (0..keys.len()).collect();
            order.sort_unstable_by(|a, b| keys[*a].cmp(&keys[*b]));
            let values = order.into_iter().map(|index| value_of(held, index)).collect::<Option<_>>();
            guard.values = values.unwrap_or_default();
        }
        deletes = keys;
        deletes.sort_unstable();
        guard.old = if had_exact { Vec::new() } else { deletes.clone() };
    }
    Some(NamePlan {
        owner: owner.clone(),
        path: format!("{exact}/{leaves}"),
        exact,
        guard,
        puts,
        deletes,
        settle: None,
        outdated: false,
        details: vec![(change.key.clone(), Detail::default())],
    })
}

/// The set of a change that only creates or deletes it and knows of nothing else there.
fn alone(change: &Change) -> Option<&ClaimedSet> {
    match (&change.before, &change.after) {
        (None, Some(held)) | (Some(held), None) => Some(held).filter(|_| change.version.detail.is_none()),
        _ => None,
    }
}

/// What the changes of one name cost in a transaction of at most `limit` operations; nothing where they cannot be.
///
/// Of changes that have a short [`plan`] the operations are counted without making them, and their octets are not less than they will
/// be: this is asked for each name more than once.
pub(super) fn cost(layout: &Layout, owner: &Fqdn, changes: &[&Change], limit: u64, crowd: &Crowd) -> Option<Cost> {
    if let &[change] = changes
        && !crowd.holds(owner)
        && let Some(cost) = counted(layout, change, limit)
    {
        plan::check(layout, owner, changes).ok()?;
        return Some(cost);
    }
    Some(plan::name(layout, owner, changes, None, crowd).ok()?.cost(limit))
}

/// The cost of a [`plan`] without making it.
pub(super) fn counted(layout: &Layout, change: &Change, limit: u64) -> Option<Cost> {
    let held = alone(change)?;
    let records = held.set.records();
    // Two records of one set share a leaf once in 2^32 times; the plan then counts one delete less.
    let writable = |record: &RecordData| match record {
        RecordData::Aaaa(address) => address.to_ipv4_mapped().is_none(),
        RecordData::Txt(text) => !text.is_empty(),
        RecordData::A(_) | RecordData::Cname(_) => true,
        RecordData::Opaque(_) => false,
    };
    if !records.iter().all(writable) || records.len() as u64 > limit {
        return None;
    }
    let exact = layout.path(held.set.owner())?.len();
    // `/`, the place of leaves at the apex, and a hash.
    let key = exact + 32;
    let (operations, compares) = match (&change.before, held.set.rr_type()) {
        (None, _) => (records.len(), 2),
        (Some(_), RrType::Cname) => (1, 3),
        (Some(_), _) => (records.len(), records.len().max(2)),
    };
    // Put, or compared.
    let values: usize = match (&change.before, held.set.rr_type()) {
        (Some(_), RrType::Cname) => 0,
        _ => (0..records.len()).map(|index| key + value_octets(held, index) + 40).sum(),
    };
    let deletes = if change.before.is_some() { operations } else { 0 };
    let octets = values + (compares + deletes + 7) * (key + 40);
    Some(Cost { operations: operations as u64, compares: compares as u64, octets: octets as u64, ..Cost::default() })
}

/// At least the octets of what [`value_of`] gives.
fn value_octets(held: &ClaimedSet, index: usize) -> usize {
    // With the quotes and what stands before the next one.
    let quoted = |text: &str| {
        let octets = text.bytes().map(|byte| match byte {
            b'"' | b'\\' => 2,
            0..=0x1f => 6,
            _ => 1,
        });
        octets.sum::<usize>() + 3
    };
    let data = match held.set.records().get(index) {
        Some(RecordData::Cname(target)) => quoted(target.as_str()),
        // Escaped for DNS and again for JSON.
        Some(RecordData::Txt(text)) => 5 * text.len(),
        _ => 48,
    };
    let mark = held.claim.as_ref().map_or(0, |claim| {
        let clusters: usize = claim.credits_of(index).iter().map(|cluster| quoted(cluster)).sum();
        quoted(&claim.name) + quoted(&claim.federation) + clusters
    });
    data + quoted(held.set.owner().as_str()) + mark + 120
}
