//! A batch as a host sees it that changes set by set.

use dns_sync_core::Batch;
use dnsprovider::{Action, Change, RrType, Unit};

/// The changes of a batch as single calls. Inside of a unit what may come beside the others comes before anything goes.
pub(crate) fn in_calls(batch: &Batch) -> Vec<Change> {
    let is_cname = |change: &Change| change.key.rr_type == RrType::Cname;
    let place = |unit: &Unit, change: &Change| {
        let needs_room = |other: &Change| {
            other.key.owner == change.key.owner && other.after.is_none() && (is_cname(change) || is_cname(other))
        };
        match change.action() {
            Action::Update => 0,
            Action::Create if !unit.changes.iter().any(needs_room) => 1,
            Action::Delete => 2,
            Action::Create => 3,
        }
    };
    let ordered = batch.changes.units.iter().flat_map(|unit| {
        let mut changes = unit.changes.clone();
        changes.sort_by_key(|change| place(unit, change));
        changes
    });
    ordered.collect()
}
