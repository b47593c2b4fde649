//! The machine beside the numbers: without it they say nothing.

use std::fs::read_to_string;

use serde::Serialize;
use time::OffsetDateTime;

/// Where and when a part was measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    /// The day, UTC.
    date: String,
    cores: usize,
    processor: String,
    memory_gib: u64,
    kernel: String,
    /// Of the last minute when the part began and when it ended; what is measured counts as well.
    load: Vec<f64>,
    /// Programs and their versions.
    versions: Vec<String>,
}

impl Machine {
    /// This machine now. `DNS_BENCH_COMMIT` says which version of the sources was built.
    pub(crate) fn here(versions: impl IntoIterator<Item = String>) -> Self {
        let commit = std::env::var("DNS_BENCH_COMMIT").unwrap_or_else(|_| "unknown".to_owned());
        let field = |file: &str, name: &str| {
            let text = read_to_string(file).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.trim_start_matches([' ', '\t', ':']).to_owned()
        };
        let kib = field("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse::<u64>().unwrap_or_default();
        Self {
            date: OffsetDateTime::now_utc().date().to_string(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            processor: field("/proc/cpuinfo", "model name"),
            memory_gib: (kib + (1 << 19)) >> 20,
            kernel: read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
            load: vec![load()],
            versions: [format!("dns-syncd {commit}")].into_iter().chain(versions).collect(),
        }
    }

    /// Notes the load at the end.
    #[must_use]
    pub(crate) fn ended(mut self) -> Self {
        self.load.push(load());
        self
    }

    /// One line of Markdown.
    pub(crate) fn line(&self) -> String {
        let load: Vec<String> = self.load.iter().map(|load| format!("{load:.1}")).collect();
        format!(
            "{}: {} cores ({}), {} GiB, Linux {}; load average {} at the beginning and the end; {}.",
            self.date,
            self.cores,
            self.processor,
            self.memory_gib,
            self.kernel,
            load.join(" and "),
            self.versions.join(", "),
        )
    }
}

/// The load average of the last minute: how many processes wanted a core.
pub(crate) fn load() -> f64 {
    let text = read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or_default()
}
