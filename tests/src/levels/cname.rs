//! Level 7: a CNAME stands alone (RFC 1034 §3.6.2).

use dnsprovider::{Change, ErrorKind, RrType};

use crate::bench::data;
use crate::case::ensure;
use crate::{Bench, Failure, Level, Verdict};

/// Fail-over replaces addresses by a CNAME and back.
pub const LEVEL: Level =
    Level { number: 7, story: "addresses give way to a CNAME in one unit, and a CNAME beside other data is refused" };

/// Demands that a unit is not done, and nothing of it. A host that compares a whole name at once, and cannot tell the
/// rule from a stale fact, may say `Conflict`.
async fn expect_refusal(bench: &Bench, changes: Vec<Change>) -> Result<(), Failure> {
    let before = data(&bench.read().await?);
    let verdict = bench.apply_unit(changes).await?;
    let refused = matches!(verdict, Verdict::Refused(ErrorKind::InvalidInput) | Verdict::Conflict);
    ensure!(refused, "it should be refused as InvalidInput; it gave {verdict:?}");
    ensure!(data(&bench.read().await?) == before, "it was refused and yet the zone changed");
    Ok(())
}

/// The unit of a name whose last address is gone, and its way back, for both families at once.
pub async fn addresses_give_way_to_a_cname_and_back(bench: &Bench) -> Result<(), Failure> {
    let target = bench.a("global", &["192.0.2.9"]);
    let addresses = [bench.a("zone", &["192.0.2.1", "192.0.2.2"]), bench.set("zone", RrType::Aaaa, &["2001:db8::1"])];
    let cname = bench.set("zone", RrType::Cname, &[bench.name("global").as_str()]);
    let mut start = vec![target.clone()];
    start.extend(addresses.iter().filter(|held| bench.writes(held.set.rr_type())).cloned());
    for _ in 0..2 {
        bench.migrate(&start).await?;
        bench.migrate(&[target.clone(), cname.clone()]).await?;
    }
    bench.migrate(&[target.clone(), addresses[0].clone()]).await?;
    bench.migrate(&[target, cname]).await
}

/// Nothing is changed by the attempt.
pub async fn a_cname_beside_other_data_is_refused(bench: &Bench) -> Result<(), Failure> {
    let held = [bench.a("www", &["192.0.2.1"])];
    bench.migrate(&held).await?;
    let cname = bench.set("www", RrType::Cname, &["target.example."]);
    let change = bench.creation(cname.clone()).await?;
    expect_refusal(bench, vec![change]).await?;
    bench.expect(&held).await?;

    // Nor inside one unit, in either order.
    bench.migrate(&[]).await?;
    let cname = bench.creation(cname).await?;
    let address = bench.creation(held[0].clone()).await?;
    expect_refusal(bench, vec![cname.clone(), address.clone()]).await?;
    expect_refusal(bench, vec![address, cname]).await?;
    bench.expect(&[]).await
}

/// The same rule from the other side.
pub async fn other_data_beside_a_cname_is_refused(bench: &Bench) -> Result<(), Failure> {
    let held = [bench.set("www", RrType::Cname, &["target.example."])];
    bench.migrate(&held).await?;
    for (rr_type, text) in [(RrType::A, "192.0.2.1"), (RrType::Aaaa, "2001:db8::1"), (RrType::Txt, "text")] {
        if bench.writes(&rr_type) {
            let change = bench.creation(bench.set("www", rr_type, &[text])).await?;
            expect_refusal(bench, vec![change]).await?;
        }
    }
    bench.expect(&held).await
}

/// A target may lie inside the zone, outside it, or nowhere.
pub async fn a_target_changes(bench: &Bench) -> Result<(), Failure> {
    for target in ["elsewhere.example.", bench.name("absent").as_str(), bench.zone.apex.as_str(), "TLD."] {
        bench.migrate(&[bench.set("www", RrType::Cname, &[target])]).await?;
    }
    Ok(())
}

/// zone → region → global, all at once and in the worst order, then only the end is left.
pub async fn a_chain_arrives_and_leaves(bench: &Bench) -> Result<(), Failure> {
    let chain = [
        bench.set("a-zone", RrType::Cname, &[bench.name("b-region").as_str()]),
        bench.set("b-region", RrType::Cname, &[bench.name("c-global").as_str()]),
        bench.a("c-global", &["192.0.2.1"]),
    ];
    bench.migrate(&chain).await?;
    let turned = bench.set("b-region", RrType::Cname, &[bench.name("d-other").as_str()]);
    bench.migrate(&[chain[0].clone(), turned, bench.a("d-other", &["192.0.2.2"])]).await?;
    bench.migrate(&chain).await?;

    let unit: Vec<_> = bench.read().await?.iter().map(Change::delete).collect();
    let verdict = bench.apply_unit(unit).await?;
    ensure!(verdict == Verdict::Done, "deleting the chain in one unit gave {verdict:?}");
    bench.expect(&[]).await
}
