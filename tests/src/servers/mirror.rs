//! A DNS server that answers from whatever a function says the zone holds at that moment.
//!
//! The clouds answer queries from name servers of their own; their stand-ins have none. With this one in front, a client
//! sees each state that the stand-in goes through, as resolvers would see the cloud's. UDP only, one zone, no SOA.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use dnsprovider::{Fqdn, RecordData, RrSet};
use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// CNAMEs that are followed in one answer.
const MAX_CHAIN: usize = 16;
/// A query is never larger.
const MAX_OCTETS: usize = 4096;

type Sets = Arc<dyn Fn() -> Vec<RrSet> + Send + Sync>;

/// A running server; it stops when dropped.
pub struct Mirror {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Mirror {
    /// Answers from `sets`, which is asked once for each query, so that an answer shows one state of the zone.
    ///
    /// # Panics
    /// When no socket can be had on loopback.
    pub async fn start(sets: impl Fn() -> Vec<RrSet> + Send + Sync + 'static) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket on loopback");
        let address = socket.local_addr().expect("a bound socket has an address");
        Self { address, task: tokio::spawn(serve(socket, Arc::new(sets))) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mirror").field("address", &self.address).finish_non_exhaustive()
    }
}

async fn serve(socket: UdpSocket, sets: Sets) {
    let mut octets = [0; MAX_OCTETS];
    while let Ok((length, from)) = socket.recv_from(&mut octets).await {
        let Ok(query) = Message::from_vec(&octets[..length]) else { continue };
        if let Ok(answer) = answer(&query, &sets()).to_vec() {
            // A client that is gone needs no answer.
            _ = socket.send_to(&answer, from).await;
        }
    }
}

/// Source: RFC 1034 §4.3.2, without wildcards and delegations.
fn answer(query: &Message, sets: &[RrSet]) -> Message {
    let mut answer = Message::new(query.metadata.id, MessageType::Response, query.metadata.op_code);
    answer.metadata.authoritative = true;
    answer.metadata.recursion_desired = query.metadata.recursion_desired;
    answer.queries.clone_from(&query.queries);
    let question = query.queries.first().and_then(|query| Some((Fqdn::parse(&query.name.to_ascii()).ok()?, query)));
    let Some((mut owner, question)) = question else {
        answer.metadata.response_code = ResponseCode::FormErr;
        return answer;
    };
    for _ in 0..MAX_CHAIN {
        let here: Vec<_> = sets.iter().filter(|set| *set.owner() == owner).collect();
        if here.is_empty() {
            // A name above others exists, without data.
            if !sets.iter().any(|set| set.owner().is_at_or_below(&owner)) {
                answer.metadata.response_code = ResponseCode::NXDomain;
            }
            break;
        }
        let records: Vec<_> = here.iter().flat_map(|set| records(set)).collect();
        let wanted = |record: &&Record| record.record_type() == question.query_type;
        answer.answers.extend(records.iter().filter(wanted).cloned());
        match here.iter().find_map(|set| set.cname_target()) {
            Some(target) if question.query_type != RecordType::CNAME => {
                answer.answers.extend(records);
                owner = target.clone();
            }
            _ => break,
        }
    }
    answer
}

/// The records of a set, of the types that the daemon writes.
fn records(set: &RrSet) -> Vec<Record> {
    let name = |name: &Fqdn| Name::from_ascii(name.as_str()).expect("a name of the zone");
    let data = |record: &RecordData| match record {
        RecordData::A(address) => Some(RData::A(A(*address))),
        RecordData::Aaaa(address) => Some(RData::AAAA(AAAA(*address))),
        RecordData::Cname(target) => Some(RData::CNAME(CNAME(name(target)))),
        _ => None,
    };
    let record = |data| Record::from_rdata(name(set.owner()), set.ttl().as_secs(), data);
    set.records().iter().filter_map(data).map(record).collect()
}

#[cfg(test)]
mod tests {
    use dnsprovider::{RrKey, RrType, Ttl};

    use super::*;
    use crate::servers::query;

    fn name(text: &str) -> Fqdn {
        Fqdn::parse(text).expect("a name")
    }

    fn set(owner: &str, rr_type: RrType, data: RecordData) -> RrSet {
        let ttl = Ttl::from_secs(60).expect("a TTL");
        RrSet::new(RrKey::new(name(owner), rr_type), ttl, [data]).expect("a set of one record")
    }

    #[tokio::test]
    async fn every_kind_of_answer() {
        let sets = || {
            vec![
                set("a.b.example.com", RrType::A, RecordData::A([192, 0, 2, 1].into())),
                set("c.example.com", RrType::Cname, RecordData::Cname(name("a.b.example.com"))),
            ]
        };
        let mirror = Mirror::start(sets).await;
        for (name, rr_type, rcode, addresses, targets) in [
            ("a.b.example.com", "A", ResponseCode::NoError, 1, 0),
            ("c.example.com", "A", ResponseCode::NoError, 1, 1),
            ("c.example.com", "CNAME", ResponseCode::NoError, 0, 1),
            ("a.b.example.com", "AAAA", ResponseCode::NoError, 0, 0),
            ("b.example.com", "A", ResponseCode::NoError, 0, 0),
            ("d.example.com", "A", ResponseCode::NXDomain, 0, 0),
        ] {
            let answer = query(mirror.address(), name, rr_type).await;
            let seen = (answer.rcode, answer.addresses().len(), answer.targets().len());
            assert_eq!(seen, (rcode, addresses, targets), "{name} {rr_type}");
        }
    }
}
