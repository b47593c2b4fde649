//! The latest view of every cluster.
//!
//! What a cluster last said stays true until it says otherwise: losing sight of a cluster changes its standing, never
//! its services. Judging what an unknown cluster's silence means is [`standing`](crate::standing)'s.
//! In: [`SourceEvent`], the clusters that claims credit · Out: [`Dirty`] · Pure: yes.

mod copies;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::event::{
    ClusterAnswer, ClusterName, Endpoint, Place, Problem, ServiceCopy, ServiceId, SourceEvent, Timestamp,
};
use crate::zone::count;

pub use copies::{Copies, HeldCopy};

/// Which services a change of view may concern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dirty {
    /// Only these.
    Services(BTreeSet<ServiceId>),
    /// All, because topology or the standing of a cluster changed.
    All,
}

impl Dirty {
    /// None.
    pub fn nothing() -> Self {
        Self::Services(BTreeSet::new())
    }
}

/// How a cluster can be seen right now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// It is reachable and its lists are finished.
    Known {
        /// Since when.
        since: Timestamp,
    },
    /// It is not, or has not answered yet.
    Unknown {
        /// Since when.
        since: Timestamp,
        /// Why, for people.
        reason: Arc<str>,
    },
}

/// One member of the federation.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// How it can be seen.
    pub sight: Sight,
    /// It has answered since the start of the process.
    pub answered: bool,
    /// When it disappeared from its source, or was found only in claims.
    pub disappeared: Option<Timestamp>,
    /// Its (region, zone) pairs as last told; `None` when it never told.
    pub places: Option<BTreeSet<Place>>,
    /// Its labels.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// How many services count in it, as last told.
    pub services: usize,
    /// Where labels that cannot stand in names were read, by label.
    pub label_origins: BTreeMap<Arc<str>, Arc<str>>,
}

impl Cluster {
    fn unseen(since: Timestamp, reason: &str) -> Self {
        Self {
            sight: Sight::Unknown { since, reason: reason.into() },
            answered: false,
            disappeared: None,
            places: None,
            labels: BTreeMap::new(),
            services: 0,
            label_origins: BTreeMap::new(),
        }
    }

    /// True while it is reachable and its lists are finished.
    pub fn is_known(&self) -> bool {
        matches!(self.sight, Sight::Known { .. }) && self.disappeared.is_none()
    }

    /// Since when it is unknown: not in sight, or not in its source any more. `None` while it is known.
    pub fn unknown_since(&self) -> Option<Timestamp> {
        match self.sight {
            Sight::Unknown { since, .. } => Some(self.disappeared.map_or(since, |at| at.min(since))),
            Sight::Known { .. } => self.disappeared,
        }
    }
}

/// How a cluster went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// It disappeared from its source and stayed away.
    Left,
    /// A person took it out.
    Unjoined,
}

/// A former member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departed {
    /// When it went.
    pub at: Timestamp,
    /// How.
    pub how: Departure,
    /// The places that it was in, labels and settings taken together.
    pub places: BTreeSet<Place>,
}

/// All clusters and what they said.
#[derive(Clone, Debug, Default)]
pub struct Federation {
    clusters: BTreeMap<ClusterName, Cluster>,
    copies: BTreeMap<ServiceId, Copies>,
    departed: BTreeMap<ClusterName, Departed>,
    problems: BTreeMap<Arc<str>, Vec<Problem>>,
    hosts: HostIndex,
    /// How many problems make each service unreadable.
    unreadable: BTreeMap<ServiceId, usize>,
}

impl Federation {
    /// Takes one event in.
    pub fn apply(&mut self, event: SourceEvent, now: Timestamp) -> Dirty {
        match event {
            SourceEvent::Joined { cluster } => self.join(cluster, now),
            SourceEvent::Answer { cluster, answer } => self.answer(&cluster, answer, now),
            SourceEvent::Service { cluster, service, copy } => self.service(&cluster, service, copy),
            SourceEvent::Places { cluster, places } => match self.clusters.get_mut(&cluster) {
                Some(member) if member.places.as_ref() != Some(&places) => {
                    member.places = Some(places);
                    Dirty::All
                }
                _ => Dirty::nothing(),
            },
            // Who was let go comes back by joining or answering, not by being lost again.
            SourceEvent::Unknown { cluster, .. } if self.departed.contains_key(&cluster) => Dirty::nothing(),
            SourceEvent::Unknown { cluster, since, reason } => {
                let member = self.clusters.entry(cluster).or_insert_with(|| Cluster::unseen(now, &reason));
                let already = match &member.sight {
                    Sight::Unknown { since, .. } => Some(*since),
                    Sight::Known { .. } => None,
                };
                let since = since.or(already).unwrap_or(now);
                let changed = already != Some(since) || member.disappeared.is_some();
                member.sight = Sight::Unknown { since, reason };
                member.disappeared = None;
                if changed { Dirty::All } else { Dirty::nothing() }
            }
            SourceEvent::Disappeared { cluster } => match self.clusters.get_mut(&cluster) {
                Some(member) if member.disappeared.is_none() => {
                    member.disappeared = Some(now);
                    Dirty::All
                }
                _ => Dirty::nothing(),
            },
            SourceEvent::Unjoined { cluster } => self.depart(&cluster, now, Departure::Unjoined),
            SourceEvent::Problems { origin, problems } => self.report(&origin, problems),
        }
    }

