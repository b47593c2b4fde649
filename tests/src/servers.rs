//! Real servers on loopback for tests: where their programs are, and one value per running process.
//!
//! `tests/run` gets the programs; this module only finds them, so `cargo test` alone never downloads anything.
//! A server that is dropped is killed. Nothing waits a fixed time: readiness is what the process itself reports.

pub mod certificates;
mod coredns;
mod dns;
mod etcd;
mod helm;
mod kube;
mod mirror;
mod moto;
mod process;
mod wire;

pub use coredns::CoreDns;
pub use dns::{Answer, query, try_query};
pub use etcd::{Etcd, EtcdVersion};
pub use helm::HELM;
pub use kube::{KUBE_APISERVER, KubeApi, KubeUser};
pub use mirror::Mirror;
pub use moto::{MOTO, Moto};
pub use wire::{AFTERMATH, Way, Wire};

use std::path::{Path, PathBuf};

/// A program that tests start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// The environment variable that names it.
    pub variable: &'static str,
    /// Its file name in the cache folder of `tests/run`, and on `PATH` where `on_path` says so.
    pub file: &'static str,
    /// What to look for on `PATH`; `None` where any version found there may be the wrong one.
    pub on_path: Option<&'static str>,
}

/// CoreDNS with its `etcd` plugin.
pub const COREDNS: Program = Program { variable: "COREDNS_BIN", file: "coredns-1.15.0", on_path: Some("coredns") };

impl Program {
    /// The file to run: from the environment variable, then `PATH`, then the cache folder.
    ///
    /// # Panics
    /// When it is in none of the three: a test that needs it was asked for, so it fails rather than passes.
    pub fn find(self) -> PathBuf {
        if let Some(path) = std::env::var_os(self.variable).filter(|value| !value.is_empty()) {
            let path = PathBuf::from(path);
            assert!(path.is_file(), "{}: there is no file `{}`", self.variable, path.display());
            return path;
        }
        let on_path = self.on_path.into_iter().flat_map(|file| {
            let folders = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&folders).map(|folder| folder.join(file)).collect::<Vec<_>>()
        });
        let mut candidates = on_path.chain([cache_folder().join(self.file)]);
        candidates.find(|path| path.is_file()).unwrap_or_else(|| {
            panic!("`{}` was not found; hint: set {} or run `tests/run`, which gets it", self.file, self.variable)
        })
    }
}

/// `DNS_TEST_SERVERS`, else `target/servers` of the workspace; as in `tests/run`.
fn cache_folder() -> PathBuf {
    std::env::var_os("DNS_TEST_SERVERS")
        .filter(|value| !value.is_empty())
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/servers"), PathBuf::from)
}
