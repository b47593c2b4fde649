//! Laws that hold for every history: random clusters, losses of sight, restarts, crashes and strangers.

#![expect(clippy::unwrap_used, reason = "a failed test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use dns_sync_core::ledger::release::attach;
use dns_sync_core::offers::is_doubtful;
use dns_sync_core::zone::ZoneView;
use dns_sync_core::{
    Batch, ClusterAnswer, Endpoint, Place, Reconciler, ServiceCopy, ServiceId, Settings, SourceEvent, Timestamp,
    is_place_label,
};
use dnsprovider::capabilities::Atomicity;
use dnsprovider::store::ZoneStore;
use dnsprovider::{
    Applied, Blocks, Capabilities, Change, ChangeSet, Claim, ClaimedSet, Entry, Error, ErrorKind, Fqdn, Outcome,
    RecordData, RrKey, RrSet, RrType, Snapshot, Ttl, Unit, Version, memory,
};
use proptest::prelude::*;

mod single_calls;

use single_calls::in_calls;

const CLUSTERS: usize = 4;
const SERVICES: usize = 4;

/// How a service does in a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Absent,
    Unready,
    Ready,
}

#[derive(Clone, Debug)]
enum Step {
    /// The cluster answers in full.
    Answer(usize, [Health; SERVICES]),
    Unknown(usize),
    Disappear(usize),
    Wait(u64),
    Sync,
    /// The daemon dies before its first write, or after so many units of one.
    Crash(Option<usize>),
    /// A stranger puts a set at a name of a service, or takes it away again.
    Stranger(usize, u8),
    /// The answer to the next write is lost, whether it was done or not.
    Lose(bool),
    /// Somebody spoils what is ours of a service on a host without claims.
    Spoil(usize, u8),
}

/// What kind of host it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It stores claims.
    Claims,
    /// It stores claims, and changes set by set.
    ClaimsSetBySet,
    /// It stores none; a call is all or nothing and takes so many changes.
    Ledgers(usize),
    /// It stores none, and changes set by set.
    SetBySet,
}

impl Kind {
    fn stores_claims(self) -> bool {
        matches!(self, Self::Claims | Self::ClaimsSetBySet)
    }
}

const WITHOUT_CLAIMS: [Kind; 4] = [Kind::Ledgers(usize::MAX), Kind::Ledgers(5), Kind::Ledgers(1), Kind::SetBySet];

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![1 => Just(Kind::Claims), 1 => Just(Kind::ClaimsSetBySet), 2 => without_claims()]
}

fn without_claims() -> impl Strategy<Value = Kind> {
    prop::sample::select(WITHOUT_CLAIMS.to_vec())
}

fn health() -> impl Strategy<Value = Health> {
    prop_oneof![1 => Just(Health::Absent), 1 => Just(Health::Unready), 3 => Just(Health::Ready)]
}

fn step(strangers: bool) -> impl Strategy<Value = Step> {
    let stranger = u32::from(strangers);
    prop_oneof![
        4 => (0..CLUSTERS, [health(), health(), health(), health()]).prop_map(|(c, h)| Step::Answer(c, h)),
        2 => (0..CLUSTERS).prop_map(Step::Unknown),
        1 => (0..CLUSTERS).prop_map(Step::Disappear),
        2 => prop_oneof![Just(10), Just(200), Just(301), Just(1000)].prop_map(Step::Wait),
        5 => Just(Step::Sync),
        1 => prop_oneof![Just(None), (1usize..4).prop_map(Some)].prop_map(Step::Crash),
        stranger => (0..SERVICES, 0u8..4).prop_map(|(s, kind)| Step::Stranger(s, kind)),
        1 => any::<bool>().prop_map(Step::Lose),
    ]
}

fn spoil() -> impl Strategy<Value = Step> {
    (0..SERVICES, 0u8..4).prop_map(|(service, kind)| Step::Spoil(service, kind))
}

fn cluster(index: usize) -> String {
    format!("c{index}")
}

fn place(index: usize) -> Place {
    Place::new(format!("r{}", index % 2), format!("z{index}"))
}

