//! Names and records that Azure takes.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Map, Value};

use super::answer::Refusal;
use super::spec::{LARGEST_TTL, Limits, RECORD_TYPES, member_of, record_members};
use super::zone::RecordSet;

/// Applies the properties of a request to a set.
///
/// In a PUT the set is a fresh one and all of it comes from the request; in a PATCH what is absent stays.
pub(super) fn apply(set: &mut RecordSet, properties: &Map<String, Value>, whole: bool) -> Result<(), Refusal> {
    let own = member_of(&set.record_type);
    if let Some(other) = record_members().find(|member| *member != own && properties.contains_key(*member)) {
        let message = format!("The record set of type '{}' cannot have the member '{other}'.", set.record_type);
        return Err(Refusal::bad(message));
    }
    match properties.get("TTL").and_then(Value::as_i64) {
        Some(ttl) if (0..=LARGEST_TTL).contains(&ttl) => set.ttl = ttl,
        Some(ttl) => return Err(Refusal::bad(format!("The TTL '{ttl}' is not in the range 0 to {LARGEST_TTL}."))),
        None if whole => return Err(Refusal::bad("The resource record is missing field 'TTL'.")),
        None => {}
    }
    if let Some(Value::Object(metadata)) = properties.get("metadata") {
        let pairs = metadata.iter().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
        set.metadata = pairs.collect();
    }
    if let Some(target) = properties.get("targetResource") {
        // An empty object is what answers carry where there is no alias.
        set.target = target.get("id").and_then(Value::as_str).map(str::to_owned);
    }
    match properties.get(own) {
        Some(Value::Array(records)) => set.records.clone_from(records),
        Some(record) => set.records = vec![record.clone()],
        None => {}
    }
    Ok(())
}

/// Refuses a set that Azure would refuse whatever else the zone holds.
pub(super) fn check(set: &RecordSet, limits: &Limits) -> Result<(), Refusal> {
    metadata(set, limits)?;
    if let Some(target) = &set.target {
        return alias(set, target);
    }
    for record in &set.records {
        one(&set.record_type, record)?;
    }
    if let Some(twice) =
        (1..set.records.len()).find(|at| set.records[..*at].iter().any(|other| same(other, &set.records[*at])))
    {
        let message = format!("The record set has the record '{}' twice.", set.records[twice]);
        return Err(Refusal::bad(message));
    }
    let most = if set.record_type == "TXT" { limits.txt_records } else { limits.records };
    if set.records.len() > most {
        // Status and the likeness of the text: the quota of sets in a zone, and terraform-provider-azurerm#12406.
        let message = format!(
            "You have reached or exceeded the maximum number of records in record set '{}'. You have {} records of \
             {most} allowed.",
            set.name,
            set.records.len()
        );
        return Err(Refusal::conflict(None, message));
    }
    if set.record_type == "TXT" {
        let strings = set.records.iter().filter_map(|record| record["value"].as_array()).flatten();
        let characters: usize = strings.filter_map(Value::as_str).map(|text| text.chars().count()).sum();
        if characters > limits.txt_characters {
            let message = format!(
                "The combined length of all TXT records in a record set may not exceed {} characters.",
                limits.txt_characters
            );
            return Err(Refusal::bad(message));
        }
    }
    Ok(())
}

fn metadata(set: &RecordSet, limits: &Limits) -> Result<(), Refusal> {
    let (name, value) = limits.metadata_characters;
    let long = |(key, text): (&String, &String)| key.chars().count() > name || text.chars().count() > value;
    if set.metadata.len() > limits.metadata_pairs || set.metadata.iter().any(long) {
        let message = format!("The metadata of record set '{}' exceeds the limit that the test has set.", set.name);
        return Err(Refusal::bad(message));
    }
    Ok(())
}

/// Source: Microsoft's "Azure DNS alias records overview".
fn alias(set: &RecordSet, target: &str) -> Result<(), Refusal> {
    if !["A", "AAAA", "CNAME"].contains(&set.record_type.as_str()) {
        let message = format!("A record set of type '{}' cannot have a target resource.", set.record_type);
        return Err(Refusal::bad(message));
    }
    if !set.records.is_empty() {
        return Err(Refusal::bad("A record set cannot have both records and a target resource."));
    }
    let words: Vec<&str> = target.split('/').collect();
    let id = words.len() >= 9 && words[0].is_empty() && words[1].eq_ignore_ascii_case("subscriptions");
    if !id || !words[5].eq_ignore_ascii_case("providers") || words.iter().skip(1).any(|word| word.is_empty()) {
        return Err(Refusal::bad(format!("The target resource id '{target}' is invalid.")));
    }
    Ok(())
}

fn same(one: &Value, other: &Value) -> bool {
    if let (Some(one), Some(other)) = (one["ipv6Address"].as_str(), other["ipv6Address"].as_str()) {
        return one.parse::<Ipv6Addr>().ok() == other.parse::<Ipv6Addr>().ok();
    }
    one == other
}

