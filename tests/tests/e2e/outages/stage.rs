//! A federation on real API servers, of which the first is watched through a wire and a gate, and what is told of it.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use dns_conformance::servers::{KubeUser, Wire};
use dns_syncd::explain::Explanation;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::gate::Gate;
use crate::members::Member;
use crate::real::Real;
use crate::truth::{FEDERATION, ZONE, name, truth};
use crate::world::World;

/// How long a cluster is only unknown here.
pub(super) const GRACE: Duration = Duration::from_secs(1);
/// The same where clusters come back together: far more than the last of them takes longer than the first.
pub(super) const LONG_GRACE: Duration = Duration::from_secs(5);
/// A safety net, far above the 35 s after which a server that hangs counts as lost.
const PATIENCE: Duration = Duration::from_mins(2);
const PAUSE: Duration = Duration::from_millis(50);

/// What the daemon logs of a cluster.
const UNKNOWN: &str = "the cluster is unknown";
const KNOWN: &str = "the cluster is known";

/// Writes the daemon's own file: where its kubeconfigs are, and more keys of `[Sync]`.
pub(super) fn configure(world: &World, source: &str, grace: Duration, sync: &str, admin: u16) {
    let (provider, config) = (world.provider_config().0, world.config());
    let (folder, grace) = (config.parent().unwrap().display(), grace.as_secs());
    let text = format!(
        "[Federation]\nname = {FEDERATION}\nzone-name = {ZONE}\n\
         [Provider]\nname = {provider}\nconfig = {folder}/provider.conf\n\
         [Source]\nkind = clusters\n{source}\n\
         [Sync]\nmin-interval = 0\nunreachable-grace = {grace}\n{sync}\n\
         [Guard]\nmax-delete = 100\nmax-update = 100\nmax-emptied = 100\n\
         [Admin]\nlisten = 127.0.0.1:{admin}\n"
    );
    std::fs::write(&config, text).unwrap();
}

/// A federation, a cluster in trouble, and a daemon that is asked about it.
pub(super) struct Stage {
    pub(super) real: Real,
    pub(super) gate: Gate,
    pub(super) wire: Wire,
    /// Token files, certificates and plugins of the first cluster's kubeconfig.
    pub(super) credentials: TempDir,
    members: Vec<Member>,
    port: u16,
}

impl Stage {
    /// One API server for each member; the first has its kubeconfig in a folder, as a mounted Secret. The daemon runs.
    pub(super) async fn start(members: &[Member]) -> Self {
        let real = Real::start(members).await;
        for cluster in &real.clusters {
            cluster.allow().await;
        }
        let gate = Gate::to(&real.clusters[0].api);
        let wire = Wire::to(&gate.url()).await;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let credentials = tempfile::tempdir().unwrap();
        let mut stage = Self { real, gate, wire, credentials, members: members.to_vec(), port };
        std::fs::remove_file(stage.real.kubeconfigs.path().join(stage.lost_name())).unwrap();
        std::fs::create_dir(stage.kubeconfig().parent().unwrap()).unwrap();
        stage.credit_by_token();
        stage.configure(GRACE);
        stage.real.world.expect(truth(members));
        stage.real.world.start();
        stage.real.world.settle("the federation comes up").await;
        for member in members {
            stage.shows_known(&member.name, 0, 1).await;
        }
        stage
    }

    fn configure(&self, grace: Duration) {
        let source = self.real.kubeconfigs.path().display();
        configure(&self.real.world, &format!("path = {source}"), grace, "leave-delay = 1h", self.port);
    }

    /// Stops the daemon and starts another one that waits for so long.
    pub(super) async fn restart_with(&mut self, grace: Duration) {
        self.configure(grace);
        self.restart().await;
        for member in self.members.clone() {
            self.shows_known(&member.name, 0, 1).await;
        }
    }

    /// Stops the daemon and starts another one.
    pub(super) async fn restart(&mut self) {
        self.real.world.stop().await;
        self.real.world.start();
    }

    //----------- The kubeconfig ------------------------------------------

