//! Zones on disk: a snapshot of the whole and a journal of what changed since.
//!
//! In: the names that changed · Out: the zone as it was · Called by: zone.rs, mod.rs
//!
//! Both files are lines of a checksum and JSON. The first line of a snapshot is its header, the others are its names. Each
//! line of the journal is one change: a header and the names that it touched, with everything at them. A snapshot is put
//! in place by a rename; journal lines that are not newer than it are skipped, so a crash between the rename and the
//! emptying of the journal does no harm. A journal that ends inside a line was cut by a crash while it was written, before
//! the change was answered: that line is dropped. Anything else that does not fit is an error.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use dnsprovider::store::ZoneStore;
use dnsprovider::{Entry, Fqdn};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::saved::Saved;

/// Journal octets, beyond those of the snapshot, at which the journal is folded into a new one.
const JOURNAL_SLACK: u64 = 1 << 20;
/// Octets of the checksum in a line, as hex digits.
const CHECKSUM_DIGITS: usize = 16;

/// The state of a zone beside its sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) revision: u64,
    pub(super) serial: u32,
    /// The zone was complete once and may be answered.
    pub(super) complete: bool,
}

impl Header {
    /// Of a zone that was never written.
    pub(super) const NEW: Self = Self { revision: 1, serial: 0, complete: false };
}

/// A line of the journal.
#[derive(Serialize, Deserialize)]
struct Record {
    #[serde(flatten)]
    header: Header,
    names: Vec<Name>,
}

/// Everything at one name. Without sets: nothing is left there.
#[derive(Serialize, Deserialize)]
struct Name {
    name: String,
    sets: Vec<Saved>,
}

impl Name {
    fn new(owner: &Fqdn, entries: &[Entry]) -> Self {
        Self { name: owner.to_string(), sets: entries.iter().map(Saved::from).collect() }
    }
}

//----------- DataDir --------------------------------------------------------

/// The folder that holds the zones of one server.
#[derive(Debug)]
pub(super) struct DataDir {
    path: PathBuf,
    /// Held by the process that writes.
    lock: Option<File>,
}

impl DataDir {
    /// Opens the folder for reading, possibly beside a process that writes.
    pub(super) fn read_only(path: &Path) -> Self {
        Self { path: path.to_owned(), lock: None }
    }

    /// Opens or creates the folder for writing and keeps other writers away as long as the value lives.
    pub(super) fn lock(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(path.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), lock: Some(lock) }),
            Err(TryLockError::WouldBlock) => {
                Err(io::Error::new(ErrorKind::WouldBlock, "another process holds it; stop that first"))
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// The zone as it was last written; one that was never written is empty.
    pub(super) fn load(&self, provider: &'static str, apex: &Fqdn) -> io::Result<(ZoneStore, Header)> {
        // The journal first: if a writer folds it into a new snapshot meanwhile, its lines are older than that.
        let (journal_path, snapshot_path) = (self.file(apex, "journal"), self.file(apex, "zone"));
        let journal = read(&journal_path)?;
        let snapshot = read(&snapshot_path)?;
        let mut header = Header::NEW;
        let mut names = BTreeMap::new();
        if !snapshot.is_empty() {
            let fail = |line: usize, what: String| corrupt(&snapshot_path, line, &what);
            if snapshot.last() != Some(&b'\n') {
                return Err(fail(0, "its end is missing".to_owned()));
            }
            let mut lines = lines(&snapshot);
            let (_, first) = lines.next().unwrap_or_default();
            let (saved, count): (Header, usize) = checked(first).map_err(|what| fail(1, what))?;
            header = saved;
            for (number, line) in lines {
                let saved: Name = checked(line).map_err(|what| fail(number, what))?;
                put(&mut names, saved).map_err(|what| fail(number, what))?;
            }
            if names.len() != count {
                return Err(fail(0, format!("it has {} names instead of {count}", names.len())));
            }
        }
        let whole = journal.iter().rposition(|octet| *octet == b'\n').map_or(0, |end| end + 1);
        if whole < journal.len() {
            tracing::warn!(file = %journal_path.display(), "dropping a change that was cut while it was written");
        }
        for (number, line) in lines(&journal[..whole]) {
            let fail = |what: String| corrupt(&journal_path, number, &what);
            let record: Record = checked(line).map_err(fail)?;
            // Readiness is noted at the revision that it came at.
            if record.header.revision < header.revision || record.header == header {
                continue;
            }
            header = record.header;
            for name in record.names {
                put(&mut names, name).map_err(fail)?;
            }
        }
        let entries = names.into_values().flatten();
        let store = ZoneStore::restore(provider, apex.clone(), header.revision, entries).map_err(|error| {
            io::Error::new(ErrorKind::InvalidData, format!("`{}`: {error}", snapshot_path.display()))
        })?;
        Ok((store, header))
    }

    /// Prepares a zone for writing: folds its journal into a new snapshot.
    pub(super) fn writer(&self, store: &ZoneStore, header: &Header) -> io::Result<Disk> {
        debug_assert!(self.lock.is_some(), "only the holder of the lock writes");
        let path = self.file(store.apex(), "journal");
        let journal = OpenOptions::new().create(true).append(true).open(&path)?;
        let mut disk = Disk {
            folder: self.path.clone(),
            snapshot: self.file(store.apex(), "zone"),
            journal,
            journal_octets: 0,
            snapshot_octets: 0,
            torn: false,
        };
        disk.compact(header, store)?;
        Ok(disk)
    }

    fn file(&self, apex: &Fqdn, extension: &str) -> PathBuf {
        // A label may hold a slash.
        self.path.join(format!("{}{extension}", apex.as_str().replace('%', "%25").replace('/', "%2F")))
    }
}

