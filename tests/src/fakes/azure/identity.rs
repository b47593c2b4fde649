//! Who asks: principals and their rights, and the two places that issue tokens.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use tokio::time::Instant;

use super::super::listener::{Answer, Request};
use super::answer::{Refusal, expired, json_answer};
use super::route::Route;
use super::{CLIENT, Cloud, OBJECT, SECRET, TENANT};

/// How long a token is good: 3599 seconds, as the recordings have it.
const LIFETIME: Duration = Duration::from_secs(3599);

//----------- Principal ----------------------------------------------

/// A service principal or a managed identity.
#[derive(Clone)]
pub struct Principal {
    client: String,
    object: String,
    secret: Option<String>,
    assertion: Option<String>,
    managed: bool,
    grants: Vec<(String, Vec<String>)>,
}

impl Principal {
    /// A principal without secret and rights, of this client id, which is its object id too.
    pub fn new(client: &str) -> Self {
        let (client, object) = (client.to_owned(), client.to_owned());
        Self { client, object, secret: None, assertion: None, managed: false, grants: Vec::new() }
    }

    /// It can get a token with this secret.
    #[must_use]
    pub fn with_secret(mut self, secret: &str) -> Self {
        self.secret = Some(secret.into());
        self
    }

    /// It can get a token with this client assertion, which is what a file of workload identity holds.
    #[must_use]
    pub fn with_assertion(mut self, assertion: &str) -> Self {
        self.assertion = Some(assertion.into());
        self
    }

    /// It is an identity of the machine: the metadata service issues its tokens.
    #[must_use]
    pub fn managed(mut self) -> Self {
        self.managed = true;
        self
    }

    /// It may do these actions, with `*` for any part, on the resource of this id and all below.
    #[must_use]
    pub fn with_right(mut self, scope: &str, actions: &[&str]) -> Self {
        let actions = actions.iter().map(|action| action.to_ascii_lowercase()).collect();
        self.grants.push((scope.to_ascii_lowercase(), actions));
        self
    }

    pub(super) fn client(&self) -> &str {
        &self.client
    }

    fn may(&self, action: &str, scope: &str) -> bool {
        let (action, scope) = (action.to_ascii_lowercase(), scope.to_ascii_lowercase());
        let covers =
            |granted: &str| scope.strip_prefix(granted).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let names = |pattern: &str| match pattern.split_once('*') {
            Some((first, last)) => action.starts_with(first) && action[first.len()..].ends_with(last),
            None => action == pattern,
        };
        self.grants.iter().any(|(granted, actions)| covers(granted) && actions.iter().any(|pattern| names(pattern)))
    }
}

impl std::fmt::Debug for Principal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Principal").field("client", &self.client).field("grants", &self.grants).finish_non_exhaustive()
    }
}

//----------- Identity -----------------------------------------------

/// The authority of one tenant and the tokens that it has issued.
#[derive(Debug)]
pub(super) struct Identity {
    cloud: Cloud,
    principals: Vec<Principal>,
    tokens: BTreeMap<String, Token>,
    pub(super) lifetime: Duration,
}

#[derive(Debug)]
struct Token {
    client: String,
    audience: String,
    until: Instant,
}

impl Identity {
    /// One principal, who may do everything in the subscription.
    pub(super) fn new(cloud: Cloud, subscription: &str) -> Self {
        let mut owner = Principal::new(CLIENT).with_secret(SECRET).managed();
        owner.object = OBJECT.into();
        let owner = owner.with_right(&format!("/subscriptions/{subscription}"), &["*"]);
        Self { cloud, principals: vec![owner], tokens: BTreeMap::new(), lifetime: LIFETIME }
    }

    /// Adds a principal, or replaces the one with its client id.
    pub(super) fn put(&mut self, principal: Principal) {
        self.principals.retain(|other| other.client != principal.client);
        self.principals.push(principal);
    }

    pub(super) fn expire(&mut self) {
        let now = Instant::now();
        self.tokens.values_mut().for_each(|token| token.until = now);
    }

