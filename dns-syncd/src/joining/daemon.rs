//! Questions to the daemon's pods, through a port that the API server forwards to their loopback.

use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use super::contexts::{Reached, refused};
use super::federation::Federation;
use super::joined::{decoded, secret};
use super::report::{Listener, Result};
use crate::clusters::{ClusterReport, ClusterStatus};

/// The longest that an answer may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// The daemon in its cluster.
pub(crate) struct Daemon<'a> {
    host: &'a Reached,
    pub(crate) namespace: &'a str,
    federation: &'a Federation,
    /// What its admin address wants to see before a change.
    token: Option<String>,
}

/// Pods that are not being deleted and have not ended.
pub(crate) struct Pods<'a> {
    pub(crate) running: Vec<Replica<'a>>,
    /// Those that nobody can ask yet and that may have mounted something already.
    pub(crate) starting: Vec<String>,
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
        Ok(self.pods().await?.running)
    }

    /// The daemon's pods.
    pub(crate) async fn pods(&self) -> Result<Pods<'_>> {
        let pods: Api<Pod> = Api::namespaced(self.host.client.clone(), self.namespace);
        let parameters = ListParams::default().labels(&self.federation.pods);
        let doing = format!("listing the daemon's pods in the namespace {}", self.namespace);
        let pods = self.host.answer(doing, pods.list(&parameters)).await?;
        let mut all = Pods { running: Vec::new(), starting: Vec::new() };
        for pod in pods.items {
            match life(&pod) {
                Life::Runs => all.running.push(Replica { daemon: self, name: pod.name_any() }),
                Life::Starts => all.starting.push(pod.name_any()),
                Life::Other => {}
            }
        }
        Ok(all)
    }
}

/// What a pod can still do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Runs,
    /// Its kubelet has it.
    Starts,
    /// It ends, has ended, or is on no node yet and will mount what there is then.
    Other,
}

fn life(pod: &Pod) -> Life {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    let has_node = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
    let ends = pod.metadata.deletion_timestamp.is_some() || matches!(phase, Some("Succeeded" | "Failed"));
    match phase {
        Some("Running") if !ends => Life::Runs,
        _ if !ends && has_node => Life::Starts,
        _ => Life::Other,
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

    /// Why what it has been told does not reach DNS: only of the pod that writes.
    pub(crate) async fn obstacle(&self) -> Option<Obstacle> {
        let (status, body) = self.ask(Method::GET, "/status", Bytes::new()).await.ok()?;
        let told = serde_json::from_slice(&body).ok().filter(|_| status == StatusCode::OK)?;
        Obstacle::of(&told)
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

/// Why nothing is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// `freeze` of [Guard] holds changes.
    Frozen,
    /// Calls to the DNS host fail; the last error, where one is told.
    Failing(String),
}

impl Obstacle {
    fn of(status: &Value) -> Option<Self> {
        let leader = &status["leader"];
        if !leader.is_null() && leader["role"] != "leader" {
            return None;
        }
        if status["held"].as_array().into_iter().flatten().any(|held| held["limit"] == "freeze") {
            return Some(Self::Frozen);
        }
        let error = status["failures"][0]["error"].as_str().unwrap_or("see its log").to_owned();
        (status["failures_in_a_row"].as_u64() > Some(0)).then_some(Self::Failing(error))
    }
}

fn answered(status: StatusCode, body: &[u8]) -> String {
    let said: Option<Value> = serde_json::from_slice(body).ok();
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

/// Waits until no pod has the kubeconfig any more, and takes the cluster out again where a pod that started meanwhile has
/// taken it in; false when the time is over before.
pub(crate) async fn wait_until_gone(
    daemon: &Daemon<'_>,
    cluster: &str,
    limit: Duration,
    listener: &dyn Listener,
) -> Result<bool> {
    if limit.is_zero() {
        return Ok(true);
    }
    let until = tokio::time::Instant::now() + limit;
    let mut said = String::new();
    loop {
        let Some(why) = who_has(daemon, cluster).await? else { return Ok(true) };
        if why != said {
            listener.remark(&format!("waiting: {why}; a kubelet renews it once a minute"));
            said.clone_from(&why);
        }
        if tokio::time::Instant::now() + PAUSE > until {
            listener.remark(&format!(
                "after {} s {why}: a pod that starts with it takes the cluster in; hint: run this again",
                limit.as_secs()
            ));
            return Ok(false);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// A pod that has the kubeconfig, or may have it; `None` where they all have said that they have not.
async fn who_has(daemon: &Daemon<'_>, cluster: &str) -> Result<Option<String>> {
    let Pods { running, starting } = daemon.pods().await?;
    let mut who = starting.first().map(|pod| format!("pod {pod} is starting, and may have the kubeconfig"));
    if running.is_empty() {
        who.get_or_insert_with(|| "no pod of the daemon runs, and one that starts may have the kubeconfig".to_owned());
    }
    for replica in running {
        // One that cannot be asked may be about to start with it.
        if replica.unjoin(cluster).await.unwrap_or(true) {
            who.get_or_insert_with(|| format!("pod {} still has the kubeconfig", replica.name));
        }
    }
    Ok(who)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_pod_that_its_kubelet_has_may_have_mounted_something() {
        let pod = |node: Option<&str>, phase: &str, deleted: Option<&str>| {
            let object = json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "a", "deletionTimestamp": deleted },
                "spec": { "containers": [], "nodeName": node }, "status": { "phase": phase },
            });
            life(&serde_json::from_value(object).unwrap())
        };
        assert_eq!(pod(Some("n"), "Running", None), Life::Runs);
        assert_eq!(pod(Some("n"), "Pending", None), Life::Starts);
        assert_eq!(pod(Some("n"), "Unknown", None), Life::Starts);
        assert_eq!(pod(None, "Pending", None), Life::Other);
        assert_eq!([pod(Some("n"), "Succeeded", None), pod(Some("n"), "Failed", None)], [Life::Other; 2]);
        for phase in ["Running", "Pending"] {
            assert_eq!(pod(Some("n"), phase, Some("2026-01-01T00:00:00Z")), Life::Other, "{phase}");
        }
    }

    #[test]
    fn only_the_pod_that_writes_says_what_keeps_it_from_it() {
        let frozen = json!([{ "limit": "max-delete" }, { "limit": "freeze" }]);
        let failures = json!([{ "service": "a/b", "error": "it is away" }]);
        for (status, obstacle) in [
            (json!({ "leader": null, "held": frozen, "failures_in_a_row": 0 }), Some(Obstacle::Frozen)),
            (json!({ "leader": { "role": "leader" }, "held": frozen }), Some(Obstacle::Frozen)),
            (json!({ "leader": { "role": "standby" }, "held": frozen, "failures_in_a_row": 1 }), None),
            (json!({ "held": [{ "limit": "max-delete" }], "failures": failures, "failures_in_a_row": 0 }), None),
            (json!({ "failures": failures, "failures_in_a_row": 2 }), Some(Obstacle::Failing("it is away".to_owned()))),
            (json!({ "failures": [], "failures_in_a_row": 2 }), Some(Obstacle::Failing("see its log".to_owned()))),
        ] {
            assert_eq!(Obstacle::of(&status), obstacle, "{status}");
        }
    }
}
