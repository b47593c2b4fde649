//! Tables and pictures of the passes into etcd, and the budgets beside them.

use serde::Serialize;

use super::source::Reading;
use super::{Pass, Side, Step};
use crate::budget::Budget;
use crate::spread::Spread;
use crate::svg::{Axis, Chart, Draw, Series};
use crate::table::{Table, count, mib, seconds, times};

/// All that was measured.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    pub(super) passes: Vec<Pass>,
    pub(super) sources: Vec<Reading>,
    pub(super) with_peer: bool,
}

/// One row: the same pass of all sides.
#[derive(Clone, Copy, Debug)]
struct Row {
    names: u32,
    addresses: u32,
    step: Step,
}

/// Where a side did not run.
const NONE: &str = "–";

impl Outcome {
    pub(super) fn text(&self) -> String {
        let peer = if self.with_peer {
            ""
        } else {
            "\nThe peer was not measured: there was no program (`--peer` builds it).\n"
        };
        format!(
            "Time: median of all rounds, in brackets the fastest and the slowest.\n{peer}\n{}\n\
             What it took: requests as etcd counted them (ours has seven beside its work: the first of a connection, and a \
             leadership that is taken, watched and given back), processor time and peak memory of the process.\n\n{}\n\
             Reading the source alone, with the reader of the daemon:\n\n{}",
            self.times().markdown(),
            self.costs().markdown(),
            self.readings().markdown(),
        )
    }

    fn rows(&self) -> Vec<Row> {
        let ours = self.passes.iter().filter(|pass| pass.side == Side::Ours);
        let mut keys: Vec<_> = ours.map(|pass| (pass.addresses, pass.names, pass.step)).collect();
        keys.sort_unstable();
        keys.dedup();
        keys.into_iter().map(|(addresses, names, step)| Row { names, addresses, step }).collect()
    }

    fn passes(&self, row: Row, side: Side) -> impl Iterator<Item = &Pass> {
        let of = move |pass: &Pass| (pass.names, pass.addresses, pass.step) == (row.names, row.addresses, row.step);
        self.passes.iter().filter(move |pass| pass.side == side && of(pass))
    }

    fn spread(&self, row: Row, side: Side, value: impl Fn(&Pass) -> f64) -> Option<Spread> {
        Spread::of(self.passes(row, side).map(value))
    }

    fn wall(&self, row: Row, side: Side) -> Option<Spread> {
        // The limit is the requests alone, without the start of a process.
        self.spread(row, side, |pass| if side == Side::Limit { stage(pass) } else { pass.usage.wall })
    }

    fn stage(&self, row: Row) -> Option<Spread> {
        self.spread(row, Side::Ours, stage)
    }

    fn requests(&self, row: Row, side: Side) -> Option<u64> {
        self.passes(row, side).map(|pass| pass.requests.values().sum::<u64>()).max()
    }

    fn times(&self) -> Table {
        let mut table = Table::new([
            "names × addresses, pass",
            "ours",
            "peer",
            "limit",
            "peer : ours",
            "ours : limit",
            "ours at the host",
            "host : limit",
        ]);
        for row in self.rows() {
            let [ours, peer, limit] = [Side::Ours, Side::Peer, Side::Limit].map(|side| self.wall(row, side));
            let stage = self.stage(row);
            table.row([
                row.label(),
                shown(ours),
                shown(peer),
                shown(limit),
                ratio(peer, ours),
                ratio(ours, limit),
                shown(stage),
                ratio(stage, limit),
            ]);
        }
        table
    }

    fn costs(&self) -> Table {
        let mut table = Table::new([
            "names × addresses, pass",
            "requests ours",
            "peer",
            "limit",
            "CPU ours",
            "peer",
            "memory ours",
            "peer",
            "keys left ours",
            "peer",
        ]);
        for row in self.rows() {
            let requests = |side| self.requests(row, side).map_or_else(none, count);
            let cpu = |side| self.cpu(row, side).map_or_else(none, |spread| seconds(spread.median));
            let memory = |side| self.memory(row, side).map_or_else(none, |spread| mib(spread.median));
            let left = |side| self.passes(row, side).map(|pass| pass.keys).max().map_or_else(none, count);
            let (ours, peer) = (Side::Ours, Side::Peer);
            table.row([
                row.label(),
                requests(ours),
                requests(peer),
                requests(Side::Limit),
                cpu(ours),
                cpu(peer),
                memory(ours),
                memory(peer),
                left(ours),
                left(peer),
            ]);
        }
        table
    }

    fn cpu(&self, row: Row, side: Side) -> Option<Spread> {
        self.spread(row, side, |pass| pass.usage.cpu)
    }

    fn memory(&self, row: Row, side: Side) -> Option<Spread> {
        self.spread(row, side, |pass| whole(pass.usage.peak_kib))
    }

    fn readings(&self) -> Table {
        let mut table = Table::new(["names × addresses, form", "file", "wall", "CPU", "memory"]);
        let mut kinds: Vec<_> = self.sources.iter().map(|one| (one.addresses, one.names, one.form)).collect();
        kinds.sort_unstable();
        kinds.dedup();
        for (addresses, names, form) in kinds {
            let of = |one: &&Reading| (one.addresses, one.names, one.form) == (addresses, names, form);
            let spread = |value: fn(&Reading) -> f64| Spread::of(self.sources.iter().filter(of).map(value));
            let octets = self.sources.iter().find(of).map_or(0, |one| one.octets);
            table.row([
                format!("{} × {addresses}, {form}", count(u64::from(names))),
                format!("{:.1} MiB", whole(i64::try_from(octets).unwrap_or_default()) / 1_048_576.0),
                shown(spread(|one| one.usage.wall)),
                shown(spread(|one| one.usage.cpu)),
                spread(|one| whole(one.usage.peak_kib)).map_or_else(none, |spread| mib(spread.median)),
            ]);
        }
        table
    }

