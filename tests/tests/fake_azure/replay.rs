//! The recorded exchanges, sent to the fake again: its answers mean what Azure's meant.
//!
//! What the recording does not make itself but reads is put there before the beginning. Compared are the status, the
//! headers that carry meaning, and the whole body; masked are ids that Azure makes up (GUIDs, the number of a group of
//! name servers, operations) and times.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use dns_conformance::fakes::azure::{CLIENT, Fake, RecordSet, SUBSCRIPTION, TENANT};
use dns_conformance::fakes::fixtures;
use serde_json::{Value, json};

use crate::client::Client;

/// Exchanges that are not sent, by file and number, with the reason.
const LEFT_OUT: [(&str, usize, &str); 1] =
    [("test_dns_alias.yaml", 1, "makes a Traffic Manager profile, which is no part of Azure DNS")];

/// One request and its answer.
#[derive(Debug)]
struct Exchange {
    method: String,
    /// Path and query, of our subscription.
    path: String,
    headers: Vec<(String, String)>,
    body: String,
    status: u16,
    answer_headers: BTreeMap<String, String>,
    answer: Value,
}

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = fixtures::dir().join(folder);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|file| file.extension().is_some_and(|it| it == "yaml"));
    files.sort();
    files
}

fn read(file: &PathBuf) -> Vec<Exchange> {
    let text = std::fs::read_to_string(file).expect("a recording can be read");
    let recording: Value = serde_saphyr::from_str(&text).expect("a recording is YAML");
    let exchanges = recording["interactions"].as_array().expect("interactions");
    exchanges.iter().map(exchange).collect()
}

/// The recordings' subscriptions and principals under the fake's names.
fn ours(text: &str) -> String {
    let text = text.replace("/subscriptions/SUBSCRIPTION_ID/", &format!("/subscriptions/{SUBSCRIPTION}/"));
    text.replace("/subscriptions/00000000-0000-0000-0000-000000000000/", &format!("/subscriptions/{SUBSCRIPTION}/"))
}

