//! What Route 53 says, as kinds of error, and whether a failed write may have been done.
//!
//! | HTTP status and code | kind | done? |
//! |---|---|---|
//! | `NoSuchHostedZone` | `ZoneNotFound` | no |
//! | `InvalidInput`, `InvalidDomainName`, `InvalidChangeBatch`, `InvalidArgument`, `MalformedInput`, `ValidationError` | `InvalidInput` | no |
//! | `HostedZoneAlreadyExists`, `ConflictingDomainExists`, `HostedZoneNotEmpty` | `Conflict` | no |
//! | `TooManyHostedZones`, `LimitsExceeded` | `LimitExceeded` | no |
//! | `PriorRequestNotComplete` (400) | `Unavailable`: goes again | no |
//! | `Throttling` (400), `ThrottlingException`, `TooManyRequestsException`, `RequestLimitExceeded`, `SlowDown`; 429; 503 | `RateLimited`: goes again, after `Retry-After` where it is given | no |
//! | `AccessDenied`, `AccessDeniedException`, `OptInRequired`; other 403 | `PermissionDenied` | no |
//! | `InvalidClientTokenId`, `UnrecognizedClientException`, `SignatureDoesNotMatch`, `ExpiredToken`, `IncompleteSignature`, `MissingAuthenticationToken`, `RequestExpired`, `RequestTimeTooSkewed` and their like; 401 | `Unauthenticated` | no |
//! | other 5xx | `Unavailable` | perhaps |
//! | no answer, or half of one | `Unavailable` | perhaps |
//! | no connection; credentials could not be had | `Unavailable`; `Unauthenticated`, `ConfigInvalid` | no |
//! | all else | `Protocol` | no, with 4xx |
//!
//! Sources: the service model of Route 53 2013-04-01; the errors common to all AWS services,
//! <https://docs.aws.amazon.com/Route53/latest/APIReference/CommonErrors.html>; throttling as HTTP 400:
//! <https://github.com/boto/botocore/issues/91>.

use std::error::Error as StdError;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_route53::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use dnsprovider::{Error, ErrorKind, RetryHint};

use crate::cloud::Failure;

pub(super) const NAME: &str = "aws-route53";

/// The calls that are made, for messages and rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    ListHostedZones,
    ListHostedZonesByName,
    CreateHostedZone,
    DeleteHostedZone,
    GetHostedZoneLimit,
    ListResourceRecordSets,
    ChangeResourceRecordSets,
}

impl Operation {
    pub(super) fn what(self) -> &'static str {
        match self {
            Self::ListHostedZones => "listing the zones",
            Self::ListHostedZonesByName => "listing the zones of one name",
            Self::CreateHostedZone => "creating a zone",
            Self::DeleteHostedZone => "deleting a zone",
            Self::GetHostedZoneLimit => "asking how many sets a zone may hold",
            Self::ListResourceRecordSets => "reading sets",
            Self::ChangeResourceRecordSets => "changing sets",
        }
    }

    /// What a policy must allow, and where.
    fn right(self) -> &'static str {
        match self {
            Self::ListHostedZones => "`route53:ListHostedZones` on `*`",
            Self::ListHostedZonesByName => "`route53:ListHostedZonesByName` on `*`",
            Self::CreateHostedZone => "`route53:CreateHostedZone` on `*`",
            Self::DeleteHostedZone => "`route53:DeleteHostedZone` on `arn:aws:route53:::hostedzone/ID`",
            Self::GetHostedZoneLimit => "`route53:GetHostedZoneLimit` on `arn:aws:route53:::hostedzone/ID`",
            Self::ListResourceRecordSets => "`route53:ListResourceRecordSets` on `arn:aws:route53:::hostedzone/ID`",
            Self::ChangeResourceRecordSets => "`route53:ChangeResourceRecordSets` on `arn:aws:route53:::hostedzone/ID`",
        }
    }
}

/// An error of this backend.
pub(super) fn error(kind: ErrorKind, message: impl Into<String>) -> Error {
    Error::new(kind, NAME, message)
}

/// The failure behind an error of the SDK.
pub(super) fn failure<E>(operation: Operation, cause: SdkError<E, HttpResponse>) -> Failure
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let what = operation.what();
    if let Some(credentials) = find::<CredentialsError>(&cause) {
        return Failure::not_done(no_credentials(what, credentials));
    }
    if let Some(response) = cause.raw_response() {
        let status = response.status().as_u16();
        if status < 500 && matches!(cause, SdkError::ResponseError(_)) {
            let message = format!("{what}: the connection ended in the middle of the answer (HTTP {status})");
            let error = error(ErrorKind::Unavailable, message).with_source(cause);
            return if status < 300 { Failure::unknown(error) } else { Failure::not_done(error) };
        }
        let after = response.headers().get("retry-after").and_then(|value| value.trim().parse().ok());
        return answered(operation, status, cause.code(), cause.message(), after.map(Duration::from_secs));
    }
    match cause {
        SdkError::ConstructionFailure(_) => Failure::not_done(
            error(ErrorKind::Protocol, format!("{what}: the request cannot be made")).with_source(cause),
        ),
        _ if never_connected(&cause) => {
            let message = format!("{what}: Route 53 cannot be reached");
            Failure::not_done(error(ErrorKind::Unavailable, message).with_source(cause))
        }
        _ => {
            let message = format!("{what}: the connection ended before the answer");
            Failure::unknown(error(ErrorKind::Unavailable, message).with_source(cause))
        }
    }
}

