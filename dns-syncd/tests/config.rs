//! The daemon's own config: layers, defaults, and an error for each wrong value that says where it stands.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::time::Duration;

use clap::{CommandFactory as _, Parser as _};
use dns_sync_core::{Adopt, Settings};
use dns_syncd::config::{Cli, Command, Config, Flags, Form, LeaderKind, SourceKind, unknown_variables};
use dns_syncd::source::Select;
use dnsprovider::Fqdn;

const MINIMAL: &str = "[Federation]\nname = fed\nzone-name = example.com\n[Source]\npath = clusters\n";

fn flags(arguments: &[&str]) -> Flags {
    Cli::try_parse_from(["dns-syncd", "run"].iter().chain(arguments)).unwrap().flags
}

fn read_all(arguments: &[&str], env: &[(&str, &str)], file: &str) -> Result<Config, String> {
    let env: BTreeMap<_, _> = env.iter().copied().collect();
    let env = |name: &str| env.get(name).map(|value| (*value).to_owned());
    Config::read(&flags(arguments), &env, Some(("d.conf", file.as_bytes()))).map_err(|error| error.to_string())
}

fn read(file: &str) -> Result<Config, String> {
    read_all(&[], &[], file)
}

/// The minimal file with more at its end.
fn with(rest: &str) -> Result<Config, String> {
    read(&format!("{MINIMAL}{rest}"))
}

fn name(text: &str) -> Fqdn {
    Fqdn::parse(text).unwrap()
}

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn a_minimal_file_gives_the_documented_defaults() {
    let config = read(MINIMAL).unwrap();
    assert_eq!(config.source.kind, Some(SourceKind::Files));
    assert_eq!((config.source.select, config.source.external_ips, config.source.events), (Select::All, true, false));
    assert_eq!(
        (&*config.federation.claim, config.provider.adopt, config.provider.create_zone),
        ("fed", Adopt::None, false)
    );
    assert_eq!((config.admin.listen.to_string().as_str(), config.admin.is_default), ("127.0.0.1:10253", true));
    assert_eq!(
        (config.leader.kind, config.output, config.sync.concurrent_service_syncs),
        (LeaderKind::None, Form::Text, 10)
    );
    let settings = config.settings(&name("example.com")).unwrap();
    assert_eq!(settings, Settings::new("fed", name("example.com")), "the core's defaults are those of the file");
    assert!(config.provider_name().unwrap_err().to_string().contains("--dns-provider"));
}

#[test]
fn a_flag_beats_its_variable_beats_the_file_beats_the_old_variables() {
    let old = [("FEDERATION_NAME", "old"), ("DNS_ZONE_NAME", "old.example"), ("FEDERATION_DNS_PROVIDER", "memory")];
    let new = [("DNS_SYNCD_FEDERATION_NAME", "env"), ("DNS_SYNCD_ZONE_NAME", "env.example")];
    let source = ("DNS_SYNCD_SOURCE", "x");
    let told = |arguments: &[&str], env: &[(&str, &str)], file| {
        let config = read_all(arguments, env, file).unwrap();
        let zone = config.federation.zone_name.unwrap().to_string();
        (config.federation.name.to_string(), zone, config.provider.name)
    };
    let all = |env: &[&[(&'static str, &'static str)]]| env.concat();
    let of = |a: &str, b: &str| (a.to_owned(), b.to_owned(), Some("memory".to_owned()));
    assert_eq!(told(&[], &all(&[&old, &[source]]), ""), of("old", "old.example."));
    assert_eq!(told(&[], &all(&[&old, &[source]]), MINIMAL), of("fed", "example.com."));
    assert_eq!(told(&[], &all(&[&old, &new]), MINIMAL), of("env", "env.example."));
    let arguments = ["--federation-name", "flag", "--dns-zone-name=flag.example"];
    assert_eq!(told(&arguments, &all(&[&old, &new]), MINIMAL), of("flag", "flag.example."));
    assert_eq!(told(&["--federation-name="], &all(&[&old, &new]), MINIMAL), of("env", "env.example."));
    assert_eq!(told(&[], &all(&[&old, &[("DNS_SYNCD_DNS_ZONE_NAME", "alias.example")]]), MINIMAL).1, "alias.example.");
}

