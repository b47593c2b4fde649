//! The budgets: what each part promises, beside what it found, in one table of the README.

use serde::{Deserialize, Serialize};

use crate::table::Table;

/// One promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Budget {
    /// What is measured.
    pub(crate) what: String,
    /// What it may be.
    pub(crate) bound: String,
    /// What it was; empty where it was not measured.
    pub(crate) found: String,
    /// `None` where it was not measured, or not far enough to tell.
    pub(crate) met: Option<bool>,
}

/// Of some measurements the test that counts them on every run: no time is in them.
const COUNTED: [(&str, &str, &str, &str); 2] = [
    (
        "etcd",
        "the daemon with nothing to do",
        "the audit's page and the watch",
        "nothing_is_written_or_read_but_the_audit_when_nothing_changes",
    ),
    (
        "route53",
        "nothing to do on Route 53",
        "0 calls outside the audit's page",
        "nothing_is_written_or_read_but_the_audit_when_nothing_changes",
    ),
];

impl Budget {
    /// Judges what was found, if it was, and shows it.
    pub(crate) fn new(
        what: &str,
        bound: &str,
        found: Option<f64>,
        show: impl Fn(f64) -> String,
        met: impl Fn(f64) -> bool,
    ) -> Self {
        let (what, bound) = (what.to_owned(), bound.to_owned());
        Self { what, bound, found: found.map(show).unwrap_or_default(), met: found.map(met) }
    }
}

/// All promises with what was last found, part by part, each with the day of its measurement.
pub(crate) fn table(parts: &[(&str, String, Vec<Budget>)]) -> String {
    let mut table = Table::new(["what", "budget", "found", "met", "measured"]);
    for (part, date, budgets) in parts {
        for Budget { what, bound, found, met } in budgets {
            let found = if found.is_empty() { "–" } else { found };
            let met = match met {
                Some(true) => "yes",
                Some(false) => "**no**",
                None => "–",
            };
            table.row([what, bound, found, met, date].map(ToString::to_string));
        }
        for (_, what, bound, test) in COUNTED.into_iter().filter(|(of, ..)| of == part) {
            let found = format!("counted by the test `{test}`");
            table.row([what, bound, found.as_str(), "yes", "in CI"].map(str::to_owned));
        }
    }
    table.markdown()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_met_missed_or_not_measured() {
        let budget = |found| Budget::new("calls", "≤ 14", found, |calls| format!("{calls:.0}"), |calls| calls <= 14.0);
        let budgets = [Some(13.0), Some(15.0), None].map(budget).to_vec();
        let text = table(&[("latency", "2026-11-22".to_owned(), budgets)]);
        let cells: Vec<Vec<_>> = text.lines().skip(2).map(|line| line.split('|').map(str::trim).collect()).collect();
        assert_eq!(cells[0][1..6], ["calls", "≤ 14", "13", "yes", "2026-11-22"]);
        assert_eq!(cells[1][3..5], ["15", "**no**"]);
        assert_eq!(cells[2][3..5], ["–", "–"]);
    }
}
