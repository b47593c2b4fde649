//! What Cloud DNS says, as kinds of error, and whether a change may have been made.
//!
//! Decided by the HTTP status where that is enough, else by `errors[].reason`, never by text:
//!
//! | status, reason | kind | again? | done? |
//! |---|---|---|---|
//! | not connected, no token now | `Unavailable` | yes | no |
//! | no token | `Unauthenticated` | never | no |
//! | answer lost, 500 to 599 (`backendError`, `internalError`) | `Unavailable` | yes | perhaps |
//! | no answer in time, 408 | `Timeout` | yes | perhaps |
//! | answer that is not understood | `Protocol` | never | perhaps |
//! | 429; `rateLimitExceeded`, `userRateLimitExceeded`, `RATE_LIMIT_EXCEEDED` | `RateLimited` | yes, as `Retry-After` says | no |
//! | `dailyLimitExceeded` | `RateLimited` | in minutes | no |
//! | `quotaExceeded`, 413: larger than the project's quotas | `LimitExceeded` | never | no |
//! | 401 | `Unauthenticated` | never | no |
//! | `accessNotConfigured`, `SERVICE_DISABLED`, `inactiveBillingState`, `BILLING_DISABLED`, other 403 | `PermissionDenied` | never | no |
//! | `alreadyExists` (409), `conditionNotMet` and `preconditionFailed` (412), `cnameResourceRecordSetConflict`, `containerNotEmpty` | `Conflict` | never | no |
//! | `notFound` (404) of a set to be deleted | `Conflict` | never | no |
//! | other 404 | `ZoneNotFound` | never | no |
//! | other 400: `invalid`, `required`, `invalidZoneApex`, … | `InvalidInput` | never | no |
//! | 501, 405, other | `Protocol` | never | no |
//!
//! The sets that an answer blames are read in `blame`.
//!
//! Source: <https://cloud.google.com/dns/docs/error-messages>; bodies seen in kubernetes-sigs/external-dns#1028, #1710,
//! #3311 and #3715, hashicorp/terraform-provider-google#9112; <https://cloud.google.com/apis/design/errors> for the
//! reasons in capitals, which Google's common front gives.

use std::time::Duration;

use dnsprovider::{Error, ErrorKind, RetryHint};
use google_cloud_auth::errors::CredentialsError;
use google_cloud_gax::error::Error as SdkError;

use super::blame::{Entry, Place, entries};
use crate::cloud::{Failure, Fate};

pub(super) const NAME: &str = "google-clouddns";

/// A day's limit is not over in a moment; whoever raises it need not wait long.
const DAY_IS_FULL: Duration = Duration::from_mins(5);

/// An error of this backend.
pub(super) fn error(kind: ErrorKind, message: impl Into<String>) -> Error {
    Error::new(kind, NAME, message)
}

/// What is being asked for, in messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asking<'a> {
    /// Such as `reading a page of the zone`.
    pub(super) what: &'a str,
    /// The right that it needs, such as `dns.managedZones.list`.
    pub(super) right: &'a str,
    /// The zone's id, where it is about one.
    pub(super) zone: Option<&'a str>,
}

/// A request that failed.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) failure: Failure,
    /// The sets that the answer blames, with what it says of each. Only where the request was certainly not done.
    pub(super) places: Vec<(Place, Error)>,
}

/// Judges what the SDK gives for a request to the project.
pub(super) fn refusal(cause: &SdkError, asking: &Asking<'_>, project: &str) -> Refusal {
    let Asking { what, right, .. } = *asking;
    let Some(status) = cause.http_status_code() else {
        return Refusal { failure: unanswered(cause, asking), places: Vec::new() };
    };
    let entries = cause.status().map(entries).unwrap_or_default();
    let first = entries.first();
    let (kind, hint, fate) = judge(status, first.map_or("", |entry| &entry.reason), first);
    let hint = match (hint, retry_after(cause)) {
        (RetryHint::Backoff, Some(pause)) => RetryHint::After(pause),
        (hint, _) => hint,
    };
    let reason = first.map_or("", |entry| &entry.reason);
    let said = said(status, first, cause);
    let message = match kind {
        ErrorKind::PermissionDenied => format!("{what}: {said}; {}", remedy(reason, right, project)),
        ErrorKind::Unauthenticated => format!(
            "{what}: {said}; hint: Cloud DNS does not accept the credentials, see `credentials-file` or the application \
             default credentials"
        ),
        ErrorKind::ZoneNotFound => match asking.zone {
            Some(id) => format!("{what}: there is no zone with id `{id}` in the project `{project}`: {said}"),
            None => format!("{what} of the project `{project}`: {said}; hint: check `project-id`"),
        },
        _ => format!("{what}: {said}"),
    };
    let failure = Failure { error: error(kind, message).with_retry(hint), fate };
    let places = entries.iter().filter(|_| fate == Fate::NotDone).filter_map(|entry| {
        let place = entry.place.clone()?;
        let (kind, ..) = judge(status, &entry.reason, Some(entry));
        Some((place, error(kind, format!("{what}: Cloud DNS says `{}`: {}", entry.reason, entry.message))))
    });
    Refusal { failure, places: places.collect() }
}

