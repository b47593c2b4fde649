//! A strict stand-in for Google Cloud DNS v1, and for those who give tokens to its callers.
//!
//! ```
//! use dns_conformance::fakes::clouddns::{Fake, RecordSet, Trouble, Visibility};
//! use dns_conformance::fakes::faults::Fault;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let fake = Fake::start().await;
//! let zone = fake.create_zone("conformance.test", Visibility::Public); // the managed zone's name
//! // Point a client at fake.url(), with the project fake.project() and `Authorization: Bearer {fake.token()}`.
//!
//! fake.put(&zone, RecordSet::new("www.conformance.test.", "A", 60, ["192.0.2.1"])); // what somebody else does
//! fake.set_quota(|quota| quota.rrset_additions_per_change = 5);
//! fake.control().add(Fault::lose_answer().on("dns.changes.create"));
//! fake.control().add(Fault::answer(Trouble::RateLimit.with_retry_after(3)).on("dns.resourceRecordSets.list"));
//! assert_eq!(fake.control().count("dns.changes.create"), 0);
//! assert_eq!(fake.sets(&zone).len(), 3); // NS and SOA at the apex, and www
//! # });
//! ```
//!
//! Operations are called in the log and in faults as in the vendor's document (`dns.changes.create`); the token
//! endpoints are `oauth2.token`, `federation.token` and `metadata`.
//!
//! # Credentials
//!
//! Each call needs a bearer token: [`Fake::token`], or one that the fake's own endpoints gave. A service account is
//! [`Fake::service_account_key`] (self-signed tokens and the grant at [`Fake::token_uri`]), a machine is
//! `GCE_METADATA_HOST=`[`Fake::metadata_host`], and federation v1's `token-url` is [`Fake::token_url`].
//! [`Fake::expire_tokens`] makes the given ones worthless; [`Fake::deny`] takes a right from all callers.
//!
//! # Where the facts come from
//!
//! - Paths, parameters, schemas: the discovery document `dns.v1.json`, revision 20261009. A test compares the tables.
//! - Shapes of answers, the order of lists, the apex sets, `pending`: the recordings of 2018 (`lexicon/googleclouddns`).
//! - Errors: `facts/observed-errors.json`; where that knows only Google's own `LocalDnsHelper` of 2016 its words are
//!   used, except `alreadyExists`, whose observed text differs. That several errors come in one answer was observed for
//!   quotas (kubernetes-sigs/external-dns#1028) and is done here for everything that one step finds.
//! - Quotas: the older table of cloud.google.com/dns/quotas; the newer one names no numbers.
//!
//! Nothing tells these, so they are the fake's choice, on the strict side: a set without `ttl` is refused; a record that
//! stands twice in a set is `invalid`; deletions count against the size of a change; another project is `forbidden`; the
//! size of a page; `clientOperationId` can be used once in a zone; which of several steps of checks comes first.
//!
//! # What it does not imitate
//!
//! Operations in [`operations::NOT_IMITATED`] (policies, keys, IAM, patching of zones) and the parameters `filter` and
//! `alt=media` answer 501 `notImplemented`. Signatures of tokens are not checked. Networks, forwarding, peering and
//! DNSSEC of zones are kept and given back without effect. No `ETag` or `If-Match`: the document has none.

mod api;
mod credentials;
mod faults;
mod fields;
mod key;
mod methods;
pub mod operations;
mod page;
mod project;
mod rdata;
mod records;
mod refusal;
pub mod schema;
mod zone;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};

use self::api::Target;
use self::credentials::Credentials;
pub use self::faults::Trouble;
use self::project::Project;
pub use self::project::Quota;
pub use self::records::{Data, RecordSet};
use self::refusal::Refusal;
pub use self::zone::Visibility;
use super::faults::Control;
use super::listener::{Answer, Host, Request, Server};

/// A running fake with one project; stops when dropped.
#[derive(Debug)]
pub struct Fake {
    server: Server,
    service: Arc<Service>,
}

#[derive(Debug)]
struct Service(Mutex<State>);

#[derive(Debug)]
struct State {
    project: Project,
    credentials: Credentials,
}

impl Fake {
    /// A fake with the empty project `federation-test`.
    pub async fn start() -> Self {
        Self::with_project("federation-test").await
    }

    /// A fake with an empty project of this name.
    pub async fn with_project(id: &str) -> Self {
        let state = State { project: Project::new(id), credentials: Credentials::new(id) };
        let service = Arc::new(Service(Mutex::new(state)));
        let host: Arc<dyn Host> = Arc::<Service>::clone(&service);
        Self { server: Server::start(host).await, service }
    }

    /// The address to give to a client, without a final slash: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The project's identifier.
    pub fn project(&self) -> String {
        self.state().project.id.clone()
    }

    /// Faults, rates and the log of calls.
    pub fn control(&self) -> &Control {
        self.server.control()
    }

