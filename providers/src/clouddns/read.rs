//! Pages of a zone, and single names.
//!
//! The service lists sets in the order of their names and ends a page wherever it likes, also inside a name. So the last
//! name of a page that has a next one is left out, and read anew, by itself, together with the next page: what a page
//! gives of a name is of one moment, and whole.

use std::collections::BTreeSet;

use dnsprovider::{Cursor, Entry, Error, ErrorKind, Fqdn, Page, RrType, Snapshot, Version, ZoneId};
use futures::{StreamExt as _, TryStreamExt as _};
use google_cloud_dns_v1::model::{ResourceRecordSet, ResourceRecordSetsListResponse};
use serde::{Deserialize, Serialize};

use super::CloudDns;
use super::convert::{can_stand, entry};
use super::error::{Asking, error};
use crate::cloud::Turn;

/// Sets of a page. The document names no largest number; the service gives fewer where it wants.
const PAGE: i32 = 1000;
/// Names that are read at once.
const AT_ONCE: usize = 8;
const RIGHT: &str = "dns.resourceRecordSets.list";

/// Where the next page begins.
#[derive(Debug, Serialize, Deserialize)]
struct Place {
    /// The host's own mark.
    token: String,
    /// The last name of the page before, which may go on in the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// It was given already, whole.
    given: bool,
}

impl CloudDns {
    pub(super) async fn page(&self, zone: &ZoneId, cursor: Option<&Cursor>) -> Result<Page, Error> {
        let place: Option<Place> = match cursor {
            Some(cursor) => Some(serde_json::from_str(&cursor.0).map_err(|_| {
                error(ErrorKind::InvalidInput, "reading a page at a cursor that is not of this provider")
            })?),
            None => None,
        };
        let asking = Asking { what: "reading a page of the zone", right: RIGHT, zone: Some(&zone.0) };
        let token = place.as_ref().map(|place| place.token.as_str());
        let open = place.as_ref().filter(|place| !place.given).and_then(|place| place.name.as_deref());
        let name = async {
            match open {
                Some(name) => self.sets_at(zone, name, Turn::Bulk).await,
                None => Ok(Vec::new()),
            }
        };
        let (listed, mut sets) = futures::try_join!(self.list(&asking, None, token, Turn::Bulk), name)?;
        let ResourceRecordSetsListResponse { rrsets, next_page_token, .. } = listed;

        let before = place.as_ref().and_then(|place| place.name.as_deref());
        let is = |set: &ResourceRecordSet, name: &str| {
            set.name.as_deref().is_some_and(|other| other.eq_ignore_ascii_case(name))
        };
        let fresh = rrsets.into_iter().filter(|set| before.is_none_or(|name| !is(set, name)));
        sets.extend(fresh);
        let next = match next_page_token.filter(|token| !token.is_empty()) {
            None => None,
            Some(token) => {
                // Without anything new the page was all of the name before.
                let last = sets
                    .last()
                    .and_then(|set| set.name.clone())
                    .filter(|last| before.is_none_or(|name| !name.eq_ignore_ascii_case(last)));
                let place = match last {
                    // Nothing stands beside a CNAME.
                    Some(last) if sets.last().is_some_and(is_cname) => Place { token, name: Some(last), given: true },
                    Some(last) => {
                        sets.retain(|set| !is(set, &last));
                        Place { token, name: Some(last), given: false }
                    }
                    None => Place { token, name: before.map(str::to_owned), given: true },
                };
                let text = serde_json::to_string(&place);
                Some(Cursor(text.map_err(|_| error(ErrorKind::Protocol, "reading a page: no cursor"))?.into()))
            }
        };
        let entries = entries(&sets);
        Ok(Page { version: Version::default(), entries, next })
    }

    pub(super) async fn names(&self, zone: &ZoneId, apex: &Fqdn, names: &[Fqdn]) -> Result<Snapshot, Error> {
        if let Some(outside) = names.iter().find(|name| !name.is_at_or_below(apex)) {
            let message = format!("reading `{outside}`, a name outside the zone");
            return Err(error(ErrorKind::InvalidInput, message));
        }
        // At a name that the service cannot have, nothing stands.
        let names: BTreeSet<Fqdn> = names.iter().filter(|name| can_stand(name)).cloned().collect();
        let sets = futures::stream::iter(names)
            .map(|name| async move { self.sets_at(zone, name.as_str(), Turn::Point).await })
            .buffer_unordered(AT_ONCE);
        let sets: Vec<Vec<ResourceRecordSet>> = sets.try_collect().await?;
        let mut snapshot = Snapshot::default();
        snapshot.extend(sets.iter().flat_map(|sets| entries(sets)));
        Ok(snapshot)
    }

    /// All sets of one name: one call, unless the service makes more pages of it.
    async fn sets_at(&self, zone: &ZoneId, name: &str, turn: Turn) -> Result<Vec<ResourceRecordSet>, Error> {
        let what = format!("reading the name `{name}`");
        let asking = Asking { what: &what, right: RIGHT, zone: Some(&zone.0) };
        let (mut sets, mut token) = (Vec::new(), None::<String>);
        loop {
            let page = self.list(&asking, Some(name), token.as_deref(), turn).await?;
            sets.extend(page.rrsets);
            match page.next_page_token.filter(|next| !next.is_empty()) {
                Some(next) if Some(&next) == token.as_ref() => {
                    return Err(error(ErrorKind::Protocol, format!("{what}: two pages have one token")));
                }
                Some(next) => token = Some(next),
                None => return Ok(sets),
            }
        }
    }

    async fn list(
        &self,
        asking: &Asking<'_>,
        name: Option<&str>,
        token: Option<&str>,
        turn: Turn,
    ) -> Result<ResourceRecordSetsListResponse, Error> {
        let zone = asking.zone.unwrap_or_default();
        let request = self.api.read(asking, turn, |clients| {
            let list = clients.sets.list().set_project(&clients.project).set_managed_zone(zone);
            let list = match name {
                Some(name) => list.set_name(name),
                None => list.set_max_results(PAGE),
            };
            let list =
                token.into_iter().fold(list, google_cloud_dns_v1::builder::resource_record_sets::List::set_page_token);
            async move { list.send().await }
        });
        request.await
    }
}

fn is_cname(set: &ResourceRecordSet) -> bool {
    set.r#type.as_deref().is_some_and(|text| RrType::from_text(text) == RrType::Cname)
}

fn entries(sets: &[ResourceRecordSet]) -> Vec<Entry> {
    let read = |set| {
        let entry = entry(set);
        if entry.is_none() {
            tracing::debug!(name = set.name, rr_type = set.r#type, "leaving out a set that is no set of DNS");
        }
        entry
    };
    sets.iter().filter_map(read).collect()
}
