//! What the kernel tells of a running process.

use anyhow::Context as _;

/// Ticks of CPU time in a second, as Linux counts them for programs on every machine.
const TICKS: f64 = 100.0;

/// Resident memory in KiB, and CPU time of all its threads in seconds.
///
/// # Errors
/// When there is no such process.
pub(crate) fn usage(id: u32) -> anyhow::Result<(u64, f64)> {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{id}/{file}"));
    let status = read("status")?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no resident memory")?;
    let resident = resident.trim().trim_end_matches(" kB").parse()?;
    let stat = read("stat")?;
    // The name, in brackets, may hold blanks.
    let fields: Vec<&str> = stat.rsplit_once(')').context("no name")?.1.split_whitespace().collect();
    let ticks = |place: usize| fields.get(place).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
    Ok((resident, (ticks(11) + ticks(12)) / TICKS))
}

/// The process of which an argument is this; `None` where there is none.
pub(crate) fn with_argument(argument: &str) -> Option<u32> {
    let has = |id: &u32| {
        let arguments = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        arguments.split(|byte| *byte == 0).any(|other| other == argument.as_bytes())
    };
    let entries = std::fs::read_dir("/proc").ok()?.filter_map(Result::ok);
    let mut ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.find(has)
}
