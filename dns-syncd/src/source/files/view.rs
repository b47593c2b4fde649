//! What the source has told so far, and what a new reading adds to it.
//!
//! In: readings of members and dumps · Out: [`SourceEvent`]s · Pure: yes

use std::collections::BTreeMap;
use std::sync::Arc;

use dns_sync_core::{ClusterAnswer, ClusterName, Problem, SourceEvent, Timestamp};

use super::dump::{Dump, Lost, Member};

/// Clusters and problems that were told.
#[derive(Debug, Default)]
pub(crate) struct View {
    clusters: BTreeMap<ClusterName, Standing>,
    problems: BTreeMap<Arc<str>, Vec<Problem>>,
}

#[derive(Debug, PartialEq, Eq)]
enum Standing {
    Known,
    /// As it was told.
    Unknown(Lost),
}

impl View {
    /// A member was read, or could not be for a reason.
    pub(crate) fn member(
        &mut self,
        name: &str,
        path: &str,
        reading: Result<ClusterAnswer, String>,
    ) -> Vec<SourceEvent> {
        let cluster = ClusterName::from(name);
        let mut events = Vec::new();
        let problems = match reading {
            Ok(answer) => {
                self.answer(&cluster, answer, &mut events);
                Vec::new()
            }
            Err(reason) => {
                let reason = Arc::<str>::from(reason);
                let lost = Lost { since: None, reason: reason.clone() };
                self.lose(&cluster, lost, &mut events);
                vec![Problem { cluster: Some(cluster), service: None, reason }]
            }
        };
        self.problems(path, problems, &mut events);
        events
    }

    /// A member is there no more.
    pub(crate) fn gone(&mut self, name: &str, path: &str) -> Vec<SourceEvent> {
        let mut events = Vec::from_iter(self.disappeared(name));
        self.problems(path, Vec::new(), &mut events);
        events
    }

    /// A cluster is there no more; nothing where it was never told.
    pub(crate) fn disappeared(&mut self, name: &str) -> Option<SourceEvent> {
        let (cluster, _) = self.clusters.remove_entry(name)?;
        Some(SourceEvent::Disappeared { cluster })
    }

    /// The clusters that were told and that `stays` does not hold for.
    pub(crate) fn absent(&self, stays: impl Fn(&str) -> bool) -> Vec<String> {
        self.clusters.keys().filter(|name| !stays(name)).map(ToString::to_string).collect()
    }

    /// A dump was read at `now`.
    pub(crate) fn dump(&mut self, path: &str, dump: Dump, now: Timestamp) -> Vec<SourceEvent> {
        let mut events = Vec::new();
        self.clusters.retain(|cluster, _| {
            let stays = dump.clusters.contains_key(cluster);
            if !stays {
                events.push(SourceEvent::Disappeared { cluster: cluster.clone() });
            }
            stays
        });
        for (cluster, member) in dump.clusters {
            self.update(&cluster, member, now, &mut events);
        }
        self.problems(path, dump.problems, &mut events);
        events
    }

    /// One cluster of a dump changed at `now`.
    pub(crate) fn update(
        &mut self,
        cluster: &ClusterName,
        member: Member,
        now: Timestamp,
        events: &mut Vec<SourceEvent>,
    ) {
        // A dump that is written anew every minute must not make a lost cluster freshly lost every minute.
        let before = self.lost_since(cluster);
        self.answer(cluster, member.answer, events);
        if let Some(lost) = member.lost {
            let since = lost.since.or(before).unwrap_or(now);
            self.lose(cluster, Lost { since: Some(since), ..lost }, events);
        }
    }

    /// The source itself failed: nothing that was told becomes untrue. Members become unknown where `unknown`.
    pub(crate) fn failed(&mut self, path: &str, reason: &str, unknown: bool) -> Vec<SourceEvent> {
        let mut events = Vec::new();
        if unknown {
            for cluster in self.clusters.keys().cloned().collect::<Vec<_>>() {
                let since = self.lost_since(&cluster);
                self.lose(&cluster, Lost { since, reason: reason.into() }, &mut events);
            }
        }
        // A service that could not be read has no copy anywhere: only its problem keeps its records.
        let told = self.problems.get(path).into_iter().flatten();
        let mut problems: Vec<_> = told.filter(|problem| problem.service.is_some()).cloned().collect();
        problems.push(Problem { cluster: None, service: None, reason: reason.into() });
        self.problems(path, problems, &mut events);
        events
    }

    /// The source itself is well.
    pub(crate) fn recovered(&mut self, path: &str) -> Vec<SourceEvent> {
        let mut events = Vec::new();
        self.problems(path, Vec::new(), &mut events);
        events
    }

    fn answer(&mut self, cluster: &ClusterName, answer: ClusterAnswer, events: &mut Vec<SourceEvent>) {
        if self.clusters.insert(cluster.clone(), Standing::Known).is_none() {
            events.push(SourceEvent::Joined { cluster: cluster.clone() });
        }
        events.push(SourceEvent::Answer { cluster: cluster.clone(), answer });
    }

