//! Level 11: what cannot be done is said, with the kind that tells the caller what to do.

use std::sync::Arc;
use std::time::Duration;

use dnsprovider::{
    ApplyContext, Change, ChangeSet, ClaimedSet, ErrorKind, Fqdn, RecordData, RrKey, RrSet, RrType, Unit, ZoneId,
};

use crate::bench::{data, no_version};
use crate::case::ensure;
use crate::{Bench, Failure, Level, Verdict};

/// An error's kind is part of the contract.
pub const LEVEL: Level =
    Level { number: 11, story: "errors: a missing zone, a foreign name, nonsense, a passed deadline; nothing changed" };

const INVALID: &[ErrorKind] = &[ErrorKind::InvalidInput];

/// Never an empty page, never silence.
pub async fn a_missing_zone_is_said_so(bench: &Bench) -> Result<(), Failure> {
    let (provider, missing) = (&bench.provider, ZoneId("no-such-zone.conformance.invalid.".into()));
    let name = bench.name("www");
    let change = Change::create(bench.a("www", &["192.0.2.1"]), no_version());
    let changes = ChangeSet::by_name([change]);
    let mut kinds = vec![
        ("read_names", provider.read_names(&missing, &[name]).await.err()),
        ("apply", provider.apply(&missing, &changes, &ApplyContext::default()).await.err()),
    ];
    if bench.can.enumeration {
        kinds.push(("read_page", provider.read_page(&missing, None).await.err()));
    }
    if bench.can.watch {
        kinds.push(("watch", provider.watch(&missing, &no_version()).await.err()));
    }
    for (call, error) in kinds {
        let kind = error.map(|error| error.kind());
        ensure!(kind == Some(ErrorKind::ZoneNotFound), "{call} in a missing zone gave {kind:?}");
    }
    bench.expect(&[]).await
}

/// For reading and for writing; a name that only ends like the zone is outside.
pub async fn a_name_outside_the_zone_is_refused(bench: &Bench) -> Result<(), Failure> {
    let alike = format!("www.x{}", bench.zone.apex);
    for name in ["www.outside.invalid.", &alike] {
        let name = Fqdn::parse(name).map_err(|error| Failure::new(error.to_string()))?;
        let names = [bench.name("www"), name.clone()];
        let kind = bench.provider.read_names(&bench.zone.id, &names).await.err().map(|error| error.kind());
        ensure!(kind == Some(ErrorKind::InvalidInput), "reading `{name}` gave {kind:?}");
        let change = Change::create(bench.set_at(name, RrType::A, &["192.0.2.1"]), no_version());
        bench.expect_refusal(vec![change], INVALID).await?;
    }
    Ok(())
}

/// Neither before nor after; a set under another key; one key twice.
pub async fn changes_that_make_no_sense_are_refused(bench: &Bench) -> Result<(), Failure> {
    let held = bench.a("www", &["192.0.2.1"]);
    let creation = bench.creation(held.clone()).await?;
    let neither = Change { after: None, ..creation.clone() };
    bench.expect_refusal(vec![neither], INVALID).await?;
    let mismatch = Change { key: RrKey::new(bench.name("other"), RrType::A), ..creation.clone() };
    bench.expect_refusal(vec![mismatch], INVALID).await?;
    bench.expect_refusal(vec![creation.clone(), creation], INVALID).await?;
    bench.expect(&[]).await
}

/// Data that is only carried, and each modelled type that the host does not declare.
pub async fn types_that_cannot_be_written_are_refused(bench: &Bench) -> Result<(), Failure> {
    let unsupported = &[ErrorKind::Unsupported];
    let mail = RrKey::new(bench.name("mail"), RrType::from_text("MX"));
    let like = bench.a("mail", &["192.0.2.1"]);
    let opaque = RrSet::new(mail, like.set.ttl(), [RecordData::Opaque("10 mx.example.".into())]);
    let opaque = opaque.map_err(dnsprovider::Error::from)?;
    let change = bench.creation(ClaimedSet { set: opaque, claim: like.claim.clone() }).await?;
    bench.expect_refusal(vec![change], unsupported).await?;

    let all = [
        (RrType::A, "192.0.2.1"),
        (RrType::Aaaa, "2001:db8::1"),
        (RrType::Cname, "target.example."),
        (RrType::Txt, "text"),
    ];
    for (rr_type, text) in all {
        let written = bench.writes(&rr_type);
        let change = bench.creation(bench.set("typed", rr_type.clone(), &[text])).await?;
        if written {
            let verdict = bench.apply_unit(vec![change]).await?;
            ensure!(verdict == Verdict::Done, "`{rr_type}` is declared as writable and gave {verdict:?}");
            bench.migrate(&[]).await?;
        } else {
            bench.expect_refusal(vec![change], unsupported).await?;
        }
    }
    Ok(())
}

/// [`dnsprovider::Outcome::NotTried`] for all, and the zone as it was.
pub async fn after_the_deadline_nothing_is_sent(bench: &Bench) -> Result<(), Failure> {
    let old = bench.a("old", &["192.0.2.1"]);
    bench.migrate(std::slice::from_ref(&old)).await?;
    let before = bench.read().await?;
    let units = [
        Change::update(&bench.entry(&old).await?, bench.a("old", &["192.0.2.2"])),
        bench.creation(bench.a("new", &["192.0.2.1"])).await?,
    ];
    let changes = ChangeSet { units: units.map(|change| Unit { changes: vec![change] }).into() };
    let over = ApplyContext { time_left: Some(Arc::new(|| Duration::ZERO)), ..ApplyContext::default() };
    let verdicts = bench.apply_within(&changes, &over).await?;
    ensure!(verdicts.values().all(|verdict| *verdict == Verdict::NotTried), "after the deadline: {verdicts:?}");
    ensure!(data(&bench.read().await?) == data(&before), "after the deadline the zone changed");

    let enough = ApplyContext { time_left: Some(Arc::new(|| Duration::from_hours(1))), ..ApplyContext::default() };
    let verdicts = bench.apply_within(&changes, &enough).await?;
    ensure!(verdicts.values().all(|verdict| *verdict == Verdict::Done), "before the deadline: {verdicts:?}");
    Ok(())
}
