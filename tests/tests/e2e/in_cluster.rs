//! The daemon in a pod of the cluster that it watches: nothing is given but what every container finds.

use std::path::{Path, PathBuf};

use dns_conformance::servers::{CoreDns, Etcd, EtcdVersion, certificates};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::members::{Member, NAMESPACE};
use crate::outages::gate::{Gate, Manner};
use crate::program::Container;
use crate::real::{Cluster, rights};
use crate::truth::{FEDERATION, ZONE, truth};
use crate::world::World;

/// The daemon's account.
const ACCOUNT: &str = "dns-syncd";

/// The account, which may read what the daemon watches, and hold leases of its own namespace.
async fn grant(cluster: &Cluster) {
    let [role, _] = rights();
    let metadata = json!({ "name": ACCOUNT, "namespace": NAMESPACE });
    let subjects = json!([{ "kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE }]);
    let (group, api) = ("rbac.authorization.k8s.io", "rbac.authorization.k8s.io/v1");
    for object in [
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata }),
        role,
        json!({
            "apiVersion": api, "kind": "ClusterRoleBinding", "metadata": { "name": ACCOUNT }, "subjects": subjects,
            "roleRef": { "apiGroup": group, "kind": "ClusterRole", "name": "dns-syncd" },
        }),
        json!({
            "apiVersion": api, "kind": "Role", "metadata": metadata,
            "rules": [
                { "apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"] },
            ],
        }),
        json!({
            "apiVersion": api, "kind": "RoleBinding", "metadata": metadata, "subjects": subjects,
            "roleRef": { "apiGroup": group, "kind": "Role", "name": ACCOUNT },
        }),
    ] {
        cluster.write(&object).await;
    }
}

/// A token that the API server issues to the account; each is another one.
async fn token(cluster: &Cluster, seconds: i64) -> String {
    let accounts: Api<ServiceAccount> = Api::namespaced(cluster.client.clone(), NAMESPACE);
    let spec = TokenRequestSpec { expiration_seconds: Some(seconds), ..TokenRequestSpec::default() };
    let request = TokenRequest { spec, ..TokenRequest::default() };
    let issued = accounts.create_token_request(ACCOUNT, &PostParams::default(), &request).await.unwrap();
    issued.status.unwrap().token
}

/// Writes the volume anew as kubelets do: a new folder, and one link that is turned to it.
fn mount(folder: &Path, generation: usize, token: &str) {
    let data = folder.join(format!("..{generation}"));
    std::fs::create_dir(&data).unwrap();
    for (name, text) in [("ca.crt", certificates::AUTHORITY), ("namespace", NAMESPACE), ("token", token)] {
        std::fs::write(data.join(name), text).unwrap();
        let link = folder.join(name);
        if link.symlink_metadata().is_err() {
            std::os::unix::fs::symlink(PathBuf::from("..data").join(name), link).unwrap();
        }
    }
    std::os::unix::fs::symlink(data.file_name().unwrap(), folder.join("..data_tmp")).unwrap();
    std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
}

/// One cluster without a name of its own but that of its section, which has the leadership too.
fn configure(world: &World) {
    let (provider, config) = (world.provider_config().0, world.config());
    let folder = config.parent().unwrap().display();
    let text = format!(
        "[Federation]\nname = {FEDERATION}\nzone-name = {ZONE}\n\
         [Provider]\nname = {provider}\nconfig = {folder}/provider.conf\n\
         [Source]\nkind = clusters\n[Cluster \"eu\"]\n\
         [Sync]\nmin-interval = 0\nunreachable-grace = 1h\n\
         [Leader]\nkind = lease\n\
         [Guard]\nmax-delete = 100\nmax-update = 100\nmax-emptied = 100\n\
         [Admin]\nlisten = 127.0.0.1:0\n"
    );
    std::fs::write(config, text).unwrap();
}

/// The token is another one from one moment to the next, and that of before is refused: neither the watches nor the
/// leadership take note.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KUBE_APISERVER_BIN, ETCD_BIN, COREDNS_BIN and MOUNTS: tests/run gets them"]
async fn a_daemon_without_a_kubeconfig_publishes_the_cluster_of_its_pod() {
    let etcd = Etcd::start(EtcdVersion::V3_6).await;
    let coredns = CoreDns::on_etcd(&[ZONE], &etcd.url()).await;
    let mut eu = Member::new("eu").with("web", &["192.0.2.1"]);
    let mut cluster = Cluster::start(&etcd, &eu).await;
    grant(&cluster).await;
    let gate = Gate::to(&cluster.api);
    let account = tempfile::tempdir().unwrap();
    let first = token(&cluster, 3607).await;
    mount(account.path(), 1, &first);
    let mut world = World::on_etcd(&etcd.url(), coredns.address());
    configure(&world);
    let server = gate.url().strip_prefix("https://").unwrap().parse().unwrap();
    let container = Container { server, account: account.path().to_owned() };
    world.expect(truth(&[eu.clone()]));
    world.start_as(container.run(&world.config()));
    world.settle("the cluster of the pod is published").await;
    assert!(world.log().contains("this process leads"), "{}", world.log());

    let known = world.log().len();
    for (generation, address) in [(2, "192.0.2.2"), (3, "192.0.2.3")] {
        let next = token(&cluster, 3607 + generation).await;
        assert_ne!(first, next);
        mount(account.path(), usize::try_from(generation).unwrap(), &next);
        gate.set(Manner::Only(next));
        eu = eu.with("web", &[address]);
        world.expect(truth(&[eu.clone()]));
        cluster.put(&eu).await;
        world.settle("a change after the token was renewed").await;
        until_renewed(&cluster).await;
    }
    let log = world.log();
    let trouble: Vec<_> =
        log[known..].lines().filter(|line| line.contains(" WARN ") || line.contains(" ERROR ")).collect();
    assert!(trouble.is_empty(), "{trouble:?}");
    world.finish().await;
}

/// Waits until the leadership has been renewed from now on, and looks that it never changed hands.
async fn until_renewed(cluster: &Cluster) {
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": { "namespace": NAMESPACE },
    });
    let spec = async || -> Value { cluster.of(&lease).get(FEDERATION).await.unwrap().data["spec"].clone() };
    let before = spec().await;
    for _ in 0..1200 {
        let now = spec().await;
        assert_eq!((&now["holderIdentity"], &now["leaseTransitions"]), (&before["holderIdentity"], &json!(0)));
        if now["renewTime"] != before["renewTime"] {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the lease is not renewed: {before}");
}
