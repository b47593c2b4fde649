//! What `init` makes of its flags: `dns-syncd.conf` and the provider's files, as they lie in the host cluster.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use dns_providers::gcfg;
use dnsprovider::Fqdn;
use sha2::{Digest as _, Sha256};

use super::manifests::{ADMIN_FOLDER, EMBEDDED, PROVIDER_FILE, PROVIDER_FOLDER, TOKEN};
use super::report::{JoiningError, Result};
use crate::config::{Cli, Config, ConfigError, Flags, LeaderKind};

/// Flags whose values the manifests fix.
const FIXED: [&str; 4] = ["source", "kubeconfig", "master", "output"];

/// What the provider `embedded` is told in a pod, as the chart does.
const SERVING: [(&str, &str); 2] = [("data-dir", "/var/lib/dns-syncd"), ("listen", "0.0.0.0:5300")];

/// `--a=b,--c=d`: flags of the daemon.
///
/// # Errors
/// For what is no flag of the daemon, or one that the manifests fix.
pub(crate) fn overrides(text: &str) -> Result<Flags> {
    let usage = |why: &str| JoiningError::usage(format!("--controllermanager-arg-overrides: {why}"));
    let mut words: Vec<String> = Vec::new();
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match words.last_mut() {
            // A comma within a value.
            Some(last) if !word.starts_with('-') => *last = format!("{last},{word}"),
            _ => words.push(word.to_owned()),
        }
    }
    let line = ["dns-syncd".to_owned(), "records".to_owned()].into_iter().chain(words);
    let flags = Cli::try_parse_from(line).map_err(|error| {
        let said = error.to_string();
        let said = said.lines().next().unwrap_or_default();
        usage(&format!("{}; hint: `dns-syncd run --help` lists the flags", said.trim_start_matches("error: ")))
    })?;
    let flags = flags.flags;
    if flags.config.is_some() {
        return Err(usage(
            "`--config` is fixed; hint: `dns-syncd init --config FILE` takes the sections of a file over",
        ));
    }
    let fixed = flags.settings().into_iter().find(|setting| setting.value.is_some() && FIXED.contains(&setting.flag));
    match fixed {
        Some(setting) => {
            Err(usage(&format!("`--{}` is fixed: the daemon watches the clusters that join, as a pod", setting.flag)))
        }
        None => Ok(flags),
    }
}

/// Who elects the leader of two replicas: the host where it has a fence of its own, as in the chart.
pub(crate) fn leader(config: &Config) -> LeaderKind {
    match (config.leader.kind, config.provider.name.as_deref()) {
        (LeaderKind::None, Some("coredns")) => LeaderKind::Etcd,
        // Each replica answers by itself.
        (LeaderKind::None, Some(EMBEDDED)) => LeaderKind::None,
        (LeaderKind::None, _) => LeaderKind::Lease,
        (kind, _) => kind,
    }
}

/// The token of `[Admin] token-file`, which comes along.
///
/// # Errors
/// When the file cannot be read, or has none.
pub(crate) fn admin_token(path: &Path) -> Result<Vec<u8>> {
    let usage = |why: &str| JoiningError::usage(format!("{}: `token-file` of [Admin] {why}", path.display()));
    let octets = std::fs::read(path).map_err(|error| usage(&format!("cannot be read: {error}")))?;
    if octets.trim_ascii().is_empty() {
        return Err(usage("is empty; hint: openssl rand -hex 32 makes a token"));
    }
    Ok(octets)
}

/// `dns-syncd.conf` of the pod, and a digest of what of it is read once.
pub(crate) struct ConfigFile {
    pub(crate) text: String,
    pub(crate) fixed: String,
}

