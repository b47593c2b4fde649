//! Batches: what they cost, what they change, and what a refused one tells.

use dns_conformance::fakes::faults::Fault;
use dns_conformance::fakes::route53::errors::Refusal;
use dns_conformance::fakes::route53::{Element, RecordSet};
use dnsprovider::{Change, ChangeSet, DnsProvider, ErrorKind, Outcome, Unit};

use super::world::{APEX, World, create, creations, key, set, tally};

/// 2,500 services of four names, each with the TXT that lists their claims.
pub(crate) fn ten_thousand() -> ChangeSet {
    let unit = |n: usize| {
        let names = ["", "eu.", "a.eu.", "b.eu."].map(|level| format!("{level}s{n}.shop.demo.svc"));
        let mut sets: Vec<_> = names.iter().map(|owner| set(owner, "A", &["198.51.100.123"])).collect();
        let ledger = format!("{:x<115}", format!("{n}"));
        sets.push(set(&format!("_dns-syncd.s{n}.shop.demo.svc"), "TXT", &[&ledger]));
        Unit { changes: sets.into_iter().map(create).collect() }
    };
    ChangeSet { units: (0..2500).map(unit).collect() }
}

#[tokio::test]
async fn ten_thousand_creates_and_their_claims_take_fourteen_calls() {
    let world = World::new().await;
    world.fake.limits(|limits| limits.sets_per_zone = 20_000);
    let applied = world.apply(&ten_thousand()).await;
    assert_eq!(tally(&applied), [("done", 12_500)]);
    assert!(world.changes() <= 14, "{} calls", world.changes());
    assert_eq!(world.fake.sets(&world.id).len(), 12_502);
}

#[tokio::test]
async fn an_update_is_an_exact_deletion_and_a_creation_and_costs_both() {
    let world = World::new().await;
    world.apply(&ChangeSet::by_name([create(set("www", "A", &["192.0.2.1", "192.0.2.2"]))])).await;
    let change = Change::update(&world.entry("www", "A").await, set("www", "A", &["192.0.2.33"]));
    let cost = world.host.cost(&Unit { changes: vec![change.clone()] });
    assert_eq!((cost.values, cost.octets), (3, 9 + 9 + 10));
    world.fake.control().forget_calls();
    assert!(world.apply(&ChangeSet::by_name([change])).await.is_done());
    let call = &world.fake.control().calls()[0];
    let text = call.request.text();
    assert!(text.contains("<Action>DELETE</Action>") && text.contains("<Action>CREATE</Action>"), "{text}");
    assert!(!text.contains("UPSERT"), "{text}");
    assert_eq!(world.held("www", "A"), ["192.0.2.33"]);
}

#[tokio::test]
async fn one_stale_set_among_a_thousand_is_told_alone_and_costs_one_more_call() {
    let world = World::new().await;
    world.fake.put(&world.id, RecordSet::simple(&format!("s500.{APEX}"), "A", 60, ["192.0.2.9"]));
    let applied = world.apply(&creations(1000)).await;
    assert_eq!(tally(&applied), [("conflict", 1), ("done", 999)]);
    assert!(matches!(applied.outcomes[&key("s500", "A")], Outcome::Conflict));
    assert_eq!((world.changes(), world.held("s500", "A")), (2, vec!["192.0.2.9".to_owned()]));
}

#[tokio::test]
async fn several_stale_sets_of_all_kinds_are_told_by_one_answer() {
    let world = World::new().await;
    let start = ["gone", "changed", "fine"].map(|owner| create(set(owner, "A", &["192.0.2.1"])));
    world.apply(&ChangeSet::by_name(start)).await;
    let mut changes: Vec<_> = Vec::new();
    for owner in ["gone", "changed", "fine"] {
        changes.push(Change::update(&world.entry(owner, "A").await, set(owner, "A", &["192.0.2.2"])));
    }
    world.fake.remove(&world.id, &format!("gone.{APEX}"), "A");
    world.fake.put(&world.id, RecordSet::simple(&format!("changed.{APEX}"), "A", 180, ["192.0.2.9"]));
    world.fake.put(&world.id, RecordSet::simple(&format!("taken.{APEX}"), "MX", 60, ["10 mail.example."]));
    world.fake.put(&world.id, RecordSet::simple(&format!("alias.{APEX}"), "CNAME", 60, ["www.example."]));
    changes.push(create(set("taken", "CNAME", &["www.example."])));
    changes.push(create(set("alias", "A", &["192.0.2.1"])));
    world.fake.control().forget_calls();
    let applied = world.apply(&ChangeSet::by_name(changes)).await;
    assert_eq!(tally(&applied), [("conflict", 4), ("done", 1)]);
    assert_eq!((world.changes(), world.held("fine", "A")), (2, vec!["192.0.2.2".to_owned()]));
}

