//! The CoreDNS backend on a real etcd: set `ETCD_BIN`, or have `etcd` on `PATH`.

#![cfg(feature = "coredns")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use dns_providers::SecretSource;
use dns_providers::coredns::{CoreDns, Options, TlsFiles};
use dnsprovider::{
    Applied, ApplyContext, Change, ChangeSet, Chunked, Claim, ClaimedSet, Credits, DnsProvider, DnsProviderExt,
    ErrorKind, Fence, Fqdn, Outcome, RecordData, RrKey, RrSet, RrType, Snapshot, Ttl, Version, ZoneId,
};
use etcd_client::{Client, GetOptions};
use futures::StreamExt as _;

//----------- etcd -----------------------------------------------------------

struct Etcd {
    child: Option<Child>,
    ports: [u16; 2],
    dir: tempfile::TempDir,
    flags: Vec<String>,
    scheme: &'static str,
}

impl Etcd {
    fn start() -> Self {
        Self::start_with("http", |_| Vec::new())
    }

    fn start_with(scheme: &'static str, flags: impl FnOnce(&std::path::Path) -> Vec<String>) -> Self {
        let sockets = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let ports = sockets.each_ref().map(|socket| socket.local_addr().unwrap().port());
        drop(sockets);
        let dir = tempfile::tempdir().unwrap();
        let flags = flags(dir.path());
        let mut etcd = Self { child: None, ports, dir, flags, scheme };
        etcd.run();
        etcd
    }

    fn run(&mut self) {
        let program = std::env::var("ETCD_BIN").unwrap_or_else(|_| "etcd".to_owned());
        let (client, peer) = (self.url(), format!("http://127.0.0.1:{}", self.ports[1]));
        let child = Command::new(&program)
            .arg(format!("--data-dir={}", self.dir.path().join("data").display()))
            .args([format!("--listen-client-urls={client}"), format!("--advertise-client-urls={client}")])
            .args([format!("--listen-peer-urls={peer}"), format!("--initial-advertise-peer-urls={peer}")])
            .arg(format!("--initial-cluster=default={peer}"))
            .args(&self.flags)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.child = Some(child.unwrap_or_else(|error| panic!("needs etcd (set ETCD_BIN): `{program}`: {error}")));
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            _ = child.kill();
            _ = child.wait();
        }
    }

    fn url(&self) -> String {
        format!("{}://127.0.0.1:{}", self.scheme, self.ports[0])
    }

    fn options(&self, zones: &[&str]) -> Options {
        let mut options = Options::new([self.url()], zones.iter().map(|zone| name(zone)));
        options.settle = Duration::from_millis(50);
        options
    }

    /// Connects as soon as the server answers.
    async fn open(&self, options: Options) -> Chunked<CoreDns> {
        Chunked::new(until(|| CoreDns::connect(options.clone())).await)
    }

    async fn client(&self) -> Client {
        until(|| async {
            let mut client = Client::connect([self.url()], None).await?;
            client.get("x", None).await.map(|_| client)
        })
        .await
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Asks until it is answered: a server that starts refuses connections, each of which takes its time.
async fn until<T, E: std::fmt::Debug, F: Future<Output = Result<T, E>>>(ask: impl Fn() -> F) -> T {
    let mut last = None;
    for _ in 0..2000 {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) => last = Some(error),
        }
        let mut pause = tokio::time::interval(Duration::from_millis(10));
        pause.tick().await;
        pause.tick().await;
    }
    panic!("etcd does not answer: {last:?}")
}

//----------- values ---------------------------------------------------------

fn name(text: &str) -> Fqdn {
    Fqdn::parse(text).unwrap()
}

fn zone() -> ZoneId {
    ZoneId("0".into())
}

fn set(owner: &str, rr_type: &RrType, ttl: u32, data: &[&str]) -> RrSet {
    let record = |text: &&str| match rr_type {
        RrType::A => RecordData::A(text.parse().unwrap()),
        RrType::Aaaa => RecordData::Aaaa(text.parse().unwrap()),
        RrType::Cname => RecordData::Cname(name(text)),
        _ => RecordData::txt(text),
    };
    RrSet::new(RrKey::new(name(owner), rr_type.clone()), Ttl::from_secs(ttl).unwrap(), data.iter().map(record)).unwrap()
}

fn claimed(set: RrSet) -> ClaimedSet {
    credited(set, "c1")
}

fn credited(set: RrSet, cluster: &str) -> ClaimedSet {
    let credits: Credits = Arc::new([cluster.into()]);
    let credits = vec![credits; set.records().len()].into();
    ClaimedSet { claim: Some(Claim { name: "fed".into(), federation: "fed".into(), credits }), set }
}

fn a(owner: &str, data: &[&str]) -> ClaimedSet {
    claimed(set(owner, &RrType::A, 180, data))
}

fn cname(owner: &str, target: &str) -> ClaimedSet {
    claimed(set(owner, &RrType::Cname, 180, &[target]))
}

type Provider = Chunked<CoreDns>;

async fn read(provider: &Provider) -> Snapshot {
    provider.read_zone(&zone()).await.unwrap()
}

async fn apply(provider: &Provider, changes: impl IntoIterator<Item = Change>) -> Applied {
    provider.apply(&zone(), &ChangeSet::by_name(changes), &ApplyContext::default()).await.unwrap()
}

async fn create(provider: &Provider, sets: impl IntoIterator<Item = ClaimedSet>) {
    let version = read(provider).await.version;
    let applied = apply(provider, sets.into_iter().map(|set| Change::create(set, version.clone()))).await;
    assert!(applied.is_done(), "{applied:?}");
}

