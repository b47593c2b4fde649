//! Random histories: clusters change and vanish, the host fails, others write, the daemon dies.
//!
//! `DNS_SYNCD_SIM_SEEDS=1000` runs so many seeds, `DNS_SYNCD_SIM_SEED=42` one. After every step the laws below hold, and
//! at the end of each history the zone is what a fresh pass over the clusters wants.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use dns_sync_core::ledger::release::attach;
use dns_sync_core::{ServiceCopy, ServiceId, SourceEvent};
use dnsprovider::capabilities::Atomicity;
use dnsprovider::memory::{Call, Fault};
use dnsprovider::{
    ClaimedSet, Entry, ErrorKind, Fqdn, MemoryProvider, RecordData, RetryHint, RrKey, RrSet, RrType, Ttl,
};
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use crate::world::{World, answer, apex, fqdn, full_view, healthy, ip, service};

const CLUSTERS: u8 = 3;
const SERVICES: u16 = 4;
const STEPS: usize = 40;

#[test]
fn random_histories_end_true_and_never_empty_a_name_or_touch_what_is_not_ours() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("DNS_SYNCD_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("DNS_SYNCD_SIM_SEEDS").unwrap_or(50),
    };
    for seed in seeds {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let history = std::panic::AssertUnwindSafe(|| runtime.block_on(History::new(seed).run()));
        if let Err(panic) = std::panic::catch_unwind(history) {
            eprintln!("the history of DNS_SYNCD_SIM_SEED={seed} failed");
            std::panic::resume_unwind(panic);
        }
    }
}

