//! The copies of a service as they are kept: there are as many as services times clusters, so each takes little.
//!
//! A copy with one address, as nearly all are, takes no allocation of its own, and those of a service stand side by side.

use std::sync::Arc;

use crate::endpoints::Endpoints;
use crate::event::{ClusterName, Endpoint, ServiceCopy};

/// One cluster's copy; see [`ServiceCopy`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldCopy {
    ingress: Endpoints,
    rare: Option<Box<Rare>>,
    origin: Option<Arc<str>>,
    ready: bool,
}

/// What few copies have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rare {
    external_ips: Endpoints,
    ttl: Option<Arc<str>>,
    selector: Option<Arc<str>>,
}

impl HeldCopy {
    /// Load balancer addresses and names, in order.
    pub fn ingress(&self) -> &[Endpoint] {
        &self.ingress
    }

    /// `spec.externalIPs`, in order.
    pub fn external_ips(&self) -> &[Endpoint] {
        self.rare.as_ref().map_or(&[], |rare| &rare.external_ips)
    }

    /// True when at least one endpoint is ready.
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// The text of the annotation `dns-syncd.io/ttl`, unchecked.
    pub fn ttl(&self) -> Option<&str> {
        self.rare.as_ref()?.ttl.as_deref()
    }

    /// The text of the annotation `federation.alpha.kubernetes.io/cluster-selector`, unchecked.
    pub fn selector(&self) -> Option<&str> {
        self.rare.as_ref()?.selector.as_deref()
    }

    /// Where it was read.
    pub fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }
}

impl From<ServiceCopy> for HeldCopy {
    fn from(copy: ServiceCopy) -> Self {
        let ServiceCopy { ingress, external_ips, ready, ttl, selector, origin } = copy;
        let rare = Rare { external_ips, ttl, selector };
        Self { ingress, rare: (rare != Rare::default()).then(|| Box::new(rare)), origin, ready }
    }
}

/// The copies of one service, in order of their clusters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copies(Vec<(ClusterName, HeldCopy)>);

impl Copies {
    /// The copy in a cluster.
    pub fn get(&self, cluster: &str) -> Option<&HeldCopy> {
        self.place(cluster).ok().map(|place| &self.0[place].1)
    }

    /// All, with their clusters.
    pub fn iter(&self) -> impl Iterator<Item = (&ClusterName, &HeldCopy)> {
        self.0.iter().map(|(cluster, copy)| (cluster, copy))
    }

    /// The clusters that have one.
    pub fn clusters(&self) -> impl Iterator<Item = &ClusterName> {
        self.0.iter().map(|(cluster, _)| cluster)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts a copy, and gives the one before it.
    pub(super) fn insert(&mut self, cluster: &ClusterName, copy: HeldCopy) -> Option<HeldCopy> {
        match self.place(cluster) {
            Ok(place) => Some(std::mem::replace(&mut self.0[place].1, copy)),
            Err(place) => {
                self.0.reserve_exact(1);
                self.0.insert(place, (cluster.clone(), copy));
                None
            }
        }
    }

    pub(super) fn remove(&mut self, cluster: &str) -> Option<HeldCopy> {
        let place = self.place(cluster).ok()?;
        let (_, copy) = self.0.remove(place);
        self.0.shrink_to_fit();
        Some(copy)
    }

    fn place(&self, cluster: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(name, _)| (**name).cmp(cluster))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_keeps_everything_and_takes_little() {
        let host = Endpoint::Host("lb.example".into());
        let address = |last| Endpoint::Ip([192, 0, 2, last].into());
        let copy = ServiceCopy {
            ingress: [host.clone(), address(1)].into(),
            external_ips: [address(2)].into(),
            ready: true,
            ttl: Some("60".into()),
            selector: Some("[]".into()),
            origin: Some("a.json".into()),
        };
        let held = HeldCopy::from(copy.clone());
        assert_eq!((held.ingress(), held.external_ips()), ([address(1), host].as_slice(), [address(2)].as_slice()));
        assert_eq!((held.ttl(), held.selector(), held.origin()), (Some("60"), Some("[]"), Some("a.json")));
        assert!(held.is_ready());
        for other in [
            ServiceCopy { ready: false, ..copy.clone() },
            ServiceCopy { ttl: None, ..copy.clone() },
            ServiceCopy { origin: None, ..copy.clone() },
            ServiceCopy { external_ips: Endpoints::default(), ..copy },
        ] {
            assert_ne!(HeldCopy::from(other), held);
        }
        let plain = HeldCopy::from(ServiceCopy { ingress: [address(1)].into(), ..ServiceCopy::default() });
        assert_eq!((plain.ingress(), plain.rare.is_none()), ([address(1)].as_slice(), true));
        let size = size_of::<(ClusterName, HeldCopy)>();
        assert!(size <= 72, "a copy takes {size} bytes");
    }

    #[test]
    fn copies_are_in_order_of_their_clusters() {
        let mut copies = Copies::default();
        let copy = |ready| HeldCopy::from(ServiceCopy { ready, ..ServiceCopy::default() });
        for name in ["b", "c", "a"] {
            assert_eq!(copies.insert(&name.into(), copy(false)), None);
        }
        assert_eq!(copies.insert(&"b".into(), copy(true)), Some(copy(false)));
        assert_eq!(copies.clusters().map(|name| &**name).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!((copies.remove("b"), copies.remove("b"), copies.get("b")), (Some(copy(true)), None, None));
    }
}
