//! The vendor's description as tables: operations, parameters, the fields of bodies, limits.
//!
//! Source: `Microsoft.Network/stable/2018-05-01/dns.json` of Azure/azure-rest-api-specs (2021-11-01), which a test below
//! compares with these tables where the fixtures are present.

/// The only version of the interface that the fake serves.
pub const API_VERSION: &str = "2018-05-01";

/// The record types that can be written, as they stand in paths.
pub const RECORD_TYPES: [&str; 10] = ["A", "AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT"];

//----------- Operation ----------------------------------------------

/// An operation of the description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operation {
    /// Its name, by which a test counts calls and aims faults.
    pub(super) id: &'static str,
    /// The HTTP method.
    pub(super) method: &'static str,
    /// What follows the provider's name in the path.
    pub(super) path: &'static str,
    /// Whether the path has a resource group.
    pub(super) in_group: bool,
    /// Query parameters beside `api-version`, all optional.
    pub(super) query: &'static [&'static str],
    /// Headers that it understands.
    pub(super) headers: &'static [&'static str],
    /// What its body is made of.
    pub(super) body: Option<&'static [Field]>,
    /// The statuses of success.
    pub(super) success: &'static [u16],
}

const TOP: &[&str] = &["$top"];
const TOP_AND_SUFFIX: &[&str] = &["$top", "$recordsetnamesuffix"];
const IF_MATCH: &[&str] = &["If-Match"];
const CONDITIONS: &[&str] = &["If-Match", "If-None-Match"];

const fn operation(id: &'static str, method: &'static str, path: &'static str) -> Operation {
    Operation { id, method, path, in_group: true, query: &[], headers: &[], body: None, success: &[200] }
}

const SET: &str = "dnsZones/{zoneName}/{recordType}/{relativeRecordSetName}";
const ZONE: &str = "dnsZones/{zoneName}";

/// All operations.
pub(super) const OPERATIONS: [Operation; 14] = [
    Operation { headers: IF_MATCH, body: Some(RECORD_SET), ..operation("RecordSets_Update", "patch", SET) },
    Operation {
        headers: CONDITIONS,
        body: Some(RECORD_SET),
        success: &[200, 201],
        ..operation("RecordSets_CreateOrUpdate", "put", SET)
    },
    Operation { headers: IF_MATCH, success: &[200, 204], ..operation("RecordSets_Delete", "delete", SET) },
    operation("RecordSets_Get", "get", SET),
    Operation {
        query: TOP_AND_SUFFIX,
        ..operation("RecordSets_ListByType", "get", "dnsZones/{zoneName}/{recordType}")
    },
    Operation {
        query: TOP_AND_SUFFIX,
        ..operation("RecordSets_ListByDnsZone", "get", "dnsZones/{zoneName}/recordsets")
    },
    Operation { query: TOP_AND_SUFFIX, ..operation("RecordSets_ListAllByDnsZone", "get", "dnsZones/{zoneName}/all") },
    Operation {
        headers: CONDITIONS,
        body: Some(ZONE_BODY),
        success: &[200, 201],
        ..operation("Zones_CreateOrUpdate", "put", ZONE)
    },
    Operation { headers: IF_MATCH, success: &[200, 202, 204], ..operation("Zones_Delete", "delete", ZONE) },
    operation("Zones_Get", "get", ZONE),
    Operation { headers: IF_MATCH, body: Some(ZONE_UPDATE), ..operation("Zones_Update", "patch", ZONE) },
    Operation { query: TOP, ..operation("Zones_ListByResourceGroup", "get", "dnsZones") },
    Operation {
        in_group: false,
        body: Some(REFERENCES),
        ..operation("DnsResourceReference_GetByTargetResources", "post", "getDnsResourceReference")
    },
    Operation { in_group: false, query: TOP, ..operation("Zones_List", "get", "dnszones") },
];

/// The operation of an id.
pub(super) fn find(id: &str) -> Option<&'static Operation> {
    OPERATIONS.iter().find(|operation| operation.id == id)
}

//----------- Field --------------------------------------------------

/// A member of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// A client may send it back; it means nothing.
    pub(super) read_only: bool,
    /// The service refuses a body without it. The description marks none but `location`; for the data of records the
    /// service's own words are known ("The resource record is missing field 'host'", Azure/azure-xplat-cli#1796).
    pub(super) required: bool,
}

/// The type of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Int32,
    Int64,
    /// Names and texts of the client's choice.
    Map,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    Object(&'static [Field]),
    Array(&'static [Field]),
    Texts,
}

const fn field(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, read_only: false, required: false }
}

const fn read_only(name: &'static str, kind: Kind) -> Field {
    Field { read_only: true, ..field(name, kind) }
}

const fn required(name: &'static str, kind: Kind) -> Field {
    Field { required: true, ..field(name, kind) }
}

const SUB_RESOURCE: &[Field] = &[field("id", Kind::Text)];

const RECORD_SET: &[Field] = &[
    read_only("id", Kind::Text),
    read_only("name", Kind::Text),
    read_only("type", Kind::Text),
    field("etag", Kind::Text),
    field("properties", Kind::Object(SET_PROPERTIES)),
];

