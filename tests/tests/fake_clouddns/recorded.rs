//! The fake beside what the real service said: each recorded exchange is made again, and each observed error provoked.
//!
//! A recording starts from a zone that others had filled. What stood there is told by the recording itself: its zone
//! list, and its reads of sets with the changes before them taken back.

use std::collections::BTreeSet;

use dns_conformance::fakes::clouddns::{Fake, RecordSet, Trouble};
use dns_conformance::fakes::faults::Fault;
use dns_conformance::fakes::fixtures;
use serde_json::{Map, Value, json};

use super::client::{Reply, Tester, send};
use super::credentials::{claims, signed};

struct Exchange {
    method: String,
    uri: String,
    body: String,
    status: u64,
    answer: Value,
}

impl Exchange {
    fn sets(&self) -> impl Iterator<Item = RecordSet> {
        self.answer["rrsets"].as_array().into_iter().flatten().map(record_set)
    }

    /// What a change added or deleted.
    fn change(&self, member: &str) -> Vec<RecordSet> {
        self.answer[member].as_array().into_iter().flatten().map(record_set).collect()
    }

    fn is_change(&self) -> bool {
        self.uri.ends_with("/changes") && self.method == "POST"
    }
}

fn record_set(json: &Value) -> RecordSet {
    let text = |member: &str| json[member].as_str().expect("a set has it");
    let records = json["rrdatas"].as_array().expect("a set has records").iter().filter_map(Value::as_str);
    let ttl = json["ttl"].as_u64().and_then(|ttl| u32::try_from(ttl).ok()).expect("a TTL");
    RecordSet::new(text("name"), text("type"), ttl, records)
}

fn recordings() -> Vec<(String, Vec<Exchange>)> {
    let dir = fixtures::dir().join("lexicon/googleclouddns");
    let files = std::fs::read_dir(&dir).unwrap_or_else(|error| panic!("`{}`: {error}", dir.display()));
    let recording = |path: std::path::PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a recording is text");
        let yaml: Value = serde_saphyr::from_str(&text).expect("a recording is YAML");
        let exchanges = yaml["interactions"].as_array().expect("interactions").iter().map(exchange).collect();
        (path.file_name().unwrap_or_default().to_string_lossy().into_owned(), exchanges)
    };
    let mut recordings: Vec<_> = files.map(|file| recording(file.expect("a file").path())).collect();
    recordings.sort_by(|one: &(String, Vec<Exchange>), two| one.0.cmp(&two.0));
    recordings
}

