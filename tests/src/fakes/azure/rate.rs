//! How many calls Azure takes: per zone by the DNS resource provider, per principal by the resource manager.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::faults::Rate;
use super::identity::Principal;
use super::route::Route;
use super::world::State;
use super::zone::Key;

/// What a call does, as the vendor counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// PUT of a set or zone that is not there.
    Create,
    /// PUT or PATCH of one that is.
    Update,
    /// DELETE.
    Delete,
    /// GET of a set or a zone.
    Get,
    /// GET of a page.
    List,
}

/// Calls a minute on one zone. Source: the vendor's limits page of 2024-10-08.
const PER_MINUTE: [(Kind, u32); 5] =
    [(Kind::Create, 200), (Kind::Update, 200), (Kind::Delete, 200), (Kind::Get, 2000), (Kind::List, 60)];

/// The rates in force and how much of each is left. None at first.
#[derive(Debug, Default)]
pub(super) struct Rates {
    per_zone: BTreeMap<Kind, Rate>,
    zones: BTreeMap<(String, Kind), Rate>,
    manager: bool,
    principals: BTreeMap<(String, &'static str), Rate>,
}

impl Rates {
    /// The vendor's own numbers. The clock is the runtime's, which a test may pause.
    pub(super) fn vendor(&mut self) {
        for (kind, calls) in PER_MINUTE {
            self.per_zone.insert(kind, Rate::new(f64::from(calls) / 60.0, calls));
        }
        self.manager = true;
        self.zones.clear();
        self.principals.clear();
    }

    pub(super) fn set(&mut self, kind: Kind, rate: Rate) {
        self.per_zone.insert(kind, rate);
        self.zones.retain(|(_, other), _| *other != kind);
    }
}

impl State {
    /// Takes a token for this call, or says how long until there is one.
    pub(super) fn take_rate(&mut self, route: &Route, principal: &Principal) -> Result<(), Duration> {
        let kind = self.kind(route);
        if !route.zone.is_empty() {
            let zone = format!("{}/{}", route.group, route.zone).to_ascii_lowercase();
            if let Some(rate) = self.rates.per_zone.get(&kind) {
                self.rates.zones.entry((zone, kind)).or_insert_with(|| rate.clone()).take()?;
            }
        }
        if self.rates.manager {
            // Source: the summary in the reference: buckets of 250 at 25 a second for reads, 200 at 10 for the rest.
            let (what, rate) = match kind {
                Kind::Get | Kind::List => ("reads", Rate::new(25.0, 250)),
                Kind::Delete => ("deletes", Rate::new(10.0, 200)),
                Kind::Create | Kind::Update => ("writes", Rate::new(10.0, 200)),
            };
            self.rates.principals.entry((principal.client().to_owned(), what)).or_insert(rate).take()?;
        }
        Ok(())
    }

    fn kind(&self, route: &Route) -> Kind {
        let there = match self.zone(route) {
            Ok(zone) if !route.name.is_empty() => zone.sets.contains_key(&Key::new(&route.name, &route.record_type)),
            zone => zone.is_ok(),
        };
        match route.action().rsplit('/').next() {
            Some("write") if there => Kind::Update,
            Some("write") => Kind::Create,
            Some("delete") => Kind::Delete,
            _ if route.operation.contains("List") => Kind::List,
            _ => Kind::Get,
        }
    }
}
