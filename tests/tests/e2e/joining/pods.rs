//! Pods of both members ask by short names as C libraries do, each in the CoreDNS of its own cluster: with the Corefile
//! that `join` left there, and its plugin `kubernetes` on that cluster's API server.

use std::time::Duration;

use dns_conformance::servers::{CoreDns, KubeUser, query};
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::stage::{COREFILE, Stage, is_said};
use crate::members::NAMESPACE;
use crate::real::Cluster;
use crate::short_names::pod::{assert_is_chain, resolve};
use crate::short_names::{NoData, NoName, These, Want, assert_resolves, assert_srv, forms};
use crate::truth::{FEDERATION, ZONE};

/// Between two looks, and looks before something counts as never coming: a minute, as answers may be kept for 30 s.
const PAUSE: Duration = Duration::from_millis(50);
const LOOKS: u32 = 1200;

/// Addresses of load balancers.
const BOTH: [&[&str]; 2] = [&["198.51.100.11"], &["192.0.2.11"]];
const WEST: &[&str] = &["198.51.100.12", "2001:db8:1::12"];
const EAST: &[&str] = &["192.0.2.12", "2001:db8:2::12"];
const IDLE: [&[&str]; 2] = [&["198.51.100.13"], &["192.0.2.13", "2001:db8:2::13"]];

/// Writes a service with a port `http` of the federation's namespace, with or without a ready endpoint.
async fn put(cluster: &Cluster, name: &str, cluster_ip: &str, is_ready: bool, balancer: &[&str]) {
    let metadata = json!({ "name": name, "namespace": NAMESPACE });
    let labels = json!({ "kubernetes.io/service-name": name });
    cluster
        .write(&json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": { "name": format!("{name}-x"), "namespace": NAMESPACE, "labels": labels },
            "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }],
            "endpoints": [{ "addresses": ["10.9.0.1"], "conditions": { "ready": is_ready } }],
        }))
        .await;
    let ports = json!([{ "name": "http", "port": 80, "protocol": "TCP" }]);
    cluster
        .write(&json!({
            "apiVersion": "v1", "kind": "Service", "metadata": metadata,
            "spec": { "type": "LoadBalancer", "clusterIP": cluster_ip, "ports": ports },
        }))
        .await;
    let ingress: Vec<_> = balancer.iter().map(|address| json!({ "ip": address })).collect();
    let status = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": metadata,
        "status": { "loadBalancer": { "ingress": ingress } },
    });
    let parameters = PatchParams::apply("test").force();
    cluster.of(&status).patch_status(name, &parameters, &Patch::Apply(&status)).await.unwrap();
}

/// The DNS of a world in which there is no name.
pub(super) async fn empty_world() -> CoreDns {
    CoreDns::start(
        ".:{port} {\n bind 127.0.0.1\n template ANY ANY . {\n  rcode NXDOMAIN\n  authority \". 60 IN SOA a. b. 1 1 1 1 60\"\n \
         }\n}\n",
    )
    .await
}

/// CoreDNS as it runs in the member, but for its ports, its way to the API server, who tells it of the rest of the world
/// and what nobody asks here. `blocks` of its Corefile know the cluster's names.
pub(super) async fn cluster_dns(stage: &Stage, cluster: &Cluster, world: &CoreDns, blocks: usize) -> CoreDns {
    let kubeconfig = stage.path(&format!("{}.coredns.kubeconfig", cluster.api.name()));
    std::fs::write(&kubeconfig, cluster.api.kubeconfig(KubeUser::Admin)).unwrap();
    let found = Stage::config_map(cluster, "coredns").await["Corefile"].as_str().unwrap().to_owned();
    let adapted = found
        .replace("    health {\n       lameduck 5s\n    }\n    ready\n", "")
        .replace("    prometheus :9153\n", "")
        .replace("forward . /etc/resolv.conf", &format!("forward . {}", world.address()))
        .replace("    loop\n", "");
    assert_eq!(adapted.matches("\n    kubernetes cluster.local ").count(), blocks, "{found}");
    CoreDns::start_made(|[port, inner]| {
        let text = adapted.replace(":53 ", &format!(":{port} ")).replace("10531", &inner.to_string());
        let line = |line: &str| match line {
            _ if line.starts_with("    kubernetes ") => {
                format!("{line}\n       kubeconfig {}\n", kubeconfig.display())
            }
            _ if !line.starts_with(' ') && line.ends_with(&format!(":{port} {{")) => {
                format!("{line}\n    bind 127.0.0.1\n")
            }
            _ => format!("{line}\n"),
        };
        text.lines().map(line).collect::<Vec<_>>().concat()
    })
    .await
}

