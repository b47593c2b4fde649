//! The members of the federation as people and scripts see them: `clusters`, `/clusters`, `/status`.
//!
//! In: [`Reconciler`] · Out: [`ClusterReport`]s by name · Pure: yes.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use dns_sync_core::federation::{Cluster, Departure, Sight};
use dns_sync_core::standing::Standing;
use dns_sync_core::{Place, Reconciler};
use serde::{Deserialize, Serialize};

use crate::moment::Moment;

/// How a cluster stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClusterStatus {
    /// Reachable, its lists are finished.
    Ready,
    /// What it said last, or what the zone credits to it, is all that is known.
    Unknown,
    /// It is no member any more.
    Left,
}

impl fmt::Display for ClusterStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ready => "Ready",
            Self::Unknown => "Unknown",
            Self::Left => "Left",
        })
    }
}

/// One member, or former member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterReport {
    /// Its name in the source.
    pub name: String,
    /// How it stands.
    pub status: ClusterStatus,
    /// Since when it stands so.
    pub since: Moment,
    /// Why, unless it is ready.
    pub reason: Option<String>,
    /// Its regions, valid ones only.
    pub regions: Vec<String>,
    /// Its topology zones, valid ones only.
    pub zones: Vec<String>,
    /// Services that count in it, as last told.
    pub services: usize,
    /// Its addresses are taken out of DNS where others stand in.
    pub drained: bool,
    /// It is unknown for so long that others may stand in.
    pub expired: bool,
    /// When this process first heard of it; null for a process that has just begun.
    pub first_seen: Option<Moment>,
}

/// All members and those that have left, by name.
pub fn clusters(reconciler: &Reconciler) -> Vec<ClusterReport> {
    let federation = reconciler.federation();
    let standings = &reconciler.standings().clusters;
    let members = federation.clusters().iter().map(|(name, cluster)| report(name, cluster, standings.get(name)));
    let departed = federation.departed().iter().map(|(name, departed)| ClusterReport {
        name: name.to_string(),
        status: ClusterStatus::Left,
        since: departed.at.into(),
        reason: Some(match departed.how {
            Departure::Left => "it disappeared from its source and stayed away".into(),
            Departure::Unjoined => "it was unjoined".into(),
        }),
        regions: labels(departed.places.iter().map(|place| &place.region)),
        zones: labels(departed.places.iter().map(|place| &place.zone)),
        services: 0,
        drained: false,
        expired: false,
        first_seen: None,
    });
    let mut all: Vec<ClusterReport> = members.chain(departed).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

fn report(name: &str, cluster: &Cluster, standing: Option<&Standing>) -> ClusterReport {
    let (status, since, reason) = match (&cluster.sight, cluster.disappeared) {
        (_, Some(at)) => (ClusterStatus::Unknown, at, Some("it is not in its source".to_owned())),
        (Sight::Known { since }, None) => (ClusterStatus::Ready, *since, None),
        (Sight::Unknown { since, reason }, None) => (ClusterStatus::Unknown, *since, Some(reason.to_string())),
    };
    let places: BTreeSet<&Place> =
        standing.and_then(|standing| standing.places.as_ref()).into_iter().flatten().collect();
    ClusterReport {
        name: name.to_owned(),
        status,
        since: since.into(),
        reason,
        regions: labels(places.iter().map(|place| &place.region)),
        zones: labels(places.iter().map(|place| &place.zone)),
        services: cluster.services,
        drained: standing.is_some_and(|standing| standing.drained),
        expired: standing.is_some_and(|standing| standing.expired),
        first_seen: None,
    }
}

fn labels<'a>(labels: impl Iterator<Item = &'a Arc<str>>) -> Vec<String> {
    let distinct: BTreeSet<&Arc<str>> = labels.filter(|label| !label.is_empty()).collect();
    distinct.into_iter().map(ToString::to_string).collect()
}
