//! The admin address: whether the daemon lives and is ready, how everything stands, and the approval of what is held.
//!
//! | request | answer |
//! |---|---|
//! | `GET /healthz` | 200, or 503 when the engine has made no progress for a minute |
//! | `GET /readyz` | 200, or 503 before the zone was read and every cluster has answered or is unknown, or while the leader refuses this process |
//! | `GET /status` | everything a person wants to see first, JSON |
//! | `GET /clusters` | the members of the federation, JSON |
//! | `GET /explain?name=NAME` | why a name has these records, JSON |
//! | `GET /metrics` | OpenMetrics text |
//! | `POST /approve` `{"hash":…}` | releases what is held; 409 for a hash that was never shown |
//! | `POST /unjoin` `{"cluster":…}` | takes a cluster out at once; 404 when it is no member, and its kubeconfig has gone from here too |
//!
//! Both POSTs need the token of `token-file` as `Authorization: Bearer …` where there is one, and are else answered to
//! loopback alone.

mod authority;
mod routes;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use dns_providers::Served;
use tokio::net::TcpListener;

use crate::config;
use crate::engine::{Handle, Health, Metrics};
use crate::leader::Leader;

/// Listens; `None`, with a warning, where the default address is taken.
///
/// # Errors
/// When an address that somebody asked for cannot be listened on.
pub(crate) async fn bind(config: &config::Admin) -> io::Result<Option<TcpListener>> {
    match TcpListener::bind(config.listen).await {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if config.is_default => {
            tracing::warn!(address = %config.listen, %error, "there is no admin address; hint: set [Admin] listen");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// What the admin address tells about.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    pub(crate) handle: Handle,
    pub(crate) health: Arc<Health>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) served: Option<Arc<dyn Served>>,
    pub(crate) leader: Leader,
    pub(crate) token_file: Option<PathBuf>,
}

impl Admin {
    /// Answers until `stop`.
    pub(crate) async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()> + Send + 'static) {
        let service = routes::router(self).into_make_service_with_connect_info::<SocketAddr>();
        if let Err(error) = axum::serve(listener, service).with_graceful_shutdown(stop).await {
            tracing::error!(%error, "the admin address is lost");
        }
    }
}
