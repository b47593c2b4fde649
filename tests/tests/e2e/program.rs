//! The program `dns-syncd` as a process.

use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// The program: `DNS_SYNCD_BIN`, else the one of this workspace, built when it is not up to date.
pub(crate) fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| match std::env::var_os("DNS_SYNCD_BIN") {
        Some(path) => path.into(),
        None => build(),
    })
}

/// Builds it beside this test's own executable, `<target>/<profile>/deps/e2e-…`, in the same profile.
fn build() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--package", "dns-syncd", "--target-dir"]).arg(folder.parent().unwrap());
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    assert!(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success(), "dns-syncd does not build");
    folder.join("dns-syncd")
}

/// A command whose settings are its arguments alone.
fn command(config: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.env_clear().stdin(Stdio::null()).args(arguments).arg("--config").arg(config);
    command
}

/// A command of nothing but its arguments, not started yet.
pub(crate) fn bare(arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.env_clear().stdin(Stdio::null()).args(arguments);
    command
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a command to its end.
pub(crate) async fn call(config: &Path, arguments: &[&str]) -> Ended {
    ended(command(config, arguments)).await
}

/// Runs a command to its end.
pub(crate) async fn ended(mut command: Command) -> Ended {
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

//----------- Container -----------------------------------------------

/// What a program finds in a container of a cluster: how its API server is reached.
#[derive(Clone, Debug)]
pub(crate) struct Container {
    /// Whom the variables name.
    pub(crate) server: SocketAddr,
    /// The folder with `ca.crt`, `namespace` and `token` that is mounted where clients look.
    pub(crate) account: PathBuf,
}

/// Where clients look for them cannot be told: so nobody else sees what is there. The process keeps its id.
const IN_CONTAINER: &str = "mount -t tmpfs none /var/run && mkdir -p /var/run/secrets/kubernetes.io && \
                            ln -s \"$0\" /var/run/secrets/kubernetes.io/serviceaccount && exec \"$@\"";

impl Container {
    /// `dns-syncd run` in it.
    pub(crate) fn run(&self, config: &Path) -> Command {
        let mut command = Command::new("unshare");
        command.env_clear().stdin(Stdio::null());
        command.env("KUBERNETES_SERVICE_HOST", self.server.ip().to_string());
        command.env("KUBERNETES_SERVICE_PORT", self.server.port().to_string());
        if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
            command.arg("--map-root-user");
        }
        command.args(["--mount", "sh", "-c", IN_CONTAINER]).arg(&self.account);
        command.arg(program()).args(["run", "--config"]).arg(config);
        command
    }
}

//----------- Daemon --------------------------------------------------

/// `dns-syncd run`; killed when dropped.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    pub(crate) fn start(config: &Path, log: PathBuf) -> Self {
        Self::of(command(config, &["run"]), log)
    }

    /// The same by this command.
    pub(crate) fn of(mut command: Command, log: PathBuf) -> Self {
        let file = std::fs::File::create(&log).unwrap();
        let copy = file.try_clone().unwrap();
        let child = command.stdout(file).stderr(copy).spawn().unwrap();
        Self { child, log }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it at once, as a crash does.
    pub(crate) fn kill(mut self) {
        self.assert_runs();
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end, as an init system does; it must end well.
    pub(crate) async fn stop(mut self) {
        self.assert_runs();
        let asked = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(asked.success());
        let log = self.log.clone();
        let status = tokio::task::spawn_blocking(move || self.child.wait().unwrap()).await.unwrap();
        assert!(status.success(), "{status}: {}", std::fs::read_to_string(log).unwrap());
    }

    /// Sends it a signal, such as `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name]).arg(self.child.id().to_string()).status().unwrap();
        assert!(sent.success(), "SIG{name} could not be sent");
    }

    pub(crate) fn assert_runs(&mut self) {
        let ended = self.child.try_wait().unwrap();
        assert!(ended.is_none(), "the daemon ended by itself, {ended:?}; its log:\n{}", self.log());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
