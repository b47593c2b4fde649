//! What `init` was told differs: who elects the leader, a token, more Secrets, no DNS host. And pods that start anew.

use std::time::Duration;

use dns_conformance::servers::query;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use super::controllers::roll_out;
use super::stage::Stage;
use crate::deploy::chart::NAMESPACE;
use crate::deploy::pod::Pod;
use crate::program::Ended;
use crate::truth::{FEDERATION, ZONE};

const IN_US: &str = "198.51.100.1";
const IN_EU: &str = "192.0.2.1";
const JOIN_US: &str = "join us --host-cluster-context=host";
const UNJOIN_US: &str = "unjoin us --host-cluster-context=host";

fn role() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": { "name": "dns-syncd", "namespace": NAMESPACE },
    })
}

async fn has_role(stage: &Stage) -> bool {
    stage.host.of(&role()).get_opt("dns-syncd").await.unwrap().is_some()
}

#[track_caller]
fn assert_has(ended: &Ended, text: &str) {
    assert!(ended.stdout.contains(text) || ended.stderr.contains(text), "`{text}` is not said: {ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KUBE_APISERVER_BIN, ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn what_has_no_use_any_more_is_deleted_where_it_is_ours() {
    let mut stage = Stage::new().await;
    let conf = stage.path("own.conf");
    std::fs::write(&conf, "[Leader]\nkind = lease\n").unwrap();
    let in_etcd = stage.init();
    let by_lease = format!("{in_etcd} --config={}", conf.display());
    stage.does(&by_lease).await;
    assert!(has_role(&stage).await);
    let shown = stage.does(&format!("{in_etcd} --dry-run")).await;
    let gone = format!("# deleted: RoleBinding {NAMESPACE}/dns-syncd\n# deleted: Role {NAMESPACE}/dns-syncd\n");
    assert!(shown.stdout.ends_with(&gone), "{}", shown.stdout);
    assert!(has_role(&stage).await, "it was shown alone");
    // The old pods live on it until all of them are replaced.
    roll_out(&stage.host, NAMESPACE, 0).await;
    for old in [1, 0] {
        let ended = stage.run(&in_etcd).await;
        assert_eq!(ended.code, 4, "{ended:?}");
        let said = format!("not deleted: RoleBinding {NAMESPACE}/dns-syncd, Role {NAMESPACE}/dns-syncd: still used by");
        assert_has(&ended, &said);
        assert_has(&ended, &format!("--context host --namespace {NAMESPACE} rollout status deployment dns-syncd`"));
        assert!(has_role(&stage).await, "{old}");
        roll_out(&stage.host, NAMESPACE, old).await;
    }
    let ended = stage.does(&in_etcd).await;
    assert_has(&ended, &format!("deleted    host: Role {NAMESPACE}/dns-syncd\n"));
    assert!(!has_role(&stage).await);
    assert_has(&stage.does(&in_etcd).await, "nothing had to be changed");

    // Somebody else's is not ours to delete.
    stage.host.write(&role()).await;
    assert_has(&stage.does(&in_etcd).await, "nothing had to be changed");
    assert!(has_role(&stage).await);
    stage.host.of(&role()).delete("dns-syncd", &DeleteParams::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KUBE_APISERVER_BIN, ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn the_daemon_is_told_with_the_token_that_its_admin_address_wants() {
    let mut stage = Stage::new().await;
    let (conf, token) = (stage.path("own.conf"), stage.path("token"));
    std::fs::write(&conf, format!("[Admin]\ntoken-file = {}\n", token.display())).unwrap();
    let init = format!("{} --config={}", stage.init(), conf.display());
    let ended = stage.run(&init).await;
    assert!(ended.code == 2 && ended.stderr.contains("`token-file` of [Admin] cannot be read"), "{ended:?}");
    std::fs::write(&token, "s3cret\n").unwrap();
    stage.does(&init).await;
    stage.start_pods().await;
    stage.does(JOIN_US).await;
    stage.answers(&[IN_US]).await;
    let ended = stage.does(UNJOIN_US).await;
    assert_has(&ended, "the cluster is taken out");
    stage.answers(&[]).await;
    for pod in &mut stage.pods {
        pod.stop().await;
    }
}

/// A pod of the daemon comes to a node, and does not run yet.
async fn starts(stage: &Stage) {
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "namespace": NAMESPACE } });
    let found = stage.host.of(&pod).get("dns-syncd-0").await.unwrap();
    let mut spec = found.data["spec"].clone();
    spec["nodeName"] = json!("node");
    let metadata = json!({ "name": "starting", "namespace": NAMESPACE, "labels": found.metadata.labels });
    stage.host.write(&json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec })).await;
}

