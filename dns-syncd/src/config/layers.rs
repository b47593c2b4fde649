//! Where a value comes from: flag, environment, file, the old variables.
//!
//! Each layer is read with the rules of the file, so a flag's value has the file's form and an error the layer's name.
//! In: flags, environment, file · Out: for each key the section of the layer that has it · Pure: yes

use std::collections::BTreeMap;
use std::path::Path;

use dns_providers::gcfg::{self, Block, Document, Entry, Key, Place, Schema, Section, SectionSchema};

use super::ConfigError;
use super::cli::{Flags, Setting};
use super::variables::variable;

/// The sections and keys of `dns-syncd.conf`.
const FILE: Schema = Schema(&[FEDERATION, PROVIDER, SOURCE, CLUSTER, SYNC, GUARD, LEADER, ADMIN]);

/// Those, and what only a flag can set.
const FLAGS: Schema = Schema(&[FEDERATION, PROVIDER, SOURCE, SYNC, GUARD, COMMAND]);

const FEDERATION: SectionSchema = SectionSchema::single(
    "Federation",
    &[
        Key::plain("name"),
        Key::plain("zone-name"),
        Key::plain("zone-id"),
        Key::plain("service-dns-suffix"),
        Key::plain("claim"),
        Key::plain("previous-claim"),
    ],
);
const PROVIDER: SectionSchema = SectionSchema::single(
    "Provider",
    &[Key::plain("name"), Key::plain("config"), Key::plain("create-zone"), Key::plain("adopt")],
);
const SOURCE: SectionSchema = SectionSchema::single(
    "Source",
    &[
        Key::plain("kind"),
        Key::plain("path"),
        Key::plain("kubeconfig"),
        Key::plain("select"),
        Key::plain("external-ips"),
        Key::plain("events"),
    ],
);
const CLUSTER: SectionSchema = SectionSchema::named(
    "Cluster",
    &[
        Key::plain("context"),
        Key::plain("region"),
        Key::plain("zones"),
        Key::plain("labels"),
        Key::plain("namespaces"),
        Key::plain("addresses"),
        Key::plain("drain"),
    ],
);
const SYNC: SectionSchema = SectionSchema::single(
    "Sync",
    &[
        Key::plain("ttl"),
        Key::plain("levels"),
        Key::plain("max-addresses"),
        Key::plain("all-unhealthy"),
        Key::plain("unreachable-grace"),
        Key::plain("leave-delay"),
        Key::plain("topology-linger"),
        Key::plain("min-interval"),
        Key::plain("resolver"),
        Key::plain("concurrent-service-syncs"),
    ],
);
const GUARD: SectionSchema = SectionSchema::single(
    "Guard",
    &[
        Key::plain("guard-window"),
        Key::plain("max-delete"),
        Key::plain("max-update"),
        Key::plain("max-emptied"),
        Key::plain("freeze"),
    ],
);
const LEADER: SectionSchema = SectionSchema::single(
    "Leader",
    &[
        Key::plain("kind"),
        Key::plain("name"),
        Key::plain("namespace"),
        Key::plain("kubeconfig"),
        Key::plain("identity"),
        Key::plain("lease-duration"),
    ],
);
const ADMIN: SectionSchema = SectionSchema::single("Admin", &[Key::plain("listen"), Key::plain("token-file")]);
const COMMAND: SectionSchema =
    SectionSchema::single("Command", &[Key::plain("master"), Key::plain("output"), Key::plain("log-format")]);

/// Variables of federation v1's set-up scripts, read when nothing else says.
const OLD_VARIABLES: [(&str, &str, &str); 3] = [
    ("FEDERATION_NAME", "Federation", "name"),
    ("DNS_ZONE_NAME", "Federation", "zone-name"),
    ("FEDERATION_DNS_PROVIDER", "Provider", "name"),
];

type Overrides = BTreeMap<(&'static str, &'static str), gcfg::Config>;

/// All values, by key and layer.
pub(super) struct Layers {
    /// From a flag, or else from its variable.
    over: Overrides,
    pub(super) file: gcfg::Config,
    under: Overrides,
}

