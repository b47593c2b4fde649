//! What goes wrong on the way: throttling, lost answers, missing rights, nobody there.

use std::sync::Arc;
use std::time::Duration;

use dns_conformance::fakes::faults::{Fault, Gate};
use dns_conformance::fakes::listener::Answer;
use dns_conformance::fakes::route53::errors;
use dns_providers::route53::Route53;
use dnsprovider::{
    ApplyContext, Change, ChangeSet, DnsProvider, DnsProviderExt, ErrorKind, Fqdn, Lane, Outcome, ZoneId,
};

use super::world::{APEX, World, create, creations, name, options, set, tally};

const CHANGE: &str = "ChangeResourceRecordSets";
const LIST: &str = "ListResourceRecordSets";

fn within(left: Duration) -> ApplyContext {
    ApplyContext { time_left: Some(Arc::new(move || left)), ..ApplyContext::default() }
}

/// Every shape of "not now", after which the same is sent again.
fn not_now() -> Vec<Answer> {
    vec![
        errors::throttling(),
        errors::throttling_exception(),
        errors::too_many_requests(None),
        errors::too_many_requests(Some(1)),
        errors::service_unavailable(None),
        errors::service_unavailable(Some(1)),
        errors::prior_request_not_complete(),
    ]
}

#[tokio::test]
async fn what_is_turned_away_goes_again_and_is_done_once() {
    for (place, answer) in not_now().into_iter().enumerate() {
        let world = World::new().await;
        world.fake.control().add(Fault::answer(answer.clone()).on(CHANGE));
        world.fake.control().add(Fault::answer(answer).on(LIST));
        let applied = world.apply(&creations(3)).await;
        assert_eq!((tally(&applied), world.changes()), (vec![("done", 3)], 2), "shape {place}");
        world.read().await;
        assert_eq!(world.lists(), 2, "shape {place}");
    }
}

#[tokio::test]
async fn when_the_deadline_comes_first_the_batch_is_not_done() {
    for answer in [errors::throttling(), errors::too_many_requests(Some(60)), errors::prior_request_not_complete()] {
        let world = World::new().await;
        world.fake.control().add(Fault::answer(answer).on(CHANGE).always());
        let context = within(Duration::from_millis(100));
        let error = world.chunked.apply(&world.zone, &creations(3), &context).await.expect_err("nothing was done");
        assert!(matches!(error.kind(), ErrorKind::RateLimited | ErrorKind::Unavailable), "{error}");
        assert_eq!((world.changes(), world.fake.sets(&world.id).len()), (1, 2));
    }
}

#[tokio::test]
async fn a_lost_answer_is_unknown_and_never_sent_again() {
    let answers = [errors::internal_failure(), errors::bad_gateway()].map(Fault::answer);
    let faults = [(Fault::lose_answer(), true), (Fault::half_answer(), true), (Fault::lose_request(), false)];
    for (fault, done) in faults.into_iter().chain(answers.map(|fault| (fault, false))) {
        let world = World::new().await;
        let what = format!("{fault:?}");
        world.fake.control().add(fault.on(CHANGE));
        let applied = world.apply(&creations(3)).await;
        assert_eq!((tally(&applied), world.changes()), (vec![("unknown", 3)], 1), "{what}");
        assert_eq!(world.fake.sets(&world.id).len(), if done { 5 } else { 2 }, "{what}");
        // Reading tells, and what is done already is a conflict, not a second record.
        let again = world.apply(&creations(3)).await;
        assert_eq!(tally(&again), [(if done { "conflict" } else { "done" }, 3)], "{what}");
    }
}

#[tokio::test]
async fn a_lost_answer_to_a_question_is_asked_for_again() {
    let world = World::new().await;
    for fault in [Fault::lose_answer(), Fault::half_answer(), Fault::answer(errors::internal_failure())] {
        world.fake.control().add(fault.on(LIST));
    }
    assert_eq!(world.read().await.len(), 2);
    assert_eq!(world.lists(), 4);
}

