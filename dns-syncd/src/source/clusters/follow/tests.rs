//! Watches that end too soon, in time that does not pass by itself.

use axum::body::Body;
use axum::extract::Query;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use futures::{FutureExt as _, stream};
use kube::Client;
use serde_json::{Value, json};

use super::*;

/// What is told of a server that answers watches in that way, when it was asked for lists and watches, and the end.
struct Followed {
    told: Vec<&'static str>,
    lists: Vec<Instant>,
    watches: Vec<Instant>,
    loss: Option<Loss>,
}

/// Follows for a minute.
async fn follow(position: &Position, answer: fn() -> Response) -> Followed {
    let asked = Arc::new(Mutex::new((Vec::new(), Vec::new())));
    let seen = asked.clone();
    let server = Router::new().fallback(async move |uri: Uri, Query(query): Query<Vec<(String, String)>>| {
        let mut asked = seen.lock().unwrap();
        if uri.path().ends_with("kube-system") {
            return Json(json!({ "metadata": { "uid": "u" } })).into_response();
        }
        if query.iter().any(|(key, _)| key == "watch") {
            asked.1.push(Instant::now());
            return answer();
        }
        asked.0.push(Instant::now());
        Json(json!({ "metadata": { "resourceVersion": "7" }, "items": [] })).into_response()
    });
    let (told, mut telling) = mpsc::channel(10_000);
    let follower = Follower {
        api: Api { client: Client::new(server, "default"), limit: Duration::from_secs(15) },
        kind: Watched::Services,
        select: Select::All,
        pace: Pace::default(),
        identity: Identity::default(),
        position: position.clone(),
        told,
    };
    let loss = tokio::time::timeout(Duration::from_mins(1), follower.run()).await.ok();
    let told = std::iter::from_fn(|| telling.recv().now_or_never().flatten());
    let told = told.map(|(_, told)| match told {
        Told::Listed(_) => "listed",
        Told::Watching => "watching",
        Told::Changed(_) => "changed",
        Told::Alive => "alive",
    });
    let told = told.collect();
    let (lists, watches) = std::mem::take(&mut *asked.lock().unwrap());
    Followed { told, lists, watches, loss }
}

fn too_old() -> Value {
    json!({ "kind": "Status", "status": "Failure", "reason": "Expired", "code": 410, "message": "too old" })
}

fn line(event: &Value) -> String {
    format!("{event}\n")
}

fn bookmark() -> Value {
    json!({ "type": "BOOKMARK", "object": { "kind": "Service", "apiVersion": "v1", "metadata": { "resourceVersion": "8" } } })
}

fn is_growing(times: &[Instant]) -> bool {
    let pauses: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    pauses[0] > Duration::from_millis(300) && pauses.is_sorted_by(|one, next| one < next)
}

#[tokio::test(start_paused = true)]
async fn lists_that_are_always_too_old_are_a_loss() {
    let answers: [fn() -> Response; 2] = [
        || (StatusCode::GONE, Json(too_old())).into_response(),
        || Body::from(line(&json!({ "type": "ERROR", "object": too_old() }))).into_response(),
    ];
    for (answer, watching) in answers.into_iter().zip([0, 1]) {
        let position = Position::default();
        // The second connection goes on as the first one ended.
        for watching in [watching, 0] {
            let followed = follow(&position, answer).await;
            let loss = followed.loss.unwrap();
            assert_eq!((loss.kind, loss.family), (LossKind::Other, Family::Answered(410)));
            assert!(loss.reason.contains("too old as soon as it has given it"), "{}", loss.reason);
            assert_eq!(followed.lists.len(), 4);
            assert!(is_growing(&followed.lists), "{:?}", followed.lists);
            let told = followed.told.iter().filter(|told| **told == "watching").count();
            assert_eq!(told, watching, "{:?}", followed.told);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn watches_that_are_closed_at_once_are_a_loss() {
    let followed = follow(&Position::default(), || Body::empty().into_response()).await;
    assert!(followed.loss.unwrap().reason.contains("closes every watch at once"));
    assert_eq!((followed.lists.len(), followed.watches.len()), (1, 4));
    assert!(is_growing(&followed.watches), "{:?}", followed.watches);
}

#[tokio::test(start_paused = true)]
async fn watches_that_end_after_each_event_are_no_loss_and_have_pauses() {
    let followed = follow(&Position::default(), || Body::from(line(&bookmark())).into_response()).await;
    assert_eq!(followed.loss, None);
    let count = followed.watches.len();
    assert!((50..=160).contains(&count), "a pause of about half a second after each: {count} in a minute");
}

#[tokio::test(start_paused = true)]
async fn after_a_failed_watch_one_counts_when_it_lasts_or_speaks() {
    let silent = || Body::from_stream(stream::pending::<Result<String, std::io::Error>>()).into_response();
    let position = Position::default();
    assert_eq!(follow(&position, silent).await.told, ["listed", "watching"]);
    position.place().failed = true;
    assert_eq!(follow(&position, silent).await.told, ["watching"]);
    position.place().failed = true;
    let speaks = || {
        let first = stream::iter([Ok::<_, std::io::Error>(line(&bookmark()))]);
        Body::from_stream(first.chain(stream::pending())).into_response()
    };
    assert_eq!(follow(&position, speaks).await.told, ["watching", "alive"]);
}
