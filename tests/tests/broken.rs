//! Backends that each break the contract in one way, and the case that has to catch it.
//!
//! All are the reference backend with one fault; [`unbroken_passes_every_case`] shows that the fault is the reason.

use std::sync::Arc;

use async_trait::async_trait;
use dns_conformance::{CASES, Failure, Setup, check};
use dnsprovider::{
    Applied, ApplyContext, Capabilities, Change, ChangeSet, Claim, ClaimedSet, Cost, Cursor, DnsProvider, Entry, Error,
    ErrorKind, Fqdn, MemoryProvider, Outcome, Page, RecordData, RrSet, RrType, Snapshot, Ttl, Unit, Version,
    WatchStream, Zone, ZoneId,
};
use futures::StreamExt;

/// What is wrong with a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Nothing,
    // What is stored is not what was asked.
    RoundsTtls,
    DropsCredits,
    KeepsTwentyValues,
    MergesValues,
    LeavesOneOfManyValues,
    SplitsLongTexts,
    UnescapesTexts,
    TrimsTexts,
    FoldsTexts,
    // Stale facts.
    IgnoresPreImages,
    UpsertsCreates,
    DeletesWhateverIsThere,
    ChecksRecordsNotClaims,
    ChecksThenWrites,
    // Too much, too little.
    DeletesBelow,
    DeletesByBeginning,
    DeletesUnclaimedNeighbors,
    AppliesChangesOneByOne,
    DeletesThenCreates,
    CutsBatches,
    SaysDoneToDeletes,
    SaysConflictAndWrites,
    ForgetsOutcomes,
    // Reading.
    LosesTheSecondPage,
    RepeatsTheLastName,
    MatchesWildcards,
    ReadsBelow,
    GivesEmptyNames,
    ListsZonesOfAnyApex,
    // Errors.
    EmptyWhereThereIsNoZone,
    ReadsOutsideTheZone,
    IgnoresDeadlines,
    AllowsCnameBesideData,
    WatchEnds,
    WatchForgetsThePast,
}

use Fault::*;

#[derive(Debug)]
struct Broken {
    inner: MemoryProvider,
    fault: Fault,
}

fn apex() -> Fqdn {
    Fqdn::parse("conformance.test").expect("a name")
}

fn text(held: &ClaimedSet, change: impl Fn(&[u8]) -> Vec<Vec<u8>>) -> ClaimedSet {
    let records = held.set.records().iter().flat_map(|record| match record {
        RecordData::Txt(octets) => change(octets).into_iter().map(RecordData::txt).collect(),
        other => vec![other.clone()],
    });
    let set = RrSet::new(held.set.key().clone(), held.set.ttl(), records).expect("as many records as before");
    ClaimedSet { set, claim: held.claim.clone() }
}

fn trim(octets: &[u8]) -> Vec<Vec<u8>> {
    vec![octets.trim_ascii().to_vec()]
}

impl Broken {
    /// What it stores when asked to store `held` where `before` was.
    fn distort(&self, before: Option<&ClaimedSet>, held: &ClaimedSet) -> ClaimedSet {
        let with = |ttl: Ttl, records: Vec<RecordData>| ClaimedSet {
            set: RrSet::new(held.set.key().clone(), ttl, records).expect("as many records as before"),
            claim: held.claim.clone(),
        };
        let (ttl, records) = (held.set.ttl(), held.set.records());
        match self.fault {
            RoundsTtls => with(Ttl::from_secs(ttl.as_secs() / 60 * 60).expect("smaller"), records.to_vec()),
            KeepsTwentyValues => with(ttl, records[..records.len().min(20)].to_vec()),
            MergesValues if *held.set.rr_type() != RrType::Cname => {
                let old = before.into_iter().flat_map(|held| held.set.records());
                with(ttl, old.chain(records).cloned().collect())
            }
            DropsCredits => {
                let bare = |claim: &Claim| Claim::without_credits(claim.name.clone(), claim.federation.clone());
                ClaimedSet { set: held.set.clone(), claim: held.claim.as_ref().map(bare) }
            }
            SplitsLongTexts => text(held, |octets| match octets.chunks(255) {
                chunks if chunks.len() > 1 => chunks.map(<[u8]>::to_vec).collect(),
                _ => vec![octets.to_vec()],
            }),
            UnescapesTexts => {
                text(held, |octets| vec![octets.iter().filter(|octet| **octet != b'\\').copied().collect()])
            }
            TrimsTexts => text(held, trim),
            FoldsTexts => text(held, |octets| vec![octets.to_ascii_lowercase()]),
            _ => held.clone(),
        }
    }

