//! The leadership as a Kubernetes `Lease`, as `kubectl get lease` shows it.
//!
//! The holder renews by replacing the object at the version that it wrote last, so of two that take it at once one gets
//! a conflict. Others judge by their own clock, whatever the times in it say. They look at it often, count a renewal from
//! the look before it, which did not see it yet, and take the lease at the moment when that was its duration ago: so it
//! goes to another within its duration, and not before. What else the record holds is in an annotation.
//!
//! Credentials are read anew after an attempt that the server did not accept or that did not reach it, so they may be
//! renewed in their files.
//!
//! Rights: `get`, `create` and `update` on `leases` of the group `coordination.k8s.io` in that namespace.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff;
use kube::api::{ObjectMeta, PostParams};
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, KubeconfigError};
use kube::{Api, Client, Config};

use super::{BootClock, Election, ElectionError, Record, Seat};
use crate::source::clusters::{chain, fill_from_plugin, plain, read_kubeconfig, unreadable};

/// Where the record lies at the lease.
const ANNOTATION: &str = "dns-syncd.io/leader";
/// The longest that a request may take; a lease is not renewed by an answer that comes later than that.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// Who stands by looks at the lease so many times in its duration. A look is one `get`.
const LOOKS: u32 = 15;
/// A renewal counts from the look before it, but from no longer ago than this part of the duration before it was seen: a
/// look may have come late. That and the two thirds in which the leader writes leave more than a fifth between the two.
const CREDIT: u32 = 10;
/// Reads and writes of one attempt: taken from one that ran out, or made anew, after a conflict once more.
const TRIES: usize = 3;

/// Which lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseOptions {
    /// Its name.
    pub name: String,
    /// Its namespace, when not that of the pod or of the kubeconfig's context.
    pub namespace: Option<String>,
    /// Where its API server is, when not in-cluster or as kubectl finds it.
    pub kubeconfig: Option<PathBuf>,
}

/// A lease in a cluster.
#[derive(Debug)]
pub struct LeaseElection {
    leases: Api<Lease>,
    /// Where the way to it was found, and can be found anew.
    options: Option<LeaseOptions>,
    /// The way or the credentials may be others by now.
    is_stale: bool,
    namespace: String,
    name: String,
    duration: Duration,
    clock: Arc<dyn BootClock>,
    /// As this process wrote it last.
    ours: Option<Lease>,
    /// As another process wrote it.
    theirs: Option<Theirs>,
    /// When the last look at it began that was answered.
    looked: Option<Duration>,
}

/// A lease of another process.
#[derive(Debug)]
struct Theirs {
    spec: LeaseSpec,
    /// When it is over, unless it is another one by then.
    ends: Duration,
}

impl LeaseElection {
    /// Reads the kubeconfig, or what a pod is given; asks nothing yet.
    ///
    /// # Errors
    /// When neither says where the API server is.
    pub async fn open(
        options: LeaseOptions,
        duration: Duration,
        clock: Arc<dyn BootClock>,
    ) -> Result<Self, ElectionError> {
        let (client, namespace) = connect(&options).await?;
        let (namespace, name) = (options.namespace.clone().unwrap_or(namespace), options.name.clone());
        Ok(Self { options: Some(options), ..Self::new(client, &namespace, &name, duration, clock) })
    }

    /// The lease of that name through a client.
    pub fn new(client: Client, namespace: &str, name: &str, duration: Duration, clock: Arc<dyn BootClock>) -> Self {
        Self {
            leases: Api::namespaced(client, namespace),
            options: None,
            is_stale: false,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            duration,
            clock,
            ours: None,
            theirs: None,
            looked: None,
        }
    }

