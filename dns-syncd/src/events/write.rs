//! Writes events to the members, each cluster by itself, so that one that hangs keeps no other waiting.

use std::collections::{BTreeMap, BTreeSet};
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

/// A client whose credentials are refused is made anew only when it is older: that may run a credential plugin.
const RENEWED: Duration = Duration::from_mins(1);
/// Troubles of one cluster that are said before they are over.
const TROUBLES: usize = 8;
/// Events written in a row after which they are.
const WELL: u32 = 10;

/// Takes notices until nobody tells any more.
pub(super) async fn run(mut notices: mpsc::Receiver<Vec<Notice>>, ways: Ways, metrics: Arc<Metrics>) {
    let mut writers = Writers { ways, metrics, clusters: BTreeMap::new(), tasks: JoinSet::new() };
    while let Some(batch) = notices.recv().await {
        writers.take(batch, Instant::now());
    }
}

/// One writer for each cluster of which something was to be told.
struct Writers {
    ways: Ways,
    metrics: Arc<Metrics>,
    clusters: BTreeMap<ClusterName, (Limits, mpsc::Sender<Notice>)>,
    tasks: JoinSet<()>,
}

impl Writers {
    fn take(&mut self, batch: Vec<Notice>, now: Instant) {
        // Their writers end when they have tried what waits for them.
        self.clusters.retain(|cluster, _| self.ways.has(cluster));
        while self.tasks.try_join_next().is_some() {}
        for notice in batch {
            if !self.ways.has(&notice.cluster) {
                tracing::debug!(cluster = &*notice.cluster, "an event is left out: the cluster is not in its source");
                self.metrics.kubernetes_events(EventFate::Failed, 1);
                continue;
            }
            let (limits, writer) = self.clusters.entry(notice.cluster.clone()).or_insert_with(|| {
                let (sender, receiver) = mpsc::channel(WAITING);
                let writer = Writer::new(notice.cluster.clone(), self.ways.clone(), self.metrics.clone());
                self.tasks.spawn(writer.run(receiver));
                (Limits::default(), sender)
            });
            if !limits.allow(&notice.service, now) || writer.try_send(notice).is_err() {
                self.metrics.kubernetes_events(EventFate::Limited, 1);
            }
        }
    }
}

/// Writes to one cluster.
struct Writer {
    cluster: ClusterName,
    ways: Ways,
    metrics: Arc<Metrics>,
    /// With when it was made.
    client: Option<(Connected, Instant)>,
    trouble: Trouble,
}

/// What became of an event.
#[derive(Debug)]
enum Fate {
    Written,
    /// The cluster knows it already, or has no such service any more.
    Needless,
    /// Why not, in words for people.
    Failed(Fault, String),
}

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The way there: nothing was answered.
    Connection,
    /// The credentials are refused.
    Credentials,
    /// The request is refused: any client would be.
    Request,
}

impl Writer {
    fn new(cluster: ClusterName, ways: Ways, metrics: Arc<Metrics>) -> Self {
        Self { cluster, ways, metrics, client: None, trouble: Trouble::default() }
    }

    async fn run(mut self, mut notices: mpsc::Receiver<Notice>) {
        while let Some(notice) = notices.recv().await {
            let fate = match self.client().await {
                Err(why) => Fate::Failed(Fault::Connection, why),
                Ok(client) => timeout(LIMIT, write(&client, &notice))
                    .await
                    .unwrap_or_else(|_| Fate::Failed(Fault::Connection, format!("it did not answer within {LIMIT:?}"))),
            };
            match fate {
                Fate::Written => {
                    self.metrics.kubernetes_events(EventFate::Written, 1);
                    self.is_well();
                }
                Fate::Needless => self.is_well(),
                Fate::Failed(fault, why) => {
                    self.metrics.kubernetes_events(EventFate::Failed, 1);
                    self.client.take_if(|(_, made)| fault.wants_another_client(made.elapsed()));
                    self.fails(&why);
                }
            }
        }
    }

    /// The client in use, or a new one where the way to the cluster changed or its credentials run out.
    async fn client(&mut self) -> Result<Client, String> {
        if let Some((connected, _)) = self.client.as_ref().filter(|(it, _)| self.ways.is_current(&self.cluster, it)) {
            return Ok(connected.client());
        }
        let connected = self.ways.connect(&self.cluster, LIMIT).await?;
        Ok(self.client.insert((connected, Instant::now())).0.client())
    }

    fn fails(&mut self, reason: &str) {
        if self.trouble.comes(reason) {
            tracing::warn!(cluster = &*self.cluster, reason, "Kubernetes events cannot be written; DNS goes on");
        }
    }

    fn is_well(&mut self) {
        if self.trouble.is_over() {
            tracing::info!(cluster = &*self.cluster, "Kubernetes events are written again");
        }
    }
}

impl Fault {
    fn wants_another_client(self, age: Duration) -> bool {
        match self {
            Self::Connection => true,
            Self::Credentials => age >= RENEWED,
            Self::Request => false,
        }
    }
}

/// What the log says of a cluster: each trouble once, until all has been well for a while. Writing that fails and
/// succeeds by turns is one trouble.
#[derive(Debug, Default)]
struct Trouble {
    said: BTreeSet<String>,
    /// Events written since.
    well: u32,
}

impl Trouble {
    /// Something fails. True when that is to be said.
    fn comes(&mut self, reason: &str) -> bool {
        self.well = 0;
        self.said.len() < TROUBLES && self.said.insert(reason.to_owned())
    }