fn service(index: usize) -> ServiceId {
    ServiceId::new("test", format!("s{index}"))
}

fn address(cluster: usize, service: usize) -> IpAddr {
    format!("192.0.2.{}", cluster * 16 + service + 1).parse().unwrap()
}

fn global(service: usize) -> Fqdn {
    Fqdn::parse(&format!("s{service}.test.ufp.svc.example.com")).unwrap()
}

fn copy(cluster: usize, service: usize, health: Health) -> Option<ServiceCopy> {
    (health != Health::Absent).then(|| ServiceCopy {
        ingress: [Endpoint::Ip(address(cluster, service))].into(),
        ready: health == Health::Ready,
        ..ServiceCopy::default()
    })
}

fn answer(index: usize, healths: [Health; SERVICES]) -> SourceEvent {
    let copies = healths.iter().enumerate().filter_map(|(s, health)| Some((service(s), copy(index, s, *health)?)));
    SourceEvent::Answer {
        cluster: cluster(index).into(),
        answer: ClusterAnswer {
            places: Some(BTreeSet::from([place(index)])),
            labels: BTreeMap::new(),
            services: copies.collect(),
            ..ClusterAnswer::default()
        },
    }
}

fn stranger_set(kind: u8, service: usize) -> ClaimedSet {
    let owner = global(service);
    let (owner, rr_type, data) = match kind {
        0 => (owner, RrType::Txt, RecordData::txt("stranger")),
        1 => (owner, RrType::A, RecordData::A([203, 0, 113, 9].into())),
        2 => {
            let region = Fqdn::parse(&format!("s{service}.test.ufp.svc.r0.example.com")).unwrap();
            (region, RrType::Cname, RecordData::Cname(Fqdn::parse("elsewhere.example.net").unwrap()))
        }
        _ => {
            let region = Fqdn::parse(&format!("s{service}.test.ufp.svc.r1.example.com")).unwrap();
            (region, RrType::Txt, RecordData::txt("stranger"))
        }
    };
    let set = RrSet::new(RrKey::new(owner, rr_type), Ttl::from_secs(77).unwrap(), [data]).unwrap();
    ClaimedSet { set, claim: (kind == 1).then(|| Claim::without_credits("somebody", "else")) }
}

/// The world: what the zone holds and what every cluster last said, beside the daemon that watches.
struct World {
    kind: Kind,
    capabilities: Capabilities,
    /// The answer to the next write is lost; whether it is done.
    loses: Option<bool>,
    /// What is published is not looked at, because others spoil it.
    lenient: bool,
    settings: Settings,
    store: ZoneStore,
    daemon: Reconciler,
    now: Timestamp,
    said: BTreeMap<usize, [Health; SERVICES]>,
    in_sight: BTreeSet<usize>,
    answered: BTreeSet<usize>,
    disappeared: BTreeMap<usize, Timestamp>,
    strangers: Vec<ClaimedSet>,
}

impl World {
    fn new(settings: Settings, kind: Kind) -> Self {
        let store = ZoneStore::new("test", settings.zone.clone());
        let mut capabilities = memory::capabilities();
        capabilities.claims = kind.stores_claims();
        let by_set = matches!(kind, Kind::SetBySet | Kind::ClaimsSetBySet);
        capabilities.atomicity = if by_set { Atomicity::Set } else { Atomicity::Batch };
        Self {
            kind,
            daemon: Reconciler::new(settings.clone(), &capabilities),
            capabilities,
            loses: None,
            lenient: false,
            settings,
            store,
            now: Timestamp(1_800_000_000_000),
            said: BTreeMap::new(),
            in_sight: BTreeSet::new(),
            answered: BTreeSet::new(),
            disappeared: BTreeMap::new(),
            strangers: Vec::new(),
        }
    }

    fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let now = self.now;
        match step {
            Step::Answer(index, healths) => {
                self.said.insert(*index, *healths);
                self.in_sight.insert(*index);
                self.answered.insert(*index);
                self.disappeared.remove(index);
                self.daemon.observe(answer(*index, *healths), now);
            }
            Step::Unknown(index) if self.said.contains_key(index) => {
                self.in_sight.remove(index);
                // Who has left comes back by an answer, not by being lost again.
                let left = |at: &Timestamp| now >= at.plus(self.settings.leave_delay);
                if !self.disappeared.get(index).is_some_and(left) {
                    self.disappeared.remove(index);
                }
                let reason = "no answer".into();
                self.daemon.observe(SourceEvent::Unknown { cluster: cluster(*index).into(), since: None, reason }, now);
            }
            Step::Disappear(index) if self.said.contains_key(index) => {
                self.in_sight.remove(index);
                self.disappeared.entry(*index).or_insert(now);
                self.daemon.observe(SourceEvent::Disappeared { cluster: cluster(*index).into() }, now);
            }
            Step::Wait(seconds) => self.now = now.plus(Duration::from_secs(*seconds)),
            Step::Sync => self.sync(None)?,
            Step::Crash(units) => {
                if let Some(units) = units {
                    self.sync(Some(*units))?;
                    if self.kind == Kind::ClaimsSetBySet
                        && let Some(batch) = self.daemon.next_batch(self.now, |_| true)
                    {
                        self.write(&batch, *units)?;
                    }
                }
                self.restart();
            }
            Step::Stranger(service, kind) => self.stranger(*service, *kind),
            Step::Lose(done) => self.loses = Some(*done),
            Step::Spoil(service, kind) => self.spoil(*service, *kind),
            Step::Unknown(_) | Step::Disappear(_) => {}
        }
        Ok(())
    }

    fn restart(&mut self) {
        self.daemon = Reconciler::new(self.settings.clone(), &self.capabilities);
        self.daemon.load_zone(self.store.snapshot().clone(), self.now);
        self.in_sight.clear();
        self.answered.clear();
        for index in self.said.keys().filter(|index| !self.disappeared.contains_key(index)) {
            self.daemon.observe(SourceEvent::Joined { cluster: cluster(*index).into() }, self.now);
        }
        // Those that are not in the source are unknown again from now on.
        let now = self.now;
        self.disappeared.values_mut().for_each(|at| *at = now);
    }

    fn stranger(&mut self, service: usize, kind: u8) {
        let mut set = stranger_set(kind, service);
        if !self.kind.stores_claims() {
            set.claim = None;
        }
        let key = set.set.key().clone();
        if let Some(place) = self.strangers.iter().position(|held| *held == set) {
            self.strangers.remove(place);
            self.store.remove(&key);
        } else if self.store.at(&key.owner).is_empty() {
            let entry = Entry { data: set.clone(), version: Version::default(), blocks: Blocks::AsDns };
            self.store.insert_foreign(entry).unwrap();
            self.strangers.push(set);
        }
        self.daemon.load_zone(self.store.snapshot().clone(), self.now);
    }

    fn spoil(&mut self, service: usize, kind: u8) {
        let txt = RrKey::new(global(service).prepend("_dns-syncd").unwrap(), RrType::Txt);
        let insert = |store: &mut ZoneStore, key: RrKey, ttl: u32, record: RecordData| {
            let set = RrSet::new(key, Ttl::from_secs(ttl).unwrap(), [record]).unwrap();
            let data = ClaimedSet::unclaimed(set);
            store.insert_foreign(Entry { data, version: Version::default(), blocks: Blocks::AsDns }).unwrap();
        };
        let strangers: Vec<RrKey> = self.strangers.iter().map(|set| set.set.key().clone()).collect();
        let is_strangers = |key: &RrKey| strangers.contains(key);
        match kind {
            0 => _ = self.store.remove(&txt),
            1 => insert(&mut self.store, txt, 60, RecordData::txt("v2 to come")),
            2 => {
                let key = RrKey::new(global(service), RrType::A);
                if self.store.get(&key).is_some() && !is_strangers(&key) {
                    insert(&mut self.store, key, 180, RecordData::A([203, 0, 113, 77].into()));
                }
            }
            _ => {
                let owner = self.store.at(&global(service)).first().map(|entry| entry.key().clone());
                owner.filter(|key| !is_strangers(key)).map(|key| self.store.remove(&key));
            }
        }
        self.daemon.load_zone(self.store.snapshot().clone(), self.now);
    }

    /// The zone with the claims on the sets, wherever these are.
    fn held(&self) -> Snapshot {
        let raw = self.store.snapshot().clone();
        if self.kind.stores_claims() { raw } else { attach(raw).snapshot }
    }

    /// Our sets.
    fn ours(&self) -> Vec<ClaimedSet> {
        let held = self.held();
        held.iter().filter(|entry| entry.data.claim_name() == Some("ufp")).map(|entry| entry.data.clone()).collect()
    }

    /// Plans and writes, `units` at most; checks every write.
    fn sync(&mut self, units: Option<usize>) -> Result<(), TestCaseError> {
        self.now = self.now.plus(Duration::from_secs(2));
        self.daemon.plan(self.now);
        self.check_held()?;
        let mut left = units.unwrap_or(usize::MAX);
        let most = if let Kind::Ledgers(most) = self.kind { most } else { usize::MAX };
        let mut calls = 0;
        while left > 0 {
            let mut room = most;
            let Some(batch) = self.daemon.next_batch(self.now, |unit| {
                let fits = unit.changes.len() <= room;
                room -= if fits { unit.changes.len() } else { 0 };
                left = left.saturating_sub(usize::from(fits || room == most));
                fits && left > 0
            }) else {
                break;
            };
            calls += 1;
            prop_assert!(calls < 1000, "no end of writing");
            let before = self.addresses();
            if let Some(done) = self.loses.take() {
                self.write_unanswered(batch, done);
                self.check_emptied(&before)?;
                continue;
            }
            let applied = self.write(&batch, usize::MAX)?;
            for (key, outcome) in &applied.outcomes {
                prop_assert!(matches!(outcome, Outcome::Done(_)), "{key}: {outcome:?}");
            }
            if !self.kind.stores_claims() {
                let mut sets = batch.changes.changes().flat_map(|change| change.before.iter().chain(&change.after));
                prop_assert!(sets.all(|data| data.claim.is_none()), "this host takes no claims");
            }
            self.daemon.record(batch, &applied, self.now);
            self.check_emptied(&before)?;
            for stranger in &self.strangers {
                let held = self.store.get(stranger.set.key()).map(|entry| &entry.data);
                prop_assert_eq!(held, Some(stranger), "a stranger's set was touched");
            }
            self.daemon.plan(self.now);
        }
        if units.is_none() && !self.lenient {
            self.check_published()?;
        }
        Ok(())
    }

    /// Writes a batch, or so many calls of it where each set is a call.
    fn write(&mut self, batch: &Batch, calls: usize) -> Result<Applied, TestCaseError> {
        if self.kind != Kind::ClaimsSetBySet {
            return Ok(self.store.apply(&batch.changes, self.capabilities.atomicity));
        }
        let mut applied = Applied::default();
        for change in in_calls(batch).into_iter().take(calls) {
            let owner = change.key.owner.clone();
            let comes = |other: &Change| other.key.owner == owner && other.after.is_some();
            let stays = batch.changes.changes().any(comes);
            let alone = ChangeSet { units: vec![Unit { changes: vec![change] }] };
            for (key, outcome) in self.store.apply(&alone, self.capabilities.atomicity).outcomes {
                applied.add(&key, outcome);
            }
            // A stranger above a name may take a CNAME its target.
            if stays && self.strangers.is_empty() && self.store.at(&owner).is_empty() {
                prop_assert!(self.is_told(&owner), "{owner} would be forgotten if the daemon died now");
            }
        }
        Ok(applied)
    }

    /// Whether a cluster that is known would tell a new process of the place of a name, as all do of the global ones.
    fn is_told(&self, owner: &Fqdn) -> bool {
        let known = self.in_sight.iter().filter(|member| !self.disappeared.contains_key(member));
        known.map(|member| place(*member)).any(|place| {
            let regional = format!(".svc.{}.example.com.", place.region);
            let zonal = format!(".svc.{}.{}.example.com.", place.zone, place.region);
            [regional, zonal].iter().any(|end| owner.as_str().ends_with(end))
        }) || owner.as_str().ends_with(".svc.example.com.")
    }

    /// Writes or does not, hears nothing of it, reads what is to be read and comes back after a rest.
    fn write_unanswered(&mut self, batch: Batch, done: bool) {
        if done {
            self.store.apply(&batch.changes, self.capabilities.atomicity);
        }
        let lost = |key: &RrKey| Outcome::Unknown(Error::new(ErrorKind::Timeout, "test", "lost").with_key(key));
        let applied = Applied::all(&batch.changes, lost);
        let follow = self.daemon.record(batch, &applied, self.now);
        let names: Vec<Fqdn> = follow.reread.into_iter().collect();
        let mut read = Snapshot::default();
        read.extend(names.iter().flat_map(|name| self.store.at(name)).cloned());
        self.daemon.load_names(&names, &read, self.now);
        self.now = self.now.plus(Duration::from_secs(400));
        self.daemon.plan(self.now);
    }

    fn addresses(&self) -> Vec<BTreeSet<IpAddr>> {
        let held = self.held();
        (0..SERVICES).map(|index| published(&held, &global(index))).collect()
    }

    /// Rule 7: a name loses its last address only to known answers, or to clusters that have left.
    fn check_emptied(&self, before: &[BTreeSet<IpAddr>]) -> Result<(), TestCaseError> {
        let held = self.held();
        for (index, addresses) in before.iter().enumerate() {
            if addresses.is_empty() || !published(&held, &global(index)).is_empty() {
                continue;
            }
            for (&member, healths) in &self.said {
                if addresses.contains(&address(member, index)) && healths[index] == Health::Ready {
                    let left =
                        self.disappeared.get(&member).is_some_and(|at| self.now >= at.plus(self.settings.leave_delay));
                    prop_assert!(left, "c{member} last said that s{index} is ready, and its last address went");
                }
            }
        }
        Ok(())
    }

    /// There is nothing to do, for this process and for a new one that hears the same.
    fn check_settled(&mut self) -> Result<(), TestCaseError> {
        self.now = self.now.plus(Duration::from_secs(2));
        self.daemon.plan(self.now);
        let report = self.daemon.report(self.now);
        prop_assert!(report.changes.is_empty() && report.held.is_empty(), "{report:#?}");
        prop_assert!(self.daemon.is_settled());
        let mut fresh = ZoneView::for_host(&self.settings, &self.capabilities);
        fresh.load(self.store.snapshot().clone());
        let data = |zone: &ZoneView| zone.iter().map(|entry| entry.data.clone()).collect::<Vec<_>>();
        prop_assert_eq!(data(&fresh), data(self.daemon.zone()), "a new process sees the same");
        Ok(())
    }

    /// The guard holds losses and what needs them at the same name, never an addition alone.
    fn check_held(&self) -> Result<(), TestCaseError> {
        let report = self.daemon.report(self.now);
        for held in report.held.iter().filter(|held| held.action == "create") {
            let with = report.held.iter().any(|other| other.name == held.name && other.before.is_some());
            prop_assert!(with, "an addition is held: {held:?}");
        }
        Ok(())
    }

    /// What a known cluster offers is published at its own names and everywhere above.
    fn check_published(&self) -> Result<(), TestCaseError> {
        let held = self.held();
        for &member in self.in_sight.iter().filter(|member| !self.disappeared.contains_key(member)) {
            for index in 0..SERVICES {
                if self.said[&member][index] != Health::Ready {
                    continue;
                }
                let place = place(member);
                for level in [String::new(), format!("{}.", place.region), format!("{}.{}.", place.zone, place.region)]
                {
                    let name = Fqdn::parse(&format!("s{index}.test.ufp.svc.{level}example.com")).unwrap();
                    let blocked = self.strangers.iter().any(|set| *set.set.owner() == name);
                    let there = published(&held, &name).contains(&address(member, index));
                    prop_assert!(blocked || there, "{name} lacks the address of c{member}");
                }
            }
        }
        Ok(())
    }
}

