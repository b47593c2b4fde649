//! The embedded server as its clients and its operator see it.
#![cfg(feature = "embedded")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dns_providers::{OpenMode, Opened, ProviderConfig, Registry};
use dnsprovider::{
    Applied, ApplyContext, Change, ChangeSet, Claim, ClaimedSet, DnsProvider, DnsProviderExt, Error, ErrorKind, Fqdn,
    Outcome, RecordData, RrKey, RrSet, RrType, Ttl, Unit, Version, ZoneId,
};
use futures::TryStreamExt;
use hickory_net::client::{Client, ClientHandle};
use hickory_net::runtime::TokioRuntimeProvider;
use hickory_net::tcp::TcpClientStream;
use hickory_net::udp::UdpClientStream;
use hickory_net::xfer::DnsMultiplexer;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt as _;

const ZONE: &str = "example.com";

//----------- A server, and what is put into it -------------------------------

async fn open_as(mode: OpenMode, keys: &str) -> Result<Opened, Error> {
    let listen = if keys.contains("listen") { "" } else { "listen = 127.0.0.1:0\n" };
    let text = format!("[Global]\nzones = {ZONE}\n{listen}{keys}");
    let config = ProviderConfig { text: Some(text), file: "embedded.conf".to_owned(), home: None, mode };
    Registry::builtin().open("embedded", config).await
}

/// A server that answers.
async fn serving(keys: &str) -> Opened {
    let opened = open_as(OpenMode::Serve, keys).await.unwrap();
    opened.served.as_ref().unwrap().set_ready().await.unwrap();
    opened
}

fn data_dir(path: &Path) -> String {
    format!("data-dir = {}\n", path.display())
}

async fn close(opened: Opened) {
    opened.served.unwrap().shutdown().await;
}

fn zone_id() -> ZoneId {
    ZoneId("example.com.".into())
}

fn fqdn(text: &str) -> Fqdn {
    Fqdn::parse(&format!("{text}.{ZONE}")).unwrap()
}

/// Addresses, or the target of a CNAME.
fn set(owner: &str, data: &[&str]) -> ClaimedSet {
    let data: Vec<_> = data
        .iter()
        .map(|text| match (text.parse(), text.parse()) {
            (Ok(address), _) => RecordData::A(address),
            (_, Ok(address)) => RecordData::Aaaa(address),
            _ => RecordData::Cname(Fqdn::parse(text).unwrap()),
        })
        .collect();
    let rr_type = match data[0] {
        RecordData::A(_) => RrType::A,
        RecordData::Aaaa(_) => RrType::Aaaa,
        _ => RrType::Cname,
    };
    let set = RrSet::new(RrKey::new(fqdn(owner), rr_type), Ttl::from_secs(180).unwrap(), data).unwrap();
    let mut claim = Claim::without_credits("fed", "fed");
    claim.credits = set.records().iter().map(|_| ["c1".into(), "c2".into()].into()).collect();
    ClaimedSet { set, claim: Some(claim) }
}

/// What makes the sets all that stands at their names.
async fn replacing(provider: &dyn DnsProvider, sets: &[ClaimedSet]) -> ChangeSet {
    let owners: Vec<_> = sets.iter().map(|set| set.set.owner().clone()).collect();
    let held = provider.read_names(&zone_id(), &owners).await.unwrap();
    let wanted = |key: &RrKey| sets.iter().any(|set| set.set.key() == key);
    let mut changes: Vec<_> = held.iter().filter(|held| !wanted(held.key())).map(Change::delete).collect();
    changes.extend(sets.iter().map(|set| match held.get(set.set.key()) {
        Some(held) => Change::update(held, set.clone()),
        None => Change::create(set.clone(), Version::default()),
    }));
    ChangeSet::by_name(changes)
}

async fn apply(provider: &dyn DnsProvider, changes: &ChangeSet) -> Applied {
    provider.apply(&zone_id(), changes, &ApplyContext::default()).await.unwrap()
}

async fn put(opened: &Opened, sets: &[ClaimedSet]) {
    let changes = replacing(&*opened.provider, sets).await;
    assert!(apply(&*opened.provider, &changes).await.is_done());
}

async fn owners(opened: &Opened) -> Vec<String> {
    let snapshot = opened.provider.read_zone(&zone_id()).await.unwrap();
    snapshot.entries.keys().map(ToString::to_string).collect()
}

//----------- Clients ---------------------------------------------------------

fn udp(server: SocketAddr) -> Client<TokioRuntimeProvider> {
    let stream = UdpClientStream::builder(server, TokioRuntimeProvider::new()).build();
    let (client, background) = Client::from_sender(stream);
    tokio::spawn(background);
    client
}

async fn tcp(server: SocketAddr) -> Client<TokioRuntimeProvider> {
    let timeout = Some(Duration::from_secs(10));
    let (stream, sender) = TcpClientStream::new(server, None, timeout, TokioRuntimeProvider::new());
    let multiplexer = DnsMultiplexer::new(stream.await.unwrap(), sender);
    let (client, background) = Client::from_sender(multiplexer);
    tokio::spawn(background);
    client
}

