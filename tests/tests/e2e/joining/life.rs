//! The life of a federation: it is set up, clusters join, leave, are lost, and it says the same twice.

use std::io::BufRead as _;

use kube::api::DeleteParams;
use serde_json::{Value, json};

use super::front::Front;
use super::stage::{COREFILE, Stage, assert_same, config_map};
use crate::deploy::chart::NAMESPACE;
use crate::members::Member;
use crate::truth::{FEDERATION, ZONE};

const IN_US: &str = "198.51.100.1";
const IN_EU: &str = "192.0.2.1";

/// Waits until both pods say that a cluster stands so.
async fn until_status(stage: &mut Stage, cluster: &str, status: &str) {
    for pod in &mut stage.pods {
        let what = format!("{cluster} is never {status}");
        pod.until(&what, |told, _| {
            let clusters = told["clusters"].as_array().into_iter().flatten();
            clusters.into_iter().any(|known| known["name"] == cluster && known["status"] == status)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KUBE_APISERVER_BIN, ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn clusters_join_and_leave_and_a_second_run_changes_nothing() {
    let mut stage = Stage::new().await;
    let untouched = stage.everything().await;
    let members = stage.objects(&[&stage.us, &stage.eu]).await;

    // What would be done is shown, and not done.
    let init = stage.init();
    let shown = stage.does(&format!("{init} --dry-run")).await;
    assert!(shown.stdout.contains("kind: Deployment") && shown.stdout.contains("(hidden)"), "{}", shown.stdout);
    assert!(!shown.stdout.contains("etcd-endpoints"), "the provider's file is a secret: {}", shown.stdout);
    assert_same(&stage.everything().await, &untouched, "untouched");

    let ended = stage.does(&init).await;
    assert!(ended.stdout.contains(&format!("created    host: Deployment {NAMESPACE}/dns-syncd")), "{}", ended.stdout);
    assert_same(&stage.objects(&[&stage.us, &stage.eu]).await, &members, "init changes no member");
    let after_init = stage.everything().await;
    let ended = stage.does(&init).await;
    assert!(ended.stderr.contains("nothing had to be changed"), "{}", ended.stderr);
    assert_same(&stage.everything().await, &after_init, "after_init");

    stage.start_pods().await;
    let with_pods = stage.everything().await;
    let shown = stage.does("join us --host-cluster-context=host --dry-run").await;
    for part in ["kind: ClusterRole", "name: dns-syncd-fed-token", "Corefile: ", "dns-syncd fed"] {
        assert!(shown.stdout.contains(part), "{part}: {}", shown.stdout);
    }
    assert_same(&stage.everything().await, &with_pods, "with_pods");

    for (cluster, addresses) in [("eu", vec![IN_EU]), ("us", vec![IN_EU, IN_US])] {
        let ended = stage.does(&format!("join {cluster} --host-cluster-context=host")).await;
        assert!(ended.stderr.contains(&format!("the cluster `{cluster}` is a member")), "{}", ended.stderr);
        stage.answers(&addresses).await;
    }
    for pod in &stage.pods {
        assert_eq!(pod.denials(), Vec::<String>::new(), "{}", pod.log());
    }
    let corefile = Stage::config_map(&stage.us, "coredns").await["Corefile"].as_str().unwrap().to_owned();
    assert!(corefile.contains(COREFILE) && corefile.contains("dns-syncd fed"), "{corefile}");
    let server = stage.coredns.address().to_string();
    assert!(corefile.contains(&server) && corefile.contains("us-a.us"), "the servers and its own zone: {corefile}");

    let joined = stage.everything().await;
    for cluster in ["us", "eu"] {
        let ended = stage.does(&format!("join {cluster} --host=host --context={cluster}")).await;
        assert!(ended.stderr.contains("nothing had to be changed"), "{}", ended.stderr);
    }
    stage.does(&init).await;
    assert_same(&stage.everything().await, &joined, "joined");

    // The kubelet still has the kubeconfig, and the cluster answers; its addresses are out all the same.
    let ended = stage.alone("unjoin us --host-cluster-context=host --timeout=0").await;
    assert_eq!(ended.code, 0, "{ended:?}{}", stage.logs());
    stage.answers(&[IN_EU]).await;
    stage.us.put(&Member::new("us").with("web", &["198.51.100.9"])).await;
    stage.eu.put(&Member::new("eu").with("web", &["192.0.2.9"])).await;
    stage.answers(&["192.0.2.9"]).await;
    until_status(&mut stage, "us", "Left").await;
    stage.work().await;
    stage.eu.put(&Member::new("eu").with("web", &[IN_EU])).await;
    stage.answers(&[IN_EU]).await;
    until_status(&mut stage, "us", "Left").await;
    stage.until_unmarked("us").await;
    let left: Vec<_> =
        stage.objects(&[&stage.us, &stage.eu]).await.into_keys().filter(|key| key.starts_with("us ")).collect();
    let was: Vec<_> = members.keys().filter(|key| key.starts_with("us ")).cloned().collect();
    assert_eq!(left, was, "nothing of it is left in the member");
    assert_eq!(Stage::config_map(&stage.us, "coredns").await["Corefile"], COREFILE);
    let out = stage.everything().await;
    let ended = stage.does("unjoin us --host-cluster-context=host").await;
    assert!(ended.stderr.contains("nothing had to be changed"), "{}", ended.stderr);
    assert_same(&stage.everything().await, &out, "out");

    stage.us.put(&Member::new("us").with("web", &[IN_US])).await;
    stage.does("join us --host-cluster-context=host").await;
    stage.answers(&[IN_EU, IN_US]).await;

    // The member is gone.
    stage.us.api.kill();
    let ended = stage.alone("unjoin us --host-cluster-context=host --timeout=0").await;
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr.contains("cannot be reached") && ended.stderr.contains("hint: --force"), "{}", ended.stderr);
    let ended = stage.alone("unjoin us --host-cluster-context=host --force --timeout=0").await;
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stderr.contains("stays there"), "{}", ended.stderr);
    stage.answers(&[IN_EU]).await;
    stage.renew().await;
    stage.us.api.restart().await;
    // And when it is back, what was left there is taken away.
    stage.us.put_patiently(&Member::new("us").with("web", &[IN_US])).await;
    stage.does("unjoin us --host-cluster-context=host").await;
    assert_eq!(Stage::config_map(&stage.us, "coredns").await["Corefile"], COREFILE);

    stage.does("unjoin eu --host-cluster-context=host").await;
    stage.answers(&[]).await;
    assert_eq!(Stage::config_map(&stage.eu, "coredns").await["Corefile"], COREFILE);
    stage.until_unmarked("eu").await;
    // Though it was the last, and the folder that it left looks like one that is not mounted.
    stage.does("join eu --host-cluster-context=host").await;
    stage.answers(&[IN_EU]).await;
    for pod in &mut stage.pods {
        pod.stop().await;
    }
}

/// The member's API server says what may be done, and knows nothing else any more.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KUBE_APISERVER_BIN, ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn a_member_without_its_storage_leaves_by_force() {
    let mut stage = Stage::new().await;
    let init = stage.init();
    stage.does(&init).await;
    stage.start_pods().await;
    stage.does("join us --host-cluster-context=host").await;
    stage.answers(&[IN_US]).await;
    let front = Front::of(&stage.us).await;
    front.lose_storage();
    stage.put_before_us(&front);

    let before = stage.everything().await;
    let ended = stage.alone("unjoin us --host-cluster-context=host --timeout=0").await;
    assert_eq!(ended.code, 1, "{ended:?}");
    for said in ["etcdserver: request timed out", "hint: --force"] {
        assert!(ended.stderr.contains(said), "{said}: {}", ended.stderr);
    }
    assert_same(&stage.everything().await, &before, "before");
    let ended = stage.does("unjoin us --host-cluster-context=host --force").await;
    assert!(ended.stderr.contains("stays there: getting the namespace kube-system"), "{}", ended.stderr);
    assert_eq!(ended.stdout, format!("deleted    host: Secret {NAMESPACE}/dns-syncd-clusters key us\n"));
    stage.answers(&[]).await;
    for pod in &mut stage.pods {
        pod.stop().await;
    }
}

/// Whatever ends a run in the middle, the next one finishes it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KUBE_APISERVER_BIN, ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn a_join_that_was_interrupted_is_finished_by_the_next() {
    let mut stage = Stage::new().await;
    let init = stage.init();
    stage.does(&init).await;
    stage.start_pods().await;

    // Nobody issues a token, so it waits, and is killed there.
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "namespace": NAMESPACE } });
    let kubeconfig = stage.path("kubeconfig");
    let arguments = ["join", "us", "--host-cluster-context=host", "--federation-system-namespace", NAMESPACE];
    let mut command = crate::program::bare(&arguments);
    let silent = || std::process::Stdio::null();
    let mut running = command.arg("--kubeconfig").arg(kubeconfig).stdout(silent()).stderr(silent()).spawn().unwrap();
    while stage.us.of(&secret).get_opt("dns-syncd-fed-token").await.unwrap().is_none() {
        assert!(running.try_wait().unwrap().is_none());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    running.kill().unwrap();
    running.wait().unwrap();

    // Everything is written, but no kubelet brings the kubeconfig to the daemon.
    let pods = std::mem::take(&mut stage.pods);
    let ended = stage.run("join us --host-cluster-context=host --timeout=2").await;
    assert_eq!(ended.code, 1, "{ended:?}");
    for said in ["the kubeconfig has not reached it yet", "does not follow the cluster `us` within 2 s", "run the same"]
    {
        assert!(ended.stderr.contains(said), "{said}: {}", ended.stderr);
    }
    assert!(
        ended.stdout.contains(&format!("unchanged  us: ServiceAccount {NAMESPACE}/dns-syncd-fed")),
        "{}",
        ended.stdout
    );
    let written = stage.everything().await;
    stage.pods = pods;
    stage.does("join us --host-cluster-context=host").await;
    assert_same(&stage.everything().await, &written, "written");
    stage.answers(&[IN_US]).await;

    // The same backwards: the objects in the member are gone before the run that would have deleted them all.
    stage.us.of(&secret).delete("dns-syncd-fed-token", &DeleteParams::default()).await.unwrap();
    let ended = stage.alone("unjoin us --host-cluster-context=host --timeout=0").await;
    assert!(
        ended.code == 0 && ended.stdout.contains(&format!("absent     us: Secret {NAMESPACE}/dns-syncd-fed-token")),
        "{ended:?}"
    );
    stage.answers(&[]).await;

    // Nothing can be made in the namespace while it is being deleted, so a run waits until it is gone.
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": {} });
    let found = stage.us.of(&namespace).get(NAMESPACE).await.unwrap();
    assert!(found.metadata.deletion_timestamp.is_some(), "{found:?}");
    let kubeconfig = stage.path("kubeconfig");
    let mut command = crate::program::bare(&arguments);
    command.arg("--kubeconfig").arg(kubeconfig).stdout(silent()).stderr(std::process::Stdio::piped());
    let mut running = command.spawn().unwrap();
    let mut said = std::io::BufReader::new(running.stderr.take().unwrap());
    let mut first = String::new();
    said.read_line(&mut first).unwrap();
    assert!(
        first.contains(&format!("waiting: the Namespace {NAMESPACE} in the cluster `us` is being deleted")),
        "{first}"
    );
    while running.try_wait().unwrap().is_none() {
        stage.work().await;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(running.wait().unwrap().success(), "{}", std::io::read_to_string(said).unwrap());
    stage.answers(&[IN_US]).await;
}

/// A namespace goes with what `unjoin` takes away only where `join` made it and nothing else is in it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KUBE_APISERVER_BIN, ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn a_namespace_that_holds_anything_else_stays() {
    let mut stage = Stage::new().await;
    let init = stage.init();
    stage.does(&init).await;
    let namespace = |annotations: &Value| {
        json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {
                "name": NAMESPACE, "labels": { "app.kubernetes.io/managed-by": "dns-syncd" }, "annotations": annotations,
            },
        })
    };
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": "data", "namespace": NAMESPACE },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
    });
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {
            "name": "dns-syncd-other", "namespace": NAMESPACE,
            "labels": { "app.kubernetes.io/managed-by": "dns-syncd" },
        },
    });
    let join = "--host-cluster-context=host --cluster-dns=none --timeout=0";
    let unjoin = "--host-cluster-context=host --cluster-dns=none";
    for (cluster, stranger) in [("us", &account), ("eu", &claim)] {
        stage.does(&format!("join {cluster} {join}")).await;
        let member = if cluster == "us" { &stage.us } else { &stage.eu };
        member.write(stranger).await;
        let ended = stage.run(&format!("unjoin {cluster} {unjoin}")).await;
        let (kind, name) = (stranger["kind"].as_str().unwrap(), stranger["metadata"]["name"].as_str().unwrap());
        let said =
            format!("the namespace {NAMESPACE} in the cluster `{cluster}` stays: the {kind} {name} in it is not");
        // Nobody can be told, for no pod runs.
        assert!(ended.code == 4 && ended.stderr.contains(&said), "{ended:?}");
        let member = if cluster == "us" { &stage.us } else { &stage.eu };
        let found = member.of(&namespace(&json!({}))).get(NAMESPACE).await.unwrap();
        assert!(found.metadata.deletion_timestamp.is_none(), "{found:?}");
        assert!(member.of(stranger).get(name).await.unwrap().metadata.deletion_timestamp.is_none());
        let left = stage.objects(&[&stage.us, &stage.eu]).await.into_keys();
        let left: Vec<_> = left.filter(|key| key.contains("dns-syncd-fed")).collect();
        assert!(left.is_empty(), "{left:?}");
    }
    // And when the stranger is gone, another run takes it away.
    stage.us.of(&account).delete("dns-syncd-other", &DeleteParams::default()).await.unwrap();
    stage.run(&format!("unjoin us {unjoin}")).await;
    stage.until_unmarked("us").await;

    // One that another federation's `join` made, and what that says of it, are left as they are.
    let others = namespace(&json!({ "dns-syncd.io/made-by": "other" }));
    stage.us.write(&others).await;
    stage.does(&format!("join us {join}")).await;
    let ended = stage.run(&format!("unjoin us {unjoin}")).await;
    let said = format!("stays: `join` of the federation `{FEDERATION}` did not make it");
    assert!(ended.code == 4 && ended.stderr.contains(&said), "{ended:?}");
    let found = stage.us.of(&others).get(NAMESPACE).await.unwrap();
    assert!(found.metadata.deletion_timestamp.is_none(), "{found:?}");
    assert_eq!(found.metadata.annotations.unwrap()["dns-syncd.io/made-by"], "other");
}

