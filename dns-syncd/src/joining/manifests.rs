//! What lies in the host cluster and in a member: the manifests of `dns-syncd/deploy`, with other values.
//!
//! The chart is the one truth: its rendered form is embedded here, and a test compares what comes out with the chart
//! rendered with the same values.
//! In: values · Out: objects as JSON · Pure: yes

use std::collections::BTreeMap;
use std::net::SocketAddr;

use dnsprovider::Fqdn;
use serde_json::{Value, json};

use super::objects::{CLUSTER, MADE_BY, marked, namespace, text};
use super::report::{JoiningError, Result};
use super::rights::{ROLE_BINDINGS, ROLES};
use crate::config::LeaderKind;

const HOST: &str = include_str!("../../deploy/manifests/init.yaml");
/// The same where the daemon is the DNS server.
const HOST_EMBEDDED: &str = include_str!("../../deploy/manifests/init-embedded.yaml");
const MEMBER: &str = include_str!("../../deploy/manifests/member.yaml");

/// The names of objects in the manifests, kept in the host cluster.
pub(crate) const NAME: &str = "dns-syncd";
/// The provider's file, as kubefed called Secret and key.
pub(crate) const PROVIDER_FILE: &str = "federation-dns-provider.conf";
/// The Secret with a kubeconfig for each member.
pub(crate) const CLUSTERS: &str = "dns-syncd-clusters";
/// The provider that is the daemon itself.
pub(crate) const EMBEDDED: &str = "embedded";
/// The Secret with the token of the admin address, and its key.
pub(crate) const ADMIN: &str = "dns-syncd-admin";
pub(crate) const TOKEN: &str = "token";
/// Where the container finds that.
pub(crate) const ADMIN_FOLDER: &str = "/etc/dns-syncd/admin";
/// Where the container finds the provider's files.
pub(crate) const PROVIDER_FOLDER: &str = "/etc/dns-syncd/provider";

/// Annotations of the Deployment, called as kubefed called them; `join` reads them.
pub(crate) const FEDERATIONS: &str = "federations";
pub(crate) const FEDERATION: &str = "federation.alpha.kubernetes.io/federation-name";
pub(crate) const ZONE: &str = "dns-zone-name";
pub(crate) const NAME_SERVERS: &str = "nameserver";
pub(crate) const PROVIDER: &str = "dns-provider";
/// Pods are replaced when it changes, as the chart has it.
const RESTART_ON: &str = "dns-syncd.io/restart-on";

/// What differs between hosts.
#[derive(Clone, Debug)]
pub(crate) struct HostValues {
    pub(crate) namespace: String,
    pub(crate) image: String,
    pub(crate) federation: String,
    /// What names end in.
    pub(crate) suffix: Fqdn,
    pub(crate) zone: Fqdn,
    pub(crate) provider: String,
    /// DNS servers that answer for the zone, where the provider's file names them.
    pub(crate) servers: Vec<SocketAddr>,
    /// `dns-syncd.conf`.
    pub(crate) config: String,
    /// The provider's file and those that it names, by key of the Secret.
    pub(crate) provider_files: BTreeMap<String, Vec<u8>>,
    pub(crate) leader: LeaderKind,
    pub(crate) lease: String,
    /// Of the admin address.
    pub(crate) token: Option<Vec<u8>>,
    /// Of what is read once, at the start.
    pub(crate) checksum: String,
    /// The log is for people.
    pub(crate) is_text: bool,
}

