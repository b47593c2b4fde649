//! The config file of Cloud DNS.
#![cfg(feature = "clouddns")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use dns_providers::clouddns::{CloudDns, Login, Options, Rates, SCHEMA, open};
use dns_providers::{OpenMode, ProviderConfig, SecretSource, gcfg};
use dnsprovider::{DnsProvider, ErrorKind};
use secrecy::ExposeSecret;

fn read(text: &str) -> Result<Options, String> {
    let config = gcfg::parse(text, "dns.conf").and_then(|parsed| parsed.check(&SCHEMA, None));
    Options::read(&config.map_err(|error| error.to_string())?).map_err(|error| error.chain())
}

fn body(login: Login) -> (String, String) {
    let Login::TokenUrl { url, body } = login else { panic!("{login:?}") };
    (url, body.read().unwrap().expose_secret().to_owned())
}

#[test]
fn an_absent_or_empty_file_is_fine() {
    for text in ["", "[Global]\n", "# nothing\n[global]\nproject-id =\n"] {
        let options = read(text).unwrap();
        assert!(options.project.is_none() && options.endpoint.is_none(), "{options:?}");
        assert!(matches!(options.login, Login::ApplicationDefault), "{options:?}");
        assert_eq!(options.rates, Rates::default());
    }
}

#[test]
fn a_file_of_federation_v1_works_unchanged() {
    let options =
        read("[Global]\nProject-ID = my-project\ntoken-url = https://a.example/t\ntoken-body = \"{\\\"a\\\":1}\"\n");
    let options = options.unwrap();
    assert_eq!(options.project.as_deref(), Some("my-project"));
    assert_eq!(body(options.login), ("https://a.example/t".to_owned(), "{\"a\":1}".to_owned()));
    // v1 sent nothing where nothing was given, and did not mind a body without an address.
    assert_eq!(body(read("[Global]\ntoken-url = https://a.example/t\n").unwrap().login).1, "");
    assert!(matches!(read("[Global]\ntoken-body = x\n").unwrap().login, Login::ApplicationDefault));
}

#[test]
fn the_new_keys_are_read() {
    let options = read(
        "[Global]\nproject-id = example.com:old-project\ncredentials-file = /etc/key.json\nendpoint-url = https://dns.example/\n",
    );
    let options = options.unwrap();
    assert!(matches!(&options.login, Login::File(path) if path.to_str() == Some("/etc/key.json")), "{options:?}");
    assert_eq!(options.endpoint.as_deref(), Some("https://dns.example"));
    let login = read("[Global]\ntoken-url = https://a.example/t\ntoken-body-file = /etc/body\n").unwrap().login;
    assert!(matches!(&login, Login::TokenUrl { body: SecretSource::File(path), .. } if path.ends_with("body")));
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    for (text, says) in [
        ("[Global]\nproject = p\n", "dns.conf:2:1: unknown key `project` in [Global]; did you mean `project-id`?"),
        ("[Globl]\n", "dns.conf:1:"),
        ("[Global]\nproject-id = a/b\n", "`project-id` in [Global]: `a/b` is not the id of a project"),
        ("[Global]\nproject-id = ..\n", "is not the id of a project"),
        ("[Global]\nendpoint-url = dns.example\n", "`endpoint-url` in [Global]: `dns.example` is not an address"),
        (
            "[Global]\nendpoint-url = http://127.0.0.1.example\n",
            "`endpoint-url` in [Global]: `http` would show the access",
        ),
        ("[Global]\ntoken-url = ftp://a\n", "`token-url` in [Global]: `ftp://a` is not an address"),
        (
            "[Global]\ntoken-url = https://a\ncredentials-file = /k\n",
            "`credentials-file` in [Global]: `token-url` is given too; drop one of them",
        ),
        (
            "[Global]\ntoken-url = https://a\ntoken-body = b\ntoken-body-file = /b\n",
            "`token-body` is given too; drop one of them",
        ),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.contains(says) && error.contains("dns.conf:"), "{error}");
    }
}

#[test]
fn the_body_is_not_printed() {
    let options = read("[Global]\ntoken-url = https://a.example/t\ntoken-body = hush\n").unwrap();
    assert!(!format!("{options:?}").contains("hush"), "{options:?}");
    let provider = CloudDns::new(options).unwrap();
    assert!(!format!("{provider:?}").contains("hush"), "{provider:?}");
}

#[tokio::test]
async fn opening_sends_nothing_and_reads_the_key() {
    let config = |text: &str| ProviderConfig {
        text: Some(text.to_owned()),
        file: "dns.conf".to_owned(),
        home: None,
        mode: OpenMode::Serve,
    };
    let provider = open(config("[Global]\nendpoint-url = https://192.0.2.1\n")).await.unwrap().provider;
    let able = provider.capabilities();
    assert_eq!((provider.name(), able.claims, able.conditional_writes), ("google-clouddns", false, true));
    let error = open(config("[Global]\ncredentials-file = /nowhere/key.json\n")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    assert!(error.to_string().contains("/nowhere/key.json"), "{error}");
}
