//! What to change at the names of one service, and why.
//!
//! In: desired names, what the zone holds there · Out: [`ServicePlan`] · Pure: yes.
//!
//! | at the name we hold | others hold | desired | change |
//! |---|---|---|---|
//! | – | – | set | create |
//! | equal set and claim | any | set | none |
//! | other records, TTL or claim | any | set | update |
//! | set | any | – | delete |
//! | – | a set without a claim, `adopt` covers it | set | update of theirs |
//! | – | a set of that type, or a CNAME | addresses | refused; on hosts that share sets: create, and report |
//! | – | something that blocks the name | any | refused |
//! | any | any set at the name (or below, where the host answers subtrees) | CNAME | refused; the addresses it would lead to instead |

mod credits;
mod reason;

use std::collections::{BTreeMap, BTreeSet};

use dnsprovider::{Blocks, Change, Claim, ClaimedSet, Credits, Entry, Fqdn, RecordData, RrKey, RrSet, RrType, Version};

use crate::context::{Context, Note};
use crate::desired::{Desired, DesiredName};
use crate::event::{ClusterName, ServiceId};
use crate::losses::{LossCount, Losses};
use crate::settings::Adopt;
use crate::zone::Ownership;

/// How soon a change should be written; the smaller first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// A name whose addresses are dead leads elsewhere.
    Failover,
    /// A name loses a dead address and keeps others.
    DeadAddress,
    /// Something new.
    Creation,
    /// TTLs, credits, deletions.
    Rest,
}

impl Urgency {
    /// Does this go before bulk work?
    #[must_use]
    pub fn is_urgent(self) -> bool {
        self <= Self::DeadAddress
    }
}

/// One change with what decides when and whether it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedChange {
    /// The edit.
    pub change: Change,
    /// Why, for people.
    pub reason: String,
    /// What it counts against the guard's budgets.
    pub losses: Losses,
    /// How soon.
    pub urgency: Urgency,
}

impl PlannedChange {
    /// The part of an update that takes nothing away: what stands there with the new records added, at most `limit`.
    /// `None` when nothing is added.
    pub(crate) fn additions(&self, limit: Option<usize>) -> Option<Change> {
        let (before, after) = (self.change.before.as_ref()?, self.change.after.as_ref()?);
        if before.set.cname_target().is_some() {
            return None;
        }
        let room = limit.unwrap_or(usize::MAX).saturating_sub(before.set.records().len());
        let is_new = |(record, _): &(&RecordData, &[ClusterName])| !before.set.records().contains(record);
        let added: Vec<_> = after.credited().filter(is_new).take(room).collect();
        if added.is_empty() {
            return None;
        }
        let credits: BTreeMap<_, _> = before.credited().chain(added).collect();
        let records = credits.keys().copied().cloned();
        let set = RrSet::new(self.change.key.clone(), before.set.ttl(), records).ok()?;
        let credits = credits.values().map(|credits| Credits::from(*credits)).collect();
        let claim = after.claim.clone().map(|claim| Claim { credits, ..claim });
        Some(Change { after: Some(ClaimedSet { set, claim }), ..self.change.clone() })
    }
}

/// Something that is wanted and not done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    /// The name, where it is about one.
    pub owner: Option<Fqdn>,
    /// The type, where it is about one set.
    pub rr_type: Option<RrType>,
    /// The cluster, where it is about one.
    pub cluster: Option<ClusterName>,
    /// The service, where it is about one.
    pub service: Option<ServiceId>,
    /// Why, and what to do.
    pub reason: String,
}

/// All changes and remarks for one service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServicePlan {
    /// In order of owner and type.
    pub changes: Vec<PlannedChange>,
    /// What is wanted and not done.
    pub refused: Vec<Refusal>,
    /// Remarks that are no refusals.
    pub warnings: Vec<String>,
    /// On a host that stores no claims: the TXT set that lists them says something else than what the zone holds.
    pub relists: bool,
}

impl ServicePlan {
    /// True when there is nothing to do and nothing to say.
    pub fn is_empty(&self) -> bool {
        !self.is_work() && self.refused.is_empty() && self.warnings.is_empty()
    }

    /// True when there is something to write.
    pub fn is_work(&self) -> bool {
        !self.changes.is_empty() || self.relists
    }

    /// What its changes count against the guard's budgets.
    pub fn losses(&self) -> LossCount {
        names_emptied_once(self.changes.iter().map(|planned| planned.losses).sum())
    }

    /// The most urgent change's urgency.
    pub fn urgency(&self) -> Urgency {
        self.changes.iter().map(|planned| planned.urgency).min().unwrap_or(Urgency::Rest)
    }
}