fn exchange(recorded: &Value) -> Exchange {
    let (request, response) = (&recorded["request"], &recorded["response"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Exchange {
        method: text(&request["method"]),
        uri: text(&request["uri"]),
        body: text(&request["body"]),
        status: response["status"]["code"].as_u64().expect("a status"),
        answer: serde_json::from_str(&text(&response["body"]["string"])).expect("an answer of JSON"),
    }
}

/// A fake with the zone as it stood before the recording began.
async fn before(exchanges: &[Exchange]) -> Fake {
    let project = exchanges.iter().find_map(|exchange| exchange.uri.split("/projects/").nth(1)?.split('/').next());
    let fake = Fake::with_project(project.expect("a project in a path")).await;
    let zones = exchanges.iter().find_map(|exchange| exchange.answer["managedZones"].as_array());
    let first_change = exchanges.iter().find(|exchange| exchange.is_change());
    let number = first_change.and_then(|change| change.answer["id"].as_str()?.parse::<usize>().ok());
    for zone in zones.expect("every recording lists the zones") {
        let zone = zone.as_object().cloned().unwrap_or_else(Map::new);
        let name = zone["name"].as_str().expect("a zone has a name").to_owned();
        fake.add_zone(&zone, [], number.map_or(0, |number| number - 1));
        // From the last exchange to the first: reads tell what stood then, changes are taken back.
        for exchange in exchanges.iter().rev() {
            exchange.sets().for_each(|set| fake.put(&name, set));
            for set in exchange.change("additions") {
                fake.remove(&name, &set.name, &set.record_type);
            }
            exchange.change("deletions").into_iter().for_each(|set| fake.put(&name, set));
        }
    }
    fake
}

/// Makes an exchange again. Secrets were replaced in the recordings, so an assertion and a token of ours take their place.
async fn again(fake: &Fake, exchange: &Exchange, token: &mut String) -> Reply {
    let asks_for_token = exchange.uri.ends_with("/oauth2/v4/token");
    let (url, media_type, body) = if asks_for_token {
        let assertion = signed(&claims(fake, &fake.token_uri()));
        let body = exchange.body.replace("assertion_placeholder", &assertion);
        (fake.token_uri(), "application/x-www-form-urlencoded", body)
    } else {
        let path = exchange.uri.split_once("googleapis.com").expect("a URI of Google").1;
        (format!("{}{path}", fake.url()), "application/json", exchange.body.clone())
    };
    let authorization = format!("Bearer {token}");
    let headers = [("authorization", authorization.as_str()), ("content-type", media_type)];
    let reply = send(&url, &exchange.method, &headers, &body).await.expect("an answer");
    if asks_for_token {
        reply.json["access_token"].as_str().expect("a token").clone_into(token);
    }
    reply
}

/// Whether two answers mean the same: all but tokens and times.
fn same(recorded: &Value, ours: &Value, at: &str) {
    match (recorded, ours) {
        (Value::Object(recorded), Value::Object(ours)) => {
            let names = |members: &Map<String, Value>| members.keys().cloned().collect::<BTreeSet<_>>();
            assert_eq!(names(recorded), names(ours), "{at}");
            for (name, value) in recorded {
                same(value, &ours[name], &format!("{at}.{name}"));
            }
        }
        (Value::Array(recorded), Value::Array(ours)) => {
            assert_eq!(recorded.len(), ours.len(), "{at}");
            recorded.iter().zip(ours).enumerate().for_each(|(i, (one, two))| same(one, two, &format!("{at}[{i}]")));
        }
        (recorded, ours) if at.ends_with(".access_token") || at.ends_with(".startTime") => {
            assert_eq!(recorded.is_string(), ours.is_string(), "{at}");
        }
        (recorded, ours) => assert_eq!(recorded, ours, "{at}"),
    }
}

#[tokio::test]
#[ignore = "needs DNS_FIXTURES: the recorded exchanges"]
async fn every_recorded_exchange_is_answered_alike() {
    let recordings = recordings();
    let mut replayed = 0;
    for (file, exchanges) in &recordings {
        let (fake, mut token) = (before(exchanges).await, String::new());
        for (i, exchange) in exchanges.iter().enumerate() {
            let reply = again(&fake, exchange, &mut token).await;
            let at = format!("{file}#{i} {} {}", exchange.method, exchange.uri);
            assert_eq!(u64::from(reply.status), exchange.status, "{at}: {}", reply.text);
            same(&exchange.answer, &reply.json, &at);
            replayed += 1;
        }
    }
    assert!(recordings.len() >= 16 && replayed >= 69, "{} files, {replayed} exchanges", recordings.len());
}

//----------- Observed errors ----------------------------------------

/// What no request to the fake provokes, by the beginning of its message, and why.
const NOT_PROVOKED: &[(&str, &str)] = &[
    ("The resource 'entity.managedZone.dnssecConfig", "zones cannot be patched here"),
    (
        "The 'entity.change.additions[<i>]' resource named",
        "Google's own fake of 2016; the observed text begins otherwise",
    ),
];

/// A message without names and numbers.
fn pattern(message: &str) -> String {
    message.split('\'').step_by(2).collect::<Vec<_>>().join("'…'")
}

/// Makes the fake say an observed error.
async fn provoke(t: &Tester, reason: &str, message: &str) -> Reply {
    let set = |name: &str, record_type: &str, data: &str| json!({"name": format!("{name}.example.test."), "type": record_type, "ttl": 60, "rrdatas": [data]});
    t.fake.put(&t.zone, RecordSet::new("held.example.test.", "A", 60, ["192.0.2.1"]));
    t.fake.put(&t.zone, RecordSet::new("alias.example.test.", "CNAME", 60, ["held.example.test."]));
    match (reason, message) {
        ("alreadyExists", _) => t.call("POST", &t.of_zone("/rrsets"), Some(&set("held", "A", "192.0.2.2"))).await,
        ("conditionNotMet", _) => t.change(&[], &[set("held", "A", "192.0.2.2")]).await,
        ("cnameResourceRecordSetConflict", _) => t.change(&[set("alias", "A", "192.0.2.1")], &[]).await,
        ("invalid", _) => t.change(&[set("bad name", "A", "192.0.2.1")], &[]).await,
        ("quotaExceeded", _) => {
            t.fake.set_quota(|quota| quota.rrset_additions_per_change = 0);
            t.change(&[set("new", "A", "192.0.2.1")], &[]).await
        }
        ("rateLimitExceeded", _) => {
            t.fake.control().add(Fault::answer(Trouble::RateLimit.answer()));
            t.get("/rrsets").await
        }
        ("notFound", message) if message.contains("deletions") => t.change(&[], &[set("gone", "A", "192.0.2.1")]).await,
        ("notFound", _) => t.call("GET", &t.project("/managedZones/gone"), None).await,
        ("containerNotEmpty", _) => t.call("DELETE", &t.of_zone(""), None).await,
        ("invalidZoneApex", _) => {
            let list = t.get("/rrsets").await.json;
            t.change(&[], &[list["rrsets"][1].clone()]).await
        }
        other => panic!("an observed error that nothing here provokes: {other:?}"),
    }
}

#[tokio::test]
#[ignore = "needs DNS_FIXTURES: the observed errors"]
async fn every_observed_error_is_said_alike() {
    let path = fixtures::dir().join("facts/observed-errors.json");
    let facts: Value = serde_json::from_slice(&std::fs::read(path).expect("the facts are there")).expect("JSON");
    let observed = facts["clouddns"].as_array().expect("a list");
    let mut left_out = BTreeSet::new();
    for fact in observed {
        let error = &fact["body"]["error"];
        let reason = fact["reason"].as_str().or_else(|| error["errors"][0]["reason"].as_str()).expect("a reason");
        let message = fact["message"].as_str().or_else(|| error["message"].as_str()).expect("a message");
        if let Some((begin, _)) = NOT_PROVOKED.iter().find(|(begin, _)| message.starts_with(begin)) {
            left_out.insert(*begin);
            continue;
        }
        let t = Tester::start().await;
        let reply = provoke(&t, reason, message).await;
        assert_eq!(reply.error(), (u16::try_from(fact["status"].as_u64().expect("a status")).expect("small"), reason));
        assert_eq!(pattern(reply.json["error"]["message"].as_str().expect("a message")), pattern(message));
        if error.is_object() {
            let names = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<BTreeSet<_>>();
            assert_eq!(names(&reply.json["error"]), names(error), "{message}");
            assert_eq!(names(&reply.json["error"]["errors"][0]), names(&error["errors"][0]), "{message}");
        }
    }
    let listed: BTreeSet<_> = NOT_PROVOKED.iter().map(|(begin, _)| *begin).collect();
    assert_eq!(left_out, listed, "a reason to leave something out that is not there any more");
}
