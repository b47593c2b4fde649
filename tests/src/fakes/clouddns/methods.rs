//! What each operation does to a project.

use std::ops::Bound;

use serde_json::{Map, Value, json};

use super::page::Page;
use super::project::{Project, timestamp};
use super::rdata;
use super::records::{self, RecordSet};
use super::refusal::Refusal;
use super::zone::{Change, ChangeBody, SetKey, Zone, set_key};
use crate::fakes::listener::Request;

/// One call of an operation, its request read and allowed.
pub(super) struct Call<'a> {
    pub(super) project: &'a mut Project,
    pub(super) request: &'a Request,
    /// What stands in the path behind the project.
    pub(super) bound: &'a [String],
}

impl Call<'_> {
    pub(super) fn project_json(&self) -> Value {
        let Project { id, number, quota, .. } = &*self.project;
        json!({"kind": "dns#project", "id": id, "number": number.to_string(), "quota": quota.json()})
    }

    /// The zone of the path.
    fn zone(&mut self) -> Result<&mut Zone, Refusal> {
        self.project.zone(&self.bound[0])
    }

    fn page(&self, of: String) -> Result<Page, Refusal> {
        let (max_results, token) = (self.request.query("maxResults"), self.request.query("pageToken"));
        Page::read(of, max_results, token, self.project.page_size)
    }

    //--- Zones

    pub(super) fn list_zones(&mut self) -> Result<Value, Refusal> {
        let page = self.page("managedZones".to_owned())?;
        let apex = self.request.query("dnsName").map(str::to_ascii_lowercase);
        if let Some(apex) = apex.as_deref().filter(|apex| !rdata::is_owner(apex)) {
            return Err(Refusal::invalid("parameters.dnsName", apex));
        }
        let zones = self.project.zones.iter().filter(|zone| apex.as_deref().is_none_or(|apex| zone.apex == apex));
        let zones = zones.filter(|zone| page.wants(&zone.name)).map(|zone| (zone.name.clone(), zone.json.clone()));
        let (zones, next) = page.cut(zones);
        Ok(list("dns#managedZonesListResponse", "managedZones", zones, next))
    }

    pub(super) fn get_zone(&mut self) -> Result<Value, Refusal> {
        Ok(self.zone()?.json.clone())
    }

    pub(super) fn create_zone(&mut self, body: &Map<String, Value>) -> Result<Value, Refusal> {
        Ok(self.project.create_zone(body)?.json.clone())
    }

    pub(super) fn delete_zone(&mut self) -> Result<Value, Refusal> {
        let zone = self.zone()?;
        if !zone.is_empty() {
            let message = format!("The resource named '{}' cannot be deleted because it is not empty", zone.name);
            return Err(Refusal::new(400, "containerNotEmpty", message));
        }
        let name = zone.name.clone();
        self.project.zones.retain(|zone| zone.name != name);
        Ok(Value::Null)
    }

    //--- Changes

    pub(super) fn create_change(&mut self, body: &Map<String, Value>) -> Result<Value, Refusal> {
        let sets = |member: &str| body.get(member).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        self.change(&ChangeBody { additions: sets("additions"), deletions: sets("deletions"), root: "entity.change" })
    }

    /// Makes a change in the zone of the path; gives the change as it stands then.
    fn change(&mut self, body: &ChangeBody<'_>) -> Result<Value, Refusal> {
        self.check_rights(body)?;
        let operation_id = self.operation_id()?;
        let (quota, pending_reads) = (self.project.quota.clone(), self.project.pending_reads);
        let zone = self.zone()?;
        if let Some(id) = operation_id.as_ref().filter(|id| zone.operation_ids.contains(id)) {
            return Err(Refusal::already_exists("parameters.clientOperationId", id));
        }
        let change = zone.change(body, &quota, timestamp(0))?;
        change.pending_reads = pending_reads;
        let answer = change.json(true);
        zone.operation_ids.extend(operation_id);
        Ok(answer)
    }

    /// A change needs the rights to what it does with sets too: a set that is deleted and added again is updated.
    fn check_rights(&self, body: &ChangeBody<'_>) -> Result<(), Refusal> {
        let is_same = |one: &Value, two: &Value| one["name"] == two["name"] && one["type"] == two["type"];
        let among = |set: &Value, others: &[Value]| others.iter().any(|other| is_same(set, other));
        let needed = [
            ("dns.resourceRecordSets.create", body.additions.iter().any(|set| !among(set, body.deletions))),
            ("dns.resourceRecordSets.delete", body.deletions.iter().any(|set| !among(set, body.additions))),
            ("dns.resourceRecordSets.update", body.additions.iter().any(|set| among(set, body.deletions))),
        ];
        let denied = &self.project.denied;
        let lacks = !denied.is_empty() && needed.into_iter().any(|(right, used)| used && denied.contains(right));
        if lacks { Err(Refusal::forbidden()) } else { Ok(()) }
    }

    /// The caller's own name of the operation: 1 to 63 of `-a-z0-9`, used once in a zone.
    fn operation_id(&self) -> Result<Option<String>, Refusal> {
        let Some(id) = self.request.query("clientOperationId") else { return Ok(None) };
        let fits = id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !fits || !(1..=63).contains(&id.len()) {
            return Err(Refusal::invalid("parameters.clientOperationId", id));
        }
        Ok(Some(id.to_owned()))
    }

    pub(super) fn get_change(&mut self) -> Result<Value, Refusal> {
        let wanted = self.bound[1].clone();
        let change = self.zone()?.changes.iter_mut().find(|change| change.id.to_string() == wanted);
        let change = change.ok_or_else(|| Refusal::not_found("parameters.changeId", &wanted))?;
        Ok(seen(change))
    }

    pub(super) fn list_changes(&mut self) -> Result<Value, Refusal> {
        let descending = match self.request.query("sortOrder") {
            None | Some("ascending") => false,
            Some("descending") => true,
            Some(other) => return Err(Refusal::invalid("parameters.sortOrder", other)),
        };
        let id = self.zone()?.id;
        let page = self.page(format!("changes {id} {descending}"))?;
        let mut changes: Vec<&mut Change> = self.zone()?.changes.iter_mut().collect();
        if descending {
            changes.reverse();
        }
        let key = |change: &Change| format!("{:020}", if descending { usize::MAX - change.id } else { change.id });
        let changes = changes.into_iter().map(|change| (key(change), change)).filter(|(key, _)| page.wants(key));
        let (changes, next) = page.cut(changes);
        Ok(list("dns#changesListResponse", "changes", changes.into_iter().map(seen).collect(), next))
    }

    //--- Sets

    pub(super) fn list_sets(&mut self) -> Result<Value, Refusal> {
        let query = |name: &str| self.request.query(name).map(str::to_owned);
        let (name, record_type) = (query("name").map(|name| name.to_ascii_lowercase()), query("type"));
        if query("filter").is_some() {
            return Err(Refusal::new(501, "notImplemented", "the fake does not imitate filter"));
        }
        if let Some(name) = name.as_deref().filter(|name| !rdata::is_owner(name)) {
            return Err(Refusal::invalid("parameters.name", name));
        }
        if let Some(wanted) = &record_type {
            if name.is_none() {
                return Err(Refusal::required("parameters.name"));
            }
            if !rdata::is_type(wanted) {
                return Err(Refusal::invalid("parameters.type", wanted));
            }
        }
        let id = self.zone()?.id;
        let page = self.page(format!("rrsets {id} {name:?} {record_type:?}"))?;
        let after = page.after.as_deref().map_or(Bound::Unbounded, |after| Bound::Excluded(parse_key(after)));
        // One name is found without a walk through the zone.
        let from = match (&after, &name) {
            (Bound::Unbounded, Some(name)) => Bound::Included(set_key(name, "")),
            _ => after,
        };
        let sets = self.zone()?.sets.range((from, Bound::Unbounded));
        let sets = sets.take_while(|(_, set)| name.as_deref().is_none_or(|name| set.name == name));
        let sets = sets.filter(|(_, set)| record_type.as_deref().is_none_or(|wanted| set.record_type == wanted));
        let (sets, next) = page.cut(sets.map(|(key, set)| (print_key(key), set)));
        let sets = sets.into_iter().map(RecordSet::json).collect();
        Ok(list("dns#resourceRecordSetsListResponse", "rrsets", sets, next))
    }

    /// The set of the path.
    fn held(&mut self) -> Result<RecordSet, Refusal> {
        let (name, record_type) = (self.bound[1].to_ascii_lowercase(), self.bound[2].clone());
        let held = self.zone()?.get(&name, &record_type).cloned();
        held.ok_or_else(|| Refusal::not_found("parameters.name", &format!("{name} ({record_type})")))
    }

    pub(super) fn get_set(&mut self) -> Result<Value, Refusal> {
        Ok(self.held()?.json())
    }

    pub(super) fn create_set(&mut self, body: &Map<String, Value>) -> Result<Value, Refusal> {
        let additions = [Value::Object(body.clone())];
        self.change_set(&ChangeBody { additions: &additions, deletions: &[], root: "entity.rrset" })
    }

    pub(super) fn delete_set(&mut self) -> Result<Value, Refusal> {
        let deletions = [self.held()?.json()];
        self.change_set(&ChangeBody { additions: &[], deletions: &deletions, root: "entity.rrset" })?;
        Ok(json!({}))
    }

    pub(super) fn patch_set(&mut self, body: &Map<String, Value>) -> Result<Value, Refusal> {
        let held = self.held()?;
        let (additions, deletions) = ([records::patched(&held, body)], [held.json()]);
        self.change_set(&ChangeBody { additions: &additions, deletions: &deletions, root: "entity.rrset" })
    }

    /// Makes a change of one set; gives the set that was added, if one was.
    fn change_set(&mut self, body: &ChangeBody<'_>) -> Result<Value, Refusal> {
        Ok(self.change(body)?.pointer_mut("/additions/0").map(Value::take).unwrap_or_default())
    }
}

/// A change as this read sees it.
fn seen(change: &mut Change) -> Value {
    let pending = change.pending_reads > 0;
    change.pending_reads = change.pending_reads.saturating_sub(1);
    change.json(pending)
}

fn list(kind: &str, member: &str, items: Vec<Value>, next: Option<String>) -> Value {
    let mut list = Map::from_iter([("kind".to_owned(), kind.into()), (member.to_owned(), items.into())]);
    list.extend(next.map(|token| ("nextPageToken".to_owned(), token.into())));
    Value::Object(list)
}

fn print_key((labels, record_type): &SetKey) -> String {
    format!("{} {record_type}", labels.join("."))
}

fn parse_key(text: &str) -> SetKey {
    let (labels, record_type) = text.split_once(' ').unwrap_or((text, ""));
    (labels.split('.').map(str::to_owned).collect(), record_type.to_owned())
}
