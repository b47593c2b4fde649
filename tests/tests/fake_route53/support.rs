//! Requests as a client would send them, and answers taken apart.

use dns_conformance::fakes::listener::Request;
use dns_conformance::fakes::route53::{Element, Fake, RecordSet};

/// A signature of the right form and scope.
pub(crate) const AUTHORIZATION: &str = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/us-east-1/route53/aws4_request, \
     SignedHeaders=host;x-amz-date, Signature=0000000000000000000000000000000000000000000000000000000000000000";

/// A signed request below the version of the API.
pub(crate) fn signed(method: &str, target: &str, body: &str) -> Request {
    let headers = [("authorization", AUTHORIZATION), ("x-amz-date", "20260101T000000Z")];
    Request::new(method, &format!("/2013-04-01{target}"), &headers, body.to_owned())
}

/// Sends a request; gives the status and the root of the answer.
pub(crate) fn send(fake: &Fake, request: &Request) -> (u16, Element) {
    let answer = fake.answer(request);
    let text = String::from_utf8(answer.body.to_vec()).expect("an answer is text");
    let root = Element::parse(&text).unwrap_or_else(|why| panic!("{why}: {text}"));
    (answer.status.as_u16(), root)
}

pub(crate) fn get(fake: &Fake, target: &str) -> (u16, Element) {
    send(fake, &signed("GET", target, ""))
}

/// `CREATE`, `DELETE` or `UPSERT` with a set.
pub(crate) fn change(action: &str, set: &RecordSet) -> Element {
    Element::parent("Change", vec![Element::text("Action", action), set.to_xml()])
}

pub(crate) fn batch(changes: Vec<Element>) -> String {
    let changes = Element::parent("ChangeBatch", vec![Element::parent("Changes", changes)]);
    Element::parent("ChangeResourceRecordSetsRequest", vec![changes]).document()
}

/// Sends a batch; `Err` is the code and message of the refusal.
pub(crate) fn apply(fake: &Fake, zone: &str, changes: &[(&str, &RecordSet)]) -> Result<(), (String, String)> {
    let body = batch(changes.iter().map(|(action, set)| change(action, set)).collect());
    outcome(send(fake, &signed("POST", &format!("/hostedzone/{zone}/rrset/"), &body)))
}

/// `Err` is the code and message of a refusal.
pub(crate) fn outcome((status, root): (u16, Element)) -> Result<(), (String, String)> {
    if status < 300 {
        return Ok(());
    }
    let error = root.child("Error").expect("a refusal has an error");
    let text = |name: &str| error.child_text(name).unwrap_or_default().to_owned();
    Err((text("Code"), text("Message")))
}

pub(crate) fn refusal(code: &str, message: &str) -> Result<(), (String, String)> {
    Err((code.to_owned(), message.to_owned()))
}

/// `InvalidChangeBatch` with these messages.
pub(crate) fn invalid(messages: &[&str]) -> Result<(), (String, String)> {
    refusal("InvalidChangeBatch", &format!("[{}]", messages.join(", ")))
}

pub(crate) fn a(name: &str) -> RecordSet {
    RecordSet::simple(name, "A", 60, ["192.0.2.1"])
}

pub(crate) fn cname(name: &str) -> RecordSet {
    RecordSet::simple(name, "CNAME", 60, ["target.example."])
}
