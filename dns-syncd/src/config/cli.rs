//! The command line.
//!
//! Flags that set a value which a file can set too stay text here; they are read with the file's rules in
//! [`Config::load`](super::Config::load), so that each value has one spelling and one error.

use clap::{Args, Parser, Subcommand};

use crate::joining::{InitArgs, JoinArgs, UnjoinArgs};

/// `dns-syncd` and its arguments.
#[derive(Clone, Debug, Parser)]
#[command(name = "dns-syncd", version, about = "Keeps one DNS name per service true over many Kubernetes clusters")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Settings that every command takes.
    #[command(flatten)]
    pub flags: Flags,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Watch the clusters and keep the records true
    Run {
        /// Print the answers of the DNS servers that answer for the zone, first all, then those that change
        #[arg(long)]
        show: bool,
    },
    /// Make one pass, then exit
    Apply {
        /// Release what the guard held, when the plan's hash is this one
        #[arg(long, value_name = "HASH")]
        approve: Option<String>,
    },
    /// Show what `apply` would change, and why
    Plan {
        /// Exit with 3 when there are changes
        #[arg(long)]
        detailed_exitcode: bool,
    },
    /// Print the desired records; needs no provider
    Records,
    /// Check config, provider and clusters without writing
    Check,
    /// Tell why a name has its records
    Explain {
        /// The name
        name: String,
    },
    /// List the clusters
    Clusters {
        /// Wait until every cluster has answered
        #[arg(long)]
        wait: bool,
    },
    /// Put the daemon into a cluster
    Init(InitArgs),
    /// Make a cluster a member
    Join(JoinArgs),
    /// Take a member out; its addresses leave DNS at once
    Unjoin(UnjoinArgs),
    /// Give up the claim on all records
    Release {
        /// Delete them instead
        #[arg(long)]
        delete: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// Settings on the command line. Each overrides the environment's `DNS_SYNCD_<FLAG>`, which overrides the file.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "Settings")]
pub struct Flags {
    /// The daemon's own file
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<String>,
    /// coredns, azure-azuredns, aws-route53, google-clouddns, embedded or memory
    #[arg(long, global = true, value_name = "NAME")]
    pub dns_provider: Option<String>,
    /// The provider's file
    #[arg(long, global = true, value_name = "FILE")]
    pub dns_provider_config: Option<String>,
    /// Name of the federation, a label of every name
    #[arg(long, global = true, value_name = "NAME")]
    pub federation_name: Option<String>,
    /// Name of the DNS zone
    #[arg(long, global = true, alias = "dns-zone-name", value_name = "NAME")]
    pub zone_name: Option<String>,
    /// Id of the DNS zone, where several have its name
    #[arg(long, global = true, value_name = "ID")]
    pub zone_id: Option<String>,
    /// What all names end in, when not the zone's name
    #[arg(long, global = true, value_name = "NAME")]
    pub service_dns_suffix: Option<String>,
    /// Name on the claims, when not the federation's
    #[arg(long, global = true, value_name = "NAME")]
    pub claim: Option<String>,
    /// Take over sets without a claim: none, exact or names
    #[arg(long, global = true, value_name = "WHICH")]
    pub adopt: Option<String>,
    /// Create the zone where the provider does not have it
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub create_zone: Option<String>,
    /// Manifests: a federation v1 dump, or a folder with one file or folder for each cluster
    #[arg(long, global = true, value_name = "PATH")]
    pub source: Option<String>,
    /// Kubeconfig files, as the variable KUBECONFIG lists them
    #[arg(long, global = true, value_name = "FILES")]
    pub kubeconfig: Option<String>,
    /// Address of the API server, instead of the kubeconfig's
    #[arg(long, global = true, value_name = "URL")]
    pub master: Option<String>,
    /// Services worked on at once
    #[arg(long, global = true, value_name = "N")]
    pub concurrent_service_syncs: Option<String>,
    /// Most sets deleted within the guard's window, percent
    #[arg(long, global = true, value_name = "PERCENT")]
    pub max_delete: Option<String>,
    /// Most sets changed within the guard's window, percent
    #[arg(long, global = true, value_name = "PERCENT")]
    pub max_update: Option<String>,
    /// Most global names emptied within the guard's window, percent
    #[arg(long, global = true, value_name = "PERCENT")]
    pub max_emptied: Option<String>,
    /// text or json
    #[arg(long, global = true, value_name = "FORM")]
    pub output: Option<String>,
    /// text or json
    #[arg(long, global = true, value_name = "FORM")]
    pub log_format: Option<String>,
}

/// A flag that sets a value of a section.
pub(crate) struct Setting<'a> {
    pub(crate) flag: &'static str,
    pub(crate) section: &'static str,
    pub(crate) key: &'static str,
    pub(crate) value: Option<&'a str>,
}

impl Flags {
    /// These, with what others give in place of it.
    pub(crate) fn overridden_by(self, over: Self) -> Self {
        Self {
            config: over.config.or(self.config),
            dns_provider: over.dns_provider.or(self.dns_provider),
            dns_provider_config: over.dns_provider_config.or(self.dns_provider_config),
            federation_name: over.federation_name.or(self.federation_name),
            zone_name: over.zone_name.or(self.zone_name),
            zone_id: over.zone_id.or(self.zone_id),
            service_dns_suffix: over.service_dns_suffix.or(self.service_dns_suffix),
            claim: over.claim.or(self.claim),
            adopt: over.adopt.or(self.adopt),
            create_zone: over.create_zone.or(self.create_zone),
            source: over.source.or(self.source),
            kubeconfig: over.kubeconfig.or(self.kubeconfig),
            master: over.master.or(self.master),
            concurrent_service_syncs: over.concurrent_service_syncs.or(self.concurrent_service_syncs),
            max_delete: over.max_delete.or(self.max_delete),
            max_update: over.max_update.or(self.max_update),
            max_emptied: over.max_emptied.or(self.max_emptied),
            output: over.output.or(self.output),
            log_format: over.log_format.or(self.log_format),
        }
    }

    /// The flags beside the keys that they override. The section `Command` is none of the file's.
    pub(crate) fn settings(&self) -> Vec<Setting<'_>> {
        let rows = [
            ("dns-provider", "Provider", "name", &self.dns_provider),
            ("dns-provider-config", "Provider", "config", &self.dns_provider_config),
            ("create-zone", "Provider", "create-zone", &self.create_zone),
            ("adopt", "Provider", "adopt", &self.adopt),
            ("federation-name", "Federation", "name", &self.federation_name),
            ("zone-name", "Federation", "zone-name", &self.zone_name),
            ("zone-id", "Federation", "zone-id", &self.zone_id),
            ("service-dns-suffix", "Federation", "service-dns-suffix", &self.service_dns_suffix),
            ("claim", "Federation", "claim", &self.claim),
            ("source", "Source", "path", &self.source),
            ("kubeconfig", "Source", "kubeconfig", &self.kubeconfig),
            ("concurrent-service-syncs", "Sync", "concurrent-service-syncs", &self.concurrent_service_syncs),
            ("max-delete", "Guard", "max-delete", &self.max_delete),
            ("max-update", "Guard", "max-update", &self.max_update),
            ("max-emptied", "Guard", "max-emptied", &self.max_emptied),
            ("master", "Command", "master", &self.master),
            ("output", "Command", "output", &self.output),
            ("log-format", "Command", "log-format", &self.log_format),
        ];
        rows.map(|(flag, section, key, value)| Setting { flag, section, key, value: value.as_deref() }).into()
    }
}
