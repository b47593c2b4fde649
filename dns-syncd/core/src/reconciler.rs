//! The decisions of one zone, kept up to date: what the daemon, `apply` and `plan` drive.
//!
//! Events mark services dirty, [`Reconciler::plan`] plans those and no others, [`Reconciler::next_batch`] hands out what
//! is most urgent, [`Reconciler::record`] takes the outcome in. Reading and writing are the caller's; so is time.
//! In: events, snapshots, outcomes, the time · Out: change sets, reports · Pure: yes.

mod inspect;
mod outcome;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use dnsprovider::{Capabilities, Change, ChangeSet, ClaimedSet, Fqdn, Snapshot, Unit, Version, order};

use crate::desired::{Context, Desired, desired};
use crate::event::{Place, ServiceId, SourceEvent, Timestamp};
use crate::federation::{Departure, Dirty, Federation};
use crate::guard::{Guard, Limit, LossCount, Verdict};
use crate::hosts::{Hosts, Resolution};
use crate::memory::Memory;
use crate::naming::Naming;
use crate::plan::{PlannedChange, ServicePlan, Urgency, plan_service, plan_strays};
use crate::report::{ChangeReport, PlanReport, RecordReport, RefusalReport};
use crate::settings::Settings;
use crate::standing::{self, Standings};
use crate::zone::ZoneView;

pub use outcome::FollowUp;

/// Names a plan: a service, or the names with our claim that belong to none.
type PlanKey = Option<ServiceId>;

/// What one call to the provider should write.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// The units, targets before the CNAMEs that point at them.
    pub changes: ChangeSet,
    /// The most urgent of them.
    pub urgency: Option<Urgency>,
    plans: BTreeSet<PlanKey>,
}

/// How often a plan failed in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Failure {
    attempts: u32,
    until: Timestamp,
    error: String,
}

/// When a name was last written, and at which revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Written {
    at: Timestamp,
    revision: u64,
}

/// The state of one zone's reconciliation.
#[derive(Clone, Debug)]
pub struct Reconciler {
    settings: Settings,
    naming: Naming,
    shared_sets: bool,
    answers_subtree: bool,
    records_per_set: Option<usize>,
    federation: Federation,
    standings: Standings,
    hosts: Hosts,
    zone: ZoneView,
    memory: Memory,
    lost_places: BTreeMap<Place, Timestamp>,
    dirty: BTreeSet<PlanKey>,
    plans: BTreeMap<PlanKey, ServicePlan>,
    queue: BTreeSet<(Urgency, PlanKey)>,
    in_flight: BTreeSet<PlanKey>,
    noticed: BTreeMap<Fqdn, u64>,
    failures: BTreeMap<PlanKey, Failure>,
    written: BTreeMap<Fqdn, Written>,
    prune_written_at: usize,
    guard: Guard,
    planned_losses: LossCount,
    verdict: Verdict,
    hash: Option<String>,
}

impl Reconciler {
    /// Begins with no cluster and an empty zone.
    pub fn new(settings: Settings, capabilities: &Capabilities) -> Self {
        Self {
            naming: Naming::new(&settings),
            shared_sets: capabilities.shared_sets,
            answers_subtree: capabilities.answers_subtree,
            records_per_set: capabilities.limits.records_per_set,
            federation: Federation::default(),
            standings: Standings::default(),
            hosts: Hosts::default(),
            zone: ZoneView::new(&settings, capabilities.answers_subtree),
            memory: Memory::default(),
            lost_places: BTreeMap::new(),
            dirty: BTreeSet::new(),
            plans: BTreeMap::new(),
            queue: BTreeSet::new(),
            in_flight: BTreeSet::new(),
            noticed: BTreeMap::new(),
            failures: BTreeMap::new(),
            written: BTreeMap::new(),
            prune_written_at: 1024,
            guard: Guard::default(),
            planned_losses: LossCount::default(),
            verdict: Verdict::default(),
            hash: None,
            settings,
        }
    }

    //----------- In ---------------------------------------------------------

