//! Record sets: conditions, data, limits.

use dns_conformance::fakes::azure::{Fake, RecordSet, SUBSCRIPTION};
use serde_json::{Value, json};

use crate::client::{Client, GROUP, Reply, ZONE, a, in_zone, start};

fn www() -> String {
    in_zone("/A/www")
}

#[tokio::test]
async fn a_set_is_created_replaced_shown_and_deleted() {
    let fake = start().await;
    let client = Client::new(&fake);
    let created = client.put(&www(), &a(300, &["192.0.2.1"])).await;
    assert_eq!(created.status, 201);
    let etag = created.body["etag"].as_str().expect("an ETag");
    assert_eq!(created.header("etag"), Some(etag), "bare in the header too");
    assert_eq!((etag.len(), etag.matches('-').count(), etag.contains('"')), (36, 4, false));
    assert!(created.text.contains(r"\/dnszones\/example.test\/A\/www"), "{}", created.text);
    let properties = json!({"TTL": 300, "fqdn": "www.example.test.", "ARecords": [{"ipv4Address": "192.0.2.1"}],
        "targetResource": {}, "provisioningState": "Succeeded"});
    assert_eq!(created.body["properties"], properties);
    assert_eq!(created.body["type"], "Microsoft.Network/dnszones/A");

    let replaced = client.put(&www(), &a(60, &["192.0.2.2"])).await;
    assert_eq!((replaced.status, replaced.body["etag"] == created.body["etag"]), (200, false));
    let shown = client.get(&www()).await;
    assert_eq!((shown.status, &shown.body), (200, &replaced.body));
    assert_eq!(client.delete(&www()).await.status, 200);
    let absent = client.get(&www()).await;
    assert_eq!(absent.error(), (404, "NotFound"));
    assert!(absent.message().contains(SUBSCRIPTION) && absent.body.get("code").is_some(), "{absent:?}");
    assert_eq!(client.delete(&www()).await.status, 204);
}

#[tokio::test]
async fn conditions_are_kept() {
    let fake = start().await;
    let client = Client::new(&fake);
    let put =
        async |name: &str, value: &str| client.json("PUT", &www(), &[(name, value)], &a(60, &["192.0.2.1"])).await;
    assert_eq!(put("if-match", "*").await.error(), (412, "PreconditionFailed"));
    let first = put("if-none-match", "*").await;
    assert_eq!(first.status, 201);
    let again = put("if-none-match", "*").await;
    assert_eq!(again.error(), (412, "PreconditionFailed"));
    assert_eq!(again.message(), "The Record set www exists already and hence cannot be created again.");
    let etag = first.body["etag"].as_str().expect("an ETag").to_owned();
    assert_eq!(put("if-match", &format!("\"{etag}\"")).await.status, 412, "the ETag has no quotes");
    assert_eq!(put("if-match", &etag).await.status, 200);
    let stale = put("if-match", &etag).await;
    assert_eq!(stale.message(), "The Record set www has been modified (etag mismatch).");
    assert_eq!(put("if-match", "*").await.status, 200);

    let held = fake.set(GROUP, ZONE, "A", "www");
    let delete = async |etag: &str| client.send("DELETE", &www(), &[("if-match", etag)], "").await;
    assert_eq!(delete(&etag).await.status, 412);
    assert_eq!(fake.set(GROUP, ZONE, "A", "www"), held, "a refusal changes nothing");
    assert_eq!(delete(&held.expect("it is there").etag).await.status, 200);
    assert_eq!(delete(&etag).await.status, 204);
    fake.absent_with_etag(412);
    assert_eq!(delete(&etag).await.status, 412);
    assert_eq!(client.delete(&www()).await.status, 204);
}

#[tokio::test]
async fn a_change_behind_the_back_changes_the_etag() {
    let fake = start().await;
    let client = Client::new(&fake);
    let first = client.put(&www(), &a(60, &["192.0.2.1"])).await;
    let etag = first.body["etag"].as_str().expect("an ETag");
    fake.put_set(GROUP, ZONE, RecordSet::a("www", 60, &["192.0.2.1"]));
    let stale = client.json("PUT", &www(), &[("if-match", etag)], &a(60, &["192.0.2.9"])).await;
    assert_eq!(stale.status, 412);
}

