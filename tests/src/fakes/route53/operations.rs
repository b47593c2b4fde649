//! From a request to an answer: which operation it is, whether it is allowed and well-formed, and what it does.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::super::listener::{Answer, Host, Request};
use super::errors::{self, Refusal};
use super::model::{OPERATIONS, Operation};
use super::names::Name;
use super::xml::{self, Element};
use super::zone::{Accepted, Account, Zone};
use super::{auth, batch, pages};

/// The service over its account.
#[derive(Debug, Default)]
pub(super) struct Service(Mutex<Account>);

/// A request that fits its operation.
pub(super) struct Fitting<'r> {
    request: &'r Request,
    uri: Vec<String>,
    body: Option<Element>,
}

impl Fitting<'_> {
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.request.query(name)
    }

    fn id(&self) -> &str {
        self.uri.first().map(String::as_str).unwrap_or_default()
    }

    fn body(&self, name: &str) -> Option<&str> {
        self.body.as_ref().and_then(|body| body.child_text(name))
    }
}

impl Service {
    pub(super) fn account(&self) -> MutexGuard<'_, Account> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_answer(&self, request: &Request) -> Result<Answer, Refusal> {
        auth::check(request)?;
        let Some((operation, uri)) = find(request) else {
            return Ok(Answer::new(404, "<UnknownOperationException/>\n").with_header("content-type", "text/xml"));
        };
        let mut account = self.account();
        let zone = operation.path.contains("/hostedzone/{Id}").then(|| uri[0].clone());
        let missing = |(name, on): &&(String, Option<String>)| *name == operation.name && (on.is_none() || *on == zone);
        if account.denied.iter().any(|denied| missing(&denied)) {
            return Err(errors::denied(operation.name, zone.as_deref()));
        }
        let fitting = fit(operation, request, uri)?;
        let document = perform(&mut account, operation, &fitting)?;
        let answer = errors::document(operation.status, &document);
        Ok(match document.child("HostedZone").and_then(|zone| zone.child_text("Id")) {
            Some(id) if operation.name == "CreateHostedZone" => {
                answer.with_header("location", &format!("https://route53.amazonaws.com/2013-04-01{id}"))
            }
            _ => answer,
        })
    }
}

impl Host for Service {
    fn operation(&self, request: &Request) -> String {
        find(request).map_or("unknown", |(operation, _)| operation.name).to_owned()
    }

    fn answer(&self, request: &Request) -> Answer {
        self.try_answer(request).unwrap_or_else(|refusal| refusal.answer())
    }

    fn throttled(&self, _: &Request, _: Duration) -> Answer {
        errors::throttling()
    }
}

/// The operation of a request and the values in its path. A final slash may be there or not: botocore sends that of the
/// model, the Rust client does not.
fn find(request: &Request) -> Option<(&'static Operation, Vec<String>)> {
    let mut segments = request.segments();
    if segments.last().is_some_and(String::is_empty) {
        segments.pop();
    }
    OPERATIONS.iter().filter(|operation| operation.method == request.method.as_str()).find_map(|operation| {
        let path: Vec<&str> = operation.path.trim_matches('/').split('/').collect();
        if path.len() != segments.len() {
            return None;
        }
        let mut values = Vec::new();
        for (wanted, segment) in path.iter().zip(&segments) {
            if wanted.starts_with('{') {
                values.push(segment.clone());
            } else if wanted != segment {
                return None;
            }
        }
        Some((operation, values))
    })
}

/// Checks all of a request against the description of its operation.
fn fit<'r>(operation: &Operation, request: &'r Request, uri: Vec<String>) -> Result<Fitting<'r>, Refusal> {
    for (param, value) in operation.uri.iter().zip(&uri) {
        xml::check_text(param.member, value, param.of)?;
    }
    for (index, (name, value)) in request.query.iter().enumerate() {
        let Some(param) = operation.query.iter().find(|param| param.name == name) else {
            return Err(Refusal::invalid_input(format!("Invalid request: unknown parameter '{name}'")));
        };
        if request.query[..index].iter().any(|(other, _)| other == name) {
            return Err(Refusal::invalid_input(format!("Invalid request: the parameter '{name}' occurs twice")));
        }
        xml::check_text(param.member, value, param.of)?;
    }
    if let Some(missing) = operation.query.iter().find(|param| param.required && request.query(param.name).is_none()) {
        return Err(Refusal::invalid_input(format!("Invalid request: Missing required field {}", missing.member)));
    }
    let body = match operation.body {
        None if request.body.is_empty() => None,
        None => return Err(Refusal::invalid_input("Invalid request: this operation takes no document")),
        Some(of) => {
            // botocore sends no media type at all (lexicon's recordings).
            let media = request.header("content-type").map(|media| media.split(';').next().unwrap_or_default().trim());
            if media.is_some_and(|media| !["application/xml", "text/xml"].contains(&media)) {
                return Err(malformed(operation, of.name));
            }
            let text = std::str::from_utf8(&request.body).map_err(|error| xml::invalid_xml(&error.to_string()))?;
            let body = Element::parse(text).map_err(|why| xml::invalid_xml(&why))?;
            if body.name != of.name {
                return Err(malformed(operation, of.name));
            }
            xml::check(&body, of)?;
            Some(body)
        }
    };
    Ok(Fitting { request, uri, body })
}

