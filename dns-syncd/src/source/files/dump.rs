//! The objects of a federation v1 API server: its clusters, and services with the addresses of all of them.
//!
//! In: objects · Out: an answer for each cluster · Pure: yes

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use dns_sync_core::{ClusterAnswer, ClusterName, Endpoint, Place, Problem, ServiceCopy, Timestamp};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::manifest::{Ingress, Kind, Metadata, Object, Spec, Status};
use super::member::{Selection, endpoint, labels, note_origins, origin};
use crate::source::Select;

const INGRESSES: &str = "federation.kubernetes.io/service-ingresses";

/// What a dump says.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Dump {
    pub(crate) clusters: BTreeMap<ClusterName, Member>,
    pub(crate) problems: Vec<Problem>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Member {
    pub(crate) answer: ClusterAnswer,
    /// Where its `Ready` condition is not `True`.
    pub(crate) lost: Option<Lost>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) since: Option<Timestamp>,
    pub(crate) reason: Arc<str>,
}

/// The value of the annotation that federation v1's service controller wrote.
#[derive(Deserialize)]
struct Ingresses {
    #[serde(default)]
    items: Option<Vec<ClusterIngress>>,
}

#[derive(Deserialize)]
struct ClusterIngress {
    cluster: String,
    #[serde(default)]
    items: Option<Vec<Ingress>>,
}

/// True when the objects are those of a federation v1 API server. A member cluster's services may carry the annotation
/// as well, where they were made from federated ones.
pub(crate) fn is_dump(objects: &[Object]) -> bool {
    let mut annotated = false;
    for object in objects {
        match object.kind {
            Kind::Cluster => return true,
            Kind::Node | Kind::EndpointSlice => return false,
            _ => annotated |= object.metadata.annotations.as_ref().is_some_and(|all| all.ingresses.is_some()),
        }
    }
    annotated
}

/// Reads the objects of a dump; without a `Cluster` it has no clusters.
pub(crate) fn read(mut objects: Vec<Object>, select: Select) -> Dump {
    let selection = Selection::new(select, &objects);
    let mut dump = Dump::default();
    for cluster in objects.iter_mut().filter(|object| object.kind == Kind::Cluster) {
        let name = ClusterName::from(cluster.metadata.name());
        let (metadata, status) = (std::mem::take(&mut cluster.metadata), std::mem::take(&mut cluster.status));
        dump.clusters.insert(name, member(metadata, status, &cluster.place));
    }
    for service in objects {
        let id = service.metadata.service_id();
        if service.kind != Kind::Service || !selection.has(&service.metadata, &id) {
            continue;
        }
        let place = &service.place;
        match copies(service.metadata, &service.spec) {
            None => {}
            Some(Ok(copies)) => {
                for (cluster, copy) in copies {
                    // An entry that names no `Cluster` is ignored.
                    let Some(member) = dump.clusters.get_mut(cluster.as_str()) else { continue };
                    let there = match member.answer.services.entry(id.clone()) {
                        Entry::Vacant(absent) => absent.insert(copy),
                        Entry::Occupied(there) => {
                            let there = there.into_mut();
                            there.ready |= copy.ready;
                            there.ingress.extend(copy.ingress);
                            there
                        }
                    };
                    there.origin = Some(origin(there, place));
                }
            }
            Some(Err(reason)) => {
                let reason = format!("{place}: {reason}");
                // Unknown is not empty: a problem that names the service keeps its records as they are.
                dump.problems.push(Problem { cluster: None, service: Some(id), reason: reason.into() });
            }
        }
    }
    dump
}

/// The copies of a selected service by cluster, as its annotation has them; `None` where the service does not count.
///
/// # Errors
/// When the annotation does not parse.
pub(crate) fn copies(metadata: Metadata, spec: &Spec) -> Option<Result<BTreeMap<String, ServiceCopy>, String>> {
    let counts = spec.kind.as_deref() == Some("LoadBalancer") && metadata.deletion_timestamp.is_none();
    let annotations = metadata.annotations.unwrap_or_default();
    let text = annotations.ingresses.filter(|_| counts)?;
    let (ttl, selector) = (annotations.ttl.map(Arc::from), annotations.selector.map(Arc::from));
    let ingresses = match ingresses(&text) {
        Ok(ingresses) => ingresses,
        Err(error) => {
            return Some(Err(format!("the annotation `{INGRESSES}` is not what federation v1 wrote: {error}")));
        }
    };
    let mut copies = BTreeMap::new();
    for entry in ingresses.items.unwrap_or_default() {
        let items: BTreeSet<Endpoint> = entry.items.unwrap_or_default().into_iter().map(endpoint).collect();
        let copy = copies.entry(entry.cluster).or_insert_with(|| ServiceCopy {
            ttl: ttl.clone(),
            selector: selector.clone(),
            ..ServiceCopy::default()
        });
        copy.ready |= !items.is_empty();
        copy.ingress.extend(items);
    }
    Some(Ok(copies))
}

/// An object alone: serde would take a JSON list for one as well.
fn ingresses(text: &str) -> serde_json::Result<Ingresses> {
    if text.trim_start().starts_with('[') {
        return Err(serde::de::Error::custom("a list instead of an object"));
    }
    serde_json::from_str(text)
}

/// What a `Cluster` object that was read at `place` says; its services are said elsewhere.
pub(crate) fn member(metadata: Metadata, status: Status, place: &impl fmt::Display) -> Member {
    let lost = lost(&status);
    let region = status.region.unwrap_or_default();
    let zones = status.zones.unwrap_or_default();
    let places = match (region.is_empty(), zones.is_empty()) {
        // Federation v1 wiped both when it lost a cluster: of such a one they say nothing.
        (true, true) if lost.is_some() => None,
        (true, true) => Some(BTreeSet::new()),
        (false, true) => Some(BTreeSet::from([Place::new(region, "")])),
        (_, false) => Some(zones.iter().map(|zone| Place::new(region.as_str(), zone.as_str())).collect()),
    };
    let labels = labels(metadata.labels);
    let mut answer = ClusterAnswer { places, labels, ..ClusterAnswer::default() };
    let told = answer.places.iter().flatten().flat_map(|place| [&place.region, &place.zone]);
    note_origins(&mut answer.label_origins, told, place);
    Member { answer, lost }
}

fn lost(status: &Status) -> Option<Lost> {
    let ready = status.conditions.iter().flatten().find(|condition| condition.kind == "Ready");
    let Some(ready) = ready else {
        return Some(Lost { since: None, reason: "its Cluster object has no condition `Ready`".into() });
    };
    (ready.status != "True").then(|| Lost {
        since: ready.last_transition_time.as_deref().and_then(timestamp),
        reason: format!("the condition `Ready` of its Cluster object is `{}`", ready.status).into(),
    })
}

fn timestamp(text: &str) -> Option<Timestamp> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok().map(Timestamp)
}
