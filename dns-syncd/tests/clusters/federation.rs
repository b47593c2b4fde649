//! The objects of a federation v1 API server, told as they change, and that server's failures.

use std::sync::Arc;
use std::time::Duration;

use dns_sync_core::{Adopt, Place, ServiceId, Settings, SourceEvent, Timestamp};
use dns_syncd::daemon::Daemon;
use dns_syncd::engine::Status;
use dns_syncd::source::{ClustersConfig, EndpointSource as _, FederationSource, Select};
use dnsprovider::{
    ApplyContext, Change, ChangeSet, ClaimedSet, DnsProvider as _, DnsProviderExt as _, Fqdn, MemoryProvider,
    RecordData, RrKey, RrSet, RrType, Ttl, Version,
};
use serde_json::{Value, json};

use crate::fake::{CLUSTERS, Fake, NAMESPACE, SERVICES, Verb};
use crate::heard::{Heard, Stands, pace};

const INGRESSES: &str = "federation.kubernetes.io/service-ingresses";

/// A server as federation v1's: without the namespace `kube-system`.
fn start() -> Fake {
    let fake = Fake::start();
    fake.lack(NAMESPACE);
    fake
}

/// A `Cluster` in the region of its own name.
fn cluster(name: &str, ready: &str) -> Value {
    json!({
        "apiVersion": "federation/v1beta1", "kind": "Cluster", "metadata": { "name": name, "labels": { "of": name } },
        "status": {
            "region": name, "zones": [format!("{name}-a")],
            "conditions": [
                { "type": "Offline", "status": "False" },
                { "type": "Ready", "status": ready, "lastTransitionTime": "2026-11-01T10:00:00Z" },
            ],
        },
    })
}

/// A service with this annotation.
fn annotated(name: &str, annotation: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": name, "namespace": "shop", "annotations": { INGRESSES: annotation } },
        "spec": { "type": "LoadBalancer" },
    })
}

/// A service with one address in each of these clusters; an empty one stands for none.
fn service(name: &str, addresses: &[(&str, &str)]) -> Value {
    let items = addresses.iter().map(|(cluster, ip)| {
        let items = if ip.is_empty() { Value::Null } else { json!([{ "ip": ip }]) };
        json!({ "cluster": cluster, "items": items })
    });
    annotated(name, &json!({ "items": items.collect::<Vec<_>>() }).to_string())
}

fn row(name: &str, address: &str) -> (String, String, bool) {
    (name.to_owned(), address.to_owned(), !address.is_empty())
}

/// A folder with the kubeconfig that leads to the server.
fn kubeconfig(fake: &Fake) -> (tempfile::TempDir, ClustersConfig) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    std::fs::write(&file, fake.kubeconfig("fed", "{}")).unwrap();
    let leave_delay = Duration::from_hours(1);
    (folder, ClustersConfig { kubeconfig: vec![file], leave_delay, ..ClustersConfig::default() })
}

fn source(config: ClustersConfig) -> FederationSource {
    FederationSource::new("fed", config).with_pace(pace())
}

/// Two members that serve `web`, one of which serves `api`.
async fn known() -> (Fake, tempfile::TempDir, Heard) {
    let fake = start();
    fake.put(CLUSTERS, cluster("eu", "True"));
    fake.put(CLUSTERS, cluster("us", "True"));
    fake.put(SERVICES, service("web", &[("eu", "192.0.2.1"), ("us", "198.51.100.1")]));
    fake.put(SERVICES, service("api", &[("eu", "192.0.2.2"), ("us", "")]));
    let (folder, config) = kubeconfig(&fake);
    let mut heard = Heard::with(source(config));
    heard.known("eu").await;
    heard.known("us").await;
    (fake, folder, heard)
}

//----------- What it says ---------------------------------------------------

