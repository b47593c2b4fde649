//! Alerts ask for series that exist.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::chart::{folder, only, render};

/// `name{label="value",…}` in an expression, without the selector of the installation.
fn series(expression: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(at) = rest.find("dns_syncd_") {
        rest = &rest[at..];
        let end = rest.find(|char: char| !char.is_ascii_alphanumeric() && char != '_').unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let (labels, after) = after.strip_prefix('{').expect("every series is selected").split_once('}').unwrap();
        let labels = labels.split(',').map(|label| label.split_once('=').unwrap());
        let labels = labels.map(|(name, value)| (name.trim_end_matches('!').trim().to_owned(), value.replace('"', "")));
        found.push((name.to_owned(), labels.filter(|(name, _)| name != "namespace" && name != "container").collect()));
        rest = after;
    }
    found
}

/// `docs/metrics.md` is compared with what a running daemon exports by a test of the daemon. Its rows: the name, and all
/// that is said of its labels.
fn exported() -> Vec<(String, String)> {
    let table = std::fs::read_to_string(folder().join("../docs/metrics.md")).unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| {
        let (name, rest) = row.split_once('`')?;
        Some((name.to_owned(), rest.split(" | ").nth(2).unwrap_or_default().to_owned()))
    })
    .collect()
}

/// All expressions of the chart.
fn expressions(example: &str) -> Vec<(String, String)> {
    let objects = render(example, "prometheusRule: {enabled: true}").unwrap();
    let groups = only(&objects, "PrometheusRule")["spec"]["groups"].as_array().unwrap();
    let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
    let text = |of: &Value| of.as_str().unwrap().to_owned();
    rules.map(|rule| (text(&rule["alert"]), text(&rule["expr"]))).collect()
}

/// Fails when an alert asks for what is not among the metrics of a daemon.
pub(super) fn assert_exported(metrics: &str) {
    let lines = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let types: BTreeMap<_, _> = lines.filter_map(|line| line.split_once(' ')).collect();
    for (alert, expression) in expressions("host") {
        for (name, _) in series(&expression) {
            let of_type = name.strip_suffix("_total").map_or((name.as_str(), "gauge"), |name| (name, "counter"));
            assert_eq!(types.get(of_type.0), Some(&of_type.1), "{alert} asks for {name}: {metrics}");
        }
    }
}

#[test]
#[ignore = "needs HELM_BIN: tests/run gets it"]
fn alerts_ask_for_series_that_exist_with_labels_and_values_that_exist() {
    let exported = exported();
    assert!(exported.len() > 20, "the table was not found");
    let mut used = BTreeSet::new();
    for example in ["host", "embedded"] {
        let rules = expressions(example);
        let leads = rules.iter().any(|(alert, _)| alert == "DnsSyncdNoSingleLeader");
        assert_eq!(leads, example == "host", "nobody leads where every process answers");
        for (alert, expression) in rules {
            let found = series(&expression);
            assert!(!found.is_empty(), "{alert}");
            for (name, labels) in found {
                let Some((_, known)) = exported.iter().find(|(known, _)| *known == name) else {
                    panic!("{alert} asks for {name}, which nobody exports");
                };
                for (label, value) in labels {
                    let values = known.split("; ").find_map(|of| of.strip_prefix(&format!("`{label}`: ")));
                    let values = values.unwrap_or_else(|| panic!("{name} has no label {label}: {known}"));
                    assert!(values.contains(&format!("`{value}`")), "{name}: {label} is never {value}: {values}");
                }
                used.insert(name);
            }
        }
    }
    // What the table says one should be told of, but for the latency, whose bound is everybody's own.
    let table = std::fs::read_to_string(folder().join("../docs/metrics.md")).unwrap();
    for row in table.lines().filter(|line| line.starts_with("| `dns_syncd_")) {
        let columns: Vec<_> = row.trim_matches('|').split(" | ").collect();
        let name = columns[0].trim().trim_matches('`');
        let is_asked_for = columns.last().unwrap().trim().trim_end_matches('|').trim() != "";
        let elsewhere = [
            "dns_syncd_event_latency_seconds", // whose bound is everybody's own
            "dns_syncd_failing_services",      // as sets that fail
            "dns_syncd_clusters",              // as single clusters
            "dns_syncd_consecutive_failures",  // as the share of errors
        ];
        assert!(!is_asked_for || used.contains(name) || elsewhere.contains(&name), "no alert asks for {name}");
    }
}

#[test]
fn series_are_found_in_an_expression() {
    let found = series("sum(dns_syncd_a_total{namespace=\"n\",x!=\"y\"}) / dns_syncd_b{container=\"c\"}");
    let labels = vec![("x".to_owned(), "y".to_owned())];
    assert_eq!(found, [("dns_syncd_a_total".to_owned(), labels), ("dns_syncd_b".to_owned(), Vec::new())]);
}
