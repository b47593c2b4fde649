//! Values of the contract as DNS has them on the wire, and back.
//!
//! In: [`Fqdn`], [`RrSet`] · Out: names and records of hickory · Pure: yes
//!
//! A [`key`](key) is a name in its wire form, lower-case, without the root label: names are looked up by it, and the
//! name above is the rest behind the first label.

use dnsprovider::{Fqdn, RecordData, RrSet, RrType};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, NS, SOA, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};

/// How long a resolver may keep that something does not exist. Unit: seconds. Source: RFC 2308 §5.
///
/// Short, because a client often asks for a service's name shortly before the service is there.
pub(super) const NEGATIVE_TTL: u32 = 30;
/// TTL of NS. Unit: seconds.
const NS_TTL: u32 = 3600;
/// SOA timers for secondaries: refresh, retry, expire. Unit: seconds. Source: RFC 1912 §2.2.
const TIMERS: (i32, i32, i32) = (1200, 180, 1_209_600);
/// Octets of a character-string. Source: RFC 1035 §3.3.
const MAX_STRING_OCTETS: usize = 255;

pub(super) fn key(name: &Fqdn) -> Vec<u8> {
    let mut key = Vec::with_capacity(name.as_str().len() + 1);
    for label in name.labels() {
        let start = key.len();
        key.push(0);
        let mut octets = label.bytes();
        while let Some(octet) = octets.next() {
            // An Fqdn holds escapes in canonical form only: `\DDD` or `\X` with X no digit.
            key.push(match octet {
                b'\\' => match octets.next().unwrap_or(b'\\') {
                    digit @ b'0'..=b'9' => {
                        [octets.next(), octets.next()].into_iter().flatten().fold(digit - b'0', |value, digit| {
                            value.wrapping_mul(10).wrapping_add(digit.wrapping_sub(b'0'))
                        })
                    }
                    other => other,
                },
                plain => plain,
            });
        }
        key[start] = u8::try_from(key.len() - start - 1).expect("a label of an Fqdn has at most 63 octets");
    }
    key
}

/// The key of a name as it came in a query.
pub(super) fn key_of_query(name: &Name) -> Vec<u8> {
    let mut key = Vec::with_capacity(name.len());
    for label in name {
        key.push(u8::try_from(label.len()).expect("a label has at most 63 octets"));
        key.extend(label.iter().map(u8::to_ascii_lowercase));
    }
    key
}

/// The key of the name above; `None` for the root.
pub(super) fn parent(key: &[u8]) -> Option<&[u8]> {
    key.get(usize::from(*key.first()?) + 1..)
}

pub(super) fn name(name: &Fqdn) -> Name {
    let key = key(name);
    let labels = std::iter::successors(Some(&key[..]), |rest| parent(rest)).take_while(|rest| !rest.is_empty());
    Name::from_labels(labels.map(|rest| &rest[1..=usize::from(rest[0])])).expect("an Fqdn keeps the limits of DNS")
}

/// The type of a set on the wire; `None` for one that is not served.
pub(super) fn record_type(rr_type: &RrType) -> Option<RecordType> {
    match rr_type {
        RrType::A => Some(RecordType::A),
        RrType::Aaaa => Some(RecordType::AAAA),
        RrType::Cname => Some(RecordType::CNAME),
        RrType::Txt => Some(RecordType::TXT),
        RrType::Other(_) => None,
    }
}

/// The records of a set at `owner`, the one at `first` first, then in order around.
pub(super) fn records<'a>(set: &'a RrSet, owner: &'a Name, first: usize) -> impl Iterator<Item = Record> + 'a {
    let (tail, head) = set.records().split_at(first % set.records().len());
    let ttl = set.ttl().as_secs();
    head.iter().chain(tail).filter_map(move |data| Some(Record::from_rdata(owner.clone(), ttl, rdata(data)?)))
}

fn rdata(data: &RecordData) -> Option<RData> {
    Some(match data {
        RecordData::A(address) => RData::A(A(*address)),
        RecordData::Aaaa(address) => RData::AAAA(AAAA(*address)),
        RecordData::Cname(target) => RData::CNAME(CNAME(name(target))),
        RecordData::Txt(text) if text.is_empty() => RData::TXT(TXT::from_bytes(vec![&[]])),
        RecordData::Txt(text) => RData::TXT(TXT::from_bytes(text.chunks(MAX_STRING_OCTETS).collect())),
        RecordData::Opaque(_) => return None,
    })
}

/// Octets of the set in an answer, its owner compressed: name, type, class, TTL and length are 12 octets of a record.
pub(super) fn octets(set: &RrSet) -> usize {
    let record = |data: &RecordData| match data {
        RecordData::A(_) => 4,
        RecordData::Aaaa(_) => 16,
        RecordData::Cname(target) => target.wire_len(),
        RecordData::Txt(text) => text.len() + text.len() / MAX_STRING_OCTETS + 1,
        RecordData::Opaque(_) => 0,
    };
    set.records().iter().map(|data| 12 + record(data)).sum()
}

pub(super) fn soa(owner: Name, apex: &Name, nameserver: &Name, serial: u32) -> Record {
    let (refresh, retry, expire) = TIMERS;
    let mailbox = apex.prepend_label("hostmaster").unwrap_or_else(|_| apex.clone());
    let data = SOA::new(nameserver.clone(), mailbox, serial, refresh, retry, expire, NEGATIVE_TTL);
    Record::from_rdata(owner, NEGATIVE_TTL, RData::SOA(data))
}

pub(super) fn ns(owner: Name, nameserver: &Name) -> Record {
    Record::from_rdata(owner, NS_TTL, RData::NS(NS(nameserver.clone())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn names_go_to_the_wire_octet_by_octet() {
        let odd = Fqdn::parse("a\\.b.\\255\\032x.example.").unwrap();
        assert_eq!(key(&odd), b"\x03a.b\x03\xff x\x07example");
        assert_eq!(key_of_query(&name(&odd)), key(&odd));
        assert_eq!(key(&Fqdn::root()), b"");
        assert!(name(&Fqdn::root()).is_root());
    }

    #[test]
    fn the_name_above_is_the_rest_behind_the_first_label() {
        let key = key(&Fqdn::parse("a.b").unwrap());
        assert_eq!(parent(&key), Some(&b"\x01b"[..]));
        assert_eq!(parent(b"\x01b"), Some(&b""[..]));
        assert_eq!(parent(b""), None);
    }
}
