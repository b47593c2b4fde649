//! Who may make changes.

use std::net::SocketAddr;
use std::path::Path;

use axum::http::{HeaderMap, StatusCode, header};

/// Judges a request for a change: by its token where there is a file with one, else by where it comes from.
///
/// # Errors
/// With the status and text of the refusal.
pub(super) fn judge(
    token_file: Option<&Path>,
    peer: SocketAddr,
    headers: &HeaderMap,
) -> Result<(), (StatusCode, String)> {
    let Some(path) = token_file else {
        let loopback = peer.ip().to_canonical().is_loopback();
        let text = "changes are taken from loopback only; hint: set [Admin] token-file";
        return if loopback { Ok(()) } else { Err((StatusCode::FORBIDDEN, text.into())) };
    };
    // Read each time, so that a renewed token holds at once; it is a few octets.
    let token = std::fs::read_to_string(path).map_err(|error| {
        tracing::error!(path = %path.display(), %error, "reading the admin token failed");
        (StatusCode::INTERNAL_SERVER_ERROR, "the token file cannot be read".to_owned())
    })?;
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default().trim();
    let token = token.trim();
    if token.is_empty() || !equal(given.as_bytes(), token.as_bytes()) {
        return Err((StatusCode::UNAUTHORIZED, "the request needs `Authorization: Bearer` with the token".into()));
    }
    Ok(())
}

/// Compares without telling by its length of time where the first difference is.
fn equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |different, (a, b)| different | (a ^ b)) == 0
}
