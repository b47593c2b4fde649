//! Keys of the store to entries of a zone.
//!
//! | a key | is |
//! |---|---|
//! | below a name, with that name as its `group` | a record of the name above it, claimed if it carries our mark |
//! | at a name, with that name as its `group`, a CNAME | the CNAME of that name: the form in which we write it |
//! | any other at a name | a foreign set at that very name, which blocks it |
//! | whose last part is no label | a foreign set at the nearest name above; it blocks as DNS does |
//!
//! Nothing in a store makes this fail: what CoreDNS would not answer, or answers as a type that is not modelled, is
//! carried as opaque data of the type `KEY`.
//!
//! One set has one TTL, one store may have several: the smallest stands for the set, and records with another TTL (or
//! another federation on their mark) lose their credits in what is read. So a claimed set differs from every set that
//! credits its records, and the next plan rewrites exactly those keys.
//!
//! In: keys with values and revisions · Out: entries · Pure: yes · Called by: `read`, `watch`, `plan`

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dnsprovider::{Blocks, Claim, ClaimedSet, Credits, Entry, Fqdn, RecordData, RrKey, RrSet, RrType, Ttl, Version};
use serde::{Deserialize, Serialize};

use super::wire::{DEFAULT_TTL, Layout, Message, leaf};

/// A key as it was read.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) value: Vec<u8>,
    pub(super) modified: i64,
}

/// Keys in the order of the store.
pub(super) type Keys = BTreeMap<Vec<u8>, Stored>;

//----------- Placed ---------------------------------------------------------

/// One key, understood.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) owner: Fqdn,
    rr_type: RrType,
    record: RecordData,
    /// The rest of the key behind that of its owner; empty when it is exactly there.
    pub(super) leaf: String,
    /// The name directly above the key, where it has one in this zone.
    pub(super) above: Option<Fqdn>,
    ttl: u32,
    mark: Option<super::wire::Mark>,
    blocks: Blocks,
}

/// Says what a key is to this zone; `None` when it is not of this zone.
pub(super) fn place(layout: &Layout, key: &[u8], value: &[u8]) -> Option<Placed> {
    let Ok(text) = std::str::from_utf8(key) else {
        return nameless(layout, &String::from_utf8_lossy(key), value);
    };
    let own = layout.name(text);
    if own.as_ref().is_some_and(|own| !layout.holds(own)) {
        return None;
    }
    let message = serde_json::from_slice::<Message>(value).unwrap_or_default();
    let above = text.rsplit_once('/').and_then(|(above, _)| layout.name(above)).filter(|above| layout.holds(above));
    let ttl = message.ttl.filter(|ttl| *ttl != 0).unwrap_or(DEFAULT_TTL);
    let record = message.record();

    if let (Some(above), Some((rr_type, record))) = (&above, &record) {
        let owner = [layout.owner_of_leaves(above), above.clone()]
            .into_iter()
            .find(|owner| message.groups_under(owner))
            .filter(|owner| *rr_type != RrType::Cname || *owner != layout.apex);
        if let Some((owner, path)) = owner.and_then(|owner| layout.path(&owner).map(|path| (owner, path))) {
            let (rr_type, record) = (rr_type.clone(), record.clone());
            let leaf = text[path.len() + 1..].to_owned();
            let above = Some(above.clone());
            return Some(Placed {
                owner,
                rr_type,
                record,
                leaf,
                above,
                ttl,
                mark: message.mark,
                blocks: Blocks::AsDns,
            });
        }
    }
    let Some(own) = own else { return nameless(layout, text, value) };
    let ours = message.groups_under(&own) && matches!(record, Some((RrType::Cname, _))) && own != layout.apex;
    let (rr_type, record) = record.unwrap_or_else(|| opaque(value));
    Some(Placed {
        owner: own,
        rr_type,
        record,
        leaf: String::new(),
        above,
        ttl,
        mark: message.mark.filter(|_| ours),
        blocks: if ours { Blocks::AsDns } else { Blocks::Name },
    })
}

