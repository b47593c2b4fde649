//! Corefiles as they are met.

use dns_syncd::cluster_dns::coredns::{add, cluster_domain, reloads, remove};
use dns_syncd::cluster_dns::{Place, Unreadable, print};

use crate::{KUBEADM, names};

/// The server block of this key, without what follows it.
fn block<'a>(corefile: &'a str, key: &str) -> &'a str {
    let start = corefile.find(&format!("\n{key} {{\n")).unwrap_or_else(|| panic!("no `{key}` in\n{corefile}")) + 1;
    let end = corefile[start..].find("\n}\n").unwrap() + 3;
    &corefile[start..start + end]
}

/// Counts server blocks of a key.
fn count(corefile: &str, key: &str) -> usize {
    corefile.lines().filter(|line| *line == format!("{key} {{")).count()
}

#[test]
fn kubeadms_corefile_gets_server_blocks_of_their_own() {
    let added = add(KUBEADM, &names("fed")).unwrap();
    assert!(added.starts_with(KUBEADM), "{added}");
    assert_eq!(added.matches("# BEGIN dns-syncd fed\n").count(), 1);
    assert!(added.ends_with("# END dns-syncd fed\n"));
    let zone = block(&added, "example.com:53");
    assert!(zone.contains("forward . 192.0.2.53:53 198.51.100.53:5353\n"), "{zone}");
    let own = block(&added, "fed:10531");
    assert!(own.contains("{1}.{2}.fed.svc.us-a.us.example.com.\n"), "{own}");
    assert!(own.contains(r"^([^.]+)\.([^.]+)\.fed\.svc\.us-a\.us\.example\.com\.$"), "{own}");
    assert!(own.contains("forward . 192.0.2.53:53 198.51.100.53:5353\n"), "{own}");
    assert!(!added.contains('@'), "{added}");
}

#[test]
fn a_public_zone_is_left_to_the_clusters_resolver() {
    let mut names = names("fed");
    names.servers.clear();
    names.place = Place::Anywhere;
    let added = add(KUBEADM, &names).unwrap();
    assert_eq!(count(&added, "example.com:53"), 0);
    let own = block(&added, "fed:10531");
    assert!(own.contains("{1}.{2}.fed.svc.example.com.\n"), "{own}");
    assert!(own.contains("forward . 127.0.0.1:53 {"), "{own}");
}

/// A changed place or server is taken over where the block stands, on the ports that it had.
#[test]
fn a_second_add_replaces_the_first() {
    let mut both = add(&add(KUBEADM, &names("a")).unwrap(), &names("b")).unwrap();
    both += "# somebody's last words\n";
    let mut other = names("a");
    other.place = Place::Region("eu".to_owned());
    let changed = add(&both, &other).unwrap();
    assert!(block(&changed, "a:10531").contains("a.svc.eu.example.com."));
    assert!(block(&changed, "b:10532").contains("b.svc.us-a.us.example.com."));
    assert_eq!(add(&changed, &names("a")).unwrap(), both);
}

/// Two federations in one zone: the zone can be served by one block alone, and still is when that federation leaves.
#[test]
fn federations_share_a_zones_server_block() {
    let a = add(KUBEADM, &names("a")).unwrap();
    let both = add(&a, &names("b")).unwrap();
    assert_eq!(count(&both, "example.com:53"), 1);
    assert_eq!(remove(&both, "b").unwrap(), a);
    let b = remove(&both, "a").unwrap();
    assert_eq!(count(&b, "example.com:53"), 1, "{b}");
    assert_eq!(remove(&b, "b").unwrap(), KUBEADM);
}

#[test]
fn a_strangers_server_block_of_the_zone_is_left_alone() {
    let strangers = format!("{KUBEADM}example.com.:53 {{\n    forward . 10.1.1.1\n}}\n");
    let added = add(&strangers, &names("fed")).unwrap();
    assert!(added.starts_with(&strangers));
    assert_eq!(count(&added, "example.com:53"), 0, "{added}");
    assert_eq!(remove(&added, "fed").unwrap(), strangers);
}

