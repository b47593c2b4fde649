//! A provider in memory: the reference for implementers, and the host that tests can make misbehave.
//!
//! It has every ability but shared sets and subtree answers; a test takes abilities away ([`Builder::configure`]) and
//! the provider then refuses what needs them, as a host without them would. [`Fault`]s make single calls fail, lose
//! their answers or wait. Clones share the zones.
//!
//! ```
//! use dnsprovider::{DnsProvider, ErrorKind, Fqdn, MemoryProvider, memory::{Call, Fault}};
//! # futures::executor::block_on(async {
//! let provider = MemoryProvider::new([Fqdn::parse("example.com").unwrap()]);
//! provider.inject(Fault::fail(ErrorKind::Unavailable).on(Call::Zones));
//! assert!(provider.zones(None).await.is_err());
//! assert_eq!(provider.zones(None).await.unwrap().len(), 1);
//! assert_eq!(provider.calls(Call::Zones), 2);
//! # });
//! ```

mod admit;
mod builder;
mod fault;
mod feed;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

pub use self::builder::{Builder, capabilities};
pub use self::fault::{Call, Fault, Gate};

use self::builder::public;
use self::fault::{Armed, Effect};
use self::feed::Feeds;
use crate::capabilities::{Atomicity, Capabilities, Cost, Granularity};
use crate::change::{ChangeSet, Unit};
use crate::error::{Error, ErrorKind};
use crate::name::Fqdn;
use crate::provider::{Applied, ApplyContext, DnsProvider, Outcome, WatchStream, Zone, ZoneId};
use crate::record::{RecordData, RrKey, RrSet};
use crate::snapshot::{Cursor, Entry, Page, Snapshot, Version};
use crate::store::ZoneStore;

/// The provider's name in configs and errors.
const NAME: &str = "memory";

/// Zones in memory.
#[derive(Clone, Debug)]
pub struct MemoryProvider {
    capabilities: Arc<Capabilities>,
    page_size: usize,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    zones: BTreeMap<ZoneId, Held>,
    faults: Vec<Armed>,
    calls: BTreeMap<Call, u64>,
    largest: Cost,
}

#[derive(Debug)]
struct Held {
    zone: Zone,
    store: ZoneStore,
    feeds: Feeds,
}

impl Held {
    fn new(zone: Zone) -> Self {
        Self { store: ZoneStore::new(NAME, zone.apex.clone()), zone, feeds: Feeds::default() }
    }
}

//----------- What tests do with it ------------------------------------------

impl MemoryProvider {
    /// A provider with these empty public zones; the id of each is its apex as text.
    pub fn new(apexes: impl IntoIterator<Item = Fqdn>) -> Self {
        apexes.into_iter().fold(Self::builder(), Builder::zone).build()
    }

    /// Begins with all abilities and no zone.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Adds a fault; faults that match the same call all act, in order of injection.
    pub fn inject(&self, fault: Fault) {
        self.lock().faults.push(Armed::new(fault));
    }

    /// Removes all faults. Calls that wait at a gate go on waiting.
    pub fn clear_faults(&self) {
        self.lock().faults.clear();
    }

    /// How often a method was called so far, failed calls included.
    pub fn calls(&self, call: Call) -> u64 {
        self.lock().calls.get(&call).copied().unwrap_or(0)
    }

    /// The largest that the batches given to `apply` were so far, refused ones included, in each component.
    pub fn largest_batch(&self) -> Cost {
        self.lock().largest
    }

    /// The zone as it is, without a call being counted or a fault acting.
    ///
    /// # Errors
    /// - [`ErrorKind::ZoneNotFound`] when there is no such zone.
    pub fn peek(&self, zone: &ZoneId) -> Result<Snapshot, Error> {
        Ok(held(&mut self.lock(), zone)?.store.snapshot().clone())
    }

