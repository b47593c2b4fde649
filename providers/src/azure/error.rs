//! What Azure says, as kinds of error, and whether a failed write may have been done.
//!
//! | HTTP | code or cause | kind | again? | done? |
//! |---|---|---|---|---|
//! | – | no connection | `Unavailable` | yes | no |
//! | – | the connection broke, no answer in time | `Unavailable`, `Timeout` | yes | perhaps |
//! | – | no token: refused | `Unauthenticated` | never | no |
//! | – | no token: not reached, 408, 429, 5xx | `Unavailable` | yes | no |
//! | 400 | a limit of the zone or the set is exceeded | `LimitExceeded` | never | no |
//! | 400 | other | `InvalidInput` | never | no |
//! | 401 | | `Unauthenticated` | never | no |
//! | 403 | | `PermissionDenied` | never | no |
//! | 404 | `ResourceGroupNotFound`, `SubscriptionNotFound`, `InvalidSubscriptionId` | `ConfigInvalid` | never | no |
//! | 404 | other | `ZoneNotFound` | never | no |
//! | 408 | | `Timeout` | yes | perhaps |
//! | 409 | `ScopeLocked` | `PermissionDenied` | never | no |
//! | 409 | `Conflict` | `Conflict` | never | no |
//! | 409 | other (something else is under way there) | `Unavailable` | yes | no |
//! | 412 | | `Conflict` | never | no |
//! | 413 | | `LimitExceeded` | never | no |
//! | 429 | | `RateLimited` | as `Retry-After` or the message says, else after a pause | no |
//! | 503 | | `Unavailable` | as `Retry-After` says, else after a pause | no |
//! | 500, 502, 504, other 5xx | | `Unavailable` | yes | perhaps |
//! | else | | `Protocol` | never | perhaps |
//!
//! A 503 comes from a gate that did not let the request in. Should it be wrong about that, the second attempt meets a
//! condition (`If-Match`, `If-None-Match`) that no longer holds, and the outcome is a conflict, never a false success.
//!
//! Bodies come in three shapes: flat `{"code","message"}` of the DNS service, wrapped `{"error":{…}}` of the resource
//! manager, and a JSON string that holds either as text.
//! Source: recorded exchanges of the Azure CLI and SDKs for the DNS service, and the threads
//! <https://github.com/hashicorp/terraform-provider-azurerm/issues/14213> and
//! <https://github.com/kubernetes-sigs/external-dns/pull/4811> for 429.

use std::error::Error as _;
use std::time::Duration;

use azure_core::error::ErrorKind as Cause;
use dnsprovider::{Error, ErrorKind, RetryHint};
use serde_json::Value;

use crate::cloud::{Failure, Fate};

pub(super) const NAME: &str = "azure-azuredns";

/// An error of this backend.
pub(super) fn error(kind: ErrorKind, message: impl Into<String>) -> Error {
    Error::new(kind, NAME, message)
}

/// What was asked for, for messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    /// `reading the set`.
    pub(super) what: &'a str,
    /// The right that it takes, such as `Microsoft.Network/dnsZones/A/write`.
    pub(super) right: &'a str,
    /// On what the right is needed: `the zone `example.com``.
    pub(super) scope: &'a str,
}

/// An answer that says no.
#[derive(Debug)]
pub(super) struct Refusal<'a> {
    pub(super) status: u16,
    pub(super) body: &'a [u8],
    /// From a header.
    pub(super) retry_after: Option<Duration>,
}

impl Refusal<'_> {
    /// The record set that was asked for does not exist; its zone does.
    pub(super) fn is_absent_set(&self) -> bool {
        self.status == 404 && said(self.body).code.as_deref() == Some("NotFound")
    }

    pub(super) fn failure(&self, asked: Asked<'_>) -> Failure {
        let said = said(self.body);
        let (kind, fate) = judge(self.status, &said);
        let mut message = format!("{}: {}", asked.what, said.told(self.status));
        if let Some(hint) = hint(kind, &said, asked) {
            message = format!("{message}; hint: {hint}");
        }
        let error = error(kind, message);
        let pause = self.retry_after.or_else(|| said.pause());
        let error = match (kind, pause) {
            (ErrorKind::RateLimited | ErrorKind::Unavailable, Some(pause)) => error.with_retry(RetryHint::After(pause)),
            _ => error,
        };
        Failure { error, fate }
    }
}

