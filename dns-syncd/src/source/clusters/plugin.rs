//! Credential plugins: programs of a kubeconfig's `exec` that print a token or a certificate.
//!
//! The client would run them too, but on a thread that waits however long they take and cannot be ended. Here one that
//! nobody waits for any more is killed.
//!
//! In: `exec` of a user · Out: [`Credentials`] · Called by: `connect.rs`, `leader/lease.rs`

use std::ffi::OsStr;
use std::io::{self, ErrorKind, IsTerminal as _};
use std::os::fd::OwnedFd;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::jiff::Timestamp;
use kube::config::{AuthInfo, ExecConfig, ExecInteractiveMode};
use serde::Deserialize;
use serde_json::json;
use tokio::net::unix::pipe::Receiver;

use super::loss::{Loss, LossKind};

/// More than this is no credential.
const LARGEST: usize = 1 << 20;
/// Between two looks whether a program has ended that prints no more.
const POLL: Duration = Duration::from_millis(5);

/// What a plugin printed; no `Debug`, since all of it is secret.
pub(super) struct Credentials {
    token: Option<String>,
    /// A certificate with its key, both PEM.
    certificate: Option<(String, String)>,
    /// Until when they hold, where it says so.
    pub(super) until: Option<Timestamp>,
}

/// `ExecCredential` of `client.authentication.k8s.io`, as far as it is used.
#[derive(Deserialize)]
struct Printed {
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    expiration_timestamp: Option<String>,
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

/// The plugin that gives a user's credentials, unless the kubeconfig itself has others, which come first.
pub(super) fn of(user: &AuthInfo) -> Option<&ExecConfig> {
    let has_others = user.auth_provider.is_some()
        || (user.username.is_some() && user.password.is_some())
        || user.token.is_some()
        || user.token_file.is_some();
    user.exec.as_ref().filter(|_| !has_others)
}

/// Puts the credentials that a plugin gives, where there is one, in its place; tells until when they hold.
///
/// # Errors
/// Those of [`run`], and when it does not end within `limit`.
pub(crate) async fn fill(user: &mut AuthInfo, limit: Duration) -> Result<Option<Timestamp>, Loss> {
    let Some(exec) = of(user) else { return Ok(None) };
    let late = |_| Loss::new(format!("its credential plugin did not end within {limit:?}"));
    let credentials = tokio::time::timeout(limit, run(exec)).await.map_err(late)??;
    let until = credentials.until;
    credentials.fill(user);
    Ok(until)
}

/// Runs a plugin to its end; it is killed when this is dropped before.
///
/// # Errors
/// When it cannot be started, fails, or prints no credentials. What it printed is in none of them.
pub(super) async fn run(exec: &ExecConfig) -> Result<Credentials, Loss> {
    let broken = |reason: String| Loss { kind: LossKind::Credentials, ..Loss::new(reason) };
    let Some(program) = &exec.command else {
        return Err(broken("`exec` in its kubeconfig has no `command`".to_owned()));
    };
    let child = command(program, exec).spawn();
    let child = child.map_err(|error| {
        let hint = exec.install_hint.as_deref().and_then(|hint| hint.lines().next());
        let hint = hint.map_or_else(String::new, |hint| format!("; hint: {hint}"));
        broken(format!("the credential plugin cannot be started: {error}: `{program}`{hint}"))
    })?;
    let ended = Running(Some(child)).end().await;
    let (status, printed) =
        ended.map_err(|error| broken(format!("the credential plugin `{program}` cannot be heard: {error}")))?;
    if !status.success() {
        return Err(broken(format!("the credential plugin `{program}` ended with {status}")));
    }
    parse(&printed).map_err(|reason| broken(format!("the credential plugin `{program}` printed {reason}")))
}

fn command(program: &str, exec: &ExecConfig) -> Command {
    let mut command = Command::new(program);
    command.args(exec.args.iter().flatten());
    for variable in exec.env.iter().flatten() {
        if let (Some(name), Some(value)) = (variable.get("name"), variable.get("value")) {
            command.env(name, value);
        }
    }
    let may_ask = exec.interactive_mode != Some(ExecInteractiveMode::Never);
    let is_interactive = may_ask && io::stdin().is_terminal();
    let cluster = exec.provide_cluster_info.then_some(exec.cluster.as_ref()).flatten();
    let mut spec = json!({ "interactive": is_interactive });
    if let Some(cluster) = cluster {
        spec["cluster"] = json!(cluster);
    }
    let info = json!({ "apiVersion": exec.api_version, "kind": "ExecCredential", "spec": spec });
    command.env::<&OsStr, _>("KUBERNETES_EXEC_INFO".as_ref(), info.to_string());
    command.stdin(if is_interactive { Stdio::inherit() } else { Stdio::null() });
    command.stderr(if may_ask { Stdio::inherit() } else { Stdio::null() });
    command.stdout(Stdio::piped());
    command
}

fn parse(printed: &[u8]) -> Result<Credentials, String> {
    // Without the parser's error: it may quote what was printed.
    let printed = serde_saphyr::from_slice::<Printed>(printed).map_err(|_| "no ExecCredential")?;
    let status = printed.status.ok_or("an ExecCredential without `status`")?;
    let until = status.expiration_timestamp.map(|text| text.parse()).transpose();
    let until = until.map_err(|_| "an `expirationTimestamp` that is no time of RFC 3339")?;
    let certificate = status.client_certificate_data.zip(status.client_key_data);
    let token = status.token.filter(|token| !token.is_empty());
    if token.is_none() && certificate.is_none() {
        return Err("neither a token nor a certificate with its key".to_owned());
    }
    Ok(Credentials { token, certificate, until })
}

impl Credentials {
    /// Puts them where the client finds them, in place of the plugin.
    pub(super) fn fill(self, user: &mut AuthInfo) {
        user.exec = None;
        user.token = self.token.map(Into::into);
        if let Some((certificate, key)) = self.certificate {
            user.client_certificate_data = Some(base64(certificate));
            user.client_key_data = Some(base64(key).into());
        }
    }
}

/// As kubeconfigs have it.
fn base64(text: String) -> String {
    let encoded = serde_json::to_value(ByteString(text.into_bytes()));
    encoded.ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// A program that is killed when nobody waits for it any more.
struct Running(Option<Child>);

impl Running {
    /// Its end, and what it printed.
    async fn end(mut self) -> io::Result<(ExitStatus, Vec<u8>)> {
        let Some(child) = &mut self.0 else { return Err(ErrorKind::NotFound.into()) };
        let printed = match child.stdout.take() {
            Some(stdout) => read(stdout).await?,
            None => Vec::new(),
        };
        loop {
            if let Some(status) = child.try_wait()? {
                self.0 = None;
                return Ok((status, printed));
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

async fn read(stdout: ChildStdout) -> io::Result<Vec<u8>> {
    let pipe = Receiver::from_owned_fd(OwnedFd::from(stdout))?;
    let (mut text, mut part) = (Vec::new(), [0; 4096]);
    loop {
        pipe.readable().await?;
        match pipe.try_read(&mut part) {
            Ok(0) => return Ok(text),
            Ok(length) => text.extend(part.iter().take(length)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if text.len() > LARGEST {
            return Err(io::Error::other(format!("it prints more than {LARGEST} bytes")));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(mut child) = self.0.take() else { return };
        drop(child.kill());
        // One that hangs in the kernel ends later, and nobody may wait for that here.
        drop(std::thread::Builder::new().spawn(move || child.wait()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_plugin_prints_is_read_and_never_repeated() {
        let token = parse(br#"{"kind": "ExecCredential", "status": {"token": "s3cret"}}"#).ok();
        assert!(token.is_some_and(|given| given.token.as_deref() == Some("s3cret") && given.until.is_none()));
        let pair = "status:\n  clientCertificateData: one\n  clientKeyData: two\n  token: ''\n  \
                    expirationTimestamp: 2026-01-02T03:04:05Z\n";
        let pair = parse(pair.as_bytes()).ok();
        let mut user = AuthInfo { exec: Some(ExecConfig::default()), ..AuthInfo::default() };
        assert!(of(&user).is_some());
        assert!(pair.as_ref().is_some_and(|given| given.until.is_some_and(|until| until.as_second() == 1_767_323_045)));
        if let Some(pair) = pair {
            pair.fill(&mut user);
        }
        assert_eq!((user.client_certificate_data.as_deref(), of(&user).is_none()), (Some("b25l"), true));
        for (printed, why) in [
            ("s3cret: [", "no ExecCredential"),
            ("{}", "without `status`"),
            ("status: {token: ''}", "neither a token nor a certificate"),
            ("status: {token: s3cret, expirationTimestamp: soon}", "no time of RFC 3339"),
        ] {
            let reason = parse(printed.as_bytes()).err().unwrap_or_default();
            assert!(reason.contains(why) && !reason.contains("s3cret"), "{reason}");
        }
    }
}
