//! A host and two members before anything is set up, the federation's DNS servers, and a person's kubeconfig.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use dns_conformance::servers::{Answer, CoreDns, Etcd, EtcdVersion, KubeUser, query};
use hickory_proto::op::ResponseCode;
use kube::ResourceExt as _;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::controllers;
use super::front::Front;
use crate::deploy::chart::NAMESPACE;
use crate::deploy::pod::Pod;
use crate::members::Member;
use crate::program::{self, Ended};
use crate::real::Cluster;
use crate::truth::{FEDERATION, ZONE};

/// Between two looks of stand-ins.
const PAUSE: Duration = Duration::from_millis(100);
/// Looks before something counts as never coming true.
const LOOKS: u32 = 900;

/// A Corefile as kubeadm writes it.
pub(super) const COREFILE: &str = include_str!("../../../../dns-syncd/tests/cluster_dns/kubeadm.corefile");

/// Kinds of which every object is compared.
pub(super) const KINDS: [(&str, &str); 12] = [
    ("v1", "Namespace"),
    ("v1", "Secret"),
    ("v1", "ConfigMap"),
    ("v1", "ServiceAccount"),
    ("v1", "Service"),
    ("v1", "Pod"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    ("apps/v1", "Deployment"),
    ("policy/v1", "PodDisruptionBudget"),
];

/// Everything that there is.
pub(super) struct Stage {
    pub(super) etcd: Etcd,
    pub(super) coredns: CoreDns,
    pub(super) host: Cluster,
    pub(super) us: Cluster,
    pub(super) eu: Cluster,
    pub(super) front: Front,
    /// The daemon's pods, with the resource version of the kubeconfigs that they have.
    pub(super) pods: Vec<Pod>,
    template: Value,
    mounted: String,
    pub(super) folder: TempDir,
}

impl Stage {
    pub(super) async fn new() -> Self {
        let etcd = Etcd::start(EtcdVersion::V3_6).await;
        let coredns = CoreDns::on_etcd(&[ZONE], &etcd.url()).await;
        let host = Cluster::start(&etcd, &Member::new("host")).await;
        let us = Cluster::start(&etcd, &Member::new("us").with("web", &["198.51.100.1"])).await;
        let eu = Cluster::start(&etcd, &Member::new("eu").with("web", &["192.0.2.1"])).await;
        for member in [&us, &eu] {
            member.write(&config_map("coredns", &json!({ "Corefile": COREFILE }))).await;
        }
        let front = Front::of(&host).await;
        let (pods, folder) = (Vec::new(), tempfile::tempdir().unwrap());
        let (template, mounted) = (Value::Null, String::new());
        let stage = Self { etcd, coredns, host, us, eu, front, pods, template, mounted, folder };
        let provider = format!(
            "[Global]\netcd-endpoints = {}\nzones = {ZONE}\ncoredns-endpoints = {}\n",
            stage.etcd.url(),
            stage.coredns.address()
        );
        std::fs::write(stage.path("coredns.conf"), provider).unwrap();
        std::fs::write(stage.path("kubeconfig"), stage.kubeconfig().to_string()).unwrap();
        stage
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// From now on the person reaches the member `us` through this door.
    pub(super) fn put_before_us(&self, front: &Front) {
        let text = self.kubeconfig().to_string();
        let through = text.replace(&format!("\"{}\"", self.us.api.url()), &format!("\"{}\"", front.url()));
        assert_ne!(through, text);
        std::fs::write(self.path("kubeconfig"), through).unwrap();
    }

    /// A person's kubeconfig: each cluster as its administrator, `NAME-plain` as somebody without rights, and one that
    /// leads nowhere.
    fn kubeconfig(&self) -> Value {
        let (mut clusters, mut contexts, mut users) = (Vec::new(), Vec::new(), Vec::new());
        let mut add = |name: &str, cluster: Value, user: Value| {
            clusters.push(json!({ "name": name, "cluster": cluster }));
            contexts.push(json!({ "name": name, "context": { "cluster": name, "user": name } }));
            users.push(json!({ "name": name, "user": user }));
        };
        for cluster in [&self.us, &self.eu, &self.host] {
            let (name, server) = (cluster.api.name(), cluster.api.url());
            let direct = json!({ "server": server, "certificate-authority": cluster.api.certificate_authority() });
            let is_host = name == "host";
            let at = if is_host { json!({ "server": self.front.url() }) } else { direct };
            add(name, at.clone(), json!({ "token": cluster.api.token(KubeUser::Admin) }));
            add(&format!("{name}-plain"), at, json!({ "token": cluster.api.token(KubeUser::Plain) }));
        }
        add("nowhere", json!({ "server": "https://127.0.0.1:1" }), json!({}));
        json!({
            "apiVersion": "v1", "kind": "Config", "clusters": clusters, "contexts": contexts, "users": users,
            "current-context": "us",
        })
    }

    //----------- Commands ---------------------------------------------------

    /// Runs a command for the namespace of these tests while nobody else does anything.
    pub(super) async fn alone(&self, words: &str) -> Ended {
        let kubeconfig = self.path("kubeconfig");
        let own = ["--federation-system-namespace", NAMESPACE, "--kubeconfig", kubeconfig.to_str().unwrap()];
        let arguments: Vec<&str> = words.split_whitespace().chain(own).collect();
        program::ended(program::bare(&arguments)).await
    }

    /// Runs a command while controllers and, where there are pods, the kubelet do their work.
    pub(super) async fn run(&mut self, words: &str) -> Ended {
        let kubeconfig = self.path("kubeconfig");
        let own = ["--federation-system-namespace", NAMESPACE, "--kubeconfig", kubeconfig.to_str().unwrap()];
        let arguments: Vec<&str> = words.split_whitespace().chain(own).collect();
        self.run_command(program::bare(&arguments)).await
    }

    /// The same for one that is ready to start.
    pub(super) async fn run_command(&mut self, command: Command) -> Ended {
        let mut running = tokio::spawn(program::ended(command));
        loop {
            tokio::select! {
                ended = &mut running => return ended.unwrap(),
                () = tokio::time::sleep(PAUSE) => self.work().await,
            }
        }
    }

    /// As [`Stage::run`], and it must end well.
    pub(super) async fn does(&mut self, words: &str) -> Ended {
        let ended = self.run(words).await;
        assert_eq!(ended.code, 0, "{words}: {}{}{}", ended.stdout, ended.stderr, self.logs());
        ended
    }

    pub(super) fn init(&self) -> String {
        let provider = self.path("coredns.conf");
        format!(
            "init {FEDERATION} --host-cluster-context=host --dns-provider=coredns --dns-zone-name={ZONE} \
             --dns-provider-config={} --controllermanager-arg-overrides=--max-delete=100,--max-update=100,--max-emptied=100",
            provider.display()
        )
    }

    //----------- Stand-ins --------------------------------------------------

    pub(super) async fn work(&mut self) {
        for cluster in [&self.host, &self.us, &self.eu] {
            controllers::work(cluster).await;
        }
        self.renew().await;
    }

    /// What a kubelet does when a mounted Secret has changed.
    pub(super) async fn renew(&mut self) {
        let Some(pod) = self.pods.first() else { return };
        let now = self.kubeconfigs().await;
        if now != self.mounted {
            pod.renew_clusters(&self.template, &self.host).await;
            self.mounted = now;
        }
    }

    async fn kubeconfigs(&self) -> String {
        let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "namespace": NAMESPACE } });
        self.host.of(&secret).get("dns-syncd-clusters").await.unwrap().resource_version().unwrap()
    }

    /// Starts two pods of the Deployment that `init` wrote, the first of which leads.
    pub(super) async fn start_pods(&mut self) {
        let deployment =
            json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "namespace": NAMESPACE } });
        let found = self.host.of(&deployment).get("dns-syncd").await.unwrap();
        self.template = found.data["spec"]["template"].clone();
        self.mounted = self.kubeconfigs().await;
        let mut first = Pod::of(&self.template, &self.host).await;
        let mut second = first.twin();
        first.start();
        first.until("it leads", |status, _| status["leader"]["role"] == "leader").await;
        second.start();
        second.until("it stands by", |status, _| status["leader"]["role"] == "standby").await;
        for (number, pod) in [first, second].into_iter().enumerate() {
            let name = format!("dns-syncd-{number}");
            self.front.set(&name, Some(pod.admin()));
            let metadata =
                json!({ "name": name, "namespace": NAMESPACE, "labels": self.template["metadata"]["labels"] });
            let object =
                json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": self.template["spec"] });
            self.host.write(&object).await;
            let status = json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "namespace": NAMESPACE },
                "status": { "phase": "Running" },
            });
            let parameters = PatchParams::apply("kubelet").force();
            self.host.of(&status).patch_status(&name, &parameters, &Patch::Apply(&status)).await.unwrap();
            self.pods.push(pod);
        }
    }

    pub(super) fn logs(&self) -> String {
        let logs: Vec<_> = self.pods.iter().map(|pod| format!("\n{}\nlog:\n{}", pod.admin(), pod.log())).collect();
        logs.concat()
    }

    //----------- What is there ----------------------------------------------

    /// Every object of the clusters with its resource version.
    pub(super) async fn objects(&self, clusters: &[&Cluster]) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        for cluster in clusters {
            for (version, kind) in KINDS {
                let kind_of = json!({ "apiVersion": version, "kind": kind, "metadata": {} });
                for object in cluster.of(&kind_of).list(&ListParams::default()).await.unwrap() {
                    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
                    if is_servers_own(kind, &namespace, &name) {
                        continue;
                    }
                    let called = format!("{} {kind} {namespace}/{name}", cluster.api.name());
                    all.insert(called, object.resource_version().unwrap());
                }
            }
        }
        all
    }

    /// Those of all clusters.
    pub(super) async fn everything(&self) -> BTreeMap<String, String> {
        self.objects(&[&self.host, &self.us, &self.eu]).await
    }

    /// Waits until controllers have ended the namespace in a member.
    pub(super) async fn until_unmarked(&mut self, cluster: &str) {
        let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": {} });
        for _ in 0..LOOKS {
            self.work().await;
            let member = if cluster == "us" { &self.us } else { &self.eu };
            if member.of(&namespace).get_opt(NAMESPACE).await.unwrap().is_none() {
                return;
            }
        }
        panic!("the namespace stays");
    }

    /// The data of a ConfigMap in `kube-system`.
    pub(super) async fn config_map(cluster: &Cluster, name: &str) -> Value {
        let found = cluster.of(&config_map(name, &json!({}))).get(name).await.unwrap();
        found.data["data"].clone()
    }

    /// Waits until the federation's name of the service has these addresses and no others; for none, until the servers say
    /// that there are none.
    pub(super) async fn answers(&mut self, addresses: &[&str]) {
        let name = format!("web.shop.{FEDERATION}.svc.{ZONE}.");
        let mut seen = Vec::new();
        for _ in 0..LOOKS {
            let answer = query(self.coredns.address(), &name, "A").await;
            let mut found = answer.addresses();
            found.sort();
            if found == addresses && is_said(&answer) {
                return;
            }
            let answered = (found, answer.rcode);
            if seen.last() != Some(&answered) {
                seen.push(answered);
            }
            tokio::time::sleep(PAUSE).await;
        }
        panic!("never answered {addresses:?} but {seen:?}{}", self.logs());
    }
}

