//! What goes wrong at each step of a life: with the wire to etcd, with etcd, with the daemon, with its disk.

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use dns_conformance::servers::{Etcd, Way, Wire};

use crate::clouds::Cloud;
use crate::world::World;

/// A safety net: what has not happened by then never will.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between two looks at what has not happened yet.
const PAUSE: Duration = Duration::from_millis(5);

/// Strikes once in each step of a life.
pub(crate) trait Trouble {
    /// Just before the clusters change.
    async fn strike(&mut self, world: &mut World);

    /// When they have changed: strikes in the middle of the daemon's work, and ends with everything as it should be.
    async fn mend(&mut self, world: &mut World);
}

/// Waits for something that no client is told.
async fn until(what: &str, world: &World, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}: it never came to that; log:\n{}", world.log());
        tokio::time::sleep(PAUSE).await;
    }
}

//----------- Calm ---------------------------------------------------

/// Nothing goes wrong.
#[derive(Debug)]
pub(crate) struct Calm;

impl Trouble for Calm {
    async fn strike(&mut self, _: &mut World) {}

    async fn mend(&mut self, _: &mut World) {}
}

//----------- clouds -------------------------------------------------

/// Some calls of each step fail, in every way from which a daemon must recover.
impl Trouble for Cloud {
    async fn strike(&mut self, _: &mut World) {
        (self.trouble)();
    }

    async fn mend(&mut self, _: &mut World) {}
}

//----------- etcd ---------------------------------------------------

/// What happens between the daemon and its etcd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnTheWire {
    /// The work is done and nobody says so.
    AnswersLost,
    /// What was asked never arrives, and nobody can be reached for a while.
    Reset,
    /// Nothing moves for longer than a request may take; then all that was sent meanwhile arrives.
    Hang,
    /// etcd dies while a request is on its way.
    ServerKilled,
    /// The daemon dies before it hears that the work is done.
    KilledAfterTheWork,
    /// The daemon dies, and what it asked last arrives when the next one is about to begin.
    KilledBeforeTheWork,
}

const ON_THE_WIRE: [OnTheWire; 6] = [
    OnTheWire::AnswersLost,
    OnTheWire::Reset,
    OnTheWire::Hang,
    OnTheWire::ServerKilled,
    OnTheWire::KilledAfterTheWork,
    OnTheWire::KilledBeforeTheWork,
];

/// One kind after the other. CoreDNS does not read through the wire, so clients see none of it, but for what etcd does
/// not answer.
#[derive(Debug)]
pub(crate) struct EtcdTrouble {
    etcd: Etcd,
    wire: Wire,
    step: usize,
    before: Vec<(String, String)>,
    /// Steps in which the work was done before anybody heard of it.
    unheard: usize,
}

impl EtcdTrouble {
    /// Begins with the kind of this number.
    pub(crate) fn new(etcd: Etcd, wire: Wire, first: usize) -> Self {
        Self { etcd, wire, step: first, before: Vec::new(), unheard: 0 }
    }

    fn kind(&self) -> OnTheWire {
        ON_THE_WIRE[self.step % ON_THE_WIRE.len()]
    }

    /// Steps in which something was written and the answer was lost.
    pub(crate) fn unheard(&self) -> usize {
        self.unheard
    }

    async fn keys(&self) -> Vec<(String, String)> {
        self.etcd.list("/skydns/").await.into_iter().collect()
    }

    async fn is_struck(&self, times: usize, world: &World) {
        let what = format!("{:?}, connections struck", self.kind());
        until(&what, world, || self.wire.struck() >= times).await;
    }
}

impl Trouble for EtcdTrouble {
    async fn strike(&mut self, world: &mut World) {
        self.before = self.keys().await;
        match self.kind() {
            OnTheWire::AnswersLost | OnTheWire::KilledAfterTheWork => self.wire.set(Way::LoseAnswers),
            OnTheWire::ServerKilled => {
                world.allow_silence();
                self.wire.set(Way::Hang);
            }
            OnTheWire::Reset | OnTheWire::Hang | OnTheWire::KilledBeforeTheWork => self.wire.set(Way::Hang),
        }
    }

