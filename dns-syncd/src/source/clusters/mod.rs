//! The API servers of the member clusters, watched.
//!
//! Members come from kubeconfig files (merged as kubectl does), from a folder of kubeconfigs (files, or mounted Secrets
//! `NAME/kubeconfig`), or are the one cluster in which this process runs as a pod. Files are looked at every few
//! seconds, so members come and go, and credentials rotate, without a restart.
//!
//! - With `[Cluster]` sections the kubeconfig files give exactly those members: the context `context`, else that of the
//!   section's name. One that does not exist is an error at the start. Without any section every context is a member
//!   of its own name; two contexts of one cluster are an error then.
//!   A section that comes while the daemon runs adds a member, one that goes takes its member along.
//! - In a folder every kubeconfig is a member, called as its file without extension or as its folder, through its
//!   `current-context` or its only one; `[Cluster] context` picks another. A file counts that has the extension `yaml`,
//!   `yml`, `json`, `conf` or `kubeconfig` or none; a folder that has or had a file `kubeconfig`, or is empty as that of
//!   an absent Secret. Names that begin with a dot or end with `~`, and `lost+found`, are no members.
//! - A member that is not in its files any more has disappeared. One whose file or folder cannot be read, or whose
//!   folder is empty, is unknown: that may be an unmounted volume. While nothing has a member yet for that reason there
//!   is a problem, and nothing else is told. A change that cannot be meant, such as a second context of one cluster,
//!   is a problem, and the members before it stay.
//!
//! The walk of a change: `follow` hears it from the API server, `objects` cuts it down, `view` keeps it in its `store`
//! and says what is new, `cluster` tells it. `roster` says which clusters there are, `connect` how they are reached, and
//! `plugin` gets credentials that a program gives.
//!
//! Rights in a member: list and watch on `services`, `nodes` and `endpointslices.discovery.k8s.io`; get on
//! `namespaces` (`kube-system` alone), without which a cluster that takes another's place is not noticed; list and watch
//! on `serviceexports.multicluster.x-k8s.io` for `select = exported`.

mod api;
pub(super) mod cluster;
mod connect;
pub(super) mod follow;
pub(super) mod identity;
mod loss;
pub(super) mod objects;
mod plugin;
pub(super) mod progress;
pub(super) mod roster;
mod store;
mod view;
mod ways;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dns_sync_core::{ClusterName, Problem, SourceEvent};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use self::cluster::{Teller, Way};
pub(crate) use self::connect::Member;
use self::identity::Identity;
pub(crate) use self::loss::{chain, plain};
pub(crate) use self::plugin::fill as fill_from_plugin;
use self::roster::{Members, NoMembers, Roster};
pub(crate) use self::roster::{parse as read_kubeconfig, unreadable};
use self::view::View;
pub(crate) use self::ways::Client;
pub use self::ways::Ways;
use super::{Dismissed, EndpointSource, Select, SourceError, Stop};

/// The `[Cluster]` sections, each with its `context`.
pub type Contexts = BTreeMap<ClusterName, Option<String>>;

/// Where members come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClustersConfig {
    /// Kubeconfig files in the order of merging: the first that says something wins.
    pub kubeconfig: Vec<PathBuf>,
    /// A folder of kubeconfigs.
    pub folder: Option<PathBuf>,
    /// This process runs as a pod; it counts where there are neither files nor a folder.
    pub in_cluster: bool,
    /// Address of the one member's API server, instead of its kubeconfig's.
    pub master: Option<String>,
    /// The `[Cluster]` sections.
    pub contexts: Contexts,
    /// Which services count.
    pub select: Select,
    /// How long a full list that finds nothing of what was there is doubted.
    pub leave_delay: Duration,
}

impl ClustersConfig {
    /// Where members come from, for people.
    fn origin(&self) -> String {
        let files = self.kubeconfig.iter().chain(&self.folder);
        let files: Vec<_> = files.map(|path| path.display().to_string()).collect();
        if files.is_empty() { "clusters".to_owned() } else { files.join(":") }
    }

    /// Looks where kubectl would when neither files nor a folder are given: `KUBECONFIG`, the pod, `~/.kube/config`.
    ///
    /// `env` gives the value of a variable. A file that is in fact a folder is taken as the folder.
    #[must_use]
    pub fn found(mut self, env: &dyn Fn(&str) -> Option<String>) -> Self {
        let given = |name: &str| env(name).filter(|value| !value.is_empty());
        let is_open = self.kubeconfig.is_empty() && self.folder.is_none();
        if let (true, Some(files)) = (is_open, given("KUBECONFIG")) {
            let files = std::env::split_paths(&files).filter(|path| !path.as_os_str().is_empty());
            self.kubeconfig = files.collect();
        } else if is_open && given("KUBERNETES_SERVICE_HOST").is_some() {
            self.in_cluster = true;
        } else if let (true, None, Some(home)) = (is_open, &self.master, given("HOME")) {
            self.kubeconfig = vec![PathBuf::from(home).join(".kube/config")];
        }
        if self.folder.is_none()
            && let Some(at) = self.kubeconfig.iter().position(|path| path.is_dir())
        {
            self.folder = Some(self.kubeconfig.remove(at));
        }
        self
    }
}

