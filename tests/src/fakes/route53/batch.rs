//! A change batch: all of it or nothing.
//!
//! Changes are checked one after the other against the zone as the earlier ones of the batch leave it, so a set that
//! gives way must be deleted before the one that takes its name. Every message of the batch is reported.

use std::collections::BTreeSet;

use super::errors::Refusal;
use super::names::Name;
use super::rdata;
use super::xml::Element;
use super::zone::{Limits, RecordSet, Zone};

/// A change as it was sent.
#[derive(Clone, Debug)]
pub(super) struct Change {
    action: String,
    set: RecordSet,
}

const POLICIES: [&str; 7] =
    ["Weight", "Region", "Failover", "GeoLocation", "MultiValueAnswer", "CidrRoutingConfig", "GeoProximityLocation"];

/// Reads the changes of a checked document; `InvalidInput` for what the schema does not see.
pub(super) fn read(batch: &Element) -> Result<Vec<Change>, Refusal> {
    let changes = batch.child("Changes").map(|changes| changes.children.as_slice()).unwrap_or_default();
    changes.iter().map(read_change).collect()
}

fn read_change(change: &Element) -> Result<Change, Refusal> {
    let action = change.child_text("Action").unwrap_or_default().to_owned();
    let set = change.child("ResourceRecordSet").cloned().unwrap_or_else(|| Element::text("", ""));
    let text = |name: &str| set.child_text(name).unwrap_or_default().to_owned();
    let identifier = set.child_text("SetIdentifier").map(str::to_owned);
    let place = format!(
        "in Change with [Action={action}, Name={}, Type={}, SetIdentifier={}]",
        text("Name"),
        text("Type"),
        identifier.as_deref().unwrap_or("null")
    );
    let invalid = |what: &str| Err(Refusal::invalid_input(format!("Invalid request: {what} {place}")));

    // Source of both texts: ministryofjustice/modernisation-platform#10072, ansible-collections/community.aws#545.
    let one_of = "Expected exactly one of [AliasTarget, all of [TTL, and ResourceRecords], or TrafficPolicyInstanceId]";
    let has = |name: &str| set.child(name).is_some();
    let kinds = [has("AliasTarget"), has("TTL") && has("ResourceRecords"), has("TrafficPolicyInstanceId")];
    match kinds.iter().filter(|kind| **kind).count() {
        0 => return invalid(&format!("{one_of}, but found none")),
        1 if has("AliasTarget") && (has("TTL") || has("ResourceRecords")) => {
            return invalid(&format!("{one_of}, but found more than one"));
        }
        1 => {}
        _ => return invalid(&format!("{one_of}, but found more than one")),
    }
    let policies = POLICIES.iter().filter(|name| has(name)).count();
    match (policies, &identifier) {
        (0, Some(_)) => return invalid("Missing routing policy beside 'SetIdentifier'"),
        (1, None) => return invalid("Missing field 'SetIdentifier'"), // boto/boto3#2240
        (0 | 1, _) => {}
        _ => return invalid(&format!("Expected at most one of [{}], but found more than one", POLICIES.join(", "))),
    }

    let name = Name::parse(&text("Name"))
        .map_err(|why| Refusal::invalid_change_batch(&[format!("Invalid Resource Record: '{why}'")]))?;
    let values = set.child("ResourceRecords").map(|records| records.children.as_slice()).unwrap_or_default();
    let known = ["Name", "Type", "SetIdentifier", "TTL", "ResourceRecords"];
    let mut more: Vec<Element> =
        set.children.iter().filter(|element| !known.contains(&element.name.as_str())).cloned().collect();
    for alias in more.iter_mut().filter(|element| element.name == "AliasTarget") {
        for target in alias.children.iter_mut().filter(|element| element.name == "DNSName") {
            if let Ok(name) = Name::parse(&target.text) {
                target.text = name.to_string();
            }
        }
    }
    let set = RecordSet {
        name,
        rr_type: text("Type"),
        set_identifier: identifier,
        ttl: set.child_text("TTL").and_then(|ttl| ttl.parse().ok()),
        values: values.iter().map(|record| record.child_text("Value").unwrap_or_default().to_owned()).collect(),
        more,
    };
    Ok(Change { action, set })
}

