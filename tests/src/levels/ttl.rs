//! Level 5: the TTL belongs to the set.

use dnsprovider::{ErrorKind, Ttl};

use crate::{Bench, Failure, Level};

/// A provider that loses TTLs rewrites its zone for ever.
pub const LEVEL: Level = Level { number: 5, story: "a TTL is stored as given, or refused; never rounded" };

/// A change of nothing but the TTL is a change.
pub async fn the_ttl_changes_alone(bench: &Bench) -> Result<(), Failure> {
    let limits = &bench.can.limits;
    let held = bench.a("www", &["192.0.2.1", "192.0.2.2"]);
    for seconds in [180, 181, 59, 86_400] {
        let ttl = Ttl::from_secs(seconds).unwrap_or(Ttl::MAX).clamp(limits.min_ttl, limits.max_ttl);
        bench.migrate(&[Bench::with_ttl(&held, ttl)]).await?;
    }
    Ok(())
}

/// [`dnsprovider::capabilities::Limits::min_ttl`] and `max_ttl` are inside.
pub async fn the_bounds_are_stored_as_given(bench: &Bench) -> Result<(), Failure> {
    let limits = &bench.can.limits;
    let held = bench.a("www", &["192.0.2.1"]);
    bench.migrate(&[Bench::with_ttl(&held, limits.min_ttl)]).await?;
    bench.migrate(&[Bench::with_ttl(&held, limits.max_ttl)]).await
}

/// One below and one above; where DNS itself ends, there is no such TTL.
pub async fn beyond_the_bounds_is_refused(bench: &Bench) -> Result<(), Failure> {
    let limits = &bench.can.limits;
    let below = limits.min_ttl.as_secs().checked_sub(1).and_then(Ttl::from_secs);
    let above = limits.max_ttl.as_secs().checked_add(1).and_then(Ttl::from_secs);
    for ttl in below.into_iter().chain(above) {
        let held = Bench::with_ttl(&bench.a("www", &["192.0.2.1"]), ttl);
        let change = bench.creation(held).await?;
        bench.expect_refusal(vec![change], &[ErrorKind::InvalidInput, ErrorKind::LimitExceeded]).await?;
    }
    bench.expect(&[]).await
}
