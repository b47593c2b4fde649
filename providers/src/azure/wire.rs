//! The JSON of record sets and zones, as the description of 2018-05-01 has it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A page of a list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct List<T> {
    pub(super) value: Vec<T>,
    pub(super) next_link: Option<String>,
}

/// A zone.
#[derive(Debug, Deserialize)]
pub(super) struct ZoneResource {
    pub(super) name: String,
    #[serde(default)]
    pub(super) properties: ZoneProperties,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ZoneProperties {
    pub(super) zone_type: Option<String>,
    pub(super) max_number_of_record_sets: Option<u64>,
}

/// A record set as it is read.
#[derive(Debug, Deserialize)]
pub(super) struct RecordSet {
    /// Relative to the zone, `@` for its apex.
    pub(super) name: String,
    /// `Microsoft.Network/dnszones/A`
    #[serde(rename = "type")]
    pub(super) resource_type: String,
    pub(super) etag: Option<String>,
    pub(super) properties: Properties,
}

/// What a record set holds. The members of types that are not modelled are kept as they are.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Properties {
    pub(super) metadata: Option<BTreeMap<String, Option<String>>>,
    #[serde(rename = "TTL")]
    pub(super) ttl: Option<i64>,
    #[serde(rename = "targetResource")]
    pub(super) target_resource: Option<SubResource>,
    #[serde(rename = "ARecords")]
    pub(super) a: Option<Vec<ARecord>>,
    #[serde(rename = "AAAARecords")]
    pub(super) aaaa: Option<Vec<AaaaRecord>>,
    #[serde(rename = "CNAMERecord")]
    pub(super) cname: Option<CnameRecord>,
    #[serde(rename = "TXTRecords")]
    pub(super) txt: Option<Vec<TxtRecord>>,
    #[serde(flatten)]
    pub(super) others: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct SubResource {
    pub(super) id: Option<String>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ARecord {
    pub(super) ipv4_address: String,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AaaaRecord {
    pub(super) ipv6_address: String,
}

#[derive(Debug, Deserialize, Serialize)]
pub(super) struct CnameRecord {
    pub(super) cname: String,
}

#[derive(Debug, Deserialize, Serialize)]
pub(super) struct TxtRecord {
    pub(super) value: Vec<String>,
}

/// A record set as it is written.
#[derive(Debug, Serialize)]
pub(super) struct Body<'a> {
    pub(super) properties: BodyProperties<'a>,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct BodyProperties<'a> {
    /// Always said: a PUT replaces the pairs.
    pub(super) metadata: BTreeMap<&'a str, &'a str>,
    #[serde(rename = "TTL")]
    pub(super) ttl: u32,
    #[serde(rename = "ARecords", skip_serializing_if = "Vec::is_empty")]
    pub(super) a: Vec<ARecord>,
    #[serde(rename = "AAAARecords", skip_serializing_if = "Vec::is_empty")]
    pub(super) aaaa: Vec<AaaaRecord>,
    #[serde(rename = "CNAMERecord", skip_serializing_if = "Option::is_none")]
    pub(super) cname: Option<CnameRecord>,
    #[serde(rename = "TXTRecords", skip_serializing_if = "Vec::is_empty")]
    pub(super) txt: Vec<TxtRecord>,
}

/// How an operation that was begun goes on.
#[derive(Debug, Deserialize)]
pub(super) struct OperationStatus {
    pub(super) status: String,
}
