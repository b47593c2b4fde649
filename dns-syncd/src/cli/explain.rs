//! `explain NAME`: why a name has the records that it has.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use dns_providers::{OpenMode, Opened};
use dns_syncd::config::{Config, ConfigError};
use dns_syncd::engine::{Clock as _, SystemClock};
use dns_syncd::explain::{Explanation, explain};
use dnsprovider::Fqdn;

use super::exit::Exit;
use super::{admin, ask, exit, open, print, progress};
use crate::output;
use crate::output::explain::Told;

/// The longest that opening the provider may take, when only its servers' names are wanted.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) async fn run(config: &Config, name: &str) -> anyhow::Result<Exit> {
    let name = Fqdn::parse(name).map_err(|error| ConfigError::new(error.to_string()))?;
    let clock = SystemClock::default();
    let told: Option<Explanation> = admin::get(config, &format!("/explain?name={name}")).await?;
    let (explanation, opened) = if let Some(told) = told {
        // The daemon has told all else, so a provider that cannot be opened from here costs the servers' answers alone.
        (told, in_time(open::provider(config, OpenMode::ReadOnly)).await)
    } else {
        let anew = anew(config, &name, &clock).await;
        let (told, opened) = anew.context("no daemon answers, so sources and zone are read anew")?;
        (told, Ok(opened))
    };
    let (servers, unasked) = match opened {
        Ok(opened) => (opened.endpoints, "the provider names no DNS server".to_owned()),
        Err(error) => (Vec::new(), exit::chain(&error)),
    };
    let answers = progress::during("asking DNS servers", ask::each(&servers, &name)).await;
    let told = Told { explanation, answers, unasked };
    print(config, &told, |told| output::explain::text(told, clock.now()))?;
    Ok(Exit::Done)
}

/// As source and zone tell it now, without a daemon.
async fn anew(config: &Config, name: &Fqdn, clock: &SystemClock) -> anyhow::Result<(Explanation, Opened)> {
    let opened = open::provider(config, OpenMode::ReadOnly).await?;
    let pass = open::pass_with(config, opened.clone()).await?;
    Ok((explain(pass.reconciler(), name, None, clock.now()), opened))
}

async fn in_time(opening: impl Future<Output = anyhow::Result<Opened>>) -> anyhow::Result<Opened> {
    let late = || anyhow!("the provider was not opened within {} s", PATIENCE.as_secs());
    tokio::time::timeout(PATIENCE, opening).await.unwrap_or_else(|_| Err(late()))
}
