//! The Corefile of a member (key `Corefile` of the ConfigMap `coredns`).
//!
//! Short names are server blocks of their own at its end, between `# BEGIN dns-syncd FED` and `# END dns-syncd FED`;
//! no other line is touched, so ordinary names are answered as before. What is added can be removed to the byte.
//!
//! ```text
//! pod ── svc.ns.fed ──▶ :53  `kubernetes`, services with ready endpoints alone
//!                       │ none such
//!                       ▼
//!                127.0.0.1:10531  asks the federation's servers for svc.ns.fed.svc.<zone>.<region>.<suffix>
//! ```

use super::block::{self, Cluster};
use super::corefile::Corefile;
use super::{ShortNames, Unreadable, bare, is_below};

/// The port of loopback that is tried first; each federation needs one.
pub(super) const FIRST_PORT: u16 = 10531;

/// Adds the federation's short names, or makes them these where they are there already. Adding twice is adding once.
///
/// # Errors
/// When the Corefile is not understood, or a name is taken: it is to be left as it is.
pub fn add(corefile: &str, names: &ShortNames) -> Result<String, Unreadable> {
    names.check()?;
    let read = Corefile::read(corefile)?;
    let cluster = Cluster::find(&read, &names.cluster_domain)?;
    let text = render(names, &cluster, &[(corefile, &read)], corefile, &read)?;
    Ok(match read.mark(&names.federation) {
        Some(mark) => {
            let (before, _, after) = cut(corefile, mark.lines.clone());
            if after.is_empty() && !corefile.ends_with('\n') {
                format!("{before}{}", text.trim_end_matches('\n'))
            } else {
                format!("{before}{text}{after}")
            }
        }
        None if corefile.ends_with('\n') => format!("{corefile}{text}"),
        None => format!("{corefile}\n{}", text.trim_end_matches('\n')),
    })
}

/// Removes the federation's short names; a Corefile without them is returned as it is.
///
/// Where the block served a zone for other federations of this file too, the first of them serves it from now on.
///
/// # Errors
/// When the Corefile is not understood: it is to be left as it is.
pub fn remove(corefile: &str, federation: &str) -> Result<String, Unreadable> {
    let read = Corefile::read(corefile)?;
    read.check_not_lost(federation)?;
    let Some(mark) = read.mark(federation) else { return Ok(corefile.to_owned()) };
    let (before, block, after) = cut(corefile, mark.lines.clone());
    let mut rest = format!("{before}{after}");
    if after.is_empty() && !corefile.ends_with('\n') {
        // The line break before a block at the end of a text without one was added with the block.
        rest.truncate(before.strip_suffix('\n').unwrap_or(before).len());
    }
    for (key, text) in zones(block)? {
        rest = rest.replacen(&block::zone_is_elsewhere(&key), &text, 1);
    }
    Ok(rest)
}

/// The domain of the cluster's own names: the first of the plugin `kubernetes` that is none for reverse look-ups.
///
/// # Errors
/// When the Corefile is not understood or has no such plugin.
pub fn cluster_domain(corefile: &str) -> Result<String, Unreadable> {
    let read = Corefile::read(corefile)?;
    for server in read.servers.iter().filter(|server| read.owner(server).is_none()) {
        let Some(kubernetes) = server.plugin("kubernetes") else { continue };
        let zones: Vec<_> = server.zones().map(|(zone, _)| zone).collect();
        let zones = if kubernetes.arguments.is_empty() { &zones } else { &kubernetes.arguments };
        let is_domain = |zone: &&String| !zone.is_empty() && !is_below(&bare(zone), "arpa");
        if let Some(domain) = zones.iter().find(is_domain) {
            return Ok(bare(domain));
        }
    }
    Err(Unreadable::NoCluster { domain: String::new() })
}

/// Whether CoreDNS takes a changed Corefile by itself (plugin `reload`); without, its pods have to be restarted.
///
/// # Errors
/// When the Corefile is not understood.
pub fn reloads(corefile: &str) -> Result<bool, Unreadable> {
    Ok(Corefile::read(corefile)?.servers.iter().any(|server| server.plugin("reload").is_some()))
}

/// The block, for a place among these texts. `old` is the text in which a block of the federation may be.
pub(super) fn render(
    names: &ShortNames,
    cluster: &Cluster,
    all: &[(&str, &Corefile)],
    old: &str,
    old_read: &Corefile,
) -> Result<String, Unreadable> {
    let federation = &names.federation;
    for (_, read) in all {
        read.check_not_lost(federation)?;
    }
    let strangers = || {
        all.iter().flat_map(|(_, read)| {
            read.servers.iter().filter(|server| read.owner(server) != Some(federation)).map(|server| (server, *read))
        })
    };
    let holder =
        |zone: &str| strangers().find(|(server, _)| server.zones().any(|key| key == (zone.to_owned(), cluster.port)));
    for zone in [federation.clone(), format!("{federation}.svc.{}", bare(&names.cluster_domain))] {
        if let Some((server, _)) = holder(&zone) {
            let key = format!("{zone}:{}", cluster.port);
            return Err(Unreadable::Taken { line: server.lines.start() + 1, key });
        }
    }
    let zone = bare(&names.zone_name);
    let mut zone_text = block::zone(names, cluster);
    if !zone_text.is_empty() && holder(&zone).is_some() {
        zone_text = block::zone_is_elsewhere(&format!("{zone}:{}", cluster.port));
    }
    let former = old_read.mark(federation).map(|mark| cut(old, mark.lines.clone()).1);
    let others: Vec<&str> = all.iter().map(|(text, _)| *text).collect();
    let inner = former.and_then(|block| inner_port(block, federation)).unwrap_or_else(|| free_port(&others));
    Ok(block::text(names, cluster, inner, &zone_text))
}

/// The text before these lines, the lines, and the text after them.
pub(super) fn cut(text: &str, lines: std::ops::RangeInclusive<usize>) -> (&str, &str, &str) {
    let start_of = |line: usize| match line.checked_sub(1) {
        None => 0,
        Some(before) => text.match_indices('\n').nth(before).map_or(text.len(), |(at, _)| at + 1),
    };
    let (start, end) = (start_of(*lines.start()), start_of(lines.end() + 1));
    (&text[..start], &text[start..end], &text[end..])
}

/// The inner port of a block that was written before.
fn inner_port(block: &str, federation: &str) -> Option<u16> {
    let read = Corefile::read(block).ok()?;
    let inner = read
        .servers
        .iter()
        .find(|server| server.plugin("kubernetes").is_none() && server.zones().any(|(zone, _)| zone == federation));
    inner?.zones().next().map(|(_, port)| port)
}

/// One of which no text says anything.
fn free_port(texts: &[&str]) -> u16 {
    let is_free = |port: &u16| !texts.iter().any(|text| text.contains(&port.to_string()));
    (FIRST_PORT..u16::MAX).find(is_free).unwrap_or(FIRST_PORT)
}

/// The zones that a block serves for the federation's names, with the text of their server blocks.
pub(super) fn zones(block: &str) -> Result<Vec<(String, String)>, Unreadable> {
    let read = Corefile::read(block)?;
    let is_zone =
        |server: &&super::corefile::Server| server.plugin("forward").is_some() && server.plugin("rewrite").is_none();
    let of = |server: &super::corefile::Server| (server.keys[0].clone(), cut(block, server.lines.clone()).1.to_owned());
    Ok(read.servers.iter().filter(is_zone).map(of).collect())
}
