//! A folder with the daemon's files, the daemon, the server that answers, and the client that always asks.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use dns_conformance::servers::{Answer, query, try_query};
use hickory_proto::op::ResponseCode;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::asker::{Asker, Leave};
use crate::members::Folder;
use crate::program::{self, Daemon, Ended};
use crate::truth::{Existence, FEDERATION, Question, Truth, Want, ZONE};

/// How long a disappeared or unreachable cluster is only unknown here.
pub(crate) const GRACE: Duration = Duration::from_secs(2);
/// A safety net: what has not come true by then never will.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
/// Between two looks at what is not true yet.
pub(crate) const PAUSE: Duration = Duration::from_millis(20);

/// A federation and everything around it.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) clusters: Folder,
    pub(crate) server: SocketAddr,
    provider: &'static str,
    daemon: Option<Daemon>,
    asker: Asker,
    truth: Truth,
    next: Truth,
    /// A change may leave names empty while it is under way.
    gaps: bool,
    admin: SocketAddr,
    folder: TempDir,
}

impl World {
    /// Files for a daemon with this provider, whose records `server` answers. Nothing runs yet.
    pub(crate) fn new(provider: &'static str, provider_config: &str, server: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clusters = Folder::new(folder.path().join("clusters"));
        std::fs::write(folder.path().join("provider.conf"), format!("[Global]\n{provider_config}\n")).unwrap();
        let (truth, next) = (Truth::new(), Truth::new());
        let world = Self {
            clusters,
            server,
            provider,
            daemon: None,
            asker: Asker::start(server),
            truth,
            next,
            gaps: false,
            admin: (Ipv4Addr::LOCALHOST, 0).into(),
            folder,
        };
        world.configure(&format!("unreachable-grace = {}", GRACE.as_secs()));
        world
    }

    /// Keys in an etcd below `/skydns`.
    pub(crate) fn on_etcd(etcd_url: &str, server: SocketAddr) -> Self {
        Self::new("coredns", &format!("etcd-endpoints = {etcd_url}\nzones = {ZONE}"), server)
    }

    /// The daemon's own DNS server, with its zones in a folder.
    pub(crate) fn embedded() -> Self {
        let server = free_address();
        let mut world = Self::new("embedded", "", server);
        let data = world.data_dir();
        std::fs::create_dir(&data).unwrap();
        let config = format!("[Global]\nzones = {ZONE}\nlisten = {server}\ndata-dir = {}\n", data.display());
        std::fs::write(world.folder.path().join("provider.conf"), config).unwrap();
        world.allow_silence(); // until the daemon listens
        world
    }

    /// Rewrites the daemon's own file with more keys of `[Sync]`. A running daemon takes them over.
    pub(crate) fn configure(&self, sync: &str) {
        let provider = self.provider;
        let (folder, admin) = (self.folder.path().display(), self.admin);
        let text = format!(
            "[Federation]\nname = {FEDERATION}\nzone-name = {ZONE}\n\
             [Provider]\nname = {provider}\nconfig = {folder}/provider.conf\n\
             [Source]\npath = {folder}/clusters\n\
             [Sync]\nmin-interval = 0\n{sync}\n\
             [Guard]\nmax-delete = 100\nmax-update = 100\nmax-emptied = 100\n\
             [Admin]\nlisten = {admin}\n"
        );
        std::fs::write(self.config(), text).unwrap();
    }

    /// The provider, and the lines of its file below `[Global]`.
    pub(crate) fn provider_config(&self) -> (&'static str, String) {
        let text = std::fs::read_to_string(self.folder.path().join("provider.conf")).unwrap();
        (self.provider, text.trim_start_matches("[Global]\n").to_owned())
    }

