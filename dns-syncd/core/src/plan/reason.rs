//! Why a set changes, how soon it should, and whether the guard counts it.
//!
//! Every address that goes has a cause for each cluster that was credited with it; the causes decide.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::net::IpAddr;

use dnsprovider::{Change, ClaimedSet, Entry, Fqdn, RecordData, RrKey, RrType};

use super::{PlannedChange, Urgency};
use crate::context::Context;
use crate::desired::{DesiredName, Hold};
use crate::event::{Endpoint, Place, ServiceId};
use crate::federation::Departure;
use crate::losses::Losses;
use crate::naming::Level;
use crate::offers::{Offer, Offers, offers};

/// Why an address that was credited to a cluster goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    Unhealthy,
    Moved,
    LeftOut,
    StoodIn,
    Drained,
    Unjoined,
    Led,
    Forbidden,
    Gone,
    Left,
    Excluded,
    Place,
    Unclaimed,
}

impl Cause {
    /// Whether the guard counts a loss by this cause, when the name afterwards leads to an address or does not.
    fn counts(self, leads: bool) -> bool {
        match self {
            Self::StoodIn | Self::Drained | Self::Unjoined => false,
            Self::Unhealthy | Self::Moved | Self::LeftOut => !leads,
            Self::Led | Self::Forbidden | Self::Gone | Self::Left | Self::Excluded | Self::Place | Self::Unclaimed => {
                true
            }
        }
    }

    fn text(self, cluster: &str) -> String {
        match self {
            Self::Unhealthy => format!("{cluster} has no ready endpoint"),
            Self::Moved => format!("{cluster} has another address"),
            Self::LeftOut => format!("{cluster} has more addresses than a set may hold"),
            Self::StoodIn => format!("{cluster} is unknown and others stand in"),
            Self::Drained => format!("{cluster} is drained"),
            Self::Unjoined => format!("{cluster} was unjoined"),
            Self::Forbidden => "a foreign set forbids it and nothing stands in".into(),
            Self::Led => "it is not of this place; the CNAME leads to it".into(),
            Self::Gone if cluster.is_empty() => "the service counts in no cluster any more".into(),
            Self::Place if cluster.is_empty() => "no cluster is in this place any more".into(),
            Self::Gone => format!("the service does not count in {cluster} any more"),
            Self::Left => format!("{cluster} has left"),
            Self::Excluded => format!("{cluster} may not publish it"),
            Self::Place => format!("{cluster} is not in this place any more"),
            Self::Unclaimed => "no cluster has it".into(),
        }
    }
}

/// Tells the reasons of the changes at one name.
pub(super) struct Teller<'a> {
    pub(super) cx: &'a Context<'a>,
    pub(super) service: &'a ServiceId,
    pub(super) owner: &'a Fqdn,
    pub(super) wanted: Option<&'a DesiredName>,
    pub(super) held: &'a [&'a Entry],
    pub(super) sets: &'a [ClaimedSet],
    pub(super) counts: bool,
    /// Looked up when an address goes.
    pub(super) offers: OnceCell<Offers>,
}

