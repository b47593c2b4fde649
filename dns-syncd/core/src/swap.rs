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
//! A client gets the same addresses either way, and the name is never without a set. The addresses are credited to the
//! clusters that have them, so at such a name to clusters outside its place. Four exceptions: a CNAME gives way all the
//! same where a stranger has taken the name above, as it would lead to the stranger; in a zone that is full no set can
//! come before another goes; where a stranger has a TXT set at the name, ours cannot come and the addresses go without
//! it; and where the host denies us TXT sets, the CNAME comes by two calls, which is better than dead addresses. Between address sets and TXT sets a host must put first what it may put beside the others.
//!
//! The TXT set ends with its claim: `release` deletes it where it leaves addresses and CNAMEs, and where adoption is
//! allowed one without a claim is taken over, because it says nothing but that the name is ours.
//!
//! Hosts that store no claims have the sets listed elsewhere before they change, so that they are not forgotten.

use dnsprovider::capabilities::Atomicity;
use dnsprovider::{Capabilities, Entry, Fqdn, RecordData, RrSet, RrType};

use crate::context::Context;
use crate::naming::Level;
use crate::zone::Ownership;

/// What the TXT set says, for people.
const PLACEHOLDER: &str = "no cluster has an address here";

/// What our sets at a name are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stands {
    /// A CNAME.
    Cname,
    /// Addresses, or a TXT set in their place.
    Data,
}

/// Whether a TXT set of ours may come to stand at a topology name on this host: it needs two calls to change between
/// addresses and a CNAME, and has nothing but the name to tell of it.
pub fn writes_txt(capabilities: &Capabilities) -> bool {
    let Capabilities { claims, atomicity, record_types, .. } = capabilities;
    *claims && *atomicity == Atomicity::Set && record_types.contains(&RrType::Txt)
}

/// The only record of such a TXT set.
pub(crate) fn placeholder() -> RecordData {
    RecordData::txt(PLACEHOLDER)
}

/// Whether a set holds the place of a CNAME and nothing else: a TXT set with the one text that says so.
pub fn is_placeholder(set: &RrSet) -> bool {
    *set.rr_type() == RrType::Txt && !set.is_opaque() && set.records() == [placeholder()]
}

/// Whether such a TXT set may come to stand at a name, or stands there.
pub(crate) fn may_hold(cx: &Context<'_>, owner: &Fqdn) -> bool {
    let is_held = |entry: &Entry| cx.zone.ownership(entry) != Ownership::Foreign && is_placeholder(&entry.data.set);
    !cx.denies_placeholders || cx.zone.at(owner).iter().any(is_held)
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
    let kind = |rr_type: &RrType| if *rr_type == RrType::Cname { Stands::Cname } else { Stands::Data };
    ours.next().map(|entry| kind(entry.data.set.rr_type()))
}
