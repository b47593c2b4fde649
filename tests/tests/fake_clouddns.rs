//! The laws of the fake of Cloud DNS, by plain HTTP: what it takes, what it refuses and in which words, and that it is
//! what the vendor's own document and the recorded exchanges say.

use dns_conformance::fakes::clouddns::{RecordSet, Trouble, Visibility};
use dns_conformance::fakes::faults::{Fault, Gate, Rate};
use serde_json::{Value, json};

#[path = "fake_clouddns/client.rs"]
mod client;
#[path = "fake_clouddns/credentials.rs"]
mod credentials;
#[path = "fake_clouddns/description.rs"]
mod description;
#[path = "fake_clouddns/recorded.rs"]
mod recorded;

use client::Tester;

fn a(name: &str, ttl: u32, addresses: &[&str]) -> Value {
    json!({"name": name, "type": "A", "ttl": ttl, "rrdatas": addresses})
}

fn names(list: &Value, member: &str) -> Vec<String> {
    let items = list[member].as_array().expect("a list");
    items.iter().map(|item| item["name"].as_str().unwrap_or_default().to_owned()).collect()
}

//----------- Changes ------------------------------------------------

#[tokio::test]
async fn a_change_is_pending_and_then_done_and_read_at_once() {
    let t = Tester::start().await;
    t.fake.set_pending_reads(1);
    let reply = t.change(&[a("www.example.test.", 60, &["192.0.2.1", "192.0.2.2"])], &[]).await;
    assert_eq!(
        (reply.status, reply.json["status"].as_str(), reply.json["id"].as_str()),
        (200, Some("pending"), Some("1"))
    );
    assert_eq!(reply.json["additions"][0]["kind"], "dns#resourceRecordSet");
    assert!(reply.json.get("deletions").is_none(), "a list of nothing is left out");

    let list = t.get("/rrsets?name=www.example.test.&type=A").await;
    assert_eq!(list.json["rrsets"][0]["rrdatas"], json!(["192.0.2.1", "192.0.2.2"]));
    assert_eq!(t.get("/changes/1").await.json["status"], "pending");
    assert_eq!(t.get("/changes/1").await.json["status"], "done");
    assert_eq!(t.get("/changes/7").await.error(), (404, "notFound"));
}

#[tokio::test]
async fn a_deletion_matches_exactly_or_nothing_changes() {
    let t = Tester::start().await;
    let held = a("www.example.test.", 60, &["192.0.2.1", "192.0.2.2"]);
    t.change(&[held.clone()], &[]).await.expect(200);
    let other = a("other.example.test.", 60, &["192.0.2.9"]);
    for (stale, error) in [
        (a("www.example.test.", 61, &["192.0.2.1", "192.0.2.2"]), (412, "conditionNotMet")),
        (a("www.example.test.", 60, &["192.0.2.1"]), (412, "conditionNotMet")),
        (a("www.example.test.", 60, &["192.0.2.1", "192.0.2.3"]), (412, "conditionNotMet")),
        (a("gone.example.test.", 60, &["192.0.2.1"]), (404, "notFound")),
    ] {
        assert_eq!(t.change(std::slice::from_ref(&other), &[stale]).await.error(), error);
    }
    assert_eq!(t.change(&[], &[held.clone(), held.clone()]).await.error(), (412, "conditionNotMet"));
    assert_eq!((t.fake.changes(&t.zone), t.fake.sets(&t.zone).len()), (1, 3));

    // The order of the records is none of the set's.
    let swapped = a("WWW.example.test.", 60, &["192.0.2.2", "192.0.2.1"]);
    t.change(&[other], &[swapped]).await.expect(200);
    assert_eq!(t.fake.sets(&t.zone)[2], RecordSet::new("other.example.test.", "A", 60, ["192.0.2.9"]));
}

#[tokio::test]
async fn an_addition_needs_a_free_place() {
    let t = Tester::start().await;
    let held = a("www.example.test.", 60, &["192.0.2.1"]);
    t.change(&[held.clone()], &[]).await.expect(200);
    let reply = t.change(&[held.clone()], &[]).await;
    assert_eq!(reply.error(), (409, "alreadyExists"));
    let said = "The resource 'entity.change.additions[0]' named 'www.example.test. (A)' already exists";
    assert_eq!(reply.json["error"]["message"], said);
    assert_eq!(reply.json["error"]["errors"][0]["message"], said);
    assert!(reply.json["error"].get("status").is_none(), "recorded without");

    let twice = a("new.example.test.", 60, &["192.0.2.1"]);
    assert_eq!(t.change(&[twice.clone(), twice], &[]).await.error(), (409, "alreadyExists"));
    t.change(&[a("www.example.test.", 61, &["192.0.2.1"])], &[held]).await.expect(200);
}

