//! Who has joined: the kubeconfigs of the members, in the Secrets that the daemon mounts.

use std::collections::{BTreeMap, BTreeSet};

use kube::api::DynamicObject;
use kube::config::Kubeconfig;
use serde_json::{Value, json};

use super::contexts::Reached;
use super::report::{JoiningError, Result};

/// A kubeconfig's extension with the UID of the member's namespace `kube-system`.
pub(crate) const UID: &str = "dns-syncd.io/kube-system-uid";
/// A kubeconfig's extension with the time at which the member joined: a member that joins again is another.
pub(crate) const JOINED: &str = "dns-syncd.io/joined";

/// A Secret, by name alone.
pub(crate) fn secret(namespace: &str, name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name, "namespace": namespace } })
}

/// The kubeconfigs of the members as they lie in the Secret.
#[derive(Clone, Debug)]
pub(crate) struct Joined {
    pub(crate) secret: Value,
    pub(crate) found: DynamicObject,
    /// The text of each member's kubeconfig.
    pub(crate) members: BTreeMap<String, String>,
}

/// All Secrets with kubeconfigs that the daemon mounts.
#[derive(Clone, Debug)]
pub(crate) struct AllJoined {
    /// Where this member's kubeconfig is, or comes.
    pub(crate) own: Joined,
    others: Vec<Joined>,
}

impl AllJoined {
    /// Reads them. The member's own is the one asked for, else the one that holds its kubeconfig, else the first.
    ///
    /// # Errors
    /// Where that one is not there.
    pub(crate) async fn of(
        host: &Reached,
        namespace: &str,
        names: &[String],
        cluster: &str,
        is_asked: bool,
    ) -> Result<Self> {
        let mut all = Vec::new();
        for (at, name) in names.iter().enumerate() {
            match Joined::of(host, namespace, name).await? {
                Some(joined) => all.push(joined),
                // The pods do not start without it, so it is no place for a member.
                None if at > 0 => {}
                None => {
                    return Err(JoiningError::failed(format!(
                        "there is no Secret {namespace}/{name} in the cluster `{}`; hint: run `dns-syncd init` again",
                        host.context
                    )));
                }
            }
        }
        let holds = |joined: &Joined| joined.members.contains_key(cluster);
        let at = if is_asked { 0 } else { all.iter().position(holds).unwrap_or(0) };
        Ok(Self { own: all.remove(at), others: all })
    }

    /// The name of the own Secret.
    pub(crate) fn secret(&self) -> String {
        super::objects::text(&self.own.secret, "/metadata/name").to_owned()
    }

    /// The name under which a cluster has joined already, other than this one.
    pub(crate) fn other_name(&self, cluster: &str, uid: &str) -> Option<&str> {
        [&self.own].into_iter().chain(&self.others).find_map(|joined| joined.other_name(cluster, uid))
    }

    /// Another Secret that holds a kubeconfig for a member of this name.
    pub(crate) fn other_secret(&self, cluster: &str) -> Option<&str> {
        let other = self.others.iter().find(|joined| joined.members.contains_key(cluster))?;
        Some(super::objects::text(&other.secret, "/metadata/name"))
    }

    /// The names of all members.
    pub(crate) fn names(&self) -> BTreeSet<&String> {
        [&self.own].into_iter().chain(&self.others).flat_map(|joined| joined.members.keys()).collect()
    }
}

impl Joined {
    async fn of(host: &Reached, namespace: &str, name: &str) -> Result<Option<Self>> {
        let secret = secret(namespace, name);
        let Some(found) = host.find(&secret).await? else { return Ok(None) };
        let data = found.data["data"].as_object().into_iter().flatten();
        let members = data.map(|(name, value)| (name.clone(), decoded(value))).collect();
        Ok(Some(Self { secret, found, members }))
    }

    /// Gives a member this kubeconfig, or takes it away; false when the Secret has changed since it was read, and nothing
    /// was written.
    pub(crate) async fn set(&self, host: &Reached, cluster: &str, kubeconfig: Option<&str>) -> Result<bool> {
        let encoded = kubeconfig.map(|text| k8s_openapi::ByteString(text.as_bytes().to_vec()));
        host.merge(&self.secret, &self.found, &json!({ "data": { cluster: encoded } })).await
    }

    /// The name under which a cluster has joined already, other than this one.
    pub(crate) fn other_name(&self, cluster: &str, uid: &str) -> Option<&str> {
        let mut others = self.members.iter().filter(|(name, _)| *name != cluster);
        others.find(|(_, text)| extension(text, UID).as_deref() == Some(uid)).map(|(name, _)| name.as_str())
    }

    /// The UID of the cluster that joined under this name.
    pub(crate) fn uid(&self, cluster: &str) -> Option<String> {
        extension(self.members.get(cluster)?, UID)
    }

    /// When the cluster joined under this name.
    pub(crate) fn joined(&self, cluster: &str) -> Option<String> {
        extension(self.members.get(cluster)?, JOINED)
    }
}

/// A value of a Secret.
pub(crate) fn decoded(value: &Value) -> String {
    let octets: k8s_openapi::ByteString = serde_json::from_value(value.clone()).unwrap_or_default();
    String::from_utf8_lossy(&octets.0).into_owned()
}

/// An extension of the only cluster of a kubeconfig.
fn extension(kubeconfig: &str, name: &str) -> Option<String> {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig).ok()?;
    let extensions = kubeconfig.clusters.first()?.cluster.as_ref()?.extensions.as_ref()?;
    let found = extensions.iter().find(|extension| extension.name == name)?;
    found.extension.as_str().map(str::to_owned)
}