/// A name with both families is one name emptied; a service has one global name.
pub(crate) fn names_emptied_once(losses: LossCount) -> LossCount {
    LossCount { emptied: losses.emptied.min(1), ..losses }
}

/// Plans one service.
pub fn plan_service(
    cx: &Context<'_>,
    shared_sets: bool,
    service: &ServiceId,
    desired: &Desired,
    notes: Vec<Note>,
) -> ServicePlan {
    let mut plan = ServicePlan::default();
    for note in notes {
        if note.refused {
            plan.refused.push(Refusal {
                owner: note.owner,
                rr_type: None,
                cluster: note.cluster,
                service: Some(service.clone()),
                reason: note.text,
            });
        } else {
            let cluster = note.cluster.map(|cluster| format!(" in {cluster}")).unwrap_or_default();
            let owner = note.owner.map(|owner| format!(" at {owner}")).unwrap_or_default();
            plan.warnings.push(format!("{service}{cluster}{owner}: {}", note.text));
        }
    }
    let is_wanted = *desired != Desired::Nothing;
    if let Some(reason) = cx.zone.blocked(service).filter(|_| is_wanted) {
        let service = Some(service.clone());
        plan.refused.push(Refusal { owner: None, rr_type: None, cluster: None, service, reason });
        return plan;
    }
    plan.relists = cx.zone.ledger_of(service).is_ok_and(|at| cx.zone.is_stale(&at));
    let names = match desired {
        Desired::AsHeld { .. } => return plan,
        Desired::Nothing => None,
        Desired::Names(names) => Some(names),
    };
    let storable = names.and_then(|names| credits::storable(cx, service, names, &mut plan.warnings));
    let names = storable.as_ref().or(names);
    let held = cx.zone.names_of(service);
    let owners: BTreeSet<&Fqdn> = held.chain(names.into_iter().flat_map(|names| names.keys())).collect();
    for owner in owners {
        let wanted = names.and_then(|names| names.get(owner));
        NamePlan { cx, shared_sets, service, owner, wanted, counts: names.is_some() }.plan(&mut plan);
    }
    // Plans wait in great numbers.
    plan.changes.shrink_to_fit();
    plan
}

/// Plans the deletion of sets that carry our claim at names that are none of this federation.
pub fn plan_strays(cx: &Context<'_>) -> ServicePlan {
    let mut plan = ServicePlan::default();
    // A cluster that has not answered may be the only one to know what these names stood for.
    if cx.standings.some_unanswered {
        return plan;
    }
    plan.relists = cx.zone.stray_ledgers().any(|at| cx.zone.is_stale(at));
    for entry in cx.zone.strays().iter().flat_map(|owner| cx.zone.at(owner)) {
        if cx.zone.ownership(entry) == Ownership::Ours {
            plan.changes.push(PlannedChange {
                change: Change::delete(entry),
                reason: "the name is none of this federation (the suffix or federation changed)".into(),
                losses: Losses { deleted: true, ..Losses::default() },
                urgency: Urgency::Rest,
            });
        }
    }
    plan
}

/// One name at work.
struct NamePlan<'a> {
    cx: &'a Context<'a>,
    shared_sets: bool,
    service: &'a ServiceId,
    owner: &'a Fqdn,
    wanted: Option<&'a DesiredName>,
    counts: bool,
}

