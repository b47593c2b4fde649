//! The objects of a federation v1 API server: its clusters, and services with the addresses of all of them.
//!
//! In: objects · Out: an answer for each cluster · Pure: yes

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dns_sync_core::{ClusterAnswer, ClusterName, Endpoint, Place, Problem, ServiceCopy, Timestamp};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::manifest::{Ingress, Kind, Object, Status};
use super::member::{Selection, endpoint, labels, note_origins, origin};
use crate::source::Select;

const INGRESSES: &str = "federation.kubernetes.io/service-ingresses";

/// What a dump says.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Dump {
    pub(crate) clusters: BTreeMap<ClusterName, Member>,
    pub(crate) problems: Vec<Problem>,
}

#[derive(Debug, Default, PartialEq)]
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
pub(crate) fn read(objects: Vec<Object>, select: Select) -> Dump {
    let selection = Selection::new(select, &objects);
    let (clusters, services): (Vec<_>, Vec<_>) = objects.into_iter().partition(|object| object.kind == Kind::Cluster);
    let mut dump = Dump::default();
    for cluster in clusters {
        let name = ClusterName::from(cluster.metadata.name());
        dump.clusters.insert(name, member(cluster));
    }
    for service in services {
        let id = service.metadata.service_id();
        let counts = service.kind == Kind::Service
            && service.spec.kind.as_deref() == Some("LoadBalancer")
            && service.metadata.deletion_timestamp.is_none()
            && selection.has(&service.metadata, &id);
        let annotations = service.metadata.annotations.unwrap_or_default();
        let Some(text) = annotations.ingresses.filter(|_| counts) else { continue };
        let copy = ServiceCopy {
            ttl: annotations.ttl.map(Into::into),
            selector: annotations.selector.map(Into::into),
            ..ServiceCopy::default()
        };
        match ingresses(&text) {
            Ok(ingresses) => {
                for entry in ingresses.items.unwrap_or_default() {
                    let Some(member) = dump.clusters.get_mut(entry.cluster.as_str()) else { continue };
                    let items: BTreeSet<Endpoint> = entry.items.unwrap_or_default().into_iter().map(endpoint).collect();
                    let there = member.answer.services.entry(id.clone()).or_insert_with(|| copy.clone());
                    there.ready |= !items.is_empty();
                    there.ingress.extend(items);
                    there.origin = Some(origin(there, &service.place));
                }
            }
            Err(error) => {
                let place = &service.place;
                let reason = format!("{place}: the annotation `{INGRESSES}` is not what federation v1 wrote: {error}");
                // Unknown is not empty: a problem that names the service keeps its records as they are.
                dump.problems.push(Problem { cluster: None, service: Some(id), reason: reason.into() });
            }
        }
    }
    dump
}

/// An object alone: serde would take a JSON list for one as well.
fn ingresses(text: &str) -> serde_json::Result<Ingresses> {
    if text.trim_start().starts_with('[') {
        return Err(serde::de::Error::custom("a list instead of an object"));
    }
    serde_json::from_str(text)
}

fn member(cluster: Object) -> Member {
    let lost = lost(&cluster.status);
    let region = cluster.status.region.unwrap_or_default();
    let zones = cluster.status.zones.unwrap_or_default();
    let places = match (region.is_empty(), zones.is_empty()) {
        // Federation v1 wiped both when it lost a cluster: of such a one they say nothing.
        (true, true) if lost.is_some() => None,
        (true, true) => Some(BTreeSet::new()),
        (false, true) => Some(BTreeSet::from([Place::new(region, "")])),
        (_, false) => Some(zones.iter().map(|zone| Place::new(region.as_str(), zone.as_str())).collect()),
    };
    let labels = labels(cluster.metadata.labels);
    let mut answer = ClusterAnswer { places, labels, ..ClusterAnswer::default() };
    let told = answer.places.iter().flatten().flat_map(|place| [&place.region, &place.zone]);
    note_origins(&mut answer.label_origins, told, &cluster.place);
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
