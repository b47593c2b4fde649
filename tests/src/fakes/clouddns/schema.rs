//! The schemas of request bodies in `dns.v1.json`, revision 20261009, and the check of a body against them.

use serde_json::{Map, Value};

use super::refusal::Refusal;

/// What a field or a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A number of 32 bits with a sign, also as text.
    Int32,
    /// A number of 32 bits, also as text.
    Uint32,
    /// A number of 64 bits as text.
    Uint64,
    /// `true` or `false`.
    Bool,
    /// Any number.
    Double,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// An object of this schema.
    Object(&'static str),
    /// A list of objects of this schema.
    Objects(&'static str),
    /// A list of texts.
    Texts,
    /// An object of any names with texts.
    Labels,
}

impl Kind {
    /// The name by which the vendor's front calls it in an error.
    fn vendor_name(self) -> &'static str {
        match self {
            Self::Int32 => "TYPE_INT32",
            Self::Uint32 => "TYPE_UINT32",
            Self::Uint64 => "TYPE_UINT64",
            Self::Bool => "TYPE_BOOL",
            Self::Double => "TYPE_DOUBLE",
            Self::OneOf(_) => "TYPE_ENUM",
            Self::Text | Self::Texts => "TYPE_STRING",
            Self::Object(_) | Self::Objects(_) | Self::Labels => "TYPE_MESSAGE",
        }
    }

    /// Whether a parameter's text is of this kind.
    pub(super) fn takes(self, text: &str) -> bool {
        match self {
            Self::Int32 => text.parse::<i32>().is_ok(),
            Self::Uint32 => text.parse::<u32>().is_ok(),
            Self::Uint64 => text.parse::<u64>().is_ok(),
            Self::Bool => matches!(text, "true" | "false"),
            Self::Double => text.parse::<f64>().is_ok(),
            Self::OneOf(words) => words.contains(&text),
            _ => true,
        }
    }

    fn is_plain(self) -> bool {
        !matches!(self, Self::Object(_) | Self::Objects(_) | Self::Texts | Self::Labels)
    }

    fn check(self, value: &Value, path: &str) -> Result<(), Refusal> {
        let fits = match (self, value) {
            (Self::Object(name), Value::Object(members)) => return check_members(name, members, path),
            (Self::Objects(name), Value::Array(items)) => {
                return numbered(items, path).try_for_each(|(item, path)| Self::Object(name).check(item, &path));
            }
            (Self::Texts, Value::Array(items)) => {
                return numbered(items, path).try_for_each(|(item, path)| Self::Text.check(item, &path));
            }
            (Self::Labels, Value::Object(members)) => {
                return members.values().try_for_each(|value| Self::Text.check(value, path));
            }
            // Numbers may come as text, as in the JSON form of protocol buffers; truth values may not.
            (kind, Value::String(text)) if kind != Self::Bool && kind.is_plain() => self.takes(text),
            (Self::Int32, Value::Number(number)) => number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
            (Self::Uint32, Value::Number(number)) => number.as_u64().is_some_and(|n| u32::try_from(n).is_ok()),
            (Self::Uint64, Value::Number(number)) => number.is_u64(),
            (Self::Double, Value::Number(_)) | (Self::Bool, Value::Bool(_)) => true,
            _ => false,
        };
        let refusal = || Refusal::unreadable(format!("Invalid value at '{path}' ({}), {value}", self.vendor_name()));
        fits.then_some(()).ok_or_else(refusal)
    }
}

fn numbered<'a>(items: &'a [Value], path: &str) -> impl Iterator<Item = (&'a Value, String)> {
    items.iter().enumerate().map(move |(i, item)| (item, format!("{path}[{i}]")))
}

/// The members of an object.
#[derive(Debug)]
pub struct Schema {
    /// The name in the document.
    pub name: &'static str,
    /// What `kind` says in answers.
    pub kind: Option<&'static str>,
    /// The other members.
    pub fields: &'static [(&'static str, Kind)],
}

