//! The tables are compared with the description itself, where it is at hand.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

fn description() -> Value {
    let file = crate::fakes::fixtures::dir().join("azure-spec/dns-2018-05-01/dns.json");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_str(&text).expect("the description is JSON")
}

fn texts<'a>(values: impl IntoIterator<Item = &'a Value>) -> BTreeSet<String> {
    values.into_iter().map(|value| value.as_str().expect("a text").to_owned()).collect()
}

fn set(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// The definition behind a reference, itself where it is none.
fn follow<'a>(all: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(path) => &all["definitions"][path.trim_start_matches("#/definitions/")],
        None => value,
    }
}

/// The members of a definition, those of its `allOf` included.
fn members<'a>(all: &'a Value, definition: &'a Value) -> Vec<(&'a String, &'a Value, bool)> {
    let mut held = Vec::new();
    let parents = definition["allOf"].as_array().map(Vec::as_slice).unwrap_or_default();
    for one in parents.iter().map(|parent| follow(all, parent)).chain([definition]) {
        let required = texts(one["required"].as_array().into_iter().flatten());
        let properties = one["properties"].as_object().into_iter().flatten();
        held.extend(properties.map(|(name, value)| (name, value, required.contains(name))));
    }
    held
}

fn compare(all: &Value, definition: &Value, fields: &[Field], path: &str) {
    let held = members(all, definition);
    let names: BTreeSet<String> = held.iter().map(|(name, ..)| (*name).clone()).collect();
    assert_eq!(fields.iter().map(|field| field.name.to_owned()).collect::<BTreeSet<_>>(), names, "{path}");
    for (name, value, required) in held {
        let path = format!("{path}.{name}");
        let field = fields.iter().find(|field| field.name == name).expect("compared above");
        assert_eq!(field.read_only, value["readOnly"] == true, "{path}");
        assert!(field.required || !required, "{path} is required");
        kind(all, value, field.kind, &path);
    }
}

fn kind(all: &Value, value: &Value, kind: Kind, path: &str) {
    let definition = follow(all, value);
    let (kind_of, format) = (definition["type"].as_str(), definition["format"].as_str());
    match kind {
        Kind::Text => assert_eq!((kind_of, definition.get("enum")), (Some("string"), None), "{path}"),
        Kind::Int32 => assert_eq!((kind_of, format), (Some("integer"), Some("int32")), "{path}"),
        Kind::Int64 => assert_eq!((kind_of, format), (Some("integer"), Some("int64")), "{path}"),
        Kind::Map => assert_eq!(definition["additionalProperties"]["type"], "string", "{path}"),
        Kind::OneOf(allowed) => {
            assert_eq!(texts(definition["enum"].as_array().expect("an enum")), set(allowed), "{path}");
        }
        Kind::Object(fields) => compare(all, definition, fields, path),
        Kind::Array(fields) => {
            assert_eq!(kind_of, Some("array"), "{path}");
            compare(all, follow(all, &definition["items"]), fields, path);
        }
        Kind::Texts => assert_eq!(definition["items"]["type"], "string", "{path}"),
    }
}

#[test]
#[ignore = "needs DNS_FIXTURES: the vendor's description"]
fn the_tables_are_the_description() {
    let all = description();
    assert_eq!(all["info"]["version"], API_VERSION);
    let mut seen = BTreeSet::new();
    for (path, methods) in all["paths"].as_object().expect("paths") {
        for (method, described) in methods.as_object().expect("methods") {
            let id = described["operationId"].as_str().expect("an id");
            let table = find(id).unwrap_or_else(|| panic!("{id} is missing"));
            seen.insert(id.to_owned());
            assert_eq!((table.method, path.contains("{resourceGroupName}")), (method.as_str(), table.in_group), "{id}");
            assert!(path.ends_with(&format!("/providers/Microsoft.Network/{}", table.path)), "{id}: {path}");
            let parameters = described["parameters"].as_array().expect("parameters");
            let named = |place: &str| {
                texts(parameters.iter().filter(|it| it["in"] == place).map(|parameter| &parameter["name"]))
            };
            assert_eq!(named("query"), set(table.query), "{id}");
            assert_eq!(named("header"), set(table.headers), "{id}");
            let body = parameters.iter().find(|parameter| parameter["in"] == "body");
            assert_eq!(body.is_some(), table.body.is_some(), "{id}");
            if let (Some(body), Some(fields)) = (body, table.body) {
                compare(&all, follow(&all, &body["schema"]), fields, id);
            }
            let responses = described["responses"].as_object().expect("responses");
            let success: Vec<u16> = responses.keys().filter_map(|status| status.parse().ok()).collect();
            assert_eq!(BTreeSet::from_iter(success), table.success.iter().copied().collect(), "{id}");
            for parameter in parameters.iter().filter(|it| it["name"] == "recordType") {
                assert_eq!(texts(parameter["enum"].as_array().expect("an enum")), set(&RECORD_TYPES), "{id}");
            }
            for top in parameters.iter().filter(|it| it["name"] == "$top") {
                let text = top["description"].as_str().expect("a description");
                assert!(text.contains(&Limits::default().page.to_string()) || !text.contains("up to"), "{id}: {text}");
            }
        }
    }
    assert_eq!(seen, OPERATIONS.iter().map(|operation| operation.id.to_owned()).collect());
}

#[test]
#[ignore = "needs DNS_FIXTURES: the vendor's description"]
fn the_examples_of_the_description_are_allowed_bodies() {
    let folder = crate::fakes::fixtures::dir().join("azure-spec/dns-2018-05-01/examples");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("the examples") {
        let file = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&file).expect("an example");
        let example: Value = serde_json::from_str(&text).expect("an example is JSON");
        let body = &example["parameters"]["parameters"];
        if body.is_null() {
            continue;
        }
        let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
        let id = match name.as_str() {
            "PatchZone" => "Zones_Update",
            "GetDnsResourceReference" => "DnsResourceReference_GetByTargetResources",
            name if name.contains("Zone") => "Zones_CreateOrUpdate",
            name if name.starts_with("Patch") => "RecordSets_Update",
            _ => "RecordSets_CreateOrUpdate",
        };
        let request = crate::fakes::listener::Request {
            method: axum::http::Method::PUT,
            path: "/".into(),
            query: Vec::new(),
            headers: [(axum::http::header::CONTENT_TYPE, "application/json".parse().expect("a value"))]
                .into_iter()
                .collect(),
            body: body.to_string().into(),
        };
        let fields = find(id).and_then(|operation| operation.body).expect("a body");
        let checked = crate::fakes::azure::check::body(&request, fields, true);
        assert!(checked.is_ok(), "{name}: {checked:?}");
        count += 1;
    }
    assert!(count > 20, "{count} examples are too few");
}
