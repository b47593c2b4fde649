//! Real API servers: objects are created through them, the daemon watches with the least rights, DNS follows.

use std::collections::{BTreeMap, BTreeSet};

use dns_conformance::servers::{CoreDns, Etcd, EtcdVersion, KubeApi, KubeUser};
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Config};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::members::{Member, NAMESPACE};
use crate::truth::{ZONE, truth};
use crate::world::World;

/// A real member cluster: what is in it is written through its API server.
struct Cluster {
    api: KubeApi,
    client: Client,
    services: BTreeSet<String>,
}

/// The least rights of the daemon, as its documentation says.
fn rights() -> [Value; 2] {
    let read = json!(["get", "list", "watch"]);
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": { "name": "dns-syncd" },
        "rules": [
            { "apiGroups": [""], "resources": ["services", "nodes"], "verbs": read },
            { "apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": read },
            { "apiGroups": [""], "resources": ["namespaces"], "resourceNames": ["kube-system"], "verbs": ["get"] },
        ],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": { "name": "dns-syncd" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "dns-syncd" },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "dns-syncd" }],
    });
    [role, binding]
}

impl Cluster {
    /// Starts the API server with these objects.
    async fn start(etcd: &Etcd, member: &Member) -> Self {
        let api = KubeApi::start(etcd, &member.name).await;
        let kubeconfig = Kubeconfig::from_yaml(&api.kubeconfig(KubeUser::Admin)).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        let mut cluster = Self { api, client: Client::try_from(config).unwrap(), services: BTreeSet::new() };
        cluster.write(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } })).await;
        cluster.put(member).await;
        cluster
    }

    async fn allow(&self) {
        for object in rights() {
            self.write(&object).await;
        }
    }

    /// Makes the cluster's objects those of the member.
    async fn put(&mut self, member: &Member) {
        let labels = json!({
            "topology.kubernetes.io/region": member.region, "topology.kubernetes.io/zone": member.zone,
        });
        let name = format!("{}-1", member.name);
        self.write(&json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": name, "labels": labels } }))
            .await;
        let services: BTreeMap<_, _> = member.services.iter().collect();
        for (name, service) in &services {
            let metadata = json!({ "name": name, "namespace": NAMESPACE });
            let slice = json!({ "kubernetes.io/service-name": name });
            self.write(&json!({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                "metadata": { "name": format!("{name}-x"), "namespace": NAMESPACE, "labels": slice },
                "endpoints": [{ "addresses": ["10.0.0.1"], "conditions": { "ready": service.ready } }],
            }))
            .await;
            let ports = json!([{ "port": 80, "protocol": "TCP" }]);
            self.write(&json!({
                "apiVersion": "v1", "kind": "Service", "metadata": metadata,
                "spec": { "type": "LoadBalancer", "ports": ports },
            }))
            .await;
            let ingress: Vec<_> = service.addresses.iter().map(|address| json!({ "ip": address })).collect();
            let status = json!({
                "apiVersion": "v1", "kind": "Service", "metadata": metadata,
                "status": { "loadBalancer": { "ingress": ingress } },
            });
            let parameters = PatchParams::apply("test").force();
            self.of(&status).patch_status(name, &parameters, &Patch::Apply(&status)).await.unwrap();
        }
        let now: BTreeSet<_> = services.into_keys().cloned().collect();
        for gone in self.services.difference(&now) {
            let service = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "namespace": NAMESPACE } });
            self.of(&service).delete(gone, &kube::api::DeleteParams::default()).await.unwrap();
        }
        self.services = now;
    }

    async fn write(&self, object: &Value) {
        let name = object["metadata"]["name"].as_str().unwrap();
        let parameters = PatchParams::apply("test").force();
        self.of(object).patch(name, &parameters, &Patch::Apply(object)).await.unwrap();
    }

    fn of(&self, object: &Value) -> Api<DynamicObject> {
        let (api, kind) = (object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
        let (group, version) = api.split_once('/').unwrap_or(("", api));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        match object["metadata"]["namespace"].as_str() {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }
}

/// A federation on real servers.
struct Real {
    clusters: Vec<Cluster>,
    world: World,
    kubeconfigs: TempDir,
    _etcd: Etcd,
    _coredns: CoreDns,
}

impl Real {
    async fn start(members: &[Member]) -> Self {
        let etcd = Etcd::start(EtcdVersion::V3_6).await;
        let coredns = CoreDns::on_etcd(&[ZONE], &etcd.url()).await;
        let mut clusters = Vec::new();
        for member in members {
            clusters.push(Cluster::start(&etcd, member).await);
        }
        let kubeconfigs = tempfile::tempdir().unwrap();
        let world = World::on_etcd(&etcd.url(), coredns.address());
        let real = Self { clusters, world, kubeconfigs, _etcd: etcd, _coredns: coredns };
        for cluster in &real.clusters {
            real.join(cluster);
        }
        real
    }

    /// The daemon's kubeconfig of a cluster goes into the folder that it watches.
    fn join(&self, cluster: &Cluster) {
        let text = cluster.api.kubeconfig(KubeUser::Plain);
        std::fs::write(self.kubeconfigs.path().join(cluster.api.name()), text).unwrap();
    }

    fn configure(&self, sync: &str) {
        let folder = self.kubeconfigs.path().display();
        self.world.configure(&format!("{sync}\n[Source]\nkind = clusters\npath = {folder}"));
    }

    /// Waits until the daemon has logged this.
    async fn logs(&self, words: &str) {
        for _ in 0..1200 {
            if self.world.log().contains(words) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("never logged `{words}`:\n{}", self.world.log());
    }
}

fn federation() -> [Member; 3] {
    [
        Member::new("eu").with("web", &["192.0.2.1"]).with("api", &["192.0.2.2"]),
        Member::new("us").with("web", &["198.51.100.1"]),
        Member::new("asia").with("web", &["203.0.113.1"]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KUBE_APISERVER_BIN, ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn dns_follows_real_clusters_and_stays_while_one_is_away() {
    let [eu, us, asia] = federation();
    let mut real = Real::start(&[eu.clone(), us.clone(), asia.clone()]).await;
    real.configure("unreachable-grace = 1h");
    real.world.start();
    real.logs("denied (403").await;
    real.logs("grant get, list and watch on services").await;
    for cluster in &real.clusters {
        cluster.allow().await;
    }
    real.world.expect(truth(&[eu.clone(), us.clone(), asia.clone()]));
    real.world.settle("the federation comes up").await;

    // A new address, a service without a ready endpoint, a service that is deleted.
    let (moved, sick, without) =
        (us.with("web", &["198.51.100.9"]), asia.ready("web", false), eu.clone().without("api"));
    real.world.expect(truth(&[without.clone(), moved.clone(), sick.clone()]));
    real.clusters[1].put(&moved).await;
    real.clusters[2].put(&sick).await;
    real.clusters[0].put(&without).await;
    real.world.settle("objects change").await;

    // An API server dies. What it said stays, also while others change.
    real.clusters[0].api.kill();
    real.logs("the cluster is unknown").await;
    let ended = real.world.call(&["records"]).await;
    assert_eq!(ended.code, 4, "{}", ended.stderr);
    assert!(ended.stderr.contains("eu") && ended.stderr.contains("unreachable"), "{}", ended.stderr);
    assert!(ended.stdout.contains("198.51.100.9") && !ended.stdout.contains("192.0.2.1"), "{}", ended.stdout);
    let well = sick.ready("web", true);
    real.world.expect(truth(&[without.clone(), moved.clone(), well.clone()]));
    real.clusters[2].put(&well).await;
    real.world.settle("another cluster changes while one is away").await;

    // It comes back, and has something new to say.
    let back = without.with("web", &["192.0.2.7"]);
    real.world.expect(truth(&[back.clone(), moved.clone(), well.clone()]));
    real.clusters[0].api.restart().await;
    real.clusters[0].put_patiently(&back).await;
    real.world.settle("the lost cluster is back").await;
    real.world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KUBE_APISERVER_BIN, ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn names_fail_over_after_the_grace_and_a_cluster_that_leaves_takes_its_records_along() {
    let members = federation();
    let mut real = Real::start(&members).await;
    for cluster in &real.clusters {
        cluster.allow().await;
    }
    let [eu, us, asia] = members;
    real.configure("unreachable-grace = 2s\ntopology-linger = 0");
    real.world.expect(truth(&[eu.clone(), us.clone(), asia.clone()]));
    real.world.start();
    real.world.settle("the federation comes up").await;

    // Others serve `web`; nobody else serves `api`, so that stays.
    real.clusters[0].api.kill();
    let failed_over = eu.clone().ready("web", false);
    real.world.expect(truth(&[failed_over, us.clone(), asia.clone()]));
    real.world.settle("names fail over after the grace").await;
    real.world.expect(truth(&[eu.clone(), us.clone(), asia.clone()]));
    real.clusters[0].api.restart().await;
    real.world.settle("the cluster is back").await;

    std::fs::remove_file(real.kubeconfigs.path().join("us")).unwrap();
    real.world.expect(truth(&[eu, asia]));
    real.world.settle("a cluster has left").await;
    real.world.finish().await;
}

impl Cluster {
    /// As [`Cluster::put`] to a server that has just been started and may not be ready yet.
    async fn put_patiently(&mut self, member: &Member) {
        for _ in 0..1200 {
            let ask = kube::core::Request::new("/readyz").list(&kube::api::ListParams::default()).unwrap();
            if self.client.request_text(ask).await.is_ok() {
                return self.put(member).await;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("never ready; its log:\n{}", self.api.log());
    }
}