fn entry<'a>(snapshot: &'a Snapshot, owner: &str, rr_type: &RrType) -> &'a dnsprovider::Entry {
    snapshot
        .get(&RrKey::new(name(owner), rr_type.clone()))
        .unwrap_or_else(|| panic!("no {owner} {rr_type}: {snapshot:?}"))
}

fn outcome<'a>(applied: &'a Applied, owner: &str, rr_type: RrType) -> &'a Outcome {
    &applied.outcomes[&RrKey::new(name(owner), rr_type)]
}

async fn keys(client: &mut Client) -> Vec<(String, String)> {
    let all = client.get("/skydns", Some(GetOptions::new().with_prefix())).await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    all.kvs().iter().map(|kv| (text(kv.key()), text(kv.value()))).collect()
}

async fn paths(client: &mut Client) -> Vec<String> {
    keys(client).await.into_iter().map(|(key, _)| key).collect()
}

async fn put(client: &mut Client, key: &str, value: &str) {
    client.put(key, value, None).await.unwrap();
}

//----------- lifecycle ------------------------------------------------------

#[tokio::test]
#[ignore = "needs etcd: set ETCD_BIN"]
async fn a_set_is_created_changed_key_by_key_and_deleted_without_a_trace() {
    let etcd = Etcd::start();
    let (provider, mut client) = (etcd.open(etcd.options(&["example.com"])).await, etcd.client().await);
    create(&provider, [a("nginx.test.ufp.svc.example.com", &["198.51.100.1", "198.51.200.1"])]).await;
    let written = keys(&mut client).await;
    assert_eq!(written[0].0, "/skydns/com/example/svc/ufp/test/nginx/32965df3");
    assert_eq!(
        written[0].1,
        r#"{"host":"198.51.100.1","ttl":180,"group":"nginx.test.ufp.svc.example.com","dns-syncd":{"claim":"fed","federation":"fed","clusters":["c1"]}}"#
    );
    assert_eq!(written.len(), 2);

    let snapshot = read(&provider).await;
    let before = entry(&snapshot, "nginx.test.ufp.svc.example.com", &RrType::A);
    assert_eq!(before.data, a("nginx.test.ufp.svc.example.com", &["198.51.100.1", "198.51.200.1"]));
    let after = a("nginx.test.ufp.svc.example.com", &["198.51.100.1", "198.51.150.1"]);
    assert!(apply(&provider, [Change::update(before, after.clone())]).await.is_done());
    let kept = client.get("/skydns/com/example/svc/ufp/test/nginx/32965df3", None).await.unwrap();
    assert_eq!(kept.kvs()[0].version(), 1, "a record that stays is not written again");

    let snapshot = read(&provider).await;
    let before = entry(&snapshot, "nginx.test.ufp.svc.example.com", &RrType::A);
    assert_eq!(before.data, after);
    assert!(apply(&provider, [Change::delete(before)]).await.is_done());
    assert!(keys(&mut client).await.is_empty());
}

#[tokio::test]
#[ignore = "needs etcd: set ETCD_BIN"]
async fn the_version_of_a_write_guards_the_next() {
    let etcd = Etcd::start();
    let provider = etcd.open(etcd.options(&["example.com"])).await;
    let first = a("www.example.com", &["192.0.2.1"]);
    let applied = apply(&provider, [Change::create(first.clone(), Version::at(1))]).await;
    let Outcome::Done(version) = outcome(&applied, "www.example.com", RrType::A) else { panic!("{applied:?}") };
    let second = a("www.example.com", &["192.0.2.2"]);
    let change = |before: &ClaimedSet, after: &ClaimedSet, version: &Version| Change {
        key: after.set.key().clone(),
        before: Some(before.clone()),
        version: version.clone(),
        after: Some(after.clone()),
    };
    assert!(apply(&provider, [change(&first, &second, version)]).await.is_done());
    let stale = apply(&provider, [change(&first, &second, version)]).await;
    assert!(matches!(outcome(&stale, "www.example.com", RrType::A), Outcome::Conflict), "{stale:?}");
}

#[tokio::test]
#[ignore = "needs etcd: set ETCD_BIN"]
async fn every_key_of_another_writer_is_noticed_and_only_its_name_conflicts() {
    let etcd = Etcd::start();
    let (provider, mut client) = (etcd.open(etcd.options(&["example.com"])).await, etcd.client().await);
    for meddle in ["new", "changed", "deleted", "exact"] {
        let (www, other) = (format!("{meddle}.example.com"), format!("other-{meddle}.example.com"));
        create(&provider, [a(&www, &["192.0.2.1", "192.0.2.2"]), a(&other, &["192.0.2.1"])]).await;
        let snapshot = read(&provider).await;
        let base = format!("/skydns/com/example/{meddle}");
        let leaf = paths(&mut client).await.into_iter().find(|key| key.starts_with(&format!("{base}/"))).unwrap();
        match meddle {
            "new" => put(&mut client, &format!("{base}/x"), "{}").await,
            "changed" => put(&mut client, &leaf, "{}").await,
            "deleted" => _ = client.delete(leaf, None).await.unwrap(),
            _ => put(&mut client, &base, "{}").await,
        }
        let update = |owner: &str| Change::update(entry(&snapshot, owner, &RrType::A), a(owner, &["192.0.2.3"]));
        let applied = apply(&provider, [update(&www), update(&other)]).await;
        assert!(matches!(outcome(&applied, &www, RrType::A), Outcome::Conflict), "{meddle}: {applied:?}");
        assert!(outcome(&applied, &other, RrType::A).is_done(), "{meddle}: {applied:?}");
    }
}

