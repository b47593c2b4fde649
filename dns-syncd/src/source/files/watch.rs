//! The kernel's word that something changed below a path.
//!
//! Only a hint of when to look: what changed is found by looking, and looking happens now and then without a hint too.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

#[derive(Debug, Default)]
struct Heard {
    changed: Notify,
    /// Paths onto which something was renamed.
    renamed: Mutex<BTreeSet<PathBuf>>,
}

/// A watched path that may vanish and come back.
pub(crate) struct Watch {
    path: PathBuf,
    /// What the path was when watching began.
    watched: Option<(u64, u64)>,
    heard: Arc<Heard>,
    watcher: Option<RecommendedWatcher>,
}

impl Watch {
    pub(crate) fn new(path: &Path) -> Self {
        let mut watch = Self { path: PathBuf::new(), watched: None, heard: Arc::default(), watcher: None };
        watch.follow(path);
        watch
    }

    /// Watches `path` from now on, when it is another one or another folder took its place.
    pub(crate) fn follow(&mut self, path: &Path) {
        let now = fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()));
        // A file is watched through its folder, which stays when the file is replaced.
        let same = self.watched == now || (path.is_file() && self.watched.is_some() && now.is_some());
        if self.path == path && same && self.watcher.is_some() {
            return;
        }
        path.clone_into(&mut self.path);
        self.watched = now;
        self.watcher = begin(path, self.heard.clone())
            .inspect_err(|error| {
                tracing::warn!(path = %path.display(), %error, "changes are seen only by looking every few seconds");
            })
            .ok();
        self.heard.changed.notify_one();
    }

    /// Waits for a hint.
    pub(crate) async fn changed(&self) {
        self.heard.changed.notified().await;
    }

    /// Paths onto which something was renamed since the last call.
    pub(crate) fn take_renamed(&self) -> BTreeSet<PathBuf> {
        std::mem::take(&mut *self.heard.renamed.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn begin(path: &Path, heard: Arc<Heard>) -> notify::Result<RecommendedWatcher> {
    // The kernel tells of changes by absolute paths; all else here speaks of the path as it was given.
    let (below, given) = (std::path::absolute(path)?, path.to_owned());
    let as_given = move |path: &PathBuf| path.strip_prefix(&below).ok().map(|rest| given.join(rest));
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| match event {
        Ok(mut event) => {
            event.paths = event.paths.iter().filter_map(&as_given).collect();
            if !event.paths.is_empty() {
                hear(&heard, event);
            }
        }
        Err(error) => {
            tracing::debug!(%error, "the watch of the source's files failed");
            heard.changed.notify_one();
        }
    })?;
    // The folder above tells when the path itself is replaced; other names in it are not looked at.
    if let Some(above) = path.parent() {
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        watcher.watch(above, RecursiveMode::NonRecursive)?;
    }
    if path.is_dir() {
        watcher.watch(path, RecursiveMode::Recursive)?;
    }
    Ok(watcher)
}

fn hear(heard: &Heard, event: Event) {
    match event.kind {
        // Our own reading.
        EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write) => return,
        EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Both)) => {
            let mut renamed = heard.renamed.lock().unwrap_or_else(PoisonError::into_inner);
            renamed.extend(event.paths.into_iter().next_back());
        }
        _ => {}
    }
    heard.changed.notify_one();
}
