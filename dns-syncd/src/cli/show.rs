//! `run --show`: what a client gets, asked over DNS while the daemon runs.
//!
//! For demonstrations and small zones: every name is asked for once a second.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dns_providers::Opened;
use dns_syncd::config::{Config, ConfigError, Form};
use dns_syncd::engine::Handle;
use dnsprovider::{DnsProvider, DnsProviderExt as _, Fqdn};
use futures::StreamExt as _;

use super::ask::Asker;
use super::open;
use crate::output;
use crate::output::answers::{self, Addresses};

/// Between two rounds of questions.
const PAUSE: Duration = Duration::from_secs(1);
/// Names that are asked for; a larger zone shows its first.
const MOST_NAMES: usize = 100;
/// Questions at once.
const AT_ONCE: usize = 16;

/// Asks the DNS servers of a zone and prints what they answer.
pub(crate) struct Show {
    servers: Vec<SocketAddr>,
    asker: Asker,
    provider: Arc<dyn DnsProvider>,
    zone: dns_syncd::engine::ZoneChoice,
    claim: Arc<str>,
    handle: Handle,
    form: Form,
    hint: Option<String>,
    told: BTreeMap<Fqdn, Addresses>,
}

impl Show {
    pub(crate) fn new(config: &Config, opened: &Opened, handle: Handle) -> anyhow::Result<Self> {
        if opened.endpoints.is_empty() {
            let what = "`--show` asks DNS servers, and the provider's config names none; hint: `coredns-endpoints`";
            return Err(ConfigError::new(what).into());
        }
        Ok(Self {
            asker: Asker::at(opened.endpoints.iter().copied())?,
            servers: opened.endpoints.clone(),
            provider: opened.provider.clone(),
            zone: open::zone(config),
            claim: config.federation.claim.clone(),
            handle,
            form: config.output,
            hint: config.manifests().map(|path| format!("edit a file in {} and watch", path.display())),
            told: BTreeMap::new(),
        })
    }

    /// Prints all answers once the daemon has begun, then those that change, until the daemon ends.
    pub(crate) async fn run(mut self) {
        let (mut names, mut read_at) = (BTreeSet::new(), None);
        while let Ok(status) = self.handle.status().await {
            let written_at = status.last_write.map(|write| write.at);
            if status.ready && (names.is_empty() || read_at != written_at) {
                names = self.names().await.unwrap_or(names);
                read_at = written_at;
            }
            if !names.is_empty() && self.round(&names).await.is_err() {
                return; // nobody reads any more
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The names with our claim; `None` when they cannot be read just now.
    async fn names(&self) -> Option<BTreeSet<Fqdn>> {
        let zone = self.zone.find(&self.provider).await.ok()??;
        let snapshot = self.provider.read_zone(&zone.id).await.ok()?;
        let ours =
            |entries: &[dnsprovider::Entry]| entries.iter().any(|entry| entry.data.claim_name() == Some(&*self.claim));
        let names = snapshot.entries.iter().filter(|(_, entries)| ours(entries)).map(|(owner, _)| owner.clone());
        Some(names.take(MOST_NAMES).collect())
    }

    /// Asks for all names, those told before included, and prints what is new.
    async fn round(&mut self, names: &BTreeSet<Fqdn>) -> std::io::Result<()> {
        let asked: BTreeSet<Fqdn> = names.iter().chain(self.told.keys()).cloned().collect();
        let questions = asked.into_iter().map(|name| ask(&self.asker, name));
        let answers: BTreeMap<Fqdn, Addresses> = futures::stream::iter(questions).buffered(AT_ONCE).collect().await;
        let is_first = self.told.is_empty();
        let news: Vec<(&Fqdn, &Addresses)> =
            answers.iter().filter(|(name, answer)| self.told.get(*name) != Some(*answer)).collect();
        match self.form {
            Form::Json => {
                for (name, answer) in &news {
                    output::print_json(&answers::json(name, answer))?;
                }
            }
            Form::Text if is_first => {
                output::print(&answers::first(&self.servers, &news))?;
                if let Some(hint) = &self.hint {
                    output::remark(&format!("\n{hint}\n"));
                }
            }
            Form::Text => output::print(&answers::changed(&news))?,
        }
        self.told = answers;
        self.told.retain(|name, _| names.contains(name));
        Ok(())
    }
}

async fn ask(asker: &Asker, name: Fqdn) -> (Fqdn, Addresses) {
    let answer = asker.addresses(&name).await;
    (name, answer)
}
