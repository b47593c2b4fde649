//! What is synced: a federation v1 dump for ours, and the same names and addresses as endpoints for the peer.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

/// The zone of every benchmark.
pub(crate) const ZONE: &str = "bench.example";
/// Of every record, in seconds: the daemon's default.
const TTL: u32 = 180;
/// Services are spread over so many namespaces.
const NAMESPACES: u32 = 50;

/// Services in one or two clusters of one region, each in zones of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fleet {
    pub(crate) services: u32,
    /// 1 or 2: so many addresses has each service, one in each cluster.
    pub(crate) clusters: u32,
    /// Zones of each cluster.
    pub(crate) zones: u32,
    pub(crate) edition: Edition,
}

/// What has happened to the services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edition {
    /// Nothing yet.
    First,
    /// Every hundredth has another address in the first cluster.
    Changed,
    /// All are gone; the clusters are there.
    Gone,
}

/// Which names a service has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Levels {
    /// Its global name alone.
    Global,
    /// One global, one of the region, one for each zone.
    All,
}

impl Levels {
    /// As the key `levels` has them.
    pub(crate) fn setting(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::All => "global, region, zone",
        }
    }
}

impl Fleet {
    fn services(self) -> impl Iterator<Item = Service> {
        let services = if self.edition == Edition::Gone { 0 } else { self.services };
        (0..services)
            .map(move |number| Service { number, moved: self.edition == Edition::Changed && number % 100 == 0 })
    }

    /// The zones of a cluster.
    fn zones_of(self, cluster: u32) -> impl Iterator<Item = String> {
        (cluster * self.zones..(cluster + 1) * self.zones).map(|zone| format!("z{zone}"))
    }

    /// Names with all levels.
    pub(crate) fn names(self) -> u32 {
        self.services * (2 + self.clusters * self.zones)
    }

    /// Addresses of all names with all levels: the global name and the region's have one of each cluster.
    pub(crate) fn addresses(self) -> u32 {
        self.services * self.clusters * (2 + self.zones)
    }