fn judge(status: u16, reason: &str, entry: Option<&Entry>) -> (ErrorKind, RetryHint, Fate) {
    use ErrorKind as Kind;
    let again = |kind| (kind, RetryHint::Backoff, Fate::NotDone);
    let never = |kind| (kind, RetryHint::Never, Fate::NotDone);
    match (status, reason) {
        (501, _) => never(Kind::Protocol),
        (500..=599, _) => (Kind::Unavailable, RetryHint::Backoff, Fate::Unknown),
        (408, _) => (Kind::Timeout, RetryHint::Backoff, Fate::Unknown),
        (_, "dailyLimitExceeded") => (Kind::RateLimited, RetryHint::After(DAY_IS_FULL), Fate::NotDone),
        (429, _) | (403, "rateLimitExceeded" | "userRateLimitExceeded" | "RATE_LIMIT_EXCEEDED") => {
            again(Kind::RateLimited)
        }
        (401, _) => never(Kind::Unauthenticated),
        (413, _) | (403, "quotaExceeded") => never(Kind::LimitExceeded),
        (403, _) => never(Kind::PermissionDenied),
        (409 | 412, _)
        | (
            400,
            "alreadyExists"
            | "conditionNotMet"
            | "preconditionFailed"
            | "cnameResourceRecordSetConflict"
            | "containerNotEmpty",
        ) => never(Kind::Conflict),
        (404, _) if entry.is_some_and(|entry| entry.place.is_some()) => never(Kind::Conflict),
        (404, _) => never(Kind::ZoneNotFound),
        (400, _) => never(Kind::InvalidInput),
        _ => never(Kind::Protocol),
    }
}

/// What an answer says, in one line.
fn said(status: u16, first: Option<&Entry>, cause: &SdkError) -> String {
    match (first, cause.status()) {
        (Some(entry), _) if !entry.reason.is_empty() => {
            format!("Cloud DNS says `{}` ({status}): {}", entry.reason, cut(&entry.message))
        }
        (_, Some(told)) => format!("Cloud DNS answers {status}: {}", cut(&told.message)),
        _ => format!("the answer has HTTP status {status} and is not Cloud DNS's"),
    }
}

/// What somebody has to do about a 403.
fn remedy(reason: &str, right: &str, project: &str) -> String {
    match reason {
        "accessNotConfigured" | "SERVICE_DISABLED" => {
            format!("hint: turn Cloud DNS on with `gcloud services enable dns.googleapis.com --project {project}`")
        }
        "inactiveBillingState" | "BILLING_DISABLED" | "billingNotEnabled" => {
            format!("hint: turn billing on for the project `{project}`")
        }
        "ACCESS_TOKEN_SCOPE_INSUFFICIENT" | "insufficientPermissions" => format!(
            "it needs the right `{right}` on the project `{project}` and a token with the scope \
             `ndev.clouddns.readwrite`; hint: give the machine's account that scope or `cloud-platform`"
        ),
        _ => format!(
            "it needs the right `{right}` on the project `{project}`; hint: grant a role that has it, such as \
             `roles/dns.admin`, and check `project-id`"
        ),
    }
}

