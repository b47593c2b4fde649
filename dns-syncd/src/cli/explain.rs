//! `explain NAME`: why a name has the records that it has.

use anyhow::Context as _;
use dns_providers::OpenMode;
use dns_syncd::config::{Config, ConfigError};
use dns_syncd::engine::{Clock as _, SystemClock};
use dns_syncd::explain::{Explanation, explain};
use dnsprovider::Fqdn;

use super::exit::Exit;
use super::{admin, open, print};
use crate::output;

pub(crate) async fn run(config: &Config, name: &str) -> anyhow::Result<Exit> {
    let name = Fqdn::parse(name).map_err(|error| ConfigError::new(error.to_string()))?;
    let clock = SystemClock::default();
    let told: Option<Explanation> = admin::get(config, &format!("/explain?name={name}")).await?;
    let explanation = if let Some(told) = told {
        told
    } else {
        let pass = open::pass(config, OpenMode::ReadOnly).await;
        let pass = pass.context("no daemon answers, so sources and zone are read anew")?;
        explain(pass.reconciler(), &name, None, clock.now())
    };
    print(config, &explanation, |explanation| output::explain::text(explanation, clock.now()))?;
    Ok(Exit::Done)
}