#[tokio::test]
async fn a_cname_stands_alone() {
    let t = Tester::start().await;
    let cname = json!({"name": "www.example.test.", "type": "CNAME", "ttl": 60, "rrdatas": ["a.example.test."]});
    let address = a("www.example.test.", 60, &["192.0.2.1"]);
    let conflict = (400, "cnameResourceRecordSetConflict");
    assert_eq!(t.change(&[cname.clone(), address.clone()], &[]).await.error(), conflict);
    t.change(&[cname.clone()], &[]).await.expect(200);
    let reply = t.change(&[address.clone()], &[]).await;
    assert_eq!(reply.error(), conflict);
    let place = "'entity.change.additions[www.example.test.][A]' is invalid because the DNS name";
    assert!(reply.json["error"]["message"].as_str().is_some_and(|text| text.contains(place)), "{}", reply.json);
    t.change(&[address], &[cname]).await.expect(200); // a type change in one change
    let apex = json!({"name": "example.test.", "type": "CNAME", "ttl": 60, "rrdatas": ["a.example.test."]});
    assert_eq!(t.change(&[apex], &[]).await.error(), conflict);
}

#[tokio::test]
async fn the_apex_keeps_its_soa_and_ns() {
    let t = Tester::start().await;
    let list = t.get("/rrsets").await.json;
    for i in 0..2 {
        assert_eq!(t.change(&[], &[list["rrsets"][i].clone()]).await.error(), (400, "invalidZoneApex"));
    }
    let mut longer = list["rrsets"][1].clone();
    longer["ttl"] = 300.into();
    t.change(&[longer], &[list["rrsets"][1].clone()]).await.expect(200);
}

