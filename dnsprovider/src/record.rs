//! Record sets: the unit that every provider reads and changes.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::name::Fqdn;

//----------- Ttl ------------------------------------------------------------

/// Time to live of a record set, in whole seconds, 0 to 2^31 - 1. Source: RFC 2181 §8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ttl(u32);

impl Ttl {
    /// The largest value that RFC 2181 §8 allows.
    pub const MAX: Self = Self(0x7fff_ffff);

    /// The given number of seconds; `None` above [`Ttl::MAX`].
    pub const fn from_secs(seconds: u32) -> Option<Self> {
        if seconds > Self::MAX.0 { None } else { Some(Self(seconds)) }
    }

    /// Seconds.
    pub const fn as_secs(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

//----------- RrType ---------------------------------------------------------

/// Type of a record set. Order: the four modelled types, then all others by text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RrType {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// The canonical name; stands alone at its owner (RFC 1034 §3.6.2).
    Cname,
    /// Text.
    Txt,
    /// A type that the library only carries: its upper-case mnemonic (`MX`) or `TYPE65280` (RFC 3597).
    Other(Arc<str>),
}

impl RrType {
    /// The mnemonic in upper case.
    pub fn as_str(&self) -> &str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Cname => "CNAME",
            Self::Txt => "TXT",
            Self::Other(text) => text,
        }
    }

    /// The type behind a mnemonic in any case. Never fails: what is not modelled is carried.
    pub fn from_text(text: &str) -> Self {
        match text.to_ascii_uppercase().as_str() {
            "A" => Self::A,
            "AAAA" => Self::Aaaa,
            "CNAME" => Self::Cname,
            "TXT" => Self::Txt,
            other => Self::Other(other.into()),
        }
    }
}

impl fmt::Display for RrType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

//----------- RrKey ----------------------------------------------------------

/// What names a record set inside a zone: owner name and type. Order: by owner, then type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RrKey {
    /// The name at which the set sits.
    pub owner: Fqdn,
    /// The type of all its records.
    pub rr_type: RrType,
}

impl RrKey {
    /// The key of the sets at `owner` with `rr_type`.
    pub fn new(owner: Fqdn, rr_type: RrType) -> Self {
        Self { owner, rr_type }
    }
}

impl fmt::Display for RrKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.owner, self.rr_type)
    }
}

//----------- RecordData -----------------------------------------------------

/// Data of a single record. Order inside a type: addresses by number, names and text by bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordData {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// The canonical name.
    Cname(Fqdn),
    /// The whole text of one TXT record: its character-strings in sequence. Adapters split it at 255 octets
    /// (RFC 1035 §3.3.14), so two splits of one text are equal.
    Txt(Arc<[u8]>),
    /// Data that is only carried, never written: the provider's own spelling, for people to read.
    Opaque(Arc<str>),
}

impl RecordData {
    /// A text record.
    pub fn txt(text: impl AsRef<[u8]>) -> Self {
        Self::Txt(text.as_ref().into())
    }

    /// The address, of an A or AAAA record.
    pub fn address(&self) -> Option<std::net::IpAddr> {
        match self {
            Self::A(address) => Some((*address).into()),
            Self::Aaaa(address) => Some((*address).into()),
            _ => None,
        }
    }

    /// Whether this data belongs into a set of the given type. Opaque data fits every type: an alias A set is one.
    pub fn fits(&self, rr_type: &RrType) -> bool {
        match self {
            Self::A(_) => *rr_type == RrType::A,
            Self::Aaaa(_) => *rr_type == RrType::Aaaa,
            Self::Cname(_) => *rr_type == RrType::Cname,
            Self::Txt(_) => *rr_type == RrType::Txt,
            Self::Opaque(_) => true,
        }
    }
}

impl From<std::net::IpAddr> for RecordData {
    fn from(address: std::net::IpAddr) -> Self {
        match address {
            std::net::IpAddr::V4(v4) => Self::A(v4),
            std::net::IpAddr::V6(v6) => Self::Aaaa(v6),
        }
    }
}

