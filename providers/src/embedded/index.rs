//! What a zone answers, found by name.
//!
//! In: the sets at a name · Out: [`Node`]s · Pure: yes · Called by: zone.rs (writes), answer.rs (reads)

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use dnsprovider::{Fqdn, RrSet};
use hickory_proto::rr::RecordType;

use super::wire;

/// The names of a zone that exist: those with sets and those between them and the apex.
#[derive(Debug)]
pub(super) struct Index {
    apex: Vec<u8>,
    nodes: HashMap<Box<[u8]>, Node>,
}

/// A name that exists.
#[derive(Debug, Default)]
pub(super) struct Node {
    sets: Vec<ServedSet>,
    /// Names with sets below this one. With some and no set of its own it is an empty non-terminal (RFC 8499 §7).
    below: usize,
}

/// A set and whose turn it is to stand first.
#[derive(Debug)]
pub(super) struct ServedSet {
    pub(super) set: RrSet,
    record_type: RecordType,
    turn: AtomicUsize,
}

impl Index {
    pub(super) fn new(apex: Vec<u8>) -> Self {
        let nodes = HashMap::from([(apex.clone().into(), Node::default())]);
        Self { apex, nodes }
    }

    pub(super) fn apex(&self) -> &[u8] {
        &self.apex
    }

    /// Replaces everything at a name that is at or below the apex.
    pub(super) fn put<'a>(&mut self, owner: &Fqdn, sets: impl Iterator<Item = &'a RrSet>) {
        let sets: Vec<_> = sets
            .filter_map(|set| {
                let record_type = wire::record_type(set.rr_type()).filter(|_| !set.is_opaque())?;
                Some(ServedSet { set: set.clone(), record_type, turn: AtomicUsize::new(0) })
            })
            .collect();
        let key = wire::key(owner);
        let has_some = !sets.is_empty();
        let had_some = match self.nodes.get_mut(&key[..]) {
            Some(node) => !std::mem::replace(&mut node.sets, sets).is_empty(),
            None if has_some => {
                self.nodes.insert(key[..].into(), Node { sets, below: 0 });
                false
            }
            None => false,
        };
        if has_some == had_some {
            return;
        }
        let mut name = &key[..];
        loop {
            if self.nodes.get(name).is_some_and(|node| node.sets.is_empty() && node.below == 0) && name != self.apex {
                self.nodes.remove(name);
            }
            let above = if name == self.apex { None } else { wire::parent(name) };
            let Some(above) = above else { break };
            name = above;
            let below = &mut self.nodes.entry(name.into()).or_default().below;
            *below = if has_some { *below + 1 } else { below.saturating_sub(1) };
        }
    }

    /// The name itself, or the wildcard that stands for it. `None`: it does not exist. Source: RFC 4592 §3.3.
    pub(super) fn find(&self, key: &[u8]) -> Option<&Node> {
        if let Some(node) = self.nodes.get(key) {
            return Some(node);
        }
        let mut encloser = wire::parent(key)?;
        while !self.nodes.contains_key(encloser) {
            encloser = wire::parent(encloser)?;
        }
        let mut wildcard = vec![1, b'*'];
        wildcard.extend_from_slice(encloser);
        self.nodes.get(&wildcard[..])
    }

    /// All sets, in no order.
    pub(super) fn sets(&self) -> impl Iterator<Item = &RrSet> {
        self.nodes.values().flat_map(|node| &node.sets).map(|served| &served.set)
    }
}

impl Node {
    /// The set that answers a query of this type: itself, or a CNAME. ANY gets one set (RFC 8482 §4.1).
    pub(super) fn select(&self, record_type: RecordType) -> Option<&ServedSet> {
        self.sets.iter().find(|served| {
            served.record_type == record_type
                || served.record_type == RecordType::CNAME
                || record_type == RecordType::ANY
        })
    }
}

impl ServedSet {
    /// The record that comes first in the next answer.
    pub(super) fn next_turn(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use dnsprovider::{RecordData, RrKey, RrType, Ttl};

    fn name(text: &str) -> Fqdn {
        Fqdn::parse(text).unwrap()
    }

    fn put(index: &mut Index, owner: &str, address: Option<&str>) {
        let set = address.map(|address| {
            let data = RecordData::A(address.parse().unwrap());
            RrSet::new(RrKey::new(name(owner), RrType::A), Ttl::from_secs(1).unwrap(), [data]).unwrap()
        });
        index.put(&name(owner), set.iter());
    }

    #[test]
    fn names_between_exist_as_long_as_something_is_below() {
        let mut index = Index::new(wire::key(&name("example.com")));
        let exists = |index: &Index, text: &str| index.find(&wire::key(&name(text))).is_some();
        put(&mut index, "a.b.c.example.com", Some("192.0.2.1"));
        put(&mut index, "a.b.c.example.com", Some("192.0.2.2"));
        put(&mut index, "x.b.c.example.com", Some("192.0.2.1"));
        put(&mut index, "c.example.com", Some("192.0.2.1"));
        put(&mut index, "a.b.c.example.com", None);
        put(&mut index, "a.b.c.example.com", None);
        assert!(exists(&index, "b.c.example.com") && !exists(&index, "a.b.c.example.com"));
        put(&mut index, "x.b.c.example.com", None);
        assert!(!exists(&index, "b.c.example.com") && exists(&index, "c.example.com"));
        put(&mut index, "c.example.com", None);
        assert!(!exists(&index, "c.example.com") && exists(&index, "example.com"));
        assert_eq!(index.nodes.len(), 1);
        assert_eq!(index.nodes[index.apex()].below, 0);
    }

    #[test]
    fn a_wildcard_stands_for_names_that_do_not_exist_below_its_parent() {
        let mut index = Index::new(wire::key(&name("example.com")));
        put(&mut index, "*.w.example.com", Some("192.0.2.1"));
        put(&mut index, "b.a.w.example.com", Some("192.0.2.2"));
        let set = |text: &str| {
            let node = index.find(&wire::key(&name(text)))?;
            node.select(RecordType::A).map(|served| served.set.records()[0].to_string())
        };
        assert_eq!(set("x.w.example.com").as_deref(), Some("192.0.2.1"));
        assert_eq!(set("y.x.w.example.com").as_deref(), Some("192.0.2.1"));
        // `a.w` exists, so the wildcard stands for nothing below it.
        assert_eq!(set("a.w.example.com"), None);
        assert!(index.find(&wire::key(&name("c.a.w.example.com"))).is_none());
        assert!(index.find(&wire::key(&name("x.example.com"))).is_none());
    }
}