    /// The change that it makes instead of `change`.
    async fn rewrite(&self, zone: &ZoneId, change: &Change) -> Result<Change, Error> {
        let held = self.inner.peek(zone)?.get(&change.key).cloned();
        let before = match (self.fault, &change.before, &held) {
            (IgnoresPreImages, _, Some(held)) if change.action() != dnsprovider::Action::Create => {
                Some(held.data.clone())
            }
            (UpsertsCreates, None, Some(held)) => Some(held.data.clone()),
            (DeletesWhateverIsThere, Some(_), Some(held)) if change.after.is_none() => Some(held.data.clone()),
            (ChecksRecordsNotClaims, Some(before), Some(held)) if before.set == held.data.set => {
                Some(held.data.clone())
            }
            (ChecksThenWrites, Some(before), Some(held)) if *before == held.data => {
                // Between the check and the write others write.
                tokio::task::yield_now().await;
                self.inner.peek(zone)?.get(&change.key).map(|held| held.data.clone())
            }
            _ => change.before.clone(),
        };
        let mut after = change.after.as_ref().map(|after| self.distort(before.as_ref(), after));
        if let (LeavesOneOfManyValues, None, Some(before)) = (self.fault, &after, &before) {
            let last = before.set.records().last().filter(|_| before.set.records().len() > 2).cloned();
            after = last.map(|record| ClaimedSet {
                set: RrSet::new(change.key.clone(), before.set.ttl(), [record]).expect("one record"),
                claim: before.claim.clone(),
            });
        }
        Ok(Change { before, after, ..change.clone() })
    }

    /// What else goes when `change` is done.
    fn collateral(&self, zone: &ZoneId, change: &Change) -> Result<(), Error> {
        let owner = &change.key.owner;
        let beginning = owner.as_str().split('.').next().unwrap_or_default();
        let goes = |other: &Entry| match self.fault {
            _ if other.key().owner == *owner => false,
            DeletesBelow => change.after.is_none() && other.key().owner.is_at_or_below(owner),
            DeletesByBeginning => {
                let sibling = other.key().owner.parent() == owner.parent();
                change.after.is_none() && sibling && other.key().owner.as_str().starts_with(beginning)
            }
            DeletesUnclaimedNeighbors => other.data.claim.is_none(),
            _ => false,
        };
        for other in self.inner.peek(zone)?.iter().filter(|other| goes(other)) {
            self.inner.remove_foreign(zone, other.key())?;
        }
        Ok(())
    }

    async fn forward(&self, zone: &ZoneId, changes: &ChangeSet, cx: &ApplyContext) -> Result<Applied, Error> {
        let mut rewritten = ChangeSet::default();
        for unit in &changes.units {
            let mut changes = Vec::new();
            for change in &unit.changes {
                changes.push(self.rewrite(zone, change).await?);
            }
            rewritten.units.push(Unit { changes });
        }
        let applied = self.inner.apply(zone, &rewritten, cx).await?;
        for change in changes.changes().filter(|change| applied.outcomes[&change.key].is_done()) {
            self.collateral(zone, change)?;
        }
        Ok(applied)
    }
}

