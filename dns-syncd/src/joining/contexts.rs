//! The contexts of the kubeconfig, and the clusters that they lead to.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::config::{Cluster, Kubeconfig};
use kube::{Api, Client};

use super::report::{JoiningError, Result};
use crate::source::ClustersConfig;
use crate::source::clusters::{Member, plain, read_kubeconfig};

/// The longest that one answer of an API server may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// The kubeconfig files as one.
#[derive(Clone, Debug)]
pub(crate) struct Contexts {
    kubeconfig: Arc<Kubeconfig>,
    origin: String,
}

/// A cluster.
#[derive(Clone)]
pub(crate) struct Reached {
    /// The context that led there.
    pub(crate) context: String,
    pub(crate) client: Client,
    /// UID of its namespace `kube-system`, which tells one cluster from another; empty until it was asked for.
    pub(crate) uid: String,
}

impl Contexts {
    /// Reads the files that the flag names (a list as in `KUBECONFIG`), else those that kubectl would read.
    pub(crate) fn read(flag: Option<&str>, env: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let given = flag.map(str::to_owned).or_else(|| env("DNS_SYNCD_KUBECONFIG")).filter(|files| !files.is_empty());
        let given: Vec<PathBuf> = given.iter().flat_map(std::env::split_paths).collect();
        let files = ClustersConfig { kubeconfig: given, ..ClustersConfig::default() }.found(env).kubeconfig;
        let origin = files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(":");
        let mut merged: Option<Kubeconfig> = None;
        // As kubectl does: what does not exist is passed over, the first that says something wins.
        for file in files.iter().filter(|file| file.exists()) {
            let read = read_kubeconfig(file).map_err(JoiningError::usage)?;
            let both = match merged.take() {
                None => (*read).clone(),
                Some(merged) => {
                    let error = |error| JoiningError::usage(format!("{}: {error}", file.display()));
                    merged.merge((*read).clone()).map_err(error)?
                }
            };
            merged = Some(both);
        }
        let Some(merged) = merged else {
            let none = if origin.is_empty() { String::new() } else { format!(": {origin} does not exist") };
            return Err(JoiningError::usage(format!("there is no kubeconfig{none}; hint: --kubeconfig FILE")));
        };
        Ok(Self { kubeconfig: Arc::new(merged), origin })
    }

    /// Says which contexts there are when this is none of them.
    pub(crate) fn check(&self, flag: &str, context: &str) -> Result<()> {
        let mut names: Vec<&str> = self.kubeconfig.contexts.iter().map(|named| &*named.name).collect();
        if names.contains(&context) {
            return Ok(());
        }
        names.sort_unstable();
        let known = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let known = if known.is_empty() { "there is none".to_owned() } else { format!("there are {known}") };
        Err(JoiningError::usage(format!("{}: there is no context `{context}` ({flag}); {known}", self.origin)))
    }

    /// Connects. Nothing is sent yet, so nobody knows which cluster it is: see [`Reached::identified`].
    pub(crate) async fn connect(&self, flag: &str, context: &str) -> Result<Reached> {
        self.check(flag, context)?;
        let member = Member::context(&self.kubeconfig, context, &self.origin, None).map_err(JoiningError::usage)?;
        let client = member.connect(PATIENCE).await.map_err(|loss| unreachable(context, &loss.reason))?.client;
        Ok(Reached { context: context.to_owned(), client, uid: String::new() })
    }

    /// What the kubeconfig says of a context's cluster.
    pub(crate) fn cluster(&self, context: &str) -> Option<&Cluster> {
        let named = self.kubeconfig.contexts.iter().find(|named| named.name == context)?;
        let cluster = &named.context.as_ref()?.cluster;
        self.kubeconfig.clusters.iter().find(|named| named.name == *cluster)?.cluster.as_ref()
    }
}

impl Reached {
    /// Asks who answers.
    pub(crate) async fn identified(mut self) -> Result<Self> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let context = &self.context;
        let system = match tokio::time::timeout(PATIENCE, namespaces.get("kube-system")).await {
            Ok(Ok(system)) => system,
            Ok(Err(error @ kube::Error::Api(_))) => {
                return Err(refused(context, "getting the namespace kube-system", &error));
            }
            Ok(Err(error)) => return Err(unreachable(context, &plain(&error))),
            Err(_) => return Err(unreachable(context, &format!("it did not answer within {PATIENCE:?}"))),
        };
        self.uid = system.metadata.uid.unwrap_or_default();
        Ok(self)
    }
}

pub(super) fn unreachable(context: &str, why: &str) -> JoiningError {
    JoiningError::Unreached(format!("the cluster `{context}` cannot be reached: {why}"))
}

/// What an error of a request to a cluster means.
pub(super) fn refused(context: &str, doing: &str, error: &kube::Error) -> JoiningError {
    let kube::Error::Api(status) = error else {
        return JoiningError::failed(format!("{doing} in the cluster `{context}`: {}", plain(error)));
    };
    let said = if status.message.is_empty() { &status.reason } else { &status.message };
    let hint = match status.code {
        401 => "; hint: renew the credentials of the context",
        403 => "; hint: grant that to the user of the context, or take a context whose user may",
        409 if said.starts_with("Apply failed") => {
            "; hint: somebody else has set these fields; give them up there, or delete the object"
        }
        _ => "",
    };
    let mut causes = status.details.iter().flat_map(|details| &details.causes);
    let is_ending = causes.any(|cause| cause.reason == "NamespaceTerminating");
    let (what, hint) = match status.code {
        // Not for lack of a right, though the code says so.
        403 if is_ending => ("its namespace is being deleted", "; hint: run this again when it is gone"),
        403 => ("there is no right to it", hint),
        _ => ("it is refused", hint),
    };
    JoiningError::failed(format!("{doing} in the cluster `{context}`: {what}: {said}{hint}"))
}

#[cfg(test)]
mod tests {
    use kube::core::Status;
    use kube::core::response::{StatusCause, StatusDetails};

    use super::*;

    #[test]
    fn a_namespace_that_is_being_deleted_is_no_missing_right() {
        let forbidden = Status::failure("secrets \"a\" is forbidden", "Forbidden").with_code(403);
        let said = |status: &Status| refused("us", "writing", &kube::Error::Api(status.clone().boxed())).to_string();
        assert_eq!(
            said(&forbidden),
            "writing in the cluster `us`: there is no right to it: secrets \"a\" is forbidden; hint: grant that to the \
             user of the context, or take a context whose user may"
        );
        let cause = StatusCause {
            reason: "NamespaceTerminating".to_owned(),
            message: "namespace b is being terminated".to_owned(),
            field: "metadata.namespace".to_owned(),
        };
        let details = StatusDetails {
            name: String::new(),
            group: String::new(),
            kind: String::new(),
            uid: String::new(),
            causes: vec![cause],
            retry_after_seconds: 0,
        };
        assert_eq!(
            said(&forbidden.with_details(details)),
            "writing in the cluster `us`: its namespace is being deleted: secrets \"a\" is forbidden; hint: run this \
             again when it is gone"
        );
    }
}
