//! The servers, each as a process with the same zone.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use dns_conformance::servers::{COREDNS, Etcd, EtcdVersion};
use etcd_client::{Txn, TxnOp};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::ChildStdout;

use super::{changes, zone};
use crate::process;
use crate::workload::ZONE;

/// Until a server answers.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(50);

/// A process that is killed when dropped.
#[derive(Debug)]
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// A server that answers.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) name: &'static str,
    pub(super) address: SocketAddr,
    process: Running,
    kind: Kind,
    /// Of the names that are written next, so that each write changes something.
    edition: u32,
    _folder: Option<TempDir>,
}

#[derive(Debug)]
enum Kind {
    Embedded { input: ChildStdin, output: BufReader<ChildStdout> },
    CoreDns { etcd: Etcd },
    Knot,
}

impl Server {
    /// This program once more, with the provider `embedded`.
    ///
    /// # Errors
    /// When it does not start.
    pub(super) async fn embedded(names: u32) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("serve-embedded").arg(names.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let input = child.stdin.take().context("its input is a pipe")?;
        let mut output = BufReader::new(ChildStdout::from_std(child.stdout.take().context("its output is a pipe")?)?);
        let process = Running(child);
        let mut address = String::new();
        output.read_line(&mut address).await?;
        let address = address.trim().parse().context("the server `embedded` did not start")?;
        Ok(Self {
            name: "embedded",
            address,
            process,
            kind: Kind::Embedded { input, output },
            edition: 1,
            _folder: None,
        })
    }

    /// CoreDNS with its etcd plugin, without a cache.
    ///
    /// # Errors
    /// When it does not start.
    pub(super) async fn coredns(names: u32) -> anyhow::Result<Self> {
        let etcd = Etcd::start(EtcdVersion::V3_6).await;
        let mut client = etcd.client().await;
        let keys: Vec<_> = (0..names).flat_map(|number| zone::keys(number, 0)).collect();
        for keys in keys.chunks(100) {
            let puts = keys.iter().map(|(key, value)| TxnOp::put(key.as_str(), value.as_str(), None));
            client.txn(Txn::new().and_then(puts.collect::<Vec<_>>())).await?;
        }
        let (folder, address) = (tempfile::tempdir()?, free()?);
        let (file, port, url) = (folder.path().join("Corefile"), address.port(), etcd.url());
        let text = format!(
            "{ZONE}:{port} {{\n  bind 127.0.0.1\n  errors\n  etcd {{\n    path /skydns\n    endpoint {url}\n  }}\n}}\n"
        );
        std::fs::write(&file, text)?;
        let mut command = Command::new(COREDNS.find());
        let process = started(command.arg("-conf").arg(file), folder.path())?;
        let server = Self {
            name: "CoreDNS on etcd",
            address,
            process,
            kind: Kind::CoreDns { etcd },
            edition: 1,
            _folder: Some(folder),
        };
        server.answers().await?;
        Ok(server)
    }

    /// Knot with a zone file, a journal, and dynamic updates from loopback.
    ///
    /// # Errors
    /// When it does not start.
    pub(super) async fn knot(names: u32) -> anyhow::Result<Self> {
        let program = debian("usr/sbin/knotd")?;
        let (folder, address) = (tempfile::tempdir()?, free()?);
        let path = folder.path();
        std::fs::write(path.join("zone"), zone::file(names))?;
        let (port, shown) = (address.port(), path.display());
        let text = format!(
            "server:\n    listen: 127.0.0.1@{port}\n    rundir: {shown}\ndatabase:\n    storage: {shown}\nlog:\n  - target: \
             stderr\n    any: warning\nacl:\n  - id: local\n    address: 127.0.0.1\n    action: update\nzone:\n  - domain: \
             {ZONE}\n    file: {shown}/zone\n    zonefile-sync: -1\n    acl: local\n"
        );
        std::fs::write(path.join("knot.conf"), text)?;
        let mut command = program;
        let process = started(command.arg("-c").arg(path.join("knot.conf")), path)?;
        let server = Self { name: "Knot", address, process, kind: Kind::Knot, edition: 1, _folder: Some(folder) };
        server.answers().await?;
        Ok(server)
    }

    /// Changes names for some seconds, a thousand a second; gives how many changes are done.
    ///
    /// # Errors
    /// When the server does not take them.
    pub(super) async fn change(&mut self, names: u32, seconds: u64) -> anyhow::Result<u32> {
        let first = self.edition;
        let done = match &mut self.kind {
            Kind::Embedded { input, output } => {
                writeln!(input, "{seconds}")?;
                let mut line = String::new();
                output.read_line(&mut line).await?;
                line.trim().parse()?
            }
            Kind::CoreDns { etcd } => changes::into_etcd(etcd.client().await, names, first, seconds).await?,
            Kind::Knot => changes::by_update(self.address, names, first, seconds).await?,
        };
        self.edition += done.div_ceil(names);
        Ok(done)
    }

    /// Resident memory in KiB, etcd's included.
    ///
    /// # Errors
    /// When the process has ended.
    pub(super) fn resident_kib(&self) -> anyhow::Result<(u64, Option<u64>)> {
        let own = process::usage(self.process.0.id())?.0;
        let Kind::CoreDns { etcd } = &self.kind else { return Ok((own, None)) };
        let id = process::with_argument(&etcd.url()).context("etcd is not found among the processes")?;
        Ok((own, Some(process::usage(id)?.0)))
    }

    async fn answers(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        let wanted = zone::addresses(0, 0).map(|address| address.to_string());
        while begun.elapsed() < PATIENCE {
            let answer = dns_conformance::servers::try_query(self.address, &zone::name(0), "A").await;
            if answer.is_ok_and(|answer| answer.addresses() == wanted) {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
        anyhow::bail!("{} does not answer at {}", self.name, self.address)
    }
}

fn started(command: &mut Command, folder: &Path) -> anyhow::Result<Running> {
    let log = std::fs::File::create(folder.join("log"))?;
    let command = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Ok(Running(command.spawn().with_context(|| format!("starting {}", command.get_program().display()))?))
}

/// A program of Debian, from the folder into which `tests/bench/run` unpacks its packages, or from the system.
///
/// # Errors
/// When the folder does not have it.
pub(super) fn debian(path: &str) -> anyhow::Result<Command> {
    let Some(root) = named_folder("BENCH_DEBIAN")? else {
        return Ok(Command::new(Path::new(path).file_name().context("a program has a name")?));
    };
    let program = root.join(path);
    ensure!(program.is_file(), "BENCH_DEBIAN: there is no `{}`", program.display());
    let mut command = Command::new(program);
    let machine = format!("{}-linux-gnu", std::env::consts::ARCH);
    let libraries = ["usr/lib", "lib"].map(|folder| root.join(folder).join(&machine).display().to_string());
    command.env("LD_LIBRARY_PATH", libraries.join(":"));
    Ok(command)
}

fn named_folder(variable: &str) -> anyhow::Result<Option<PathBuf>> {
    let Some(value) = std::env::var_os(variable).filter(|value| !value.is_empty()) else { return Ok(None) };
    let path = PathBuf::from(value);
    ensure!(path.is_dir(), "{variable}: there is no folder `{}`", path.display());
    Ok(Some(path))
}

/// An address on loopback that is free for TCP now.
fn free() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
