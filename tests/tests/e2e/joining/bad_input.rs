//! Everything that can be asked for wrongly: one clear message, the right exit code, and nothing written.

use serde_json::json;

use super::stage::{Stage, assert_same, config_map};
use crate::deploy::chart::NAMESPACE;
use crate::program::Ended;
use crate::truth::{FEDERATION, ZONE};

fn assert_said(words: &str, ended: &Ended, code: i32, said: &[&str]) {
    assert_eq!(ended.code, code, "{words}: {ended:?}");
    for part in said {
        assert!(ended.stderr.contains(part), "{words}: `{part}` is not said: {}", ended.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KUBE_APISERVER_BIN, ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn what_is_wrong_is_said_and_nothing_is_written() {
    let mut stage = Stage::new().await;
    let init = stage.init();
    let untouched = stage.everything().await;
    let nobody = stage.path("nobody.conf");
    std::fs::write(&nobody, format!("[Global]\netcd-endpoints = http://127.0.0.1:1\nzones = {ZONE}\n")).unwrap();
    let wrong = stage.path("wrong.conf");
    std::fs::write(&wrong, "[Global]\netcd-endpoint = http://127.0.0.1:1\n").unwrap();
    let watched = stage.path("watched.conf").display().to_string();
    std::fs::write(&watched, "[Source]\nkind = clusters\nkubeconfig = /x\n\n[Cluster \"us\"]\nregion = west\n")
        .unwrap();
    let picked = stage.path("picked.conf").display().to_string();
    std::fs::write(&picked, "[Cluster \"us\"]\ncontext = admin@us\n").unwrap();
    let given = stage.path("coredns.conf").display().to_string();
    let with = |file: &std::path::Path| init.replace(&given, &file.display().to_string());
    for (words, code, said) in [
        (
            init.replace("context=host", "context=hots"),
            2,
            &["there is no context `hots` (--host-cluster-context)", "`host`", "`us-plain`"][..],
        ),
        (init.replace("init fed", "init Fed"), 2, &["`Fed` cannot be the name of a federation: it is no DNS label"]),
        (init.replace("--dns-provider=coredns", ""), 2, &["no DNS provider"]),
        (format!("{init} --etcd-image=x"), 2, &["`--etcd-image` has no use", "hint:"]),
        (init.replace("--max-delete", "--v=2,--max-delete"), 2, &["--controllermanager-arg-overrides", "'--v'"]),
        (with(&wrong), 2, &["wrong.conf:2", "did you mean `etcd-endpoints`?"]),
        (with(&stage.path("none.conf")), 2, &["none.conf", "does not exist"]),
        (with(&nobody), 1, &["127.0.0.1:1"]),
        (init.replace("context=host", "context=nowhere"), 1, &["the cluster `nowhere` cannot be reached"]),
        (
            init.replace("context=host", "context=host-plain"),
            1,
            &[
                "nothing was written, for rights are missing:\nneeds: get namespaces kube-system of context host-plain\n",
                "\nneeds: get, create, patch secrets federation-dns-provider.conf in namespace dns-system of context",
                "hint: grant",
            ],
        ),
        (
            format!("{} --dry-run", init.replace("context=host", "context=host-plain")),
            1,
            &["needs: get, create, patch deployments.apps dns-syncd in namespace dns-system of context host-plain"],
        ),
        (format!("{init} --config={watched}"), 2, &["watched.conf:3: `kubeconfig = /x` of [Source]", "dns-syncd join"]),
        (format!("{init} --config={picked}"), 2, &["picked.conf:2: `context = admin@us` of [Cluster \"us\"]"]),
        (init.replace("=coredns", "=memory"), 2, &["`memory` is not set up by `init`"]),
        (
            "join us --host=host".to_owned(),
            1,
            &["there is no daemon in the cluster `host`", "hint: `dns-syncd init NAME"],
        ),
        ("unjoin us --host=host".to_owned(), 1, &["there is no daemon in the cluster `host`"]),
        ("join us.a --host=host".to_owned(), 2, &["`us.a` cannot be the name of a cluster"]),
        (
            "join us --host=host --context=them".to_owned(),
            2,
            &["there is no context `them` (--cluster-context)", "`eu`"],
        ),
    ] {
        let ended = stage.alone(&words).await;
        assert_said(&words, &ended, code, said);
        assert_eq!(ended.stdout, "", "{words}");
        assert_same(&stage.everything().await, &untouched, &words);
    }

    // In the way of `init`.
    let stranger = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "dns-syncd", "namespace": NAMESPACE },
        "data": { "a": "b" },
    });
    stage.host.write(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } })).await;
    stage.host.write(&stranger).await;
    let before = stage.everything().await;
    let ended = stage.alone(&init).await;
    assert_said(&init, &ended, 1, &[&format!("the ConfigMap {NAMESPACE}/dns-syncd in the cluster `host` is not ours")]);
    assert_same(&stage.everything().await, &before, "before");
    stage.host.of(&stranger).delete("dns-syncd", &kube::api::DeleteParams::default()).await.unwrap();
    stage.does(&init).await;
    let other = init.replace("init fed", "init other");
    let said = format!("holds the federation `{FEDERATION}` already");
    assert_said(&other, &stage.alone(&other).await, 2, &[&said, "--federation-system-namespace"]);

    joining(&mut stage).await;
}

