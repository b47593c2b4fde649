//! Who calls, and for which project: key files, the machine's account, and the clients that use them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{env, fs};

use dnsprovider::{Error, ErrorKind};
use google_cloud_auth::build_errors::Error as BuildError;
use google_cloud_auth::credentials::{
    self, Credentials, external_account, impersonated, mds, service_account, user_account,
};
use google_cloud_dns_v1::client::{Changes, ManagedZones, Projects, ResourceRecordSets};
use google_cloud_gax::retry_policy::NeverRetry;
use serde_json::Value;
use tokio::sync::Mutex;

use super::config::{Login, Options, is_project};
use super::error::{causes, error};
use super::token::TokenEndpoint;
use crate::cloud::install_tls;

/// What is asked for: reading and changing zones and record sets.
const SCOPE: &str = "https://www.googleapis.com/auth/ndev.clouddns.readwrite";
/// What the machine's account needs where it only vouches for the caller at a `token-url`.
const PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";
/// The longest wait for a metadata server; off Google's machines there is none.
const METADATA_PATIENCE: Duration = Duration::from_secs(3);

//----------- Clients ------------------------------------------------

/// Clients of one login, and the project.
#[derive(Debug)]
pub(super) struct Clients {
    pub(super) project: String,
    pub(super) zones: ManagedZones,
    pub(super) sets: ResourceRecordSets,
    pub(super) changes: Changes,
    pub(super) projects: Projects,
    /// The service has taken its credentials once.
    accepted: AtomicBool,
}

impl Clients {
    pub(super) fn accepted(&self) {
        self.accepted.store(true, Ordering::Relaxed);
    }
}

/// Makes clients when they are first needed, and new ones when the service does not take their tokens any more.
pub(super) struct Connector {
    options: Options,
    clients: Mutex<Option<Arc<Clients>>>,
}

impl Connector {
    pub(super) fn new(options: Options) -> Self {
        Self { options, clients: Mutex::new(None) }
    }

    /// The clients, made now where there are none.
    ///
    /// # Errors
    /// `ConfigInvalid` when there is no project or a key file is wrong; `Unauthenticated` when nothing says who calls.
    pub(super) async fn clients(&self) -> Result<Arc<Clients>, Error> {
        let mut held = self.clients.lock().await;
        if let Some(clients) = &*held {
            return Ok(Arc::clone(clients));
        }
        let clients = Arc::new(self.connect().await?);
        *held = Some(Arc::clone(&clients));
        Ok(clients)
    }

    /// The service refused the credentials. True when it is worth the while to try again with new clients: it took them
    /// before, so they have ended early or were replaced.
    pub(super) async fn refused(&self, clients: &Arc<Clients>) -> bool {
        let mut held = self.clients.lock().await;
        if held.as_ref().is_some_and(|held| Arc::ptr_eq(held, clients)) {
            *held = None;
        }
        clients.accepted.load(Ordering::Relaxed)
    }

    async fn connect(&self) -> Result<Clients, Error> {
        install_tls();
        let (credentials, named) = match &self.options.login {
            Login::ApplicationDefault => application_default()?,
            Login::File(path) => of_file(path)?,
            Login::TokenUrl { url, body } => {
                let machine =
                    mds::Builder::default().with_scopes([PLATFORM]).build().map_err(|cause| no_login(&cause))?;
                let endpoint = TokenEndpoint::new(url, body.clone(), machine);
                let endpoint = endpoint.map_err(|cause| {
                    error(ErrorKind::Unavailable, format!("connecting: no HTTP client can be made: {}", causes(&cause)))
                })?;
                (Credentials::from(endpoint), None)
            }
        };
        let project = match self.options.project.clone().or(named) {
            Some(project) => project,
            None => project_of_machine().await?,
        };
        let endpoint = self.options.endpoint.as_deref();
        // One request, one attempt: what is sent again is decided in one place.
        macro_rules! client {
            ($client:ident) => {{
                let builder = $client::builder().with_credentials(credentials.clone()).with_retry_policy(NeverRetry);
                let builder = endpoint.into_iter().fold(builder, |builder, url| builder.with_endpoint(url));
                builder.build().await.map_err(|cause| {
                    error(ErrorKind::Unavailable, format!("connecting to Cloud DNS: {}", causes(&cause)))
                })?
            }};
        }
        Ok(Clients {
            project,
            zones: client!(ManagedZones),
            sets: client!(ResourceRecordSets),
            changes: client!(Changes),
            projects: client!(Projects),
            accepted: AtomicBool::new(false),
        })
    }
}

/// Clients print their credentials, which hide their secrets; here not even that.
impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("options", &self.options).finish_non_exhaustive()
    }
}

//----------- Credentials --------------------------------------------

