//! What a federation's API server has said: the kept part of its clusters and services, and what changed since it was
//! last told.
//!
//! In: [`Item`]s · Out: a [`Dump`], single changes · Pure: yes

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dns_sync_core::{ClusterName, Problem, ServiceCopy, ServiceId};

use crate::source::clusters::objects::{Federated, Item, KeptCopy, Value, Watched};
use crate::source::files::dump::{Dump, Member};

/// Clusters by name, and services with a copy for each cluster.
#[derive(Debug, Default)]
pub(crate) struct Store {
    /// Without their services.
    clusters: BTreeMap<ClusterName, Member>,
    /// Those that count.
    services: BTreeMap<ServiceId, Federated>,
    /// Names of clusters and namespaces, each once in memory.
    texts: BTreeSet<Arc<str>>,
    changed: Changed,
}

/// What may differ from what was told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changed {
    pub(crate) clusters: BTreeSet<ClusterName>,
    /// With the clusters whose copies differ.
    pub(crate) services: BTreeMap<ServiceId, BTreeSet<ClusterName>>,
    /// Annotations became readable or unreadable, or differ in what is wrong.
    pub(crate) problems: bool,
}

impl Store {
    /// A full list of a kind: what it does not have is gone.
    pub(crate) fn replace(&mut self, kind: Watched, items: Vec<Item>) {
        let listed: BTreeSet<&ServiceId> = items.iter().map(|item| &item.key).collect();
        let clusters = self.clusters.keys().map(|name| ServiceId::new("", name.clone()));
        let gone: Vec<ServiceId> = match kind {
            Watched::FederationClusters => clusters.filter(|key| !listed.contains(key)).collect(),
            _ => self.services.keys().filter(|key| !listed.contains(key)).cloned().collect(),
        };
        for key in gone {
            self.apply(kind, Item { key, value: None });
        }
        for item in items {
            self.apply(kind, item);
        }
        self.texts.retain(|text| Arc::strong_count(text) > 1);
    }

    /// One object came, changed or went.
    pub(crate) fn apply(&mut self, kind: Watched, Item { key, value }: Item) {
        if kind == Watched::FederationClusters {
            self.apply_cluster(key.name, value);
        } else {
            let now = if let Some(Value::Federated(federated)) = value { Some(federated) } else { None };
            self.apply_service(key, now);
        }
    }

    fn apply_cluster(&mut self, name: ClusterName, value: Option<Value>) {
        let Some(Value::Cluster(member)) = value else {
            if self.clusters.remove(&name).is_some() {
                self.changed.clusters.insert(name);
            }
            return;
        };
        // Federation v1 writes the time of each probe; nothing else changes then.
        if self.clusters.get(&name) != Some(&*member) {
            self.clusters.insert(name.clone(), *member);
            self.changed.clusters.insert(name);
        }
    }

    fn apply_service(&mut self, id: ServiceId, mut now: Option<Federated>) {
        let id = ServiceId { namespace: self.text(id.namespace), name: id.name };
        if let Some(Federated::Copies(copies)) = &mut now {
            for (cluster, _) in copies {
                *cluster = self.text(cluster.clone());
            }
        }
        let before = self.services.get(&id);
        if before == now.as_ref() {
            return;
        }
        let unreadable = |federated: Option<&Federated>| matches!(federated, Some(Federated::Unreadable(_)));
        self.changed.problems |= unreadable(before) || unreadable(now.as_ref());
        let by_cluster = |federated: Option<&Federated>| -> BTreeMap<ClusterName, KeptCopy> {
            federated.into_iter().flat_map(Federated::copies).cloned().collect()
        };
        let (was, is) = (by_cluster(before), by_cluster(now.as_ref()));
        let differs = |cluster: &&ClusterName| was.get(*cluster) != is.get(*cluster);
        let clusters = was.keys().chain(is.keys()).filter(differs).cloned();
        self.changed.services.entry(id.clone()).or_default().extend(clusters);
        match now {
            Some(now) => _ = self.services.insert(id, now),
            None => _ = self.services.remove(&id),
        }
    }

    /// What changed since the last call or dump.
    pub(crate) fn take_changed(&mut self) -> Changed {
        std::mem::take(&mut self.changed)
    }

    /// Everything, which settles what changed.
    pub(crate) fn dump(&mut self) -> Dump {
        self.take_changed();
        let mut clusters = self.clusters.clone();
        for (id, federated) in &self.services {
            for (cluster, copy) in federated.copies() {
                // An entry that names no `Cluster` is ignored.
                if let Some(member) = clusters.get_mut(cluster) {
                    member.answer.services.insert(id.clone(), copy.federated());
                }
            }
        }
        Dump { clusters, problems: self.problems() }
    }

    /// One cluster with its services.
    pub(crate) fn member(&self, cluster: &str) -> Option<Member> {
        let mut member = self.clusters.get(cluster)?.clone();
        let copies = self.services.keys().filter_map(|id| Some((id.clone(), self.copy(id, cluster)?)));
        member.answer.services.extend(copies);
        Some(member)
    }

    /// True for a cluster whose condition `Ready` is `True`.
    pub(crate) fn is_ready(&self, cluster: &str) -> bool {
        self.clusters.get(cluster).is_some_and(|member| member.lost.is_none())
    }

    /// A cluster's copy of a service.
    pub(crate) fn copy(&self, service: &ServiceId, cluster: &str) -> Option<ServiceCopy> {
        let (_, copy) = self.services.get(service)?.copies().iter().find(|(name, _)| **name == *cluster)?;
        Some(copy.federated())
    }

    /// The services whose annotation does not parse: a problem that names one keeps its records as they are.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let problem = |(id, federated): (&ServiceId, &Federated)| match federated {
            Federated::Copies(_) => None,
            Federated::Unreadable(reason) => {
                Some(Problem { cluster: None, service: Some(id.clone()), reason: reason.clone() })
            }
        };
        self.services.iter().filter_map(problem).collect()
    }

    fn text(&mut self, text: Arc<str>) -> Arc<str> {
        if let Some(known) = self.texts.get(&text) {
            return known.clone();
        }
        self.texts.insert(text.clone());
        text
    }

    pub(crate) fn has_clusters(&self) -> bool {
        !self.clusters.is_empty()
    }

    /// The services that count.
    pub(crate) fn counting(&self) -> BTreeSet<ServiceId> {
        self.services.keys().cloned().collect()
    }

    /// True when one of these services counts.
    pub(crate) fn has_any(&self, services: &BTreeSet<ServiceId>) -> bool {
        services.iter().any(|id| self.services.contains_key(id))
    }
}
