//! Every file in `conf-examples/` is right as it stands, and a wrong key in any section of it is found.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use dns_providers::{OpenMode, ProviderConfig, Registry, azure, clouddns, coredns, gcfg, route53};
use dns_sync_core::{Place, ServiceId, SourceEvent};
use dns_syncd::config::{Config, Flags};
use dns_syncd::source::{EndpointSource, FileSource, Select};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../conf-examples")
}

/// All files with the ending, at any depth.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.extension().is_some_and(|extension| extension == ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Reads a file as the program does that it is for.
async fn load(name: &str, text: &str) -> Result<(), String> {
    match name {
        "dns-syncd.conf" => Config::read(&Flags::default(), &|_| None, Some((name, text.as_bytes())))
            .map(drop)
            .map_err(|error| error.to_string()),
        "embedded.conf" => {
            let config = ProviderConfig {
                text: Some(text.to_owned()),
                file: name.to_owned(),
                home: None,
                mode: OpenMode::ReadOnly,
            };
            Registry::builtin().open("embedded", config).await.map(drop).map_err(|error| error.chain())
        }
        name if name.starts_with("aws-") => {
            let config = gcfg::parse(text, name).and_then(|parsed| parsed.check(&route53::SCHEMA, None));
            route53::Options::read(&config.map_err(|error| error.to_string())?).map(drop).map_err(|error| error.chain())
        }
        name if name.starts_with("azure-") => {
            let config = gcfg::parse(text, name).and_then(|parsed| parsed.check(&azure::SCHEMA, None));
            azure::Options::read(&config.map_err(|error| error.to_string())?).map(drop).map_err(|error| error.chain())
        }
        name if name.starts_with("google-") => {
            let config = gcfg::parse(text, name).and_then(|parsed| parsed.check(&clouddns::SCHEMA, None));
            let options = clouddns::Options::read(&config.map_err(|error| error.to_string())?);
            options.map(drop).map_err(|error| error.chain())
        }
        _ => {
            let config = gcfg::parse(text, name).and_then(|parsed| parsed.check(&coredns::SCHEMA, None));
            coredns::Options::read(&config.map_err(|error| error.to_string())?).map(drop).map_err(|error| error.chain())
        }
    }
}

#[tokio::test]
async fn every_config_file_loads_and_refuses_a_wrong_key_in_each_section() {
    let files = files(&examples(), "conf");
    assert!(files.len() >= 5, "{files:?}");
    for path in files {
        let name = path.file_name().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        load(name, &text).await.unwrap();
        let lines = text.lines().collect::<Vec<_>>();
        let headers = (0..lines.len()).filter(|at| lines[*at].starts_with('['));
        let mut sections = 0;
        for header in headers {
            let mut wrong = lines.clone();
            wrong.insert(header + 1, "bogus-key = 1");
            let error = load(name, &wrong.join("\n")).await.unwrap_err();
            let place = format!("{name}:{}:1: unknown key `bogus-key`", header + 2);
            assert!(error.contains(&place), "{error}");
            sections += 1;
        }
        assert!(sections > 0, "{name}");
    }
}

#[test]
fn the_example_of_the_own_file_shows_every_section_and_its_defaults() {
    let text = fs::read_to_string(examples().join("dns-syncd.conf")).unwrap();
    let config = Config::read(&Flags::default(), &|_| None, Some(("d", text.as_bytes()))).unwrap();
    let minimal = "[Federation]\nname = myfederation\nzone-name = federation.example\n[Source]\npath = x\n";
    let default = Config::read(&Flags::default(), &|_| None, Some(("d", minimal.as_bytes()))).unwrap();
    assert_eq!((&config.sync, &config.guard, &config.leader), (&default.sync, &default.guard, &default.leader));
    assert_eq!(config.admin.listen, default.admin.listen);
    assert_eq!(config.clusters.len(), 1);
    // The keys that the documentation's table lists.
    for (section, count) in [
        ("Federation", 6),
        ("Provider", 4),
        ("Source", 6),
        ("Cluster \"eu\"", 7),
        ("Sync", 10),
        ("Guard", 5),
        ("Leader", 6),
        ("Admin", 2),
    ] {
        let (_, rest) = text.split_once(&format!("[{section}]\n")).unwrap();
        let own = rest.split("\n[").next().unwrap();
        assert_eq!(own.lines().filter(|line| line.contains('=') && !line.starts_with('#')).count(), count, "{section}");
    }
}

#[test]
fn the_corefile_serves_what_the_provider_writes() {
    let corefile = fs::read_to_string(examples().join("Corefile")).unwrap();
    let text = fs::read_to_string(examples().join("coredns-provider.conf")).unwrap();
    let config = gcfg::parse(&text, "p").unwrap().check(&coredns::SCHEMA, None).unwrap();
    let options = coredns::Options::read(&config).unwrap();
    assert!(corefile.contains(&format!("{}:53 {{", options.zones[0].as_str().trim_end_matches('.'))));
    assert!(corefile.contains(&format!("endpoint {}\n", options.endpoints[0])));
    assert!(corefile.contains(&format!("path {}\n", options.path_prefix)));
    assert!(corefile.contains("\n    loadbalance\n"));
}

#[tokio::test]
async fn the_quick_start_has_healthy_clusters_and_one_that_fails_over() {
    let clusters = examples().join("quickstart/clusters");
    let events = FileSource::new(&clusters, Select::All).read_once().await.unwrap();
    let mut health = BTreeMap::new();
    for event in events {
        match event {
            SourceEvent::Answer { cluster, answer } => {
                let ready = |name| answer.services.get(&ServiceId::new("shop", name)).map(|copy| copy.ready);
                let places = answer.places.as_ref().unwrap();
                assert!(places.iter().all(|place| place.region == cluster), "{places:?}");
                let place = places.first().map(|place: &Place| place.zone.to_string());
                health.insert(cluster.to_string(), (place.unwrap(), ready("web"), ready("api"), answer.services.len()));
            }
            SourceEvent::Joined { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    let of = |zone: &str, web, api, count| (zone.to_owned(), web, api, count);
    let expected = [
        ("asia".to_owned(), of("asia-a", Some(false), None, 1)),
        ("eu".to_owned(), of("eu-a", Some(true), Some(true), 2)),
        ("us".to_owned(), of("us-a", Some(true), Some(true), 2)),
    ];
    assert_eq!(health, expected.into());
}
