//! The trait that a backend implements, and what its calls take and give.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_core::Stream;

use crate::capabilities::{Capabilities, Cost};
use crate::change::{ChangeSet, Unit};
use crate::error::{Error, ErrorKind};
use crate::name::Fqdn;
use crate::record::RrKey;
use crate::snapshot::{Cursor, Page, Snapshot, Version};

/// Names a zone at its provider. A private and a public zone may share an apex, never an id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZoneId(pub Arc<str>);

impl fmt::Display for ZoneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A zone that a provider has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Its id at the provider.
    pub id: ZoneId,
    /// The name of the zone itself.
    pub apex: Fqdn,
    /// Answered only inside some network. `false` where the host makes no difference.
    pub private: bool,
}

/// Proof of leadership that a write carries, for hosts that can check it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// Where the proof lies at the host, such as an etcd key.
    pub key: Arc<str>,
    /// What must hold there, such as the key's create revision.
    pub token: u64,
}

/// Which calls go first where a host grants fewer than are wanted.
///
/// Order: the more urgent, the smaller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// A name whose address is dead waits for it.
    Urgent,
    /// All other writes.
    #[default]
    Bulk,
}

/// Under which conditions a write may still be sent, and how soon.
#[derive(Clone, Default)]
pub struct ApplyContext {
    /// Leadership; `None` writes unfenced. Backends that cannot check a fence ignore it.
    pub fence: Option<Fence>,
    /// Gives the time that is left, by a clock of the caller's choice; `None` is no deadline.
    pub time_left: Option<TimeLeft>,
    /// Its place among the calls that wait for the host's rate. Backends without a rate ignore it.
    pub lane: Lane,
}

/// Gives the time that is left until a deadline; zero when it has passed.
pub type TimeLeft = Arc<dyn Fn() -> Duration + Send + Sync>;

impl ApplyContext {
    /// True when the deadline has passed.
    pub fn is_over(&self) -> bool {
        self.time_left.as_ref().is_some_and(|left| left().is_zero())
    }
}

impl fmt::Debug for ApplyContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = self.time_left.as_ref().map(|left| left());
        f.debug_struct("ApplyContext")
            .field("fence", &self.fence)
            .field("time_left", &left)
            .field("lane", &self.lane)
            .finish()
    }
}

/// What became of one change.
#[derive(Debug)]
pub enum Outcome {
    /// It is done; the version is that of the set now (of its absence, after a delete).
    Done(Version),
    /// What stood there was not what the change said. Nothing was changed.
    Conflict,
    /// The host will not do it. Nothing was changed.
    Refused(Error),
    /// The answer was lost: it may have been done or not. Reading tells.
    Unknown(Error),
    /// It was never sent. Nothing was changed.
    NotTried,
}

impl Outcome {
    /// True for [`Outcome::Done`].
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }

    /// Grows with what is left to do: nothing, send, read and decide, mend, find out.
    fn badness(&self) -> u8 {
        match self {
            Self::Done(_) => 0,
            Self::NotTried => 1,
            Self::Conflict => 2,
            Self::Refused(_) => 3,
            Self::Unknown(_) => 4,
        }
    }
}

/// What became of every change of a call: exactly one outcome for each key in it.
///
/// Where one call changes two sets of one owner and type (hosts with shared sets), the worse outcome stands.
#[derive(Debug, Default)]
pub struct Applied {
    /// By owner and type.
    pub outcomes: BTreeMap<RrKey, Outcome>,
}

impl Applied {
    /// The same outcome for every change; `outcome` is called once for each key.
    pub fn all(changes: &ChangeSet, outcome: impl Fn(&RrKey) -> Outcome) -> Self {
        Self { outcomes: changes.changes().map(|change| (change.key.clone(), outcome(&change.key))).collect() }
    }

    /// Notes what became of a change; where its key has an outcome already, the worse stands.
    pub fn add(&mut self, key: &RrKey, outcome: Outcome) {
        match self.outcomes.get_mut(key) {
            Some(noted) if noted.badness() >= outcome.badness() => {}
            Some(noted) => *noted = outcome,
            None => _ = self.outcomes.insert(key.clone(), outcome),
        }
    }

    /// True when all changes are done.
    pub fn is_done(&self) -> bool {
        self.outcomes.values().all(Outcome::is_done)
    }
}

