//! The objects of a federation v1 API server: what is written through it, the daemon hears, and DNS follows.

use std::time::{Duration, Instant};

use crate::federation_v1::FederationV1;
use crate::members::Member;
use crate::truth::truth;
use crate::world::GRACE;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KUBE_APISERVER_BIN, ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn dns_follows_a_federation_v1_and_stays_while_its_api_server_is_away() {
    let eu = Member::new("eu").with("web", &["192.0.2.1"]).with("api", &["192.0.2.2"]);
    let (us, asia) =
        (Member::new("us").with("web", &["198.51.100.1"]), Member::new("asia").with("web", &["203.0.113.1"]));
    let mut federation = FederationV1::start(&[eu.clone(), us.clone()]).await;
    let grace = GRACE.as_secs();
    federation.configure(&format!("unreachable-grace = {grace}\ntopology-linger = 0"));
    federation.world.start();
    federation.logs("denied (403").await;
    federation.logs("grant list and watch on services and clusters.federation").await;
    federation.allow().await;
    federation.world.expect(truth(&[eu.clone(), us.clone()]));
    federation.world.settle("the federation comes up").await;

    // A member joins; an address changes; one member has no ready endpoint.
    let (moved, sick) = (us.with("web", &["198.51.100.9"]), eu.clone().ready("web", false));
    federation.world.expect(truth(&[sick.clone(), moved.clone(), asia.clone()]));
    federation.put(&[sick, moved.clone(), asia.clone()]).await;
    federation.world.settle("a member joins, objects change").await;
    let members = [eu.clone(), moved.clone(), asia.clone()];
    federation.world.expect(truth(&members));
    federation.put(&members).await;
    federation.world.settle("an endpoint is ready again").await;

    // Names fail over after the grace, counted from the condition's time; `api`, which nobody else serves, stays.
    let failed_over = eu.clone().ready("web", false);
    federation.world.expect(truth(&[failed_over, moved.clone(), asia.clone()]));
    let lost = Instant::now();
    federation.put_cluster(&eu, "False").await;
    federation.world.settle("a member is not ready").await;
    // The condition's time is in whole seconds.
    assert!(lost.elapsed() + Duration::from_secs(1) >= GRACE, "the grace was cut short: {:?}", lost.elapsed());
    federation.logs("the condition `Ready` of its Cluster object is `False`").await;
    federation.world.expect(truth(&members));
    federation.put_cluster(&eu, "True").await;
    federation.world.settle("it is ready again").await;

    // The API server dies: everything stays past the grace, also when the daemon starts anew meanwhile.
    federation.kill();
    federation.logs("the federation's API server: ").await;
    stays(&mut federation, "the server is away").await;
    let ended = federation.world.call(&["plan"]).await;
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("reading the source") && ended.stderr.contains("unreachable"), "{}", ended.stderr);
    federation.world.kill();
    federation.world.start();
    federation.logs("the federation's API server: ").await;
    stays(&mut federation, "the daemon has started while the server is away").await;
    federation.restart().await;
    federation.logs("the cluster is known").await;
    stays(&mut federation, "the server is back").await;

    // An annotation that does not parse is unknown, not empty; others go on meanwhile.
    federation.annotate("api", "{\"items\":[").await;
    federation.logs("is not what federation v1 wrote").await;
    let elsewhere = asia.with("web", &["203.0.113.7"]);
    let members = [eu.clone(), moved.clone(), elsewhere];
    federation.world.expect(truth(&members));
    federation.annotate(
        "web",
        r#"{"items":[{"cluster":"asia","items":[{"ip":"203.0.113.7"}]},{"cluster":"eu","items":[{"ip":"192.0.2.1"}]},{"cluster":"us","items":[{"ip":"198.51.100.9"}]}]}"#,
    )
    .await;
    federation.world.settle("one service cannot be read, another changes").await;
    federation.put(&members).await;
    federation.logs("what was refused is well again").await;

    // A member's object is deleted; what annotations say of it counts no more.
    let [eu, us, asia] = members;
    federation.world.expect(truth(&[eu, us]));
    federation.unjoin(&asia).await;
    federation.world.settle("a member has left").await;
    federation.logs("the cluster has left").await;
    federation.world.finish().await;
}

/// Asks until the grace is long over: clients are answered as before all the time.
async fn stays(federation: &mut FederationV1, what: &str) {
    let begun = Instant::now();
    while begun.elapsed() < GRACE + Duration::from_secs(1) {
        federation.world.settle(what).await;
    }
}
