//! A managed zone: its sets and the changes that made them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::rdata::order_key;
use super::records::{self, RecordSet};
use super::refusal::Refusal;
use super::{project::Quota, schema};

/// Who can see a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// Everybody.
    Public,
    /// The networks that the zone names.
    Private,
}

/// Orders sets as lists do: names by their labels from the right, then types.
pub(super) type SetKey = (Vec<String>, String);

pub(super) fn set_key(name: &str, record_type: &str) -> SetKey {
    (order_key(name), record_type.to_owned())
}

/// A managed zone.
#[derive(Clone, Debug)]
pub(super) struct Zone {
    pub(super) name: String,
    pub(super) id: u64,
    /// Lower-case, with its final dot.
    pub(super) apex: String,
    /// What the service says of it.
    pub(super) json: Value,
    pub(super) sets: BTreeMap<SetKey, RecordSet>,
    pub(super) changes: Vec<Change>,
    /// The operation identifiers that callers have used up.
    pub(super) operation_ids: Vec<String>,
}

/// A change that was made.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) id: usize,
    pub(super) additions: Vec<RecordSet>,
    pub(super) deletions: Vec<RecordSet>,
    pub(super) start_time: String,
    /// How many more reads say `pending`.
    pub(super) pending_reads: u32,
}

impl Change {
    /// Its JSON; lists that hold nothing are left out.
    pub(super) fn json(&self, pending: bool) -> Value {
        let mut change = json!({
            "startTime": self.start_time, "id": self.id.to_string(), "status": if pending { "pending" } else { "done" },
        });
        for (member, sets) in [("additions", &self.additions), ("deletions", &self.deletions)] {
            if !sets.is_empty() {
                change[member] = sets.iter().map(RecordSet::json).collect();
            }
        }
        schema::with_kinds("Change", &change, true)
    }
}

impl Zone {
    /// Whether a path's `{managedZone}` means this one.
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.name == name || self.id.to_string() == name
    }

    /// Whether it holds nothing but what the service put there.
    pub(super) fn is_empty(&self) -> bool {
        self.sets.values().all(|set| set.name == self.apex && matches!(set.record_type.as_str(), "SOA" | "NS"))
    }

    pub(super) fn get(&self, name: &str, record_type: &str) -> Option<&RecordSet> {
        self.sets.get(&set_key(name, record_type))
    }

    pub(super) fn put(&mut self, set: RecordSet) {
        self.sets.insert(set_key(&set.name, &set.record_type), set);
    }

    /// Makes a change, all of it or nothing.
    ///
    /// # Errors
    /// All that is wrong at the first of these steps that finds something: each set by itself, the quotas of the change,
    /// what the zone holds, what it would hold.
    pub(super) fn change(&mut self, body: &ChangeBody<'_>, quota: &Quota, now: String) -> Result<&mut Change, Refusal> {
        let (additions, deletions) = body.read(&self.apex, quota)?;
        check_quotas(&additions, &deletions, quota)?;
        self.check_preconditions(&additions, &deletions, body)?;
        let mut after = self.sets.clone();
        for set in &deletions {
            after.remove(&set_key(&set.name, &set.record_type));
        }
        for set in &additions {
            after.insert(set_key(&set.name, &set.record_type), set.clone());
        }
        self.check_result(&after, &additions, &deletions, quota, body)?;
        self.sets = after;
        Ok(self.record(additions, deletions, now))
    }

    /// Notes a change.
    pub(super) fn record(&mut self, additions: Vec<RecordSet>, deletions: Vec<RecordSet>, now: String) -> &mut Change {
        let id = self.changes.last().map_or(0, |last| last.id + 1);
        self.changes.push(Change { id, additions, deletions, start_time: now, pending_reads: 0 });
        self.changes.last_mut().expect("one was added")
    }

    /// Deletions match what stands there, and additions find their place free.
    fn check_preconditions(
        &self,
        additions: &[RecordSet],
        deletions: &[RecordSet],
        body: &ChangeBody<'_>,
    ) -> Result<(), Refusal> {
        let mut wrong = Vec::new();
        for (i, set) in deletions.iter().enumerate() {
            let path = body.path("deletions", i);
            let twice = deletions[..i].iter().any(|other| is_same_set(other, set));
            match self.get(&set.name, &set.record_type) {
                Some(held) if held == set && !twice => {}
                None => wrong.push(Refusal::not_found(&path, &set.label())),
                Some(_) => {
                    wrong.push(Refusal::new(412, "conditionNotMet", format!("Precondition not met for '{path}'")));
                }
            }
        }
        for (i, set) in additions.iter().enumerate() {
            let twice = additions[..i].iter().any(|other| is_same_set(other, set));
            let stands = self.get(&set.name, &set.record_type).is_some();
            if twice || stands && !deletions.iter().any(|other| is_same_set(other, set)) {
                wrong.push(Refusal::already_exists(&body.path("additions", i), &set.label()));
            }
        }
        Refusal::all(wrong).map_or(Ok(()), Err)
    }

    /// The zone as it would be keeps the rules of DNS and the quota of sets.
    fn check_result(
        &self,
        after: &BTreeMap<SetKey, RecordSet>,
        additions: &[RecordSet],
        deletions: &[RecordSet],
        quota: &Quota,
        body: &ChangeBody<'_>,
    ) -> Result<(), Refusal> {
        let mut wrong = Vec::new();
        for (i, set) in additions.iter().enumerate() {
            if set.record_type == "SOA" && set.name != self.apex {
                wrong.push(not_at_apex(&body.path("additions", i), "SOA"));
            }
            let labels = order_key(&set.name);
            let from = (labels.clone(), String::new());
            let at_name = || after.range(from.clone()..).take_while(|(key, _)| key.0 == labels).map(|(_, other)| other);
            if at_name().count() > 1 && at_name().any(|other| other.record_type == "CNAME") {
                wrong.push(beside_cname(&body.kind_path("additions"), set, at_name()));
            }
        }
        for (i, set) in deletions.iter().enumerate() {
            let guarded = set.name == self.apex && matches!(set.record_type.as_str(), "SOA" | "NS");
            if guarded && !after.contains_key(&set_key(&set.name, &set.record_type)) {
                wrong.push(not_at_apex(&body.path("deletions", i), &set.record_type));
            }
        }
        // A zone that is over a lowered quota can still shrink.
        if after.len() > quota.rrsets_per_managed_zone as usize && after.len() > self.sets.len() {
            wrong.push(Refusal::quota("The change would exceed quota for resource record sets per managed zone."));
        }
        Refusal::all(wrong).map_or(Ok(()), Err)
    }
}

