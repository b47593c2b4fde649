//! Who of several processes may write, as the config says.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use dns_sync_core::Settings;
use dns_syncd::config::{Config, LeaderKind};
use dns_syncd::leader::{
    Candidate, Election, Leader, Leadership, LeaseElection, LeaseOptions, Record, SystemBootClock, identity,
};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::progress;

/// How long a process that runs alone is believed to be there after it was last heard of. Short, because after a crash
/// its successor waits so long.
const PRESENCE: Duration = Duration::from_secs(5);

/// The candidate that the config asks for; `None` for a process that runs alone where no other could be noticed.
pub(crate) async fn candidate(config: &Config, settings: &Settings) -> anyhow::Result<Option<Candidate>> {
    let wanted = &config.leader;
    let record = Record::new(identity(wanted.identity.as_deref()), settings, &config.source);
    let name = wanted.name.as_deref().unwrap_or(&settings.claim);
    let in_etcd = |lease| etcd(config, &format!("{}/{name}", settings.zone.as_str().trim_end_matches('.')), lease);
    Ok(match wanted.kind {
        LeaderKind::None if config.provider.name.as_deref() == Some("coredns") => {
            Some(Candidate::new(in_etcd(PRESENCE)?, record, PRESENCE).presence())
        }
        LeaderKind::None => None,
        LeaderKind::Etcd => Some(Candidate::new(in_etcd(wanted.lease_duration)?, record, wanted.lease_duration)),
        LeaderKind::Lease => {
            let options = LeaseOptions {
                name: name.to_owned(),
                namespace: wanted.namespace.clone(),
                kubeconfig: wanted.kubeconfig.clone(),
            };
            let lease = wanted.lease_duration;
            let election = LeaseElection::open(options, lease, Arc::new(SystemBootClock)).await?;
            Some(Candidate::new(Box::new(election), record, lease))
        }
    })
}

#[cfg(feature = "coredns")]
fn etcd(config: &Config, name: &str, lease: Duration) -> anyhow::Result<Box<dyn Election>> {
    use dns_providers::OpenMode;
    use dns_providers::coredns::{Options, SCHEMA};
    use dns_syncd::leader::EtcdElection;

    use super::open;

    let read = open::provider_config(config, OpenMode::Serve)?.read(&SCHEMA);
    let options = Options::read(&read.map_err(|error| error.of_provider("coredns"))?)?;
    Ok(Box::new(EtcdElection::new(options, name, lease)))
}

#[cfg(not(feature = "coredns"))]
fn etcd(_: &Config, _: &str, _: Duration) -> anyhow::Result<Box<dyn Election>> {
    bail!("the provider `coredns` is not compiled into this program, so nobody is elected in its etcd")
}

/// The leadership, for as long as a command runs.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) leader: Leader,
    campaign: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

/// Takes the leadership.
///
/// # Errors
/// When another process leads, with its name, or nobody can tell.
pub(crate) async fn take(config: &Config, settings: &Settings) -> anyhow::Result<Held> {
    let Some(candidate) = candidate(config, settings).await? else {
        return Ok(Held { leader: Leader::alone(), campaign: None });
    };
    let (leader, campaign) = candidate.start();
    let (stop, stopped) = oneshot::channel();
    let campaign = tokio::spawn(campaign.run(async move { _ = stopped.await }));
    let mut held = Held { leader, campaign: Some((stop, campaign)) };
    let state = progress::during("taking the leadership", held.leader.settled()).await;
    let place = held.leader.report().map(|report| report.place).unwrap_or_default();
    let lease = if config.leader.kind == LeaderKind::None { PRESENCE } else { config.leader.lease_duration };
    let refusal = match state {
        None | Some(Leadership::Leading { .. }) => return Ok(held),
        Some(Leadership::Standby(other)) => format!("`{}` leads ({place})", other.holder),
        Some(Leadership::Refused(other, differences)) => {
            let differences = differences.join("; ");
            format!("`{}` leads ({place}) and does other work with this claim: {differences}", other.holder)
        }
        Some(Leadership::Unsure(why)) => {
            let why = why.unwrap_or_else(|| "no answer".to_owned());
            held.give_up().await;
            bail!("taking the leadership: {why}; nothing was written");
        }
    };
    held.give_up().await;
    bail!(
        "taking the leadership: {refusal}; nothing was written; hint: it does this work itself, or stop it first; if it \
         is gone already, its leadership ends within {} s",
        lease.as_secs()
    );
}

impl Held {
    /// Gives the leadership up, so that others need not wait.
    pub(crate) async fn give_up(self) {
        if let Some((stop, campaign)) = self.campaign {
            _ = stop.send(());
            _ = campaign.await;
        }
    }
}
