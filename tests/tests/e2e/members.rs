//! Member clusters as the manifests that the daemon watches.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

/// The namespace of every service here.
pub(crate) const NAMESPACE: &str = "shop";

/// A member cluster with one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) region: String,
    pub(crate) zone: String,
    pub(crate) services: BTreeMap<String, Service>,
}

/// A cluster's copy of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) addresses: Vec<String>,
    pub(crate) ready: bool,
}

impl Member {
    /// A cluster without services in the region of its own name and the zone `NAME-a`.
    pub(crate) fn new(name: &str) -> Self {
        let zone = format!("{name}-a");
        Self { name: name.to_owned(), region: name.to_owned(), zone, services: BTreeMap::new() }
    }

    /// The same with a ready service.
    pub(crate) fn with(mut self, service: &str, addresses: &[&str]) -> Self {
        let addresses = addresses.iter().map(ToString::to_string).collect();
        self.services.insert(service.to_owned(), Service { addresses, ready: true });
        self
    }

    /// The same with a service that has, or has not, a ready endpoint.
    pub(crate) fn ready(mut self, service: &str, ready: bool) -> Self {
        self.services.get_mut(service).unwrap().ready = ready;
        self
    }

    /// The same without a service.
    pub(crate) fn without(mut self, service: &str) -> Self {
        self.services.remove(service).unwrap();
        self
    }

    /// What clients see of a cluster whose addresses are withdrawn: its places alone.
    pub(crate) fn withdrawn(mut self) -> Self {
        for service in self.services.values_mut() {
            service.ready = false;
        }
        self
    }

    /// Its objects, as `kubectl get -o json` prints them.
    fn manifests(&self) -> String {
        let labels = json!({
            "topology.kubernetes.io/region": self.region,
            "topology.kubernetes.io/zone": self.zone,
        });
        let mut items = vec![json!({
            "apiVersion": "v1", "kind": "Node", "metadata": { "name": format!("{}-1", self.name), "labels": labels },
        })];
        for (name, service) in &self.services {
            items.extend(service.objects(name));
        }
        json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string()
    }
}

impl Service {
    fn objects(&self, name: &str) -> [Value; 2] {
        let ingress: Vec<_> = self.addresses.iter().map(|address| json!({ "ip": address })).collect();
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": name, "namespace": NAMESPACE },
            "spec": { "type": "LoadBalancer" }, "status": { "loadBalancer": { "ingress": ingress } },
        });
        let labels = json!({ "kubernetes.io/service-name": name });
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": { "name": format!("{name}-x"), "namespace": NAMESPACE, "labels": labels },
            "endpoints": [{ "addresses": ["10.0.0.1"], "conditions": { "ready": self.ready } }],
        });
        [service, slice]
    }
}

/// The folder `clusters/` of the daemon.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(path: PathBuf) -> Self {
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// Puts a cluster's manifests there at once, as careful writers do.
    pub(crate) fn put(&self, member: &Member) {
        self.replace(&member.name, &member.manifests());
    }

    pub(crate) fn put_all<'a>(&self, members: impl IntoIterator<Item = &'a Member>) {
        for member in members {
            self.put(member);
        }
    }

    /// Leaves half of a cluster's manifests, as a writer that died does.
    pub(crate) fn tear(&self, member: &Member) {
        let whole = member.manifests();
        self.replace(&member.name, &whole[..whole.len() / 2]);
    }

    pub(crate) fn remove(&self, member: &Member) {
        std::fs::remove_file(self.file(&member.name)).unwrap();
    }

    fn replace(&self, name: &str, text: &str) {
        let new = self.0.join(format!(".{name}.new"));
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.file(name)).unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.json"))
    }
}
