//! What each cluster's word is worth right now: "unknown is not empty" (DESIGN, rules 7 and 9), before any service is
//! looked at.
//!
//! In: [`Federation`], [`Quorum`], [`Settings`], the time · Out: [`Standings`] · Pure: yes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::event::{ClusterName, Place, Timestamp};
use crate::federation::{Cluster, Federation};
use crate::naming::place_label;
use crate::quorum::Quorum;
use crate::settings::Settings;

/// What one cluster's word is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each of which decides alone somewhere")]
pub struct Standing {
    /// Reachable, lists finished.
    pub known: bool,
    /// It has said since the start which services it has.
    pub answered: bool,
    /// Unknown past the grace while at least half of the clusters are known: others may stand in.
    pub expired: bool,
    /// A person wants it out of DNS where others stand in.
    pub drained: bool,
    /// Its valid (region, zone) pairs, lower case, an empty zone for none; `None` when nothing is known about them.
    pub places: Option<BTreeSet<Place>>,
    /// Its labels with those of the settings on top.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
}

/// The standing of every member, and what follows for the federation as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standings {
    /// By cluster.
    pub clusters: BTreeMap<ClusterName, Standing>,
    /// All pairs that a member's nodes carry.
    pub places: BTreeSet<Place>,
    /// Those of them of which a process that begins now hears again: a known member or a file has them. The others
    /// would be known by the zone alone.
    pub told_places: BTreeSet<Place>,
    /// Some member has not yet said which services it has.
    pub some_unanswered: bool,
    /// Some member's topology is not known, so that claimed topology names speak for it.
    pub some_unplaced: bool,
    /// At least half of the members are known.
    pub quorum: bool,
    /// Labels that cannot stand in names, by cluster.
    pub refused_labels: BTreeSet<(ClusterName, String)>,
}

/// Judges every member, by a quorum that has looked at them.
pub fn standings(federation: &Federation, quorum: &Quorum, settings: &Settings, now: Timestamp) -> Standings {
    let mut all = Standings { quorum: quorum.is_held(), ..Standings::default() };
    for (name, cluster) in federation.clusters() {
        let over = cluster.unknown_since().is_some_and(|since| now >= quorum.grace_end(name, since, settings));
        let overrides = settings.cluster(name);
        let mut labels = cluster.labels.clone();
        labels.extend(overrides.labels.clone());
        let places = places(name, cluster, settings, &mut all.refused_labels);
        all.places.extend(places.iter().flatten().cloned());
        let by_hand = overrides.region.is_some() && overrides.zones.is_some();
        // A single pass reads what the next one will read.
        if cluster.is_known() || by_hand || settings.one_shot {
            all.told_places.extend(places.iter().flatten().cloned());
        }
        all.some_unanswered |= !cluster.answered;
        all.some_unplaced |= places.is_none() || !cluster.answered;
        let standing = Standing {
            known: cluster.is_known(),
            answered: cluster.answered,
            expired: over && all.quorum,
            drained: overrides.drain,
            places,
            labels,
        };
        all.clusters.insert(name.clone(), standing);
    }
    all
}

/// Members that disappeared so long ago that they have left.
pub fn leavers(federation: &Federation, quorum: &Quorum, settings: &Settings, now: Timestamp) -> Vec<ClusterName> {
    if !settings.one_shot && !quorum.is_held() {
        return Vec::new();
    }
    let is_over = |cluster: &Cluster| cluster.disappeared.is_some_and(|at| now >= quorum.leave_end(at, settings));
    federation.clusters().iter().filter(|(_, cluster)| is_over(cluster)).map(|(name, _)| name.clone()).collect()
}

/// The next time at which a standing changes by time alone; `None` while nobody may be judged.
pub fn next_change(federation: &Federation, quorum: &Quorum, settings: &Settings, now: Timestamp) -> Option<Timestamp> {
    if !quorum.is_held() {
        return None;
    }
    let times = federation.clusters().iter().flat_map(|(name, cluster)| {
        let grace = cluster.unknown_since().map(|since| quorum.grace_end(name, since, settings));
        let leave = cluster.disappeared.map(|at| quorum.leave_end(at, settings));
        [grace, leave]
    });
    times.flatten().filter(|time| *time > now).min()
}

/// The valid pairs of a cluster: what the settings say, else what its nodes carry.
fn places(
    name: &ClusterName,
    cluster: &Cluster,
    settings: &Settings,
    refused: &mut BTreeSet<(ClusterName, String)>,
) -> Option<BTreeSet<Place>> {
    let overrides = settings.cluster(name);
    let told = cluster.places.as_ref();
    let raw: BTreeSet<Place> = match (&overrides.region, &overrides.zones) {
        (Some(region), Some(zones)) if zones.is_empty() => BTreeSet::from([Place::new(region.clone(), "")]),
        (Some(region), Some(zones)) => zones.iter().map(|zone| Place::new(region.clone(), zone.clone())).collect(),
        (Some(region), None) => match told {
            Some(told) if !told.is_empty() => {
                told.iter().map(|place| Place::new(region.clone(), place.zone.clone())).collect()
            }
            _ => BTreeSet::from([Place::new(region.clone(), "")]),
        },
        (None, Some(zones)) => told?
            .iter()
            .flat_map(|place| zones.iter().map(|zone| Place::new(place.region.clone(), zone.clone())))
            .collect(),
        (None, None) => told?.clone(),
    };
    let mut label = |text: &str| match place_label(text) {
        Ok(label) => label,
        Err(why) => {
            let place = cluster.label_origins.get(text).map(|origin| format!("{origin}: ")).unwrap_or_default();
            refused.insert((name.clone(), format!("{place}{why}; hint: set region or zones in [Cluster \"{name}\"]")));
            None
        }
    };
    let valid = raw.iter().filter_map(|place| {
        let region = label(&place.region)?;
        Some(Place { region, zone: label(&place.zone).unwrap_or_else(|| "".into()) })
    });
    Some(valid.collect())
}
