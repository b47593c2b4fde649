use futures::executor::block_on;
use futures::{FutureExt as _, StreamExt as _};

use super::*;
use crate::provider::{DnsProviderExt as _, WatchEvent};
use crate::record::RrType;
use crate::testing::{change, entry, key, name, told, units};

fn id() -> ZoneId {
    ZoneId(name("@").as_str().into())
}

fn host(configure: impl FnOnce(&mut Capabilities)) -> MemoryProvider {
    MemoryProvider::builder().zone(name("@")).configure(configure).page_size(2).build()
}

fn apply(host: &MemoryProvider, texts: &[&[&str]]) -> Vec<String> {
    told(&block_on(host.apply(&id(), &units(texts), &ApplyContext::default())).unwrap())
}

#[test]
fn a_watch_tells_of_everybodys_changes_from_the_revision_on() {
    let host = host(|_| {});
    apply(&host, &[&["-> a A 192.0.2.1"]]);
    let since = Version::at(host.peek(&id()).unwrap().version.revision);
    apply(&host, &[&["-> b A 192.0.2.1", "-> b TXT x"]]);
    let mut events = block_on(host.watch(&id(), &since)).unwrap();
    apply(&host, &[&["a A 192.0.2.1 ->"]]);
    host.insert_foreign(&id(), entry("c MX 10")).unwrap();
    host.remove_foreign(&id(), &key("c MX")).unwrap();
    apply(&host, &[&["a A 192.0.2.9 ->"]]);
    let mut seen = Vec::new();
    while let Some(Some(event)) = events.next().now_or_never() {
        let WatchEvent { owner, revision } = event.unwrap();
        seen.push((owner, revision - since.revision));
    }
    assert_eq!(seen, [(name("b"), 1), (name("a"), 2), (name("c"), 3), (name("c"), 4)]);
    // A watch from before the deletion still tells of the name.
    let mut late = block_on(host.watch(&id(), &since)).unwrap();
    let first = block_on(late.next()).unwrap().unwrap();
    assert_eq!(first.owner, name("b"));
    assert_eq!(block_on(late.next()).unwrap().unwrap().owner, name("a"));
}

