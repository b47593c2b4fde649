//! Each error of Azure DNS that was seen, recorded or quoted, is provoked and compared.

use dns_conformance::fakes::azure::{self, Fake, RecordSet, SUBSCRIPTION, Throttling};
use dns_conformance::fakes::faults::Fault;
use dns_conformance::fakes::fixtures;
use serde_json::{Value, json};

use crate::client::{Client, Reply, a, at, start};

/// A path in the zone that the error speaks of.
fn place(group: &str, zone: &str, rest: &str) -> String {
    at(&format!("resourceGroups/{group}/providers/Microsoft.Network/dnsZones/{zone}{rest}"))
}

/// Makes the fake say what the entry quotes: whose status, beginning of the code and words of the text are these.
async fn provoke(fake: &Fake, client: &Client<'_>, status: u64, body: &str) -> Reply {
    let (group, zone) = ("cli_test_dns", "onesdk337.pstest.test");
    let created = async |path: String, body: Value| client.json("PUT", &path, &[("if-none-match", "*")], &body).await;
    fake.create_zone(group, zone);
    match (status, body) {
        (409, text) if text.contains("CNAME record could not") => {
            fake.put_set(group, zone, RecordSet::a("x", 60, &["192.0.2.1"]));
            let cname = json!({"properties": {"TTL": 60, "CNAMERecord": {"cname": "a.test"}}});
            created(place(group, zone, "/CNAME/x"), cname).await
        }
        (409, _) => {
            fake.put_set(group, zone, RecordSet::cname("y", 60, "a.test"));
            created(place(group, zone, "/TXT/y"), json!({"properties": {"TTL": 60}})).await
        }
        (400, text) if text.contains("domain name") => {
            let cname = json!({"properties": {"TTL": 60, "CNAMERecord": {"cname": "\"myfunnydummydomain.com\""}}});
            created(place(group, zone, "/CNAME/z"), cname).await
        }
        (400, _) => client.delete(&place(group, zone, "/SOA/@")).await,
        (412, text) if text.contains("The Zone") => {
            created(place(group, zone, ""), json!({"location": "global"})).await
        }
        (412, text) if text.contains("etag mismatch") => {
            fake.put_set(group, zone, RecordSet::a("hydratestdnsrec1798", 60, &["192.0.2.1"]));
            let path = place(group, zone, "/A/hydratestdnsrec1798");
            client.json("PUT", &path, &[("if-match", "0")], &a(60, &["192.0.2.2"])).await
        }
        (412, _) => {
            fake.put_set(group, zone, RecordSet::a("onesdk5711", 60, &["192.0.2.1"]));
            created(place(group, zone, "/A/onesdk5711"), a(60, &["192.0.2.2"])).await
        }
        (404, text) if text.contains("resource record") => client.get(&place(group, zone, "/A/myrsaalt")).await,
        (404, _) => client.get(&place(group, "absent.test", "")).await,
        (429, text) => {
            let shape = if text.contains("Throttled\",\"message\":\"Too") || text.contains("\\\"code\\\"") {
                Throttling::Text
            } else {
                Throttling::Action
            };
            fake.control().add(Fault::answer(azure::throttled(shape, None)));
            client.get(&place(group, zone, "")).await
        }
        other => panic!("nothing is known that would provoke {other:?}"),
    }
}

/// The words that do not depend on names and numbers: all between quotation marks is masked.
fn words(text: &str) -> String {
    let text = text.replace(SUBSCRIPTION, "...");
    text.split('\'').step_by(2).collect::<Vec<_>>().join("'")
}

#[tokio::test]
#[ignore = "needs DNS_FIXTURES: the observed errors"]
async fn errors_that_were_seen_have_their_status_shape_code_and_text() {
    let text = std::fs::read_to_string(fixtures::dir().join("facts/observed-errors.json")).expect("the facts");
    let facts: Value = serde_json::from_str(&text).expect("the facts are JSON");
    let entries = facts["azure"].as_array().expect("entries");
    assert_eq!(entries.len(), 11, "an entry that is new has to be provoked");
    for entry in entries {
        let fake = start().await;
        let status = entry["status"].as_u64().expect("a status");
        let quoted = &entry["body"];
        let reply = provoke(&fake, &Client::new(&fake), status, &quoted.to_string()).await;
        assert_eq!(u64::from(reply.status), status, "{entry}");
        // A body that is a JSON string holds the JSON of the other shapes.
        let inner = |body: &Value| body.as_str().map(|text| serde_json::from_str(text).expect("JSON in a string"));
        assert_eq!(reply.body.is_string(), quoted.is_string(), "{entry}: {reply:?}");
        let (quoted, real) =
            (inner(quoted).unwrap_or(quoted.clone()), inner(&reply.body).unwrap_or(reply.body.clone()));
        assert_eq!(real.get("error").is_some(), quoted.get("error").is_some(), "the shape of {entry}: {real}");
        let flat = |body: &Value| body.get("error").unwrap_or(body).clone();
        let (quoted, real) = (flat(&quoted), flat(&real));
        assert_eq!(real["code"], quoted["code"], "{entry}");
        let quoted = quoted["message"].as_str().expect("a text");
        if !quoted.starts_with("(text cut off") {
            assert_eq!(words(real["message"].as_str().expect("a text")), words(quoted), "{entry}");
        }
    }
}
