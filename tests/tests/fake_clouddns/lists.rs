//! Lists, their pages and their order; zones.

use dns_conformance::fakes::clouddns::{RecordSet, Visibility};
use serde_json::{Value, json};

use super::client::Tester;
use super::{a, names};

//----------- Lists --------------------------------------------------

#[tokio::test]
async fn pages_hold_every_set_once_in_the_recorded_order() {
    let t = Tester::start().await;
    let owners = ["b", "a", "z.a", "a-b", "*.a", "ab", "_x.a"];
    for owner in owners {
        t.fake.put(&t.zone, RecordSet::new(&format!("{owner}.example.test."), "A", 60, ["192.0.2.1"]));
    }
    t.fake.put(&t.zone, RecordSet::new("a.example.test.", "TXT", 60, ["\"x\""]));
    t.fake.set_page_size(3);
    let (mut seen, mut url, mut pages) = (Vec::new(), "/rrsets?maxResults=50".to_owned(), 0);
    loop {
        let page = t.get(&url).await.expect(200).json;
        let sets = page["rrsets"].as_array().expect("a list");
        assert!((1..=3).contains(&sets.len()));
        seen.extend(sets.iter().map(|set| format!("{} {}", set["name"], set["type"]).replace(['"'], "")));
        pages += 1;
        let Some(token) = page["nextPageToken"].as_str() else { break };
        url = format!("/rrsets?maxResults=50&pageToken={token}");
    }
    let order = ["NS", "SOA"].map(|apex| format!("example.test. {apex}")).into_iter();
    let below = ["a A", "a TXT", "*.a A", "_x.a A", "z.a A", "a-b A", "ab A", "b A"];
    let below = below.iter().map(|set| set.replace(' ', ".example.test. "));
    assert_eq!(seen, order.chain(below).collect::<Vec<_>>());
    assert_eq!(pages, 4);
}

#[tokio::test]
async fn a_page_goes_on_though_its_last_item_is_gone() {
    let t = Tester::start().await;
    for owner in ["a", "b", "c", "d"] {
        t.fake.put(&t.zone, RecordSet::new(&format!("{owner}.example.test."), "A", 60, ["192.0.2.1"]));
    }
    let first = t.get("/rrsets?maxResults=4").await.json;
    assert_eq!(names(&first, "rrsets")[2..], ["a.example.test.", "b.example.test."]);
    t.fake.remove(&t.zone, "b.example.test.", "A").expect("it stood there");
    let token = first["nextPageToken"].as_str().expect("there is more");
    let second = t.get(&format!("/rrsets?pageToken={token}")).await.json;
    assert_eq!(names(&second, "rrsets"), ["c.example.test.", "d.example.test."]);
    assert!(second.get("nextPageToken").is_none());
}

#[tokio::test]
async fn lists_refuse_what_they_cannot_do() {
    let t = Tester::start().await;
    let token = t.get("/rrsets?maxResults=1").await.json["nextPageToken"].as_str().expect("there is more").to_owned();
    for (query, error) in [
        ("/rrsets?type=A", (400, "required")),
        ("/rrsets?type=WKS&name=www.example.test.", (400, "invalid")),
        ("/rrsets?name=www.example.test", (400, "invalid")),
        ("/rrsets?maxResults=0", (400, "invalid")),
        ("/rrsets?maxResults=1&maxResults=2", (400, "invalid")),
        ("/rrsets?maxResults=x", (400, "invalid")),
        ("/rrsets?pageToken=xyz", (400, "invalid")),
        ("/changes?sortBy=age", (400, "invalid")),
        ("/changes?sortOrder=up", (400, "invalid")),
        (&format!("/changes?pageToken={token}"), (400, "invalid")),
        ("/rrsets?filter=name%3Dx", (501, "notImplemented")),
    ] {
        assert_eq!(t.get(query).await.error(), error, "{query}");
    }
    let none = t.get("/rrsets?name=www.example.test.").await.json;
    assert_eq!(
        none,
        json!({"kind": "dns#resourceRecordSetsListResponse", "rrsets": []}),
        "recorded with an empty list"
    );
}