const SET_PROPERTIES: &[Field] = &[
    field("metadata", Kind::Map),
    field("TTL", Kind::Int64),
    read_only("fqdn", Kind::Text),
    read_only("provisioningState", Kind::Text),
    field("targetResource", Kind::Object(SUB_RESOURCE)),
    field("ARecords", Kind::Array(&[required("ipv4Address", Kind::Text)])),
    field("AAAARecords", Kind::Array(&[required("ipv6Address", Kind::Text)])),
    field("MXRecords", Kind::Array(&[required("preference", Kind::Int32), required("exchange", Kind::Text)])),
    field("NSRecords", Kind::Array(&[required("nsdname", Kind::Text)])),
    field("PTRRecords", Kind::Array(&[required("ptrdname", Kind::Text)])),
    field("SRVRecords", Kind::Array(SRV)),
    field("TXTRecords", Kind::Array(&[required("value", Kind::Texts)])),
    field("CNAMERecord", Kind::Object(&[required("cname", Kind::Text)])),
    field("SOARecord", Kind::Object(SOA)),
    field("caaRecords", Kind::Array(CAA)),
];

const SRV: &[Field] = &[
    required("priority", Kind::Int32),
    required("weight", Kind::Int32),
    required("port", Kind::Int32),
    required("target", Kind::Text),
];

const CAA: &[Field] = &[required("flags", Kind::Int32), required("tag", Kind::Text), required("value", Kind::Text)];

const SOA: &[Field] = &[
    required("host", Kind::Text),
    required("email", Kind::Text),
    required("serialNumber", Kind::Int64),
    required("refreshTime", Kind::Int64),
    required("retryTime", Kind::Int64),
    required("expireTime", Kind::Int64),
    required("minimumTTL", Kind::Int64),
];

const ZONE_BODY: &[Field] = &[
    field("etag", Kind::Text),
    field("properties", Kind::Object(ZONE_PROPERTIES)),
    read_only("id", Kind::Text),
    read_only("name", Kind::Text),
    read_only("type", Kind::Text),
    required("location", Kind::Text),
    field("tags", Kind::Map),
];

const ZONE_PROPERTIES: &[Field] = &[
    read_only("maxNumberOfRecordSets", Kind::Int64),
    read_only("maxNumberOfRecordsPerRecordSet", Kind::Int64),
    read_only("numberOfRecordSets", Kind::Int64),
    read_only("nameServers", Kind::Texts),
    field("zoneType", Kind::OneOf(&["Public", "Private"])),
    field("registrationVirtualNetworks", Kind::Array(SUB_RESOURCE)),
    field("resolutionVirtualNetworks", Kind::Array(SUB_RESOURCE)),
];

const ZONE_UPDATE: &[Field] = &[field("tags", Kind::Map)];

const REFERENCES: &[Field] =
    &[field("properties", Kind::Object(&[field("targetResources", Kind::Array(SUB_RESOURCE))]))];

/// The member of a record set's properties that holds the records of a type.
pub(super) fn member_of(record_type: &str) -> &'static str {
    match record_type {
        "A" => "ARecords",
        "AAAA" => "AAAARecords",
        "CAA" => "caaRecords",
        "CNAME" => "CNAMERecord",
        "MX" => "MXRecords",
        "NS" => "NSRecords",
        "PTR" => "PTRRecords",
        "SOA" => "SOARecord",
        "SRV" => "SRVRecords",
        _ => "TXTRecords",
    }
}

/// The members that hold records.
pub(super) fn record_members() -> impl Iterator<Item = &'static str> {
    RECORD_TYPES.iter().map(|record_type| member_of(record_type))
}

//----------- Limits -------------------------------------------------

/// What one account may hold. A test may lower them.
///
/// Source of the defaults: Microsoft's "Overview of DNS zones and records" of 2025-12-18, section Limits. An older page
/// (2024-10-08) gives 20 alias sets for a resource and names no limit of its own for TXT.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Zones in a subscription: 250.
    pub zones: usize,
    /// Record sets in a zone, NS and SOA of the apex included: 10,000.
    pub record_sets: usize,
    /// Records in a set: 20.
    pub records: usize,
    /// Records in a TXT set: 400.
    pub txt_records: usize,
    /// Characters in all strings of a TXT set: 4096 in the public cloud (1024 in older pages).
    /// Source also: the service's words in hashicorp/terraform-provider-azurerm#24169.
    pub txt_characters: usize,
    /// Alias sets that point at one resource: 50.
    pub aliases: usize,
    /// Sets or zones on a page where the request has no `$top`: 100. A lower number also lowers larger `$top`s.
    pub page: usize,
    /// Pairs of metadata on a set. The vendor documents no limit, so there is none.
    pub metadata_pairs: usize,
    /// Characters of a metadata name and of a value. The vendor documents none, so there is none; tags, their
    /// likeness, have 512 and 256.
    pub metadata_characters: (usize, usize),
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            zones: 250,
            record_sets: 10_000,
            records: 20,
            txt_records: 400,
            txt_characters: 4096,
            aliases: 50,
            page: 100,
            metadata_pairs: usize::MAX,
            metadata_characters: (usize::MAX, usize::MAX),
        }
    }
}

/// Largest `$top` that changes anything: federation v1 asked for 1000; nothing is known of more.
pub(super) const LARGEST_PAGE: usize = 1000;

/// The largest TTL. Zero is taken, against the vendor's page, which begins at 1: a recording has such sets.
pub(super) const LARGEST_TTL: i64 = 2_147_483_647;

/// Pairs of tags on a resource, and characters of a name and a value.
/// Source: Microsoft's "Use tags to organize your Azure resources".
pub(super) const TAGS: (usize, usize, usize) = (50, 512, 256);

#[cfg(test)]
mod tests;
