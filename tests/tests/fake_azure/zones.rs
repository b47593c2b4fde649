//! Zones: made, shown, deleted; what is not there.

use dns_conformance::fakes::azure::{RecordSet, SUBSCRIPTION};
use serde_json::json;

use crate::client::{Client, GROUP, ZONE, a, at, in_zone, start};

fn zone(group: &str, name: &str) -> String {
    at(&format!("resourceGroups/{group}/providers/Microsoft.Network/dnsZones/{name}"))
}

#[tokio::test]
async fn a_zone_is_created_with_its_apex_and_replaced() {
    let fake = start().await;
    let client = Client::new(&fake);
    let body = json!({"location": "global", "tags": {"k": "v"}});
    let made = client.json("PUT", &zone(GROUP, "new.test"), &[("if-none-match", "*")], &body).await;
    assert_eq!(made.status, 201);
    assert_eq!(made.header("etag"), made.body["etag"].as_str());
    assert_eq!((&made.body["name"], &made.body["tags"]), (&json!("new.test"), &json!({"k": "v"})));
    let properties = &made.body["properties"];
    assert_eq!((&properties["maxNumberOfRecordSets"], &properties["numberOfRecordSets"]), (&json!(10000), &json!(2)));
    assert_eq!(
        (&properties["zoneType"], properties["nameServers"].as_array().map(Vec::len)),
        (&json!("Public"), Some(4))
    );
    let types: Vec<_> = fake.sets(GROUP, "new.test").into_iter().map(|set| (set.name, set.record_type)).collect();
    assert_eq!(types, [("@".to_owned(), "NS".to_owned()), ("@".to_owned(), "SOA".to_owned())]);

    let again = client.json("PUT", &zone(GROUP, "new.test"), &[("if-none-match", "*")], &body).await;
    assert_eq!(again.message(), "The Zone new.test exists already and hence cannot be created again.");
    assert_eq!(again.error(), (412, "PreconditionFailed"));
    fake.put_set(GROUP, "new.test", RecordSet::a("www", 60, &["192.0.2.1"]));
    let etag = made.body["etag"].as_str().expect("an ETag");
    assert_eq!(client.get(&zone(GROUP, "new.test")).await.body["etag"], etag, "sets do not touch their zone's ETag");
    let replaced =
        client.json("PUT", &zone(GROUP, "new.test"), &[("if-match", etag)], &json!({"location": "global"})).await;
    assert_eq!((replaced.status, &replaced.body["tags"]), (200, &json!({})));
    assert_eq!(replaced.body["properties"]["numberOfRecordSets"], 3);
    assert_eq!(client.json("PUT", &zone(GROUP, "new.test"), &[("if-match", etag)], &body).await.status, 412);
    let tagged = client.json("PATCH", &zone(GROUP, "new.test"), &[], &json!({"tags": {"a": "b"}})).await;
    assert_eq!((tagged.status, &tagged.body["tags"]), (200, &json!({"a": "b"})));
}

#[tokio::test]
async fn a_zone_that_the_vendor_would_not_make_is_refused() {
    let fake = start().await;
    let client = Client::new(&fake);
    for (name, body, wanted) in [
        ("new.test", json!({}), "InvalidRequestContent"),
        ("new.test", json!({"location": "global", "x": 1}), "InvalidRequestContent"),
        ("new.test", json!({"location": "global", "properties": {"zoneType": "Secret"}}), "InvalidRequestContent"),
        ("new.test", json!({"location": "westeurope"}), "LocationNotAvailableForResourceType"),
        (
            "new.test",
            json!({"location": "global", "properties": {"resolutionVirtualNetworks": [{"id": "x"}]}}),
            "BadRequest",
        ),
        ("test", json!({"location": "global"}), "BadRequest"),
        ("a..test", json!({"location": "global"}), "BadRequest"),
    ] {
        assert_eq!(client.put(&zone(GROUP, name), &body).await.error(), (400, wanted), "{name} {body}");
    }
    let other = json!({"location": "global", "properties": {"zoneType": "Private"}});
    assert_eq!(client.put(&zone(GROUP, ZONE), &other).await.error(), (400, "BadRequest"));
    fake.limits(|limits| limits.zones = 1);
    assert_eq!(client.put(&zone(GROUP, "new.test"), &json!({"location": "global"})).await.error(), (409, "Conflict"));
}

