//! The whole daemon as a value: give it a provider and a source, and run it.
//!
//! `examples/embed.rs` does so with a provider and a source of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dns_providers::{Opened, Served};
use dns_sync_core::Settings;
use dnsprovider::{DnsProvider, Error, RetryHint, Zone, ZoneId};
use tokio::sync::{mpsc, watch};

use crate::admin::{self, Admin};
use crate::ask::{Ask, DnsAsker};
use crate::config;
use crate::engine::{
    AuditPace, Backoff, Clock, Engine, EngineParts, Handle, Health, Metrics, Requests, SystemClock, ZoneChoice, stamp,
};
use crate::events::Notices;
use crate::leader::{Candidate, Leader};
use crate::resolver::{Resolve, SystemResolver};
use crate::source::clusters::Ways;
use crate::source::{Dismissed, EndpointSource, SourceError};

/// Batches of a source that may wait until it is noted when they were told.
const TOLD_BATCHES: usize = 16;
/// Batches of a source that may wait to be taken in.
const WAITING_BATCHES: usize = 1024;
/// How long an end waits for the source.
const SOURCE_LIMIT: Duration = Duration::from_secs(5);
/// How long an end waits for requests at the admin address.
const ADMIN_LIMIT: Duration = Duration::from_secs(2);

/// Keeps one zone true until it is stopped.
#[derive(Debug)]
pub struct Daemon {
    settings: Settings,
    provider: Arc<dyn DnsProvider>,
    source: Source,
    zone: ZoneChoice,
    served: Option<Arc<dyn Served>>,
    ways: Option<Ways>,
    dismissed: Dismissed,
    servers: Vec<SocketAddr>,
    ask: Arc<dyn Ask>,
    resolver: Option<Arc<dyn Resolve>>,
    clock: Arc<dyn Clock>,
    audit: AuditPace,
    seed: u64,
    admin: Option<config::Admin>,
    candidate: Option<Candidate>,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    handle: Handle,
    requests: Requests,
}

/// Only for its `Debug`.
struct Source(Box<dyn EndpointSource>);

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Source")
    }
}

