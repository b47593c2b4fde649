//! What a connection to etcd is made with: TLS files and password, read at the moment they are needed.

use std::path::Path;
use std::time::Duration;

use dnsprovider::{Error, ErrorKind};
use etcd_client::{Certificate, ConnectOptions, Identity, TlsOptions};
use secrecy::ExposeSecret;

use super::config::Options;
use super::error::error;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// etcd closes connections that ping more often than every 5 s. Source: etcd `--grpc-keepalive-min-time`.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(3));

/// The URL with its scheme.
pub(super) fn url(endpoint: &str, options: &Options) -> String {
    match endpoint {
        url if url.contains("://") => url.to_owned(),
        bare if options.tls.is_empty() => format!("http://{bare}"),
        bare => format!("https://{bare}"),
    }
}

/// Options for a new connection to `url`. Reads files.
pub(super) fn connect_options(url: &str, options: &Options) -> Result<ConnectOptions, Error> {
    let mut connect = ConnectOptions::new()
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_keep_alive(KEEP_ALIVE.0, KEEP_ALIVE.1)
        .with_require_leader(true)
        .with_auto_token_refresh(true);
    if url.starts_with("https://") {
        let mut tls = TlsOptions::new();
        tls = match &options.tls.ca {
            Some(path) => tls.ca_certificate(Certificate::from_pem(pem("etcd-ca-file", path)?)),
            None => tls.with_enabled_roots(),
        };
        if let Some((certificate, key)) = &options.tls.identity {
            let identity = Identity::from_pem(pem("etcd-cert-file", certificate)?, pem("etcd-key-file", key)?);
            tls = tls.identity(identity);
        }
        connect = connect.with_tls(tls);
    }
    if let Some((user, password)) = &options.login {
        let password = password.read().map_err(|cause| {
            error(ErrorKind::ConfigInvalid, "reading the password of `etcd-username`").with_source(cause)
        })?;
        connect = connect.with_user(user, password.expose_secret());
    }
    Ok(connect)
}

fn pem(key: &str, path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|cause| {
        error(ErrorKind::ConfigInvalid, format!("reading `{key}` at `{}`", path.display())).with_source(cause)
    })
}
