//! CoreDNS on etcd and the embedded server answer the same at published names, and where they do not, this file says so.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use dns_conformance::servers::{Answer, CoreDns, Etcd, EtcdVersion, query};
use hickory_proto::rr::RData;

use crate::life::federation;
use crate::truth::{ZONE, name, truth};
use crate::world::World;

/// The same federation on both: services with addresses of both families, of one, and without any; names with
/// addresses, with a CNAME, and with a CNAME to a CNAME.
struct Both {
    coredns: World,
    embedded: World,
    names: BTreeSet<String>,
    _servers: (Etcd, CoreDns),
}

impl Both {
    async fn start() -> Self {
        let etcd = Etcd::start(EtcdVersion::V3_6).await;
        let server = CoreDns::on_etcd(&[ZONE], &etcd.url()).await;
        let (mut coredns, mut embedded) = (World::on_etcd(&etcd.url(), server.address()), World::embedded());
        let [eu, us, asia] = federation();
        let asia = asia.with("six", &["2001:db8::6"]).with("dead", &["203.0.113.9"]).ready("dead", false);
        let members = [eu, us.ready("web", false), asia];
        let truth = truth(&members);
        for world in [&mut coredns, &mut embedded] {
            world.clusters.put_all(&members);
            world.expect(truth.clone());
            world.allow_silence();
            world.start();
            world.settle("the federation comes up").await;
        }
        let names = truth.into_keys().map(|(name, _)| name).collect();
        Self { coredns, embedded, names, _servers: (etcd, server) }
    }

    /// What both answer, as text.
    async fn ask(&self, name: &str, rr_type: &str) -> (String, String) {
        let [one, other] = [self.coredns.server, self.embedded.server];
        (text(&query(one, name, rr_type).await), text(&query(other, name, rr_type).await))
    }

    async fn finish(self) {
        self.coredns.finish().await;
        self.embedded.finish().await;
    }
}

/// Code, authority and records in an order of their own; of types that the daemon does not write only the type.
fn text(answer: &Answer) -> String {
    let record = |record: &hickory_proto::rr::Record| match &record.data {
        RData::A(_) | RData::AAAA(_) | RData::CNAME(_) => record.to_string().to_lowercase(),
        other => other.record_type().to_string(),
    };
    let mut parts: Vec<_> = answer.answers.iter().map(record).collect();
    parts.sort();
    parts.dedup();
    parts.insert(0, answer.rcode.to_string());
    if !answer.authoritative {
        parts.push("without authority".into());
    }
    parts.join(", ")
}

/// The chain of CNAMEs from a place of a service towards the global name.
fn chain(service: &str, places: &[&str]) -> String {
    let links =
        places.windows(2).map(|link| format!("{} 180 in cname {}", name(service, link[0]), name(service, link[1])));
    let mut links: Vec<_> = links.collect();
    links.sort();
    links.join(", ")
}

const NO_ERROR: &str = "No Error";
const NX_DOMAIN: &str = "Non-Existent Domain";

/// A, AAAA and CNAME at published names are answered alike but for three differences, all without an address.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn both_servers_answer_alike_at_published_names() {
    let both = Both::start().await;
    let (mut alike, mut different) = (0, BTreeSet::new());
    for name in &both.names {
        for rr_type in ["A", "AAAA", "CNAME"] {
            let (coredns, embedded) = both.ask(name, rr_type).await;
            let known = match (&*coredns, &*embedded) {
                (one, other) if one == other => {
                    alike += 1;
                    continue;
                }
                (NX_DOMAIN, NO_ERROR) if rr_type == "CNAME" => "CNAME at a name with addresses, or at none",
                (NO_ERROR, other) if only_chain(other, NO_ERROR) => "the chain ends at a name without this family",
                (NO_ERROR, other) if only_chain(other, NX_DOMAIN) => "the chain ends at no name",
                _ => panic!("{name} {rr_type}: CoreDNS `{coredns}`, embedded `{embedded}`"),
            };
            different.insert(known);
        }
    }
    assert!(alike > both.names.len(), "only {alike} answers are alike at {} names", both.names.len());
    assert_eq!(different.len(), 3, "a difference is no more: {different:?}");
    both.finish().await;
}

