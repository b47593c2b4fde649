//! The wire between a client and a real server on loopback, which a test cuts, blocks and mends while both run.
//!
//! It carries octets and knows no protocol, so TLS passes untouched. Whoever is to feel the trouble is given
//! [`Wire::url`], everybody else the server's own URL.
//! Time plays a part in one place only: where answers are lost, a connection lives on for [`AFTERMATH`].

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long requests still go through after the first lost answer: a server that greets first, as HTTP/2 does, shall
/// be given the request that comes behind the greeting.
pub const AFTERMATH: Duration = Duration::from_millis(50);

/// Octets that one direction holds at most.
const HELD: usize = 64 * 1024;

/// What the wire does to connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Everything goes through.
    Pass,
    /// Open connections go on; a new one is reset as soon as it is accepted.
    Refuse,
    /// Open connections are reset, and new ones as soon as they are accepted.
    Reset,
    /// Connections are accepted and stay open, and nothing goes through in either direction, not even an end. What was
    /// held goes on its way when the wire passes again.
    Hang,
    /// Requests go through and what the server says is dropped; [`AFTERMATH`] later the connection is reset. A TLS
    /// connection must be open already, as its handshake needs answers.
    LoseAnswers,
}

/// A running wire; when dropped it is cut, and nobody listens any more.
#[derive(Debug)]
pub struct Wire {
    scheme: String,
    address: SocketAddr,
    order: Arc<watch::Sender<Order>>,
    task: JoinHandle<()>,
}

/// What connections follow.
#[derive(Clone, Debug)]
struct Order {
    way: Way,
    /// How often all connections have been reset by [`Wire::cut`].
    cuts: usize,
    /// Connections that have felt this order.
    struck: Arc<AtomicUsize>,
}

