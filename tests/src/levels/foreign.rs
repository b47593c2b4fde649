//! Level 6: what belongs to others stays, octet for octet.

use dnsprovider::{Change, ClaimedSet, RrType};

use crate::bench::data;
use crate::case::ensure;
use crate::{Bench, Failure, Level, Verdict};

/// Every case also has a neighbor's set that must survive.
pub const LEVEL: Level =
    Level { number: 6, story: "changing a set leaves all others alone: beside it, below it, and at the same name" };

/// Puts sets of another writer, runs our changes, and compares what the other has.
async fn beside(bench: &Bench, others: &[ClaimedSet]) -> Result<(), Failure> {
    bench.migrate(others).await?;
    let before = bench.read().await?;
    let ours = bench.a("www", &["192.0.2.1", "192.0.2.2"]);
    let theirs_unchanged = async |step: &str| -> Result<(), Failure> {
        let mut held = bench.read().await?;
        for entries in held.entries.values_mut() {
            entries.retain(|entry| entry.key() != ours.set.key() || entry.data.claim_name() != ours.claim_name());
        }
        held.entries.retain(|_, entries| !entries.is_empty());
        ensure!(data(&held) == data(&before), "{step}: others had {:?}, now {:?}", data(&before), data(&held));
        Ok(())
    };
    let replaced = bench.a("www", &["192.0.2.3"]);
    let verdict = bench.apply_unit(vec![bench.creation(ours.clone()).await?]).await?;
    ensure!(verdict == Verdict::Done, "creating beside others gave {verdict:?}");
    theirs_unchanged("after our create").await?;
    let verdict = bench.apply_unit(vec![Change::update(&bench.entry(&ours).await?, replaced.clone())]).await?;
    ensure!(verdict == Verdict::Done, "replacing beside others gave {verdict:?}");
    theirs_unchanged("after our update").await?;
    let verdict = bench.apply_unit(vec![Change::delete(&bench.entry(&replaced).await?)]).await?;
    ensure!(verdict == Verdict::Done, "deleting beside others gave {verdict:?}");
    theirs_unchanged("after our delete").await
}

/// Siblings, a parent, a child, and another type at the same name; where the host shares sets, the very same set.
pub async fn sets_of_others_stay(bench: &Bench) -> Result<(), Failure> {
    let names = ["", "ww", "www2", "below.www", "a.b.below.www"];
    let mut others: Vec<_> = names.iter().map(|name| bench.of_another(&bench.a(name, &["192.0.2.9"]))).collect();
    if bench.writes(&RrType::Txt) {
        others.push(bench.of_another(&bench.set("www", RrType::Txt, &["theirs"])));
    }
    if bench.can.shared_sets {
        others.push(bench.of_another(&bench.a("www", &["192.0.2.1"])));
    }
    beside(bench, &others).await
}

/// A set without a claim is somebody's who does not use claims.
pub async fn an_unclaimed_set_is_somebody_elses_and_stays(bench: &Bench) -> Result<(), Failure> {
    let unclaimed = |name| ClaimedSet::unclaimed(bench.a(name, &["192.0.2.9", "192.0.2.10"]).set);
    beside(bench, &[unclaimed("ww"), unclaimed("below.www"), unclaimed("")]).await
}

/// The name goes, its children stay: a store with keys in a tree must not delete by prefix.
pub async fn deleting_a_name_leaves_those_below(bench: &Bench) -> Result<(), Failure> {
    let all = ["www", "a.www", "b.a.www", "www2"].map(|name| bench.a(name, &["192.0.2.1", "192.0.2.2"]));
    bench.migrate(&all).await?;
    bench.migrate(&all[1..]).await?;
    bench.migrate(&all).await?;
    bench.migrate(&[all[0].clone(), all[2].clone()]).await
}
