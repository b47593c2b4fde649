//! What goes wrong on the way: lost answers, throttling, conflicts, one bad record among many, half-done type changes.

use std::sync::Arc;
use std::time::Duration;

use dns_conformance::fakes::azure::{self, RecordSet, Throttling};
use dns_conformance::fakes::faults::Fault;
use dns_conformance::fakes::listener::Request;
use dnsprovider::{
    Applied, ApplyContext, Change, ChangeSet, Chunked, DnsProvider as _, ErrorKind, Outcome, RetryHint, RrType, Version,
};

use super::common::{APEX, GROUP, a, changed, create, entry, key, loose, set, start, unit, zone};

const PUT: &str = "RecordSets_CreateOrUpdate";
const DELETE: &str = "RecordSets_Delete";

fn outcome<'a>(applied: &'a Applied, relative: &str, rr_type: RrType) -> &'a Outcome {
    &applied.outcomes[&key(relative, rr_type)]
}

fn of(relative: &'static str) -> impl Fn(&Request) -> bool + Send {
    move |request| request.path.ends_with(&format!("/{relative}"))
}

#[tokio::test]
async fn a_lost_answer_is_unknown_and_never_sent_again() {
    for fault in [Fault::lose_answer, Fault::lose_request, Fault::half_answer] {
        let (fake, provider) = start().await;
        fake.control().add(fault().on(PUT).when(of("lost")));
        let changes = loose([create(a("lost", &["192.0.2.1"])), create(a("fine", &["192.0.2.1"]))]);
        let applied = provider.apply(&zone(), &changes, &ApplyContext::default()).await.expect("a part is done");
        assert!(matches!(outcome(&applied, "lost", RrType::A), Outcome::Unknown(_)), "{applied:?}");
        assert!(outcome(&applied, "fine", RrType::A).is_done());
        assert_eq!(fake.control().count(PUT), 2);
    }
}

#[tokio::test]
async fn a_lost_read_is_read_again() {
    let (fake, provider) = start().await;
    for fault in [Fault::lose_answer(), Fault::half_answer(), Fault::answer(azure::server_error(500))] {
        fake.control().add(fault.on("RecordSets_ListByDnsZone"));
    }
    let page = provider.read_page(&zone(), None).await.expect("the fourth time");
    assert_eq!((page.entries.len(), fake.control().count("RecordSets_ListByDnsZone")), (2, 4));
}

#[tokio::test]
async fn throttling_in_every_shape_is_waited_out_and_done_once() {
    let mut answers = vec![azure::server_error(503)];
    for shape in Throttling::ALL {
        answers.push(azure::throttled(shape, Some(0)));
        if !matches!(shape, Throttling::Action | Throttling::Subscription) {
            // Those two name a minute in their text.
            answers.push(azure::throttled(shape, None));
        }
    }
    for answer in answers {
        let (fake, provider) = start().await;
        let told = format!("{answer:?}");
        fake.control().add(Fault::answer(answer).on(PUT));
        let changes = loose([create(a("www", &["192.0.2.1"]))]);
        let applied = provider.apply(&zone(), &changes, &ApplyContext::default()).await.expect("it is done");
        assert!(applied.is_done(), "{told}: {applied:?}");
        assert_eq!(fake.control().count(PUT), 2, "{told}");
    }
}

#[tokio::test]
async fn a_throttling_that_outlasts_the_time_is_told_and_nothing_is_done() {
    let (fake, provider) = start().await;
    fake.control().add(Fault::answer(azure::throttled(Throttling::Action, None)).on(PUT).always());
    let context = ApplyContext { time_left: Some(Arc::new(|| Duration::from_secs(30))), ..ApplyContext::default() };
    let changes = loose([create(a("www", &["192.0.2.1"]))]);
    let error = provider.apply(&zone(), &changes, &context).await.expect_err("nothing was done");
    assert_eq!((error.kind(), error.retry()), (ErrorKind::RateLimited, RetryHint::After(Duration::from_mins(1))));
    assert_eq!(fake.control().count(PUT), 1, "a minute is more than is left");
    assert_eq!(fake.set(GROUP, APEX, "A", "www"), None);
}

