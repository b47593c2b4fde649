//! What runs the daemon in a cluster: the chart, the manifests rendered from it, the image.
//!
//! There is no kubelet here, and no container engine. So the chart's objects are taken by a real API server, a pod's files
//! are laid out as a kubelet would (`pod.rs`), and the real program runs on them with a token of the chart's account and
//! the rights that the chart grants.

mod accepted;
mod alerts;
pub(crate) mod chart;
mod files;
mod image;
pub(crate) mod pod;
mod rights;
