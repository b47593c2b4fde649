//! What is wrong with a unit of changes whatever the zone holds: a host need not be asked.
//!
//! Backends refuse such a unit before they send anything, so that one bad record is named and costs no call.
//! In: a unit, the apex, capabilities · Out: the first refusal · Pure: yes.

use std::collections::BTreeSet;

use crate::capabilities::Capabilities;
use crate::change::{Change, Unit};
use crate::error::{Error, ErrorKind};
use crate::name::Fqdn;
use crate::record::RrType;

/// Judges a unit for the zone of that apex, at a host of those capabilities.
///
/// | a change | the refusal |
/// |---|---|
/// | holds neither set, or sets of another key, or its key twice in the unit; its owner is outside the zone | `InvalidInput` |
/// | holds opaque data, a type that the host does not write, or a claim where it stores none | `Unsupported` |
/// | has a TTL out of bounds | `InvalidInput` |
/// | has more records than a set may have | `LimitExceeded` |
/// | puts a CNAME at the apex, or beside another set of the unit | `InvalidInput` |
///
/// # Errors
/// The first refusal, in order of the changes; it names the zone and the set.
pub fn admit(unit: &Unit, apex: &Fqdn, can: &Capabilities, provider: &'static str) -> Result<(), Error> {
    let mut seen = BTreeSet::new();
    for change in &unit.changes {
        let refuse = |kind, why: &str| Err(Error::new(kind, provider, why).with_zone(apex).with_key(&change.key));
        let sets = || change.before.iter().chain(&change.after).map(|data| &data.set);
        if change.before.is_none() && change.after.is_none() {
            return refuse(ErrorKind::InvalidInput, "applying a change with neither a set before nor one after");
        }
        if sets().any(|set| *set.key() != change.key) {
            return refuse(ErrorKind::InvalidInput, "applying a change whose set has another key");
        }
        if !seen.insert(&change.key) {
            return refuse(ErrorKind::InvalidInput, "changing a set twice in one unit");
        }
        if !change.key.owner.is_at_or_below(apex) {
            return refuse(ErrorKind::InvalidInput, "changing a name outside the zone");
        }
        if sets().any(crate::RrSet::is_opaque) {
            return refuse(ErrorKind::Unsupported, "changing a set whose data is only carried");
        }
        within(change, can, provider).map_err(|error| error.with_zone(apex))?;
        if change.after.is_none() {
            continue;
        }
        let owner = &change.key.owner;
        let puts_other = || {
            let beside = |other: &Change| other.key.owner == *owner && other.key != change.key;
            unit.changes.iter().any(|other| beside(other) && other.after.is_some())
        };
        if change.key.rr_type == RrType::Cname && owner == apex {
            // SOA and NS stand there even where the host does not list them.
            return refuse(ErrorKind::InvalidInput, "putting a CNAME at the apex of the zone");
        }
        if change.key.rr_type == RrType::Cname && puts_other() {
            return refuse(ErrorKind::InvalidInput, "putting a CNAME beside other data (RFC 1034 section 3.6.2)");
        }
    }
    Ok(())
}

