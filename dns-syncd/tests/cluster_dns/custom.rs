//! Distributions that import a folder.

use std::collections::BTreeMap;

use dns_syncd::cluster_dns::Unreadable;
use dns_syncd::cluster_dns::custom::{Data, add, is_imported, remove};

use crate::{KUBEADM, names};

fn importing() -> String {
    format!("{KUBEADM}import custom/*.server\n").replace("reload\n", "reload\n    import custom/*.override\n")
}

#[test]
fn only_the_import_of_server_blocks_counts() {
    assert!(is_imported(&importing()).unwrap());
    assert!(is_imported(&format!("{KUBEADM}import /etc/coredns/custom/*.server # as k3s says\n")).unwrap());
    assert!(!is_imported(KUBEADM).unwrap());
    let inside = KUBEADM.replace("reload\n", "reload\n    import custom/*.server\n");
    assert!(!is_imported(&inside).unwrap());
    assert!(!is_imported(&format!("{KUBEADM}import more/*.server\n# import custom/*.server\n")).unwrap());
}

#[test]
fn each_federation_has_a_key() {
    let strangers = Data::from([("log.override".to_owned(), "log\n".to_owned())]);
    let a = add(&importing(), &strangers, &names("a")).unwrap();
    assert_eq!(a.keys().collect::<Vec<_>>(), ["dns-syncd-a.server", "log.override"]);
    assert_eq!(add(&importing(), &a, &names("a")).unwrap(), a);
    let both = add(&importing(), &a, &names("b")).unwrap();
    let zones = |data: &Data| data.values().filter(|text| text.contains("\nexample.com:53 {\n")).count();
    assert_eq!(zones(&both), 1);
    assert!(both["dns-syncd-b.server"].contains("\nb:10532 {\n"), "{both:?}");
    assert_eq!(add(&importing(), &both, &names("a")).unwrap(), both);
    assert_eq!(remove(&both, "b").unwrap(), a);
    let b = remove(&both, "a").unwrap();
    assert_eq!(zones(&b), 1);
    assert_eq!(remove(&b, "b").unwrap(), strangers);
}

#[test]
fn other_keys_are_looked_at_too() {
    let taken = Data::from([("x.server".to_owned(), "fed:53 {\n  whoami\n}\n".to_owned())]);
    assert!(matches!(add(&importing(), &taken, &names("fed")), Err(Unreadable::Taken { .. })));
    let broken = Data::from([("x.server".to_owned(), "fed:53 {\n".to_owned())]);
    assert!(add(&importing(), &broken, &names("fed")).is_ok());
    assert!(add("x {\n  whoami\n}\n", &BTreeMap::new(), &names("fed")).is_err());
}
