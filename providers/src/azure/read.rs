//! Reading: a zone by pages, names by their sets.
//!
//! **Pages.** The host lists by name, so that only the last name of a page may go on on the next one. Its missing sets
//! are read one by one, and the next page leaves out what it has of that name: a cursor is the name and the host's link.
//!
//! **Names.** The interface has no list of one name: `$recordsetnamesuffix` gives what lies *below* a name, which may be
//! the whole zone and never is the name itself. So a name costs a read of each type: one where a CNAME stands there,
//! which stands alone, else nine (ten at the apex). 2000 reads are granted in a minute, against 60 lists. Above
//! [`MOST_POINT_READS`] names a list of the zone, of at most ten pages, is the cheaper way.

use dnsprovider::{Cursor, Entry, Error, ErrorKind, Fqdn, Page, RrType, Snapshot, Version};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::AzureDns;
use super::convert::{entry, owner, relative};
use super::error::error;
use super::wire::RecordSet;

/// Types that the interface has, CNAME first.
const TYPES: [&str; 9] = ["CNAME", "A", "AAAA", "TXT", "MX", "NS", "SRV", "PTR", "CAA"];
/// More names than these are read by listing the zone.
const MOST_POINT_READS: usize = 40;
/// Reads that are out at once.
const AT_ONCE: usize = 16;

impl AzureDns {
    pub(super) async fn page(&self, apex: &Fqdn, cursor: Option<&Cursor>) -> Result<Page, Error> {
        let (done, link) = match cursor.map(|cursor| cursor.0.split_once('\n')) {
            None => (None, None),
            Some(Some((done, link))) => (Some(done), Some(link)),
            Some(None) => return Err(error(ErrorKind::InvalidInput, "reading a page: the cursor is not ours")),
        };
        let mut list = self.api.sets(apex, link).await.map_err(|failure| failure.error)?;
        list.value.retain(|set| done.is_none_or(|done| !set.name.eq_ignore_ascii_case(done)));
        let mut next = None;
        if let Some(link) = list.next_link {
            let last = list.value.last().map(|set| set.name.clone());
            if let Some(last) = &last {
                let missing = self.complete(apex, last, &list.value).await?;
                list.value.extend(missing);
            }
            // A page may hold nothing but more of the name before.
            let last = last.as_deref().or(done).unwrap_or_default();
            next = Some(Cursor(format!("{last}\n{link}").into()));
        }
        let entries = list.value.iter().filter_map(|set| entry(apex, set)).collect();
        Ok(Page { version: Version::default(), entries, next })
    }

    pub(super) async fn names(&self, apex: &Fqdn, names: &[Fqdn]) -> Result<Snapshot, Error> {
        if let Some(outside) = names.iter().find(|name| relative(apex, name).is_none()) {
            // Nothing is inside of a zone that does not exist.
            self.api.zone(apex).await.map_err(|failure| failure.error)?;
            let message = format!("reading `{outside}`, which is outside the zone");
            return Err(error(ErrorKind::InvalidInput, message));
        }
        let mut snapshot = Snapshot::default();
        if names.len() > MOST_POINT_READS {
            let names: std::collections::BTreeSet<&Fqdn> = names.iter().collect();
            let mut link = None;
            loop {
                let list = self.api.sets(apex, link.as_deref()).await.map_err(|failure| failure.error)?;
                let wanted =
                    list.value.iter().filter(|set| owner(apex, &set.name).is_some_and(|it| names.contains(&it)));
                snapshot.extend(wanted.filter_map(|set| entry(apex, set)));
                match list.next_link {
                    Some(next) if Some(&next) == link.as_ref() => {
                        return Err(error(ErrorKind::Protocol, "reading names: two pages of the zone have one link"));
                    }
                    Some(next) => link = Some(next),
                    None => return Ok(snapshot),
                }
            }
        }
        let mut names: Vec<&Fqdn> = names.iter().collect();
        names.sort_unstable();
        names.dedup();
        let mut reads = Vec::with_capacity(names.len());
        for name in names {
            reads.extend(relative(apex, name).map(|relative| self.at(apex, relative)));
        }
        let sets = stream::iter(reads).buffer_unordered(AT_ONCE);
        let sets: Vec<Vec<RecordSet>> = sets.try_collect().await?;
        snapshot.extend(sets.iter().flatten().filter_map(|set| entry(apex, set)));
        Ok(snapshot)
    }

    /// The set of one key.
    pub(super) async fn one(&self, apex: &Fqdn, rr_type: &RrType, relative: &str) -> Result<Option<Entry>, Error> {
        let set = self.api.set(apex, rr_type.as_str(), relative).await.map_err(|failure| failure.error)?;
        Ok(set.and_then(|set| entry(apex, &set)))
    }

    /// All sets at a name.
    async fn at(&self, apex: &Fqdn, relative: &str) -> Result<Vec<RecordSet>, Error> {
        let alone = self.api.set(apex, TYPES[0], relative).await.map_err(|failure| failure.error)?;
        match alone {
            Some(cname) => Ok(vec![cname]),
            None => self.of_types(apex, relative, TYPES[1..].iter().copied()).await,
        }
    }

    /// The sets at the last name of a page that are not on it.
    async fn complete(&self, apex: &Fqdn, relative: &str, page: &[RecordSet]) -> Result<Vec<RecordSet>, Error> {
        let of = |set: &RecordSet| set.resource_type.rsplit('/').next().unwrap_or_default().to_ascii_uppercase();
        let here = page.iter().filter(|set| set.name.eq_ignore_ascii_case(relative)).map(of).collect::<Vec<_>>();
        if here.iter().any(|rr_type| rr_type == TYPES[0]) {
            return Ok(Vec::new());
        }
        let missing: Vec<_> =
            TYPES.iter().copied().filter(|rr_type| !here.iter().any(|here| here == rr_type)).collect();
        let mut sets = self.of_types(apex, relative, missing.into_iter()).await?;
        sets.retain(|set| !here.contains(&of(set)));
        Ok(sets)
    }

    async fn of_types(
        &self,
        apex: &Fqdn,
        relative: &str,
        types: impl Iterator<Item = &'static str>,
    ) -> Result<Vec<RecordSet>, Error> {
        let soa = (relative == "@").then_some("SOA");
        let reads = types.chain(soa).map(|rr_type| self.api.set(apex, rr_type, relative));
        let sets = stream::iter(reads.collect::<Vec<_>>()).buffer_unordered(AT_ONCE);
        let sets: Vec<Option<RecordSet>> = sets.try_collect().await.map_err(|failure| failure.error)?;
        Ok(sets.into_iter().flatten().collect())
    }
}
