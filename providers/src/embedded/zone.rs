//! A zone that is written and answered at the same time.
//!
//! In: change sets · Out: outcomes, and a view for queries · Called by: mod.rs, answer.rs
//!
//! A change goes to the store, then to the disk, then as a whole into the view: a query sees all of it or nothing, and
//! never what a crash could take back. Queries wait for the view alone, never for the disk.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use dnsprovider::capabilities::Atomicity;
use dnsprovider::store::ZoneStore;
use dnsprovider::{Applied, Change, ChangeSet, Error, ErrorKind, Fqdn, Unit};
use hickory_proto::rr::Name;

use super::NAME;
use super::index::Index;
use super::persist::{Disk, Header};
use super::wire;

#[derive(Debug)]
pub(super) struct HostedZone {
    pub(super) apex: Fqdn,
    pub(super) apex_name: Name,
    pub(super) nameserver: Name,
    writer: Mutex<Writer>,
    view: RwLock<View>,
    answers: AtomicBool,
}

/// What queries read.
#[derive(Debug)]
pub(super) struct View {
    pub(super) index: Index,
    pub(super) serial: u32,
}

#[derive(Debug)]
struct Writer {
    store: ZoneStore,
    /// The zone was complete once: what a restart finds may be answered.
    complete: bool,
    serial: u32,
    disk: Option<Disk>,
}

impl HostedZone {
    /// `disk`, if any, holds `store` already.
    pub(super) fn new(store: ZoneStore, nameserver: Option<&Fqdn>, header: Header, disk: Option<Disk>) -> Self {
        let apex = store.apex().clone();
        let mut index = Index::new(wire::key(&apex));
        for (owner, entries) in &store.snapshot().entries {
            index.put(owner, entries.iter().map(|entry| &entry.data.set));
        }
        let apex_name = wire::name(&apex);
        let nameserver = match nameserver {
            Some(name) => wire::name(name),
            None => apex_name.prepend_label("ns").unwrap_or_else(|_| apex_name.clone()),
        };
        let Header { serial, complete, .. } = header;
        Self {
            apex,
            apex_name,
            nameserver,
            writer: Mutex::new(Writer { store, complete, serial, disk }),
            view: RwLock::new(View { index, serial }),
            answers: AtomicBool::new(complete),
        }
    }

    /// Everything in the zone as it was last written.
    pub(super) fn read<T>(&self, read: impl FnOnce(&ZoneStore) -> T) -> T {
        read(&self.writer().store)
    }

    /// What is answered now; a change waits as long as this is held.
    pub(super) fn view(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_ready(&self) -> bool {
        self.answers.load(Ordering::Acquire)
    }

    /// The zone is complete and may be answered.
    pub(super) fn set_ready(&self) -> Result<(), Error> {
        self.answers.store(true, Ordering::Release);
        let mut writer = self.writer();
        if writer.complete {
            return Ok(());
        }
        writer.complete = true;
        let header = writer.header();
        match &mut writer.disk {
            Some(disk) => disk.append(&header, &[]).map_err(|error| self.unwritten(error)),
            None => Ok(()),
        }
    }

    /// Changes the zone, all or nothing. `completes`: it is complete after that.
    pub(super) fn apply(&self, changes: &ChangeSet, completes: bool) -> Result<Applied, Error> {
        let mut guard = self.writer();
        let writer = &mut *guard;
        let revision = writer.store.revision();
        let applied = writer.store.apply(changes, Atomicity::Batch);
        if writer.store.revision() == revision {
            return Ok(applied);
        }
        let serial = writer.serial.wrapping_add(1);
        let header = Header { revision: writer.store.revision(), serial, complete: writer.complete || completes };
        let owners: BTreeSet<_> = changes.changes().map(|change| &change.key.owner).collect();
        if let Some(disk) = &mut writer.disk {
            let names: Vec<_> = owners.iter().map(|owner| (*owner, writer.store.at(owner))).collect();
            if let Err(error) = disk.append(&header, &names) {
                writer.store.apply(&inverse(changes), Atomicity::Batch);
                return Err(self.unwritten(error));
            }
        }
        (writer.serial, writer.complete) = (serial, header.complete);
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        for owner in owners {
            view.index.put(owner, writer.store.at(owner).iter().map(|entry| &entry.data.set));
        }
        view.serial = serial;
        Ok(applied)
    }

    /// True when the journal has outgrown the zone.
    pub(super) fn wants_compaction(&self) -> bool {
        self.writer().disk.as_ref().is_some_and(Disk::wants_compaction)
    }

    /// Writes the zone as a whole and empties the journal. Writers wait meanwhile, queries do not.
    pub(super) fn compact(&self) -> std::io::Result<()> {
        let mut guard = self.writer();
        let writer = &mut *guard;
        let header = writer.header();
        match &mut writer.disk {
            Some(disk) => disk.compact(&header, &writer.store),
            None => Ok(()),
        }
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unwritten(&self, error: std::io::Error) -> Error {
        Error::new(ErrorKind::Unavailable, NAME, "writing to the data-dir").with_zone(&self.apex).with_source(error)
    }
}

impl Writer {
    fn header(&self) -> Header {
        Header { revision: self.store.revision(), serial: self.serial, complete: self.complete }
    }
}

/// The changes that take `changes` back.
fn inverse(changes: &ChangeSet) -> ChangeSet {
    let back = |change: &Change| Change {
        key: change.key.clone(),
        before: change.after.clone(),
        version: change.version.clone(),
        after: change.before.clone(),
    };
    let units = changes.units.iter().rev();
    ChangeSet { units: units.map(|unit| Unit { changes: unit.changes.iter().rev().map(back).collect() }).collect() }
}
