//! The ConfigMap `kube-dns` of `kube-system`: the keys `federations` and `stubDomains`.
//!
//! kube-dns itself prefers the local service and builds the zone's name from the labels of a node, so it needs no more
//! than the federation's name and domain. Entries of others stay as they are; which stub domains are not theirs is noted.
//!
//! In: [`Contents`], [`ShortNames`] · Out: new [`Contents`] · Pure: yes

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{ShortNames, Unreadable, bare};

/// Data of the ConfigMap.
pub type Data = BTreeMap<String, String>;

/// Stub domains as they were written here: zones, without a final dot, and their servers.
pub type Stubs = BTreeMap<String, Vec<String>>;

/// What matters here of the ConfigMap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Its data.
    pub data: Data,
    /// The stub domains in it that are not somebody else's.
    pub written: Stubs,
}

/// `name=domain,name=domain`, the domain without a final dot (kubernetes/dns#67).
const FEDERATIONS: &str = "federations";
/// A JSON object: zone to a list of servers.
const STUB_DOMAINS: &str = "stubDomains";

/// Adds the federation, or makes its entries these. Adding twice is adding once.
///
/// A stub domain of the zone that was not written here is somebody's own and stays; the list that federation v1 wrote,
/// all servers in one text, is made a right one.
///
/// # Errors
/// When a key does not hold what kube-dns would read.
pub fn add(contents: &Contents, names: &ShortNames) -> Result<Contents, Unreadable> {
    names.check()?;
    let mut contents = contents.clone();
    let data = &mut contents.data;
    let own = format!("{}={}", names.federation, bare(&names.suffix));
    let mut federations = elements(data);
    match federations.iter_mut().find(|element| name_of(element) == names.federation) {
        Some(element) if element.trim() == own => {}
        Some(element) => *element = own,
        None => federations.push(own),
    }
    data.insert(FEDERATIONS.to_owned(), federations.join(","));

    let servers = servers(names);
    if servers.is_empty() {
        contents.forget(names, &servers)?;
        return Ok(contents);
    }
    let mut stubs = stub_domains(data)?;
    let (zone, key) = (bare(&names.zone_name), zone_key(&stubs, names));
    let written = contents.written.remove(&zone);
    if stubs.get(&key).is_none_or(|now| is_own(now, written.as_ref(), &servers)) {
        contents.written.insert(zone, servers.clone());
        stubs.insert(key, servers.into());
        data.insert(STUB_DOMAINS.to_owned(), Value::Object(stubs).to_string());
    }
    Ok(contents)
}

/// Removes the federation's element, and its zone's stub domain where it was written here and no other federation of
/// the list needs it. A key that has nothing left is removed.
///
/// # Errors
/// As [`add`].
pub fn remove(contents: &Contents, names: &ShortNames) -> Result<Contents, Unreadable> {
    let mut contents = contents.clone();
    let data = &mut contents.data;
    let before = elements(data);
    let mut federations = before.clone();
    federations.retain(|element| name_of(element) != names.federation);
    if federations.is_empty() {
        if !before.is_empty() {
            data.remove(FEDERATIONS);
        }
    } else {
        data.insert(FEDERATIONS.to_owned(), federations.join(","));
    }

    contents.forget(names, &servers(names))?;
    Ok(contents)
}

impl Contents {
    /// Removes the zone's stub domain where it was written here and no other federation of the list needs it.
    fn forget(&mut self, names: &ShortNames, servers: &[String]) -> Result<(), Unreadable> {
        let zone = bare(&names.zone_name);
        let others = elements(&self.data).into_iter().filter(|element| name_of(element) != names.federation);
        let mut domains = others.filter_map(|element| element.split_once('=').map(|(_, domain)| bare(domain.trim())));
        let is_needed = domains.any(|domain| super::is_below(&domain, &zone));
        if is_needed {
            return Ok(());
        }
        let written = self.written.remove(&zone);
        if (written.is_none() && servers.is_empty()) || !self.data.contains_key(STUB_DOMAINS) {
            return Ok(());
        }
        let mut stubs = stub_domains(&self.data)?;
        let key = zone_key(&stubs, names);
        if stubs.get(&key).is_some_and(|now| is_own(now, written.as_ref(), servers)) {
            stubs.remove(&key);
            if stubs.is_empty() {
                self.data.remove(STUB_DOMAINS);
            } else {
                self.data.insert(STUB_DOMAINS.to_owned(), Value::Object(stubs).to_string());
            }
        }
        Ok(())
    }
}

/// Whether the servers of a stub domain are those that were written here, or by federation v1.
fn is_own(now: &Value, written: Option<&Vec<String>>, servers: &[String]) -> bool {
    written.is_some_and(|written| *now == Value::from(written.clone())) || is_unsplit(now, servers)
}

/// The two keys for a ConfigMap without any.
pub(super) fn alone(names: &ShortNames) -> Data {
    add(&Contents::default(), names).unwrap_or_default().data
}

fn elements(data: &Data) -> Vec<String> {
    let text = data.get(FEDERATIONS).map_or("", String::as_str);
    text.split(',').filter(|element| !element.trim().is_empty()).map(str::to_owned).collect()
}

fn name_of(element: &str) -> &str {
    element.split_once('=').map_or(element, |(name, _)| name).trim()
}

fn stub_domains(data: &Data) -> Result<Map<String, Value>, Unreadable> {
    let text = data.get(STUB_DOMAINS).map_or("", String::as_str);
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    let wrong = |what: String| Unreadable::Key { key: STUB_DOMAINS.to_owned(), what };
    match serde_json::from_str(text) {
        Ok(Value::Object(stubs)) => Ok(stubs),
        Ok(_) => Err(wrong("not a JSON object of zones and their servers".to_owned())),
        Err(error) => Err(wrong(format!("not JSON: {error}"))),
    }
}

/// The zone as it is written there, else without a final dot.
fn zone_key(stubs: &Map<String, Value>, names: &ShortNames) -> String {
    let zone = bare(&names.zone_name);
    stubs.keys().find(|key| bare(key) == zone).cloned().unwrap_or(zone)
}

/// kube-dns takes an address with or without a port.
fn servers(names: &ShortNames) -> Vec<String> {
    let text = |server: &std::net::SocketAddr| match (server.port(), server.ip()) {
        (53, ip) => ip.to_string(),
        _ => server.to_string(),
    };
    let mut servers: Vec<String> = Vec::new();
    for server in names.servers.iter().map(text) {
        if !servers.contains(&server) {
            servers.push(server);
        }
    }
    servers
}

/// Whether the list is one text with all the servers in it and commas between them, which nobody can use.
fn is_unsplit(value: &Value, servers: &[String]) -> bool {
    let Some([Value::String(list)]) = value.as_array().map(Vec::as_slice) else { return false };
    let parts = list.split(',');
    let plain =
        |text: &str| text.trim().strip_suffix(":53").filter(|ip| !ip.contains("::")).unwrap_or(text.trim()).to_owned();
    let parts: Vec<_> = parts.map(plain).collect();
    parts.len() > 1 && parts == servers
}
