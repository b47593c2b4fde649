//! What one cluster's API server has said: the kept part of its objects, and what changed since it was last told.
//!
//! In: [`Item`]s · Out: [`ClusterAnswer`]s and single changes · Pure: yes
//!
//! Memory, as a test below measures it for names of usual length: at most 680 bytes for a service that
//! counts together with one ready slice, and at most 192 for a node. Other objects are not kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dns_sync_core::{ClusterAnswer, ClusterName, Place, ServiceCopy, ServiceId, SourceEvent};

use super::objects::{Item, KeptCopy, Value, Watched};
use crate::source::Select;
use crate::source::files::member::note_origins;

/// Texts of which none is looked at for whether it is still used.
const TEXTS: usize = 1024;

/// The view of one cluster.
#[derive(Debug)]
pub(crate) struct Store {
    select: Select,
    /// Those that count, or with `select = exported` those that would if they were.
    services: BTreeMap<ServiceId, KeptCopy>,
    exports: BTreeSet<ServiceId>,
    /// Slices with a ready endpoint, by the slice's name, and the service of each.
    slices: BTreeMap<ServiceId, ServiceId>,
    /// How many of them each service has.
    ready: BTreeMap<ServiceId, u32>,
    /// Nodes with a place, by name.
    nodes: BTreeMap<Arc<str>, Place>,
    /// How many nodes each place has.
    places: BTreeMap<Place, u32>,
    /// Namespaces and names, each once in memory.
    texts: BTreeSet<Arc<str>>,
    /// With more of them, those are dropped that nothing has any more.
    prune_above: usize,
    /// Services that may differ from what was told.
    dirty: BTreeSet<ServiceId>,
    /// Nodes came, went or moved.
    moved: bool,
}

impl Store {
    pub(crate) fn new(select: Select) -> Self {
        Self {
            select,
            services: BTreeMap::new(),
            exports: BTreeSet::new(),
            slices: BTreeMap::new(),
            ready: BTreeMap::new(),
            nodes: BTreeMap::new(),
            places: BTreeMap::new(),
            texts: BTreeSet::new(),
            prune_above: TEXTS,
            dirty: BTreeSet::new(),
            moved: false,
        }
    }

    /// A full list of a kind: what it does not have is gone.
    pub(crate) fn replace(&mut self, kind: Watched, items: Vec<Item>) {
        let listed: BTreeSet<&ServiceId> = items.iter().map(|item| &item.key).collect();
        let absent = |key: &&ServiceId| !listed.contains(*key);
        let gone: Vec<ServiceId> = match kind {
            Watched::Services => self.services.keys().filter(absent).cloned().collect(),
            Watched::Exports => self.exports.iter().filter(absent).cloned().collect(),
            Watched::Slices => self.slices.keys().filter(absent).cloned().collect(),
            Watched::Nodes => {
                let keys = self.nodes.keys().map(|name| ServiceId::new("", name.clone()));
                keys.filter(|key| absent(&key)).collect()
            }
            // Nobody asks a member for these.
            Watched::FederationClusters | Watched::FederatedServices => Vec::new(),
        };
        for key in gone {
            self.apply(kind, Item { key, value: None });
        }
        for item in items {
            self.apply(kind, item);
        }
        self.prune();
    }

    /// One object came, changed or went.
    pub(crate) fn apply(&mut self, kind: Watched, item: Item) {
        self.keep(kind, item);
        if self.texts.len() > self.prune_above {
            self.prune();
        }
    }

    /// Names are shared once it is clear that they are kept: most objects that come and go are of no use here.
    fn keep(&mut self, kind: Watched, Item { key, value }: Item) {
        match kind {
            Watched::Services => {
                let Some(Value::Service(copy)) = value else {
                    if let Some((key, _)) = self.services.remove_entry(&key) {
                        self.dirty.insert(key);
                    }
                    return;
                };
                let key = self.shared(key);
                if self.services.get(&key) != Some(&copy) {
                    self.services.insert(key.clone(), copy);
                    self.dirty.insert(key);
                }
            }
            Watched::Exports => {
                let changed = match value {
                    Some(_) => {
                        let key = self.shared(key);
                        self.exports.insert(key.clone()).then_some(key)
                    }
                    None => self.exports.take(&key),
                };
                self.dirty.extend(changed);
            }
            Watched::Slices => {
                let (before, service) = match value {
                    Some(Value::Ready(service)) => {
                        // The name of a slice stands for nothing else.
                        let key = ServiceId { namespace: self.text(key.namespace), name: key.name };
                        let service = self.shared(service);
                        (self.slices.insert(key, service.clone()), Some(service))
                    }
                    _ => (self.slices.remove(&key), None),
                };
                if before == service {
                    return;
                }
                if let Some(service) = service {
                    let slices = self.ready.entry(service.clone()).or_default();
                    *slices += 1;
                    self.dirty.insert(service);
                }
                if let Some(service) = before {
                    leave(&mut self.ready, &service);
                    self.dirty.insert(service);
                }
            }
            Watched::Nodes => {
                let place = match value {
                    Some(Value::Node(place)) => Some(self.shared_place(place)),
                    _ => None,
                };
                let before = match &place {
                    Some(place) => self.nodes.insert(key.name, place.clone()),
                    None => self.nodes.remove(&key.name),
                };
                if before == place {
                    return;
                }
                if let Some(place) = place {
                    *self.places.entry(place).or_default() += 1;
                }
                if let Some(place) = before {
                    leave(&mut self.places, &place);
                }
                self.moved = true;
            }
            Watched::FederationClusters | Watched::FederatedServices => {}
        }
    }

