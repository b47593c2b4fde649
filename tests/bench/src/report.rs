//! What a part leaves behind: its numbers as JSON, its pictures, its section of the README, and its rows of the budgets.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::budget::{self, Budget};
use crate::machine::Machine;

/// In the order in which their budgets are shown.
const PARTS: [&str; 5] = ["etcd", "latency", "route53", "queries", "growth"];

/// The outcome of a part.
#[derive(Debug)]
pub(crate) struct Report<T> {
    /// The part's name, also of its files.
    pub(crate) part: &'static str,
    pub(crate) machine: Machine,
    /// Tables and remarks, in Markdown.
    pub(crate) text: String,
    /// What it promises.
    pub(crate) budgets: Vec<Budget>,
    /// All that was measured, for programs.
    pub(crate) data: T,
    /// File names and SVG texts.
    pub(crate) pictures: Vec<(String, String)>,
}

#[derive(Serialize)]
struct Json<'a, T> {
    part: &'a str,
    machine: &'a Machine,
    budgets: &'a [Budget],
    data: &'a T,
}

/// What is read back of such a file.
#[derive(Deserialize)]
struct Found {
    machine: Day,
    #[serde(default)]
    budgets: Vec<Budget>,
}

#[derive(Deserialize)]
struct Day {
    date: String,
}

impl<T: Serialize> Report<T> {
    /// Prints the text, writes `results/PART.json` and the pictures, and puts the text between the README's lines
    /// `<!-- PART -->` and `<!-- end PART -->`, and the budgets of all parts, as their files have them, between those of
    /// `budgets`.
    ///
    /// # Errors
    /// When a file cannot be written, or the README has no such lines.
    pub(crate) fn publish(&self) -> anyhow::Result<()> {
        let pictures = self.pictures.iter().map(|(file, _)| format!("\n\n![{file}](results/{file})"));
        let text = format!("{}\n\n{}{}", self.machine.line(), self.text.trim_end(), pictures.collect::<String>());
        println!("{text}");
        let results = folder().join("results");
        std::fs::create_dir_all(&results)?;
        let Self { part, machine, budgets, data, .. } = self;
        let json = serde_json::to_string_pretty(&Json { part, machine, budgets, data })?;
        write(&results.join(format!("{part}.json")), &(json + "\n"))?;
        for (file, svg) in &self.pictures {
            write(&results.join(file), svg)?;
        }
        let readme = folder().join("README.md");
        let old = std::fs::read_to_string(&readme).with_context(|| format!("reading {}", readme.display()))?;
        let put = |old: &str, section: &str, text: &str| {
            replaced(old, section, text).with_context(|| {
                format!("{}: there are no lines `<!-- {section} -->` and `<!-- end {section} -->`", readme.display())
            })
        };
        let new = put(&old, part, &text)?;
        write(&readme, &put(&new, "budgets", &budgets_of(&results)?)?)
    }
}

/// The budgets of every part that has left a file.
fn budgets_of(results: &Path) -> anyhow::Result<String> {
    let mut parts = Vec::new();
    for part in PARTS {
        let file = results.join(format!("{part}.json"));
        if !file.exists() {
            continue;
        }
        let text = std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        let found: Found = serde_json::from_str(&text).with_context(|| format!("reading {}", file.display()))?;
        parts.push((part, found.machine.date, found.budgets));
    }
    Ok(budget::table(&parts))
}

/// The folder of this package: benchmarks are run from a checkout.
fn folder() -> PathBuf {
    std::env::var_os("DNS_BENCH_FOLDER").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from)
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))
}

fn replaced(readme: &str, part: &str, text: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {part} -->\n"), format!("<!-- end {part} -->"));
    let (before, rest) = readme.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}{}\n{end}{after}", text.trim()))
}

#[cfg(test)]
mod tests {
    use super::replaced;

    #[test]
    fn a_section_is_replaced_and_the_rest_stays() {
        let readme = "head\n<!-- a -->\nold\n<!-- end a -->\ntail\n";
        assert_eq!(replaced(readme, "a", "new\n").as_deref(), Some("head\n<!-- a -->\nnew\n<!-- end a -->\ntail\n"));
        assert_eq!(replaced(readme, "b", "new"), None);
    }
}