/// A key that no name can be made of, at the nearest name above it.
fn nameless(layout: &Layout, key: &str, value: &[u8]) -> Option<Placed> {
    let mut path = key;
    let owner = loop {
        path = path.rsplit_once('/')?.0;
        if let Some(name) = layout.name(path) {
            break name;
        }
    };
    if !layout.holds(&owner) {
        return None;
    }
    let (rr_type, record) = opaque(value);
    Some(Placed {
        above: Some(owner.clone()),
        owner,
        rr_type,
        record,
        leaf: key[path.len() + 1..].to_owned(),
        ttl: DEFAULT_TTL,
        mark: None,
        blocks: Blocks::AsDns,
    })
}

/// Data that is shown to people only, cut to what fits a line.
fn opaque(value: &[u8]) -> (RrType, RecordData) {
    let text: String = String::from_utf8_lossy(value).chars().take(200).collect();
    (RrType::Other("KEY".into()), RecordData::Opaque(text.into()))
}

impl Placed {
    /// True for a record in a form that we write.
    pub(super) fn blocks_as_dns(&self) -> bool {
        self.blocks == Blocks::AsDns
    }
}

//----------- Detail ---------------------------------------------------------

/// What a write must know of a set beside its data; nothing for a set as we write it.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Detail {
    /// Keys that are not where we would put them: place of the record in the set, rest of the key behind the owner's.
    #[serde(rename = "a", skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<Vec<(usize, String)>>,
    /// Leaves of others directly below the owner that a new record must not overwrite.
    #[serde(rename = "b", skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) beside: BTreeSet<String>,
}

