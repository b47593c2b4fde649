//! What is asked of an API server, and what of each object is kept.
//!
//! An object is cut down to what is used as soon as it is read, before it is kept or queued: a page of a list never
//! lives as a whole beside its decoded text.
//! In: JSON of an API server · Out: [`Item`]s · Pure: yes

use std::sync::Arc;

use dns_sync_core::{ClusterName, Endpoints, Place, ServiceCopy, ServiceId};
use serde::Deserialize;

use crate::source::Select;
use crate::source::files::dump::{self, Member};
use crate::source::files::manifest::{Metadata, SliceEndpoint, Spec, Status};
use crate::source::files::member::{copy, place, ready_service, selects};

/// The kinds that are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Watched {
    Services,
    Slices,
    Nodes,
    /// Of the Multi-Cluster Services API; only for `select = exported`.
    Exports,
    /// The members, as a federation v1 API server has them.
    FederationClusters,
    /// Services with the addresses of every member, as a federation v1 API server has them.
    FederatedServices,
}

impl Watched {
    /// Those of a federation v1 API server.
    pub(crate) const FEDERATION: &[Self] = &[Self::FederationClusters, Self::FederatedServices];

    /// Those that a selection needs of a member cluster.
    pub(crate) fn needed(select: Select) -> &'static [Self] {
        match select {
            Select::All | Select::Annotated => &[Self::Services, Self::Slices, Self::Nodes],
            Select::Exported => &[Self::Services, Self::Slices, Self::Nodes, Self::Exports],
        }
    }

    /// Path of the resource in all namespaces.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Services | Self::FederatedServices => "/api/v1/services",
            Self::Slices => "/apis/discovery.k8s.io/v1/endpointslices",
            Self::Nodes => "/api/v1/nodes",
            Self::Exports => "/apis/multicluster.x-k8s.io/v1alpha1/serviceexports",
            Self::FederationClusters => "/apis/federation/v1beta1/clusters",
        }
    }

    /// As RBAC rules call it.
    pub(crate) fn resource(self) -> &'static str {
        match self {
            Self::Services | Self::FederatedServices => "services",
            Self::Slices => "endpointslices.discovery.k8s.io",
            Self::Nodes => "nodes",
            Self::Exports => "serviceexports.multicluster.x-k8s.io",
            Self::FederationClusters => "clusters.federation",
        }
    }

    /// Labels and names will do: status and spec are not even sent. A node's status is large and changes all the time.
    pub(crate) fn metadata_only(self) -> bool {
        matches!(self, Self::Nodes | Self::Exports)
    }

    /// Of how many objects a full list must find none before it is doubted, where it can be: a single service may well be
    /// deleted. A cluster has nodes, so a list without any tells nothing that can be believed at once.
    pub(crate) fn doubted_from(self) -> Option<usize> {
        match self {
            Self::Services | Self::Exports | Self::FederatedServices | Self::Slices => Some(2),
            Self::Nodes => Some(1),
            Self::FederationClusters => None,
        }
    }
}

/// An object as an API server sends it. Its kind is the one that was asked for.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Sent {
    pub(crate) metadata: Metadata,
    #[serde(default)]
    spec: Option<Spec>,
    #[serde(default)]
    status: Option<Status>,
    #[serde(default)]
    endpoints: Option<Vec<SliceEndpoint>>,
}

/// One page of a list.
#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    pub(crate) metadata: PageMetadata,
    #[serde(default)]
    pub(crate) items: Option<Vec<Sent>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PageMetadata {
    #[serde(default)]
    pub(crate) resource_version: Option<String>,
    #[serde(default, rename = "continue")]
    pub(crate) next: Option<String>,
}

/// What an object contributes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Item {
    /// Namespace (empty for nodes) and name.
    pub(crate) key: ServiceId,
    /// `None` for an object that is gone or says nothing that is used.
    pub(crate) value: Option<Value>,
}

