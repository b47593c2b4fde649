//! dnsperf: as fast as the server answers, and at a set rate for the time that an answer takes.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use serde::Serialize;

use super::servers::debian;
use crate::spread::percentile;

/// How questions are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Transport {
    Udp,
    Tcp,
}

/// As fast as it goes.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Rate {
    pub(super) per_second: f64,
    pub(super) lost: Lost,
}

/// Questions that were not answered as they should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Lost {
    /// Without an answer.
    pub(super) unanswered: u64,
    /// With another code than NOERROR.
    pub(super) wrong: u64,
}

/// Times of answers at a set rate, in seconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Times {
    pub(super) median: f64,
    pub(super) p99: f64,
    pub(super) most: f64,
    pub(super) answers: usize,
    pub(super) lost: Lost,
}

impl Lost {
    /// From what dnsperf prints at its end.
    ///
    /// # Errors
    /// When it does not tell.
    fn read(text: &str) -> anyhow::Result<Self> {
        let of = |label| number(text, label).with_context(|| format!("dnsperf tells no `{label}`:\n{text}"));
        let codes = text.lines().find_map(|line| line.trim().strip_prefix("Response codes:"));
        // Absent where no question was answered so.
        let noerror = codes.and_then(|codes| number(codes, "NOERROR")).unwrap_or_default();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts of questions")]
        let lost =
            Self { unanswered: of("Queries lost:")? as u64, wrong: (of("Queries completed:")? - noerror) as u64 };
        Ok(lost)
    }

    pub(super) fn all(self) -> u64 {
        self.unanswered + self.wrong
    }
}

/// The number behind a label that begins a line.
fn number(text: &str, label: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.trim().strip_prefix(label))?;
    line.split_whitespace().next()?.parse().ok()
}

impl Transport {
    /// dnsperf's arguments. TCP is over twenty connections that stay open, as resolvers keep them.
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Udp => &["-m", "udp", "-c", "20"],
            Self::Tcp => &["-m", "tcp", "-c", "20"],
        }
    }
}

/// As many questions as the server answers, a hundred at a time.
///
/// # Errors
/// When dnsperf fails.
pub(super) async fn rate(
    server: SocketAddr,
    transport: Transport,
    questions: &Path,
    seconds: u64,
) -> anyhow::Result<Rate> {
    let text = run(server, transport, questions, seconds, &[]).await?;
    let per_second = number(&text, "Queries per second:").with_context(|| format!("dnsperf tells no rate:\n{text}"))?;
    Ok(Rate { per_second, lost: Lost::read(&text)? })
}

/// The times of answers while so many questions are asked a second.
///
/// # Errors
/// When dnsperf fails or is not answered.
pub(super) async fn times(
    server: SocketAddr,
    transport: Transport,
    questions: &Path,
    seconds: u64,
    per_second: u32,
) -> anyhow::Result<Times> {
    let text = run(server, transport, questions, seconds, &["-v", "-Q", &per_second.to_string()]).await?;
    let answers = text.lines().filter(|line| line.starts_with("> NOERROR "));
    let mut values: Vec<f64> = answers.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
    ensure!(!values.is_empty(), "dnsperf was not answered:\n{}", text.lines().take(20).collect::<Vec<_>>().join("\n"));
    values.sort_by(f64::total_cmp);
    let at = |share| percentile(&values, share);
    Ok(Times { median: at(0.5), p99: at(0.99), most: at(1.0), answers: values.len(), lost: Lost::read(&text)? })
}

async fn run(
    server: SocketAddr,
    transport: Transport,
    questions: &Path,
    seconds: u64,
    more: &[&str],
) -> anyhow::Result<String> {
    let mut command = tokio::process::Command::from(debian("usr/bin/dnsperf")?);
    command.arg("-s").arg(server.ip().to_string()).arg("-p").arg(server.port().to_string());
    command.arg("-d").arg(questions).arg("-l").arg(seconds.to_string()).args(transport.arguments()).args(more);
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.context("starting dnsperf")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "dnsperf: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::Lost;

    #[test]
    fn what_is_lost_is_read_from_the_end_of_a_run() {
        let head = "> NOERROR a.example. A 0.001\nStatistics:\n\n  Queries sent:         100\n  Queries completed:    97 (97.00%)\n  \
                    Queries lost:         3 (3.00%)\n\n";
        let lost =
            |codes: &str| Lost::read(&format!("{head}  Response codes:       {codes}\n")).expect("dnsperf's end");
        assert_eq!(lost("NOERROR 95 (97.94%), NXDOMAIN 2 (2.06%)"), Lost { unanswered: 3, wrong: 2 });
        assert_eq!(lost("SERVFAIL 97 (100.00%)"), Lost { unanswered: 3, wrong: 97 });
        assert!(Lost::read("").is_err());
    }
}
