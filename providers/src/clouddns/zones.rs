//! Managed zones: the list, one by its id, and their making and unmaking.

use dnsprovider::{Error, ErrorKind, Fqdn, Zone, ZoneId};
use google_cloud_dns_v1::model::ManagedZone;
use google_cloud_dns_v1::model::managed_zone::Visibility;

use super::CloudDns;
use super::api::Way;
use super::error::{Asking, error};
use crate::cloud::Turn;

/// Zones of a page. As with record sets, the document names no largest number.
const PAGE: i32 = 1000;
/// Longest name of a managed zone. Source: discovery document, `ManagedZone.name`.
const NAME_LENGTH: usize = 63;
/// So many names are tried for a zone whose name is taken.
const NAMES: usize = 9;

impl CloudDns {
    pub(super) async fn list_zones(&self, apex: Option<&Fqdn>) -> Result<Vec<Zone>, Error> {
        let asking = Asking { what: "listing the zones", right: "dns.managedZones.list", zone: None };
        let (mut zones, mut token) = (Vec::new(), None);
        loop {
            let page = self.api.read(&asking, Turn::Bulk, |clients| {
                let list = clients.zones.list().set_project(&clients.project).set_max_results(PAGE);
                let list = apex.into_iter().fold(list, |list, apex| list.set_dns_name(apex.as_str()));
                let list = token.iter().fold(list, |list, token: &String| list.set_page_token(token));
                async move { list.send().await }
            });
            let page = match page.await {
                Err(denied) if denied.kind() == ErrorKind::PermissionDenied => {
                    return self.zone_alone(apex).await.ok_or(denied);
                }
                page => page?,
            };
            zones.extend(page.managed_zones.iter().filter_map(|zone| self.known(zone)));
            match page.next_page_token.filter(|next| !next.is_empty()) {
                Some(next) if Some(&next) == token.as_ref() => {
                    return Err(error(ErrorKind::Protocol, "listing the zones: two pages have one token"));
                }
                Some(next) => token = Some(next),
                None => break,
            }
        }
        // The service filters; a stand-in that does not must not lead to another zone.
        zones.retain(|zone| apex.is_none_or(|apex| zone.apex == *apex));
        Ok(zones)
    }

    /// Who may read a single zone cannot list it, and has to know the managed zone's name: the one that this backend
    /// gives, and most people. A private zone of that name is not taken: a public one of the apex may have another name.
    async fn zone_alone(&self, apex: Option<&Fqdn>) -> Option<Vec<Zone>> {
        let apex = apex?;
        let held = self.get_zone("looking up the zone", &zone_names(apex).next()?).await.ok()?;
        self.known(&held).filter(|zone| zone.apex == *apex && !zone.private).map(|zone| vec![zone])
    }

    /// The apex of a zone, asked for once.
    ///
    /// # Errors
    /// - `ZoneNotFound` when the project has no zone of that id.
    pub(super) async fn apex(&self, zone: &ZoneId) -> Result<Fqdn, Error> {
        if zone.0.parse::<u64>().is_err() {
            let message = format!("there is no zone with id `{zone}`: the ids of Cloud DNS are numbers");
            return Err(error(ErrorKind::ZoneNotFound, message));
        }
        if let Some(apex) = self.apexes().get(zone) {
            return Ok(apex.clone());
        }
        let held = self.get_zone("looking up the zone", &zone.0).await?;
        match self.known(&held) {
            Some(known) => Ok(known.apex),
            None => Err(error(ErrorKind::Protocol, format!("looking up the zone with id `{zone}`: it has no name"))),
        }
    }

    async fn get_zone(&self, what: &str, name: &str) -> Result<ManagedZone, Error> {
        let asking = Asking { what, right: "dns.managedZones.get", zone: Some(name) };
        let request = self.api.read(&asking, Turn::Point, |clients| {
            let get = clients.zones.get().set_project(&clients.project).set_managed_zone(name);
            async move { get.send().await }
        });
        request.await
    }

    /// Notes a zone; none for one without an id or with a name that is not one.
    fn known(&self, held: &ManagedZone) -> Option<Zone> {
        let id = ZoneId(held.id?.to_string().into());
        let apex = Fqdn::parse(held.dns_name.as_deref()?).ok()?;
        self.apexes().insert(id.clone(), apex.clone());
        Some(Zone { id, apex, private: held.visibility == Some(Visibility::Private) })
    }

