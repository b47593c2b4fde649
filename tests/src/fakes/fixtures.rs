//! Where the vendors' descriptions and the recorded exchanges lie: outside the repository.

use std::path::{Path, PathBuf};

/// The folder `DNS_FIXTURES`, else `../shared/fixtures` beside the repository.
///
/// # Panics
/// When there is no such folder: a test that needs it was asked for, so it fails rather than passes.
pub fn dir() -> PathBuf {
    let named = std::env::var_os("DNS_FIXTURES").filter(|value| !value.is_empty()).map(PathBuf::from);
    let dir = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures"));
    assert!(dir.is_dir(), "there is no folder `{}`; hint: set DNS_FIXTURES to the vendors' fixtures", dir.display());
    dir
}
