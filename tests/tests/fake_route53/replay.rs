//! Recorded exchanges with the real service, replayed against the fake.

use std::collections::BTreeMap;

use dns_conformance::fakes::fixtures;
use dns_conformance::fakes::listener::Request;
use dns_conformance::fakes::route53::{Element, Fake, Name, RecordSet, Zone};
use serde_json::Value;

use crate::support::{AUTHORIZATION, apply, send, signed};

/// Every exchange of lexicon's recordings of 2022 (status, code, message, every field but ids and dates).
#[tokio::test]
#[ignore = "needs DNS_FIXTURES: recorded exchanges"]
async fn recordings_of_lexicon() {
    let folder = fixtures::dir().join("lexicon/route53");
    let mut files: Vec<_> =
        std::fs::read_dir(&folder).expect("the folder").map(|file| file.expect("a file").path()).collect();
    files.sort();
    let mut exchanges = 0;
    for file in files {
        // The values of some headers carry a tag for binary data; the headers are not looked at.
        let text = std::fs::read_to_string(&file).expect("a recording is text").replace("!!binary ", "");
        let recording: Value =
            serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let interactions = recording["interactions"].as_array().expect("interactions");
        let fake = Fake::start().await;
        fake.put_zone(first_state(interactions));
        for (index, interaction) in interactions.iter().enumerate() {
            let place = format!("{} #{index}", file.display());
            replay(&fake, interaction).unwrap_or_else(|difference| panic!("{place}: {difference}"));
            exchanges += 1;
        }
    }
    assert_eq!(exchanges, 56, "the folder has other recordings than those that are known");
}

/// The one zone of the account as the first reads of a recording show it. A recording that never lists the sets tells
/// only how many there are; others stand for them.
fn first_state(interactions: &[Value]) -> Zone {
    let answer = |index: usize| {
        let text = interactions.get(index).and_then(|one| one["response"]["body"]["string"].as_str());
        text.map(|text| Element::parse(text).expect("an answer is XML"))
    };
    let zones = answer(0).expect("a first exchange");
    let zone = &zones.child("HostedZones").expect("a list of zones").children[0];
    let text = |name: &str| zone.child_text(name).expect("a field of a zone").to_owned();
    let config = |name: &str| zone.child("Config").and_then(|config| config.child_text(name)).map(str::to_owned);
    assert_eq!(config("PrivateZone").as_deref(), Some("false"));
    let name = Name::parse(&text("Name")).expect("a name");
    let mut sets: Vec<RecordSet> = match answer(1) {
        Some(list) => list.child("ResourceRecordSets").expect("a list").children.iter().map(set).collect(),
        None => Vec::new(),
    };
    let count = text("ResourceRecordSetCount").parse().expect("a number");
    for number in sets.len()..count {
        sets.push(RecordSet::simple(&format!("unknown-{number}.{name}"), "TXT", 60, ["\"\""]));
    }
    Zone {
        id: text("Id").trim_start_matches("/hostedzone/").to_owned(),
        name,
        caller_reference: text("CallerReference"),
        comment: config("Comment"),
        vpcs: Vec::new(),
        sets: sets.into_iter().map(|set| (set.key(), set)).collect(),
    }
}

fn set(element: &Element) -> RecordSet {
    let text = |name: &str| element.child_text(name).expect("a field of a set");
    let values = element.child("ResourceRecords").expect("simple sets only").children.iter();
    let values = values.map(|record| record.child_text("Value").expect("a value"));
    RecordSet::simple(text("Name"), text("Type"), text("TTL").parse().expect("seconds"), values)
}