    /// Takes an event of a source in.
    pub fn observe(&mut self, event: SourceEvent, now: Timestamp) {
        if let SourceEvent::Answer { cluster, .. } | SourceEvent::Unjoined { cluster } = &event {
            self.memory.forget(cluster);
        }
        let dirty = self.federation.apply(event, now);
        self.mark(dirty);
    }

    /// Replaces the view of the zone by a full read. What it credits to clusters that are no members makes them
    /// members that disappeared just now.
    pub fn load_zone(&mut self, snapshot: Snapshot, now: Timestamp) {
        self.zone.load(snapshot);
        let dirty = self.federation.remember(self.zone.credited_clusters(), now);
        self.mark(dirty);
        self.memory.learn(&self.zone, &self.naming, |cluster| {
            self.federation.clusters().get(cluster).is_some_and(|member| member.answered)
        });
        self.mark(Dirty::All);
        self.guard.claimed(self.zone.claimed_sets(), now);
    }

    /// Replaces the view of some names by a point read; a name that the snapshot lacks holds nothing.
    pub fn load_names(&mut self, names: &[Fqdn], snapshot: &Snapshot, now: Timestamp) {
        // Where the host answers subtrees, what lies below the names came along.
        let found = snapshot.entries.keys().filter(|found| names.iter().any(|name| found.is_at_or_below(name)));
        for owner in names.iter().chain(found).collect::<BTreeSet<_>>() {
            self.zone.set_name(owner, snapshot.at(owner).to_vec());
            self.mark_owner(owner);
        }
        self.guard.claimed(self.zone.claimed_sets(), now);
    }

    /// Replaces the settings; everything is planned anew, the history stays.
    pub fn set_settings(&mut self, settings: Settings) {
        self.naming = Naming::new(&settings);
        let mut zone = ZoneView::new(&settings, self.answers_subtree);
        let mut snapshot = Snapshot { version: self.zone.version().clone(), ..Snapshot::default() };
        snapshot.extend(self.zone.iter().cloned());
        zone.load(snapshot);
        self.zone = zone;
        self.settings = settings;
        self.mark(Dirty::All);
    }

    /// Takes the answer for a load balancer's name in.
    pub fn resolved(&mut self, host: &str, resolution: Resolution, now: Timestamp) {
        if self.hosts.answer(host, resolution, self.settings.unreachable_grace, now) {
            self.mark(Dirty::Services(self.federation.services_behind(host)));
        }
    }

    /// The load balancer names to resolve now; each is given once per pause.
    pub fn hosts_to_resolve(&mut self, now: Timestamp) -> Vec<Arc<str>> {
        let due = self.hosts.due(now);
        for host in &due {
            self.hosts.asked(host, now);
        }
        due
    }

    /// Releases what is held under this hash; false when it was never shown.
    pub fn approve(&mut self, hash: &str, now: Timestamp) -> bool {
        let known = self.guard.approve(hash, now);
        if known {
            self.judge(now);
        }
        known
    }

    /// A person takes a cluster out.
    pub fn unjoin(&mut self, cluster: &str, now: Timestamp) {
        self.observe(SourceEvent::Unjoined { cluster: cluster.into() }, now);
    }

    //----------- Plan -------------------------------------------------------

    /// Plans what is dirty and judges all that is planned.
    pub fn plan(&mut self, now: Timestamp) {
        self.tick(now);
        for key in std::mem::take(&mut self.dirty) {
            if self.in_flight.contains(&key) {
                self.dirty.insert(key);
                continue;
            }
            let plan = self.plan_one(&key, now);
            self.put_plan(key, plan);
        }
        self.judge(now);
    }

