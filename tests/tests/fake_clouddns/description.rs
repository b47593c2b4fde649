//! The fake's tables beside the vendor's document.

use std::collections::{BTreeMap, BTreeSet};

use dns_conformance::fakes::clouddns::operations::{NOT_IMITATED, OPERATIONS, Parameter, SYSTEM};
use dns_conformance::fakes::clouddns::schema::{Kind, SCHEMAS};
use dns_conformance::fakes::fixtures;
use serde_json::{Value, json};

use super::client::Tester;

fn document() -> Value {
    let path = fixtures::dir().join("gcloud-discovery/dns.v1.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("`{}`: {error}", path.display()));
    serde_json::from_str(&text).expect("the document is JSON")
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn methods<'a>(resources: &'a Value, into: &mut BTreeMap<&'a str, &'a Value>) {
    for (_, resource) in members(resources) {
        into.extend(members(&resource["methods"]).filter_map(|(_, method)| Some((method["id"].as_str()?, method))));
        methods(&resource["resources"], into);
    }
}

/// Whether the document's description of a member or parameter is what the table says.
fn is_kind(kind: Kind, said: &Value) -> bool {
    let item = said["items"]["$ref"].as_str();
    let (kind_of, format) = (said["type"].as_str().unwrap_or_default(), said["format"].as_str().unwrap_or_default());
    match kind {
        Kind::Object(name) => said["$ref"] == name,
        Kind::Objects(name) => kind_of == "array" && item == Some(name),
        Kind::Texts => kind_of == "array" && said["items"]["type"] == "string",
        Kind::Labels => kind_of == "object" && said["additionalProperties"]["type"] == "string",
        Kind::OneOf(words) => kind_of == "string" && said["enum"] == json!(words),
        Kind::Text => kind_of == "string" && format.is_empty() && said.get("enum").is_none(),
        Kind::Uint64 => kind_of == "string" && format == "uint64",
        Kind::Int32 => kind_of == "integer" && format == "int32",
        Kind::Uint32 => kind_of == "integer" && format == "uint32",
        Kind::Double => kind_of == "number" && format == "double",
        Kind::Bool => kind_of == "boolean",
    }
}

#[track_caller]
fn are_parameters(table: &[Parameter], said: &BTreeMap<&String, &Value>, of: &str) {
    let names: BTreeSet<&str> = table.iter().map(|parameter| parameter.name).collect();
    assert_eq!(names, said.keys().map(|name| name.as_str()).collect(), "{of}");
    for parameter in table {
        let said = said[&parameter.name.to_owned()];
        assert!(is_kind(parameter.kind, said), "{of}: {parameter:?} is {said}");
        assert_ne!(said["required"], true, "{of}: {parameter:?}");
    }
}

#[test]
#[ignore = "needs DNS_FIXTURES: the vendor's description"]
fn operations_are_the_document_s() {
    let document = document();
    assert_eq!((&document["revision"], &document["servicePath"]), (&json!("20261009"), &json!("")));
    let mut said = BTreeMap::new();
    methods(&document["resources"], &mut said);
    let imitated = OPERATIONS.iter().map(|operation| (operation.id, operation.method, operation.path));
    let all: BTreeSet<_> = imitated.chain(NOT_IMITATED.iter().copied()).collect();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let wanted: BTreeSet<_> =
        said.iter().map(|(id, said)| ((*id).to_owned(), text(&said["httpMethod"]), text(&said["flatPath"]))).collect();
    let all: BTreeSet<_> =
        all.into_iter().map(|(id, on, path)| (id.to_owned(), on.to_owned(), path.to_owned())).collect();
    assert_eq!(all, wanted);
    for operation in OPERATIONS {
        let said = said[operation.id];
        assert_eq!(operation.body, said["request"]["$ref"].as_str(), "{}", operation.id);
        let query = members(&said["parameters"]).filter(|(_, said)| said["location"] == "query").collect();
        are_parameters(operation.query, &query, operation.id);
        let scopes = said["scopes"].as_array().map(Vec::len);
        assert_eq!(scopes, Some(if operation.reads() { 4 } else { 2 }), "{}", operation.id);
    }
    are_parameters(SYSTEM, &members(&document["parameters"]).collect(), "system");
}

#[test]
#[ignore = "needs DNS_FIXTURES: the vendor's description"]
fn schemas_are_the_document_s() {
    let document = document();
    for schema in SCHEMAS {
        let said: BTreeMap<_, _> = members(&document["schemas"][schema.name]["properties"]).collect();
        let kind = said.get(&"kind".to_owned()).and_then(|said| said["default"].as_str());
        assert_eq!(schema.kind, kind, "{}", schema.name);
        let fields: BTreeSet<&str> = schema.fields.iter().map(|(name, _)| *name).collect();
        let wanted = said.keys().map(|name| name.as_str()).filter(|name| *name != "kind").collect();
        assert_eq!(fields, wanted, "{}", schema.name);
        for (name, kind) in schema.fields {
            assert!(is_kind(*kind, said[&(*name).to_owned()]), "{}.{name}: {kind:?}", schema.name);
            let (Kind::Object(other) | Kind::Objects(other)) = kind else { continue };
            assert!(SCHEMAS.iter().any(|schema| schema.name == *other), "{other} is missing");
        }
    }
    let bodies = OPERATIONS.iter().filter_map(|operation| operation.body);
    bodies.for_each(|body| assert!(SCHEMAS.iter().any(|schema| schema.name == body), "{body} is missing"));
}

/// Panics where an answer holds what the document's schema does not.
fn conforms(document: &Value, schema: &str, value: &Value, at: &str) {
    let said = &document["schemas"][schema]["properties"];
    for (name, value) in members(value) {
        let (said, at) = (&said[name.as_str()], format!("{at}.{name}"));
        assert!(said.is_object(), "{at}: {schema} has no `{name}`");
        if let Some(fixed) = said["default"].as_str().filter(|_| name == "kind") {
            assert_eq!(value, fixed, "{at}");
        }
        let of = |said: &Value, value: &Value, at: &str| match (said["$ref"].as_str(), said["type"].as_str()) {
            (Some(schema), _) => conforms(document, schema, value, at),
            (_, Some("string")) => assert!(value.is_string(), "{at}: {value}"),
            (_, Some("integer" | "number")) => assert!(value.is_number(), "{at}: {value}"),
            (_, Some("boolean")) => assert!(value.is_boolean(), "{at}: {value}"),
            _ => assert!(value.is_object(), "{at}: {value}"),
        };
        match value.as_array() {
            Some(items) => items.iter().for_each(|item| of(&said["items"], item, &at)),
            None => of(said, value, &at),
        }
        let words = said["enum"].as_array();
        assert!(words.is_none_or(|words| words.contains(value)), "{at}: {value}");
    }
}

#[tokio::test]
#[ignore = "needs DNS_FIXTURES: the vendor's description"]
async fn answers_are_the_document_s() {
    let (document, t) = (document(), Tester::start().await);
    let policy = json!({"geo": {"items": [{"location": "us-east1", "rrdatas": ["192.0.2.1"]}]}});
    let sets = [
        json!({"name": "a.example.test.", "type": "A", "ttl": 60, "rrdatas": ["192.0.2.1"]}),
        json!({"name": "b.example.test.", "type": "A", "ttl": 60, "routingPolicy": policy}),
    ];
    let mut said = BTreeMap::new();
    methods(&document["resources"], &mut said);
    let set = t.of_zone("/rrsets/a.example.test./A");
    let third = json!({"name": "c.example.test.", "type": "A", "ttl": 60, "rrdatas": ["192.0.2.1"]});
    let zone = json!({"name": "z", "dnsName": "z.test.", "description": "", "visibility": "private"});
    let calls = [
        ("dns.projects.get", t.project(""), None),
        ("dns.changes.create", t.of_zone("/changes"), Some(json!({"additions": sets}))),
        ("dns.changes.get", t.of_zone("/changes/1"), None),
        ("dns.changes.list", t.of_zone("/changes?maxResults=1"), None),
        ("dns.resourceRecordSets.list", t.of_zone("/rrsets?maxResults=4"), None),
        ("dns.resourceRecordSets.get", set.clone(), None),
        ("dns.resourceRecordSets.patch", set.clone(), Some(json!({"ttl": 61}))),
        ("dns.resourceRecordSets.delete", set, None),
        ("dns.resourceRecordSets.create", t.of_zone("/rrsets"), Some(third)),
        ("dns.managedZones.create", t.project("/managedZones"), Some(zone)),
        ("dns.managedZones.get", t.of_zone(""), None),
        ("dns.managedZones.list", t.project("/managedZones"), None),
        ("dns.managedZones.delete", t.project("/managedZones/z"), None),
    ];
    assert_eq!(calls.iter().map(|call| call.0).collect::<BTreeSet<_>>(), OPERATIONS.iter().map(|o| o.id).collect());
    for (id, url, body) in calls {
        let said = said[id];
        let reply = t.call(said["httpMethod"].as_str().expect("a method"), &url, body.as_ref()).await;
        let Some(schema) = said["response"]["$ref"].as_str() else {
            assert_eq!((reply.status, reply.text.as_str()), (204, ""), "{id}");
            continue;
        };
        conforms(&document, schema, &reply.expect(200).json, id);
    }
}
