//! A transaction that was sent in time and arrives late.

use std::sync::Arc;
use std::time::Duration;

use dns_providers::coredns::{CoreDns as Provider, Options};
use dns_syncd::leader::{BootClock, Candidate, EtcdElection, Leader, Leadership, Record};
use dnsprovider::{
    Change, ChangeSet, ClaimedSet, DnsProvider as _, ErrorKind, Fqdn, RecordData, RrKey, RrSet, RrType, Ttl, Version,
    ZoneId,
};

use super::{PATIENCE, PAUSE, Stage};
use crate::truth::ZONE;

/// A clock that says that no time has passed, as if the process had looked at it just before it was stopped.
#[derive(Debug)]
struct StoppedClock;

impl BootClock for StoppedClock {
    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

fn candidate(stage: &Stage, holder: &str) -> Candidate {
    let options = Options::new([stage.etcd.url()], [Fqdn::parse(ZONE).unwrap()]);
    let lease = Duration::from_secs(3);
    let record = Record { holder: holder.to_owned(), ..Record::default() };
    Candidate::new(Box::new(EtcdElection::new(options, "zone/claim", lease)), record, lease)
}

async fn until(leader: &mut Leader, is_so: impl Fn(&Leadership) -> bool) {
    let becoming = async {
        loop {
            match leader.state() {
                Some(state) if is_so(&state) => break,
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, becoming).await.expect("the leadership does not change");
}

/// What is sent in time and arrives late: the clock lets it pass, the fence does not.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ETCD_BIN: tests/run gets it"]
async fn a_transaction_of_a_leader_that_was_followed_changes_nothing() {
    let stage = Stage::new().await;
    let leads = |state: &Leadership| matches!(state, Leadership::Leading { .. });
    let (mut stale, campaign) = candidate(&stage, "stale").with_clock(Arc::new(StoppedClock)).start();
    let running = tokio::spawn(campaign.run(std::future::pending()));
    until(&mut stale, leads).await;
    let context = stale.write_context().unwrap();
    let (mut next, campaign) = candidate(&stage, "next").start();
    let _next = tokio::spawn(campaign.run(std::future::pending()));
    until(&mut next, |state| matches!(state, Leadership::Standby(record) if record.holder == "stale")).await;

    let provider = Provider::connect(Options::new([stage.etcd.url()], [Fqdn::parse(ZONE).unwrap()])).await.unwrap();
    let write = async |name: &str, context: &dnsprovider::ApplyContext| {
        let owner = Fqdn::parse(&format!("{name}.{ZONE}")).unwrap();
        let (key, ttl) = (RrKey::new(owner, RrType::A), Ttl::from_secs(60).unwrap());
        let set = RrSet::new(key, ttl, [RecordData::A([192, 0, 2, 1].into())]).unwrap();
        let changes = ChangeSet::by_name([Change::create(ClaimedSet::unclaimed(set), Version::at(1 << 40))]);
        provider.apply(&ZoneId("0".into()), &changes, context).await
    };
    assert!(write("early", &context).await.unwrap().is_done(), "it leads");

    // As if its process had been stopped: it renews nothing, and does not notice.
    running.abort();
    until(&mut next, leads).await;
    assert!(!context.is_over(), "the clock alone would stop it");
    let refused = write("late", &context).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "{refused}");
    assert!(write("next", &next.write_context().unwrap()).await.unwrap().is_done());
    let keys = stage.keys().await;
    assert!(keys.len() == 2 && !keys.keys().any(|key| key.contains("late")), "{keys:?}");
}