#[test]
fn a_strangers_server_block_of_the_short_names_is_an_error() {
    for key in ["fed", "fed.:53", "dns://FED", "x.test:53, fed.svc.cluster.local"] {
        let strangers = format!("{KUBEADM}{key} {{\n    whoami\n}}\n");
        let error = add(&strangers, &names("fed")).unwrap_err();
        assert!(matches!(error, Unreadable::Taken { line: 21, .. }), "{error}");
        assert!(error.to_string().contains("--cluster-dns=print"), "{error}");
    }
    let elsewhere = format!("{KUBEADM}fed:5300 {{\n    whoami\n}}\n");
    assert!(add(&elsewhere, &names("fed")).is_ok());
}

/// The cluster's block may listen elsewhere, be reached by one address alone, and use a kubeconfig: ours do the same.
#[test]
fn the_clusters_own_block_is_followed() {
    let corefile = "\
(common) {
    errors
    kubernetes k8s.test {
        kubeconfig \"/etc/core dns/kubeconfig\" main
        namespaces a b
        pods verified
        ttl 30
        noendpoints
    }
}
.:1053, k8s.test:1054 {
    import common
    bind 10.1.2.3 eth0
}
";
    let mut names = names("fed");
    names.cluster_domain = "K8s.test.".to_owned();
    let added = add(corefile, &names).unwrap();
    let inner = block(&added, "fed:1053 fed.svc.k8s.test:1053");
    assert!(inner.contains("kubernetes k8s.test fed {\n"), "{inner}");
    assert!(
        inner.contains("        kubeconfig \"/etc/core dns/kubeconfig\" main\n        namespaces a b\n"),
        "{inner}"
    );
    assert!(!["pods", "ttl", "noendpoints"].iter().any(|word| inner.contains(word)), "{inner}");
    for key in ["fed:1053 fed.svc.k8s.test:1053", "example.com:1053"] {
        assert!(block(&added, key).contains("    bind 10.1.2.3 eth0\n"), "{added}");
    }
    assert!(block(&added, "fed.svc.k8s.test:10531").contains("forward . 10.1.2.3:1053 {"), "{added}");
    assert_eq!(cluster_domain(corefile).unwrap(), "k8s.test");
}

/// Ports that anything in the Corefile mentions are not used.
#[test]
fn ports_that_are_spoken_of_are_avoided() {
    let taken = KUBEADM.replace("reload", "reload\n    health :10531");
    let added = add(&taken, &names("fed")).unwrap();
    assert_eq!((count(&added, "fed:10532"), added.matches("10531").count()), (1, 1), "{added}");
}

#[test]
fn the_domain_and_the_reload_are_found() {
    assert_eq!(cluster_domain(KUBEADM).unwrap(), "cluster.local");
    assert!(reloads(KUBEADM).unwrap());
    let block = "cluster.test {\n  kubernetes {\n    pods insecure\n  }\n}\n";
    assert_eq!(cluster_domain(block).unwrap(), "cluster.test");
    assert!(!reloads(block).unwrap());
    let other = ". {\n  kubernetes in-addr.arpa corp.test\n}\n";
    assert_eq!(cluster_domain(other).unwrap(), "corp.test");
    assert!(matches!(cluster_domain(". {\n  whoami\n}\n"), Err(Unreadable::NoCluster { .. })));
    // Our own block is none of the cluster's.
    let mut names = names("fed");
    names.cluster_domain = "corp.test".to_owned();
    assert_eq!(cluster_domain(&add(other, &names).unwrap()).unwrap(), "corp.test");
}

