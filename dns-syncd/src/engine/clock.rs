//! Where the engine takes the time from.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

use dns_sync_core::Timestamp;

/// The time of day as the engine sees it. Tests bring their own.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Now. Never goes back.
    fn now(&self) -> Timestamp;
}

/// The machine's clock. Where that is set back, this one stands still until it has caught up.
#[derive(Debug, Default)]
pub struct SystemClock {
    latest: AtomicI64,
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        Timestamp(self.latest.fetch_max(now, Ordering::Relaxed).max(now))
    }
}