#[tokio::test]
async fn members_and_services_are_told_as_they_change() {
    let (fake, _folder, mut heard) = known().await;
    assert_eq!(heard.members["eu"].says.places, Some([Place::new("eu", "eu-a")].into()));
    assert_eq!(heard.members["eu"].says.labels.get("of").map(|label| &**label), Some("eu"));
    assert_eq!(heard.services("eu"), [row("web", "192.0.2.1"), row("api", "192.0.2.2")].into());
    assert_eq!(heard.services("us"), [row("web", "198.51.100.1"), row("api", "")].into());
    assert!(heard.problems.values().all(Vec::is_empty), "{:?}", heard.problems);

    fake.put(SERVICES, service("web", &[("eu", "192.0.2.9"), ("us", "198.51.100.1")]));
    let moved = [row("web", "192.0.2.9"), row("api", "192.0.2.2")].into();
    heard.until("an address changes", |heard| heard.services("eu") == moved).await;
    fake.delete(SERVICES, "shop/api");
    heard.until("a service goes", |heard| heard.services("us") == [row("web", "198.51.100.1")].into()).await;
    assert_eq!(heard.services("eu"), [row("web", "192.0.2.9")].into());

    // Its copies were there before its object.
    fake.put(SERVICES, service("web", &[("eu", "192.0.2.9"), ("us", "198.51.100.1"), ("asia", "203.0.113.1")]));
    fake.put(CLUSTERS, cluster("asia", "True"));
    heard.known("asia").await;
    assert_eq!(heard.services("asia"), [row("web", "203.0.113.1")].into());

    // Only what changed is told: nobody else has answered again.
    let answers = |name: &str| heard.history.iter().filter(|told| **told == (name.to_owned(), Stands::Known)).count();
    assert_eq!(answers("us"), 1 + 1, "its answer, and `api` that went");

    fake.delete(CLUSTERS, "asia");
    heard.until("a member leaves", |heard| heard.stands("asia") == Some(&Stands::Gone)).await;
    assert!(!heard.was_unknown("eu") && !heard.was_unknown("us"));
}

#[tokio::test]
async fn a_member_is_unknown_while_it_is_not_ready_and_keeps_what_was_said() {
    let (fake, _folder, mut heard) = known().await;
    fake.put(CLUSTERS, cluster("eu", "Unknown"));
    heard.unknown("eu", "the condition `Ready` of its Cluster object is `Unknown`").await;
    let said = [row("web", "192.0.2.1"), row("api", "192.0.2.2")].into();
    assert_eq!(heard.services("eu"), said);
    // A service of one that is not ready may change; it stays unknown.
    fake.put(SERVICES, service("web", &[("eu", "192.0.2.9"), ("us", "198.51.100.1")]));
    let moved = [row("web", "192.0.2.9"), row("api", "192.0.2.2")].into();
    heard.until("an address changes", |heard| heard.services("eu") == moved).await;
    assert!(matches!(heard.stands("eu"), Some(Stands::Unknown(_))), "{:?}", heard.stands("eu"));
    fake.put(CLUSTERS, cluster("eu", "True"));
    heard.known("eu").await;
    assert!(!heard.was_unknown("us"));
}

#[tokio::test]
async fn when_a_member_was_lost_is_the_time_of_its_condition() {
    let fake = start();
    fake.put(CLUSTERS, cluster("eu", "False"));
    fake.put(SERVICES, service("web", &[("eu", "192.0.2.1")]));
    let (_folder, config) = kubeconfig(&fake);
    let events = source(config).read_once().await.unwrap();
    let unknown = events.iter().find_map(|event| match event {
        SourceEvent::Unknown { since, .. } => Some(*since),
        _ => None,
    });
    assert_eq!(unknown, Some(Some(Timestamp(1_793_527_200_000))), "{events:?}");
}

#[tokio::test]
async fn an_annotation_that_does_not_parse_is_unknown_and_not_empty() {
    let (fake, _folder, mut heard) = known().await;
    fake.put(SERVICES, annotated("web", "{\"items\":["));
    heard.until("it is a problem", |heard| heard.problem("is not what federation v1 wrote").is_some()).await;
    let problem = heard.problem("is not what federation v1 wrote").unwrap().clone();
    assert_eq!(problem.service, Some(ServiceId::new("shop", "web")), "it keeps that service's records");
    assert_eq!(heard.services("eu"), [row("api", "192.0.2.2")].into());
    assert_eq!(heard.stands("eu"), Some(&Stands::Known), "others are not concerned");

    // Nor is it empty while nobody can ask.
    fake.refuse(&[Verb::Get, Verb::List, Verb::Watch], 500);
    fake.cut();
    heard.unknown("eu", "500").await;
    assert_eq!(heard.problem("is not what federation v1 wrote"), Some(&problem));
    fake.refuse(&[], 500);
    heard.known("eu").await;
    assert_eq!(heard.problem("is not what federation v1 wrote"), Some(&problem));

    fake.put(SERVICES, service("web", &[("eu", "192.0.2.1")]));
    heard.until("it is well again", |heard| heard.problem("").is_none()).await;
    assert_eq!(heard.services("eu"), [row("web", "192.0.2.1"), row("api", "192.0.2.2")].into());
}

