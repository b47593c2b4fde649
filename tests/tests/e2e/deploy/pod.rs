//! A pod of the chart as a kubelet would start it: its volumes as files, its container's arguments, the real program.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Secret, ServiceAccount};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::chart::{NAMESPACE, RELEASE};
use crate::program::Daemon;
use crate::real::Cluster;

/// A safety net: what has not come true by then never will.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between two looks at what is not true yet.
const PAUSE: Duration = Duration::from_millis(20);

/// Creates the object or makes it this; an unknown field is an error.
pub(crate) async fn apply(cluster: &Cluster, object: &Value) -> Result<(), String> {
    let name = object["metadata"]["name"].as_str().unwrap();
    let parameters = PatchParams { field_manager: Some(RELEASE.to_owned()), ..PatchParams::default() };
    let parameters = parameters.validation_strict().force();
    let applied = cluster.of(object).patch(name, &parameters, &Patch::Apply(object)).await;
    applied.map(drop).map_err(|error| format!("{} {name}: {error}", object["kind"]))
}

/// A token that the API server issues to an account, bound to the audience of the server.
pub(crate) async fn token(cluster: &Cluster, account: &str) -> String {
    let accounts: Api<ServiceAccount> = Api::namespaced(cluster.client.clone(), NAMESPACE);
    let spec = TokenRequestSpec { expiration_seconds: Some(3607), ..TokenRequestSpec::default() };
    let request = TokenRequest { spec, ..TokenRequest::default() };
    let issued = accounts.create_token_request(account, &PostParams::default(), &request).await.unwrap();
    issued.status.unwrap().token
}

/// A pod's files and its daemon.
pub(crate) struct Pod {
    root: Arc<TempDir>,
    config: PathBuf,
    port: u16,
    /// Where it answers DNS queries, with the provider `embedded`.
    pub(crate) dns: SocketAddr,
    daemon: Option<Daemon>,
}

