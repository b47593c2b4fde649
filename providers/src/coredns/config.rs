//! The keys of `[Global]` for CoreDNS on etcd.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use dnsprovider::{Error, Fqdn};

use super::error::NAME;
use super::wire::Layout;
use crate::SecretSource;
use crate::gcfg::{Config, ConfigError, Key, Schema, SectionSchema};

/// The sections and keys that the config file may have.
pub const SCHEMA: Schema = Schema(&[SectionSchema::single(
    "Global",
    &[
        Key::plain("etcd-endpoints"),
        Key::plain("zones"),
        Key::plain("coredns-endpoints"),
        Key::plain("etcd-cert-file"),
        Key::plain("etcd-key-file"),
        Key::plain("etcd-ca-file"),
        Key::plain("etcd-username"),
        Key::secret("etcd-password"),
        Key::plain("path-prefix"),
    ],
)]);

/// What the backend is opened with. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct Options {
    /// URLs of etcd's client ports, tried in turn; without a scheme: `http`, or `https` where TLS files are given.
    pub endpoints: Vec<String>,
    /// Apexes of the zones; their ids are `0`, `1`, … in this order, as federation v1 had them.
    pub zones: Vec<Fqdn>,
    /// CoreDNS servers that answer from this store.
    pub coredns_endpoints: Vec<SocketAddr>,
    /// Files for TLS.
    pub tls: TlsFiles,
    /// User and password.
    pub login: Option<(String, SecretSource)>,
    /// First part of all keys, the `path` of CoreDNS's `etcd` plugin.
    pub path_prefix: String,
    /// How long a CNAME stays beside the addresses that take its place, before its key goes.
    ///
    /// CoreDNS reads the addresses and the CNAME of one query at two moments that are at most its read time-out (5 s)
    /// apart; a query that read no addresses yet must still find the CNAME.
    /// Source: coredns plugin/etcd, `etcdTimeout`.
    pub settle: Duration,
}

/// PEM files, read anew at every connection.
#[derive(Clone, Debug, Default)]
pub struct TlsFiles {
    /// Certificate and key that the client shows; both or neither.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Authorities that may sign the server's certificate; without it those of the system.
    pub ca: Option<PathBuf>,
}

impl TlsFiles {
    pub(super) fn is_empty(&self) -> bool {
        self.identity.is_none() && self.ca.is_none()
    }
}

/// Where v1 looked for etcd when nothing was said. Source: federation v1, coredns provider.
const DEFAULT_ENDPOINT: &str = "http://federation-dns-server-etcd:2379";

impl Options {
    /// Options for `zones` in the etcd at `endpoints`, all else as it is by default.
    pub fn new(endpoints: impl IntoIterator<Item = impl Into<String>>, zones: impl IntoIterator<Item = Fqdn>) -> Self {
        Self {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            zones: zones.into_iter().collect(),
            coredns_endpoints: Vec::new(),
            tls: TlsFiles::default(),
            login: None,
            path_prefix: "/skydns".to_owned(),
            settle: Duration::from_secs(5),
        }
    }

    /// Reads the options from a config that was checked against [`SCHEMA`].
    ///
    /// # Errors
    /// `ConfigInvalid`, with file and line.
    pub fn read(config: &Config) -> Result<Self, Error> {
        Self::parse(config).map_err(|error| error.of_provider(NAME))
    }

    fn parse(config: &Config) -> Result<Self, ConfigError> {
        let global = config.section("Global");
        let zones = global.list_of("zones", "a domain name", |part| Fqdn::parse(part).ok())?;
        if zones.is_empty() {
            // The words of federation v1.
            return Err(global.missing("zones", "Need to provide at least one DNS Zone"));
        }
        let mut options = Self::new(global.list("etcd-endpoints"), zones);
        for (place, zone) in options.zones.iter().enumerate() {
            if options.zones[..place].contains(zone) {
                return Err(global.invalid("zones", format!("`{zone}` is listed twice")));
            }
        }
        if options.endpoints.is_empty() {
            options.endpoints.push(DEFAULT_ENDPOINT.to_owned());
        }
        options.coredns_endpoints = global.sockets("coredns-endpoints")?;
        options.tls.ca = global.path("etcd-ca-file")?;
        options.tls.identity = match (global.path("etcd-cert-file")?, global.path("etcd-key-file")?) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (Some(_), None) => {
                return Err(global.missing("etcd-key-file", "`etcd-cert-file` is given; give both or neither"));
            }
            (None, Some(_)) => {
                return Err(global.missing("etcd-cert-file", "`etcd-key-file` is given; give both or neither"));
            }
        };
        options.login = match (global.text("etcd-username"), global.secret("etcd-password")?) {
            (Some(user), Some(password)) => Some((user.to_owned(), password)),
            (None, None) => None,
            (Some(_), None) => {
                return Err(global.missing("etcd-password", "`etcd-username` is given; give both or neither"));
            }
            (None, Some(_)) => {
                return Err(global.missing("etcd-username", "`etcd-password` is given; give both or neither"));
            }
        };
        if let Some(prefix) = global.text("path-prefix") {
            prefix.clone_into(&mut options.path_prefix);
        }
        if let Some(endpoint) =
            options.endpoints.iter().find(|url| !options.tls.is_empty() && url.starts_with("http://"))
        {
            let why = format!("`{endpoint}` is not encrypted, but TLS files are given; write `https://`");
            return Err(global.invalid("etcd-endpoints", why));
        }
        if let Some(zone) = options.zones.iter().find(|zone| Layout::new(&options.path_prefix, zone, &[]).is_none()) {
            return Err(global.invalid("zones", format!("`{zone}` has a label that no etcd key can hold")));
        }
        Ok(options)
    }
}
