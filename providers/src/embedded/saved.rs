//! A record set as it is written to the disk.
//!
//! In: [`Entry`] · Out: [`Saved`], and back · Pure: yes · Called by: persist.rs

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use dnsprovider::{Blocks, Claim, ClaimedSet, Credits, Entry, Fqdn, RecordData, RrKey, RrSet, RrType, Ttl, Version};
use serde::{Deserialize, Serialize};

/// Mirror of an [`Entry`] without its name.
#[derive(Serialize, Deserialize)]
pub(super) struct Saved {
    ttl: u32,
    revision: u64,
    data: Data,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    claim: Option<SavedClaim>,
}

#[derive(Serialize, Deserialize)]
enum Data {
    A(Vec<Ipv4Addr>),
    #[serde(rename = "AAAA")]
    Aaaa(Vec<Ipv6Addr>),
    #[serde(rename = "CNAME")]
    Cname(String),
    #[serde(rename = "TXT")]
    Txt(Vec<Vec<u8>>),
}

#[derive(Serialize, Deserialize)]
struct SavedClaim {
    name: String,
    federation: String,
    credits: Vec<Vec<String>>,
}

impl From<&Entry> for Saved {
    fn from(entry: &Entry) -> Self {
        let set = &entry.data.set;
        let records = set.records();
        let data = match set.rr_type() {
            RrType::Cname => Data::Cname(set.cname_target().map(Fqdn::to_string).unwrap_or_default()),
            RrType::Aaaa => Data::Aaaa(select(records, |data| match data {
                RecordData::Aaaa(address) => Some(*address),
                _ => None,
            })),
            RrType::A => Data::A(select(records, |data| match data {
                RecordData::A(address) => Some(*address),
                _ => None,
            })),
            // Sets of other types are refused when they are written.
            RrType::Txt | RrType::Other(_) => Data::Txt(select(records, |data| match data {
                RecordData::Txt(text) => Some(text.to_vec()),
                _ => None,
            })),
        };
        let claim = entry.data.claim.as_ref().map(|claim| SavedClaim {
            name: claim.name.to_string(),
            federation: claim.federation.to_string(),
            credits: claim.credits.iter().map(|clusters| clusters.iter().map(ToString::to_string).collect()).collect(),
        });
        Self { ttl: set.ttl().as_secs(), revision: entry.version.revision, data, claim }
    }
}

fn select<T>(records: &[RecordData], select: impl Fn(&RecordData) -> Option<T>) -> Vec<T> {
    records.iter().filter_map(select).collect()
}

impl Saved {
    /// The set at `owner`.
    pub(super) fn entry(self, owner: &Fqdn) -> Result<Entry, String> {
        let (rr_type, records): (_, Vec<_>) = match self.data {
            Data::A(addresses) => (RrType::A, addresses.into_iter().map(RecordData::A).collect()),
            Data::Aaaa(addresses) => (RrType::Aaaa, addresses.into_iter().map(RecordData::Aaaa).collect()),
            Data::Cname(target) => {
                let target = Fqdn::parse(&target).map_err(|error| error.to_string())?;
                (RrType::Cname, vec![RecordData::Cname(target)])
            }
            Data::Txt(texts) => (RrType::Txt, texts.into_iter().map(RecordData::txt).collect()),
        };
        let ttl = Ttl::from_secs(self.ttl).ok_or("a TTL is above 31 bits")?;
        let set = RrSet::new(RrKey::new(owner.clone(), rr_type), ttl, records).map_err(|error| error.to_string())?;
        let claim = self.claim.map(|claim| Claim {
            name: claim.name.into(),
            federation: claim.federation.into(),
            credits: claim.credits.into_iter().map(credits).collect(),
        });
        Ok(Entry { data: ClaimedSet { set, claim }, version: Version::at(self.revision), blocks: Blocks::AsDns })
    }
}

fn credits(clusters: Vec<String>) -> Credits {
    clusters.into_iter().map(Arc::from).collect()
}
