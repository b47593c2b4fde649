//! From a service and a place to a name, and back.
//!
//! `<service>.<namespace>.<federation>.svc[.<zone>.<region>|.<region>].<suffix>`, lower case. Source: federation v1's
//! naming, DESIGN "Names and records". Pure.

use std::fmt;
use std::sync::Arc;

use dnsprovider::{Fqdn, NameError};

use crate::event::ServiceId;
use crate::ledger::LABEL;
use crate::settings::Settings;

/// Where in the topology a name is valid.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Everywhere.
    Global,
    /// One region.
    Region(Arc<str>),
    /// One topology zone of a region.
    Zone {
        /// The region.
        region: Arc<str>,
        /// The zone in it.
        zone: Arc<str>,
    },
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Global => f.write_str("global"),
            Self::Region(region) => write!(f, "region {region}"),
            Self::Zone { region, zone } => write!(f, "zone {zone} of {region}"),
        }
    }
}

/// Name and namespace of a service, and the one or two labels of a place in the order of the name.
type Parts<'a> = (&'a str, &'a str, (Option<&'a str>, Option<&'a str>));

/// Builds and reads the names of one federation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naming {
    federation: Arc<str>,
    suffix: Fqdn,
}

impl Naming {
    /// The naming of a federation below a suffix.
    pub fn new(settings: &Settings) -> Self {
        Self { federation: settings.federation.to_ascii_lowercase().into(), suffix: settings.suffix.clone() }
    }

    /// The name of a service at a level.
    ///
    /// # Errors
    /// When the name would break a limit of DNS.
    pub fn name(&self, service: &ServiceId, level: &Level) -> Result<Fqdn, NameError> {
        let (name, namespace, federation) = (&service.name, &service.namespace, &self.federation);
        let place = match level {
            Level::Global => String::new(),
            Level::Region(region) => format!(".{region}"),
            Level::Zone { region, zone } => format!(".{zone}.{region}"),
        };
        self.suffix.prepend(&format!("{name}.{namespace}.{federation}.svc{place}"))
    }

    /// Where the claims on a service's sets stand on a host that stores none.
    ///
    /// # Errors
    /// When the name would break a limit of DNS.
    pub fn ledger(&self, service: &ServiceId) -> Result<Fqdn, NameError> {
        let (name, namespace, federation) = (&service.name, &service.namespace, &self.federation);
        self.suffix.prepend(&format!("{LABEL}.{name}.{namespace}.{federation}.svc"))
    }

    /// The service whose claims stand at a name; `None` when it is no such name of this federation and suffix.
    pub fn parse_ledger(&self, owner: &Fqdn) -> Option<ServiceId> {
        if owner.labels().next() != Some(LABEL) {
            return None;
        }
        let (service, level) = self.parse(&owner.parent()?)?;
        (level == Level::Global).then_some(service)
    }

    /// The service and level that a name stands for; `None` when it is no name of this federation.
    pub fn parse(&self, owner: &Fqdn) -> Option<(ServiceId, Level)> {
        let (name, namespace, place) = self.split(owner)?;
        let level = match place {
            (None, _) => Level::Global,
            (Some(region), None) => Level::Region(region.into()),
            (Some(zone), Some(region)) => Level::Zone { region: region.into(), zone: zone.into() },
        };
        Some((ServiceId::new(namespace, name), level))
    }

    /// Whether a name is one of a service's.
    pub(crate) fn is_of(&self, owner: &Fqdn, service: &ServiceId) -> bool {
        let found = self.split(owner);
        found.is_some_and(|(name, namespace, _)| *name == *service.name && *namespace == *service.namespace)
    }

    /// What a name is made of; `None` when it is no name of this federation.
    fn split<'a>(&self, owner: &'a Fqdn) -> Option<Parts<'a>> {
        let relative = owner.relative_to(&self.suffix)?;
        if relative.contains('\\') {
            return None;
        }
        let mut labels = relative.split('.');
        let (name, namespace) = (labels.next()?, labels.next()?);
        if labels.next()? != &*self.federation || labels.next()? != "svc" {
            return None;
        }
        let place = (labels.next(), labels.next());
        labels.next().is_none().then_some((name, namespace, place))
    }
}

/// A region or zone label as it goes into names: lower case; `None` for an empty one.
///
/// # Errors
/// When it is not a label of RFC 1123 §2.1 (letters, digits and inner hyphens, at most 63).
pub(crate) fn place_label(text: &str) -> Result<Option<Arc<str>>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let lower = text.to_ascii_lowercase();
    if is_label(&lower) {
        return Ok(Some(lower.into()));
    }
    let why = if lower.contains('.') { "it holds a dot" } else { "it is not a DNS label of at most 63 octets" };
    Err(format!("topology label `{text}` cannot stand in a name: {why}"))
}

/// Whether a region or zone label can stand in names, or is empty and stands in none.
pub fn is_place_label(text: &str) -> bool {
    place_label(text).is_ok()
}

/// Whether a text is a lower-case label of RFC 1123.
pub(crate) fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty()
        && text.len() <= dnsprovider::MAX_LABEL_OCTETS
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naming() -> Naming {
        Naming::new(&Settings::new("ufp", Fqdn::parse("example.com").unwrap()))
    }

    #[test]
    fn names_are_those_of_federation_v1() {
        let nginx = ServiceId::new("test", "nginx");
        let zone = Level::Zone { region: "fooregion".into(), zone: "foozone".into() };
        for (level, text) in [
            (Level::Global, "nginx.test.ufp.svc.example.com."),
            (Level::Region("fooregion".into()), "nginx.test.ufp.svc.fooregion.example.com."),
            (zone, "nginx.test.ufp.svc.foozone.fooregion.example.com."),
        ] {
            let name = naming().name(&nginx, &level).unwrap();
            assert_eq!(name.as_str(), text);
            assert_eq!(naming().parse(&name), Some((nginx.clone(), level)));
        }
    }

    #[test]
    fn the_name_of_the_claims_leads_to_the_service_and_no_further() {
        let nginx = ServiceId::new("test", "nginx");
        let owner = naming().ledger(&nginx).unwrap();
        assert_eq!(owner.as_str(), "_dns-syncd.nginx.test.ufp.svc.example.com.");
        assert_eq!((naming().parse_ledger(&owner), naming().parse(&owner)), (Some(nginx), None));
        for other in ["nginx.test.ufp.svc.example.com", "_dns-syncd.nginx.test.ufp.svc.r1.example.com"] {
            assert_eq!(naming().parse_ledger(&Fqdn::parse(other).unwrap()), None, "{other}");
        }
    }

    #[test]
    fn other_names_are_not_ours() {
        for other in ["nginx.test.ufp.svc.a.b.c.example.com", "nginx.test.other.svc.example.com", "ufp.svc.example.com"]
        {
            assert_eq!(naming().parse(&Fqdn::parse(other).unwrap()), None, "{other}");
        }
    }

    #[test]
    fn a_place_label_is_folded_or_refused() {
        assert_eq!(place_label("US-East1").unwrap().as_deref(), Some("us-east1"));
        assert_eq!(place_label("").unwrap(), None);
        assert!(place_label("us.east").unwrap_err().contains("dot"));
        assert!(place_label("-x").is_err());
        assert!(place_label(&"a".repeat(64)).is_err());
    }
}
