//! The strict stand-ins of the clouds, as the program sees them: their config files, what they hold, what goes wrong.

use std::fmt;
use std::sync::Arc;

use dns_conformance::fakes::faults::{Control, Fault};
use dns_conformance::fakes::{azure, clouddns, route53};
use dns_conformance::records;
use dns_conformance::servers::Mirror;
use dnsprovider::{Fqdn, RrKey, RrSet, RrType, Ttl};
use serde_json::Value;
use tempfile::TempDir;

use crate::members::Member;
use crate::truth::ZONE;
use crate::world::World;

type Sets = Arc<dyn Fn() -> Vec<RrSet> + Send + Sync>;
type Does = Arc<dyn Fn() + Send + Sync>;

/// A cloud with an empty zone, and what a test does to it.
#[derive(Clone)]
pub(crate) struct Cloud {
    pub(crate) provider: &'static str,
    /// The lines below `[Global]`.
    pub(crate) config: String,
    /// The address and CNAME sets of the zone now.
    pub(crate) sets: Sets,
    /// How many sets the zone has, those of every type.
    pub(crate) count: Arc<dyn Fn() -> usize + Send + Sync>,
    /// Makes some of the calls to come fail, in every way from which a daemon must recover.
    pub(crate) trouble: Does,
    /// Takes the right to write from the daemon.
    pub(crate) forbid: Does,
    /// Rights that are missing then, in the vendor's words.
    pub(crate) rights: &'static [&'static str],
    /// A type change takes two calls, and between them the name is empty.
    pub(crate) gaps: bool,
    /// Keeps key files.
    _folder: Arc<TempDir>,
}

impl fmt::Debug for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cloud").field("provider", &self.provider).finish_non_exhaustive()
    }
}

impl Cloud {
    /// All three.
    pub(crate) async fn all() -> [Self; 3] {
        [Self::route53().await, Self::clouddns().await, Self::azure().await]
    }

    pub(crate) async fn route53() -> Self {
        let fake = Arc::new(route53::Fake::start().await);
        let zone = fake.create_zone(ZONE, false);
        let url = fake.url();
        let sets = {
            let (fake, zone) = (fake.clone(), zone.clone());
            move || {
                let sets = fake.sets(&zone).into_iter();
                sets.filter_map(|set| address_set(&set.name.to_string(), &set.rr_type, set.ttl?, &set.values)).collect()
            }
        };
        let count = {
            let (fake, zone) = (fake.clone(), zone.clone());
            move || fake.sets(&zone).len()
        };
        let forbid = {
            let fake = fake.clone();
            move || fake.deny("ChangeResourceRecordSets", None)
        };
        let trouble = move || {
            let (write, read) = ("ChangeResourceRecordSets", "ListResourceRecordSets");
            let busy = route53::errors::prior_request_not_complete();
            strike(fake.control(), write, read, [route53::errors::throttling(), busy]);
        };
        Self {
            provider: "aws-route53",
            config: format!("endpoint-url = {url}\naccess-key-id = AKIDEXAMPLE\nsecret-access-key = example-key"),
            sets: Arc::new(sets),
            count: Arc::new(count),
            trouble: Arc::new(trouble),
            forbid: Arc::new(forbid),
            rights: &["route53:ChangeResourceRecordSets"],
            gaps: false,
            _folder: folder(),
        }
    }

    pub(crate) async fn clouddns() -> Self {
        use clouddns::Trouble;
        let fake = Arc::new(clouddns::Fake::start().await);
        let zone = fake.create_zone(ZONE, clouddns::Visibility::Public);
        let (url, project, folder) = (fake.url(), fake.project(), folder());
        let key = folder.path().join("key.json");
        std::fs::write(&key, fake.service_account_key()).unwrap();
        let count = {
            let (fake, zone) = (fake.clone(), zone.clone());
            move || fake.sets(&zone).len()
        };
        let sets = {
            let fake = fake.clone();
            move || {
                let sets = fake.sets(&zone).into_iter();
                let of_records = |set: clouddns::RecordSet| match &set.data {
                    clouddns::Data::Records(texts) => address_set(&set.name, &set.record_type, set.ttl, texts),
                    clouddns::Data::Policy(_) => None,
                };
                sets.filter_map(of_records).collect()
            }
        };
        let forbid = {
            let fake = fake.clone();
            move || fake.deny("dns.changes.create")
        };
        let trouble = move || {
            let refusals = [Trouble::RateLimit.answer(), Trouble::RateLimitForbidden.answer()];
            strike(fake.control(), "dns.changes.create", "dns.resourceRecordSets.list", refusals);
        };
        Self {
            provider: "google-clouddns",
            config: format!("project-id = {project}\nendpoint-url = {url}\ncredentials-file = {}", key.display()),
            sets: Arc::new(sets),
            count: Arc::new(count),
            trouble: Arc::new(trouble),
            forbid: Arc::new(forbid),
            rights: &["dns.changes.create"],
            gaps: false,
            _folder: folder,
        }
    }

