//! The operations on record sets.

use serde_json::json;

use super::super::listener::{Answer, Request};
use super::answer::{Refusal, empty, json_answer, tagged};
use super::route::Route;
use super::spec::find;
use super::world::{State, conditions, member};
use super::zone::{Key, RecordSet, Zone};
use super::{check, rdata};

/// The TTL of a Traffic Manager profile of which nothing else is said: the one of the recording.
const PROFILE_TTL: i64 = 30;

impl State {
    pub(super) fn get_set(&self, route: &Route) -> Result<Answer, Refusal> {
        let zone = self.zone(route)?;
        let set = zone.sets.get(&key(route)).ok_or_else(|| no_set(route))?;
        Ok(tagged(200, &set.json(zone)))
    }

    pub(super) fn put_set(&mut self, request: &Request, route: &Route) -> Result<Answer, Refusal> {
        let zone = self.zone(route)?;
        let body = body(request, route)?;
        let Some(properties) = member(&body, "properties") else {
            return Err(Refusal::bad("The resource record is missing field 'properties'."));
        };
        rdata::owner(&route.name, &route.record_type, &zone.name)?;
        let there = zone.sets.get(&key(route));
        let name = there.map_or(&route.name, |set| &set.name);
        let mut set = RecordSet::new(name, &route.record_type, 0, []);
        rdata::apply(&mut set, properties, true)?;
        rdata::check(&set, &self.limits)?;
        conditions(request, there.map(|set| set.etag.as_str()), &format!("Record set {}", route.name))?;
        let created = there.is_none();
        self.admit(route, &set)?;
        self.store(route, set, if created { 201 } else { 200 })
    }

    pub(super) fn patch_set(&mut self, request: &Request, route: &Route) -> Result<Answer, Refusal> {
        let body = body(request, route)?;
        let mut set = self.zone(route)?.sets.get(&key(route)).ok_or_else(|| no_set(route))?.clone();
        conditions(request, Some(&set.etag), &format!("Record set {}", route.name))?;
        if let Some(properties) = member(&body, "properties") {
            rdata::apply(&mut set, properties, false)?;
        }
        rdata::check(&set, &self.limits)?;
        self.admit(route, &set)?;
        self.store(route, set, 200)
    }

    pub(super) fn delete_set(&mut self, request: &Request, route: &Route) -> Result<Answer, Refusal> {
        let absent = self.absent_with_etag;
        let zone = self.zone_mut(route)?;
        let Some(set) = zone.sets.get(&key(route)) else {
            if request.header("if-match").is_some() && absent == 412 {
                conditions(request, None, &format!("Record set {}", route.name))?;
            }
            return Ok(empty(204));
        };
        if set.name == "@" && ["SOA", "NS"].contains(&route.record_type.as_str()) {
            let message = format!("RecordSets of type '{}' with name '@' cannot be deleted.", route.record_type);
            return Err(Refusal::bad(message));
        }
        conditions(request, Some(&set.etag), &format!("Record set {}", route.name))?;
        zone.sets.remove(&key(route));
        Ok(empty(200))
    }

    /// Refuses a set that the rest of the zone, or of the subscription, has no room for.
    fn admit(&self, route: &Route, set: &RecordSet) -> Result<(), Refusal> {
        let (zone, key) = (self.zone(route)?, key(route));
        apex(zone, set)?;
        let cname = "CNAME";
        let beside = || zone.at(&key).filter(|other| **other != key);
        // Source of code and texts: external-dns#5358, MicrosoftDocs/azure-docs#85496 and `observed-errors.json`.
        let restriction = Some("CannotCreateRecordDueToCNameNamingRestriction");
        if set.record_type == cname && beside().next().is_some() {
            let message = "The CNAME record could not be created because another record with the same name already exists in this zone.";
            return Err(Refusal::conflict(restriction, message));
        }
        if beside().any(|other| other.record_type() == cname) {
            let message = "The record could not be created because a CNAME record with the same name already exists in this zone.";
            return Err(Refusal::conflict(restriction, message));
        }
        let most = self.limits.record_sets;
        if !zone.sets.contains_key(&key) && zone.sets.len() >= most {
            // Source: openshift/console-operator#927.
            let message = format!(
                "You have reached or exceeded the maximum number of record resources in zone '{}'. You have {} record \
                 resources of {most} allowed.",
                zone.name,
                zone.sets.len()
            );
            return Err(Refusal::conflict(Some("MaximumNumberOfRecordSetsReached"), message));
        }
        if let Some(target) = &set.target {
            let sets = self.zones().flat_map(|zone| zone.sets.values());
            let same = |other: &&RecordSet| other.target.as_ref().is_some_and(|id| id.eq_ignore_ascii_case(target));
            let ours = zone.sets.get(&key).is_some_and(|there| same(&there));
            if sets.filter(same).count() - usize::from(ours) >= self.limits.aliases {
                return Err(Refusal::bad("The request was invalid.")); // MicrosoftDocs/azure-docs#34618
            }
        }
        Ok(())
    }

