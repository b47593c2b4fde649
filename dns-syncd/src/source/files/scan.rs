//! What lies in the source's folder right now: names and stamps of files, no contents.
//!
//! Links are followed, so a mounted ConfigMap looks like a folder of files.
//! In: a path · Out: [`Listing`] · Called by: `reader.rs`

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// How deep folders are read below a member. More is a loop of links or a mistake.
const MAX_DEPTH: usize = 8;

/// What tells one state of a file from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) size: u64,
    /// Seconds and nanoseconds of the last change.
    pub(crate) modified: (i64, i64),
    /// Device and inode.
    pub(crate) id: (u64, u64),
    /// Where the path leads when all links are followed.
    pub(crate) real: PathBuf,
}

/// Files by path.
pub(crate) type Files = BTreeMap<PathBuf, Stamp>;

/// The members of a source, by name. `""` stands for a source that is one file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Listing {
    pub(crate) members: BTreeMap<String, Candidate>,
}

/// What carries a member's name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Candidate {
    /// The file or folder; several when a name stands for more than one, which is an error.
    pub(crate) paths: Vec<PathBuf>,
    pub(crate) files: Files,
}

/// What a source's path stands for; found once, so that a folder that vanishes is not mistaken for its parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    File(PathBuf),
    /// The folder of the members.
    Folder {
        path: PathBuf,
        /// True when it is called `clusters`.
        named: bool,
    },
}

impl Root {
    /// A file, a folder, or the folder `clusters` in it.
    pub(crate) fn find(path: &Path) -> io::Result<Self> {
        if !fs::metadata(path)?.is_dir() {
            return Ok(Self::File(path.to_owned()));
        }
        let below = path.join("clusters");
        if below.is_dir() {
            return Ok(Self::Folder { path: below, named: true });
        }
        let named = path.file_name().is_some_and(|name| name == "clusters");
        Ok(Self::Folder { path: path.to_owned(), named })
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::File(path) | Self::Folder { path, .. } => path,
        }
    }

    /// Lists the members.
    pub(crate) fn list(&self) -> io::Result<Listing> {
        let mut listing = Listing::default();
        match self {
            Self::File(path) => {
                let files = Files::from([(path.clone(), stamp(path)?)]);
                listing.members.insert(String::new(), Candidate { paths: vec![path.clone()], files });
            }
            Self::Folder { path, .. } => {
                for (name, path) in entries(path)? {
                    let candidate = listing.members.entry(name).or_default();
                    collect(&path, MAX_DEPTH, &mut candidate.files)?;
                    candidate.paths.push(path);
                }
            }
        }
        Ok(listing)
    }
}

/// True while the files are as they were listed.
pub(crate) fn hold(files: &Files) -> bool {
    files.iter().all(|(path, listed)| stamp(path).is_ok_and(|now| now == *listed))
}

/// True for the extensions that are YAML.
pub(crate) fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

fn is_manifest(path: &Path) -> bool {
    is_yaml(path) || path.extension().is_some_and(|extension| extension == "json")
}

/// Manifests and folders in a folder, with their names without extension, sorted by path.
fn entries(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if name.starts_with('.') {
            continue;
        }
        let Some(metadata) = present(fs::metadata(&path))? else { continue };
        let name = if metadata.is_dir() { Some(name) } else { path.file_stem().and_then(|stem| stem.to_str()) };
        if let Some(name) = name.filter(|_| metadata.is_dir() || is_manifest(&path)) {
            entries.push((name.to_owned(), path));
        }
    }
    entries.sort();
    Ok(entries)
}

/// The manifests at or below a path.
fn collect(path: &Path, depth: usize, files: &mut Files) -> io::Result<()> {
    let Some(metadata) = present(fs::metadata(path))? else { return Ok(()) };
    if !metadata.is_dir() {
        if let Some(stamp) = present(stamp(path))? {
            files.insert(path.to_owned(), stamp);
        }
        return Ok(());
    }
    let Some(depth) = depth.checked_sub(1) else {
        return Err(io::Error::other(format!("`{}` lies too deep; do its links lead in a circle?", path.display())));
    };
    let Some(entries) = present(entries(path))? else { return Ok(()) };
    entries.iter().try_for_each(|(_, path)| collect(path, depth, files))
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    let metadata = fs::metadata(path)?;
    Ok(Stamp {
        size: metadata.size(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        id: (metadata.dev(), metadata.ino()),
        real: fs::canonicalize(path)?,
    })
}

/// What went away between two looks, or is a link to nowhere, is absent.
fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}
