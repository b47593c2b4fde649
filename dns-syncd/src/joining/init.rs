//! `init`: the daemon comes into the host cluster.

use std::net::SocketAddr;
use std::path::PathBuf;

use dnsprovider::Fqdn;
use serde_json::Value;

use super::args::InitArgs;
use super::config_file::{checksum, config_file, leader, overrides, provider_files};
use super::contexts::{Contexts, Reached};
use super::federation::{Federation, deployment};
use super::manifests::{HostValues, host};
use super::objects::printed;
use super::report::{JoiningError, Listener, Result};
use super::{Outcome, label};
use crate::config::{Config, Flags};

/// What `init` was asked for, read and checked; nothing has been sent yet.
#[derive(Debug)]
pub struct Init {
    args: InitArgs,
    contexts: Contexts,
    config: Config,
    given: Vec<(&'static str, &'static str, String)>,
    /// The text of the user's own `dns-syncd.conf`.
    own: Option<String>,
    home: Option<PathBuf>,
}

impl Init {
    /// Reads flags, variables and files.
    ///
    /// # Errors
    /// For what cannot be meant.
    pub fn new(args: &InitArgs, flags: &Flags, env: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        label("a federation", &args.name)?;
        if let Some(other) = flags.federation_name.as_ref().filter(|other| **other != args.name) {
            return Err(JoiningError::usage(format!(
                "the federation is called `{}` and, by --federation-name, `{other}`; hint: leave the flag out",
                args.name
            )));
        }
        if flags.source.is_some() {
            return Err(JoiningError::usage("--source has no use: the daemon watches the clusters that join"));
        }
        let contexts = Contexts::read(flags.kubeconfig.as_deref(), env)?;
        contexts.check("--host-cluster-context", &args.host.host_cluster_context)?;
        let over = args.controllermanager_arg_overrides.as_deref().map(overrides).transpose()?.unwrap_or_default();
        let named = Flags { federation_name: Some(args.name.clone()), kubeconfig: None, ..flags.clone() };
        let flags = named.overridden_by(over);
        if let Some(other) = flags.federation_name.as_ref().filter(|other| **other != args.name) {
            return Err(JoiningError::usage(format!(
                "--controllermanager-arg-overrides: the federation is called `{}`, not `{other}`",
                args.name
            )));
        }
        let config = Config::load(&flags, env)?;
        let provider = config.provider_name()?;
        if ["embedded", "memory"].contains(&provider) {
            return Err(JoiningError::usage(format!(
                "the provider `{provider}` is not set up by `init`; hint: the chart dns-syncd/deploy/chart with \
                 examples/embedded.yaml runs the daemon as the DNS server"
            )));
        }
        let own = match Config::file(&flags, env) {
            None => None,
            Some(path) => Some(std::fs::read_to_string(&path).map_err(|error| {
                JoiningError::usage(format!("{}: the config file cannot be read: {error}", path.display()))
            })?),
        };
        let home = env("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
        Ok(Self { args: args.clone(), contexts, given: flags.given(env), config, own, home })
    }

    /// The settings with which the daemon will run, but that the provider's files still lie here.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The objects for a zone that was found, and the DNS servers that the provider's file names.
    fn objects(&self, zone: &Fqdn, servers: &[SocketAddr]) -> Result<Vec<Value>> {
        let leader = leader(&self.config);
        let config = config_file(self.own.as_deref(), &self.given, leader);
        let files = provider_files(self.config.provider.config.as_deref(), self.home.as_deref())?;
        let resolver = self.config.sync.resolver.map(|resolver| resolver.to_string()).unwrap_or_default();
        let mut of_log = self.given.iter().filter(|(section, key, _)| (*section, *key) == ("Command", "log-format"));
        let is_text = of_log.next_back().is_some_and(|(_, _, form)| form == "text");
        host(&HostValues {
            namespace: self.args.host.federation_system_namespace.clone(),
            image: self.args.image.clone(),
            federation: self.config.federation.name.to_string(),
            suffix: self.config.federation.suffix.clone().unwrap_or_else(|| zone.clone()),
            zone: zone.clone(),
            provider: self.config.provider_name()?.to_owned(),
            servers: servers.to_vec(),
            checksum: checksum(&config, &resolver, &files),
            config: config.text,
            provider_files: files,
            leader,
            lease: self.config.leader.name.clone().unwrap_or_else(|| self.config.federation.claim.to_string()),
            is_text,
        })
    }

    /// The objects as YAML, without what is secret; sends nothing.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn printed(&self, zone: &Fqdn, servers: &[SocketAddr]) -> Result<String> {
        Ok(printed(&self.objects(zone, servers)?))
    }

    /// Puts the daemon into the host cluster.
    ///
    /// # Errors
    /// When the cluster cannot be reached or refuses something, or something of somebody else is in the way.
    pub async fn run(&self, zone: &Fqdn, servers: &[SocketAddr], listener: &dyn Listener) -> Result<Outcome> {
        let objects = self.objects(zone, servers)?;
        let context = &self.args.host.host_cluster_context;
        let host = self.contexts.reach("--host-cluster-context", context).await?;
        self.refuse_another(&host).await?;
        host.check_ours(&objects).await?;
        for object in &objects {
            host.apply(object, listener).await?;
        }
        Ok(Outcome::Done)
    }

    /// A namespace holds one federation.
    async fn refuse_another(&self, host: &Reached) -> Result<()> {
        let namespace = &self.args.host.federation_system_namespace;
        let Some(found) = host.find(&deployment(namespace)).await? else { return Ok(()) };
        match Federation::name_of(&found).filter(|name| *name != self.args.name) {
            None => Ok(()),
            Some(other) => Err(JoiningError::usage(format!(
                "the namespace `{namespace}` in the cluster `{}` holds the federation `{other}` already; hint: another \
                 --federation-system-namespace",
                host.context
            ))),
        }
    }
}
