//! A burst of changes of one cluster, from its API server to the host: through the source and the engine together.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use dns_sync_core::Settings;
use dns_syncd::source::ClusterSource;
use dns_syncd::source::clusters::Pace;
use dns_syncd::{Daemon, config};
use dnsprovider::memory::Call;
use dnsprovider::{Fqdn, MemoryProvider, RrType, ZoneId};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::fake::{Fake, NODES, SERVICES, SLICES, node, service, slice};
use crate::heard::{folder, pace};
use crate::watched::one;

/// A safety net.
const PATIENCE: Duration = Duration::from_mins(1);
const COPIES: usize = 500;
/// Changes of the slice of each service.
const CHANGES: usize = 20;

/// The slice of a service after so many changes.
fn changed(service: usize, changes: usize) -> Value {
    let mut slice = slice(&format!("s{service}"), true);
    slice["endpoints"][0]["addresses"][0] = format!("10.0.0.{changes}").into();
    slice
}

/// The text of `/metrics`.
async fn metrics(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// As when all pods of a cluster come up within a moment: the first slice makes a service ready, and then it changes.
#[tokio::test]
async fn ten_thousand_slices_that_change_are_a_few_passes() {
    let fake = Fake::start();
    fake.put(NODES, node("n", "eu", "eu-a"));
    let address = |at: usize| format!("192.0.{}.{}", at / 250, at % 250 + 1);
    let services = (0..COPIES).map(|at| (SERVICES, service(&format!("s{at}"), &address(at))));
    fake.put_all(services.collect());
    let folder_of = one(&fake);

    let apex = Fqdn::parse("example.com").unwrap();
    let provider = MemoryProvider::new([apex.clone()]);
    let listen = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let source =
        ClusterSource::new(folder(folder_of.path())).with_pace(Pace { limit: PATIENCE, heartbeat: PATIENCE, ..pace() });
    let daemon = Daemon::new(Settings::new("fed", apex.clone()), Arc::new(provider.clone()), Box::new(source))
        .with_admin(config::Admin { listen, is_default: false, token_file: None });
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(daemon.run(async move { _ = stopped.await }));
    let zone = ZoneId(apex.as_str().into());
    // Sets, and how many of them have addresses.
    let until = async |what: &str, sets: [usize; 2]| {
        let asking = async {
            loop {
                let held = provider.peek(&zone).unwrap();
                if [held.len(), held.iter().filter(|entry| entry.data.set.key().rr_type == RrType::A).count()] == sets {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.expect(what);
    };
    until("its places alone are published", [2 * COPIES, 0]).await;
    let passes = async || {
        let metrics = metrics(listen).await;
        let value = |name: &str| {
            let line = metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().parse::<u64>().unwrap()
        };
        [
            value("dns_syncd_source_events_total"),
            value("dns_syncd_plan_duration_seconds_count"),
            provider.calls(Call::Apply),
        ]
    };
    let before = passes().await;
    let burst = (0..COPIES * CHANGES).map(|at| (SLICES, changed(at / CHANGES, at % CHANGES)));
    fake.put_all(burst.collect());
    until("all is published", [3 * COPIES, 3 * COPIES]).await;
    let after = passes().await;
    let [told, plans, writes] = std::array::from_fn(|at| after[at] - before[at]);
    assert_eq!(told, COPIES as u64, "of the changes of a slice one changes its service");
    assert!(plans <= 5 && writes <= 3, "{told} told, {plans} plans, {writes} writes");
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
}