impl Layers {
    /// `file` is the name and text of the daemon's own file, where there is one.
    pub(super) fn new(
        flags: &Flags,
        env: &dyn Fn(&str) -> Option<String>,
        file: Option<(&str, &[u8])>,
    ) -> Result<Self, ConfigError> {
        let home = env("HOME").filter(|home| !home.is_empty());
        let home = home.as_deref().map(Path::new);
        let mut layers = Self {
            over: Overrides::new(),
            file: match file {
                Some((name, text)) => gcfg::parse(text, name)?.check(&FILE, home)?,
                None => gcfg::parse("", "flags and environment")?.check(&FILE, home)?,
            },
            under: Overrides::new(),
        };
        let given = |value: Option<String>| value.filter(|value| !value.is_empty());
        for setting in flags.settings() {
            let at = (setting.section, setting.key);
            if let Some((origin, value)) = value_of(&setting, env) {
                layers.over.insert(at, single(&origin, at, value, home)?);
            }
        }
        for (variable, section, key) in OLD_VARIABLES {
            if let Some(value) = given(env(variable)) {
                layers.under.insert((section, key), single(variable, (section, key), value, home)?);
            }
        }
        Ok(layers)
    }

    /// The section of the layer that has the key; the file's where none has.
    pub(super) fn of(&self, section: &'static str, key: &'static str) -> Section {
        if let Some(over) = self.over.get(&(section, key)) {
            return over.section(section);
        }
        let file = self.file.section(section);
        match self.under.get(&(section, key)) {
            Some(under) if !file.has(key) => under.section(section),
            _ => file,
        }
    }

    /// True when the key stands in the file, be it with an empty value.
    pub(super) fn is_written(&self, section: &'static str, key: &'static str) -> bool {
        let file = self.file.section(section);
        // An error about a key stands at the key, or where there is none at the head of the section.
        file.invalid(key, "").place() != file.missing(key, "").place()
    }

    /// True when a flag or its variable sets the key.
    pub(super) fn is_overridden(&self, section: &'static str, key: &'static str) -> bool {
        self.over.contains_key(&(section, key))
    }
}

/// What a flag or its variable says, and which of them.
fn value_of(setting: &Setting<'_>, env: &dyn Fn(&str) -> Option<String>) -> Option<(String, String)> {
    let given = |value: Option<String>| value.filter(|value| !value.is_empty());
    if let Some(value) = given(setting.value.map(str::to_owned)) {
        return Some((format!("--{}", setting.flag), value));
    }
    let variable = variable(setting.flag);
    let old_name = (setting.flag == "zone-name").then(|| env("DNS_SYNCD_DNS_ZONE_NAME")).flatten();
    given(env(&variable)).or(given(old_name)).map(|value| (variable, value))
}

impl Flags {
    /// What flags and variables say, as section, key and value; what a file may say is left out.
    pub(crate) fn given(&self, env: &dyn Fn(&str) -> Option<String>) -> Vec<(&'static str, &'static str, String)> {
        let old = OLD_VARIABLES.into_iter().filter_map(|(variable, section, key)| Some((section, key, env(variable)?)));
        let mut given: Vec<_> = old.filter(|(_, _, value)| !value.is_empty()).collect();
        for setting in self.settings() {
            if let Some((_, value)) = value_of(&setting, env) {
                given.retain(|(section, key, _)| (*section, *key) != (setting.section, setting.key));
                given.push((setting.section, setting.key, value));
            }
        }
        given
    }
}

/// A place that is none: a flag has no lines.
const NOWHERE: Place = Place { line: 0, column: 0 };

fn single(origin: &str, at: (&str, &str), value: String, home: Option<&Path>) -> Result<gcfg::Config, ConfigError> {
    let entry = Entry { key: at.1.to_owned(), value, place: NOWHERE };
    let block = Block { section: at.0.to_owned(), subsection: None, place: NOWHERE, entries: vec![entry] };
    Ok(Document { file: origin.into(), blocks: vec![block] }.check(&FLAGS, home)?)
}

impl From<gcfg::ConfigError> for ConfigError {
    fn from(error: gcfg::ConfigError) -> Self {
        let text = error.to_string();
        Self(if error.place() == Some(NOWHERE) { text.replacen(":0:0: ", ": ", 1) } else { text })
    }
}
