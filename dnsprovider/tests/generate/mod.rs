//! Zones for the laws: few names, so that sets meet.

use std::collections::BTreeMap;

use dnsprovider::store::ZoneStore;
use dnsprovider::{
    Blocks, Capabilities, Claim, ClaimedSet, Entry, Fqdn, MemoryProvider, RecordData, RrKey, RrSet, RrType, Snapshot,
    Ttl, Version, ZoneId,
};
use proptest::prelude::*;

/// The sets of a zone by key.
pub(crate) type Zone = BTreeMap<RrKey, ClaimedSet>;

/// What stands at one name: a CNAME alone, or sets of addresses and text.
#[derive(Clone, Debug)]
enum Content {
    Alias { target: usize, ttl: u32, claimed: bool },
    Sets([Option<(u32, Vec<u8>, bool)>; 3]),
}

const NAMES: usize = 7;

pub(crate) fn apex() -> Fqdn {
    Fqdn::parse("example.com").unwrap()
}

pub(crate) fn id() -> ZoneId {
    ZoneId(apex().as_str().into())
}

pub(crate) fn ttl(seconds: u32) -> Ttl {
    Ttl::from_secs(seconds).unwrap()
}

fn name(number: usize) -> Fqdn {
    apex().prepend(&format!("n{number}")).unwrap()
}

/// A zone that DNS allows.
pub(crate) fn zone() -> impl Strategy<Value = Zone> {
    let alias =
        (0..NAMES, 1u32..4, any::<bool>()).prop_map(|(target, ttl, claimed)| Content::Alias { target, ttl, claimed });
    let set = || prop::option::of((1u32..4, prop::collection::vec(1u8..5, 1..4), any::<bool>()));
    let sets = [set(), set(), set()].prop_map(Content::Sets);
    prop::collection::btree_map(0..NAMES, prop_oneof![alias, sets], 0..=NAMES)
        .prop_map(|names| names.into_iter().flat_map(|(number, content)| sets_of(&name(number), content)).collect())
}

fn sets_of(owner: &Fqdn, content: Content) -> Vec<(RrKey, ClaimedSet)> {
    let set = |rr_type: RrType, seconds, records: Vec<RecordData>, claimed: bool| {
        let key = RrKey::new(owner.clone(), rr_type);
        let set = RrSet::new(key.clone(), ttl(seconds), records).unwrap();
        (key, ClaimedSet { set, claim: claimed.then(|| Claim::without_credits("ours", "ours")) })
    };
    match content {
        Content::Alias { target, ttl, claimed } => {
            vec![set(RrType::Cname, ttl, vec![RecordData::Cname(name(target))], claimed)]
        }
        Content::Sets(all) => [RrType::A, RrType::Aaaa, RrType::Txt]
            .into_iter()
            .zip(all)
            .filter_map(|(rr_type, some)| {
                let (ttl, values, claimed) = some?;
                let records = values.iter().map(|value| record(&rr_type, *value)).collect();
                Some(set(rr_type, ttl, records, claimed))
            })
            .collect(),
    }
}

fn record(rr_type: &RrType, value: u8) -> RecordData {
    match rr_type {
        RrType::A => RecordData::A([192, 0, 2, value].into()),
        RrType::Aaaa => RecordData::Aaaa([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(value)].into()),
        RrType::Cname => RecordData::Cname(name(usize::from(value))),
        _ => RecordData::txt([value]),
    }
}

/// Data for a set of this type.
pub(crate) fn records(rr_type: &RrType) -> Vec<RecordData> {
    vec![record(rr_type, 99)]
}

/// So many names with one address each.
pub(crate) fn many(count: usize) -> Zone {
    let one = || Content::Sets([Some((60, vec![1], false)), None, None]);
    (0..count).flat_map(|number| sets_of(&name(number), one())).collect()
}

pub(crate) fn entry(data: ClaimedSet) -> Entry {
    Entry { data, version: Version::default(), blocks: Blocks::AsDns }
}

/// A store that holds the zone.
pub(crate) fn store(zone: &Zone) -> ZoneStore {
    ZoneStore::restore("test", apex(), 1, zone.values().cloned().map(entry)).unwrap()
}

pub(crate) fn held(entries: impl IntoIterator<Item = Entry>) -> Snapshot {
    let mut snapshot = Snapshot::default();
    snapshot.extend(entries);
    snapshot
}

/// The data alone, without versions.
pub(crate) fn data(snapshot: &Snapshot) -> Zone {
    snapshot.iter().map(|entry| (entry.key().clone(), entry.data.clone())).collect()
}

/// A host of these capabilities that holds the zone.
pub(crate) fn host(zone: &Zone, configure: impl FnOnce(&mut Capabilities)) -> MemoryProvider {
    let provider = MemoryProvider::builder().zone(apex()).configure(configure).build();
    for data in zone.values() {
        provider.insert_foreign(&id(), entry(data.clone())).unwrap();
    }
    provider
}