fn exchange(value: &Value) -> Exchange {
    let (request, response) = (&value["request"], &value["response"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let headers = |value: &Value| -> Vec<(String, String)> {
        let pairs = value.as_object().expect("headers").iter();
        pairs.map(|(name, values)| (name.to_ascii_lowercase(), text(&values[0]))).collect()
    };
    let uri = text(&request["uri"]);
    let path = uri.strip_prefix("https://").and_then(|rest| rest.find('/').map(|at| ours(&rest[at..])));
    let path = path.expect("a URL").replace("TENANT_ID", TENANT);
    let form = format!("client_id={CLIENT}&client_secret=Fake~secret%2Bwith%2Fodd%3Dchars%26%23%3B");
    let wanted = ["content-type", "if-match", "if-none-match"];
    let body = text(&response["body"]["string"]).replace("\\/", "/");
    Exchange {
        method: text(&request["method"]),
        path,
        headers: headers(&request["headers"]).into_iter().filter(|(name, _)| wanted.contains(&name.as_str())).collect(),
        body: ours(&text(&request["body"])).replace("client_id=CLIENT_ID&client_secret=CLIENT_SECRET", &form),
        status: response["status"]["code"].as_u64().and_then(|code| u16::try_from(code).ok()).expect("a status"),
        answer_headers: headers(&response["headers"]).into_iter().collect(),
        answer: serde_json::from_str(&ours(&body)).unwrap_or_default(),
    }
}

impl Exchange {
    /// Group, zone, and what of the zone; in lower case but for names.
    fn place(&self) -> (String, String, Vec<String>) {
        let path = self.path.split('?').next().unwrap_or_default();
        let words: Vec<String> = path.split('/').map(str::to_owned).collect();
        let after =
            |word: &str| words.iter().position(|it| it.eq_ignore_ascii_case(word)).map_or(words.len(), |at| at + 1);
        let (group, zone) = (after("resourceGroups"), after("dnsZones"));
        let named = |at: usize| words.get(at).cloned().unwrap_or_default();
        (named(group), named(zone), words.iter().skip(zone + 1).cloned().collect())
    }

    /// The zones and sets that the answer shows.
    fn shown(&self) -> Vec<&Value> {
        match self.answer["value"].as_array() {
            Some(list) => list.iter().collect(),
            None if self.answer["id"].is_string() => vec![&self.answer],
            None => Vec::new(),
        }
    }
}

/// Puts into the fake what is read before the recording itself has made it; gives the ids of zones put there.
fn prepare(fake: &Fake, exchanges: &[Exchange]) -> BTreeSet<String> {
    let (mut known, mut zones) = (BTreeSet::new(), BTreeSet::new());
    for exchange in exchanges {
        let (group, _, _) = exchange.place();
        if !group.is_empty() {
            fake.create_group(&group);
        }
        for shown in exchange.shown() {
            let id = shown["id"].as_str().expect("an id").to_owned();
            let words: Vec<&str> = id.split('/').collect();
            let (Some(group), Some(zone)) = (words.get(4), words.get(8)) else { panic!("`{id}` is no id") };
            let made = exchange.method == "PUT" || !known.insert(id.to_ascii_lowercase());
            known.insert(id.to_ascii_lowercase());
            // A zone that the recording makes comes with its apex.
            let of_made_zone = words.get(10) == Some(&"@") && !zones.contains(&words[..9].join("/"));
            if made || of_made_zone || !id.contains("dnszones") {
                continue;
            }
            if words.len() == 9 {
                fake.create_zone(group, zone);
                zones.insert(id.clone());
            } else {
                fake.put_set(group, zone, set(shown));
            }
        }
    }
    zones
}

/// A set as the vendor shows it.
fn set(shown: &Value) -> RecordSet {
    let text = |name: &str| shown[name].as_str().expect("a text").to_owned();
    let record_type = text("type").rsplit('/').next().expect("a type").to_owned();
    let properties = shown["properties"].as_object().expect("properties");
    let records = properties.iter().find(|(name, _)| name.contains("Record")).map(|(_, value)| match value {
        Value::Array(records) => records.clone(),
        record => vec![record.clone()],
    });
    let ttl = properties["TTL"].as_i64().expect("a TTL");
    RecordSet::new(&text("name"), &record_type, ttl, records.unwrap_or_default())
}

/// Replaces what Azure makes up: GUIDs, numbers of name servers, names of operations.
fn masked(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(mask(text)),
        Value::Array(values) => values.iter().map(masked).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), masked(value))).collect(),
        other => other.clone(),
    }
}

fn mask(text: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    let hex = |word: &str, length: usize| word.len() == length && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    for word in text.split_inclusive(['/', '\'', ':', '?']) {
        let (bare, last) = word.split_at(word.trim_end_matches(['/', '\'', ':', '?']).len());
        let groups: Vec<&str> = bare.split('-').collect();
        let lengths = [8, 4, 4, 4, 12];
        let guid = groups.len() == 5 && groups.iter().zip(lengths).all(|(group, length)| hex(group, length));
        let server = groups.len() > 1 && bare.starts_with("ns") && bare.contains(".azure-dns.");
        words.push(if guid {
            format!("GUID{last}")
        } else if server {
            format!("{}-##{}{last}", groups[0], bare.split_once('.').map_or("", |(_, rest)| rest))
        } else if bare.starts_with("delzone") {
            format!("OPERATION{last}")
        } else {
            word.to_owned()
        });
    }
    words.concat()
}

/// What a recorded text is called in this replay: operations, and the numbers of name servers.
#[derive(Default)]
struct Names(BTreeMap<String, String>);

impl Names {
    fn learn(&mut self, recorded: &str, real: &str) {
        self.0.insert(recorded.to_owned(), real.to_owned());
    }

    fn apply(&self, text: &str) -> String {
        // Two rounds, so that what was replaced is not replaced again.
        let marked = self
            .0
            .keys()
            .enumerate()
            .fold(text.to_owned(), |text, (at, name)| text.replace(name, &format!("\u{1}{at}\u{1}")));
        self.0.values().enumerate().fold(marked, |text, (at, name)| text.replace(&format!("\u{1}{at}\u{1}"), name))
    }
}

fn operation(link: &str) -> &str {
    link.split('?').next().and_then(|path| path.rsplit('/').next()).unwrap_or_default()
}