/// The objects of the host cluster in the order in which they are written.
pub(crate) fn host(values: &HostValues) -> Result<Vec<Value>> {
    let mut objects = vec![namespace(&values.namespace)];
    let form = if values.provider == EMBEDDED { HOST_EMBEDDED } else { HOST };
    for mut object in documents(form)? {
        let kind = text(&object, "/kind").to_owned();
        if values.leader != LeaderKind::Lease && ["Role", "RoleBinding"].contains(&&*kind) {
            continue;
        }
        object["metadata"]["namespace"] = json!(values.namespace);
        match &*kind {
            "Secret" => {
                object["metadata"]["name"] = json!(PROVIDER_FILE);
                if let Some(fields) = object.as_object_mut() {
                    fields.remove("stringData");
                }
                object["data"] = encoded(&values.provider_files);
            }
            "ConfigMap" => object["data"] = json!({ "dns-syncd.conf": values.config }),
            "Role" => {
                let rules = object["rules"].as_array_mut().into_iter().flatten();
                for rule in rules.filter(|rule| rule["resourceNames"].is_array()) {
                    rule["resourceNames"] = json!([values.lease]);
                }
            }
            "RoleBinding" => object["subjects"][0]["namespace"] = json!(values.namespace),
            "Deployment" => {
                objects.push(secret_like(&object, CLUSTERS, &values.namespace));
                if let Some(token) = &values.token {
                    let mut secret = secret_like(&object, ADMIN, &values.namespace);
                    secret["data"] = encoded(&[(TOKEN.to_owned(), token.clone())].into());
                    objects.push(secret);
                }
                deployment(&mut object, values);
            }
            _ => {}
        }
        objects.push(marked(object));
    }
    Ok(objects)
}

/// A Secret with the labels of that object; empty at first.
fn secret_like(like: &Value, name: &str, namespace: &str) -> Value {
    let labels = like["metadata"]["labels"].clone();
    marked(json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": { "name": name, "namespace": namespace, "labels": labels },
    }))
}

/// Objects that `init` makes in some cases and not in this one, each with its resource.
pub(crate) fn without_use(namespace: &str, objects: &[Value]) -> Vec<(&'static str, Value)> {
    const IN_SOME_CASES: [(&str, &str, &str, &str); 4] = [
        (ROLE_BINDINGS, "rbac.authorization.k8s.io/v1", "RoleBinding", NAME),
        (ROLES, "rbac.authorization.k8s.io/v1", "Role", NAME),
        ("services", "v1", "Service", NAME),
        ("secrets", "v1", "Secret", ADMIN),
    ];
    let is_made = |kind: &str, name: &str| {
        objects.iter().any(|object| text(object, "/kind") == kind && text(object, "/metadata/name") == name)
    };
    let unmade = IN_SOME_CASES.into_iter().filter(|(_, _, kind, name)| !is_made(kind, name));
    let object = |(resource, version, kind, name): (_, &str, &str, &str)| {
        let metadata = json!({ "name": name, "namespace": namespace });
        (resource, json!({ "apiVersion": version, "kind": kind, "metadata": metadata }))
    };
    unmade.map(object).collect()
}

fn deployment(object: &mut Value, values: &HostValues) {
    let bare = |name: &Fqdn| name.as_str().trim_end_matches('.').to_owned();
    object["metadata"]["annotations"] = json!({
        FEDERATIONS: format!("{}={}", values.federation, bare(&values.suffix)),
        FEDERATION: values.federation,
        ZONE: bare(&values.zone),
        PROVIDER: values.provider,
    });
    if !values.servers.is_empty() {
        let servers: Vec<_> = values.servers.iter().map(ToString::to_string).collect();
        object["metadata"]["annotations"][NAME_SERVERS] = json!(servers.join(","));
    }
    let template = &mut object["spec"]["template"];
    template["metadata"]["annotations"][RESTART_ON] = json!(values.checksum);
    let uses_token = values.leader == LeaderKind::Lease;
    let is_kept = |entry: &Value| uses_token || entry["name"] != "dns-syncd-token";
    let pod = &mut template["spec"];
    if let Some(volumes) = pod["volumes"].as_array_mut() {
        volumes.retain(is_kept);
        for volume in volumes.iter_mut().filter(|volume| volume["name"] == "dns-syncd-provider") {
            volume["secret"]["secretName"] = json!(PROVIDER_FILE);
        }
    }
    if values.token.is_some() {
        let volume = json!({ "name": ADMIN, "secret": { "secretName": ADMIN } });
        behind_clusters(&mut pod["volumes"], volume);
        let mount = json!({ "name": ADMIN, "mountPath": ADMIN_FOLDER, "readOnly": true });
        behind_clusters(&mut pod["containers"][0]["volumeMounts"], mount);
    }
    let container = &mut pod["containers"][0];
    container["image"] = json!(values.image);
    if let Some(mounts) = container["volumeMounts"].as_array_mut() {
        mounts.retain(is_kept);
    }
    for form in container["args"].as_array_mut().into_iter().flatten().filter(|word| **word == "json") {
        *form = json!(if values.is_text { "text" } else { "json" });
    }
}