/// Judges an answer by status and code.
pub(super) fn answered(
    operation: Operation,
    status: u16,
    code: Option<&str>,
    message: Option<&str>,
    after: Option<Duration>,
) -> Failure {
    let what = operation.what();
    let said = match (code, message) {
        (Some(code), Some(message)) => format!("Route 53 says `{code}` (HTTP {status}): {}", cut(message)),
        (Some(code), None) => format!("Route 53 says `{code}` (HTTP {status})"),
        (None, _) => format!("Route 53 answers with HTTP {status} and no code"),
    };
    if status < 300 {
        let message = format!("{what}: Route 53 answers with HTTP {status}, and the answer cannot be read");
        return Failure::unknown(error(ErrorKind::Protocol, message));
    }
    let kind = kind(status, code);
    let hint = match kind {
        ErrorKind::PermissionDenied => format!("; hint: the policy must allow {}", operation.right()),
        ErrorKind::Unauthenticated if code == Some("RequestTimeTooSkewed") => "; hint: set the clock".to_owned(),
        ErrorKind::Unauthenticated => {
            "; hint: the access key is wrong, has expired or was removed; see the order in which credentials are looked for"
                .to_owned()
        }
        ErrorKind::LimitExceeded => "; hint: ask AWS for a higher quota".to_owned(),
        _ => String::new(),
    };
    let error = error(kind, format!("{what}: {said}{hint}"));
    let error = match after {
        Some(pause) if kind == ErrorKind::RateLimited => error.with_retry(RetryHint::After(pause)),
        _ => error,
    };
    // A 503 is a call turned away at the door, as a throttled one is. Of other server errors nobody knows.
    let perhaps = status >= 500 && kind != ErrorKind::RateLimited;
    if perhaps { Failure::unknown(error) } else { Failure::not_done(error) }
}

fn kind(status: u16, code: Option<&str>) -> ErrorKind {
    match (code.unwrap_or_default(), status) {
        ("NoSuchHostedZone", _) => ErrorKind::ZoneNotFound,
        (
            "InvalidInput"
            | "InvalidDomainName"
            | "InvalidChangeBatch"
            | "InvalidArgument"
            | "MalformedInput"
            | "ValidationError"
            | "ValidationException",
            _,
        ) => ErrorKind::InvalidInput,
        ("HostedZoneAlreadyExists" | "ConflictingDomainExists" | "HostedZoneNotEmpty", _) => ErrorKind::Conflict,
        ("TooManyHostedZones" | "LimitsExceeded", _) => ErrorKind::LimitExceeded,
        ("PriorRequestNotComplete", _) => ErrorKind::Unavailable,
        (
            "Throttling"
            | "ThrottlingException"
            | "ThrottledException"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "TooManyRequestsException"
            | "RequestLimitExceeded"
            | "SlowDown",
            _,
        )
        | (_, 429 | 503) => ErrorKind::RateLimited,
        ("AccessDenied" | "AccessDeniedException" | "NotAuthorized" | "OptInRequired", _) => {
            ErrorKind::PermissionDenied
        }
        (
            "InvalidClientTokenId"
            | "InvalidAccessKeyId"
            | "UnrecognizedClientException"
            | "SignatureDoesNotMatch"
            | "InvalidSignatureException"
            | "ExpiredToken"
            | "ExpiredTokenException"
            | "IncompleteSignature"
            | "IncompleteSignatureException"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "RequestExpired"
            | "RequestTimeTooSkewed"
            | "AuthFailure",
            _,
        )
        | (_, 401) => ErrorKind::Unauthenticated,
        (_, 403) => ErrorKind::PermissionDenied,
        (_, 500..) => ErrorKind::Unavailable,
        _ => ErrorKind::Protocol,
    }
}

