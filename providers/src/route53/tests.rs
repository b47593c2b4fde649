//! Over a transport of the test's own: where calls go, who signs them, and recorded bodies.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use aws_sdk_route53::config::SharedHttpClient;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use dnsprovider::{DnsProviderExt, Entry, RecordData};

use super::*;
use crate::SecretSource;

const XMLNS: &str = "xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"";

type Answers = dyn Fn(&str, &str) -> (u16, String) + Send + Sync;

/// Answers what `answer` gives for a URL and body, and keeps the URLs and authorizations.
#[derive(Clone)]
struct Wire {
    seen: Arc<Mutex<Vec<(String, String)>>>,
    answer: Arc<Answers>,
}

impl Wire {
    fn new(answer: impl Fn(&str, &str) -> (u16, String) + Send + Sync + 'static) -> Self {
        Self { seen: Arc::default(), answer: Arc::new(answer) }
    }

    fn client(&self) -> SharedHttpClient {
        let connector = SharedHttpConnector::new(self.clone());
        http_client_fn(move |_, _| connector.clone())
    }

    fn seen(&self) -> Vec<(String, String)> {
        self.seen.lock().unwrap().clone()
    }

    async fn host(&self, options: &Options) -> Route53 {
        Route53::over(client::client_over(options, self.client()).await.unwrap(), options)
    }
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wire")
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let authorization = request.headers().get("authorization").unwrap_or_default().to_owned();
        self.seen.lock().unwrap().push((request.uri().to_owned(), authorization));
        let body = String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned();
        let (status, body) = (self.answer)(request.uri(), &body);
        let status = aws_smithy_runtime_api::http::StatusCode::try_from(status).unwrap();
        HttpConnectorFuture::ready(Ok(aws_smithy_runtime_api::http::Response::new(status, SdkBody::from(body))))
    }
}

fn with_key(secret: SecretSource) -> Options {
    let access_key = Some(AccessKey { id: "AKIDOFTHEFILE".to_owned(), secret });
    Options { access_key, region: Some("us-east-1".to_owned()), calls_per_second: 1e6, ..Options::default() }
}

fn no_zones() -> (u16, String) {
    let list = "<HostedZones></HostedZones><Marker></Marker><IsTruncated>false</IsTruncated><MaxItems>100</MaxItems>";
    (200, format!("<ListHostedZonesResponse {XMLNS}>{list}</ListHostedZonesResponse>"))
}

#[tokio::test]
async fn the_region_names_the_partition_and_the_endpoint_overrides_it() {
    for (region, endpoint, url, scope) in [
        (Some("us-east-1"), None, "https://route53.amazonaws.com/", "/us-east-1/route53/"),
        (Some("eu-west-1"), None, "https://route53.amazonaws.com/", "/us-east-1/route53/"),
        (Some("cn-north-1"), None, "https://route53.amazonaws.com.cn/", "/cn-northwest-1/route53/"),
        (Some("us-gov-west-1"), None, "https://route53.us-gov.amazonaws.com/", "/us-gov-west-1/route53/"),
        (Some("us-east-1"), Some("https://vpce.test:8443"), "https://vpce.test:8443/", "/us-east-1/route53/"),
    ] {
        let wire = Wire::new(|_, _| no_zones());
        let key = with_key(SecretSource::Inline("s3cret".into()));
        let endpoint_url = endpoint.map(str::to_owned);
        let options = Options { region: region.map(str::to_owned), endpoint_url, ..key };
        wire.host(&options).await.zones(None).await.unwrap();
        let (uri, authorization) = wire.seen().remove(0);
        assert!(uri.starts_with(url), "{uri}");
        assert!(authorization.contains(scope), "{authorization}");
    }
}

#[tokio::test]
async fn a_rotated_secret_counts_with_the_next_call() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, "first\n").unwrap();
    let wire = Wire::new(|_, _| no_zones());
    let host = wire.host(&with_key(SecretSource::File(path.clone()))).await;
    host.zones(None).await.unwrap();
    std::fs::write(&path, "second\n").unwrap();
    host.zones(None).await.unwrap();
    let signatures: Vec<_> = wire.seen().into_iter().map(|(_, authorization)| authorization).collect();
    assert_ne!(signatures[0].split("Signature=").nth(1), signatures[1].split("Signature=").nth(1));

    std::fs::remove_file(&path).unwrap();
    let error = host.zones(None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    assert!(error.chain().contains(&*path.to_string_lossy()), "{}", error.chain());
    assert_eq!(wire.seen().len(), 2, "nothing is sent without a secret");
}

const SESSION: &str = "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>\
    <AssumedRoleUser><AssumedRoleId>A:dns-syncd</AssumedRoleId><Arn>arn:aws:sts::123456789012:assumed-role/dns/x</Arn>\
    </AssumedRoleUser><Credentials><AccessKeyId>ASIAOFTHEROLE</AccessKeyId><SecretAccessKey>role-secret</SecretAccessKey>\
    <SessionToken>role-token</SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult>\
    <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></AssumeRoleResponse>";

fn role() -> Options {
    let role_arn = Some("arn:aws:iam::123456789012:role/dns".to_owned());
    let endpoint_url = Some("https://route53.test".to_owned());
    Options { role_arn, endpoint_url, ..with_key(SecretSource::Inline("s3cret".into())) }
}

