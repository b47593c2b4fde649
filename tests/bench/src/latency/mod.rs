//! From an event to the answer: one service of many changes in a real API server, and a DNS client asks CoreDNS until it
//! sees it.
//!
//! The stages from outside: the API server answers the change; a watch of etcd sees the key; a client sees the answer.
//! Between the first two the daemon hears, plans and writes, which its own histograms split further. Requests to etcd are
//! counted in a pass of its own in which nobody asks CoreDNS, since each question is a request there.

#![expect(clippy::cast_precision_loss, reason = "counts, bytes and changes, all far below 2^52")]

mod ask;
mod cluster;
mod daemon;
mod outcome;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;
use dns_conformance::servers::{CoreDns, Etcd, EtcdVersion};
use etcd_client::{WatchOptions, WatchStream};
use tempfile::TempDir;

use self::cluster::Cluster;
use self::daemon::Daemon;
use self::outcome::{Change, Counted, Outcome, Start};
use crate::machine::{self, Machine};
use crate::report::Report;
use crate::workload::ZONE;

/// What to measure.
#[derive(Args, Clone, Debug)]
pub(crate) struct Arguments {
    /// Services in the cluster
    #[arg(long, default_value_t = 50_000)]
    services: u32,
    /// Changes that are followed to the answer
    #[arg(long, default_value_t = 1_000)]
    changes: u32,
    /// Changes of which the requests are counted
    #[arg(long, default_value_t = 200)]
    counted: u32,
}

/// Between two changes: each is followed alone.
const PAUSE: Duration = Duration::from_millis(20);

/// The stages of the daemon's own histograms.
const STAGES: [&str; 3] = ["seen", "planned", "written"];

pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let versions = ["kube-apiserver 1.34.1", "etcd 3.6.5", "CoreDNS 1.15.0"];
    let machine = Machine::here(versions.map(str::to_owned));
    ensure!(arguments.changes.max(arguments.counted) <= arguments.services, "there are more changes than services");
    eprintln!("latency: {} services in an API server", arguments.services);
    let cluster = Cluster::start(arguments.services).await?;
    let etcd = Etcd::start(EtcdVersion::V3_6).await;
    let coredns = CoreDns::on_etcd(&[ZONE], &etcd.url()).await;
    let folder = tempfile::tempdir()?;
    std::fs::create_dir(folder.path().join("clusters"))?;
    std::fs::write(folder.path().join("clusters").join(cluster.api.name()), cluster.kubeconfig())?;

    eprintln!("latency: the daemon fills an empty zone");
    let (mut daemon, empty) = start(&folder, &etcd, None, arguments.services).await?;
    let counted = count(&cluster, &etcd, &mut daemon, arguments).await?;
    daemon.stop().await?;
    eprintln!("latency: the daemon starts at the full zone");
    let (daemon, full) = start(&folder, &etcd, Some(coredns.address()), arguments.services).await?;

    let mut watched = watch(&etcd).await?;
    let before = stages(&daemon).await;
    let (_, cpu) = daemon.usage()?;
    let mut changes = Vec::new();
    let mut loads = vec![machine::load()];
    for number in 0..arguments.changes {
        if number % 100 == 0 {
            eprintln!("latency: change {number} of {}", arguments.changes);
            loads.push(machine::load());
        }
        // Far apart, so that no two are neighbors.
        let service = number * (arguments.services / arguments.changes);
        changes.push(follow(&cluster, &mut watched, coredns.address(), service).await?);
        tokio::time::sleep(PAUSE).await;
    }
    let after = stages(&daemon).await;
    let inside = STAGES.iter().map(|stage| {
        let ((sum, number), (sum_before, number_before)) = (after[stage], before[stage]);
        (*stage, (sum - sum_before) / (number - number_before).max(1.0))
    });
    let inside = inside.collect();
    let cpu = daemon.usage()?.1 - cpu;
    let outcome = Outcome { services: arguments.services, empty, full, counted, changes, inside, cpu, loads };
    let report = Report {
        part: "latency",
        machine: machine.ended(),
        text: outcome.text(),
        budgets: outcome.budgets(),
        pictures: outcome.pictures(),
        data: outcome,
    };
    report.publish()
}

