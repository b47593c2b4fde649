//! What a person can get wrong: each is a clear error that says where and what to do, and changes nothing.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod command;

use command::{Setting, annotated, node, service};

/// Runs `apply` on a zone that holds the good records already, and checks that it fails and leaves them.
#[track_caller]
fn apply_fails(setting: &Setting, code: i32, mentions: &[&str]) {
    let zone = setting.zone();
    setting.with_config(&["apply"]).fails(code, mentions);
    assert_eq!(setting.zone(), zone, "the zone was changed");
}

/// A zone that holds the records of the two clusters.
fn applied() -> Setting {
    let setting = Setting::new();
    setting.with_config(&["apply"]).ends(0);
    assert!(!setting.zone().is_empty());
    setting
}

/// Runs `apply` and gives the one reason for which something was refused; the records of others are written.
#[track_caller]
fn refusal(setting: &Setting) -> (String, serde_json::Value) {
    let ran = setting.with_config(&["apply", "--output", "json"]).ends(4);
    let left = ran.json()["left"].clone();
    let refused = left["refused"].as_array().unwrap().clone();
    assert_eq!(refused.len(), 1, "{refused:#?}");
    assert_eq!(left["changes"].as_array().unwrap().len(), 0, "{left:#?}");
    (refused[0]["reason"].as_str().unwrap().to_owned(), refused[0].clone())
}

#[track_caller]
fn mentions(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "`{word}` is not in `{text}`");
    }
}

//----------- Config ---------------------------------------------------------

#[test]
fn an_unknown_key_is_named_with_file_line_and_the_nearest_key() {
    let setting = applied();
    setting.configure("[Sync]\nttll = 60\n");
    apply_fails(&setting, 2, &["dns-syncd.conf:14", "`ttll`", "did you mean `ttl`"]);
}

#[test]
fn an_empty_required_value_is_as_good_as_none_and_its_place_is_named() {
    for (section, key) in [("Federation", "name"), ("Federation", "zone-name"), ("Provider", "name")] {
        let setting = applied();
        setting.configure(&format!("[{section}]\n{key} =\n"));
        let place = format!("dns-syncd.conf:14:1: `{key}` in [{section}]: it is empty; hint: ");
        apply_fails(&setting, 2, &[&place]);
    }
}

#[test]
fn an_election_beside_a_server_of_ones_own_is_refused() {
    let setting = applied();
    setting.configure("[Leader]\nkind = lease\n");
    let why = "dns-syncd.conf:14:1: `kind` in [Leader]: with the provider `embedded` every process serves by itself";
    apply_fails(&setting, 2, &[why, "hint: "]);
}

#[test]
fn a_misspelt_variable_is_a_warning_that_names_the_nearest() {
    let setting = Setting::new();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_dns-syncd"))
        .args(["plan", "--config", "dns-syncd.conf"])
        .current_dir(setting.folder.path())
        .env_clear()
        .env("DNS_SYNCD_FEDRATION_NAME", "other")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    let told = String::from_utf8(output.stderr).unwrap();
    mentions(&told, &["warning:", "`DNS_SYNCD_FEDRATION_NAME`", "`DNS_SYNCD_FEDERATION_NAME`"]);
}

#[test]
fn a_process_without_a_zone_is_bad_usage() {
    let setting = Setting::new();
    setting.run(&["plan", "--federation-name", "fed", "--source", "clusters"]).fails(2, &["--zone-name"]);
}

#[test]
fn half_a_certificate_pair_names_both_keys() {
    let setting = applied();
    setting.write(
        "coredns.conf",
        "[Global]\netcd-endpoints = https://127.0.0.1:1\nzones = example.test\netcd-cert-file = client.pem\n",
    );
    setting.configure("[Provider]\nname = coredns\nconfig = coredns.conf\n");
    apply_fails(&setting, 2, &["coredns.conf", "etcd-cert-file", "etcd-key-file"]);
}

#[test]
fn a_provider_that_is_none_lists_those_that_there_are() {
    let setting = Setting::new();
    setting.with_config(&["plan", "--dns-provider", "bind"]).fails(2, &["`bind`", "`coredns`", "`embedded`"]);
}

#[test]
fn a_config_file_that_is_not_there_is_named() {
    let setting = applied();
    setting.configure("[Provider]\nconfig = elsewhere.conf\n");
    apply_fails(&setting, 2, &["elsewhere.conf", "hint:"]);
    setting.run(&["plan", "--config", "nowhere.conf"]).fails(2, &["nowhere.conf"]);
}

