//! Level 1: sets come, change and go, and what is read is what was written.

use std::sync::Arc;

use dnsprovider::{Change, ChangeSet, Claim, ClaimedSet, ErrorKind, Fqdn, Outcome, RrType, Unit};

use crate::bench::no_version;
use crate::case::ensure;
use crate::{Bench, Failure, Level, Verdict};

/// Where every backend begins.
pub const LEVEL: Level = Level {
    number: 1,
    story: "create, replace and delete one set, and read back exactly that; claims travel with their sets",
};

/// [`dnsprovider::DnsProvider::zones`] gives the zone, once.
pub async fn the_zone_is_listed(bench: &Bench) -> Result<(), Failure> {
    let zones = bench.provider.zones(None).await?;
    let found: Vec<_> = zones.iter().filter(|zone| zone.id == bench.zone.id).collect();
    ensure!(found == [&bench.zone], "listed as {found:?}");
    let named = bench.provider.zones(Some(&bench.zone.apex)).await?;
    ensure!(named.contains(&bench.zone), "asked for by its apex, it is not among {named:?}");
    ensure!(named.iter().all(|zone| zone.apex == bench.zone.apex), "asked for one apex, there are {named:?}");
    let absent = bench.provider.zones(Some(&bench.name("no-zone"))).await?;
    ensure!(absent.is_empty(), "asked for an apex without a zone, there are {absent:?}");
    Ok(())
}

/// The life of a set.
pub async fn a_set_is_created_replaced_and_deleted(bench: &Bench) -> Result<(), Failure> {
    bench.migrate(&[bench.a("www", &["192.0.2.1"])]).await?;
    bench.migrate(&[bench.a("www", &["192.0.2.2"])]).await?;
    bench.migrate(&[]).await?;
    bench.migrate(&[bench.a("www", &["192.0.2.1"])]).await
}

/// Nothing asked, nothing done.
pub async fn an_empty_change_set_changes_nothing(bench: &Bench) -> Result<(), Failure> {
    bench.migrate(&[bench.a("www", &["192.0.2.1"])]).await?;
    let before = bench.read().await?;
    for changes in [ChangeSet::default(), ChangeSet { units: vec![Unit::default()] }] {
        let verdicts = bench.apply(&changes).await?;
        ensure!(verdicts.is_empty(), "an empty change set has outcomes: {verdicts:?}");
    }
    let after = bench.read().await?;
    ensure!(before.entries == after.entries, "an empty change set changed the zone");
    Ok(())
}

/// No entry, and no empty list of entries, for a name where nothing stands.
pub async fn absent_names_are_absent_from_what_is_read(bench: &Bench) -> Result<(), Failure> {
    bench.migrate(&[bench.a("below.www", &["192.0.2.1"])]).await?;
    let absent = [bench.name("nothing"), bench.name("deeper.below.www")];
    let read = bench.provider.read_names(&bench.zone.id, &absent).await?;
    ensure!(read.entries.is_empty(), "reading absent names gave {:?}", read.entries);
    let none = bench.provider.read_names(&bench.zone.id, &[]).await?;
    ensure!(none.entries.is_empty(), "reading no name gave {:?}", none.entries);
    Ok(())
}

/// Point look-ups agree with each other and with the zone, and say nothing of other names.
pub async fn reading_names_gives_exactly_those_names(bench: &Bench) -> Result<(), Failure> {
    let sets = ["one", "two", "three", "www.two"].map(|name| bench.a(name, &["192.0.2.1"]));
    bench.migrate(&sets).await?;
    let names = [bench.name("one"), bench.name("two"), bench.name("two")];
    let mut read = bench.provider.read_names(&bench.zone.id, &names).await?;
    if bench.can.answers_subtree {
        read.entries.remove(&bench.name("www.two"));
    }
    let mut whole = bench.read().await?;
    whole.entries.retain(|owner, _| names.contains(owner));
    ensure!(read.entries == whole.entries, "read names {:?}, the zone has {:?}", read.entries, whole.entries);
    Ok(())
}

/// Callers put what belongs together into one unit.
pub async fn several_names_change_in_one_unit(bench: &Bench) -> Result<(), Failure> {
    let old = [bench.a("one", &["192.0.2.1"]), bench.a("two", &["192.0.2.2"])];
    bench.migrate(&old).await?;
    let alias = |relative| bench.set(relative, RrType::Cname, &[bench.name("two").as_str()]);
    let new = [
        bench.a("two", &["192.0.2.22"]),
        bench.a("three", &["192.0.2.3"]),
        alias("first-alias"),
        alias("second-alias"),
    ];
    let unit = vec![
        Change::delete(&bench.entry(&old[0]).await?),
        Change::update(&bench.entry(&old[1]).await?, new[0].clone()),
        bench.creation(new[1].clone()).await?,
        bench.creation(new[2].clone()).await?,
        bench.creation(new[3].clone()).await?,
    ];
    let verdict = bench.apply_unit(unit).await?;
    ensure!(verdict == Verdict::Done, "the unit gave {verdict:?}");
    bench.expect(&new).await
}

