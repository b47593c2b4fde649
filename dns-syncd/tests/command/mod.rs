//! The program as a person starts it, in a folder of its own.

#![allow(dead_code, reason = "each test file uses its part")]

use std::path::Path;
use std::process::{Command, Stdio};

use dns_providers::{OpenMode, ProviderConfig, Registry};
use dnsprovider::DnsProviderExt as _;
use tempfile::TempDir;

/// What a run of the program came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Checks the exit code and that standard error names all of these.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, mentions: &[&str]) {
        assert_eq!(self.code, code, "{self:#?}");
        for mention in mentions {
            assert!(self.err.contains(mention), "`{mention}` is not in {self:#?}");
        }
    }

    /// Checks the exit code.
    #[track_caller]
    pub(crate) fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// A folder with a config, clusters and an embedded zone on disk.
pub(crate) struct Setting {
    pub(crate) folder: TempDir,
}

/// Nobody listens at the admin address, so commands look for themselves; nor at the resolver's, so nothing is asked
/// outside this machine.
const CONF: &str = "[Federation]
name = fed
zone-name = example.test
[Provider]
name = embedded
config = embedded.conf
[Source]
path = clusters
[Sync]
resolver = 127.0.0.1:1
[Admin]
listen = 127.0.0.1:1
";

impl Setting {
    /// Two clusters with one service each of the name `default/web`.
    pub(crate) fn new() -> Self {
        let setting = Self { folder: TempDir::new().unwrap() };
        setting.write("dns-syncd.conf", CONF);
        setting.write("embedded.conf", "[Global]\nzones = example.test\ndata-dir = data\nlisten = 127.0.0.1:0\n");
        setting.cluster("eu", &[service("web", &["192.0.2.1"])]);
        setting.cluster("us", &[service("web", &["198.51.100.1"])]);
        setting
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Appends to the config.
    pub(crate) fn configure(&self, text: &str) {
        self.write("dns-syncd.conf", &format!("{CONF}{text}"));
    }

    /// Puts the admin address elsewhere.
    pub(crate) fn configure_admin(&self, address: std::net::SocketAddr) {
        self.write("dns-syncd.conf", &CONF.replace("listen = 127.0.0.1:1\n", &format!("listen = {address}\n")));
    }

    /// A member in the region of its name.
    pub(crate) fn cluster(&self, name: &str, services: &[String]) {
        self.write(&format!("clusters/{name}.yaml"), &(node(name) + &services.concat()));
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        run(self.folder.path(), arguments)
    }

    /// As [`Setting::run`] with the folder's config.
    pub(crate) fn with_config(&self, arguments: &[&str]) -> Ran {
        self.run(&[arguments, &["--config", "dns-syncd.conf"]].concat())
    }

    /// What the zone holds: name, type, records and claim of each set.
    pub(crate) fn zone(&self) -> Vec<String> {
        let data = self.folder.path().join("data");
        let config = ProviderConfig {
            text: Some(format!("[Global]\nzones = example.test\ndata-dir = \"{}\"\n", data.display())),
            file: "embedded.conf".into(),
            home: None,
            mode: OpenMode::ReadOnly,
        };
        let reading = async {
            let opened = Registry::builtin().open("embedded", config).await.unwrap();
            let zone = opened.provider.find_zone(None, None).await.unwrap();
            opened.provider.read_zone(&zone.id).await.unwrap()
        };
        let snapshot = tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(reading);
        snapshot.entries.values().flatten().map(|entry| format!("{:?}", entry.data)).collect()
    }
}

/// Runs the program with a clean environment.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dns-syncd"));
    let command = command.args(arguments).current_dir(folder).env_clear().stdin(Stdio::null());
    let output = command.output().unwrap();
    Ran {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A node in the region and zone of that name.
pub(crate) fn node(region: &str) -> String {
    format!(
        "---
apiVersion: v1
kind: Node
metadata:
  name: node-1
  labels:
    topology.kubernetes.io/region: {region}
    topology.kubernetes.io/zone: {region}-a
"
    )
}

/// A ready service in the namespace `default`.
pub(crate) fn service(name: &str, addresses: &[&str]) -> String {
    annotated(name, addresses, "{}")
}

/// A service without a ready endpoint in the namespace `default`.
pub(crate) fn unready(name: &str, addresses: &[&str]) -> String {
    service(name, addresses).replace("ready: true", "ready: false")
}

/// A ready service with annotations in YAML's flow form.
pub(crate) fn annotated(name: &str, addresses: &[&str], annotations: &str) -> String {
    let ingress: Vec<String> = addresses.iter().map(|address| format!("    - ip: \"{address}\"\n")).collect();
    let ingress = ingress.concat();
    format!(
        "---
apiVersion: v1
kind: Service
metadata:
  name: {name}
  namespace: default
  annotations: {annotations}
spec:
  type: LoadBalancer
status:
  loadBalancer:
    ingress:
{ingress}---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
addressType: IPv4
metadata:
  name: {name}-1
  namespace: default
  labels:
    kubernetes.io/service-name: {name}
endpoints:
- addresses: [10.0.0.1]
  conditions:
    ready: true
"
    )
}