#[tokio::test]
async fn a_role_is_assumed_once_with_the_key_and_signs_from_then_on() {
    let wire = Wire::new(|uri, body| {
        if !uri.contains("//sts.") {
            return no_zones();
        }
        assert!(body.contains("Action=AssumeRole") && body.contains("role%2Fdns"), "{body}");
        (200, SESSION.to_owned())
    });
    let host = wire.host(&role()).await;
    for _ in 0..2 {
        host.zones(None).await.unwrap();
    }
    let seen = wire.seen();
    let signers: Vec<_> = seen.iter().map(|(_, authorization)| authorization.contains("ASIAOFTHEROLE")).collect();
    assert_eq!(signers, [false, true, true]);
    assert!(seen[0].1.contains("AKIDOFTHEFILE") && seen[0].0.contains("//sts."), "{seen:?}");
    assert!(seen[1].0.starts_with("https://route53.test/"), "{seen:?}");
}

#[tokio::test]
async fn a_role_that_may_not_be_assumed_is_told() {
    let wire = Wire::new(|_, _| {
        let error = "<Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not authorized to perform: \
                     sts:AssumeRole</Message></Error><RequestId>1</RequestId>";
        let xmlns = "xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"";
        (403, format!("<ErrorResponse {xmlns}>{error}</ErrorResponse>"))
    });
    let error = wire.host(&role()).await.zones(None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    let chain = error.chain();
    assert!(chain.contains("sts:AssumeRole"), "{chain}");
    assert!(!chain.contains("s3cret"), "{chain}");
    assert!(wire.seen().iter().all(|(uri, _)| uri.contains("//sts.")), "Route 53 is not called");
}

#[tokio::test]
async fn a_refused_batch_is_read_in_both_frames() {
    let stale = "Tried to create resource record set [name='www.example.com.', type='A'] but it already exists";
    let usual = format!(
        "<ErrorResponse {XMLNS}><Error><Type>Sender</Type><Code>InvalidChangeBatch</Code><Message>[{stale}]</Message>\
         </Error><RequestId>1</RequestId></ErrorResponse>"
    );
    let modelled = format!(
        "<InvalidChangeBatch {XMLNS}><Messages><Message>{}</Message></Messages><RequestId>1</RequestId></InvalidChangeBatch>",
        stale.replace('\'', "&apos;")
    );
    for body in [usual, modelled] {
        let wire = Wire::new(move |_, _| (400, body.clone()));
        let host = wire.host(&with_key(SecretSource::Inline("s3cret".into()))).await;
        let zone = ZoneId("Z1".into());
        host.know(&zone, &Fqdn::parse("example.com").unwrap());
        let key = dnsprovider::RrKey::new(Fqdn::parse("www.example.com").unwrap(), RrType::A);
        let address = RecordData::A([192, 0, 2, 1].into());
        let set = dnsprovider::RrSet::new(key.clone(), Ttl::from_secs(60).unwrap(), [address]).unwrap();
        let create = dnsprovider::Change::create(dnsprovider::ClaimedSet::unclaimed(set), Version::default());
        let applied = host.apply(&zone, &ChangeSet::by_name([create]), &ApplyContext::default()).await.unwrap();
        assert!(matches!(applied.outcomes[&key], dnsprovider::Outcome::Conflict), "{applied:?}");
    }
}

/// A list that a real Route 53 gave in 2022.
#[tokio::test]
#[ignore = "needs DNS_FIXTURES"]
async fn a_recorded_list_is_read() {
    let fixtures = std::env::var_os("DNS_FIXTURES")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures"), PathBuf::from);
    let file = "lexicon/route53/test_provider_when_calling_create_record_with_duplicate_records_should_be_noop.yaml";
    let text = std::fs::read_to_string(fixtures.join(file)).expect("DNS_FIXTURES has lexicon's recordings");
    let start = text.find("<ListResourceRecordSetsResponse").unwrap();
    let end = text[start..].find("</ListResourceRecordSetsResponse>").unwrap();
    // The recording folds long lines.
    let body = format!("{}</ListResourceRecordSetsResponse>", &text[start..start + end]).replace("\n        ", " ");
    let wire = Wire::new(move |_, _| (200, body.clone()));
    let host = wire.host(&with_key(SecretSource::Inline("s3cret".into()))).await;
    let read = host.read_zone(&ZoneId("Z040120927RX9CM38HPQQ".into())).await.unwrap();
    let lists = wire.seen().iter().filter(|(uri, _)| uri.contains("/rrset")).count();
    assert_eq!((read.len(), lists), (9, 1));
    let at = |owner: &str| -> Vec<Entry> { read.at(&Fqdn::parse(owner).unwrap()).to_vec() };
    assert_eq!(at("fullcr1stal.tk").iter().filter(|entry| entry.data.set.is_opaque()).count(), 2, "SOA and NS");
    let [texts] = at("_acme-challenge.createrecordset.fullcr1stal.tk").try_into().unwrap();
    assert_eq!(texts.data.set.records(), ["challengetoken1", "challengetoken2"].map(RecordData::txt));
    assert_eq!((texts.data.set.ttl().as_secs(), texts.version), (3600, Version::default()));
    let [cname] = at("docs.fullcr1stal.tk").try_into().unwrap();
    assert_eq!(cname.data.set.cname_target(), Some(&Fqdn::parse("docs.example.com").unwrap()));
    assert_eq!(cname.version.detail.as_deref(), Some("docs.example.com"), "it is deleted without the dot");
}
