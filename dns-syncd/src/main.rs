//! `dns-syncd` on the command line. The work is in the library; here are its words.

mod cli;
mod output;

use std::process::ExitCode;

use clap::Parser;

#[tokio::main]
async fn main() -> ExitCode {
    Box::pin(cli::main(dns_syncd::config::Cli::parse())).await
}