#[async_trait]
impl DnsProvider for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn cost(&self, unit: &Unit) -> Cost {
        self.inner.cost(unit)
    }

    async fn zones(&self, apex: Option<&Fqdn>) -> Result<Vec<Zone>, Error> {
        self.inner.zones(apex.filter(|_| self.fault != Fault::ListsZonesOfAnyApex)).await
    }

    async fn create_zone(&self, apex: &Fqdn) -> Result<Zone, Error> {
        self.inner.create_zone(apex).await
    }

    async fn delete_zone(&self, zone: &ZoneId) -> Result<(), Error> {
        self.inner.delete_zone(zone).await
    }

    async fn read_page(&self, zone: &ZoneId, cursor: Option<&Cursor>) -> Result<Page, Error> {
        let mut page = match self.inner.read_page(zone, cursor).await {
            Err(error) if self.fault == EmptyWhereThereIsNoZone && error.kind() == ErrorKind::ZoneNotFound => {
                return Ok(Page::default());
            }
            other => other?,
        };
        match self.fault {
            LosesTheSecondPage => page.next = None,
            RepeatsTheLastName if cursor.is_some() => {
                // As a host whose cursor is a name at which it begins, not after which.
                let Some(Cursor(last)) = cursor else { return Ok(page) };
                let again = self.inner.read_names(zone, &[Fqdn::parse(last)?]).await?;
                page.entries.splice(0..0, again.iter().cloned());
            }
            _ => {}
        }
        Ok(page)
    }

    async fn read_names(&self, zone: &ZoneId, names: &[Fqdn]) -> Result<Snapshot, Error> {
        let inside: Vec<_> = names.iter().filter(|name| name.is_at_or_below(&apex())).cloned().collect();
        let asked = if self.fault == ReadsOutsideTheZone { &inside } else { names };
        let mut read = match self.inner.read_names(zone, asked).await {
            Err(error) if self.fault == EmptyWhereThereIsNoZone && error.kind() == ErrorKind::ZoneNotFound => {
                return Ok(Snapshot::default());
            }
            other => other?,
        };
        let whole = self.inner.peek(zone)?;
        for name in names {
            match self.fault {
                MatchesWildcards if read.at(name).is_empty() => {
                    let wildcard = name.parent().and_then(|parent| parent.prepend("*").ok());
                    let entries = wildcard.map(|wildcard| whole.at(&wildcard).to_vec()).unwrap_or_default();
                    if !entries.is_empty() {
                        read.entries.insert(name.clone(), entries);
                    }
                }
                ReadsBelow => {
                    let below = whole.entries.iter().filter(|(owner, _)| owner.is_at_or_below(name));
                    read.entries.extend(below.map(|(owner, entries)| (owner.clone(), entries.clone())));
                }
                GivesEmptyNames => _ = read.entries.entry(name.clone()).or_default(),
                _ => {}
            }
        }
        Ok(read)
    }

    async fn apply(&self, zone: &ZoneId, changes: &ChangeSet, cx: &ApplyContext) -> Result<Applied, Error> {
        match self.fault {
            IgnoresDeadlines => self.forward(zone, changes, &ApplyContext::default()).await,
            CutsBatches if changes.units.len() > 500 => {
                let most = ChangeSet { units: changes.units[..500].to_vec() };
                self.forward(zone, &most, cx).await?;
                Ok(Applied::all(changes, |_| Outcome::Done(Version::default())))
            }
            AppliesChangesOneByOne => {
                let mut applied = Applied::default();
                for change in changes.changes() {
                    let one = ChangeSet::by_name([change.clone()]);
                    applied.outcomes.extend(self.forward(zone, &one, cx).await?.outcomes);
                }
                Ok(applied)
            }
            DeletesThenCreates => {
                let updates = |change: &&Change| change.action() == dnsprovider::Action::Update;
                let stale = |change: &Change| {
                    let held = self.inner.peek(zone).ok().and_then(|held| held.get(&change.key).cloned());
                    held.map(|held| held.data) != change.before
                };
                if changes.changes().filter(updates).count() == 0 || changes.changes().any(stale) {
                    return self.forward(zone, changes, cx).await;
                }
                for change in changes.changes().filter(updates) {
                    self.inner.remove_foreign(zone, &change.key)?;
                }
                tokio::task::yield_now().await;
                let mut creates = changes.clone();
                for change in creates.units.iter_mut().flat_map(|unit| &mut unit.changes) {
                    change.before = change.before.take().filter(|_| change.after.is_none());
                }
                self.forward(zone, &creates, cx).await
            }
            SaysDoneToDeletes => {
                // Of text only, so that the bench itself can be set up and taken down.
                let lazy = |change: &Change| change.after.is_none() && change.key.rr_type == RrType::Txt;
                let mut left = changes.clone();
                left.units.iter_mut().for_each(|unit| unit.changes.retain(|change| !lazy(change)));
                let mut applied = self.forward(zone, &left, cx).await?;
                for change in changes.changes().filter(|change| lazy(change)) {
                    applied.outcomes.insert(change.key.clone(), Outcome::Done(Version::default()));
                }
                Ok(applied)
            }
            SaysConflictAndWrites => {
                let applied = self.forward(zone, changes, cx).await?;
                let conflict = applied.outcomes.values().any(|outcome| matches!(outcome, Outcome::Conflict));
                for change in changes.changes().filter(|_| conflict) {
                    if let Some(after) = &change.after {
                        let entry = Entry {
                            data: after.clone(),
                            version: Version::default(),
                            blocks: dnsprovider::Blocks::AsDns,
                        };
                        self.inner.insert_foreign(zone, entry)?;
                    }
                }
                Ok(applied)
            }
            ForgetsOutcomes => {
                let mut applied = self.forward(zone, changes, cx).await?;
                if applied.outcomes.len() > 2 {
                    applied.outcomes.pop_last();
                }
                Ok(applied)
            }
            AllowsCnameBesideData => {
                let applied = self.forward(zone, changes, cx).await?;
                let crowded = |outcome: &Outcome| matches!(outcome, Outcome::Refused(error) if error.to_string().contains("beside other data"));
                if !applied.outcomes.values().any(crowded) {
                    return Ok(applied);
                }
                for after in changes.changes().filter_map(|change| change.after.clone()) {
                    let version = Version::default();
                    self.inner
                        .insert_foreign(zone, Entry { data: after, version, blocks: dnsprovider::Blocks::AsDns })?;
                }
                Ok(Applied::all(changes, |_| Outcome::Done(Version::default())))
            }
            _ => self.forward(zone, changes, cx).await,
        }
    }

    async fn watch(&self, zone: &ZoneId, since: &Version) -> Result<WatchStream, Error> {
        match self.fault {
            WatchEnds => Ok(self.inner.watch(zone, since).await?.take(1).boxed()),
            WatchForgetsThePast => {
                let now = self.inner.peek(zone)?.version;
                self.inner.watch(zone, &now).await
            }
            _ => self.inner.watch(zone, since).await,
        }
    }
}

