//! What the account holds: zones, their sets, and the changes that were accepted.

use std::collections::{BTreeMap, BTreeSet};

use super::names::Name;
use super::xml::Element;

/// A set as the service shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordSet {
    /// The owner name.
    pub name: Name,
    /// `A`, `TXT`, …
    pub rr_type: String,
    /// What tells sets of one name and type apart.
    pub set_identifier: Option<String>,
    /// Seconds; `None` of an alias.
    pub ttl: Option<u32>,
    /// The values as they were sent, in their order; empty of an alias.
    pub values: Vec<String>,
    /// All other elements: `Weight`, `Region`, `GeoLocation`, `Failover`, `MultiValueAnswer`, `AliasTarget`,
    /// `HealthCheckId`, `TrafficPolicyInstanceId`, `CidrRoutingConfig`, `GeoProximityLocation`.
    pub more: Vec<Element>,
}

/// Where a set stands in the list: by name, then type, then identifier.
pub type Key = (Name, String, Option<String>);

/// Elements of a set in the order in which the service writes them.
const ORDER: [&str; 15] = [
    "Name",
    "Type",
    "SetIdentifier",
    "Weight",
    "Region",
    "GeoLocation",
    "Failover",
    "MultiValueAnswer",
    "TTL",
    "ResourceRecords",
    "AliasTarget",
    "HealthCheckId",
    "TrafficPolicyInstanceId",
    "CidrRoutingConfig",
    "GeoProximityLocation",
];

impl RecordSet {
    /// A simple set.
    ///
    /// # Panics
    /// When the name is none: the test is wrong.
    pub fn simple<V: Into<String>>(name: &str, rr_type: &str, ttl: u32, values: impl IntoIterator<Item = V>) -> Self {
        Self {
            name: Name::parse(name).unwrap_or_else(|why| panic!("{why}")),
            rr_type: rr_type.to_owned(),
            set_identifier: None,
            ttl: Some(ttl),
            values: values.into_iter().map(Into::into).collect(),
            more: Vec::new(),
        }
    }

    /// An alias of a name in the zone with this id.
    ///
    /// # Panics
    /// When the name is none: the test is wrong.
    pub fn alias(name: &str, rr_type: &str, zone: &str, target: &str) -> Self {
        let alias = vec![
            Element::text("HostedZoneId", zone),
            Element::text("DNSName", target),
            Element::text("EvaluateTargetHealth", "false"),
        ];
        let more = vec![Element::parent("AliasTarget", alias)];
        Self { ttl: None, more, ..Self::simple::<String>(name, rr_type, 0, []) }
    }

    /// Makes it one of several of its name and type: `("Weight", "10")`, `("Region", "eu-west-1")`, …
    #[must_use]
    pub fn routed(mut self, identifier: &str, element: Element) -> Self {
        self.set_identifier = Some(identifier.to_owned());
        self.more.push(element);
        self
    }

    /// Where it stands in the list.
    pub fn key(&self) -> Key {
        (self.name.clone(), self.rr_type.clone(), self.set_identifier.clone())
    }

    /// Another element of it.
    pub fn element(&self, name: &str) -> Option<&Element> {
        self.more.iter().find(|element| element.name == name)
    }

    /// As it is written.
    pub fn to_xml(&self) -> Element {
        let mut elements = vec![Element::text("Name", self.name.as_str()), Element::text("Type", &self.rr_type)];
        elements.extend(self.set_identifier.as_ref().map(|id| Element::text("SetIdentifier", id)));
        elements.extend(self.ttl.map(|ttl| Element::text("TTL", ttl.to_string())));
        if !self.values.is_empty() {
            let record = |value: &String| Element::parent("ResourceRecord", vec![Element::text("Value", value)]);
            elements.push(Element::parent("ResourceRecords", self.values.iter().map(record).collect()));
        }
        elements.extend(self.more.iter().cloned());
        elements.sort_by_key(|element| ORDER.iter().position(|name| *name == element.name));
        Element::parent("ResourceRecordSet", elements)
    }

    /// What a deletion must name exactly: all of it, the values in any order.
    ///
    /// `MultiValueAnswer` may be left out, as Terraform does (getmoto/moto#7153).
    pub(super) fn same_as(&self, other: &Self) -> bool {
        let values = |set: &Self| set.values.iter().cloned().collect::<BTreeSet<_>>();
        let more = |set: &Self| {
            let mut more = set.more.clone();
            more.retain(|element| element.name != "MultiValueAnswer");
            more.sort_by(|a, b| a.name.cmp(&b.name));
            more
        };
        self.key() == other.key() && self.ttl == other.ttl && values(self) == values(other) && more(self) == more(other)
    }
}

