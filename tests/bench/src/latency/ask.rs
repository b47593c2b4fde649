//! A DNS client that asks for one name until the answer is right.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::bail;
use tokio::net::UdpSocket;

/// Between two questions: without a pause the client would take the core that the servers need.
pub(super) const PAUSE: Duration = Duration::from_micros(500);
/// An answer that does not come is asked for again.
const LOST: Duration = Duration::from_secs(1);
/// What is not answered by then never will be.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks for the A records of a name until they are this one address; gives when that was.
///
/// # Errors
/// When it is never answered so.
pub(super) async fn until(server: SocketAddr, name: &str, address: Ipv4Addr) -> anyhow::Result<Instant> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    socket.connect(server).await?;
    let begun = Instant::now();
    let mut buffer = [0; 1500];
    for id in 0_u16.. {
        socket.send(&question(id, name)).await?;
        let answer = tokio::time::timeout(LOST, socket.recv(&mut buffer)).await;
        let now = Instant::now();
        if let Ok(Ok(length)) = answer
            && is_answer(&buffer[..length], id, address)
        {
            return Ok(now);
        }
        if begun.elapsed() > PATIENCE {
            bail!("{server} never answered {address} for {name}");
        }
        tokio::time::sleep(PAUSE).await;
    }
    bail!("{server} was asked too often for {name}");
}

/// A question for A records. Source of the form: RFC 1035 §4.1.
fn question(id: u16, name: &str) -> Vec<u8> {
    let mut message = id.to_be_bytes().to_vec();
    message.extend([0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0]); // recursion desired, one question
    for label in name.trim_end_matches('.').split('.') {
        message.push(u8::try_from(label.len()).unwrap_or(u8::MAX));
        message.extend(label.as_bytes());
    }
    message.extend([0, 0, 1, 0, 1]); // the root, type A, class IN
    message
}

/// Whether a message answers the question with one record, this address.
fn is_answer(message: &[u8], id: u16, address: Ipv4Addr) -> bool {
    let [high, low, _, flags, _, _, 0, 1, ..] = message else { return false };
    let [a, b, c, d] = address.octets();
    let data = [0, 4, a, b, c, d];
    // No error: the four lowest bits of the flags.
    [*high, *low] == id.to_be_bytes()
        && flags.trailing_zeros() >= 4
        && message.windows(data.len()).any(|part| part == data)
}
