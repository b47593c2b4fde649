//! What DNS servers answer for the addresses of names.

use std::net::SocketAddr;

use dnsprovider::Fqdn;
use serde::Serialize;

use super::style::{BAD, CHANGED, HEAD, paint};
use super::table::{Cell, Widths};

/// What a client that asks for the addresses of a name gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Addresses {
    /// Where CNAMEs lead, in order.
    pub(crate) path: Vec<String>,
    /// Of both families, sorted.
    #[serde(rename = "addresses")]
    pub(crate) found: Vec<String>,
    /// What went wrong, in words; `None` where there are addresses.
    pub(crate) problem: Option<String>,
}

/// What one server answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ServerAnswer {
    pub(crate) server: SocketAddr,
    #[serde(flatten)]
    pub(crate) answer: Addresses,
}

/// One answer for programs.
#[derive(Debug, Serialize)]
pub(crate) struct Line<'a> {
    name: &'a str,
    #[serde(flatten)]
    answer: &'a Addresses,
}

/// One answer for programs.
pub(crate) fn json<'a>(name: &'a Fqdn, answer: &'a Addresses) -> Line<'a> {
    Line { name: name.as_str(), answer }
}

/// All answers under the servers that gave them.
pub(crate) fn first(servers: &[SocketAddr], answers: &[(&Fqdn, &Addresses)]) -> String {
    let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
    format!("{}\n{}", paint(HEAD, format!("answers of {}", servers.join(", "))), lines("  ", answers))
}

/// The answers that changed.
pub(crate) fn changed(answers: &[(&Fqdn, &Addresses)]) -> String {
    lines(&format!("{} ", paint(CHANGED, "~")), answers)
}

fn lines(indent: &str, answers: &[(&Fqdn, &Addresses)]) -> String {
    let row = |(name, answer): &(&Fqdn, &Addresses)| [Cell::plain(name.as_str()), cell(answer)];
    let rows: Vec<[Cell; 2]> = answers.iter().map(row).collect();
    let widths = Widths::of(rows.iter().map(<[Cell; 2]>::as_slice));
    rows.iter().map(|row| widths.line(indent, row)).collect()
}

/// What each server answers, a line for each.
pub(crate) fn servers(answers: &[ServerAnswer]) -> Vec<String> {
    let row = |of: &ServerAnswer| [Cell::plain(of.server.to_string()), cell(&of.answer)];
    let rows: Vec<[Cell; 2]> = answers.iter().map(row).collect();
    let widths = Widths::of(rows.iter().map(<[Cell; 2]>::as_slice));
    rows.iter().map(|row| widths.line("", row)).collect()
}

fn cell(answer: &Addresses) -> Cell {
    // Names between have lines of their own.
    let mut steps: Vec<String> = answer.path.last().map(|target| format!("→ {target}")).into_iter().collect();
    match &answer.problem {
        None => {
            let arrow = if steps.is_empty() { "" } else { "→ " };
            steps.push(format!("{arrow}{}", answer.found.join(" ")));
            Cell::plain(steps.join(" "))
        }
        Some(problem) => {
            steps.push(problem.clone());
            Cell::styled(BAD, steps.join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn an_answer_shows_the_way_to_its_addresses() {
        let (direct, led) = (Fqdn::parse("a.example").unwrap(), Fqdn::parse("bb.example").unwrap());
        let addresses = |path: &[&str]| Addresses {
            path: path.iter().map(ToString::to_string).collect(),
            found: vec!["192.0.2.1".into(), "2001:db8::1".into()],
            problem: None,
        };
        let gone = Addresses { path: vec![], found: vec![], problem: Some("there is no such name".into()) };
        let (straight, through) = (addresses(&[]), addresses(&["a.example."]));
        let text = first(&["127.0.0.1:53".parse().unwrap()], &[(&direct, &straight), (&led, &through)]);
        assert_eq!(
            anstream::adapter::strip_str(&text).to_string(),
            "answers of 127.0.0.1:53\n  \
             a.example.   192.0.2.1 2001:db8::1\n  \
             bb.example.  → a.example. → 192.0.2.1 2001:db8::1\n"
        );
        let text = changed(&[(&direct, &gone)]);
        assert_eq!(anstream::adapter::strip_str(&text).to_string(), "~ a.example.  there is no such name\n");
    }
}
