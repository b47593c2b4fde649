//! Pages, names and zones, and how many calls they take.

use std::collections::BTreeSet;

use dns_conformance::fakes::faults::Fault;
use dns_conformance::fakes::route53::{Element, RecordSet, errors};
use dnsprovider::{DnsProvider, DnsProviderExt, ErrorKind, Fqdn, RecordData, ZoneId};

use super::world::{APEX, World, creations, key, name, options};

fn full(owner: &str) -> String {
    format!("{owner}.{APEX}")
}

/// Puts so many weighted A sets at a name.
fn weighted(world: &World, owner: &str, count: usize) {
    for n in 0..count {
        let set = RecordSet::simple(&full(owner), "A", 60, [format!("192.0.2.{n}")]);
        world.fake.put(&world.id, set.routed(&format!("id-{n:03}"), Element::text("Weight", "1")));
    }
}

#[tokio::test]
async fn no_name_spans_two_pages_however_small_they_are() {
    for page in 1..8 {
        let world = World::new().await;
        world.fake.limits(|limits| limits.page_most = page);
        weighted(&world, "many", 11);
        for owner in ["a", "a-b", "b.a", "*.wild", "many", "z"] {
            world.fake.put(&world.id, RecordSet::simple(&full(owner), "TXT", 60, ["\"x\""]));
            world.fake.put(&world.id, RecordSet::simple(&full(owner), "AAAA", 60, ["2001:db8::1"]));
        }
        let (mut seen, mut sets, mut cursor) = (BTreeSet::new(), 0, None);
        loop {
            let page = world.host.read_page(&world.zone, cursor.as_ref()).await.expect("a page");
            let owners: BTreeSet<_> = page.entries.iter().map(|entry| entry.key().owner.clone()).collect();
            assert!(owners.is_disjoint(&seen), "{owners:?} after {seen:?}");
            assert!(!owners.is_empty(), "an empty page");
            sets += page.entries.len();
            seen.extend(owners);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!((seen.len(), sets), (7, 2 + 6 * 2 + 1), "{page} sets a page");
    }
}

#[tokio::test]
async fn what_is_more_than_a_set_is_told_and_opaque() {
    let world = World::new().await;
    weighted(&world, "many", 3);
    world.fake.put(&world.id, RecordSet::alias(&full("alias"), "AAAA", "Z2FDTNDATAQYW2", "d1.cloudfront.net"));
    world.fake.put(&world.id, RecordSet::simple(&full("mail"), "MX", 60, ["10 mail.example."]));
    world.fake.put(&world.id, RecordSet::simple(&full("odd"), "TXT", 60, ["not quoted"]));
    let several = RecordSet::simple(&full("weighted"), "CNAME", 60, ["a.example."]);
    world.fake.put(&world.id, several.clone().routed("1", Element::text("Weight", "1")));
    world.fake.put(&world.id, several.routed("2", Element::text("Weight", "2")));
    let read = world.read().await;
    let records = |owner, rr_type| {
        let set = read.get(&key(owner, rr_type)).map(|entry| entry.data.set.clone()).expect("it is there");
        assert!(set.is_opaque(), "{set:?}");
        set.records().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(records("many", "A")[1], "set identifier id-001, weight 1: 192.0.2.1");
    assert_eq!(records("many", "A").len(), 3);
    assert_eq!(records("alias", "AAAA"), ["alias of d1.cloudfront.net"]);
    assert_eq!(records("mail", "MX"), ["10 mail.example."]);
    assert_eq!(records("odd", "TXT"), ["not quoted"]);
    assert_eq!(records("weighted", "CNAME").len(), 1);
    assert_eq!(read.at(&Fqdn::parse(APEX).expect("a name")).len(), 2, "SOA and NS");
}

#[tokio::test]
async fn one_name_is_one_small_call_and_never_the_zone() {
    let world = World::new().await;
    world.apply(&creations(900)).await;
    world.fake.control().forget_calls();
    for (owner, sets) in [("s500", 1), ("absent", 0)] {
        let read = world.host.read_names(&world.zone, &[name(owner)]).await.expect("it can be read");
        assert_eq!(read.len(), sets, "{owner}");
    }
    let calls = world.fake.control().calls();
    assert_eq!(calls.len(), 2);
    assert!(calls.iter().all(|call| call.request.query("maxitems") == Some("20")), "{calls:?}");
}

#[tokio::test]
async fn many_names_take_as_many_calls_as_the_pages_that_hold_them() {
    let world = World::new().await;
    world.apply(&creations(900)).await;
    let names: Vec<_> = (0..900).map(|n| name(&format!("s{n}"))).collect();
    for (wanted, most) in [(&names[..], 4), (&names[100..200], 1), (&[names[0].clone(), names[899].clone()][..], 2)] {
        world.fake.control().forget_calls();
        let read = world.host.read_names(&world.zone, wanted).await.expect("they can be read");
        assert_eq!(read.len(), wanted.len());
        assert!(world.lists() <= most, "{} calls for {} names", world.lists(), wanted.len());
    }
}

/// `-` sorts before the dot behind a label, a wildcard comes back as `\052`, and some of the names are not there.
#[tokio::test]
async fn names_are_found_whatever_their_order() {
    for page in [1, 2, 3, 300] {
        let world = World::new().await;
        world.fake.limits(|limits| limits.page_most = page);
        let there = ["www", "www-2", "www2", "a.www", "*.www", "*", "w", "a\\047b", "z.a", "_x.www-2", "a\\.b.www"];
        let absent = ["ww", "www-1", "www-3", "*.w", "b.www", "zz", "a\\047c", "aa"];
        for owner in there {
            let host_name = owner.replace("\\047", "\\057").replace("\\.", "\\056"); // octal there
            world.fake.put(&world.id, RecordSet::simple(&full(&host_name), "A", 60, ["192.0.2.1"]));
            world.fake.put(&world.id, RecordSet::simple(&full(&host_name), "TXT", 60, ["\"x\""]));
        }
        weighted(&world, "www", 5);
        world.fake.remove(&world.id, &full("www"), "A");
        let names: Vec<_> = there.iter().chain(&absent).map(|owner| name(owner)).collect();
        let read = world.host.read_names(&world.zone, &names).await.expect("they can be read");
        let found: BTreeSet<_> = read.entries.keys().cloned().collect();
        assert_eq!(found, there.iter().map(|owner| name(owner)).collect(), "{page} sets a page");
        assert!(read.entries.values().all(|sets| sets.len() == 2), "{read:?}");
        for owner in there.iter().chain(&absent) {
            let alone = world.host.read_names(&world.zone, &[name(owner)]).await.expect("it can be read");
            assert_eq!(alone.at(&name(owner)), read.at(&name(owner)), "{owner}");
            assert_eq!(alone.entries.len(), usize::from(there.contains(owner)), "{owner}");
        }
    }
}

#[tokio::test]
async fn a_name_with_more_sets_than_a_page_is_read_whole() {
    let world = World::new().await;
    weighted(&world, "many", 50);
    world.fake.control().forget_calls();
    let read = world.host.read_names(&world.zone, &[name("many")]).await.expect("it can be read");
    let set = &read.get(&key("many", "A")).expect("it is there").data.set;
    assert_eq!((set.records().len(), world.lists()), (50, 3));
    assert!(set.records().iter().all(|record| matches!(record, RecordData::Opaque(_))));
}

#[tokio::test]
async fn zones_of_one_name_are_told_apart_and_take_one_call() {
    let world = World::new().await;
    let private = world.fake.create_zone(APEX, true);
    for n in 0..250 {
        world.fake.create_zone(&format!("z{n}.test"), false);
    }
    world.fake.create_zone(&format!("www{APEX}"), false);
    let apex = Fqdn::parse(APEX).expect("a name");
    let zones = world.host.zones(Some(&apex)).await.expect("they are listed");
    let told: BTreeSet<_> = zones.iter().map(|zone| (&*zone.id.0, zone.private)).collect();
    assert_eq!(told, BTreeSet::from([(&*world.id, false), (&*private, true)]));
    assert_eq!(
        world.fake.control().counts().into_iter().collect::<Vec<_>>(),
        [("ListHostedZonesByName".to_owned(), 1)]
    );
    assert_eq!(world.host.zones(None).await.expect("all are listed").len(), 253);
    assert_eq!(world.fake.control().count("ListHostedZones"), 3, "a hundred a page");

    let found = world.host.find_zone(Some(&apex), Some(&ZoneId(private.as_str().into()))).await.expect("by its id");
    assert!(found.private);
    let both = world.host.find_zone(Some(&apex), None).await.expect_err("two match");
    assert!(both.to_string().contains(&private), "{both}");
}

#[tokio::test]
async fn many_zones_of_one_name_are_all_listed() {
    let world = World::new().await;
    world.fake.limits(|limits| limits.zones_page = 2);
    for private in [true, false, true, false] {
        world.fake.create_zone(APEX, private);
    }
    world.fake.create_zone("zzz.test", false);
    let zones = world.host.zones(Some(&Fqdn::parse(APEX).expect("a name"))).await.expect("they are listed");
    assert_eq!(zones.len(), 5);
}

/// Policies written for other tools know `ListHostedZones` alone.
#[tokio::test]
async fn without_the_right_to_look_for_a_name_all_are_listed() {
    let world = World::new().await;
    let apex = Fqdn::parse(APEX).expect("a name");
    world.fake.create_zone("other.test", false);
    world.fake.deny("ListHostedZonesByName", None);
    assert_eq!(world.host.zones(Some(&apex)).await.expect("the other list serves").len(), 1);
    world.fake.deny("ListHostedZones", None);
    let error = world.host.zones(Some(&apex)).await.expect_err("no list at all");
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.to_string().contains("`route53:ListHostedZones` on `*`"), "{error}");
}

/// Who is given an id needs no right to list zones.
#[tokio::test]
async fn a_zone_known_by_id_alone_is_used_with_the_rights_on_its_sets() {
    let world = World::new().await;
    for operation in ["ListHostedZones", "ListHostedZonesByName", "GetHostedZone"] {
        world.fake.deny(operation, None);
    }
    let host = dns_providers::route53::Route53::new(&options(&world.fake.url())).await.expect("the options are right");
    let outside = Fqdn::parse("elsewhere.test").expect("a name");
    let error = host.read_names(&world.zone, &[outside]).await.expect_err("it is outside");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let applied = host.apply(&world.zone, &creations(2), &dnsprovider::ApplyContext::default()).await;
    assert!(applied.expect("it is applied").is_done());
    assert_eq!(world.lists(), 1, "the zone's name was asked for once");
}

#[tokio::test]
async fn a_zone_that_still_holds_sets_is_kept() {
    let world = World::new().await;
    world.apply(&creations(1)).await;
    let error = world.host.delete_zone(&world.zone).await.expect_err("it holds a set");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(world.fake.zones().len(), 1);
}

/// AWS raises the quota of a zone on request: what it granted counts, and it is asked for once.
#[tokio::test]
async fn a_zone_tells_how_many_sets_it_may_hold() {
    let world = World::new().await;
    let allowed = |world: &World| world.host.capabilities().limits.sets_per_zone;
    assert_eq!(allowed(&world), Some(10_000), "before it was read");
    world.fake.limits(|limits| limits.sets_per_zone = 50_000);
    // Who is turned away asks with the next read.
    world.fake.control().add(Fault::answer(errors::internal_failure()).on("GetHostedZoneLimit"));
    for expected in [10_000, 50_000, 50_000] {
        world.read().await;
        assert_eq!(allowed(&world), Some(expected));
    }
    assert_eq!(world.fake.control().count("GetHostedZoneLimit"), 2);

    let world = World::new().await;
    world.fake.limits(|limits| limits.sets_per_zone = 50_000);
    world.fake.deny("GetHostedZoneLimit", None);
    for _ in 0..2 {
        assert_eq!(world.read().await.len(), 2, "the zone is read all the same");
    }
    assert_eq!(allowed(&world), Some(10_000));
    assert_eq!(world.fake.control().count("GetHostedZoneLimit"), 1);
}