fn setup(fault: Fault) -> Setup {
    let inner = MemoryProvider::builder().zone(apex()).page_size(200).build();
    Setup::new(Arc::new(Broken { inner, fault }), apex())
}

async fn outcome_of(case: &str, fault: Fault) -> Result<(), Failure> {
    let case = CASES.iter().find(|other| other.name == case).unwrap_or_else(|| panic!("there is no case `{case}`"));
    check(case, setup(fault)).await
}

#[tokio::test(start_paused = true)]
async fn unbroken_passes_every_case() {
    for case in CASES {
        if let Err(failure) = outcome_of(case.name, Nothing).await {
            panic!("{}: {failure}", case.name);
        }
    }
}

/// One test for each fault: the named case catches it, and not only because nothing works at all.
macro_rules! caught {
    ($($test:ident: $fault:ident by $case:ident;)*) => {$(
        #[tokio::test(start_paused = true)]
        async fn $test() {
            let case = stringify!($case);
            let failure = outcome_of(case, $fault).await.expect_err(concat!(stringify!($case), " has to fail"));
            let failure = failure.to_string();
            assert!(!failure.starts_with("preparing"), "the fault is too crude to show what the case finds: {failure}");
        }
    )*};
}

caught! {
    ttls_are_rounded: RoundsTtls by the_ttl_changes_alone;
    credits_are_dropped: DropsCredits by claims_come_back_with_their_credits;
    credits_alone_are_no_change: DropsCredits by a_claim_changes_alone;
    a_set_is_cut: KeepsTwentyValues by many_values_stay_one_set;
    a_large_set_is_cut: KeepsTwentyValues by more_records_than_allowed_are_refused;
    old_values_stay: MergesValues by one_value_of_many_is_exchanged;
    a_deleted_set_leaves_a_value: LeavesOneOfManyValues by a_dropped_call_leaves_whole_sets;
    long_texts_become_several: SplitsLongTexts by texts_above_255_octets_stay_whole;
    backslashes_vanish: UnescapesTexts by quotes_semicolons_and_backslashes_are_text;
    texts_are_trimmed: TrimsTexts by blanks_and_case_are_kept;
    texts_are_folded: FoldsTexts by blanks_and_case_are_kept;
    pre_images_are_ignored: IgnoresPreImages by what_another_changed_is_a_conflict;
    a_stale_ttl_is_ignored: IgnoresPreImages by a_ttl_that_another_changed_is_a_conflict;
    creates_are_upserts: UpsertsCreates by what_another_created_is_a_conflict;
    two_creators_both_win: UpsertsCreates by of_two_creators_one_wins;
    deletes_are_blind: DeletesWhateverIsThere by a_stale_delete_is_a_conflict;
    claims_are_not_compared: ChecksRecordsNotClaims by a_claim_that_another_took_is_a_conflict;
    the_check_is_not_atomic: ChecksThenWrites by of_two_writers_one_wins;
    a_delete_takes_the_subtree: DeletesBelow by deleting_a_name_leaves_those_below;
    a_delete_takes_foreign_sets_below: DeletesBelow by sets_of_others_stay;
    a_delete_takes_what_begins_alike: DeletesByBeginning by common_beginnings_are_different_names;
    unclaimed_sets_are_taken_for_ours: DeletesUnclaimedNeighbors by an_unclaimed_set_is_somebody_elses_and_stays;
    units_are_torn_apart: AppliesChangesOneByOne by one_stale_change_stops_its_unit;
    an_update_is_a_delete_and_a_create: DeletesThenCreates by a_dropped_call_leaves_whole_sets;
    what_does_not_fit_is_dropped: CutsBatches by a_thousand_sets_arrive_and_leave;
    done_is_said_and_not_done: SaysDoneToDeletes by all_types_stand_side_by_side;
    conflict_is_said_and_written: SaysConflictAndWrites by what_another_deleted_is_a_conflict;
    an_outcome_is_missing: ForgetsOutcomes by a_stale_unit_is_told_apart_from_the_others;
    only_the_first_page_is_read: LosesTheSecondPage by pages_hold_each_set_once_and_no_name_twice;
    pages_overlap: RepeatsTheLastName by pages_hold_each_set_once_and_no_name_twice;
    wildcards_match: MatchesWildcards by a_wildcard_is_a_name;
    names_are_read_with_all_below: ReadsBelow by reading_names_gives_exactly_those_names;
    zones_of_any_apex_are_listed: ListsZonesOfAnyApex by the_zone_is_listed;
    absent_names_are_empty: GivesEmptyNames by absent_names_are_absent_from_what_is_read;
    a_missing_zone_is_empty: EmptyWhereThereIsNoZone by a_missing_zone_is_said_so;
    names_outside_are_ignored: ReadsOutsideTheZone by a_name_outside_the_zone_is_refused;
    deadlines_are_ignored: IgnoresDeadlines by after_the_deadline_nothing_is_sent;
    a_cname_is_put_beside_data: AllowsCnameBesideData by a_cname_beside_other_data_is_refused;
    a_watch_ends_early: WatchEnds by a_watch_reports_own_and_foreign_changes;
    a_watch_begins_now: WatchForgetsThePast by a_watch_misses_nothing_since_its_version;
}

