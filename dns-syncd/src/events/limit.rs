//! How many events a service and a cluster may have.
//!
//! In: who, and the time · Out: yes or no · Pure: yes

use std::collections::BTreeMap;
use std::time::Duration;

use dns_sync_core::ServiceId;
use tokio::time::Instant;

/// Of one service: so many at once, and one more each time this has passed.
pub(super) const SERVICE: Rate = Rate { at_once: 10, every: Duration::from_mins(1) };
/// Of one cluster, all services together.
pub(super) const CLUSTER: Rate = Rate { at_once: 100, every: Duration::from_secs(1) };
/// Services that are remembered before those are forgotten that have been quiet.
const REMEMBERED: usize = 10_000;

/// So many at once, and one more after each while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    at_once: u32,
    every: Duration,
}

impl Rate {
    /// When the last event is paid for, if one more may go out now.
    fn one_more(self, paid: Option<Instant>, now: Instant) -> Option<Instant> {
        let paid = paid.map_or(now, |paid| paid.max(now));
        (paid - now <= self.every * (self.at_once - 1)).then(|| paid + self.every)
    }
}

/// The events of one cluster.
#[derive(Debug, Default)]
pub(super) struct Limits {
    cluster: Option<Instant>,
    services: BTreeMap<ServiceId, Instant>,
}

impl Limits {
    /// Whether an event of this service may go out now; then it counts.
    pub(super) fn allow(&mut self, service: &ServiceId, now: Instant) -> bool {
        let of_service = SERVICE.one_more(self.services.get(service).copied(), now);
        let of_cluster = CLUSTER.one_more(self.cluster, now);
        let (Some(of_service), Some(of_cluster)) = (of_service, of_cluster) else { return false };
        if self.services.len() >= REMEMBERED {
            self.services.retain(|_, paid| *paid > now);
        }
        self.services.insert(service.clone(), of_service);
        self.cluster = Some(of_cluster);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(number: usize) -> ServiceId {
        ServiceId::new("shop", format!("s{number}"))
    }

    #[test]
    fn a_service_has_ten_at_once_and_one_more_each_minute() {
        let (mut limits, begun) = (Limits::default(), Instant::now());
        let mut allowed = |now: Instant| (0..50).filter(|_| limits.allow(&service(0), now)).count();
        assert_eq!(allowed(begun), 10);
        assert_eq!(allowed(begun + Duration::from_secs(59)), 0);
        assert_eq!(allowed(begun + Duration::from_mins(1)), 1);
        assert_eq!(allowed(begun + Duration::from_mins(4)), 3);
        assert_eq!(allowed(begun + Duration::from_hours(5)), 10, "more than ten are not saved up");
        assert!(limits.allow(&service(1), begun + Duration::from_hours(5)), "another service has its own");
    }

    #[test]
    fn a_cluster_has_a_hundred_at_once_and_one_more_each_second() {
        let (mut limits, begun) = (Limits::default(), Instant::now());
        let mut allowed = |now: Instant| (0..500).filter(|number| limits.allow(&service(*number), now)).count();
        assert_eq!(allowed(begun), 100);
        assert_eq!(allowed(begun + Duration::from_secs(7)), 7);
        assert_eq!(allowed(begun + Duration::from_hours(1)), 100);
    }

    #[test]
    fn a_service_that_is_refused_takes_nothing_from_its_cluster() {
        let (mut limits, now) = (Limits::default(), Instant::now());
        let loud = (0..1000).filter(|_| limits.allow(&service(0), now)).count();
        let others = (1..500).filter(|number| limits.allow(&service(*number), now)).count();
        assert_eq!((loud, others), (10, 90));
    }

    #[test]
    fn quiet_services_are_forgotten() {
        let (mut limits, mut now) = (Limits::default(), Instant::now());
        for number in 0..3 * REMEMBERED {
            now += Duration::from_secs(1);
            assert!(limits.allow(&service(number), now));
        }
        assert!(limits.services.len() <= REMEMBERED, "{}", limits.services.len());
    }
}
