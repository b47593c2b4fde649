//! People with exactly the rights of the table in `dns-syncd/docs/joining.md`: they are enough, and each of them is needed
//! and said to be missing.

use std::time::Duration;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use super::stage::{COREFILE, KINDS, Stage, assert_same, config_map};
use crate::deploy::chart::NAMESPACE;
use crate::program::Ended;
use crate::real::Cluster;
use crate::truth::FEDERATION;

/// Who has them, in the contexts `…-plain`; and how the roles are called.
const PERSON: &str = "dns-syncd";
const ROLE: &str = "of-a-person";
const RBAC: &str = "rbac.authorization.k8s.io";

/// One verb on one resource, everywhere or in one namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Right {
    namespace: Option<&'static str>,
    group: &'static str,
    resource: &'static str,
    name: Option<&'static str>,
    verb: &'static str,
}

/// Group, resource, the only name of objects, verbs.
type Row = (&'static str, &'static str, Option<&'static str>, &'static [&'static str]);

fn rights(namespace: Option<&'static str>, rows: &[Row]) -> Vec<Right> {
    let right = |&(group, resource, name, verbs): &Row| {
        verbs.iter().map(move |verb| Right { namespace, group, resource, name, verb })
    };
    rows.iter().flat_map(right).collect()
}

/// What `init` needs in the host with a Lease: the objects that it writes, one that it writes with other settings alone and
/// looks for, and what it grants to the daemon.
fn of_init() -> Vec<Right> {
    let own: &[&str] = &["get", "create", "patch"];
    rights(
        None,
        &[
            ("", "namespaces", Some("kube-system"), &["get"]),
            ("", "namespaces", Some(NAMESPACE), &["get", "patch"]),
            ("", "namespaces", None, &["create"]),
            ("", "serviceaccounts", None, own),
            ("", "secrets", None, own),
            ("", "configmaps", None, own),
            ("apps", "deployments", None, own),
            ("policy", "poddisruptionbudgets", None, own),
            (RBAC, "roles", None, own),
            (RBAC, "rolebindings", None, own),
            ("", "services", None, &["get"]),
            ("coordination.k8s.io", "leases", None, &["create"]),
            ("coordination.k8s.io", "leases", Some(FEDERATION), &["get", "update"]),
        ],
    )
}

/// What `join` and `unjoin` need in the host.
fn in_host() -> Vec<Right> {
    let mut all = rights(None, &[("", "namespaces", Some("kube-system"), &["get"])]);
    all.extend(rights(
        Some(NAMESPACE),
        &[
            ("apps", "deployments", None, &["get"]),
            ("", "configmaps", None, &["get"]),
            ("", "secrets", None, &["get", "patch"]),
            ("", "pods", None, &["list"]),
            ("", "pods/portforward", None, &["get", "create"]),
        ],
    ));
    all
}

/// What they need in the member, but for what takes the namespace away.
fn in_member() -> Vec<Right> {
    let own: &[&str] = &["get", "create", "patch", "delete"];
    let mut all = rights(
        None,
        &[
            ("", "namespaces", Some("kube-system"), &["get"]),
            ("", "services", None, &["list", "watch"]),
            ("", "nodes", None, &["list", "watch"]),
            ("discovery.k8s.io", "endpointslices", None, &["list", "watch"]),
            ("", "namespaces", Some(NAMESPACE), &["get", "patch"]),
            ("", "namespaces", None, &["create"]),
            ("", "serviceaccounts", None, own),
            ("", "secrets", None, own),
            (RBAC, "clusterroles", None, own),
            (RBAC, "clusterrolebindings", None, own),
        ],
    );
    all.extend(rights(Some("kube-system"), &[("", "configmaps", None, &["get", "patch"])]));
    all
}

//----------- Granting ---------------------------------------------------

/// Gives the person these of the rights, in roles that have a place for each of `all`.
async fn grant(cluster: &Cluster, all: &[Right], given: &[Right]) {
    let mut places: Vec<_> = all.iter().map(|right| right.namespace).collect();
    places.dedup();
    for namespace in places {
        let rule = |right: &Right| {
            let names: Vec<_> = right.name.into_iter().collect();
            json!({
                "apiGroups": [right.group], "resources": [right.resource], "resourceNames": names, "verbs": [right.verb],
            })
        };
        let rules: Vec<_> = given.iter().filter(|right| right.namespace == namespace).map(rule).collect();
        let (role, binding) = match namespace {
            None => ("ClusterRole", "ClusterRoleBinding"),
            Some(_) => ("Role", "RoleBinding"),
        };
        let (version, metadata) = (format!("{RBAC}/v1"), json!({ "name": ROLE, "namespace": namespace }));
        cluster.write(&json!({ "apiVersion": version, "kind": role, "metadata": metadata, "rules": rules })).await;
        cluster
            .write(&json!({
                "apiVersion": version, "kind": binding, "metadata": metadata,
                "roleRef": { "apiGroup": RBAC, "kind": role, "name": ROLE },
                "subjects": [{ "apiGroup": RBAC, "kind": "User", "name": PERSON }],
            }))
            .await;
    }
    for right in all {
        right.until(cluster, given.contains(right)).await;
    }
}

/// All of them but one.
async fn grant_without(cluster: &Cluster, all: &[Right], lost: &Right) {
    let left: Vec<_> = all.iter().filter(|right| *right != lost).copied().collect();
    grant(cluster, all, &left).await;
}

impl Right {
    /// Waits until the API server says that the person may, or may not.
    async fn until(&self, cluster: &Cluster, may: bool) {
        let (resource, subresource) = self.resource.split_once('/').unwrap_or((self.resource, ""));
        let attributes = ResourceAttributes {
            group: Some(self.group.to_owned()),
            resource: Some(resource.to_owned()),
            subresource: Some(subresource.to_owned()),
            name: self.name.map(str::to_owned),
            namespace: self.namespace.map(str::to_owned),
            verb: Some(self.verb.to_owned()),
            ..ResourceAttributes::default()
        };
        let spec = SubjectAccessReviewSpec {
            user: Some(PERSON.to_owned()),
            resource_attributes: Some(attributes),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let reviews: Api<SubjectAccessReview> = Api::all(cluster.client.clone());
        for _ in 0..1200 {
            let answer = reviews.create(&PostParams::default(), &review).await.unwrap();
            if answer.status.unwrap().allowed == may {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{self:?} never becomes {may}");
    }

    /// Whether a line says that this is missing: verb, resource, and the context in which it is.
    fn is_said(&self, ended: &Ended, context: &str) -> bool {
        let is_word = |line: &str, word: &str| {
            line.split(|sign: char| !sign.is_alphanumeric() && sign != '/').any(|other| other == word)
        };
        ended.stderr.contains(context)
            && ended.stderr.lines().any(|line| is_word(line, self.verb) && is_word(line, self.resource))
    }
}

//----------- Tests ------------------------------------------------------

/// Takes away everything that the commands made in the host.
async fn clear_host(stage: &mut Stage) {
    for (version, kind) in KINDS {
        let object = |metadata: Value| json!({ "apiVersion": version, "kind": kind, "metadata": metadata });
        let ours = ListParams::default().labels("app.kubernetes.io/managed-by=dns-syncd");
        for found in stage.host.of(&object(json!({}))).list(&ours).await.unwrap() {
            let of = stage.host.of(&object(json!({ "namespace": found.namespace() })));
            of.delete(&found.name_any(), &DeleteParams::default()).await.unwrap();
        }
    }
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": {} });
    while stage.host.of(&namespace).get_opt(NAMESPACE).await.unwrap().is_some() {
        stage.work().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KUBE_APISERVER_BIN, ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn init_needs_the_rights_of_its_page_and_no_others() {
    let mut stage = Stage::new().await;
    std::fs::write(stage.path("lease.conf"), "[Leader]\nkind = lease\n").unwrap();
    let lease = stage.path("lease.conf").display().to_string();
    let init = stage.init().replace("context=host", "context=host-plain") + " --config=" + &lease;
    let needed = of_init();
    for lost in &needed {
        grant_without(&stage.host, &needed, lost).await;
        let ended = stage.alone(&init).await;
        assert!(ended.code == 1 && lost.is_said(&ended, "host-plain"), "without {lost:?}: {ended:?}");
        clear_host(&mut stage).await;
    }
    grant(&stage.host, &needed, &needed).await;
    let ended = stage.does(&init).await;
    assert!(ended.stdout.contains(&format!("created    host-plain: Role {NAMESPACE}/dns-syncd")), "{}", ended.stdout);
    let written = stage.everything().await;
    let ended = stage.does(&init).await;
    assert!(ended.stderr.contains("nothing had to be changed"), "{}", ended.stderr);
    assert_same(&stage.everything().await, &written, "written");
}

/// Runs `join`, and when that does not need the right, `unjoin`: one of them says that it is missing. Then the
/// administrator takes away what there is.
async fn assert_missed(stage: &mut Stage, lost: &Right, context: &str, timeout: u32) {
    let words = "us --host-cluster-context=host-plain --cluster-context=us-plain";
    let ended = stage.run(&format!("join {words} --timeout={timeout}")).await;
    if (lost.resource, lost.verb) == ("pods/portforward", "create") {
        assert!(ended.stderr.contains("asks for from 1.35 on:\nneeds: create pods/portforward"), "{ended:?}");
        assert!(ended.stdout.contains("created    us-plain: "), "it is no obstacle before: {ended:?}");
    }
    if ended.code == 0 {
        let ended = stage.run(&format!("unjoin {words}")).await;
        assert!([1, 4].contains(&ended.code) && lost.is_said(&ended, context), "without {lost:?}: {ended:?}");
    } else {
        assert!(ended.code == 1 && lost.is_said(&ended, context), "without {lost:?}: {ended:?}");
    }
    stage.run("unjoin us --host-cluster-context=host").await;
    stage.until_unmarked("us").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KUBE_APISERVER_BIN, ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn join_and_unjoin_need_the_rights_of_their_page_and_no_others() {
    let mut stage = Stage::new().await;
    let init = stage.init();
    stage.does(&init).await;
    let (host, needed) = (in_host(), in_member());
    let away = rights(None, &[("", "namespaces", Some(NAMESPACE), &["delete"])]);
    let member = [needed.as_slice(), &away].concat();
    grant(&stage.host, &host, &host).await;

    // In the member; nobody waits for pods.
    for lost in &needed {
        grant_without(&stage.us, &member, lost).await;
        assert_missed(&mut stage, lost, "us-plain", 0).await;
    }
    // Where the Corefile imports what others write, that is what is written.
    let corefile = format!("{COREFILE}import custom/*.server\n");
    stage.us.write(&config_map("coredns", &json!({ "Corefile": corefile }))).await;
    let mut more = member.clone();
    more.extend(rights(Some("kube-system"), &[("", "configmaps", None, &["create", "delete"])]));
    for lost in more.iter().filter(|right| right.resource == "configmaps") {
        grant_without(&stage.us, &more, lost).await;
        assert_missed(&mut stage, lost, "us-plain", 0).await;
    }
    stage.us.write(&config_map("coredns", &json!({ "Corefile": COREFILE }))).await;

    // In the host, where the daemon runs.
    grant(&stage.us, &more, &member).await;
    stage.start_pods().await;
    for lost in &host {
        grant_without(&stage.host, &host, lost).await;
        assert_missed(&mut stage, lost, "host-plain", 3).await;
    }

    // With all of them everything is done, but that nobody knows what else is in the namespace.
    grant(&stage.host, &host, &host).await;
    let words = "us --host-cluster-context=host-plain --cluster-context=us-plain";
    stage.does(&format!("join {words}")).await;
    let written = stage.everything().await;
    let ended = stage.does(&format!("join {words}")).await;
    assert!(ended.stderr.contains("nothing had to be changed"), "{}", ended.stderr);
    assert_same(&stage.everything().await, &written, "written");
    let ended = stage.does(&format!("unjoin {words}")).await;
    let said =
        format!("the namespace {NAMESPACE} in the cluster `us-plain` stays: something else may be in it: listing");
    assert!(ended.stderr.contains(&said) && ended.stderr.contains("cannot list resource"), "{}", ended.stderr);

    // Who may look takes it away, when they may do that as well.
    let look = rights(None, &[("*", "*", None, &["list"])]);
    more.extend(&look);
    grant(&stage.us, &more, &[needed.as_slice(), &look].concat()).await;
    let ended = stage.run(&format!("unjoin {words}")).await;
    assert!(ended.code == 1 && away[0].is_said(&ended, "us-plain"), "{ended:?}");
    grant(&stage.us, &more, &[member.as_slice(), &look].concat()).await;
    stage.does(&format!("unjoin {words}")).await;
    stage.until_unmarked("us").await;
}
