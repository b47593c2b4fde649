//! Amazon Route 53 on loopback: a strict stand-in for its REST-XML API 2013-04-01.
//!
//! It holds zones and sets, checks every request against the service model ([`model`]) and the rules of the service, and
//! answers in its words. Batches are atomic, deletions exact, lists paged and in the service's order.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use dns_conformance::fakes::faults::Fault;
//! use dns_conformance::fakes::route53::{Fake, RecordSet, errors};
//!
//! let fake = Fake::start().await;
//! let zone = fake.create_zone("conformance.test", false); // `true`: private, in the one VPC that exists
//! // The backend: endpoint `fake.url()`, region us-east-1, any access key and secret.
//! fake.put(&zone, RecordSet::simple("www.conformance.test", "A", 60, ["192.0.2.1"])); // somebody else, unchecked
//! fake.control().add(Fault::answer(errors::throttling()).on("ChangeResourceRecordSets").times(2));
//! fake.control().add(Fault::lose_answer().on("ChangeResourceRecordSets").after(2));
//! fake.deny("CreateHostedZone", None); // 403 `AccessDenied` from now on
//! fake.limits(|limits| limits.page_most = 3);
//! assert_eq!(fake.set(&zone, "www.conformance.test", "A").unwrap().values, ["192.0.2.1"]);
//! assert_eq!(fake.control().count("ChangeResourceRecordSets"), 0);
//! # });
//! ```
//!
//! Where its facts come from:
//! - operations, parameters, fields, words, limits of texts and numbers: the service model of botocore 1.44.5, compared
//!   by a test; order and paging of lists: the documentation in it;
//! - shapes of bodies, `MaxItems` 100, apex sets, messages marked as recorded: lexicon's recordings (2022) and
//!   LocalStack's snapshots of the real service (2023-2026), replayed by a test;
//! - limits of batches, sets, zones and the rate: the project's reference of providers, §1;
//! - `Throttling` as HTTP 400, `PriorRequestNotComplete`, conflicts: `facts/observed-errors.json`; other messages: errors
//!   that users quoted in public issues, named where they are used.
//!
//! Where sources disagree it follows what was recorded: 100 sets a page although the documentation says up to 300 (300
//! are given when asked for), fields in any order although the documentation asks for one (the vendor's own Rust client
//! breaks it).
//!
//! Stricter than is known of the service: an unknown query parameter is `InvalidInput`, a document of another media type
//! `MalformedInput`, a deletion must spell each value as it was written, changes of a batch are made one after the other.
//!
//! Not imitated: the signature itself (its form, date, region and service are checked), AWS STS, tags, health checks (any
//! id will do), traffic policies, reusable delegation sets, DNSSEC, protections of sets, CIDR collections, VPCs beyond
//! one association at creation, the time that a change takes (`GetChange` says `INSYNC` at the second question), the
//! owner of a domain (any name with two labels can be a zone).

mod auth;
mod batch;
pub mod errors;
pub mod model;
mod names;
mod operations;
mod pages;
mod rdata;
mod shapes;
mod xml;
mod zone;

use std::sync::Arc;

use super::faults::{Control, Rate};
use super::listener::{Answer, Host, Request, Server};
use operations::Service;

pub use names::Name;
pub use xml::Element;
pub use zone::{Key, Limits, RecordSet, Zone};

/// The region and id of the network that exists from the start.
pub const VPC: (&str, &str) = ("us-east-1", "vpc-0123456789abcdef0");

/// A running fake of an empty account; ends when dropped.
#[derive(Debug)]
pub struct Fake {
    server: Server,
    service: Arc<Service>,
}

impl Fake {
    /// Starts on a free port of loopback, in the runtime of the caller.
    pub async fn start() -> Self {
        let service = Arc::new(Service::default());
        service.account().vpcs.insert((VPC.0.to_owned(), VPC.1.to_owned()));
        let server = Server::start(Arc::clone(&service) as Arc<dyn Host>).await;
        Self { server, service }
    }

    /// The endpoint, `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The listener, to cut its connections.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Faults to come, rates, and the log of calls.
    pub fn control(&self) -> &Control {
        self.server.control()
    }

