//! A real API server takes every object of the chart, and a namespace of the strictest kind takes its pods.

use dns_conformance::servers::{Etcd, EtcdVersion};
use serde_json::{Value, json};

use super::chart::{NAMESPACE, only, render};
use super::pod::apply;
use crate::members::Member;
use crate::real::Cluster;

/// Everything that is off by default.
const ALL: &str = r"
networkPolicy: {enabled: true, admin: [{namespaceSelector: {}}], egress: [{}]}
podMonitor: {enabled: true, labels: {release: x}}
prometheusRule: {enabled: true, labels: {release: x}}
admin: {tokenSecret: admin}
config: {source: {events: true, select: exported}, clusters: {us: {drain: true}}}
env: [{name: RUST_LOG, value: info}]
imagePullSecrets: [{name: pull}]
podLabels: {a: b}
podAnnotations: {a: b}
nodeSelector: {a: b}
tolerations: [{operator: Exists}]
topologySpreadConstraints: [{maxSkew: 1, topologyKey: a, whenUnsatisfiable: ScheduleAnyway}]
priorityClassName: system-cluster-critical
serviceAccount: {annotations: {a: b}}
member: {tokenSecret: true, subjects: [{kind: User, name: u}, {kind: ServiceAccount, name: a, namespace: other}]}
";

/// The fields of the Prometheus operator's objects that the chart uses, and no others.
fn definitions() -> [Value; 2] {
    let strings = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    let text = json!({ "type": "string" });
    let object = |properties: Value| json!({ "type": "object", "properties": properties });
    let list = |items: Value| json!({ "type": "array", "items": items });
    let endpoint = object(json!({ "port": text, "path": text, "interval": text }));
    let monitor = object(json!({
        "selector": object(json!({ "matchLabels": strings })), "podMetricsEndpoints": list(endpoint),
    }));
    let rule = object(json!({ "alert": text, "expr": text, "for": text, "labels": strings, "annotations": strings }));
    let rules = object(json!({ "groups": list(object(json!({ "name": text, "rules": list(rule) }))) }));
    [("PodMonitor", monitor), ("PrometheusRule", rules)]
        .map(|(kind, spec)| definition("monitoring.coreos.com", "v1", kind, &object(json!({ "spec": spec }))))
}

/// A custom resource of a namespace.
pub(super) fn definition(group: &str, version: &str, kind: &str, schema: &Value) -> Value {
    let (singular, plural) = (kind.to_lowercase(), format!("{}s", kind.to_lowercase()));
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{plural}.{group}") },
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": { "kind": kind, "plural": plural, "singular": singular },
            "versions": [{ "name": version, "served": true, "storage": true, "schema": { "openAPIV3Schema": schema } }],
        },
    })
}

/// Defines the resource and waits until it is served.
pub(super) async fn define(cluster: &Cluster, definition: &Value) {
    apply(cluster, definition).await.unwrap();
    let spec = &definition["spec"];
    let version = format!("{}/{}", spec["group"].as_str().unwrap(), spec["versions"][0]["name"].as_str().unwrap());
    let kind = json!({ "apiVersion": version, "kind": spec["names"]["kind"], "metadata": { "namespace": NAMESPACE } });
    for _ in 0..1200 {
        if cluster.of(&kind).list(&kube::api::ListParams::default()).await.is_ok() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{kind} is never served");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs HELM_BIN, KUBE_APISERVER_BIN and ETCD_BIN: tests/run gets them"]
async fn a_real_api_server_takes_every_object_and_a_restricted_namespace_the_pods() {
    let etcd = Etcd::start(EtcdVersion::V3_6).await;
    let host = Cluster::start(&etcd, &Member::new("host")).await;
    let enforce = json!({ "pod-security.kubernetes.io/enforce": "restricted" });
    let namespace = json!({ "name": NAMESPACE, "labels": enforce });
    apply(&host, &json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": namespace })).await.unwrap();
    for definition in definitions() {
        define(&host, &definition).await;
    }
    let class = json!({ "name": "web", "namespace": NAMESPACE });
    let yours = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": class,
        "spec": { "selector": { "matchLabels": { "app": "web" } }, "template": {
            "metadata": { "labels": { "app": "web" } },
            "spec": { "serviceAccountName": "web", "containers": [{ "name": "web", "image": "web:1" }] },
        } },
    });
    host.write(&yours).await;

    let mut kinds = std::collections::BTreeSet::new();
    let embedded = "embedded: {storage: ''}";
    let lease = "config: {leader: {kind: lease}}";
    let forms =
        [("host", ""), ("host", lease), ("host", ALL), ("embedded", ""), ("embedded", embedded), ("embedded", ALL)];
    let others = [("member", ""), ("member", ALL), ("sidecar", ""), ("sidecar", ALL)];
    for (form, (example, values)) in forms.into_iter().chain(others).enumerate() {
        let objects = render(example, values).unwrap();
        for object in &objects {
            apply(&host, object).await.unwrap_or_else(|error| panic!("{example} with `{values}`: {error}"));
            kinds.insert(object["kind"].as_str().unwrap().to_owned());
        }
        let pods = objects.iter().filter(|object| object["spec"]["template"].is_object());
        for object in pods.filter(|object| object["metadata"]["name"] != "web") {
            let mut spec = object["spec"]["template"]["spec"].clone();
            if object["kind"] == "StatefulSet" {
                let claim = json!({ "name": "dns-syncd-data", "persistentVolumeClaim": { "claimName": "data-0" } });
                spec["volumes"].as_array_mut().unwrap().push(claim);
            }
            let metadata = json!({ "name": format!("pod-{form}"), "namespace": NAMESPACE });
            let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec });
            apply(&host, &pod).await.unwrap_or_else(|error| panic!("{example} with `{values}`: {error}"));
        }
    }
    let all = "ClusterRole ClusterRoleBinding ConfigMap Deployment NetworkPolicy PodDisruptionBudget PodMonitor \
               PrometheusRule Role RoleBinding Secret Service ServiceAccount StatefulSet";
    assert_eq!(kinds.into_iter().collect::<Vec<_>>().join(" "), all);

    // A typing error would not have passed.
    let mut wrong = only(&render("host", "").unwrap(), "Deployment").clone();
    wrong["spec"]["template"]["spec"]["containers"][0]["livenessProb"] = json!({});
    let error = apply(&host, &wrong).await.unwrap_err();
    assert!(error.contains("livenessProb"), "{error}");
    let mut root = wrong["spec"]["template"]["spec"].clone();
    root["containers"][0].as_object_mut().unwrap().remove("livenessProb");
    root["containers"][0]["securityContext"]["runAsUser"] = json!(0);
    let metadata = json!({ "name": "root", "namespace": NAMESPACE });
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": root });
    let error = apply(&host, &pod).await.unwrap_err();
    assert!(error.contains("violates PodSecurity"), "{error}");

    // The sidecar came beside what was there.
    let found = host.of(&yours).get("web").await.unwrap();
    let containers = found.data["spec"]["template"]["spec"]["containers"].as_array().unwrap();
    let names: Vec<_> = containers.iter().map(|container| container["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["web", "dns-syncd"]);
}