    /// Another writer puts a set in place whatever stands there; watchers are told.
    ///
    /// # Errors
    /// - [`ErrorKind::ZoneNotFound`] when there is no such zone.
    /// - [`ErrorKind::InvalidInput`] when its name is outside the zone.
    pub fn insert_foreign(&self, zone: &ZoneId, entry: Entry) -> Result<(), Error> {
        let owner = entry.key().owner.clone();
        self.edit(zone, |store| store.insert_foreign(entry).map(|()| vec![owner]))
    }

    /// Another writer removes a set whatever it holds; watchers are told. Gives what stood there.
    ///
    /// # Errors
    /// - [`ErrorKind::ZoneNotFound`] when there is no such zone.
    pub fn remove_foreign(&self, zone: &ZoneId, key: &RrKey) -> Result<Option<Entry>, Error> {
        let mut removed = None;
        self.edit(zone, |store| {
            removed = store.remove(key);
            Ok(removed.iter().map(|entry| entry.key().owner.clone()).collect())
        })?;
        Ok(removed)
    }

    /// Another writer applies changes, past faults, limits and counters; watchers are told.
    ///
    /// # Errors
    /// - [`ErrorKind::ZoneNotFound`] when there is no such zone.
    pub fn apply_behind(&self, zone: &ZoneId, changes: &ChangeSet) -> Result<Applied, Error> {
        let mut applied = Applied::default();
        self.edit(zone, |store| {
            applied = store.apply(changes, Atomicity::Set);
            Ok(done(&applied))
        })?;
        Ok(applied)
    }

    /// Ends all watches of a zone with an error, as a lost connection does.
    ///
    /// # Errors
    /// - [`ErrorKind::ZoneNotFound`] when there is no such zone.
    pub fn break_watches(&self, zone: &ZoneId) -> Result<(), Error> {
        let wakers = held(&mut self.lock(), zone)?
            .feeds
            .end(|| error(ErrorKind::Unavailable, "watching: the connection is lost"));
        feed::wake(wakers);
        Ok(())
    }

    /// Changes a zone and tells its watchers which names to look at.
    fn edit(
        &self,
        zone: &ZoneId,
        change: impl FnOnce(&mut ZoneStore) -> Result<Vec<Fqdn>, Error>,
    ) -> Result<(), Error> {
        let wakers = {
            let mut state = self.lock();
            let held = held(&mut state, zone)?;
            let owners = change(&mut held.store)?;
            held.feeds.publish(owners, held.store.revision())
        };
        // Not under the lock: a waker may poll, and what it polls may call.
        feed::wake(wakers);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A test that panicked while it held the lock has failed already; the others may go on.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the call, lets the gates in its way hold it, and gives the effects that are left for the method.
    async fn enter(&self, call: Call, touches: &[&RrKey], names: &[Fqdn]) -> Result<Vec<Effect>, Error> {
        let effects = {
            let mut state = self.lock();
            *state.calls.entry(call).or_default() += 1;
            fault::matching(&mut state.faults, call, touches, names)
        };
        let mut left = Vec::new();
        for effect in effects {
            match effect {
                Effect::Hold(gate) => gate.pass().await,
                Effect::Fail(kind, retry) => {
                    return Err(error(kind, format!("{}: a fault was injected", call.as_str())).with_retry(retry));
                }
                Effect::LoseAnswer { done: false } if call != Call::Apply => return Err(lost(call)),
                other => left.push(other),
            }
        }
        Ok(left)
    }

    /// Lets the answer out, unless a fault holds or loses it.
    async fn leave<T: Send>(&self, call: Call, effects: Vec<Effect>, answer: T) -> Result<T, Error> {
        for effect in effects {
            match effect {
                Effect::HoldAnswer(gate) => gate.pass().await,
                Effect::LoseAnswer { .. } => return Err(lost(call)),
                _ => {}
            }
        }
        Ok(answer)
    }

    fn need(able: bool, what: &str) -> Result<(), Error> {
        if able { Ok(()) } else { Err(error(ErrorKind::Unsupported, format!("{what}: this host cannot"))) }
    }
}

fn held<'a>(state: &'a mut State, zone: &ZoneId) -> Result<&'a mut Held, Error> {
    state
        .zones
        .get_mut(zone)
        .ok_or_else(|| error(ErrorKind::ZoneNotFound, format!("there is no zone with id `{zone}`")))
}

