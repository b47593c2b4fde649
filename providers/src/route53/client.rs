//! Options → a client of the SDK: region, credentials, and neither retries nor deadlines of its own.

use std::fmt;

use aws_config::environment::region::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::region::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, future};
use aws_sdk_route53::Client;
use aws_sdk_route53::config::{IdentityCache, SharedHttpClient, StalledStreamProtectionConfig};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use dnsprovider::{Error, ErrorKind};
use secrecy::ExposeSecret;

use super::config::{AccessKey, Options};
use super::error::error;
use crate::cloud::install_tls;

/// Where nothing names a region: Route 53 is one service for all of them, reached and signed for here.
/// Source: <https://docs.aws.amazon.com/general/latest/gr/r53.html>.
const DEFAULT_REGION: &str = "us-east-1";

/// A client. Reads the environment and the AWS config files; calls nobody.
///
/// # Errors
/// `ConfigInvalid` when the file of the secret cannot be read.
pub(super) async fn client(options: &Options) -> Result<Client, Error> {
    install_tls();
    let http = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    client_over(options, http).await
}

/// As [`client`], over a transport of the caller's.
pub(super) async fn client_over(options: &Options, http: SharedHttpClient) -> Result<Client, Error> {
    if let Some(key) = &options.access_key {
        key.secret.read().map_err(|cause| {
            error(ErrorKind::ConfigInvalid, "reading the secret of `access-key-id`").with_source(cause)
        })?;
    }
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .region(region(options))
        // Each attempt has to pay from the account's budget, so the attempts are ours.
        .retry_config(RetryConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    if let Some(profile) = &options.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(key) = &options.access_key {
        loader = loader.credentials_provider(KeyPair(key.clone()));
    }
    let shared = loader.load().await;

    let mut config = aws_sdk_route53::config::Builder::from(&shared);
    if let Some(arn) = &options.role_arn {
        // The role's service is not Route 53: its own endpoint, and the SDK's usual retries.
        let retrying = shared.to_builder().retry_config(RetryConfig::standard()).build();
        let role = AssumeRoleProvider::builder(arn).session_name("dns-syncd").configure(&retrying).build().await;
        config = config.credentials_provider(role);
    } else if options.access_key.is_some() {
        // Nothing is remembered of a key, so that a rotated file counts with the next call.
        config = config.identity_cache(IdentityCache::no_cache());
    }
    if let Some(url) = &options.endpoint_url {
        config = config.endpoint_url(url);
    }
    Ok(Client::from_conf(config.build()))
}

/// The key's, the environment's, the profile's. The instance is not asked: off EC2 that takes seconds.
fn region(options: &Options) -> RegionProviderChain {
    let mut profile = ProfileFileRegionProvider::builder();
    if let Some(name) = &options.profile {
        profile = profile.profile_name(name);
    }
    RegionProviderChain::first_try(options.region.clone().map(Region::new))
        .or_else(EnvironmentVariableRegionProvider::new())
        .or_else(profile.build())
        .or_else(Region::from_static(DEFAULT_REGION))
}

/// The keys of the config file, read anew for each call.
struct KeyPair(AccessKey);

impl ProvideCredentials for KeyPair {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(self.read())
    }
}

impl KeyPair {
    fn read(&self) -> provider::Result {
        let secret = self.0.secret.read().map_err(CredentialsError::invalid_configuration)?;
        Ok(Credentials::new(&self.0.id, secret.expose_secret(), None, None, "the config file"))
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyPair").field(&self.0.id).finish()
    }
}
