//! Questions to a running daemon at its admin address.

use std::time::Duration;

use anyhow::{Context as _, bail};
use dns_syncd::config::Config;
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

use super::warn;

/// The longest that an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest that it may take to find out that nobody listens.
const CONNECT: Duration = Duration::from_secs(2);

/// Whose daemon it is.
#[derive(Deserialize)]
struct Whose {
    zone: String,
    claim: String,
}

/// The JSON at a path; `None` where no daemon listens, or one that works for another claim or zone.
///
/// # Errors
/// When something listens and gives another answer.
pub(crate) async fn get<T: DeserializeOwned>(config: &Config, path: &str) -> anyhow::Result<Option<T>> {
    let Some(whose) = ask::<Whose>(config, "/status").await? else { return Ok(None) };
    let zone = config.federation.zone_name.as_ref();
    if *whose.claim != *config.federation.claim || zone.is_some_and(|zone| *whose.zone != *zone.as_str()) {
        let (address, Whose { zone, claim }) = (config.admin.listen, whose);
        warn(&[format!("the daemon at `{address}` is of claim `{claim}` in zone `{zone}`; it was not asked")]);
        return Ok(None);
    }
    ask(config, path).await
}

async fn ask<T: DeserializeOwned>(config: &Config, path: &str) -> anyhow::Result<Option<T>> {
    let address = config.admin.listen;
    let Ok(Ok(stream)) = tokio::time::timeout(CONNECT, TcpStream::connect(address)).await else { return Ok(None) };
    let asking = async {
        let (mut client, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let request = Request::get(path).header("host", address.to_string()).body(Empty::<Bytes>::new())?;
        let answer = client.send_request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        connection.abort();
        if !status.is_success() {
            bail!("it answers {status}: {}", String::from_utf8_lossy(&body).trim());
        }
        Ok(serde_json::from_slice(&body)?)
    };
    let answer = tokio::time::timeout(PATIENCE, asking).await.context("no answer in time").and_then(|answer| answer);
    answer.map(Some).with_context(|| format!("asking the daemon at `{address}{path}`"))
}
