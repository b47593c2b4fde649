//! The laws of the fake of Cloud DNS, by plain HTTP: what it takes, what it refuses and in which words, and that it is
//! what the vendor's own document and the recorded exchanges say.

use dns_conformance::fakes::clouddns::RecordSet;
use serde_json::{Value, json};

#[path = "fake_clouddns/client.rs"]
mod client;
#[path = "fake_clouddns/credentials.rs"]
mod credentials;
#[path = "fake_clouddns/description.rs"]
mod description;
#[path = "fake_clouddns/lists.rs"]
mod lists;
#[path = "fake_clouddns/recorded.rs"]
mod recorded;
#[path = "fake_clouddns/requests.rs"]
mod requests;

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
    t.add(&held).await.expect(200);
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
    t.add(&held).await.expect(200);
    let reply = t.add(&held).await;
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
    t.add(&cname).await.expect(200);
    let reply = t.add(&address).await;
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
    assert_eq!(t.add(&plain).await.error(), (409, "alreadyExists"));
    assert_eq!(t.delete(&plain).await.error(), (412, "conditionNotMet"));
    t.change(std::slice::from_ref(&plain), &[list["rrsets"][0].clone()]).await.expect(200);

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