/// Addresses at a name with our claim, a CNAME followed.
fn published(held: &Snapshot, name: &Fqdn) -> BTreeSet<IpAddr> {
    let mut name = name.clone();
    for _ in 0..4 {
        let ours = held.at(&name).iter().filter(|entry| entry.data.claim_name() == Some("ufp"));
        let records: Vec<_> = ours.flat_map(|entry| entry.data.set.records()).collect();
        match records.as_slice() {
            [RecordData::Cname(target)] => name = target.clone(),
            records => {
                let ip = |record: &&RecordData| match record {
                    RecordData::A(ip) => Some(IpAddr::from(*ip)),
                    _ => None,
                };
                return records.iter().filter_map(ip).collect();
            }
        }
    }
    BTreeSet::new()
}

fn unguarded() -> Settings {
    let mut settings = Settings::new("ufp", Fqdn::parse("example.com").unwrap());
    // No loss outlives its pass, and twice the base may go in one.
    settings.guard.window = Duration::ZERO;
    settings.guard.max_delete = 255;
    settings.guard.max_update = 255;
    settings.guard.max_emptied = 255;
    settings
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// No sequence of unknown clusters, restarts and crashes removes the last address of a name that a known answer did
    /// not empty; what is healthy and known is published.
    #[test]
    fn unknown_is_not_empty(steps in prop::collection::vec(step(false), 1..40), kind in kind()) {
        let mut world = World::new(unguarded(), kind);
        for step in &steps {
            world.take(step)?;
        }
    }

    /// The same under the default guard, which holds losses and never additions, and beside strangers, whose sets are
    /// never touched.
    #[test]
    fn strangers_are_left_alone_and_additions_are_never_held(
        steps in prop::collection::vec(step(true), 1..40),
        kind in kind(),
    ) {
        let mut world = World::new(Settings::new("ufp", Fqdn::parse("example.com").unwrap()), kind);
        for step in &steps {
            world.take(step)?;
        }
    }

    /// What is written is what was wanted: planning again gives nothing.
    #[test]
    fn a_second_plan_is_empty(steps in prop::collection::vec(step(true), 1..30), kind in kind()) {
        let mut world = World::new(unguarded(), kind);
        for step in &steps {
            world.take(step)?;
        }
        world.take(&Step::Sync)?;
        world.check_settled()?;
    }

    /// Where others spoil what is ours, it comes to rest all the same, and a new process has nothing to add.
    #[test]
    fn a_spoiled_zone_comes_to_rest(
        steps in prop::collection::vec(prop_oneof![2 => step(true), 1 => spoil()], 1..40),
        kind in without_claims(),
    ) {
        let mut world = World::new(unguarded(), kind);
        world.lenient = true;
        for step in &steps {
            world.take(step)?;
        }
        world.take(&Step::Sync)?;
        world.check_settled()?;
    }

    /// The same history has the same sets, claims and all, on hosts that store claims and on hosts that do not.
    #[test]
    fn all_hosts_end_with_the_same_sets(steps in prop::collection::vec(step(true), 1..30), kind in without_claims()) {
        let mut worlds = [World::new(unguarded(), Kind::Claims), World::new(unguarded(), kind)];
        for step in steps.iter().filter(|step| !matches!(step, Step::Crash(Some(_)) | Step::Lose(_))) {
            for world in &mut worlds {
                world.take(step)?;
            }
            if matches!(step, Step::Sync) {
                prop_assert_eq!(worlds[0].ours(), worlds[1].ours());
            }
        }
    }

    /// Crashes and lost answers in the middle of the three steps: once everybody is well again, the sets are those of a
    /// host that stores claims and has had no fault.
    #[test]
    fn faults_leave_no_trace(steps in prop::collection::vec(step(false), 1..30), kind in kind()) {
        let mut worlds = [World::new(unguarded(), Kind::Claims), World::new(unguarded(), kind)];
        let is_fault = |step: &&Step| matches!(step, Step::Crash(_) | Step::Lose(_));
        for step in steps.iter().filter(|step| !is_fault(step)) {
            worlds[0].take(step)?;
        }
        for step in &steps {
            worlds[1].take(step)?;
        }
        for world in &mut worlds {
            world.loses = None;
            for index in 0..CLUSTERS {
                world.take(&Step::Answer(index, [Health::Ready, Health::Unready, Health::Absent, Health::Ready]))?;
            }
            // Longer than any name lingers.
            world.take(&Step::Sync)?;
            world.take(&Step::Wait(25 * 3600))?;
            world.take(&Step::Sync)?;
            world.check_settled()?;
        }
        prop_assert_eq!(worlds[0].ours(), worlds[1].ours());
    }

    /// A daemon that loses sight of all its clusters, for however long, and sees them come back one after the other within
    /// a grace and a delay of the return of half of them, has nothing to write: not while they are away and not after.
    #[test]
    fn an_outage_of_its_own_changes_nothing(
        healths in prop::collection::vec([health(), health(), health(), health()], CLUSTERS),
        lost in prop::collection::vec((any::<bool>(), 0u64..20), CLUSTERS),
        away in 0u64..10_000,
        restarted in any::<bool>(),
        back in Just((0..CLUSTERS).collect::<Vec<_>>()).prop_shuffle(),
        pauses in prop::collection::vec((any::<bool>(), 0u64..70), CLUSTERS),
        kind in kind(),
    ) {
        let mut world = World::new(unguarded(), kind);
        for (index, healths) in healths.iter().enumerate() {
            world.take(&Step::Answer(index, *healths))?;
        }
        world.take(&Step::Sync)?;
        let before = world.store.snapshot().clone();
        let look = |world: &mut World, plans: bool, wait: u64| -> Result<(), TestCaseError> {
            if plans {
                world.take(&Step::Sync)?;
            }
            prop_assert_eq!(&before, world.store.snapshot());
            world.take(&Step::Wait(wait))
        };
        if restarted {
            world.take(&Step::Crash(None))?;
        }
        for (index, (disappears, pause)) in lost.iter().enumerate() {
            world.take(&if *disappears { Step::Disappear(index) } else { Step::Unknown(index) })?;
            look(&mut world, true, *pause)?;
        }
        look(&mut world, true, away)?;
        for (index, (plans, pause)) in back.iter().zip(&pauses) {
            world.take(&Step::Answer(*index, healths[*index]))?;
            look(&mut world, *plans, *pause)?;
        }
        look(&mut world, true, 0)?;
        world.check_settled()?;
    }

    /// Planning what is dirty gives what planning everything from the beginning gives, whatever came in which order and
    /// however often.
    #[test]
    fn order_and_repetition_of_events_do_not_matter(
        first in prop::collection::vec((0..CLUSTERS, [health(), health(), health(), health()]), 1..12),
        order in Just((0..CLUSTERS).collect::<Vec<_>>()).prop_shuffle(),
        twice in any::<bool>(),
        kind in kind(),
    ) {
        let mut world = World::new(unguarded(), kind);
        for (index, healths) in &first {
            world.take(&Step::Answer(*index, *healths))?;
            world.daemon.plan(world.now);
        }
        let mut fresh = Reconciler::new(world.settings.clone(), &world.capabilities);
        fresh.load_zone(world.store.snapshot().clone(), world.now);
        for index in order.iter().filter(|index| world.said.contains_key(index)) {
            for _ in 0..=usize::from(twice) {
                fresh.observe(answer(*index, world.said[index]), world.now);
            }
        }
        fresh.plan(world.now);
        prop_assert_eq!(fresh.report(world.now), world.daemon.report(world.now));
        prop_assert_eq!(fresh.records(world.now), world.daemon.records(world.now));
    }

    /// However many services go, the sets deleted in one window stay within the budget.
    #[test]
    fn deletions_stay_within_the_budget(services in 3usize..40, gone in prop::collection::vec(0usize..40, 0..60), percent in 0u8..100) {
        let mut settings = Settings::new("ufp", Fqdn::parse("example.com").unwrap());
        settings.guard.max_delete = percent;
        let mut world = World::new(settings, Kind::Claims);
        let copy = |index: usize| ServiceCopy {
            ingress: [Endpoint::Ip(IpAddr::from([192, 0, 2, u8::try_from(index).unwrap()]))].into(),
            ready: true,
            ..ServiceCopy::default()
        };
        let all: BTreeMap<_, _> = (0..services).map(|index| (service(index), copy(index))).collect();
        let answer = ClusterAnswer {
            places: Some(BTreeSet::from([place(0)])),
            services: all,
            ..ClusterAnswer::default()
        };
        world.daemon.observe(SourceEvent::Answer { cluster: "c0".into(), answer }, world.now);
        world.sync(None)?;
        world.now = world.now.plus(Duration::from_hours(1));
        let before = world.store.len();
        for index in gone {
            let event = SourceEvent::Service { cluster: "c0".into(), service: service(index), copy: None };
            world.daemon.observe(event, world.now);
            world.sync(None)?;
        }
        let allowed = if before < 10 { before } else { before * usize::from(percent) / 100 };
        prop_assert!(before - world.store.len() <= allowed, "{} of {before} went, {percent} %", before - world.store.len());
    }

    /// A source that gives lines to doubtful copies gives them to all that is refused and to nothing else, and what is
    /// refused says where it was read.
    #[test]
    fn what_is_refused_of_a_copy_is_what_made_it_doubtful(
        ingress in prop::collection::btree_set(endpoint(), 0..3),
        external_ips in prop::collection::btree_set(endpoint(), 0..3),
        selector in prop::sample::select(vec![None, Some("[]"), Some("env in (prod)"), Some("[{}]")]),
        ttl in prop::sample::select(vec![None, Some("60"), Some(" 86400"), Some("0"), Some("+9"), Some("soon")]),
        region in prop::sample::select(vec!["eu", "EU", "", "eu.west", "-", "eu_1"]),
    ) {
        let copy = ServiceCopy {
            ingress: ingress.into(),
            external_ips: external_ips.into(),
            ready: true,
            ttl: ttl.map(Into::into),
            selector: selector.map(Into::into),
            origin: Some("eu.yaml:3".into()),
        };
        let doubtful = is_doubtful(&copy);
        let answer = ClusterAnswer {
            places: Some(BTreeSet::from([Place::new(region, "")])),
            services: BTreeMap::from([(service(0), copy)]),
            label_origins: BTreeMap::from([(region.into(), "eu.yaml:1".into())]),
            ..ClusterAnswer::default()
        };
        let mut world = World::new(unguarded(), Kind::Claims);
        world.daemon.observe(SourceEvent::Answer { cluster: "c0".into(), answer }, world.now);
        world.sync(None)?;
        let report = world.daemon.report(world.now);
        let of_labels = |reason: &str| reason.starts_with("eu.yaml:1: topology label");
        let refused = report.refused.iter().map(|refusal| refusal.reason.as_str());
        let (labels, of_copy): (Vec<_>, Vec<_>) = refused.partition(|reason| of_labels(reason));
        prop_assert_eq!(labels.len(), usize::from(!is_place_label(region)), "{:?}", labels);
        prop_assert!(of_copy.iter().all(|reason| reason.starts_with("eu.yaml:3: ")), "{:?}", of_copy);
        prop_assert!(report.warnings.iter().all(|text| text.contains("c0: eu.yaml:3: annotation")), "{:?}", report.warnings);
        prop_assert_eq!(doubtful, !of_copy.is_empty() || !report.warnings.is_empty());
    }
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    let good = ["192.0.2.1", "2001:db8::1", "10.0.0.1"];
    let bad = [
        "127.0.0.1",
        "169.254.1.1",
        "255.255.255.255",
        "224.0.0.1",
        "0.0.0.0",
        "::",
        "::1",
        "fe80::1",
        "ff02::1",
        "::ffff:192.0.2.1",
    ];
    let ip = |text: &str| Endpoint::Ip(text.parse().unwrap());
    prop_oneof![
        6 => prop::sample::select(good.to_vec()).prop_map(ip),
        2 => prop::sample::select(bad.to_vec()).prop_map(ip),
        1 => Just(Endpoint::Bad("300.1.1.1".into())),
        1 => Just(Endpoint::Host("lb.example.net".into())),
    ]
}
