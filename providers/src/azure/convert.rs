//! Azure's spelling of names, sets and versions, and ours.
//!
//! Names are relative to the zone, `@` stands for its apex. A TXT record is a list of strings of up to 255 characters.
//! A version is the ETag and, on a line of its own, the metadata pairs of others, which a write must put back.
//! In: wire values · Out: entries, bodies · Pure: yes.

use std::fmt::Write as _;
use std::sync::Arc;

use dnsprovider::{Blocks, ClaimedSet, Entry, Error, ErrorKind, Fqdn, RecordData, RrKey, RrSet, RrType, Ttl, Version};
use serde_json::Value;

use super::claim::{self, Metadata};
use super::error::error;
use super::wire::{ARecord, AaaaRecord, Body, BodyProperties, CnameRecord, Properties, RecordSet, TxtRecord};

/// Octets of one character-string. Source: RFC 1035 §3.3.14.
const MOST_STRING_OCTETS: usize = 255;
/// Characters of all TXT records of a set together. National clouds may allow 1024 only, and say so themselves.
/// Source: Azure's "Overview of DNS zones and records", 2025.
const MOST_TXT_CHARACTERS: usize = 4096;

//----------- names ----------------------------------------------------------

/// The zone's name as paths have it: without a final dot.
pub(super) fn zone_name(apex: &Fqdn) -> &str {
    apex.as_str().trim_end_matches('.')
}

/// The relative name of an owner in the zone; `None` outside.
pub(super) fn relative<'a>(apex: &Fqdn, owner: &'a Fqdn) -> Option<&'a str> {
    match owner.relative_to(apex)? {
        "" => Some("@"),
        relative => Some(relative),
    }
}

/// Whether Azure can hold a set at this relative name: letters, digits, `-` and `_`, and `*` as the first label.
fn is_storable(relative: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let mut labels = relative.split('.').enumerate();
    relative == "@" || labels.all(|(at, label)| (at == 0 && label == "*") || label.bytes().all(word))
}

/// The owner behind a relative name of the host; `None` when no DNS name can be made of it.
pub(super) fn owner(apex: &Fqdn, relative: &str) -> Option<Fqdn> {
    if relative == "@" {
        return Some(apex.clone());
    }
    let mut escaped = String::with_capacity(relative.len());
    for byte in relative.bytes() {
        match byte {
            b'\\' => escaped.push_str("\\\\"),
            b'!'..=b'~' => escaped.push(char::from(byte)),
            other => _ = write!(escaped, "\\{other:03}"),
        }
    }
    if escaped.is_empty() { None } else { apex.prepend(&escaped).ok() }
}

//----------- versions -------------------------------------------------------

/// The version of a set: its ETag, and the pairs of others.
pub(super) fn version(etag: Option<&str>, foreign: &Metadata) -> Version {
    let detail = etag.map(|etag| match serde_json::to_string(foreign) {
        Ok(pairs) if !foreign.is_empty() => format!("{etag}\n{pairs}"),
        _ => etag.to_owned(),
    });
    Version { revision: 0, detail: detail.map(Arc::from) }
}

/// The ETag and the pairs of others in a version; `None` for one that is not ours.
pub(super) fn etag(version: &Version) -> Option<(&str, Metadata)> {
    let detail = version.detail.as_deref()?;
    match detail.split_once('\n') {
        Some((etag, pairs)) => Some((etag, serde_json::from_str(pairs).ok()?)),
        None => Some((detail, Metadata::new())),
    }
}

//----------- reading --------------------------------------------------------

