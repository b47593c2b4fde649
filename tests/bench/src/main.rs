//! Benchmarks of `dns-syncd`, each beside a peer or a limit that is measured in the same run.
//!
//! `tests/bench/run PART` builds what a part needs and runs it here. A part prints its table, writes
//! `results/PART.json` and its pictures, and puts the table into `README.md`. Nothing here is a test: times depend on
//! the machine and on what else it does, so no number is asserted.

#![expect(clippy::print_stdout, reason = "tables are what this program is for")]

mod budget;
mod child;
mod etcd;
mod growth;
mod latency;
mod machine;
mod process;
mod queries;
mod report;
mod route53;
mod sides;
mod spread;
mod svg;
mod table;
mod trace;
mod workload;

use std::alloc::System;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Counts, for the part `growth`.
#[global_allocator]
static ALLOCATOR: &stats_alloc::StatsAlloc<System> = &stats_alloc::INSTRUMENTED_SYSTEM;

#[derive(Debug, Parser)]
#[command(name = "dns-bench", about = "Benchmarks of dns-syncd; tests/bench/run gets what they need")]
struct Cli {
    #[command(subcommand)]
    part: Part,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// Whole passes into etcd, beside external-dns and the limit
    Etcd(etcd::Arguments),
    /// Calls of a Route 53, beside external-dns
    Route53(route53::Arguments),
    /// From a change in an API server to the answer of CoreDNS
    Latency(latency::Arguments),
    /// How the decisions grow with the federation, and what a lost cluster costs
    Growth(growth::Arguments),
    /// Queries, beside CoreDNS and Knot
    Queries(queries::Arguments),
    /// One point of `growth`, in a process of its own
    #[command(hide = true)]
    GrowthPoint(growth::PointArguments),
    /// The server `embedded` by itself
    #[command(hide = true)]
    ServeEmbedded(queries::ServeArguments),
    /// Runs a program and writes what it took to a file; this program calls itself so, for each program it measures
    #[command(hide = true)]
    Measure {
        /// Where to write
        file: PathBuf,
        /// The program and its arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<OsString>,
    },
    /// Reads a dump with the daemon's reader
    #[command(hide = true)]
    ReadSource {
        /// The dump
        file: PathBuf,
        /// How many it must hold
        services: usize,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Cli::parse().part {
        Part::Etcd(arguments) => etcd::run(&arguments).await,
        Part::Route53(arguments) => route53::run(&arguments).await,
        Part::Latency(arguments) => latency::run(&arguments).await,
        Part::Growth(arguments) => growth::run(&arguments).await,
        Part::Queries(arguments) => queries::run(&arguments).await,
        Part::GrowthPoint(arguments) => growth::point(&arguments).await,
        Part::ServeEmbedded(arguments) => queries::serve(&arguments).await,
        Part::Measure { file, command } => child::measure(&file, &command),
        Part::ReadSource { file, services } => etcd::read_source(&file, services).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
