//! `init`: the daemon comes into the host cluster.

use std::net::SocketAddr;
use std::path::PathBuf;

use dnsprovider::Fqdn;
use kube::api::DynamicObject;
use serde_json::Value;

use super::args::InitArgs;
use super::config_file::{admin_token, checksum, config_file, leader, overrides, provider_files, without_folder};
use super::contexts::{Contexts, Reached};
use super::federation::{Federation, deployment};
use super::manifests::{ADMIN, EMBEDDED, HostValues, NAME, PROVIDER_FILE, host, without_use};
use super::objects::{called, is_ours, printed, text};
use super::report::{JoiningError, Listener, Result};
use super::rights::{Asked, Case, Command, Known, Side};
use super::this_machine::refuse_of_this_machine;
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
        if config.provider_name()? == "memory" {
            return Err(JoiningError::usage(
                "the provider `memory` is not set up by `init`: its records are in no DNS; hint: --dns-provider=embedded \
                 makes the daemon the DNS server",
            ));
        }
        let own = match Config::file(&flags, env) {
            None => None,
            Some(path) => {
                let name = path.display().to_string();
                let text = std::fs::read_to_string(&path)
                    .map_err(|error| JoiningError::usage(format!("{name}: the config file cannot be read: {error}")))?;
                Some((name, text))
            }
        };
        let named = own.as_ref().map(|(name, text)| (&**name, &**text));
        refuse_of_this_machine(&config, named, &args.host.federation_system_namespace)?;
        let own = own.map(|(_, text)| text);
        let home = env("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
        Ok(Self { args: args.clone(), contexts, given: flags.given(env), config, own, home })
    }

    /// The settings with which the daemon will run, but that the provider's files still lie here.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The provider's file as it will be in the pods, where the daemon is the DNS server; else none. It can be opened here,
    /// for the folder of the zones is left out.
    ///
    /// # Errors
    /// When the file cannot be read, or no zone is named.
    pub fn served(&self) -> Result<Option<String>> {
        if self.config.provider_name()? != EMBEDDED {
            return Ok(None);
        }
        let Some(zone) = &self.config.federation.zone_name else {
            return Err(JoiningError::usage(
                "the provider `embedded` knows zones by name alone; hint: --dns-zone-name",
            ));
        };
        let path = self.config.provider.config.as_deref();
        let mut files = provider_files(path, self.home.as_deref(), Some(zone))?;
        let text = files.remove(PROVIDER_FILE).unwrap_or_default();
        Ok(Some(without_folder(String::from_utf8_lossy(&text).into_owned())))
    }

    /// The objects for a zone that was found, and the DNS servers that the provider's file names.
    fn objects(&self, zone: &Fqdn, servers: &[SocketAddr]) -> Result<Vec<Value>> {
        let leader = leader(&self.config);
        let provider = self.config.provider_name()?;
        let token = self.config.admin.token_file.as_deref().map(admin_token).transpose()?;
        let config = config_file(self.own.as_deref(), &self.given, leader, token.is_some());
        let served = (provider == EMBEDDED).then_some(zone);
        let files = provider_files(self.config.provider.config.as_deref(), self.home.as_deref(), served)?;
        let resolver = self.config.sync.resolver.map(|resolver| resolver.to_string()).unwrap_or_default();
        let mut of_log = self.given.iter().filter(|(section, key, _)| (*section, *key) == ("Command", "log-format"));
        let is_text = of_log.next_back().is_some_and(|(_, _, form)| form == "text");
        host(&HostValues {
            namespace: self.args.host.federation_system_namespace.clone(),
            image: self.args.image.clone(),
            federation: self.config.federation.name.to_string(),
            suffix: self.config.federation.suffix.clone().unwrap_or_else(|| zone.clone()),
            zone: zone.clone(),
            provider: provider.to_owned(),
            servers: servers.to_vec(),
            checksum: checksum(&config, &resolver, &files),
            config: config.text,
            provider_files: files,
            leader,
            lease: self.lease(),
            token,
            is_text,
        })
    }

    /// The objects as YAML, without what is secret, and what would be deleted; writes nothing.
    ///
    /// # Errors
    /// When a file cannot be read, and as [`Init::run`]; a cluster that cannot be reached is remarked on.
    pub async fn printed(&self, zone: &Fqdn, servers: &[SocketAddr], listener: &dyn Listener) -> Result<String> {
        let objects = self.objects(zone, servers)?;
        let obsolete = match self.checked(&objects, listener).await {
            Ok((_, obsolete)) => obsolete,
            Err(JoiningError::Unreached(why)) => {
                listener.remark(&format!("{why}; so neither rights nor what is in the way were looked for"));
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        let deleted = obsolete.iter().map(|object| format!("# deleted: {}\n", called(object)));
        Ok(printed(&objects) + &deleted.collect::<String>())
    }

    /// Puts the daemon into the host cluster.
    ///
    /// What has no use any more goes when the Deployment has replaced its pods: the old ones live on it. Until then it
    /// stays, and that is said.
    ///
    /// # Errors
    /// When the cluster cannot be reached or refuses something, a right is missing, or something of somebody else is in
    /// the way.
    pub async fn run(&self, zone: &Fqdn, servers: &[SocketAddr], listener: &dyn Listener) -> Result<Outcome> {
        let objects = self.objects(zone, servers)?;
        let (host, obsolete) = self.checked(&objects, listener).await?;
        let mut are_replaced = false;
        for object in &objects {
            let written = host.apply(object, listener).await?;
            are_replaced |= text(object, "/kind") == "Deployment" && is_rolled_out(&written);
        }
        if !are_replaced && !obsolete.is_empty() {
            let names = obsolete.iter().map(called).collect::<Vec<_>>().join(", ");
            let (context, namespace) = (&host.context, &self.args.host.federation_system_namespace);
            listener.remark(&format!(
                "not deleted: {names}: still used by the old pods; hint: run init again when they are gone: `kubectl \
                 --context {context} --namespace {namespace} rollout status deployment {NAME}`"
            ));
            return Ok(Outcome::Withheld);
        }
        for object in &obsolete {
            host.delete(object, listener).await?;
        }
        Ok(Outcome::Done)
    }

    /// The host and what is to be deleted there, when nothing stands against it.
    async fn checked(&self, objects: &[Value], listener: &dyn Listener) -> Result<(Reached, Vec<Value>)> {
        let namespace = &*self.args.host.federation_system_namespace;
        let host = self.contexts.connect("--host-cluster-context", &self.args.host.host_cluster_context).await?;
        let mut asked = Asked::new(&host, Command::Init, Side::Host);
        let mut known = self.known(objects);
        asked.missing(&known, false).await?.refuse()?;
        let near = host.clone().identified().await?;
        if near.find(&objects[0]).await?.is_none() {
            known.found("create", "namespaces", namespace);
            known.found("patch", "namespaces", namespace);
        }
        self.refuse_another(&near).await?;
        near.check_ours(objects).await?;
        let mut obsolete = Vec::new();
        for (resource, object) in without_use(namespace, objects) {
            if near.find(&object).await?.is_some_and(|found| is_ours(&found)) {
                known.found("delete", resource, text(&object, "/metadata/name"));
                obsolete.push(object);
            }
        }
        asked.missing(&known, false).await?.refuse()?;
        asked.remark(listener);
        Ok((near, obsolete))
    }

    /// What the rights depend on.
    fn known(&self, objects: &[Value]) -> Known {
        let has = |kind: &str, name: &str| {
            objects.iter().any(|object| text(object, "/kind") == kind && text(object, "/metadata/name") == name)
        };
        Known::of(&self.args.host.federation_system_namespace)
            .word("LEASE", [self.lease()])
            .case(Case::Lease, has("Role", NAME))
            .case(Case::Embedded, has("Service", NAME))
            .case(Case::Token, has("Secret", ADMIN))
    }

    fn lease(&self) -> String {
        self.config.leader.name.clone().unwrap_or_else(|| self.config.federation.claim.to_string())
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

/// True when all pods of a Deployment are of its newest form and available, so none of an older one is left.
fn is_rolled_out(deployment: &DynamicObject) -> bool {
    let number = |at: &str| deployment.data.pointer(at).and_then(Value::as_i64).unwrap_or_default();
    let wanted = number("/spec/replicas");
    let is_seen = deployment.metadata.generation.is_some_and(|newest| number("/status/observedGeneration") >= newest);
    let counts = ["/status/replicas", "/status/updatedReplicas", "/status/availableReplicas"];
    // Kubernetes counts pods that are ending from 1.35 on.
    is_seen && counts.iter().all(|at| number(at) == wanted) && number("/status/terminatingReplicas") == 0
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_deployment_is_rolled_out_when_no_older_pod_is_left() {
        let is_rolled_out = |status: Value| {
            let object = json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": NAME, "generation": 3 },
                "spec": { "replicas": 2 }, "status": status,
            });
            super::is_rolled_out(&serde_json::from_value(object).unwrap())
        };
        let status = json!({ "observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2 });
        assert!(is_rolled_out(status.clone()));
        for (key, value) in [
            ("observedGeneration", 2),
            ("replicas", 3),
            ("updatedReplicas", 1),
            ("availableReplicas", 1),
            ("terminatingReplicas", 1),
        ] {
            let mut other = status.clone();
            other[key] = json!(value);
            assert!(!is_rolled_out(other), "{key}");
        }
        assert!(!is_rolled_out(json!({})), "nobody has seen it yet");
    }
}
