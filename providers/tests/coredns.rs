//! The CoreDNS backend without a server: its config, what batches cost, and an etcd that misbehaves on purpose.

#![cfg(feature = "coredns")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dns_providers::coredns::{CoreDns, Options};
use dns_providers::{OpenMode, ProviderConfig, Registry};
use dnsprovider::chunk::Packer;
use dnsprovider::{
    Applied, ApplyContext, Change, ChangeSet, Chunked, Claim, ClaimedSet, DnsProvider, Entry, ErrorKind, Fqdn, Outcome,
    RecordData, RrKey, RrSet, RrType, Ttl, Unit, Version, ZoneId,
};
use etcd_client::proto::{
    PbCompactionRequest, PbCompactionResponse, PbDeleteRequest, PbDeleteResponse, PbKvServer, PbKvService,
    PbPutRequest, PbPutResponse, PbRangeRequest, PbRangeResponse, PbRangeStreamResponse, PbResponseHeader,
    PbTxnRequest, PbTxnResponse,
};
use tonic::{Code, Request, Response, Status};

fn name(text: &str) -> Fqdn {
    Fqdn::parse(text).unwrap()
}

fn zone() -> ZoneId {
    ZoneId("0".into())
}

fn a(owner: &str, addresses: &[&str]) -> ClaimedSet {
    let records = addresses.iter().map(|text| RecordData::A(text.parse().unwrap()));
    let key = RrKey::new(name(owner), RrType::A);
    let set = RrSet::new(key, Ttl::from_secs(180).unwrap(), records).unwrap();
    ClaimedSet { set, claim: Some(Claim::without_credits("fed", "fed")) }
}

fn cname(owner: &str, target: &str) -> ClaimedSet {
    let key = RrKey::new(name(owner), RrType::Cname);
    let set = RrSet::new(key, Ttl::from_secs(180).unwrap(), [RecordData::Cname(name(target))]).unwrap();
    ClaimedSet { set, claim: Some(Claim::without_credits("fed", "fed")) }
}

fn held(data: ClaimedSet) -> Entry {
    Entry { data, version: Version::at(9), blocks: dnsprovider::Blocks::AsDns }
}

fn unconnected() -> CoreDns {
    CoreDns::unconnected(Options::new(["http://127.0.0.1:1"], [name("example.com")])).unwrap()
}

//----------- cost -----------------------------------------------------------

fn calls(provider: &CoreDns, units: impl Iterator<Item = Unit>) -> u32 {
    let mut packer = Packer::new(&provider.capabilities());
    let mut calls = 1;
    for unit in units {
        let cost = provider.cost(&unit);
        if !packer.add(cost) {
            calls += 1;
            packer.clear();
            assert!(packer.add(cost));
        }
    }
    calls
}

#[test]
fn creates_and_deletions_fit_63_names_and_changes_31_in_a_transaction() {
    let provider = unconnected();
    let unit = |change| Unit { changes: vec![change] };
    let owner = |number| format!("s{number}.test.ufp.svc.example.com");
    let create = |number: u32| unit(Change::create(a(&owner(number), &["192.0.2.1", "192.0.2.2"]), Version::at(1)));
    assert_eq!(calls(&provider, (0..10_000).map(create)), 159);
    assert_eq!(calls(&provider, (0..50_000).map(create)), 794);
    let delete = |number| unit(Change::delete(&held(a(&owner(number), &["192.0.2.1", "192.0.2.2"]))));
    assert_eq!(calls(&provider, (0..50_000).map(delete)), 794);
    let update = |number| {
        let before = held(a(&owner(number), &["192.0.2.1", "192.0.2.2"]));
        unit(Change::update(&before, a(&owner(number), &["192.0.2.1", "192.0.2.3"])))
    };
    assert_eq!(calls(&provider, (0..500).map(update)), 17);
}

