//! One change of a zone: sets that must stand there exactly so and go, and sets that come.
//!
//! The service makes all of it or nothing. An answer that refuses names the sets that it is about by their place in the
//! request; these get their outcome and all others are not tried. Where it names none the batch is refused as a whole.

use dnsprovider::{
    Applied, ApplyContext, Change, ChangeSet, Cost, Error, ErrorKind, Fqdn, Outcome, RrKey, Unit, Version, ZoneId,
    admit,
};
use google_cloud_dns_v1::model::{Change as ModelChange, ResourceRecordSet};

use super::CloudDns;
use super::api::Way;
use super::blame::{At, List, Place};
use super::convert::{addition, can_stand, deletion, octets};
use super::error::{Asking, NAME, Refusal, error};
use crate::cloud::Fate;

/// `changes.create` asks for more than the right that it is named after, by what the change does.
const RIGHT: &str = "dns.changes.create` and `dns.resourceRecordSets.create`, `dns.resourceRecordSets.update`, `dns.resourceRecordSets.delete";

impl CloudDns {
    pub(super) async fn apply_batch(
        &self,
        zone: &ZoneId,
        apex: &Fqdn,
        changes: &ChangeSet,
        context: &ApplyContext,
    ) -> Result<Applied, Error> {
        if let Some(refused) = self.unfit(apex, changes) {
            return Ok(refused);
        }
        let sum = changes.units.iter().map(cost).fold(Cost::default(), |sum, cost| sum + cost);
        if let Some(over) = sum.over(&self.limits().batch) {
            let message = format!("applying a batch: {over} (sets are additions, operations are deletions)");
            return Err(error(ErrorKind::LimitExceeded, message));
        }
        if context.is_over() {
            return Ok(Applied::all(changes, |_| Outcome::NotTried));
        }
        let batch = Batch::new(changes);
        let asking = Asking { what: "changing record sets", right: RIGHT, zone: Some(&zone.0) };
        let way = Way::Write(context.lane.into());
        let request = self.api.ask(&asking, way, context.time_left.as_ref(), |clients| {
            let create = clients.changes.create().set_project(&clients.project).set_managed_zone(&*zone.0);
            let create = create.set_body(batch.body());
            async move { create.send().await }
        });
        match request.await {
            // It may be pending still: the service then answers with it in a moment, and nothing can stop it.
            Ok(_) => Ok(Applied::all(changes, |_| Outcome::Done(Version::default()))),
            Err(refusal) => {
                if refusal.failure.error.kind() == ErrorKind::LimitExceeded {
                    self.quotas_have_changed();
                }
                batch.told(refusal, changes)
            }
        }
    }

    /// What need not be asked: the sets that no zone can take, each with its refusal.
    fn unfit(&self, apex: &Fqdn, changes: &ChangeSet) -> Option<Applied> {
        let can = self.able();
        let refusal = |unit: &Unit| {
            admit(unit, apex, &can, NAME).err().or_else(|| {
                let odd = unit.changes.iter().find(|change| change.after.is_some() && !can_stand(&change.key.owner))?;
                let message = "putting a set at a name with other characters than letters, digits, `-` and `_`";
                Some(error(ErrorKind::InvalidInput, message).with_zone(apex).with_key(&odd.key))
            })
        };
        let refusals: Vec<_> = changes.units.iter().filter_map(refusal).collect();
        if refusals.is_empty() {
            return None;
        }
        let mut applied = Applied::all(changes, |_| Outcome::NotTried);
        for refusal in refusals {
            // `admit` names the set of each refusal.
            if let Some(key) = refusal.key().cloned() {
                applied.add(&key, Outcome::Refused(refusal));
            }
        }
        Some(applied)
    }
}

/// The sets of a unit as the service counts them; see `Quotas::limits`.
pub(super) fn cost(unit: &Unit) -> Cost {
    let one = |change: &Change| {
        let [gone, put] = [going(change), coming(change)];
        Cost {
            sets: u64::from(put.is_some()),
            operations: u64::from(gone.is_some()),
            octets: gone.iter().chain(&put).map(octets).fold(0, u64::saturating_add),
            ..Cost::default()
        }
    };
    unit.changes.iter().map(one).fold(Cost::default(), |sum, cost| sum + cost)
}

fn going(change: &Change) -> Option<ResourceRecordSet> {
    change.before.as_ref().map(|before| deletion(&before.set, &change.version))
}

fn coming(change: &Change) -> Option<ResourceRecordSet> {
    change.after.as_ref().map(|after| addition(&after.set))
}

/// A request, and which set each of its entries is about.
struct Batch<'a> {
    additions: Vec<(&'a RrKey, ResourceRecordSet)>,
    deletions: Vec<(&'a RrKey, ResourceRecordSet)>,
}

impl<'a> Batch<'a> {
    fn new(changes: &'a ChangeSet) -> Self {
        let with_key = |make: fn(&Change) -> Option<ResourceRecordSet>| {
            changes.changes().filter_map(|change| Some((&change.key, make(change)?))).collect()
        };
        Self { additions: with_key(coming), deletions: with_key(going) }
    }

    fn body(&self) -> ModelChange {
        let sets = |list: &[(&RrKey, ResourceRecordSet)]| list.iter().map(|(_, set)| set.clone()).collect::<Vec<_>>();
        ModelChange::new().set_additions(sets(&self.additions)).set_deletions(sets(&self.deletions))
    }

    /// What a refusal means for each set.
    fn told(&self, refusal: Refusal, changes: &ChangeSet) -> Result<Applied, Error> {
        let Refusal { failure, places } = refusal;
        let blamed = places.into_iter().filter_map(|(place, error)| Some((self.key(&place)?, error)));
        let blamed: Vec<_> = blamed.filter(|_| failure.fate == Fate::NotDone).collect();
        if blamed.is_empty() {
            return failure.of_batch(changes);
        }
        let mut applied = Applied::all(changes, |_| Outcome::NotTried);
        for (key, error) in blamed {
            let outcome = match error.kind() {
                ErrorKind::Conflict => Outcome::Conflict,
                _ => Outcome::Refused(error.with_key(key)),
            };
            applied.add(key, outcome);
        }
        Ok(applied)
    }

    fn key(&self, place: &Place) -> Option<&'a RrKey> {
        let list = match place.list {
            List::Additions => &self.additions,
            List::Deletions => &self.deletions,
        };
        let entry = match &place.at {
            At::Index(index) => list.get(*index),
            At::Set { name, rr_type } => list.iter().find(|(_, set)| {
                let is = |held: &Option<String>, text: &str| {
                    held.as_deref().is_some_and(|held| held.eq_ignore_ascii_case(text))
                };
                is(&set.name, name) && is(&set.r#type, rr_type)
            }),
        };
        entry.map(|(key, _)| *key)
    }
}