/// The same for `join` and `unjoin`, with a daemon that is set up and does not run.
async fn joining(stage: &mut Stage) {
    let before = stage.everything().await;
    for (words, code, said) in [
        (
            "join us --host=host --secret-name=other",
            2,
            &["does not mount the Secret `other`", "it mounts `dns-syncd-clusters`"][..],
        ),
        (
            "join us --host=host --context=us-plain",
            1,
            &[
                "needs: get namespaces kube-system of context us-plain\n",
                "needs: get, create, patch serviceaccounts in namespace dns-system of context us-plain\n",
            ],
        ),
        (
            "join us --host=host-plain --context=us-plain --dry-run",
            1,
            &[
                "needs: get deployments.apps dns-syncd in namespace dns-system of context host-plain\n",
                "needs: list, watch services of context us-plain, or escalate and bind clusterroles.rbac",
            ],
        ),
        ("unjoin us --host=host --context=us-plain", 1, &["needs: get namespaces kube-system of context us-plain\n"]),
        ("join us --host=host --cluster-dns=kube-dns", 2, &["has no ConfigMap `kube-dns`", "--cluster-dns=print"]),
        ("unjoin asia --host=host", 2, &["there is no context `asia`"]),
        ("unjoin nowhere --host=host", 1, &["cannot be reached", "hint: --force"]),
    ] {
        assert_said(words, &stage.alone(words).await, code, said);
        assert_same(&stage.everything().await, &before, words);
    }

    let stranger = json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": { "name": format!("dns-syncd-{FEDERATION}"), "namespace": NAMESPACE },
    });
    stage.us.write(&json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } })).await;
    stage.us.write(&stranger).await;
    let before = stage.everything().await;
    let words = "join us --host=host";
    assert_said(words, &stage.alone(words).await, 1, &["ServiceAccount", "in the cluster `us` is not ours"]);
    assert_same(&stage.everything().await, &before, "before");
    let name = stranger["metadata"]["name"].as_str().unwrap();
    stage.us.of(&stranger).delete(name, &kube::api::DeleteParams::default()).await.unwrap();

    // A right is missing in the middle: what it is, and what to do.
    let rule =
        |resources: &[&str], verbs: &[&str]| json!({ "apiGroups": ["*"], "resources": resources, "verbs": verbs });
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": { "name": "reader" },
        "rules": [rule(&["*"], &["get", "list"])],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": { "name": "reader" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reader" },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "dns-syncd" }],
    });
    stage.us.write(&role).await;
    stage.us.write(&binding).await;
    let words = "join us --host=host --context=us-plain --timeout=0";
    let mut ended = stage.alone(words).await;
    while ended.stderr.contains("needs: get") {
        ended = stage.alone(words).await; // until the roles are known
    }
    let said = format!(
        "nothing was written, for rights are missing:\n\
         needs: create, patch serviceaccounts in namespace {NAMESPACE} of context us-plain\n\
         needs: create, patch secrets in namespace {NAMESPACE} of context us-plain\n\
         needs: create, patch clusterroles.rbac.authorization.k8s.io of context us-plain\n\
         needs: create, patch clusterrolebindings.rbac.authorization.k8s.io of context us-plain\n\
         needs: watch services of context us-plain, or escalate and bind clusterroles.rbac.authorization.k8s.io\n\
         needs: watch nodes of context us-plain, or escalate and bind clusterroles.rbac.authorization.k8s.io\n\
         needs: watch endpointslices.discovery.k8s.io of context us-plain, or escalate and bind \
         clusterroles.rbac.authorization.k8s.io\n\
         hint: grant"
    );
    assert_said(words, &ended, 1, &[&said]);
    assert_eq!(ended.stdout, "", "nothing was written");

    // A Corefile that nobody understands is left alone, and the rest is done.
    let corefile = ".:53 {\n  kubernetes cluster.local\n";
    stage.us.write(&config_map("coredns", &json!({ "Corefile": corefile }))).await;
    let words = "join us --host=host --timeout=0";
    let ended = stage.run(words).await;
    assert_said(words, &ended, 4, &["ConfigMap kube-system/coredns is left alone", "to add by hand", ZONE]);
    assert_eq!(Stage::config_map(&stage.us, "coredns").await["Corefile"], corefile);
    let key = format!("created    host: Secret {NAMESPACE}/dns-syncd-clusters key us");
    assert!(ended.stdout.contains(&key), "{}", ended.stdout);

    let before = stage.everything().await;
    for (words, said) in [
        ("join america --host=host --context=us", "the cluster of the context `us` has joined already, as `us`"),
        ("join us --host=host --context=eu", "another cluster than that of the context `eu` has joined as `us`"),
        (
            "unjoin us --host=host --context=eu",
            "the context `eu` leads to another cluster than the one that joined as `us`",
        ),
        ("unjoin usa --host=host --context=us", "the cluster of the context `us` has joined as `us`, not as `usa`"),
    ] {
        assert_said(words, &stage.alone(words).await, 2, &[said]);
        assert_same(&stage.everything().await, &before, words);
    }

    // A cluster that was built anew in the place of the member is no obstacle, and is left as it is.
    let others = stage.objects(&[&stage.us, &stage.eu]).await;
    let words = "unjoin us --host=host --context=eu --force";
    let said = ["the context `eu` leads to another cluster than the one that joined as `us`: nothing is changed in it"];
    let ended = stage.alone(words).await;
    assert_said(words, &ended, 4, &said);
    assert_eq!(ended.stdout, format!("deleted    host: Secret {NAMESPACE}/dns-syncd-clusters key us\n"));
    assert_same(&stage.objects(&[&stage.us, &stage.eu]).await, &others, words);

    // No pod runs, so nobody can be told.
    let words = "unjoin us --host=host";
    assert_said(words, &stage.alone(words).await, 4, &["no pod of the daemon runs", "`leave-delay`", "left alone"]);
}
