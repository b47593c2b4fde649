//! A plan for people: grouped by service, the reason on each line, a summary at the end.
//!
//! ```text
//! zone example.com.
//!
//! default/nginx
//!   +  nginx.default.myfed.svc.example.com.     180      A      192.0.2.1 192.0.2.2      new in eu, us
//!   ~  nginx.default.myfed.svc.eu.example.com.  180→60   A      192.0.2.1                TTL 180 becomes 60
//!   -  nginx.default.myfed.svc.us.example.com.  180      CNAME  nginx.default.myfed.…    us has left
//!
//! 1 to create, 1 to update, 1 to delete, 12 unchanged
//! ```

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use anstyle::Style;
use dns_sync_core::report::{BudgetReport, ChangeReport, PlanReport, SetReport};

use super::refused;
use super::style::{ASIDE, BAD, CHANGED, GOOD, HEAD, paint};
use super::table::{Cell, Widths};

/// Gives the changes of a plan, service by service, and the rest of it.
pub(crate) type Walk<'a> = dyn Fn(&mut dyn FnMut(&ChangeReport)) -> PlanReport + 'a;

/// The whole plan with its end of line.
pub(crate) fn text(plan: &PlanReport) -> String {
    let mut changes: Vec<_> = plan.changes.iter().chain(&plan.held).collect();
    changes.sort_by(|a, b| a.service.cmp(&b.service));
    let outline = PlanReport {
        zone: plan.zone.clone(),
        changes: Vec::new(),
        held: Vec::new(),
        refused: plan.refused.clone(),
        unchanged: plan.unchanged,
        hash: plan.hash.clone(),
        guard: plan.guard,
        warnings: Vec::new(),
    };
    let mut text = String::new();
    let written = write(&mut text, &|each| {
        changes.iter().copied().for_each(each);
        outline.clone()
    });
    written.expect("nothing fails that writes into memory");
    text
}

/// Writes the whole plan with its end of line, and gives it but for its changes. These are asked for again rather than
/// kept, because there may be very many.
pub(crate) fn write(text: &mut dyn fmt::Write, walk: &Walk<'_>) -> Result<PlanReport, fmt::Error> {
    let (mut planned, mut held) = (Lines::default(), Lines::default());
    let plan = walk(&mut |change| {
        let lines = if change.limit.is_some() { &mut held } else { &mut planned };
        lines.add(change);
    });
    writeln!(text, "{}", paint(HEAD, format!("zone {}", plan.zone)))?;
    planned.write(text, walk, |change| change.limit.is_none())?;
    if !held.is_empty() {
        write!(text, "\n{}\n", paint(CHANGED, "held by the guard"))?;
        text.write_str(&budgets(&plan, held.is_frozen))?;
        held.write(text, walk, |change| change.limit.is_some())?;
        if let Some(hash) = &plan.hash {
            write!(text, "\nto release what is held: dns-syncd apply --approve {hash}\n")?;
        }
    }
    if !plan.refused.is_empty() {
        write!(text, "\n{}\n", paint(CHANGED, "refused"))?;
        for refusal in &plan.refused {
            writeln!(text, "  {}  {}", paint(CHANGED, "!"), refused::line(refusal))?;
        }
    }
    write!(text, "\n{}\n", summary(&plan, &planned, &held))?;
    Ok(plan)
}

/// The counts on one line, without its end.
fn summary(plan: &PlanReport, planned: &Lines, held: &Lines) -> String {
    let mut parts = Vec::new();
    for (action, style) in [("create", GOOD), ("update", CHANGED), ("delete", BAD)] {
        let number = planned.counts.get(action).copied().unwrap_or(0);
        let part = format!("{number} to {action}");
        parts.push(if number == 0 { part } else { paint(style, part) });
    }
    parts.push(format!("{} unchanged", plan.unchanged));
    if !held.is_empty() {
        parts.push(paint(CHANGED, format!("{} held", held.counts.values().sum::<usize>())));
    }
    if !plan.refused.is_empty() {
        parts.push(paint(CHANGED, format!("{} refused", plan.refused.len())));
    }
    parts.join(", ")
}

/// Changes that are shown together, all columns in line.
#[derive(Debug, Default)]
struct Lines {
    widths: Widths,
    /// By action.
    counts: BTreeMap<&'static str, usize>,
    /// One is held because nothing may be written.
    is_frozen: bool,
}

impl Lines {
    fn add(&mut self, change: &ChangeReport) {
        self.widths.fit(&row(change));
        *self.counts.entry(change.action).or_default() += 1;
        self.is_frozen |= change.limit == Some("freeze");
    }

    fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Writes them under the names of their services.
    fn write(&self, text: &mut dyn fmt::Write, walk: &Walk<'_>, is_one: fn(&ChangeReport) -> bool) -> fmt::Result {
        if self.is_empty() {
            return Ok(());
        }
        let (mut title, mut written) = (String::new(), Ok(()));
        walk(&mut |change| {
            if written.is_err() || !is_one(change) {
                return;
            }
            let service = change.service.as_deref().unwrap_or("names of no service");
            if title != service {
                service.clone_into(&mut title);
                written = write!(text, "\n{}\n", paint(HEAD, service));
            }
            written = written.and_then(|()| text.write_str(&self.widths.line("  ", &row(change))));
        });
        written
    }
}

