//! The tokens of federation v1's `token-url`: a POST of `token-body`, with the token of the machine's own account, is
//! answered with `{"accessToken": …, "expireTime": …}`.

use std::fmt;
use std::time::Duration;

use google_cloud_auth::credentials::{CacheableResource, Credentials, CredentialsProvider, EntityTag};
use google_cloud_auth::errors::CredentialsError;
use http::{Extensions, HeaderMap, HeaderValue, header};
use secrecy::ExposeSecret;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::error::causes;
use crate::SecretSource;

/// A new token is asked for so long before the old one ends.
const SLACK: Duration = Duration::from_mins(1);
/// The endpoint is not asked more often. Source: federation v1 allowed 0.05 calls a second.
const NOT_AGAIN_WITHIN: Duration = Duration::from_secs(20);
/// How long a token is used that does not say when it ends.
const WITHOUT_END: Duration = Duration::from_mins(5);
/// The longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Gives the tokens of one endpoint.
pub(super) struct TokenEndpoint {
    url: String,
    body: SecretSource,
    machine: Credentials,
    client: reqwest::Client,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    asked: Option<Instant>,
    trouble: String,
}

struct Token {
    authorization: HeaderValue,
    ends: Instant,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    access_token: String,
    expire_time: Option<String>,
}

impl TokenEndpoint {
    /// # Errors
    /// When no HTTP client can be made.
    pub(super) fn new(url: &str, body: SecretSource, machine: Credentials) -> Result<Self, reqwest::Error> {
        // A redirect would take the machine's token elsewhere.
        let client =
            reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { url: url.to_owned(), body, machine, client, state: Mutex::default() })
    }

    async fn token(&self) -> Result<HeaderValue, CredentialsError> {
        let mut state = self.state.lock().await;
        let now = Instant::now();
        let held = |state: &State, slack| {
            let token = state.token.as_ref().filter(|token| now + slack < token.ends);
            token.map(|token| token.authorization.clone())
        };
        if let Some(token) = held(&state, SLACK) {
            return Ok(token);
        }
        let may_ask = state.asked.is_none_or(|asked| now >= asked + NOT_AGAIN_WITHIN);
        if may_ask {
            state.asked = Some(now);
            match self.ask().await {
                Ok(token) => {
                    let authorization = token.authorization.clone();
                    state.token = Some(token);
                    return Ok(authorization);
                }
                Err(error) => state.trouble = causes(&error),
            }
        }
        // An old one will do until it ends.
        held(&state, Duration::ZERO).ok_or_else(|| CredentialsError::from_msg(true, state.trouble.clone()))
    }

    async fn ask(&self) -> Result<Token, CredentialsError> {
        let fail = |what: &str| CredentialsError::from_msg(true, format!("asking `token-url` for a token: {what}"));
        let headers = match self.machine.headers(Extensions::new()).await? {
            CacheableResource::New { data, .. } => data,
            CacheableResource::NotModified => HeaderMap::new(),
        };
        let body = self.body.read().map_err(|error| fail(&error.to_string()))?;
        let request = self.client.post(&self.url).headers(headers).body(body.expose_secret().to_owned());
        // The address may hold a secret of its own.
        let answer = request.send().await.map_err(|error| fail(&causes(&error.without_url())))?;
        if !answer.status().is_success() {
            return Err(fail(&format!("the answer has HTTP status {}", answer.status().as_u16())));
        }
        // What the answer says is not told: it may hold a token.
        let answer: Answer =
            answer.json().await.map_err(|_| fail("the answer is not `{\"accessToken\": …, \"expireTime\": …}`"))?;
        let authorization = HeaderValue::try_from(format!("Bearer {}", answer.access_token));
        let mut authorization = authorization.map_err(|_| fail("the token has characters that no token has"))?;
        authorization.set_sensitive(true);
        let left = match answer.expire_time.as_deref() {
            None | Some("") => WITHOUT_END,
            Some(text) => {
                let ends = OffsetDateTime::parse(text, &Rfc3339);
                let ends = ends.map_err(|_| fail("its `expireTime` is not a time as RFC 3339 has it"))?;
                Duration::try_from(ends - OffsetDateTime::now_utc()).unwrap_or_default()
            }
        };
        Ok(Token { authorization, ends: Instant::now() + left })
    }
}

impl CredentialsProvider for TokenEndpoint {
    async fn headers(&self, _: Extensions) -> Result<CacheableResource<HeaderMap>, CredentialsError> {
        let data = HeaderMap::from_iter([(header::AUTHORIZATION, self.token().await?)]);
        Ok(CacheableResource::New { entity_tag: EntityTag::new(), data })
    }

    async fn universe_domain(&self) -> Option<String> {
        None
    }
}

impl fmt::Debug for TokenEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenEndpoint").finish_non_exhaustive()
    }
}