/// A request without an answer.
fn unanswered(cause: &SdkError, asking: &Asking<'_>) -> Failure {
    use ErrorKind as Kind;
    let (kind, hint, fate) = if cause.is_authentication() {
        let source = std::error::Error::source(cause).and_then(|source| source.downcast_ref::<CredentialsError>());
        if source.is_some_and(CredentialsError::is_transient) {
            (Kind::Unavailable, RetryHint::Backoff, Fate::NotDone)
        } else {
            (Kind::Unauthenticated, RetryHint::Never, Fate::NotDone)
        }
    } else if cause.is_connect() {
        (Kind::Unavailable, RetryHint::Backoff, Fate::NotDone)
    } else if cause.is_binding() || cause.is_serialization() {
        (Kind::InvalidInput, RetryHint::Never, Fate::NotDone)
    } else if cause.is_deserialization() {
        (Kind::Protocol, RetryHint::Never, Fate::Unknown)
    } else if cause.is_timeout() {
        (Kind::Timeout, RetryHint::Backoff, Fate::Unknown)
    } else {
        (Kind::Unavailable, RetryHint::Backoff, Fate::Unknown)
    };
    let said = match kind {
        Kind::Unauthenticated => "no access token can be had",
        Kind::Unavailable if cause.is_authentication() => "no access token can be had now",
        Kind::Unavailable if cause.is_connect() => "Cloud DNS cannot be reached",
        Kind::Protocol => "the answer is not understood",
        Kind::InvalidInput => "the request cannot be written",
        _ => "the answer was lost",
    };
    let error = error(kind, format!("{}: {said}: {}", asking.what, causes(cause))).with_retry(hint);
    Failure { error, fate }
}

/// An error and what lies below it. The SDK's errors repeat what is below them, so that is left out.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(below) = cause {
        let next = below.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = below.source();
    }
    cut(&text)
}

pub(super) fn cut(text: &str) -> String {
    text.chars().take(400).collect()
}

