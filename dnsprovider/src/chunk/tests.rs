use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::executor::block_on;

use super::*;
use crate::capabilities::{Atomicity, Granularity};
use crate::error::{ErrorKind, RetryHint};
use crate::memory::{Call, Fault, MemoryProvider};
use crate::provider::Outcome;
use crate::testing::{key, name, told, units};

fn host(configure: impl FnOnce(&mut Capabilities)) -> MemoryProvider {
    MemoryProvider::builder().zone(name("@")).configure(configure).build()
}

fn id() -> ZoneId {
    ZoneId(name("@").as_str().into())
}

fn try_apply(host: &MemoryProvider, texts: &[&[&str]], context: &ApplyContext) -> Result<Applied, Error> {
    block_on(Chunked::new(host.clone()).apply(&id(), &units(texts), context))
}

fn apply(host: &MemoryProvider, texts: &[&[&str]]) -> Vec<String> {
    told(&try_apply(host, texts, &ApplyContext::default()).unwrap())
}

const FOUR: &[&[&str]] = &[&["-> a A 192.0.2.1"], &["-> b A 192.0.2.1"], &["-> c A 192.0.2.1"], &["-> d A 192.0.2.1"]];

#[test]
fn nothing_to_change_is_no_call() {
    let host = host(|_| {});
    assert!(apply(&host, &[]).is_empty());
    assert!(apply(&host, &[&[]]).is_empty());
    assert_eq!(host.calls(Call::Apply), 0);
}

#[test]
fn as_many_units_go_in_a_call_as_fit_with_the_overhead() {
    let host = host(|able| {
        able.limits.batch.sets = 3;
        able.limits.overhead.sets = 1;
    });
    assert_eq!(apply(&host, FOUR), ["a A: done", "b A: done", "c A: done", "d A: done"]);
    assert_eq!((host.calls(Call::Apply), host.largest_batch().sets), (2, 3));
}

#[test]
fn a_unit_that_fits_no_call_is_refused_unsent_and_its_followers_wait() {
    let host = host(|able| able.limits.batch.values = 2);
    let texts: &[&[&str]] =
        &[&["-> z CNAME big"], &["-> big A 192.0.2.1 192.0.2.2 192.0.2.3"], &["-> small A 192.0.2.1"]];
    let applied = try_apply(&host, texts, &ApplyContext::default()).unwrap();
    assert_eq!(told(&applied), ["big A: limit exceeded", "small A: done", "z CNAME: not tried"]);
    let Outcome::Refused(error) = &applied.outcomes[&key("big A")] else { panic!("{applied:?}") };
    assert!(error.message().ends_with("3 values where 2 are allowed"), "{error}");
    assert_eq!(host.calls(Call::Apply), 1);
}

#[test]
fn the_overhead_counts_for_a_unit_alone_too() {
    let host = host(|able| (able.limits.batch.values, able.limits.overhead.values) = (2, 1));
    let texts: &[&[&str]] = &[&["-> a A 192.0.2.1 192.0.2.2"], &["-> b A 192.0.2.1"]];
    assert_eq!(apply(&host, texts), ["a A: limit exceeded", "b A: done"]);
    assert_eq!(host.calls(Call::Apply), 1);
}

#[test]
fn a_host_that_allows_less_than_it_declares_gets_less() {
    let host = host(|_| {});
    host.inject(Fault::batch_limit(Cost { sets: 1, ..Cost::UNLIMITED }).always());
    assert_eq!(apply(&host, FOUR), ["a A: done", "b A: done", "c A: done", "d A: done"]);
    assert_eq!(host.calls(Call::Apply), 7);
}

#[test]
fn a_host_that_names_the_culprits_gets_the_rest_in_one_more_call() {
    let host = host(|_| {});
    host.inject(Fault::refuse(key("b A"), ErrorKind::InvalidInput).always());
    host.inject(Fault::conflict(key("d A")).always());
    assert_eq!(apply(&host, FOUR), ["a A: done", "b A: invalid input", "c A: done", "d A: conflict"]);
    assert_eq!(host.calls(Call::Apply), 2);
}

#[test]
fn what_follows_a_culprit_is_not_sent() {
    for (granularity, atomicity) in [
        (Granularity::Set, Atomicity::Batch),
        (Granularity::Batch, Atomicity::Batch),
        (Granularity::Set, Atomicity::Set),
    ] {
        let host = host(|able| (able.granularity, able.atomicity) = (granularity, atomicity));
        host.inject(Fault::conflict(key("g A")).always());
        let texts: &[&[&str]] = &[&["-> z CNAME r"], &["-> r CNAME g"], &["-> g A 192.0.2.1"], &["-> x A 192.0.2.1"]];
        assert_eq!(apply(&host, texts), ["g A: conflict", "r CNAME: not tried", "x A: done", "z CNAME: not tried"]);
    }
}

