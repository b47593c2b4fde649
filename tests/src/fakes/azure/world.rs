//! All that the fake knows, and the way of a request through the resource manager to the DNS resource provider.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};

use super::super::listener::{Answer, Host, Request};
use super::answer::{Refusal, Throttling, throttled};
use super::identity::Identity;
use super::rate::Rates;
use super::route::{self, Route, route};
use super::spec::{self, API_VERSION, Limits};
use super::zone::Zone;
use super::{Cloud, SUBSCRIPTION};

//----------- State --------------------------------------------------

/// What a subscription holds, and what a test has ordered.
#[derive(Debug)]
pub(super) struct State {
    pub(super) cloud: Cloud,
    pub(super) limits: Limits,
    pub(super) identity: Identity,
    pub(super) subscriptions: BTreeMap<String, Subscription>,
    pub(super) deletions: BTreeMap<String, Deletion>,
    pub(super) rates: Rates,
    pub(super) throttling: (Throttling, bool),
    /// How often the status of a zone's deletion is `InProgress`, and what `Retry-After` says.
    pub(super) deletion_polls: (u32, Option<u64>),
    /// What DELETE with `If-Match` says of a set that is not there.
    pub(super) absent_with_etag: u16,
    /// TTLs of Traffic Manager profiles by id in lower case.
    pub(super) profiles: BTreeMap<String, i64>,
    counter: u64,
}

#[derive(Debug, Default)]
pub(super) struct Subscription {
    pub(super) groups: BTreeMap<String, Group>,
}

#[derive(Debug, Default)]
pub(super) struct Group {
    /// As it was written.
    pub(super) name: String,
    pub(super) zones: BTreeMap<String, Zone>,
}

/// A zone's deletion that a client may ask about.
#[derive(Debug)]
pub(super) struct Deletion {
    pub(super) polls: u32,
    pub(super) group: String,
    pub(super) zone: String,
}

impl State {
    fn new(cloud: Cloud) -> Self {
        let mut state = Self {
            cloud,
            limits: Limits::default(),
            identity: Identity::new(cloud, SUBSCRIPTION),
            subscriptions: BTreeMap::new(),
            deletions: BTreeMap::new(),
            rates: Rates::default(),
            throttling: (Throttling::Action, true),
            deletion_polls: (0, None),
            absent_with_etag: 204,
            profiles: BTreeMap::new(),
            counter: 0,
        };
        state.add_subscription(SUBSCRIPTION);
        state
    }

    pub(super) fn add_subscription(&mut self, id: &str) {
        self.subscriptions.entry(id.to_ascii_lowercase()).or_default();
    }

    pub(super) fn add_group(&mut self, subscription: &str, name: &str) -> Option<&mut Group> {
        let subscription = self.subscriptions.get_mut(&subscription.to_ascii_lowercase())?;
        let group = Group { name: name.to_owned(), zones: BTreeMap::new() };
        Some(subscription.groups.entry(name.to_ascii_lowercase()).or_insert(group))
    }

