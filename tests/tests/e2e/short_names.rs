//! Pods of a member that ask by short names, as its cluster DNS answers them after `join`: a real CoreDNS on a real API
//! server, with the Corefile that `dns_syncd::cluster_dns` writes, and the federation's own DNS servers behind it.

pub(crate) mod pod;
mod town;

use dns_conformance::servers::{Answer, CoreDns, query};
use dns_syncd::cluster_dns::{Place, coredns, custom};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RData;
use serde_json::json;

use self::pod::{assert_is_chain, assert_is_negative, resolve};
use self::town::{HEADLESS, Missing, PAUSE, POD, Ready, TRIES, Town, Unready, on_port, own_domain, until};
use crate::members::NAMESPACE;
use crate::truth::{FEDERATION, ZONE};

/// What a pod gets.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Want {
    These(&'static [&'static str]),
    NoData,
    NoName,
}
pub(crate) use Want::{NoData, NoName, These};

/// The four ways to write a short name.
pub(crate) fn forms(prefix: &str) -> [String; 4] {
    let name = format!("{prefix}.{NAMESPACE}.{FEDERATION}");
    [name.clone(), format!("{name}."), format!("{name}.svc.cluster.local"), format!("{name}.svc.cluster.local.")]
}

pub(crate) async fn assert_resolves(dns: &CoreDns, prefix: &str, rr_type: &str, want: Want) {
    for form in forms(prefix) {
        let (name, answer) = resolve(dns.address(), NAMESPACE, &form, rr_type).await;
        match want {
            These(addresses) => {
                assert_eq!(answer.addresses(), addresses, "{form} {rr_type}, {name}: {answer:?}\n{}", dns.log());
                assert_is_chain(&name, &answer);
            }
            NoData => assert_is_negative(&name, &answer, ResponseCode::NoError),
            NoName => assert_is_negative(&name, &answer, ResponseCode::NXDomain),
        }
    }
}

/// A pod finds the local service while it has ready endpoints, else what the federation says about its own zone.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KUBE_APISERVER_BIN, ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn the_local_service_is_preferred_while_it_is_ready() {
    let town = Town::start().await;
    town.put(NAMESPACE, "ready", "10.0.7.1", Ready).await;
    town.put(NAMESPACE, "unready", "10.0.7.2", Unready).await;
    town.put(NAMESPACE, "bare", "10.0.7.3", Missing).await;
    town.put(NAMESPACE, "headless", HEADLESS, Ready).await;
    town.put(NAMESPACE, "headless-unready", HEADLESS, Unready).await;
    town.put(NAMESPACE, "headless-bare", HEADLESS, Missing).await;
    town.put(NAMESPACE, "lonely", "10.0.7.4", Unready).await;
    town.cluster
        .write(&json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": "alias", "namespace": NAMESPACE },
            "spec": { "type": "ExternalName", "externalName": "www.example.org" },
        }))
        .await;
    let domain = own_domain();
    for service in ["ready", "unready", "bare", "headless", "headless-unready", "headless-bare", "alias", "remote"] {
        town.publish(&domain, service, &["192.0.2.1", "2001:db8::1"]).await;
    }
    town.publish(&domain, "four", &["192.0.2.4"]).await;
    town.publish(&domain, "six", &["2001:db8::6"]).await;
    // A service that runs in no cluster of this zone: its zone's name leads to the next level.
    town.publish(&domain, "far", &[&format!("far.{NAMESPACE}.{FEDERATION}.svc.us.{ZONE}")]).await;
    let dns = town.joined(&town.names(FEDERATION)).await;

    let table = [
        ("ready", "A", These(&["10.0.7.1"])),
        ("ready", "AAAA", NoData),
        ("ready", "TXT", NoData),
        ("unready", "A", These(&["192.0.2.1"])),
        ("unready", "AAAA", These(&["2001:db8::1"])),
        ("bare", "A", These(&["192.0.2.1"])),
        ("bare", "AAAA", These(&["2001:db8::1"])),
        ("headless", "A", These(&[POD])),
        ("headless", "AAAA", NoData),
        ("headless-unready", "A", These(&["192.0.2.1"])),
        ("headless-unready", "AAAA", These(&["2001:db8::1"])),
        ("headless-bare", "A", These(&["192.0.2.1"])),
        ("alias", "A", These(&["203.0.113.80"])),
        ("remote", "A", These(&["192.0.2.1"])),
        ("remote", "AAAA", These(&["2001:db8::1"])),
        ("four", "A", These(&["192.0.2.4"])),
        ("four", "AAAA", NoData),
        ("six", "A", NoData),
        ("six", "AAAA", These(&["2001:db8::6"])),
        ("lonely", "A", NoName),
        ("lonely", "AAAA", NoName),
        ("nowhere", "A", NoName),
        ("nowhere", "AAAA", NoName),
        ("_http._tcp.unready", "SRV", NoName),
        ("_http._tcp.remote", "SRV", NoName),
        ("_http._tcp.nowhere", "SRV", NoName),
        ("_other._tcp.ready", "SRV", NoName),
    ];
    for (prefix, rr_type, want) in table {
        assert_resolves(&dns, prefix, rr_type, want).await;
    }

    let region = format!("{NAMESPACE}.{FEDERATION}.svc.us.{ZONE}");
    town.publish(&region, "far", &["192.0.2.7"]).await;
    assert_resolves(&dns, "far", "A", These(&["192.0.2.7"])).await;

    assert_srv(&dns, "_http._tcp.ready", 80, "10.0.7.1").await;
    assert_srv(&dns, "ready", 80, "10.0.7.1").await;
    assert_srv(&dns, "_http._tcp.headless", 8080, POD).await;

    // Upper case comes back as it was sent.
    let upper = format!("READY.{NAMESPACE}.{}.", FEDERATION.to_uppercase());
    assert_eq!(query(dns.address(), &upper, "A").await.addresses(), ["10.0.7.1"]);

    many_addresses_come_over_tcp(&town, &dns).await;
    ready_and_not_and_ready_again(&town, &dns).await;
}

