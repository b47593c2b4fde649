//! Text values to typed ones. In: [`Layers`] · Out: [`Config`] · Pure: yes

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dns_providers::gcfg::Section;
use dns_sync_core::{Adopt, AllUnhealthy, ClusterName, ClusterSettings, GuardSettings};
use dnsprovider::{Fqdn, Ttl, ZoneId};
use ipnet::IpNet;

use super::layers::Layers;
use super::{
    Admin, Cluster, Config, ConfigError, DEFAULT_ADMIN, Federation, Form, Lacking, Leader, LeaderKind, Provider,
    Source, SourceKind, Sync,
};
use crate::source::Select;

const LABEL: &str = "a DNS label: at most 63 letters, digits and `-`, with a letter or digit at both ends";

pub(super) fn config(layers: &Layers) -> Result<Config, ConfigError> {
    Ok(Config {
        federation: federation(layers)?,
        provider: provider(layers)?,
        source: source(layers)?,
        clusters: clusters(layers)?,
        sync: sync(layers)?,
        guard: guard(layers)?,
        leader: leader(layers, &federation(layers)?.claim)?,
        admin: admin(layers)?,
        output: form(layers, "output")?,
        log_format: form(layers, "log-format")?,
        lacking: lacking(layers),
    })
}

/// What to say when a command needs what other commands do without.
fn lacking(layers: &Layers) -> Lacking {
    let hint = "`--source PATH` for manifests in files, or `kind = clusters` or `federation` in [Source]";
    Lacking {
        provider: unset(
            layers,
            "Provider",
            "name",
            "no DNS provider",
            "`--dns-provider coredns`, or `name` in [Provider]",
        ),
        source: unset(layers, "Source", "kind", "no source of clusters", hint),
    }
}

/// An error about a value that nobody gave: at its place where it is written and empty, else in the words of `what`.
fn unset(layers: &Layers, section: &'static str, key: &'static str, what: &str, hint: &str) -> ConfigError {
    if layers.is_written(section, key) {
        layers.of(section, key).invalid(key, format!("it is empty; hint: {hint}")).into()
    } else {
        ConfigError::new(format!("{what}; hint: {hint}"))
    }
}

fn federation(layers: &Layers) -> Result<Federation, ConfigError> {
    let of = |key| layers.of("Federation", key);
    let Some(name) = of("name").read("name", LABEL, label)? else {
        let hint = "`--federation-name NAME`, or `name` in [Federation]";
        return Err(unset(layers, "Federation", "name", "no federation name", hint));
    };
    let fqdn = |key| of(key).read(key, "a domain name", |text| Fqdn::parse(text).ok());
    let (zone_name, suffix) = (fqdn("zone-name")?, fqdn("service-dns-suffix")?);
    let zone_id = of("zone-id").text("zone-id").map(|id| ZoneId(id.into()));
    if zone_name.is_none() && zone_id.is_none() {
        let hint = "`--zone-name example.com`, or `zone-name` in [Federation]";
        return Err(unset(layers, "Federation", "zone-name", "neither a zone name nor a zone id", hint));
    }
    if let (Some(zone), Some(suffix)) = (&zone_name, &suffix)
        && !suffix.is_at_or_below(zone)
    {
        let why = format!("`{suffix}` is not in the zone `{zone}`; give a name at or below it, or leave it out");
        return Err(of("service-dns-suffix").invalid("service-dns-suffix", why).into());
    }
    let text = |key| of(key).text(key).map(Arc::<str>::from);
    let claim = text("claim").unwrap_or_else(|| name.clone());
    Ok(Federation { name, zone_name, zone_id, suffix, claim, previous_claim: text("previous-claim") })
}

fn provider(layers: &Layers) -> Result<Provider, ConfigError> {
    let of = |key| layers.of("Provider", key);
    let adopt = [("none", Adopt::None), ("exact", Adopt::Exact), ("names", Adopt::Names)];
    Ok(Provider {
        name: of("name").text("name").map(str::to_owned),
        config: of("config").path("config")?,
        create_zone: of("create-zone").boolean("create-zone")?.unwrap_or(false),
        adopt: of("adopt").choice("adopt", &adopt)?.unwrap_or_default(),
    })
}

