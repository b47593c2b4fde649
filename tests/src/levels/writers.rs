//! Level 10: two writers at once.

use dnsprovider::{Change, ClaimedSet};

use crate::case::ensure;
use crate::{Bench, Failure, Level, Verdict};

/// What two daemons do while each believes that it leads.
pub const LEVEL: Level = Level { number: 10, story: "of two writers of one set exactly one wins, and nothing is lost" };

/// Enough for the calls to meet in more than one order.
const ROUNDS: u8 = 20;

/// Both writers at the same time, each in a task of its own.
async fn at_once(bench: &Bench, ours: Change, theirs: Change) -> Result<[Verdict; 2], Failure> {
    bench.remember([&ours.key.owner, &theirs.key.owner]);
    let apply = |change: Change| {
        let (provider, zone) = (std::sync::Arc::clone(&bench.provider), bench.zone.id.clone());
        tokio::spawn(async move {
            let changes = dnsprovider::ChangeSet::by_name([change]);
            let answer = provider.apply(&zone, &changes, &dnsprovider::ApplyContext::default()).await;
            crate::verdict::verdicts(&changes, answer)
        })
    };
    let (ours, theirs) = (apply(ours), apply(theirs));
    let mut verdicts = [Verdict::Unknown; 2];
    for (verdict, task) in verdicts.iter_mut().zip([ours, theirs]) {
        let told = task.await.map_err(|error| Failure::new(format!("apply panicked: {error}")))??;
        *verdict = crate::verdict::worst(told.values());
    }
    Ok(verdicts)
}

/// Demands one winner and one conflict, and a zone that is the winner's. A host without
/// [`dnsprovider::Capabilities::conditional_writes`] may say `Done` twice; the zone is then one of the two, whole.
async fn one_wins(bench: &Bench, verdicts: [Verdict; 2], states: [&ClaimedSet; 2]) -> Result<(), Failure> {
    let held = crate::bench::data(&bench.read().await?);
    let winners: Vec<_> =
        verdicts.iter().zip(states).filter(|(verdict, _)| **verdict == Verdict::Done).map(|(_, state)| state).collect();
    let losers = verdicts.iter().filter(|verdict| **verdict == Verdict::Conflict).count();
    let fair = winners.len() + losers == 2 && !winners.is_empty();
    ensure!(fair && (losers == 1 || !bench.can.conditional_writes), "two writers at once got {verdicts:?}");
    let whole = matches!(held.as_slice(), [one] if winners.contains(&one));
    ensure!(whole, "the zone holds {held:?}, the winner wrote {winners:?}");
    Ok(())
}

/// From the same pre-image.
pub async fn of_two_writers_one_wins(bench: &Bench) -> Result<(), Failure> {
    let mut held = bench.a("www", &["192.0.2.1", "192.0.2.2"]);
    bench.migrate(std::slice::from_ref(&held)).await?;
    for round in 0..ROUNDS {
        let states = [1, 2].map(|writer| bench.a("www", &[&format!("198.51.{writer}.{round}"), "192.0.2.2"]));
        let entry = bench.entry(&held).await?;
        let [ours, theirs] = [&states[0], &states[1]].map(|state| Change::update(&entry, state.clone()));
        let verdicts = at_once(bench, ours, theirs).await?;
        one_wins(bench, verdicts, [&states[0], &states[1]]).await?;
        held = crate::bench::data(&bench.read().await?).remove(0);
    }
    Ok(())
}

/// From nothing.
pub async fn of_two_creators_one_wins(bench: &Bench) -> Result<(), Failure> {
    for round in 0..ROUNDS {
        let states = [1, 2].map(|writer| bench.a("www", &[&format!("198.51.{writer}.{round}")]));
        let [ours, theirs] = [bench.creation(states[0].clone()).await?, bench.creation(states[1].clone()).await?];
        let verdicts = at_once(bench, ours, theirs).await?;
        one_wins(bench, verdicts, [&states[0], &states[1]]).await?;
        bench.migrate(&[]).await?;
    }
    Ok(())
}

/// A conflict is about a set, not about a zone.
pub async fn writers_of_different_names_both_succeed(bench: &Bench) -> Result<(), Failure> {
    let mut held = [bench.a("one", &["192.0.2.1"]), bench.a("two", &["192.0.2.1"])];
    bench.migrate(&held).await?;
    for round in 0..ROUNDS {
        let next = ["one", "two"].map(|name| bench.a(name, &[&format!("198.51.100.{round}")]));
        let ours = Change::update(&bench.entry(&held[0]).await?, next[0].clone());
        let theirs = Change::update(&bench.entry(&held[1]).await?, next[1].clone());
        let verdicts = at_once(bench, ours, theirs).await?;
        ensure!(verdicts == [Verdict::Done; 2], "writers of different names got {verdicts:?}");
        bench.expect(&next).await?;
        held = next;
    }
    Ok(())
}