/// The targets of the records can be asked for, and are the local service.
pub(crate) async fn assert_srv(dns: &CoreDns, prefix: &str, port: u16, address: &str) {
    for form in forms(prefix).into_iter().filter(|form| form.ends_with('.')) {
        let answer = query(dns.address(), &form, "SRV").await;
        assert_is_chain(&form, &answer);
        let RData::SRV(srv) = &answer.answers.first().unwrap_or_else(|| panic!("{form}: {answer:?}")).data else {
            panic!("{form}: {answer:?}");
        };
        assert_eq!(srv.port, port, "{form}");
        assert_eq!(query(dns.address(), &srv.target.to_ascii(), "A").await.addresses(), [address], "{form}: {srv:?}");
    }
}

/// More addresses than an UDP answer holds: it says so, and TCP has them all.
async fn many_addresses_come_over_tcp(town: &Town, dns: &CoreDns) {
    let addresses: Vec<_> = (1..=120).map(|index| format!("198.51.100.{index}")).collect();
    let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
    town.publish(&own_domain(), "many", &addresses).await;
    for form in forms("many").into_iter().filter(|form| form.ends_with('.')) {
        let answer = query(dns.address(), &form, "A").await;
        assert!(answer.truncated, "{form}");
        assert_eq!(answer.addresses().len(), 120, "{form}");
    }
}

/// A change of the endpoints changes the answer, which meanwhile is one of the two.
async fn ready_and_not_and_ready_again(town: &Town, dns: &CoreDns) {
    let ways = [(Unready, "192.0.2.1", "10.0.7.1"), (Ready, "10.0.7.1", "192.0.2.1")];
    for (endpoints, after, before) in ways {
        town.put(NAMESPACE, "ready", "10.0.7.1", endpoints).await;
        for form in forms("ready") {
            for _ in 0..TRIES {
                let (_, answer) = resolve(dns.address(), NAMESPACE, &form, "A").await;
                match answer.addresses().as_slice() {
                    [address] if address == after => break,
                    [address] if address == before => tokio::time::sleep(PAUSE).await,
                    _ => panic!("{form}: {answer:?}"),
                }
            }
            assert_eq!(resolve(dns.address(), NAMESPACE, &form, "A").await.1.addresses(), [after], "{form}");
        }
    }
}

