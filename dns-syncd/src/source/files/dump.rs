//! The objects of a federation v1 API server: its clusters, and services with the addresses of all of them.
//!
//! In: objects · Out: an answer for each cluster · Pure: yes

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use dns_sync_core::offers::is_doubtful;
use dns_sync_core::{ClusterAnswer, ClusterName, Endpoints, Place, Problem, ServiceCopy, ServiceId, Timestamp};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::manifest::{Ingress, Kind, Metadata, Object, Objects, Spec, Status};
use super::member::{endpoint, labels, note_origins, origin, selects};
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

/// A dump as far as it was read. Of each object only what it says is kept.
#[derive(Debug)]
pub(crate) struct Reading {
    select: Select,
    said: Vec<Said>,
    /// Namespaces and names of clusters, of which there are few and which are said often.
    texts: BTreeSet<Arc<str>>,
}

/// What an object says.
#[derive(Debug)]
enum Said {
    Cluster(ClusterName, Box<Member>),
    Exported(ServiceId),
    Copies(ServiceId, Box<[(ClusterName, ServiceCopy)]>),
    Unreadable(ServiceId, String),
}

impl Reading {
    pub(crate) fn new(select: Select) -> Self {
        Self { select, said: Vec::new(), texts: BTreeSet::new() }
    }

    /// The dump, when all its objects were taken; without a `Cluster` it has no clusters.
    pub(crate) fn end(self) -> Dump {
        let Self { select, mut said, .. } = self;
        let exported: BTreeSet<ServiceId> = said.iter().filter_map(Said::exported).cloned().collect();
        let counts = |id: &ServiceId| select != Select::Exported || exported.contains(id);
        let mut dump = Dump::default();
        // Clusters first, then the services in order; what is said twice stays in the order of the text.
        said.sort_by(|one, other| one.id().cmp(&other.id()));
        let mut services: BTreeMap<ClusterName, Vec<(ServiceId, ServiceCopy)>> = BTreeMap::new();
        for said in said {
            match said {
                Said::Cluster(name, member) => {
                    services.insert(name.clone(), Vec::new());
                    dump.clusters.insert(name, *member);
                }
                Said::Copies(id, copies) if counts(&id) => {
                    for (cluster, copy) in copies {
                        // An entry that names no `Cluster` is ignored.
                        let Some(here) = services.get_mut(&cluster) else { continue };
                        match here.last_mut().filter(|(last, _)| *last == id) {
                            Some((_, there)) => add(there, copy),
                            None => here.push((id.clone(), copy)),
                        }
                    }
                }
                Said::Unreadable(id, reason) if counts(&id) => {
                    // Unknown is not empty: a problem that names the service keeps its records as they are.
                    dump.problems.push(Problem { cluster: None, service: Some(id), reason: reason.into() });
                }
                Said::Exported(_) | Said::Copies(..) | Said::Unreadable(..) => {}
            }
        }
        for (member, services) in dump.clusters.values_mut().zip(services.into_values()) {
            member.answer.services = services.into_iter().collect();
        }
        dump
    }

    fn say_service(&mut self, object: Object) {
        let Object { place, metadata, spec, .. } = object;
        if selects(self.select, &metadata) == Some(false) {
            return;
        }
        let id = ServiceId::new(self.text(metadata.namespace()), metadata.name());
        let said = match copies(metadata, &spec) {
            None => return,
            Some(Ok(copies)) => {
                let copies = copies.into_iter().map(|(cluster, copy)| {
                    let origin = Some(origin(&copy, &place));
                    (self.text(&cluster), ServiceCopy { origin, ..copy })
                });
                Said::Copies(id, copies.collect())
            }
            Some(Err(reason)) => Said::Unreadable(id, format!("{place}: {reason}")),
        };
        self.said.push(said);
    }

    /// The same text, kept once.
    fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return known.clone();
        }
        let text = Arc::<str>::from(text);
        self.texts.insert(text.clone());
        text
    }
}

impl Objects for Reading {
    fn take(&mut self, object: Object) {
        match object.kind {
            Kind::Cluster => {
                let name = self.text(object.metadata.name());
                let member = member(object.metadata, object.status, &object.place);
                self.said.push(Said::Cluster(name, Box::new(member)));
            }
            Kind::ServiceExport => self.said.push(Said::Exported(object.metadata.service_id())),
            Kind::Service => self.say_service(object),
            Kind::Node | Kind::EndpointSlice => {}
        }
    }

    fn place(&self) -> usize {
        self.said.len()
    }

    fn forget(&mut self, place: usize) {
        self.said.truncate(place);
    }
}

impl Said {
    /// The service that it is about.
    fn id(&self) -> Option<&ServiceId> {
        match self {
            Self::Cluster(..) => None,
            Self::Exported(id) | Self::Copies(id, _) | Self::Unreadable(id, _) => Some(id),
        }
    }

    fn exported(&self) -> Option<&ServiceId> {
        if let Self::Exported(id) = self { Some(id) } else { None }
    }
}

/// Adds what is said of a copy once more. It comes from where something of it is wrong, else from where it was read last.
fn add(there: &mut ServiceCopy, copy: ServiceCopy) {
    let is_here = is_doubtful(&copy) || !is_doubtful(there);
    there.ready |= copy.ready;
    there.ingress.extend(copy.ingress);
    if is_here {
        there.origin = copy.origin;
    }
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
        let items: Endpoints = entry.items.unwrap_or_default().into_iter().map(endpoint).collect();
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
