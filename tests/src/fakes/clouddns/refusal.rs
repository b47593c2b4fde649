//! The bodies in which Cloud DNS refuses.
//!
//! There are two writers behind the one address. The service itself lists one entry for each thing that is wrong and
//! gives no `status` (recorded in 2026, see the fixtures' `observed-errors.json`). The front that reads tokens and JSON
//! adds `status` and `details`.

use serde_json::{Map, Value, json};

use crate::fakes::listener::Answer;

/// A request that is not done.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    code: u16,
    errors: Vec<Value>,
    /// Only what the front says; the service itself leaves these two out.
    status: Option<&'static str>,
    details: Vec<Value>,
}

impl Refusal {
    /// What the service itself says.
    pub(super) fn new(code: u16, reason: &str, message: impl Into<String>) -> Self {
        let error = json!({"message": message.into(), "domain": "global", "reason": reason});
        Self { code, errors: vec![error], status: None, details: Vec::new() }
    }

    pub(super) fn invalid(field: &str, value: &str) -> Self {
        Self::new(400, "invalid", format!("Invalid value for '{field}': '{value}'"))
    }

    pub(super) fn required(field: &str) -> Self {
        Self::new(400, "required", format!("The '{field}' parameter is required but was missing."))
    }

    pub(super) fn not_found(field: &str, name: &str) -> Self {
        Self::new(404, "notFound", format!("The '{field}' resource named '{name}' does not exist."))
    }

    pub(super) fn already_exists(field: &str, name: &str) -> Self {
        Self::new(409, "alreadyExists", format!("The resource '{field}' named '{name}' already exists"))
    }

    pub(super) fn quota(message: impl Into<String>) -> Self {
        Self::new(403, "quotaExceeded", message)
    }

    pub(super) fn forbidden() -> Self {
        Self::new(403, "forbidden", "Forbidden")
    }

    /// What the front says of a request that it cannot read.
    pub(super) fn unreadable(description: impl Into<String>) -> Self {
        let description = description.into();
        let violation = json!({"description": description});
        let details = json!({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]});
        let error = json!({"message": description, "reason": "invalid"});
        Self { code: 400, errors: vec![error], status: Some("INVALID_ARGUMENT"), details: vec![details] }
    }

    /// What the front says of a call without a token, or (`given`) with one that it does not take.
    pub(super) fn unauthenticated(given: bool) -> Self {
        let expected = "Expected OAuth 2 access token, login cookie or other valid authentication credential.";
        let (what, short, reason, detail) = if given {
            ("had invalid authentication credentials", "Invalid Credentials", "authError", "ACCESS_TOKEN_EXPIRED")
        } else {
            ("is missing required authentication credential", "Login Required.", "required", "CREDENTIALS_MISSING")
        };
        let error = json!({
            "message": short, "domain": "global", "reason": reason, "location": "Authorization", "locationType": "header",
        });
        let info = json!({
            "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": detail, "domain": "googleapis.com",
            "metadata": {"service": "dns.googleapis.com"},
        });
        let mut refusal = Self::new(401, reason, format!("Request {what}. {expected}"));
        refusal.errors.push(error);
        refusal.status = Some("UNAUTHENTICATED");
        refusal.details.push(info);
        refusal
    }

    /// Adds the marks of the front: the canonical code, and details that say more.
    pub(super) fn said_by_front(mut self, status: &'static str, details: Vec<Value>) -> Self {
        self.status = Some(status);
        self.details = details;
        self
    }

    /// All of these in one answer; its code is the first one's. `None` when there is none.
    pub(super) fn all(refusals: Vec<Self>) -> Option<Self> {
        refusals.into_iter().reduce(|mut first, other| {
            first.errors.extend(other.errors);
            first
        })
    }

    /// The answer; `second_format` is what `$.xgafv=2` asks for.
    pub(super) fn answer(&self, second_format: bool) -> Answer {
        let message = self.errors.first().map_or(&Value::Null, |error| &error["message"]);
        let mut body = Map::from_iter([("code".into(), self.code.into()), ("message".into(), message.clone())]);
        // The first entry of a missing or bad token is the long text, which stands above the list and not in it.
        let listed = if self.status == Some("UNAUTHENTICATED") { &self.errors[1..] } else { &self.errors[..] };
        if !second_format {
            body.insert("errors".into(), listed.to_vec().into());
        }
        if let Some(status) = self.status.or_else(|| second_format.then(|| canonical(self.code))) {
            body.insert("status".into(), status.into());
        }
        if !self.details.is_empty() {
            body.insert("details".into(), self.details.clone().into());
        }
        super::api::json_answer(self.code, &json!({"error": body}), true)
    }
}

/// The name that Google gives to what an HTTP status means.
fn canonical(code: u16) -> &'static str {
    match code {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ALREADY_EXISTS",
        412 => "FAILED_PRECONDITION",
        429 => "RESOURCE_EXHAUSTED",
        503 => "UNAVAILABLE",
        _ => "INTERNAL",
    }
}
