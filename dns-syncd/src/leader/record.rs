//! What a leader writes beside its name, so that others can tell whether they mean the same work.

use dns_sync_core::Settings;
use serde::{Deserialize, Serialize};

use crate::config::Source;

/// A leader's record. Its text is JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// The process that leads.
    pub holder: String,
    /// Name on the claims.
    pub claim: String,
    /// Name of the federation.
    pub federation: String,
    /// Apex of the zone.
    pub zone: String,
    /// What names end in.
    pub suffix: String,
    /// Where clusters come from, for people.
    pub source: String,
    /// Over all of that but the holder, and over what else decides which services count.
    pub digest: String,
}

impl Record {
    /// The record of a process that is called `holder`.
    ///
    /// What may change while a daemon runs is no part of it.
    pub fn new(holder: impl Into<String>, settings: &Settings, source: &Source) -> Self {
        let mut record = Self {
            holder: holder.into(),
            claim: settings.claim.to_string(),
            federation: settings.federation.to_string(),
            zone: settings.zone.to_string(),
            suffix: settings.suffix.to_string(),
            source: describe(source),
            digest: String::new(),
        };
        let more = format!("{:?} {} {:?}", source.select, source.external_ips, source.master);
        let parts = [&record.claim, &record.federation, &record.zone, &record.suffix, &record.source, &more];
        record.digest = digest(parts.map(String::as_str));
        record
    }

    /// As it is stored.
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("strings can be written as JSON")
    }

    /// Reads what somebody stored; text that is none of ours gives a record that names it as the holder.
    pub fn read(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_else(|_| Self { holder: text.to_owned(), ..Self::default() })
    }

    /// In what the work of the other differs from this one's, for people; empty when both mean the same.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        if self.digest == other.digest {
            return Vec::new();
        }
        if other.digest.is_empty() {
            return vec!["its record says nothing of its work".to_owned()];
        }
        let known = [
            ("federation", &self.federation, &other.federation),
            ("claim", &self.claim, &other.claim),
            ("zone", &self.zone, &other.zone),
            ("suffix", &self.suffix, &other.suffix),
            ("source", &self.source, &other.source),
        ];
        let differs = known.into_iter().filter(|(_, ours, theirs)| ours != theirs);
        let mut told: Vec<_> =
            differs.map(|(what, ours, theirs)| format!("{what} `{theirs}` there, `{ours}` here")).collect();
        if told.is_empty() {
            told.push("another key of [Source]".to_owned());
        }
        told
    }
}

/// The source in words, without what is secret: paths alone.
fn describe(source: &Source) -> String {
    let kind = source.kind.map_or_else(|| "none".to_owned(), |kind| format!("{kind:?}").to_lowercase());
    let paths = source.path.iter().chain(&source.kubeconfig).map(|path| path.display().to_string());
    std::iter::once(kind).chain(paths).collect::<Vec<_>>().join(" ")
}

/// FNV-1a of 64 bits: it tells a mistake from agreement, and is no defence against somebody who wants to be mistaken.
fn digest<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let octets = parts.into_iter().flat_map(|part| part.bytes().chain([0]));
    let hash =
        octets.fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(zone: &str, digest: &str) -> Record {
        Record { holder: "a".into(), zone: zone.into(), digest: digest.into(), ..Record::default() }
    }

    #[test]
    fn a_record_comes_back_as_it_was_stored() {
        let stored = record("example.test.", "1");
        assert_eq!(Record::read(&stored.text()), stored);
        assert_eq!(Record::read("somebody").holder, "somebody");
    }

    #[test]
    fn differences_are_named_as_far_as_they_are_known() {
        let ours = record("example.test.", "1");
        assert!(ours.differences(&record("other.test.", "1")).is_empty(), "the digest decides");
        assert_eq!(ours.differences(&record("other.test.", "2")), ["zone `other.test.` there, `example.test.` here"]);
        assert_eq!(ours.differences(&record("example.test.", "2")), ["another key of [Source]"]);
        assert_eq!(ours.differences(&Record::read("somebody")), ["its record says nothing of its work"]);
    }

    #[test]
    fn a_digest_keeps_parts_apart() {
        assert_ne!(digest(["ab", "c"]), digest(["a", "bc"]));
        assert_eq!(digest([]), "cbf29ce484222325");
    }
}