/// The entry of a record set; `None` (and a warning) where its name is none in DNS.
pub(super) fn entry(apex: &Fqdn, set: &RecordSet) -> Option<Entry> {
    let Some(owner) = owner(apex, &set.name) else {
        tracing::warn!(name = ?set.name, zone = %apex, "passing over a record set whose name is no DNS name");
        return None;
    };
    let rr_type = RrType::from_text(set.resource_type.rsplit('/').next().unwrap_or_default());
    let key = RrKey::new(owner, rr_type);
    let seconds = set.properties.ttl.and_then(|ttl| u32::try_from(ttl).ok());
    let ttl = seconds.and_then(Ttl::from_secs);
    let modelled = ttl.and_then(|ttl| RrSet::new(key.clone(), ttl, records(&key.rr_type, &set.properties)?).ok());
    let opaque = || {
        let data = RecordData::Opaque(told(&set.properties).into());
        RrSet::new(key.clone(), ttl.unwrap_or(Ttl::MAX), [data]).ok()
    };
    let is_opaque = modelled.is_none();
    let rr_set = modelled.or_else(opaque)?;
    let none = std::collections::BTreeMap::new();
    let (claim, foreign) = claim::decode(&rr_set, set.properties.metadata.as_ref().unwrap_or(&none));
    // A set that cannot be written is nobody's of ours, whatever its metadata says.
    let claim = claim.filter(|_| !is_opaque);
    Some(Entry {
        data: ClaimedSet { set: rr_set, claim },
        version: version(set.etag.as_deref(), &foreign),
        blocks: Blocks::AsDns,
    })
}

/// The records of a modelled type; `None` for aliases, other types, and data that is not understood.
fn records(rr_type: &RrType, properties: &Properties) -> Option<Vec<RecordData>> {
    if properties.target_resource.as_ref().is_some_and(|target| target.id.is_some()) {
        return None;
    }
    match rr_type {
        RrType::A => {
            let records = properties.a.as_ref()?.iter();
            records.map(|record| record.ipv4_address.parse().ok().map(RecordData::A)).collect()
        }
        RrType::Aaaa => {
            let records = properties.aaaa.as_ref()?.iter();
            records.map(|record| record.ipv6_address.parse().ok().map(RecordData::Aaaa)).collect()
        }
        RrType::Cname => {
            let target = Fqdn::parse(&properties.cname.as_ref()?.cname).ok()?;
            Some(vec![RecordData::Cname(target)])
        }
        RrType::Txt => properties.txt.as_ref()?.iter().map(text).collect(),
        RrType::Other(_) => None,
    }
}

/// `None` for characters of which it is not known which octets the name servers send.
fn text(record: &TxtRecord) -> Option<RecordData> {
    let text = record.value.concat();
    text.is_ascii().then(|| RecordData::txt(text))
}

/// Data that is only carried, for people.
fn told(properties: &Properties) -> String {
    if let Some(id) = properties.target_resource.as_ref().and_then(|target| target.id.as_deref()) {
        return format!("alias of {id}");
    }
    let word = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let record = |record: &Value| match record {
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| format!("{name}={}", word(value)));
            members.collect::<Vec<_>>().join(" ")
        }
        other => word(other),
    };
    let data = properties.others.iter().filter(|(name, _)| name.contains("Record"));
    let told: Vec<String> = data
        .flat_map(|(_, value)| match value {
            Value::Array(records) => records.iter().map(record).collect(),
            other => vec![record(other)],
        })
        .collect();
    if !told.is_empty() {
        return told.join(", ");
    }
    let count = |records: Option<usize>| records.filter(|count| *count > 0);
    let known = [
        count(properties.a.as_ref().map(Vec::len)),
        count(properties.aaaa.as_ref().map(Vec::len)),
        count(properties.txt.as_ref().map(Vec::len)),
        properties.cname.as_ref().map(|_| 1),
    ];
    match known.into_iter().flatten().next() {
        Some(count) => format!("{count} records that are not understood"),
        None => "no records".to_owned(),
    }
}

//----------- writing --------------------------------------------------------

