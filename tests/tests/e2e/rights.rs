//! Each right that a daemon needs at Azure and at Cloud DNS is missed by `check` when it alone is not there.

use dns_conformance::fakes::{azure, clouddns};
use dns_conformance::servers::Mirror;
use serde_json::Value;

use crate::truth::ZONE;
use crate::world::World;

/// What `check` says is missing, and how it ends.
async fn missing(world: &World) -> (i32, Vec<String>) {
    let ended = world.call(&["check", "--output", "json"]).await;
    let found: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {}", ended.stderr));
    let missing = found.as_array().unwrap().iter().filter(|finding| finding["mark"] == "missing");
    (ended.code, missing.map(|finding| finding["detail"].as_str().unwrap().to_owned()).collect())
}

async fn world(provider: &'static str, config: &str) -> (World, Mirror) {
    let mirror = Mirror::start(Vec::new).await;
    let world = World::new(provider, config, mirror.address());
    world.clusters.put_all(&crate::life::federation());
    (world, mirror)
}

#[tokio::test(flavor = "multi_thread")]
async fn check_misses_each_right_at_cloud_dns() {
    let fake = clouddns::Fake::start().await;
    let zone = fake.create_zone(ZONE, clouddns::Visibility::Public);
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.json");
    std::fs::write(&key, fake.service_account_key()).unwrap();
    let (project, url) = (fake.project(), fake.url());
    let config = format!("project-id = {project}\nendpoint-url = {url}\ncredentials-file = {}", key.display());
    let (world, _mirror) = world("google-clouddns", &config).await;
    let held = fake.sets(&zone).len();
    for right in [
        "dns.resourceRecordSets.list",
        "dns.changes.create",
        "dns.resourceRecordSets.create",
        "dns.resourceRecordSets.update",
        "dns.resourceRecordSets.delete",
    ] {
        fake.deny(right);
        let (code, missing) = missing(&world).await;
        assert!(code == 1 && missing.iter().any(|told| told.contains(right)), "{right}: {code} {missing:?}");
        fake.allow(right);
    }
    assert_eq!(missing(&world).await, (0, Vec::new()));
    assert_eq!(fake.sets(&zone).len(), held, "check writes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_misses_each_right_at_azure() {
    use azure::{CLIENT, Principal, SECRET, SUBSCRIPTION, TENANT};
    let fake = azure::Fake::start().await;
    let zone = fake.create_zone("rg", ZONE);
    let url = fake.url();
    let config = format!(
        "subscription-id = {SUBSCRIPTION}\ntenant-id = {TENANT}\nclient-id = {CLIENT}\nsecret = \"{SECRET}\"\n\
         resourceGroup = rg\nresource-manager-url = {url}\nauthority-url = {url}"
    );
    let (world, _mirror) = world("azure-azuredns", &config).await;
    let needed = ["read", "recordsets/read"].into_iter().map(str::to_owned);
    let written = ["A", "AAAA", "CNAME", "TXT"]
        .into_iter()
        .flat_map(|kind| ["write", "delete"].map(|does| format!("{kind}/{does}")));
    let needed: Vec<String> =
        needed.chain(written).map(|right| format!("Microsoft.Network/dnsZones/{right}")).collect();
    let held = fake.sets("rg", ZONE);
    for right in &needed {
        // The point reads at the end of a page have a right for each type.
        let types = ["A", "AAAA", "CNAME", "TXT", "MX", "NS", "SRV", "PTR", "CAA", "SOA"];
        let reads = types.map(|kind| format!("Microsoft.Network/dnsZones/{kind}/read"));
        let granted: Vec<&str> =
            needed.iter().filter(|other| *other != right).chain(&reads).map(String::as_str).collect();
        fake.principal(Principal::new(CLIENT).with_secret(SECRET).with_right(&zone, &granted));
        let (code, missing) = missing(&world).await;
        assert!(code == 1 && missing.iter().any(|told| told.contains(right)), "{right}: {code} {missing:?}");
    }
    let all: Vec<&str> = needed.iter().map(String::as_str).collect();
    fake.principal(Principal::new(CLIENT).with_secret(SECRET).with_right(&zone, &all));
    assert_eq!(missing(&world).await, (0, Vec::new()));
    assert_eq!(fake.sets("rg", ZONE), held, "check writes nothing");
}
