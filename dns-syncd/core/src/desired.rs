//! Which sets a service should have, given what every cluster said and what that is worth.
//!
//! Three steps for each service: what each cluster offers ([`offers`](crate::offers)), who has an address at each name,
//! and which addresses others may stand in for (DESIGN, rules 7c and 9). The global name is decided first, then regions,
//! then zones, because a name that gives its addresses up becomes a CNAME to one already decided.
//! In: [`Context`] · Out: [`Desired`] · Pure: yes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use dnsprovider::{Blocks, Claim, ClaimedSet, Credits, Entry, Fqdn, RecordData, RrKey, RrSet, RrType, Ttl};

use crate::context::{Context, Note};
use crate::event::{ClusterName, Place, ServiceId, Timestamp};
use crate::naming::{Level, is_label};
use crate::offers::{Offer, Offers, offers};
use crate::settings::{Adopt, AllUnhealthy};
use crate::swap::{self, Stands};
use crate::zone::Ownership;

/// Why an address counts, or may be given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hold {
    /// From a known, healthy cluster that is not drained.
    Firm,
    /// From an unknown cluster within its grace, or without a quorum.
    Kept,
    /// From a drained cluster.
    Drained,
    /// From a cluster unknown past its grace.
    Expired,
}

/// One address at one name, from one cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Contribution {
    /// The cluster.
    pub cluster: ClusterName,
    /// The address.
    pub address: IpAddr,
    /// What it is worth.
    pub hold: Hold,
    /// Whether the claim names the cluster for it; an adopted address has no credit before a cluster confirms it.
    pub credited: bool,
}

/// What one name should be.
#[derive(Clone, Debug, PartialEq)]
pub struct DesiredName {
    /// Its place.
    pub level: Level,
    /// The sets: A and AAAA, or one CNAME; empty for a global name without address. A TXT set holds the place of a
    /// CNAME that may not come (see `swap`).
    pub sets: Vec<ClaimedSet>,
    /// For a CNAME: the address sets to which it leads, at this owner, to be used where a CNAME is forbidden.
    pub stand_in: Vec<ClaimedSet>,
    /// The addresses that are published, by cluster.
    pub published: Vec<Contribution>,
    /// The addresses that were given up because others stand in.
    pub withdrawn: Vec<Contribution>,
    /// How many addresses were left out by the limit of records in a set.
    pub left_out: usize,
    /// A stranger holds the name, so nothing of ours may lead here.
    pub taken: bool,
}

/// What a service should have.
#[derive(Clone, Debug, PartialEq)]
pub enum Desired {
    /// It counts nowhere: nothing.
    Nothing,
    /// It cannot be judged: whatever the zone has.
    AsHeld {
        /// Why, for people.
        reason: String,
    },
    /// These names and no others.
    Names(BTreeMap<Fqdn, DesiredName>),
}

/// Decides the sets of one service, with remarks.
pub fn desired(cx: &Context<'_>, service: &ServiceId) -> (Desired, Vec<Note>) {
    if !is_label(&service.name) || !is_label(&service.namespace) {
        let text = "its name or namespace is no lower-case DNS label, so it cannot stand in a name".into();
        return (Desired::Nothing, vec![Note { cluster: None, owner: None, text, refused: true }]);
    }
    if cx.federation.is_unreadable(service) {
        return (Desired::AsHeld { reason: "its source cannot be read".into() }, Vec::new());
    }
    let offers = offers(cx, service);
    let mut notes = offers.notes.clone();
    if offers.unjudged {
        return (Desired::AsHeld { reason: "its cluster selector does not parse".into() }, notes);
    }
    if !offers.counts {
        return (Desired::Nothing, notes);
    }
    let names = names(cx, service, &offers, &mut notes);
    let is_empty = names.values().all(|name| name.published.is_empty());
    if is_empty && cx.settings.all_unhealthy == AllUnhealthy::Keep && !cx.settings.sources_alone {
        return (Desired::AsHeld { reason: "no cluster has an address and all-unhealthy = keep".into() }, notes);
    }
    (Desired::Names(names), notes)
}

