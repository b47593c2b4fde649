//! `plan`: what `apply` would change, and why.

use dns_providers::OpenMode;
use dns_syncd::config::Config;

use super::exit::Exit;
use super::{open, print, warn};
use crate::output;

pub(crate) async fn run(config: &Config, detailed_exitcode: bool) -> anyhow::Result<Exit> {
    let report = open::pass(config, OpenMode::ReadOnly).await?.report();
    warn(&report.warnings);
    print(config, &report, output::plan::text)?;
    Ok(match Exit::of(&report) {
        Exit::Done if detailed_exitcode && !report.changes.is_empty() => Exit::Changes,
        exit => exit,
    })
}