    async fn mend(&mut self, world: &mut World) {
        self.is_struck(1, world).await;
        match self.kind() {
            OnTheWire::AnswersLost => {
                self.unheard += usize::from(self.keys().await != self.before);
                self.wire.set(Way::Pass);
            }
            OnTheWire::Reset => {
                self.wire.set(Way::Reset);
                self.is_struck(3, world).await; // the open one, and who tries again
                self.wire.set(Way::Pass);
            }
            OnTheWire::Hang => {
                self.is_struck(2, world).await; // who has given up waiting and tries again
                self.wire.set(Way::Pass);
            }
            OnTheWire::ServerKilled => {
                self.etcd.kill();
                self.wire.set(Way::Pass);
                self.etcd.restart().await;
            }
            OnTheWire::KilledAfterTheWork => {
                world.kill();
                self.unheard += usize::from(self.keys().await != self.before);
                self.wire.set(Way::Pass);
                world.start();
            }
            OnTheWire::KilledBeforeTheWork => {
                world.kill();
                self.wire.set(Way::Pass);
                world.start();
            }
        }
        self.step += 1;
    }
}

//----------- embedded -----------------------------------------------

/// What happens to a daemon that serves the zone itself, and to its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnTheDisk {
    /// It dies as soon as the change is on the disk.
    KilledWhileWriting,
    /// It dies before it has seen the change.
    KilledAtOnce,
    /// It is stopped as soon as the change is on the disk.
    Stopped,
    /// It dies and leaves half a line in the journal and half a snapshot.
    Torn,
    /// There is a file where its folder was, until somebody puts that right.
    FolderTaken,
}

const ON_THE_DISK: [OnTheDisk; 5] = [
    OnTheDisk::KilledWhileWriting,
    OnTheDisk::KilledAtOnce,
    OnTheDisk::Stopped,
    OnTheDisk::Torn,
    OnTheDisk::FolderTaken,
];

/// One kind after the other. While the daemon is down clients hear nothing.
#[derive(Debug)]
pub(crate) struct EmbeddedTrouble {
    data: PathBuf,
    zone: &'static str,
    step: usize,
    journal: u64,
}

impl EmbeddedTrouble {
    pub(crate) fn new(world: &World, zone: &'static str) -> Self {
        Self { data: world.data_dir(), zone, step: 0, journal: 0 }
    }

    fn kind(&self) -> OnTheDisk {
        ON_THE_DISK[self.step % ON_THE_DISK.len()]
    }

    fn file(&self, extension: &str) -> PathBuf {
        self.data.join(format!("{}.{extension}", self.zone))
    }

    fn journal_octets(&self) -> u64 {
        std::fs::metadata(self.file("journal")).map_or(0, |file| file.len())
    }

    /// As a process leaves them that dies while it writes: the line has no end, the snapshot was never put in place.
    fn tear(&self) {
        let mut journal = std::fs::OpenOptions::new().append(true).open(self.file("journal")).unwrap();
        journal.write_all(b"0123456789abcdef {\"revision\":99999,\"serial\":1,\"comp").unwrap();
        let snapshot = std::fs::read(self.file("zone")).unwrap();
        std::fs::write(self.file("new"), &snapshot[..snapshot.len() / 2]).unwrap();
    }

    /// A daemon that is started meanwhile says what is wrong.
    async fn take_folder(&self, world: &mut World) {
        let aside = self.data.with_extension("aside");
        std::fs::rename(&self.data, &aside).unwrap();
        std::fs::write(&self.data, "").unwrap();
        world.start();
        let says = format!("opening the data-dir `{}`", self.data.display());
        until(&says, world, || world.log().contains(&says)).await;
        world.forget_daemon();
        std::fs::remove_file(&self.data).unwrap();
        std::fs::rename(aside, &self.data).unwrap();
    }
}

impl Trouble for EmbeddedTrouble {
    async fn strike(&mut self, world: &mut World) {
        world.allow_silence();
        self.journal = self.journal_octets();
    }

    async fn mend(&mut self, world: &mut World) {
        let kind = self.kind();
        if kind != OnTheDisk::KilledAtOnce {
            until(&format!("{kind:?}, written"), world, || self.journal_octets() != self.journal).await;
        }
        match kind {
            OnTheDisk::Stopped => world.stop().await,
            _ => world.kill(),
        }
        match kind {
            OnTheDisk::KilledWhileWriting | OnTheDisk::KilledAtOnce | OnTheDisk::Stopped => {}
            OnTheDisk::Torn => self.tear(),
            OnTheDisk::FolderTaken => self.take_folder(world).await,
        }
        world.start();
        self.step += 1;
    }
}
