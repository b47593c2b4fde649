//! Names at which a deletion met more keys than it knew of.
//!
//! In: what a refused transaction showed · Out: which names need every compare · Called by: `plan`, `apply`

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

use dnsprovider::Fqdn;

/// A set of names, mostly empty.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    names: RwLock<BTreeSet<Fqdn>>,
    /// Of `names`, so that nobody waits who asks for nothing: each change is asked for more than once.
    count: AtomicUsize,
}

impl Crowd {
    pub(super) fn holds(&self, name: &Fqdn) -> bool {
        self.count.load(Ordering::Relaxed) > 0
            && self.names.read().unwrap_or_else(PoisonError::into_inner).contains(name)
    }

    pub(super) fn add(&self, names: impl IntoIterator<Item = Fqdn>) {
        let mut held = self.names.write().unwrap_or_else(PoisonError::into_inner);
        held.extend(names);
        self.count.store(held.len(), Ordering::Relaxed);
    }

    /// Forgets a name: its sets are gone.
    pub(super) fn remove(&self, name: &Fqdn) {
        if self.holds(name) {
            let mut held = self.names.write().unwrap_or_else(PoisonError::into_inner);
            held.remove(name);
            self.count.store(held.len(), Ordering::Relaxed);
        }
    }
}
