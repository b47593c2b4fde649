//! Who may ask, and how they get a token.

use std::time::Duration;

use dns_conformance::fakes::azure::{CLIENT, Cloud, Fake, OBJECT, Principal, SECRET, SUBSCRIPTION, TENANT};
use serde_json::json;

use crate::client::{Client, GROUP, Reply, ZONE, a, at, in_zone, start};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const SCOPE: &str = "https%3A%2F%2Fmanagement.azure.com%2F.default";

/// `Fake~secret+with/odd=chars&#;` as forms write it.
const SECRET_IN_FORM: &str = "Fake~secret%2Bwith%2Fodd%3Dchars%26%23%3B";

async fn token(fake: &Fake, form: &str) -> Reply {
    let client = Client::new(fake).with_token(None);
    client.send("POST", &format!("/{TENANT}/oauth2/v2.0/token"), &[FORM], form).await
}

fn secret(secret: &str, scope: &str) -> String {
    format!("grant_type=client_credentials&client_id={CLIENT}&client_secret={secret}&scope={scope}")
}

/// What the zone says to whoever holds this token.
async fn said(fake: &Fake, token: Option<&str>) -> (u16, String) {
    let reply = Client::new(fake).with_token(token).get(&in_zone("")).await;
    let (status, code) = reply.error();
    assert_eq!(reply.header("www-authenticate").is_some(), status == 401, "{reply:?}");
    (status, code.to_owned())
}

#[tokio::test]
async fn a_secret_gets_a_token_that_is_taken_until_it_expires() {
    let fake = start().await;
    assert!(SECRET.contains("+with/odd="), "the form of the tests belongs to it");
    let issued = token(&fake, &secret(SECRET_IN_FORM, SCOPE)).await;
    assert_eq!((issued.status, &issued.body["token_type"]), (200, &json!("Bearer")));
    assert_eq!((&issued.body["expires_in"], &issued.body["ext_expires_in"]), (&json!(3599), &json!(3599)));
    let bearer = issued.body["access_token"].as_str().expect("a token");
    assert_eq!(said(&fake, Some(bearer)).await, (200, String::new()));
    fake.expire_tokens();
    assert_eq!(said(&fake, Some(bearer)).await, (401, "ExpiredAuthenticationToken".into()));
    assert_eq!(said(&fake, None).await, (401, "AuthenticationFailed".into()));
    assert_eq!(said(&fake, Some("nonsense")).await, (401, "InvalidAuthenticationToken".into()));
    let other = fake.token_for("https://vault.azure.net");
    assert_eq!(said(&fake, Some(&other)).await, (401, "InvalidAuthenticationTokenAudience".into()));
    assert_eq!(fake.control().count("Token"), 1);
}

#[tokio::test(start_paused = true)]
async fn tokens_expire_by_the_clock() {
    let fake = start().await;
    fake.token_lifetime(Duration::from_mins(1));
    let bearer = fake.token();
    tokio::time::advance(Duration::from_secs(59)).await;
    assert_eq!(said(&fake, Some(&bearer)).await.0, 200);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(said(&fake, Some(&bearer)).await.0, 401);
}

#[tokio::test]
async fn the_authority_says_what_is_wrong() {
    let fake = start().await;
    for (form, status, error, number) in [
        (secret("wrong", SCOPE), 401, "invalid_client", 7_000_215),
        (secret(SECRET_IN_FORM, "openid"), 400, "invalid_scope", 1_002_012),
        (secret(SECRET_IN_FORM, SCOPE).replace(CLIENT, "nobody"), 400, "unauthorized_client", 700_016),
        (
            secret(SECRET_IN_FORM, SCOPE).replace("client_credentials", "password"),
            400,
            "unsupported_grant_type",
            70_003,
        ),
        (format!("grant_type=client_credentials&client_id={CLIENT}&scope={SCOPE}"), 401, "invalid_client", 7_000_218),
        (String::new(), 400, "invalid_request", 900_144),
    ] {
        let reply = token(&fake, &form).await;
        assert_eq!((reply.status, &reply.body["error"]), (status, &json!(error)), "{form}: {reply:?}");
        assert_eq!(reply.body["error_codes"], json!([number]));
        let description = reply.body["error_description"].as_str().expect("a text");
        assert!(
            description.starts_with(&format!("AADSTS{number}: ")) && !description.contains("wrong"),
            "{description}"
        );
    }
    let client = Client::new(&fake).with_token(None);
    let tenant = client.send("POST", "/other/oauth2/v2.0/token", &[FORM], &secret(SECRET_IN_FORM, SCOPE)).await;
    assert_eq!(tenant.body["error_codes"], json!([90_002]));
}

#[tokio::test]
async fn a_federated_assertion_gets_a_token() {
    let fake = start().await;
    fake.principal(
        Principal::new("workload").with_assertion("the.projected.token").with_right(&fake.zone_id(GROUP, ZONE), &["*"]),
    );
    let form = |assertion: &str| {
        format!(
            "grant_type=client_credentials&client_id=workload&client_assertion={assertion}&scope={SCOPE}&\
             client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"
        )
    };
    let issued = token(&fake, &form("the.projected.token")).await;
    assert_eq!(said(&fake, issued.body["access_token"].as_str()).await.0, 200);
    assert_eq!(token(&fake, &form("another")).await.body["error_codes"], json!([70_021]));
}

