//! Laws of the edits, for Corefiles as people write them.

use dns_syncd::cluster_dns::ShortNames;
use dns_syncd::cluster_dns::coredns::{add, remove};
use proptest::prelude::*;

use crate::names;

/// White space and comments that mean nothing at the end of a line.
fn line_end() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["\n", "\n", "  \n", "\r\n", " # { a comment\n", "\t#}\n", "\n\n", "\n    # \"\n"])
        .prop_map(str::to_owned)
}

fn indent() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["", "    ", "\t", "  "]).prop_map(str::to_owned)
}

/// One line of a server block, or several where it has a body.
fn plugin() -> impl Strategy<Value = String> {
    let plain = prop::sample::select(vec![
        "errors",
        "log . \"{remote} \\\"{name}\\\" # not a comment\"",
        "forward . /etc/resolv.conf",
        "cache 30",
        "rewrite name regex (.*)\\.a {1}.b",
        "import snippet",
        "import custom/*.override",
        "template ANY ANY x {\n rcode NXDOMAIN\n}",
        "health{",
        "hosts\n{\n10.0.0.1 x\n}",
        "acl {\n a {\n b\n }\n}",
    ]);
    (indent(), plain, line_end()).prop_map(|(indent, plugin, end)| format!("{indent}{plugin}{end}"))
}

/// A server block with these keys and, somewhere, this line.
fn server(keys: &'static str, own: &'static str) -> impl Strategy<Value = String> {
    let plugins = || prop::collection::vec(plugin(), 0..4);
    let open = prop::sample::select(vec![" {", " \t{", "\n{"]);
    (plugins(), plugins(), open, line_end(), line_end(), indent()).prop_map(
        move |(before, after, open, first, last, indent)| {
            format!("{keys}{open}{first}{}{own}\n{}{indent}}}{last}", before.concat(), after.concat())
        },
    )
}

/// Whole files: the cluster's server block among others, snippets, imports and comments, with or without a last line
/// break.
fn corefile() -> impl Strategy<Value = String> {
    let cluster = prop_oneof![
        server(".:53", "    kubernetes cluster.local in-addr.arpa { # here\n pods insecure\n ttl 30 }"),
        server("cluster.local x.test", "kubernetes cluster.local."),
        server(". ", "kubernetes corp.test Cluster.Local {\n fallthrough\n}"),
    ];
    (noise(), cluster, noise(), any::<bool>()).prop_map(|(before, cluster, after, has_end)| {
        let text = format!("{}{cluster}{}", before.concat(), after.concat());
        if has_end { text } else { text.trim_end_matches('\n').to_owned() }
    })
}

/// What stands around that server block.
fn noise() -> impl Strategy<Value = Vec<String>> {
    let noise = prop_oneof![
        line_end(),
        Just("import custom/*.server\n".to_owned()),
        Just("# a comment\n".to_owned()),
        server("a.test:53, b.test,\n  c.test:5300", ""),
        server("tls://d.test", ""),
        Just("(snippet) {\n  whoami\n}\n".to_owned()),
    ];
    prop::collection::vec(noise, 0..4)
}

/// A federation's names, of a public zone or not.
fn federation(name: &'static str) -> impl Strategy<Value = ShortNames> {
    any::<bool>().prop_map(move |is_public| {
        let mut names = names(name);
        if is_public {
            names.servers.clear();
        }
        names
    })
}

proptest! {
    #[test]
    fn adding_twice_is_adding_once(text in corefile(), names in federation("fed")) {
        let once = add(&text, &names).unwrap();
        prop_assert_eq!(add(&once, &names).unwrap(), once);
    }

    #[test]
    fn removing_what_was_added_gives_every_byte_back(text in corefile(), names in federation("fed")) {
        prop_assert_eq!(remove(&add(&text, &names).unwrap(), "fed").unwrap(), text);
    }

    #[test]
    fn no_byte_of_others_changes(text in corefile(), names in federation("fed")) {
        prop_assert!(add(&text, &names).unwrap().starts_with(&text));
    }

    /// In whatever order they leave, and whichever of them served the zone.
    #[test]
    fn federations_stand_side_by_side(
        text in corefile(),
        a in federation("a"),
        b in federation("b"),
        is_a_first in any::<bool>(),
    ) {
        let one = add(&text, &a).unwrap();
        let both = add(&one, &b).unwrap();
        prop_assert_eq!(add(&both, &a).unwrap(), both.clone());
        prop_assert_eq!(remove(&both, "b").unwrap(), one);
        let (first, last) = if is_a_first { ("a", "b") } else { ("b", "a") };
        prop_assert_eq!(remove(&remove(&both, first).unwrap(), last).unwrap(), text);
    }

    /// What somebody writes below the block later stays there.
    #[test]
    fn later_lines_of_others_stay(text in corefile(), names in federation("fed"), more in plugin()) {
        let mut added = add(&text, &names).unwrap();
        let more = format!("more.test {{\n{more}}}\n");
        if !added.ends_with('\n') {
            added.push('\n');
        }
        let after = remove(&(added + &more), "fed").unwrap();
        let between = if text.ends_with('\n') { "" } else { "\n" };
        prop_assert_eq!(after, format!("{text}{between}{more}"));
    }

    /// Any text: an error or a right edit, never a panic.
    #[test]
    fn any_text_is_survived(text in "(?s).{0,80}", cut in any::<prop::sample::Index>()) {
        let _ = add(&text, &names("fed"));
        let added = add(crate::KUBEADM, &names("fed")).unwrap();
        let mut at = cut.index(added.len());
        while !added.is_char_boundary(at) {
            at -= 1;
        }
        let torn = format!("{}{text}", &added[..at]);
        if let Ok(again) = add(&torn, &names("fed")) {
            prop_assert_eq!(add(&again, &names("fed")).unwrap(), again);
        }
        let _ = remove(&torn, "fed");
    }
}
