//! What a [`MemoryProvider`] is made of.

use std::sync::{Arc, Mutex};

use super::{Held, MemoryProvider, State};
use crate::capabilities::{Atomicity, Capabilities, Granularity, Limits};
use crate::name::Fqdn;
use crate::provider::{Zone, ZoneId};
use crate::record::RrType;

/// Says what a [`MemoryProvider`] has and can do.
#[derive(Clone, Debug)]
pub struct Builder {
    zones: Vec<Zone>,
    capabilities: Capabilities,
    page_size: usize,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self { zones: Vec::new(), capabilities: capabilities(), page_size: 500 }
    }

    /// Adds a public zone; its id is its apex as text.
    #[must_use]
    pub fn zone(self, apex: Fqdn) -> Self {
        self.zone_as(public(apex))
    }

    /// Adds a zone with an id of the caller's choice, such as a private one beside a public one of the same apex.
    #[must_use]
    pub fn zone_as(mut self, zone: Zone) -> Self {
        self.zones.push(zone);
        self
    }

    /// Changes what the provider can do and allows.
    ///
    /// What is taken away is refused from then on. `shared_sets` and `answers_subtree` stay false whatever is asked.
    #[must_use]
    pub fn configure(mut self, change: impl FnOnce(&mut Capabilities)) -> Self {
        change(&mut self.capabilities);
        self
    }

    /// How many sets a page has before it ends with its name; default 500.
    #[must_use]
    pub fn page_size(mut self, sets: usize) -> Self {
        self.page_size = sets.max(1);
        self
    }

    /// The provider, with empty zones. Of several zones with one id the last stays.
    pub fn build(mut self) -> MemoryProvider {
        self.capabilities.shared_sets = false;
        self.capabilities.answers_subtree = false;
        let zones = self.zones.into_iter().map(|zone| (zone.id.clone(), Held::new(zone))).collect();
        MemoryProvider {
            capabilities: Arc::new(self.capabilities),
            page_size: self.page_size,
            state: Arc::new(Mutex::new(State { zones, ..State::default() })),
        }
    }
}

/// Everything that [`MemoryProvider`] can do, without limits.
pub fn capabilities() -> Capabilities {
    Capabilities {
        record_types: [RrType::A, RrType::Aaaa, RrType::Cname, RrType::Txt].into(),
        atomicity: Atomicity::Batch,
        conditional_writes: true,
        enumeration: true,
        claims: true,
        shared_sets: false,
        answers_subtree: false,
        watch: true,
        manages_zones: true,
        granularity: Granularity::Set,
        rates: Vec::new(),
        concurrent_writes: 1,
        limits: Limits::default(),
    }
}

pub(super) fn public(apex: Fqdn) -> Zone {
    Zone { id: ZoneId(apex.as_str().into()), apex, private: false }
}
