//! Tokens and those who give them: Google's token endpoint, the metadata server of a machine, and the `token-url` of
//! federation v1.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::project::timestamp;
use super::refusal::Refusal;
use crate::fakes::listener::{Answer, Request};

/// The scopes that allow to read and to write; the first two allow both.
const WRITE: [&str; 2] =
    ["https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/ndev.clouddns.readwrite"];
const READ: [&str; 2] = [
    "https://www.googleapis.com/auth/cloud-platform.read-only",
    "https://www.googleapis.com/auth/ndev.clouddns.readonly",
];

/// The worth of a token in seconds, as recorded.
const LIFETIME: u64 = 3600;

/// The tokens that were given and what their givers ask for.
#[derive(Debug)]
pub(super) struct Credentials {
    pub(super) project: String,
    tokens: Vec<Token>,
    next: u64,
    /// What federation v1's token endpoint wants to be sent; `None` is anything.
    pub(super) token_body: Option<String>,
    /// The scopes of the machine's own account.
    pub(super) machine_scopes: Vec<String>,
    /// The self-signed tokens that came, and whether they still count.
    self_signed: BTreeMap<String, bool>,
}

#[derive(Debug)]
struct Token {
    value: String,
    scopes: Vec<String>,
    expired: bool,
}

impl Credentials {
    pub(super) fn new(project: &str) -> Self {
        Self {
            project: project.to_owned(),
            tokens: Vec::new(),
            next: 1,
            token_body: None,
            machine_scopes: vec![WRITE[0].to_owned()],
            self_signed: BTreeMap::new(),
        }
    }

    /// The account whose key the fake gives out.
    pub(super) fn email(&self) -> String {
        format!("dns-syncd@{}.iam.gserviceaccount.com", self.project)
    }

    /// A new token with the scopes, valid until [`Credentials::expire`].
    pub(super) fn issue(&mut self, scopes: &[String]) -> String {
        let value = format!("ya29.fake-{:04}", self.next);
        self.next += 1;
        self.tokens.push(Token { value: value.clone(), scopes: scopes.to_vec(), expired: false });
        value
    }

    /// All tokens given until now are expired, and all self-signed ones that came.
    pub(super) fn expire(&mut self) {
        self.tokens.iter_mut().for_each(|token| token.expired = true);
        self.self_signed.values_mut().for_each(|valid| *valid = false);
    }

    //--- The service's side

    /// Whether the caller may call an operation, as far as its token tells.
    pub(super) fn check(&mut self, request: &Request, reads: bool) -> Result<(), Refusal> {
        let header = request.header("authorization").and_then(|text| text.strip_prefix("Bearer "));
        let given = header.or_else(|| request.query("access_token")).or_else(|| request.query("oauth_token"));
        let given = given.ok_or_else(|| Refusal::unauthenticated(false))?;
        let known = self.tokens.iter().find(|token| token.value == given && !token.expired);
        let scopes = match known {
            Some(token) => token.scopes.clone(),
            None => self.self_signed(given, request).ok_or_else(|| Refusal::unauthenticated(true))?,
        };
        let is_enough = |scope: &String| WRITE.contains(&scope.as_str()) || reads && READ.contains(&scope.as_str());
        if scopes.iter().any(is_enough) {
            return Ok(());
        }
        let info = json!({
            "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
            "domain": "googleapis.com", "metadata": {"service": "dns.googleapis.com"},
        });
        let refusal = Refusal::new(403, "forbidden", "Request had insufficient authentication scopes.");
        Err(refusal.said_by_front("PERMISSION_DENIED", vec![info]))
    }

    /// The scopes of a token that a service account signed for itself; one for the whole service has them all.
    fn self_signed(&mut self, token: &str, request: &Request) -> Option<Vec<String>> {
        let claims = self.claims(token).ok()?;
        if !*self.self_signed.entry(token.to_owned()).or_insert(true) {
            return None;
        }
        match (claims["scope"].as_str(), claims["aud"].as_str()) {
            (Some(scope), None) => Some(scope.split(' ').map(str::to_owned).collect()),
            (None, Some(audience)) => {
                let host = request.header("host").unwrap_or_default();
                let is_meant = audience.contains("//dns.googleapis.com/") || audience.contains(host);
                is_meant.then(|| vec![WRITE[0].to_owned()])
            }
            _ => None,
        }
    }

