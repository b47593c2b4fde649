//! Record sets as Cloud DNS spells them.
//!
//! Data is in presentation format, names end in a dot, a text is one or more quoted strings of at most 255 octets. What a
//! deletion says must match what stands there, to the letter for all that is known, so a set that is spelled otherwise
//! than it would be here keeps its spelling in its version ([`Spelling`]).
//! In: the SDK's sets · Out: entries, and the reverse · Pure: yes.

use std::fmt::Write as _;

use dnsprovider::{Blocks, ClaimedSet, Entry, Fqdn, RecordData, RrKey, RrSet, RrType, Ttl, Version};
use google_cloud_dns_v1::model::ResourceRecordSet;
use serde::{Deserialize, Serialize};

/// Octets of one string of a text. Source: RFC 1035 §3.3.
const STRING: usize = 255;

/// How the host spells a set, where that is not the spelling of this module.
#[derive(Debug, Serialize, Deserialize)]
struct Spelling {
    name: String,
    rrdatas: Vec<String>,
}

//----------- Reading ------------------------------------------------

/// What the host holds; `None` for a name or a set without data, which stands for nothing here.
pub(super) fn entry(held: &ResourceRecordSet) -> Option<Entry> {
    let owner = Fqdn::parse(held.name.as_deref()?).ok()?;
    let key = RrKey::new(owner, RrType::from_text(held.r#type.as_deref()?));
    let ttl = held.ttl.and_then(|ttl| u32::try_from(ttl).ok()).and_then(Ttl::from_secs);
    let ttl = ttl.unwrap_or(Ttl::from_secs(0)?);
    // An alias takes the place of the addresses of its name. Source: Cloud DNS, records overview.
    let blocks = if key.rr_type.as_str() == "ALIAS" { Blocks::Name } else { Blocks::AsDns };
    let set = records(held, &key.rr_type)
        .and_then(|records| RrSet::new(key.clone(), ttl, records).ok())
        .or_else(|| RrSet::new(key.clone(), ttl, carried(held, &key.rr_type)).ok())?;
    let version = Version { revision: 0, detail: spelling(held, &set).map(Into::into) };
    Some(Entry { data: ClaimedSet::unclaimed(set), version, blocks })
}

/// The records, where all are modelled and no policy chooses among them.
fn records(held: &ResourceRecordSet, rr_type: &RrType) -> Option<Vec<RecordData>> {
    if held.routing_policy.is_some() {
        return None;
    }
    held.rrdatas.iter().map(|text| record(text, rr_type)).collect()
}

fn record(text: &str, rr_type: &RrType) -> Option<RecordData> {
    match rr_type {
        RrType::A => text.parse().ok().map(RecordData::A),
        RrType::Aaaa => text.parse().ok().map(RecordData::Aaaa),
        RrType::Cname => Fqdn::parse(text).ok().map(RecordData::Cname),
        RrType::Txt => parse_text(text).map(RecordData::txt),
        RrType::Other(_) => None,
    }
}

/// The data of a set that is only shown. A CNAME is one record, whatever the host says.
fn carried(held: &ResourceRecordSet, rr_type: &RrType) -> Vec<RecordData> {
    let policy = held.routing_policy.as_ref().and_then(|policy| serde_json::to_string(policy).ok());
    let mut texts: Vec<_> = policy.map(|text| format!("routing policy {text}")).into_iter().collect();
    texts.extend(held.rrdatas.iter().cloned());
    if *rr_type == RrType::Cname && !texts.is_empty() {
        texts = vec![texts.join(", ")];
    }
    texts.into_iter().map(|text| RecordData::Opaque(text.into())).collect()
}

/// The octets of all strings, or `None` when the quotes or escapes are wrong.
fn parse_text(data: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    let mut bytes = data.bytes().peekable();
    let mut strings = 0;
    while let Some(first) = bytes.next_if(|_| true) {
        if first.is_ascii_whitespace() {
            continue;
        }
        strings += 1;
        let quoted = first == b'"';
        let mut next = if quoted { bytes.next() } else { Some(first) };
        loop {
            match next {
                Some(b'"') if quoted => break,
                None if quoted => return None,
                None => break,
                Some(b'"') => return None,
                Some(byte) if byte.is_ascii_whitespace() && !quoted => break,
                Some(b'\\') => octets.push(unescape(&mut bytes)?),
                Some(byte) => octets.push(byte),
            }
            next = bytes.next();
        }
    }
    (strings > 0).then_some(octets)
}

/// The octet behind a backslash. Source: RFC 1035 §5.1.
fn unescape(bytes: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let first = bytes.next()?;
    let digit = |byte: u8| byte.is_ascii_digit().then(|| u16::from(byte - b'0'));
    let Some(hundreds) = digit(first) else { return Some(first) };
    u8::try_from(hundreds * 100 + digit(bytes.next()?)? * 10 + digit(bytes.next()?)?).ok()
}

/// The host's spelling of the set, where it is not ours; none for data that is never written.
fn spelling(held: &ResourceRecordSet, set: &RrSet) -> Option<String> {
    if set.is_opaque() {
        return None;
    }
    let name = held.name.clone()?;
    let ours: Vec<_> = set.records().iter().map(rdata).collect();
    let mut theirs = held.rrdatas.clone();
    theirs.sort_unstable();
    let mut sorted = ours;
    sorted.sort_unstable();
    if name == set.owner().as_str() && theirs == sorted {
        return None;
    }
    serde_json::to_string(&Spelling { name, rrdatas: held.rrdatas.clone() }).ok()
}

//----------- Writing ------------------------------------------------

/// A set to be put.
pub(super) fn addition(set: &RrSet) -> ResourceRecordSet {
    written(set.owner().as_str(), set, set.records().iter().map(rdata).collect())
}

/// A set that must stand there as it was read: as the version says, or else as it would be written here.
pub(super) fn deletion(set: &RrSet, version: &Version) -> ResourceRecordSet {
    let spelled = version.detail.as_deref().and_then(|detail| serde_json::from_str::<Spelling>(detail).ok());
    let spelled = spelled.map(|spelling| written(&spelling.name, set, spelling.rrdatas));
    // A version that was read with another set says nothing of this one.
    let fits = |held: &ResourceRecordSet| entry(held).is_some_and(|entry| entry.data.set == *set);
    spelled.filter(fits).unwrap_or_else(|| addition(set))
}

fn written(name: &str, set: &RrSet, rrdatas: Vec<String>) -> ResourceRecordSet {
    let ttl = i32::try_from(set.ttl().as_secs()).unwrap_or(i32::MAX);
    ResourceRecordSet::new().set_name(name).set_type(set.rr_type().as_str()).set_ttl(ttl).set_rrdatas(rrdatas)
}

/// What counts against `totalRrdataSizePerChange`.
pub(super) fn octets(set: &ResourceRecordSet) -> u64 {
    set.rrdatas.iter().map(|data| u64::try_from(data.len()).unwrap_or(u64::MAX)).fold(0, u64::saturating_add)
}

/// One record in presentation format.
fn rdata(record: &RecordData) -> String {
    match record {
        RecordData::Txt(text) => print_text(text),
        other => other.to_string(),
    }
}

/// Strings of 255 octets, quoted; the last may be shorter. An empty text is one empty string.
fn print_text(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    let mut strings = text.chunks(STRING);
    let first = strings.next().unwrap_or_default();
    for (at, string) in std::iter::once(first).chain(strings).enumerate() {
        out.push_str(if at == 0 { "\"" } else { " \"" });
        for octet in string {
            match octet {
                b'"' | b'\\' => out.extend(['\\', char::from(*octet)]),
                b' '..=b'~' => out.push(char::from(*octet)),
                // Writing to a string cannot fail.
                other => _ = write!(out, "\\{other:03}"),
            }
        }
        out.push('"');
    }
    out
}

/// Whether Cloud DNS can have a set at this name: letters, digits, `-`, `_`, and `*` as the whole first label.
pub(super) fn can_stand(owner: &Fqdn) -> bool {
    let is_plain = |label: &str| label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    owner.labels().enumerate().all(|(at, label)| is_plain(label) || at == 0 && label == "*")
}

#[cfg(test)]
mod tests {
    use google_cloud_dns_v1::model::RRSetRoutingPolicy;

    use super::*;

    fn held(name: &str, rr_type: &str, rrdatas: &[&str]) -> ResourceRecordSet {
        ResourceRecordSet::new().set_name(name).set_type(rr_type).set_ttl(300).set_rrdatas(rrdatas.to_vec())
    }

    fn there_and_back(name: &str, rr_type: &str, rrdatas: &[&str]) -> (String, Vec<String>) {
        let held = held(name, rr_type, rrdatas);
        let entry = entry(&held).expect("a set");
        let back = deletion(&entry.data.set, &entry.version);
        assert_eq!((back.name, back.ttl), (held.name, held.ttl), "{entry:?}");
        let mut rrdatas = back.rrdatas;
        let mut expected = held.rrdatas;
        rrdatas.sort();
        expected.sort();
        assert_eq!(rrdatas, expected, "a deletion is spelled as the host spells it");
        let ours = addition(&entry.data.set);
        (ours.name.unwrap_or_default(), ours.rrdatas)
    }

    #[test]
    fn what_was_recorded_reads_and_writes_back() {
        for (name, rr_type, rrdatas, ours) in [
            ("localhost.fullm3tal.tk.", "A", &["127.0.0.1"][..], &["127.0.0.1"][..]),
            ("docs.fullm3tal.tk.", "CNAME", &["docs.example.com."], &["docs.example.com."]),
            ("_acme.fullm3tal.tk.", "TXT", &["\"t1\"", "\"t2\""], &["\"t1\"", "\"t2\""]),
            // Spellings of others.
            ("Www.example.com.", "A", &["192.0.2.2", "192.0.2.1"], &["192.0.2.1", "192.0.2.2"]),
            ("a.example.com.", "AAAA", &["2001:DB8:0::1"], &["2001:db8::1"]),
            ("a.example.com.", "CNAME", &["Docs.Example.com."], &["docs.example.com."]),
            ("a.example.com.", "TXT", &["\"ab\" \"cd\""], &["\"abcd\""]),
            ("a.example.com.", "TXT", &["ab\\;cd"], &["\"ab;cd\""]),
            ("a.example.com.", "TXT", &["\"x\"", "\"\" \"x\""], &["\"x\""]),
            ("*.example.com.", "A", &["192.0.2.1"], &["192.0.2.1"]),
        ] {
            let (owner, written) = there_and_back(name, rr_type, rrdatas);
            assert_eq!((owner, written), (name.to_ascii_lowercase(), ours.iter().map(|&text| text.into()).collect()));
        }
    }

    #[test]
    fn a_text_is_quoted_and_split_and_reads_back() {
        let long = [b'a'; 256];
        let parts = format!("\"{}\" \"a\"", "a".repeat(255));
        for (octets, printed) in [
            (&b""[..], "\"\""),
            (b"a b", "\"a b\""),
            (b"a\"b\\c", "\"a\\\"b\\\\c\""),
            (b"\x00\xff;", "\"\\000\\255;\""),
            ("é".as_bytes(), "\"\\195\\169\""),
            (&long, &parts),
        ] {
            assert_eq!(print_text(octets), printed);
            assert_eq!(parse_text(printed).as_deref(), Some(octets));
        }
        assert_eq!(parse_text("é").as_deref(), Some("é".as_bytes()), "a host that does not escape");
        for bad in ["", " ", "\"a", "a\"b\"", "\"\\25\"", "\"\\256\"", "\"\\", "\\"] {
            assert_eq!(parse_text(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn what_is_only_carried_is_shown_and_never_written() {
        let policy = RRSetRoutingPolicy::new();
        for (set, blocks) in [
            (held("a.example.com.", "MX", &["10 mail.example.com."]), Blocks::AsDns),
            (held("a.example.com.", "ALIAS", &["other.example.com."]), Blocks::Name),
            (held("a.example.com.", "A", &[]).set_routing_policy(policy), Blocks::AsDns),
            (held("a.example.com.", "A", &["not an address"]), Blocks::AsDns),
            (held("a.example.com.", "CNAME", &["a.", "b."]), Blocks::AsDns),
        ] {
            let entry = entry(&set).expect("a set");
            assert!(entry.data.set.is_opaque(), "{entry:?}");
            assert_eq!((entry.blocks, entry.version.detail), (blocks, None));
        }
        assert!(entry(&held("a.example.com.", "A", &[])).is_none());
        assert!(entry(&held("a..example.com.", "A", &["192.0.2.1"])).is_none());
    }

    #[test]
    fn a_spelling_of_another_set_is_not_used() {
        let read = entry(&held("a.example.com.", "TXT", &["old"])).expect("a set");
        assert!(read.version.detail.is_some());
        let now = entry(&held("a.example.com.", "TXT", &["\"new\""])).expect("a set");
        assert_eq!(deletion(&now.data.set, &read.version).rrdatas, ["\"new\""]);
        let nonsense = Version { revision: 0, detail: Some("{".into()) };
        assert_eq!(deletion(&now.data.set, &nonsense).rrdatas, ["\"new\""]);
    }

    #[test]
    fn names_are_those_that_the_host_takes() {
        for (name, can) in [
            ("*.a-b._c.example.com", true),
            ("example.com", true),
            ("a.*.example.com", false),
            ("a/b.example.com", false),
            ("a\\032b.example.com", false),
            ("a\\.b.example.com", false),
        ] {
            assert_eq!(can_stand(&Fqdn::parse(name).expect("a name")), can, "{name}");
        }
    }
}
