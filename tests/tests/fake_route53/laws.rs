//! What the service promises about zones and batches.

use dns_conformance::fakes::route53::{Element, Fake, RecordSet, VPC};

use crate::support::{a, apply, cname, get, invalid, outcome, refusal, send, signed};

async fn start() -> (Fake, String) {
    let fake = Fake::start().await;
    let zone = fake.create_zone("z.test", false);
    (fake, zone)
}

#[tokio::test]
async fn a_batch_is_all_or_nothing_and_names_every_fault() {
    let (fake, zone) = start().await;
    let before = fake.sets(&zone);
    let outcome = apply(
        &fake,
        &zone,
        &[("CREATE", &a("good.z.test")), ("DELETE", &a("gone.z.test")), ("CREATE", &a("www.example.org"))],
    );
    assert_eq!(
        outcome,
        invalid(&[
            "Tried to delete resource record set [name='gone.z.test.', type='A'] but it was not found",
            "RRSet with DNS name www.example.org. is not permitted in zone z.test.",
        ])
    );
    assert_eq!(fake.sets(&zone), before);
    assert_eq!(apply(&fake, &zone, &[("CREATE", &a("good.z.test"))]), Ok(()));
    assert_eq!(fake.set(&zone, "good.z.test", "A"), Some(a("good.z.test")));
}

#[tokio::test]
async fn a_deletion_names_ttl_and_values_exactly_and_the_values_in_any_order() {
    let (fake, zone) = start().await;
    let set = |ttl, values: &[&str]| RecordSet::simple("www.z.test", "A", ttl, values.iter().copied());
    fake.put(&zone, set(60, &["192.0.2.1", "192.0.2.2"]));
    let stale = "Tried to delete resource record set [name='www.z.test.', type='A'] but the values provided do not \
                 match the current values";
    assert_eq!(apply(&fake, &zone, &[("DELETE", &set(61, &["192.0.2.1", "192.0.2.2"]))]), invalid(&[stale]));
    assert_eq!(apply(&fake, &zone, &[("DELETE", &set(60, &["192.0.2.1"]))]), invalid(&[stale]));
    assert_eq!(apply(&fake, &zone, &[("DELETE", &set(60, &["192.0.2.2", "192.0.2.1"]))]), Ok(()));
    assert_eq!(fake.set(&zone, "www.z.test", "A"), None);
}

#[tokio::test]
async fn create_needs_an_absent_set_and_upsert_does_not_care() {
    let (fake, zone) = start().await;
    fake.put(&zone, a("www.z.test"));
    let exists = "Tried to create resource record set [name='www.z.test.', type='A'] but it already exists";
    assert_eq!(apply(&fake, &zone, &[("CREATE", &a("www.z.test"))]), invalid(&[exists]));
    let other = RecordSet::simple("WWW.z.test.", "A", 5, ["192.0.2.9"]);
    assert_eq!(apply(&fake, &zone, &[("DELETE", &a("www.z.test")), ("CREATE", &other)]), Ok(()));
    assert_eq!(apply(&fake, &zone, &[("UPSERT", &a("www.z.test")), ("UPSERT", &a("new.z.test"))]), Ok(()));
    assert_eq!(fake.set(&zone, "www.z.test", "A"), Some(a("www.z.test")));
}

#[tokio::test]
async fn a_cname_is_alone_at_its_name_and_never_at_the_apex() {
    let (fake, zone) = start().await;
    assert_eq!(apply(&fake, &zone, &[("CREATE", &a("a.z.test")), ("CREATE", &cname("c.z.test"))]), Ok(()));
    let onto_a = "RRSet of type CNAME with DNS name a.z.test. is not permitted as it conflicts with other records with \
                  the same DNS name in zone z.test.";
    assert_eq!(apply(&fake, &zone, &[("CREATE", &cname("a.z.test"))]), invalid(&[onto_a]));
    let onto_cname = "RRSet of type A with DNS name c.z.test. is not permitted because a conflicting RRSet of type \
                      CNAME with the same DNS name already exists in zone z.test.";
    assert_eq!(apply(&fake, &zone, &[("UPSERT", &a("c.z.test"))]), invalid(&[onto_cname]));
    let apex = "RRSet of type CNAME with DNS name z.test. is not permitted at apex in zone z.test.";
    assert_eq!(apply(&fake, &zone, &[("CREATE", &cname("z.test"))]), invalid(&[apex]));
    // What gives way goes first.
    let swap = [("CREATE", cname("a.z.test")), ("DELETE", a("a.z.test"))];
    assert!(apply(&fake, &zone, &[(swap[0].0, &swap[0].1), (swap[1].0, &swap[1].1)]).is_err());
    assert_eq!(apply(&fake, &zone, &[(swap[1].0, &swap[1].1), (swap[0].0, &swap[0].1)]), Ok(()));
}

#[tokio::test]
async fn the_apex_keeps_its_soa_and_ns() {
    let (fake, zone) = start().await;
    let at = |rr_type| fake.set(&zone, "z.test", rr_type).expect("the apex has it");
    let (soa, ns) = (at("SOA"), at("NS"));
    let none_of_both = [
        "A HostedZone must contain exactly one SOA record.",
        "A HostedZone must contain at least one NS record for the zone itself.",
    ];
    assert_eq!(apply(&fake, &zone, &[("DELETE", &soa), ("DELETE", &ns)]), invalid(&none_of_both));
    let other = RecordSet { ttl: Some(30), ..ns.clone() };
    assert_eq!(apply(&fake, &zone, &[("DELETE", &ns), ("CREATE", &other)]), Ok(()));
}