/// How long things may take, and how often they are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Between two looks at kubeconfig files. 2 s.
    pub look: Duration,
    /// For one answer of an API server, and for a credential plugin. 15 s.
    pub limit: Duration,
    /// For all lists of a cluster in a command that makes one pass. 60 s.
    pub reading: Duration,
    /// How long a watch lasts before the server closes it, and with `limit` before one that hangs counts as closed.
    /// 2 minutes, give or take a fifth.
    pub watch: Duration,
    /// A server that has told nothing for that long is asked whether it is there. 20 s.
    pub heartbeat: Duration,
    /// A watch that ends sooner, without a word, is no watch. 2 s.
    pub short: Duration,
    /// The first pause after a loss; each further one is twice as long, give or take a fifth. 500 ms.
    pub first_pause: Duration,
    /// The longest pause. 30 s.
    pub last_pause: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            look: Duration::from_secs(2),
            limit: Duration::from_secs(15),
            reading: Duration::from_mins(1),
            watch: Duration::from_mins(2),
            heartbeat: Duration::from_secs(20),
            short: Duration::from_secs(2),
            first_pause: Duration::from_millis(500),
            last_pause: Duration::from_secs(30),
        }
    }
}

/// Give or take a fifth, so that many clusters do not act at once.
fn jittered(duration: Duration) -> Duration {
    duration.mul_f64(0.8 + 0.4 * rand::random::<f64>())
}

/// The API servers of the member clusters.
#[derive(Debug)]
pub struct ClusterSource {
    config: ClustersConfig,
    pace: Pace,
    contexts: Option<watch::Receiver<Contexts>>,
    ways: Ways,
    dismissed: Dismissed,
}

impl ClusterSource {
    /// The clusters that the config names. Nothing is read yet.
    pub fn new(config: ClustersConfig) -> Self {
        let (ways, dismissed) = (Ways::default(), Dismissed::default());
        Self { config, pace: Pace::default(), contexts: None, ways, dismissed }
    }

    /// The same with `[Cluster]` sections that may change while it runs.
    #[must_use]
    pub fn with_contexts(mut self, contexts: watch::Receiver<Contexts>) -> Self {
        self.config.contexts.clone_from(&contexts.borrow());
        self.contexts = Some(contexts);
        self
    }

    /// The same, telling there how its members are reached.
    #[must_use]
    pub fn with_ways(mut self, ways: Ways) -> Self {
        self.ways = ways;
        self
    }

    /// The same, telling anew of a cluster that a person took out when another kubeconfig comes under its name.
    #[must_use]
    pub fn with_dismissed(mut self, dismissed: Dismissed) -> Self {
        self.dismissed = dismissed;
        self
    }

    /// The same at another pace.
    #[must_use]
    pub fn with_pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    fn refused(&self, none: &NoMembers) -> SourceError {
        SourceError { origin: self.config.origin(), reason: none.reason().to_owned() }
    }
}

/// A member that is told of.
struct Running {
    way: watch::Sender<Way>,
    /// The last way that led anywhere.
    known: Option<Arc<Member>>,
    task: JoinHandle<()>,
}

#[async_trait]
impl EndpointSource for ClusterSource {
    async fn read_once(&mut self) -> Result<Vec<SourceEvent>, SourceError> {
        let (_, members) = load(Roster::new(self.config.clone())).await;
        let (select, pace) = (self.config.select, self.pace);
        let members = members.map_err(|none| self.refused(&none))?;
        let reading = members.into_iter().map(|(cluster, way)| async move {
            let read = cluster::read_once(way, select, pace).await;
            (cluster, read)
        });
        let mut events = Vec::new();
        for (cluster, read) in futures::future::join_all(reading).await {
            events.push(SourceEvent::Joined { cluster: cluster.clone() });
            match read {
                Ok(answer) => events.push(SourceEvent::Answer { cluster, answer }),
                Err(reason) => {
                    let reason = std::sync::Arc::<str>::from(reason);
                    events.push(SourceEvent::Unknown { cluster: cluster.clone(), since: None, reason: reason.clone() });
                    let problem = Problem { cluster: Some(cluster.clone()), service: None, reason };
                    events.push(SourceEvent::Problems { origin: cluster, problems: vec![problem] });
                }
            }
        }
        Ok(events)
    }

