//! Who may call: tokens, their givers and rights.

use std::time::{SystemTime, UNIX_EPOCH};

use dns_conformance::fakes::clouddns::Fake;
use serde_json::{Value, json};

use super::client::{Reply, Tester, send};

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn base64url(octets: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in octets.chunks(3) {
        let bits = chunk.iter().chain(&[0, 0]).take(3).fold(0, |bits, octet| bits << 8 | usize::from(*octet));
        text.extend((0..=chunk.len()).map(|i| char::from(ALPHABET[bits >> (18 - 6 * i) & 63])));
    }
    text
}

/// A token with these claims and a signature of the right length.
pub(crate) fn signed(claims: &Value) -> String {
    let part = |value: &Value| base64url(value.to_string().as_bytes());
    format!("{}.{}.{}", part(&json!({"alg": "RS256", "typ": "JWT"})), part(claims), base64url(&[7; 256]))
}

/// What a service account of the fake says when it asks for a token at `audience`.
pub(crate) fn claims(fake: &Fake, audience: &str) -> Value {
    let key: Value = serde_json::from_str(&fake.service_account_key()).expect("a key file is JSON");
    let scope = "https://www.googleapis.com/auth/ndev.clouddns.readwrite";
    json!({"iss": key["client_email"], "scope": scope, "aud": audience, "iat": now(), "exp": now() + 3600})
}

/// Asks the token endpoint with this assertion.
pub(crate) async fn grant(fake: &Fake, assertion: &str) -> Reply {
    let body = format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}");
    post_form(&fake.token_uri(), &body).await
}

async fn post_form(url: &str, body: &str) -> Reply {
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    send(url, "POST", &headers, body).await.expect("an answer")
}

async fn list_with(t: &Tester, token: &str) -> Reply {
    let authorization = format!("Bearer {token}");
    send(&t.of_zone("/rrsets"), "GET", &[("authorization", &authorization)], "").await.expect("an answer")
}

#[tokio::test]
async fn a_call_needs_a_token_that_is_valid() {
    let t = Tester::start().await;
    let without = send(&t.of_zone("/rrsets"), "GET", &[], "").await.expect("an answer");
    assert_eq!((without.error(), &without.json["error"]["status"]), ((401, "required"), &json!("UNAUTHENTICATED")));
    assert_eq!(list_with(&t, "made-up").await.error(), (401, "authError"));
    list_with(&t, &t.token).await.expect(200);
    let query = format!("/rrsets?access_token={}", t.token);
    send(&t.of_zone(&query), "GET", &[], "").await.expect("an answer").expect(200);
    t.fake.expire_tokens();
    assert_eq!(list_with(&t, &t.token).await.error(), (401, "authError"));
    list_with(&t, &t.fake.token()).await.expect(200);
}

#[tokio::test]
async fn a_missing_scope_or_right_is_forbidden() {
    let mut t = Tester::start().await;
    let set = json!({"name": "www.example.test.", "type": "A", "ttl": 60, "rrdatas": ["192.0.2.1"]});
    for right in ["dns.changes.create", "dns.resourceRecordSets.create"] {
        t.fake.deny(right);
        let reply = t.change(std::slice::from_ref(&set), &[]).await;
        assert_eq!(
            (reply.error(), &reply.json["error"]["message"]),
            ((403, "forbidden"), &json!("Forbidden")),
            "{right}"
        );
        t.fake.allow(right);
    }
    t.fake.deny("dns.resourceRecordSets.update");
    t.change(std::slice::from_ref(&set), &[]).await.expect(200);
    let mut longer = set.clone();
    longer["ttl"] = 90.into();
    assert_eq!(t.change(&[longer], &[set]).await.error(), (403, "forbidden"));
    t.fake.deny("dns.managedZones.list");
    assert_eq!(t.call("GET", &t.project("/managedZones"), None).await.error(), (403, "forbidden"));
    t.get("").await.expect(200);

    let scope = |name: &str| [format!("https://www.googleapis.com/auth/{name}")];
    t.token = t.fake.token_with_scopes(&scope("ndev.clouddns.readonly"));
    t.get("/rrsets").await.expect(200);
    let reply = t.change(&[], &[]).await;
    assert_eq!(reply.error(), (403, "forbidden"));
    assert_eq!(reply.json["error"]["details"][0]["reason"], "ACCESS_TOKEN_SCOPE_INSUFFICIENT");
    t.token = t.fake.token_with_scopes(&scope("compute"));
    assert_eq!(t.get("/rrsets").await.status, 403);
}

