//! The operations of `dns.v1.json`, revision 20261009: which there are, how they are addressed, and what those that the
//! fake imitates take. `tests/fake_clouddns.rs` compares these tables with the document.

use super::schema::Kind;

/// A query parameter.
#[derive(Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
}

const fn parameter(name: &'static str, kind: Kind) -> Parameter {
    Parameter { name, kind }
}

/// An operation that the fake imitates.
#[derive(Debug)]
pub struct Operation {
    /// The document's `id`.
    pub id: &'static str,
    /// The HTTP method.
    pub method: &'static str,
    /// The document's `flatPath`.
    pub path: &'static str,
    /// What the query may hold, beside [`SYSTEM`].
    pub query: &'static [Parameter],
    /// The schema of the body.
    pub body: Option<&'static str>,
    /// The right that a caller needs. Source: Cloud DNS access control page, permissions by method.
    pub permission: &'static str,
}

impl Operation {
    /// Whether a token that may only read is enough.
    pub fn reads(&self) -> bool {
        self.method == "GET"
    }
}

const OPERATION_ID: Parameter = parameter("clientOperationId", Kind::Text);
const MAX_RESULTS: Parameter = parameter("maxResults", Kind::Int32);
const PAGE_TOKEN: Parameter = parameter("pageToken", Kind::Text);

const ZONES: &str = "dns/v1/projects/{project}/managedZones";
const ZONE: &str = "dns/v1/projects/{project}/managedZones/{managedZone}";
const CHANGES: &str = "dns/v1/projects/{project}/managedZones/{managedZone}/changes";
const CHANGE: &str = "dns/v1/projects/{project}/managedZones/{managedZone}/changes/{changeId}";
const SETS: &str = "dns/v1/projects/{project}/managedZones/{managedZone}/rrsets";
const SET: &str = "dns/v1/projects/{project}/managedZones/{managedZone}/rrsets/{name}/{type}";

const fn operation(
    id: &'static str,
    method: &'static str,
    path: &'static str,
    query: &'static [Parameter],
    body: Option<&'static str>,
    permission: &'static str,
) -> Operation {
    Operation { id, method, path, query, body, permission }
}

/// The operations that the fake imitates.
pub const OPERATIONS: &[Operation] = &[
    operation("dns.projects.get", "GET", "dns/v1/projects/{project}", &[], None, "dns.projects.get"),
    operation(
        "dns.managedZones.list",
        "GET",
        ZONES,
        &[parameter("dnsName", Kind::Text), MAX_RESULTS, PAGE_TOKEN],
        None,
        "dns.managedZones.list",
    ),
    operation("dns.managedZones.get", "GET", ZONE, &[OPERATION_ID], None, "dns.managedZones.get"),
    operation(
        "dns.managedZones.create",
        "POST",
        ZONES,
        &[OPERATION_ID],
        Some("ManagedZone"),
        "dns.managedZones.create",
    ),
    operation("dns.managedZones.delete", "DELETE", ZONE, &[OPERATION_ID], None, "dns.managedZones.delete"),
    operation("dns.changes.create", "POST", CHANGES, &[OPERATION_ID], Some("Change"), "dns.changes.create"),
    operation("dns.changes.get", "GET", CHANGE, &[OPERATION_ID], None, "dns.changes.get"),
    operation(
        "dns.changes.list",
        "GET",
        CHANGES,
        &[
            MAX_RESULTS,
            PAGE_TOKEN,
            parameter("sortBy", Kind::OneOf(&["changeSequence"])),
            parameter("sortOrder", Kind::Text),
        ],
        None,
        "dns.changes.list",
    ),
    operation(
        "dns.resourceRecordSets.list",
        "GET",
        SETS,
        &[
            parameter("filter", Kind::Text),
            MAX_RESULTS,
            parameter("name", Kind::Text),
            PAGE_TOKEN,
            parameter("type", Kind::Text),
        ],
        None,
        "dns.resourceRecordSets.list",
    ),
    operation("dns.resourceRecordSets.get", "GET", SET, &[OPERATION_ID], None, "dns.resourceRecordSets.get"),
    operation(
        "dns.resourceRecordSets.create",
        "POST",
        SETS,
        &[OPERATION_ID],
        Some("ResourceRecordSet"),
        "dns.resourceRecordSets.create",
    ),
    operation("dns.resourceRecordSets.delete", "DELETE", SET, &[OPERATION_ID], None, "dns.resourceRecordSets.delete"),
    operation(
        "dns.resourceRecordSets.patch",
        "PATCH",
        SET,
        &[OPERATION_ID],
        Some("ResourceRecordSet"),
        "dns.resourceRecordSets.update",
    ),
];