/// The zone after the changes; `InvalidChangeBatch` with all messages where one cannot be made.
pub(super) fn apply(zone: &Zone, changes: &[Change], limits: &Limits) -> Result<Zone, Refusal> {
    size(changes, limits)?;
    let mut after = zone.clone();
    let mut messages = Vec::new();
    for change in changes {
        match make(&mut after, change, limits) {
            Ok(()) => {}
            Err(message) => messages.push(message),
        }
    }
    if messages.is_empty() {
        messages.extend(whole(&after, limits));
    }
    if messages.is_empty() { Ok(after) } else { Err(Refusal::invalid_change_batch(&messages)) }
}

/// Source of the texts: DNSControl/dnscontrol#1114, #908.
fn size(changes: &[Change], limits: &Limits) -> Result<(), Refusal> {
    let (mut records, mut characters) = (0, 0);
    for Change { action, set } in changes {
        let times = if action == "UPSERT" { 2 } else { 1 };
        records += times * set.values.len().max(1);
        characters += times * set.values.iter().map(|value| value.chars().count()).sum::<usize>();
    }
    let Limits { records_per_batch, characters_per_batch, .. } = limits;
    let mut messages = Vec::new();
    if records > *records_per_batch {
        messages.push(format!("Number of records limit of {records_per_batch} exceeded."));
    }
    if characters > *characters_per_batch {
        messages.push(format!("RDATA character limit of {characters_per_batch} exceeded."));
    }
    if messages.is_empty() { Ok(()) } else { Err(Refusal::invalid_change_batch(&messages)) }
}

fn make(zone: &mut Zone, Change { action, set }: &Change, limits: &Limits) -> Result<(), String> {
    let RecordSet { name, rr_type, set_identifier, .. } = set;
    if !name.is_in(&zone.name) {
        return Err(format!("RRSet with DNS name {name} is not permitted in zone {}", zone.name));
    }
    values(set, limits)?;
    let identifier = set_identifier.as_ref().map(|id| format!(", set identifier='{id}'")).unwrap_or_default();
    let tried = |what: &str, why: &str| {
        Err(format!("Tried to {what} resource record set [name='{name}', type='{rr_type}'{identifier}] but {why}"))
    };
    let current = zone.sets.get(&set.key());
    match action.as_str() {
        "DELETE" => match current {
            None => return tried("delete", "it was not found"),
            Some(current) if !current.same_as(set) => {
                return tried("delete", "the values provided do not match the current values");
            }
            Some(_) => drop(zone.sets.remove(&set.key())),
        },
        "CREATE" if current.is_some() => return tried("create", "it already exists"),
        _ => {
            neighbors(zone, set, limits)?;
            zone.sets.insert(set.key(), set.clone());
        }
    }
    Ok(())
}

/// Checks the values of a set alone.
fn values(set: &RecordSet, limits: &Limits) -> Result<(), String> {
    let RecordSet { name, rr_type, values, .. } = set;
    if values.len() > limits.values_per_set {
        // rancher/rancher#10253, when the limit was 100.
        return Err(format!("Cannot have more than {} records in a RRSet.", limits.values_per_set));
    }
    let mut seen = BTreeSet::new();
    for value in values {
        if !seen.insert(value) {
            return Err(format!("Duplicate Resource Record: '{value}'")); // recorded by lexicon, 2022
        }
        rdata::check(rr_type, value).map_err(|why| format!("Invalid Resource Record: '{why}'"))?;
    }
    if ["CNAME", "SOA"].contains(&rr_type.as_str()) && values.len() > 1 {
        return Err(format!("RRSet of type {rr_type} with DNS name {name} can only contain one record."));
    }
    if rr_type == "NS" && name.is_wildcard() {
        return Err(format!("RRSet of type NS with DNS name {name} is not permitted: NS cannot be a wildcard."));
    }
    Ok(())
}

