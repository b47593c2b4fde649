//! What reading a large dump takes, counted by the kernel in a process with nothing else in it.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use dns_sync_core::SourceEvent;
use dns_syncd::source::{EndpointSource as _, FileSource, Select};

const FILE: &str = "DNS_SYNCD_READ_FILE";
const SERVICES: usize = 50_000;

/// Resident memory in bytes: now (`VmRSS`), or the most that it ever was (`VmHWM`).
fn resident(field: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim_matches([':', ' ', '\t', 'k', 'B']).parse::<usize>().unwrap() * 1024
}

/// A service in two clusters, as federation v1's service controller wrote it.
fn ingresses(number: usize) -> String {
    let items = (0..2).map(|cluster| {
        let (high, low) = (number / 256, number % 256);
        format!(r#"{{"cluster":"c{cluster}","items":[{{"ip":"10.{cluster}.{high}.{low}"}}]}}"#)
    });
    format!(r#"{{"items":[{}]}}"#, items.collect::<Vec<_>>().join(","))
}

fn json() -> String {
    let mut text = r#"{"apiVersion":"v1","kind":"List","items":["#.to_owned();
    for cluster in 0..2 {
        write!(
            text,
            r#"{{"apiVersion":"federation/v1beta1","kind":"Cluster","metadata":{{"name":"c{cluster}"}},"status":{{"conditions":[{{"type":"Ready","status":"True"}}],"region":"r","zones":["z{cluster}"]}}}},"#
        )
        .unwrap();
    }
    for number in 0..SERVICES {
        let (namespace, ingresses) = (number % 50, ingresses(number).replace('"', r#"\""#));
        write!(
            text,
            r#"{{"apiVersion":"v1","kind":"Service","metadata":{{"name":"svc-{number}","namespace":"ns-{namespace}","annotations":{{"federation.kubernetes.io/service-ingresses":"{ingresses}"}}}},"spec":{{"type":"LoadBalancer"}}}},"#
        )
        .unwrap();
    }
    text.pop(); // the comma behind the last one
    text + "]}\n"
}

/// As `kubectl get -o yaml` lays it out.
fn yaml() -> String {
    let mut text = "apiVersion: v1\nitems:\n".to_owned();
    for cluster in 0..2 {
        write!(
            text,
            "- apiVersion: federation/v1beta1\n  kind: Cluster\n  metadata:\n    name: c{cluster}\n  status:\n    \
             conditions:\n    - status: \"True\"\n      type: Ready\n    region: r\n    zones:\n    - z{cluster}\n"
        )
        .unwrap();
    }
    for number in 0..SERVICES {
        let (namespace, ingresses) = (number % 50, ingresses(number));
        write!(
            text,
            "- apiVersion: v1\n  kind: Service\n  metadata:\n    annotations:\n      \
             federation.kubernetes.io/service-ingresses: '{ingresses}'\n    name: svc-{number}\n    namespace: \
             ns-{namespace}\n  spec:\n    type: LoadBalancer\n"
        )
        .unwrap();
    }
    text + "kind: List\n"
}

/// Bytes for each service at the peak, above the text of the file.
fn read(file: &Path) -> usize {
    let text = usize::try_from(std::fs::metadata(file).unwrap().len()).unwrap();
    let mut source = FileSource::new(file, Select::All);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let before = resident("VmRSS");
    let events = runtime.block_on(source.read_once()).unwrap();
    let peak = resident("VmHWM");
    let services = events.iter().map(|event| match event {
        SourceEvent::Answer { answer, .. } => answer.services.len(),
        _ => 0,
    });
    assert_eq!(services.sum::<usize>(), 2 * SERVICES);
    (peak - before).saturating_sub(text) / SERVICES
}

/// Each object is let go before the next is read, and of its two copies a few hundred bytes are kept: 604 in all, where a
/// reader that has all objects at once takes 1,400. The text itself is there until the end.
#[test]
fn a_dump_is_read_in_little_more_than_what_is_kept_of_it() {
    if let Some(file) = std::env::var_os(FILE) {
        let peak = read(Path::new(&file));
        eprintln!("{peak} bytes a service");
        assert!(peak <= 750, "{peak} bytes a service");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("dump.json", json()), ("dump.yaml", yaml())] {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        let test = std::thread::current().name().unwrap().to_owned();
        let mut child = Command::new(std::env::current_exe().unwrap());
        let out = child.args([&test, "--exact", "--nocapture", "--test-threads=1"]).env(FILE, &file).output().unwrap();
        let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{name}: {said}");
        eprintln!("{name}: {said}");
    }
}
