//! What the cloud backends share: the rate that a host grants an account, and one request until it is settled.
//!
//! Each attempt pays from the buckets of its kind of call ([`Bucket`]), is sent once with the SDK's own retries off, and
//! comes back as a value or as a [`Failure`] that says whether the host may have done it. [`Call::send`] tries again only
//! what is certainly not done, or what may be done twice.

mod bucket;
mod call;

#[cfg(feature = "azure")]
pub(crate) use bucket::Ahead;
pub(crate) use bucket::{Bucket, Turn};
pub(crate) use call::{Call, Failure, Fate};

/// Makes ring the crypto library of TLS where the program has not chosen one: the SDKs are built without their own.
pub(crate) fn install_tls() {
    // An error says that there is one already, which is as good.
    _ = rustls::crypto::ring::default_provider().install_default();
}