fn names(cx: &Context<'_>, service: &ServiceId, offers: &Offers, notes: &mut Vec<Note>) -> BTreeMap<Fqdn, DesiredName> {
    let mut names: BTreeMap<Fqdn, DesiredName> = BTreeMap::new();
    let mut name_at: BTreeMap<Level, Fqdn> = BTreeMap::new();
    for level in levels(cx, service) {
        let owner = match cx.naming.name(service, &level) {
            Ok(owner) => owner,
            Err(error) => {
                let text = format!("the {level} name is left out: {error}");
                notes.push(Note { cluster: None, owner: None, text, refused: true });
                continue;
            }
        };
        let up = parents(&level).find_map(|parent| name_at.get(&parent));
        // Where a CNAME would lead: the first name upwards that has addresses, or none. A name that a stranger holds
        // leads to the stranger, so it stands in for nothing.
        let open = up.filter(|up| !names[*up].taken);
        let end = open.and_then(|up| end_of(&names, up));
        let (published, withdrawn) = withdraw(cx, &contributions(cx, service, offers, &owner, &level), end);
        let builder = Builder { cx, owner: &owner, ttl: offers.ttl, keep_ttl: offers.keeps_ttl };
        let (sets, left_out) = builder.address_sets(&published);
        let stand_in = Vec::new();
        let at = level.clone();
        let mut name = DesiredName { level: at, sets, stand_in, published, withdrawn, left_out, taken: false };
        if left_out > 0 {
            let text = format!("{left_out} addresses are left out: more than a set may hold");
            notes.push(Note { cluster: None, owner: Some(owner.clone()), text, refused: false });
        }
        let stands = swap::stays(cx, &owner, &level);
        let can_stay = || up.and_then(|up| end_of(&names, up)).is_some() || swap::may_hold(cx, &owner);
        match (name.sets.is_empty(), open, up) {
            (true, _, Some(up)) if stands == Some(Stands::Data) && can_stay() => {
                name.published = end_of(&names, up).map(|end| end.published.clone()).unwrap_or_default();
                name.sets = builder.address_sets(&name.published).0;
                if name.sets.is_empty() {
                    name.sets.extend(builder.placeholder());
                }
            }
            // Whatever addresses it should have, the names above have them too.
            (false, Some(up), _) if stands == Some(Stands::Cname) && end.is_some() => {
                name.stand_in = std::mem::replace(&mut name.sets, vec![builder.cname(up)]);
                name.published.clear();
            }
            (true, Some(up), _) => {
                name.stand_in = end.map(|end| builder.address_sets(&end.published).0).unwrap_or_default();
                name.sets = vec![builder.cname(up)];
            }
            // The addresses that the name above should have, but cannot, stand here.
            (true, None, Some(up)) => {
                if let Some(end) = end_of(&names, up) {
                    name.published.clone_from(&end.published);
                    name.sets = builder.address_sets(&end.published).0;
                }
            }
            _ => {}
        }
        name.taken = is_taken(cx, &owner, &name.sets);
        name_at.insert(level, owner.clone());
        names.insert(owner, name);
    }
    names
}

/// Whether a stranger's set keeps ours away from a name.
fn is_taken(cx: &Context<'_>, owner: &Fqdn, sets: &[ClaimedSet]) -> bool {
    let strangers = cx.zone.at(owner).iter().filter(|entry| cx.zone.ownership(entry) == Ownership::Foreign);
    let keeps_away = |entry: &Entry| {
        let adopted = cx.settings.adopt == Adopt::Exact
            && entry.data.claim.is_none()
            && sets.iter().any(|set| set.set == entry.data.set);
        let excludes = matches!(entry.data.set.rr_type(), RrType::A | RrType::Aaaa | RrType::Cname);
        entry.blocks == Blocks::Name || (excludes && !cx.shared_sets && !adopted)
    };
    strangers.into_iter().any(keeps_away)
}

/// The levels at which the service has a name, each after those that it may point to.
fn levels(cx: &Context<'_>, service: &ServiceId) -> Vec<Level> {
    let mut places: BTreeSet<Place> = cx.standings.places.clone();
    if cx.standings.some_unplaced {
        places.extend(cx.zone.places().cloned());
    }
    // A claimed name outlives its place for a while; only this service's own, so that no new name is made for it.
    for owner in cx.zone.names_of(service) {
        let place = match cx.naming.parse(owner) {
            Some((_, Level::Region(region))) => Place::new(region, ""),
            Some((_, Level::Zone { region, zone })) => Place::new(region, zone),
            _ => continue,
        };
        let lingers = |lost: &Timestamp| cx.now < lost.plus(cx.settings.topology_linger);
        if cx.lost_places.get(&place).is_some_and(lingers) {
            places.insert(place);
        }
    }
    let regions: BTreeSet<&Arc<str>> = places.iter().map(|place| &place.region).collect();
    let mut levels = vec![Level::Global];
    if cx.settings.region_level {
        levels.extend(regions.into_iter().map(|region| Level::Region(region.clone())));
    }
    if cx.settings.zone_level {
        let zones = places.iter().filter(|place| !place.zone.is_empty());
        levels.extend(zones.map(|place| Level::Zone { region: place.region.clone(), zone: place.zone.clone() }));
    }
    levels
}

