//! What the file source makes of manifests: one test for each sentence of the contract.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use dns_sync_core::{ClusterAnswer, Endpoint, Place, Problem, ServiceCopy, ServiceId, SourceEvent, Timestamp};
use dns_syncd::source::{EndpointSource, FileSource, Select, SourceError};
use proptest::prelude::*;
use tempfile::TempDir;

const NODE: &str = r#"{"apiVersion":"v1","kind":"Node","metadata":{"name":"n","labels":{"topology.kubernetes.io/region":"eu","topology.kubernetes.io/zone":"eu-a"}}}"#;
const SLICE: &str = r#"{"addressType":"IPv4","apiVersion":"discovery.k8s.io/v1","endpoints":[{"addresses":["10.0.0.1"],"conditions":{"ready":true}}],"kind":"EndpointSlice","metadata":{"name":"web-1","namespace":"shop","labels":{"kubernetes.io/service-name":"web"}}}"#;
const SERVICE: &str = r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"web","namespace":"shop"},"spec":{"type":"LoadBalancer"},"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.1"}]}}}"#;

/// A folder of files by path.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

fn list(items: &[&str]) -> String {
    format!(r#"{{"apiVersion":"v1","items":[{}],"kind":"List","metadata":{{"resourceVersion":""}}}}"#, items.join(","))
}

fn read_with(path: &Path, select: Select) -> Result<Vec<SourceEvent>, SourceError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(FileSource::new(path, select).read_once())
}

fn read(path: &Path) -> Result<Vec<SourceEvent>, SourceError> {
    read_with(path, Select::All)
}

/// The events of one member `c1` in a folder.
fn member(file: &str, text: &str) -> Vec<SourceEvent> {
    read(folder(&[(&format!("clusters/{file}"), text)]).path()).unwrap()
}

/// What a cluster said, wherever it was read.
fn answer_of(events: &[SourceEvent], name: &str) -> Option<ClusterAnswer> {
    let mut answer = placed_answer_of(events, name)?;
    answer.services.values_mut().for_each(|copy| copy.origin = None);
    Some(answer)
}

/// What a cluster said and where that was read.
fn placed_answer_of(events: &[SourceEvent], name: &str) -> Option<ClusterAnswer> {
    events.iter().find_map(|event| match event {
        SourceEvent::Answer { cluster, answer } if &**cluster == name => Some(answer.clone()),
        _ => None,
    })
}

fn answer(text: &str) -> ClusterAnswer {
    let events = member("c1.yaml", text);
    answer_of(&events, "c1").unwrap_or_else(|| panic!("no answer: {events:?}"))
}

fn unknown_reason(events: &[SourceEvent]) -> String {
    let reasons = events.iter().filter_map(|event| match event {
        SourceEvent::Unknown { reason, .. } => Some(reason.to_string()),
        _ => None,
    });
    reasons.collect::<Vec<_>>().join("\n")
}

fn problems(events: &[SourceEvent]) -> Vec<Problem> {
    let all = events.iter().filter_map(|event| match event {
        SourceEvent::Problems { problems, .. } => Some(problems.clone()),
        _ => None,
    });
    all.flatten().collect()
}

fn web() -> ServiceId {
    ServiceId::new("shop", "web")
}

fn ip(text: &str) -> Endpoint {
    Endpoint::Ip(text.parse().unwrap())
}

fn service(spec: &str, status: &str, metadata: &str) -> String {
    format!(
        r#"{{"apiVersion":"v1","kind":"Service","metadata":{{"name":"web","namespace":"shop"{metadata}}},"spec":{spec},"status":{status}}}"#
    )
}

#[test]
fn a_member_tells_its_places_and_the_services_that_count() {
    let answer = answer(&list(&[NODE, SERVICE, SLICE]));
    assert_eq!(answer.places, Some([Place::new("eu", "eu-a")].into()));
    let copy = ServiceCopy { ingress: [ip("192.0.2.1")].into(), ready: true, ..ServiceCopy::default() };
    assert_eq!(answer.services, [(web(), copy)].into());
}