    /// What time alone changed: clusters that left, graces that ended, places that are lost.
    fn tick(&mut self, now: Timestamp) {
        for cluster in standing::leavers(&self.federation, &self.settings, now) {
            self.memory.forget(&cluster);
            let dirty = self.federation.depart(&cluster, now, Departure::Left);
            self.mark(dirty);
        }
        let standings = standing::standings(&self.federation, &self.settings, now);
        if standings != self.standings {
            self.standings = standings;
            self.mark(Dirty::All);
        }
        if !self.standings.some_unanswered {
            self.memory.clear();
        }
        let explained =
            |place: &Place| {
                self.standings.some_unplaced
                    || self.standings.places.iter().any(|known| {
                        known.region == place.region && (place.zone.is_empty() || known.zone == place.zone)
                    })
            };
        let lost: BTreeSet<Place> = self.zone.places().filter(|place| !explained(place)).cloned().collect();
        let linger = self.settings.topology_linger;
        let ended = self.lost_places.values().any(|at| now >= at.plus(linger));
        let kept = self.lost_places.len();
        self.lost_places.retain(|place, _| lost.contains(place));
        let mut changed = kept != self.lost_places.len();
        for place in lost {
            self.lost_places.entry(place).or_insert_with(|| {
                changed = true;
                now
            });
        }
        if changed || ended {
            self.mark(Dirty::All);
        }
        for host in self.hosts.run_out(self.settings.unreachable_grace, now) {
            self.mark(Dirty::Services(self.federation.services_behind(&host)));
        }
        if !self.dirty.is_empty() {
            let inside = |host: &Arc<str>| Fqdn::parse(host).is_ok_and(|name| name.is_at_or_below(&self.settings.zone));
            let names = self.federation.host_names().filter(|host| !inside(host)).cloned().collect();
            self.hosts.follow(&names);
        }
    }

    fn plan_one(&self, key: &PlanKey, now: Timestamp) -> ServicePlan {
        let cx = self.context(now);
        match key {
            Some(service) => {
                let (desired, notes) = desired(&cx, service);
                plan_service(&cx, self.shared_sets, service, &desired, notes)
            }
            None => plan_strays(&cx),
        }
    }

    fn put_plan(&mut self, key: PlanKey, plan: ServicePlan) {
        if let Some(old) = self.plans.remove(&key) {
            self.queue.remove(&(old.urgency(), key.clone()));
            self.planned_losses -= old.losses();
        }
        if plan.changes.is_empty() {
            self.failures.remove(&key);
        } else {
            self.queue.insert((plan.urgency(), key.clone()));
        }
        if !plan.is_empty() {
            self.planned_losses += plan.losses();
            self.plans.insert(key, plan);
        }
    }

    fn judge(&mut self, now: Timestamp) {
        // What was approved does not count; only then are the changes looked at one by one.
        let planned = if self.guard.has_approvals(now) {
            let counted = self.plans.values().flat_map(|plan| &plan.changes);
            counted.filter(|planned| !self.guard.is_approved(planned, now)).map(|planned| planned.losses).sum()
        } else {
            self.planned_losses
        };
        self.verdict = self.guard.judge(planned, &self.settings.guard, now);
        let held: Vec<PlannedChange> = if self.verdict.holds_nothing() {
            Vec::new()
        } else {
            let held = self.plans.values().flat_map(|plan| self.held_in(plan, now));
            held.map(|(planned, _)| planned.clone()).collect()
        };
        self.hash = self.guard.show(&held);
    }