#[tokio::test]
#[ignore = "needs etcd: set ETCD_BIN"]
async fn a_deletion_notices_every_key_of_another_writer_and_takes_none_along() {
    let etcd = Etcd::start();
    let (provider, mut client) = (etcd.open(etcd.options(&["example.com"])).await, etcd.client().await);
    for meddle in ["before", "between", "behind", "below", "changed", "deleted", "exact"] {
        for addresses in [&["192.0.2.1"][..], &["192.0.2.1", "192.0.2.2"], &["192.0.2.1", "192.0.2.2", "192.0.2.3"]] {
            for is_full in [false, true] {
                let case = format!("{meddle} of {}, full: {is_full}", addresses.len());
                let (www, other) = (format!("{meddle}.example.com"), |number| format!("other-{number}.example.com"));
                // With so many a transaction has no room for every compare.
                let others = if is_full { 40 } else { 1 };
                create(&provider, [a(&www, addresses)]).await;
                create(&provider, (0..others).map(|number| a(&other(number), &["192.0.2.1", "192.0.2.2"]))).await;
                let snapshot = read(&provider).await;
                let base = format!("/skydns/com/example/{meddle}");
                let leaves: Vec<_> =
                    paths(&mut client).await.into_iter().filter(|key| key.starts_with(&format!("{base}/"))).collect();
                match meddle {
                    "before" => put(&mut client, &format!("{base}/!"), "{}").await,
                    "between" => put(&mut client, &format!("{}+", leaves[0]), "{}").await,
                    "behind" => put(&mut client, &format!("{base}/x"), "{}").await,
                    "below" => put(&mut client, &format!("{}/x", leaves[0]), "{}").await,
                    "changed" => put(&mut client, leaves.last().unwrap(), "{}").await,
                    "deleted" => _ = client.delete(leaves.last().unwrap().as_str(), None).await.unwrap(),
                    _ => put(&mut client, &base, "{}").await,
                }
                let there = keys(&mut client).await;
                let delete = |owner: &str| Change::delete(entry(&snapshot, owner, &RrType::A));
                let deletions = std::iter::once(delete(&www)).chain((0..others).map(|number| delete(&other(number))));
                let applied = apply(&provider, deletions).await;
                let is_done = |number| outcome(&applied, &other(number), RrType::A).is_done();
                assert!((0..others).all(is_done), "{case}: {applied:?}");
                let left = keys(&mut client).await;
                match outcome(&applied, &www, RrType::A) {
                    // What stands exactly at a name is no part of what goes, but then the name is no better known than before.
                    Outcome::Done(version) if meddle == "exact" && addresses.len() > 1 && is_full => {
                        assert_eq!(left, [(base.clone(), "{}".to_owned())], "{case}");
                        assert_eq!(version.revision, snapshot.version.revision, "{case}");
                    }
                    Outcome::Conflict => {
                        let of_others = |(key, _): &&(String, String)| !key.contains("/other-");
                        assert_eq!(left, there.iter().filter(of_others).cloned().collect::<Vec<_>>(), "{case}");
                    }
                    outcome => panic!("{case}: {outcome:?}"),
                }
                client.delete("/", Some(etcd_client::DeleteOptions::new().with_all_keys())).await.unwrap();
            }
        }
    }
}

#[tokio::test]
#[ignore = "needs etcd: set ETCD_BIN"]
async fn one_of_two_families_goes_in_one_transaction_at_the_apex_too() {
    let etcd = Etcd::start();
    let (provider, mut client) = (etcd.open(etcd.options(&["example.com"])).await, etcd.client().await);
    for owner in ["example.com", "www.example.com"] {
        create(&provider, [a(owner, &["192.0.2.1", "192.0.2.2"])]).await;
        create(&provider, [claimed(set(owner, &RrType::Aaaa, 180, &["2001:db8::1"]))]).await;
        let snapshot = read(&provider).await;
        let before = client.get("x", None).await.unwrap().header().unwrap().revision();
        let applied = apply(&provider, [Change::delete(entry(&snapshot, owner, &RrType::A))]).await;
        assert!(applied.is_done(), "{owner}: {applied:?}");
        assert_eq!(client.get("x", None).await.unwrap().header().unwrap().revision() - before, 1, "{owner}");
        assert!(read(&provider).await.get(&RrKey::new(name(owner), RrType::Aaaa)).is_some(), "{owner}");
    }
    // In a batch without room for every compare too.
    let other = |number: u32| format!("s{number}.example.com");
    create(&provider, (0..63).map(|number| a(&other(number), &["192.0.2.1", "192.0.2.2"]))).await;
    create(&provider, [a("example.com", &["192.0.2.1", "192.0.2.2"])]).await;
    let snapshot = read(&provider).await;
    let gone: Vec<_> = snapshot.iter().filter(|entry| entry.key().rr_type == RrType::A).map(Change::delete).collect();
    assert!(apply(&provider, gone).await.is_done());
    assert_eq!(read(&provider).await.len(), 2);
}

