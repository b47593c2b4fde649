//! Whether the loop is alive and everything was reached once: `/healthz` and `/readyz`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The loop is stuck when it has not shown itself for this long.
const STUCK: Duration = Duration::from_mins(1);

/// What the loop tells of itself to those who must not wait for it.
#[derive(Debug)]
pub(crate) struct Health {
    /// The last time the loop came round; absent before it begins.
    beat: Mutex<Option<Instant>>,
    ready: AtomicBool,
}

impl Health {
    pub(crate) fn new() -> Self {
        Self { beat: Mutex::new(None), ready: AtomicBool::new(false) }
    }

    /// The loop came round.
    pub(crate) fn beat(&self) {
        *self.beat.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// The zone was read and every cluster has answered or was declared unknown, once.
    pub(super) fn set_ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    /// For how long the loop has been stuck; `None` while it is not.
    pub(crate) fn stuck(&self) -> Option<Duration> {
        let beat = *self.beat.lock().unwrap_or_else(PoisonError::into_inner);
        beat.map(|beat| beat.elapsed()).filter(|silent| *silent > STUCK)
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_stands_still_is_stuck() {
        let health = Health::new();
        assert_eq!(health.stuck(), None, "it has not begun");
        health.beat();
        tokio::time::advance(STUCK).await;
        assert_eq!(health.stuck(), None);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(health.stuck(), Some(STUCK + Duration::from_secs(1)));
        health.beat();
        assert_eq!(health.stuck(), None, "it goes on");
    }
}
