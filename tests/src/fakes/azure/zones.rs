//! The operations on zones.

use serde_json::{Map, Value, json};

use super::super::listener::{Answer, Request};
use super::answer::{Refusal, empty, json_answer, tagged};
use super::route::{RESULT, Route};
use super::spec::{API_VERSION, find};
use super::world::{Deletion, State, conditions, member};
use super::zone::Zone;
use super::{check, rdata};

impl State {
    pub(super) fn get_zone(&self, route: &Route) -> Result<Answer, Refusal> {
        Ok(tagged(200, &self.zone(route)?.json(self.limits.record_sets)))
    }

    pub(super) fn put_zone(&mut self, request: &Request, route: &Route) -> Result<Answer, Refusal> {
        let body = body(request, route)?;
        zone_name(&route.zone)?;
        let location = body.get("location").and_then(Value::as_str).unwrap_or_default();
        if location != "global" {
            let message = format!(
                "The provided location '{location}' is not available for resource type 'Microsoft.Network/dnsZones'. \
                 List of available regions for the resource type is 'global'."
            );
            return Err(Refusal::arm(400, "LocationNotAvailableForResourceType", message));
        }
        let properties = member(&body, "properties").cloned().unwrap_or_default();
        let asked = properties.get("zoneType").and_then(Value::as_str);
        let networks: Map<String, Value> = properties
            .iter()
            .filter(|(name, _)| name.ends_with("VirtualNetworks"))
            .map(|(n, v)| (n.clone(), v.clone()))
            .collect();
        let there = self.zone(route).ok();
        let private = asked.map_or_else(|| there.is_some_and(|zone| zone.private), |asked| asked == "Private");
        if there.is_some_and(|zone| zone.private != private) {
            return Err(Refusal::bad("The zone type cannot be changed."));
        }
        if !private && !networks.is_empty() {
            return Err(Refusal::bad("Virtual networks belong to zones of type 'Private' alone."));
        }
        conditions(request, there.map(|zone| zone.etag.as_str()), &format!("Zone {}", route.zone))?;
        let tags = tags(&body)?;
        let created = there.is_none();
        if created {
            self.room_for_a_zone()?;
            self.make_zone(route, private)?;
        }
        let (etag, most) = (self.zone_etag(), self.limits.record_sets);
        let zone = self.zone_mut(route)?;
        (zone.etag, zone.networks, zone.tags) = (etag, networks, tags.unwrap_or_default());
        Ok(tagged(if created { 201 } else { 200 }, &zone.json(most)))
    }

    fn room_for_a_zone(&self) -> Result<(), Refusal> {
        let (zones, most) = (self.zones().count(), self.limits.zones);
        if zones < most {
            return Ok(());
        }
        let message = format!(
            "You have reached or exceeded the maximum number of zones. You have {zones} zones of {most} allowed."
        );
        Err(Refusal::conflict(Some("MaximumNumberOfZonesReached"), message))
    }

    /// Puts a fresh zone into a group that is there.
    pub(super) fn make_zone(&mut self, route: &Route, private: bool) -> Result<(), Refusal> {
        let number = usize::try_from(self.next()).unwrap_or_default() % 99 + 1;
        let etag = self.zone_etag();
        let group = self.group(route)?;
        let id = format!(
            "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.Network/dnszones/{}",
            route.subscription, group.name, route.zone
        );
        let mut zone = Zone { etag, ..Zone::new(id, &route.zone, number, private) };
        for at in zone.sets.keys().cloned().collect::<Vec<_>>() {
            let etag = self.guid();
            if let Some(set) = zone.sets.get_mut(&at) {
                set.etag = etag;
            }
        }
        self.group_mut(route)?.zones.insert(route.zone.to_ascii_lowercase(), zone);
        Ok(())
    }

