//! `apply`: one pass, then exit.

use std::fmt;

use anyhow::bail;
use dns_providers::{OpenMode, Opened};
use dns_sync_core::report::PlanReport;
use dns_syncd::config::{Config, Form};
use dns_syncd::leader::Leader;
use serde::Serialize;

use super::exit::Exit;
use super::{lead, open, print, progress, warn};
use crate::output;

/// What a pass did.
#[derive(Serialize)]
struct Applied {
    /// Changes that are done.
    written: usize,
    /// What failed.
    failed: Vec<String>,
    /// What is still to do: the held, the refused, and the changes that failed.
    left: PlanReport,
}

impl Applied {
    /// The changes that are done and those that are still to do. The plan may have had others: what somebody else changed
    /// meanwhile is planned anew.
    fn all(&self) -> usize {
        self.written + self.left.changes.len()
    }
}

pub(crate) async fn run(config: &Config, approve: Option<&str>) -> anyhow::Result<Exit> {
    let opened = open::provider(config, OpenMode::ReadWrite).await?;
    let settings = config.settings(&open::apex(config, &opened).await?)?;
    let held = lead::take(config, &settings).await?;
    let applied = apply(config, approve, opened, held.leader.clone()).await;
    held.give_up().await;
    applied
}

/// One pass of the process that leads.
async fn apply(config: &Config, approve: Option<&str>, opened: Opened, leader: Leader) -> anyhow::Result<Exit> {
    let mut pass = open::pass_with(config, opened).await?.with_leader(leader);
    if let Some(hash) = approve
        && !pass.approve(hash)
    {
        match pass.report().hash {
            Some(now) => bail!(
                "approving `{hash}`: it is stale, what is held now has the hash `{now}`, and nothing was written; \
                 hint: look at `dns-syncd plan` again"
            ),
            None => bail!("approving `{hash}`: nothing is held, and nothing was written; hint: leave out `--approve`"),
        }
    }
    // The plan is shown at the end. Until then its text is kept and not the report, which takes three times as much.
    let mut planned = Pieces::default();
    let outline = match config.output {
        Form::Text => output::plan::write(&mut planned, &|each| pass.report_each(|change| each(&change)))?,
        Form::Json => pass.report_each(drop),
    };
    warn(&outline.warnings);
    drop(outline);
    let written = progress::during("writing", pass.write()).await?;
    let applied = Applied { written: written.done, failed: written.failed, left: written.left };
    planned.0.iter().try_for_each(|piece| output::print(piece))?;
    print(config, &applied, |applied| format!("{} of {} changes written\n", applied.written, applied.all()))?;
    if !applied.failed.is_empty() {
        bail!("{} of {} changes failed: {}", applied.left.changes.len(), applied.all(), applied.failed.join("; "));
    }
    Ok(Exit::of(&applied.left))
}

/// A text in pieces: one that is as long as a large plan would be copied whenever it grows.
#[derive(Debug, Default)]
struct Pieces(Vec<String>);

/// Octets in a piece.
const PIECE: usize = 64 * 1024;

impl fmt::Write for Pieces {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if let Some(piece) = self.0.last_mut().filter(|piece| piece.len() + text.len() <= piece.capacity()) {
            piece.push_str(text);
        } else {
            let mut piece = String::with_capacity(PIECE.max(text.len()));
            piece.push_str(text);
            self.0.push(piece);
        }
        Ok(())
    }
}
