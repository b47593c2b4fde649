//! Everything that a decision about one service looks at.

use std::collections::BTreeMap;

use dnsprovider::Fqdn;

use crate::event::{ClusterName, Place, Timestamp};
use crate::federation::Federation;
use crate::hosts::Hosts;
use crate::memory::Memory;
use crate::naming::Naming;
use crate::settings::Settings;
use crate::standing::Standings;
use crate::zone::ZoneView;

/// Everything that decides, at one time.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// What the clusters said.
    pub federation: &'a Federation,
    /// What that is worth.
    pub standings: &'a Standings,
    /// What the operator wants.
    pub settings: &'a Settings,
    /// Names.
    pub naming: &'a Naming,
    /// What the zone holds.
    pub zone: &'a ZoneView,
    /// What it credited to clusters that have not answered yet.
    pub memory: &'a Memory,
    /// Resolved load balancer names.
    pub hosts: &'a Hosts,
    /// Places that no cluster explains any more, with the time of their loss.
    pub lost_places: &'a BTreeMap<Place, Timestamp>,
    /// Sets of several owners may share a name and type at the host.
    pub shared_sets: bool,
    /// The host stores claims, and a name changes between addresses and a CNAME in two calls.
    pub swaps_in_two: bool,
    /// The host lets nobody write the TXT set that would hold a name in between.
    pub denies_placeholders: bool,
    /// The host's limit of what the credits of a set may take.
    pub credit_octets: Option<usize>,
    /// The host's limit of records in a set.
    pub records_per_set: Option<usize>,
    /// Now.
    pub now: Timestamp,
}

/// A remark on a service that is no change: a refusal or a warning.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// The cluster, where it is about one.
    pub cluster: Option<ClusterName>,
    /// The name, where it is about one.
    pub owner: Option<Fqdn>,
    /// What, for people.
    pub text: String,
    /// True for what was refused (exit 4), false for a warning.
    pub refused: bool,
}