#[tokio::test]
async fn bad_sets_are_refused_with_their_place() {
    let t = Tester::start().await;
    let set = |record_type: &str, data: &str| json!({"name": "www.example.test.", "type": record_type, "ttl": 60, "rrdatas": [data]});
    let at = |member: &str| format!("'entity.change.additions[1].{member}'");
    for (bad, reason, place) in [
        (a("www.example.test", 60, &["192.0.2.1"]), "invalid", at("name")),
        (a("www.elsewhere.test.", 60, &["192.0.2.1"]), "invalid", at("name")),
        (a("wwwexample.test.", 60, &["192.0.2.1"]), "invalid", at("name")),
        (json!({"type": "A", "ttl": 60, "rrdatas": ["192.0.2.1"]}), "required", at("name")),
        (json!({"name": "www.example.test.", "ttl": 60, "rrdatas": ["192.0.2.1"]}), "required", at("type")),
        (json!({"name": "www.example.test.", "type": "A", "rrdatas": ["192.0.2.1"]}), "required", at("ttl")),
        (json!({"name": "www.example.test.", "type": "A", "ttl": 60}), "required", at("rrdata")),
        (json!({"name": "www.example.test.", "type": "A", "ttl": -1, "rrdatas": ["192.0.2.1"]}), "invalid", at("ttl")),
        (set("WKS", "x"), "invalid", at("type")),
        (set("A", "192.0.2"), "invalid", at("rrdata[0]")),
        (set("CNAME", "relative"), "invalid", at("rrdata[0]")),
        (set("TXT", "\"open"), "invalid", at("rrdata[0]")),
        (a("www.example.test.", 60, &["192.0.2.1", "192.0.2.1"]), "invalid", at("rrdata[1]")),
    ] {
        let good = a("good.example.test.", 60, &["192.0.2.1"]);
        let reply = t.change(&[good, bad.clone()], &[]).await;
        assert_eq!(reply.error(), (400, reason), "{bad}");
        let message = reply.json["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains(&place), "{bad}: {message}");
    }
    let two = json!({"name": "c.example.test.", "type": "CNAME", "ttl": 60, "rrdatas": ["a.test.", "b.test."]});
    assert_eq!(t.change(&[two], &[]).await.error(), (400, "invalidRecordCount"));
    assert_eq!(t.change(&[], &[]).await.error(), (400, "required"));
    assert_eq!(t.fake.changes(&t.zone), 0);
}

#[tokio::test]
async fn several_wrongs_are_told_together() {
    let t = Tester::start().await;
    t.fake.set_quota(|quota| (quota.rrset_additions_per_change, quota.total_rrdata_size_per_change) = (1, 10));
    let sets = [a("a.example.test.", 60, &["192.0.2.1"]), a("b.example.test.", 60, &["192.0.2.1"])];
    let reply = t.change(&sets, &[]).await;
    assert_eq!(reply.error(), (403, "quotaExceeded"));
    assert_eq!(reply.reasons(), ["quotaExceeded", "quotaExceeded"]);
    assert_eq!(reply.json["error"]["message"], "The change would exceed quota for additions per change.");
}

#[tokio::test]
async fn every_quota_is_reported_and_kept() {
    let t = Tester::start().await;
    t.fake.set_quota(|quota| {
        quota.rrset_deletions_per_change = 1;
        quota.resource_records_per_rrset = 2;
        quota.rrsets_per_managed_zone = 5;
        quota.managed_zones = 2;
        quota.nameservers_per_delegation = 1;
    });
    let reported = t.call("GET", &t.project(""), None).await.json["quota"].clone();
    assert_eq!((&reported["rrsetsPerManagedZone"], &reported["resourceRecordsPerRrset"]), (&json!(5), &json!(2)));
    let exceeded = (403, "quotaExceeded");

    let three = a("a.example.test.", 60, &["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
    assert_eq!(t.change(&[three], &[]).await.error(), exceeded);
    let servers = json!({"name": "d.example.test.", "type": "NS", "ttl": 60, "rrdatas": ["a.test.", "b.test."]});
    assert_eq!(t.change(&[servers], &[]).await.error(), exceeded);
    let sets: Vec<Value> = ["a", "b", "c"].map(|n| a(&format!("{n}.example.test."), 60, &["192.0.2.1"])).to_vec();
    t.change(&sets, &[]).await.expect(200); // five with the apex's own
    assert_eq!(t.change(&[a("e.example.test.", 60, &["192.0.2.1"])], &[]).await.error(), exceeded);
    assert_eq!(t.change(&[], &sets[..2]).await.error(), exceeded);
    t.change(&[], &sets[..1]).await.expect(200);
    let zone = |name: &str| json!({"name": name, "dnsName": format!("{name}.test."), "description": ""});
    t.call("POST", &t.project("/managedZones"), Some(&zone("two"))).await.expect(200);
    assert_eq!(t.call("POST", &t.project("/managedZones"), Some(&zone("three"))).await.error(), exceeded);
}

#[tokio::test]
async fn what_is_sent_comes_back_in_the_service_s_form() {
    let t = Tester::start().await;
    let set = |n: u32, record_type: &str, data: &[&str]| json!({"name": format!("n{n}.example.test."), "type": record_type, "ttl": 0, "rrdatas": data});
    let sets = [
        set(1, "AAAA", &["2001:DB8:0:0::1"]),
        set(2, "TXT", &["two words", "\"one string\""]),
        set(3, "CNAME", &["Upper.example.test."]),
    ];
    t.change(&sets, &[]).await.expect(200);
    let held: Vec<_> = t.fake.sets(&t.zone)[2..].iter().map(|set| set.records().to_vec()).collect();
    assert_eq!(held, [vec!["2001:db8::1"], vec!["\"two\" \"words\"", "\"one string\""], vec!["upper.example.test."]]);
}

#[tokio::test]
async fn a_routing_policy_is_read_and_stands_in_the_way() {
    let t = Tester::start().await;
    let policy = json!({"wrr": {"items": [{"weight": 1.0, "rrdatas": ["192.0.2.1"]}]}});
    t.fake.put(&t.zone, RecordSet::with_policy("www.example.test.", "A", 60, &policy));
    let list = t.get("/rrsets?name=www.example.test.").await.json;
    assert!(list["rrsets"][0].get("rrdatas").is_none());
    assert_eq!(list["rrsets"][0]["routingPolicy"]["wrr"]["items"][0]["rrdatas"], json!(["192.0.2.1"]));
    assert_eq!(list["rrsets"][0]["routingPolicy"]["kind"], "dns#rRSetRoutingPolicy");

    let plain = a("www.example.test.", 60, &["192.0.2.1"]);
    assert_eq!(t.change(&[plain.clone()], &[]).await.error(), (409, "alreadyExists"));
    assert_eq!(t.change(&[], &[plain.clone()]).await.error(), (412, "conditionNotMet"));
    t.change(&[plain.clone()], &[list["rrsets"][0].clone()]).await.expect(200);

    let mut both = plain;
    both["name"] = "both.example.test.".into();
    both["routingPolicy"] = policy;
    assert_eq!(t.change(&[both], &[]).await.error(), (400, "invalid"));
}

//----------- One set ------------------------------------------------

#[tokio::test]
async fn one_set_is_created_patched_and_deleted() {
    let t = Tester::start().await;
    let created = t.call("POST", &t.of_zone("/rrsets"), Some(&a("www.example.test.", 60, &["192.0.2.1"]))).await;
    assert_eq!((created.status, created.json["kind"].as_str()), (200, Some("dns#resourceRecordSet")));
    let again = t.call("POST", &t.of_zone("/rrsets"), Some(&a("www.example.test.", 60, &["192.0.2.1"]))).await;
    assert_eq!(again.error(), (409, "alreadyExists"));
    assert!(again.json["error"]["message"].as_str().is_some_and(|text| text.contains("'entity.rrset'")));

    let url = t.of_zone("/rrsets/www.example.test./A");
    let patched = t.call("PATCH", &url, Some(&json!({"ttl": 90}))).await.expect(200);
    assert_eq!((&patched.json["ttl"], &patched.json["rrdatas"]), (&json!(90), &json!(["192.0.2.1"])));
    assert_eq!(t.call("GET", &url, None).await.json["ttl"], 90);
    assert_eq!(t.call("DELETE", &url, None).await.expect(200).json, json!({}));
    assert_eq!(t.call("GET", &url, None).await.error(), (404, "notFound"));
    assert_eq!(t.fake.changes(&t.zone), 3);
}

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
    assert_eq!(t.fake.zones(), [t.zone.clone()]);
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