fn is_same_set(one: &RecordSet, two: &RecordSet) -> bool {
    one.name == two.name && one.record_type == two.record_type
}

fn not_at_apex(path: &str, record_type: &str) -> Refusal {
    let message = format!(
        "The resource record set '{path}' is invalid because a zone must contain exactly one resource record set of type \
         '{record_type}' at the apex."
    );
    Refusal::new(400, "invalidZoneApex", message)
}

fn beside_cname<'a>(path: &str, set: &RecordSet, at_name: impl Iterator<Item = &'a RecordSet>) -> Refusal {
    let RecordSet { name, record_type, .. } = set;
    let other = at_name.map(|other| other.record_type.as_str()).find(|other| other != record_type).unwrap_or("CNAME");
    let message = format!(
        "The resource record set '{path}[{name}][{record_type}]' is invalid because the DNS name '{name}' has a resource \
         record set of the type '{other}'. A DNS name may have either one CNAME resource record set or resource record \
         sets of other types, but not both."
    );
    Refusal::new(400, "cnameResourceRecordSetConflict", message)
}

/// Quotas of one change. The size counts the data of additions and deletions as text: the documents leave open whether
/// deletions count, and so does the one recorded refusal, which had as many of both.
fn check_quotas(additions: &[RecordSet], deletions: &[RecordSet], quota: &Quota) -> Result<(), Refusal> {
    let octets: usize = additions.iter().chain(deletions).map(RecordSet::octets).sum();
    let exceeded = [
        (additions.len(), quota.rrset_additions_per_change, "additions per change"),
        (deletions.len(), quota.rrset_deletions_per_change, "deletions per change"),
        (octets, quota.total_rrdata_size_per_change, "total rrdata size per change"),
    ];
    let exceeded = exceeded.into_iter().filter(|(count, limit, _)| *count > *limit as usize);
    let refusals = exceeded.map(|(_, _, what)| Refusal::quota(format!("The change would exceed quota for {what}.")));
    Refusal::all(refusals.collect()).map_or(Ok(()), Err)
}

//----------- ChangeBody ---------------------------------------------

/// What a request wants changed, and how its errors name the places.
pub(super) struct ChangeBody<'a> {
    pub(super) additions: &'a [Value],
    pub(super) deletions: &'a [Value],
    /// `entity.change` has numbered lists; `entity.rrset` is one set.
    pub(super) root: &'static str,
}

impl ChangeBody<'_> {
    fn path(&self, list: &str, i: usize) -> String {
        if self.root == "entity.change" { format!("entity.change.{list}[{i}]") } else { self.root.to_owned() }
    }

    fn kind_path(&self, list: &str) -> String {
        if self.root == "entity.change" { format!("entity.change.{list}") } else { self.root.to_owned() }
    }

    fn read(&self, apex: &str, quota: &Quota) -> Result<(Vec<RecordSet>, Vec<RecordSet>), Refusal> {
        if self.additions.is_empty() && self.deletions.is_empty() {
            return Err(Refusal::required("entity.change"));
        }
        let mut wrong = Vec::new();
        let mut read = |list: &str, values: &[Value], quota: &Quota| -> Vec<RecordSet> {
            let each = values.iter().enumerate();
            let each = each.filter_map(|(i, value)| {
                records::read(value, &self.path(list, i), apex, quota).map_err(|more| wrong.extend(more)).ok()
            });
            each.collect()
        };
        let additions = read("additions", self.additions, quota);
        // What stands there may be more than a lowered quota allows; it can be deleted all the same.
        let deletions = read("deletions", self.deletions, &Quota::UNLIMITED);
        Refusal::all(wrong).map_or(Ok((additions, deletions)), Err)
    }
}
