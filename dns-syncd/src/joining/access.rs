//! How the daemon gets into a member: a token of its account there, and the kubeconfig made of it.

use std::time::Duration;

use kube::config::Cluster;
use serde_json::{Value, json};

use super::contexts::{Contexts, Reached};
use super::joined::{JOINED, UID};
use super::report::{JoiningError, Listener, Result};

/// How long the cluster may take to issue a token, and the pause between two looks.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(250);

/// Of an account, as its cluster issued it.
pub(crate) struct Token {
    token: String,
    authority: Option<String>,
}

impl Token {
    /// Waits until the cluster has filled the Secret of the account's token.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) async fn of(member: &Reached, secret: &Value, listener: &dyn Listener) -> Result<Self> {
        let decoded = |value: &Value| {
            let octets: k8s_openapi::ByteString = serde_json::from_value(value.clone()).ok()?;
            String::from_utf8(octets.0).ok().filter(|text| !text.is_empty())
        };
        let called = super::objects::called(secret);
        let until = tokio::time::Instant::now() + PATIENCE;
        let mut said = false;
        loop {
            let found = member.find(secret).await?;
            let data = found.as_ref().map(|found| &found.data["data"]);
            if let Some((token, data)) = data.and_then(|data| Some((decoded(&data["token"])?, data))) {
                return Ok(Self { token, authority: decoded(&data["ca.crt"]) });
            }
            if tokio::time::Instant::now() >= until {
                let context = &member.context;
                return Err(JoiningError::failed(format!(
                    "the cluster `{context}` does not issue a token: the {called} is still empty after {PATIENCE:?}; hint: \
                     its kube-controller-manager fills it; when it does, run this again"
                )));
            }
            if !std::mem::replace(&mut said, true) {
                listener.remark(&format!("waiting for the cluster `{}` to issue a token", member.context));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Where the daemon reaches a member's API server, and how it verifies it.
pub(crate) struct Server {
    url: String,
    authority: Option<String>,
    name: Option<String>,
}

impl Server {
    /// As the context has it; the host cluster is reached from within.
    ///
    /// # Errors
    /// When the context's certificate authority cannot be read.
    pub(crate) fn of(
        contexts: &Contexts,
        context: &str,
        given: Option<&str>,
        is_host: bool,
        token: &Token,
        listener: &dyn Listener,
    ) -> Result<Self> {
        let none = Cluster::default();
        let cluster = contexts.cluster(context).unwrap_or(&none);
        // What the cluster says of itself is valid at its own addresses.
        let own = || Ok::<_, JoiningError>(token.authority.clone());
        if given.is_none() && is_host {
            return Ok(Self { url: "https://kubernetes.default.svc".into(), authority: own()?, name: None });
        }
        let url = given.or(cluster.server.as_deref()).unwrap_or_default().to_owned();
        if is_loopback(&url) {
            listener.remark(&format!(
                "the address `{url}` of the cluster `{context}` is a loopback address, at which a pod finds nothing; hint: \
                 --cluster-server=URL, with the address at which the host cluster reaches it"
            ));
        }
        let authority = match (&cluster.certificate_authority_data, &cluster.certificate_authority) {
            _ if cluster.insecure_skip_tls_verify == Some(true) => own()?,
            (Some(data), _) => {
                let octets: Option<k8s_openapi::ByteString> = serde_json::from_value(json!(data)).ok();
                Some(octets.and_then(|octets| String::from_utf8(octets.0).ok()).ok_or_else(|| {
                    JoiningError::usage(format!(
                        "the context `{context}`: `certificate-authority-data` is no PEM in base64"
                    ))
                })?)
            }
            (None, Some(path)) => Some(std::fs::read_to_string(path).map_err(|error| {
                JoiningError::usage(format!("the context `{context}`: `certificate-authority` {path}: {error}"))
            })?),
            (None, None) => None,
        };
        Ok(Self { url, authority, name: cluster.tls_server_name.clone() })
    }
}

fn is_loopback(url: &str) -> bool {
    let host = url.split("://").nth(1).unwrap_or(url).split('/').next().unwrap_or_default();
    ["127.", "localhost", "[::1]", "0.0.0.0"].iter().any(|loopback| host.starts_with(loopback))
}

/// The kubeconfig of a member: the daemon's only way into it.
pub(crate) fn kubeconfig(cluster: &str, server: &Server, token: &Token, uid: &str, joined: &str) -> String {
    let mut of_cluster = json!({
        "server": server.url,
        "extensions": [{ "name": UID, "extension": uid }, { "name": JOINED, "extension": joined }],
    });
    if let Some(authority) = &server.authority {
        of_cluster["certificate-authority-data"] = json!(k8s_openapi::ByteString(authority.clone().into_bytes()));
    }
    if let Some(name) = &server.name {
        of_cluster["tls-server-name"] = json!(name);
    }
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": cluster, "cluster": of_cluster }],
        "users": [{ "name": "dns-syncd", "user": { "token": token.token } }],
        "contexts": [{ "name": cluster, "context": { "cluster": cluster, "user": "dns-syncd" } }],
        "current-context": cluster,
    });
    // JSON is YAML as well.
    serde_saphyr::to_string(&kubeconfig).unwrap_or_else(|_| kubeconfig.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use kube::config::Kubeconfig;

    use super::*;

    #[test]
    fn the_kubeconfig_leads_to_the_cluster_and_says_which_one_it_is() {
        let token = Token { token: "t".into(), authority: None };
        let server =
            Server { url: "https://192.0.2.1:6443".into(), authority: Some("PEM".into()), name: Some("api".into()) };
        let text = kubeconfig("us", &server, &token, "uid", "2026");
        let read = Kubeconfig::from_yaml(&text).unwrap();
        let cluster = read.clusters[0].cluster.clone().unwrap();
        assert_eq!(cluster.server.as_deref(), Some("https://192.0.2.1:6443"));
        assert_eq!(cluster.certificate_authority_data.as_deref(), Some("UEVN"));
        assert_eq!(cluster.tls_server_name.as_deref(), Some("api"));
        let extensions: Vec<_> = cluster.extensions.unwrap().into_iter().map(|of| (of.name, of.extension)).collect();
        assert_eq!(extensions, [(UID.to_owned(), json!("uid")), (JOINED.to_owned(), json!("2026"))]);
        assert_eq!(read.current_context.as_deref(), Some("us"));
    }

    #[test]
    fn an_address_that_a_pod_cannot_reach_is_known() {
        let loopback = ["https://127.0.0.1:6443", "https://localhost", "https://[::1]:1/x"];
        assert!(loopback.into_iter().all(is_loopback));
        assert!(!is_loopback("https://192.0.2.1:6443") && !is_loopback("https://example.com/127.0.0.1"));
    }
}