/// Waits until a name is said to have these addresses and no others, and lets nothing else through meanwhile but `before`.
pub(super) async fn until(dns: &CoreDns, name: &str, rr_type: &str, after: &[&str], before: &[&[&str]]) {
    let mut last = None;
    for _ in 0..LOOKS {
        let answer = query(dns.address(), name, rr_type).await;
        let mut found = answer.addresses();
        found.sort();
        if found == after && is_said(&answer) {
            return;
        }
        let is_known = before.is_empty() || before.iter().any(|before| found == *before);
        assert!(is_known, "{name} {rr_type}: {answer:?}\n{}", dns.log());
        last = Some(answer);
        tokio::time::sleep(PAUSE).await;
    }
    panic!("{name} {rr_type} is never {after:?} but {last:?}; log of CoreDNS:\n{}", dns.log());
}

/// Waits until the federation's own servers say so of the service's global name.
async fn until_published(stage: &Stage, service: &str, rr_type: &str, addresses: &[&str]) {
    let name = format!("{service}.{NAMESPACE}.{FEDERATION}.svc.{ZONE}.");
    until(&stage.coredns, &name, rr_type, addresses, &[]).await;
}

async fn assert_table(dns: &CoreDns, table: &[(&str, &str, Want)]) {
    for (prefix, rr_type, want) in table {
        assert_resolves(dns, prefix, rr_type, *want).await;
    }
}

/// The next door first; what is not ready there is found through the name of the own zone; what is nowhere is nowhere.
/// A change is followed, and who leaves has no short names any more and is found by nobody.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KUBE_APISERVER_BIN, ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn pods_of_each_member_find_the_service_next_door_and_else_the_federations() {
    let mut stage = Stage::new().await;
    let world = empty_world().await;
    put(&stage.us, "both", "10.0.7.1", true, BOTH[0]).await;
    put(&stage.eu, "both", "10.0.8.1", true, BOTH[1]).await;
    put(&stage.us, "west", "10.0.7.2", true, WEST).await;
    put(&stage.eu, "east", "10.0.8.2", true, EAST).await;
    put(&stage.us, "idle", "10.0.7.3", false, IDLE[0]).await;
    put(&stage.eu, "idle", "10.0.8.3", true, IDLE[1]).await;
    let init = stage.init();
    stage.does(&init).await;
    stage.start_pods().await;
    for cluster in ["eu", "us"] {
        stage.does(&format!("join {cluster} --host-cluster-context=host")).await;
    }
    until_published(&stage, "both", "A", &[BOTH[1][0], BOTH[0][0]]).await;
    for (service, addresses) in [("west", WEST), ("east", EAST), ("idle", IDLE[1])] {
        until_published(&stage, service, "A", &addresses[..1]).await;
        until_published(&stage, service, "AAAA", &addresses[1..]).await;
    }

    let us = cluster_dns(&stage, &stage.us, &world, 2).await;
    let eu = cluster_dns(&stage, &stage.eu, &world, 2).await;
    for (dns, address) in [(&us, "10.0.7.1"), (&eu, "10.0.8.1")] {
        // Both blocks read the API server, each for itself.
        until(dns, &format!("both.{NAMESPACE}.svc.cluster.local."), "A", &[address], &[]).await;
        until(dns, &format!("both.{NAMESPACE}.{FEDERATION}."), "A", &[address], &[]).await;
    }
    let nowhere: Vec<_> = ["A", "AAAA"].map(|rr_type| ("nowhere", rr_type, NoName)).into();
    let in_us = [
        ("both", "A", These(&["10.0.7.1"])),
        ("both", "AAAA", NoData),
        ("west", "A", These(&["10.0.7.2"])),
        ("west", "AAAA", NoData),
        ("east", "A", These(&["192.0.2.12"])),
        ("east", "AAAA", These(&["2001:db8:2::12"])),
        ("idle", "A", These(&["192.0.2.13"])),
        ("idle", "AAAA", These(&["2001:db8:2::13"])),
        ("_http._tcp.east", "SRV", NoName),
        ("_http._tcp.idle", "SRV", NoName),
        ("_http._tcp.nowhere", "SRV", NoName),
    ];
    let in_eu = [
        ("both", "A", These(&["10.0.8.1"])),
        ("both", "AAAA", NoData),
        ("west", "A", These(&["198.51.100.12"])),
        ("west", "AAAA", These(&["2001:db8:1::12"])),
        ("east", "A", These(&["10.0.8.2"])),
        ("idle", "A", These(&["10.0.8.3"])),
        ("idle", "AAAA", NoData),
        ("_http._tcp.west", "SRV", NoName),
        ("_http._tcp.nowhere", "SRV", NoName),
    ];
    for (dns, table) in [(&us, in_us.as_slice()), (&eu, &in_eu)] {
        assert_table(dns, &nowhere).await;
        assert_table(dns, table).await;
    }
    for (dns, prefix, address) in [
        (&us, "_http._tcp.both", "10.0.7.1"),
        (&us, "_http._tcp.west", "10.0.7.2"),
        (&eu, "_http._tcp.both", "10.0.8.1"),
        (&eu, "_http._tcp.idle", "10.0.8.3"),
    ] {
        assert_srv(dns, prefix, 80, address).await;
    }
    for (dns, service, region) in [(&us, "idle", "us"), (&eu, "west", "eu")] {
        assert_asks_own_zone(dns, service, region).await;
    }

    follows_a_change(&mut stage, &us, &eu).await;
    without_a_member(&mut stage, &world).await;
}

