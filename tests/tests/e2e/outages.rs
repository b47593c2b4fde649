//! Unknown is not empty: each way in which the view of a real cluster can be lost.
//!
//! In none of them does a right record vanish or the daemon stop, names fail over after the grace as far as others serve
//! the same and no further, and all is right again afterwards. Each shows in a metric, `clusters`, `explain` and one
//! line of the log for each change of state.

pub(crate) mod gate;
mod stage;
mod trouble;

use std::time::Instant;

use dns_conformance::servers::KubeUser;
use kube::config::Kubeconfig;

use self::stage::{GRACE, LONG_GRACE, Stage, configure};
use self::trouble::Trouble;
use crate::life::federation;
use crate::members::Member;
use crate::real::{Cluster, Real};
use crate::truth::truth;

/// Two clusters, of which the first serves something alone. Whatever else it has, the other has in the same family.
fn pair() -> [Member; 2] {
    let eu = Member::new("eu").with("web", &["192.0.2.1"]).with("api", &["192.0.2.2"]).with("solo", &["192.0.2.3"]);
    [eu, Member::new("us").with("web", &["198.51.100.1"]).with("api", &["198.51.100.2"])]
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KUBE_APISERVER_BIN, ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn an_api_server_fails_in_every_way() {
    let mut stage = Stage::start(&federation()).await;
    for trouble in [
        Trouble::Reset,
        Trouble::Answers(401),
        Trouble::Answers(403),
        Trouble::Answers(429),
        Trouble::Answers(500),
        Trouble::WatchDenied,
        Trouble::Emptied,
        Trouble::Replaced,
        Trouble::CertificateExpired,
    ] {
        stage.suffer(trouble).await;
    }
    stage.real.world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KUBE_APISERVER_BIN, ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn credentials_and_kubeconfigs_fail_in_every_way() {
    let mut stage = Stage::start(&federation()).await;
    for trouble in [
        Trouble::KubeconfigGone,
        Trouble::SecretGone,
        Trouble::KubeconfigBroken,
        Trouble::KubeconfigIncomplete,
        Trouble::ClientCertificateExpired,
    ] {
        stage.suffer(trouble).await;
    }
    for (trouble, what) in [(Trouble::TokenRevoked, "a token file"), (Trouble::PluginFails, "a credential plugin")] {
        stage.suffer(trouble).await;
        stage.rotate(what).await;
    }

    // The whole folder is unmounted: nobody is known, so nothing is withdrawn, however long it takes. Nor is it when the
    // first two are back, which are half of all: the third has a grace from then on.
    stage.restart_with(LONG_GRACE).await;
    let (since, folder) = (stage.mark(), stage.real.kubeconfigs.path().to_owned());
    let away = folder.with_extension("away");
    std::fs::rename(&folder, &away).unwrap();
    std::fs::create_dir(&folder).unwrap();
    for member in federation() {
        stage.shows_unknown(&member.name, &["the folder has no kubeconfig"], since).await;
    }
    let begun = Instant::now();
    while begun.elapsed() < LONG_GRACE + GRACE {
        stage.real.world.settle("every record stays").await;
    }
    std::fs::remove_dir(&folder).unwrap();
    std::fs::rename(&away, &folder).unwrap();
    for member in federation() {
        stage.shows_known(&member.name, since, 2).await;
    }
    stage.real.world.settle("the folder is back").await;
    stage.change("the folder is back").await;
    stage.real.world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KUBE_APISERVER_BIN, ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn an_api_server_hangs() {
    let mut stage = Stage::start(&pair()).await;
    stage.suffer(Trouble::Hangs).await;
    stage.suffer_from_the_start(Trouble::Hangs).await;
    stage.real.world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KUBE_APISERVER_BIN, ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn the_daemon_restarts_while_a_cluster_is_away() {
    let mut stage = Stage::start(&pair()).await;
    for trouble in [
        Trouble::Reset,
        Trouble::Answers(403),
        Trouble::WatchDenied,
        Trouble::CertificateExpired,
        Trouble::SecretGone,
        Trouble::KubeconfigBroken,
        Trouble::KubeconfigGone,
    ] {
        stage.suffer_from_the_start(trouble).await;
    }
    stage.real.world.finish().await;
}

/// Nobody is known then, so nothing changes, however long it takes. The first to come back is half of all: the other one
/// has a grace from then on, which is long enough here.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KUBE_APISERVER_BIN, ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn the_daemon_restarts_while_the_folder_of_kubeconfigs_is_unmounted() {
    let mut stage = Stage::start(&pair()).await;
    stage.restart_with(LONG_GRACE).await;
    let folder = stage.real.kubeconfigs.path().to_owned();
    let away = folder.with_extension("away");
    for (is_empty, words) in [(false, "the folder cannot be read"), (true, "the folder has no kubeconfig")] {
        stage.real.world.stop().await;
        std::fs::rename(&folder, &away).unwrap();
        if is_empty {
            std::fs::create_dir(&folder).unwrap();
        }
        stage.real.world.start();
        let told = format!("there is no cluster: {}: {words}", folder.display());
        for member in pair() {
            stage.shows_unknown_beside(&member.name, &["it is not in its source"], &[&told], 0).await;
        }
        assert!(stage.get("/status").await.is_some_and(|status| status.contains(&told)));
        let begun = Instant::now();
        while begun.elapsed() < LONG_GRACE + GRACE {
            stage.real.world.settle("every record stays").await;
        }
        if is_empty {
            std::fs::remove_dir(&folder).unwrap();
        }
        std::fs::rename(&away, &folder).unwrap();
        for member in pair() {
            // Unknown, why, and known again.
            stage.shows_known(&member.name, 0, 3).await;
        }
        assert!(stage.get("/status").await.is_some_and(|status| !status.contains(&told)));
        stage.real.world.settle("the folder is back").await;
    }
    stage.change("the folder is back").await;
    stage.real.world.finish().await;
}

/// The process itself, and not what stands before it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KUBE_APISERVER_BIN, ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn an_api_server_dies() {
    let mut stage = Stage::start(&pair()).await;
    let (cluster, whole) = (stage.lost_name(), stage.members_without(&[]));
    let failed_over = stage.members_without(&["web", "api"]);
    let token = stage.real.clusters[0].api.token(KubeUser::Plain);
    stage.credit_direct(&format!("token: {token}"));
    stage.restart().await;
    stage.shows_known(&cluster, 0, 1).await;

    let since = stage.mark();
    stage.real.world.expect(truth(&failed_over));
    stage.real.clusters[0].api.kill();
    stage.shows_unknown(&cluster, &["unreachable"], since).await;
    stage.real.world.settle("names fail over after the grace").await;

    // What failed over stays so for a daemon that has never seen the cluster, and what it alone served stays as well.
    stage.real.world.kill();
    stage.real.world.start();
    stage.shows_unknown(&cluster, &["unreachable", "Connection refused"], 0).await;
    stage.shows_expired(&cluster).await;
    stage.real.world.settle("after the grace of the new daemon").await;

    stage.real.world.expect(truth(&whole));
    stage.real.clusters[0].api.restart().await;
    stage.real.world.settle("the cluster is back").await;
    stage.change("the cluster is back").await;
    stage.real.world.finish().await;
}

/// One kubeconfig with the contexts of these clusters.
fn contexts(clusters: &[&Cluster]) -> String {
    let mut merged = Kubeconfig::default();
    for cluster in clusters {
        let one = Kubeconfig::from_yaml(&cluster.api.kubeconfig(KubeUser::Plain)).unwrap();
        merged = merged.merge(one).unwrap();
    }
    serde_json::to_string(&merged).unwrap()
}

/// The folder's turn is in `clusters`; these are the contexts of a kubeconfig.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KUBE_APISERVER_BIN, ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn contexts_come_and_go_while_the_daemon_runs() {
    let members = federation();
    let mut real = Real::start(&members).await;
    for cluster in &real.clusters {
        cluster.allow().await;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kubeconfig");
    let write = |real: &Real, chosen: &[usize]| {
        let chosen: Vec<_> = chosen.iter().map(|index| &real.clusters[*index]).collect();
        Stage::replace(&file, &contexts(&chosen));
    };
    let [eu, us, asia] = members;
    configure(&real.world, &format!("kubeconfig = {}", file.display()), LONG_GRACE, "topology-linger = 0", 0);
    write(&real, &[0, 1]);
    real.world.expect(truth(&[eu.clone(), us.clone()]));
    real.world.start();
    real.world.settle("two contexts").await;

    real.world.expect(truth(&[eu.clone(), us.clone(), asia.clone()]));
    write(&real, &[0, 1, 2]);
    real.world.settle("a third context joins").await;

    real.world.expect(truth(&[eu.clone(), asia.clone()]));
    let begun = Instant::now();
    write(&real, &[0, 2]);
    real.world.settle("one has left and takes its records along").await;
    assert!(begun.elapsed() >= LONG_GRACE, "it was given up after {:?}", begun.elapsed());

    // One that only cannot be reached has not left: what it alone serves stays, and so do its places.
    real.world.expect(truth(&[eu.clone().ready("web", false), asia.clone()]));
    real.clusters[0].api.kill();
    real.logs("unreachable").await;
    real.world.settle("one is away").await;
    real.world.expect(truth(&[eu.clone(), asia.clone()]));
    real.clusters[0].api.restart().await;
    real.world.settle("it is back").await;

    // Nor has anybody left when the file is gone.
    std::fs::rename(&file, folder.path().join("away")).unwrap();
    real.logs("there is no such file").await;
    let begun = Instant::now();
    while begun.elapsed() < LONG_GRACE + GRACE {
        real.world.settle("every record stays").await;
    }
    // The first to come back is half of all, and the other, which has been away for longer than the grace, stays too.
    let eu = eu.with("web", &["192.0.2.9"]);
    real.world.expect(truth(&[eu.clone(), asia.clone()]));
    real.clusters[0].put(&eu).await;
    write(&real, &[0]);
    real.world.settle("the file is back with one of two").await;
    let asia = asia.with("web", &["203.0.113.9"]);
    real.world.expect(truth(&[eu, asia.clone()]));
    real.clusters[2].put(&asia).await;
    write(&real, &[0, 2]);
    real.world.settle("the file is back").await;
    real.world.finish().await;
}