    /// An event was written. True when it is to be said that all is well again.
    fn is_over(&mut self) -> bool {
        self.well = self.well.saturating_add(1);
        let is_over = self.well >= WELL && !self.said.is_empty();
        if is_over {
            self.said.clear();
        }
        is_over
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
            let hint = format!("hint: grant {right}, or set events = false in [Source]");
            Fate::Failed(Fault::Request, format!("{doing}: denied (403); {hint}"))
        }
        Error::Api(status) => {
            let fault = if status.code == 401 { Fault::Credentials } else { Fault::Request };
            Fate::Failed(fault, format!("{doing}: it answers {}: {}", status.code, status.reason))
        }
        error => Fate::Failed(Fault::Connection, format!("{doing}: {}", crate::source::clusters::chain(error))),
    }
}

fn event(notice: &Notice, uid: Option<String>) -> Event {
    let Notice { service, reason, note, .. } = notice;
    let mut note = note.clone();
    if note.len() > NOTE {
        note.truncate(note.floor_char_boundary(NOTE - "…".len()));
        note.push('…');
    }
    let name = format!("{}.{:016x}", service.name, number(notice.reason, uid.as_deref().unwrap_or_default(), &note));
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

/// Of a state of one service always the same, also from another build, so that the cluster says when it knows it
/// already; of what happened each time another.
fn number(reason: Reason, uid: &str, note: &str) -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let when = if reason.is_state() { String::new() } else { since.as_nanos().to_string() };
    fnv([reason.as_str(), uid, note, &when].join("\u{0}").as_bytes())
}

/// FNV-1a with 64 bits. The standard library's hash may change with its version.
/// Source: RFC 9923 §2 and §5.
fn fnv(octets: &[u8]) -> u64 {
    octets
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, octet| (hash ^ u64::from(*octet)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use kube::core::Status;

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
        let name = |reason, uid: &str, note| event(&notice(reason, note), Some(uid.into())).metadata.name.unwrap();
        assert_eq!(name(Reason::Held, "u", "a"), name(Reason::Held, "u", "a"));
        assert_ne!(name(Reason::Held, "u", "a"), name(Reason::Held, "u", "b"));
        assert_ne!(name(Reason::Held, "u", "a"), name(Reason::Refused, "u", "a"));
        assert_ne!(name(Reason::Held, "u", "a"), name(Reason::Held, "made anew", "a"));
        assert_ne!(name(Reason::Published, "u", "a"), name(Reason::Published, "u", "a"));
    }

    /// Another build must call a state the same, or every upgrade tells all states again.
    #[test]
    fn the_number_of_a_state_stays() {
        // Source of the vectors: RFC 9923, appendix C.
        let vectors = [0xcbf2_9ce4_8422_2325, 0xaf63_dc4c_8601_ec8c, 0x8594_4171_f739_67e8];
        assert_eq!([&b""[..], b"a", b"foobar"].map(fnv), vectors);
        assert_eq!(number(Reason::Held, "u-1", "a note"), fnv(b"Held\0u-1\0a note\0"));
    }

    #[test]
    fn a_refusal_costs_no_client() {
        let of = |code| match fate(&Error::Api(Status::failure("no", "").with_code(code).boxed()), "doing", "right") {
            Fate::Failed(fault, _) => fault,
            other => panic!("{other:?}"),
        };
        assert_eq!([401, 403, 429, 500].map(of), [Fault::Credentials, Fault::Request, Fault::Request, Fault::Request]);
        let kept = |fault: Fault, seconds| !fault.wants_another_client(Duration::from_secs(seconds));
        assert!(kept(Fault::Request, 3600) && kept(Fault::Credentials, 59));
        assert!(!kept(Fault::Connection, 0) && !kept(Fault::Credentials, 60));
    }

    #[test]
    fn a_trouble_is_said_once_and_its_end_after_a_while() {
        let mut trouble = Trouble::default();
        assert!((0..100).all(|_| !trouble.is_over()), "there was none");
        let mut said = 0;
        for number in 0..100 {
            said += u32::from(trouble.comes("denied")) + u32::from(trouble.comes("silent"));
            let reason = format!("port {number}");
            said += u32::from(trouble.comes(&reason)) + u32::from(trouble.is_over());
        }
        assert_eq!(said as usize, TROUBLES);
        assert_eq!((0..100).filter(|_| trouble.is_over()).count(), 1);
        assert!(trouble.comes("denied"));
    }

    /// Of clusters that have left, nothing stays.
    #[tokio::test]
    async fn a_cluster_that_left_has_no_writer() {
        let ways = Ways::default();
        let metrics = Arc::new(Metrics::new("memory"));
        let mut writers = Writers { ways: ways.clone(), metrics, clusters: BTreeMap::new(), tasks: JoinSet::new() };
        for number in 0..50 {
            let cluster = ClusterName::from(format!("c{number}"));
            ways.know_nothing_but(&cluster);
            let of = |cluster: &str| Notice { cluster: cluster.into(), ..notice(Reason::Held, "a") };
            writers.take(vec![of(&cluster), of("never known")], Instant::now());
            assert_eq!(writers.clusters.keys().collect::<Vec<_>>(), [&cluster]);
            // Until its writer has ended.
            while writers.tasks.len() > 1 {
                tokio::task::yield_now().await;
                while writers.tasks.try_join_next().is_some() {}
            }
        }
    }
}
