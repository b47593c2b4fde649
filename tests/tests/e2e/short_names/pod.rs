//! A pod that asks.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use dns_conformance::servers::{Answer, query};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{RData, RecordType};

/// Asks as a C library does in a pod of the namespace (`ndots:5`): through the search list, then the name alone.
pub(crate) async fn resolve(dns: SocketAddr, namespace: &str, name: &str, rr_type: &str) -> (String, Answer) {
    let alone = format!("{}.", name.trim_end_matches('.'));
    let mut candidates = vec![alone];
    if !name.ends_with('.') {
        let search = [format!("{namespace}.svc.cluster.local."), "svc.cluster.local.".into(), "cluster.local.".into()];
        let searched = search.iter().map(|domain| format!("{name}.{domain}"));
        let at = usize::from(name.matches('.').count() >= 5);
        candidates.splice(at..at, searched);
    }
    let mut negative: Option<(String, Answer)> = None;
    for candidate in candidates {
        let answer = query(dns, &candidate, rr_type).await;
        let is_negative = matches!(answer.rcode, ResponseCode::NoError | ResponseCode::NXDomain);
        if !answer.answers.is_empty() || !is_negative {
            return (candidate, answer);
        }
        // One name that exists without such a record says more than others that do not exist.
        if negative.as_ref().is_none_or(|(_, before)| before.rcode == ResponseCode::NXDomain) {
            negative = Some((candidate, answer));
        }
    }
    negative.unwrap()
}

/// The longest that an answer may be kept (seconds), so that a failover is seen soon; what the servers publish says more.
const MOST_TTL: u32 = 30;

/// Fails unless each record of the answer belongs to the name that was asked for, or to where a CNAME led, and comes
/// from a cache that shortens its time to live.
pub(crate) fn assert_is_chain(name: &str, answer: &Answer) {
    let mut belongs = BTreeSet::from([name.to_ascii_lowercase()]);
    for record in &answer.answers {
        let owner = record.name.to_ascii().to_lowercase();
        assert!(belongs.contains(&owner), "{name}: {owner} is not asked for: {answer:?}");
        assert!(record.ttl <= MOST_TTL, "{name}: not cached: {answer:?}");
        if let RData::CNAME(target) = &record.data {
            belongs.insert(target.0.to_ascii().to_lowercase());
        }
    }
}

/// Fails unless a negative answer says how long it holds.
pub(crate) fn assert_is_negative(name: &str, answer: &Answer, rcode: ResponseCode) {
    assert_eq!((answer.rcode, answer.answers.len()), (rcode, 0), "{name}: {answer:?}");
    let has_soa = answer.authority.iter().any(|record| record.record_type() == RecordType::SOA);
    assert!(has_soa, "{name}: no SOA: {answer:?}");
}
