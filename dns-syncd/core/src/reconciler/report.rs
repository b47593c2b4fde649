//! The state as reports: the whole plan, the desired records.

use std::collections::{BTreeMap, BTreeSet};

use dnsprovider::ClaimedSet;

use super::Reconciler;
use crate::desired::{Desired, desired};
use crate::event::Timestamp;
use crate::plan::PlannedChange;
use crate::report::{ChangeReport, PlanReport, RecordReport, RefusalReport};

impl Reconciler {
    /// The whole plan.
    pub fn report(&self, now: Timestamp) -> PlanReport {
        let mut report = PlanReport {
            zone: self.settings.zone.to_string(),
            changes: Vec::new(),
            held: Vec::new(),
            refused: self.refused().into_iter().collect(),
            unchanged: 0,
            hash: self.hash.clone(),
            guard: (&self.verdict).into(),
            warnings: Vec::new(),
        };
        let mut touched = 0;
        for (key, plan) in &self.plans {
            let service = key.as_ref().map(ToString::to_string);
            let held: BTreeMap<_, _> =
                self.held_in(plan, now).into_iter().map(|(planned, limit)| (&planned.change.key, limit)).collect();
            let out = self.crowded_out(plan);
            for planned in plan.changes.iter().filter(|planned| !out.contains(&planned.change.key)) {
                let limit = held.get(&planned.change.key).copied();
                if let (Some(_), Some(additions)) = (limit, self.additions(planned)) {
                    let reason = format!("{}; what is added goes ahead, the rest is held", planned.reason);
                    let part = PlannedChange { change: additions, reason, ..planned.clone() };
                    report.changes.push(ChangeReport::new(&part, service.clone(), None));
                }
                touched += usize::from(planned.change.before.is_some());
                let list = if limit.is_some() { &mut report.held } else { &mut report.changes };
                list.push(ChangeReport::new(planned, service.clone(), limit));
            }
            report.warnings.extend(plan.warnings.iter().cloned());
        }
        report.unchanged = self.zone.claimed_sets().saturating_sub(touched);
        let by_name = |a: &ChangeReport, b: &ChangeReport| (&a.name, &a.rr_type).cmp(&(&b.name, &b.rr_type));
        report.changes.sort_by(by_name);
        report.held.sort_by(by_name);
        report
    }

    /// What is wanted and not done, and what the sources and the topology could not use.
    pub fn refused(&self) -> BTreeSet<RefusalReport> {
        let of_plans = self.plans.values().flat_map(|plan| &plan.refused).map(Into::into);
        let of_room = self.plans.iter().flat_map(|(key, plan)| self.refused_for_room(key, plan));
        let of_room: Vec<RefusalReport> = of_room.map(|refusal| (&refusal).into()).collect();
        self.problems().into_iter().chain(of_plans).chain(of_room).collect()
    }

    /// What the sources and the topology could not use.
    fn problems(&self) -> Vec<RefusalReport> {
        let of_sources = self.federation.problems().map(|problem| RefusalReport {
            name: None,
            rr_type: None,
            cluster: problem.cluster.as_ref().map(ToString::to_string),
            service: problem.service.as_ref().map(ToString::to_string),
            reason: problem.reason.to_string(),
        });
        let of_labels = self.standings.refused_labels.iter().map(|(cluster, reason)| RefusalReport {
            name: None,
            rr_type: None,
            cluster: Some(cluster.to_string()),
            service: None,
            reason: reason.clone(),
        });
        of_sources.chain(of_labels).collect()
    }

    /// The desired sets of all services, sorted by the bytes of name, then type.
    pub fn records(&self, now: Timestamp) -> Vec<RecordReport> {
        let cx = self.context(now);
        let mut sets: Vec<ClaimedSet> = Vec::new();
        for service in self.all_services() {
            if let (Desired::Names(names), _) = desired(&cx, &service) {
                sets.extend(names.into_values().flat_map(|name| name.sets));
            }
        }
        sets.sort_by(|a, b| a.set.key().cmp(b.set.key()));
        sets.iter().map(Into::into).collect()
    }
}
