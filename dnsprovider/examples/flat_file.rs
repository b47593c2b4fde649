//! A backend of one's own: a zone in a text file, one record on each line.
//!
//! ```text
//! example.com. 3600 MX 10 mail.example.com.
//! www.example.com. 60 A 192.0.2.1
//! www.example.com. 60 TXT "one \"quoted\" word"
//! ```
//!
//! The host here is the file system: it stores a whole file or nothing and knows no versions. What it cannot do it
//! declares; what every backend needs (packing, order, bisection) comes from [`Chunked`]. The rules of DNS are those of
//! [`ZoneStore`], which a backend uses whose host has none of its own.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use dnsprovider::capabilities::{Atomicity, Granularity, Limits};
use dnsprovider::store::ZoneStore;
use dnsprovider::{
    Applied, ApplyContext, Blocks, Capabilities, Change, ChangeSet, Chunked, ClaimedSet, Cost, Cursor, DnsProvider,
    DnsProviderExt, Entry, Error, ErrorKind, Fqdn, Outcome, Page, RecordData, RrKey, RrSet, RrType, Snapshot, Ttl,
    Unit, Version, WatchStream, Zone, ZoneId,
};

const NAME: &str = "flat-file";

//----------- The provider ---------------------------------------------------

/// One zone in one text file.
#[derive(Debug)]
pub struct FlatFile {
    apex: Fqdn,
    path: PathBuf,
    /// Held from reading to writing: within this process no writer comes between.
    turn: Mutex<()>,
}

impl FlatFile {
    /// The zone `apex` in the file at `path`, which exists already; it may be empty.
    pub fn new(apex: Fqdn, path: impl Into<PathBuf>) -> Self {
        Self { apex, path: path.into(), turn: Mutex::new(()) }
    }

    fn zone(&self) -> Zone {
        Zone { id: ZoneId(self.apex.as_str().into()), apex: self.apex.clone(), private: false }
    }

    /// Reads the file, if `zone` is ours.
    fn load(&self, zone: &ZoneId) -> Result<ZoneStore, Error> {
        if *zone != self.zone().id {
            return Err(error(ErrorKind::ZoneNotFound, format!("there is no zone with id `{zone}`")));
        }
        let text = std::fs::read_to_string(&self.path).map_err(|cause| {
            let kind = match cause.kind() {
                std::io::ErrorKind::NotFound => ErrorKind::ZoneNotFound,
                std::io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
                _ => ErrorKind::Unavailable,
            };
            error(kind, format!("reading `{}`", self.path.display())).with_source(cause)
        })?;
        // Revision 0: the file has no number that grows with its changes.
        ZoneStore::restore(NAME, self.apex.clone(), 0, parse(&text)?)
    }

    /// Writes a file beside and renames it over ours, so that no reader sees half a zone.
    fn save(&self, store: &ZoneStore) -> Result<(), Error> {
        let beside = self.path.with_extension("new");
        std::fs::write(&beside, print(store)).and_then(|()| std::fs::rename(&beside, &self.path)).map_err(|cause| {
            error(ErrorKind::Unavailable, format!("writing `{}`", self.path.display())).with_source(cause)
        })
    }
}