/// Adds a volume, or its mount, where the chart has it.
fn behind_clusters(entries: &mut Value, entry: Value) {
    if let Some(entries) = entries.as_array_mut() {
        let at = entries.iter().position(|entry| entry["name"] == CLUSTERS).map_or(entries.len(), |at| at + 1);
        entries.insert(at, entry);
    }
}

/// What the daemon needs in a member.
#[derive(Clone, Debug)]
pub(crate) struct MemberValues {
    pub(crate) namespace: String,
    pub(crate) federation: String,
    /// Its name in the federation.
    pub(crate) cluster: String,
    /// `select = exported` reads `ServiceExport`s.
    pub(crate) exports: bool,
    /// `events = true` writes Kubernetes Events.
    pub(crate) events: bool,
}

impl MemberValues {
    /// Name of the account, with the federation's, so that a cluster may be a member of several.
    fn account(&self) -> String {
        format!("{NAME}-{}", self.federation)
    }

    fn role(&self) -> String {
        format!("{}-{}-member", self.namespace, self.account())
    }
}

/// The objects of a member in the order in which they are written; the Secret of the token is the last.
pub(crate) fn member(values: &MemberValues) -> Result<Vec<Value>> {
    let (account, role) = (values.account(), values.role());
    let mut objects = vec![namespace(&values.namespace)];
    let mut labels = json!({});
    for mut object in documents(MEMBER)? {
        labels = object["metadata"]["labels"].clone();
        match text(&object, "/kind") {
            "ServiceAccount" => {
                object["metadata"]["name"] = json!(account);
                object["metadata"]["namespace"] = json!(values.namespace);
            }
            "ClusterRole" => {
                object["metadata"]["name"] = json!(role);
                let rules = object["rules"].as_array_mut().into_iter();
                for rules in rules {
                    if values.exports {
                        rules.push(json!({
                            "apiGroups": ["multicluster.x-k8s.io"], "resources": ["serviceexports"],
                            "verbs": ["list", "watch"],
                        }));
                    }
                    if values.events {
                        rules.push(json!({
                            "apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"],
                        }));
                    }
                }
            }
            "ClusterRoleBinding" => {
                object["metadata"]["name"] = json!(role);
                object["roleRef"]["name"] = json!(role);
                object["subjects"][0]["name"] = json!(account);
                object["subjects"][0]["namespace"] = json!(values.namespace);
            }
            _ => {}
        }
        objects.push(object);
    }
    objects.push(json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
        "metadata": {
            "name": format!("{account}-token"), "namespace": values.namespace, "labels": labels,
            "annotations": { "kubernetes.io/service-account.name": account },
        },
    }));
    let told = |mut object: Value| {
        let (note, text) = match text(&object, "/kind") {
            // Members of several federations may share it.
            "Namespace" => (MADE_BY, &values.federation),
            _ => (CLUSTER, &values.cluster),
        };
        object["metadata"]["annotations"][note] = json!(text);
        marked(object)
    };
    Ok(objects.into_iter().map(told).collect())
}

/// The data of a Secret.
pub(crate) fn encoded(files: &BTreeMap<String, Vec<u8>>) -> Value {
    let encode = |octets: &Vec<u8>| serde_json::to_value(k8s_openapi::ByteString(octets.clone())).unwrap_or_default();
    files.iter().map(|(name, octets)| (name.clone(), encode(octets))).collect::<serde_json::Map<_, _>>().into()
}

fn documents(text: &str) -> Result<Vec<Value>> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text)
        .map_err(|error| JoiningError::failed(format!("the embedded manifests cannot be read: {error}")))?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}
