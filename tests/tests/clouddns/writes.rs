//! Changes: their batches, conflicts, lost answers and throttling.

use dns_conformance::fakes::clouddns::{RecordSet, Trouble};
use dns_conformance::fakes::faults::Fault;
use dns_conformance::fakes::listener::Answer;
use dnsprovider::capabilities::Operation;
use dnsprovider::{Change, ChangeSet, Claim, DnsProvider, ErrorKind, Outcome, RrType, Unit};
use serde_json::json;

use super::world::{APEX, CHANGE, World, addresses, alias, create, name, replace, told, within};

fn many(count: usize) -> Vec<Change> {
    (0..count).map(|n| create(addresses(&format!("n{n}"), &[1, 2]))).collect()
}

#[tokio::test]
async fn a_thousand_sets_are_one_call_and_ten_thousand_ten() {
    let world = World::start().await;
    world.fake.set_quota(|quota| quota.rrsets_per_managed_zone = 20_000);
    let provider = world.ready().await;
    assert!(world.apply(&provider, many(10_000)).await.is_done());
    assert_eq!(world.fake.control().counts().into_iter().collect::<Vec<_>>(), [(CHANGE.to_owned(), 10)]);
}

#[tokio::test]
async fn a_stale_set_is_named_and_all_others_are_applied() {
    let world = World::start().await;
    world.fake.put(&world.zone, RecordSet::new(&format!("n7.{APEX}."), "A", 60, ["192.0.2.77"]));
    let policy = json!({"wrr": {"items": [{"weight": 1.0, "rrdatas": ["192.0.2.78"]}]}});
    world.fake.put(&world.zone, RecordSet::with_policy(&format!("n8.{APEX}."), "A", 60, &policy));
    let provider = world.ready().await;
    let mut changes = many(900);
    changes.push(replace(Some(addresses("gone", &[1])), Some(addresses("gone", &[2]))));
    let before = world.fake.sets(&world.zone);
    let applied = world.apply(&provider, changes).await;
    let not_done: Vec<_> = told(&applied).into_iter().filter(|told| !told.ends_with("done")).collect();
    assert_eq!(not_done, ["gone A: conflict", "n7 A: conflict", "n8 A: conflict"]);
    assert_eq!(world.calls(CHANGE), 2, "one answer names all that stand or are gone");
    assert_eq!(world.fake.sets(&world.zone).len(), before.len() + 898);
    let stands = |name: &str| world.fake.set(&world.zone, &format!("{name}.{APEX}."), "A");
    assert_eq!(stands("n7").map(|set| set.records().to_vec()), Some(vec!["192.0.2.77".to_owned()]));
}

#[tokio::test]
async fn one_bad_set_that_no_answer_names_costs_log2_calls() {
    let world = World::start().await;
    let provider = world.ready().await;
    let refusal = json!({"error": {"code": 400, "message": "no", "errors": [{"message": "no", "reason": "invalid"}]}});
    let answer = Answer::new(400, refusal.to_string()).with_header("content-type", "application/json");
    let bad = Fault::answer(answer).on(CHANGE).when(|request| request.text().contains("\"n500.")).always();
    world.fake.control().add(bad);
    let applied = world.apply(&provider, many(1_000)).await;
    let not_done: Vec<_> = told(&applied).into_iter().filter(|told| !told.ends_with("done")).collect();
    assert_eq!(not_done, ["n500 A: invalid input"]);
    let calls = world.calls(CHANGE);
    assert!((11..=21).contains(&calls), "{calls} calls");
    assert_eq!(world.fake.sets(&world.zone).len(), 2 + 999);
}

#[tokio::test]
async fn what_no_zone_takes_is_refused_unsent_and_the_rest_is_sent() {
    let world = World::start().await;
    let provider = world.ready().await;
    let mut claimed = addresses("claimed", &[1]);
    claimed.claim = Some(Claim::without_credits("a", "b"));
    let crowd: Vec<u8> = (0..=100).collect();
    let sets = [addresses("good", &[1]), addresses("a/b", &[1]), claimed, addresses("crowd", &crowd)];
    let applied = world.apply(&provider, sets.map(create).into()).await;
    let expected = ["a/b A: invalid input", "claimed A: unsupported", "crowd A: limit exceeded", "good A: done"];
    assert_eq!(told(&applied), expected);
    assert_eq!(world.calls(CHANGE), 1);
}

