//! One DNS request to its answer.
//!
//! In: octets of a request · Out: octets of a response · Pure: but for the turn of rotating records · Called by: serve.rs
//!
//! The whole answer is made under one view of the zone, so it is never half of a change.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use dnsprovider::RrSet;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, Record, RecordType};
use ipnet::IpNet;

use super::wire;
use super::zone::{HostedZone, View};

/// The most octets of an answer over UDP: larger ones are lost where fragments are dropped.
/// Source: <https://www.dnsflagday.net/2020/>, read 2026-11.
const MAX_UDP_OCTETS: u16 = 1232;
/// The most octets over UDP to a client without EDNS. Source: RFC 1035 §4.2.1.
const PLAIN_UDP_OCTETS: usize = 512;
/// The most octets over TCP: its length field has 16 bits.
const MAX_TCP_OCTETS: usize = 65_535;
/// CNAMEs that are followed in one answer.
const MAX_CHAIN: usize = 16;
/// Octets of records at which a message of a transfer is sent.
const TRANSFER_OCTETS: usize = 16_000;
/// Octets of a message header. Source: RFC 1035 §4.1.1.
const HEADER_OCTETS: usize = 12;

/// What is answered and to whom.
#[derive(Debug)]
pub(super) struct Zones {
    pub(super) by_apex: HashMap<Vec<u8>, Arc<HostedZone>>,
    pub(super) allow_transfer: Vec<IpNet>,
}

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

/// What goes back.
pub(super) enum Reply {
    /// Nothing: what came is no request.
    None,
    One(Vec<u8>),
    /// Message by message.
    Many(Box<Transfer>),
}

impl Zones {
    pub(super) fn answer(&self, request: &[u8], from: IpAddr, transport: Transport) -> Reply {
        let [id_high, id_low, flags, _, questions_high, questions_low, ..] = *request else { return Reply::None };
        if request.len() < HEADER_OCTETS || flags & 0x80 != 0 {
            return Reply::None;
        }
        // Checked before the rest is read: memory for the questions is taken as the header promises them.
        let one_question = [questions_high, questions_low] == [0, 1];
        let Some(request) = one_question.then(|| Message::from_vec(request).ok()).flatten() else {
            let format_error = ResponseCode::FormErr.low();
            return Reply::One(vec![id_high, id_low, flags & 0x79 | 0x80, format_error, 0, 0, 0, 0, 0, 0, 0, 0]);
        };
        let mut response = Message::new(request.metadata.id, MessageType::Response, request.metadata.op_code);
        response.metadata.recursion_desired = request.metadata.recursion_desired;
        response.queries.clone_from(&request.queries);
        if let Some(asked) = &request.edns {
            let mut edns = Edns::new();
            edns.set_max_payload(MAX_UDP_OCTETS).set_dnssec_ok(asked.flags().dnssec_ok);
            response.edns = Some(edns);
        }
        let limit = match transport {
            Transport::Tcp => MAX_TCP_OCTETS,
            Transport::Udp if request.edns.is_some() => usize::from(request.max_payload().min(MAX_UDP_OCTETS)),
            Transport::Udp => PLAIN_UDP_OCTETS,
        };
        match self.fill(&request, from, transport, &mut response) {
            Some(transfer) => Reply::Many(Box::new(transfer)),
            None => encode(response, limit),
        }
    }

    /// Fills in the response, or gives the transfer that goes out in its place.
    fn fill(&self, request: &Message, from: IpAddr, transport: Transport, response: &mut Message) -> Option<Transfer> {
        let refuse = |response: &mut Message, code| response.metadata.response_code = code;
        let query = request.queries.first()?;
        let key = wire::key_of_query(&query.name);
        if request.version() > 0 {
            refuse(response, ResponseCode::BADVERS);
        } else if request.metadata.op_code != OpCode::Query {
            refuse(response, ResponseCode::NotImp);
        } else if query.query_class != DNSClass::IN {
            refuse(response, ResponseCode::Refused);
        } else if let Some(zone) = self.zone_of(&key) {
            let transfer = matches!(query.query_type, RecordType::AXFR | RecordType::IXFR);
            if transfer && !(transport == Transport::Tcp && self.may_transfer(from)) {
                refuse(response, ResponseCode::Refused);
            } else if !zone.is_ready() {
                refuse(response, ResponseCode::ServFail);
            } else if transfer && query.name != zone.apex_name {
                refuse(response, ResponseCode::NotAuth);
            } else if transfer {
                response.metadata.authoritative = true;
                return Some(Transfer::new(zone, response.clone()));
            } else {
                response.metadata.authoritative = true;
                resolve(zone, query, key, response);
            }
        } else {
            refuse(response, ResponseCode::Refused);
        }
        None
    }