    /// Adds clusters that only claims know: they have disappeared, and what is credited to them stays for a while.
    /// Clusters that are members or have departed are left as they are.
    pub fn remember(&mut self, credited: impl IntoIterator<Item = ClusterName>, now: Timestamp) -> Dirty {
        let mut dirty = Dirty::nothing();
        for cluster in credited {
            if self.departed.contains_key(&cluster) || self.clusters.contains_key(&cluster) {
                continue;
            }
            let mut member = Cluster::unseen(now, "it is not in the source");
            member.disappeared = Some(now);
            self.clusters.insert(cluster, member);
            dirty = Dirty::All;
        }
        dirty
    }

    /// Lets a cluster go: what it said is forgotten, what claims credit to it counts no more.
    pub fn depart(&mut self, cluster: &ClusterName, now: Timestamp, how: Departure) -> Dirty {
        let member = self.clusters.remove(cluster);
        let places = BTreeSet::new();
        self.departed.insert(cluster.clone(), Departed { at: now, how, places });
        let Some(member) = member else { return Dirty::All };
        if member.services > 0 {
            for service in self.services_in(cluster) {
                self.forget_copy(&service, cluster);
            }
        }
        Dirty::All
    }

    /// Remembers in which places a former member was.
    pub fn was_in(&mut self, cluster: &str, places: BTreeSet<Place>) {
        if let Some(departed) = self.departed.get_mut(cluster) {
            departed.places = places;
        }
    }

    /// The members by name, those that disappeared but have not left yet included.
    pub fn clusters(&self) -> &BTreeMap<ClusterName, Cluster> {
        &self.clusters
    }

    /// How a former member went; `None` for members and strangers.
    pub fn departure(&self, cluster: &str) -> Option<Departure> {
        self.departed.get(cluster).map(|departed| departed.how)
    }

    /// Former members with the time and manner of their going.
    pub fn departed(&self) -> &BTreeMap<ClusterName, Departed> {
        &self.departed
    }

    /// A cluster that a person took out of a place (an empty zone stands for the region alone).
    pub fn unjoined_from(&self, place: &Place) -> Option<&ClusterName> {
        let was_there = |departed: &Departed| {
            departed
                .places
                .iter()
                .any(|was| was.region == place.region && (place.zone.is_empty() || was.zone == place.zone))
        };
        let unjoined = self.departed.iter().filter(|(_, departed)| departed.how == Departure::Unjoined);
        unjoined.filter(|(_, departed)| was_there(departed)).map(|(name, _)| name).next()
    }

    /// The copies of a service by cluster; `None` when it counts nowhere.
    pub fn copies(&self, service: &ServiceId) -> Option<&Copies> {
        self.copies.get(service)
    }

    /// Every service that counts somewhere.
    pub fn services(&self) -> impl Iterator<Item = &ServiceId> {
        self.copies.keys()
    }

