//! Short spellings for the unit tests: sets as text, below `example.com`.

use crate::{
    Applied, Change, ChangeSet, ClaimedSet, Entry, Fqdn, Outcome, RecordData, RrKey, RrSet, RrType, Ttl, Unit, Version,
};

pub(crate) fn name(relative: &str) -> Fqdn {
    match relative {
        "@" => Fqdn::parse("example.com").unwrap(),
        other => Fqdn::parse("example.com").unwrap().prepend(other).unwrap(),
    }
}

/// `www A`.
pub(crate) fn key(text: &str) -> RrKey {
    let (owner, rr_type) = text.split_once(' ').unwrap();
    RrKey::new(name(owner), RrType::from_text(rr_type))
}

/// `www A 192.0.2.1 192.0.2.2`, TTL 60; `www ALIAS-A elb` is a foreign A set of opaque data.
pub(crate) fn set(text: &str) -> ClaimedSet {
    let words: Vec<_> = text.split(' ').collect();
    let rr_type = words[1].trim_start_matches("ALIAS-");
    let record = |data: &&str| match words[1] {
        "A" | "AAAA" => RecordData::from(data.parse::<std::net::IpAddr>().unwrap()),
        "CNAME" => RecordData::Cname(name(data)),
        "TXT" => RecordData::txt(data),
        _ => RecordData::Opaque((*data).into()),
    };
    let key = RrKey::new(name(words[0]), RrType::from_text(rr_type));
    ClaimedSet::unclaimed(RrSet::new(key, Ttl::from_secs(60).unwrap(), words[2..].iter().map(record)).unwrap())
}

pub(crate) fn entry(text: &str) -> Entry {
    Entry { data: set(text), version: Version::default(), blocks: crate::Blocks::AsDns }
}

/// `www A 192.0.2.1 -> www A 192.0.2.2`; either side may be empty.
pub(crate) fn change(text: &str) -> Change {
    let (before, after) = text.split_once("->").unwrap();
    let side = |text: &str| Some(text.trim()).filter(|text| !text.is_empty()).map(set);
    let (before, after) = (side(before), side(after));
    let key = before.as_ref().or(after.as_ref()).unwrap().set.key().clone();
    Change { key, before, version: Version::default(), after }
}

/// One unit for each slice.
pub(crate) fn units(units: &[&[&str]]) -> ChangeSet {
    let unit = |texts: &&[&str]| Unit { changes: texts.iter().map(|text| change(text)).collect() };
    ChangeSet { units: units.iter().map(unit).collect() }
}

/// Outcomes as words, in order of the keys.
pub(crate) fn told(applied: &Applied) -> Vec<String> {
    let word = |(key, outcome): (&RrKey, &Outcome)| {
        let what = match outcome {
            Outcome::Done(_) => "done".to_owned(),
            Outcome::Conflict => "conflict".to_owned(),
            Outcome::Refused(error) => error.kind().as_str().to_owned(),
            Outcome::Unknown(_) => "unknown".to_owned(),
            Outcome::NotTried => "not tried".to_owned(),
        };
        let owner = key.owner.relative_to(&name("@")).unwrap_or(key.owner.as_str());
        format!("{owner} {}: {what}", key.rr_type)
    };
    applied.outcomes.iter().map(word).collect()
}
