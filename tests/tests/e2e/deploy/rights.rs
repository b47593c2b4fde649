//! The daemon runs with exactly the rights that the chart grants: they are enough, and none of them is too much.

use std::collections::BTreeMap;
use std::time::Duration;

use dns_conformance::servers::{Etcd, EtcdVersion, query};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::{Value, json};

use super::accepted::{define, definition};
use super::alerts;
use super::chart::{NAMESPACE, RELEASE, only, render};
use super::pod::{Pod, apply, denials, token};
use crate::members::{Member, NAMESPACE as SHOP};
use crate::real::Cluster;
use crate::truth::ZONE;

/// The chart's objects on real API servers: `eu`, where the daemon runs and which is a member itself, and `us`.
struct Stage {
    etcd: Etcd,
    eu: Cluster,
    us: Cluster,
    host: Vec<Value>,
    member: Vec<Value>,
}

/// One verb on one resource: what is left of a role when every rule is taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Right {
    group: String,
    resource: String,
    name: Option<String>,
    verb: String,
}

impl Right {
    fn all_of(role: &Value) -> Vec<Self> {
        let texts = |of: &Value| -> Vec<String> {
            of.as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
        };
        let mut rights = Vec::new();
        for rule in role["rules"].as_array().unwrap() {
            let names = texts(&rule["resourceNames"]);
            assert!(names.len() < 2, "{rule}");
            for group in texts(&rule["apiGroups"]) {
                for resource in texts(&rule["resources"]) {
                    let right = |verb| Self {
                        group: group.clone(),
                        resource: resource.clone(),
                        name: names.first().cloned(),
                        verb,
                    };
                    rights.extend(texts(&rule["verbs"]).into_iter().map(right));
                }
            }
        }
        rights
    }

    fn rule(&self) -> Value {
        let names: Vec<_> = self.name.iter().collect();
        json!({
            "apiGroups": [self.group], "resources": [self.resource], "resourceNames": names, "verbs": [self.verb],
        })
    }

    /// Waits until the API server says that an account may, or may not.
    async fn until(&self, cluster: &Cluster, account: &str, may: bool) {
        let kubeconfig = cluster.api.kubeconfig_with(&format!("token: {}", token(cluster, account).await));
        let kubeconfig = Kubeconfig::from_yaml(&kubeconfig).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        let reviews: Api<SelfSubjectAccessReview> = Api::all(Client::try_from(config).unwrap());
        let attributes = ResourceAttributes {
            group: Some(self.group.clone()),
            resource: Some(self.resource.clone()),
            name: self.name.clone(),
            namespace: (self.resource == "leases").then(|| NAMESPACE.to_owned()),
            verb: Some(self.verb.clone()),
            ..ResourceAttributes::default()
        };
        let spec = SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..SelfSubjectAccessReviewSpec::default()
        };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        for _ in 0..1200 {
            // Before its roles are known an account may not even ask.
            let answer = reviews.create(&PostParams::default(), &review).await.ok().and_then(|review| review.status);
            if answer.is_some_and(|status| status.allowed == may) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{self:?} never becomes {may}");
    }
}

