//! The store against the reading of manifests, and its size.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::source::clusters::objects::Sent;
use crate::source::files::{manifest, member};

fn item(kind: Watched, select: Select, object: &serde_json::Value) -> Item {
    serde_json::from_value::<Sent>(object.clone()).unwrap().item(kind, select)
}

fn kind_of(object: &serde_json::Value) -> Watched {
    match object["kind"].as_str().unwrap() {
        "Service" => Watched::Services,
        "EndpointSlice" => Watched::Slices,
        "Node" => Watched::Nodes,
        _ => Watched::Exports,
    }
}

/// As an API server's objects, without where files were read.
fn of_files(objects: &[serde_json::Value], select: Select) -> Option<ClusterAnswer> {
    let list = json!({ "kind": "List", "apiVersion": "v1", "items": objects }).to_string();
    let mut objects = Vec::new();
    manifest::parse(&"f.json".into(), list.as_bytes(), false, &mut objects).unwrap();
    let mut answer = member::answer(objects, select).ok()?;
    answer.services.values_mut().for_each(|copy| copy.origin = None);
    answer.label_origins.clear();
    Some(answer)
}

fn of_store(objects: &[serde_json::Value], select: Select) -> ClusterAnswer {
    let mut store = Store::new(select);
    for object in objects {
        store.apply(kind_of(object), item(kind_of(object), select, object));
    }
    ClusterAnswer { label_origins: BTreeMap::new(), ..store.answer() }
}

fn object() -> impl Strategy<Value = serde_json::Value> {
    let name = prop::sample::select(vec!["a", "b", "c"]);
    let flag = prop::sample::select(vec![None, Some("true"), Some("false"), Some("90")]);
    let label = prop::sample::select(vec!["", "eu", "EU-a", "_bad"]);
    let service = (name.clone(), any::<bool>(), flag, any::<[bool; 3]>()).prop_map(|(name, balanced, flag, has)| {
        let kind = if balanced { "LoadBalancer" } else { "ClusterIP" };
        let ingress = if has[0] { json!([{ "ip": "192.0.2.1" }, { "hostname": "LB.example." }]) } else { json!(null) };
        let external = if has[1] { json!(["198.51.100.1", "x"]) } else { json!(null) };
        let deleted = if has[2] { json!("2026-01-01T00:00:00Z") } else { json!(null) };
        let annotations = json!({ "dns-syncd.io/export": flag, "dns-syncd.io/ttl": flag });
        json!({
            "kind": "Service", "apiVersion": "v1",
            "metadata": { "name": name, "namespace": "n", "annotations": annotations, "deletionTimestamp": deleted },
            "spec": { "type": kind, "externalIPs": external }, "status": { "loadBalancer": { "ingress": ingress } },
        })
    });
    let slice = (0..4_u8, name.clone(), prop::option::of(any::<bool>())).prop_map(|(slice, service, ready)| {
        json!({
            "kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1",
            "metadata": { "name": format!("s{slice}"), "namespace": "n",
                "labels": { "kubernetes.io/service-name": service } },
            "endpoints": [{ "addresses": ["10.0.0.1"], "conditions": { "ready": ready } }],
        })
    });
    let node = (0..3_u8, label.clone(), label).prop_map(|(node, region, zone)| {
        json!({ "kind": "Node", "apiVersion": "v1", "metadata": { "name": format!("n{node}"), "labels": {
            "topology.kubernetes.io/region": region, "topology.kubernetes.io/zone": zone,
        } } })
    });
    let export = name.prop_map(|name| {
        json!({ "kind": "ServiceExport", "apiVersion": "multicluster.x-k8s.io/v1alpha1",
            "metadata": { "name": name, "namespace": "n" } })
    });
    prop_oneof![4 => service, 4 => slice, 2 => node, 1 => export]
}

fn latest(objects: &[serde_json::Value]) -> Vec<serde_json::Value> {
    let key = |object: &serde_json::Value| format!("{}/{}", object["kind"], object["metadata"]["name"]);
    let latest: BTreeMap<_, _> = objects.iter().map(|object| (key(object), object.clone())).collect();
    latest.into_values().collect()
}

