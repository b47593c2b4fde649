//! A federation on real API servers, over one real etcd, with CoreDNS in front.

use std::collections::{BTreeMap, BTreeSet};

use dns_conformance::servers::{CoreDns, Etcd, EtcdVersion, KubeApi, KubeUser};
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Config};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::members::{Member, NAMESPACE};
use crate::truth::ZONE;
use crate::world::World;

/// A real member cluster: what is in it is written through its API server.
pub(crate) struct Cluster {
    pub(crate) api: KubeApi,
    pub(crate) client: Client,
    services: BTreeSet<String>,
}

/// The least rights of the daemon, as its documentation says.
pub(crate) fn rights() -> [Value; 2] {
    let read = json!(["list", "watch"]);
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
    pub(crate) async fn start(etcd: &Etcd, member: &Member) -> Self {
        let api = KubeApi::start(etcd, &member.name).await;
        let kubeconfig = Kubeconfig::from_yaml(&api.kubeconfig(KubeUser::Admin)).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        let mut cluster = Self { api, client: Client::try_from(config).unwrap(), services: BTreeSet::new() };
        cluster.write(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } })).await;
        cluster.put(member).await;
        cluster
    }

    /// Grants the daemon its least rights.
    pub(crate) async fn allow(&self) {
        for object in rights() {
            self.write(&object).await;
        }
    }

    /// Makes the cluster's objects those of the member.
    pub(crate) async fn put(&mut self, member: &Member) {
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

    /// As [`Cluster::put`] to a server that has just been started and may not be ready yet.
    pub(crate) async fn put_patiently(&mut self, member: &Member) {
        for _ in 0..1200 {
            let ask = kube::core::Request::new("/readyz").list(&kube::api::ListParams::default()).unwrap();
            if self.client.request_text(ask).await.is_ok() {
                return self.put(member).await;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("never ready; its log:\n{}", self.api.log());
    }

    /// Creates the object, or makes it this.
    pub(crate) async fn write(&self, object: &Value) {
        let name = object["metadata"]["name"].as_str().unwrap();
        let parameters = PatchParams::apply("test").force();
        self.of(object).patch(name, &parameters, &Patch::Apply(object)).await.unwrap();
    }

    /// Where objects of this kind and namespace are.
    pub(crate) fn of(&self, object: &Value) -> Api<DynamicObject> {
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
pub(crate) struct Real {
    pub(crate) clusters: Vec<Cluster>,
    pub(crate) world: World,
    pub(crate) kubeconfigs: TempDir,
    pub(crate) etcd: Etcd,
    _coredns: CoreDns,
}

impl Real {
    /// One API server for each member, all over one etcd, in which the zone is too. The daemon does not run yet and has
    /// no rights.
    pub(crate) async fn start(members: &[Member]) -> Self {
        let etcd = Etcd::start(EtcdVersion::V3_6).await;
        let coredns = CoreDns::on_etcd(&[ZONE], &etcd.url()).await;
        let mut clusters = Vec::new();
        for member in members {
            clusters.push(Cluster::start(&etcd, member).await);
        }
        let kubeconfigs = tempfile::tempdir().unwrap();
        let world = World::on_etcd(&etcd.url(), coredns.address());
        let real = Self { clusters, world, kubeconfigs, etcd, _coredns: coredns };
        for cluster in &real.clusters {
            real.join(cluster);
        }
        real
    }

    /// The daemon's kubeconfig of a cluster goes into the folder that it watches.
    pub(crate) fn join(&self, cluster: &Cluster) {
        let text = cluster.api.kubeconfig(KubeUser::Plain);
        std::fs::write(self.kubeconfigs.path().join(cluster.api.name()), text).unwrap();
    }

    /// Rewrites the daemon's own file: these keys of [Sync], and the folder of kubeconfigs as its source.
    pub(crate) fn configure(&self, sync: &str) {
        let folder = self.kubeconfigs.path().display();
        self.world.configure(&format!("{sync}\n[Source]\nkind = clusters\npath = {folder}"));
    }

    /// Waits until etcd holds such a value of the zone.
    pub(crate) async fn until_some_key(&self, what: &str, is_so: impl Fn(&str) -> bool) {
        for _ in 0..1200 {
            if self.etcd.list("/skydns/").await.values().any(|value| is_so(value)) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("{what}: {:?}", self.etcd.list("/skydns/").await);
    }

    /// Waits until the daemon has logged this.
    pub(crate) async fn logs(&self, words: &str) {
        for _ in 0..1200 {
            if self.world.log().contains(words) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("never logged `{words}`:\n{}", self.world.log());
    }
}
