//! Sets of a zone, by page and by name.
//!
//! The only list that there is begins at a name (type, identifier) and goes on in the host's order of names. Its pages
//! may end in the middle of a name; ours do not. To read names is to list from the first, take all that the page passes,
//! and to go on from the next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_route53::types::{HostedZoneLimitType, ResourceRecordSet, RrType as HostType};
use dnsprovider::{Cursor, Error, ErrorKind, Fqdn, Page, RetryHint, Snapshot, TimeLeft, Version, ZoneId};
use tokio::time::Instant;

use super::convert;
use super::error::{Operation, error};
use super::{Quota, Route53, SETS_PER_ZONE};
use crate::cloud::{Failure, Turn};

/// Sets on a page. Source: `ListResourceRecordSets`, "up to 300 resource record sets at a time".
const PAGE: i32 = 300;
/// Sets on a page from which one name is wanted: more than a name without routing policies has types.
const FEW: i32 = 20;
/// The longest that a page waits for a quota.
const QUOTA_PATIENCE: Duration = Duration::from_secs(5);

/// Where a list begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Place {
    name: Option<String>,
    rr_type: Option<HostType>,
    identifier: Option<String>,
}

impl Place {
    fn at(name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..Self::default() }
    }
}

/// A page as the host gives it.
struct Listed {
    sets: Vec<ResourceRecordSet>,
    /// The first set behind the page.
    next: Option<(String, Place)>,
}

impl Route53 {
    pub(super) async fn page(&self, zone: &ZoneId, cursor: Option<&Cursor>) -> Result<Page, Error> {
        let mut place = cursor.map_or_else(Place::default, |cursor| Place::at(&cursor.0));
        let mut sets = Vec::new();
        loop {
            let listed = self.list(zone, &place, PAGE, Turn::Bulk).await?;
            sets.extend(listed.sets);
            let Some((next, behind)) = listed.next else {
                self.learn_quota(zone).await;
                return Ok(Page { version: Version::default(), entries: entries(&sets)?, next: None });
            };
            // The last name may go on behind the page: it is given whole with the next.
            let whole = sets.iter().take_while(|set| set.name() != next).count();
            if whole > 0 {
                sets.truncate(whole);
                return Ok(Page {
                    version: Version::default(),
                    entries: entries(&sets)?,
                    next: Some(Cursor(next.into())),
                });
            }
            place = self.onward(zone, &place, behind)?;
        }
    }

    /// Asks once how many sets a zone may hold. Nothing else depends on it: who may not ask keeps to what every account
    /// has, and where the host is busy the next whole read asks.
    async fn learn_quota(&self, zone: &ZoneId) {
        let Ok(id) = super::id(zone) else { return };
        {
            let mut quota = self.quota();
            if quota.zone.as_ref() == Some(zone) {
                return;
            }
            *quota = Quota { zone: Some(zone.clone()), ..Quota::default() };
        }
        let end = Instant::now() + QUOTA_PATIENCE;
        let time_left: TimeLeft = Arc::new(move || end.saturating_duration_since(Instant::now()));
        let answer = self
            .send(Operation::GetHostedZoneLimit, Turn::Bulk, false, Some(&time_left), || {
                self.client
                    .get_hosted_zone_limit()
                    .hosted_zone_id(id)
                    .r#type(HostedZoneLimitType::MaxRrsetsByZone)
                    .send()
            })
            .await;
        let told = answer.map(|answer| answer.limit().and_then(|limit| u64::try_from(limit.value()).ok()));
        let mut quota = self.quota();
        if quota.zone.as_ref() != Some(zone) {
            return;
        }
        match told {
            Ok(sets) => quota.sets = sets.filter(|sets| *sets > 0).unwrap_or(SETS_PER_ZONE),
            Err(failure) => {
                tracing::debug!(error = failure.error.chain(), "the zone's quota of sets is not known");
                if failure.error.retry() != RetryHint::Never {
                    quota.zone = None;
                }
            }
        }
    }

    pub(super) async fn names(&self, zone: &ZoneId, names: &[Fqdn]) -> Result<Snapshot, Error> {
        let apex = self.apex(zone, None).await.map_err(|failure| failure.error)?;
        if let Some(name) = names.iter().find(|name| !name.is_at_or_below(&apex)) {
            let why = format!("reading `{name}`, which is not in the zone `{apex}`");
            return Err(error(ErrorKind::InvalidInput, why));
        }
        let mut found = Vec::new();
        let mut wanted = Wanted::new(names);
        while let Some(first) = wanted.first() {
            let mut place = Place::at(&convert::name(&first));
            loop {
                let listed = self.list(zone, &place, if wanted.is_one() { FEW } else { PAGE }, Turn::Point).await?;
                let next = listed.next.as_ref().map(|(name, _)| parse(name)).transpose()?;
                let passed = wanted.passed(&first, &owners(&listed.sets)?, next.as_ref());
                found.extend(listed.sets);
                match listed.next {
                    // A name with more sets than a page holds: the rest of it before anything else.
                    Some((_, behind)) if !passed.contains(&first) => place = self.onward(zone, &place, behind)?,
                    _ => {
                        wanted.remove(&passed);
                        break;
                    }
                }
            }
        }
        let asked: BTreeSet<_> = names.iter().collect();
        let mut snapshot = Snapshot::default();
        // Two lists may overlap where a name was met before its turn.
        let entries = entries(&distinct(found))?;
        snapshot.extend(entries.into_iter().filter(|entry| asked.contains(&entry.key().owner)));
        Ok(snapshot)
    }

    /// One call.
    async fn list(&self, zone: &ZoneId, place: &Place, most: i32, turn: Turn) -> Result<Listed, Error> {
        self.list_within(zone, place, most, turn, None).await.map_err(|failure| failure.error)
    }

