//! Level 8: what was decided on old facts is not done.

use dnsprovider::{Change, ChangeSet, ClaimedSet, RrType, Ttl, Unit};

use crate::case::ensure;
use crate::{Bench, Failure, Level, Verdict};

/// Every change carries what it was decided on.
pub const LEVEL: Level = Level {
    number: 8,
    story: "a change whose pre-image is stale is a conflict, and the zone stays as the other left it",
};

/// We read, another writes, we write: `Conflict`, and the zone is the other's. Then we read again and succeed.
async fn overtaken(
    bench: &Bench,
    ours: impl Fn(&ClaimedSet, Option<&dnsprovider::Entry>, dnsprovider::Version) -> Change,
    start: &[ClaimedSet],
    by_another: &[ClaimedSet],
) -> Result<(), Failure> {
    let wanted = bench.a("www", &["192.0.2.33"]);
    bench.migrate(start).await?;
    let read = bench.read().await?;
    let change = ours(&wanted, read.get(wanted.set.key()), read.version.clone());
    bench.migrate(by_another).await.map_err(|failure| failure.at("the other writer"))?;

    let verdict = bench.apply_unit(vec![change]).await?;
    ensure!(verdict == Verdict::Conflict, "a stale change gave {verdict:?} instead of Conflict");
    bench.expect(by_another).await?;
    bench.migrate(&[wanted]).await
}

fn update(wanted: &ClaimedSet, held: Option<&dnsprovider::Entry>, _: dnsprovider::Version) -> Change {
    Change::update(held.expect("the case starts with a set"), wanted.clone())
}

fn create(wanted: &ClaimedSet, _: Option<&dnsprovider::Entry>, version: dnsprovider::Version) -> Change {
    Change::create(wanted.clone(), version)
}

fn delete(_: &ClaimedSet, held: Option<&dnsprovider::Entry>, _: dnsprovider::Version) -> Change {
    Change::delete(held.expect("the case starts with a set"))
}

/// Other records by now.
pub async fn what_another_changed_is_a_conflict(bench: &Bench) -> Result<(), Failure> {
    let start = [bench.a("www", &["192.0.2.1", "192.0.2.2"])];
    for theirs in [&["192.0.2.9"] as &[_], &["192.0.2.1"], &["192.0.2.1", "192.0.2.2", "192.0.2.3"]] {
        overtaken(bench, update, &start, &[bench.a("www", theirs)]).await?;
    }
    Ok(())
}

/// Nothing there by now; an update is no upsert.
pub async fn what_another_deleted_is_a_conflict(bench: &Bench) -> Result<(), Failure> {
    overtaken(bench, update, &[bench.a("www", &["192.0.2.1"])], &[]).await
}

/// Something there by now, even exactly what we want: a create is no upsert.
pub async fn what_another_created_is_a_conflict(bench: &Bench) -> Result<(), Failure> {
    overtaken(bench, create, &[], &[bench.a("www", &["192.0.2.9"])]).await?;
    bench.migrate(&[]).await?;
    overtaken(bench, create, &[], &[bench.a("www", &["192.0.2.33"])]).await
}

/// The TTL is part of the set.
pub async fn a_ttl_that_another_changed_is_a_conflict(bench: &Bench) -> Result<(), Failure> {
    let start = bench.a("www", &["192.0.2.1"]);
    let limits = &bench.can.limits;
    let ttl = Ttl::from_secs(start.set.ttl().as_secs() + 1).unwrap_or(limits.min_ttl);
    let theirs = Bench::with_ttl(&start, ttl.clamp(limits.min_ttl, limits.max_ttl));
    overtaken(bench, update, &[start], &[theirs]).await
}

/// The same records under another claim are another's. (Without claims: under another set.)
pub async fn a_claim_that_another_took_is_a_conflict(bench: &Bench) -> Result<(), Failure> {
    let start = bench.a("www", &["192.0.2.1"]);
    let theirs = if bench.can.claims { bench.of_another(&start) } else { bench.a("www", &["192.0.2.9"]) };
    bench.migrate(std::slice::from_ref(&start)).await?;
    let entry = bench.entry(&start).await?;
    let hand_over = Change::update(&entry, theirs.clone());
    let verdict = bench.apply_unit(vec![hand_over]).await?;
    ensure!(verdict == Verdict::Done, "the other writer: {verdict:?}");

    for change in [Change::update(&entry, bench.a("www", &["192.0.2.33"])), Change::delete(&entry)] {
        let verdict = bench.apply_unit(vec![change]).await?;
        ensure!(verdict == Verdict::Conflict, "changing what another has claimed gave {verdict:?} instead of Conflict");
        bench.expect(std::slice::from_ref(&theirs)).await?;
    }
    Ok(())
}

/// Deleting deletes what was read, not whatever stands there.
pub async fn a_stale_delete_is_a_conflict(bench: &Bench) -> Result<(), Failure> {
    let start = [bench.a("www", &["192.0.2.1"])];
    overtaken(bench, delete, &start, &[bench.a("www", &["192.0.2.1", "192.0.2.2"])]).await?;
    overtaken(bench, delete, &start, &[bench.a("www", &["192.0.2.2"])]).await?;
    overtaken(bench, delete, &start, &[]).await
}

/// A unit is right as a whole only: here a name that gives way to a CNAME, and its target, which another has changed.
pub async fn one_stale_change_stops_its_unit(bench: &Bench) -> Result<(), Failure> {
    let start = [bench.a("www", &["192.0.2.1"]), bench.a("target", &["192.0.2.2"])];
    bench.migrate(&start).await?;
    let entries = [bench.entry(&start[0]).await?, bench.entry(&start[1]).await?];
    let theirs = [start[0].clone(), bench.a("target", &["192.0.2.9"])];
    bench.migrate(&theirs).await?;

    let cname = bench.creation(bench.set("www", RrType::Cname, &[bench.name("target").as_str()])).await?;
    let stale = Change::update(&entries[1], bench.a("target", &["192.0.2.3"]));
    let verdict = bench.apply_unit(vec![Change::delete(&entries[0]), cname, stale]).await?;
    ensure!(verdict == Verdict::Conflict, "a unit with a stale change gave {verdict:?}");
    bench.expect(&theirs).await
}

/// The caller learns which name to read again. (A host with one verdict for a batch may refuse all of it.)
pub async fn a_stale_unit_is_told_apart_from_the_others(bench: &Bench) -> Result<(), Failure> {
    let start = ["one", "two", "three"].map(|name| bench.a(name, &["192.0.2.1"]));
    bench.migrate(&start).await?;
    let wanted = ["one", "two", "three"].map(|name| bench.a(name, &["192.0.2.33"]));
    let mut units = Vec::new();
    for (held, wanted) in start.iter().zip(&wanted) {
        units.push(Unit { changes: vec![Change::update(&bench.entry(held).await?, wanted.clone())] });
    }
    let theirs = bench.a("two", &["192.0.2.9"]);
    bench.migrate(&[start[0].clone(), theirs, start[2].clone()]).await?;

    let verdicts = bench.apply(&ChangeSet { units }).await?;
    let stale = verdicts[start[1].set.key()];
    ensure!(stale == Verdict::Conflict, "the stale change gave {stale:?}");
    bench.migrate(&wanted).await
}