/// While nothing may be written, nothing is said to be gone.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KUBE_APISERVER_BIN, ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn addresses_that_a_freeze_holds_are_said_to_stay() {
    let mut stage = Stage::new().await;
    let conf = stage.path("own.conf");
    let init = stage.init();
    stage.does(&init).await;
    stage.start_pods().await;
    stage.does(JOIN_US).await;
    stage.answers(&[IN_US]).await;
    for pod in &mut stage.pods {
        pod.stop().await;
    }
    stage.pods.clear();
    std::fs::write(&conf, "[Guard]\nfreeze = true\n").unwrap();
    stage.does(&format!("{init} --config={}", conf.display())).await;
    stage.start_pods().await;
    stage.does(JOIN_US).await;
    let ended = stage.run(UNJOIN_US).await;
    assert_eq!(ended.code, 4, "{ended:?}");
    assert_has(&ended, "`freeze` of [Guard] holds what would be written: the addresses stay in DNS until it ends");
    stage.answers(&[IN_US]).await;
    for pod in &mut stage.pods {
        pod.stop().await;
    }
}

/// A pod that starts anew reads the kubeconfig that its kubelet has not taken away yet.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KUBE_APISERVER_BIN, ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn a_pod_that_starts_before_the_kubeconfig_has_gone_is_told_again() {
    let mut stage = Stage::new().await;
    let init = stage.init();
    stage.does(&init).await;
    stage.start_pods().await;
    for cluster in ["eu", "us"] {
        stage.does(&format!("join {cluster} --host-cluster-context=host")).await;
    }
    stage.answers(&[IN_EU, IN_US]).await;

    // Nobody renews what is mounted.
    let ended = stage.alone(&format!("{UNJOIN_US} --timeout=2")).await;
    assert_eq!(ended.code, 4, "{ended:?}");
    assert_has(&ended, "after 2 s pod dns-syncd-");
    assert_has(&ended, "still has the kubeconfig: a pod that starts with it takes the cluster in");
    stage.answers(&[IN_EU]).await;
    for pod in &mut stage.pods {
        pod.stop().await;
        pod.start();
        pod.until("it knows the cluster", |status, _| {
            status["clusters"].as_array().into_iter().flatten().any(|cluster| cluster["name"] == "us")
        })
        .await;
    }
    let ended = stage.alone(&format!("{UNJOIN_US} --timeout=2")).await;
    assert_eq!(ended.code, 4, "{ended:?}");
    assert_has(&ended, "the cluster is taken out");
    stage.renew().await;
    starts(&stage).await;
    let ended = stage.alone(&format!("{UNJOIN_US} --timeout=2")).await;
    assert_eq!(ended.code, 4, "{ended:?}");
    assert_has(&ended, "after 2 s pod starting is starting, and may have the kubeconfig");
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "namespace": NAMESPACE } });
    stage.host.of(&pod).delete("starting", &DeleteParams::default().grace_period(0)).await.unwrap();
    // And when the kubelet has done its work, the command ends well.
    stage.does(UNJOIN_US).await;
    stage.answers(&[IN_EU]).await;
    for pod in &mut stage.pods {
        pod.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KUBE_APISERVER_BIN, ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn a_cluster_that_joined_in_another_secret_is_known() {
    let mut stage = Stage::new().await;
    let init = stage.init();
    stage.does(&init).await;
    let deployment = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "namespace": NAMESPACE } });
    let api = stage.host.of(&deployment);
    let mut found = api.get("dns-syncd").await.unwrap();
    let volumes = found.data["spec"]["template"]["spec"]["volumes"].as_array_mut().unwrap();
    let volume = volumes.iter_mut().find(|volume| volume["name"] == "dns-syncd-clusters").unwrap();
    volume["projected"]["sources"].as_array_mut().unwrap().push(json!({ "secret": { "name": "more" } }));
    api.replace("dns-syncd", &kube::api::PostParams::default(), &found).await.unwrap();
    let metadata = json!({ "name": "more", "namespace": NAMESPACE });
    stage.host.write(&json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata })).await;

    let more = "--timeout=0 --cluster-dns=none";
    stage.does(&format!("{JOIN_US} {more} --secret-name=more")).await;
    for (words, said) in [
        ("join usa --host=host --context=us", "the cluster of the context `us` has joined already, as `us`"),
        (
            "join us --host=host --secret-name=dns-syncd-clusters",
            "has joined as `us` already, in the Secret `more`; hint: --secret-name=more",
        ),
        (
            "unjoin us --host=host --secret-name=dns-syncd-clusters",
            "`us` has joined in the Secret `more`, not in `dns-syncd-clusters`; hint: --secret-name=more",
        ),
    ] {
        let ended = stage.alone(&format!("{words} {more}")).await;
        assert_eq!(ended.code, 2, "{ended:?}");
        assert_has(&ended, said);
    }
    // Who does not say in which is understood.
    assert_has(&stage.does(&format!("{JOIN_US} {more}")).await, "nothing had to be changed");
    let ended = stage.run(&format!("{UNJOIN_US} --cluster-dns=none")).await;
    assert_eq!(ended.code, 4, "no pod runs: {ended:?}");
    assert_has(&ended, &format!("deleted    host: Secret {NAMESPACE}/more key us\n"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KUBE_APISERVER_BIN, ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn without_a_dns_host_the_daemon_is_the_dns_server() {
    let mut stage = Stage::new().await;
    let init = format!(
        "init {FEDERATION} --host-cluster-context=host --dns-provider=embedded --dns-zone-name={ZONE} \
         --controllermanager-arg-overrides=--max-delete=100"
    );
    let ended = stage.does(&init).await;
    assert_has(&ended, &format!("created    host: Service {NAMESPACE}/dns-syncd\n"));
    assert_has(&stage.does(&init).await, "nothing had to be changed");

    // By mistake for another DNS host: the delegation points at the Service while pods may answer there.
    let mistaken = stage.init();
    let ended = stage.run(&mistaken).await;
    assert_eq!(ended.code, 4, "{ended:?}");
    assert_has(&ended, &format!("not deleted: Service {NAMESPACE}/dns-syncd: still used by the old pods"));
    assert_has(&stage.does(&init).await, &format!("unchanged  host: Service {NAMESPACE}/dns-syncd\n"));

    let federations = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": FEDERATION } });
    stage.us.write(&federations).await;
    let ended = stage.does(&format!("{JOIN_US} --timeout=0")).await;
    assert_has(&ended, "no DNS servers of the zone");
    assert_has(&ended, &format!("the cluster `us` has a namespace `{FEDERATION}`, called as the federation"));
    let balancer = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "dns-syncd", "namespace": NAMESPACE },
        "status": { "loadBalancer": { "ingress": [{ "ip": "203.0.113.53" }] } },
    });
    let parameters = kube::api::PatchParams::apply("balancer").force();
    let patch = kube::api::Patch::Apply(&balancer);
    stage.host.of(&balancer).patch_status("dns-syncd", &parameters, &patch).await.unwrap();
    stage.does(&format!("{JOIN_US} --timeout=0")).await;
    let corefile = Stage::config_map(&stage.us, "coredns").await["Corefile"].as_str().unwrap().to_owned();
    assert!(corefile.contains("203.0.113.53"), "{corefile}");

    let deployment = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "namespace": NAMESPACE } });
    let found = stage.host.of(&deployment).get("dns-syncd").await.unwrap();
    let mut pod = Pod::of(&found.data["spec"]["template"], &stage.host).await;
    pod.start();
    let name = format!("web.shop.{FEDERATION}.svc.{ZONE}.");
    let mut last = None;
    for _ in 0..300 {
        pod.until("it answers", |status, _| !status.is_null()).await;
        let answer = query(pod.dns, &name, "A").await;
        if answer.addresses() == [IN_US] {
            pod.stop().await;
            return;
        }
        last = Some(answer);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{last:?}\n{}", pod.log());
}
