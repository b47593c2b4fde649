//! Route 53 from outside: its config file, and that no secret shows anywhere.

#![cfg(feature = "route53")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::http::StatusCode;
use dns_providers::route53::{self, Options, Route53, SCHEMA};
use dns_providers::{OpenMode, ProviderConfig, Registry, gcfg};
use dnsprovider::{DnsProvider, ErrorKind};
use tracing::field::{Field, Visit};
use tracing::span;

fn config(text: Option<&str>, mode: OpenMode) -> ProviderConfig {
    ProviderConfig { text: text.map(str::to_owned), file: "aws.conf".to_owned(), home: None, mode }
}

fn options(text: &str) -> Result<Options, String> {
    let checked = gcfg::parse(text, "aws.conf").and_then(|parsed| parsed.check(&SCHEMA, Some(Path::new("/home/me"))));
    Options::read(&checked.map_err(|error| error.to_string())?).map_err(|error| error.to_string())
}

//----------- Config ---------------------------------------------------------

#[tokio::test]
async fn an_empty_or_absent_file_opens_without_a_call() {
    for text in [None, Some(""), Some("[Global]\n"), Some("# nothing\n")] {
        for mode in [OpenMode::Serve, OpenMode::ReadOnly, OpenMode::ReadWrite] {
            let opened = Registry::builtin().open("aws-route53", config(text, mode)).await.unwrap();
            assert_eq!(opened.provider.name(), "aws-route53");
            assert!(opened.endpoints.is_empty() && opened.served.is_none());
        }
    }
}

#[test]
fn every_key_is_read() {
    let all = options(
        "[global]\nRegion = eu-west-1\nrole-arn = arn:aws-cn:iam::123456789012:role/team/dns\n\
         access-key-id = AKID\nsecret-access-key = hidden\nendpoint-url = http://127.0.0.1:5000\n",
    )
    .unwrap();
    assert_eq!(all.region.as_deref(), Some("eu-west-1"));
    assert_eq!(all.role_arn.as_deref(), Some("arn:aws-cn:iam::123456789012:role/team/dns"));
    assert_eq!(all.endpoint_url.as_deref(), Some("http://127.0.0.1:5000"));
    assert_eq!(all.access_key.as_ref().map(|key| &*key.id), Some("AKID"));
    assert!((all.calls_per_second - 5.0).abs() < f64::EPSILON);
    assert_eq!(options("[Global]\nprofile = dns").unwrap().profile.as_deref(), Some("dns"));
    let file = options("[Global]\naccess-key-id = AKID\nsecret-access-key-file = ~/secret\n").unwrap();
    assert!(format!("{file:?}").contains("/home/me/secret"), "{file:?}");
}

#[test]
fn what_is_wrong_is_told_with_file_and_line() {
    for (text, message) in [
        ("[Global]\nregoin = x", "aws.conf:2:1: unknown key `regoin` in [Global]; did you mean `region`?"),
        ("[Globe]\nregion = x", "aws.conf:1:2: unknown section [Globe]; did you mean [Global]?"),
        (
            "[Global]\naccess-key-id = AKID",
            "needs `secret-access-key = …`: `access-key-id` is given; give both or neither",
        ),
        (
            "[Global]\nsecret-access-key = x",
            "needs `access-key-id = …`: `secret-access-key` is given; give both or neither",
        ),
        (
            "[Global]\naccess-key-id = A\nsecret-access-key = x\nsecret-access-key-file = y",
            "aws.conf:4:1: `secret-access-key-file` in [Global]: `secret-access-key` is given too",
        ),
        (
            "[Global]\nprofile = p\naccess-key-id = A\nsecret-access-key = x",
            "aws.conf:2:1: `profile` in [Global]: an access key",
        ),
        ("[Global]\nregion = eu west", "aws.conf:2:1: `region` in [Global]: `eu west` is no region"),
        ("[Global]\nrole-arn = dns", "`dns` is no role; write `arn:aws:iam::ACCOUNT:role/NAME`"),
        ("[Global]\nrole-arn = arn:aws:iam::1:user/dns", "is no role"),
        ("[Global]\nendpoint-url = route53.test", "aws.conf:2:1: `endpoint-url` in [Global]: this is no URL of a host"),
        ("[Global]\nendpoint-url = https://", "this is no URL of a host"),
        ("[Global]\nendpoint-url = ftp://x", "this is no URL of a host"),
    ] {
        let error = options(text).unwrap_err();
        assert!(error.contains(message), "{text}\n{error}");
    }
    let error = options("[Global]\nendpoint-url = https://me:hunter2@route53.test").unwrap_err();
    assert!(!error.contains("hunter2"), "{error}");
}

#[tokio::test]
async fn a_secret_file_that_cannot_be_read_is_told_at_once() {
    let text = "[Global]\naccess-key-id = AKID\nsecret-access-key-file = /nowhere/secret\n";
    let error = route53::open(config(Some(text), OpenMode::Serve)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    assert!(error.chain().contains("/nowhere/secret"), "{}", error.chain());
}

//----------- Secrets --------------------------------------------------------

/// Everything that is logged, at every level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Log {
    fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

impl Visit for Log {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        _ = writeln!(self.0.lock().unwrap(), "{field}={value:?}");
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        span.record(&mut self.clone());
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        values.record(&mut self.clone());
    }
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut self.clone());
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// A host that refuses everybody.
async fn refusing() -> String {
    let body = "<ErrorResponse><Error><Type>Sender</Type><Code>SignatureDoesNotMatch</Code><Message>no</Message></Error>\
                <RequestId>1</RequestId></ErrorResponse>";
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(move || async move { (StatusCode::FORBIDDEN, body) });
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test]
async fn no_secret_is_in_debug_errors_or_logs() {
    const SECRET: &str = "vErY-sEcReT-kEy";
    let log = Log::default();
    // For the whole process: one of a single test misses lines whose call sites others have met before.
    tracing::subscriber::set_global_default(log.clone()).expect("no other test sets one");
    let text = format!(
        "[Global]\nregion = us-east-1\naccess-key-id = AKIDSHOWN\nsecret-access-key = {SECRET}\nendpoint-url = {}\n",
        refusing().await
    );
    let options = options(&text).unwrap();
    let host = Route53::new(&options).await.unwrap();
    let error = host.zones(None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    let opened = route53::open(config(Some(&text), OpenMode::Serve)).await.unwrap();
    let shown = format!("{options:?} {host:?} {error:?} {} {opened:?}", error.chain());
    for place in [&shown, &log.text()] {
        assert!(!place.contains(SECRET), "{place}");
    }
    assert!(shown.contains("AKIDSHOWN"), "the id is no secret");
    assert!(log.text().contains("ListHostedZones"), "the SDK's own log was heard: {}", log.text().len());
}