#[tokio::test]
async fn a_patch_changes_what_it_names() {
    let fake = start().await;
    let client = Client::new(&fake);
    fake.put_set(GROUP, ZONE, RecordSet::a("www", 60, &["192.0.2.1"]).with_metadata("k", "v"));
    let patched = client.json("PATCH", &www(), &[], &json!({"properties": {"TTL": 70}})).await;
    assert_eq!(patched.status, 200);
    assert_eq!(patched.body["properties"]["metadata"], json!({"k": "v"}));
    assert_eq!(
        (&patched.body["properties"]["TTL"], fake.set(GROUP, ZONE, "A", "www").expect("there").texts()),
        (&json!(70), vec!["192.0.2.1".to_owned()])
    );
    assert_eq!(client.json("PATCH", &in_zone("/A/other"), &[], &json!({})).await.error(), (404, "NotFound"));
}

/// Each with what is wrong.
async fn refused(client: &Client<'_>, path: &str, properties: Value) -> Reply {
    let reply = client.put(&in_zone(path), &json!({ "properties": properties })).await;
    assert_eq!(reply.error(), (400, "BadRequest"), "{path} {properties}: {reply:?}");
    reply
}

#[tokio::test]
async fn what_the_description_does_not_allow_is_refused() {
    let fake = start().await;
    let client = Client::new(&fake);
    for properties in [
        json!({"TTL": 60, "ARecords": [], "x": 1}),
        json!({"ttl": 60}),
        json!({"TTL": "60"}),
        json!({"TTL": 60.5}),
        json!({"TTL": -1}),
        json!({"TTL": 2_147_483_648_i64}),
        json!({"ARecords": []}),
        json!({"TTL": 60, "ARecords": {}}),
        json!({"TTL": 60, "ARecords": ["192.0.2.1"]}),
        json!({"TTL": 60, "ARecords": [{}]}),
        json!({"TTL": 60, "ARecords": [{"ipv4Address": "192.0.2.1", "x": ""}]}),
        json!({"TTL": 60, "ARecords": null}),
        json!({"TTL": 60, "AAAARecords": []}),
        json!({"TTL": 60, "metadata": {"k": 1}}),
        json!({"TTL": 60, "metadata": ["k"]}),
    ] {
        refused(&client, "/A/www", properties).await;
    }
    assert_eq!(client.put(&www(), &json!({})).await.error(), (400, "BadRequest"));
    assert_eq!(client.put(&www(), &json!([])).await.error(), (400, "BadRequest"));
    let half = client.send("PUT", &www(), &[("content-type", "application/json")], "{\"properties\":").await;
    assert_eq!(half.error(), (400, "BadRequest"));
    for media_type in ["text/plain", "application/x-www-form-urlencoded"] {
        let reply = client.send("PUT", &www(), &[("content-type", media_type)], "{}").await;
        assert_eq!(reply.error(), (415, "UnsupportedMediaType"));
    }
    assert_eq!(fake.set(GROUP, ZONE, "A", "www"), None);
    let echo = json!({"id": "x", "name": "y", "type": "z", "etag": "0", "properties": {"TTL": 0, "fqdn": "x",
        "provisioningState": null, "targetResource": {}, "ARecords": []}});
    assert_eq!(
        client.put(&www(), &echo).await.status,
        201,
        "what is only read may be sent back; an empty set is a set"
    );
}

