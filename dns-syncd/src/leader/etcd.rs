//! The leadership as a key in the provider's etcd; its create revision fences each transaction.

use std::time::Duration;

use async_trait::async_trait;
use dns_providers::coredns::{LeaderKey, LeaderSeat, Options};
use dnsprovider::{Error, ErrorKind};

use super::{Election, ElectionError, Record, Seat};

/// A key in etcd.
#[derive(Debug)]
pub struct EtcdElection {
    key: LeaderKey,
}

impl EtcdElection {
    /// The key of that name in the etcd of a provider; `name` holds whatever must not be shared, such as zone and claim.
    pub fn new(options: Options, name: &str, lease: Duration) -> Self {
        Self { key: LeaderKey::new(options, name, lease) }
    }
}

#[async_trait]
impl Election for EtcdElection {
    fn kind(&self) -> &'static str {
        "etcd"
    }

    fn place(&self) -> String {
        self.key.key().to_owned()
    }

    async fn attempt(&mut self, record: &Record) -> Result<Seat, ElectionError> {
        match self.key.take(&record.text()).await {
            Ok(LeaderSeat::Ours(fence)) => Ok(Seat::Ours { term: fence.token, fence: Some(fence) }),
            Ok(LeaderSeat::Taken(text)) => Ok(Seat::Taken(Record::read(&text))),
            Err(error) => Err(failed(&error)),
        }
    }

    async fn changed(&mut self) {
        self.key.changed().await;
    }

    async fn resign(&mut self) {
        if let Err(error) = self.key.give_up().await {
            tracing::warn!(error = error.chain(), "giving the leadership up failed; it runs out by itself");
        }
    }
}

fn failed(error: &Error) -> ElectionError {
    let is_denied = matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unauthenticated);
    ElectionError { message: error.chain(), is_denied }
}
