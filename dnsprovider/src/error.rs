//! The one error type of the contract.

use std::fmt;
use std::time::Duration;

use crate::name::{Fqdn, NameError};
use crate::record::{RrKey, RrSetError};

/// The cause beneath an error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// A failed call, or a failed change inside one.
///
/// `Display` says what was being done and with which value, never the cause below it: walk [`std::error::Error::source`]
/// for the chain. Secrets appear in neither.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    retry: RetryHint,
    provider: &'static str,
    zone: Option<Fqdn>,
    key: Option<RrKey>,
    message: String,
    source: Option<BoxError>,
}

/// What the caller may do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A value of the caller's breaks the contract or DNS; mend the value.
    InvalidInput,
    /// The provider's config file is wrong; mend the file.
    ConfigInvalid,
    /// The remote does not know who calls; mend the credentials.
    Unauthenticated,
    /// The caller lacks a right; grant it.
    PermissionDenied,
    /// There is no such zone; create it or name another.
    ZoneNotFound,
    /// Something changed since it was read; read again and decide again.
    Conflict,
    /// The backend cannot do this; see its capabilities. Nothing was sent.
    Unsupported,
    /// The request or the zone is larger than the host allows; send less.
    LimitExceeded,
    /// Too many calls; wait as the retry hint says.
    RateLimited,
    /// The remote cannot be reached or is out of order; try later.
    Unavailable,
    /// No answer in time; whether it was done is unknown.
    Timeout,
    /// The remote said something that is not understood; report it.
    Protocol,
}

impl ErrorKind {
    /// Lower-case words for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidInput => "invalid input",
            Self::ConfigInvalid => "invalid config",
            Self::Unauthenticated => "unauthenticated",
            Self::PermissionDenied => "permission denied",
            Self::ZoneNotFound => "zone not found",
            Self::Conflict => "conflict",
            Self::Unsupported => "unsupported",
            Self::LimitExceeded => "limit exceeded",
            Self::RateLimited => "rate limited",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Protocol => "protocol error",
        }
    }
}

/// Whether the same request may succeed later without anybody mending anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryHint {
    /// It will not.
    Never,
    /// It may, after a pause of the caller's choice.
    Backoff,
    /// It may, after this time.
    After(Duration),
}

impl Error {
    /// An error of `provider`. The retry hint follows the kind; set another with [`Error::with_retry`].
    pub fn new(kind: ErrorKind, provider: &'static str, message: impl Into<String>) -> Self {
        let retry = match kind {
            ErrorKind::RateLimited | ErrorKind::Unavailable | ErrorKind::Timeout => RetryHint::Backoff,
            _ => RetryHint::Never,
        };
        Self(Box::new(Inner { kind, retry, provider, zone: None, key: None, message: message.into(), source: None }))
    }

    /// Says when a retry makes sense.
    #[must_use]
    pub fn with_retry(mut self, retry: RetryHint) -> Self {
        self.0.retry = retry;
        self
    }

    /// Names the zone.
    #[must_use]
    pub fn with_zone(mut self, zone: &Fqdn) -> Self {
        self.0.zone = Some(zone.clone());
        self
    }

    /// Names the record set.
    #[must_use]
    pub fn with_key(mut self, key: &RrKey) -> Self {
        self.0.key = Some(key.clone());
        self
    }

    /// Attaches the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What the caller may do.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether trying again makes sense.
    pub fn retry(&self) -> RetryHint {
        self.0.retry
    }

    /// Name of the provider, as in a config.
    pub fn provider(&self) -> &'static str {
        self.0.provider
    }

    /// What was being done, without the values and causes around it.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The zone, where there is one.
    pub fn zone(&self) -> Option<&Fqdn> {
        self.0.zone.as_ref()
    }

    /// The record set, where the error is about a single one.
    pub fn key(&self) -> Option<&RrKey> {
        self.0.key.as_ref()
    }

    /// The message and all causes below it, joined by `: `. For logs and terminals.
    pub fn chain(&self) -> String {
        use std::error::Error as _;
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let next = error.to_string();
            if !text.ends_with(&next) {
                text.push_str(": ");
                text.push_str(&next);
            }
            cause = error.source();
        }
        text
    }

    /// The same error for another record set: one call failed, all its changes are told.
    #[must_use]
    pub fn duplicate_for(&self, key: &RrKey) -> Self {
        Self(Box::new(Inner {
            kind: self.0.kind,
            retry: self.0.retry,
            provider: self.0.provider,
            zone: self.0.zone.clone(),
            key: Some(key.clone()),
            message: self.chain_without_prefix(),
            source: None,
        }))
    }

    fn chain_without_prefix(&self) -> String {
        let whole = self.chain();
        let bare = self.to_string();
        let tail = &whole[bare.len().min(whole.len())..];
        format!("{}{tail}", self.0.message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.provider, self.0.message)?;
        if let Some(key) = &self.0.key {
            write!(f, " (record set `{key}`)")?;
        } else if let Some(zone) = &self.0.zone {
            write!(f, " (zone `{zone}`)")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| &**source as &(dyn std::error::Error + 'static))
    }
}

impl From<NameError> for Error {
    fn from(error: NameError) -> Self {
        Self::new(ErrorKind::InvalidInput, "dnsprovider", error.to_string())
    }
}

impl From<RrSetError> for Error {
    fn from(error: RrSetError) -> Self {
        Self::new(ErrorKind::InvalidInput, "dnsprovider", error.to_string())
    }
}