impl Detail {
    pub(super) fn of(version: &Version) -> Self {
        version.detail.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    pub(super) fn into_version(self, revision: u64) -> Version {
        let detail = (self != Self::default())
            .then(|| serde_json::to_string(&self).expect("strings and numbers can be written as JSON").into());
        Version { revision, detail }
    }

    /// Where the records of a set lie.
    pub(super) fn places(&self, layout: &Layout, set: &RrSet) -> Vec<(usize, String)> {
        let known = self.at.clone().filter(|at| at.iter().all(|(index, _)| *index < set.records().len()));
        known.unwrap_or_else(|| default_places(layout, set))
    }
}

/// Where we put the records of a set.
pub(super) fn default_places(layout: &Layout, set: &RrSet) -> Vec<(usize, String)> {
    let place = |record| default_place(layout, set.owner(), record);
    set.records().iter().map(place).enumerate().collect()
}

/// Where we put a record: addresses and text below the name, a CNAME exactly at it.
///
/// CoreDNS answers a CNAME below a name to address queries but not to CNAME queries (coredns issue 2849).
pub(super) fn default_place(layout: &Layout, owner: &Fqdn, record: &RecordData) -> String {
    match record {
        RecordData::Cname(_) | RecordData::Opaque(_) => String::new(),
        record => format!("{}{}", layout.leaves(owner), leaf(record)),
    }
}

//----------- entries --------------------------------------------------------

#[derive(Default)]
struct Group {
    /// By record: the places of its keys, and the facts of the first.
    records: BTreeMap<RecordData, Vec<Fact>>,
    blocks: Blocks,
}

struct Fact {
    leaf: String,
    ttl: u32,
    mark: Option<super::wire::Mark>,
}

/// The sets that the keys make, one for each owner, type and name on the claim, in that order.
///
/// `revision` is that of the read. Owners for which `wanted` is false are left out.
pub(super) fn entries(layout: &Layout, keys: &Keys, revision: u64, wanted: impl Fn(&Fqdn) -> bool) -> Vec<Entry> {
    let mut groups = BTreeMap::<(Fqdn, RrType, Option<String>), Group>::new();
    // Leaves by the name above them, with the name on their claim where they are records of that name.
    let mut leaves = BTreeMap::<Fqdn, Vec<(String, bool, Option<String>)>>::new();
    for (key, stored) in keys {
        let Some(placed) = place(layout, key, &stored.value) else { continue };
        let claim = placed.mark.as_ref().map(|mark| mark.claim.clone());
        if let Some((above, leaf)) = leaf_below(layout, &placed, key) {
            let own = above == placed.owner && !placed.leaf.is_empty();
            leaves.entry(above).or_default().push((leaf, own, claim.clone()));
        }
        if !wanted(&placed.owner) {
            continue;
        }
        let group = groups.entry((placed.owner, placed.rr_type, claim)).or_default();
        if placed.blocks == Blocks::Name {
            group.blocks = Blocks::Name;
        }
        let fact = Fact { leaf: placed.leaf, ttl: placed.ttl, mark: placed.mark };
        group.records.entry(placed.record).or_default().push(fact);
    }
    let mut shared = Shared::default();
    let entry = |((owner, rr_type, claim), group): ((Fqdn, RrType, Option<String>), Group)| {
        let beside = leaves.get(&owner).into_iter().flatten();
        let beside = beside.filter(|(_, own, other)| !own || *other != claim).map(|(leaf, ..)| leaf.clone()).collect();
        finish(layout, RrKey::new(owner, rr_type), group, beside, revision, &mut shared)
    };
    groups.into_iter().filter_map(entry).collect()
}

/// The part of a key that a record of the name above it could want for itself, and that name.
pub(super) fn leaf_below(layout: &Layout, placed: &Placed, key: &[u8]) -> Option<(Fqdn, String)> {
    let owner = layout.owner_of_leaves(placed.above.as_ref()?);
    let path = layout.path(&owner)?;
    let leaf = std::str::from_utf8(key.get(path.len() + 1..)?).ok()?;
    let hash = leaf.strip_prefix(layout.leaves(&owner))?;
    hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-')).then(|| (owner, leaf.to_owned()))
}

fn finish(
    layout: &Layout,
    key: RrKey,
    mut group: Group,
    beside: BTreeSet<String>,
    revision: u64,
    shared: &mut Shared,
) -> Option<Entry> {
    let facts = || group.records.values().flatten();
    let ttl = facts().map(|fact| fact.ttl).min()?;
    let federation = facts().find_map(|fact| fact.mark.as_ref()).map(|mark| mark.federation.clone());
    let claim_name = facts().find_map(|fact| fact.mark.as_ref()).map(|mark| mark.claim.clone());

    let mut at: Vec<(usize, String)> = Vec::new();
    let mut credits: Vec<Option<Credits>> = Vec::new();
    // A leaked layout of v1 may hold several CNAMEs: one stands for all, and a change takes all their keys.
    if key.rr_type == RrType::Cname && group.records.len() > 1 {
        let all = std::mem::take(&mut group.records);
        let mut all = all.into_iter();
        let (target, mut facts) = all.next()?;
        facts.extend(all.flat_map(|(_, facts)| facts));
        group.records.insert(target, facts);
    }
    for (index, facts) in group.records.values_mut().enumerate() {
        at.extend(facts.iter().map(|fact| (index, fact.leaf.clone())));
        let deviates = facts.iter().any(|fact| {
            fact.ttl != ttl || fact.mark.as_ref().is_some_and(|mark| Some(&mark.federation) != federation.as_ref())
        });
        let clusters = facts.first_mut().and_then(|fact| fact.mark.as_mut()).and_then(|mark| mark.clusters.take());
        let clusters = if deviates { Some(Vec::new()) } else { clusters };
        credits.push(clusters.map(|clusters| shared.credits(&clusters)));
    }
    let last = credits.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    credits.truncate(last);
    let claim = claim_name.map(|name| Claim {
        name: shared.text(&name),
        federation: shared.text(&federation.unwrap_or_default()),
        credits: credits.into_iter().map(|credits| credits.unwrap_or_else(|| Arc::new([]))).collect(),
    });
    let ttl = Ttl::from_secs(ttl).unwrap_or(Ttl::MAX);
    let set = RrSet::new(key, ttl, group.records.into_keys()).ok()?;
    let at = (at != default_places(layout, &set)).then_some(at);
    let version = Detail { at, beside }.into_version(revision);
    Some(Entry { data: ClaimedSet { set, claim }, version, blocks: group.blocks })
}

/// Texts and credits of one read, each held once.
#[derive(Default)]
struct Shared {
    texts: BTreeSet<Arc<str>>,
    credits: BTreeSet<Credits>,
}

impl Shared {
    fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return known.clone();
        }
        let new: Arc<str> = text.into();
        self.texts.insert(new.clone());
        new
    }

    fn credits(&mut self, clusters: &[String]) -> Credits {
        let new: Credits = clusters.iter().map(|cluster| self.text(cluster)).collect();
        if let Some(known) = self.credits.get(&new) {
            return known.clone();
        }
        self.credits.insert(new.clone());
        new
    }
}
