//! What etcd says, as kinds of error, and whether a failed write may have been done.
//!
//! | gRPC code and message | kind | done? |
//! |---|---|---|
//! | could not connect; `no leader` | `Unavailable` | no |
//! | `UNAVAILABLE`, `CANCELLED`, `UNKNOWN`, `INTERNAL`, `ABORTED`, `DATA_LOSS` | `Unavailable` | perhaps |
//! | `DEADLINE_EXCEEDED`, no answer in time | `Timeout` | perhaps |
//! | `UNAUTHENTICATED`; `authentication failed`, `authentication is not enabled`, `user name is empty` | `Unauthenticated` | no |
//! | `PERMISSION_DENIED` | `PermissionDenied` | no |
//! | `too many operations in txn request`, `request is too large` | `LimitExceeded` | no |
//! | `RESOURCE_EXHAUSTED`, `database space exceeded` | `LimitExceeded` | no |
//! | `RESOURCE_EXHAUSTED`, other | `RateLimited` | no |
//! | `OUT_OF_RANGE`, `has been compacted` | `Conflict` | no |
//! | `OUT_OF_RANGE` of an answer that is too large to decode | `LimitExceeded` | perhaps |
//! | all else | `Protocol` | no |
//!
//! Source: etcd api/v3rpc/rpctypes/error.go,
//! <https://github.com/etcd-io/etcd/blob/main/api/v3rpc/rpctypes/error.go>.

use dnsprovider::{Error, ErrorKind};
use etcd_client::Error as EtcdError;
use tonic::Code;

pub(super) const NAME: &str = "coredns";

/// A failed request to etcd.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: Error,
    /// It is certain that nothing was done.
    pub(super) undone: bool,
    /// The connection is of no use any more; the next request makes a new one.
    pub(super) broken: bool,
    /// Another endpoint may answer, because this one was not reached.
    pub(super) unreached: bool,
    pub(super) says: Says,
}

/// Answers that the backend acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    TooManyOperations,
    TooLarge,
    Compacted,
    /// The answer was larger than this client takes.
    AnswerTooLarge,
    Other,
}

/// An error of this backend.
pub(super) fn error(kind: ErrorKind, message: impl Into<String>) -> Error {
    Error::new(kind, NAME, message)
}

impl Failure {
    /// No answer came in time.
    pub(super) fn timeout(doing: &str) -> Self {
        let error = error(ErrorKind::Timeout, format!("{doing}: etcd did not answer in time"));
        Self { error, undone: false, broken: true, unreached: false, says: Says::Other }
    }

    /// Nothing was sent.
    pub(super) fn local(error: Error) -> Self {
        Self { error, undone: true, broken: true, unreached: false, says: Says::Other }
    }

    pub(super) fn new(doing: &str, cause: EtcdError) -> Self {
        let (kind, undone, says) = match &cause {
            _ if unreached(&cause) => (ErrorKind::Unavailable, true, Says::Other),
            EtcdError::GRpcStatus(status) => judge(status.code(), status.message()),
            EtcdError::TransportError(_) | EtcdError::IoError(_) => (ErrorKind::Unavailable, false, Says::Other),
            EtcdError::WatchError(_) | EtcdError::EndpointError(_) | EtcdError::Internal(_) => {
                (ErrorKind::Unavailable, false, Says::Other)
            }
            EtcdError::InvalidArgs(_) | EtcdError::InvalidUri(_) => (ErrorKind::ConfigInvalid, true, Says::Other),
            _ => (ErrorKind::Protocol, false, Says::Other),
        };
        let broken = matches!(kind, ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Unauthenticated);
        let unreached = unreached(&cause);
        // The status alone: its `Display` repeats metadata and transport sources.
        let said = match &cause {
            EtcdError::GRpcStatus(status) => status.message().to_owned(),
            other => other.to_string(),
        };
        let error = if unreached {
            // The layers between repeat each other; the last one says what happened, such as a refused connection.
            error(kind, cut(&root(&cause)))
        } else {
            error(kind, format!("{doing}: etcd says `{}`", cut(&said))).with_source(cause)
        };
        Self { error, undone, broken, unreached, says }
    }
}

