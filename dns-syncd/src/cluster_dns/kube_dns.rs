//! The ConfigMap `kube-dns` of `kube-system`: the keys `federations` and `stubDomains`.
//!
//! kube-dns itself prefers the local service and builds the zone's name from the labels of a node, so it needs no more
//! than the federation's name and domain. Entries of others stay as they are.
//!
//! In: the ConfigMap's data, [`ShortNames`] · Out: its new data · Pure: yes

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{ShortNames, Unreadable, bare};

/// Data of the ConfigMap.
pub type Data = BTreeMap<String, String>;

/// `name=domain,name=domain`, the domain without a final dot (kubernetes/dns#67).
const FEDERATIONS: &str = "federations";
/// A JSON object: zone to a list of servers.
const STUB_DOMAINS: &str = "stubDomains";

/// Adds the federation, or makes its entries these. Adding twice is adding once.
///
/// A stub domain of the zone with other servers is somebody's own and stays; the list that federation v1 wrote, all
/// servers in one text, is made a right one.
///
/// # Errors
/// When a key does not hold what kube-dns would read.
pub fn add(data: &Data, names: &ShortNames) -> Result<Data, Unreadable> {
    names.check()?;
    let mut data = data.clone();
    let own = format!("{}={}", names.federation, bare(&names.suffix));
    let mut federations = elements(&data);
    match federations.iter_mut().find(|element| name_of(element) == names.federation) {
        Some(element) if element.trim() == own => {}
        Some(element) => *element = own,
        None => federations.push(own),
    }
    data.insert(FEDERATIONS.to_owned(), federations.join(","));

    let servers = servers(names);
    if !servers.is_empty() {
        let mut stubs = stub_domains(&data)?;
        let zone = zone_key(&stubs, names);
        let is_v1 = stubs.get(&zone).is_some_and(|value| is_unsplit(value, &servers));
        if is_v1 || !stubs.contains_key(&zone) {
            stubs.insert(zone, servers.into());
            data.insert(STUB_DOMAINS.to_owned(), Value::Object(stubs).to_string());
        }
    }
    Ok(data)
}

/// Removes the federation's element, and its zone's stub domain where it has the servers of these names and no other
/// federation of the list needs it. A key that has nothing left is removed.
///
/// # Errors
/// As [`add`].
pub fn remove(data: &Data, names: &ShortNames) -> Result<Data, Unreadable> {
    let mut data = data.clone();
    let before = elements(&data);
    let mut federations = before.clone();
    federations.retain(|element| name_of(element) != names.federation);
    if federations.is_empty() {
        if !before.is_empty() {
            data.remove(FEDERATIONS);
        }
    } else {
        data.insert(FEDERATIONS.to_owned(), federations.join(","));
    }

    let servers = servers(names);
    let zone_of = |element: &String| element.split_once('=').map(|(_, domain)| bare(domain.trim()));
    let zone = bare(&names.zone_name);
    let is_needed = federations.iter().filter_map(zone_of).any(|domain| super::is_below(&domain, &zone));
    if !servers.is_empty() && !is_needed && data.contains_key(STUB_DOMAINS) {
        let mut stubs = stub_domains(&data)?;
        let zone = zone_key(&stubs, names);
        let is_own = |value: &Value| *value == Value::from(servers.clone()) || is_unsplit(value, &servers);
        if stubs.get(&zone).is_some_and(is_own) {
            stubs.remove(&zone);
            if stubs.is_empty() {
                data.remove(STUB_DOMAINS);
            } else {
                data.insert(STUB_DOMAINS.to_owned(), Value::Object(stubs).to_string());
            }
        }
    }
    Ok(data)
}

/// The two keys for a ConfigMap without any.
pub(super) fn alone(names: &ShortNames) -> Data {
    add(&Data::new(), names).unwrap_or_default()
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

/// Whether the list says the same servers as one text with commas between them, or with their ports.
fn is_unsplit(value: &Value, servers: &[String]) -> bool {
    let Some(list) = value.as_array() else { return false };
    let parts = list.iter().filter_map(Value::as_str).flat_map(|text| text.split(','));
    let plain =
        |text: &str| text.trim().strip_suffix(":53").filter(|ip| !ip.contains("::")).unwrap_or(text.trim()).to_owned();
    let parts: Vec<_> = parts.map(plain).collect();
    parts == servers
}