#[tokio::test]
async fn one_bad_record_of_a_thousand_costs_nothing_and_is_named() {
    let (fake, provider) = start().await;
    let provider = Chunked::new(provider);
    let good = |host: usize| create(a(&format!("s{host}"), &["192.0.2.1"]));
    let changes = loose((0..1000).map(|host| {
        if host == 500 { create(a("not ours".replace(' ', "/").as_str(), &["192.0.2.1"])) } else { good(host) }
    }));
    let applied = provider.apply(&zone(), &changes, &ApplyContext::default()).await.expect("the others are done");
    let bad = outcome(&applied, "not/ours", RrType::A);
    assert!(matches!(bad, Outcome::Refused(error) if error.kind() == ErrorKind::InvalidInput), "{bad:?}");
    assert_eq!(applied.outcomes.values().filter(|outcome| outcome.is_done()).count(), 999);
    assert_eq!(fake.control().count(PUT), 999, "each set is a call of its own");

    // One that only the host refuses.
    fake.control().forget_calls();
    let refusal = dns_conformance::fakes::listener::Answer::new(400, r#"{"code":"BadRequest","message":"no"}"#);
    fake.control().add(Fault::answer(refusal).on(PUT).when(of("t7")));
    let changes = loose((0..100).map(|host| create(a(&format!("t{host}"), &["192.0.2.1"]))));
    let applied = provider.apply(&zone(), &changes, &ApplyContext::default()).await.expect("the others are done");
    assert!(
        matches!(outcome(&applied, "t7", RrType::A), Outcome::Refused(error) if error.kind() == ErrorKind::InvalidInput)
    );
    assert_eq!(
        (applied.outcomes.values().filter(|outcome| outcome.is_done()).count(), fake.control().count(PUT)),
        (99, 100)
    );
}

#[tokio::test]
async fn each_write_has_its_condition_and_a_stale_one_changes_nothing() {
    let (fake, provider) = start().await;
    fake.put_set(GROUP, APEX, RecordSet::a("held", 180, &["192.0.2.1"]));
    let held = entry(&provider, "held", RrType::A).await;
    fake.put_set(GROUP, APEX, RecordSet::a("held", 180, &["192.0.2.9"]));
    fake.remove_set(GROUP, APEX, "A", "gone");
    let before = fake.sets(GROUP, APEX);
    fake.control().forget_calls();
    for change in [changed(&held, &["192.0.2.2"]), Change::delete(&held), create(a("held", &["192.0.2.2"]))] {
        let applied = provider.apply(&zone(), &loose([change]), &ApplyContext::default()).await.expect("it was judged");
        assert!(matches!(outcome(&applied, "held", RrType::A), Outcome::Conflict), "{applied:?}");
    }
    assert_eq!(fake.sets(GROUP, APEX), before);
    let condition = |request: &Request| {
        (request.header("if-match").map(str::to_owned), request.header("if-none-match").map(str::to_owned))
    };
    let sent: Vec<_> = fake.control().calls().iter().map(|call| condition(&call.request)).collect();
    let etag = held.version.detail.as_deref().map(str::to_owned);
    assert_eq!(sent, [(etag.clone(), None), (etag, None), (None, Some("*".to_owned()))]);
    // A deletion of what is gone is a conflict too, whichever way the host says it.
    fake.remove_set(GROUP, APEX, "A", "held");
    for status in [204, 412] {
        fake.absent_with_etag(status);
        let changes = loose([Change::delete(&held)]);
        let applied = provider.apply(&zone(), &changes, &ApplyContext::default()).await.expect("it was judged");
        assert!(matches!(outcome(&applied, "held", RrType::A), Outcome::Conflict), "{applied:?}");
    }
}

/// `www` has addresses of both families and metadata of others, and gives way to a CNAME.
async fn swap(fake: &azure::Fake, provider: &dns_providers::azure::AzureDns) -> ChangeSet {
    fake.put_set(GROUP, APEX, RecordSet::a("www", 180, &["192.0.2.1"]).with_metadata("owner", "ops"));
    fake.put_set(GROUP, APEX, RecordSet::aaaa("www", 180, &["2001:db8::1"]));
    let (v4, v6) = (entry(provider, "www", RrType::A).await, entry(provider, "www", RrType::Aaaa).await);
    fake.control().forget_calls();
    // The creation first, as a caller may have it.
    unit([create(set("www", RrType::Cname, &["other.example"])), Change::delete(&v4), Change::delete(&v6)])
}

/// All but the ETags.
fn data(fake: &azure::Fake) -> Vec<RecordSet> {
    let sets = fake.sets(GROUP, APEX).into_iter();
    sets.map(|set| RecordSet { etag: String::new(), ..set }).collect()
}

#[tokio::test]
async fn a_type_change_deletes_then_creates() {
    let (fake, provider) = start().await;
    let changes = swap(&fake, &provider).await;
    let applied = provider.apply(&zone(), &changes, &ApplyContext::default()).await.expect("it is done");
    assert!(applied.is_done(), "{applied:?}");
    let calls: Vec<_> = fake.control().calls().into_iter().map(|call| call.operation).collect();
    assert_eq!(calls, [DELETE, DELETE, PUT]);
    let Outcome::Done(version) = outcome(&applied, "www", RrType::A) else { panic!("{applied:?}") };
    assert_eq!(*version, Version::default());
}

#[tokio::test]
async fn what_a_failed_type_change_has_deleted_is_put_back() {
    let refused = dns_conformance::fakes::listener::Answer::new(400, r#"{"code":"BadRequest","message":"no"}"#);
    let stale = dns_conformance::fakes::listener::Answer::new(412, r#"{"code":"PreconditionFailed","message":"no"}"#);
    for (answer, conflict) in [(refused, false), (stale, true)] {
        let (fake, provider) = start().await;
        let changes = swap(&fake, &provider).await;
        let before = data(&fake);
        fake.control().add(Fault::answer(answer).on(PUT));
        let applied = provider.apply(&zone(), &changes, &ApplyContext::default()).await.expect("it was judged");
        for rr_type in [RrType::A, RrType::Aaaa, RrType::Cname] {
            let told = outcome(&applied, "www", rr_type);
            let right = if conflict { matches!(told, Outcome::Conflict) } else { matches!(told, Outcome::Refused(_)) };
            assert!(right, "{applied:?}");
        }
        assert_eq!(data(&fake), before, "with the metadata of others");
    }
}

#[tokio::test]
async fn a_type_change_whose_answers_are_lost_is_gone_on_with() {
    for lost in [PUT, DELETE] {
        let (fake, provider) = start().await;
        let changes = swap(&fake, &provider).await;
        fake.control().add(Fault::lose_answer().on(lost));
        let applied = provider.apply(&zone(), &changes, &ApplyContext::default()).await.expect("it is done");
        assert!(applied.is_done(), "{lost}: {applied:?}");
        assert!(fake.set(GROUP, APEX, "CNAME", "www").is_some(), "{lost}");
        assert_eq!((fake.control().count(DELETE), fake.control().count(PUT)), (2, 1), "{lost}: nothing is sent twice");
    }
}

#[tokio::test]
async fn a_type_change_whose_second_request_is_lost_is_told_as_it_is() {
    let (fake, provider) = start().await;
    let changes = swap(&fake, &provider).await;
    fake.control().add(Fault::lose_request().on(PUT));
    let applied = provider.apply(&zone(), &changes, &ApplyContext::default()).await.expect("a part is done");
    assert!(matches!(outcome(&applied, "www", RrType::Cname), Outcome::Unknown(_)), "{applied:?}");
    assert!(outcome(&applied, "www", RrType::A).is_done() && outcome(&applied, "www", RrType::Aaaa).is_done());
    assert_eq!(fake.control().count(PUT), 1);
}

#[tokio::test]
async fn a_type_change_that_is_begun_ends_after_the_deadline() {
    let (fake, provider) = start().await;
    let changes = swap(&fake, &provider).await;
    // The time ends with the first deletion.
    let fake = Arc::new(fake);
    let host = fake.clone();
    let left = move || Duration::from_secs(if host.control().count(DELETE) == 0 { 30 } else { 0 });
    let context = ApplyContext { time_left: Some(Arc::new(left)), ..ApplyContext::default() };
    let applied = provider.apply(&zone(), &changes, &context).await.expect("it is done");
    assert!(applied.is_done(), "{applied:?}");
}

#[tokio::test]
async fn a_type_change_that_waited_too_long_for_its_turn_is_not_begun() {
    let (fake, provider) = start().await;
    let changes = swap(&fake, &provider).await;
    // Between looking whether there is time and sending, most of it goes by.
    let looks = std::sync::atomic::AtomicU32::new(0);
    let left = move || {
        let look = looks.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Duration::from_secs(if look < 2 { 30 } else { 3 })
    };
    let context = ApplyContext { time_left: Some(Arc::new(left)), ..ApplyContext::default() };
    let applied = provider.apply(&zone(), &changes, &context).await.expect("it was judged");
    assert!(applied.outcomes.values().all(|outcome| matches!(outcome, Outcome::NotTried)), "{applied:?}");
    assert_eq!(fake.control().calls().len(), 0);
}

#[tokio::test]
async fn what_cannot_be_put_back_is_told_as_deleted() {
    let (fake, provider) = start().await;
    let changes = swap(&fake, &provider).await;
    let refused = dns_conformance::fakes::listener::Answer::new(400, r#"{"code":"BadRequest","message":"no"}"#);
    fake.control().add(Fault::answer(refused).on(PUT).times(2));
    let applied = provider.apply(&zone(), &changes, &ApplyContext::default()).await.expect("a part is done");
    let gone = [RrType::A, RrType::Aaaa].map(|rr_type| outcome(&applied, "www", rr_type).is_done());
    assert_eq!(gone, [fake.set(GROUP, APEX, "A", "www").is_none(), fake.set(GROUP, APEX, "AAAA", "www").is_none()]);
    assert!(gone[0] != gone[1], "one of the two came back: {applied:?}");
}

#[tokio::test]
async fn a_type_change_is_not_begun_without_time_for_it() {
    let (fake, provider) = start().await;
    let changes = swap(&fake, &provider).await;
    let context = ApplyContext { time_left: Some(Arc::new(|| Duration::from_secs(1))), ..ApplyContext::default() };
    let applied = provider.apply(&zone(), &changes, &context).await.expect("it was judged");
    assert!(applied.outcomes.values().all(|outcome| matches!(outcome, Outcome::NotTried)), "{applied:?}");
    assert_eq!(fake.control().calls().len(), 0);
}

#[tokio::test]
async fn a_set_of_another_type_that_came_meanwhile_is_a_conflict() {
    let (fake, provider) = start().await;
    fake.put_set(GROUP, APEX, RecordSet::txt("www", 60, &["theirs"]));
    let changes = loose([create(set("www", RrType::Cname, &["other.example"]))]);
    let applied = provider.apply(&zone(), &changes, &ApplyContext::default()).await.expect("it was judged");
    assert!(
        matches!(outcome(&applied, "www", RrType::Cname), Outcome::Conflict),
        "reading the name tells: {applied:?}"
    );
}

#[tokio::test]
async fn a_full_zone_is_told() {
    let (fake, provider) = start().await;
    fake.limits(|limits| limits.record_sets = 3);
    assert_eq!(provider.capabilities().limits.sets_per_zone, Some(10_000));
    provider.zones(Some(&super::common::name(""))).await.expect("it can be read");
    assert_eq!(provider.capabilities().limits.sets_per_zone, Some(3), "the zone has told");
    for (relative, fits) in [("one", true), ("two", false)] {
        let changes = loose([create(a(relative, &["192.0.2.1"]))]);
        let applied = provider.apply(&zone(), &changes, &ApplyContext::default()).await.expect("it was judged");
        match outcome(&applied, relative, RrType::A) {
            Outcome::Done(_) => assert!(fits),
            Outcome::Refused(error) => assert_eq!((error.kind(), fits), (ErrorKind::LimitExceeded, false), "{error}"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_host_that_is_not_there_is_an_error_of_the_batch() {
    let (fake, provider) = start().await;
    let mut options = super::common::options(&fake);
    options.http_client = None;
    options.resource_manager_url = Some("http://127.0.0.1:1".to_owned());
    options.authority_url = Some(fake.url());
    let elsewhere = dns_providers::azure::AzureDns::new(&options).expect("nothing is sent yet");
    let context = ApplyContext { time_left: Some(Arc::new(|| Duration::from_millis(150))), ..ApplyContext::default() };
    let changes = loose([create(a("www", &["192.0.2.1"]))]);
    let error = elsewhere.apply(&zone(), &changes, &context).await.expect_err("nothing was done");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    drop(provider);
}
