//! A real API server with many services, and the one change that is made to it.

use std::net::Ipv4Addr;

use anyhow::Context as _;
use dns_conformance::servers::{Etcd, EtcdVersion, KubeApi, KubeUser};
use etcd_client::{Client as EtcdClient, Txn, TxnOp};
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Config};
use serde_json::{Value, json};

/// Name of the cluster, of its context and of its prefix in etcd.
const NAME: &str = "east";
/// Services are spread over so many namespaces.
const NAMESPACES: u32 = 50;
/// Objects in a transaction that writes them.
const PUTS: usize = 100;

/// The cluster.
pub(super) struct Cluster {
    pub(super) api: KubeApi,
    client: Client,
    _etcd: Etcd,
}

/// Where a service stands in DNS, below the federation.
pub(super) fn namespace(number: u32) -> String {
    format!("ns-{}", number % NAMESPACES)
}

pub(super) fn name(number: u32) -> String {
    format!("svc-{number}")
}

/// The address of a service after so many changes.
pub(super) fn address(number: u32, edition: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits((11 + edition) << 24 | number)
}

impl Cluster {
    /// An API server on an etcd of its own, with the services in it. While it is down they are written into its etcd as
    /// JSON, as the oldest API servers did: creating 100,000 objects through the API would take many minutes.
    pub(super) async fn start(services: u32) -> anyhow::Result<Self> {
        let etcd = Etcd::start(EtcdVersion::V3_6).await;
        let mut api = KubeApi::start(&etcd, NAME).await;
        api.kill();
        let mut client = etcd.client().await;
        let mut puts = Vec::new();
        puts.extend([put(&format!("minions/{NAME}-1"), &node())]);
        for number in 0..NAMESPACES {
            let name = namespace(number);
            let object = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": metadata(&name, None, number) });
            puts.push(put(&format!("namespaces/{name}"), &object));
        }
        for number in 0..services {
            let (namespace, name) = (namespace(number), name(number));
            puts.push(put(&format!("services/specs/{namespace}/{name}"), &service(number)));
            puts.push(put(&format!("endpointslices/{namespace}/{name}-x"), &slice(number)));
            if puts.len() >= PUTS {
                write(&mut client, &mut puts).await?;
            }
        }
        write(&mut client, &mut puts).await?;
        api.restart().await;
        let kubeconfig = Kubeconfig::from_yaml(&api.kubeconfig(KubeUser::Admin))?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        Ok(Self { api, client: Client::try_from(config)?, _etcd: etcd })
    }

    /// A kubeconfig with which everything may be read.
    pub(super) fn kubeconfig(&self) -> String {
        self.api.kubeconfig(KubeUser::Admin)
    }

    /// Gives the load balancer of a service another address, as its controller would.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub(super) async fn change(&self, number: u32, address: Ipv4Addr) -> anyhow::Result<()> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Service"));
        let services: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &namespace(number), &resource);
        let status = json!({ "status": { "loadBalancer": { "ingress": [{ "ip": address, "ipMode": "VIP" }] } } });
        let patched = services.patch_status(&name(number), &PatchParams::default(), &Patch::Merge(&status)).await;
        patched.with_context(|| format!("changing {}", name(number)))?;
        Ok(())
    }

    /// Lists of services and slices that the API server has answered.
    ///
    /// # Errors
    /// When it does not tell.
    pub(super) async fn lists(&self) -> anyhow::Result<u64> {
        let request = kube::core::Request::new("/metrics").list(&kube::api::ListParams::default())?;
        let text = self.client.request_text(request).await?;
        let requests = text.lines().filter(|line| line.starts_with("apiserver_request_total{"));
        let of_interest = requests.filter(|line| {
            let resources = ["resource=\"services\"", "resource=\"endpointslices\"", "resource=\"nodes\""];
            line.contains("verb=\"LIST\"") && resources.iter().any(|resource| line.contains(resource))
        });
        let counts = of_interest.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of requests")]
        Ok(counts.sum::<f64>() as u64)
    }
}

fn put(key: &str, object: &Value) -> TxnOp {
    TxnOp::put(format!("/{NAME}/{key}"), object.to_string(), None)
}

async fn write(client: &mut EtcdClient, puts: &mut Vec<TxnOp>) -> anyhow::Result<()> {
    if !puts.is_empty() {
        client.txn(Txn::new().and_then(std::mem::take(puts))).await?;
    }
    Ok(())
}

fn metadata(name: &str, namespace: Option<&str>, number: u32) -> Value {
    let mut metadata = json!({
        "name": name,
        "uid": format!("00000000-0000-4000-8000-{number:012x}"),
        "creationTimestamp": "2026-01-01T00:00:00Z",
    });
    if let Some(namespace) = namespace {
        metadata["namespace"] = namespace.into();
    }
    metadata
}

fn node() -> Value {
    let mut metadata = metadata(&format!("{NAME}-1"), None, 0);
    metadata["labels"] = json!({ "topology.kubernetes.io/region": "region", "topology.kubernetes.io/zone": "zone" });
    json!({ "apiVersion": "v1", "kind": "Node", "metadata": metadata })
}

/// As a cloud's controller leaves it; without an address inside the cluster, which nobody uses here.
fn service(number: u32) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": metadata(&name(number), Some(&namespace(number)), number),
        "spec": {
            "type": "LoadBalancer", "selector": { "app": name(number) }, "sessionAffinity": "None",
            "externalTrafficPolicy": "Cluster", "internalTrafficPolicy": "Cluster", "allocateLoadBalancerNodePorts": false,
            "clusterIP": "None", "clusterIPs": ["None"], "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
            "ports": [{ "name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080 }],
        },
        "status": { "loadBalancer": { "ingress": [{ "ip": address(number, 0), "ipMode": "VIP" }] } },
    })
}

fn slice(number: u32) -> Value {
    let (name, namespace) = (name(number), namespace(number));
    let mut metadata = metadata(&format!("{name}-x"), Some(&namespace), number);
    metadata["labels"] = json!({ "kubernetes.io/service-name": name });
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata, "addressType": "IPv4",
        "endpoints": [{ "addresses": ["10.1.2.3"], "conditions": { "ready": true } }],
        "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }],
    })
}
