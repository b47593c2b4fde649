//! The `[Global]` section of the embedded server.
//!
//! In: config text · Out: [`Settings`] · Pure: yes · Called by: mod.rs

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use dnsprovider::Fqdn;
use ipnet::IpNet;

use crate::ProviderConfig;
use crate::gcfg::{ConfigError, Key, Schema, SectionSchema};

const SCHEMA: Schema = Schema(&[SectionSchema::single(
    "Global",
    &[
        Key::plain("zones"),
        Key::plain("listen"),
        Key::plain("nameserver"),
        Key::plain("allow-transfer"),
        Key::plain("data-dir"),
    ],
)]);

/// Where it listens unless told otherwise.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5300);

/// What the config says.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// Apexes, distinct, at least one.
    pub(super) zones: Vec<Fqdn>,
    /// At least one.
    pub(super) listen: Vec<SocketAddr>,
    /// Host name of this server, for SOA and NS.
    pub(super) nameserver: Option<Fqdn>,
    /// Who may transfer the zones.
    pub(super) allow_transfer: Vec<IpNet>,
    /// Where the zones are kept.
    pub(super) data_dir: Option<PathBuf>,
}

pub(super) fn settings(config: &ProviderConfig) -> Result<Settings, ConfigError> {
    let global = config.read(&SCHEMA)?.section("Global");
    let name = |text: &str| Fqdn::parse(text).ok();
    let mut zones = global.list_of("zones", "a domain name", name)?;
    zones.sort();
    zones.dedup();
    if zones.is_empty() {
        return Err(global.missing("zones", "the zones to serve, such as `example.com`"));
    }
    let mut listen = global.sockets("listen")?;
    if listen.is_empty() {
        listen.push(LISTEN);
    }
    Ok(Settings {
        zones,
        listen,
        nameserver: global.read("nameserver", "a domain name", name)?,
        allow_transfer: global.list_of("allow-transfer", "an address or a network such as `192.0.2.0/24`", network)?,
        data_dir: global.path("data-dir")?,
    })
}

fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}
