//! What a host of the declared abilities and limits does not let in.

use super::error;
use super::fault::Effect;
use crate::capabilities::{Capabilities, Cost, Limits};
use crate::change::{Change, Unit};
use crate::error::{Error, ErrorKind};
use crate::provider::{Applied, Outcome};
use crate::store::{Stop, ZoneStore};

/// Refuses a batch that is too large for one call.
pub(super) fn batch(cost: &Cost, limits: &Limits, effects: &[Effect]) -> Result<(), Error> {
    let lowered = effects.iter().filter_map(|effect| match effect {
        Effect::BatchLimit(limit) => Some(limit),
        _ => None,
    });
    match std::iter::once(&limits.batch).chain(lowered).find(|limit| !cost.fits(limit)) {
        None => Ok(()),
        Some(limit) => {
            let over = cost.over(limit).unwrap_or_default();
            Err(error(ErrorKind::LimitExceeded, format!("applying a batch that is too large: {over}")))
        }
    }
}

/// Refuses a unit that needs an ability or a size that the host lacks.
pub(super) fn unit(
    store: &ZoneStore,
    unit: &Unit,
    capabilities: &Capabilities,
    effects: &[Effect],
) -> Result<(), Stop> {
    for (place, change) in unit.changes.iter().enumerate() {
        self::change(change, capabilities, effects).map_err(|outcome| Stop { place, outcome })?;
    }
    let quota = effects.iter().filter_map(|effect| match effect {
        Effect::Quota(sets) => Some(*sets),
        _ => None,
    });
    let Some(quota) = quota.chain(capabilities.limits.sets_per_zone).min() else { return Ok(()) };
    let grows = |change: &&Change| change.before.is_none();
    let gained = unit.changes.iter().filter(grows).count() as u64;
    let lost = unit.changes.iter().filter(|change| change.after.is_none()).count() as u64;
    let sets = (store.len() as u64 + gained).saturating_sub(lost);
    match unit.changes.iter().position(|change| grows(&change)) {
        Some(place) if sets > quota => {
            let full = format!("creating a set in a zone that holds {} of at most {quota}", store.len());
            let error = error(ErrorKind::LimitExceeded, full).with_key(&unit.changes[place].key);
            Err(Stop { place, outcome: Outcome::Refused(error) })
        }
        _ => Ok(()),
    }
}

fn change(change: &Change, capabilities: &Capabilities, effects: &[Effect]) -> Result<(), Outcome> {
    let refuse = |kind, why: String| Err(Outcome::Refused(error(kind, why).with_key(&change.key)));
    for effect in effects {
        match effect {
            Effect::Refuse(key, ErrorKind::Conflict) if *key == change.key => return Err(Outcome::Conflict),
            Effect::Refuse(key, kind) if *key == change.key => {
                return refuse(*kind, "changing a set: a fault was injected".to_owned());
            }
            _ => {}
        }
    }
    crate::admit::within(change, capabilities, super::NAME).map_err(Outcome::Refused)
}

/// What a host tells that has one verdict for a batch: all done, or the first reason why nothing is.
pub(super) fn one_verdict(applied: Applied) -> Result<Applied, Error> {
    if applied.is_done() {
        return Ok(applied);
    }
    let bare = |kind, message: String| error(kind, message);
    Err(applied
        .outcomes
        .into_values()
        .find_map(|outcome| match outcome {
            Outcome::Refused(refusal) => Some(bare(refusal.kind(), format!("applying a batch: {}", refusal.message()))),
            Outcome::Conflict => Some(bare(ErrorKind::Conflict, "applying a batch: something in it is stale".into())),
            _ => None,
        })
        .unwrap_or_else(|| bare(ErrorKind::Protocol, "applying a batch: no reason was told".into())))
}
