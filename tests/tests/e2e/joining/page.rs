//! `dns-syncd/docs/joining.md` as a new reader walks it: every command of the code blocks about the way in and out, with
//! other addresses and a namespace besides.

use dns_conformance::servers::{CoreDns, KubeUser};
use serde_json::json;

use super::pods::{cluster_dns, empty_world, until};
use super::stage::{COREFILE, Stage, config_map};
use crate::deploy::chart::NAMESPACE;
use crate::members::{Member, NAMESPACE as SHOP};
use crate::program::{self, Ended};
use crate::real::Cluster;
use crate::short_names::pod::resolve;

const PAGE: &str = include_str!("../../../../dns-syncd/docs/joining.md");
/// The zone of the page, and its addresses of etcd and CoreDNS.
const ZONE: &str = "services.example";
const ETCD: &str = "http://192.0.2.53:2379";
const COREDNS: &str = "192.0.2.53:53";

const IN_EU: &str = "192.0.2.1";
const IN_US: &str = "198.51.100.1";

/// Where the page leads in, and out again.
const SECTIONS: [&str; 2] = ["\n## In five minutes\n", "\n## When a cluster leaves, or is gone\n"];

/// Language and text of the code blocks there.
fn blocks() -> Vec<(&'static str, &'static str)> {
    let section = |title: &str| {
        let (_, rest) = PAGE.split_once(title).unwrap_or_else(|| panic!("there is no section {title}"));
        let text = rest.split("\n## ").next().unwrap();
        text.split("```").skip(1).step_by(2).map(|block| block.split_once('\n').unwrap()).collect::<Vec<_>>()
    };
    SECTIONS.into_iter().flat_map(section).collect()
}

/// The reader's kubeconfig: `eu` is the host cluster here.
fn kubeconfig(stage: &Stage) -> String {
    let (eu, us) = (&stage.host.api, &stage.us.api);
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "us",
        "clusters": [
            { "name": "in-europe", "cluster": { "server": stage.front.url() } },
            { "name": "in-america", "cluster": { "server": us.url(), "certificate-authority": us.certificate_authority() } },
        ],
        "users": [
            { "name": "reader-eu", "user": { "token": eu.token(KubeUser::Admin) } },
            { "name": "reader-us", "user": { "token": us.token(KubeUser::Admin) } },
        ],
        "contexts": [
            { "name": "eu", "context": { "cluster": "in-europe", "user": "reader-eu" } },
            { "name": "us", "context": { "cluster": "in-america", "user": "reader-us" } },
        ],
    })
    .to_string()
}

/// Runs a command of the page where the reader's files are.
async fn run(stage: &mut Stage, words: &[&str]) -> Ended {
    let own = ["--federation-system-namespace", NAMESPACE];
    let arguments: Vec<_> = words.iter().copied().chain(own).collect();
    let mut command = program::bare(&arguments);
    command.current_dir(stage.folder.path()).env("KUBECONFIG", stage.path("of-the-reader"));
    let ended = stage.run_command(command).await;
    assert_eq!(ended.code, 0, "{words:?}: {}{}{}", ended.stdout, ended.stderr, stage.logs());
    ended
}

async fn next_door(cluster: &Cluster) -> String {
    let service = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "namespace": SHOP } });
    let found = cluster.of(&service).get("web").await.unwrap();
    found.data["spec"]["clusterIP"].as_str().unwrap().to_owned()
}

/// The names of all objects, but for what is in the daemon's namespace.
async fn others(stage: &Stage) -> Vec<String> {
    let all = stage.everything().await.into_keys();
    all.filter(|key| !key.contains(&format!(" {NAMESPACE}/")) && !key.ends_with(&format!("/{NAMESPACE}"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KUBE_APISERVER_BIN, ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn the_commands_of_the_page_lead_from_two_clusters_to_one_name_and_back() {
    let mut stage = Stage::new().await;
    // What the page asks for: a service of the same name in both clusters, and a zone.
    stage.host.put(&Member::new("eu").with("web", &[IN_EU])).await;
    stage.host.write(&config_map("coredns", &json!({ "Corefile": COREFILE }))).await;
    let dns = CoreDns::on_etcd(&[ZONE], &stage.etcd.url()).await;
    std::fs::write(stage.path("of-the-reader"), kubeconfig(&stage)).unwrap();
    let before = others(&stage).await;

    let (mut commands, mut asked) = (Vec::new(), Vec::new());
    for (language, text) in blocks() {
        match language {
            "ini" => {
                assert!(text.contains(ETCD) && text.contains(COREDNS), "{text}");
                let own = text.replace(ETCD, &stage.etcd.url()).replace(COREDNS, &dns.address().to_string());
                std::fs::write(stage.path("coredns.conf"), own).unwrap();
            }
            "sh" => {
                for line in text.lines() {
                    let words: Vec<_> = line.split_whitespace().collect();
                    match words.as_slice() {
                        ["dns-syncd", words @ ..] => {
                            run(&mut stage, words).await;
                            commands.push(words[..2].join(" "));
                            if words[0] == "init" {
                                stage.start_pods().await;
                            }
                        }
                        ["dig", name] => {
                            assert_eq!(commands, ["init demo", "join eu", "join us"]);
                            until(&dns, &format!("{name}."), "A", &[IN_EU, IN_US], &[]).await;
                            asked.push(format!("{name}."));
                            short_name(&stage).await;
                        }
                        _ => panic!("nobody knows how to run `{line}`"),
                    }
                }
            }
            _ => panic!("nobody knows what to do with {language}: {text}"),
        }
    }
    assert_eq!(commands, ["init demo", "join eu", "join us", "unjoin us"]);
    let [name] = asked.as_slice() else { panic!("{asked:?}") };
    until(&dns, name, "A", &[IN_EU], &[&[IN_EU, IN_US]]).await;
    assert_eq!(Stage::config_map(&stage.us, "coredns").await["Corefile"], COREFILE);

    // And back, as the table says: what is left is in the daemon's namespace.
    let way_back = "`unjoin` of each member, then, when [no record is left](#when-a-cluster-leaves-or-is-gone), \
                    `kubectl delete namespace federation-system`";
    assert!(PAGE.contains(way_back));
    run(&mut stage, &["unjoin", "eu", "--host-cluster-context=eu"]).await;
    until(&dns, name, "A", &[], &[&[IN_EU]]).await;
    stage.until_unmarked("us").await;
    assert_eq!(Stage::config_map(&stage.host, "coredns").await["Corefile"], COREFILE);
    assert_eq!(others(&stage).await, before);
    for pod in &mut stage.pods {
        assert_eq!(pod.denials(), Vec::<String>::new(), "{}", pod.log());
        pod.stop().await;
    }
}

/// The short name of the page leads pods of both clusters to the service next door.
async fn short_name(stage: &Stage) {
    assert!(PAGE.contains("a short one, `web.shop.demo`, which leads to the service next door"));
    let world = empty_world().await;
    for cluster in [&stage.host, &stage.us] {
        let address = next_door(cluster).await;
        let dns = cluster_dns(stage, cluster, &world, 2).await;
        until(&dns, "web.shop.svc.cluster.local.", "A", &[&*address], &[]).await;
        until(&dns, "web.shop.demo.", "A", &[&*address], &[]).await;
        let (name, answer) = resolve(dns.address(), "default", "web.shop.demo", "A").await;
        assert_eq!(answer.addresses(), [address], "{name}");
    }
}
