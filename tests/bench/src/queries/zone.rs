//! The same names for every server: each with two addresses, the second of which changes.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use crate::workload::ZONE;

/// Of every record, in seconds: the daemon's default.
pub(super) const TTL: u32 = 180;
/// Services are spread over so many namespaces.
const NAMESPACES: u32 = 50;

/// The name of a number, without a final dot.
pub(super) fn name(number: u32) -> String {
    format!("{}.{ZONE}", relative(number))
}

fn relative(number: u32) -> String {
    format!("svc-{number}.ns-{}.bench.svc", number % NAMESPACES)
}

/// Both addresses of a name, in ascending order.
pub(super) fn addresses(number: u32, edition: u32) -> [Ipv4Addr; 2] {
    [0, 1 + edition % 100].map(|net| Ipv4Addr::from_bits((11 + net) << 24 | number))
}

/// What dnsperf asks: every name once, in an order without a pattern.
pub(super) fn questions(names: u32) -> String {
    // A step without a factor in common visits all.
    let step = (1..names).rev().find(|step| *step < names * 5 / 8 && gcd(*step, names) == 1).unwrap_or(1);
    let mut text = String::new();
    for turn in 0..names {
        let number = u64::from(turn) * u64::from(step) % u64::from(names);
        let number = u32::try_from(number).unwrap_or_default();
        _ = writeln!(text, "{} A", name(number));
    }
    text
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// A zone file.
pub(super) fn file(names: u32) -> String {
    let mut text = format!("$ORIGIN {ZONE}.\n@ 60 SOA ns host 1 3600 600 86400 30\n@ 60 NS ns\nns 60 A 127.0.0.1\n");
    for number in 0..names {
        for address in addresses(number, 0) {
            _ = writeln!(text, "{} {TTL} A {address}", relative(number));
        }
    }
    text
}

/// The keys and values of a name in etcd, as the daemon writes them.
pub(super) fn keys(number: u32, edition: u32) -> [(String, String); 2] {
    let labels: Vec<_> = name(number).rsplit('.').map(str::to_owned).collect();
    let mut place = 0;
    addresses(number, edition).map(|address| {
        place += 1;
        let value = format!(
            r#"{{"host":"{address}","ttl":{TTL},"dns-syncd":{{"claim":"bench","federation":"bench","clusters":["c{place}"]}}}}"#
        );
        (format!("/skydns/{}/a{place}", labels.join("/")), value)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_is_asked_once() {
        for names in [1, 2, 10, 999, 10_000] {
            let text = questions(names);
            let lines: BTreeSet<_> = text.lines().collect();
            assert_eq!((lines.len(), text.lines().count()), (names as usize, names as usize));
        }
    }

    #[test]
    fn only_the_second_address_of_a_name_changes() {
        let (before, after) = (addresses(7, 0), addresses(7, 1));
        assert_eq!(before[0], after[0]);
        assert_ne!(before[1], after[1]);
        assert_eq!(keys(7, 0)[0], keys(7, 1)[0]);
        assert_eq!(keys(7, 1)[1].0, "/skydns/example/bench/svc/bench/ns-7/svc-7/a2");
    }
}