fn judge(status: u16, said: &Said) -> (ErrorKind, Fate) {
    use ErrorKind as Kind;
    let code = said.code.as_deref().unwrap_or_default();
    let no = |kind| (kind, Fate::NotDone);
    match status {
        400 if said.is_about_a_limit() => no(Kind::LimitExceeded),
        400 | 405 | 415 | 422 => no(Kind::InvalidInput),
        401 => no(Kind::Unauthenticated),
        403 => no(Kind::PermissionDenied),
        404 if ["ResourceGroupNotFound", "SubscriptionNotFound", "InvalidSubscriptionId"].contains(&code) => {
            no(Kind::ConfigInvalid)
        }
        404 => no(Kind::ZoneNotFound),
        408 => (Kind::Timeout, Fate::Unknown),
        409 if code == "ScopeLocked" => no(Kind::PermissionDenied),
        409 if said.is_about_a_limit() => no(Kind::LimitExceeded),
        409 if code == "Conflict" => no(Kind::Conflict),
        409 | 503 => no(Kind::Unavailable),
        412 => no(Kind::Conflict),
        413 => no(Kind::LimitExceeded),
        429 => no(Kind::RateLimited),
        500.. => (Kind::Unavailable, Fate::Unknown),
        _ => (Kind::Protocol, Fate::Unknown),
    }
}

fn hint(kind: ErrorKind, said: &Said, asked: Asked<'_>) -> Option<String> {
    let Asked { right, scope, .. } = asked;
    match kind {
        ErrorKind::PermissionDenied if said.code.as_deref() == Some("ScopeLocked") => {
            Some(format!("remove the lock on {scope} or above it"))
        }
        ErrorKind::PermissionDenied => Some(format!(
            "`{right}` is needed on {scope}; grant the role `DNS Zone Contributor` there, or one with that right"
        )),
        ErrorKind::Unauthenticated => {
            Some("check `tenant-id`, `client-id`, `secret` and `cloud` of the config".to_owned())
        }
        ErrorKind::ConfigInvalid => Some("check `resourceGroup` and `subscription-id` of the config".to_owned()),
        ErrorKind::ZoneNotFound => Some(format!("{scope} does not exist; check its name and `resourceGroup`")),
        _ => None,
    }
}

/// The request did not come to an answer.
pub(super) fn unanswered(cause: &azure_core::Error, asked: Asked<'_>) -> Failure {
    let Asked { what, .. } = asked;
    let message = |told: &str| format!("{what}: {told}: {}", words(cause));
    match first_cause(cause) {
        Cause::Credential if token_may_come(cause) => {
            Failure::not_done(error(ErrorKind::Unavailable, message("no token for the call")))
        }
        Cause::Credential => {
            let hint = "hint: check `tenant-id`, `client-id`, `secret`, `cloud` and `authority-url` of the config";
            Failure::not_done(error(
                ErrorKind::Unauthenticated,
                format!("{}; {hint}", message("no token for the call")),
            ))
        }
        Cause::Connection => Failure::not_done(error(ErrorKind::Unavailable, message("no connection"))),
        Cause::Io => Failure::unknown(error(ErrorKind::Unavailable, message("the answer was lost"))),
        _ => Failure::unknown(error(ErrorKind::Protocol, message("the call failed"))),
    }
}

/// The topmost kind that says something.
fn first_cause(error: &azure_core::Error) -> &Cause {
    causes(error).find(|kind| !matches!(kind, Cause::Other)).unwrap_or(&Cause::Other)
}

/// The server of the tokens was not reached or is out of order, so that the same credential may do later.
fn token_may_come(error: &azure_core::Error) -> bool {
    causes(error).any(|kind| match kind {
        Cause::Connection | Cause::Io => true,
        Cause::HttpResponse { status, .. } => matches!(u16::from(*status), 408 | 410 | 429 | 500..),
        _ => false,
    })
}

