//! Opens a provider by its name and its `[Global]` config file.
//!
//! There is no global registry: [`Registry::builtin`] is a value, to which a caller adds factories of its own.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use dnsprovider::{DnsProvider, Error, ErrorKind, Fqdn, MemoryProvider};

use crate::gcfg::{self, Config, ConfigError, Key, Schema, SectionSchema};

//----------- ProviderConfig -------------------------------------------------

/// What a factory is given.
#[derive(Clone)]
pub struct ProviderConfig {
    /// The text of the config file; `None` where there is no file.
    pub text: Option<String>,
    /// The file's name, for messages.
    pub file: String,
    /// What a leading `~` in a path stands for.
    pub home: Option<PathBuf>,
    /// What the provider is opened for.
    pub mode: OpenMode,
}

/// What a provider is opened for. Remote hosts make no difference; one that keeps and answers a zone itself does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// By the daemon: it writes, and answers queries where it is a server itself.
    Serve,
    /// By a command that only reads, possibly beside a running daemon.
    ReadOnly,
    /// By a command that writes once and ends.
    ReadWrite,
}

impl ProviderConfig {
    /// Reads the text and checks it against `schema`; an absent file is an empty one.
    ///
    /// # Errors
    /// As [`gcfg::parse`] and [`gcfg::Document::check`].
    pub fn read(&self, schema: &Schema) -> Result<Config, ConfigError> {
        gcfg::parse(self.text.as_deref().unwrap_or_default(), &self.file)?.check(schema, self.home.as_deref())
    }
}

/// The text may hold secrets.
impl fmt::Debug for ProviderConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text: _, file, home, mode } = self;
        f.debug_struct("ProviderConfig")
            .field("file", file)
            .field("home", home)
            .field("mode", mode)
            .finish_non_exhaustive()
    }
}

//----------- Opened ---------------------------------------------------------

/// An open provider and what its config told beside.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The host.
    pub provider: Arc<dyn DnsProvider>,
    /// DNS servers that answer from it, where the config or the provider itself knows them.
    pub endpoints: Vec<SocketAddr>,
    /// The server, where this process answers queries itself.
    pub served: Option<Arc<dyn Served>>,
}

impl Opened {
    /// A remote host of which no DNS server is known.
    pub fn new(provider: Arc<dyn DnsProvider>) -> Self {
        Self { provider, endpoints: Vec::new(), served: None }
    }
}

/// A DNS server in this process.
#[async_trait]
pub trait Served: Send + Sync + fmt::Debug {
    /// The zone is complete: from now on it is answered. Survives a restart where the server keeps its zone on disk.
    ///
    /// # Errors
    /// When that cannot be written down; the zone is answered all the same.
    async fn set_ready(&self) -> Result<(), Error>;

    /// True when the zone is answered; before that every query for it fails with SERVFAIL.
    fn is_ready(&self) -> bool;

    /// Finishes the answers that were begun and closes the sockets. Later calls do nothing.
    async fn shutdown(&self);
}

//----------- Registry -------------------------------------------------------

type Opening = Pin<Box<dyn Future<Output = Result<Opened, Error>> + Send>>;
type Factory = Arc<dyn Fn(ProviderConfig) -> Opening + Send + Sync>;

/// Providers by name.
#[derive(Clone, Default)]
pub struct Registry {
    factories: BTreeMap<&'static str, Factory>,
}

/// The names that this project gives to providers, those included that a build may lack.
const NAMES: [&str; 6] = ["aws-route53", "azure-azuredns", "coredns", "embedded", "google-clouddns", "memory"];

impl Registry {
    /// No provider at all.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The providers that are compiled in.
    pub fn builtin() -> Self {
        let mut registry = Self::empty();
        registry.add("memory", memory);
        #[cfg(feature = "route53")]
        registry.add("aws-route53", crate::route53::open);
        #[cfg(feature = "azure")]
        registry.add("azure-azuredns", crate::azure::open);
        #[cfg(feature = "coredns")]
        registry.add("coredns", crate::coredns::open);
        #[cfg(feature = "embedded")]
        registry.add("embedded", crate::embedded::open);
        #[cfg(feature = "clouddns")]
        registry.add("google-clouddns", crate::clouddns::open);
        registry
    }

    /// Adds a provider.
    ///
    /// # Errors
    /// - [`ErrorKind::InvalidInput`] when there is one of that name; it stays.
    pub fn register<F, O>(&mut self, name: &'static str, factory: F) -> Result<(), Error>
    where
        F: Fn(ProviderConfig) -> O + Send + Sync + 'static,
        O: Future<Output = Result<Opened, Error>> + Send + 'static,
    {
        if self.factories.contains_key(name) {
            return Err(error(ErrorKind::InvalidInput, format!("there is a provider `{name}` already")));
        }
        self.add(name, factory);
        Ok(())
    }

    /// The names in order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.factories.keys().copied()
    }

    /// Opens the provider of that name.
    ///
    /// # Errors
    /// - [`ErrorKind::ConfigInvalid`] when there is none of that name (the message lists those that there are), or its
    ///   config is wrong.
    /// - Others when it cannot be opened now.
    pub async fn open(&self, name: &str, config: ProviderConfig) -> Result<Opened, Error> {
        let Some(factory) = self.factories.get(name) else {
            let names = self.names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let what = if NAMES.contains(&name) {
                format!("the provider `{name}` is not compiled into this program")
            } else {
                format!("there is no provider `{name}`")
            };
            return Err(error(ErrorKind::ConfigInvalid, format!("{what}; there are {names}")));
        };
        factory(config).await
    }

    fn add<F, O>(&mut self, name: &'static str, factory: F)
    where
        F: Fn(ProviderConfig) -> O + Send + Sync + 'static,
        O: Future<Output = Result<Opened, Error>> + Send + 'static,
    {
        self.factories.insert(name, Arc::new(move |config| Box::pin(factory(config))));
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.factories.keys()).finish()
    }
}

fn error(kind: ErrorKind, message: String) -> Error {
    Error::new(kind, "dns-provider", message)
}

/// `[Global] zones = …` are the zones there are at first; more can be created.
async fn memory(config: ProviderConfig) -> Result<Opened, Error> {
    const SCHEMA: Schema = Schema(&[SectionSchema::single("Global", &[Key::plain("zones")])]);
    let read = || {
        let global = config.read(&SCHEMA)?.section("Global");
        global.list_of("zones", "a domain name", |part| Fqdn::parse(part).ok())
    };
    let zones = read().map_err(|error: ConfigError| error.of_provider("memory"))?;
    Ok(Opened::new(Arc::new(MemoryProvider::new(zones))))
}
