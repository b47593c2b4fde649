//! What an operator decides: flags, environment and `dns-syncd.conf`, checked and typed.
//!
//! A flag overrides `DNS_SYNCD_<FLAG>`, which overrides the file; `FEDERATION_NAME`, `DNS_ZONE_NAME` and
//! `FEDERATION_DNS_PROVIDER` are read last. Every error says where the value stands and what to do.

pub mod cli;
mod layers;
mod read;
mod reload;
mod variables;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dns_sync_core::{Adopt, AllUnhealthy, ClusterName, ClusterSettings, GuardSettings, Settings};
use dnsprovider::{Fqdn, Ttl, ZoneId};

pub use cli::{Cli, Command, Flags};
pub use reload::Reload;
pub use variables::unknown_variables;

use crate::source::Select;

/// Where the admin endpoint listens when nobody says.
pub const DEFAULT_ADMIN: &str = "127.0.0.1:10253";

/// A wrong or missing setting: bad usage, exit code 2. Prints where it stands and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl ConfigError {
    /// An error with this message.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// Everything that the daemon is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `[Federation]`.
    pub federation: Federation,
    /// `[Provider]`.
    pub provider: Provider,
    /// `[Source]`.
    pub source: Source,
    /// `[Cluster "name"]`.
    pub clusters: BTreeMap<ClusterName, Cluster>,
    /// `[Sync]`.
    pub sync: Sync,
    /// `[Guard]`.
    pub guard: GuardSettings,
    /// `[Leader]`.
    pub leader: Leader,
    /// `[Admin]`.
    pub admin: Admin,
    /// Form of what commands print.
    pub output: Form,
    /// Form of the log.
    pub log_format: Form,
    lacking: Lacking,
}

/// Errors for commands that need what others do without, worded where the settings were read and their places known.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Lacking {
    provider: ConfigError,
    source: ConfigError,
}

/// Names, and the zone that they live in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Federation {
    /// A DNS label.
    pub name: Arc<str>,
    /// Apex of the zone. At least one of this and `zone_id` is there.
    pub zone_name: Option<Fqdn>,
    /// The zone's id at its provider.
    pub zone_id: Option<ZoneId>,
    /// What names end in, at or below the zone's apex.
    pub suffix: Option<Fqdn>,
    /// Name on the claims.
    pub claim: Arc<str>,
    /// A claim that this one replaces.
    pub previous_claim: Option<Arc<str>>,
}

/// The DNS host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Its name; `records` does without.
    pub name: Option<String>,
    /// Its `[Global]` file.
    pub config: Option<PathBuf>,
    /// Create the zone where it does not exist.
    pub create_zone: bool,
    /// Which sets without a claim are taken over.
    pub adopt: Adopt,
}

/// Where clusters come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// What they are read from; `release` does without.
    pub kind: Option<SourceKind>,
    /// Manifests (`files`), or a folder of kubeconfig files (`clusters`).
    pub path: Option<PathBuf>,
    /// Kubeconfig files in the order of merging; a folder among them is one of kubeconfig files.
    pub kubeconfig: Vec<PathBuf>,
    /// Address of the API server instead of the kubeconfig's, for `federation` or where there is one cluster.
    pub master: Option<String>,
    /// Which services count.
    pub select: Select,
    /// Publish `spec.externalIPs`.
    pub external_ips: bool,
    /// Write Kubernetes events.
    pub events: bool,
}

/// `[Source] kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// Manifests in files.
    Files,
    /// The API servers of the clusters.
    Clusters,
    /// The API server of a federation v1.
    Federation,
}

/// What is set for one cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cluster {
    /// Its kubeconfig context, when not its name.
    pub context: Option<String>,
    /// What the decisions need.
    pub settings: ClusterSettings,
}

/// How records are made and kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Sync {
    /// TTL where a service says nothing.
    pub ttl: Ttl,
    /// Publish region names.
    pub region_level: bool,
    /// Publish topology zone names.
    pub zone_level: bool,
    /// Most addresses in one set.
    pub max_addresses: Option<usize>,
    /// What becomes of a service without any address.
    pub all_unhealthy: AllUnhealthy,
    /// How long an unknown cluster keeps its addresses.
    pub unreachable_grace: Duration,
    /// How long a disappeared cluster is unknown before it has left.
    pub leave_delay: Duration,
    /// How long a topology name outlives its place.
    pub topology_linger: Duration,
    /// A set is not changed again sooner.
    pub min_interval: Duration,
    /// Who resolves load balancers' names; `None` for the system's resolver.
    pub resolver: Option<SocketAddr>,
    /// Services worked on at once.
    pub concurrent_service_syncs: usize,
}

