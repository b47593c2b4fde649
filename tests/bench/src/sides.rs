//! The programs that are measured: ours and the peer, each as one pass over a fleet.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, ensure};
use tempfile::TempDir;

use crate::child::{self, Ended};
use crate::trace;
use crate::workload::{Fleet, Levels, ZONE};

/// `dns-syncd`, with its files.
#[derive(Debug)]
pub(crate) struct Ours {
    program: PathBuf,
    folder: TempDir,
}

impl Ours {
    /// `provider` is the provider's name, `global` the lines of its file.
    ///
    /// # Errors
    /// When `DNS_SYNCD_BIN` names no program.
    pub(crate) fn new(provider: &str, global: &str, levels: Levels) -> anyhow::Result<Self> {
        let program = named("DNS_SYNCD_BIN")?.context("DNS_SYNCD_BIN is not set; hint: start with tests/bench/run")?;
        let ours = Self { program, folder: tempfile::tempdir()? };
        std::fs::write(ours.file("provider.conf"), format!("[Global]\n{global}\n"))?;
        // The guard is there for accidents; here most of the zone changes on purpose.
        let config = format!(
            "[Federation]\nname = bench\nzone-name = {ZONE}\n[Provider]\nname = {provider}\nconfig = {}\n[Source]\npath \
             = {}\n[Sync]\nlevels = {}\n[Guard]\nmax-delete = 100\nmax-update = 100\nmax-emptied = 100\n",
            ours.file("provider.conf").display(),
            ours.file("dump.json").display(),
            levels.setting(),
        );
        std::fs::write(ours.file("dns-syncd.conf"), config)?;
        Ok(ours)
    }

    /// One pass, `dns-syncd apply`, with its calls of the host in its log.
    ///
    /// # Errors
    /// When it fails, or anything was held or refused.
    pub(crate) fn apply(&self, fleet: Fleet, variables: &[(&str, &str)]) -> anyhow::Result<Ended> {
        std::fs::write(self.file("dump.json"), fleet.json())?;
        let mut command = Command::new(&self.program);
        command.arg("apply").arg("--config").arg(self.file("dns-syncd.conf")).args(["--log-format", "json"]);
        // It takes every variable that begins with DNS_SYNCD_ for a setting.
        command.env("RUST_LOG", trace::RUST_LOG).env_remove("DNS_SYNCD_BIN").envs(variables.iter().copied());
        child::run(&command, &[0]).context("dns-syncd apply")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// external-dns, where there is one.
#[derive(Debug)]
pub(crate) struct Peer {
    program: PathBuf,
    connector: PathBuf,
}

impl Peer {
    /// `None` where `EXTERNAL_DNS_BIN` is not set.
    ///
    /// # Errors
    /// When a variable names no program.
    pub(crate) fn find() -> anyhow::Result<Option<Self>> {
        let Some(program) = named("EXTERNAL_DNS_BIN")? else { return Ok(None) };
        let connector = named("BENCH_CONNECTOR_BIN")?;
        let connector = connector.context("BENCH_CONNECTOR_BIN is not set; hint: start with tests/bench/run")?;
        Ok(Some(Self { program, connector }))
    }

    /// The name of its file: built with `go install`, it does not know its own version.
    pub(crate) fn version(&self) -> String {
        self.program.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// One pass, `external-dns --once`, with TXT records beside the names as by default. Its endpoints come from a
    /// server on loopback, encoded before it starts.
    ///
    /// # Errors
    /// When it or the server of its endpoints fails.
    pub(crate) fn pass(
        &self,
        fleet: Fleet,
        levels: Levels,
        provider: &[&str],
        variables: &[(&str, &str)],
    ) -> anyhow::Result<Ended> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("endpoints");
        std::fs::write(&file, fleet.endpoints(levels))?;
        let connector = Connector::start(&self.connector, &file)?;
        let mut command = Command::new(&self.program);
        command.args(["--source=connector", "--registry=txt", "--txt-owner-id=bench", "--policy=sync", "--once"]);
        command.args(["--managed-record-types=A", "--managed-record-types=CNAME", "--log-level=warning"]);
        command.arg("--metrics-address=127.0.0.1:0");
        command.arg(format!("--connector-source-server={}", connector.address)).args(provider);
        command.arg(format!("--domain-filter={ZONE}")).envs(variables.iter().copied());
        child::run(&command, &[0]).context("external-dns --once")
    }
}

/// A running `connector`; ends when dropped.
#[derive(Debug)]
struct Connector {
    process: Child,
    address: String,
}

impl Connector {
    fn start(program: &Path, file: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        let mut process = command.arg(file).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut address = String::new();
        let stdout = process.stdout.take().context("its output is a pipe")?;
        BufReader::new(stdout).read_line(&mut address)?;
        let connector = Self { process, address: address.trim().to_owned() };
        ensure!(!connector.address.is_empty(), "`{}` ended before it listened", program.display());
        Ok(connector)
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// The program that a variable names; `None` where it is not set.
///
/// # Errors
/// When there is no such file.
pub(crate) fn named(variable: &str) -> anyhow::Result<Option<PathBuf>> {
    let Some(value) = std::env::var_os(variable).filter(|value| !value.is_empty()) else { return Ok(None) };
    let path = PathBuf::from(value);
    ensure!(path.is_file(), "{variable}: there is no file `{}`", path.display());
    Ok(Some(path))
}