/// A message in words that nobody knows names no set: it is found by halving.
#[tokio::test]
async fn a_bad_set_that_no_message_names_costs_about_two_calls_a_halving() {
    let world = World::new().await;
    let what = Refusal::invalid_change_batch(&["Something that was never heard".to_owned()]);
    let bad = |request: &dns_conformance::fakes::listener::Request| request.text().contains(">s500.");
    world.fake.control().add(Fault::answer(what.answer()).on("ChangeResourceRecordSets").when(bad).always());
    let applied = world.apply(&creations(1000)).await;
    assert_eq!(tally(&applied), [("done", 999), ("refused", 1)]);
    let Outcome::Refused(error) = &applied.outcomes[&key("s500", "A")] else { panic!("the bad one is refused") };
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("never heard"), "{error}");
    assert!(world.changes() <= 21, "{} calls where 1000 sets are halved ten times", world.changes());
}

/// The host knows of a limit that the backend does not: as much as fits is done.
#[tokio::test]
async fn a_full_zone_takes_what_fits() {
    let world = World::new().await;
    world.fake.limits(|limits| limits.sets_per_zone = 52);
    let applied = world.apply(&creations(100)).await;
    assert_eq!(tally(&applied), [("done", 50), ("refused", 50)]);
    let refused = applied.outcomes.values().find_map(|outcome| match outcome {
        Outcome::Refused(error) => Some(error.kind()),
        _ => None,
    });
    assert_eq!(refused, Some(ErrorKind::LimitExceeded));
}

#[tokio::test]
async fn what_cannot_be_done_is_named_without_a_call() {
    let world = World::new().await;
    let mut changes = creations(10);
    changes.units.push(Unit { changes: vec![create(set("long", "TXT", &[&"\u{1}".repeat(1000)]))] });
    let outside = dns_conformance::records(&dnsprovider::RrType::A, &["192.0.2.1"]);
    let owner = dnsprovider::Fqdn::parse("wwwconformance.test").expect("a name");
    let outside = dnsprovider::RrSet::new(
        dnsprovider::RrKey::new(owner, dnsprovider::RrType::A),
        dnsprovider::Ttl::from_secs(60).expect("a TTL"),
        outside,
    );
    let outside = dnsprovider::ClaimedSet::unclaimed(outside.expect("a set"));
    changes.units.push(Unit { changes: vec![create(outside)] });
    let both = [create(set("both", "CNAME", &["www.example."])), create(set("both", "A", &["192.0.2.1"]))];
    changes.units.push(Unit { changes: both.into() });

    let applied = world.apply(&changes).await;
    assert_eq!(tally(&applied), [("done", 10), ("not tried", 1), ("refused", 3)]);
    assert_eq!(world.changes(), 1, "only what can be done was sent");
    let Outcome::Refused(error) = &applied.outcomes[&key("long", "TXT")] else { panic!("it is refused") };
    assert!(error.to_string().contains("4011 characters: Route 53 allows 4000"), "{error}");
}

