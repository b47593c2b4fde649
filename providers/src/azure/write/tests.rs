//! The order of the calls of one unit, on paused time: a host in this process that answers at once and logs.

use std::sync::Mutex;

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::http::headers::Headers;
use azure_core::http::{AsyncRawResponse, HttpClient, Method, Request, StatusCode};
use azure_core::time::OffsetDateTime;
use dnsprovider::{ClaimedSet, Entry, RecordData, RrKey, RrSet, Ttl, ZoneId};

use super::super::{Credential, Options};
use super::*;

#[derive(Debug)]
struct Token;

#[async_trait]
impl TokenCredential for Token {
    async fn get_token(&self, _: &[&str], _: Option<TokenRequestOptions<'_>>) -> azure_core::Result<AccessToken> {
        Ok(AccessToken::new("token", OffsetDateTime::now_utc() + azure_core::time::Duration::hours(24)))
    }
}

/// What the next call of that kind is answered instead of success.
#[derive(Clone, Copy, Debug)]
enum Refusal {
    Full,
    Throttled(Option<u32>),
}

#[derive(Debug, Default)]
struct Host {
    calls: Mutex<Vec<String>>,
    refusals: Mutex<Vec<(&'static str, Refusal)>>,
}

#[async_trait]
impl HttpClient for Host {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let mut path = request.url().path().rsplit('/');
        let (name, rr_type) = (path.next().unwrap_or_default(), path.next().unwrap_or_default());
        let call = format!("{} {rr_type}/{name}", request.method().as_str());
        let mut refusals = self.refusals.lock().expect("no test panics here");
        let refusal = refusals.iter().position(|(of, _)| *of == call).map(|place| refusals.remove(place).1);
        self.calls.lock().expect("no test panics here").push(call);
        let mut headers = Headers::new();
        headers.insert("etag", "1");
        let (status, body) = match refusal {
            Some(Refusal::Full) => {
                let message = "The number of record sets exceeds the limit of the zone.";
                (StatusCode::BadRequest, format!(r#"{{"code":"BadRequest","message":"{message}"}}"#))
            }
            Some(Refusal::Throttled(pause)) => {
                if let Some(seconds) = pause {
                    headers.insert("retry-after", seconds.to_string());
                }
                (StatusCode::TooManyRequests, String::new())
            }
            None if request.method() == Method::Put => (StatusCode::Created, "{}".to_owned()),
            None => (StatusCode::Ok, "{}".to_owned()),
        };
        Ok(AsyncRawResponse::from_bytes(status, headers, body))
    }
}

impl Host {
    fn refuse(&self, call: &'static str, refusal: Refusal) {
        self.refusals.lock().expect("no test panics here").push((call, refusal));
    }

    /// The calls since the last look.
    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.calls.lock().expect("no test panics here"))
    }
}

fn start() -> (Arc<Host>, AzureDns) {
    let host = Arc::new(Host::default());
    let mut options = Options::new("s", "rg", Credential::Custom(Arc::new(Token)));
    options.http_client = Some(host.clone());
    (host, AzureDns::new(&options).expect("the options are right"))
}

fn set(name: &str, records: &[RecordData]) -> ClaimedSet {
    let owner = Fqdn::parse(&format!("{name}.example.com")).expect("a name");
    let rr_type = match &records[0] {
        RecordData::A(_) => RrType::A,
        RecordData::Aaaa(_) => RrType::Aaaa,
        RecordData::Cname(_) => RrType::Cname,
        _ => RrType::Txt,
    };
    let ttl = Ttl::from_secs(60).expect("a TTL");
    ClaimedSet::unclaimed(RrSet::new(RrKey::new(owner, rr_type), ttl, records.to_vec()).expect("a set"))
}

fn create(name: &str, record: RecordData) -> Change {
    Change::create(set(name, &[record]), Version::default())
}

fn delete(name: &str, record: RecordData) -> Change {
    let version = Version { revision: 0, detail: Some("1".into()) };
    Change::delete(&Entry { data: set(name, &[record]), version, blocks: dnsprovider::Blocks::AsDns })
}

fn v4() -> RecordData {
    RecordData::A([192, 0, 2, 1].into())
}

fn v6() -> RecordData {
    RecordData::Aaaa("2001:db8::1".parse().expect("an address"))
}

fn cname() -> RecordData {
    RecordData::Cname(Fqdn::parse("other.example.com").expect("a name"))
}

async fn apply(provider: &AzureDns, changes: Vec<Change>) -> Vec<Outcome> {
    let keys: Vec<RrKey> = changes.iter().map(|change| change.key.clone()).collect();
    let end = Instant::now() + Duration::from_secs(30);
    let time_left: TimeLeft = Arc::new(move || end.saturating_duration_since(Instant::now()));
    let context = ApplyContext { time_left: Some(time_left), ..ApplyContext::default() };
    let changes = ChangeSet { units: vec![Unit { changes }] };
    let mut applied = provider.apply(&ZoneId("example.com".into()), &changes, &context).await.expect("it was judged");
    keys.iter().map(|key| applied.outcomes.remove(key).expect("each change is told")).collect()
}

