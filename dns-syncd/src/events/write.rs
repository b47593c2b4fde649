//! Writes events to the members, each cluster by itself, so that one that hangs keeps no other waiting.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dns_sync_core::{ClusterName, ServiceId};
use k8s_openapi::api::core::v1::{ObjectReference, Service};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff;
use kube::api::{Api, ListParams, PostParams};
use kube::{Client, Error};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::limit::Limits;
use super::{Notice, Reason};
use crate::engine::{EventFate, Metrics};
use crate::source::clusters::{Client as Connected, Ways};

/// For one request to a cluster, and for its credentials.
const LIMIT: Duration = Duration::from_secs(5);
/// Events of one cluster that may wait for it.
const WAITING: usize = 256;
/// The longest note that Kubernetes takes, octets.
/// Source: `NoteLengthLimit` in `pkg/apis/core/validation/events.go` of Kubernetes.
const NOTE: usize = 1024;

/// Takes notices until nobody tells any more.
pub(super) async fn run(mut notices: mpsc::Receiver<Vec<Notice>>, ways: Ways, metrics: Arc<Metrics>) {
    let mut limits: BTreeMap<ClusterName, Limits> = BTreeMap::new();
    let mut writers: BTreeMap<ClusterName, mpsc::Sender<Notice>> = BTreeMap::new();
    let mut tasks = JoinSet::new();
    while let Some(batch) = notices.recv().await {
        let now = Instant::now();
        for notice in batch {
            let allowed = limits.entry(notice.cluster.clone()).or_default().allow(&notice.service, now);
            let writer = writers.entry(notice.cluster.clone()).or_insert_with(|| {
                let (sender, receiver) = mpsc::channel(WAITING);
                let writer = Writer::new(notice.cluster.clone(), ways.clone(), metrics.clone());
                tasks.spawn(writer.run(receiver));
                sender
            });
            if !allowed || writer.try_send(notice).is_err() {
                metrics.kubernetes_events(EventFate::Limited, 1);
            }
        }
    }
}

/// Writes to one cluster.
struct Writer {
    cluster: ClusterName,
    ways: Ways,
    metrics: Arc<Metrics>,
    client: Option<Connected>,
    /// What was last said in the log.
    trouble: Option<String>,
}

/// What became of an event.
enum Fate {
    Written,
    /// The cluster knows it already, or has no such service any more.
    Needless,
    /// Why not, in words for people.
    Failed(String),
}

impl Writer {
    fn new(cluster: ClusterName, ways: Ways, metrics: Arc<Metrics>) -> Self {
        Self { cluster, ways, metrics, client: None, trouble: None }
    }

    async fn run(mut self, mut notices: mpsc::Receiver<Notice>) {
        while let Some(notice) = notices.recv().await {
            let fate = match self.client().await {
                Err(why) => Fate::Failed(why),
                Ok(client) => {
                    let written = timeout(LIMIT, write(&client, &notice)).await;
                    written.unwrap_or_else(|_| Fate::Failed(format!("it did not answer within {LIMIT:?}")))
                }
            };
            match fate {
                Fate::Written => {
                    self.metrics.kubernetes_events(EventFate::Written, 1);
                    self.say(None);
                }
                Fate::Needless => self.say(None),
                Fate::Failed(why) => {
                    self.metrics.kubernetes_events(EventFate::Failed, 1);
                    self.client = None;
                    self.say(Some(why));
                }
            }
        }
    }

    /// The client in use, or a new one where the way to the cluster changed or its credentials run out.
    async fn client(&mut self) -> Result<Client, String> {
        if let Some(connected) = self.client.as_ref().filter(|client| self.ways.is_current(&self.cluster, client)) {
            return Ok(connected.client());
        }
        let connected = self.ways.connect(&self.cluster, LIMIT).await?;
        Ok(self.client.insert(connected).client())
    }

    /// Once for each change of state.
    fn say(&mut self, trouble: Option<String>) {
        if trouble == self.trouble {
            return;
        }
        let cluster = &*self.cluster;
        if let Some(reason) = &trouble {
            tracing::warn!(cluster, reason, "Kubernetes events cannot be written; DNS goes on");
        } else {
            tracing::info!(cluster, "Kubernetes events are written again");
        }
        self.trouble = trouble;
    }
}

