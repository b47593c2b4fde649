//! Zones and names as they stand in the store.
//!
//! Keys come in the order of their octets, which is not that of names: between a key `…/www` and its leaves `…/www/…`
//! lies all of `…/www-2`, and between two leaves of a name lie the names below it. A page therefore gives a name when
//! the scan has passed the last key that could belong to it, and carries the keys of names that are still open along
//! in its cursor (a few: those above the place of the scan).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dnsprovider::{Cursor, Error, ErrorKind, Fqdn, Page, Snapshot, Version};
use etcd_client::{GetOptions, GetResponse, KeyValue, Txn, TxnOp, TxnOpResponse};
use futures::{StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use super::CoreDns;
use super::api::Api;
use super::convert::{self, Keys, Sets, Stored};
use super::error::{Failure, Says, error};
use super::place::Placer;
use super::wire::{Layout, end_below};

/// Keys that the first two pages scan; each further one scans twice as many as the one before, up to [`MAX_PAGE`].
/// etcd counts for each page all keys that are left (server/storage/mvcc, `rangeKeys`), so small pages of a large zone
/// cost it more than the keys themselves.
const PAGE: i64 = 1000;
/// About 2 MiB of what we write.
const MAX_PAGE: i64 = 8 * PAGE;
/// Who asks for a page this soon after the one before will ask for the next one too.
const SOON: Duration = Duration::from_millis(100);
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
    /// Keys to scan.
    keys: i64,
}

impl Place {
    fn begin(layout: &Layout) -> Self {
        let (from, open) = (format!("{}/", layout.path).into_bytes(), vec![layout.path.clone().into_bytes()]);
        Self { revision: 0, from, open, keys: PAGE }
    }
}

/// The page that will be asked for next, read while the one before it is taken in.
#[derive(Debug, Default)]
pub(super) struct Ahead(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// When a page was given last.
    given: Option<Instant>,
    /// What is read, and from where.
    next: Option<(Range, JoinHandle<Result<GetResponse, Failure>>)>,
}

/// A part of the store at one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Range {
    from: Vec<u8>,
    end: Vec<u8>,
    /// 0: as it is now.
    revision: i64,
    limit: i64,
}

impl Range {
    async fn read(&self, api: &Api) -> Result<GetResponse, Failure> {
        let mut limit = self.limit;
        loop {
            let options = GetOptions::new().with_range(self.end.clone()).with_limit(limit).with_revision(self.revision);
            match api.get(&self.from, &options).await {
                // Values can be large: then fewer at a time.
                Err(failure) if failure.says == Says::AnswerTooLarge && limit > 1 => limit /= 4,
                answer => return answer,
            }
        }
    }
}

impl Ahead {
    /// The answer for a range, where it has been asked for already.
    async fn take(&self, range: &Range) -> Option<Result<GetResponse, Failure>> {
        let next = self.0.lock().unwrap_or_else(PoisonError::into_inner).next.take();
        let (_, task) = next.filter(|(asked, _)| asked == range)?;
        task.await.ok()
    }

    /// True when pages are read one after the other.
    fn is_wanted(&self) -> bool {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.given.is_some_and(|given| given.elapsed() < SOON)
    }

    fn ask(&self, api: &Arc<Api>, range: Range) {
        let (api, asked) = (api.clone(), range.clone());
        let task = tokio::spawn(async move { asked.read(&api).await });
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next = Some((range, task));
    }

    fn given(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).given = Some(Instant::now());
    }
}

impl CoreDns {
    pub(super) async fn page(&self, layout: &Layout, cursor: Option<&Cursor>) -> Result<Page, Error> {
        let place = match cursor {
            Some(cursor) => serde_json::from_str(&cursor.0).map_err(|cause| {
                error(ErrorKind::InvalidInput, "reading a page at a foreign cursor").with_source(cause)
            })?,
            None => Place::begin(layout),
        };
        let page = match self.scan(layout, &place, place.revision).await {
            // The revision is no longer kept, as when pages are read minutes apart. The rest is read as it is now;
            // names that were open keep the old revision, so that a write still notices what changed since.
            Err(failure) if failure.says == Says::Compacted && place.revision != 0 => {
                self.scan(layout, &place, 0).await.map_err(|failure| failure.error)
            }
            page => page.map_err(|failure| failure.error),
        };
        self.ahead.given();
        page
    }

