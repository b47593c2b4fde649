//! The requests and their answers.

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::{ConnectInfo, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use dnsprovider::Fqdn;
use serde::Deserialize;

use super::{Admin, authority};
use crate::engine::Ended;
use crate::leader::Leadership;

/// The longest that a request waits for the engine.
const LIMIT: Duration = Duration::from_secs(5);

pub(super) fn router(admin: Admin) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/status", get(status))
        .route("/clusters", get(clusters))
        .route("/explain", get(explain))
        .route("/metrics", get(metrics))
        .route("/approve", post(approve))
        .route("/unjoin", post(unjoin))
        .with_state(admin)
}

/// A refusal with its reason as JSON.
struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(serde_json::json!({ "error": self.1 }))).into_response()
    }
}

/// Waits for the engine's answer, not for ever.
async fn engine<T>(question: impl Future<Output = Result<T, Ended>>) -> Result<T, Refused> {
    let unavailable = |text: &str| Refused(StatusCode::SERVICE_UNAVAILABLE, text.to_owned());
    match tokio::time::timeout(LIMIT, question).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(Ended)) => Err(unavailable("the daemon is stopping")),
        Err(_) => Err(unavailable("the engine is busy, or the zone is not open yet")),
    }
}

async fn healthz(State(admin): State<Admin>) -> (StatusCode, String) {
    match admin.health.stuck() {
        None => (StatusCode::OK, "ok\n".into()),
        Some(silent) => {
            let text = format!("the engine has made no progress for {} s\n", silent.as_secs());
            (StatusCode::SERVICE_UNAVAILABLE, text)
        }
    }
}

async fn readyz(State(admin): State<Admin>) -> (StatusCode, &'static str) {
    if !admin.health.is_ready() {
        (StatusCode::SERVICE_UNAVAILABLE, "the zone or a cluster has not been heard of yet\n")
    } else if admin.served.is_some_and(|served| !served.is_ready()) {
        (StatusCode::SERVICE_UNAVAILABLE, "there is no zone to serve yet\n")
    } else if matches!(admin.leader.state(), Some(Leadership::Refused(..))) {
        (StatusCode::SERVICE_UNAVAILABLE, "the leader does other work with this claim; /status says what differs\n")
    } else {
        (StatusCode::OK, "ok\n")
    }
}

async fn status(State(admin): State<Admin>) -> Result<Response, Refused> {
    let status = engine(admin.handle.status()).await?;
    Ok(Json(status).into_response())
}

async fn clusters(State(admin): State<Admin>) -> Result<Response, Refused> {
    let clusters = engine(admin.handle.clusters()).await?;
    Ok(Json(clusters).into_response())
}

#[derive(Deserialize)]
struct ExplainQuery {
    name: String,
}

async fn explain(State(admin): State<Admin>, Query(query): Query<ExplainQuery>) -> Result<Response, Refused> {
    let name = Fqdn::parse(&query.name)
        .map_err(|error| Refused(StatusCode::BAD_REQUEST, format!("`{}` is no name: {error}", query.name)))?;
    let explanation = engine(admin.handle.explain(name)).await?;
    Ok(Json(explanation).into_response())
}

async fn metrics(State(admin): State<Admin>) -> Response {
    // Counters are worth telling even when the engine cannot tell its state.
    if let Ok(gauges) = engine(admin.handle.gauges()).await {
        admin.metrics.set(&gauges);
    }
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], admin.metrics.text()).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Approval {
    hash: String,
}

async fn approve(
    State(admin): State<Admin>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Json(approval): Json<Approval>,
) -> Result<Response, Refused> {
    authorize(&admin, peer, &headers)?;
    if engine(admin.handle.approve(&approval.hash)).await? {
        Ok(Json(serde_json::json!({ "approved": approval.hash })).into_response())
    } else {
        Err(Refused(StatusCode::CONFLICT, format!("nothing was ever held under the hash `{}`", approval.hash)))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unjoining {
    cluster: String,
}

async fn unjoin(
    State(admin): State<Admin>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Json(unjoining): Json<Unjoining>,
) -> Result<Response, Refused> {
    authorize(&admin, peer, &headers)?;
    if engine(admin.handle.unjoin(&unjoining.cluster)).await? {
        Ok(Json(serde_json::json!({ "unjoined": unjoining.cluster })).into_response())
    } else {
        Err(Refused(StatusCode::NOT_FOUND, format!("the cluster `{}` is no member", unjoining.cluster)))
    }
}

fn authorize(admin: &Admin, peer: SocketAddr, headers: &HeaderMap) -> Result<(), Refused> {
    let judged = authority::judge(admin.token_file.as_deref(), peer, headers);
    judged.map_err(|(status, text)| Refused(status, text))
}