#[tokio::test]
async fn a_service_account_gets_a_token_for_its_signature() {
    let t = Tester::start().await;
    let good = claims(&t.fake, &t.fake.token_uri());
    let reply = grant(&t.fake, &signed(&good)).await.expect(200);
    assert_eq!((&reply.json["token_type"], &reply.json["expires_in"]), (&json!("Bearer"), &json!(3600)));
    list_with(&t, reply.json["access_token"].as_str().expect("a token")).await.expect(200);

    for (member, value) in [
        ("aud", json!("https://oauth2.example/token")),
        ("iss", json!("somebody@else.example")),
        ("exp", json!(now() - 10)),
        ("exp", json!(now() + 7200)),
    ] {
        let mut bad = good.clone();
        bad[member] = value;
        let reply = grant(&t.fake, &signed(&bad)).await;
        assert_eq!((reply.status, &reply.json["error"]), (400, &json!("invalid_grant")), "{bad}");
    }
    let (unsigned, _) = signed(&good).rsplit_once('.').map(|(a, b)| (format!("{a}.AAAA"), b.to_owned())).expect("dots");
    assert_eq!(grant(&t.fake, &unsigned).await.json["error_description"], "Invalid JWT Signature.");
    assert_eq!(post_form(&t.fake.token_uri(), "grant_type=password").await.json["error"], "unsupported_grant_type");
    let refreshed = post_form(&t.fake.token_uri(), "grant_type=refresh_token&refresh_token=fake-refresh-token").await;
    list_with(&t, refreshed.json["access_token"].as_str().expect("a token")).await.expect(200);
    assert_eq!(t.fake.control().count("oauth2.token"), 8);
    let mut user: Value = serde_json::from_str(&t.fake.user_key()).expect("a key file is JSON");
    user["grant_type"] = "refresh_token".into();
    let headers = [("content-type", "application/json")];
    let refreshed =
        send(&t.fake.token_uri(), "POST", &headers, &user.to_string()).await.expect("an answer").expect(200);
    list_with(&t, refreshed.json["access_token"].as_str().expect("a token")).await.expect(200);
}

#[tokio::test]
async fn a_self_signed_token_is_one_too() {
    let t = Tester::start().await;
    let mut own = claims(&t.fake, "https://dns.googleapis.com/");
    assert_eq!(list_with(&t, &signed(&own)).await.status, 401, "scope and audience together");
    own.as_object_mut().map(|claims| claims.remove("scope"));
    list_with(&t, &signed(&own)).await.expect(200);
    own["aud"] = "https://storage.googleapis.com/".into();
    assert_eq!(list_with(&t, &signed(&own)).await.status, 401);
    let mut scoped = claims(&t.fake, "");
    scoped.as_object_mut().map(|claims| claims.remove("aud"));
    list_with(&t, &signed(&scoped)).await.expect(200);
    t.fake.expire_tokens();
    assert_eq!(list_with(&t, &signed(&scoped)).await.status, 401);
}

#[tokio::test]
async fn a_machine_asks_its_metadata_server() {
    let t = Tester::start().await;
    let base = format!("http://{}/computeMetadata/v1", t.fake.metadata_host());
    let get = async |path: &str, flavor: &str| {
        send(&format!("{base}{path}"), "GET", &[("metadata-flavor", flavor)], "").await.expect("an answer")
    };
    assert_eq!(get("/project/project-id", "Google").await.text, "federation-test");
    assert_eq!(get("/project/project-id", "None").await.status, 403);
    assert_eq!(get("/project/zone", "Google").await.status, 404);
    let token = get("/instance/service-accounts/default/token", "Google").await;
    assert!(token.headers.contains("metadata-flavor: Google"), "{}", token.headers);
    list_with(&t, token.json["access_token"].as_str().expect("a token")).await.expect(200);

    t.fake.set_machine_scopes(&["https://www.googleapis.com/auth/compute".to_owned()]);
    let token = get("/instance/service-accounts/default/token", "Google").await;
    assert_eq!(list_with(&t, token.json["access_token"].as_str().expect("a token")).await.status, 403);
}

#[tokio::test]
async fn federation_v1_s_token_url_wants_its_body() {
    let t = Tester::start().await;
    t.fake.set_token_body("{\"alt\":1}");
    let authorization = format!("Bearer {}", t.token);
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    assert_eq!(send(&t.fake.token_url(), "POST", &[], "{\"alt\":1}").await.map(|reply| reply.status), Some(401));
    assert_eq!(send(&t.fake.token_url(), "POST", &headers, "{}").await.map(|reply| reply.status), Some(400));
    let reply = send(&t.fake.token_url(), "POST", &headers, "{\"alt\":1}").await.expect("an answer").expect(200);
    let members: Vec<_> = reply.json.as_object().expect("an object").keys().collect();
    assert_eq!(members, ["accessToken", "expireTime"]);
    let expires = reply.json["expireTime"].as_str().expect("a time");
    assert!(expires.len() == 24 && expires.ends_with('Z') && expires.starts_with("20"), "{expires}");
    list_with(&t, reply.json["accessToken"].as_str().expect("a token")).await.expect(200);
}