    /// The claims of a signed token of the known account, now valid. The signature itself is not checked.
    fn claims(&self, token: &str) -> Result<Value, &'static str> {
        let parts: Vec<&str> = token.split('.').collect();
        let [header, claims, signature] = parts[..] else { return Err("Invalid JWT: three parts are wanted.") };
        let read = |part: &str| base64url(part).and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        let (header, claims) = read(header).zip(read(claims)).ok_or("Invalid JWT: it is no JSON.")?;
        if header["alg"] != "RS256" || base64url(signature).is_none_or(|bytes| bytes.len() != 256) {
            return Err("Invalid JWT Signature.");
        }
        if claims["iss"] != self.email().as_str() {
            return Err("Invalid grant: account not found");
        }
        let (issued, expires) =
            (claims["iat"].as_u64().unwrap_or_default(), claims["exp"].as_u64().unwrap_or_default());
        if expires <= now() || expires - LIFETIME > now() + 60 || issued > now() + 60 || issued >= expires {
            return Err("Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.");
        }
        Ok(claims)
    }

    //--- Google's token endpoint

    /// `POST /token`: a signed assertion, or a user's refresh token, for an access token.
    pub(super) fn token_endpoint(&mut self, request: &Request) -> Answer {
        let refuse = |error: &str, description: &str| {
            oauth_answer(400, &json!({"error": error, "error_description": description}))
        };
        let media_type = request.header("content-type").unwrap_or_default();
        let form = match media_type.split(';').next() {
            Some("application/x-www-form-urlencoded") => form(&request.text()),
            // Google's own clients refresh a user's token so.
            Some("application/json") => json_form(&request.body),
            _ => Vec::new(),
        };
        let field = |name: &str| form.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
        let scopes = match field("grant_type") {
            Some("urn:ietf:params:oauth:grant-type:jwt-bearer") => {
                let Some(assertion) = field("assertion") else {
                    return refuse("invalid_request", "Missing parameter: assertion");
                };
                match self.claims(assertion) {
                    Err(why) => return refuse("invalid_grant", why),
                    Ok(claims) => {
                        let audience = format!("http://{}/token", request.header("host").unwrap_or_default());
                        if claims["aud"] != audience.as_str() {
                            return refuse("invalid_grant", "Invalid JWT: the audience is not this endpoint.");
                        }
                        claims["scope"].as_str().unwrap_or_default().split(' ').map(str::to_owned).collect::<Vec<_>>()
                    }
                }
            }
            Some("refresh_token") if field("refresh_token") == Some("fake-refresh-token") => vec![WRITE[0].to_owned()],
            Some("refresh_token") => return refuse("invalid_grant", "Bad Request"),
            Some(_) => return refuse("unsupported_grant_type", "Invalid grant_type"),
            None => return refuse("invalid_request", "Required parameter is missing: grant_type"),
        };
        oauth_answer(200, &self.token_json(&scopes))
    }

    fn token_json(&mut self, scopes: &[String]) -> Value {
        json!({"access_token": self.issue(scopes), "token_type": "Bearer", "expires_in": LIFETIME})
    }

    //--- Federation v1's token endpoint

    /// `POST /v1-token`: the configured body, sent with the machine's own token, for an access token.
    pub(super) fn v1_endpoint(&mut self, request: &Request) -> Answer {
        if let Err(refusal) = self.check(request, true) {
            return refusal.answer(false);
        }
        if self.token_body.as_ref().is_some_and(|wanted| *wanted != request.text()) {
            return Refusal::new(400, "invalid", "Request contains an invalid argument.").answer(false);
        }
        let token = self.issue(&[WRITE[0].to_owned()]);
        oauth_answer(200, &json!({"accessToken": token, "expireTime": timestamp(LIFETIME)}))
    }

    //--- The metadata server

    /// `GET /computeMetadata/v1/…`: what a machine knows of itself.
    pub(super) fn metadata(&mut self, request: &Request) -> Answer {
        let text = |text: &str| Answer::new(200, text.to_owned()).with_header("content-type", "application/text");
        if request.header("metadata-flavor") != Some("Google") {
            return Answer::new(403, "Missing required header: Metadata-Flavor: Google");
        }
        let path = request.path.trim_start_matches("/computeMetadata/v1/");
        let answer = match path.strip_prefix("instance/service-accounts/default/") {
            Some("token") => {
                let asked = request.query("scopes").map(|scopes| scopes.split(',').map(str::to_owned).collect());
                let scopes = asked.unwrap_or_else(|| self.machine_scopes.clone());
                let scopes: Vec<_> = scopes
                    .into_iter()
                    // A machine with the scope of the whole platform is given any that is part of it.
                    .filter(|scope| {
                        self.machine_scopes.contains(scope) || self.machine_scopes.iter().any(|own| own == WRITE[0])
                    })
                    .collect();
                oauth_answer(200, &self.token_json(&scopes))
            }
            Some("email") => text(&self.email()),
            Some("scopes") => text(&self.machine_scopes.join("\n")),
            _ if path == "project/project-id" => text(&self.project),
            _ if path == "universe/universe-domain" => text("googleapis.com"),
            _ if path == "/" || path.is_empty() => text("instance/\nproject/\n"),
            _ => Answer::new(404, "Not Found"),
        };
        answer.with_header("metadata-flavor", "Google").with_header("server", "Metadata Server for VM")
    }
}

/// The scope that allows everything.
pub(super) fn full_scope() -> Vec<String> {
    vec![WRITE[0].to_owned()]
}

fn oauth_answer(status: u16, body: &Value) -> Answer {
    Answer::new(status, body.to_string()).with_header("content-type", "application/json; charset=UTF-8")
}

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The fields of an `application/x-www-form-urlencoded` body.
fn form(body: &str) -> Vec<(String, String)> {
    let uri = format!("http://form/?{body}").parse().ok();
    let fields = uri.and_then(|uri| axum::extract::Query::try_from_uri(&uri).ok());
    fields.map(|axum::extract::Query(fields)| fields).unwrap_or_default()
}

/// The texts of a JSON object.
fn json_form(body: &[u8]) -> Vec<(String, String)> {
    let members: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
    members.into_iter().filter_map(|(name, value)| Some((name, value.as_str()?.to_owned()))).collect()
}

/// The octets of base64 in the alphabet for URLs, with or without padding.
fn base64url(text: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    let (mut bits, mut held) = (0u32, 0);
    for c in text.trim_end_matches('=').bytes() {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0xff_ffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            octets.push(u8::try_from(bits >> held & 0xff).ok()?);
        }
    }
    Some(octets)
}
