//! The suite on the embedded server: in memory as the daemon opens it, and on a data-dir as commands do.

use dns_conformance::{Setup, conformance};
use dns_providers::{OpenMode, ProviderConfig, Registry};
use dnsprovider::Fqdn;

async fn open(text: &str, mode: OpenMode) -> Setup {
    let apex = Fqdn::parse("conformance.test").expect("a name");
    let config = ProviderConfig {
        text: Some(format!("[Global]\nzones = {apex}\n{text}\n")),
        file: "embedded.conf".to_owned(),
        home: None,
        mode,
    };
    let opened = Registry::builtin().open("embedded", config).await.expect("the embedded server opens");
    Setup::new(opened.provider.clone(), apex).keep(opened)
}

async fn in_memory() -> Setup {
    open("listen = 127.0.0.1:0", OpenMode::Serve).await
}
conformance!(embedded_in_memory, in_memory);

async fn on_disk() -> Setup {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let text = format!("data-dir = {}", folder.path().display());
    open(&text, OpenMode::ReadWrite).await.keep(folder)
}
conformance!(embedded_on_disk, on_disk);