    /// Cuts every open connection; new ones are served.
    pub fn cut_connections(&self) {
        self.server.cut_connections();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.service.state()
    }

    //--- Credentials

    /// A new access token that allows everything.
    pub fn token(&self) -> String {
        self.token_with_scopes(&credentials::full_scope())
    }

    /// A new access token with these scopes, as full URLs.
    pub fn token_with_scopes(&self, scopes: &[String]) -> String {
        self.state().credentials.issue(scopes)
    }

    /// All tokens given until now are refused with 401 from now on. Givers go on giving new ones. Of the tokens that a
    /// service account signs for itself, those that came before are refused; one that it signs anew within the same
    /// second is the same token.
    pub fn expire_tokens(&self) {
        self.state().credentials.expire();
    }

    /// Takes a right such as `dns.changes.create` from all callers.
    pub fn deny(&self, right: &str) {
        self.state().project.denied.insert(right.to_owned());
    }

    /// Gives a right back.
    pub fn allow(&self, right: &str) {
        self.state().project.denied.remove(right);
    }

    /// A service account's key file, as JSON: its `token_uri` is the fake's.
    pub fn service_account_key(&self) -> String {
        let key = json!({
            "type": "service_account",
            "project_id": self.project(),
            "private_key_id": "f4ce0000000000000000000000000000000000ff",
            "private_key": key::PRIVATE_KEY,
            "client_email": self.state().credentials.email(),
            "client_id": "100000000000000000001",
            "token_uri": self.token_uri(),
            "universe_domain": "googleapis.com",
        });
        format!("{key:#}")
    }

    /// A user's key file (`authorized_user`), as JSON: its `token_uri` is the fake's.
    pub fn user_key(&self) -> String {
        let key = json!({
            "type": "authorized_user",
            "client_id": "fake.apps.googleusercontent.com",
            "client_secret": "fake-client-secret",
            "refresh_token": "fake-refresh-token",
            "token_uri": self.token_uri(),
        });
        format!("{key:#}")
    }

    /// Google's token endpoint.
    pub fn token_uri(&self) -> String {
        format!("{}/token", self.url())
    }

    /// Federation v1's `token-url`. It wants the machine's own token and the body of [`Fake::set_token_body`].
    pub fn token_url(&self) -> String {
        format!("{}/v1-token", self.url())
    }

    /// What [`Fake::token_url`] wants to be sent, to the letter. At first anything will do.
    pub fn set_token_body(&self, body: &str) {
        self.state().credentials.token_body = Some(body.to_owned());
    }

    /// The metadata server, as `GCE_METADATA_HOST` wants it: host and port.
    pub fn metadata_host(&self) -> String {
        self.url().trim_start_matches("http://").to_owned()
    }

    /// The scopes of the machine's own account; at first everything.
    pub fn set_machine_scopes(&self, scopes: &[String]) {
        self.state().credentials.machine_scopes = scopes.to_vec();
    }

    //--- The project

    /// Changes quotas. They hold for what comes; what is there stays.
    pub fn set_quota(&self, change: impl FnOnce(&mut Quota)) {
        change(&mut self.state().project.quota);
    }

    /// The size of pages, also where more is asked for.
    ///
    /// # Panics
    /// When it is 0.
    pub fn set_page_size(&self, items: usize) {
        assert!(items > 0, "a page holds something");
        self.state().project.page_size = Some(items);
    }

    /// How many reads of each new change say `pending`; at first none, so that the first read says `done`. The answer to
    /// the change itself always says `pending`, and what was changed can be read at once, as recorded.
    pub fn set_pending_reads(&self, reads: u32) {
        self.state().project.pending_reads = reads;
    }

    //--- Zones and sets, behind the service's back

    /// Creates a zone; gives the managed zone's name, which is made of the apex: `conformance-test`, and
    /// `conformance-test-private` for a private one. A number follows where that is taken.
    ///
    /// # Panics
    /// When the service would refuse it.
    pub fn create_zone(&self, apex: &str, visibility: Visibility) -> String {
        let apex = apex.trim_end_matches('.');
        let private = if visibility == Visibility::Private { "-private" } else { "" };
        let stem = format!("{}{private}", apex.replace(['.', '_'], "-"));
        let project = &mut self.state().project;
        let is_taken = |project: &Project, name: &str| project.zones.iter().any(|zone| zone.name == name);
        let mut names = std::iter::once(stem.clone()).chain((2..).map(|n| format!("{stem}-{n}")));
        let name = names.find(|name| !is_taken(project, name)).expect("names do not end");
        let mut body = json!({"name": name, "dnsName": format!("{apex}."), "description": "made by a test"});
        if visibility == Visibility::Private {
            body["visibility"] = "private".into();
        }
        let body = body.as_object().cloned().unwrap_or_default();
        if let Err(refusal) = project.create_zone(&body) {
            panic!("the zone `{apex}` cannot be created: {refusal:?}");
        }
        name
    }

