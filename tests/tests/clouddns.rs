//! Google Cloud DNS on the strict fake: the suite, and what the fake shows that the suite cannot.

#[path = "clouddns/logins.rs"]
mod logins;
#[path = "clouddns/reads.rs"]
mod reads;
#[path = "clouddns/world.rs"]
mod world;
#[path = "clouddns/writes.rs"]
mod writes;

use dns_conformance::{Setup, conformance};
use dnsprovider::Fqdn;

use world::{APEX, World};

async fn plain() -> Setup {
    let world = World::start().await;
    Setup::new(world.bare(), Fqdn::parse(APEX).expect("a name")).keep(world)
}
conformance!(suite, plain);

/// Pages end inside names.
async fn paged() -> Setup {
    let world = World::start().await;
    world.fake.set_page_size(7);
    Setup::new(world.bare(), Fqdn::parse(APEX).expect("a name")).keep(world)
}
conformance!(suite_in_small_pages, paged);
