//! `init`, `join` and `unjoin` on real API servers: one for the host, one for each member.
//!
//! What is no API server stands in: controllers that issue tokens and end namespaces (`controllers.rs`), a kubelet that
//! forwards a pod's port for those who may (`front.rs`) and renews what it mounts ([`crate::deploy::pod`]). The daemon runs
//! as the pod of the Deployment that `init` wrote, with the Secrets and rights that the commands wrote and no others.

mod bad_input;
mod controllers;
mod front;
mod kinds;
mod life;
mod manifests;
mod page;
mod pods;
mod rights;
mod stage;
