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
        let (mut changes, mut held) = (Vec::new(), Vec::new());
        let outline = self.report_each(now, |change| {
            let list = if change.limit.is_some() { &mut held } else { &mut changes };
            list.push(change);
        });
        let by_name = |a: &ChangeReport, b: &ChangeReport| (&a.name, &a.rr_type).cmp(&(&b.name, &b.rr_type));
        changes.sort_by(by_name);
        held.sort_by(by_name);
        PlanReport { changes, held, ..outline }
    }

    /// The whole plan but for its changes, which are given one by one, service by service: where there are very many, all
    /// at once take more memory than the plan. Those with a limit are held.
    pub fn report_each(&self, now: Timestamp, mut each: impl FnMut(ChangeReport)) -> PlanReport {
        let mut touched = 0;
        let mut warnings = Vec::new();
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
                    each(ChangeReport::new(&part, service.clone(), None));
                }
                touched += usize::from(planned.change.before.is_some());
                each(ChangeReport::new(planned, service.clone(), limit));
            }
            warnings.extend(plan.warnings.iter().cloned());
        }
        PlanReport {
            zone: self.settings.zone.to_string(),
            changes: Vec::new(),
            held: Vec::new(),
            refused: self.refused().into_iter().collect(),
            unchanged: self.zone.claimed_sets().saturating_sub(touched),
            hash: self.hash.clone(),
            guard: (&self.verdict).into(),
            warnings,
        }
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