/// The `Retry-After` of an answer, in seconds; the date form was never seen from Google.
fn retry_after(cause: &SdkError) -> Option<Duration> {
    let value = cause.http_headers()?.get("retry-after")?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use google_cloud_gax::error::rpc::Status;

    use super::*;

    fn refused(status: u16, headers: &[(&'static str, &str)], body: &str) -> Refusal {
        let bytes = axum::body::Bytes::from(body.to_owned());
        let headers = headers.iter().map(|(name, value)| {
            (http::HeaderName::from_static(name), http::HeaderValue::from_str(value).expect("a value"))
        });
        let headers: http::HeaderMap = headers.collect();
        // As the SDK does with an answer.
        let cause = match Status::try_from(&bytes) {
            Ok(told) => SdkError::service_with_http_metadata(told, Some(status), Some(headers)),
            Err(_) => SdkError::http(status, headers, bytes),
        };
        let asking = Asking { what: "testing", right: "dns.changes.create", zone: Some("17") };
        refusal(&cause, &asking, "the-project")
    }

    fn body(status: u16, reason: &str, message: &str) -> String {
        let entry = serde_json::json!({"message": message, "domain": "global", "reason": reason});
        serde_json::json!({"error": {"code": status, "message": message, "errors": [entry]}}).to_string()
    }

    #[test]
    fn each_answer_has_its_kind() {
        use ErrorKind as Kind;
        use Fate::{NotDone, Unknown};
        for (status, reason, message, kind, fate, names) in [
            (
                409,
                "alreadyExists",
                "The resource 'entity.change.additions[3]' named 'a. (A)' already exists",
                Kind::Conflict,
                NotDone,
                true,
            ),
            (
                412,
                "conditionNotMet",
                "Precondition not met for 'entity.change.deletions[76]'",
                Kind::Conflict,
                NotDone,
                true,
            ),
            (412, "preconditionFailed", "", Kind::Conflict, NotDone, false),
            (
                400,
                "cnameResourceRecordSetConflict",
                "The resource record set 'entity.change.additions[www.example.com.][A]' is invalid because …",
                Kind::Conflict,
                NotDone,
                true,
            ),
            (
                400,
                "invalid",
                "Invalid value for 'entity.change.additions[0].name': '...'",
                Kind::InvalidInput,
                NotDone,
                true,
            ),
            (
                400,
                "invalidZoneApex",
                "The resource record set 'entity.change.deletions[0]' is invalid because …",
                Kind::InvalidInput,
                NotDone,
                true,
            ),
            (
                400,
                "containerNotEmpty",
                "The resource named 'z' cannot be deleted because it is not empty",
                Kind::Conflict,
                NotDone,
                false,
            ),
            (
                403,
                "quotaExceeded",
                "The change would exceed quota for additions per change.",
                Kind::LimitExceeded,
                NotDone,
                false,
            ),
            (403, "rateLimitExceeded", "", Kind::RateLimited, NotDone, false),
            (403, "userRateLimitExceeded", "", Kind::RateLimited, NotDone, false),
            (403, "dailyLimitExceeded", "", Kind::RateLimited, NotDone, false),
            (403, "forbidden", "Forbidden", Kind::PermissionDenied, NotDone, false),
            (403, "accessNotConfigured", "", Kind::PermissionDenied, NotDone, false),
            (403, "inactiveBillingState", "", Kind::PermissionDenied, NotDone, false),
            (
                429,
                "rateLimitExceeded",
                "Resource has been exhausted (e.g. check quota).",
                Kind::RateLimited,
                NotDone,
                false,
            ),
            (429, "quotaExceeded", "", Kind::RateLimited, NotDone, false),
            (
                404,
                "notFound",
                "The 'parameters.managedZone' resource named 'z' does not exist.",
                Kind::ZoneNotFound,
                NotDone,
                false,
            ),
            (
                404,
                "notFound",
                "The 'entity.change.deletions[1]' resource named 'a. (A)' does not exist.",
                Kind::Conflict,
                NotDone,
                true,
            ),
            (401, "authError", "Invalid Credentials", Kind::Unauthenticated, NotDone, false),
            (413, "", "", Kind::LimitExceeded, NotDone, false),
            (500, "internalError", "Internal Error", Kind::Unavailable, Unknown, false),
            (503, "backendError", "entity.change.additions[0]", Kind::Unavailable, Unknown, false),
            (501, "notImplemented", "", Kind::Protocol, NotDone, false),
            (408, "", "", Kind::Timeout, Unknown, false),
            (302, "", "", Kind::Protocol, NotDone, false),
        ] {
            let Refusal { failure, places } = refused(status, &[], &body(status, reason, message));
            let told = (failure.error.kind(), failure.fate, !places.is_empty());
            assert_eq!(told, (kind, fate, names), "{status} {reason} {message}");
            assert!(places.iter().all(|(_, error)| error.kind() == kind), "{places:?}");
        }
    }

    #[test]
    fn a_page_of_a_proxy_is_an_answer_too() {
        let Refusal { failure, .. } = refused(503, &[("retry-after", "7")], "<!DOCTYPE html>");
        assert_eq!((failure.error.kind(), failure.fate), (ErrorKind::Unavailable, Fate::Unknown));
        assert_eq!(failure.error.retry(), RetryHint::After(Duration::from_secs(7)));
        assert!(!failure.error.chain().contains("DOCTYPE"), "{}", failure.error.chain());
    }

    #[test]
    fn the_front_names_reasons_of_its_own() {
        let body = |status: &str, reason: &str| {
            let info = serde_json::json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason});
            serde_json::json!({"error": {"code": 1, "message": "m", "status": status, "details": [info]}}).to_string()
        };
        for (status, code, reason, kind, says) in [
            (429, "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED", ErrorKind::RateLimited, "RATE_LIMIT"),
            (403, "PERMISSION_DENIED", "SERVICE_DISABLED", ErrorKind::PermissionDenied, "gcloud services enable"),
            (403, "PERMISSION_DENIED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT", ErrorKind::PermissionDenied, "scope"),
            (403, "PERMISSION_DENIED", "IAM_PERMISSION_DENIED", ErrorKind::PermissionDenied, "`dns.changes.create`"),
            (401, "UNAUTHENTICATED", "ACCESS_TOKEN_EXPIRED", ErrorKind::Unauthenticated, "credentials-file"),
        ] {
            let error = refused(status, &[], &body(code, reason)).failure.error;
            assert_eq!(error.kind(), kind, "{reason}");
            assert!(error.message().contains(says), "{error}");
        }
    }

    #[test]
    fn a_pause_is_as_long_as_the_host_says() {
        let throttled = body(429, "rateLimitExceeded", "");
        for (headers, hint) in [
            (&[][..], RetryHint::Backoff),
            (&[("retry-after", "30")], RetryHint::After(Duration::from_secs(30))),
            (&[("retry-after", "soon")], RetryHint::Backoff),
        ] {
            assert_eq!(refused(429, headers, &throttled).failure.error.retry(), hint, "{headers:?}");
        }
        let day = refused(403, &[("retry-after", "1")], &body(403, "dailyLimitExceeded", ""));
        assert_eq!(day.failure.error.retry(), RetryHint::After(DAY_IS_FULL));
    }
}
