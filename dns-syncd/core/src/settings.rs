//! What an operator decides, as typed values. Defaults are those of the daemon's config file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use dnsprovider::{Fqdn, Ttl};
use ipnet::IpNet;

use crate::event::ClusterName;

/// Everything that the decisions depend on beside clusters, zone and time.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches of an operator")]
pub struct Settings {
    /// Name of the federation, a DNS label.
    pub federation: Arc<str>,
    /// Name on the claims of this daemon.
    pub claim: Arc<str>,
    /// A claim that this one replaces.
    pub previous_claim: Option<Arc<str>>,
    /// Apex of the zone.
    pub zone: Fqdn,
    /// What the names end in: the zone's apex or a name below it.
    pub suffix: Fqdn,
    /// Which unclaimed sets may be taken over.
    pub adopt: Adopt,
    /// TTL where a service says nothing.
    pub ttl: Ttl,
    /// Publish region names.
    pub region_level: bool,
    /// Publish topology zone names.
    pub zone_level: bool,
    /// Most addresses in one set; the host's limit applies as well.
    pub max_addresses: Option<usize>,
    /// What becomes of a service without any address.
    pub all_unhealthy: AllUnhealthy,
    /// How long an unknown cluster keeps addresses that others could stand in for.
    pub unreachable_grace: Duration,
    /// How long a cluster that disappeared from its source is unknown before it has left.
    pub leave_delay: Duration,
    /// How long a claimed topology name outlives its place.
    pub topology_linger: Duration,
    /// A set is not changed again sooner, failovers excepted; of these none comes sooner after one that did.
    pub min_interval: Duration,
    /// Publish `spec.externalIPs`.
    pub external_ips: bool,
    /// Overrides by cluster.
    pub clusters: BTreeMap<ClusterName, ClusterSettings>,
    /// Budget of losses.
    pub guard: GuardSettings,
    /// One pass and no more (`apply`, `plan`): clusters leave without a quorum, because the guard protects.
    pub one_shot: bool,
    /// There is no zone to fall back on (`records`): a copy that cannot be judged contributes nothing.
    pub sources_alone: bool,
}

impl Settings {
    /// The defaults for a federation in a zone.
    pub fn new(federation: impl Into<Arc<str>>, zone: Fqdn) -> Self {
        let federation = federation.into();
        let minutes = |count: u64| Duration::from_secs(count * 60);
        Self {
            claim: federation.clone(),
            federation,
            previous_claim: None,
            suffix: zone.clone(),
            zone,
            adopt: Adopt::None,
            ttl: Ttl::from_secs(180).expect("180 is a TTL"),
            region_level: true,
            zone_level: true,
            max_addresses: None,
            all_unhealthy: AllUnhealthy::Empty,
            unreachable_grace: minutes(5),
            leave_delay: minutes(5),
            topology_linger: minutes(24 * 60),
            min_interval: Duration::from_secs(1),
            external_ips: true,
            clusters: BTreeMap::new(),
            guard: GuardSettings::default(),
            one_shot: false,
            sources_alone: false,
        }
    }

    /// The same for one pass: clusters that are absent have left, and no name lingers.
    #[must_use]
    pub fn for_one_shot(mut self) -> Self {
        self.one_shot = true;
        self.leave_delay = Duration::ZERO;
        self.topology_linger = Duration::ZERO;
        self
    }

    /// What is set for a cluster; nothing where it has no section.
    pub fn cluster(&self, name: &str) -> &ClusterSettings {
        static NONE: ClusterSettings = ClusterSettings::NONE;
        self.clusters.get(name).unwrap_or(&NONE)
    }
}

/// Which sets without a claim are taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Adopt {
    /// None.
    #[default]
    None,
    /// Those that already have exactly the desired values, and at a name of this federation the TXT set that holds the
    /// place of a CNAME.
    Exact,
    /// Every A, AAAA and CNAME set at a name of this federation, and that TXT set.
    Names,
}

/// What becomes of the sets of a service that counts while no cluster has an address for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AllUnhealthy {
    /// The global name is emptied.
    #[default]
    Empty,
    /// The sets stay as the zone has them.
    Keep,
}

/// `[Cluster "name"]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClusterSettings {
    /// Instead of the nodes' region labels.
    pub region: Option<Arc<str>>,
    /// Instead of the nodes' zone labels.
    pub zones: Option<BTreeSet<Arc<str>>>,
    /// Added to the cluster's own labels; these win.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// Only services of these namespaces count; `None` for all.
    pub namespaces: Option<BTreeSet<Arc<str>>>,
    /// Only addresses in these networks are published; `None` for all.
    pub addresses: Option<Vec<IpNet>>,
    /// Take the cluster's addresses out where others stand in.
    pub drain: bool,
}

impl ClusterSettings {
    const NONE: Self =
        Self { region: None, zones: None, labels: BTreeMap::new(), namespaces: None, addresses: None, drain: false };
}

/// Budget of losses: percentages of the claimed sets, rounded down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardSettings {
    /// How long a loss counts.
    pub window: Duration,
    /// Sets deleted, percent.
    pub max_delete: u8,
    /// Sets otherwise changed, percent.
    pub max_update: u8,
    /// Global names emptied, percent.
    pub max_emptied: u8,
    /// No write at all.
    pub freeze: bool,
}

impl Default for GuardSettings {
    fn default() -> Self {
        Self { window: Duration::from_mins(10), max_delete: 30, max_update: 30, max_emptied: 10, freeze: false }
    }
}
