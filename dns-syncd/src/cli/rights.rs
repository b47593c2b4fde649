//! May the daemon write? Found out without writing.
//!
//! The host is asked for what cannot be done: to change and to delete sets that do not exist, and to create one in the
//! place of such a deleted one, which happens together or not at all. One that would let us says that they are not there;
//! one that would not names the right that is missing.

use std::collections::BTreeMap;
use std::sync::Arc;

use dns_sync_core::swap::writes_txt;
use dnsprovider::capabilities::Atomicity;
use dnsprovider::{
    ApplyContext, Blocks, Change, ChangeSet, Chunked, ClaimedSet, DnsProvider, Entry, Error, ErrorKind, Fqdn, Outcome,
    RecordData, RrKey, RrSet, RrType, Ttl, Version, Zone,
};

use crate::output::check::{Finding, Mark};

/// Whether sets may be written, one finding for each right that is missing; none where a host does not let this command
/// ask.
pub(super) async fn rights(provider: &Arc<dyn DnsProvider>, zone: &Zone) -> Vec<Finding> {
    let capabilities = provider.capabilities();
    let types = [RrType::A, RrType::Aaaa, RrType::Cname, RrType::Txt];
    let types = types.iter().filter(|rr_type| capabilities.record_types.contains(rr_type));
    // TXT is written only where claims need it, or a name's place.
    let needs_txt = !capabilities.claims || writes_txt(&capabilities);
    let types: Vec<_> = types.filter(|rr_type| **rr_type != RrType::Txt || needs_txt).collect();
    // An apex so long that no name fits below it has no use for the daemon either.
    let mut changes: Vec<Change> =
        types.iter().filter_map(|rr_type| pretended(&zone.apex, rr_type)).flatten().collect();
    // Only some hosts have a right of its own for this, and all of them make a batch whole or not at all. The others
    // take it as changing a set, and might not wait for the deletion.
    if capabilities.atomicity == Atomicity::Batch && !capabilities.claims {
        changes.extend(replaced(&zone.apex));
    }
    let changes = ChangeSet::by_name(changes);
    let applied = Chunked::new(provider.clone()).apply(&zone.id, &changes, &ApplyContext::default()).await;
    let missing =
        |error: &Error| Finding::new("rights", Mark::Missing, format!("sets cannot be written: {}", error.chain()));
    let outcomes = match applied {
        Ok(applied) => applied.outcomes,
        Err(error) if error.kind() == ErrorKind::Conflict => BTreeMap::new(),
        Err(error) => return vec![missing(&error)],
    };
    let mut refusals: Vec<&Error> = Vec::new();
    for outcome in outcomes.values() {
        let (Outcome::Refused(error) | Outcome::Unknown(error)) = outcome else { continue };
        if refusals.iter().all(|other| other.message() != error.message()) {
            refusals.push(error);
        }
    }
    if refusals.iter().any(|error| error.kind() == ErrorKind::Unsupported) {
        return Vec::new();
    }
    if refusals.is_empty() {
        let types = types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        return vec![Finding::new("rights", Mark::Ok, format!("sets of type {types} may be written and deleted"))];
    }
    refusals.into_iter().map(missing).collect()
}

/// An update and a deletion of sets that do not exist.
fn pretended(apex: &Fqdn, rr_type: &RrType) -> Option<[Change; 2]> {
    let kind = rr_type.to_string().to_lowercase();
    let held = |doing: &str| held(apex, &format!("_dns-syncd-check-{doing}-{kind}"), rr_type);
    let updated = held("update")?;
    let after = set(updated.key().owner.clone(), rr_type, apex, 2)?;
    Some([Change::update(&updated, after), Change::delete(&held("delete")?)])
}

/// A set in the place of one of another type that does not exist.
fn replaced(apex: &Fqdn) -> Vec<Change> {
    let gone = held(apex, "_dns-syncd-check-create", &RrType::Cname);
    let change = |gone: Entry| {
        let comes = set(gone.key().owner.clone(), &RrType::A, apex, 1)?;
        Some(vec![Change::delete(&gone), Change::create(comes, Version::default())])
    };
    gone.and_then(change).unwrap_or_default()
}

/// A set that does not exist, as if it had been read.
fn held(apex: &Fqdn, relative: &str, rr_type: &RrType) -> Option<Entry> {
    // Never a version that a host gave out.
    let version = Version { revision: 0, detail: Some("00000000-0000-0000-0000-000000000000".into()) };
    Some(Entry { data: set(apex.prepend(relative).ok()?, rr_type, apex, 1)?, version, blocks: Blocks::AsDns })
}

fn set(owner: Fqdn, rr_type: &RrType, apex: &Fqdn, last: u8) -> Option<ClaimedSet> {
    let data = match rr_type {
        RrType::A => RecordData::A([192, 0, 2, last].into()),
        RrType::Aaaa => RecordData::Aaaa([0x2001, 0xdb8, 0, 0, 0, 0, 0, last.into()].into()),
        RrType::Cname => RecordData::Cname(apex.clone()),
        _ => RecordData::txt(format!("dns-syncd check {last}")),
    };
    let set = RrSet::new(RrKey::new(owner, rr_type.clone()), Ttl::from_secs(180 + u32::from(last))?, [data]).ok()?;
    Some(ClaimedSet::unclaimed(set))
}
