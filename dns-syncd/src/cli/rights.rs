//! May the daemon write? Found out without writing.
//!
//! The host is asked for what cannot be done: to change and to delete sets that do not exist. One that would let us says
//! that they are not there; one that would not names the right that is missing.

use std::collections::BTreeMap;
use std::sync::Arc;

use dnsprovider::{
    ApplyContext, Blocks, Change, ChangeSet, Chunked, ClaimedSet, DnsProvider, Entry, ErrorKind, Fqdn, Outcome,
    RecordData, RrKey, RrSet, RrType, Ttl, Version, Zone,
};

use crate::output::check::{Finding, Mark};

/// Whether sets may be written; `None` where a host does not let this command ask.
pub(super) async fn rights(provider: &Arc<dyn DnsProvider>, zone: &Zone) -> Option<Finding> {
    let capabilities = provider.capabilities();
    let types = [RrType::A, RrType::Aaaa, RrType::Cname, RrType::Txt];
    let types = types.iter().filter(|rr_type| capabilities.record_types.contains(rr_type));
    // TXT is written only where claims need it.
    let types: Vec<_> = types.filter(|rr_type| **rr_type != RrType::Txt || !capabilities.claims).collect();
    let changes: Option<Vec<_>> = types.iter().map(|rr_type| pretended(&zone.apex, rr_type)).collect();
    let changes = ChangeSet::by_name(changes?.into_iter().flatten());
    let applied = Chunked::new(provider.clone()).apply(&zone.id, &changes, &ApplyContext::default()).await;
    let missing = |what: String| Some(Finding::new("rights", Mark::Missing, what));
    let outcomes = match applied {
        Ok(applied) => applied.outcomes,
        Err(error) if error.kind() == ErrorKind::Conflict => BTreeMap::new(),
        Err(error) => return missing(format!("sets cannot be written: {}", error.chain())),
    };
    let error = outcomes.values().find_map(|outcome| match outcome {
        Outcome::Refused(error) | Outcome::Unknown(error) => Some(error),
        _ => None,
    });
    if let Some(error) = error {
        if error.kind() == ErrorKind::Unsupported {
            return None;
        }
        return missing(format!("sets cannot be written: {}", error.chain()));
    }
    let types = types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    Some(Finding::new("rights", Mark::Ok, format!("sets of type {types} may be written and deleted")))
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