#[test]
fn a_unit_costs_what_its_names_guard_and_write() {
    let provider = unconnected();
    let (addresses, alias) =
        (a("www.example.com", &["192.0.2.1", "192.0.2.2"]), cname("www.example.com", "x.example.com"));
    let cost = |changes: Vec<Change>| {
        let cost = provider.cost(&Unit { changes });
        (cost.compares, cost.operations)
    };
    assert_eq!(cost(vec![Change::create(addresses.clone(), Version::at(1))]), (2, 2));
    assert_eq!(cost(vec![Change::delete(&held(addresses.clone()))]), (2, 2));
    assert_eq!(cost(vec![Change::delete(&held(a("www.example.com", &["192.0.2.1"])))]), (2, 1));
    let mut crowded = held(addresses.clone());
    crowded.version.detail = Some(r#"{"b":["f00"]}"#.into());
    assert_eq!(cost(vec![Change::delete(&crowded)]), (4, 2), "each leaf, beside those of others");
    let away = vec![Change::delete(&held(addresses.clone())), Change::create(alias.clone(), Version::at(1))];
    assert_eq!(cost(away), (4, 3));
    let back = vec![Change::delete(&held(alias)), Change::create(addresses.clone(), Version::at(1))];
    assert_eq!(cost(back), (3, 2), "the CNAME's key goes in a later transaction");
    let mut credited = addresses.clone();
    credited.claim.as_mut().unwrap().credits = Arc::new([Arc::new([Arc::from("c")])]);
    assert_eq!(cost(vec![Change::update(&held(addresses), credited)]), (4, 1), "a credit is one key");
}

#[test]
fn the_largest_set_of_both_families_still_fits() {
    let provider = unconnected();
    let limits = provider.capabilities().limits;
    let many = |family: &str| {
        let records = (0..limits.records_per_set.unwrap()).map(|host| match family {
            "A" => RecordData::A(std::net::Ipv4Addr::new(10, 0, 0, u8::try_from(host).unwrap())),
            _ => RecordData::Aaaa(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::try_from(host).unwrap())),
        });
        let key = RrKey::new(name("www.example.com"), RrType::from_text(family));
        ClaimedSet::unclaimed(RrSet::new(key, Ttl::from_secs(60).unwrap(), records).unwrap())
    };
    let unit = Unit { changes: vec![Change::delete(&held(many("A"))), Change::delete(&held(many("AAAA")))] };
    assert_eq!(Packer::new(&provider.capabilities()).never_fits(provider.cost(&unit)), None);
}

//----------- refusals -------------------------------------------------------

