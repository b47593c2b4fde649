//! Claims on hosts that store none: one TXT set per service lists them.
//!
//! A host with [`dnsprovider::Capabilities::claims`] keeps a claim with its set. Elsewhere the claims on all sets of a
//! service stand in a TXT set at `_dns-syncd.<service>.<namespace>.<federation>.svc.<suffix>`, written in one batch with
//! the sets. A set is ours when it is listed there with the [`Digest`] of what stands: a name and type alone would not
//! tell ours from what somebody else put in its place. In front of the suffix are always five labels, so a ledger that
//! outlives a change of the suffix still says which names it lists.
//!
//! A ledger may list two digests of one set, the old and the new one, while the two are written apart: whichever stands
//! there is proven. In: record sets with claims · Out: TXT sets, and back · Pure: yes.
//!
//! # The text
//!
//! Each TXT record stands alone: its header, then some of the sets. So the order of the records means nothing.
//!
//! ```text
//! v1 shop eu-1,us-1 =4Zk3_aQ:0.1,6pQ99wL us-central1=4b0bXyZ:1 +-a=4b0bXyZ:1 +-b=CuuK2-1
//! │  │    │         │         │           │                     └ zone us-central1-b.us-central1, a CNAME
//! │  │    │         │         │           └ `+`: a zone whose name begins as the region before it does
//! │  │    │         │         └ AAAA, all records from cluster 0
//! │  │    │         └ the global name: an A set, its digest, and whose its records are: the first from cluster 0, all
//! │  │    │           others from cluster 1
//! │  │    └ clusters
//! │  └ claim; `claim/federation` where the two differ
//! └ version
//! ```
//!
//! | part | is |
//! |---|---|
//! | name | nothing (global), `region`, `zone.region`, `.zone` or `+rest` in the region named last in this record |
//! | type | `4` A, `6` AAAA, `C` CNAME |
//! | digest | 6 characters of base64url: 36 bits of SHA-256 over TTL and records |
//! | credits | `:` and for each record, by `.`, the clusters by `+`; the last one stands for all records that follow; none written: cluster 0 for addresses, nobody for a CNAME |
//!
//! In names, clusters and claims all but letters, digits, `-`, `_`, `~`, `:`, `@` (and the dot, where it separates
//! nothing) is written `%XX`, the octet in hexadecimal; an empty one is `%`.

pub mod release;
mod text;

use std::collections::BTreeMap;
use std::sync::Arc;

use dnsprovider::{Claim, ClaimedSet, Credits, Fqdn, NameError, RecordData, RrKey, RrSet, RrType, Ttl};
use sha2::{Digest as _, Sha256};

use crate::event::Place;
use crate::naming::Level;

pub use text::Unreadable;

/// The first label of the names at which ledgers stand.
pub const LABEL: &str = "_dns-syncd";

/// TTL of the TXT sets. Nobody resolves them, and one TTL for all keeps a changed setting from rewriting them.
pub const TTL: Ttl = Ttl::from_secs(300).expect("300 is a TTL");

/// Longest text of one TXT record, in octets. Route 53 takes 4,000 characters in a value; strings of at most 255 octets
/// need two quotes and a blank each.
/// Source: <https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/ResourceRecordTypes.html#TXTFormat>, read 2026-08.
const MAX_RECORD: usize = 3_800;

/// Longest text of a whole ledger with credits, in octets. Three times this, a ledger and one with old and new beside
/// it, fits into the 32,000 characters of a Route 53 call.
/// Source: <https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DNSLimitations.html#limits-api-requests-changeresourcerecordsets>, read 2026-08.
const MAX_TEXT: usize = 9_000;

/// Tells a set from others of its name and type: 36 bits of a hash of its TTL and records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(u64);

impl Digest {
    /// The digest of a set.
    pub fn of(set: &RrSet) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(set.ttl().as_secs().to_be_bytes());
        for record in set.records() {
            match record {
                RecordData::A(address) => hasher.update(address.octets()),
                RecordData::Aaaa(address) => hasher.update(address.octets()),
                other => {
                    hasher.update(other.to_string());
                    hasher.update([0]);
                }
            }
        }
        let hash = hasher.finalize();
        let first_40_bits = hash.iter().take(5).fold(0, |bits, octet| bits << 8 | u64::from(*octet));
        Self(first_40_bits >> 4)
    }
}