/// The answer over UDP, which is the same over TCP but for rotation.
async fn ask(opened: &Opened, name: &str, record_type: RecordType) -> Message {
    let server = opened.endpoints[0];
    let name = Name::from_ascii(name).unwrap();
    let over_udp = udp(server).query(name.clone(), DNSClass::IN, record_type).await.unwrap();
    let over_tcp = tcp(server).await.query(name, DNSClass::IN, record_type).await.unwrap();
    assert_eq!(over_udp.metadata.response_code, over_tcp.metadata.response_code);
    assert_eq!(over_udp.answers.len(), over_tcp.answers.len());
    over_udp.into_message()
}

async fn code(opened: &Opened, name: &str) -> ResponseCode {
    ask(opened, name, RecordType::A).await.metadata.response_code
}

/// Sends octets and gives those that come back.
async fn send_raw(server: SocketAddr, request: &[u8]) -> Vec<u8> {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(request, server).await.unwrap();
    let mut response = vec![0; 65_535];
    let octets = tokio::time::timeout(Duration::from_secs(10), socket.recv(&mut response)).await.unwrap().unwrap();
    response.truncate(octets);
    response
}

fn query(name: &str, record_type: RecordType) -> Message {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), record_type));
    message
}

async fn send(server: SocketAddr, request: &Message) -> Message {
    Message::from_vec(&send_raw(server, &request.to_vec().unwrap()).await).unwrap()
}

fn texts(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| format!("{} {} {}", record.name, record.ttl, record.data)).collect()
}

/// The SOA of a negative answer: its TTL and its minimum.
fn negative_soa(message: &Message) -> (u32, u32) {
    match message.authorities.as_slice() {
        [record] => match &record.data {
            RData::SOA(soa) => (record.ttl, soa.minimum),
            other => panic!("{other} instead of an SOA"),
        },
        other => panic!("{other:?} instead of one SOA"),
    }
}

async fn serial(opened: &Opened) -> u32 {
    match &send(opened.endpoints[0], &query("example.com.", RecordType::SOA)).await.answers[0].data {
        RData::SOA(soa) => soa.serial,
        other => panic!("{other} instead of an SOA"),
    }
}

