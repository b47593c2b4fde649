//! The federation as the host cluster knows it: what `init` wrote, and who has joined.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use dns_sync_core::ClusterName;
use dnsprovider::Fqdn;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::contexts::Reached;
use super::manifests::{CLUSTERS, EMBEDDED, FEDERATION, FEDERATIONS, NAME, NAME_SERVERS, PROVIDER, ZONE};
use super::report::{JoiningError, Result};
use super::rights::{Case, Known};
use crate::config::{Cluster, Config, Flags};
use crate::source::Select;

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
    /// Where the token of the admin address lies, where it has one: a Secret and a key of it.
    pub(crate) token: Option<(String, String)>,
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
        let token = config.and_then(|config| config.admin.token_file.as_deref()).and_then(|path| mounted(pod, path));
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
            token,
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
            token: None,
            exports: false,
            events: false,
            levels: Levels { region: true, zone: true },
            clusters: BTreeMap::new(),
        }
    }

    /// The Secrets with kubeconfigs that the daemon mounts, the one asked for first.
    ///
    /// # Errors
    /// When the daemon does not mount that one, or none.
    pub(crate) fn secrets(&self, asked: Option<&str>) -> Result<Vec<String>> {
        let mounted = self.secrets.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        if self.secrets.is_empty() {
            return Err(JoiningError::failed(format!(
                "the daemon mounts no Secret with kubeconfigs by cluster; hint: `members.secret: {CLUSTERS}` of the chart"
            )));
        }
        let Some(asked) = asked else { return Ok(self.secrets.clone()) };
        if !self.secrets.iter().any(|name| name == asked) {
            return Err(JoiningError::usage(format!(
                "--secret-name: the daemon does not mount the Secret `{asked}`; it mounts {mounted}"
            )));
        }
        let others = self.secrets.iter().filter(|name| *name != asked);
        Ok([asked.to_owned()].into_iter().chain(others.cloned()).collect())
    }

    /// The DNS server in the host cluster, where the daemon is the DNS server: the addresses of its load balancer.
    pub(crate) async fn found_servers(mut self, host: &Reached, namespace: &str) -> Result<Self> {
        if self.is_embedded() && self.servers.is_empty() {
            let service = json!({
                "apiVersion": "v1", "kind": "Service", "metadata": { "name": NAME, "namespace": namespace },
            });
            let found = host.find(&service).await?;
            let balancer = found.as_ref().map(|found| &found.data["status"]["loadBalancer"]["ingress"]);
            let ingress = balancer.and_then(Value::as_array).into_iter().flatten();
            let addresses = ingress.filter_map(|ingress| ingress["ip"].as_str()?.parse::<IpAddr>().ok());
            self.servers = addresses.map(|address| SocketAddr::new(address, 53)).collect();
        }
        Ok(self)
    }

    /// What the rights of `join` and `unjoin` depend on. Which of several Secrets is written, nobody knows before they are
    /// read.
    pub(crate) fn known(&self, mut known: Known, secrets: &[String]) -> Known {
        if let [only] = secrets {
            known = known.word("SECRET", [only.clone()]);
        }
        let has_places = known.is(Case::Dns) && (self.levels.region || self.levels.zone);
        known
            .word("FED", [self.name.clone()])
            .word("SECRETS", secrets.iter().cloned())
            .word("TOKEN", self.token.iter().map(|(secret, _)| secret.clone()))
            .case(Case::Places, has_places)
            .case(Case::Embedded, self.is_embedded())
            .case(Case::Exported, self.exports)
            .case(Case::Events, self.events)
            .case(Case::Token, self.token.is_some())
    }

    pub(crate) fn is_embedded(&self) -> bool {
        self.provider.as_deref() == Some(EMBEDDED)
    }
}

/// The Secret that is mounted where the container finds this file, and the key.
fn mounted(pod: &Value, path: &Path) -> Option<(String, String)> {
    let containers = pod["containers"].as_array()?.iter();
    let mut mounts = containers.flat_map(|container| container["volumeMounts"].as_array().into_iter().flatten());
    mounts.find_map(|mount| {
        let file = path.strip_prefix(mount["mountPath"].as_str()?).ok()?.to_str()?;
        let volume = pod["volumes"].as_array()?.iter().find(|volume| volume["name"] == mount["name"])?;
        let secret = volume["secret"]["secretName"].as_str()?.to_owned();
        let items = volume["secret"]["items"].as_array();
        let key = items.and_then(|items| items.iter().find(|item| item["path"] == file)?["key"].as_str());
        Some((secret, key.unwrap_or(file).to_owned()))
    })
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
        assert_eq!(federation.secrets(None).unwrap(), ["all", "more"]);
        assert_eq!(federation.secrets(Some("more")).unwrap(), ["more", "all"]);
        let error = federation.secrets(Some("of-eu")).unwrap_err().to_string();
        assert_eq!(error, "--secret-name: the daemon does not mount the Secret `of-eu`; it mounts `all`, `more`");

        let wrong = json!({ FEDERATION: "fed", ZONE: "example.com", NAME_SERVERS: "ns1.example.com" });
        let error = Federation::read(&deployment(&wrong), None).unwrap_err();
        assert_eq!(error, "its annotation `nameserver` has `ns1.example.com`, which is no `ip:port`");
        let error = Federation::read(&deployment(&json!({})), None).unwrap_err();
        assert_eq!(error, format!("it has no annotation `{FEDERATION}`"));
    }

    #[test]
    fn the_token_is_looked_for_where_the_pods_have_it() {
        let mount = |name: &str, at: &str| json!({ "name": name, "mountPath": at });
        let pod = json!({
            "containers": [{ "volumeMounts": [mount("a", "/etc/dns-syncd/admin"), mount("b", "/run/b"), mount("c", "/c")] }],
            "volumes": [
                { "name": "a", "secret": { "secretName": "admin" } },
                { "name": "b", "secret": { "secretName": "other", "items": [{ "key": "x", "path": "t" }] } },
                { "name": "c", "emptyDir": {} },
            ],
        });
        let at = |path: &str| mounted(&pod, Path::new(path));
        let of = |secret: &str, key: &str| Some((secret.to_owned(), key.to_owned()));
        assert_eq!(at("/etc/dns-syncd/admin/token"), of("admin", "token"));
        assert_eq!(at("/run/b/t"), of("other", "x"));
        assert_eq!([at("/c/token"), at("/etc/dns-syncd/adminx/token")], [None, None]);
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
        assert_eq!(federation.token, None);
        assert!(federation.exports && !federation.events && !federation.levels.region && !federation.levels.zone);
    }
}
