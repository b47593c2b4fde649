//! What the zone's claims credited to clusters that have not answered since the start (DESIGN, rule 7b).
//!
//! The zone is the memory, there is no state file. It is kept apart from the view of the zone because a withdrawn
//! address leaves the zone while its cluster may still come back, and nobody has said that the address is wrong.
//! In: the zone as read · Out: addresses by service and name · Pure: yes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use dnsprovider::{Fqdn, Ttl};

use crate::event::{ClusterName, ServiceId};
use crate::naming::Naming;
use crate::zone::{Ownership, ZoneView};

/// An address that was found in the zone, with the cluster credited; `None` for an adopted one, which may be anybody's.
pub type Memento = (Option<ClusterName>, IpAddr);

/// The mementos by service and name.
#[derive(Clone, Debug, Default)]
pub struct Memory(BTreeMap<ServiceId, BTreeMap<Fqdn, BTreeSet<Memento>>>);

impl Memory {
    /// Adds what the zone credits to clusters of which `has_answered` is false.
    pub fn learn(&mut self, zone: &ZoneView, naming: &Naming, has_answered: impl Fn(&str) -> bool) {
        for entry in zone.iter().filter(|entry| zone.ownership(entry) != Ownership::Foreign) {
            let owner = &entry.key().owner;
            for (record, credits) in entry.data.credited() {
                let Some(address) = record.address() else { continue };
                let silent = credits.iter().filter(|cluster| !has_answered(cluster)).cloned().map(Some);
                let mementos: BTreeSet<Memento> = match credits {
                    [] => BTreeSet::from([(None, address)]),
                    _ => silent.map(|cluster| (cluster, address)).collect(),
                };
                // Most often nobody is silent, so what a name stands for is asked last.
                if !mementos.is_empty()
                    && let Some((service, _)) = naming.parse(owner)
                {
                    let names = self.0.entry(service).or_default();
                    names.entry(owner.clone()).or_default().extend(mementos);
                }
            }
        }
    }

    /// Forgets what was credited to a cluster, because it speaks for itself now.
    pub fn forget(&mut self, cluster: &str) {
        self.retain(|(credited, _)| credited.as_deref() != Some(cluster));
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// What was found at a name of a service.
    pub fn at(&self, service: &ServiceId, owner: &Fqdn) -> impl Iterator<Item = &Memento> {
        self.0.get(service).and_then(|names| names.get(owner)).into_iter().flatten()
    }

    /// What was found at all names of a service.
    pub fn of(&self, service: &ServiceId) -> impl Iterator<Item = &Memento> {
        self.0.get(service).into_iter().flat_map(BTreeMap::values).flatten()
    }

    /// The services of which something was found.
    pub fn services(&self) -> impl Iterator<Item = &ServiceId> {
        self.0.keys()
    }

    fn retain(&mut self, keep: impl Fn(&Memento) -> bool) {
        self.0.retain(|_, names| {
            names.retain(|_, mementos| {
                mementos.retain(&keep);
                !mementos.is_empty()
            });
            !names.is_empty()
        });
    }
}

/// The smallest TTL of the sets that a service has in the zone.
pub(crate) fn held_ttl(zone: &ZoneView, service: &ServiceId) -> Option<Ttl> {
    let held = zone.names_of(service).flat_map(|owner| zone.at(owner));
    held.filter(|entry| zone.ownership(entry) != Ownership::Foreign).map(|entry| entry.data.set.ttl()).min()
}