/// What any operation takes in its query: the document's `parameters`. Callers may also put a `$` before the name, as
/// Google's clients do with `$alt`.
pub const SYSTEM: &[Parameter] = &[
    parameter("$.xgafv", Kind::OneOf(&["1", "2"])),
    parameter("access_token", Kind::Text),
    parameter("alt", Kind::OneOf(&["json", "media", "proto"])),
    parameter("callback", Kind::Text),
    parameter("fields", Kind::Text),
    parameter("key", Kind::Text),
    parameter("oauth_token", Kind::Text),
    parameter("prettyPrint", Kind::Bool),
    parameter("quotaUser", Kind::Text),
    parameter("uploadType", Kind::Text),
    parameter("upload_protocol", Kind::Text),
];

/// The path parameters behind `{…}` of a template, or `None` when the path is another one.
///
/// A template's segment may end in a verb after its parameter, as in `{resource}:getIamPolicy`.
pub fn bind(template: &str, segments: &[String]) -> Option<Vec<String>> {
    let wanted: Vec<&str> = template.split('/').collect();
    if wanted.len() != segments.len() {
        return None;
    }
    let mut bound = Vec::new();
    for (wanted, given) in wanted.into_iter().zip(segments) {
        if let Some((_, verb)) = wanted.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            bound.push(given.strip_suffix(verb).filter(|value| !value.is_empty())?.to_owned());
        } else if wanted != given {
            return None;
        }
    }
    Some(bound)
}

