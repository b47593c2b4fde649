//! Keys and values as CoreDNS's `etcd` plugin and federation v1 spell them.
//!
//! Source: the SkyDNS message format, <https://coredns.io/plugins/etcd/>; federation v1's coredns provider.
//! In: names, keys, octets · Out: the same in the other form · Pure: yes · Called by: `convert`, `plan`, `read`

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::net::IpAddr;

use dnsprovider::{Fqdn, RecordData, RrType};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

//----------- Layout ---------------------------------------------------------

/// Where the names of one zone lie in the store.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) apex: Fqdn,
    /// Key of the apex, and prefix of all others.
    pub(super) path: String,
    prefix: String,
    /// Zones of the same config below this one; their keys are not this zone's.
    nested: Vec<Fqdn>,
}

/// CoreDNS looks here first when the name of the zone itself is asked. Source: coredns plugin/backend_lookup.go.
const APEX_LEAVES: &str = "dns/apex/";

impl Layout {
    /// Zone `apex` among the `zones` of the config; `None` when its name has a label that no key can hold.
    pub(super) fn new(prefix: &str, apex: &Fqdn, zones: &[Fqdn]) -> Option<Self> {
        let nested = zones.iter().filter(|zone| *zone != apex && zone.is_at_or_below(apex)).cloned().collect();
        let prefix = prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
        Some(Self { apex: apex.clone(), path: path(&prefix, apex)?, prefix, nested })
    }

    /// True for the names of this zone, false for those outside and those of a zone nested in it.
    pub(super) fn holds(&self, name: &Fqdn) -> bool {
        name.is_at_or_below(&self.apex) && !self.nested.iter().any(|zone| name.is_at_or_below(zone))
    }

    /// True when another zone of the config lies in this one.
    pub(super) fn has_nested(&self) -> bool {
        !self.nested.is_empty()
    }

    /// The key exactly at a name; `None` when a label holds what no key can.
    pub(super) fn path(&self, name: &Fqdn) -> Option<String> {
        path(&self.prefix, name)
    }

    /// The name of a key or of the beginning of one that ends at a label.
    pub(super) fn name(&self, key: &str) -> Option<Fqdn> {
        let labels = key.strip_prefix(&self.prefix)?;
        if labels.is_empty() {
            return Some(Fqdn::root());
        }
        let mut text = String::with_capacity(labels.len());
        for label in labels.strip_prefix('/')?.rsplit('/') {
            if label.is_empty() {
                return None;
            }
            text.push_str(label);
            text.push('.');
        }
        // miekg/dns escapes a blank as `\ `, which is not canonical here.
        Fqdn::parse(&text.replace("\\ ", "\\032")).ok()
    }

    /// The name at which the records of a leaf key are asked, given the name of the key above the leaf.
    pub(super) fn owner_of_leaves(&self, above: &Fqdn) -> Fqdn {
        if above.relative_to(&self.apex) == Some("apex.dns") { self.apex.clone() } else { above.clone() }
    }

    /// What stands between the key of a name and the leaves that are written for it.
    pub(super) fn leaves(&self, owner: &Fqdn) -> &'static str {
        if *owner == self.apex { APEX_LEAVES } else { "" }
    }

    /// The first key behind all those of a nested zone, for a key in one.
    pub(super) fn end_of_nested(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.nested.iter().filter_map(|zone| self.path(zone)).find_map(|nested| {
            let below = key.strip_prefix(nested.as_bytes())?;
            (below.first() == Some(&b'/')).then(|| end_below(&nested))
        })
    }
}

/// The first key behind those below the name with key `path`.
pub(super) fn end_below(path: &str) -> Vec<u8> {
    // `0` is the octet after `/`.
    format!("{path}0").into_bytes()
}

/// `/skydns` + labels reversed, as CoreDNS makes a key of a name that was asked.
fn path(prefix: &str, name: &Fqdn) -> Option<String> {
    let mut path = String::with_capacity(prefix.len() + name.as_str().len() + 1);
    path.push_str(prefix);
    for label in name.labels().rev() {
        path.push('/');
        push_label(&mut path, label)?;
    }
    Some(path)
}

/// Writes a label with the escapes of miekg/dns, which CoreDNS looks up. Source: miekg/dns `isDomainNameLabelSpecial`.
fn push_label(path: &mut String, label: &str) -> Option<()> {
    let mut bytes = label.bytes();
    while let Some(byte) = bytes.next() {
        let octet = match byte {
            b'\\' => match bytes.next()? {
                digit @ b'0'..=b'9' => {
                    let value = |digit: u8| u32::from(digit - b'0');
                    let (tens, ones) = (bytes.next()?, bytes.next()?);
                    u8::try_from(value(digit) * 100 + value(tens) * 10 + value(ones)).ok()?
                }
                other => other,
            },
            plain => plain,
        };
        match octet {
            b'/' => return None,
            b'.' | b' ' | b'\'' | b'@' | b';' | b'(' | b')' | b'"' | b'\\' => {
                path.push('\\');
                path.push(char::from(octet));
            }
            b'!'..=b'~' => path.push(char::from(octet)),
            other => write!(path, "\\{other:03}").expect("writing to a String cannot fail"),
        }
    }
    Some(())
}

//----------- Message --------------------------------------------------------