//----------- Answers ---------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn a_set_is_answered_from_the_query_after_its_change_on() {
    let opened = serving("nameserver = ns1.example.net\n").await;
    let name = "www.example.com.";
    assert_eq!(code(&opened, name).await, ResponseCode::NXDomain);
    put(&opened, &[set("www", &["192.0.2.1"]), set("www", &["2001:db8::1"])]).await;
    let answer = ask(&opened, name, RecordType::A).await;
    assert!(answer.metadata.authoritative && !answer.metadata.recursion_available);
    assert_eq!(texts(&answer.answers), ["www.example.com. 180 192.0.2.1"]);
    assert_eq!(texts(&ask(&opened, name, RecordType::AAAA).await.answers), ["www.example.com. 180 2001:db8::1"]);
    put(&opened, &[set("www", &["192.0.2.2"])]).await;
    assert_eq!(texts(&ask(&opened, name, RecordType::A).await.answers), ["www.example.com. 180 192.0.2.2"]);
    assert_eq!(ask(&opened, name, RecordType::AAAA).await.answers, []);
    let ns = ask(&opened, "example.com.", RecordType::NS).await;
    assert_eq!(texts(&ns.answers), ["example.com. 3600 ns1.example.net."]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_denied_with_the_soa() {
    let opened = serving("").await;
    put(&opened, &[set("a.b.c", &["192.0.2.1"])]).await;
    for (name, code) in [
        ("x.example.com.", ResponseCode::NXDomain),
        ("x.a.b.c.example.com.", ResponseCode::NXDomain),
        ("a.b.c.example.com.", ResponseCode::NoError),
        // Names with something below them exist.
        ("b.c.example.com.", ResponseCode::NoError),
        ("c.example.com.", ResponseCode::NoError),
        ("example.com.", ResponseCode::NoError),
    ] {
        let answer = ask(&opened, name, RecordType::AAAA).await;
        assert_eq!((answer.metadata.response_code, answer.answers.len()), (code, 0), "{name}");
        assert_eq!(negative_soa(&answer), (30, 30), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cnames_are_followed_inside_the_zone() {
    let opened = serving("").await;
    put(
        &opened,
        &[
            set("one", &["two.example.com."]),
            set("two", &["three.example.com."]),
            set("three", &["192.0.2.3"]),
            set("out", &["www.example.net."]),
            set("dangling", &["nowhere.example.com."]),
            set("ping", &["pong.example.com."]),
            set("pong", &["ping.example.com."]),
        ],
    )
    .await;
    let chain = ask(&opened, "one.example.com.", RecordType::A).await;
    assert_eq!(
        texts(&chain.answers),
        [
            "one.example.com. 180 two.example.com.",
            "two.example.com. 180 three.example.com.",
            "three.example.com. 180 192.0.2.3"
        ]
    );
    let no_data = ask(&opened, "one.example.com.", RecordType::AAAA).await;
    assert_eq!((no_data.answers.len(), negative_soa(&no_data)), (2, (30, 30)));
    assert_eq!(ask(&opened, "one.example.com.", RecordType::CNAME).await.answers.len(), 1);
    let out = ask(&opened, "out.example.com.", RecordType::A).await;
    assert_eq!(texts(&out.answers), ["out.example.com. 180 www.example.net."]);
    assert_eq!((out.metadata.response_code, out.authorities.len()), (ResponseCode::NoError, 0));
    let dangling = ask(&opened, "dangling.example.com.", RecordType::A).await;
    assert_eq!((dangling.metadata.response_code, dangling.answers.len()), (ResponseCode::NXDomain, 1));
    assert!(ask(&opened, "ping.example.com.", RecordType::A).await.answers.len() <= 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_take_turns_to_stand_first() {
    let opened = serving("").await;
    put(&opened, &[set("www", &["192.0.2.1", "192.0.2.2", "192.0.2.3"])]).await;
    let mut first = Vec::new();
    for _ in 0..6 {
        let answer = send(opened.endpoints[0], &query("www.example.com.", RecordType::A)).await;
        assert_eq!(answer.answers.len(), 3);
        first.push(answer.answers[0].data.to_string());
    }
    assert_eq!(first, ["192.0.2.1", "192.0.2.2", "192.0.2.3"].repeat(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_ours_to_answer_is_refused() {
    let opened = serving("").await;
    let server = opened.endpoints[0];
    for name in ["example.net.", ".", "com.", "wwwexample.com."] {
        let answer = ask(&opened, name, RecordType::A).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::Refused, "{name}");
        assert!(!answer.metadata.authoritative && answer.authorities.is_empty());
    }
    let mut chaos = query("example.com.", RecordType::TXT);
    chaos.queries[0].query_class = DNSClass::CH;
    assert_eq!(send(server, &chaos).await.metadata.response_code, ResponseCode::Refused);
    let mut notify = query("example.com.", RecordType::SOA);
    notify.metadata.op_code = OpCode::Notify;
    assert_eq!(send(server, &notify).await.metadata.response_code, ResponseCode::NotImp);
    let mut new_edns = query("example.com.", RecordType::SOA);
    let mut edns = Edns::new();
    edns.set_version(1);
    new_edns.set_edns(edns);
    let answer = send(server, &new_edns).await;
    // 16 is BADVERS (RFC 6891 §9); hickory reads it as BADSIG, which has the same number in TSIG.
    assert_eq!((u16::from(answer.metadata.response_code), answer.version()), (16, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn octets_that_are_no_query_are_answered_with_an_error_or_not_at_all() {
    let opened = serving("").await;
    let server = opened.endpoints[0];
    let good = query("example.com.", RecordType::SOA).to_vec().unwrap();
    // Cut; two questions promised; none; and a promise of very many.
    let (mut two, mut none, mut many) = (good.clone(), good[..12].to_vec(), good.clone());
    (two[5], none[5], many[4]) = (2, 0, 0xff);
    for bad in [&good[..good.len() - 1], &two, &none, &many] {
        let answer = send_raw(server, bad).await;
        assert_eq!((&answer[..2], answer[2] & 0x80, answer[3] & 0x0f), (&good[..2], 0x80, 1));
    }
    // Too short, and a response, which would bounce for ever: silence, then the answer to a good query.
    let mut response = good.clone();
    response[2] |= 0x80;
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for octets in [&good[..11], &[], &response, &good] {
        socket.send_to(octets, server).await.unwrap();
    }
    let mut answer = vec![0; 512];
    let octets = socket.recv(&mut answer).await.unwrap();
    assert_eq!(Message::from_vec(&answer[..octets]).unwrap().answers.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_ready_fails_so_that_another_is_asked() {
    let opened = open_as(OpenMode::Serve, "").await.unwrap();
    put(&opened, &[set("www", &["192.0.2.1"])]).await;
    let served = opened.served.clone().unwrap();
    assert!(!served.is_ready());
    for name in ["www.example.com.", "x.example.com.", "example.com."] {
        assert_eq!(code(&opened, name).await, ResponseCode::ServFail);
    }
    served.set_ready().await.unwrap();
    assert!(served.is_ready());
    assert_eq!(ask(&opened, "www.example.com.", RecordType::A).await.answers.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_too_long_is_asked_for_again_over_tcp() {
    let opened = serving("").await;
    let server = opened.endpoints[0];
    let many: Vec<_> = (0..200).map(|last| format!("192.0.2.{last}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    put(&opened, &[set("many", &many), set("some", &many[..40])]).await;
    let truncated = |message: &Message| (message.metadata.truncation, message.answers.len());
    let plain = query("some.example.com.", RecordType::A);
    assert_eq!(truncated(&send(server, &plain).await), (true, 0));
    let with_edns = |name: &str, octets: u16| {
        let mut message = query(name, RecordType::A);
        let mut edns = Edns::new();
        edns.set_max_payload(octets).set_dnssec_ok(true);
        message.set_edns(edns);
        message
    };
    let answer = send(server, &with_edns("some.example.com.", 1232)).await;
    assert_eq!(truncated(&answer), (false, 40));
    assert!(answer.edns.unwrap().flags().dnssec_ok);
    // Never more than passes everywhere, whatever the client offers; and never less than 512.
    assert_eq!(truncated(&send(server, &with_edns("many.example.com.", 65_000)).await), (true, 0));
    assert_eq!(truncated(&send(server, &with_edns("example.com.", 10)).await), (false, 0));
    let name = Name::from_ascii("many.example.com.").unwrap();
    let over_tcp = tcp(server).await.query(name, DNSClass::IN, RecordType::A).await.unwrap();
    assert_eq!(truncated(&over_tcp), (false, 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_found_in_any_case_and_come_back_as_they_were_asked() {
    let opened = serving("").await;
    put(&opened, &[set("www", &["192.0.2.1"])]).await;
    let answer = send(opened.endpoints[0], &query("wWw.eXample.COM.", RecordType::A)).await;
    assert_eq!(answer.queries[0].name.to_string(), "wWw.eXample.COM.");
    assert_eq!(texts(&answer.answers), ["wWw.eXample.COM. 180 192.0.2.1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_is_answered_with_one_set() {
    let opened = serving("").await;
    put(&opened, &[set("www", &["192.0.2.1", "192.0.2.2"]), set("www", &["2001:db8::1"])]).await;
    let answer = send(opened.endpoints[0], &query("www.example.com.", RecordType::ANY)).await;
    let types: BTreeSet<_> = answer.answers.iter().map(Record::record_type).collect();
    assert_eq!(types.len(), 1);
    let apex = send(opened.endpoints[0], &query("example.com.", RecordType::ANY)).await;
    assert_eq!(apex.answers[0].record_type(), RecordType::SOA);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_text_is_split_and_a_wildcard_stands_for_what_is_not_there() {
    let opened = serving("").await;
    let key = RrKey::new(fqdn("*.t"), RrType::Txt);
    let texts = [RecordData::txt("x".repeat(300)), RecordData::txt("")];
    let set = RrSet::new(key, Ttl::from_secs(1).unwrap(), texts).unwrap();
    put(&opened, &[ClaimedSet::unclaimed(set)]).await;
    let answer = send(opened.endpoints[0], &query("any.t.example.com.", RecordType::TXT)).await;
    let parts = |record: &Record| match &record.data {
        RData::TXT(text) => text.txt_data.iter().map(|part| part.len()).collect::<Vec<_>>(),
        other => panic!("{other} instead of a TXT"),
    };
    let lengths: BTreeSet<_> = answer.answers.iter().map(parts).collect();
    assert_eq!(lengths, BTreeSet::from([vec![0], vec![255, 45]]));
}

//----------- Transfer and serial ---------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_is_transferred_whole_to_those_who_may() {
    let opened = serving("allow-transfer = 192.0.2.0/24, 127.0.0.1\n").await;
    // Many times what fits into one message.
    let sets: Vec<_> = (0..3000).map(|n| set(&format!("n{n}"), &["192.0.2.1", "192.0.2.2"])).collect();
    put(&opened, &sets).await;
    let apex = Name::from_ascii("example.com.").unwrap();
    let messages = tcp(opened.endpoints[0]).await.zone_transfer(apex, None);
    let messages: Vec<_> = messages.try_collect().await.unwrap();
    assert!(messages.len() > 1);
    let records: Vec<_> = messages.into_iter().flat_map(|message| message.into_message().answers).collect();
    let count = |wanted| records.iter().filter(|record| record.record_type() == wanted).count();
    assert_eq!((count(RecordType::SOA), count(RecordType::NS), count(RecordType::A)), (2, 1, 6000));
    assert_eq!(records[0], records[records.len() - 1]);
    let over_udp = send(opened.endpoints[0], &query("example.com.", RecordType::AXFR)).await;
    assert_eq!(over_udp.metadata.response_code, ResponseCode::Refused);
    let name = Name::from_ascii("n1.example.com.").unwrap();
    let of_a_name = tcp(opened.endpoints[0]).await.query(name, DNSClass::IN, RecordType::AXFR).await.unwrap();
    assert_eq!(of_a_name.metadata.response_code, ResponseCode::NotAuth);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_is_not_transferred_to_others() {
    for keys in ["", "allow-transfer = 192.0.2.0/24\n"] {
        let opened = serving(keys).await;
        put(&opened, &[set("www", &["192.0.2.1"])]).await;
        let name = Name::from_ascii("example.com.").unwrap();
        let answer = tcp(opened.endpoints[0]).await.query(name, DNSClass::IN, RecordType::AXFR).await.unwrap();
        assert_eq!((answer.metadata.response_code, answer.answers.len()), (ResponseCode::Refused, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_serial_grows_with_every_change_and_over_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let started = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let opened = serving(&data_dir(folder.path())).await;
    let first = serial(&opened).await;
    assert!(u64::from(first) >= started);
    // Faster than the clock, so that a restart cannot hide behind it.
    for n in 0..200 {
        put(&opened, &[set("www", &[&format!("192.0.2.{n}")])]).await;
    }
    let last = serial(&opened).await;
    assert_eq!(last, first + 200);
    assert!(apply(&*opened.provider, &ChangeSet::default()).await.is_done());
    assert_eq!(serial(&opened).await, last);
    close(opened).await;
    let reopened = open_as(OpenMode::Serve, &data_dir(folder.path())).await.unwrap();
    assert!(serial(&reopened).await >= last);
}

//----------- Change as a whole -----------------------------------------------

static STOP: AtomicBool = AtomicBool::new(false);

/// Asks until it is stopped; gives every answer that it saw.
fn read_on(server: SocketAddr, name: &str) -> BTreeSet<String> {
    let request = query(name, RecordType::A).to_vec().unwrap();
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let (mut seen, mut response) = (BTreeSet::new(), vec![0; 512]);
    while !STOP.load(Ordering::Relaxed) {
        socket.send_to(&request, server).unwrap();
        let octets = socket.recv(&mut response).unwrap();
        let answer = Message::from_vec(&response[..octets]).unwrap();
        let mut data: Vec<_> = answer.answers.iter().map(|record| record.data.to_string()).collect();
        data.sort();
        seen.insert(format!("{} {}", answer.metadata.response_code, data.join(" ")));
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_never_see_half_of_a_change() {
    let opened = serving("").await;
    let server = opened.endpoints[0];
    let states = [
        [set("addresses", &["192.0.2.1", "192.0.2.2"]), set("kind", &["192.0.2.5"])],
        [set("addresses", &["192.0.2.3"]), set("kind", &["target.example.com."])],
    ];
    put(&opened, &[set("target", &["192.0.2.9"])]).await;
    put(&opened, &states[0]).await;
    let forth = replacing(&*opened.provider, &states[1]).await;
    put(&opened, &states[1]).await;
    let back = replacing(&*opened.provider, &states[0]).await;
    put(&opened, &states[0]).await;
    let readers = ["addresses.example.com.", "addresses.example.com.", "kind.example.com.", "kind.example.com."]
        .map(|name| std::thread::spawn(move || read_on(server, name)));
    for _ in 0..3000 {
        for changes in [&forth, &back] {
            assert!(apply(&*opened.provider, changes).await.is_done());
        }
    }
    STOP.store(true, Ordering::Relaxed);
    let seen = readers.map(|reader| reader.join().unwrap());
    let both = |texts: [&str; 2]| BTreeSet::from(texts.map(|text| format!("{} {text}", ResponseCode::NoError)));
    for addresses in &seen[..2] {
        assert_eq!(*addresses, both(["192.0.2.1 192.0.2.2", "192.0.2.3"]));
    }
    for kinds in &seen[2..] {
        assert_eq!(*kinds, both(["192.0.2.5", "192.0.2.9 target.example.com."]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_with_a_stale_change_changes_nothing() {
    let opened = serving("").await;
    put(&opened, &[set("www", &["192.0.2.1"])]).await;
    let before = serial(&opened).await;
    let stale = Change::create(set("www", &["192.0.2.2"]), Version::default());
    let fresh = Change::create(set("api", &["192.0.2.3"]), Version::default());
    let changes = ChangeSet { units: vec![Unit { changes: vec![fresh] }, Unit { changes: vec![stale] }] };
    let applied = apply(&*opened.provider, &changes).await;
    assert!(matches!(applied.outcomes[&RrKey::new(fqdn("www"), RrType::A)], Outcome::Conflict));
    assert!(matches!(applied.outcomes[&RrKey::new(fqdn("api"), RrType::A)], Outcome::NotTried));
    assert_eq!(code(&opened, "api.example.com.").await, ResponseCode::NXDomain);
    assert_eq!(serial(&opened).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_that_fits_no_answer_is_refused() {
    let opened = serving("").await;
    let addresses = (0..3000_u32).map(|n| RecordData::A((0x0a00_0000 + n).into()));
    let key = RrKey::new(fqdn("www"), RrType::A);
    let set = ClaimedSet::unclaimed(RrSet::new(key, Ttl::from_secs(1).unwrap(), addresses).unwrap());
    let changes = ChangeSet::by_name([Change::create(set, Version::default())]);
    let error = opened.provider.apply(&zone_id(), &changes, &ApplyContext::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
}

//----------- Data-dir --------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn the_zone_and_its_claims_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let keys = data_dir(folder.path());
    let opened = serving(&keys).await;
    let text = RrKey::new(fqdn("txt"), RrType::Txt);
    let text = RrSet::new(text, Ttl::from_secs(5).unwrap(), [RecordData::txt([0_u8, 255, b'"', b'\n'])]).unwrap();
    let sets = [
        set("www", &["192.0.2.1", "192.0.2.2"]),
        set("www", &["2001:db8::1"]),
        set("alias", &["www.example.com."]),
        set("gone", &["192.0.2.7"]),
        ClaimedSet::unclaimed(text),
    ];
    put(&opened, &sets).await;
    put(&opened, &[set("www", &["192.0.2.3"]), set("new", &["192.0.2.4"])]).await;
    let held = opened.provider.read_names(&zone_id(), &[fqdn("gone")]).await.unwrap();
    let delete = ChangeSet::by_name(held.iter().map(Change::delete));
    assert!(apply(&*opened.provider, &delete).await.is_done());
    let before = opened.provider.read_zone(&zone_id()).await.unwrap();
    assert_eq!(before.len(), 4);
    close(opened).await;

    let reopened = open_as(OpenMode::Serve, &keys).await.unwrap();
    assert_eq!(reopened.provider.read_zone(&zone_id()).await.unwrap(), before);
    assert!(reopened.served.as_ref().unwrap().is_ready());
    assert_eq!(ask(&reopened, "alias.example.com.", RecordType::A).await.answers.len(), 2);
    assert_eq!(code(&reopened, "gone.example.com.").await, ResponseCode::NXDomain);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_was_never_complete_is_not_answered_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let keys = data_dir(folder.path());
    let opened = open_as(OpenMode::Serve, &keys).await.unwrap();
    put(&opened, &[set("half", &["192.0.2.1"])]).await;
    close(opened).await;
    let reopened = open_as(OpenMode::Serve, &keys).await.unwrap();
    assert_eq!(owners(&reopened).await, ["half.example.com."]);
    assert!(!reopened.served.as_ref().unwrap().is_ready());
    reopened.served.as_ref().unwrap().set_ready().await.unwrap();
    close(reopened).await;
    assert!(open_as(OpenMode::Serve, &keys).await.unwrap().served.unwrap().is_ready());
}

/// A data-dir with `first` in its snapshot, `second` and `third` in its journal, not in use.
async fn written(folder: &Path) -> String {
    let keys = data_dir(folder);
    let opened = serving(&keys).await;
    put(&opened, &[set("first", &["192.0.2.1"])]).await;
    close(opened).await;
    let opened = serving(&keys).await;
    put(&opened, &[set("second", &["192.0.2.2"])]).await;
    put(&opened, &[set("third", &["192.0.2.3"])]).await;
    close(opened).await;
    keys
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_was_cut_at_any_octet_loses_no_finished_change() {
    let folder = tempfile::tempdir().unwrap();
    let keys = written(folder.path()).await;
    let path = folder.path().join("example.com.journal");
    let whole = std::fs::read(&path).unwrap();
    let first_line = whole.iter().position(|octet| *octet == b'\n').unwrap() + 1;
    for end in 0..=whole.len() {
        std::fs::write(&path, &whole[..end]).unwrap();
        let opened = open_as(OpenMode::ReadOnly, &keys).await.unwrap();
        let finished = 1 + usize::from(end >= first_line) + usize::from(end == whole.len());
        assert_eq!(owners(&opened).await.len(), finished, "cut at {end}");
    }
    // And what is left can be written to again.
    std::fs::write(&path, &whole[..whole.len() - 3]).unwrap();
    let opened = serving(&keys).await;
    put(&opened, &[set("fourth", &["192.0.2.4"])]).await;
    close(opened).await;
    let reopened = open_as(OpenMode::ReadOnly, &keys).await.unwrap();
    assert_eq!(owners(&reopened).await, ["first.example.com.", "fourth.example.com.", "second.example.com."]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let keys = written(folder.path()).await;
    for name in ["example.com.journal", "example.com.zone"] {
        let path = folder.path().join(name);
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(whole.split(|octet| *octet == b'\n').count(), 3);
        for place in (0..whole.len() - 1).filter(|place| whole[*place] != b'\n') {
            let mut damaged = whole.clone();
            damaged[place] ^= 1;
            std::fs::write(&path, &damaged).unwrap();
            let error = open_as(OpenMode::ReadOnly, &keys).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            assert!(error.chain().contains(name) && error.chain().contains("damaged"), "{}", error.chain());
        }
        std::fs::write(&path, &whole).unwrap();
    }
    // A snapshot is renamed when it is whole: one that was cut did not come from a crash.
    let path = folder.path().join("example.com.zone");
    let whole = std::fs::read(&path).unwrap();
    for end in 1..whole.len() {
        std::fs::write(&path, &whole[..end]).unwrap();
        assert!(open_as(OpenMode::ReadOnly, &keys).await.is_err(), "cut at {end}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_outlived_its_snapshot_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let keys = written(folder.path()).await;
    let path = folder.path().join("example.com.journal");
    let journal = std::fs::read(&path).unwrap();
    // The restart folds it into the snapshot; a crash before it was emptied leaves it there.
    let opened = serving(&keys).await;
    put(&opened, &[set("second", &["192.0.2.22"])]).await;
    close(opened).await;
    close(serving(&keys).await).await;
    std::fs::write(&path, &journal).unwrap();
    let reopened = open_as(OpenMode::ReadOnly, &keys).await.unwrap();
    let held = reopened.provider.read_names(&zone_id(), &[fqdn("second")]).await.unwrap();
    assert_eq!(held.iter().next().unwrap().data, set("second", &["192.0.2.22"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_journal_is_folded_into_the_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let opened = serving(&data_dir(folder.path())).await;
    let path = folder.path().join("example.com.journal");
    let (mut longest, mut round) = (0, 0_u8);
    loop {
        let sets: Vec<_> = (0..500).map(|n| set(&format!("n{n}"), &[&format!("192.0.2.{round}")])).collect();
        put(&opened, &sets).await;
        let octets = std::fs::metadata(&path).unwrap().len();
        if octets < longest {
            break;
        }
        longest = octets;
        round = round.checked_add(1).expect("the journal is folded long before");
    }
    let held = opened.provider.read_zone(&zone_id()).await.unwrap();
    close(opened).await;
    let reopened = open_as(OpenMode::ReadOnly, &data_dir(folder.path())).await.unwrap();
    assert_eq!(reopened.provider.read_zone(&zone_id()).await.unwrap(), held);
}

//----------- Modes -----------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn one_process_at_a_time_writes_a_data_dir_and_others_read_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let keys = data_dir(folder.path());
    let daemon = serving(&keys).await;
    put(&daemon, &[set("www", &["192.0.2.1"])]).await;
    for mode in [OpenMode::Serve, OpenMode::ReadWrite] {
        let error = open_as(mode, &keys).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.chain().contains("another process holds it"), "{}", error.chain());
    }
    let plan = open_as(OpenMode::ReadOnly, &keys).await.unwrap();
    assert_eq!(owners(&plan).await, ["www.example.com."]);
    assert!(plan.served.is_none() && plan.endpoints.is_empty());
    let changes = ChangeSet::by_name([Change::create(set("api", &["192.0.2.1"]), Version::default())]);
    let error = plan.provider.apply(&zone_id(), &changes, &ApplyContext::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    close(daemon).await;

    let command = open_as(OpenMode::ReadWrite, &keys).await.unwrap();
    put(&command, &[set("api", &["192.0.2.1"])]).await;
    drop(command);
    let daemon = open_as(OpenMode::Serve, &keys).await.unwrap();
    assert_eq!(owners(&daemon).await, ["api.example.com.", "www.example.com."]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_command_has_written_is_answered_by_the_daemon_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let keys = data_dir(folder.path());
    let command = open_as(OpenMode::ReadWrite, &keys).await.unwrap();
    put(&command, &[set("www", &["192.0.2.1"])]).await;
    drop(command);
    let daemon = open_as(OpenMode::Serve, &keys).await.unwrap();
    assert_eq!(ask(&daemon, "www.example.com.", RecordType::A).await.answers.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_data_dir_a_command_can_only_read_an_empty_zone() {
    let error = open_as(OpenMode::ReadWrite, "").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    assert!(error.to_string().contains("embedded.conf: [Global] needs `data-dir"), "{error}");
    let plan = open_as(OpenMode::ReadOnly, "").await.unwrap();
    assert_eq!(owners(&plan).await, [""; 0]);
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("absent");
    let plan = open_as(OpenMode::ReadOnly, &data_dir(&absent)).await.unwrap();
    assert_eq!(owners(&plan).await, [""; 0]);
    assert!(!absent.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_in_use_is_an_error_that_names_it() {
    let opened = serving("").await;
    let error = open_as(OpenMode::Serve, &format!("listen = {}\n", opened.endpoints[0])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let message = error.chain();
    assert!(message.contains(&format!("listening on `{}`", opened.endpoints[0])), "{message}");
    assert!(message.contains("embedded.conf"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_shutdown_the_address_is_free() {
    let opened = serving("").await;
    let server = opened.endpoints[0];
    // A connection that is open and silent does not hold it up.
    let _idle = tokio::net::TcpStream::connect(server).await.unwrap();
    close(opened).await;
    let again = open_as(OpenMode::Serve, &format!("listen = {server}\n")).await.unwrap();
    assert_eq!(again.endpoints, [server]);
}

#[tokio::test(flavor = "multi_thread")]
async fn config_errors_name_key_and_place() {
    for (text, message) in [
        ("", "embedded.conf: [Global] needs `zones = …`: the zones to serve, such as `example.com`"),
        ("[Global]\nzones = a..b", "embedded.conf:2:1: `zones` in [Global]: `a..b` is not a domain name"),
        (
            "[Global]\nzones = a\nallow-transfer = 192.0.2.0/33",
            "embedded.conf:3:1: `allow-transfer` in [Global]: `192.0.2.0/33` is not an address or a network such as \
             `192.0.2.0/24`",
        ),
        ("[Global]\nzone = a", "embedded.conf:2:1: unknown key `zone` in [Global]; did you mean `zones`?"),
    ] {
        let mode = OpenMode::Serve;
        let config = ProviderConfig { text: Some(text.to_owned()), file: "embedded.conf".to_owned(), home: None, mode };
        let error = Registry::builtin().open("embedded", config).await.unwrap_err();
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::ConfigInvalid, format!("embedded: {message}")));
    }
}

//----------- Any octets --------------------------------------------------------

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// A good query with octets of it replaced, cut off and put behind.
fn spoiled_query() -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    (changes, any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 0..40)).prop_map(
        |(changes, end, tail)| {
            let mut octets = query("a.example.com.", RecordType::ANY).to_vec().unwrap();
            for (place, octet) in changes {
                let place = place.index(octets.len());
                octets[place] = octet;
            }
            octets.truncate(end.index(octets.len() + 1));
            octets.extend(tail);
            octets
        },
    )
}

/// What a damaged zone file may look like: anything, lines whose checksums fit, or the octets of a good one.
fn saved() -> impl Strategy<Value = Vec<u8>> {
    let json = prop::sample::select(vec![
        r#"[{"revision":2,"serial":1,"complete":true},0]"#,
        r#"[{"revision":2,"serial":1,"complete":true},18446744073709551615]"#,
        r#"[{"revision":9223372036854775807,"serial":4294967295,"complete":true},1]"#,
        r#"{"revision":3,"serial":1,"complete":true,"names":[]}"#,
        r#"{"revision":9223372036854775807,"serial":1,"complete":true,"names":[{"name":"a.example.com.","sets":[]}]}"#,
        r#"{"name":"a.example.com.","sets":[{"ttl":60,"revision":9,"data":{"A":["192.0.2.1"]}}]}"#,
        r#"{"name":"a.example.com.","sets":[{"ttl":60,"revision":9,"data":{"A":["192.0.2.1"]},"claim":{"name":"f","federation":"f","credits":[["a"],[],["b"]]}}]}"#,
        r#"{"name":"a.example.com.","sets":[{"ttl":4294967295,"revision":9,"data":{"A":[]}}]}"#,
        r#"{"name":"a.example.com.","sets":[{"ttl":1,"revision":9,"data":{"CNAME":""}},{"ttl":1,"revision":1,"data":{"TXT":[[]]}}]}"#,
        r#"{"name":"elsewhere.test.","sets":[{"ttl":1,"revision":9,"data":{"AAAA":["::1","::1"]}}]}"#,
        r#"{"name":"","sets":[]}"#,
        "",
    ]);
    let line = json.prop_map(|json| {
        let sum = u64::from_be_bytes(Sha256::digest(json)[..8].try_into().unwrap());
        format!("{sum:016x} {json}\n").into_bytes()
    });
    let other = prop::collection::vec(any::<u8>(), 0..40).prop_map(|octets| [&octets[..], b"\n"].concat());
    let line = prop_oneof![4 => line, 1 => other];
    let torn = prop_oneof![4 => Just(Vec::new()), 1 => prop::collection::vec(any::<u8>(), 0..20)];
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..200),
        4 => (prop::collection::vec(line, 0..5), torn).prop_map(|(lines, tail)| [
            lines.concat(),
            tail
        ]
        .concat()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The server may be silent or say what is wrong, and then answers the next good query.
    #[test]
    fn no_octets_keep_the_server_from_the_next_answer(
        requests in prop::collection::vec(prop_oneof![prop::collection::vec(any::<u8>(), 0..600), spoiled_query()], 1..20),
    ) {
        runtime().block_on(async {
            let opened = serving("").await;
            put(&opened, &[set("a", &["192.0.2.1"])]).await;
            let server = opened.endpoints[0];
            let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
            for octets in &requests {
                socket.send_to(octets, server).await.unwrap();
                let mut stream = tokio::net::TcpStream::connect(server).await.unwrap();
                stream.write_all(&u16::try_from(octets.len()).unwrap().to_be_bytes()).await.unwrap();
                stream.write_all(octets).await.unwrap();
            }
            assert_eq!(ask(&opened, "a.example.com.", RecordType::A).await.answers.len(), 1);
            close(opened).await;
        });
    }

    /// The zone is read, or is damaged; a zone that was read can be written to and read again.
    #[test]
    fn no_saved_octets_make_the_server_panic(zone in saved(), journal in saved()) {
        runtime().block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let keys = data_dir(folder.path());
            std::fs::write(folder.path().join("example.com.zone"), &zone).unwrap();
            std::fs::write(folder.path().join("example.com.journal"), &journal).unwrap();
            let held = match open_as(OpenMode::ReadOnly, &keys).await {
                Ok(opened) => owners(&opened).await,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Unavailable, "{}", error.chain());
                    return;
                }
            };
            let opened = open_as(OpenMode::ReadWrite, &keys).await.unwrap();
            assert_eq!(owners(&opened).await, held);
            put(&opened, &[set("new", &["192.0.2.9"])]).await;
            drop(opened);
            let reopened = open_as(OpenMode::ReadOnly, &keys).await.unwrap();
            assert!(owners(&reopened).await.contains(&"new.example.com.".to_owned()));
        });
    }
}
