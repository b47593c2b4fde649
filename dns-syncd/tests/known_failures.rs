//! What went wrong for users of other tools that write the names of several clusters, done to this one.
//!
//! Numbers are those of issues of kubernetes-sigs/external-dns. `tests/known-failures.md` lists all of them, also those
//! that are tested elsewhere.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod command;

use command::{Setting, annotated, node, service, unready};
use serde_json::{Value, json};

/// Enough services for the guard to have a base: `web0` to `web3`, each with four sets or more.
const SERVICES: usize = 4;

fn services(of: impl Fn(&str, &[&str]) -> String, network: &str) -> Vec<String> {
    (0..SERVICES).map(|at| of(&format!("web{at}"), &[&format!("{network}.{at}")])).collect()
}

/// Both clusters serve everything, and that is written.
fn published() -> Setting {
    let setting = Setting::new();
    setting.cluster("eu", &services(service, "192.0.2"));
    setting.cluster("us", &services(service, "198.51.100"));
    setting.with_config(&["apply"]).ends(0);
    setting
}

fn plan(setting: &Setting, code: i32) -> Value {
    setting.with_config(&["plan", "--output", "json"]).ends(code).json()
}

fn addresses(setting: &Setting, name: &str) -> Value {
    let records = setting.with_config(&["records", "--output", "json"]).ends(0).json();
    let set = records.as_array().unwrap().iter().find(|set| set["name"] == name && set["type"] == "A").cloned();
    set.unwrap_or_else(|| panic!("{name} is not in {records:#}"))["rdata"].clone()
}

/// #1441, #5916, #2156, #1395, #2748, #5422, and #805: one target alone was kept.
#[test]
fn a_name_has_the_addresses_of_all_clusters_and_all_those_of_one() {
    let setting = Setting::new();
    setting.cluster("eu", &[service("web", &["192.0.2.1", "192.0.2.9"])]);
    setting.with_config(&["apply"]).ends(0);
    let all = json!(["192.0.2.1", "192.0.2.9", "198.51.100.1"]);
    assert_eq!(addresses(&setting, "web.default.fed.svc.example.test."), all);
    let zone = setting.zone().concat();
    assert!(["192.0.2.1", "192.0.2.9", "198.51.100.1"].iter().all(|address| zone.contains(address)), "{zone}");
}

/// #685: each of two instances deleted what the other one had made.
#[test]
fn two_instances_with_claims_of_their_own_leave_each_other_alone() {
    let setting = Setting::new();
    setting.with_config(&["apply"]).ends(0);
    let zone = setting.zone();

    setting.write("other/clusters/us.yaml", &(node("us") + &service("web", &["203.0.113.1"])));
    let other = setting.with_config(&["apply", "--claim", "other", "--source", "other", "--output", "json"]).ends(4);
    assert!(other.json()["left"]["refused"].to_string().contains("foreign"), "{other:#?}");
    assert_eq!(setting.zone(), zone, "the second instance changed what the first one had made");
    assert_eq!(plan(&setting, 0)["changes"], json!([]), "the first one has something to repair");
}

/// #6728: after an update, a filter matched nothing, and everything was deleted.
#[test]
fn a_filter_that_suddenly_matches_nothing_deletes_nothing() {
    let setting = published();
    let zone = setting.zone();
    setting.configure("[Source]\nselect = annotated\n");
    let plan = plan(&setting, 4);
    assert_eq!((&plan["changes"], plan["held"].as_array().unwrap().len()), (&json!([]), zone.len()), "{plan:#}");
    setting.with_config(&["apply"]).ends(4);
    assert_eq!(setting.zone(), zone);
}

/// #414: while a cluster's machines were replaced, all records went.
#[test]
fn a_cluster_whose_nodes_are_replaced_leaves_every_name_leading_somewhere() {
    let setting = published();
    setting.write("clusters/eu.yaml", &services(unready, "192.0.2").concat());
    let plan = plan(&setting, 4);
    let held: Vec<&Value> = plan["held"].as_array().unwrap().iter().map(|change| &change["limit"]).collect();
    assert_eq!(held, vec![&json!("max-delete"); 2 * SERVICES], "the names of its region and zone: {plan:#}");
    setting.with_config(&["apply"]).ends(4);
    assert_eq!(addresses(&setting, "web0.default.fed.svc.example.test."), json!(["198.51.100.0"]));
    let zone = setting.zone();
    let left = zone.iter().filter(|set| set.contains(".eu-a.eu.") || set.contains(".svc.eu.")).count();
    assert!(left >= 2 * SERVICES, "{zone:#?}");
}

