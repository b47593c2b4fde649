//! Each way in which the view of a cluster can be lost: what it said stays, and it is known again afterwards.

use std::time::Duration;

use dns_syncd::source::ClustersConfig;
use dns_syncd::source::clusters::Pace;

use crate::fake::{Fake, NAMESPACE, SERVICES, Verb, service};
use crate::heard::{Heard, Stands, folder, pace};
use crate::watched::one;

async fn known(fake: &Fake, config: impl FnOnce(ClustersConfig) -> ClustersConfig) -> (tempfile::TempDir, Heard) {
    fake.serve("web", "192.0.2.1", true);
    fake.serve("api", "192.0.2.2", true);
    let folder_of = one(fake);
    let mut heard = Heard::of(config(folder(folder_of.path())));
    heard.known("eu").await;
    (folder_of, heard)
}

#[tokio::test]
async fn down_at_the_start() {
    let mut fake = Fake::stopped();
    fake.serve("web", "192.0.2.1", true);
    let folder_of = one(&fake);
    let mut heard = Heard::of(folder(folder_of.path()));
    heard.unknown("eu", "unreachable").await;
    fake.up();
    assert_eq!(heard.known("eu").await.services.len(), 1);
}

#[tokio::test]
async fn dies_later_and_comes_back() {
    let mut fake = Fake::start();
    let (_folder, mut heard) = known(&fake, |config| config).await;
    fake.down();
    heard.unknown("eu", "unreachable").await;
    assert_eq!(heard.services("eu").len(), 2, "what it said stays");
    fake.put(SERVICES, service("web", "192.0.2.9"));
    let lists = fake.pages();
    fake.up();
    heard.known("eu").await;
    assert!(
        heard.services("eu").contains(&("web".into(), "192.0.2.9".into(), true)),
        "what happened meanwhile is told"
    );
    assert_eq!(fake.pages(), lists, "the watches go on where they were");
}

#[tokio::test]
async fn hangs_without_closing() {
    let fake = Fake::start();
    fake.serve("web", "192.0.2.1", true);
    let folder_of = one(&fake);
    let hasty = Pace { limit: Duration::from_millis(500), ..pace() };
    let mut heard = Heard::at(folder(folder_of.path()), hasty);
    heard.known("eu").await;
    fake.hang(true);
    heard.unknown("eu", "did not answer within").await;
    fake.hang(false);
    heard.known("eu").await;
}

/// The server is well and answers whatever it is asked; only the watches that are open have died without a word.
#[tokio::test]
async fn dead_watches_of_a_healthy_server_are_begun_anew() {
    let fake = Fake::start();
    fake.serve("web", "192.0.2.1", true);
    let folder_of = one(&fake);
    let hasty = Pace { watch: Duration::from_secs(1), limit: Duration::from_millis(800), ..pace() };
    let mut heard = Heard::at(folder(folder_of.path()), hasty);
    heard.known("eu").await;
    fake.mute();
    fake.put(SERVICES, service("web", "192.0.2.9"));
    let told = |heard: &Heard| heard.services("eu").contains(&("web".into(), "192.0.2.9".into(), true));
    heard.until("what the dead watches did not tell", told).await;
    assert!(!heard.was_unknown("eu"));
}

#[tokio::test]
async fn answers_with_errors_at_the_start_and_later() {
    for (code, words) in [(401, "does not accept our credentials"), (403, "denied"), (429, "429"), (500, "500")] {
        let fake = Fake::start();
        fake.serve("web", "192.0.2.1", true);
        fake.refuse(&[Verb::Get, Verb::List, Verb::Watch], code);
        let folder_of = one(&fake);
        let mut heard = Heard::of(folder(folder_of.path()));
        heard.unknown("eu", words).await;
        fake.refuse(&[], 0);
        heard.known("eu").await;
        fake.refuse(&[Verb::Get, Verb::List, Verb::Watch], code);
        fake.cut();
        heard.unknown("eu", words).await;
        assert_eq!(heard.services("eu").len(), 1, "what it said stays after {code}");
        fake.refuse(&[], 0);
        heard.known("eu").await;
    }
}

