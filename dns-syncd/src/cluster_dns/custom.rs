//! The folder that a distribution's Corefile imports (`import custom/*.server`), filled by a ConfigMap.
//!
//! AKS and k3s write their Corefile anew again and again; what is added stands in the ConfigMap [`CONFIG_MAP`] of
//! `kube-system` instead, one key for each federation.
//!
//! In: the Corefile, the ConfigMap's data · Out: its new data · Pure: yes

use std::collections::BTreeMap;

use super::block::{self, Cluster};
use super::corefile::Corefile;
use super::{ShortNames, Unreadable, coredns};

/// The ConfigMap, in `kube-system`. It may be absent: then there is no data yet.
pub const CONFIG_MAP: &str = "coredns-custom";

/// Data of the ConfigMap.
pub type Data = BTreeMap<String, String>;

/// Whether the Corefile imports server blocks from the folder of [`CONFIG_MAP`].
///
/// # Errors
/// When the Corefile is not understood.
pub fn is_imported(corefile: &str) -> Result<bool, Unreadable> {
    let imports = Corefile::read(corefile)?.imports;
    Ok(imports.iter().any(|import| import == "custom/*.server" || import.ends_with("/custom/*.server")))
}

/// Adds the federation's key, or makes it this. Adding twice is adding once; other keys stay.
///
/// # Errors
/// As [`coredns::add`].
pub fn add(corefile: &str, data: &Data, names: &ShortNames) -> Result<Data, Unreadable> {
    names.check()?;
    let own = key(&names.federation);
    let read = Corefile::read(corefile)?;
    let cluster = Cluster::find(&read, &names.cluster_domain)?;
    let mut others = Vec::new();
    for (key, text) in data.iter().filter(|(key, _)| key.ends_with(".server")) {
        // Somebody's fragment that is not understood may still be right for CoreDNS: only ours has to be.
        match Corefile::read(text) {
            Ok(fragment) => others.push((text.as_str(), fragment)),
            Err(error) if *key == own => return Err(error),
            Err(_) => {}
        }
    }
    let mut all = vec![(corefile, &read)];
    all.extend(others.iter().map(|(text, read)| (*text, read)));
    let old = data.get(&own).map_or("", String::as_str);
    let text = coredns::render(names, &cluster, &all, old, &Corefile::read(old)?)?;
    let mut data = data.clone();
    data.insert(own, text);
    Ok(data)
}

/// Removes the federation's key; other keys stay, but one that needs the zone of this one serves it from now on.
///
/// # Errors
/// When the key is not understood.
pub fn remove(data: &Data, federation: &str) -> Result<Data, Unreadable> {
    let mut data = data.clone();
    let Some(removed) = data.remove(&key(federation)) else { return Ok(data) };
    for (zone, text) in coredns::zones(&removed)? {
        let elsewhere = block::zone_is_elsewhere(&zone);
        if let Some(heir) = data.values_mut().find(|other| other.contains(&elsewhere)) {
            *heir = heir.replacen(&elsewhere, &text, 1);
        }
    }
    Ok(data)
}

fn key(federation: &str) -> String {
    format!("dns-syncd-{federation}.server")
}
