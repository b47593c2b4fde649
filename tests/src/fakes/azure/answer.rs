//! What Azure answers: bodies with its escaped slashes, and its shapes of errors.
//!
//! Texts that stand in a recording or in a public thread are used as they are; where none is known the text is ours and
//! says only what is wrong. Status, code and shape are what a client may rely on.

use serde_json::{Value, json};

use super::super::listener::Answer;

//----------- Refusal ------------------------------------------------

/// An error before it becomes an answer.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    shape: Shape,
    code: &'static str,
    message: String,
    /// The code of the one entry in `details`, which repeats the message.
    detail: Option<&'static str>,
    authenticate: bool,
}

/// Who speaks: the two parts of Azure word their errors differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// The DNS resource provider: `{"code","message"}`.
    Flat,
    /// The resource manager before it: `{"error":{"code","message"}}`.
    Wrapped,
}

impl Refusal {
    /// An error of the DNS resource provider.
    pub(super) fn dns(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, shape: Shape::Flat, code, message: message.into(), detail: None, authenticate: false }
    }

    /// An error of the resource manager.
    pub(super) fn arm(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { shape: Shape::Wrapped, ..Self::dns(status, code, message) }
    }

    /// 400 of the DNS resource provider.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::dns(400, "BadRequest", message)
    }

    /// 409 of the DNS resource provider, with the code that stands in `details`.
    pub(super) fn conflict(detail: Option<&'static str>, message: impl Into<String>) -> Self {
        Self { detail, ..Self::dns(409, "Conflict", message) }
    }

    /// 412 of the DNS resource provider.
    pub(super) fn precondition(message: impl Into<String>) -> Self {
        Self::dns(412, "PreconditionFailed", message)
    }

    /// 401 of the resource manager, which also says in a header where tokens are issued.
    pub(super) fn unauthenticated(code: &'static str, message: impl Into<String>) -> Self {
        Self { authenticate: true, ..Self::arm(401, code, message) }
    }

    pub(super) fn answer(&self, authority: &str) -> Answer {
        let mut error = json!({"code": self.code, "message": self.message});
        if let Some(detail) = self.detail {
            error["details"] = json!([{"code": detail, "message": self.message}]);
        }
        let body = if self.shape == Shape::Wrapped { json!({ "error": error }) } else { error };
        let answer = json_answer(self.status, &body);
        if !self.authenticate {
            return answer;
        }
        let challenge = format!(
            "Bearer authorization_uri=\"{authority}\", error=\"invalid_token\", error_description=\"{}\"",
            self.code
        );
        answer.with_header("www-authenticate", &challenge)
    }
}

//----------- bodies -------------------------------------------------

/// An answer with a JSON body. Slashes are escaped, as the vendor does: a client that looks for text instead of parsing
/// fails here too.
pub(super) fn json_answer(status: u16, body: &Value) -> Answer {
    Answer::new(status, body.to_string().replace('/', "\\/"))
        .with_header("content-type", "application/json; charset=utf-8")
        .with_header("cache-control", "private")
        .with_header("x-content-type-options", "nosniff")
}

/// An answer with a JSON body and the ETag of what it shows.
pub(super) fn tagged(status: u16, body: &Value) -> Answer {
    let etag = body["etag"].as_str().unwrap_or_default().to_owned();
    json_answer(status, body).with_header("etag", &etag)
}

/// An answer without a body.
pub(super) fn empty(status: u16) -> Answer {
    Answer::new(status, "").with_header("cache-control", "private")
}

//----------- answers for faults -------------------------------------

/// The shapes in which Azure says 429.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Throttling {
    /// `{"error":{"code":"ResourceRequestsThrottled",…}}`: the limit of an action.
    /// Source: a body quoted in hashicorp/terraform-provider-azurerm#14213.
    Action,
    /// `{"error":{"code":"SubscriptionRequestsThrottled",…}}`: the resource manager's limit of a subscription.
    Subscription,
    /// A JSON string that holds the JSON `{"code":"Throttled",…}`.
    /// Source: a body quoted in kubernetes-sigs/external-dns#4811.
    Text,
    /// The same, not wrapped in a string.
    Flat,
    /// No body at all.
    Empty,
}

impl Throttling {
    /// Every shape.
    pub const ALL: [Self; 5] = [Self::Action, Self::Subscription, Self::Text, Self::Flat, Self::Empty];
}

/// A 429, with `Retry-After` in seconds or without.
pub fn throttled(shape: Throttling, retry_after: Option<u64>) -> Answer {
    let seconds = retry_after.unwrap_or(60);
    let flat =
        json!({"code": "Throttled", "message": "Too many operations are requested. Current operation is throttled."});
    let body = match shape {
        Throttling::Action => json!({"error": {"code": "ResourceRequestsThrottled", "message": format!(
            "Number of requests for action 'Microsoft.Network/dnsZones/A/write' exceeded the limit of '200' for time \
             interval '00:01:00'. Please try again after '{seconds}' seconds."
        )}}),
        Throttling::Subscription => json!({"error": {"code": "SubscriptionRequestsThrottled", "message": format!(
            "Number of requests for the subscription exceeded the limit. Please try again after '{seconds}' seconds."
        )}}),
        Throttling::Text => Value::String(flat.to_string()),
        Throttling::Flat => flat,
        Throttling::Empty => Value::Null,
    };
    let answer = if body.is_null() { empty(429) } else { json_answer(429, &body) };
    match retry_after {
        Some(seconds) => answer.with_header("retry-after", &seconds.to_string()),
        None => answer,
    }
}

/// A 5xx of the resource manager.
pub fn server_error(status: u16) -> Answer {
    let code = match status {
        503 => "ServiceUnavailable",
        504 => "GatewayTimeout",
        _ => "InternalServerError",
    };
    Refusal::arm(status, code, "The service cannot answer now.").answer("")
}

/// A 500 of the DNS resource provider, which words its errors without the wrapper.
pub fn dns_server_error() -> Answer {
    Refusal::dns(500, "InternalServerError", "The service cannot answer now.").answer("")
}

/// A page in HTML, as proxies and front doors answer.
pub fn gateway_page(status: u16) -> Answer {
    Answer::new(status, "<html><head><title>Bad Gateway</title></head><body>Bad Gateway</body></html>")
        .with_header("content-type", "text/html")
}

/// 401 for a token that has expired meanwhile.
pub fn expired_token() -> Answer {
    expired().answer("https://login.windows.net/")
}

pub(super) fn expired() -> Refusal {
    Refusal::unauthenticated(
        "ExpiredAuthenticationToken",
        "The access token expiry UTC time '1/1/2026 0:00:00 AM' is earlier than current UTC time '1/1/2026 1:00:00 AM'.",
    )
}

/// 403 for a missing right: the action, such as `Microsoft.Network/dnsZones/A/write`, and the scope.
pub fn forbidden(action: &str, scope: &str) -> Answer {
    unauthorized(super::OBJECT, action, scope).answer("")
}

/// Source of the text: kubernetes-sigs/external-dns#1973 and cert-manager/cert-manager#7742.
pub(super) fn unauthorized(object: &str, action: &str, scope: &str) -> Refusal {
    let message = format!(
        "The client '{object}' with object id '{object}' does not have authorization to perform action '{action}' over \
         scope '{scope}' or the scope is invalid. If access was recently granted, please refresh your credentials."
    );
    Refusal::arm(403, "AuthorizationFailed", message)
}