    pub(super) fn issue(&mut self, client: &str, audience: &str) -> String {
        // Looks like the first part of a JWT; clients must not look into it.
        let text = format!("eyJ0eXAiOiJKV1QifQ.{}.{client}", self.tokens.len());
        let until = Instant::now() + self.lifetime;
        let token = Token { client: client.into(), audience: audience.into(), until };
        self.tokens.insert(text.clone(), token);
        text
    }

    fn named(&self, client: &str) -> Option<&Principal> {
        self.principals.iter().find(|principal| principal.client.eq_ignore_ascii_case(client))
    }

    /// Who sends the request, by its bearer token.
    pub(super) fn who(&self, request: &Request) -> Result<&Principal, Refusal> {
        let Some(header) = request.header("authorization") else {
            let message = "Authentication failed. The 'Authorization' header is missing.";
            return Err(Refusal::unauthenticated("AuthenticationFailed", message));
        };
        let Some(bearer) = header.strip_prefix("Bearer ") else {
            let message = "Authentication failed. The 'Authorization' header is provided in an invalid format.";
            return Err(Refusal::unauthenticated("AuthenticationFailed", message));
        };
        let Some(token) = self.tokens.get(bearer) else {
            return Err(Refusal::unauthenticated("InvalidAuthenticationToken", "The access token is invalid."));
        };
        if token.until <= Instant::now() {
            return Err(expired());
        }
        let allowed = self.cloud.audiences();
        if !allowed.contains(&token.audience.trim_end_matches('/').to_owned()) {
            let message = format!(
                "The access token has been obtained for wrong audience or resource '{}'. It should exactly match with \
                 one of the allowed audiences '{}'.",
                token.audience,
                allowed.join("','")
            );
            return Err(Refusal::unauthenticated("InvalidAuthenticationTokenAudience", message));
        }
        let unknown = || Refusal::unauthenticated("InvalidAuthenticationToken", "The access token is invalid.");
        self.named(&token.client).ok_or_else(unknown)
    }

    /// Refuses what the principal has no right to.
    pub(super) fn authorize(principal: &Principal, route: &Route) -> Result<(), Refusal> {
        let (action, scope) = (route.action(), route.scope());
        if principal.may(&action, &scope) {
            return Ok(());
        }
        Err(super::answer::unauthorized(&principal.object, &action, &scope))
    }

    /// The token endpoint, version 2.0 or the one before.
    pub(super) fn token(&mut self, request: &Request, tenant: &str, v2: bool) -> Answer {
        match self.grant(request, tenant, v2) {
            Ok((client, audience)) => {
                let token = self.issue(&client, &audience);
                let seconds = self.lifetime.as_secs();
                // v2.0 sends numbers; the version before sent them as texts (lexicon's recordings).
                let body = if v2 {
                    json!({"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds,
                        "access_token": token})
                } else {
                    let (now, seconds) = (unix_time(), seconds.to_string());
                    json!({"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds,
                        "expires_on": (now + self.lifetime.as_secs()).to_string(), "not_before": now.to_string(),
                        "resource": audience, "access_token": token})
                };
                plain(200, &body)
            }
            Err((status, error, number, message)) => {
                let body = json!({
                    "error": error,
                    "error_description": format!("AADSTS{number}: {message} Trace ID: 0 Correlation ID: 0"),
                    "error_codes": [number], "timestamp": "2026-01-01 00:00:00Z", "trace_id": "0",
                    "correlation_id": "0",
                    "error_uri": format!("https://login.microsoftonline.com/error?code={number}"),
                });
                plain(status, &body)
            }
        }
    }