#[tokio::test]
async fn a_private_and_a_public_zone_have_one_name() {
    let fake = start().await;
    let client = Client::new(&fake);
    let group = fake.create_group("inside");
    let body = json!({"location": "global", "properties": {"zoneType": "Private",
        "registrationVirtualNetworks": [{"id": format!("{group}/providers/Microsoft.Network/virtualNetworks/v")}]}});
    let made = client.put(&zone("inside", ZONE), &body).await;
    assert_eq!((made.status, &made.body["properties"]["zoneType"]), (201, &json!("Private")));
    assert_eq!(client.get(&in_zone("")).await.body["properties"]["zoneType"], "Public");
    assert!(made.body["id"].as_str().is_some_and(|id| id.contains("/resourceGroups/inside/")), "{made:?}");
}

#[tokio::test]
async fn a_deletion_is_under_way_until_it_was_asked_for_often_enough() {
    let fake = start().await;
    let client = Client::new(&fake);
    fake.delay_deletions(2, Some(3));
    let stale = client.send("DELETE", &in_zone(""), &[("if-match", "x")], "").await;
    assert_eq!(stale.error(), (412, "PreconditionFailed"));
    let begun = client.delete(&in_zone("")).await;
    assert_eq!((begun.status, begun.text.as_str(), begun.header("retry-after")), (202, "", Some("3")));
    let (status, result) = (begun.header("azure-asyncoperation"), begun.header("location"));
    let (status, result) = (status.expect("a link"), result.expect("a link"));
    assert!(status.starts_with("https://management.azure.com:443/subscriptions/"), "{status}");
    assert!(result.starts_with("https://management.azure.com/subscriptions/"), "{result}");
    assert_eq!(client.get(status).await.body, json!({"status": "InProgress"}));
    assert_eq!(client.get(result).await.status, 202);
    assert_eq!(client.get(&in_zone("")).await.status, 200, "it is still there");
    assert_eq!(client.get(status).await.body, json!({"status": "Succeeded"}));
    assert_eq!(client.get(&in_zone("")).await.error(), (404, "ResourceNotFound"));
    assert_eq!(client.delete(&in_zone("")).await.status, 204);
    fake.create_zone(GROUP, ZONE);
    assert_eq!(client.get(status).await.body, json!({"status": "Succeeded"}));
    assert_eq!(fake.zones(GROUP), [ZONE], "an old operation does not delete a new zone");
}

#[tokio::test]
async fn what_is_not_there_is_said_by_the_one_who_knows() {
    let fake = start().await;
    let client = Client::new(&fake);
    let absent = client.get(&zone(GROUP, "absent.test")).await;
    assert_eq!((absent.error(), absent.body.get("error").is_some()), ((404, "ResourceNotFound"), true));
    let place = zone(GROUP, "absent.test/A/www");
    assert_eq!(client.get(&place).await.error(), (404, "ParentResourceNotFound"));
    assert_eq!(client.put(&place, &a(60, &["192.0.2.1"])).await.error(), (404, "ParentResourceNotFound"));
    assert_eq!(client.delete(&place).await.error(), (404, "ParentResourceNotFound"));
    assert_eq!(client.get(&zone(GROUP, "absent.test/recordsets")).await.error(), (404, "ParentResourceNotFound"));
    assert_eq!(client.get(&zone("absent", ZONE)).await.error(), (404, "ResourceGroupNotFound"));
    assert_eq!(
        client.put(&zone("absent", ZONE), &json!({"location": "global"})).await.error(),
        (404, "ResourceGroupNotFound")
    );
    let elsewhere = in_zone("").replace(SUBSCRIPTION, "99999999-9999-4999-8999-999999999999");
    assert_eq!(client.get(&elsewhere).await.error(), (404, "SubscriptionNotFound"));
    assert_eq!(client.get(&in_zone("/SPF/www")).await.error(), (404, "InvalidResourceType"));
    assert_eq!(client.get(&in_zone("/A/www/x")).await.error(), (404, "InvalidResourceType"));
    assert_eq!(client.json("POST", &in_zone("/A/www"), &[], &json!({})).await.error(), (405, "MethodNotAllowed"));
    let version = in_zone("").replace("2018-05-01", "2017-09-01");
    assert_eq!(client.get(&version).await.error(), (400, "NoRegisteredProviderFound"));
    let version = in_zone("").replace("api-version=2018-05-01", "");
    assert_eq!(client.get(&version).await.error(), (400, "MissingApiVersionParameter"));
}