    /// The changes of a plan that the guard holds. At a name with a CNAME before or after, one held change holds all.
    fn held_in<'a>(&'a self, plan: &'a ServicePlan, now: Timestamp) -> Vec<(&'a PlannedChange, Limit)> {
        if self.verdict.holds_nothing() {
            return Vec::new();
        }
        let verdict = |planned: &PlannedChange| {
            let limit = self.verdict.holds(planned.losses)?;
            (limit == Limit::Freeze || !self.guard.is_approved(planned, now)).then_some(limit)
        };
        let exclusive: BTreeSet<&Fqdn> = plan
            .changes
            .iter()
            .filter(|planned| planned.change.key.rr_type == dnsprovider::RrType::Cname)
            .map(|planned| &planned.change.key.owner)
            .collect();
        let mut whole: BTreeMap<&Fqdn, Limit> = BTreeMap::new();
        for planned in &plan.changes {
            if let (true, Some(limit)) = (exclusive.contains(&planned.change.key.owner), verdict(planned)) {
                whole.insert(&planned.change.key.owner, limit);
            }
        }
        let held = |planned: &PlannedChange| verdict(planned).or(whole.get(&planned.change.key.owner).copied());
        plan.changes.iter().filter_map(|planned| Some((planned, held(planned)?))).collect()
    }

    fn context(&self, now: Timestamp) -> Context<'_> {
        Context {
            federation: &self.federation,
            standings: &self.standings,
            settings: &self.settings,
            naming: &self.naming,
            zone: &self.zone,
            memory: &self.memory,
            hosts: &self.hosts,
            lost_places: &self.lost_places,
            records_per_set: self.records_per_set,
            now,
        }
    }

    //----------- Out --------------------------------------------------------

    /// The most urgent changes that fit into one call, or none. `fits` is asked for each unit in turn and counts it
    /// when it does; a unit that does not fit even alone is handed out alone, so that the provider names the fault.
    ///
    /// Every batch must be given back to [`Reconciler::record`] or [`Reconciler::abandon`].
    pub fn next_batch(&mut self, now: Timestamp, mut fits: impl FnMut(&Unit) -> bool) -> Option<Batch> {
        let mut batch = Batch::default();
        'queue: for (urgency, key) in &self.queue {
            if self.in_flight.contains(key) || self.failures.get(key).is_some_and(|failure| now < failure.until) {
                continue;
            }
            let Some(plan) = self.plans.get(key) else { continue };
            for unit in self.ready_units(plan, now) {
                let fits = fits(&unit);
                if fits || batch.changes.is_empty() {
                    batch.urgency.get_or_insert(*urgency);
                    batch.plans.insert(key.clone());
                    batch.changes.units.push(unit);
                }
                if !fits {
                    break 'queue;
                }
            }
        }
        self.in_flight.extend(batch.plans.iter().cloned());
        (!batch.changes.is_empty()).then_some(batch)
    }

    /// The units of a plan that may be written now, in order.
    fn ready_units(&self, plan: &ServicePlan, now: Timestamp) -> Vec<Unit> {
        let held: BTreeSet<_> = self.held_in(plan, now).into_iter().map(|(planned, _)| &planned.change.key).collect();
        let ready = plan.changes.iter().filter(|planned| self.is_due(planned, now)).filter_map(|planned| {
            if held.contains(&planned.change.key) { self.additions(planned) } else { Some(planned.change.clone()) }
        });
        order(ChangeSet::by_name(ready)).units
    }

    /// What goes ahead of a held change: the addresses that it adds, unless nothing may be written at all.
    fn additions(&self, planned: &PlannedChange) -> Option<Change> {
        let limits = [self.settings.max_addresses, self.records_per_set];
        if self.verdict.frozen { None } else { planned.additions(limits.into_iter().flatten().min()) }
    }

    /// A set that was just written waits for the minimal interval, unless its addresses died.
    fn is_due(&self, planned: &PlannedChange, now: Timestamp) -> bool {
        planned.urgency == Urgency::Failover
            || self
                .written
                .get(&planned.change.key.owner)
                .is_none_or(|written| now >= written.at.plus(self.settings.min_interval))
    }

    /// The whole plan.
    pub fn report(&self, now: Timestamp) -> PlanReport {
        let mut report = PlanReport {
            zone: self.settings.zone.to_string(),
            changes: Vec::new(),
            held: Vec::new(),
            refused: self.problems(),
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
            for planned in &plan.changes {
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
            report.refused.extend(plan.refused.iter().map(Into::into));
            report.warnings.extend(plan.warnings.iter().cloned());
        }
        report.unchanged = self.zone.claimed_sets().saturating_sub(touched);
        let by_name = |a: &ChangeReport, b: &ChangeReport| (&a.name, &a.rr_type).cmp(&(&b.name, &b.rr_type));
        report.changes.sort_by(by_name);
        report.held.sort_by(by_name);
        report.refused.sort();
        report.refused.dedup();
        report
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

    /// When time alone changes something next.
    pub fn next_wake(&self, now: Timestamp) -> Option<Timestamp> {
        let settings = &self.settings;
        let lingers = self.lost_places.values().map(|at| at.plus(settings.topology_linger));
        let retries = self.failures.values().map(|failure| failure.until);
        let paced = self.plans.values().flat_map(|plan| &plan.changes).filter_map(|planned| {
            let written = self.written.get(&planned.change.key.owner)?;
            Some(written.at.plus(settings.min_interval))
        });
        let window = self.hash.as_ref().and_then(|_| self.guard.next_change(settings.guard.window));
        lingers
            .chain(retries)
            .chain(paced)
            .chain(window)
            .chain(standing::next_change(&self.federation, settings, now))
            .chain(self.hosts.next_change(settings.unreachable_grace, now))
            .filter(|time| *time > now)
            .min()
    }

    /// What the clusters said.
    pub fn federation(&self) -> &Federation {
        &self.federation
    }

    /// What that is worth, as of the last plan.
    pub fn standings(&self) -> &Standings {
        &self.standings
    }

    /// The zone as last read and written.
    pub fn zone(&self) -> &ZoneView {
        &self.zone
    }

    /// What is set.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The plan of a service, when there is anything to do or to say.
    pub fn service_plan(&self, service: &ServiceId) -> Option<&ServicePlan> {
        self.plans.get(&Some(service.clone()))
    }

    /// What a service should have right now.
    pub fn desired(&self, service: &ServiceId, now: Timestamp) -> Desired {
        desired(&self.context(now), service).0
    }

    /// The naming in use.
    pub fn naming(&self) -> &Naming {
        &self.naming
    }

    /// The guard's last verdict and the hash of what it holds.
    pub fn held(&self) -> (&Verdict, Option<&str>) {
        (&self.verdict, self.hash.as_deref())
    }

    /// True when nothing is dirty, planned and writable, or in flight.
    pub fn is_settled(&self) -> bool {
        self.dirty.is_empty() && self.in_flight.is_empty() && self.queue.is_empty()
    }

    /// The errors of plans that failed, by service.
    pub fn failures(&self) -> impl Iterator<Item = (Option<&ServiceId>, &str)> {
        self.failures.iter().map(|(key, failure)| (key.as_ref(), &*failure.error))
    }

    //----------- Marks ------------------------------------------------------

    fn mark(&mut self, dirty: Dirty) {
        match dirty {
            Dirty::Services(services) => self.dirty.extend(services.into_iter().map(Some)),
            Dirty::All => {
                let all = self.all_services();
                self.dirty.extend(all.into_iter().map(Some));
                self.dirty.insert(None);
            }
        }
    }

    fn mark_owner(&mut self, owner: &Fqdn) {
        // What lies below a name may block its CNAME, so the service of every name above is concerned.
        let mut at = Some(owner.clone());
        while let Some(name) = at.filter(|name| name.is_at_or_below(&self.settings.suffix)) {
            if let Some((service, _)) = self.naming.parse(&name) {
                self.dirty.insert(Some(service));
            }
            at = name.parent();
        }
        self.dirty.insert(None);
    }

    fn all_services(&self) -> BTreeSet<ServiceId> {
        let planned = self.plans.keys().flatten();
        self.federation
            .services()
            .chain(self.zone.services())
            .chain(self.memory.services())
            .chain(planned)
            .cloned()
            .collect()
    }

    fn version_at(&self, owner: &Fqdn) -> Option<u64> {
        let held = self.zone.at(owner).iter().map(|entry| entry.version.revision).max();
        held.max(self.written.get(owner).map(|written| written.revision))
    }

    /// The state of the last full read, from which to watch.
    pub fn zone_version(&self) -> &Version {
        self.zone.version()
    }

    /// How long the caller's clock may have to look back: marks of writes older than this are forgotten.
    const REMEMBER_WRITES: Duration = Duration::from_mins(10);
}