fn no_credentials(what: &str, cause: &CredentialsError) -> Error {
    let (kind, why) = match cause {
        CredentialsError::CredentialsNotLoaded(_) => (
            ErrorKind::Unauthenticated,
            "no AWS credentials were found; hint: give `access-key-id` and `secret-access-key`, a `profile`, or run where \
             the default chain finds some",
        ),
        CredentialsError::InvalidConfiguration(_) => {
            (ErrorKind::ConfigInvalid, "the AWS credentials are configured wrongly")
        }
        CredentialsError::ProviderTimedOut(_) => (ErrorKind::Unavailable, "no AWS credentials could be had in time"),
        _ => (ErrorKind::Unauthenticated, "AWS credentials could not be had"),
    };
    let mut text = format!("{what}: {why}");
    // The chain is told here: the cause is borrowed from an error that cannot be kept.
    let mut below = cause.source();
    while let Some(cause) = below {
        text.push_str(": ");
        text.push_str(&cut(&cause.to_string()));
        below = cause.source();
    }
    error(kind, text)
}

/// True when no connection was made, so that the request cannot have left.
fn never_connected(cause: &(dyn StdError + 'static)) -> bool {
    use std::io::ErrorKind::{AddrNotAvailable, ConnectionRefused, HostUnreachable, NetworkUnreachable};
    let io = find::<std::io::Error>(cause).map(std::io::Error::kind);
    matches!(io, Some(ConnectionRefused | HostUnreachable | NetworkUnreachable | AddrNotAvailable))
        // Of names that are not found and of TLS, whose error types are behind the client.
        || chain(cause).any(|cause| cause.to_string() == "client error (Connect)")
}

fn find<'a, T: StdError + 'static>(cause: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    chain(cause).find_map(|cause| cause.downcast_ref())
}

fn chain<'a>(cause: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(cause), |cause: &&'a (dyn StdError + 'static)| (*cause).source())
}

/// As much of a text as a message bears.
pub(super) fn cut(text: &str) -> String {
    text.chars().take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::Fate;

    #[test]
    fn each_answer_has_its_kind() {
        use ErrorKind::{
            Conflict, InvalidInput, LimitExceeded, PermissionDenied, Protocol, RateLimited, Unauthenticated,
            Unavailable, ZoneNotFound,
        };
        for (status, code, kind, fate) in [
            (404, "NoSuchHostedZone", ZoneNotFound, Fate::NotDone),
            (400, "InvalidInput", InvalidInput, Fate::NotDone),
            (400, "InvalidDomainName", InvalidInput, Fate::NotDone),
            (400, "InvalidChangeBatch", InvalidInput, Fate::NotDone),
            (409, "HostedZoneAlreadyExists", Conflict, Fate::NotDone),
            (400, "ConflictingDomainExists", Conflict, Fate::NotDone),
            (400, "HostedZoneNotEmpty", Conflict, Fate::NotDone),
            (400, "TooManyHostedZones", LimitExceeded, Fate::NotDone),
            (400, "PriorRequestNotComplete", Unavailable, Fate::NotDone),
            (400, "Throttling", RateLimited, Fate::NotDone),
            (400, "ThrottlingException", RateLimited, Fate::NotDone),
            (429, "", RateLimited, Fate::NotDone),
            (503, "ServiceUnavailable", RateLimited, Fate::NotDone),
            (503, "", RateLimited, Fate::NotDone),
            (403, "AccessDenied", PermissionDenied, Fate::NotDone),
            (400, "AccessDeniedException", PermissionDenied, Fate::NotDone),
            (403, "", PermissionDenied, Fate::NotDone),
            (403, "InvalidClientTokenId", Unauthenticated, Fate::NotDone),
            (403, "SignatureDoesNotMatch", Unauthenticated, Fate::NotDone),
            (403, "ExpiredToken", Unauthenticated, Fate::NotDone),
            (400, "RequestExpired", Unauthenticated, Fate::NotDone),
            (401, "", Unauthenticated, Fate::NotDone),
            (500, "InternalFailure", Unavailable, Fate::Unknown),
            (502, "", Unavailable, Fate::Unknown),
            (504, "", Unavailable, Fate::Unknown),
            (400, "NeverHeard", Protocol, Fate::NotDone),
            (200, "", Protocol, Fate::Unknown),
        ] {
            let code = Some(code).filter(|code| !code.is_empty());
            let failure = answered(Operation::ChangeResourceRecordSets, status, code, Some("why"), None);
            assert_eq!((failure.error.kind(), failure.fate), (kind, fate), "{status} {code:?}");
            let text = failure.error.to_string();
            assert!(text.contains(&format!("HTTP {status}")), "{text}");
            assert!(code.is_none_or(|code| text.contains(&format!("`{code}`")) && text.contains("why")), "{text}");
        }
    }

    #[test]
    fn the_pause_that_the_host_asks_for_is_kept() {
        let pause = Duration::from_secs(7);
        let failure = answered(Operation::ListHostedZones, 429, None, None, Some(pause));
        assert_eq!(failure.error.retry(), RetryHint::After(pause));
        let failure = answered(Operation::ListHostedZones, 400, Some("Throttling"), None, None);
        assert_eq!(failure.error.retry(), RetryHint::Backoff);
    }
}
