//! What a refused batch says of its changes.
//!
//! Route 53 refuses a batch as a whole and lists a message for each fault, in brackets. Most messages name the set:
//!
//! | message | means |
//! |---|---|
//! | `Tried to create resource record set [name='…', type='…'] but it already exists` | conflict |
//! | `Tried to delete resource record set [name='…', type='…'] but it was not found` | conflict |
//! | `… but the values provided do not match the current values` | conflict |
//! | `RRSet of type CNAME with DNS name … is not permitted as it conflicts with other records …` | conflict |
//! | `RRSet of type A with DNS name … is not permitted because a conflicting RRSet of type CNAME …` | conflict |
//! | `RRSet with DNS name …, type …, SetIdentifier … cannot be created as …` (sets with a routing policy stand there) | conflict |
//! | other messages with a name | the set's content |
//! | `Invalid Resource Record: '… encountered with '…''`, `Duplicate Resource Record: '…'` | content of the sets with that value or name |
//! | `… limit of … exceeded`, `Exceeded limit …`, `Cannot have more than …` | too much |
//!
//! Sources: <https://github.com/GSA-TTS/dns/pull/30>, <https://github.com/RJPearson94/terraform-aws-open-next/issues/24>,
//! <https://github.com/boto/boto3/issues/1475>, <https://github.com/DNSControl/dnscontrol/issues/908>.
//! In: messages · Out: outcomes · Pure: yes.

use dnsprovider::{Applied, ChangeSet, Error, ErrorKind, Outcome, RrKey, RrType};

use super::convert;
use super::error::{cut, error};

/// How messages begin; one that is no beginning is the end of the message before it.
const BEGINNINGS: [&str; 9] = [
    "Tried to ",
    "RRSet ",
    "Invalid Resource Record",
    "Duplicate Resource Record",
    "FATAL problem",
    "Number of records limit",
    "RDATA character limit",
    "Exceeded limit",
    "Cannot have more than",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Conflict,
    Content,
    TooMuch,
}

/// What became of a batch that was refused with these messages.
///
/// # Errors
/// When no message names a set of the batch: the culprit is to be found by halving.
pub(super) fn outcomes(changes: &ChangeSet, messages: &[String]) -> Result<Applied, Error> {
    let all = messages.join(", ");
    let refused = |kind, message: &str| error(kind, format!("changing sets: Route 53 says: {}", cut(message)));
    let mut applied = Applied::default();
    let mut unnamed = Vec::new();
    for message in messages.iter().flat_map(|text| split(text)) {
        let verdict = verdict(message);
        let named = culprits(changes, message);
        if named.is_empty() {
            unnamed.push(verdict);
            continue;
        }
        for key in named {
            let outcome = match verdict {
                Verdict::Conflict => Outcome::Conflict,
                Verdict::Content => Outcome::Refused(refused(ErrorKind::InvalidInput, message).with_key(key)),
                Verdict::TooMuch => Outcome::Refused(refused(ErrorKind::LimitExceeded, message).with_key(key)),
            };
            applied.add(key, outcome);
        }
    }
    if applied.outcomes.is_empty() {
        let kind = match unnamed.first() {
            Some(Verdict::TooMuch) => ErrorKind::LimitExceeded,
            Some(Verdict::Conflict) => ErrorKind::Conflict,
            _ => ErrorKind::InvalidInput,
        };
        return Err(refused(kind, &all));
    }
    for change in changes.changes() {
        if !applied.outcomes.contains_key(&change.key) {
            applied.add(&change.key, Outcome::NotTried);
        }
    }
    Ok(applied)
}

/// The messages of a list in brackets.
fn split(text: &str) -> Vec<&str> {
    let text = text.trim();
    let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let mut messages = Vec::new();
    let mut start = 0;
    for (comma, _) in text.match_indices(", ") {
        let rest = &text[comma + 2..];
        if BEGINNINGS.iter().any(|beginning| rest.starts_with(beginning)) {
            messages.push(&text[start..comma]);
            start = comma + 2;
        }
    }
    messages.push(&text[start..]);
    messages
}

fn verdict(message: &str) -> Verdict {
    let says = |part: &str| message.contains(part);
    let stale = [
        "but it already exists",
        "but it was not found",
        "do not match the current values",
        "conflicts with other records",
        "a conflicting RRSet",
        "cannot be created as",
    ];
    if stale.iter().any(|part| says(part)) {
        Verdict::Conflict
    } else if says("limit") && (says("exceeded") || says("Exceeded")) || says("Cannot have more than") {
        Verdict::TooMuch
    } else {
        Verdict::Content
    }
}

