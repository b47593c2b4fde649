//! The DNS hosts that dns-syncd can write to, and the registry that opens them from a `[Global]` config file.
//!
//! Each backend is a module behind a cargo feature of its own name and an implementation of
//! [`dnsprovider::DnsProvider`]. [`gcfg`] reads the config dialect of federation v1, which the daemon's own file
//! uses too.

#[cfg(feature = "azure")]
pub mod azure;
#[cfg(any(feature = "azure", feature = "clouddns", feature = "route53"))]
mod cloud;
#[cfg(feature = "clouddns")]
pub mod clouddns;
#[cfg(feature = "coredns")]
pub mod coredns;
#[cfg(feature = "embedded")]
pub mod embedded;
pub mod gcfg;
pub mod registry;
#[cfg(feature = "route53")]
pub mod route53;
mod secret;

pub use registry::{OpenMode, Opened, ProviderConfig, Registry, Served};
pub use secret::SecretSource;