impl Pod {
    /// Lays out what the template's container mounts. The pod sees the host cluster as `kubernetes.default.svc`.
    pub(crate) async fn of(template: &Value, host: &Cluster) -> Self {
        let (root, config) = (Arc::new(tempfile::tempdir().unwrap()), PathBuf::new());
        let mut pod =
            Self { root, config, port: free_port(), dns: (Ipv4Addr::LOCALHOST, free_port()).into(), daemon: None };
        let spec = &template["spec"];
        let container = &spec["containers"][0];
        for mount in container["volumeMounts"].as_array().unwrap() {
            let volume = spec["volumes"].as_array().unwrap().iter().find(|volume| volume["name"] == mount["name"]);
            let volume = volume.unwrap_or_else(|| panic!("there is no volume {}", mount["name"]));
            let files = files(volume, host, spec["serviceAccountName"].as_str().unwrap()).await;
            let folder = pod.path(mount["mountPath"].as_str().unwrap());
            let told = |text: &str| pod.told(text, host);
            write(&folder, files.into_iter().map(|(path, text)| (path, told(&text))));
        }
        let arguments: Vec<_> =
            container["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
        let ["run", "--config", config, "--log-format", "json"] = arguments.as_slice() else { panic!("{arguments:?}") };
        pod.config = pod.path(config);
        pod
    }

    /// Another pod of the same template: the same files, but for the address at which it listens.
    pub(crate) fn twin(&self) -> Self {
        let (config, port) = (self.root.path().join("twin.conf"), free_port());
        let text = std::fs::read_to_string(&self.config).unwrap();
        std::fs::write(&config, text.replace(&format!(":{}\"", self.port), &format!(":{port}\""))).unwrap();
        Self { root: self.root.clone(), config, port, dns: self.dns, daemon: None }
    }

    /// A path in the container as it is on this machine.
    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path.strip_prefix('/').unwrap())
    }

    /// A file's text with the paths and addresses of this machine. In a pod the client finds the server of the lease by
    /// the variables and files of a pod, whose place cannot be changed; so here it is told.
    fn told(&self, text: &str, host: &Cluster) -> String {
        let mut text = text.to_owned();
        for folder in ["/etc/dns-syncd", "/var/run/secrets", "/var/lib/dns-syncd"] {
            text = text.replace(folder, self.path(folder).to_str().unwrap());
        }
        let kubeconfig = self.root.path().join("pod.kubeconfig");
        let account = self.path("/var/run/secrets/kubernetes.io/serviceaccount");
        let reached = host.api.kubeconfig_with(&format!("tokenFile: {}/token", account.display()));
        std::fs::write(&kubeconfig, reached).unwrap();
        let leader = format!("[Leader]\nkubeconfig = {}\nnamespace = {NAMESPACE}\n", kubeconfig.display());
        text.replace("https://kubernetes.default.svc", &host.api.url())
            .replace("0.0.0.0:10253", &format!("127.0.0.1:{}", self.port))
            .replace("0.0.0.0:5300", &self.dns.to_string())
            .replace("[Leader]\nkind = \"lease\"\n", &format!("{leader}kind = \"lease\"\n"))
    }

    /// Renews the projected volume of the clusters, as kubelets do: a new folder, and one link that is turned to it.
    pub(crate) async fn renew_clusters(&self, template: &Value, host: &Cluster) {
        let volumes = template["spec"]["volumes"].as_array().unwrap();
        let volume = volumes.iter().find(|volume| volume["name"] == "dns-syncd-clusters").unwrap();
        let files = files(volume, host, template["spec"]["serviceAccountName"].as_str().unwrap()).await;
        let folder = self.path("/etc/dns-syncd/clusters");
        let before = std::fs::read_link(folder.join("..data")).unwrap();
        let number: u32 = before.to_str().unwrap().trim_start_matches("..").parse().unwrap();
        let name = format!("..{}", number + 1);
        let data = folder.join(&name);
        std::fs::create_dir(&data).unwrap();
        for (path, text) in &files {
            std::fs::write(data.join(path), self.told(text, host)).unwrap();
        }
        symlink(&name, folder.join("..data_tmp")).unwrap();
        std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
        for path in files.keys().filter(|path| folder.join(path).symlink_metadata().is_err()) {
            symlink(Path::new("..data").join(path), folder.join(path)).unwrap();
        }
        for entry in std::fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let file = entry.file_name().into_string().unwrap();
            if !file.starts_with("..") && !files.contains_key(&file) {
                std::fs::remove_file(entry.path()).unwrap();
            }
        }
        std::fs::remove_dir_all(folder.join(before)).unwrap();
    }

    /// Where it answers at its admin address.
    pub(crate) fn admin(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    pub(crate) fn start(&mut self) {
        self.daemon = Some(Daemon::start(&self.config, self.root.path().join(format!("log-{}", self.port))));
    }

    pub(crate) fn log(&self) -> String {
        self.daemon.as_ref().map(Daemon::log).unwrap_or_default()
    }

    /// The lines of the log that tell of a missing right.
    pub(crate) fn denials(&self) -> Vec<String> {
        denials(&self.log())
    }

    pub(crate) async fn stop(&mut self) {
        self.daemon.take().unwrap().stop().await;
    }

    pub(crate) fn kill(&mut self) {
        self.daemon.take().unwrap().kill();
    }

    /// Status code and body of a request at the admin address; `None` while nobody answers.
    pub(crate) async fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.ok()?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    /// Asks until the status, or the log, is so.
    pub(crate) async fn until(&mut self, what: &str, is_so: impl Fn(&Value, &str) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let body = self.get("/status").await.filter(|(code, _)| *code == 200).map(|(_, body)| body);
            let status = body.map_or(Value::Null, |body| serde_json::from_str(&body).unwrap());
            self.daemon.as_mut().unwrap().assert_runs();
            let log = self.log();
            if is_so(&status, &log) {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "{what}: {status:#}\nlog:\n{log}");
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// A port on loopback that is free for UDP and TCP now.
fn free_port() -> u16 {
    loop {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = tcp.local_addr().unwrap();
        if UdpSocket::bind(address).is_ok() {
            return address.port();
        }
    }
}

/// What a volume holds, by path.
async fn files(volume: &Value, host: &Cluster, account: &str) -> BTreeMap<String, String> {
    if volume["emptyDir"].is_object() {
        return BTreeMap::new();
    }
    let Some(sources) = volume["projected"]["sources"].as_array() else {
        return source(volume, host, account).await;
    };
    let mut all = BTreeMap::new();
    for one in sources {
        for (path, text) in source(one, host, account).await {
            assert!(all.insert(path.clone(), text).is_none(), "{path} comes twice");
        }
    }
    all
}

async fn source(source: &Value, host: &Cluster, account: &str) -> BTreeMap<String, String> {
    let client = || host.client.clone();
    let name = |of: &Value| of["name"].as_str().or(of["secretName"].as_str()).unwrap().to_owned();
    if let Some(of) = source.get("configMap") {
        let map = Api::<ConfigMap>::namespaced(client(), NAMESPACE).get(&name(of)).await.unwrap();
        return picked(of, map.data.unwrap_or_default());
    }
    if let Some(of) = source.get("secret") {
        let secret = Api::<Secret>::namespaced(client(), NAMESPACE).get(&name(of)).await.unwrap();
        let data = secret.data.unwrap_or_default();
        return picked(of, data.into_iter().map(|(key, octets)| (key, String::from_utf8(octets.0).unwrap())).collect());
    }
    if let Some(of) = source.get("serviceAccountToken") {
        assert!(of["audience"].is_null(), "the token is for the API server");
        return BTreeMap::from([(of["path"].as_str().unwrap().to_owned(), token(host, account).await)]);
    }
    let items = source["downwardAPI"]["items"].as_array().unwrap_or_else(|| panic!("unknown volume {source}"));
    let field = |item: &Value| {
        assert_eq!(item["fieldRef"]["fieldPath"], "metadata.namespace");
        (item["path"].as_str().unwrap().to_owned(), NAMESPACE.to_owned())
    };
    items.iter().map(field).collect()
}

/// All keys under their names, or those of `items`; one that is missing would keep the pod from starting.
fn picked(of: &Value, data: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let Some(items) = of["items"].as_array() else { return data };
    let item = |item: &Value| {
        let key = item["key"].as_str().unwrap();
        (item["path"].as_str().unwrap().to_owned(), data.get(key).unwrap_or_else(|| panic!("no {key}")).clone())
    };
    items.iter().map(item).collect()
}

/// As kubelets write volumes: all files in a folder that `..data` leads to, and links through that at the names.
fn write(folder: &Path, files: impl IntoIterator<Item = (String, String)>) {
    let data = folder.join("..1");
    std::fs::create_dir_all(&data).unwrap();
    symlink("..1", folder.join("..data")).unwrap();
    for (path, text) in files {
        let file = data.join(&path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
        let first = path.split('/').next().unwrap();
        let link = folder.join(first);
        if link.symlink_metadata().is_err() {
            symlink(Path::new("..data").join(first), link).unwrap();
        }
    }
}

/// The lines of a log that tell of a missing right. The status is looked for as a word: a timestamp and an identity
/// have such digits too.
pub(super) fn denials(log: &str) -> Vec<String> {
    let is_denial = |line: &&str| {
        let mut words = line.split(|sign: char| !sign.is_alphanumeric());
        line.contains("no right") || words.any(|word| word == "403" || word.eq_ignore_ascii_case("forbidden"))
    };
    log.lines().filter(is_denial).map(str::to_owned).collect()
}
