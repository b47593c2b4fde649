//! A claim as pairs of a record set's metadata.
//!
//! | pair | value |
//! |---|---|
//! | `dnssyncdClaim` | the claim's name |
//! | `dnssyncdFederation` | the federation |
//! | `dnssyncdCredits1`, `dnssyncdCredits2`, … | digest of the records, clusters, and for each record the places of its clusters |
//!
//! Values are ASCII; other octets and `%` are written `%XX`. A text of credits is cut into values of the allowed length:
//! `5f1c0b2e:east,west;0.1;;1` says that the first record comes from both clusters, the second from nobody knows where,
//! the third from `west`. Credits of other records than stand in the set (somebody has changed it by hand) are nobody's.
//!
//! Credits that do not fit are left out; the claim stays. Callers keep to [`CREDIT_OCTETS`], so that this happens only
//! where pairs of others take the room. These are carried along in the set's version, so that a write puts them back.
//! In: claims, metadata · Out: metadata, claims · Pure: yes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use dnsprovider::{Claim, ClaimedSet, Credits, RrSet};

/// Name and value pairs of a record set.
pub(super) type Metadata = BTreeMap<String, String>;

/// Pairs of one record set.
/// Source: Azure's page on tags, which lists 15 for public DNS, "zone and A records", read 2026-11.
const MOST_PAIRS: usize = 15;
/// Characters of one value. Source: the same page.
const MOST_CHARACTERS: usize = 256;

/// What credits may take, as [`dnsprovider::capabilities::credit_octets`] counts, in a set without pairs of others: all
/// pairs but two, less the digest and its colon.
pub(super) const CREDIT_OCTETS: usize = (MOST_PAIRS - 2) * MOST_CHARACTERS - 9;

// Letters and digits alone: pairs whose name has a blank are accepted and dropped, special characters are not
// supported, and names ignore case. Source: the same page, and
// <https://github.com/Azure/azure-rest-api-specs/issues/8555>.
const CLAIM: &str = "dnssyncdClaim";
const FEDERATION: &str = "dnssyncdFederation";
const CREDITS: &str = "dnssyncdCredits";
const PREFIX: &str = "dnssyncd";

/// Why a claim cannot be stored.
pub(super) type Unfit = &'static str;

/// The metadata of a set: the claim on it beside the pairs of others.
///
/// # Errors
/// When name or federation are too long for a value, or others have left no room for two pairs.
pub(super) fn encode(data: &ClaimedSet, foreign: &Metadata) -> Result<Metadata, Unfit> {
    let mut pairs = foreign.clone();
    let Some(claim) = &data.claim else { return Ok(pairs) };
    for (key, text) in [(CLAIM, &claim.name), (FEDERATION, &claim.federation)] {
        // A pair without a value might be dropped.
        let value = if text.is_empty() { "%".to_owned() } else { escape(text) };
        if value.len() > MOST_CHARACTERS {
            return Err("the name on its claim and the federation must have at most 256 characters each");
        }
        pairs.insert(key.to_owned(), value);
    }
    if pairs.len() > MOST_PAIRS {
        return Err("the metadata of others leaves no room for a claim: Azure stores 15 pairs");
    }
    if !claim.credits.is_empty() {
        let text = credits_text(&data.set, claim);
        let pieces = text.as_bytes().chunks(MOST_CHARACTERS);
        if pieces.len() <= MOST_PAIRS - pairs.len() {
            for (place, piece) in pieces.enumerate() {
                pairs.insert(format!("{CREDITS}{}", place + 1), String::from_utf8_lossy(piece).into_owned());
            }
        }
    }
    Ok(pairs)
}

/// The claim in a set's metadata, and the pairs of others.
pub(super) fn decode(set: &RrSet, pairs: &BTreeMap<String, Option<String>>) -> (Option<Claim>, Metadata) {
    let mut own = BTreeMap::new();
    let mut foreign = Metadata::new();
    for (key, value) in pairs {
        let value = value.clone().unwrap_or_default();
        if key.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX)) {
            own.insert(key.to_ascii_lowercase(), value);
        } else {
            foreign.insert(key.clone(), value);
        }
    }
    let text = |key: &str| own.get(&key.to_ascii_lowercase()).and_then(|value| unescape(value));
    let claim = match (text(CLAIM), text(FEDERATION)) {
        (Some(name), Some(federation)) => {
            let mut claim = Claim::without_credits(name, federation);
            let piece = |place: usize| own.get(&format!("{CREDITS}{place}").to_ascii_lowercase());
            let whole = (1..).map_while(piece).map(String::as_str).collect::<String>();
            claim.credits = credits(set, &whole).unwrap_or_default();
            Some(claim)
        }
        _ => None,
    };
    (claim, foreign)
}