#[tokio::test]
async fn what_the_format_cannot_hold_is_refused_unsent() {
    let provider = unconnected();
    let set = |owner: &str, rr_type: RrType, ttl: u32, record: RecordData| {
        let set = RrSet::new(RrKey::new(name(owner), rr_type), Ttl::from_secs(ttl).unwrap(), [record]).unwrap();
        Change::create(ClaimedSet::unclaimed(set), Version::at(1))
    };
    let address = RecordData::A([192, 0, 2, 1].into());
    for (change, kind) in [
        (set("a/b.example.com", RrType::A, 60, address.clone()), ErrorKind::InvalidInput),
        (set("www.example.org", RrType::A, 60, address.clone()), ErrorKind::InvalidInput),
        (set("www.example.com", RrType::A, 0, address), ErrorKind::InvalidInput),
        (
            set("www.example.com", RrType::Aaaa, 60, RecordData::Aaaa("::ffff:192.0.2.1".parse().unwrap())),
            ErrorKind::InvalidInput,
        ),
        (set("example.com", RrType::Cname, 60, RecordData::Cname(name("a.b"))), ErrorKind::InvalidInput),
        (set("www.example.com", RrType::from_text("MX"), 60, RecordData::Opaque("x".into())), ErrorKind::Unsupported),
    ] {
        let key = change.key.clone();
        let applied = provider.apply(&zone(), &ChangeSet::by_name([change]), &ApplyContext::default()).await.unwrap();
        let Outcome::Refused(error) = &applied.outcomes[&key] else { panic!("{key}: {applied:?}") };
        assert_eq!(error.kind(), kind, "{error}");
    }
    assert_eq!(provider.create_zone(&name("a.b")).await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(provider.delete_zone(&zone()).await.unwrap_err().kind(), ErrorKind::Unsupported);
}

//----------- config ---------------------------------------------------------

async fn open(text: &str) -> Result<dns_providers::Opened, dnsprovider::Error> {
    let config = ProviderConfig {
        text: Some(text.to_owned()),
        file: "dns.conf".to_owned(),
        home: None,
        mode: OpenMode::ReadOnly,
    };
    Registry::builtin().open("coredns", config).await
}

#[tokio::test]
async fn wrong_configs_say_what_to_mend() {
    let zones = "[Global]\nzones = example.com\n";
    for (text, part) in [
        ("[Global]\netcd-endpoints = http://127.0.0.1:1".to_owned(), "Need to provide at least one DNS Zone"),
        (format!("{zones}etcd-cert-file = /a"), "etcd-key-file"),
        (format!("{zones}etcd-key-file = /a"), "etcd-cert-file"),
        (format!("{zones}etcd-username = u"), "etcd-password"),
        (format!("{zones}etcd-password = hush"), "etcd-username"),
        (format!("{zones}etcd-ca-file = /a\netcd-endpoints = http://h:1"), "https"),
        (format!("{zones}coredns-endpoints = nowhere"), "coredns-endpoints"),
        ("[Global]\nzones = a, A.".to_owned(), "twice"),
        (format!("{zones}etcd-endpoint = x"), "etcd-endpoints"),
    ] {
        let error = open(&text).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{error}");
        assert!(error.chain().contains(part), "{}", error.chain());
        assert!(!error.chain().contains("hush"));
    }
}

#[tokio::test]
async fn an_etcd_that_cannot_be_reached_is_named_without_its_login() {
    let error = open("[Global]\nzones = example.com\netcd-endpoints = http://u:hush@127.0.0.1:1 , 127.0.0.1:2")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{}", error.chain());
    assert!(error.to_string().contains("`127.0.0.1:2`"), "{error}");
    assert!(!error.chain().contains("hush"), "{}", error.chain());
}

#[tokio::test]
async fn a_daemon_does_not_wait_for_etcd_to_begin() {
    let config = ProviderConfig {
        text: Some("[Global]\nzones = example.com\netcd-endpoints = 127.0.0.1:1".to_owned()),
        file: "test.conf".to_owned(),
        home: None,
        mode: OpenMode::Serve,
    };
    let opened = Registry::builtin().open("coredns", config).await.unwrap();
    let error = opened.provider.read_page(&ZoneId("0".into()), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{}", error.chain());
}

//----------- an etcd that misbehaves ----------------------------------------

/// What is said to a transaction.
type Txn = dyn Fn(&PbTxnRequest) -> Result<PbTxnResponse, Status> + Send + Sync;

/// Answers reads with nothing, and writes as it was told.
#[derive(Clone)]
struct Fake {
    txn: Arc<Txn>,
    sent: Arc<AtomicUsize>,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl PbKvService for Fake {
    type RangeStreamStream = Pin<Box<dyn futures::Stream<Item = Result<PbRangeStreamResponse, Status>> + Send>>;

    async fn range(&self, _: Request<PbRangeRequest>) -> Answer<PbRangeResponse> {
        Ok(Response::new(PbRangeResponse {
            header: Some(PbResponseHeader { revision: 5, ..Default::default() }),
            ..Default::default()
        }))
    }
    async fn range_stream(&self, _: Request<PbRangeRequest>) -> Answer<Self::RangeStreamStream> {
        Err(Status::unimplemented(""))
    }
    async fn put(&self, _: Request<PbPutRequest>) -> Answer<PbPutResponse> {
        Err(Status::unimplemented(""))
    }
    async fn delete_range(&self, _: Request<PbDeleteRequest>) -> Answer<PbDeleteResponse> {
        Err(Status::unimplemented(""))
    }
    async fn txn(&self, request: Request<PbTxnRequest>) -> Answer<PbTxnResponse> {
        self.sent.fetch_add(1, Ordering::Relaxed);
        (self.txn)(request.get_ref()).map(Response::new)
    }
    async fn compact(&self, _: Request<PbCompactionRequest>) -> Answer<PbCompactionResponse> {
        Err(Status::unimplemented(""))
    }
}

async fn fake(
    txn: impl Fn(&PbTxnRequest) -> Result<PbTxnResponse, Status> + Send + Sync + 'static,
) -> (Chunked<CoreDns>, Arc<AtomicUsize>) {
    let fake = Fake { txn: Arc::new(txn), sent: Arc::default() };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tonic::transport::Server::builder().add_service(PbKvServer::new(fake.clone()));
    tokio::spawn(server.serve_with_incoming(tokio_stream::wrappers::TcpListenerStream::new(listener)));
    let mut options = Options::new([url], [name("example.com")]);
    options.settle = Duration::ZERO;
    (Chunked::new(CoreDns::connect(options).await.unwrap()), fake.sent)
}

fn done() -> PbTxnResponse {
    let header = Some(PbResponseHeader { revision: 6, ..Default::default() });
    PbTxnResponse { header, succeeded: true, ..Default::default() }
}

fn creates(count: usize) -> ChangeSet {
    let create = |number| Change::create(a(&format!("s{number}.example.com"), &["192.0.2.1"]), Version::at(5));
    ChangeSet::by_name((0..count).map(create))
}

async fn apply(provider: &Chunked<CoreDns>, changes: &ChangeSet) -> Result<Applied, dnsprovider::Error> {
    provider.apply(&zone(), changes, &ApplyContext::default()).await
}

#[tokio::test]
async fn a_lost_answer_is_unknown_for_every_change_and_not_sent_again() {
    for code in [Code::Unavailable, Code::DeadlineExceeded, Code::Unknown] {
        let (provider, sent) = fake(move |_| Err(Status::new(code, "etcdserver: request timed out"))).await;
        let applied = apply(&provider, &creates(3)).await.unwrap();
        assert_eq!(applied.outcomes.len(), 3);
        assert!(applied.outcomes.values().all(|outcome| matches!(outcome, Outcome::Unknown(_))), "{applied:?}");
        assert_eq!(sent.load(Ordering::Relaxed), 1);
    }
}

#[tokio::test]
async fn a_refusal_that_changed_nothing_is_an_error() {
    for (status, kind) in [
        (Status::permission_denied("etcdserver: permission denied"), ErrorKind::PermissionDenied),
        (Status::resource_exhausted("etcdserver: too many requests"), ErrorKind::RateLimited),
        (Status::resource_exhausted("etcdserver: mvcc: database space exceeded"), ErrorKind::LimitExceeded),
        (Status::unavailable("etcdserver: no leader"), ErrorKind::Unavailable),
    ] {
        let (provider, _) = fake(move |_| Err(status.clone())).await;
        let error = provider.inner().apply(&zone(), &creates(1), &ApplyContext::default()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{}", error.chain());
    }
}

#[tokio::test]
async fn smaller_limits_of_a_server_are_learned_and_everything_is_done() {
    let largest = Arc::new(Mutex::new(0));
    let seen = largest.clone();
    let (provider, _) = fake(move |txn| {
        if txn.compare.len().max(txn.success.len()).max(txn.failure.len()) > 32 {
            return Err(Status::invalid_argument("etcdserver: too many operations in txn request"));
        }
        let mut largest = seen.lock().unwrap();
        *largest = txn.success.len().max(*largest);
        Ok(done())
    })
    .await;
    assert!(apply(&provider, &creates(200)).await.unwrap().is_done());
    assert_eq!(provider.capabilities().limits.batch.operations, 32);
    assert!(*largest.lock().unwrap() > 7);

    let (provider, _) = fake(|txn| match txn.success.len() {
        0..=16 => Ok(done()),
        _ => Err(Status::invalid_argument("etcdserver: request is too large")),
    })
    .await;
    let before = provider.capabilities().limits.batch.octets;
    assert!(apply(&provider, &creates(100)).await.unwrap().is_done());
    assert!(provider.capabilities().limits.batch.octets < before);
}

#[tokio::test]
async fn many_failovers_share_one_wait_and_one_later_transaction() {
    let (provider, sent) = fake(|_| Ok(done())).await;
    let changes = (0..40).flat_map(|number| {
        let owner = format!("s{number}.example.com");
        let away = Change::delete(&held(cname(&owner, "x.example.com")));
        [away, Change::create(a(&owner, &["192.0.2.1"]), Version::at(9))]
    });
    assert!(apply(&provider, &ChangeSet::by_name(changes)).await.unwrap().is_done());
    assert_eq!(sent.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_second_step_that_fails_leaves_the_addresses_done() {
    let count = AtomicUsize::new(0);
    let (provider, _) = fake(move |_| match count.fetch_add(1, Ordering::Relaxed) {
        0 => Ok(done()),
        _ => Err(Status::unavailable("etcdserver: request timed out")),
    })
    .await;
    let away = Change::delete(&held(cname("www.example.com", "x.example.com")));
    let there = Change::create(a("www.example.com", &["192.0.2.1"]), Version::at(9));
    let applied = apply(&provider, &ChangeSet::by_name([away, there])).await.unwrap();
    let outcome = |rr_type| &applied.outcomes[&RrKey::new(name("www.example.com"), rr_type)];
    assert!(outcome(RrType::A).is_done(), "{applied:?}");
    assert!(matches!(outcome(RrType::Cname), Outcome::Unknown(_)), "{applied:?}");
}
