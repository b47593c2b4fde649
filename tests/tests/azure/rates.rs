//! The rate that Azure grants, on paused time: a host in this process that answers at once and logs.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::http::headers::Headers;
use azure_core::http::{AsyncRawResponse, HttpClient, Method, Request, StatusCode};
use azure_core::time::OffsetDateTime;
use dns_providers::azure::{AzureDns, Credential, Options};
use dnsprovider::{ApplyContext, Blocks, Change, Chunked, DnsProvider, Entry, Lane, Version};
use tokio::time::Instant;

use super::common::{a, changed, create, loose, zone};

#[derive(Debug)]
struct Token;

#[async_trait]
impl TokenCredential for Token {
    async fn get_token(&self, _: &[&str], _: Option<TokenRequestOptions<'_>>) -> azure_core::Result<AccessToken> {
        Ok(AccessToken::new("token", OffsetDateTime::now_utc() + azure_core::time::Duration::hours(24)))
    }
}

/// When which set was written.
#[derive(Clone, Debug, Default)]
struct Host(Arc<Mutex<Vec<(Instant, String)>>>);

#[async_trait]
impl HttpClient for Host {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let name = request.url().path().rsplit('/').next().unwrap_or_default().to_owned();
        self.0.lock().expect("no test panics here").push((Instant::now(), name));
        let status = if request.method() == Method::Put { StatusCode::Created } else { StatusCode::Ok };
        let mut headers = Headers::new();
        headers.insert("etag", "1");
        Ok(AsyncRawResponse::from_bytes(status, headers, "{}"))
    }
}

impl Host {
    fn log(&self) -> Vec<(Instant, String)> {
        self.0.lock().expect("no test panics here").clone()
    }
}

fn start() -> (Host, Arc<Chunked<AzureDns>>) {
    let host = Host::default();
    let mut options = Options::new("s", "rg", Credential::Custom(Arc::new(Token)));
    options.http_client = Some(Arc::new(host.clone()));
    (host, Arc::new(Chunked::new(AzureDns::new(&options).expect("the options are right"))))
}

fn context(lane: Lane) -> ApplyContext {
    let end = Instant::now() + Duration::from_secs(30);
    let time_left = Arc::new(move || end.saturating_duration_since(Instant::now()));
    ApplyContext { time_left: Some(time_left), lane, ..ApplyContext::default() }
}

/// Creates so many sets in as many batches side by side as a daemon sends, each within 30 s.
fn bulk(provider: &Arc<Chunked<AzureDns>>, sets: usize) -> tokio::task::JoinSet<usize> {
    let capabilities = provider.capabilities();
    let batch = usize::try_from(capabilities.limits.batch.calls).expect("a small number");
    let places = capabilities.concurrent_writes - capabilities.concurrent_writes / 8;
    let mut workers = tokio::task::JoinSet::new();
    for worker in 0..places {
        let provider = provider.clone();
        workers.spawn(async move {
            let mut late = 0;
            for first in (worker * batch..sets).step_by(places * batch) {
                let hosts = first..sets.min(first + batch);
                let changes = loose(hosts.map(|host| create(a(&format!("s{host}"), &["192.0.2.1"]))));
                let applied = provider.apply(&zone(), &changes, &context(Lane::Bulk)).await.expect("the host is there");
                late += applied.outcomes.values().filter(|outcome| !outcome.is_done()).count();
            }
            late
        });
    }
    workers
}

async fn end(mut workers: tokio::task::JoinSet<usize>) -> usize {
    let mut late = 0;
    while let Some(more) = workers.join_next().await {
        late += more.expect("no worker panics");
    }
    late
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_creates_keep_what_is_granted_and_failovers_go_first() {
    let (host, provider) = start();
    let begun = Instant::now();
    let workers = bulk(&provider, 10_000);
    // A failover may be an update, which has a rate of its own, or a creation, which waits with the bulk.
    let held = Entry {
        data: a("www", &["192.0.2.1"]),
        version: Version { revision: 0, detail: Some("1".into()) },
        blocks: Blocks::default(),
    };
    let moves: [Change; 2] = [changed(&held, &["192.0.2.2"]), create(a("cname-gives-way", &["192.0.2.2"]))];
    for (nth, change) in moves.into_iter().enumerate() {
        tokio::time::sleep_until(begun + Duration::from_secs(600 * (nth as u64 + 1))).await;
        let owner = change.key.owner.labels().next().expect("a label").to_owned();
        let before = host.log().len();
        let applied =
            provider.apply(&zone(), &loose([change]), &context(Lane::Urgent)).await.expect("the host is there");
        assert!(applied.is_done(), "{applied:?}");
        let place = host.log().iter().position(|(_, name)| *name == owner).expect("it was written");
        assert!(place <= before + 1, "{} calls went first", place - before);
    }
    assert_eq!(end(workers).await, 0, "each batch ends in its 30 s");

    let log = host.log();
    assert_eq!(log.len(), 10_002);
    let minutes = begun.elapsed().as_secs() / 60;
    assert!((50..=60).contains(&minutes), "{minutes} minutes; Azure allows 50 at least");
    let creations: Vec<Instant> = log.iter().filter(|(_, name)| name != "www").map(|(at, _)| *at).collect();
    for (nth, at) in creations.iter().enumerate().skip(200) {
        assert!(*at - creations[nth - 200] >= Duration::from_mins(1), "201 creations in a minute");
    }
}

#[test]
fn the_bursts_are_part_of_what_is_granted() {
    let rates = dns_providers::azure::Rates::default();
    for rate in &rates.zone {
        let granted = match rate.operation {
            dnsprovider::capabilities::Operation::Get => 2000.0,
            dnsprovider::capabilities::Operation::List => 60.0,
            _ => 200.0,
        };
        let most = f64::from(rate.burst) + 60.0 * rate.per_second;
        assert!(most <= granted + 1e-9, "{rate:?} lets {most} through in a minute");
    }
    for (rate, per_second, burst) in [
        (rates.subscription_reads, 25.0, 250),
        (rates.subscription_writes, 10.0, 200),
        (rates.subscription_deletes, 10.0, 200),
    ] {
        assert!(rate.per_second <= per_second && rate.burst <= burst, "{rate:?}");
    }
}
