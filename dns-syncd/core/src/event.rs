//! What sources tell: each cluster's own view, and how far it can be trusted right now.
//!
//! A source turns manifests or watch events into these values and decides nothing else: it does not merge clusters,
//! filter addresses or judge whether a silence means an empty cluster. That is [`crate::federation::Federation`]'s.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::endpoints::Endpoints;

/// Milliseconds since the Unix epoch. Time comes in as a value; nothing in this crate asks for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This time and a duration later.
    #[must_use]
    pub fn plus(self, duration: std::time::Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long ago `earlier` was; zero when it lies ahead.
    pub fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// Name of a member cluster, as its source has it.
pub type ClusterName = Arc<str>;

/// Namespace and name. The same in several clusters is one federated service (namespace sameness).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId {
    /// Kubernetes namespace.
    pub namespace: Arc<str>,
    /// Name in the namespace.
    pub name: Arc<str>,
}

impl ServiceId {
    /// The service `name` in `namespace`.
    pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Where a service can be reached.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    /// An address.
    Ip(IpAddr),
    /// A load balancer that has only a name; lower case, without final dot, to be resolved.
    Host(Arc<str>),
    /// What stands where an address belongs and is none; kept to be reported.
    Bad(Arc<str>),
}

/// One cluster's copy of a service that counts there (DESIGN: it is selected, is not being deleted, and is of type
/// `LoadBalancer` or has external IPs). A copy that does not count is left out by its source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceCopy {
    /// Load balancer addresses and names.
    pub ingress: Endpoints,
    /// `spec.externalIPs`.
    pub external_ips: Endpoints,
    /// True when at least one endpoint is ready.
    pub ready: bool,
    /// The text of the annotation `dns-syncd.io/ttl`, unchecked.
    pub ttl: Option<Arc<str>>,
    /// The text of the annotation `federation.alpha.kubernetes.io/cluster-selector`, unchecked.
    pub selector: Option<Arc<str>>,
    /// Where it was read, such as a file, for what is refused of it. A line belongs here only where
    /// [`is_doubtful`](crate::offers::is_doubtful) holds: lines shift, and a copy that differs is planned anew.
    pub origin: Option<Arc<str>>,
}

/// A place in the topology: a region, or a zone of a region. Labels are as the nodes have them, unchecked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Region label; empty for none.
    pub region: Arc<str>,
    /// Topology zone label; empty for none.
    pub zone: Arc<str>,
}

impl Place {
    /// The zone `zone` of `region`.
    pub fn new(region: impl Into<Arc<str>>, zone: impl Into<Arc<str>>) -> Self {
        Self { region: region.into(), zone: zone.into() }
    }
}

/// Everything that a cluster says, after finished lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterAnswer {
    /// The (region, zone) pairs that its nodes carry; `None` when the answer says nothing about topology.
    pub places: Option<BTreeSet<Place>>,
    /// Labels of the cluster itself, for selectors.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// The services that count in it.
    pub services: BTreeMap<ServiceId, ServiceCopy>,
    /// Where topology labels that cannot stand in names ([`is_place_label`](crate::is_place_label)) were read, by label.
    pub label_origins: BTreeMap<Arc<str>, Arc<str>>,
}

/// One thing that a source tells.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceEvent {
    /// The cluster exists in its source. Nothing else is known about it yet.
    Joined {
        /// Which.
        cluster: ClusterName,
    },
    /// The cluster answered in full; replaces what it said before and makes it known.
    Answer {
        /// Who.
        cluster: ClusterName,
        /// All of it.
        answer: ClusterAnswer,
    },
    /// One service of a known cluster changed.
    Service {
        /// Where.
        cluster: ClusterName,
        /// Which.
        service: ServiceId,
        /// Its copy; `None` when it does not count there any more.
        copy: Option<ServiceCopy>,
    },
    /// The nodes of a known cluster changed.
    Places {
        /// Where.
        cluster: ClusterName,
        /// All (region, zone) pairs now.
        places: BTreeSet<Place>,
    },
    /// The cluster cannot be read: from now on (or from `since`) what it said last is all that is known.
    Unknown {
        /// Who.
        cluster: ClusterName,
        /// When it was lost, where the source knows better than the clock.
        since: Option<Timestamp>,
        /// Why, for people.
        reason: Arc<str>,
    },
    /// The cluster disappeared from its source. It leaves after `leave-delay`.
    Disappeared {
        /// Who.
        cluster: ClusterName,
    },
    /// The cluster was taken out by a person: it leaves at once.
    Unjoined {
        /// Who.
        cluster: ClusterName,
    },
    /// All things that the source could not use, replacing what this source reported of the same `origin` before.
    Problems {
        /// Where they were found, such as a path.
        origin: Arc<str>,
        /// What; empty when all is well again.
        problems: Vec<Problem>,
    },
}

/// Something in a source that could not be used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The cluster, where it is about one.
    pub cluster: Option<ClusterName>,
    /// The service, where it is about one.
    pub service: Option<ServiceId>,
    /// What is wrong and what to do, with file and line where there are such.
    pub reason: Arc<str>,
}
