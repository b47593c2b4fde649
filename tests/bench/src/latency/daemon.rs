//! `dns-syncd run` as a process, and what it tells about itself.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::sides::named;
use crate::workload::ZONE;

/// What has not become ready by then never will.
const PATIENCE: Duration = Duration::from_mins(10);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// The running daemon; killed when dropped.
#[derive(Debug)]
pub(super) struct Daemon {
    child: Child,
    admin: SocketAddr,
    log: PathBuf,
    begun: Instant,
}

impl Daemon {
    /// Starts it with the clusters of a folder of kubeconfigs. Where `coredns` is named, it also asks there by itself.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn start(folder: &Path, etcd: &str, coredns: Option<SocketAddr>) -> anyhow::Result<Self> {
        let program = named("DNS_SYNCD_BIN")?.context("DNS_SYNCD_BIN is not set; hint: start with tests/bench/run")?;
        let file = |name: &str| folder.join(name);
        let endpoints = coredns.map(|address| format!("coredns-endpoints = {address}\n")).unwrap_or_default();
        let global = format!("[Global]\netcd-endpoints = {etcd}\nzones = {ZONE}\n{endpoints}");
        std::fs::write(file("provider.conf"), global)?;
        let admin = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let config = format!(
            "[Federation]\nname = bench\nzone-name = {ZONE}\n[Provider]\nname = coredns\nconfig = {}\n[Source]\nkind = \
             clusters\npath = {}\n[Sync]\nlevels = global\n[Admin]\nlisten = {admin}\n",
            file("provider.conf").display(),
            file("clusters").display(),
        );
        std::fs::write(file("dns-syncd.conf"), config)?;
        let log = file("log");
        let output = std::fs::File::create(&log)?;
        let mut command = Command::new(program);
        command.env_clear().arg("run").arg("--config").arg(file("dns-syncd.conf"));
        // As it runs by default, but for the line that each written set has in its log, of which there are 50,000 at first.
        let child = command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).spawn()?;
        Ok(Self { child, admin, log, begun: Instant::now() })
    }

    /// Waits until it is ready, may write, has written so many sets and none is pending; gives the seconds since its start until
    /// it was ready, and until then.
    ///
    /// # Errors
    /// When it ends, or that does not become true.
    pub(super) async fn settled(&mut self, sets: u64) -> anyhow::Result<[f64; 2]> {
        let mut ready = None;
        while self.begun.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                bail!("dns-syncd ended, {status}:\n{}", std::fs::read_to_string(&self.log)?);
            }
            if ready.is_none() && self.get("/readyz").await.is_some_and(|answer| answer.starts_with("HTTP/1.1 200")) {
                ready = Some(self.begun.elapsed().as_secs_f64());
            }
            let metrics = self.get("/metrics").await.unwrap_or_default();
            let published = sum(&metrics, "dns_syncd_record_sets{", "state=\"published\"");
            let leads = sum(&metrics, "dns_syncd_leadership ", "");
            let pending = sum(&metrics, "dns_syncd_pending_changes{", "");
            if let Some(ready) = ready
                && leads > 0.0
                && published >= sets as f64
                && pending < 1.0
            {
                return Ok([ready, self.begun.elapsed().as_secs_f64()]);
            }
            tokio::time::sleep(PAUSE).await;
        }
        let log = std::fs::read_to_string(&self.log)?;
        let end: Vec<_> = log.lines().rev().take(20).collect();
        bail!("dns-syncd has not settled; the last lines of its log, the last first:\n{}", end.join("\n"));
    }

    /// The sum and the number of what it noted at a stage of [`dns_syncd_event_latency_seconds`].
    ///
    /// [`dns_syncd_event_latency_seconds`]: ../../../../dns-syncd/docs/metrics.md
    pub(super) async fn stage(&self, stage: &str) -> (f64, f64) {
        let metrics = self.get("/metrics").await.unwrap_or_default();
        let of = |what: &str| {
            sum(&metrics, &format!("dns_syncd_event_latency_seconds_{what}{{"), &format!("stage=\"{stage}\""))
        };
        (of("sum"), of("count"))
    }

    /// Resident memory in KiB and CPU time in seconds so far.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub(super) fn usage(&self) -> anyhow::Result<(u64, f64)> {
        crate::process::usage(self.child.id())
    }

    /// Ends it as an init system does: what is left behind by a crash keeps the next one from writing for seconds.
    ///
    /// # Errors
    /// When it does not end well.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        let asked = Command::new("kill").arg(self.child.id().to_string()).status()?;
        ensure!(asked.success(), "dns-syncd cannot be asked to end");
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "dns-syncd ended with {status}");
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
        bail!("dns-syncd does not end")
    }

    async fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.admin).await.ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok()?;
        Some(String::from_utf8_lossy(&answer).into_owned())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// The sum over the series that begin and contain so.
fn sum(metrics: &str, beginning: &str, part: &str) -> f64 {
    let series = metrics.lines().filter(|line| line.starts_with(beginning) && line.contains(part));
    series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}