impl NamePlan<'_> {
    fn plan(&self, plan: &mut ServicePlan) {
        let sets = self.permitted(plan);
        let held: Vec<&Entry> = self.cx.zone.at(self.owner).iter().filter(|entry| self.is_own(entry)).collect();
        let mut taken: BTreeSet<usize> = BTreeSet::new();
        let mut changes = Vec::new();
        for set in &sets {
            let place = held.iter().position(|entry| entry.key() == set.set.key());
            match place.map(|place| (place, held[place])) {
                Some((place, entry)) => {
                    taken.insert(place);
                    if entry.data != *set {
                        changes.push(Change::update(entry, set.clone()));
                    }
                }
                None => changes.push(Change::create(set.clone(), self.version())),
            }
        }
        let left = held.iter().enumerate().filter(|(place, _)| !taken.contains(place));
        changes.extend(left.map(|(_, entry)| Change::delete(entry)));
        changes.sort_by(|a, b| a.key.cmp(&b.key));
        let teller = reason::Teller {
            cx: self.cx,
            service: self.service,
            owner: self.owner,
            wanted: self.wanted,
            held: &held,
            sets: &sets,
            counts: self.counts,
            offers: std::cell::OnceCell::new(),
        };
        plan.changes.extend(changes.into_iter().map(|change| teller.tell(change)));
    }

    /// The sets that may stand at the name; what may not is refused.
    fn permitted(&self, plan: &mut ServicePlan) -> Vec<ClaimedSet> {
        let Some(wanted) = self.wanted else { return Vec::new() };
        let foreign: Vec<&Entry> = self.cx.zone.at(self.owner).iter().filter(|entry| !self.is_own(entry)).collect();
        let below = self.has_foreign_below();
        let mut refuse = |rr_type: Option<&RrType>, reason: String| {
            plan.refused.push(Refusal {
                owner: Some(self.owner.clone()),
                rr_type: rr_type.cloned(),
                cluster: None,
                service: Some(self.service.clone()),
                reason,
            });
        };
        let describe = |entry: &Entry| describe(entry, self.cx.zone.is_changed(entry));
        if let Some(entry) = foreign.iter().find(|entry| entry.blocks == Blocks::Name) {
            refuse(None, format!("a foreign set ({}) blocks the name", describe(entry)));
            // What is ours already may still change or go; nothing new comes beside a stranger.
            return wanted.sets.iter().filter(|set| self.holds(set.set.key())).cloned().collect();
        }
        let mut sets = &wanted.sets;
        if sets.iter().any(|set| *set.set.rr_type() == RrType::Cname) && (below || !foreign.is_empty()) {
            let what = match foreign.first() {
                Some(entry) => format!("a foreign set ({}) at the name", describe(entry)),
                None => "a foreign set below the name".into(),
            };
            refuse(Some(&RrType::Cname), format!("{what} forbids a CNAME; the addresses it would lead to stand in"));
            sets = &wanted.stand_in;
        }
        if below && foreign.is_empty() && sets.iter().any(|set| *set.set.rr_type() != RrType::Cname) {
            refuse(None, "a foreign set below the name is answered together with ours".into());
        }
        let mut permitted = Vec::new();
        for set in sets {
            let rr_type = set.set.rr_type();
            let conflicting = |entry: &&&Entry| {
                let theirs = entry.data.set.rr_type();
                theirs == rr_type || *theirs == RrType::Cname || *rr_type == RrType::Cname
            };
            match foreign.iter().find(conflicting) {
                Some(entry) if self.shared_sets => {
                    refuse(Some(rr_type), format!("a foreign set ({}) stands beside ours", describe(entry)));
                    permitted.push(set.clone());
                }
                Some(entry) => refuse(Some(rr_type), format!("a foreign set ({}) is left alone", describe(entry))),
                None => permitted.push(set.clone()),
            }
        }
        permitted
    }

    fn is_own(&self, entry: &Entry) -> bool {
        match self.cx.zone.ownership(entry) {
            Ownership::Ours | Ownership::Adoptable => true,
            Ownership::Foreign => {
                let same = |set: &ClaimedSet| set.set == entry.data.set;
                self.cx.settings.adopt == Adopt::Exact
                    && entry.data.claim.is_none()
                    && entry.blocks == Blocks::AsDns
                    && self.wanted.is_some_and(|wanted| wanted.sets.iter().any(same))
            }
        }
    }

    /// Whether a stranger's set lies at or below the name, those left out that are taken over.
    fn has_foreign_below(&self) -> bool {
        let at = self.cx.zone.at(self.owner);
        let mut strangers = at.iter().filter(|entry| self.cx.zone.ownership(entry) == Ownership::Foreign).peekable();
        let all_accepted = strangers.peek().is_some() && strangers.all(|entry| self.is_own(entry));
        self.cx.zone.foreign_below(self.owner) > usize::from(all_accepted)
    }

    fn holds(&self, key: &RrKey) -> bool {
        self.cx.zone.at(self.owner).iter().any(|entry| entry.key() == key && self.is_own(entry))
    }

    /// The newest state in which this name was seen.
    fn version(&self) -> Version {
        let seen = self.cx.zone.at(self.owner).iter().map(|entry| entry.version.revision).max().unwrap_or(0);
        Version::at(seen.max(self.cx.zone.version().revision))
    }
}

/// A foreign set in a few words; `changed`: it was ours.
fn describe(entry: &Entry, changed: bool) -> String {
    let records: Vec<String> = entry.data.set.records().iter().take(3).map(ToString::to_string).collect();
    let claim = entry.data.claim_name().map(|claim| format!(", claimed by `{claim}`")).unwrap_or_default();
    let changed = if changed {
        ", once ours and changed by somebody else; hint: delete it and it is written anew, or adopt it"
    } else {
        ""
    };
    format!("{} {}{claim}{changed}", entry.data.set.rr_type(), records.join(" "))
}
