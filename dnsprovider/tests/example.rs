//! The example backend does what it shows.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../examples/flat_file.rs"]
pub mod flat_file;

use std::path::PathBuf;

use dnsprovider::{
    ApplyContext, Change, ChangeSet, Claim, ClaimedSet, DnsProvider, DnsProviderExt, Entry, ErrorKind, Fqdn, Outcome,
    RecordData, RrKey, RrSet, RrType, Ttl, Version,
};
use flat_file::FlatFile;
use futures::executor::block_on;

fn file(name: &str, text: &str) -> (FlatFile, PathBuf) {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).unwrap();
    (FlatFile::new(Fqdn::parse("example.com").unwrap(), &path), path)
}

#[test]
fn the_demo_moves_an_address_and_keeps_what_it_does_not_know() {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("demo.zone");
    let text = block_on(flat_file::demo(&path)).unwrap();
    assert_eq!(
        text,
        "alias.example.com. 60 CNAME www.example.com.\n\
         example.com. 3600 MX 10 mail.example.com.\n\
         www.example.com. 60 A 192.0.2.2\n"
    );
    flat_file::main().unwrap();
}

#[test]
fn any_text_survives_the_file() {
    block_on(async {
        let (provider, path) = file("text.zone", "");
        let zone = provider.zones(None).await.unwrap().remove(0);
        let key = RrKey::new(Fqdn::parse("t.example.com").unwrap(), RrType::Txt);
        let all: Vec<u8> = (0..=255).collect();
        let records = [RecordData::txt(all), RecordData::txt("")];
        let wanted = ClaimedSet::unclaimed(RrSet::new(key.clone(), Ttl::from_secs(0).unwrap(), records).unwrap());
        let changes = ChangeSet::by_name([Change::create(wanted.clone(), Version::default())]);
        assert!(provider.apply(&zone.id, &changes, &ApplyContext::default()).await.unwrap().is_done());
        let held = provider.read_zone(&zone.id).await.unwrap();
        assert_eq!(held.get(&key).map(|entry: &Entry| &entry.data), Some(&wanted));
        assert_eq!(std::fs::read_to_string(path).unwrap().lines().count(), 2);
    });
}

#[test]
fn what_it_declares_not_to_do_it_refuses_and_the_file_stays() {
    block_on(async {
        let line = "www.example.com. 60 A 192.0.2.1\n";
        let (provider, path) = file("gaps.zone", line);
        let zone = provider.zones(None).await.unwrap().remove(0);
        let snapshot = provider.read_zone(&zone.id).await.unwrap();
        let held = snapshot.iter().next().unwrap();

        let mut claimed = held.data.clone();
        claimed.claim = Some(Claim::without_credits("a", "a"));
        let changes = ChangeSet::by_name([Change::update(held, claimed)]);
        let error = provider.apply(&zone.id, &changes, &ApplyContext::default()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);

        std::fs::write(&path, line.replace(".1\n", ".9\n")).unwrap();
        let changes = ChangeSet::by_name([Change::delete(held)]);
        let applied = provider.apply(&zone.id, &changes, &ApplyContext::default()).await.unwrap();
        assert!(matches!(applied.outcomes[held.key()], Outcome::Conflict));
        assert_eq!(std::fs::read_to_string(path).unwrap(), line.replace(".1\n", ".9\n"));
    });
}

#[test]
fn a_line_that_is_not_understood_is_an_error_with_its_number() {
    for line in ["# a comment", "www.example.com. 60 A 192.0.2.300", "www.example.com. x A 192.0.2.1"] {
        let (provider, _path) = file("broken.zone", &format!("a.example.com. 60 A 192.0.2.1\n{line}\n"));
        let zone = block_on(provider.zones(None)).unwrap().remove(0);
        let error = block_on(provider.read_zone(&zone.id)).unwrap_err();
        assert!(error.kind() == ErrorKind::Protocol && error.message().contains("line 2"), "{error}");
    }
}