/// Source of the text: stalwartlabs/dns-update#44.
fn malformed(operation: &Operation, root: &str) -> Refusal {
    let what = if operation.name == "ChangeResourceRecordSets" { "ChangeBatch" } else { "Request" };
    Refusal::new(400, "MalformedInput", format!("{what} is not valid, expected {root}"))
}

fn perform(account: &mut Account, operation: &Operation, fitting: &Fitting<'_>) -> Result<Element, Refusal> {
    let answer = match operation.name {
        "ChangeResourceRecordSets" => change(account, fitting)?,
        "ListResourceRecordSets" => pages::sets(account, zone(account, fitting.id())?, fitting)?,
        "CreateHostedZone" => create(account, fitting)?,
        "DeleteHostedZone" => delete(account, fitting.id())?,
        "GetHostedZone" => get(zone(account, fitting.id())?),
        "ListHostedZones" => pages::zones(account, fitting)?,
        "ListHostedZonesByName" => pages::zones_by_name(account, fitting)?,
        "ListHostedZonesByVPC" => pages::zones_by_vpc(account, fitting)?,
        "GetChange" => get_change(account, fitting.id())?,
        "GetHostedZoneCount" => vec![Element::text("HostedZoneCount", account.zones.len().to_string())],
        "GetHostedZoneLimit" => zone_limit(account, fitting)?,
        "GetAccountLimit" => account_limit(account, fitting.id()),
        other => unreachable!("`{other}` is in the table"),
    };
    Ok(Element::parent(&format!("{}Response", operation.name), answer))
}

fn zone<'a>(account: &'a Account, id: &str) -> Result<&'a Zone, Refusal> {
    account.zones.get(id).ok_or_else(|| Refusal::no_such_hosted_zone(id))
}

fn change(account: &mut Account, fitting: &Fitting<'_>) -> Result<Vec<Element>, Refusal> {
    let id = fitting.id().to_owned();
    let zone = zone(account, &id)?;
    let batch = fitting.body.as_ref().and_then(|body| body.child("ChangeBatch"));
    let batch = batch.ok_or_else(|| Refusal::invalid_input("Invalid request"))?;
    let after = batch::apply(zone, &batch::read(batch)?, &account.limits)?;
    account.zones.insert(id, after);
    Ok(vec![accept(account, batch.child_text("Comment"))])
}

/// Notes a change as under way.
fn accept(account: &mut Account, comment: Option<&str>) -> Element {
    let id = account.fresh_id('C');
    let comment = comment.map(str::to_owned);
    let accepted = Accepted { comment, polls: 0 };
    let info = change_info(&id, &accepted, "PENDING");
    account.changes.insert(id, accepted);
    info
}

fn change_info(id: &str, accepted: &Accepted, status: &str) -> Element {
    let mut info = vec![
        Element::text("Id", format!("/change/{id}")),
        Element::text("Status", status),
        Element::text("SubmittedAt", "2026-01-01T00:00:00.000Z"),
    ];
    info.extend(accepted.comment.as_ref().map(|comment| Element::text("Comment", comment)));
    Element::parent("ChangeInfo", info)
}

fn get_change(account: &mut Account, id: &str) -> Result<Vec<Element>, Refusal> {
    let pending_polls = account.limits.pending_polls;
    let Some(accepted) = account.changes.get_mut(id) else {
        return Err(Refusal::new(404, "NoSuchChange", format!("Could not find resource with ID: {id}")));
    };
    let status = if accepted.polls < pending_polls { "PENDING" } else { "INSYNC" };
    accepted.polls += 1;
    Ok(vec![change_info(id, accepted, status)])
}

