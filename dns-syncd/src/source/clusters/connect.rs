//! How a member is reached: its part of a kubeconfig, or the pod's own service account.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::client::ClientBuilder;
use kube::config::{AuthInfo, Cluster, KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::loss::{Loss, LossKind, chain};
use super::plugin;

/// Credentials are renewed that much before their end, so that none is sent that ends on its way.
const MARGIN: Duration = Duration::from_mins(1);
/// A plugin is not run again sooner, even when its clock says that what it gave has ended already.
const SHORTEST: Duration = Duration::from_secs(10);

/// A member cluster and the way to it. Its `Debug` has no secrets: those of a kubeconfig are left out.
#[derive(Clone)]
pub(crate) struct Member {
    access: Access,
    /// The server's address instead of the kubeconfig's.
    master: Option<String>,
    /// Changes with the kubeconfig's part and the certificate files that it names.
    fingerprint: u64,
}

#[derive(Clone)]
enum Access {
    Context {
        kubeconfig: Arc<Kubeconfig>,
        context: String,
        origin: String,
    },
    InCluster,
    /// Nothing but an address.
    Address,
}

/// A client, and for how long its credentials are used where that is known.
pub(crate) struct Connection {
    pub(crate) client: Client,
    pub(crate) valid_for: Option<Duration>,
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Member").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

impl PartialEq for Member {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Member {
    /// The context of a kubeconfig that was read from `origin`.
    ///
    /// # Errors
    /// When the kubeconfig lacks a part of it.
    pub(crate) fn context(
        kubeconfig: &Arc<Kubeconfig>,
        context: &str,
        origin: &str,
        master: Option<&str>,
    ) -> Result<Self, String> {
        let parts = parts(kubeconfig, context).map_err(|reason| format!("{origin}: {reason}"))?;
        let mut hasher = DefaultHasher::new();
        (context, master).hash(&mut hasher);
        // Serialized with its secrets, of which nothing but the hash stays.
        serde_json::to_string(&parts).unwrap_or_default().hash(&mut hasher);
        for file in files(&parts) {
            std::fs::read(Path::new(file)).ok().hash(&mut hasher);
        }
        let access =
            Access::Context { kubeconfig: kubeconfig.clone(), context: context.to_owned(), origin: origin.to_owned() };
        Ok(Self { access, master: master.map(str::to_owned), fingerprint: hasher.finish() })
    }

    /// The cluster in which this process runs as a pod.
    pub(crate) fn in_cluster(master: Option<&str>) -> Self {
        Self { access: Access::InCluster, master: master.map(str::to_owned), fingerprint: 0 }
    }

    /// The API server at an address, without credentials.
    pub(crate) fn address(master: &str) -> Self {
        Self { access: Access::Address, master: Some(master.to_owned()), fingerprint: 1 }
    }

    #[cfg(test)]
    pub(crate) fn server(&self) -> Option<String> {
        match &self.access {
            Access::Context { kubeconfig, context, .. } => parts(kubeconfig, context).ok()?.0.server.clone(),
            Access::InCluster | Access::Address => self.master.clone(),
        }
    }

    /// Reads the credentials anew and makes a client with them; nothing is sent yet.
    pub(crate) async fn connect(&self, limit: Duration) -> Result<Connection, Loss> {
        let mut config = self.config().await?;
        let until = plugin::fill(&mut config.auth_info, limit).await?;
        let valid_for = until.map(|until| used_for(until, Timestamp::now()));
        // Reads files on the spot.
        let building = tokio::task::spawn_blocking(move || ClientBuilder::try_from(config));
        let client = match tokio::time::timeout(limit, building).await {
            Ok(Ok(Ok(builder))) => builder.build(),
            Ok(Ok(Err(error))) => return Err(Loss::of_credentials(&error)),
            Ok(Err(error)) => return Err(Loss::new(format!("its client could not be made: {error}"))),
            Err(_) => return Err(Loss::new(format!("its credentials could not be read within {limit:?}"))),
        };
        Ok(Connection { client, valid_for })
    }

    async fn config(&self) -> Result<Config, Loss> {
        let broken = |reason: String| Loss { kind: LossKind::Credentials, ..Loss::new(reason) };
        let mut config = match &self.access {
            Access::Context { kubeconfig, context, origin } => {
                let options = KubeConfigOptions { context: Some(context.clone()), ..KubeConfigOptions::default() };
                let config = Config::from_custom_kubeconfig((**kubeconfig).clone(), &options).await;
                let mut config =
                    config.map_err(|error| broken(format!("{origin}: context `{context}`: {}", chain(&error))))?;
                if has_proxy(kubeconfig, context) {
                    let why = format!("{origin}: context `{context}`: `proxy-url` is not supported by this build");
                    return Err(Loss::new(why));
                }
                // The environment's proxy is meant for the internet, not for API servers in the neighborhood.
                config.proxy_url = None;
                config
            }
            Access::InCluster => Config::incluster()
                .map_err(|error| broken(format!("the pod's service account cannot be used: {}", chain(&error))))?,
            Access::Address => Config::new(http_uri(self.master.as_deref().unwrap_or_default())?),
        };
        if let Some(master) = &self.master {
            config.cluster_url = http_uri(master)?;
        }
        // Retrying is the caller's: it says meanwhile that the cluster is unknown.
        config.default_retry = false;
        Ok(config)
    }
}

/// For how long credentials are used that hold until then.
fn used_for(until: Timestamp, now: Timestamp) -> Duration {
    let left = Duration::try_from(until.duration_since(now)).unwrap_or_default();
    left.saturating_sub(MARGIN).max(SHORTEST)
}

fn http_uri<T: std::str::FromStr>(text: &str) -> Result<T, Loss> {
    text.parse().map_err(|_| Loss::new(format!("`--master {text}` is not a URL; hint: `--master https://host:6443`")))
}

/// What a context stands for.
fn parts<'a>(kubeconfig: &'a Kubeconfig, context: &str) -> Result<(&'a Cluster, Option<&'a AuthInfo>), String> {
    let named = kubeconfig.contexts.iter().find(|named| named.name == context);
    let found = named.and_then(|named| named.context.as_ref());
    let found = found.ok_or_else(|| format!("the context `{context}` says nothing"))?;
    let cluster = kubeconfig.clusters.iter().find(|named| named.name == found.cluster);
    let cluster = cluster.and_then(|named| named.cluster.as_ref());
    let cluster = cluster
        .ok_or_else(|| format!("the context `{context}` names the cluster `{}`, which is not there", found.cluster))?;
    if cluster.server.as_deref().unwrap_or_default().is_empty() {
        return Err(format!("the cluster `{}` has no `server`", found.cluster));
    }
    let user = match found.user.as_deref().filter(|user| !user.is_empty()) {
        None => None,
        Some(user) => {
            let named = kubeconfig.auth_infos.iter().find(|named| named.name == user);
            let named =
                named.ok_or_else(|| format!("the context `{context}` names the user `{user}`, which is not there"))?;
            named.auth_info.as_ref()
        }
    };
    Ok((cluster, user))
}

/// Files whose content belongs to a client. A token file is not among them: the client reads it anew by itself.
fn files<'a>((cluster, user): &(&'a Cluster, Option<&'a AuthInfo>)) -> Vec<&'a String> {
    let of_user = user.iter().flat_map(|user| [&user.client_certificate, &user.client_key]);
    of_user.chain([&cluster.certificate_authority]).flatten().collect()
}

fn has_proxy(kubeconfig: &Kubeconfig, context: &str) -> bool {
    let cluster = parts(kubeconfig, context).ok().map(|(cluster, _)| cluster);
    cluster.is_some_and(|cluster| cluster.proxy_url.as_ref().is_some_and(|url| !url.is_empty()))
}

impl Loss {
    /// What an error of making a client means.
    fn of_credentials(error: &kube::Error) -> Self {
        let loss = Self::of(super::loss::Doing::Identify, error);
        Self { kind: LossKind::Credentials, ..loss }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clock that is off must not make a plugin run all the time.
    #[test]
    fn credentials_are_renewed_before_their_end_but_not_all_the_time() {
        let now = Timestamp::UNIX_EPOCH;
        let used = [900, 61, 0, -3600].map(|seconds| used_for(Timestamp::from_second(seconds).unwrap_or(now), now));
        assert_eq!(used.map(|used| used.as_secs()), [840, 10, 10, 10]);
    }
}
