//! What lies in `dns-syncd/deploy` is right by itself and goes together with the rest of the repository.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use dns_conformance::servers::HELM;
use serde_json::Value;

use super::chart::{RELEASE, documents, folder, only, render};

fn text(path: &str) -> String {
    std::fs::read_to_string(folder().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_chart_has_the_version_of_the_program() {
    let [chart] = documents(&text("chart/Chart.yaml")).try_into().unwrap();
    let chart: Value = chart;
    assert_eq!((&chart["version"], &chart["appVersion"]), (&env!("CARGO_PKG_VERSION").into(), &chart["version"]));
    assert!(text("Containerfile").contains(&format!("version=\"{}\"", env!("CARGO_PKG_VERSION"))));
    assert!(text("manifests/kustomization.yaml").contains(&format!("newTag: {}\n", env!("CARGO_PKG_VERSION"))));
}

/// `conf-examples/dns-syncd.conf` has every section and key: a test of the daemon sees to that.
#[test]
fn the_schema_knows_exactly_the_keys_of_the_config_file() {
    let file = std::fs::read_to_string(folder().join("../../conf-examples/dns-syncd.conf")).unwrap();
    let mut keys = BTreeMap::<String, BTreeSet<String>>::new();
    let mut section = String::new();
    for line in file.lines().filter(|line| !line.starts_with('#')) {
        if let Some(title) = line.strip_prefix('[') {
            section = title.split([']', ' ']).next().unwrap().to_lowercase();
        } else if let Some((key, _)) = line.split_once('=') {
            keys.entry(section.clone()).or_default().insert(key.trim().to_owned());
        }
    }
    // These the chart sets by itself.
    let own = [
        ("provider", vec!["name", "config"]),
        ("source", vec!["kind", "path", "kubeconfig"]),
        ("leader", vec!["kubeconfig"]),
        ("admin", vec!["listen", "token-file"]),
    ];
    for (section, names) in own {
        let known = keys.get_mut(section).unwrap();
        assert!(names.iter().all(|name| known.remove(*name)), "{section}: {known:?}");
    }
    assert!(keys.remove("admin").unwrap().is_empty());
    let clusters = keys.remove("cluster").unwrap();

    let schema: Value = serde_json::from_str(&text("chart/values.schema.json")).unwrap();
    let config = &schema["properties"]["config"]["properties"];
    let properties = |of: &Value| -> BTreeSet<String> {
        assert_eq!(of["additionalProperties"], false, "{of}");
        of["properties"].as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(properties(&config["clusters"]["additionalProperties"]), clusters);
    let sections = config.as_object().unwrap().iter().filter(|(name, _)| *name != "clusters");
    let sections: BTreeMap<_, _> = sections.map(|(name, of)| (name.clone(), properties(of))).collect();
    assert_eq!(sections, keys);
}

/// Every value has a line in `values.yaml`, which says what it is for.
#[test]
fn the_schema_knows_exactly_the_values() {
    let [values] = documents(&text("chart/values.yaml")).try_into().unwrap();
    let schema: Value = serde_json::from_str(&text("chart/values.schema.json")).unwrap();
    let names = |of: &Value| of.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let mut known = names(&schema["properties"]);
    assert!(known.remove("global"), "Helm gives it to every dependency");
    let values: Value = values;
    assert_eq!(known, names(&values));
    for section in names(&values) {
        let of = &schema["properties"][&section];
        if of["properties"].is_object() && section != "config" {
            assert_eq!(names(&of["properties"]), names(&values[&section]), "{section}");
        }
    }
}

#[test]
#[ignore = "needs HELM_BIN: tests/run gets it"]
fn a_wrong_value_is_refused() {
    for (values, said) in [
        ("replica: 2", "replica"),
        ("config: {sync: {tll: 60}}", "tll"),
        ("config: {guard: {max-delete: {}}}", "max-delete"),
        ("config: {clusters: {eu: {regoin: x}}}", "regoin"),
        ("config: {leader: {kind: raft}}", "kind"),
        ("config: {leader: {kind: none}}", "several replicas need a leader"),
        ("config: {federation: {name: ''}}", "config.federation.name"),
        ("config: {federation: {zone-name: ''}}", "config.federation.zone-name"),
        ("provider: {name: bind}", "name"),
        ("provider: {name: ''}", "provider.name"),
        ("provider: {existingSecret: x}", "provider.existingSecret excludes"),
        ("members: {host: '', secrets: null}", "there is no cluster"),
        ("members: {host: us}", "both members.host"),
        ("mode: daemonset", "mode"),
        ("image: {digest: latest}", "digest"),
        ("admin: {listen: ':10253'}", "listen"),
    ] {
        let error = render("host", values).unwrap_err();
        assert!(error.contains(said), "{values}: {error}");
    }
    render("host", "").unwrap();
}

#[test]
#[ignore = "needs HELM_BIN: tests/run gets it"]
fn helm_finds_no_fault_with_the_chart() {
    for example in ["host", "init", "init-embedded", "member", "sidecar", "embedded"] {
        let values = folder().join("examples").join(format!("{example}.yaml"));
        let mut helm = Command::new(HELM.find());
        helm.args(["lint", "--strict", "--kube-version", "1.34.1"]).arg(folder().join("chart"));
        // Of the sidecar's Deployment there is only a part.
        helm.args(["--set", "sidecar.deployment="]);
        let output = helm.arg("--values").arg(values).output().unwrap();
        assert!(output.status.success(), "{example}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

/// Pods are replaced for what is read once, and for nothing else.
#[test]
#[ignore = "needs HELM_BIN: tests/run gets it"]
fn pods_are_replaced_only_for_what_the_daemon_does_not_take_over_by_itself() {
    let template = |values: &str| {
        let objects = render("host", values).unwrap();
        only(&objects, "Deployment")["spec"]["template"].clone()
    };
    let before = template("");
    for alike in [
        "config: {sync: {ttl: 60, unreachable-grace: 1m}}",
        "config: {guard: {freeze: true}}",
        "config: {clusters: {eu: {drain: true}, us: {}}}",
        "replicas: 3",
    ] {
        assert_eq!(template(alike), before, "{alike}");
    }
    for different in [
        "config: {federation: {claim: other}}",
        "config: {provider: {adopt: exact}}",
        "config: {source: {select: annotated}}",
        "config: {sync: {resolver: '192.0.2.53:53'}}",
        "config: {leader: {lease-duration: 30s}}",
        "provider: {settings: {etcd-username: dns}}",
        "provider: {files: {ca.crt: text}}",
        "members: {hostServer: 'https://192.0.2.1'}",
        "admin: {tokenSecret: admin}",
    ] {
        assert_ne!(template(different), before, "{different}");
    }
}

/// And the right to a Lease is granted where there is one, in the daemon's own cluster.
#[test]
#[ignore = "needs HELM_BIN: tests/run gets it"]
fn the_leadership_lies_where_late_writes_are_refused_if_there_is_such_a_place() {
    let cloud = "provider: {name: aws-route53}";
    for (example, values, kind) in [
        ("host", "", "etcd"),
        ("host", "config: {leader: {kind: lease}}", "lease"),
        ("host", cloud, "lease"),
        ("host", "{config: {leader: {kind: none}}, replicas: 1}", "none"),
        ("sidecar", "", "etcd"),
        ("sidecar", cloud, "lease"),
        ("embedded", "", "none"),
    ] {
        let objects = render(example, values).unwrap();
        let found = objects.iter().find_map(|object| object["data"]["dns-syncd.conf"].as_str()).unwrap();
        assert!(found.contains(&format!("[Leader]\nkind = \"{kind}\"\n")), "{example} with `{values}`: {found}");
        let roles = objects.iter().filter(|object| ["Role", "RoleBinding"].contains(&object["kind"].as_str().unwrap()));
        assert_eq!(roles.count(), if kind == "lease" { 2 } else { 0 }, "{example} with `{values}`");
    }
}

#[test]
#[ignore = "needs HELM_BIN: tests/run gets it"]
fn values_reach_the_config_file_as_they_are() {
    let values = r#"{"config": {
        "sync": {"ttl": 1000000, "levels": ["global", "region"], "resolver": null},
        "clusters": {"eu": {"labels": "a=\"b\" c\\d;#e"}, "us": {}}}}"#;
    let objects = render("host", values).unwrap();
    let found = objects.iter().find(|object| object["kind"] == "ConfigMap" && object["metadata"]["name"] == RELEASE);
    let config = found.unwrap()["data"]["dns-syncd.conf"].as_str().unwrap();
    let end = "[Sync]\nlevels = \"global, region\"\nttl = \"1000000\"\n[Cluster \"eu\"]\nlabels = \"a=\\\"b\\\" \
               c\\\\d;#e\"\n[Cluster \"us\"]";
    assert!(config.trim_end().ends_with(end), "{config}");
}

/// `dns-syncd/deploy/render` makes the plain manifests.
#[test]
#[ignore = "needs HELM_BIN: tests/run gets it"]
fn the_manifests_are_what_the_chart_renders() {
    let fresh = tempfile::tempdir().unwrap();
    let mut render = Command::new(folder().join("render"));
    let output = render.arg(fresh.path()).env("HELM_BIN", HELM.find()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let of = |path: &std::path::Path| -> BTreeMap<_, _> {
        let files = std::fs::read_dir(path).unwrap().map(|file| file.unwrap().path());
        files.map(|file| (file.file_name().unwrap().to_owned(), std::fs::read_to_string(&file).unwrap())).collect()
    };
    let mut kept = of(&folder().join("manifests"));
    let kustomization = kept.remove(std::ffi::OsStr::new("kustomization.yaml")).unwrap();
    for (name, text) in of(fresh.path()) {
        let kept = kept.remove(&name).unwrap_or_default();
        assert!(kept == text, "manifests/{} is not up to date; hint: dns-syncd/deploy/render", name.display());
    }
    assert_eq!(kept, BTreeMap::new(), "nobody renders these any more");
    let [kustomization] = documents(&kustomization).try_into().unwrap();
    let kustomization: Value = kustomization;
    for resource in kustomization["resources"].as_array().unwrap() {
        assert!(folder().join("manifests").join(resource.as_str().unwrap()).is_file(), "{resource}");
    }
}

/// As the page says: a chart of somebody's, with this one as a dependency, takes the container into a pod of its own.
#[test]
#[ignore = "needs HELM_BIN: tests/run gets it"]
fn another_chart_can_take_the_container_in() {
    let parent = tempfile::tempdir().unwrap();
    let at = |path: &str| parent.path().join(path);
    let copy = |from: &str, to: &str| {
        std::fs::create_dir_all(at(to)).unwrap();
        for file in std::fs::read_dir(folder().join(from)).unwrap().map(Result::unwrap) {
            if file.file_type().unwrap().is_file() {
                std::fs::copy(file.path(), at(to).join(file.file_name())).unwrap();
            }
        }
    };
    copy("chart", "charts/dns-syncd");
    copy("chart/templates", "charts/dns-syncd/templates");
    std::fs::create_dir(at("templates")).unwrap();
    std::fs::write(at("Chart.yaml"), "{apiVersion: v2, name: web, version: 1.0.0}").unwrap();
    let values = std::fs::read_to_string(folder().join("examples/sidecar.yaml")).unwrap();
    let values = values.replace('\n', "\n  ").replace("deployment: web", "deployment: ''");
    std::fs::write(at("values.yaml"), format!("dns-syncd:\n  {values}")).unwrap();
    let template = "kind: Pod\nspec:\n  containers:\n    - {name: web, image: web}\n    \
                    {{- include \"dns-syncd.container\" (index .Subcharts \"dns-syncd\") | nindent 4 }}\n  volumes:\n    \
                    {{- include \"dns-syncd.volumes\" (index .Subcharts \"dns-syncd\") | nindent 4 }}\n";
    std::fs::write(at("templates/pod.yaml"), template).unwrap();
    let mut helm = Command::new(HELM.find());
    let output = helm.args(["template", "web", "--kube-version", "1.34.1"]).arg(parent.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let objects = documents(&String::from_utf8(output.stdout).unwrap());
    let pod = only(&objects, "Pod");
    assert_eq!(pod["spec"]["containers"][1]["name"], "dns-syncd");
    let names = |of: &Value| -> BTreeSet<String> {
        of.as_array().unwrap().iter().map(|of| of["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&pod["spec"]["containers"][1]["volumeMounts"]), names(&pod["spec"]["volumes"]));
    // The volumes are what the release makes.
    let config = pod["spec"]["volumes"][0]["configMap"]["name"].as_str().unwrap();
    assert!(objects.iter().any(|object| object["kind"] == "ConfigMap" && object["metadata"]["name"] == config));
}

/// Each command of the page whose program is here is run, `install` and `upgrade` as `template`; every file that one of
/// the others names is there.
#[test]
#[ignore = "needs HELM_BIN: tests/run gets it"]
fn the_commands_of_the_page_are_right() {
    let page = text("README.md");
    let blocks = page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let mut ran = 0;
    for line in blocks.flat_map(str::lines) {
        let words: Vec<_> = line.split(' ').take_while(|word| *word != ">").collect();
        for path in words.iter().filter(|word| word.starts_with("dns-syncd/")) {
            assert!(folder().join("../..").join(path).exists(), "{line}");
        }
        if words[0] != "helm" || words[1] == "uninstall" {
            continue;
        }
        let context = words.iter().position(|word| *word == "--kube-context");
        let of_server = |at: usize, word: &str| {
            word == "--create-namespace" || context.is_some_and(|context| at == context || at == context + 1)
        };
        let arguments = words.iter().enumerate().skip(2).filter(|(at, word)| !of_server(*at, word));
        let mut helm = Command::new(HELM.find());
        helm.args(["template", "--kube-version", "1.34.1"]).args(arguments.map(|(_, word)| word));
        let output = helm.current_dir(folder().join("../..")).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        ran += 1;
    }
    assert_eq!(ran, 4);
    for linked in page.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
        assert!(folder().join(linked).exists(), "{linked}");
    }
}
