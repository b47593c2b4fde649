//! A Kubernetes API server on loopback, without controllers, nodes or kubelets: objects are what tests write.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::process::{Process, start_on_free_ports};
use super::{Etcd, Program, certificates};

/// kube-apiserver 1.34. Not looked for on `PATH`: whatever is there, only its variable says which.
pub const KUBE_APISERVER: Program =
    Program { variable: "KUBE_APISERVER_BIN", file: "kube-apiserver-1.34.1", on_path: None };

/// What it logs when it listens.
const LISTENS: [&str; 1] = ["Serving securely on"];
/// What it writes to etcd by itself, the last of which makes it usable: namespaces and the roles that RBAC brings.
const WRITES: [&str; 4] =
    ["namespaces/kube-system", "namespaces/default", "clusterroles/cluster-admin", "clusterrolebindings/cluster-admin"];
/// The second token of the plain user.
const RENEWED: &str = "renewed-token-of-dns-syncd";
/// Checks before a start counts as failed, and the pause between two.
const TRIES: u32 = 1200;
const PAUSE: Duration = Duration::from_millis(50);

/// Whose kubeconfig.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KubeUser {
    /// In the group `system:masters`: may do everything.
    Admin,
    /// `dns-syncd`: may do nothing until a test gives it rights.
    Plain,
}

impl KubeUser {
    fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Plain => "dns-syncd",
        }
    }
}

/// A running API server; killed when dropped. Its objects live in the etcd.
#[derive(Debug)]
pub struct KubeApi {
    name: String,
    etcd_url: String,
    port: u16,
    process: Process,
    folder: TempDir,
}

impl KubeApi {
    /// Starts an API server with its objects below the prefix `/NAME` of an etcd, and waits until it is usable.
    ///
    /// # Panics
    /// When there is no program ([`Program::find`]) or it does not start: the test fails.
    pub async fn start(etcd: &Etcd, name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        prepare(folder.path());
        let etcd_url = etcd.url();
        let launched = |[port]: [u16; 1]| launch(name, &etcd_url, port, folder.path());
        let (process, [port]) = start_on_free_ports(launched, &LISTENS).await;
        let api = Self { name: name.to_owned(), etcd_url: etcd_url.clone(), port, process, folder };
        api.usable(etcd).await;
        api
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The name that it was started with, that of its context in kubeconfigs as well.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file of the certificate with which it can be verified.
    pub fn certificate_authority(&self) -> PathBuf {
        self.folder.path().join("certificates/apiserver.crt")
    }

    /// A kubeconfig with the one context `NAME`. It names the certificate's file, which lives as long as this value.
    pub fn kubeconfig(&self, user: KubeUser) -> String {
        self.kubeconfig_with(&format!("token: {}", token(user)))
    }

    /// The same, with other credentials: one line of YAML such as `tokenFile: …`.
    pub fn kubeconfig_with(&self, credentials: &str) -> String {
        let (name, url, authority) = (&self.name, self.url(), self.certificate_authority());
        let mut text = String::from("apiVersion: v1\nkind: Config\n");
        let cluster = format!("{{server: '{url}', certificate-authority: '{}'}}", authority.display());
        let written = write!(
            text,
            "clusters:\n- {{name: {name}, cluster: {cluster}}}\ncontexts:\n- {{name: {name}, context: {{cluster: {name}, \
             user: {name}}}}}\nusers:\n- name: {name}\n  user:\n    {credentials}\ncurrent-context: {name}\n"
        );
        written.expect("a text can be written to");
        text
    }

    /// The token of a user, for a `tokenFile`.
    pub fn token(&self, user: KubeUser) -> String {
        token(user)
    }

    /// Another token of `dns-syncd`, as it is given when credentials rotate. Certificates of
    /// [`certificates::AUTHORITY`] are accepted as well, for the user that they name.
    pub fn renewed_token(&self) -> String {
        RENEWED.to_owned()
    }

    /// Ends the process as a crash does. The objects stay for [`KubeApi::restart`].
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Ends the process if it runs, and starts it on the same port and objects.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn restart(&mut self) {
        self.process.kill();
        self.process = launch(&self.name, &self.etcd_url, self.port, self.folder.path());
        assert!(self.process.logs(&LISTENS).await, "kube-apiserver did not start again; its log:\n{}", self.log());
    }

    /// What the process has logged since its last start.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Waits until the namespaces and roles are there that it makes by itself.
    async fn usable(&self, etcd: &Etcd) {
        let mut ticks = tokio::time::interval(PAUSE);
        for _ in 0..TRIES {
            ticks.tick().await;
            let keys = etcd.list(&format!("/{}/", self.name)).await;
            if WRITES.iter().all(|write| keys.contains_key(&format!("/{}/{write}", self.name))) {
                return;
            }
        }
        panic!("kube-apiserver did not become usable; its log:\n{}", self.log());
    }
}

fn token(user: KubeUser) -> String {
    format!("token-of-{}", user.name())
}

/// The tokens, and the key that service account tokens would be signed with.
fn prepare(folder: &Path) {
    let masters = format!("{},admin,1,\"system:masters\"\n", token(KubeUser::Admin));
    let plain = format!("{},dns-syncd,2\n{RENEWED},dns-syncd,2\n", token(KubeUser::Plain));
    std::fs::write(folder.join("clients.crt"), certificates::AUTHORITY).expect("the temporary folder can be written");
    std::fs::write(folder.join("tokens.csv"), masters + &plain).expect("the temporary folder can be written");
    std::fs::write(folder.join("accounts.key"), ACCOUNTS_KEY).expect("the temporary folder can be written");
}

fn launch(name: &str, etcd_url: &str, port: u16, folder: &Path) -> Process {
    let mut command = Command::new(KUBE_APISERVER.find());
    command
        .args(["--etcd-servers", etcd_url, "--etcd-prefix", &format!("/{name}")])
        .args(["--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1"])
        .args(["--secure-port", &port.to_string()])
        .arg("--cert-dir")
        .arg(folder.join("certificates"))
        .arg("--token-auth-file")
        .arg(folder.join("tokens.csv"))
        .arg("--client-ca-file")
        .arg(folder.join("clients.crt"))
        .arg("--service-account-key-file")
        .arg(folder.join("accounts.key"))
        .arg("--service-account-signing-key-file")
        .arg(folder.join("accounts.key"))
        .args(["--service-account-issuer", "https://kubernetes.default.svc"])
        .args(["--authorization-mode", "RBAC", "--service-cluster-ip-range", "10.0.0.0/16"])
        // Nobody makes service accounts here, and pods are not wanted.
        .args(["--disable-admission-plugins", "ServiceAccount"])
        // Does not spread leases and endpoints of the server itself over the objects that tests see.
        .args(["--endpoint-reconciler-type", "none"]);
    Process::start(&mut command, &folder.join("log"))
}

/// A throwaway key (P-256) that guards nothing: these servers issue no tokens to anybody.
const ACCOUNTS_KEY: &str = "\
-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIBv8bPYu9O6/rsxd5Hrcz8A+hbfYT15QD8vLbVqu5zVhoAoGCCqGSM49
AwEHoUQDQgAEG57PkqcMmJ0G4skeFm5hfoz4SXCTPAahfn3lqKiIpy4Xw04EHfQ3
JT7h1u783coK5Zj5DYMr7GxYcoCekXdeug==
-----END EC PRIVATE KEY-----
";
