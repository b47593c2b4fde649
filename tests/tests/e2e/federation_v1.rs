//! A stand-in for the API server of a federation v1, over a real one.
//!
//! No federation v1 server can be had: its programs are retired. A custom resource stands in for its `Cluster`s, and
//! services are services anywhere. A real API server refuses a custom resource whose group has no dot, as `federation`
//! has none, and the aggregation layer would only pass the question on to a server that has that group. So the resource
//! is defined in another group, and a proxy on loopback gives it its old name in paths and bodies, those of watches
//! included. All else, such as rights, versions and the ends of watches, is the real server's.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use dns_conformance::servers::{CoreDns, Etcd, EtcdVersion, KubeApi, KubeUser, Way, Wire};
use futures::{StreamExt as _, stream};
use k8s_openapi::jiff;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Config};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::members::{Member, NAMESPACE};
use crate::truth::{FEDERATION, ZONE};
use crate::world::World;

/// The group behind the proxy. It stands nowhere else in a body, so replacing it is enough.
const GROUP: &str = "federation.test";
const INGRESSES: &str = "federation.kubernetes.io/service-ingresses";
/// Looks at what is not true yet, and the pause between two.
const TRIES: u32 = 1200;
const PAUSE: Duration = Duration::from_millis(50);

/// A federation v1 on a real API server, over one real etcd in which the zone is too, with CoreDNS in front.
pub(crate) struct FederationV1 {
    pub(crate) world: World,
    pub(crate) api: KubeApi,
    client: Client,
    /// Between the daemon and the proxy.
    wire: Wire,
    services: BTreeSet<String>,
    folder: TempDir,
    _coredns: CoreDns,
    _etcd: Etcd,
}

