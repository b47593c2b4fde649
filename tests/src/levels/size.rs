//! Level 9: zones and change sets of any size.

use std::collections::BTreeSet;

use dnsprovider::{Change, ChangeSet, Cost, ErrorKind, Unit};

use crate::case::ensure;
use crate::verdict::worst;
use crate::{Bench, Failure, Level, Verdict};

/// What is written once for all backends packs batches by what they say that a unit costs.
pub const LEVEL: Level =
    Level { number: 9, story: "a thousand sets through batches and pages, with limits kept and costs told truly" };

/// Through [`dnsprovider::Chunked`], in and out again.
pub async fn a_thousand_sets_arrive_and_leave(bench: &Bench) -> Result<(), Failure> {
    let room = bench.can.limits.sets_per_zone.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
    let many = room.saturating_sub(10).min(1000);
    let sets: Vec<_> = (0..many).map(|n| bench.a(&format!("s{n}"), &["192.0.2.1", "192.0.2.2"])).collect();
    bench.migrate(&sets).await?;
    let changed: Vec<_> = sets.iter().skip(1).step_by(2).cloned().collect();
    bench.migrate(&changed).await
}

/// Without [`dnsprovider::Capabilities::enumeration`] a page is refused.
pub async fn pages_hold_each_set_once_and_no_name_twice(bench: &Bench) -> Result<(), Failure> {
    let zone = &bench.zone.id;
    if !bench.can.enumeration {
        let kind = bench.provider.read_page(zone, None).await.err().map(|error| error.kind());
        ensure!(kind == Some(ErrorKind::Unsupported), "reading a page gave {kind:?}");
        return Ok(());
    }
    let many = if bench.can.limits.sets_per_zone.is_some() { 50 } else { 1100 };
    let sets: Vec<_> = (0..many).map(|n| bench.a(&format!("s{n}"), &["192.0.2.1"])).collect();
    bench.migrate(&sets).await?;

    let (mut names, mut found, mut cursor) = (BTreeSet::new(), 0, None);
    loop {
        let page = bench.provider.read_page(zone, cursor.as_ref()).await?;
        let on_page: BTreeSet<_> = page.entries.iter().map(|entry| entry.key().owner.clone()).collect();
        if let Some(twice) = on_page.intersection(&names).next() {
            return Err(Failure::new(format!("`{twice}` is on two pages")));
        }
        names.extend(on_page);
        found += page.entries.iter().filter(|entry| entry.key().owner.is_at_or_below(&bench.name(""))).count();
        match page.next {
            None => break,
            next => cursor = next,
        }
    }
    ensure!(found == many, "{found} sets were read in pages, {many} were written");
    Ok(())
}

/// Or done whole by a wrapper that packs; never a part of it.
pub async fn a_batch_above_the_limit_is_refused_whole(bench: &Bench) -> Result<(), Failure> {
    let limits = &bench.can.limits;
    let version = bench.read().await?.version;
    let (mut units, mut cost) = (Vec::new(), limits.overhead);
    while cost.fits(&limits.batch) && units.len() < 1000 {
        let held = bench.a(&format!("s{}", units.len()), &["192.0.2.1"]);
        let unit = Unit { changes: vec![Change::create(held, version.clone())] };
        cost += bench.provider.cost(&unit);
        units.push(unit);
    }
    let over = !cost.fits(&limits.batch);
    let sets: Vec<_> = units.iter().flat_map(|unit| &unit.changes).filter_map(|change| change.after.clone()).collect();
    match worst(bench.apply(&ChangeSet { units }).await?.values()) {
        Verdict::Done => bench.expect(&sets).await,
        Verdict::Refused(ErrorKind::LimitExceeded) if over => bench.expect(&[]).await,
        other => Err(Failure::new(format!("a batch of {} sets (above the limit: {over}) gave {other:?}", sets.len()))),
    }
}

/// A unit costs something, and the same each time; more changes never cost less.
pub async fn costs_add_up(bench: &Bench) -> Result<(), Failure> {
    let version = bench.read().await?.version;
    let change = |name, addresses: &[_]| Change::create(bench.a(name, addresses), version.clone());
    let small = Unit { changes: vec![change("one", &["192.0.2.1"])] };
    let mut large = small.clone();
    large.changes.push(change("two", &["192.0.2.1", "192.0.2.2"]));
    let cost = |unit| bench.provider.cost(unit);
    ensure!(cost(&small) == cost(&small), "the cost of a unit is not the same twice");
    ensure!(cost(&small).fits(&cost(&large)), "{:?} is no part of {:?}", cost(&small), cost(&large));
    let limited = bench.can.limits.batch != Cost::UNLIMITED;
    ensure!(!limited || cost(&small) != Cost::default(), "batches are limited and a unit costs nothing");
    ensure!(
        (bench.can.limits.overhead + cost(&small)).fits(&bench.can.limits.batch),
        "not even one set fits in a call"
    );
    Ok(())
}
