//! The worst hour of a user's year: a cluster goes, and every one of its services fails over.
//!
//! The calls are those that the core hands out for the abilities, sizes and costs of each real provider, which is opened
//! and never asked anything; the times are these calls at the rates that the provider keeps. What is most urgent must
//! come first: the order is looked at change by change.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use anyhow::ensure;
use dns_conformance::servers::{Etcd, EtcdVersion};
use dns_providers::{OpenMode, ProviderConfig, Registry};
use dns_sync_core::{Batch, Reconciler, SourceEvent};
use dnsprovider::capabilities::Operation;
use dnsprovider::{Action, Change, ClaimedSet, Cost, DnsProvider as _};
use serde::Serialize;

use super::drive::{Host, Took, tell, write_all};
use super::fleet::{Fleet, START, settings};

/// Each cloud's provider with a config that is enough to open it.
const CONFIGS: [(&str, &str); 3] = [
    ("aws-route53", "[Global]\nregion = us-east-1\naccess-key-id = nobody\nsecret-access-key = nothing\n"),
    (
        "azure-azuredns",
        "[Global]\nsubscription-id = s\ntenant-id = t\nclient-id = c\nsecret = nothing\nresourceGroup = g\n",
    ),
    ("google-clouddns", "[Global]\nproject-id = p\n"),
];

/// What a change means to those who ask for its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) enum Meaning {
    /// Until it is written, all addresses of the name are dead.
    AllDead,
    /// Until it is written, some addresses of the name are dead.
    SomeDead,
    /// A name that was not there.
    New,
    /// Credits, lists of claims.
    Bookkeeping,
}

/// Where the changes of one meaning stand among all.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Places {
    pub(crate) changes: u64,
    /// The last of them is so many calls in.
    pub(crate) last_call: u64,
    /// It is done after so many seconds.
    pub(crate) last_second: Option<f64>,
}

/// A failover at one host.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Failover {
    pub(crate) provider: &'static str,
    pub(crate) services: u32,
    /// Services whose creation waited when the cluster was lost.
    pub(crate) waiting: u32,
    pub(crate) calls: u64,
    /// At the provider's rates; `None` where the host has none.
    pub(crate) seconds: Option<f64>,
    pub(crate) places: BTreeMap<Meaning, Places>,
}

/// The first of four clusters goes while services are new in another one. Each service is in two of them, in zones of
/// their own, so each that is lost has a name that is empty and names that keep an address.
pub(crate) async fn all(lost: u32, waiting: u32) -> anyhow::Result<Vec<Failover>> {
    // This one looks whether its etcd is there.
    let etcd = Etcd::start(EtcdVersion::V3_6).await;
    let text = format!("[Global]\netcd-endpoints = {}\nzones = example.com\n", etcd.url());
    let mut failovers = vec![at_host("coredns", &text, lost, waiting).await?];
    for (name, text) in CONFIGS {
        failovers.push(at_host(name, text, lost, waiting).await?);
    }
    Ok(failovers)
}

async fn at_host(name: &'static str, text: &str, lost: u32, waiting: u32) -> anyhow::Result<Failover> {
    let config = ProviderConfig {
        text: Some(text.to_owned()),
        file: format!("{name}.conf"),
        home: None,
        mode: OpenMode::ReadOnly,
    };
    eprintln!("growth: {lost} failovers at {name}");
    let provider = Registry::builtin().open(name, config).await?.provider;
    let mut able = provider.capabilities();
    // So many services need a larger quota than new zones have.
    able.limits.sets_per_zone = None;
    let cost = |unit: &dnsprovider::Unit| provider.cost(unit);

    // Half of the services of two copies in four clusters are in the first one.
    let fleet = Fleet { services: 2 * lost, clusters: 4, copies: 2, zones: 4 };
    let mut reconciler = Reconciler::new(settings(), &able);
    for cluster in 0..fleet.clusters {
        tell(&mut reconciler, fleet.answer(cluster), START);
    }
    let mut host = Host::Nobody(1);
    // In as few calls as can be: how the zone came to be does not matter.
    write_all(&mut reconciler, &mut host, &able, |_| Cost::default(), START, u64::MAX, |_| {}).await?;

    let mut now = START.plus(Duration::from_hours(1));
    let unknown = SourceEvent::Unknown { cluster: Fleet::cluster(0), since: None, reason: "lost".into() };
    tell(&mut reconciler, unknown, now);
    reconciler.plan(now);
    now = now.plus(settings().unreachable_grace).plus(Duration::from_secs(1));
    // Names that sort before all others, so that only urgency puts them behind.
    for number in 0..waiting {
        let service = dns_sync_core::ServiceId::new("a-new-namespace", format!("new-{number}"));
        let copy = Some(fleet.copy(number, 4, true));
        tell(&mut reconciler, SourceEvent::Service { cluster: Fleet::cluster(2), service, copy }, now);
    }
    let mut clock = Clock::new(&able.rates);
    let mut places: BTreeMap<Meaning, Places> = BTreeMap::new();
    let took: Took = write_all(&mut reconciler, &mut host, &able, cost, now, u64::MAX, |batch| {
        let second = clock.write(batch, &*provider);
        for (meaning, changes) in meanings(batch) {
            let place = places.entry(meaning).or_insert(Places { changes: 0, last_call: 0, last_second: None });
            place.changes += changes;
            place.last_call = clock.calls;
            place.last_second = second;
        }
    })
    .await?;
    ensure!(took.changes >= u64::from(3 * lost), "{name}: only {} changes", took.changes);
    let failover =
        Failover { provider: name, services: lost, waiting, calls: clock.calls, seconds: clock.second(), places };
    Ok(failover)
}

