//! The harness itself: servers start, answer, survive a restart, and are gone when dropped.

use dns_conformance::servers::{CoreDns, Etcd, EtcdVersion, query};
use hickory_proto::op::ResponseCode;

async fn etcd_keeps_its_keys_over_a_restart(version: EtcdVersion) {
    let mut etcd = Etcd::start(version).await;
    etcd.put("/skydns/a", "1").await;
    etcd.put("/skydns/b", "2").await;
    assert!(etcd.metrics().await["Put"] >= 2);
    etcd.restart().await;
    assert_eq!(etcd.get("/skydns/a").await.as_deref(), Some("1"));
    assert!(etcd.delete("/skydns/a").await);
    assert_eq!(etcd.list("/skydns/").await.into_keys().collect::<Vec<_>>(), ["/skydns/b"]);
    assert_eq!(etcd.delete_all("/skydns/").await, 1);
}

#[tokio::test]
#[ignore = "needs ETCD_BIN: tests/run gets it"]
async fn etcd_3_6_keeps_its_keys_over_a_restart() {
    etcd_keeps_its_keys_over_a_restart(EtcdVersion::V3_6).await;
}

#[tokio::test]
#[ignore = "needs ETCD34_BIN: tests/run gets it"]
async fn etcd_3_4_keeps_its_keys_over_a_restart() {
    etcd_keeps_its_keys_over_a_restart(EtcdVersion::V3_4).await;
}

#[tokio::test]
#[ignore = "needs ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn coredns_answers_what_is_in_etcd() {
    let etcd = Etcd::start(EtcdVersion::V3_6).await;
    let coredns = CoreDns::on_etcd(&["example.com"], &etcd.url()).await;
    for host in 1..=120 {
        let key = format!("/skydns/com/example/www/{host}");
        etcd.put(&key, &format!(r#"{{"host":"192.0.2.{host}","ttl":30}}"#)).await;
    }
    let answer = query(coredns.address(), "www.example.com.", "A").await;
    assert_eq!(answer.rcode, ResponseCode::NoError);
    assert_eq!(answer.addresses().len(), 120);
    assert!(answer.truncated, "120 addresses do not fit into one UDP answer");
    assert_eq!(query(coredns.address(), "nope.example.com.", "A").await.rcode, ResponseCode::NXDomain);
}
