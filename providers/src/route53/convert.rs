//! Route 53's spelling ↔ names, values and sets.
//!
//! Names are in lower case, with `\ooo` (octal) for every octet other than `a-z 0-9 - _`; a wildcard comes back as
//! `\052`. TXT values are strings in quotes, of at most 255 octets each.
//! Source: <https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DomainNameFormat.html> and the page of TXT values
//! in `ResourceRecordTypes.html`.
//!
//! A value is deleted in the spelling in which it was read: where that is not ours (`docs.example.com` without its dot,
//! a text split elsewhere), the entry's [`Version`] carries it.
//! In: names, sets of the SDK · Out: sets of the contract, and back · Pure: yes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use aws_sdk_route53::types::ResourceRecordSet;
use dnsprovider::{Blocks, Change, ClaimedSet, Entry, Fqdn, NameError, RecordData, RrKey, RrSet, RrType, Ttl, Version};

/// Octets of one character-string. Source: RFC 1035 §3.3.14.
const STRING_OCTETS: usize = 255;

//----------- Names ----------------------------------------------------------

/// A name as the host takes it.
pub(super) fn name(name: &Fqdn) -> String {
    let text = name.as_str();
    // Only a first label that is one asterisk is a wildcard; `*` and `\052` mean the same there, and elsewhere neither does.
    let (mut out, rest) = match text.strip_prefix("*.") {
        Some(rest) => ("*.".to_owned(), rest),
        None => (String::with_capacity(text.len()), text),
    };
    for (octet, escaped) in octets(rest) {
        match octet {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => out.push(char::from(octet)),
            b'.' if !escaped => out.push('.'),
            other => _ = write!(out, "\\{other:03o}"),
        }
    }
    out
}

/// The octets of a name in our presentation form, and whether each was escaped there.
fn octets(text: &str) -> impl Iterator<Item = (u8, bool)> {
    let mut bytes = text.bytes();
    std::iter::from_fn(move || match bytes.next()? {
        b'\\' => {
            let first = bytes.next()?;
            if !first.is_ascii_digit() {
                return Some((first, true));
            }
            let digits = [first, bytes.next()?, bytes.next()?];
            let value = digits.iter().fold(0u16, |value, digit| value * 10 + u16::from(digit.wrapping_sub(b'0')));
            Some((u8::try_from(value).ok()?, true))
        }
        plain => Some((plain, false)),
    })
}

/// A name as the host gives it.
pub(super) fn parse_name(text: &str) -> Result<Fqdn, NameError> {
    if !text.contains('\\') {
        return Fqdn::parse(text);
    }
    let mut decimal = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        decimal.push_str(&rest[..at]);
        let digits = rest.get(at + 1..at + 4).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()));
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(octet) => {
                _ = write!(decimal, "\\{octet:03}");
                rest = &rest[at + 4..];
            }
            None => return Fqdn::parse(text), // tells what is wrong, in the host's own spelling
        }
    }
    decimal.push_str(rest);
    Fqdn::parse(&decimal)
}

/// What the host sorts names by: labels from the right, each with a dot behind it. `None` for a name with escapes, whose
/// place is not known for sure.
///
/// `a-b.example.` comes before `a.example.`, because `-` is less than the dot.
/// Source: documentation of `ListResourceRecordSets`, <https://docs.aws.amazon.com/Route53/latest/APIReference/API_ListResourceRecordSets.html>.
pub(super) fn sort_key(name: &Fqdn) -> Option<String> {
    let plain = |octet: u8| matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
    if !name.as_str().bytes().all(plain) {
        return None;
    }
    let mut key = String::with_capacity(name.as_str().len());
    for label in name.labels().rev() {
        key.push_str(label);
        key.push('.');
    }
    Some(key)
}

//----------- Values ---------------------------------------------------------

/// The values of a set as the host takes them, in the order of its records.
pub(super) fn values(set: &RrSet) -> Vec<String> {
    set.records().iter().map(value).collect()
}

