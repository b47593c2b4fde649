//! What a member's cluster DNS is told, so that its pods find the federation's services by short names.
//!
//! A pod asks for `svc.ns.fed` or, through its search list, for `svc.ns.fed.svc.cluster.local`. Where the service has
//! ready endpoints in the pod's own cluster, the answer is that service; else it is what the federation's DNS says about
//! the name of the cluster's own zone. [`coredns`] and [`custom`] say so to CoreDNS by server blocks, [`kube_dns`] to
//! kube-dns by two of its keys.
//!
//! In: the text of a ConfigMap, [`ShortNames`] · Out: the new text · Pure: yes · Called by: `join` and `unjoin`

mod block;
pub mod coredns;
mod corefile;
pub mod custom;
pub mod kube_dns;
mod print;

use std::net::SocketAddr;

pub use print::print;

/// What a member's cluster DNS has to know of the federation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShortNames {
    /// The federation's name, the label after service and namespace.
    pub federation: String,
    /// What the member calls its own domain: `cluster.local`.
    pub cluster_domain: String,
    /// The zone that the federation's DNS servers serve, with or without a final dot.
    pub zone_name: String,
    /// What the federation's names end with: the zone, or a domain below it (`service-dns-suffix`).
    pub suffix: String,
    /// Where the member is.
    pub place: Place,
    /// The DNS servers of the zone (`coredns-endpoints`); empty where the zone is public and the cluster's resolver
    /// finds it by itself.
    pub servers: Vec<SocketAddr>,
}

/// Which of a service's names a member asks for: the nearest one that the daemon publishes for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// The global name: the member says neither region nor zone, or the daemon publishes no such names.
    #[default]
    Anywhere,
    /// The name of a region.
    Region(String),
    /// The name of a topology zone.
    Zone {
        /// The zone's label.
        zone: String,
        /// That of its region.
        region: String,
    },
}

/// Why a ConfigMap is left as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The text is not what CoreDNS would read.
    #[error("line {line}: {what}; {BY_HAND}")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// What is wrong there.
        what: String,
    },
    /// No server block has the plugin for the cluster's own domain, so nothing says where the cluster's names come from.
    #[error("no server block has the plugin `kubernetes` for `{domain}`; {BY_HAND}")]
    NoCluster {
        /// The domain that was looked for; empty where any would have done.
        domain: String,
    },
    /// The marks of a former edit do not enclose whole server blocks any more.
    #[error("line {line}: {what}; hint: remove by hand what `--cluster-dns=print` shows")]
    Mark {
        /// Counted from 1.
        line: usize,
        /// What is wrong with the mark there.
        what: String,
    },
    /// Somebody else's server block answers for a name that is needed.
    #[error("line {line}: `{key}` has a server block that is not of `dns-syncd`; {BY_HAND}")]
    Taken {
        /// Counted from 1.
        line: usize,
        /// The zone and port.
        key: String,
    },
    /// The server block that has the cluster's names listens on an interface that is named, not numbered.
    #[error("line {line}: `bind` names no IP address, so its server cannot be asked from inside; {BY_HAND}")]
    Bind {
        /// Counted from 1.
        line: usize,
    },
    /// A name with which no configuration can be written.
    #[error("{0}")]
    Name(String),
    /// A key of the ConfigMap does not hold what kube-dns would read.
    #[error("key `{key}`: {what}; {BY_HAND}")]
    Key {
        /// The key.
        key: String,
        /// What is wrong with its text.
        what: String,
    },
}

const BY_HAND: &str = "nothing was changed; hint: `--cluster-dns=print` shows what to add by hand";

impl ShortNames {
    /// The federation's name of a service as this member asks for it, without `service.namespace.` and without a final
    /// dot.
    fn own_domain(&self) -> String {
        let federation = &self.federation;
        let suffix = bare(&self.suffix);
        match &self.place {
            Place::Anywhere => format!("{federation}.svc.{suffix}"),
            Place::Region(region) => format!("{federation}.svc.{}.{suffix}", region.to_ascii_lowercase()),
            Place::Zone { zone, region } => {
                format!("{federation}.svc.{}.{}.{suffix}", zone.to_ascii_lowercase(), region.to_ascii_lowercase())
            }
        }
    }

