//! When the daemon called the host, as its own log says in JSON: one line as each call ends, with its length.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// What `RUST_LOG` must be, so that a pass logs these lines and no others: a line for each change would cost time.
pub(crate) const RUST_LOG: &str = "off,dns_syncd::engine::observe=debug";

/// A call of the host.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// `read_page`, `read_names`, `apply`, …
    name: String,
    /// Seconds since 1970.
    begun: f64,
    ended: f64,
}

/// Calls of one kind, taken together.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Stage {
    pub(crate) calls: usize,
    /// From the beginning of the first to the end of the last, in seconds.
    pub(crate) seconds: f64,
}

#[derive(Deserialize)]
struct Line {
    timestamp: String,
    fields: Fields,
}

#[derive(Deserialize)]
struct Fields {
    message: String,
    call: Option<String>,
    length: Option<String>,
}

/// The calls in a log; lines of other kinds are passed over.
pub(crate) fn calls(log: &str) -> Vec<Call> {
    log.lines().filter_map(call).collect()
}

/// All calls with one of these names; `None` where there is none.
pub(crate) fn stage(calls: &[Call], names: &[&str]) -> Option<Stage> {
    let calls: Vec<_> = calls.iter().filter(|call| names.contains(&call.name.as_str())).collect();
    let begun = calls.iter().map(|call| call.begun).min_by(f64::total_cmp)?;
    let ended = calls.iter().map(|call| call.ended).max_by(f64::total_cmp)?;
    Some(Stage { calls: calls.len(), seconds: ended - begun })
}

fn call(line: &str) -> Option<Call> {
    let line: Line = serde_json::from_str(line).ok()?;
    let fields = Some(line.fields).filter(|fields| fields.message == "called the host")?;
    let at = OffsetDateTime::parse(&line.timestamp, &Rfc3339).ok()?;
    #[expect(clippy::cast_precision_loss, reason = "microseconds, of which a double holds all until 2255")]
    let ended = (at.unix_timestamp_nanos() / 1_000) as f64 / 1e6;
    Some(Call { name: fields.call?, begun: ended - length(&fields.length?)?, ended })
}

/// The seconds of a duration as Rust prints it: `1.5s`, `12.3ms`, `45µs`, `67ns`.
fn length(text: &str) -> Option<f64> {
    let unit = text.find(|char: char| !char.is_ascii_digit() && char != '.')?;
    let factor = match &text[unit..] {
        "s" => 1.0,
        "ms" => 1e-3,
        "µs" => 1e-6,
        "ns" => 1e-9,
        _ => return None,
    };
    Some(text[..unit].parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_lasts_from_the_first_beginning_to_the_last_end() {
        let log = r#"{"timestamp":"2026-01-01T00:00:01.000000Z","level":"DEBUG","fields":{"message":"called the host","call":"apply","error":"None","length":"250ms"},"target":"t"}
            no JSON
            {"timestamp":"2026-01-01T00:00:02.500000Z","level":"DEBUG","fields":{"message":"called the host","call":"apply","error":"None","length":"2.5ms"},"target":"t"}
            {"timestamp":"2026-01-01T00:00:09.000000Z","level":"DEBUG","fields":{"message":"called the host","call":"read_page","error":"None","length":"10.5µs"},"target":"t"}"#;
        let calls = calls(log);
        let stage = stage(&calls, &["apply"]).expect("there are two");
        assert_eq!((calls.len(), stage.calls), (3, 2));
        assert!((stage.seconds - 1.75).abs() < 1e-6);
    }

    #[test]
    fn lengths_are_read_in_every_unit() {
        for (text, seconds) in [("1.5s", 1.5), ("12.25ms", 0.012_25), ("45µs", 45e-6), ("67ns", 67e-9)] {
            assert!((length(text).expect("it is one") - seconds).abs() < 1e-12, "{text}");
        }
        assert_eq!(length("5 minutes"), None);
    }
}