#[test]
fn a_watch_that_waits_is_woken_and_a_broken_one_ends() {
    let host = host(|_| {});
    let mut events = block_on(host.watch(&id(), &Version::at(1))).unwrap();
    let write = async {
        host.insert_foreign(&id(), entry("a A 192.0.2.1")).unwrap();
    };
    let (event, ()) = block_on(futures::future::join(events.next(), write));
    assert_eq!(event.unwrap().unwrap().owner, name("a"));
    let (event, ()) = block_on(futures::future::join(events.next(), async { host.break_watches(&id()).unwrap() }));
    assert_eq!(event.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(block_on(events.next()).is_none());
}

#[test]
fn a_gate_holds_a_call_until_it_opens() {
    let host = host(|_| {});
    let gate = Gate::new();
    host.inject(Fault::hold(&gate).on(Call::Apply));
    let changes = units(&[&["-> a A 192.0.2.1"]]);
    let context = ApplyContext::default();
    let test = async {
        gate.arrived().await;
        assert_eq!((gate.waiting(), host.peek(&id()).unwrap().len()), (1, 0));
        gate.open();
    };
    let (applied, ()) = block_on(futures::future::join(host.apply(&id(), &changes, &context), test));
    assert!(applied.unwrap().is_done());
    assert_eq!((gate.waiting(), host.peek(&id()).unwrap().len()), (0, 1));
}

#[test]
fn a_call_dropped_at_the_gate_has_done_its_work_only_behind_it() {
    let host = host(|_| {});
    for (text, done) in [("-> a A 192.0.2.1", 0), ("-> b A 192.0.2.1", 1)] {
        let gate = Gate::new();
        host.inject(if done == 0 { Fault::hold(&gate) } else { Fault::hold_answer(&gate) });
        assert!(host.apply(&id(), &units(&[&[text]]), &ApplyContext::default()).now_or_never().is_none());
        assert_eq!((gate.waiting(), host.peek(&id()).unwrap().len()), (0, done));
    }
}

#[test]
fn a_lost_answer_is_unknown_and_reading_tells() {
    let host = host(|_| {});
    host.inject(Fault::lose_answer().on(Call::Apply));
    host.inject(Fault::lose_call().on(Call::Apply).nth(2));
    for text in ["-> a A 192.0.2.1", "-> b A 192.0.2.1"] {
        assert!(apply(&host, &[&[text]])[0].ends_with("unknown"));
    }
    let read = block_on(host.read_names(&id(), &[name("a"), name("b")])).unwrap();
    assert_eq!(read.entries.keys().collect::<Vec<_>>(), [&name("a")]);
}

#[test]
fn a_fault_acts_in_the_calls_it_is_for() {
    let host = host(|_| {});
    let read = |owner: &str| block_on(host.read_names(&id(), &[name(owner)])).map_err(|error| error.kind()).err();
    host.inject(Fault::fail(ErrorKind::Unavailable).on(Call::ReadNames).at(key("a A")).nth(2).times(2));
    let seen: Vec<_> = ["a", "b", "a", "b", "a", "a"].into_iter().map(read).collect();
    let down = Some(ErrorKind::Unavailable);
    assert_eq!(seen, [None, None, down, None, down, None]);
    host.inject(Fault::lose_answer().always());
    assert_eq!(read("a"), Some(ErrorKind::Timeout));
    host.clear_faults();
    assert_eq!((read("a"), host.calls(Call::ReadNames)), (None, 8));
}

#[test]
fn what_is_taken_away_is_refused_and_changes_nothing() {
    let host = host(|able| {
        (able.enumeration, able.watch, able.manages_zones, able.claims) = (false, false, false, false);
        able.record_types.remove(&RrType::Txt);
        able.limits.records_per_set = Some(1);
        able.limits.min_ttl = crate::Ttl::from_secs(61).unwrap();
        able.atomicity = Atomicity::Set;
    });
    let kinds = [
        block_on(host.read_zone(&id())).err(),
        block_on(host.watch(&id(), &Version::at(1))).err(),
        block_on(host.create_zone(&name("new"))).err(),
        block_on(host.delete_zone(&id())).err(),
    ];
    for error in kinds {
        assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::Unsupported));
    }
    let mut claimed = change("-> c A 192.0.2.1");
    claimed.after.as_mut().unwrap().claim = Some(crate::Claim::without_credits("a", "a"));
    let mut changes = units(&[&["-> a TXT x"], &["-> b A 192.0.2.1 192.0.2.2"], &["-> d A 192.0.2.1"]]);
    changes.units.push(Unit { changes: vec![claimed] });
    let applied = block_on(host.apply(&id(), &changes, &ApplyContext::default())).unwrap();
    let expected = ["a TXT: unsupported", "b A: invalid input", "c A: unsupported", "d A: invalid input"];
    assert_eq!(told(&applied), expected, "60 s is below the smallest TTL");
    assert!(host.peek(&id()).unwrap().is_empty());
}

#[test]
fn a_ttl_above_the_largest_is_refused() {
    let host = host(|able| able.limits.max_ttl = crate::Ttl::from_secs(59).unwrap());
    assert_eq!(apply(&host, &[&["-> a A 192.0.2.1"]]), ["a A: invalid input"], "the set has 60 s");
}

#[test]
fn a_host_with_one_verdict_gives_one() {
    let host = host(|able| able.granularity = Granularity::Batch);
    let changes = units(&[&["-> a A 192.0.2.1"], &["b A 192.0.2.1 ->"]]);
    let error = block_on(host.apply(&id(), &changes, &ApplyContext::default())).unwrap_err();
    assert_eq!((error.kind(), error.key()), (ErrorKind::Conflict, None));
    assert!(host.peek(&id()).unwrap().is_empty());
}

