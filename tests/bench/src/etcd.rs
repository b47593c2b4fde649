//! Whole passes into etcd: ours, the peer's, and the limit, the same keys written by etcd's own client.
//!
//! Each side gets an empty etcd for each round and makes four passes there: all names are new, nothing is to do, every
//! hundredth name has another address, all names go. The rounds of the sides alternate, so that a busy minute of the
//! machine does not meet one side alone.

mod limit;
mod outcome;
mod source;

use std::collections::BTreeMap;

use anyhow::ensure;
use clap::Args;
use dns_conformance::servers::{Etcd, EtcdVersion};
use serde::Serialize;

use crate::child::Usage;
use crate::machine::{self, Machine};
use crate::report::Report;
use crate::sides::{Ours, Peer};
use crate::trace::{self, Stage};
use crate::workload::{Edition, Fleet, Levels, ZONE};

pub(crate) use self::source::read as read_source;

/// What to measure.
#[derive(Args, Clone, Debug)]
pub(crate) struct Arguments {
    /// Names
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,50000")]
    names: Vec<u32>,
    /// Addresses of each name: 1, 2 or both
    #[arg(long, value_delimiter = ',', default_value = "2")]
    addresses: Vec<u32>,
    /// Rounds of ours and of the limit
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Rounds of the peer up to 10,000 names; above, one, because it takes minutes
    #[arg(long, default_value_t = 1)]
    peer_rounds: usize,
    /// Measure without the peer
    #[arg(long)]
    no_peer: bool,
}

/// A pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Step {
    Create,
    Nothing,
    Change,
    Delete,
}

impl Step {
    const ALL: [Self; 4] = [Self::Create, Self::Nothing, Self::Change, Self::Delete];

    fn edition(self) -> Edition {
        match self {
            Self::Create | Self::Nothing => Edition::First,
            Self::Change => Edition::Changed,
            Self::Delete => Edition::Gone,
        }
    }
}

/// Whose pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Side {
    Ours,
    Peer,
    Limit,
}

/// One measured pass.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Pass {
    pub(super) side: Side,
    pub(super) names: u32,
    pub(super) addresses: u32,
    pub(super) step: Step,
    pub(super) usage: Usage,
    /// Requests that etcd handled meanwhile, by gRPC method, from its own metrics.
    pub(super) requests: BTreeMap<String, u64>,
    /// Of ours: its calls of the host that do the work, writes or, with nothing to do, reads. Of the limit: the time
    /// between the first request and the last answer.
    pub(super) stage: Option<Stage>,
    /// Of ours: its calls that write.
    pub(super) writes: Option<usize>,
    /// Keys below CoreDNS's path afterwards.
    pub(super) keys: u64,
    /// Load average of the last minute, before it began.
    pub(super) load: f64,
}

/// The keys of the zones and their values.
type Keys = BTreeMap<String, String>;

/// Where CoreDNS and both sides keep the zones.
const PREFIX: &str = "/skydns/";

pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let limit = limit::Limit::find()?;
    let peer = if arguments.no_peer { None } else { Peer::find()? };
    let versions = ["etcd 3.6.5".to_owned()].into_iter().chain(peer.iter().map(Peer::version));
    let machine = Machine::here(versions);
    let mut passes = Vec::new();
    for (&names, &addresses) in
        arguments.names.iter().flat_map(|names| arguments.addresses.iter().map(move |n| (names, n)))
    {
        ensure!((1..=2).contains(&addresses), "--addresses: {addresses} is neither 1 nor 2");
        let fleet = Fleet { services: names, clusters: addresses, zones: 1, edition: Edition::First };
        let peer_rounds = if names > 10_000 { arguments.peer_rounds.min(1) } else { arguments.peer_rounds };
        for round in 0..arguments.rounds {
            eprintln!("etcd: {names} names of {addresses}, round {} of {}", round + 1, arguments.rounds);
            let (ours, states) = round_of_ours(fleet).await?;
            passes.extend(ours);
            passes.extend(limit.round(fleet, &states).await?);
            if let Some(peer) = peer.as_ref().filter(|_| round < peer_rounds) {
                passes.extend(round_of_peer(peer, fleet).await?);
            }
        }
    }
    let sources = source::measure(arguments)?;
    let outcome = outcome::Outcome { passes, sources, with_peer: peer.is_some() };
    let report = Report {
        part: "etcd",
        machine: machine.ended(),
        text: outcome.text(),
        budgets: outcome.budgets(),
        pictures: outcome.pictures(),
        data: outcome,
    };
    report.publish()
}

