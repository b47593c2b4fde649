//! Azure DNS: public zones of one resource group, through the resource manager.
//!
//! A call changes one record set, so what must happen together does so one after the other (`write`), and the rate is
//! what Azure grants for each zone ([`Rates`]). Claims lie in the sets' metadata (`claim`), versions are ETags. A zone's
//! id is its name without a final dot, as federation v1 had it: within the configured group it is unique.
//!
//! Zones of `Microsoft.Network/privateDnsZones` are another interface and not supported; private zones of this one (a
//! preview that ended in 2020) are listed as such.
//!
//! Operators read `providers/docs/azure.md`. This backend has never met the real service: the strict stand-in of the
//! tests is checked against recorded exchanges.

mod api;
mod claim;
mod config;
mod convert;
mod credential;
mod endpoint;
mod error;
mod read;
mod wire;
mod write;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use dnsprovider::capabilities::{Atomicity, Granularity, Limits};
use dnsprovider::{
    Applied, ApplyContext, Capabilities, ChangeSet, Cost, Cursor, DnsProvider, Error, ErrorKind, Fqdn, Page, RrType,
    Snapshot, Ttl, Unit, Version, WatchStream, Zone, ZoneId,
};

pub use self::config::{Cloud, Credential, Options, Rates, SCHEMA};

use self::api::Api;
use self::error::{NAME, error};
use self::wire::ZoneResource;
use crate::cloud::install_tls;
use crate::registry::{Opened, ProviderConfig};

/// Calls in one batch: seven batches (`CONCURRENT_WRITES` less the place that is kept for failovers) of ten calls take
/// 23 s at three a second, less than the 30 s after which a batch is not sent on.
const MAX_CALLS: u64 = 10;
/// Batches at once. The rate is what limits, so this only has to keep it busy; an eighth is one place for failovers.
const CONCURRENT_WRITES: usize = 8;
/// Record sets in a zone unless the zone tells another number. Source: Azure's limits of DNS, 2024-10.
const SETS_PER_ZONE: u64 = 10_000;
/// Records in a set. Source: the same page. (TXT has more by now; one number is kept for all types.)
const RECORDS_PER_SET: usize = 20;

/// Opens the backend as the registry asks for it. Nothing is sent, so a host that cannot be reached is no matter.
///
/// # Errors
/// - [`ErrorKind::ConfigInvalid`] for a wrong file, an unreadable secret, or a missing token file of workload identity.
pub async fn open(config: ProviderConfig) -> Result<Opened, Error> {
    let config = config.read(&SCHEMA).map_err(|error| error.of_provider(NAME))?;
    Ok(Opened::new(Arc::new(AzureDns::new(&Options::read(&config)?)?)))
}

/// The public zones of a resource group.
#[derive(Debug)]
pub struct AzureDns {
    api: Api,
    options: Options,
    /// Of the zone that was looked at last.
    sets_per_zone: AtomicU64,
}

impl AzureDns {
    /// Makes a client; nothing is sent.
    ///
    /// # Errors
    /// - [`ErrorKind::ConfigInvalid`] for addresses and credentials that cannot be.
    pub fn new(options: &Options) -> Result<Self, Error> {
        install_tls();
        let api = Api::new(options)?;
        Ok(Self { api, options: options.clone(), sets_per_zone: AtomicU64::new(SETS_PER_ZONE) })
    }

    fn zone(&self, resource: &ZoneResource) -> Result<Zone, Error> {
        let apex = Fqdn::parse(&resource.name).map_err(|cause| {
            error(ErrorKind::Protocol, "reading a zone: its name is no DNS name").with_source(cause)
        })?;
        if let Some(most) = resource.properties.max_number_of_record_sets {
            self.sets_per_zone.store(most, Ordering::Relaxed);
        }
        let private = resource.properties.zone_type.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case("Private"));
        Ok(Zone { id: ZoneId(convert::zone_name(&apex).into()), apex, private })
    }
}

/// The apex behind an id, which is its name with or without a final dot.
fn apex(zone: &ZoneId) -> Result<Fqdn, Error> {
    Fqdn::parse(&zone.0).ok().filter(|apex| !apex.is_root()).ok_or_else(|| {
        let hint = "hint: the id of a zone is its name";
        error(ErrorKind::ZoneNotFound, format!("there is no zone with id `{zone}`; {hint}"))
    })
}