fn source(layers: &Layers) -> Result<Source, ConfigError> {
    let of = |key| layers.of("Source", key);
    let kinds =
        [("files", SourceKind::Files), ("clusters", SourceKind::Clusters), ("federation", SourceKind::Federation)];
    let path = of("path").path("path")?;
    // `--source` always means manifests, whatever the file is set up for.
    let kind = match of("kind").choice("kind", &kinds)? {
        _ if layers.is_overridden("Source", "path") => Some(SourceKind::Files),
        Some(SourceKind::Files) if path.is_none() => {
            return Err(of("kind").missing("path", "kind `files` reads manifests from there").into());
        }
        Some(SourceKind::Federation) if path.is_some() => {
            let why = "kind `federation` reads no files; hint: `kubeconfig` leads to its API server";
            return Err(of("path").invalid("path", why).into());
        }
        None => path.is_some().then_some(SourceKind::Files),
        kind => kind,
    };
    let selects = [("all", Select::All), ("annotated", Select::Annotated), ("exported", Select::Exported)];
    let select = of("select").choice("select", &selects)?.unwrap_or_default();
    if (kind, select) == (Some(SourceKind::Federation), Select::Exported) {
        let why = "a federation v1 API server has no ServiceExport; hint: `all` or `annotated`";
        return Err(of("select").invalid("select", why).into());
    }
    let kubeconfig = of("kubeconfig").path("kubeconfig")?;
    let events = of("events").boolean("events")?.unwrap_or(false);
    if events && kind != Some(SourceKind::Clusters) && !layers.is_overridden("Source", "path") {
        let why = "they are written to the API servers of members; hint: `kind = clusters`, or `events = false`";
        return Err(of("events").invalid("events", why).into());
    }
    Ok(Source {
        kind,
        path,
        kubeconfig: kubeconfig
            .iter()
            .flat_map(std::env::split_paths)
            .filter(|path| !path.as_os_str().is_empty())
            .collect::<Vec<PathBuf>>(),
        master: layers.of("Command", "master").read("master", "a URL such as `https://192.0.2.1:6443`", url)?,
        select,
        external_ips: of("external-ips").boolean("external-ips")?.unwrap_or(true),
        events,
    })
}

fn clusters(layers: &Layers) -> Result<BTreeMap<ClusterName, Cluster>, ConfigError> {
    layers
        .file
        .named("Cluster")
        .map(|section| Ok((section.subsection().unwrap_or_default().into(), cluster(section)?)))
        .collect()
}

fn cluster(section: &Section) -> Result<Cluster, ConfigError> {
    let set = |key, what, read: fn(&str) -> Option<Arc<str>>| -> Result<Option<BTreeSet<Arc<str>>>, ConfigError> {
        let values = section.list_of(key, what, read)?;
        Ok(section.has(key).then(|| values.into_iter().collect()))
    };
    let networks = section.list_of("addresses", "a network such as `192.0.2.0/24`", network)?;
    let labels = section.list_of("labels", "a label such as `tier=prod`", |part| {
        let (key, value) = part.split_once('=')?;
        (!key.trim().is_empty()).then(|| (key.trim().into(), value.trim().into()))
    })?;
    Ok(Cluster {
        context: section.text("context").map(str::to_owned),
        settings: ClusterSettings {
            region: section.read("region", LABEL, label)?,
            zones: set("zones", LABEL, label)?,
            labels: labels.into_iter().collect(),
            namespaces: set("namespaces", LABEL, label)?,
            addresses: section.has("addresses").then_some(networks),
            drain: section.boolean("drain")?.unwrap_or(false),
        },
    })
}

fn sync(layers: &Layers) -> Result<Sync, ConfigError> {
    let of = |key| layers.of("Sync", key);
    let duration = |key, default: u64| -> Result<Duration, ConfigError> {
        Ok(of(key).duration(key)?.unwrap_or(Duration::from_secs(default)))
    };
    let count = |key| of(key).read(key, "a number from 1", |text| text.parse().ok().filter(|count| *count > 0));
    let ttl = duration("ttl", 180)?;
    let Some(ttl) = u32::try_from(ttl.as_secs()).ok().filter(|ttl| (1..=86_400).contains(ttl)).and_then(Ttl::from_secs)
    else {
        return Err(of("ttl").invalid("ttl", "it is not between 1 and 86400 seconds").into());
    };
    let levels = of("levels");
    let words = levels.list_of("levels", "`global` or `region` or `zone`", |word| {
        ["global", "region", "zone"].into_iter().find(|level| *level == word)
    })?;
    if levels.has("levels") && !words.contains(&"global") {
        return Err(levels.invalid("levels", "it must contain `global`, to which all other names lead").into());
    }
    let level = |name| !levels.has("levels") || words.contains(&name);
    let unhealthy = [("empty", AllUnhealthy::Empty), ("keep", AllUnhealthy::Keep)];
    let unreachable_grace = duration("unreachable-grace", 300)?;
    Ok(Sync {
        ttl,
        region_level: level("region"),
        zone_level: level("zone"),
        max_addresses: count("max-addresses")?,
        all_unhealthy: of("all-unhealthy").choice("all-unhealthy", &unhealthy)?.unwrap_or_default(),
        unreachable_grace,
        leave_delay: of("leave-delay").duration("leave-delay")?.unwrap_or(unreachable_grace),
        topology_linger: duration("topology-linger", 24 * 3600)?,
        min_interval: duration("min-interval", 1)?,
        resolver: of("resolver").socket("resolver")?,
        concurrent_service_syncs: count("concurrent-service-syncs")?.unwrap_or(10),
    })
}