/// Something at a name was changed, by whomever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchEvent {
    /// The name at which to look again.
    pub owner: Fqdn,
    /// [`Version::revision`] of the change: whoever has read or written the name at this revision or later knows it.
    pub revision: u64,
}

/// Changes as they happen. An error ends the stream: read the zone again, then watch from there.
pub type WatchStream = Pin<Box<dyn Stream<Item = Result<WatchEvent, Error>> + Send>>;

/// A DNS host.
///
/// Implementers write these methods for one host and nothing else: chunking, order and bisection are
/// [`crate::Chunked`]'s, decisions are the caller's. Every method is required, so a new one cannot be forgotten in a
/// wrapper. All calls may run at once.
#[async_trait]
pub trait DnsProvider: Send + Sync + fmt::Debug {
    /// The provider's name in configs, errors and metrics, such as `coredns`.
    fn name(&self) -> &'static str;

    /// What this backend can do, as it is known now. Cheap; may change between calls when a host tells of its limits.
    fn capabilities(&self) -> Capabilities;

    /// What `unit` would cost in one call, beyond [`crate::capabilities::Limits::overhead`].
    ///
    /// Pure, and additive over units: a batch costs the overhead plus the sum of its units.
    fn cost(&self, unit: &Unit) -> Cost;

    /// Lists the zones that the credentials can see, all pages, in no particular order; with an apex only those of that
    /// name, which may be several or none.
    ///
    /// Where a host lets somebody read one zone who may not list them all, asking for that zone alone must do.
    ///
    /// # Errors
    /// When the list cannot be read in full; never a part of it.
    async fn zones(&self, apex: Option<&Fqdn>) -> Result<Vec<Zone>, Error>;

    /// Creates a public zone and gives it as the host stores it.
    ///
    /// # Errors
    /// - [`ErrorKind::Unsupported`] without [`Capabilities::manages_zones`]; nothing was sent.
    /// - [`ErrorKind::Conflict`] when a zone of that apex exists and the host allows one only.
    async fn create_zone(&self, apex: &Fqdn) -> Result<Zone, Error>;

    /// Deletes a zone.
    ///
    /// # Errors
    /// - [`ErrorKind::Unsupported`] without [`Capabilities::manages_zones`]; nothing was sent.
    /// - [`ErrorKind::ZoneNotFound`] when there is none.
    /// - [`ErrorKind::Conflict`] where the host keeps zones that still hold sets.
    async fn delete_zone(&self, zone: &ZoneId) -> Result<(), Error>;

    /// Reads the page of a zone that begins at `cursor`, the first without one.
    ///
    /// **Reads**: every set, those of others and SOA and NS at the apex where the host lists them. Sets with a set
    /// identifier, alias or routing policy and types that are not modelled come back with opaque data.
    /// **Order**: the host's; a name never spans two pages. **Absent zone**: an error, never an empty page.
    ///
    /// # Errors
    /// - [`ErrorKind::Unsupported`] without [`Capabilities::enumeration`].
    /// - [`ErrorKind::ZoneNotFound`] when there is no such zone.
    async fn read_page(&self, zone: &ZoneId, cursor: Option<&Cursor>) -> Result<Page, Error>;

    /// Reads everything that stands at the given names (exactly there), without listing the zone.
    ///
    /// A name where nothing stands is absent from the snapshot. Where the host answers subtrees, foreign sets below
    /// the names are included.
    ///
    /// # Errors
    /// As [`DnsProvider::read_page`]; and [`ErrorKind::InvalidInput`] for a name outside the zone.
    async fn read_names(&self, zone: &ZoneId, names: &[Fqdn]) -> Result<Snapshot, Error>;

