//! Names that must not change between addresses and a CNAME, because a daemon that dies in between would forget them.
//!
//! A CNAME stands alone at its name (RFC 1034 section 3.6.2), so on a host that changes set by set the one goes before
//! the other comes, and in between nothing stands there. Whoever dies there leaves that to the next process, which makes
//! the name again when it hears of its place: from a known cluster, or from a file. Of a place that only the zone tells
//! of it hears nothing when the name was the last to tell of it: a name that lingers (DESIGN, rule 5), or that of a
//! cluster which cannot be reached (rule 7b). So while nobody else tells of its place, a name stays what it is:
//!
//! | it holds | it should | it gets |
//! |---|---|---|
//! | addresses | be a CNAME that leads to addresses | those addresses, by an update in place |
//! | addresses | be a CNAME that leads to none | a TXT set that says so, which comes before the addresses go |
//! | that TXT set | be a CNAME or have addresses | the addresses, before the TXT set goes |
//! | a CNAME | have addresses | nothing: the names above have them too, and it leads there |
//!
//! A client gets the same addresses either way, and the name is never without a set. Two exceptions: a CNAME gives way
//! all the same where a stranger has taken the name above, as it would lead to the stranger; and in a zone that is full
//! no set can come before another goes. Between address sets and TXT sets a host must put first what it may
//! put beside the others.
//!
//! Hosts that store no claims have the sets listed elsewhere before they change, so that they are not forgotten.

use dnsprovider::capabilities::Atomicity;
use dnsprovider::{Capabilities, Fqdn, RrType};

use crate::context::Context;
use crate::naming::Level;
use crate::zone::Ownership;

/// What the TXT set says, for people.
pub(crate) const PLACEHOLDER: &str = "no cluster has an address here";

/// What our sets at a name are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stands {
    /// A CNAME.
    Alias,
    /// Addresses, or a TXT set in their place.
    Data,
}

/// Whether a TXT set of ours may come to stand at a topology name on this host: it needs two calls to change between
/// addresses and a CNAME, and has nothing but the name to tell of it.
pub fn writes_txt(capabilities: &Capabilities) -> bool {
    let Capabilities { claims, atomicity, record_types, .. } = capabilities;
    *claims && *atomicity == Atomicity::Set && record_types.contains(&RrType::Txt)
}

/// What a name must go on being; `None` where it may change.
pub(crate) fn stays(cx: &Context<'_>, owner: &Fqdn, level: &Level) -> Option<Stands> {
    let told = &cx.standings.told_places;
    let is_told = match level {
        Level::Global => true,
        Level::Region(region) => told.iter().any(|place| place.region == *region),
        Level::Zone { region, zone } => told.iter().any(|place| (&place.region, &place.zone) == (region, zone)),
    };
    if !cx.swaps_in_two || is_told {
        return None;
    }
    let mut ours = cx.zone.at(owner).iter().filter(|entry| cx.zone.ownership(entry) != Ownership::Foreign);
    let kind = |rr_type: &RrType| if *rr_type == RrType::Cname { Stands::Alias } else { Stands::Data };
    ours.next().map(|entry| kind(entry.data.set.rr_type()))
}
