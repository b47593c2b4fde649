//! The engine: sources, zone and clock on one side, calls to the host on the other, decisions in between.
//!
//! `walk` is the picture of one change; the daemon's loop (`run`) and a single [`Pass`] both drive it.

mod audit;
mod backoff;
mod clock;
mod deadline;
mod gauges;
mod health;
mod history;
mod host;
mod latency;
mod metrics;
mod notices;
mod observe;
mod pass;
mod question;
mod request;
mod run;
mod status;
mod told;
mod walk;

pub use audit::AuditPace;
pub use clock::{Clock, SystemClock};
pub use host::ZoneChoice;
pub use pass::{Pass, PassContext, PassError, Written, records};
pub use request::{Ended, Handle};
pub use status::{FailureReport, QueueReport, Status, WriteReport};

pub(crate) use backoff::Backoff;
pub(crate) use health::Health;
pub(crate) use metrics::{EventFate, Metrics};
pub(crate) use request::Requests;
pub(crate) use run::{Engine, EngineParts, stamp};
