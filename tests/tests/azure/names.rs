//! Reading and what is told of sets that are not ours to write.

use dns_conformance::fakes::azure::RecordSet;
use dnsprovider::{ApplyContext, Change, DnsProvider as _, DnsProviderExt as _, Outcome, RecordData, RrType, ZoneId};
use serde_json::json;

use super::common::{APEX, GROUP, a, changed, create, entry, key, loose, name, provider, start, zone};

#[tokio::test]
async fn a_name_costs_its_types_and_never_the_zone() {
    let (fake, provider) = start().await;
    for host in 0..50 {
        fake.put_set(GROUP, APEX, RecordSet::a(&format!("s{host}"), 60, &["192.0.2.1"]));
    }
    fake.put_set(GROUP, APEX, RecordSet::cname("alias", 60, "s1.example.com"));
    for (relative, reads) in [("s1", 9), ("alias", 1), ("absent", 9), ("", 10)] {
        fake.control().forget_calls();
        provider.read_names(&zone(), &[name(relative)]).await.expect("it can be read");
        let counts = fake.control().counts();
        assert_eq!(counts.get("RecordSets_Get"), Some(&reads), "`{relative}`: {counts:?}");
        assert_eq!(fake.control().count("RecordSets_ListByDnsZone"), 0);
    }
    // Many names are cheaper from the list.
    let many: Vec<_> = (0..50).map(|host| name(&format!("s{host}"))).collect();
    fake.control().forget_calls();
    let read = provider.read_names(&zone(), &many).await.expect("they can be read");
    assert_eq!(read.len(), 50, "`alias` and the apex were not asked for");
    assert_eq!(fake.control().counts().into_iter().collect::<Vec<_>>(), [("RecordSets_ListByDnsZone".to_owned(), 1)]);
}

