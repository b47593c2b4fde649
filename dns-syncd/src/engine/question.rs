//! A question to the DNS servers: do they answer what was written?
//!
//! One is out at a time, beside the work. It is asked again and again until every server answers right, the name is
//! written again, or its time is over.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dnsprovider::{Change, ClaimedSet, Fqdn, RecordData, RrKey};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::metrics::{Checked, Metrics, Stage};
use crate::ask::Ask;

/// How long the servers have; the last bucket of the histogram.
const LIMIT: Duration = Duration::from_mins(1);
/// The first and the longest pause between two rounds. Each is a quarter longer than the one before, so what is
/// measured is at most that much too long.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(1));

/// What was written, as the servers should answer it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    key: RrKey,
    /// What must be answered.
    present: BTreeSet<RecordData>,
    /// What must not be answered any more. Others may have records beside ours.
    absent: BTreeSet<RecordData>,
    /// When the event was told that led to it.
    told: Instant,
}

impl Question {
    pub(super) fn new(change: &Change, told: Instant) -> Self {
        let records = |set: Option<&ClaimedSet>| -> BTreeSet<RecordData> {
            set.into_iter().flat_map(|set| set.set.records()).cloned().collect()
        };
        let present = records(change.after.as_ref());
        let absent = records(change.before.as_ref()).difference(&present).cloned().collect();
        Self { key: change.key.clone(), present, absent, told }
    }

    fn is_answered(&self, records: &BTreeSet<RecordData>) -> bool {
        records.is_superset(&self.present) && records.is_disjoint(&self.absent)
    }
}

/// The DNS servers that answer from the zone, and the question that is out.
#[derive(Debug)]
pub(super) struct Answering {
    servers: Arc<[SocketAddr]>,
    ask: Arc<dyn Ask>,
    metrics: Arc<Metrics>,
    out: Option<Out>,
}

/// The question that is out.
#[derive(Debug)]
struct Out {
    owner: Fqdn,
    overtaken: Option<oneshot::Sender<()>>,
}

impl Answering {
    pub(super) fn new(servers: &[SocketAddr], ask: Arc<dyn Ask>, metrics: Arc<Metrics>) -> Self {
        Self { servers: servers.into(), ask, metrics, out: None }
    }

    /// Whether a question may be asked now.
    pub(super) fn is_free(&self) -> bool {
        self.out.is_none() && !self.servers.is_empty()
    }

    /// These names were written.
    pub(super) fn wrote<'a>(&mut self, mut owners: impl Iterator<Item = &'a Fqdn>) {
        if let Some(out) = &mut self.out
            && out.overtaken.is_some()
            && owners.any(|owner| *owner == out.owner)
            && let Some(overtaken) = out.overtaken.take()
        {
            // Fails when the answer is there already.
            _ = overtaken.send(());
        }
    }

    /// Asks until the end, of which [`Answering::ended`] must be told.
    pub(super) fn ask(&mut self, question: Question) -> impl Future<Output = ()> + Send + use<> {
        let (overtaken, is_overtaken) = oneshot::channel();
        self.out = Some(Out { owner: question.key.owner.clone(), overtaken: Some(overtaken) });
        let (servers, ask, metrics) = (self.servers.clone(), self.ask.clone(), self.metrics.clone());
        async move {
            let told = question.told;
            let checked = tokio::select! {
                biased;
                _ = is_overtaken => Checked::Overtaken,
                answered = tokio::time::timeout(LIMIT, until_answered(&servers, &*ask, &question)) => {
                    if answered.is_ok() { Checked::Answered } else { Checked::Unanswered }
                }
            };
            metrics.checked(checked);
            match checked {
                Checked::Answered => metrics.reached(Stage::Answered, told.elapsed()),
                Checked::Overtaken => {}
                Checked::Unanswered => tracing::debug!(
                    name = %question.key.owner,
                    r#type = %question.key.rr_type,
                    "not every DNS server answers what was written"
                ),
            }
        }
    }

    /// The question has come to its end.
    pub(super) fn ended(&mut self) {
        self.out = None;
    }
}