/// The changes that a message is about: by name and type, by name, or by a value or name that it quotes.
fn culprits<'a>(changes: &'a ChangeSet, message: &str) -> Vec<&'a RrKey> {
    let keys = || changes.changes().map(|change| &change.key);
    if let Some(owner) = owner(message) {
        let Ok(owner) = convert::parse_name(owner) else { return Vec::new() };
        let at_owner = || keys().filter(|key| key.owner == owner);
        let of_type =
            rr_type(message).map(|rr_type| at_owner().filter(|key| key.rr_type == rr_type).collect::<Vec<_>>());
        return of_type.filter(|keys| !keys.is_empty()).unwrap_or_else(|| at_owner().collect());
    }
    let quoted = ["encountered with '", "Duplicate Resource Record: '"].iter().find_map(|before| {
        let (_, rest) = message.split_once(before)?;
        Some(rest.trim_end_matches('.').trim_end_matches('\''))
    });
    let Some(quoted) = quoted.filter(|quoted| !quoted.is_empty()) else { return Vec::new() };
    let is_meant = |change: &&dnsprovider::Change| {
        let mut values = change.before.iter().chain(&change.after).flat_map(|held| convert::values(&held.set));
        convert::name(&change.key.owner) == quoted || values.any(|value| value == quoted)
    };
    changes.changes().filter(is_meant).map(|change| &change.key).collect()
}

/// The name in `name='…'` or `DNS name …`.
fn owner(message: &str) -> Option<&str> {
    if let Some((_, rest)) = message.split_once("name='") {
        return rest.split('\'').next();
    }
    let (_, rest) = message.split_once("DNS name ")?;
    rest.split([' ', ',']).next().filter(|name| !name.is_empty())
}

/// The type in `type='…'`, `RRSet of type …` or `, type …`.
fn rr_type(message: &str) -> Option<RrType> {
    let rest = ["type='", "RRSet of type ", ", type "].iter().find_map(|before| Some(message.split_once(before)?.1))?;
    rest.trim_start().split(['\'', ' ', ',', ']']).next().filter(|text| !text.is_empty()).map(RrType::from_text)
}

/// The texts of all `<Message>` elements of a body that is not in the usual frame.
///
/// The service model has a list of messages in an element of its own; the SDK looks for the other frame alone.
pub(super) fn messages_of(body: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(body);
    let element = |part: &str| part.split_once("</Message>").map(|(inside, _)| unescape(inside));
    text.split("<Message>").skip(1).filter_map(element).collect()
}