#[tokio::test]
async fn sets_of_one_name_and_type_need_one_policy_and_an_identifier_each() {
    let (fake, zone) = start().await;
    let weighted = |id, weight| a("w.z.test").routed(id, Element::text("Weight", weight));
    assert_eq!(apply(&fake, &zone, &[("CREATE", &weighted("one", "1")), ("CREATE", &weighted("two", "0"))]), Ok(()));
    let simple = "RRSet with DNS name w.z.test., type A, SetIdentifier null cannot be created as other RRSets exist \
                  with the same name and type.";
    assert_eq!(apply(&fake, &zone, &[("CREATE", &a("w.z.test"))]), invalid(&[simple]));
    let place = "in Change with [Action=CREATE, Name=x.z.test., Type=A, SetIdentifier=null]";
    let anonymous = RecordSet { set_identifier: None, ..a("x.z.test").routed("", Element::text("Weight", "1")) };
    let missing = format!("Invalid request: Missing field 'SetIdentifier' {place}");
    assert_eq!(apply(&fake, &zone, &[("CREATE", &anonymous)]), refusal("InvalidInput", &missing));
    // Reads give back what was written, with the elements in the service's order.
    let (_, root) = get(&fake, &format!("/hostedzone/{zone}/rrset?name=w.z.test"));
    let sets = &root.child("ResourceRecordSets").expect("a list").children;
    assert_eq!(sets[0], weighted("one", "1").to_xml());
    let names: Vec<_> = sets[1].children.iter().map(|element| element.name.as_str()).collect();
    assert_eq!(names, ["Name", "Type", "SetIdentifier", "Weight", "TTL", "ResourceRecords"]);
}

#[tokio::test]
async fn an_alias_into_the_zone_needs_its_target() {
    let (fake, zone) = start().await;
    let alias = RecordSet::alias("z.test", "A", &zone, "Target.z.test");
    let absent = format!(
        "Tried to create an alias that targets target.z.test., type A in zone {zone}, but that target was not found"
    );
    assert_eq!(apply(&fake, &zone, &[("CREATE", &alias)]), invalid(&[&absent]));
    assert_eq!(apply(&fake, &zone, &[("CREATE", &a("target.z.test")), ("CREATE", &alias)]), Ok(()));
    let kept = fake.set(&zone, "z.test", "A").expect("the alias");
    let target = kept.element("AliasTarget").and_then(|alias| alias.child_text("DNSName"));
    assert_eq!((kept.ttl, target), (None, Some("target.z.test.")));
}

#[tokio::test]
async fn zones_are_created_once_for_a_reference_and_deleted_when_empty() {
    let fake = Fake::start().await;
    let create = |name: &str, reference: &str, more: Vec<Element>| {
        let mut fields = vec![Element::text("CallerReference", reference), Element::text("Name", name)];
        fields.extend(more);
        send(&fake, &signed("POST", "/hostedzone", &Element::parent("CreateHostedZoneRequest", fields).document()))
    };
    let (status, root) = create("z.test", "1", vec![]);
    let id = root.child("HostedZone").and_then(|zone| zone.child_text("Id")).expect("an id");
    let id = id.strip_prefix("/hostedzone/").expect("a path");
    assert_eq!((status, fake.sets(id).len()), (201, 2));

    let again = "A hosted zone has already been created with the specified caller reference.";
    assert_eq!(outcome(create("other.test", "1", vec![])), refusal("HostedZoneAlreadyExists", again));
    assert_eq!(create("z.test.", "2", vec![]).0, 201, "a second zone of the name");
    let vpc = |id| vec![Element::parent("VPC", vec![Element::text("VPCRegion", VPC.0), Element::text("VPCId", id)])];
    let nowhere = refusal("InvalidVPCId", "The VPC ID is invalid.");
    assert_eq!(outcome(create("z.test", "3", vpc("vpc-1"))), nowhere);
    assert_eq!(create("z.test", "3", vpc(VPC.1)).0, 201);
    assert!(outcome(create("z.test", "4", vpc(VPC.1))).is_err_and(|(code, _)| code == "ConflictingDomainExists"));
    let private: Vec<_> = fake.zones().iter().map(dns_conformance::fakes::route53::Zone::is_private).collect();
    assert_eq!(private.iter().filter(|private| **private).count(), 1);

    fake.put(id, a("www.z.test"));
    let delete = || outcome(send(&fake, &signed("DELETE", &format!("/hostedzone/{id}"), "")));
    assert!(delete().is_err_and(|(code, _)| code == "HostedZoneNotEmpty"));
    fake.remove(id, "www.z.test", "A");
    assert_eq!(delete(), Ok(()));
    assert_eq!(delete(), refusal("NoSuchHostedZone", &format!("No hosted zone found with ID: {id}")));
}

#[tokio::test]
async fn a_change_is_pending_and_then_in_sync() {
    let (fake, zone) = start().await;
    let body = crate::support::batch(vec![crate::support::change("CREATE", &a("www.z.test"))]);
    let (_, root) = send(&fake, &signed("POST", &format!("/hostedzone/{zone}/rrset"), &body));
    let info = |root: &Element, name: &str| {
        root.child("ChangeInfo").and_then(|info| info.child_text(name)).expect("it has one").to_owned()
    };
    assert_eq!(info(&root, "Status"), "PENDING");
    let id = info(&root, "Id");
    let poll = || info(&get(&fake, &id).1, "Status");
    assert_eq!([poll(), poll(), poll()], ["PENDING", "INSYNC", "INSYNC"]);
    assert_eq!(get(&fake, "/change/C0").0, 404);
}