    pub(crate) async fn azure() -> Self {
        Self::on_azure(&Arc::new(azure::Fake::start().await))
    }

    /// A new zone in an Azure that the test goes on holding.
    pub(crate) fn on_azure(fake: &Arc<azure::Fake>) -> Self {
        use azure::{CLIENT, SECRET, SUBSCRIPTION, TENANT, Throttling};
        fake.create_zone("rg", ZONE);
        let url = fake.url();
        let sets = {
            let fake = fake.clone();
            move || {
                let sets = fake.sets("rg", ZONE).into_iter();
                let owner = |name: &str| if name == "@" { ZONE.to_owned() } else { format!("{name}.{ZONE}") };
                let of_records = |set: azure::RecordSet| {
                    let ttl = u32::try_from(set.ttl).ok()?;
                    address_set(&owner(&set.name), &set.record_type, ttl, &set.texts())
                };
                sets.filter_map(of_records).collect()
            }
        };
        let count = {
            let fake = fake.clone();
            move || fake.sets("rg", ZONE).len()
        };
        let forbid = {
            let fake = fake.clone();
            let scope = format!("/subscriptions/{SUBSCRIPTION}");
            let reader = azure::Principal::new(CLIENT).with_secret(SECRET).with_right(&scope, &["*/read"]);
            move || fake.principal(reader.clone())
        };
        let fake = fake.clone();
        let trouble = move || {
            let refusals =
                [azure::throttled(Throttling::Text, None), azure::throttled(Throttling::Subscription, Some(1))];
            strike(fake.control(), "RecordSets_CreateOrUpdate", "RecordSets_ListByDnsZone", refusals);
        };
        Self {
            provider: "azure-azuredns",
            config: format!(
                "subscription-id = {SUBSCRIPTION}\ntenant-id = {TENANT}\nclient-id = {CLIENT}\nsecret = \"{SECRET}\"\n\
                 resourceGroup = rg\nresource-manager-url = {url}\nauthority-url = {url}"
            ),
            sets: Arc::new(sets),
            count: Arc::new(count),
            trouble: Arc::new(trouble),
            forbid: Arc::new(forbid),
            rights: &["Microsoft.Network/dnsZones/A/write", "Microsoft.Network/dnsZones/CNAME/delete"],
            gaps: true,
            _folder: folder(),
        }
    }

    /// The zone's address and CNAME sets, sorted, for comparison with another host's.
    pub(crate) fn zone(&self) -> Vec<RrSet> {
        let mut sets = (self.sets)();
        sets.sort_by(|a, b| a.key().cmp(b.key()));
        sets
    }

    /// A world whose records are in this cloud, with a DNS server that answers from it.
    pub(crate) async fn world(&self) -> (World, Mirror) {
        let sets = self.sets.clone();
        let mirror = Mirror::start(move || sets()).await;
        (World::new(self.provider, &self.config, mirror.address()), mirror)
    }
}

fn folder() -> Arc<TempDir> {
    Arc::new(tempfile::tempdir().unwrap())
}

/// Some of the next writes and reads fail: refused for now, done without an answer, never arrived.
fn strike(control: &Control, write: &str, read: &str, refusals: [dns_conformance::fakes::listener::Answer; 2]) {
    let [first, second] = refusals;
    control.clear(); // what was not met in the step before
    control.add(Fault::answer(first).on(write));
    control.add(Fault::lose_answer().on(write).after(1));
    control.add(Fault::answer(second).on(write).after(1));
    control.add(Fault::lose_request().on(write).after(2));
    control.add(Fault::half_answer().on(read));
}

/// A set of the types that the daemon publishes; `None` for another.
fn address_set<T: AsRef<str>>(owner: &str, rr_type: &str, ttl: u32, texts: &[T]) -> Option<RrSet> {
    let rr_type = match rr_type {
        "A" => RrType::A,
        "AAAA" => RrType::Aaaa,
        "CNAME" => RrType::Cname,
        _ => return None,
    };
    let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
    let key = RrKey::new(Fqdn::parse(owner).unwrap(), rr_type);
    Some(RrSet::new(key.clone(), Ttl::from_secs(ttl).unwrap(), records(&key.rr_type, &texts)).unwrap())
}

/// What `check` found, by what it is about.
async fn check(world: &World, code: i32) -> Value {
    let ended = world.call(&["check", "--output", "json"]).await;
    assert_eq!(ended.code, code, "{}{}", ended.stdout, ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap()
}

fn finding<'a>(found: &'a Value, about: &str) -> &'a Value {
    let findings = found.as_array().unwrap();
    findings.iter().find(|one| one["about"] == about).unwrap_or_else(|| panic!("no `{about}` in {found:#}"))
}