/// What the same question is answered with and without the short names.
async fn assert_same(plain: &CoreDns, joined: &CoreDns, name: &str, rr_type: &str) {
    let text = |answer: &Answer| {
        let record = |record: &hickory_proto::rr::Record| format!("{} {:?}", record.name, record.data);
        let mut records: Vec<_> = answer.answers.iter().map(record).collect();
        records.sort();
        let authorities: Vec<_> = answer.authority.iter().map(|record| record.name.to_ascii()).collect();
        format!("{} {records:?} {authorities:?} {}", answer.rcode, answer.authoritative)
    };
    let (before, after) = (query(plain.address(), name, rr_type).await, query(joined.address(), name, rr_type).await);
    assert_eq!(text(&before), text(&after), "{name} {rr_type}");
}

/// Names that are none of the federation's are answered as before, those of a namespace with its name among them.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KUBE_APISERVER_BIN, ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn ordinary_names_are_answered_as_before() {
    let mut town = Town::start().await;
    town.namespace(FEDERATION).await;
    town.put(NAMESPACE, "ready", "10.0.7.1", Ready).await;
    town.put(NAMESPACE, "unready", "10.0.7.2", Unready).await;
    town.put(NAMESPACE, "headless", HEADLESS, Ready).await;
    town.put(NAMESPACE, "headless-unready", HEADLESS, Unready).await;
    town.put(FEDERATION, "inner", "10.0.8.1", Ready).await;
    town.put(FEDERATION, "inner-headless", HEADLESS, Ready).await;
    town.put(FEDERATION, "inner-unready", "10.0.8.2", Unready).await;
    for service in ["inner", "inner-unready", "inner-remote"] {
        town.publish(&format!("{FEDERATION}.{FEDERATION}.svc.us-a.us.{ZONE}"), service, &["192.0.2.1"]).await;
    }
    town.publish(&own_domain(), "remote", &["192.0.2.1"]).await;
    let plain = CoreDns::start_made(|[port]| town.corefile(port)).await;
    until(&plain, &format!("ready.{NAMESPACE}.svc.cluster.local."), &["10.0.7.1"]).await;
    let dns = town.joined(&town.names(FEDERATION)).await;
    until(&plain, &format!("known.{NAMESPACE}.svc.cluster.local."), &["10.0.7.99"]).await;

    let in_cluster = ["ready", "unready", "headless", "headless-unready", "nowhere", "pod-0.headless", "a.b", "a.b.c"];
    for service in in_cluster {
        for rr_type in ["A", "AAAA", "SRV"] {
            assert_same(&plain, &dns, &format!("{service}.{NAMESPACE}.svc.cluster.local."), rr_type).await;
        }
    }
    for service in ["inner", "inner-headless", "nowhere", "pod-0.inner-headless", "_http._tcp.inner"] {
        for rr_type in ["A", "AAAA", "SRV"] {
            assert_same(&plain, &dns, &format!("{service}.{FEDERATION}.svc.cluster.local."), rr_type).await;
        }
    }
    let others = [
        "1.7.0.10.in-addr.arpa. PTR",
        "1.0.9.10.in-addr.arpa. PTR",
        "2.2.0.192.in-addr.arpa. PTR",
        "10-9-0-1.default.pod.cluster.local. A",
        "cluster.local. SOA",
        "cluster.local. NS",
        "svc.cluster.local. A",
        "dns-version.cluster.local. TXT",
        "www.example.org. A",
        "www.example.org. AAAA",
        "nothing.example.org. A",
        "org. A",
    ];
    for other in others {
        let (name, rr_type) = other.split_once(' ').unwrap();
        assert_same(&plain, &dns, name, rr_type).await;
    }
    // The one difference: a service of such a namespace without ready endpoints is not there.
    let name = format!("inner-unready.{FEDERATION}.svc.cluster.local.");
    assert_eq!(query(plain.address(), &name, "A").await.addresses(), ["10.0.8.2"]);
    assert_is_negative(&name, &query(dns.address(), &name, "A").await, ResponseCode::NXDomain);
    // Short names of its services are the federation's all the same.
    for (service, address) in [("inner", "10.0.8.1"), ("inner-unready", "192.0.2.1"), ("inner-remote", "192.0.2.1")] {
        for end in [".", ".svc.cluster.local."] {
            let name = format!("{service}.{FEDERATION}.{FEDERATION}{end}");
            assert_eq!(query(dns.address(), &name, "A").await.addresses(), [address], "{name}");
        }
    }
    // A pod in it has the namespace in its search list.
    let (_, answer) = resolve(dns.address(), FEDERATION, "inner", "A").await;
    assert_eq!(answer.addresses(), ["10.0.8.1"]);
    let (_, answer) = resolve(dns.address(), FEDERATION, "www.example.org", "A").await;
    assert_eq!(answer.addresses(), ["203.0.113.80"]);

    servers_that_are_away(&mut town, &dns).await;
}