/// What is kept of an object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Service(KeptCopy),
    /// A slice with a ready endpoint for this service.
    Ready(ServiceId),
    Node(Place),
    Export,
    Cluster(Box<Member>),
    Federated(Federated),
}

/// What is kept of a service of a federation's API server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Federated {
    /// Its copies by cluster.
    Copies(Box<[(ClusterName, KeptCopy)]>),
    /// Why its annotation cannot be read.
    Unreadable(Arc<str>),
}

impl Federated {
    /// The copies; none where the annotation cannot be read.
    pub(crate) fn copies(&self) -> &[(ClusterName, KeptCopy)] {
        match self {
            Self::Copies(copies) => copies,
            Self::Unreadable(_) => &[],
        }
    }
}

/// A [`ServiceCopy`] in as little memory as it needs: one address, as nearly all have, takes no allocation of its own.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct KeptCopy {
    ingress: Endpoints,
    /// What most services have none of.
    rare: Option<Box<Rare>>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Rare {
    external_ips: Endpoints,
    /// Unchecked.
    ttl: Option<Arc<str>>,
    /// Unchecked.
    selector: Option<Arc<str>>,
}

impl KeptCopy {
    fn new(copy: ServiceCopy) -> Self {
        let ServiceCopy { ingress, external_ips, ttl, selector, .. } = copy;
        let rare = Rare { external_ips, ttl, selector };
        Self { ingress, rare: (rare != Rare::default()).then(|| Box::new(rare)) }
    }

    /// The copy in a federation's words: healthy where it has an address.
    pub(crate) fn federated(&self) -> ServiceCopy {
        self.copy(!self.ingress.is_empty())
    }

    /// The copy with its health. It needs no origin: cluster and service are named beside it, and an object of an API
    /// server has no line.
    pub(crate) fn copy(&self, ready: bool) -> ServiceCopy {
        let Rare { external_ips, ttl, selector } = self.rare.as_deref().cloned().unwrap_or_default();
        ServiceCopy { ingress: self.ingress.clone(), external_ips, ready, ttl, selector, origin: None }
    }
}

impl Sent {
    /// What is used of this object, as one of a kind.
    pub(crate) fn item(self, kind: Watched, select: Select) -> Item {
        let Self { metadata, spec, status, endpoints } = self;
        let key = match kind {
            Watched::Nodes | Watched::FederationClusters => ServiceId::new("", metadata.name()),
            _ => metadata.service_id(),
        };
        let value = match kind {
            Watched::Services | Watched::FederatedServices if selects(select, &metadata) == Some(false) => None,
            Watched::Services => copy(metadata, spec.unwrap_or_default(), status.unwrap_or_default())
                .map(|copy| Value::Service(KeptCopy::new(copy))),
            Watched::Slices => ready_service(&metadata, &endpoints.unwrap_or_default()).map(Value::Ready),
            Watched::Nodes => metadata.labels.as_ref().and_then(place).map(Value::Node),
            Watched::Exports => metadata.deletion_timestamp.is_none().then_some(Value::Export),
            Watched::FederationClusters => {
                let place = format!("the Cluster object `{}`", metadata.name());
                Some(Value::Cluster(Box::new(dump::member(metadata, status.unwrap_or_default(), &place))))
            }
            Watched::FederatedServices => dump::copies(metadata, &spec.unwrap_or_default()).map(|copies| {
                Value::Federated(match copies {
                    Ok(copies) => {
                        let kept = |(cluster, copy): (String, _)| (cluster.into(), KeptCopy::new(copy));
                        Federated::Copies(copies.into_iter().map(kept).collect())
                    }
                    Err(reason) => Federated::Unreadable(reason.into()),
                })
            }),
        };
        Item { key, value }
    }

    /// The same for an object that was deleted.
    pub(crate) fn gone(self, kind: Watched, select: Select) -> Item {
        Item { value: None, ..self.item(kind, select) }
    }
}