    /// Asks the host to make the changes true, in one batch.
    ///
    /// **Changes**: exactly the sets of the change set. **Leaves alone**: all else. **Order**: that of the units.
    /// **Atomic**: as [`Capabilities::atomicity`] says; a name never answers with half a unit where the host can avoid
    /// it. **Stale pre-image**: [`Outcome::Conflict`], and the set is unchanged. **Empty change set**: nothing is sent.
    /// **Cancel**: dropping the future leaves each change done or not done, never half; reading tells.
    ///
    /// ```text
    /// zone before            change                              zone after
    /// www A 192.0.2.1        update www A .1 → .2                www A 192.0.2.2       Done
    /// www A 192.0.2.9        update www A .1 → .2                www A 192.0.2.9       Conflict
    /// www A 192.0.2.1        delete www A .1, create www CNAME   www CNAME …           Done, Done (one unit)
    /// ```
    ///
    /// # Errors
    /// An `Err` means that nothing was changed: nothing was sent, or an atomic host refused the whole batch. A batch
    /// larger than [`crate::capabilities::Limits::batch`] is refused with [`ErrorKind::LimitExceeded`]; pass it
    /// through [`crate::Chunked`].
    async fn apply(&self, zone: &ZoneId, changes: &ChangeSet, context: &ApplyContext) -> Result<Applied, Error>;

    /// Reports every change to the zone after `since`, one's own included, until the stream ends.
    ///
    /// # Errors
    /// - [`ErrorKind::Unsupported`] without [`Capabilities::watch`].
    async fn watch(&self, zone: &ZoneId, since: &Version) -> Result<WatchStream, Error>;
}

/// What callers use beside the trait, written once over its primitives.
#[async_trait]
pub trait DnsProviderExt: DnsProvider {
    /// Reads a whole zone, page by page.
    ///
    /// The version is that of the first page: changes made meanwhile are newer than it, so watching from it misses none.
    ///
    /// # Errors
    /// As [`DnsProvider::read_page`]; never a part of the zone.
    async fn read_zone(&self, zone: &ZoneId) -> Result<Snapshot, Error> {
        let mut snapshot = Snapshot::default();
        let mut cursor = None;
        let mut first = true;
        loop {
            let page = self.read_page(zone, cursor.as_ref()).await?;
            if std::mem::take(&mut first) {
                snapshot.version = page.version;
            }
            snapshot.extend(page.entries);
            match page.next {
                Some(next) if Some(&next) == cursor.as_ref() => {
                    return Err(Error::new(
                        ErrorKind::Protocol,
                        self.name(),
                        "reading the zone: two pages have one cursor",
                    ));
                }
                Some(next) => cursor = Some(next),
                None => return Ok(snapshot),
            }
        }
    }

    /// Finds the zone by apex, by id, or by both.
    ///
    /// # Errors
    /// - [`ErrorKind::ZoneNotFound`] when none matches; the message lists those that exist.
    /// - [`ErrorKind::InvalidInput`] when several match; the message lists their ids.
    async fn find_zone(&self, apex: Option<&Fqdn>, id: Option<&ZoneId>) -> Result<Zone, Error> {
        let mut zones = self.zones(apex).await?;
        if zones.is_empty() && apex.is_some() {
            // For the message. Who may read one zone only may not list them, which is no answer to what was asked.
            zones = self.zones(None).await.unwrap_or_default();
        }
        zones.sort_by(|a, b| (&a.apex, &a.id).cmp(&(&b.apex, &b.id)));
        let list = |zones: &[Zone]| {
            zones.iter().map(|zone| format!("`{}` (id `{}`)", zone.apex, zone.id)).collect::<Vec<_>>().join(", ")
        };
        let matching: Vec<_> = zones
            .iter()
            .filter(|zone| apex.is_none_or(|apex| zone.apex == *apex) && id.is_none_or(|id| zone.id == *id))
            .cloned()
            .collect();
        let wanted = match (apex, id) {
            (Some(apex), Some(id)) => format!("`{apex}` with id `{id}`"),
            (Some(apex), None) => format!("`{apex}`"),
            (None, Some(id)) => format!("id `{id}`"),
            (None, None) => "any name".to_owned(),
        };
        match matching.as_slice() {
            [zone] => Ok(zone.clone()),
            [] if zones.is_empty() => Err(Error::new(
                ErrorKind::ZoneNotFound,
                self.name(),
                format!("there is no zone {wanted}, nor any other"),
            )),
            [] => Err(Error::new(
                ErrorKind::ZoneNotFound,
                self.name(),
                format!("there is no zone {wanted}; there are {}", list(&zones)),
            )),
            several => Err(Error::new(
                ErrorKind::InvalidInput,
                self.name(),
                format!("several zones match {wanted}: {}; hint: name one by its zone id", list(several)),
            )),
        }
    }
}

impl<P: DnsProvider + ?Sized> DnsProviderExt for P {}
