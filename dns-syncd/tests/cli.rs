//! The commands as people and scripts use them, on the embedded provider.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod command;

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use command::{Setting, run, service};
use serde_json::{Value, json};

/// Each top folder of the repository lies above this package.
fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[test]
fn records_are_one_sorted_array_in_the_contracts_shape() {
    let setting = Setting::new();
    let records = setting.with_config(&["records", "--output", "json"]).ends(0).json();
    let records = records.as_array().unwrap();
    let global = json!({
        "name": "web.default.fed.svc.example.test.", "type": "A", "ttl": 180, "rdata": ["192.0.2.1", "198.51.100.1"],
    });
    assert!(records.contains(&global), "{records:#?}");
    let key = |set: &Value| (set["name"].as_str().unwrap().to_owned(), set["type"].as_str().unwrap().to_owned());
    assert!(records.is_sorted_by_key(key));
    let text = setting.with_config(&["records"]).ends(0).out;
    assert!(text.contains("web.default.fed.svc.eu-a.eu.example.test. 180 IN A 192.0.2.1\n"), "{text}");
}

#[test]
fn a_plan_is_what_apply_does_and_a_second_one_is_empty() {
    let setting = Setting::new();
    let plan = setting.with_config(&["plan", "--output", "json", "--detailed-exitcode"]).ends(3).json();
    let keys: Vec<&str> = plan.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["changes", "guard", "hash", "held", "refused", "unchanged", "zone"]);
    let first = &plan["changes"][0];
    let keys: Vec<&str> = first.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["action", "after", "before", "name", "reason", "type"]);
    assert_eq!((&first["action"], &first["before"]), (&json!("create"), &Value::Null));
    assert_eq!(setting.zone().len(), 0, "a plan wrote");

    let applied = setting.with_config(&["apply", "--output", "json"]).ends(0).json();
    assert_eq!(applied["written"], plan["changes"].as_array().unwrap().len());
    assert_eq!(setting.zone().len(), plan["changes"].as_array().unwrap().len());

    let again = setting.with_config(&["plan", "--output", "json", "--detailed-exitcode"]).ends(0).json();
    assert_eq!((&again["changes"], &again["unchanged"]), (&json!([]), &applied["written"]));
}

#[test]
fn text_has_no_colors_where_nobody_sees_them() {
    let plan = Setting::new().with_config(&["plan"]).ends(0).out;
    assert!(!plan.contains('\u{1b}'), "{plan:?}");
    assert!(
        plan.contains("\ndefault/web\n  +  web.default.fed.svc.eu-a.eu.example.test.  180  A  192.0.2.1"),
        "{plan}"
    );
    assert!(plan.ends_with("\n5 to create, 0 to update, 0 to delete, 0 unchanged\n"), "{plan}");
}

#[test]
fn release_gives_up_the_claim_and_leaves_the_records() {
    let setting = Setting::new();
    setting.with_config(&["apply"]).ends(0);
    let released = setting.with_config(&["release", "--yes"]).ends(0);
    assert!(released.out.contains("0 to create, 5 to update, 0 to delete"), "{released:#?}");
    let zone = setting.zone();
    assert_eq!(zone.len(), 5);
    assert!(zone.iter().all(|set| set.contains("claim: None")), "{zone:#?}");

    // What is nobody's is left alone, and said.
    setting.cluster("eu", &[]);
    let plan = setting.with_config(&["plan", "--output", "json"]).ends(4).json();
    assert!(plan["refused"].to_string().contains("foreign"), "{plan:#}");
}

#[test]
fn release_needs_no_source() {
    let setting = Setting::new();
    setting.with_config(&["apply"]).ends(0);
    let whose = ["--federation-name", "fed", "--zone-name", "example.test"];
    let provider = ["--dns-provider", "embedded", "--dns-provider-config", "embedded.conf"];
    setting.run(&[&["release", "--yes"], &whose[..], &provider].concat()).ends(0);
    assert!(setting.zone().iter().all(|set| set.contains("claim: None")));
    setting.run(&[&["plan"], &whose[..], &provider].concat()).fails(2, &["no source of clusters; hint: `--source"]);
}

