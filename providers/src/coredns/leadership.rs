//! A key in the same etcd that one of several processes holds at a time: who may write.
//!
//! The key lives as long as its holder renews a lease of etcd; its create revision is the [`Fence`] that every
//! transaction of [`CoreDns`](super::CoreDns) compares. It is no DNS data and lies outside the path of the zones. The
//! connection is its own, so that a bulk write never keeps a renewal waiting.

use std::time::Duration;

use dnsprovider::{Error, ErrorKind, Fence};
use etcd_client::{
    Compare, CompareOp, GetOptions, LeaseKeepAliveStream, LeaseKeeper, PutOptions, Txn, TxnOp, TxnOpResponse,
    WatchOptions, WatchStream,
};

use super::api::Api;
use super::config::Options;
use super::error::{Failure, error};

/// The folder of all leaders' keys.
const FOLDER: &str = "/dns-syncd/leader";

/// Holds, or waits for, one leader's key.
#[derive(Debug)]
pub struct LeaderKey {
    api: Api,
    key: String,
    ttl: Duration,
    /// A lease that was granted to this process, and what hangs on it.
    lease: Option<Lease>,
    /// Somebody may have changed the key since it was looked at.
    is_suspect: bool,
    /// The state from which to watch the key, when it was looked at.
    seen: Option<i64>,
    watch: Option<Watch>,
}

#[derive(Debug)]
struct Lease {
    id: i64,
    /// The key's create revision once it is taken.
    token: Option<u64>,
    renewals: Option<Renewals>,
}

/// Only for its `Debug`.
struct Renewals(LeaseKeeper, LeaseKeepAliveStream);

impl std::fmt::Debug for Renewals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Renewals")
    }
}

/// Only for its `Debug`.
struct Watch(WatchStream);

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watch")
    }
}

/// Who holds the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaderSeat {
    /// This process, under this fence.
    Ours(Fence),
    /// Another one; what it wrote there.
    Taken(String),
}

impl LeaderKey {
    /// The key of `name` in the etcd of `options`. Connects with the first call.
    ///
    /// `ttl` is how long the key outlives its holder's last renewal, in whole seconds; etcd may make it longer (2 s at
    /// least with its default election time-out), never shorter.
    pub fn new(options: Options, name: &str, ttl: Duration) -> Self {
        Self {
            api: Api::new(options),
            key: format!("{FOLDER}/{name}"),
            ttl,
            lease: None,
            is_suspect: false,
            seen: None,
            watch: None,
        }
    }

    /// The key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Takes the key with this value where nobody holds it, or renews the hold on it. The time that it holds counts from
    /// the begin of the call.
    ///
    /// # Errors
    /// When etcd cannot be asked: whoever held the key before may hold it still.
    pub async fn take(&mut self, value: &str) -> Result<LeaderSeat, Error> {
        if let Some(fence) = self.renew().await? {
            return Ok(LeaderSeat::Ours(fence));
        }
        if let Some(holder) = self.look().await? {
            return Ok(LeaderSeat::Taken(holder));
        }
        let seconds = i64::try_from(self.ttl.as_secs().max(1)).unwrap_or(i64::MAX);
        let id = self.api.grant(seconds).await.map_err(|failure| failure.error)?;
        // Noted before anything hangs on it, so that a lost answer leaves nothing that nobody gives up.
        self.lease = Some(Lease { id, token: None, renewals: None });
        let put = TxnOp::put(self.key.as_str(), value, Some(PutOptions::new().with_lease(id)));
        let absent = Compare::create_revision(self.key.as_str(), CompareOp::Equal, 0);
        let get = TxnOp::get(self.key.as_str(), None);
        let txn = Txn::new().when([absent]).and_then([put]).or_else([get]);
        let answer = self.api.write("taking the leadership", txn).await.map_err(|failure| failure.error)?;
        let revision = answer.header().map_or(0, etcd_client::ResponseHeader::revision);
        self.seen = Some(revision);
        self.watch = None;
        if !answer.succeeded() {
            self.give_up().await?;
            let holder = answer.op_responses().into_iter().find_map(|response| match response {
                TxnOpResponse::Get(get) => get.kvs().first().map(|kv| text(kv.value())),
                _ => None,
            });
            return Ok(LeaderSeat::Taken(holder.unwrap_or_default()));
        }
        let token = revision.unsigned_abs();
        if let Some(lease) = &mut self.lease {
            lease.token = Some(token);
        }
        Ok(LeaderSeat::Ours(self.fence(token)))
    }