impl Stage {
    async fn new(values: &str) -> Self {
        let etcd = Etcd::start(EtcdVersion::V3_6).await;
        let eu = Cluster::start(&etcd, &Member::new("eu").with("web", &["192.0.2.1"])).await;
        let us = Cluster::start(&etcd, &Member::new("us").with("web", &["198.51.100.1"])).await;
        let settings = json!({ "settings": { "etcd-endpoints": etcd.url(), "zones": ZONE } });
        let own = json!({ "config": { "federation": { "zone-name": ZONE } }, "provider": settings });
        let host = render("host", &merged(values, own).to_string()).unwrap();
        let member = render("member", values).unwrap();
        let stage = Self { etcd, eu, us, host, member };
        for cluster in [&stage.eu, &stage.us] {
            let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } });
            apply(cluster, &namespace).await.unwrap();
        }
        stage.install().await;
        stage
    }

    /// As the page says: the chart in both clusters, and the kubeconfig of `us` in a Secret.
    async fn install(&self) {
        for object in &self.member {
            apply(&self.us, object).await.unwrap();
        }
        let kubeconfig = self.us.api.kubeconfig_with(&format!("token: {}", token(&self.us, RELEASE).await));
        let metadata = json!({ "name": "dns-syncd-us", "namespace": NAMESPACE });
        let secret = json!({ "kubeconfig": kubeconfig });
        let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": secret });
        apply(&self.eu, &secret).await.unwrap();
        // What a controller puts into every namespace of a real cluster.
        let authority = std::fs::read_to_string(self.eu.api.certificate_authority()).unwrap();
        let metadata = json!({ "name": "kube-root-ca.crt", "namespace": NAMESPACE });
        let map = json!({ "ca.crt": authority });
        let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": map });
        apply(&self.eu, &map).await.unwrap();
        for object in &self.host {
            apply(&self.eu, object).await.unwrap();
        }
        for role in self.host.iter().filter(|object| object["kind"] == "Role") {
            for right in Right::all_of(role) {
                right.until(&self.eu, RELEASE, true).await;
            }
        }
        for (cluster, objects) in [(&self.eu, &self.host), (&self.us, &self.member)] {
            for right in Right::all_of(only(objects, "ClusterRole")) {
                right.until(cluster, RELEASE, true).await;
            }
        }
    }

    async fn pod(&self) -> Pod {
        Pod::of(&only(&self.host, "Deployment")["spec"]["template"], &self.eu).await
    }

    /// Waits until an address stands in the zone.
    async fn until_written(&self, address: &str) {
        for _ in 0..1200 {
            if self.etcd.list("/skydns/").await.values().any(|value| value.contains(address)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{address} is never written: {:?}", self.etcd.list("/skydns/").await);
    }
}

/// `more` on top of the values.
fn merged(values: &str, more: Value) -> Value {
    fn merge(into: &mut Value, more: Value) {
        match (into, more) {
            (Value::Object(into), Value::Object(more)) => {
                for (key, value) in more {
                    merge(into.entry(key).or_insert(Value::Null), value);
                }
            }
            (into, more) => *into = more,
        }
    }
    let mut merged: Value = serde_saphyr::from_str(values).unwrap();
    merge(&mut merged, more);
    merged
}

fn is_well(status: &Value) -> bool {
    let clusters = status["clusters"].as_array().map(Vec::as_slice).unwrap_or_default();
    status["ready"] == true && clusters.len() == 2 && clusters.iter().all(|cluster| cluster["status"] == "Ready")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs HELM_BIN, KUBE_APISERVER_BIN and ETCD_BIN: tests/run gets them"]
async fn two_replicas_of_the_chart_run_with_the_rights_of_the_chart() {
    two_replicas("", "etcd").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs HELM_BIN, KUBE_APISERVER_BIN and ETCD_BIN: tests/run gets them"]
async fn two_replicas_of_the_chart_share_a_lease_with_the_rights_of_the_chart() {
    two_replicas("kind: lease, ", "lease").await;
}

/// `leader` begins the values of `config.leader`; `kind` is what the daemon makes of them.
async fn two_replicas(leader: &str, kind: &str) {
    let values = format!("config: {{leader: {{{leader}lease-duration: 3s}}, sync: {{min-interval: 0}}}}");
    let mut stage = Stage::new(&values).await;
    let mut first = stage.pod().await;
    let mut second = first.twin();
    first.start();
    let status = first.until("it leads", |status, _| is_well(status) && status["leader"]["role"] == "leader").await;
    assert_eq!(status["leader"]["kind"], kind);
    assert_eq!(first.denials(), Vec::<String>::new());
    stage.until_written("198.51.100.1").await;
    stage.until_written("192.0.2.1").await;
    second.start();
    second.until("it stands by", |status, _| is_well(status) && status["leader"]["role"] == "standby").await;
    for (pod, path) in [(&first, "/healthz"), (&first, "/readyz"), (&second, "/healthz"), (&second, "/readyz")] {
        assert_eq!(pod.get(path).await.unwrap(), (200, "ok\n".to_owned()), "{path}");
    }

    alerts::assert_exported(&first.get("/metrics").await.unwrap().1);

    first.kill();
    stage.us.put(&Member::new("us").with("web", &["198.51.100.9"])).await;
    second.until("it takes over", |status, _| status["leader"]["role"] == "leader").await;
    stage.until_written("198.51.100.9").await;
    assert_eq!(second.denials(), Vec::<String>::new());
    // What is not theirs they may not do, and in a pod there is nothing else to do it with.
    let others = [("", "secrets", "get"), ("", "secrets", "list"), ("", "pods", "list")];
    let of_leases = if kind == "lease" { vec!["delete"] } else { vec!["create", "get", "update"] };
    for (group, resource, verb) in
        others.into_iter().chain(of_leases.into_iter().map(|verb| ("coordination.k8s.io", "leases", verb)))
    {
        let (group, resource, verb) = (group.to_owned(), resource.to_owned(), verb.to_owned());
        let right = Right { group, resource, name: Some("myfederation".to_owned()), verb };
        right.until(&stage.eu, RELEASE, false).await;
    }
    second.stop().await;
}

/// The same for each way to lose a right: what is granted in the cluster `us` and what is granted beside the daemon.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs HELM_BIN, KUBE_APISERVER_BIN and ETCD_BIN: tests/run gets them"]
async fn each_right_of_the_chart_is_needed_and_said_to_be_missing() {
    let values = "config: {source: {select: exported, events: true}, sync: {unreachable-grace: 1h}, leader: {kind: \
                  lease}}";
    let stage = Stage::new(values).await;
    for cluster in [&stage.eu, &stage.us] {
        let open = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
        define(cluster, &definition("multicluster.x-k8s.io", "v1alpha1", "ServiceExport", &open)).await;
    }
    // Of a TTL that is none every daemon tells when it begins.
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "namespace": SHOP, "annotations": { "dns-syncd.io/ttl": "never" } },
    });
    stage.us.of(&service).patch("web", &PatchParams::default(), &Patch::Merge(&service)).await.unwrap();
    let export = json!({
        "apiVersion": "multicluster.x-k8s.io/v1alpha1", "kind": "ServiceExport",
        "metadata": { "name": "web", "namespace": SHOP },
    });
    stage.us.write(&export).await;
    let mut pod = stage.pod().await;
    pod.start();
    pod.until("all is well", |status, _| is_well(status) && status["leader"]["role"] == "leader").await;
    assert_eq!(pod.denials(), Vec::<String>::new());
    pod.stop().await;

    let mut tried = BTreeMap::<&str, usize>::new();
    for (cluster, objects, kind) in [(&stage.us, &stage.member, "ClusterRole"), (&stage.eu, &stage.host, "Role")] {
        let role = only(objects, kind);
        let rights = Right::all_of(role);
        for lost in &rights {
            let left: Vec<_> = rights.iter().filter(|right| *right != lost).map(Right::rule).collect();
            let mut poorer = role.clone();
            poorer["rules"] = json!(left);
            apply(cluster, &poorer).await.unwrap();
            lost.until(cluster, RELEASE, false).await;
            if lost.resource == "leases" && lost.verb == "create" {
                let lease = json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": { "namespace": NAMESPACE } });
                stage.eu.of(&lease).delete("myfederation", &DeleteParams::default()).await.unwrap();
            }

            let mut pod = stage.pod().await;
            pod.start();
            let said = format!("cannot {} resource \\\"{}\\\"", lost.verb, lost.resource);
            let what = format!("without {lost:?} nothing is said to be missing");
            pod.until(&what, |status, log| {
                let text = status.to_string();
                !denials(log).is_empty()
                    && match lost.resource.as_str() {
                        "namespaces" => log.contains("no right to get the namespace kube-system"),
                        "events" => {
                            log.contains("Kubernetes events cannot be written") && log.contains("create on events")
                        }
                        "leases" => {
                            status["leader"]["error"].to_string().contains(&said) && text.contains("coordination")
                        }
                        _ => text.contains(&said) && text.contains("hint: grant"),
                    }
            })
            .await;
            pod.kill();
            *tried.entry(kind).or_default() += 1;

            apply(cluster, role).await.unwrap();
            lost.until(cluster, RELEASE, true).await;
        }
    }
    assert_eq!(tried, BTreeMap::from([("ClusterRole", 10), ("Role", 3)]));
}

