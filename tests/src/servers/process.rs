//! One child process: its log, its end, and the wait until it is ready.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Checks before a start counts as failed: a minute, far above the second that a loaded machine needs.
const TRIES: u32 = 1200;
const PAUSE: Duration = Duration::from_millis(50);

/// A running process that is killed when this value is dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with all its output in the new file `log`.
    pub(super) fn start(command: &mut Command, log: &Path) -> Self {
        let file = std::fs::File::create(log).expect("the temporary folder can be written");
        let copy = file.try_clone().expect("a file handle can be copied");
        let child = command.stdin(Stdio::null()).stdout(file).stderr(copy).spawn();
        let child = child.unwrap_or_else(|error| panic!("starting {command:?}: {error}"));
        Self { child, log: log.to_owned() }
    }

    /// Waits until the process itself logs one of `marks`; false when it ended first, as after a lost race for a port.
    ///
    /// Its own log, and not an answer on the port, because another process may have won the port.
    pub(super) async fn logs(&mut self, marks: &[&str]) -> bool {
        let mut ticks = tokio::time::interval(PAUSE);
        for _ in 0..TRIES {
            ticks.tick().await;
            if self.child.try_wait().expect("a child can be waited for").is_some() {
                return false;
            }
            let log = self.log();
            if marks.iter().any(|mark| log.contains(mark)) {
                return true;
            }
        }
        panic!("the server did not become ready; its log:\n{}", self.log());
    }

    /// What it has written so far.
    pub(super) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Ends it at once, as a crash does, and waits until it is gone.
    pub(super) fn kill(&mut self) {
        // Fails only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts on fresh ports until a start succeeds: between choosing a port and using it another process may take it.
pub(super) async fn start_on_free_ports<const N: usize>(
    mut start: impl FnMut([u16; N]) -> Process,
    marks: &[&str],
) -> (Process, [u16; N]) {
    let mut last_log = String::new();
    for _ in 0..5 {
        let ports = free_ports();
        let mut process = start(ports);
        if process.logs(marks).await {
            return (process, ports);
        }
        last_log = process.log();
    }
    panic!("the server ended at once, five times; its log:\n{last_log}");
}

/// Ports that are free for TCP now, all different.
fn free_ports<const N: usize>() -> [u16; N] {
    let listeners: [TcpListener; N] =
        std::array::from_fn(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port"));
    listeners.map(|listener| listener.local_addr().expect("a bound socket has an address").port())
}
