//! Manifests in files, watched for change.
//!
//! Two forms, told apart by content. A *dump* is what a federation v1 API server holds: `Cluster` objects, and
//! `Service`s with the annotation in which its service controller kept every cluster's load balancer addresses.
//! *Members* are a folder with one file or folder for each cluster, named after it, that holds the cluster's own
//! `Node`s, `Service`s and `EndpointSlice`s.
//!
//! The walk of a change: `scan` lists names and stamps, `settle` says which members hold still, `manifest` reads their
//! text, `member` or `dump` make answers of it, `view` tells what is new.

pub(crate) mod dump;
pub(crate) mod manifest;
pub(crate) mod member;
mod reader;
mod scan;
mod settle;
pub(crate) mod view;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use dns_sync_core::SourceEvent;
use tokio::sync::mpsc;
use tokio::time::Instant;

use self::reader::{Reader, Step};
use self::watch::Watch;
use super::{EndpointSource, Select, SourceError, Stop, wall_clock};

/// How often the folder is looked at when nobody tells of a change: a safety net for file systems and mounts whose
/// changes the kernel does not tell.
const POLL: Duration = Duration::from_secs(5);

/// A file or folder of Kubernetes manifests.
#[derive(Debug)]
pub struct FileSource {
    reader: Reader,
}

impl FileSource {
    /// The manifests at `path`: a dump (file or folder), a folder of members, or a folder with such a folder
    /// `clusters` in it. Nothing is read yet.
    pub fn new(path: impl Into<PathBuf>, select: Select) -> Self {
        Self { reader: Reader::new(path.into(), select) }
    }

    /// Runs a blocking step of the reader beside the runtime.
    async fn blocking<T: Send + 'static>(self, step: impl FnOnce(&mut Reader) -> T + Send + 'static) -> (Self, T) {
        let Self { mut reader } = self;
        let task = tokio::task::spawn_blocking(move || {
            let found = step(&mut reader);
            (Self { reader }, found)
        });
        match task.await {
            Ok(done) => done,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

#[async_trait]
impl EndpointSource for FileSource {
    async fn read_once(&mut self) -> Result<Vec<SourceEvent>, SourceError> {
        let empty = Self::new(PathBuf::new(), Select::default());
        let (source, read) = std::mem::replace(self, empty).blocking(|reader| reader.read_all(wall_clock())).await;
        *self = source;
        read
    }

    async fn run(self: Box<Self>, events: mpsc::Sender<Vec<SourceEvent>>, mut stop: Stop) -> Result<(), SourceError> {
        // Watching begins before reading, so that no change falls in between.
        let mut watch = Watch::new(self.reader.root());
        let (mut source, first) = self.blocking(|reader| reader.read_all(wall_clock())).await;
        let mut batch = first?;
        watch.follow(source.reader.root());
        let start = Instant::now();
        let mut look_at = Some(Duration::ZERO); // what changed while it was read
        loop {
            if !batch.is_empty() && events.send(batch).await.is_err() {
                return Ok(());
            }
            let poll_at = start.elapsed() + POLL;
            let wake = start + look_at.map_or(poll_at, |due| due.min(poll_at));
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
                () = events.closed() => return Ok(()),
                () = watch.changed() => {}
                () = tokio::time::sleep_until(wake) => {}
            }
            watch.follow(source.reader.root());
            let (renamed, clock) = (watch.take_renamed(), start.elapsed());
            let step: Step;
            (source, step) = source.blocking(move |reader| reader.step(&renamed, clock, wall_clock())).await;
            Step { events: batch, look_at } = step;
        }
    }
}
