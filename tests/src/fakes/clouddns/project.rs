//! What the service keeps for a project: its quotas and its zones, and how zones come to be.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::records::RecordSet;
use super::refusal::Refusal;
use super::zone::{Visibility, Zone};
use super::{rdata, schema};

//----------- Quota --------------------------------------------------

/// The quotas that `projects.get` reports and that the fake keeps.
#[derive(Clone, Debug)]
pub struct Quota {
    /// Zones in the project.
    pub managed_zones: u32,
    /// Sets in a zone, those at its apex included.
    pub rrsets_per_managed_zone: u32,
    /// Records in a set.
    pub resource_records_per_rrset: u32,
    /// Sets that one change adds.
    pub rrset_additions_per_change: u32,
    /// Sets that one change deletes.
    pub rrset_deletions_per_change: u32,
    /// Octets of record data in one change, as text.
    pub total_rrdata_size_per_change: u32,
    /// Items in a routing policy.
    pub items_per_routing_policy: u32,
    /// Records in an NS set below the apex.
    pub nameservers_per_delegation: u32,
}

impl Quota {
    pub(super) const UNLIMITED: Self = Self {
        managed_zones: u32::MAX,
        rrsets_per_managed_zone: u32::MAX,
        resource_records_per_rrset: u32::MAX,
        rrset_additions_per_change: u32::MAX,
        rrset_deletions_per_change: u32::MAX,
        total_rrdata_size_per_change: u32::MAX,
        items_per_routing_policy: u32::MAX,
        nameservers_per_delegation: u32::MAX,
    };

    pub(super) fn json(&self) -> Value {
        json!({
            "kind": "dns#quota",
            "managedZones": self.managed_zones,
            "rrsetsPerManagedZone": self.rrsets_per_managed_zone,
            "resourceRecordsPerRrset": self.resource_records_per_rrset,
            "rrsetAdditionsPerChange": self.rrset_additions_per_change,
            "rrsetDeletionsPerChange": self.rrset_deletions_per_change,
            "totalRrdataSizePerChange": self.total_rrdata_size_per_change,
            "itemsPerRoutingPolicy": self.items_per_routing_policy,
            "nameserversPerDelegation": self.nameservers_per_delegation,
        })
    }
}

impl Default for Quota {
    /// What a new project has. Source: cloud.google.com/dns/quotas, the table of limits of its older version; the newer
    /// one names no numbers. Items of a policy: no source gives a number.
    fn default() -> Self {
        Self {
            managed_zones: 10_000,
            rrsets_per_managed_zone: 10_000,
            resource_records_per_rrset: 100,
            rrset_additions_per_change: 1_000,
            rrset_deletions_per_change: 1_000,
            total_rrdata_size_per_change: 100_000,
            items_per_routing_policy: 100,
            nameservers_per_delegation: 8,
        }
    }
}

//----------- Project ------------------------------------------------

/// The state of a project.
#[derive(Debug)]
pub(super) struct Project {
    pub(super) id: String,
    pub(super) number: u64,
    pub(super) quota: Quota,
    /// In the order of their names, which is the order of lists.
    pub(super) zones: Vec<Zone>,
    /// The rights that the callers lack.
    pub(super) denied: BTreeSet<String>,
    /// The size of a page, also where more is asked for; `None` is the service's own choice.
    pub(super) page_size: Option<usize>,
    /// How many reads of a new change say `pending`.
    pub(super) pending_reads: u32,
    next_id: u64,
}