/// What is not local is asked for by the name of the own zone, which leads on to that of the own region.
async fn assert_asks_own_zone(dns: &CoreDns, service: &str, region: &str) {
    let (_, answer) = resolve(dns.address(), NAMESPACE, &format!("{service}.{NAMESPACE}.{FEDERATION}"), "A").await;
    let next = format!("{service}.{NAMESPACE}.{FEDERATION}.svc.{region}.{ZONE}.");
    let owners: Vec<_> = answer.answers.iter().map(|record| record.name.to_ascii().to_lowercase()).collect();
    assert!(owners.contains(&next), "{service} does not lead to {next}: {owners:?}");
}

/// Endpoints go away and come back: each pod is led on and home again, and nobody is ever answered anything else.
async fn follows_a_change(stage: &mut Stage, us: &CoreDns, eu: &CoreDns) {
    let (all, eu_alone) = ([BOTH[1][0], BOTH[0][0]], BOTH[1]);
    let home: &[&str] = &["10.0.7.1"];
    put(&stage.us, "both", "10.0.7.1", false, BOTH[0]).await;
    for form in forms("both").iter().filter(|form| form.ends_with('.')) {
        // Until the daemon has seen it as well, the own zone's name leads to the cluster itself.
        until(us, form, "A", eu_alone, &[home, BOTH[0]]).await;
    }
    until_published(stage, "both", "A", eu_alone).await;
    assert_resolves(us, "both", "A", These(&["192.0.2.11"])).await;
    assert_resolves(us, "_http._tcp.both", "SRV", NoName).await;
    assert_resolves(eu, "both", "A", These(&["10.0.8.1"])).await;

    put(&stage.us, "both", "10.0.7.1", true, BOTH[0]).await;
    for form in forms("both").iter().filter(|form| form.ends_with('.')) {
        until(us, form, "A", home, &[eu_alone, BOTH[0]]).await;
    }
    until_published(stage, "both", "A", &all).await;
    assert_resolves(us, "both", "A", These(&["10.0.7.1"])).await;
    assert_srv(us, "_http._tcp.both", 80, "10.0.7.1").await;
    assert_resolves(eu, "both", "A", These(&["10.0.8.1"])).await;
}

/// The member `us` leaves.
async fn without_a_member(stage: &mut Stage, world: &CoreDns) {
    stage.does("unjoin us --host-cluster-context=host").await;
    assert_eq!(Stage::config_map(&stage.us, "coredns").await["Corefile"], COREFILE);
    until_published(stage, "both", "A", BOTH[1]).await;
    until_published(stage, "west", "A", &[]).await;
    let us = cluster_dns(stage, &stage.us, world, 1).await;
    let eu = cluster_dns(stage, &stage.eu, world, 2).await;
    until(&us, &format!("both.{NAMESPACE}.svc.cluster.local."), "A", &["10.0.7.1"], &[]).await;
    until(&eu, &format!("both.{NAMESPACE}.{FEDERATION}."), "A", &["10.0.8.1"], &[]).await;
    for service in ["both", "west", "east", "idle"] {
        assert_resolves(&us, service, "A", NoName).await;
    }
    let (name, answer) = resolve(us.address(), NAMESPACE, "both", "A").await;
    assert_eq!(answer.addresses(), ["10.0.7.1"], "a pod's own services are found as ever: {name}");
    assert_is_chain(&name, &answer);

    for rr_type in ["A", "AAAA"] {
        assert_resolves(&eu, "west", rr_type, NoName).await;
    }
    for (service, address) in [("both", &["10.0.8.1"]), ("east", &["10.0.8.2"]), ("idle", &["10.0.8.3"])] {
        assert_resolves(&eu, service, "A", These(address)).await;
    }
    put(&stage.eu, "both", "10.0.8.1", false, BOTH[1]).await;
    for form in forms("both").iter().filter(|form| form.ends_with('.')) {
        // Nobody is led to a cluster that has left, though its service is ready.
        until(&eu, form, "A", &[], &[&["10.0.8.1"], BOTH[1]]).await;
    }
}