fn create(account: &mut Account, fitting: &Fitting<'_>) -> Result<Vec<Element>, Refusal> {
    let text = fitting.body("Name").unwrap_or_default();
    let name = Name::parse(text).ok().filter(|name| name.labels() > 1).ok_or_else(|| {
        // A zone for a top-level domain cannot be created either (documentation of CreateHostedZone).
        Refusal::new(400, "InvalidDomainName", format!("The domain name '{text}' is not valid."))
    })?;
    let caller_reference = fitting.body("CallerReference").unwrap_or_default().to_owned();
    if account.references.contains(&caller_reference) {
        let message = "A hosted zone has already been created with the specified caller reference.";
        return Err(Refusal::new(409, "HostedZoneAlreadyExists", message));
    }
    if fitting.body("DelegationSetId").is_some() {
        return Err(Refusal::new(400, "NoSuchDelegationSet", "The specified delegation set does not exist."));
    }
    let config = fitting.body.as_ref().and_then(|body| body.child("HostedZoneConfig"));
    let config = |name: &str| config.and_then(|config| config.child_text(name));
    let vpc = fitting.body.as_ref().and_then(|body| body.child("VPC"));
    let vpc = vpc.map(|vpc| ["VPCRegion", "VPCId"].map(|name| vpc.child_text(name).unwrap_or_default().to_owned()));
    let vpcs: Vec<_> = vpc.into_iter().map(|[region, id]| (region, id)).collect();
    match config("PrivateZone") {
        Some("true") if vpcs.is_empty() => {
            let message = "When you're creating a private hosted zone, VPCId and VPCRegion are required.";
            return Err(Refusal::invalid_input(message));
        }
        Some("false") if !vpcs.is_empty() => {
            return Err(Refusal::invalid_input("A public hosted zone cannot be associated with a VPC."));
        }
        _ => {}
    }
    if !vpcs.iter().all(|vpc| account.vpcs.contains(vpc)) {
        return Err(Refusal::new(400, "InvalidVPCId", "The VPC ID is invalid.")); // LocalStack's snapshot of 2024-04-10
    }
    if vpcs.iter().any(|vpc| account.zones.values().any(|zone| zone.name == name && zone.vpcs.contains(vpc))) {
        let message = format!("The VPC is already associated with another hosted zone with the name {name}");
        return Err(Refusal::new(400, "ConflictingDomainExists", message));
    }
    if account.zones.len() >= account.limits.zones {
        let message = "This operation can't be completed because the account has reached its limit of hosted zones.";
        return Err(Refusal::new(400, "TooManyHostedZones", message));
    }
    let id = account.fresh_id('Z');
    let comment = config("Comment").map(str::to_owned);
    let zone = Zone { id: id.clone(), name, caller_reference, comment, vpcs, sets: std::collections::BTreeMap::new() };
    let zone = account.add_zone(zone).clone();
    let mut answer = vec![hosted_zone(&zone), accept(account, None)];
    answer.extend(delegation(&zone));
    answer.extend(zone.vpcs.first().map(vpc_element));
    Ok(answer)
}

fn delete(account: &mut Account, id: &str) -> Result<Vec<Element>, Refusal> {
    if !zone(account, id)?.is_empty() {
        // The two spaces are the service's own (facts/observed-errors.json).
        let message = "The specified hosted zone contains non-required resource record sets  and so cannot be deleted.";
        return Err(Refusal::new(400, "HostedZoneNotEmpty", message));
    }
    account.zones.remove(id);
    Ok(vec![accept(account, None)])
}

fn get(zone: &Zone) -> Vec<Element> {
    let mut answer = vec![hosted_zone(zone)];
    answer.extend(delegation(zone));
    if zone.is_private() {
        answer.push(Element::parent("VPCs", zone.vpcs.iter().map(vpc_element).collect()));
    }
    answer
}

pub(super) fn hosted_zone(zone: &Zone) -> Element {
    let mut config: Vec<_> = zone.comment.iter().map(|comment| Element::text("Comment", comment)).collect();
    config.push(Element::text("PrivateZone", zone.is_private().to_string()));
    Element::parent(
        "HostedZone",
        vec![
            Element::text("Id", format!("/hostedzone/{}", zone.id)),
            Element::text("Name", zone.name.as_str()),
            Element::text("CallerReference", &zone.caller_reference),
            Element::parent("Config", config),
            Element::text("ResourceRecordSetCount", zone.sets.len().to_string()),
        ],
    )
}

/// The name servers of a public zone.
fn delegation(zone: &Zone) -> Option<Element> {
    let servers = zone.name_servers().into_iter().map(|server| Element::text("NameServer", server)).collect();
    let set = Element::parent("DelegationSet", vec![Element::parent("NameServers", servers)]);
    (!zone.is_private()).then_some(set)
}

fn vpc_element((region, id): &(String, String)) -> Element {
    Element::parent("VPC", vec![Element::text("VPCRegion", region), Element::text("VPCId", id)])
}

fn zone_limit(account: &Account, fitting: &Fitting<'_>) -> Result<Vec<Element>, Refusal> {
    let zone = zone(account, fitting.id())?;
    let (limit, count) = match fitting.uri[1].as_str() {
        "MAX_RRSETS_BY_ZONE" => (account.limits.sets_per_zone, zone.sets.len()),
        _ if zone.is_private() => (300, zone.vpcs.len()),
        _ => {
            let message = "The specified hosted zone is a public hosted zone.";
            return Err(Refusal::new(400, "HostedZoneNotPrivate", message));
        }
    };
    Ok(limit_answer(&fitting.uri[1], limit, count))
}

fn account_limit(account: &Account, kind: &str) -> Vec<Element> {
    match kind {
        "MAX_HOSTED_ZONES_BY_OWNER" => limit_answer(kind, account.limits.zones, account.zones.len()),
        _ => limit_answer(kind, 100, 0), // the account has none of these things
    }
}

fn limit_answer(kind: &str, limit: usize, count: usize) -> Vec<Element> {
    let limit = vec![Element::text("Type", kind), Element::text("Value", limit.to_string())];
    vec![Element::parent("Limit", limit), Element::text("Count", count.to_string())]
}