#[tokio::test]
async fn changes_are_listed_in_either_order() {
    let t = Tester::start().await;
    for owner in ["a", "b"] {
        t.change(&[a(&format!("{owner}.example.test."), 60, &["192.0.2.1"])], &[]).await.expect(200);
    }
    let ids = async |query: &str| {
        let list = t.get(&format!("/changes?{query}")).await.expect(200).json;
        let ids = list["changes"].as_array().expect("a list").iter();
        ids.map(|change| change["id"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(ids("").await, "0 1 2");
    assert_eq!(ids("sortOrder=descending&sortBy=changeSequence").await, "2 1 0");
    let token = t.get("/changes?sortOrder=descending&maxResults=1").await.json["nextPageToken"].clone();
    let token = token.as_str().expect("there is more");
    assert_eq!(ids(&format!("sortOrder=descending&pageToken={token}")).await, "1 0");
}

//----------- Zones --------------------------------------------------

#[tokio::test]
async fn zones_of_one_apex_are_told_apart() {
    let t = Tester::start().await;
    let private = t.fake.create_zone("example.test", Visibility::Private);
    let second = t.fake.create_zone("example.test", Visibility::Public);
    t.fake.create_zone("other.test", Visibility::Public);
    t.fake.set_page_size(1);
    let (mut zones, mut url) = (Vec::new(), t.project("/managedZones?dnsName=Example.test."));
    loop {
        let page = t.call("GET", &url, None).await.expect(200).json;
        zones.extend(page["managedZones"].as_array().expect("a list").clone());
        let Some(token) = page["nextPageToken"].as_str() else { break };
        url = t.project(&format!("/managedZones?dnsName=Example.test.&pageToken={token}"));
    }
    let facts: Vec<_> =
        zones.iter().map(|zone| [&zone["name"], &zone["visibility"], &zone["nameServers"][0]]).collect();
    assert_eq!(
        facts,
        [
            [&t.zone, "public", "ns-cloud-a1.googledomains.com."],
            [&second, "public", "ns-cloud-b1.googledomains.com."],
            [&private, "private", "ns-gcp-private.googledomains.com."],
        ]
    );
    let by_id = t.call("GET", &t.project(&format!("/managedZones/{}", t.fake.zone_id(&private))), None).await;
    assert_eq!(by_id.expect(200).json, zones[2]);
}

#[tokio::test]
async fn a_zone_is_created_whole_and_deleted_empty() {
    let t = Tester::start().await;
    let url = t.project("/managedZones");
    let body = json!({"name": "new-1", "dnsName": "New.test.", "description": "d", "labels": {"a": "b"}});
    let zone = t.call("POST", &url, Some(&body)).await.expect(200).json;
    assert_eq!(
        (&zone["dnsName"], &zone["labels"], &zone["visibility"]),
        (&json!("new.test."), &json!({"a": "b"}), &json!("public"))
    );
    assert_eq!(zone["dnssecConfig"]["state"], "off");
    assert_eq!(t.call("POST", &url, Some(&body)).await.error(), (409, "alreadyExists"));
    let first = t.call("GET", &format!("{url}/new-1/changes/0"), None).await.json;
    assert_eq!((&first["status"], first["additions"].as_array().map(Vec::len)), (&json!("done"), Some(2)));

    t.fake.put("new-1", RecordSet::new("www.new.test.", "A", 60, ["192.0.2.1"]));
    assert_eq!(t.call("DELETE", &format!("{url}/new-1"), None).await.error(), (400, "containerNotEmpty"));
    t.fake.remove("new-1", "www.new.test.", "A");
    assert_eq!(t.call("DELETE", &format!("{url}/new-1"), None).await.expect(204).text, "");
    for (method, path) in [("GET", "/new-1"), ("DELETE", "/new-1"), ("GET", "/new-1/rrsets"), ("GET", "/1/changes")] {
        assert_eq!(t.call(method, &format!("{url}{path}"), None).await.error(), (404, "notFound"), "{method} {path}");
    }
    assert_eq!(t.fake.zones().join(" "), t.zone);
}

#[tokio::test]
async fn bad_zones_are_refused() {
    let t = Tester::start().await;
    let zone = |member: &str, value: Value| {
        let mut zone = json!({"name": "new", "dnsName": "new.test.", "description": ""});
        zone[member] = value;
        zone
    };
    for (bad, reason) in [
        (json!({"name": "new", "dnsName": "new.test."}), "required"),
        (json!({"name": "new", "description": ""}), "required"),
        (zone("name", json!("New")), "invalid"),
        (zone("dnsName", json!("new.test")), "invalid"),
        (zone("dnsName", json!("com.")), "managedZoneDnsNameNotAvailable"),
        (zone("visibility", json!("secret")), "invalid"),
        (zone("privateVisibilityConfig", json!({"networks": []})), "invalid"),
        (zone("description", json!("d".repeat(1025))), "invalid"),
    ] {
        assert_eq!(t.call("POST", &t.project("/managedZones"), Some(&bad)).await.error(), (400, reason), "{bad}");
    }
    for _ in 0..4 {
        t.fake.create_zone("example.test", Visibility::Public);
    }
    let sixth = zone("dnsName", json!("example.test."));
    let reply = t.call("POST", &t.project("/managedZones"), Some(&sixth)).await;
    assert_eq!(reply.error(), (400, "managedZoneDnsNameNotAvailable"));
}