/// Starts the daemon and waits until the zone is as it should be.
async fn start(
    folder: &TempDir,
    etcd: &Etcd,
    coredns: Option<SocketAddr>,
    sets: u32,
) -> anyhow::Result<(Daemon, Start)> {
    let load = machine::load();
    let mut daemon = Daemon::start(folder.path(), &etcd.url(), coredns)?;
    let [ready, settled] = daemon.settled(u64::from(sets)).await?;
    let (resident_kib, cpu) = daemon.usage()?;
    Ok((daemon, Start { ready, settled, resident_kib, cpu, load }))
}

/// Changes services one after the other, and counts what etcd and the API server are asked meanwhile.
async fn count(cluster: &Cluster, etcd: &Etcd, daemon: &mut Daemon, arguments: &Arguments) -> anyhow::Result<Counted> {
    let mut watched = watch(etcd).await?;
    let (before, lists, begun) = (etcd.metrics().await, cluster.lists().await?, Instant::now());
    for number in 0..arguments.counted {
        let service = number * (arguments.services / arguments.counted);
        cluster.change(service, cluster::address(service, 1)).await?;
        written(&mut watched, service).await?;
    }
    daemon.settled(u64::from(arguments.services)).await?;
    let after = etcd.metrics().await;
    let more = after.into_iter().map(|(method, count)| {
        let had = before.get(&method).copied().unwrap_or_default();
        (method, count - had)
    });
    let requests: BTreeMap<_, _> = more.filter(|(_, count)| *count > 0).collect();
    let lists = cluster.lists().await? - lists;
    Ok(Counted { changes: arguments.counted, requests, lists, seconds: begun.elapsed().as_secs_f64() })
}

/// A change from the request to the answer.
async fn follow(
    cluster: &Cluster,
    watched: &mut WatchStream,
    coredns: SocketAddr,
    service: u32,
) -> anyhow::Result<Change> {
    let address = cluster::address(service, 2);
    let owner = format!("{}.{}.bench.svc.{ZONE}", cluster::name(service), cluster::namespace(service));
    let begun = Instant::now();
    let asking = tokio::spawn(async move { ask::until(coredns, &owner, address).await });
    let stored = async {
        cluster.change(service, address).await?;
        anyhow::Ok(Instant::now())
    };
    let (stored, written) = tokio::join!(stored, written(watched, service));
    let (stored, written, answered) = (stored?, written?, asking.await??);
    let since = |later: Instant, earlier: Instant| later.saturating_duration_since(earlier).as_secs_f64();
    Ok(Change {
        request: since(stored, begun),
        write: since(written, stored),
        serve: since(answered, written),
        total: since(answered, stored),
        from_request: since(answered, begun),
    })
}

/// A watch of the zone's keys.
async fn watch(etcd: &Etcd) -> anyhow::Result<WatchStream> {
    let options = WatchOptions::new().with_prefix();
    Ok(etcd.client().await.watch("/skydns/", Some(options)).await?)
}

/// When the key of a service is seen to be written.
async fn written(watched: &mut WatchStream, service: u32) -> anyhow::Result<Instant> {
    // Labels in reverse; the last part is the address's own key.
    let part = format!("/{}/{}", cluster::namespace(service), cluster::name(service));
    loop {
        let message = tokio::time::timeout(Duration::from_secs(30), watched.message()).await;
        let message = message.with_context(|| format!("{part} was never written"))??.context("the watch ended")?;
        let now = Instant::now();
        let is_of = |key: &[u8]| {
            let key = String::from_utf8_lossy(key);
            key.split_once(&part).is_some_and(|(_, rest)| rest.is_empty() || rest.starts_with('/'))
        };
        if message.events().iter().filter_map(|event| event.kv()).any(|kv| is_of(kv.key())) {
            return Ok(now);
        }
    }
}

async fn stages(daemon: &Daemon) -> BTreeMap<&'static str, (f64, f64)> {
    let mut stages = BTreeMap::new();
    for stage in STAGES {
        stages.insert(stage, daemon.stage(stage).await);
    }
    stages
}