fn credits_text(set: &RrSet, claim: &Claim) -> String {
    let mut clusters: Vec<&str> = Vec::new();
    let mut lists = String::new();
    for credits in claim.credits.iter() {
        lists.push(';');
        for (nth, cluster) in credits.iter().enumerate() {
            let place = clusters.iter().position(|known| *known == &**cluster).unwrap_or_else(|| {
                clusters.push(cluster);
                clusters.len() - 1
            });
            let dot = if nth == 0 { "" } else { "." };
            _ = write!(lists, "{dot}{place}");
        }
    }
    let clusters = clusters.into_iter().map(escape).collect::<Vec<_>>().join(",");
    format!("{:08x}:{clusters}{lists}", digest(set))
}

fn credits(set: &RrSet, text: &str) -> Option<Arc<[Credits]>> {
    let (of, text) = text.split_once(':')?;
    if of != format!("{:08x}", digest(set)) {
        return None;
    }
    let mut parts = text.split(';');
    let clusters = parts.next()?.split(',').map(|name| unescape(name).map(Arc::from));
    let clusters = clusters.collect::<Option<Vec<Arc<str>>>>()?;
    let list = |part: &str| -> Option<Credits> {
        let places = part.split('.').filter(|place| !place.is_empty());
        let names = places.map(|place| clusters.get(place.parse::<usize>().ok()?).cloned());
        names.collect::<Option<Vec<_>>>().map(Into::into)
    };
    parts.map(list).collect::<Option<Vec<_>>>().map(Into::into)
}

/// FNV-1a over the records in their order.
fn digest(set: &RrSet) -> u32 {
    let text = set.records().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'%' | b',' | b';' | b':' | b'"' | b'\\' | 0..=b' ' | 0x7f.. => _ = write!(out, "%{byte:02x}"),
            plain => out.push(char::from(plain)),
        }
    }
    out
}

