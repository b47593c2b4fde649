//! Whether enough clusters are known to judge those that are not, as the process has seen it over time (DESIGN, rules
//! 7c and 7d).
//!
//! A daemon that loses its own network loses all clusters at once, and they come back one after the other. The first
//! half of them must not condemn the rest, so every delay counts from the return of the quorum at the earliest.
//! In: [`Federation`], [`Settings`], the time · Out: when a delay is over · Pure: yes.

use std::collections::BTreeMap;

use crate::event::{ClusterName, Timestamp};
use crate::federation::{Cluster, Federation};
use crate::settings::Settings;

/// Whether at least half of the members are known, those that disappeared included, and since when again.
#[derive(Clone, Debug, Default)]
pub struct Quorum {
    state: State,
    /// When a source last told something of the members.
    told: Option<Timestamp>,
    /// The members whose grace was over when the quorum was last seen, with the time since when they were unknown.
    given_up: BTreeMap<ClusterName, Timestamp>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// It was there whenever somebody looked.
    #[default]
    Held,
    Lost,
    /// It was lost, and has been there again since then.
    Regained(Timestamp),
}

impl Quorum {
    /// Looks at what the members have been until now, before a source tells something new of them: nobody plans while
    /// the zone cannot be read, so the next plan may see nothing of a loss. What is told at one time is one look.
    pub fn before_told(&mut self, federation: &Federation, settings: &Settings, now: Timestamp) {
        if self.told.is_some_and(|told| told != now) {
            self.look(federation, settings, now);
        }
        self.told = Some(now);
    }

    /// Looks at the members.
    pub fn look(&mut self, federation: &Federation, settings: &Settings, now: Timestamp) {
        let clusters = federation.clusters();
        let known = clusters.values().filter(|cluster| cluster.is_known()).count();
        let is_there = known * 2 >= clusters.len();
        self.state = match self.state {
            _ if !is_there => State::Lost,
            // A single pass sees nothing come back.
            State::Lost if settings.one_shot => State::Held,
            State::Lost => State::Regained(self.told.unwrap_or(now)),
            state => state,
        };
        if is_there {
            let over = |(name, cluster): (&ClusterName, &Cluster)| {
                let since = cluster.unknown_since()?;
                (now >= self.grace_end(name, since, settings)).then(|| (name.clone(), since))
            };
            self.given_up = clusters.iter().filter_map(over).collect();
        }
    }

    /// True when it was there at the last look.
    pub fn is_held(&self) -> bool {
        self.state != State::Lost
    }

    /// When others may stand in for a cluster that is unknown since then, if the quorum stays. One that had been given up
    /// before the quorum was lost gets no second grace.
    pub fn grace_end(&self, cluster: &str, since: Timestamp, settings: &Settings) -> Timestamp {
        let was_given_up = self.given_up.get(cluster) == Some(&since);
        let from = if was_given_up { since } else { self.counted_from(since) };
        from.plus(settings.unreachable_grace)
    }

    /// When a cluster that disappeared then has left, if the quorum stays.
    pub fn leave_end(&self, disappeared: Timestamp, settings: &Settings) -> Timestamp {
        self.counted_from(disappeared).plus(settings.leave_delay)
    }

