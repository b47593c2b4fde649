//! `clusters`: who is a member, and how it stands.

use std::time::Duration;

use dns_sync_core::{Reconciler, Settings};
use dns_syncd::clusters::{ClusterReport, ClusterStatus, clusters};
use dns_syncd::config::Config;
use dns_syncd::engine::{Clock as _, SystemClock};
use dnsprovider::{DnsProvider as _, Fqdn, MemoryProvider};

use super::exit::Exit;
use super::{admin, open, print, progress};
use crate::output;

/// Between two looks of `--wait`.
const PAUSE: Duration = Duration::from_secs(1);

pub(crate) async fn run(config: &Config, wait: bool) -> anyhow::Result<Exit> {
    let clock = SystemClock::default();
    let waiting = async {
        loop {
            let members = members(config, &clock).await?;
            if !wait || members.iter().all(|member| member.status != ClusterStatus::Unknown) {
                return anyhow::Ok(members);
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    let members = progress::during("waiting for the clusters", waiting).await?;
    print(config, &members, |members| output::clusters::text(members, clock.now()))?;
    Ok(Exit::Done)
}

/// As the daemon knows them, else as the source tells them now.
async fn members(config: &Config, clock: &SystemClock) -> anyhow::Result<Vec<ClusterReport>> {
    if let Some(told) = admin::get(config, "/clusters").await? {
        return Ok(told);
    }
    let events = open::source(config)?.read_once().await?;
    Ok(clusters(&observed(settings(config)?, events, clock)))
}

/// Membership depends on no zone, so any name will do where the config has only the zone's id.
pub(crate) fn settings(config: &Config) -> anyhow::Result<Settings> {
    let apex = config.federation.zone_name.clone().or_else(|| config.federation.suffix.clone());
    Ok(config.settings(&apex.unwrap_or_else(Fqdn::root))?)
}

/// What the clusters say, seen without any zone.
pub(crate) fn observed(settings: Settings, events: Vec<dns_sync_core::SourceEvent>, clock: &SystemClock) -> Reconciler {
    let mut reconciler = Reconciler::new(settings.for_one_shot(), &MemoryProvider::new([]).capabilities());
    let now = clock.now();
    for event in events {
        reconciler.observe(event, now);
    }
    reconciler.plan(now);
    reconciler
}
