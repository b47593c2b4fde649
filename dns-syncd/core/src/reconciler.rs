//! The decisions of one zone, kept up to date: what the daemon, `apply` and `plan` drive.
//!
//! Events mark services dirty, [`Reconciler::plan`] plans those and no others, [`Reconciler::next_batch`] hands out what
//! is most urgent, [`Reconciler::record`] takes the outcome in. Reading and writing are the caller's; so is time.
//! In: events, snapshots, outcomes, the time · Out: change sets, reports · Pure: yes.

mod inspect;
mod judge;
mod ledgers;
mod outcome;
mod queue;
mod report;
mod room;
mod schedule;
mod tally;
mod unheard;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use dnsprovider::capabilities::Atomicity;
use dnsprovider::{Applied, Capabilities, Change, ChangeSet, Fqdn, Outcome, RrKey, Snapshot, Unit};

use crate::context::Context;
use crate::desired::desired;
use crate::event::{Place, ServiceId, SourceEvent, Timestamp};
use crate::federation::{Departure, Dirty, Federation};
use crate::guard::{Guard, Verdict};
use crate::hosts::{Hosts, Resolution};
use crate::losses::LossCount;
use crate::memory::Memory;
use crate::naming::Naming;
use crate::plan::{ServicePlan, Urgency, plan_service, plan_strays};
use crate::quorum::Quorum;
use crate::room::Line;
use crate::settings::Settings;
use crate::standing::{self, Standings};
use crate::swap;
use crate::zone::ZoneView;

pub use outcome::FollowUp;
pub use tally::{SetState, Tally};

use schedule::{Schedule, Wait};
use unheard::Unheard;

/// Names a plan: a service, or the names with our claim that belong to none.
type PlanKey = Option<ServiceId>;

/// What one call to the provider should write.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// The units, targets before the CNAMEs that point at them, as the host takes them: where it stores no claims,
    /// without claims and with the TXT sets that list them.
    pub changes: ChangeSet,
    /// The most urgent of them.
    pub urgency: Option<Urgency>,
    plans: BTreeSet<PlanKey>,
    /// On a host that stores no claims: the planned changes in it.
    edits: Option<Vec<Edit>>,
}

/// A planned change, and the change of the batch whose outcome decides it: that of the set, or of the TXT set where only
/// the claim changes.
#[derive(Clone, Debug, PartialEq)]
struct Edit {
    change: Change,
    decided_by: RrKey,
}

impl Batch {
    /// Adds a unit of a plan.
    fn put(&mut self, urgency: Urgency, key: &PlanKey, unit: Unit) {
        self.urgency.get_or_insert(urgency);
        self.plans.insert(key.clone());
        self.changes.units.push(unit);
    }

    /// The planned changes in the batch, each with what became of it.
    pub fn edits<'a>(&'a self, applied: &'a Applied) -> impl Iterator<Item = (&'a Change, Option<&'a Outcome>)> {
        let own = self.edits.is_none().then(|| self.changes.changes().map(|change| (change, &change.key)));
        let listed = self.edits.iter().flatten().map(|edit| (&edit.change, &edit.decided_by));
        own.into_iter().flatten().chain(listed).map(|(change, key)| (change, applied.outcomes.get(key)))
    }
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
    /// Before the name had rested from the write before.
    early: bool,
}