/// Why a daemon ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The source cannot be used at the start.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The zone cannot be opened, and trying again would not help.
    #[error("opening the zone")]
    Zone(#[source] Error),
    /// The admin address that somebody asked for cannot be had.
    #[error("listening on the admin address `{address}`")]
    Admin {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The system's resolvers are not known.
    #[error("finding the system's resolvers; hint: set [Sync] resolver")]
    Resolver(#[source] crate::resolver::ResolverError),
}

impl Daemon {
    /// A daemon for the zone that the settings name.
    pub fn new(settings: Settings, provider: Arc<dyn DnsProvider>, source: Box<dyn EndpointSource>) -> Self {
        let (handle, requests) = Handle::new();
        Self {
            zone: ZoneChoice { apex: Some(settings.zone.clone()), ..ZoneChoice::default() },
            settings,
            metrics: Arc::new(Metrics::new(provider.name())),
            provider,
            source: Source(source),
            served: None,
            ways: None,
            dismissed: Dismissed::default(),
            servers: Vec::new(),
            ask: Arc::new(DnsAsker::default()),
            resolver: None,
            clock: Arc::new(SystemClock::default()),
            audit: AuditPace::default(),
            seed: rand::random(),
            admin: None,
            candidate: None,
            health: Arc::new(Health::new()),
            handle,
            requests,
        }
    }

    /// The same for a provider as a registry opens it; a server in this process is told when its zone is complete, and the
    /// DNS servers that the provider knows are asked for what was written.
    pub fn opened(settings: Settings, opened: Opened, source: Box<dyn EndpointSource>) -> Self {
        Self::new(settings, opened.provider.clone(), source)
            .with_served(opened.served)
            .with_servers(opened.endpoints, Arc::new(DnsAsker::default()))
    }

    /// DNS servers that answer from the zone, and who asks them: so is measured how long a change takes to be answered.
    #[must_use]
    pub fn with_servers(mut self, servers: Vec<SocketAddr>, ask: Arc<dyn Ask>) -> Self {
        (self.servers, self.ask) = (servers, ask);
        self
    }

    /// A server in this process, to be told when its zone is complete and to be closed at the end.
    #[must_use]
    pub fn with_served(mut self, served: Option<Arc<dyn Served>>) -> Self {
        self.served = served;
        self
    }

    /// Writes Kubernetes events about services to the members that can be reached these ways.
    #[must_use]
    pub fn with_events(mut self, ways: Ways) -> Self {
        self.ways = Some(ways);
        self
    }

    /// Lets the source know there which clusters a person took out.
    #[must_use]
    pub fn with_dismissed(mut self, dismissed: Dismissed) -> Self {
        self.dismissed = dismissed;
        self
    }

    /// Which of several zones of that apex, by its id at the provider.
    #[must_use]
    pub fn with_zone_id(mut self, id: ZoneId) -> Self {
        self.zone.id = Some(id);
        self
    }

    /// Creates the zone where the provider does not have it.
    #[must_use]
    pub fn with_create_zone(mut self, create: bool) -> Self {
        self.zone.create = create;
        self
    }

    /// Looks load balancer names up there; else at the system's resolvers.
    #[must_use]
    pub fn with_resolver(mut self, resolver: Arc<dyn Resolve>) -> Self {
        self.resolver = Some(resolver);
        self
    }

    /// Takes the time from there; else from the machine.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Audits the zone at this pace.
    #[must_use]
    pub fn with_audit(mut self, pace: AuditPace) -> Self {
        self.audit = pace;
        self
    }

    /// Opens the admin address; there is none otherwise.
    #[must_use]
    pub fn with_admin(mut self, admin: config::Admin) -> Self {
        self.admin = Some(admin);
        self
    }

    /// Runs for the leadership, and writes only while it leads; without this it always does.
    #[must_use]
    pub fn with_candidate(mut self, candidate: Candidate) -> Self {
        self.candidate = Some(candidate);
        self
    }

    /// Makes all pauses the same from run to run, for tests.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Asks and steers the daemon while it runs.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs until `stop`; then finishes the write in flight, or leaves it after ten seconds.
    ///
    /// What fails later than the start is reported and tried again, never an end.
    ///
    /// # Errors
    /// When the source or the zone cannot be used at the start.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), DaemonError> {
        let resolver = match self.resolver {
            Some(resolver) => resolver,
            None => Arc::new(SystemResolver::new(None).map_err(DaemonError::Resolver)?),
        };
        let (stopping, stopped) = watch::channel(false);
        let stop_of = |mut stopped: watch::Receiver<bool>| async move { _ = stopped.wait_for(|stop| *stop).await };
        let (mut leader, campaign) = match self.candidate {
            None => (Leader::alone(), None),
            Some(candidate) => {
                let (leader, campaign) = candidate.start();
                (leader, Some(tokio::spawn(campaign.run(stop_of(stopped.clone())))))
            }
        };
        let admin = match &self.admin {
            None => None,
            Some(config) => {
                let refused = |source| DaemonError::Admin { address: config.listen, source };
                admin::bind(config).await.map_err(refused)?.map(|listener| {
                    let admin = Admin {
                        handle: self.handle.clone(),
                        health: self.health.clone(),
                        metrics: self.metrics.clone(),
                        served: self.served.clone(),
                        leader: leader.clone(),
                        token_file: config.token_file.clone(),
                    };
                    tokio::spawn(admin.serve(listener, stop_of(stopped.clone())))
                })
            }
        };
        let (events, told) = mpsc::channel(TOLD_BATCHES);
        let (stamped, received) = mpsc::channel(WAITING_BATCHES);
        let mut source = tokio::spawn(self.source.0.run(events, stopped));
        let stamping = tokio::spawn(stamp(told, stamped));
        // Ends with the engine, which alone tells it anything.
        let notices = self.ways.map(|ways| {
            let (notices, writing) = Notices::new(ways, self.metrics.clone());
            tokio::spawn(writing);
            notices
        });
        let parts = EngineParts {
            notices,
            dismissed: self.dismissed,
            settings: self.settings,
            served: self.served.clone(),
            leader: leader.clone(),
            resolver,
            clock: self.clock,
            audit: self.audit,
            seed: self.seed,
            servers: self.servers,
            ask: self.ask,
            health: self.health,
            metrics: self.metrics,
            requests: self.requests,
        };
        let (provider, choice, seed) = (self.provider, self.zone, self.seed);
        let mut ended = None;
        let failed_or_stopped = async {
            tokio::pin!(stop);
            tokio::select! {
                () = &mut stop => {}
                told = &mut source => {
                    ended = Some(match told {
                        Ok(told) => told,
                        Err(error) => match error.try_into_panic() {
                            Ok(panic) => std::panic::resume_unwind(panic),
                            Err(_) => Ok(()),
                        },
                    });
                    // A source that has told all it knows leaves the daemon with that.
                    if matches!(ended, Some(Ok(()))) {
                        stop.await;
                    }
                }
            }
        };
        let worked = {
            tokio::pin!(failed_or_stopped);
            let opened = tokio::select! {
                () = &mut failed_or_stopped => Ok(None),
                zone = open(&choice, &provider, &mut leader, seed) => zone.map(Some),
            };
            match opened {
                Ok(Some(zone)) => {
                    Box::pin(Engine::new(provider, zone, parts).run(received, failed_or_stopped)).await;
                    Ok(())
                }
                Ok(None) => Ok(()),
                Err(error) => Err(DaemonError::Zone(error)),
            }
        };
        stopping.send_replace(true);
        if let Some(campaign) = campaign {
            // Bounded by itself.
            _ = campaign.await;
        }
        if ended.is_none() && tokio::time::timeout(SOURCE_LIMIT, &mut source).await.is_err() {
            source.abort();
        }
        stamping.abort();
        if let Some(served) = self.served {
            served.shutdown().await;
        }
        if let Some(mut admin) = admin
            && tokio::time::timeout(ADMIN_LIMIT, &mut admin).await.is_err()
        {
            admin.abort();
        }
        worked?;
        ended.unwrap_or(Ok(())).map_err(DaemonError::Source)
    }
}

/// The zone, as soon as the host can be asked; only a leader creates it.
async fn open(
    choice: &ZoneChoice,
    provider: &Arc<dyn DnsProvider>,
    leader: &mut Leader,
    seed: u64,
) -> Result<Zone, Error> {
    let mut backoff = Backoff::new(seed);
    loop {
        let zone = match choice.find(provider).await {
            Ok(None) if leader.term().is_none() => {
                // Somebody else creates it, or this process is elected.
                _ = tokio::time::timeout(backoff.pause(RetryHint::Backoff), leader.changed()).await;
                continue;
            }
            Ok(None) => choice.open(provider).await,
            Ok(Some(zone)) => Ok(zone),
            Err(error) => Err(error),
        };
        match zone {
            Ok(zone) => return Ok(zone),
            Err(error) if error.retry() == RetryHint::Never => return Err(error),
            Err(error) => {
                tracing::warn!(error = error.chain(), "the zone cannot be opened yet");
                tokio::time::sleep(backoff.pause(error.retry())).await;
            }
        }
    }
}

/// Waits for SIGTERM or SIGINT.
///
/// # Errors
/// When the signals cannot be listened for.
pub async fn terminated() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
