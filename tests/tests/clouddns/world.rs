//! A fake with a zone and a key for it, and changes in few words.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dns_conformance::fakes::clouddns::{Fake, Visibility};
use dns_providers::clouddns::{CloudDns, Login, Options, Rates};
use dnsprovider::{
    Applied, ApplyContext, Change, ChangeSet, Chunked, ClaimedSet, DnsProvider, Fqdn, RecordData, RrKey, RrSet, RrType,
    Ttl, Version, ZoneId,
};
use tempfile::TempDir;

pub(crate) const APEX: &str = "conformance.test";
pub(crate) const CHANGE: &str = "dns.changes.create";
pub(crate) const LIST: &str = "dns.resourceRecordSets.list";

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) fake: Fake,
    /// The managed zone's name.
    pub(crate) zone: String,
    pub(crate) id: ZoneId,
    folder: TempDir,
}

impl World {
    pub(crate) async fn start() -> Self {
        let fake = Fake::start().await;
        let zone = fake.create_zone(APEX, Visibility::Public);
        let id = ZoneId(fake.zone_id(&zone).to_string().into());
        let folder = tempfile::tempdir().expect("a folder");
        let world = Self { fake, zone, id, folder };
        world.file("key.json", &world.fake.service_account_key());
        world
    }

    /// Writes a file that lives as long as this.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).expect("a file");
        path
    }

    pub(crate) fn options(&self) -> Options {
        Options {
            project: None,
            login: Login::File(self.folder.path().join("key.json")),
            endpoint: Some(self.fake.url()),
            // The fake is as fast as it is asked.
            rates: Rates { reads: 5_000.0, writes: 5_000.0 },
        }
    }

    pub(crate) fn bare(&self) -> CloudDns {
        CloudDns::new(self.options()).expect("a good key")
    }

    /// A provider that has read its quotas and looked up its zone, so that what follows is counted alone.
    pub(crate) async fn ready(&self) -> Chunked<CloudDns> {
        let provider = Chunked::new(self.bare());
        provider.zones(None).await.expect("the zones");
        self.fake.control().forget_calls();
        provider
    }

    pub(crate) fn calls(&self, operation: &str) -> usize {
        self.fake.control().count(operation)
    }

    pub(crate) async fn apply(&self, provider: &dyn DnsProvider, changes: Vec<Change>) -> Applied {
        let changes = ChangeSet::by_name(changes);
        provider.apply(&self.id, &changes, &within(30)).await.expect("an answer for each set")
    }
}

/// A context that ends in so many seconds.
pub(crate) fn within(seconds: u64) -> ApplyContext {
    let end = Instant::now() + Duration::from_secs(seconds);
    let left = move || end.saturating_duration_since(Instant::now());
    ApplyContext { time_left: Some(Arc::new(left)), ..ApplyContext::default() }
}

pub(crate) fn name(relative: &str) -> Fqdn {
    Fqdn::parse(APEX).expect("a name").prepend(relative).expect("a name")
}

pub(crate) fn addresses(relative: &str, last: &[u8]) -> ClaimedSet {
    let key = RrKey::new(name(relative), RrType::A);
    let records = last.iter().map(|last| RecordData::A([192, 0, 2, *last].into()));
    ClaimedSet::unclaimed(RrSet::new(key, Ttl::from_secs(60).expect("a TTL"), records).expect("a set"))
}

pub(crate) fn alias(relative: &str, target: &str) -> ClaimedSet {
    let key = RrKey::new(name(relative), RrType::Cname);
    let target = RecordData::Cname(name(target));
    ClaimedSet::unclaimed(RrSet::new(key, Ttl::from_secs(60).expect("a TTL"), [target]).expect("a set"))
}

pub(crate) fn create(set: ClaimedSet) -> Change {
    Change::create(set, Version::default())
}

pub(crate) fn replace(before: Option<ClaimedSet>, after: Option<ClaimedSet>) -> Change {
    let key = before.as_ref().or(after.as_ref()).expect("one of them").set.key().clone();
    Change { key, before, version: Version::default(), after }
}

/// `www A: done` for each set, in order.
pub(crate) fn told(applied: &Applied) -> Vec<String> {
    let apex = Fqdn::parse(APEX).expect("a name");
    let tell = |(key, outcome): (&RrKey, &dnsprovider::Outcome)| {
        let owner = key.owner.relative_to(&apex).unwrap_or("?");
        let what = match outcome {
            dnsprovider::Outcome::Done(_) => "done",
            dnsprovider::Outcome::Conflict => "conflict",
            dnsprovider::Outcome::Refused(error) | dnsprovider::Outcome::Unknown(error) => error.kind().as_str(),
            dnsprovider::Outcome::NotTried => "not tried",
        };
        format!("{owner} {}: {what}", key.rr_type)
    };
    applied.outcomes.iter().map(tell).collect()
}
