//! Level 4: TXT is octets, not words.

use dnsprovider::{ClaimedSet, ErrorKind, RecordData, RrSet, RrType};

use crate::{Bench, Failure, Level, Verdict};

/// Quoting is the adapter's business.
pub const LEVEL: Level =
    Level { number: 4, story: "text comes back octet by octet, however the host quotes, splits or escapes it" };

/// Each text alone, then all as one set.
async fn round_trip(bench: &Bench, texts: &[&str]) -> Result<(), Failure> {
    if !bench.writes(&RrType::Txt) {
        let change = bench.creation(bench.set("txt", RrType::Txt, texts)).await?;
        return bench.expect_refusal(vec![change], &[ErrorKind::Unsupported]).await;
    }
    for text in texts {
        let step = bench.migrate(&[bench.set("txt", RrType::Txt, &[text])]).await;
        step.map_err(|failure| failure.at(format!("the text {text:?}")))?;
    }
    bench.migrate(&[bench.set("txt", RrType::Txt, texts)]).await
}

/// What has a meaning in zone files, JSON and XML has none here.
pub async fn quotes_semicolons_and_backslashes_are_text(bench: &Bench) -> Result<(), Failure> {
    let texts = ["\"", "\"quoted\"", "a\"b", ";", "v=DKIM1; k=rsa; p=", "\\", "back\\slash", "\\\"", "\\052", "\\\\"];
    round_trip(bench, &texts).await?;
    round_trip(bench, &["heritage=x,owner=\"y\"", "<&>'`$(x)${x}", "%41+", "{\"a\":[1]}", "@", "*", "192.0.2.1"]).await
}

/// RFC 1035 §3.3.14: at most 255 octets in a character-string, any number of them.
pub async fn texts_above_255_octets_stay_whole(bench: &Bench) -> Result<(), Failure> {
    let numbered = (1000..1250).map(|n| n.to_string()).collect::<String>();
    let texts: Vec<_> = [254, 255, 256, 257, 510, 511, 1000].iter().map(|length| &numbered[..*length]).collect();
    round_trip(bench, &texts).await
}

/// Neither trimmed nor folded.
pub async fn blanks_and_case_are_kept(bench: &Bench) -> Result<(), Failure> {
    round_trip(bench, &[" ", " leading", "trailing ", "two  blanks", "MiXeD CaSe", "mixed case"]).await
}

/// Every octet is allowed in DNS; not every host can store it.
pub async fn octets_beyond_ascii_are_stored_or_refused(bench: &Bench) -> Result<(), Failure> {
    let like = bench.set("txt", RrType::Txt, &["x"]);
    for octets in ["süß".as_bytes(), b"\x00", b"a\x7fb\x1b", b"\xff\xfe", b"\t\n", b""] {
        let records = [RecordData::txt(octets)];
        let set = RrSet::new(like.set.key().clone(), like.set.ttl(), records).map_err(dnsprovider::Error::from)?;
        let held = ClaimedSet { set, claim: like.claim.clone() };
        match bench.apply_unit(vec![bench.creation(held.clone()).await?]).await? {
            Verdict::Done => bench.expect(&[held]).await?,
            Verdict::Refused(ErrorKind::InvalidInput | ErrorKind::Unsupported) => bench.expect(&[]).await?,
            other => return Err(Failure::new(format!("the octets {octets:?} gave {other:?}"))),
        }
        bench.migrate(&[]).await?;
    }
    Ok(())
}