    /// Replaces the lease at the version that `before` has, or creates it; `None` when somebody was faster.
    async fn write(&self, before: Option<&Lease>, holder: Option<&Record>) -> Result<Option<Lease>, Failure> {
        let now = MicroTime(jiff::Timestamp::now());
        let old = before.and_then(|lease| lease.spec.clone()).unwrap_or_default();
        let stays = holder.is_some_and(|record| old.holder_identity.as_ref() == Some(&record.holder));
        let transitions = old.lease_transitions.unwrap_or_default();
        let spec = LeaseSpec {
            holder_identity: Some(holder.map(|record| record.holder.clone()).unwrap_or_default()),
            lease_duration_seconds: Some(i32::try_from(self.duration.as_secs()).unwrap_or(i32::MAX)),
            acquire_time: if stays { old.acquire_time.clone() } else { Some(now.clone()) },
            renew_time: Some(now),
            lease_transitions: Some(match (before, holder) {
                (Some(_), Some(_)) if !stays => transitions.saturating_add(1),
                _ => transitions,
            }),
            ..old
        };
        let mut metadata = before.map_or_else(ObjectMeta::default, |lease| lease.metadata.clone());
        metadata.name = Some(self.name.clone());
        metadata.managed_fields = None;
        if let Some(record) = holder {
            metadata.annotations.get_or_insert_default().insert(ANNOTATION.to_owned(), record.text());
        }
        let lease = Lease { metadata, spec: Some(spec) };
        let params = PostParams::default();
        let written = match before {
            Some(_) => self.within("writing", self.leases.replace(&self.name, &params, &lease)).await,
            None => self.within("creating", self.leases.create(&params, &lease)).await,
        };
        match written {
            Ok(written) => Ok(Some(written)),
            Err(Failure { code: 409, .. }) => Ok(None),
            // Deleted meanwhile, or never there: the next try creates it, unless it is the namespace.
            Err(Failure { code: 404, .. }) if before.is_some() => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    async fn within<T>(
        &self,
        doing: &str,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, Failure> {
        let what = format!("{doing} {}", self.place());
        match tokio::time::timeout(REQUEST_LIMIT, request).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(kube::Error::Api(status))) => {
                let hint = match status.code {
                    401 | 403 => "; hint: it takes `get`, `create` and `update` on `leases` in `coordination.k8s.io`",
                    _ => "",
                };
                let message = format!("{what}: {}{hint}", status.message);
                let is_denied = matches!(status.code, 401 | 403 | 404);
                Err(Failure { code: status.code, error: ElectionError { message, is_denied } })
            }
            Ok(Err(error)) => {
                let message = format!("{what}: {}", plain(&error));
                Err(Failure { code: 0, error: ElectionError { message, is_denied: false } })
            }
            Err(_) => {
                let message = format!("{what}: no answer within {} s", REQUEST_LIMIT.as_secs());
                Err(Failure { code: 0, error: ElectionError { message, is_denied: false } })
            }
        }
    }

    /// Reads the lease; gives when that began as well.
    async fn look(&self) -> Result<(Option<Lease>, Duration), Failure> {
        let begun = self.clock.now();
        Ok((self.within("reading", self.leases.get_opt(&self.name)).await?, begun))
    }

    /// The lease is another process's, and not over by this process's clock.
    fn is_taken(&mut self, lease: &Lease, record: &Record) -> bool {
        let spec = lease.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.clone().unwrap_or_default();
        if holder.is_empty() || holder == record.holder {
            return false;
        }
        let now = self.clock.now();
        if let Some(theirs) = &self.theirs
            && theirs.spec == spec
        {
            return now < theirs.ends;
        }
        let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let duration = seconds.map_or(self.duration, Duration::from_secs);
        // At that look it was not written yet.
        let since = self.looked.map_or(now, |before| before.max(now.saturating_sub(duration / CREDIT)));
        self.theirs = Some(Theirs { spec, ends: since.saturating_add(duration) });
        true
    }

    /// Takes or renews it.
    async fn take(&mut self, record: &Record) -> Result<Seat, Failure> {
        let mut known = self.ours.clone();
        for _ in 0..TRIES {
            let (lease, looked) = match known.take() {
                Some(ours) => (Some(ours), self.looked),
                None => self.look().await.map(|(lease, begun)| (lease, Some(begun)))?,
            };
            let is_taken = lease.as_ref().is_some_and(|lease| self.is_taken(lease, record));
            self.looked = looked;
            if let Some(lease) = &lease
                && is_taken
            {
                self.ours = None;
                return Ok(Seat::Taken(of(lease)));
            }
            if let Some(written) = self.write(lease.as_ref(), Some(record)).await? {
                let transitions = written.spec.as_ref().and_then(|spec| spec.lease_transitions).unwrap_or_default();
                // A lease that was deleted counts its holders from the beginning.
                let acquired = written.spec.as_ref().and_then(|spec| spec.acquire_time.as_ref());
                let acquired = acquired.map_or(0, |time| time.0.as_microsecond().unsigned_abs());
                self.ours = Some(written);
                self.theirs = None;
                let term = acquired.wrapping_add(u64::from(transitions.unsigned_abs()));
                return Ok(Seat::Ours { fence: None, term });
            }
        }
        let message = format!("taking {}: others write it all the time", self.place());
        Err(Failure { code: 409, error: ElectionError { message, is_denied: false } })
    }
}

#[async_trait]
impl Election for LeaseElection {
    fn kind(&self) -> &'static str {
        "lease"
    }