fn causes(error: &azure_core::Error) -> impl Iterator<Item = &Cause> {
    let first: &(dyn std::error::Error + 'static) = error;
    let all = std::iter::successors(Some(first), |&cause| cause.source());
    all.filter_map(|cause| Some(cause.downcast_ref::<azure_core::Error>()?.kind()))
}

/// An SDK's error and its causes on one line. Never its `Debug` form, which shows bodies.
pub(super) fn words(error: &azure_core::Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(cause) = below {
        let next = cause.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        below = cause.source();
    }
    // The link is a line of its own in the SDK's message.
    let text = text.split("To troubleshoot, visit").next().unwrap_or_default();
    cut(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

//----------- Said -----------------------------------------------------------

/// Code and message of an answer's body, in whichever shape.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    code: Option<String>,
    message: String,
}

fn said(body: &[u8]) -> Said {
    let mut value = serde_json::from_slice::<Value>(body).unwrap_or(Value::Null);
    if let Value::String(text) = &value {
        value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone()));
    }
    let inner = value.get("error").filter(|inner| inner.is_object()).unwrap_or(&value);
    let text = |key: &str| inner.get(key).and_then(Value::as_str).map(str::to_owned);
    match (text("code"), text("message"), &value) {
        (None, None, Value::String(text)) => Said { code: None, message: cut(text) },
        (None, None, _) => Said { code: None, message: cut(&String::from_utf8_lossy(body)) },
        (code, message, _) => Said { code, message: cut(&message.unwrap_or_default()) },
    }
}

impl Said {
    fn told(&self, status: u16) -> String {
        match &self.code {
            Some(code) => format!("Azure says {status} `{code}`: {}", self.message),
            None if self.message.is_empty() => format!("Azure says {status}"),
            None => format!("Azure says {status}: {}", self.message),
        }
    }

    /// A message such as `… Please try again after '307' seconds.`
    fn pause(&self) -> Option<Duration> {
        let (_, tail) = self.message.split_once("try again after '")?;
        let (number, _) = tail.split_once('\'')?;
        number.parse().ok().map(Duration::from_secs)
    }

    fn is_about_a_limit(&self) -> bool {
        let message = self.message.to_ascii_lowercase();
        let about = ["exceed", "maximum number", "limit of"].iter().any(|part| message.contains(part));
        about && ["record", "metadata", "zone"].iter().any(|part| message.contains(part))
    }
}

