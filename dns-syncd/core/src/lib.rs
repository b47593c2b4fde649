//! Pure decisions of `dns-syncd`.
//!
//! Cluster views and a zone go in, changes come out; nothing here waits, reads a clock or touches a network. The walk:
//!
//! ```text
//! SourceEvent → Federation ──┐
//!                            ├→ desired (per service) → plan (against the claimed sets) → guard → queue → ChangeSet
//! Snapshot    → ZoneView  ───┘
//! ```
//!
//! A host that stores no claims gets them as TXT sets, one per service ([`ledger`]). [`zone::ZoneView`] puts them back on the
//! sets when it reads, and [`Reconciler::next_batch`] takes them off and adds the TXT when it writes; between the two
//! every decision is the same for all hosts.
//!
//! [`Reconciler`] holds these pieces and is what the daemon, `apply` and `plan` drive.

pub mod context;
pub mod desired;
mod endpoints;
pub mod event;
pub mod federation;
pub mod guard;
pub mod hosts;
pub mod ledger;
pub mod losses;
pub mod memory;
mod naming;
pub mod offers;
pub mod plan;
pub mod quorum;
mod reconciler;
pub mod report;
mod room;
mod selector;
mod settings;
pub mod standing;
pub mod swap;
pub mod zone;

pub use endpoints::Endpoints;
pub use event::*;
pub use naming::{Level, Naming, is_place_label};
pub use reconciler::{Batch, FollowUp, Reconciler, SetState, Tally};
pub use selector::{Selector, SelectorError};
pub use settings::{Adopt, AllUnhealthy, ClusterSettings, GuardSettings, Settings};