    /// Refuses names that would not come out of a configuration as they went in, and those with which the federation
    /// would take names of the cluster or of its own zone.
    fn check(&self) -> Result<(), Unreadable> {
        let federation = &self.federation;
        if !is_label(federation) {
            return Err(Unreadable::Name(format!("the federation's name `{federation}` is not a DNS label")));
        }
        let places: &[&String] = match &self.place {
            Place::Anywhere => &[],
            Place::Region(region) => &[region],
            Place::Zone { zone, region } => &[zone, region],
        };
        if let Some(label) = places.iter().find(|label| !is_label(&label.to_ascii_lowercase())) {
            return Err(Unreadable::Name(format!("`{label}` is not a DNS label, so no region or zone of DNS")));
        }
        for name in [&self.cluster_domain, &self.zone_name, &self.suffix] {
            let bare = bare(name);
            if !bare.split('.').all(is_zone_label) || bare.len() > 240 {
                return Err(Unreadable::Name(format!("`{name}` is not the name of a DNS zone")));
            }
        }
        for name in [&self.cluster_domain, &self.zone_name, &self.suffix] {
            if is_below(&bare(name), federation) {
                return Err(Unreadable::Name(format!(
                    "a federation called `{federation}` would hide `{name}` from the pods, because short names end with \
                     the federation's name"
                )));
            }
        }
        if is_below(&bare(&self.cluster_domain), &bare(&self.zone_name)) {
            let (zone, domain) = (&self.zone_name, &self.cluster_domain);
            return Err(Unreadable::Name(format!("the zone `{zone}` would hide the cluster's own domain `{domain}`")));
        }
        Ok(())
    }
}

/// Lower case, without a final dot.
fn bare(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Whether a name is the zone or lies in it; both without a final dot.
fn is_below(name: &str, zone: &str) -> bool {
    name.strip_suffix(zone).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn is_label(label: &str) -> bool {
    is_zone_label(label) && !label.contains('_')
}

/// Zones may have underscores in their labels.
fn is_zone_label(label: &str) -> bool {
    let is_right = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    (1..=63).contains(&label.len()) && label.bytes().all(is_right) && !label.starts_with('-') && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::{Place, ShortNames, Unreadable};

    fn names(federation: &str) -> ShortNames {
        ShortNames {
            federation: federation.to_owned(),
            cluster_domain: "cluster.local".to_owned(),
            zone_name: "example.com".to_owned(),
            suffix: "example.com.".to_owned(),
            place: Place::Zone { zone: "us-a".to_owned(), region: "US".to_owned() },
            servers: vec![([192, 0, 2, 53], 53).into()],
        }
    }

    #[test]
    fn the_nearest_published_name_is_asked_for() {
        let mut names = names("fed");
        assert_eq!(names.own_domain(), "fed.svc.us-a.us.example.com");
        names.place = Place::Region("eu".to_owned());
        assert_eq!(names.own_domain(), "fed.svc.eu.example.com");
        names.place = Place::Anywhere;
        names.suffix = "svc.example.com".to_owned();
        assert_eq!(names.own_domain(), "fed.svc.svc.example.com");
    }

    /// Nothing of a name may reach a configuration as syntax, and no name may be taken from the cluster.
    #[test]
    fn names_that_break_or_take_are_refused() {
        let refused = |change: fn(&mut ShortNames)| {
            let mut names = names("fed");
            change(&mut names);
            matches!(names.check(), Err(Unreadable::Name(_)))
        };
        assert!(!refused(|_| ()));
        assert!(refused(|names| names.federation = "a.b".to_owned()));
        assert!(refused(|names| names.federation = "Fed".to_owned()));
        assert!(refused(|names| names.federation = "x {".to_owned()));
        assert!(refused(|names| names.federation = String::new()));
        assert!(refused(|names| names.federation = "local".to_owned()));
        assert!(refused(|names| names.federation = "com".to_owned()));
        assert!(refused(|names| names.zone_name = "local".to_owned()));
        assert!(refused(|names| names.zone_name = "cluster.local.".to_owned()));
        assert!(refused(|names| names.zone_name = "a\n}".to_owned()));
        assert!(refused(|names| names.suffix = "a..b".to_owned()));
        assert!(refused(|names| names.place = Place::Region("a b".to_owned())));
        assert!(!refused(|names| names.zone_name = "ster.local".to_owned()));
        assert!(!refused(|names| names.zone_name = "_tcp.Example.com.".to_owned()));
    }
}
