//! The server blocks that give a federation's short names to CoreDNS.
//!
//! Only constructs that CoreDNS has had since 1.8 are used, and no plugin that a build may leave out but
//! those of every Corefile of Kubernetes: an unknown word would stop the cluster's DNS at its next start.
//! No word needs quotes, because `kubeadm upgrade` writes a Corefile anew without them (and without its comments).
//!
//! In: [`ShortNames`], where the cluster's own names are answered · Out: text between two marks · Pure: yes

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::corefile::{Corefile, Plugin, Server, written};
use super::{ShortNames, Unreadable, bare, is_below};

/// What the server block of the cluster's own names says, as far as ours follow it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cluster {
    /// Where pods ask.
    pub(super) port: u16,
    /// `bind` of that block: its whole lines.
    bind: String,
    /// Where it can be asked from inside.
    address: SocketAddr,
    /// How its plugin `kubernetes` finds the API server, and which namespaces and services it shows.
    connection: String,
}

/// What of `kubernetes` ours has to say in the same way. `noendpoints` is not among them, because without endpoints no
/// service counts as ready, and `ttl` is not, so that the default of 5 s bounds how long a dead service is kept.
const CONNECTION: [&str; 10] = [
    "endpoint",
    "tls",
    "kubeconfig",
    "apiserver_qps",
    "apiserver_burst",
    "apiserver_max_inflight",
    "namespaces",
    "labels",
    "namespace_labels",
    "endpoint_pod_names",
];

/// The most servers that `forward` takes.
const MOST_SERVERS: usize = 15;

impl Cluster {
    /// That of a common Corefile.
    pub(super) fn usual() -> Self {
        Self { port: 53, bind: String::new(), address: (Ipv4Addr::LOCALHOST, 53).into(), connection: String::new() }
    }

    pub(super) fn find(corefile: &Corefile, domain: &str) -> Result<Self, Unreadable> {
        let domain = bare(domain);
        let found = corefile.servers.iter().filter(|server| corefile.owner(server).is_none()).find_map(|server| {
            let plugin = server.plugin("kubernetes")?;
            let (_, port) = server.zones().find(|(zone, _)| zone.is_empty() || is_below(&domain, zone))?;
            let is_named = plugin.arguments.iter().any(|zone| bare(zone) == domain);
            let is_key = plugin.arguments.is_empty() && server.zones().any(|(zone, _)| zone == domain);
            (is_named || is_key).then_some((server, plugin, port))
        });
        let Some((server, plugin, port)) = found else { return Err(Unreadable::NoCluster { domain }) };
        let (bind, ip) = bind(server)?;
        Ok(Self { port, bind, address: (ip, port).into(), connection: connection(plugin) })
    }
}

fn connection(kubernetes: &Plugin) -> String {
    let lines = kubernetes.body.iter().filter(|line| CONNECTION.contains(&line[0].as_str()));
    indented(lines)
}

fn bind(server: &Server) -> Result<(String, IpAddr), Unreadable> {
    let binds: Vec<_> = server.plugins.iter().filter(|plugin| plugin.name == "bind").collect();
    let Some(first) = binds.first() else { return Ok((String::new(), Ipv4Addr::LOCALHOST.into())) };
    let line_of = |bind: &&Plugin| {
        let words = all_written(&bind.arguments);
        match bind.body.as_slice() {
            [] => format!("    bind {words}\n"),
            body => format!("    bind {words} {{\n{}    }}\n", indented(body.iter())),
        }
    };
    let text = binds.iter().map(line_of).collect::<Vec<_>>().concat();
    let addresses = binds.iter().flat_map(|bind| &bind.arguments).filter_map(|address| address.parse::<IpAddr>().ok());
    let addresses: Vec<_> = addresses.collect();
    let near = addresses.iter().find(|ip| ip.is_loopback()).or(addresses.first());
    let Some(ip) = near else { return Err(Unreadable::Bind { line: first.line + 1 }) };
    let ip = if ip.is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { *ip };
    Ok((text, ip))
}

/// Lines between the braces of a plugin.
fn indented<'a>(lines: impl Iterator<Item = &'a Vec<String>>) -> String {
    lines.map(|line| format!("        {}\n", all_written(line))).collect::<Vec<_>>().concat()
}

fn all_written(words: &[String]) -> String {
    words.iter().map(|word| written(word)).collect::<Vec<_>>().join(" ")
}

/// The text. `inner` is a port of loopback that nobody else uses; `zone` is the part of the federation's own zone.
pub(super) fn text(names: &ShortNames, cluster: &Cluster, inner: u16, zone: &str) -> String {
    let (domain, own) = (bare(&names.cluster_domain), names.own_domain());
    include_str!("block.corefile")
        .replace("@federation@", &names.federation)
        .replace("@domain@", &domain)
        .replace("@domain.regex@", &regex(&domain))
        .replace("@own@", &own)
        .replace("@own.regex@", &regex(&own))
        .replace("@port@", &cluster.port.to_string())
        .replace("@inner@", &inner.to_string())
        .replace("@cluster@", &cluster.address.to_string())
        .replace("@bind@", &cluster.bind)
        .replace("@connection@", &cluster.connection)
        .replace("@upstream@", &upstream(names, cluster))
        .replace("@zone@", zone)
}

/// Where the federation's names are asked for: at its servers, and not through the zone's server block, because each
/// `forward` that waits for another one asks again every 2 s for as long as nobody answers. A public zone's names are
/// asked for as a pod would ask.
fn upstream(names: &ShortNames, cluster: &Cluster) -> String {
    if names.servers.is_empty() {
        format!("    forward . {} {{\n        max_fails 0\n    }}\n", cluster.address)
    } else {
        // By itself it would keep names of the server block's zone alone, and here they are rewritten.
        format!("    cache 30 .\n    forward . {}\n", servers(names))
    }
}

/// The server block of the federation's own zone, empty where the zone is public.
pub(super) fn zone(names: &ShortNames, cluster: &Cluster) -> String {
    if names.servers.is_empty() {
        return String::new();
    }
    let (zone, port, bind, servers) = (bare(&names.zone_name), cluster.port, &cluster.bind, servers(names));
    format!("{zone}:{port} {{\n{bind}    errors\n    loadbalance\n    cache 30\n    forward . {servers}\n}}\n")
}

fn servers(names: &ShortNames) -> String {
    let mut servers: Vec<String> = Vec::new();
    for server in names.servers.iter().map(SocketAddr::to_string) {
        if !servers.contains(&server) && servers.len() < MOST_SERVERS {
            servers.push(server);
        }
    }
    servers.join(" ")
}

/// Instead of [`zone`], where a server block for the zone is there already.
pub(super) fn zone_is_elsewhere(key: &str) -> String {
    format!("# {key} is served by another server block.\n")
}

/// Names have no characters that mean something in a regular expression but the dot.
fn regex(name: &str) -> String {
    name.replace('.', r"\.")
}