#[tokio::test]
async fn a_name_on_two_pages_is_read_on_the_first() {
    let (fake, provider) = start().await;
    fake.put_set(GROUP, APEX, RecordSet::a("b", 60, &["192.0.2.1"]));
    fake.put_set(GROUP, APEX, RecordSet::aaaa("b", 60, &["2001:db8::1"]));
    fake.put_set(GROUP, APEX, RecordSet::txt("b", 60, &["text"]));
    fake.put_set(GROUP, APEX, RecordSet::cname("c", 60, "b.example.com"));
    // NS, SOA, b A | b AAAA, b TXT, c CNAME; then ever smaller, down to a page within one name.
    for size in [3, 2, 1] {
        fake.page_size(size);
        let mut names: Vec<Vec<String>> = Vec::new();
        let mut cursor = None;
        loop {
            let page = provider.read_page(&zone(), cursor.as_ref()).await.expect("it can be read");
            names.push(page.entries.iter().map(|entry| entry.key().to_string()).collect());
            match page.next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        let mut all: Vec<String> = names.concat();
        all.sort();
        let expected = [
            "b.example.com. A",
            "b.example.com. AAAA",
            "b.example.com. TXT",
            "c.example.com. CNAME",
            "example.com. NS",
            "example.com. SOA",
        ];
        assert_eq!(all, expected, "pages of {size}: {names:?}");
        let with_b = names.iter().filter(|page| page.iter().any(|key| key.starts_with("b."))).count();
        assert_eq!(with_b, 1, "pages of {size}: {names:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_said_is_carried_and_left_alone() {
    let (fake, provider) = start().await;
    let target = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/publicIPAddresses/ip";
    fake.put_set(GROUP, APEX, RecordSet::alias("alias", "A", target));
    fake.put_set(GROUP, APEX, RecordSet::new("mail", "MX", 60, [json!({"preference": 10, "exchange": "mx.example."})]));
    fake.put_set(GROUP, APEX, RecordSet::new("empty", "A", 60, []));
    let claimed = RecordSet::alias("ours", "A", target);
    let claimed = claimed.with_metadata("dnssyncdClaim", "fed").with_metadata("dnssyncdFederation", "fed");
    fake.put_set(GROUP, APEX, claimed);

    let read = provider.read_zone(&zone()).await.expect("it can be read");
    let opaque = |relative: &str, rr_type: RrType| match read.get(&key(relative, rr_type)).expect("it stands there") {
        held if held.data.claim.is_some() => panic!("{held:?} is nobody's of ours"),
        held => match held.data.set.records() {
            [RecordData::Opaque(text)] => text.to_string(),
            other => panic!("{other:?}"),
        },
    };
    assert_eq!(opaque("alias", RrType::A), format!("alias of {target}"));
    assert_eq!(opaque("ours", RrType::A), format!("alias of {target}"));
    assert_eq!(opaque("mail", RrType::from_text("MX")), "exchange=mx.example. preference=10");
    assert_eq!(opaque("empty", RrType::A), "no records");

    let before = fake.sets(GROUP, APEX);
    let alias = read.get(&key("alias", RrType::A)).expect("it stands there");
    let changes = loose([
        create(a("alias", &["192.0.2.1"])),
        Change::delete(read.get(&key("empty", RrType::A)).expect("it stands there")),
        changed(alias, &["192.0.2.1"]).clone(),
    ]);
    for change in changes.units {
        let key = change.changes[0].key.clone();
        let one = dnsprovider::ChangeSet { units: vec![change] };
        let applied = provider.apply(&zone(), &one, &ApplyContext::default()).await.expect("it was judged");
        assert!(matches!(applied.outcomes[&key], Outcome::Conflict | Outcome::Refused(_)), "{applied:?}");
    }
    assert_eq!(fake.sets(GROUP, APEX), before);
}

#[tokio::test]
async fn pairs_of_others_outlive_our_writes() {
    let (fake, provider) = start().await;
    fake.put_set(GROUP, APEX, RecordSet::a("www", 60, &["192.0.2.9"]).with_metadata("owner", "ops"));
    let theirs = |fake: &dns_conformance::fakes::azure::Fake| {
        let set = fake.set(GROUP, APEX, "A", "www").expect("it stands there");
        (set.metadata.get("owner").cloned(), set.metadata.contains_key("dnssyncdClaim"))
    };
    // Adopted, changed with the version of the outcome, and changed with the version of a read.
    let mut held = entry(&provider, "www", RrType::A).await;
    assert_eq!(held.data.claim, None);
    for last in 1..4 {
        let change = changed(&held, &[&format!("192.0.2.{last}")]);
        let after = change.after.clone().expect("an update");
        let applied = provider.apply(&zone(), &loose([change]), &ApplyContext::default()).await.expect("it is done");
        let Outcome::Done(version) = &applied.outcomes[after.set.key()] else { panic!("{applied:?}") };
        assert_eq!(theirs(&fake), (Some("ops".to_owned()), true));
        held = match last {
            1 => dnsprovider::Entry { data: after, version: version.clone(), blocks: held.blocks },
            _ => entry(&provider, "www", RrType::A).await,
        };
    }
}

#[tokio::test]
async fn a_change_without_a_version_is_compared_with_what_stands_there() {
    let (fake, provider) = start().await;
    fake.put_set(GROUP, APEX, RecordSet::a("www", 60, &["192.0.2.9"]));
    let mut held = entry(&provider, "www", RrType::A).await;
    held.version = dnsprovider::Version::default();
    let change = changed(&held, &["192.0.2.1"]);
    let once = provider.apply(&zone(), &loose([change.clone()]), &ApplyContext::default()).await.expect("it is done");
    assert!(once.is_done(), "{once:?}");
    let twice = provider.apply(&zone(), &loose([change]), &ApplyContext::default()).await.expect("it was judged");
    assert!(matches!(twice.outcomes[held.key()], Outcome::Conflict), "{twice:?}");
}

#[tokio::test]
async fn the_id_of_a_zone_is_its_name() {
    let (fake, provider) = start().await;
    fake.put_set(GROUP, APEX, RecordSet::a("@", 60, &["192.0.2.9"]));
    fake.put_set(GROUP, APEX, RecordSet::a("WWW", 60, &["192.0.2.8"]));
    let found = provider.find_zone(None, Some(&zone())).await.expect("there is one");
    assert_eq!((found.id.to_string().as_str(), found.apex), (APEX, name("")));
    for id in ["example.com", "example.com.", "EXAMPLE.com"] {
        let read = provider.read_zone(&ZoneId(id.into())).await.expect("it can be read");
        assert!(read.get(&key("", RrType::A)).is_some() && read.get(&key("www", RrType::A)).is_some(), "{id}");
    }
}

#[tokio::test]
async fn a_link_that_leads_elsewhere_is_not_followed() {
    let (fake, _) = start().await;
    let mut options = super::common::options(&fake);
    // The stand-in's links lead to Azure's public address, where this provider does not think to be.
    options.resource_manager_url = Some("https://management.example".to_owned());
    let elsewhere = dns_providers::azure::AzureDns::new(&options).expect("the options are right");
    fake.page_size(1);
    let first = elsewhere.read_page(&zone(), None).await.expect("it can be read");
    fake.control().forget_calls();
    let error = elsewhere.read_page(&zone(), first.next.as_ref()).await.expect_err("the link leads elsewhere");
    assert!(error.to_string().contains("management.azure.com"), "{error}");
    assert_eq!(fake.control().calls().len(), 0);
    provider(&fake).read_page(&zone(), first.next.as_ref()).await.expect("there it is");
}
