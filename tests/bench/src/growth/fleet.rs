//! A federation of any size, as its clusters tell it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use clap::Args;
use dns_sync_core::{
    ClusterAnswer, ClusterName, Endpoint, Place, ServiceCopy, ServiceId, Settings, SourceEvent, Timestamp,
};
use dnsprovider::Fqdn;
use serde::{Deserialize, Serialize};

/// Services are spread over so many namespaces.
const NAMESPACES: u32 = 100;

/// How many services there are, and where.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fleet {
    /// Services
    #[arg(long)]
    pub(crate) services: u32,
    /// Clusters
    #[arg(long)]
    pub(crate) clusters: u32,
    /// In how many of the clusters each service is
    #[arg(long)]
    pub(crate) copies: u32,
    /// Zones of one region in which the clusters take turns
    #[arg(long, default_value_t = 1)]
    pub(crate) zones: u32,
}

impl Fleet {
    /// Sets in the zone when all is written: the global name, that of the region, and those of its zones.
    pub(crate) fn sets(self) -> u64 {
        u64::from(self.services) * u64::from(2 + self.zones)
    }

    pub(crate) fn service(number: u32) -> ServiceId {
        ServiceId::new(format!("ns-{}", number % NAMESPACES), format!("svc-{number}"))
    }

    pub(crate) fn cluster(number: u32) -> ClusterName {
        format!("cluster-{number}").into()
    }

    /// The clusters in which a service is: neighbors, beginning with another one for each service.
    pub(crate) fn clusters_of(self, service: u32) -> impl Iterator<Item = u32> {
        (0..self.copies).map(move |copy| (service % self.clusters + copy) % self.clusters)
    }

    /// The copy of a service in a cluster; every one has an address of its own.
    pub(crate) fn copy(self, service: u32, cluster: u32, ready: bool) -> ServiceCopy {
        const FIRST: u32 = 0x0b00_0000; // 11.0.0.0
        let address = Ipv4Addr::from_bits(FIRST + cluster * self.services + service);
        ServiceCopy { ingress: [Endpoint::Ip(address.into())].into(), ready, ..ServiceCopy::default() }
    }

    /// What a cluster tells, in full.
    pub(crate) fn answer(self, cluster: u32) -> SourceEvent {
        let here = (0..self.services).filter(|service| self.clusters_of(*service).any(|other| other == cluster));
        let services: BTreeMap<_, _> =
            here.map(|service| (Self::service(service), self.copy(service, cluster, true))).collect();
        let place = Place::new("region", format!("zone-{}", cluster % self.zones));
        let answer = ClusterAnswer { places: Some(BTreeSet::from([place])), services, ..ClusterAnswer::default() };
        SourceEvent::Answer { cluster: Self::cluster(cluster), answer }
    }
}

/// When everything begins.
pub(crate) const START: Timestamp = Timestamp(1_800_000_000_000);

/// The daemon's own defaults.
pub(crate) fn settings() -> Settings {
    Settings::new("myfederation", Fqdn::parse("example.com").expect("`example.com` is a name"))
}