#[tokio::test]
#[ignore = "needs etcd: set ETCD_BIN"]
async fn deletions_leave_what_else_is_ours_at_and_below_a_name() {
    let etcd = Etcd::start();
    let (provider, mut client) = (etcd.open(etcd.options(&["example.com"])).await, etcd.client().await);
    let owner = |number| format!("s{number}.example.com");
    let six = |number| claimed(set(&owner(number), &RrType::Aaaa, 180, &["2001:db8::1", "2001:db8::2"]));
    let below = |number| a(&format!("x.{}", owner(number)), &["192.0.2.1"]);
    let four = |number| a(&owner(number), &["192.0.2.1", "192.0.2.2"]);
    let two_kinds = |number| if number % 2 == 0 { six(number) } else { below(number) };
    create(&provider, (0..100).flat_map(|number| [four(number), two_kinds(number)])).await;
    // As another writer of the same claim spells it.
    let spelled = r#"{"ttl":180,"host":"192.0.2.1","group":"y.example.com","dns-syncd":{"claim":"fed","federation":"fed","clusters":["c1"]}}"#;
    put(&mut client, &format!("/skydns/com/example/y/{}", leaf_of("192.0.2.1")), spelled).await;
    let snapshot = read(&provider).await;
    let gone = (0..100).map(owner).chain(["y.example.com".to_owned()]);
    let gone: Vec<_> = gone.map(|owner| Change::delete(entry(&snapshot, &owner, &RrType::A))).collect();
    let before = client.get("x", None).await.unwrap().header().unwrap().revision();
    let applied = apply(&provider, gone).await;
    assert!(applied.is_done(), "{applied:?}");
    // Refused first, then in halves with every compare: no more than 31 names in a transaction.
    let written = client.get("x", None).await.unwrap().header().unwrap().revision() - before;
    assert!((4..=8).contains(&written), "{written}");
    let left = read(&provider).await;
    assert_eq!(left.len(), 100);
    assert!((0..100).map(two_kinds).all(|kept| left.get(kept.set.key()).unwrap().data == kept));
}

#[tokio::test]
#[ignore = "needs etcd: set ETCD_BIN"]
async fn a_create_where_a_set_stands_is_a_conflict() {
    let etcd = Etcd::start();
    let provider = etcd.open(etcd.options(&["example.com"])).await;
    create(&provider, [a("www.example.com", &["192.0.2.1"])]).await;
    let version = read(&provider).await.version;
    for again in [a("www.example.com", &["192.0.2.2"]), cname("www.example.com", "a.example.com")] {
        let rr_type = again.set.rr_type().clone();
        let applied = apply(&provider, [Change::create(again, version.clone())]).await;
        assert!(matches!(outcome(&applied, "www.example.com", rr_type), Outcome::Conflict), "{applied:?}");
    }
    let six = claimed(set("www.example.com", &RrType::Aaaa, 180, &["2001:db8::1"]));
    assert!(apply(&provider, [Change::create(six, version)]).await.is_done(), "another family goes beside");
}

//----------- CNAME ----------------------------------------------------------

#[tokio::test]
#[ignore = "needs etcd: set ETCD_BIN"]
async fn addresses_and_cname_give_way_to_each_other() {
    let etcd = Etcd::start();
    let (provider, mut client) = (etcd.open(etcd.options(&["example.com"])).await, etcd.client().await);
    create(&provider, [a("www.example.com", &["192.0.2.1", "192.0.2.2"])]).await;
    for _ in 0..2 {
        let snapshot = read(&provider).await;
        let away = Change::delete(entry(&snapshot, "www.example.com", &RrType::A));
        let there = Change::create(cname("www.example.com", "global.example.com"), snapshot.version.clone());
        assert!(apply(&provider, [away, there]).await.is_done());
        assert_eq!(paths(&mut client).await, ["/skydns/com/example/www"]);

        let snapshot = read(&provider).await;
        let away = Change::delete(entry(&snapshot, "www.example.com", &RrType::Cname));
        let there = Change::create(a("www.example.com", &["192.0.2.1", "192.0.2.2"]), snapshot.version.clone());
        let applied = apply(&provider, [away, there]).await;
        assert!(applied.is_done(), "{applied:?}");
        let keys = client.get("/skydns/com/example/www/", Some(GetOptions::new().with_prefix())).await.unwrap();
        let (Outcome::Done(set), Outcome::Done(gone)) =
            (outcome(&applied, "www.example.com", RrType::A), outcome(&applied, "www.example.com", RrType::Cname))
        else {
            panic!("{applied:?}")
        };
        assert_eq!(keys.kvs()[0].mod_revision().unsigned_abs(), set.revision);
        assert!(gone.revision > set.revision, "the CNAME goes in a later transaction");
        assert_eq!(paths(&mut client).await.len(), 2);
    }
}

#[tokio::test]
#[ignore = "needs etcd: set ETCD_BIN"]
async fn a_cname_left_beside_addresses_by_a_crash_is_read_as_ours_and_deleted() {
    let etcd = Etcd::start();
    let (provider, mut client) = (etcd.open(etcd.options(&["example.com"])).await, etcd.client().await);
    create(&provider, [cname("www.example.com", "global.example.com")]).await;
    let mut slow = etcd.options(&["example.com"]);
    slow.settle = Duration::from_hours(1);
    let dying = etcd.open(slow).await;
    let snapshot = read(&provider).await;
    let unit = ChangeSet::by_name([
        Change::delete(entry(&snapshot, "www.example.com", &RrType::Cname)),
        Change::create(a("www.example.com", &["192.0.2.1"]), snapshot.version.clone()),
    ]);
    let mut events = provider.watch(&zone(), &snapshot.version).await.unwrap();
    let (id, context) = (zone(), ApplyContext::default());
    tokio::select! {
        _ = dying.apply(&id, &unit, &context) => panic!("it waits for an hour"),
        event = events.next() => assert_eq!(event.unwrap().unwrap().owner, name("www.example.com")),
    }
    let snapshot = read(&provider).await;
    let left = entry(&snapshot, "www.example.com", &RrType::Cname);
    assert_eq!(left.data.claim_name(), Some("fed"));
    assert!(apply(&provider, [Change::delete(left)]).await.is_done());
    assert_eq!(paths(&mut client).await, ["/skydns/com/example/www/".to_owned() + &leaf_of("192.0.2.1")]);
}

fn leaf_of(text: &str) -> String {
    let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{hash:x}")
}

