//! Keys to entries and back, without a store.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::sync::Arc;

use dnsprovider::{
    Blocks, Change, Claim, ClaimedSet, Credits, Entry, Fqdn, RecordData, RrKey, RrSet, RrType, Ttl, Version,
};
use proptest::prelude::*;

use super::convert::{self, Keys, Stored};
use super::crowd::Crowd;
use super::plan;
use super::short;
use super::wire::{Layout, leaf};

fn name(text: &str) -> Fqdn {
    Fqdn::parse(text).unwrap()
}

fn layout() -> Layout {
    Layout::new("/skydns", &name("example.com"), &[name("example.com"), name("sub.example.com")]).unwrap()
}

fn keys(all: &[(&str, &str)]) -> Keys {
    let stored = |value: &str| Stored { value: value.as_bytes().to_vec(), modified: 1 };
    all.iter().map(|(key, value)| (format!("/skydns/com/example{key}").into_bytes(), stored(value))).collect()
}

fn read(all: &[(&str, &str)]) -> Vec<Entry> {
    convert::entries(&layout(), &keys(all), 7, |_| true)
}

/// One line for each entry: owner, type, TTL, records, name on the claim, and whether it blocks its name.
fn lines(all: &[(&str, &str)]) -> Vec<String> {
    let line = |entry: Entry| {
        let set = &entry.data.set;
        let claim = entry.data.claim_name().map(|claim| format!(" {claim}")).unwrap_or_default();
        let blocks = if entry.blocks == Blocks::Name { " blocks" } else { "" };
        format!("{} {} {:?}{claim}{blocks}", set.key(), set.ttl(), set.records())
    };
    read(all).into_iter().map(line).collect()
}

#[test]
fn leaves_are_named_as_v1_named_them() {
    for (rdata, hash) in [
        ("198.51.100.1", "32965df3"),
        ("198.51.200.1", "c8f419e2"),
        ("198.51.150.1", "f376ae12"),
        ("10.10.10.10", "9007d795"),
        ("169.20.20.20", "5d277eb"),
        ("8.8.8.8", "28144429"),
        ("8.8.4.4", "9f682d9"),
        ("127.0.0.1", "8a3d11e"),
        ("10.0.0.150", "8fd048"),
        ("1.1.1.1", "3a5ea341"),
        ("2001:4860:4860::8888", "ed478cf0"),
    ] {
        assert_eq!(leaf(&RecordData::from(rdata.parse::<std::net::IpAddr>().unwrap())), hash, "{rdata}");
    }
    assert_eq!(leaf(&RecordData::Cname(name("nginx.test.ufp.svc.example.com"))), "ec34f287");
}

#[test]
fn names_are_keys_as_coredns_asks_for_them() {
    let layout = layout();
    for (owner, key) in [
        ("example.com", "/skydns/com/example"),
        ("nginx.test.ufp.svc.example.com", "/skydns/com/example/svc/ufp/test/nginx"),
        ("*.example.com", "/skydns/com/example/*"),
        ("a\\.b.example.com", "/skydns/com/example/a\\.b"),
        ("a\\064b.example.com", "/skydns/com/example/a\\@b"),
        ("a\\032b.example.com", "/skydns/com/example/a\\ b"),
        ("a\\001b.example.com", "/skydns/com/example/a\\001b"),
    ] {
        assert_eq!(layout.path(&name(owner)).as_deref(), Some(key));
        assert_eq!(layout.name(key), Some(name(owner)));
    }
    assert_eq!(layout.path(&name("a/b.example.com")), None);
}

/// Keys with their values, and the lines that they make.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);