    fn store(&mut self, route: &Route, mut set: RecordSet, status: u16) -> Result<Answer, Refusal> {
        set.etag = self.guid();
        if let Some(target) = &set.target {
            let id = target.to_ascii_lowercase();
            // An alias of a profile has the profile's TTL whatever is asked for (test_dns_alias.yaml).
            if id.contains("/trafficmanagerprofiles/") {
                set.ttl = self.profiles.get(&id).copied().unwrap_or(PROFILE_TTL);
            }
        }
        let zone = self.zone_mut(route)?;
        zone.sets.insert(set.key(), set.clone());
        Ok(tagged(status, &set.json(zone)))
    }

    pub(super) fn references(&self, request: &Request) -> Result<Answer, Refusal> {
        let fields = find("DnsResourceReference_GetByTargetResources").and_then(|it| it.body).unwrap_or_default();
        let body = check::body(request, fields, true)?;
        let targets = member(&body, "properties").and_then(|it| it.get("targetResources"));
        let targets = targets.and_then(|it| it.as_array()).map(Vec::as_slice).unwrap_or_default();
        let references = targets.iter().filter_map(|target| target["id"].as_str()).map(|id| {
            let all = self.zones().flat_map(|zone| zone.sets.values().map(move |set| (zone, set)));
            let ours = all.filter(|(_, set)| set.target.as_ref().is_some_and(|it| it.eq_ignore_ascii_case(id)));
            let resources: Vec<_> = ours.map(|(zone, set)| json!({"id": set.json(zone)["id"]})).collect();
            json!({"dnsResources": resources, "targetResource": {"id": id}})
        });
        let references: Vec<_> = references.collect();
        Ok(json_answer(200, &json!({"properties": {"dnsResourceReferences": references}})))
    }
}

fn key(route: &Route) -> Key {
    Key::new(&route.name, &route.record_type)
}

fn body(request: &Request, route: &Route) -> Result<serde_json::Map<String, serde_json::Value>, Refusal> {
    let fields = find(route.operation).and_then(|operation| operation.body).unwrap_or_default();
    check::body(request, fields, true)
}

/// Source: a recorded 404 (test_dns.yaml).
fn no_set(route: &Route) -> Refusal {
    let Route { name, group, subscription, .. } = route;
    let message = format!(
        "The resource record '{name}' does not exist in resource group '{group}' of subscription '{subscription}'."
    );
    Refusal::dns(404, "NotFound", message)
}

/// The sets that Azure made itself.
/// Source: Microsoft's "Overview of DNS zones and records", sections NS records and SOA records.
fn apex(zone: &Zone, set: &RecordSet) -> Result<(), Refusal> {
    if set.name != "@" {
        return Ok(());
    }
    let holds = |member: &str, host: &str| {
        let host = host.trim_end_matches('.');
        let mut names = set.records.iter().filter_map(|record| record[member].as_str());
        names.any(|name| name.trim_end_matches('.').eq_ignore_ascii_case(host))
    };
    let kept = match set.record_type.as_str() {
        "NS" => zone.name_servers.iter().all(|host| holds("nsdname", host)),
        "SOA" => zone.name_servers.first().is_none_or(|host| holds("host", host)),
        _ => true,
    };
    if kept {
        return Ok(());
    }
    let message = format!(
        "The name servers of Azure in the record set of type '{}' with name '@' cannot be changed.",
        set.record_type
    );
    Err(Refusal::bad(message))
}
