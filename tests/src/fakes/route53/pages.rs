//! Lists, a page at a time. A list goes on from where its next item stood, not from a saved state.

use super::errors::Refusal;
use super::names::Name;
use super::operations::{Fitting, hosted_zone};
use super::xml::Element;
use super::zone::{Account, Zone};

/// The number of items on the page: what was asked for, up to the most.
fn max_items(fitting: &Fitting<'_>, default: usize, most: usize) -> Result<usize, Refusal> {
    let Some(text) = fitting.query("maxitems") else { return Ok(default) };
    let number = text.parse::<usize>().ok().filter(|number| *number > 0);
    let number = number.ok_or_else(|| Refusal::invalid_input(format!("Invalid value for MaxItems: '{text}'")))?;
    Ok(number.min(most))
}

/// Splits off a page: its items, and the first one of the next.
fn page<T>(items: impl Iterator<Item = T>, size: usize) -> (Vec<T>, Option<T>) {
    let mut items = items.peekable();
    let page = items.by_ref().take(size).collect();
    (page, items.next())
}

pub(super) fn sets(account: &Account, zone: &Zone, fitting: &Fitting<'_>) -> Result<Vec<Element>, Refusal> {
    let (name, rr_type, identifier) = (fitting.query("name"), fitting.query("type"), fitting.query("identifier"));
    if (name.is_none() && rr_type.is_some()) || (rr_type.is_none() && identifier.is_some()) {
        return Err(Refusal::invalid_input("Invalid request: a start type needs a name, a start identifier a type"));
    }
    let name = name.map(Name::in_query).transpose()?;
    let start = name.map(|name| {
        let identifier = identifier.map(str::to_owned);
        (name, rr_type.unwrap_or_default().to_owned(), identifier)
    });
    let limits = &account.limits;
    let size = max_items(fitting, limits.page_default, limits.page_most)?.min(limits.page_most);
    let all: Box<dyn Iterator<Item = _>> = match start {
        Some(start) => Box::new(zone.sets.range(start..)),
        None => Box::new(zone.sets.iter()),
    };
    let (sets, next) = page(all.map(|(_, set)| set), size);
    let mut answer = vec![
        Element::parent("ResourceRecordSets", sets.iter().map(|set| set.to_xml()).collect()),
        Element::text("IsTruncated", next.is_some().to_string()),
    ];
    if let Some(next) = next {
        answer.push(Element::text("NextRecordName", next.name.as_str()));
        answer.push(Element::text("NextRecordType", &next.rr_type));
        answer.extend(next.set_identifier.as_ref().map(|id| Element::text("NextRecordIdentifier", id)));
    }
    answer.push(Element::text("MaxItems", size.to_string()));
    Ok(answer)
}

pub(super) fn zones(account: &Account, fitting: &Fitting<'_>) -> Result<Vec<Element>, Refusal> {
    let size = max_items(fitting, account.limits.zones_page, account.limits.zones_page)?;
    let marker = fitting.query("marker").unwrap_or_default();
    if !marker.is_empty() && !account.zones.contains_key(marker) {
        return Err(Refusal::invalid_input(format!("No hosted zone exists for the marker '{marker}'")));
    }
    if fitting.query("delegationsetid").is_some() {
        return Err(Refusal::new(400, "NoSuchDelegationSet", "The specified delegation set does not exist."));
    }
    let private_only = fitting.query("hostedzonetype").is_some();
    let all = account.zones.range(marker.to_owned()..).map(|(_, zone)| zone);
    let (zones, next) = page(all.filter(|zone| zone.is_private() || !private_only), size);
    let mut answer = vec![
        Element::parent("HostedZones", zones.into_iter().map(hosted_zone).collect()),
        Element::text("Marker", marker),
        Element::text("IsTruncated", next.is_some().to_string()),
    ];
    answer.extend(next.map(|zone| Element::text("NextMarker", &zone.id)));
    answer.push(Element::text("MaxItems", size.to_string()));
    Ok(answer)
}

pub(super) fn zones_by_name(account: &Account, fitting: &Fitting<'_>) -> Result<Vec<Element>, Refusal> {
    let size = max_items(fitting, account.limits.zones_page, account.limits.zones_page)?;
    let (name, id) = (fitting.query("dnsname"), fitting.query("hostedzoneid"));
    if name.is_none() && id.is_some() {
        return Err(Refusal::invalid_input("Invalid request: a hosted zone ID needs a DNS name"));
    }
    let invalid = |why| Refusal::new(400, "InvalidDomainName", why);
    let start = name.map(|name| Name::parse(name).map_err(invalid)).transpose()?;
    let start = start.map(|name| (name, id.unwrap_or_default().trim_start_matches("/hostedzone/").to_owned()));
    let zones = account.zones_by_name();
    let comes = |zone: &Zone| start.as_ref().is_none_or(|(name, id)| (&zone.name, &zone.id) >= (name, id));
    let rest = zones.into_iter().filter(|zone| comes(zone));
    let (zones, next) = page(rest, size);
    let mut answer = vec![Element::parent("HostedZones", zones.into_iter().map(hosted_zone).collect())];
    answer.extend(name.map(|name| Element::text("DNSName", name)));
    answer.extend(id.map(|id| Element::text("HostedZoneId", id)));
    answer.push(Element::text("IsTruncated", next.is_some().to_string()));
    if let Some(next) = next {
        answer.push(Element::text("NextDNSName", next.name.as_str()));
        answer.push(Element::text("NextHostedZoneId", &next.id));
    }
    answer.push(Element::text("MaxItems", size.to_string()));
    Ok(answer)
}

pub(super) fn zones_by_vpc(account: &Account, fitting: &Fitting<'_>) -> Result<Vec<Element>, Refusal> {
    let size = max_items(fitting, account.limits.zones_page, account.limits.zones_page)?;
    let vpc = ["vpcregion", "vpcid"].map(|name| fitting.query(name).unwrap_or_default().to_owned());
    let start = fitting.query("nexttoken").unwrap_or_default();
    let [region, id] = vpc;
    let vpc = (region, id);
    let all = account.zones.range(start.to_owned()..).map(|(_, zone)| zone);
    let (zones, next) = page(all.filter(|zone| zone.vpcs.contains(&vpc)), size);
    let summary = |zone: &Zone| {
        let owner = Element::parent("Owner", vec![Element::text("OwningAccount", "111111111111")]);
        let id = Element::text("HostedZoneId", &zone.id);
        Element::parent("HostedZoneSummary", vec![id, Element::text("Name", zone.name.as_str()), owner])
    };
    let mut answer = vec![
        Element::parent("HostedZoneSummaries", zones.into_iter().map(summary).collect()),
        Element::text("MaxItems", size.to_string()),
    ];
    answer.extend(next.map(|zone| Element::text("NextToken", &zone.id)));
    Ok(answer)
}
