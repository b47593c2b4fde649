//! Addresses of load balancers that have only a name.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use dns_sync_core::hosts::Resolution;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;

/// Looks names up.
#[async_trait]
pub trait Resolve: Send + Sync + std::fmt::Debug {
    /// The addresses of a name, of both families.
    async fn resolve(&self, host: &str) -> Resolution;
}

/// Why no look-up is possible.
pub use hickory_resolver::net::NetError as ResolverError;

/// Looks names up at the system's resolvers or a given one.
pub struct SystemResolver(TokioResolver);

impl SystemResolver {
    /// Asks the server, or those of the system's configuration.
    ///
    /// # Errors
    /// When the system's configuration cannot be read.
    pub fn new(server: Option<SocketAddr>) -> Result<Self, ResolverError> {
        let mut builder = match server {
            None => TokioResolver::builder_tokio()?,
            Some(server) => {
                let on_port = |mut connection: ConnectionConfig| {
                    connection.port = server.port();
                    connection
                };
                let connections = vec![on_port(ConnectionConfig::udp()), on_port(ConnectionConfig::tcp())];
                let server = NameServerConfig::new(server.ip(), true, connections);
                let config = ResolverConfig::from_name_servers(vec![server]);
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
        };
        let options = builder.options_mut();
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        // The daemon asks when an answer has run out and not before; a cache would only hide a change.
        options.cache_size = 0;
        Ok(Self(builder.build()?))
    }
}

impl std::fmt::Debug for SystemResolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SystemResolver").finish_non_exhaustive()
    }
}

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, host: &str) -> Resolution {
        // The final dot keeps search lists out.
        match self.0.lookup_ip(format!("{}.", host.trim_end_matches('.'))).await {
            Ok(found) => {
                let addresses: BTreeSet<IpAddr> = found.iter().collect();
                let ttl = found.valid_until().saturating_duration_since(Instant::now());
                if addresses.is_empty() { Resolution::Negative } else { Resolution::Addresses(addresses, ttl) }
            }
            Err(error) if error.is_no_records_found() || error.is_nx_domain() => Resolution::Negative,
            Err(error) => {
                tracing::debug!(host, %error, "a load balancer's name was not resolved");
                Resolution::Failed
            }
        }
    }
}

/// Resolves names concurrently within a time; what is not answered by then has failed.
pub(crate) async fn resolve_all(
    resolver: &Arc<dyn Resolve>,
    hosts: Vec<Arc<str>>,
    limit: Duration,
) -> Vec<(Arc<str>, Resolution)> {
    use futures::StreamExt as _;
    let end = tokio::time::Instant::now() + limit;
    let lookups = hosts.into_iter().map(|host| async move {
        let answer = tokio::time::timeout_at(end, resolver.resolve(&host)).await;
        (host, answer.unwrap_or(Resolution::Failed))
    });
    futures::stream::iter(lookups).buffer_unordered(CONCURRENT_LOOKUPS).collect().await
}

/// Lookups at once.
pub(crate) const CONCURRENT_LOOKUPS: usize = 32;