    /// Refuses what exceeds five calls a second of the account (HTTP 400 `Throttling`), as the service does; a burst of
    /// as many. Source of the rate: the project's reference of providers, §1.
    pub fn throttle(&self) {
        self.control().limit(None, Rate::new(5.0, 5));
    }

    /// Answers a request without a connection, faults, rate or log.
    pub fn answer(&self, request: &Request) -> Answer {
        self.service.answer(request)
    }

    /// Creates a zone with the SOA and NS of its apex; gives its bare id.
    ///
    /// # Panics
    /// When the name is none: the test is wrong.
    pub fn create_zone(&self, apex: &str, private: bool) -> String {
        let mut account = self.service.account();
        let id = account.fresh_id('Z');
        account.add_zone(Zone {
            id: id.clone(),
            name: Name::parse(apex).unwrap_or_else(|why| panic!("{why}")),
            caller_reference: format!("created-by-the-test-{id}"),
            comment: None,
            vpcs: private.then(|| (VPC.0.to_owned(), VPC.1.to_owned())).into_iter().collect(),
            sets: std::collections::BTreeMap::new(),
        });
        id
    }

    /// Adds a zone as it is, with its id and all its sets; replaces the one of this id.
    pub fn put_zone(&self, zone: Zone) {
        let mut account = self.service.account();
        account.references.insert(zone.caller_reference.clone());
        account.zones.insert(zone.id.clone(), zone);
    }

    /// Removes a zone with all that it holds; whether it was there.
    pub fn remove_zone(&self, id: &str) -> bool {
        self.service.account().zones.remove(id).is_some()
    }

    /// All zones, by id.
    pub fn zones(&self) -> Vec<Zone> {
        self.service.account().zones.values().cloned().collect()
    }

    /// All sets of a zone in the order of the list.
    ///
    /// # Panics
    /// When there is no such zone.
    pub fn sets(&self, zone: &str) -> Vec<RecordSet> {
        self.edit(zone, |zone| zone.sets.values().cloned().collect())
    }

    /// A set without an identifier.
    ///
    /// # Panics
    /// When there is no such zone or the name is none.
    pub fn set(&self, zone: &str, name: &str, rr_type: &str) -> Option<RecordSet> {
        let key = (Name::parse(name).unwrap_or_else(|why| panic!("{why}")), rr_type.to_owned(), None);
        self.edit(zone, |zone| zone.sets.get(&key).cloned())
    }

    /// Writes a set as somebody else would, without a check; gives the one that it replaces.
    ///
    /// # Panics
    /// When there is no such zone.
    pub fn put(&self, zone: &str, set: RecordSet) -> Option<RecordSet> {
        self.edit(zone, |zone| zone.sets.insert(set.key(), set))
    }

    /// Removes a set without an identifier as somebody else would, without a check; gives what was there.
    ///
    /// # Panics
    /// When there is no such zone or the name is none.
    pub fn remove(&self, zone: &str, name: &str, rr_type: &str) -> Option<RecordSet> {
        let key = (Name::parse(name).unwrap_or_else(|why| panic!("{why}")), rr_type.to_owned(), None);
        self.edit(zone, |zone| zone.sets.remove(&key))
    }

    /// Does anything to a zone behind the API's back.
    ///
    /// # Panics
    /// When there is no such zone.
    pub fn edit<T>(&self, zone: &str, edit: impl FnOnce(&mut Zone) -> T) -> T {
        let mut account = self.service.account();
        edit(account.zones.get_mut(zone).unwrap_or_else(|| panic!("there is no zone `{zone}`")))
    }

    /// Changes the numbers that the service enforces.
    pub fn limits(&self, change: impl FnOnce(&mut Limits)) {
        change(&mut self.service.account().limits);
    }

    /// Takes away the right to an operation, on one zone or (`None`) on all.
    pub fn deny(&self, operation: &str, zone: Option<&str>) {
        assert!(model::OPERATIONS.iter().any(|other| other.name == operation), "`{operation}` is no operation");
        self.service.account().denied.push((operation.to_owned(), zone.map(str::to_owned)));
    }

    /// Gives all rights back.
    pub fn allow_all(&self) {
        self.service.account().denied.clear();
    }
}
