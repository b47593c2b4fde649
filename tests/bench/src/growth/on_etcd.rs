//! The same failover at a real etcd: `dns-syncd apply` on a dump in which one cluster has not been ready for years.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use dns_conformance::servers::{Etcd, EtcdVersion};
use serde::Serialize;

use crate::child::{self, Ended};
use crate::machine;
use crate::sides::named;
use crate::trace::{self, Stage};
use crate::workload::{Edition, Fleet, Levels, ZONE};

/// One pass that fails everything over.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Pass {
    pub(crate) services: u32,
    pub(crate) wall: f64,
    pub(crate) cpu: f64,
    pub(crate) peak_kib: i64,
    pub(crate) transactions: u64,
    /// Sets that were changed.
    pub(crate) changes: usize,
    /// From the first write to the last answer.
    pub(crate) writes: Option<Stage>,
    pub(crate) load: f64,
}

/// Services in two clusters, in two zones of one region, with all their names; the first cluster goes.
pub(crate) async fn measure(services: u32, rounds: usize) -> anyhow::Result<Vec<Pass>> {
    let program = named("DNS_SYNCD_BIN")?.context("DNS_SYNCD_BIN is not set; hint: start with tests/bench/run")?;
    let both = Fleet { services, clusters: 2, zones: 1, edition: Edition::First }.json();
    let lost =
        both.replacen(r#""status":"True""#, r#""lastTransitionTime":"2020-01-01T00:00:00Z","status":"False""#, 1);
    ensure!(both != lost, "the dump has no condition to change");
    let mut passes = Vec::new();
    for round in 0..rounds {
        eprintln!("growth: {services} failovers at etcd, round {} of {rounds}", round + 1);
        let etcd = Etcd::start(EtcdVersion::V3_6).await;
        let folder = tempfile::tempdir()?;
        configure(folder.path(), &etcd.url())?;
        apply(&program, folder.path(), &both)?;
        let transactions = async || etcd.metrics().await.get("Txn").copied().unwrap_or_default();
        let (load, before) = (machine::load(), transactions().await);
        let ended = apply(&program, folder.path(), &lost)?;
        passes.push(Pass {
            services,
            wall: ended.usage.wall,
            cpu: ended.usage.cpu,
            peak_kib: ended.usage.peak_kib,
            transactions: transactions().await - before,
            changes: ended.stderr.matches(r#""message":"wrote""#).count(),
            writes: trace::stage(&trace::calls(&ended.stderr), &["apply"]),
            load,
        });
    }
    Ok(passes)
}

fn configure(folder: &Path, etcd: &str) -> anyhow::Result<()> {
    let file = |name: &str| folder.join(name);
    let (provider, dump) = (file("provider.conf"), file("dump.json"));
    std::fs::write(&provider, format!("[Global]\netcd-endpoints = {etcd}\nzones = {ZONE}\n"))?;
    // The guard is as it is by default: it does not count what fails over.
    let config = format!(
        "[Federation]\nname = bench\nzone-name = {ZONE}\n[Provider]\nname = coredns\nconfig = {}\n[Source]\npath = \
         {}\n[Sync]\nlevels = {}\n",
        provider.display(),
        dump.display(),
        Levels::All.setting(),
    );
    Ok(std::fs::write(file("dns-syncd.conf"), config)?)
}

fn apply(program: &Path, folder: &Path, dump: &str) -> anyhow::Result<Ended> {
    std::fs::write(folder.join("dump.json"), dump)?;
    let mut command = Command::new(program);
    command.arg("apply").arg("--config").arg(folder.join("dns-syncd.conf")).args(["--log-format", "json"]);
    // It takes every variable that begins with DNS_SYNCD_ for a setting.
    command.env("RUST_LOG", "dns_syncd=debug").env_remove("DNS_SYNCD_BIN");
    child::run(&command, &[0]).context("dns-syncd apply")
}
