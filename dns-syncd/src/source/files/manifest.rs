//! Kubernetes manifests as text, read into the few fields that matter here.
//!
//! Single objects, several documents and lists, in JSON or YAML, in one pass and without a tree in between. The items of
//! a list, which is how large dumps come, are taken one by one, and each is gone before the next is read unless its taker
//! keeps it.
//! Fields of kinds that are not used are not looked at.
//! In: text · Out: [`Object`]s in the order of the text, to [`Objects`] · Pure: yes

mod list;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, DeserializeSeed as _, Deserializer, IgnoredAny, MapAccess, Visitor};

use self::list::Document;

/// An object of a kind that is used.
#[derive(Debug, PartialEq)]
pub(crate) struct Object {
    pub(crate) kind: Kind,
    pub(crate) place: TextPlace,
    pub(crate) metadata: Metadata,
    pub(crate) spec: Spec,
    pub(crate) status: Status,
    pub(crate) endpoints: Vec<SliceEndpoint>,
}

/// Where an object was read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TextPlace {
    pub(crate) file: Arc<str>,
    /// Of its name, from 1; `None` where the name does not stand in the text as it is.
    line: Option<usize>,
}

impl fmt::Display for TextPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        self.line.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

/// The kinds that are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Service,
    Node,
    EndpointSlice,
    ServiceExport,
    /// The member cluster object of federation v1.
    Cluster,
}

#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metadata {
    pub(crate) name: Option<Name>,
    pub(crate) namespace: Option<String>,
    pub(crate) deletion_timestamp: Option<String>,
    /// Of an API server alone.
    pub(crate) resource_version: Option<String>,
    pub(crate) labels: Option<BTreeMap<String, String>>,
    pub(crate) annotations: Option<Annotations>,
}

/// A name, and where in memory its text was read from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Name {
    pub(crate) text: String,
    /// `None` when it is not a part of what was read, such as after unescaping.
    address: Option<usize>,
}

#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
pub(crate) struct Annotations {
    #[serde(rename = "dns-syncd.io/export")]
    pub(crate) export: Option<String>,
    #[serde(rename = "dns-syncd.io/ttl")]
    pub(crate) ttl: Option<String>,
    #[serde(rename = "federation.alpha.kubernetes.io/cluster-selector")]
    pub(crate) selector: Option<String>,
    #[serde(rename = "federation.kubernetes.io/service-ingresses")]
    pub(crate) ingresses: Option<String>,
}

/// Of a `Service`.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
pub(crate) struct Spec {
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    #[serde(rename = "externalIPs")]
    pub(crate) external_ips: Option<Vec<String>>,
}

/// Of a `Service` or a `Cluster`.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    pub(crate) load_balancer: Option<LoadBalancer>,
    pub(crate) region: Option<String>,
    pub(crate) zones: Option<Vec<String>>,
    pub(crate) conditions: Option<Vec<Condition>>,
}

#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
pub(crate) struct LoadBalancer {
    pub(crate) ingress: Option<Vec<Ingress>>,
}

#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
pub(crate) struct Ingress {
    pub(crate) ip: Option<String>,
    pub(crate) hostname: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Condition {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) status: String,
    pub(crate) last_transition_time: Option<String>,
}

/// Of an `EndpointSlice`.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
pub(crate) struct SliceEndpoint {
    pub(crate) addresses: Option<Vec<String>>,
    pub(crate) conditions: Option<EndpointConditions>,
}

#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
pub(crate) struct EndpointConditions {
    pub(crate) ready: Option<bool>,
}

/// Why a text is not a manifest, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// From 1; `None` for the text as a whole.
    pub(crate) line: Option<u64>,
    pub(crate) message: String,
}

impl Fault {
    fn whole(message: impl Into<String>) -> Self {
        Self { line: None, message: message.into() }
    }
}

/// Who takes objects as they are read.
pub(crate) trait Objects {
    /// Takes the next one.
    fn take(&mut self, object: Object);

    /// A place behind all that was taken so far.
    fn place(&self) -> usize;

    /// Forgets what was taken behind a place: it was none after all.
    fn forget(&mut self, place: usize);
}

impl Objects for Vec<Object> {
    fn take(&mut self, object: Object) {
        self.push(object);
    }

    fn place(&self) -> usize {
        self.len()
    }

    fn forget(&mut self, place: usize) {
        self.truncate(place);
    }
}

