//! What a provider has written is what the DNS server behind it answers: the chain zone → region → global of a service.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dns_conformance::records;
use dns_conformance::servers::{self, Etcd, EtcdVersion, query};
use dns_providers::coredns::{CoreDns, Options};
use dns_providers::{OpenMode, ProviderConfig, Registry};
use dnsprovider::{
    ApplyContext, Chunked, ClaimedSet, DnsProvider, DnsProviderExt, Fqdn, RrKey, RrSet, RrType, Ttl, diff,
};
use hickory_proto::op::ResponseCode;

const GLOBAL: &str = "nginx.default.fed.svc.example.com.";
const REGION: &str = "nginx.default.fed.svc.r1.example.com.";
const ZONE: &str = "nginx.default.fed.svc.z1.r1.example.com.";

/// Brings the zone to exactly these sets.
async fn write(provider: &Arc<dyn DnsProvider>, sets: &[(&str, RrType, &[&str])]) {
    let apex = Fqdn::parse("example.com").expect("a name");
    let zone = provider.find_zone(Some(&apex), None).await.expect("the zone is there").id;
    let set = |(owner, rr_type, texts): &(&str, RrType, &[&str])| {
        let key = RrKey::new(Fqdn::parse(owner).expect("a name"), rr_type.clone());
        let set = RrSet::new(key.clone(), Ttl::from_secs(180).expect("a TTL"), records(rr_type, texts));
        (key, ClaimedSet::unclaimed(set.expect("a set")))
    };
    let held = provider.read_zone(&zone).await.expect("the zone can be read");
    let changes = diff(&held, &sets.iter().map(set).collect(), |_| true);
    let applied = Chunked::new(provider.clone()).apply(&zone, &changes, &ApplyContext::default()).await;
    let applied = applied.expect("the zone can be written");
    assert!(applied.is_done(), "{applied:?}");
}

/// Addresses at the global name alone, then at the region too, then nowhere.
async fn answers_follow(provider: Arc<dyn DnsProvider>, server: SocketAddr) {
    let global = (GLOBAL, RrType::A, &["192.0.2.1", "192.0.2.2"] as &[_]);
    let global6 = (GLOBAL, RrType::Aaaa, &["2001:db8::1"] as &[_]);
    let zone = (ZONE, RrType::Cname, &[REGION] as &[_]);
    write(&provider, &[global.clone(), global6.clone(), (REGION, RrType::Cname, &[GLOBAL]), zone.clone()]).await;
    for name in [ZONE, REGION, GLOBAL] {
        assert_eq!(query(server, name, "A").await.addresses(), ["192.0.2.1", "192.0.2.2"], "{name}");
        assert_eq!(query(server, name, "AAAA").await.addresses(), ["2001:db8::1"], "{name}");
    }
    let chain = query(server, ZONE, "A").await;
    assert_eq!(chain.targets(), [GLOBAL, REGION]);
    assert!(chain.answers.iter().all(|record| record.ttl == 180), "{:?}", chain.answers);
    assert_eq!(query(server, ZONE, "CNAME").await.targets(), [REGION]);

    write(&provider, &[global, global6, (REGION, RrType::A, &["192.0.2.3"]), zone]).await;
    assert_eq!(query(server, REGION, "A").await.addresses(), ["192.0.2.3"]);
    assert_eq!(query(server, ZONE, "A").await.addresses(), ["192.0.2.3"]);

    write(&provider, &[]).await;
    for name in [ZONE, REGION, GLOBAL] {
        let answer = query(server, name, "A").await;
        assert_eq!((answer.rcode, answer.answers.len()), (ResponseCode::NXDomain, 0), "{name}");
    }
}

#[tokio::test]
#[ignore = "needs ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn coredns_answers_what_the_provider_wrote() {
    let etcd = Etcd::start(EtcdVersion::V3_6).await;
    let coredns = servers::CoreDns::on_etcd(&["example.com"], &etcd.url()).await;
    let mut options = Options::new([etcd.url()], [Fqdn::parse("example.com").expect("a name")]);
    options.settle = Duration::from_millis(10); // nobody asks while a CNAME gives way to addresses
    let provider = CoreDns::connect(options).await.expect("etcd on loopback can be reached");
    answers_follow(Arc::new(provider), coredns.address()).await;
}

#[tokio::test]
async fn the_embedded_server_answers_what_was_written() {
    let config = ProviderConfig {
        text: Some("[Global]\nzones = example.com\nlisten = 127.0.0.1:0\n".to_owned()),
        file: "embedded.conf".to_owned(),
        home: None,
        mode: OpenMode::Serve,
    };
    let opened = Registry::builtin().open("embedded", config).await.expect("the embedded server opens");
    opened.served.as_ref().expect("it serves").set_ready().await.expect("the zone is complete");
    answers_follow(opened.provider, opened.endpoints[0]).await;
}

/// The Corefile of `conf-examples`, but for its port and its etcd, answers what lies in the etcd, in changing order.
#[tokio::test]
#[ignore = "needs ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn the_example_corefile_answers_in_changing_order() {
    let etcd = Etcd::start(EtcdVersion::V3_6).await;
    let name = "web.default.fed.svc.federation.example";
    for (leaf, address) in [("a", "192.0.2.1"), ("b", "192.0.2.2")] {
        let key = format!("/skydns/example/federation/svc/fed/default/web/{leaf}");
        etcd.put(&key, &format!(r#"{{"host":"{address}","ttl":180,"group":"{name}"}}"#)).await;
    }
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../conf-examples/Corefile");
    let corefile = std::fs::read_to_string(example).expect("the example is there");
    let here = corefile
        .replace(":53 {", ":{port} {\n    bind 127.0.0.1")
        .replace("http://etcd-cluster.my-namespace:2379", &etcd.url())
        .replace("    health\n", "");
    assert!(here.contains(&etcd.url()) && here.contains("loadbalance"), "{here}");
    let coredns = servers::CoreDns::start(&here).await;
    let mut first = std::collections::BTreeSet::new();
    // Each order comes up with even odds: a hundred times the same one is no chance.
    for _ in 0..100 {
        let answer = query(coredns.address(), &format!("{name}."), "A").await;
        assert_eq!(answer.addresses(), ["192.0.2.1", "192.0.2.2"]);
        first.insert(answer.answers[0].to_string());
    }
    assert_eq!(first.len(), 2, "{first:?}");
}
