//! Names, TTLs and record data as Cloud DNS takes them: in the presentation format of RFC 1035 §5, with final dots.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The record types that Cloud DNS hosts. Source: cloud.google.com/dns/docs/records-overview, supported types.
const TYPES: &[&str] = &[
    "A", "AAAA", "ALIAS", "CAA", "CNAME", "DNSKEY", "DS", "HTTPS", "IPSECKEY", "MX", "NAPTR", "NS", "PTR", "SOA",
    "SPF", "SRV", "SSHFP", "SVCB", "TLSA", "TXT",
];

/// Whether sets of this type can be written.
pub(super) fn is_type(record_type: &str) -> bool {
    TYPES.contains(&record_type)
}

/// Types whose set holds exactly one record.
pub(super) fn is_single(record_type: &str) -> bool {
    matches!(record_type, "CNAME" | "SOA" | "ALIAS")
}

/// Whether it is a name with its final dot that a record may stand at: letters, digits, `-`, `_`, and `*` as the whole
/// first label.
pub(super) fn is_owner(name: &str) -> bool {
    is_host(name.strip_prefix("*.").unwrap_or(name)) && name.len() <= 254
}

/// Whether it is a name with its final dot that a record may point to.
fn is_host(name: &str) -> bool {
    let Some(labels) = name.strip_suffix('.') else { return false };
    let is_label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    name.len() <= 254 && labels.split('.').all(is_label)
}

/// The sort key of a name: labels from the right, lower-case. Recorded lists go by it, the apex first.
pub(super) fn order_key(name: &str) -> Vec<String> {
    name.trim_end_matches('.').to_ascii_lowercase().split('.').rev().map(str::to_owned).collect()
}

/// The record's data as the service gives it back, or `None` when it is not of that type.
///
/// Addresses come back in their shortest form and host names in lower case; a text that was sent without quotes comes
/// back with them, one string for each word.
pub(super) fn canonical(record_type: &str, data: &str) -> Option<String> {
    let words: Vec<&str> = data.split_ascii_whitespace().collect();
    match (record_type, words.as_slice()) {
        ("A", [_]) => data.parse::<Ipv4Addr>().ok().map(|address| address.to_string()),
        ("AAAA", [_]) => data.parse::<Ipv6Addr>().ok().map(|address| address.to_string()),
        ("CNAME" | "NS" | "PTR" | "ALIAS", [name]) => is_target(name).then(|| name.to_ascii_lowercase()),
        ("MX", [preference, name]) => (numbers::<u16>(&[*preference]) && is_target(name))
            .then(|| format!("{preference} {}", name.to_ascii_lowercase())),
        ("SRV", [priority, weight, port, name]) => (numbers::<u16>(&[*priority, *weight, *port]) && is_target(name))
            .then(|| format!("{priority} {weight} {port} {}", name.to_ascii_lowercase())),
        ("SOA", [master, mailbox, times @ ..]) => {
            (times.len() == 5 && numbers::<u32>(times) && is_host(master) && is_host(mailbox)).then(|| words.join(" "))
        }
        ("CAA", [flags, tag, ..]) => {
            (numbers::<u8>(&[*flags]) && tag.bytes().all(|b| b.is_ascii_alphanumeric())).then(|| data.to_owned())
        }
        ("TXT" | "SPF", _) => text(data),
        ("A" | "AAAA" | "CNAME" | "NS" | "PTR" | "ALIAS" | "MX" | "SRV" | "SOA" | "CAA", _) | (_, []) => None,
        _ => Some(data.to_owned()),
    }
}

fn is_target(name: &str) -> bool {
    name == "." || is_host(name)
}

fn numbers<N: std::str::FromStr>(words: &[&str]) -> bool {
    words.iter().all(|word| word.parse::<N>().is_ok())
}

/// Strings of at most 255 octets, each in quotes.
fn text(data: &str) -> Option<String> {
    let mut strings = Vec::new();
    let mut chars = data.chars().peekable();
    while let Some(first) = chars.next() {
        if first.is_ascii_whitespace() {
            continue;
        }
        let quoted = first == '"';
        let (mut string, mut octets) = (String::new(), 0);
        let mut next = if quoted { chars.next() } else { Some(first) };
        loop {
            match next {
                Some('"') if quoted => break,
                None if quoted => return None, // a quote without an end
                Some('"') => return None,
                Some(c) if c.is_ascii_whitespace() && !quoted => break,
                None => break,
                Some('\\') => {
                    string.push('\\');
                    octets += escape(&mut chars, &mut string)?;
                }
                Some(c) => {
                    string.push(c);
                    octets += c.len_utf8();
                }
            }
            next = chars.next();
        }
        if octets > 255 || (quoted && chars.peek().is_some_and(|c| !c.is_ascii_whitespace())) {
            return None;
        }
        strings.push(format!("\"{string}\""));
    }
    (!strings.is_empty()).then(|| strings.join(" "))
}

/// Takes what follows a backslash: three digits below 256, or any one character. Gives the octets that it stands for.
fn escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, string: &mut String) -> Option<usize> {
    let first = chars.next()?;
    string.push(first);
    if !first.is_ascii_digit() {
        return Some(first.len_utf8());
    }
    let mut value = first.to_digit(10)?;
    for _ in 0..2 {
        let digit = chars.next()?;
        value = value * 10 + digit.to_digit(10)?;
        string.push(digit);
    }
    (value < 256).then_some(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_need_their_final_dot() {
        for name in ["a.example.", "*.a.example.", "_dns._tcp.example.", &format!("{}.example.", "a".repeat(63))] {
            assert!(is_owner(name), "{name}");
        }
        for name in
            ["a.example", "", ".", "a..example.", "a.*.example.", "a b.example.", &format!("{}.", "a".repeat(64))]
        {
            assert!(!is_owner(name), "{name}");
        }
    }

    #[test]
    fn data_is_of_its_type() {
        for (record_type, data, comes_back) in [
            ("A", "192.0.2.1", Some("192.0.2.1")),
            ("A", "192.0.2.256", None),
            ("A", "2001:db8::1", None),
            ("AAAA", "2001:DB8:0:0::1", Some("2001:db8::1")),
            ("CNAME", "Docs.example.com.", Some("docs.example.com.")),
            ("CNAME", "docs.example.com", None),
            ("CNAME", "docs .example.com.", None),
            ("MX", "10 mail.example.", Some("10 mail.example.")),
            ("MX", "mail.example.", None),
            ("SRV", "1 2 3 a.example.", Some("1 2 3 a.example.")),
            ("SRV", "1 2 65536 a.example.", None),
            ("TXT", "\"a b\"", Some("\"a b\"")),
            ("TXT", "a b", Some("\"a\" \"b\"")),
            ("TXT", "\"a\" \"b\\\"c\\009\"", Some("\"a\" \"b\\\"c\\009\"")),
            ("TXT", "\"a", None),
            ("TXT", "\"a\\999\"", None),
            ("TXT", "\"\"", Some("\"\"")),
            ("TXT", "", None),
            ("CAA", "0 issue \"ca.example\"", Some("0 issue \"ca.example\"")),
            ("CAA", "256 issue \"ca.example\"", None),
        ] {
            assert_eq!(canonical(record_type, data).as_deref(), comes_back, "{record_type} {data}");
        }
        let string = |octets| format!("\"{}\"", "x".repeat(octets));
        assert!(canonical("TXT", &string(255)).is_some());
        assert!(canonical("TXT", &string(256)).is_none());
    }
}
