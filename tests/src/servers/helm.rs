//! Helm, which renders the chart.

use super::Program;

/// Helm 3.18, as `tests/run` gets it.
pub const HELM: Program = Program { variable: "HELM_BIN", file: "helm-3.18.6", on_path: None };