/// An answer of that code with CNAMEs and nothing else.
fn only_chain(answer: &str, code: &str) -> bool {
    answer
        .strip_prefix(code)
        .and_then(|rest| rest.strip_prefix(", "))
        .is_some_and(|records| records.split(", ").all(|record| record.contains(" in cname ")))
}

/// What a client sees that asks for more than published names and their three types.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ETCD_BIN and COREDNS_BIN: tests/run gets them"]
async fn known_differences() {
    let both = Both::start().await;
    let web = name("web", "");
    let above = |host: &str| format!("{host}{}", web.strip_prefix("web").unwrap());
    let solo = |owner: &str| format!("{owner} 180 in a 192.0.2.3");
    let yes = |records: &str| format!("{NO_ERROR}, {records}");
    let (code, nx) = (NO_ERROR.to_owned(), NX_DOMAIN.to_owned());
    let leaf = format!("7ecc0fe.{}", name("solo", ""));
    let rows: &[(&str, &str, &str, String, String)] = &[
        // CoreDNS looks for a CNAME at the exact key alone and calls the name absent (coredns #2849).
        ("a CNAME where there are addresses", &web, "CNAME", nx.clone(), code.clone()),
        // CoreDNS leaves CNAMEs out that lead to nothing (coredns #7028); RFC 6604 wants them, and the code of the end.
        ("a chain to the other family", &name("api", "asia"), "AAAA", code.clone(), yes(&chain("api", &["asia", ""]))),
        (
            "a chain to no name",
            &name("dead", "eu-a.eu"),
            "A",
            code.clone(),
            format!("{NX_DOMAIN}, {}", chain("dead", &["eu-a.eu", "eu", ""])),
        ),
        (
            "a chain asked for another type",
            &name("api", "asia-a.asia"),
            "TXT",
            code.clone(),
            yes(&chain("api", &["asia-a.asia", "asia", ""])),
        ),
        // In etcd a record of a set is a key below the name, so a name of its own.
        ("the key of a single record", &leaf, "A", yes(&solo(&leaf)), nx.clone()),
        ("types that nobody wrote", &web, "SRV", yes("SRV"), code.clone()),
        ("ANY (embedded: RFC 8482)", &name("solo", ""), "ANY", code.clone(), yes(&solo(&name("solo", "")))),
        // CoreDNS answers every SOA question inside the zone with the apex's.
        ("SOA below the apex", &web, "SOA", yes("SOA"), code.clone()),
        ("SOA at no name", &above("nobody"), "SOA", yes("SOA"), nx.clone()),
        ("NS at the apex", "example.com.", "NS", nx.clone(), yes("NS")),
        ("ANY at the apex", "example.com.", "ANY", code.clone(), yes("SOA")),
    ];
    for (what, name, rr_type, coredns, embedded) in rows {
        assert_eq!(both.ask(name, rr_type).await, (coredns.clone(), embedded.clone()), "{what}: {name} {rr_type}");
    }

    // CoreDNS answers a name above others with all that is below it (coredns #3861); `*` in a question is any label.
    let all = query(both.coredns.server, "example.com.", "A").await.addresses();
    assert_eq!(all.len(), 6, "{all:?}");
    for name in ["example.com.", "svc.example.com.", &above("*")] {
        assert_eq!(query(both.coredns.server, name, "A").await.addresses(), all, "{name}");
        assert_eq!(query(both.embedded.server, name, "A").await.addresses(), [""; 0], "{name}");
    }

    // Without `loadbalance` CoreDNS always answers in the order of its keys.
    assert_eq!(first_addresses(both.coredns.server, &name("api", "")).await.len(), 1);
    assert_eq!(first_addresses(both.embedded.server, &name("api", "")).await.len(), 3);
    both.finish().await;
}

/// The addresses that stand first in one of many answers.
async fn first_addresses(server: SocketAddr, name: &str) -> BTreeSet<String> {
    let mut first = BTreeSet::new();
    for _ in 0..100 {
        let answer = query(server, name, "A").await;
        first.insert(answer.answers[0].data.to_string());
    }
    first
}
