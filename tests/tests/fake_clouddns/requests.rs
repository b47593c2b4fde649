//! What a request may hold, and what becomes of it when something goes wrong.

use dns_conformance::fakes::clouddns::Trouble;
use dns_conformance::fakes::faults::{Fault, Gate, Rate};
use serde_json::{Value, json};

use super::a;
use super::client::{self, Tester};

//----------- Requests -----------------------------------------------

#[tokio::test]
async fn a_request_holds_nothing_that_the_document_does_not_know() {
    let t = Tester::start().await;
    let post = async |path: &str, body: Value| t.call("POST", &t.of_zone(path), Some(&body)).await;
    let set = json!({"name": "www.example.test.", "type": "A", "ttl": "60", "rrdatas": ["192.0.2.1"], "kind": "x"});
    for (member, value, said) in [
        ("rrData", json!(["192.0.2.1"]), "Unknown name \"rrData\" at 'change.additions[0]': Cannot find field."),
        ("ttl", json!("soon"), "Invalid value at 'change.additions[0].ttl' (TYPE_INT32), \"soon\""),
        ("ttl", json!(1.5), "Invalid value at 'change.additions[0].ttl' (TYPE_INT32), 1.5"),
        ("ttl", json!(2_147_483_648_u32), "Invalid value at 'change.additions[0].ttl' (TYPE_INT32), 2147483648"),
        ("rrdatas", json!("192.0.2.1"), "Invalid value at 'change.additions[0].rrdatas' (TYPE_STRING), \"192.0.2.1\""),
        ("rrdatas", json!([1]), "Invalid value at 'change.additions[0].rrdatas[0]' (TYPE_STRING), 1"),
        ("routingPolicy", json!({"wrr": {"x": 1}}), "Unknown name \"x\" at 'change.additions[0].routingPolicy.wrr'"),
    ] {
        let mut bad = set.clone();
        bad[member] = value;
        let reply = post("/changes", json!({"additions": [bad]})).await;
        assert_eq!(reply.error(), (400, "invalid"), "{said}");
        assert_eq!(reply.json["error"]["status"], "INVALID_ARGUMENT");
        let message = reply.json["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains(said), "{message} instead of {said}");
    }
    assert_eq!(post("/changes?upsert=true", json!({"additions": [set]})).await.error(), (400, "invalid"));
    assert_eq!(post("/changes?clientOperationId=A", json!({"additions": [set]})).await.error(), (400, "invalid"));
    assert_eq!(post("/changes", json!({"upserts": [set]})).await.error(), (400, "invalid"));
    assert_eq!(post("/changes", json!([set])).await.error(), (400, "invalid"));
    assert_eq!(t.call("GET", &t.of_zone("/rrsets"), Some(&json!({}))).await.error(), (400, "invalid"));
    assert_eq!(t.fake.changes(&t.zone), 0);
    let query = "?clientOperationId=op-1&$alt=json;enum-encoding=int&key=k&quotaUser=q";
    post(&format!("/changes{query}"), json!({"additions": [set], "deletions": null})).await.expect(200);
    let again = json!({"additions": [a("b.example.test.", 60, &["192.0.2.1"])]});
    assert_eq!(post("/changes?clientOperationId=op-1", again).await.error(), (409, "alreadyExists"));
}

#[tokio::test]
async fn a_body_is_json_and_says_so() {
    let t = Tester::start().await;
    let authorization = format!("Bearer {}", t.token);
    let body = json!({"additions": [a("www.example.test.", 60, &["192.0.2.1"])]}).to_string();
    for (media_type, body, status) in [
        ("text/plain", body.as_str(), 400),
        ("application/x-www-form-urlencoded", &body, 400),
        ("application/json", &body[1..], 400),
        ("application/json; charset=UTF-8", &body, 200),
    ] {
        let headers = [("authorization", authorization.as_str()), ("content-type", media_type)];
        let reply = client::send(&t.of_zone("/changes"), "POST", &headers, body).await.expect("an answer");
        assert_eq!(reply.status, status, "{media_type} {body}");
    }
}

#[tokio::test]
async fn paths_are_the_vendor_s() {
    let t = Tester::start().await;
    let lost = t.call("GET", &format!("{}/dns/v2/projects", t.fake.url()), None).await;
    assert!(lost.status == 404 && lost.headers.contains("text/html"), "{lost:?}");
    assert_eq!(t.call("PUT", &t.of_zone("/changes"), Some(&json!({}))).await.status, 404);
    assert_eq!(t.call("PATCH", &t.of_zone(""), Some(&json!({}))).await.error(), (501, "notImplemented"));
    assert_eq!(t.call("POST", &t.of_zone(":getIamPolicy"), Some(&json!({}))).await.error(), (501, "notImplemented"));
    let elsewhere = format!("{}/dns/v1/projects/elsewhere/managedZones", t.fake.url());
    assert_eq!(t.call("GET", &elsewhere, None).await.error(), (403, "forbidden"));
    let counts = t.fake.control().counts();
    assert_eq!(
        (counts["unknown"], counts["dns.managedZones.getIamPolicy"], counts["dns.managedZones.list"]),
        (2, 1, 1)
    );
}

#[tokio::test]
async fn system_parameters_shape_the_answer() {
    let t = Tester::start().await;
    let partial = t.get("/rrsets?fields=rrsets(name,type),kind&prettyPrint=false").await;
    assert_eq!(partial.json["rrsets"][0], json!({"name": "example.test.", "type": "NS"}));
    assert!(!partial.text.contains('\n') && t.get("/rrsets").await.text.contains("\n  "));
    assert_eq!(t.get("/rrsets?fields=rrsets(").await.error(), (400, "invalidParameter"));
    assert_eq!(t.get("/rrsets?alt=proto").await.status, 501);
    assert_eq!(t.get("/rrsets?alt=xml").await.error(), (400, "invalid"));
    let second = t.get("/changes/9?$.xgafv=2").await.json;
    assert_eq!((&second["error"]["status"], second["error"].get("errors")), (&json!("NOT_FOUND"), None));
}

//----------- Faults -------------------------------------------------

#[tokio::test]
async fn a_lost_answer_did_the_work_and_a_lost_request_did_not() {
    let t = Tester::start().await;
    let url = t.of_zone("/changes");
    let change = |owner: &str| json!({"additions": [a(&format!("{owner}.example.test."), 60, &["192.0.2.1"])]});
    t.fake.control().add(Fault::lose_request().on("dns.changes.create"));
    t.fake.control().add(Fault::lose_answer().on("dns.changes.create"));
    t.get("/rrsets").await.expect(200); // another operation
    assert!(t.try_call("POST", &url, Some(&change("a"))).await.is_none());
    assert_eq!(t.fake.changes(&t.zone), 0);
    assert!(t.try_call("POST", &url, Some(&change("b"))).await.is_none());
    assert!(t.fake.set(&t.zone, "b.example.test.", "A").is_some() && t.fake.changes(&t.zone) == 1);
    t.change(&[a("a.example.test.", 60, &["192.0.2.1"])], &[]).await.expect(200);
    let calls = t.fake.control().calls();
    let fates: Vec<_> = calls.iter().map(|call| (call.done, call.status)).collect();
    assert_eq!(fates, [(true, Some(200)), (false, None), (true, None), (true, Some(200))]);
}

#[tokio::test]
async fn half_a_page_and_a_held_call() {
    let t = Tester::start().await;
    t.fake.control().add(Fault::half_answer().on("dns.resourceRecordSets.list"));
    assert!(t.try_call("GET", &t.of_zone("/rrsets"), None).await.is_none());

    let gate = Gate::new();
    t.fake.control().add(Fault::hold(&gate).on("dns.changes.create"));
    let sets = [a("a.example.test.", 60, &["192.0.2.1"])];
    let held = t.change(&sets, &[]);
    let meanwhile = async {
        gate.arrived(1).await;
        assert_eq!(t.fake.changes(&t.zone), 0);
        gate.release();
    };
    let (reply, ()) = tokio::join!(held, meanwhile);
    assert_eq!((reply.status, t.fake.changes(&t.zone)), (200, 1));
}

#[tokio::test]
async fn troubles_have_the_shapes_that_were_seen() {
    let t = Tester::start().await;
    for (trouble, error) in [
        (Trouble::RateLimit, (429, "rateLimitExceeded")),
        (Trouble::QuotaPerMinute, (429, "rateLimitExceeded")),
        (Trouble::RateLimitForbidden, (403, "rateLimitExceeded")),
        (Trouble::UserRateLimit, (403, "userRateLimitExceeded")),
        (Trouble::DailyLimit, (403, "dailyLimitExceeded")),
        (Trouble::Internal, (500, "internalError")),
        (Trouble::Backend, (503, "backendError")),
        (Trouble::Proxy, (503, "")),
        (Trouble::Unauthenticated, (401, "authError")),
        (Trouble::Forbidden, (403, "forbidden")),
        (Trouble::ApiDisabled, (403, "accessNotConfigured")),
        (Trouble::ConditionNotMet, (412, "conditionNotMet")),
    ] {
        t.fake.control().add(Fault::answer(trouble.answer()));
        let reply = t.get("/rrsets").await;
        assert_eq!(reply.error(), error, "{trouble:?}");
        assert!(!reply.headers.contains("retry-after"));
    }
    t.fake.control().add(Fault::answer(Trouble::Backend.with_retry_after(7)));
    assert!(t.get("/rrsets").await.headers.contains("retry-after: 7"));
}

#[tokio::test]
async fn a_rate_that_is_exceeded_throttles() {
    let t = Tester::start().await;
    t.fake.control().limit(Some("dns.resourceRecordSets.list"), Rate::new(0.001, 2));
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(t.get("/rrsets").await.status);
    }
    assert_eq!(statuses, [200, 200, 429]);
    t.get("/changes").await.expect(200);
}
