//! A Kubernetes API server as far as the source asks one: lists in pages, watches with bookmarks and 410, credentials,
//! and each way in which it can fail.
//!
//! It lives in a runtime of its own, so that its end cuts every connection, as that of a process does.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use futures::stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

pub(crate) const SERVICES: &str = "/api/v1/services";
pub(crate) const SLICES: &str = "/apis/discovery.k8s.io/v1/endpointslices";
pub(crate) const NODES: &str = "/api/v1/nodes";
pub(crate) const EXPORTS: &str = "/apis/multicluster.x-k8s.io/v1alpha1/serviceexports";
/// Of a federation v1 API server.
pub(crate) const CLUSTERS: &str = "/apis/federation/v1beta1/clusters";
pub(crate) const NAMESPACE: &str = "/api/v1/namespaces/kube-system";

/// What it does to requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verb {
    Get,
    List,
    Watch,
}

struct World {
    uid: String,
    version: u64,
    /// Objects by path, then by namespace and name.
    objects: BTreeMap<&'static str, BTreeMap<String, Value>>,
    /// What happened, by version.
    log: Vec<(u64, &'static str, Value)>,
    /// Watches from before are too old.
    oldest: u64,
    /// Watches of an older cut end.
    cut: u64,
    /// Watches of an older mute say nothing any more.
    mute: u64,
    /// Status codes instead of answers.
    refused: BTreeMap<Verb, u16>,
    hangs: bool,
    token: Option<String>,
    pages: usize,
    exports: bool,
    /// Paths of refused namespaces.
    hidden: BTreeSet<&'static str>,
    /// Paths that are not there.
    lacking: BTreeSet<&'static str>,
    /// Grows with everything above.
    changed: watch::Sender<u64>,
}

/// A running, or stopped, API server.
pub(crate) struct Fake {
    world: Arc<Mutex<World>>,
    address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Fake {
    pub(crate) fn start() -> Self {
        let mut fake = Self::stopped();
        fake.up();
        fake
    }

    /// A server with an address at which nobody listens yet.
    pub(crate) fn stopped() -> Self {
        let free = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let objects = [SERVICES, SLICES, NODES, EXPORTS, CLUSTERS].map(|path| (path, BTreeMap::new()));
        let world = World {
            uid: "first".to_owned(),
            version: 1,
            objects: objects.into(),
            log: Vec::new(),
            oldest: 0,
            cut: 0,
            mute: 0,
            refused: BTreeMap::new(),
            hangs: false,
            token: None,
            pages: 0,
            exports: true,
            hidden: BTreeSet::new(),
            lacking: BTreeSet::new(),
            changed: watch::Sender::new(0),
        };
        Self { world: Arc::new(Mutex::new(world)), address: free.local_addr().unwrap(), runtime: None }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A kubeconfig with the one context `name`.
    pub(crate) fn kubeconfig(&self, name: &str, user: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: {name}\n  cluster: {{server: '{}'}}\ncontexts:\n\
             - name: {name}\n  context: {{cluster: {name}, user: {name}}}\nusers:\n- name: {name}\n  user: {user}\n\
             current-context: {name}\n",
            self.url()
        )
    }

    pub(crate) fn up(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let app = Router::new().fallback(answer).with_state(self.world.clone());
        let address = self.address;
        let (listening, wait) = std::sync::mpsc::channel();
        runtime.spawn(async move {
            let listener = TcpListener::bind(address).await.unwrap();
            listening.send(()).unwrap();
            axum::serve(listener, app).await.unwrap();
        });
        wait.recv().unwrap();
        self.runtime = Some(runtime);
    }

    pub(crate) fn down(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut World)) {
        let mut world = self.world();
        change(&mut world);
        world.changed.send_modify(|changes| *changes += 1);
    }

    pub(crate) fn put(&self, path: &'static str, object: Value) {
        self.change(|world| world.put(path, object));
    }