/// The credits of one set, in order of its records; the last one stands for all records that follow.
type SetCredits = Arc<[Credits]>;

/// What one TXT set says: whose the sets of a service are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    name: Arc<str>,
    federation: Arc<str>,
    sets: BTreeMap<(Place, RrType), BTreeMap<Digest, SetCredits>>,
}

impl Ledger {
    /// Lists nothing yet. `name` is the claim's.
    pub fn new(name: impl Into<Arc<str>>, federation: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), federation: federation.into(), sets: BTreeMap::new() }
    }

    /// Name on the claims.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Federation on the claims.
    pub fn federation(&self) -> &Arc<str> {
        &self.federation
    }

    /// True when no set is listed.
    pub fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// Lists a set that stands at a place (empty parts where the name has none), beside what is listed of it already.
    pub fn add(&mut self, place: Place, held: &ClaimedSet) {
        let credits = held.claim.as_ref().map_or(&[] as &[Credits], |claim| &claim.credits);
        self.put(place, held.set.rr_type().clone(), Digest::of(&held.set), credits);
    }

    /// Lists a digest. `credits` are in order of the records; the last one stands for all records that follow.
    pub fn put(&mut self, place: Place, rr_type: RrType, digest: Digest, credits: &[Credits]) {
        self.sets.entry((place, rr_type)).or_default().insert(digest, trimmed(credits).into());
    }

    /// Everything that this one lists and the other does not.
    pub(crate) fn add_missing(&mut self, other: &Self) {
        for (key, digests) in &other.sets {
            let listed = self.sets.entry(key.clone()).or_default();
            for (digest, credits) in digests {
                listed.entry(*digest).or_insert_with(|| credits.clone());
            }
        }
    }

    /// Lists of a set what the other one does, unless it is listed.
    pub(crate) fn keep(&mut self, other: &Self, key: &(Place, RrType)) {
        if let (false, Some(digests)) = (self.sets.contains_key(key), other.sets.get(key)) {
            self.sets.insert(key.clone(), digests.clone());
        }
    }

    /// The claim on a set, if it is listed with the digest of what stands.
    pub fn claim(&self, place: &Place, set: &RrSet) -> Option<Claim> {
        let digests = self.sets.get(&(place.clone(), set.rr_type().clone()))?;
        let credits = digests.get(&Digest::of(set))?;
        let nobody = Credits::from([]);
        let of = |index: usize| credits.get(index).or(credits.last()).unwrap_or(&nobody).clone();
        let credits = (0..set.records().len()).map(of).collect();
        Some(Claim { name: self.name.clone(), federation: self.federation.clone(), credits })
    }

    /// True when a set of this type is listed there, whatever it holds.
    pub fn lists(&self, place: &Place, rr_type: &RrType) -> bool {
        self.sets.contains_key(&(place.clone(), rr_type.clone()))
    }

    /// True when exactly what stands is listed.
    pub fn proves(&self, place: &Place, set: &RrSet) -> bool {
        let digests = self.sets.get(&(place.clone(), set.rr_type().clone()));
        digests.is_some_and(|digests| digests.contains_key(&Digest::of(set)))
    }

    /// The places and types that are listed, each once.
    pub fn keys(&self) -> impl Iterator<Item = &(Place, RrType)> {
        self.sets.keys()
    }

    /// As a TXT set; `None` when nothing is listed.
    pub fn to_set(&self, owner: &Fqdn) -> Option<RrSet> {
        if self.is_empty() {
            return None;
        }
        let records = self.to_text().into_iter().map(RecordData::txt);
        RrSet::new(RrKey::new(owner.clone(), RrType::Txt), TTL, records).ok()
    }

    /// Reads a TXT set.
    ///
    /// # Errors
    /// When it is not a text of this format and version: then it is somebody else's.
    pub fn from_set(set: &RrSet) -> Result<Self, Unreadable> {
        let texts = set.records().iter().map(|record| match record {
            RecordData::Txt(text) => std::str::from_utf8(text).map_err(|_| Unreadable::new("it is not ASCII", "")),
            _ => Err(Unreadable::new("it is no plain TXT set", "")),
        });
        Self::parse(texts.collect::<Result<Vec<_>, _>>()?)
    }
}

