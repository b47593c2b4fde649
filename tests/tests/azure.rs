//! Azure DNS on the strict stand-in: the suite, and what goes wrong.

#[path = "azure/common.rs"]
mod common;

#[path = "azure/failures.rs"]
mod failures;
#[path = "azure/names.rs"]
mod names;
#[path = "azure/rates.rs"]
mod rates;
#[path = "azure/zones.rs"]
mod zones;

use dns_conformance::fakes::azure::Fake;
use dns_conformance::{Setup, conformance};
use dnsprovider::Fqdn;

use common::{GROUP, provider};

const APEX: &str = "conformance.test";

async fn setup() -> Setup {
    let fake = Fake::start().await;
    fake.create_zone(GROUP, APEX);
    Setup::new(provider(&fake), Fqdn::parse(APEX).expect("a name")).keep(fake)
}
conformance!(whole_pages, setup);

/// The sets of a name on two pages, and every list on several.
async fn small_pages_setup() -> Setup {
    let fake = Fake::start().await;
    fake.create_zone(GROUP, APEX);
    fake.page_size(25);
    Setup::new(provider(&fake), Fqdn::parse(APEX).expect("a name")).keep(fake)
}
conformance!(small_pages, small_pages_setup);