#[tokio::test]
async fn the_metadata_service_issues_tokens_with_numbers_as_texts() {
    let fake = start().await;
    let client = Client::new(&fake).with_token(None);
    let path = "/metadata/identity/oauth2/token?api-version=2019-08-01&resource=https%3A%2F%2Fmanagement.azure.com";
    assert_eq!(client.get(path).await.status, 400);
    let ask = async |path: &str| client.send("GET", path, &[("metadata", "true")], "").await;
    let issued = ask(path).await;
    assert_eq!((&issued.body["expires_in"], &issued.body["client_id"]), (&json!("3599"), &json!(CLIENT)));
    assert!(issued.body["expires_on"].as_str().is_some_and(|text| text.parse::<u64>().is_ok()), "{issued:?}");
    assert_eq!(said(&fake, issued.body["access_token"].as_str()).await.0, 200);
    assert_eq!(ask(&format!("{path}&client_id={CLIENT}")).await.status, 200);
    let unknown = ask(&format!("{path}&client_id=other")).await;
    assert_eq!((unknown.status, &unknown.body["error_description"]), (400, &json!("Identity not found")));
}

#[tokio::test]
async fn each_cloud_wants_its_own_audience() {
    let fake = Fake::start_in(Cloud::UsGovernment).await;
    fake.create_zone(GROUP, ZONE);
    assert_eq!(said(&fake, Some(&fake.token())).await.0, 200);
    let public = fake.token_for(Cloud::Public.resource_manager());
    assert_eq!(said(&fake, Some(&public)).await, (401, "InvalidAuthenticationTokenAudience".into()));
}

#[tokio::test]
async fn rights_on_one_zone_are_rights_on_nothing_else() {
    let fake = start().await;
    fake.create_zone(GROUP, "other.test");
    fake.create_zone(GROUP, "example.test.more");
    fake.principal(Principal::new("narrow").with_right(&fake.zone_id(GROUP, ZONE), &["Microsoft.Network/dnsZones/*"]));
    let client = Client::new(&fake).with_token(Some(&fake.token_of("narrow")));
    assert_eq!(client.get(&in_zone("")).await.status, 200);
    assert_eq!(client.get(&in_zone("/recordsets")).await.status, 200);
    assert_eq!(client.put(&in_zone("/A/www"), &a(60, &["192.0.2.1"])).await.status, 201);
    let group = format!("resourceGroups/{GROUP}/providers/Microsoft.Network");
    for (path, scope) in [
        (
            at("providers/Microsoft.Network/dnszones"),
            format!("/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Network"),
        ),
        (at(&format!("{group}/dnsZones")), format!("/subscriptions/{SUBSCRIPTION}/{group}")),
        (at(&format!("{group}/dnsZones/other.test")), fake.zone_id(GROUP, "other.test")),
        (at(&format!("{group}/dnsZones/example.test.more")), fake.zone_id(GROUP, "example.test.more")),
        (at(&format!("{group}/dnsZones/absent.test")), fake.zone_id(GROUP, "absent.test")),
    ] {
        let refused = client.get(&path).await;
        assert_eq!(refused.error(), (403, "AuthorizationFailed"), "{path}");
        let wanted = format!("perform action 'Microsoft.Network/dnsZones/read' over scope '{scope}'");
        assert!(refused.message().contains(&wanted), "{refused:?}");
    }
}

#[tokio::test]
async fn a_right_is_one_action() {
    let fake = start().await;
    let actions = ["Microsoft.Network/dnsZones/A/*", "Microsoft.Network/dnsZones/*/read"];
    fake.principal(Principal::new("reader").with_right(&fake.create_group(GROUP), &actions));
    let client = Client::new(&fake).with_token(Some(&fake.token_of("reader")));
    assert_eq!(client.put(&in_zone("/A/www"), &a(60, &["192.0.2.1"])).await.status, 201);
    assert_eq!(client.get(&in_zone("/recordsets")).await.status, 200);
    let refused = client.put(&in_zone("/AAAA/www"), &json!({"properties": {"TTL": 60}})).await;
    assert!(refused.message().contains("'Microsoft.Network/dnsZones/AAAA/write'"), "{refused:?}");
    assert_eq!(fake.set(GROUP, ZONE, "AAAA", "www"), None);
    let refused = client.get(&in_zone("")).await;
    assert!(refused.message().contains("'Microsoft.Network/dnsZones/read'"), "{refused:?}");
    assert!(!refused.message().contains(OBJECT), "it names who asked");
    fake.add_subscription("99999999-9999-4999-8999-999999999999");
    let elsewhere = in_zone("").replace(SUBSCRIPTION, "99999999-9999-4999-8999-999999999999");
    assert_eq!(Client::new(&fake).get(&elsewhere).await.error(), (403, "AuthorizationFailed"));
}
