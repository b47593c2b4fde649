//! The credits that a host has room for.
//!
//! Those that it would drop must not be wanted: they would be missing at every look, and be written again and again. A
//! record without credits counts as credited to every cluster that has not answered yet, as an adopted one does, so
//! none is lost by it.
//! In: desired names · Out: the same with fewer credits · Pure: yes.

use std::collections::BTreeMap;

use dnsprovider::capabilities::credit_octets;
use dnsprovider::{ClaimedSet, Credits, Fqdn};

use crate::context::Context;
use crate::desired::DesiredName;
use crate::event::ServiceId;
use crate::ledger;

/// The names with the credits that the host stores; `None` where it stores them all. What is left out is told, but for
/// hosts without claims, where it takes more clusters than a federation has.
pub(super) fn storable(
    cx: &Context<'_>,
    service: &ServiceId,
    names: &BTreeMap<Fqdn, DesiredName>,
    warnings: &mut Vec<String>,
) -> Option<BTreeMap<Fqdn, DesiredName>> {
    if cx.zone.has_ledgers() {
        let mut names = names.clone();
        let sets = names.values_mut().flat_map(|name| {
            let place = ledger::place_of(&name.level);
            name.sets.iter_mut().chain(&mut name.stand_in).map(move |set| (place.clone(), set))
        });
        ledger::drop_long_credits(&mut sets.collect::<Vec<_>>());
        return Some(names);
    }
    let limit = cx.credit_octets?;
    let is_over = |set: &ClaimedSet| set.claim.as_ref().is_some_and(|claim| credit_octets(&claim.credits) > limit);
    if !names.values().any(|name| name.sets.iter().chain(&name.stand_in).any(is_over)) {
        return None;
    }
    let mut names = names.clone();
    for (owner, name) in &mut names {
        for set in name.sets.iter_mut().chain(&mut name.stand_in).filter(|set| is_over(set)) {
            let dropped = drop_credits(set, limit);
            warnings.push(format!(
                "{service} at {owner}: from which clusters {dropped} of the {} {} records come is not noted, as the host \
                 takes {limit} octets of names; after a restart they stay until every cluster has answered; hint: \
                 shorter names of clusters",
                set.set.records().len(),
                set.set.rr_type()
            ));
        }
    }
    Some(names)
}

/// Takes the credits off records, the last first, until those that are left may be stored; gives of how many.
fn drop_credits(set: &mut ClaimedSet, limit: usize) -> usize {
    let Some(claim) = &mut set.claim else { return 0 };
    let mut credits = claim.credits.to_vec();
    let mut dropped = 0;
    for place in (0..credits.len()).rev() {
        if credit_octets(&credits) <= limit {
            break;
        }
        dropped += usize::from(!credits[place].is_empty());
        credits[place] = Credits::from([]);
    }
    claim.credits = credits.into();
    dropped
}