    /// Makes a public zone of a name that follows from the apex, so that of two callers at once one gets `Conflict`.
    pub(super) async fn make_zone(&self, apex: &Fqdn) -> Result<Zone, Error> {
        let what = format!("creating the zone `{apex}`");
        let asking = Asking { what: &what, right: "dns.managedZones.create", zone: None };
        let mut last = None;
        for name in zone_names(apex) {
            let body = ManagedZone::new()
                .set_name(&name)
                .set_dns_name(apex.as_str())
                .set_description("Created by dns-syncd")
                .set_visibility(Visibility::Public);
            let request = self.api.ask(&asking, Way::Write(Turn::Bulk), None, |clients| {
                let create = clients.zones.create().set_project(&clients.project).set_body(body.clone());
                async move { create.send().await }
            });
            let refused = match request.await {
                Ok(made) => {
                    let none = || error(ErrorKind::Protocol, format!("{what}: the answer has no id"));
                    return self.known(&made).ok_or_else(none);
                }
                Err(refused) => refused.failure.error.with_zone(apex),
            };
            if refused.kind() != ErrorKind::Conflict {
                return Err(refused);
            }
            // The name is taken. By a zone of this apex: somebody else made it. By another: the next name will do.
            let holder = self.get_zone(&what, &name).await?;
            let is_private = holder.visibility == Some(Visibility::Private);
            if !is_private && self.known(&holder).is_some_and(|zone| zone.apex == *apex) {
                return Err(refused);
            }
            last = Some(refused);
        }
        Err(last.unwrap_or_else(|| error(ErrorKind::Conflict, what)))
    }

    pub(super) async fn drop_zone(&self, zone: &ZoneId) -> Result<(), Error> {
        let apex = self.apex(zone).await?;
        let asking = Asking { what: "deleting the zone", right: "dns.managedZones.delete", zone: Some(&zone.0) };
        let request = self.api.ask(&asking, Way::Write(Turn::Bulk), None, |clients| {
            let delete = clients.zones.delete().set_project(&clients.project).set_managed_zone(&*zone.0);
            async move { delete.send().await }
        });
        let answer = request.await.map_err(|refusal| refusal.failure.error);
        if answer.as_ref().map_or_else(|error| error.kind() == ErrorKind::ZoneNotFound, |()| true) {
            self.apexes().remove(zone);
        }
        answer.map_err(|error| error.with_zone(&apex))
    }
}

/// Names for the managed zone of an apex, in the order in which they are tried: `example-com`, `example-com-2`, …
///
/// Letters, digits and dashes; begins with a letter, ends with none but a letter or digit.
fn zone_names(apex: &Fqdn) -> impl Iterator<Item = String> {
    let plain = |char: char| if char.is_ascii_alphanumeric() { char.to_ascii_lowercase() } else { '-' };
    let mut stem: String = apex.as_str().chars().map(plain).collect();
    stem = stem.trim_matches('-').to_owned();
    if !stem.starts_with(|first: char| first.is_ascii_lowercase()) {
        stem = format!("zone-{stem}");
    }
    if stem.len() > NAME_LENGTH - 2 {
        // Long names may be equal in their first part.
        stem = format!("{}-{:08x}", stem[..NAME_LENGTH - 11].trim_end_matches('-'), hash(apex.as_str()));
    }
    let stem = stem.trim_end_matches('-').to_owned();
    (1..=NAMES).map(move |n| if n == 1 { stem.clone() } else { format!("{stem}-{n}") })
}

/// FNV-1a, 32 bits.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_zone_follows_from_its_apex() {
        let names = |apex: &str| zone_names(&Fqdn::parse(apex).expect("a name")).collect::<Vec<_>>();
        assert_eq!(names("Example.com")[..2], ["example-com", "example-com-2"]);
        assert_eq!(names("10.in-addr.arpa")[0], "zone-10-in-addr-arpa");
        assert_eq!(names("_a.b_.example")[0], "a-b--example");
        assert_eq!(names(".")[0], "zone");
        let long = |last: &str| names(&format!("{}.{}.{last}", "a".repeat(40), "b".repeat(40)));
        assert_ne!(long("com")[0], long("org")[0]);
        for name in names("example.com").iter().chain(&long("com")).chain(&long("1")) {
            let fits = name.len() <= 63 && name.starts_with(|c: char| c.is_ascii_lowercase()) && !name.ends_with('-');
            assert!(fits, "{name}");
        }
    }
}