#[tokio::test]
async fn bad_data_is_refused() {
    let fake = start().await;
    let client = Client::new(&fake);
    let long = "x".repeat(256);
    for (path, member, record) in [
        ("/A/x", "ARecords", json!([{"ipv4Address": "192.0.2.256"}])),
        ("/A/x", "ARecords", json!([{"ipv4Address": "2001:db8::1"}])),
        ("/A/x", "ARecords", json!([{"ipv4Address": "192.0.2.1"}, {"ipv4Address": "192.0.2.1"}])),
        ("/AAAA/x", "AAAARecords", json!([{"ipv6Address": "192.0.2.1"}])),
        ("/AAAA/x", "AAAARecords", json!([{"ipv6Address": "2001:db8::1"}, {"ipv6Address": "2001:DB8:0::1"}])),
        ("/CNAME/x", "CNAMERecord", json!({"cname": "\"quoted.test\""})),
        ("/CNAME/x", "CNAMERecord", json!({"cname": "a..b"})),
        ("/CNAME/x", "CNAMERecord", json!({"cname": ""})),
        ("/CNAME/@", "CNAMERecord", json!({"cname": "a.b"})),
        ("/TXT/x", "TXTRecords", json!([{"value": [long]}])),
        ("/TXT/x", "TXTRecords", json!([{"value": []}])),
        ("/TXT/x", "TXTRecords", json!([{"value": "text"}])),
        ("/TXT/x", "TXTRecords", json!([{"value": ["s\u{fc}\u{df}"]}])),
        ("/TXT/x", "TXTRecords", json!([{"value": ["a\tb"]}])),
        ("/MX/x", "MXRecords", json!([{"preference": 65536, "exchange": "a.b"}])),
        ("/MX/x", "MXRecords", json!([{"exchange": "a.b"}])),
        ("/SRV/x", "SRVRecords", json!([{"priority": 1, "weight": 1, "port": -1, "target": "a.b"}])),
        ("/CAA/x", "caaRecords", json!([{"flags": 256, "tag": "issue", "value": ""}])),
        ("/NS/@", "NSRecords", json!([{"nsdname": "ns.other.test."}])),
        ("/NS/*", "NSRecords", json!([{"nsdname": "ns.other.test."}])),
        ("/A/a..b", "ARecords", json!([])),
        ("/A/www.", "ARecords", json!([])),
        ("/A/a.*.b", "ARecords", json!([])),
        ("/A/a%20b", "ARecords", json!([])),
        (
            "/SOA/x",
            "SOARecord",
            json!({"host": "a.b", "email": "a.b", "serialNumber": 1, "refreshTime": 1,
            "retryTime": 1, "expireTime": 1, "minimumTTL": 1}),
        ),
    ] {
        refused(&client, path, json!({"TTL": 60, member: record})).await;
    }
    let mapped = json!({"properties": {"TTL": 60, "AAAARecords": [{"ipv6Address": "::ffff:192.0.2.1"}]}});
    assert_eq!(client.put(&in_zone("/AAAA/x"), &mapped).await.status, 201);
    assert_eq!(client.put(&in_zone("/A/*.deep"), &a(60, &["192.0.2.1"])).await.status, 201);
    let label = "l".repeat(64);
    refused(&client, &format!("/A/{label}"), json!({"TTL": 60})).await;
    let deep = ["l".repeat(63).as_str(); 4].join(".");
    refused(&client, &format!("/A/{deep}"), json!({"TTL": 60})).await;
}

#[tokio::test]
async fn what_azure_made_at_the_apex_stays() {
    let fake = start().await;
    let client = Client::new(&fake);
    for record_type in ["SOA", "NS"] {
        let reply = client.delete(&in_zone(&format!("/{record_type}/@"))).await;
        assert_eq!(reply.message(), format!("RecordSets of type '{record_type}' with name '@' cannot be deleted."));
        assert_eq!(reply.error(), (400, "BadRequest"));
    }
    let mut soa = client.get(&in_zone("/SOA/@")).await.body;
    soa["properties"]["SOARecord"]["minimumTTL"] = json!(60);
    assert_eq!(client.put(&in_zone("/SOA/@"), &soa).await.status, 200);
    soa["properties"]["SOARecord"]["host"] = json!("ns.other.test.");
    assert_eq!(client.put(&in_zone("/SOA/@"), &soa).await.status, 400);
    let mut ns = client.get(&in_zone("/NS/@")).await.body;
    ns["properties"]["NSRecords"].as_array_mut().expect("records").push(json!({"nsdname": "ns.other.test."}));
    assert_eq!(client.put(&in_zone("/NS/@"), &ns).await.status, 200);
}

#[tokio::test]
async fn a_cname_stands_alone() {
    let fake = start().await;
    let client = Client::new(&fake);
    let cname = json!({"properties": {"TTL": 60, "CNAMERecord": {"cname": "a.b."}}});
    assert_eq!(client.put(&www(), &a(60, &["192.0.2.1"])).await.status, 201);
    let refused = client.put(&in_zone("/CNAME/WWW"), &cname).await;
    assert_eq!(refused.error(), (409, "Conflict"));
    assert!(refused.message().contains("another record with the same name already exists"), "{refused:?}");
    assert_eq!(client.delete(&www()).await.status, 200);
    assert_eq!(client.put(&in_zone("/CNAME/www"), &cname).await.status, 201);
    let refused = client.put(&www(), &a(60, &["192.0.2.1"])).await;
    assert_eq!(refused.body["details"][0]["code"], "CannotCreateRecordDueToCNameNamingRestriction");
    assert_eq!(client.put(&in_zone("/A/www.www"), &a(60, &["192.0.2.1"])).await.status, 201);
}

