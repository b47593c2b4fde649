//! Record sets: what a zone holds and what a request says of one.

use serde_json::{Map, Value, json};

use super::project::Quota;
use super::rdata;
use super::refusal::Refusal;
use super::schema;

/// The records of one owner and type, or the policy by which Cloud DNS chooses among them.
///
/// Equality: name, type, TTL and the records as a set, as exact deletions compare.
#[derive(Clone, Debug)]
pub struct RecordSet {
    /// The owner name, lower-case, with its final dot.
    pub name: String,
    /// `A`, `TXT`, …
    pub record_type: String,
    /// Seconds.
    pub ttl: u32,
    /// What an answer is made of.
    pub data: Data,
}

/// What an answer is made of.
#[derive(Clone, Debug)]
pub enum Data {
    /// Each record's data in presentation format, in the order in which they were sent.
    Records(Vec<String>),
    /// A `routingPolicy` as JSON, without its `kind`s.
    Policy(Value),
}

impl RecordSet {
    /// A set of records.
    pub fn new<S: Into<String>>(name: &str, record_type: &str, ttl: u32, records: impl IntoIterator<Item = S>) -> Self {
        let data = Data::Records(records.into_iter().map(Into::into).collect());
        Self { name: name.to_ascii_lowercase(), record_type: record_type.to_owned(), ttl, data }
    }

    /// A set that answers by a policy: the JSON of a `routingPolicy`.
    pub fn with_policy(name: &str, record_type: &str, ttl: u32, policy: &Value) -> Self {
        let data = Data::Policy(schema::with_kinds("RRSetRoutingPolicy", policy, false));
        Self { name: name.to_ascii_lowercase(), record_type: record_type.to_owned(), ttl, data }
    }

    /// The data of its records; none for a policy.
    pub fn records(&self) -> &[String] {
        match &self.data {
            Data::Records(records) => records,
            Data::Policy(_) => &[],
        }
    }

    /// How errors call it.
    pub(super) fn label(&self) -> String {
        format!("{} ({})", self.name, self.record_type)
    }

    pub(super) fn json(&self) -> Value {
        let Self { name, record_type, ttl, data } = self;
        let mut set = json!({"name": name, "type": record_type, "ttl": ttl});
        match data {
            Data::Records(records) => set["rrdatas"] = records.clone().into(),
            Data::Policy(policy) => set["routingPolicy"] = policy.clone(),
        }
        schema::with_kinds("ResourceRecordSet", &set, true)
    }

    /// The octets that count against `totalRrdataSizePerChange`.
    pub(super) fn octets(&self) -> usize {
        match &self.data {
            Data::Records(records) => records.iter().map(String::len).sum(),
            Data::Policy(policy) => policy_records(policy).map(String::len).sum(),
        }
    }
}

impl PartialEq for RecordSet {
    fn eq(&self, other: &Self) -> bool {
        let data = match (&self.data, &other.data) {
            (Data::Records(one), Data::Records(two)) => sorted(one) == sorted(two),
            (Data::Policy(one), Data::Policy(two)) => one == two,
            _ => false,
        };
        data && (&self.name, &self.record_type, self.ttl) == (&other.name, &other.record_type, other.ttl)
    }
}

impl Eq for RecordSet {}

fn sorted(records: &[String]) -> Vec<&String> {
    let mut records: Vec<_> = records.iter().collect();
    records.sort_unstable();
    records
}

//----------- Reading a request --------------------------------------

/// Reads a set that a body holds at `path`. `apex` is the zone's name.
///
/// # Errors
/// All that is wrong with it by itself, whatever else the zone holds.
pub(super) fn read(value: &Value, path: &str, apex: &str, quota: &Quota) -> Result<RecordSet, Vec<Refusal>> {
    let mut wrong = Vec::new();
    let text = |member: &str| value.get(member).and_then(Value::as_str).unwrap_or_default();
    let name = text("name").to_ascii_lowercase();
    let record_type = text("type").to_owned();
    if text("name").is_empty() {
        wrong.push(Refusal::required(&format!("{path}.name")));
    } else if !rdata::is_owner(&name) || !is_within(&name, apex) {
        wrong.push(Refusal::invalid(&format!("{path}.name"), text("name")));
    }
    if record_type.is_empty() {
        wrong.push(Refusal::required(&format!("{path}.type")));
    } else if !rdata::is_type(&record_type) {
        wrong.push(Refusal::invalid(&format!("{path}.type"), &record_type));
    }
    let ttl = value.get("ttl").map(|ttl| ttl.as_i64().or_else(|| ttl.as_str()?.parse().ok()).unwrap_or(-1));
    match ttl {
        None => wrong.push(Refusal::required(&format!("{path}.ttl"))),
        Some(ttl) if ttl < 0 => wrong.push(Refusal::invalid(&format!("{path}.ttl"), &ttl.to_string())),
        Some(_) => {}
    }
    let data = match (value.get("rrdatas"), value.get("routingPolicy")) {
        (None, Some(policy)) => read_policy(policy, &record_type, &format!("{path}.routingPolicy"), quota, &mut wrong),
        (rrdatas, None) => {
            let rrdatas = rrdatas.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            Data::Records(read_records(rrdatas, &record_type, &format!("{path}.rrdata"), &mut wrong))
        }
        (Some(_), Some(_)) => {
            wrong.push(Refusal::invalid(&format!("{path}.routingPolicy"), "both rrdatas and a routing policy"));
            Data::Records(Vec::new())
        }
    };
    if let Data::Records(records) = &data {
        check_count(records.len(), &name, &record_type, apex, path, quota, &mut wrong);
    }
    let ttl = ttl.and_then(|ttl| u32::try_from(ttl).ok()).unwrap_or_default();
    if wrong.is_empty() { Ok(RecordSet { name, record_type, ttl, data }) } else { Err(wrong) }
}

