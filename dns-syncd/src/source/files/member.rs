//! What one member cluster's manifests say. In: its objects · Out: its answer · Pure: yes

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use dns_sync_core::offers::is_doubtful;
use dns_sync_core::{ClusterAnswer, Endpoint, Place, ServiceCopy, ServiceId, is_place_label};

use super::manifest::{Ingress, Kind, Metadata, Name, Object, SliceEndpoint, Spec, Status, TextPlace};
use crate::source::Select;

const NO_SLICES: &str = "services count but there is no EndpointSlice, so nobody knows which are healthy; \
     hint: `kubectl get nodes,services,endpointslices --all-namespaces -o yaml` gives a full dump";

/// The answer of a cluster with these objects.
///
/// # Errors
/// When the objects are too few to tell which services are healthy.
pub(crate) fn answer(objects: Vec<Object>, select: Select) -> Result<ClusterAnswer, String> {
    let selection = Selection::new(select, &objects);
    let mut answer = ClusterAnswer { places: Some(BTreeSet::new()), ..ClusterAnswer::default() };
    let mut ready = BTreeSet::new();
    let mut slices = false;
    for object in objects {
        match object.kind {
            Kind::Node => {
                let labels = object.metadata.labels.unwrap_or_default();
                if let Some(place) = place(&labels) {
                    note_origins(&mut answer.label_origins, [&place.region, &place.zone], &object.place);
                    answer.places.get_or_insert_default().insert(place);
                }
            }
            Kind::EndpointSlice => {
                slices = true;
                ready.extend(ready_service(&object.metadata, &object.endpoints));
            }
            Kind::Service => {
                let id = object.metadata.service_id();
                let place = object.place.clone();
                match selection.has(&object.metadata, &id).then(|| copy(object.metadata, object.spec, object.status)) {
                    Some(Some(copy)) => {
                        answer.services.insert(id, ServiceCopy { origin: Some(origin(&copy, &place)), ..copy })
                    }
                    _ => answer.services.remove(&id),
                };
            }
            Kind::ServiceExport | Kind::Cluster => {}
        }
    }
    if !slices && !answer.services.is_empty() {
        return Err(NO_SLICES.to_owned());
    }
    for (id, copy) in &mut answer.services {
        copy.ready = ready.contains(id);
    }
    Ok(answer)
}

/// The copy of a selected service, where it counts; its health and origin are not known yet.
pub(crate) fn copy(metadata: Metadata, spec: Spec, status: Status) -> Option<ServiceCopy> {
    let balanced = spec.kind.as_deref() == Some("LoadBalancer");
    let external_ips = spec.external_ips.unwrap_or_default();
    let counts = balanced || !external_ips.is_empty();
    if !counts || metadata.deletion_timestamp.is_some() {
        return None;
    }
    let ingress = status.load_balancer.and_then(|balancer| balancer.ingress).unwrap_or_default();
    let annotations = metadata.annotations.unwrap_or_default();
    Some(ServiceCopy {
        ingress: ingress.into_iter().filter(|_| balanced).map(endpoint).collect(),
        external_ips: external_ips.iter().map(|text| address(text)).collect(),
        ready: false,
        ttl: annotations.ttl.map(Into::into),
        selector: annotations.selector.map(Into::into),
        origin: None,
    })
}

/// Where a copy was read, with the line where something of it is wrong.
pub(crate) fn origin(copy: &ServiceCopy, place: &TextPlace) -> Arc<str> {
    if is_doubtful(copy) { place.to_string().into() } else { place.file.clone() }
}

/// Notes where the first of each label that cannot stand in a name was read.
pub(crate) fn note_origins<'a>(
    origins: &mut BTreeMap<Arc<str>, Arc<str>>,
    labels: impl IntoIterator<Item = &'a Arc<str>>,
    place: &impl fmt::Display,
) {
    for label in labels {
        if !is_place_label(label) && !origins.contains_key(label) {
            origins.insert(label.clone(), place.to_string().into());
        }
    }
}