fn unescape(text: &str) -> String {
    let named = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#39;", "'"), ("&amp;", "&")];
    named.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use dnsprovider::{Change, ClaimedSet, Fqdn, RecordData, RrSet, Ttl, Version};

    use super::*;

    fn key(owner: &str, rr_type: &str) -> RrKey {
        RrKey::new(Fqdn::parse(owner).expect("a name"), RrType::from_text(rr_type))
    }

    /// One unit for each set.
    fn creations(sets: &[(&str, &str, &str)]) -> ChangeSet {
        ChangeSet::by_name(sets.iter().map(|(owner, rr_type, value)| {
            let record = match *rr_type {
                "CNAME" => RecordData::Cname(Fqdn::parse(value).expect("a name")),
                "TXT" => RecordData::txt(value),
                _ => RecordData::from(value.parse::<std::net::IpAddr>().expect("an address")),
            };
            let set = RrSet::new(key(owner, rr_type), Ttl::from_secs(60).expect("a TTL"), [record]).expect("a set");
            Change::create(ClaimedSet::unclaimed(set), Version::default())
        }))
    }

    fn batch() -> ChangeSet {
        creations(&[
            ("a.example.com", "A", "192.0.2.1"),
            ("a.example.com", "TXT", "text"),
            ("b.example.com", "CNAME", "a.example.com"),
            ("*.example.com", "A", "192.0.2.2"),
        ])
    }

    fn told(messages: &[&str]) -> Result<Vec<String>, ErrorKind> {
        let messages: Vec<_> = messages.iter().map(|text| (*text).to_owned()).collect();
        let applied = outcomes(&batch(), &messages).map_err(|error| error.kind())?;
        assert_eq!(applied.outcomes.len(), 4, "one outcome for each key");
        let word = |(key, outcome): (RrKey, Outcome)| match outcome {
            Outcome::NotTried => None,
            Outcome::Conflict => Some(format!("{key}: conflict")),
            Outcome::Refused(error) => {
                assert_eq!(error.key(), Some(&key));
                Some(format!("{key}: {}", error.kind().as_str()))
            }
            other => Some(format!("{key}: {other:?}")),
        };
        Ok(applied.outcomes.into_iter().filter_map(word).collect())
    }

    #[test]
    fn each_message_meets_its_set() {
        for (message, outcome) in [
            (
                "[Tried to create resource record set [name='a.example.com.', type='A'] but it already exists]",
                "a.example.com. A: conflict",
            ),
            (
                "[Tried to delete resource record set [name='a.example.com.', type='TXT'] but it was not found]",
                "a.example.com. TXT: conflict",
            ),
            (
                "[Tried to delete resource record set [name='\\052.example.com.', type='A'] but the values provided do not \
                 match the current values]",
                "*.example.com. A: conflict",
            ),
            (
                "RRSet of type CNAME with DNS name b.example.com. is not permitted as it conflicts with other records with \
                 the same DNS name in zone example.com.",
                "b.example.com. CNAME: conflict",
            ),
            (
                "[RRSet of type A with DNS name a.example.com. is not permitted because a conflicting RRSet of type  CNAME \
                 with the same DNS name already exists in zone example.com.]",
                "a.example.com. A: conflict",
            ),
            (
                "[RRSet with DNS name a.example.com., type A, SetIdentifier null cannot be created as other RRSets exist \
                 with the same name and type.]",
                "a.example.com. A: conflict",
            ),
            (
                "[RRSet of type CNAME with DNS name b.example.com. is not permitted at apex in zone b.example.com.]",
                "b.example.com. CNAME: invalid input",
            ),
            (
                "[RRSet with DNS name b.example.com. is not permitted in zone example.org.]",
                "b.example.com. CNAME: invalid input",
            ),
            (
                "[Invalid Resource Record: 'FATAL problem: ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address) \
                 encountered with '192.0.2.2'']",
                "*.example.com. A: invalid input",
            ),
            ("[Duplicate Resource Record: '\"text\"']", "a.example.com. TXT: invalid input"),
        ] {
            assert_eq!(told(&[message]), Ok(vec![outcome.to_owned()]), "{message}");
        }
    }

    #[test]
    fn several_messages_are_told_apart_in_one_text_and_in_a_list() {
        let create = "Tried to create resource record set [name='a.example.com.', type='A'] but it already exists";
        let cname =
            "RRSet of type CNAME with DNS name b.example.com. is not permitted as it conflicts with other records";
        let both = Ok(vec!["a.example.com. A: conflict".to_owned(), "b.example.com. CNAME: conflict".to_owned()]);
        assert_eq!(told(&[&format!("[{create}, {cname}]")]), both);
        assert_eq!(told(&[create, cname]), both);
    }

    #[test]
    fn what_names_no_set_of_the_batch_is_no_verdict_on_one() {
        for (message, kind) in [
            ("[Something new]", ErrorKind::InvalidInput),
            ("", ErrorKind::InvalidInput),
            ("[Number of records limit of 1000 exceeded.]", ErrorKind::LimitExceeded),
            ("[RDATA character limit of 32000 exceeded.]", ErrorKind::LimitExceeded),
            ("[Exceeded limit MAX_RRSETS_BY_ZONE for zone: Z1]", ErrorKind::LimitExceeded),
            (
                "[Tried to create resource record set [name='other.example.com.', type='A'] but it already exists]",
                ErrorKind::Conflict,
            ),
            ("[Tried to delete resource record set [name='a..', type='A'] but it was not found]", ErrorKind::Conflict),
        ] {
            assert_eq!(told(&[message]), Err(kind), "{message}");
        }
        assert_eq!(told(&[]), Err(ErrorKind::InvalidInput));
    }

    #[test]
    fn a_body_in_the_frame_of_the_model_is_read() {
        let body = "<?xml version=\"1.0\"?><InvalidChangeBatch xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\">\
                    <Messages><Message>one &apos;&amp;lt;&apos;</Message><Message>two</Message></Messages></InvalidChangeBatch>";
        assert_eq!(messages_of(body.as_bytes()), ["one '&lt;'", "two"]);
        assert_eq!(messages_of(b"<html>"), Vec::<String>::new());
    }
}
