//! The text of a ledger, and back. The format is in the docs of [`crate::ledger`].

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use dnsprovider::{Credits, RrType};

use super::{Digest, Ledger, MAX_RECORD, trimmed};
use crate::event::Place;

const VERSION: &str = "v1";
const DIGEST_LENGTH: usize = 6;
/// RFC 4648 §5.
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Why a TXT set is no ledger. Prints the rule and the part that breaks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    rule: &'static str,
    part: String,
}

impl Unreadable {
    pub(crate) fn new(rule: &'static str, part: &str) -> Self {
        Self { rule, part: part.chars().take(80).collect() }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rule)?;
        if self.part.is_empty() { Ok(()) } else { write!(f, ": `{}`", self.part.escape_debug()) }
    }
}

impl std::error::Error for Unreadable {}

/// One listed digest.
type Item<'a> = (&'a Place, &'a RrType, Digest, &'a [Credits]);

//----------- Out ------------------------------------------------------------

impl Ledger {
    /// The texts of the TXT records; each stands alone.
    pub fn to_text(&self) -> Vec<String> {
        let items: Vec<Item<'_>> = self
            .sets
            .iter()
            .flat_map(|((place, rr_type), digests)| {
                digests.iter().map(move |(digest, credits)| (place, rr_type, *digest, &**credits))
            })
            .collect();
        let mut texts = Vec::new();
        self.split(&items, &mut texts);
        texts
    }

    /// Writes one record, or two halves where one would be too long; a single set that is too long loses its credits.
    fn split(&self, items: &[Item<'_>], texts: &mut Vec<String>) {
        let text = self.record(items);
        if text.len() <= MAX_RECORD {
            texts.push(text);
            return;
        }
        match items {
            [] => texts.push(text),
            [(place, rr_type, digest, _)] => texts.push(self.record(&[(place, rr_type, *digest, &[])])),
            _ => {
                let (first, second) = items.split_at(items.len() / 2);
                self.split(first, texts);
                self.split(second, texts);
            }
        }
    }

    fn record(&self, items: &[Item<'_>]) -> String {
        let credited = items.iter().flat_map(|(.., credits)| credits.iter().flat_map(|credits| credits.iter()));
        let clusters: Vec<&Arc<str>> = credited.collect::<BTreeSet<_>>().into_iter().collect();
        let mut text = format!("{VERSION} ");
        escape(&mut text, &self.name, true);
        if self.federation != self.name {
            text.push('/');
            escape(&mut text, &self.federation, true);
        }
        text.push(' ');
        for (index, cluster) in clusters.iter().enumerate() {
            text.push_str(if index > 0 { "," } else { "" });
            escape(&mut text, cluster, true);
        }
        let (mut last, mut region): (Option<&Place>, &str) = (None, "");
        for (place, rr_type, digest, credits) in items {
            if last == Some(place) {
                text.push(',');
            } else {
                text.push(' ');
                name(&mut text, place, region);
                text.push('=');
                last = Some(place);
                if !place.region.is_empty() {
                    region = &place.region;
                }
            }
            text.push(letter(rr_type));
            for shift in (0..DIGEST_LENGTH).rev() {
                text.push(char::from(BASE64[usize::try_from(digest.0 >> (6 * shift) & 63).unwrap_or_default()]));
            }
            write_credits(&mut text, credits, rr_type, &clusters);
        }
        text
    }
}

fn name(text: &mut String, place: &Place, region: &str) {
    if place.zone.is_empty() {
        if !place.region.is_empty() {
            escape(text, &place.region, false);
        }
    } else if *place.region == *region {
        match place.zone.strip_prefix(region) {
            Some("") => text.push('+'),
            Some(rest) => {
                text.push('+');
                escape(text, rest, false);
            }
            None => {
                text.push('.');
                escape(text, &place.zone, false);
            }
        }
    } else {
        escape(text, &place.zone, false);
        text.push('.');
        escape(text, &place.region, false);
    }
}

fn write_credits(text: &mut String, credits: &[Credits], rr_type: &RrType, clusters: &[&Arc<str>]) {
    let is_implied = match credits {
        [] => *rr_type == RrType::Cname,
        [only] => {
            *rr_type != RrType::Cname && only.len() == 1 && clusters.first().is_some_and(|first| **first == only[0])
        }
        _ => false,
    };
    if is_implied {
        return;
    }
    for (record, of_record) in credits.iter().enumerate() {
        text.push(if record > 0 { '.' } else { ':' });
        for (index, cluster) in of_record.iter().enumerate() {
            text.push_str(if index > 0 { "+" } else { "" });
            let number = clusters.binary_search(&cluster).unwrap_or_default();
            write!(text, "{number}").unwrap_or_default();
        }
    }
    if credits.is_empty() {
        text.push(':');
    }
}

fn letter(rr_type: &RrType) -> char {
    match rr_type {
        RrType::A => '4',
        RrType::Aaaa => '6',
        _ => 'C',
    }
}

/// Writes a text so that it holds no separator. `with_dots`: the dot separates nothing here.
fn escape(out: &mut String, text: &str, with_dots: bool) {
    if text.is_empty() {
        out.push('%');
    }
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'_' | b'~' | b':' | b'@' => out.push(char::from(byte)),
            b'.' if with_dots => out.push('.'),
            other => write!(out, "%{other:02X}").unwrap_or_default(),
        }
    }
}

