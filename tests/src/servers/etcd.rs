//! etcd on loopback, with its data in a temporary folder.

use std::collections::BTreeMap;
use std::process::Command;

use etcd_client::{Client, DeleteOptions, GetOptions};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Program;
use super::process::{Process, start_on_free_ports};

/// Which etcd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EtcdVersion {
    /// 3.6, the newest that is tested.
    V3_6,
    /// 3.4, the oldest that is worth supporting.
    V3_4,
}

impl EtcdVersion {
    /// The program of this version. Not looked for on `PATH`: whatever `etcd` is there, only its variable says which.
    pub fn program(self) -> Program {
        match self {
            Self::V3_6 => Program { variable: "ETCD_BIN", file: "etcd-3.6.5", on_path: None },
            Self::V3_4 => Program { variable: "ETCD34_BIN", file: "etcd-3.4", on_path: None },
        }
    }
}

/// A running etcd of one member; killed when dropped, its data with it.
#[derive(Debug)]
pub struct Etcd {
    version: EtcdVersion,
    ports: [u16; 2],
    process: Process,
    folder: TempDir,
}

/// What 3.6 and 3.4 log when they serve.
const READY: [&str; 2] = ["serving client traffic", "ready to serve"];

impl Etcd {
    /// Starts an empty etcd and waits until it serves.
    ///
    /// # Panics
    /// When there is no program ([`Program::find`]) or it does not start: the test fails.
    pub async fn start(version: EtcdVersion) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let (process, ports) = start_on_free_ports(|ports| launch(version, ports, &folder), &READY).await;
        Self { version, ports, process, folder }
    }

    /// The client URL, `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[0])
    }

    /// Ends the process as a crash does. The data stays for [`Etcd::restart`].
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Ends the process if it runs, and starts it on the same port and data.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn restart(&mut self) {
        self.process.kill();
        self.process = launch(self.version, self.ports, &self.folder);
        assert!(self.process.logs(&READY).await, "etcd did not start again; its log:\n{}", self.process.log());
    }

    /// A client of this server, straight to the keys.
    ///
    /// # Panics
    /// When it cannot connect.
    pub async fn client(&self) -> Client {
        Client::connect([self.url()], None).await.expect("etcd on loopback can be reached")
    }

    /// Writes a key, whatever is there, as some other program would.
    pub async fn put(&self, key: &str, value: &str) {
        self.client().await.put(key, value, None).await.expect("etcd takes a put");
    }

    /// The value of a key.
    pub async fn get(&self, key: &str) -> Option<String> {
        let response = self.client().await.get(key, None).await.expect("etcd answers a get");
        response.kvs().first().map(|kv| String::from_utf8_lossy(kv.value()).into_owned())
    }

    /// All keys with the given beginning, and their values.
    pub async fn list(&self, prefix: &str) -> BTreeMap<String, String> {
        let options = GetOptions::new().with_prefix();
        let response = self.client().await.get(prefix, Some(options)).await.expect("etcd answers a range");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        response.kvs().iter().map(|kv| (text(kv.key()), text(kv.value()))).collect()
    }

    /// Deletes a key; gives whether it was there.
    pub async fn delete(&self, key: &str) -> bool {
        let response = self.client().await.delete(key, None).await.expect("etcd takes a delete");
        response.deleted() > 0
    }

    /// Deletes all keys with the given beginning; gives their number.
    pub async fn delete_all(&self, prefix: &str) -> i64 {
        let options = DeleteOptions::new().with_prefix();
        let response = self.client().await.delete(prefix, Some(options)).await.expect("etcd takes a delete");
        response.deleted()
    }

    /// Requests handled since the start, by gRPC method (`Range`, `Txn`, `Put`, `Watch`, …), those of this harness
    /// included. A stream counts when it ends.
    pub async fn metrics(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for line in self.metrics_text().await.lines() {
            let Some(labels) = line.strip_prefix("grpc_server_handled_total{") else { continue };
            let Some((labels, value)) = labels.rsplit_once("} ") else { continue };
            let method = labels.split("grpc_method=\"").nth(1).and_then(|rest| rest.split('"').next());
            if let (Some(method), Ok(value)) = (method, value.parse::<f64>()) {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of requests")]
                let value = value as u64;
                *counts.entry(method.to_owned()).or_default() += value;
            }
        }
        counts
    }

    /// The whole text of `/metrics`.
    pub async fn metrics_text(&self) -> String {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", self.ports[0])).await.expect("etcd listens");
        let request = b"GET /metrics HTTP/1.0\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.expect("etcd reads a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("etcd answers a request");
        answer
    }

    /// What the process has logged since its last start.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

fn launch(version: EtcdVersion, [client, peer]: [u16; 2], folder: &TempDir) -> Process {
    let client = format!("http://127.0.0.1:{client}");
    let peer = format!("http://127.0.0.1:{peer}");
    let mut command = Command::new(version.program().find());
    command
        .env_clear() // any ETCD_* of the environment is a setting
        .arg("--data-dir")
        .arg(folder.path().join("data"))
        .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
        .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
        .args(["--initial-cluster", &format!("default={peer}"), "--logger", "zap"]);
    Process::start(&mut command, &folder.path().join("log"))
}