#[test]
fn documents_lists_and_folders_say_the_same_in_json_and_yaml() {
    let yaml = "---\n# nodes\napiVersion: v1\nkind: Node\nmetadata:\n  name: n\n  labels:\n    topology.kubernetes.io/region: eu\n    \
         topology.kubernetes.io/zone: eu-a\n---\napiVersion: v1\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata:\n    name: web\n    \
         namespace: shop\n  spec:\n    type: LoadBalancer\n  status:\n    loadBalancer:\n      ingress:\n      - ip: 192.0.2.1\nkind: List\n---\n\
         addressType: IPv4\napiVersion: discovery.k8s.io/v1\nendpoints:\n- addresses: [10.0.0.1]\n  conditions:\n    ready: true\n\
         kind: EndpointSlice\nmetadata:\n  labels:\n    kubernetes.io/service-name: web\n  name: web-1\n  namespace: shop\n---\n";
    let expected = answer(&list(&[NODE, SERVICE, SLICE]));
    assert_eq!(answer(yaml), expected);
    let documents = member("c1.json", &[NODE, SERVICE, SLICE].join("\n"));
    assert_eq!(answer_of(&documents, "c1").unwrap(), expected);
    let parts = folder(&[("c1/nodes.json", NODE), ("c1/a/services.yml", SERVICE), ("c1/slices.yaml", SLICE)]);
    assert_eq!(answer_of(&read(parts.path()).unwrap(), "c1").unwrap(), expected);
}