/// How many changes of each meaning are in a batch. All changes of a name mean the same.
fn meanings(batch: &Batch) -> BTreeMap<Meaning, u64> {
    let mut counts = BTreeMap::new();
    for unit in &batch.changes.units {
        let owners: BTreeSet<_> = unit.changes.iter().map(|change| &change.key.owner).collect();
        for owner in owners {
            let of_name: Vec<_> = unit.changes.iter().filter(|change| change.key.owner == *owner).collect();
            *counts.entry(meaning(&of_name)).or_default() += of_name.len() as u64;
        }
    }
    counts
}

fn meaning(changes: &[&Change]) -> Meaning {
    let addresses = |of: fn(&Change) -> Option<&ClaimedSet>| -> BTreeSet<IpAddr> {
        let sets = changes.iter().filter_map(|change| of(change));
        sets.flat_map(|data| data.set.records()).filter_map(dnsprovider::RecordData::address).collect()
    };
    let (before, after) = (addresses(|change| change.before.as_ref()), addresses(|change| change.after.as_ref()));
    if before.is_subset(&after) {
        let is_ledger = changes.iter().all(|change| change.key.rr_type == dnsprovider::RrType::Txt);
        let is_new = changes.iter().all(|change| change.before.is_none());
        if is_new && !is_ledger { Meaning::New } else { Meaning::Bookkeeping }
    } else if before.is_disjoint(&after) {
        Meaning::AllDead
    } else {
        Meaning::SomeDead
    }
}

//----------- Clock ----------------------------------------------------------

/// When calls are done at the rates of a host, each kind from a bucket of its own, the bucket full at first.
#[derive(Debug)]
struct Clock {
    /// Calls a second and calls at once, by kind.
    rates: BTreeMap<Operation, (f64, f64)>,
    /// Calls so far, by kind.
    spent: BTreeMap<Operation, u64>,
    calls: u64,
}

impl Clock {
    fn new(rates: &[dnsprovider::capabilities::Rate]) -> Self {
        let rates = rates.iter().map(|rate| (rate.operation, (rate.per_second, f64::from(rate.burst)))).collect();
        Self { rates, spent: BTreeMap::new(), calls: 0 }
    }

    /// Counts a batch, and gives the second at which it is sent whole.
    fn write(&mut self, batch: &Batch, provider: &dyn dnsprovider::DnsProvider) -> Option<f64> {
        let units = batch.changes.units.iter().map(|unit| provider.cost(unit).calls);
        if units.sum::<u64>() == 0 {
            // One call for all; its kind does not matter where one budget is for all writes.
            *self.spent.entry(Operation::Update).or_default() += 1;
            self.calls += 1;
        } else {
            for change in batch.changes.changes() {
                let kind = match change.action() {
                    Action::Create => Operation::Create,
                    Action::Update => Operation::Update,
                    Action::Delete => Operation::Delete,
                };
                *self.spent.entry(kind).or_default() += 1;
                self.calls += 1;
            }
        }
        self.second()
    }

    /// When all calls so far are sent; `None` where the host has no rates.
    fn second(&self) -> Option<f64> {
        let of = |(kind, calls): (&Operation, &u64)| {
            let (per_second, burst) = self.rates.get(kind)?;
            Some((*calls as f64 - burst).max(0.0) / per_second)
        };
        self.spent.iter().filter_map(of).reduce(f64::max)
    }
}
