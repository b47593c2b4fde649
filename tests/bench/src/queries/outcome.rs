//! Rates, times and memory, side by side.

use std::fmt::Write as _;

use serde::Serialize;

use super::perf::{Rate, Times, Transport};
use crate::budget::Budget;
use crate::spread::Spread;
use crate::svg::{Axis, Chart, Draw, Series};
use crate::table::{Table, count, mib, seconds, times};

/// Each measured for every server; true while names change.
const CASES: [(Transport, bool); 4] =
    [(Transport::Udp, false), (Transport::Udp, true), (Transport::Tcp, false), (Transport::Tcp, true)];

/// One server in one round.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Sample {
    pub(super) server: &'static str,
    pub(super) transport: Transport,
    pub(super) changing: bool,
    pub(super) rate: Rate,
    pub(super) times: Times,
    /// Changes a second that went in meanwhile.
    pub(super) changes: f64,
    pub(super) load: f64,
}

/// Resident memory of a server.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Memory {
    pub(super) server: &'static str,
    /// With all names, before the first question.
    pub(super) before_kib: u64,
    /// After the last one.
    pub(super) after_kib: u64,
    /// Of the etcd behind it.
    pub(super) etcd_kib: Option<u64>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Outcome {
    pub(super) names: u32,
    /// Questions a second while times were measured.
    pub(super) calm: u32,
    pub(super) samples: Vec<Sample>,
    pub(super) memory: Vec<Memory>,
}

impl Outcome {
    fn of(&self, server: &'static str, transport: Transport, changing: bool) -> impl Iterator<Item = &Sample> {
        let is_it =
            move |sample: &&Sample| (sample.server, sample.transport, sample.changing) == (server, transport, changing);
        self.samples.iter().filter(is_it)
    }

    fn rate(&self, server: &'static str, transport: Transport, changing: bool) -> Option<Spread> {
        Spread::of(self.of(server, transport, changing).map(|sample| sample.rate.per_second))
    }

    fn servers(&self) -> impl Iterator<Item = &'static str> {
        self.memory.iter().map(|memory| memory.server)
    }

    pub(super) fn text(&self) -> String {
        let head =
            ["server", "answers a second", "embedded is", "median", "p99", "most", "lost", "changes a second", "load"];
        let mut text = format!(
            "{} names with two addresses each, asked in an order without a pattern. Rates: as fast as the server answers a \
             hundred questions at a time from one thread of dnsperf, over 20 sockets. Times: at {} questions a second. \
             `embedded` and Knot keep a journal on disk, CoreDNS asks etcd for every question and has no cache here. Changes go \
             in ten at a time: into `embedded` as the daemon applies them, into etcd as transactions, into Knot as dynamic \
             updates. Lost are questions of both runs without an answer, or with another one than the names have.\n",
            count(u64::from(self.names)),
            count(u64::from(self.calm)),
        );
        for transport in [Transport::Udp, Transport::Tcp] {
            for changing in [false, true] {
                let mut table = Table::new(head);
                let ours = self.rate("embedded", transport, changing).map(|spread| spread.median);
                for server in self.servers() {
                    let samples: Vec<_> = self.of(server, transport, changing).collect();
                    let Some(rate) = self.rate(server, transport, changing) else { continue };
                    let spread = |read: fn(&Sample) -> f64| Spread::of(samples.iter().map(|sample| read(sample)));
                    let show = |read| spread(read).map_or(String::new(), |spread| seconds(spread.median));
                    let lost: u64 = samples.iter().map(|sample| sample.rate.lost.all() + sample.times.lost.all()).sum();
                    let changes = spread(|sample| sample.changes).map_or(0.0, |spread| spread.median);
                    let ratio = ours.filter(|_| server != "embedded").map(|ours| times(ours / rate.median));
                    table.row([
                        server.to_owned(),
                        rate.show(whole),
                        ratio.unwrap_or_default(),
                        show(|sample| sample.times.median),
                        show(|sample| sample.times.p99),
                        show(|sample| sample.times.most),
                        count(lost),
                        whole(changes),
                        spread(|sample| sample.load).map_or(String::new(), |spread| format!("{:.0}", spread.median)),
                    ]);
                }
                let transport = if transport == Transport::Udp { "UDP" } else { "TCP" };
                let state = if changing { "while names change" } else { "in rest" };
                _ = write!(text, "\n### {transport}, {state}\n\n{}", table.markdown());
            }
        }
        let mut table = Table::new(["server", "resident, before", "after", "etcd behind it"]);
        for memory in &self.memory {
            let kib = |kib: u64| mib(kib as f64);
            table.row([
                memory.server.to_owned(),
                kib(memory.before_kib),
                kib(memory.after_kib),
                memory.etcd_kib.map_or("–".to_owned(), kib),
            ]);
        }
        text + &format!("\n### Memory of the servers\n\n{}", table.markdown())
    }

    pub(super) fn budgets(&self) -> Vec<Budget> {
        let than = |server| {
            let ratio = move |(transport, changing)| {
                let [ours, theirs] = ["embedded", server].map(|server| self.rate(server, transport, changing));
                Some(ours?.median / theirs?.median)
            };
            CASES.into_iter().filter_map(ratio).reduce(f64::min)
        };
        let what = format!("`embedded`, {} names", count(u64::from(self.names)));
        let show = |least| format!("{} at least", times(least));
        vec![
            Budget::new(&what, "≥ 3× CoreDNS", than("CoreDNS on etcd"), show, |least| least >= 3.0),
            Budget::new("–", "≥ 1/2 of Knot", than("Knot"), show, |least| least >= 0.5),
        ]
    }

    pub(super) fn pictures(&self) -> Vec<(String, String)> {
        let series = self.servers().map(|server| Series {
            name: server.to_owned(),
            points: CASES
                .iter()
                .zip(1_u8..)
                .filter_map(|((transport, changing), place)| {
                    Some((f64::from(place), self.rate(server, *transport, *changing)?.median))
                })
                .collect(),
            draw: Draw::Line,
        });
        let chart = Chart {
            title: "Answers a second".to_owned(),
            x: Axis {
                label: "1: UDP in rest, 2: UDP changing, 3: TCP in rest, 4: TCP changing".to_owned(),
                logarithmic: false,
            },
            y: Axis { label: "answers a second".to_owned(), logarithmic: true },
            series: series.collect(),
        };
        vec![("queries.svg".to_owned(), chart.svg())]
    }
}

fn whole(value: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    count(value.round() as u64)
}
