//! Zones and names as they stand in the store.
//!
//! Keys come in the order of their octets, which is not that of names: between a key `…/www` and its leaves `…/www/…`
//! lies all of `…/www-2`, and between two leaves of a name lie the names below it. A page therefore gives a name when
//! the scan has passed the last key that could belong to it, and carries the keys of names that are still open along
//! in its cursor (a few: those above the place of the scan).

use std::sync::Arc;

use dnsprovider::{Cursor, Error, ErrorKind, Fqdn, Page, Snapshot, Version};
use etcd_client::{GetOptions, KeyValue, Txn, TxnOp, TxnOpResponse};
use futures::{StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};

use super::CoreDns;
use super::convert::{self, Keys, Stored, leaf_below};
use super::error::{Failure, Says, error};
use super::wire::{Layout, end_below};

/// Keys that one page scans.
const PAGE: i64 = 1000;
/// Names that are read in one transaction of two operations each.
const NAMES: usize = 60;
/// Transactions of names that are on their way at once.
const AT_ONCE: usize = 4;

/// Keys of one moment.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) keys: Keys,
    pub(super) revision: u64,
}

/// Where a scan goes on.
#[derive(Debug, Serialize, Deserialize)]
struct Place {
    /// The revision at which the zone is scanned.
    revision: u64,
    /// The first key not scanned yet.
    from: Vec<u8>,
    /// Keys before `from` that names not given yet need.
    open: Vec<Vec<u8>>,
}

impl CoreDns {
    pub(super) async fn page(&self, layout: &Layout, cursor: Option<&Cursor>) -> Result<Page, Error> {
        let place = match cursor {
            Some(cursor) => serde_json::from_str(&cursor.0).map_err(|cause| {
                error(ErrorKind::InvalidInput, "reading a page at a foreign cursor").with_source(cause)
            })?,
            None => Place {
                revision: 0,
                from: format!("{}/", layout.path).into_bytes(),
                open: vec![layout.path.clone().into_bytes()],
            },
        };
        match self.scan(layout, &place, place.revision).await {
            // The revision is no longer kept, as when pages are read minutes apart. The rest is read as it is now;
            // names that were open keep the old revision, so that a write still notices what changed since.
            Err(failure) if failure.says == Says::Compacted && place.revision != 0 => {
                self.scan(layout, &place, 0).await.map_err(|failure| failure.error)
            }
            page => page.map_err(|failure| failure.error),
        }
    }

    async fn scan(&self, layout: &Layout, place: &Place, revision: u64) -> Result<Page, Failure> {
        let end = end_below(&layout.path);
        let fixed = i64::try_from(revision).unwrap_or(0);
        let mut limit = PAGE;
        let answer = loop {
            let options = GetOptions::new().with_range(end.clone()).with_limit(limit).with_revision(fixed);
            match self.api.get(&place.from, &options).await {
                // Values can be large: then fewer at a time.
                Err(failure) if failure.says == Says::AnswerTooLarge && limit > 1 => limit /= 4,
                answer => break answer?,
            }
        };
        let revision = match revision {
            0 => answer.header().map_or(0, |header| header.revision().unsigned_abs()),
            fixed => fixed,
        };
        let mut keys: Keys = answer.kvs().iter().map(stored).collect();
        let to = match answer.kvs().last() {
            Some(last) if answer.more() => {
                layout.end_of_nested(last.key()).unwrap_or_else(|| [last.key(), b"\0"].concat())
            }
            _ => end.clone(),
        };
        keys.extend(self.open_keys(&place.open, revision).await?);

        let is_last = to >= end;
        let closed_at = |owner: &Fqdn| layout.path(owner).map(|path| end_below(&path)).unwrap_or_default();
        let open = |owner: &Fqdn| !is_last && closed_at(owner) > to;
        let given_before = |owner: &Fqdn| closed_at(owner) <= place.from;
        let was_open =
            |owner: &Fqdn| place.revision != 0 && layout.path(owner).is_some_and(|path| *path.as_bytes() < *place.from);

        let mut entries = convert::entries(layout, &keys, revision, |owner| !open(owner) && !given_before(owner));
        for entry in entries.iter_mut().filter(|entry| was_open(&entry.key().owner)) {
            entry.version.revision = entry.version.revision.min(place.revision);
        }
        let carried = |(key, stored): (&Vec<u8>, &Stored)| {
            let placed = convert::place(layout, key, &stored.value)?;
            let beside = || leaf_below(layout, &placed, key).is_some_and(|(above, _)| open(&above));
            (open(&placed.owner) || beside()).then(|| key.clone())
        };
        let next = (!is_last).then(|| {
            let since = if place.revision == 0 { revision } else { place.revision };
            let place = Place { revision: since, from: to.clone(), open: keys.iter().filter_map(carried).collect() };
            let text = serde_json::to_string(&place).expect("numbers can be written as JSON");
            Cursor(Arc::from(text))
        });
        Ok(Page { version: Version::at(revision), entries, next })
    }

