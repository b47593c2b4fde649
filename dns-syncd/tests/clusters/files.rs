//! Where members come from: kubeconfig files and folders that come, go, break and are swapped.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use dns_syncd::source::clusters::Pace;
use dns_syncd::source::{ClusterSource, ClustersConfig, EndpointSource as _};

use crate::fake::{Fake, SERVICES, service};
use crate::heard::{Heard, Stands, folder, pace};

fn write(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

#[tokio::test]
async fn a_broken_kubeconfig_makes_its_cluster_unknown_until_it_is_mended() {
    let fake = Fake::start();
    let files = tempfile::tempdir().unwrap();
    write(&files.path().join("eu.yaml"), &fake.kubeconfig("x", "{}"));
    write(&files.path().join("us.yaml"), "clusters: [");
    let mut heard = Heard::of(folder(files.path()));
    heard.unknown("us", "us.yaml").await;
    heard.known("eu").await;
    write(&files.path().join("us.yaml"), &fake.kubeconfig("x", "{}"));
    heard.known("us").await;
    write(&files.path().join("us.yaml"), "contexts: [{name: x, context: {cluster: nowhere}}]");
    heard.unknown("us", "names the cluster `nowhere`, which is not there").await;
    assert_eq!(heard.stands("eu"), Some(&Stands::Known));
}

#[tokio::test]
async fn members_come_and_go_with_their_files_but_an_unmounted_folder_is_no_farewell() {
    let fake = Fake::start();
    let files = tempfile::tempdir().unwrap();
    let mounted = files.path().join("mounted");
    std::fs::create_dir(&mounted).unwrap();
    for name in ["eu", "us"] {
        write(&mounted.join(name), &fake.kubeconfig("x", "{}"));
    }
    let mut heard = Heard::of(folder(&mounted));
    heard.known("eu").await;
    heard.known("us").await;
    std::fs::rename(&mounted, files.path().join("away")).unwrap();
    heard.unknown("eu", "the folder cannot be read").await;
    heard.unknown("us", "the folder cannot be read").await;
    std::fs::create_dir(&mounted).unwrap();
    heard.unknown("us", "the folder has no kubeconfig").await;
    std::fs::remove_dir(&mounted).unwrap();
    std::fs::rename(files.path().join("away"), &mounted).unwrap();
    heard.known("eu").await;
    heard.known("us").await;
    assert!(!heard.history.iter().any(|(_, stands)| *stands == Stands::Gone));
    std::fs::remove_file(mounted.join("us")).unwrap();
    heard.until("`us` disappears", |heard| heard.stands("us") == Some(&Stands::Gone)).await;
    write(&mounted.join("asia"), &fake.kubeconfig("x", "{}"));
    heard.known("asia").await;
    assert_eq!(heard.stands("eu"), Some(&Stands::Known));
}

/// A source whose files and folders are not there yet tells why, and goes on as soon as they are.
#[tokio::test]
async fn a_source_begins_while_its_clusters_are_away() {
    let fake = Fake::start();
    let files = tempfile::tempdir().unwrap();
    let path = files.path().join("clusters");
    let of_file = || ClustersConfig { kubeconfig: vec![path.clone()], ..ClustersConfig::default() };
    for (config, words) in [
        (folder(&path), "the folder cannot be read"),
        (folder(files.path()), "the folder has no kubeconfig"),
        (of_file(), "there is no such file"),
    ] {
        let told = format!(
            "there is no cluster: {}: {words}",
            if words.contains("has no") { files.path() } else { &path }.display()
        );
        let error = ClusterSource::new(config.clone()).with_pace(pace()).read_once().await.unwrap_err();
        assert!(error.reason.starts_with(&told), "a command has nothing to wait for: {error}");
        let mut heard = Heard::of(config.clone());
        heard.until("the problem is told", |heard| heard.problem(&told).is_some()).await;
        assert!(heard.history.is_empty(), "nothing is concluded");
        let is_folder = config.folder.as_ref() == Some(&path);
        let kubeconfig = if is_folder { path.join("eu") } else { path.clone() };
        std::fs::create_dir_all(kubeconfig.parent().unwrap()).unwrap();
        write(&kubeconfig, &fake.kubeconfig("eu", "{}"));
        let name = if config.folder.is_some() && !is_folder { "clusters" } else { "eu" };
        heard.known(name).await;
        assert!(heard.problem(words).is_none(), "and the problem is over");
        let gone = if is_folder { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&kubeconfig) };
        gone.unwrap();
    }
}