fn guard(layers: &Layers) -> Result<GuardSettings, ConfigError> {
    let of = |key| layers.of("Guard", key);
    let default = GuardSettings::default();
    let percent = |key, default| -> Result<u8, ConfigError> { Ok(of(key).percent(key)?.unwrap_or(default)) };
    Ok(GuardSettings {
        window: of("guard-window").duration("guard-window")?.unwrap_or(default.window),
        max_delete: percent("max-delete", default.max_delete)?,
        max_update: percent("max-update", default.max_update)?,
        max_emptied: percent("max-emptied", default.max_emptied)?,
        freeze: of("freeze").boolean("freeze")?.unwrap_or(default.freeze),
    })
}

/// Shorter, and a leader that renews five times in it could not bear a single slow answer.
const SHORTEST_LEASE: Duration = Duration::from_secs(3);

fn leader(layers: &Layers, claim: &str) -> Result<Leader, ConfigError> {
    let section = layers.of("Leader", "kind");
    let kinds = [("none", LeaderKind::None), ("lease", LeaderKind::Lease), ("etcd", LeaderKind::Etcd)];
    let text = |key| section.text(key).map(str::to_owned);
    let lease_duration = section.duration("lease-duration")?.unwrap_or(Duration::from_secs(15));
    if lease_duration < SHORTEST_LEASE {
        return Err(section.invalid("lease-duration", "it is shorter than 3 s, so nobody could ever lead").into());
    }
    let kind = section.choice("kind", &kinds)?.unwrap_or_default();
    let provider = layers.of("Provider", "name").text("name").map(str::to_owned);
    match (kind, provider.as_deref()) {
        (LeaderKind::Lease | LeaderKind::Etcd, Some("embedded")) => {
            let why = "with the provider `embedded` every process serves by itself, without a leader; hint: leave \
                       [Leader] out";
            return Err(section.invalid("kind", why).into());
        }
        (LeaderKind::Etcd, Some(provider)) if provider != "coredns" => {
            let why = format!("`etcd` is the provider `coredns`'s, and the provider is `{provider}`; hint: `lease`");
            return Err(section.invalid("kind", why).into());
        }
        _ => {}
    }
    let name = text("name");
    if kind == LeaderKind::Lease && !is_object_name(name.as_deref().unwrap_or(claim)) {
        let why = match &name {
            Some(name) => {
                format!("`{name}` is no name of a Kubernetes object: lower-case letters, digits, `-` and `.`")
            }
            None => format!("the claim `{claim}` cannot name a Kubernetes object; hint: `name` in [Leader]"),
        };
        return Err(section.invalid(if name.is_some() { "name" } else { "kind" }, why).into());
    }
    Ok(Leader {
        kind,
        name,
        namespace: text("namespace"),
        kubeconfig: section.path("kubeconfig")?,
        identity: text("identity"),
        lease_duration,
    })
}

/// An RFC 1123 subdomain, as Kubernetes wants the names of its objects.
fn is_object_name(name: &str) -> bool {
    let is_part = |part: &str| label(part).is_some() && !part.bytes().any(|byte| byte.is_ascii_uppercase());
    name.len() <= 253 && name.split('.').all(is_part)
}

fn admin(layers: &Layers) -> Result<Admin, ConfigError> {
    let section = layers.of("Admin", "listen");
    let listen = section.socket("listen")?;
    Ok(Admin {
        is_default: listen.is_none(),
        listen: listen.unwrap_or_else(|| DEFAULT_ADMIN.parse().expect("the default is an address and a port")),
        token_file: section.path("token-file")?,
    })
}

fn form(layers: &Layers, key: &'static str) -> Result<Form, ConfigError> {
    let forms = [("text", Form::Text), ("json", Form::Json)];
    Ok(layers.of("Command", key).choice(key, &forms)?.unwrap_or_default())
}

/// An RFC 1123 label in either case.
fn label(text: &str) -> Option<Arc<str>> {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    let fits = bytes.len() <= 63 && bytes.iter().all(|byte| inner(*byte)) && edge(bytes.first()) && edge(bytes.last());
    fits.then(|| text.into())
}

/// The address of an API server.
fn url(text: &str) -> Option<String> {
    let url: axum::http::Uri = text.parse().ok()?;
    let fits = matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some_and(|host| !host.is_empty());
    fits.then(|| text.to_owned())
}

/// A network, or a single address.
fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}