    pub(crate) fn delete(&self, path: &'static str, key: &str) {
        self.change(|world| {
            let mut object = world.objects.get_mut(path).unwrap().remove(key).unwrap();
            world.version += 1;
            object["metadata"]["resourceVersion"] = json!(world.version.to_string());
            let version = world.version;
            world.log.push((version, path, json!({ "type": "DELETED", "object": object })));
        });
    }

    /// A service with an address, ready or not.
    pub(crate) fn serve(&self, name: &str, address: &str, ready: bool) {
        self.put(SERVICES, service(name, address));
        self.put(SLICES, slice(name, ready));
    }

    /// Every object at once, as one burst.
    pub(crate) fn put_all(&self, objects: Vec<(&'static str, Value)>) {
        self.change(|world| objects.into_iter().for_each(|(path, object)| world.put(path, object)));
    }

    /// Ends all watches and forgets what happened so far, so that clients must list anew.
    pub(crate) fn compact(&self) {
        self.change(|world| {
            world.version += 10;
            world.oldest = world.version;
            world.log.clear();
            world.cut += 1;
        });
    }

    /// Ends all watches.
    pub(crate) fn cut(&self) {
        self.change(|world| world.cut += 1);
    }

    /// The watches that are open stay so and tell nothing, as behind a balancer that has forgotten them.
    pub(crate) fn mute(&self) {
        self.change(|world| world.mute += 1);
    }

    /// All objects are gone, and no watch tells of it.
    pub(crate) fn wipe(&self) {
        self.world().objects.values_mut().for_each(BTreeMap::clear);
        self.compact();
    }

    pub(crate) fn refuse(&self, verbs: &[Verb], code: u16) {
        self.change(|world| world.refused = verbs.iter().map(|verb| (*verb, code)).collect());
    }

    pub(crate) fn hang(&self, hangs: bool) {
        self.change(|world| world.hangs = hangs);
    }

    pub(crate) fn become_cluster(&self, uid: &str) {
        self.change(|world| uid.clone_into(&mut world.uid));
    }

    pub(crate) fn accept_only(&self, token: &str) {
        self.change(|world| world.token = Some(token.to_owned()));
    }

    pub(crate) fn hide(&self, path: &'static str) {
        self.change(|world| _ = world.hidden.insert(path));
    }

    pub(crate) fn lack(&self, path: &'static str) {
        self.change(|world| _ = world.lacking.insert(path));
    }

    pub(crate) fn without_exports(&self, without: bool) {
        self.change(|world| world.exports = !without);
    }

    /// Pages of lists that were asked for.
    pub(crate) fn pages(&self) -> usize {
        self.world().pages
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl World {
    fn put(&mut self, path: &'static str, mut object: Value) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let key = object["metadata"]["namespace"].as_str().map_or(name.clone(), |space| format!("{space}/{name}"));
        let before = self.objects.get_mut(path).unwrap().insert(key, object.clone());
        let what = if before.is_none() { "ADDED" } else { "MODIFIED" };
        self.log.push((self.version, path, json!({ "type": what, "object": object })));
    }
}

pub(crate) fn service(name: &str, address: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": name, "namespace": "shop" },
        "spec": { "type": "LoadBalancer" }, "status": { "loadBalancer": { "ingress": [{ "ip": address }] } },
    })
}

pub(crate) fn slice(service: &str, ready: bool) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "name": format!("{service}-x"), "namespace": "shop", "labels": { "kubernetes.io/service-name": service },
        },
        "endpoints": [{ "addresses": ["10.0.0.1"], "conditions": { "ready": ready } }],
    })
}

pub(crate) fn node(name: &str, region: &str, zone: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": { "name": name, "labels": {
            "topology.kubernetes.io/region": region, "topology.kubernetes.io/zone": zone,
        } },
    })
}

pub(crate) fn export(service: &str) -> Value {
    json!({
        "apiVersion": "multicluster.x-k8s.io/v1alpha1", "kind": "ServiceExport",
        "metadata": { "name": service, "namespace": "shop" },
    })
}