/// The text of the user's own file, then what flags and variables give, which wins there.
pub(crate) fn config_file(
    own: Option<&str>,
    given: &[(&'static str, &'static str, String)],
    leader: LeaderKind,
    has_token: bool,
) -> ConfigFile {
    let mut sections = BTreeMap::<&str, BTreeMap<&str, String>>::new();
    let fixed =
        |(section, key, _): &&(&str, &str, String)| *section != "Command" && *section != "Source" || *key == "select";
    for (section, key, value) in given.iter().filter(fixed) {
        sections.entry(section).or_default().insert(key, value.clone());
    }
    let leader = match leader {
        LeaderKind::Lease => "lease",
        LeaderKind::Etcd => "etcd",
        LeaderKind::None => "none",
    };
    for (section, key, value) in [
        ("Provider", "config", &*format!("{PROVIDER_FOLDER}/{PROVIDER_FILE}")),
        ("Source", "kind", "clusters"),
        ("Source", "path", "/etc/dns-syncd/clusters"),
        ("Leader", "kind", leader),
        ("Admin", "listen", "0.0.0.0:10253"),
    ] {
        sections.entry(section).or_default().insert(key, value.to_owned());
    }
    if has_token {
        sections.entry("Admin").or_default().insert("token-file", format!("{ADMIN_FOLDER}/{TOKEN}"));
    }
    let written = |names: &[&str]| {
        let mut text = String::new();
        for name in names {
            let Some(keys) = sections.get(name) else { continue };
            _ = writeln!(text, "[{name}]");
            for (key, value) in keys {
                _ = writeln!(text, "{key} = {}", quoted(value));
            }
        }
        text
    };
    // In this order, and so quoted, as the chart writes them.
    let fixed = written(&["Federation", "Provider", "Source", "Leader", "Admin"]);
    let own = own.map(|own| format!("{}\n", own.trim_end())).unwrap_or_default();
    let text = format!("{own}{fixed}{}", written(&["Sync", "Guard"]));
    ConfigFile { text, fixed: own + &fixed }
}

/// A value in the dialect of the daemon's files, in which these four need a backslash.
fn quoted(value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\t");
    format!("\"{value}\"")
}

/// The provider's file and the files that it names, by their keys in the Secret.
///
/// A file that it names, such as `etcd-ca-file`, comes along under the name of that key, and the text is told where it
/// lies in the pod. The provider `embedded` is told what to serve, and where it listens and keeps it in the pod.
///
/// # Errors
/// When one of them cannot be read.
pub(crate) fn provider_files(
    path: Option<&Path>,
    home: Option<&Path>,
    served: Option<&Fqdn>,
) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let (mut text, mut moved, mut has_zones) = (String::new(), String::new(), false);
    if let Some(path) = path {
        let name = path.display().to_string();
        let octets = std::fs::read(path)
            .map_err(|error| JoiningError::usage(format!("{name}: the provider's file cannot be read: {error}")))?;
        text = String::from_utf8(octets)
            .map_err(|_| JoiningError::usage(format!("{name}: the provider's file is not UTF-8")))?;
        let document = gcfg::parse(&text, &name).map_err(ConfigError::from)?;
        for block in document.blocks {
            has_zones |= block.entries.iter().any(|entry| entry.key.eq_ignore_ascii_case("zones"));
            // The last of a key wins.
            let named: BTreeMap<String, String> = block
                .entries
                .iter()
                .map(|entry| (entry.key.to_ascii_lowercase(), entry.value.clone()))
                .filter(|(key, value)| key.ends_with("-file") && !value.is_empty())
                .collect();
            for (key, value) in named {
                let named = expanded(&value, home);
                let octets = std::fs::read(&named).map_err(|error| {
                    JoiningError::usage(format!("{name}: `{key} = {value}` cannot be read: {error}"))
                })?;
                _ = writeln!(moved, "{key} = {}", quoted(&format!("{PROVIDER_FOLDER}/{key}")));
                files.insert(key, octets);
            }
        }
    }
    if let Some(zone) = served {
        for (key, value) in SERVING {
            _ = writeln!(moved, "{key} = {}", quoted(value));
        }
        if !has_zones {
            _ = writeln!(moved, "zones = {}", quoted(zone.as_str().trim_end_matches('.')));
        }
    }
    if !moved.is_empty() {
        let before = text.trim_end();
        let gap = if before.is_empty() { "" } else { "\n" };
        text = format!("{before}{gap}# Added by dns-syncd init: how it is in the pod.\n[Global]\n{moved}");
    }
    if text.trim().is_empty() {
        "[Global]\n".clone_into(&mut text);
    }
    files.insert(PROVIDER_FILE.to_owned(), text.into_bytes());
    Ok(files)
}

