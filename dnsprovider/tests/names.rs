//! Names, with another implementation as the oracle.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use dnsprovider::Fqdn;
use hickory_proto::rr::Name;
use proptest::prelude::*;

/// The octets of each label.
fn octets(name: &Fqdn) -> Vec<Vec<u8>> {
    let unescape = |label: &str| {
        let (mut octets, mut bytes) = (Vec::new(), label.bytes());
        while let Some(byte) = bytes.next() {
            octets.push(match byte {
                b'\\' => match bytes.next().unwrap() {
                    digit @ b'0'..=b'9' => {
                        let text = [digit, bytes.next().unwrap(), bytes.next().unwrap()];
                        std::str::from_utf8(&text).unwrap().parse().unwrap()
                    }
                    plain => plain,
                },
                plain => plain,
            });
        }
        octets
    };
    name.labels().map(unescape).collect()
}

fn oracle(name: &Name) -> Vec<Vec<u8>> {
    name.iter().map(<[u8]>::to_ascii_lowercase).collect()
}

/// Writes every octet as `\DDD`.
fn escaped(labels: &[Vec<u8>]) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for label in labels {
        for octet in label {
            write!(text, "\\{octet:03}").unwrap();
        }
        text.push('.');
    }
    text
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        if let Ok(name) = Fqdn::parse(&text) {
            prop_assert_eq!(Fqdn::parse(name.as_str()).unwrap(), name);
        }
    }

    #[test]
    fn text_that_looks_like_a_name_reads_as_the_oracle_reads_it(text in r"([a-zA-Z0-9_*-]{1,20}|[!-\[\]-~]{1,4}|\\[!-/:-~]|\.){1,12}") {
        if let (Ok(ours), Ok(theirs)) = (Fqdn::parse(&text), Name::from_ascii(&text)) {
            prop_assert_eq!(octets(&ours), oracle(&theirs), "{}", text);
        }
    }

    #[test]
    fn any_octets_are_a_name_exactly_when_they_are_for_the_oracle(
        labels in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..70), 1..7),
    ) {
        let ours = Fqdn::parse(&escaped(&labels));
        let theirs = Name::from_labels(labels.iter().map(Vec::as_slice));
        prop_assert_eq!(ours.is_ok(), theirs.is_ok());
        if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
            prop_assert_eq!(octets(&ours), oracle(&theirs));
            prop_assert_eq!(ours.wire_len(), 1 + theirs.iter().map(|label| label.len() + 1).sum::<usize>());
            prop_assert_eq!(Fqdn::parse(ours.as_str()).unwrap(), ours.clone());
            let up = ours.parent().unwrap();
            prop_assert_eq!(octets(&up), &octets(&ours)[1..]);
            prop_assert!(ours.is_at_or_below(&up) && !up.is_at_or_below(&ours));
            prop_assert_eq!(up.prepend(ours.relative_to(&up).unwrap()).unwrap(), ours);
        }
    }
}