    pub(super) fn patch_zone(&mut self, request: &Request, route: &Route) -> Result<Answer, Refusal> {
        let body = body(request, route)?;
        let tags = tags(&body)?;
        let zone = self.zone(route)?;
        conditions(request, Some(&zone.etag), &format!("Zone {}", route.zone))?;
        let (etag, most) = (self.zone_etag(), self.limits.record_sets);
        let zone = self.zone_mut(route)?;
        zone.etag = etag;
        if let Some(tags) = tags {
            zone.tags = tags;
        }
        Ok(tagged(200, &zone.json(most)))
    }

    /// Begins a deletion; it is over when its status has been asked for often enough.
    pub(super) fn delete_zone(&mut self, request: &Request, route: &Route) -> Result<Answer, Refusal> {
        let Ok(zone) = self.zone(route) else { return Ok(empty(204)) };
        conditions(request, Some(&zone.etag), &format!("Zone {}", route.zone))?;
        let under_way = zone.deletion.clone();
        let (polls, retry_after) = self.deletion_polls;
        let id = under_way.unwrap_or_else(|| format!("delzone{}", self.guid().replace('-', "")));
        let (group, name) = (route.group.to_ascii_lowercase(), route.zone.to_ascii_lowercase());
        self.deletions.entry(id.clone()).or_insert(Deletion { polls, group, zone: name });
        self.zone_mut(route)?.deletion = Some(id.clone());
        if polls == 0 {
            self.group_mut(route)?.zones.remove(&route.zone.to_ascii_lowercase());
        }
        let path =
            format!("/subscriptions/{}/resourceGroups/{}/providers/Microsoft.Network", route.subscription, route.group);
        let host = self.cloud.resource_manager();
        let answer = empty(202)
            .with_header(
                "azure-asyncoperation",
                &format!("{host}:443{path}/dnsOperationStatuses/{id}?api-version={API_VERSION}"),
            )
            .with_header("location", &format!("{host}{path}/dnsOperationResults/{id}?api-version={API_VERSION}"));
        Ok(match retry_after {
            Some(seconds) => answer.with_header("retry-after", &seconds.to_string()),
            None => answer,
        })
    }

    /// How far a deletion is.
    pub(super) fn deletion(&mut self, route: &Route) -> Result<Answer, Refusal> {
        let retry_after = self.deletion_polls.1;
        let unknown = || Refusal::dns(404, "NotFound", format!("The operation '{}' does not exist.", route.id));
        let deletion = self.deletions.get_mut(&route.id).ok_or_else(unknown)?;
        let of_result = route.operation == RESULT;
        if deletion.polls > 0 {
            deletion.polls -= 1;
            let answer = if of_result { empty(202) } else { json_answer(200, &json!({"status": "InProgress"})) };
            return Ok(match retry_after {
                Some(seconds) => answer.with_header("retry-after", &seconds.to_string()),
                None => answer,
            });
        }
        let (group, zone) = (deletion.group.clone(), deletion.zone.clone());
        let groups = self.subscriptions.values_mut().filter_map(|subscription| subscription.groups.get_mut(&group));
        for group in groups {
            // Not a zone of that name which somebody has made since.
            if group.zones.get(&zone).is_some_and(|zone| zone.deletion.as_ref() == Some(&route.id)) {
                group.zones.remove(&zone);
            }
        }
        Ok(if of_result { empty(200) } else { json_answer(200, &json!({"status": "Succeeded"})) })
    }
}

fn body(request: &Request, route: &Route) -> Result<Map<String, Value>, Refusal> {
    let fields = find(route.operation).and_then(|operation| operation.body).unwrap_or_default();
    check::body(request, fields, false)
}

fn tags(body: &Map<String, Value>) -> Result<Option<Map<String, Value>>, Refusal> {
    let tags = member(body, "tags").cloned();
    if let Some(tags) = &tags {
        check::tags(tags)?;
    }
    Ok(tags)
}

/// Source: Microsoft's "Naming rules and restrictions for Azure resources": 2 to 34 labels.
fn zone_name(name: &str) -> Result<(), Refusal> {
    rdata::domain(name, true)?;
    if name.contains('*') || !(2..=34).contains(&name.split('.').count()) {
        return Err(Refusal::bad(format!("The domain name '{name}' is invalid.")));
    }
    Ok(())
}
