//! Faults as a client meets them, over a connection.

use dns_conformance::fakes::faults::Fault;
use dns_conformance::fakes::fixtures;
use dns_conformance::fakes::listener::{Answer, Request};
use dns_conformance::fakes::route53::{Element, Fake, RecordSet, errors};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{a, apply, batch, change, cname, signed};

/// All that comes back for a request.
async fn over_the_wire(fake: &Fake, request: &Request) -> String {
    let address = fake.url().replace("http://", "");
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("the fake listens");
    let mut lines = vec![format!("{} {} HTTP/1.1", request.method, request.path)];
    lines.extend(["host: x".to_owned(), "connection: close".to_owned()]);
    lines.extend(request.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().expect("text"))));
    lines.extend([format!("content-length: {}", request.body.len()), String::new(), request.text()]);
    let head = lines.join("\r\n");
    stream.write_all(head.as_bytes()).await.expect("the fake reads");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await; // a reset is an end too
    String::from_utf8(answer).expect("text")
}

#[tokio::test]
async fn a_lost_answer_did_the_work_and_a_lost_request_did_not() {
    let fake = Fake::start().await;
    let zone = fake.create_zone("z.test", false);
    let create =
        |name: &str| signed("POST", &format!("/hostedzone/{zone}/rrset"), &batch(vec![change("CREATE", &a(name))]));
    fake.control().add(Fault::lose_answer().on("ChangeResourceRecordSets"));
    fake.control().add(Fault::lose_request().on("ChangeResourceRecordSets"));
    fake.control().add(Fault::half_answer().on("ChangeResourceRecordSets"));
    fake.control().add(Fault::answer(errors::throttling()).on("ChangeResourceRecordSets"));
    assert_eq!(over_the_wire(&fake, &create("one.z.test")).await, "");
    assert_eq!(over_the_wire(&fake, &create("two.z.test")).await, "");
    assert!(!over_the_wire(&fake, &create("three.z.test")).await.contains("</ChangeResourceRecordSetsResponse>"));
    assert!(over_the_wire(&fake, &create("four.z.test")).await.contains("<Code>Throttling</Code>"));
    assert!(over_the_wire(&fake, &create("five.z.test")).await.contains("PENDING"));
    let names: Vec<_> = fake.sets(&zone)[2..].iter().map(|set| set.name.to_string()).collect();
    assert_eq!(names, ["five.z.test.", "one.z.test.", "three.z.test."]);
    assert_eq!(fake.control().count("ChangeResourceRecordSets"), 5);
}

#[tokio::test(start_paused = true)]
async fn above_five_calls_a_second_the_account_is_throttled() {
    let fake = Fake::start().await;
    fake.throttle();
    let mut statuses = Vec::new();
    for _ in 0..7 {
        let answer = over_the_wire(&fake, &signed("GET", "/hostedzonecount", "")).await;
        statuses.push(answer.split(' ').nth(1).unwrap_or_default().to_owned());
    }
    tokio::time::advance(std::time::Duration::from_millis(400)).await;
    for _ in 0..3 {
        let answer = over_the_wire(&fake, &signed("GET", "/hostedzonecount", "")).await;
        statuses.push(answer.split(' ').nth(1).unwrap_or_default().to_owned());
    }
    assert_eq!(statuses, ["200", "200", "200", "200", "200", "400", "400", "200", "200", "400"]);
}

/// Each error body that users quoted is one that the fake gives in the same situation.
#[tokio::test]
#[ignore = "needs DNS_FIXTURES: observed errors"]
async fn observed_errors_are_those_of_the_fake() {
    let path = fixtures::dir().join("facts/observed-errors.json");
    let text = std::fs::read_to_string(path).expect("the facts");
    let facts: Value = serde_json::from_str(&text).expect("the facts are JSON");
    let facts = facts["route53"].as_array().expect("facts about Route 53");
    let ours = situations().await;
    let mut missing = Vec::new();
    for fact in facts {
        let (mut code, mut message) = (fact["code"].clone(), fact["message"].clone());
        if let Some(raw) = fact["raw"].as_str() {
            // An older version of the API: the same body in another namespace.
            let root = Element::parse(&raw.replace("2011-05-05", "2013-04-01")).expect("a body");
            let error = root.child("Error").expect("an error");
            (code, message) = (error.child_text("Code").into(), error.child_text("Message").into());
        }
        let message = message.as_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
        let same = |(status, our_code, our_message): &(u16, String, String)| {
            let our_message = our_message.trim_start_matches('[').trim_end_matches(']');
            fact["status"] == *status && code == **our_code && message.replace("<id>", "Z0") == our_message
        };
        if !ours.iter().any(same) {
            missing.push(format!("{code} {message}"));
        }
    }
    assert_eq!(missing, Vec::<String>::new(), "ours: {ours:#?}");
}

/// Status, code and message of the fake in each situation that a fact tells of.
async fn situations() -> Vec<(u16, String, String)> {
    let fake = Fake::start().await;
    let zone = fake.create_zone("dev.xxx.ge", false);
    let other = fake.create_zone("18f.gov", false);
    fake.put(&zone, cname("www.dev.xxx.ge"));
    fake.put(&other, a("micropurchase-staging.18f.gov"));
    let twice = RecordSet::simple("t.dev.xxx.ge", "TXT", 60, ["\"challengetoken\"", "\"challengetoken\""]);
    let refused = |zone: &str, set: &RecordSet| {
        let (code, message) = apply(&fake, zone, &[("CREATE", set)]).expect_err("refused");
        (400, code, message)
    };
    let mut all = vec![
        refused(&zone, &twice),
        refused(&zone, &a("www.dev.xxx.ge")),
        refused(&other, &cname("micropurchase-staging.18f.gov")),
    ];
    let read = |answer: &Answer| {
        let root = Element::parse(&String::from_utf8_lossy(&answer.body)).expect("XML");
        let error = root.child("Error").expect("an error");
        let text = |name: &str| error.child_text(name).unwrap_or_default().to_owned();
        (answer.status.as_u16(), text("Code"), text("Message"))
    };
    all.push(read(&fake.answer(&signed("DELETE", &format!("/hostedzone/{zone}"), ""))));
    all.push(read(&fake.answer(&signed("GET", "/hostedzone/Z0", ""))));
    all.push(read(&errors::throttling()));
    all.push(read(&errors::prior_request_not_complete()));
    all
}