    async fn run(self: Box<Self>, events: mpsc::Sender<Vec<SourceEvent>>, mut stop: Stop) -> Result<(), SourceError> {
        let (mut roster, mut members) = load(Roster::new(self.config.clone())).await;
        if let Err(none @ NoMembers::Wrong(_)) = &members {
            return Err(self.refused(none));
        }
        let (running, before) = (BTreeMap::new(), Members::new());
        let mut telling = Telling { source: *self, events, running, before, problem: None };
        loop {
            if telling.follow(members).await.is_err() {
                return Ok(());
            }
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
                () = telling.events.closed() => return Ok(()),
                () = tokio::time::sleep(telling.source.pace.look) => {}
            }
            if let Some(contexts) = &telling.source.contexts {
                roster.pick(&contexts.borrow());
            }
            (roster, members) = load(roster).await;
        }
    }
}

/// The members that are told of right now.
struct Telling {
    source: ClusterSource,
    events: mpsc::Sender<Vec<SourceEvent>>,
    running: BTreeMap<ClusterName, Running>,
    /// The members as they were read last.
    before: Members,
    /// What is wrong with the source as a whole.
    problem: Option<String>,
}

impl Telling {
    /// Begins, changes and ends what is told to fit the members. Fails when nobody listens.
    async fn follow(&mut self, members: Result<Members, NoMembers>) -> Result<(), ()> {
        let problem = members.as_ref().err().map(|none| none.reason().to_owned());
        // What cannot be read leads nowhere; so does the empty folder that the last one leaves.
        let found = members.iter().flatten().filter(|(_, way)| way.is_ok());
        self.source.dismissed.set_found(found.map(|(cluster, _)| cluster.clone()));
        let mut batch = Vec::new();
        if problem != self.problem {
            let of_all =
                problem.iter().map(|reason| Problem { cluster: None, service: None, reason: reason.as_str().into() });
            let origin = self.source.config.origin().into();
            batch.push(SourceEvent::Problems { origin, problems: of_all.collect() });
            self.problem.clone_from(&problem);
        }
        let members = match members {
            Ok(members) => {
                self.before.clone_from(&members);
                members
            }
            // Nothing is concluded, neither who left nor who came.
            Err(NoMembers::Unread(reason)) => {
                self.running.keys().map(|name| (name.clone(), Err(reason.clone()))).collect()
            }
            Err(NoMembers::Wrong(_)) => self.before.clone(),
        };
        self.source.ways.set(&members);
        let gone: Vec<_> = self.running.keys().filter(|name| !members.contains_key(*name)).cloned().collect();
        for cluster in gone {
            if let Some(running) = self.running.remove(&cluster) {
                running.end().await;
                batch.push(SourceEvent::Disappeared { cluster });
            }
        }
        let mut begun = Vec::new();
        for (cluster, way) in members {
            // Who was taken out by a person is back by another kubeconfig under its name, and tells everything anew.
            let is_other = |running: &Running| way.as_ref().is_ok_and(|member| running.known.as_ref() != Some(member));
            if self.source.dismissed.contains(&cluster)
                && self.running.get(&cluster).is_some_and(is_other)
                && let Some(running) = self.running.remove(&cluster)
            {
                running.end().await;
            }
            if let Some(running) = self.running.get_mut(&cluster) {
                running.known = way.as_ref().ok().cloned().or(running.known.take());
                running.way.send_if_modified(|now| {
                    let differs = *now != way;
                    if differs {
                        *now = way;
                    }
                    differs
                });
            } else {
                batch.push(SourceEvent::Joined { cluster: cluster.clone() });
                begun.push((cluster, way));
            }
        }
        if !batch.is_empty() {
            self.events.send(batch).await.map_err(drop)?;
        }
        for (name, way) in begun {
            let known = way.as_ref().ok().cloned();
            let (way, receiver) = watch::channel(way);
            let ClustersConfig { select, leave_delay, .. } = self.source.config;
            let teller = Teller {
                picture: View::new(name.clone(), select, leave_delay),
                identity: Identity::default(),
                select,
                pace: self.source.pace,
                way: receiver,
                events: self.events.clone(),
            };
            self.running.insert(name, Running { way, known, task: tokio::spawn(teller.run()) });
        }
        // A teller ends by itself only when nobody listens, or by a fault of its own.
        let ended: Vec<_> = self.running.iter().filter(|(_, running)| running.task.is_finished()).collect();
        let ended: Vec<_> = ended.into_iter().map(|(name, _)| name.clone()).collect();
        for name in ended {
            if let Some(running) = self.running.remove(&name) {
                running.end().await;
            }
        }
        Ok(())
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        for running in self.running.values() {
            running.task.abort();
        }
    }
}

impl Running {
    /// Stops telling; nothing is told of the cluster afterwards.
    async fn end(self) {
        self.task.abort();
        if let Err(error) = self.task.await
            && let Ok(panic) = error.try_into_panic()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

/// Reads the roster beside the runtime.
async fn load(mut roster: Roster) -> (Roster, Result<Members, NoMembers>) {
    let task = tokio::task::spawn_blocking(move || {
        let members = roster.load();
        (roster, members)
    });
    match task.await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