    fn place(&self) -> String {
        format!("the lease `{}` in the namespace `{}`", self.name, self.namespace)
    }

    async fn attempt(&mut self, record: &Record) -> Result<Seat, ElectionError> {
        if self.is_stale
            && let Some(options) = &self.options
        {
            let (client, _) = connect(options).await?;
            self.leases = Api::namespaced(client, &self.namespace);
        }
        let taken = self.take(record).await;
        self.is_stale = taken.as_ref().is_err_and(|failure| matches!(failure.code, 0 | 401));
        taken.map_err(|failure| failure.error)
    }

    /// Nobody tells: it is looked at again soon, and at the moment when it is over.
    async fn changed(&mut self) {
        let Some(theirs) = &self.theirs else { return std::future::pending().await };
        let left = theirs.ends.saturating_sub(self.clock.now());
        tokio::time::sleep(left.min(self.duration / LOOKS)).await;
    }

    async fn resign(&mut self) {
        let Some(mut ours) = self.ours.take() else { return };
        let holder = |lease: &Lease| lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone());
        for _ in 0..TRIES {
            match self.write(Some(&ours), None).await {
                Ok(Some(_)) => return,
                // The answer to a renewal was lost: it stands there in a version that is not known.
                Ok(None) => match self.within("reading", self.leases.get_opt(&self.name)).await {
                    Ok(Some(lease)) if holder(&lease) == holder(&ours) => ours = lease,
                    _ => return,
                },
                Err(Failure { error, .. }) => {
                    tracing::warn!(error = error.message, "giving the leadership up failed; it runs out by itself");
                    return;
                }
            }
        }
    }
}

/// Reads the kubeconfig, or what a pod is given: a client, and the namespace that is the default there.
async fn connect(options: &LeaseOptions) -> Result<(Client, String), ElectionError> {
    let refused = |message: String| ElectionError { message, is_denied: true };
    let mut config = match &options.kubeconfig {
        Some(path) => {
            let of = |reason: String| refused(format!("`kubeconfig` in [Leader]: {reason}"));
            let read = Arc::unwrap_or_clone(read_kubeconfig(path).map_err(of)?);
            let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await;
            config.map_err(|error| of(format!("{}: it cannot be used: {}", path.display(), chain(&error))))?
        }
        None => Config::infer().await.map_err(|error| {
            let hint = "run in a pod, or set `kubeconfig` in [Leader]";
            let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref());
            let reason = match cause {
                Some(cause @ KubeconfigError::Parse(_)) => unreadable("KUBECONFIG or ~/.kube/config", cause),
                _ => error.to_string(),
            };
            refused(format!("finding the cluster of the lease: {reason}; hint: {hint}"))
        })?,
    };
    config.connect_timeout = Some(REQUEST_LIMIT);
    config.read_timeout = Some(REQUEST_LIMIT);
    let namespace = config.default_namespace.clone();
    let of = |reason: String| refused(format!("connecting to the cluster of the lease: {reason}"));
    fill_from_plugin(&mut config.auth_info, REQUEST_LIMIT).await.map_err(|loss| of(loss.reason))?;
    let builder = ClientBuilder::try_from(config).map_err(|error| of(plain(&error)))?;
    Ok((builder.build(), namespace))
}

/// A refused request and its HTTP status; 0 without an answer.
struct Failure {
    code: u16,
    error: ElectionError,
}

/// What another process says of itself.
fn of(lease: &Lease) -> Record {
    let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone()).unwrap_or_default();
    let text = lease.metadata.annotations.as_ref().and_then(|annotations| annotations.get(ANNOTATION));
    let mut record = text.map(|text| Record::read(text)).unwrap_or_default();
    record.holder = holder;
    record
}