/// The value of a key, borrowed from where it stands. Fields that are not listed are ignored, as CoreDNS does.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(super) struct Message<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) host: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ttl: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) group: Option<Text<'a>>,
    #[serde(skip_serializing)]
    pub(super) port: Option<i64>,
    #[serde(skip_serializing)]
    pub(super) mail: Option<bool>,
    #[serde(rename = "dns-syncd", skip_serializing_if = "Option::is_none")]
    pub(super) mark: Option<Mark<'a>>,
}

/// The claim on one key.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct Mark<'a> {
    pub(super) claim: Text<'a>,
    #[serde(default)]
    pub(super) federation: Text<'a>,
    /// Absent where the claim does not speak of this record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) clusters: Option<Vec<Text<'a>>>,
}

/// A string of a value, copied only where it has escapes. serde's own `Option<Cow<str>>` copies always.
#[derive(Debug, Default)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text))
    }
}

impl std::ops::Deref for Text<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(text.into())
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(text.to_owned().into())
            }
        }

        deserializer.deserialize_str(TextVisitor)
    }
}

/// What CoreDNS answers for a key without a TTL. Source: coredns plugin/etcd, `defaultTTL`.
pub(super) const DEFAULT_TTL: u32 = 300;

impl Message<'_> {
    /// The record as CoreDNS answers it; `None` when it is none of the modelled types or of several at once.
    pub(super) fn record(&self) -> Option<(RrType, RecordData)> {
        if self.port.unwrap_or(0) != 0 || self.mail == Some(true) {
            return None;
        }
        let host = self.host.as_deref().unwrap_or_default();
        let text = self.text.as_deref().unwrap_or_default();
        match (host, text) {
            ("", "") => None,
            ("", text) => Some((RrType::Txt, RecordData::txt(text_octets(text)))),
            // An IPv4-mapped address is an A record to Go's net.IP.
            (host, "") => match host.parse::<IpAddr>().map(|address| address.to_canonical()) {
                Ok(address @ IpAddr::V4(_)) => Some((RrType::A, address.into())),
                Ok(address) => Some((RrType::Aaaa, address.into())),
                Err(_) => Some((RrType::Cname, RecordData::Cname(Fqdn::parse(host).ok()?))),
            },
            _ => None,
        }
    }

    /// True when the group says that the record belongs to `name`.
    pub(super) fn groups_under(&self, name: &Fqdn) -> bool {
        let Some(group) = self.group.as_deref() else { return false };
        // As we write it, which saves reading it.
        group == without_dot(name) || Fqdn::parse(group).is_ok_and(|group| group == *name)
    }

    /// Puts a record in place; `None` when the format cannot hold it.
    pub(super) fn with_record(mut self, record: &RecordData) -> Option<Self> {
        match record {
            // CoreDNS would answer it as an A record.
            RecordData::Aaaa(address) if address.to_ipv4_mapped().is_some() => return None,
            RecordData::A(_) | RecordData::Aaaa(_) => self.host = Some(record.to_string().into()),
            RecordData::Cname(target) => self.host = Some(without_dot(target).to_owned().into()),
            RecordData::Txt(text) if !text.is_empty() => self.text = Some(text_of(text).into()),
            RecordData::Txt(_) | RecordData::Opaque(_) => return None,
        }
        Some(self)
    }
}

/// A name as v1's examples and CoreDNS's own write it.
pub(super) fn without_dot(name: &Fqdn) -> &str {
    name.as_str().strip_suffix('.').filter(|text| !text.is_empty()).unwrap_or(name.as_str())
}

/// Text with the escapes that miekg/dns resolves when CoreDNS packs a TXT record.
fn text_of(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len());
    for &octet in octets {
        match octet {
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' => text.push(char::from(octet)),
            other => write!(text, "\\{other:03}").expect("writing to a String cannot fail"),
        }
    }
    text
}

fn text_octets(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut octets = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escaped = bytes.get(at + 1..at + 4).and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u8>().ok());
        match (byte, bytes.get(at + 1)) {
            (b'\\', Some(next)) if next.is_ascii_digit() && escaped.is_some() => {
                octets.extend(escaped);
                at += 4;
            }
            (b'\\', Some(next)) => {
                octets.push(*next);
                at += 2;
            }
            _ => {
                octets.push(byte);
                at += 1;
            }
        }
    }
    octets
}

/// The last part of the key of a record, as federation v1 made it: FNV-1a, 32 bits, lower-case hex without padding.
pub(super) fn leaf(record: &RecordData) -> String {
    format!("{:x}", hash(record))
}

/// True when `text` is what [`leaf`] gives.
pub(super) fn is_leaf(record: &RecordData, text: &str) -> bool {
    let canonical = text == "0" || !text.starts_with('0');
    let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    canonical && is_hex && u32::from_str_radix(text, 16) == Ok(hash(record))
}

fn hash(record: &RecordData) -> u32 {
    let mut hash = Fnv(0x811c_9dc5);
    match record {
        RecordData::Txt(text) => hash.write_str(&text_of(text)),
        RecordData::Cname(target) => hash.write_str(without_dot(target)),
        other => write!(hash, "{other}"),
    }
    .expect("hashing cannot fail");
    hash.0
}

struct Fnv(u32);

impl fmt::Write for Fnv {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = text.bytes().fold(self.0, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        Ok(())
    }
}