/// `check` says what works, and when the right to write is missing, which one that is.
#[tokio::test(flavor = "multi_thread")]
async fn check_names_the_right_that_is_missing_on_every_cloud() {
    for cloud in Cloud::all().await {
        let (world, _mirror) = cloud.world().await;
        world.clusters.put_all(&crate::life::federation());
        let well = check(&world, 0).await;
        for about in ["provider", "zone", "rights"] {
            assert_eq!(finding(&well, about)["mark"], "ok", "{}: {well:#}", cloud.provider);
        }
        let zone = finding(&well, "zone")["detail"].as_str().unwrap();
        let wanted = if cloud.provider == "azure-azuredns" { "26 wanted" } else { "29 wanted" };
        assert!(zone.contains(wanted), "{}: 26 sets, and where claims need them 3 more: {zone}", cloud.provider);
        assert!(cloud.zone().is_empty(), "{}: check wrote {:?}", cloud.provider, cloud.zone());
        (cloud.forbid)();
        let ill = check(&world, 1).await;
        for right in cloud.rights {
            let names_it = |one: &&Value| one["about"] == "rights" && one["detail"].as_str().unwrap().contains(right);
            let found = ill.as_array().unwrap().iter().find(names_it);
            let found = found.unwrap_or_else(|| panic!("{} does not name {right}: {ill:#}", cloud.provider));
            assert_eq!(found["mark"], "missing", "{}: {ill:#}", cloud.provider);
        }
        assert_eq!(finding(&ill, "zone")["mark"], "ok", "{}: reading still works", cloud.provider);
    }
}

/// Giving up leaves the sets and takes nothing but the claims; after taking them over again, deleting leaves nothing.
#[tokio::test(flavor = "multi_thread")]
async fn release_gives_up_or_deletes_on_every_cloud() {
    for cloud in Cloud::all().await {
        let (world, _mirror) = cloud.world().await;
        let provider = cloud.provider;
        let done = async |arguments: &[&str]| {
            let ended = world.call(arguments).await;
            assert_eq!(ended.code, 0, "{provider}: {arguments:?}: {}{}", ended.stdout, ended.stderr);
        };
        let empty = (cloud.count)();
        world.clusters.put_all(&crate::life::federation());
        done(&["apply"]).await;
        let published = cloud.zone();
        done(&["release", "--yes"]).await;
        assert_eq!(cloud.zone(), published, "{provider}: giving up changed sets");
        assert_eq!((cloud.count)(), empty + published.len(), "{provider}: something else is left");
        let strange = world.call(&["plan", "--detailed-exitcode"]).await;
        assert_eq!(strange.code, 4, "{provider}: what was given up is somebody else's: {}", strange.stdout);
        done(&["apply", "--adopt", "exact"]).await;
        done(&["release", "--delete", "--yes"]).await;
        assert_eq!((cloud.count)(), empty, "{provider}: {:#?} is left", cloud.zone());
    }
}

/// The whole program: 2,500 services with a global, a region's and two zones' names each, and the TXT sets that claim
/// them. The least would be 13 calls, 12,500 values by 1,000.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_names_on_route_53_take_at_most_14_calls() {
    const SERVICES: usize = 2_500;
    let fake = route53::Fake::start().await;
    fake.limits(|limits| limits.sets_per_zone = 20_000);
    let zone = fake.create_zone(ZONE, false);
    let keys = "access-key-id = AKIDEXAMPLE\nsecret-access-key = example-key";
    let nobody = ([127, 0, 0, 1], 9).into();
    let world = World::new("aws-route53", &format!("endpoint-url = {}\n{keys}", fake.url()), nobody);
    world.configure("[Cluster \"production\"]\nregion = us-central1\nzones = us-central1-a, us-central1-b");
    let member = (0..SERVICES).fold(Member::new("production"), |member, index| {
        member.with(&format!("service-{index}"), &[&format!("198.18.{}.{}", index / 250, index % 250 + 1)])
    });
    world.clusters.put(&member);
    let ended = world.call(&["apply"]).await;
    assert_eq!(ended.code, 0, "{}{}", &ended.stdout[..ended.stdout.len().min(2000)], ended.stderr);
    assert_eq!(fake.sets(&zone).len(), 2 + SERVICES * 5, "SOA, NS, and five sets for each service");
    let calls = fake.control().count("ChangeResourceRecordSets");
    assert!((13..=14).contains(&calls), "{calls} calls");
    let again = world.call(&["plan", "--detailed-exitcode"]).await;
    assert_eq!(again.code, 0, "{}", &again.stdout[..again.stdout.len().min(2000)]);
}