/// Who may write when several processes run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// What they elect by.
    pub kind: LeaderKind,
    /// Name of the lease, when not the claim's.
    pub name: Option<String>,
    /// Namespace of the lease, when not the pod's.
    pub namespace: Option<String>,
    /// Kubeconfig of the API server that holds the lease, when not in-cluster.
    pub kubeconfig: Option<PathBuf>,
    /// How this process is called, when not by its host's name.
    pub identity: Option<String>,
    /// How long a leader leads without renewing.
    pub lease_duration: Duration,
}

/// `[Leader] kind`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LeaderKind {
    /// No election: one process.
    #[default]
    None,
    /// A Kubernetes `Lease`.
    Lease,
    /// An election in the provider's etcd.
    Etcd,
}

/// The admin endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Nobody set `listen`: where the default is taken, do without.
    pub is_default: bool,
    /// File of the token that `POST /approve` needs.
    pub token_file: Option<PathBuf>,
}

/// Text for people or JSON for programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

impl Config {
    /// Reads flags, environment and, where `--config` or `DNS_SYNCD_CONFIG` names it, the file.
    ///
    /// `env` gives the value of a variable.
    pub fn load(flags: &Flags, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let Some(path) = Self::file(flags, env) else { return Self::read(flags, env, None) };
        let name = path.display().to_string();
        let text = std::fs::read(&path)
            .map_err(|error| ConfigError(format!("{name}: the config file cannot be read: {error}")))?;
        Self::read(flags, env, Some((&name, &text)))
    }

    /// The daemon's own file, where flags or environment name it.
    pub fn file(flags: &Flags, env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
        let path = flags.config.clone().or_else(|| env(&variables::variable("config")));
        path.filter(|path| !path.is_empty()).map(PathBuf::from)
    }

    /// As [`Config::load`] with the file's name and text; touches no file.
    pub fn read(
        flags: &Flags,
        env: &dyn Fn(&str) -> Option<String>,
        file: Option<(&str, &[u8])>,
    ) -> Result<Self, ConfigError> {
        read::config(&layers::Layers::new(flags, env, file)?)
    }

    /// The provider's name, for commands that need one.
    pub fn provider_name(&self) -> Result<&str, ConfigError> {
        self.provider.name.as_deref().ok_or_else(|| self.lacking.provider.clone())
    }

    /// Says that there is no source.
    pub fn lacks_source(&self) -> ConfigError {
        self.lacking.source.clone()
    }

    /// The manifests' path, for a source of kind `files`.
    pub fn manifests(&self) -> Option<&Path> {
        self.source.path.as_deref().filter(|_| self.source.kind == Some(SourceKind::Files))
    }

    /// What the decisions need, for the zone at `apex`: the one that is set, or that the zone's id was found to have.
    ///
    /// # Errors
    /// When names would end outside that zone.
    pub fn settings(&self, apex: &Fqdn) -> Result<Settings, ConfigError> {
        let suffix = self.federation.suffix.clone().unwrap_or_else(|| apex.clone());
        if !suffix.is_at_or_below(apex) {
            return Err(ConfigError(format!("`service-dns-suffix`: `{suffix}` is not in the zone `{apex}`")));
        }
        Ok(Settings {
            claim: self.federation.claim.clone(),
            previous_claim: self.federation.previous_claim.clone(),
            suffix,
            adopt: self.provider.adopt,
            ttl: self.sync.ttl,
            region_level: self.sync.region_level,
            zone_level: self.sync.zone_level,
            max_addresses: self.sync.max_addresses,
            all_unhealthy: self.sync.all_unhealthy,
            unreachable_grace: self.sync.unreachable_grace,
            leave_delay: self.sync.leave_delay,
            topology_linger: self.sync.topology_linger,
            min_interval: self.sync.min_interval,
            external_ips: self.source.external_ips,
            clusters: self.clusters.iter().map(|(name, cluster)| (name.clone(), cluster.settings.clone())).collect(),
            guard: self.guard.clone(),
            ..Settings::new(self.federation.name.clone(), apex.clone())
        })
    }
}