    /// A number that was never given out.
    pub(super) fn next(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// A GUID that was never given out and that says nothing of the order.
    pub(super) fn guid(&mut self) -> String {
        let (one, two) = (mix(self.next()), mix(self.next()));
        let (a, b, c) = (one >> 32, (one >> 16) & 0xffff, one & 0xffff);
        format!("{a:08x}-{b:04x}-{c:04x}-{:04x}-{:012x}", two >> 48, two & 0xffff_ffff_ffff)
    }

    /// The ETag of a zone has its own look.
    pub(super) fn zone_etag(&mut self) -> String {
        let number = mix(self.next());
        format!("00000002-0000-0000-{:04x}-{:012x}", number >> 48, number & 0xffff_ffff_ffff)
    }

    pub(super) fn group(&self, route: &Route) -> Result<&Group, Refusal> {
        let subscription = self.subscriptions.get(&route.subscription.to_ascii_lowercase());
        let group = subscription.and_then(|it| it.groups.get(&route.group.to_ascii_lowercase()));
        group.ok_or_else(|| no_group(&route.group))
    }

    pub(super) fn group_mut(&mut self, route: &Route) -> Result<&mut Group, Refusal> {
        let subscription = self.subscriptions.get_mut(&route.subscription.to_ascii_lowercase());
        let group = subscription.and_then(|it| it.groups.get_mut(&route.group.to_ascii_lowercase()));
        group.ok_or_else(|| no_group(&route.group))
    }

    pub(super) fn zone(&self, route: &Route) -> Result<&Zone, Refusal> {
        self.group(route)?.zones.get(&route.zone.to_ascii_lowercase()).ok_or_else(|| no_zone(route))
    }

    pub(super) fn zone_mut(&mut self, route: &Route) -> Result<&mut Zone, Refusal> {
        let missing = no_zone(route);
        self.group_mut(route)?.zones.get_mut(&route.zone.to_ascii_lowercase()).ok_or(missing)
    }

    /// All zones of the subscription that hosts the fake's default, whatever the group.
    pub(super) fn zones(&self) -> impl Iterator<Item = &Zone> {
        let groups = self.subscriptions.values().flat_map(|subscription| subscription.groups.values());
        groups.flat_map(|group| group.zones.values())
    }
}

/// SplitMix64's finishing step: a permutation, so numbers stay apart.
fn mix(number: u64) -> u64 {
    let mut number = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

fn no_group(group: &str) -> Refusal {
    Refusal::arm(404, "ResourceGroupNotFound", format!("Resource group '{group}' could not be found."))
}

/// The zone itself is asked for, or something in it.
/// Source of the second text: hashicorp/terraform-provider-azurerm#26124.
fn no_zone(route: &Route) -> Refusal {
    let verb = route.action().rsplit('/').next().unwrap_or_default().to_owned();
    let Route { subscription, group, zone, record_type, .. } = route;
    if record_type.is_empty() {
        let message =
            format!("The Resource 'Microsoft.Network/dnszones/{zone}' under resource group '{group}' was not found.");
        return Refusal::arm(404, "ResourceNotFound", message);
    }
    let message = format!(
        "Failed to perform '{verb}' on resource(s) of type 'dnszones/{record_type}', because the parent resource \
         '/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Network/dnszones/{zone}' could not \
         be found."
    );
    Refusal::arm(404, "ParentResourceNotFound", message)
}

//----------- World --------------------------------------------------

/// The state behind a lock: each request is answered at once and whole.
#[derive(Debug)]
pub(super) struct World(Mutex<State>);

impl World {
    pub(super) fn new(cloud: Cloud) -> Self {
        Self(Mutex::new(State::new(cloud)))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Host for World {
    fn operation(&self, request: &Request) -> String {
        match route(request).operation {
            route::NO_METHOD => route::UNKNOWN.into(),
            operation => operation.into(),
        }
    }

    fn answer(&self, request: &Request) -> Answer {
        let mut state = self.state();
        let route = route(request);
        match route.operation {
            route::TOKEN => state.identity.token(request, &route.id, true),
            route::TOKEN_V1 => state.identity.token(request, &route.id, false),
            route::MANAGED_IDENTITY => state.identity.managed_identity(request),
            _ => state.manage(request, &route).unwrap_or_else(|refusal| refusal.answer(state.cloud.authority())),
        }
    }

    fn throttled(&self, _: &Request, wait: Duration) -> Answer {
        self.state().too_many(wait)
    }
}

impl State {
    /// A 429 in the shape that the test has chosen.
    fn too_many(&self, wait: Duration) -> Answer {
        let (shape, with_header) = self.throttling;
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        throttled(shape, with_header.then_some(seconds))
    }

    /// The resource manager: who, which version, where, with what right; then the operation.
    fn manage(&mut self, request: &Request, route: &Route) -> Result<Answer, Refusal> {
        let principal = self.identity.who(request)?.clone();
        version(request)?;
        if route.operation == route::UNKNOWN {
            let message = format!(
                "The resource type of '{}' could not be found in the namespace 'Microsoft.Network' for api version '{API_VERSION}'.",
                request.path
            );
            return Err(Refusal::arm(404, "InvalidResourceType", message));
        }
        if route.operation == route::NO_METHOD {
            let message = format!("The requested resource does not support http method '{}'.", request.method);
            return Err(Refusal::arm(405, "MethodNotAllowed", message));
        }
        if !self.subscriptions.contains_key(&route.subscription.to_ascii_lowercase()) {
            let message = format!("The subscription '{}' could not be found.", route.subscription);
            return Err(Refusal::arm(404, "SubscriptionNotFound", message));
        }
        // Whoever may delete a zone may ask how far that is: nobody is refused here.
        if ![route::STATUS, route::RESULT].contains(&route.operation) {
            Identity::authorize(&principal, route)?;
        }
        if !route.group.is_empty() {
            self.group(route)?;
        }
        known(request, route)?;
        if let Err(wait) = self.take_rate(route, &principal) {
            return Ok(self.too_many(wait));
        }
        match route.operation {
            "Zones_List" | "Zones_ListByResourceGroup" => self.list_zones(request, route),
            "Zones_Get" => self.get_zone(route),
            "Zones_CreateOrUpdate" => self.put_zone(request, route),
            "Zones_Update" => self.patch_zone(request, route),
            "Zones_Delete" => self.delete_zone(request, route),
            "RecordSets_Get" => self.get_set(route),
            "RecordSets_CreateOrUpdate" => self.put_set(request, route),
            "RecordSets_Update" => self.patch_set(request, route),
            "RecordSets_Delete" => self.delete_set(request, route),
            "DnsResourceReference_GetByTargetResources" => self.references(request),
            route::STATUS | route::RESULT => self.deletion(route),
            _ => self.list_sets(request, route),
        }
    }
}

/// Source of the codes: Microsoft's "Troubleshoot common Azure deployment errors".
fn version(request: &Request) -> Result<(), Refusal> {
    match request.query("api-version") {
        Some(API_VERSION) => Ok(()),
        Some(other) => {
            let message = format!(
                "No registered resource provider found for location 'global' and API version '{other}' for type \
                 'dnszones'. The supported api-versions are '{API_VERSION}'."
            );
            Err(Refusal::arm(400, "NoRegisteredProviderFound", message))
        }
        None => {
            let message = "The api-version query parameter (?api-version=) is required for all requests.";
            Err(Refusal::arm(400, "MissingApiVersionParameter", message))
        }
    }
}

/// Refuses parameters and conditions that the operation does not have. The service would pass over them in silence; a
/// client that sends them believes something that is not so.
fn known(request: &Request, route: &Route) -> Result<(), Refusal> {
    let operation = spec::find(route.operation);
    let allowed = operation.map(|it| it.query).unwrap_or_default();
    let mut seen = Vec::new();
    for (name, _) in &request.query {
        let lists = !allowed.is_empty() && name == super::list::SKIP;
        if !(name == "api-version" || lists || allowed.contains(&name.as_str())) || seen.contains(&name) {
            return Err(Refusal::bad(format!(
                "The query parameter '{name}' is not one of '{}', or comes twice.",
                route.operation
            )));
        }
        seen.push(name);
    }
    let headers = operation.map(|it| it.headers).unwrap_or_default();
    for name in ["If-Match", "If-None-Match"] {
        if request.header(&name.to_ascii_lowercase()).is_some() && !headers.contains(&name) {
            return Err(Refusal::bad(format!("The header '{name}' is not one of '{}'.", route.operation)));
        }
    }
    Ok(())
}

/// Checks `If-Match` and `If-None-Match` against what is there. `what` is `Record set NAME` or `Zone NAME`.
pub(super) fn conditions(request: &Request, there: Option<&str>, what: &str) -> Result<(), Refusal> {
    // Other values of If-None-Match mean nothing (the description's text).
    if request.header("if-none-match") == Some("*") && there.is_some() {
        return Err(Refusal::precondition(format!("The {what} exists already and hence cannot be created again.")));
    }
    let matches = match request.header("if-match") {
        None => true,
        Some("*") => there.is_some(),
        Some(etag) => there == Some(etag),
    };
    if matches { Ok(()) } else { Err(Refusal::precondition(format!("The {what} has been modified (etag mismatch)."))) }
}

/// A member of a body where it is an object.
pub(super) fn member<'a>(body: &'a Map<String, Value>, name: &str) -> Option<&'a Map<String, Value>> {
    body.get(name).and_then(Value::as_object)
}
