//! Zones, rights, and the ways to get a token.

use dns_conformance::fakes::azure::{CLIENT, Fake, Principal, RecordSet, SECRET, SUBSCRIPTION, TENANT};
use dns_providers::azure::{AzureDns, Cloud, Credential};
use dns_providers::{OpenMode, ProviderConfig, Registry, SecretSource};
use dnsprovider::{ApplyContext, Change, DnsProvider as _, DnsProviderExt as _, ErrorKind, Fqdn, Outcome, RrType};

use super::common::{APEX, GROUP, a, create, key, loose, name, options, start, zone};

fn with_credential(fake: &Fake, credential: Credential) -> AzureDns {
    let mut options = options(fake);
    options.credential = credential;
    AzureDns::new(&options).expect("the options are right")
}

fn secret(client_id: &str, secret: SecretSource) -> Credential {
    Credential::ClientSecret { tenant_id: TENANT.to_owned(), client_id: client_id.to_owned(), secret }
}

#[tokio::test]
async fn rights_on_the_zone_alone_are_enough() {
    let (fake, _) = start().await;
    fake.create_zone(GROUP, "other.example");
    let zone_id = fake.zone_id(GROUP, APEX);
    let only = Principal::new("one-zone").with_secret("s").with_right(&zone_id, &["*"]);
    fake.principal(only);
    let provider = with_credential(&fake, secret("one-zone", SecretSource::Inline("s".into())));
    let found = provider.find_zone(Some(&name("")), None).await.expect("the zone alone is asked for");
    assert_eq!(found.id, zone());
    let applied = provider.apply(&found.id, &loose([create(a("www", &["192.0.2.1"]))]), &ApplyContext::default()).await;
    assert!(applied.expect("it may").is_done());
    let read = provider.read_zone(&found.id).await.expect("it may");
    assert!(read.get(&key("www", RrType::A)).is_some());

    let error = provider.zones(None).await.expect_err("it may not list the group");
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    for part in ["Microsoft.Network/dnsZones/read", "resource group `rg`", "DNS Zone Contributor"] {
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[tokio::test]
async fn a_missing_right_is_named_with_its_zone() {
    let (fake, _) = start().await;
    let zone_id = fake.zone_id(GROUP, APEX);
    fake.put_set(GROUP, APEX, RecordSet::a("old", 60, &["192.0.2.1"]));
    let rights =
        ["Microsoft.Network/dnsZones/read", "Microsoft.Network/dnsZones/*/read", "Microsoft.Network/dnsZones/A/delete"];
    fake.principal(Principal::new("reader").with_secret("s").with_right(&zone_id, &rights));
    let provider = with_credential(&fake, secret("reader", SecretSource::Inline("s".into())));
    let held = super::common::entry(&provider, "old", RrType::A).await;
    let changes = loose([create(a("www", &["192.0.2.1"])), Change::delete(&held)]);
    let applied = provider.apply(&zone(), &changes, &ApplyContext::default()).await.expect("a part is done");
    assert!(applied.outcomes[held.key()].is_done(), "{applied:?}");
    let Outcome::Refused(error) = &applied.outcomes[&key("www", RrType::A)] else { panic!("{applied:?}") };
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(
        error.to_string().contains("`Microsoft.Network/dnsZones/A/write` is needed on the zone `example.com`"),
        "{error}"
    );
}

#[tokio::test]
async fn what_does_not_exist_is_named() {
    let (fake, provider) = start().await;
    let absent = Fqdn::parse("absent.example").expect("a name");
    let error = provider.find_zone(Some(&absent), None).await.expect_err("there is none");
    assert_eq!(error.kind(), ErrorKind::ZoneNotFound);
    assert!(error.to_string().contains("`example.com.` (id `example.com`)"), "{error}");

    let mut wrong_group = options(&fake);
    wrong_group.resource_group = "nowhere".to_owned();
    let error = AzureDns::new(&wrong_group).expect("options").zones(Some(&name(""))).await.expect_err("no such group");
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{error}");
    assert!(error.to_string().contains("resourceGroup"), "{error}");

    let mut wrong_subscription = options(&fake);
    wrong_subscription.subscription_id = "99999999-9999-4999-8999-999999999999".to_owned();
    let provider = AzureDns::new(&wrong_subscription).expect("options");
    let error = provider.zones(Some(&name(""))).await.expect_err("no such subscription");
    assert!(matches!(error.kind(), ErrorKind::ConfigInvalid | ErrorKind::PermissionDenied), "{error}");
}

#[tokio::test]
async fn zones_come_and_go_and_all_pages_are_listed() {
    let (fake, provider) = start().await;
    fake.create_private_zone(GROUP, "inside.example");
    fake.create_zone("elsewhere", APEX);
    let new = Fqdn::parse("new.example").expect("a name");
    let made = provider.create_zone(&new).await.expect("it is made");
    assert_eq!((made.id.to_string().as_str(), made.private), ("new.example", false));
    let again = provider.create_zone(&new).await.expect_err("there is one");
    assert_eq!(again.kind(), ErrorKind::Conflict, "{again}");
    fake.page_size(1);
    let mut listed: Vec<_> = provider
        .zones(None)
        .await
        .expect("listed")
        .into_iter()
        .map(|zone| (zone.id.to_string(), zone.private))
        .collect();
    listed.sort();
    let expected = [("example.com", false), ("inside.example", true), ("new.example", false)];
    assert_eq!(listed, expected.map(|(id, private)| (id.to_owned(), private)));

    fake.delay_deletions(2, Some(0));
    provider.delete_zone(&made.id).await.expect("it goes");
    assert!(!fake.zones(GROUP).contains(&"new.example".to_owned()));
    assert_eq!(fake.control().count("OperationStatus"), 3);
    let gone = provider.delete_zone(&made.id).await.expect_err("it is gone");
    assert_eq!(gone.kind(), ErrorKind::ZoneNotFound);
}

#[tokio::test]
async fn a_token_comes_from_the_configured_cloud() {
    use dns_conformance::fakes::azure::Cloud as FakeCloud;
    for (cloud, fake_cloud) in [
        (Cloud::Public, FakeCloud::Public),
        (Cloud::UsGovernment, FakeCloud::UsGovernment),
        (Cloud::China, FakeCloud::China),
    ] {
        let fake = Fake::start_in(fake_cloud).await;
        fake.create_zone(GROUP, APEX);
        fake.page_size(1);
        let mut options = options(&fake);
        options.cloud = cloud;
        let provider = AzureDns::new(&options).expect("the options are right");
        provider.read_zone(&zone()).await.expect("token and links are of that cloud");
        assert_eq!(fake.control().count("Token"), 1, "one for all calls");
    }
}

#[tokio::test]
async fn a_managed_identity_needs_no_secret() {
    let (fake, _) = start().await;
    let provider = with_credential(&fake, Credential::ManagedIdentity { client_id: Some(CLIENT.to_owned()) });
    provider.read_zone(&zone()).await.expect("it may");
    assert_eq!((fake.control().count("ManagedIdentity"), fake.control().count("Token")), (1, 0));
}

#[tokio::test]
async fn a_wrong_secret_is_told_once_and_shown_never() {
    let (fake, _) = start().await;
    let provider = with_credential(&fake, secret(CLIENT, SecretSource::Inline("hush-hush".into())));
    let error = provider.zones(Some(&name(""))).await.expect_err("the secret is wrong");
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{}", error.chain());
    assert!(error.to_string().contains("AADSTS"), "{error}");
    assert!(!format!("{error:?}{}", error.chain()).contains("hush"));
    assert_eq!(fake.control().count("Token"), 1, "a wrong secret is no better the second time");
    let changes = loose([create(a("www", &["192.0.2.1"]))]);
    let error = provider.apply(&zone(), &changes, &ApplyContext::default()).await.expect_err("nothing was sent");
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
}

#[tokio::test]
async fn a_secret_is_read_again_from_its_file() {
    let (fake, _) = start().await;
    let folder = std::env::temp_dir().join(format!("dns-conformance-azure-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("secret");
    std::fs::write(&file, format!("{SECRET}\n")).expect("a file");
    let provider = with_credential(&fake, secret(CLIENT, SecretSource::File(file.clone())));
    provider.zones(Some(&name(""))).await.expect("the secret is right");

    fake.principal(
        Principal::new(CLIENT).with_secret("next").with_right(&format!("/subscriptions/{SUBSCRIPTION}"), &["*"]),
    );
    fake.expire_tokens();
    std::fs::write(&file, "next").expect("a file");
    // The first call finds its token expired.
    let error = provider.zones(Some(&name(""))).await.expect_err("the token has expired");
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    provider.zones(Some(&name(""))).await.expect("the new secret is right");
    std::fs::remove_dir_all(&folder).expect("it was there");
}

#[tokio::test]
async fn the_five_keys_and_http_on_loopback_open_it() {
    let (fake, _) = start().await;
    let url = fake.url();
    let text = format!(
        "[Global]\nsubscription-id = {SUBSCRIPTION}\ntenant-id = {TENANT}\nclient-id = {CLIENT}\nsecret = \"{SECRET}\"\n\
         resourceGroup = {GROUP}\nresource-manager-url = {url}\nauthority-url = {url}\n"
    );
    let config =
        ProviderConfig { text: Some(text), file: "azure.conf".to_owned(), home: None, mode: OpenMode::ReadOnly };
    let opened = Registry::builtin().open("azure-azuredns", config).await.expect("it opens");
    let found = opened.provider.find_zone(None, None).await.expect("it can be read");
    assert_eq!(found.id, zone());
}

#[tokio::test]
async fn no_secret_and_no_token_is_ever_logged() {
    use std::sync::{Arc, Mutex};
    // Nothing is kept any more once it was looked at.
    #[derive(Clone)]
    struct Log(Arc<Mutex<Option<String>>>);
    struct Fields<'a>(&'a mut String);
    impl tracing::field::Visit for Fields<'_> {
        fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
            _ = std::fmt::Write::write_fmt(self.0, format_args!(" {field}={value:?}"));
        }
    }
    impl tracing::Subscriber for Log {
        fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            if let Some(log) = &mut *self.0.lock().expect("no test panics here") {
                span.record(&mut Fields(log));
            }
            tracing::span::Id::from_u64(1)
        }
        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
        fn event(&self, event: &tracing::Event<'_>) {
            if let Some(log) = &mut *self.0.lock().expect("no test panics here") {
                event.record(&mut Fields(log));
            }
        }
        fn enter(&self, _: &tracing::span::Id) {}
        fn exit(&self, _: &tracing::span::Id) {}
    }
    let log = Log(Arc::new(Mutex::new(Some(String::new()))));
    // For the whole process: one of a single test misses lines whose call sites others have met before.
    tracing::subscriber::set_global_default(log.clone()).expect("no other test sets one");
    let (fake, provider) = start().await;
    let applied = provider.apply(&zone(), &loose([create(a("www", &["192.0.2.1"]))]), &ApplyContext::default()).await;
    assert!(applied.expect("it is done").is_done());
    fake.expire_tokens();
    let error = provider.zones(None).await.expect_err("the token has expired");
    let logged = log.0.lock().expect("no test panics here").take().expect("it was not looked at");
    let told = format!("{provider:?} {:?} {error:?} {} {logged}", options(&fake), error.chain());
    assert!(told.contains("/subscriptions/"), "something was logged");
    let authorization =
        fake.control().calls().into_iter().filter_map(|call| call.request.header("authorization").map(str::to_owned));
    let tokens: Vec<_> = authorization.map(|text| text.trim_start_matches("Bearer ").to_owned()).collect();
    assert!(!tokens.is_empty());
    let encoded = "Fake%7Esecret";
    for hidden in tokens.iter().map(String::as_str).chain([SECRET, encoded]) {
        assert!(!told.contains(hidden), "`{hidden}` was told");
    }
}
