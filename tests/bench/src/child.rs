//! One child process from its start to its end: what it printed, its wall time, CPU time and peak memory.
//!
//! The kernel tells the peak memory of ended children as one maximum over all of them. So each child is run by a
//! process of its own, this program once more (`dns-bench measure`), which has no other child.

use std::ffi::OsString;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use serde::{Deserialize, Serialize};

/// What a process took.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// From before its start until after its end, in seconds.
    pub(crate) wall: f64,
    /// User and system time of all its threads, in seconds.
    pub(crate) cpu: f64,
    /// The most memory that was resident at once, in KiB.
    pub(crate) peak_kib: i64,
    /// Its exit code; -1 after a signal.
    pub(crate) code: i32,
}

/// A process that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) usage: Usage,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a program to its end, measured. Of `command` its program, arguments and variables count.
///
/// # Errors
/// When it cannot be started, or ends with a code that is not among `codes`: with what it printed to standard error.
pub(crate) fn run(command: &Command, codes: &[i32]) -> anyhow::Result<Ended> {
    let folder = tempfile::tempdir()?;
    let file = |name: &str| folder.path().join(name);
    let mut outer = Command::new(std::env::current_exe()?);
    outer.arg("measure").arg(file("usage")).arg("--").arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer.stdin(Stdio::null()).stdout(File::create(file("stdout"))?).stderr(File::create(file("stderr"))?);
    let status = outer.status().context("starting this program once more")?;
    let text = |name: &str| std::fs::read(file(name)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let (stdout, stderr) = (text("stdout")?, text("stderr")?);
    let program = command.get_program().display();
    ensure!(status.success(), "measuring `{program}`: {status}; it printed:\n{stderr}");
    let usage: Usage = serde_json::from_str(&text("usage")?)?;
    if !codes.contains(&usage.code) {
        let end: Vec<_> = stderr.lines().rev().take(20).collect();
        let end: Vec<_> = end.into_iter().rev().collect();
        bail!("`{program}` ended with the code {}; its last lines:\n{}", usage.code, end.join("\n"));
    }
    Ok(Ended { usage, stdout, stderr })
}

/// The inner process of [`run`].
///
/// # Errors
/// When the program cannot be started.
pub(crate) fn measure(file: &Path, command: &[OsString]) -> anyhow::Result<()> {
    let usage = measured(command)?;
    std::fs::write(file, serde_json::to_string(&usage)?)?;
    Ok(())
}

fn measured(command: &[OsString]) -> anyhow::Result<Usage> {
    let (program, arguments) = command.split_first().context("there is no program")?;
    let begun = Instant::now();
    let status = Command::new(program).args(arguments).status();
    let wall = begun.elapsed().as_secs_f64();
    let status = status.with_context(|| format!("starting `{}`", program.display()))?;
    let children = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let cpu = seconds(children.user_time()) + seconds(children.system_time());
    Ok(Usage { wall, cpu, peak_kib: children.max_rss(), code: status.code().unwrap_or(-1) })
}

#[expect(clippy::cast_precision_loss, reason = "seconds of CPU, far below 2^52")]
fn seconds(time: TimeVal) -> f64 {
    time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6
}