#[tokio::test]
async fn addresses_give_way_to_a_cname_in_one_change() {
    let world = World::start().await;
    let provider = world.ready().await;
    world.apply(&provider, vec![create(addresses("www", &[1]))]).await;
    let unit = vec![replace(Some(addresses("www", &[1])), None), create(alias("www", "other"))];
    let applied = world.apply(&provider, unit).await;
    assert_eq!(told(&applied), ["www A: done", "www CNAME: done"]);
    assert_eq!((world.calls(CHANGE), world.fake.changes(&world.zone)), (2, 2));
    // Somebody else's address set forbids a CNAME.
    world.fake.put(&world.zone, RecordSet::new(&format!("held.{APEX}."), "TXT", 60, ["\"x\""]));
    let applied = world.apply(&provider, vec![create(alias("held", "other")), create(addresses("new", &[1]))]).await;
    assert_eq!(told(&applied), ["held CNAME: conflict", "new A: done"]);
}

#[tokio::test]
async fn a_lost_answer_is_unknown_and_nothing_is_sent_twice() {
    for (fault, stands) in [
        (Fault::lose_answer(), true),
        (Fault::half_answer(), true),
        (Fault::lose_request(), false),
        (Fault::answer(Trouble::Backend.answer()), false),
        (Fault::answer(Trouble::Internal.answer()), false),
        (Fault::answer(Trouble::Proxy.answer()), false),
    ] {
        let world = World::start().await;
        let provider = world.ready().await;
        world.fake.control().add(fault.on(CHANGE));
        let applied = world.apply(&provider, vec![create(addresses("www", &[1]))]).await;
        let outcomes: Vec<_> = applied.outcomes.values().collect();
        assert!(matches!(outcomes[..], [Outcome::Unknown(_)]), "{outcomes:?}");
        assert_eq!(world.calls(CHANGE), 1);
        assert_eq!(world.fake.set(&world.zone, &format!("www.{APEX}."), "A").is_some(), stands);
    }
}

#[tokio::test]
async fn throttling_in_every_shape_is_waited_for() {
    for trouble in [Trouble::RateLimit, Trouble::QuotaPerMinute, Trouble::RateLimitForbidden, Trouble::UserRateLimit] {
        let world = World::start().await;
        let provider = world.ready().await;
        world.fake.control().add(Fault::answer(trouble.answer()).on(CHANGE).times(2));
        let applied = world.apply(&provider, vec![create(addresses("www", &[1]))]).await;
        assert_eq!(told(&applied), ["www A: done"], "{trouble:?}");
        assert_eq!(world.calls(CHANGE), 3);
    }
}

#[tokio::test]
async fn a_pause_beyond_the_deadline_is_told_at_once() {
    for (answer, kind) in [
        (Trouble::RateLimit.with_retry_after(3_600), ErrorKind::RateLimited),
        (Trouble::DailyLimit.answer(), ErrorKind::RateLimited),
    ] {
        let world = World::start().await;
        let provider = world.ready().await;
        world.fake.control().add(Fault::answer(answer).on(CHANGE).always());
        let changes = ChangeSet::by_name([create(addresses("www", &[1]))]);
        let error = provider.apply(&world.id, &changes, &within(20)).await.expect_err("throttled");
        assert_eq!((error.kind(), world.calls(CHANGE)), (kind, 1));
        assert_eq!(error.zone(), Some(&name("")));
    }
}

#[tokio::test]
async fn after_the_deadline_nothing_is_sent() {
    let world = World::start().await;
    let provider = world.ready().await;
    let changes = ChangeSet::by_name([create(addresses("www", &[1]))]);
    let applied = provider.inner().apply(&world.id, &changes, &within(0)).await.expect("nothing was sent");
    assert_eq!(told(&applied), ["www A: not tried"]);
    assert!(world.fake.control().counts().is_empty());
}

