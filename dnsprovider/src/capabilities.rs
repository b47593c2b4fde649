//! What a backend can do and what its host allows, as data.

use std::collections::BTreeSet;
use std::ops::{Add, AddAssign};

use crate::claim::Credits;
use crate::record::{RrType, Ttl};

/// What a request costs, as a vector: a batch fits when no component exceeds its limit.
///
/// Each host counts something else, so one number would not do: Route 53 limits values and octets, etcd limits
/// operations and compares, Cloud DNS limits additions. Components that a host does not limit stay 0 in costs and
/// [`u64::MAX`] in limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Requests sent.
    pub calls: u64,
    /// Record sets touched, as the host counts them.
    pub sets: u64,
    /// Single records, as the host counts them.
    pub values: u64,
    /// Octets of record data or of the request, as the host counts them.
    pub octets: u64,
    /// Store operations (puts and deletes).
    pub operations: u64,
    /// Preconditions.
    pub compares: u64,
}

impl Cost {
    /// No limit in any component.
    pub const UNLIMITED: Self = Self {
        calls: u64::MAX,
        sets: u64::MAX,
        values: u64::MAX,
        octets: u64::MAX,
        operations: u64::MAX,
        compares: u64::MAX,
    };

    /// True when every component is at most that of `limit`.
    pub fn fits(&self, limit: &Self) -> bool {
        self.over(limit).is_none()
    }

    /// The larger of the two in each component.
    #[must_use]
    pub fn max(&self, other: &Self) -> Self {
        Self {
            calls: self.calls.max(other.calls),
            sets: self.sets.max(other.sets),
            values: self.values.max(other.values),
            octets: self.octets.max(other.octets),
            operations: self.operations.max(other.operations),
            compares: self.compares.max(other.compares),
        }
    }

    /// The first component that exceeds its limit, in words: `1001 values where 1000 are allowed`.
    pub fn over(&self, limit: &Self) -> Option<String> {
        let components = [
            ("calls", self.calls, limit.calls),
            ("sets", self.sets, limit.sets),
            ("values", self.values, limit.values),
            ("octets", self.octets, limit.octets),
            ("operations", self.operations, limit.operations),
            ("compares", self.compares, limit.compares),
        ];
        let (what, needed, allowed) = components.into_iter().find(|(_, needed, allowed)| needed > allowed)?;
        Some(format!("{needed} {what} where {allowed} are allowed"))
    }
}

impl Add for Cost {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            calls: self.calls.saturating_add(other.calls),
            sets: self.sets.saturating_add(other.sets),
            values: self.values.saturating_add(other.values),
            octets: self.octets.saturating_add(other.octets),
            operations: self.operations.saturating_add(other.operations),
            compares: self.compares.saturating_add(other.compares),
        }
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// What happens as a whole or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Atomicity {
    /// One record set.
    Set,
    /// All changes of one call to `apply`.
    Batch,
}

/// How exactly the host tells what became of a batch that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granularity {
    /// One verdict for the batch; the culprit is found by bisection.
    Batch,
    /// A verdict for each set.
    Set,
}

/// Kinds of call that a host budgets apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Operation {
    /// Reading a page or a zone list.
    List,
    /// Reading single names.
    Get,
    /// Creating sets.
    Create,
    /// Replacing sets.
    Update,
    /// Deleting sets.
    Delete,
}

/// How many calls of one kind a host grants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// The kind of call.
    pub operation: Operation,
    /// Sustained calls per second.
    pub per_second: f64,
    /// Calls at once after a pause.
    pub burst: u32,
}

/// Sizes that a host allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most that one call to [`crate::DnsProvider::apply`] may cost.
    pub batch: Cost,
    /// What a call costs before its first change, such as the compare on a fence.
    pub overhead: Cost,
    /// Records in one set; `None` for no limit.
    pub records_per_set: Option<usize>,
    /// What the credits of one set may take, as [`credit_octets`] counts; `None` for no limit, or no claims. A set
    /// whose credits take more is stored without them.
    pub credit_octets: Option<usize>,
    /// Sets in one zone; `None` for no limit.
    pub sets_per_zone: Option<u64>,
    /// The smallest TTL that is stored as given.
    pub min_ttl: Ttl,
    /// The largest TTL that is stored as given.
    pub max_ttl: Ttl,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            batch: Cost::UNLIMITED,
            overhead: Cost::default(),
            records_per_set: None,
            credit_octets: None,
            sets_per_zone: None,
            min_ttl: Ttl::from_secs(0).expect("0 is a TTL"),
            max_ttl: Ttl::MAX,
        }
    }
}

/// What the credits of the records of one set take, in octets, where each cluster is named once and then goes by its
/// place: its name and a separator; for each record a separator, and for each of its clusters the digits of a place and
/// a separator. In a name all but ASCII letters, digits, `-`, `_`, `.` and `/` counts thrice. A host that writes them in
/// another way allows less.
///
/// ```
/// use dnsprovider::Credits;
/// use dnsprovider::capabilities::credit_octets;
///
/// let credits: [Credits; 3] = [["east".into(), "west".into()].into(), [].into(), ["west".into()].into()];
/// // `east,west,` and `;0.1.;;1.`
/// assert_eq!(credit_octets(&credits), 10 + 9);
/// ```
pub fn credit_octets(credits: &[Credits]) -> usize {
    let mut clusters: Vec<&str> = Vec::new();
    let mut octets = 0;
    for of_record in credits {
        octets += 1;
        for cluster in of_record.iter() {
            let place = clusters.iter().position(|known| *known == &**cluster).unwrap_or_else(|| {
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/');
                octets += cluster.bytes().map(|byte| if plain(byte) { 1 } else { 3 }).sum::<usize>() + 1;
                clusters.push(cluster);
                clusters.len() - 1
            });
            octets += place.to_string().len() + 1;
        }
    }
    octets
}

/// What a backend can do. A gap is declared here, and a call that needs the missing ability is refused with
/// [`crate::ErrorKind::Unsupported`] before anything is sent.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "a list of independent abilities")]
pub struct Capabilities {
    /// Types that can be written.
    pub record_types: BTreeSet<RrType>,
    /// What is all or nothing.
    pub atomicity: Atomicity,
    /// A stale pre-image is noticed by the host itself. Without it a write is read-then-write, which two writers
    /// at once can break: no high availability.
    pub conditional_writes: bool,
    /// [`crate::DnsProvider::read_page`] lists the zone.
    pub enumeration: bool,
    /// Claims are stored with their sets. Without it callers keep them in TXT sets.
    pub claims: bool,
    /// The unit of storage is the single record: sets of several owners may share a name and type.
    pub shared_sets: bool,
    /// A query for a name also returns what lies below it, so a foreign set below forbids a CNAME.
    pub answers_subtree: bool,
    /// [`crate::DnsProvider::watch`] reports changes.
    pub watch: bool,
    /// Zones can be created and deleted.
    pub manages_zones: bool,
    /// How exactly failures are told.
    pub granularity: Granularity,
    /// Call budgets; empty where the host has none.
    pub rates: Vec<Rate>,
    /// Calls to [`crate::DnsProvider::apply`] for different names that may usefully run at once; at least 1.
    pub concurrent_writes: usize,
    /// Sizes.
    pub limits: Limits,
}
