//! One file for each command.

mod admin;
mod apply;
mod ask;
mod check;
mod clusters;
mod delegation;
mod exit;
mod explain;
mod joining;
mod lead;
mod open;
mod plan;
mod progress;
mod records;
mod release;
mod rights;
mod run;
mod show;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use dns_syncd::config::{Cli, Command, Config, Form, unknown_variables};
use tracing_subscriber::EnvFilter;

use self::exit::Exit;
use crate::output;
use crate::output::style::{BAD, CHANGED, paint};

/// Runs the command and says how it ended: 0 done, 1 failed, 2 bad usage or config, 3 changes, 4 held or refused.
pub(crate) async fn main(cli: Cli) -> ExitCode {
    warn(&unknown_variables(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok())));
    match Box::pin(execute(cli)).await {
        Ok(exit) => exit.into(),
        Err(error) => {
            output::remark(&format!("{} {}\n", paint(BAD, "error:"), exit::chain(&error)));
            ExitCode::from(exit::code(&error))
        }
    }
}

async fn execute(cli: Cli) -> anyhow::Result<Exit> {
    // These need no config of the daemon: they make one, or find it in the host cluster.
    match &cli.command {
        Command::Init(args) => return joining::init(args, &cli.flags).await,
        Command::Join(args) => return joining::join(args, &cli.flags).await,
        Command::Unjoin(args) => return joining::unjoin(args, &cli.flags).await,
        _ => {}
    }
    let config = Config::load(&cli.flags, &environment)?;
    let level = match cli.command {
        Command::Run { show: false } => "info",
        Command::Run { show: true } => "warn",
        _ => "off",
    };
    log(&config, level);
    match cli.command {
        Command::Run { show } => Box::pin(run::run(cli.flags, config, show)).await,
        Command::Apply { approve } => apply::run(&config, approve.as_deref()).await,
        Command::Plan { detailed_exitcode } => plan::run(&config, detailed_exitcode).await,
        Command::Records => records::run(&config).await,
        Command::Check => check::run(&config).await,
        Command::Explain { name } => explain::run(&config, &name).await,
        Command::Clusters { wait } => clusters::run(&config, wait).await,
        Command::Release { delete, yes } => release::run(&config, delete, yes).await,
        Command::Init(_) | Command::Join(_) | Command::Unjoin(_) => Ok(Exit::Done),
    }
}

/// Logs to standard error. The daemon tells what it does, with `--show` only trouble; other commands print what they
/// found, so they log only what `RUST_LOG` asks for. What the clients of the hosts and of Kubernetes say beside goes
/// no further: our own lines tell it once and in our words.
fn log(config: &Config, default: &str) {
    let default = format!("{default},typespec_client_core=off,azure_core=off,azure_identity=off,kube_client=off");
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.log_format {
        Form::Text => log.with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()).init(),
        Form::Json => log.json().init(),
    }
}

/// The value of a variable; one that is not Unicode is none.
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Prints a report in the form that was asked for.
fn print<T: serde::Serialize>(config: &Config, report: &T, text: impl FnOnce(&T) -> String) -> anyhow::Result<()> {
    match config.output {
        Form::Text => output::print(&text(report))?,
        Form::Json => output::print_json(report)?,
    }
    Ok(())
}

/// Says what is no refusal and should be known all the same.
fn warn(warnings: &[String]) {
    for warning in warnings {
        output::remark(&format!("{} {warning}\n", paint(CHANGED, "warning:")));
    }
}
