//! Why a name has its records, for people.

use std::fmt::Write as _;

use dns_sync_core::Timestamp;
use dns_syncd::explain::{ChangeView, ClusterView, DesiredView, Explanation, HeldSet, PastChange, SetView};
use serde::Serialize;

use super::answers::{ServerAnswer, servers};
use super::clusters::status;
use super::style::{ASIDE, CHANGED, GOOD, HEAD, paint};
use super::table::{Cell, Widths};

/// An explanation, and what DNS servers answer just now.
#[derive(Debug, Serialize)]
pub(crate) struct Told {
    #[serde(flatten)]
    pub(crate) explanation: Explanation,
    /// By server; none where no server could be asked.
    pub(crate) answers: Vec<ServerAnswer>,
    /// Why no server could be asked.
    #[serde(skip)]
    pub(crate) unasked: String,
}

/// The whole explanation with its end of line.
pub(crate) fn text(told: &Told, now: Timestamp) -> String {
    let explanation = &told.explanation;
    let about = match (&explanation.service, &explanation.level) {
        (Some(service), Some(level)) => format!("service {service}, {level}"),
        _ => "no name of this federation".into(),
    };
    let mut text = format!("{}\n  {about}\n", paint(HEAD, &explanation.name));
    section(&mut text, "leads to", path(explanation));
    section(&mut text, "should be", desired(&explanation.desired));
    section(&mut text, "the zone holds", explanation.held.iter().map(held).collect());
    let answers = match &told.answers[..] {
        [] => vec![format!("nothing could be asked: {}", told.unasked)],
        answers => servers(answers),
    };
    section(&mut text, "the server answers", answers);
    section(&mut text, "clusters", clusters(&explanation.clusters, now));
    section(&mut text, "not written yet", explanation.pending.iter().map(change).collect());
    section(&mut text, "refused", explanation.refused.clone());
    section(&mut text, "the last write failed", explanation.failure.clone().into_iter().collect());
    let history = match &explanation.history {
        Some(history) if history.is_empty() => vec!["nothing was written here since the daemon began".into()],
        Some(history) => history.iter().map(past).collect(),
        None => vec!["missing: no daemon was asked, and the zone has no memory of it".into()],
    };
    section(&mut text, "history", history);
    text
}

/// A title and indented lines; nothing where there is no line.
fn section(text: &mut String, title: &str, lines: Vec<String>) {
    if lines.is_empty() {
        return;
    }
    let _ = write!(text, "\n{}\n", paint(HEAD, title));
    for line in lines {
        let _ = writeln!(text, "  {}", line.trim_end());
    }
}

/// The way that a query takes through the zone, a step a line.
fn path(explanation: &Explanation) -> Vec<String> {
    let step = |(depth, step): (usize, &dns_syncd::explain::PathStep)| {
        let indent = "  ".repeat(depth);
        let sets: Vec<String> = step.sets.iter().map(set).collect();
        let what = if sets.is_empty() { paint(CHANGED, "nothing there") } else { sets.join("; ") };
        format!("{indent}{}  {what}", step.name)
    };
    explanation.path.iter().enumerate().map(step).collect()
}

fn desired(desired: &DesiredView) -> Vec<String> {
    match desired {
        DesiredView::Sets { sets, left_out } => {
            let mut lines: Vec<String> = sets.iter().map(set).collect();
            if sets.is_empty() {
                lines.push("nothing: no cluster has an address".into());
            }
            if *left_out > 0 {
                lines.push(format!("{left_out} more addresses are left out by the limit of records in a set"));
            }
            lines
        }
        DesiredView::AsHeld { reason } => vec![format!("as the zone has it: {reason}")],
        DesiredView::Nothing { reason } => vec![format!("nothing: {reason}")],
    }
}

fn held(held: &HeldSet) -> String {
    let whose = match &held.claim {
        Some(claim) => format!("{}, claim `{claim}`", held.ownership),
        None => held.ownership.clone(),
    };
    let credited: Vec<String> = (held.set.rdata.iter().zip(&held.credits))
        .filter(|(_, clusters)| !clusters.is_empty())
        .map(|(rdata, clusters)| format!("{rdata} from {}", clusters.join(", ")))
        .collect();
    let credited = if credited.is_empty() { String::new() } else { format!("; {}", credited.join("; ")) };
    format!("{}  {}", set(&held.set), paint(ASIDE, format!("({whose}{credited})")))
}

fn clusters(clusters: &[ClusterView], now: Timestamp) -> Vec<String> {
    let row = |view: &ClusterView| {
        let health = match view.ready {
            None => Cell::plain("does not run it"),
            Some(true) => Cell::styled(GOOD, "has a ready endpoint"),
            Some(false) => Cell::styled(CHANGED, "has no ready endpoint"),
        };
        let mut told = if view.offers.is_empty() { String::new() } else { format!("says {}", view.offers.join(" ")) };
        for (word, addresses) in [("published", &view.published), ("withdrawn", &view.withdrawn)] {
            for one in addresses {
                let _ = write!(told, "; {word} {} ({})", one.address, one.reason);
            }
        }
        [
            Cell::plain(&view.cluster.name),
            status(&view.cluster, now),
            Cell::plain(format!("since {}", view.cluster.since)),
            health,
            Cell::plain(told.trim_start_matches("; ")),
        ]
    };
    let rows: Vec<[Cell; 5]> = clusters.iter().map(row).collect();
    let widths = Widths::of(rows.iter().map(<[Cell; 5]>::as_slice));
    rows.iter().map(|row| widths.line("", row)).collect()
}

fn change(change: &ChangeView) -> String {
    let side = |side: &Option<SetView>| side.as_ref().map_or("nothing".into(), set);
    let limit = change.limit.as_ref().map(|limit| format!(", held by {limit}")).unwrap_or_default();
    format!("{} → {}: {}{limit}", side(&change.before), side(&change.after), change.reason)
}

fn past(past: &PastChange) -> String {
    format!("{}  {}", past.at, change(&past.change))
}

/// `A 192.0.2.1 192.0.2.2 (180 s)`.
fn set(set: &SetView) -> String {
    format!("{} {} ({} s)", set.rr_type, set.rdata.join(" "), set.ttl)
}
