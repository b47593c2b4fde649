//! The federation as the host cluster knows it: what `init` wrote, and who has joined.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use dns_sync_core::ClusterName;
use dnsprovider::Fqdn;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use kube::config::Kubeconfig;
use serde_json::{Value, json};

use super::contexts::Reached;
use super::manifests::{CLUSTERS, FEDERATION, FEDERATIONS, NAME, NAME_SERVERS, PROVIDER, ZONE};
use super::report::{JoiningError, Result};
use crate::config::{Cluster, Config, Flags};
use crate::source::Select;

/// A kubeconfig's extension with the UID of the member's namespace `kube-system`.
pub(crate) const UID: &str = "dns-syncd.io/kube-system-uid";
/// A kubeconfig's extension with the time at which the member joined: a member that joins again is another.
pub(crate) const JOINED: &str = "dns-syncd.io/joined";

/// What `init` left in the host cluster.
#[derive(Clone, Debug)]
pub(crate) struct Federation {
    pub(crate) name: String,
    /// What names end in.
    pub(crate) suffix: Fqdn,
    pub(crate) zone: Fqdn,
    /// The DNS host.
    pub(crate) provider: Option<String>,
    /// DNS servers that answer for the zone.
    pub(crate) servers: Vec<SocketAddr>,
    /// Secrets with kubeconfigs, by cluster, that the daemon mounts.
    pub(crate) secrets: Vec<String>,
    /// What selects the daemon's pods.
    pub(crate) pods: String,
    /// Port of the admin address.
    pub(crate) port: u16,
    /// The daemon reads `ServiceExport`s, and writes Kubernetes Events.
    pub(crate) exports: bool,
    pub(crate) events: bool,
    pub(crate) levels: Levels,
    /// What the daemon's config says of clusters.
    pub(crate) clusters: BTreeMap<ClusterName, Cluster>,
}

/// Which names the daemon publishes beside the global ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Levels {
    pub(crate) region: bool,
    pub(crate) zone: bool,
}

/// The daemon's Deployment, by name alone.
pub(crate) fn deployment(namespace: &str) -> Value {
    json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": NAME, "namespace": namespace } })
}

/// A Secret, by name alone.
pub(crate) fn secret(namespace: &str, name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name, "namespace": namespace } })
}

