//! What Kubernetes events should tell of writes and of how things stand.
//!
//! In: changes that were written, the [`Reconciler`] · Out: [`Notice`]s · Pure: yes

use std::collections::{BTreeMap, BTreeSet};

use dns_sync_core::federation::Copies;
use dns_sync_core::guard::Limit;
use dns_sync_core::{ClusterName, Reconciler, ServiceId, Timestamp};
use dnsprovider::{Change, ClaimedSet, Fqdn};

use crate::events::{Notice, Reason};

/// States that are looked at for news at once; more would be more than the limits let through.
const MOST_STATES: usize = 1000;

/// What one answer of the host brought, by cluster and service.
#[derive(Debug, Default)]
pub(super) struct News(BTreeMap<(ClusterName, ServiceId), Moves>);

/// The addresses that a cluster gained and lost, each with a name of many.
#[derive(Debug, Default)]
struct Moves {
    gained: BTreeMap<String, BTreeSet<Fqdn>>,
    lost: BTreeMap<String, BTreeSet<Fqdn>>,
    why: String,
}

impl News {
    /// A change was written at a name of the service.
    pub(super) fn wrote(&mut self, reconciler: &Reconciler, service: &ServiceId, change: &Change, why: &str) {
        let (before, after) = (credits(change.before.as_ref()), credits(change.after.as_ref()));
        let copies = reconciler.federation().copies(service);
        let owner = &change.key.owner;
        let mut note = |(cluster, address): &(ClusterName, String), is_gain: bool| {
            // Where the service counts no more there is nobody to tell.
            if copies.is_some_and(|copies| copies.get(cluster).is_some()) {
                let moves = self.0.entry((cluster.clone(), service.clone())).or_default();
                why.clone_into(&mut moves.why);
                let side = if is_gain { &mut moves.gained } else { &mut moves.lost };
                side.entry(address.clone()).or_default().insert(owner.clone());
            }
        };
        after.difference(&before).for_each(|gain| note(gain, true));
        before.difference(&after).for_each(|loss| note(loss, false));
    }

    /// What there is to tell of it: of each service one thing.
    pub(super) fn take(&mut self) -> Vec<Notice> {
        let told = |((cluster, service), moves): ((ClusterName, ServiceId), Moves)| {
            let (reason, note) = if moves.gained.is_empty() {
                (Reason::Withdrawn, format!("withdrew {}: {}", listed(&moves.lost), moves.why))
            } else {
                (Reason::Published, format!("published {}", listed(&moves.gained)))
            };
            Notice { cluster, service, reason, note }
        };
        std::mem::take(&mut self.0).into_iter().map(told).collect()
    }
}

fn credits(set: Option<&ClaimedSet>) -> BTreeSet<(ClusterName, String)> {
    let credited = set.into_iter().flat_map(ClaimedSet::credited).filter(|(record, _)| record.address().is_some());
    credited.flat_map(|(record, credits)| credits.iter().map(|cluster| (cluster.clone(), record.to_string()))).collect()
}

/// `192.0.2.1, 192.0.2.2 at NAME and 2 more names`.
fn listed(moved: &BTreeMap<String, BTreeSet<Fqdn>>) -> String {
    let addresses: Vec<&str> = moved.keys().map(String::as_str).collect();
    let names: BTreeSet<&Fqdn> = moved.values().flatten().collect();
    let shortest = names.iter().min_by_key(|name| name.as_str().len()).map_or("", |name| name.as_str());
    let more = match names.len().saturating_sub(1) {
        0 => String::new(),
        1 => " and 1 more name".to_owned(),
        more => format!(" and {more} more names"),
    };
    format!("{} at {shortest}{more}", addresses.join(", "))
}

/// How things stand that services should know of; each is told when it comes.
#[derive(Debug, Default)]
pub(super) struct States(BTreeSet<Notice>);

impl States {
    /// What is new.
    pub(super) fn news(&mut self, reconciler: &Reconciler, now: Timestamp) -> Vec<Notice> {
        let mut states = BTreeSet::new();
        for (service, plan) in reconciler.plans() {
            let Some(service) = service else { continue };
            if states.len() >= MOST_STATES {
                break;
            }
            let copies = reconciler.federation().copies(service);
            let everywhere = || copies.into_iter().flat_map(Copies::clusters).cloned();
            let mut add = |cluster: ClusterName, reason: Reason, note: String| {
                states.insert(Notice { cluster, service: service.clone(), reason, note });
            };
            if !plan.refused.is_empty() || !plan.warnings.is_empty() {
                for note in reconciler.notes(service, now) {
                    let reason = if note.refused { Reason::Refused } else { Reason::Ignored };
                    if let Some(cluster) = note.cluster {
                        add(cluster, reason, note.text);
                    }
                }
            }
            for refusal in plan.refused.iter().filter(|refusal| refusal.cluster.is_none()) {
                let name = refusal.owner.as_ref().map(|owner| format!("{owner}: ")).unwrap_or_default();
                everywhere().for_each(|cluster| add(cluster, Reason::Refused, format!("{name}{}", refusal.reason)));
            }
            let limits: BTreeSet<&str> = reconciler.limits_of(service, now).into_iter().map(Limit::as_str).collect();
            if !limits.is_empty() {
                let limits = limits.into_iter().collect::<Vec<_>>().join(", ");
                let note =
                    format!("the guard holds changes of its names: {limits}; /status of dns-syncd has the numbers");
                everywhere().for_each(|cluster| add(cluster, Reason::Held, note.clone()));
            }
        }
        let news = states.difference(&self.0).cloned().collect();
        self.0 = states;
        news
    }
}
