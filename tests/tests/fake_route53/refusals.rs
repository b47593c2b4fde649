//! What the service refuses: requests that do not fit, batches above the limits, values that cannot be.

use dns_conformance::fakes::listener::Request;
use dns_conformance::fakes::route53::{Element, Fake, RecordSet};

use crate::support::{AUTHORIZATION, a, apply, batch, change, get, invalid, outcome, refusal, send, signed};

async fn start() -> (Fake, String) {
    let fake = Fake::start().await;
    let zone = fake.create_zone("z.test", false);
    (fake, zone)
}

#[tokio::test]
async fn a_request_must_be_signed_for_the_service() {
    let fake = Fake::start().await;
    let code = |authorization: &str, date: &str| {
        let mut headers = vec![("x-amz-date", date)];
        headers.extend((!authorization.is_empty()).then_some(("authorization", authorization)));
        let (status, root) = send(&fake, &Request::new("GET", "/2013-04-01/hostedzone", &headers, ""));
        (status, outcome((status, root)).err().map(|(code, _)| code).unwrap_or_default())
    };
    let day = "20260101T000000Z";
    assert_eq!(code(AUTHORIZATION, day), (200, String::new()));
    assert_eq!(code("", day), (403, "MissingAuthenticationToken".to_owned()));
    for (part, other) in [("us-east-1", "eu-west-1"), ("route53", "s3"), ("host;", ""), ("20260101", "20260102")] {
        assert_eq!(code(&AUTHORIZATION.replace(part, other), day), (403, "SignatureDoesNotMatch".to_owned()), "{part}");
    }
    for (part, other) in [("Signature=00", "Signature="), ("AWS4-HMAC-SHA256", "AWS3"), ("AKIDEXAMPLE", "")] {
        assert_eq!(code(&AUTHORIZATION.replace(part, other), day), (400, "IncompleteSignature".to_owned()), "{part}");
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_no_operation() {
    let (fake, zone) = start().await;
    for (method, path) in [("GET", "/hostedzones"), ("PUT", "/hostedzone"), ("GET", "/hostedzone/a/b"), ("POST", "/")] {
        let answer = fake.answer(&signed(method, path, ""));
        assert_eq!(answer.status.as_u16(), 404, "{method} {path}");
    }
    assert_eq!(get(&fake, &format!("/hostedzone/{zone}")).0, 200);
    let nowhere = refusal("NoSuchHostedZone", "No hosted zone found with ID: Z1");
    assert_eq!(outcome(get(&fake, "/hostedzone/Z1")), nowhere);
    assert_eq!(outcome(get(&fake, "/hostedzone/Z1/rrset")), nowhere);
    assert_eq!(apply(&fake, "Z1", &[("CREATE", &a("a.z.test"))]), nowhere);
    let long = "Z".repeat(33);
    assert!(outcome(get(&fake, &format!("/hostedzone/{long}"))).is_err_and(|(code, _)| code == "InvalidInput"));
}

#[tokio::test]
async fn documents_must_fit_the_schema() {
    let (fake, zone) = start().await;
    let good = batch(vec![change("CREATE", &a("a.z.test"))]);
    let post = |body: &str| {
        let answer = send(&fake, &signed("POST", &format!("/hostedzone/{zone}/rrset"), body));
        outcome(answer).map_err(|(code, _)| code)
    };
    let input = Err("InvalidInput".to_owned());
    let spoiled = [
        ("<Action>CREATE</Action>", ""),                                   // missing
        ("<TTL>60</TTL>", "<TTL>60</TTL><Ttl>60</Ttl>"),                   // unknown
        ("<TTL>60</TTL>", "<TTL>60</TTL><TTL>60</TTL>"),                   // twice
        ("<TTL>60</TTL>", "<TTL>sixty</TTL>"),                             // wrong type
        ("<TTL>60</TTL>", "<TTL>2147483648</TTL>"),                        // too large
        ("<TTL>60</TTL>", ""),                                             // neither alias nor values with a TTL
        ("CREATE", "REPLACE"),                                             // no such word
        ("<Type>A</Type>", "<Type>LOC</Type>"),                            // no such type
        ("<ResourceRecord><Value>192.0.2.1</Value></ResourceRecord>", ""), // an empty list
        ("2013-04-01/\"", "2012-12-12/\""),                                // another namespace
        ("</ChangeBatch>", ""),                                            // no XML
        ("<Changes>", "<Changes>x"),                                       // text between elements
        ("<ChangeBatch>", "<ChangeBatch a=\"b\">"),                        // an attribute
    ];
    for (from, to) in spoiled {
        let body = good.replacen(from, to, 1);
        assert_ne!(body, good, "{from}");
        assert_eq!(post(&body), input, "{from} -> {to}");
    }
    assert_eq!(post(&batch(vec![])), input);
    assert_eq!(post(""), input);
    assert_eq!(post(&good.replace("ChangeResourceRecordSetsRequest", "ChangeBatch")), Err("MalformedInput".to_owned()));
    assert_eq!(fake.sets(&zone).len(), 2);

    let typed = |media: &str| {
        let headers = [("authorization", AUTHORIZATION), ("x-amz-date", "20260101T000000Z"), ("content-type", media)];
        let target = format!("/2013-04-01/hostedzone/{zone}/rrset/");
        outcome(send(&fake, &Request::new("POST", &target, &headers, good.clone()))).map_err(|(code, _)| code)
    };
    assert_eq!(typed("application/json"), Err("MalformedInput".to_owned()));
    assert_eq!(typed("application/xml; charset=utf-8"), Ok(()));
    let with_body = signed("GET", "/hostedzone", &good);
    assert_eq!(outcome(send(&fake, &with_body)).map_err(|(code, _)| code), input);
}

#[tokio::test]
async fn a_batch_has_1000_records_and_32000_characters_and_an_upsert_counts_twice() {
    let (fake, zone) = start().await;
    fake.limits(|limits| limits.sets_per_zone = 100_000);
    let sets = |label: &str, count: usize| -> Vec<RecordSet> {
        (0..count).map(|number| a(&format!("{label}{number}.z.test"))).collect()
    };
    let send = |action: &'static str, sets: &[RecordSet]| {
        let changes: Vec<_> = sets.iter().map(|set| (action, set)).collect();
        apply(&fake, &zone, &changes)
    };
    let records = invalid(&["Number of records limit of 1000 exceeded."]);
    assert_eq!(send("CREATE", &sets("a", 1001)), records);
    assert_eq!(send("CREATE", &sets("a", 1000)), Ok(()));
    assert_eq!(send("UPSERT", &sets("b", 501)), records);
    assert_eq!(send("UPSERT", &sets("b", 500)), Ok(()));
    let texts = |length: usize| -> Vec<RecordSet> {
        let value = format!("\"{}\"", "x".repeat(length - 2));
        (0..160).map(|number| RecordSet::simple(&format!("t{number}.z.test"), "TXT", 60, [value.clone()])).collect()
    };
    let characters = invalid(&["RDATA character limit of 32000 exceeded."]);
    assert_eq!(send("CREATE", &texts(201)), characters);
    assert_eq!(send("UPSERT", &texts(200)), characters);
    assert_eq!(send("CREATE", &texts(200)), Ok(()));
    assert_eq!(send("DELETE", &texts(200)), Ok(()));
    let aliases: Vec<_> =
        (0..1001).map(|n| RecordSet::alias(&format!("l{n}.z.test"), "A", "Z2", "x.example")).collect();
    assert_eq!(send("CREATE", &aliases), records, "an alias counts as one");
}

#[tokio::test]
async fn sets_and_zones_have_limits() {
    let (fake, zone) = start().await;
    let many = |count: usize| {
        RecordSet::simple("m.z.test", "A", 60, (0..count).map(|n| format!("192.0.{}.{}", n / 250, n % 250)))
    };
    assert_eq!(
        apply(&fake, &zone, &[("CREATE", &many(401))]),
        invalid(&["Cannot have more than 400 records in a RRSet."])
    );
    assert_eq!(apply(&fake, &zone, &[("CREATE", &many(400))]), Ok(()));

    fake.limits(|limits| limits.sets_per_zone = 4);
    let full = format!("Exceeded limit MAX_RRSETS_BY_ZONE for zone: {zone}");
    assert_eq!(apply(&fake, &zone, &[("CREATE", &a("a.z.test")), ("CREATE", &a("b.z.test"))]), invalid(&[&full]));
    assert_eq!(apply(&fake, &zone, &[("CREATE", &a("a.z.test"))]), Ok(()));
    let (_, root) = get(&fake, &format!("/hostedzonelimit/{zone}/MAX_RRSETS_BY_ZONE"));
    let limit = root.child("Limit").and_then(|limit| limit.child_text("Value"));
    assert_eq!((limit, root.child_text("Count")), (Some("4"), Some("4")));

    fake.limits(|limits| limits.routed_sets = 2);
    fake.limits(|limits| limits.sets_per_zone = 100);
    let weighted: Vec<_> = (0..3).map(|n| a("w.z.test").routed(&n.to_string(), Element::text("Weight", "1"))).collect();
    let changes: Vec<_> = weighted.iter().map(|set| ("CREATE", set)).collect();
    assert!(apply(&fake, &zone, &changes).is_err());
    assert_eq!(apply(&fake, &zone, &changes[..2]), Ok(()));
}

#[tokio::test]
async fn values_must_be_of_their_type() {
    let (fake, zone) = start().await;
    let long = format!("\"{}\"", "x".repeat(256));
    let bad = [
        ("A", "192.0.2.256", "ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address)"),
        ("A", "192.0.2.1 192.0.2.2", "ARRDATANotSingleField (Value contains spaces)"),
        ("AAAA", "192.0.2.1", "AAAARRDATAIllegalIPv6Address (Value is not a valid IPv6 address)"),
        ("TXT", "bare", "InvalidCharacterString (Value should be enclosed in quotation marks)"),
        ("TXT", "\"open", "InvalidCharacterString (Value should be enclosed in quotation marks)"),
        ("TXT", "\"\\9\"", "InvalidCharacterString (Escape is not three octal digits)"),
        ("TXT", "\"é\"", "InvalidCharacterString (Value contains characters that must be escaped)"),
        ("TXT", &long, "CharacterStringTooLong (Value is too long)"),
        ("CNAME", "a..b", "DomainLabelEmpty (Domain label is empty)"),
        ("MX", "mail.example.", "MXRRDATAIllegal (Value is not a preference and a host)"),
        ("SRV", "1 2 x.example.", "SRVRRDATAIllegal (Value is not a priority, a weight, a port and a host)"),
        ("CAA", "0 issue ca.example", "InvalidCharacterString (Value should be enclosed in quotation marks)"),
    ];
    for (rr_type, value, why) in bad {
        let set = RecordSet::simple("v.z.test", rr_type, 60, [value]);
        let value = if rr_type == "CAA" { "ca.example" } else { value };
        let message = format!("Invalid Resource Record: 'FATAL problem: {why} encountered with '{value}''");
        assert_eq!(apply(&fake, &zone, &[("CREATE", &set)]), invalid(&[&message]), "{rr_type} {value}");
    }
    let good = [
        ("AAAA", "2001:db8::1"),
        ("TXT", "\"a\\\"b\\\\c\\303\\251;\" \"\" \"d\""),
        ("MX", "10 mail.example."),
        ("SRV", "1 2 3 x.example"),
        ("CAA", "0 issue \"ca.example; policy=ev\""),
        ("PTR", "x.example."),
        ("NS", "ns.example."),
        ("DS", "12345 13 2 AA"),
    ];
    for (rr_type, value) in good {
        let set = RecordSet::simple("v.z.test", rr_type, 60, [value]);
        assert_eq!(apply(&fake, &zone, &[("CREATE", &set)]), Ok(()), "{rr_type}");
        assert_eq!(fake.set(&zone, "v.z.test", rr_type), Some(set));
    }
    let two = RecordSet::simple("c.z.test", "CNAME", 60, ["a.example.", "b.example."]);
    assert!(apply(&fake, &zone, &[("CREATE", &two)]).is_err());
    let twice = RecordSet::simple("d.z.test", "A", 60, ["192.0.2.1", "192.0.2.1"]);
    assert_eq!(apply(&fake, &zone, &[("CREATE", &twice)]), invalid(&["Duplicate Resource Record: '192.0.2.1'"]));
    let chars = RecordSet::simple("l.z.test", "TXT", 60, [["\"", &"x".repeat(250), "\" "].concat().repeat(16)]);
    assert!(
        apply(&fake, &zone, &[("CREATE", &chars)]).is_err_and(|(code, _)| code == "InvalidInput"),
        "4,000 characters"
    );
}

#[tokio::test]
async fn a_missing_right_is_named_with_its_zone() {
    let (fake, zone) = start().await;
    let other = fake.create_zone("other.test", false);
    fake.deny("ListResourceRecordSets", Some(&zone));
    fake.deny("ListHostedZones", None);
    let (code, message) = outcome(get(&fake, &format!("/hostedzone/{zone}/rrset"))).expect_err("denied");
    assert_eq!(code, "AccessDenied");
    let wanted = format!("route53:ListResourceRecordSets on resource: arn:aws:route53:::hostedzone/{zone} because");
    assert!(message.contains(&wanted), "{message}");
    assert_eq!(get(&fake, &format!("/hostedzone/{other}/rrset")).0, 200);
    assert_eq!(get(&fake, "/hostedzone").0, 403);
    fake.allow_all();
    assert_eq!(get(&fake, "/hostedzone").0, 200);
}