    /// The daemon's own file.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("dns-syncd.conf")
    }

    /// Where the daemon's own server keeps its zones.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A copy of the daemon's own file as it is now, for a replica.
    pub(crate) fn copy_of_config(&self, name: &str) -> PathBuf {
        let copy = self.folder.path().join(format!("{name}.conf"));
        std::fs::copy(self.config(), &copy).unwrap();
        copy
    }

    /// Starts `dns-syncd run`.
    pub(crate) fn start(&mut self) {
        assert!(self.daemon.is_none(), "it runs already");
        self.daemon = Some(Daemon::start(&self.config(), self.folder.path().join("log")));
    }

    /// Starts it by this command.
    pub(crate) fn start_as(&mut self, command: Command) {
        assert!(self.daemon.is_none(), "it runs already");
        self.daemon = Some(Daemon::of(command, self.folder.path().join("log")));
    }

    /// The daemon's process.
    pub(crate) fn process(&self) -> u32 {
        self.daemon.as_ref().unwrap().id()
    }

    /// Kills the daemon.
    pub(crate) fn kill(&mut self) {
        self.daemon.take().unwrap().kill();
    }

    /// Stops the daemon.
    pub(crate) async fn stop(&mut self) {
        self.daemon.take().unwrap().stop().await;
    }

    /// Kills the daemon unless it has ended by itself.
    pub(crate) fn forget_daemon(&mut self) {
        self.daemon = None;
    }

    /// Runs another command with the same files.
    pub(crate) async fn call(&self, arguments: &[&str]) -> Ended {
        program::call(&self.config(), arguments).await
    }

    /// Gives the daemon an admin address that this test knows, from the next [`World::configure`] on.
    pub(crate) fn open_admin(&mut self) {
        self.admin = free_address();
    }

    /// What the daemon says of itself; `None` where it does not answer.
    pub(crate) async fn status(&self) -> Option<Value> {
        let mut stream = TcpStream::connect(self.admin).await.ok()?;
        stream.write_all(b"GET /status HTTP/1.0\r\nHost: localhost\r\n\r\n").await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        serde_json::from_str(body).ok()
    }

    /// What the daemon has logged.
    pub(crate) fn log(&self) -> String {
        self.daemon.as_ref().map(Daemon::log).unwrap_or_default()
    }

    /// The host cannot change the type of a name at once: from now on clients may see a name empty while its answers
    /// change.
    pub(crate) fn allow_gaps(&mut self) {
        self.gaps = true;
    }

    /// Says what will be true after the change that the test is about to make. Clients may see both from now on.
    pub(crate) fn expect(&mut self, next: Truth) {
        let changes = |question: &&Question| self.truth.get(question) != next.get(question);
        let names = self.truth.keys().chain(next.keys()).filter(changes).map(|(name, _)| name.clone());
        let leave = if self.gaps { Leave::Gaps(names.collect()) } else { Leave::None };
        self.asker.allow(&self.truth, &next, leave);
        self.next = next;
    }

    /// As [`World::expect`] in the middle of a change, of which so much was seen that it must not go again.
    pub(crate) fn expect_from(&mut self, seen: Truth, next: Truth) {
        self.truth = seen;
        self.expect(next);
    }

    /// A server may be away: clients may get no answer, but still no empty or wrong one.
    pub(crate) fn allow_silence(&mut self) {
        if self.gaps {
            return; // more is allowed already
        }
        self.asker.allow(&self.truth, &self.next, Leave::Silence);
    }

    /// More clients ask at the same time.
    pub(crate) fn crowd(&mut self, clients: usize) {
        self.asker.grow(clients);
    }

    /// Somebody is about to change records by hand: clients may see these addresses too, or none.
    pub(crate) fn allow_meddling(&mut self, addresses: &[&str]) {
        let addresses = addresses.iter().map(ToString::to_string).collect();
        self.asker.allow(&self.truth, &self.next, Leave::Meddling(addresses));
    }

    /// What is answered now is the truth from which the next change begins.
    pub(crate) fn found(&mut self, truth: Truth) {
        self.truth = truth;
        self.next.clone_from(&self.truth);
        self.asker.allow(&self.truth, &self.next, Leave::None);
    }

    /// What these questions are answered now.
    pub(crate) async fn ask<'a>(&self, questions: impl IntoIterator<Item = &'a Question>) -> Truth {
        let mut truth = Truth::new();
        for question in questions {
            let answer = query(self.server, &question.0, question.1).await;
            let name = match answer.rcode {
                ResponseCode::NoError => Existence::Exists,
                code => {
                    assert_eq!(code, ResponseCode::NXDomain, "{question:?}");
                    Existence::Absent
                }
            };
            truth.insert(question.clone(), Want { addresses: answer.addresses().into_iter().collect(), name });
        }
        truth
    }

    /// Asks until all that was expected is answered in one round, and from now on lets clients see nothing else; gives
    /// how long it took.
    pub(crate) async fn settle(&mut self, what: &str) -> Duration {
        let next = self.next.clone();
        let gone = self.truth.keys().filter(|question| !next.contains_key(question));
        let questions: Vec<_> = next.keys().chain(gone).cloned().collect();
        let absent = Want::absent();
        let took =
            self.until(what, &questions, |question, answer| next.get(question).unwrap_or(&absent).is_met(answer));
        let took = took.await;
        self.found(next);
        took
    }

    /// Asks until every answer is as it should be in one round; gives how long it took.
    pub(crate) async fn until(
        &mut self,
        what: &str,
        questions: &[Question],
        is_right: impl Fn(&Question, &Answer) -> bool,
    ) -> Duration {
        let begun = Instant::now();
        let mut pending = questions.to_vec();
        loop {
            let mut wrong = Vec::new();
            let mut answers = Vec::new();
            for question in &pending {
                match try_query(self.server, &question.0, question.1).await {
                    Ok(answer) if is_right(question, &answer) => continue,
                    Ok(answer) => answers.push(format!("{question:?}: {} {:?}", answer.rcode, answer.addresses())),
                    Err(error) => answers.push(error),
                }
                wrong.push(question.clone());
            }
            self.asker.assert_content();
            if let Some(daemon) = &mut self.daemon {
                daemon.assert_runs();
            }
            if wrong.is_empty() && pending.len() == questions.len() {
                return begun.elapsed();
            }
            let (late, log) = (begun.elapsed() >= PATIENCE, self.log());
            assert!(
                !late,
                "{what}: still answered:\n{}\nbut expected:\n{:?}\nlog:\n{log}",
                answers.join("\n"),
                self.next
            );
            // Those that were wrong, and when they are right all once more.
            pending = if wrong.is_empty() { questions.to_vec() } else { wrong };
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The end of every test: the client has asked, was always content, and is so for one more round.
    pub(crate) async fn finish(mut self) {
        // Where nothing stands any more there is nothing to ask.
        let round = if self.truth.is_empty() { 0 } else { 2 * self.truth.len() as u64 + 1 };
        let until = self.asker.asked() + round;
        while self.asker.asked() < until {
            tokio::time::sleep(PAUSE).await;
        }
        self.asker.assert_content();
        if let Some(daemon) = &mut self.daemon {
            daemon.assert_runs();
        }
    }
}

/// An address on loopback that is free for UDP and TCP now.
fn free_address() -> SocketAddr {
    loop {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = tcp.local_addr().unwrap();
        if UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
}
