//! Lists: their order, their pages, and where they begin.

use dns_conformance::fakes::route53::{Element, Fake};

use crate::support::{a, get, outcome};

fn names(root: &Element) -> Vec<String> {
    let sets = &root.child("ResourceRecordSets").expect("a list").children;
    sets.iter().map(|set| set.child_text("Name").expect("a name").to_owned()).collect()
}

/// Names in the order of the service: labels from the right, each with its dot, so `-` comes before the end of a label.
#[tokio::test]
async fn sets_are_listed_by_reversed_labels() {
    let fake = Fake::start().await;
    let zone = fake.create_zone("z.test", false);
    for name in ["b", "a.b", "a", "a-b", "z.a", "aa", "_x", "*", "é"] {
        let name = name.replace('é', "\\303\\251");
        fake.put(&zone, a(&format!("{name}.z.test")));
    }
    let (_, root) = get(&fake, &format!("/hostedzone/{zone}/rrset"));
    let wanted = ["", "", "\\052.", "\\303\\251.", "_x.", "a-b.", "a.", "z.a.", "aa.", "b.", "a.b."];
    assert_eq!(names(&root), wanted.map(|name| format!("{name}z.test.")));
    assert_eq!(root.child_text("MaxItems"), Some("100"));
}

#[tokio::test]
async fn pages_hold_every_set_once_in_any_size() {
    let fake = Fake::start().await;
    let zone = fake.create_zone("z.test", false);
    for number in 0..23 {
        fake.put(&zone, a(&format!("n{number}.z.test")));
        fake.put(&zone, a("w.z.test").routed(&format!("id {number}&"), Element::text("Weight", "1")));
    }
    let all = names(&get(&fake, &format!("/hostedzone/{zone}/rrset")).1);
    assert_eq!(all.len(), 2 + 2 * 23);
    for size in [1, 7, 48, 300] {
        let (mut seen, mut start, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let (status, root) = get(&fake, &format!("/hostedzone/{zone}/rrset?maxitems={size}{start}"));
            assert_eq!((status, root.child_text("MaxItems")), (200, Some(size.to_string().as_str())));
            seen.extend(names(&root));
            pages += 1;
            if root.child_text("IsTruncated") == Some("false") {
                assert_eq!(root.child_text("NextRecordName"), None);
                break;
            }
            let next = [("NextRecordName", "name"), ("NextRecordType", "type"), ("NextRecordIdentifier", "identifier")];
            let next = next.iter().filter_map(|(field, parameter)| {
                let text = root.child_text(field)?.replace('\\', "%5C").replace(' ', "%20").replace('&', "%26");
                Some(format!("&{parameter}={text}"))
            });
            start = next.collect::<Vec<_>>().concat();
        }
        assert_eq!((seen, pages), (all.clone(), 48_usize.div_ceil(size)));
    }
}

#[tokio::test]
async fn pages_have_100_sets_by_default_and_300_at_most() {
    let fake = Fake::start().await;
    let zone = fake.create_zone("z.test", false);
    for number in 0..400 {
        fake.put(&zone, a(&format!("n{number}.z.test")));
    }
    let list = |query: &str| get(&fake, &format!("/hostedzone/{zone}/rrset{query}")).1;
    let size = |query: &str| (names(&list(query)).len(), list(query).child_text("MaxItems").map(str::to_owned));
    assert_eq!(size(""), (100, Some("100".to_owned())));
    assert_eq!(size("?maxitems=500"), (300, Some("300".to_owned())));
    fake.limits(|limits| limits.page_most = 3);
    assert_eq!(size("?maxitems=500"), (3, Some("3".to_owned())));
    assert_eq!(size(""), (3, Some("3".to_owned())));
}

#[tokio::test]
async fn a_list_begins_where_it_is_told() {
    let fake = Fake::start().await;
    let zone = fake.create_zone("z.test", false);
    for name in ["a.z.test", "*.z.test", "c.z.test"] {
        fake.put(&zone, a(name));
    }
    let list = |query: &str| get(&fake, &format!("/hostedzone/{zone}/rrset?{query}"));
    assert_eq!(names(&list("name=b.z.test").1), ["c.z.test."]);
    assert_eq!(names(&list("name=a.z.test&type=A").1), ["a.z.test.", "c.z.test."]);
    assert_eq!(names(&list("name=a.z.test&type=AAAA").1), ["c.z.test."]);
    assert_eq!(names(&list("name=*.Z.test.").1)[0], "\\052.z.test.");
    assert_eq!(names(&list("name=%5C052.z.test").1)[0], "\\052.z.test.");
    for wrong in
        ["type=A", "name=a.z.test&identifier=x", "name=a..z", "maxitems=0", "maxitems=x", "size=3", "name=a&name=b"]
    {
        let refused = outcome(list(wrong)).expect_err("refused");
        assert_eq!(refused.0, "InvalidInput", "{wrong}: {refused:?}");
    }
}

#[tokio::test]
async fn zones_are_listed_in_pages_by_id_and_by_name() {
    let fake = Fake::start().await;
    let names = ["z.test", "a-b.test", "a.test", "z.a.test", "a.test"];
    let mut ids: Vec<_> = names.iter().enumerate().map(|(at, name)| fake.create_zone(name, at == 4)).collect();
    fake.limits(|limits| limits.zones_page = 2);
    let field = |root: &Element, name: &str| -> Vec<String> {
        let zones = &root.child("HostedZones").expect("a list").children;
        zones.iter().map(|zone| zone.child_text(name).expect("a field").replace("/hostedzone/", "")).collect()
    };
    let (mut seen, mut marker) = (Vec::new(), String::new());
    loop {
        let (_, root) = get(&fake, &format!("/hostedzone{marker}"));
        seen.extend(field(&root, "Id"));
        let Some(next) = root.child_text("NextMarker") else { break };
        marker = format!("?marker={next}");
    }
    ids.sort();
    assert_eq!(seen, ids);
    assert_eq!(field(&get(&fake, "/hostedzone?hostedzonetype=PrivateHostedZone").1, "Name"), ["a.test."]);

    let (mut seen, mut start) = (Vec::new(), String::new());
    loop {
        let (_, root) = get(&fake, &format!("/hostedzonesbyname{start}"));
        seen.extend(field(&root, "Name"));
        let Some(next) = root.child_text("NextDNSName") else { break };
        let id = root.child_text("NextHostedZoneId").expect("an id beside the name");
        start = format!("?dnsname={next}&hostedzoneid={id}");
    }
    assert_eq!(seen, ["a-b.test.", "a.test.", "a.test.", "z.a.test.", "z.test."]);
    assert_eq!(field(&get(&fake, "/hostedzonesbyname?dnsname=b.test").1, "Name"), ["z.test."]);
}
