//! A client that knows nothing: it sends what a test says.

use std::fmt::Write as _;

use dns_conformance::fakes::azure::{API_VERSION, Fake};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) const GROUP: &str = "rg";
pub(crate) const ZONE: &str = "example.test";

/// An answer as a test looks at it.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    /// `null` where the body is empty or no JSON.
    pub(crate) body: Value,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let pairs = self.head.lines().filter_map(|line| line.split_once(": "));
        pairs.filter(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    /// Status and code of an error, whichever its shape.
    pub(crate) fn error(&self) -> (u16, &str) {
        let code = self.body["code"].as_str().or(self.body["error"]["code"].as_str());
        (self.status, code.unwrap_or_default())
    }

    pub(crate) fn message(&self) -> &str {
        self.body["message"].as_str().or(self.body["error"]["message"].as_str()).unwrap_or_default()
    }

    /// Names and types of a list.
    pub(crate) fn names(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let last = |value: &Value| text(value).rsplit('/').next().unwrap_or_default().to_owned();
        let list = self.body["value"].as_array().expect("a list");
        list.iter().map(|set| (text(&set["name"]), last(&set["type"]))).collect()
    }
}

pub(crate) struct Client<'a> {
    fake: &'a Fake,
    token: Option<String>,
}

impl<'a> Client<'a> {
    pub(crate) fn new(fake: &'a Fake) -> Self {
        Self { fake, token: Some(fake.token()) }
    }

    pub(crate) fn with_token(self, token: Option<&str>) -> Self {
        Self { token: token.map(str::to_owned), ..self }
    }

    /// Sends to a path and query, or to a link that the fake gave out; `None` when no whole answer comes.
    pub(crate) async fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Option<Reply> {
        let path = path.find("/subscriptions/").filter(|_| path.starts_with("https://")).map_or(path, |at| &path[at..]);
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", self.fake.address());
        for (name, value) in headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if let Some(token) = &self.token {
            let _ = write!(head, "authorization: Bearer {token}\r\n");
        }
        if !body.is_empty() {
            let _ = write!(head, "content-length: {}\r\n", body.len());
        }
        let mut stream = TcpStream::connect(self.fake.address()).await.ok()?;
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok()?;
        let answer = String::from_utf8(answer).ok()?;
        let (head, text) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let body = serde_json::from_str(text).unwrap_or_default();
        let reply = Reply { status, head: head.to_owned(), body, text: text.to_owned() };
        let promised = reply.header("content-length").map_or(Some(0), |length| length.parse().ok());
        (promised == Some(text.len())).then_some(reply)
    }

    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        self.try_send(method, path, headers, body).await.expect("an answer")
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], "").await
    }

    pub(crate) async fn json(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
        let headers: Vec<_> = [("content-type", "application/json")].iter().chain(headers).copied().collect();
        self.send(method, path, &headers, &body.to_string()).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Reply {
        self.json("PUT", path, &[], body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.send("DELETE", path, &[], "").await
    }
}

/// A path of the subscription.
pub(crate) fn at(rest: &str) -> String {
    let subscription = dns_conformance::fakes::azure::SUBSCRIPTION;
    let mark = if rest.contains('?') { '&' } else { '?' };
    format!("/subscriptions/{subscription}/{rest}{mark}api-version={API_VERSION}")
}

/// A path of the zone of the tests.
pub(crate) fn in_zone(rest: &str) -> String {
    at(&format!("resourceGroups/{GROUP}/providers/Microsoft.Network/dnsZones/{ZONE}{rest}"))
}

/// A fake with the zone of the tests.
pub(crate) async fn start() -> Fake {
    let fake = Fake::start().await;
    fake.create_zone(GROUP, ZONE);
    fake
}

/// The body of an A set.
pub(crate) fn a(ttl: i64, addresses: &[&str]) -> Value {
    let records: Vec<Value> = addresses.iter().map(|text| serde_json::json!({ "ipv4Address": text })).collect();
    serde_json::json!({"properties": {"TTL": ttl, "ARecords": records}})
}
