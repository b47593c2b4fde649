//! A batch of changes, as one call: exact deletions and creations, never the UPSERT that overwrites what it does not know.

use aws_sdk_route53::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_route53::types::{
    Change as HostChange, ChangeAction, ChangeBatch, ResourceRecord, ResourceRecordSet, RrType as HostType,
};
use dnsprovider::{
    Applied, ApplyContext, Change, ChangeSet, Cost, DnsProvider, Error, ErrorKind, Fqdn, Outcome, RrSet, Unit, Version,
    ZoneId, admit,
};

use super::Route53;
use super::convert;
use super::error::{self, Operation, error};
use super::refusal;
use crate::cloud::{Fate, Turn};

/// Characters of one value, quotes and escapes included.
/// Source: <https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/ResourceRecordTypes.html>, TXT.
const VALUE_CHARACTERS: usize = 4000;

/// What the host answers to a batch.
enum Answer {
    Done,
    /// Nothing was changed, and why.
    Refused(Vec<String>),
}

/// `ResourceRecord` elements and characters of their values; a set that is replaced is deleted and created.
pub(super) fn cost(unit: &Unit) -> Cost {
    let mut cost = Cost::default();
    for value in unit.changes.iter().flat_map(|change| [deleted(change), created(change)]).flatten().flatten() {
        cost.values += 1;
        cost.octets += value.chars().count() as u64;
    }
    cost
}

fn deleted(change: &Change) -> Option<Vec<String>> {
    change.before.as_ref().map(|before| convert::values_before(change, &before.set))
}

fn created(change: &Change) -> Option<Vec<String>> {
    change.after.as_ref().map(|after| convert::values(&after.set))
}

impl Route53 {
    pub(super) async fn apply_batch(
        &self,
        zone: &ZoneId,
        changes: &ChangeSet,
        context: &ApplyContext,
    ) -> Result<Applied, Error> {
        let id = super::id(zone).map_err(|failure| failure.error)?;
        if context.is_over() {
            return Ok(Applied::all(changes, |_| Outcome::NotTried));
        }
        let limits = self.capabilities().limits;
        let total = changes.units.iter().fold(limits.overhead, |sum, unit| sum + cost(unit));
        if let Some(over) = total.over(&limits.batch) {
            return Err(error(ErrorKind::LimitExceeded, format!("applying a batch that is too large: {over}")));
        }
        let time_left = context.time_left.as_ref();
        let apex = match self.apex(zone, time_left).await {
            Ok(apex) => apex,
            // Of the batch nothing was sent, whatever became of the question.
            Err(failure) if failure.fate == Fate::NotSent => return Ok(Applied::all(changes, |_| Outcome::NotTried)),
            Err(failure) => return Err(failure.error),
        };
        if let Some(applied) = self.refused(changes, &apex) {
            return Ok(applied);
        }
        let batch = batch(changes)?;
        let answer = self.send_or(
            Operation::ChangeResourceRecordSets,
            Turn::from(context.lane),
            false,
            time_left,
            || self.client.change_resource_record_sets().hosted_zone_id(id).change_batch(batch.clone()).send(),
            |answer| match answer {
                Ok(_) => Ok(Answer::Done),
                Err(refused) => refused_batch(&refused)
                    .map(Answer::Refused)
                    .ok_or_else(|| error::failure(Operation::ChangeResourceRecordSets, refused)),
            },
        );
        match answer.await {
            Ok(Answer::Done) => Ok(Applied::all(changes, |_| Outcome::Done(Version::default()))),
            Ok(Answer::Refused(messages)) => {
                tracing::debug!(?messages, "a batch was refused");
                refusal::outcomes(changes, &messages)
            }
            Err(failure) => failure.of_batch(changes),
        }
    }

    /// The outcomes of a batch that need not be sent, because a unit of it cannot be done.
    fn refused(&self, changes: &ChangeSet, apex: &Fqdn) -> Option<Applied> {
        let can = self.capabilities();
        let mut applied = Applied::default();
        let mut refused = false;
        for unit in &changes.units {
            let judged = admit(unit, apex, &can, error::NAME).and_then(|()| short_enough(unit, apex));
            refused |= judged.is_err();
            let error = judged.err();
            for change in &unit.changes {
                let outcome = match &error {
                    Some(error) if error.key() == Some(&change.key) => {
                        Outcome::Refused(error.duplicate_for(&change.key))
                    }
                    _ => Outcome::NotTried,
                };
                applied.add(&change.key, outcome);
            }
        }
        refused.then_some(applied)
    }
}

fn short_enough(unit: &Unit, apex: &Fqdn) -> Result<(), Error> {
    for change in &unit.changes {
        let length = created(change).into_iter().flatten().map(|value| value.chars().count()).max().unwrap_or(0);
        if length > VALUE_CHARACTERS {
            let why = format!("writing a value of {length} characters: Route 53 allows {VALUE_CHARACTERS}");
            return Err(error(ErrorKind::InvalidInput, why).with_zone(apex).with_key(&change.key));
        }
    }
    Ok(())
}

/// All changes in order of the units; in a unit all deletions first, so that a set makes room for a CNAME.
fn batch(changes: &ChangeSet) -> Result<ChangeBatch, Error> {
    let mut batch = ChangeBatch::builder();
    for unit in &changes.units {
        for change in &unit.changes {
            if let (Some(before), Some(values)) = (&change.before, deleted(change)) {
                batch = batch.changes(host_change(ChangeAction::Delete, &before.set, values)?);
            }
        }
        for change in &unit.changes {
            if let (Some(after), Some(values)) = (&change.after, created(change)) {
                batch = batch.changes(host_change(ChangeAction::Create, &after.set, values)?);
            }
        }
    }
    batch.build().map_err(unbuildable)
}

fn host_change(action: ChangeAction, set: &RrSet, values: Vec<String>) -> Result<HostChange, Error> {
    let mut built = ResourceRecordSet::builder()
        .name(convert::name(set.owner()))
        .r#type(HostType::from(set.rr_type().as_str()))
        .ttl(i64::from(set.ttl().as_secs()));
    for value in values {
        built = built.resource_records(ResourceRecord::builder().value(value).build().map_err(unbuildable)?);
    }
    let built = built.build().map_err(unbuildable)?;
    HostChange::builder().action(action).resource_record_set(built).build().map_err(unbuildable)
}

/// A field of the SDK's that we did not fill.
fn unbuildable(cause: aws_sdk_route53::error::BuildError) -> Error {
    error(ErrorKind::Protocol, "making a change request").with_source(cause)
}

/// The messages, where the answer is that the batch cannot be applied.
fn refused_batch<E: ProvideErrorMetadata>(
    refused: &SdkError<E, aws_smithy_runtime_api::client::orchestrator::HttpResponse>,
) -> Option<Vec<String>> {
    const CODE: &str = "InvalidChangeBatch";
    let response = refused.raw_response()?;
    let body = response.body().bytes().unwrap_or_default();
    let listed = || refusal::messages_of(body);
    match refused.code() {
        Some(CODE) => Some(refused.message().map_or_else(listed, |message| vec![message.to_owned()])),
        // The frame of the service model, which has no code in it.
        None if response.status().as_u16() == 400 => {
            let framed = String::from_utf8_lossy(body).contains("<InvalidChangeBatch");
            framed.then(listed)
        }
        _ => None,
    }
}