#[async_trait]
impl DnsProvider for FlatFile {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            record_types: [RrType::A, RrType::Aaaa, RrType::Cname, RrType::Txt].into(),
            atomicity: Atomicity::Batch,
            // Another process may write between our reading and our renaming.
            conditional_writes: false,
            enumeration: true,
            claims: false,
            shared_sets: false,
            answers_subtree: false,
            watch: false,
            manages_zones: false,
            granularity: Granularity::Set,
            rates: Vec::new(),
            concurrent_writes: 1,
            limits: Limits::default(),
        }
    }

    /// Nothing that a file limits.
    fn cost(&self, unit: &Unit) -> Cost {
        Cost { sets: unit.changes.len() as u64, ..Cost::default() }
    }

    async fn zones(&self, apex: Option<&Fqdn>) -> Result<Vec<Zone>, Error> {
        Ok([self.zone()].into_iter().filter(|zone| apex.is_none_or(|apex| zone.apex == *apex)).collect())
    }

    async fn create_zone(&self, _apex: &Fqdn) -> Result<Zone, Error> {
        Err(error(ErrorKind::Unsupported, "creating a zone"))
    }

    async fn delete_zone(&self, _zone: &ZoneId) -> Result<(), Error> {
        Err(error(ErrorKind::Unsupported, "deleting a zone"))
    }

    async fn read_page(&self, zone: &ZoneId, cursor: Option<&Cursor>) -> Result<Page, Error> {
        if cursor.is_some() {
            return Err(error(ErrorKind::InvalidInput, "reading a second page: the file is one page"));
        }
        let store = self.load(zone)?;
        Ok(Page { entries: store.entries().cloned().collect(), ..Page::default() })
    }

    async fn read_names(&self, zone: &ZoneId, names: &[Fqdn]) -> Result<Snapshot, Error> {
        if let Some(name) = names.iter().find(|name| !name.is_at_or_below(&self.apex)) {
            return Err(error(ErrorKind::InvalidInput, format!("reading `{name}`, which is outside the zone")));
        }
        let mut snapshot = self.load(zone)?.snapshot().clone();
        snapshot.entries.retain(|owner, _| names.contains(owner));
        Ok(snapshot)
    }

    async fn apply(&self, zone: &ZoneId, changes: &ChangeSet, context: &ApplyContext) -> Result<Applied, Error> {
        // What cannot be stored is refused before anything is read or written.
        if changes.changes().any(|change| change.after.as_ref().is_some_and(|after| after.claim.is_some())) {
            return Err(error(ErrorKind::Unsupported, "writing a claim: a line has no place for one"));
        }
        if changes.is_empty() {
            return Ok(Applied::default());
        }
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if context.is_over() {
            return Ok(Applied::all(changes, |_| Outcome::NotTried));
        }
        let mut store = self.load(zone)?;
        let mut applied = store.apply(changes, Atomicity::Batch);
        if applied.is_done() {
            self.save(&store)?;
            applied = Applied::all(changes, |_| Outcome::Done(Version::default()));
        }
        Ok(applied)
    }

    async fn watch(&self, _zone: &ZoneId, _since: &Version) -> Result<WatchStream, Error> {
        Err(error(ErrorKind::Unsupported, "watching a file"))
    }
}

fn error(kind: ErrorKind, message: impl Into<String>) -> Error {
    Error::new(kind, NAME, message)
}

//----------- Lines and sets -------------------------------------------------

/// The sets in a file. What is not understood is an error: skipping a line would delete it at the next write.
fn parse(text: &str) -> Result<Vec<Entry>, Error> {
    let mut sets = BTreeMap::<RrKey, (Ttl, Vec<RecordData>)>::new();
    for (number, line) in text.lines().enumerate() {
        let broken = |what: &str| error(ErrorKind::Protocol, format!("reading line {}: {what}: `{line}`", number + 1));
        let [owner, ttl, rr_type, data] = line
            .splitn(4, ' ')
            .collect::<Vec<_>>()
            .try_into()
            .map_err(|_| broken("it is not `owner ttl type data`"))?;
        let key = RrKey::new(Fqdn::parse(owner)?, RrType::from_text(rr_type));
        let ttl = ttl.parse().ok().and_then(Ttl::from_secs).ok_or_else(|| broken("no TTL"))?;
        let record = parse_data(&key.rr_type, data).ok_or_else(|| broken("the data does not fit the type"))?;
        let set = sets.entry(key).or_insert((ttl, Vec::new()));
        if set.0 != ttl {
            return Err(broken("a set has one TTL"));
        }
        set.1.push(record);
    }
    sets.into_iter()
        .map(|(key, (ttl, records))| {
            let data = ClaimedSet::unclaimed(RrSet::new(key, ttl, records)?);
            Ok(Entry { data, version: Version::default(), blocks: Blocks::AsDns })
        })
        .collect()
}