/// kube-dns is told of the zone's servers, and which of its stub domains is the federation's is known afterwards.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KUBE_APISERVER_BIN, ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn kube_dns_keeps_what_is_somebody_elses() {
    let mut stage = Stage::new().await;
    let init = stage.init();
    stage.does(&init).await;
    stage.us.write(&config_map("kube-dns", &json!({ "upstreamNameservers": "[\"192.0.2.99\"]" }))).await;
    let before = Stage::config_map(&stage.us, "kube-dns").await;
    let join = "join us --host-cluster-context=host --cluster-dns=kube-dns --timeout=0";
    let unjoin = "unjoin us --host-cluster-context=host --cluster-dns=kube-dns";
    stage.does(join).await;
    let joined = Stage::config_map(&stage.us, "kube-dns").await;
    assert_eq!(joined["federations"], format!("{FEDERATION}={ZONE}"));
    let servers = json!({ ZONE: [stage.coredns.address().to_string()] }).to_string();
    assert_eq!(joined["stubDomains"], servers);
    let ended = stage.does(join).await;
    assert!(ended.stderr.contains("nothing had to be changed"), "{}", ended.stderr);

    // The federation's servers move.
    let moved = "203.0.113.53:5353";
    let provider = std::fs::read_to_string(stage.path("coredns.conf")).unwrap();
    let other = provider.replace(&stage.coredns.address().to_string(), moved);
    std::fs::write(stage.path("coredns.conf"), other).unwrap();
    stage.does(&init).await;
    stage.does(join).await;
    let moved = json!({ ZONE: [moved] }).to_string();
    assert_eq!(Stage::config_map(&stage.us, "kube-dns").await["stubDomains"], moved);
    // Nobody can be told, for no pod runs.
    assert_eq!(stage.run(unjoin).await.code, 4);
    assert_eq!(Stage::config_map(&stage.us, "kube-dns").await, before);

    // The same written by somebody else stays.
    let theirs = config_map("kube-dns", &json!({ "upstreamNameservers": "[\"192.0.2.99\"]", "stubDomains": moved }));
    stage.us.write(&theirs).await;
    let before = Stage::config_map(&stage.us, "kube-dns").await;
    stage.does(join).await;
    assert_eq!(stage.run(unjoin).await.code, 4);
    assert_eq!(Stage::config_map(&stage.us, "kube-dns").await, before);
}

/// The host may be a member too; it is reached from within.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KUBE_APISERVER_BIN, ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn the_host_joins_and_leaves_and_the_daemon_stays() {
    let mut stage = Stage::new().await;
    let init = stage.init();
    stage.does(&init).await;
    stage.start_pods().await;
    stage.host.put(&Member::new("host").with("web", &["203.0.113.1"])).await;
    let before: Vec<_> = stage.everything().await.into_keys().collect();
    stage.does("join home --host=host --context=host --cluster-dns=none").await;
    let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "namespace": NAMESPACE } });
    let found = stage.host.of(&secret).get("dns-syncd-clusters").await.unwrap();
    let data: k8s_openapi::ByteString = serde_json::from_value(found.data["data"]["home"].clone()).unwrap();
    let kubeconfig: Value = serde_saphyr::from_str(&String::from_utf8(data.0).unwrap()).unwrap();
    assert_eq!(kubeconfig["clusters"][0]["cluster"]["server"], "https://kubernetes.default.svc");
    stage.answers(&["203.0.113.1"]).await;
    stage.does("unjoin home --host=host --context=host").await;
    stage.answers(&[]).await;
    assert_eq!(stage.everything().await.into_keys().collect::<Vec<_>>(), before);
}
