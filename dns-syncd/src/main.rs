//! `dns-syncd` on the command line. The work is in the library; here are its words.

mod cli;
mod output;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

/// For what is still read or written when the work is done. What hangs longer, such as a file on a server that is away,
/// ends with the process.
const LAST: Duration = Duration::from_secs(5);

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if let Err(error) = dns_syncd::joining::without_use(std::env::args_os().skip(1)) {
        output::remark(&format!("error: {error}\n"));
        return ExitCode::from(2);
    }
    let cli = dns_syncd::config::Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::remark(&format!("error: the program cannot start its threads: {error}\n"));
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(Box::pin(cli::main(cli)));
    runtime.shutdown_timeout(LAST);
    code
}
