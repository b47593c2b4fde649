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
    ask_at: Timestamp,
}

/// All host names in use.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    by_name: BTreeMap<Arc<str>, Host>,
    /// When each is to be asked.
    asks: BTreeSet<(Timestamp, Arc<str>)>,
    /// Since when answers have been negative; without those of which it has been told that their grace is over.
    negative: BTreeSet<(Timestamp, Arc<str>)>,
}

impl Hosts {
    /// Follows a name: a new one is to be asked at once.
    pub fn follow(&mut self, name: &Arc<str>) {
        if !self.by_name.contains_key(name) {
            self.by_name.insert(name.clone(), Host::default());
            self.asks.insert((Timestamp::default(), name.clone()));
        }
    }

    /// Forgets a name.
    pub fn forget(&mut self, name: &Arc<str>) {
        let Some(host) = self.by_name.remove(name) else { return };
        self.asks.remove(&(host.ask_at, name.clone()));
        if let Some(since) = host.negative_since {
            self.negative.remove(&(since, name.clone()));
        }
    }

    /// Takes an answer in; true when the addresses changed by it.
    pub fn answer(&mut self, name: &str, resolution: Resolution, grace: Duration, now: Timestamp) -> bool {
        let before = self.addresses(name, grace, now);
        let Some((name, _)) = self.by_name.get_key_value(name) else { return false };
        let name = name.clone();
        let Some(host) = self.by_name.get_mut(&name) else { return false };
        let pause = match resolution {
            Resolution::Addresses(addresses, ttl) => {
                if let Some(since) = host.negative_since.take() {
                    self.negative.remove(&(since, name.clone()));
                    if now >= since.plus(grace) {
                        host.answers.clear();
                    }
                }
                host.answers.push_back(addresses);
                if host.answers.len() > MERGED_ANSWERS {
                    host.answers.pop_front();
                }
                ttl.clamp(SHORTEST, LONGEST)
            }
            Resolution::Negative => {
                if host.negative_since.is_none() {
                    host.negative_since = Some(now);
                    self.negative.insert((now, name.clone()));
                }
                RETRY
            }
            Resolution::Failed => RETRY,
        };
        self.ask_at(&name, now.plus(pause));
        before != self.addresses(&name, grace, now)
    }

    /// The addresses of a name.
    pub fn addresses(&self, name: &str, grace: Duration, now: Timestamp) -> HostAddresses {
        let Some(host) = self.by_name.get(name) else { return HostAddresses::Pending };
        match host.negative_since {
            Some(since) if now >= since.plus(grace) => HostAddresses::Known(BTreeSet::new()),
            _ if host.answers.is_empty() => HostAddresses::Pending,
            _ => HostAddresses::Known(host.answers.iter().flatten().copied().collect()),
        }
    }

    /// The names whose negative answers have just outlived the grace, so that their addresses are gone by time alone.
    pub fn run_out(&mut self, grace: Duration, now: Timestamp) -> Vec<Arc<str>> {
        let mut names = Vec::new();
        while self.negative.first().is_some_and(|(since, _)| now >= since.plus(grace)) {
            names.extend(self.negative.pop_first().map(|(_, name)| name));
        }
        names
    }

    /// The names to ask now. Each is not due again before an answer or a pause.
    pub fn take_due(&mut self, now: Timestamp) -> Vec<Arc<str>> {
        let due: Vec<_> = self.asks.iter().take_while(|(at, _)| *at <= now).map(|(_, name)| name.clone()).collect();
        for name in &due {
            self.ask_at(name, now.plus(RETRY));
        }
        due
    }

    /// When something is to be asked next, and when something runs out.
    pub fn next_changes(&self, grace: Duration, now: Timestamp) -> impl Iterator<Item = Timestamp> {
        let ask = self.asks.first().map(|(at, _)| *at);
        let end = self.negative.iter().map(|(since, _)| since.plus(grace)).find(|end| *end > now);
        ask.into_iter().chain(end)
    }

    /// The grace may be another one: what has run out by the old one may run out again.
    pub fn regrace(&mut self) {
        let of = |(name, host): (&Arc<str>, &Host)| Some((host.negative_since?, name.clone()));
        self.negative = self.by_name.iter().filter_map(of).collect();
    }

    fn ask_at(&mut self, name: &Arc<str>, at: Timestamp) {
        if let Some(host) = self.by_name.get_mut(name) {
            self.asks.remove(&(host.ask_at, name.clone()));
            host.ask_at = at;
            self.asks.insert((at, name.clone()));
        }
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
        hosts.follow(&"lb.example".into());
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
        let next: Vec<_> = hosts.next_changes(GRACE, Timestamp(2000)).collect();
        assert_eq!(next, [Timestamp(31_000), end], "an ask that is due hides no end");
        assert_eq!((hosts.run_out(GRACE, end), hosts.run_out(GRACE, end)), (vec!["lb.example".into()], Vec::new()));
        hosts.regrace();
        let longer = Timestamp(1000).plus(GRACE * 2);
        assert_eq!(hosts.run_out(GRACE * 2, end), Vec::<Arc<str>>::new());
        assert_eq!(hosts.run_out(GRACE * 2, longer), ["lb.example".into()], "a longer grace ends too");
        assert!(hosts.answer("lb.example", answered(&["192.0.2.9"]), GRACE, longer));
    }

    #[test]
    fn a_name_is_asked_at_once_then_after_a_pause_and_not_when_it_is_forgotten() {
        let (mut hosts, name): (Hosts, Arc<str>) = (host(), "lb.example".into());
        assert_eq!(hosts.take_due(Timestamp(0)), std::slice::from_ref(&name));
        assert_eq!(hosts.take_due(Timestamp(29_999)), []);
        hosts.follow(&name);
        assert_eq!(hosts.take_due(Timestamp(30_000)), std::slice::from_ref(&name));
        hosts.answer(&name, Resolution::Negative, GRACE, Timestamp(30_000));
        hosts.forget(&name);
        assert_eq!((hosts.take_due(Timestamp(100_000)), hosts.next_changes(GRACE, Timestamp(0)).count()), (vec![], 0));
    }
}