#[test]
fn only_where_a_call_is_all_or_nothing_a_cname_goes_with_its_target() {
    let texts: &[&[&str]] = &[&["-> z CNAME g"], &["-> g A 192.0.2.1"], &["-> y CNAME g"]];
    for (atomicity, calls) in [(Atomicity::Batch, 1), (Atomicity::Set, 2)] {
        let host = host(|able| able.atomicity = atomicity);
        assert_eq!(apply(&host, texts), ["g A: done", "y CNAME: done", "z CNAME: done"]);
        assert_eq!(host.calls(Call::Apply), calls);
    }
}

#[test]
fn a_unit_that_is_refused_at_a_named_set_says_so_there_alone() {
    let host = host(|able| able.granularity = Granularity::Batch);
    let texts: &[&[&str]] = &[&["-> a A 192.0.2.1", "-> a TXT x"]];
    host.inject(Fault::refuse(key("a TXT"), ErrorKind::Unsupported));
    // This host has one verdict and names no set, so it stands at both.
    assert_eq!(apply(&host, texts), ["a A: unsupported", "a TXT: unsupported"]);
    let host = self::host(|_| {});
    host.inject(Fault::refuse(key("a TXT"), ErrorKind::Unsupported));
    assert_eq!(apply(&host, texts), ["a A: not tried", "a TXT: unsupported"]);
}

#[test]
fn a_host_out_of_order_is_an_error_before_anything_is_done_and_an_outcome_later() {
    let hint = RetryHint::After(Duration::from_secs(3));
    let first = host(|able| able.limits.batch.sets = 1);
    first.inject(Fault::throttle(hint).on(Call::Apply));
    let error = try_apply(&first, FOUR, &ApplyContext::default()).unwrap_err();
    assert_eq!((error.kind(), error.retry(), first.calls(Call::Apply)), (ErrorKind::RateLimited, hint, 1));

    let second = host(|able| able.limits.batch.sets = 1);
    second.inject(Fault::throttle(hint).on(Call::Apply).nth(2));
    let applied = try_apply(&second, FOUR, &ApplyContext::default()).unwrap();
    assert_eq!(told(&applied), ["a A: done", "b A: rate limited", "c A: not tried", "d A: not tried"]);
    let Outcome::Refused(error) = &applied.outcomes[&key("b A")] else { panic!("{applied:?}") };
    assert_eq!((error.retry(), error.key(), second.calls(Call::Apply)), (hint, Some(&key("b A")), 2));
}

#[test]
fn a_verdict_that_may_pass_ends_the_run() {
    let host = host(|able| (able.atomicity, able.limits.batch.sets) = (Atomicity::Set, 2));
    host.inject(Fault::refuse(key("a A"), ErrorKind::RateLimited));
    assert_eq!(apply(&host, FOUR), ["a A: rate limited", "b A: done", "c A: not tried", "d A: not tried"]);
    assert_eq!(host.calls(Call::Apply), 1);
}

#[test]
fn a_lost_answer_is_unknown_and_neither_sent_again_nor_followed() {
    let host = host(|able| able.limits.batch.sets = 1);
    host.inject(Fault::lose_answer().on(Call::Apply));
    let texts: &[&[&str]] = &[&["-> g A 192.0.2.1"], &["-> z CNAME g"], &["-> x A 192.0.2.1"]];
    assert_eq!(apply(&host, texts), ["g A: unknown", "x A: done", "z CNAME: not tried"]);
    assert_eq!(host.calls(Call::Apply), 2);
    // An answer that was lost may have been a yes, so a failure later is no `Err`.
    let host = self::host(|able| able.limits.batch.sets = 1);
    host.inject(Fault::lose_call().on(Call::Apply));
    host.inject(Fault::fail(ErrorKind::Unavailable).on(Call::Apply).nth(2));
    assert_eq!(apply(&host, texts), ["g A: unknown", "x A: unavailable", "z CNAME: not tried"]);
}

#[test]
fn nothing_is_sent_after_the_deadline() {
    let host = host(|able| able.limits.batch.sets = 1);
    let calls = AtomicU64::new(0);
    // Asked once before each call here and once inside it by the host.
    let time_left = move || Duration::from_secs(u64::from(calls.fetch_add(1, Ordering::Relaxed) < 4));
    let context = ApplyContext { time_left: Some(Arc::new(time_left)), ..ApplyContext::default() };
    let applied = try_apply(&host, FOUR, &context).unwrap();
    assert_eq!(told(&applied), ["a A: done", "b A: done", "c A: not tried", "d A: not tried"]);
    assert_eq!(host.calls(Call::Apply), 2);
}

#[test]
fn pointers_and_wrappers_stack() {
    let host = host(|_| {});
    let shared: Arc<dyn DnsProvider> = Arc::new(host.clone());
    let stacked = Chunked::new(Box::new(Chunked::new(shared)));
    let applied = block_on(stacked.apply(&id(), &units(FOUR), &ApplyContext::default())).unwrap();
    assert!(applied.is_done() && stacked.name() == "memory" && host.calls(Call::Apply) == 1);
}