#[tokio::test]
async fn sets_that_the_contract_cannot_say_are_never_touched() {
    let world = World::new().await;
    let full = |owner: &str| format!("{owner}.{APEX}");
    let weight = |n: &str| Element::text("Weight", n);
    world.fake.put(&world.id, RecordSet::alias(&full("alias"), "A", "Z2FDTNDATAQYW2", "d1.cloudfront.net"));
    for n in ["1", "2"] {
        let one = RecordSet::simple(&full("weighted"), "A", 60, [format!("192.0.2.{n}")]);
        world.fake.put(&world.id, one.routed(n, weight(n)));
    }
    let before = world.fake.sets(&world.id);
    let creations = ["alias", "weighted"].map(|owner| create(set(owner, "A", &["192.0.2.1"])));
    let updates = ["alias", "weighted"].map(|owner| Change {
        before: Some(set(owner, "A", &["192.0.2.1"])),
        ..create(set(owner, "A", &["192.0.2.2"]))
    });
    for changes in [creations, updates] {
        let applied = world.apply(&ChangeSet::by_name(changes)).await;
        assert_eq!(tally(&applied), [("conflict", 2)]);
    }
    for owner in ["alias", "weighted"] {
        let applied = world.apply(&ChangeSet::by_name([Change::delete(&world.entry(owner, "A").await)])).await;
        let told = applied.outcomes.into_values().next();
        assert!(matches!(&told, Some(Outcome::Refused(error)) if error.kind() == ErrorKind::Unsupported), "{told:?}");
    }
    assert_eq!(world.fake.sets(&world.id), before);
    // Other types of the same name are free.
    let beside = ["alias", "weighted"].map(|owner| create(set(owner, "TXT", &["ours"])));
    assert!(world.apply(&ChangeSet::by_name(beside)).await.is_done());
}

/// What others have written in another spelling is deleted as it stands there.
#[tokio::test]
async fn pre_images_are_deleted_in_the_hosts_own_spelling() {
    let world = World::new().await;
    let full = |owner: &str| format!("{owner}.{APEX}");
    for (owner, rr_type, value) in [
        ("cname", "CNAME", "docs.Example.com"),
        ("split", "TXT", "\"a\" \"b c\""),
        ("octal", "TXT", "\"\\141\""),
        ("twice", "TXT", "\"a\""),
        ("six", "AAAA", "2001:DB8:0:0::1"),
    ] {
        let mut values = vec![value.to_owned()];
        if owner == "twice" {
            values.push("\"\" \"a\"".to_owned());
        }
        world.fake.put(&world.id, RecordSet::simple(&full(owner), rr_type, 60, values));
    }
    let read = world.read().await;
    assert_eq!(
        read.at(&super::world::name("split"))[0].data.set.records(),
        dns_conformance::records(&dnsprovider::RrType::Txt, &["ab c"])
    );
    let ours: Vec<_> = read.iter().filter(|entry| !entry.data.set.is_opaque()).cloned().collect();
    assert_eq!(ours.len(), 5);
    let cost = world.host.cost(&Unit { changes: ours.iter().map(Change::delete).collect() });
    assert_eq!(cost.values, 6, "the text that stands there twice counts twice");
    let updates = ours.iter().map(|entry| {
        let key = entry.key();
        let text = if key.rr_type.as_str() == "AAAA" { "2001:db8::2" } else { "new.example." };
        let owner = key.owner.relative_to(&dnsprovider::Fqdn::parse(APEX).expect("a name")).expect("below");
        Change::update(entry, set(owner, key.rr_type.as_str(), &[text]))
    });
    assert_eq!(tally(&world.apply(&ChangeSet::by_name(updates)).await), [("done", 5)]);
    assert_eq!(world.held("split", "TXT"), ["\"new.example.\""]);
    // A version of something else does not make it delete something else.
    let mut forged = Change::delete(&world.entry("split", "TXT").await);
    forged.version.detail = Some("\"a\" \"b c\"".into());
    assert!(world.apply(&ChangeSet::by_name([forged])).await.is_done());
    assert_eq!(world.held("split", "TXT"), Vec::<String>::new());
}

#[tokio::test]
async fn a_batch_above_either_limit_is_not_sent() {
    let world = World::new().await;
    let long = "x".repeat(3900);
    let texts = (0..9).map(|n| create(set(&format!("t{n}"), "TXT", &[&long])));
    for (changes, over) in [
        (creations(1001), "1001 values where 1000 are allowed"),
        (ChangeSet::by_name(texts), "octets where 32000 are allowed"),
    ] {
        let error = world.host.apply(&world.zone, &changes, &dnsprovider::ApplyContext::default()).await;
        let error = error.expect_err("it is too large");
        assert_eq!(error.kind(), ErrorKind::LimitExceeded);
        assert!(error.to_string().contains(over), "{error}");
    }
    assert_eq!(world.changes(), 0);
}
