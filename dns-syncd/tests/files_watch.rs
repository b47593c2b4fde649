//! What the running file source tells when files change: real files, real notifications, no fixed waits.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dns_sync_core::SourceEvent;
use dns_syncd::source::{EndpointSource, FileSource, Select, SourceError};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// A source that runs on a folder, and what it told.
struct Running {
    dir: TempDir,
    events: mpsc::Receiver<Vec<SourceEvent>>,
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<(), SourceError>>,
}

fn manifest(region: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Node\nmetadata:\n  name: n\n  labels:\n    topology.kubernetes.io/region: {region}\n"
    )
}

/// One word for each event, such as `c1 eu` for an answer.
fn words(batch: &[SourceEvent]) -> Vec<String> {
    let word = |event: &SourceEvent| match event {
        SourceEvent::Joined { cluster } => format!("{cluster} joined"),
        SourceEvent::Answer { cluster, answer } => {
            let regions = answer.places.iter().flatten().map(|place| place.region.to_string());
            format!("{cluster} {}", regions.collect::<Vec<_>>().join("+"))
        }
        SourceEvent::Unknown { cluster, .. } => format!("{cluster} unknown"),
        SourceEvent::Disappeared { cluster } => format!("{cluster} disappeared"),
        SourceEvent::Problems { problems, .. } => format!("{} problems", problems.len()),
        other => format!("{other:?}"),
    };
    batch.iter().map(word).collect()
}

impl Running {
    fn start(dir: TempDir, path: &Path) -> Self {
        let (sender, events) = mpsc::channel(16);
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(Box::new(FileSource::new(path, Select::All)).run(sender, stopped));
        Self { dir, events, stop, task }
    }

    /// Two members, `c1` in `eu` and `c2` in `us`.
    async fn members() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("clusters")).unwrap();
        fs::write(dir.path().join("clusters/c1.yaml"), manifest("eu")).unwrap();
        fs::write(dir.path().join("clusters/c2.yaml"), manifest("us")).unwrap();
        let path = dir.path().to_owned();
        let mut running = Self::start(dir, &path);
        assert_eq!(running.next().await, ["c1 joined", "c1 eu", "c2 joined", "c2 us"]);
        running
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("clusters").join(name)
    }

    /// The next batch; the limit is only there so that a fault does not hang the tests.
    async fn next(&mut self) -> Vec<String> {
        let batch = tokio::time::timeout(Duration::from_mins(1), self.events.recv()).await;
        words(&batch.expect("a batch comes").expect("the source runs"))
    }

    async fn end(self) {
        self.stop.send(true).unwrap();
        self.task.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn an_edit_is_told_for_its_cluster_alone() {
    let mut running = Running::members().await;
    fs::write(running.path("c1.yaml"), manifest("asia")).unwrap();
    assert_eq!(running.next().await, ["c1 asia"]);
    running.end().await;
}

#[tokio::test]
async fn a_file_renamed_into_place_is_told() {
    let mut running = Running::members().await;
    fs::write(running.path(".new"), manifest("asia")).unwrap();
    fs::rename(running.path(".new"), running.path("c2.yaml")).unwrap();
    assert_eq!(running.next().await, ["c2 asia"]);
    running.end().await;
}

#[tokio::test]
async fn a_new_member_joins_and_a_removed_one_disappears() {
    let mut running = Running::members().await;
    fs::create_dir(running.path("c3")).unwrap();
    fs::write(running.path("c3/nodes.yaml"), manifest("asia")).unwrap();
    let mut told = running.next().await;
    if told.contains(&"c3 unknown".to_owned()) {
        told.extend(running.next().await); // the folder was looked at before its file came
    }
    assert_eq!((told.first().unwrap().as_str(), told.contains(&"c3 asia".to_owned())), ("c3 joined", true));
    fs::remove_file(running.path("c1.yaml")).unwrap();
    assert_eq!(running.next().await, ["c1 disappeared"]);
    running.end().await;
}

#[tokio::test]
async fn a_broken_file_makes_its_cluster_unknown_until_it_is_mended() {
    let mut running = Running::members().await;
    fs::write(running.path("c1.yaml"), "kind: [").unwrap();
    assert_eq!(running.next().await, ["c1 unknown", "1 problems"]);
    fs::write(running.path("c1.yaml"), manifest("eu")).unwrap();
    assert_eq!(running.next().await, ["c1 eu", "0 problems"]);
    running.end().await;
}

#[tokio::test]
async fn a_second_file_of_one_name_makes_the_cluster_unknown() {
    let mut running = Running::members().await;
    fs::write(running.path("c1.json"), "{}").unwrap();
    assert_eq!(running.next().await, ["c1 unknown", "1 problems"]);
    fs::remove_file(running.path("c1.json")).unwrap();
    assert_eq!(running.next().await, ["c1 eu", "0 problems"]);
    running.end().await;
}

#[tokio::test]
async fn a_vanished_folder_takes_no_cluster_along() {
    let mut running = Running::members().await;
    fs::rename(running.dir.path().join("clusters"), running.dir.path().join("away")).unwrap();
    assert_eq!(running.next().await, ["c1 unknown", "c2 unknown", "1 problems"]);
    fs::rename(running.dir.path().join("away"), running.dir.path().join("clusters")).unwrap();
    let mut told = running.next().await;
    while !told.contains(&"c2 us".to_owned()) {
        told.extend(running.next().await);
    }
    // A look in the middle of the rename sees another fault than the next one, which is told as well.
    assert!(told.ends_with(&["0 problems", "c1 eu", "c2 us"].map(str::to_owned)), "{told:?}");
    assert!(!told.iter().any(|word| word.contains("disappeared")), "{told:?}");
    running.end().await;
}

#[tokio::test]
async fn the_swap_of_a_mounted_config_map_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let mount = dir.path().join("mount");
    for (version, region) in [("..one", "eu"), ("..two", "us")] {
        fs::create_dir_all(mount.join(version)).unwrap();
        fs::write(mount.join(version).join("c1.yaml"), manifest(region)).unwrap();
    }
    symlink("..one", mount.join("..data")).unwrap();
    symlink("..data/c1.yaml", mount.join("c1.yaml")).unwrap();
    let mut running = Running::start(dir, &mount);
    assert_eq!(running.next().await, ["c1 joined", "c1 eu"]);
    symlink("..two", mount.join("..data_tmp")).unwrap();
    fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    assert_eq!(running.next().await, ["c1 us"]);
    running.end().await;
}

#[tokio::test]
async fn a_dump_that_breaks_keeps_the_last_view() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dump.json");
    let dump = |region: &str| {
        format!(
            r#"{{"apiVersion":"federation/v1beta1","kind":"Cluster","metadata":{{"name":"c1"}},"status":{{"region":"{region}","conditions":[{{"type":"Ready","status":"True"}}]}}}}"#
        )
    };
    fs::write(&path, dump("eu")).unwrap();
    let mut running = Running::start(dir, &path);
    assert_eq!(running.next().await, ["c1 joined", "c1 eu"]);
    fs::write(&path, "{").unwrap();
    assert_eq!(running.next().await, ["1 problems"]);
    fs::write(&path, dump("us")).unwrap();
    assert_eq!(running.next().await, ["c1 us", "0 problems"]);
    fs::remove_file(&path).unwrap();
    assert_eq!(running.next().await, ["1 problems"]);
    running.end().await;
}

#[tokio::test]
async fn a_source_that_cannot_be_read_at_the_start_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("clusters");
    let running = Running::start(dir, &path);
    let error = running.task.await.unwrap().unwrap_err();
    assert!(error.origin.ends_with("clusters"), "{error}");
}