async fn answer(
    State(shared): State<Arc<Mutex<World>>>,
    uri: Uri,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let path = [SERVICES, SLICES, NODES, EXPORTS, CLUSTERS, NAMESPACE].into_iter().find(|path| *path == uri.path());
    let verb = match query.contains_key("watch") {
        true => Verb::Watch,
        false if uri.path() == NAMESPACE => Verb::Get,
        false => Verb::List,
    };
    let hangs = shared.lock().unwrap().hangs;
    if hangs {
        std::future::pending::<()>().await;
    }
    let mut world = shared.lock().unwrap();
    let given = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if world.token.as_ref().is_some_and(|token| given != format!("Bearer {token}")) {
        return refusal(401);
    }
    if let Some(code) = world.refused.get(&verb) {
        return refusal(*code);
    }
    let is_there = |path: &&'static str| (world.exports || *path != EXPORTS) && !world.lacking.contains(path);
    let Some(path) = path.filter(is_there) else { return refusal(404) };
    if world.hidden.contains(path) {
        return refusal(403);
    }
    let number = |key: &str| query.get(key).and_then(|text| text.parse::<u64>().ok());
    match verb {
        Verb::Get => Json(json!({ "metadata": { "name": "kube-system", "uid": world.uid } })).into_response(),
        Verb::List => {
            world.pages += 1;
            let from = number("continue").unwrap_or(0);
            let limit = number("limit").unwrap_or(u64::MAX);
            let all = &world.objects[path];
            let items: Vec<_> = all
                .values()
                .skip(usize::try_from(from).unwrap())
                .take(usize::try_from(limit).unwrap_or(usize::MAX))
                .cloned()
                .map(without_kind)
                .collect();
            let next = from + items.len() as u64;
            let next = if next < all.len() as u64 { next.to_string() } else { String::new() };
            let metadata = json!({ "resourceVersion": world.version.to_string(), "continue": next });
            Json(json!({ "kind": "List", "apiVersion": "v1", "metadata": metadata, "items": items })).into_response()
        }
        Verb::Watch => {
            let from = number("resourceVersion").unwrap();
            if from < world.oldest {
                let status = json!({ "kind": "Status", "status": "Failure", "reason": "Expired", "code": 410,
                    "message": "too old resource version" });
                return Body::from(format!("{}\n", json!({ "type": "ERROR", "object": status }))).into_response();
            }
            let (cut, mute, changed) = (world.cut, world.mute, world.changed.subscribe());
            drop(world);
            let events = stream::unfold((from, changed), move |(from, mut changed)| {
                let shared = shared.clone();
                async move {
                    loop {
                        changed.borrow_and_update();
                        let news = {
                            let world = shared.lock().unwrap();
                            if world.cut != cut {
                                return None;
                            }
                            let log =
                                if world.hangs || world.mute != mute { [].as_slice() } else { world.log.as_slice() };
                            let news = log.iter().filter(|(version, of, _)| *version > from && *of == path);
                            let lines: Vec<_> = news.map(|(_, _, event)| event.to_string()).collect();
                            let text = lines.into_iter().map(|line| line + "\n").collect::<String>();
                            (!text.is_empty()).then_some((text, world.version))
                        };
                        if let Some((text, version)) = news {
                            return Some((Ok::<_, std::io::Error>(Bytes::from(text)), (version, changed)));
                        }
                        changed.changed().await.ok()?;
                    }
                }
            });
            Body::from_stream(events).into_response()
        }
    }
}

/// Objects of a list do not repeat their kind.
fn without_kind(mut object: Value) -> Value {
    let fields = object.as_object_mut().unwrap();
    fields.remove("kind");
    fields.remove("apiVersion");
    object
}

fn refusal(code: u16) -> Response {
    let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
        "message": format!("refused by the test with {code}"), "reason": "Test" });
    (StatusCode::from_u16(code).unwrap(), Json(status)).into_response()
}