/// Judges one change by what the host is able to do and how large it lets a set be.
pub(crate) fn within(change: &Change, can: &Capabilities, provider: &'static str) -> Result<(), Error> {
    let refuse = |kind, why: String| Err(Error::new(kind, provider, why).with_key(&change.key));
    let limits = &can.limits;
    if !can.record_types.contains(&change.key.rr_type) {
        return refuse(ErrorKind::Unsupported, format!("writing the type `{}`: this host cannot", change.key.rr_type));
    }
    if !can.claims && change.before.iter().chain(&change.after).any(|data| data.claim.is_some()) {
        return refuse(ErrorKind::Unsupported, "storing a claim with its set: this host cannot".to_owned());
    }
    let Some(after) = &change.after else { return Ok(()) };
    let (ttl, records) = (after.set.ttl(), after.set.records().len());
    if ttl < limits.min_ttl || ttl > limits.max_ttl {
        let range = format!("{} to {}", limits.min_ttl, limits.max_ttl);
        return refuse(ErrorKind::InvalidInput, format!("writing the TTL {ttl}: this host allows {range}"));
    }
    match limits.records_per_set {
        Some(most) if records > most => {
            refuse(ErrorKind::LimitExceeded, format!("writing {records} records: this host allows {most} in a set"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::Claim;
    use crate::memory::capabilities;
    use crate::record::Ttl;
    use crate::testing::{change, name, units};

    fn host() -> Capabilities {
        let mut can = capabilities();
        can.claims = false;
        can.record_types = [RrType::A, RrType::Cname].into();
        can.limits.records_per_set = Some(2);
        can.limits.min_ttl = Ttl::from_secs(30).expect("a TTL");
        can
    }

    fn judge(unit: &Unit) -> Option<(ErrorKind, String)> {
        let error = admit(unit, &name("@"), &host(), "test").err()?;
        assert_eq!((error.provider(), error.zone()), ("test", Some(&name("@"))));
        let owner = error.key().and_then(|key| key.owner.relative_to(&name("@"))).unwrap_or_default().to_owned();
        Some((error.kind(), owner))
    }

    #[test]
    fn what_no_zone_can_take_is_refused_at_the_set() {
        type Case<'a> = (&'a [&'a str], Option<(ErrorKind, &'a str)>);
        use ErrorKind::{InvalidInput, LimitExceeded, Unsupported};
        let table: &[Case<'_>] = &[
            (&["-> a A 192.0.2.1", "b A 192.0.2.1 ->"], None),
            (&["a A 192.0.2.1 ->", "-> a CNAME b"], None),
            (&["-> a CNAME b", "-> c CNAME d", "-> e A 192.0.2.1"], None),
            (&["-> ok A 192.0.2.1", "-> a CNAME b", "-> a A 192.0.2.1"], Some((InvalidInput, "a"))),
            (&["-> @ CNAME b"], Some((InvalidInput, ""))),
            (&["-> a A 192.0.2.1", "a A 192.0.2.1 ->"], Some((InvalidInput, "a"))),
            (&["-> a TXT x"], Some((Unsupported, "a"))),
            (&["-> a A 192.0.2.1 192.0.2.2 192.0.2.3"], Some((LimitExceeded, "a"))),
            (&["a A 192.0.2.1 192.0.2.2 192.0.2.3 ->"], None),
        ];
        for (texts, expected) in table {
            let unit = units(&[texts]).units.remove(0);
            assert_eq!(judge(&unit), expected.map(|(kind, owner)| (kind, owner.to_owned())), "{texts:?}");
        }
    }

    #[test]
    fn claims_bounds_and_empty_changes_are_judged_too() {
        let good = change("-> a A 192.0.2.1");
        let mut claimed = good.clone();
        claimed.after.as_mut().expect("it creates").claim = Some(Claim::without_credits("x", "f"));
        let mut neither = good.clone();
        neither.after = None;
        let mut moved = good.clone();
        moved.key.owner = name("b");
        let mut outside = change("-> a A 192.0.2.1");
        let elsewhere = Fqdn::parse("example.org").expect("a name");
        outside.key.owner = elsewhere.clone();
        let held = outside.after.as_mut().expect("it creates");
        held.set = crate::RrSet::new(outside.key.clone(), held.set.ttl(), held.set.records().to_vec()).expect("a set");
        let mut short = good.clone();
        let held = short.after.as_mut().expect("it creates");
        let ttl = Ttl::from_secs(29).expect("a TTL");
        held.set = crate::RrSet::new(short.key.clone(), ttl, held.set.records().to_vec()).expect("a set");
        for (change, kind) in [
            (good, None),
            (claimed, Some(ErrorKind::Unsupported)),
            (neither, Some(ErrorKind::InvalidInput)),
            (moved, Some(ErrorKind::InvalidInput)),
            (outside, Some(ErrorKind::InvalidInput)),
            (short, Some(ErrorKind::InvalidInput)),
        ] {
            let unit = Unit { changes: vec![change] };
            let error = admit(&unit, &name("@"), &host(), "test").err();
            assert_eq!(error.map(|error| error.kind()), kind, "{unit:?}");
        }
    }
}
