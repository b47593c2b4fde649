//! Calls of Route 53: ours and the peer's on the same moto, counted in moto's own log of requests.
//!
//! The account of a real Route 53 grants five calls a second, so calls are what a pass costs there; the time of a pass
//! into moto is mostly moto's own, which looks through a Python list, and is shown only beside.

use std::fmt::Write as _;

use anyhow::ensure;
use clap::Args;
use dns_conformance::servers::Moto;
use serde::Serialize;

use crate::budget::Budget;
use crate::child::Usage;
use crate::machine::{self, Machine};
use crate::report::Report;
use crate::sides::{Ours, Peer};
use crate::table::{Table, count, mib, seconds};
use crate::workload::{Edition, Fleet, Levels, ZONE};

/// What to measure.
#[derive(Args, Clone, Debug)]
pub(crate) struct Arguments {
    /// Services, each with four names: global, region, two zones. With their TXT sets more than 1,999 are above the
    /// 10,000 sets that AWS grants a zone. moto cannot be asked for another quota, so ours would leave out what is above
    #[arg(long, default_value_t = 1_999)]
    services: u32,
    /// Measure without the peer
    #[arg(long)]
    no_peer: bool,
}

/// Calls a second that AWS grants an account. Source:
/// <https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DNSLimitations.html#limits-api-requests>.
const CALLS_A_SECOND: f64 = 5.0;

/// Values in one call. Source: as above, on `ChangeResourceRecordSets`.
const VALUES: u32 = 1_000;

/// The passes in their order, and what each finds in the source.
const STEPS: [(&str, Edition); 4] = [
    ("create", Edition::First),
    ("nothing to do", Edition::First),
    ("1 % change", Edition::Changed),
    ("delete", Edition::Gone),
];

/// What a zone is filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Workload {
    /// One cluster in two zones: every name has one address. This is what the budget speaks of.
    One,
    /// Two clusters, each in a zone of its own: the global name and the region's have two addresses.
    Two,
}

impl Workload {
    fn fleet(self, services: u32) -> Fleet {
        let (clusters, zones) = match self {
            Self::One => (1, 2),
            Self::Two => (2, 1),
        };
        Fleet { services, clusters, zones, edition: Edition::First }
    }

    /// Values that any client must write: addresses, and one value in the TXT set of each service.
    fn values(self, services: u32) -> u32 {
        self.fleet(services).addresses() + services
    }

    fn text(self) -> &'static str {
        match self {
            Self::One => "One address for each name: one cluster in two zones",
            Self::Two => "Two addresses for the global name and the region's: two clusters, each in a zone of its own",
        }
    }
}

/// Calls by what they do.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Calls {
    /// `ChangeResourceRecordSets`.
    change: u64,
    /// `ListResourceRecordSets`, one for each page.
    list: u64,
    /// Looking for the zone, its limits, tags and all else.
    other: u64,
    /// Of all of them, those that were answered with an error.
    failed: u64,
}

impl Calls {
    fn all(self) -> u64 {
        self.change + self.list + self.other
    }

    /// From a log of requests, each as `"METHOD PATH HTTP/1.1" CODE -`.
    fn count(log: &str) -> Self {
        let mut calls = Self::default();
        for line in log.lines() {
            let Some((method, rest)) = line.split_once('"').and_then(|(_, request)| request.split_once(' ')) else {
                continue;
            };
            let Some((path, rest)) = rest.split_once(' ') else { continue };
            let Some(code) = rest.split_once("\" ").and_then(|(_, rest)| rest.split(' ').next()) else { continue };
            if path.starts_with("/moto-api") {
                continue;
            }
            let of_records = path.split('?').next().is_some_and(|path| path.trim_end_matches('/').ends_with("/rrset"));
            match (method, of_records) {
                ("POST", true) => calls.change += 1,
                ("GET", true) => calls.list += 1,
                _ => calls.other += 1,
            }
            calls.failed += u64::from(!code.starts_with('2'));
        }
        calls
    }
}

/// One measured pass.
#[derive(Clone, Debug, Serialize)]
struct Pass {
    workload: Workload,
    side: &'static str,
    step: &'static str,
    calls: Calls,
    usage: Usage,
    load: f64,
}

/// Keys that moto takes, as it takes any.
const CREDENTIALS: [(&str, &str); 4] = [
    ("AWS_ACCESS_KEY_ID", "test"),
    ("AWS_SECRET_ACCESS_KEY", "test"),
    ("AWS_REGION", "us-east-1"),
    ("AWS_EC2_METADATA_DISABLED", "true"),
];

pub(crate) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let peer = if arguments.no_peer { None } else { Peer::find()? };
    let machine = Machine::here(["moto 5.2.5".to_owned()].into_iter().chain(peer.iter().map(Peer::version)));
    let mut passes = Vec::new();
    for workload in [Workload::One, Workload::Two] {
        let fleet = workload.fleet(arguments.services);
        let ours = |moto: &str, fleet| {
            let ours = Ours::new("aws-route53", &format!("endpoint-url = {moto}"), Levels::All)?;
            Ok(ours.apply(fleet, &CREDENTIALS)?.usage)
        };
        passes.extend(side_of("ours", workload, ours, fleet).await?);
        // The peer's calls for the other one tell nothing more, and take minutes.
        let Some(peer) = peer.as_ref().filter(|_| workload == Workload::One) else { continue };
        let peer = |moto: &str, fleet| {
            let variables = CREDENTIALS.iter().copied().chain([("AWS_ENDPOINT_URL", moto)]).collect::<Vec<_>>();
            Ok(peer.pass(fleet, Levels::All, &["--provider=aws", "--aws-zone-type=public"], &variables)?.usage)
        };
        passes.extend(side_of("peer", workload, peer, fleet).await?);
    }
    let report = Report {
        part: "route53",
        machine: machine.ended(),
        text: text(arguments, &passes, peer.is_some()),
        pictures: Vec::new(),
        budgets: budgets(arguments, &passes),
        data: passes,
    };
    report.publish()
}

