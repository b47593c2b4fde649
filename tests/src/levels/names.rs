//! Level 3: every name that DNS allows.

use dnsprovider::{ClaimedSet, ErrorKind, Fqdn, MAX_NAME_OCTETS, RrType};

use crate::case::ensure;
use crate::{Bench, Failure, Level, Verdict};

/// Names are more than letters and dots.
pub const LEVEL: Level =
    Level { number: 3, story: "sets at the apex, at wildcards, at deep, long and oddly spelled names" };

/// Beside SOA and NS, which every case checks.
pub async fn the_apex_holds_sets(bench: &Bench) -> Result<(), Failure> {
    let apex = bench.zone.apex.clone();
    let (first, second) = (["192.0.2.1", "192.0.2.2"], ["192.0.2.3"]);
    let created = bench.set_at(apex.clone(), RrType::A, &first);
    let at_apex = async || -> Result<Vec<ClaimedSet>, Failure> {
        let read = bench.provider.read_names(&bench.zone.id, std::slice::from_ref(&apex)).await?;
        let sets = read.at(&apex).iter().filter(|entry| *entry.key() == *created.set.key());
        Ok(sets.map(|entry| entry.data.clone()).collect())
    };
    ensure!(at_apex().await?.is_empty(), "the apex of the test zone has addresses already");
    let verdict = bench.apply_unit(vec![bench.creation(created.clone()).await?]).await?;
    ensure!(verdict == Verdict::Done, "creating gave {verdict:?}");
    ensure!(at_apex().await? == [created.clone()], "the apex holds {:?}", at_apex().await?);

    let replaced = bench.set_at(apex.clone(), RrType::A, &second);
    for after in [Some(replaced), None] {
        let read = bench.provider.read_names(&bench.zone.id, std::slice::from_ref(&apex)).await?;
        let Some(entry) = read.get(created.set.key()) else {
            return Err(Failure::new("the set at the apex is gone"));
        };
        let change = match &after {
            Some(after) => dnsprovider::Change::update(entry, after.clone()),
            None => dnsprovider::Change::delete(entry),
        };
        let verdict = bench.apply_unit(vec![change]).await?;
        ensure!(verdict == Verdict::Done, "changing to {after:?} gave {verdict:?}");
        ensure!(at_apex().await? == Vec::from_iter(after), "the apex holds {:?}", at_apex().await?);
    }
    Ok(())
}

/// `*` is stored and read as itself; it stands for nothing else here.
pub async fn a_wildcard_is_a_name(bench: &Bench) -> Result<(), Failure> {
    let wildcard = bench.a("*", &["192.0.2.1"]);
    bench.migrate(&[wildcard.clone(), bench.a("www", &["192.0.2.2"])]).await?;
    let absent = bench.name("other");
    let read = bench.provider.read_names(&bench.zone.id, std::slice::from_ref(&absent)).await?;
    ensure!(read.at(&absent).is_empty(), "the wildcard was read as `{absent}`");
    bench.migrate(&[wildcard, bench.a("*.below", &["192.0.2.3"])]).await
}

/// A name, its parent and its grandchild hold sets of their own.
pub async fn deep_names_and_their_parents_are_apart(bench: &Bench) -> Result<(), Failure> {
    let names = ["", "svc", "ns.svc", "nginx.ns.svc", "east.nginx.ns.svc", "a.b.c.d.e.f.g.h.i.j"];
    let all: Vec<_> = names.iter().map(|name| bench.a(name, &["192.0.2.1"])).collect();
    bench.migrate(&all).await?;
    bench.migrate(&all[1..]).await?;
    bench.migrate(&[all[0].clone(), all[4].clone()]).await?;
    bench.migrate(&all[2..3]).await
}

/// RFC 1035 §2.3.4.
pub async fn labels_of_63_octets_and_names_of_255_are_stored(bench: &Bench) -> Result<(), Failure> {
    let longest_label = "x".repeat(63);
    let mut relative = longest_label.clone();
    let room = |relative: &str| MAX_NAME_OCTETS - bench.name(relative).wire_len();
    while room(&relative) > 64 {
        relative = format!("{longest_label}.{relative}");
    }
    if room(&relative) > 1 {
        relative = format!("{}.{relative}", "y".repeat(room(&relative) - 1));
    }
    ensure!(bench.name(&relative).wire_len() + 1 >= MAX_NAME_OCTETS, "the suite made too short a name");
    bench.migrate(&[bench.a(&longest_label, &["192.0.2.1"]), bench.a(&relative, &["192.0.2.2"])]).await
}

/// RFC 4343: one name however it is spelled.
pub async fn names_match_in_any_case(bench: &Bench) -> Result<(), Failure> {
    let spelled = bench.a("MiXeD.Case", &["192.0.2.1"]);
    bench.migrate(std::slice::from_ref(&spelled)).await?;
    let upper = Fqdn::parse(&bench.name("mixed.case").as_str().to_ascii_uppercase());
    let upper = upper.map_err(|error| Failure::new(error.to_string()))?;
    let read = bench.provider.read_names(&bench.zone.id, std::slice::from_ref(&upper)).await?;
    ensure!(read.at(&upper).len() == 1, "`{upper}` holds {:?}", read.at(&upper));
    bench.migrate(&[bench.a("mixed.CASE", &["192.0.2.2"])]).await
}

/// `www` is no part of `www2`, nor of `ww`.
pub async fn common_beginnings_are_different_names(bench: &Bench) -> Result<(), Failure> {
    let names = ["ww", "www", "www2", "www-2", "www_2", "2www", "xn--bcher-kva", "_dns-syncd.www"];
    let all: Vec<_> = names.iter().map(|name| bench.a(name, &["192.0.2.1"])).collect();
    bench.migrate(&all).await?;
    bench.migrate(&[all[0].clone(), all[2].clone(), all[7].clone()]).await?;
    bench.migrate(&all[1..2]).await
}

/// Octets that some store's spelling gives a meaning. Refusing is right; storing under another name is not.
pub async fn odd_octets_are_stored_or_refused(bench: &Bench) -> Result<(), Failure> {
    for odd in ["a/b", "a\\.b", "a\\000b", "a\\255b", "a\\032b", "a%2fb", "a@b", "@", "a\\\\b", "a\"b", "a;b", "a$b"] {
        let held = bench.a(odd, &["192.0.2.1"]);
        let verdict = bench.apply_unit(vec![bench.creation(held.clone()).await?]).await?;
        match verdict {
            Verdict::Done => bench.expect(std::slice::from_ref(&held)).await.map_err(|failure| failure.at(odd))?,
            Verdict::Refused(ErrorKind::InvalidInput | ErrorKind::Unsupported) => bench.expect(&[]).await?,
            other => return Err(Failure::new(format!("`{odd}` gave {other:?}"))),
        }
        bench.migrate(&[]).await.map_err(|failure| failure.at(odd))?;
    }
    Ok(())
}
