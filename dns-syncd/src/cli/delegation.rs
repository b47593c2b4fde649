//! Who answers for a zone, and whether its parent sends clients there.
//!
//! All of it is a look from this machine: without a way to the Internet it says so, and nothing waits longer than
//! [`PATIENCE`].

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use dnsprovider::Fqdn;
use hickory_resolver::proto::rr::{RData, Record, RecordType};

use super::ask::{Answer, Asker, REFUSED};

/// The longest that finding a delegation may take.
const PATIENCE: Duration = Duration::from_secs(8);
/// Servers of the parent that are asked at most.
const PARENT_SERVERS: usize = 3;

/// What the zone's own servers say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authority {
    /// Host names of the NS set.
    pub(crate) name_servers: BTreeSet<String>,
    /// How long a resolver may keep that a name does not exist (RFC 2308 §5); `None` without an SOA.
    pub(crate) negative_ttl: Option<u32>,
}

/// What the parent zone says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delegation {
    /// The nearest zone above.
    pub(crate) parent: String,
    /// The servers to which it sends clients; empty when the zone is not delegated.
    pub(crate) name_servers: BTreeSet<String>,
}

/// Asks for NS and SOA at the apex.
pub(crate) async fn authority(asker: &Asker, zone: &Fqdn) -> Result<Authority, String> {
    let (ns, soa) = tokio::join!(asker.ask(zone, RecordType::NS), asker.ask(zone, RecordType::SOA));
    let name_servers = match ns {
        Answer::Records(records) => hosts(&records),
        Answer::Nothing(_) => BTreeSet::new(),
        Answer::Refused => return Err(REFUSED.into()),
        Answer::Failed(why) => return Err(why),
    };
    let negative_ttl = match soa {
        Answer::Records(records) => records.iter().find_map(|record| match &record.data {
            RData::SOA(soa) => Some(soa.minimum.min(record.ttl)),
            _ => None,
        }),
        _ => None,
    };
    Ok(Authority { name_servers, negative_ttl })
}

/// Asks the servers of the zone above, found by the resolver.
pub(crate) async fn delegation(zone: &Fqdn, resolver: &Asker) -> Result<Delegation, String> {
    let looking = look(zone, resolver);
    let late = || format!("the resolver gave no answer within {} s", PATIENCE.as_secs());
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| Err(late()))
}

async fn look(zone: &Fqdn, resolver: &Asker) -> Result<Delegation, String> {
    let mut above = zone.parent();
    while let Some(parent) = above {
        let servers = match resolver.ask(&parent, RecordType::NS).await {
            Answer::Records(records) => hosts(&records),
            Answer::Nothing(_) => BTreeSet::new(),
            Answer::Refused => return Err(REFUSED.into()),
            Answer::Failed(why) => return Err(why),
        };
        if !servers.is_empty() {
            let asker = Asker::at(addresses(resolver, &servers).await?).map_err(|error| error.to_string())?;
            let name_servers = match asker.ask(zone, RecordType::NS).await {
                Answer::Records(records) => hosts(&records),
                Answer::Nothing(nothing) => nothing.referral.iter().map(ToString::to_string).collect(),
                Answer::Refused => return Err(format!("the servers of `{parent}`: {REFUSED}")),
                Answer::Failed(why) => return Err(format!("the servers of `{parent}`: {why}")),
            };
            return Ok(Delegation { parent: parent.to_string(), name_servers });
        }
        above = parent.parent();
    }
    Err("the resolver does not know the root of the DNS".into())
}

async fn addresses(resolver: &Asker, servers: &BTreeSet<String>) -> Result<Vec<SocketAddr>, String> {
    let mut found = Vec::new();
    for server in servers.iter().take(PARENT_SERVERS) {
        let Ok(name) = Fqdn::parse(server) else { continue };
        let addresses = resolver.addresses(&name).await.found;
        found.extend(addresses.iter().filter_map(|text| text.parse::<IpAddr>().ok()).map(|ip| SocketAddr::new(ip, 53)));
    }
    if found.is_empty() { Err("the parent's servers have no address".into()) } else { Ok(found) }
}

fn hosts(records: &[Record]) -> BTreeSet<String> {
    let host = |record: &Record| match &record.data {
        RData::NS(host) => Some(host.0.to_ascii().to_ascii_lowercase()),
        _ => None,
    };
    records.iter().filter_map(host).collect()
}
