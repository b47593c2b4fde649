//! Who finds room in a host that is nearly full.
//!
//! In: the sets that still fit, the names that want more · Out: the names that wait · Pure: yes.
//!
//! The order is that of DESIGN §3.3: services that have sets before those that have none, global names before regions
//! before zones. The first name that does not fit ends the line, so that nobody overtakes: a small new service takes no
//! room from a large one that was there before.

use std::collections::BTreeSet;

use dnsprovider::Fqdn;

use crate::event::ServiceId;

/// A name that would hold more sets than now.
///
/// Order: who comes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Demand<'a> {
    /// Its service has no set yet.
    pub(crate) is_new: bool,
    /// 0 for the global name, 1 for a region's, 2 for a zone's.
    pub(crate) depth: u8,
    /// The service.
    pub(crate) service: &'a ServiceId,
    /// The name.
    pub(crate) owner: &'a Fqdn,
    /// How many sets more.
    pub(crate) sets: usize,
}

/// The names that find no room among `free` sets.
pub(crate) fn without_room(free: usize, mut demands: Vec<Demand<'_>>) -> BTreeSet<&Fqdn> {
    demands.sort();
    let mut wanted = 0;
    let fitting = demands.iter().take_while(|demand| {
        wanted += demand.sets;
        wanted <= free
    });
    let fitting = fitting.count();
    demands.drain(..fitting);
    demands.into_iter().map(|demand| demand.owner).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Demands as `e0 shop 2`: existing or new, depth, service, sets.
    fn waiting(free: usize, texts: &[&str]) -> Vec<String> {
        let parse = |text: &&str| {
            let [kind, service, sets] = text.split(' ').collect::<Vec<_>>()[..] else {
                panic!("not three words: {text}")
            };
            let owner = Fqdn::parse(&format!("{kind}.{service}.example")).expect("a name");
            let depth: u8 = kind[1..].parse().expect("a depth");
            let sets: usize = sets.parse().expect("a number");
            (kind.starts_with('n'), depth, ServiceId::new("ns", service), owner, sets)
        };
        let parsed: Vec<_> = texts.iter().map(parse).collect();
        let demands = parsed.iter().map(|(is_new, depth, service, owner, sets)| Demand {
            is_new: *is_new,
            depth: *depth,
            service,
            owner,
            sets: *sets,
        });
        let left = without_room(free, demands.collect());
        let mut left: Vec<_> = left.into_iter().map(|owner| owner.as_str()[..4].to_owned()).collect();
        left.sort();
        left
    }

    #[test]
    fn existing_services_go_first_then_globals_then_regions_then_zones() {
        let all = ["n0 a 1", "e2 b 1", "e1 b 1", "e0 c 1", "n1 a 1", "n2 a 1"];
        for (free, expected) in [
            (6, vec![]),
            (5, vec!["n2.a"]),
            (3, vec!["n0.a", "n1.a", "n2.a"]),
            (2, vec!["e2.b", "n0.a", "n1.a", "n2.a"]),
            (0, vec!["e0.c", "e1.b", "e2.b", "n0.a", "n1.a", "n2.a"]),
        ] {
            assert_eq!(waiting(free, &all), expected, "{free} free");
        }
    }

    #[test]
    fn nobody_overtakes_a_name_that_does_not_fit() {
        assert_eq!(waiting(2, &["n0 a 3", "n0 b 1"]), ["n0.a", "n0.b"]);
    }
}