/// The same rights in the members, none beside the daemon, and a cluster that joins by a key of the one Secret.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs HELM_BIN, KUBE_APISERVER_BIN and ETCD_BIN: tests/run gets them"]
async fn the_embedded_form_answers_and_a_cluster_joins_it_without_a_restart() {
    let etcd = Etcd::start(EtcdVersion::V3_6).await;
    let eu = Cluster::start(&etcd, &Member::new("eu").with("web", &["192.0.2.1"])).await;
    let us = Cluster::start(&etcd, &Member::new("us").with("web", &["198.51.100.1"])).await;
    let mut kubeconfigs = serde_json::Map::new();
    for cluster in [&eu, &us] {
        let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } });
        apply(cluster, &namespace).await.unwrap();
        let member = render("member", "").unwrap();
        for object in &member {
            apply(cluster, object).await.unwrap();
        }
        for right in Right::all_of(only(&member, "ClusterRole")) {
            right.until(cluster, RELEASE, true).await;
        }
        let kubeconfig = cluster.api.kubeconfig_with(&format!("token: {}", token(cluster, RELEASE).await));
        kubeconfigs.insert(cluster.api.name().to_owned(), kubeconfig.into());
    }
    let objects = render("embedded", "embedded: {storage: ''}").unwrap();
    let kinds: Vec<_> = objects.iter().map(|object| object["kind"].as_str().unwrap()).collect();
    assert!(!kinds.iter().any(|kind| kind.contains("Role")), "{kinds:?}");
    for object in &objects {
        apply(&eu, object).await.unwrap();
    }
    let secret = |kubeconfigs: &Value| {
        let metadata = json!({ "name": "dns-syncd-members", "namespace": NAMESPACE });
        json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": kubeconfigs })
    };
    apply(&eu, &secret(&json!({ "eu": kubeconfigs["eu"] }))).await.unwrap();

    let template = &only(&objects, "Deployment")["spec"]["template"];
    let mounts = template["spec"]["containers"][0]["volumeMounts"].to_string();
    assert!(!mounts.contains("serviceaccount"), "it has no use for a token: {mounts}");
    let mut pod = Pod::of(template, &eu).await;
    pod.start();
    pod.until("one cluster", |status, _| status["ready"] == true && status["services"] == 1).await;
    until_answered(&pod, &["192.0.2.1"]).await;
    apply(&eu, &secret(&kubeconfigs.into())).await.unwrap();
    pod.renew_clusters(template, &eu).await;
    pod.until("both clusters", |status, _| is_well(status)).await;
    until_answered(&pod, &["192.0.2.1", "198.51.100.1"]).await;
    assert_eq!(pod.denials(), Vec::<String>::new());
    pod.stop().await;
}

async fn until_answered(pod: &Pod, addresses: &[&str]) {
    let mut answers = Vec::new();
    for _ in 0..1200 {
        let answer = query(pod.dns, "web.shop.myfederation.svc.services.example.", "A").await;
        let mut found = answer.addresses();
        found.sort();
        if found == addresses {
            return;
        }
        answers.push(format!("{} {found:?}", answer.rcode));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never answered {addresses:?} but {answers:?}");
}
