//! What clients must be answered: the rules once more, in the plainest words and without the product's code.

use std::collections::{BTreeMap, BTreeSet};

use dns_conformance::servers::Answer;
use hickory_proto::op::ResponseCode;

use crate::members::{Member, NAMESPACE};

/// The federation's name and its zone.
pub(crate) const FEDERATION: &str = "fed";
pub(crate) const ZONE: &str = "example.com";

/// A name and `A` or `AAAA`.
pub(crate) type Question = (String, &'static str);

/// What a question is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Want {
    pub(crate) addresses: BTreeSet<String>,
    pub(crate) name: Existence,
}

/// Whether there is such a name, so whether NXDOMAIN is the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existence {
    Exists,
    Absent,
    /// A CNAME that leads to no address: servers differ.
    Either,
}

/// The answers to all questions about published names.
pub(crate) type Truth = BTreeMap<Question, Want>;

impl Want {
    /// Nothing was ever there.
    pub(crate) fn absent() -> Self {
        Self { addresses: BTreeSet::new(), name: Existence::Absent }
    }

    /// Is this exactly the answer?
    pub(crate) fn is_met(&self, answer: &Answer) -> bool {
        let code = match (self.name, answer.rcode) {
            (_, ResponseCode::NoError) => self.name != Existence::Absent,
            (_, ResponseCode::NXDomain) => self.name != Existence::Exists,
            _ => false,
        };
        code && answer.addresses().into_iter().eq(self.addresses.iter().cloned())
    }
}

/// The global name of a service, or the one of a region (`eu`) or zone (`eu-a.eu`).
pub(crate) fn name(service: &str, place: &str) -> String {
    let place = if place.is_empty() { String::new() } else { format!("{place}.") };
    format!("{service}.{NAMESPACE}.{FEDERATION}.svc.{place}{ZONE}.")
}

/// The truth for these clusters: each name has the ready addresses of its place, else it leads to the next wider one.
pub(crate) fn truth(members: &[Member]) -> Truth {
    let services: BTreeSet<_> = members.iter().flat_map(|member| member.services.keys()).collect();
    let mut truth = Truth::new();
    for service in services {
        let addresses = |counts: &dyn Fn(&Member) -> bool| -> Vec<String> {
            let copies =
                members.iter().filter(|member| counts(member)).filter_map(|member| member.services.get(service));
            copies.filter(|copy| copy.ready).flat_map(|copy| copy.addresses.clone()).collect()
        };
        let or = |own: Vec<String>, wider: &Vec<String>| if own.is_empty() { wider.clone() } else { own };
        let global = addresses(&|_| true);
        say(&mut truth, &name(service, ""), &global);
        for place in members {
            let region = or(addresses(&|member| member.region == place.region), &global);
            say(&mut truth, &name(service, &place.region), &region);
            let zone = or(addresses(&|member| (&member.region, &member.zone) == (&place.region, &place.zone)), &region);
            say(&mut truth, &name(service, &format!("{}.{}", place.zone, place.region)), &zone);
        }
    }
    truth
}

fn say(truth: &mut Truth, owner: &str, addresses: &[String]) {
    let existence = if addresses.is_empty() { Existence::Either } else { Existence::Exists };
    for (rr_type, six) in [("A", false), ("AAAA", true)] {
        let addresses = addresses.iter().filter(|address| address.contains(':') == six).cloned().collect();
        truth.insert((owner.to_owned(), rr_type), Want { addresses, name: existence });
    }
}
