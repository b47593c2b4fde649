//! Level 2: sets of many values, and several types at one name.

use std::net::Ipv4Addr;

use dnsprovider::{ClaimedSet, ErrorKind, RrType};

use crate::{Bench, Failure, Level, Verdict};

/// Sets are sets.
pub const LEVEL: Level = Level { number: 2, story: "many values in one set; their order and duplicates mean nothing" };

fn addresses(range: std::ops::Range<u8>) -> Vec<String> {
    range.map(|host| format!("192.0.2.{host}")).collect()
}

fn as_many(bench: &Bench, wanted: u8) -> u8 {
    let most = bench.can.limits.records_per_set.unwrap_or(usize::MAX);
    u8::try_from(most).map_or(wanted, |most| most.min(wanted))
}

fn a(bench: &Bench, values: &[String]) -> ClaimedSet {
    bench.a("www", &values.iter().map(String::as_str).collect::<Vec<_>>())
}

/// They arrive together, leave one by one, and are never a set each.
pub async fn many_values_stay_one_set(bench: &Bench) -> Result<(), Failure> {
    let most = as_many(bench, 30);
    bench.migrate(&[a(bench, &addresses(1..most + 1))]).await?;
    bench.migrate(&[a(bench, &addresses(1..most))]).await?;
    bench.migrate(&[a(bench, &addresses(1..2))]).await?;
    bench.migrate(&[a(bench, &addresses(1..most + 1))]).await
}

/// The same records in another order are the same set.
pub async fn order_and_duplicates_make_no_difference(bench: &Bench) -> Result<(), Failure> {
    let mut texts = addresses(1..as_many(bench, 9) + 1);
    bench.migrate(&[a(bench, &texts)]).await?;
    texts.reverse();
    texts.push(texts[0].clone());
    bench.expect(&[a(bench, &texts)]).await
}

/// A, AAAA and TXT at one name come and go by themselves.
pub async fn all_types_stand_side_by_side(bench: &Bench) -> Result<(), Failure> {
    let all = [
        bench.a("www", &["192.0.2.1", "192.0.2.2"]),
        bench.set("www", RrType::Aaaa, &["2001:db8::1", "2001:db8::2"]),
        bench.set("www", RrType::Txt, &["some text"]),
    ];
    let all: Vec<_> = all.into_iter().filter(|held| bench.writes(held.set.rr_type())).collect();
    bench.migrate(&all).await?;
    for gone in 0..all.len() {
        let mut rest = all.clone();
        rest.remove(gone);
        bench.migrate(&rest).await?;
        bench.migrate(&all).await?;
    }
    Ok(())
}

/// `::ffff:192.0.2.1` is an AAAA record; a host that takes it for an A record has to refuse it.
pub async fn an_ipv4_mapped_address_is_stored_or_refused(bench: &Bench) -> Result<(), Failure> {
    let held = bench.set("www", RrType::Aaaa, &["::ffff:192.0.2.1"]);
    match bench.apply_unit(vec![bench.creation(held.clone()).await?]).await? {
        Verdict::Done => bench.expect(&[held]).await,
        Verdict::Refused(ErrorKind::InvalidInput | ErrorKind::Unsupported) => bench.expect(&[]).await,
        other => Err(Failure::new(format!("it gave {other:?}"))),
    }
}

/// The values that stay are not disturbed.
pub async fn one_value_of_many_is_exchanged(bench: &Bench) -> Result<(), Failure> {
    bench.migrate(&[bench.a("www", &["192.0.2.1", "192.0.2.2"])]).await?;
    bench.migrate(&[bench.a("www", &["192.0.2.2", "192.0.2.3"])]).await?;
    // Both leaves hash to one 32-bit number (FNV-1a), as backends that derive keys from values may do.
    bench.migrate(&[bench.a("www", &["10.0.107.237", "10.2.219.40"])]).await?;
    bench.migrate(&[bench.a("www", &["10.2.219.40"])]).await
}

/// Above [`dnsprovider::capabilities::Limits::records_per_set`], or with a thousand where there is no limit: stored as a
/// whole or refused, never cut.
pub async fn more_records_than_allowed_are_refused(bench: &Bench) -> Result<(), Failure> {
    let many = bench.can.limits.records_per_set.map_or(1000, |most| most + 1);
    let first = u32::from(Ipv4Addr::new(10, 0, 0, 0));
    let texts: Vec<_> = (first..).take(many).map(|number| Ipv4Addr::from(number).to_string()).collect();
    let change = bench.creation(a(bench, &texts)).await?;
    match bench.apply_unit(vec![change]).await? {
        Verdict::Done => bench.expect(&[a(bench, &texts)]).await,
        Verdict::Refused(ErrorKind::LimitExceeded) => bench.expect(&[]).await,
        other => Err(Failure::new(format!("a set of {many} records gave {other:?}"))),
    }
}