impl Project {
    pub(super) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            number: 415_104_041_262,
            quota: Quota::default(),
            zones: Vec::new(),
            denied: BTreeSet::new(),
            page_size: None,
            pending_reads: 0,
            next_id: 4_567_030_612_345_678_901,
        }
    }

    pub(super) fn zone(&mut self, name: &str) -> Result<&mut Zone, Refusal> {
        let zone = self.zones.iter_mut().find(|zone| zone.is_called(name));
        zone.ok_or_else(|| Refusal::not_found("parameters.managedZone", name))
    }

    /// Creates a zone as a request describes it.
    ///
    /// # Errors
    /// All that is wrong with the description; then a name that is taken, too many zones, no name servers left.
    pub(super) fn create_zone(&mut self, body: &Map<String, Value>) -> Result<&Zone, Refusal> {
        let text = |member: &str| body.get(member).and_then(Value::as_str);
        let mut wrong: Vec<Refusal> = ["name", "dnsName", "description"]
            .into_iter()
            .filter(|member| text(member).is_none())
            .map(|member| Refusal::required(&format!("entity.managedZone.{member}")))
            .collect();
        let (name, apex) = (text("name").unwrap_or_default(), text("dnsName").unwrap_or_default().to_ascii_lowercase());
        let mut check = |fits: bool, member: &str, value: &str| {
            if !fits {
                wrong.push(Refusal::invalid(&format!("entity.managedZone.{member}"), value));
            }
        };
        check(text("name").is_none() || is_zone_name(name), "name", name);
        let is_apex = !apex.starts_with("*.") && (apex == "." || rdata::is_owner(&apex));
        check(text("dnsName").is_none() || is_apex, "dnsName", &apex);
        let description = text("description").unwrap_or_default();
        check(description.chars().count() <= 1024, "description", description);
        let is_private = text("visibility") == Some("private");
        let private_only = ["privateVisibilityConfig", "forwardingConfig", "peeringConfig", "serviceDirectoryConfig"];
        for member in private_only.into_iter().filter(|member| body.contains_key(*member)) {
            check(is_private, member, "only for private zones");
        }
        check(!is_private || !body.contains_key("dnssecConfig"), "dnssecConfig", "only for public zones");
        Refusal::all(wrong).map_or(Ok(()), Err)?;

        if self.zones.iter().any(|zone| zone.name == name) {
            return Err(Refusal::already_exists("entity.managedZone", name));
        }
        if self.zones.len() >= self.quota.managed_zones as usize {
            return Err(Refusal::quota("The change would exceed quota for managed zones per project."));
        }
        let visibility = if is_private { Visibility::Private } else { Visibility::Public };
        let servers = self.name_servers(&apex, visibility)?;
        let zone = new_zone(self.next_id, name, &apex, body, visibility, &servers);
        self.next_id += 104_729;
        Ok(self.add(zone))
    }

    /// Adds a zone as it is.
    pub(super) fn add(&mut self, zone: Zone) -> &Zone {
        let at = self.zones.partition_point(|other| other.name < zone.name);
        self.zones.insert(at, zone);
        &self.zones[at]
    }

    /// The servers of a new zone: public zones of one name never share a set of them, and there are five.
    fn name_servers(&self, apex: &str, visibility: Visibility) -> Result<Vec<String>, Refusal> {
        if visibility == Visibility::Private {
            return Ok(vec!["ns-gcp-private.googledomains.com.".to_owned()]);
        }
        let set_of = |letter: char| (1..=4).map(|n| format!("ns-cloud-{letter}{n}.googledomains.com.")).collect();
        let is_taken = |servers: &Vec<String>| {
            let mut others = self.zones.iter().filter(|zone| zone.apex == apex);
            others.any(|zone| zone.json["nameServers"][0] == servers[0].as_str())
        };
        let reserved = matches!(apex, "." | "com." | "co.uk.");
        let free = ('a'..='e').map(set_of).find(|servers| !is_taken(servers)).filter(|_| !reserved);
        free.ok_or_else(|| {
            let message = format!("The managed zone DNS name '{apex}' is not available to be created.");
            Refusal::new(400, "managedZoneDnsNameNotAvailable", message)
        })
    }
}

/// 1 to 63 of `a-z`, `0-9` and `-`; begins with a letter, ends with no `-`.
fn is_zone_name(name: &str) -> bool {
    let all = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    all && (1..=63).contains(&name.len()) && name.starts_with(|c: char| c.is_ascii_lowercase()) && !name.ends_with('-')
}

fn new_zone(
    id: u64,
    name: &str,
    apex: &str,
    body: &Map<String, Value>,
    visibility: Visibility,
    servers: &[String],
) -> Zone {
    let now = timestamp(0);
    let mut json = Value::Object(body.clone());
    json["dnsName"] = apex.into();
    json["id"] = id.to_string().into();
    json["nameServers"] = servers.to_vec().into();
    json["creationTime"] = now.as_str().into();
    match visibility {
        Visibility::Private => json["visibility"] = "private".into(),
        Visibility::Public => {
            json["visibility"] = "public".into();
            if json.get("dnssecConfig").is_none() {
                json["dnssecConfig"] = dnssec_off();
            }
        }
    }
    let json = schema::with_kinds("ManagedZone", &json, true);
    let mut zone = bare_zone(id, name, apex, json);
    let soa = format!("{} cloud-dns-hostmaster.google.com. 1 21600 3600 259200 300", servers[0]);
    let sets = vec![RecordSet::new(apex, "SOA", 21_600, [soa]), RecordSet::new(apex, "NS", 21_600, servers.to_vec())];
    sets.iter().cloned().for_each(|set| zone.put(set));
    zone.record(sets, Vec::new(), now);
    zone
}

/// A zone of this JSON without any set.
pub(super) fn bare_zone(id: u64, name: &str, apex: &str, json: Value) -> Zone {
    Zone {
        name: name.to_owned(),
        id,
        apex: apex.to_owned(),
        json,
        sets: std::collections::BTreeMap::new(),
        changes: Vec::new(),
        operation_ids: Vec::new(),
    }
}

/// What a public zone says of DNSSEC that nobody asked for, as recorded.
fn dnssec_off() -> Value {
    let spec = |use_: &str, bits: u32| json!({"keyType": use_, "algorithm": "rsasha256", "keyLength": bits});
    json!({
        "state": "off", "nonExistence": "nsec3",
        "defaultKeySpecs": [spec("keySigning", 2048), spec("zoneSigning", 1024)],
    })
}

//----------- Time ---------------------------------------------------

/// The time of day some seconds from now, as RFC 3339 has it.
pub(super) fn timestamp(seconds_from_now: u64) -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, millis) = (since.as_secs() + seconds_from_now, since.subsec_millis());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{millis:03}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

/// The date of a day since 1970-01-01, in the calendar of years that begin in March.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // since 0000-03-01
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_dates() {
        for (days, is) in [(0, (1970, 1, 1)), (11_016, (2000, 2, 29)), (11_017, (2000, 3, 1)), (20_778, (2026, 11, 21))]
        {
            assert_eq!(date(days), is);
        }
    }

    #[test]
    fn zone_names_are_plain() {
        for name in ["a", "a-1", &"a".repeat(63)] {
            assert!(is_zone_name(name), "{name}");
        }
        for name in ["", "1a", "a-", "A", "a_b", "a.b", &"a".repeat(64)] {
            assert!(!is_zone_name(name), "{name}");
        }
    }
}
