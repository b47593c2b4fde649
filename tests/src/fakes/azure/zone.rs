//! Zones and record sets as Azure holds and shows them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::spec::member_of;

//----------- RecordSet ----------------------------------------------

/// A record set. All texts are as they were written.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordSet {
    /// The relative name, `@` at the apex.
    pub name: String,
    /// The type in capitals.
    pub record_type: String,
    /// The version; another one after each write.
    pub etag: String,
    /// Seconds.
    pub ttl: i64,
    /// Pairs that mean nothing to DNS.
    pub metadata: BTreeMap<String, String>,
    /// The resource that an alias set takes its records from.
    pub target: Option<String>,
    /// The records as the vendor's JSON has them, such as `{"ipv4Address":"192.0.2.1"}`.
    pub records: Vec<Value>,
}

impl RecordSet {
    /// A set without metadata whose ETag is still missing.
    pub fn new(name: &str, record_type: &str, ttl: i64, records: impl Into<Vec<Value>>) -> Self {
        Self {
            name: name.into(),
            record_type: record_type.into(),
            etag: String::new(),
            ttl,
            metadata: BTreeMap::new(),
            target: None,
            records: records.into(),
        }
    }

    /// An A set.
    pub fn a(name: &str, ttl: i64, addresses: &[&str]) -> Self {
        Self::new(name, "A", ttl, addresses.iter().map(|text| json!({ "ipv4Address": text })).collect::<Vec<_>>())
    }

    /// An AAAA set.
    pub fn aaaa(name: &str, ttl: i64, addresses: &[&str]) -> Self {
        Self::new(name, "AAAA", ttl, addresses.iter().map(|text| json!({ "ipv6Address": text })).collect::<Vec<_>>())
    }

    /// A CNAME set.
    pub fn cname(name: &str, ttl: i64, target: &str) -> Self {
        Self::new(name, "CNAME", ttl, [json!({ "cname": target })])
    }

    /// A TXT set of records of one string.
    pub fn txt(name: &str, ttl: i64, texts: &[&str]) -> Self {
        Self::new(name, "TXT", ttl, texts.iter().map(|text| json!({ "value": [text] })).collect::<Vec<_>>())
    }

    /// An alias set that takes its records from the resource of this id.
    pub fn alias(name: &str, record_type: &str, target: &str) -> Self {
        Self { target: Some(target.into()), ..Self::new(name, record_type, 3600, []) }
    }

    /// With one more pair of metadata.
    #[must_use]
    pub fn with_metadata(mut self, name: &str, value: &str) -> Self {
        self.metadata.insert(name.into(), value.into());
        self
    }

    /// The records without their JSON, in the text of zone files as far as that is the text of the members.
    pub fn texts(&self) -> Vec<String> {
        let text = |value: &Value| match value {
            Value::Array(texts) => texts.iter().filter_map(Value::as_str).collect(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let record = |record: &Value| {
            let members = record.as_object().into_iter().flatten();
            members.map(|(_, value)| text(value)).collect::<Vec<_>>().join(" ")
        };
        self.records.iter().map(record).collect()
    }

    pub(super) fn key(&self) -> Key {
        Key::new(&self.name, &self.record_type)
    }

    /// As the vendor shows it.
    pub(super) fn json(&self, zone: &Zone) -> Value {
        let fqdn = if self.name == "@" { format!("{}.", zone.name) } else { format!("{}.{}.", self.name, zone.name) };
        let mut properties = Map::new();
        if !self.metadata.is_empty() {
            properties.insert("metadata".into(), json!(self.metadata));
        }
        properties.insert("fqdn".into(), json!(fqdn));
        properties.insert("TTL".into(), json!(self.ttl));
        match (self.record_type.as_str(), &self.target) {
            (_, Some(_)) => {} // an alias set shows no records (test_dns_alias.yaml)
            ("CNAME" | "SOA", None) => {
                if let Some(record) = self.records.first() {
                    properties.insert(member_of(&self.record_type).into(), record.clone());
                }
            }
            (record_type, None) => {
                properties.insert(member_of(record_type).into(), json!(self.records));
            }
        }
        let target = self.target.as_ref().map_or_else(|| json!({}), |id| json!({ "id": id }));
        properties.insert("targetResource".into(), target);
        properties.insert("provisioningState".into(), json!("Succeeded"));
        json!({
            "id": format!("{}/{}/{}", zone.id, self.record_type, self.name),
            "name": self.name,
            "type": format!("Microsoft.Network/dnszones/{}", self.record_type),
            "etag": self.etag,
            "properties": properties,
        })
    }
}

/// Where a set sits in its zone; sorts as the vendor lists: the apex first, then by labels from the right, then by type.
/// Source: the lists of the recordings (`test_dns_zone2_import.yaml`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    labels: Vec<String>,
    record_type: String,
}

impl Key {
    /// Names are the same without regard to case.
    pub(super) fn new(name: &str, record_type: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let labels = if name == "@" { Vec::new() } else { name.rsplit('.').map(str::to_owned).collect() };
        Self { labels, record_type: record_type.to_ascii_uppercase() }
    }