/// The text of the provider `embedded` as it is checked on this machine, where the folder of the pods, if there is one,
/// is somebody else's.
pub(crate) fn without_folder(mut text: String) -> String {
    text.push_str("[Global]\ndata-dir =\n");
    text
}

fn expanded(path: &str, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => path.into(),
    }
}

/// Changes with what is read once, at the start: pods are replaced for that and for nothing else.
pub(crate) fn checksum(config: &ConfigFile, resolver: &str, files: &BTreeMap<String, Vec<u8>>) -> String {
    let mut digest = Sha256::new();
    let mut add = |octets: &[u8]| {
        digest.update(octets.len().to_be_bytes());
        digest.update(octets);
    };
    add(config.fixed.as_bytes());
    add(resolver.as_bytes());
    for (name, octets) in files {
        add(name.as_bytes());
        add(octets);
    }
    digest.finalize().iter().fold(String::new(), |mut text, octet| {
        _ = write!(text, "{octet:02x}");
        text
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn overrides_are_the_flags_of_the_daemon() {
        let flags = overrides("--zone-id=Z1, --service-dns-suffix=a.example.com,--adopt=names").unwrap();
        assert_eq!((flags.zone_id.as_deref(), flags.adopt.as_deref()), (Some("Z1"), Some("names")));
        assert_eq!(overrides("--zone-name=a,b").unwrap().zone_name.as_deref(), Some("a,b"), "a comma in a value");
        for (text, said) in [
            ("--v=2", "unexpected argument '--v'"),
            ("--kubeconfig=/x", "`--kubeconfig` is fixed"),
            ("--config=/x", "`--config` is fixed"),
            ("--source=/x", "`--source` is fixed"),
            ("zone", "unexpected argument 'zone'"),
        ] {
            let error = overrides(text).unwrap_err().to_string();
            assert!(error.starts_with("--controllermanager-arg-overrides: ") && error.contains(said), "{error}");
        }
    }

    #[test]
    fn what_flags_give_stands_behind_the_users_own_file() {
        let given = [
            ("Federation", "name", "fed".to_owned()),
            ("Federation", "zone-name", "a\"b\\c".to_owned()),
            ("Provider", "name", "coredns".to_owned()),
            ("Guard", "max-delete", "50".to_owned()),
            ("Source", "kubeconfig", "/mine".to_owned()),
            ("Command", "output", "json".to_owned()),
        ];
        let file = config_file(Some("[Sync]\nttl = 60\n\n"), &given, LeaderKind::Etcd, false);
        assert_eq!(
            file.text,
            "[Sync]\nttl = 60\n[Federation]\nname = \"fed\"\nzone-name = \"a\\\"b\\\\c\"\n[Provider]\nconfig = \
             \"/etc/dns-syncd/provider/federation-dns-provider.conf\"\nname = \"coredns\"\n[Source]\nkind = \
             \"clusters\"\npath = \"/etc/dns-syncd/clusters\"\n[Leader]\nkind = \"etcd\"\n[Admin]\nlisten = \
             \"0.0.0.0:10253\"\n[Guard]\nmax-delete = \"50\"\n"
        );
    }

    #[test]
    fn files_that_the_providers_file_names_come_along() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("ca.pem"), "ca").unwrap();
        std::fs::write(at("secret"), "s3cret").unwrap();
        let text =
            format!("[global]\nEtcd-CA-File = {}\netcd-password-file = ~/secret\nzones = a\n", at("ca.pem").display());
        std::fs::write(at("conf"), &text).unwrap();
        let files = provider_files(Some(&at("conf")), Some(folder.path()), None).unwrap();
        assert_eq!(files["etcd-ca-file"], b"ca");
        assert_eq!(files["etcd-password-file"], b"s3cret");
        let moved = String::from_utf8(files[PROVIDER_FILE].clone()).unwrap();
        assert!(moved.starts_with(text.trim_end()), "{moved}");
        let document = gcfg::parse(&moved, "moved").unwrap();
        let last = document.blocks.last().unwrap();
        let values: Vec<_> = last.entries.iter().map(|entry| (&*entry.key, &*entry.value)).collect();
        let expected = [
            ("etcd-ca-file", "/etc/dns-syncd/provider/etcd-ca-file"),
            ("etcd-password-file", "/etc/dns-syncd/provider/etcd-password-file"),
        ];
        assert_eq!(values, expected);

        std::fs::remove_file(at("secret")).unwrap();
        let error = provider_files(Some(&at("conf")), Some(folder.path()), None).unwrap_err().to_string();
        assert!(error.contains("`etcd-password-file = ~/secret` cannot be read"), "{error}");
        assert_eq!(provider_files(None, None, None).unwrap()[PROVIDER_FILE], b"[Global]\n");
    }

    #[test]
    fn the_server_is_told_how_it_is_in_a_pod() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("conf");
        let zone = Fqdn::parse("example.com").unwrap();
        let read = |path: Option<&Path>| {
            let text =
                String::from_utf8(provider_files(path, None, Some(&zone)).unwrap()[PROVIDER_FILE].clone()).unwrap();
            let blocks = gcfg::parse(&text, "told").unwrap().blocks.into_iter();
            let entries = blocks.flat_map(|block| block.entries).map(|entry| (entry.key, entry.value));
            entries.collect::<BTreeMap<_, _>>()
        };
        let pairs = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let place = [("data-dir", "/var/lib/dns-syncd"), ("listen", "0.0.0.0:5300")];
        assert_eq!(read(None), pairs(&[place[0], place[1], ("zones", "example.com")]));
        std::fs::write(&file, "[Global]\nzones = example.com, b.example\nlisten = 127.0.0.1:53\n").unwrap();
        assert_eq!(read(Some(&file)), pairs(&[place[0], place[1], ("zones", "example.com, b.example")]));
        // Here it is only checked, and nothing of the folder is read.
        std::fs::write(&file, without_folder("[Global]\ndata-dir = /mine\n".to_owned())).unwrap();
        let document = gcfg::parse(std::fs::read(&file).unwrap(), "checked").unwrap();
        let last = document.blocks.last().and_then(|block| block.entries.last()).unwrap();
        assert_eq!((&*last.key, &*last.value), ("data-dir", ""));
    }

    #[test]
    fn the_token_of_the_admin_address_comes_along() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        assert!(admin_token(&file).unwrap_err().to_string().contains("`token-file` of [Admin] cannot be read"));
        std::fs::write(&file, " \n").unwrap();
        assert!(admin_token(&file).unwrap_err().to_string().contains("is empty; hint: openssl"));
        std::fs::write(&file, "s3cret\n").unwrap();
        assert_eq!(admin_token(&file).unwrap(), b"s3cret\n");
        let own = "[Federation]\nname = fed\nzone-name = a\n[Admin]\ntoken-file = /mine\n";
        for (has_token, expected) in [(true, "/etc/dns-syncd/admin/token"), (false, "/mine")] {
            let text = config_file(Some(own), &[], LeaderKind::None, has_token).text;
            let config = Config::read(&Flags::default(), &|_| None, Some(("x", text.as_bytes()))).unwrap();
            assert_eq!(config.admin.token_file.as_deref(), Some(Path::new(expected)), "{text}");
        }
    }

    #[test]
    fn pods_are_replaced_for_another_provider_file() {
        let file = config_file(None, &[], LeaderKind::Lease, false);
        let files = provider_files(None, None, None).unwrap();
        let mut other = files.clone();
        other.insert("etcd-ca-file".to_owned(), b"new".to_vec());
        assert_eq!(checksum(&file, "", &files), checksum(&file, "", &files));
        assert_ne!(checksum(&file, "", &files), checksum(&file, "", &other));
        assert_ne!(checksum(&file, "", &files), checksum(&file, "192.0.2.1:53", &files));
    }
}
