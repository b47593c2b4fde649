//! Calls of Route 53: ours and the peer's on the same moto, counted in moto's own log of requests.
//!
//! The account of a real Route 53 grants five calls a second, so calls are what a pass costs there; the time of a pass
//! into moto is mostly moto's own, which looks through a Python list, and is shown only beside.

use anyhow::ensure;
use clap::Args;
use dns_conformance::servers::Moto;
use serde::Serialize;

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
    /// 10,000 sets that AWS grants a zone, and ours leaves out what is above
    #[arg(long, default_value_t = 1_999)]
    services: u32,
    /// Measure without the peer
    #[arg(long)]
    no_peer: bool,
}

/// Calls a second that AWS grants an account. Source:
/// <https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DNSLimitations.html#limits-api-requests>.
const CALLS_A_SECOND: f64 = 5.0;

/// The passes in their order, and what each finds in the source.
const STEPS: [(&str, Edition); 4] = [
    ("create", Edition::First),
    ("nothing to do", Edition::First),
    ("1 % change", Edition::Changed),
    ("delete", Edition::Gone),
];

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
    let fleet = Fleet { services: arguments.services, clusters: 2, edition: Edition::First };
    let mut passes = side_of(
        "ours",
        |moto, fleet| {
            let ours = Ours::new("aws-route53", &format!("endpoint-url = {moto}"), Levels::All)?;
            Ok(ours.apply(fleet, &CREDENTIALS)?.usage)
        },
        fleet,
    )
    .await?;
    if let Some(peer) = &peer {
        passes.extend(
            side_of(
                "peer",
                |moto, fleet| {
                    let variables = CREDENTIALS.iter().copied().chain([("AWS_ENDPOINT_URL", moto)]).collect::<Vec<_>>();
                    Ok(peer.pass(fleet, Levels::All, &["--provider=aws", "--aws-zone-type=public"], &variables)?.usage)
                },
                fleet,
            )
            .await?,
        );
    }
    let report = Report {
        part: "route53",
        machine: machine.ended(),
        text: text(arguments, &passes, peer.is_some()),
        pictures: Vec::new(),
        data: passes,
    };
    report.publish()
}

/// The passes of one side on a moto of its own.
async fn side_of(
    side: &'static str,
    pass: impl Fn(&str, Fleet) -> anyhow::Result<Usage>,
    fleet: Fleet,
) -> anyhow::Result<Vec<Pass>> {
    let moto = Moto::start().await;
    moto.create_zone(ZONE).await;
    let mut passes = Vec::new();
    for (step, edition) in STEPS {
        eprintln!("route53: {side}, {step}");
        let (load, before) = (machine::load(), moto.log().len());
        let usage = pass(&moto.url(), Fleet { edition, ..fleet })?;
        let log = moto.log();
        let calls = Calls::count(log.get(before..).unwrap_or_default());
        ensure!(calls.all() > 0, "moto has logged no request; its log:\n{log}");
        passes.push(Pass { side, step, calls, usage, load });
    }
    Ok(passes)
}

fn text(arguments: &Arguments, passes: &[Pass], with_peer: bool) -> String {
    let names = u64::from(arguments.services) * 4;
    let mut table =
        Table::new(["pass, side", "changes", "lists", "others", "failed", "all at 5/s", "on moto", "CPU", "memory"]);
    for (step, _) in STEPS {
        for pass in passes.iter().filter(|pass| pass.step == step) {
            let Calls { change, list, other, failed } = pass.calls;
            let calls = f64::from(u32::try_from(pass.calls.all()).unwrap_or(u32::MAX));
            #[expect(clippy::cast_precision_loss, reason = "KiB")]
            let memory = mib(pass.usage.peak_kib as f64);
            let numbers = [change, list, other, failed].map(count);
            let times = [calls / CALLS_A_SECOND, pass.usage.wall, pass.usage.cpu].map(seconds);
            table.row([format!("{step}, {}", pass.side)].into_iter().chain(numbers).chain(times).chain([memory]));
        }
    }
    let created = passes.iter().find(|pass| pass.side == "ours" && pass.step == "create");
    // Six addresses of a service and the one value of its TXT set; AWS takes 1,000 values in a call.
    let floor = (u64::from(arguments.services) * 7).div_ceil(1_000);
    let mut budgets = Table::new(["budget", "found", "met"]);
    if let Some(Pass { calls, .. }) = created {
        // The budgets are for 10,000 names, which no zone holds beside their TXT sets unless AWS grants it more.
        let scale = |calls: u64| {
            f64::from(u32::try_from(calls).unwrap_or(u32::MAX)) * 10_000.0 / (f64::from(arguments.services) * 4.0)
        };
        let verdict = |met: bool| if met { "yes" } else { "no" }.to_owned();
        let (changes, all) = (scale(calls.change), scale(calls.all()) / CALLS_A_SECOND);
        let found = format!("{} for {}, {changes:.1} for 10,000", calls.change, count(names));
        budgets.row(["10,000 created: ≤ 14 change calls".to_owned(), found, verdict(changes <= 14.0)]);
        budgets.row(["10,000 created: < 4 s at 5 calls a second".to_owned(), seconds(all), verdict(all < 4.0)]);
    }
    let peer = if with_peer { "" } else { "The peer was not measured: there was no program (`--peer` builds it).\n\n" };
    format!(
        "{} services in two zones of one region: {} names, four for each. `all at 5/s` is computed: all calls at the \
         five a second that AWS grants an account. They have {} addresses, which with one TXT value for each service \
         no client creates in less than {floor} calls of 1,000 values.\n\n{peer}{}\nBudgets:\n\n{}",
        count(u64::from(arguments.services)),
        count(names),
        count(u64::from(arguments.services) * 6),
        table.markdown(),
        budgets.markdown()
    )
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
