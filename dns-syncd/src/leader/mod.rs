//! Who of several processes may write.
//!
//! Processes of one claim and zone elect one leader; the others stand by: they follow sources and zone, plan, and
//! write nothing. Three parts:
//!
//! - [`Election`] is the place where the leadership lies: [`LeaseElection`] a Kubernetes `Lease`, [`EtcdElection`] a key
//!   in the provider's etcd. It takes, renews or gives up, one request each, and decides nothing.
//! - [`Campaign`] runs for the leadership as long as the process lives: a fifth of the lease after each attempt comes
//!   the next, or at once when the place changes or may have; after one that failed nothing shortens the wait.
//! - [`Leader`] is what all others see: whether this process leads now, and what a write must carry.
//!
//! **Time.** A lease counts from the begin of the attempt that took or renewed it, on a clock that goes on while the
//! machine is suspended ([`BootClock`]). After two thirds of it nothing more is sent, so a call that is on its way has a
//! third of the lease to arrive. With a `Lease` it has at least 7/30: a standby learns of a renewal when it next reads the
//! object, and counts it from up to a tenth of the lease before that. A process that slept longer finds its time over
//! before it sends anything.
//!
//! **Fence.** In etcd the leader's key is compared in each transaction, so even what was sent in time and arrives late
//! changes nothing. The clouds and a `Lease` have no such compare: there a late write conflicts (exact pre-images,
//! ETags), or changes a set that nobody has touched since, which the new leader's audit repairs.
//!
//! **Agreement.** The leader's [`Record`] names its work. A process with other work (federation, claim, zone, suffix,
//! source) is refused while that leader lives: it would undo what the leader does. It goes on asking, and is not ready.
//!
//! **Without an election** (`kind = none`) a process leads always. In etcd it holds a key all the same
//! ([`Candidate::presence`]), so that a second daemon with its claim says so and does not write. The clouds and
//! `memory` have no place for such a key that others would not see in DNS, so there two daemons of one claim cannot tell;
//! `embedded` locks its `data-dir`.
//!
//! A graceful end gives the leadership up, and another process has it at once (etcd) or when it next reads the object,
//! which it does fifteen times in a lease (`Lease`). After a crash another has it when the lease is over, counted from its last
//! renewal.

mod campaign;
mod clock;
#[cfg(feature = "coredns")]
mod etcd;
mod lease;
mod record;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dnsprovider::{ApplyContext, Fence, TimeLeft};
use serde::Serialize;
use tokio::sync::watch;

pub use campaign::{Campaign, Candidate};
pub use clock::{BootClock, SystemBootClock};
#[cfg(feature = "coredns")]
pub use etcd::EtcdElection;
pub use lease::{LeaseElection, LeaseOptions};
pub use record::Record;

/// Where a leadership lies.
#[async_trait]
pub trait Election: Send + fmt::Debug {
    /// The kind as `[Leader] kind` calls it.
    fn kind(&self) -> &'static str;

    /// Where the leadership lies, for people.
    fn place(&self) -> String;

    /// Takes the leadership where nobody has it, or renews it. What is taken counts from the begin of the call.
    ///
    /// # Errors
    /// When the place cannot be asked; whoever led may lead still.
    async fn attempt(&mut self, record: &Record) -> Result<Seat, ElectionError>;

    /// Waits until somebody may have changed the leadership; for ever where nobody tells. A change that no attempt has
    /// looked at yet is told again at once.
    async fn changed(&mut self);

    /// Gives the leadership up, when this process has it.
    async fn resign(&mut self);
}

/// What an attempt came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seat {
    /// This process leads.
    Ours {
        /// What each write must carry, where the host can compare it.
        fence: Option<Fence>,
        /// Different from what it was when somebody else may have led meanwhile.
        term: u64,
    },
    /// Another process leads.
    Taken(Record),
}

/// Why the place of the leadership cannot be asked.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ElectionError {
    /// What was done, and why it failed.
    pub message: String,
    /// It lacks a right or the place is not there: trying again does not help.
    pub is_denied: bool,
}

/// How a process stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leadership {
    /// Nothing is known yet, or any more; why, where there is a reason.
    Unsure(Option<String>),
    /// It may write until this time of the [`BootClock`]; without a limit where nobody can take it away.
    Leading {
        /// Changes when somebody else may have led meanwhile.
        term: u64,
        /// What each write must carry.
        fence: Option<Fence>,
        /// Nothing is sent after it.
        until: Option<Duration>,
    },
    /// Another process leads, and does the same work.
    Standby(Record),
    /// Another process leads, and its work differs.
    Refused(Record, Vec<String>),
}

/// The time left where nobody can take the leadership away; no call takes as long, and it can be added to any clock.
const UNLIMITED: Duration = Duration::from_hours(24);

