//! The keys of `[Global]` for Cloud DNS.

use std::net::IpAddr;
use std::path::PathBuf;

use dnsprovider::Error;
use reqwest::Url;
use secrecy::SecretString;

use super::error::NAME;
use crate::SecretSource;
use crate::gcfg::{Config, ConfigError, Key, Schema, Section, SectionSchema};

/// The sections and keys that the config file may have.
pub const SCHEMA: Schema = Schema(&[SectionSchema::single(
    "Global",
    &[
        Key::plain("project-id"),
        Key::plain("token-url"),
        Key::secret("token-body"),
        Key::plain("credentials-file"),
        Key::plain("endpoint-url"),
    ],
)]);

/// What the backend is opened with. The default is an absent file: everything comes from the machine.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The project that has the zones; without it the one that the credentials name, or else the machine's.
    pub project: Option<String>,
    /// Who calls.
    pub login: Login,
    /// The service's address in place of `https://dns.googleapis.com`.
    pub endpoint: Option<String>,
    /// How many calls are made.
    pub rates: Rates,
}

/// Calls a second, sustained; twice as many at once after a pause. Throttling makes them fewer for as long as it lasts.
///
/// Google publishes that there is a limit for a minute and a region, and the console of each project shows which one; the
/// defaults are chosen, and carefully. Source: <https://cloud.google.com/dns/quotas>.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Lists of zones and sets. Default 10.
    pub reads: f64,
    /// Changes of a zone, and of the list of zones. Default 5.
    pub writes: f64,
}

impl Default for Rates {
    fn default() -> Self {
        Self { reads: 10.0, writes: 5.0 }
    }
}

/// Where access tokens come from.
#[derive(Clone, Debug, Default)]
pub enum Login {
    /// Google's application default credentials: `GOOGLE_APPLICATION_CREDENTIALS`, the file of
    /// `gcloud auth application-default login`, or else the machine's own account.
    #[default]
    ApplicationDefault,
    /// A key file in Google's JSON: a service account, an external account (workload identity federation), a user or an
    /// impersonated service account. It is read when a connection is made, and again when its tokens are refused.
    File(PathBuf),
    /// Federation v1's way: a POST to a URL, with the token of the machine's own account, gives tokens.
    TokenUrl {
        /// The address.
        url: String,
        /// What is sent there.
        body: SecretSource,
    },
}

impl Options {
    /// Reads the options from a config that was checked against [`SCHEMA`].
    ///
    /// # Errors
    /// `ConfigInvalid`, with file and line.
    pub fn read(config: &Config) -> Result<Self, Error> {
        Self::parse(config).map_err(|error| error.of_provider(NAME))
    }

    fn parse(config: &Config) -> Result<Self, ConfigError> {
        let global = config.section("Global");
        let project = global.read("project-id", "the id of a project", |text| is_project(text).then(|| text.into()))?;
        let body = global.secret("token-body")?;
        let login = match (url(&global, "token-url")?, global.path("credentials-file")?) {
            (Some(_), Some(_)) => {
                return Err(global.invalid("credentials-file", "`token-url` is given too; drop one of them"));
            }
            // Federation v1 sent an empty body where there was none.
            (Some(url), None) => {
                Login::TokenUrl { url, body: body.unwrap_or_else(|| SecretSource::Inline(SecretString::default())) }
            }
            (None, path) => {
                if body.is_some() {
                    // Federation v1 did not mind.
                    tracing::warn!("`token-body` is not used: there is no `token-url`");
                }
                path.map_or(Login::ApplicationDefault, Login::File)
            }
        };
        let endpoint = url(&global, "endpoint-url")?;
        if endpoint.as_deref().is_some_and(|text| !is_private(text)) {
            let why = "`http` would show the access tokens to others; write `https://…`";
            return Err(global.invalid("endpoint-url", why));
        }
        Ok(Self { project, login, endpoint, rates: Rates::default() })
    }
}

fn url(global: &Section, key: &str) -> Result<Option<String>, ConfigError> {
    let is_http = |text: &str| Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    let expected = "an address such as `https://dns.example`";
    global.read(key, expected, |text| is_http(text).then(|| text.trim_end_matches('/').to_owned()))
}

/// Whether nobody on the way can read what is sent to an address: `https`, or `http` that stays on this machine.
fn is_private(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    url.scheme() == "https" || host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Project ids are plain, old ones have a domain and a colon before them. Whatever else is in one would end up in the
/// path of requests.
pub(super) fn is_project(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b':' | b'_'))
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
}