/// The passes of one side on a moto of its own.
async fn side_of(
    side: &'static str,
    workload: Workload,
    pass: impl Fn(&str, Fleet) -> anyhow::Result<Usage>,
    fleet: Fleet,
) -> anyhow::Result<Vec<Pass>> {
    let moto = Moto::start().await;
    moto.create_zone(ZONE).await;
    let mut passes = Vec::new();
    for (step, edition) in STEPS {
        eprintln!("route53: {workload:?}, {side}, {step}");
        let (load, before) = (machine::load(), moto.log().len());
        let usage = pass(&moto.url(), Fleet { edition, ..fleet })?;
        let log = moto.log();
        let calls = Calls::count(log.get(before..).unwrap_or_default());
        ensure!(calls.all() > 0, "moto has logged no request; its log:\n{log}");
        passes.push(Pass { workload, side, step, calls, usage, load });
    }
    Ok(passes)
}

fn text(arguments: &Arguments, passes: &[Pass], with_peer: bool) -> String {
    let services = arguments.services;
    let mut text = format!(
        "{} services of one region, each with four names. `all at 5/s` is computed: all calls at the five a second that \
         AWS grants an account. AWS takes 1,000 values in a call.\n",
        count(u64::from(services)),
    );
    if !with_peer {
        text += "\nThe peer was not measured: there was no program (`--peer` builds it).\n";
    }
    for workload in [Workload::One, Workload::Two] {
        let head = ["pass, side", "changes", "lists", "others", "failed", "all at 5/s", "on moto", "CPU", "memory"];
        let mut table = Table::new(head);
        for (step, _) in STEPS {
            for pass in passes.iter().filter(|pass| (pass.workload, pass.step) == (workload, step)) {
                let Calls { change, list, other, failed } = pass.calls;
                #[expect(clippy::cast_precision_loss, reason = "calls and KiB")]
                let (calls, memory) = (pass.calls.all() as f64, mib(pass.usage.peak_kib as f64));
                let numbers = [change, list, other, failed].map(count);
                let times = [calls / CALLS_A_SECOND, pass.usage.wall, pass.usage.cpu].map(seconds);
                table.row([format!("{step}, {}", pass.side)].into_iter().chain(numbers).chain(times).chain([memory]));
            }
        }
        let values = workload.values(services);
        _ = write!(
            text,
            "\n{}. {} names, {} values with one TXT value for each service, so no client creates them in less than {} \
             calls.\n\n{}",
            workload.text(),
            count(u64::from(workload.fleet(services).names())),
            count(u64::from(values)),
            values.div_ceil(VALUES),
            table.markdown()
        );
    }
    text
}

/// Of the workload with one address, taken to 10,000 names: no zone holds so many beside their TXT sets unless AWS grants
/// it more.
fn budgets(arguments: &Arguments, passes: &[Pass]) -> Vec<Budget> {
    let is_it = |pass: &&Pass| (pass.workload, pass.side, pass.step) == (Workload::One, "ours", "create");
    let created = passes.iter().find(is_it).map(|pass| pass.calls);
    let names = Workload::One.fleet(arguments.services).names();
    #[expect(clippy::cast_precision_loss, reason = "calls")]
    let (changes, others) = (
        created.map(|calls| calls.change as f64 * 10_000.0 / f64::from(names)),
        created.map(|calls| (calls.list + calls.other) as f64),
    );
    let all = changes.zip(others).map(|(changes, others)| (changes + others) / CALLS_A_SECOND);
    let counted = created.map_or(0, |calls| calls.change);
    let show = |changes: f64| {
        format!(
            "{counted} for {} names: {changes:.1} (a test of the whole program counts 13 or 14)",
            count(names.into())
        )
    };
    vec![
        Budget::new("10,000 creates on Route 53, one address each", "≤ 14 change calls", changes, show, |changes| {
            changes <= 14.0
        }),
        Budget::new("– at 5 calls a second", "< 4 s", all, seconds, |all| all < 4.0),
    ]
}

#[cfg(test)]
mod tests {
    use super::Calls;

    #[test]
    fn calls_are_counted_by_what_they_do() {
        let log = "127.0.0.1 - - [21/Nov/2026 10:00:00] \"POST /2013-04-01/hostedzone/Z1/rrset/ HTTP/1.1\" 200 -\n\
                   127.0.0.1 - - [x] \"GET /2013-04-01/hostedzone/Z1/rrset?maxitems=300 HTTP/1.1\" 200 -\n\
                   127.0.0.1 - - [x] \"POST /2013-04-01/hostedzone/Z1/rrset HTTP/1.1\" 400 -\n\
                   127.0.0.1 - - [x] \"GET /2013-04-01/hostedzonesbyname HTTP/1.1\" 200 -\n\
                   127.0.0.1 - - [x] \"POST /moto-api/reset HTTP/1.1\" 200 -\n\
                   not a request \"at all\"\n";
        let calls = Calls::count(log);
        assert_eq!((calls.change, calls.list, calls.other, calls.failed, calls.all()), (2, 1, 1, 1, 4));
    }
}
