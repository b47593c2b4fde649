//! Where a member is: what its pods ask for first.

use std::collections::BTreeMap;

use dns_sync_core::ClusterSettings;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::ListParams;

use super::contexts::Reached;
use super::federation::Federation;
use super::report::Result;
use crate::cluster_dns::Place;

/// Where the daemon's config says that the member is, else where most of its nodes are, as far as the daemon publishes
/// such names.
pub(crate) async fn place(member: &Reached, cluster: &str, federation: &Federation) -> Result<Place> {
    if !federation.levels.region && !federation.levels.zone {
        return Ok(Place::Anywhere);
    }
    let nodes: Api<Node> = Api::all(member.client.clone());
    let nodes = member.answer("listing nodes", nodes.list_metadata(&ListParams::default())).await?;
    let labels = nodes.items.iter().map(kube::ResourceExt::labels);
    let settings = federation.clusters.get(cluster).map(|cluster| &cluster.settings);
    Ok(most(by_hand(labels.filter_map(place_of).collect(), settings).into_iter(), federation))
}

/// The places of nodes with what `[Cluster]` says instead of their labels; a node in none of its zones counts for the
/// first of them by name.
fn by_hand(mut places: Vec<(String, String)>, settings: Option<&ClusterSettings>) -> Vec<(String, String)> {
    let Some(settings) = settings else { return places };
    if let Some(region) = &settings.region {
        if places.is_empty() {
            places.push((String::new(), String::new()));
        }
        for place in &mut places {
            place.0 = region.to_string();
        }
    }
    if let Some(zones) = &settings.zones {
        for (_, zone) in places.iter_mut().filter(|(_, zone)| !zones.contains(zone.as_str())) {
            *zone = zones.first().map(ToString::to_string).unwrap_or_default();
        }
    }
    places
}

type Labels = BTreeMap<String, String>;

/// Region and zone of a node, the latter empty where it has none. The old labels count on a node without the new.
fn place_of(labels: &Labels) -> Option<(String, String)> {
    let of = |prefix: &str| {
        let label = |name: &str| labels.get(&format!("{prefix}/{name}")).filter(|value| !value.is_empty()).cloned();
        (label("region"), label("zone"))
    };
    let (region, zone) = match of("topology.kubernetes.io") {
        (None, None) => of("failure-domain.beta.kubernetes.io"),
        new => new,
    };
    Some((region?, zone.unwrap_or_default()))
}

fn most(places: impl Iterator<Item = (String, String)>, federation: &Federation) -> Place {
    let mut counted = BTreeMap::<(String, String), usize>::new();
    for place in places {
        *counted.entry(place).or_default() += 1;
    }
    // Of those with as many nodes the first by name, so that another run finds the same.
    let most = counted.into_iter().rev().max_by_key(|(_, nodes)| *nodes);
    match most {
        Some(((region, zone), _)) if federation.levels.zone && !zone.is_empty() => Place::Zone { zone, region },
        Some(((region, _), _)) if federation.levels.region => Place::Region(region),
        _ => Place::Anywhere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::joining::federation::Levels;

    #[test]
    fn the_place_is_that_of_most_nodes() {
        let federation = |region, zone| Federation { levels: Levels { region, zone }, ..Federation::empty() };
        let node = |region: &str, zone: &str| (region.to_owned(), zone.to_owned());
        let nodes = [node("eu", "b"), node("eu", "a"), node("us", "c"), node("eu", "b"), node("eu", "a")];
        let of = |federation: &Federation| most(nodes.iter().cloned(), federation);
        let zone = Place::Zone { zone: "a".to_owned(), region: "eu".to_owned() };
        assert_eq!(of(&federation(true, true)), zone);
        assert_eq!(of(&federation(true, false)), Place::Region("eu".to_owned()));
        assert_eq!(of(&federation(false, false)), Place::Anywhere);
        assert_eq!(most([node("eu", "")].into_iter(), &federation(true, true)), Place::Region("eu".to_owned()));
        assert_eq!(most(std::iter::empty(), &federation(true, true)), Place::Anywhere);
    }

    #[test]
    fn what_the_daemons_config_says_wins_over_labels() {
        let place = |region: &str, zone: &str| (region.to_owned(), zone.to_owned());
        let nodes = [place("eu", "a"), place("eu", "b"), place("eu", "b")];
        let of = |nodes: &[(String, String)], region: Option<&str>, zones: Option<&[&str]>| {
            let zones = zones.map(|zones| zones.iter().map(|zone| (*zone).into()).collect());
            let settings = ClusterSettings { region: region.map(Into::into), zones, ..ClusterSettings::default() };
            most(by_hand(nodes.to_vec(), Some(&settings)).into_iter(), &Federation::empty())
        };
        let zone = |region: &str, zone: &str| Place::Zone { zone: zone.to_owned(), region: region.to_owned() };
        assert_eq!(of(&nodes, Some("us"), None), zone("us", "b"));
        assert_eq!(of(&nodes, Some("us"), Some(&["y", "x"])), zone("us", "x"));
        assert_eq!(of(&nodes, None, Some(&["a", "b"])), zone("eu", "b"));
        assert_eq!(of(&nodes, None, Some(&["a"])), zone("eu", "a"));
        assert_eq!(of(&nodes, Some("us"), Some(&[])), Place::Region("us".to_owned()));
        assert_eq!(of(&[], Some("us"), Some(&["x"])), zone("us", "x"));
        assert_eq!(of(&[], Some("us"), None), Place::Region("us".to_owned()));
        assert_eq!(of(&[], None, Some(&["x"])), Place::Anywhere, "a zone without a region is none");
        assert_eq!(of(&nodes, None, None), zone("eu", "b"));
    }

    #[test]
    fn the_old_labels_count_on_a_node_without_the_new() {
        let labels = |rows: &[(&str, &str)]| -> Labels {
            rows.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let old = [("failure-domain.beta.kubernetes.io/region", "r"), ("failure-domain.beta.kubernetes.io/zone", "z")];
        assert_eq!(place_of(&labels(&old)), Some(("r".to_owned(), "z".to_owned())));
        let both = [old[0], old[1], ("topology.kubernetes.io/region", "new")];
        assert_eq!(place_of(&labels(&both)), Some(("new".to_owned(), String::new())));
        assert_eq!(place_of(&labels(&[("topology.kubernetes.io/zone", "z")])), None);
    }
}