/// What CoreDNS would not read, or not as it looks, is left alone; the message says where and what else can be done.
#[test]
fn what_is_not_understood_is_left_alone() {
    let cases = [
        ("", 0, "no server block"),
        (". {\n  whoami\n}\n", 0, "`cluster.local`"),
        ("other.test {\n  kubernetes other.test\n}\n", 0, "`cluster.local`"),
        (".:53 {\n  kubernetes cluster.local {\n    pods insecure\n}\n", 1, "not closed"),
        (".:53 {\n  kubernetes cluster.local\n}\n}\n", 4, "closing brace"),
        (".:53 {\n  errors }\n", 2, "closing brace"),
        ("{\n  errors\n}\n", 1, "without the zones"),
        (".:53 {\n  {\n  }\n}\n", 2, "without a plugin"),
        (".:53\nkubernetes cluster.local\n", 2, "without braces"),
        (".:53 {\n  kubernetes cluster.local\n  log \"x\n}\n", 3, "quote"),
        (".:53 {\n  bind eth0\n  kubernetes cluster.local\n}\n", 2, "`bind`"),
        ("tls://.:853 {\n  kubernetes cluster.local\n}\n", 0, "no server block"),
    ];
    for (corefile, line, words) in cases {
        let error = add(corefile, &names("fed")).unwrap_err().to_string();
        assert!(error.contains(words), "{corefile}: {error}");
        assert!(line == 0 || error.starts_with(&format!("line {line}: ")), "{corefile}: {error}");
        assert!(error.contains("--cluster-dns=print"), "{corefile}: {error}");
    }
}

#[test]
fn marks_that_were_torn_are_left_alone() {
    let added = add(KUBEADM, &names("fed")).unwrap();
    let (begin, end) = ("# BEGIN dns-syncd fed\n", "# END dns-syncd fed\n");
    let torn = [
        added.replace(begin, ""),
        added.replace(end, ""),
        added.replace(end, "# END dns-syncd other\n"),
        added.replace(begin, &format!("{begin}{begin}")),
        added.clone() + &added[KUBEADM.len()..],
        format!("{end}{added}"),
        added.replace(begin, "").replacen("    errors\n", &format!("    errors\n{begin}"), 1),
        added.replace(end, "").replacen("    template", &format!("{end}    template"), 1),
    ];
    for text in torn {
        for result in [add(&text, &names("fed")), remove(&text, "fed"), add(&text, &names("other"))] {
            let error = result.expect_err(&text);
            assert!(matches!(error, Unreadable::Mark { .. }), "{error}\n{text}");
        }
    }
}

/// `kubeadm upgrade` writes the Corefile anew, without comments, quotes and empty lines.
#[test]
fn what_kubeadm_writes_anew_means_the_same_and_has_lost_its_marks() {
    let added = add(KUBEADM, &names("fed")).unwrap();
    assert!(!added.lines().any(|line| !line.trim().starts_with('#') && line.contains(" \"")), "{added}");
    let kept: Vec<_> = added.lines().filter(|line| !line.trim().starts_with('#')).collect();
    let bare = kept.join("\n") + "\n";
    for result in [add(&bare, &names("fed")), remove(&bare, "fed")] {
        let error = result.unwrap_err();
        assert!(matches!(error, Unreadable::Mark { line: 21, .. }), "{error}");
        assert!(error.to_string().contains("lost their marks"), "{error}");
    }
    assert_eq!(remove(&bare, "other").unwrap(), bare);
}

#[test]
fn removing_what_is_not_there_changes_nothing() {
    assert_eq!(remove(KUBEADM, "fed").unwrap(), KUBEADM);
    let added = add(KUBEADM, &names("fed")).unwrap();
    assert_eq!(remove(&added, "fe").unwrap(), added);
}

/// What is printed is what would be written into a common Corefile.
#[test]
fn print_shows_the_same_block() {
    let added = add(KUBEADM, &names("fed")).unwrap();
    let text = print(&names("fed"));
    assert!(text.contains(&added[KUBEADM.len()..]), "{text}");
    assert!(text.contains("\nfederations: 'fed=example.com'\n"), "{text}");
    assert!(text.contains("\nstubDomains: '{\"example.com\":[\"192.0.2.53\",\"198.51.100.53:5353\"]}'\n"), "{text}");
}
