//! A small API server with one lease: it keeps resource versions and refuses a write at an old one, as the real one does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::time::Instant;

#[derive(Debug, Default)]
pub(crate) struct Cluster {
    pub(crate) lease: Mutex<Option<Value>>,
    version: AtomicU64,
    /// Answers every request with this status.
    pub(crate) refuses: Mutex<Option<u16>>,
    /// The only token that it accepts.
    pub(crate) token: Mutex<Option<&'static str>>,
    /// The holder of each write, and when it was.
    pub(crate) written: Mutex<Vec<(String, Instant)>>,
    pub(crate) reads: AtomicU64,
}

impl Cluster {
    pub(crate) fn spec(&self) -> Value {
        self.lease.lock().unwrap().as_ref().unwrap()["spec"].clone()
    }

    /// Somebody else writes.
    pub(crate) fn set(&self, change: impl Fn(&mut Value)) {
        let mut lease = self.lease.lock().unwrap();
        let lease = lease.as_mut().unwrap();
        change(lease);
        lease["metadata"]["resourceVersion"] = json!(self.next());
    }

    fn next(&self) -> String {
        (self.version.fetch_add(1, Ordering::Relaxed) + 1).to_string()
    }
}

fn refusal(code: u16, reason: &str) -> Response {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": format!("leases.coordination.k8s.io \"fed\": {reason}"), "reason": reason, "code": code,
    });
    (StatusCode::from_u16(code).unwrap(), Json(status)).into_response()
}

async fn answer(State(cluster): State<Arc<Cluster>>, method: Method, headers: HeaderMap, body: String) -> Response {
    let token = cluster.token.lock().unwrap().map(|token| format!("Bearer {token}"));
    if token.is_some_and(|token| headers.get(AUTHORIZATION).is_none_or(|sent| *sent != *token)) {
        return refusal(401, "Unauthorized");
    }
    if let Some(code) = *cluster.refuses.lock().unwrap() {
        return refusal(code, "Refused");
    }
    let mut held = cluster.lease.lock().unwrap();
    let stored = || -> Value {
        let mut lease: Value = serde_json::from_str(&body).unwrap();
        lease["metadata"]["resourceVersion"] = json!(cluster.next());
        let holder = lease["spec"]["holderIdentity"].as_str().unwrap().to_owned();
        cluster.written.lock().unwrap().push((holder, Instant::now()));
        lease
    };
    match (method, held.as_ref()) {
        (Method::GET, Some(lease)) => {
            cluster.reads.fetch_add(1, Ordering::Relaxed);
            Json(lease.clone()).into_response()
        }
        (Method::POST, None) => {
            *held = Some(stored());
            Json(held.clone()).into_response()
        }
        (Method::POST, Some(_)) => refusal(409, "AlreadyExists"),
        (Method::PUT, Some(lease)) => {
            let sent: Value = serde_json::from_str(&body).unwrap();
            if sent["metadata"]["resourceVersion"] != lease["metadata"]["resourceVersion"] {
                return refusal(409, "Conflict");
            }
            *held = Some(stored());
            Json(held.clone()).into_response()
        }
        (_, None) => refusal(404, "NotFound"),
        _ => refusal(405, "MethodNotAllowed"),
    }
}

/// The address at which the cluster answers from now on.
pub(crate) async fn serve(cluster: &Arc<Cluster>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = router(cluster);
    tokio::spawn(async { axum::serve(listener, router).await });
    url
}

fn router(cluster: &Arc<Cluster>) -> Router {
    Router::new().fallback(answer).with_state(cluster.clone())
}

/// A client that needs no connection, so that time can be paused.
pub(crate) fn client(cluster: &Arc<Cluster>) -> kube::Client {
    kube::Client::new(router(cluster), "dns")
}
