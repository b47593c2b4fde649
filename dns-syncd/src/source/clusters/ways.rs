//! The ways to the members, for those who write to them: events go to the cluster that they are about.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dns_sync_core::ClusterName;
use tokio::time::Instant;

use super::cluster::Way;
use super::connect::Member;

/// The members as their source knows them. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Ways(Arc<Mutex<BTreeMap<ClusterName, Way>>>);

/// A client of a member, made with the credentials of its time.
pub(crate) struct Client {
    kube: kube::Client,
    member: Arc<Member>,
    expires: Option<Instant>,
}

impl Client {
    pub(crate) fn client(&self) -> kube::Client {
        self.kube.clone()
    }
}

impl Ways {
    /// These are the members now.
    pub(super) fn set(&self, members: &BTreeMap<ClusterName, Way>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone_from(members);
    }

    fn of(&self, cluster: &str) -> Option<Way> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(cluster).cloned()
    }

    /// Whether it is a member, though nobody may know the way to it.
    pub(crate) fn has(&self, cluster: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(cluster)
    }

    /// That one is the only member, and nobody knows the way to it.
    #[cfg(test)]
    pub(crate) fn know_nothing_but(&self, cluster: &ClusterName) {
        self.set(&BTreeMap::from([(cluster.clone(), Err("nobody knows the way".to_owned()))]));
    }

    /// Whether a client would be made the same way now.
    pub(crate) fn is_current(&self, cluster: &str, client: &Client) -> bool {
        client.expires.is_none_or(|at| Instant::now() < at)
            && matches!(self.of(cluster), Some(Ok(member)) if *member == *client.member)
    }

    /// Makes a client; its credentials are read anew.
    ///
    /// # Errors
    /// When nobody knows the way, or the credentials cannot be had; why, for people.
    pub(crate) async fn connect(&self, cluster: &str, limit: Duration) -> Result<Client, String> {
        let member = self.of(cluster).ok_or("it is not in its source")??;
        let connection = member.connect(limit).await.map_err(|loss| loss.reason)?;
        let expires = connection.valid_for.map(|left| Instant::now() + left);
        Ok(Client { kube: connection.client, member, expires })
    }
}
