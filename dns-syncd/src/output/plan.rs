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
use std::fmt::Write as _;

use anstyle::Style;
use dns_sync_core::report::{BudgetReport, ChangeReport, PlanReport, SetReport};

use super::refused;
use super::style::{ASIDE, BAD, CHANGED, GOOD, HEAD, paint};
use super::table::{Cell, Widths};

/// The whole plan with its end of line.
pub(crate) fn text(plan: &PlanReport) -> String {
    let mut text = format!("{}\n", paint(HEAD, format!("zone {}", plan.zone)));
    text.push_str(&grouped(&plan.changes));
    if !plan.held.is_empty() {
        let _ = write!(text, "\n{}\n", paint(CHANGED, "held by the guard"));
        text.push_str(&budgets(plan));
        text.push_str(&grouped(&plan.held));
        if let Some(hash) = &plan.hash {
            let _ = write!(text, "\nto release what is held: dns-syncd apply --approve {hash}\n");
        }
    }
    if !plan.refused.is_empty() {
        let _ = write!(text, "\n{}\n", paint(CHANGED, "refused"));
        for refusal in &plan.refused {
            let _ = writeln!(text, "  {}  {}", paint(CHANGED, "!"), refused::line(refusal));
        }
    }
    let _ = write!(text, "\n{}\n", summary(plan));
    text
}

/// The counts on one line, without its end.
pub(crate) fn summary(plan: &PlanReport) -> String {
    let count = |action: &str| plan.changes.iter().filter(|change| change.action == action).count();
    let mut parts = Vec::new();
    for (action, style) in [("create", GOOD), ("update", CHANGED), ("delete", BAD)] {
        let number = count(action);
        let part = format!("{number} to {action}");
        parts.push(if number == 0 { part } else { paint(style, part) });
    }
    parts.push(format!("{} unchanged", plan.unchanged));
    if !plan.held.is_empty() {
        parts.push(paint(CHANGED, format!("{} held", plan.held.len())));
    }
    if !plan.refused.is_empty() {
        parts.push(paint(CHANGED, format!("{} refused", plan.refused.len())));
    }
    parts.join(", ")
}

/// The changes under the names of their services, all columns in line. Rows are made twice rather than kept, because
/// there may be very many.
fn grouped(changes: &[ChangeReport]) -> String {
    let mut groups: BTreeMap<Option<&str>, Vec<&ChangeReport>> = BTreeMap::new();
    for change in changes {
        groups.entry(change.service.as_deref()).or_default().push(change);
    }
    let widths = Widths::of(changes.iter().map(row));
    let mut text = String::new();
    for (service, changes) in &groups {
        let title = service.unwrap_or("names of no service");
        let _ = write!(text, "\n{}\n", paint(HEAD, title));
        for change in changes {
            text.push_str(&widths.line("  ", &row(change)));
        }
    }
    text
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
fn budgets(plan: &PlanReport) -> String {
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
    if plan.held.iter().any(|change| change.limit == Some("freeze")) {
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