impl Teller<'_> {
    pub(super) fn tell(&self, change: Change) -> PlannedChange {
        let (before, after) = (addresses(change.before.as_ref()), addresses(change.after.as_ref()));
        let removed: BTreeSet<IpAddr> = before.difference(&after).copied().collect();
        let added: BTreeSet<IpAddr> = after.difference(&before).copied().collect();
        let causes = self.causes(&change, &removed);
        let leads = self.leads_to_an_address();

        let ttl = match (&change.before, &change.after) {
            (Some(before), Some(after)) => {
                (before.set.ttl() != after.set.ttl()).then(|| (before.set.ttl(), after.set.ttl()))
            }
            _ => None,
        };
        let target = match (&change.before, &change.after) {
            (Some(before), Some(after)) => before.set.cname_target() != after.set.cname_target(),
            _ => false,
        };
        let cause_counts = causes.iter().any(|(cause, _)| cause.counts(leads));
        let gives_way =
            change.after.is_none() && self.sets.iter().any(|set| is_address(set.set.key()) != is_address(&change.key));
        let mut losses = Losses::default();
        if change.before.is_some() && change.after.is_none() && !gives_way {
            losses.deleted = cause_counts;
            losses.emptied = cause_counts && self.counts && self.is_global() && !removed.is_empty() && !leads;
        } else if change.before.is_some() {
            losses.updated = cause_counts || ttl.is_some() || target;
        }

        let mut reasons: Vec<String> = causes.iter().map(|(cause, cluster)| cause.text(cluster)).collect();
        reasons.dedup();
        reasons.extend(self.additions(&added));
        if change.after.is_some() && change.key.rr_type == RrType::Cname && (change.before.is_none() || target) {
            reasons.push("no cluster here has an address".into());
        }
        reasons.extend(self.of_placeholder(&change).map(String::from));
        if let Some((before, after)) = ttl {
            reasons.push(format!("TTL {before} becomes {after}"));
        }
        if gives_way && change.key.rr_type == RrType::Cname {
            reasons.push("a cluster here has an address again".into());
        }
        if change.before.as_ref().is_some_and(|held| held.claim_name() != Some(&self.cx.settings.claim))
            && change.after.is_some()
        {
            reasons.push("taken over".into());
        }
        if reasons.is_empty() {
            reasons.push("other clusters are credited".into());
        }
        PlannedChange { change, reason: reasons.join("; "), losses, urgency: self.urgency() }
    }

    /// The same for all changes of a name: they belong together.
    fn urgency(&self) -> Urgency {
        let before: BTreeSet<IpAddr> = self.held.iter().flat_map(|entry| addresses(Some(&entry.data))).collect();
        let after: BTreeSet<IpAddr> = self.sets.iter().flat_map(|set| addresses(Some(set))).collect();
        let dies = before.iter().any(|address| !after.contains(address));
        if dies && self.leads_to_an_address() {
            if before.is_disjoint(&after) { Urgency::Failover } else { Urgency::DeadAddress }
        } else if after.iter().any(|address| !before.contains(address))
            || (self.held.is_empty() && !self.sets.is_empty())
        {
            Urgency::Creation
        } else {
            Urgency::Rest
        }
    }

    /// Why each removed address goes; for a set without addresses, why its name goes.
    fn causes(&self, change: &Change, removed: &BTreeSet<IpAddr>) -> BTreeSet<(Cause, String)> {
        let mut causes = BTreeSet::new();
        for (record, credits) in change.before.iter().flat_map(ClaimedSet::credited) {
            let Some(address) = record.address().filter(|address| removed.contains(address)) else { continue };
            if credits.is_empty() {
                causes.insert((Cause::Unclaimed, String::new()));
            }
            causes.extend(credits.iter().map(|cluster| (self.cause(address, cluster), cluster.to_string())));
        }
        let goes_whole = change.after.is_none() && self.wanted.is_none();
        if causes.is_empty() && goes_whole {
            causes.insert(self.name_cause());
        } else if causes.is_empty() && change.after.is_none() && self.sets.is_empty() {
            causes.insert((Cause::Forbidden, String::new()));
        }
        causes
    }

    fn cause(&self, address: IpAddr, cluster: &str) -> Cause {
        match self.cx.federation.departure(cluster) {
            Some(Departure::Unjoined) => return Cause::Unjoined,
            Some(Departure::Left) => return Cause::Left,
            None => {}
        }
        let Some(standing) = self.cx.standings.clusters.get(cluster) else { return Cause::Left };
        if let Some(wanted) = self.wanted {
            let of = |one: &&crate::desired::Contribution| &*one.cluster == cluster && one.address == address;
            match wanted.withdrawn.iter().find(of) {
                Some(one) if one.hold == Hold::Drained => return Cause::Drained,
                Some(_) => return Cause::StoodIn,
                None => {}
            }
            if wanted.published.iter().any(|one| of(&one)) {
                return Cause::LeftOut;
            }
            if wanted.stand_in.iter().any(|set| addresses(Some(set)).contains(&address)) {
                return Cause::Led;
            }
        }
        let Some(copy) = self.cx.federation.copies(self.service).and_then(|copies| copies.get(cluster)) else {
            return if standing.answered { Cause::Gone } else { Cause::Unhealthy };
        };
        let Some(offer) = self.offers().by_cluster.get(cluster) else { return Cause::Excluded };
        let offered = match offer {
            Offer::Addresses { addresses, .. } => addresses.contains(&address),
            Offer::Unanswered => true,
        };
        let told = Endpoint::Ip(address);
        if offered {
            Cause::Place
        } else if !copy.is_ready() {
            Cause::Unhealthy
        } else if copy.ingress().contains(&told) || copy.external_ips().contains(&told) {
            Cause::Excluded
        } else {
            Cause::Moved
        }
    }

    fn offers(&self) -> &Offers {
        self.offers.get_or_init(|| offers(self.cx, self.service))
    }

    /// Why a name goes that has no address to tell it by.
    fn name_cause(&self) -> (Cause, String) {
        if !self.counts {
            return (Cause::Gone, String::new());
        }
        let place = match self.cx.naming.parse(self.owner) {
            Some((_, Level::Region(region))) => Place::new(region, ""),
            Some((_, Level::Zone { region, zone })) => Place::new(region, zone),
            _ => return (Cause::Place, String::new()),
        };
        match self.cx.federation.unjoined_from(&place) {
            Some(cluster) => (Cause::Unjoined, cluster.to_string()),
            None => (Cause::Place, String::new()),
        }
    }

    /// Why a TXT set comes in the place of a CNAME, or gives way to what should stand there.
    fn of_placeholder(&self, change: &Change) -> Option<&'static str> {
        if change.key.rr_type != RrType::Txt {
            return None;
        }
        match (&change.before, &change.after) {
            (None, _) => Some("no cluster has an address; it holds the name until one has"),
            (Some(_), None) if self.sets.iter().any(|set| is_address(set.set.key())) => {
                Some("addresses take its place")
            }
            (Some(_), None) if !self.sets.is_empty() => Some("a CNAME takes its place"),
            _ => None,
        }
    }

    fn additions(&self, added: &BTreeSet<IpAddr>) -> Vec<String> {
        let Some(wanted) = self.wanted else { return Vec::new() };
        let sources: BTreeSet<&str> =
            wanted.published.iter().filter(|one| added.contains(&one.address)).map(|one| &*one.cluster).collect();
        if added.is_empty() {
            Vec::new()
        } else if sources.is_empty() {
            vec!["stands in for a CNAME".into()]
        } else {
            vec![format!("healthy in {}", sources.into_iter().collect::<Vec<_>>().join(", "))]
        }
    }

    fn leads_to_an_address(&self) -> bool {
        self.wanted.is_some_and(|wanted| !wanted.published.is_empty() || !wanted.stand_in.is_empty())
    }

    fn is_global(&self) -> bool {
        self.wanted.is_some_and(|wanted| wanted.level == Level::Global)
    }
}

fn addresses(set: Option<&ClaimedSet>) -> BTreeSet<IpAddr> {
    set.iter().flat_map(|set| set.set.records()).filter_map(RecordData::address).collect()
}

fn is_address(key: &RrKey) -> bool {
    matches!(key.rr_type, RrType::A | RrType::Aaaa)
}
