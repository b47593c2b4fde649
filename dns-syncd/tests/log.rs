//! What the daemon's log tells: each trouble once when it comes, and once when it goes.

#![expect(clippy::unwrap_used, reason = "a failed test may panic")]

mod command;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStderr, Command, Stdio};

use command::{Setting, service};

/// A daemon whose log is read.
struct Logged {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStderr>>,
}

impl Logged {
    fn start(setting: &Setting, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_dns-syncd"))
            .args([&["run", "--config", "dns-syncd.conf"], arguments].concat())
            .current_dir(setting.folder.path())
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Reads on until a line has all of these; the log ends, and so does this, when the daemon does.
    #[track_caller]
    fn tells(&mut self, parts: &[&str]) -> String {
        let line = self.lines.by_ref().map(Result::unwrap).find(|line| parts.iter().all(|part| line.contains(part)));
        line.unwrap_or_else(|| panic!("the log ended without {parts:?}"))
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn setting() -> Setting {
    let setting = Setting::new();
    setting.write("embedded.conf", "[Global]\nzones = example.test\nlisten = 127.0.0.1:0\ndata-dir = data\n");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    setting.configure_admin(free);
    setting
}

#[test]
fn a_cluster_that_is_lost_and_found_is_told() {
    let setting = setting();
    let mut daemon = Logged::start(&setting, &[]);
    daemon.tells(&["INFO", "the cluster is known", "eu"]);
    setting.write("clusters/eu.yaml", "kind: [");
    daemon.tells(&["WARN", "the cluster is unknown", "eu", "eu.yaml:1"]);
    setting.cluster("eu", &[service("web", &["192.0.2.1"])]);
    daemon.tells(&["INFO", "the cluster is known", "eu"]);
}

#[test]
fn what_is_refused_and_what_is_held_are_told() {
    let setting = setting();
    let many: Vec<String> = (0..12).map(|at| service(&format!("web{at}"), &["192.0.2.1"])).collect();
    setting.cluster("eu", &many);
    setting.with_config(&["apply"]).ends(0);
    let mut daemon = Logged::start(&setting, &[]);
    daemon.tells(&["ready"]);
    setting.cluster("us", &[service("web", &["127.0.0.1"])]);
    daemon.tells(&["WARN", "refused", "127.0.0.1", "loopback"]);
    setting.cluster("eu", &many[..1]);
    let held = daemon.tells(&["WARN", "the guard holds losses"]);
    assert!(held.contains("max-delete") && held.contains("hash"), "{held}");
    setting.cluster("eu", &many);
    daemon.tells(&["INFO", "the guard holds nothing any more"]);
}

#[test]
fn the_quick_start_tells_trouble_too() {
    let setting = setting();
    let mut daemon = Logged::start(&setting, &["--show"]);
    setting.write("clusters/eu.yaml", "kind: [");
    daemon.tells(&["WARN", "eu"]);
}