    /// The keys carried along, as they were at `revision`.
    async fn open_keys(&self, open: &[Vec<u8>], revision: u64) -> Result<Keys, Failure> {
        let mut keys = Keys::new();
        let at = GetOptions::new().with_revision(i64::try_from(revision).unwrap_or(0));
        for part in open.chunks(2 * NAMES) {
            let gets: Vec<_> = part.iter().map(|key| TxnOp::get(key.clone(), Some(at.clone()))).collect();
            let answer = self.api.read("reading keys", &Txn::new().and_then(gets)).await?;
            keys.extend(all_keys(&answer.op_responses()));
        }
        Ok(keys)
    }

    pub(super) async fn names(&self, layout: &Layout, names: &[Fqdn]) -> Result<Snapshot, Error> {
        if let Some(name) = names.iter().find(|name| !layout.holds(name)) {
            let why = format!("reading `{name}`, which is not in the zone `{}`", layout.apex);
            return Err(error(ErrorKind::InvalidInput, why));
        }
        let asked: std::collections::BTreeSet<_> = names.iter().collect();
        let wanted =
            |owner: &Fqdn| std::iter::successors(Some(owner.clone()), Fqdn::parent).any(|name| asked.contains(&name));
        let readings = self.read_subtrees(layout, names).await?;
        let oldest = readings.iter().map(|reading| reading.revision).min().unwrap_or(0);
        let mut snapshot = Snapshot { version: Version::at(oldest), ..Snapshot::default() };
        let mut given = std::collections::BTreeSet::new();
        for Reading { keys, revision } in readings {
            let entries = convert::entries(layout, &keys, revision, |owner| wanted(owner) && !given.contains(owner));
            given.extend(entries.iter().map(|entry| entry.key().owner.clone()));
            snapshot.extend(entries);
        }
        Ok(snapshot)
    }

    /// All keys at and below the names, a batch of names at one moment each.
    pub(super) async fn read_subtrees(&self, layout: &Layout, names: &[Fqdn]) -> Result<Vec<Reading>, Error> {
        let batches: Vec<Vec<String>> = names
            .chunks((usize::try_from(self.limits().batch.operations).unwrap_or(NAMES) / 2).clamp(1, NAMES))
            .map(|part| part.iter().filter_map(|name| layout.path(name)).collect())
            .collect();
        let read = |paths: Vec<String>| async move {
            let gets: Vec<_> = paths
                .into_iter()
                .flat_map(|path| {
                    let below = GetOptions::new().with_range(end_below(&path));
                    [TxnOp::get(path.clone(), None), TxnOp::get(format!("{path}/"), Some(below))]
                })
                .collect();
            let answer = self.api.read("reading names", &Txn::new().and_then(gets)).await?;
            let revision = answer.header().map_or(0, |header| header.revision().unsigned_abs());
            Ok::<_, Failure>(Reading { keys: all_keys(&answer.op_responses()).collect(), revision })
        };
        let readings = futures::stream::iter(batches).map(read).buffered(AT_ONCE).try_collect().await;
        readings.map_err(|failure| failure.error)
    }
}

fn stored(kv: &KeyValue) -> (Vec<u8>, Stored) {
    (kv.key().to_vec(), Stored { value: kv.value().to_vec(), modified: kv.mod_revision() })
}

fn all_keys(answers: &[TxnOpResponse]) -> impl Iterator<Item = (Vec<u8>, Stored)> {
    answers.iter().flat_map(|answer| match answer {
        TxnOpResponse::Get(get) => get.kvs().iter().map(stored).collect(),
        _ => Vec::new(),
    })
}