#[test]
fn a_typed_list_names_the_kind_of_its_items() {
    let bare = |object: &str, head: &str| object.replace(head, "");
    let text = [
        format!(
            r#"{{"kind":"NodeList","apiVersion":"v1","items":[{}]}}"#,
            bare(NODE, r#""apiVersion":"v1","kind":"Node","#)
        ),
        format!(
            r#"{{"kind":"ServiceList","apiVersion":"v1","items":[{}]}}"#,
            bare(SERVICE, r#""apiVersion":"v1","kind":"Service","#)
        ),
        r#"{"kind":"PodList","apiVersion":"v1","items":[{"spec":{"type":7}}]}"#.to_owned(),
        SLICE.to_owned(),
    ];
    let answer = answer(&text.join("\n"));
    assert_eq!((answer.services.len(), answer.places.unwrap().len()), (1, 1));
}

#[test]
fn a_service_counts_by_its_type_or_its_external_ips() {
    let cases = [
        (r#"{"type":"LoadBalancer"}"#, "", true),
        (r#"{"type":"ClusterIP","externalIPs":["203.0.113.7"]}"#, "", true),
        (r#"{"type":"ClusterIP","externalIPs":[]}"#, "", false),
        (r#"{"type":"NodePort"}"#, "", false),
        (r#"{"type":"LoadBalancer"}"#, r#","deletionTimestamp":"2026-01-01T00:00:00Z""#, false),
        (r#"{"type":"LoadBalancer"}"#, r#","annotations":{"dns-syncd.io/export":"false"}"#, false),
        (r#"{"type":"LoadBalancer"}"#, r#","annotations":{"dns-syncd.io/export":"maybe"}"#, true),
    ];
    for (spec, metadata, counts) in cases {
        let text = list(&[&service(spec, "{}", metadata), SLICE]);
        assert_eq!(answer(&text).services.contains_key(&web()), counts, "{spec} {metadata}");
    }
}

#[test]
fn status_addresses_of_another_type_are_not_published() {
    let status = r#"{"loadBalancer":{"ingress":[{"ip":"192.0.2.1"}]}}"#;
    let kept = service(r#"{"type":"ClusterIP","externalIPs":["203.0.113.7"]}"#, status, "");
    let copy = answer(&list(&[&kept, SLICE])).services.remove(&web()).unwrap();
    assert_eq!((copy.ingress, copy.external_ips), ([].into(), [ip("203.0.113.7")].into()));
}

#[test]
fn an_address_is_an_ip_or_else_a_name_or_else_bad() {
    let cases = [
        (r#"{"ip":"2001:db8::1"}"#, ip("2001:db8::1")),
        (r#"{"ip":"192.0.2.1","hostname":"lb.example"}"#, ip("192.0.2.1")),
        (r#"{"ip":"","hostname":"LB.Example."}"#, Endpoint::Host("lb.example".into())),
        (r#"{"ip":"::ffff:192.0.2.1"}"#, Endpoint::Bad("::ffff:192.0.2.1".into())),
        (r#"{"ip":"192.0.2.256"}"#, Endpoint::Bad("192.0.2.256".into())),
        ("{}", Endpoint::Bad("a load balancer entry with neither ip nor hostname".into())),
    ];
    for (ingress, expected) in cases {
        let status = format!(r#"{{"loadBalancer":{{"ingress":[{ingress}]}}}}"#);
        let text = list(&[&service(r#"{"type":"LoadBalancer"}"#, &status, ""), SLICE]);
        assert_eq!(answer(&text).services[&web()].ingress, [expected].into(), "{ingress}");
    }
}

#[test]
fn healthy_means_one_endpoint_with_an_address_that_is_ready_or_silent() {
    let cases = [
        (r#"[{"addresses":["10.0.0.1"],"conditions":{"ready":true}}]"#, true),
        (r#"[{"addresses":["10.0.0.1"],"conditions":{}}]"#, true),
        (r#"[{"addresses":["10.0.0.1"]}]"#, true),
        (r#"[{"addresses":["10.0.0.1"],"conditions":{"ready":false}}]"#, false),
        (r#"[{"addresses":["10.0.0.1"],"conditions":{"ready":false}},{"addresses":["10.0.0.2"]}]"#, true),
        (r#"[{"addresses":[]}]"#, false),
        (r#"[{"conditions":{"ready":true}}]"#, false),
        ("null", false),
    ];
    for (endpoints, ready) in cases {
        let slice = format!(
            r#"{{"apiVersion":"discovery.k8s.io/v1","endpoints":{endpoints},"kind":"EndpointSlice","metadata":{{"name":"s","namespace":"shop","labels":{{"kubernetes.io/service-name":"web"}}}}}}"#
        );
        assert_eq!(answer(&list(&[SERVICE, &slice])).services[&web()].ready, ready, "{endpoints}");
    }
    let elsewhere = SLICE.replace("shop", "other");
    assert!(!answer(&list(&[SERVICE, &elsewhere])).services[&web()].ready);
}

#[test]
fn the_old_topology_labels_speak_on_a_node_without_the_new() {
    let (new, old) = ("topology.kubernetes.io", "failure-domain.beta.kubernetes.io");
    let node = |labels: &[String]| {
        format!(r#"{{"apiVersion":"v1","kind":"Node","metadata":{{"name":"n","labels":{{{}}}}}}}"#, labels.join(","))
    };
    let label = |prefix: &str, what: &str, value: &str| format!(r#""{prefix}/{what}":"{value}""#);
    let cases = [
        (vec![label(old, "region", "eu"), label(old, "zone", "a")], Some(Place::new("eu", "a"))),
        (
            vec![label(new, "region", "us"), label(old, "region", "eu"), label(old, "zone", "a")],
            Some(Place::new("us", "")),
        ),
        (vec![label(new, "zone", "a")], Some(Place::new("", "a"))),
        (vec![], None),
    ];
    for (labels, place) in cases {
        assert_eq!(answer(&node(&labels)).places, Some(place.into_iter().collect()), "{labels:?}");
    }
}

#[test]
fn select_says_which_services_count() {
    let plain = SERVICE.replace("web", "plain");
    let annotated = service(r#"{"type":"LoadBalancer"}"#, "{}", r#","annotations":{"dns-syncd.io/export":"true"}"#);
    let exported = SERVICE.replace("web", "exported");
    let export = r#"{"apiVersion":"multicluster.x-k8s.io/v1alpha1","kind":"ServiceExport","metadata":{"name":"exported","namespace":"shop"}}"#;
    let text = list(&[&plain, &annotated, &exported, export, SLICE]);
    let dir = folder(&[("clusters/c1.json", &text)]);
    for (select, expected) in [
        (Select::All, vec!["exported", "plain", "web"]),
        (Select::Annotated, vec!["web"]),
        (Select::Exported, vec!["exported"]),
    ] {
        let answer = answer_of(&read_with(dir.path(), select).unwrap(), "c1").unwrap();
        assert_eq!(answer.services.keys().map(|id| &*id.name).collect::<Vec<_>>(), expected, "{select:?}");
    }
}

#[test]
fn annotations_are_handed_on_unchecked() {
    let annotations =
        r#","annotations":{"dns-syncd.io/ttl":"soon","federation.alpha.kubernetes.io/cluster-selector":"[{"}"#;
    let copy =
        answer(&list(&[&service(r#"{"type":"LoadBalancer"}"#, "{}", annotations), SLICE])).services.remove(&web());
    let copy = copy.unwrap();
    assert_eq!((copy.ttl.as_deref(), copy.selector.as_deref()), (Some("soon"), Some("[{")));
}

#[test]
fn kinds_that_are_not_used_are_skipped_whatever_they_hold() {
    let others = [
        r#"{"apiVersion":"serving.knative.dev/v1","kind":"Service","metadata":{"name":"web","namespace":"shop"},"spec":[1],"status":"x"}"#,
        r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":7,"data":{"kind":"Service"},"items":"none"}"#,
        r#"{"apiVersion":"cluster.x-k8s.io/v1beta1","kind":"Cluster","metadata":{"name":"c9"},"status":{"conditions":{}}}"#,
    ];
    let text = list(&[others[0], others[1], others[2], NODE]);
    assert_eq!(answer(&text), answer(NODE));
}

#[test]
fn what_cannot_be_used_makes_its_cluster_unknown_and_names_file_and_line() {
    let cases = [
        ("c1.yaml", "", "c1.yaml: it is empty"),
        ("c1.json", "\n \n", "c1.json: it is empty"),
        ("c1.yaml", "---\n---\n# nothing\n", "c1.yaml: it is empty"),
        ("c1.json", "{\n\"kind\": \"Node\",\n", "c1.json:3:"),
        ("c1.yaml", "kind: Node\n  metadata: [\n", "c1.yaml:2:"),
        ("c1.yaml", "apiVersion: v1\nitems: []\n", "has no `kind`"),
        ("c1.json", "{\"apiVersion\":\"v1\",\n\"items\":[]}", "c1.json:2: the top level has no `kind`"),
        ("c1.yaml", "just words\n", "c1.yaml:1:"),
        ("c1.json", "[1]", "c1.json:1:"),
        ("c1.json", r#"{"kind":"List","items":[{"metadata":{}}]}"#, "an item of a list has no `kind`"),
        ("c1.json", r#"{"kind":"Service","apiVersion":"v1","spec":{"externalIPs":"192.0.2.1"}}"#, "c1.json:1:"),
        ("c1.json", SERVICE, "kubectl get nodes,services,endpointslices --all-namespaces"),
    ];
    for (file, text, expected) in cases {
        let events = member(file, text);
        let reason = unknown_reason(&events);
        assert!(reason.contains(expected), "{text:?}: {reason}");
        assert!(reason.contains(&format!("clusters/{}", &file[..2])), "{reason}");
        let problem = problems(&events).pop().unwrap();
        assert_eq!((problem.cluster.as_deref(), &*problem.reason), (Some("c1"), reason.as_str()));
        assert_eq!(answer_of(&events, "c1"), None);
    }
}

#[test]
fn a_line_of_invalid_utf8_is_named() {
    let dir = folder(&[("clusters/c1.yaml", "")]);
    fs::write(dir.path().join("clusters/c1.yaml"), b"kind: Node\nx: \xff\n").unwrap();
    assert!(unknown_reason(&read(dir.path()).unwrap()).contains("c1.yaml:2: it is not UTF-8"));
}

#[test]
fn a_file_that_parses_is_an_answer_even_when_it_says_nothing() {
    assert_eq!(answer(&list(&[])), ClusterAnswer { places: Some([].into()), ..ClusterAnswer::default() });
}

#[test]
fn other_extensions_and_hidden_names_are_no_members() {
    let dir =
        folder(&[("c1.yaml", NODE), ("README.md", "x"), (".c2.yaml", "x"), ("..data/c3.yaml", "x"), ("c4.yaml~", "x")]);
    let names = read(dir.path()).unwrap().into_iter().filter_map(|event| match event {
        SourceEvent::Joined { cluster } => Some(cluster.to_string()),
        _ => None,
    });
    assert_eq!(names.collect::<Vec<_>>(), ["c1"]);
}

#[test]
fn the_path_may_be_the_folder_clusters_or_its_parent() {
    let dir = folder(&[("clusters/c1.yaml", NODE), ("outside.yaml", "broken: [")]);
    let events = read(dir.path()).unwrap();
    assert_eq!(answer_of(&events, "c1"), answer_of(&read(&dir.path().join("clusters")).unwrap(), "c1"));
    assert_eq!((events.len(), problems(&events)), (2, vec![]));
}

#[test]
fn a_source_without_any_cluster_is_an_error() {
    for files in [&[("clusters/README", "x")][..], &[("x.txt", "")][..]] {
        let error = read(folder(files).path()).unwrap_err();
        assert!(error.reason.contains("has no cluster"), "{error}");
    }
    assert!(read(Path::new("/nonexistent/clusters")).is_err());
}

#[test]
fn two_members_of_one_name_are_an_error() {
    for second in ["c1.yaml", "c1/a.yaml"] {
        let dir = folder(&[("clusters/c1.json", NODE), (&format!("clusters/{second}"), NODE)]);
        let error = read(dir.path()).unwrap_err();
        assert!(error.reason.contains("the cluster `c1` stands for"), "{error}");
    }
}

//----------- dumps --------------------------------------------------------------

fn cluster(name: &str, status: &str) -> String {
    format!(
        r#"{{"apiVersion":"federation/v1beta1","kind":"Cluster","metadata":{{"name":"{name}","labels":{{"tier":"prod"}}}},"status":{status}}}"#
    )
}

fn ready(rest: &str) -> String {
    format!(r#"{{"conditions":[{{"type":"Offline","status":"False"}},{{"type":"Ready","status":"True"}}]{rest}}}"#)
}

/// The events of a dump with the clusters `c1` and `c2` and one service.
fn dump(annotation: &str) -> Vec<SourceEvent> {
    let annotations = format!(
        r#","annotations":{{"federation.kubernetes.io/service-ingresses":{}}}"#,
        serde_json::to_string(annotation).unwrap()
    );
    let text = list(&[
        &cluster("c1", &ready(r#","region":"us","zones":["us1","us2"]"#)),
        &cluster("c2", &ready(r#","region":"eu""#)),
        &service(r#"{"type":"LoadBalancer"}"#, "{}", &annotations),
    ]);
    let dir = folder(&[("dump.json", &text)]);
    let events = read(&dir.path().join("dump.json")).unwrap();
    assert_eq!(read(dir.path()).unwrap()[..4], events[..4], "a folder with the dump says the same");
    events
}

#[test]
fn a_dump_tells_the_clusters_that_the_annotation_lists() {
    let events = dump(
        r#"{"items":[{"cluster":"c1","items":[{"ip":"198.51.100.1"},{"hostname":"lb.example"}]},{"cluster":"c2","items":null},{"cluster":"c9","items":[{"ip":"198.51.100.9"}]}]}"#,
    );
    let c1 = answer_of(&events, "c1").unwrap();
    assert_eq!(c1.places, Some([Place::new("us", "us1"), Place::new("us", "us2")].into()));
    assert_eq!(c1.labels.get("tier").map(|value| &**value), Some("prod"));
    let ingress = [ip("198.51.100.1"), Endpoint::Host("lb.example".into())].into();
    assert_eq!(c1.services[&web()], ServiceCopy { ingress, ready: true, ..ServiceCopy::default() });
    let c2 = answer_of(&events, "c2").unwrap();
    assert_eq!(c2.places, Some([Place::new("eu", "")].into()));
    assert_eq!(c2.services[&web()], ServiceCopy::default(), "listed without an address: it counts and is not healthy");
    assert_eq!(answer_of(&events, "c9"), None);
}

#[test]
fn an_empty_annotation_lists_no_cluster() {
    assert!(answer_of(&dump("{}"), "c1").unwrap().services.is_empty());
}

#[test]
fn an_annotation_that_is_not_json_is_a_problem_that_names_the_service() {
    for text in ["{", "[]", "", r#"{"items":[{}]}"#] {
        let events = dump(text);
        let problem = problems(&events).pop().unwrap();
        assert_eq!((problem.cluster, problem.service), (None, Some(web())), "{text}");
        assert!(problem.reason.contains("dump.json:1: the annotation"), "{}", problem.reason);
        assert_eq!(answer_of(&events, "c1").unwrap().services.len(), 0, "{text}");
    }
}

#[test]
fn a_cluster_of_a_dump_is_known_when_it_is_ready() {
    let at = Some(Timestamp(1_500_000_000_000));
    let since = r#","lastTransitionTime":"2017-07-14T02:40:00Z""#;
    let condition = |status: &str| format!(r#"{{"conditions":[{{"type":"Ready","status":"{status}"{since}}}]"#);
    let cases = [
        (format!("{}}}", condition("True")), None, Some([].into())),
        (format!("{}}}", condition("False")), Some(at), None),
        (format!(r#"{},"region":"us"}}"#, condition("Unknown")), Some(at), Some([Place::new("us", "")].into())),
    ];
    for (status, lost, places) in cases {
        let dir = folder(&[("d.json", &cluster("c1", &status))]);
        let events = read(&dir.path().join("d.json")).unwrap();
        assert_eq!(answer_of(&events, "c1").unwrap().places, places, "{status}");
        let told = events.iter().find_map(|event| match event {
            SourceEvent::Unknown { since, .. } => Some(*since),
            _ => None,
        });
        assert_eq!(told, lost, "{status}");
    }
    let dir = folder(&[("d.json", &cluster("c1", "{}"))]);
    assert!(unknown_reason(&read(&dir.path().join("d.json")).unwrap()).contains("no condition `Ready`"));
}

#[test]
fn a_broken_dump_or_one_without_clusters_is_an_error() {
    let dir = folder(&[("broken.json", "{\n\"kind\":"), ("members.json", NODE)]);
    let error = read(&dir.path().join("broken.json")).unwrap_err();
    assert!(error.reason.contains("broken.json:2:"), "{error}");
    let error = read(&dir.path().join("members.json")).unwrap_err();
    assert!(error.reason.contains("no `Cluster` object"), "{error}");
    let parts = folder(&[("a.json", &cluster("c1", &ready(""))), ("b.json", "{")]);
    assert!(read(parts.path()).unwrap_err().reason.contains("b.json:1:"));
}

//----------- Places in files --------------------------------------------------

/// Where the service `web` and the label `eu.west` were read in a file of the folder.
fn places(file: &str, text: &str) -> (Option<String>, Option<String>) {
    let dir = folder(&[(file, text)]);
    let answer = placed_answer_of(&read(dir.path()).unwrap(), "c1").unwrap();
    let below = |origin: &std::sync::Arc<str>| {
        Path::new(&**origin).strip_prefix(dir.path()).unwrap().to_str().unwrap().to_owned()
    };
    (
        answer.services.get(&web()).and_then(|copy| copy.origin.as_ref().map(below)),
        answer.label_origins.get("eu.west").map(below),
    )
}

fn yaml(region: &str, address: &str, annotation: &str) -> String {
    format!(
        "# nodes\napiVersion: v1\nkind: Node\nmetadata:\n  labels:\n    topology.kubernetes.io/region: {region}\n  name: n\n---\n\
         kind: List\nitems:\n- kind: Service\n  metadata:\n    annotations: {{{annotation}}}\n    name: web\n    namespace: shop\n  \
         spec:\n    type: LoadBalancer\n  status:\n    loadBalancer:\n      ingress:\n      - ip: {address}\n---\n{SLICE}\n"
    )
}

#[test]
fn what_will_be_refused_has_the_line_of_its_object_and_all_else_the_file_alone() {
    let line = Some("c1.yaml:14".to_owned());
    for (address, annotation) in [
        ("300.1.1.1", ""),
        ("127.0.0.1", ""),
        ("\"fe80::1\"", ""),
        ("192.0.2.1", "federation.alpha.kubernetes.io/cluster-selector: env in (prod)"),
        ("192.0.2.1", "dns-syncd.io/ttl: soon"),
    ] {
        assert_eq!(places("c1.yaml", &yaml("eu", address, annotation)), (line.clone(), None), "{address} {annotation}");
    }
    let file = Some("c1.yaml".to_owned());
    assert_eq!(places("c1.yaml", &yaml("eu", "192.0.2.1", "")), (file.clone(), None));
    assert_eq!(places("c1.yaml", &yaml("eu.west", "192.0.2.1", "")), (file, Some("c1.yaml:7".to_owned())));
}

#[test]
fn json_has_lines_as_well() {
    let text = list(&[NODE, SERVICE, SLICE]).replace("},{", "},\n{").replace("192.0.2.1", "::1");
    let text = text.replace("\"eu\"", "\"eu.west\"");
    for file in ["c1.json", "c1.yaml", "c1/all.json"] {
        let line = |line| Some(format!("{file}:{line}"));
        assert_eq!(places(file, &text), (line(2), line(1)));
    }
    // A name that does not stand in the text as it is has no line, but is that name.
    let escaped = text.replace("\"web\",", "\"w\\u0065b\",");
    assert_eq!(places("c1.json", &escaped).0, Some("c1.json".to_owned()));
}

#[test]
fn a_dump_has_lines_as_well() {
    let annotation = r#"{\"items\":[{\"cluster\":\"c1\",\"items\":[{\"ip\":\"::1\"}]}]}"#;
    let annotations = format!(r#","annotations":{{"federation.kubernetes.io/service-ingresses":"{annotation}"}}"#);
    let text =
        [cluster("c1", &ready(r#","region":"eu.west""#)), service(r#"{"type":"LoadBalancer"}"#, "{}", &annotations)];
    let line = |line| Some(format!("dump.json:{line}"));
    assert_eq!(places("dump.json", &text.join("\n")), (line(2), line(1)));
}

proptest! {
    /// Whatever a file holds, its cluster answers or is unknown.
    #[test]
    fn no_bytes_make_the_source_panic(bytes: Vec<u8>, yaml: bool) {
        let dir = folder(&[]);
        fs::write(dir.path().join(if yaml { "c1.yaml" } else { "c1.json" }), bytes).unwrap();
        let _ = read(dir.path());
    }

    /// Likewise for texts that look like manifests more than random bytes do.
    #[test]
    fn no_text_of_words_makes_the_source_panic(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "kind: ", "Service\n", "List", "items:\n", "- ", "  ", "\n", "{", "}", "[", "]", ",", "\"", ":", "&a ", "*a",
                "---\n", "status: ", "metadata:\n", "name: x\n", "!!binary ", "<<: ", "|\n", "\u{feff}", "null", "? ", "'",
            ]),
            0..40,
        ),
    ) {
        let dir = folder(&[("c1.yaml", &words.concat())]);
        let _ = read(dir.path());
    }

    /// Whatever stands in federation v1's annotation, its clusters answer, and what is no ingress list is a problem.
    #[test]
    fn no_annotation_makes_a_dump_panic(
        anything: String,
        words in prop::collection::vec(
            prop::sample::select(vec![
                "{", "}", "[", "]", ",", ":", "null", "1", "\"\"", "\"items\":", "{\"cluster\":\"c1\"", "\"c1\"", "\"ip\":", "\"::1\"",
                "\"hostname\":", "\"lb.example\"", "\"\\ud800\"",
            ]),
            0..30,
        ),
    ) {
        for text in [anything, words.concat()] {
            let events = dump(&text);
            prop_assert!(answer_of(&events, "c1").is_some());
            let is_object = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text).is_ok();
            prop_assert!(is_object || !problems(&events).is_empty());
        }
    }
}
