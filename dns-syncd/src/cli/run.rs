//! `run`: the daemon.

use std::time::Duration;

use anyhow::Context as _;
use dns_providers::OpenMode;
use dns_syncd::config::{Config, Flags};
use dns_syncd::daemon::{Daemon, terminated};
use dns_syncd::engine::Handle;
use dns_syncd::source::Dismissed;
use dns_syncd::source::clusters::{Contexts, Ways};
use dnsprovider::Fqdn;
use tokio::sync::watch;

use super::exit::Exit;
use super::show::Show;
use super::{environment, lead, open};

/// How often the config file is looked at.
const LOOK: Duration = Duration::from_secs(2);

pub(crate) async fn run(flags: Flags, config: Config, show: bool) -> anyhow::Result<Exit> {
    let opened = open::provider(&config, OpenMode::Serve).await?;
    let apex = open::apex(&config, &opened).await?;
    let contexts = watch::Sender::new(open::contexts(&config));
    let (ways, dismissed) = (Ways::default(), Dismissed::default());
    let source = open::source_with(&config, contexts.subscribe(), ways.clone(), dismissed.clone())?;
    let settings = config.settings(&apex)?;
    let candidate = lead::candidate(&config, &settings).await?;
    let mut daemon = Daemon::opened(settings, opened.clone(), source)
        .with_dismissed(dismissed)
        .with_create_zone(config.provider.create_zone)
        .with_resolver(open::resolver(&config)?)
        .with_admin(config.admin.clone());
    if config.source.events {
        daemon = daemon.with_events(ways);
    }
    if let Some(id) = &config.federation.zone_id {
        daemon = daemon.with_zone_id(id.clone());
    }
    if let Some(candidate) = candidate {
        daemon = daemon.with_candidate(candidate);
    }
    let handle = daemon.handle();
    let reloading = tokio::spawn(reload(flags, config.clone(), apex.clone(), handle.clone(), contexts));
    let showing = show.then(|| Show::new(&config, &opened, handle)).transpose()?;
    let showing = showing.map(|show| tokio::spawn(show.run()));
    let ran = daemon.run(async {
        if let Err(error) = terminated().await {
            tracing::error!(%error, "signals cannot be listened for");
        }
        tracing::info!("stopping");
    });
    let ran = ran.await;
    reloading.abort();
    if let Some(showing) = showing {
        showing.abort();
    }
    ran.context("running the daemon")?;
    Ok(Exit::Done)
}

/// Follows the config file: what may change while the daemon runs does, the rest is said to wait for a restart.
///
/// The text is compared, not its time: that sees an editor's rename and the swapped links of a mounted ConfigMap alike.
async fn reload(flags: Flags, mut running: Config, apex: Fqdn, handle: Handle, contexts: watch::Sender<Contexts>) {
    let Some(path) = Config::file(&flags, &environment) else { return };
    let mut seen = std::fs::read(&path).ok();
    loop {
        tokio::time::sleep(LOOK).await;
        let text = std::fs::read(&path).ok();
        if text == seen {
            continue;
        }
        seen = text;
        let changed = Config::load(&flags, &environment).map(|new| running.reload(new));
        let reload = match changed.and_then(|reload| Ok((reload.config.settings(&apex)?, reload))) {
            Ok((settings, reload)) => {
                if reload.is_changed && handle.reload(settings).await.is_err() {
                    return;
                }
                reload
            }
            Err(error) => {
                tracing::error!(%error, "the changed config is wrong; the running one stays");
                continue;
            }
        };
        contexts.send_replace(open::contexts(&reload.config));
        for what in &reload.needs_restart {
            tracing::warn!(what, "changed in the config file, and needs a restart");
        }
        if reload.config.sync.resolver != running.sync.resolver {
            tracing::warn!(what = "[Sync] resolver", "changed in the config file, and needs a restart");
        }
        if reload.is_changed {
            tracing::info!("the changed config is in use");
        }
        running = reload.config;
    }
}