fn error(kind: ErrorKind, message: impl Into<String>) -> Error {
    Error::new(kind, NAME, message)
}

fn lost(call: Call) -> Error {
    error(ErrorKind::Timeout, format!("{}: the answer was lost", call.as_str()))
}

/// The names at which something was done.
fn done(applied: &Applied) -> Vec<Fqdn> {
    let keys = applied.outcomes.iter().filter(|(_, outcome)| outcome.is_done()).map(|(key, _)| key);
    let mut owners: Vec<_> = keys.map(|key| key.owner.clone()).collect();
    owners.dedup();
    owners
}

//----------- The trait ------------------------------------------------------

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl DnsProvider for MemoryProvider {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        (*self.capabilities).clone()
    }

    /// Counts sets, the values and octets written, and an operation and a compare for each change.
    fn cost(&self, unit: &Unit) -> Cost {
        let written = || unit.changes.iter().filter_map(|change| change.after.as_ref()).map(|after| &after.set);
        let changes = unit.changes.len() as u64;
        Cost {
            calls: 0,
            sets: changes,
            values: written().map(|set| set.records().len() as u64).sum(),
            octets: written().flat_map(RrSet::records).map(octets).sum(),
            operations: changes,
            compares: changes,
        }
    }

    async fn zones(&self, apex: Option<&Fqdn>) -> Result<Vec<Zone>, Error> {
        let effects = self.enter(Call::Zones, &[], &[]).await?;
        let of_apex = |zone: &&Zone| apex.is_none_or(|apex| zone.apex == *apex);
        let zones = self.lock().zones.values().map(|held| &held.zone).filter(of_apex).cloned().collect();
        self.leave(Call::Zones, effects, zones).await
    }

    async fn create_zone(&self, apex: &Fqdn) -> Result<Zone, Error> {
        let effects = self.enter(Call::CreateZone, &[], &[]).await?;
        Self::need(self.capabilities.manages_zones, "creating a zone")?;
        let zone = public(apex.clone());
        {
            let mut state = self.lock();
            if state.zones.values().any(|held| held.zone.apex == *apex && !held.zone.private) {
                return Err(error(ErrorKind::Conflict, "creating a zone: there is one already").with_zone(apex));
            }
            state.zones.insert(zone.id.clone(), Held::new(zone.clone()));
        }
        self.leave(Call::CreateZone, effects, zone).await
    }

    async fn delete_zone(&self, zone: &ZoneId) -> Result<(), Error> {
        let effects = self.enter(Call::DeleteZone, &[], &[]).await?;
        Self::need(self.capabilities.manages_zones, "deleting a zone")?;
        let wakers = {
            let mut state = self.lock();
            let held = held(&mut state, zone)?;
            if !held.store.is_empty() {
                return Err(error(ErrorKind::Conflict, "deleting a zone that holds sets").with_zone(&held.zone.apex));
            }
            let wakers = held.feeds.end(|| error(ErrorKind::ZoneNotFound, "watching: the zone was deleted"));
            state.zones.remove(zone);
            wakers
        };
        feed::wake(wakers);
        self.leave(Call::DeleteZone, effects, ()).await
    }

    async fn read_page(&self, zone: &ZoneId, cursor: Option<&Cursor>) -> Result<Page, Error> {
        let effects = self.enter(Call::ReadPage, &[], &[]).await?;
        Self::need(self.capabilities.enumeration, "listing a zone")?;
        let page = {
            let mut state = self.lock();
            let store = &held(&mut state, zone)?.store;
            // A cursor is the last name of the page before: it stays valid whatever is written meanwhile.
            let start = match cursor {
                None => Bound::Unbounded,
                Some(Cursor(last)) => Bound::Excluded(Fqdn::parse(last)?),
            };
            let mut page = Page { version: Version::at(store.revision()), ..Page::default() };
            let mut names = store.snapshot().entries.range((start, Bound::Unbounded)).peekable();
            while let Some((owner, entries)) = names.next() {
                page.entries.extend(entries.iter().cloned());
                if page.entries.len() >= self.page_size && names.peek().is_some() {
                    page.next = Some(Cursor(owner.as_str().into()));
                    break;
                }
            }
            page
        };
        self.leave(Call::ReadPage, effects, page).await
    }

    async fn read_names(&self, zone: &ZoneId, names: &[Fqdn]) -> Result<Snapshot, Error> {
        let effects = self.enter(Call::ReadNames, &[], names).await?;
        let snapshot = {
            let mut state = self.lock();
            let store = &held(&mut state, zone)?.store;
            let mut snapshot = Snapshot { version: Version::at(store.revision()), ..Snapshot::default() };
            for name in names {
                if !name.is_at_or_below(store.apex()) {
                    let outside = format!("reading `{name}`, which is outside the zone");
                    return Err(error(ErrorKind::InvalidInput, outside).with_zone(store.apex()));
                }
                if let Some(entries) = store.snapshot().entries.get(name) {
                    snapshot.entries.insert(name.clone(), entries.clone());
                }
            }
            snapshot
        };
        self.leave(Call::ReadNames, effects, snapshot).await
    }

    async fn apply(&self, zone: &ZoneId, changes: &ChangeSet, context: &ApplyContext) -> Result<Applied, Error> {
        if changes.is_empty() {
            return Ok(Applied::default());
        }
        let keys: Vec<_> = changes.changes().map(|change| &change.key).collect();
        let effects = self.enter(Call::Apply, &keys, &[]).await?;
        if context.is_over() {
            return Ok(Applied::all(changes, |_| Outcome::NotTried));
        }
        let unanswered = || Applied::all(changes, |key| Outcome::Unknown(lost(Call::Apply).with_key(key)));
        if effects.iter().any(|effect| matches!(effect, Effect::LoseAnswer { done: false })) {
            return Ok(unanswered());
        }
        let overhead = self.capabilities.limits.overhead;
        let cost = changes.units.iter().fold(overhead, |sum, unit| sum + self.cost(unit));
        {
            let mut state = self.lock();
            state.largest = state.largest.max(&cost);
        }
        admit::batch(&cost, &self.capabilities.limits, &effects)?;

        let mut applied = Applied::default();
        self.edit(zone, |store| {
            applied = store.apply_if(changes, self.capabilities.atomicity, |store, unit| {
                admit::unit(store, unit, &self.capabilities, &effects)
            });
            Ok(done(&applied))
        })?;
        if (self.capabilities.granularity, self.capabilities.atomicity) == (Granularity::Batch, Atomicity::Batch) {
            applied = admit::one_verdict(applied)?;
        }
        if effects.iter().any(|effect| matches!(effect, Effect::LoseAnswer { done: true })) {
            return Ok(unanswered());
        }
        self.leave(Call::Apply, effects, applied).await
    }

    async fn watch(&self, zone: &ZoneId, since: &Version) -> Result<WatchStream, Error> {
        let effects = self.enter(Call::Watch, &[], &[]).await?;
        Self::need(self.capabilities.watch, "watching a zone")?;
        let stream = held(&mut self.lock(), zone)?.feeds.open(since.revision);
        self.leave(Call::Watch, effects, stream).await
    }
}

fn octets(record: &RecordData) -> u64 {
    match record {
        RecordData::A(_) => 4,
        RecordData::Aaaa(_) => 16,
        RecordData::Cname(target) => target.wire_len() as u64,
        RecordData::Txt(text) => text.len() as u64,
        RecordData::Opaque(text) => text.len() as u64,
    }
}
