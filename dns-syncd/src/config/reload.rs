//! What of a changed config holds at once, and what needs a restart.

use super::Config;

/// A changed config beside the running one.
#[derive(Clone, Debug, PartialEq)]
pub struct Reload {
    /// The running config with the new `[Cluster]`, `[Sync]` and `[Guard]`: use it from now on.
    pub config: Config,
    /// True when those differ from the running ones.
    pub is_changed: bool,
    /// What else changed and waits for a restart, such as `[Federation] zone-name`.
    pub needs_restart: Vec<&'static str>,
}

impl Config {
    /// Compares this running config with `new`.
    #[must_use]
    pub fn reload(&self, new: Self) -> Reload {
        let mut needs_restart = Vec::new();
        macro_rules! fixed {
            ($($name:literal: $($field:ident).+;)+) => {
                $(if self.$($field).+ != new.$($field).+ {
                    needs_restart.push($name);
                })+
            };
        }
        fixed! {
            "[Federation] name": federation.name;
            "[Federation] zone-name": federation.zone_name;
            "[Federation] zone-id": federation.zone_id;
            "[Federation] service-dns-suffix": federation.suffix;
            "[Federation] claim": federation.claim;
            "[Federation] previous-claim": federation.previous_claim;
            "[Provider]": provider;
            "[Source]": source;
            "[Leader]": leader;
            "[Admin]": admin;
        }
        let config = Self { clusters: new.clusters, sync: new.sync, guard: new.guard, ..self.clone() };
        Reload { is_changed: config != *self, config, needs_restart }
    }
}
