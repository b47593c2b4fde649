//! What each cluster offers for one service, before names: its addresses after trust and health, or nothing yet.
//!
//! In: the copies of a service, standings, settings · Out: [`Offers`] · Pure: yes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use dnsprovider::{Entry, Fqdn, Ttl};

use crate::context::{Context, Note};
use crate::event::{ClusterName, Endpoint, ServiceCopy, ServiceId};
use crate::federation::{Copies, HeldCopy};
use crate::hosts::HostAddresses;
use crate::memory::held_ttl;
use crate::selector::Selector;
use crate::settings::ClusterSettings;
use crate::zone::Ownership;

/// Bounds of the annotation `dns-syncd.io/ttl`, seconds.
const TTL_RANGE: std::ops::RangeInclusive<u32> = 1..=86_400;

/// What a cluster says about a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offer {
    /// The cluster has not answered since the start; the claims speak for it.
    Unanswered,
    /// Its addresses: none when no endpoint is ready there.
    Addresses {
        /// Allowed addresses, resolved names included.
        addresses: BTreeSet<IpAddr>,
        /// A load balancer's name has not been resolved yet, so what the claims credit counts too.
        pending: bool,
    },
}

/// What all clusters say about a service.
#[derive(Clone, Debug)]
pub struct Offers {
    /// By cluster in which it counts, or may count.
    pub by_cluster: BTreeMap<ClusterName, Offer>,
    /// It counts in at least one cluster.
    pub counts: bool,
    /// A copy's selector does not parse, so it cannot be told where the service counts.
    pub unjudged: bool,
    /// TTL of its sets.
    pub ttl: Ttl,
    /// A cluster that has not answered is credited: the TTL of the zone stays.
    pub keeps_ttl: bool,
    /// Refusals and warnings.
    pub notes: Vec<Note>,
}

/// Collects what every cluster offers.
pub fn offers(cx: &Context<'_>, service: &ServiceId) -> Offers {
    let mut offers = Offers {
        by_cluster: BTreeMap::new(),
        counts: false,
        unjudged: false,
        ttl: cx.settings.ttl,
        keeps_ttl: false,
        notes: Vec::new(),
    };
    let mut smallest: Option<u32> = None;
    for (cluster, copy) in cx.federation.copies(service).into_iter().flat_map(Copies::iter) {
        let mut refuse = |text: String, refused: bool| {
            let text = copy.origin().map(|origin| format!("{origin}: {text}")).unwrap_or(text);
            let note = Note { cluster: Some(cluster.clone()), owner: None, text, refused };
            offers.notes.push(note);
        };
        let Some(standing) = cx.standings.clusters.get(cluster) else { continue };
        let overrides = cx.settings.cluster(cluster);
        if overrides.namespaces.as_ref().is_some_and(|allowed| !allowed.contains(&service.namespace)) {
            continue;
        }
        match copy.selector().map(Selector::parse) {
            Some(Err(error)) => {
                refuse(error.to_string(), true);
                offers.unjudged |= !cx.settings.sources_alone;
                continue;
            }
            Some(Ok(selector)) if !selector.matches(&standing.labels) => continue,
            _ => {}
        }
        if let Some(text) = copy.ttl() {
            match seconds(text) {
                Some(seconds) => smallest = smallest.min(Some(seconds)).or(Some(seconds)),
                None => refuse(
                    format!("annotation dns-syncd.io/ttl `{text}` is ignored: it is not 1 to 86400 seconds"),
                    false,
                ),
            }
        }
        let (mut addresses, mut pending) = allowed(cx, copy, overrides, &mut refuse);
        if !copy.is_ready() {
            addresses.clear();
            pending = false;
        }
        offers.counts = true;
        offers.by_cluster.insert(cluster.clone(), Offer::Addresses { addresses, pending });
    }
    if let Some(ttl) = smallest.and_then(Ttl::from_secs) {
        offers.ttl = ttl;
    }
    credited(cx, service, &mut offers);
    offers
}

/// Whether something of a copy is refused or ignored whatever the settings are.
pub fn is_doubtful(copy: &ServiceCopy) -> bool {
    let bad = |endpoint: &Endpoint| match endpoint {
        Endpoint::Ip(address) => never_published(*address).is_some(),
        Endpoint::Host(_) => false,
        Endpoint::Bad(_) => true,
    };
    copy.ingress.iter().chain(&copy.external_ips).any(bad)
        || copy.selector.as_deref().is_some_and(|text| Selector::parse(text).is_err())
        || copy.ttl.as_deref().is_some_and(|text| seconds(text).is_none())
}