    /// Who holds the key, changing nothing; `None` when nobody does.
    ///
    /// # Errors
    /// When etcd cannot be asked.
    pub async fn look(&mut self) -> Result<Option<String>, Error> {
        let answer = self.api.get(self.key.as_bytes(), &GetOptions::new()).await.map_err(|failure| failure.error)?;
        self.seen = answer.header().map(etcd_client::ResponseHeader::revision);
        self.watch = None;
        self.is_suspect = false;
        Ok(answer.kvs().first().map(|kv| text(kv.value())))
    }

    /// Waits until the key may have changed since it was taken or looked at; for ever where that cannot be watched.
    ///
    /// Comes back at once as long as [`Self::take`] or [`Self::look`] has not seen the change: who calls it after one of
    /// them failed must pause by itself.
    pub async fn changed(&mut self) {
        if !self.is_suspect && self.watch.is_none() {
            let Some(seen) = self.seen else { return std::future::pending().await };
            let options = WatchOptions::new().with_start_revision(seen.saturating_add(1));
            match self.api.watch(self.key.as_bytes(), &options).await {
                Ok(stream) => self.watch = Some(Watch(stream)),
                Err(failure) => {
                    tracing::debug!(error = failure.error.chain(), "the leader's key cannot be watched");
                    return std::future::pending().await;
                }
            }
        }
        while let Some(Watch(stream)) = &mut self.watch {
            match stream.message().await {
                Ok(Some(response)) if !response.events().is_empty() => {
                    self.watch = None;
                    self.is_suspect = true;
                }
                Ok(Some(response)) if !response.canceled() => {}
                // Lost: the next look comes with the next renewal, or when the caller's patience ends.
                _ => {
                    self.watch = None;
                    self.seen = None;
                    self.is_suspect = true;
                    return std::future::pending().await;
                }
            }
        }
    }

    /// Gives the key up at once. Where that fails it goes with its lease.
    ///
    /// # Errors
    /// When etcd cannot be asked.
    pub async fn give_up(&mut self) -> Result<(), Error> {
        let Some(lease) = self.lease.take() else { return Ok(()) };
        self.api.revoke(lease.id).await.map_err(|failure| failure.error)
    }

    /// Renews the lease under the key that this process holds; `None` when it holds none any more.
    async fn renew(&mut self) -> Result<Option<Fence>, Error> {
        let Some(lease) = &mut self.lease else { return Ok(None) };
        let Some(token) = lease.token else {
            // A hold that came to nothing: what is left of it must not stand in the way.
            self.give_up().await?;
            return Ok(None);
        };
        let renewed = match &mut lease.renewals {
            Some(renewals) => renewals.renew(self.ttl / 3).await,
            None => match self.api.keep_alive(lease.id).await {
                Ok((keeper, stream)) => {
                    lease.renewals = Some(Renewals(keeper, stream));
                    Ok(())
                }
                Err(failure) => Err(failure.error),
            },
        };
        if renewed.is_ok() && !self.is_suspect {
            return Ok(Some(self.fence(token)));
        }
        lease.renewals = None;
        let options = GetOptions::new().with_keys_only();
        let seen = self.api.get(self.key.as_bytes(), &options).await.map_err(|failure| failure.error)?;
        let holds = seen.kvs().first().is_some_and(|kv| kv.create_revision().unsigned_abs() == token);
        if !holds {
            // Revoked or run out already, or the key was deleted by hand: all the same.
            if let Err(error) = self.give_up().await {
                tracing::debug!(error = error.chain(), "the lease of a lost leadership is gone");
            }
            return Ok(None);
        }
        self.seen = seen.header().map(etcd_client::ResponseHeader::revision);
        self.is_suspect = false;
        renewed.map(|()| Some(self.fence(token)))
    }

    fn fence(&self, token: u64) -> Fence {
        Fence { key: self.key.as_str().into(), token }
    }
}

impl Renewals {
    async fn renew(&mut self, limit: Duration) -> Result<(), Error> {
        const DOING: &str = "renewing the leadership";
        let renewing = async {
            self.0.keep_alive().await?;
            self.1.message().await
        };
        match tokio::time::timeout(limit, renewing).await {
            Ok(Ok(Some(answer))) if answer.ttl() > 0 => Ok(()),
            Ok(Ok(_)) => Err(error(ErrorKind::Conflict, format!("{DOING}: its lease has run out"))),
            Ok(Err(cause)) => Err(Failure::new(DOING, cause).error),
            Err(_) => Err(Failure::timeout(DOING).error),
        }
    }
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}
