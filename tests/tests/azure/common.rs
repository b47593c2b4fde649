//! A backend on a stand-in.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use azure_core::http::{AsyncRawResponse, HttpClient, Request};
use dns_conformance::fakes::azure::{CLIENT, Fake, SECRET, SUBSCRIPTION, TENANT};
use dns_providers::SecretSource;
use dns_providers::azure::{AzureDns, Credential, Options};
use dnsprovider::capabilities::Rate;
use dnsprovider::{
    Change, ChangeSet, Claim, ClaimedSet, Entry, Fqdn, RecordData, RrKey, RrSet, RrType, Ttl, Unit, Version, ZoneId,
};

pub(crate) const GROUP: &str = "rg";
pub(crate) const APEX: &str = "example.com";

/// Sends everything, for whichever host, to the stand-in.
#[derive(Debug)]
struct ToFake {
    address: SocketAddr,
    client: reqwest::Client,
}

#[async_trait]
impl HttpClient for ToFake {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let mut request = request.clone();
        let url = request.url_mut();
        url.set_scheme("http").expect("https and http are alike");
        url.set_ip_host(self.address.ip()).expect("it has a host");
        url.set_port(Some(self.address.port())).expect("it has a host");
        self.client.execute_request(&request).await
    }
}

/// Options for everything in the stand-in, at rates that hold nothing up.
pub(crate) fn options(fake: &Fake) -> Options {
    let secret = SecretSource::Inline(SECRET.into());
    let credential = Credential::ClientSecret { tenant_id: TENANT.to_owned(), client_id: CLIENT.to_owned(), secret };
    let mut options = Options::new(SUBSCRIPTION, GROUP, credential);
    options.http_client = Some(to(fake));
    let fast = |rate: &mut Rate| *rate = Rate { per_second: 1e6, burst: 1_000_000, ..*rate };
    options.rates.zone.iter_mut().for_each(fast);
    for rate in [
        &mut options.rates.subscription_reads,
        &mut options.rates.subscription_writes,
        &mut options.rates.subscription_deletes,
    ] {
        fast(rate);
    }
    options
}

pub(crate) fn to(fake: &Fake) -> Arc<dyn HttpClient> {
    // The provider does so too; who is first makes no difference.
    _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    Arc::new(ToFake { address: fake.address(), client })
}

pub(crate) fn provider(fake: &Fake) -> AzureDns {
    AzureDns::new(&options(fake)).expect("the options are right")
}

/// A stand-in with an empty zone, and a backend on it.
pub(crate) async fn start() -> (Fake, AzureDns) {
    let fake = Fake::start().await;
    fake.create_zone(GROUP, APEX);
    let provider = provider(&fake);
    (fake, provider)
}

//----------- values ---------------------------------------------------------

pub(crate) fn zone() -> ZoneId {
    ZoneId(APEX.into())
}

pub(crate) fn name(relative: &str) -> Fqdn {
    Fqdn::parse(APEX).expect("a name").prepend(relative).expect("a name")
}

#[expect(clippy::needless_pass_by_value, reason = "a type is written as it is")]
pub(crate) fn set(relative: &str, rr_type: RrType, texts: &[&str]) -> ClaimedSet {
    let record = |text: &&str| match rr_type {
        RrType::A => RecordData::A(text.parse().expect("an address")),
        RrType::Aaaa => RecordData::Aaaa(text.parse().expect("an address")),
        RrType::Cname => RecordData::Cname(Fqdn::parse(text).expect("a name")),
        _ => RecordData::txt(text),
    };
    let records: Vec<_> = texts.iter().map(record).collect();
    let key = RrKey::new(name(relative), rr_type.clone());
    let set = RrSet::new(key, Ttl::from_secs(180).expect("a TTL"), records).expect("a set");
    ClaimedSet { set, claim: Some(Claim::without_credits("fed", "fed")) }
}

pub(crate) fn a(relative: &str, addresses: &[&str]) -> ClaimedSet {
    set(relative, RrType::A, addresses)
}

pub(crate) fn create(after: ClaimedSet) -> Change {
    Change::create(after, Version::default())
}

pub(crate) fn key(relative: &str, rr_type: RrType) -> RrKey {
    RrKey::new(name(relative), rr_type)
}

/// What stands at a key.
pub(crate) async fn entry(provider: &AzureDns, relative: &str, rr_type: RrType) -> Entry {
    use dnsprovider::DnsProvider as _;
    let read = provider.read_names(&zone(), &[name(relative)]).await.expect("the zone can be read");
    read.get(&key(relative, rr_type)).expect("it stands there").clone()
}

/// Each change a unit of its own.
pub(crate) fn loose(changes: impl IntoIterator<Item = Change>) -> ChangeSet {
    ChangeSet { units: changes.into_iter().map(|change| Unit { changes: vec![change] }).collect() }
}

pub(crate) fn unit(changes: impl IntoIterator<Item = Change>) -> ChangeSet {
    ChangeSet { units: vec![Unit { changes: changes.into_iter().collect() }] }
}

pub(crate) fn changed(entry: &Entry, addresses: &[&str]) -> Change {
    let relative = entry.key().owner.relative_to(&name("")).expect("it is in the zone").to_owned();
    Change::update(entry, a(&relative, addresses))
}
