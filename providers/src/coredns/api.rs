//! Requests to etcd, one function each, over a connection that heals.
//!
//! One endpoint is in use at a time. A request that did not reach it goes to the next one at once; a connection that
//! broke is made anew, with the files as they are then, by the next request.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dnsprovider::ErrorKind;
use etcd_client::{
    Client, GetOptions, GetResponse, LeaseKeepAliveStream, LeaseKeeper, Txn, TxnResponse, WatchOptions, WatchStream,
};
use tokio::sync::Mutex;

use super::config::Options;
use super::credential::{connect_options, url};
use super::error::{Failure, error};

/// Longest wait for an answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer that is taken; larger pages are read in smaller parts.
const MAX_ANSWER: usize = 64 << 20;

#[derive(Debug)]
pub(super) struct Api {
    options: Options,
    client: Mutex<Option<Connected>>,
    /// Place of the endpoint in use; grows beyond the list.
    endpoint: AtomicUsize,
}

#[derive(Clone)]
struct Connected {
    client: Client,
    /// Tells this connection from a newer one when it breaks.
    number: usize,
}

impl std::fmt::Debug for Connected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connected({})", self.number)
    }
}

impl Api {
    pub(super) fn new(options: Options) -> Self {
        Self { options, client: Mutex::new(None), endpoint: AtomicUsize::new(0) }
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    pub(super) async fn get(&self, key: &[u8], options: &GetOptions) -> Result<GetResponse, Failure> {
        self.ask("reading keys", true, (key.to_vec(), options.clone()), |client, (key, options)| {
            let mut kv = client.kv_client().max_decoding_message_size(MAX_ANSWER);
            async move { kv.get(key, Some(options)).await }
        })
        .await
    }

    /// Several reads at one moment.
    pub(super) async fn read(&self, doing: &str, txn: Txn) -> Result<TxnResponse, Failure> {
        self.send(doing, true, txn).await
    }

    /// A write, sent again only where it certainly never left.
    pub(super) async fn write(&self, doing: &str, txn: Txn) -> Result<TxnResponse, Failure> {
        self.send(doing, false, txn).await
    }

    async fn send(&self, doing: &str, idempotent: bool, txn: Txn) -> Result<TxnResponse, Failure> {
        self.ask(doing, idempotent, txn, |client, txn| {
            let mut kv = client.kv_client().max_decoding_message_size(MAX_ANSWER);
            async move { kv.txn(txn).await }
        })
        .await
    }

    pub(super) async fn watch(&self, key: &[u8], options: &WatchOptions) -> Result<WatchStream, Failure> {
        self.ask("watching the zone", true, (key.to_vec(), options.clone()), |client, (key, options)| {
            let mut watch = client.watch_client().max_decoding_message_size(MAX_ANSWER);
            async move { watch.watch(key, Some(options)).await }
        })
        .await
    }

    /// A lease of so many seconds; gives its id.
    pub(super) async fn grant(&self, seconds: i64) -> Result<i64, Failure> {
        let granted = self.ask("asking for a lease", false, (), |client, ()| {
            let mut leases = client.lease_client();
            async move { leases.grant(seconds, None).await }
        });
        Ok(granted.await?.id())
    }

    /// Ends a lease, and with it the keys that hang on it.
    pub(super) async fn revoke(&self, id: i64) -> Result<(), Failure> {
        let revoked = self.ask("giving a lease up", true, (), |client, ()| {
            let mut leases = client.lease_client();
            async move { leases.revoke(id).await }
        });
        revoked.await.map(|_| ())
    }

    /// Renews a lease, and gives the stream for further renewals.
    pub(super) async fn keep_alive(&self, id: i64) -> Result<(LeaseKeeper, LeaseKeepAliveStream), Failure> {
        self.ask("renewing a lease", true, (), |client, ()| {
            let mut leases = client.lease_client();
            async move { leases.keep_alive(id).await }
        })
        .await
    }

    /// Sends a request; again to the next endpoint while it reaches none, and where it may be sent twice also over a
    /// new connection. The last try takes the payload itself: a copy of a full transaction is some thousand allocations,
    /// and most requests are tried once.
    async fn ask<P: Clone, T, F>(
        &self,
        doing: &str,
        idempotent: bool,
        payload: P,
        request: impl Fn(Client, P) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let tries = self.options.endpoints.len() + usize::from(idempotent);
        for _ in 1..tries {
            match self.once(doing, || payload.clone(), &request).await {
                Ok(answer) => return Ok(answer),
                Err(failure) if failure.unreached => {}
                Err(failure) if idempotent && failure.error.kind() == ErrorKind::Unavailable => {}
                Err(failure) => return Err(failure),
            }
        }
        let answer = self.once(doing, || payload, &request).await;
        answer.map_err(|failure| if failure.unreached { self.nowhere(doing, &failure) } else { failure })
    }

    async fn once<P, T, F>(
        &self,
        doing: &str,
        payload: impl FnOnce() -> P,
        request: &impl Fn(Client, P) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let (failure, number) = match self.connected(doing).await {
            Ok(Connected { client, number }) => {
                match tokio::time::timeout(REQUEST_TIMEOUT, request(client, payload())).await {
                    Ok(Ok(answer)) => return Ok(answer),
                    Ok(Err(cause)) => (Failure::new(doing, cause), Some(number)),
                    Err(_) => (Failure::timeout(doing), Some(number)),
                }
            }
            Err(failure) => (failure, None),
        };
        if failure.broken {
            self.forget(number).await;
        }
        Err(failure)
    }

    async fn connected(&self, doing: &str) -> Result<Connected, Failure> {
        let mut held = self.client.lock().await;
        if let Some(connected) = &*held {
            return Ok(connected.clone());
        }
        let number = self.endpoint.load(Ordering::Relaxed);
        let endpoint = self.options.endpoints.get(number % self.options.endpoints.len().max(1));
        let endpoint =
            endpoint.ok_or_else(|| Failure::local(error(ErrorKind::ConfigInvalid, "no etcd endpoint given")))?;
        let url = url(endpoint, &self.options);
        let options = connect_options(&url, &self.options).map_err(Failure::local)?;
        let client = match tokio::time::timeout(REQUEST_TIMEOUT, Client::connect([&url], Some(options))).await {
            Ok(Ok(client)) => client,
            Ok(Err(cause)) => {
                let mut failure = Failure::new(&format!("connecting to etcd at `{}`", without_login(&url)), cause);
                // Nothing but a login was sent.
                failure.undone = true;
                failure.unreached |= failure.error.kind() == ErrorKind::Unavailable;
                return Err(failure);
            }
            Err(_) => return Err(Failure { undone: true, unreached: true, ..Failure::timeout(doing) }),
        };
        let connected = Connected { client, number };
        *held = Some(connected.clone());
        Ok(connected)
    }

    /// Drops the connection with that number (or the attempt at one), so that the next endpoint gets its turn.
    async fn forget(&self, number: Option<usize>) {
        let mut held = self.client.lock().await;
        if number.is_none() || held.as_ref().map(|connected| connected.number) == number {
            *held = None;
            self.endpoint.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn nowhere(&self, doing: &str, failure: &Failure) -> Failure {
        let endpoints = self.options.endpoints.iter().map(|url| format!("`{}`", without_login(url)));
        let endpoints = endpoints.collect::<Vec<_>>().join(", ");
        let message = format!("{doing}: etcd cannot be reached at {endpoints}: {}", failure.error.message());
        Failure { error: error(ErrorKind::Unavailable, message), ..*failure }
    }
}

/// A URL as it may be shown: without what stands before `@`.
fn without_login(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
        (None, Some((_, host))) => format!("…@{host}"),
        _ => url.to_owned(),
    }
}
