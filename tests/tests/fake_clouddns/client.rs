//! A client that sends what it is told, right or wrong.

use dns_conformance::fakes::clouddns::{Fake, Visibility};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) text: String,
    pub(crate) json: Value,
}

impl Reply {
    /// Its status and the first reason, empty where there is none.
    pub(crate) fn error(&self) -> (u16, &str) {
        (self.status, self.json["error"]["errors"][0]["reason"].as_str().unwrap_or_default())
    }

    pub(crate) fn reasons(&self) -> Vec<&str> {
        let errors = self.json["error"]["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        errors.iter().filter_map(|error| error["reason"].as_str()).collect()
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }
}

/// Sends a request of these headers; `None` when the connection ended without a whole answer.
pub(crate) async fn send(url: &str, method: &str, headers: &[(&str, &str)], body: &str) -> Option<Reply> {
    let rest = url.strip_prefix("http://").expect("a URL of http");
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = if path.is_empty() { "/" } else { path };
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    if !body.is_empty() {
        head.extend(["content-length: ", &body.len().to_string(), "\r\n"]);
    }
    let mut stream = TcpStream::connect(host).await.ok()?;
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    let whole = stream.read_to_end(&mut answer).await.is_ok();
    let answer = String::from_utf8(answer).ok()?;
    let (headers, text) = answer.split_once("\r\n\r\n")?;
    let length = headers.lines().find_map(|line| line.strip_prefix("content-length: "));
    if !whole || length.map_or(Ok(0), str::parse) != Ok(text.len()) {
        return None;
    }
    let status = headers.split(' ').nth(1)?.parse().ok()?;
    let json = serde_json::from_str(text).unwrap_or_default();
    Some(Reply { status, headers: headers.to_owned(), text: text.to_owned(), json })
}

/// A fake with the public zone `example.test`, and a token for it.
pub(crate) struct Tester {
    pub(crate) fake: Fake,
    pub(crate) zone: String,
    pub(crate) token: String,
}

impl Tester {
    pub(crate) async fn start() -> Self {
        let fake = Fake::start().await;
        let zone = fake.create_zone("example.test", Visibility::Public);
        let token = fake.token();
        Self { fake, zone, token }
    }

    /// The URL of something in the project.
    pub(crate) fn project(&self, path: &str) -> String {
        format!("{}/dns/v1/projects/{}{path}", self.fake.url(), self.fake.project())
    }

    /// The URL of something in the zone.
    pub(crate) fn of_zone(&self, path: &str) -> String {
        self.project(&format!("/managedZones/{}{path}", self.zone))
    }

    /// A call that may be lost.
    pub(crate) async fn try_call(&self, method: &str, url: &str, body: Option<&Value>) -> Option<Reply> {
        let authorization = format!("Bearer {}", self.token);
        let mut headers = vec![("authorization", authorization.as_str())];
        let body = body.map(Value::to_string).unwrap_or_default();
        if !body.is_empty() {
            headers.push(("content-type", "application/json"));
        }
        send(url, method, &headers, &body).await
    }

    pub(crate) async fn call(&self, method: &str, url: &str, body: Option<&Value>) -> Reply {
        self.try_call(method, url, body).await.expect("a whole answer")
    }

    /// Reads something in the zone.
    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.call("GET", &self.of_zone(path), None).await
    }

    pub(crate) async fn change(&self, additions: &[Value], deletions: &[Value]) -> Reply {
        let body = json!({"additions": additions, "deletions": deletions});
        self.call("POST", &self.of_zone("/changes"), Some(&body)).await
    }

    /// Adds one set.
    pub(crate) async fn add(&self, set: &Value) -> Reply {
        self.change(std::slice::from_ref(set), &[]).await
    }

    /// Deletes one set.
    pub(crate) async fn delete(&self, set: &Value) -> Reply {
        self.change(&[], std::slice::from_ref(set)).await
    }
}
