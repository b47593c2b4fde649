//! Who calls: keys, machines, federation v1's `token-url`; and that no secret is told.

use std::io::Write;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::{env, fs};

use dns_conformance::fakes::faults::Fault;
use dns_providers::clouddns::{CloudDns, Login, Options, Rates};
use dns_providers::{OpenMode, ProviderConfig, Registry};
use dnsprovider::{DnsProvider, ErrorKind};
use tracing_subscriber::fmt::MakeWriter;

use super::world::World;

/// Runs a test of this file again, as a process of its own with other surroundings, and gives what it printed.
fn again(test: &str, world: &World, surroundings: &[(&str, &str)]) -> String {
    let home = world.file("nothing", "");
    let mut command = Command::new(env::current_exe().expect("this program"));
    command.args([&format!("logins::{test}"), "--exact", "--nocapture"]).env("CLOUDDNS_FAKE", world.fake.url());
    command.env_remove("GOOGLE_APPLICATION_CREDENTIALS").env("HOME", home.parent().expect("a folder"));
    command.envs(surroundings.iter().copied());
    let output = command.output().expect("it runs");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    text
}

fn options(url: &str) -> Options {
    Options { endpoint: Some(url.to_owned()), rates: Rates { reads: 500.0, writes: 500.0 }, ..Options::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_needs_neither_a_file_nor_a_key() {
    if let Ok(url) = env::var("CLOUDDNS_FAKE") {
        let text = format!("[Global]\nendpoint-url = {url}\n");
        let config = ProviderConfig { text: Some(text), file: "f".into(), home: None, mode: OpenMode::ReadOnly };
        let provider = Registry::builtin().open("google-clouddns", config).await.expect("it opens").provider;
        assert_eq!(provider.zones(None).await.expect("the zones").len(), 1);
        return;
    }
    let world = World::start().await;
    let host = world.fake.metadata_host();
    tokio::task::block_in_place(|| {
        again("a_machine_needs_neither_a_file_nor_a_key", &world, &[("GCE_METADATA_HOST", &host)]);
    });
    assert!(world.calls("metadata") >= 2, "a token and the project");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_names_a_key_file() {
    if let Ok(url) = env::var("CLOUDDNS_FAKE") {
        let provider = CloudDns::new(options(&url)).expect("it opens");
        assert_eq!(provider.zones(None).await.expect("the zones").len(), 1);
        return;
    }
    let world = World::start().await;
    let key = world.file("mine.json", &world.fake.service_account_key());
    let key = key.to_str().expect("a path");
    tokio::task::block_in_place(|| {
        again("the_environment_names_a_key_file", &world, &[("GOOGLE_APPLICATION_CREDENTIALS", key)]);
    });
    assert_eq!(world.calls("metadata"), 0, "the key names the project");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_project_it_is_said_what_to_write() {
    if let Ok(url) = env::var("CLOUDDNS_FAKE") {
        let login = Login::File(env::var_os("CLOUDDNS_KEY").expect("a path").into());
        let provider = CloudDns::new(Options { login, ..options(&url) }).expect("it opens");
        let error = provider.zones(None).await.expect_err("there is no project");
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        assert!(error.to_string().contains("`project-id = …` in [Global]"), "{error}");
        return;
    }
    let world = World::start().await;
    let key = world.file("user.json", &world.fake.user_key());
    let nobody = dns_conformance::fakes::clouddns::Fake::start().await.metadata_host();
    let surroundings = [("CLOUDDNS_KEY", key.to_str().expect("a path")), ("GCE_METADATA_HOST", &*nobody)];
    tokio::task::block_in_place(|| again("without_a_project_it_is_said_what_to_write", &world, &surroundings));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_url_works_as_in_federation_v1() {
    const BODY: &str = "the-token-body";
    if let Ok(url) = env::var("CLOUDDNS_FAKE") {
        let text = format!("[Global]\nproject-id = federation-test\ntoken-url = {url}/v1-token\ntoken-body = {BODY}\n");
        let text = format!("{text}endpoint-url = {url}\n");
        let config = ProviderConfig { text: Some(text), file: "f".into(), home: None, mode: OpenMode::Serve };
        let provider = Registry::builtin().open("google-clouddns", config).await.expect("it opens").provider;
        assert!(!format!("{provider:?}").contains(BODY), "{provider:?}");
        for _ in 0..3 {
            assert_eq!(provider.zones(None).await.expect("the zones").len(), 1);
        }
        return;
    }
    let world = World::start().await;
    world.fake.set_token_body(BODY);
    let host = world.fake.metadata_host();
    let test = "a_token_url_works_as_in_federation_v1";
    tokio::task::block_in_place(|| again(test, &world, &[("GCE_METADATA_HOST", &host)]));
    assert_eq!(world.calls("federation.token"), 1, "one token does for an hour");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_url_that_fails_is_not_asked_again_and_again() {
    if let Ok(url) = env::var("CLOUDDNS_FAKE") {
        let body = dns_providers::SecretSource::Inline("wrong".to_owned().into());
        let login = Login::TokenUrl { url: format!("{url}/v1-token"), body };
        let project = Some("federation-test".to_owned());
        let provider = CloudDns::new(Options { login, project, ..options(&url) }).expect("it opens");
        let error = provider.zones(None).await.expect_err("it gives no token");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        let text = error.chain();
        assert!(text.contains("`token-url`") && text.contains("400") && !text.contains("wrong"), "{text}");
        return;
    }
    let world = World::start().await;
    world.fake.set_token_body("right");
    let host = world.fake.metadata_host();
    let test = "a_token_url_that_fails_is_not_asked_again_and_again";
    tokio::task::block_in_place(|| again(test, &world, &[("GCE_METADATA_HOST", &host)]));
    let asked = world.calls("federation.token");
    assert!((1..=2).contains(&asked), "attempts within 20 s share one answer, and {asked} were made");
}

#[tokio::test]
async fn tokens_that_are_not_taken_any_more_are_replaced() {
    let world = World::start().await;
    let login = Login::File(world.file("user.json", &world.fake.user_key()));
    let project = Some("federation-test".to_owned());
    let provider = CloudDns::new(Options { login, project, ..world.options() }).expect("it opens");
    provider.zones(None).await.expect("the zones");
    world.fake.expire_tokens();
    provider.zones(None).await.expect("the zones, with a new token");
    assert_eq!(world.calls("oauth2.token"), 2);
}

#[tokio::test]
async fn a_key_that_the_host_does_not_know_is_said_so_at_once() {
    let world = World::start().await;
    let other = world.fake.service_account_key().replace("dns-syncd@", "stranger@");
    let login = Login::File(world.file("other.json", &other));
    let provider = CloudDns::new(Options { login, ..world.options() }).expect("it opens");
    let error = provider.zones(None).await.expect_err("a stranger");
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(error.to_string().contains("credentials-file"), "{error}");
    assert_eq!(world.calls("dns.managedZones.list"), 1, "trying again does not help");
}

#[tokio::test]
async fn a_key_file_that_is_none_is_named_and_not_quoted() {
    let world = World::start().await;
    let whole = world.fake.service_account_key();
    for (text, says) in [
        ("SECRET", "it is no JSON"),
        ("{\"type\": \"SECRET\"}", "its `type` is none of"),
        ("{\"type\": \"service_account\", \"private_key\": \"SECRET\"}", "not a whole key file"),
    ] {
        let path = world.file("bad.json", text);
        let error = CloudDns::new(Options { login: Login::File(path.clone()), ..world.options() }).expect_err("bad");
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        let text = error.chain();
        assert!(text.contains(says) && text.contains(path.to_str().expect("a path")), "{text}");
        assert!(!format!("{text} {error:?}").contains("SECRET"), "{error:?}");
    }
    // That a key is none shows when it signs.
    let login = Login::File(world.file("bad.json", &whole.replace("BEGIN", "SECRET")));
    let provider = CloudDns::new(Options { login, ..world.options() }).expect("it looks whole");
    let error = provider.zones(None).await.expect_err("it signs nothing");
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(!format!("{error:?} {}", error.chain()).contains("SECRET"), "{error:?}");
    let path = world.file("gone.json", "");
    fs::remove_file(&path).expect("it is there");
    let error = CloudDns::new(Options { login: Login::File(path), ..world.options() }).expect_err("gone");
    assert!(error.to_string().contains("gone.json"), "{error}");
}

/// Collects what is logged, until it is looked at.
#[derive(Clone)]
struct Log(Arc<Mutex<Option<Vec<u8>>>>);

impl Write for Log {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        if let Some(log) = &mut *self.0.lock().expect("nobody panics") {
            log.extend_from_slice(octets);
        }
        Ok(octets.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn no_secret_is_logged_or_told() {
    let world = World::start().await;
    let log = Log(Arc::new(Mutex::new(Some(Vec::new()))));
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    // For the whole process: one of a single test misses lines whose call sites others have met before.
    tracing::subscriber::set_global_default(subscriber).expect("no other test sets one");
    let key = world.fake.user_key();
    let login = Login::File(world.file("user.json", &key));
    let provider =
        CloudDns::new(Options { login, project: Some("federation-test".into()), ..world.options() }).expect("it opens");
    provider.zones(None).await.expect("the zones");
    let printed = format!("{provider:?}");
    world.fake.deny("dns.managedZones.list");
    world.fake.control().add(Fault::lose_answer().on("dns.managedZones.list"));
    let error = provider.zones(None).await.expect_err("it may not");
    let told = format!("{printed} {error} {error:?} {}", error.chain());
    let logged = log.0.lock().expect("nobody panics").take().expect("it was not looked at");
    let logged = String::from_utf8(logged).expect("text");
    assert!(logged.contains("sending the request again"), "the log is that of the calls");
    for secret in ["fake-client-secret", "fake-refresh-token", "ya29.fake"] {
        assert!(!told.contains(secret) && !logged.contains(secret), "{secret}");
    }
}