#[test]
fn a_writer_without_a_place_to_write_is_bad_usage() {
    let setting = Setting::new();
    setting.write("embedded.conf", "[Global]\nzones = example.test\n");
    setting.with_config(&["apply"]).fails(2, &["embedded.conf", "data-dir"]);
    setting.with_config(&["release", "--yes"]).fails(2, &["embedded.conf", "data-dir"]);
}

#[test]
fn a_release_that_nobody_can_confirm_changes_nothing() {
    let setting = applied();
    let zone = setting.zone();
    setting.with_config(&["release", "--delete"]).fails(2, &["--yes"]);
    assert_eq!(setting.zone(), zone);
}

//----------- Host -----------------------------------------------------------

#[test]
fn an_etcd_that_does_not_answer_is_named() {
    let setting = applied();
    setting.write("coredns.conf", "[Global]\netcd-endpoints = http://127.0.0.1:1\nzones = example.test\n");
    setting.configure("[Provider]\nname = coredns\nconfig = coredns.conf\n");
    apply_fails(&setting, 1, &["coredns", "127.0.0.1:1"]);
}

#[test]
fn a_zone_that_the_provider_does_not_have_is_an_error_that_lists_its_zones() {
    let setting = applied();
    setting.configure("[Federation]\nzone-name = other.test\n");
    apply_fails(&setting, 1, &["`other.test.`", "`example.test.`"]);
}

//----------- Clusters -------------------------------------------------------

#[test]
fn a_source_without_any_cluster_changes_nothing() {
    let setting = applied();
    std::fs::remove_dir_all(setting.folder.path().join("clusters")).unwrap();
    apply_fails(&setting, 1, &["clusters"]);
    std::fs::create_dir(setting.folder.path().join("clusters")).unwrap();
    apply_fails(&setting, 1, &["clusters"]);
}

#[test]
fn a_manifest_that_is_not_yaml_makes_its_cluster_unknown() {
    let setting = applied();
    let zone = setting.zone();
    setting.write("clusters/eu.yaml", "kind: [Node\nthis: is: not: yaml\n");
    let (reason, refused) = refusal(&setting);
    mentions(&reason, &["eu.yaml", "line"]);
    assert_eq!(refused["cluster"], "eu");
    assert_eq!(setting.zone(), zone);
}

#[test]
fn two_clusters_of_one_name_are_neither() {
    let setting = applied();
    setting.write("clusters/eu.json", "{}");
    apply_fails(&setting, 1, &["eu.json", "eu.yaml", "keep one"]);
}