#[async_trait]
impl DnsProvider for AzureDns {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            record_types: BTreeSet::from([RrType::A, RrType::Aaaa, RrType::Cname, RrType::Txt]),
            atomicity: Atomicity::Set,
            conditional_writes: true,
            enumeration: true,
            claims: true,
            shared_sets: false,
            answers_subtree: false,
            watch: false,
            manages_zones: true,
            granularity: Granularity::Set,
            rates: self.options.rates.zone.clone(),
            concurrent_writes: CONCURRENT_WRITES,
            limits: Limits {
                batch: Cost { calls: MAX_CALLS, ..Cost::UNLIMITED },
                overhead: Cost::default(),
                records_per_set: Some(RECORDS_PER_SET),
                credit_octets: Some(claim::CREDIT_OCTETS),
                sets_per_zone: Some(self.sets_per_zone.load(Ordering::Relaxed)),
                // The documentation begins at 1; recorded exchanges of the CLI store 0.
                min_ttl: Ttl::from_secs(0).expect("0 is a TTL"),
                max_ttl: Ttl::MAX,
            },
        }
    }

    /// One call for each change. Not counted: the reads of a change without a version, and putting back what a failed
    /// unit has deleted.
    fn cost(&self, unit: &Unit) -> Cost {
        Cost { calls: unit.changes.len() as u64, ..Cost::default() }
    }

    /// With an apex: one read of that zone, for which rights on the zone alone are enough.
    async fn zones(&self, apex: Option<&Fqdn>) -> Result<Vec<Zone>, Error> {
        if let Some(apex) = apex {
            return match self.api.zone(apex).await {
                Ok(resource) => Ok(vec![self.zone(&resource)?]),
                Err(failure) if failure.error.kind() == ErrorKind::ZoneNotFound => Ok(Vec::new()),
                Err(failure) => Err(failure.error.with_zone(apex)),
            };
        }
        let mut zones = Vec::new();
        let mut link = None;
        loop {
            let list = self.api.zones(link.as_deref()).await.map_err(|failure| failure.error)?;
            for resource in &list.value {
                zones.push(self.zone(resource)?);
            }
            match list.next_link {
                Some(next) if Some(&next) == link.as_ref() => {
                    return Err(error(ErrorKind::Protocol, "listing the zones: two pages have one link"));
                }
                Some(next) => link = Some(next),
                None => return Ok(zones),
            }
        }
    }

    async fn create_zone(&self, apex: &Fqdn) -> Result<Zone, Error> {
        let resource = self.api.create_zone(apex).await.map_err(|failure| failure.error.with_zone(apex))?;
        self.zone(&resource)
    }

    /// Azure deletes the sets of the zone with it. Waits for the end of the deletion.
    async fn delete_zone(&self, zone: &ZoneId) -> Result<(), Error> {
        let apex = apex(zone)?;
        if self.api.delete_zone(&apex).await.map_err(|failure| failure.error.with_zone(&apex))? {
            return Ok(());
        }
        let group = &self.options.resource_group;
        let message = format!("deleting the zone: there is none of that name in the resource group `{group}`");
        Err(error(ErrorKind::ZoneNotFound, message).with_zone(&apex))
    }

    async fn read_page(&self, zone: &ZoneId, cursor: Option<&Cursor>) -> Result<Page, Error> {
        let apex = apex(zone)?;
        self.page(&apex, cursor).await.map_err(|error| error.with_zone(&apex))
    }

    async fn read_names(&self, zone: &ZoneId, names: &[Fqdn]) -> Result<Snapshot, Error> {
        let apex = apex(zone)?;
        self.names(&apex, names).await.map_err(|error| error.with_zone(&apex))
    }

    async fn apply(&self, zone: &ZoneId, changes: &ChangeSet, context: &ApplyContext) -> Result<Applied, Error> {
        let apex = apex(zone)?;
        self.apply_batch(&apex, changes, context).await.map_err(|error| error.with_zone(&apex))
    }

    async fn watch(&self, zone: &ZoneId, _: &Version) -> Result<WatchStream, Error> {
        let apex = apex(zone)?;
        Err(error(ErrorKind::Unsupported, "watching the zone: Azure does not report changes").with_zone(&apex))
    }
}