/// Checks a set against the other sets of its name.
fn neighbors(zone: &Zone, set: &RecordSet, limits: &Limits) -> Result<(), String> {
    let RecordSet { name, rr_type, set_identifier, .. } = set;
    let place = format!("with DNS name {name}");
    if rr_type == "CNAME" && *name == zone.name {
        // cloudfoundry/bosh-bootloader#310
        return Err(format!("RRSet of type CNAME {place} is not permitted at apex in zone {}", zone.name));
    }
    let first = (name.clone(), String::new(), None);
    let others = || zone.sets.range(first.clone()..).map(|(_, other)| other).take_while(|other| other.name == *name);
    if rr_type == "CNAME" && others().any(|other| other.rr_type != "CNAME") {
        // GSA-TTS/dns#30
        let as_it = "is not permitted as it conflicts with other records with the same DNS name in zone";
        return Err(format!("RRSet of type CNAME {place} {as_it} {}", zone.name));
    }
    if rr_type != "CNAME" && others().any(|other| other.rr_type == "CNAME") {
        // RJPearson94/terraform-aws-open-next#24
        let because =
            "is not permitted because a conflicting RRSet of type CNAME with the same DNS name already exists";
        return Err(format!("RRSet of type {rr_type} {place} {because} in zone {}", zone.name));
    }
    if rr_type == "SOA" && *name != zone.name {
        return Err(format!("RRSet of type SOA {place} is only permitted at apex in zone {}", zone.name));
    }
    let policy = |set: &RecordSet| POLICIES.iter().find(|name| set.element(name).is_some()).copied();
    let siblings: Vec<_> = others().filter(|other| other.rr_type == *rr_type && other.key() != set.key()).collect();
    if siblings.iter().any(|other| policy(other) != policy(set)) {
        return Err(format!(
            "RRSet {place}, type {rr_type}, SetIdentifier {} cannot be created as other RRSets exist with the same name \
             and type.",
            set_identifier.as_deref().unwrap_or("null")
        ));
    }
    if siblings.len() >= limits.routed_sets {
        return Err(format!("Cannot have more than {} RRSets {place}, type {rr_type}.", limits.routed_sets));
    }
    alias_target(zone, set)
}

/// An alias into its own zone needs its target there. Source of the text: pcorliss/ruby_route_53#17.
fn alias_target(zone: &Zone, set: &RecordSet) -> Result<(), String> {
    let Some(alias) = set.element("AliasTarget") else { return Ok(()) };
    let target = alias.child_text("DNSName").unwrap_or_default();
    let target = Name::parse(target).map_err(|why| format!("Invalid Resource Record: '{why}'"))?;
    let id = alias.child_text("HostedZoneId").unwrap_or_default();
    if id != zone.id || zone.sets.values().any(|other| other.name == target && other.rr_type == set.rr_type) {
        return Ok(());
    }
    let what = format!("{target}, type {} in zone {id}", set.rr_type);
    Err(format!("Tried to create an alias that targets {what}, but that target was not found"))
}

/// Checks the zone as the whole batch leaves it.
fn whole(zone: &Zone, limits: &Limits) -> Vec<String> {
    let mut messages = Vec::new();
    let at_apex = |rr_type: &str| zone.sets.contains_key(&(zone.name.clone(), rr_type.to_owned(), None));
    if !at_apex("SOA") {
        messages.push("A HostedZone must contain exactly one SOA record.".to_owned()); // DNSControl/dnscontrol#4402
    }
    if !at_apex("NS") {
        // airbnb/zonify#1
        messages.push("A HostedZone must contain at least one NS record for the zone itself.".to_owned());
    }
    if zone.sets.len() > limits.sets_per_zone {
        messages.push(format!("Exceeded limit MAX_RRSETS_BY_ZONE for zone: {}", zone.id)); // DNSControl/dnscontrol#908
    }
    messages
}
