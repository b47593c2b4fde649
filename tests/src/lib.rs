//! Conformance suite that any `dnsprovider` backend can run, and the servers that end-to-end tests need.

#[cfg(feature = "servers")]
pub mod servers;
