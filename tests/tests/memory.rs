//! The suite on the reference backend, behind every wrapper, and with each ability taken away.

use std::sync::Arc;

use dns_conformance::{Setup, conformance};
use dnsprovider::capabilities::{Atomicity, Capabilities, Granularity};
use dnsprovider::{Chunked, Cost, DnsProvider, Fqdn, MemoryProvider, RrType, Ttl};

fn apex() -> Fqdn {
    Fqdn::parse("conformance.test").expect("a name")
}

fn configured(change: impl FnOnce(&mut Capabilities)) -> MemoryProvider {
    MemoryProvider::builder().zone(apex()).configure(change).page_size(70).build()
}

async fn memory() -> Setup {
    Setup::new(MemoryProvider::new([apex()]), apex())
}
conformance!(memory_provider, memory);

async fn dynamic() -> Setup {
    let provider: Arc<dyn DnsProvider> = Arc::new(MemoryProvider::new([apex()]));
    Setup::new(provider, apex())
}
conformance!(arc_dyn, dynamic);

async fn chunked() -> Setup {
    let tight = configured(|can| {
        can.limits.batch = Cost { sets: 7, operations: 9, values: 5000, ..Cost::UNLIMITED };
        can.limits.overhead = Cost { operations: 1, compares: 1, ..Cost::default() };
    });
    Setup::new(Chunked::new(tight), apex())
}
conformance!(chunked_with_tight_limits, chunked);

async fn limited() -> Setup {
    let limited = configured(|can| {
        can.limits.batch.sets = 5;
        can.limits.records_per_set = Some(20);
        can.limits.min_ttl = Ttl::from_secs(30).expect("a TTL");
        can.limits.max_ttl = Ttl::from_secs(604_800).expect("a TTL");
    });
    Setup::new(limited, apex())
}
conformance!(with_tight_limits, limited);

async fn bare() -> Setup {
    let bare = configured(|can| {
        can.record_types = [RrType::A, RrType::Cname].into();
        can.claims = false;
        can.watch = false;
        can.enumeration = false;
        can.manages_zones = false;
        can.atomicity = Atomicity::Set;
    });
    Setup::new(bare, apex())
}
conformance!(without_abilities, bare);

async fn one_verdict() -> Setup {
    Setup::new(configured(|can| can.granularity = Granularity::Batch), apex())
}
conformance!(with_one_verdict_for_a_batch, one_verdict);
