//! What one cluster's API server has said: the kept part of its objects, and what changed since it was last told.
//!
//! In: [`Item`]s · Out: [`ClusterAnswer`]s and single changes · Pure: yes
//!
//! Memory, as a test below measures it for names of usual length: at most 500 bytes for a service that
//! counts together with one ready slice, and at most 192 for a node. Other objects are not kept.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};
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
    /// Those of which there is anything to know.
    services: BTreeMap<ServiceId, Kept>,
    /// Slices with a ready endpoint, and the service of each.
    slices: BTreeMap<SliceDigest, ServiceId>,
    digests: [RandomState; 2],
    /// Nodes with a place, by name.
    nodes: BTreeMap<Arc<str>, Place>,
    /// How many nodes each place has.
    places: BTreeMap<Place, u32>,
    /// Namespaces and places, each once in memory.
    texts: BTreeSet<Arc<str>>,
    /// With more of them, those are dropped that nothing has any more.
    prune_above: usize,
    /// Services that may differ from what was told.
    dirty: BTreeSet<ServiceId>,
    /// Nodes came, went or moved.
    moved: bool,
}

/// What is known of a service.
#[derive(Debug, Default)]
struct Kept {
    /// It counts, or with `select = exported` would if it were.
    copy: Option<KeptCopy>,
    /// How many slices with a ready endpoint it has.
    ready: u32,
    exported: bool,
}

impl Kept {
    fn is_nothing(&self) -> bool {
        self.copy.is_none() && self.ready == 0 && !self.exported
    }
}

/// Stands for the namespace and name of a slice, which nobody asks for: 128 bits under keys that are made at random, so
/// that no two are the same.
type SliceDigest = [u64; 2];

