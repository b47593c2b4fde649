//! Lists: order, pages, links, filters.

use dns_conformance::fakes::azure::{Cloud, Fake, RecordSet, SUBSCRIPTION};

use crate::client::{Client, GROUP, Reply, ZONE, at, in_zone, start};

/// Follows the links to the end; every page but the last is full.
async fn all(client: &Client<'_>, first: &str, size: usize) -> Vec<(String, String)> {
    let (mut path, mut held) = (first.to_owned(), Vec::new());
    loop {
        let page = client.get(&path).await;
        assert_eq!(page.status, 200, "{page:?}");
        let names = page.names();
        assert!(!names.is_empty() && names.len() <= size, "{names:?}");
        held.extend(names.clone());
        let Some(link) = page.body.get("nextLink") else { return held };
        assert_eq!(names.len(), size);
        link.as_str().expect("a link").clone_into(&mut path);
    }
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, record_type)| ((*name).to_owned(), (*record_type).to_owned())).collect()
}

#[tokio::test]
async fn sets_come_by_labels_from_the_right_and_whole_however_they_are_cut() {
    let fake = start().await;
    let client = Client::new(&fake);
    for (name, record_type) in
        [("www", "TXT"), ("www", "A"), ("a.www", "A"), ("wwx", "A"), ("b-c", "A"), ("b", "A"), ("z.b", "A"), ("*", "A")]
    {
        fake.put_set(GROUP, ZONE, RecordSet::new(name, record_type, 60, []));
    }
    let wanted = owned(&[
        ("@", "NS"),
        ("@", "SOA"),
        ("*", "A"),
        ("b", "A"),
        ("z.b", "A"),
        ("b-c", "A"),
        ("www", "A"),
        ("www", "TXT"),
        ("a.www", "A"),
        ("wwx", "A"),
    ]);
    for path in ["/recordsets", "/all"] {
        let whole = client.get(&in_zone(path)).await;
        assert_eq!((whole.names(), whole.body.get("nextLink")), (wanted.clone(), None));
        for size in 1..=wanted.len() + 1 {
            assert_eq!(all(&client, &in_zone(&format!("{path}?$top={size}")), size).await, wanted);
        }
    }
    assert_eq!(client.get(&in_zone("/TXT")).await.names(), owned(&[("www", "TXT")]));
    fake.page_size(3);
    assert_eq!(all(&client, &in_zone("/recordsets?$top=1000"), 3).await, wanted);
    assert_eq!(all(&client, &in_zone("/A"), 3).await.len(), 7);
}

#[tokio::test]
async fn a_page_without_top_has_a_hundred() {
    let fake = start().await;
    let client = Client::new(&fake);
    for number in 0..150 {
        fake.put_set(GROUP, ZONE, RecordSet::a(&format!("n{number:03}"), 60, &["192.0.2.1"]));
    }
    assert_eq!(client.get(&in_zone("/recordsets")).await.names().len(), 100);
    assert_eq!(client.get(&in_zone("/recordsets?$top=1000")).await.names().len(), 152);
}

#[tokio::test]
async fn a_link_is_the_vendors_and_leads_on_from_a_place_not_from_a_number() {
    let fake = Fake::start_in(Cloud::China).await;
    fake.create_zone(GROUP, ZONE);
    for name in ["a", "b", "c", "d"] {
        fake.put_set(GROUP, ZONE, RecordSet::a(name, 60, &["192.0.2.1"]));
    }
    let client = Client::new(&fake);
    let first = client.get(&in_zone("/recordsets?$top=4")).await;
    let link = first.body["nextLink"].as_str().expect("a link").to_owned();
    let beginning = format!(
        "https://management.chinacloudapi.cn:443/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/\
         Microsoft.Network/dnszones/{ZONE}/ALL?"
    );
    assert!(link.starts_with(&beginning), "{link}");
    fake.remove_set(GROUP, ZONE, "A", "a");
    fake.put_set(GROUP, ZONE, RecordSet::a("bb", 60, &["192.0.2.1"]));
    assert_eq!(client.get(&link).await.names(), owned(&[("bb", "A"), ("c", "A"), ("d", "A")]));
    assert_eq!(client.get(&link.replace("skipToken=", "skipToken=zz")).await.error(), (400, "BadRequest"));
}

#[tokio::test]
async fn a_suffix_filters() {
    let fake = start().await;
    let client = Client::new(&fake);
    for name in ["svc", "a.svc", "b.a.SVC", "asvc"] {
        fake.put_set(GROUP, ZONE, RecordSet::a(name, 60, &["192.0.2.1"]));
    }
    let wanted = owned(&[("a.svc", "A"), ("b.a.SVC", "A")]);
    assert_eq!(client.get(&in_zone("/recordsets?$recordsetnamesuffix=svc")).await.names(), wanted);
    assert_eq!(all(&client, &in_zone("/A?$recordsetnamesuffix=svc&$top=1"), 1).await, wanted);
}

#[tokio::test]
async fn zones_are_listed_by_group_and_by_subscription() {
    let fake = start().await;
    let client = Client::new(&fake);
    fake.create_zone("other", ZONE);
    fake.create_private_zone("other", "private.test");
    let group = client.get(&at(&format!("resourceGroups/{GROUP}/providers/Microsoft.Network/dnsZones"))).await;
    assert_eq!(group.names(), owned(&[(ZONE, "dnszones")]));
    let first = at("providers/Microsoft.Network/dnszones");
    let whole = client.get(&first).await;
    let kinds = |reply: &Reply| {
        let list = reply.body["value"].as_array().expect("a list").clone();
        list.iter().map(|zone| zone["properties"]["zoneType"].as_str().expect("a type").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(kinds(&whole), ["Public", "Private", "Public"]);
    fake.create_zone("rg-more", "more.test"); // sorts otherwise with a slash behind its group than without
    let whole = client.get(&first).await;
    assert_eq!(whole.names().len(), 4);
    assert_eq!(all(&client, &format!("{first}&$top=1"), 1).await, whole.names());
}

#[tokio::test]
async fn parameters_that_mean_nothing_are_refused() {
    let fake = start().await;
    let client = Client::new(&fake);
    for path in [
        "/recordsets?$top=0",
        "/recordsets?$top=x",
        "/recordsets?top=1",
        "/A/www?$top=1",
        "/all?$top=1&$top=2",
        "?$top=1",
    ] {
        assert_eq!(client.get(&in_zone(path)).await.error(), (400, "BadRequest"), "{path}");
    }
    let get = client.send("GET", &in_zone(""), &[("if-none-match", "*")], "").await;
    assert_eq!(get.error(), (400, "BadRequest"));
    let delete = client.send("DELETE", &in_zone("/A/www"), &[("if-none-match", "*")], "").await;
    assert_eq!(delete.error(), (400, "BadRequest"));
}
