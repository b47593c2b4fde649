//! What a healthy cluster says, and how its changes are told.

use dns_sync_core::Place;
use dns_syncd::source::{ClusterSource, EndpointSource as _, Select};

use crate::fake::{EXPORTS, Fake, NODES, SERVICES, SLICES, Verb, export, node, service, slice};
use crate::heard::{Heard, Stands, folder, pace};

/// A folder with one member `eu` at that server.
pub(crate) fn one(fake: &Fake) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("eu.yaml"), fake.kubeconfig("any", "{}")).unwrap();
    folder
}

fn row(name: &str, address: &str, ready: bool) -> (String, String, bool) {
    (name.to_owned(), address.to_owned(), ready)
}

#[tokio::test]
async fn a_cluster_joins_answers_and_tells_each_change() {
    let fake = Fake::start();
    fake.serve("web", "192.0.2.1", true);
    fake.serve("api", "192.0.2.2", false);
    fake.put(NODES, node("n1", "eu", "eu-a"));
    let folder_of = one(&fake);
    let mut heard = Heard::of(folder(folder_of.path()));
    let answer = heard.known("eu").await;
    assert_eq!(heard.history[0].1, Stands::Joined);
    assert_eq!(answer.places, Some([Place::new("eu", "eu-a")].into()));
    assert_eq!(heard.services("eu"), [row("web", "192.0.2.1", true), row("api", "192.0.2.2", false)].into());

    fake.put(SERVICES, service("web", "192.0.2.9"));
    fake.put(SLICES, slice("api", true));
    let moved = [row("web", "192.0.2.9", true), row("api", "192.0.2.2", true)].into();
    heard.until("address and health change", |heard| heard.services("eu") == moved).await;

    fake.put(NODES, node("n2", "eu", "eu-b"));
    fake.delete(NODES, "n1");
    let there = Some([Place::new("eu", "eu-b")].into());
    heard.until("the nodes move", |heard| heard.members["eu"].says.places == there).await;

    fake.delete(SLICES, "shop/web-x");
    let sick = [row("web", "192.0.2.9", false), row("api", "192.0.2.2", true)].into();
    heard.until("the last slice goes", |heard| heard.services("eu") == sick).await;
    fake.delete(SERVICES, "shop/web");
    heard.until("the service goes", |heard| heard.services("eu") == [row("api", "192.0.2.2", true)].into()).await;
    assert!(!heard.was_unknown("eu"));
}

#[tokio::test]
async fn a_long_list_comes_in_pages() {
    let fake = Fake::start();
    fake.put_all((0..1200).map(|i| (SERVICES, service(&format!("s{i}"), "192.0.2.1"))).collect());
    let folder_of = one(&fake);
    let mut heard = Heard::of(folder(folder_of.path()));
    assert_eq!(heard.known("eu").await.services.len(), 1200);
    assert_eq!(fake.pages(), 3 + 1 + 1, "services, slices, nodes");
}

#[tokio::test]
async fn ten_thousand_events_are_few_batches() {
    let fake = Fake::start();
    let folder_of = one(&fake);
    let mut heard = Heard::of(folder(folder_of.path()));
    heard.known("eu").await;
    let before = heard.batches;
    let burst = |i: u32| (SERVICES, service(&format!("s{}", i % 1000), &format!("192.0.2.{}", i / 1000)));
    fake.put_all((0..10_000).map(burst).collect());
    let last = |heard: &Heard| {
        let services = heard.services("eu");
        services.len() == 1000 && services.iter().all(|(_, address, _)| address == "192.0.2.9")
    };
    heard.until("the whole burst", last).await;
    let batches = heard.batches - before;
    assert!(batches <= 1000, "{batches} batches");
}

#[tokio::test]
async fn exported_services_count_where_that_is_selected_and_a_missing_definition_is_said() {
    let fake = Fake::start();
    fake.serve("web", "192.0.2.1", true);
    fake.serve("api", "192.0.2.2", true);
    fake.without_exports(true);
    let folder_of = one(&fake);
    let config = dns_syncd::source::ClustersConfig { select: Select::Exported, ..folder(folder_of.path()) };
    let mut heard = Heard::of(config);
    heard.unknown("eu", "it has no ServiceExport (multicluster.x-k8s.io/v1alpha1)").await;
    fake.without_exports(false);
    heard.known("eu").await;
    assert_eq!(heard.services("eu"), [].into());
    fake.put(EXPORTS, export("web"));
    heard.until("exported", |heard| heard.services("eu") == [row("web", "192.0.2.1", true)].into()).await;
    fake.delete(EXPORTS, "shop/web");
    heard.until("taken back", |heard| heard.services("eu") == [].into()).await;
}

#[tokio::test]
async fn one_reading_asks_all_clusters_and_names_those_that_do_not_answer() {
    let (fake, dead) = (Fake::start(), Fake::stopped());
    fake.serve("web", "192.0.2.1", true);
    let folder_of = one(&fake);
    std::fs::write(folder_of.path().join("us.yaml"), dead.kubeconfig("any", "{}")).unwrap();
    let mut source = ClusterSource::new(folder(folder_of.path())).with_pace(pace());
    let events = source.read_once().await.unwrap();
    let text = format!("{events:?}");
    assert!(text.contains("Answer { cluster: \"eu\""), "{text}");
    assert!(text.contains("Unknown { cluster: \"us\"") && text.contains("unreachable"), "{text}");
    assert!(text.contains("Problems { origin: \"us\""), "{text}");
    fake.refuse(&[Verb::Watch], 403);
    let text = format!("{:?}", source.read_once().await.unwrap());
    assert!(text.contains("Unknown { cluster: \"eu\"") && text.contains("watching"), "{text}");
}