#[tokio::test]
async fn lists_are_allowed_and_watches_denied() {
    let fake = Fake::start();
    fake.serve("web", "192.0.2.1", true);
    fake.refuse(&[Verb::Watch], 403);
    let folder_of = one(&fake);
    let mut heard = Heard::of(folder(folder_of.path()));
    heard.unknown("eu", "watching").await;
    heard.unknown("eu", "grant list and watch on services").await;
    assert!(!heard.history.iter().any(|(_, stands)| *stands == Stands::Known), "a list alone does not make it known");
    fake.refuse(&[], 0);
    heard.known("eu").await;
}

#[tokio::test]
async fn a_compacted_history_is_listed_anew_and_nothing_is_unknown() {
    let fake = Fake::start();
    let (_folder, mut heard) = known(&fake, |config| config).await;
    fake.put(SERVICES, service("new", "192.0.2.7"));
    fake.compact();
    heard.until("listed anew", |heard| heard.services("eu").len() == 3).await;
    fake.delete(SERVICES, "shop/new");
    heard.until("watched again", |heard| heard.services("eu").len() == 2).await;
    assert!(!heard.was_unknown("eu"));
}

#[tokio::test]
async fn a_server_that_calls_every_list_too_old_is_unknown_from_the_start() {
    let fake = Fake::start();
    fake.serve("web", "192.0.2.1", true);
    fake.refuse(&[Verb::Watch], 410);
    let folder_of = one(&fake);
    let mut heard = Heard::of(folder(folder_of.path()));
    heard.unknown("eu", "too old as soon as it has given it").await;
    fake.refuse(&[], 0);
    assert_eq!(heard.known("eu").await.services.len(), 1);
}

#[tokio::test]
async fn an_empty_list_after_a_lost_watch_is_doubted_until_something_is_there_again() {
    let fake = Fake::start();
    let (_folder, mut heard) = known(&fake, |config| config).await;
    fake.wipe();
    heard.unknown("eu", "finds nothing of what was there").await;
    assert_eq!(heard.services("eu").len(), 2, "what it said stays");
    fake.serve("web", "192.0.2.1", true);
    heard.known("eu").await;
    assert_eq!(heard.services("eu").len(), 1, "one of them is there: the rest is believed");
}

#[tokio::test]
async fn an_empty_list_is_believed_when_another_one_agrees_after_the_delay() {
    let fake = Fake::start();
    let short = |config| ClustersConfig { leave_delay: Duration::from_millis(300), ..config };
    let (_folder, mut heard) = known(&fake, short).await;
    fake.wipe();
    heard.unknown("eu", "finds nothing").await;
    let lists = fake.pages();
    heard.known("eu").await;
    assert_eq!(heard.services("eu"), [].into());
    assert!(fake.pages() > lists, "a second list was asked for");
}

#[tokio::test]
async fn a_single_service_may_be_gone_after_a_lost_watch() {
    let fake = Fake::start();
    fake.serve("web", "192.0.2.1", true);
    let folder_of = one(&fake);
    let mut heard = Heard::of(folder(folder_of.path()));
    heard.known("eu").await;
    fake.wipe();
    heard.until("it is gone", |heard| heard.services("eu").is_empty()).await;
    assert!(!heard.was_unknown("eu"));
}

#[tokio::test]
async fn another_cluster_answers_in_its_place() {
    let fake = Fake::start();
    let (_folder, mut heard) = known(&fake, |config| config).await;
    fake.become_cluster("second");
    heard.unknown("eu", "another cluster answers in its place").await;
    heard.unknown("eu", "was `first` and is `second`").await;
    fake.become_cluster("first");
    heard.known("eu").await;
}

#[tokio::test]
async fn without_the_right_to_see_kube_system_it_goes_on() {
    let fake = Fake::start();
    fake.hide(NAMESPACE);
    let (_folder, mut heard) = known(&fake, |config| config).await;
    fake.cut();
    fake.put(SERVICES, service("web", "192.0.2.9"));
    let told = |heard: &Heard| heard.services("eu").contains(&("web".into(), "192.0.2.9".into(), true));
    heard.until("changes are told", told).await;
    assert!(!heard.was_unknown("eu"));
}