/// The operations that the fake knows and does not imitate: id, HTTP method, path. It answers 501 and says so.
pub const NOT_IMITATED: &[(&str, &str, &str)] = &[
    ("dns.dnsKeys.get", "GET", "dns/v1/projects/{project}/managedZones/{managedZone}/dnsKeys/{dnsKeyId}"),
    ("dns.dnsKeys.list", "GET", "dns/v1/projects/{project}/managedZones/{managedZone}/dnsKeys"),
    ("dns.locations.get", "GET", "dns/v1/projects/{projectsId}/locations/{locationsId}"),
    ("dns.locations.list", "GET", "dns/v1/projects/{projectsId}/locations"),
    (
        "dns.managedZoneOperations.get",
        "GET",
        "dns/v1/projects/{project}/managedZones/{managedZone}/operations/{operation}",
    ),
    ("dns.managedZoneOperations.list", "GET", "dns/v1/projects/{project}/managedZones/{managedZone}/operations"),
    (
        "dns.managedZones.getIamPolicy",
        "POST",
        "dns/v1/projects/{projectsId}/managedZones/{managedZonesId}:getIamPolicy",
    ),
    ("dns.managedZones.patch", "PATCH", "dns/v1/projects/{project}/managedZones/{managedZone}"),
    (
        "dns.managedZones.setIamPolicy",
        "POST",
        "dns/v1/projects/{projectsId}/managedZones/{managedZonesId}:setIamPolicy",
    ),
    (
        "dns.managedZones.testIamPermissions",
        "POST",
        "dns/v1/projects/{projectsId}/managedZones/{managedZonesId}:testIamPermissions",
    ),
    ("dns.managedZones.update", "PUT", "dns/v1/projects/{project}/managedZones/{managedZone}"),
    (
        "dns.operations.cancel",
        "POST",
        "dns/v1/projects/{projectsId}/locations/{locationsId}/operations/{operationsId}:cancel",
    ),
    (
        "dns.operations.delete",
        "DELETE",
        "dns/v1/projects/{projectsId}/locations/{locationsId}/operations/{operationsId}",
    ),
    ("dns.operations.get", "GET", "dns/v1/projects/{projectsId}/locations/{locationsId}/operations/{operationsId}"),
    ("dns.operations.list", "GET", "dns/v1/projects/{projectsId}/locations/{locationsId}/operations"),
    ("dns.outboundEndpoints.create", "POST", "dns/v1/projects/{projectsId}/locations/{locationsId}/outboundEndpoints"),
    (
        "dns.outboundEndpoints.delete",
        "DELETE",
        "dns/v1/projects/{projectsId}/locations/{locationsId}/outboundEndpoints/{outboundEndpointsId}",
    ),
    (
        "dns.outboundEndpoints.get",
        "GET",
        "dns/v1/projects/{projectsId}/locations/{locationsId}/outboundEndpoints/{outboundEndpointsId}",
    ),
    ("dns.outboundEndpoints.list", "GET", "dns/v1/projects/{projectsId}/locations/{locationsId}/outboundEndpoints"),
    (
        "dns.outboundEndpoints.patch",
        "PATCH",
        "dns/v1/projects/{projectsId}/locations/{locationsId}/outboundEndpoints/{outboundEndpointsId}",
    ),
    ("dns.policies.create", "POST", "dns/v1/projects/{project}/policies"),
    ("dns.policies.delete", "DELETE", "dns/v1/projects/{project}/policies/{policy}"),
    ("dns.policies.get", "GET", "dns/v1/projects/{project}/policies/{policy}"),
    ("dns.policies.list", "GET", "dns/v1/projects/{project}/policies"),
    ("dns.policies.patch", "PATCH", "dns/v1/projects/{project}/policies/{policy}"),
    ("dns.policies.update", "PUT", "dns/v1/projects/{project}/policies/{policy}"),
    ("dns.responsePolicies.create", "POST", "dns/v1/projects/{project}/responsePolicies"),
    ("dns.responsePolicies.delete", "DELETE", "dns/v1/projects/{project}/responsePolicies/{responsePolicy}"),
    ("dns.responsePolicies.get", "GET", "dns/v1/projects/{project}/responsePolicies/{responsePolicy}"),
    ("dns.responsePolicies.list", "GET", "dns/v1/projects/{project}/responsePolicies"),
    ("dns.responsePolicies.patch", "PATCH", "dns/v1/projects/{project}/responsePolicies/{responsePolicy}"),
    ("dns.responsePolicies.update", "PUT", "dns/v1/projects/{project}/responsePolicies/{responsePolicy}"),
    ("dns.responsePolicyRules.create", "POST", "dns/v1/projects/{project}/responsePolicies/{responsePolicy}/rules"),
    (
        "dns.responsePolicyRules.delete",
        "DELETE",
        "dns/v1/projects/{project}/responsePolicies/{responsePolicy}/rules/{responsePolicyRule}",
    ),
    (
        "dns.responsePolicyRules.get",
        "GET",
        "dns/v1/projects/{project}/responsePolicies/{responsePolicy}/rules/{responsePolicyRule}",
    ),
    ("dns.responsePolicyRules.list", "GET", "dns/v1/projects/{project}/responsePolicies/{responsePolicy}/rules"),
    (
        "dns.responsePolicyRules.patch",
        "PATCH",
        "dns/v1/projects/{project}/responsePolicies/{responsePolicy}/rules/{responsePolicyRule}",
    ),
    (
        "dns.responsePolicyRules.update",
        "PUT",
        "dns/v1/projects/{project}/responsePolicies/{responsePolicy}/rules/{responsePolicyRule}",
    ),
];
