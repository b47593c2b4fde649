//! The keys of `[Global]` for Azure DNS.

use std::fmt;
use std::sync::Arc;

use azure_core::credentials::TokenCredential;
use azure_core::http::HttpClient;
use dnsprovider::Error;
use dnsprovider::capabilities::{Operation, Rate};

use super::endpoint::Endpoint;
use super::error::NAME;
use crate::SecretSource;
use crate::gcfg::{Config, ConfigError, Key, Schema, Section, SectionSchema};

/// The sections and keys that the config file may have.
pub const SCHEMA: Schema = Schema(&[SectionSchema::single(
    "Global",
    &[
        Key::plain("subscription-id"),
        Key::plain("tenant-id"),
        Key::plain("client-id"),
        Key::secret("secret"),
        Key::plain("resourceGroup"),
        Key::plain("cloud"),
        Key::plain("use-managed-identity"),
        Key::plain("use-workload-identity"),
        Key::plain("resource-manager-url"),
        Key::plain("authority-url"),
    ],
)]);

/// What the backend is opened with. `Debug` shows no secret.
#[derive(Clone)]
pub struct Options {
    /// The subscription that the zones belong to.
    pub subscription_id: String,
    /// The resource group that holds the zones; within it a zone's name is unique.
    pub resource_group: String,
    /// Who calls.
    pub credential: Credential,
    /// Which of Azure's clouds.
    pub cloud: Cloud,
    /// Where the resource manager is, if not where the cloud has it: `https://…`, or `http://…` on loopback.
    pub resource_manager_url: Option<String>,
    /// Where tokens are given out, if not where the cloud does: `https://…`, or `http://…` on loopback.
    pub authority_url: Option<String>,
    /// How many calls Azure grants.
    pub rates: Rates,
    /// Record sets in one answer to a list. The description names no maximum; federation v1 asked for 1000.
    pub page_size: u32,
    /// Sends the requests in place of the default client. It sees the tokens.
    pub http_client: Option<Arc<dyn HttpClient>>,
}

/// Who calls.
#[derive(Clone)]
pub enum Credential {
    /// A service principal with a client secret.
    ClientSecret {
        /// The directory.
        tenant_id: String,
        /// The application.
        client_id: String,
        /// Read again whenever a token is fetched.
        secret: SecretSource,
    },
    /// The identity of the virtual machine or app service that this process runs on.
    ManagedIdentity {
        /// A user-assigned identity; `None` for the system-assigned one.
        client_id: Option<String>,
    },
    /// The identity of the Kubernetes service account, through the token file that AKS mounts.
    WorkloadIdentity {
        /// `None`: the environment variable `AZURE_TENANT_ID`.
        tenant_id: Option<String>,
        /// `None`: the environment variable `AZURE_CLIENT_ID`.
        client_id: Option<String>,
    },
    /// One of the caller's own.
    Custom(Arc<dyn TokenCredential>),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientSecret { tenant_id, client_id, secret } => f
                .debug_struct("ClientSecret")
                .field("tenant_id", tenant_id)
                .field("client_id", client_id)
                .field("secret", secret)
                .finish(),
            Self::ManagedIdentity { client_id } => {
                f.debug_struct("ManagedIdentity").field("client_id", client_id).finish()
            }
            Self::WorkloadIdentity { tenant_id, client_id } => {
                f.debug_struct("WorkloadIdentity").field("tenant_id", tenant_id).field("client_id", client_id).finish()
            }
            // A credential may print what it holds.
            Self::Custom(_) => f.write_str("Custom"),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("subscription_id", &self.subscription_id)
            .field("resource_group", &self.resource_group)
            .field("credential", &self.credential)
            .field("cloud", &self.cloud)
            .field("resource_manager_url", &self.resource_manager_url)
            .field("authority_url", &self.authority_url)
            .field("rates", &self.rates)
            .field("page_size", &self.page_size)
            .finish_non_exhaustive()
    }
}

//----------- Cloud ----------------------------------------------------------