#[tokio::test]
async fn quotas_are_those_of_the_project() {
    let world = World::start().await;
    world.fake.set_quota(|quota| {
        quota.rrset_additions_per_change = 5;
        quota.rrset_deletions_per_change = 3;
        quota.total_rrdata_size_per_change = 60;
        quota.resource_records_per_rrset = 7;
        quota.rrsets_per_managed_zone = 77;
    });
    let provider = world.ready().await;
    let limits = provider.capabilities().limits;
    assert_eq!((limits.batch.sets, limits.batch.operations, limits.batch.octets), (5, 3, 60));
    assert_eq!((limits.records_per_set, limits.sets_per_zone), (Some(7), Some(77)));
    // Twelve sets of one record of 9 octets: five in a change.
    let sets = || (0..12).map(|n| addresses(&format!("n{n}"), &[1]));
    assert!(world.apply(&provider, sets().map(create).collect()).await.is_done());
    assert_eq!(world.calls(CHANGE), 3);
    // Three deletions in a change.
    assert!(world.apply(&provider, sets().map(|set| replace(Some(set), None)).collect()).await.is_done());
    assert_eq!(world.calls(CHANGE), 7);
    // Four records of 9 octets are 36: one set in a change.
    let wide = (0..3).map(|n| create(addresses(&format!("w{n}"), &[1, 2, 3, 4]))).collect();
    assert!(world.apply(&provider, wide).await.is_done());
    assert_eq!(world.calls(CHANGE), 10);
    let batch = ChangeSet {
        units: (0..6).map(|n| Unit { changes: vec![create(addresses(&format!("u{n}"), &[1]))] }).collect(),
    };
    let error = provider.inner().apply(&world.id, &batch, &within(30)).await.expect_err("six are more than five");
    assert_eq!((error.kind(), world.calls(CHANGE)), (ErrorKind::LimitExceeded, 10));
}

#[tokio::test]
async fn without_the_right_to_read_quotas_those_of_new_projects_hold() {
    let world = World::start().await;
    world.fake.deny("dns.projects.get");
    let provider = world.ready().await;
    assert_eq!(provider.capabilities().limits.batch.sets, 1_000);
    assert!(world.apply(&provider, many(2)).await.is_done());
    assert_eq!(world.calls("dns.projects.get"), 0, "it was asked for once, before");
}

#[tokio::test]
async fn quotas_that_were_lowered_are_read_again() {
    let world = World::start().await;
    let provider = world.ready().await;
    world.fake.set_quota(|quota| quota.rrset_additions_per_change = 4);
    assert!(world.apply(&provider, many(8)).await.is_done(), "halves of halves fit");
    world.fake.control().forget_calls();
    let more = (0..8).map(|n| create(addresses(&format!("m{n}"), &[1]))).collect();
    assert!(world.apply(&provider, more).await.is_done());
    assert_eq!(provider.capabilities().limits.batch.sets, 4);
}

#[tokio::test]
async fn the_spelling_of_others_is_matched_to_the_letter() {
    let world = World::start().await;
    let host = format!("text.{APEX}.");
    world.fake.put(&world.zone, RecordSet::new(&host, "TXT", 60, ["\"ab\" \"cd\""]));
    let provider = world.ready().await;
    let read = provider.read_names(&world.id, &[name("text")]).await.expect("it is there");
    let entry = read.at(&name("text"))[0].clone();
    assert_eq!(entry.data.set.rr_type(), &RrType::Txt);
    let applied = world.apply(&provider, vec![Change::delete(&entry)]).await;
    assert_eq!(told(&applied), ["text TXT: done"]);
}

#[tokio::test]
async fn a_missing_right_is_named() {
    for right in ["dns.changes.create", "dns.resourceRecordSets.create"] {
        let world = World::start().await;
        let provider = world.ready().await;
        world.fake.deny(right);
        let changes = ChangeSet::by_name([create(addresses("www", &[1]))]);
        let error = provider.apply(&world.id, &changes, &within(20)).await.expect_err("it may not");
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        let text = error.to_string();
        assert!(text.contains(&format!("`{right}`")) && text.contains("`federation-test`"), "{text}");
        assert!(text.contains(APEX), "{text}");
    }
}

#[tokio::test]
async fn reads_and_writes_have_a_rate_each() {
    let world = World::start().await;
    let mut options = world.options();
    options.rates = dns_providers::clouddns::Rates::default();
    let rates = dns_providers::clouddns::CloudDns::new(options).expect("a good key").capabilities().rates;
    let of =
        |operation| rates.iter().find(|rate| rate.operation == operation).map(|rate| (rate.per_second, rate.burst));
    assert_eq!((of(Operation::Get), of(Operation::Update)), (Some((10.0, 20)), Some((5.0, 10))));
}