    /// Told once for each reason: how long a cluster is unknown already must not begin anew.
    fn lose(&mut self, cluster: &ClusterName, lost: Lost, events: &mut Vec<SourceEvent>) {
        match self.clusters.insert(cluster.clone(), Standing::Unknown(lost.clone())) {
            Some(Standing::Unknown(told)) if told == lost => return,
            Some(_) => {}
            None => events.push(SourceEvent::Joined { cluster: cluster.clone() }),
        }
        events.push(SourceEvent::Unknown { cluster: cluster.clone(), since: lost.since, reason: lost.reason });
    }

    fn lost_since(&self, cluster: &str) -> Option<Timestamp> {
        match self.clusters.get(cluster) {
            Some(Standing::Unknown(lost)) => lost.since,
            _ => None,
        }
    }

    /// All that is wrong at `origin` now, told where it differs.
    pub(crate) fn problems(&mut self, origin: &str, problems: Vec<Problem>, events: &mut Vec<SourceEvent>) {
        let before = self.problems.get(origin).map(Vec::as_slice).unwrap_or_default();
        if before == problems {
            return;
        }
        let origin = Arc::<str>::from(origin);
        if problems.is_empty() {
            self.problems.remove(&origin);
        } else {
            self.problems.insert(origin.clone(), problems.clone());
        }
        events.push(SourceEvent::Problems { origin, problems });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dump(clusters: &[(&str, Option<Lost>)]) -> Dump {
        let member = |(name, lost): &(&str, Option<Lost>)| {
            (ClusterName::from(*name), Member { answer: ClusterAnswer::default(), lost: lost.clone() })
        };
        Dump { clusters: clusters.iter().map(member).collect(), problems: Vec::new() }
    }

    fn lost_since(events: &[SourceEvent]) -> Vec<Option<Timestamp>> {
        let since = |event: &SourceEvent| match event {
            SourceEvent::Unknown { since, .. } => Some(*since),
            _ => None,
        };
        events.iter().filter_map(since).collect()
    }

    #[test]
    fn the_same_fault_is_told_once() {
        let mut view = View::default();
        assert_eq!(view.member("a", "o", Err("broken".to_owned())).len(), 3, "joined, unknown, problems");
        assert_eq!(view.member("a", "o", Err("broken".to_owned())), []);
        assert_eq!(view.member("a", "o", Err("worse".to_owned())).len(), 2, "unknown, problems");
    }

    #[test]
    fn a_cluster_that_comes_back_joins_again() {
        let mut view = View::default();
        view.member("a", "o", Ok(ClusterAnswer::default()));
        assert_eq!(view.gone("a", "o"), [SourceEvent::Disappeared { cluster: "a".into() }]);
        let events = view.member("a", "o", Ok(ClusterAnswer::default()));
        assert_eq!(events.first(), Some(&SourceEvent::Joined { cluster: "a".into() }));
    }

    #[test]
    fn a_cluster_without_a_transition_time_stays_lost_since_it_was_first_seen_lost() {
        let lost = |since| Some(Lost { since, reason: "not ready".into() });
        let mut view = View::default();
        let mut step = |since, now| lost_since(&view.dump("d", dump(&[("a", lost(since))]), Timestamp(now)));
        assert_eq!(step(None, 100), [Some(Timestamp(100))]);
        assert_eq!(step(None, 900), [Some(Timestamp(100))]);
        assert_eq!(step(Some(Timestamp(50)), 999), [Some(Timestamp(50))]);
    }

    #[test]
    fn a_cluster_that_left_the_dump_disappears() {
        let mut view = View::default();
        view.dump("d", dump(&[("a", None), ("b", None)]), Timestamp(0));
        let events = view.dump("d", dump(&[("b", None)]), Timestamp(0));
        assert_eq!(events.first(), Some(&SourceEvent::Disappeared { cluster: "a".into() }));
    }

    #[test]
    fn a_service_that_could_not_be_read_stays_so_while_the_source_fails() {
        let mut view = View::default();
        let unread = Problem {
            cluster: None,
            service: Some(dns_sync_core::ServiceId::new("shop", "web")),
            reason: "no JSON".into(),
        };
        view.dump("d", Dump { problems: vec![unread.clone()], ..dump(&[("a", None)]) }, Timestamp(0));
        let events = view.failed("d", "torn", false);
        let [SourceEvent::Problems { problems, .. }] = &events[..] else { panic!("{events:?}") };
        assert!(problems.contains(&unread) && problems.len() == 2, "{problems:?}");
    }

    #[test]
    fn how_long_a_cluster_is_lost_outlives_a_failure_of_the_source() {
        let lost = || Some(Lost { since: None, reason: "not ready".into() });
        let mut view = View::default();
        view.dump("d", dump(&[("a", lost())]), Timestamp(100));
        assert_eq!(lost_since(&view.failed("d", "away", true)), [Some(Timestamp(100))]);
        assert_eq!(lost_since(&view.dump("d", dump(&[("a", lost())]), Timestamp(900))), [Some(Timestamp(100))]);
    }

    #[test]
    fn a_failed_source_takes_nothing_back() {
        let mut view = View::default();
        view.member("a", "o", Ok(ClusterAnswer::default()));
        let events = view.failed("root", "gone", true);
        assert!(matches!(events[..], [SourceEvent::Unknown { .. }, SourceEvent::Problems { .. }]), "{events:?}");
        assert!(matches!(view.recovered("root")[..], [SourceEvent::Problems { .. }]));
        assert_eq!(view.recovered("root"), []);
    }
}