impl FederationV1 {
    /// The server with these members. The daemon does not run yet and has no rights.
    pub(crate) async fn start(members: &[Member]) -> Self {
        let etcd = Etcd::start(EtcdVersion::V3_6).await;
        let coredns = CoreDns::on_etcd(&[ZONE], &etcd.url()).await;
        let api = KubeApi::start(&etcd, FEDERATION).await;
        let client = Client::try_from(config(&api).await).unwrap();
        let wire = Wire::to(&proxy(&api).await).await;
        let folder = tempfile::tempdir().unwrap();
        let world = World::on_etcd(&etcd.url(), coredns.address());
        let services = BTreeSet::new();
        let mut federation = Self { world, api, client, wire, services, folder, _coredns: coredns, _etcd: etcd };
        federation.define().await;
        federation.write(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } })).await;
        federation.put(members).await;
        let server = federation.wire.url();
        std::fs::write(
            federation.kubeconfig(),
            json!({
                "apiVersion": "v1", "kind": "Config", "current-context": "elsewhere",
                "clusters": [{ "name": "c", "cluster": { "server": server } }],
                "users": [{ "name": "u", "user": { "token": federation.api.token(KubeUser::Plain) } }],
                "contexts": [{ "name": FEDERATION, "context": { "cluster": "c", "user": "u" } }],
            })
            .to_string(),
        )
        .unwrap();
        federation
    }

    fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// Rewrites the daemon's own file: these keys of [Sync], and the federation as its source.
    pub(crate) fn configure(&self, sync: &str) {
        let kubeconfig = self.kubeconfig();
        let kubeconfig = kubeconfig.display();
        self.world.configure(&format!("{sync}\n[Source]\nkind = federation\npath =\nkubeconfig = {kubeconfig}"));
    }

    /// Defines the resource, as it cannot be: in the group `federation`; and then as it can.
    async fn define(&self) {
        let without_dot = definition("federation");
        let refused = self.of(&without_dot).create(&kube::api::PostParams::default(), &object(&without_dot)).await;
        let error = refused.unwrap_err().to_string();
        assert!(error.contains("should be a domain with at least one dot"), "{error}");
        self.write(&definition(GROUP)).await;
        let cluster = json!({ "apiVersion": format!("{GROUP}/v1beta1"), "kind": "Cluster", "metadata": {} });
        for _ in 0..TRIES {
            if self.of(&cluster).list(&kube::api::ListParams::default()).await.is_ok() {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
        panic!("never defined; its log:\n{}", self.api.log());
    }

    /// Grants the daemon its least rights.
    pub(crate) async fn allow(&self) {
        let read = json!(["get", "list", "watch"]);
        self.write(&json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": { "name": "dns-syncd" },
            "rules": [
                { "apiGroups": [""], "resources": ["services"], "verbs": read },
                { "apiGroups": [GROUP], "resources": ["clusters"], "verbs": read },
                { "apiGroups": [""], "resources": ["namespaces"], "resourceNames": ["kube-system"], "verbs": ["get"] },
            ],
        }))
        .await;
        self.write(&json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": { "name": "dns-syncd" },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "dns-syncd" },
            "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "dns-syncd" }],
        }))
        .await;
    }

    /// Makes the objects those of a federation with these members, all of which are ready.
    pub(crate) async fn put(&mut self, members: &[Member]) {
        for member in members {
            self.put_cluster(member, "True").await;
        }
        let names: BTreeSet<_> = members.iter().flat_map(|member| member.services.keys().cloned()).collect();
        for name in &names {
            // As federation v1's service controller wrote it.
            let items = members.iter().filter_map(|member| {
                let service = member.services.get(name)?;
                let ips: Vec<_> = service.addresses.iter().map(|address| json!({ "ip": address })).collect();
                let items = if service.ready { json!(ips) } else { Value::Null };
                Some(json!({ "cluster": member.name, "items": items }))
            });
            let items: Vec<_> = items.collect();
            self.annotate(name, &json!({ "items": items }).to_string()).await;
        }
        for gone in self.services.difference(&names) {
            let service = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "namespace": NAMESPACE } });
            self.of(&service).delete(gone, &DeleteParams::default()).await.unwrap();
        }
        self.services = names;
    }

    /// Deletes a member's object, as `kubefed unjoin` did. Annotations still name it.
    pub(crate) async fn unjoin(&self, member: &Member) {
        self.of(&cluster(&member.name)).delete(&member.name, &DeleteParams::default()).await.unwrap();
    }

    /// A member's object, whose condition `Ready` has just become this.
    pub(crate) async fn put_cluster(&self, member: &Member, ready: &str) {
        // Kubernetes writes times in whole seconds.
        let now = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second()).unwrap();
        let mut object = cluster(&member.name);
        object["status"] = json!({
            "region": member.region, "zones": [member.zone],
            "conditions": [{
                "type": "Ready", "status": ready, "lastTransitionTime": now.to_string(),
            }],
        });
        self.write(&object).await;
    }

    /// A service with this annotation.
    pub(crate) async fn annotate(&self, name: &str, annotation: &str) {
        let metadata = json!({ "name": name, "namespace": NAMESPACE, "annotations": { INGRESSES: annotation } });
        let spec = json!({ "type": "LoadBalancer", "ports": [{ "port": 80, "protocol": "TCP" }] });
        self.write(&json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec })).await;
    }

    /// Ends the server as a crash does.
    pub(crate) fn kill(&mut self) {
        self.api.kill();
        self.wire.set(Way::Reset);
    }

    /// Starts it again.
    pub(crate) async fn restart(&mut self) {
        self.api.restart().await;
        for _ in 0..TRIES {
            let ask = kube::core::Request::new("/readyz").list(&kube::api::ListParams::default()).unwrap();
            if self.client.request_text(ask).await.is_ok() {
                return self.wire.set(Way::Pass);
            }
            tokio::time::sleep(PAUSE).await;
        }
        panic!("never ready; its log:\n{}", self.api.log());
    }

    /// Waits until the daemon has logged this.
    pub(crate) async fn logs(&self, words: &str) {
        for _ in 0..TRIES {
            if self.world.log().contains(words) {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
        panic!("never logged `{words}`:\n{}", self.world.log());
    }

    async fn write(&self, value: &Value) {
        let name = value["metadata"]["name"].as_str().unwrap();
        let parameters = PatchParams::apply("test").force();
        self.of(value).patch(name, &parameters, &Patch::Apply(value)).await.unwrap();
    }

    fn of(&self, value: &Value) -> Api<DynamicObject> {
        let (api, kind) = (value["apiVersion"].as_str().unwrap(), value["kind"].as_str().unwrap());
        let (group, version) = api.split_once('/').unwrap_or(("", api));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        match value["metadata"]["namespace"].as_str() {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }
}

/// A client's config with all rights.
async fn config(api: &KubeApi) -> Config {
    let kubeconfig = Kubeconfig::from_yaml(&api.kubeconfig(KubeUser::Admin)).unwrap();
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap()
}

fn object(value: &Value) -> DynamicObject {
    serde_json::from_value(value.clone()).unwrap()
}

fn cluster(name: &str) -> Value {
    json!({ "apiVersion": format!("{GROUP}/v1beta1"), "kind": "Cluster", "metadata": { "name": name } })
}

fn definition(group: &str) -> Value {
    let schema = json!({ "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("clusters.{group}") },
        "spec": {
            "group": group, "scope": "Cluster",
            "names": { "plural": "clusters", "singular": "cluster", "kind": "Cluster", "listKind": "ClusterList" },
            "versions": [{ "name": "v1beta1", "served": true, "storage": true, "schema": schema }],
        },
    })
}

//----------- Proxy ------------------------------------------------------

/// Starts the proxy to an API server; gives its URL. It lives as long as the test's runtime, and asks with the
/// credentials of whoever asks it.
async fn proxy(api: &KubeApi) -> String {
    let mut config = config(api).await;
    config.auth_info = AuthInfo::default();
    let app = Router::new().fallback(pass).with_state(Client::try_from(config).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}

async fn pass(State(client): State<Client>, request: Request) -> Response {
    let path = request.uri().path_and_query().unwrap().as_str();
    let path = path.replacen("/apis/federation/", &format!("/apis/{GROUP}/"), 1);
    let mut asking = axum::http::Request::builder().method(request.method()).uri(Uri::try_from(path).unwrap());
    for name in [AUTHORIZATION, ACCEPT] {
        if let Some(value) = request.headers().get(&name) {
            asking = asking.header(name, value);
        }
    }
    match client.send(asking.body(kube::client::Body::empty()).unwrap()).await {
        Ok(answer) => {
            let (parts, body) = answer.into_parts();
            let mut response = Response::new(renamed(Body::new(body)));
            *response.status_mut() = parts.status;
            if let Some(kind) = parts.headers.get(CONTENT_TYPE) {
                response.headers_mut().insert(CONTENT_TYPE, kind.clone());
            }
            response
        }
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

/// The body with the group's old name, line by line as a watch sends its events.
fn renamed(body: Body) -> Body {
    let lines = stream::unfold((body.into_data_stream(), Vec::new()), |(mut rest, mut held)| async move {
        loop {
            let (line, error) = match rest.next().await {
                Some(Ok(octets)) => {
                    held.extend_from_slice(&octets);
                    match held.iter().rposition(|octet| *octet == b'\n') {
                        Some(end) => (held.drain(..=end).collect::<Vec<_>>(), None),
                        None => continue,
                    }
                }
                Some(Err(error)) => (std::mem::take(&mut held), Some(error)),
                None if held.is_empty() => return None,
                None => (std::mem::take(&mut held), None),
            };
            let text = String::from_utf8(line).unwrap().replace(GROUP, "federation");
            return Some((error.map_or(Ok(Bytes::from(text)), Err), (rest, held)));
        }
    });
    Body::from_stream(lines)
}