/// One of Azure's clouds.
///
/// | cloud | tokens | resource manager | scope of a token |
/// |---|---|---|---|
/// | `public` | `login.microsoftonline.com` | `management.azure.com` | `management.azure.com` |
/// | `usgovernment` | `login.microsoftonline.us` | `management.usgovcloudapi.net` | `management.core.usgovcloudapi.net` |
/// | `china` | `login.chinacloudapi.cn` | `management.chinacloudapi.cn` | `management.core.chinacloudapi.cn` |
///
/// Source: the endpoint tables of Azure's documentation for each cloud.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cloud {
    /// The public one.
    #[default]
    Public,
    /// Azure Government.
    UsGovernment,
    /// Azure operated by 21Vianet.
    China,
}

impl Cloud {
    pub(super) fn authority(self) -> &'static str {
        match self {
            Self::Public => "https://login.microsoftonline.com",
            Self::UsGovernment => "https://login.microsoftonline.us",
            Self::China => "https://login.chinacloudapi.cn",
        }
    }

    pub(super) fn resource_manager(self) -> &'static str {
        match self {
            Self::Public => "https://management.azure.com",
            Self::UsGovernment => "https://management.usgovcloudapi.net",
            Self::China => "https://management.chinacloudapi.cn",
        }
    }

    pub(super) fn scope(self) -> &'static str {
        match self {
            Self::Public => "https://management.azure.com/.default",
            Self::UsGovernment => "https://management.core.usgovcloudapi.net/.default",
            Self::China => "https://management.core.chinacloudapi.cn/.default",
        }
    }
}

//----------- Rates ----------------------------------------------------------

/// How many calls Azure grants.
///
/// The host counts calls of a zone by the minute, so the default bursts and rates are chosen such that no minute holds
/// more than is granted: burst + 60 × rate.
///
/// | calls | granted | burst | per second |
/// |---|---|---|---|
/// | creations, updates, deletions of sets, each, in a zone | 200 a minute | 20 | 3 |
/// | reads of a set in a zone | 2000 a minute | 200 | 30 |
/// | lists of sets in a zone | 60 a minute | 10 | 5/6 |
/// | all reads in the subscription | a bucket of 250, 25 a second | 250 | 25 |
/// | all writes, all deletions in the subscription, each | a bucket of 200, 10 a second | 200 | 10 |
///
/// Source: Azure's pages on the limits of DNS zones and on throttling by the resource manager, 2024.
#[derive(Clone, Debug, PartialEq)]
pub struct Rates {
    /// In each zone, by kind of call; a kind that is not listed is not limited.
    pub zone: Vec<Rate>,
    /// All reads and lists of the subscription.
    pub subscription_reads: Rate,
    /// All creations and updates of the subscription.
    pub subscription_writes: Rate,
    /// All deletions of the subscription.
    pub subscription_deletes: Rate,
}

impl Default for Rates {
    fn default() -> Self {
        let rate = |operation, per_second, burst| Rate { operation, per_second, burst };
        Self {
            zone: vec![
                rate(Operation::List, 5.0 / 6.0, 10),
                rate(Operation::Get, 30.0, 200),
                rate(Operation::Create, 3.0, 20),
                rate(Operation::Update, 3.0, 20),
                rate(Operation::Delete, 3.0, 20),
            ],
            subscription_reads: rate(Operation::Get, 25.0, 250),
            subscription_writes: rate(Operation::Update, 10.0, 200),
            subscription_deletes: rate(Operation::Delete, 10.0, 200),
        }
    }
}

//----------- reading --------------------------------------------------------

const NO_GROUP: &str = "No Azure Resource Group for Azure DNS configured";
const NO_PRINCIPAL: &str = "Incorrect AAD Service Principal credentials. Check  az ad sp create-for-rbac for help";
const NO_TENANT: &str = "Missing AAD Tenant ID";
const NO_SUBSCRIPTION: &str = "Missing Azure Subscription ID";