/// Four passes of ours, and the keys after each of them.
async fn round_of_ours(fleet: Fleet) -> anyhow::Result<(Vec<Pass>, Vec<Keys>)> {
    let etcd = Etcd::start(EtcdVersion::V3_6).await;
    let global = format!("etcd-endpoints = {}\nzones = {ZONE}", etcd.url());
    let ours = Ours::new("coredns", &global, Levels::Global)?;
    let (mut passes, mut states) = (Vec::new(), Vec::new());
    for step in Step::ALL {
        let (load, before) = (machine::load(), etcd.metrics().await);
        let ended = ours.apply(Fleet { edition: step.edition(), ..fleet }, &[])?;
        let requests = since(&before, &etcd.metrics().await);
        let calls = trace::calls(&ended.stderr);
        let worked: &[&str] = if step == Step::Nothing { &["read_page"] } else { &["apply"] };
        let state = keys(&etcd).await?;
        passes.push(Pass {
            side: Side::Ours,
            names: fleet.services,
            addresses: fleet.clusters,
            step,
            usage: ended.usage,
            requests,
            stage: trace::stage(&calls, worked),
            writes: Some(trace::stage(&calls, &["apply"]).map_or(0, |stage| stage.calls)),
            keys: state.len() as u64,
            load,
        });
        states.push(state);
    }
    Ok((passes, states))
}

/// Four passes of the peer.
async fn round_of_peer(peer: &Peer, fleet: Fleet) -> anyhow::Result<Vec<Pass>> {
    let etcd = Etcd::start(EtcdVersion::V3_6).await;
    let mut passes = Vec::new();
    for step in Step::ALL {
        let (load, before) = (machine::load(), etcd.metrics().await);
        let fleet = Fleet { edition: step.edition(), ..fleet };
        let provider = ["--provider=coredns", "--coredns-prefix=/skydns/"];
        let ended = peer.pass(fleet, Levels::Global, &provider, &[("ETCD_URLS", &etcd.url())])?;
        let requests = since(&before, &etcd.metrics().await);
        passes.push(Pass {
            side: Side::Peer,
            names: fleet.services,
            addresses: fleet.clusters,
            step,
            usage: ended.usage,
            requests,
            stage: None,
            writes: None,
            keys: keys(&etcd).await?.len() as u64,
            load,
        });
    }
    Ok(passes)
}

fn since(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let more = after.iter().map(|(method, count)| (method.clone(), count - before.get(method).copied().unwrap_or(0)));
    more.filter(|(_, count)| *count > 0).collect()
}

/// All keys of the zones, read in pages: a client takes no answer above 4 MiB.
async fn keys(etcd: &Etcd) -> anyhow::Result<Keys> {
    use etcd_client::GetOptions;
    const PAGE: i64 = 5_000;
    let mut client = etcd.client().await;
    let (mut keys, mut from) = (Keys::new(), PREFIX.as_bytes().to_vec());
    loop {
        let options = GetOptions::new().with_range("/skydns0").with_limit(PAGE);
        let page = client.get(from.as_slice(), Some(options)).await?;
        for kv in page.kvs() {
            keys.insert(kv.key_str()?.to_owned(), kv.value_str()?.to_owned());
        }
        match page.kvs().last() {
            Some(last) if page.more() => from = [last.key(), b"\0"].concat(),
            _ => return Ok(keys),
        }
    }
}
