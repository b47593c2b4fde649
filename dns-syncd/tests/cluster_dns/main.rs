//! What `join` and `unjoin` write into the ConfigMaps of a member's cluster DNS.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod corefiles;
mod custom;
mod kube_dns;
mod laws;

use dns_syncd::cluster_dns::{Place, ShortNames};

/// Names of a federation in the private zone `example.com`, for a member in `us-a` of `us`.
fn names(federation: &str) -> ShortNames {
    ShortNames {
        federation: federation.to_owned(),
        cluster_domain: "cluster.local".to_owned(),
        zone_name: "example.com".to_owned(),
        suffix: "example.com".to_owned(),
        place: Place::Zone { zone: "us-a".to_owned(), region: "us".to_owned() },
        servers: vec!["192.0.2.53:53".parse().unwrap(), "198.51.100.53:5353".parse().unwrap()],
    }
}

/// As kubeadm writes it.
const KUBEADM: &str = include_str!("kubeadm.corefile");