fn one(record_type: &str, record: &Value) -> Result<(), Refusal> {
    let text = |name: &str| record[name].as_str().unwrap_or_default();
    let host = |name: &str| domain(text(name), false);
    match record_type {
        "A" => match text("ipv4Address").parse::<Ipv4Addr>() {
            Ok(_) => Ok(()),
            Err(_) => Err(Refusal::bad(format!("The IPv4 address '{}' is invalid.", text("ipv4Address")))),
        },
        "AAAA" => match text("ipv6Address").parse::<Ipv6Addr>() {
            Ok(_) => Ok(()),
            Err(_) => Err(Refusal::bad(format!("The IPv6 address '{}' is invalid.", text("ipv6Address")))),
        },
        "CAA" => {
            within(record, "flags", 255)?;
            let tag = text("tag");
            // A recording has the tags `foo` and `tag56`, so any that RFC 8659 allows is taken.
            if tag.is_empty() || !tag.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                return Err(Refusal::bad(format!("The CAA tag '{tag}' is invalid.")));
            }
            string(text("value"), 1024)
        }
        "CNAME" => host("cname"),
        "MX" => within(record, "preference", 65_535).and_then(|()| host("exchange")),
        "NS" => host("nsdname"),
        "PTR" => host("ptrdname"),
        "SRV" => {
            for name in ["priority", "weight", "port"] {
                within(record, name, 65_535)?;
            }
            host("target")
        }
        "SOA" => {
            for name in ["serialNumber", "refreshTime", "retryTime", "expireTime", "minimumTTL"] {
                within(record, name, i64::from(u32::MAX))?;
            }
            host("host")?;
            host("email")
        }
        _ => {
            let strings = record["value"].as_array().map(Vec::as_slice).unwrap_or_default();
            if strings.is_empty() {
                return Err(Refusal::bad("The resource record is missing field 'value'."));
            }
            strings
                .iter()
                .filter_map(Value::as_str)
                .try_for_each(|text| string(text, 255).and_then(|()| printable(text)))
        }
    }
}

/// Source of the limit and of the beginning of the text: hashicorp/terraform-provider-azurerm#2826.
fn string(text: &str, most: usize) -> Result<(), Refusal> {
    if text.chars().count() > most {
        return Err(Refusal::bad(format!("The value '{text}' is invalid: it is longer than {most} characters.")));
    }
    Ok(())
}

/// What Azure makes of other characters is not known, so a client must not rely on any.
fn printable(text: &str) -> Result<(), Refusal> {
    match text.chars().find(|character| !(' '..='~').contains(character)) {
        None => Ok(()),
        Some(other) => Err(Refusal::bad(format!("The value has the character '{}'.", other.escape_unicode()))),
    }
}

fn within(record: &Value, name: &str, largest: i64) -> Result<(), Refusal> {
    match record[name].as_i64() {
        Some(number) if (0..=largest).contains(&number) => Ok(()),
        _ => Err(Refusal::bad(format!("The value '{}' of '{name}' is not in the range 0 to {largest}.", record[name]))),
    }
}

/// Whether a text is a domain name: in data a final dot is allowed and no wildcard; in an owner it is the reverse.
///
/// Source of the text: kubernetes-sigs/external-dns#4855.
pub(super) fn domain(text: &str, owner: bool) -> Result<(), Refusal> {
    let name = if owner { text } else { text.strip_suffix('.').unwrap_or(text) };
    let fits = |(at, label): (usize, &str)| {
        let character = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let wildcard = owner && at == 0 && label == "*";
        wildcard || ((1..=63).contains(&label.len()) && label.bytes().all(character))
    };
    if name.len() <= 253 && name.split('.').enumerate().all(fits) {
        return Ok(());
    }
    Err(Refusal::bad(format!("The domain name '{text}' is invalid.")))
}

/// Whether a set of this type can have this relative name in this zone.
pub(super) fn owner(name: &str, record_type: &str, zone: &str) -> Result<(), Refusal> {
    debug_assert!(RECORD_TYPES.contains(&record_type), "the route knows the type");
    match (name, record_type) {
        ("@", "CNAME") => {
            return Err(Refusal::bad("The record set of type 'CNAME' cannot be created at the zone apex."));
        }
        ("@", _) => return Ok(()),
        (_, "SOA") => {
            return Err(Refusal::bad(format!("RecordSets of type 'SOA' with name '{name}' cannot be created.")));
        }
        _ => {}
    }
    domain(name, true)?;
    if name.len() + 1 + zone.len() > 253 {
        return Err(Refusal::bad(format!("The domain name '{name}.{zone}' is invalid.")));
    }
    if record_type == "NS" && name.starts_with('*') {
        return Err(Refusal::bad("Wildcard record sets of type 'NS' are not supported."));
    }
    Ok(())
}
