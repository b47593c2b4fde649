//! What DNS servers answer for one set, so that the daemon can measure when they answer what it wrote.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use dnsprovider::{Fqdn, RecordData, RrType};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

/// The longest that a server may take for an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks DNS servers.
#[async_trait]
pub trait Ask: Send + Sync + fmt::Debug {
    /// The records of an A, AAAA or CNAME set as the server answers them; none where it has none. What stands at other
    /// names, such as at the target of a CNAME, is left out.
    ///
    /// # Errors
    /// When there is no answer, or one that says nothing about the set; why, for people.
    async fn ask(&self, server: SocketAddr, owner: &Fqdn, rr_type: &RrType) -> Result<BTreeSet<RecordData>, String>;
}

/// Asks over UDP, and TCP where an answer is too long. Nothing is cached.
#[derive(Default)]
pub struct DnsAsker(Mutex<BTreeMap<SocketAddr, TokioResolver>>);

impl fmt::Debug for DnsAsker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DnsAsker")
    }
}

impl DnsAsker {
    fn of(&self, server: SocketAddr) -> Result<TokioResolver, NetError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(resolver) = known.get(&server) {
            return Ok(resolver.clone());
        }
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
            connection.port = server.port();
            connection
        });
        let config =
            ResolverConfig::from_name_servers(vec![NameServerConfig::new(server.ip(), true, connections.into())]);
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let options = builder.options_mut();
        options.recursion_desired = false;
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        options.timeout = PATIENCE / 2;
        options.attempts = 1;
        let resolver = builder.build()?;
        known.insert(server, resolver.clone());
        Ok(resolver)
    }
}

#[async_trait]
impl Ask for DnsAsker {
    async fn ask(&self, server: SocketAddr, owner: &Fqdn, rr_type: &RrType) -> Result<BTreeSet<RecordData>, String> {
        let wanted = match rr_type {
            RrType::A => RecordType::A,
            RrType::Aaaa => RecordType::AAAA,
            RrType::Cname => RecordType::CNAME,
            RrType::Txt | RrType::Other(_) => return Err(format!("{rr_type} is not asked for")),
        };
        let name =
            Name::from_ascii(owner.as_str()).map_err(|error| format!("`{owner}` cannot be asked for: {error}"))?;
        let resolver = self.of(server).map_err(|error| error.to_string())?;
        match tokio::time::timeout(PATIENCE, resolver.lookup(name.clone(), wanted)).await {
            Ok(Ok(lookup)) => {
                let own =
                    lookup.answers().iter().filter(|record| record.name == name && record.record_type() == wanted);
                Ok(own.filter_map(data).collect())
            }
            Ok(Err(error)) if error.is_no_records_found() || error.is_nx_domain() => Ok(BTreeSet::new()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
        }
    }
}

fn data(record: &Record) -> Option<RecordData> {
    match &record.data {
        RData::A(address) => Some(RecordData::A(address.0)),
        RData::AAAA(address) => Some(RecordData::Aaaa(address.0)),
        RData::CNAME(target) => Fqdn::parse(&target.0.to_ascii()).ok().map(RecordData::Cname),
        _ => None,
    }
}
