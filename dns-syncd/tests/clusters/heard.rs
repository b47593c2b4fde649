//! Runs the source and keeps what it tells.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use dns_sync_core::{ClusterAnswer, Endpoint, Problem, SourceEvent};
use dns_syncd::source::clusters::{ClusterSource, ClustersConfig, Pace};
use dns_syncd::source::{EndpointSource, SourceError};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// A safety net: what has not come by then never will.
const PATIENCE: Duration = Duration::from_mins(1);

/// How a cluster stands by what was told last.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Stands {
    Joined,
    Known,
    Unknown(String),
    Gone,
}

/// A cluster by all that was told of it.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) stands: Stands,
    pub(crate) says: ClusterAnswer,
}

pub(crate) struct Heard {
    pub(crate) members: BTreeMap<String, Member>,
    /// Every event in order, as it stood after it.
    pub(crate) history: Vec<(String, Stands)>,
    pub(crate) batches: usize,
    /// What could not be used, by origin.
    pub(crate) problems: BTreeMap<String, Vec<Problem>>,
    events: mpsc::Receiver<Vec<SourceEvent>>,
    _stop: watch::Sender<bool>,
    task: JoinHandle<Result<(), SourceError>>,
}

/// A pace at which nothing takes long. Its limits are far above what loopback needs.
pub(crate) fn pace() -> Pace {
    Pace {
        look: Duration::from_millis(20),
        limit: Duration::from_secs(5),
        reading: Duration::from_secs(20),
        watch: Duration::from_mins(2),
        heartbeat: Duration::from_millis(200),
        short: Duration::from_millis(1),
        first_pause: Duration::from_millis(10),
        last_pause: Duration::from_millis(50),
    }
}

/// The members in a folder, to be doubted for an hour.
pub(crate) fn folder(path: &Path) -> ClustersConfig {
    let folder = Some(path.to_owned());
    ClustersConfig { folder, leave_delay: Duration::from_hours(1), ..ClustersConfig::default() }
}

impl Heard {
    pub(crate) fn of(config: ClustersConfig) -> Self {
        Self::at(config, pace())
    }

    pub(crate) fn at(config: ClustersConfig, pace: Pace) -> Self {
        Self::with(ClusterSource::new(config).with_pace(pace))
    }

    pub(crate) fn with(source: impl EndpointSource + 'static) -> Self {
        let (events, received) = mpsc::channel(16);
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(Box::new(source).run(events, stopped));
        Self {
            members: BTreeMap::new(),
            history: Vec::new(),
            batches: 0,
            problems: BTreeMap::new(),
            events: received,
            _stop: stop,
            task,
        }
    }

    /// Listens until that holds.
    pub(crate) async fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        while !holds(self) {
            let batch = match tokio::time::timeout(PATIENCE, self.events.recv()).await {
                Ok(Some(batch)) => batch,
                Ok(None) => panic!("{what}: the source ended: {:?}", (&mut self.task).await),
                Err(elapsed) => panic!("{what}: never ({elapsed}); told so far: {:#?}", self.members),
            };
            self.batches += 1;
            for event in batch {
                self.take(event);
            }
        }
    }

    /// Listens until a cluster is known, and says what it says.
    pub(crate) async fn known(&mut self, cluster: &str) -> ClusterAnswer {
        self.until(&format!("`{cluster}` is known"), |heard| heard.stands(cluster) == Some(&Stands::Known)).await;
        self.members[cluster].says.clone()
    }

    /// Listens until a cluster is unknown for a reason with these words.
    pub(crate) async fn unknown(&mut self, cluster: &str, words: &str) {
        let is_it = |heard: &Self| match heard.stands(cluster) {
            Some(Stands::Unknown(reason)) => reason.contains(words),
            _ => false,
        };
        self.until(&format!("`{cluster}` is unknown: {words}"), is_it).await;
    }

    pub(crate) fn stands(&self, cluster: &str) -> Option<&Stands> {
        self.members.get(cluster).map(|member| &member.stands)
    }

    /// The services of a cluster: name, addresses, health.
    pub(crate) fn services(&self, cluster: &str) -> BTreeSet<(String, String, bool)> {
        let services = self.members.get(cluster).map(|member| member.says.services.iter());
        let services = services.into_iter().flatten().map(|(id, copy)| {
            let addresses: Vec<_> = copy.ingress.iter().map(address).collect();
            (id.name.to_string(), addresses.join(","), copy.ready)
        });
        services.collect()
    }

    /// What is wrong with these words in it?
    pub(crate) fn problem(&self, words: &str) -> Option<&Problem> {
        self.problems.values().flatten().find(|problem| problem.reason.contains(words))
    }

    /// Was it ever unknown?
    pub(crate) fn was_unknown(&self, cluster: &str) -> bool {
        self.history.iter().any(|(name, stands)| name == cluster && matches!(stands, Stands::Unknown(_)))
    }

    fn take(&mut self, event: SourceEvent) {
        let (cluster, stands) = match event {
            SourceEvent::Joined { cluster } => {
                let member = Member { stands: Stands::Joined, says: ClusterAnswer::default() };
                let before = self.members.insert(cluster.to_string(), member);
                assert!(before.is_none_or(|before| before.stands == Stands::Gone), "`{cluster}` joined twice");
                (cluster, Stands::Joined)
            }
            SourceEvent::Answer { cluster, answer } => {
                self.members.get_mut(&*cluster).unwrap().says = answer;
                (cluster, Stands::Known)
            }
            SourceEvent::Service { cluster, service, copy } => {
                let member = self.members.get_mut(&*cluster).unwrap();
                assert_eq!(member.stands, Stands::Known, "changes are told of known clusters alone");
                match copy {
                    Some(copy) => member.says.services.insert(service, copy),
                    None => member.says.services.remove(&service),
                };
                (cluster, Stands::Known)
            }
            SourceEvent::Places { cluster, places } => {
                let member = self.members.get_mut(&*cluster).unwrap();
                assert_eq!(member.stands, Stands::Known, "changes are told of known clusters alone");
                member.says.places = Some(places);
                (cluster, Stands::Known)
            }
            SourceEvent::Unknown { cluster, reason, .. } => (cluster, Stands::Unknown(reason.to_string())),
            SourceEvent::Disappeared { cluster } => (cluster, Stands::Gone),
            SourceEvent::Problems { origin, problems } => {
                self.problems.insert(origin.to_string(), problems);
                return;
            }
            SourceEvent::Unjoined { cluster } => panic!("nobody took `{cluster}` out"),
        };
        self.members.get_mut(&*cluster).unwrap().stands = stands.clone();
        self.history.push((cluster.to_string(), stands));
    }
}

pub(crate) fn address(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Ip(ip) => ip.to_string(),
        Endpoint::Host(text) | Endpoint::Bad(text) => text.to_string(),
    }
}
