//! Route 53 on the strict fake: the suite, and what the fake shows that the suite cannot.

use dns_conformance::fakes::route53::Fake;
use dns_conformance::{Setup, conformance};
use dns_providers::SecretSource;
use dns_providers::route53::{AccessKey, Options, Route53};
use dnsprovider::Fqdn;

const APEX: &str = "conformance.test";

/// As fast as it goes: the rate is a test of its own.
fn options(url: &str) -> Options {
    let secret = SecretSource::Inline("not-a-secret".into());
    Options {
        region: Some("us-east-1".to_owned()),
        access_key: Some(AccessKey { id: "AKIDEXAMPLE".to_owned(), secret }),
        endpoint_url: Some(url.to_owned()),
        calls_per_second: 1e6,
        ..Options::default()
    }
}

async fn on_the_fake() -> Setup {
    let fake = Fake::start().await;
    fake.create_zone(APEX, false);
    let provider = Route53::new(&options(&fake.url())).await.expect("the options are right");
    Setup::new(provider, Fqdn::parse(APEX).expect("a name")).keep(fake)
}
conformance!(route53, on_the_fake);
