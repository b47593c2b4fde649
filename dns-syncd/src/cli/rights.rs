//! May the daemon write? Found out without writing.
//!
//! The host is asked for what cannot be done: to change and to delete sets that do not exist. One that would let us says
//! that they are not there; one that would not names the right that is missing.

use std::collections::BTreeMap;
use std::sync::Arc;

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
    // TXT is written only where claims need it.
    let types: Vec<_> = types.filter(|rr_type| **rr_type != RrType::Txt || !capabilities.claims).collect();
    // An apex so long that no name fits below it has no use for the daemon either.
    let changes = types.iter().filter_map(|rr_type| pretended(&zone.apex, rr_type)).flatten();
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
    let set = |owner: &str, last: u8| {
        let owner = apex.prepend(owner).ok()?;
        let data = match rr_type {
            RrType::A => RecordData::A([192, 0, 2, last].into()),
            RrType::Aaaa => RecordData::Aaaa([0x2001, 0xdb8, 0, 0, 0, 0, 0, last.into()].into()),
            RrType::Cname => RecordData::Cname(apex.clone()),
            _ => RecordData::txt(format!("dns-syncd check {last}")),
        };
        let set =
            RrSet::new(RrKey::new(owner, rr_type.clone()), Ttl::from_secs(180 + u32::from(last))?, [data]).ok()?;
        Some(ClaimedSet::unclaimed(set))
    };
    let kind = rr_type.to_string().to_lowercase();
    let (changed, deleted) = (format!("_dns-syncd-check-update-{kind}"), format!("_dns-syncd-check-delete-{kind}"));
    // Never a version that a host gave out.
    let version = Version { revision: 0, detail: Some("00000000-0000-0000-0000-000000000000".into()) };
    let before = |owner| Some(Entry { data: set(owner, 1)?, version: version.clone(), blocks: Blocks::AsDns });
    Some([Change::update(&before(&changed)?, set(&changed, 2)?), Change::delete(&before(&deleted)?)])
}