//----------- Disk -----------------------------------------------------------

/// The files of one zone, open for writing.
#[derive(Debug)]
pub(super) struct Disk {
    folder: PathBuf,
    snapshot: PathBuf,
    journal: File,
    journal_octets: u64,
    snapshot_octets: u64,
    /// The journal ends in a part of a line that could not be taken away: only a new snapshot helps.
    torn: bool,
}

impl Disk {
    /// Notes a change; it is on the disk when this returns. After an error it is not noted.
    pub(super) fn append(&mut self, header: &Header, names: &[(&Fqdn, &[Entry])]) -> io::Result<()> {
        if self.torn {
            return Err(io::Error::other("the journal ends in a line that was not finished; restart to repair it"));
        }
        let names = names.iter().map(|(owner, entries)| Name::new(owner, entries)).collect();
        let line = line(&Record { header: *header, names })?;
        let written = self.journal.write_all(&line).and_then(|()| self.journal.sync_data());
        match written {
            Ok(()) => self.journal_octets += line.len() as u64,
            Err(_) => self.torn = self.journal.set_len(self.journal_octets).is_err(),
        }
        written
    }

    pub(super) fn wants_compaction(&self) -> bool {
        self.journal_octets > self.snapshot_octets + JOURNAL_SLACK
    }

    /// Writes a new snapshot, puts it in place of the old one, and empties the journal.
    pub(super) fn compact(&mut self, header: &Header, store: &ZoneStore) -> io::Result<()> {
        let names = &store.snapshot().entries;
        let temporary = self.snapshot.with_extension("new");
        let mut file = BufWriter::new(File::create(&temporary)?);
        let mut octets = 0;
        let mut write = |line: Vec<u8>| {
            octets += line.len() as u64;
            file.write_all(&line)
        };
        write(line(&(header, names.len()))?)?;
        for (owner, entries) in names {
            write(line(&Name::new(owner, entries))?)?;
        }
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&temporary, &self.snapshot)?;
        // The rename is on the disk when the folder is. Source: fsync(2), notes.
        File::open(&self.folder)?.sync_all()?;
        self.snapshot_octets = octets;
        self.journal.set_len(0)?;
        self.journal.sync_all()?;
        (self.journal_octets, self.torn) = (0, false);
        Ok(())
    }
}

//----------- Lines ----------------------------------------------------------

fn line(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(value)?;
    let mut line = Vec::with_capacity(CHECKSUM_DIGITS + json.len() + 2);
    line.extend_from_slice(checksum(&json).as_bytes());
    line.push(b' ');
    line.extend_from_slice(&json);
    line.push(b'\n');
    Ok(line)
}

/// Lines with their numbers, from 1, without their ends.
fn lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let parts = (!text.is_empty()).then(|| text.split(|octet| *octet == b'\n'));
    (1..).zip(parts.into_iter().flatten())
}

fn checked<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, String> {
    match line.split_at_checked(CHECKSUM_DIGITS) {
        Some((sum, [b' ', json @ ..])) if sum == checksum(json).as_bytes() => {
            serde_json::from_slice(json).map_err(|error| error.to_string())
        }
        _ => Err("the checksum does not fit".to_owned()),
    }
}

fn checksum(json: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(json)[..CHECKSUM_DIGITS / 2].iter().fold(String::new(), |mut text, octet| {
        write!(text, "{octet:02x}").expect("writing to a String cannot fail");
        text
    })
}

fn put(names: &mut BTreeMap<Fqdn, Vec<Entry>>, saved: Name) -> Result<(), String> {
    let owner = Fqdn::parse(&saved.name).map_err(|error| error.to_string())?;
    let entries: Result<Vec<_>, _> = saved.sets.into_iter().map(|set| set.entry(&owner)).collect();
    match entries? {
        entries if entries.is_empty() => _ = names.remove(&owner),
        entries => _ = names.insert(owner, entries),
    }
    Ok(())
}

/// The octets of a file; none when there is no file.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        other => other,
    }
}

fn corrupt(path: &Path, line: usize, what: &str) -> io::Error {
    let place = if line == 0 { String::new() } else { format!(", line {line}") };
    let hint = "restore the file, or remove the files of this zone to begin with an empty one";
    io::Error::new(ErrorKind::InvalidData, format!("`{}`{place} is damaged: {what}; hint: {hint}", path.display()))
}