/// `-01.azure-dns.` of the first name server.
fn servers(zone: &Value) -> Option<String> {
    let host = zone["properties"]["nameServers"][0].as_str()?;
    Some(format!("{}.azure-dns.", &host[host.find('-')?..host.find('.')?]))
}

/// Plays one recording; gives how many exchanges were sent.
async fn replay(file: &PathBuf, left_out: &mut BTreeSet<(String, usize)>) -> usize {
    let name = file.file_name().expect("a name").to_string_lossy().into_owned();
    let exchanges = read(file);
    let fake = Fake::start().await;
    let prepared = prepare(&fake, &exchanges);
    let client = Client::new(&fake);
    let (mut names, mut sent) = (Names::default(), 0);
    for (at, exchange) in exchanges.iter().enumerate() {
        let place = format!("{name}#{at} {} {}", exchange.method, exchange.path);
        if LEFT_OUT.iter().any(|(file, number, _)| (*file, *number) == (&name, at)) {
            left_out.insert((name.clone(), at));
            continue;
        }
        let headers: Vec<_> = exchange.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let (path, body) = (names.apply(&exchange.path), names.apply(&exchange.body));
        let reply = client.send(&exchange.method, &path, &headers, &body).await;
        sent += 1;
        assert_eq!(reply.status, exchange.status, "{place}: {reply:?}");
        for header in ["etag", "location", "azure-asyncoperation", "retry-after"] {
            let recorded = exchange.answer_headers.get(header).map(|value| mask(&ours(value)));
            assert_eq!(reply.header(header).map(mask), recorded, "{place}: {header}");
        }
        if let (Some(recorded), Some(real)) = (exchange.answer_headers.get("location"), reply.header("location")) {
            names.learn(operation(recorded), operation(real));
        }
        if let (Some(recorded), Some(real)) = (servers(&exchange.answer), servers(&reply.body)) {
            names.learn(&recorded, &real);
        }
        let (mut recorded, mut real) = (masked(&exchange.answer), masked(&reply.body));
        if path.ends_with("/oauth2/token") {
            (recorded, real) = (kinds(&recorded), kinds(&real));
        }
        for (recorded, real) in rows(&mut recorded).into_iter().zip(rows(&mut real)) {
            let id = recorded["id"].as_str().unwrap_or_default().to_owned();
            if prepared.iter().any(|zone| masked(&json!(zone)) == json!(id)) {
                // The recording does not show all that was in a zone that it has not made.
                for row in [recorded, real] {
                    row["properties"]["numberOfRecordSets"] = json!("not told");
                }
            }
        }
        assert_eq!(real, recorded, "{place}");
    }
    sent
}

/// The entries of a list, or the one thing shown.
fn rows(body: &mut Value) -> Vec<&mut Value> {
    if body["value"].is_array() {
        return body["value"].as_array_mut().expect("a list").iter_mut().collect();
    }
    vec![body]
}

/// The members of a token's answer and what kind of value each is: their values belong to the moment.
fn kinds(body: &Value) -> Value {
    let kind = |value: &Value| match value {
        Value::String(text) if text.parse::<u64>().is_ok() => "number in a text",
        Value::String(_) => "text",
        Value::Number(_) => "number",
        _ => "other",
    };
    body.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), json!(kind(value)))).collect()
}

#[tokio::test]
#[ignore = "needs DNS_FIXTURES: the recorded exchanges"]
async fn the_azure_clis_recordings_are_answered_as_by_azure() {
    let mut left_out = BTreeSet::new();
    let mut sent = 0;
    for file in files("azure-recordings/cli-2021-01") {
        sent += replay(&file, &mut left_out).await;
    }
    let listed: BTreeSet<_> = LEFT_OUT.iter().map(|(file, number, _)| ((*file).to_owned(), *number)).collect();
    assert_eq!(left_out, listed, "the list of what is left out is true");
    assert!(sent > 500, "{sent} exchanges are too few");
}

#[tokio::test]
#[ignore = "needs DNS_FIXTURES: the recorded exchanges"]
async fn lexicons_recordings_are_answered_as_by_azure() {
    let mut left_out = BTreeSet::new();
    let mut sent = 0;
    for file in files("lexicon/azure") {
        sent += replay(&file, &mut left_out).await;
    }
    assert!(left_out.is_empty() && sent > 60, "{sent} exchanges are too few");
}
