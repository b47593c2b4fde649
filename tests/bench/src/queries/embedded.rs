//! The daemon's own server in a process of its own: the provider `embedded` with a data-dir, and nothing else.

use std::io::BufRead as _;

use anyhow::{Context as _, ensure};
use clap::Args;
use dns_providers::{OpenMode, ProviderConfig, Registry};
use dnsprovider::{
    ApplyContext, Change, ChangeSet, Claim, ClaimedSet, DnsProvider as _, DnsProviderExt as _, Fqdn, RecordData, RrKey,
    RrSet, RrType, Ttl, Version,
};

use super::changes::{PER_CALL, Pace};
use super::zone;
use crate::workload::ZONE;

/// The server with so many names, until standard input ends. It prints its address; for each line of input, a number of
/// seconds, it changes names for so long and prints how many changes are done.
#[derive(Args, Clone, Debug)]
pub(crate) struct ServeArguments {
    /// Names
    names: u32,
}

pub(crate) async fn serve(arguments: &ServeArguments) -> anyhow::Result<()> {
    let names = arguments.names;
    let folder = tempfile::tempdir()?;
    let text = format!("[Global]\nzones = {ZONE}\nlisten = 127.0.0.1:0\ndata-dir = {}\n", folder.path().display());
    let config = ProviderConfig { text: Some(text), file: "bench.conf".to_owned(), home: None, mode: OpenMode::Serve };
    let opened = Registry::builtin().open("embedded", config).await?;
    let (provider, served) = (&opened.provider, opened.served.as_ref().context("it serves")?);
    let zone = provider.find_zone(Some(&Fqdn::parse(ZONE)?), None).await?.id;
    let apply = async |changes: Vec<Change>| {
        let (wanted, changes) = (changes.len(), ChangeSet::by_name(changes));
        let applied = provider.apply(&zone, &changes, &ApplyContext::default()).await?;
        let done = applied.outcomes.values().filter(|outcome| outcome.is_done()).count();
        ensure!(done == wanted, "{done} of {wanted} changes are done");
        anyhow::Ok(())
    };
    let created = (0..names).map(|number| change(number, None, 0)).collect::<anyhow::Result<Vec<_>>>()?;
    apply(created).await?;
    served.set_ready().await?;
    println!("{}", opened.endpoints.first().context("it has an address")?);

    let mut edition = 0;
    for line in std::io::stdin().lock().lines() {
        let mut pace = Pace::for_seconds(line?.trim().parse()?);
        let mut done = 0_u32;
        while pace.next().await {
            let mut changes = Vec::new();
            for _ in 0..PER_CALL {
                let number = done % names;
                let round = edition + done / names;
                changes.push(change(number, Some(round), round + 1)?);
                done += 1;
            }
            apply(changes).await?;
        }
        // The next time begins where all names are of one edition.
        let (rounds, part) = (done / names, done % names);
        edition += rounds;
        if part > 0 {
            let rest = (part..names).map(|number| change(number, Some(edition), edition + 1));
            apply(rest.collect::<anyhow::Result<Vec<_>>>()?).await?;
            edition += 1;
        }
        println!("{done}");
    }
    served.shutdown().await;
    Ok(())
}

fn change(number: u32, before: Option<u32>, after: u32) -> anyhow::Result<Change> {
    let after = set(number, after)?;
    let before = before.map(|edition| set(number, edition)).transpose()?;
    Ok(Change { key: after.set.key().clone(), before, version: Version::default(), after: Some(after) })
}

fn set(number: u32, edition: u32) -> anyhow::Result<ClaimedSet> {
    let key = RrKey::new(Fqdn::parse(&zone::name(number))?, RrType::A);
    let ttl = Ttl::from_secs(zone::TTL).context("a TTL")?;
    let set = RrSet::new(key, ttl, zone::addresses(number, edition).map(RecordData::A))?;
    let credits = ["c1", "c2"].map(|cluster| [cluster.into()].into());
    let claim = Claim { credits: credits.into(), ..Claim::without_credits("bench", "bench") };
    Ok(ClaimedSet { set, claim: Some(claim) })
}