    fn counted_from(&self, since: Timestamp) -> Timestamp {
        match self.state {
            State::Regained(at) => since.max(at),
            State::Held | State::Lost => since,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dnsprovider::Fqdn;

    use super::*;
    use crate::event::{ClusterAnswer, SourceEvent};
    use crate::standing::{leavers, next_change, standings};

    const GRACE: u64 = 300;

    /// Members and a quorum that sees what becomes of them.
    struct World {
        federation: Federation,
        quorum: Quorum,
        settings: Settings,
    }

    impl World {
        fn new() -> Self {
            let settings = Settings {
                unreachable_grace: Duration::from_secs(GRACE),
                leave_delay: Duration::from_secs(2 * GRACE),
                ..Settings::new("fed", Fqdn::parse("example.com").unwrap())
            };
            Self { federation: Federation::default(), quorum: Quorum::default(), settings }
        }

        fn tell(&mut self, event: SourceEvent, at: u64) {
            self.quorum.before_told(&self.federation, &self.settings, time(at));
            self.federation.apply(event, time(at));
        }

        fn answer(&mut self, clusters: &[&str], at: u64) {
            for cluster in clusters {
                self.tell(SourceEvent::Answer { cluster: (*cluster).into(), answer: ClusterAnswer::default() }, at);
            }
        }

        fn lose(&mut self, clusters: &[&str], at: u64) {
            for cluster in clusters {
                let (cluster, reason) = ((*cluster).into(), "no answer".into());
                self.tell(SourceEvent::Unknown { cluster, since: None, reason }, at);
            }
        }

        fn expired(&mut self, at: u64) -> Vec<ClusterName> {
            self.quorum.look(&self.federation, &self.settings, time(at));
            let all = standings(&self.federation, &self.quorum, &self.settings, time(at)).clusters;
            all.into_iter().filter(|(_, standing)| standing.expired).map(|(name, _)| name).collect()
        }

        fn left(&mut self, at: u64) -> Vec<ClusterName> {
            self.quorum.look(&self.federation, &self.settings, time(at));
            leavers(&self.federation, &self.quorum, &self.settings, time(at))
        }

        fn wake(&self, at: u64) -> Option<Timestamp> {
            next_change(&self.federation, &self.quorum, &self.settings, time(at))
        }
    }

    /// Seconds after a beginning.
    fn time(seconds: u64) -> Timestamp {
        Timestamp(1_800_000_000_000).plus(Duration::from_secs(seconds))
    }

    fn names(names: &[&str]) -> Vec<ClusterName> {
        names.iter().map(|name| (*name).into()).collect()
    }

    #[test]
    fn the_grace_counts_from_the_return_of_the_quorum() {
        let mut world = World::new();
        world.answer(&["a", "b", "c"], 0);
        world.lose(&["a", "b", "c"], 10);
        assert!(world.expired(11).is_empty());
        assert_eq!(world.wake(11), None, "time alone changes nothing while nobody may be judged");
        world.answer(&["a"], 5000);
        assert!(world.expired(5000).is_empty());
        world.answer(&["b"], 6000);
        assert!(world.expired(6001).is_empty());
        assert_eq!(world.wake(6001), Some(time(6000 + GRACE)));
        assert!(world.expired(6000 + GRACE - 1).is_empty());
        assert_eq!(world.expired(6000 + GRACE), names(&["c"]));
    }

    #[test]
    fn a_loss_that_no_plan_saw_counts() {
        let mut world = World::new();
        world.answer(&["a", "b", "c"], 0);
        world.lose(&["a", "b", "c"], 10);
        world.answer(&["a"], 5000);
        world.answer(&["b"], 6000);
        assert!(world.expired(6000 + GRACE - 1).is_empty());
        assert_eq!(world.expired(6000 + GRACE), names(&["c"]));
    }

    #[test]
    fn what_is_told_at_one_time_is_one_look() {
        let mut world = World::new();
        let long_ago = SourceEvent::Unknown { cluster: "a".into(), since: Some(time(0)), reason: "not ready".into() };
        world.tell(long_ago, 5000);
        world.answer(&["b"], 5000);
        assert_eq!(world.expired(5000), names(&["a"]), "the first look has the quorum");
    }

    #[test]
    fn a_single_pass_knows_only_what_it_is_told() {
        let mut world = World::new();
        world.settings = world.settings.for_one_shot();
        let long_ago = SourceEvent::Unknown { cluster: "a".into(), since: Some(time(0)), reason: "not ready".into() };
        world.tell(long_ago, 5000);
        assert!(world.expired(5000).is_empty(), "nobody is known");
        world.answer(&["b"], 5001);
        assert_eq!(world.expired(5001), names(&["a"]));
    }

    #[test]
    fn who_was_given_up_gets_no_second_grace_and_who_came_back_does() {
        let mut world = World::new();
        world.answer(&["a", "b", "c", "d"], 0);
        world.lose(&["a", "b"], 10);
        assert_eq!(world.expired(10 + GRACE), names(&["a", "b"]));
        world.lose(&["c"], 1000);
        assert!(world.expired(1000).is_empty(), "one of four is known");
        world.lose(&["d"], 1001);
        world.answer(&["b"], 1002);
        world.lose(&["b"], 1003);
        world.answer(&["c", "d"], 1004);
        assert_eq!(world.expired(1004), names(&["a"]));
        assert_eq!(world.expired(1004 + GRACE), names(&["a", "b"]));
    }

    #[test]
    fn the_leave_delay_counts_from_the_return_of_the_quorum() {
        let mut world = World::new();
        world.answer(&["a", "b", "c"], 0);
        for cluster in names(&["a", "b", "c"]) {
            world.tell(SourceEvent::Disappeared { cluster }, 10);
        }
        world.answer(&["a", "b"], 5000);
        assert!(world.left(5000 + 2 * GRACE - 1).is_empty());
        assert_eq!(world.wake(5000 + 2 * GRACE - 1), Some(time(5000 + 2 * GRACE)));
        assert_eq!(world.left(5000 + 2 * GRACE), names(&["c"]));
    }
}