/// The state of one zone's reconciliation.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts of the host, and a mark")]
pub struct Reconciler {
    settings: Settings,
    naming: Naming,
    shared_sets: bool,
    /// The host changes all of a call or nothing.
    whole_calls: bool,
    swaps_in_two: bool,
    /// The host has denied a TXT set in the place of a CNAME. It is asked again after the next full read.
    denies_placeholders: bool,
    credit_octets: Option<usize>,
    records_per_set: Option<usize>,
    sets_per_zone: Option<u64>,
    federation: Federation,
    quorum: Quorum,
    standings: Standings,
    hosts: Hosts,
    zone: ZoneView,
    memory: Memory,
    lost_places: BTreeMap<Place, Timestamp>,
    ticked: Timestamp,
    dirty: BTreeSet<PlanKey>,
    plans: BTreeMap<PlanKey, ServicePlan>,
    schedule: Schedule,
    in_flight: BTreeSet<PlanKey>,
    /// Names of plans in flight that somebody changed, with the newest revision.
    noticed: BTreeMap<PlanKey, BTreeMap<Fqdn, u64>>,
    failures: BTreeMap<PlanKey, Failure>,
    /// Sets that the host refused for good, on a host that takes the sets of a service together.
    refused_sets: BTreeMap<PlanKey, BTreeMap<RrKey, Failure>>,
    /// Plans of which the host refused several sets at once without saying which is at fault.
    one_by_one: BTreeSet<PlanKey>,
    written: BTreeMap<Fqdn, Written>,
    prune_written_at: usize,
    guard: Guard,
    /// Losses that may be done though nobody said so.
    unheard: BTreeMap<RrKey, Unheard>,
    /// What is planned and counts against the guard's budgets, together and by plan, none of which there is nothing; and
    /// under which approvals it was counted.
    planned_losses: LossCount,
    losses: BTreeMap<PlanKey, LossCount>,
    counted_under: u64,
    /// Services that had no set when their names were planned, until these stand.
    newcomers: BTreeSet<ServiceId>,
    /// The names that would hold more sets than now, and which of them may not, because the host has no room.
    line: Line,
    verdict: Verdict,
    hash: Option<String>,
    /// When the hash was made, and whether what is held may have changed since.
    hashed: Option<Timestamp>,
    hash_due: bool,
}

impl Reconciler {
    /// Begins with no cluster and an empty zone.
    pub fn new(settings: Settings, capabilities: &Capabilities) -> Self {
        Self {
            naming: Naming::new(&settings),
            shared_sets: capabilities.shared_sets,
            whole_calls: capabilities.atomicity == Atomicity::Batch,
            swaps_in_two: swap::writes_txt(capabilities),
            denies_placeholders: false,
            credit_octets: capabilities.limits.credit_octets,
            records_per_set: capabilities.limits.records_per_set,
            sets_per_zone: capabilities.limits.sets_per_zone,
            federation: Federation::default(),
            quorum: Quorum::default(),
            standings: Standings::default(),
            hosts: Hosts::default(),
            zone: ZoneView::for_host(&settings, capabilities),
            memory: Memory::default(),
            lost_places: BTreeMap::new(),
            ticked: Timestamp::default(),
            dirty: BTreeSet::new(),
            plans: BTreeMap::new(),
            schedule: Schedule::default(),
            in_flight: BTreeSet::new(),
            noticed: BTreeMap::new(),
            failures: BTreeMap::new(),
            refused_sets: BTreeMap::new(),
            one_by_one: BTreeSet::new(),
            written: BTreeMap::new(),
            prune_written_at: 1024,
            guard: Guard::default(),
            unheard: BTreeMap::new(),
            planned_losses: LossCount::default(),
            losses: BTreeMap::new(),
            counted_under: 0,
            newcomers: BTreeSet::new(),
            line: Line::default(),
            verdict: Verdict::default(),
            hash: None,
            hashed: None,
            hash_due: false,
            settings,
        }
    }

    //----------- In ---------------------------------------------------------

    /// Takes an event of a source in.
    pub fn observe(&mut self, event: SourceEvent, now: Timestamp) {
        self.observe_noting(event, now, |_| {});
    }

    /// Takes an event of a source in, and notes each service that it concerns; none when it concerns them all.
    pub fn observe_noting(&mut self, event: SourceEvent, now: Timestamp, note: impl FnMut(&ServiceId)) {
        if let SourceEvent::Answer { cluster, .. } | SourceEvent::Unjoined { cluster } = &event {
            self.memory.forget(cluster);
        }
        let unjoined = if let SourceEvent::Unjoined { cluster } = &event { Some(cluster.clone()) } else { None };
        // These change nobody's standing, and there are many of them.
        let is_inside =
            matches!(event, SourceEvent::Service { .. } | SourceEvent::Places { .. } | SourceEvent::Problems { .. });
        if !is_inside {
            self.quorum.before_told(&self.federation, &self.settings, now);
        }
        let dirty = self.federation.apply(event, now);
        if let Dirty::Services(services) = &dirty {
            services.iter().for_each(note);
        }
        if let Some(cluster) = unjoined {
            let standing = self.standings.clusters.get(&cluster);
            let places = standing.and_then(|standing| standing.places.clone()).unwrap_or_default();
            self.federation.was_in(&cluster, places);
        }
        self.mark(dirty);
    }

