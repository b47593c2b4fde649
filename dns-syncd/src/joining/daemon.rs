//! Questions to the daemon's pods, through a port that the API server forwards to their loopback.

use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use serde_json::json;

use super::contexts::{Reached, refused};
use super::federation::Federation;
use super::report::{Listener, Result};
use crate::clusters::{ClusterReport, ClusterStatus};

/// The longest that an answer may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// A running pod of the daemon.
pub(crate) struct Replica<'a> {
    host: &'a Reached,
    namespace: &'a str,
    port: u16,
    pub(crate) name: String,
}

/// The daemon's running pods.
pub(crate) async fn replicas<'a>(
    host: &'a Reached,
    namespace: &'a str,
    federation: &Federation,
) -> Result<Vec<Replica<'a>>> {
    let pods: Api<Pod> = Api::namespaced(host.client.clone(), namespace);
    let parameters = ListParams::default().labels(&federation.pods);
    let doing = format!("listing the daemon's pods in the namespace {namespace}");
    let pods = host.answer(doing, pods.list(&parameters)).await?;
    let runs = |pod: &Pod| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        pod.metadata.deletion_timestamp.is_none() && phase == Some("Running")
    };
    let port = federation.port;
    let replica = |pod: Pod| Replica { host, namespace, port, name: pod.name_any() };
    Ok(pods.items.into_iter().filter(runs).map(replica).collect())
}

impl Replica<'_> {
    /// The clusters as it knows them.
    ///
    /// # Errors
    /// Why it did not say.
    pub(crate) async fn clusters(&self) -> std::result::Result<Vec<ClusterReport>, String> {
        let (status, body) = self.ask(Method::GET, "/clusters", Bytes::new()).await?;
        if status != StatusCode::OK {
            return Err(answered(status, &body));
        }
        serde_json::from_slice(&body).map_err(|error| format!("its answer cannot be read: {error}"))
    }

    /// Takes a cluster out at once; false when it is no member there.
    ///
    /// # Errors
    /// Why it did not.
    pub(crate) async fn unjoin(&self, cluster: &str) -> std::result::Result<bool, String> {
        let body = json!({ "cluster": cluster }).to_string();
        let (status, body) = self.ask(Method::POST, "/unjoin", body.into()).await?;
        match status {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            status => Err(answered(status, &body)),
        }
    }

    async fn ask(&self, method: Method, path: &str, body: Bytes) -> std::result::Result<(StatusCode, Bytes), String> {
        let asking = async {
            let pods: Api<Pod> = Api::namespaced(self.host.client.clone(), self.namespace);
            let forwarded = pods.portforward(&self.name, &[self.port]).await;
            let refused = |error| refused(&self.host.context, "forwarding its port", &error).to_string();
            let mut forwarder = forwarded.map_err(refused)?;
            let stream = forwarder.take_stream(self.port).ok_or("its port is not forwarded")?;
            let broken = |error: hyper::Error| format!("the connection to it breaks: {error}");
            let (mut client, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
            let connection = tokio::spawn(connection);
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header("host", "localhost")
                .header("content-type", "application/json")
                .body(Full::new(body))
                .map_err(|error| error.to_string())?;
            let answer = client.send_request(request).await.map_err(broken)?;
            let status = answer.status();
            let body = answer.into_body().collect().await.map_err(broken)?.to_bytes();
            connection.abort();
            forwarder.abort();
            Ok((status, body))
        };
        let no_answer = || format!("no answer within {} s", PATIENCE.as_secs());
        tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| Err(no_answer()))
    }
}

fn answered(status: StatusCode, body: &[u8]) -> String {
    let said: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let said = said.as_ref().and_then(|said| said["error"].as_str());
    let hint =
        if status == StatusCode::UNAUTHORIZED { "; hint: it has a token-file in [Admin]; ask it by hand" } else { "" };
    format!("it answers {status}: {}{hint}", said.unwrap_or("nothing that helps"))
}

/// Waits until every pod of the daemon follows the cluster; false when the time is over.
pub(crate) async fn wait_until_ready(
    host: &Reached,
    namespace: &str,
    federation: &Federation,
    cluster: &str,
    limit: Duration,
    listener: &dyn Listener,
) -> Result<bool> {
    let until = tokio::time::Instant::now() + limit;
    let mut said = String::new();
    loop {
        let lacking = lacking(host, namespace, federation, cluster).await?;
        let Some(lacking) = lacking else { return Ok(true) };
        if lacking != said {
            listener.remark(&format!("waiting: {lacking}"));
            said = lacking;
        }
        if tokio::time::Instant::now() + PAUSE > until {
            return Ok(false);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What is still lacking; `None` when every pod follows the cluster.
async fn lacking(host: &Reached, namespace: &str, federation: &Federation, cluster: &str) -> Result<Option<String>> {
    let replicas = replicas(host, namespace, federation).await?;
    if replicas.is_empty() {
        return Ok(Some(format!("no pod of the daemon runs in the namespace {namespace}")));
    }
    for replica in replicas {
        let pod = &replica.name;
        let what = match replica.clusters().await {
            Err(why) => why,
            Ok(clusters) => match clusters.into_iter().find(|known| known.name == cluster) {
                Some(known) if known.status == ClusterStatus::Ready => continue,
                Some(ClusterReport { status: ClusterStatus::Unknown, reason, .. }) => {
                    format!("it cannot read the cluster: {}", reason.unwrap_or_default())
                }
                // A kubelet renews what it mounted about once a minute.
                _ => "the kubeconfig has not reached it yet; that may take a minute or two".to_owned(),
            },
        };
        return Ok(Some(format!("pod {pod}: {what}")));
    }
    Ok(None)
}