/// Credits without what their last one says of the records that follow; nothing when nobody is credited.
fn trimmed(credits: &[Credits]) -> &[Credits] {
    let mut credits = credits;
    while let [before @ .., last] = credits {
        let implied = before.last().map_or(last.is_empty(), |earlier| earlier == last);
        if !implied {
            break;
        }
        credits = before;
    }
    credits
}

/// Takes the credits off sets of one service that would be too long to list: of single sets, else of all. Nobody is
/// credited then, which the core handles as it does an adopted address.
pub(crate) fn drop_long_credits(sets: &mut [(Place, &mut ClaimedSet)]) {
    let length = |set: &ClaimedSet| {
        let names = set.credited().flat_map(|(_, credits)| credits).map(|name| name.len() + 8);
        names.sum::<usize>() + set.set.records().len()
    };
    // The usual service is far from any limit, so nothing is written out for it.
    if sets.iter().map(|(_, set)| length(set) + 160).sum::<usize>() < MAX_RECORD {
        return;
    }
    let clear = |set: &mut ClaimedSet| {
        if let Some(claim) = &mut set.claim {
            claim.credits = std::iter::repeat_n(Credits::from([]), set.set.records().len()).collect();
        }
    };
    let written = |sets: &[(Place, &mut ClaimedSet)]| {
        let claim = sets.iter().find_map(|(_, set)| set.claim.as_ref());
        let mut ledger = claim
            .map_or_else(|| Ledger::new("", ""), |claim| Ledger::new(claim.name.clone(), claim.federation.clone()));
        for (place, set) in sets {
            ledger.add(place.clone(), set);
        }
        ledger.to_text().iter().map(String::len).collect::<Vec<_>>()
    };
    for index in 0..sets.len() {
        let one = &mut sets[index..=index];
        if written(one).iter().any(|length| *length > MAX_RECORD) {
            clear(one[0].1);
        }
    }
    if written(sets).iter().sum::<usize>() > MAX_TEXT {
        for (_, set) in sets {
            clear(set);
        }
    }
}

//----------- Names ----------------------------------------------------------

/// The place of a level, with empty parts where it has none.
pub fn place_of(level: &Level) -> Place {
    match level {
        Level::Global => Place::new("", ""),
        Level::Region(region) => Place::new(region.clone(), ""),
        Level::Zone { region, zone } => Place::new(region.clone(), zone.clone()),
    }
}

/// What stands left and right of the place in the names that a ledger at this name lists: `nginx.test.ufp.svc` and the
/// suffix. `None` when no ledger can stand here.
pub fn split_owner(owner: &Fqdn) -> Option<(String, Fqdn)> {
    let labels: Vec<&str> = owner.labels().collect();
    match labels.as_slice() {
        [LABEL, prefix @ ..] if prefix.len() >= 4 && prefix[3] == "svc" => {
            let suffix = format!("{}.", prefix[4..].join("."));
            Some((prefix[..4].join("."), Fqdn::parse(&suffix).ok()?))
        }
        _ => None,
    }
}

/// The name of a place between what [`split_owner`] gives.
///
/// # Errors
/// When it would break a limit of DNS.
pub fn name_at(prefix: &str, place: &Place, suffix: &Fqdn) -> Result<Fqdn, NameError> {
    let labels = [prefix, &*place.zone, &*place.region].into_iter().filter(|label| !label.is_empty());
    suffix.prepend(&labels.collect::<Vec<_>>().join("."))
}

/// Where the ledgers may stand that could list a name, each with the place that the name has in it: as many as there
/// are places to cut the suffix off.
pub fn candidates(owner: &Fqdn) -> Vec<(Fqdn, Place)> {
    if owner.as_str().contains('\\') {
        return Vec::new();
    }
    let labels: Vec<&str> = owner.labels().collect();
    if labels.get(3) != Some(&"svc") || labels[0] == LABEL {
        return Vec::new();
    }
    let cut = |depth: usize| {
        let rest = labels.get(4 + depth..)?;
        let at = Fqdn::parse(&format!("{LABEL}.{}.{}", labels[..4].join("."), rest.join("."))).ok()?;
        let place = match labels[4..4 + depth] {
            [region] => Place::new(region, ""),
            [zone, region] => Place::new(region, zone),
            _ => Place::new("", ""),
        };
        Some((at, place))
    };
    (0..=2).filter_map(cut).collect()
}
