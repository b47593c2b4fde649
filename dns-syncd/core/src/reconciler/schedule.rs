//! Which plan goes next, and what the others wait for.
//!
//! Every plan with work that is not on its way to the host is in one of two places: ready, in order of urgency; or
//! waiting, for a time, for a bar to be lifted (what the guard holds, a zone that is full), or for both. So a turn of
//! the engine looks at what it takes out and at nothing else.
//! In: plans come and go, time, lifted bars · Out: the next plan, the next time to look.

use std::collections::{BTreeMap, BTreeSet};

use super::PlanKey;
use crate::event::Timestamp;
use crate::plan::Urgency;

/// What a plan waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    /// The next time at which it may go, where time alone lets it.
    pub(super) until: Option<Timestamp>,
    /// It may go too when a bar is lifted.
    pub(super) is_barred: bool,
}

/// Plans with work that are not on their way.
#[derive(Clone, Debug, Default)]
pub(super) struct Schedule {
    ready: BTreeSet<(Urgency, PlanKey)>,
    waiting: BTreeMap<PlanKey, (Urgency, Wait)>,
    alarms: BTreeSet<(Timestamp, PlanKey)>,
    barred: BTreeSet<PlanKey>,
    visits: u64,
}

impl Schedule {
    /// Puts a plan that is in neither place; without something to wait for it is ready.
    pub(super) fn put(&mut self, urgency: Urgency, key: PlanKey, wait: Option<Wait>) {
        self.visits += 1;
        let Some(wait) = wait else {
            self.ready.insert((urgency, key));
            return;
        };
        if let Some(until) = wait.until {
            self.alarms.insert((until, key.clone()));
        }
        if wait.is_barred {
            self.barred.insert(key.clone());
        }
        self.waiting.insert(key, (urgency, wait));
    }

    /// Takes a plan out of the place where it is, if it is in one.
    pub(super) fn take(&mut self, urgency: Urgency, key: &PlanKey) {
        self.visits += 1;
        if self.stop_waiting(key).is_none() {
            self.ready.remove(&(urgency, key.clone()));
        }
    }

    /// Makes everything ready whose time has come.
    pub(super) fn wake(&mut self, now: Timestamp) {
        while let Some((_, key)) = self.alarms.first().filter(|(until, _)| *until <= now).cloned() {
            self.make_ready(key);
        }
    }

    /// Every bar may be lifted: makes everything ready that waits for one.
    pub(super) fn lift_all(&mut self) {
        while let Some(key) = self.barred.first().cloned() {
            self.make_ready(key);
        }
    }

    /// The bars of one plan may be lifted.
    pub(super) fn lift(&mut self, key: &PlanKey) {
        if self.barred.contains(key) {
            self.make_ready(key.clone());
        }
    }

    /// What is ready, most urgent first.
    pub(super) fn ready(&self) -> impl Iterator<Item = &(Urgency, PlanKey)> {
        self.ready.iter()
    }

    /// The next time at which something that waits may go.
    pub(super) fn next_alarm(&self, now: Timestamp) -> Option<Timestamp> {
        // No plan comes before the one of names that belong to no service.
        self.alarms.range((Timestamp(now.0.saturating_add(1)), None)..).next().map(|(until, _)| *until)
    }

    /// True when nothing is ready and nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.waiting.is_empty()
    }

    /// Counts entries that were looked at in order.
    pub(super) fn visited(&mut self, entries: u64) {
        self.visits += entries;
    }

    /// How many entries were looked at, put or taken since the beginning.
    pub(super) fn visits(&self) -> u64 {
        self.visits
    }

    fn make_ready(&mut self, key: PlanKey) {
        self.visits += 1;
        if let Some(urgency) = self.stop_waiting(&key) {
            self.ready.insert((urgency, key));
        }
    }

    fn stop_waiting(&mut self, key: &PlanKey) -> Option<Urgency> {
        let (urgency, wait) = self.waiting.remove(key)?;
        if let Some(until) = wait.until {
            self.alarms.remove(&(until, key.clone()));
        }
        if wait.is_barred {
            self.barred.remove(key);
        }
        Some(urgency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::ServiceId;

    fn key(name: &str) -> PlanKey {
        [ServiceId::new("shop", name)].into_iter().next()
    }

    fn ready(schedule: &Schedule) -> Vec<String> {
        schedule.ready().filter_map(|(_, key)| Some(key.as_ref()?.name.to_string())).collect()
    }

    /// `a` waits for 10, `b` for a bar, `c` for 20 or a bar, `d` for nothing.
    fn schedule() -> Schedule {
        let mut schedule = Schedule::default();
        let wait = |until: Option<i64>, is_barred| Some(Wait { until: until.map(Timestamp), is_barred });
        schedule.put(Urgency::Rest, key("a"), wait(Some(10), false));
        schedule.put(Urgency::Creation, key("b"), wait(None, true));
        schedule.put(Urgency::Failover, key("c"), wait(Some(20), true));
        schedule.put(Urgency::Creation, key("d"), None);
        schedule
    }

    #[test]
    fn what_waits_is_ready_when_its_time_comes_or_its_bar_is_lifted() {
        let mut timed = schedule();
        assert_eq!(ready(&timed), ["d"]);
        timed.wake(Timestamp(9));
        assert_eq!((ready(&timed), timed.next_alarm(Timestamp(9))), (vec!["d".to_owned()], Some(Timestamp(10))));
        assert_eq!(timed.next_alarm(Timestamp(10)), Some(Timestamp(20)));
        timed.wake(Timestamp(10));
        assert_eq!(ready(&timed), ["d", "a"]);
        timed.lift(&key("a"));
        timed.lift(&key("b"));
        assert_eq!(ready(&timed), ["b", "d", "a"]);

        let mut lifted = schedule();
        lifted.lift_all();
        assert_eq!(ready(&lifted), ["c", "b", "d"]);
        assert_eq!(lifted.next_alarm(Timestamp(0)), Some(Timestamp(10)));
        assert_eq!(lifted.next_alarm(Timestamp(10)), None, "what is ready has no alarm");
    }

    #[test]
    fn what_is_taken_is_nowhere() {
        let mut schedule = schedule();
        for (urgency, name) in [(Urgency::Rest, "a"), (Urgency::Creation, "b"), (Urgency::Creation, "d")] {
            schedule.take(urgency, &key(name));
        }
        assert!(!schedule.is_empty());
        schedule.take(Urgency::Failover, &key("c"));
        assert!(schedule.is_empty());
        schedule.wake(Timestamp(100));
        schedule.lift_all();
        assert_eq!((ready(&schedule), schedule.next_alarm(Timestamp(0))), (Vec::new(), None));
    }
}
