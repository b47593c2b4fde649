//! Equal credits, once in memory: thousands of records come from the same clusters.

use std::collections::BTreeSet;
use std::sync::Arc;

use dnsprovider::Credits;

/// With no more than this none is looked at for whether it is still used.
const FEW: usize = 1024;

/// The credits of a zone.
#[derive(Clone, Debug, Default)]
pub(super) struct CreditPool {
    /// Those of whole sets.
    lists: BTreeSet<Arc<[Credits]>>,
    /// Those of single records.
    credits: BTreeSet<Credits>,
    /// With more lists those are dropped that nothing has any more.
    prune_above: usize,
}

impl CreditPool {
    /// The same credits, as whoever else has them has them.
    pub(super) fn shared(&mut self, list: &Arc<[Credits]>) -> Arc<[Credits]> {
        if let Some(known) = self.lists.get(&**list) {
            return known.clone();
        }
        if self.lists.len() > self.prune_above.max(FEW) {
            self.lists.retain(|list| Arc::strong_count(list) > 1);
            self.credits.retain(|credits| Arc::strong_count(credits) > 1);
            self.prune_above = 2 * self.lists.len();
        }
        let list: Arc<[Credits]> = list.iter().map(|credits| shared_one(&mut self.credits, credits)).collect();
        self.lists.insert(list.clone());
        list
    }
}

fn shared_one(pool: &mut BTreeSet<Credits>, credits: &Credits) -> Credits {
    if let Some(known) = pool.get(&**credits) {
        return known.clone();
    }
    pool.insert(credits.clone());
    credits.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(clusters: &[&str]) -> Arc<[Credits]> {
        clusters.iter().map(|cluster| Credits::from([Arc::from(*cluster)])).collect()
    }

    #[test]
    fn equal_credits_are_one_and_those_that_nothing_has_are_forgotten() {
        let mut pool = CreditPool::default();
        let (both, again, one) = (list(&["a", "b"]), list(&["a", "b"]), list(&["b"]));
        let (both, again, one) = (pool.shared(&both), pool.shared(&again), pool.shared(&one));
        assert!(Arc::ptr_eq(&both, &again) && Arc::ptr_eq(&both[1], &one[0]));
        assert_eq!(both, list(&["a", "b"]));
        for number in 0..10 * FEW {
            pool.shared(&list(&[&format!("c{number}")]));
            assert!(pool.lists.len() <= FEW + 1 && pool.credits.len() <= FEW + 2, "{}", pool.lists.len());
        }
        assert!(Arc::ptr_eq(&both, &pool.shared(&list(&["a", "b"]))), "what is in use stays");
    }
}