    /// The budgets of a pass.
    pub(super) fn budgets(&self) -> Vec<Budget> {
        let row = |names, step| Row { names, addresses: 2, step };
        let median = |spread: Option<Spread>| spread.map(|spread| spread.median);
        let faster = |row| Some(median(self.wall(row, Side::Peer))? / median(self.wall(row, Side::Ours))?);
        let at_least = |least: f64| move |found: f64| found >= least;
        let at_most = |most: f64| move |found: f64| found <= most;
        let plain = |value: f64| format!("{value:.0}");
        let (ten, fifty) = (row(10_000, Step::Create), row(50_000, Step::Create));
        let (nothing, delete) = (row(50_000, Step::Nothing), row(50_000, Step::Delete));
        let stage = |row| Some(median(self.stage(row))? / median(self.wall(row, Side::Limit))?);
        let transactions = |row| {
            let of = |pass: &Pass| pass.requests.get("Txn").copied().unwrap_or_default();
            self.passes(row, Side::Ours).map(of).max().map(precise)
        };
        let memory = |row| Some(median(self.memory(row, Side::Peer))? / median(self.memory(row, Side::Ours))?);
        let cpu = |row| Some(median(self.cpu(row, Side::Peer))? / median(self.cpu(row, Side::Ours))?);
        let writes =
            self.passes(nothing, Side::Ours).filter_map(|pass| pass.writes).max().map(|count| precise(count as u64));
        let left = self.passes(delete, Side::Ours).map(|pass| pass.keys).max().map(precise);
        let new = |what, budget, found, show: &dyn Fn(f64) -> String, met: &dyn Fn(f64) -> bool| {
            Budget::new(what, budget, found, show, met)
        };
        let part = |ratio: f64| format!("1/{ratio:.1}");
        vec![
            new("10,000 names into an empty etcd", "≥ 40× faster than the peer", faster(ten), &times, &at_least(40.0)),
            new("– its writes", "≤ 2× the limit", stage(ten), &times, &at_most(2.0)),
            new("– its transactions", "≤ 170", transactions(ten), &plain, &at_most(170.0)),
            new("50,000 names", "≥ 60× faster than the peer", faster(fifty), &times, &at_least(60.0)),
            new("– its memory", "≤ 1/3 of the peer's", memory(fifty), &part, &at_least(3.0)),
            new("nothing to do, 50,000 names, one pass", "≥ 20× less CPU", cpu(nothing), &times, &at_least(20.0)),
            new("– its writes", "0", writes, &plain, &at_most(0.0)),
            new("1 % of 50,000 names", "≥ 20× faster", faster(row(50_000, Step::Change)), &times, &at_least(20.0)),
            new("50,000 names deleted", "≥ 40× faster", faster(delete), &times, &at_least(40.0)),
            new("– keys left", "0", left, &plain, &at_most(0.0)),
        ]
    }

    pub(super) fn pictures(&self) -> Vec<(String, String)> {
        let steps =
            [(Step::Create, "create", "All names are new"), (Step::Change, "change", "1 % of the names change")];
        let picture = |(step, file, title): (Step, &str, &str)| {
            let rows: Vec<_> = self.rows().into_iter().filter(|row| row.step == step && row.addresses == 2).collect();
            let series = [("dns-syncd", Side::Ours), ("external-dns", Side::Peer), ("etcd's limit", Side::Limit)];
            let series = series.map(|(name, side)| {
                let point = |row: &Row| Some((f64::from(row.names), self.wall(*row, side)?.median));
                Series { name: name.to_owned(), points: rows.iter().filter_map(point).collect(), draw: Draw::Line }
            });
            let axis = |label: &str| Axis { label: label.to_owned(), logarithmic: true };
            let chart = Chart {
                title: format!("{title}, two addresses each: seconds of a whole pass"),
                x: axis("names"),
                y: axis("seconds"),
                series: series.into_iter().filter(|series| !series.points.is_empty()).collect(),
            };
            (format!("etcd-{file}.svg"), chart.svg())
        };
        steps.map(picture).into()
    }
}

impl Row {
    fn label(self) -> String {
        let step = match self.step {
            Step::Create => "create",
            Step::Nothing => "nothing to do",
            Step::Change => "1 % change",
            Step::Delete => "delete",
        };
        format!("{} × {}, {step}", count(u64::from(self.names)), self.addresses)
    }
}

fn stage(pass: &Pass) -> f64 {
    pass.stage.map_or(0.0, |stage| stage.seconds)
}

fn shown(spread: Option<Spread>) -> String {
    spread.map_or_else(none, |spread| spread.show(seconds))
}

fn ratio(more: Option<Spread>, less: Option<Spread>) -> String {
    let ratio = more.zip(less).filter(|(_, less)| less.median > 0.0);
    ratio.map_or_else(none, |(more, less)| times(more.median / less.median))
}

fn none() -> String {
    NONE.to_owned()
}

#[expect(clippy::cast_precision_loss, reason = "KiB and counts, far below 2^52")]
fn whole(value: i64) -> f64 {
    value as f64
}

#[expect(clippy::cast_precision_loss, reason = "a count, far below 2^52")]
fn precise(count: u64) -> f64 {
    count as f64
}