/// What a process is called: its name, or its host's, and a few letters that tell it from the one before it there.
pub fn identity(name: Option<&str>) -> String {
    let host = || rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{}_{:08x}", name.map_or_else(host, str::to_owned), rand::random::<u32>())
}

//----------- Leader ---------------------------------------------------------

/// Tells whether this process may write. Clones tell the same.
#[derive(Clone, Debug, Default)]
pub struct Leader(Option<Follower>);

#[derive(Clone, Debug)]
struct Follower {
    state: watch::Receiver<Leadership>,
    clock: Arc<dyn BootClock>,
    about: Arc<About>,
}

/// What does not change.
#[derive(Debug)]
struct About {
    kind: &'static str,
    place: String,
    identity: String,
}

/// How a process stands, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeaderReport {
    /// `leader`, `standby`, `refused` or `unsure`.
    pub role: &'static str,
    /// As `[Leader] kind`.
    pub kind: &'static str,
    /// Where the leadership lies.
    pub place: String,
    /// This process.
    pub identity: String,
    /// The process that leads, where one is known.
    pub leader: Option<String>,
    /// In what the leader's work differs from this process's.
    pub differences: Vec<String>,
    /// Why nothing is known.
    pub error: Option<String>,
}

/// What a write carries.
#[derive(Clone, Debug)]
pub(crate) struct Permit {
    pub(crate) fence: Option<Fence>,
    follower: Option<(Follower, u64)>,
}

impl Permit {
    /// The time in which more may be sent; zero when another term has begun or this one is over.
    pub(crate) fn time_left(&self) -> Duration {
        let Some((follower, term)) = &self.follower else { return UNLIMITED };
        follower.lead().filter(|(now, ..)| now == term).map_or(Duration::ZERO, |(.., left)| left)
    }
}

impl Leader {
    /// A process that runs alone, and always leads.
    pub fn alone() -> Self {
        Self(None)
    }

    /// The term in which this process leads now; `None` while it does not.
    pub fn term(&self) -> Option<u64> {
        match &self.0 {
            None => Some(0),
            Some(follower) => follower.lead().map(|(term, ..)| term),
        }
    }

    /// How this process stands; `None` for one that runs alone.
    pub fn state(&self) -> Option<Leadership> {
        self.0.as_ref().map(|follower| {
            let state = follower.state.borrow().clone();
            match state {
                Leadership::Leading { .. } if follower.lead().is_none() => Leadership::Unsure(None),
                state => state,
            }
        })
    }

    /// The same for people; `None` for a process that runs alone.
    pub fn report(&self) -> Option<LeaderReport> {
        let (About { kind, place, identity }, state) = (&*self.0.as_ref()?.about, self.state()?);
        let (role, leader, differences, error) = match state {
            Leadership::Leading { .. } => ("leader", Some(identity.clone()), Vec::new(), None),
            Leadership::Standby(record) => ("standby", Some(record.holder), Vec::new(), None),
            Leadership::Refused(record, differences) => ("refused", Some(record.holder), differences, None),
            Leadership::Unsure(error) => ("unsure", None, Vec::new(), error),
        };
        let (place, identity) = (place.clone(), identity.clone());
        Some(LeaderReport { role, kind, place, identity, leader, differences, error })
    }

    /// What a write must carry now; `None` while this process does not lead.
    pub(crate) fn permit(&self) -> Option<Permit> {
        let Some(follower) = &self.0 else { return Some(Permit { fence: None, follower: None }) };
        let (term, fence, _) = follower.lead()?;
        Some(Permit { fence, follower: Some((follower.clone(), term)) })
    }

    /// What a write of this process carries from now on; `None` while it does not lead.
    pub fn write_context(&self) -> Option<ApplyContext> {
        let permit = self.permit()?;
        let fence = permit.fence.clone();
        let time_left = self.0.is_some().then(|| Arc::new(move || permit.time_left()) as TimeLeft);
        Some(ApplyContext { fence, time_left, ..ApplyContext::default() })
    }

    /// Waits until something changes; for ever when nothing can.
    pub(crate) async fn changed(&mut self) {
        if let Some(follower) = &mut self.0
            && follower.state.changed().await.is_ok()
        {
            return;
        }
        std::future::pending::<()>().await;
    }

    /// Waits until the first attempt has shown something; gives how this process stands.
    pub async fn settled(&mut self) -> Option<Leadership> {
        while let Some(Leadership::Unsure(None)) = self.state() {
            self.changed().await;
        }
        self.state()
    }
}

impl Follower {
    /// Term, fence and the time left, while this process leads.
    fn lead(&self) -> Option<(u64, Option<Fence>, Duration)> {
        let Leadership::Leading { term, fence, until } = &*self.state.borrow() else { return None };
        let left = until.map_or(UNLIMITED, |until| until.saturating_sub(self.clock.now()));
        (!left.is_zero()).then(|| (*term, fence.clone(), left))
    }
}
