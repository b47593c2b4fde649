//! How long to leave the host alone after a call failed.

use std::time::Duration;

use dns_sync_core::Timestamp;
use dnsprovider::RetryHint;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

/// Shortest and longest pause.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(5));

/// Doubles from failure to failure, with jitter so that many daemons do not come back at once.
#[derive(Debug)]
pub(crate) struct Backoff {
    failures: u32,
    until: Option<Timestamp>,
    random: SmallRng,
}

impl Backoff {
    pub(crate) fn new(seed: u64) -> Self {
        Self { failures: 0, until: None, random: SmallRng::seed_from_u64(seed) }
    }

    /// Notes a failure.
    pub(crate) fn fail(&mut self, hint: RetryHint, now: Timestamp) {
        self.until = Some(now.plus(self.pause(hint)));
    }

    /// The pause after one more failure; a host that says when to come back is obeyed.
    pub(crate) fn pause(&mut self, hint: RetryHint) -> Duration {
        self.failures += 1;
        match hint {
            RetryHint::After(pause) => pause,
            RetryHint::Backoff | RetryHint::Never => {
                let longest = PAUSE.0.saturating_mul(2u32.saturating_pow(self.failures.min(16) - 1)).min(PAUSE.1);
                longest.mul_f64(self.random.random_range(0.5..=1.0))
            }
        }
    }

    pub(crate) fn succeed(&mut self) {
        self.failures = 0;
        self.until = None;
    }

    /// Failures in a row.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// When the host may be asked again, while that lies ahead.
    pub(crate) fn until(&self, now: Timestamp) -> Option<Timestamp> {
        self.until.filter(|until| now < *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_the_hosts_word_goes_first() {
        let (mut backoff, now) = (Backoff::new(7), Timestamp(0));
        assert_eq!(backoff.until(now), None);
        for doubled in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            backoff.fail(RetryHint::Backoff, now);
            let pause = backoff.until(now).map(|until| until.since(now).as_millis());
            assert!(
                pause.is_some_and(|pause| (doubled * 500..=doubled * 1000).contains(&pause)),
                "{doubled} {pause:?}"
            );
        }
        backoff.fail(RetryHint::After(Duration::from_secs(7)), now);
        assert_eq!(backoff.until(now), Some(Timestamp(7000)));
        assert_eq!(backoff.until(Timestamp(7000)), None);
        backoff.succeed();
        assert_eq!(backoff.failures(), 0);
    }
}