    /// The dump as JSON without a space, as compact as it can be.
    pub(crate) fn json(self) -> String {
        let mut text = r#"{"apiVersion":"v1","kind":"List","items":["#.to_owned();
        for cluster in 0..self.clusters {
            let zones = self.zones_of(cluster).map(|zone| format!(r#""{zone}""#)).collect::<Vec<_>>().join(",");
            _ = write!(
                text,
                r#"{{"apiVersion":"federation/v1beta1","kind":"Cluster","metadata":{{"name":"c{cluster}"}},"status":{{"conditions":[{{"type":"Ready","status":"True"}}],"region":"r","zones":[{zones}]}}}},"#
            );
        }
        for service in self.services() {
            let (name, namespace) = (service.name(), service.namespace());
            let ingresses = self.ingresses(service).replace('"', r#"\""#);
            _ = write!(
                text,
                r#"{{"apiVersion":"v1","kind":"Service","metadata":{{"name":"{name}","namespace":"{namespace}","annotations":{{"federation.kubernetes.io/service-ingresses":"{ingresses}"}}}},"spec":{{"type":"LoadBalancer"}}}},"#
            );
        }
        text.pop(); // the comma behind the last one
        text + "]}\n"
    }

    /// The dump as YAML, laid out as `kubectl get -o yaml` does it.
    pub(crate) fn yaml(self) -> String {
        let mut text = "apiVersion: v1\nitems:\n".to_owned();
        for cluster in 0..self.clusters {
            let zones = self.zones_of(cluster).map(|zone| format!("\n    - {zone}")).collect::<Vec<_>>().concat();
            _ = write!(
                text,
                "- apiVersion: federation/v1beta1\n  kind: Cluster\n  metadata:\n    name: c{cluster}\n  status:\n    \
                 conditions:\n    - status: \"True\"\n      type: Ready\n    region: r\n    zones:{zones}\n"
            );
        }
        for service in self.services() {
            let (name, namespace) = (service.name(), service.namespace());
            let ingresses = self.ingresses(service);
            _ = write!(
                text,
                "- apiVersion: v1\n  kind: Service\n  metadata:\n    annotations:\n      \
                 federation.kubernetes.io/service-ingresses: '{ingresses}'\n    name: {name}\n    namespace: \
                 {namespace}\n  spec:\n    type: LoadBalancer\n"
            );
        }
        text + "kind: List\n"
    }

    /// The annotation in which federation v1 kept the addresses of a service.
    fn ingresses(self, service: Service) -> String {
        let items = (0..self.clusters).map(|cluster| {
            let address = service.address(cluster);
            format!(r#"{{"cluster":"c{cluster}","items":[{{"ip":"{address}"}}]}}"#)
        });
        format!(r#"{{"items":[{}]}}"#, items.collect::<Vec<_>>().join(","))
    }

    /// The names with their addresses, a line of JSON each, as `connector` reads them.
    pub(crate) fn endpoints(self, levels: Levels) -> String {
        let mut text = String::new();
        for service in self.services() {
            let all: Vec<_> = (0..self.clusters).map(|cluster| service.address(cluster)).collect();
            endpoint(&mut text, service, "", &all);
            if levels == Levels::All {
                endpoint(&mut text, service, "r.", &all);
                for (cluster, address) in (0..).zip(&all) {
                    for zone in self.zones_of(cluster) {
                        endpoint(&mut text, service, &format!("{zone}.r."), std::slice::from_ref(address));
                    }
                }
            }
        }
        text
    }
}

fn endpoint(text: &mut String, service: Service, place: &str, addresses: &[Ipv4Addr]) {
    let targets = addresses.iter().map(|address| format!("\"{address}\"")).collect::<Vec<_>>().join(",");
    let (name, namespace) = (service.name(), service.namespace());
    _ = writeln!(text, r#"{{"name":"{name}.{namespace}.bench.svc.{place}{ZONE}","targets":[{targets}],"ttl":{TTL}}}"#);
}

#[derive(Clone, Copy, Debug)]
struct Service {
    number: u32,
    moved: bool,
}

impl Service {
    fn name(self) -> String {
        format!("svc-{}", self.number)
    }

    fn namespace(self) -> String {
        format!("ns-{}", self.number % NAMESPACES)
    }

    /// Within 10.0.0.0/8, different for each service, cluster and move.
    fn address(self, cluster: u32) -> Ipv4Addr {
        let moved = u32::from(self.moved && cluster == 0);
        Ipv4Addr::from_bits((10 << 24) | (cluster << 23) | (moved << 22) | self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLEET: Fleet = Fleet { services: 200, clusters: 2, zones: 1, edition: Edition::First };

    #[test]
    fn dumps_are_well_formed_and_hold_all_services() {
        for (edition, objects) in [(Edition::First, 202), (Edition::Changed, 202), (Edition::Gone, 2)] {
            let dump: serde_json::Value = serde_json::from_str(&Fleet { edition, ..FLEET }.json()).expect("it is JSON");
            assert_eq!(dump["items"].as_array().map(Vec::len), Some(objects));
        }
    }

    #[test]
    fn one_service_in_a_hundred_moves() {
        let endpoints = |edition| Fleet { edition, ..FLEET }.endpoints(Levels::Global);
        let (first, changed) = (endpoints(Edition::First), endpoints(Edition::Changed));
        assert_eq!(first.lines().zip(changed.lines()).filter(|(old, new)| old != new).count(), 2);
    }

    #[test]
    fn a_service_has_a_name_for_each_place() {
        let endpoints = FLEET.endpoints(Levels::All);
        assert_eq!(endpoints.lines().count(), 800);
        assert_eq!((FLEET.names(), FLEET.addresses()), (800, 1_200));
        let single = Fleet { clusters: 1, zones: 2, ..FLEET };
        assert_eq!(single.endpoints(Levels::All).lines().count(), 800);
        assert_eq!((single.names(), single.addresses()), (800, 800));
        assert!(single.json().contains(r#""zones":["z0","z1"]"#));
        assert!(
            endpoints
                .contains(r#"{"name":"svc-7.ns-7.bench.svc.z1.r.bench.example","targets":["10.128.0.7"],"ttl":180}"#)
        );
    }
}
