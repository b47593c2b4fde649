//! The sockets: requests in, answers out.
//!
//! In: octets · Out: octets · Called by: mod.rs
//!
//! Answers come from memory at once, so a UDP request is answered where it is read: one wake of the task serves all
//! requests that wait. hickory's server would start a task for each, and holds back all messages of a zone transfer
//! until the last is made.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::answer::{Reply, Transport, Zones};

/// How long a TCP client may be silent, or slow to take an answer. Source: RFC 7766 §6.2.3 asks for some seconds.
const TCP_TIMEOUT: Duration = Duration::from_secs(10);
/// TCP connections at one time; more wait.
const MAX_TCP_CONNECTIONS: usize = 256;
/// Pause after a failed accept, such as one without a free file descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Ports that are tried until one is free for both UDP and TCP, where the config asks for any.
const PORT_TRIES: usize = 16;
/// The longest UDP request that is read; queries are far below it.
const UDP_REQUEST_OCTETS: usize = 4096;

/// UDP and TCP at one address.
#[derive(Debug)]
pub(super) struct Sockets {
    pub(super) address: SocketAddr,
    udp: UdpSocket,
    tcp: TcpListener,
}

impl Sockets {
    /// Binds both at one address; port 0 is any port.
    pub(super) async fn bind(address: SocketAddr) -> io::Result<Self> {
        let mut tries = if address.port() == 0 { PORT_TRIES } else { 1 };
        loop {
            let tcp = TcpListener::bind(address).await?;
            let bound = tcp.local_addr()?;
            tries -= 1;
            match UdpSocket::bind(bound).await {
                Ok(udp) => return Ok(Self { address: bound, udp, tcp }),
                Err(error) if tries == 0 => return Err(error),
                Err(_) => {}
            }
        }
    }

    /// Serves until `stop` changes or its sender is gone.
    pub(super) fn serve(self, zones: &Arc<Zones>, stop: &watch::Receiver<bool>, tasks: &mut JoinSet<()>) {
        // One reader for each core: they share the socket.
        let udp = Arc::new(self.udp);
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            tasks.spawn(serve_udp(udp.clone(), zones.clone(), stop.clone()));
        }
        tasks.spawn(serve_tcp(self.tcp, zones.clone(), stop.clone()));
    }
}

async fn serve_udp(socket: Arc<UdpSocket>, zones: Arc<Zones>, mut stop: watch::Receiver<bool>) {
    let mut request = vec![0; UDP_REQUEST_OCTETS];
    loop {
        let received = tokio::select! {
            _ = stop.changed() => return,
            received = socket.recv_from(&mut request) => received,
        };
        let Ok((octets, from)) = received else {
            // It tells of an earlier answer that could not be delivered, or the runtime ends.
            tokio::task::yield_now().await;
            continue;
        };
        // Port 0 takes no answer; some systems fail in strange ways when asked.
        if from.port() == 0 {
            continue;
        }
        if let Reply::One(response) = zones.answer(&request[..octets], from.ip(), Transport::Udp)
            && let Err(error) = socket.send_to(&response, from).await
        {
            tracing::debug!(%from, %error, "an answer could not be sent");
        }
    }
}

async fn serve_tcp(listener: TcpListener, zones: Arc<Zones>, mut stop: watch::Receiver<bool>) {
    let free = Arc::new(Semaphore::new(MAX_TCP_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let accept = async {
            let permit = free.clone().acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            _ = stop.changed() => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept => accepted,
        };
        match accepted {
            Ok((stream, from)) => {
                let (zones, stop) = (zones.clone(), stop.clone());
                connections.spawn(async move {
                    let _permit = permit;
                    if let Err(error) = serve_connection(stream, from, &zones, stop).await {
                        tracing::debug!(%from, %error, "a connection ended");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    while connections.join_next().await.is_some() {}
}

/// Requests of one client, one after the other. Source: RFC 7766 §6.2.1, RFC 1035 §4.2.2.
async fn serve_connection(
    mut stream: TcpStream,
    from: SocketAddr,
    zones: &Zones,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let request = tokio::select! {
            _ = stop.changed() => return Ok(()),
            request = timeout(TCP_TIMEOUT, read_message(&mut stream)) => match request?? {
                Some(request) => request,
                None => return Ok(()),
            },
        };
        match zones.answer(&request, from.ip(), Transport::Tcp) {
            Reply::None => return Ok(()),
            Reply::One(response) => write_message(&mut stream, &response).await?,
            Reply::Many(messages) => {
                for message in messages {
                    write_message(&mut stream, &message).await?;
                }
            }
        }
    }
}

/// A message with its length before it; `None` when the client has closed.
async fn read_message(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let octets = match stream.read_u16().await {
        Ok(octets) => octets,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut message = vec![0; usize::from(octets)];
    stream.read_exact(&mut message).await?;
    Ok(Some(message))
}

async fn write_message(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let octets = u16::try_from(message.len()).map_err(io::Error::other)?;
    let mut framed = Vec::with_capacity(message.len() + 2);
    framed.extend_from_slice(&octets.to_be_bytes());
    framed.extend_from_slice(message);
    timeout(TCP_TIMEOUT, stream.write_all(&framed)).await?
}