/// The levels above, nearest first.
fn parents(level: &Level) -> impl Iterator<Item = Level> {
    let (first, second) = match level {
        Level::Global => (None, None),
        Level::Region(_) => (Some(Level::Global), None),
        Level::Zone { region, .. } => (Some(Level::Region(region.clone())), Some(Level::Global)),
    };
    first.into_iter().chain(second)
}

/// The name with addresses at which a CNAME to `from` ends.
fn end_of<'a>(names: &'a BTreeMap<Fqdn, DesiredName>, from: &Fqdn) -> Option<&'a DesiredName> {
    let mut at = names.get(from)?;
    while at.published.is_empty() {
        at = names.get(at.sets.first()?.set.cname_target()?)?;
    }
    Some(at)
}

/// Who has an address at a name: members by their own word, those that have not answered by the claims.
fn contributions(
    cx: &Context<'_>,
    service: &ServiceId,
    offers: &Offers,
    owner: &Fqdn,
    level: &Level,
) -> BTreeSet<Contribution> {
    let mut all = BTreeSet::new();
    let mut add = |cluster: &ClusterName, address: IpAddr, hold: Hold, credited: bool| {
        all.insert(Contribution { cluster: cluster.clone(), address, hold, credited });
    };
    for (cluster, offer) in &offers.by_cluster {
        let Some(standing) = cx.standings.clusters.get(cluster) else { continue };
        let place_known = standing.places.as_ref();
        let here = match (level, place_known) {
            (Level::Global, _) => true,
            (_, None) => false,
            (Level::Region(region), Some(places)) => places.iter().any(|place| place.region == *region),
            (Level::Zone { region, zone }, Some(places)) => {
                places.contains(&Place { region: region.clone(), zone: zone.clone() })
            }
        };
        let hold = match standing {
            standing if standing.drained => Hold::Drained,
            standing if standing.known => Hold::Firm,
            standing if standing.expired => Hold::Expired,
            _ => Hold::Kept,
        };
        match offer {
            // An adopted address has no credit and may be from anybody who has not answered yet.
            Offer::Unanswered => {
                for (credited, address) in cx.memory.at(service, owner) {
                    if credited.as_ref().is_none_or(|credited| credited == cluster) {
                        add(cluster, *address, hold, credited.is_some());
                    }
                }
            }
            Offer::Addresses { addresses, pending } => {
                if here {
                    for address in addresses {
                        add(cluster, *address, hold, true);
                    }
                }
                let unplaced = place_known.is_none() && *level != Level::Global && !addresses.is_empty();
                if unplaced || (*pending && (here || place_known.is_none())) {
                    for address in credited_to(cx, owner, cluster) {
                        add(cluster, address, hold, true);
                    }
                }
            }
        }
    }
    all
}

/// The addresses that our sets at a name credit to a cluster that has answered.
fn credited_to<'a>(cx: &Context<'a>, owner: &Fqdn, cluster: &'a str) -> impl Iterator<Item = IpAddr> + use<'a> {
    let zone = cx.zone;
    let ours = zone.at(owner).iter().filter(move |entry| zone.ownership(entry) != Ownership::Foreign);
    ours.flat_map(|entry| entry.data.credited()).filter_map(move |(record, credits)| {
        if credits.iter().any(|credit| **credit == *cluster) { record.address() } else { None }
    })
}

