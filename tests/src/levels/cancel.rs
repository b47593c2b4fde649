//! Level 12: calls that are dropped half-way, and news of changes.

use std::collections::BTreeSet;
use std::time::Duration;

use dnsprovider::{
    ApplyContext, ChangeSet, ClaimedSet, DnsProviderExt, ErrorKind, Fqdn, RrKey, Version, WatchStream, diff,
};
use futures::StreamExt;

use crate::bench::no_version;
use crate::case::ensure;
use crate::{Bench, Failure, Level};

/// A daemon that stops, or loses its lead, drops its calls.
pub const LEVEL: Level =
    Level { number: 12, story: "a dropped call leaves whole sets, reading tells which; a watch tells of every change" };

/// Cut off after every number of steps up to this; on a host that answers at once the first is already all.
const MOST_STEPS: usize = 24;
/// How long to wait for news that never come. A guard only.
const PATIENCE: Duration = Duration::from_mins(1);

/// Old or new, never half; then the next pass finishes.
pub async fn a_dropped_call_leaves_whole_sets(bench: &Bench) -> Result<(), Failure> {
    let sets = |address: &str| -> Vec<ClaimedSet> {
        (0..8).map(|n| bench.a(&format!("s{n}"), &[address, "192.0.2.250", "192.0.2.251"])).collect()
    };
    let mut from = sets("192.0.2.0");
    bench.migrate(&from).await?;
    for steps in 0..MOST_STEPS {
        let to = sets(&format!("192.0.2.{}", steps + 1));
        let desired = to.iter().map(|held| (held.set.key().clone(), held.clone())).collect();
        let changes = diff(&bench.read().await?, &desired, |_| true);
        drop_after(bench, &changes, steps).await;

        let held = bench.read().await?;
        for (old, new) in from.iter().zip(&to) {
            let now: Vec<_> = held.at(old.set.owner()).iter().map(|entry| &entry.data).collect();
            ensure!(now == [old] || now == [new], "after {steps} steps `{}` holds {now:?}", old.set.key());
        }
        // What was sent may still be on its way: whoever writes now either sees it or makes it stale.
        settle(bench, &to).await?;
        from = to;
    }
    Ok(())
}

async fn drop_after(bench: &Bench, changes: &ChangeSet, steps: usize) {
    let wait = async {
        for _ in 0..steps {
            tokio::task::yield_now().await;
        }
    };
    let context = ApplyContext::default();
    tokio::select! {
        biased;
        _ = bench.provider.apply(&bench.zone.id, changes, &context) => {}
        () = wait => {}
    }
}

/// Converges as callers do: read, compare, apply, and once more after a conflict.
async fn settle(bench: &Bench, desired: &[ClaimedSet]) -> Result<(), Failure> {
    let mut last = Ok(());
    for _ in 0..3 {
        last = bench.migrate(desired).await;
        if last.is_ok() {
            break;
        }
    }
    last.map_err(|failure| failure.at("finishing what a dropped call began"))
}

/// Reads events until each of the names was reported, at a revision after `since`.
async fn await_news(stream: &mut WatchStream, since: &Version, names: &[Fqdn]) -> Result<(), Failure> {
    let mut missing: BTreeSet<_> = names.iter().collect();
    while !missing.is_empty() {
        let next = tokio::time::timeout(PATIENCE, stream.next()).await;
        match next {
            Err(_) => return Err(Failure::new(format!("no news of {missing:?}"))),
            Ok(None) => return Err(Failure::new(format!("the stream ended before it told of {missing:?}"))),
            Ok(Some(event)) => {
                let event = event?;
                let newer = event.revision > since.revision;
                ensure!(newer, "news of revision {}, watched since {}", event.revision, since.revision);
                missing.remove(&event.owner);
            }
        }
    }
    Ok(())
}

async fn expect_unsupported(bench: &Bench) -> Result<(), Failure> {
    let kind = bench.provider.watch(&bench.zone.id, &no_version()).await.err().map(|error| error.kind());
    ensure!(kind == Some(ErrorKind::Unsupported), "watching gave {kind:?}");
    Ok(())
}

/// Creates, updates and deletes, ours and theirs. Without [`dnsprovider::Capabilities::watch`] it is refused.
pub async fn a_watch_reports_own_and_foreign_changes(bench: &Bench) -> Result<(), Failure> {
    if !bench.can.watch {
        return expect_unsupported(bench).await;
    }
    let zone = &bench.zone.id;
    let mut since = bench.provider.read_zone(zone).await?.version;
    let mut stream = bench.provider.watch(zone, &since).await?;
    let ours = bench.a("ours", &["192.0.2.1"]);
    let theirs = bench.of_another(&bench.a("theirs", &["192.0.2.1"]));
    let states = [
        vec![ours.clone(), theirs.clone()],
        vec![bench.a("ours", &["192.0.2.2"]), bench.of_another(&bench.a("theirs", &["192.0.2.2"]))],
        vec![],
    ];
    let names = [ours.set.owner().clone(), theirs.set.owner().clone()];
    for state in &states {
        bench.migrate(state).await?;
        await_news(&mut stream, &since, &names).await?;
        since = bench.provider.read_zone(zone).await?.version;
        stream = bench.provider.watch(zone, &since).await?;
    }
    Ok(())
}

/// What happens between reading and watching is told too.
pub async fn a_watch_misses_nothing_since_its_version(bench: &Bench) -> Result<(), Failure> {
    if !bench.can.watch {
        return expect_unsupported(bench).await;
    }
    let since = bench.provider.read_zone(&bench.zone.id).await?.version;
    let sets: Vec<_> = (0..20).map(|n| bench.a(&format!("s{n}"), &["192.0.2.1"])).collect();
    bench.migrate(&sets).await?;
    let mut stream = bench.provider.watch(&bench.zone.id, &since).await?;
    let names: Vec<_> = sets.iter().map(|held| RrKey::clone(held.set.key()).owner).collect();
    await_news(&mut stream, &since, &names).await
}
