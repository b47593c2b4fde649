use std::fmt::Write as _;

use super::*;
use crate::joining::federation::Federation;

const PAGE: &str = include_str!("../../../docs/joining.md");

/// The table as docs/joining.md has it.
fn page() -> String {
    let code = |words: &[&str]| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    let mut text = "| for | in the | verbs | resources | of the name | in the namespace | where |\n|---|---|---|---|---|---|---|\n".to_owned();
    for row in TABLE {
        let commands = row.commands.iter().map(|command| match command {
            Command::Init => "init",
            Command::Join => "join",
            Command::Unjoin => "unjoin",
        });
        let side = if row.side == Side::Host { "host" } else { "member" };
        let names = if row.names.is_empty() { "–".to_owned() } else { code(row.names) };
        let namespace = match row.scope {
            Scope::Cluster => "–",
            Scope::Own => "`NAMESPACE`",
            Scope::KubeSystem => "`kube-system`",
        };
        let mut case = match row.case {
            Case::Always => "",
            Case::Lease => "the leader is elected by a Lease",
            Case::Embedded => "the provider is `embedded`",
            Case::Token => "[Admin] has a `token-file`",
            Case::Exported => "`select = exported`",
            Case::Events => "`events = true`",
            Case::Waits => "not with `--timeout=0`",
            Case::Dns => "not with `--cluster-dns=none`",
            Case::Places => "not with `--cluster-dns=none` or `levels = global`",
            Case::Found(text) | Case::Without(text) => text,
        }
        .to_owned();
        if let Some((resource, name)) = row.passed_on {
            let gap = if case.is_empty() { "" } else { "; " };
            case = format!("{case}{gap}or `escalate` and `bind` on `{resource}` `{name}`");
        }
        if let Some(version) = row.since {
            let gap = if case.is_empty() { "" } else { "; " };
            case = format!("{case}{gap}from Kubernetes {version} on");
        }
        let commands = code(&commands.collect::<Vec<_>>());
        let (verbs, resources) = (row.verbs.join(", "), code(row.resources));
        _ = writeln!(text, "| {commands} | {side} | {verbs} | {resources} | {names} | {namespace} | {case} |");
    }
    text
}

#[test]
fn the_page_has_the_table() {
    let table = page();
    assert!(PAGE.contains(&table), "docs/joining.md has not this table:\n{table}");
}

fn asked(command: Command, side: Side, known: &Known, guess: bool) -> Vec<String> {
    let rows = TABLE.iter().filter(|row| row.side == side && row.commands.contains(&command));
    let rights = rows.flat_map(|row| row.rights(known, guess)).map(|right| ("c".to_owned(), right, None));
    Missing(rights.collect()).to_string().lines().map(str::to_owned).collect()
}

#[test]
fn what_is_not_known_yet_is_asked_for_later() {
    let mut known = Known::of("ns");
    let early = asked(Command::Join, Side::Member, &known, false);
    assert_eq!(
        early,
        [
            "needs: get namespaces kube-system of context c",
            "needs: get namespaces ns of context c",
            "needs: list, watch services of context c",
            "needs: list, watch nodes of context c",
            "needs: list, watch endpointslices.discovery.k8s.io of context c",
        ]
    );
    let guessed = asked(Command::Join, Side::Member, &known, true);
    assert!(
        guessed.contains(&"needs: get, create, patch secrets in namespace ns of context c".to_owned()),
        "{guessed:?}"
    );

    known = known.word("FED", ["fed".to_owned()]).case(Case::Dns, true).case(Case::Events, true);
    known.found("patch", "configmaps", "coredns");
    let late = asked(Command::Join, Side::Member, &known, false);
    for line in [
        "needs: get, create, patch secrets dns-syncd-fed-token in namespace ns of context c",
        "needs: get, create, patch clusterroles.rbac.authorization.k8s.io ns-dns-syncd-fed-member of context c",
        "needs: create events.events.k8s.io of context c",
        "needs: get, patch configmaps coredns in namespace kube-system of context c",
        "needs: get configmaps kube-dns in namespace kube-system of context c",
    ] {
        assert!(late.contains(&line.to_owned()), "{line}: {late:#?}");
    }
    assert!(
        !late.iter().any(|line| line.contains("create, patch namespaces") || line.contains("serviceexports")),
        "{late:#?}"
    );
    known.found("create", "namespaces", "ns");
    let late = asked(Command::Join, Side::Member, &known, false);
    assert!(late.contains(&"needs: get, create namespaces ns of context c".to_owned()), "{late:#?}");
}

#[test]
fn each_secret_with_kubeconfigs_is_read_and_one_is_written() {
    let known = Known::of("ns").word("SECRETS", ["a".to_owned(), "b".to_owned()]).word("SECRET", ["b".to_owned()]);
    let asked = asked(Command::Join, Side::Host, &known, false);
    assert!(asked.contains(&"needs: get secrets a in namespace ns of context c".to_owned()), "{asked:#?}");
    assert!(asked.contains(&"needs: get, patch secrets b in namespace ns of context c".to_owned()), "{asked:#?}");
}

#[test]
fn which_secret_is_written_is_not_guessed() {
    let federation = Federation::empty();
    let of = |secrets: &[&str]| {
        let secrets: Vec<_> = secrets.iter().map(|name| (*name).to_owned()).collect();
        asked(Command::Join, Side::Host, &federation.known(Known::of("ns"), &secrets), false)
    };
    let one = of(&["a"]);
    assert!(one.contains(&"needs: get, patch secrets a in namespace ns of context c".to_owned()), "{one:#?}");
    let two = of(&["a", "b"]);
    assert!(two.contains(&"needs: get secrets b in namespace ns of context c".to_owned()), "{two:#?}");
    assert!(!two.iter().any(|line| line.contains("patch")), "{two:#?}");
}

#[test]
fn nodes_are_listed_for_names_of_places_alone() {
    let lists = |federation: &Federation, is_told: bool| {
        let known = federation.known(Known::of("ns").case(Case::Dns, is_told), &[]);
        let mut rows = TABLE.iter().filter(|row| row.resources == ["nodes"]);
        rows.any(|row| !row.rights(&known, true).is_empty())
    };
    let mut federation = Federation::empty();
    assert!(lists(&federation, true) && !lists(&federation, false));
    federation.levels.zone = false;
    assert!(lists(&federation, true));
    federation.levels.region = false;
    assert!(!lists(&federation, true));
}

#[test]
fn a_resource_is_asked_for_with_group_and_subresource() {
    let of = |resource| attributes(&Right { namespace: None, resource, name: None, verb: "get" });
    let (plain, grouped, sub) = (of("pods"), of("leases.coordination.k8s.io"), of("pods/portforward"));
    assert_eq!((plain.group.as_deref(), plain.resource.as_deref(), plain.subresource), (Some(""), Some("pods"), None));
    assert_eq!((grouped.group.as_deref(), grouped.resource.as_deref()), (Some("coordination.k8s.io"), Some("leases")));
    assert_eq!((sub.resource.as_deref(), sub.subresource.as_deref()), (Some("pods"), Some("portforward")));
}
