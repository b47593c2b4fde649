//! Reading the source by itself: a dump of the same names, as JSON and as YAML.

use std::path::Path;
use std::process::Command;

use anyhow::ensure;
use dns_sync_core::SourceEvent;
use dns_syncd::source::{EndpointSource as _, FileSource, Select};
use serde::Serialize;

use super::Arguments;
use crate::child::{self, Usage};
use crate::workload::{Edition, Fleet};

/// One reading.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Reading {
    pub(super) form: &'static str,
    pub(super) names: u32,
    pub(super) addresses: u32,
    /// Of the file.
    pub(super) octets: u64,
    pub(super) usage: Usage,
}

pub(super) fn measure(arguments: &Arguments) -> anyhow::Result<Vec<Reading>> {
    let folder = tempfile::tempdir()?;
    let mut readings = Vec::new();
    for (&names, &addresses) in
        arguments.names.iter().flat_map(|names| arguments.addresses.iter().map(move |n| (names, n)))
    {
        let fleet = Fleet { services: names, clusters: addresses, zones: 1, edition: Edition::First };
        for (form, text) in [("JSON", fleet.json()), ("YAML", fleet.yaml())] {
            eprintln!("etcd: reading {names} names of {addresses} from {form}");
            // The ending of its name tells the form.
            let file = folder.path().join(format!("dump.{}", form.to_lowercase()));
            std::fs::write(&file, &text)?;
            for _ in 0..arguments.rounds {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg("read-source").arg(&file).arg(names.to_string());
                let usage = child::run(&command, &[0])?.usage;
                readings.push(Reading { form, names, addresses, octets: text.len() as u64, usage });
            }
        }
    }
    Ok(readings)
}

/// Reads a dump with the daemon's own reader and nothing else: what `dns-bench read-source` does.
///
/// # Errors
/// When it does not hold `services` services.
pub(crate) async fn read(file: &Path, services: usize) -> anyhow::Result<()> {
    let events = FileSource::new(file, Select::All).read_once().await?;
    let found = events.iter().map(count).max().unwrap_or_default();
    ensure!(found == services, "{}: {found} services were read instead of {services}", file.display());
    Ok(())
}

fn count(event: &SourceEvent) -> usize {
    match event {
        SourceEvent::Answer { answer, .. } => answer.services.len(),
        _ => 0,
    }
}
