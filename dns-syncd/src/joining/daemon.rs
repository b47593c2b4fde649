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
use super::joined::{decoded, secret};
use super::report::{Listener, Result};
use crate::clusters::{ClusterReport, ClusterStatus};

/// The longest that an answer may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// Between two looks.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// The daemon in its cluster.
pub(crate) struct Daemon<'a> {
    host: &'a Reached,
    pub(crate) namespace: &'a str,
    federation: &'a Federation,
    /// What its admin address wants to see before a change.
    token: Option<String>,
}

/// A running pod of the daemon.
pub(crate) struct Replica<'a> {
    daemon: &'a Daemon<'a>,
    pub(crate) name: String,
}

impl<'a> Daemon<'a> {
    /// For questions alone.
    pub(crate) fn to_ask(host: &'a Reached, namespace: &'a str, federation: &'a Federation) -> Self {
        Self { host, namespace, federation, token: None }
    }

    /// With the token, where the admin address has one and the pods mount it from a Secret.
    pub(crate) async fn of(host: &'a Reached, namespace: &'a str, federation: &'a Federation) -> Result<Self> {
        let mut token = None;
        if let Some((name, key)) = &federation.token {
            let found = host.find(&secret(namespace, name)).await?;
            let value = found.as_ref().map(|found| decoded(&found.data["data"][key]));
            token = value.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        }
        Ok(Self { host, namespace, federation, token })
    }

    /// The daemon's running pods.
    pub(crate) async fn replicas(&self) -> Result<Vec<Replica<'_>>> {
        let pods: Api<Pod> = Api::namespaced(self.host.client.clone(), self.namespace);
        let parameters = ListParams::default().labels(&self.federation.pods);
        let doing = format!("listing the daemon's pods in the namespace {}", self.namespace);
        let pods = self.host.answer(doing, pods.list(&parameters)).await?;
        let runs = |pod: &Pod| {
            let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
            pod.metadata.deletion_timestamp.is_none() && phase == Some("Running")
        };
        let replica = |pod: Pod| Replica { daemon: self, name: pod.name_any() };
        Ok(pods.items.into_iter().filter(runs).map(replica).collect())
    }
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

    /// Takes a cluster out at once; false when it is no member there, and no kubeconfig of it lies there.
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
            let Daemon { host, namespace, federation, token } = self.daemon;
            let pods: Api<Pod> = Api::namespaced(host.client.clone(), namespace);
            let forwarded = pods.portforward(&self.name, &[federation.port]).await;
            let refused = |error| refused(&host.context, "forwarding its port", &error).to_string();
            let mut forwarder = forwarded.map_err(refused)?;
            let stream = forwarder.take_stream(federation.port).ok_or("its port is not forwarded")?;
            let broken = |error: hyper::Error| format!("the connection to it breaks: {error}");
            let (mut client, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
            let connection = tokio::spawn(connection);
            let mut request = Request::builder();
            if let Some(token) = token.as_ref().filter(|_| method != Method::GET) {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            let request = request
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
    let hint = match status {
        StatusCode::UNAUTHORIZED => {
            "; hint: its token-file in [Admin] is not that of a Secret that it mounts; ask it by hand"
        }
        StatusCode::INTERNAL_SERVER_ERROR => "; hint: run `dns-syncd init` again",
        _ => "",
    };
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
    let daemon = Daemon::to_ask(host, namespace, federation);
    let replicas = daemon.replicas().await?;
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
