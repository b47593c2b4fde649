//! What `check` found, one screen.

use serde::Serialize;

use super::style::{ASIDE, BAD, CHANGED, GOOD, HEAD, paint};
use super::table::{Cell, Widths};

/// How well something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mark {
    /// As it should be.
    Ok,
    /// It works, and somebody should look at it.
    Note,
    /// It could not be looked at.
    Unknown,
    /// The daemon cannot do its work without it.
    Missing,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// What, in one word or two.
    pub(crate) about: String,
    /// How well it is.
    pub(crate) mark: Mark,
    /// What was found, and what to do.
    pub(crate) detail: String,
}

impl Finding {
    /// Something that was looked at.
    pub(crate) fn new(about: impl Into<String>, mark: Mark, detail: impl Into<String>) -> Self {
        Self { about: about.into(), mark, detail: detail.into() }
    }
}

/// A line for each finding, and one that sums up.
pub(crate) fn text(findings: &[Finding]) -> String {
    let row = |finding: &Finding| {
        let (style, word) = match finding.mark {
            Mark::Ok => (GOOD, "ok"),
            Mark::Note => (CHANGED, "note"),
            Mark::Unknown => (ASIDE, "unknown"),
            Mark::Missing => (BAD, "missing"),
        };
        [Cell::styled(style, word), Cell::styled(HEAD, &finding.about), Cell::plain(&finding.detail)]
    };
    let rows: Vec<[Cell; 3]> = findings.iter().map(row).collect();
    let widths = Widths::of(rows.iter().map(<[Cell; 3]>::as_slice));
    let mut text: String = rows.iter().map(|row| widths.line("", row)).collect();
    let missing = findings.iter().filter(|finding| finding.mark == Mark::Missing).count();
    text.push('\n');
    text.push_str(&if missing == 0 {
        paint(GOOD, "nothing is missing")
    } else {
        paint(BAD, format!("{missing} missing"))
    });
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_marked_and_counted() {
        let findings = [Finding::new("config", Mark::Ok, "read"), Finding::new("zone", Mark::Missing, "there is none")];
        let text = anstream::adapter::strip_str(&text(&findings)).to_string();
        assert_eq!(text, "ok       config  read\nmissing  zone    there is none\n\n1 missing\n");
    }
}
