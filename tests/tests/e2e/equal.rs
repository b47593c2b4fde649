//! One source, five hosts: what `apply` leaves in each is the same.

use dns_conformance::servers::{Etcd, EtcdVersion};
use dns_providers::{OpenMode, ProviderConfig, Registry};
use dnsprovider::{DnsProviderExt as _, Fqdn, RrSet, RrType};

use crate::clouds::Cloud;
use crate::life::federation;
use crate::truth::ZONE;
use crate::world::World;

/// The address and CNAME sets of the zone, as the library reads them.
async fn zone(provider: &str, config: &str) -> Vec<RrSet> {
    let text = Some(format!("[Global]\n{config}\n"));
    let config = ProviderConfig { text, file: "provider.conf".into(), home: None, mode: OpenMode::ReadOnly };
    let opened = Registry::builtin().open(provider, config).await.unwrap().provider;
    let zone = opened.find_zone(Some(&Fqdn::parse(ZONE).unwrap()), None).await.unwrap();
    let read = opened.read_zone(&zone.id).await.unwrap();
    let published = |set: &&RrSet| matches!(set.rr_type(), RrType::A | RrType::Aaaa | RrType::Cname);
    read.iter().map(|entry| &entry.data.set).filter(published).cloned().collect()
}

/// A world with the whole federation; applies it, and applies it again, which must change nothing.
async fn apply(world: &World) {
    world.clusters.put_all(&federation());
    let first = world.call(&["apply"]).await;
    assert_eq!(first.code, 0, "{}{}", first.stdout, first.stderr);
    let again = world.call(&["plan", "--detailed-exitcode"]).await;
    assert_eq!(again.code, 0, "there is something left to change: {}{}", again.stdout, again.stderr);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ETCD_BIN: tests/run gets it"]
async fn apply_leaves_the_same_sets_on_all_five_hosts() {
    let mut zones = Vec::new();
    let etcd = Etcd::start(EtcdVersion::V3_6).await;
    let nobody = ([127, 0, 0, 1], 9).into();
    let mut hosts = vec![
        World::embedded(),
        World::new("coredns", &format!("etcd-endpoints = {}\nzones = {ZONE}", etcd.url()), nobody),
    ];
    let clouds = Cloud::all().await;
    hosts.extend(clouds.iter().map(|cloud| World::new(cloud.provider, &cloud.config, nobody)));
    for world in &hosts {
        apply(world).await;
        let (provider, config) = world.provider_config();
        zones.push((provider, zone(provider, &config).await));
    }
    let (first, expected) = &zones[0];
    assert!(expected.len() > 20, "{first} holds only {expected:#?}");
    for (provider, zone) in &zones {
        assert!(zone == expected, "{provider} holds {zone:#?}, {first} {expected:#?}");
    }
    // And behind the library, as the hosts themselves have them.
    for (cloud, (provider, zone)) in clouds.iter().zip(&zones[2..]) {
        assert!(cloud.zone() == *zone, "{provider} holds {:#?}, and was read as {zone:#?}", cloud.zone());
    }
}