#[test]
fn an_annotation_that_is_not_json_leaves_the_records_of_its_service() {
    let setting = Setting::new();
    let dump = |ingresses: &str| {
        format!(
            "apiVersion: federation/v1beta1
kind: Cluster
metadata: {{name: eu}}
status:
  region: eu
  zones: [eu-a]
  conditions: [{{type: Ready, status: \"True\"}}]
---
apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: default
  annotations:
    federation.kubernetes.io/service-ingresses: '{ingresses}'
spec: {{type: LoadBalancer}}
"
        )
    };
    setting.configure("[Source]\npath = dump.yaml\n");
    setting.write("dump.yaml", &dump("{\"items\":[{\"cluster\":\"eu\",\"items\":[{\"ip\":\"192.0.2.1\"}]}]}"));
    setting.with_config(&["apply"]).ends(0);
    let zone = setting.zone();
    setting.write("dump.yaml", &dump("not json"));
    let (reason, refused) = refusal(&setting);
    mentions(&reason, &["service-ingresses"]);
    assert_eq!(refused["service"], "default/web");
    assert_eq!(setting.zone(), zone);
}

#[test]
fn a_selector_that_is_not_json_leaves_the_records_of_its_service() {
    let setting = applied();
    let zone = setting.zone();
    let selector = "{federation.alpha.kubernetes.io/cluster-selector: 'env in (prod)'}";
    setting.cluster("eu", &[annotated("web", &["192.0.2.9"], selector)]);
    let (reason, refused) = refusal(&setting);
    mentions(&reason, &["clusters/eu.yaml:", "cluster selector", "hint:"]);
    assert_eq!(refused["service"], "default/web");
    assert_eq!(setting.zone(), zone);
}

#[test]
fn an_address_that_is_none_or_that_nobody_can_reach_is_refused_alone() {
    for (bad, word) in [
        ("not-an-address", "not-an-address"),
        ("127.0.0.1", "loopback"),
        ("169.254.1.1", "link-local"),
        ("::", "unspecified"),
    ] {
        let setting = Setting::new();
        setting.cluster("eu", &[service("web", &["192.0.2.1", bad])]);
        let (reason, refused) = refusal(&setting);
        mentions(&reason, &[word, "clusters/eu.yaml:"]);
        assert_eq!(refused["cluster"], "eu");
        let records = setting.with_config(&["records", "--output", "json"]).ends(4).json();
        let global = records.as_array().unwrap().iter().find(|set| set["name"] == "web.default.fed.svc.example.test.");
        assert_eq!(global.unwrap()["rdata"], serde_json::json!(["192.0.2.1", "198.51.100.1"]), "{bad}");
    }
}

#[test]
fn a_region_label_with_a_dot_is_refused_with_a_hint() {
    let setting = Setting::new();
    setting.write("clusters/eu.yaml", &(node("eu.west") + &service("web", &["192.0.2.1"])));
    let ran = setting.with_config(&["plan", "--output", "json"]).ends(4);
    let refused = ran.json()["refused"].clone();
    mentions(&refused.to_string(), &["clusters/eu.yaml:", "eu.west", "[Cluster \\\"eu\\\"]"]);
    assert!(!ran.json()["changes"].to_string().contains("eu.west"));
}

#[test]
fn a_name_that_is_too_long_for_dns_is_refused_alone() {
    let setting = Setting::new();
    let long = format!("{0}.{0}.example.test", "s".repeat(60));
    setting.configure(&format!("[Federation]\nservice-dns-suffix = {long}\n"));
    let name = "n".repeat(63);
    let region = "r".repeat(60);
    setting.write(
        "clusters/eu.yaml",
        &(node(&region) + &service(&name, &["192.0.2.1"]) + &service("web", &["192.0.2.2"])),
    );
    let ran = setting.with_config(&["plan", "--output", "json"]).ends(4);
    let (refused, changes) = (ran.json()["refused"].clone(), ran.json()["changes"].clone());
    mentions(&refused.to_string(), &["255 octets", &name]);
    assert!(changes.to_string().contains("\"web.default.fed.svc"), "{changes}");
}

//----------- Guard ----------------------------------------------------------

#[test]
fn a_plan_above_the_guard_is_held_until_its_very_hash_is_approved() {
    let setting = Setting::new();
    let services: Vec<String> = (0..8).map(|at| service(&format!("web{at}"), &[&format!("192.0.2.{at}")])).collect();
    setting.cluster("eu", &services);
    setting.cluster("us", &[]);
    std::fs::remove_file(setting.folder.path().join("clusters/us.yaml")).unwrap();
    setting.with_config(&["apply"]).ends(0);
    let zone = setting.zone();

    setting.cluster("eu", &services[..1]);
    let plan = setting.with_config(&["plan", "--output", "json"]).ends(4).json();
    let hash = plan["hash"].as_str().unwrap();
    assert_eq!(plan["held"].as_array().unwrap().len(), 21, "{plan:#}");
    assert_eq!(plan["guard"]["deleted"], serde_json::json!({"counted": 21, "allowed": 7}));

    let held = setting.with_config(&["apply"]).ends(4);
    mentions(&held.out, &["held by the guard", &format!("dns-syncd apply --approve {hash}")]);
    assert_eq!(setting.zone(), zone, "what is held was written");

    setting.with_config(&["apply", "--approve", "0000"]).fails(1, &["`0000`", "stale", hash]);
    assert_eq!(setting.zone(), zone, "a stale hash released something");

    setting.with_config(&["apply", "--approve", hash]).ends(0);
    assert_ne!(setting.zone(), zone);
    setting.with_config(&["apply", "--approve", hash]).fails(1, &["nothing is held"]);
}

#[test]
fn a_frozen_daemon_plans_and_writes_nothing() {
    let setting = Setting::new();
    setting.configure("[Guard]\nfreeze = true\n");
    let zone = setting.zone();
    mentions(&setting.with_config(&["apply"]).ends(4).out, &["freeze"]);
    let plan = setting.with_config(&["plan", "--output", "json"]).ends(4).json();
    assert_eq!(plan["changes"], serde_json::json!([]));
    assert_eq!(plan["held"][0]["limit"], "freeze");
    assert_eq!(setting.zone(), zone);
}
