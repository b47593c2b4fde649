//! Certificates of throwaway keys (P-256) that guard nothing, for tests of TLS on loopback.
//!
//! Fixed texts and not made at run time, because a certificate that has expired cannot be had by waiting. The others hold
//! until 2119. The authority's own key was thrown away: who needs another certificate makes all of them anew, with
//! `openssl ca -startdate … -enddate …`.

/// The authority that has signed the others.
pub const AUTHORITY: &str = include_str!("certificates/authority.crt");
/// A server at 127.0.0.1.
pub const SERVER: &str = include_str!("certificates/server.crt");
/// The same server until 2021.
pub const SERVER_EXPIRED: &str = include_str!("certificates/server-expired.crt");
/// The key of both.
pub const SERVER_KEY: &str = include_str!("certificates/server.key");
/// The user `dns-syncd`.
pub const CLIENT: &str = include_str!("certificates/client.crt");
/// The same user, in another certificate.
pub const CLIENT_NEXT: &str = include_str!("certificates/client-next.crt");
/// The same user until 2021.
pub const CLIENT_EXPIRED: &str = include_str!("certificates/client-expired.crt");
/// The key of all three.
pub const CLIENT_KEY: &str = include_str!("certificates/client.key");