/// Reads the text of `file`. `yaml` says what its name promises; JSON is read wherever it stands.
///
/// # Errors
/// When it is empty or no UTF-8, does not parse, or has a top level without `kind`. What was taken by then is no whole.
pub(crate) fn parse(file: &Arc<str>, bytes: &[u8], yaml: bool, objects: &mut dyn Objects) -> Result<(), Fault> {
    let text = std::str::from_utf8(bytes).map_err(|error| Fault {
        line: Some(bytes[..error.valid_up_to()].split(|byte| *byte == b'\n').count() as u64),
        message: "it is not UTF-8".to_owned(),
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let begun = objects.place();
    let found = if text.trim_start().starts_with('{') {
        // YAML is a superset of JSON; the JSON reader is many times faster.
        match json(file, text, objects) {
            Err(_) if yaml => {
                objects.forget(begun);
                yaml_documents(file, text, objects)?
            }
            read => read?,
        }
    } else if yaml || text.trim().is_empty() {
        yaml_text(file, text, objects)?
    } else {
        json(file, text, objects)?
    };
    found.then_some(()).ok_or_else(|| Fault::whole("it is empty"))
}

/// Reads a JSON text; false where it has no document.
fn json(file: &Arc<str>, text: &str, objects: &mut dyn Objects) -> Result<bool, Fault> {
    let mut found = Found::new(file, text, objects);
    let mut documents = serde_json::Deserializer::from_str(text);
    let mut is_empty = true;
    while documents.end().is_err() {
        is_empty = false;
        if let Err(error) = Document(&mut found).deserialize(&mut documents) {
            let whole = error.to_string();
            let message = whole.rsplit_once(" at line ").map_or(whole.as_str(), |(message, _)| message);
            let read = Fault { line: Some(error.line() as u64), message: message.to_owned() };
            return Err(found.fault.unwrap_or(read));
        }
    }
    Ok(!is_empty)
}

/// Reads a YAML text; false where it has no document.
fn yaml_text(file: &Arc<str>, text: &str, objects: &mut dyn Objects) -> Result<bool, Fault> {
    let begun = objects.place();
    let mut found = Found::new(file, text, objects);
    let read = serde_saphyr::with_deserializer_from_str_with_options(text, yaml_options(), |document| {
        Document(&mut found).deserialize(document)
    });
    if read.is_ok() {
        return Ok(true);
    }
    // Several documents, or none, or something is wrong with it: those are read as a whole, which says what.
    objects.forget(begun);
    yaml_documents(file, text, objects)
}

fn yaml_options() -> serde_saphyr::Options {
    // The limits on depth, aliases and anchors stay, they guard stack and memory; those on sheer size go, since a
    // dump of a large cluster is large.
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: usize::MAX,
            max_nodes: usize::MAX,
            max_documents: usize::MAX,
            max_total_scalar_bytes: usize::MAX,
        },
        emit_comments: false,
        with_snippet: false,
    }
}

/// Reads all documents of a YAML text; false where it has none.
fn yaml_documents(file: &Arc<str>, text: &str, objects: &mut dyn Objects) -> Result<bool, Fault> {
    let raws: Vec<Top> = serde_saphyr::from_multiple_with_options(text, yaml_options()).map_err(|error| {
        let error = error.without_snippet();
        let line = error.location().map(|location| location.line());
        let whole = error.to_string();
        Fault { line, message: whole.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned() }
    })?;
    let is_empty = raws.is_empty();
    let mut found = Found::new(file, text, objects);
    for Top(raw) in raws {
        found.flatten(raw, None)?;
    }
    Ok(!is_empty)
}

/// The objects of one text so far.
struct Found<'a> {
    file: &'a Arc<str>,
    lines: Lines<'a>,
    objects: &'a mut dyn Objects,
    /// What is wrong with an object that could be read.
    fault: Option<Fault>,
}

impl<'a> Found<'a> {
    fn new(file: &'a Arc<str>, text: &'a str, objects: &'a mut dyn Objects) -> Self {
        Self { file, lines: Lines { text, offset: 0, line: 1 }, objects, fault: None }
    }

    /// Takes lists apart. `of` is the kind of the elements where the list names it (`ServiceList`).
    fn flatten(&mut self, raw: Raw, of: Option<(&str, Option<&str>)>) -> Result<(), Fault> {
        let kind = raw.kind.as_deref().or(of.map(|(kind, _)| kind));
        let api = raw.api_version.as_deref().or(of.and_then(|(_, api)| api));
        let Some(kind) = kind else { return Err(Fault::whole("an item of a list has no `kind`")) };
        if let (Some(of), Some(items)) = (kind.strip_suffix("List"), raw.items) {
            let of = (!of.is_empty()).then_some((of, api));
            return items.into_iter().try_for_each(|item| self.flatten(item, of));
        }
        let Some(kind) = Kind::read(api, kind) else { return Ok(()) };
        let metadata = raw.metadata.unwrap_or_default();
        if metadata.name().is_empty() {
            return Err(Fault::whole(format!("a {kind:?} has no `metadata.name`")));
        }
        let address = metadata.name.as_ref().and_then(|name| name.address);
        let place = TextPlace { file: self.file.clone(), line: address.and_then(|address| self.lines.at(address)) };
        self.objects.take(Object {
            kind,
            place,
            metadata,
            spec: raw.spec.unwrap_or_default(),
            status: raw.status.unwrap_or_default(),
            endpoints: raw.endpoints.unwrap_or_default(),
        });
        Ok(())
    }
}