#[tokio::test]
async fn what_else_lies_in_a_folder_is_no_member() {
    let fake = Fake::start();
    let files = tempfile::tempdir().unwrap();
    for file in ["README.md", "ca.crt", "eu.yaml~", ".hidden", "lost+found/x", "certificates/ca.crt", "us/kubeconfig"] {
        let file = files.path().join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, fake.kubeconfig("x", "{}")).unwrap();
    }
    std::fs::create_dir(files.path().join("absent-secret")).unwrap();
    write(&files.path().join("eu.yaml"), &fake.kubeconfig("x", "{}"));
    let mut heard = Heard::of(folder(files.path()));
    heard.unknown("absent-secret", "absent-secret/kubeconfig: there is no such file").await;
    heard.known("eu").await;
    heard.known("us").await;
    // One that had a kubeconfig is still that cluster's, whatever else lies there.
    std::fs::write(files.path().join("us/ca.crt"), "").unwrap();
    std::fs::remove_file(files.path().join("us/kubeconfig")).unwrap();
    heard.unknown("us", "us/kubeconfig: there is no such file").await;
    assert_eq!(heard.members.keys().collect::<Vec<_>>(), ["absent-secret", "eu", "us"]);
}

#[tokio::test]
async fn a_change_that_cannot_be_meant_leaves_the_members_as_they_are() {
    let fake = Fake::start();
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("kubeconfig");
    let whole = fake.kubeconfig("eu", "{}");
    write(&file, &whole);
    let config = ClustersConfig { kubeconfig: vec![file.clone()], ..ClustersConfig::default() };
    let mut heard = Heard::of(config);
    heard.known("eu").await;
    write(&file, &whole.replace("contexts:\n", "contexts:\n- {name: admin, context: {cluster: eu, user: eu}}\n"));
    let words = "the contexts `admin` and `eu` lead to the same cluster `eu`";
    heard.until("the problem is told", |heard| heard.problem(words).is_some()).await;
    fake.serve("web", "192.0.2.1", true);
    heard.until("the member is followed", |heard| heard.services("eu").len() == 1).await;
    write(&file, &whole);
    heard.until("the problem is over", |heard| heard.problem(words).is_none()).await;
    assert!(!heard.was_unknown("eu"));
}

/// As kubelet mounts a Secret: names link into `..data`, which links to a folder and is swapped as a whole.
#[tokio::test]
async fn a_mounted_secret_is_swapped() {
    let (one, two) = (Fake::start(), Fake::start());
    one.serve("web", "192.0.2.1", true);
    two.serve("web", "192.0.2.2", true);
    let files = tempfile::tempdir().unwrap();
    let secret = files.path().join("eu");
    for (version, fake) in [("..1", &one), ("..2", &two)] {
        std::fs::create_dir_all(secret.join(version)).unwrap();
        std::fs::write(secret.join(version).join("kubeconfig"), fake.kubeconfig("x", "{}")).unwrap();
    }
    symlink("..1", secret.join("..data")).unwrap();
    symlink("..data/kubeconfig", secret.join("kubeconfig")).unwrap();
    let mut heard = Heard::of(folder(files.path()));
    heard.known("eu").await;
    symlink("..2", secret.join("..new")).unwrap();
    std::fs::rename(secret.join("..new"), secret.join("..data")).unwrap();
    let moved = |heard: &Heard| heard.services("eu") == [("web".to_owned(), "192.0.2.2".to_owned(), true)].into();
    // The same cluster at another address: its watches begin anew because this server has another history.
    two.compact();
    heard.until("the other server is asked", moved).await;
}

#[tokio::test]
async fn a_rotated_token_file_is_read_again() {
    let fake = Fake::start();
    fake.accept_only("old");
    fake.serve("web", "192.0.2.1", true);
    let files = tempfile::tempdir().unwrap();
    write(&files.path().join("token"), "old");
    let kubeconfigs = files.path().join("clusters");
    std::fs::create_dir(&kubeconfigs).unwrap();
    write(&kubeconfigs.join("eu"), &fake.kubeconfig("x", "{tokenFile: ../token}"));
    let mut heard = Heard::of(folder(&kubeconfigs));
    heard.known("eu").await;
    for (token, address) in [("next", "192.0.2.7"), ("third", "192.0.2.8"), ("new", "192.0.2.9")] {
        write(&files.path().join("token"), token);
        fake.accept_only(token);
        fake.cut();
        fake.put(SERVICES, service("web", address));
        let told = |heard: &Heard| heard.services("eu").contains(&("web".into(), address.into(), true));
        heard.until("told with the new token", told).await;
        assert!(!heard.was_unknown("eu"), "the token `{token}` lay there already");
    }
    fake.accept_only("newer");
    fake.cut();
    heard.unknown("eu", "does not accept our credentials (401").await;
    write(&files.path().join("token"), "newer");
    heard.known("eu").await;
}

/// A user whose plugin lies beside the folder of kubeconfigs.
const PLUGIN: &str =
    "{exec: {apiVersion: client.authentication.k8s.io/v1, command: ../plugin, interactiveMode: Never}}";