fn value(record: &RecordData) -> String {
    match record {
        RecordData::Cname(target) => name(target),
        RecordData::Txt(text) => quote(text),
        other => other.to_string(),
    }
}

/// One quoted string for each 255 octets; an empty text is one empty string.
fn quote(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    let mut strings = text.chunks(STRING_OCTETS).peekable();
    if strings.peek().is_none() {
        out.push_str("\"\"");
    }
    for (place, string) in strings.enumerate() {
        out.push_str(if place == 0 { "\"" } else { " \"" });
        for octet in string {
            match octet {
                b'"' | b'\\' => out.extend(['\\', char::from(*octet)]),
                b' '..=b'~' => out.push(char::from(*octet)),
                other => _ = write!(out, "\\{other:03o}"),
            }
        }
        out.push('"');
    }
    out
}

/// The text behind quoted strings; `None` when it is not that.
fn unquote(value: &str) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(value.len());
    let mut rest = value.trim();
    while !rest.is_empty() {
        let mut bytes = rest.strip_prefix('"')?.bytes();
        loop {
            match bytes.next()? {
                b'"' => break,
                b'\\' => match bytes.next()? {
                    digit @ b'0'..=b'7' => {
                        let digits = [digit, bytes.next()?, bytes.next()?];
                        let digits = std::str::from_utf8(&digits).ok()?;
                        text.push(u8::from_str_radix(digits, 8).ok()?);
                    }
                    other => text.push(other),
                },
                other => text.push(other),
            }
        }
        let left = bytes.len();
        let after = rest.get(rest.len() - left..)?;
        rest = after.trim_start();
        if !rest.is_empty() && rest.len() == after.len() {
            return None;
        }
    }
    Some(text)
}

fn parse_value(rr_type: &RrType, value: &str) -> Option<RecordData> {
    match rr_type {
        RrType::A => value.parse().ok().map(RecordData::A),
        RrType::Aaaa => value.parse().ok().map(RecordData::Aaaa),
        RrType::Cname => parse_name(value).ok().map(RecordData::Cname),
        RrType::Txt => unquote(value).map(RecordData::txt),
        RrType::Other(_) => None,
    }
}

//----------- Sets -----------------------------------------------------------

