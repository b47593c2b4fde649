//! Zones, pages and names.

use dns_conformance::fakes::clouddns::{Fake, RecordSet, Trouble, Visibility};
use dns_conformance::fakes::faults::Fault;
use dnsprovider::{Blocks, DnsProvider, DnsProviderExt, ErrorKind, Fqdn, RrKey, RrType};
use serde_json::json;

use super::world::{APEX, LIST, World, name};

#[tokio::test]
async fn names_are_read_one_by_one_and_the_zone_is_not_listed() {
    let world = World::start().await;
    for n in 0..300 {
        world.fake.put(&world.zone, RecordSet::new(&format!("n{n}.{APEX}."), "A", 60, ["192.0.2.1"]));
    }
    let provider = world.ready().await;
    let names = [name("n1"), name("n2"), name("n1"), name("absent"), name("a/b")];
    let read = provider.read_names(&world.id, &names).await.expect("they are read");
    assert_eq!(read.len(), 2);
    assert_eq!(world.calls(LIST), 3, "each name once; what cannot stand there is not asked for");
}

#[tokio::test]
async fn a_page_is_one_call_and_each_later_one_two() {
    let world = World::start().await;
    for n in 0..30 {
        let owner = format!("n{n:02}.{APEX}.");
        world.fake.put(&world.zone, RecordSet::new(&owner, "A", 60, ["192.0.2.1"]));
        world.fake.put(&world.zone, RecordSet::new(&owner, "TXT", 60, ["\"x\""]));
    }
    world.fake.set_page_size(11);
    let provider = world.ready().await;
    let read = provider.read_zone(&world.id).await.expect("it is read");
    assert_eq!(read.len(), 62);
    // 62 sets are 6 pages; five names are read again.
    assert_eq!(world.calls(LIST), 11);
}

#[tokio::test]
async fn a_name_that_changes_between_two_pages_is_given_as_it_is_then() {
    let world = World::start().await;
    let owner = format!("b.{APEX}.");
    world.fake.put(&world.zone, RecordSet::new(&format!("a.{APEX}."), "A", 60, ["192.0.2.1"]));
    world.fake.put(&world.zone, RecordSet::new(&owner, "A", 60, ["192.0.2.1"]));
    world.fake.put(&world.zone, RecordSet::new(&owner, "TXT", 60, ["\"x\""]));
    world.fake.set_page_size(4);
    let provider = world.ready().await;
    let first = provider.read_page(&world.id, None).await.expect("a page");
    assert!(first.entries.iter().all(|entry| entry.key().owner != name("b")), "{first:?}");
    world.fake.put(&world.zone, RecordSet::new(&owner, "A", 60, ["192.0.2.2"]));
    let second = provider.read_page(&world.id, first.next.as_ref()).await.expect("a page");
    let texts: Vec<_> = second.entries.iter().map(|entry| format!("{:?}", entry.data.set.records())).collect();
    assert_eq!((texts, second.next), (vec!["[192.0.2.2]".to_owned(), "[x]".to_owned()], None));
}

#[tokio::test]
async fn foreign_sets_are_shown_and_block_what_they_block() {
    let world = World::start().await;
    let policy = json!({"geo": {"items": [{"location": "us-east1", "rrdatas": ["192.0.2.1"]}]}});
    world.fake.put(&world.zone, RecordSet::with_policy(&format!("geo.{APEX}."), "A", 60, &policy));
    world.fake.put(&world.zone, RecordSet::new(APEX_DOT, "MX", 60, ["10 mail.example."]));
    world.fake.put(&world.zone, RecordSet::new(&format!("alias.{APEX}."), "ALIAS", 60, ["other.example."]));
    let provider = world.ready().await;
    let read = provider.read_zone(&world.id).await.expect("it is read");
    for (owner, rr_type, blocks) in [
        ("geo", "A", Blocks::AsDns),
        ("", "MX", Blocks::AsDns),
        ("", "SOA", Blocks::AsDns),
        ("alias", "ALIAS", Blocks::Name),
    ] {
        let entry = read.get(&RrKey::new(name(owner), RrType::from_text(rr_type))).expect("it is shown");
        assert!(entry.data.set.is_opaque() && entry.blocks == blocks, "{entry:?}");
    }
}
const APEX_DOT: &str = "conformance.test.";

#[tokio::test]
async fn all_zones_are_listed_and_a_private_one_is_told_apart() {
    let world = World::start().await;
    let private = world.fake.create_zone(APEX, Visibility::Private);
    for n in 0..5 {
        world.fake.create_zone(&format!("z{n}.example"), Visibility::Public);
    }
    world.fake.create_zone("wwwconformance.test", Visibility::Public);
    world.fake.set_page_size(2);
    let provider = world.ready().await;
    assert_eq!(provider.zones(None).await.expect("the zones").len(), 8);
    let apex = Fqdn::parse(APEX).expect("a name");
    let mut same = provider.zones(Some(&apex)).await.expect("the zones");
    same.sort_by_key(|zone| zone.private);
    assert_eq!(same.iter().map(|zone| zone.private).collect::<Vec<_>>(), [false, true]);
    assert_eq!(*same[1].id.0, world.fake.zone_id(&private).to_string());
    let error = provider.find_zone(Some(&apex), None).await.expect_err("there are two");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(provider.find_zone(Some(&apex), Some(&world.id)).await.expect("one").id, world.id);
}

