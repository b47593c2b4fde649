//! Queries: the server `embedded` beside CoreDNS on etcd and Knot, with the same names, over UDP and TCP, in rest and while
//! a thousand changes a second go in.
//!
//! All servers run all the time and are asked in turn, round by round, so that a busy minute of the machine does not meet
//! one of them alone. The client, dnsperf, runs on the same cores.

#![expect(clippy::cast_precision_loss, reason = "counts, bytes and changes, all far below 2^52")]

mod changes;
mod embedded;
mod outcome;
mod perf;
mod servers;
mod zone;

use std::path::Path;

use clap::Args;

pub(crate) use self::embedded::{ServeArguments, serve};
use self::outcome::{Memory, Outcome, Sample};
use self::perf::Transport;
use self::servers::Server;
use crate::machine::{self, Machine};
use crate::report::Report;

/// What to measure.
#[derive(Args, Clone, Debug)]
pub(crate) struct Arguments {
    /// Names, each with two addresses
    #[arg(long, default_value_t = 10_000)]
    names: u32,
    /// Rounds
    #[arg(long, default_value_t = 2)]
    rounds: usize,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Questions a second while the time of answers is measured
    #[arg(long, default_value_t = 2_000)]
    calm: u32,
}

pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let versions = ["CoreDNS 1.15.0", "etcd 3.6.5", "Knot 3.2.6", "dnsperf 2.10.0"];
    let machine = Machine::here(versions.map(str::to_owned));
    let folder = tempfile::tempdir()?;
    let questions = folder.path().join("questions");
    std::fs::write(&questions, zone::questions(arguments.names))?;
    let names = arguments.names;
    eprintln!("queries: starting the servers, {names} names each");
    let mut servers = [Server::embedded(names).await?, Server::coredns(names).await?, Server::knot(names).await?];
    let mut memory = Vec::new();
    for server in &servers {
        let (own, etcd) = server.resident_kib()?;
        memory.push(Memory { server: server.name, before_kib: own, after_kib: own, etcd_kib: etcd });
    }
    let mut samples = Vec::new();
    for round in 0..arguments.rounds {
        for transport in [Transport::Udp, Transport::Tcp] {
            for changing in [false, true] {
                for server in &mut servers {
                    let state = if changing { "changing" } else { "in rest" };
                    eprintln!(
                        "queries: round {} of {}, {transport:?}, {state}: {}",
                        round + 1,
                        arguments.rounds,
                        server.name
                    );
                    samples.push(sample(server, transport, changing, &questions, arguments).await?);
                }
            }
        }
    }
    for (server, memory) in servers.iter().zip(&mut memory) {
        (memory.after_kib, memory.etcd_kib) = server.resident_kib()?;
    }
    let outcome = Outcome { names, calm: arguments.calm, samples, memory };
    let report = Report {
        part: "queries",
        machine: machine.ended(),
        text: outcome.text(),
        budgets: outcome.budgets(),
        pictures: outcome.pictures(),
        data: outcome,
    };
    report.publish()
}

async fn sample(
    server: &mut Server,
    transport: Transport,
    changing: bool,
    questions: &Path,
    arguments: &Arguments,
) -> anyhow::Result<Sample> {
    let (address, name, seconds) = (server.address, server.name, arguments.seconds);
    let load = machine::load();
    // Changes begin before the questions and end after them.
    let longer = seconds + 1;
    let (rate, done) = tokio::try_join!(perf::rate(address, transport, questions, seconds), async {
        if changing { server.change(arguments.names, longer).await } else { Ok(0) }
    })?;
    let (times, more) = tokio::try_join!(perf::times(address, transport, questions, seconds, arguments.calm), async {
        if changing { server.change(arguments.names, longer).await } else { Ok(0) }
    })?;
    let changes = f64::from(done + more) / (2 * longer) as f64;
    Ok(Sample { server: name, transport, changing, rate, times, changes, load })
}