    /// The deepest zone at or above a name.
    fn zone_of(&self, key: &[u8]) -> Option<&HostedZone> {
        std::iter::successors(Some(key), |key| wire::parent(key))
            .find_map(|key| self.by_apex.get(key))
            .map(|zone| &**zone)
    }

    fn may_transfer(&self, from: IpAddr) -> bool {
        let from = from.to_canonical();
        self.allow_transfer.iter().any(|network| network.contains(&from))
    }
}

/// Answers a query inside a zone. Source: RFC 1034 §4.3.2, without delegations.
fn resolve(zone: &HostedZone, query: &Query, mut key: Vec<u8>, response: &mut Message) {
    let view = zone.view();
    let mut owner = query.name.clone();
    for _ in 0..MAX_CHAIN {
        let at_apex = key == view.index.apex();
        match query.query_type {
            RecordType::SOA if at_apex => return response.answers.push(soa(zone, &view, owner)),
            RecordType::NS if at_apex => return response.answers.push(wire::ns(owner, &zone.nameserver)),
            _ => {}
        }
        let Some(node) = view.index.find(&key) else {
            // Also at the end of a chain (RFC 6604 §3).
            response.metadata.response_code = ResponseCode::NXDomain;
            break;
        };
        match node.select(query.query_type) {
            Some(served) => {
                response.answers.extend(wire::records(&served.set, &owner, served.next_turn()));
                match served.set.cname_target() {
                    Some(target) if !matches!(query.query_type, RecordType::CNAME | RecordType::ANY) => {
                        if !target.is_at_or_below(&zone.apex) {
                            return;
                        }
                        (owner, key) = (wire::name(target), wire::key(target));
                    }
                    _ => return,
                }
            }
            None if at_apex && query.query_type == RecordType::ANY => {
                return response.answers.push(soa(zone, &view, owner));
            }
            None => break,
        }
    }
    // Also of a chain that has no end: whoever asks sees it from the answer.
    response.authorities.push(soa(zone, &view, zone.apex_name.clone()));
}

fn soa(zone: &HostedZone, view: &View, owner: Name) -> Record {
    wire::soa(owner, &zone.apex_name, &zone.nameserver, view.serial)
}

/// An answer that is too long is sent without its records: the client asks again over TCP (RFC 2181 §9).
fn encode(mut response: Message, limit: usize) -> Reply {
    let encoded = response.to_vec().ok().filter(|octets| octets.len() <= limit).or_else(|| {
        response.answers.clear();
        response.authorities.clear();
        response.metadata.truncation = true;
        response.to_vec().ok()
    });
    encoded.map_or(Reply::None, Reply::One)
}

//----------- Transfer -------------------------------------------------------

/// A zone as the messages of a transfer (RFC 5936 §2.2), of one view.
///
/// IXFR is answered like AXFR, as RFC 1995 §4 allows.
pub(super) struct Transfer {
    head: Message,
    soa: Record,
    ns: Option<Record>,
    sets: std::vec::IntoIter<RrSet>,
    over: bool,
}

impl Transfer {
    fn new(zone: &HostedZone, head: Message) -> Self {
        let view = zone.view();
        let sets: Vec<_> = view.index.sets().cloned().collect();
        let apex = &zone.apex_name;
        Self {
            head,
            soa: soa(zone, &view, apex.clone()),
            ns: Some(wire::ns(apex.clone(), &zone.nameserver)),
            sets: sets.into_iter(),
            over: false,
        }
    }
}

impl Iterator for Transfer {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        if self.over {
            return None;
        }
        let mut message = self.head.clone();
        if let Some(ns) = self.ns.take() {
            message.answers.extend([self.soa.clone(), ns]);
        }
        let mut octets = 0;
        while octets < TRANSFER_OCTETS {
            let Some(set) = self.sets.next() else {
                message.answers.push(self.soa.clone());
                self.over = true;
                break;
            };
            octets += wire::octets(&set) + set.owner().wire_len();
            message.answers.extend(wire::records(&set, &wire::name(set.owner()), 0));
        }
        message.to_vec().ok()
    }
}