    /// What the sources could not use, in order of origin.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.problems.values().flatten()
    }

    /// True when a source could not read this service at all, so that its records stay as they are.
    pub fn is_unreadable(&self, service: &ServiceId) -> bool {
        self.unreadable.contains_key(service)
    }

    /// The load balancer names of which the first copy came, or the last went, since this was asked.
    pub fn take_changed_hosts(&mut self) -> BTreeSet<Arc<str>> {
        std::mem::take(&mut self.hosts.changed)
    }

    /// Whether a copy has this load balancer name.
    pub fn has_host(&self, host: &str) -> bool {
        self.hosts.services.contains_key(host)
    }

    /// The services with a copy behind this load balancer.
    pub fn services_behind(&self, host: &str) -> BTreeSet<ServiceId> {
        self.hosts.services.get(host).into_iter().flat_map(BTreeMap::keys).cloned().collect()
    }

    fn join(&mut self, cluster: ClusterName, now: Timestamp) -> Dirty {
        self.departed.remove(&cluster);
        match self.clusters.get_mut(&cluster) {
            Some(member) if member.disappeared.is_none() => Dirty::nothing(),
            Some(member) => {
                member.disappeared = None;
                Dirty::All
            }
            None => {
                self.clusters.insert(cluster, Cluster::unseen(now, "it has not answered yet"));
                Dirty::All
            }
        }
    }

    fn answer(&mut self, cluster: &ClusterName, answer: ClusterAnswer, now: Timestamp) -> Dirty {
        self.departed.remove(cluster);
        let member = self.clusters.entry(cluster.clone()).or_insert_with(|| Cluster::unseen(now, "it is new"));
        let whole = !member.is_known()
            || member.places != answer.places
            || member.labels != answer.labels
            || member.label_origins != answer.label_origins;
        if !member.is_known() {
            member.sight = Sight::Known { since: now };
        }
        member.answered = true;
        member.disappeared = None;
        // An answer that says nothing about topology does not take back what was said before.
        if answer.places.is_some() {
            member.places = answer.places;
        }
        member.labels = answer.labels;
        member.label_origins = answer.label_origins;
        let before = std::mem::replace(&mut member.services, answer.services.len());

        let mut changed = if before == 0 { BTreeSet::new() } else { self.services_in(cluster) };
        changed.retain(|service| !answer.services.contains_key(service));
        for gone in &changed {
            self.forget_copy(gone, cluster);
        }
        let cluster = &self.known_name(cluster);
        for (service, copy) in answer.services {
            let copy = HeldCopy::from(copy);
            let copies = self.copies.entry(service.clone()).or_default();
            if copies.get(cluster) != Some(&copy) {
                self.hosts.count(&service, Some(&copy), true);
                let old = copies.insert(cluster, copy);
                self.hosts.count(&service, old.as_ref(), false);
                changed.insert(service);
            }
        }
        if whole { Dirty::All } else { Dirty::Services(changed) }
    }

    fn service(&mut self, cluster: &ClusterName, service: ServiceId, copy: Option<ServiceCopy>) -> Dirty {
        if !self.clusters.contains_key(cluster) {
            return Dirty::nothing();
        }
        let cluster = &self.known_name(cluster);
        let (mut come, mut gone) = (0, 0);
        if let Some(copy) = copy.map(HeldCopy::from) {
            let copies = self.copies.entry(service.clone()).or_default();
            if copies.get(cluster) == Some(&copy) {
                return Dirty::nothing();
            }
            self.hosts.count(&service, Some(&copy), true);
            let old = copies.insert(cluster, copy);
            come = usize::from(old.is_none());
            self.hosts.count(&service, old.as_ref(), false);
        } else {
            gone = usize::from(self.forget_copy(&service, cluster));
        }
        if let Some(member) = self.clusters.get_mut(cluster) {
            member.services = (member.services + come).saturating_sub(gone);
        }
        Dirty::Services(BTreeSet::from([service]))
    }

    fn report(&mut self, origin: &Arc<str>, problems: Vec<Problem>) -> Dirty {
        let services = |problems: &[Problem]| -> Vec<ServiceId> {
            problems.iter().filter_map(|problem| problem.service.clone()).collect()
        };
        let before = self.problems.remove(origin).unwrap_or_default();
        let (gone, come) = (services(&before), services(&problems));
        for service in &gone {
            count(&mut self.unreadable, service.clone(), false);
        }
        for service in &come {
            count(&mut self.unreadable, service.clone(), true);
        }
        if !problems.is_empty() {
            self.problems.insert(origin.clone(), problems);
        }
        Dirty::Services(gone.into_iter().chain(come).collect())
    }

    /// True when there was one.
    fn forget_copy(&mut self, service: &ServiceId, cluster: &str) -> bool {
        let Some(copies) = self.copies.get_mut(service) else { return false };
        let old = copies.remove(cluster);
        self.hosts.count(service, old.as_ref(), false);
        if copies.is_empty() {
            self.copies.remove(service);
        }
        old.is_some()
    }

    /// The services of a cluster. Looks at all of them, for what happens rarely and concerns all.
    fn services_in(&self, cluster: &str) -> BTreeSet<ServiceId> {
        let here = self.copies.iter().filter(|(_, copies)| copies.get(cluster).is_some());
        here.map(|(service, _)| service.clone()).collect()
    }

    /// The name as it is kept already, so that all copies share it.
    fn known_name(&self, cluster: &ClusterName) -> ClusterName {
        self.clusters.get_key_value(cluster).map_or(cluster, |(name, _)| name).clone()
    }
}

fn hosts_of(copy: &HeldCopy) -> impl Iterator<Item = &Arc<str>> {
    copy.ingress().iter().chain(copy.external_ips()).filter_map(|endpoint| match endpoint {
        Endpoint::Host(host) => Some(host),
        _ => None,
    })
}

/// The services whose copies name each load balancer, with how many of their copies do.
#[derive(Clone, Debug, Default)]
struct HostIndex {
    services: BTreeMap<Arc<str>, BTreeMap<ServiceId, usize>>,
    /// Names that came or went.
    changed: BTreeSet<Arc<str>>,
}

impl HostIndex {
    fn count(&mut self, service: &ServiceId, copy: Option<&HeldCopy>, add: bool) {
        for host in copy.into_iter().flat_map(hosts_of) {
            let services = self.services.entry(host.clone()).or_default();
            let is_new = services.is_empty();
            count(services, service.clone(), add);
            let is_gone = services.is_empty();
            if is_gone {
                self.services.remove(host);
            }
            if is_new || is_gone {
                self.changed.insert(host.clone());
            }
        }
    }
}