/// Every schema that a body of an imitated operation can hold.
pub const SCHEMAS: &[Schema] = &[
    Schema {
        name: "Change",
        kind: Some("dns#change"),
        fields: &[
            ("additions", Kind::Objects("ResourceRecordSet")),
            ("deletions", Kind::Objects("ResourceRecordSet")),
            ("id", Kind::Text),
            ("isServing", Kind::Bool),
            ("startTime", Kind::Text),
            ("status", Kind::OneOf(&["pending", "done"])),
        ],
    },
    Schema {
        name: "DnsKeySpec",
        kind: Some("dns#dnsKeySpec"),
        fields: &[
            ("algorithm", Kind::OneOf(&["rsasha1", "rsasha256", "rsasha512", "ecdsap256sha256", "ecdsap384sha384"])),
            ("keyLength", Kind::Uint32),
            ("keyType", Kind::OneOf(&["keySigning", "zoneSigning"])),
        ],
    },
    Schema {
        name: "ManagedZone",
        kind: Some("dns#managedZone"),
        fields: &[
            ("cloudLoggingConfig", Kind::Object("ManagedZoneCloudLoggingConfig")),
            ("creationTime", Kind::Text),
            ("description", Kind::Text),
            ("dnsName", Kind::Text),
            ("dnssecConfig", Kind::Object("ManagedZoneDnsSecConfig")),
            ("forwardingConfig", Kind::Object("ManagedZoneForwardingConfig")),
            ("id", Kind::Uint64),
            ("labels", Kind::Labels),
            ("name", Kind::Text),
            ("nameServerSet", Kind::Text),
            ("nameServers", Kind::Texts),
            ("peeringConfig", Kind::Object("ManagedZonePeeringConfig")),
            ("privateVisibilityConfig", Kind::Object("ManagedZonePrivateVisibilityConfig")),
            ("reverseLookupConfig", Kind::Object("ManagedZoneReverseLookupConfig")),
            ("serviceDirectoryConfig", Kind::Object("ManagedZoneServiceDirectoryConfig")),
            ("visibility", Kind::OneOf(&["public", "private"])),
        ],
    },
    Schema {
        name: "ManagedZoneCloudLoggingConfig",
        kind: Some("dns#managedZoneCloudLoggingConfig"),
        fields: &[("enableLogging", Kind::Bool)],
    },
    Schema {
        name: "ManagedZoneDnsSecConfig",
        kind: Some("dns#managedZoneDnsSecConfig"),
        fields: &[
            ("defaultKeySpecs", Kind::Objects("DnsKeySpec")),
            ("nonExistence", Kind::OneOf(&["nsec", "nsec3"])),
            ("state", Kind::OneOf(&["off", "on", "transfer"])),
        ],
    },
    Schema {
        name: "ManagedZoneForwardingConfig",
        kind: Some("dns#managedZoneForwardingConfig"),
        fields: &[
            ("outboundEndpoints", Kind::Objects("ManagedZoneForwardingConfigOutboundEndpoint")),
            ("targetNameServers", Kind::Objects("ManagedZoneForwardingConfigNameServerTarget")),
        ],
    },
    Schema {
        name: "ManagedZoneForwardingConfigNameServerTarget",
        kind: Some("dns#managedZoneForwardingConfigNameServerTarget"),
        fields: &[
            ("domainName", Kind::Text),
            ("forwardingPath", Kind::OneOf(&["default", "private"])),
            ("ipv4Address", Kind::Text),
            ("ipv6Address", Kind::Text),
        ],
    },
    Schema {
        name: "ManagedZoneForwardingConfigOutboundEndpoint",
        kind: Some("dns#managedZoneForwardingConfigOutboundEndpoint"),
        fields: &[("name", Kind::Text)],
    },
    Schema {
        name: "ManagedZonePeeringConfig",
        kind: Some("dns#managedZonePeeringConfig"),
        fields: &[("targetNetwork", Kind::Object("ManagedZonePeeringConfigTargetNetwork"))],
    },
    Schema {
        name: "ManagedZonePeeringConfigTargetNetwork",
        kind: Some("dns#managedZonePeeringConfigTargetNetwork"),
        fields: &[("deactivateTime", Kind::Text), ("networkUrl", Kind::Text)],
    },
    Schema {
        name: "ManagedZonePrivateVisibilityConfig",
        kind: Some("dns#managedZonePrivateVisibilityConfig"),
        fields: &[
            ("gkeClusters", Kind::Objects("ManagedZonePrivateVisibilityConfigGKECluster")),
            ("networks", Kind::Objects("ManagedZonePrivateVisibilityConfigNetwork")),
        ],
    },
    Schema {
        name: "ManagedZonePrivateVisibilityConfigGKECluster",
        kind: Some("dns#managedZonePrivateVisibilityConfigGKECluster"),
        fields: &[("gkeClusterName", Kind::Text)],
    },
    Schema {
        name: "ManagedZonePrivateVisibilityConfigNetwork",
        kind: Some("dns#managedZonePrivateVisibilityConfigNetwork"),
        fields: &[("networkUrl", Kind::Text)],
    },
    Schema { name: "ManagedZoneReverseLookupConfig", kind: Some("dns#managedZoneReverseLookupConfig"), fields: &[] },
    Schema {
        name: "ManagedZoneServiceDirectoryConfig",
        kind: Some("dns#managedZoneServiceDirectoryConfig"),
        fields: &[("namespace", Kind::Object("ManagedZoneServiceDirectoryConfigNamespace"))],
    },
    Schema {
        name: "ManagedZoneServiceDirectoryConfigNamespace",
        kind: Some("dns#managedZoneServiceDirectoryConfigNamespace"),
        fields: &[("deletionTime", Kind::Text), ("namespaceUrl", Kind::Text)],
    },
    Schema {
        name: "RRSetRoutingPolicy",
        kind: Some("dns#rRSetRoutingPolicy"),
        fields: &[
            ("geo", Kind::Object("RRSetRoutingPolicyGeoPolicy")),
            ("healthCheck", Kind::Text),
            ("primaryBackup", Kind::Object("RRSetRoutingPolicyPrimaryBackupPolicy")),
            ("wrr", Kind::Object("RRSetRoutingPolicyWrrPolicy")),
        ],
    },
    Schema {
        name: "RRSetRoutingPolicyGeoPolicy",
        kind: Some("dns#rRSetRoutingPolicyGeoPolicy"),
        fields: &[("enableFencing", Kind::Bool), ("items", Kind::Objects("RRSetRoutingPolicyGeoPolicyGeoPolicyItem"))],
    },
    Schema {
        name: "RRSetRoutingPolicyGeoPolicyGeoPolicyItem",
        kind: Some("dns#rRSetRoutingPolicyGeoPolicyGeoPolicyItem"),
        fields: &[
            ("healthCheckedTargets", Kind::Object("RRSetRoutingPolicyHealthCheckTargets")),
            ("location", Kind::Text),
            ("rrdatas", Kind::Texts),
            ("signatureRrdatas", Kind::Texts),
        ],
    },
    Schema {
        name: "RRSetRoutingPolicyHealthCheckTargets",
        kind: None,
        fields: &[
            ("externalEndpoints", Kind::Texts),
            ("internalLoadBalancers", Kind::Objects("RRSetRoutingPolicyLoadBalancerTarget")),
        ],
    },
    Schema {
        name: "RRSetRoutingPolicyLoadBalancerTarget",
        kind: Some("dns#rRSetRoutingPolicyLoadBalancerTarget"),
        fields: &[
            ("ipAddress", Kind::Text),
            ("ipProtocol", Kind::OneOf(&["undefined", "tcp", "udp"])),
            ("loadBalancerType", Kind::OneOf(&["none", "globalL7ilb", "regionalL4ilb", "regionalL7ilb"])),
            ("networkUrl", Kind::Text),
            ("port", Kind::Text),
            ("project", Kind::Text),
            ("region", Kind::Text),
        ],
    },
    Schema {
        name: "RRSetRoutingPolicyPrimaryBackupPolicy",
        kind: Some("dns#rRSetRoutingPolicyPrimaryBackupPolicy"),
        fields: &[
            ("backupGeoTargets", Kind::Object("RRSetRoutingPolicyGeoPolicy")),
            ("primaryTargets", Kind::Object("RRSetRoutingPolicyHealthCheckTargets")),
            ("trickleTraffic", Kind::Double),
        ],
    },
    Schema {
        name: "RRSetRoutingPolicyWrrPolicy",
        kind: Some("dns#rRSetRoutingPolicyWrrPolicy"),
        fields: &[("items", Kind::Objects("RRSetRoutingPolicyWrrPolicyWrrPolicyItem"))],
    },
    Schema {
        name: "RRSetRoutingPolicyWrrPolicyWrrPolicyItem",
        kind: Some("dns#rRSetRoutingPolicyWrrPolicyWrrPolicyItem"),
        fields: &[
            ("healthCheckedTargets", Kind::Object("RRSetRoutingPolicyHealthCheckTargets")),
            ("rrdatas", Kind::Texts),
            ("signatureRrdatas", Kind::Texts),
            ("weight", Kind::Double),
        ],
    },
    Schema {
        name: "ResourceRecordSet",
        kind: Some("dns#resourceRecordSet"),
        fields: &[
            ("name", Kind::Text),
            ("routingPolicy", Kind::Object("RRSetRoutingPolicy")),
            ("rrdatas", Kind::Texts),
            ("signatureRrdatas", Kind::Texts),
            ("ttl", Kind::Int32),
            ("type", Kind::Text),
        ],
    },
];

