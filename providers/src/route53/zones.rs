//! Hosted zones: listed, created, deleted.

use std::hash::{BuildHasher, Hasher};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_route53::types::HostedZone;
use dnsprovider::{Error, ErrorKind, Fqdn, Zone, ZoneId};

use super::Route53;
use super::convert;
use super::error::{Operation, error};
use crate::cloud::Turn;

/// What zone ids begin with in answers, and in requests where one likes.
const PREFIX: &str = "/hostedzone/";

impl Route53 {
    pub(super) async fn all_zones(&self) -> Result<Vec<HostedZone>, Error> {
        let mut zones = Vec::new();
        let mut marker: Option<String> = None;
        loop {
            let answer = self.send(Operation::ListHostedZones, Turn::Point, true, None, || {
                self.client.list_hosted_zones().set_marker(marker.clone()).send()
            });
            let answer = answer.await.map_err(|failure| failure.error)?;
            zones.extend_from_slice(answer.hosted_zones());
            match answer.next_marker().filter(|_| answer.is_truncated()) {
                Some(next) if marker.as_deref() == Some(next) => return Err(error(ErrorKind::Protocol, SAME_PAGE)),
                Some(next) => marker = Some(next.to_owned()),
                None if answer.is_truncated() => return Err(error(ErrorKind::Protocol, SAME_PAGE)),
                None => return Ok(zones),
            }
        }
    }

    /// The zones of one name, without listing all: their list is sorted and begins where one says.
    ///
    /// That takes a right of its own, which policies written for other tools often lack: then all are listed.
    pub(super) async fn zones_of(&self, apex: &Fqdn) -> Result<Vec<HostedZone>, Error> {
        let mut zones = Vec::new();
        let mut from = (convert::name(apex), None);
        loop {
            let answer = self.send(Operation::ListHostedZonesByName, Turn::Point, true, None, || {
                self.client.list_hosted_zones_by_name().dns_name(&from.0).set_hosted_zone_id(from.1.clone()).send()
            });
            let answer = match answer.await.map_err(|failure| failure.error) {
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    tracing::debug!(error = error.chain(), "listing all zones instead");
                    let mut all = self.all_zones().await?;
                    all.retain(|zone| is_at(zone, apex));
                    return Ok(all);
                }
                answer => answer?,
            };
            let listed = answer.hosted_zones();
            let mut more = answer.is_truncated() && listed.last().is_some_and(|zone| is_at(zone, apex));
            zones.extend(listed.iter().filter(|zone| is_at(zone, apex)).cloned());
            if more && let (Some(name), Some(id)) = (answer.next_dns_name(), answer.next_hosted_zone_id()) {
                let next = (name.to_owned(), Some(id.to_owned()));
                if next == from {
                    return Err(error(ErrorKind::Protocol, SAME_PAGE));
                }
                more = convert::parse_name(name).is_ok_and(|name| name == *apex);
                from = next;
            }
            if !more {
                return Ok(zones);
            }
        }
    }

    pub(super) async fn create(&self, apex: &Fqdn) -> Result<Zone, Error> {
        let held = self.zones_of(apex).await?;
        if let Some(public) = held.iter().find(|zone| !is_private(zone)) {
            let why = format!("creating a zone: there is a public one already, `{}`", bare_id(public.id()));
            return Err(error(ErrorKind::Conflict, why));
        }
        // Route 53 allows many zones of one name and takes each reference once: so the request may be repeated, and a
        // lost answer makes no second zone.
        let reference = unique_reference();
        let answer = self.send(Operation::CreateHostedZone, Turn::Point, true, None, || {
            self.client.create_hosted_zone().name(convert::name(apex)).caller_reference(&reference).send()
        });
        let zone = match answer.await.map_err(|failure| failure.error) {
            Ok(answer) => answer.hosted_zone,
            Err(error) if error.kind() == ErrorKind::Conflict => {
                let ours = self.zones_of(apex).await?.into_iter().find(|zone| zone.caller_reference() == reference);
                Some(ours.ok_or(error)?)
            }
            Err(error) => return Err(error),
        };
        let zone = zone.ok_or_else(|| {
            error(ErrorKind::Protocol, "creating a zone: the answer does not show it; hint: list the zones")
        })?;
        self.remember(&zone)
    }

    pub(super) async fn delete(&self, zone: &ZoneId) -> Result<(), Error> {
        let id = super::id(zone).map_err(|failure| failure.error)?;
        let answer = self.send(Operation::DeleteHostedZone, Turn::Point, true, None, || {
            self.client.delete_hosted_zone().id(id).send()
        });
        answer.await.map_err(|failure| failure.error)?;
        self.forget(zone);
        Ok(())
    }

    /// A zone of the contract; its apex is known from now on.
    pub(super) fn remember(&self, zone: &HostedZone) -> Result<Zone, Error> {
        let apex = convert::parse_name(zone.name()).map_err(|cause| {
            error(ErrorKind::Protocol, "reading a zone's name that Route 53 gives").with_source(cause)
        })?;
        let id = ZoneId(bare_id(zone.id()).into());
        self.know(&id, &apex);
        Ok(Zone { id, apex, private: is_private(zone) })
    }
}

const SAME_PAGE: &str = "listing the zones: Route 53 says that there are more and not where";

fn is_at(zone: &HostedZone, apex: &Fqdn) -> bool {
    convert::parse_name(zone.name()).is_ok_and(|name| name == *apex)
}

fn is_private(zone: &HostedZone) -> bool {
    zone.config().is_some_and(aws_sdk_route53::types::HostedZoneConfig::private_zone)
}

fn bare_id(id: &str) -> &str {
    id.strip_prefix(PREFIX).unwrap_or(id)
}

/// At most 128 characters. Source: the service model, `Nonce`.
fn unique_reference() -> String {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let random = std::hash::RandomState::new().build_hasher().finish();
    format!("dns-syncd-{time}-{random:016x}")
}
