//! Who calls: the SDK's credentials, with retries of their own off, asked at the configured cloud.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions};
use azure_core::http::{ClientOptions, HttpClient, RetryOptions, Transport};
use azure_identity::{
    ClientAssertionCredentialOptions, ClientSecretCredential, ClientSecretCredentialOptions, ManagedIdentityCredential,
    ManagedIdentityCredentialOptions, UserAssignedId, WorkloadIdentityCredential, WorkloadIdentityCredentialOptions,
};
use dnsprovider::{Error, ErrorKind};
use secrecy::{ExposeSecret as _, SecretString};

use super::config::Credential;
use super::endpoint::Endpoint;
use super::error::{error, words};
use crate::SecretSource;

/// What every pipeline is made with: one attempt, over our transport.
pub(super) fn client_options(authority: &Endpoint, transport: Arc<dyn HttpClient>) -> ClientOptions {
    let mut cloud = CustomConfiguration::default();
    cloud.authority_host = authority.url.to_string();
    ClientOptions {
        retry: RetryOptions::none(),
        transport: Some(Transport::new(transport)),
        // Always said, so that AZURE_AUTHORITY_HOST does not lead elsewhere than the config.
        cloud: Some(Arc::new(CloudConfiguration::Custom(cloud))),
        ..ClientOptions::default()
    }
}

/// The SDK's credential for the configured one. Nothing is sent; files are read.
///
/// # Errors
/// - [`ErrorKind::ConfigInvalid`] when a file or an environment variable is missing or unfit.
pub(super) fn open(credential: &Credential, client_options: ClientOptions) -> Result<Arc<dyn TokenCredential>, Error> {
    match credential {
        Credential::Custom(credential) => Ok(credential.clone()),
        Credential::ClientSecret { tenant_id, client_id, secret } => {
            let principal = Principal {
                tenant_id: tenant_id.clone(),
                client_id: client_id.clone(),
                source: secret.clone(),
                client_options,
                current: Mutex::new(None),
            };
            principal.credential().map_err(|cause| invalid("opening the service principal", &cause))?;
            Ok(Arc::new(principal))
        }
        Credential::ManagedIdentity { client_id } => {
            let options = ManagedIdentityCredentialOptions {
                user_assigned_id: client_id.clone().map(UserAssignedId::ClientId),
                client_options,
            };
            match ManagedIdentityCredential::new(Some(options)) {
                Ok(credential) => Ok(credential),
                Err(cause) => Err(invalid("opening the managed identity", &cause)),
            }
        }
        Credential::WorkloadIdentity { tenant_id, client_id } => {
            let options = WorkloadIdentityCredentialOptions {
                credential_options: ClientAssertionCredentialOptions { client_options },
                client_id: client_id.clone(),
                tenant_id: tenant_id.clone(),
                ..WorkloadIdentityCredentialOptions::default()
            };
            match WorkloadIdentityCredential::new(Some(options)) {
                Ok(credential) => Ok(credential),
                Err(cause) => Err(invalid(
                    "opening the workload identity; hint: label the pod `azure.workload.identity/use: \"true\"` and \
                     annotate its service account with the client id",
                    &cause,
                )),
            }
        }
    }
}

fn invalid(doing: &str, cause: &azure_core::Error) -> Error {
    error(ErrorKind::ConfigInvalid, format!("{doing}: {}", words(cause)))
}

/// A service principal whose secret may be exchanged in its file.
///
/// The SDK's credential keeps one secret for ever. This one reads it whenever a token is fetched, and goes on with a new
/// credential of the SDK when it has changed.
struct Principal {
    tenant_id: String,
    client_id: String,
    source: SecretSource,
    client_options: ClientOptions,
    current: Mutex<Option<(SecretString, Arc<ClientSecretCredential>)>>,
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principal").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

impl Principal {
    fn credential(&self) -> azure_core::Result<Arc<ClientSecretCredential>> {
        let secret = self.source.read().map_err(|cause| {
            let message = cause.to_string();
            azure_core::Error::with_error(azure_core::error::ErrorKind::Credential, cause, message)
        })?;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, credential)) = &*current
            && known.expose_secret() == secret.expose_secret()
        {
            return Ok(credential.clone());
        }
        let credential = ClientSecretCredential::new(
            &self.tenant_id,
            self.client_id.clone(),
            Secret::new(secret.expose_secret().to_owned()),
            Some(ClientSecretCredentialOptions { client_options: self.client_options.clone() }),
        )?;
        *current = Some((secret, credential.clone()));
        Ok(credential)
    }
}

#[async_trait]
impl TokenCredential for Principal {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        self.credential()?.get_token(scopes, options).await
    }
}