#[test]
fn release_deletes_only_what_is_claimed() {
    let setting = Setting::new();
    setting.with_config(&["apply"]).ends(0);
    setting.with_config(&["apply", "--claim", "other", "--federation-name", "other"]).ends(0);
    setting.with_config(&["release", "--delete", "--yes"]).ends(0);
    let zone = setting.zone();
    assert_eq!(zone.len(), 5);
    assert!(zone.iter().all(|set| set.contains("other")), "{zone:#?}");
}

const NOT_ASKED: &str = "the server answers\n  nothing could be asked: the provider names no DNS server\n";

#[test]
fn explain_shows_the_path_through_the_zone_and_says_that_history_is_missing() {
    let setting = Setting::new();
    setting.cluster("asia", &[]);
    setting.write("clusters/asia.yaml", &(command::node("asia") + &command::unready("web", &["203.0.113.1"])));
    setting.with_config(&["apply"]).ends(0);
    let name = "web.default.fed.svc.asia-a.asia.example.test";
    let told = setting.with_config(&["explain", name]).ends(0).out;
    for part in
        ["service default/web, zone asia-a of asia", "CNAME", "has no ready endpoint", "history\n  missing", NOT_ASKED]
    {
        assert!(told.contains(part), "`{part}` is not in {told}");
    }
    let told = setting.with_config(&["explain", name, "--output", "json"]).ends(0).json();
    let path: Vec<&str> = told["path"].as_array().unwrap().iter().map(|step| step["name"].as_str().unwrap()).collect();
    let below = |place: &str| format!("web.default.fed.svc.{place}example.test.");
    assert_eq!(path, [below("asia-a.asia."), below("asia."), below("")]);
    assert_eq!(told["history"], Value::Null);
    assert_eq!(told["answers"], json!([]), "the provider names no server");
}

#[test]
fn clusters_are_a_table_of_who_is_known() {
    let setting = Setting::new();
    setting.write("clusters/us.yaml", "");
    let table = setting.with_config(&["clusters"]).ends(0).out;
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines[0], "NAME  STATUS            REGION  ZONES  SERVICES  AGE");
    assert_eq!(lines[1], "eu    Ready             eu      eu-a   1         -");
    assert!(lines[2].starts_with("us    Unknown since 0s"), "{table}");
    assert!(lines[3].starts_with("us: "), "{table}");
}

#[test]
fn check_marks_what_is_well_and_what_is_missing() {
    let setting = Setting::new();
    let well = setting.with_config(&["check", "--output", "json"]).ends(0).json();
    let mark = |findings: &Value, about: &str| {
        let found = findings.as_array().unwrap().iter().find(|finding| finding["about"] == about);
        found.unwrap_or_else(|| panic!("`{about}` is not in {findings:#}"))["mark"].clone()
    };
    for about in ["config", "cluster eu", "cluster us", "provider", "zone"] {
        assert_eq!(mark(&well, about), "ok");
    }
    setting.write("clusters/us.yaml", "");
    setting.configure("[Federation]\nzone-name = other.test\n");
    let ill = setting.with_config(&["check", "--output", "json"]).ends(1).json();
    assert_eq!((mark(&ill, "cluster us"), mark(&ill, "provider")), (json!("missing"), json!("missing")));
}

/// A daemon with `--show`, its DNS server on a port of its own.
struct Daemon {
    process: Child,
    lines: Box<dyn Iterator<Item = String>>,
    errors: Box<dyn Iterator<Item = String>>,
    address: SocketAddr,
    admin: SocketAddr,
}