/// Presentation form without quotes: addresses as RFC 5952 prints them, names with a final dot, text with
/// unprintable octets, quotes and backslashes escaped as `\DDD` or `\X`.
impl fmt::Display for RecordData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::A(address) => address.fmt(f),
            Self::Aaaa(address) => address.fmt(f),
            Self::Cname(name) => name.fmt(f),
            Self::Txt(text) => text.iter().try_for_each(|octet| match octet {
                b'"' | b'\\' => write!(f, "\\{}", char::from(*octet)),
                b' '..=b'~' => write!(f, "{}", char::from(*octet)),
                other => write!(f, "\\{other:03}"),
            }),
            Self::Opaque(text) => f.write_str(text),
        }
    }
}

impl fmt::Debug for RecordData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

//----------- RrSet ----------------------------------------------------------

/// All records of one owner and type, with their one TTL.
///
/// Invariants: at least one record; records sorted and distinct, all of the set's type; a CNAME set has exactly one.
/// Equality: owner, type, TTL and the records as a set. Source: RFC 2181 §5. Cloning is cheap.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RrSet {
    key: RrKey,
    ttl: Ttl,
    records: Arc<[RecordData]>,
}

/// Why records do not form a set. Prints the owner, the type and the rule that is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RrSetError {
    key: RrKey,
    rule: &'static str,
}

impl fmt::Display for RrSetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a record set: {}", self.key, self.rule)
    }
}

impl std::error::Error for RrSetError {}

impl RrSet {
    /// A set of the given records in any order; equal ones count once.
    ///
    /// # Errors
    /// When there is no record, one is of another type, or a CNAME has several.
    pub fn new(key: RrKey, ttl: Ttl, records: impl IntoIterator<Item = RecordData>) -> Result<Self, RrSetError> {
        let mut records: Vec<_> = records.into_iter().collect();
        records.sort_unstable();
        records.dedup();
        let rule = match records.as_slice() {
            [] => Some("it has no record"),
            [_, _, ..] if key.rr_type == RrType::Cname => Some("a CNAME has more than one target"),
            all if !all.iter().all(|record| record.fits(&key.rr_type)) => Some("a record is of another type"),
            _ => None,
        };
        match rule {
            Some(rule) => Err(RrSetError { key, rule }),
            None => Ok(Self { key, ttl, records: records.into() }),
        }
    }

    /// Owner and type.
    pub fn key(&self) -> &RrKey {
        &self.key
    }

    /// The owner name.
    pub fn owner(&self) -> &Fqdn {
        &self.key.owner
    }

    /// The type.
    pub fn rr_type(&self) -> &RrType {
        &self.key.rr_type
    }

    /// The TTL of every record in the set.
    pub fn ttl(&self) -> Ttl {
        self.ttl
    }

    /// The records, sorted, distinct, at least one.
    pub fn records(&self) -> &[RecordData] {
        &self.records
    }

    /// The target, for a CNAME.
    pub fn cname_target(&self) -> Option<&Fqdn> {
        match self.records.first() {
            Some(RecordData::Cname(target)) => Some(target),
            _ => None,
        }
    }

    /// True when a record is opaque: the set can be shown, not written.
    pub fn is_opaque(&self) -> bool {
        self.records.iter().any(|record| matches!(record, RecordData::Opaque(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(rr_type: RrType) -> RrKey {
        RrKey::new(Fqdn::parse("www.example.com").unwrap(), rr_type)
    }

    fn ttl() -> Ttl {
        Ttl::from_secs(60).unwrap()
    }

    #[test]
    fn addresses_sort_as_numbers_and_count_once() {
        let address = |text: &str| RecordData::A(text.parse().unwrap());
        let set = RrSet::new(key(RrType::A), ttl(), ["100.0.0.1", "9.0.0.1", "9.0.0.1"].map(address)).unwrap();
        assert_eq!(format!("{:?}", set.records()), "[9.0.0.1, 100.0.0.1]");
    }

    #[test]
    fn what_is_no_set_is_refused() {
        assert!(RrSet::new(key(RrType::A), ttl(), []).is_err());
        assert!(RrSet::new(key(RrType::A), ttl(), [RecordData::txt("x")]).is_err());
        let target = |text: &str| RecordData::Cname(Fqdn::parse(text).unwrap());
        assert!(RrSet::new(key(RrType::Cname), ttl(), [target("a"), target("b")]).is_err());
    }

    #[test]
    fn a_ttl_above_31_bits_does_not_exist() {
        assert_eq!(Ttl::from_secs(0x8000_0000), None);
        assert_eq!(Ttl::from_secs(0x7fff_ffff), Some(Ttl::MAX));
    }
}