fn cut(text: &str) -> String {
    text.chars().take(400).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Asked<'_> =
        Asked { what: "writing", right: "Microsoft.Network/dnsZones/A/write", scope: "the zone `a.b`" };

    fn failure(status: u16, body: &str, retry_after: Option<u64>) -> Failure {
        let retry_after = retry_after.map(Duration::from_secs);
        Refusal { status, body: body.as_bytes(), retry_after }.failure(ASKED)
    }

    #[test]
    fn each_row_of_the_table() {
        use ErrorKind as Kind;
        use Fate::{NotDone, Unknown};
        let long = RetryHint::After(Duration::from_secs(307));
        let throttled = r#"{"error":{"code":"ResourceRequestsThrottled","message":"Number of requests for action 'Microsoft.Network/dnsZones/CNAME/read' exceeded the limit of '500' for time interval '00:05:00'. Please try again after '307' seconds."}}"#;
        let held = r#""{\"code\":\"Throttled\",\"message\":\"Too many operations are requested. Current operation is throttled.\"}""#;
        let flat = |code: &str, message: &str| format!(r#"{{"code":"{code}","message":"{message}"}}"#);
        let wrapped = |code: &str| format!(r#"{{"error":{{"code":"{code}","message":"x"}}}}"#);
        for (status, body, kind, retry, fate) in [
            (
                400,
                flat("BadRequest", "The domain name '\\\"a.com\\\"' is invalid."),
                Kind::InvalidInput,
                RetryHint::Never,
                NotDone,
            ),
            (
                400,
                flat("BadRequest", "The number of records exceeds the limit"),
                Kind::LimitExceeded,
                RetryHint::Never,
                NotDone,
            ),
            (401, wrapped("InvalidAuthenticationToken"), Kind::Unauthenticated, RetryHint::Never, NotDone),
            (403, wrapped("AuthorizationFailed"), Kind::PermissionDenied, RetryHint::Never, NotDone),
            (404, wrapped("ResourceNotFound"), Kind::ZoneNotFound, RetryHint::Never, NotDone),
            (404, wrapped("ResourceGroupNotFound"), Kind::ConfigInvalid, RetryHint::Never, NotDone),
            (404, wrapped("SubscriptionNotFound"), Kind::ConfigInvalid, RetryHint::Never, NotDone),
            (408, String::new(), Kind::Timeout, RetryHint::Backoff, Unknown),
            (
                409,
                flat(
                    "Conflict",
                    "The CNAME record could not be created because another record with the same name already exists in this zone.",
                ),
                Kind::Conflict,
                RetryHint::Never,
                NotDone,
            ),
            (409, wrapped("ScopeLocked"), Kind::PermissionDenied, RetryHint::Never, NotDone),
            (409, wrapped("AnotherOperationInProgress"), Kind::Unavailable, RetryHint::Backoff, NotDone),
            (
                412,
                flat("PreconditionFailed", "The Record set www has been modified (etag mismatch)."),
                Kind::Conflict,
                RetryHint::Never,
                NotDone,
            ),
            (413, String::new(), Kind::LimitExceeded, RetryHint::Never, NotDone),
            (429, throttled.to_owned(), Kind::RateLimited, long, NotDone),
            (429, held.to_owned(), Kind::RateLimited, RetryHint::Backoff, NotDone),
            (429, flat("Throttled", "x"), Kind::RateLimited, RetryHint::Backoff, NotDone),
            (429, String::new(), Kind::RateLimited, RetryHint::Backoff, NotDone),
            (500, "<html>".to_owned(), Kind::Unavailable, RetryHint::Backoff, Unknown),
            (502, String::new(), Kind::Unavailable, RetryHint::Backoff, Unknown),
            (503, String::new(), Kind::Unavailable, RetryHint::Backoff, NotDone),
            (504, String::new(), Kind::Unavailable, RetryHint::Backoff, Unknown),
            (302, String::new(), Kind::Protocol, RetryHint::Never, Unknown),
        ] {
            let failure = failure(status, &body, None);
            let told = (failure.error.kind(), failure.error.retry(), failure.fate);
            assert_eq!(told, (kind, retry, fate), "{status} {body}: {}", failure.error);
        }
    }

    #[test]
    fn a_header_says_when_before_the_message_does() {
        let seven = RetryHint::After(Duration::from_secs(7));
        assert_eq!(failure(429, "Please try again after '307' seconds.", Some(7)).error.retry(), seven);
        assert_eq!(failure(503, "", Some(7)).error.retry(), seven);
        assert_eq!(failure(412, "", Some(7)).error.retry(), RetryHint::Never);
    }

    #[test]
    fn a_missing_right_is_named() {
        let text = failure(403, r#"{"error":{"code":"AuthorizationFailed","message":"no"}}"#, None).error.to_string();
        for part in
            ["Microsoft.Network/dnsZones/A/write", "the zone `a.b`", "DNS Zone Contributor", "`AuthorizationFailed`"]
        {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn an_absent_set_is_told_from_an_absent_zone() {
        let absent = |body: &str| Refusal { status: 404, body: body.as_bytes(), retry_after: None }.is_absent_set();
        assert!(absent(r#"{"code":"NotFound","message":"The resource record 'www' does not exist."}"#));
        assert!(!absent(
            r#"{"error":{"code":"ResourceNotFound","message":"The Resource 'Microsoft.Network/dnszones/a.b' was not found."}}"#
        ));
        assert!(!absent(""));
    }
}