impl Daemon {
    fn start(setting: &Setting) -> Self {
        let (address, admin) = (free_address(), free_address());
        setting.configure(&settings_of(admin));
        setting.write("served.conf", &format!("[Global]\nzones = example.test\nlisten = {address}\n"));
        let mut process = Command::new(env!("CARGO_BIN_EXE_dns-syncd"))
            .args(["run", "--show", "--config", "dns-syncd.conf"])
            .current_dir(setting.folder.path())
            .env_clear()
            .env("RUST_LOG", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
        let errors = BufReader::new(process.stderr.take().unwrap()).lines().map(Result::unwrap);
        Self { process, lines: Box::new(lines), errors: Box::new(errors), address, admin }
    }

    fn lines(&mut self, count: usize) -> Vec<String> {
        self.lines.by_ref().take(count).collect()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn settings_of(admin: SocketAddr) -> String {
    format!("[Provider]\nconfig = served.conf\n[Admin]\nlisten = {admin}\n")
}

/// An address on which nobody listens just now, neither by UDP nor by TCP.
fn free_address() -> SocketAddr {
    loop {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        if std::net::UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
}

/// The README's first command: every answer on the screen was got over DNS, and an edit shows as another answer.
#[test]
fn the_quick_start_shows_live_answers_and_a_failover() {
    let setting = Setting::new();
    let mut daemon = Daemon::start(&setting);
    let first = daemon.lines(6);
    assert_eq!(first[0], format!("answers of {}", daemon.address));
    let global = "  web.default.fed.svc.example.test.          192.0.2.1 198.51.100.1";
    assert!(first.iter().any(|line| line == global), "{first:#?}");

    setting.write("clusters/eu.yaml", &(command::node("eu") + &command::unready("web", &["192.0.2.1"])));
    let led = "~ web.default.fed.svc.eu-a.eu.example.test.  → web.default.fed.svc.example.test. → 198.51.100.1";
    assert_eq!(daemon.lines(3)[0], led);

    // SIGTERM ends it well.
    assert!(Command::new("kill").arg(daemon.process.id().to_string()).status().unwrap().success());
    assert_eq!(daemon.process.wait().unwrap().code(), Some(0));
}

/// Whether a daemon tells it or the command looks for itself, the answers are got over DNS just then.
#[test]
fn explain_shows_what_the_servers_answer_now() {
    let setting = Setting::new();
    let mut daemon = Daemon::start(&setting);
    daemon.lines(6);
    let name = "web.default.fed.svc.example.test";
    let answer = format!("the server answers\n  {}  192.0.2.1 198.51.100.1\n", daemon.address);
    let told = setting.with_config(&["explain", name]).ends(0).out;
    assert!(told.contains(&answer), "{told}");
    let told = setting.with_config(&["explain", name, "--output", "json"]).ends(0).json();
    assert_ne!(told["history"], Value::Null, "the daemon told");
    let addresses = json!(["192.0.2.1", "198.51.100.1"]);
    let server = daemon.address.to_string();
    assert_eq!(told["answers"], json!([{ "server": server, "path": [], "addresses": addresses, "problem": null }]));

    let told = setting.with_config(&["explain", name, "--dns-provider-config", "nowhere.conf"]).ends(0).out;
    assert!(told.contains("the server answers\n  nothing could be asked: nowhere.conf: "), "{told}");

    setting.configure("[Provider]\nconfig = served.conf\n");
    let told = setting.with_config(&["explain", name, "--output", "json"]).ends(0).json();
    assert_eq!((&told["history"], &told["answers"][0]["addresses"]), (&Value::Null, &addresses));

    drop(daemon);
    let told = setting.with_config(&["explain", name, "--output", "json"]).ends(0).json();
    assert_eq!(told["answers"][0]["addresses"], json!([]));
    assert!(told["answers"][0]["problem"].is_string(), "{told:#}");
}

#[test]
fn check_misses_the_zone_at_a_server_that_refuses_it_but_not_at_one_that_is_silent() {
    let setting = Setting::new();
    let mut daemon = Daemon::start(&setting);
    daemon.lines(6);
    let servers = |findings: &Value| -> Vec<Value> {
        let findings = findings.as_array().unwrap().iter();
        findings.filter(|finding| finding["about"] == "name servers").cloned().collect()
    };
    setting.write("other.conf", &format!("[Global]\nzones = other.test\nlisten = {}\n", daemon.address));
    setting.configure("[Provider]\nconfig = other.conf\n[Federation]\nzone-name = other.test\n");
    let found = servers(&setting.with_config(&["check", "--output", "json"]).ends(1).json());
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0]["mark"], "missing");
    let detail = found[0]["detail"].as_str().unwrap();
    assert!(detail.contains(&daemon.address.to_string()) && detail.contains("other.test."), "{detail}");

    drop(daemon);
    let found = servers(&setting.with_config(&["check", "--output", "json"]).ends(0).json());
    assert_eq!((found.len(), &found[0]["mark"]), (1, &json!("unknown")));
}

/// A wrong edit of the config leaves the running one; the next right one is used without a restart.
#[test]
fn a_changed_config_drains_a_cluster_without_a_restart() {
    let setting = Setting::new();
    let mut daemon = Daemon::start(&setting);
    daemon.lines(6);
    let settings = settings_of(daemon.admin);
    setting.configure(&format!("{settings}[Cluster \"eu\"]\ndrained = true\n"));
    assert!(daemon.errors.any(|line| line.contains("unknown key `drained`")), "the daemon ended");
    setting.configure(&format!("{settings}[Cluster \"eu\"]\ndrain = true\n"));
    let led = "~ web.default.fed.svc.eu-a.eu.example.test.  → web.default.fed.svc.example.test. → 198.51.100.1";
    assert_eq!(daemon.lines(3)[0], led);

    // The daemon remembers, and tells at its admin address.
    let name = "web.default.fed.svc.eu-a.eu.example.test";
    let told = setting.with_config(&["explain", name, "--output", "json"]).ends(0).json();
    let history = told["history"].as_array().unwrap();
    assert!(history.iter().any(|past| past["reason"] == "eu is drained"), "{history:#?}");
    let clusters = setting.with_config(&["clusters"]).ends(0).out;
    assert!(clusters.contains("eu    Ready, drained"), "{clusters}");

    // Who is of another claim is not told.
    let other = setting.with_config(&["clusters", "--claim", "other"]).ends(0);
    assert!(other.err.contains("claim `fed`"), "{other:#?}");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let setting = Setting::new();
    let services: Vec<String> = (0..200).map(|at| service(&format!("web{at}"), &["192.0.2.1"])).collect();
    setting.cluster("eu", &services);
    let mut child = Command::new(env!("CARGO_BIN_EXE_dns-syncd"))
        .args(["records", "--config", "dns-syncd.conf"])
        .current_dir(setting.folder.path())
        .env_clear()
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn every_file_and_command_that_the_readme_names_exists() {
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    assert!(commands_exist(&readme, "README.md") > 5, "the README shows commands");
    paths_exist(&readme, "README.md");
    let contributing = std::fs::read_to_string(repository().join("CONTRIBUTING.md")).unwrap();
    paths_exist(&contributing, "CONTRIBUTING.md");
}

#[test]
fn every_file_and_command_that_the_pages_about_joining_name_exists() {
    for page in ["joining.md", "migration.md"] {
        let folder = repository().join("dns-syncd/docs");
        let text = std::fs::read_to_string(folder.join(page)).unwrap();
        assert!(commands_exist(&text, page) > 1, "{page} shows commands");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            assert!(folder.join(link).exists(), "{page} names `{link}`, which does not exist");
        }
    }
}

/// Commands at the beginning of a line and their flags; how many there are.
fn commands_exist(text: &str, page: &str) -> usize {
    let mut commands = 0;
    for line in text.lines().map(str::trim) {
        let with_cargo = || line.split_once("-p dns-syncd -- ").map(|(_, call)| call);
        let Some(call) = line.strip_prefix("dns-syncd ").or_else(with_cargo) else { continue };
        let words: Vec<&str> = call.split_whitespace().collect();
        let help = run(repository(), &[words[0], "--help"]).ends(0).out;
        // An alias of federation v1 that the help does not show.
        let is_alias = |flag: &str| flag == "--dns-zone-name";
        for flag in words.iter().filter(|word| word.starts_with("--")).filter_map(|word| word.split('=').next()) {
            assert!(help.contains(flag) || is_alias(flag), "{page} gives `{flag}` to `dns-syncd {}`", words[0]);
        }
        commands += 1;
    }
    commands
}

/// Links, and what stands in backticks with a slash inside, such as `conf-examples/Corefile`.
#[track_caller]
fn paths_exist(text: &str, page: &str) {
    let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).filter(|link| !link.contains("://"));
    let quoted = text.split('`').skip(1).step_by(2).filter(|quoted| {
        let is_path = |char: char| char.is_ascii_alphanumeric() || "/._-".contains(char);
        quoted.contains('/')
            && quoted.chars().all(is_path)
            && !quoted.starts_with(['/', '~'])
            && !quoted.starts_with("target/")
    });
    let mut seen = 0;
    for path in links.chain(quoted).filter(|path| !path.starts_with('#')) {
        assert!(repository().join(path).exists(), "{page} names `{path}`, which does not exist");
        seen += 1;
    }
    assert!(seen > 0, "{page} names paths");
}

#[test]
fn every_path_that_the_architecture_page_names_exists() {
    let page = std::fs::read_to_string(repository().join("dns-syncd/ARCHITECTURE.md")).unwrap();
    paths_exist(&page, "ARCHITECTURE.md");
    assert!(page.matches("**Invariant:**").count() >= 3);
}