/// False for an answer that says nothing of the name, such as SERVFAIL, and so has no addresses.
pub(super) fn is_said(answer: &Answer) -> bool {
    matches!(answer.rcode, ResponseCode::NoError | ResponseCode::NXDomain)
}

/// What API servers make by themselves, some of it after a while.
fn is_servers_own(kind: &str, namespace: &str, name: &str) -> bool {
    let is_theirs = |name: &str| name.starts_with("kube-") || name == "default" || name.starts_with("system:");
    let roles = ["admin", "edit", "view", "cluster-admin"];
    match kind {
        "ConfigMap" => name.starts_with("kube-apiserver-") || name == "extension-apiserver-authentication",
        "ClusterRole" | "ClusterRoleBinding" => is_theirs(name) || roles.contains(&name),
        "Namespace" => is_theirs(name),
        _ => is_theirs(namespace),
    }
}

/// Says in which objects two states differ.
#[track_caller]
pub(super) fn assert_same(after: &BTreeMap<String, String>, before: &BTreeMap<String, String>, what: &str) {
    let all: std::collections::BTreeSet<_> = after.keys().chain(before.keys()).collect();
    let differing: Vec<_> = all.into_iter().filter(|key| after.get(*key) != before.get(*key)).collect();
    assert!(differing.is_empty(), "{what}: {differing:?}");
}

/// A ConfigMap of `kube-system`.
pub(super) fn config_map(name: &str, data: &Value) -> Value {
    let metadata = json!({ "name": name, "namespace": "kube-system" });
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data })
}