    /// Source of the numbers and texts: Microsoft's "Microsoft Entra authentication and authorization error codes"; the
    /// body of 7000215 is quoted in OfficeDev/microsoft-365-agents-toolkit#8621.
    fn grant(&self, request: &Request, tenant: &str, v2: bool) -> Result<(String, String), OauthError> {
        let media_type = request.header("content-type").unwrap_or_default();
        if !media_type.starts_with("application/x-www-form-urlencoded") {
            return Err((400, "invalid_request", 900_144, "The request body must be form-encoded.".into()));
        }
        let form = form(&request.text());
        let value = |name: &str| form.get(name).map(String::as_str);
        let needed = |name: &str| {
            let message = format!("The request body must contain the following parameter: '{name}'.");
            value(name).ok_or((400, "invalid_request", 900_144, message))
        };
        if !tenant.eq_ignore_ascii_case(TENANT) {
            let message = format!("Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID.");
            return Err((400, "invalid_request", 90_002, message));
        }
        let grant_type = needed("grant_type")?;
        if grant_type != "client_credentials" {
            let message = format!("The app requested an unsupported grant type '{grant_type}'.");
            return Err((400, "unsupported_grant_type", 70_003, message));
        }
        let client = needed("client_id")?;
        let Some(principal) = self.named(client) else {
            let message = format!("Application with identifier '{client}' was not found in the directory.");
            return Err((400, "unauthorized_client", 700_016, message));
        };
        match (value("client_secret"), value("client_assertion")) {
            (Some(secret), _) if principal.secret.as_deref() == Some(secret) => {}
            (Some(_), _) => {
                let message = format!(
                    "Invalid client secret provided. Ensure the secret being sent in the request is the client secret \
                     value, not the client secret ID, for a secret added to app '{client}'."
                );
                return Err((401, "invalid_client", 7_000_215, message));
            }
            (None, Some(assertion)) => {
                let wanted = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
                if needed("client_assertion_type")? != wanted || principal.assertion.as_deref() != Some(assertion) {
                    let message = "No matching federated identity record found for presented assertion.";
                    return Err((401, "invalid_client", 70_021, message.into()));
                }
            }
            (None, None) => {
                let message =
                    "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.";
                return Err((401, "invalid_client", 7_000_218, message.into()));
            }
        }
        if !v2 {
            return Ok((client.into(), needed("resource")?.into()));
        }
        let scope = needed("scope")?;
        let Some(audience) = scope.strip_suffix("/.default") else {
            let message =
                format!("The provided value for scope {scope} is not valid. The scope must end in '/.default'.");
            return Err((400, "invalid_scope", 1_002_012, message));
        };
        Ok((client.into(), audience.into()))
    }

    /// The metadata service of a virtual machine.
    /// Source: Microsoft's "How to use managed identities on a virtual machine to acquire an access token".
    pub(super) fn managed_identity(&mut self, request: &Request) -> Answer {
        let refusal = |message: &str| plain(400, &json!({"error": "invalid_request", "error_description": message}));
        if request.header("metadata") != Some("true") {
            return refusal("Required metadata header not specified");
        }
        if request.query("api-version").is_none() {
            return refusal("Required query variable 'api-version' is missing");
        }
        let Some(resource) = request.query("resource") else {
            return refusal("Required query variable 'resource' is missing");
        };
        let wanted = request.query("client_id").or_else(|| request.query("object_id"));
        let found = self.principals.iter().find(|principal| {
            principal.managed && wanted.is_none_or(|id| id == principal.client || id == principal.object)
        });
        let Some(client) = found.map(|principal| principal.client.clone()) else {
            return refusal("Identity not found");
        };
        let (now, seconds) = (unix_time(), self.lifetime.as_secs());
        let body = json!({
            "access_token": self.issue(&client, resource), "client_id": client, "expires_in": seconds.to_string(),
            "expires_on": (now + seconds).to_string(), "ext_expires_in": seconds.to_string(),
            "not_before": now.to_string(), "resource": resource, "token_type": "Bearer",
        });
        plain(200, &body)
    }
}

/// Status, `error`, number and text.
type OauthError = (u16, &'static str, u32, String);

fn plain(status: u16, body: &serde_json::Value) -> Answer {
    json_answer(status, body).with_header("cache-control", "no-store, no-cache")
}

fn unix_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The pairs of a form. The decoder of queries is the same one.
fn form(text: &str) -> BTreeMap<String, String> {
    let uri = format!("/?{text}").parse::<axum::http::Uri>();
    let pairs = uri.ok().and_then(|uri| axum::extract::Query::<BTreeMap<String, String>>::try_from_uri(&uri).ok());
    pairs.map(|axum::extract::Query(pairs)| pairs).unwrap_or_default()
}