impl Federation {
    /// Reads it.
    ///
    /// # Errors
    /// Where there is no daemon.
    pub(crate) async fn of(host: &Reached, namespace: &str) -> Result<Self> {
        let context = &host.context;
        let hint = format!(
            "hint: `dns-syncd init NAME --host-cluster-context={context} …`, or --federation-system-namespace for another \
             than `{namespace}`"
        );
        let Some(found) = host.find(&deployment(namespace)).await? else {
            return Err(JoiningError::failed(format!(
                "there is no daemon in the cluster `{context}`: no Deployment {namespace}/{NAME}; {hint}"
            )));
        };
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": NAME, "namespace": namespace },
        });
        let map = host.find(&map).await?;
        let text = map.as_ref().and_then(|map| map.data["data"]["dns-syncd.conf"].as_str()).unwrap_or_default();
        // One that cannot be read shows in the daemon itself.
        let config = Config::read(&Flags::default(), &|_| None, Some(("dns-syncd.conf", text.as_bytes()))).ok();
        Self::read(&found, config.as_ref()).map_err(|why| {
            JoiningError::failed(format!(
                "the Deployment {namespace}/{NAME} in the cluster `{context}` does not say of which federation it is: \
                 {why}; {hint}"
            ))
        })
    }

    /// From what `init` noted, else from the config of the daemon, as the chart makes it.
    fn read(deployment: &DynamicObject, config: Option<&Config>) -> std::result::Result<Self, String> {
        let annotation = |name: &str| deployment.annotations().get(name).map(String::as_str);
        let fqdn = |name: &str, text: &str| {
            Fqdn::parse(text).map_err(|error| format!("its annotation `{name}` has `{text}`: {error}"))
        };
        let of_config = config.map(|config| &config.federation);
        let name =
            annotation(FEDERATION).map(str::to_owned).or(of_config.map(|federation| federation.name.to_string()));
        let name = name.ok_or_else(|| format!("it has no annotation `{FEDERATION}`"))?;
        let suffix = annotation(FEDERATIONS).map(|domain| {
            let domain = domain.strip_prefix(&format!("{name}=")).unwrap_or(domain);
            fqdn(FEDERATIONS, domain)
        });
        let suffix = suffix.transpose()?.or(of_config.and_then(|federation| federation.suffix.clone()));
        let zone = annotation(ZONE).map(|zone| fqdn(ZONE, zone)).transpose()?;
        let zone = zone.or(of_config.and_then(|federation| federation.zone_name.clone())).or(suffix.clone());
        let zone = zone.ok_or_else(|| format!("it has no annotation `{ZONE}`"))?;
        let servers = annotation(NAME_SERVERS).unwrap_or_default();
        let servers = servers.split(',').map(str::trim).filter(|server| !server.is_empty());
        let servers = servers.map(|server| {
            let wrong = |_| format!("its annotation `{NAME_SERVERS}` has `{server}`, which is no `ip:port`");
            server.parse().map_err(wrong)
        });
        let spec = &deployment.data["spec"];
        let pod = &spec["template"]["spec"];
        let labels = spec["selector"]["matchLabels"].as_object().into_iter().flatten();
        let pods: Vec<_> = labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
        let volumes = pod["volumes"].as_array().into_iter().flatten();
        let sources = volumes.flat_map(|volume| volume["projected"]["sources"].as_array().into_iter().flatten());
        // With `items` a Secret is of one cluster.
        let secrets = sources.map(|source| &source["secret"]).filter(|secret| secret["items"].is_null());
        let secrets = secrets.filter_map(|secret| secret["name"].as_str().map(str::to_owned)).collect();
        let ports = pod["containers"].as_array().into_iter().flatten();
        let mut ports = ports.flat_map(|container| container["ports"].as_array().into_iter().flatten());
        let port = ports.find(|port| port["name"] == "admin").and_then(|port| port["containerPort"].as_u64());
        Ok(Self {
            name,
            suffix: suffix.unwrap_or_else(|| zone.clone()),
            zone,
            provider: annotation(PROVIDER)
                .map(str::to_owned)
                .or(config.and_then(|config| config.provider.name.clone())),
            servers: servers.collect::<std::result::Result<_, _>>()?,
            secrets,
            pods: pods.join(","),
            port: port.and_then(|port| u16::try_from(port).ok()).unwrap_or(10253),
            exports: config.is_some_and(|config| config.source.select == Select::Exported),
            events: config.is_some_and(|config| config.source.events),
            levels: Levels {
                region: config.is_none_or(|config| config.sync.region_level),
                zone: config.is_none_or(|config| config.sync.zone_level),
            },
            clusters: config.map(|config| config.clusters.clone()).unwrap_or_default(),
        })
    }

    /// The name of the federation that a Deployment is of.
    pub(crate) fn name_of(deployment: &DynamicObject) -> Option<&str> {
        deployment.annotations().get(FEDERATION).map(String::as_str)
    }

    #[cfg(test)]
    pub(crate) fn empty() -> Self {
        Self {
            name: "fed".to_owned(),
            suffix: Fqdn::root(),
            zone: Fqdn::root(),
            provider: None,
            servers: Vec::new(),
            secrets: Vec::new(),
            pods: String::new(),
            port: 10253,
            exports: false,
            events: false,
            levels: Levels { region: true, zone: true },
            clusters: BTreeMap::new(),
        }
    }

    /// The Secret for a member's kubeconfig: the one asked for, else the first that the daemon mounts.
    ///
    /// # Errors
    /// When the daemon does not mount that one.
    pub(crate) fn secret(&self, asked: Option<&str>) -> Result<String> {
        let mounted = self.secrets.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        match (asked, self.secrets.first()) {
            (None, Some(first)) => Ok(first.clone()),
            (Some(asked), _) if self.secrets.iter().any(|name| name == asked) => Ok(asked.to_owned()),
            (Some(asked), Some(_)) => Err(JoiningError::usage(format!(
                "--secret-name: the daemon does not mount the Secret `{asked}`; it mounts {mounted}"
            ))),
            (_, None) => Err(JoiningError::failed(format!(
                "the daemon mounts no Secret with kubeconfigs by cluster; hint: `members.secret: {CLUSTERS}` of the chart"
            ))),
        }
    }
}

/// The kubeconfigs of the members as they lie in the Secret.
#[derive(Clone, Debug)]
pub(crate) struct Joined {
    pub(crate) secret: Value,
    pub(crate) found: DynamicObject,
    /// The text of each member's kubeconfig.
    pub(crate) members: BTreeMap<String, String>,
}

impl Joined {
    pub(crate) async fn of(host: &Reached, namespace: &str, name: &str) -> Result<Self> {
        let secret = secret(namespace, name);
        let Some(found) = host.find(&secret).await? else {
            return Err(JoiningError::failed(format!(
                "there is no Secret {namespace}/{name} in the cluster `{}`; hint: run `dns-syncd init` again",
                host.context
            )));
        };
        let data = found.data["data"].as_object().into_iter().flatten();
        let decoded = |value: &Value| {
            let octets: k8s_openapi::ByteString = serde_json::from_value(value.clone()).unwrap_or_default();
            String::from_utf8_lossy(&octets.0).into_owned()
        };
        let members = data.map(|(name, value)| (name.clone(), decoded(value))).collect();
        Ok(Self { secret, found, members })
    }