/// One random history.
struct History {
    random: SmallRng,
    world: World,
    /// What others put into the zone.
    foreign: BTreeMap<RrKey, ClaimedSet>,
    /// Names that others damaged since the last time that all was well.
    damaged: BTreeSet<Fqdn>,
    /// Members that the source does not have now.
    missing: BTreeSet<String>,
    log: Vec<String>,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let (watch, batch) = (random.random_bool(0.5), *[3, 10, u64::MAX].choose(&mut random).unwrap());
        let claims = random.random_bool(0.4);
        let atomicity = if random.random_bool(0.5) { Atomicity::Batch } else { Atomicity::Set };
        let change = |able: &mut dnsprovider::Capabilities| {
            able.watch = watch;
            able.claims = claims;
            able.atomicity = atomicity;
            able.limits.batch.sets = batch;
        };
        let provider = MemoryProvider::builder().zone(apex()).configure(change).page_size(5).build();
        let mut world = World::new(provider, CLUSTERS, SERVICES);
        world.seed = seed;
        let (foreign, damaged, missing) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        Self {
            random,
            world,
            foreign,
            damaged,
            missing,
            log: vec![format!("watch {watch}, claims {claims}, {atomicity:?}, batches of {batch}")],
        }
    }

    async fn run(mut self) {
        self.world.start();
        self.world.wait(30).await;
        for _ in 0..STEPS {
            let before = self.answerable();
            self.step().await;
            let steady: BTreeSet<ServiceId> = self.answerable().intersection(&before).cloned().collect();
            for _ in 0..self.random.random_range(1..40) {
                tokio::time::sleep(Duration::from_millis(self.random.random_range(1..700))).await;
                self.check(&steady);
            }
            let report = self.world.handle().plan().await.unwrap();
            // A set that gives way to a CNAME at its own name is one loss.
            let loses = |name: &str| report.held.iter().any(|change| change.name == name && change.action != "create");
            let added = report.held.iter().find(|change| change.action == "create" && !loses(&change.name));
            assert!(added.is_none(), "an addition is held: {added:?}\n{}", self.log.join("\n"));
        }
        self.end().await;
    }

    //----------- Laws -------------------------------------------------------

    /// The services that some cluster answers for with an address, and whose global name has one.
    fn answerable(&self) -> BTreeSet<ServiceId> {
        let clusters = self.world.clusters.iter();
        let present = clusters.filter(|(name, cluster)| cluster.reachable && !self.missing.contains(*name));
        let healthy = present.flat_map(|(_, cluster)| cluster.services.iter().filter(|(_, copy)| copy.ready));
        let named = |service: &&ServiceId| !self.world.addresses(&global(service)).is_empty();
        healthy.map(|(service, _)| service).filter(named).cloned().collect()
    }

    /// Names with a healthy address by a known answer are not empty, and what others wrote is as they wrote it.
    fn check(&self, steady: &BTreeSet<ServiceId>) {
        for service in steady.iter().filter(|service| !self.damaged.contains(&fqdn(&global(service)))) {
            let addresses = self.world.addresses(&global(service));
            assert!(!addresses.is_empty(), "{service} has no address any more\n{}", self.log.join("\n"));
        }
        let held = self.world.held();
        for (key, set) in &self.foreign {
            let stands = held.get(key).map(|entry| &entry.data);
            assert_eq!(stands, Some(set), "a foreign set was touched\n{}", self.log.join("\n"));
        }
    }

    /// Faults end and everybody comes back: the zone becomes what a fresh pass wants, however that is judged.
    async fn end(mut self) {
        self.world.provider.clear_faults();
        for name in self.world.clusters.keys().cloned().collect::<Vec<_>>() {
            self.world.clusters.get_mut(&name).unwrap().reachable = true;
            self.come_back(&name).await;
        }
        self.missing.clear();
        self.world.wait(1300).await;
        while let Some(hash) = self.world.handle().status().await.unwrap().hash {
            assert!(self.world.handle().approve(&hash).await.unwrap());
            self.world.wait(60).await;
        }
        let differences = self.world.differences().await;
        assert!(differences.is_empty(), "{differences:#?}\n{}", self.log.join("\n"));
        let status = self.world.handle().status().await.unwrap();
        assert!(status.failures.is_empty(), "{:?}\n{}", status.failures, self.log.join("\n"));
        self.check(&BTreeSet::new());
        let calls = self.world.calls(Call::Apply);
        self.world.fresh_plan().await.write().await.unwrap();
        assert_eq!(self.world.calls(Call::Apply), calls, "and what lists the claims is right\n{}", self.log.join("\n"));
    }

    //----------- Steps ------------------------------------------------------

    async fn step(&mut self) {
        let cluster = format!("c{}", self.random.random_range(1..=CLUSTERS));
        let number = self.random.random_range(0..SERVICES);
        match self.random.random_range(0..20) {
            0..=4 => self.change_copy(&cluster, service(number)).await,
            5 | 6 => self.toggle_reach(&cluster).await,
            7..=11 => self.fault(),
            12 => self.damage(),
            13 => self.intrude(number),
            14 => {
                self.log.push("the watches break".into());
                self.world.provider.break_watches(&self.world.zone).unwrap();
            }
            15 => self.restart(false).await,
            16 => self.restart(true).await,
            17 => self.come_back(&cluster).await,
            _ => {
                self.log.push("time passes".into());
                self.world.wait(self.random.random_range(0..200)).await;
            }
        }
    }

    async fn change_copy(&mut self, cluster: &str, service: ServiceId) {
        let address: IpAddr = ip(self.random.random_range(1..200), self.random.random_range(0..9));
        let copy = match self.random.random_range(0..4) {
            0 => None,
            1 => Some(ServiceCopy { ready: false, ..healthy(address) }),
            _ => Some(healthy(address)),
        };
        let state = &self.world.clusters[cluster];
        if !state.reachable || self.missing.contains(cluster) {
            return;
        }
        self.log.push(format!("{service} in {cluster} becomes {copy:?}"));
        self.world.set_copy(cluster, service, copy).await;
    }

    async fn toggle_reach(&mut self, cluster: &str) {
        if self.missing.contains(cluster) {
            return;
        }
        let state = self.world.clusters.get_mut(cluster).unwrap();
        state.reachable = !state.reachable;
        self.log.push(format!("{cluster} is {}reachable", if state.reachable { "" } else { "un" }));
        let name = cluster.into();
        let event = if state.reachable {
            SourceEvent::Answer { cluster: name, answer: answer(state) }
        } else {
            SourceEvent::Unknown { cluster: name, since: None, reason: "it does not answer".into() }
        };
        self.world.tell(vec![event]).await;
    }

    async fn come_back(&mut self, cluster: &str) {
        self.missing.remove(cluster);
        self.log.push(format!("{cluster} is in the source"));
        let view = full_view(&BTreeMap::from([(cluster.to_owned(), self.world.clusters[cluster].clone())]));
        self.world.tell(view).await;
    }

    fn fault(&mut self) {
        let calls = [Call::Apply, Call::Apply, Call::Apply, Call::ReadPage, Call::ReadNames, Call::Watch];
        let call = *calls.choose(&mut self.random).unwrap();
        let seconds = self.random.random_range(1..20);
        let fault = match self.random.random_range(0..5) {
            0 => Fault::fail(ErrorKind::Unavailable),
            1 => Fault::throttle(RetryHint::After(Duration::from_secs(seconds))),
            2 => Fault::lose_call(),
            3 => Fault::lose_answer(),
            _ => Fault::fail(ErrorKind::Protocol),
        };
        let (from, times) = (self.random.random_range(1..3), self.random.random_range(1..4));
        self.log.push(format!("{times} faults in {call:?} from call {from} on: {fault:?}"));
        self.world.provider.inject(fault.on(call).nth(from).times(times));
    }

    /// Somebody removes one of our sets.
    fn damage(&mut self) {
        let held = self.world.held();
        let ours = held.iter().filter(|entry| entry.data.claim.is_some()).map(|entry| entry.key().clone());
        let attached = attach(held.clone());
        let listed = attached.snapshot.iter().filter(|entry| entry.data.claim.is_some());
        let ledgers = held.iter().filter(|entry| attached.snapshot.get(entry.key()).is_none());
        let ours: BTreeSet<RrKey> = ours.chain(listed.chain(ledgers).map(|entry| entry.key().clone())).collect();
        let ours: Vec<RrKey> = ours.into_iter().collect();
        if let Some(key) = ours.choose(&mut self.random) {
            self.log.push(format!("somebody removes {key}"));
            self.world.provider.remove_foreign(&self.world.zone, key).unwrap();
            self.damaged.insert(key.owner.clone());
        }
    }

    /// Somebody puts a set of their own into the zone, possibly where one of ours stands or will stand.
    fn intrude(&mut self, number: u16) {
        let names = [format!("mail{number}"), "s9.shop.fed.svc".into(), format!("s{number}.shop.fed.svc.r1")];
        let owner = fqdn(names.choose(&mut self.random).unwrap());
        let set = RrSet::new(RrKey::new(owner.clone(), RrType::Txt), Ttl::MAX, [RecordData::txt("mine")]).unwrap();
        let data = ClaimedSet::unclaimed(set);
        // Beside a CNAME there is no room for others either.
        let cname = RrKey::new(owner.clone(), RrType::Cname);
        if self.world.held().get(&cname).is_some() {
            return;
        }
        self.log.push(format!("somebody writes {}", data.set.key()));
        self.foreign.insert(data.set.key().clone(), data.clone());
        let entry = Entry { data, version: dnsprovider::Version::default(), blocks: dnsprovider::Blocks::AsDns };
        self.world.provider.insert_foreign(&self.world.zone, entry).unwrap();
    }

    /// The daemon dies, or is stopped, and begins again; perhaps without one of its clusters.
    async fn restart(&mut self, gently: bool) {
        if gently {
            self.world.ask_to_stop();
            self.world.ended().await.unwrap();
        } else {
            self.world.crash().await;
        }
        if self.random.random_bool(0.3) {
            self.missing.insert(format!("c{}", self.random.random_range(1..=CLUSTERS)));
        }
        if self.missing.len() == usize::from(CLUSTERS) {
            self.missing.clear();
        }
        let mut clusters = self.world.clusters.clone();
        clusters.retain(|name, _| !self.missing.contains(name));
        self.log.push(format!("the daemon begins again, without {:?}", self.missing));
        self.world.start_with(full_view(&clusters), |daemon| daemon);
    }
}

fn global(service: &ServiceId) -> String {
    format!("{}.{}.fed.svc", service.name, service.namespace)
}
