//! What controllers of a real cluster do and no API server does.

use k8s_openapi::ByteString;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, Secret, ServiceAccount};
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use crate::real::Cluster;

/// Does what there is to do now.
pub(super) async fn work(cluster: &Cluster) {
    issue_tokens(cluster).await;
    end_namespaces(cluster).await;
}

/// Fills Secrets for tokens of accounts.
async fn issue_tokens(cluster: &Cluster) {
    let parameters = ListParams::default().fields("type=kubernetes.io/service-account-token");
    let secrets: Api<Secret> = Api::all(cluster.client.clone());
    let Ok(secrets) = secrets.list(&parameters).await else { return };
    for mut secret in secrets.items.into_iter().filter(|secret| secret.data.is_none()) {
        let (namespace, name) = (secret.namespace().unwrap(), secret.name_any());
        let account = &secret.annotations()["kubernetes.io/service-account.name"];
        let accounts: Api<ServiceAccount> = Api::namespaced(cluster.client.clone(), &namespace);
        let spec = TokenRequestSpec { expiration_seconds: Some(7200), ..TokenRequestSpec::default() };
        let request = TokenRequest { spec, ..TokenRequest::default() };
        // The account may come later than the Secret.
        let Ok(issued) = accounts.create_token_request(account, &PostParams::default(), &request).await else {
            continue;
        };
        let authority = std::fs::read(cluster.api.certificate_authority()).unwrap();
        let token = issued.status.unwrap().token.into_bytes();
        let data = [("token", token), ("ca.crt", authority), ("namespace", namespace.clone().into_bytes())];
        secret.data = Some(data.map(|(key, octets)| (key.to_owned(), ByteString(octets))).into());
        secret.metadata.managed_fields = None;
        let patch = Patch::Merge(serde_json::json!({ "data": secret.data }));
        let secrets: Api<Secret> = Api::namespaced(cluster.client.clone(), &namespace);
        // Somebody may have deleted it meanwhile.
        _ = secrets.patch(&name, &PatchParams::default(), &patch).await;
    }
}

/// Lets namespaces go that are being deleted: nobody but the commands makes anything in them here.
async fn end_namespaces(cluster: &Cluster) {
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    let Ok(all) = namespaces.list(&ListParams::default()).await else { return };
    for mut namespace in all.items.into_iter().filter(|namespace| namespace.metadata.deletion_timestamp.is_some()) {
        let name = namespace.name_any();
        namespace.spec.get_or_insert_default().finalizers = None;
        namespaces.replace_subresource("finalize", &name, &PostParams::default(), &namespace).await.unwrap();
    }
}

/// Tells of the Deployment's pods: all of its newest form and available, but for `old` older ones.
pub(super) async fn roll_out(cluster: &Cluster, namespace: &str, old: i64) {
    let with = |status: &Value| {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "dns-syncd", "namespace": namespace },
            "status": status,
        })
    };
    let found = cluster.of(&with(&json!({}))).get("dns-syncd").await.unwrap();
    let replicas = found.data["spec"]["replicas"].as_i64().unwrap();
    let status = with(&json!({
        "observedGeneration": found.metadata.generation, "replicas": replicas + old, "updatedReplicas": replicas,
        "readyReplicas": replicas + old, "availableReplicas": replicas,
    }));
    let parameters = PatchParams::apply("controllers").force();
    cluster.of(&status).patch_status("dns-syncd", &parameters, &Patch::Apply(&status)).await.unwrap();
}