#[test]
fn every_flag_sets_its_value() {
    let config = read_all(
        &[
            "--dns-provider=coredns",
            "--dns-provider-config=p.conf",
            "--zone-id=0",
            "--service-dns-suffix=s.example.com.",
            "--claim=c",
            "--adopt=names",
            "--create-zone",
            "--source=m",
            "--kubeconfig=a:b",
            "--master=https://192.0.2.1",
            "--concurrent-service-syncs=3",
            "--max-delete=1",
            "--max-update=2%",
            "--max-emptied=3",
            "--output=json",
            "--log-format=json",
        ],
        &[],
        &format!("{MINIMAL}kind = federation\n"),
    )
    .unwrap();
    assert_eq!((config.provider.name.as_deref(), config.provider.config), (Some("coredns"), Some("p.conf".into())));
    assert_eq!(
        (config.federation.zone_id.unwrap().0.as_ref(), config.federation.suffix),
        ("0", Some(name("s.example.com")))
    );
    assert_eq!(
        (&*config.federation.claim, config.provider.adopt, config.provider.create_zone),
        ("c", Adopt::Names, true)
    );
    assert_eq!(
        (config.source.kind, config.source.path),
        (Some(SourceKind::Files), Some("m".into())),
        "--source means files"
    );
    assert_eq!(config.source.kubeconfig, [std::path::PathBuf::from("a"), "b".into()]);
    assert_eq!((config.source.master.as_deref(), config.sync.concurrent_service_syncs), (Some("https://192.0.2.1"), 3));
    assert_eq!((config.guard.max_delete, config.guard.max_update, config.guard.max_emptied), (1, 2, 3));
    assert_eq!((config.output, config.log_format), (Form::Json, Form::Json));
}

#[test]
fn commands_have_their_own_flags() {
    let command =
        |arguments: &[&str]| Cli::try_parse_from(["dns-syncd"].iter().chain(arguments)).map(|cli| cli.command);
    assert_eq!(command(&["apply", "--approve", "h"]).unwrap(), Command::Apply { approve: Some("h".into()) });
    assert_eq!(
        command(&["plan", "--detailed-exitcode", "--output", "json"]).unwrap(),
        Command::Plan { detailed_exitcode: true }
    );
    assert_eq!(
        command(&["--output=json", "explain", "a.example"]).unwrap(),
        Command::Explain { name: "a.example".into() }
    );
    assert_eq!(command(&["clusters", "--wait"]).unwrap(), Command::Clusters { wait: true });
    assert_eq!(command(&["release", "--delete"]).unwrap(), Command::Release { delete: true, yes: false });
    for wrong in [&["apply", "--delete"][..], &["plan", "--approve", "h"], &[], &["run", "--no-such-flag"]] {
        assert_eq!(command(wrong).unwrap_err().exit_code(), 2, "{wrong:?}");
    }
}