    async fn list_within(
        &self,
        zone: &ZoneId,
        place: &Place,
        most: i32,
        turn: Turn,
        time_left: Option<&dnsprovider::TimeLeft>,
    ) -> Result<Listed, Failure> {
        let id = super::id(zone)?;
        let answer = self
            .send(Operation::ListResourceRecordSets, turn, true, time_left, || {
                let call = self.client.list_resource_record_sets().hosted_zone_id(id).max_items(most);
                let call = call.set_start_record_name(place.name.clone());
                let call = call.set_start_record_type(place.rr_type.clone());
                call.set_start_record_identifier(place.identifier.clone()).send()
            })
            .await?;
        let name = answer.next_record_name().map(str::to_owned);
        let next = match (answer.is_truncated(), name) {
            (false, _) => None,
            (true, Some(name)) => {
                let rr_type = answer.next_record_type().cloned();
                let identifier = answer.next_record_identifier().map(str::to_owned);
                Some((name.clone(), Place { name: Some(name), rr_type, identifier }))
            }
            (true, None) => return Err(Failure::not_done(error(ErrorKind::Protocol, NO_NEXT))),
        };
        Ok(Listed { sets: answer.resource_record_sets, next })
    }

    /// The place behind a page, which must not be where the page began.
    fn onward(&self, zone: &ZoneId, from: &Place, to: Place) -> Result<Place, Error> {
        if *from == to {
            return Err(self.of_zone(zone, error(ErrorKind::Protocol, NO_NEXT)));
        }
        Ok(to)
    }

    /// The name of a zone whose id is all that is known: the first set of a zone is one at its apex, where SOA and NS
    /// cannot be deleted. So nobody needs a right to read zones beside the one to read their sets.
    pub(super) async fn apex_of(
        &self,
        zone: &ZoneId,
        time_left: Option<&dnsprovider::TimeLeft>,
    ) -> Result<Fqdn, Failure> {
        let listed = self.list_within(zone, &Place::default(), 1, Turn::Point, time_left).await?;
        let first = listed.sets.first().ok_or_else(|| {
            Failure::not_done(error(ErrorKind::Protocol, format!("reading sets: the zone `{zone}` has not even a SOA")))
        })?;
        parse(first.name()).map_err(Failure::not_done)
    }
}

const NO_NEXT: &str = "reading sets: Route 53 says that there are more and not where";

fn parse(name: &str) -> Result<Fqdn, Error> {
    convert::parse_name(name)
        .map_err(|cause| error(ErrorKind::Protocol, "reading a name that Route 53 gives").with_source(cause))
}

fn entries(sets: &[ResourceRecordSet]) -> Result<Vec<dnsprovider::Entry>, Error> {
    convert::entries(sets)
        .map_err(|cause| error(ErrorKind::Protocol, "reading a name that Route 53 gives").with_source(cause))
}

fn owners(sets: &[ResourceRecordSet]) -> Result<Vec<Fqdn>, Error> {
    sets.iter().map(|set| parse(set.name())).collect()
}

/// Each set once, in order.
fn distinct(sets: Vec<ResourceRecordSet>) -> Vec<ResourceRecordSet> {
    let mut seen = BTreeSet::new();
    let key = |set: &ResourceRecordSet| {
        (set.name().to_owned(), set.r#type().as_str().to_owned(), set.set_identifier().map(str::to_owned))
    };
    sets.into_iter().filter(|set| seen.insert(key(set))).collect()
}

//----------- Wanted ---------------------------------------------------------

/// Names still to be read, in the host's order; behind them those whose place in it is not known for sure.
struct Wanted {
    sorted: BTreeMap<String, Fqdn>,
    odd: BTreeSet<Fqdn>,
}

impl Wanted {
    fn new(names: &[Fqdn]) -> Self {
        let mut wanted = Self { sorted: BTreeMap::new(), odd: BTreeSet::new() };
        for name in names {
            match convert::sort_key(name) {
                Some(key) => _ = wanted.sorted.insert(key, name.clone()),
                None => _ = wanted.odd.insert(name.clone()),
            }
        }
        wanted
    }

    fn first(&self) -> Option<Fqdn> {
        self.sorted.values().next().or_else(|| self.odd.first()).cloned()
    }

    fn is_one(&self) -> bool {
        self.sorted.len() <= 1
    }

    /// Those that a list from `first` has told all about: it passed the place where they would stand.
    ///
    /// `next` is the name behind the page. A page whose names do not come in the order that we know tells of `first` alone.
    fn passed(&self, first: &Fqdn, owners: &[Fqdn], next: Option<&Fqdn>) -> BTreeSet<Fqdn> {
        let mut passed = BTreeSet::new();
        if next != Some(first) {
            passed.insert(first.clone());
        }
        let Some(start) = convert::sort_key(first) else { return passed };
        let keys: Vec<_> = owners.iter().chain(next).filter_map(convert::sort_key).collect();
        let in_order = keys.is_sorted() && keys.first().is_none_or(|key| start <= *key);
        if !in_order {
            return passed;
        }
        match (next, keys.last()) {
            (None, _) => passed.extend(self.sorted.range(start..).map(|(_, name)| name.clone())),
            (Some(_), Some(end)) if start < *end => {
                passed.extend(self.sorted.range(start..end.clone()).map(|(_, name)| name.clone()));
            }
            _ => {}
        }
        passed
    }

    fn remove(&mut self, passed: &BTreeSet<Fqdn>) {
        self.sorted.retain(|_, name| !passed.contains(name));
        self.odd.retain(|name| !passed.contains(name));
    }
}