fn replay(fake: &Fake, interaction: &Value) -> Result<(), String> {
    let (request, response) = (&interaction["request"], &interaction["response"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let uri = text(&request["uri"]);
    let target = uri.strip_prefix("https://route53.amazonaws.com").ok_or_else(|| format!("the host of {uri}"))?;
    // Recordings come without signatures.
    let headers = [("authorization", AUTHORIZATION), ("x-amz-date", "20260101T000000Z")];
    let (status, ours) = send(fake, &Request::new(&text(&request["method"]), target, &headers, text(&request["body"])));
    if Some(u64::from(status)) != response["status"]["code"].as_u64() {
        return Err(format!("status {status}, recorded {}; {ours:?}", response["status"]["code"]));
    }
    let theirs = Element::parse(&text(&response["body"]["string"]))?;
    let (ours, theirs) = (masked(&ours), masked(&theirs));
    if ours == theirs { Ok(()) } else { Err(format!("\n  answered {ours:?}\n  recorded {theirs:?}")) }
}

/// Without what differs every time: ids of changes and requests, and dates.
fn masked(element: &Element) -> Element {
    let mut element = element.clone();
    let varies = ["SubmittedAt", "RequestId"].contains(&element.name.as_str()) || element.text.starts_with("/change/");
    if varies {
        element.text.clear();
    }
    element.children = element.children.iter().map(masked).collect();
    element
}

/// The snapshots of LocalStack are answers of the real service, parsed; the requests follow from their tests' names and
/// from what the answers show.
#[tokio::test]
#[ignore = "needs DNS_FIXTURES: recorded answers"]
async fn snapshots_of_localstack() {
    let mut recorded = snapshots();
    let mut replayed = 0;
    let mut take = |name: &str| {
        replayed += 1;
        recorded.remove(name).unwrap_or_else(|| panic!("there is no snapshot `{name}` any more"))
    };
    create_hosted_zone(&take("test_create_hosted_zone")).await;
    create_private_hosted_zone(&take("test_create_private_hosted_zone")).await;
    create_in_another_vpc(&take("test_create_hosted_zone_in_non_existent_vpc")).await;
    delete_hosted_zone(&take("test_delete_hosted_zone")).await;
    for how in ["via_id", "via_name", "without_resource_record"] {
        create_at_apex(&take(&format!("test_create_record_set_{how}"))).await;
    }
    let created = take("test_create_multiple_weighted_alias_target_record_sets");
    weighted_aliases(&created, &[("record-sets", [("region-1", 1, "255"), ("region-2", 2, "0")])]).await;
    let updated = take("test_update_multiple_weighted_alias_target_record_sets");
    weighted_aliases(
        &updated,
        &[
            ("record-sets", [("region-1", 1, "255"), ("region-2", 2, "0")]),
            ("record-sets-update-weights", [("region-1", 1, "50"), ("region-2", 2, "100")]),
            ("record-sets-update-alias-target", [("region-1", 1, "50"), ("region-2", 1, "100")]),
            ("record-sets-update-set-identifier", [("region-1", 1, "50"), ("region-3", 1, "100")]),
        ],
    )
    .await;
    assert_eq!(replayed, 9);
    // Health checks are neither zones nor sets.
    assert_eq!(recorded.into_keys().collect::<Vec<_>>(), ["test_create_health_check"], "not replayed");
}

fn snapshots() -> BTreeMap<String, Value> {
    let folder = fixtures::dir().join("route53-recordings/localstack-snapshots");
    let mut all = BTreeMap::new();
    for file in std::fs::read_dir(&folder).expect("the folder") {
        let path = file.expect("a file").path();
        if !path.to_string_lossy().ends_with(".snapshot.json") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a snapshot is text");
        let snapshots: BTreeMap<String, Value> = serde_json::from_str(&text).expect("a snapshot is JSON");
        for (name, snapshot) in snapshots {
            let name = name.rsplit("::").next().unwrap_or_default().to_owned();
            all.insert(name, snapshot["recorded-content"].clone());
        }
    }
    all
}

fn create_body(more: Vec<Element>) -> String {
    let mut fields = vec![Element::text("Name", "z.test"), Element::text("CallerReference", "reference")];
    fields.extend(more);
    Element::parent("CreateHostedZoneRequest", fields).document()
}

fn vpc(id: &str) -> Element {
    Element::parent("VPC", vec![Element::text("VPCRegion", "us-east-1"), Element::text("VPCId", id)])
}

fn id(created: &Element) -> &str {
    created.child("HostedZone").and_then(|zone| zone.child_text("Id")).expect("an id")
}

async fn create_hosted_zone(recorded: &Value) {
    let fake = Fake::start().await;
    let created =
        compare(&fake, &signed("POST", "/hostedzone", &create_body(vec![])), &recorded["create_hosted_zone_response"]);
    compare(&fake, &signed("GET", id(&created), ""), &recorded["get_hosted_zone"]);
}

async fn create_private_hosted_zone(recorded: &Value) {
    let fake = Fake::start().await;
    let config = vec![Element::text("Comment", "test"), Element::text("PrivateZone", "true")];
    let config = Element::parent("HostedZoneConfig", config);
    let (region, vpc_id) = dns_conformance::fakes::route53::VPC;
    let body = create_body(vec![config, vpc(vpc_id)]);
    let created = compare(&fake, &signed("POST", "/hostedzone", &body), &recorded["create-hosted-zone-response"]);
    compare(&fake, &signed("GET", id(&created), ""), &recorded["get_hosted_zone"]);
    let by_vpc = format!("/hostedzonesbyvpc?vpcid={vpc_id}&vpcregion={region}");
    compare(&fake, &signed("GET", &by_vpc, ""), &recorded["list_hosted_zones_by_vpc"]);
    let (_, list) = send(&fake, &signed("GET", "/hostedzone", ""));
    same(list.child("HostedZones").expect("a list"), &recorded["list_hosted_zones"], "list_hosted_zones");
}

async fn create_in_another_vpc(recorded: &Value) {
    let fake = Fake::start().await;
    let body = create_body(vec![vpc("vpc-00000000000000000")]);
    compare(&fake, &signed("POST", "/hostedzone", &body), &recorded["failure-response"]);
}

async fn delete_hosted_zone(recorded: &Value) {
    let fake = Fake::start().await;
    let zone = fake.create_zone("z.test", false);
    let other = format!("/hostedzone/{zone}asdf1234");
    compare(&fake, &signed("DELETE", &other, ""), &recorded["no-such-hosted-zone-error"]);
    compare(&fake, &signed("DELETE", &format!("/hostedzone/{zone}"), ""), &recorded["delete-hosted-zone-response"]);
}

async fn create_at_apex(recorded: &Value) {
    let fake = Fake::start().await;
    let zone = fake.create_zone("z.test", false);
    let set = RecordSet::simple("z.test", "A", 900, ["192.0.2.1"]);
    assert_eq!(apply(&fake, &zone, &[("CREATE", &set)]), Ok(()));
    compare(&fake, &signed("GET", &format!("/hostedzone/{zone}/rrset"), ""), &recorded["record-sets"]);
}

/// An alias of a pair: its identifier, which of the targets, and its weight.
type Weighted<'a> = (&'a str, usize, &'a str);

async fn weighted_aliases(recorded: &Value, steps: &[(&str, [Weighted<'_>; 2])]) {
    let fake = Fake::start().await;
    let zone = fake.create_zone("z.test", false);
    let mut before: Vec<RecordSet> = Vec::new();
    for (step, sets) in steps {
        let zones = ["", "Z3AQBSTGFYJSTF", "Z2F56UZL2M1ACD"];
        let after = sets.map(|(identifier, target, weight)| {
            let alias = RecordSet::alias("z.test", "A", zones[target], &format!("target-{target}.example"));
            alias.routed(identifier, Element::text("Weight", weight))
        });
        let gone = before.iter().filter(|set| !after.iter().any(|other| other.key() == set.key()));
        let mut changes: Vec<_> = gone.map(|set| ("DELETE", set)).collect();
        changes.extend(after.iter().map(|set| ("UPSERT", set)));
        assert_eq!(apply(&fake, &zone, &changes), Ok(()), "{step}");
        compare(&fake, &signed("GET", &format!("/hostedzone/{zone}/rrset"), ""), &recorded[step]);
        before = after.to_vec();
    }
}

/// Sends a request and compares its answer with a recorded one; gives the answer.
fn compare(fake: &Fake, request: &Request, recorded: &Value) -> Element {
    let place = format!("{} {}", request.method, request.path);
    assert!(recorded.is_object(), "{place}: there is no recorded answer");
    let answer = fake.answer(request);
    let root = Element::parse(&String::from_utf8_lossy(&answer.body)).expect("an answer is XML");
    assert_eq!(
        Some(u64::from(answer.status.as_u16())),
        recorded["ResponseMetadata"]["HTTPStatusCode"].as_u64(),
        "{place}"
    );
    if let Some(location) = recorded["Location"].as_str() {
        let ours = answer.headers.get("location").and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert!(fits(ours, location), "{place}: Location `{ours}`, recorded `{location}`");
    }
    let mut recorded = recorded.clone();
    let fields = recorded.as_object_mut().expect("an object");
    fields.remove("ResponseMetadata");
    fields.remove("Location");
    let mut ours = root.clone();
    ours.children.retain(|child| child.name != "RequestId");
    same(&ours, &recorded, &place);
    root
}

/// Compares an element with parsed JSON, whose ids, names and dates are replaced by `<words>`.
fn same(ours: &Element, recorded: &Value, place: &str) {
    let place = format!("{place}/{}", ours.name);
    match recorded {
        Value::Object(fields) => {
            let mut names: Vec<_> = ours.children.iter().map(|child| child.name.as_str()).collect();
            names.sort_unstable();
            assert_eq!(names, fields.keys().map(String::as_str).collect::<Vec<_>>(), "{place}");
            for child in &ours.children {
                same(child, &fields[&child.name], &place);
            }
        }
        Value::Array(items) => {
            assert_eq!(ours.children.len(), items.len(), "{place}: {ours:?}");
            for (child, item) in ours.children.iter().zip(items) {
                same(child, item, &place);
            }
        }
        Value::String(text) if text.starts_with('<') && text.ends_with('>') && !ours.children.is_empty() => {} // a list
        Value::String(text) => assert!(fits(&ours.text, text), "{place}: `{}`, recorded `{text}`", ours.text),
        other => assert_eq!(ours.text, other.to_string(), "{place}"),
    }
}

/// Whether a text is the recorded one but for what stands between `<` and `>`.
fn fits(ours: &str, recorded: &str) -> bool {
    if recorded == "datetime" {
        return ours.contains('T');
    }
    let mut rest = ours;
    for (index, part) in recorded.split('<').enumerate() {
        let literal = if index == 0 { part } else { part.split_once('>').map_or(part, |(_, literal)| literal) };
        let Some(at) = rest.find(literal) else { return false };
        if index == 0 && at != 0 {
            return false;
        }
        rest = if literal.is_empty() { rest } else { &rest[at + literal.len()..] };
    }
    rest.is_empty() || recorded.ends_with('>')
}