/// A zone in use, with and without the mark that makes it a test zone.
async fn in_use(marked: bool) -> Result<(), Failure> {
    let provider = MemoryProvider::new([apex()]);
    let zone = ZoneId(apex().as_str().into());
    let www = [("www", RrType::A, "192.0.2.1")];
    let mark = [(Setup::MARK, RrType::Txt, "use it")];
    for (name, rr_type, text) in www.into_iter().chain(mark.into_iter().filter(|_| marked)) {
        let records = dns_conformance::records(&rr_type, &[text]);
        let key = dnsprovider::RrKey::new(apex().prepend(name).expect("a name"), rr_type);
        let set = RrSet::new(key, Ttl::from_secs(60).expect("a TTL"), records).expect("a set");
        let entry =
            Entry { data: ClaimedSet::unclaimed(set), version: Version::default(), blocks: dnsprovider::Blocks::AsDns };
        provider.insert_foreign(&zone, entry).expect("the zone is there");
    }
    let before = provider.peek(&zone).expect("the zone is there").entries;
    let result = check(&CASES[1], Setup::new(provider.clone(), apex())).await;
    assert_eq!(provider.peek(&zone).expect("the zone is there").entries, before, "what was there before has changed");
    result
}

#[tokio::test(start_paused = true)]
async fn a_zone_in_use_is_left_alone() {
    let failure = in_use(false).await.expect_err("the suite must not run in a zone that is in use");
    assert!(failure.to_string().contains("neither empty nor a test zone"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn a_marked_zone_is_used_and_left_as_it_was() {
    in_use(true).await.expect("the mark allows it");
}
