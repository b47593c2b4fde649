//! What was seen: percentiles by stage, counts, a histogram.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::budget::Budget;
use crate::spread::percentile;
use crate::svg::{Axis, Chart, Draw, Series};
use crate::table::{Table, count, mib, seconds};

/// One change, in seconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Change {
    /// From the request to the answer of the API server: the change is stored.
    pub(super) request: f64,
    /// From then until a watch of etcd sees the record's key: the daemon hears, plans and writes.
    pub(super) write: f64,
    /// From then until a DNS client has the answer.
    pub(super) serve: f64,
    /// From when it is stored to the answer.
    pub(super) total: f64,
    /// From the request to the answer.
    pub(super) from_request: f64,
}

/// A start of the daemon.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Start {
    /// Seconds until it was ready.
    pub(super) ready: f64,
    /// Seconds until everything was written.
    pub(super) settled: f64,
    pub(super) resident_kib: u64,
    /// Seconds of CPU until then.
    pub(super) cpu: f64,
    pub(super) load: f64,
}

/// What was asked while services changed and nobody asked CoreDNS.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Counted {
    pub(super) changes: u32,
    /// Requests that etcd handled, by gRPC method.
    pub(super) requests: BTreeMap<String, u64>,
    /// Lists of services, slices and nodes that the API server answered.
    pub(super) lists: u64,
    pub(super) seconds: f64,
}

/// A name, and what is read off a change.
type Stage = (&'static str, fn(&Change) -> f64);

#[derive(Clone, Debug, Serialize)]
pub(super) struct Outcome {
    pub(super) services: u32,
    pub(super) empty: Start,
    pub(super) full: Start,
    pub(super) counted: Counted,
    pub(super) changes: Vec<Change>,
    /// Mean seconds of the daemon's own stages, each since its source told the change.
    pub(super) inside: BTreeMap<&'static str, f64>,
    /// Seconds of the daemon's CPU for all changes.
    pub(super) cpu: f64,
    pub(super) loads: Vec<f64>,
}

impl Outcome {
    fn sorted(&self, read: impl Fn(&Change) -> f64) -> Vec<f64> {
        let mut values: Vec<_> = self.changes.iter().map(read).collect();
        values.sort_by(f64::total_cmp);
        values
    }

    pub(super) fn text(&self) -> String {
        let mut table = Table::new(["stage", "median", "p90", "p99", "p99.9", "most"]);
        let rows: [Stage; 5] = [
            ("request: the API server stores the change", |change| change.request),
            ("watch, plan, write: until etcd's watchers see it", |change| change.write),
            ("served: until a client has the answer", |change| change.serve),
            ("**event to answer**: from stored to answered", |change| change.total),
            ("from the request to the answer", |change| change.from_request),
        ];
        for (name, read) in rows {
            let values = self.sorted(read);
            let at = |share| seconds(percentile(&values, share));
            table.row([name.to_owned(), at(0.5), at(0.9), at(0.99), at(0.999), at(1.0)]);
        }
        let [seen, planned, written] = ["seen", "planned", "written"].map(|stage| self.inside.get(stage).copied());
        let [seen, planned, written] = [seen, planned, written].map(Option::unwrap_or_default);
        let values = self.sorted(|change| change.write);
        let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
        let heard = (mean - written).max(0.0);
        let least = self.loads.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.loads.iter().copied().fold(0.0, f64::max);
        let mut text = format!(
            "One service of {} gets another address, {} times, one after the other; the client asks CoreDNS anew {} µs after \
             each wrong answer. Load average {least:.1} to {most:.1} meanwhile.\n\n{}\n",
            count(u64::from(self.services)),
            count(self.changes.len() as u64),
            super::ask::PAUSE.as_micros(),
            table.markdown(),
        );
        _ = write!(
            text,
            "The daemon's own histograms, on average from when the watch told it (which is often before the API server has \
             answered the one who made the change; {} of the second row on average are before that): {} until the engine has \
             taken it in, {} to plan, {} to write. The daemon needs {} of CPU for a change.\n\n",
            seconds(heard),
            seconds(seen),
            seconds(planned - seen),
            seconds(written - planned),
            seconds(self.cpu / self.changes.len().max(1) as f64),
        );
        let requests = self.counted.requests.iter().map(|(method, number)| format!("{number} {method}"));
        _ = write!(
            text,
            "Counted over {} changes while nobody asks CoreDNS: etcd handles {} (its own metrics; a watch counts when it \
             ends), the API server {} lists of services, slices and nodes.\n\n",
            count(u64::from(self.counted.changes)),
            requests.collect::<Vec<_>>().join(", "),
            self.counted.lists,
        );
        let mut starts = Table::new(["start", "ready", "all written", "CPU", "resident", "load"]);
        for (name, start) in [("at an empty zone", self.empty), ("at the full zone", self.full)] {
            starts.row([
                name.to_owned(),
                seconds(start.ready),
                seconds(start.settled),
                seconds(start.cpu),
                mib(start.resident_kib as f64),
                format!("{:.0}", start.load),
            ]);
        }
        text + &starts.markdown()
    }

    pub(super) fn budgets(&self) -> Vec<Budget> {
        let totals = self.sorted(|change| change.total);
        let at = |share| (!totals.is_empty()).then(|| percentile(&totals, share));
        let requests: u64 = self.counted.requests.values().sum();
        let each = requests as f64 / f64::from(self.counted.changes.max(1));
        let what = format!("one service of {} changes, daemon on a live API server", count(u64::from(self.services)));
        vec![
            Budget::new(&what, "1 transaction", Some(each), |each| format!("{each:.2} requests"), |each| each <= 1.0),
            Budget::new(
                "– lists",
                "0",
                Some(self.counted.lists as f64),
                |lists| format!("{lists:.0}"),
                |lists| lists <= 0.0,
            ),
            Budget::new("– from the event to the answer, median", "≤ 10 ms", at(0.5), seconds, |time| {
                time <= 0.010
            }),
            Budget::new("– 99th percentile", "≤ 50 ms", at(0.99), seconds, |time| time <= 0.050),
        ]
    }

    pub(super) fn pictures(&self) -> Vec<(String, String)> {
        let stages: [Stage; 3] = [
            ("watch, plan, write", |change| change.write),
            ("served", |change| change.serve),
            ("event to answer", |change| change.total),
        ];
        let axis = |label: &str| Axis { label: label.to_owned(), logarithmic: false };
        let most = percentile(&self.sorted(|change| change.total), 0.995) * 1e3;
        let of_stage = |(name, read): Stage| Chart {
            title: format!("{name}, {} changes", self.changes.len()),
            x: axis("milliseconds"),
            y: axis("changes"),
            series: vec![Series { name: name.to_owned(), points: bars(&self.sorted(read), most), draw: Draw::Bars }],
        };
        let file = |name: &str| format!("latency-{}.svg", name.replace(", ", "-").replace(' ', "-"));
        stages.into_iter().map(|stage| (file(stage.0), of_stage(stage).svg())).collect()
    }
}

/// A histogram of forty bars up to `most` milliseconds; what lies above is in the last one.
fn bars(values: &[f64], most: f64) -> Vec<(f64, f64)> {
    const BARS: usize = 40;
    let width = most.max(1e-3) / BARS as f64;
    let mut counts = [0_u32; BARS];
    for value in values {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
        let place = (value * 1e3 / width) as usize;
        counts[place.min(BARS - 1)] += 1;
    }
    let bars = counts.iter().enumerate().map(|(place, count)| (place as f64 * width, f64::from(*count)));
    bars.chain([(most, 0.0)]).collect()
}