fn script_at(path: &Path, script: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{script}")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Waits until a process is there no more, not even as one whose end nobody took note of.
async fn ends(process: &str) {
    let ending = async {
        while Path::new("/proc").join(process).exists() {
            tokio::task::yield_now().await;
        }
    };
    let ended = tokio::time::timeout(Duration::from_mins(1), ending).await;
    ended.unwrap_or_else(|_| panic!("the process {process} goes on"));
}

#[tokio::test]
async fn a_credential_plugin_that_hangs_is_ended() {
    let fake = Fake::start();
    let files = tempfile::tempdir().unwrap();
    let (plugin, kubeconfigs) = (files.path().join("plugin"), files.path().join("clusters"));
    std::fs::create_dir(&kubeconfigs).unwrap();
    script_at(&plugin, "echo $$ >>\"$(dirname \"$0\")/runs\"; exec sleep 3600\n");
    write(&kubeconfigs.join("eu"), &fake.kubeconfig("x", PLUGIN));
    let runs = || std::fs::read_to_string(files.path().join("runs")).unwrap_or_default();
    let begins = async |nth: usize| {
        let beginning = async {
            loop {
                match runs().lines().nth(nth) {
                    Some(process) => return process.to_owned(),
                    None => tokio::task::yield_now().await,
                }
            }
        };
        tokio::time::timeout(Duration::from_mins(1), beginning).await.unwrap()
    };
    let limit = Duration::from_secs(1);
    let mut heard = Heard::at(folder(&kubeconfigs), Pace { limit, ..pace() });
    heard.unknown("eu", "its credential plugin did not end within 1s").await;
    ends(&begins(0).await).await;
    // Nor does the next outlive the source.
    let next = begins(1).await;
    drop(heard);
    ends(&next).await;
}

/// A token file from which nothing comes stands for a file system that hangs.
#[tokio::test]
async fn a_file_that_hangs_does_not_keep_the_daemon_from_its_end() {
    let fake = Fake::start();
    let files = tempfile::tempdir().unwrap();
    let token = files.path().join("token");
    assert!(Command::new("mkfifo").arg(&token).status().unwrap().success());
    std::fs::create_dir(files.path().join("clusters")).unwrap();
    write(&files.path().join("clusters/eu"), &fake.kubeconfig("x", "{tokenFile: ../token}"));
    std::fs::write(files.path().join("zone.conf"), "[Global]\nzones = example.test\nlisten = 127.0.0.1:0\n").unwrap();
    let config = "[Federation]\nname = fed\nzone-name = example.test\n[Provider]\nname = embedded\nconfig = zone.conf\n\
                  [Source]\nkind = clusters\npath = clusters\n[Admin]\nlisten = 127.0.0.1:0\n";
    std::fs::write(files.path().join("dns-syncd.conf"), config).unwrap();
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_dns-syncd"));
    let daemon = daemon.args(["run", "--config", "dns-syncd.conf"]).current_dir(files.path()).env_clear();
    let daemon = daemon.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut daemon = daemon.spawn().unwrap();
    let process = daemon.id().to_string();
    // This returns when the daemon reads it.
    let written = tokio::task::spawn_blocking(move || std::fs::OpenOptions::new().write(true).open(token));
    let _held = tokio::time::timeout(Duration::from_mins(1), written).await.unwrap().unwrap().unwrap();
    assert!(Command::new("kill").arg(&process).status().unwrap().success());
    let ending = async {
        loop {
            match daemon.try_wait().unwrap() {
                Some(status) => return status,
                None => tokio::task::yield_now().await,
            }
        }
    };
    let Ok(status) = tokio::time::timeout(Duration::from_mins(1), ending).await else {
        daemon.kill().unwrap();
        panic!("the daemon goes on");
    };
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn a_credential_plugin_is_asked_again() {
    let fake = Fake::start();
    fake.accept_only("old");
    let files = tempfile::tempdir().unwrap();
    let (plugin, kubeconfigs) = (files.path().join("plugin"), files.path().join("clusters"));
    std::fs::create_dir(&kubeconfigs).unwrap();
    std::fs::write(files.path().join("token"), "old").unwrap();
    let script = "printf '{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\
                  \"status\":{\"token\":\"%s\"}}' \"$(cat \"$(dirname \"$0\")/token\")\"\n";
    script_at(&plugin, script);
    write(&kubeconfigs.join("eu"), &fake.kubeconfig("x", PLUGIN));
    let mut heard = Heard::of(folder(&kubeconfigs));
    heard.known("eu").await;
    std::fs::write(files.path().join("token"), "new").unwrap();
    fake.accept_only("new");
    fake.serve("web", "192.0.2.1", true);
    fake.cut();
    heard.until("told with the new token", |heard| heard.services("eu").len() == 1).await;
    assert!(!heard.was_unknown("eu"));
}

#[tokio::test]
async fn sections_add_and_take_members_while_it_runs() {
    let fake = Fake::start();
    let files = tempfile::tempdir().unwrap();
    let (eu, us) = (files.path().join("eu"), files.path().join("us"));
    write(&eu, &fake.kubeconfig("eu", "{}"));
    write(&us, &fake.kubeconfig("us", "{}"));
    let sections = |names: &[&str]| names.iter().map(|name| ((*name).into(), None)).collect();
    let contexts = tokio::sync::watch::Sender::new(sections(&["eu"]));
    let config = ClustersConfig { kubeconfig: vec![eu, us], ..ClustersConfig::default() };
    let mut heard = Heard::with(ClusterSource::new(config).with_contexts(contexts.subscribe()).with_pace(pace()));
    heard.known("eu").await;
    assert_eq!(heard.stands("us"), None, "nobody asked for it");
    contexts.send_replace(sections(&["eu", "us", "asia"]));
    heard.known("us").await;
    heard.unknown("asia", "there is no context `asia` for the cluster `asia`; there are `eu`, `us`").await;
    contexts.send_replace(sections(&["us"]));
    heard.until("`eu` disappears", |heard| heard.stands("eu") == Some(&Stands::Gone)).await;
    assert_eq!(heard.stands("us"), Some(&Stands::Known));
}

/// What a list of kubeconfig files with these sections gives at the start.
async fn at_start(
    files: &[&str],
    contexts: &[(&str, Option<&str>)],
    master: Option<&str>,
) -> Result<Vec<String>, String> {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<_> = (0..files.len()).map(|i| folder.path().join(format!("{i}.yaml"))).collect();
    paths.iter().zip(files).for_each(|(path, text)| std::fs::write(path, text).unwrap());
    let contexts = contexts.iter().map(|(name, context)| ((*name).into(), context.map(str::to_owned)));
    let config = ClustersConfig {
        kubeconfig: paths,
        contexts: contexts.collect(),
        master: master.map(str::to_owned),
        ..ClustersConfig::default()
    };
    let events = ClusterSource::new(config).with_pace(pace()).read_once().await.map_err(|error| error.reason)?;
    let joined = events.iter().filter_map(|event| match event {
        dns_sync_core::SourceEvent::Answer { cluster, answer } => Some(format!("{cluster}: {}", answer.services.len())),
        dns_sync_core::SourceEvent::Unknown { cluster, reason, .. } => Some(format!("{cluster}: {reason}")),
        _ => None,
    });
    Ok(joined.collect())
}

#[tokio::test]
async fn kubeconfig_files_are_merged_and_the_first_wins() {
    let (one, two) = (Fake::start(), Fake::start());
    one.serve("web", "192.0.2.1", true);
    let (eu, other_eu, us) = (one.kubeconfig("eu", "{}"), two.kubeconfig("eu", "{}"), two.kubeconfig("us", "{}"));
    let all = at_start(&[&eu, &other_eu, &us], &[], None).await.unwrap();
    assert_eq!(all, ["eu: 1", "us: 0"], "every context is a member, the first `eu` wins");
    let picked = at_start(&[&eu, &us], &[("paris", Some("eu"))], None).await.unwrap();
    assert_eq!(picked, ["paris: 1"], "[Cluster] sections pick");
    let master = at_start(&[&us], &[], Some(&one.url())).await.unwrap();
    assert_eq!(master, ["us: 1"], "--master is another server's address");
}

#[tokio::test]
async fn what_cannot_be_meant_is_said_at_the_start() {
    let fake = Fake::start();
    let (eu, us) = (fake.kubeconfig("eu", "{}"), fake.kubeconfig("us", "{}"));
    let error = at_start(&[&eu, &us], &[("asia", None)], None).await.unwrap_err();
    assert!(error.starts_with("there is no context `asia` for the cluster `asia`; there are `eu`, `us`"), "{error}");
    let error = at_start(&[&eu, &us], &[], Some("http://127.0.0.1:1")).await.unwrap_err();
    assert!(error.starts_with("`--master` is the address of one API server, but there are 2 clusters"), "{error}");
    let twice = eu.replace("contexts:\n", "contexts:\n- {name: admin, context: {cluster: eu, user: eu}}\n");
    let error = at_start(&[&twice], &[], None).await.unwrap_err();
    assert!(error.contains("the contexts `admin` and `eu` lead to the same cluster `eu`"), "{error}");
    let error = at_start(&["}"], &[], None).await.unwrap_err();
    assert!(error.contains("there is no cluster: ") && error.contains("0.yaml"), "{error}");
}
