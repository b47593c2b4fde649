//! Load balancers that have only a name: what resolving it has told so far (DESIGN, rule 4).
//!
//! The answers of the last three resolutions are merged, so that a rotating answer does not rewrite a set. No answer
//! (a time-out, SERVFAIL) keeps the last addresses without limit; a negative one (NXDOMAIN, NODATA) for the grace.
//! Pure: the daemon asks, this remembers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::event::Timestamp;

/// How many answers count.
const MERGED_ANSWERS: usize = 3;
/// When to ask again after no or a negative answer, and the bounds of a TTL taken from an answer.
const RETRY: Duration = Duration::from_secs(30);
const SHORTEST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_hours(1);

/// What a resolver said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// Addresses, for this long.
    Addresses(BTreeSet<IpAddr>, Duration),
    /// The name does not exist or has no address.
    Negative,
    /// There was no answer.
    Failed,
}

/// What is known of a host name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostAddresses {
    /// Nothing yet since the start.
    Pending,
    /// These, possibly none.
    Known(BTreeSet<IpAddr>),
}

#[derive(Clone, Debug, Default)]
struct Host {
    answers: VecDeque<BTreeSet<IpAddr>>,
    negative_since: Option<Timestamp>,
    /// It has been told that the grace of a negative answer is over.
    over: bool,
    ask_at: Timestamp,
}

/// All host names in use.
#[derive(Clone, Debug, Default)]
pub struct Hosts(BTreeMap<Arc<str>, Host>);

impl Hosts {
    /// Follows exactly these names: new ones are to be asked at once, others are forgotten.
    pub fn follow(&mut self, names: &BTreeSet<Arc<str>>) {
        self.0.retain(|name, _| names.contains(name));
        for name in names {
            self.0.entry(name.clone()).or_default();
        }
    }

    /// Takes an answer in; true when the addresses changed by it.
    pub fn answer(&mut self, name: &str, resolution: Resolution, grace: Duration, now: Timestamp) -> bool {
        let before = self.addresses(name, grace, now);
        let Some(host) = self.0.get_mut(name) else { return false };
        match resolution {
            Resolution::Addresses(addresses, ttl) => {
                if host.negative_since.take().is_some_and(|since| now >= since.plus(grace)) {
                    host.answers.clear();
                }
                host.over = false;
                host.ask_at = now.plus(ttl.clamp(SHORTEST, LONGEST));
                host.answers.push_back(addresses);
                if host.answers.len() > MERGED_ANSWERS {
                    host.answers.pop_front();
                }
            }
            Resolution::Negative => {
                host.negative_since.get_or_insert(now);
                host.ask_at = now.plus(RETRY);
            }
            Resolution::Failed => host.ask_at = now.plus(RETRY),
        }
        before != self.addresses(name, grace, now)
    }

    /// The addresses of a name.
    pub fn addresses(&self, name: &str, grace: Duration, now: Timestamp) -> HostAddresses {
        let Some(host) = self.0.get(name) else { return HostAddresses::Pending };
        match host.negative_since {
            Some(since) if now >= since.plus(grace) => HostAddresses::Known(BTreeSet::new()),
            _ if host.answers.is_empty() => HostAddresses::Pending,
            _ => HostAddresses::Known(host.answers.iter().flatten().copied().collect()),
        }
    }

    /// The names whose negative answers have just outlived the grace, so that their addresses are gone by time alone.
    pub fn run_out(&mut self, grace: Duration, now: Timestamp) -> Vec<Arc<str>> {
        let mut names = Vec::new();
        for (name, host) in &mut self.0 {
            if !host.over && host.negative_since.is_some_and(|since| now >= since.plus(grace)) {
                host.over = true;
                names.push(name.clone());
            }
        }
        names
    }

    /// The names to ask now.
    pub fn due(&self, now: Timestamp) -> Vec<Arc<str>> {
        self.0.iter().filter(|(_, host)| host.ask_at <= now).map(|(name, _)| name.clone()).collect()
    }

    /// Marks a name as being asked, so that it is not due again before an answer or a pause.
    pub fn asked(&mut self, name: &str, now: Timestamp) {
        if let Some(host) = self.0.get_mut(name) {
            host.ask_at = now.plus(RETRY);
        }
    }

    /// When something is to be asked or runs out next.
    pub fn next_change(&self, grace: Duration, now: Timestamp) -> Option<Timestamp> {
        let asks = self.0.values().map(|host| host.ask_at);
        let ends = self.0.values().filter_map(|host| host.negative_since.map(|since| since.plus(grace)));
        asks.chain(ends.filter(|end| *end > now)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_mins(5);

    fn addresses(list: &[&str]) -> BTreeSet<IpAddr> {
        list.iter().filter_map(|text| text.parse().ok()).collect()
    }

    fn host() -> Hosts {
        let mut hosts = Hosts::default();
        hosts.follow(&BTreeSet::from(["lb.example".into()]));
        hosts
    }

    fn answered(list: &[&str]) -> Resolution {
        Resolution::Addresses(addresses(list), Duration::from_mins(1))
    }

    #[test]
    fn a_rotating_answer_is_one_set_and_the_fourth_answer_drops_the_first() {
        let (mut hosts, now) = (host(), Timestamp(0));
        assert_eq!(hosts.addresses("lb.example", GRACE, now), HostAddresses::Pending);
        for one in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
            hosts.answer("lb.example", answered(&[one]), GRACE, now);
        }
        let three = addresses(&["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
        assert_eq!(hosts.addresses("lb.example", GRACE, now), HostAddresses::Known(three));
        hosts.answer("lb.example", answered(&["192.0.2.3"]), GRACE, now);
        let two = addresses(&["192.0.2.2", "192.0.2.3"]);
        assert_eq!(hosts.addresses("lb.example", GRACE, now), HostAddresses::Known(two));
    }

    #[test]
    fn no_answer_keeps_the_addresses_without_limit() {
        let mut hosts = host();
        hosts.answer("lb.example", answered(&["192.0.2.1"]), GRACE, Timestamp(0));
        let late = Timestamp(0).plus(GRACE * 1000);
        assert!(!hosts.answer("lb.example", Resolution::Failed, GRACE, late));
        assert_eq!(hosts.addresses("lb.example", GRACE, late), HostAddresses::Known(addresses(&["192.0.2.1"])));
    }

    #[test]
    fn a_negative_answer_keeps_them_for_the_grace() {
        let mut hosts = host();
        hosts.answer("lb.example", answered(&["192.0.2.1"]), GRACE, Timestamp(0));
        hosts.answer("lb.example", Resolution::Negative, GRACE, Timestamp(1000));
        let end = Timestamp(1000).plus(GRACE);
        assert_eq!(
            hosts.addresses("lb.example", GRACE, Timestamp(end.0 - 1)),
            HostAddresses::Known(addresses(&["192.0.2.1"]))
        );
        assert_eq!(hosts.addresses("lb.example", GRACE, end), HostAddresses::Known(BTreeSet::new()));
        assert_eq!(hosts.next_change(GRACE, Timestamp(2000)), Some(Timestamp(31_000)));
        assert!(hosts.answer("lb.example", answered(&["192.0.2.9"]), GRACE, end));
    }
}
