//! Refusals in the words of the service, and the answers that a test may order as faults.
//!
//! The shape of the body is that of the recorded 400 of lexicon's recordings (2022). Texts of the messages come from
//! those, from `facts/observed-errors.json`, and from errors that users quoted in public issues, named beside each use.

use super::super::listener::Answer;
use super::xml::Element;

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The vendor's code.
    pub code: &'static str,
    /// The vendor's message; of a change batch all messages, in brackets.
    pub message: String,
}

impl Refusal {
    /// A refusal of any kind.
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// 400 `InvalidInput`.
    pub fn invalid_input(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidInput", message)
    }

    /// 400 `InvalidChangeBatch` with its list of messages.
    pub fn invalid_change_batch(messages: &[String]) -> Self {
        Self::new(400, "InvalidChangeBatch", format!("[{}]", messages.join(", ")))
    }

    /// 404 `NoSuchHostedZone`. Recorded in LocalStack's snapshots of 2026-01-12.
    pub fn no_such_hosted_zone(id: &str) -> Self {
        Self::new(404, "NoSuchHostedZone", format!("No hosted zone found with ID: {id}"))
    }

    /// The answer with this refusal.
    pub fn answer(&self) -> Answer {
        let error = Element::parent(
            "Error",
            vec![
                Element::text("Type", if self.status < 500 { "Sender" } else { "Receiver" }),
                Element::text("Code", self.code),
                Element::text("Message", &self.message),
            ],
        );
        let root = Element::parent("ErrorResponse", vec![error, Element::text("RequestId", REQUEST_ID)]);
        document(self.status, &root)
    }
}

/// What stands for the id of every request.
pub const REQUEST_ID: &str = "00000000-0000-4000-8000-000000000000";

/// An answer with a document.
pub(super) fn document(status: u16, root: &Element) -> Answer {
    Answer::new(status, root.document())
        .with_header("content-type", "text/xml")
        .with_header("x-amzn-requestid", REQUEST_ID)
}

/// HTTP 400 `Throttling`: more than five requests a second of the account. Source: boto/botocore#91.
pub fn throttling() -> Answer {
    Refusal::new(400, "Throttling", "Rate exceeded").answer()
}

/// HTTP 400 `ThrottlingException`, the name that the model gives to the same.
pub fn throttling_exception() -> Answer {
    Refusal::new(400, "ThrottlingException", "Rate exceeded").answer()
}

/// HTTP 429 from a proxy or a newer front end, without a code that the service knows; `Retry-After` in whole seconds.
pub fn too_many_requests(retry_after: Option<u32>) -> Answer {
    let answer = Answer::new(429, "Too Many Requests").with_header("content-type", "text/plain");
    match retry_after {
        Some(seconds) => answer.with_header("retry-after", &seconds.to_string()),
        None => answer,
    }
}

/// HTTP 400 `InvalidChangeBatch` in its other shape: a root of that name with one `Message` for each fault. The service
/// model still describes it (`InvalidChangeBatch` with `messages`); the fake itself answers as was recorded in 2022.
pub fn invalid_change_batch_as_list(messages: &[&str]) -> Answer {
    let messages = messages.iter().map(|message| Element::text("Message", *message)).collect();
    let messages = Element::parent("Messages", messages);
    document(400, &Element::parent("InvalidChangeBatch", vec![messages, Element::text("RequestId", REQUEST_ID)]))
}

/// HTTP 400 `PriorRequestNotComplete`: another change of the zone is under way.
/// Source: pcorliss/ruby_route_53#34, which quotes the body.
pub fn prior_request_not_complete() -> Answer {
    let message = "The request was rejected because Route 53 was still processing a prior request.";
    Refusal::new(400, "PriorRequestNotComplete", message).answer()
}

/// HTTP 503 `ServiceUnavailable` with the vendor's body; `Retry-After` in whole seconds.
pub fn service_unavailable(retry_after: Option<u32>) -> Answer {
    let answer = Refusal::new(503, "ServiceUnavailable", "Service is unavailable").answer();
    match retry_after {
        Some(seconds) => answer.with_header("retry-after", &seconds.to_string()),
        None => answer,
    }
}

/// HTTP 500 `InternalFailure`.
pub fn internal_failure() -> Answer {
    Refusal::new(500, "InternalFailure", "We encountered an internal error. Please try again.").answer()
}

/// HTTP 502 of a gateway: a page of HTML in place of a document.
pub fn bad_gateway() -> Answer {
    Answer::new(502, "<html><body>502 Bad Gateway</body></html>").with_header("content-type", "text/html")
}

/// HTTP 403 `ExpiredToken`: the session of the credentials is over.
pub fn expired_token() -> Answer {
    Refusal::new(403, "ExpiredToken", "The security token included in the request is expired").answer()
}

/// HTTP 403 `InvalidClientTokenId`: there is no such access key. Source: cert-manager/cert-manager#1929.
pub fn invalid_client_token() -> Answer {
    Refusal::new(403, "InvalidClientTokenId", "The security token included in the request is invalid.").answer()
}

/// HTTP 403 `SignatureDoesNotMatch`: the secret key is another. Source: agilord/aws_client#453.
pub fn signature_does_not_match() -> Answer {
    let message = "The request signature we calculated does not match the signature you provided. Check your AWS \
                   Secret Access Key and signing method. Consult the service documentation for details.";
    Refusal::new(403, "SignatureDoesNotMatch", message).answer()
}

/// HTTP 403 `AccessDenied` for an operation, on a zone where the right is one on zones.
/// Source of the text: cert-manager/cert-manager#6308 (2025).
pub fn access_denied(operation: &str, zone: Option<&str>) -> Answer {
    denied(operation, zone).answer()
}

pub(super) fn denied(operation: &str, zone: Option<&str>) -> Refusal {
    let resource = zone.map(|id| format!(" on resource: arn:aws:route53:::hostedzone/{id}")).unwrap_or_default();
    let message = format!(
        "User: arn:aws:iam::111111111111:user/dns is not authorized to perform: route53:{operation}{resource} because \
         no identity-based policy allows the route53:{operation} action"
    );
    Refusal::new(403, "AccessDenied", message)
}
