//! What the commands write is what the chart renders with the same values.

use std::collections::BTreeMap;

use dns_conformance::servers::{Etcd, EtcdVersion};
use serde_json::{Value, json};

use super::stage::Stage;
use crate::deploy::chart::{NAMESPACE, documents, render};
use crate::program;
use crate::truth::{FEDERATION, ZONE};

/// By kind and name, without the marks of Helm and of these commands.
fn by_name(objects: Vec<Value>) -> BTreeMap<String, Value> {
    let named = objects.into_iter().map(|mut object| {
        let labels = object["metadata"]["labels"].as_object_mut();
        if let Some(labels) = labels {
            labels.remove("app.kubernetes.io/managed-by");
            labels.remove("helm.sh/chart");
        }
        (format!("{} {}", object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap()), object)
    });
    named.collect()
}

/// What `init` may do otherwise than the chart, and nothing else.
fn as_init_does(chart: &mut BTreeMap<String, Value>, deployment: &Value) {
    let file = "federation-dns-provider.conf";
    let mut secret = chart.remove("Secret dns-syncd-provider").unwrap();
    secret["metadata"]["name"] = json!(file);
    secret.as_object_mut().unwrap().remove("stringData");
    secret["data"] = json!({ file: "(hidden)" });
    chart.insert(format!("Secret {file}"), secret);
    let config = chart.get_mut("ConfigMap dns-syncd").unwrap();
    let text = config["data"]["dns-syncd.conf"].as_str().unwrap().replace("provider.conf", file);
    config["data"]["dns-syncd.conf"] = json!(text);
    let expected = chart.get_mut("Deployment dns-syncd").unwrap();
    expected["metadata"]["annotations"] = deployment["metadata"]["annotations"].clone();
    let pod = &mut expected["spec"]["template"];
    pod["metadata"]["annotations"] = deployment["spec"]["template"]["metadata"]["annotations"].clone();
    let volumes = pod["spec"]["volumes"].as_array_mut().unwrap();
    let volume = volumes.iter_mut().find(|volume| volume["name"] == "dns-syncd-provider").unwrap();
    volume["secret"]["secretName"] = json!(file);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs HELM_BIN and ETCD_BIN: tests/run gets them"]
async fn init_writes_what_the_chart_renders() {
    let etcd = Etcd::start(EtcdVersion::V3_6).await;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let provider =
        format!("[Global]\netcd-endpoints = {}\nzones = {ZONE}\ncoredns-endpoints = 192.0.2.53:53\n", etcd.url());
    std::fs::write(at("coredns.conf"), provider).unwrap();
    std::fs::write(at("lease.conf"), "[Leader]\nkind = lease\n").unwrap();
    std::fs::write(at("token"), "s3cret\n").unwrap();
    let own_token = format!("[Admin]\ntoken-file = {}\n", at("token"));
    std::fs::write(at("token.conf"), &own_token).unwrap();
    let kubeconfig = json!({ "contexts": [{ "name": "host", "context": { "cluster": "host" } }],
        "clusters": [{ "name": "host", "cluster": { "server": "https://127.0.0.1:1" } }] });
    std::fs::write(at("kubeconfig"), kubeconfig.to_string()).unwrap();
    let (file, lease, contexts) = (at("coredns.conf"), at("lease.conf"), at("kubeconfig"));
    let (token, nameserver) = (at("token.conf"), at("nameserver.conf"));
    std::fs::write(&nameserver, "[Global]\nnameserver = ns1.example.com\n").unwrap();
    let embedded = json!({ "provider": { "settings": { "nameserver": "ns1.example.com" } } });
    for (provider, more, values, own) in [
        ("coredns", vec![], json!({}), ""),
        (
            "coredns",
            vec!["--config", &*lease],
            json!({ "config": { "leader": { "kind": "lease" } } }),
            "[Leader]\nkind = lease\n",
        ),
        ("coredns", vec!["--config", &*token], json!({ "admin": { "tokenSecret": "dns-syncd-admin" } }), &*own_token),
        ("embedded", vec![], embedded, ""),
        (
            "coredns",
            vec!["--image=registry.example/dns-syncd:7", "--max-delete=50", "--service-dns-suffix=a.example.com"],
            json!({
                "image": { "repository": "registry.example/dns-syncd", "tag": "7" },
                "config": { "guard": { "max-delete": 50 }, "federation": { "service-dns-suffix": "a.example.com" } },
            }),
            "",
        ),
    ] {
        let file = if provider == "coredns" { &file } else { &nameserver };
        let chosen = format!("--dns-provider={provider}");
        let zone = format!("--dns-zone-name={ZONE}");
        let mut arguments = vec!["init", FEDERATION, "--host-cluster-context=host", &*chosen, &*zone];
        arguments.extend(["--dns-provider-config", file, "--kubeconfig", &*contexts, "--dry-run"]);
        arguments.extend(["--federation-system-namespace", NAMESPACE]);
        arguments.extend(&more);
        let ended = program::ended(program::bare(&arguments)).await;
        assert_eq!(ended.code, 0, "{ended:?}");
        let mut written = by_name(documents(&ended.stdout));
        let mut values = values;
        values["config"]["federation"]["name"] = json!(FEDERATION);
        values["config"]["federation"]["zone-name"] = json!(ZONE);
        if provider == "coredns" && values["config"]["leader"].is_null() {
            values["config"]["leader"] = json!({ "kind": "etcd" });
        }
        let example = if provider == "coredns" { "init" } else { "init-embedded" };
        let mut chart = by_name(render(example, &values.to_string()).unwrap());
        written.remove(&format!("Namespace {NAMESPACE}")).unwrap();
        let clusters = written.remove("Secret dns-syncd-clusters").unwrap();
        assert!(clusters["data"].is_null(), "{clusters}");
        let deployment = written["Deployment dns-syncd"].clone();
        let annotations = &deployment["metadata"]["annotations"];
        assert_eq!(annotations["federation.alpha.kubernetes.io/federation-name"], FEDERATION);
        assert_eq!((&annotations["dns-zone-name"], &annotations["dns-provider"]), (&json!(ZONE), &json!(provider)));
        let server = if provider == "coredns" { json!("192.0.2.53:53") } else { Value::Null };
        assert_eq!(annotations["nameserver"], server);
        let admin = written.remove("Secret dns-syncd-admin");
        assert_eq!(admin.is_some(), own.contains("token-file"), "{admin:?}");
        as_init_does(&mut chart, &deployment);
        if !own.is_empty() {
            // The user's own file stands before what the flags say.
            let config = written.get_mut("ConfigMap dns-syncd").unwrap();
            let text = config["data"]["dns-syncd.conf"].as_str().unwrap();
            config["data"]["dns-syncd.conf"] = json!(text.strip_prefix(own).unwrap());
        }
        assert_eq!(written, chart, "{more:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs HELM_BIN, KUBE_APISERVER_BIN, ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn join_writes_what_the_chart_renders_for_a_member() {
    let mut stage = Stage::new().await;
    std::fs::write(stage.path("own.conf"), "[Source]\nkind = clusters\nselect = exported\nevents = true\n").unwrap();
    for (own, source) in [("", json!({})), (" --config=own", json!({ "select": "exported", "events": true }))] {
        let own = own.replace("own", &stage.path("own.conf").display().to_string());
        let init = format!("{}{own}", stage.init());
        stage.does(&init).await;
        let shown = stage.does("join us --host-cluster-context=host --cluster-dns=none --dry-run").await;
        let mut written = by_name(documents(&shown.stdout));
        written.remove(&format!("Namespace {NAMESPACE}")).unwrap();
        written.remove("Secret dns-syncd-clusters").unwrap();
        for object in written.values_mut() {
            let annotations = object["metadata"]["annotations"].as_object_mut().unwrap();
            assert_eq!(annotations.remove("dns-syncd.io/cluster").unwrap(), "us");
            if annotations.is_empty() {
                object["metadata"].as_object_mut().unwrap().remove("annotations");
            }
        }
        let values = json!({
            "fullnameOverride": format!("dns-syncd-{FEDERATION}"), "member": { "tokenSecret": true },
            "config": { "source": source },
        });
        assert_eq!(written, by_name(render("member", &values.to_string()).unwrap()));
    }
}
