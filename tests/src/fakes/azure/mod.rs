//! A stand-in for Azure DNS: the resource manager with `Microsoft.Network/dnsZones`, the token endpoint of the authority
//! and the metadata service of a machine, all on one loopback address.
//!
//! Azure's clients insist on `https`, so a test's HTTP client sends every request, whatever its scheme and host, to
//! [`Fake::address`]. Links in answers carry `https` and the public host, as Azure's do, and are taken back that way.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use dns_conformance::fakes::azure::{self, Fake, RecordSet};
//! use dns_conformance::fakes::faults::Fault;
//!
//! let fake = Fake::start().await;
//! fake.create_zone("rg", "conformance.test");
//! // The backend: subscription azure::SUBSCRIPTION, tenant azure::TENANT, client azure::CLIENT, secret azure::SECRET,
//! // all of its HTTP to fake.address(). Or a token without asking for one: fake.token().
//!
//! fake.put_set("rg", "conformance.test", RecordSet::a("www", 300, &["192.0.2.1"])); // what somebody else does
//! assert_eq!(fake.set("rg", "conformance.test", "A", "www").unwrap().texts(), ["192.0.2.1"]);
//!
//! fake.control().add(Fault::lose_answer().on("RecordSets_CreateOrUpdate")); // operations: the vendor's names
//! fake.control().add(Fault::answer(azure::throttled(azure::Throttling::Text, None)).on("RecordSets_Delete"));
//! assert_eq!(fake.control().count("RecordSets_Get"), 0);
//! # }
//! ```
//!
//! Operations in the call log are the ids of the description (`Zones_List`, `RecordSets_ListByDnsZone`, …), and besides
//! `Token`, `TokenV1`, `ManagedIdentity`, `OperationStatus`, `OperationResult` and `unknown`. The link of a list by
//! `RecordSets_ListByDnsZone` leads to `…/ALL`, as Azure's does: its further pages count as, and need the right of,
//! `RecordSets_ListAllByDnsZone`.
//!
//! # Sources
//! The description of 2018-05-01 (`spec.rs`), the recordings of the Azure CLI (2020-12) and of Lexicon (2023-06), both
//! replayed in `tests/tests/fake_azure`, the error bodies of `facts/observed-errors.json`, and Microsoft's "Overview of DNS
//! zones and records" of 2025-12-18. Where these differ:
//! - TTL 0 is taken, as recorded; the page begins at 1.
//! - CAA takes any tag of letters and digits, as recorded; the page names three.
//! - Zone DELETE has no `Retry-After` unless a test asks for one: none of the 13 recorded ones has it, the notes on other
//!   recordings say that it comes.
//! - 50 alias sets for a resource and 400 TXT records in a set, as the page; the reference has 20 and does not tell TXT
//!   apart.
//! - A 429 of the zone's rate comes in the shape of the resource manager unless a test chooses another
//!   ([`Fake::throttle_as`]): it is the only one quoted for public zones.
//!
//! # Stricter than the service
//! Unknown query parameters, and conditional headers that an operation does not have, are refused; the service passes
//! over them. So are unknown members of bodies, in words that are known of the resource manager alone, and `null` for a
//! member that is not only read.
//!
//! # Not known, so chosen
//! - Metadata: no source gives a limit of pairs or lengths, so there is none; [`Limits`] can set one.
//! - DELETE with `If-Match` of an absent set: 204 as without; [`Fake::absent_with_etag`] makes it 412.
//! - The ETag in a body means nothing: all that recordings send is current, and the description speaks of the headers.
//! - A set of too many records is 409, as for private zones; its text is ours. So are the texts of bad data.
//! - Names keep the letters that they were created with and are found by any.
//! - Strings of TXT are literal, backslashes and quotation marks included (octodns/octodns#229 shows what the name
//!   servers make of them). Nothing tells what becomes of characters outside of printable ASCII: they are refused.
//!
//! # Not imitated
//! DNSSEC and the record types that need it, private zones of `Microsoft.Network/privateDnsZones`, DNS answers, locks,
//! policies, other resources (any target of an alias that looks like an id is taken), certificates, conditional access,
//! delays between a change and its effect.

mod answer;
mod check;
mod identity;
mod list;
mod rate;
mod rdata;
mod route;
mod sets;
mod spec;
mod world;
mod zone;
mod zones;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::faults::{Control, Rate};
use super::listener::{Host, Server};
pub use answer::{Throttling, dns_server_error, expired_token, forbidden, gateway_page, server_error, throttled};
pub use identity::Principal;
pub use rate::Kind;
use route::Route;
pub use spec::{API_VERSION, Limits, RECORD_TYPES};
use world::World;
pub use zone::RecordSet;
use zone::{Key, Zone};

