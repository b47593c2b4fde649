//! Pointers to providers are providers.

use std::sync::Arc;

use async_trait::async_trait;

use crate::capabilities::{Capabilities, Cost};
use crate::change::{ChangeSet, Unit};
use crate::error::Error;
use crate::name::Fqdn;
use crate::provider::{Applied, ApplyContext, DnsProvider, WatchStream, Zone, ZoneId};
use crate::snapshot::{Cursor, Page, Snapshot, Version};

macro_rules! forward {
    ($($pointer:ident),+) => {$(
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<P: DnsProvider + ?Sized> DnsProvider for $pointer<P> {
            fn name(&self) -> &'static str {
                (**self).name()
            }
            fn capabilities(&self) -> Capabilities {
                (**self).capabilities()
            }
            fn cost(&self, unit: &Unit) -> Cost {
                (**self).cost(unit)
            }
            async fn zones(&self, apex: Option<&Fqdn>) -> Result<Vec<Zone>, Error> {
                (**self).zones(apex).await
            }
            async fn create_zone(&self, apex: &Fqdn) -> Result<Zone, Error> {
                (**self).create_zone(apex).await
            }
            async fn delete_zone(&self, zone: &ZoneId) -> Result<(), Error> {
                (**self).delete_zone(zone).await
            }
            async fn read_page(&self, zone: &ZoneId, cursor: Option<&Cursor>) -> Result<Page, Error> {
                (**self).read_page(zone, cursor).await
            }
            async fn read_names(&self, zone: &ZoneId, names: &[Fqdn]) -> Result<Snapshot, Error> {
                (**self).read_names(zone, names).await
            }
            async fn apply(&self, zone: &ZoneId, changes: &ChangeSet, context: &ApplyContext) -> Result<Applied, Error> {
                (**self).apply(zone, changes, context).await
            }
            async fn watch(&self, zone: &ZoneId, since: &Version) -> Result<WatchStream, Error> {
                (**self).watch(zone, since).await
            }
        }
    )+};
}

forward!(Arc, Box);