/// Asks one server after the other until each has answered right once.
async fn until_answered(servers: &[SocketAddr], ask: &dyn Ask, question: &Question) {
    for server in servers {
        let mut pause = PAUSES.0;
        loop {
            let answer = ask.ask(*server, &question.key.owner, &question.key.rr_type).await;
            if answer.is_ok_and(|records| question.is_answered(&records)) {
                break;
            }
            tokio::time::sleep(pause).await;
            pause = pause.mul_f64(1.25).min(PAUSES.1);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::collections::BTreeMap;
    use std::sync::{Mutex, PoisonError};

    use async_trait::async_trait;
    use dnsprovider::{RrSet, RrType, Ttl};

    use super::*;

    /// Servers that answer right from a time on.
    #[derive(Debug)]
    struct Late {
        begun: Instant,
        from: BTreeMap<SocketAddr, Duration>,
        before: BTreeSet<RecordData>,
        after: BTreeSet<RecordData>,
        asked: Mutex<Vec<SocketAddr>>,
    }

    #[async_trait]
    impl Ask for Late {
        async fn ask(&self, server: SocketAddr, _: &Fqdn, _: &RrType) -> Result<BTreeSet<RecordData>, String> {
            self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(server);
            match self.from.get(&server) {
                None => Err("it is away".into()),
                Some(from) if self.begun.elapsed() < *from => Ok(self.before.clone()),
                Some(_) => Ok(self.after.clone()),
            }
        }
    }

    fn server(last: u8) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, last], 53))
    }

    fn address(last: u8) -> RecordData {
        RecordData::A([192, 0, 2, last].into())
    }

    fn set(addresses: &[u8]) -> ClaimedSet {
        let key = RrKey::new(Fqdn::parse("web.example.com").unwrap(), RrType::A);
        let records = addresses.iter().map(|last| address(*last));
        ClaimedSet::unclaimed(RrSet::new(key, Ttl::from_secs(60).unwrap(), records).unwrap())
    }

    fn change(before: &[u8], after: &[u8]) -> Change {
        let entry = dnsprovider::Entry {
            data: set(before),
            version: dnsprovider::Version::default(),
            blocks: dnsprovider::Blocks::AsDns,
        };
        if after.is_empty() { Change::delete(&entry) } else { Change::update(&entry, set(after)) }
    }

    /// Asks servers that are right after so many milliseconds; gives the metrics and how long it took.
    async fn asked(after_ms: &[Option<u64>], question: Change) -> (String, Duration) {
        let begun = Instant::now();
        let servers: Vec<SocketAddr> = (1..).zip(after_ms).map(|(last, _)| server(last)).collect();
        let from = servers.iter().zip(after_ms);
        let from = from.filter_map(|(server, ms)| Some((*server, Duration::from_millis((*ms)?))));
        let late = Late {
            begun,
            from: from.collect(),
            // A stranger's address stands beside ours.
            before: BTreeSet::from([address(1), address(99)]),
            after: BTreeSet::from([address(2), address(99)]),
            asked: Mutex::default(),
        };
        let metrics = Arc::new(Metrics::new("test"));
        let mut answering = Answering::new(&servers, Arc::new(late), metrics.clone());
        assert!(answering.is_free());
        answering.ask(Question::new(&question, begun)).await;
        (metrics.text(), begun.elapsed())
    }

    fn has(text: &str, line: &str) -> bool {
        text.lines().any(|told| told == line)
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_server_to_answer_right_counts() {
        let (text, took) = asked(&[Some(0), Some(150), Some(40)], change(&[1], &[2])).await;
        assert!(has(&text, "dns_syncd_answer_checks_total{outcome=\"answered\"} 1"), "{text}");
        assert!(has(&text, "dns_syncd_event_latency_seconds_bucket{le=\"0.1\",stage=\"answered\"} 0"), "{text}");
        assert!(has(&text, "dns_syncd_event_latency_seconds_bucket{le=\"0.2\",stage=\"answered\"} 1"), "{text}");
        assert!(took >= Duration::from_millis(150) && took < Duration::from_millis(190), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_deletion_is_answered_when_its_addresses_are_gone() {
        let (text, took) = asked(&[Some(20)], change(&[1], &[])).await;
        assert!(has(&text, "dns_syncd_answer_checks_total{outcome=\"answered\"} 1"), "{text}");
        assert!(took >= Duration::from_millis(20), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_away_is_given_up_after_a_minute() {
        let (text, took) = asked(&[Some(0), None], change(&[1], &[2])).await;
        assert!(has(&text, "dns_syncd_answer_checks_total{outcome=\"unanswered\"} 1"), "{text}");
        assert!(has(&text, "dns_syncd_event_latency_seconds_count{stage=\"answered\"} 0"), "{text}");
        assert_eq!(took, LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_is_written_again_is_asked_for_no_more() {
        let metrics = Arc::new(Metrics::new("test"));
        let late = Late {
            begun: Instant::now(),
            from: BTreeMap::new(),
            before: BTreeSet::new(),
            after: BTreeSet::new(),
            asked: Mutex::default(),
        };
        let mut answering = Answering::new(&[server(1)], Arc::new(late), metrics.clone());
        let asking = tokio::spawn(answering.ask(Question::new(&change(&[1], &[2]), Instant::now())));
        assert!(!answering.is_free(), "one question at a time");
        let other = Fqdn::parse("other.example.com").unwrap();
        answering.wrote([&other].into_iter());
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(!asking.is_finished(), "another name was written");
        answering.wrote([&Fqdn::parse("web.example.com").unwrap()].into_iter());
        asking.await.unwrap();
        answering.ended();
        assert!(answering.is_free());
        assert!(has(&metrics.text(), "dns_syncd_answer_checks_total{outcome=\"overtaken\"} 1"));
    }

    #[test]
    fn where_no_server_is_known_nothing_is_asked() {
        let metrics = Arc::new(Metrics::new("test"));
        assert!(!Answering::new(&[], Arc::new(crate::ask::DnsAsker::default()), metrics).is_free());
    }
}