/// A caller that keeps what it wrote need not read it again before the next change.
pub async fn the_version_of_an_outcome_serves_the_next_change(bench: &Bench) -> Result<(), Failure> {
    let states = [&["192.0.2.1"], &["192.0.2.2"], &["192.0.2.3"]].map(|addresses| bench.a("www", addresses));
    let mut change = bench.creation(states[0].clone()).await?;
    for next in states.iter().skip(1).map(Some).chain([None]) {
        let version = done_version(bench, change.clone()).await?;
        change = Change { key: change.key, before: change.after, version, after: next.cloned() };
    }
    done_version(bench, change.clone()).await?;
    bench.expect(&[]).await
}

async fn done_version(bench: &Bench, change: Change) -> Result<dnsprovider::Version, Failure> {
    let key = change.key.clone();
    let changes = ChangeSet { units: vec![Unit { changes: vec![change] }] };
    let mut applied = bench.provider.apply(&bench.zone.id, &changes, &dnsprovider::ApplyContext::default()).await?;
    match applied.outcomes.remove(&key) {
        Some(Outcome::Done(version)) => Ok(version),
        other => Err(Failure::new(format!("changing `{key}` gave {other:?}"))),
    }
}

fn credited(bench: &Bench, addresses: &[&str], credits: &[&[&str]]) -> ClaimedSet {
    let mut held = bench.a("www", addresses);
    let credits = credits.iter().map(|clusters| clusters.iter().map(|cluster| Arc::from(*cluster)).collect());
    held.claim =
        Some(Claim { name: "conformance".into(), federation: "federation".into(), credits: credits.collect() });
    held
}

/// Who may change a set, for which federation, and whose each record is; without [`dnsprovider::Capabilities::claims`]
/// a set with a claim is refused.
pub async fn claims_come_back_with_their_credits(bench: &Bench) -> Result<(), Failure> {
    let held = credited(bench, &["192.0.2.1", "192.0.2.2", "192.0.2.3"], &[&["east", "west"], &[], &["north"]]);
    if !bench.can.claims {
        let change = bench.creation(held).await?;
        return bench.expect_refusal(vec![change], &[ErrorKind::Unsupported]).await;
    }
    bench.migrate(std::slice::from_ref(&held)).await?;
    bench.migrate(&[credited(bench, &["192.0.2.2", "192.0.2.3"], &[&["süd \"1\""], &["north"]])]).await
}

/// Credits move while the records stay, and a name on a claim is handed over.
pub async fn a_claim_changes_alone(bench: &Bench) -> Result<(), Failure> {
    let first = credited(bench, &["192.0.2.1"], &[&["east"]]);
    if !bench.can.claims {
        let change = bench.creation(first).await?;
        return bench.expect_refusal(vec![change], &[ErrorKind::Unsupported]).await;
    }
    bench.migrate(std::slice::from_ref(&first)).await?;
    let second = credited(bench, &["192.0.2.1"], &[&["east", "west"]]);
    bench.migrate(std::slice::from_ref(&second)).await?;
    let handed_over = bench.of_another(&second);
    let change = Change::update(&bench.entry(&second).await?, handed_over.clone());
    let verdict = bench.apply_unit(vec![change]).await?;
    ensure!(verdict == Verdict::Done, "handing over a claim gave {verdict:?}");
    bench.expect(&[handed_over]).await
}

/// Or refused, without [`dnsprovider::Capabilities::manages_zones`].
pub async fn zones_are_created_and_deleted(bench: &Bench) -> Result<(), Failure> {
    let (provider, apex) = (&bench.provider, bench.name("zone"));
    let before = provider.zones(None).await?.len();
    if !bench.can.manages_zones {
        let kinds = (provider.create_zone(&apex).await.err(), provider.delete_zone(&bench.zone.id).await.err());
        let kinds = (kinds.0.map(|error| error.kind()), kinds.1.map(|error| error.kind()));
        let unsupported = Some(ErrorKind::Unsupported);
        ensure!(kinds == (unsupported, unsupported), "creating and deleting a zone gave {kinds:?}");
        ensure!(provider.zones(None).await?.len() == before, "it was refused, and yet the zones changed");
        return Ok(());
    }
    let zone = provider.create_zone(&apex).await?;
    ensure!(zone.apex == apex, "`{apex}` was created as `{}`", zone.apex);
    let listed = provider.zones(None).await?;
    ensure!(listed.contains(&zone) && listed.len() == before + 1, "after creating one: {listed:?}");

    let name: Fqdn = apex.prepend("www").map_err(|error| Failure::new(error.to_string()))?;
    let held = bench.set_at(name.clone(), RrType::A, &["192.0.2.1"]);
    let changes = ChangeSet::by_name([Change::create(held, no_version())]);
    let applied = provider.apply(&zone.id, &changes, &dnsprovider::ApplyContext::default()).await?;
    ensure!(applied.is_done(), "writing into the new zone gave {applied:?}");
    let read = provider.read_names(&zone.id, std::slice::from_ref(&name)).await?;
    let delete = ChangeSet::by_name(read.at(&name).iter().map(Change::delete));
    ensure!(delete.len() == 1, "the new zone holds {:?}", read.entries);
    provider.apply(&zone.id, &delete, &dnsprovider::ApplyContext::default()).await?;

    provider.delete_zone(&zone.id).await?;
    ensure!(provider.zones(None).await?.len() == before, "the deleted zone is still listed");
    let again = provider.delete_zone(&zone.id).await.err().map(|error| error.kind());
    ensure!(again == Some(ErrorKind::ZoneNotFound), "deleting a zone that is gone gave {again:?}");
    Ok(())
}