/// Whether a name is the apex or below it.
pub(super) fn is_within(name: &str, apex: &str) -> bool {
    name == apex || name.strip_suffix(apex).is_some_and(|rest| rest.ends_with('.'))
}

fn read_records(rrdatas: &[Value], record_type: &str, path: &str, wrong: &mut Vec<Refusal>) -> Vec<String> {
    let mut records: Vec<String> = Vec::new();
    for (i, sent) in rrdatas.iter().enumerate() {
        let sent = sent.as_str().unwrap_or_default();
        match rdata::canonical(record_type, sent) {
            Some(data) if !records.contains(&data) => records.push(data),
            _ if !rdata::is_type(record_type) => {}
            _ => wrong.push(Refusal::invalid(&format!("{path}[{i}]"), sent)),
        }
    }
    records
}

fn check_count(
    count: usize,
    name: &str,
    record_type: &str,
    apex: &str,
    path: &str,
    quota: &Quota,
    wrong: &mut Vec<Refusal>,
) {
    if count == 0 && wrong.is_empty() {
        wrong.push(Refusal::required(&format!("{path}.rrdata")));
    }
    if rdata::is_single(record_type) && count > 1 {
        let message = format!(
            "The resource record set '{path}' is invalid because a set of type '{record_type}' holds one record."
        );
        wrong.push(Refusal::new(400, "invalidRecordCount", message));
    }
    if count > quota.resource_records_per_rrset as usize {
        wrong.push(Refusal::quota("The change would exceed quota for resource records per resource record set."));
    }
    if record_type == "NS" && name != apex && count > quota.nameservers_per_delegation as usize {
        wrong.push(Refusal::quota("The change would exceed quota for name servers per delegation."));
    }
}

/// Reads a routing policy: exactly one way, with items whose records are of the set's type.
fn read_policy(policy: &Value, record_type: &str, path: &str, quota: &Quota, wrong: &mut Vec<Refusal>) -> Data {
    let ways = ["wrr", "geo", "primaryBackup"].into_iter().filter(|way| policy.get(way).is_some()).count();
    if ways != 1 {
        wrong.push(Refusal::invalid(path, "exactly one of wrr, geo and primaryBackup"));
    }
    let items = policy["wrr"]["items"].as_array().or_else(|| policy["geo"]["items"].as_array());
    if items.is_some_and(|items| items.len() > quota.items_per_routing_policy as usize) {
        wrong.push(Refusal::quota("The change would exceed quota for items per routing policy."));
    }
    for data in policy_records(policy).filter(|data| rdata::canonical(record_type, data).is_none()) {
        wrong.push(Refusal::invalid(&format!("{path}.rrdata"), data));
    }
    Data::Policy(schema::with_kinds("RRSetRoutingPolicy", policy, false))
}

/// The data of all records in a policy's items.
fn policy_records(policy: &Value) -> impl Iterator<Item = &String> {
    let items = [&policy["wrr"], &policy["geo"], &policy["primaryBackup"]["backupGeoTargets"]];
    let items = items.into_iter().filter_map(|way| way["items"].as_array()).flatten();
    items.filter_map(|item| item["rrdatas"].as_array()).flatten().filter_map(|data| match data {
        Value::String(data) => Some(data),
        _ => None,
    })
}

/// Lays the members of a patch over a set's JSON.
pub(super) fn patched(held: &RecordSet, patch: &Map<String, Value>) -> Value {
    let mut value = held.json();
    if patch.contains_key("routingPolicy") {
        value.as_object_mut().map(|members| members.remove("rrdatas"));
    }
    if patch.contains_key("rrdatas") {
        value.as_object_mut().map(|members| members.remove("routingPolicy"));
    }
    for (member, new) in patch {
        value[member.as_str()] = new.clone();
    }
    value
}
