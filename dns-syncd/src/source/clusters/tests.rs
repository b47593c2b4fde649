//! When a cluster that was taken out is told of anew.

use tokio::task::Id;

use super::*;

/// A cluster with this token; nobody answers there.
fn member(token: &str) -> Arc<Member> {
    let kubeconfig = serde_json::json!({
        "clusters": [{ "name": "us", "cluster": { "server": "https://127.0.0.1:1" } }],
        "users": [{ "name": "us", "user": { "token": token } }],
        "contexts": [{ "name": "us", "context": { "cluster": "us", "user": "us" } }],
    });
    let kubeconfig = Arc::new(serde_json::from_value(kubeconfig).unwrap());
    Arc::new(Member::context(&kubeconfig, "us", "here", None).unwrap())
}

/// Follows one member with this token, or none that is known: who tells of it then, and whether it was told that it joins.
async fn follow(
    telling: &mut Telling,
    events: &mut mpsc::Receiver<Vec<SourceEvent>>,
    token: Result<&str, &str>,
) -> (Option<Id>, bool) {
    let way = token.map(member).map_err(str::to_owned);
    telling.follow(Ok(Members::from([("us".into(), way)]))).await.unwrap();
    let mut joins = false;
    while let Ok(batch) = events.try_recv() {
        joins |= batch.iter().any(|event| matches!(event, SourceEvent::Joined { .. }));
    }
    (telling.running.get("us").map(|running| running.task.id()), joins)
}

#[tokio::test]
async fn a_cluster_that_was_taken_out_is_told_of_anew_by_another_kubeconfig_alone() {
    let (sender, mut events) = mpsc::channel(100);
    let dismissed = Dismissed::default();
    let source = ClusterSource::new(ClustersConfig::default()).with_dismissed(dismissed.clone());
    let mut telling =
        Telling { source, events: sender, running: BTreeMap::new(), before: Members::new(), problem: None };
    let (first, joins) = follow(&mut telling, &mut events, Ok("a")).await;
    assert!(first.is_some() && joins);
    // Credentials that rotate are no other cluster.
    assert_eq!(follow(&mut telling, &mut events, Ok("b")).await, (first, false));

    dismissed.insert("us".into());
    assert_eq!(follow(&mut telling, &mut events, Ok("b")).await, (first, false), "its kubeconfig still lies there");
    assert!(dismissed.is_found("us"));
    // The last one leaves an empty folder, from which nothing else is concluded.
    telling.follow(Err(NoMembers::Unread("empty".to_owned()))).await.unwrap();
    assert!(!dismissed.is_found("us") && dismissed.contains("us"));
    assert_eq!(follow(&mut telling, &mut events, Err("unreadable")).await, (first, false));
    assert!(!dismissed.is_found("us"));
    assert_eq!(follow(&mut telling, &mut events, Ok("b")).await, (first, false), "and is read again");
    let (second, joins) = follow(&mut telling, &mut events, Ok("c")).await;
    assert!(joins && second.is_some() && second != first, "what was told before is told again");
    // Whoever hears that it joins lets it in again.
    assert_eq!(follow(&mut telling, &mut events, Ok("c")).await, (second, false));
}