/// The annotation `dns-syncd.io/ttl`.
fn seconds(text: &str) -> Option<u32> {
    let text = text.trim();
    text.parse().ok().filter(|seconds| TTL_RANGE.contains(seconds) && !text.starts_with('+'))
}

/// Adds the clusters that have not answered yet and to which the service's claimed sets credit an address.
fn credited(cx: &Context<'_>, service: &ServiceId, offers: &mut Offers) {
    if !cx.standings.some_unanswered {
        return;
    }
    let held = || cx.zone.names_of(service).flat_map(|owner| cx.zone.at(owner));
    let ours = || held().filter(|entry| cx.zone.ownership(entry) != Ownership::Foreign);
    let names: BTreeSet<&ClusterName> = cx.memory.of(service).filter_map(|(cluster, _)| cluster.as_ref()).collect();
    // Names without an address, which hold CNAMEs or a TXT set in their place, credit nobody: nobody's silence ends them.
    let is_address = |entry: &Entry| entry.data.set.records().iter().any(|record| record.address().is_some());
    let no_addresses = ours().next().is_some() && !ours().any(is_address);
    let anybody = no_addresses || cx.memory.of(service).any(|(cluster, _)| cluster.is_none());
    for (cluster, standing) in &cx.standings.clusters {
        if !standing.answered && (anybody || names.contains(cluster)) {
            offers.by_cluster.insert(cluster.clone(), Offer::Unanswered);
            offers.counts = true;
            offers.keeps_ttl = true;
        }
    }
    if offers.keeps_ttl {
        offers.ttl = held_ttl(cx.zone, service).unwrap_or(offers.ttl);
    }
}

/// The addresses of a copy that may be published, and whether a name is still to be resolved.
fn allowed(
    cx: &Context<'_>,
    copy: &HeldCopy,
    overrides: &ClusterSettings,
    refuse: &mut impl FnMut(String, bool),
) -> (BTreeSet<IpAddr>, bool) {
    let mut addresses = BTreeSet::new();
    let mut pending = false;
    let external = copy.external_ips().iter().filter(|_| cx.settings.external_ips);
    for endpoint in copy.ingress().iter().chain(external) {
        let resolved = match endpoint {
            Endpoint::Ip(address) => BTreeSet::from([*address]),
            Endpoint::Bad(text) => {
                refuse(format!("`{text}` is not an address"), true);
                continue;
            }
            Endpoint::Host(host) => {
                if Fqdn::parse(host).is_ok_and(|name| name.is_at_or_below(&cx.settings.zone)) {
                    refuse(
                        format!("load balancer name `{host}` is refused: it lies in the zone {}", cx.settings.zone),
                        true,
                    );
                    continue;
                }
                match cx.hosts.addresses(host, cx.settings.unreachable_grace, cx.now) {
                    HostAddresses::Known(addresses) => addresses,
                    HostAddresses::Pending => {
                        pending = true;
                        continue;
                    }
                }
            }
        };
        for address in resolved {
            match refusal(address, overrides) {
                None => {
                    addresses.insert(address);
                }
                Some(why) => refuse(format!("address {address} is refused: {why}"), true),
            }
        }
    }
    (addresses, pending)
}

/// Why an address is not published for this cluster.
fn refusal(address: IpAddr, overrides: &ClusterSettings) -> Option<&'static str> {
    let outside = || overrides.addresses.as_ref().is_some_and(|nets| !nets.iter().any(|net| net.contains(&address)));
    never_published(address).or_else(|| outside().then_some("it lies outside the cluster's `addresses`"))
}

/// Why an address is never published.
fn never_published(address: IpAddr) -> Option<&'static str> {
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    let mapped = matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
    if address.is_loopback() {
        Some("it is a loopback address")
    } else if link_local {
        Some("it is a link-local address")
    } else if address.is_multicast() {
        Some("it is a multicast address")
    } else if address.is_unspecified() {
        Some("it is unspecified")
    } else if mapped {
        Some("it is an IPv4-mapped IPv6 address; write the IPv4 address")
    } else {
        None
    }
}