async fn write(client: &Client, notice: &Notice) -> Fate {
    let ServiceId { namespace, name } = &notice.service;
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    // Listed and not got, because listing is a right that the daemon has anyway.
    let this_one = ListParams::default().fields(&format!("metadata.name={name}"));
    let uid = match services.list_metadata(&this_one).await {
        Ok(found) => match found.items.into_iter().next() {
            Some(service) => service.metadata.uid,
            None => return Fate::Needless,
        },
        Err(error) => return fate(&error, "listing the service", "list on services"),
    };
    let event = event(notice, uid);
    let events: Api<Event> = Api::namespaced(client.clone(), namespace);
    match events.create(&PostParams::default(), &event).await {
        Ok(_) => Fate::Written,
        Err(error) => fate(&error, "creating an event", "create on events.events.k8s.io"),
    }
}

fn fate(error: &Error, doing: &str, right: &str) -> Fate {
    match error {
        Error::Api(status) if [404, 409].contains(&status.code) => Fate::Needless,
        Error::Api(status) if status.code == 403 => {
            Fate::Failed(format!("{doing}: denied (403); hint: grant {right}, or set events = false in [Source]"))
        }
        Error::Api(status) => Fate::Failed(format!("{doing}: it answers {}: {}", status.code, status.reason)),
        error => Fate::Failed(format!("{doing}: {}", crate::source::clusters::chain(error))),
    }
}

fn event(notice: &Notice, uid: Option<String>) -> Event {
    let Notice { service, reason, note, .. } = notice;
    let mut note = note.clone();
    if note.len() > NOTE {
        note.truncate(note.floor_char_boundary(NOTE - "…".len()));
        note.push('…');
    }
    let name = format!("{}.{:016x}", service.name, number(notice.reason, &note));
    let namespace = Some(service.namespace.to_string());
    Event {
        metadata: ObjectMeta { name: Some(name), namespace: namespace.clone(), ..ObjectMeta::default() },
        event_time: Some(MicroTime(jiff::Timestamp::now())),
        regarding: Some(ObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Service".into()),
            name: Some(service.name.to_string()),
            namespace,
            uid,
            ..ObjectReference::default()
        }),
        reason: Some(reason.as_str().into()),
        action: Some(reason.action().into()),
        type_: Some(reason.severity().into()),
        note: Some(note),
        reporting_controller: Some("dns-syncd".into()),
        reporting_instance: Some("dns-syncd".into()),
        ..Event::default()
    }
}

/// Of a state always the same, so that the cluster says when it knows it already; of what happened each time another.
fn number(reason: Reason, note: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (reason.as_str(), note).hash(&mut hasher);
    if !reason.is_state() {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn notice(reason: Reason, note: &str) -> Notice {
        Notice { cluster: "c1".into(), service: ServiceId::new("shop", "web"), reason, note: note.into() }
    }

    #[test]
    fn an_event_is_about_the_service_and_fits() {
        let made = event(&notice(Reason::Refused, &"é".repeat(2000)), Some("u-1".into()));
        assert!(made.note.unwrap().len() <= NOTE);
        let about = made.regarding.unwrap();
        assert_eq!((about.kind.as_deref(), about.uid.as_deref()), (Some("Service"), Some("u-1")));
        assert_eq!((about.namespace, made.metadata.namespace), (Some("shop".into()), Some("shop".into())));
        assert_eq!((made.type_.as_deref(), made.reason.as_deref()), (Some("Warning"), Some("Refused")));
    }

    #[test]
    fn a_state_has_one_name_and_what_happens_twice_has_two() {
        let name = |reason, note| event(&notice(reason, note), None).metadata.name.unwrap();
        assert_eq!(name(Reason::Held, "a"), name(Reason::Held, "a"));
        assert_ne!(name(Reason::Held, "a"), name(Reason::Held, "b"));
        assert_ne!(name(Reason::Held, "a"), name(Reason::Refused, "a"));
        assert_ne!(name(Reason::Published, "a"), name(Reason::Published, "a"));
    }
}