#[test]
fn the_group_says_whose_record_a_key_is() {
    let mark = r#","dns-syncd":{"claim":"fed","federation":"f","clusters":["c"]}"#;
    let ours = format!(r#"{{"host":"192.0.2.1","ttl":60,"group":"www.example.com"{mark}}}"#);
    let table: &[Case<'_>] = &[
        (&[("/www/1", &ours)], &["www.example.com. A 60 [192.0.2.1] fed"]),
        (&[("/www/1", r#"{"host":"192.0.2.1","group":"WWW.Example.com."}"#)], &["www.example.com. A 300 [192.0.2.1]"]),
        (
            &[("/www/1", r#"{"host":"2001:db8::1","ttl":60,"group":"www.example.com"}"#), ("/www/2", &ours)],
            &["www.example.com. A 60 [192.0.2.1] fed", "www.example.com. AAAA 60 [2001:db8::1]"],
        ),
        (&[("/www", r#"{"host":"a.b","ttl":60,"group":"www.example.com"}"#)], &["www.example.com. CNAME 60 [a.b.]"]),
        (&[("/www/1", r#"{"host":"a.b","ttl":60,"group":"www.example.com"}"#)], &["www.example.com. CNAME 60 [a.b.]"]),
        (&[("/www/1", r#"{"text":"a b","ttl":60,"group":"www.example.com"}"#)], &["www.example.com. TXT 60 [a b]"]),
        (&[("/www/1", r#"{"host":"192.0.2.1","ttl":60}"#)], &["1.www.example.com. A 60 [192.0.2.1] blocks"]),
        (
            &[("/www", r#"{"host":"192.0.2.1","ttl":60,"group":"www.example.com"}"#)],
            &["www.example.com. A 60 [192.0.2.1] blocks"],
        ),
        (
            &[("/www/1", r#"{"host":"192.0.2.1","ttl":60,"group":"other.example.com"}"#)],
            &["1.www.example.com. A 60 [192.0.2.1] blocks"],
        ),
        (
            &[("/www/1", r#"{"host":"a.b","mail":true,"group":"www.example.com"}"#)],
            &[r#"1.www.example.com. KEY 300 [{"host":"a.b","mail":true,"group":"www.example.com"}] blocks"#],
        ),
        (&[("/www", "no json")], &["www.example.com. KEY 300 [no json] blocks"]),
        (&[("/www/a b", "no name")], &["www.example.com. KEY 300 [no name]"]),
        (&[("/www//x", "no name")], &["www.example.com. KEY 300 [no name]"]),
        (&[("/dns/apex/1", r#"{"host":"192.0.2.1","group":"example.com"}"#)], &["example.com. A 300 [192.0.2.1]"]),
        (&[("/1", r#"{"host":"192.0.2.1","group":"example.com"}"#)], &["example.com. A 300 [192.0.2.1]"]),
        (
            &[("/dns/apex/1", r#"{"host":"192.0.2.1","group":"apex.dns.example.com"}"#)],
            &["apex.dns.example.com. A 300 [192.0.2.1]"],
        ),
        (&[("/sub/www/1", &ours), ("/sub", &ours), ("-2/www", &ours)], &[]),
    ];
    for (keys, expected) in table {
        assert_eq!(lines(keys), *expected);
    }
}

#[test]
fn a_key_in_another_spelling_than_ours_is_no_record_of_the_name_above_it() {
    // Longer, shorter or as long as the key that CoreDNS asks for: it is never asked for.
    for (key, group) in [(r#"/""""#, r#"\"\"\"\""#), (r"/a\032b", r"a\\032b"), ("/WWW", "www")] {
        let value = format!(r#"{{"host":"192.0.2.1","ttl":60,"group":"{group}.example.com"}}"#);
        for leaf in ["1", ""] {
            let entries = read(&[(&format!("{key}/{leaf}"), &value)]);
            assert_eq!(entries.len(), 1, "{key}/{leaf}");
            let blocks = if leaf.is_empty() { Blocks::AsDns } else { Blocks::Name };
            assert_eq!(entries[0].blocks, blocks, "{key}/{leaf}");
            assert!(entries[0].data.set.is_opaque() || entries[0].key().owner.as_str().starts_with("1."));
        }
    }
}

#[test]
fn a_set_with_two_ttls_has_the_smaller_and_differs_from_what_credits_it() {
    let key = |host, ttl| {
        format!(
            r#"{{"host":"{host}","ttl":{ttl},"group":"www.example.com","dns-syncd":{{"claim":"fed","federation":"f","clusters":["c"]}}}}"#
        )
    };
    let held = read(&[("/www/1", &key("192.0.2.1", 60)), ("/www/2", &key("192.0.2.2", 180))]).remove(0);
    assert_eq!(held.data.set.ttl(), Ttl::from_secs(60).unwrap());
    assert_eq!(held.data.claim.as_ref().unwrap().credits_of(0), &["c".into()]);
    assert!(held.data.claim.as_ref().unwrap().credits_of(1).is_empty());
    // The plan that credits both again writes the deviating key alone.
    let mut after = held.data.clone();
    let credits: Credits = Arc::new(["c".into()]);
    after.claim.as_mut().unwrap().credits = Arc::new([credits.clone(), credits]);
    let owner = name("www.example.com");
    let plan = plan::name(&layout(), &owner, &[&Change::update(&held, after)], None, &Crowd::default()).unwrap();
    assert_eq!(plan.puts, [("/skydns/com/example/www/2".to_owned(), key("192.0.2.2", 60))]);
    assert!(plan.deletes.is_empty());
}

#[test]
fn only_keys_that_change_are_written_and_claims_of_others_stay() {
    let value = |claim, cluster| {
        format!(
            r#"{{"host":"192.0.2.1","ttl":60,"group":"www.example.com","dns-syncd":{{"claim":"{claim}","federation":"f","clusters":["{cluster}"]}}}}"#
        )
    };
    let leaf = leaf(&RecordData::A("192.0.2.1".parse().unwrap()));
    let held = read(&[(&format!("/www/{leaf}"), &value("ours", "c")), ("/www/f00-2", &value("theirs", "d"))]);
    assert_eq!(held.iter().map(|entry| entry.data.claim_name().unwrap()).collect::<Vec<_>>(), ["ours", "theirs"]);
    let plan = |entry: &Entry, after: Option<ClaimedSet>| {
        let change = Change { after, ..Change::delete(entry) };
        plan::name(&layout(), &name("www.example.com"), &[&change], None, &Crowd::default()).unwrap()
    };
    let same = plan(&held[0], Some(held[0].data.clone()));
    assert_eq!((same.puts.len(), same.deletes.len()), (0, 0));
    assert_eq!(plan(&held[1], None).deletes, ["/skydns/com/example/www/f00-2"]);
    assert_eq!(plan(&held[0], None).deletes, [format!("/skydns/com/example/www/{leaf}")]);
}

//----------- laws -----------------------------------------------------------

fn addresses() -> impl Strategy<Value = (RrType, BTreeSet<RecordData>)> {
    let v4 = prop::collection::btree_set(any::<u32>().prop_map(|bits| RecordData::A(bits.into())), 1..8);
    let v6 =
        prop::collection::btree_set(any::<u128>().prop_map(|bits| RecordData::Aaaa((bits | 1 << 127).into())), 1..8);
    let text = prop::collection::vec(any::<u8>(), 1..40).prop_map(RecordData::txt);
    prop_oneof![
        v4.prop_map(|records| (RrType::A, records)),
        v6.prop_map(|records| (RrType::Aaaa, records)),
        prop::collection::btree_set(text, 1..4).prop_map(|records| (RrType::Txt, records)),
        "[a-z]{1,8}\\.example\\.org"
            .prop_map(|target| (RrType::Cname, BTreeSet::from([RecordData::Cname(name(&target))]))),
    ]
}

prop_compose! {
    fn claimed_set()(
        (rr_type, records) in addresses(),
        owner in "([a-z0-9*_-]{1,10}\\.){1,4}example\\.com",
        ttl in 1u32..=0x7fff_ffff,
        credits in prop::collection::vec(prop::collection::vec("[a-z]{1,3}", 0..3), 0..9),
        marks in ("[ -~]{1,10}", "[ -~]{0,10}"),
        claimed in any::<bool>(),
    ) -> ClaimedSet {
        let set = RrSet::new(RrKey::new(name(&owner), rr_type), Ttl::from_secs(ttl).unwrap(), records).unwrap();
        let credits: Vec<Credits> = credits.into_iter().take(set.records().len())
            .map(|clusters| clusters.into_iter().map(Arc::from).collect()).collect();
        let claim = claimed.then(|| Claim { name: marks.0.into(), federation: marks.1.into(), credits: credits.into() });
        ClaimedSet { set, claim }
    }
}

proptest! {
    /// What is written is what is read, claims and credits included.
    #[test]
    fn a_written_set_reads_back_as_itself(held in claimed_set()) {
        let layout = layout();
        prop_assume!(layout.holds(held.set.owner()) && *held.set.owner() != layout.apex);
        let owner = held.set.owner().clone();
        let create = Change::create(held.clone(), Version::at(1));
        let plan = plan::name(&layout, &owner, &[&create], None, &Crowd::default()).unwrap();
        let keys: Keys = plan.puts.iter()
            .map(|(key, value)| (key.clone().into_bytes(), Stored { value: value.clone().into_bytes(), modified: 1 }))
            .collect();
        let entries = convert::entries(&layout, &keys, 1, |_| true);
        prop_assert_eq!(entries.len(), 1);
        prop_assert_eq!(&entries[0].data, &held);
        prop_assert_eq!(entries[0].blocks, Blocks::AsDns);
        // And taking it away leaves nothing.
        let delete = Change::delete(&entries[0]);
        let plan = plan::name(&layout, &owner, &[&delete], None, &Crowd::default()).unwrap();
        let deleted: BTreeSet<_> = plan.deletes.into_iter().map(String::into_bytes).collect();
        prop_assert_eq!(deleted, keys.keys().cloned().collect::<BTreeSet<_>>());
    }

    /// A set that comes or goes alone is planned like any other change, and costs what its plan costs.
    #[test]
    fn the_short_plan_of_a_set_is_the_long_one(held in claimed_set(), goes in any::<bool>()) {
        let layout = layout();
        prop_assume!(layout.holds(held.set.owner()));
        prop_assume!(*held.set.owner() != layout.apex || *held.set.rr_type() != RrType::Cname);
        let owner = held.set.owner().clone();
        let entry = Entry { data: held.clone(), version: Version::at(7), blocks: Blocks::AsDns };
        let change = if goes { Change::delete(&entry) } else { Change::create(held, Version::at(7)) };
        let long = plan::general(&layout, &owner, &[&change], None).unwrap();
        let short = short::plan(&layout, &change).unwrap();
        prop_assert_eq!(format!("{short:?}"), format!("{long:?}"));
        for limit in [4, 128] {
            let (long, short) = (long.cost(limit), short::counted(&layout, &change, limit));
            let Some(short) = short else { continue };
            prop_assert_eq!((short.operations, short.compares), (long.operations, long.compares));
            prop_assert!(short.octets >= long.octets, "{} octets, not {}", long.octets, short.octets);
        }
    }

    /// No key or value of anybody makes a read fail, and no key of the zone is lost.
    #[test]
    fn any_store_can_be_read(
        all in prop::collection::vec((
            prop_oneof![prop::collection::vec(any::<u8>(), 0..40), "(/[a-z.]{0,3}){0,4}".prop_map(String::into_bytes)],
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                "\\{\"host\":\"([a-z.]{0,6}|1\\.1\\.1\\.[0-9]{1,3})\",\"group\":\"[a-z.]{0,3}(example\\.com)?\",\"ttl\":[0-9]{1,12}\\}".prop_map(String::into_bytes),
            ],
        ), 0..12),
    ) {
        let layout = layout();
        let keys: Keys = all.into_iter()
            .map(|(key, value)| ([b"/skydns/com/example/x", &*key].concat(), Stored { value, modified: 1 })).collect();
        let entries = convert::entries(&layout, &keys, 1, |_| true);
        for (key, stored) in &keys {
            let Some(placed) = convert::place(&layout, key, &stored.value) else { continue };
            prop_assert!(entries.iter().any(|entry| entry.key().owner == placed.owner));
        }
    }
}