#[tokio::test]
async fn annotated_services_alone_count_where_that_is_selected() {
    let fake = start();
    fake.put(CLUSTERS, cluster("eu", "True"));
    fake.put(SERVICES, service("web", &[("eu", "192.0.2.1")]));
    let mut chosen = service("api", &[("eu", "192.0.2.2")]);
    chosen["metadata"]["annotations"]["dns-syncd.io/export"] = json!("true");
    fake.put(SERVICES, chosen);
    let (_folder, config) = kubeconfig(&fake);
    let mut heard = Heard::with(source(ClustersConfig { select: Select::Annotated, ..config }));
    heard.known("eu").await;
    assert_eq!(heard.services("eu"), [row("api", "192.0.2.2")].into());
}

//----------- When it fails --------------------------------------------------

#[tokio::test]
async fn a_server_that_dies_makes_all_members_unknown_and_takes_nothing_back() {
    let (mut fake, _folder, mut heard) = known().await;
    fake.put(CLUSTERS, cluster("us", "False"));
    heard.unknown("us", "`Ready`").await;
    fake.down();
    heard.unknown("eu", "the federation's API server: ").await;
    heard.unknown("us", "the federation's API server: ").await;
    assert_eq!(heard.services("eu"), [row("web", "192.0.2.1"), row("api", "192.0.2.2")].into());
    assert!(heard.problem("unreachable").is_some_and(|problem| problem.service.is_none()), "{:?}", heard.problems);
    fake.up();
    heard.known("eu").await;
    heard.unknown("us", "`Ready`").await;
    assert!(heard.problem("").is_none(), "{:?}", heard.problems);
    assert_eq!(heard.history.iter().filter(|(_, stands)| *stands == Stands::Joined).count(), 2, "nobody came anew");
}

#[tokio::test]
async fn a_watch_that_is_too_old_lists_anew_and_nobody_was_unknown() {
    let (fake, _folder, mut heard) = known().await;
    fake.compact();
    fake.put(SERVICES, service("web", &[("eu", "192.0.2.9")]));
    heard.until("it is heard", |heard| heard.services("eu").contains(&row("web", "192.0.2.9"))).await;
    assert!(!heard.was_unknown("eu"));
}

#[tokio::test]
async fn a_denied_watch_makes_all_members_unknown_and_names_the_right() {
    let (fake, _folder, mut heard) = known().await;
    fake.refuse(&[Verb::Watch], 403);
    fake.cut();
    heard.unknown("eu", "denied (403").await;
    heard.unknown("us", "grant list and watch on services and clusters.federation").await;
    fake.refuse(&[], 403);
    heard.known("eu").await;
}

#[tokio::test]
async fn a_server_without_the_kind_is_told_from_one_that_is_away() {
    let fake = start();
    fake.lack(CLUSTERS);
    let (_folder, config) = kubeconfig(&fake);
    let mut heard = Heard::with(source(config.clone()));
    heard.until("it is said", |heard| heard.problem("it has no kind Cluster of federation/v1beta1").is_some()).await;
    let error = source(config).read_once().await.unwrap_err();
    assert!(error.reason.contains("it has no kind Cluster of federation/v1beta1 (404"), "{error}");
}

#[tokio::test]
async fn a_server_without_any_member_changes_nothing() {
    let (fake, _folder, mut heard) = known().await;
    fake.delete(CLUSTERS, "eu");
    heard.until("one leaves", |heard| heard.stands("eu") == Some(&Stands::Gone)).await;
    fake.delete(CLUSTERS, "us");
    heard.unknown("us", "it has no `Cluster` object").await;
    fake.put(CLUSTERS, cluster("asia", "True"));
    heard.known("asia").await;
    assert_eq!(heard.stands("us"), Some(&Stands::Gone));
    fake.delete(CLUSTERS, "asia");
    let (_folder, config) = kubeconfig(&fake);
    let error = source(config).read_once().await.unwrap_err();
    assert!(error.reason.contains("it has no `Cluster` object"), "{error}");
}

#[tokio::test]
async fn a_list_without_the_services_that_were_there_is_doubted() {
    let (fake, _folder, mut heard) = known().await;
    fake.wipe();
    // Its members are back, its services are not.
    fake.put(CLUSTERS, cluster("eu", "True"));
    fake.put(CLUSTERS, cluster("us", "True"));
    heard.unknown("eu", "finds nothing of what was there").await;
    assert_eq!(heard.services("eu").len(), 2);
    fake.put(SERVICES, service("api", &[("eu", "192.0.2.2")]));
    heard.known("eu").await;
    assert_eq!(heard.services("eu"), [row("api", "192.0.2.2")].into());
}