/// `None` for what [`escape`] never writes.
fn unescape(text: &str) -> Option<String> {
    if text == "%" {
        return Some(String::new());
    }
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
        } else {
            byte
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use dnsprovider::capabilities::credit_octets;
    use dnsprovider::{Fqdn, RecordData, RrKey, RrType, Ttl};
    use proptest::prelude::*;

    use super::*;

    fn set(records: u8) -> RrSet {
        let key = RrKey::new(Fqdn::parse("www.example.com").expect("a name"), RrType::A);
        let records = (0..records).map(|last| RecordData::A([192, 0, 2, last].into()));
        RrSet::new(key, Ttl::from_secs(60).expect("a TTL"), records).expect("a set")
    }

    fn claimed(records: u8, name: &str, credits: &[&[&str]]) -> ClaimedSet {
        let credits = credits.iter().map(|list| list.iter().map(|name| Arc::from(*name)).collect()).collect();
        ClaimedSet { set: set(records), claim: Some(Claim { credits, ..Claim::without_credits(name, "fed") }) }
    }

    fn again(pairs: &Metadata) -> BTreeMap<String, Option<String>> {
        pairs.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect()
    }

    #[test]
    fn a_claim_is_readable() {
        let data = claimed(3, "prod", &[&["east", "west"], &[], &["west"]]);
        let pairs = encode(&data, &Metadata::new()).expect("it fits");
        let told: Vec<_> = pairs.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let credits = format!("dnssyncdCredits1={:08x}:east,west;0.1;;1", digest(&data.set));
        assert_eq!(told, ["dnssyncdClaim=prod".to_owned(), credits, "dnssyncdFederation=fed".to_owned()]);
    }

    #[test]
    fn pairs_of_others_stay_and_ours_are_found_in_any_case() {
        let foreign = Metadata::from([("owner".to_owned(), "ops".to_owned())]);
        let data = claimed(1, "prod", &[&["east"]]);
        let pairs = encode(&data, &foreign).expect("it fits");
        let lower = pairs.iter().map(|(key, value)| (key.to_lowercase(), Some(value.clone()))).collect();
        assert_eq!(decode(&data.set, &lower), (data.claim.clone(), foreign.clone()));
        let unclaimed = ClaimedSet::unclaimed(data.set);
        assert_eq!(encode(&unclaimed, &foreign), Ok(foreign));
    }

    #[test]
    fn credits_of_other_records_are_nobodys() {
        let data = claimed(2, "prod", &[&["east"], &["west"]]);
        let pairs = again(&encode(&data, &Metadata::new()).expect("it fits"));
        let claim = decode(&set(3), &pairs).0.expect("the claim stays");
        assert_eq!((&*claim.name, claim.credits.len()), ("prod", 0));
    }

    #[test]
    fn credits_that_do_not_fit_are_left_out_and_a_claim_that_does_not_is_refused() {
        let long: Vec<String> = (0..40).map(|n| format!("{n}{}", "x".repeat(100))).collect();
        let names: Vec<&str> = long.iter().map(String::as_str).collect();
        let pairs = encode(&claimed(1, "prod", &[&names]), &Metadata::new()).expect("the claim fits");
        assert_eq!(pairs.len(), 2);
        assert!(encode(&claimed(1, &"x".repeat(257), &[]), &Metadata::new()).is_err());
        let many = |count: u8| (0..count).map(|n| (format!("k{n}"), String::new())).collect::<Metadata>();
        assert_eq!(encode(&claimed(1, "prod", &[&["east"]]), &many(13)).map(|pairs| pairs.len()), Ok(15));
        assert!(encode(&claimed(1, "prod", &[]), &many(14)).is_err());
    }

    #[test]
    fn credits_within_the_limit_are_stored_whole() {
        // One cluster of so long a name that the limit is just reached: beside it `,`, `;`, `0` and `.` count.
        let longest = "x".repeat(CREDIT_OCTETS - 4);
        for (name, fits) in [(longest.clone(), true), (format!("{longest}yyy"), false)] {
            let data = claimed(1, "prod", &[&[&name]]);
            let counted = credit_octets(&data.claim.as_ref().expect("a claim").credits);
            assert_eq!(counted <= CREDIT_OCTETS, fits, "{counted}");
            let pairs = encode(&data, &Metadata::new()).expect("the claim fits");
            assert_eq!(decode(&data.set, &again(&pairs)).0 == data.claim, fits);
        }
    }

    #[test]
    fn half_a_claim_is_none() {
        let only = BTreeMap::from([(CLAIM.to_owned(), Some("prod".to_owned()))]);
        assert_eq!(decode(&set(1), &only), (None, Metadata::new()));
        let odd = BTreeMap::from([(CLAIM.to_owned(), Some("%zz".to_owned())), (FEDERATION.to_owned(), None)]);
        assert_eq!(decode(&set(1), &odd).0, None);
    }

    proptest! {
        #[test]
        fn what_is_stored_comes_back(
            name in ".{0,40}",
            federation in ".{0,40}",
            credits in proptest::collection::vec(proptest::collection::vec(".{0,12}", 0..4), 0..6),
        ) {
            let credits = credits.into_iter().map(|list| list.into_iter().map(Arc::from).collect()).collect();
            let data = ClaimedSet {
                set: set(6),
                claim: Some(Claim { name: name.into(), federation: federation.into(), credits }),
            };
            let counted = credit_octets(&data.claim.as_ref().expect("a claim").credits);
            prop_assert!(credits_text(&data.set, data.claim.as_ref().expect("a claim")).len() <= counted + 9);
            if let Ok(pairs) = encode(&data, &Metadata::new()) {
                prop_assert!(pairs.len() <= MOST_PAIRS);
                prop_assert!(pairs.values().all(|value| value.len() <= MOST_CHARACTERS && value.is_ascii()));
                prop_assert_eq!(decode(&data.set, &again(&pairs)), (data.claim, Metadata::new()));
            }
        }
    }
}