/// The service for which a slice has a ready endpoint; `None` where it has none.
pub(crate) fn ready_service(slice: &Metadata, endpoints: &[SliceEndpoint]) -> Option<ServiceId> {
    let name = slice.labels.as_ref()?.get("kubernetes.io/service-name")?;
    let is_ready = endpoints.iter().any(|endpoint| {
        endpoint.addresses.as_ref().is_some_and(|addresses| !addresses.is_empty())
            && endpoint.conditions.as_ref().and_then(|conditions| conditions.ready) != Some(false)
    });
    is_ready.then(|| ServiceId::new(slice.namespace(), name.as_str()))
}

/// The new labels; on a node without either of them the old ones.
pub(crate) fn place(labels: &BTreeMap<String, String>) -> Option<Place> {
    let pair = |prefix: &str| {
        let label = |what| labels.get(&format!("{prefix}/{what}")).map(String::as_str).unwrap_or_default();
        let (region, zone) = (label("region"), label("zone"));
        (!region.is_empty() || !zone.is_empty()).then(|| Place::new(region, zone))
    };
    pair("topology.kubernetes.io").or_else(|| pair("failure-domain.beta.kubernetes.io"))
}

/// An entry of a load balancer's status: the address, or else the name.
pub(crate) fn endpoint(ingress: Ingress) -> Endpoint {
    let text = |field: Option<String>| field.filter(|text| !text.is_empty());
    match (text(ingress.ip), text(ingress.hostname)) {
        (Some(ip), _) => address(&ip),
        (None, Some(host)) => Endpoint::Host(host.trim_end_matches('.').to_ascii_lowercase().into()),
        (None, None) => Endpoint::Bad("a load balancer entry with neither ip nor hostname".into()),
    }
}

/// An IPv4-mapped address is none: it would be published as AAAA and no client could reach it.
fn address(text: &str) -> Endpoint {
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V6(ip)) if ip.to_ipv4_mapped().is_some() => Endpoint::Bad(text.into()),
        Ok(ip) => Endpoint::Ip(ip),
        Err(_) => Endpoint::Bad(text.into()),
    }
}

/// Whether a service is selected; `None` where its own object does not say.
pub(crate) fn selects(select: Select, service: &Metadata) -> Option<bool> {
    let export = service.annotations.as_ref().and_then(|annotations| annotations.export.as_deref());
    match select {
        Select::All => Some(export != Some("false")),
        Select::Annotated => Some(export == Some("true")),
        Select::Exported => None,
    }
}

/// Which services count.
pub(crate) struct Selection {
    select: Select,
    exported: BTreeSet<ServiceId>,
}

impl Selection {
    pub(crate) fn new(select: Select, objects: &[Object]) -> Self {
        let exports = objects.iter().filter(|object| object.kind == Kind::ServiceExport && select == Select::Exported);
        Self { select, exported: exports.map(|export| export.metadata.service_id()).collect() }
    }

    pub(crate) fn has(&self, service: &Metadata, id: &ServiceId) -> bool {
        selects(self.select, service).unwrap_or_else(|| self.exported.contains(id))
    }
}

impl Metadata {
    pub(crate) fn name(&self) -> &str {
        self.name.as_ref().map(|Name { text, .. }| text.as_str()).unwrap_or_default()
    }

    pub(crate) fn namespace(&self) -> &str {
        self.namespace.as_deref().filter(|namespace| !namespace.is_empty()).unwrap_or("default")
    }

    pub(crate) fn service_id(&self) -> ServiceId {
        ServiceId::new(self.namespace(), self.name())
    }
}

/// Labels with shared text.
pub(crate) fn labels(labels: Option<BTreeMap<String, String>>) -> BTreeMap<Arc<str>, Arc<str>> {
    labels.unwrap_or_default().into_iter().map(|(key, value)| (key.into(), value.into())).collect()
}
