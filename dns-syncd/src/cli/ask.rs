//! Questions over DNS, for people who want to see what a server says.
//!
//! Nothing here is cached, and every question ends within [`PATIENCE`].

use std::net::SocketAddr;
use std::time::Duration;

use dnsprovider::Fqdn;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::{ResolverBuilder, TokioResolver};

use crate::output::answers::{Addresses, ServerAnswer};

/// The longest that a question may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// What it means when a server does not answer for a zone, in words.
pub(crate) const REFUSED: &str = "the server refuses the question";

/// Asks servers, or a resolver.
pub(crate) struct Asker {
    resolver: TokioResolver,
}

/// What was answered to one question.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// Records, CNAMEs on the way first.
    Records(Vec<Record>),
    /// The name exists (or not), and there is nothing of that type.
    Nothing(Nothing),
    /// The server does not answer for that zone.
    Refused,
    /// No answer, or none that helps; why.
    Failed(String),
}

/// A negative answer.
#[derive(Clone, Debug)]
pub(crate) struct Nothing {
    /// The name does not exist at all.
    pub(crate) no_name: bool,
    /// Servers to which the answer refers.
    pub(crate) referral: Vec<Name>,
}

impl Asker {
    /// Asks these servers for what they know themselves.
    ///
    /// # Errors
    /// When no socket can be had.
    pub(crate) fn at(servers: impl IntoIterator<Item = SocketAddr>) -> Result<Self, NetError> {
        Self::of(servers, false)
    }

    /// Asks this resolver, or the system's, for what anybody knows.
    ///
    /// # Errors
    /// When the system names none.
    pub(crate) fn resolver(server: Option<SocketAddr>) -> Result<Self, NetError> {
        match server {
            Some(server) => Self::of([server], true),
            None => Self::build(TokioResolver::builder_tokio()?),
        }
    }

    fn of(servers: impl IntoIterator<Item = SocketAddr>, recursive: bool) -> Result<Self, NetError> {
        let servers = servers.into_iter().map(|server| {
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                connection.port = server.port();
                connection
            });
            NameServerConfig::new(server.ip(), true, connections.into())
        });
        let config = ResolverConfig::from_name_servers(servers.collect());
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        builder.options_mut().recursion_desired = recursive;
        Self::build(builder)
    }

    fn build(mut builder: ResolverBuilder<TokioRuntimeProvider>) -> Result<Self, NetError> {
        let options = builder.options_mut();
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        options.timeout = PATIENCE / 2;
        options.attempts = 1;
        Ok(Self { resolver: builder.build()? })
    }

    /// Asks for one type at a name.
    pub(crate) async fn ask(&self, name: &Fqdn, rr_type: RecordType) -> Answer {
        let Ok(query) = Name::from_ascii(name.as_str()) else {
            return Answer::Failed(format!("`{name}` cannot be asked for"));
        };
        match tokio::time::timeout(PATIENCE, self.resolver.lookup(query, rr_type)).await {
            Ok(Ok(lookup)) => Answer::Records(lookup.answers().to_vec()),
            Ok(Err(NetError::Dns(DnsError::NoRecordsFound(nothing)))) => negative(&nothing),
            Ok(Err(NetError::Dns(DnsError::ResponseCode(ResponseCode::Refused)))) => Answer::Refused,
            Ok(Err(error)) => Answer::Failed(error.to_string()),
            Err(_) => Answer::Failed(format!("no answer within {} s", PATIENCE.as_secs())),
        }
    }

    /// Asks for the addresses of a name, both families.
    pub(crate) async fn addresses(&self, name: &Fqdn) -> Addresses {
        let (v4, v6) = tokio::join!(self.ask(name, RecordType::A), self.ask(name, RecordType::AAAA));
        let mut got = Addresses { path: Vec::new(), found: Vec::new(), problem: None };
        for answer in [&v4, &v6] {
            let Answer::Records(records) = answer else { continue };
            let mut path = Vec::new();
            for record in records {
                match &record.data {
                    RData::A(address) => got.found.push(address.0.to_string()),
                    RData::AAAA(address) => got.found.push(address.0.to_string()),
                    RData::CNAME(target) => path.push(target.0.to_ascii()),
                    _ => {}
                }
            }
            if path.len() > got.path.len() {
                got.path = path;
            }
        }
        got.found.sort_by_key(|text| text.parse::<std::net::IpAddr>().ok());
        if got.found.is_empty() {
            got.problem = Some(match (v4, v6) {
                (Answer::Failed(why), _) | (_, Answer::Failed(why)) => why,
                (Answer::Refused, _) | (_, Answer::Refused) => REFUSED.into(),
                (Answer::Nothing(nothing), _) if nothing.no_name => "there is no such name".into(),
                _ => "no address".into(),
            });
        }
        got
    }
}

/// Asks each server by itself for the addresses of a name, all at once.
pub(crate) async fn each(servers: &[SocketAddr], name: &Fqdn) -> Vec<ServerAnswer> {
    let asking = servers.iter().map(async |server| {
        let answer = match Asker::at([*server]) {
            Ok(asker) => asker.addresses(name).await,
            Err(error) => Addresses { path: Vec::new(), found: Vec::new(), problem: Some(error.to_string()) },
        };
        ServerAnswer { server: *server, answer }
    });
    futures::future::join_all(asking).await
}

/// Those of the servers that refuse to answer for the zone.
pub(crate) async fn refusing(servers: &[SocketAddr], zone: &Fqdn) -> Vec<SocketAddr> {
    let asking = servers.iter().map(async |server| {
        let answer = Asker::at([*server]).ok()?.ask(zone, RecordType::SOA).await;
        matches!(answer, Answer::Refused).then_some(*server)
    });
    futures::future::join_all(asking).await.into_iter().flatten().collect()
}

fn negative(nothing: &NoRecords) -> Answer {
    match nothing.response_code {
        ResponseCode::NXDomain | ResponseCode::NoError => {
            let servers = nothing.ns.iter().flat_map(|servers| servers.iter());
            let referral = servers.filter_map(|server| match &server.ns.data {
                RData::NS(host) => Some(host.0.clone()),
                _ => None,
            });
            let no_name = nothing.response_code == ResponseCode::NXDomain;
            Answer::Nothing(Nothing { no_name, referral: referral.collect() })
        }
        code => Answer::Failed(format!("the server answers {code}")),
    }
}
