//! What a project is allowed in one change and in one zone.

use dnsprovider::Cost;
use dnsprovider::Ttl;
use dnsprovider::capabilities::Limits;
use google_cloud_dns_v1::model::Quota;

/// The quotas of a project that bear on record sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quotas {
    /// Sets that one change adds; an update adds one and deletes one.
    pub(super) additions: u64,
    /// Sets that one change deletes.
    pub(super) deletions: u64,
    /// Octets of record data in one change, as text.
    pub(super) octets: u64,
    /// Records in a set.
    pub(super) records: usize,
    /// Sets in a zone, those at its apex included.
    pub(super) sets: u64,
}

/// What new projects have, for as long as the project has not said.
///
/// Source: <https://cloud.google.com/dns/quotas>, the table of limits of its older versions; the current one has no numbers.
impl Default for Quotas {
    fn default() -> Self {
        Self { additions: 1_000, deletions: 1_000, octets: 100_000, records: 100, sets: 10_000 }
    }
}

impl Quotas {
    /// What `projects.get` reports; what it leaves out is as by default.
    pub(super) fn reported(quota: &Quota) -> Self {
        let default = Self::default();
        let number = |reported: Option<i32>, default: u64| {
            reported.and_then(|number| u64::try_from(number).ok()).filter(|number| *number > 0).unwrap_or(default)
        };
        let records = reported_usize(quota.resource_records_per_rrset).unwrap_or(default.records);
        Self {
            additions: number(quota.rrset_additions_per_change, default.additions),
            deletions: number(quota.rrset_deletions_per_change, default.deletions),
            octets: number(quota.total_rrdata_size_per_change, default.octets),
            records,
            sets: number(quota.rrsets_per_managed_zone, default.sets),
        }
    }

    /// In the contract's terms: `sets` are additions, `operations` are deletions, `octets` is the record data of both.
    pub(super) fn limits(&self) -> Limits {
        Limits {
            batch: Cost { sets: self.additions, operations: self.deletions, octets: self.octets, ..Cost::UNLIMITED },
            overhead: Cost::default(),
            records_per_set: Some(self.records),
            credit_octets: None,
            sets_per_zone: Some(self.sets),
            // The discovery document has a signed 32-bit number and no bounds.
            min_ttl: Ttl::from_secs(0).expect("0 is a TTL"),
            max_ttl: Ttl::MAX,
        }
    }
}

fn reported_usize(number: Option<i32>) -> Option<usize> {
    number.and_then(|number| usize::try_from(number).ok()).filter(|number| *number > 0)
}