    async fn scan(&self, layout: &Layout, place: &Place, revision: u64) -> Result<Page, Failure> {
        let end = end_below(&layout.path);
        let fixed = i64::try_from(revision).unwrap_or(0);
        let range =
            Range { from: place.from.clone(), end: end.clone(), revision: fixed, limit: place.keys.clamp(1, MAX_PAGE) };
        let is_next = place.revision != 0 && self.ahead.is_wanted();
        let mut answer = match self.ahead.take(&range).await {
            Some(answer) => answer?,
            None => range.read(&self.api).await?,
        };
        let revision = match revision {
            0 => answer.header().map_or(0, |header| header.revision().unsigned_abs()),
            fixed => fixed,
        };
        let to = match answer.kvs().last() {
            Some(last) if answer.more() => {
                layout.end_of_nested(last.key()).unwrap_or_else(|| [last.key(), b"\0"].concat())
            }
            _ => end.clone(),
        };
        let is_last = to >= end;
        let keys_then = if place.revision == 0 { PAGE } else { (2 * place.keys).clamp(PAGE, MAX_PAGE) };
        if is_next && !is_last {
            let fixed = i64::try_from(revision).unwrap_or(0);
            self.ahead.ask(&self.api, Range { from: to.clone(), end, revision: fixed, limit: keys_then });
        }
        let open_keys = self.open_keys(&place.open, revision).await?;

        let mut owners = Owners { layout, place, to: &to, is_last, last: None };
        let mut placer = Placer::new(layout);
        let mut sets = Sets::new(layout);
        let mut still_open = Vec::new();
        let scanned = answer.take_kvs().into_iter().map(stored);
        for (key, stored) in open_keys.into_iter().chain(scanned) {
            let Some(placed) = placer.place(&key, &stored.value) else { continue };
            let beside = !is_last && placed.leaf_below().is_some_and(|(above, _)| owners.standing(above).is_open);
            let standing = owners.standing(&placed.owner);
            if standing.is_open || beside {
                still_open.push(key);
            }
            sets.add(placed, !standing.is_open && !standing.given_before);
        }
        let mut entries = sets.entries(revision);
        if place.revision != 0 {
            for entry in &mut entries {
                if owners.standing(&entry.key().owner).was_open {
                    entry.version.revision = entry.version.revision.min(place.revision);
                }
            }
        }
        let next = (!is_last).then(|| {
            let since = if place.revision == 0 { revision } else { place.revision };
            let place = Place { revision: since, from: to, open: still_open, keys: keys_then };
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
            let answer = self.api.read("reading keys", Txn::new().and_then(gets)).await?;
            keys.extend(all_keys(answer.op_responses()));
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
            let answer = self.api.read("reading names", Txn::new().and_then(gets)).await?;
            let revision = answer.header().map_or(0, |header| header.revision().unsigned_abs());
            Ok::<_, Failure>(Reading { keys: all_keys(answer.op_responses()).collect(), revision })
        };
        let readings = futures::stream::iter(batches).map(read).buffered(AT_ONCE).try_collect().await;
        readings.map_err(|failure| failure.error)
    }
}

/// How names stand to a scan. Neighbouring keys ask for the same one.
struct Owners<'a> {
    layout: &'a Layout,
    place: &'a Place,
    /// Where the scan ends.
    to: &'a [u8],
    is_last: bool,
    last: Option<(Fqdn, Standing)>,
}

#[derive(Clone, Copy)]
struct Standing {
    /// Keys behind the scan may belong to it.
    is_open: bool,
    /// All its keys lie before the scan.
    given_before: bool,
    /// Keys before the scan may belong to it.
    was_open: bool,
}

impl Owners<'_> {
    fn standing(&mut self, owner: &Fqdn) -> Standing {
        if let Some((_, standing)) = self.last.as_ref().filter(|(last, _)| last == owner) {
            return *standing;
        }
        let path = self.layout.path(owner);
        let was_open = path.as_ref().is_some_and(|path| path.as_bytes() < self.place.from.as_slice());
        let closed_at = path.as_deref().map(end_below).unwrap_or_default();
        let standing = Standing {
            is_open: !self.is_last && *closed_at > *self.to,
            given_before: closed_at <= self.place.from,
            was_open,
        };
        self.last = Some((owner.clone(), standing));
        standing
    }
}

fn stored(kv: KeyValue) -> (Vec<u8>, Stored) {
    let modified = kv.mod_revision();
    let (key, value) = kv.into_key_value();
    (key, Stored { value, modified })
}

fn all_keys(answers: Vec<TxnOpResponse>) -> impl Iterator<Item = (Vec<u8>, Stored)> {
    answers.into_iter().flat_map(|answer| match answer {
        TxnOpResponse::Get(mut get) => get.take_kvs().into_iter().map(stored).collect(),
        _ => Vec::new(),
    })
}