/// The body of a PUT, for a set that [`check`] has passed.
///
/// # Errors
/// As [`check`].
pub(super) fn body(data: &ClaimedSet, foreign: &Metadata) -> Result<Vec<u8>, Error> {
    let refuse = |why: &str| error(ErrorKind::InvalidInput, format!("writing a set: {why}")).with_key(data.set.key());
    let pairs = claim::encode(data, foreign).map_err(refuse)?;
    let metadata = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut properties = BodyProperties { metadata, ttl: data.set.ttl().as_secs(), ..BodyProperties::default() };
    for record in data.set.records() {
        match record {
            RecordData::A(address) => properties.a.push(ARecord { ipv4_address: address.to_string() }),
            RecordData::Aaaa(address) => properties.aaaa.push(AaaaRecord { ipv6_address: address.to_string() }),
            RecordData::Cname(target) => properties.cname = Some(CnameRecord { cname: zone_name(target).to_owned() }),
            RecordData::Txt(octets) => {
                let strings = octets.chunks(MOST_STRING_OCTETS);
                let value = strings.map(|octets| octets.iter().copied().map(char::from).collect()).collect();
                properties.txt.push(TxtRecord { value });
            }
            RecordData::Opaque(_) => return Err(refuse("its data is only carried")),
        }
    }
    serde_json::to_vec(&Body { properties }).map_err(|cause| refuse("it cannot be put as JSON").with_source(cause))
}