/// One of the federation's servers is enough. Without both, what it would have said is unknown and not absent, and the
/// cluster's own services are not concerned.
async fn servers_that_are_away(town: &mut Town, dns: &CoreDns) {
    let domain = own_domain();
    town.federation[0].kill();
    for index in 0..10 {
        let service = format!("later-{index}");
        town.publish(&domain, &service, &["192.0.2.9"]).await;
        let name = format!("{service}.{NAMESPACE}.{FEDERATION}.");
        assert_eq!(query(dns.address(), &name, "A").await.addresses(), ["192.0.2.9"], "{name}");
    }
    town.federation[1].kill();
    for form in forms("unknown") {
        let (name, answer) = resolve(dns.address(), NAMESPACE, &form, "A").await;
        assert_eq!(answer.rcode, ResponseCode::ServFail, "{name}: {answer:?}");
    }
    let own = format!("known.{NAMESPACE}.{FEDERATION}.");
    assert_eq!(query(dns.address(), &own, "A").await.addresses(), ["10.0.7.99"]);
    for server in &mut town.federation {
        server.restart().await;
    }
    town.publish(&domain, "unknown", &["192.0.2.9"]).await;
    until(dns, &format!("unknown.{NAMESPACE}.{FEDERATION}."), &["192.0.2.9"]).await;
}

/// Federations side by side, of a public zone that the cluster's resolver finds, in the folder that a distribution
/// imports, and gone again.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KUBE_APISERVER_BIN, ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn federations_come_and_go_side_by_side() {
    let town = Town::start().await;
    town.publish(&format!("{NAMESPACE}.one.svc.us-a.us.{ZONE}"), "remote", &["192.0.2.1"]).await;
    town.publish(&format!("{NAMESPACE}.two.svc.eu.{ZONE}"), "remote", &["192.0.2.2"]).await;
    let mut two = town.names("two");
    two.place = Place::Region("EU".to_owned());
    let (one_name, two_name) = (format!("remote.{NAMESPACE}.one."), format!("remote.{NAMESPACE}.two."));

    let ports = |text: &str, [one, two]: [u16; 2]| on_port(text, one).replace("10532", &two.to_string());
    let both = |port: u16| {
        let one = coredns::add(&town.corefile(port), &town.names("one")).unwrap();
        coredns::add(&one, &two).unwrap()
    };
    {
        let dns = CoreDns::start_made(|[port, a, b]| ports(&both(port), [a, b])).await;
        until(&dns, &one_name, &["192.0.2.1"]).await;
        until(&dns, &two_name, &["192.0.2.2"]).await;
    }
    // The first of them had the zone's server block, which the second takes over.
    let left = |port: u16| coredns::remove(&both(port), "one").unwrap();
    {
        let dns = CoreDns::start_made(|[port, a, b]| ports(&left(port), [a, b])).await;
        until(&dns, &two_name, &["192.0.2.2"]).await;
        assert_is_negative(&one_name, &query(dns.address(), &one_name, "A").await, ResponseCode::NXDomain);
    }

    // The resolver of the world knows the zone, and the folder has what the Corefile may not.
    let imported = town.folder.path().join("custom");
    std::fs::create_dir(&imported).unwrap();
    let mut public = town.names("one");
    public.servers.clear();
    let dns = CoreDns::start_made(|[port, inner]| {
        let corefile =
            town.corefile(port).replace(&town.world.address().to_string(), &town.federation[0].address().to_string());
        let corefile = format!("{corefile}import {}/*.server\n", imported.display());
        assert!(custom::is_imported(&corefile).unwrap());
        for (key, text) in custom::add(&corefile, &custom::Data::new(), &public).unwrap() {
            std::fs::write(imported.join(key), on_port(&text, inner)).unwrap();
        }
        corefile
    })
    .await;
    until(&dns, &one_name, &["192.0.2.1"]).await;
}