    /// The cluster that gets into trouble.
    pub(super) fn lost_name(&self) -> String {
        self.members[0].name.clone()
    }

    /// Its kubeconfig.
    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.real.kubeconfigs.path().join(self.lost_name()).join("kubeconfig")
    }

    /// Puts a file there at once, as a volume of Kubernetes changes.
    pub(super) fn replace(path: &std::path::Path, text: &str) {
        let new = path.with_file_name(".new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, path).unwrap();
    }

    /// Its kubeconfig leads through the wire and the gate, with the plain token.
    pub(super) fn credit_by_token(&mut self) {
        let token = self.real.clusters[0].api.token(KubeUser::Plain);
        self.credit(&format!("token: {token}"));
    }

    /// The same with other credentials.
    pub(super) fn credit(&mut self, credentials: &str) {
        let api = &self.real.clusters[0].api;
        let direct = api.kubeconfig_with(credentials);
        let authority = self.credentials.path().join("authority.crt");
        Self::replace(&self.kubeconfig(), &Gate::kubeconfig(&direct, api, &self.wire.url(), &authority));
    }

    /// Its kubeconfig leads straight to the API server.
    pub(super) fn credit_direct(&mut self, credentials: &str) {
        Self::replace(&self.kubeconfig(), &self.real.clusters[0].api.kubeconfig_with(credentials));
    }

    //----------- What is told --------------------------------------------

    /// Where the log ends now.
    pub(super) fn mark(&self) -> usize {
        self.real.world.log().len()
    }

    /// Lines about a cluster's state since then, and those of any trouble beside.
    pub(super) fn lines(&self, cluster: &str, since: usize) -> Vec<String> {
        let log = self.real.world.log();
        let of_cluster = format!("cluster=\"{cluster}\"");
        let is_trouble = |line: &str| line.contains(" WARN ") || line.contains(" ERROR ");
        // What is told beside, once for each process: who leads, and that a cluster cannot be identified.
        let is_beside = |line: &str| ["dns_syncd::leader", "no right to get"].iter().any(|not| line.contains(not));
        let tells = |line: &&str| {
            if line.contains(": the cluster ") {
                line.contains(&of_cluster)
            } else {
                is_trouble(line) && !is_beside(line)
            }
        };
        log[since..].lines().filter(tells).map(str::to_owned).collect()
    }

    /// The body of an answer at the admin address.
    pub(super) async fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.ok()?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        head.contains(" 200 ").then(|| body.to_owned())
    }

    /// A cluster's part of an answer in JSON: an array of clusters, or an object that has one.
    async fn told(&self, path: &str, cluster: &str) -> Option<Value> {
        let answer: Value = serde_json::from_str(&self.get(path).await?).unwrap();
        let all = answer.get("clusters").unwrap_or(&answer).as_array().unwrap().clone();
        all.into_iter().find(|one| one["name"] == cluster)
    }

    /// What is told of a cluster in the metrics, in `clusters` and in `explain`.
    async fn state(&self, cluster: &str) -> (Option<bool>, Option<Value>, Option<Value>) {
        let metrics = self.get("/metrics").await.unwrap_or_default();
        let ready = format!("dns_syncd_cluster_ready{{cluster=\"{cluster}\"}} ");
        let ready = metrics.lines().find_map(|line| line.strip_prefix(&ready)).map(|value| value.trim() == "1");
        let explained = format!("/explain?name={}", name("web", ""));
        (ready, self.told("/clusters", cluster).await, self.told(&explained, cluster).await)
    }

    /// Waits until a cluster is unknown for this reason everywhere: in the metrics, in `clusters`, in `explain`, and in
    /// exactly one line of the log since `since`.
    pub(super) async fn shows_unknown(&mut self, cluster: &str, words: &[&str], since: usize) {
        self.shows_unknown_beside(cluster, words, &[], since).await;
    }

    /// The same where the log has one more line for each of these, about the source.
    pub(super) async fn shows_unknown_beside(&mut self, cluster: &str, words: &[&str], beside: &[&str], since: usize) {
        let is_so = |one: &Option<Value>| {
            one.as_ref().is_some_and(|one| {
                let reason = one["reason"].as_str().unwrap_or_default();
                one["status"] == "Unknown" && one["since"].is_string() && words.iter().all(|word| reason.contains(word))
            })
        };
        let begun = Instant::now();
        loop {
            let (ready, listed, explained) = self.state(cluster).await;
            let mut lines = self.lines(cluster, since);
            let all = lines.len();
            lines.retain(|line| !beside.iter().any(|words| line.contains(words)));
            let told = lines.len() == 1 && lines[0].contains(UNKNOWN) && all == 1 + beside.len();
            if ready == Some(false) && is_so(&listed) && is_so(&explained) && told {
                assert!(words.iter().all(|word| lines[0].replace('\\', "").contains(word)), "{words:?}: {lines:?}");
                return;
            }
            assert!(
                lines.len() < 2 && all <= 1 + beside.len() && begun.elapsed() < PATIENCE,
                "`{cluster}` should be told once to be unknown ({words:?}), but is\nmetric: {ready:?}\nclusters: \
                 {listed:?}\nexplain: {explained:?}\nlog: {lines:#?}\n{}",
                self.real.world.log()
            );
            self.pause().await;
        }
    }

    /// Waits until a cluster is known everywhere, and the log says so in one line, the last one of `lines` since.
    pub(super) async fn shows_known(&mut self, cluster: &str, since: usize, count: usize) {
        let begun = Instant::now();
        loop {
            let (ready, listed, explained) = self.state(cluster).await;
            let lines = self.lines(cluster, since);
            let is_so = |one: &Option<Value>| one.as_ref().is_some_and(|one| one["status"] == "Ready");
            let told = lines.len() == count && lines.last().is_some_and(|line| line.contains(KNOWN));
            if ready == Some(true) && is_so(&listed) && is_so(&explained) && told {
                return;
            }
            assert!(
                lines.len() <= count && begun.elapsed() < PATIENCE,
                "`{cluster}` should be known, but is\nmetric: {ready:?}\nclusters: {listed:?}\nexplain: \
                 {explained:?}\nlog: {lines:#?}\n{}",
                self.real.world.log()
            );
            self.pause().await;
        }
    }

    /// Waits until others may stand in for a cluster.
    pub(super) async fn shows_expired(&mut self, cluster: &str) {
        let begun = Instant::now();
        while self.told("/clusters", cluster).await.is_none_or(|one| one["expired"] != true) {
            assert!(begun.elapsed() < PATIENCE, "the grace of `{cluster}` does not end:\n{}", self.real.world.log());
            self.pause().await;
        }
    }

    /// By the daemon's own account, nothing was written because of the loss before the grace was over.
    pub(super) async fn kept_the_grace(&self, cluster: &str) {
        let explained = self.get(&format!("/explain?name={}", name("web", ""))).await.unwrap();
        let explained: Explanation = serde_json::from_str(&explained).unwrap();
        let lost = explained.clusters.iter().find(|view| view.cluster.name == cluster).unwrap().cluster.since;
        let writes = explained.history.unwrap().into_iter().map(|past| past.at.0.0 - lost.0.0);
        let first = writes.filter(|after| *after >= 0).min().expect("the failover is in the history");
        assert!(u128::try_from(first).unwrap() >= GRACE.as_millis(), "`{cluster}` was given up after {first} ms");
    }

    /// Looks whether clients are content and the daemon runs.
    pub(super) async fn pause(&mut self) {
        self.real.world.until("clients are content", &[], |_, _| true).await;
        tokio::time::sleep(PAUSE).await;
    }

    //----------- The truth -----------------------------------------------

    /// The members, of which the first has these services withdrawn.
    pub(super) fn members_without(&self, services: &[&str]) -> Vec<Member> {
        let mut members = self.members.clone();
        members[0] = services.iter().fold(members[0].clone(), |member, service| member.ready(service, false));
        members
    }
}