/// A key file's credentials, and the project that it names.
///
/// # Errors
/// `ConfigInvalid` with the path; never with what the file says.
pub(super) fn of_file(path: &Path) -> Result<(Credentials, Option<String>), Error> {
    let wrong = |why: &str| {
        let message = format!("reading `credentials-file` at `{}`: {why}", path.display());
        error(ErrorKind::ConfigInvalid, message)
    };
    let text = fs::read_to_string(path).map_err(|cause| wrong(&cause.to_string()))?;
    let json: Value = serde_json::from_str(&text).map_err(|_| wrong("it is no JSON"))?;
    let project = project_named(&json);
    let scopes = [SCOPE];
    let built = match json["type"].as_str() {
        Some("service_account") => {
            let access = service_account::AccessSpecifier::from_scopes(scopes);
            service_account::Builder::new(json).with_access_specifier(access).build()
        }
        Some("external_account") => external_account::Builder::new(json).with_scopes(scopes).build(),
        Some("authorized_user") => user_account::Builder::new(json).with_scopes(scopes).build(),
        Some("impersonated_service_account") => impersonated::Builder::new(json).with_scopes(scopes).build(),
        _ => {
            return Err(wrong(
                "its `type` is none of `service_account`, `external_account`, `authorized_user` and \
                 `impersonated_service_account`",
            ));
        }
    };
    // The cause may quote the key.
    let credentials = built.map_err(|_| wrong("it is not a whole key file; hint: get a new one from Google"))?;
    Ok((credentials, project))
}

fn application_default() -> Result<(Credentials, Option<String>), Error> {
    let credentials = credentials::Builder::default().with_scopes([SCOPE]).build().map_err(|cause| no_login(&cause))?;
    let named = default_file().and_then(|path| fs::read_to_string(path).ok());
    let named = named.and_then(|text| serde_json::from_str(&text).ok()).and_then(|json| project_named(&json));
    Ok((credentials, named))
}

fn no_login(cause: &BuildError) -> Error {
    // What is wrong inside a file is not told: it may quote the key.
    let why = if cause.is_loading() { causes(cause) } else { "the key file is not whole".to_owned() };
    let message = format!(
        "reading the application default credentials: {why}; hint: name a key file as `credentials-file`, or in the \
         environment as `GOOGLE_APPLICATION_CREDENTIALS`"
    );
    error(ErrorKind::Unauthenticated, message)
}

/// Where the application default credentials are, if they are a file. Source: AIP-4110.
fn default_file() -> Option<PathBuf> {
    let well_known =
        || Some(PathBuf::from(env::var_os("HOME")?).join(".config/gcloud/application_default_credentials.json"));
    env::var_os("GOOGLE_APPLICATION_CREDENTIALS").map(PathBuf::from).or_else(well_known)
}

/// The project that a key file names: a service account's own, else the one that is charged.
fn project_named(json: &Value) -> Option<String> {
    let member = |name: &str| json[name].as_str().filter(|text| is_project(text)).map(str::to_owned);
    member("project_id").or_else(|| member("quota_project_id"))
}

/// Asks the metadata server of the machine for its project.
async fn project_of_machine() -> Result<String, Error> {
    let none = |kind, why: String| {
        let message = format!(
            "choosing the project: neither `project-id` nor the credentials name one, and {why}; hint: write \
             `project-id = …` in [Global]"
        );
        error(kind, message)
    };
    let host = env::var("GCE_METADATA_HOST").unwrap_or_else(|_| "metadata.google.internal".to_owned());
    let url = format!("http://{host}/computeMetadata/v1/project/project-id");
    let ask = async {
        let client = reqwest::Client::builder().timeout(METADATA_PATIENCE).no_proxy().build()?;
        let answer = client.get(url).header("Metadata-Flavor", "Google").send().await?.error_for_status()?;
        answer.text().await
    };
    let project = ask.await.map_err(|cause| {
        let why = format!("there is no metadata server of a Google machine ({})", causes(&cause));
        none(ErrorKind::ConfigInvalid, why)
    })?;
    let project = project.trim();
    if is_project(project) {
        Ok(project.to_owned())
    } else {
        Err(none(ErrorKind::ConfigInvalid, "the machine's metadata server names none".to_owned()))
    }
}

/// Whether a key file can be used, without a connection.
///
/// # Errors
/// As [`of_file`].
pub(super) fn check(login: &Login) -> Result<(), Error> {
    match login {
        Login::File(path) => of_file(path).map(drop),
        Login::ApplicationDefault | Login::TokenUrl { .. } => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_that_a_key_file_names_is_used() {
        for (json, project) in [
            (serde_json::json!({"project_id": "p-1", "quota_project_id": "q"}), Some("p-1")),
            (serde_json::json!({"quota_project_id": "q"}), Some("q")),
            (serde_json::json!({"project_id": "google.com:p"}), Some("google.com:p")),
            (serde_json::json!({"project_id": "p/../../x"}), None),
            (serde_json::json!({}), None),
        ] {
            assert_eq!(project_named(&json).as_deref(), project, "{json}");
        }
    }
}
