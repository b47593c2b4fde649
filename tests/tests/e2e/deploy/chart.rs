//! The chart, rendered by Helm.

use std::path::{Path, PathBuf};
use std::process::Command;

use dns_conformance::servers::HELM;
use serde_json::Value;

/// Where the chart is installed in tests.
pub(crate) const NAMESPACE: &str = "dns-system";
/// Its release, and so the name of its objects.
pub(crate) const RELEASE: &str = "dns-syncd";

/// `dns-syncd/deploy`.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../dns-syncd/deploy")
}

/// Objects of the chart with the values of an example and these besides, as YAML.
///
/// # Errors
/// With what Helm says.
pub(crate) fn render(example: &str, values: &str) -> Result<Vec<Value>, String> {
    let more = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(more.path(), values).unwrap();
    let mut helm = Command::new(HELM.find());
    helm.arg("template").arg(RELEASE).arg(folder().join("chart"));
    helm.args(["--namespace", NAMESPACE, "--kube-version", "1.34.1", "--values"]);
    helm.arg(folder().join("examples").join(format!("{example}.yaml"))).arg("--values").arg(more.path());
    let output = helm.output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(documents(&String::from_utf8(output.stdout).unwrap()))
}

/// The documents of a text in YAML.
pub(crate) fn documents(text: &str) -> Vec<Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    documents.into_iter().filter(|document| !document.is_null()).collect()
}

/// The only object of a kind.
pub(crate) fn only<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let found: Vec<_> = objects.iter().filter(|object| object["kind"] == kind).collect();
    let [only] = found.as_slice() else { panic!("{} objects of the kind {kind}", found.len()) };
    only
}