    pub(super) fn record_type(&self) -> &str {
        &self.record_type
    }

    pub(super) fn text(&self) -> String {
        let labels: Vec<&str> = self.labels.iter().rev().map(String::as_str).collect();
        format!("{}/{}", self.record_type, labels.join("."))
    }

    pub(super) fn from_text(text: &str) -> Option<Self> {
        let (record_type, name) = text.split_once('/')?;
        Some(Self::new(if name.is_empty() { "@" } else { name }, record_type))
    }
}

//----------- Zone ---------------------------------------------------

/// A zone in its resource group.
#[derive(Clone, Debug)]
pub(super) struct Zone {
    /// The full id, in the spelling of answers (`dnszones`).
    pub(super) id: String,
    /// Without a final dot.
    pub(super) name: String,
    pub(super) etag: String,
    pub(super) private: bool,
    pub(super) tags: Map<String, Value>,
    /// Members of the properties that are only stored.
    pub(super) networks: Map<String, Value>,
    pub(super) name_servers: Vec<String>,
    pub(super) sets: BTreeMap<Key, RecordSet>,
    /// The operation that deletes it, while that is under way.
    pub(super) deletion: Option<String>,
}

impl Zone {
    /// A zone with its NS and SOA sets, on the name servers of this number.
    pub(super) fn new(id: String, name: &str, number: usize, private: bool) -> Self {
        let hosts = ["com", "net", "org", "info"].iter().enumerate();
        let name_servers: Vec<String> =
            hosts.map(|(at, tld)| format!("ns{}-{number:02}.azure-dns.{tld}.", at + 1)).collect();
        let soa = json!({
            "host": name_servers[0], "email": "azuredns-hostmaster.microsoft.com", "serialNumber": 1,
            "refreshTime": 3600, "retryTime": 300, "expireTime": 2_419_200, "minimumTTL": 300,
        });
        let ns: Vec<Value> = name_servers.iter().map(|host| json!({ "nsdname": host })).collect();
        let mut sets = vec![RecordSet::new("@", "SOA", 3600, [soa])];
        if !private {
            sets.push(RecordSet::new("@", "NS", 172_800, ns));
        }
        Self {
            id,
            name: name.into(),
            etag: String::new(),
            private,
            tags: Map::new(),
            networks: Map::new(),
            name_servers: if private { Vec::new() } else { name_servers },
            sets: sets.into_iter().map(|set| (set.key(), set)).collect(),
            deletion: None,
        }
    }

    /// The sets of one name.
    pub(super) fn at<'a>(&'a self, key: &'a Key) -> impl Iterator<Item = &'a Key> {
        let first = Key { labels: key.labels.clone(), record_type: String::new() };
        self.sets.range(first..).map(|(other, _)| other).take_while(|other| other.labels == key.labels)
    }

    /// As the vendor shows it.
    pub(super) fn json(&self, most_sets: usize) -> Value {
        let mut properties = self.networks.clone();
        properties.insert("maxNumberOfRecordSets".into(), json!(most_sets));
        properties.insert("maxNumberOfRecordsPerRecordSet".into(), Value::Null);
        properties.insert("nameServers".into(), json!(self.name_servers));
        properties.insert("numberOfRecordSets".into(), json!(self.sets.len()));
        properties.insert("zoneType".into(), json!(if self.private { "Private" } else { "Public" }));
        json!({
            "id": self.id, "name": self.name, "type": "Microsoft.Network/dnszones", "etag": self.etag,
            "location": "global", "tags": self.tags, "properties": properties,
        })
    }
}