    /// Replaces the view of the zone by a full read. What it credits to clusters that are no members makes them
    /// members that disappeared just now.
    pub fn load_zone(&mut self, snapshot: Snapshot, now: Timestamp) {
        self.zone.load(snapshot);
        self.denies_placeholders = false;
        self.count_unheard(None, now);
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
        let owners: BTreeSet<_> = names.iter().chain(found).collect();
        // First what lists claims, so that what was written together is not seen apart.
        let (ledgers, others): (Vec<_>, Vec<_>) = owners.into_iter().partition(|owner| self.zone.is_ledger_name(owner));
        for owner in ledgers.into_iter().chain(others) {
            self.zone.set_name(owner, snapshot.at(owner).to_vec());
            self.mark_owner(owner);
        }
        self.count_unheard(Some(names), now);
        self.guard.claimed(self.zone.claimed_sets(), now);
    }

    /// Replaces the settings; everything is planned anew, the history stays.
    pub fn set_settings(&mut self, settings: Settings) {
        self.naming = Naming::new(&settings);
        self.zone = self.zone.under(&settings);
        self.settings = settings;
        self.hosts.regrace();
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
        self.hosts.take_due(now)
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
            // What is on its way is marked again when it is back.
            if !self.in_flight.contains(&key) {
                let plan = self.plan_one(&key, now);
                self.put_plan(key, plan, now);
            }
        }
        self.judge(now);
    }

    /// What time alone changed: clusters that left, graces that ended, places that are lost.
    fn tick(&mut self, now: Timestamp) {
        self.quorum.look(&self.federation, &self.settings, now);
        for cluster in standing::leavers(&self.federation, &self.quorum, &self.settings, now) {
            self.memory.forget(&cluster);
            let dirty = self.federation.depart(&cluster, now, Departure::Left);
            self.mark(dirty);
        }
        // Who has left counts no more.
        self.quorum.look(&self.federation, &self.settings, now);
        let standings = standing::standings(&self.federation, &self.quorum, &self.settings, now);
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
        let ended = self.lost_places.values().any(|at| self.ticked < at.plus(linger) && now >= at.plus(linger));
        self.ticked = now;
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
        for host in self.federation.take_changed_hosts() {
            let is_inside = Fqdn::parse(&host).is_ok_and(|name| name.is_at_or_below(&self.settings.zone));
            if self.federation.has_host(&host) && !is_inside {
                self.hosts.follow(&host);
            } else {
                self.hosts.forget(&host);
            }
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

    fn put_plan(&mut self, key: PlanKey, plan: ServicePlan, now: Timestamp) {
        if let Some(old) = self.plans.remove(&key) {
            self.schedule.take(old.urgency(), &key);
        }
        self.forget_refused(&key, &plan);
        self.forget_half_done(&key, &plan);
        self.count_growth(&key, &plan);
        self.count_losses_of(&key, &plan, now);
        if plan.is_work() {
            let until = self.waits_until(&key, &plan, now);
            let wait = until.map(|until| Wait { until: Some(until), is_barred: false });
            self.schedule.put(plan.urgency(), key.clone(), wait);
        } else {
            self.failures.remove(&key);
        }
        if !plan.is_empty() {
            self.plans.insert(key, plan);
        }
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
            shared_sets: self.shared_sets,
            swaps_in_two: self.swaps_in_two,
            denies_placeholders: self.denies_placeholders,
            credit_octets: self.credit_octets,
            records_per_set: self.records_per_set,
            now,
        }
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
        let told = self.federation.services().chain(self.memory.services()).chain(planned);
        told.cloned().chain(self.zone.services()).collect()
    }

    fn version_at(&self, owner: &Fqdn) -> Option<u64> {
        let held = self.zone.revision_at(owner);
        held.max(self.written.get(owner).map(|written| written.revision))
    }

    /// How long the caller's clock may have to look back: marks of writes older than this are forgotten.
    const REMEMBER_WRITES: Duration = Duration::from_mins(10);
}