impl Wire {
    /// A wire to the server at `url`, such as `http://127.0.0.1:2379`. It passes.
    ///
    /// # Panics
    /// When the URL is not a scheme and a socket address, or no socket can be had on loopback.
    pub async fn to(url: &str) -> Self {
        let (scheme, server) = url.split_once("://").unwrap_or_else(|| panic!("`{url}` has no scheme"));
        let server = server.trim_end_matches('/').parse();
        let server: SocketAddr = server.unwrap_or_else(|error| panic!("`{url}`: {error}"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let order = Arc::new(watch::Sender::new(Order { way: Way::Pass, cuts: 0, struck: Arc::default() }));
        let task = tokio::spawn(accept(listener, server, Arc::downgrade(&order)));
        Self { scheme: scheme.to_owned(), address, order, task }
    }

    /// The server's URL with this wire's port.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// From the return of this call on, nothing goes another way, and [`Wire::struck`] counts anew.
    pub fn set(&self, way: Way) {
        self.order.send_modify(|order| {
            order.way = way;
            order.struck = Arc::default();
        });
    }

    /// Resets the open connections; the way stays as it is.
    pub fn cut(&self) {
        self.order.send_modify(|order| order.cuts += 1);
    }

    /// How many connections have felt the way that was set last: those refused, reset, held back with something to say,
    /// or without their answer. Always 0 while everything passes.
    pub fn struck(&self) -> usize {
        self.order.borrow().struck.load(Ordering::Relaxed)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Each connection has a task of its own, which ends when the wire is dropped, as then nobody gives orders.
async fn accept(listener: TcpListener, server: SocketAddr, orders: std::sync::Weak<watch::Sender<Order>>) {
    while let Ok((client, _)) = listener.accept().await {
        let Some(orders) = orders.upgrade() else { return };
        let connection = Connection::new(client, orders.subscribe());
        tokio::spawn(connection.run(server));
    }
}

//----------- Connection ---------------------------------------------

struct Connection {
    client: End,
    orders: watch::Receiver<Order>,
    order: Order,
    has_counted: bool,
}

/// Why octets do not move any more.
enum Stop {
    /// There is another order.
    Ordered,
    /// Both sides have said all.
    Over,
    /// One side is gone.
    Broken,
}

impl Connection {
    fn new(client: TcpStream, mut orders: watch::Receiver<Order>) -> Self {
        let order = orders.borrow_and_update().clone();
        Self { client: End::new(client), orders, order, has_counted: false }
    }

    async fn run(mut self, server: SocketAddr) {
        let cuts = self.order.cuts;
        if matches!(self.order.way, Way::Refuse | Way::Reset) {
            self.count();
            return self.client.reset();
        }
        let mut upstream = None;
        let (mut requests, mut answers) = (Lane::default(), Lane::default());
        loop {
            if self.order.way == Way::Reset || self.order.cuts != cuts {
                self.count();
                break;
            }
            let stop = match self.order.way {
                Way::Hang => self.hang(upstream.as_mut()).await,
                way => {
                    if upstream.is_none() {
                        let Ok(stream) = TcpStream::connect(server).await else { break };
                        upstream = Some(End::new(stream));
                        self.look();
                        continue; // the order may have changed meanwhile
                    }
                    let Some(upstream) = &mut upstream else { break };
                    let is_lossy = way == Way::LoseAnswers;
                    let stop = self.carry(upstream, &mut requests, &mut answers, is_lossy).await;
                    if is_lossy && matches!(stop, Stop::Over) {
                        self.count();
                        break;
                    }
                    stop
                }
            };
            match stop {
                Stop::Ordered => self.look(),
                Stop::Over => return, // both ends are closed in order
                Stop::Broken => break,
            }
        }
        self.client.reset();
        if let Some(upstream) = upstream {
            upstream.reset();
        }
    }

    /// Takes the newest order.
    fn look(&mut self) {
        let order = self.orders.borrow_and_update().clone();
        if !Arc::ptr_eq(&order.struck, &self.order.struck) {
            self.has_counted = false;
        }
        self.order = order;
    }

    fn count(&mut self) {
        if self.order.way != Way::Pass && !std::mem::replace(&mut self.has_counted, true) {
            self.order.struck.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits for another order, and notes whether one of the ends has something to say.
    async fn hang(&mut self, upstream: Option<&mut End>) -> Stop {
        let said = async {
            let client = self.client.read.readable();
            match upstream {
                Some(upstream) => tokio::select! { said = client => said, said = upstream.read.readable() => said },
                None => client.await,
            }
        };
        let said = tokio::select! {
            changed = self.orders.changed() => return changed.map_or(Stop::Broken, |()| Stop::Ordered),
            said = said => said,
        };
        if said.is_ok() {
            self.count();
        }
        self.orders.changed().await.map_or(Stop::Broken, |()| Stop::Ordered)
    }

    /// Moves octets in both directions until there is another order. Where answers get lost, `Over` comes [`AFTERMATH`]
    /// after the first.
    async fn carry(&mut self, upstream: &mut End, requests: &mut Lane, answers: &mut Lane, is_lossy: bool) -> Stop {
        let Self { client, orders, .. } = self;
        let mut changes = orders.clone();
        // A step moves octets only while the order that this call follows is the newest, see `Lane::step`.
        let orders = &*orders;
        let (client, upstream) = (client, upstream);
        let mut forward = pin!(requests.run(&client.read, &mut upstream.write, orders));
        let mut back = pin!(async {
            if is_lossy {
                let lost = answers.lose(&upstream.read, orders).await;
                if matches!(lost, Stop::Over) {
                    tokio::time::sleep(AFTERMATH).await;
                }
                lost
            } else {
                answers.run(&upstream.read, &mut client.write, orders).await
            }
        });
        let (mut has_asked, mut has_answered) = (false, false);
        loop {
            let stop = tokio::select! {
                changed = changes.changed() => changed.map_or(Stop::Broken, |()| Stop::Ordered),
                stop = &mut forward, if !has_asked => match stop {
                    Stop::Over => { has_asked = true; Stop::Over }
                    other => return other,
                },
                stop = &mut back, if !has_answered => match stop {
                    Stop::Over => { has_answered = true; Stop::Over }
                    other => return other,
                },
            };
            if !matches!(stop, Stop::Over) || (has_answered && (has_asked || is_lossy)) {
                return stop;
            }
        }
    }
}

/// One end of a connection.
struct End {
    read: OwnedReadHalf,
    /// `None` when the end has been told that no more comes.
    write: Option<OwnedWriteHalf>,
}

impl End {
    fn new(stream: TcpStream) -> Self {
        let _ = stream.set_nodelay(true); // small messages are not to wait for a timer
        let (read, write) = stream.into_split();
        Self { read, write: Some(write) }
    }

    /// Closes it with a reset.
    fn reset(self) {
        // Without this the reset may come as an end, which is as good a trouble.
        let _ = self.read.as_ref().set_zero_linger();
        if let Some(write) = self.write {
            write.forget();
        }
    }
}

//----------- Lane ---------------------------------------------------

/// What is on its way in one direction. It outlives the order under which it was read.
#[derive(Debug, Default)]
struct Lane {
    held: Vec<u8>,
    has_ended: bool,
}

impl Lane {
    /// Carries until the sender has ended and all is delivered.
    async fn run(
        &mut self,
        from: &OwnedReadHalf,
        to: &mut Option<OwnedWriteHalf>,
        orders: &watch::Receiver<Order>,
    ) -> Stop {
        loop {
            match self.step(from, to, orders).await {
                Ok(None) => {}
                Ok(Some(stop)) => return stop,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return Stop::Broken,
            }
        }
    }

    /// One read or one write; when it is canceled nothing is lost.
    async fn step(
        &mut self,
        from: &OwnedReadHalf,
        to: &mut Option<OwnedWriteHalf>,
        orders: &watch::Receiver<Order>,
    ) -> io::Result<Option<Stop>> {
        let Some(write) = to else { return Ok(Some(Stop::Over)) };
        if !self.held.is_empty() {
            write.writable().await?;
            // The guard keeps orders from changing until the octets have moved: whoever has set a way can rely on it.
            let order = orders.borrow();
            if order.has_changed() {
                return Ok(Some(Stop::Ordered));
            }
            let sent = write.try_write(&self.held)?;
            self.held.drain(..sent);
        } else if self.has_ended {
            *to = None; // dropped, it says that no more comes
        } else {
            from.readable().await?;
            self.has_ended = read(from, &mut self.held)? == 0;
        }
        Ok(None)
    }

    /// Waits for something to lose, or the end.
    async fn lose(&mut self, from: &OwnedReadHalf, orders: &watch::Receiver<Order>) -> Stop {
        loop {
            if from.readable().await.is_err() {
                return Stop::Broken;
            }
            if orders.borrow().has_changed() {
                return Stop::Ordered;
            }
            match read(from, &mut self.held) {
                Ok(_) => return Stop::Over,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return Stop::Broken,
            }
        }
    }
}

fn read(from: &OwnedReadHalf, held: &mut Vec<u8>) -> io::Result<usize> {
    held.reserve(HELD);
    from.try_read_buf(held)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A server that sends back what it is sent, and counts the octets that have reached it.
    async fn echo() -> (String, watch::Receiver<usize>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (heard, count) = watch::channel(0);
        let heard = Arc::new(heard);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let heard = heard.clone();
                tokio::spawn(async move {
                    let mut octets = [0; 1024];
                    while let Ok(length @ 1..) = stream.read(&mut octets).await {
                        heard.send_modify(|count| *count += length);
                        if stream.write_all(&octets[..length]).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        (url, count)
    }

    async fn connect(wire: &Wire) -> TcpStream {
        TcpStream::connect(wire.address).await.expect("the wire accepts")
    }

    async fn says(stream: &mut TcpStream, text: &str) {
        stream.write_all(text.as_bytes()).await.expect("an open connection");
    }

    async fn hears(stream: &mut TcpStream, text: &str) {
        let mut octets = vec![0; text.len()];
        stream.read_exact(&mut octets).await.expect("an answer");
        assert_eq!(octets, text.as_bytes());
    }

    async fn is_reset(stream: &mut TcpStream) {
        let error = stream.read(&mut [0; 16]).await.expect_err("neither an answer nor an end");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn what_passes_passes_both_ways_and_ends_in_order() {
        let (url, _) = echo().await;
        let wire = Wire::to(&url).await;
        let mut stream = connect(&wire).await;
        let long = "x".repeat(3 * HELD);
        let (mut read, mut write) = stream.split();
        let mut back = vec![0; long.len()];
        let (sent, ()) = tokio::join!(write.write_all(long.as_bytes()), async {
            read.read_exact(&mut back).await.expect("all of it comes back");
        });
        sent.expect("all of it is taken");
        assert_eq!(back, long.as_bytes());
        says(&mut stream, "last").await;
        stream.shutdown().await.expect("an open connection");
        let mut rest = String::new();
        stream.read_to_string(&mut rest).await.expect("the answer, then the end");
        assert_eq!((rest.as_str(), wire.struck()), ("last", 0));
    }

    #[tokio::test]
    async fn new_connections_are_refused_and_open_ones_go_on() {
        let (url, _) = echo().await;
        let wire = Wire::to(&url).await;
        let mut open = connect(&wire).await;
        says(&mut open, "a").await;
        hears(&mut open, "a").await;
        wire.set(Way::Refuse);
        is_reset(&mut connect(&wire).await).await;
        says(&mut open, "b").await;
        hears(&mut open, "b").await;
        assert_eq!(wire.struck(), 1);
        wire.set(Way::Pass);
        let mut late = connect(&wire).await;
        says(&mut late, "c").await;
        hears(&mut late, "c").await;
    }

    #[tokio::test]
    async fn open_and_new_connections_are_reset() {
        let (url, heard) = echo().await;
        let wire = Wire::to(&url).await;
        let mut open = connect(&wire).await;
        says(&mut open, "a").await;
        hears(&mut open, "a").await;
        wire.set(Way::Reset);
        is_reset(&mut open).await;
        is_reset(&mut connect(&wire).await).await;
        assert_eq!((wire.struck(), *heard.borrow()), (2, 1));

        wire.set(Way::Pass);
        let mut open = connect(&wire).await;
        says(&mut open, "b").await;
        hears(&mut open, "b").await;
        wire.cut();
        is_reset(&mut open).await;
        let mut late = connect(&wire).await;
        says(&mut late, "c").await;
        hears(&mut late, "c").await;
    }

    /// What was said meanwhile arrives when the wire passes again, or never when it is reset.
    #[tokio::test(start_paused = true)]
    async fn a_hanging_wire_holds_everything_and_closes_nothing() {
        let (url, heard) = echo().await;
        let wire = Wire::to(&url).await;
        let mut open = connect(&wire).await;
        says(&mut open, "a").await;
        hears(&mut open, "a").await;
        wire.set(Way::Hang);
        let mut late = connect(&wire).await;
        says(&mut open, "b").await;
        says(&mut late, "c").await;
        while wire.struck() < 2 {
            tokio::task::yield_now().await;
        }
        for stream in [&mut open, &mut late] {
            let silence = tokio::time::timeout(Duration::from_hours(1), stream.read(&mut [0; 16])).await;
            silence.expect_err("neither an answer nor an end");
        }
        assert_eq!((wire.struck(), *heard.borrow()), (2, 1));
        wire.set(Way::Pass);
        hears(&mut open, "b").await;
        hears(&mut late, "c").await;
        wire.set(Way::Hang);
        wire.set(Way::Reset);
        is_reset(&mut open).await;
    }

    #[tokio::test]
    async fn answers_are_lost_after_the_work_is_done() {
        let (url, mut heard) = echo().await;
        let wire = Wire::to(&url).await;
        let mut open = connect(&wire).await;
        says(&mut open, "a").await;
        hears(&mut open, "a").await;
        wire.set(Way::LoseAnswers);
        says(&mut open, "b").await;
        is_reset(&mut open).await;
        let mut late = connect(&wire).await;
        says(&mut late, "c").await;
        heard.wait_for(|&count| count == 3).await.expect("all of it was heard");
        is_reset(&mut late).await;
        assert_eq!(wire.struck(), 2);
    }

    #[tokio::test]
    async fn a_wire_to_nobody_resets() {
        let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback");
        let url = format!("http://{}", nobody.local_addr().expect("an address"));
        drop(nobody);
        let wire = Wire::to(&url).await;
        assert_ne!(wire.url(), url);
        is_reset(&mut connect(&wire).await).await;
    }
}
