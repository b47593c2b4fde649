//! The clock that a lease is measured on: it goes on while the machine is suspended, and nobody can set it.

use std::fmt;
use std::time::Duration;

/// Gives the time since some fixed point, suspensions included.
pub trait BootClock: Send + Sync + fmt::Debug {
    /// Now. Never goes back, and never stands still.
    fn now(&self) -> Duration;
}

/// The machine's clock of that kind.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemBootClock;

impl BootClock for SystemBootClock {
    fn now(&self) -> Duration {
        // Linux stops CLOCK_MONOTONIC, and with it `Instant`, in a suspended machine; others have no second clock.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let id = rustix::time::ClockId::Boottime;
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let id = rustix::time::ClockId::Monotonic;
        let now = rustix::time::clock_gettime(id);
        let (seconds, nanos) = (u64::try_from(now.tv_sec), u32::try_from(now.tv_nsec));
        Duration::new(seconds.unwrap_or_default(), nanos.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_clock_goes_on() {
        let before = SystemBootClock.now();
        while SystemBootClock.now() == before {}
        assert!(SystemBootClock.now() > before);
    }
}
