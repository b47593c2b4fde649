//! The ConfigMap of kube-dns.

use dns_syncd::cluster_dns::kube_dns::{Contents, add, remove};
use dns_syncd::cluster_dns::{ShortNames, Unreadable};

use crate::names;

fn data(pairs: &[(&str, &str)]) -> Contents {
    let data = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Contents { data, ..Contents::default() }
}

/// The names with this server alone.
fn with_server(server: &str) -> ShortNames {
    ShortNames { servers: vec![server.parse().unwrap()], ..names("fed") }
}

const OURS: &str = r#"{"example.com":["192.0.2.53","198.51.100.53:5353"]}"#;

#[test]
fn an_empty_map_gets_both_keys_and_loses_them_again() {
    let mut names = names("fed");
    names.zone_name = "Example.com.".to_owned();
    names.suffix = "example.com.".to_owned();
    let added = add(&Contents::default(), &names).unwrap();
    assert_eq!(added.data, data(&[("federations", "fed=example.com"), ("stubDomains", OURS)]).data);
    assert_eq!(added.written["example.com"], ["192.0.2.53", "198.51.100.53:5353"]);
    assert_eq!(add(&added, &names).unwrap(), added);
    assert_eq!(remove(&added, &names).unwrap(), Contents::default());
}

/// Federation v1 wrote over the stub domains of others and took all of them away in the end.
#[test]
fn entries_of_others_stay() {
    let others = data(&[
        ("federations", "one=one.test, two=two.test"),
        ("stubDomains", r#"{"acme.local":["1.2.3.4"]}"#),
        ("upstreamNameservers", r#"["8.8.8.8"]"#),
    ]);
    let added = add(&others, &names("fed")).unwrap();
    assert_eq!(added.data["federations"], "one=one.test, two=two.test,fed=example.com");
    let stubs: serde_json::Value = serde_json::from_str(&added.data["stubDomains"]).unwrap();
    assert_eq!(stubs["acme.local"], serde_json::json!(["1.2.3.4"]));
    assert_eq!(stubs["example.com"], serde_json::json!(["192.0.2.53", "198.51.100.53:5353"]));
    assert_eq!(remove(&added, &names("fed")).unwrap(), others);
}

#[test]
fn a_strangers_stub_domain_of_the_zone_stays() {
    let others = data(&[("stubDomains", r#"{ "example.com.": ["10.0.0.1"] }"#)]);
    let added = add(&others, &names("fed")).unwrap();
    assert_eq!(added.data["stubDomains"], others.data["stubDomains"]);
    assert_eq!(remove(&added, &names("fed")).unwrap(), others);
}

/// Whose it is does not show in its servers.
#[test]
fn a_strangers_stub_domain_with_the_same_servers_stays() {
    for (servers, text) in [
        (names("fed"), OURS),
        (with_server("192.0.2.53:53"), r#"{"example.com":["192.0.2.53"]}"#),
        (with_server("192.0.2.53:53"), r#"{"example.com":["192.0.2.53:53"]}"#),
    ] {
        let others = data(&[("stubDomains", text)]);
        let added = add(&others, &servers).unwrap();
        assert_eq!((&*added.data["stubDomains"], added.written.len()), (text, 0));
        assert_eq!(remove(&added, &servers).unwrap(), others);
    }
}

#[test]
fn other_servers_take_the_place_of_those_that_were_written() {
    let added = add(&Contents::default(), &names("fed")).unwrap();
    let moved = add(&added, &with_server("203.0.113.53:53")).unwrap();
    assert_eq!(moved.data["stubDomains"], r#"{"example.com":["203.0.113.53"]}"#);
    // What is not known any more, or anew, takes nothing away from what was written.
    assert_eq!(remove(&moved, &names("fed")).unwrap(), Contents::default());
    let public = ShortNames { servers: Vec::new(), ..names("fed") };
    assert_eq!(remove(&moved, &public).unwrap(), Contents::default());
    assert_eq!(add(&moved, &public).unwrap(), data(&[("federations", "fed=example.com")]));

    // Who changes it takes it over.
    let mut taken = added;
    taken.data.insert("stubDomains".to_owned(), r#"{"example.com":["10.0.0.1"]}"#.to_owned());
    let again = add(&taken, &names("fed")).unwrap();
    assert_eq!((&again.data, again.written.len()), (&taken.data, 0));
    assert_eq!(remove(&taken, &names("fed")).unwrap(), data(&[("stubDomains", r#"{"example.com":["10.0.0.1"]}"#)]));
}

/// `kubefed join` wrote the list of servers as one, and the zone without its suffix.
#[test]
fn what_federation_v1_wrote_is_made_right() {
    let v1 = data(&[
        ("federations", "other=x.test,fed=old.example.com"),
        ("stubDomains", r#"{"example.com":["192.0.2.53:53,198.51.100.53:5353"]}"#),
    ]);
    let added = add(&v1, &names("fed")).unwrap();
    assert_eq!(added.data, data(&[("federations", "other=x.test,fed=example.com"), ("stubDomains", OURS)]).data);
    assert_eq!(remove(&v1, &names("fed")).unwrap(), data(&[("federations", "other=x.test")]));
}

#[test]
fn a_zone_that_another_federation_needs_stays() {
    let both = add(&add(&Contents::default(), &names("a")).unwrap(), &names("b")).unwrap();
    let b = remove(&both, &names("a")).unwrap();
    assert_eq!(b.data, data(&[("federations", "b=example.com"), ("stubDomains", OURS)]).data);
    assert_eq!(remove(&b, &names("b")).unwrap(), Contents::default());
}

#[test]
fn a_public_zone_needs_no_stub_domain() {
    let mut names = names("fed");
    names.servers.clear();
    let broken = data(&[("stubDomains", "not looked at")]);
    let added = add(&broken, &names).unwrap();
    assert_eq!(added.data["stubDomains"], "not looked at");
    assert_eq!(remove(&added, &names).unwrap(), broken);
}

#[test]
fn stub_domains_that_kube_dns_would_not_read_are_left_alone() {
    for text in ["{", "[]", "null", "x"] {
        let broken = data(&[("stubDomains", text)]);
        for error in [add(&broken, &names("fed")).unwrap_err(), remove(&broken, &names("fed")).unwrap_err()] {
            assert!(matches!(&error, Unreadable::Key { key, .. } if key == "stubDomains"), "{error}");
        }
    }
    assert!(add(&data(&[("stubDomains", " ")]), &names("fed")).is_ok());
}