#[tokio::test]
async fn the_context_called_as_the_federation_leads_there_else_the_current_one() {
    let (fake, other) = (start(), Fake::stopped());
    fake.put(CLUSTERS, cluster("eu", "True"));
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (current, named) =
        (file("other", other.kubeconfig("other", "{}")), file("named", fake.kubeconfig("fed", "{}")));
    let read = async |files: &[&std::path::PathBuf]| {
        let kubeconfig = files.iter().map(|path| (*path).clone()).collect();
        source(ClustersConfig { kubeconfig, ..ClustersConfig::default() }).read_once().await
    };
    assert!(read(&[&current, &named]).await.is_ok(), "the current context is `other`");
    assert!(read(&[&current]).await.unwrap_err().reason.contains("unreachable"));
    let ours = file("ours", fake.kubeconfig("any", "{}"));
    assert!(read(&[&ours]).await.is_ok(), "the current one");
    let none = file("none", fake.kubeconfig("a", "{}").replace("current-context: a", "current-context: gone"));
    assert!(read(&[&none]).await.is_ok(), "the only one");
    let two = file("two", other.kubeconfig("b", "{}").replace("current-context: b", ""));
    let error = read(&[&none, &two]).await.unwrap_err().reason;
    assert!(error.contains("none is called `fed`") && error.contains("`a`, `b`"), "{error}");
}

#[tokio::test]
async fn a_kubeconfig_that_is_gone_makes_members_unknown_until_it_is_back() {
    let (fake, folder, mut heard) = known().await;
    let file = folder.path().join("config");
    std::fs::rename(&file, folder.path().join("away")).unwrap();
    heard.unknown("eu", "there is no such file").await;
    std::fs::rename(folder.path().join("away"), &file).unwrap();
    heard.known("eu").await;
    fake.accept_only("new");
    fake.cut();
    heard.unknown("us", "does not accept our credentials (401").await;
    std::fs::write(&file, fake.kubeconfig("fed", "{token: new}")).unwrap();
    heard.known("us").await;
}

/// Before the first answer there are no members; all the same the zone is not that of a federation without any.
#[tokio::test]
async fn a_daemon_that_starts_while_the_server_is_away_is_ready_and_deletes_nothing() {
    let apex = Fqdn::parse("example.com").unwrap();
    let provider = MemoryProvider::new([apex.clone()]);
    let zone = provider.zones(None).await.unwrap()[0].id.clone();
    // As federation v1 left it: nobody is credited with anything.
    let left = |place: &str| {
        let owner = Fqdn::parse(&format!("web.shop.fed.svc.{place}example.com")).unwrap();
        let address = RecordData::A("192.0.2.1".parse().unwrap());
        let set = RrSet::new(RrKey::new(owner, RrType::A), Ttl::from_secs(180).unwrap(), [address]).unwrap();
        Change::create(ClaimedSet::unclaimed(set), Version::default())
    };
    let changes = ChangeSet::by_name(["", "eu.", "eu-a.eu."].map(left));
    provider.apply(&zone, &changes, &ApplyContext::default()).await.unwrap();
    let before = provider.read_zone(&zone).await.unwrap();
    assert_eq!(before.len(), 3);

    let mut fake = Fake::stopped();
    fake.lack(NAMESPACE);
    let (_folder, config) = kubeconfig(&fake);
    let settings = Settings { adopt: Adopt::Names, ..Settings::new("fed", apex) };
    let daemon = Daemon::new(settings, Arc::new(provider.clone()), Box::new(source(config)));
    let handle = daemon.handle();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(daemon.run(async move { _ = stopped.await }));
    let until = async |what: &str, is_so: &dyn Fn(&Status) -> bool| {
        let asking = async {
            while !is_so(&handle.status().await.unwrap()) {
                tokio::task::yield_now().await;
            }
        };
        // Only so that a failure ends.
        tokio::time::timeout(Duration::from_mins(1), asking).await.expect(what);
    };
    let is_told = |status: &Status| status.refused.iter().any(|refusal| refusal.reason.contains("unreachable"));
    until("ready, and says what is wrong", &|status| status.ready && is_told(status)).await;
    assert_eq!(provider.read_zone(&zone).await.unwrap(), before);

    fake.put(CLUSTERS, cluster("eu", "True"));
    fake.put(SERVICES, service("web", &[("eu", "192.0.2.1")]));
    fake.up();
    until("its sets are claimed", &|status| status.claimed_sets == 3 && status.refused.is_empty()).await;
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
}
