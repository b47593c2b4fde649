//! The signature of a request: its form and its scope. The signature itself is not computed, so any secret key will do.

use super::super::listener::Request;
use super::errors::Refusal;

/// The one region in which the service of the `aws` partition lets itself be called. Source: the model's endpoint rules.
pub(super) const REGION: &str = "us-east-1";
const SERVICE: &str = "route53";

/// Refuses what is not signed with Signature Version 4 for this service, region and day.
pub(super) fn check(request: &Request) -> Result<(), Refusal> {
    let Some(header) = request.header("authorization") else {
        return Err(Refusal::new(403, "MissingAuthenticationToken", "Missing Authentication Token"));
    };
    let incomplete = |what: &str| {
        let message = format!("Authorization header requires {what}. Authorization={header}");
        Refusal::new(400, "IncompleteSignature", message)
    };
    let Some(parts) = header.strip_prefix("AWS4-HMAC-SHA256 ") else {
        return Err(incomplete("the algorithm AWS4-HMAC-SHA256"));
    };
    let part = |name: &str| {
        let found = parts.split(',').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
        found.ok_or_else(|| incomplete(&format!("'{name}' parameter")))
    };
    let (credential, signed, signature) = (part("Credential")?, part("SignedHeaders")?, part("Signature")?);
    if signature.len() != 64 || !signature.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(incomplete("a 'Signature' of 64 hexadecimal digits"));
    }
    let Some(date) = request.header("x-amz-date") else {
        return Err(incomplete("existence of either a 'X-Amz-Date' or a 'Date' header"));
    };
    for name in ["host", "x-amz-date", "x-amz-security-token"] {
        let sent = name != "x-amz-security-token" || request.header(name).is_some();
        if sent && !signed.split(';').any(|other| other == name) {
            return Err(mismatch(&format!("'{name}' must be a 'SignedHeader' in the AWS Authorization.")));
        }
    }
    let scope: Vec<&str> = credential.split('/').collect();
    let [key, day, region, service, "aws4_request"] = scope[..] else {
        return Err(incomplete("a 'Credential' of key, date, region, service and aws4_request"));
    };
    if key.is_empty() {
        return Err(incomplete("an access key in 'Credential'"));
    }
    if !date.starts_with(day) || day.len() != 8 {
        return Err(mismatch("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date."));
    }
    if region != REGION {
        return Err(mismatch(&format!("Credential should be scoped to a valid region, not '{region}'.")));
    }
    if service != SERVICE {
        return Err(mismatch(&format!("Credential should be scoped to correct service: '{SERVICE}'.")));
    }
    Ok(())
}

fn mismatch(message: &str) -> Refusal {
    Refusal::new(403, "SignatureDoesNotMatch", message)
}
