//! Which operation a request asks for.

use super::super::listener::Request;
use super::spec::RECORD_TYPES;

/// What a path names, with all names as they were written.
#[derive(Clone, Debug, Default)]
pub(super) struct Route {
    /// The operation's id, or what it is besides those of the description.
    pub(super) operation: &'static str,
    pub(super) subscription: String,
    pub(super) group: String,
    pub(super) zone: String,
    /// In capitals.
    pub(super) record_type: String,
    pub(super) name: String,
    /// The id of a long-running operation, or the tenant of a token request.
    pub(super) id: String,
}

pub(super) const UNKNOWN: &str = "unknown";
/// A known path with a method that it does not have.
pub(super) const NO_METHOD: &str = "unknown method";
/// The token endpoint of the authority, v2.0.
pub(super) const TOKEN: &str = "Token";
/// The token endpoint of the authority before v2.0.
pub(super) const TOKEN_V1: &str = "TokenV1";
/// The token endpoint of a virtual machine's metadata service.
pub(super) const MANAGED_IDENTITY: &str = "ManagedIdentity";
/// `Azure-AsyncOperation` of a zone's deletion.
pub(super) const STATUS: &str = "OperationStatus";
/// `Location` of a zone's deletion.
pub(super) const RESULT: &str = "OperationResult";

/// Reads method and path. Fixed words are compared without case, as the resource manager does.
pub(super) fn route(request: &Request) -> Route {
    let segments = request.segments();
    let words: Vec<String> = segments.iter().map(|segment| segment.to_ascii_lowercase()).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let method = request.method.as_str();
    match (words.as_slice(), method) {
        (["metadata", "identity", "oauth2", "token"], "GET") => only(MANAGED_IDENTITY),
        ([_, "oauth2", "v2.0", "token"], "POST") => Route { id: segments[0].clone(), ..only(TOKEN) },
        ([_, "oauth2", "token"], "POST") => Route { id: segments[0].clone(), ..only(TOKEN_V1) },
        (["subscriptions", _, "providers", "microsoft.network", rest @ ..], _) => {
            let mut route = unscoped(rest, method);
            route.subscription.clone_from(&segments[1]);
            route
        }
        (["subscriptions", _, "resourcegroups", _, "providers", "microsoft.network", ..], _) => {
            let mut route = grouped(&segments[6..], method);
            route.subscription.clone_from(&segments[1]);
            route.group.clone_from(&segments[3]);
            route
        }
        _ => only(UNKNOWN),
    }
}

fn only(operation: &'static str) -> Route {
    Route { operation, ..Route::default() }
}

/// Paths of a subscription.
fn unscoped(rest: &[&str], method: &str) -> Route {
    only(match (rest, method) {
        (["dnszones"], "GET") => "Zones_List",
        (["getdnsresourcereference"], "POST") => "DnsResourceReference_GetByTargetResources",
        (["dnszones" | "getdnsresourcereference"], _) => NO_METHOD,
        _ => UNKNOWN,
    })
}

/// Paths of a resource group.
fn grouped(rest: &[String], method: &str) -> Route {
    let first = rest.first().map(|word| word.to_ascii_lowercase()).unwrap_or_default();
    match (first.as_str(), &rest[1.min(rest.len())..]) {
        ("dnszones", []) => only(if method == "GET" { "Zones_ListByResourceGroup" } else { NO_METHOD }),
        ("dnszones", [zone, path @ ..]) => Route { zone: zone.clone(), ..in_zone(path, method) },
        ("dnsoperationstatuses", [id]) if method == "GET" => Route { id: id.clone(), ..only(STATUS) },
        ("dnsoperationresults", [id]) if method == "GET" => Route { id: id.clone(), ..only(RESULT) },
        _ => only(UNKNOWN),
    }
}

fn in_zone(path: &[String], method: &str) -> Route {
    let Some(record_type) = path.first().map(|word| word.to_ascii_uppercase()) else {
        return only(match method {
            "GET" => "Zones_Get",
            "PUT" => "Zones_CreateOrUpdate",
            "PATCH" => "Zones_Update",
            "DELETE" => "Zones_Delete",
            _ => NO_METHOD,
        });
    };
    let known = RECORD_TYPES.contains(&record_type.as_str());
    let operation = match (path.len(), record_type.as_str(), method) {
        (1, "RECORDSETS", "GET") => "RecordSets_ListByDnsZone",
        (1, "ALL", "GET") => "RecordSets_ListAllByDnsZone",
        (1, "RECORDSETS" | "ALL", _) => NO_METHOD,
        (1, _, "GET") if known => "RecordSets_ListByType",
        (2, _, "GET") if known => "RecordSets_Get",
        (2, _, "PUT") if known => "RecordSets_CreateOrUpdate",
        (2, _, "PATCH") if known => "RecordSets_Update",
        (2, _, "DELETE") if known => "RecordSets_Delete",
        (1 | 2, ..) if known => NO_METHOD,
        _ => UNKNOWN,
    };
    Route { record_type, name: path.get(1).cloned().unwrap_or_default(), ..only(operation) }
}

impl Route {
    /// The right that the operation needs, in the words of Azure's roles.
    /// Source: Microsoft's "How to protect DNS zones and records", and the actions in quoted refusals.
    pub(super) fn action(&self) -> String {
        let verb = match self.operation {
            "RecordSets_Update" | "RecordSets_CreateOrUpdate" | "Zones_CreateOrUpdate" | "Zones_Update" => "write",
            "RecordSets_Delete" | "Zones_Delete" => "delete",
            _ => "read",
        };
        match self.operation {
            "RecordSets_ListByDnsZone" => "Microsoft.Network/dnsZones/recordsets/read".into(),
            "RecordSets_ListAllByDnsZone" => "Microsoft.Network/dnsZones/all/read".into(),
            "DnsResourceReference_GetByTargetResources" => "Microsoft.Network/getDnsResourceReference/action".into(),
            _ if self.record_type.is_empty() => format!("Microsoft.Network/dnsZones/{verb}"),
            _ => format!("Microsoft.Network/dnsZones/{}/{verb}", self.record_type),
        }
    }

    /// What the right must cover; for a list, what it would list.
    pub(super) fn scope(&self) -> String {
        use std::fmt::Write as _;
        let mut scope = format!("/subscriptions/{}", self.subscription);
        if !self.group.is_empty() {
            let _ = write!(scope, "/resourceGroups/{}", self.group);
        }
        scope.push_str("/providers/Microsoft.Network");
        if !self.zone.is_empty() {
            let _ = write!(scope, "/dnsZones/{}", self.zone);
        }
        if !self.record_type.is_empty() {
            let _ = write!(scope, "/{}", self.record_type);
        }
        if !self.name.is_empty() {
            let _ = write!(scope, "/{}", self.name);
        }
        scope
    }
}
