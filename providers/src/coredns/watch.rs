//! Changes of a zone as etcd tells them.

use std::collections::VecDeque;
use std::time::Duration;

use dnsprovider::{Error, ErrorKind, Fqdn, Version, WatchEvent, WatchStream};
use etcd_client::{KeyValue, WatchOptions, WatchResponse};

use super::CoreDns;
use super::convert;
use super::error::{Failure, error};
use super::wire::{Layout, end_below};

/// Longest wait until etcd says that the watch stands.
const CREATE_TIMEOUT: Duration = Duration::from_secs(5);

impl CoreDns {
    pub(super) async fn watch_zone(&self, layout: Layout, since: &Version) -> Result<WatchStream, Error> {
        let from = i64::try_from(since.revision).unwrap_or(i64::MAX - 1).saturating_add(1);
        // Siblings such as `example-2` lie in this range too; they are not of the zone and fall out below.
        let options = WatchOptions::new()
            .with_range(end_below(&layout.path))
            .with_start_revision(from)
            .with_prev_key()
            .with_progress_notify()
            .with_fragment();
        let mut answers = self.api.watch(layout.path.as_bytes(), &options).await.map_err(|failure| failure.error)?;
        let first = tokio::time::timeout(CREATE_TIMEOUT, answers.message()).await;
        let first = first.map_err(|_| Failure::timeout("watching the zone").error)?;
        let first = first.map_err(|cause| Failure::new("watching the zone", cause).error)?;
        let mut ready = VecDeque::new();
        match first {
            Some(answer) if answer.canceled() => return Err(canceled(&answer)),
            Some(answer) => ready.extend(events(&layout, &answer)),
            None => return Err(lost()),
        }
        let state = (answers, ready, layout, false);
        let stream = futures::stream::unfold(state, |(mut answers, mut ready, layout, ended)| async move {
            if ended {
                return None;
            }
            loop {
                if let Some(event) = ready.pop_front() {
                    return Some((Ok(event), (answers, ready, layout, false)));
                }
                let failed = match answers.message().await {
                    Ok(Some(answer)) if answer.canceled() => canceled(&answer),
                    Ok(Some(answer)) => {
                        ready.extend(events(&layout, &answer));
                        continue;
                    }
                    Ok(None) => lost(),
                    Err(cause) => Failure::new("watching the zone", cause).error,
                };
                return Some((Err(failed), (answers, ready, layout, true)));
            }
        });
        Ok(Box::pin(stream))
    }
}

/// The names at which to look again, each once per revision.
fn events(layout: &Layout, answer: &WatchResponse) -> Vec<WatchEvent> {
    let mut events: Vec<WatchEvent> = Vec::new();
    for event in answer.events() {
        let Some(kv) = event.kv() else { continue };
        let revision = kv.mod_revision().unsigned_abs();
        for owner in owners(layout, kv, event.prev_kv()) {
            let event = WatchEvent { owner, revision };
            if !events.contains(&event) {
                events.push(event);
            }
        }
    }
    events
}

/// Whose answers a key changes: its owner before and now, and the name above a key that groups itself under none.
fn owners(layout: &Layout, now: &KeyValue, before: Option<&KeyValue>) -> Vec<Fqdn> {
    let mut owners = Vec::new();
    for kv in before.into_iter().chain([now]) {
        // A deleted key has no value; without the one before it may have been a record of either name.
        let told = !kv.value().is_empty() || before.is_none();
        let Some(placed) = convert::place(layout, kv.key(), kv.value()).filter(|_| told) else { continue };
        let foreign = placed.leaf.is_empty() && placed.above.is_some();
        let ours = foreign && placed.blocks_as_dns();
        owners.extend(placed.above.filter(|_| foreign && !ours).map(|above| layout.owner_of_leaves(&above)));
        owners.push(placed.owner);
    }
    owners.sort();
    owners.dedup();
    owners
}

fn canceled(answer: &WatchResponse) -> Error {
    let reason = answer.cancel_reason();
    if answer.compact_revision() > 0 {
        let why = format!("watching the zone: etcd keeps no changes before revision {}", answer.compact_revision());
        return error(ErrorKind::Conflict, format!("{why}; hint: read the zone again"));
    }
    let kind = if reason.contains("permission denied") {
        ErrorKind::PermissionDenied
    } else if reason.contains("auth") {
        ErrorKind::Unauthenticated
    } else {
        ErrorKind::Unavailable
    };
    error(kind, format!("watching the zone: etcd ended the watch: `{reason}`"))
}

fn lost() -> Error {
    error(ErrorKind::Unavailable, "watching the zone: etcd closed the watch")
}
