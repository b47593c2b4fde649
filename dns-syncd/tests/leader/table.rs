//! An election in memory, and a clock that can be made to sleep.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use dns_sync_core::Settings;
use dns_syncd::config::{Cli, Config};
use dns_syncd::leader::{BootClock, Election, ElectionError, Record, Seat};
use dnsprovider::{Fence, Fqdn};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

pub(crate) const LEASE: Duration = Duration::from_secs(15);

/// The clock of one process: tokio's, and what it slept.
#[derive(Debug)]
pub(crate) struct TestClock {
    start: Instant,
    slept: AtomicU64,
}

impl TestClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { start: Instant::now(), slept: AtomicU64::new(0) })
    }

    pub(crate) fn sleep(&self, seconds: u64) {
        self.slept.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl BootClock for TestClock {
    fn now(&self) -> Duration {
        self.start.elapsed() + Duration::from_secs(self.slept.load(Ordering::Relaxed))
    }
}

/// A place where the leadership lies, by tokio's clock.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) held: Mutex<Option<(Record, Instant)>>,
    terms: AtomicU64,
    pub(crate) is_denied: Mutex<bool>,
    /// While it is true nobody gets an answer.
    pub(crate) hangs: watch::Sender<bool>,
    pub(crate) fails: Mutex<bool>,
    pub(crate) attempts: AtomicU64,
    changed: Notify,
    /// A change that nobody has looked at: it is told again and again.
    pub(crate) is_suspect: Mutex<bool>,
}

impl Table {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            held: Mutex::default(),
            terms: AtomicU64::new(0),
            is_denied: Mutex::default(),
            hangs: watch::channel(false).0,
            fails: Mutex::default(),
            attempts: AtomicU64::new(0),
            changed: Notify::new(),
            is_suspect: Mutex::default(),
        })
    }

    pub(crate) fn holder(&self) -> Option<String> {
        self.held.lock().unwrap().as_ref().map(|(record, _)| record.holder.clone())
    }
}

#[derive(Debug)]
pub(crate) struct Chair(pub(crate) Arc<Table>);

#[async_trait]
impl Election for Chair {
    fn kind(&self) -> &'static str {
        "test"
    }

    fn place(&self) -> String {
        "the table".to_owned()
    }

    async fn attempt(&mut self, record: &Record) -> Result<Seat, ElectionError> {
        self.0.attempts.fetch_add(1, Ordering::Relaxed);
        let mut hangs = self.0.hangs.subscribe();
        hangs.wait_for(|hangs| !hangs).await.unwrap();
        let is_denied = *self.0.is_denied.lock().unwrap();
        if is_denied || *self.0.fails.lock().unwrap() {
            return Err(ElectionError { message: "the table is away".to_owned(), is_denied });
        }
        let mut held = self.0.held.lock().unwrap();
        let now = Instant::now();
        let is_ours = match &*held {
            Some((other, until)) if other.holder != record.holder && now < *until => {
                return Ok(Seat::Taken(other.clone()));
            }
            Some((other, _)) => other.holder == record.holder,
            None => false,
        };
        if !is_ours {
            self.0.terms.fetch_add(1, Ordering::Relaxed);
        }
        *held = Some((record.clone(), now + LEASE));
        let term = self.0.terms.load(Ordering::Relaxed);
        Ok(Seat::Ours { fence: Some(Fence { key: "table".into(), token: term }), term })
    }

    async fn changed(&mut self) {
        if *self.0.is_suspect.lock().unwrap() {
            return tokio::task::yield_now().await;
        }
        self.0.changed.notified().await;
    }

    async fn resign(&mut self) {
        *self.0.held.lock().unwrap() = None;
        self.0.changed.notify_waiters();
    }
}

pub(crate) fn settings() -> Settings {
    Settings::new("fed", Fqdn::parse("example.test").unwrap())
}

pub(crate) fn record(holder: &str, settings: &Settings) -> Record {
    let arguments =
        ["dns-syncd", "run", "--federation-name", "fed", "--zone-name", "example.test", "--source", "files"];
    let cli = <Cli as clap::Parser>::parse_from(arguments);
    Record::new(holder, settings, &Config::load(&cli.flags, &|_| None).unwrap().source)
}
