//! How the daemon's work grows with its federation: starts, memory, one changed service, a cluster that goes.
//!
//! The real core with a memory provider, without network, so that nothing but the decisions is measured. Each point is a
//! process of its own.

#![expect(clippy::cast_precision_loss, reason = "counts, bytes and changes, all far below 2^52")]

mod drive;
mod failover;
mod fleet;
mod on_etcd;
mod outcome;
mod point;

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::Context as _;
use clap::Args;

use self::fleet::Fleet;
use self::outcome::{Measured, Outcome, Shape};
use self::point::Point;
use crate::child;
use crate::machine::{self, Machine};
use crate::report::Report;

/// What to measure.
#[derive(Args, Clone, Debug)]
pub(crate) struct Arguments {
    /// Services of the points
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000,1000000")]
    services: Vec<u32>,
    /// Leave points out that would need more memory than this, in GiB, judged by the point before
    #[arg(long, default_value_t = 8.0)]
    most_gib: f64,
    /// Rounds of the points up to 10,000 services; above, one, because it takes minutes
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Services that fail over at once
    #[arg(long, default_value_t = 50_000)]
    failovers: u32,
}

/// One point, in a process of its own.
#[derive(Args, Clone, Debug)]
pub(crate) struct PointArguments {
    #[command(flatten)]
    fleet: Fleet,
}

/// Points of more services are measured once.
const REPEATED_TO: u32 = 10_000;

/// In how many clusters services are.
const SHAPES: [Shape; 3] = [
    Shape { clusters: 2, copies: 2, name: "2 clusters, services in both" },
    Shape { clusters: 20, copies: 2, name: "20 clusters, services in 2 of them" },
    Shape { clusters: 20, copies: 20, name: "20 clusters, services in all" },
];

/// Measures one point and prints it as JSON.
pub(crate) async fn point(arguments: &PointArguments) -> anyhow::Result<()> {
    let point = point::measure(arguments.fleet).await?;
    println!("{}", serde_json::to_string(&point)?);
    Ok(())
}

pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let machine = Machine::here(["etcd 3.6.5".to_owned()]);
    let mut measured = Vec::new();
    let mut left_out = BTreeMap::new();
    for shape in SHAPES {
        let mut last: Option<(u32, f64)> = None;
        for &services in &arguments.services {
            let fleet = Fleet { services, clusters: shape.clusters, copies: shape.copies, zones: 1 };
            if let Some((before, gib)) = last
                && gib * f64::from(services) / f64::from(before) > arguments.most_gib
            {
                left_out.entry(shape.name).or_insert_with(Vec::new).push(services);
                continue;
            }
            let rounds = if services > REPEATED_TO { 1 } else { arguments.rounds };
            let mut points = Vec::new();
            let mut loads = Vec::new();
            for round in 0..rounds {
                eprintln!("growth: {services} services, {}, round {} of {rounds}", shape.name, round + 1);
                loads.push(machine::load());
                points.push(in_process(fleet)?);
            }
            last = points.last().map(|point| (services, point.peak_kib as f64 / f64::from(1 << 20)));
            measured.push(Measured { shape, points, loads });
        }
    }
    eprintln!("growth: {} failovers", arguments.failovers);
    let failovers = failover::all(arguments.failovers, arguments.failovers / 5).await?;
    let on_etcd = on_etcd::measure(arguments.failovers, arguments.rounds).await?;
    let outcome = Outcome { measured, left_out, failovers, on_etcd };
    let report = Report {
        part: "growth",
        machine: machine.ended(),
        text: outcome.text(),
        budgets: outcome.budgets(),
        pictures: outcome.pictures(),
        data: outcome,
    };
    report.publish()
}

fn in_process(fleet: Fleet) -> anyhow::Result<Point> {
    let mut command = Command::new(std::env::current_exe()?);
    let Fleet { services, clusters, copies, zones } = fleet;
    command.arg("growth-point");
    for (name, value) in [("services", services), ("clusters", clusters), ("copies", copies), ("zones", zones)] {
        command.arg(format!("--{name}={value}"));
    }
    let ended = child::run(&command, &[0])?;
    serde_json::from_str(&ended.stdout).with_context(|| format!("reading a point: {}", ended.stdout))
}
