//! Providers by name.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use dns_providers::{OpenMode, Opened, ProviderConfig, Registry};
use dnsprovider::{DnsProviderExt, ErrorKind, Fqdn, MemoryProvider};

fn config(text: Option<&str>) -> ProviderConfig {
    let text = text.map(str::to_owned);
    ProviderConfig { text, file: "dns.conf".to_owned(), home: None, mode: OpenMode::Serve }
}

#[tokio::test]
async fn an_unknown_name_lists_those_that_there_are() {
    let error = Registry::builtin().open("route53", config(None)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    let message = error.to_string();
    assert!(message.starts_with("dns-provider: there is no provider `route53`; there are "), "{message}");
    assert!(message.contains("`memory`"), "{message}");
}

#[tokio::test]
async fn a_name_of_ours_that_is_not_compiled_in_says_so() {
    for name in ["azure-azuredns", "aws-route53", "google-clouddns"] {
        let message = Registry::empty().open(name, config(None)).await.unwrap_err().to_string();
        assert!(message.contains(&format!("the provider `{name}` is not compiled into this program")), "{message}");
    }
}

#[tokio::test]
async fn a_second_provider_of_one_name_is_refused_and_the_first_stays() {
    let mut registry = Registry::empty();
    let factory = |zone: &'static str| {
        move |_: ProviderConfig| async move {
            let zone = Fqdn::parse(zone).unwrap();
            Ok(Opened::new(Arc::new(MemoryProvider::new([zone]))))
        }
    };
    registry.register("mine", factory("one.test")).unwrap();
    assert_eq!(registry.register("mine", factory("two.test")).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(registry.names().collect::<Vec<_>>(), ["mine"]);
    let opened = registry.open("mine", config(None)).await.unwrap();
    let zone = opened.provider.find_zone(None, None).await.unwrap();
    assert_eq!(zone.apex.as_str(), "one.test.");
}

#[tokio::test]
async fn memory_has_the_zones_of_its_config() {
    let registry = Registry::builtin();
    let opened = registry.open("memory", config(Some("[Global]\nzones = a.test, b.test"))).await.unwrap();
    assert_eq!(opened.provider.zones(None).await.unwrap().len(), 2);
    assert!(opened.endpoints.is_empty() && opened.served.is_none());
    let error = registry.open("memory", config(Some("[Global]\nzone = a"))).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::ConfigInvalid, "memory: dns.conf:2:1: unknown key `zone` in [Global]; did you mean `zones`?")
    );
}

#[test]
fn a_config_does_not_show_its_text() {
    let config = config(Some("[Global]\nsecret = hunter2"));
    assert!(!format!("{config:?}").contains("hunter2"));
}
