//! A member cluster with its DNS, and the federation's DNS servers.

use std::time::Duration;

use dns_conformance::servers::{CoreDns, Etcd, EtcdVersion, KubeUser, try_query};
use dns_syncd::cluster_dns::{Place, ShortNames, coredns};
use serde_json::json;
use tempfile::TempDir;

use crate::members::{Member, NAMESPACE};
use crate::real::Cluster;
use crate::truth::{FEDERATION, ZONE};

/// Between two looks, and looks before something counts as never coming.
pub(super) const PAUSE: Duration = Duration::from_millis(50);
pub(super) const TRIES: u32 = 600;

/// A member cluster in `us-a` of `us`, the federation's two DNS servers, and a resolver of the rest of the world.
pub(super) struct Town {
    pub(super) cluster: Cluster,
    etcd: Etcd,
    pub(super) federation: [CoreDns; 2],
    pub(super) world: CoreDns,
    pub(super) folder: TempDir,
}

/// A service's endpoints.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoints {
    Ready,
    Unready,
    None,
}
pub(super) use Endpoints::{None as Missing, Ready, Unready};

/// The headless form, in which the endpoints' own addresses are the service's.
pub(super) const HEADLESS: &str = "None";
pub(super) const POD: &str = "10.9.0.1";

impl Town {
    pub(super) async fn start() -> Self {
        let etcd = Etcd::start(EtcdVersion::V3_6).await;
        let cluster = Cluster::start(&etcd, &Member::new("us")).await;
        let federation = [CoreDns::on_etcd(&[ZONE], &etcd.url()).await, CoreDns::on_etcd(&[ZONE], &etcd.url()).await];
        let world = CoreDns::start(
            ".:{port} {\n bind 127.0.0.1\n template IN A www.example.org {\n  answer \"{{ .Name }} 60 IN A 203.0.113.80\"\n \
             }\n template ANY ANY . {\n  rcode NXDOMAIN\n  authority \". 60 IN SOA a. b. 1 1 1 1 60\"\n }\n}\n",
        )
        .await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("kubeconfig"), cluster.api.kubeconfig(KubeUser::Admin)).unwrap();
        Self { cluster, etcd, federation, world, folder }
    }

    /// The Corefile of the member before it joins.
    pub(super) fn corefile(&self, port: u16) -> String {
        let kubeconfig = self.folder.path().join("kubeconfig");
        let (kubeconfig, world) = (kubeconfig.display(), self.world.address());
        format!(
            ".:{port} {{\n    bind 127.0.0.1\n    errors\n    kubernetes cluster.local in-addr.arpa ip6.arpa {{\n       \
             kubeconfig {kubeconfig}\n       pods insecure\n       fallthrough in-addr.arpa ip6.arpa\n       ttl 30\n    \
             }}\n    forward . {world}\n    cache 30\n    loop\n    reload\n    loadbalance\n}}\n"
        )
    }

    pub(super) fn names(&self, federation: &str) -> ShortNames {
        ShortNames {
            federation: federation.to_owned(),
            cluster_domain: "cluster.local".to_owned(),
            zone_name: ZONE.to_owned(),
            suffix: ZONE.to_owned(),
            place: Place::Zone { zone: "us-a".to_owned(), region: "us".to_owned() },
            servers: self.federation.iter().map(CoreDns::address).collect(),
        }
    }

    /// The member's DNS with the short names, once it has seen the API server's services.
    pub(super) async fn joined(&self, names: &ShortNames) -> CoreDns {
        let dns =
            CoreDns::start_made(|[port, inner]| on_port(&coredns::add(&self.corefile(port), names).unwrap(), inner))
                .await;
        self.put(NAMESPACE, "known", "10.0.7.99", Ready).await;
        until(&dns, &format!("known.{NAMESPACE}.{}.", names.federation), &["10.0.7.99"]).await;
        until(&dns, &format!("known.{NAMESPACE}.svc.cluster.local."), &["10.0.7.99"]).await;
        dns
    }

    /// Writes a service with a port `http`.
    pub(super) async fn put(&self, namespace: &str, name: &str, address: &str, endpoints: Endpoints) {
        let metadata = json!({ "name": name, "namespace": namespace });
        self.cluster
            .write(&json!({
                "apiVersion": "v1", "kind": "Service", "metadata": metadata,
                "spec": { "clusterIP": address, "ports": [{ "name": "http", "port": 80, "protocol": "TCP" }] },
            }))
            .await;
        if endpoints == Missing {
            return;
        }
        let labels = json!({ "kubernetes.io/service-name": name });
        self.cluster
            .write(&json!({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                "metadata": { "name": format!("{name}-x"), "namespace": namespace, "labels": labels },
                "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }],
                "endpoints": [{
                    "addresses": [POD], "hostname": "pod-0", "conditions": { "ready": endpoints == Ready },
                }],
            }))
            .await;
    }

    pub(super) async fn namespace(&self, name: &str) {
        self.cluster.write(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } })).await;
    }

    /// What the federation's DNS says of a service: addresses below the domain, which is written from the right.
    pub(super) async fn publish(&self, domain: &str, service: &str, addresses: &[&str]) {
        let labels: Vec<_> = format!("{service}.{domain}").split('.').rev().map(str::to_owned).collect();
        for (index, address) in addresses.iter().enumerate() {
            let key = format!("/skydns/{}/x{index}", labels.join("/"));
            self.etcd.put(&key, &json!({ "host": address, "ttl": 60 }).to_string()).await;
        }
    }
}

/// The federation's names of services in the namespace, as a member of `us-a` asks for them.
pub(super) fn own_domain() -> String {
    format!("{NAMESPACE}.{FEDERATION}.svc.us-a.us.{ZONE}")
}

/// Puts a free port of loopback for the inner one that was written: tests run side by side.
pub(super) fn on_port(corefile: &str, inner: u16) -> String {
    corefile.replace("10531", &inner.to_string())
}

/// Asks until the addresses are these.
pub(super) async fn until(dns: &CoreDns, name: &str, addresses: &[&str]) {
    for _ in 0..TRIES {
        if let Ok(answer) = try_query(dns.address(), name, "A").await
            && answer.addresses() == addresses
        {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("{name} is never {addresses:?}; the log of CoreDNS:\n{}", dns.log());
}
