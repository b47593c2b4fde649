//! The suite on CoreDNS's etcd layout, in the newest and the oldest etcd that are supported.

use std::time::Duration;

use dns_conformance::servers::{Etcd, EtcdVersion};
use dns_conformance::{Setup, conformance};
use dns_providers::coredns::{CoreDns, Options};
use dnsprovider::Fqdn;

async fn on(version: EtcdVersion) -> Setup {
    let apex = Fqdn::parse("conformance.test").expect("a name");
    let etcd = Etcd::start(version).await;
    let mut options = Options::new([etcd.url()], [apex.clone()]);
    // No CoreDNS reads this store, so nothing has to settle.
    options.settle = Duration::from_millis(10);
    let provider = CoreDns::connect(options).await.expect("etcd on loopback can be reached");
    Setup::new(provider, apex).keep(etcd)
}

async fn newest() -> Setup {
    on(EtcdVersion::V3_6).await
}
conformance!(coredns_on_etcd_3_6, newest, needs = "needs ETCD_BIN: tests/run gets it");

async fn oldest() -> Setup {
    on(EtcdVersion::V3_4).await
}
conformance!(coredns_on_etcd_3_4, oldest, needs = "needs ETCD34_BIN: tests/run gets it");