//----------- In -------------------------------------------------------------

impl Ledger {
    /// Reads the texts of all records of one TXT set.
    ///
    /// # Errors
    /// When one is not of this format and version, or they do not belong together.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, Unreadable> {
        let mut whole: Option<Self> = None;
        for text in texts {
            let mut parts = text.split(' ');
            let mut part = || parts.next().ok_or_else(|| Unreadable::new("it ends within the header", text));
            let version = part()?;
            if version != VERSION {
                return Err(Unreadable::new(
                    "it does not begin with the version that this program knows, `v1`",
                    version,
                ));
            }
            let claim = part()?;
            let (name, federation) = claim.split_once('/').unwrap_or((claim, claim));
            let (name, federation): (Arc<str>, Arc<str>) = (unescape(name)?.into(), unescape(federation)?.into());
            let clusters = match part()? {
                "" => Vec::new(),
                list => list.split(',').map(|cluster| unescape(cluster).map(Arc::from)).collect::<Result<_, _>>()?,
            };
            let ledger = whole.get_or_insert_with(|| Self::new(name.clone(), federation.clone()));
            if (&ledger.name, &ledger.federation) != (&name, &federation) {
                return Err(Unreadable::new("its records are of different claims", claim));
            }
            let mut region: Arc<str> = "".into();
            for part in parts {
                ledger.read_name(part, &mut region, &clusters)?;
            }
        }
        whole.ok_or_else(|| Unreadable::new("it has no record", ""))
    }

    /// Reads one name with its sets.
    fn read_name(&mut self, part: &str, region: &mut Arc<str>, clusters: &[Arc<str>]) -> Result<(), Unreadable> {
        let (name, sets) = part.split_once('=').ok_or_else(|| Unreadable::new("a name has no `=`", part))?;
        let zone: Arc<str> = if let Some(rest) = name.strip_prefix('+') {
            let rest = if rest.is_empty() { String::new() } else { label(rest)? };
            format!("{region}{rest}").into()
        } else if let Some(zone) = name.strip_prefix('.') {
            label(zone)?.into()
        } else if let Some((zone, of)) = name.split_once('.') {
            *region = label(of)?.into();
            label(zone)?.into()
        } else if !name.is_empty() {
            *region = label(name)?.into();
            "".into()
        } else {
            "".into()
        };
        if region.is_empty() && !zone.is_empty() {
            return Err(Unreadable::new("a zone has no region before it", part));
        }
        let place = if name.is_empty() { Place::new("", "") } else { Place::new(region.clone(), zone) };
        for set in sets.split(',') {
            let (head, credits) = set.split_once(':').map_or((set, None), |(head, credits)| (head, Some(credits)));
            let (rr_type, digest) = read_set(head)?;
            let credits = match credits {
                Some(lists) => lists.split('.').map(|list| read_list(list, clusters)).collect::<Result<Vec<_>, _>>()?,
                None if rr_type == RrType::Cname => Vec::new(),
                None => {
                    let first = clusters.first().ok_or_else(|| Unreadable::new("an address has no cluster", set))?;
                    vec![Credits::from([first.clone()])]
                }
            };
            let listed = self.sets.entry((place.clone(), rr_type)).or_default();
            if listed.insert(digest, trimmed(&credits).into()).is_some() {
                return Err(Unreadable::new("a set is listed twice", part));
            }
        }
        Ok(())
    }
}

fn read_set(head: &str) -> Result<(RrType, Digest), Unreadable> {
    let wrong = || Unreadable::new("a set is not a type and a digest", head);
    let mut bytes = head.bytes();
    let rr_type = match bytes.next() {
        Some(b'4') => RrType::A,
        Some(b'6') => RrType::Aaaa,
        Some(b'C') => RrType::Cname,
        _ => return Err(wrong()),
    };
    if bytes.len() != DIGEST_LENGTH {
        return Err(wrong());
    }
    let mut digest = 0;
    for byte in bytes {
        let value = BASE64.iter().position(|known| *known == byte).ok_or_else(wrong)?;
        digest = digest << 6 | u64::try_from(value).unwrap_or_default();
    }
    Ok((rr_type, Digest(digest)))
}