impl Store {
    pub(crate) fn new(select: Select) -> Self {
        Self {
            select,
            services: BTreeMap::new(),
            slices: BTreeMap::new(),
            digests: [RandomState::new(), RandomState::new()],
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
        if kind == Watched::Slices {
            let listed: BTreeSet<SliceDigest> = items.iter().map(|item| self.digest(&item.key)).collect();
            let gone: Vec<SliceDigest> = self.slices.keys().filter(|slice| !listed.contains(*slice)).copied().collect();
            for slice in gone {
                self.put_slice(slice, None);
            }
        } else {
            for key in self.absent(kind, &items) {
                self.apply(kind, Item { key, value: None });
            }
        }
        for item in items {
            self.apply(kind, item);
        }
        self.prune();
    }

    /// What is kept of a kind and not listed.
    fn absent(&self, kind: Watched, items: &[Item]) -> Vec<ServiceId> {
        let listed: BTreeSet<&ServiceId> = items.iter().map(|item| &item.key).collect();
        let of_services = |is_kept: fn(&Kept) -> bool| {
            let kept = self.services.iter().filter(move |(_, kept)| is_kept(kept));
            kept.map(|(key, _)| key).filter(|key| !listed.contains(key)).cloned().collect()
        };
        match kind {
            Watched::Services => of_services(|kept| kept.copy.is_some()),
            Watched::Exports => of_services(|kept| kept.exported),
            Watched::Nodes => {
                let keys = self.nodes.keys().map(|name| ServiceId::new("", name.clone()));
                keys.filter(|key| !listed.contains(key)).collect()
            }
            // Slices have no names here, and nobody asks a member for the others.
            Watched::Slices | Watched::FederationClusters | Watched::FederatedServices => Vec::new(),
        }
    }

    /// One object came, changed or went.
    pub(crate) fn apply(&mut self, kind: Watched, item: Item) {
        self.keep(kind, item);
        if self.texts.len() > self.prune_above {
            self.prune();
        }
    }

    /// Texts are shared once it is clear that they are kept: most objects that come and go are of no use here.
    fn keep(&mut self, kind: Watched, Item { key, value }: Item) {
        match kind {
            Watched::Services => {
                let copy = match value {
                    Some(Value::Service(copy)) => Some(copy),
                    _ => None,
                };
                self.change(key, |kept| {
                    let changed = kept.copy != copy;
                    kept.copy = copy;
                    changed
                });
            }
            Watched::Exports => {
                let exported = value.is_some();
                self.change(key, |kept| std::mem::replace(&mut kept.exported, exported) != exported);
            }
            Watched::Slices => {
                let service = match value {
                    Some(Value::Ready(service)) => Some(service),
                    _ => None,
                };
                self.put_slice(self.digest(&key), service);
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

    /// Replaces the service for which a slice has a ready endpoint.
    fn put_slice(&mut self, slice: SliceDigest, service: Option<ServiceId>) {
        if self.slices.get(&slice) == service.as_ref() {
            return;
        }
        let service = service.map(|service| {
            self.change(service, |kept| {
                kept.ready += 1;
                true
            })
        });
        let before = match service {
            Some(service) => self.slices.insert(slice, service),
            None => self.slices.remove(&slice),
        };
        if let Some(before) = before {
            self.change(before, |kept| {
                kept.ready = kept.ready.saturating_sub(1);
                true
            });
        }
    }

    /// Changes what is known of a service; true when it may differ from what was told. Gives the service as it is kept.
    fn change(&mut self, id: ServiceId, change: impl FnOnce(&mut Kept) -> bool) -> ServiceId {
        let known = self.services.get_key_value(&id).map(|(known, _)| known.clone());
        let mut kept = known.as_ref().and_then(|known| self.services.get_mut(known));
        let mut unknown = Kept::default();
        let changed = change(kept.as_deref_mut().unwrap_or(&mut unknown));
        let is_gone = kept.is_some_and(|kept| kept.is_nothing());
        let id = match known {
            Some(known) => known,
            None if unknown.is_nothing() => return id,
            None => ServiceId { namespace: self.text(id.namespace), name: id.name },
        };
        if is_gone {
            self.services.remove(&id);
        } else if !unknown.is_nothing() {
            self.services.insert(id.clone(), unknown);
        }
        if changed {
            self.dirty.insert(id.clone());
        }
        id
    }

    fn digest(&self, slice: &ServiceId) -> SliceDigest {
        self.digests.each_ref().map(|digest| digest.hash_one(slice))
    }

    /// Everything, which settles what changed.
    pub(crate) fn answer(&mut self) -> ClusterAnswer {
        self.dirty.clear();
        self.moved = false;
        let counting = self.services.iter().filter_map(|(id, kept)| Some((id.clone(), self.copy(kept)?)));
        let services = counting.collect();
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
            let copy = self.services.get(&service).and_then(|kept| self.copy(kept));
            events.push(SourceEvent::Service { cluster: cluster.clone(), service, copy });
        }
        events
    }

    /// What a full list of a kind should find again: services that count, services with a ready endpoint, or nodes.
    pub(crate) fn present(&self, kind: Watched) -> BTreeSet<ServiceId> {
        match kind {
            Watched::Slices => {
                let ready = self.services.iter().filter(|(_, kept)| kept.ready > 0);
                ready.map(|(id, _)| id.clone()).collect()
            }
            Watched::Nodes => self.nodes.keys().map(|name| ServiceId::new("", name.clone())).collect(),
            _ => self.counting(),
        }
    }

    /// True when some of it is there. Nodes come and go by new names, so any will do.
    pub(crate) fn has_any_of(&self, kind: Watched, before: &BTreeSet<ServiceId>) -> bool {
        match kind {
            Watched::Slices => before.iter().any(|id| self.services.get(id).is_some_and(|kept| kept.ready > 0)),
            Watched::Nodes => !self.nodes.is_empty(),
            _ => self.has_any(before),
        }
    }

    /// The services that count.
    fn counting(&self) -> BTreeSet<ServiceId> {
        self.services.iter().filter(|(_, kept)| self.counts(kept)).map(|(id, _)| id.clone()).collect()
    }

    /// True when one of these services counts.
    fn has_any(&self, services: &BTreeSet<ServiceId>) -> bool {
        services.iter().any(|id| self.services.get(id).is_some_and(|kept| self.counts(kept)))
    }

    fn copy(&self, kept: &Kept) -> Option<ServiceCopy> {
        let copy = kept.copy.as_ref().filter(|_| self.counts(kept))?;
        Some(copy.copy(kept.ready > 0))
    }

    fn counts(&self, kept: &Kept) -> bool {
        kept.copy.is_some() && (self.select != Select::Exported || kept.exported)
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