    /// The numeric identifier of a zone, by its name.
    ///
    /// # Panics
    /// When there is no such zone.
    pub fn zone_id(&self, zone: &str) -> u64 {
        self.with_zone(zone, |zone| zone.id)
    }

    /// The names of all zones, in order.
    pub fn zones(&self) -> Vec<String> {
        self.state().project.zones.iter().map(|zone| zone.name.clone()).collect()
    }

    /// All sets of a zone, in the order of lists.
    ///
    /// # Panics
    /// When there is no such zone.
    pub fn sets(&self, zone: &str) -> Vec<RecordSet> {
        self.with_zone(zone, |zone| zone.sets.values().cloned().collect())
    }

    /// One set of a zone.
    ///
    /// # Panics
    /// When there is no such zone.
    pub fn set(&self, zone: &str, name: &str, record_type: &str) -> Option<RecordSet> {
        self.with_zone(zone, |zone| zone.get(name, record_type).cloned())
    }

    /// Puts a set in place of what stands there, without any check.
    ///
    /// # Panics
    /// When there is no such zone.
    pub fn put(&self, zone: &str, set: RecordSet) {
        self.with_zone(zone, |zone| zone.put(set));
    }

    /// Takes a set away, without any check; gives what stood there.
    ///
    /// # Panics
    /// When there is no such zone.
    pub fn remove(&self, zone: &str, name: &str, record_type: &str) -> Option<RecordSet> {
        self.with_zone(zone, |zone| zone.sets.remove(&zone::set_key(name, record_type)))
    }

    /// How many changes were made in a zone; its creation is not counted.
    ///
    /// # Panics
    /// When there is no such zone.
    pub fn changes(&self, zone: &str) -> usize {
        self.with_zone(zone, |zone| zone.changes.len() - 1)
    }

    /// Takes a zone away with all that it holds.
    pub fn remove_zone(&self, zone: &str) {
        self.state().project.zones.retain(|other| !other.is_called(zone));
    }

    /// Adds a zone of this JSON, as the service gives it (`name`, `id` and `dnsName` at least), with these sets alone and
    /// `changes` made before. For zones that were recorded.
    ///
    /// # Panics
    /// When one of the three is missing.
    pub fn add_zone(&self, json: &Map<String, Value>, sets: impl IntoIterator<Item = RecordSet>, changes: usize) {
        let text = |member: &str| json.get(member).and_then(Value::as_str).unwrap_or_else(|| panic!("no `{member}`"));
        let id = text("id").parse().expect("a number as `id`");
        let value = Value::Object(json.clone());
        let mut zone = project::bare_zone(id, text("name"), &text("dnsName").to_ascii_lowercase(), value);
        sets.into_iter().for_each(|set| zone.put(set));
        zone.record(Vec::new(), Vec::new(), project::timestamp(0)).id = changes;
        self.state().project.add(zone);
    }

    fn with_zone<T>(&self, name: &str, does: impl FnOnce(&mut zone::Zone) -> T) -> T {
        let mut state = self.state();
        let zone = state.project.zones.iter_mut().find(|zone| zone.is_called(name));
        does(zone.unwrap_or_else(|| panic!("there is no managed zone `{name}`")))
    }
}

//----------- Service ------------------------------------------------

impl Service {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Host for Service {
    fn operation(&self, request: &Request) -> String {
        match (request.path.as_str(), api::target(request)) {
            ("/token", _) => "oauth2.token".to_owned(),
            ("/v1-token", _) => "federation.token".to_owned(),
            (path, _) if path.starts_with("/computeMetadata/") || path == "/" => "metadata".to_owned(),
            (_, Target::Imitated(operation, _)) => operation.id.to_owned(),
            (_, Target::NotImitated(id)) => id.to_owned(),
            (_, Target::Unknown) => "unknown".to_owned(),
        }
    }

    fn answer(&self, request: &Request) -> Answer {
        let State { project, credentials } = &mut *self.state();
        let path = request.path.as_str();
        match (request.method.as_str(), path) {
            ("POST", "/token") => return credentials.token_endpoint(request),
            ("POST", "/v1-token") => return credentials.v1_endpoint(request),
            ("GET", _) if path.starts_with("/computeMetadata/") || path == "/" => return credentials.metadata(request),
            _ => {}
        }
        let done = match api::target(request) {
            Target::Unknown => return api::no_such_page(path),
            Target::NotImitated(id) => {
                Err(Refusal::new(501, "notImplemented", format!("the fake does not imitate {id}")))
            }
            Target::Imitated(operation, bound) => credentials
                .check(request, operation.reads())
                .and_then(|()| api::perform(project, operation, &bound, request)),
        };
        done.unwrap_or_else(|refusal| refusal.answer(api::wants_second_format(request)))
    }

    fn throttled(&self, _request: &Request, _wait: Duration) -> Answer {
        // The one that was observed came without Retry-After.
        Trouble::RateLimit.answer()
    }
}
