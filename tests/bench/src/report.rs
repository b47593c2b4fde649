//! What a part leaves behind: its numbers as JSON, its pictures, and its section of the README.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;

use crate::machine::Machine;

/// The outcome of a part.
#[derive(Debug)]
pub(crate) struct Report<T> {
    /// The part's name, also of its files.
    pub(crate) part: &'static str,
    pub(crate) machine: Machine,
    /// Tables and remarks, in Markdown.
    pub(crate) text: String,
    /// All that was measured, for programs.
    pub(crate) data: T,
    /// File names and SVG texts.
    pub(crate) pictures: Vec<(String, String)>,
}

#[derive(Serialize)]
struct Json<'a, T> {
    part: &'a str,
    machine: &'a Machine,
    data: &'a T,
}

impl<T: Serialize> Report<T> {
    /// Prints the text, writes `results/PART.json` and the pictures, and puts the text between the README's lines
    /// `<!-- PART -->` and `<!-- end PART -->`.
    ///
    /// # Errors
    /// When a file cannot be written, or the README has no such lines.
    pub(crate) fn publish(&self) -> anyhow::Result<()> {
        let pictures = self.pictures.iter().map(|(file, _)| format!("\n\n![{file}](results/{file})"));
        let text = format!("{}\n\n{}{}", self.machine.line(), self.text.trim_end(), pictures.collect::<String>());
        println!("{text}");
        let results = folder().join("results");
        std::fs::create_dir_all(&results)?;
        let Self { part, machine, data, .. } = self;
        let json = serde_json::to_string_pretty(&Json { part, machine, data })?;
        write(&results.join(format!("{part}.json")), &(json + "\n"))?;
        for (file, svg) in &self.pictures {
            write(&results.join(file), svg)?;
        }
        let readme = folder().join("README.md");
        let old = std::fs::read_to_string(&readme).with_context(|| format!("reading {}", readme.display()))?;
        let new = replaced(&old, part, &text).with_context(|| {
            format!("{}: there are no lines `<!-- {part} -->` and `<!-- end {part} -->`", readme.display())
        })?;
        write(&readme, &new)
    }
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
