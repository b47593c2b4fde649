//! Benchmarks of `dns-syncd`, each beside a peer or a limit that is measured in the same run.
//!
//! `tests/bench/run PART` builds what a part needs and runs it here. A part prints its table, writes
//! `results/PART.json` and its pictures, and puts the table into `README.md`. Nothing here is a test: times depend on
//! the machine and on what else it does, so no number is asserted.

#![expect(clippy::print_stdout, reason = "tables are what this program is for")]
#![expect(dead_code, reason = "the parts that use it follow")]

mod child;
mod machine;
mod report;
mod spread;
mod svg;
mod table;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "dns-bench", about = "Benchmarks of dns-syncd; tests/bench/run gets what they need")]
struct Cli {
    #[command(subcommand)]
    part: Part,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// Runs a program and writes what it took to a file; this program calls itself so, for each program it measures
    #[command(hide = true)]
    Measure {
        /// Where to write
        file: PathBuf,
        /// The program and its arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    match Cli::parse().part {
        Part::Measure { file, command } => child::measure(&file, &command),
    }
}
