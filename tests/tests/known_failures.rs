//! The page of known failures names tests that exist.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

/// The path of a test's file in backticks, and the names that follow it until the next one.
#[test]
fn every_test_that_the_page_names_exists() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = std::fs::read_to_string(repository.join("tests/known-failures.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with('|') && !line.starts_with("|---"));
    let mut found = 0;
    for row in rows.filter(|row| !row.starts_with("| report |")) {
        let here = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        let mut file: Option<(&str, String)> = None;
        let mut named = 0;
        for word in here.split_whitespace().map(|word| word.trim_end_matches([',', ';', ':'])) {
            if let Some(path) = word.strip_prefix('`').and_then(|word| word.strip_suffix(".rs`")) {
                let text = std::fs::read_to_string(repository.join(format!("{path}.rs")));
                file = Some((path, text.unwrap_or_else(|error| panic!("{path}.rs: {error}"))));
            } else if let Some((path, text)) = &file
                && (word.contains('_') || path.ends_with("scenarios"))
            {
                let function = text.contains(&format!("fn {word}(")) || text.contains(&format!("    {word},\n"));
                assert!(function || !word.contains('_'), "{path}.rs has no test `{word}`");
                named += usize::from(function);
            }
        }
        assert!(named > 0 || here == "the same test", "no test in the row: {row}");
        found += named;
    }
    assert!(found > 25, "only {found} tests found: has the page another form now?");
}
