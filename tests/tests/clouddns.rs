//! The suite on Google Cloud DNS, and what the backend makes of its moods, on the strict fake.

use std::fs;
use std::sync::Arc;

use dns_conformance::fakes::clouddns::{Fake, Visibility};
use dns_conformance::{Setup, conformance};
use dns_providers::clouddns::{CloudDns, Login, Options, Rates};
use dnsprovider::Fqdn;
use tempfile::TempDir;

/// A fake with the zone `conformance.test`, and a key for it.
struct Host {
    fake: Arc<Fake>,
    zone: String,
    folder: TempDir,
}

impl Host {
    async fn start() -> Self {
        let fake = Fake::start().await;
        let zone = fake.create_zone("conformance.test", Visibility::Public);
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("key.json"), fake.service_account_key()).expect("a file");
        Self { fake: Arc::new(fake), zone, folder }
    }

    fn options(&self) -> Options {
        Options {
            project: None,
            login: Login::File(self.folder.path().join("key.json")),
            endpoint: Some(self.fake.url()),
            // The fake is as fast as it is asked.
            rates: Rates { reads: 5_000.0, writes: 5_000.0 },
        }
    }

    fn provider(&self) -> CloudDns {
        CloudDns::new(self.options()).expect("a good key")
    }
}

async fn plain() -> Setup {
    let host = Host::start().await;
    Setup::new(host.provider(), Fqdn::parse("conformance.test").expect("a name")).keep((host.fake, host.folder))
}
conformance!(clouddns, plain);

/// Pages end inside names.
async fn paged() -> Setup {
    let host = Host::start().await;
    host.fake.set_page_size(7);
    Setup::new(host.provider(), Fqdn::parse("conformance.test").expect("a name")).keep((host.fake, host.folder))
}
conformance!(clouddns_in_small_pages, paged);