/// Types that are not modelled are carried as they stand.
fn parse_data(rr_type: &RrType, data: &str) -> Option<RecordData> {
    match rr_type {
        RrType::A => data.parse().ok().map(RecordData::A),
        RrType::Aaaa => data.parse().ok().map(RecordData::Aaaa),
        RrType::Cname => Fqdn::parse(data).ok().map(RecordData::Cname),
        RrType::Txt => unescape(data.strip_prefix('"')?.strip_suffix('"')?).map(RecordData::txt),
        RrType::Other(_) => Some(RecordData::Opaque(data.into())),
    }
}

/// Reads `\DDD` and `\X`.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let (mut octets, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, tail @ ..] = rest {
        let (octet, tail) = match (first, tail) {
            (b'\\', [a, b, c, tail @ ..]) if a.is_ascii_digit() => {
                (std::str::from_utf8(&[*a, *b, *c]).ok()?.parse().ok()?, tail)
            }
            (b'\\', [escaped, tail @ ..]) if !escaped.is_ascii_digit() => (*escaped, tail),
            (b'\\' | b'"', _) => return None,
            (plain, tail) => (*plain, tail),
        };
        octets.push(octet);
        rest = tail;
    }
    Some(octets)
}

fn print(store: &ZoneStore) -> String {
    let mut text = String::new();
    for set in store.entries().map(|entry| &entry.data.set) {
        for record in set.records() {
            let quote = if matches!(record, RecordData::Txt(_)) { "\"" } else { "" };
            writeln!(text, "{} {} {} {quote}{record}{quote}", set.owner(), set.ttl(), set.rr_type())
                .expect("writing to a String cannot fail");
        }
    }
    text
}

//----------- Using it -------------------------------------------------------

/// Changes an address and adds an alias of it, and gives the file as it is then.
pub async fn demo(path: &Path) -> Result<String, Box<dyn std::error::Error>> {
    std::fs::write(path, "example.com. 3600 MX 10 mail.example.com.\nwww.example.com. 60 A 192.0.2.1\n")?;
    let provider = Chunked::new(FlatFile::new(Fqdn::parse("example.com")?, path));
    let zone = provider.find_zone(Some(&Fqdn::parse("example.com")?), None).await?;
    let snapshot = provider.read_zone(&zone.id).await?;

    let ttl = Ttl::from_secs(60).ok_or("no TTL")?;
    let www = RrKey::new(Fqdn::parse("www.example.com")?, RrType::A);
    let alias = RrKey::new(Fqdn::parse("alias.example.com")?, RrType::Cname);
    let held = snapshot.get(&www).ok_or("www is gone")?;
    let moved = RrSet::new(www.clone(), ttl, [RecordData::A([192, 0, 2, 2].into())])?;
    let target = RrSet::new(alias, ttl, [RecordData::Cname(www.owner)])?;
    let changes = ChangeSet::by_name([
        Change::update(held, ClaimedSet::unclaimed(moved)),
        Change::create(ClaimedSet::unclaimed(target), snapshot.version.clone()),
    ]);

    let applied = provider.apply(&zone.id, &changes, &ApplyContext::default()).await?;
    for (key, outcome) in &applied.outcomes {
        if !outcome.is_done() {
            return Err(format!("{key}: {outcome:?}").into());
        }
    }
    Ok(std::fs::read_to_string(path)?)
}

/// Shows the file before it is removed again.
#[expect(clippy::print_stdout, reason = "an example shows what it did")]
pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::temp_dir().join(format!("flat-file-{}.zone", std::process::id()));
    let shown = now(demo(&path));
    std::fs::remove_file(&path)?;
    print!("{}", shown?);
    Ok(())
}

/// Runs a future that never waits: all work here is the file system's.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut cx) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => unreachable!("nothing here waits"),
    }
}