#[tokio::test]
async fn limits_are_kept() {
    let fake = start().await;
    let client = Client::new(&fake);
    let addresses: Vec<String> = (1..=21).map(|host| format!("192.0.2.{host}")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    assert_eq!(client.put(&www(), &a(60, &addresses)).await.error(), (409, "Conflict"));
    assert_eq!(client.put(&www(), &a(60, &addresses[..20])).await.status, 201);
    let text =
        |strings: usize| json!({"properties": {"TTL": 1, "TXTRecords": [{"value": vec!["x".repeat(255); strings]}]}});
    assert_eq!(client.put(&in_zone("/TXT/x"), &text(16)).await.status, 201);
    let long = client.put(&in_zone("/TXT/x"), &text(17)).await;
    assert_eq!(
        long.message(),
        "The combined length of all TXT records in a record set may not exceed 4096 characters."
    );

    fake.limits(|limits| limits.record_sets = 5); // SOA, NS, www, x and one more
    assert_eq!(client.put(&in_zone("/A/one"), &a(60, &["192.0.2.1"])).await.status, 201);
    let full = client.put(&in_zone("/A/two"), &a(60, &["192.0.2.1"])).await;
    assert_eq!(
        (full.error(), &full.body["details"][0]["code"]),
        ((409, "Conflict"), &json!("MaximumNumberOfRecordSetsReached"))
    );
    assert_eq!(client.put(&in_zone("/A/one"), &a(60, &["192.0.2.2"])).await.status, 200, "what is there can change");

    fake.limits(|limits| (limits.metadata_pairs, limits.metadata_characters) = (1, (4, 4)));
    for (metadata, status) in
        [(json!({"name": "text"}), 200), (json!({"a": "b", "c": "d"}), 400), (json!({"a": "longer"}), 400)]
    {
        let mut body = a(60, &["192.0.2.2"]);
        body["properties"]["metadata"] = metadata;
        assert_eq!(client.put(&in_zone("/A/one"), &body).await.status, status);
    }
}

const ADDRESS: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/publicIPAddresses/ip";
const PROFILE: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/trafficManagerProfiles/tm";

#[tokio::test]
async fn alias_sets_take_no_records_and_the_ttl_of_a_profile() {
    let fake = start().await;
    let client = Client::new(&fake);
    let alias = |id: &str| json!({"properties": {"TTL": 3600, "targetResource": {"id": id}}});
    let made = client.put(&www(), &alias(ADDRESS)).await;
    assert_eq!((made.status, &made.body["properties"]["targetResource"]["id"]), (201, &json!(ADDRESS)));
    assert_eq!((made.body["properties"].get("ARecords"), &made.body["properties"]["TTL"]), (None, &json!(3600)));
    assert_eq!(client.put(&in_zone("/CNAME/cn"), &alias(PROFILE)).await.body["properties"]["TTL"], json!(30));
    fake.profile(PROFILE, 90);
    assert_eq!(client.put(&in_zone("/CNAME/cn"), &alias(PROFILE)).await.body["properties"]["TTL"], json!(90));
    assert_eq!(client.put(&in_zone("/TXT/x"), &alias(ADDRESS)).await.status, 400);
    assert_eq!(client.put(&in_zone("/A/x"), &alias("ip")).await.status, 400);
    let mut both = a(60, &["192.0.2.1"]);
    both["properties"]["targetResource"] = json!({ "id": ADDRESS });
    assert_eq!(client.put(&in_zone("/A/x"), &both).await.status, 400);
    let wanted = json!({"properties": {"targetResources": [{"id": ADDRESS}]}});
    let path = crate::client::at("providers/Microsoft.Network/getDnsResourceReference");
    let found = client.json("POST", &path, &[], &wanted).await;
    let resources = &found.body["properties"]["dnsResourceReferences"][0]["dnsResources"];
    assert!(resources[0]["id"].as_str().is_some_and(|id| id.ends_with("/A/www")), "{found:?}");
    fake.limits(|limits| limits.aliases = 1);
    assert_eq!(client.put(&in_zone("/A/x"), &alias(ADDRESS)).await.status, 400);
    assert_eq!(client.put(&www(), &alias(ADDRESS)).await.status, 200);
}

#[tokio::test]
async fn names_have_no_case_and_keep_their_letters() {
    let fake = Fake::start().await;
    fake.create_zone("Group", "Example.Test");
    let client = Client::new(&fake);
    let path = |name: &str| {
        crate::client::at(&format!("resourcegroups/GROUP/providers/microsoft.network/DNSZONES/example.test/a/{name}"))
    };
    assert_eq!(client.put(&path("WwW"), &a(60, &["192.0.2.1"])).await.status, 201);
    let again = client.put(&path("www"), &a(60, &["192.0.2.2"])).await;
    assert_eq!((again.status, &again.body["name"]), (200, &json!("WwW")));
    assert_eq!(again.body["properties"]["fqdn"], "WwW.Example.Test.");
}
