//! A thousand changes a second, ten in a call, into each server in its own way.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::ensure;
use etcd_client::{Client as EtcdClient, Txn, TxnOp};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::zone;
use crate::workload::ZONE;

/// Changes in one call, transaction or message.
pub(super) const PER_CALL: u32 = 10;
/// Between two of them: a thousand changes a second.
const PERIOD: Duration = Duration::from_millis(10);

/// Ticks for some seconds. A call that takes longer than a tick is made up for later.
#[derive(Debug)]
pub(super) struct Pace {
    ticks: Interval,
    end: Instant,
}

impl Pace {
    pub(super) fn for_seconds(seconds: u64) -> Self {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        Self { ticks, end: Instant::now() + Duration::from_secs(seconds) }
    }

    /// Waits for the next tick; false when the time is over.
    pub(super) async fn next(&mut self) -> bool {
        self.ticks.tick().await;
        Instant::now() < self.end
    }
}

/// Writes keys as the daemon does, in transactions, from an edition of the names on; gives the number of changes.
///
/// # Errors
/// When etcd does not take one.
pub(super) async fn into_etcd(mut client: EtcdClient, names: u32, first: u32, seconds: u64) -> anyhow::Result<u32> {
    let mut pace = Pace::for_seconds(seconds);
    let mut done = 0;
    while pace.next().await {
        let puts: Vec<_> = (done..done + PER_CALL)
            .map(|turn| {
                let [_, (key, value)] = zone::keys(turn % names, first + turn / names);
                TxnOp::put(key, value, None)
            })
            .collect();
        client.txn(Txn::new().and_then(puts)).await?;
        done += PER_CALL;
    }
    Ok(done)
}

/// Sends dynamic updates over TCP, one after the other; gives the number of changes.
///
/// # Errors
/// When the server refuses one.
pub(super) async fn by_update(server: SocketAddr, names: u32, first: u32, seconds: u64) -> anyhow::Result<u32> {
    let mut stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    let mut pace = Pace::for_seconds(seconds);
    let mut done = 0;
    let mut id = 0_u16;
    while pace.next().await {
        id = id.wrapping_add(1);
        let message = update(id, (done..done + PER_CALL).map(|turn| (turn % names, first + turn / names)));
        let length = u16::try_from(message.len())?.to_be_bytes();
        stream.write_all(&[&length, message.as_slice()].concat()).await?;
        let mut length = [0; 2];
        stream.read_exact(&mut length).await?;
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut answer).await?;
        ensure!(
            answer.get(3).is_some_and(|flags| flags.trailing_zeros() >= 4),
            "{server} refuses an update: {answer:?}"
        );
        done += PER_CALL;
    }
    Ok(done)
}

/// An update that replaces the sets of some names. Source of the form: RFC 2136 §2 and §2.5.
fn update(id: u16, sets: impl Iterator<Item = (u32, u32)>) -> Vec<u8> {
    const ANY: u16 = 255;
    const IN: u16 = 1;
    const A: u16 = 1;
    const SOA: u16 = 6;
    let mut records = Vec::new();
    let mut count = 0_u16;
    for (number, edition) in sets {
        let owner = wire(&zone::name(number));
        let mut record = |class: u16, ttl: u32, address: Option<Ipv4Addr>| {
            records.extend(&owner);
            records.extend([A, class].map(u16::to_be_bytes).concat());
            records.extend(ttl.to_be_bytes());
            let data = address.map(|address| address.octets().to_vec()).unwrap_or_default();
            records.extend([0, if data.is_empty() { 0 } else { 4 }]);
            records.extend(data);
            count += 1;
        };
        record(ANY, 0, None); // deletes the set
        for address in zone::addresses(number, edition) {
            record(IN, zone::TTL, Some(address));
        }
    }
    let mut message = id.to_be_bytes().to_vec();
    message.extend([0x28, 0, 0, 1, 0, 0]); // opcode UPDATE, one zone, no prerequisite
    message.extend(count.to_be_bytes());
    message.extend([0, 0]);
    message.extend(wire(ZONE));
    message.extend([SOA, IN].map(u16::to_be_bytes).concat());
    message.extend(records);
    message
}

/// A name as it is sent. Source: RFC 1035 §3.1.
fn wire(name: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in name.split('.') {
        wire.push(u8::try_from(label.len()).unwrap_or(u8::MAX));
        wire.extend(label.as_bytes());
    }
    wire.push(0);
    wire
}