/// A zone that somebody asked to create twice is there once.
#[tokio::test]
async fn a_zone_whose_answer_was_lost_is_created_once() {
    let world = World::new().await;
    let apex = Fqdn::parse("other.test").expect("a name");
    world.fake.control().add(Fault::lose_answer().on("CreateHostedZone"));
    let zone = world.host.create_zone(&apex).await.expect("it is created");
    assert_eq!(world.fake.zones().len(), 2);
    assert_eq!(world.host.find_zone(Some(&apex), None).await.expect("it is listed"), zone);
    let again = world.host.create_zone(&apex).await.expect_err("there is one");
    assert_eq!(again.kind(), ErrorKind::Conflict);
    assert!(again.to_string().contains(&*zone.id.0), "{again}");
    assert_eq!(world.fake.zones().len(), 2);
}

#[tokio::test]
async fn nobody_there_means_not_done() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let url = format!("http://{}", closed.expect("loopback has a free port"));
    let host = Route53::new(&options(&url)).await.expect("nobody is called");
    let zone = ZoneId("Z0123456789".into());
    let context = within(Duration::from_millis(100));
    let error = host.apply(&zone, &creations(1), &context).await.expect_err("nobody is there");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.chain().contains("cannot be reached") && error.chain().contains("refused"), "{}", error.chain());
}

#[tokio::test]
async fn a_write_to_a_host_that_went_away_was_not_done() {
    let World { fake, host, zone, .. } = World::new().await;
    drop(fake);
    let context = within(Duration::from_millis(100));
    match host.apply(&zone, &creations(1), &context).await {
        Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable),
        // Where the connection was still in the pool nobody knows.
        Ok(applied) => assert_eq!(tally(&applied), [("unknown", 1)]),
    }
}

#[tokio::test]
async fn a_missing_right_is_named_with_its_zone() {
    let world = World::new().await;
    let changes = ChangeSet::by_name([create(set("www", "A", &["192.0.2.1"]))]);
    let apex = Fqdn::parse("other.test").expect("a name");
    for operation in [CHANGE, LIST, "ListHostedZones", "CreateHostedZone", "DeleteHostedZone"] {
        world.fake.deny(operation, None);
        let error = match operation {
            CHANGE => world.chunked.apply(&world.zone, &changes, &ApplyContext::default()).await.err(),
            LIST => world.host.read_page(&world.zone, None).await.err(),
            "ListHostedZones" => world.host.zones(None).await.err(),
            "CreateHostedZone" => world.host.create_zone(&apex).await.err(),
            _ => world.host.delete_zone(&world.zone).await.err(),
        };
        let error = error.expect("the right is missing");
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{operation}");
        let text = error.to_string();
        assert!(text.contains(&format!("hint: the policy must allow `route53:{operation}` on ")), "{text}");
        let zone = match operation {
            "ListHostedZones" => None,
            "CreateHostedZone" => Some(apex.clone()),
            _ => Some(Fqdn::parse(APEX).expect("a name")),
        };
        assert_eq!(error.zone(), zone.as_ref(), "{operation}");
        world.fake.allow_all();
    }
}

#[tokio::test]
async fn wrong_credentials_are_no_missing_right() {
    let world = World::new().await;
    for answer in [errors::expired_token(), errors::invalid_client_token(), errors::signature_does_not_match()] {
        world.fake.control().add(Fault::answer(answer).on(CHANGE));
        let error = world.chunked.apply(&world.zone, &creations(1), &ApplyContext::default()).await.err();
        assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::Unauthenticated));
    }
}

#[tokio::test]
async fn an_absent_zone_is_told_by_its_id() {
    let world = World::new().await;
    let absent = ZoneId("Z00000000000".into());
    let error = world.host.read_page(&absent, None).await.expect_err("it is absent");
    assert_eq!(error.kind(), ErrorKind::ZoneNotFound);
    assert!(error.to_string().contains("No hosted zone found with ID: Z00000000000"), "{error}");
    world.fake.remove_zone(&world.id);
    let error =
        world.chunked.apply(&world.zone, &creations(1), &ApplyContext::default()).await.expect_err("it is gone");
    assert_eq!((error.kind(), error.zone()), (ErrorKind::ZoneNotFound, Some(&Fqdn::parse(APEX).expect("a name"))));
}