#[test]
fn what_is_missing_is_named_with_the_flag_that_gives_it() {
    for (file, expected) in [
        ("[Federation]\nzone-name = example.com\n[Source]\npath = c\n", "no federation name; hint: `--federation-name"),
        ("[Federation]\nname = f\n[Source]\npath = c\n", "neither a zone name nor a zone id; hint: `--zone-name"),
    ] {
        let error = read(file).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    assert!(read("[Federation]\nname = f\nzone-id = Z1\n[Source]\nkind = clusters\n").is_ok(), "an id alone will do");
}

#[test]
fn a_source_is_missed_only_by_those_who_read_it() {
    let config = read("[Federation]\nname = f\nzone-name = example.com\n").unwrap();
    assert_eq!((config.source.kind, config.manifests()), (None, None));
    let error = config.lacks_source().to_string();
    assert!(error.starts_with("no source of clusters; hint: `--source"), "{error}");
}

#[test]
fn a_federation_takes_no_path_and_no_exports() {
    let source = |rest: &str| {
        let file = format!("[Federation]\nname = f\nzone-name = example.com\n[Source]\nkind = federation\n{rest}");
        read(&file).map(|config| config.source.kind)
    };
    assert_eq!(source("kubeconfig = a\nselect = annotated\n"), Ok(Some(SourceKind::Federation)));
    assert_eq!(source("path =\n"), Ok(Some(SourceKind::Federation)));
    let error = source("path = p\n").unwrap_err();
    assert!(error.starts_with("d.conf:6:1: `path` in [Source]: kind `federation` reads no files; hint: "), "{error}");
    let error = source("select = exported\n").unwrap_err();
    assert!(error.starts_with("d.conf:6:1: `select` in [Source]: ") && error.contains("ServiceExport"), "{error}");
    let file = "[Federation]\nname = f\nzone-name = example.com\n[Source]\nkind = federation\npath = p\n";
    assert_eq!(read_all(&["--source=m"], &[], file).unwrap().source.kind, Some(SourceKind::Files), "--source wins");
}

#[test]
fn the_address_of_an_api_server_is_a_url() {
    let error = read_all(&["--master=192.0.2.1"], &[], MINIMAL).unwrap_err();
    assert!(error.starts_with("--master: `master` in [Command]: "), "{error}");
    assert!(error.contains("a URL such as `https://192.0.2.1:6443`"), "{error}");
    assert!(read_all(&["--master=http://[2001:db8::1]:8080"], &[], MINIMAL).is_ok());
}

#[test]
fn a_written_but_empty_value_is_missed_at_its_place() {
    for (file, place) in [
        ("[Federation]\nzone-name = example.com\nname =\n", "d.conf:3:1: `name` in [Federation]"),
        ("[Federation]\nname = f\nzone-name =\n", "d.conf:3:1: `zone-name` in [Federation]"),
    ] {
        let error = read(file).unwrap_err();
        assert!(error.starts_with(&format!("{place}: it is empty; hint: `--")), "{error}");
    }
    let config = with("[Provider]\nname =\n").unwrap();
    let error = config.provider_name().unwrap_err().to_string();
    assert!(error.starts_with("d.conf:7:1: `name` in [Provider]: it is empty; hint: `--dns-provider"), "{error}");
    let config = read("[Federation]\nname = f\nzone-name = example.com\n[Source]\nkind =\n").unwrap();
    let error = config.lacks_source().to_string();
    assert!(error.starts_with("d.conf:5:1: `kind` in [Source]: it is empty; hint: `--source"), "{error}");
}

#[test]
fn a_variable_that_nobody_reads_is_named_with_the_nearest_that_is() {
    let names = [
        "DNS_SYNCD_FEDRATION_NAME",
        "DNS_SYNCD_FEDERATION_NAME",
        "DNS_SYNCD_DNS_ZONE_NAME",
        "DNS_SYNCD_CONFIG",
        "DNS_SYNCD_BIN",
        "DNS_SYNCD_LOG_LEVEL",
        // Kubernetes sets these beside a service `dns-syncd`.
        "DNS_SYNCD_SERVICE_HOST",
        "DNS_SYNCD_SERVICE_PORT_ADMIN",
        "DNS_SYNCD_PORT_10253_TCP_ADDR",
        "HOME",
    ];
    assert_eq!(
        unknown_variables(names.map(str::to_owned)),
        ["the variable `DNS_SYNCD_FEDRATION_NAME` is not read; did you mean `DNS_SYNCD_FEDERATION_NAME`?"]
    );
}

#[test]
fn a_wrong_value_is_refused_with_file_and_line() {
    let long = "a".repeat(64);
    for (rest, expected) in [
        ("[Federation]\nname = my.fed\n", "d.conf:7:1: `name` in [Federation]: `my.fed` is not a DNS label"),
        (&format!("[Federation]\nname = {long}\n"), "is not a DNS label"),
        ("[Federation]\nname = -fed\n", "is not a DNS label"),
        ("[Federation]\nzone-name = a..b\n", "d.conf:7:1: `zone-name` in [Federation]: `a..b` is not a domain name"),
        ("[Federation]\nservice-dns-suffix = example.org\n", "`example.org.` is not in the zone `example.com.`"),
        ("[Provider]\nadopt = all\n", "d.conf:7:1: `adopt` in [Provider]: `all` is not `none` or `exact` or `names`"),
        ("[Provider]\ncreate-zone = yes\n", "is not `true` or `false`"),
        ("kind = folder\n", "d.conf:6:1: `kind` in [Source]"),
        ("path =\nkind = files\n", "[Source] needs `path = …`"),
        ("select = some\n", "`all` or `annotated` or `exported`"),
        (
            "[Cluster \"c1\"]\nregion = eu_west\n",
            "d.conf:7:1: `region` in [Cluster \"c1\"]: `eu_west` is not a DNS label",
        ),
        ("[Cluster \"c1\"]\nzones = a, b.c\n", "`b.c` is not a DNS label"),
        ("[Cluster \"c1\"]\naddresses = 192.0.2.0/33\n", "is not a network"),
        ("[Cluster \"c1\"]\nlabels = tier\n", "is not a label such as `tier=prod`"),
        ("[Cluster]\nregion = eu\n", "section [Cluster] needs a name"),
        ("[Sync]\nttl = 0\n", "d.conf:7:1: `ttl` in [Sync]: it is not between 1 and 86400 seconds"),
        ("[Sync]\nttl = 25h\n", "it is not between 1 and 86400 seconds"),
        ("[Sync]\nlevels = region, zone\n", "it must contain `global`"),
        ("[Sync]\nlevels = global, planet\n", "`planet` is not `global` or `region` or `zone`"),
        ("[Sync]\nmax-addresses = 0\n", "is not a number from 1"),
        ("[Sync]\nunreachable-grace = 5 min\n", "is not a duration such as"),
        ("[Sync]\nresolver = localhost:53\n", "is not an address with a port"),
        ("[Guard]\nmax-delete = 101\n", "is not a percentage"),
        ("[Leader]\nkind = raft\n", "`none` or `lease` or `etcd`"),
        ("[Leader]\nlease-duration = 0\n", "nobody could ever lead"),
        ("[Leader]\nlease-duration = 2\n", "it is shorter than 3 s"),
        ("[Provider]\nname = embedded\n[Leader]\nkind = lease\n", "`embedded` every process serves by itself"),
        ("[Provider]\nname = aws-route53\n[Leader]\nkind = etcd\n", "and the provider is `aws-route53`; hint: `lease`"),
        ("[Leader]\nkind = lease\nname = My Lease\n", "`My Lease` is no name of a Kubernetes object"),
        ("[Admin]\nlisten = 10253\n", "is not an address with a port"),
        ("[Guard]\nmax-deletes = 1\n", "d.conf:7:1: unknown key `max-deletes` in [Guard]; did you mean `max-delete`?"),
        ("[Command]\noutput = json\n", "unknown section [Command]"),
    ] {
        let error = with(rest).unwrap_err();
        assert!(error.starts_with("d.conf:") && error.contains(expected), "{rest}{error}");
    }
}

#[test]
fn a_wrong_flag_or_variable_is_refused_by_its_name() {
    let error = read_all(&["--max-delete=lots"], &[], MINIMAL).unwrap_err();
    assert_eq!(error, "--max-delete: `max-delete` in [Guard]: `lots` is not a percentage from `0` to `100`");
    let error = read_all(&[], &[("DNS_SYNCD_ADOPT", "x")], MINIMAL).unwrap_err();
    assert!(error.starts_with("DNS_SYNCD_ADOPT: `adopt`"), "{error}");
    let error = read_all(&["--output=xml"], &[], MINIMAL).unwrap_err();
    assert!(error.starts_with("--output: ") && error.contains("`text` or `json`"), "{error}");
}

#[test]
fn a_missing_file_is_refused_by_its_name() {
    let error = Config::load(&flags(&["--config=no/such.conf"]), &|_| None).unwrap_err().to_string();
    assert!(error.starts_with("no/such.conf: the config file cannot be read"), "{error}");
}

#[test]
fn values_reach_the_decisions() {
    let config = with(
        "[Cluster \"eu\"]\nregion = EU\nzones = a, b\nlabels = tier = prod, x=\nnamespaces = shop\naddresses = 192.0.2.0/24, \
         2001:db8::1\ndrain = true\ncontext = admin\n[Sync]\nlevels = global, region\nunreachable-grace = 90s\nttl = 60\n\
         max-addresses = 8\n[Guard]\nguard-window = 1h\nfreeze = true\n[Federation]\nservice-dns-suffix = fed.example.com\n",
    )
    .unwrap();
    assert_eq!(config.clusters["eu"].context.as_deref(), Some("admin"));
    let settings = config.settings(&name("example.com")).unwrap();
    assert_eq!(settings.suffix, name("fed.example.com"));
    assert_eq!((settings.region_level, settings.zone_level, settings.max_addresses), (true, false, Some(8)));
    assert_eq!((settings.unreachable_grace, settings.leave_delay), (Duration::from_secs(90), Duration::from_secs(90)));
    assert_eq!((settings.guard.window, settings.guard.freeze), (Duration::from_hours(1), true));
    let cluster = settings.cluster("eu");
    assert_eq!(
        (cluster.region.as_deref(), cluster.zones.as_ref().map(std::collections::BTreeSet::len)),
        (Some("EU"), Some(2))
    );
    assert_eq!(cluster.labels.get("tier").map(|value| &**value), Some("prod"));
    assert_eq!(cluster.labels.get("x").map(|value| &**value), Some(""));
    assert_eq!(cluster.namespaces.as_ref().unwrap().len(), 1);
    assert_eq!(cluster.addresses.as_ref().unwrap()[1].to_string(), "2001:db8::1/128");
    assert!(cluster.drain);
    assert!(config.settings(&name("example.org")).is_err(), "the suffix is not in that zone");
}

#[test]
fn clusters_sync_and_guard_change_while_running_and_others_at_a_restart() {
    let running = read(MINIMAL).unwrap();
    let new = with("[Cluster \"eu\"]\ndrain = true\n[Sync]\nttl = 60\n[Guard]\nfreeze = true\n[Admin]\nlisten = 127.0.0.1:1\n[Federation]\nclaim = c\n").unwrap();
    let reload = running.reload(new.clone());
    assert!(reload.is_changed);
    assert_eq!(reload.needs_restart, ["[Federation] claim", "[Admin]"]);
    assert_eq!(
        (&reload.config.sync, &reload.config.guard, &reload.config.clusters),
        (&new.sync, &new.guard, &new.clusters)
    );
    assert_eq!((&reload.config.admin, &reload.config.federation), (&running.admin, &running.federation));
    let same = running.reload(read(MINIMAL).unwrap());
    assert_eq!((same.is_changed, same.needs_restart), (false, vec![]));
}