#[test]
fn limits_are_kept() {
    let host = host(|able| {
        able.limits.batch.sets = 3;
        able.limits.records_per_set = Some(2);
        able.limits.sets_per_zone = Some(2);
        able.atomicity = Atomicity::Set;
    });
    let three = "-> a A 192.0.2.1 192.0.2.2 192.0.2.3";
    assert_eq!(apply(&host, &[&[three]]), ["a A: limit exceeded"]);
    let texts: &[&[&str]] = &[&["-> a A 192.0.2.1"], &["-> b A 192.0.2.1"], &["-> c A 192.0.2.1"]];
    assert_eq!(apply(&host, texts), ["a A: done", "b A: done", "c A: limit exceeded"]);
    let swap: &[&[&str]] = &[&["b A 192.0.2.1 ->", "-> b CNAME a"], &["a A 192.0.2.1 -> a A 192.0.2.2"]];
    assert_eq!(apply(&host, swap), ["a A: done", "b A: done", "b CNAME: done"], "a full zone still changes");
    let four = units(&[&["-> e A 192.0.2.1"], &["-> f A 192.0.2.1"], &["-> g A 192.0.2.1"], &["-> h A 192.0.2.1"]]);
    let error = block_on(host.apply(&id(), &four, &ApplyContext::default())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
    assert!(error.message().contains("4 sets where 3 are allowed"), "{error}");
    host.inject(Fault::quota(1).times(2));
    assert_eq!(apply(&host, &[&["a A 192.0.2.2 ->"]]), ["a A: done"]);
    assert_eq!(apply(&host, &[&["-> z A 192.0.2.1"]]), ["z A: limit exceeded"], "one set is all that the fault leaves");
    assert_eq!(apply(&host, &[&["-> z A 192.0.2.1"]]), ["z A: done"]);
}

#[test]
fn a_page_ends_with_its_name_and_goes_on_after_what_was_written_meanwhile() {
    let host = host(|_| {});
    apply(&host, &[&["-> a A 192.0.2.1"], &["-> b A 192.0.2.1", "-> b TXT x", "-> b AAAA 2001:db8::1"]]);
    apply(&host, &[&["-> c A 192.0.2.1"], &["-> d A 192.0.2.1"]]);
    let first = block_on(host.read_page(&id(), None)).unwrap();
    assert_eq!(first.entries.len(), 4, "two fit, and the second name has three");
    apply(&host, &[&["b A 192.0.2.1 ->", "b TXT x ->", "b AAAA 2001:db8::1 ->"]]);
    let second = block_on(host.read_page(&id(), first.next.as_ref())).unwrap();
    assert_eq!((second.entries.len(), second.next), (2, None));
    assert!(second.version.revision > first.version.revision);
    assert_eq!(block_on(host.read_zone(&id())).unwrap().len(), 3);
}

#[test]
fn a_private_and_a_public_zone_share_an_apex_and_nothing_else() {
    let private = Zone { id: ZoneId("inside".into()), apex: name("@"), private: true };
    let host = MemoryProvider::builder().zone(name("@")).zone_as(private.clone()).build();
    apply(&host, &[&["-> a A 192.0.2.1"]]);
    assert!(host.peek(&private.id).unwrap().is_empty());
    let error = block_on(host.find_zone(Some(&name("@")), None)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(block_on(host.find_zone(None, Some(&private.id))).unwrap(), private);
}

#[test]
fn a_zone_is_made_once_and_goes_when_empty() {
    let host = host(|_| {});
    let zone = block_on(host.create_zone(&name("sub"))).unwrap();
    assert_eq!(block_on(host.create_zone(&name("sub"))).unwrap_err().kind(), ErrorKind::Conflict);
    host.insert_foreign(&zone.id, entry("a.sub A 192.0.2.1")).unwrap();
    assert_eq!(block_on(host.delete_zone(&zone.id)).unwrap_err().kind(), ErrorKind::Conflict);
    assert!(host.apply_behind(&zone.id, &units(&[&["a.sub A 192.0.2.1 ->"]])).unwrap().is_done());
    let mut events = block_on(host.watch(&zone.id, &Version::at(99))).unwrap();
    block_on(host.delete_zone(&zone.id)).unwrap();
    assert_eq!(block_on(events.next()).unwrap().unwrap_err().kind(), ErrorKind::ZoneNotFound);
    for error in [
        block_on(host.read_page(&zone.id, None)).unwrap_err(),
        block_on(host.apply(&zone.id, &units(&[&["-> a.sub A 192.0.2.1"]]), &ApplyContext::default())).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::ZoneNotFound);
    }
}