/// #2677, #4595, #3841: a load balancer without addresses for a moment, and the records were gone for a quarter of an
/// hour.
#[test]
fn addresses_that_go_everywhere_at_once_stay_published() {
    for all_unhealthy in ["empty", "keep"] {
        let setting = published();
        let zone = setting.zone();
        setting.configure(&format!("[Sync]\nall-unhealthy = {all_unhealthy}\n"));
        let bare = |name: &str, _: &[&str]| service(name, &[]);
        setting.cluster("eu", &services(bare, ""));
        setting.cluster("us", &services(bare, ""));
        let plan = plan(&setting, if all_unhealthy == "keep" { 0 } else { 4 });
        assert_eq!(plan["changes"], json!([]), "{plan:#}");
        let limits: Vec<&Value> = plan["held"].as_array().unwrap().iter().map(|change| &change["limit"]).collect();
        assert_eq!(limits.contains(&&json!("max-emptied")), all_unhealthy == "empty", "{plan:#}");
        setting.with_config(&["apply"]);
        assert_eq!(setting.zone(), zone, "{all_unhealthy}");
    }
}

/// #4023: one object that could not be used, and all records went.
#[test]
fn one_faulty_object_hurts_no_other() {
    let setting = published();
    let zone = setting.zone();
    let faulty = annotated("web9", &["not-an-address"], "{dns-syncd.io/ttl: \"never\"}");
    let mut with_faulty = services(service, "192.0.2");
    with_faulty.insert(0, faulty);
    setting.cluster("eu", &with_faulty);
    setting.with_config(&["apply"]).ends(4);
    let now = setting.zone();
    assert!(zone.iter().all(|set| now.contains(set)), "{now:#?}");
}

/// #5603, #992, #2317, #2684: records were made anew again and again, though nothing had changed.
#[test]
fn another_order_of_the_same_objects_changes_nothing() {
    let setting = published();
    let zone = setting.zone();
    for name in ["eu", "us"] {
        let path = setting.folder.path().join(format!("clusters/{name}.yaml"));
        let text = std::fs::read_to_string(&path).unwrap();
        let mut documents: Vec<&str> = text.split("---\n").filter(|text| !text.is_empty()).collect();
        documents.reverse();
        std::fs::write(path, documents.join("---\n")).unwrap();
    }
    assert_eq!(plan(&setting, 0)["changes"], json!([]));
    setting.with_config(&["apply"]).ends(0);
    assert_eq!(setting.zone(), zone, "a set got another version");
}

/// kubefed#464 and #808: in the layout of federation v2, the target of a cluster that had failed stayed, and a cluster
/// without region or zone had names with an empty label.
#[test]
fn a_failed_target_goes_and_a_cluster_without_a_region_has_no_empty_label() {
    let setting = Setting::new();
    setting.write("clusters/bare.yaml", &service("web", &["203.0.113.1"]));
    let empty = node("").replace("region: ", "region: \"\"").replace("zone: -a", "zone: \"\"");
    setting.write("clusters/blank.yaml", &(empty + &service("web", &["203.0.113.2"])));
    setting.with_config(&["apply"]).ends(0);
    let global = "web.default.fed.svc.example.test.";
    let all = json!(["192.0.2.1", "198.51.100.1", "203.0.113.1", "203.0.113.2"]);
    assert_eq!(addresses(&setting, global), all);
    let records = setting.with_config(&["records"]).ends(0).out;
    assert!(!records.contains("..") && !setting.zone().concat().contains(".."), "{records}");

    setting.cluster("eu", &[unready("web", &["192.0.2.1"])]);
    setting.with_config(&["apply"]).ends(0);
    assert!(!setting.zone().concat().contains("192.0.2.1"), "a target of a failed cluster stayed");
}