impl Options {
    /// Options for the zones of a resource group, all else as it is by default.
    pub fn new(subscription_id: impl Into<String>, resource_group: impl Into<String>, credential: Credential) -> Self {
        Self {
            subscription_id: subscription_id.into(),
            resource_group: resource_group.into(),
            credential,
            cloud: Cloud::Public,
            resource_manager_url: None,
            authority_url: None,
            rates: Rates::default(),
            page_size: 1000,
            http_client: None,
        }
    }

    /// Reads the options from a config that was checked against [`SCHEMA`].
    ///
    /// # Errors
    /// `ConfigInvalid`, with file and line.
    pub fn read(config: &Config) -> Result<Self, Error> {
        Self::parse(&config.section("Global")).map_err(|error| error.of_provider(NAME))
    }

    /// The order of the checks and the words about the five keys are those of federation v1.
    fn parse(global: &Section) -> Result<Self, ConfigError> {
        let needed = |key: &str, why: &str| match global.text(key) {
            Some(text) => Ok(text.to_owned()),
            None => Err(global.missing(key, why)),
        };
        let optional = |key: &str| global.text(key).map(str::to_owned);
        let resource_group = needed("resourceGroup", NO_GROUP)?;
        let managed = global.boolean("use-managed-identity")?.unwrap_or(false);
        let workload = global.boolean("use-workload-identity")?.unwrap_or(false);
        let credential = match (managed, workload) {
            (true, true) => {
                return Err(global.invalid("use-workload-identity", "`use-managed-identity` is true too; drop one"));
            }
            (false, false) => Credential::ClientSecret {
                client_id: needed("client-id", NO_PRINCIPAL)?,
                secret: global.secret("secret")?.ok_or_else(|| global.missing("secret", NO_PRINCIPAL))?,
                tenant_id: needed("tenant-id", NO_TENANT)?,
            },
            (_, _) if global.has("secret") || global.has("secret-file") => {
                let identity = if managed { "use-managed-identity" } else { "use-workload-identity" };
                return Err(global.invalid(identity, "`secret` is given too; drop one of them"));
            }
            (true, false) => Credential::ManagedIdentity { client_id: optional("client-id") },
            (false, true) => {
                Credential::WorkloadIdentity { tenant_id: optional("tenant-id"), client_id: optional("client-id") }
            }
        };
        let mut options = Self::new(needed("subscription-id", NO_SUBSCRIPTION)?, resource_group, credential);
        if !is_segment(&options.resource_group) {
            return Err(global.invalid("resourceGroup", "this is no name of a resource group"));
        }
        if !options.subscription_id.chars().all(|char| char.is_ascii_alphanumeric() || char == '-') {
            return Err(global.invalid("subscription-id", "this is no id; give the subscription's GUID"));
        }
        for key in ["tenant-id", "client-id"] {
            let word = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '.' | '_');
            if global.text(key).is_some_and(|text| !text.chars().all(word)) {
                return Err(global.invalid(key, "this is no id"));
            }
        }
        let clouds = [("public", Cloud::Public), ("usgovernment", Cloud::UsGovernment), ("china", Cloud::China)];
        options.cloud = global.choice("cloud", &clouds)?.unwrap_or_default();
        let url = |key: &str| match global.text(key).map(Endpoint::parse) {
            None => Ok(None),
            Some(Ok(_)) => Ok(optional(key)),
            Some(Err(why)) => Err(global.invalid(key, why)),
        };
        options.resource_manager_url = url("resource-manager-url")?;
        options.authority_url = url("authority-url")?;
        Ok(options)
    }
}

/// Whether a text may stand between two slashes of a path as a resource group's name.
/// Source: Azure's naming rules, `Microsoft.Resources/resourcegroups`.
fn is_segment(text: &str) -> bool {
    let word = |char: char| char.is_alphanumeric() || matches!(char, '_' | '-' | '.' | '(' | ')');
    text.chars().all(word) && !text.ends_with('.') && text.chars().count() <= 90
}