/// Whether Azure can hold what a change puts, beyond what [`dnsprovider::admit`] judges.
///
/// # Errors
/// - [`ErrorKind::InvalidInput`], which names the set.
/// - [`ErrorKind::LimitExceeded`] for too long texts.
pub(super) fn check(apex: &Fqdn, data: &ClaimedSet, foreign: &Metadata) -> Result<(), Error> {
    let key = data.set.key();
    let refuse = |kind, why: String| Err(error(kind, format!("writing a set: {why}")).with_key(key));
    if !relative(apex, &key.owner).is_some_and(is_storable) {
        let why = "Azure takes letters, digits, `-` and `_` in names, and `*` as the first label";
        return refuse(ErrorKind::InvalidInput, why.to_owned());
    }
    if let Some(target) = data.set.cname_target()
        && (target.is_root() || !is_storable(zone_name(target)) || target.as_str().starts_with('*'))
    {
        let why = format!("Azure takes letters, digits, `-` and `_` in names, not the target `{target}`");
        return refuse(ErrorKind::InvalidInput, why);
    }
    let mut characters = 0;
    for record in data.set.records() {
        if let RecordData::Txt(octets) = record {
            characters += octets.len();
            // The interface speaks of characters. Which octets the name servers make of others than these is not told.
            if octets.is_empty() || !octets.iter().all(|octet| (b' '..=b'~').contains(octet)) {
                let why = "Azure's interface has no spelling for an empty text and for octets outside of ASCII";
                return refuse(ErrorKind::InvalidInput, why.to_owned());
            }
        }
    }
    if characters > MOST_TXT_CHARACTERS {
        let why = format!("{characters} characters of text where Azure allows {MOST_TXT_CHARACTERS} in a set");
        return refuse(ErrorKind::LimitExceeded, why);
    }
    match claim::encode(data, foreign) {
        Ok(_) => Ok(()),
        Err(why) => refuse(ErrorKind::InvalidInput, why.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Fqdn {
        Fqdn::parse(text).expect("a name")
    }

    fn read(text: &str) -> Entry {
        let set: RecordSet = serde_json::from_str(text).expect("the shape of the interface");
        entry(&name("example.com"), &set).expect("a DNS name")
    }

    fn set(relative: &str, kind: &str, properties: &str) -> String {
        let id = "4d1398d0-4227-42dd-9572-27e90702c61a";
        let tail = r#""targetResource":{},"provisioningState":"Succeeded"}"#;
        format!(
            r#"{{"id":"\/x","name":"{relative}","type":"Microsoft.Network\/dnszones\/{kind}","etag":"{id}","properties":{{"fqdn":"x.","TTL":60,{properties}{tail}}}"#
        )
    }

    #[test]
    fn names_end_at_labels() {
        let apex = name("example.com");
        for (owner, expected) in [
            ("example.com", Some("@")),
            ("EXAMPLE.com.", Some("@")),
            ("www.example.com.", Some("www")),
            ("a.b.example.com", Some("a.b")),
            ("wwwexample.com", None),
            ("www.example.com.example.com", Some("www.example.com")),
            ("com", None),
        ] {
            assert_eq!(relative(&apex, &name(owner)), expected, "{owner}");
        }
        for (relative, expected) in [
            ("@", "example.com."),
            ("WWW", "www.example.com."),
            ("*.b", "*.b.example.com."),
            ("a b", "a\\032b.example.com."),
        ] {
            assert_eq!(owner(&apex, relative).as_ref().map(Fqdn::as_str), Some(expected));
        }
        for bad in ["", "a..b", &"x".repeat(64)] {
            assert_eq!(owner(&apex, bad), None);
        }
    }

    #[test]
    fn sets_are_read_in_the_shapes_of_recorded_answers() {
        let told = |text: &str| {
            let entry = read(text);
            format!("{} {} {:?}", entry.key(), entry.data.set.ttl(), entry.data.set.records())
        };
        for (text, expected) in [
            (
                set("www", "A", r#""ARecords":[{"ipv4Address":"192.0.2.2"},{"ipv4Address":"192.0.2.1"}],"#),
                "www.example.com. A 60 [192.0.2.1, 192.0.2.2]",
            ),
            (
                set("@", "AAAA", r#""AAAARecords":[{"ipv6Address":"2001:db8:0:0::1"},{"ipv6Address":"2001:DB8::1"}],"#),
                "example.com. AAAA 60 [2001:db8::1]",
            ),
            (
                set("www", "CNAME", r#""CNAMERecord":{"cname":"Contoso.com"},"#),
                "www.example.com. CNAME 60 [contoso.com.]",
            ),
            (
                set("www", "CNAME", r#""CNAMERecord":{"cname":"contoso.com."},"#),
                "www.example.com. CNAME 60 [contoso.com.]",
            ),
            (
                set("www", "TXT", r#""TXTRecords":[{"value":["foo\\;","bar "]}],"#),
                "www.example.com. TXT 60 [foo\\\\;bar ]",
            ),
            (set("www", "A", r#""ARecords":[],"#), "www.example.com. A 60 [no records]"),
            (set("www", "CNAME", ""), "www.example.com. CNAME 60 [no records]"),
            (
                set("www", "A", r#""ARecords":[{"ipv4Address":"x"}],"#),
                "www.example.com. A 60 [1 records that are not understood]",
            ),
            (
                set("@", "NS", r#""NSRecords":[{"nsdname":"ns1-03.azure-dns.com."},{"nsdname":"ns2."}],"#),
                "example.com. NS 60 [nsdname=ns1-03.azure-dns.com., nsdname=ns2.]",
            ),
        ] {
            assert_eq!(told(&text), expected);
        }
    }

    #[test]
    fn a_version_is_the_etag_and_what_others_have_put_beside() {
        let foreign = Metadata::from([("owner".to_owned(), "a\nb".to_owned())]);
        for pairs in [Metadata::new(), foreign] {
            assert_eq!(etag(&version(Some("4d13"), &pairs)), Some(("4d13", pairs)));
        }
        assert_eq!(version(None, &Metadata::new()), Version::default());
    }

    #[test]
    fn long_texts_are_split_and_odd_ones_refused() {
        let txt = |text: &[u8]| {
            let key = RrKey::new(name("www.example.com"), RrType::Txt);
            let set = RrSet::new(key, Ttl::from_secs(60).expect("a TTL"), [RecordData::txt(text)]).expect("a set");
            ClaimedSet::unclaimed(set)
        };
        let none = Metadata::new();
        let long = body(&txt(&[b'x'; 600]), &none).expect("it fits");
        let strings =
            serde_json::from_slice::<Value>(&long).expect("JSON")["properties"]["TXTRecords"][0]["value"].clone();
        let lengths: Vec<_> =
            strings.as_array().expect("strings").iter().map(|text| text.as_str().map(str::len)).collect();
        assert_eq!(lengths, [Some(255), Some(255), Some(90)]);
        let apex = name("example.com");
        for (text, kind) in [
            ("süß".as_bytes(), ErrorKind::InvalidInput),
            (b"", ErrorKind::InvalidInput),
            (&[b'x'; 4097], ErrorKind::LimitExceeded),
        ] {
            assert_eq!(check(&apex, &txt(text), &none).map_err(|error| error.kind()), Err(kind));
        }
    }
}
