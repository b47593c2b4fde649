//! Azure DNS without a server: its config, and what is refused before anything is sent.

#![cfg(feature = "azure")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use dns_providers::azure::{AzureDns, Cloud, Credential, Options, SCHEMA};
use dns_providers::{OpenMode, ProviderConfig, Registry, SecretSource, gcfg};
use dnsprovider::{DnsProvider, ErrorKind, RrType};

const FIVE: &str =
    "[Global]\nsubscription-id = sub\ntenant-id = dir\nclient-id = app\nsecret = hush\nresourceGroup = rg\n";

fn read(text: &str) -> Result<Options, dnsprovider::Error> {
    let config = gcfg::parse(text, "azure.conf").and_then(|parsed| parsed.check(&SCHEMA, None));
    Options::read(&config.map_err(|error| error.of_provider("azure-azuredns"))?)
}

#[test]
fn the_five_keys_of_v1_are_enough_in_any_case() {
    for text in [FIVE.to_owned(), FIVE.replace("resourceGroup", "RESOURCEGROUP").replace("Global", "global")] {
        let options = read(&text).unwrap();
        assert_eq!((options.subscription_id.as_str(), options.resource_group.as_str()), ("sub", "rg"));
        assert_eq!(options.cloud, Cloud::Public);
        let Credential::ClientSecret { tenant_id, client_id, .. } = options.credential else { panic!("{options:?}") };
        assert_eq!((tenant_id.as_str(), client_id.as_str()), ("dir", "app"));
    }
}

#[test]
fn what_is_missing_is_told_in_the_words_of_v1_and_with_its_place() {
    let without = |key: &str| FIVE.lines().filter(|line| !line.starts_with(key)).collect::<Vec<_>>().join("\n");
    for (key, words) in [
        ("resourceGroup", "No Azure Resource Group for Azure DNS configured"),
        ("client-id", "Incorrect AAD Service Principal credentials. Check  az ad sp create-for-rbac for help"),
        ("secret", "Incorrect AAD Service Principal credentials. Check  az ad sp create-for-rbac for help"),
        ("tenant-id", "Missing AAD Tenant ID"),
        ("subscription-id", "Missing Azure Subscription ID"),
    ] {
        let error = read(&without(key)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        let text = error.to_string();
        assert!(
            text.contains(words) && text.contains("azure.conf:1:2") && text.contains(&format!("`{key} = …`")),
            "{text}"
        );
    }
    // In the order of v1.
    assert!(read("[Global]\n").unwrap_err().to_string().contains("No Azure Resource Group"));
    assert!(read("[Global]\nresourceGroup = rg\n").unwrap_err().to_string().contains("Service Principal"));
    let without_ids = "[Global]\nresourceGroup = rg\nclient-id = a\nsecret = s\n";
    assert!(read(without_ids).unwrap_err().to_string().contains("Tenant"));
}

#[test]
fn wrong_values_are_told_with_their_line_and_what_to_do() {
    for (line, part) in [
        ("cloud = germany", "`public` or `usgovernment` or `china`"),
        ("use-managed-identity = true", "`secret` is given too"),
        ("use-workload-identity = true", "`secret` is given too"),
        ("use-workload-identity = yes", "`true` or `false`"),
        ("resource-manager-url = http://management.azure.com", "https"),
        ("authority-url = login.microsoftonline.com", "https"),
        ("authority-url = https://u:hush@login.microsoftonline.com", "host"),
        ("resourceGroup = a/b", "resource group"),
        ("resourceGroup = ..", "resource group"),
        ("subscription-id = a/b", "GUID"),
        ("tenant-id = a/b", "no id"),
        ("secret-file = /nowhere", "drop one"),
        ("resource-group = rg", "resourceGroup"),
    ] {
        let error = read(&format!("{FIVE}{line}\n")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        let text = error.to_string();
        assert!(text.contains(part) && text.contains("azure.conf:7:1"), "{line}: {text}");
        assert!(!text.contains("hush"), "{text}");
    }
    let both = "[Global]\nresourceGroup = rg\nsubscription-id = s\nuse-managed-identity = true\nuse-workload-identity = true\n";
    assert!(read(both).unwrap_err().to_string().contains("drop one"));
}

#[test]
fn identities_need_no_secret() {
    let base = "[Global]\nresourceGroup = rg\nsubscription-id = s\n";
    let managed = read(&format!("{base}use-managed-identity = true\nclient-id = app\n")).unwrap().credential;
    assert!(matches!(&managed, Credential::ManagedIdentity { client_id: Some(id) } if id == "app"), "{managed:?}");
    let workload = read(&format!("{base}use-workload-identity = true\n")).unwrap().credential;
    assert!(matches!(&workload, Credential::WorkloadIdentity { tenant_id: None, client_id: None }), "{workload:?}");
}

#[test]
fn debug_shows_no_secret() {
    let options = read(FIVE).unwrap();
    let provider = AzureDns::new(&options).unwrap();
    let told = format!("{options:?} {provider:?}");
    assert!(told.contains("rg") && !told.contains("hush"), "{told}");
}

async fn open(text: &str, mode: OpenMode) -> Result<dns_providers::Opened, dnsprovider::Error> {
    let config = ProviderConfig { text: Some(text.to_owned()), file: "azure.conf".to_owned(), home: None, mode };
    Registry::builtin().open("azure-azuredns", config).await
}

#[tokio::test]
async fn it_opens_without_asking_azure() {
    for mode in [OpenMode::Serve, OpenMode::ReadOnly, OpenMode::ReadWrite] {
        let opened = open(&format!("{FIVE}resource-manager-url = http://127.0.0.1:1\n"), mode).await.unwrap();
        assert_eq!(opened.provider.name(), "azure-azuredns");
    }
    let missing = FIVE.replace("secret = hush", "secret-file = /nowhere/secret");
    let error = open(&missing, OpenMode::Serve).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    assert!(error.to_string().contains("/nowhere/secret"), "{error}");
    let workload = "[Global]\nresourceGroup = rg\nsubscription-id = s\nuse-workload-identity = true\ntenant-id = t\nclient-id = c\n";
    let error = open(workload, OpenMode::Serve).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    assert!(error.to_string().contains("azure.workload.identity/use"), "{error}");
}

#[test]
fn what_it_can_do() {
    let secret = SecretSource::Inline("s".into());
    let credential = Credential::ClientSecret { tenant_id: "t".into(), client_id: "c".into(), secret };
    let can = AzureDns::new(&Options::new("sub", "rg", credential)).unwrap().capabilities();
    assert!(can.claims && can.conditional_writes && can.enumeration && can.manages_zones && !can.watch);
    assert_eq!(can.record_types, [RrType::A, RrType::Aaaa, RrType::Cname, RrType::Txt].into());
    // All bulk batches that a daemon has out end within its 30 s at the slowest rate, one place being kept.
    let slowest = can.rates.iter().map(|rate| rate.per_second).filter(|rate| *rate > 1.0).fold(f64::MAX, f64::min);
    let out = u32::try_from(can.limits.batch.calls).unwrap() * u32::try_from(can.concurrent_writes * 7 / 8).unwrap();
    assert!(f64::from(out) / slowest < 28.0);
    assert!(can.concurrent_writes >= 8, "an eighth is a place for failovers");
}