//----------- others' keys ---------------------------------------------------

#[tokio::test]
#[ignore = "needs etcd: set ETCD_BIN"]
async fn the_layout_of_v1_is_read_unclaimed_and_adopted_in_one_transaction() {
    let etcd = Etcd::start();
    let (provider, mut client) = (etcd.open(etcd.options(&["example.com"])).await, etcd.client().await);
    let group = r#""ttl":180,"group":"www.example.com.""#;
    put(&mut client, "/skydns/com/example/www/32965df3", &format!(r#"{{"host":"198.51.100.1",{group}}}"#)).await;
    for (leaf, target) in [("aaaa", "r1.example.com"), ("bbbb", "example.org.")] {
        let value = format!(r#"{{"host":"{target}","ttl":180,"group":"zone.example.com"}}"#);
        put(&mut client, &format!("/skydns/com/example/zone/{leaf}"), &value).await;
    }
    let snapshot = read(&provider).await;
    let (held, leaked) =
        (entry(&snapshot, "www.example.com", &RrType::A), entry(&snapshot, "zone.example.com", &RrType::Cname));
    assert_eq!(held.data, ClaimedSet::unclaimed(set("www.example.com", &RrType::A, 180, &["198.51.100.1"])));
    let adopted = [
        Change::update(held, a("www.example.com", &["198.51.100.1"])),
        Change::update(leaked, cname("zone.example.com", "www.example.com")),
    ];
    let before = client.get("x", None).await.unwrap().header().unwrap().revision();
    assert!(apply(&provider, adopted).await.is_done());
    assert_eq!(client.get("x", None).await.unwrap().header().unwrap().revision(), before + 1);
    assert_eq!(
        paths(&mut client).await,
        ["/skydns/com/example/www/32965df3", "/skydns/com/example/zone"],
        "every leaf of v1's CNAME is gone"
    );
    let snapshot = read(&provider).await;
    assert_eq!(entry(&snapshot, "www.example.com", &RrType::A).data, a("www.example.com", &["198.51.100.1"]));
    assert_eq!(snapshot.len(), 2);
}

#[tokio::test]
#[ignore = "needs etcd: set ETCD_BIN"]
async fn our_addresses_go_beside_foreign_leaves_and_never_over_them() {
    let etcd = Etcd::start();
    let (provider, mut client) = (etcd.open(etcd.options(&["example.com"])).await, etcd.client().await);
    let theirs = ("/skydns/com/example/www/32965df3", r#"{"host":"198.51.100.1","ttl":60,"group":"www.example.com"}"#);
    put(&mut client, theirs.0, theirs.1).await;
    put(&mut client, "/skydns/com/example/www/1a2b3c4d", r#"{"host":"192.0.2.9"}"#).await;
    create(&provider, [a("www.example.com", &["198.51.100.1"])]).await;
    assert!(keys(&mut client).await.contains(&(theirs.0.to_owned(), theirs.1.to_owned())));
    assert!(paths(&mut client).await.contains(&"/skydns/com/example/www/32965df3-2".to_owned()));

    let snapshot = read(&provider).await;
    let ours = snapshot.claimed(&name("www.example.com"), &RrType::A, "fed").unwrap();
    assert_eq!(ours.data, a("www.example.com", &["198.51.100.1"]));
    let more = a("www.example.com", &["198.51.100.1", "192.0.2.1"]);
    assert!(apply(&provider, [Change::update(ours, more)]).await.is_done());
    let snapshot = read(&provider).await;
    let ours = snapshot.claimed(&name("www.example.com"), &RrType::A, "fed").unwrap();
    assert!(apply(&provider, [Change::delete(ours)]).await.is_done());
    assert_eq!(paths(&mut client).await, ["/skydns/com/example/www/1a2b3c4d", theirs.0]);
}

#[tokio::test]
#[ignore = "needs etcd: set ETCD_BIN"]
async fn a_foreign_key_exactly_at_a_name_blocks_it() {
    let etcd = Etcd::start();
    let (provider, mut client) = (etcd.open(etcd.options(&["example.com"])).await, etcd.client().await);
    put(&mut client, "/skydns/com/example/www", r#"{"host":"192.0.2.9"}"#).await;
    let snapshot = read(&provider).await;
    assert_eq!(entry(&snapshot, "www.example.com", &RrType::A).blocks, dnsprovider::Blocks::Name);
    let applied = apply(&provider, [Change::create(a("www.example.com", &["192.0.2.1"]), snapshot.version)]).await;
    assert!(matches!(outcome(&applied, "www.example.com", RrType::A), Outcome::Conflict), "{applied:?}");
}

#[tokio::test]
#[ignore = "needs etcd: set ETCD_BIN"]
async fn two_addresses_with_one_hash_both_stand() {
    let etcd = Etcd::start();
    let (provider, mut client) = (etcd.open(etcd.options(&["example.com"])).await, etcd.client().await);
    let both = a("www.example.com", &["10.0.107.237", "10.2.219.40"]);
    create(&provider, [both.clone()]).await;
    assert_eq!(paths(&mut client).await.len(), 2);
    let snapshot = read(&provider).await;
    let held = entry(&snapshot, "www.example.com", &RrType::A);
    assert_eq!(held.data, both);
    assert!(apply(&provider, [Change::update(held, a("www.example.com", &["10.2.219.40"]))]).await.is_done());
    let snapshot = read(&provider).await;
    let held = entry(&snapshot, "www.example.com", &RrType::A);
    assert_eq!(held.data, a("www.example.com", &["10.2.219.40"]));
    assert!(apply(&provider, [Change::update(held, both.clone())]).await.is_done());
    assert_eq!(entry(&read(&provider).await, "www.example.com", &RrType::A).data, both);
}

//----------- size, fence ----------------------------------------------------

#[tokio::test]
#[ignore = "needs etcd: set ETCD_BIN"]
async fn a_large_set_is_put_first_and_trimmed_after() {
    let etcd = Etcd::start();
    let (provider, mut client) = (etcd.open(etcd.options(&["example.com"])).await, etcd.client().await);
    let addresses = |net: u8| (1..=100).map(|host| format!("10.0.{net}.{host}")).collect::<Vec<_>>();
    let large = |net| {
        let addresses = addresses(net);
        a("www.example.com", &addresses.iter().map(String::as_str).collect::<Vec<_>>())
    };
    create(&provider, [large(1)]).await;
    let snapshot = read(&provider).await;
    let held = entry(&snapshot, "www.example.com", &RrType::A);
    let applied = apply(&provider, [Change::update(held, large(2))]).await;
    assert!(applied.is_done(), "{applied:?}");
    assert_eq!(entry(&read(&provider).await, "www.example.com", &RrType::A).data, large(2));
    assert_eq!(paths(&mut client).await.len(), 100);
}

#[tokio::test]
#[ignore = "needs etcd: set ETCD_BIN"]
async fn ten_thousand_names_of_two_addresses_come_and_go_in_159_transactions_each() {
    let etcd = Etcd::start();
    let (provider, mut client) = (etcd.open(etcd.options(&["example.com"])).await, etcd.client().await);
    let name = |number: usize| format!("s{number}.test.ufp.svc.example.com");
    let before = client.get("x", None).await.unwrap().header().unwrap().revision();
    let sets = (0..10_000).map(|number| Change::create(a(&name(number), &["192.0.2.1", "192.0.2.2"]), Version::at(1)));
    assert!(apply(&provider, sets).await.is_done());
    assert_eq!(client.get("x", None).await.unwrap().header().unwrap().revision() - before, 159);
    let snapshot = read(&provider).await;
    assert_eq!(snapshot.len(), 10_000);
    let before = client.get("x", None).await.unwrap().header().unwrap().revision();
    let changed = (0..500).map(|number| {
        let name = name(number);
        Change::update(entry(&snapshot, &name, &RrType::A), a(&name, &["192.0.2.1", "192.0.2.3"]))
    });
    assert!(apply(&provider, changed).await.is_done());
    assert_eq!(client.get("x", None).await.unwrap().header().unwrap().revision() - before, 17);
    let names: Vec<_> = (0..500).map(|number| crate::name(&name(number))).collect();
    assert_eq!(provider.read_names(&zone(), &names).await.unwrap().len(), 500);
    let snapshot = read(&provider).await;
    let before = client.get("x", None).await.unwrap().header().unwrap().revision();
    assert!(apply(&provider, snapshot.iter().map(Change::delete)).await.is_done());
    assert_eq!(client.get("x", None).await.unwrap().header().unwrap().revision() - before, 159);
    assert!(keys(&mut client).await.is_empty());
}

#[tokio::test]
#[ignore = "needs etcd: set ETCD_BIN"]
async fn a_leader_that_lost_its_key_writes_nothing() {
    let etcd = Etcd::start();
    let (provider, mut client) = (etcd.open(etcd.options(&["example.com"])).await, etcd.client().await);
    put(&mut client, "/dns-syncd/leader", "me").await;
    let token = client.get("/dns-syncd/leader", None).await.unwrap().kvs()[0].create_revision().unsigned_abs();
    let context = ApplyContext { fence: Some(Fence { key: "/dns-syncd/leader".into(), token }), ..Default::default() };
    let create = |owner| ChangeSet::by_name([Change::create(a(owner, &["192.0.2.1"]), Version::at(1))]);
    assert!(provider.apply(&zone(), &create("one.example.com"), &context).await.unwrap().is_done());
    client.delete("/dns-syncd/leader", None).await.unwrap();
    put(&mut client, "/dns-syncd/leader", "other").await;
    let error = provider.apply(&zone(), &create("two.example.com"), &context).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    assert_eq!(read(&provider).await.len(), 1);
}

//----------- connection -----------------------------------------------------

#[tokio::test]
#[ignore = "needs etcd: set ETCD_BIN"]
async fn a_restart_of_etcd_heals_without_opening_anew() {
    let mut etcd = Etcd::start();
    let provider = etcd.open(etcd.options(&["example.com"])).await;
    create(&provider, [a("www.example.com", &["192.0.2.1"])]).await;
    let version = read(&provider).await.version;
    let mut events = provider.watch(&zone(), &version).await.unwrap();
    etcd.stop();
    let lost = events.next().await.unwrap().unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::Unavailable, "{lost}");
    assert!(events.next().await.is_none(), "an error ends the stream");
    let error = provider.read_zone(&zone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{}", error.chain());
    assert!(error.to_string().contains(&etcd.url()), "{error}");
    etcd.run();
    until(|| async { provider.read_zone(&zone()).await }).await;
    create(&provider, [a("other.example.com", &["192.0.2.1"])]).await;
    assert_eq!(read(&provider).await.len(), 2);
}

#[tokio::test]
#[ignore = "needs etcd: set ETCD_BIN"]
async fn an_endpoint_that_is_down_does_not_stop_the_others() {
    let etcd = Etcd::start();
    _ = etcd.client().await;
    let mut options = etcd.options(&["example.com"]);
    options.endpoints.insert(0, "127.0.0.1:1".to_owned());
    let provider = Chunked::new(CoreDns::connect(options).await.unwrap());
    create(&provider, [a("www.example.com", &["192.0.2.1"])]).await;
    assert_eq!(read(&provider).await.len(), 1);
}

#[tokio::test]
#[ignore = "needs etcd: set ETCD_BIN"]
async fn a_wrong_password_is_told_and_the_right_one_outlives_a_restart() {
    let mut etcd = Etcd::start();
    let mut client = etcd.client().await;
    client.user_add("root", "secret", None).await.unwrap();
    client.user_grant_role("root", "root").await.unwrap();
    client.auth_enable().await.unwrap();
    let mut options = etcd.options(&["example.com"]);
    let nobody = CoreDns::connect(options.clone()).await.unwrap_err();
    assert_eq!(nobody.kind(), ErrorKind::Unauthenticated, "{}", nobody.chain());
    let file = etcd.dir.path().join("password");
    std::fs::write(&file, "wrong\n").unwrap();
    options.login = Some(("root".to_owned(), SecretSource::File(file.clone())));
    let wrong = CoreDns::connect(options.clone()).await.unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::Unauthenticated, "{}", wrong.chain());
    assert!(!wrong.chain().contains("wrong"), "{}", wrong.chain());
    std::fs::write(&file, "secret\n").unwrap();
    let provider = etcd.open(options).await;
    create(&provider, [a("www.example.com", &["192.0.2.1"])]).await;
    etcd.stop();
    etcd.run();
    until(|| async { provider.read_zone(&zone()).await }).await;
    create(&provider, [a("other.example.com", &["192.0.2.1"])]).await;
}

#[tokio::test]
#[ignore = "needs etcd: set ETCD_BIN"]
async fn tls_takes_the_three_files_and_refuses_a_client_without_them() {
    let etcd = Etcd::start_with("https", |dir| {
        let file = |name: &str| dir.join(name).display().to_string();
        let openssl = |arguments: &[&str]| {
            let done = Command::new("openssl").args(arguments).stderr(Stdio::null()).status().expect("needs openssl");
            assert!(done.success(), "openssl {arguments:?}");
        };
        openssl(&[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=test",
            "-keyout",
            &file("ca.key"),
            "-out",
            &file("ca.pem"),
        ]);
        std::fs::write(dir.join("ext"), "subjectAltName=IP:127.0.0.1").unwrap();
        for who in ["server", "client"] {
            let (key, csr, pem) = (format!("{who}.key"), format!("{who}.csr"), format!("{who}.pem"));
            openssl(&[
                "req",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-subj",
                "/CN=root",
                "-keyout",
                &file(&key),
                "-out",
                &file(&csr),
            ]);
            openssl(&[
                "x509",
                "-req",
                "-days",
                "2",
                "-in",
                &file(&csr),
                "-CA",
                &file("ca.pem"),
                "-CAkey",
                &file("ca.key"),
                "-CAcreateserial",
                "-extfile",
                &file("ext"),
                "-out",
                &file(&pem),
            ]);
        }
        vec![
            format!("--cert-file={}", file("server.pem")),
            format!("--key-file={}", file("server.key")),
            format!("--trusted-ca-file={}", file("ca.pem")),
            "--client-cert-auth".to_owned(),
        ]
    });
    let file = |name: &str| etcd.dir.path().join(name);
    let mut options = etcd.options(&["example.com"]);
    options.tls = TlsFiles { identity: Some((file("client.pem"), file("client.key"))), ca: Some(file("ca.pem")) };
    // Without a scheme the files decide.
    options.endpoints = vec![etcd.url().trim_start_matches("https://").to_owned()];
    let provider = etcd.open(options.clone()).await;
    create(&provider, [a("www.example.com", &["192.0.2.1"])]).await;
    options.tls.identity = None;
    let refused = CoreDns::connect(options.clone()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable, "{}", refused.chain());
    options.tls.ca = Some(file("no-such.pem"));
    assert_eq!(CoreDns::connect(options).await.unwrap_err().kind(), ErrorKind::ConfigInvalid);
}

//----------- reading --------------------------------------------------------

#[tokio::test]
#[ignore = "needs etcd: set ETCD_BIN"]
async fn pages_give_each_name_once_and_whole_and_leave_nested_zones_out() {
    let etcd = Etcd::start();
    let mut client = etcd.client().await;
    let put_all = |keys: Vec<(String, String)>| {
        let mut client = client.clone();
        async move {
            for part in keys.chunks(100) {
                let puts = part.iter().map(|(key, value)| etcd_client::TxnOp::put(key.as_str(), value.as_str(), None));
                client.txn(etcd_client::Txn::new().and_then(puts.collect::<Vec<_>>())).await.unwrap();
            }
        }
    };
    let record = |host: &str, group: &str| format!(r#"{{"host":"{host}","ttl":60,"group":"{group}"}}"#);
    let mut all = Vec::new();
    // `www` and its leaves have 1,500 keys of `www-*` and 1,500 keys of names below it between them.
    all.push(("/skydns/com/example/www".to_owned(), record("target.example.com", "www.example.com")));
    for number in 0..1500 {
        all.push((
            format!("/skydns/com/example/www-{number}/1"),
            record("192.0.2.1", &format!("www-{number}.example.com")),
        ));
        all.push((
            format!("/skydns/com/example/www/b{number}/1"),
            record("192.0.2.1", &format!("b{number}.www.example.com")),
        ));
        all.push((
            format!("/skydns/com/example/nested/n{number}/1"),
            record("192.0.2.1", &format!("n{number}.nested.example.com")),
        ));
    }
    for (leaf, host) in [("a", "192.0.2.1"), ("c", "192.0.2.2")] {
        all.push((format!("/skydns/com/example/www/{leaf}"), record(host, "www.example.com")));
    }
    all.push(("/skydns/com/example/0a".to_owned(), record("192.0.2.7", "example.com")));
    all.push(("/skydns/com/example/zz".to_owned(), record("192.0.2.8", "example.com.")));
    all.push(("/skydns/com/example-2/x".to_owned(), "outside".to_owned()));
    put_all(all).await;

    let provider = etcd.open(etcd.options(&["example.com", "nested.example.com"])).await;
    let (mut cursor, mut seen, mut pages) = (None, std::collections::BTreeSet::new(), 0);
    loop {
        let page = provider.read_page(&zone(), cursor.as_ref()).await.unwrap();
        pages += 1;
        let here: std::collections::BTreeSet<_> = page.entries.iter().map(|entry| entry.key().owner.clone()).collect();
        assert!(here.is_disjoint(&seen), "a name spans two pages");
        seen.extend(here);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert!(pages >= 4);
    let snapshot = read(&provider).await;
    assert_eq!(snapshot.entries.len(), 1500 + 1500 + 1 + 1);
    assert_eq!(snapshot.at(&name("www.example.com")).len(), 2, "A and CNAME");
    assert_eq!(entry(&snapshot, "www.example.com", &RrType::A).data.set.records().len(), 2);
    assert_eq!(entry(&snapshot, "example.com", &RrType::A).data.set.records().len(), 2, "v1's apex");
    let nested = provider.read_zone(&ZoneId("1".into())).await.unwrap();
    assert_eq!(nested.len(), 1500);
    let outside = provider.read_names(&zone(), &[name("a.nested.example.com")]).await.unwrap_err();
    assert_eq!(outside.kind(), ErrorKind::InvalidInput);
    // A cursor outlives the history that it was made in.
    let first = provider.read_page(&zone(), None).await.unwrap();
    put(&mut client, "/skydns/com/example/new/1", &record("192.0.2.1", "new.example.com")).await;
    let now = client.get("x", None).await.unwrap().header().unwrap().revision();
    client.compact(now, None).await.unwrap();
    let second = provider.read_page(&zone(), first.next.as_ref()).await.unwrap();
    assert!(second.version.revision > first.version.revision);
}

#[tokio::test]
#[ignore = "needs etcd: set ETCD_BIN"]
async fn what_stands_at_the_apex_is_written_where_coredns_looks_first() {
    let etcd = Etcd::start();
    let (provider, mut client) = (etcd.open(etcd.options(&["example.com"])).await, etcd.client().await);
    create(&provider, [a("example.com", &["192.0.2.1"]), a("www.example.com", &["192.0.2.1"])]).await;
    assert!(paths(&mut client).await[0].starts_with("/skydns/com/example/dns/apex/"));
    let snapshot = provider.read_names(&zone(), &[name("example.com")]).await.unwrap();
    let held = entry(&snapshot, "example.com", &RrType::A);
    assert_eq!(held.data, a("example.com", &["192.0.2.1"]));
    assert!(apply(&provider, [Change::update(held, a("example.com", &["192.0.2.2"]))]).await.is_done());
    let snapshot = read(&provider).await;
    assert!(apply(&provider, [Change::delete(entry(&snapshot, "example.com", &RrType::A))]).await.is_done());
    assert_eq!(paths(&mut client).await.len(), 1);
}

#[tokio::test]
#[ignore = "needs etcd: set ETCD_BIN"]
async fn the_watch_names_owners_and_says_when_history_is_gone() {
    let etcd = Etcd::start();
    let (provider, mut client) = (etcd.open(etcd.options(&["example.com"])).await, etcd.client().await);
    let start = read(&provider).await.version;
    create(&provider, [a("www.example.com", &["192.0.2.1"])]).await;
    put(&mut client, "/skydns/com/example/www/zz", r#"{"host":"192.0.2.9"}"#).await;
    put(&mut client, "/skydns/com/example-2/x", "{}").await;
    client.delete("/skydns/com/example/www", Some(etcd_client::DeleteOptions::new().with_prefix())).await.unwrap();
    put(&mut client, "/skydns/com/example/last", "{}").await;
    let events: Vec<_> = provider.watch(&zone(), &start).await.unwrap().take(6).map(Result::unwrap).collect().await;
    let owners: Vec<_> = events.iter().map(|event| event.owner.to_string()).collect();
    let www = "www.example.com.";
    assert_eq!(owners[..3], [www, www, "zz.www.example.com."]);
    assert!(owners[3..5].contains(&www.to_owned()));
    assert_eq!(events[0].revision, start.revision + 1);
    let now = client.get("x", None).await.unwrap().header().unwrap().revision();
    client.compact(now, None).await.unwrap();
    let mut gone = match provider.watch(&zone(), &start).await {
        Ok(mut stream) => stream.next().await.unwrap().unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(gone.kind(), ErrorKind::Conflict, "{gone}");
    gone = provider.watch(&ZoneId("7".into()), &start).await.err().unwrap();
    assert_eq!(gone.kind(), ErrorKind::ZoneNotFound);
}

#[tokio::test]
#[ignore = "needs etcd: set ETCD_BIN"]
async fn a_server_with_a_smaller_limit_is_learned() {
    let etcd = Etcd::start_with("http", |_| vec!["--max-txn-ops=40".to_owned()]);
    let provider = etcd.open(etcd.options(&["example.com"])).await;
    let sets =
        (0..100).map(|number| Change::create(a(&format!("s{number}.example.com"), &["192.0.2.1"]), Version::at(1)));
    assert!(apply(&provider, sets).await.is_done());
    assert_eq!(provider.capabilities().limits.batch.operations, 32);
    assert_eq!(read(&provider).await.len(), 100);
}