/// Splits contributions into those published and those that others stand in for.
///
/// A drained address goes where its set keeps a firm one; an expired one where its set keeps one of a known cluster.
/// Where that leaves the name as it is but all its addresses are drained or expired, they go if the name, as a CNAME,
/// ends at sets of the same types that have such an address.
fn withdraw(
    cx: &Context<'_>,
    all: &BTreeSet<Contribution>,
    end: Option<&DesiredName>,
) -> (Vec<Contribution>, Vec<Contribution>) {
    let firm = |family: bool| all.iter().any(|one| one.address.is_ipv4() == family && one.hold == Hold::Firm);
    let known = |one: &Contribution| cx.standings.clusters.get(&one.cluster).is_some_and(|standing| standing.known);
    let drained =
        |family: bool| all.iter().any(|one| one.address.is_ipv4() == family && one.hold == Hold::Drained && known(one));
    let may_go = |one: &Contribution| match one.hold {
        Hold::Firm | Hold::Kept => false,
        Hold::Drained => firm(one.address.is_ipv4()),
        Hold::Expired => firm(one.address.is_ipv4()) || drained(one.address.is_ipv4()),
    };
    let nobody_holds = all.iter().all(|one| matches!(one.hold, Hold::Drained | Hold::Expired));
    let needs_firm = all.iter().any(|one| one.hold == Hold::Drained);
    let end_has = |family: bool| {
        end.is_some_and(|end| {
            end.published.iter().any(|one| {
                one.address.is_ipv4() == family
                    && (one.hold == Hold::Firm || (!needs_firm && one.hold == Hold::Drained && known(one)))
            })
        })
    };
    let whole_name_goes = nobody_holds && !all.is_empty() && all.iter().all(|one| end_has(one.address.is_ipv4()));
    all.iter().cloned().partition(|one| !whole_name_goes && !may_go(one))
}

/// Makes sets at one owner.
struct Builder<'a> {
    cx: &'a Context<'a>,
    owner: &'a Fqdn,
    ttl: Ttl,
    keep_ttl: bool,
}

impl Builder<'_> {
    fn address_sets(&self, contributions: &[Contribution]) -> (Vec<ClaimedSet>, usize) {
        let mut left_out = 0;
        let sets = [RrType::A, RrType::Aaaa].into_iter().filter_map(|rr_type| {
            let family: Vec<_> =
                contributions.iter().filter(|one| one.address.is_ipv4() == (rr_type == RrType::A)).collect();
            let total = family.iter().map(|one| one.address).collect::<BTreeSet<_>>().len();
            let chosen = self.choose(&family);
            left_out += total - chosen.len();
            self.set(rr_type, chosen.into_iter().map(RecordData::from), |record| {
                let of = |one: &&&Contribution| one.credited && RecordData::from(one.address) == *record;
                family.iter().filter(of).map(|one| one.cluster.clone()).collect::<BTreeSet<_>>().into_iter().collect()
            })
        });
        (sets.collect(), left_out)
    }

    fn cname(&self, target: &Fqdn) -> ClaimedSet {
        self.set(RrType::Cname, [RecordData::Cname(target.clone())], |_| Credits::from([]))
            .expect("a CNAME has one target")
    }

    /// What stands where no address does and a CNAME may not.
    fn placeholder(&self) -> Option<ClaimedSet> {
        self.set(RrType::Txt, [swap::placeholder()], |_| Credits::from([]))
    }

    /// At most as many addresses as a set may hold: in turns from the clusters by name, from each its smallest first.
    fn choose(&self, family: &[&Contribution]) -> BTreeSet<IpAddr> {
        let limits = [self.cx.settings.max_addresses, self.cx.records_per_set];
        let limit = limits.into_iter().flatten().min().unwrap_or(usize::MAX).max(1);
        let mut by_cluster: BTreeMap<&str, BTreeSet<IpAddr>> = BTreeMap::new();
        for one in family {
            by_cluster.entry(&one.cluster).or_default().insert(one.address);
        }
        let mut chosen = BTreeSet::new();
        while chosen.len() < limit && by_cluster.values().any(|addresses| !addresses.is_empty()) {
            for addresses in by_cluster.values_mut() {
                addresses.retain(|address| !chosen.contains(address));
                if chosen.len() < limit {
                    chosen.extend(addresses.pop_first());
                }
            }
        }
        chosen
    }

    fn set(
        &self,
        rr_type: RrType,
        records: impl IntoIterator<Item = RecordData>,
        credits: impl Fn(&RecordData) -> Credits,
    ) -> Option<ClaimedSet> {
        let key = RrKey::new(self.owner.clone(), rr_type);
        let held = || {
            self.cx
                .zone
                .at(self.owner)
                .iter()
                .find(|entry| *entry.key() == key && self.cx.zone.ownership(entry) != Ownership::Foreign)
        };
        let ttl = if self.keep_ttl { held().map(|entry| entry.data.set.ttl()) } else { None }.unwrap_or(self.ttl);
        let set = RrSet::new(key, ttl, records).ok()?;
        let claim = Claim {
            name: self.cx.settings.claim.clone(),
            federation: self.cx.settings.federation.clone(),
            credits: set.records().iter().map(credits).collect(),
        };
        Some(ClaimedSet { set, claim: Some(claim) })
    }
}