/// A hosted zone.
#[derive(Clone, Debug)]
pub struct Zone {
    /// The bare id, without `/hostedzone/`.
    pub id: String,
    /// The apex.
    pub name: Name,
    /// What the creator named its request.
    pub caller_reference: String,
    /// The comment, where there is one.
    pub comment: Option<String>,
    /// The networks that see it, as (region, id); a public zone has none.
    pub vpcs: Vec<(String, String)>,
    /// Its sets in the order of the list.
    pub sets: BTreeMap<Key, RecordSet>,
}

impl Zone {
    /// Whether only its networks see it.
    pub fn is_private(&self) -> bool {
        !self.vpcs.is_empty()
    }

    /// The name servers, those of the NS set at the apex.
    pub fn name_servers(&self) -> Vec<String> {
        let key = (self.name.clone(), "NS".to_owned(), None);
        let values = self.sets.get(&key).map(|set| set.values.clone()).unwrap_or_default();
        values.iter().map(|value| value.trim_end_matches('.').to_owned()).collect()
    }

    /// Whether it holds no more than the SOA and NS of its apex.
    pub fn is_empty(&self) -> bool {
        self.sets.values().all(|set| set.name == self.name && ["SOA", "NS"].contains(&set.rr_type.as_str()))
    }
}

/// The numbers that the service enforces; a test may lower them.
#[derive(Clone, Debug)]
pub struct Limits {
    /// `ResourceRecord` elements of a batch; an alias counts as one, an UPSERT twice. Source: reference §1.
    pub records_per_batch: usize,
    /// Characters of all `Value` elements of a batch, those of an UPSERT twice. Source: reference §1.
    pub characters_per_batch: usize,
    /// Values of a set. Source: reference §1.
    pub values_per_set: usize,
    /// Weighted, latency, geolocation and multivalue sets of one name and type. Source: reference §1.
    pub routed_sets: usize,
    /// Sets of a zone. Source: reference §1.
    pub sets_per_zone: usize,
    /// Zones of the account. Source: reference §1.
    pub zones: usize,
    /// Sets on a page where the request names no number. Source: 87 recorded answers.
    pub page_default: usize,
    /// Sets on a page at most. Source: the documentation of `ListResourceRecordSets` in the model.
    pub page_most: usize,
    /// Zones on a page, by default and at most. Source: the documentation of `ListHostedZones` in the model.
    pub zones_page: usize,
    /// How often `GetChange` says `PENDING` before `INSYNC`.
    pub pending_polls: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            records_per_batch: 1000,
            characters_per_batch: 32_000,
            values_per_set: 400,
            routed_sets: 100,
            sets_per_zone: 10_000,
            zones: 500,
            page_default: 100,
            page_most: 300,
            zones_page: 100,
            pending_polls: 1,
        }
    }
}

/// A change that was accepted.
#[derive(Clone, Debug)]
pub(super) struct Accepted {
    pub(super) comment: Option<String>,
    pub(super) polls: u32,
}

/// All that the account holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    /// By id.
    pub(super) zones: BTreeMap<String, Zone>,
    pub(super) changes: BTreeMap<String, Accepted>,
    pub(super) limits: Limits,
    /// The networks that exist, as (region, id).
    pub(super) vpcs: BTreeSet<(String, String)>,
    /// Rights that are missing: an operation, and the zone (`None`: every one).
    pub(super) denied: Vec<(String, Option<String>)>,
    /// Caller references of all zones that ever were.
    pub(super) references: BTreeSet<String>,
    numbers: u32,
}

impl Account {
    /// An id that was never used. The ids are in no order that means anything.
    pub(super) fn fresh_id(&mut self, letter: char) -> String {
        self.numbers += 1;
        format!("{letter}{:010}{:09}", self.numbers.wrapping_mul(2_654_435_761), self.numbers)
    }

    /// Adds a zone with its first two sets, as the service makes them.
    pub(super) fn add_zone(&mut self, zone: Zone) -> &mut Zone {
        let mut zone = zone;
        let number = self.numbers % 512;
        let servers: Vec<String> = [(0, "com"), (512, "net"), (1024, "org"), (1536, "co.uk")]
            .map(|(base, tld)| format!("ns-{}.awsdns-{:02}.{tld}.", base + number, number % 64))
            .to_vec();
        let soa = format!("{} awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400", servers[0]);
        let apex = zone.name.to_string();
        for set in [RecordSet::simple(&apex, "NS", 172_800, servers), RecordSet::simple(&apex, "SOA", 900, [soa])] {
            zone.sets.insert(set.key(), set);
        }
        self.references.insert(zone.caller_reference.clone());
        self.zones.entry(zone.id.clone()).or_insert(zone)
    }

    /// The zones in the order of `ListHostedZonesByName`: by name, then id.
    pub(super) fn zones_by_name(&self) -> Vec<&Zone> {
        let mut zones: Vec<&Zone> = self.zones.values().collect();
        zones.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        zones
    }
}