proptest! {
    /// A manifest of a cluster's objects and its API server say the same.
    #[test]
    fn files_and_api_servers_are_read_alike(
        objects in prop::collection::vec(object(), 0..20),
        select in prop::sample::select(vec![Select::All, Select::Annotated, Select::Exported]),
    ) {
        let latest = latest(&objects);
        if let Some(answer) = of_files(&latest, select) {
            prop_assert_eq!(of_store(&latest, select), answer);
        }
    }

    /// Changes, told one by one, lead to the same view as a full answer; a list leads there too.
    #[test]
    fn changes_add_up_to_the_answer(
        objects in prop::collection::vec(object(), 0..30),
        select in prop::sample::select(vec![Select::All, Select::Exported]),
    ) {
        let mut store = Store::new(select);
        let mut told = store.answer();
        for object in &objects {
            store.apply(kind_of(object), item(kind_of(object), select, object));
            for event in store.changes(&"c".into()) {
                match event {
                    SourceEvent::Places { places, .. } => told.places = Some(places),
                    SourceEvent::Service { service, copy: Some(copy), .. } => {
                        told.services.insert(service, copy);
                    }
                    SourceEvent::Service { service, copy: None, .. } => {
                        told.services.remove(&service);
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        let answer = ClusterAnswer { label_origins: BTreeMap::new(), ..store.answer() };
        prop_assert_eq!(&told, &answer);
        let mut listed = Store::new(select);
        for kind in [Watched::Nodes, Watched::Slices, Watched::Exports, Watched::Services] {
            let of_kind = latest(&objects).into_iter().filter(|object| kind_of(object) == kind);
            let items: Vec<_> = of_kind.map(|object| item(kind, select, &object)).collect();
            listed.replace(kind, items.clone());
            listed.replace(kind, items);
        }
        prop_assert_eq!(ClusterAnswer { label_origins: BTreeMap::new(), ..listed.answer() }, answer);
    }
}

const COUNT: &str = "DNS_SYNCD_COUNT_BYTES";
const OBJECTS: usize = 50_000;

fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// The numbers at the head of this module, counted by the kernel in a process with nothing else in it.
#[test]
fn bytes_per_object_are_as_stated() {
    if std::env::var_os(COUNT).is_none() {
        let name = std::thread::current().name().unwrap().to_owned();
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        let out = child.args([&name, "--exact", "--nocapture", "--test-threads=1"]).env(COUNT, "1").output().unwrap();
        assert!(
            out.status.success(),
            "{}{}",
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        );
        return;
    }
    let mut store = Store::new(Select::All);
    let mut fill = |kind, make: &dyn Fn(usize) -> serde_json::Value| {
        let before = resident();
        for object in 0..OBJECTS {
            store.apply(kind, item(kind, Select::All, &make(object)));
            store.dirty.clear();
        }
        (resident() - before) / OBJECTS
    };
    let name = |object: usize| (format!("storefront-checkout-{object}"), format!("team-{}", object % 100));
    let services = fill(Watched::Services, &|object| {
        let (name, namespace) = name(object);
        json!({
            "metadata": { "name": name, "namespace": namespace, "labels": { "app": name } },
            "spec": { "type": "LoadBalancer", "clusterIP": "10.0.0.1", "ports": [{ "port": 80 }] },
            "status": { "loadBalancer": { "ingress": [{ "ip": "192.0.2.1" }] } },
        })
    });
    let slices = fill(Watched::Slices, &|object| {
        let (name, namespace) = name(object);
        let labels = json!({ "kubernetes.io/service-name": name, "app": name });
        json!({
            "metadata": { "name": format!("{name}-x7f2k"), "namespace": namespace, "labels": labels },
            "endpoints": [{ "addresses": ["10.0.0.1"], "conditions": { "ready": true } }],
        })
    });
    let nodes = fill(Watched::Nodes, &|object| {
        let labels = json!({
            "topology.kubernetes.io/region": "europe-west1", "topology.kubernetes.io/zone": "europe-west1-b",
        });
        json!({ "metadata": { "name": format!("gke-production-pool-1-{object:08x}"), "labels": labels } })
    });
    assert!(services + slices <= 500 && nodes <= 192, "service {services}, slice {slices}, node {nodes}");
}

/// A cluster in which services come and go all day, whether they count or not, takes no more memory for that.
#[test]
fn names_that_nothing_has_are_forgotten() {
    let mut store = Store::new(Select::All);
    let mut most = 0;
    for number in 0..20_000 {
        let service = |kind| {
            let name = format!("s{number}");
            let spec = json!({ "type": kind });
            let status = json!({ "loadBalancer": { "ingress": [{ "ip": "192.0.2.1" }] } });
            json!({ "metadata": { "name": name, "namespace": "n" }, "spec": spec, "status": status })
        };
        for kind in [Watched::Slices, Watched::Nodes, Watched::Exports] {
            store.apply(kind, Item { key: ServiceId::new(format!("gone{number}"), format!("x{number}")), value: None });
        }
        store.apply(Watched::Services, item(Watched::Services, Select::All, &service("ClusterIP")));
        assert!(number > 0 || store.texts.is_empty(), "{:?}", store.texts);
        let balanced = item(Watched::Services, Select::All, &service("LoadBalancer"));
        store.apply(Watched::Services, balanced.clone());
        store.apply(Watched::Services, Item { value: None, ..balanced });
        assert_eq!(store.changes(&"c".into()).len(), 1);
        most = most.max(store.texts.len());
    }
    assert!(most <= TEXTS + 1, "{most}");
}