/// The subscription that is there from the start.
pub const SUBSCRIPTION: &str = "11111111-1111-4111-8111-111111111111";
/// The tenant that issues tokens.
pub const TENANT: &str = "22222222-2222-4222-8222-222222222222";
/// The client id of the principal who may do everything in [`SUBSCRIPTION`]; it is the machine's identity as well.
pub const CLIENT: &str = "33333333-3333-4333-8333-333333333333";
/// That principal's secret. It has characters that forms and config files must quote.
pub const SECRET: &str = "Fake~secret+with/odd=chars&#;";
/// That principal's object id.
pub const OBJECT: &str = "44444444-4444-4444-8444-444444444444";

//----------- Cloud --------------------------------------------------

/// One of the separate Azures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cloud {
    /// `management.azure.com`.
    #[default]
    Public,
    /// `management.usgovcloudapi.net`.
    UsGovernment,
    /// `management.chinacloudapi.cn`.
    China,
}

impl Cloud {
    /// The resource manager's public URL, without a final slash.
    pub fn resource_manager(self) -> &'static str {
        match self {
            Self::Public => "https://management.azure.com",
            Self::UsGovernment => "https://management.usgovcloudapi.net",
            Self::China => "https://management.chinacloudapi.cn",
        }
    }

    /// The authority's public URL, without a final slash.
    pub fn authority(self) -> &'static str {
        match self {
            Self::Public => "https://login.microsoftonline.com",
            Self::UsGovernment => "https://login.microsoftonline.us",
            Self::China => "https://login.chinacloudapi.cn",
        }
    }

    /// Whom tokens must be for, without a final slash: the resource manager or the management API before it.
    fn audiences(self) -> [String; 2] {
        let classic = match self {
            Self::Public => "https://management.core.windows.net",
            Self::UsGovernment => "https://management.core.usgovcloudapi.net",
            Self::China => "https://management.core.chinacloudapi.cn",
        };
        [self.resource_manager().to_owned(), classic.to_owned()]
    }
}

//----------- Fake ---------------------------------------------------

/// A running stand-in; ends when dropped.
#[derive(Debug)]
pub struct Fake {
    world: Arc<World>,
    server: Server,
    address: SocketAddr,
}

impl Fake {
    /// Starts the public cloud, with [`SUBSCRIPTION`] in it and nothing in that.
    pub async fn start() -> Self {
        Self::start_in(Cloud::Public).await
    }

    /// Starts another cloud.
    ///
    /// # Panics
    /// When loopback cannot be listened on.
    pub async fn start_in(cloud: Cloud) -> Self {
        let world = Arc::new(World::new(cloud));
        let server = Server::start(Arc::clone(&world) as Arc<dyn Host>).await;
        let address = server.url().trim_start_matches("http://").parse().expect("a URL of an address");
        Self { world, server, address }
    }

    /// Where it listens, in plain HTTP, for all of Azure's hosts.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same as a URL, without a final slash.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Faults, rates of operations, and the log of calls.
    pub fn control(&self) -> &Control {
        self.server.control()
    }

    /// Cuts every open connection; new ones are served.
    pub fn cut_connections(&self) {
        self.server.cut_connections();
    }

    /// Changes the limits in force.
    pub fn limits(&self, change: impl FnOnce(&mut Limits)) {
        change(&mut self.world.state().limits);
    }

    /// Shows and takes at most this many sets or zones on a page, whatever `$top` says.
    pub fn page_size(&self, size: usize) {
        self.limits(|limits| limits.page = size.max(1));
    }
}

/// Rates and the behavior of the service.
impl Fake {
    /// Enforces the vendor's rates, per zone and per principal, from now on; full at first. They run on the runtime's
    /// clock.
    pub fn enforce_rates(&self) {
        self.world.state().rates.vendor();
    }

    /// Enforces a rate of one kind of call for each zone.
    pub fn zone_rate(&self, kind: Kind, rate: Rate) {
        self.world.state().rates.set(kind, rate);
    }

    /// How calls above a rate are refused: the shape, and with `Retry-After` or without. At first as the resource
    /// manager does, with it.
    pub fn throttle_as(&self, shape: Throttling, retry_after: bool) {
        self.world.state().throttling = (shape, retry_after);
    }

    /// Deletions of zones that begin from now on are under way until their status was asked for this often; at first 0.
    /// With `Retry-After` in seconds, or without.
    pub fn delay_deletions(&self, polls: u32, retry_after: Option<u64>) {
        self.world.state().deletion_polls = (polls, retry_after);
    }

    /// What DELETE with `If-Match` says of a set that is not there: 204, as at first, or 412.
    pub fn absent_with_etag(&self, status: u16) {
        self.world.state().absent_with_etag = status;
    }

    /// Says which TTL alias sets of a Traffic Manager profile have; 30 where nothing is said.
    pub fn profile(&self, id: &str, ttl: i64) {
        self.world.state().profiles.insert(id.to_ascii_lowercase(), ttl);
    }
}

/// Principals and tokens.
impl Fake {
    /// Adds a principal, or replaces the one with its client id.
    pub fn principal(&self, principal: Principal) {
        self.world.state().identity.put(principal);
    }

