//! Stores that cannot be used: every command says why and ends, and nothing is written.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};

use dns_conformance::servers::{Etcd, EtcdVersion};
use etcd_client::{Permission, PermissionType};

use crate::life::federation;
use crate::truth::ZONE;
use crate::world::World;

const PASSWORD: &str = "open-sesame";

/// A world whose server nobody asks.
fn world(config: &str) -> World {
    let world = World::new("coredns", config, (Ipv4Addr::LOCALHOST, 9).into());
    world.clusters.put_all(&federation());
    world
}

/// Each command fails for a reason that is told.
async fn assert_fails(config: &str, reason: &str) {
    let world = world(config);
    for command in ["plan", "apply", "check"] {
        let ended = world.call(&[command]).await;
        assert_eq!(ended.code, 1, "{config}: {command}: {ended:?}");
        let told = format!("{}{}", ended.stdout, ended.stderr);
        assert!(told.contains(reason), "{config}: {command}: {ended:?}");
        assert!(!told.contains("wrong-one") && !told.contains(PASSWORD), "{command} tells a password: {ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_etcd_is_named() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let endpoint = listener.local_addr().unwrap();
    drop(listener);
    assert_fails(&format!("etcd-endpoints = http://{endpoint}\nzones = {ZONE}"), &endpoint.to_string()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ETCD_BIN: tests/run gets it"]
async fn a_zone_that_the_provider_does_not_have_is_named() {
    let etcd = Etcd::start(EtcdVersion::V3_6).await;
    assert_fails(&format!("etcd-endpoints = {}\nzones = other.example", etcd.url()), ZONE).await;
    assert_eq!(etcd.list("").await, BTreeMap::new());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ETCD_BIN: tests/run gets it"]
async fn etcd_with_authentication_wants_the_right_user() {
    let etcd = Etcd::start(EtcdVersion::V3_6).await;
    let mut client = etcd.client().await;
    for role in ["root", "reader"] {
        client.role_add(role).await.unwrap();
        client.user_add(role, PASSWORD, None).await.unwrap();
        client.user_grant_role(role, role).await.unwrap();
    }
    let reading = Permission::new(PermissionType::Read, "/").with_prefix();
    client.role_grant_permission("reader", reading).await.unwrap();
    client.auth_enable().await.unwrap();

    let config = |login: &str| format!("etcd-endpoints = {}\nzones = {ZONE}\n{login}", etcd.url());
    let login = |user: &str, password: &str| config(&format!("etcd-username = {user}\netcd-password = {password}"));
    assert_fails(&config(""), "etcd").await;
    assert_fails(&login("root", "wrong-one"), "authentication failed").await;
    assert_fails(&login("nobody", PASSWORD), "authentication failed").await;

    let reader = world(&login("reader", PASSWORD));
    assert_eq!(reader.call(&["plan", "--detailed-exitcode"]).await.code, 3);
    let refused = reader.call(&["apply"]).await;
    assert!(refused.code == 1 && refused.stderr.contains("permission denied"), "{refused:?}");

    let world = world(&login("root", PASSWORD));
    assert_eq!(world.call(&["plan", "--detailed-exitcode"]).await.code, 3, "nothing was written before");
    let applied = world.call(&["apply"]).await;
    assert_eq!(applied.code, 0, "{applied:?}");
    assert_eq!(world.call(&["plan", "--detailed-exitcode"]).await.code, 0);
}