fn schema(name: &str) -> &'static Schema {
    SCHEMAS.iter().find(|schema| schema.name == name).expect("the tables name only schemas that they hold")
}

/// Reads a body as an object of this schema: known members of the right types. `null` is as good as absent.
pub(super) fn read(name: &str, body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    let unexpected = |why: &str| Refusal::unreadable(format!("Invalid JSON payload received. {why}"));
    let value: Value = serde_json::from_slice(body).map_err(|_| unexpected("Unexpected token."))?;
    let Value::Object(members) = without_nulls(value) else {
        return Err(unexpected("Unknown name \"\": Root element must be a message."));
    };
    check_members(name, &members, &root(name))?;
    Ok(members)
}

/// How the vendor's paths begin: the schema's name with a small first letter, after `entity.`.
pub(super) fn root(name: &str) -> String {
    match name {
        "Change" => "change".to_owned(),
        "ManagedZone" => "managed_zone".to_owned(),
        _ => "rrset".to_owned(),
    }
}

fn check_members(name: &str, members: &Map<String, Value>, path: &str) -> Result<(), Refusal> {
    let schema = schema(name);
    for (member, value) in members {
        let kind = match schema.fields.iter().find(|(field, _)| field == member) {
            Some((_, kind)) => *kind,
            None if member == "kind" && schema.kind.is_some() => Kind::Text,
            None => {
                let why = format!("Unknown name \"{member}\" at '{path}': Cannot find field.");
                return Err(Refusal::unreadable(format!("Invalid JSON payload received. {why}")));
            }
        };
        kind.check(value, &format!("{path}.{member}"))?;
    }
    Ok(())
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(name, value)| (name, without_nulls(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

/// The object with every `kind` that its schema gives, or (`false`) without any: what it says, and nothing else.
pub(super) fn with_kinds(name: &str, value: &Value, kinds: bool) -> Value {
    let Value::Object(members) = value else { return value.clone() };
    let schema = schema(name);
    let mut done = Map::new();
    if let Some(kind) = schema.kind.filter(|_| kinds) {
        done.insert("kind".into(), kind.into());
    }
    for (member, value) in members.iter().filter(|(member, _)| *member != "kind") {
        let kind = schema.fields.iter().find(|(field, _)| field == member).map(|(_, kind)| *kind);
        let value = match (kind, value) {
            (Some(Kind::Object(name)), _) => with_kinds(name, value, kinds),
            (Some(Kind::Objects(name)), Value::Array(items)) => {
                items.iter().map(|item| with_kinds(name, item, kinds)).collect()
            }
            _ => value.clone(),
        };
        done.insert(member.clone(), value);
    }
    Value::Object(done)
}