/// Counts lines, forward alone, so that all objects of a text cost one walk over it.
struct Lines<'a> {
    text: &'a str,
    offset: usize,
    line: usize,
}

impl Lines<'_> {
    /// The line of what was borrowed from the text at this address; `None` elsewhere, or for what an alias repeats.
    fn at(&mut self, address: usize) -> Option<usize> {
        let offset = address.checked_sub(self.text.as_ptr().addr())?;
        let passed = self.text.get(self.offset..offset)?;
        self.line += passed.matches('\n').count();
        self.offset = offset;
        Some(self.line)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;

        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Name, E> {
                Ok(Name { text: text.to_owned(), address: Some(text.as_ptr().addr()) })
            }

            fn visit_str<E>(self, text: &str) -> Result<Name, E> {
                Ok(Name { text: text.to_owned(), address: None })
            }
        }

        deserializer.deserialize_string(NameVisitor)
    }
}

impl Kind {
    /// Other groups have kinds of the same names, such as Knative's `Service`: those are not meant.
    fn read(api_version: Option<&str>, kind: &str) -> Option<Self> {
        let group = api_version.map(|api| api.split_once('/').map_or("", |(group, _)| group));
        let (known, of) = match kind {
            "Service" => (Self::Service, ""),
            "Node" => (Self::Node, ""),
            "EndpointSlice" => (Self::EndpointSlice, "discovery.k8s.io"),
            "ServiceExport" => (Self::ServiceExport, "multicluster.x-k8s.io"),
            "Cluster" => (Self::Cluster, "federation"),
            _ => return None,
        };
        group.is_none_or(|group| group == of).then_some(known)
    }
}

/// An object of any kind while it is read, with the fields of all kinds that are used.
#[derive(Default)]
struct Raw {
    api_version: Option<String>,
    kind: Option<String>,
    metadata: Option<Metadata>,
    spec: Option<Spec>,
    status: Option<Status>,
    endpoints: Option<Vec<SliceEndpoint>>,
    items: Option<Vec<Raw>>,
}

/// An object at the top of a document, where `kind` must stand.
struct Top(Raw);

impl Raw {
    /// Whether a field matters, as far as `kind` is known by now. `kubectl` and most people write it in front of
    /// `spec` and `status`.
    fn wants(&self, field: &Field) -> bool {
        let Some(name) = self.kind.as_deref() else { return true };
        if let Some(of) = name.strip_suffix("List") {
            let used = of.is_empty() || Kind::read(self.api_version.as_deref(), of).is_some();
            return used && matches!(field, Field::Items);
        }
        let used = Kind::read(self.api_version.as_deref(), name);
        matches!(
            (used, field),
            (_, Field::ApiVersion | Field::Kind)
                | (Some(_), Field::Metadata)
                | (Some(Kind::Service), Field::Spec | Field::Status)
                | (Some(Kind::Cluster), Field::Status)
                | (Some(Kind::EndpointSlice), Field::Endpoints)
        )
    }
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
enum Field {
    ApiVersion,
    Kind,
    Metadata,
    Spec,
    Status,
    Endpoints,
    Items,
    #[serde(other)]
    Other,
}

impl Raw {
    /// Reads the value of a field.
    fn read<'de, A: MapAccess<'de>>(&mut self, field: &Field, map: &mut A) -> Result<(), A::Error> {
        if !self.wants(field) {
            map.next_value::<IgnoredAny>()?;
            return Ok(());
        }
        match field {
            Field::ApiVersion => self.api_version = map.next_value()?,
            Field::Kind => self.kind = map.next_value()?,
            Field::Metadata => self.metadata = map.next_value()?,
            Field::Spec => self.spec = map.next_value()?,
            Field::Status => self.status = map.next_value()?,
            Field::Endpoints => self.endpoints = map.next_value()?,
            Field::Items => self.items = map.next_value()?,
            Field::Other => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }

    /// # Errors
    /// Without a `kind`, which the top of a document must have.
    fn check_top<E: serde::de::Error>(&self) -> Result<(), E> {
        if self.kind.as_deref().unwrap_or_default().is_empty() {
            return Err(E::custom("the top level has no `kind`; expected objects as `kubectl get -o yaml` prints"));
        }
        Ok(())
    }

    /// The kind of its items where it names that (`ServiceList`), and their API version.
    fn of(&self) -> Option<(&str, Option<&str>)> {
        let of = self.kind.as_deref()?.strip_suffix("List")?;
        (!of.is_empty()).then_some((of, self.api_version.as_deref()))
    }
}

struct RawVisitor {
    top: bool,
}

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a Kubernetes object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut raw = Raw::default();
        while let Some(field) = map.next_key::<Field>()? {
            raw.read(&field, &mut map)?;
        }
        if self.top {
            raw.check_top()?;
        }
        Ok(raw)
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RawVisitor { top: false })
    }
}

impl<'de> Deserialize<'de> for Top {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RawVisitor { top: true }).map(Self)
    }
}
