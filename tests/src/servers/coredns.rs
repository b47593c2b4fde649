//! CoreDNS on loopback.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use tempfile::TempDir;

use super::COREDNS;
use super::process::{Process, start_on_free_ports};

/// A running CoreDNS; killed when dropped.
#[derive(Debug)]
pub struct CoreDns {
    port: u16,
    process: Process,
    folder: TempDir,
}

/// What it prints when all its servers listen.
const READY: [&str; 1] = ["CoreDNS-"];

impl CoreDns {
    /// Starts with the given Corefile, in which every `{port}` stands for the port that it gets.
    ///
    /// # Panics
    /// When there is no program ([`super::Program::find`]) or it does not start: the test fails.
    pub async fn start(corefile: &str) -> Self {
        Self::start_made(|[port]| corefile.replace("{port}", &port.to_string())).await
    }

    /// Starts with the Corefile that is made for some ports; it is asked on the first.
    ///
    /// # Panics
    /// As [`CoreDns::start`].
    pub async fn start_made<const N: usize>(corefile: impl Fn([u16; N]) -> String) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let start = |ports: [u16; N]| {
            std::fs::write(folder.path().join("Corefile"), corefile(ports))
                .expect("the temporary folder can be written");
            launch(&folder)
        };
        let (process, ports) = start_on_free_ports(start, &READY).await;
        Self { port: ports[0], process, folder }
    }

    /// Starts with the `etcd` plugin for the given zones, on keys below `/skydns`.
    ///
    /// # Panics
    /// As [`CoreDns::start`].
    pub async fn on_etcd(zones: &[&str], etcd_url: &str) -> Self {
        let zones: Vec<_> = zones.iter().map(|zone| format!("{zone}:{{port}}")).collect();
        let zones = zones.join(" ");
        Self::start(&format!(
            "{zones} {{\n  bind 127.0.0.1\n  errors\n  etcd {{\n    path /skydns\n    endpoint {etcd_url}\n  }}\n}}\n"
        ))
        .await
    }

    /// Where it answers, over UDP and TCP.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Ends the process as a crash does.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Ends the process if it runs, and starts it on the same port.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn restart(&mut self) {
        self.process.kill();
        self.process = launch(&self.folder);
        assert!(self.process.logs(&READY).await, "CoreDNS did not start again; its log:\n{}", self.process.log());
    }

    /// What the process has logged since its last start.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

fn launch(folder: &TempDir) -> Process {
    let mut command = Command::new(COREDNS.find());
    command.arg("-conf").arg(folder.path().join("Corefile"));
    Process::start(&mut command, &folder.path().join("log"))
}
