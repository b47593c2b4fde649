//! Whether a value can be one of its type, in the words of the service.
//!
//! Strict for the types that a client of ours writes and for the common ones; of the rest (NAPTR, TLSA, SSHFP, DS, SVCB,
//! HTTPS) only the number and kind of the leading fields. Sources of the texts: gomodules/dns#7 (`IllegalIPv4Address`),
//! danpilch/aws-dyndns#3 (`NotSingleField`); the other codes follow their pattern and are not from a recording.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::names::Name;

/// Checks a value.
pub(super) fn check(rr_type: &str, value: &str) -> Result<(), String> {
    let fields: Vec<&str> = value.split_ascii_whitespace().collect();
    let problem = |code: &str, why: &str| Err(format!("FATAL problem: {code} ({why}) encountered with '{value}'"));
    let number = |text: &str, most: u64| text.parse::<u64>().is_ok_and(|number| number <= most);
    if value.is_empty() || value.trim() != value {
        return problem("EmptyRDATA", "Value is empty or has spaces around it");
    }
    match rr_type {
        "A" | "AAAA" | "CNAME" | "NS" | "PTR" if fields.len() != 1 => {
            problem(&format!("{rr_type}RRDATANotSingleField"), "Value contains spaces")
        }
        "A" if value.parse::<Ipv4Addr>().is_err() => {
            problem("ARRDATAIllegalIPv4Address", "Value is not a valid IPv4 address")
        }
        "AAAA" if value.parse::<Ipv6Addr>().is_err() => {
            problem("AAAARRDATAIllegalIPv6Address", "Value is not a valid IPv6 address")
        }
        "CNAME" | "NS" | "PTR" => Name::parse(value).map(drop),
        "TXT" | "SPF" => character_strings(value),
        "MX" => match fields[..] {
            [preference, host] if number(preference, 65_535) => Name::parse(host).map(drop),
            _ => problem("MXRRDATAIllegal", "Value is not a preference and a host"),
        },
        "SRV" => match fields[..] {
            [a, b, c, host] if [a, b, c].iter().all(|text| number(text, 65_535)) => Name::parse(host).map(drop),
            _ => problem("SRVRRDATAIllegal", "Value is not a priority, a weight, a port and a host"),
        },
        "CAA" => match value.splitn(3, ' ').collect::<Vec<_>>()[..] {
            [flags, tag, text] if number(flags, 255) && tag.bytes().all(|octet| octet.is_ascii_alphanumeric()) => {
                character_strings(text)
            }
            _ => problem("CAARRDATAIllegal", "Value is not flags, a tag and a quoted value"),
        },
        "SOA" => match fields[..] {
            [server, mail, ref numbers @ ..]
                if numbers.len() == 5 && numbers.iter().all(|n| number(n, 0xffff_ffff)) =>
            {
                Name::parse(server).and(Name::parse(mail)).map(drop)
            }
            _ => problem("SOARRDATAIllegal", "Value is not two names and five numbers"),
        },
        "DS" | "TLSA" => match fields[..] {
            [a, b, c, _, ..] if [a, b, c].iter().all(|text| number(text, 65_535)) => Ok(()),
            _ => problem("RRDATAIllegal", "Value has not enough fields"),
        },
        "SSHFP" | "SVCB" | "HTTPS" | "NAPTR" => match fields[..] {
            [first, _, ..] if number(first, 65_535) => Ok(()),
            _ => problem("RRDATAIllegal", "Value has not enough fields"),
        },
        _ => Ok(()),
    }
}

/// One string or more, each in quotes and of at most 255 octets; other than printable ASCII must be `\ooo`.
fn character_strings(value: &str) -> Result<(), String> {
    let problem = |code: &str, why: &str| Err(format!("FATAL problem: {code} ({why}) encountered with '{value}'"));
    let mut rest = value;
    while !rest.is_empty() {
        let Some(inside) = rest.strip_prefix('"') else {
            return problem("InvalidCharacterString", "Value should be enclosed in quotation marks");
        };
        let (mut octets, mut length, mut end) = (inside.bytes().enumerate(), 0_usize, None);
        while let Some((at, octet)) = octets.next() {
            match octet {
                b'"' => {
                    end = Some(at);
                    break;
                }
                b'\\' => {
                    let tail = &inside.as_bytes()[at + 1..];
                    let octal = tail.iter().take(3).filter(|digit| (b'0'..=b'7').contains(digit)).count();
                    match tail.first() {
                        Some(b'"' | b'\\') => drop(octets.next()),
                        Some(b'0'..=b'3') if octal == 3 => drop(octets.nth(2)),
                        _ => return problem("InvalidCharacterString", "Escape is not three octal digits"),
                    }
                }
                b' '..=b'~' => {}
                _ => return problem("InvalidCharacterString", "Value contains characters that must be escaped"),
            }
            length += 1;
        }
        let Some(end) = end else {
            return problem("InvalidCharacterString", "Value should be enclosed in quotation marks");
        };
        if length > 255 {
            return problem("CharacterStringTooLong", "Value is too long");
        }
        let after = &inside[end + 1..];
        rest = after.trim_start_matches(' ');
        if !rest.is_empty() && rest.len() == after.len() {
            return problem("InvalidCharacterString", "Value should be enclosed in quotation marks");
        }
    }
    Ok(())
}
