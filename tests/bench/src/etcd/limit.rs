//! The limit: what ours wrote, written by etcd's own client in full transactions, and nothing beside.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;
use dns_conformance::servers::{Etcd, EtcdVersion};

use super::{Keys, PREFIX, Pass, Side, Step, keys, since};
use crate::child;
use crate::machine;
use crate::sides::named;
use crate::trace::Stage;
use crate::workload::Fleet;

/// The program that writes.
#[derive(Debug)]
pub(super) struct Limit {
    program: PathBuf,
}

/// Transactions that are out at once: one as a plain client has it, and as many as make a loopback etcd fastest. Of the
/// two the faster is the limit.
const IN_FLIGHT: [&str; 2] = ["1", "16"];

impl Limit {
    pub(super) fn find() -> anyhow::Result<Self> {
        let program = named("BENCH_LIMIT_BIN")?;
        Ok(Self { program: program.context("BENCH_LIMIT_BIN is not set; hint: start with tests/bench/run")? })
    }

    /// Brings an empty etcd through the states that ours left, in the same four steps.
    pub(super) async fn round(&self, fleet: Fleet, states: &[Keys]) -> anyhow::Result<Vec<Pass>> {
        let mut fastest: Vec<Pass> = Vec::new();
        for in_flight in IN_FLIGHT {
            let passes = self.passes(fleet, states, in_flight).await?;
            let seconds = |pass: &Pass| pass.stage.map_or(f64::INFINITY, |stage| stage.seconds);
            if fastest.is_empty() {
                fastest = passes;
            } else {
                for (best, pass) in fastest.iter_mut().zip(passes) {
                    if seconds(&pass) < seconds(best) {
                        *best = pass;
                    }
                }
            }
        }
        Ok(fastest)
    }

    async fn passes(&self, fleet: Fleet, states: &[Keys], in_flight: &str) -> anyhow::Result<Vec<Pass>> {
        let etcd = Etcd::start(EtcdVersion::V3_6).await;
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("operations");
        let (nothing, mut old) = (Keys::new(), None);
        let mut passes = Vec::new();
        for (step, new) in Step::ALL.into_iter().zip(states) {
            let mut command = Command::new(&self.program);
            command.arg(etcd.url());
            if step == Step::Nothing {
                command.args(["read", PREFIX]);
            } else {
                std::fs::write(&file, operations(old.unwrap_or(&nothing), new))?;
                command.arg("write").arg(&file).arg(in_flight);
            }
            let (load, before) = (machine::load(), etcd.metrics().await);
            let ended = child::run(&command, &[0])?;
            let mut requests = since(&before, &etcd.metrics().await);
            // The one that only connects.
            if let Some(ranges) = requests.get_mut("Range") {
                *ranges -= 1;
            }
            let seconds = ended.stdout.trim().parse().context("what the limit's program printed")?;
            passes.push(Pass {
                side: Side::Limit,
                names: fleet.services,
                addresses: fleet.clusters,
                step,
                usage: ended.usage,
                stage: Some(Stage { calls: usize::try_from(requests.values().sum::<u64>())?, seconds }),
                writes: None,
                requests,
                keys: keys(&etcd).await?.len() as u64,
                load,
            });
            old = Some(new);
        }
        Ok(passes)
    }
}

/// What makes one state of the other, a line of JSON each.
fn operations(old: &Keys, new: &Keys) -> String {
    let mut text = String::new();
    for (key, value) in new {
        if old.get(key) != Some(value) {
            _ = writeln!(text, "{}", serde_json::json!({ "key": key, "value": value }));
        }
    }
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        _ = writeln!(text, "{}", serde_json::json!({ "key": key }));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_the_difference_of_two_states() {
        let keys = |pairs: &[(&str, &str)]| -> Keys { pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect() };
        let (old, new) = (keys(&[("a", "1"), ("b", "1"), ("c", "1")]), keys(&[("a", "1"), ("b", "2"), ("d", "1")]));
        let text = operations(&old, &new);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines, [r#"{"key":"b","value":"2"}"#, r#"{"key":"d","value":"1"}"#, r#"{"key":"c"}"#]);
    }
}