fn all_done(outcomes: &[Outcome]) -> bool {
    outcomes.iter().all(Outcome::is_done)
}

#[tokio::test(start_paused = true)]
async fn what_may_stand_beside_the_others_comes_before_they_go() {
    for (comes, put) in [(v6(), "PUT AAAA/www"), (RecordData::txt("x"), "PUT TXT/www")] {
        let (host, provider) = start();
        let outcomes = apply(&provider, vec![delete("www", v4()), create("www", comes)]).await;
        assert!(all_done(&outcomes), "{outcomes:?}");
        assert_eq!(host.calls(), [put, "DELETE A/www"]);
    }
}

#[tokio::test(start_paused = true)]
async fn in_a_full_zone_it_comes_after_them() {
    let (host, provider) = start();
    host.refuse("PUT AAAA/www", Refusal::Full);
    let outcomes = apply(&provider, vec![delete("www", v4()), create("www", v6())]).await;
    assert!(all_done(&outcomes), "{outcomes:?}");
    assert_eq!(host.calls(), ["PUT AAAA/www", "DELETE A/www", "PUT AAAA/www"]);

    // But once: the room may be taken by somebody else.
    for _ in 0..2 {
        host.refuse("PUT AAAA/www", Refusal::Full);
    }
    let outcomes = apply(&provider, vec![delete("www", v4()), create("www", v6())]).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Refused(_))), "{outcomes:?}");
    assert_eq!(host.calls(), ["PUT AAAA/www", "DELETE A/www", "PUT AAAA/www", "PUT A/www"], "what went is put back");
}

#[tokio::test(start_paused = true)]
async fn a_type_change_begins_only_when_both_calls_are_granted() {
    let (host, provider) = start();
    host.refuse("PUT A/other", Refusal::Throttled(Some(300)));
    let end = Instant::now() + Duration::from_secs(30);
    let time_left: TimeLeft = Arc::new(move || end.saturating_duration_since(Instant::now()));
    let context = ApplyContext { time_left: Some(time_left), ..ApplyContext::default() };
    let other = ChangeSet { units: vec![Unit { changes: vec![create("other", v4())] }] };
    let throttled = provider.apply(&ZoneId("example.com".into()), &other, &context).await.expect_err("not for 300 s");
    assert_eq!(throttled.retry(), RetryHint::After(Duration::from_mins(5)));
    assert_eq!(host.calls(), ["PUT A/other"]);

    let swap = || vec![create("www", cname()), delete("www", v4())];
    let outcomes = apply(&provider, swap()).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::NotTried)), "{outcomes:?}");
    assert!(host.calls().is_empty(), "the address stays while no CNAME may come");

    tokio::time::advance(Duration::from_mins(5)).await;
    let outcomes = apply(&provider, swap()).await;
    assert!(all_done(&outcomes), "{outcomes:?}");
    assert_eq!(host.calls(), ["DELETE A/www", "PUT CNAME/www"]);
}

#[tokio::test(start_paused = true)]
async fn a_granted_creation_that_is_throttled_all_the_same_is_sent_again() {
    for refusals in [1, 2] {
        let (host, provider) = start();
        for _ in 0..refusals {
            host.refuse("PUT CNAME/www", Refusal::Throttled(None));
        }
        let outcomes = apply(&provider, vec![delete("www", v4()), create("www", cname())]).await;
        assert!(all_done(&outcomes), "{outcomes:?}");
        assert_eq!(host.calls().len(), 2 + refusals);
    }
    // The pause is told when it is longer than the time that is left.
    let (host, provider) = start();
    host.refuse("PUT CNAME/www", Refusal::Throttled(Some(300)));
    let outcomes = apply(&provider, vec![delete("www", v4()), create("www", cname())]).await;
    assert!(outcomes[0].is_done());
    let told =
        matches!(&outcomes[1], Outcome::Refused(error) if error.retry() == RetryHint::After(Duration::from_mins(5)));
    assert!(told, "{outcomes:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_granted_ahead_is_paid_once() {
    let (host, provider) = start();
    let begun = Instant::now();
    // Twenty at once, then three a second, of either kind.
    for nth in 0..80 {
        let name = format!("s{nth}");
        let outcomes = apply(&provider, vec![delete(&name, v4()), create(&name, cname())]).await;
        assert!(all_done(&outcomes), "{outcomes:?}");
    }
    assert_eq!(host.calls().len(), 160);
    let seconds = begun.elapsed().as_secs();
    assert!((19..=21).contains(&seconds), "{seconds} s for sixty more than the burst, at three a second");
}