    /// Everything, which settles what changed.
    pub(crate) fn answer(&mut self) -> ClusterAnswer {
        self.dirty.clear();
        self.moved = false;
        let counting = self.services.keys().filter(|id| self.is_selected(id));
        let services = counting.filter_map(|id| Some((id.clone(), self.copy(id)?))).collect();
        let mut label_origins = BTreeMap::new();
        for (node, place) in &self.nodes {
            note_origins(&mut label_origins, [&place.region, &place.zone], &format_args!("node `{node}`"));
        }
        let places = Some(self.places.keys().cloned().collect());
        ClusterAnswer { places, labels: BTreeMap::new(), services, label_origins }
    }

    /// What changed since the last call or answer, as events of that cluster.
    pub(crate) fn changes(&mut self, cluster: &ClusterName) -> Vec<SourceEvent> {
        let mut events = Vec::new();
        if std::mem::take(&mut self.moved) {
            let places = self.places.keys().cloned().collect();
            events.push(SourceEvent::Places { cluster: cluster.clone(), places });
        }
        for service in std::mem::take(&mut self.dirty) {
            let copy = self.copy(&service);
            events.push(SourceEvent::Service { cluster: cluster.clone(), service, copy });
        }
        events
    }

    /// What a full list of a kind should find again: services that count, services with a ready endpoint, or nodes.
    pub(crate) fn present(&self, kind: Watched) -> BTreeSet<ServiceId> {
        match kind {
            Watched::Slices => self.ready.keys().cloned().collect(),
            Watched::Nodes => self.nodes.keys().map(|name| ServiceId::new("", name.clone())).collect(),
            _ => self.counting(),
        }
    }

    /// True when some of it is there. Nodes come and go by new names, so any will do.
    pub(crate) fn has_any_of(&self, kind: Watched, before: &BTreeSet<ServiceId>) -> bool {
        match kind {
            Watched::Slices => before.iter().any(|id| self.ready.contains_key(id)),
            Watched::Nodes => !self.nodes.is_empty(),
            _ => self.has_any(before),
        }
    }

    /// The services that count.
    fn counting(&self) -> BTreeSet<ServiceId> {
        self.services.keys().filter(|id| self.is_selected(id)).cloned().collect()
    }

    /// True when one of these services counts.
    fn has_any(&self, services: &BTreeSet<ServiceId>) -> bool {
        services.iter().any(|id| self.services.contains_key(id) && self.is_selected(id))
    }

    fn copy(&self, id: &ServiceId) -> Option<ServiceCopy> {
        let kept = self.services.get(id).filter(|_| self.is_selected(id))?;
        Some(kept.copy(self.ready.contains_key(id)))
    }

    fn is_selected(&self, id: &ServiceId) -> bool {
        self.select != Select::Exported || self.exports.contains(id)
    }

    fn shared(&mut self, id: ServiceId) -> ServiceId {
        ServiceId { namespace: self.text(id.namespace), name: self.text(id.name) }
    }

    fn shared_place(&mut self, place: Place) -> Place {
        Place { region: self.text(place.region), zone: self.text(place.zone) }
    }

    fn prune(&mut self) {
        self.texts.retain(|text| Arc::strong_count(text) > 1);
        self.prune_above = TEXTS.max(2 * self.texts.len());
    }

    fn text(&mut self, text: Arc<str>) -> Arc<str> {
        if let Some(known) = self.texts.get(&text) {
            return known.clone();
        }
        self.texts.insert(text.clone());
        text
    }
}

/// One less of `key`.
fn leave<K: Ord>(counts: &mut BTreeMap<K, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