#[tokio::test]
async fn who_may_read_one_zone_only_finds_it_by_its_name() {
    let world = World::start().await;
    world.fake.create_zone("other_zone.example", Visibility::Public);
    let provider = world.ready().await;
    world.fake.deny("dns.managedZones.list");
    let zones = async |apex: &str| provider.zones(Some(&Fqdn::parse(apex).expect("a name"))).await;
    assert_eq!(zones(APEX).await.expect("it is called after its apex")[0].id, world.id);
    // A managed zone of that name for another apex is not it.
    let error = zones("other-zone.example").await.expect_err("it may not list them");
    assert!(error.to_string().contains("`dns.managedZones.list`"), "{error}");
}

#[tokio::test]
async fn a_list_that_breaks_off_is_no_list() {
    let world = World::start().await;
    world.fake.create_zone("other.example", Visibility::Public);
    world.fake.set_page_size(1);
    let provider = world.ready().await;
    let list = "dns.managedZones.list";
    world.fake.control().add(Fault::half_answer().on(list).after(1));
    assert_eq!(provider.zones(None).await.expect("a read is sent again").len(), 2);
    assert_eq!(world.calls(list), 3);
    world.fake.control().add(Fault::answer(Trouble::Forbidden.answer()).on(list).after(1).always());
    assert!(provider.zones(None).await.is_err(), "never a part");
}

#[tokio::test]
async fn what_is_missing_is_said_with_what_to_do() {
    let world = World::start().await;
    let provider = world.ready().await;
    for (right, operation) in
        [("dns.managedZones.list", "zones"), ("dns.resourceRecordSets.list", "names"), ("dns.managedZones.get", "page")]
    {
        world.fake.deny(right);
        let error = match operation {
            "zones" => provider.zones(None).await.map(drop),
            "names" => provider.read_names(&world.id, &[name("a")]).await.map(drop),
            _ => world.bare().read_page(&world.id, None).await.map(drop),
        };
        world.fake.allow(right);
        let error = error.expect_err("it may not");
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        let text = error.to_string();
        assert!(text.contains(&format!("`{right}` on the project `federation-test`")), "{text}");
        assert!(text.contains("roles/dns.admin"), "{text}");
    }
    world.fake.control().add(Fault::answer(Trouble::ApiDisabled.answer()));
    let error = provider.zones(None).await.expect_err("it is off");
    assert!(
        error.to_string().contains("gcloud services enable dns.googleapis.com --project federation-test"),
        "{error}"
    );

    let mut options = world.options();
    options.project = Some("another".to_owned());
    let elsewhere = dns_providers::clouddns::CloudDns::new(options).expect("a good key");
    let error = elsewhere.zones(None).await.expect_err("another's project");
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.to_string().contains("`another`") && error.to_string().contains("`project-id`"), "{error}");
}

#[tokio::test]
async fn a_zone_that_is_gone_is_said_so() {
    let world = World::start().await;
    let provider = world.ready().await;
    world.fake.remove_zone(&world.zone);
    let error = provider.read_page(&world.id, None).await.expect_err("it is gone");
    assert_eq!(error.kind(), ErrorKind::ZoneNotFound);
    let text = error.to_string();
    assert!(text.contains(&*world.id.0) && text.contains("federation-test") && text.contains(APEX), "{text}");
    let error = provider.read_page(&world.id, None).await.expect_err("it is gone");
    assert_eq!(error.kind(), ErrorKind::ZoneNotFound);
}

#[tokio::test]
async fn a_host_that_cannot_be_reached_is_unavailable_and_opening_does_not_mind() {
    let world = World::start().await;
    let mut options = world.options();
    let gone = Fake::start().await;
    options.endpoint = Some(gone.url());
    drop(gone);
    let provider = dns_providers::clouddns::CloudDns::new(options).expect("nothing is sent");
    let error = provider.zones(None).await.expect_err("nobody is there");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn zones_are_made_once_and_kept_while_they_hold_something() {
    let world = World::start().await;
    let provider = world.ready().await;
    let apex = Fqdn::parse("new.example").expect("a name");
    // The name that would be taken first belongs to another zone.
    world.fake.create_zone("new_example", Visibility::Public);
    let zone = provider.create_zone(&apex).await.expect("it is made");
    assert!(!zone.private && zone.apex == apex, "{zone:?}");
    assert!(world.fake.zones().contains(&"new-example-2".to_owned()), "{:?}", world.fake.zones());
    let error = provider.create_zone(&apex).await.expect_err("it is there");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    world.fake.put("new-example-2", RecordSet::new("a.new.example.", "A", 60, ["192.0.2.1"]));
    let error = provider.delete_zone(&zone.id).await.expect_err("it holds something");
    assert_eq!((error.kind(), error.zone()), (ErrorKind::Conflict, Some(&apex)));
    world.fake.remove("new-example-2", "a.new.example.", "A");
    provider.delete_zone(&zone.id).await.expect("it is empty");
    let error = provider.delete_zone(&zone.id).await.expect_err("it is gone");
    assert_eq!(error.kind(), ErrorKind::ZoneNotFound);
}