/// The fake turns away what exceeds five calls a second; of a backend that keeps to them it turns away none.
#[tokio::test]
async fn the_accounts_rate_is_never_exceeded() {
    let world = World::with(|options| options.calls_per_second = 5.0).await;
    world.fake.throttle();
    let reads = (0..9).map(|_| world.host.read_page(&world.zone, None));
    let (changes, context) = (creations(1), ApplyContext::default());
    let writes = world.chunked.apply(&world.zone, &changes, &context);
    let (read, written) = futures::join!(futures::future::join_all(reads), writes);
    assert!(read.iter().all(Result::is_ok));
    assert!(written.expect("it is written").is_done());
    let statuses: Vec<_> = world.fake.control().calls().iter().map(|call| call.status).collect();
    assert_eq!(statuses, [Some(200); 11], "nine pages, a change, and how many sets the zone may hold");
}

#[tokio::test]
async fn an_urgent_write_is_the_next_call() {
    let world = World::with(|options| options.calls_per_second = 20.0).await;
    let gate = Gate::new();
    world.fake.control().add(Fault::hold(&gate).on(LIST));
    let reads = futures::future::join_all((0..6).map(|_| world.host.read_page(&world.zone, None)));
    let urgent = async {
        gate.arrived(1).await; // one call is out, five wait for their turn
        let context = ApplyContext { lane: Lane::Urgent, ..ApplyContext::default() };
        let written = world.host.apply(&world.zone, &creations(1), &context).await;
        gate.release();
        written
    };
    let (_, written) = futures::join!(reads, urgent);
    assert!(written.expect("it is written").is_done());
    let operations: Vec<_> = world.fake.control().calls().into_iter().map(|call| call.operation).collect();
    assert_eq!(operations.iter().position(|operation| operation == CHANGE), Some(1), "{operations:?}");
}

/// A bulk change that goes again and again holds no failover up, though the host is at that change at first.
#[tokio::test]
async fn an_urgent_write_passes_a_bulk_write_that_is_under_way() {
    let world = World::new().await;
    assert!(world.host.capabilities().concurrent_writes >= 2, "one place is for what is urgent");
    let gate = Gate::new();
    world.fake.control().add(Fault::hold(&gate).on(CHANGE));
    world.fake.control().add(Fault::answer(errors::prior_request_not_complete()).on(CHANGE));
    let (many, context) = (creations(100), ApplyContext::default());
    let bulk = world.chunked.apply(&world.zone, &many, &context);
    let urgent = async {
        gate.arrived(1).await;
        let context = ApplyContext { lane: Lane::Urgent, ..ApplyContext::default() };
        let changes = ChangeSet::by_name([create(set("dead", "A", &["192.0.2.1"]))]);
        let written = world.chunked.apply(&world.zone, &changes, &context).await;
        let held = world.fake.sets(&world.id).len();
        gate.release();
        (written.expect("it is written"), held)
    };
    let (written, (urgent, held)) = futures::join!(bulk, urgent);
    assert!(urgent.is_done() && written.expect("it is written").is_done());
    assert_eq!((held, world.changes()), (3, 3), "the urgent set stood while nothing of the bulk did");
}

#[tokio::test]
async fn a_call_that_is_dropped_leaves_the_next_one_its_turn() {
    let world = World::new().await;
    let gate = Gate::new();
    world.fake.control().add(Fault::hold(&gate).on(CHANGE));
    let changes = creations(1);
    let context = ApplyContext::default();
    let held = world.host.apply(&world.zone, &changes, &context);
    futures::select_biased! {
        _ = futures::FutureExt::fuse(Box::pin(held)) => panic!("the gate is closed"),
        () = futures::FutureExt::fuse(Box::pin(gate.arrived(1))) => {}
    }
    gate.release();
    let read = world.host.read_names(&world.zone, &[name("s0")]).await.expect("it can be read");
    // The dropped call was done or not, and reading it again tells which.
    let entry = read.at(&name("s0")).first().cloned();
    let next = match &entry {
        Some(entry) => Change::update(entry, set("s0", "A", &["192.0.2.2"])),
        None => create(set("s0", "A", &["192.0.2.2"])),
    };
    let applied = world.apply(&ChangeSet::by_name([next])).await;
    let outcome = applied.outcomes.into_values().next();
    assert!(matches!(outcome, Some(Outcome::Done(_) | Outcome::Conflict)), "{outcome:?}");
}
