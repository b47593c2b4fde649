//! A provider on a fake with one zone, and short spellings of sets.

use dns_conformance::fakes::route53::Fake;
use dns_conformance::records;
use dns_providers::SecretSource;
use dns_providers::route53::{AccessKey, Options, Route53};
use dnsprovider::{
    Applied, ApplyContext, Change, ChangeSet, Chunked, ClaimedSet, DnsProvider, DnsProviderExt, Entry, Fqdn, Outcome,
    RrKey, RrSet, RrType, Snapshot, Ttl, Version, ZoneId,
};

pub(crate) const APEX: &str = "conformance.test";

/// As fast as it goes: the rate is a test of its own.
pub(crate) fn options(url: &str) -> Options {
    let secret = SecretSource::Inline("not-a-secret".into());
    Options {
        region: Some("us-east-1".to_owned()),
        access_key: Some(AccessKey { id: "AKIDEXAMPLE".to_owned(), secret }),
        endpoint_url: Some(url.to_owned()),
        calls_per_second: 1e6,
        ..Options::default()
    }
}

pub(crate) struct World {
    pub(crate) fake: Fake,
    /// The zone's id.
    pub(crate) id: String,
    pub(crate) zone: ZoneId,
    pub(crate) host: Route53,
    /// The same, as callers use it.
    pub(crate) chunked: Chunked<Route53>,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let fake = Fake::start().await;
        let id = fake.create_zone(APEX, false);
        let mut options = options(&fake.url());
        change(&mut options);
        let host = Route53::new(&options).await.expect("the options are right");
        // The name of the zone is known from here on.
        host.zones(None).await.expect("the fake lists its zones");
        fake.control().forget_calls();
        Self { zone: ZoneId(id.as_str().into()), id, chunked: Chunked::new(host.clone()), host, fake }
    }

    pub(crate) async fn apply(&self, changes: &ChangeSet) -> Applied {
        self.chunked.apply(&self.zone, changes, &ApplyContext::default()).await.expect("outcomes are told")
    }

    pub(crate) async fn read(&self) -> Snapshot {
        self.host.read_zone(&self.zone).await.expect("the zone can be read")
    }

    /// What stands at a key.
    pub(crate) async fn entry(&self, owner: &str, rr_type: &str) -> Entry {
        let key = key(owner, rr_type);
        self.read().await.get(&key).cloned().unwrap_or_else(|| panic!("`{key}` stands in the zone"))
    }

    pub(crate) fn changes(&self) -> usize {
        self.fake.control().count("ChangeResourceRecordSets")
    }

    pub(crate) fn lists(&self) -> usize {
        self.fake.control().count("ListResourceRecordSets")
    }

    /// The values at a name below the apex, as the host has them.
    pub(crate) fn held(&self, owner: &str, rr_type: &str) -> Vec<String> {
        let set = self.fake.set(&self.id, &format!("{owner}.{APEX}"), rr_type);
        set.map(|set| set.values).unwrap_or_default()
    }
}

/// A name below the apex.
pub(crate) fn name(relative: &str) -> Fqdn {
    Fqdn::parse(APEX).and_then(|apex| apex.prepend(relative)).expect("a name")
}

pub(crate) fn key(owner: &str, rr_type: &str) -> RrKey {
    RrKey::new(name(owner), RrType::from_text(rr_type))
}

pub(crate) fn set(owner: &str, rr_type: &str, texts: &[&str]) -> ClaimedSet {
    let key = key(owner, rr_type);
    let records = records(&key.rr_type, texts);
    ClaimedSet::unclaimed(RrSet::new(key, Ttl::from_secs(180).expect("a TTL"), records).expect("a set"))
}

pub(crate) fn create(held: ClaimedSet) -> Change {
    Change::create(held, Version::default())
}

/// So many creations, `s0`, `s1`, …, each a unit.
pub(crate) fn creations(count: usize) -> ChangeSet {
    ChangeSet::by_name((0..count).map(|n| create(set(&format!("s{n}"), "A", &["192.0.2.1"]))))
}

/// How often each outcome was told.
pub(crate) fn tally(applied: &Applied) -> Vec<(&'static str, usize)> {
    let mut counts = std::collections::BTreeMap::new();
    for outcome in applied.outcomes.values() {
        let word = match outcome {
            Outcome::Done(_) => "done",
            Outcome::Conflict => "conflict",
            Outcome::Refused(_) => "refused",
            Outcome::Unknown(_) => "unknown",
            Outcome::NotTried => "not tried",
        };
        *counts.entry(word).or_default() += 1;
    }
    counts.into_iter().collect()
}
