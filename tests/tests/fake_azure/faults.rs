//! Rates, throttling in every shape, and the faults of the listener on the vendor's operations.

use std::time::Duration;

use dns_conformance::fakes::azure::{self, Kind, RecordSet, Throttling};
use dns_conformance::fakes::faults::{Fault, Gate, Rate};
use serde_json::{Value, json};

use crate::client::{Client, GROUP, ZONE, a, in_zone, start};

#[tokio::test]
async fn a_lost_answer_did_the_work_and_a_lost_request_did_not() {
    let fake = start().await;
    let client = Client::new(&fake);
    let path = in_zone("/A/www");
    let put = || client.try_send("PUT", &path, &[("content-type", "application/json")], r#"{"properties":{"TTL":60}}"#);
    fake.control().add(Fault::lose_request().on("RecordSets_CreateOrUpdate"));
    fake.control().add(Fault::lose_answer().on("RecordSets_CreateOrUpdate"));
    assert!(put().await.is_none());
    assert_eq!(fake.set(GROUP, ZONE, "A", "www"), None);
    assert!(put().await.is_none());
    assert!(fake.set(GROUP, ZONE, "A", "www").is_some());
    assert_eq!(put().await.expect("an answer").status, 200);
    fake.control().add(Fault::half_answer().on("RecordSets_Get"));
    assert!(client.try_send("GET", &path, &[], "").await.is_none());
    assert_eq!(fake.control().count("RecordSets_CreateOrUpdate"), 3);
}

#[tokio::test]
async fn a_gate_holds_a_call_while_somebody_else_writes() {
    let fake = start().await;
    let client = Client::new(&fake);
    let etag = fake.put_set(GROUP, ZONE, RecordSet::a("www", 60, &["192.0.2.1"]));
    let gate = Gate::new();
    fake.control().add(Fault::hold(&gate).on("RecordSets_CreateOrUpdate"));
    let (path, body) = (in_zone("/A/www"), a(60, &["192.0.2.2"]));
    let headers = [("if-match", etag.as_str())];
    let held = client.json("PUT", &path, &headers, &body);
    let other = async {
        gate.arrived(1).await;
        fake.put_set(GROUP, ZONE, RecordSet::a("www", 60, &["192.0.2.3"]));
        gate.release();
    };
    let (reply, ()) = tokio::join!(held, other);
    assert_eq!(reply.status, 412);
    assert_eq!(fake.set(GROUP, ZONE, "A", "www").expect("there").texts(), ["192.0.2.3"]);
}

#[tokio::test]
async fn refusals_come_in_every_shape_that_was_seen() {
    let fake = start().await;
    let client = Client::new(&fake);
    for shape in Throttling::ALL {
        for retry_after in [None, Some(7)] {
            fake.control().add(Fault::answer(azure::throttled(shape, retry_after)));
            let reply = client.get(&in_zone("")).await;
            assert_eq!((reply.status, reply.header("retry-after")), (429, retry_after.map(|_| "7")));
            match shape {
                Throttling::Action => assert_eq!(reply.error().1, "ResourceRequestsThrottled"),
                Throttling::Subscription => assert_eq!(reply.error().1, "SubscriptionRequestsThrottled"),
                Throttling::Flat => assert_eq!(reply.body["code"], "Throttled"),
                Throttling::Empty => assert_eq!(reply.text, ""),
                Throttling::Text => {
                    let inner = reply.body.as_str().expect("a string");
                    let inner: Value = serde_json::from_str(inner).expect("JSON in it");
                    assert_eq!(inner["code"], "Throttled");
                }
            }
        }
    }
    for (answer, status, code) in [
        (azure::server_error(503), 503, "ServiceUnavailable"),
        (azure::dns_server_error(), 500, "InternalServerError"),
        (azure::gateway_page(502), 502, ""),
        (azure::expired_token(), 401, "ExpiredAuthenticationToken"),
        (azure::forbidden("Microsoft.Network/dnsZones/read", "/x"), 403, "AuthorizationFailed"),
    ] {
        fake.control().add(Fault::answer(answer).on("Zones_Get"));
        assert_eq!(client.get(&in_zone("")).await.error(), (status, code));
    }
    assert_eq!(client.get(&in_zone("")).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_zone_takes_so_many_calls_of_a_kind_and_says_when_again() {
    let fake = start().await;
    fake.create_zone(GROUP, "other.test");
    let client = Client::new(&fake);
    fake.zone_rate(Kind::Create, Rate::new(0.5, 2));
    let create = async |name: &str| client.put(&in_zone(&format!("/A/{name}")), &a(60, &["192.0.2.1"])).await;
    assert_eq!([create("a").await.status, create("b").await.status], [201, 201]);
    let refused = create("c").await;
    assert_eq!((refused.error(), refused.header("retry-after")), ((429, "ResourceRequestsThrottled"), Some("2")));
    assert_eq!(fake.set(GROUP, ZONE, "A", "c"), None);
    assert_eq!(create("a").await.status, 200, "an update is another kind");
    let other = in_zone("/A/c").replace(ZONE, "other.test");
    assert_eq!(client.put(&other, &a(60, &["192.0.2.1"])).await.status, 201, "another zone has its own");
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(create("c").await.status, 201);
    fake.throttle_as(Throttling::Text, false);
    let refused = create("d").await;
    assert_eq!((refused.status, refused.header("retry-after"), refused.body.is_string()), (429, None, true));
}

#[tokio::test(start_paused = true)]
async fn the_vendors_rates_are_sixty_lists_a_minute_and_250_reads_at_once() {
    let fake = start().await;
    let client = Client::new(&fake);
    fake.enforce_rates();
    let mut lists = 0;
    while client.get(&in_zone("/recordsets")).await.status == 200 {
        lists += 1;
    }
    assert_eq!(lists, 60);
    let mut reads = 0;
    while client.get(&in_zone("")).await.status == 200 {
        reads += 1;
    }
    assert_eq!(reads, 190, "the list that was refused by its zone cost the principal nothing");
    fake.put_set(GROUP, ZONE, RecordSet::a("www", 60, &[]));
    let mut writes = 0;
    while client.json("PATCH", &in_zone("/A/www"), &[], &json!({})).await.status == 200 {
        writes += 1;
    }
    assert_eq!(writes, 200);
}