/// The sets of a list as entries: one for each name and type, in the order of the list.
///
/// A simple set of a type that is modelled comes with its records; all else is opaque: an alias, sets with an identifier
/// (those of one name and type become one entry), other types, and values that cannot be read.
///
/// # Errors
/// When a name is none.
pub(super) fn entries<'a>(sets: impl IntoIterator<Item = &'a ResourceRecordSet>) -> Result<Vec<Entry>, NameError> {
    let mut order = Vec::new();
    let mut grouped = BTreeMap::<RrKey, Vec<&ResourceRecordSet>>::new();
    for set in sets {
        let key = RrKey::new(parse_name(set.name())?, RrType::from_text(set.r#type().as_str()));
        let group = grouped.entry(key.clone()).or_default();
        if group.is_empty() {
            order.push(key);
        }
        group.push(set);
    }
    Ok(order.into_iter().filter_map(|key| entry(grouped.get(&key)?, key)).collect())
}

fn entry(sets: &[&ResourceRecordSet], key: RrKey) -> Option<Entry> {
    let simple = match sets {
        [set] if is_simple(set) => plain(set, &key),
        _ => None,
    };
    let (set, version) = simple.or_else(|| Some((opaque(sets, key)?, Version::default())))?;
    Some(Entry { data: ClaimedSet::unclaimed(set), version, blocks: Blocks::AsDns })
}

/// No routing policy, no alias: what the contract calls a set.
fn is_simple(set: &ResourceRecordSet) -> bool {
    describe(set).is_empty()
}

fn plain(set: &ResourceRecordSet, key: &RrKey) -> Option<(RrSet, Version)> {
    let ttl = Ttl::from_secs(u32::try_from(set.ttl()?).ok()?)?;
    let given: Vec<&str> = set.resource_records().iter().map(aws_sdk_route53::types::ResourceRecord::value).collect();
    let records = given.iter().map(|value| parse_value(&key.rr_type, value)).collect::<Option<Vec<_>>>()?;
    let parsed = RrSet::new(key.clone(), ttl, records).ok()?;
    Some((parsed.clone(), spelled(&parsed, &given)))
}

fn opaque(sets: &[&ResourceRecordSet], key: RrKey) -> Option<RrSet> {
    let records = sets.iter().flat_map(|set| {
        let how = describe(set);
        let values: Vec<_> = set.resource_records().iter().map(|record| record.value().to_owned()).collect();
        match (how.is_empty(), values.is_empty()) {
            (true, _) => values,
            (false, true) => vec![how],
            (false, false) => vec![format!("{how}: {}", values.join(", "))],
        }
    });
    // Aliases have no TTL of their own.
    let ttl = sets.iter().find_map(|set| Ttl::from_secs(u32::try_from(set.ttl()?).ok()?));
    let records: Vec<_> = records.map(|text| RecordData::Opaque(text.into())).collect();
    let none = || vec![RecordData::Opaque("no value".into())];
    let records = if records.is_empty() { none() } else { records };
    // A CNAME set has one record, so several weighted ones are told as one text.
    let records = if key.rr_type == RrType::Cname && records.len() > 1 {
        let texts: Vec<_> = records.iter().map(ToString::to_string).collect();
        vec![RecordData::Opaque(texts.join("; ").into())]
    } else {
        records
    };
    RrSet::new(key, ttl.or_else(|| Ttl::from_secs(0))?, records).ok()
}

/// What makes a set more than a set, for people; empty when nothing does.
fn describe(set: &ResourceRecordSet) -> String {
    let mut parts = Vec::new();
    let mut part = |what: &str, value: Option<String>| parts.extend(value.map(|value| format!("{what} {value}")));
    part("alias of", set.alias_target().map(|alias| alias.dns_name().to_owned()));
    part("set identifier", set.set_identifier().map(str::to_owned));
    part("weight", set.weight().map(|weight| weight.to_string()));
    part("region", set.region().map(|region| region.as_str().to_owned()));
    part("geolocation", set.geo_location().map(|_| "policy".to_owned()));
    part("geoproximity", set.geo_proximity_location().map(|_| "policy".to_owned()));
    part("CIDR", set.cidr_routing_config().map(|_| "policy".to_owned()));
    part("failover", set.failover().map(|failover| failover.as_str().to_owned()));
    part("multivalue", set.multi_value_answer().map(|answer| answer.to_string()));
    part("health check", set.health_check_id().map(str::to_owned));
    part("traffic policy instance", set.traffic_policy_instance_id().map(str::to_owned));
    parts.join(", ")
}

//----------- Pre-images -----------------------------------------------------

/// The version of a set: the host's spelling of its values where it is not ours.
fn spelled(set: &RrSet, given: &[&str]) -> Version {
    let mut ours = values(set);
    let mut theirs: Vec<String> = given.iter().map(|value| (*value).to_owned()).collect();
    ours.sort_unstable();
    theirs.sort_unstable();
    if ours == theirs {
        return Version::default();
    }
    // No value holds a line end: TXT escapes it, all else is one word.
    Version { revision: 0, detail: Some(theirs.join("\n").into()) }
}

/// The values that a deletion of the set before must name.
pub(super) fn values_before(change: &Change, before: &RrSet) -> Vec<String> {
    let spelled = change.version.detail.as_deref().map(|detail| detail.lines().map(str::to_owned).collect::<Vec<_>>());
    // A version of something else must not make us delete what the change does not say.
    let means_before = |values: &Vec<String>| {
        let records = values.iter().map(|value| parse_value(before.rr_type(), value)).collect::<Option<Vec<_>>>();
        let set = records.and_then(|records| RrSet::new(before.key().clone(), before.ttl(), records).ok());
        set.as_ref() == Some(before)
    };
    spelled.filter(means_before).unwrap_or_else(|| values(before))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fqdn(text: &str) -> Fqdn {
        Fqdn::parse(text).expect("a name")
    }

    #[test]
    fn names_are_octal_at_the_host_and_decimal_here() {
        for (ours, theirs) in [
            ("www.example.com", "www.example.com."),
            ("_dns-syncd.a.example", "_dns-syncd.a.example."),
            ("*.example.com", "*.example.com."),
            ("a.*.example.com", "a.\\052.example.com."),
            ("a*.example.com", "a\\052.example.com."),
            ("a\\.b.example", "a\\056b.example."),
            ("a\\052b.example", "a4b.example."),
            ("a\\\\b.example", "a\\134b.example."),
            ("a\\255.example", "a\\377.example."),
        ] {
            assert_eq!(name(&fqdn(ours)), theirs, "{ours}");
            assert_eq!(parse_name(theirs), Ok(fqdn(ours)), "{theirs}");
        }
        assert_eq!(parse_name("\\052.EXAMPLE.com"), Ok(fqdn("*.example.com")));
        assert_eq!(parse_name("\\101.example"), Ok(fqdn("a.example")), "an escaped capital is a capital");
        for bad in ["a\\9", "a\\4", "a\\777.example", "a..b", ""] {
            assert!(parse_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_hyphen_sorts_before_the_end_of_a_label() {
        let mut names = ["www", "www-2", "a.www", "www2", "a.www-2"].map(|label| fqdn(&format!("{label}.example")));
        names.sort_by_key(sort_key);
        let order: Vec<_> = names.iter().map(|name| name.labels().collect::<Vec<_>>().join(".")).collect();
        assert_eq!(order, ["www-2.example", "a.www-2.example", "www.example", "a.www.example", "www2.example"]);
        assert_eq!(sort_key(&fqdn("*.example")), None);
    }

    #[test]
    fn texts_are_quoted_split_and_escaped() {
        for (text, quoted) in [
            (&b""[..], "\"\"".to_owned()),
            (b"a b", "\"a b\"".to_owned()),
            (b"a\"b\\c", "\"a\\\"b\\\\c\"".to_owned()),
            (b"\x00\x7f\xff", "\"\\000\\177\\377\"".to_owned()),
            (&[b'x'; 255], format!("\"{}\"", "x".repeat(255))),
            (&[b'x'; 256], format!("\"{}\" \"x\"", "x".repeat(255))),
        ] {
            assert_eq!(quote(text), quoted);
            assert_eq!(unquote(&quoted).as_deref(), Some(text));
        }
        assert_eq!(unquote("\"a\"  \"b\\0611\"").as_deref(), Some(&b"ab11"[..]));
        for bad in ["a", "\"a", "\"a\"b", "\"a\"\"b\"", "\"\\04\"", "\"\\777\"", "\"a\\", "\"\\04\u{e9}\""] {
            assert_eq!(unquote(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_text_and_name_comes_back(
            text in proptest::collection::vec(any::<u8>(), 0..600),
            label in proptest::collection::vec(any::<u8>(), 1..60),
        ) {
            prop_assert_eq!(unquote(&quote(&text)), Some(text));
            let escaped = label.iter().map(|octet| format!("\\{octet:03}")).collect::<Vec<_>>().concat();
            let owner = fqdn(&format!("{escaped}.example.com"));
            let spelled = name(&owner);
            prop_assert_eq!(parse_name(&spelled), Ok(owner), "{}", spelled);
        }

        #[test]
        fn nothing_from_outside_makes_it_panic(text in any::<String>()) {
            _ = unquote(&text);
            _ = parse_name(&text);
            _ = parse_name(&format!("{text}\\"));
            _ = unquote(&format!("\"{text}\\"));
        }
    }
}