fn read_list(list: &str, clusters: &[Arc<str>]) -> Result<Credits, Unreadable> {
    if list.is_empty() {
        return Ok(Credits::from([]));
    }
    let cluster = |number: &str| {
        let index = Some(number).filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
        let known = index.and_then(|number| clusters.get(number.parse::<usize>().ok()?));
        known.cloned().ok_or_else(|| Unreadable::new("a credit is no number of a cluster", list))
    };
    Ok(list.split('+').map(cluster).collect::<Result<BTreeSet<_>, _>>()?.into_iter().collect())
}

/// A part of a label that can stand in a name as it is.
fn label(text: &str) -> Result<String, Unreadable> {
    let label = unescape(text)?;
    let is_fit = |text: &str| !text.is_empty() && !text.contains(['.', '\\']);
    if is_fit(&label) { Ok(label) } else { Err(Unreadable::new("a name cannot be one", text)) }
}

fn unescape(text: &str) -> Result<String, Unreadable> {
    if text == "%" {
        return Ok(String::new());
    }
    let wrong = || Unreadable::new("a text is not written as it should be", text);
    if text.is_empty() {
        return Err(wrong());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16)).ok_or_else(wrong);
            let value = digit()? * 16 + digit()?;
            out.push(u8::try_from(value).map_err(|_| wrong())?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;
    use dnsprovider::{Claim, ClaimedSet, Fqdn, RecordData, RrKey, RrSet, Ttl};
    use proptest::prelude::*;

    fn digest(number: u64) -> Digest {
        Digest(number & ((1 << 36) - 1))
    }

    fn label_text() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => "(us|eu)-(central|west)1(-[abc])?",
            1 => "[a-z+=%,:/ é@-]{1,12}",
        ]
    }

    fn cluster() -> impl Strategy<Value = String> {
        prop_oneof![4 => "[abc]", 1 => "[ -~é]{0,12}", 1 => "arn:aws:eks:eu-west-1:1:cluster/[ab]", 1 => "[a-z]{900}"]
    }

    fn place() -> impl Strategy<Value = Place> {
        prop_oneof![
            Just(Place::new("", "")),
            label_text().prop_map(|region| Place::new(region, "")),
            (label_text(), label_text()).prop_map(|(region, zone)| Place::new(region, zone)),
            (label_text(), label_text())
                .prop_map(|(region, rest)| Place::new(region.clone(), format!("{region}{rest}"))),
        ]
    }

    fn credits() -> impl Strategy<Value = Vec<Credits>> {
        let one = prop::collection::btree_set(cluster(), 0..3);
        let one = one.prop_map(|names| names.into_iter().map(Arc::from).collect::<Credits>());
        prop::collection::vec(one, 0..4)
    }

    prop_compose! {
        fn ledger()(
            name in cluster(),
            federation in prop::option::of(cluster()),
            sets in prop::collection::vec((place(), 0..3usize, any::<u64>(), credits()), 0..60),
        ) -> Ledger {
            let mut ledger = Ledger::new(name.clone(), federation.unwrap_or(name));
            for (place, kind, number, credits) in sets {
                let rr_type = [RrType::A, RrType::Aaaa, RrType::Cname][kind].clone();
                // No set of its own is so long that it would lose its credits.
                ledger.put(place, rr_type, digest(number), &credits[..credits.len().min(1)]);
            }
            ledger
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(ledger in ledger()) {
            let texts = ledger.to_text();
            for text in &texts {
                prop_assert!(text.len() <= MAX_RECORD && text.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
                prop_assert!(!text.contains(['"', '\\', ';']));
            }
            prop_assert_eq!(Ledger::parse(texts.iter().map(String::as_str)).unwrap(), ledger.clone());
            prop_assert_eq!(Ledger::parse(texts.iter().rev().map(String::as_str)).unwrap(), ledger);
        }

        #[test]
        fn garbage_is_an_error(texts in prop::collection::vec("\\PC{0,60}", 0..4)) {
            prop_assert!(Ledger::parse(texts.iter().map(String::as_str)).is_err());
        }

        #[test]
        fn what_is_nearly_right_does_not_panic(ledger in ledger(), at in any::<prop::sample::Index>(), with in "[ -~]{0,2}") {
            let mut texts = ledger.to_text();
            let text = &mut texts[0];
            let at = at.index(text.len());
            text.replace_range(at..=at, &with);
            if let Ok(read) = Ledger::parse(texts.iter().map(String::as_str)) {
                let again = read.to_text();
                prop_assert_eq!(Ledger::parse(again.iter().map(String::as_str)).unwrap(), read);
            }
        }
    }

    #[test]
    fn a_ledger_reads_as_its_docs_say() {
        let credits = |lists: &[&[&str]]| -> Vec<Credits> {
            lists.iter().map(|list| list.iter().map(|name| Arc::from(*name)).collect()).collect()
        };
        let mut ledger = Ledger::new("shop", "shop");
        ledger.put(Place::new("", ""), RrType::A, digest(1), &credits(&[&["eu-1"], &["us-1"], &["us-1"]]));
        ledger.put(Place::new("", ""), RrType::Aaaa, digest(2), &credits(&[&["eu-1"], &["eu-1"]]));
        ledger.put(Place::new("us-central1", ""), RrType::A, digest(3), &credits(&[&["us-1"]]));
        ledger.put(Place::new("us-central1", "us-central1-a"), RrType::A, digest(3), &credits(&[&["us-1"]]));
        ledger.put(Place::new("us-central1", "us-central1-b"), RrType::Cname, digest(4), &credits(&[&[]]));
        ledger.put(Place::new("us-central1", "z9"), RrType::A, digest(5), &[]);
        let text =
            "v1 shop eu-1,us-1 =4AAAAAB:0.1,6AAAAAC us-central1=4AAAAAD:1 +-a=4AAAAAD:1 +-b=CAAAAAE .z9=4AAAAAF:";
        assert_eq!(ledger.to_text(), [text]);
        assert_eq!(Ledger::parse([text]).unwrap(), ledger);
    }

    #[test]
    fn a_text_of_another_version_or_form_is_somebody_elses() {
        for (texts, rule) in [
            (vec!["v2 shop eu-1 =4AAAAAB"], "version"),
            (vec!["v1 shop"], "header"),
            (vec!["v1 shop  =4AAAAAB"], "no cluster"),
            (vec!["v1 shop eu-1 =4AAAAAB", "v1 other eu-1 =4AAAAAC"], "different claims"),
            (vec!["v1 shop eu-1 =4AAAAAB", "v1 shop eu-1 =4AAAAAB:"], "twice"),
            (vec!["v1 shop eu-1 =4AAAAAB:1"], "number of a cluster"),
            (vec!["v1 shop eu-1 =5AAAAAB"], "a type and a digest"),
            (vec!["v1 shop eu-1 =4AAAA"], "a type and a digest"),
            (vec!["v1 shop eu-1 +a=4AAAAAB"], "no region"),
            (vec!["v1 shop eu-1 a%2Eb=4AAAAAB"], "cannot be one"),
            (vec!["v1 shop eu-1 4AAAAAB"], "no `=`"),
            (vec!["v1 sh%op eu-1 =4AAAAAB"], "as it should be"),
            (vec!["v1  eu-1 =4AAAAAB"], "as it should be"),
            (vec!["heritage=external-dns"], "version"),
            (vec![], "no record"),
        ] {
            let error = Ledger::parse(texts.iter().copied()).unwrap_err().to_string();
            assert!(error.contains(rule), "{texts:?}: {error}");
        }
    }

    #[test]
    fn a_digest_is_of_ttl_and_records_and_stays_the_same() {
        let set = |ttl: u32, last: u8| {
            let key = RrKey::new(Fqdn::parse("a.example.com").unwrap(), RrType::A);
            RrSet::new(key, Ttl::from_secs(ttl).unwrap(), [RecordData::A([192, 0, 2, last].into())]).unwrap()
        };
        let mut ledger = Ledger::new("shop", "shop");
        let claim =
            Claim { name: "shop".into(), federation: "shop".into(), credits: [Credits::from(["eu-1".into()])].into() };
        ledger.add(Place::new("", ""), &ClaimedSet { set: set(180, 1), claim: Some(claim.clone()) });
        // Zones out there hold this text: a change here needs a new version.
        assert_eq!(ledger.to_text(), ["v1 shop eu-1 =4Kx7J2e"]);
        assert_eq!(ledger.claim(&Place::new("", ""), &set(180, 1)), Some(claim));
        assert_eq!(ledger.claim(&Place::new("", ""), &set(180, 2)), None);
        assert_eq!(ledger.claim(&Place::new("", ""), &set(181, 1)), None);
    }
}
