//! What the points say: tables, orders of growth, curves.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::failover::{Failover, Meaning};
use super::on_etcd::Pass;
use super::point::Point;
use crate::budget::Budget;
use crate::spread::Spread;
use crate::svg::{Axis, Chart, Draw, Series};
use crate::table::{Table, count, mib, seconds};

/// A series of points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Shape {
    pub(crate) clusters: u32,
    pub(crate) copies: u32,
    pub(crate) name: &'static str,
}

/// The rounds of one point.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) shape: Shape,
    pub(crate) points: Vec<Point>,
    /// Load average before each round.
    pub(crate) loads: Vec<f64>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Outcome {
    pub(crate) measured: Vec<Measured>,
    /// Services of points that would not have fitted into the memory.
    pub(crate) left_out: BTreeMap<&'static str, Vec<u32>>,
    pub(crate) failovers: Vec<Failover>,
    pub(crate) on_etcd: Vec<Pass>,
}

/// Something that is read off a point.
type Reading = fn(&Point) -> f64;
/// File, title, unit, what is shown with the ends of its names, and a factor.
type Picture = (&'static str, &'static str, &'static str, &'static [(&'static str, Reading)], f64);

/// Below this many services fixed costs blur how the rest grows.
const ORDER_FROM: u32 = 10_000;

const START: Reading = |point| point.start;
const FILL: Reading = |point| point.fill;
const FILL_WAKING: Reading = |point| point.fill_waking;
const BYTES: Reading = |point| point.bytes as f64 / point.sets as f64;
const CHANGE: Reading = |point| point.change[0];
const CHANGE_P99: Reading = |point| point.change[1];
const LOST: Reading = |point| point.lost_plan + point.lost_write;
const LOST_WAKING: Reading = |point| point.lost_waking;

impl Measured {
    fn spread(&self, read: Reading) -> Option<Spread> {
        Spread::of(self.points.iter().map(read))
    }

    fn median(&self, read: Reading) -> f64 {
        self.spread(read).map_or(0.0, |spread| spread.median)
    }

    fn services(&self) -> u32 {
        self.points.first().map_or(0, |point| point.fleet.services)
    }
}

impl Outcome {
    fn shapes(&self) -> Vec<Shape> {
        let mut shapes: Vec<_> = self.measured.iter().map(|measured| measured.shape).collect();
        shapes.dedup();
        shapes
    }

    fn of(&self, shape: Shape) -> impl Iterator<Item = &Measured> {
        self.measured.iter().filter(move |measured| measured.shape == shape)
    }

    //----------- Text -------------------------------------------------------

    pub(crate) fn text(&self) -> String {
        let once = if self.measured.iter().any(|measured| measured.services() > super::REPEATED_TO) {
            format!(", points above {} services were measured once", count(u64::from(super::REPEATED_TO)))
        } else {
            String::new()
        };
        let mut text = format!(
            "Every service has three names (global, region, zone), each with an address of every cluster in which it is. \
             Times are CPU time of the decisions, which run on one core and wait for nothing, without the host; brackets hold the least and the most of several \
             rounds{once}. \
             *Start* is a start at a zone in which everything stands; *fill* writes an empty one, in batches of 64 sets; \
             *one change* is one service whose health changes, from the event to the recorded outcome; *cluster lost* plans \
             and hands out every change that follows from it. *Waking* is the part of the last two in which the loop asks, \
             after each batch, when to look again. Memory is what the core has allocated after a start; the peak is that of \
             the whole process and includes the memory provider that stands for the host.\n",
        );
        for shape in self.shapes() {
            let head = [
                "services",
                "sets",
                "start",
                "fill",
                "+ waking",
                "bytes per set",
                "peak",
                "one change",
                "p99",
                "cluster lost",
                "+ waking",
                "sets changed",
                "load",
            ];
            let mut table = Table::new(head);
            for measured in self.of(shape) {
                let Some(point) = measured.points.last() else { continue };
                let show = |read| measured.spread(read).map_or(String::new(), |spread| spread.show(seconds));
                let micros = |read| format!("{:.0} µs", measured.median(read) * 1e6);
                let load = measured.loads.iter().copied().fold(0.0, f64::max);
                table.row([
                    count(u64::from(point.fleet.services)),
                    count(point.sets),
                    show(START),
                    show(FILL),
                    seconds(measured.median(FILL_WAKING)),
                    format!("{:.0}", measured.median(BYTES)),
                    mib(measured.median(|point| point.peak_kib as f64)),
                    micros(CHANGE),
                    micros(CHANGE_P99),
                    show(LOST),
                    seconds(measured.median(LOST_WAKING)),
                    count(point.lost_changes),
                    format!("{load:.0}"),
                ]);
            }
            _ = write!(text, "\n### {}\n\n{}", shape.name, table.markdown());
            if let Some(services) = self.left_out.get(shape.name) {
                let services: Vec<_> = services.iter().map(|services| count(u64::from(*services))).collect();
                _ = write!(text, "\nLeft out, because the memory would not do: {} services.\n", services.join(", "));
            }
        }
        _ = write!(text, "\n### Orders\n\n{}\n{}", ORDERS, self.orders().markdown());
        text + &self.failover_text()
    }

    /// What a growth that the budgets name may be at most, as the exponent of the number of services: caches make flat
    /// things grow a little, and sorting linear ones.
    pub(crate) fn budgets(&self) -> Vec<Budget> {
        const FLAT: f64 = 0.25;
        const LINEAR: f64 = 1.25;
        let mut budgets = Vec::new();
        for shape in self.shapes() {
            let points = || self.of(shape).filter_map(|measured| measured.points.last());
            let Some(largest) = points().max_by_key(|point| point.sets) else { continue };
            let bytes = Some(largest).filter(|point| point.sets >= 50_000).map(BYTES);
            let what = format!("memory of the core, {} sets, {}", count(largest.sets), shape.name);
            let show = |bytes: f64| format!("{:.2} KiB a set", bytes / 1024.0);
            budgets.push(Budget::new(&what, "< 1.5 KiB a set", bytes, show, |bytes| bytes < 1536.0));
        }
        for shape in self.shapes().into_iter().filter(|shape| shape.clusters == 20) {
            let services = self.of(shape).map(Measured::services).max().unwrap_or_default();
            let power = |slope: f64| format!("n^{slope:.2}, up to {} services", count(u64::from(services)));
            let what = |what: &str| format!("{what}, {}", shape.name);
            let mut row = |name: &str, budget: &str, read: Reading, most: f64| {
                let mut budget =
                    Budget::new(&what(name), budget, self.order(shape, read), power, |slope| slope <= most);
                // Only up to there is it promised.
                budget.met = budget.met.filter(|_| services >= 1_000_000);
                budgets.push(budget);
            };
            row("one changed service of up to 1,000,000", "costs the same: ≤ n^0.25", CHANGE, FLAT);
            row("a start with up to 1,000,000 services", "linear: ≤ n^1.25", START, LINEAR);
        }
        budgets
    }

    /// The exponent with which something grows with the services.
    fn order(&self, shape: Shape, read: Reading) -> Option<f64> {
        let large = self.of(shape).filter(|measured| measured.services() >= ORDER_FROM);
        slope(&large.map(|one| (f64::from(one.services()), one.median(read))).collect::<Vec<_>>())
    }

    /// The slopes in log-log.
    fn orders(&self) -> Table {
        let readings: [(&str, Reading); 7] = [
            ("start", START),
            ("fill", FILL),
            ("fill, waking", FILL_WAKING),
            ("bytes per set", BYTES),
            ("one change", CHANGE),
            ("cluster lost", LOST),
            ("cluster lost, waking", LOST_WAKING),
        ];
        let shapes = self.shapes();
        let mut table = Table::new(std::iter::once("what").chain(shapes.iter().map(|shape| shape.name)));
        for (name, read) in readings {
            let cell =
                |shape: &Shape| self.order(*shape, read).map_or("–".to_owned(), |slope| format!("n^{slope:.2}"));
            table.row(std::iter::once(name.to_owned()).chain(shapes.iter().map(cell)));
        }
        table
    }

    fn failover_text(&self) -> String {
        let mut text = String::new();
        if let Some(last) = self.on_etcd.last() {
            let spread = |read: fn(&Pass) -> f64| Spread::of(self.on_etcd.iter().map(read));
            let show = |spread: Option<Spread>| spread.map_or(String::new(), |spread| spread.show(seconds));
            let writes = |pass: &Pass| pass.writes.map_or(0.0, |stage| stage.seconds);
            _ = write!(
                text,
                "\n### {} failovers\n\nAt etcd, measured: `dns-syncd apply` on a dump of {} services in two zones of a region, \
                 one cluster of which has long been gone. {} sets are changed in {} transactions; the pass takes {}, of which \
                 the writes are {}; CPU {}, peak memory {}.\n",
                count(u64::from(last.services)),
                count(u64::from(last.services)),
                count(last.changes as u64),
                count(last.transactions),
                show(spread(|pass| pass.wall)),
                show(spread(writes)),
                show(spread(|pass| pass.cpu)),
                mib(last.peak_kib as f64),
            );
        }
        let Some(first) = self.failovers.first() else { return text };
        _ = write!(
            text,
            "\nAt each host, calculated: the calls are those that the core hands out for the sizes and costs of the real \
             provider, the times are these calls at the rates that it keeps (no time of the network is in it). {} services \
             fail over, each with a zone name that is empty until it is written and two names that keep an address, while \
             {} new services wait; so many services need a larger quota than new zones of the clouds have. The last \
             columns say when the last change of a kind is written: names of which all addresses are dead, names of which \
             some are, new names.\n\n",
            count(u64::from(first.services)),
            count(u64::from(first.waiting)),
        );
        let mut table = Table::new(["host", "calls", "all done", "all dead", "some dead", "new"]);
        for failover in &self.failovers {
            let at = |meaning| {
                let Some(place) = failover.places.get(&meaning) else { return "–".to_owned() };
                let call = format!("call {}", count(place.last_call));
                place.last_second.map_or(call.clone(), |second| format!("{call}, {}", long(second)))
            };
            table.row([
                failover.provider.to_owned(),
                count(failover.calls),
                failover.seconds.map_or("as fast as it takes them".to_owned(), long),
                at(Meaning::AllDead),
                at(Meaning::SomeDead),
                at(Meaning::New),
            ]);
        }
        text += &table.markdown();
        let empty = |failover: &Failover| failover.places.get(&Meaning::AllDead).and_then(|place| place.last_second);
        let slowest = self.failovers.iter().filter_map(|failover| Some((failover, failover.seconds?)));
        if let Some((failover, all)) = slowest.max_by(|a, b| a.1.total_cmp(&b.1))
            && let Some(empty) = empty(failover)
        {
            _ = write!(
                text,
                "\nThe slowest, {}, needs {} for all of it; the last name without a living address is right again after {}.\n",
                failover.provider,
                long(all),
                long(empty),
            );
        }
        text
    }

    //----------- Pictures ---------------------------------------------------

    pub(crate) fn pictures(&self) -> Vec<(String, String)> {
        let charts: [Picture; 4] = [
            ("start", "Start at a full zone", "seconds", &[("", START)], 1.0),
            ("memory", "Memory of the core", "bytes per record set", &[("", BYTES)], 1.0),
            ("change", "One changed service", "microseconds", &[("", CHANGE)], 1e6),
            ("lost", "A cluster is lost", "seconds", &[("", LOST), (", waking", LOST_WAKING)], 1.0),
        ];
        let picture = |(file, title, unit, readings, factor): Picture| {
            let series = self.shapes().into_iter().flat_map(|shape| {
                readings.iter().map(move |(suffix, read)| Series {
                    name: format!("{}{suffix}", shape.name),
                    points: self.of(shape).map(|one| (f64::from(one.services()), one.median(*read) * factor)).collect(),
                    draw: Draw::Line,
                })
            });
            let axis = |label: &str| Axis { label: label.to_owned(), logarithmic: true };
            let series = series.collect();
            let chart = Chart { title: title.to_owned(), x: axis("services"), y: axis(unit), series };
            (format!("growth-{file}.svg"), chart.svg())
        };
        charts.map(picture).into()
    }
}

const ORDERS: &str = "The exponent with which each grows with the services, fitted over the points from 10,000 services on: \
                      1 is linear, 0 does not grow.\n";

/// The exponent of the power of x that fits best, by least squares of the logarithms.
fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let points: Vec<_> = points.iter().filter(|(x, y)| *x > 0.0 && *y > 0.0).map(|(x, y)| (x.ln(), y.ln())).collect();
    let n = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let above: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let below: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    (points.len() >= 2 && below > 0.0).then(|| above / below)
}

/// Seconds, minutes or hours.
fn long(value: f64) -> String {
    match value {
        _ if value < 120.0 => seconds(value),
        _ if value < 7200.0 => format!("{:.0} min", value / 60.0),
        _ => format!("{:.1} h", value / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_a_power_is_its_exponent() {
        let of = |power: f64| [10.0, 100.0, 1000.0].map(|x: f64| (x, 3.0 * x.powf(power)));
        for power in [0.0, 1.0, 1.5, 2.0] {
            let slope = slope(&of(power)).expect("three points");
            assert!((slope - power).abs() < 1e-9, "{power}: {slope}");
        }
        assert_eq!(slope(&[(1.0, 1.0)]), None);
    }
}
