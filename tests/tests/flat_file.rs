//! The suite on the example of a backend of one's own.

use dns_conformance::{Setup, conformance};
use dnsprovider::Fqdn;

#[expect(dead_code, unreachable_pub, reason = "an example: its `main` is not called here")]
#[path = "../../dnsprovider/examples/flat_file.rs"]
mod example;

async fn setup() -> Setup {
    let apex = Fqdn::parse("conformance.test").expect("a name");
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = folder.path().join("zone");
    std::fs::write(&path, "").expect("the temporary folder can be written");
    Setup::new(example::FlatFile::new(apex.clone(), path), apex).keep(folder)
}

conformance!(flat_file, setup);
