//! What is known of one cluster, and what has been told of it.
//!
//! In: what followers tell · Out: [`SourceEvent`]s · Pure: yes, time comes in as a value

use std::time::Duration;

use dns_sync_core::{ClusterName, SourceEvent};
use tokio::time::Instant;

use super::cluster::Picture;
use super::follow::Told;
use super::objects::Watched;
use super::progress::Progress;
use super::store::Store;
use crate::source::Select;

/// One cluster.
#[derive(Debug)]
pub(crate) struct View {
    name: ClusterName,
    progress: Progress,
    store: Store,
    standing: Standing,
}

/// What was told last.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    Untold,
    Known,
    Unknown(String),
}

impl View {
    pub(crate) fn new(name: ClusterName, select: Select, leave_delay: Duration) -> Self {
        Self {
            name,
            progress: Progress::new(Watched::needed(select), leave_delay),
            store: Store::new(select),
            standing: Standing::Untold,
        }
    }
}

impl Picture for View {
    fn progress(&mut self) -> &mut Progress {
        &mut self.progress
    }

    fn is_told_known(&self) -> bool {
        self.standing == Standing::Known
    }

    fn take(&mut self, kind: Watched, told: Told, now: Instant) {
        match told {
            Told::Listed(items) => {
                let before = self.progress.before(kind, || self.store.present(kind));
                self.store.replace(kind, items);
                self.progress.listed(kind, before, |before| self.store.has_any_of(kind, before), now);
            }
            Told::Watching => self.progress.watches(kind),
            Told::Changed(items) => {
                for item in items {
                    self.store.apply(kind, item);
                }
                self.progress.changed(|kind, before| self.store.has_any_of(kind, before));
            }
            Told::Alive => {}
        }
    }

    fn news(&mut self) -> Vec<SourceEvent> {
        if !self.progress.is_complete() {
            return Vec::new();
        }
        if let Some(reason) = self.progress.doubted() {
            return self.lost(&reason);
        }
        if self.standing == Standing::Known {
            return self.store.changes(&self.name);
        }
        self.standing = Standing::Known;
        vec![SourceEvent::Answer { cluster: self.name.clone(), answer: self.store.answer() }]
    }

    fn lost(&mut self, reason: &str) -> Vec<SourceEvent> {
        let standing = Standing::Unknown(reason.to_owned());
        if self.standing == standing {
            return Vec::new();
        }
        self.standing = standing;
        vec![SourceEvent::Unknown { cluster: self.name.clone(), since: None, reason: reason.into() }]
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use serde_json::{Value, json};

    use super::super::objects::{Item, Sent};
    use super::*;

    fn item(kind: Watched, object: Value) -> Item {
        serde_json::from_value::<Sent>(object).unwrap().item(kind, Select::All)
    }

    /// What an API server has: two services, a ready slice of each, a node.
    fn full(kind: Watched) -> Vec<Item> {
        let names = ["api", "web"];
        let objects: Vec<Value> = match kind {
            Watched::Services => names
                .map(|name| {
                    json!({
                        "metadata": { "name": name, "namespace": "shop" }, "spec": { "type": "LoadBalancer" },
                        "status": { "loadBalancer": { "ingress": [{ "ip": "192.0.2.1" }] } },
                    })
                })
                .into(),
            Watched::Slices => names
                .map(|name| {
                    json!({
                        "metadata": {
                            "name": name, "namespace": "shop", "labels": { "kubernetes.io/service-name": name },
                        },
                        "endpoints": [{ "addresses": ["10.0.0.1"] }],
                    })
                })
                .into(),
            _ => vec![json!({ "metadata": { "name": "one", "labels": { "topology.kubernetes.io/region": "eu" } } })],
        };
        objects.into_iter().map(|object| item(kind, object)).collect()
    }

    /// A server with an empty store behind it tells so kind by kind, in any order; none is believed, and when they are
    /// full again, nothing is told before the last one is.
    #[test]
    fn no_empty_list_is_believed_whichever_comes_first() {
        use Watched::{Nodes, Services, Slices};
        for order in [[Services, Slices, Nodes], [Slices, Services, Nodes], [Nodes, Slices, Services]] {
            let now = Instant::now();
            let mut view = View::new("eu".into(), Select::All, Duration::from_hours(1));
            for kind in order {
                view.take(kind, Told::Listed(full(kind)), now);
                view.take(kind, Told::Watching, now);
            }
            let whole = view.news();
            assert!(matches!(whole[..], [SourceEvent::Answer { .. }]), "{whole:?}");
            for (at, kind) in order.into_iter().enumerate() {
                view.take(kind, Told::Listed(Vec::new()), now);
                let news = view.news();
                let told_once = at > 0 || matches!(news[..], [SourceEvent::Unknown { .. }]);
                assert!(told_once && news.len() == usize::from(at == 0), "{order:?}: after {kind:?}: {news:?}");
            }
            for (at, kind) in order.into_iter().enumerate() {
                view.take(kind, Told::Listed(full(kind)), now);
                let news = view.news();
                assert!(if at == 2 { news == whole } else { news.is_empty() }, "{order:?}: after {kind:?}: {news:?}");
            }
        }
    }
}