fn row(change: &ChangeReport) -> [Cell; 6] {
    let (sign, style): (_, Style) = match change.action {
        "create" => ("+", GOOD),
        "delete" => ("-", BAD),
        _ => ("~", CHANGED),
    };
    let reason = match change.limit {
        Some(limit) => format!("[{limit}] {}", change.reason),
        None => change.reason.clone(),
    };
    [
        Cell::styled(style, sign),
        Cell::plain(&change.name),
        Cell::plain(between(change, |set| set.ttl.to_string(), "→")),
        Cell::plain(&change.rr_type),
        Cell::plain(between(change, data, " → ")),
        Cell::styled(ASIDE, reason),
    ]
}

/// What stands before and after; once where both are equal or one is absent.
fn between(change: &ChangeReport, of: impl Fn(&SetReport) -> String, arrow: &str) -> String {
    match (change.before.as_ref().map(&of), change.after.as_ref().map(&of)) {
        (Some(before), Some(after)) if before != after => format!("{before}{arrow}{after}"),
        (_, Some(one)) | (Some(one), None) => one,
        (None, None) => String::new(),
    }
}

fn data(set: &SetReport) -> String {
    set.rdata.join(" ")
}

/// The budgets that are exceeded, with their numbers.
fn budgets(plan: &PlanReport, is_frozen: bool) -> String {
    let guard = &plan.guard;
    let mut text = String::new();
    let mut line = |what: &str, key: &str, budget: &BudgetReport| {
        if let Some(allowed) = budget.allowed.filter(|allowed| budget.counted > *allowed) {
            let _ = writeln!(text, "  {key}: {} {what} where {allowed} of {} may be", budget.counted, guard.base);
        }
    };
    line("sets deleted", "max-delete", &guard.deleted);
    line("sets changed", "max-update", &guard.updated);
    line("global names emptied", "max-emptied", &guard.emptied);
    if is_frozen {
        text.push_str("  freeze: [Guard] freeze = true stops all writes\n");
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use dns_sync_core::report::{GuardReport, RefusalReport};

    use super::*;

    fn set(ttl: u32, rdata: &[&str]) -> SetReport {
        SetReport { ttl, rdata: rdata.iter().map(ToString::to_string).collect() }
    }

    fn change(action: &'static str, name: &str, before: Option<SetReport>, after: Option<SetReport>) -> ChangeReport {
        ChangeReport {
            action,
            name: name.into(),
            rr_type: "A".into(),
            before,
            after,
            reason: format!("why {action}"),
            limit: None,
            service: Some("ns/web".into()),
        }
    }

    fn plan() -> PlanReport {
        let none = BudgetReport { counted: 0, allowed: Some(3) };
        PlanReport {
            zone: "example.com.".into(),
            changes: Vec::new(),
            held: Vec::new(),
            refused: Vec::new(),
            unchanged: 4,
            hash: None,
            guard: GuardReport { base: 10, deleted: none, updated: none, emptied: none },
            warnings: Vec::new(),
        }
    }

    fn plain(plan: &PlanReport) -> String {
        anstream::adapter::strip_str(&text(plan)).to_string()
    }

    #[test]
    fn a_plan_is_grouped_by_service_with_a_reason_on_each_line() {
        let mut plan = plan();
        plan.changes = vec![
            change("create", "a.example.com.", None, Some(set(180, &["192.0.2.1", "192.0.2.2"]))),
            change("update", "bb.example.com.", Some(set(180, &["192.0.2.1"])), Some(set(60, &["192.0.2.1"]))),
            change("delete", "c.example.com.", Some(set(180, &["192.0.2.3"])), None),
        ];
        plan.changes[2].service = None;
        assert_eq!(
            plain(&plan),
            "zone example.com.\n\n\
             names of no service\n  \
             -  c.example.com.   180     A  192.0.2.3            why delete\n\n\
             ns/web\n  \
             +  a.example.com.   180     A  192.0.2.1 192.0.2.2  why create\n  \
             ~  bb.example.com.  180→60  A  192.0.2.1            why update\n\n\
             1 to create, 1 to update, 1 to delete, 4 unchanged\n"
        );
    }

    #[test]
    fn what_is_held_shows_its_numbers_and_how_to_release_it() {
        let mut plan = plan();
        let mut held = change("delete", "c.example.com.", Some(set(180, &["192.0.2.3"])), None);
        held.limit = Some("max-delete");
        plan.held = vec![held];
        plan.guard.deleted.counted = 7;
        plan.hash = Some("abc123".into());
        let text = plain(&plan);
        assert!(text.contains("max-delete: 7 sets deleted where 3 of 10 may be"), "{text}");
        assert!(text.contains("[max-delete] why delete"), "{text}");
        assert!(text.contains("dns-syncd apply --approve abc123"), "{text}");
        assert!(text.ends_with("4 unchanged, 1 held\n"), "{text}");
    }

    #[test]
    fn a_refusal_says_what_it_is_about() {
        let mut plan = plan();
        plan.refused = vec![RefusalReport {
            name: Some("a.example.com.".into()),
            rr_type: Some("A".into()),
            cluster: Some("eu".into()),
            service: Some("ns/web".into()),
            reason: "foreign".into(),
        }];
        assert!(plain(&plan).contains("!  a.example.com. A, ns/web, cluster eu: foreign\n"), "{}", plain(&plan));
    }
}