fn judge(code: Code, message: &str) -> (ErrorKind, bool, Says) {
    use ErrorKind as Kind;
    let says = |part: &str| message.contains(part);
    match code {
        _ if says("too many operations in txn request") => (Kind::LimitExceeded, true, Says::TooManyOperations),
        _ if says("request is too large") || says("trying to send message larger than max") => {
            (Kind::LimitExceeded, true, Says::TooLarge)
        }
        Code::ResourceExhausted if says("received message larger than max") => {
            (Kind::LimitExceeded, true, Says::TooLarge)
        }
        Code::ResourceExhausted if says("space exceeded") => (Kind::LimitExceeded, true, Says::Other),
        Code::ResourceExhausted => (Kind::RateLimited, true, Says::Other),
        Code::OutOfRange if says("compacted") => (Kind::Conflict, true, Says::Compacted),
        Code::OutOfRange if says("message length too large") => (Kind::LimitExceeded, false, Says::AnswerTooLarge),
        Code::Unauthenticated => (Kind::Unauthenticated, true, Says::Other),
        Code::InvalidArgument | Code::FailedPrecondition | Code::Unknown
            if says("authentication failed") || says("authentication is not enabled") || says("user name is empty") =>
        {
            (Kind::Unauthenticated, true, Says::Other)
        }
        Code::PermissionDenied => (Kind::PermissionDenied, true, Says::Other),
        Code::Unavailable if says("no leader") => (Kind::Unavailable, true, Says::Other),
        Code::DeadlineExceeded => (Kind::Timeout, false, Says::Other),
        Code::Unavailable | Code::Cancelled | Code::Unknown | Code::Internal | Code::Aborted | Code::DataLoss => {
            (Kind::Unavailable, false, Says::Other)
        }
        _ => (Kind::Protocol, true, Says::Other),
    }
}

/// True when no connection was made, so that the request cannot have left.
fn unreached(error: &EtcdError) -> bool {
    let EtcdError::GRpcStatus(status) = error else { return false };
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The innermost cause of a failed connection.
fn root(error: &EtcdError) -> String {
    let EtcdError::GRpcStatus(status) = error else { return error.to_string() };
    let mut text = status.message().to_owned();
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        text = error.to_string();
        cause = error.source();
    }
    text
}

fn cut(text: &str) -> String {
    text.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_of_etcd_has_its_kind() {
        let table = [
            (Code::InvalidArgument, "etcdserver: too many operations in txn request", ErrorKind::LimitExceeded, true),
            (Code::InvalidArgument, "etcdserver: request is too large", ErrorKind::LimitExceeded, true),
            (Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded", ErrorKind::LimitExceeded, true),
            (Code::ResourceExhausted, "etcdserver: too many requests", ErrorKind::RateLimited, true),
            (Code::Unauthenticated, "etcdserver: invalid auth token", ErrorKind::Unauthenticated, true),
            (
                Code::InvalidArgument,
                "etcdserver: authentication failed, invalid user ID or password",
                ErrorKind::Unauthenticated,
                true,
            ),
            (Code::PermissionDenied, "etcdserver: permission denied", ErrorKind::PermissionDenied, true),
            (Code::Unavailable, "etcdserver: no leader", ErrorKind::Unavailable, true),
            (Code::Unavailable, "etcdserver: request timed out", ErrorKind::Unavailable, false),
            (Code::Unavailable, "etcdserver: leader changed", ErrorKind::Unavailable, false),
            (Code::DeadlineExceeded, "context deadline exceeded", ErrorKind::Timeout, false),
            (Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted", ErrorKind::Conflict, true),
        ];
        for (code, message, kind, undone) in table {
            let failure = Failure::new("testing", EtcdError::GRpcStatus(tonic::Status::new(code, message)));
            assert_eq!((failure.error.kind(), failure.undone), (kind, undone), "{message}");
            assert!(failure.error.to_string().contains(message));
        }
    }
}