    /// Gives a member this kubeconfig, or takes it away; false when the Secret has changed since it was read, and nothing
    /// was written.
    pub(crate) async fn set(&self, host: &Reached, cluster: &str, kubeconfig: Option<&str>) -> Result<bool> {
        let encoded = kubeconfig.map(|text| k8s_openapi::ByteString(text.as_bytes().to_vec()));
        host.merge(&self.secret, &self.found, &json!({ "data": { cluster: encoded } })).await
    }

    /// The name under which a cluster has joined already, other than this one.
    pub(crate) fn other_name(&self, cluster: &str, uid: &str) -> Option<&str> {
        let mut others = self.members.iter().filter(|(name, _)| *name != cluster);
        others.find(|(_, text)| extension(text, UID).as_deref() == Some(uid)).map(|(name, _)| name.as_str())
    }

    /// The UID of the cluster that joined under this name.
    pub(crate) fn uid(&self, cluster: &str) -> Option<String> {
        extension(self.members.get(cluster)?, UID)
    }

    /// When the cluster joined under this name.
    pub(crate) fn joined(&self, cluster: &str) -> Option<String> {
        extension(self.members.get(cluster)?, JOINED)
    }
}

/// An extension of the only cluster of a kubeconfig.
fn extension(kubeconfig: &str, name: &str) -> Option<String> {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig).ok()?;
    let extensions = kubeconfig.clusters.first()?.cluster.as_ref()?.extensions.as_ref()?;
    let found = extensions.iter().find(|extension| extension.name == name)?;
    found.extension.as_str().map(str::to_owned)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn deployment(annotations: &Value) -> DynamicObject {
        let source = |name: &str| json!({ "secret": { "name": name } });
        let of_one =
            json!({ "secret": { "name": "of-eu", "items": [{ "key": "kubeconfig", "path": "eu/kubeconfig" }] } });
        let object = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": NAME, "annotations": annotations },
            "spec": {
                "selector": { "matchLabels": { "a": "b", "c": "d" } },
                "template": { "spec": {
                    "containers": [{ "ports": [{ "name": "admin", "containerPort": 7 }] }],
                    "volumes": [{ "name": "x", "projected": { "sources": [of_one, source("all"), source("more")] } }],
                } },
            },
        });
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn what_init_noted_is_read() {
        let noted = json!({
            FEDERATIONS: "fed=a.example.com", FEDERATION: "fed", ZONE: "example.com",
            NAME_SERVERS: "192.0.2.1:53, [2001:db8::1]:53",
        });
        let federation = Federation::read(&deployment(&noted), None).unwrap();
        assert_eq!((&*federation.name, federation.suffix.as_str()), ("fed", "a.example.com."));
        assert_eq!((federation.zone.as_str(), federation.servers.len()), ("example.com.", 2));
        assert_eq!((&*federation.pods, federation.port), ("a=b,c=d", 7));
        assert_eq!(federation.secret(None).unwrap(), "all");
        assert_eq!(federation.secret(Some("more")).unwrap(), "more");
        let error = federation.secret(Some("of-eu")).unwrap_err().to_string();
        assert_eq!(error, "--secret-name: the daemon does not mount the Secret `of-eu`; it mounts `all`, `more`");

        let wrong = json!({ FEDERATION: "fed", ZONE: "example.com", NAME_SERVERS: "ns1.example.com" });
        let error = Federation::read(&deployment(&wrong), None).unwrap_err();
        assert_eq!(error, "its annotation `nameserver` has `ns1.example.com`, which is no `ip:port`");
        let error = Federation::read(&deployment(&json!({})), None).unwrap_err();
        assert_eq!(error, format!("it has no annotation `{FEDERATION}`"));
    }

    #[test]
    fn a_daemon_of_the_chart_says_it_in_its_config() {
        let text = "[Federation]\nname = fed\nzone-name = example.com\n[Provider]\nname = coredns\n[Source]\n\
                    kind = clusters\nselect = exported\n[Sync]\nlevels = global\n[Cluster \"us\"]\nregion = west\n";
        let config = Config::read(&Flags::default(), &|_| None, Some(("x", text.as_bytes()))).unwrap();
        let federation = Federation::read(&deployment(&json!({})), Some(&config)).unwrap();
        assert_eq!((&*federation.name, federation.zone.as_str()), ("fed", "example.com."));
        assert_eq!(federation.suffix, federation.zone);
        assert_eq!(federation.provider.as_deref(), Some("coredns"));
        assert_eq!(federation.clusters["us"].settings.region.as_deref(), Some("west"));
        assert!(federation.exports && !federation.events && !federation.levels.region && !federation.levels.zone);
    }
}