    /// A token of [`CLIENT`] for the resource manager.
    pub fn token(&self) -> String {
        self.token_of(CLIENT)
    }

    /// A token of another principal for the resource manager.
    pub fn token_of(&self, client: &str) -> String {
        let mut state = self.world.state();
        let audience = state.cloud.resource_manager();
        state.identity.issue(client, audience)
    }

    /// A token of [`CLIENT`] for somebody else than the resource manager.
    pub fn token_for(&self, audience: &str) -> String {
        self.world.state().identity.issue(CLIENT, audience)
    }

    /// Every token that was issued so far is refused from now on.
    pub fn expire_tokens(&self) {
        self.world.state().identity.expire();
    }

    /// How long tokens are good that are issued from now on: 3599 seconds at first, on the runtime's clock.
    pub fn token_lifetime(&self, lifetime: Duration) {
        self.world.state().identity.lifetime = lifetime;
    }
}

/// What it holds, in [`SUBSCRIPTION`]: what a test looks at, and what somebody else does.
impl Fake {
    /// Adds an empty subscription. The principal of the start has no rights in it.
    pub fn add_subscription(&self, id: &str) {
        self.world.state().add_subscription(id);
    }

    /// Adds a resource group unless it is there; gives its id.
    pub fn create_group(&self, group: &str) -> String {
        self.world.state().add_group(SUBSCRIPTION, group);
        format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}")
    }

    /// Adds a public zone, in a group that it adds where needed; gives its id. A zone of that name in that group is
    /// replaced.
    pub fn create_zone(&self, group: &str, zone: &str) -> String {
        self.make_zone(group, zone, false)
    }

    /// Adds a private zone of the kind that this version of the interface has.
    pub fn create_private_zone(&self, group: &str, zone: &str) -> String {
        self.make_zone(group, zone, true)
    }

    fn make_zone(&self, group: &str, zone: &str, private: bool) -> String {
        self.create_group(group);
        let made = self.world.state().make_zone(&place(group, zone), private);
        assert!(made.is_ok(), "the group is there: {made:?}");
        self.zone_id(group, zone)
    }

    /// The id of a zone, in the letters of requests.
    pub fn zone_id(&self, group: &str, zone: &str) -> String {
        format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}/providers/Microsoft.Network/dnsZones/{zone}")
    }

    /// Removes a zone at once. Gives whether it was there.
    pub fn remove_zone(&self, group: &str, zone: &str) -> bool {
        let mut state = self.world.state();
        let group = state.group_mut(&place(group, zone));
        group.is_ok_and(|group| group.zones.remove(&zone.to_ascii_lowercase()).is_some())
    }

    /// The names of a group's zones.
    pub fn zones(&self, group: &str) -> Vec<String> {
        let state = self.world.state();
        let group = state.group(&place(group, ""));
        group.map(|group| group.zones.values().map(|zone| zone.name.clone()).collect()).unwrap_or_default()
    }

    /// All sets of a zone in the vendor's order, SOA and NS of the apex included.
    ///
    /// # Panics
    /// When there is no such zone.
    pub fn sets(&self, group: &str, zone: &str) -> Vec<RecordSet> {
        self.with_zone(group, zone, |zone| zone.sets.values().cloned().collect())
    }

    /// One set, by type and relative name.
    ///
    /// # Panics
    /// When there is no such zone.
    pub fn set(&self, group: &str, zone: &str, record_type: &str, name: &str) -> Option<RecordSet> {
        self.with_zone(group, zone, |zone| zone.sets.get(&Key::new(name, record_type)).cloned())
    }

    /// Writes a set as it is, unchecked, with a new ETag, which it gives.
    ///
    /// # Panics
    /// When there is no such zone.
    pub fn put_set(&self, group: &str, zone: &str, mut set: RecordSet) -> String {
        let etag = self.world.state().guid();
        set.etag.clone_from(&etag);
        self.with_zone(group, zone, |zone| zone.sets.insert(set.key(), set));
        etag
    }

    /// Removes a set, whatever it is. Gives whether it was there.
    ///
    /// # Panics
    /// When there is no such zone.
    pub fn remove_set(&self, group: &str, zone: &str, record_type: &str, name: &str) -> bool {
        self.with_zone(group, zone, |zone| zone.sets.remove(&Key::new(name, record_type)).is_some())
    }

    fn with_zone<T>(&self, group: &str, zone: &str, work: impl FnOnce(&mut Zone) -> T) -> T {
        let mut state = self.world.state();
        let found = state.zone_mut(&place(group, zone));
        work(found.unwrap_or_else(|_| panic!("the fake has no zone `{zone}` in group `{group}`")))
    }
}

fn place(group: &str, zone: &str) -> Route {
    Route { subscription: SUBSCRIPTION.into(), group: group.into(), zone: zone.into(), ..Route::default() }
}
