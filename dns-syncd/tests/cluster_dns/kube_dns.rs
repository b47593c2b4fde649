//! The ConfigMap of kube-dns.

use dns_syncd::cluster_dns::Unreadable;
use dns_syncd::cluster_dns::kube_dns::{Data, add, remove};

use crate::names;

fn data(pairs: &[(&str, &str)]) -> Data {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

const OURS: &str = r#"{"example.com":["192.0.2.53","198.51.100.53:5353"]}"#;

#[test]
fn an_empty_map_gets_both_keys_and_loses_them_again() {
    let mut names = names("fed");
    names.zone_name = "Example.com.".to_owned();
    names.suffix = "example.com.".to_owned();
    let added = add(&Data::new(), &names).unwrap();
    assert_eq!(added, data(&[("federations", "fed=example.com"), ("stubDomains", OURS)]));
    assert_eq!(add(&added, &names).unwrap(), added);
    assert_eq!(remove(&added, &names).unwrap(), Data::new());
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
    assert_eq!(added["federations"], "one=one.test, two=two.test,fed=example.com");
    let stubs: serde_json::Value = serde_json::from_str(&added["stubDomains"]).unwrap();
    assert_eq!(stubs["acme.local"], serde_json::json!(["1.2.3.4"]));
    assert_eq!(stubs["example.com"], serde_json::json!(["192.0.2.53", "198.51.100.53:5353"]));
    assert_eq!(remove(&added, &names("fed")).unwrap(), others);
}

#[test]
fn a_strangers_stub_domain_of_the_zone_stays() {
    let others = data(&[("stubDomains", r#"{ "example.com.": ["10.0.0.1"] }"#)]);
    let added = add(&others, &names("fed")).unwrap();
    assert_eq!(added["stubDomains"], others["stubDomains"]);
    assert_eq!(remove(&added, &names("fed")).unwrap(), others);
}

/// `kubefed join` wrote the list of servers as one, and the zone without its suffix.
#[test]
fn what_federation_v1_wrote_is_made_right() {
    let v1 = data(&[
        ("federations", "other=x.test,fed=old.example.com"),
        ("stubDomains", r#"{"example.com":["192.0.2.53:53,198.51.100.53:5353"]}"#),
    ]);
    let added = add(&v1, &names("fed")).unwrap();
    assert_eq!(added, data(&[("federations", "other=x.test,fed=example.com"), ("stubDomains", OURS)]));
    assert_eq!(remove(&v1, &names("fed")).unwrap(), data(&[("federations", "other=x.test")]));
}

#[test]
fn a_zone_that_another_federation_needs_stays() {
    let both = add(&add(&Data::new(), &names("a")).unwrap(), &names("b")).unwrap();
    let b = remove(&both, &names("a")).unwrap();
    assert_eq!(b, data(&[("federations", "b=example.com"), ("stubDomains", OURS)]));
    assert_eq!(remove(&b, &names("b")).unwrap(), Data::new());
}

#[test]
fn a_public_zone_needs_no_stub_domain() {
    let mut names = names("fed");
    names.servers.clear();
    let broken = data(&[("stubDomains", "not looked at")]);
    let added = add(&broken, &names).unwrap();
    assert_eq!(added["stubDomains"], "not looked at");
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
